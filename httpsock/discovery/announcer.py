"""The announcer: says on the local network that a folder is served, and answers who looks for it.

This is the file to read for what a UDP server does:

    1  create         socket()
       configure      setsockopt()           join the group of those who listen
    2  bind           bind()
    3  communicate    recvfrom(), sendto()   each datagram for itself, from and to anybody
    4  close          close()

There is no listen() and no accept(): nobody connects. What is sent may be lost, doubled or overtaken, and nobody is
told; so it is said twice, and again before it is forgotten.

There is one socket for each interface: Linux lets a socket join on 20 only, and what a socket has joined goes with it.
Interfaces and addresses come and go while it runs: it follows (networks.py), and tells of no address that is gone.

UPnP Device Architecture 2.0 §1.1.2, §1.2 (advertisement), §1.3 (search); RFC 1112 §6, §7 (multicast).
"""

import contextlib
import os
import platform
import random
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from httpsock.http.text import visible
from httpsock.server.poller import READABLE, open_poller
from httpsock.server.server import print_stderr
from httpsock.tracing.sockets import Emit, TracedDatagramSocket, discard, error_attributes, everybody

from .answers import Answers
from .description_server import DescriptionServer
from .multicast import Interface, is_near
from .networks import Hosts, discard_changes, open_changes
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

if TYPE_CHECKING:
    # Loaded by who wants it.
    from httpsock.tracing.trace import TraceWriter

# UDA 2.0 §1.1.2: no further than the network at hand and its next neighbour.
_HOPS = 2
# UDA 2.0 §1.2.2: said again at random moments before half of its time is over.
_AGAIN_SECONDS = MAX_AGE_SECONDS / 2
# As nobody knows who has heard it, it is said twice.
_TIMES = 2
_MOST_OCTETS = 8192
_STOP_SECONDS = 5.0
# So much is shown of a datagram that is ignored.
_MOST_SHOWN = 2048
# The networks are looked at so long after a change, since changes come in groups; and this often in any case.
_SETTLING_SECONDS = 0.5
_LOOK_SECONDS = 5.0
# So many different faults are reported, each once.
_MOST_FAULTS = 100
_IS_LINUX = sys.platform.startswith("linux")
# What lets several sockets have one port.
_SHARING = (socket.SO_REUSEADDR,) if _IS_LINUX else (socket.SO_REUSEADDR, getattr(socket, "SO_REUSEPORT", 4))
# Linux gives each socket what any socket has joined, unless it is told not to: IP_MULTICAST_ALL, IPV6_MULTICAST_ALL.
_HEAR_ALL = {socket.AF_INET: (socket.IPPROTO_IP, 49), socket.AF_INET6: (socket.IPPROTO_IPV6, 29)} if _IS_LINUX else {}


