"""The announcer: says on the local network that a folder is served, and answers who looks for it.

This is the file to read for what a UDP server does:

    1  create         socket()
       configure      setsockopt()           join the group of those who listen
    2  bind           bind()
    3  communicate    recvfrom(), sendto()   each datagram for itself, from and to anybody
    4  close          close()

There is no listen() and no accept(): nobody connects. What is sent may be lost, doubled or overtaken, and nobody is
told; so it is said twice, and again before it is forgotten.

UPnP Device Architecture 2.0 §1.1.2, §1.2 (advertisement), §1.3 (search); RFC 1112 §6, §7 (multicast).
"""

import contextlib
import heapq
import itertools
import os
import platform
import random
import select
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from .description import format_description
from .multicast import Interface, interface, is_near
from .server import Server, say, url_of
from .ssdp import (
    GROUP,
    GROUP_IPV6,
    MAX_AGE_SECONDS,
    PORT,
    Datagram,
    DatagramError,
    Device,
    Search,
    parse_datagram,
    search_of,
)
from .terminal import visible
from .tracedsocket import Tell, TracedDatagramSocket, everybody, failure, nobody

if TYPE_CHECKING:
    # Loaded by who wants it.
    from .trace import Trace

# UDA 2.0 §1.1.2: no further than the network at hand and its next neighbour.
_HOPS = 2
# UDA 2.0 §1.2.2: said again at random moments before half of its time is over.
_AGAIN_SECONDS = MAX_AGE_SECONDS / 2
# As nobody knows who has heard it, it is said twice.
_TIMES = 2
_MOST_OCTETS = 8192
# Against those who search in the name of others, who would get the answers: so many a second, and no more at once than
# that, and so many waiting for their moment.
_ANSWERS_PER_SECOND = 30
_MOST_WAITING = 90
_STOP_SECONDS = 5.0
# So much is shown of a datagram that is ignored.
_MOST_SHOWN = 2048


class Rate:
    """Grants so many a second, and as many at once."""

    def __init__(self, per_second: int, now: float) -> None:
        self._per_second = per_second
        self._granted = float(per_second)
        self._now = now

    def grants(self, now: float) -> bool:
        """Return whether one more is granted."""
        self._granted = min(float(self._per_second), self._granted + (now - self._now) * self._per_second)
        self._now = now
        if self._granted < 1:
            return False
        self._granted -= 1
        return True


class _Waiting(NamedTuple):
    """An answer that waits for its moment; *number* keeps those of one moment in order."""

    moment: float
    number: int
    datagram: bytes
    peer: tuple[Any, ...]
    sending: socket.socket


