"""The announcer: announce a served folder on the local network, and answer searches for it.

Read this file to see what a UDP server does:

    1  create         socket()
       configure      setsockopt()           join the multicast group
    2  bind           bind()
    3  communicate    recvfrom(), sendto()   each datagram is independent, from and to any address
    4  close          close()

UDP has no connections, so there is no listen() and no accept(). The network may lose, duplicate or reorder datagrams
without an error, so the announcer sends each announcement twice, and repeats it before it expires.

Each interface has its own socket, since Linux limits a socket to 20 memberships. When the socket closes, Linux drops
its memberships. Interfaces and addresses change while the announcer runs. So the announcer watches for changes
(``networks``), and announces only current addresses.

UPnP Device Architecture 2.0 §1.1.2, §1.2 (advertisement), §1.3 (search); RFC 1112 §6, §7 (multicast).
"""

import contextlib
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from httpsock.http.text import visible
from httpsock.server.listeners import url_of
from httpsock.server.poller import READABLE, open_poller
from httpsock.server.server import print_stderr
from httpsock.tracing.sockets import Emit, TracedDatagramSocket, discard, trace_errors

from .answers import Answers
from .description_handler import DescriptionHandler
from .multicast import Interface, is_on_local_network
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
    # At run time, only a traced announcer loads it.
    from httpsock.tracing.trace import TraceWriter

# UDA 2.0 §1.1.2: the default time to live is 2.
_HOPS = 2
# UDA 2.0 §1.2.2: announce again at a random time, before half of max-age has passed.
_ANNOUNCE_SECONDS = MAX_AGE_SECONDS / 2
# UDP may lose a datagram: send each datagram twice.
_TIMES = 2
_MAX_OCTETS = 8192
_STOP_SECONDS = 5.0
# Trace this much of an ignored datagram.
_MAX_SHOWN = 2048
# Scan the interfaces this long after a change, since changes come in groups. Without a change, scan this often.
_SETTLING_SECONDS = 0.5
_SCAN_SECONDS = 5.0
# Report at most this many different faults, each once.
_MAX_FAULTS = 100
_IS_LINUX = sys.platform.startswith("linux")
# The socket options that let several sockets bind one port.
_SHARING = (socket.SO_REUSEADDR,) if _IS_LINUX else (socket.SO_REUSEADDR, getattr(socket, "SO_REUSEPORT", 4))
# By default, Linux delivers to a socket the datagrams of groups that other sockets have joined. These options disable
# that: IP_MULTICAST_ALL, IPV6_MULTICAST_ALL.
_ALL_GROUPS = {socket.AF_INET: (socket.IPPROTO_IP, 49), socket.AF_INET6: (socket.IPPROTO_IPV6, 29)} if _IS_LINUX else {}


