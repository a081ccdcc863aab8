"""The announcer: says on the local network that a folder is served, and answers who looks for it.

This is the file to read for what a UDP server does:

    1  create         socket()
       configure      setsockopt()           join the group of those who listen
    2  bind           bind()
    3  communicate    recvfrom(), sendto()   each datagram for itself, from and to anybody
    4  close          close()

There is no listen() and no accept(): nobody connects. What is sent may be lost, doubled or overtaken, and nobody is
told; so it is said twice, and again before it is forgotten.

UPnP Device Architecture 2.0 §1.1.2, §1.2 (advertisement), §1.3 (search), §2 (description); RFC 1112 §6, §7 (multicast).
"""

import contextlib
import heapq
import ipaddress
import itertools
import os
import platform
import random
import select
import socket
import struct
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from html import escape
from types import TracebackType
from typing import Self

from .server import Server, url_of
from .ssdp import DEVICE_TYPE, GROUP, MAX_AGE_SECONDS, PORT, DatagramError, Device, parse_datagram, search_of

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


def description(device: Device, name: str, url: str) -> bytes:
    """Return what control points ask for at a device's location: its name, and where it is to be looked at.

    UDA 2.0 §2.3; there is no service (§2.1: the list may be left out).
    """
    return f"""<?xml version="1.0" encoding="utf-8"?>
<root xmlns="urn:schemas-upnp-org:device-1-0" configId="1">
  <specVersion><major>2</major><minor>0</minor></specVersion>
  <device>
    <deviceType>{DEVICE_TYPE}</deviceType>
    <friendlyName>{escape(name[:63])}</friendlyName>
    <manufacturer>httpsock</manufacturer>
    <modelName>httpsock</modelName>
    <UDN>uuid:{device.identity}</UDN>
    <presentationURL>{escape(url)}</presentationURL>
  </device>
</root>
""".encode()


def is_near(host: str) -> bool:
    """Return whether *host* is an address of a local network: others have no business to search here."""
    address = ipaddress.ip_address(host)
    return address.is_private or address.is_link_local


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


class Announcer:
    """Announces a folder that is served at *port* of *addresses* (IPv4, numeric), from a thread of its own.

    ``with Announcer(...):`` It serves the descriptions from a server of its own: that of the folder knows nothing of
    it. *group_port* is for tests; 0 takes a free one.
    Raises OSError if the port of SSDP can't be shared, or an address is not ours; ValueError if there is none.
    """

    def __init__(self, directory: str, addresses: Sequence[str], port: int, *, group_port: int = PORT) -> None:
        name = f"{os.path.basename(directory) or directory} on {platform.node()}"
        # The same folder of the same machine is the same device, whenever it is served.
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"httpsock:{platform.node()}:{uuid.getnode()}:{directory}:{port}")
        server = f"{platform.system()}/{platform.release()} UPnP/2.0 httpsock"
        self.devices: dict[str, Device] = {}
        # Whether another process announces the same by now: then nobody takes leave.
        self.is_replaced = False
        with contextlib.ExitStack() as opened:
            files = opened.enter_context(tempfile.TemporaryDirectory(prefix="httpsock-"))
            self._socket = opened.enter_context(_open_socket(addresses, group_port))
            self.group_port: int = self._socket.getsockname()[1]
            self._server = Server(files, hosts=addresses, port=0, threads=1)
            opened.callback(self._server.stop, 0.0)
            for number, address in enumerate(addresses):
                location = f"{url_of(address, self._server.port)}{number}.xml"
                self.devices[address] = device = Device(identity, location, server, int(time.time()))
                with open(os.path.join(files, f"{number}.xml"), "wb") as file:
                    file.write(description(device, name, url_of(address, port)))
            awakened, awakener = socket.socketpair()
            self._awakened, self._awakener = opened.enter_context(awakened), opened.enter_context(awakener)
            # What has been opened is closed when the announcer is left.
            self._opened = opened.pop_all()
        # What is to be sent: when, in which order if at once, what and to whom, from which of our addresses.
        self._waiting: list[tuple[float, int, bytes, tuple[str, int]]] = []
        self._count = itertools.count()
        self._rate = Rate(_ANSWERS_PER_SECOND, time.monotonic())
        self._thread = threading.Thread(target=self._run, name="httpsock-announcer", daemon=True)

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
            ready, _, _ = select.select([self._socket, self._awakened], [], [], max(0.0, until - now))
            if self._awakened in ready:
                break
            if self._socket in ready:
                self._receive(time.monotonic())
            self._send_what_is_due(time.monotonic())
        for _ in range(0 if self.is_replaced else _TIMES):
            self._announce(Device.byebye)

    def _announce(self, what: Callable[[Device], Iterable[bytes]]) -> None:
        """Send *what* each device has to say to the group, from the address that it is about."""
        for address, device in self.devices.items():
            # A network that is down hears nothing; it is not worth more than silence.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
                for datagram in what(device):
                    self._socket.sendto(datagram, (GROUP, self.group_port))

    def _receive(self, now: float) -> None:
        """Receive one datagram; if it is a search of a neighbour's, let its answers wait for their moment."""
        try:
            # 3. Communicate: one recvfrom() is one datagram, whole, and says whose it is.
            octets, peer = self._socket.recvfrom(_MOST_OCTETS + 1)
            search = search_of(parse_datagram(octets))
        except (OSError, DatagramError):
            return
        if search is None or not is_near(peer[0]):
            return
        for datagram in self.devices[self._address_towards(peer[0])].answers(search):
            if len(self._waiting) >= _MOST_WAITING or not self._rate.grants(now):
                return
            # UDA 2.0 §1.3.3: at a random moment, so that not all devices of a network speak at once.
            moment = now + random.uniform(0, search.seconds * 0.9)  # noqa: S311
            heapq.heappush(self._waiting, (moment, next(self._count), datagram, peer))

    def _send_what_is_due(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            _, _, datagram, peer = heapq.heappop(self._waiting)
            with contextlib.suppress(OSError):
                self._socket.sendto(datagram, peer)

    def _address_towards(self, host: str) -> str:
        """Return which of our addresses *host* would reach us at: where datagrams to it would leave from."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # connect() of a datagram socket sends nothing.
            probe.connect((host, PORT))
            if probe.getsockname()[0] in self.devices:
                return str(probe.getsockname()[0])
        return next(iter(self.devices))

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


def _open_socket(addresses: Sequence[str], port: int) -> socket.socket:
    """Return a socket that hears what is said to the group on the networks of *addresses*."""
    # 1. Create: a descriptor for datagrams of UDP over IPv4.
    created = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # All programs of a machine that speak SSDP share its port.
        created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        created.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
        # 2. Bind: take the port at all addresses, since what is said to the group is for none of ours.
        created.bind(("", port))
        for address in addresses:
            membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
            created.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        created.setblocking(False)
    except BaseException:
        created.close()
        raise
    return created