class Announcer:
    """Announces a folder that is served at *port* of the addresses *hosts*, from a thread of its own.

    ``with Announcer(...):`` It serves the descriptions from a server of its own: that of the folder knows nothing of
    it. Networks where nothing can be announced are passed over, and *report* is told why. *trace* is told of each call
    that is made. *group_port* is for tests; 0 takes a free one.
    Raises OSError if there is no network left; ValueError if there is no address.
    """

    def __init__(
        self,
        directory: str,
        hosts: Sequence[str],
        port: int,
        *,
        report: Callable[[str], object] = say,
        trace: "Trace | None" = None,
        group_port: int = PORT,
    ) -> None:
        name = f"{os.path.basename(directory) or directory} on {platform.node()}"
        # The same folder of the same machine is the same device, whenever it is served.
        identity = uuid.uuid5(
            uuid.NAMESPACE_URL, f"httpsock:{platform.node()}:{uuid.getnode()}:{visible(directory)}:{port}"
        )
        server = f"{platform.system()}/{platform.release()} UPnP/2.0 httpsock"
        # Whether another process announces the same by now: then nobody takes leave.
        self.is_replaced = False
        self._tell: Tell = trace.server if trace else nobody
        self._wants = trace.wants if trace else everybody
        self._create: Callable[[int, int], socket.socket] = (
            partial(TracedDatagramSocket, tell=trace.server, wants=trace.wants) if trace else socket.socket
        )
        self._group_port = group_port
        self._sockets: dict[int, socket.socket] = {}
        self.devices: dict[Interface, Device] = {}
        with contextlib.ExitStack() as opened:
            files = opened.enter_context(tempfile.TemporaryDirectory(prefix="httpsock-"))
            interfaces = self._join(hosts, opened, report)
            self._server = Server(files, hosts=[each.host for each in interfaces], port=0, threads=1)
            opened.callback(self._server.stop, 0.0)
            for number, each in enumerate(interfaces):
                location = f"{url_of(each.address, self._server.port)}{number}.xml"
                self.devices[each] = device = Device(identity, location, server, int(time.time()))
                with open(os.path.join(files, f"{number}.xml"), "wb") as file:
                    file.write(format_description(device, name, url_of(each.address, port)))
            awakened, awakener = socket.socketpair()
            self._awakened, self._awakener = opened.enter_context(awakened), opened.enter_context(awakener)
            # What has been opened is closed when the announcer is left.
            self._opened = opened.pop_all()
        self._waiting: list[_Waiting] = []
        self._count = itertools.count()
        self._rate = Rate(_ANSWERS_PER_SECOND, time.monotonic())
        self._thread = threading.Thread(target=self._run, name="httpsock-announcer", daemon=True)

    @property
    def group_port(self) -> int:
        """The port at which it hears what is said to the group."""
        return self._group_port

    def _join(
        self, hosts: Sequence[str], opened: contextlib.ExitStack, report: Callable[[str], object]
    ) -> list[Interface]:
        """Return the interfaces on whose networks it will be heard; of each family there is one socket."""
        joined: list[Interface] = []
        faults: dict[str, OSError] = {}
        for host in hosts:
            try:
                each = interface(host)
                if each.family not in self._sockets:
                    hearing = opened.enter_context(self._create(each.family, socket.SOCK_DGRAM))
                    _bind(hearing, self._group_port)
                    self._group_port = hearing.getsockname()[1]
                    self._sockets[each.family] = hearing
                self._join_one(each)
            except OSError as error:
                faults[host] = error
            else:
                joined.append(each)
        # Where nothing is announced nobody is answered.
        for family in set(self._sockets) - {each.family for each in joined}:
            del self._sockets[family]
        for host, fault in faults.items():
            if not joined:
                raise fault
            report(f"httpsock: the folder can't be announced at {host}: {fault.strerror}.")
        return joined

    def _join_one(self, each: Interface) -> None:
        facts = {"group": _group_of(each.family), "address": each.host}
        try:
            each.join(self._sockets[each.family], _group_of(each.family))
        except OSError as error:
            self._tell("join", {**facts, **failure(error)})
            raise
        self._tell("join", facts)

    def _run(self) -> None:
        """Announce, answer, announce again, until stopped; then take leave, unless somebody goes on."""
        again = 0.0
        while True:
            now = time.monotonic()
            if now >= again:
                for _ in range(_TIMES):
                    self._announce(Device.alive)
                again = now + random.uniform(_AGAIN_SECONDS / 2, _AGAIN_SECONDS)  # noqa: S311 (it keeps no secret)
            until = min(again, self._waiting[0][0]) if self._waiting else again
            ready, _, _ = select.select([*self._sockets.values(), self._awakened], [], [], max(0.0, until - now))
            if self._awakened in ready:
                break
            for each in ready:
                self._receive(each, time.monotonic())
            self._send_what_is_due(time.monotonic())
        for _ in range(0 if self.is_replaced else _TIMES):
            self._announce(Device.byebye)

    def _announce(self, what: Callable[[Device], Iterable[bytes]]) -> None:
        """Send *what* each device has to say to the group, on the network that it is about."""
        for each, device in self.devices.items():
            # A network that is down hears nothing; it is not worth more than silence.
            with contextlib.suppress(OSError):
                for datagram in what(device):
                    each.send(self._sockets[each.family], datagram, _group_of(each.family), self._group_port)

    def _receive(self, hearing: socket.socket, now: float) -> None:
        """Receive one datagram; if it is a search of a neighbour's, let its answers wait for their moment."""
        try:
            # 3. Communicate: one recvfrom() is one datagram, whole, and says whose it is.
            octets, peer = hearing.recvfrom(_MOST_OCTETS + 1)
        except OSError:
            return
        tell = self._tell if self._wants(peer[0]) else nobody
        try:
            datagram = parse_datagram(octets)
        except DatagramError as error:
            tell("ignore", error.facts, head=octets[:_MOST_SHOWN])
            return
        tell("parse", datagram.summary, head=octets)
        try:
            self._answer(_neighbours_search(datagram, peer[0]), peer, hearing, now, tell)
        except DatagramError as error:
            tell("ignore", error.facts)

    def _answer(self, search: Search, peer: tuple[Any, ...], sending: socket.socket, now: float, tell: Tell) -> None:
        """Let the answers to *search* wait for their moment. Raises DatagramError if there are none."""
        # UDA 2.0 §1.3.3: at a random moment, so that not all devices of a network speak at once; and in time for who is
        # slow to listen.
        longest = search.seconds / 2
        answers = list(self._device_towards(peer, sending.family).answers(search))
        if not answers:
            raise DatagramError(f'"{visible(search.target[:80])}" is nothing of ours', "UDA 2.0 §1.3.3")
        for datagram in answers:
            if any(each.datagram == datagram and each.peer == peer for each in self._waiting):
                raise DatagramError("who sent it is being answered already", "UDA 2.0 §1.3.2")
            if len(self._waiting) >= _MOST_WAITING or not self._rate.grants(now):
                raise DatagramError(f"{_ANSWERS_PER_SECOND} answers a second are given, and no more", "RFC 4732 §2.1")
            moment = now + random.uniform(0, longest)  # noqa: S311
            heapq.heappush(self._waiting, _Waiting(moment, next(self._count), datagram, peer, sending))
        if longest:
            tell("wait", {"for": "a random moment to answer", "seconds": longest})

    def _send_what_is_due(self, now: float) -> None:
        while self._waiting and self._waiting[0].moment <= now:
            due = heapq.heappop(self._waiting)
            with contextlib.suppress(OSError):
                due.sending.sendto(due.datagram, due.peer)

    def _device_towards(self, peer: tuple[Any, ...], family: int) -> Device:
        """Return what *peer* is to be told of: the folder at the address that datagrams to it would leave from."""
        ours = {each: device for each, device in self.devices.items() if each.family == family}
        # connect() of a datagram socket sends nothing.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(peer)
            name = probe.getsockname()
            zone = name[3] if len(name) > 2 else 0
            for each, device in ours.items():
                if each.address == str(name[0]).partition("%")[0] and zone in (0, each.number):
                    return device
        return next(iter(ours.values()))

    def __enter__(self) -> Self:
        self._server.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._awakener.send(b"\0")
        self._thread.join(_STOP_SECONDS)
        # 4. Close: nobody notices; that is what byebye is for.
        self._opened.close()


def _neighbours_search(datagram: Datagram, host: str) -> Search:
    """Return the search that *datagram* is. Raises DatagramError if it is none, or *host* is not to be answered."""
    if not is_near(host):
        raise DatagramError(f"{host} is not of this network", "UDA 2.0 §1.3.3")
    return search_of(datagram)


def _bind(created: socket.socket, port: int) -> None:
    """Take the port that all programs of a machine that speak SSDP share. Raises OSError."""
    # 1. Create: a descriptor for datagrams of UDP, over IPv4 or IPv6, which is *created*.
    created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if created.family == socket.AF_INET6:
        created.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        created.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
    else:
        created.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
    # 2. Bind: at all addresses, since what is said to the group is for none of ours.
    created.bind(("::" if created.family == socket.AF_INET6 else "", port))
    created.setblocking(False)


def _group_of(family: int) -> str:
    return GROUP_IPV6 if family == socket.AF_INET6 else GROUP