class Announcer:
    """Announces a folder that is served at *port* of the addresses *hosts*, from a thread of its own.

    ``with Announcer(...):`` It serves the descriptions from a server of its own: that of the folder knows nothing of
    it. Among *hosts*, 0.0.0.0 and :: stand for the addresses of all networks, as they come and go. Networks where
    nothing can be announced are passed over, and *report* is told why. *trace* is told of each call that is made.
    *group_port* is for tests; 0 takes a free one.
    Raises OSError if no address can be announced, and none may come; ValueError if there is no address.
    """

    def __init__(
        self,
        directory: str,
        hosts: Sequence[str],
        port: int,
        *,
        report: Callable[[str], object] = print_stderr,
        trace: "TraceWriter | None" = None,
        group_port: int = PORT,
    ) -> None:
        # The same folder of the same machine is the same device, whenever it is served.
        identity = uuid.uuid5(
            uuid.NAMESPACE_URL, f"httpsock:{platform.node()}:{uuid.getnode()}:{visible(directory)}:{port}"
        )
        server = f"{platform.system()}/{platform.release()} UPnP/2.0 httpsock"
        self._device = Device(identity, "", server, int(time.time()))
        self._name = f"{os.path.basename(directory) or directory} on {platform.node()}"
        self._port = port
        # Whether another process announces the same by now: then nobody takes leave.
        self.is_replaced = False
        self._report = report
        self._faults: dict[str, str] = {}
        self._emit: Emit = trace.server if trace else discard
        self._wants = trace.includes if trace else everybody
        self._create: Callable[[int, int], socket.socket] = (
            partial(TracedDatagramSocket, emit=trace.server, wants=trace.includes) if trace else socket.socket
        )
        self._group_port = group_port
        self._hosts = Hosts(hosts)
        self._sockets: dict[Interface, socket.socket] = {}
        self.devices: dict[Interface, Device] = {}
        self._answers = Answers(time.monotonic())
        with contextlib.ExitStack() as opened:
            self._poller = open_poller()
            opened.callback(self._poller.close)
            opened.callback(self._close_all)
            self._open(opened)
            # What has been opened is closed when the announcer is left.
            self._opened = opened.pop_all()
        self._again = 0.0
        self._look = time.monotonic() + _LOOK_SECONDS
        self._thread = threading.Thread(target=self._run, name="httpsock-announcer", daemon=True)

    @property
    def group_port(self) -> int:
        """The port at which it hears what is said to the group."""
        return self._group_port

    def _open(self, opened: contextlib.ExitStack) -> None:
        """Join the group on all networks that there are, and start to listen for who asks for descriptions."""
        # Before the networks are looked at, so that no change is missed.
        self._changes = open_changes()
        if self._changes:
            self._poller.register(opened.enter_context(self._changes).fileno(), READABLE)
        faults: dict[str, OSError] = {}
        joined = self._join(self._hosts.first(faults), faults)
        if faults and not joined and not self._hosts.of_all:
            raise next(iter(faults.values()))
        self._hosts.keep(joined)
        self._descriptions = DescriptionServer(self._hosts.all, self._name, self._port)
        opened.callback(self._descriptions.close)
        for each in joined:
            self.devices[each] = self._descriptions.add(each, self._device)
        self._report_faults(faults)
        if not joined:
            self._report("httpsock: there is no network to announce the folder on; it is announced when there is one.")
        awakened, awakener = socket.socketpair()
        self._wakeup_reader, self._wakeup_writer = opened.enter_context(awakened), opened.enter_context(awakener)
        self._poller.register(self._wakeup_reader.fileno(), READABLE)

    # --- the networks, as they come and go ---------------------------------------------------------------------------

    def _join(self, wanted: Iterable[Interface], faults: dict[str, OSError]) -> list[Interface]:
        """Return those of the interfaces *wanted* on whose networks it will be heard: each has a socket."""
        joined: list[Interface] = []
        for each in wanted:
            try:
                with contextlib.ExitStack() as opened:
                    receiver = opened.enter_context(self._create(each.family, socket.SOCK_DGRAM))
                    _bind(receiver, self._group_port)
                    self._join_one(each, receiver)
                    self._poller.register(receiver.fileno(), READABLE)
                    opened.pop_all()
            except OSError as error:
                faults[each.host] = error
            else:
                self._group_port = receiver.getsockname()[1]
                self._sockets[each] = receiver
                joined.append(each)
        return joined

    def _join_one(self, each: Interface, receiver: socket.socket) -> None:
        attributes = {"group": _group_of(each.family), "address": each.host}
        try:
            each.join(receiver, _group_of(each.family))
        except OSError as error:
            self._emit("join", {**attributes, **error_attributes(error)})
            raise
        self._emit("join", attributes)

    def _follow(self) -> None:
        """Join and announce where networks have come, leave where they have gone (UDA 2.0 §1.2.2 to §1.2.4)."""
        wanted = self._hosts.interfaces()
        gone = [each for each in self.devices if each not in wanted]
        # A network that can't be joined now is tried again each time.
        faults: dict[str, OSError] = {}
        came = self._join([each for each in wanted if each not in self.devices], faults)
        self._report_faults(faults)
        staying = [each for each in self.devices if each not in gone]
        for each in gone:
            beside = [other for other in came + staying if _is_beside(other, each)]
            self._say_twice({each: beside[0] if beside else each}, Device.byebye)
            self._leave(each)
        # What has just taken leave is still there at another address of the same network.
        again = [each for each in staying if any(_is_beside(each, left) for left in gone)]
        if came:
            # A device that has got another network says so on the others, and is numbered anew.
            booted = max(int(time.time()), self._device.booted + 1)
            self._say_twice({each: each for each in staying}, lambda device: device.update(booted))
            self._device = self._device._replace(booted=booted)
            for each in staying:
                self.devices[each] = self.devices[each]._replace(booted=booted)
            for each in came:
                self._guard(self._describe, each)
        self._say_twice({each: each for each in came + again if each in self.devices}, Device.alive)

    def _describe(self, each: Interface) -> None:
        try:
            self.devices[each] = self._descriptions.add(each, self._device)
        except OSError:
            # It is tried again when the networks are looked at next.
            self._close(each)
            raise

    def _leave(self, each: Interface) -> None:
        """Forget an interface, and all that would tell of it."""
        self._answers.forget(each)
        self._close(each)
        self._descriptions.remove(self.devices.pop(each))

    def _close(self, each: Interface) -> None:
        receiver = self._sockets.pop(each)
        self._poller.unregister(receiver.fileno())
        receiver.close()

    def _close_all(self) -> None:
        for each in list(self._sockets):
            self._close(each)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Announce, answer, announce again, until stopped; then take leave, unless somebody goes on."""
        self._keep_time(time.monotonic())
        while True:
            due = min(self._again, self._look, self._answers.next_moment)
            ready = self._poller.poll(max(0.0, due - time.monotonic()))
            descriptors = [descriptor for descriptor, _ in ready]
            if self._wakeup_reader.fileno() in descriptors:
                break
            for descriptor in descriptors:
                self._guard(self._hear, descriptor)
            self._keep_time(time.monotonic())
        for _ in range(0 if self.is_replaced else _TIMES):
            self._announce(Device.byebye)

    def _keep_time(self, now: float) -> None:
        """Do all that is due. When it is due again is decided first, so that no fault repeats without end."""
        if now >= self._look:
            self._look = now + _LOOK_SECONDS
            self._guard(self._follow)
        if now >= self._again:
            self._again = now + random.uniform(_AGAIN_SECONDS / 2, _AGAIN_SECONDS)  # noqa: S311 (it keeps no secret)
            for device in self.devices.values():
                self._guard(self._descriptions.refresh, device)
            for _ in range(_TIMES):
                self._announce(Device.alive)
        self._guard(self._send_what_is_due, now)

    def _guard(self, step: Callable[..., object], *arguments: object) -> None:
        """Do one step of the loop. A fault costs this step and one report, never the loop."""
        try:
            step(*arguments)
        except OSError as error:
            self._report_faults({getattr(step, "__name__", ""): error})
        except Exception as error:
            # Whatever a datagram or a network did is dealt with elsewhere; this is a fault of our own.
            import traceback

            place = traceback.extract_tb(error.__traceback__)[-1]
            self._report_once(f"{place.filename}:{place.lineno}", traceback.format_exc())

    def _report_faults(self, faults: dict[str, OSError]) -> None:
        """Report, once, where the folder can't be announced, and why."""
        for where, fault in faults.items():
            # What is no address is a step of the loop.
            place = "" if where.startswith("_") else f" at {where}"
            self._report_once(where, f"httpsock: the folder can't be announced{place}: {fault.strerror or fault}.")

    def _report_once(self, key: str, text: str) -> None:
        if key not in self._faults and len(self._faults) < _MOST_FAULTS:
            self._faults[key] = text
            with contextlib.suppress(Exception):
                self._report(text)

    def _announce(self, what: Callable[[Device], Iterable[bytes]]) -> None:
        """Send *what* each device has to say to the group, on the network that it is about."""
        for each in self.devices:
            self._send(each, each, what)

    def _say_twice(self, whom: dict[Interface, Interface], what: Callable[[Device], Iterable[bytes]]) -> None:
        """Send *what* the devices have to say, each on the network of the interface that stands beside it."""
        for _ in range(_TIMES):
            for about, via in whom.items():
                self._send(about, via, what)

    def _send(self, about: Interface, via: Interface, what: Callable[[Device], Iterable[bytes]]) -> None:
        # A network that is down hears nothing; it is not worth more than silence.
        with contextlib.suppress(OSError):
            for datagram in what(self.devices[about]):
                via.send(self._sockets[via], datagram, _group_of(via.family), self._group_port)

    def _hear(self, descriptor: int) -> None:
        """Receive what has come: a datagram, or word of a change."""
        now = time.monotonic()
        if self._changes and descriptor == self._changes.fileno():
            discard_changes(self._changes)
            self._look = min(self._look, now + _SETTLING_SECONDS)
        for each, receiver in self._sockets.items():
            if receiver.fileno() == descriptor:
                self._receive(each, receiver, now)

    def _receive(self, each: Interface, receiver: socket.socket, now: float) -> None:
        """Receive one datagram; if it is a search of a neighbour's, let its answers wait for their moment."""
        try:
            # 3. Communicate: one recvfrom() is one datagram, whole, and says whose it is.
            octets, peer = receiver.recvfrom(_MOST_OCTETS + 1)
        except OSError:
            return
        emit = self._emit if self._wants(peer[0]) else discard
        try:
            datagram = parse_datagram(octets)
        except DatagramError as error:
            emit("ignore", error.attributes, head=octets[:_MOST_SHOWN])
            return
        emit("parse", datagram.summary, head=octets)
        try:
            self._answer(_neighbours_search(datagram, peer[0]), peer, each, now, emit)
        except DatagramError as error:
            emit("ignore", error.attributes)

    def _answer(self, search: Search, peer: tuple[Any, ...], heard_at: Interface, now: float, emit: Emit) -> None:
        """Let the answers to *search* wait for their moment. Raises DatagramError if there are none."""
        about = self._interface_towards(peer, heard_at)
        answers = list(self.devices[about].answers(search))
        if not answers:
            raise DatagramError(f'"{visible(search.target[:80])}" is nothing of ours', "UDA 2.0 §1.3.3")
        # UDA 2.0 §1.3.3: at a random moment, so that not all devices of a network speak at once; and in time for who is
        # slow to listen.
        longest = search.seconds / 2
        self._answers.add(answers, peer, (heard_at, about), longest, now)
        if longest:
            emit("wait", {"for": "a random moment to answer", "seconds": longest})

    def _send_what_is_due(self, now: float) -> None:
        for due in self._answers.take_due(now):
            with contextlib.suppress(OSError):
                self._sockets[due.heard_at].sendto(due.datagram, due.peer)

    def _interface_towards(self, peer: tuple[Any, ...], heard_at: Interface) -> Interface:
        """Return the interface that *peer* is to be told of: the one that datagrams to it would leave from.

        Raises DatagramError if that has just come, and is not announced yet.
        """
        # connect() of a datagram socket sends nothing.
        with contextlib.suppress(OSError), socket.socket(heard_at.family, socket.SOCK_DGRAM) as probe:
            probe.connect(peer)
            name = probe.getsockname()
            zone = name[3] if len(name) > 2 else 0
            for each in self.devices:
                if each.address == str(name[0]).partition("%")[0] and zone in (0, each.number):
                    return each
        if self._hosts.of_all:
            raise DatagramError("the network has changed, and is not announced yet", "UDA 2.0 §1.2.4")
        return heard_at

    def __enter__(self) -> Self:
        self._descriptions.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wakeup_writer.send(b"\0")
        self._thread.join(_STOP_SECONDS)
        # 4. Close: nobody notices; that is what byebye is for.
        self._opened.close()


def _is_beside(one: Interface, other: Interface) -> bool:
    """Return whether both are addresses of one family on one network."""
    return one != other and one.number == other.number and one.family == other.family


def _neighbours_search(datagram: Datagram, host: str) -> Search:
    """Return the search that *datagram* is. Raises DatagramError if it is none, or *host* is not to be answered."""
    if not is_near(host):
        raise DatagramError(f"{host} is not of this network", "UDA 2.0 §1.3.3")
    return search_of(datagram)


def _bind(created: socket.socket, port: int) -> None:
    """Take the port that all programs of a machine that speak SSDP share. Raises OSError."""
    # 1. Create: a descriptor for datagrams of UDP, over IPv4 or IPv6, which is *created*.
    for option in _SHARING:
        created.setsockopt(socket.SOL_SOCKET, option, 1)
    for level, option in [_HEAR_ALL[created.family]] if created.family in _HEAR_ALL else []:
        # Kernels before 2.6.31, of IPv6 before 4.20, have no such option: then searches are heard twice.
        with contextlib.suppress(OSError):
            created.setsockopt(level, option, 0)
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