class Announcer:
    """Announces a folder on the local network, in its own thread. Use it with ``with``.

    The folder is served at *port* of the addresses *hosts*. Among *hosts*, 0.0.0.0 and :: stand for the addresses on
    all networks, even on networks that appear later. *description* is a middleware of the folder's server. Its path is
    part of each LOCATION. *is_replaced* returns whether a successor process announces the folder now. If a successor
    does, this announcer ends without a byebye. If a network fails, the announcer skips this network, and passes the
    reason to *report*. *trace* receives an event for each socket call. *group_port* is for tests. If *group_port* is 0,
    the system picks a free port. Raise OSError if every address fails and *hosts* has neither 0.0.0.0 nor ::.
    """

    def __init__(
        self,
        directory: str,
        hosts: Sequence[str],
        port: int,
        description: DescriptionHandler,
        *,
        is_replaced: Callable[[], bool] = lambda: False,
        report: Callable[[str], object] = print_stderr,
        trace: "TraceWriter | None" = None,
        group_port: int = PORT,
    ) -> None:
        self._device = description.describe(directory, port)
        self._port = port
        self._path = description.path
        self._is_replaced = is_replaced
        self._report = report
        self._faults: dict[str, str] = {}
        self._emit: Emit = trace.server if trace else discard
        self._includes = trace.includes if trace else lambda _: True
        self._create: Callable[[int, int], socket.socket] = (
            partial(TracedDatagramSocket, emit=trace.server, includes=trace.includes) if trace else socket.socket
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
            # From here on, __exit__ closes everything that was opened.
            self._opened = opened.pop_all()
        self._announce_at = 0.0
        self._scan_at = time.monotonic() + _SCAN_SECONDS
        self._thread = threading.Thread(target=self._run, name="httpsock-announcer", daemon=True)

    @property
    def group_port(self) -> int:
        """The port that receives the datagrams sent to the group."""
        return self._group_port

    def _open(self, opened: contextlib.ExitStack) -> None:
        """Join the SSDP group on all networks."""
        # Watch for changes before the first scan, so as not to miss one.
        self._changes = open_changes()
        if self._changes:
            self._poller.register(opened.enter_context(self._changes).fileno(), READABLE)
        faults: dict[str, OSError] = {}
        joined = self._join(self._hosts.first(faults), faults)
        if faults and not joined and not self._hosts.unspecified:
            raise next(iter(faults.values()))
        self._hosts.retain(joined)
        for each in joined:
            self.devices[each] = self._device_at(each)
        self._report_faults(faults)
        if not joined:
            self._report("httpsock: no network to announce the folder on; waiting for one.")
        reader, writer = socket.socketpair()
        self._wakeup_reader, self._wakeup_writer = opened.enter_context(reader), opened.enter_context(writer)
        self._poller.register(self._wakeup_reader.fileno(), READABLE)

    # --- networks that come and go -----------------------------------------------------------------------------------

    def _join(self, wanted: Iterable[Interface], faults: dict[str, OSError]) -> list[Interface]:
        """Join the group on each interface of *wanted*, and return the interfaces that joined.

        Store each error in *faults*, under the address of the interface.
        """
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

    def _join_one(self, interface: Interface, receiver: socket.socket) -> None:
        group = _group_of(interface.family)
        option = "IPV6_JOIN_GROUP" if interface.family == socket.AF_INET6 else "IP_ADD_MEMBERSHIP"
        attributes = {"option": option, "group": group, "address": interface.host}
        with trace_errors(self._emit, "join", attributes):
            interface.join(receiver, group)
        self._emit("join", attributes)

    def _update_networks(self) -> None:
        """Join new networks and announce there. Leave networks that are gone (UDA 2.0 §1.2.2 to §1.2.4)."""
        wanted = self._hosts.interfaces()
        gone = [each for each in self.devices if each not in wanted]
        # Each scan retries the networks that could not be joined.
        faults: dict[str, OSError] = {}
        joined = self._join([each for each in wanted if each not in self.devices], faults)
        self._report_faults(faults)
        staying = [each for each in self.devices if each not in gone]
        for each in gone:
            neighbours = [other for other in joined + staying if _shares_network(other, each)]
            self._send_twice({each: neighbours[0] if neighbours else each}, Device.byebye)
            self._leave(each)
        # A byebye for one address withdraws the device from its whole network: announce other addresses there again.
        removed = [each for each in staying if any(_shares_network(each, left) for left in gone)]
        if joined:
            # UDA 2.0 §1.2.4: with a new network, send an update with a new boot number on the others.
            booted = max(int(time.time()), self._device.booted + 1)
            self._send_twice({each: each for each in staying}, lambda device: device.update(booted))
            self._device = self._device._replace(booted=booted)
            for each in staying:
                self.devices[each] = self.devices[each]._replace(booted=booted)
            for each in joined:
                self.devices[each] = self._device_at(each)
        self._send_twice({each: each for each in joined + removed}, Device.alive)

    def _device_at(self, interface: Interface) -> Device:
        """Return the announced device with a LOCATION at the address of *interface*."""
        return self._device._replace(location=url_of(interface.address, self._port).removesuffix("/") + self._path)

    def _leave(self, interface: Interface) -> None:
        """Leave the group on *interface*. Drop the interface's queued answers and its device."""
        self._answers.drop(interface)
        self._close(interface)
        del self.devices[interface]

    def _close(self, interface: Interface) -> None:
        receiver = self._sockets.pop(interface)
        self._poller.unregister(receiver.fileno())
        receiver.close()

    def _close_all(self) -> None:
        for each in list(self._sockets):
            self._close(each)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Announce the folder and answer searches, until the announcer is stopped. Then send byebye.

        If a successor process has taken over, send no byebye.
        """
        self._run_timers(time.monotonic())
        while True:
            due = min(self._announce_at, self._scan_at, self._answers.next_due)
            ready = self._poller.poll(max(0.0, due - time.monotonic()))
            descriptors = [descriptor for descriptor, _ in ready]
            # A successor announces new locations. The locations of this process lead nowhere.
            if self._wakeup_reader.fileno() in descriptors or self._is_replaced():
                break
            for descriptor in descriptors:
                self._guard(self._on_readable, descriptor)
            self._run_timers(time.monotonic())
        for _ in range(0 if self._is_replaced() else _TIMES):
            self._announce(Device.byebye)

    def _run_timers(self, now: float) -> None:
        """Run the timers that have expired.

        Before a timer's step runs, set the timer again. So a step that fails is retried later.
        """
        if now >= self._scan_at:
            self._scan_at = now + _SCAN_SECONDS
            self._guard(self._update_networks)
        if now >= self._announce_at:
            delay = random.uniform(_ANNOUNCE_SECONDS / 2, _ANNOUNCE_SECONDS)  # noqa: S311 (it keeps no secret)
            self._announce_at = now + delay
            for _ in range(_TIMES):
                self._announce(Device.alive)
        self._guard(self._send_due_answers, now)

    def _guard(self, step: Callable[..., object], *arguments: object) -> None:
        """Run one step of the announcer's loop.

        If the step fails, report the error instead of raising it, so that the loop continues.
        """
        try:
            step(*arguments)
        except OSError as error:
            self._report_faults({getattr(step, "__name__", ""): error})
        except Exception as error:
            # Errors in datagrams and networks are handled elsewhere. This error is a bug of ours.
            import traceback

            place = traceback.extract_tb(error.__traceback__)[-1]
            self._report_once(f"{place.filename}:{place.lineno}", traceback.format_exc())

    def _report_faults(self, faults: dict[str, OSError]) -> None:
        """Report each error of *faults* once, with the address that can't be announced."""
        for key, fault in faults.items():
            # A key that starts with "_" is a step of the loop, not an address.
            place = "" if key.startswith("_") else f" at {key}"
            self._report_once(key, f"httpsock: the folder can't be announced{place}: {fault.strerror or fault}.")

    def _report_once(self, key: str, text: str) -> None:
        if key not in self._faults and len(self._faults) < _MAX_FAULTS:
            self._faults[key] = text
            with contextlib.suppress(Exception):
                self._report(text)

    def _announce(self, make: Callable[[Device], Iterable[bytes]]) -> None:
        """Send datagrams to the group on each interface. The function *make* makes the datagrams for a device."""
        for each in self.devices:
            self._send(each, each, make)

    def _send_twice(self, routes: dict[Interface, Interface], make: Callable[[Device], Iterable[bytes]]) -> None:
        """Send datagrams to the group, twice for each item of *routes*.

        The function *make* makes the datagrams for a device. In *routes*, the key is the interface of the device. The
        value is the interface by which to send.
        """
        for _ in range(_TIMES):
            for described, via in routes.items():
                self._send(described, via, make)

    def _send(self, described: Interface, via: Interface, make: Callable[[Device], Iterable[bytes]]) -> None:
        # If the network is down, the next announcement repeats this one.
        with contextlib.suppress(OSError):
            for datagram in make(self.devices[described]):
                via.send(self._sockets[via], datagram, _group_of(via.family), self._group_port)

    def _on_readable(self, descriptor: int) -> None:
        """From a ready socket, read a datagram or a notice that the networks have changed."""
        now = time.monotonic()
        if self._changes and descriptor == self._changes.fileno():
            discard_changes(self._changes)
            self._scan_at = min(self._scan_at, now + _SETTLING_SECONDS)
        for each, receiver in self._sockets.items():
            if receiver.fileno() == descriptor:
                self._receive(each, receiver, now)

    def _receive(self, interface: Interface, receiver: socket.socket, now: float) -> None:
        """Receive one datagram. If the datagram is a search by a neighbour, queue the answers."""
        try:
            # 3. Communicate: one recvfrom() returns one whole datagram and its source address.
            octets, peer = receiver.recvfrom(_MAX_OCTETS + 1)
        except OSError:
            return
        emit = self._emit if self._includes(peer[0]) else discard
        try:
            datagram = parse_datagram(octets)
        except DatagramError as error:
            emit("ignore", error.attributes, head=octets[:_MAX_SHOWN])
            return
        emit("parse", datagram.summary, head=octets)
        try:
            self._answer(_neighbours_search(datagram, peer[0]), peer, interface, now, emit)
        except DatagramError as error:
            emit("ignore", error.attributes)

    def _answer(self, search: Search, peer: tuple[Any, ...], received_on: Interface, now: float, emit: Emit) -> None:
        """Queue answers to *search*, to be sent at random times.

        Raise DatagramError if *search* is for other devices.
        """
        described = self._interface_towards(peer, received_on)
        answers = list(self.devices[described].answers(search))
        if not answers:
            raise DatagramError(
                f'the search is for "{visible(search.target[:80])}", not for this device', "UDA 2.0 §1.3.3"
            )
        # UDA 2.0 §1.3.3: a random delay, so that the devices of a network do not all answer together. It is at most
        # half of MX, so that the answer is in time for a slow receiver.
        longest = search.seconds / 2
        self._answers.add(answers, peer, (received_on, described), longest, now)
        if longest:
            emit("wait", {"for": "a random moment to answer", "seconds": longest})

    def _send_due_answers(self, now: float) -> None:
        for due in self._answers.take_due(now):
            with contextlib.suppress(OSError):
                self._sockets[due.received_on].sendto(due.datagram, due.peer)

    def _interface_towards(self, peer: tuple[Any, ...], received_on: Interface) -> Interface:
        """Return the interface by which datagrams to *peer* leave. Answers to *peer* describe this interface.

        Raise DatagramError if the interface is new and not announced yet.
        """
        # connect() on a datagram socket only looks up the route.
        with contextlib.suppress(OSError), socket.socket(received_on.family, socket.SOCK_DGRAM) as probe:
            probe.connect(peer)
            name = probe.getsockname()
            zone = name[3] if len(name) > 2 else 0
            for each in self.devices:
                if each.address == str(name[0]).partition("%")[0] and zone in (0, each.number):
                    return each
        if self._hosts.unspecified:
            raise DatagramError("the network has changed and is not announced yet", "UDA 2.0 §1.2.4")
        return received_on

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wakeup_writer.send(b"\0")
        self._thread.join(_STOP_SECONDS)
        # 4. Close: UDP does not inform the peers. So SSDP has byebye.
        self._opened.close()


def _shares_network(one: Interface, other: Interface) -> bool:
    """Return whether *one* and *other* are different addresses of the same family on the same interface."""
    return one != other and one.number == other.number and one.family == other.family


def _neighbours_search(datagram: Datagram, host: str) -> Search:
    """Return *datagram* as a search. Raise DatagramError if it is not a search, or if *host* is not a neighbour."""
    if not is_on_local_network(host):
        raise DatagramError(f"{host} is not on a local network", "UDA 2.0 §1.3.3")
    return search_of(datagram)


def _bind(created: socket.socket, port: int) -> None:
    """Bind the SSDP port, which all SSDP programs of a machine share. Raise OSError if that fails."""
    # 1. Create: the caller has made a descriptor for UDP datagrams, over IPv4 or IPv6.
    for option in _SHARING:
        created.setsockopt(socket.SOL_SOCKET, option, 1)
    for level, option in [_ALL_GROUPS[created.family]] if created.family in _ALL_GROUPS else []:
        # Kernels before 2.6.31, or 4.20 for IPv6, lack the option: they deliver each search twice.
        with contextlib.suppress(OSError):
            created.setsockopt(level, option, 0)
    if created.family == socket.AF_INET6:
        created.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        created.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
    else:
        created.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
    # 2. Bind: all addresses, since multicast datagrams are addressed to the group.
    created.bind(("::" if created.family == socket.AF_INET6 else "", port))
    created.setblocking(False)


def _group_of(family: int) -> str:
    return GROUP_IPV6 if family == socket.AF_INET6 else GROUP
