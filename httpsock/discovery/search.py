"""The search: find the devices of the local network that answer SSDP searches, and read their descriptions.

Read this file to see the steps of a UDP client. Next: ``ssdp``.

    1  create         socket()
    2  communicate    sendto(), recvfrom()    one search to a group, any number of answers, in any order
    3  close          close()

There is no connect() and no acknowledgement, and a datagram may be lost. So the search is sent twice, repeated answers
are dropped, and receiving ends at a deadline.

UPnP Device Architecture 2.0 §1.3 (search), §2.1 (description), §A.3 (IPv6); RFC 1112 §6 (multicast).
"""

import contextlib
import ipaddress
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from httpsock.client.client import Client
from httpsock.client.connection import ClientTimeouts
from httpsock.client.url import Url, UrlError, parse_url
from httpsock.http.response_parser import ResponseError
from httpsock.http.text import visible
from httpsock.tracing.sockets import Emit, TracedDatagramSocket, discard

from .description import parse_description
from .multicast import Interface, is_on_local_network, sender
from .ssdp import GROUP, GROUP_IPV6, PORT, Datagram, DatagramError, format_search, parse_datagram

if TYPE_CHECKING:
    # At run time, only a traced search loads it.
    from httpsock.tracing.trace import TraceWriter

_MAX_OCTETS = 8193
# UDP may lose a datagram: send each search twice.
_TIMES = 2
# The answers of more devices are dropped.
_MAX_DEVICES = 256
# If a description is longer or slower than this, the device is found without its name.
_MAX_DESCRIPTION_OCTETS = 64 * 1024
_MAX_DESCRIPTION_SECONDS = 2.0
_MAX_DESCRIPTIONS_SECONDS = 10.0
_MAX_CHARACTERS = 100


class FoundDevice(NamedTuple):
    """A device that answered a search.

    *url* is the URL of its page, and *address* is the source address of its answer.
    """

    name: str
    url: str
    address: str
    server: str
    identity: str


class DescriptionError(Exception):
    """A device's description can't or must not be used. The message has the reason."""


# All devices on the network of an interface, or one address.
Destination = Interface | tuple[Any, ...]


def discover(
    target: str, destinations: Sequence[Destination], seconds: float, trace: "TraceWriter | None" = None
) -> Iterator[FoundDevice]:
    """Search for *seconds*. Then yield the devices that have answered, each device once.

    *target* is the search target, for example ssdp:all. *trace* receives an event for each call. Raise OSError if no
    search can be sent.
    """
    emit: Emit = trace.server if trace else discard
    answers: dict[str, tuple[str, Datagram]] = {}
    for address, datagram in search(target, destinations, seconds, trace):
        identity = datagram.identity
        if identity in answers:
            emit("repeated", {"identity": visible(identity)})
        elif len(answers) < _MAX_DEVICES:
            answers[identity] = address, datagram
    with Client(timeouts=ClientTimeouts(whole=_MAX_DESCRIPTION_SECONDS), redirects=0, trace=trace) as client:
        deadline = time.monotonic() + _MAX_DESCRIPTIONS_SECONDS
        for address, datagram in answers.values():
            # Many slow descriptions together would take too long.
            yield identify(client if time.monotonic() < deadline else None, address, datagram, emit)


def search(
    target: str, destinations: Sequence[Destination], seconds: float, trace: "TraceWriter | None" = None
) -> Iterator[tuple[str, Datagram]]:
    """Search for *seconds*, and yield each answer as a pair: the sender's address and the datagram.

    *target* is the search target, for example ssdp:all. *trace* receives an event for each call. Raise OSError if no
    search can be sent.
    """
    emit: Emit = trace.server if trace else discard
    create: Callable[[int, int], socket.socket] = partial(TracedDatagramSocket, emit=emit) if trace else socket.socket
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as opened:
        sockets: dict[int, socket.socket] = {}
        # 2. Communicate: UDP does not acknowledge datagrams, so send each search twice.
        for _ in range(_TIMES):
            _send_searches(
                target,
                destinations,
                seconds,
                sockets,
                lambda family: opened.enter_context(create(family, socket.SOCK_DGRAM)),
            )
        emit("wait", {"for": "answers", "seconds": seconds})
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select(list(sockets.values()), [], [], left)
            for each in ready:
                yield from _receive_answer(each, emit)
        emit("timeout", {"for": "answers", "seconds": seconds})


def _send_searches(
    target: str,
    destinations: Sequence[Destination],
    seconds: float,
    sockets: dict[int, socket.socket],
    create: Callable[[int], socket.socket],
) -> None:
    """Send the search to each of *destinations*. If no search can be sent, raise the last OSError.

    *sockets* has one socket for each address family. If a socket is missing, *create* makes it.
    """
    fault: OSError | None = None
    has_sent = False
    for each in destinations:
        family = each.family if isinstance(each, Interface) else socket.AF_INET6 if len(each) > 2 else socket.AF_INET
        is_ipv6 = family == socket.AF_INET6
        # Let devices wait one second less than this search, which leaves time for the network.
        octets = format_search(target, max(1, int(seconds) - 1), is_ipv6=is_ipv6)
        try:
            if family not in sockets:
                # 1. Create: a descriptor for UDP datagrams. The system picks a local port for the first datagram.
                sockets[family] = create(family)
                # The kernel may drop a datagram after select() has reported it.
                sockets[family].setblocking(False)
            if isinstance(each, Interface):
                each.send(sockets[family], octets, GROUP_IPV6 if is_ipv6 else GROUP, PORT)
            else:
                sockets[family].sendto(octets, each)
            has_sent = True
        except OSError as error:
            fault = error
    if fault and not has_sent:
        raise fault


def _receive_answer(receiver: socket.socket, emit: Emit) -> Iterator[tuple[str, Datagram]]:
    """Receive one datagram. If the datagram is an answer, yield the sender's address and the answer."""
    try:
        octets, peer = receiver.recvfrom(_MAX_OCTETS)
        datagram = _parse_answer(octets, emit)
    except DatagramError as error:
        emit("ignore", error.attributes)
    except OSError:
        # The error of one destination does not end the search.
        pass
    else:
        yield sender(peer), datagram


def _parse_answer(octets: bytes, emit: Emit) -> Datagram:
    """Parse *octets* as an answer to a search.

    Raise DatagramError if *octets* are malformed, or are another kind of message.
    """
    datagram = parse_datagram(octets)
    emit("parse", datagram.summary, head=octets)
    if not datagram.is_answer:
        raise DatagramError("the datagram is not an answer to a search", "UDA 2.0 §1.3.3")
    return datagram


def identify(client: Client | None, address: str, datagram: Datagram, emit: Emit = discard) -> FoundDevice:
    """Return the device at *address*, from its answer *datagram* and from its description.

    *client* downloads the description. If there is no time for a download, *client* is None. If the description is
    skipped, *emit* receives the reason.
    """
    name, url = datagram.field("usn"), datagram.field("location")
    try:
        location = _with_zone_of(parse_url(url), address)
        url = str(location)
        description = parse_description(_download(client, location, address))
        name = description.name or name
        url = str(_with_zone_of(description.page(location) or location, address))
    except (OSError, ResponseError, UrlError, DescriptionError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        emit("skip", {"identity": visible(datagram.identity[:_MAX_CHARACTERS]), "message": visible(reason)})
    return FoundDevice(name[:_MAX_CHARACTERS], url, address, datagram.field("server"), datagram.identity)


def _download(client: Client | None, location: Url, address: str) -> bytes:
    """Download the description from *location*, which must be a URL of the device at *address*.

    Raise DescriptionError if the description can't or must not be used. Raise OSError or ResponseError if the client
    fails.
    """
    # A device must not make us connect to another host, or leave the local network.
    if not is_on_local_network(address):
        raise DescriptionError(f"{address} is not on a local network")
    if not _is_same(location.host, address):
        raise DescriptionError(f"LOCATION names the host {location.host}, not {address}")
    if client is None:
        raise DescriptionError(f"the descriptions of other devices took {_MAX_DESCRIPTIONS_SECONDS:g} s")
    octets = b""
    with client.get(str(location)) as response:
        if response.status != 200:
            raise DescriptionError(f"the response has the status {response.status}, not 200")
        for part in response:
            octets += part
            if len(octets) > _MAX_DESCRIPTION_OCTETS:
                raise DescriptionError(f"the description is longer than {_MAX_DESCRIPTION_OCTETS} bytes")
    return octets


def _with_zone_of(url: Url, address: str) -> Url:
    """Return *url*. If its host is a link-local address, replace the zone by the zone of *address*.

    Without a zone, a link-local address is ambiguous. A zone has a meaning on one machine only (RFC 4007 §6).
    """
    _, percent, zone = address.partition("%")
    host = url.host.partition("%")[0]
    return url._replace(host=host + percent + zone) if host.startswith("fe80:") else url


def _is_same(host: str, address: str) -> bool:
    """Return whether *host* and *address* are the same numeric address. If *host* is a name, return False."""
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(address)
    except ValueError:
        return False
