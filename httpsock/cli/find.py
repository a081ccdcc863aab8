"""``httpsock find``: search the local network for devices that announce themselves.

Takes arguments, prints devices, gives an exit code. It shows the steps of every UDP client; next: discovery/ssdp.py.

    1  create         socket()
    2  communicate    sendto(), recvfrom()    one search to a group, any number of answers, in any order
    3  close          close()

There is no connect() and no acknowledgement: a datagram may be lost. So the search is sent twice, repeated answers are
dropped, and receiving ends at a deadline.

standard output    one line for each device: its name, its URL, its address; with --json one object each
exit code          0 if a device was found, 1 if not, 2 for a wrong argument, 23 if the output can't be written, 130
                   if interrupted

UPnP Device Architecture 2.0 §1.3 (search), §A.3 (IPv6); RFC 1112 §6 (multicast).
"""

import argparse
import contextlib
import ipaddress
import json
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from httpsock.client.client import Client
from httpsock.client.connection import ClientTimeouts
from httpsock.client.url import Url, UrlError, parse_url
from httpsock.discovery.description import parse_description
from httpsock.discovery.multicast import Interface, is_near, sender
from httpsock.discovery.networks import announcing_interfaces, interface
from httpsock.discovery.ssdp import (
    ALL,
    GROUP,
    GROUP_IPV6,
    PORT,
    ROOT_DEVICE,
    Datagram,
    DatagramError,
    format_search,
    parse_datagram,
)
from httpsock.http.response_parser import ResponseError
from httpsock.http.text import visible
from httpsock.tracing.sockets import Emit, TracedDatagramSocket, discard

from .arguments import INTERRUPTED, NOT_WRITTEN, TRACE_FORMS, ArgumentParser, expand_trace_option, number, print_error

if TYPE_CHECKING:
    # Loaded only with --trace.
    from httpsock.tracing.trace import TraceWriter

NOTHING_FOUND = 1
_MAX_OCTETS = 8193
# A device whose description is longer or slower than this is printed without its name.
_MAX_DEVICES = 256
_DESCRIPTION_OCTETS = 64 * 1024
_DESCRIPTION_SECONDS = 2.0
_ALL_DESCRIPTIONS_SECONDS = 10.0
_TIMES = 2
_MAX_CHARACTERS = 100


class Found(NamedTuple):
    """A device: its name, the URL of its page, the address it answered from, its software and its identity."""

    name: str
    url: str
    address: str
    server: str
    identity: str


# All devices on the network of an interface, or one address.
Destination = Interface | tuple[Any, ...]


def search(
    target: str, destinations: Sequence[Destination], seconds: float, trace: "TraceWriter | None" = None
) -> Iterator[tuple[str, Datagram]]:
    """Search *destinations* for *target*; yield each answer with its sender's address, for *seconds*.

    *trace* receives an event for each call. Raises OSError if no search can be sent.
    """
    emit: Emit = trace.server if trace else discard
    create: Callable[[int, int], socket.socket] = partial(TracedDatagramSocket, emit=emit) if trace else socket.socket
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as opened:
        sockets: dict[int, socket.socket] = {}
        # 2. Communicate: UDP does not acknowledge, so send it again.
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
    """Send the search to each of *destinations*. Raises the last OSError if all of them fail."""
    fault: OSError | None = None
    has_sent = False
    for each in destinations:
        family = each.family if isinstance(each, Interface) else socket.AF_INET6 if len(each) > 2 else socket.AF_INET
        is_ipv6 = family == socket.AF_INET6
        # Devices may wait one second less than we do: that leaves time for the way.
        octets = format_search(target, max(1, int(seconds) - 1), is_ipv6=is_ipv6)
        try:
            if family not in sockets:
                # 1. Create: a descriptor for datagrams of UDP; the system picks a port when the first is sent.
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
    """Receive one datagram; yield it if it is an answer."""
    try:
        octets, peer = receiver.recvfrom(_MAX_OCTETS)
        datagram = _parse_answer(octets, emit)
    except DatagramError as error:
        emit("ignore", error.attributes)
    except OSError:
        # One closed port or broken datagram does not concern the others.
        pass
    else:
        yield sender(peer), datagram


def _parse_answer(octets: bytes, emit: Emit) -> Datagram:
    """Parse *octets* as an answer. Raises DatagramError if they are malformed or another message."""
    datagram = parse_datagram(octets)
    emit("parse", datagram.summary, head=octets)
    if not datagram.is_answer:
        raise DatagramError("the datagram is not an answer to a search", "UDA 2.0 §1.3.3")
    return datagram


def identify(client: Client | None, address: str, datagram: Datagram) -> Found:
    """Return the device at *address*, from its *datagram* and from the description that *client* downloads."""
    name, shown = datagram.field("usn"), datagram.field("location")
    try:
        location = _seen_from_here(parse_url(shown), address)
    except UrlError:
        pass
    else:
        # A device must not make us connect to another host, or leave the local network.
        is_trusted = is_near(address) and _is_same(location.host, address)
        described = parse_description(_get(client, location) if client and is_trusted else b"")
        name = described.name or name
        shown = str(_seen_from_here(described.page(location) or location, address))
    return Found(name[:_MAX_CHARACTERS], shown, address, datagram.field("server"), datagram.identity)


def _get(client: Client, location: Url) -> bytes:
    """Return the description at *location*, or b"" if it is missing, too long or too slow."""
    octets = b""
    try:
        with client.get(str(location)) as response:
            for part in response if response.status == 200 else ():
                octets += part
                if len(octets) > _DESCRIPTION_OCTETS:
                    return b""
    except (OSError, ResponseError, UrlError):
        return b""
    return octets


def _seen_from_here(url: Url, address: str) -> Url:
    """Return *url* with the zone of *address* if it is link-local: the device does not know our name of the network.

    RFC 4007 §6: a link-local address is ambiguous without a zone.
    """
    _, percent, zone = address.partition("%")
    host = url.host.partition("%")[0]
    return url._replace(host=host + percent + zone) if host.startswith("fe80:") else url


def _is_same(host: str, address: str) -> bool:
    """Return whether *host* is *address*, in any notation. Names are not looked up, and never match."""
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(address)
    except ValueError:
        return False


def main(arguments: Sequence[str]) -> int:
    """Search with *arguments*, and print the devices found; return the exit code."""
    options = _parser().parse_args(expand_trace_option(arguments))
    try:
        return _find(options, _trace(options.trace))
    except KeyboardInterrupt:
        print_error("httpsock find: interrupted.")
        return INTERRUPTED


def _find(options: argparse.Namespace, trace: "TraceWriter | None") -> int:
    """Search, and print the devices found; return the exit code."""
    answers: dict[str, tuple[str, Datagram]] = {}
    try:
        destinations = [options.to] if options.to else [options.bind] if options.bind else _networks()
        for address, datagram in search(options.target, destinations, options.seconds, trace):
            identity = datagram.identity
            if identity in answers and trace:
                trace.server("repeated", {"identity": visible(identity)})
            elif len(answers) < _MAX_DEVICES:
                answers.setdefault(identity, (address, datagram))
    except OSError as error:
        print_error(f"httpsock find: cannot send a search: {error.strerror}.")
    with Client(timeouts=ClientTimeouts(whole=_DESCRIPTION_SECONDS), redirects=0, trace=trace) as client:
        deadline = time.monotonic() + _ALL_DESCRIPTIONS_SECONDS
        for address, datagram in answers.values():
            # Many slow descriptions together would take too long.
            found = identify(client if time.monotonic() < deadline else None, address, datagram)
            try:
                _print(found, as_json=options.json)
            except OSError as error:
                print_error(f"httpsock find: can't write to standard output: {error.strerror}.")
                return NOT_WRITTEN
    return 0 if answers else NOTHING_FOUND


def _networks() -> list[Interface]:
    """Return the interfaces of local networks, or the system's default interface if there are none."""
    return announcing_interfaces() or [Interface("0.0.0.0")]


def _trace(form: str | None) -> "TraceWriter | None":
    """Return a trace on standard error in *form*, or None without --trace."""
    if form is None:
        return None
    # Imported here, since it is rarely needed.
    from httpsock.tracing.trace import trace_on_standard_error

    return trace_on_standard_error(form, is_client=True)


def _print(found: Found, *, as_json: bool) -> None:
    """Print one device; control characters of its name and URL are escaped. Raises OSError."""
    line = json.dumps(found._asdict()) if as_json else f"{visible(found.name)}  {visible(found.url)}  {found.address}"
    # Characters that standard output can't encode are escaped too.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        "httpsock find",
        "find [options]",
        {"--timeout": "--seconds", "-t": "--seconds", "--host": "--to"},
        description="Find servers and devices that announce themselves by SSDP.",
        epilog="exit codes: 0 found; 1 not found; 2 wrong argument;\n  23 can't be written; 130 interrupted",
    )
    parser.add_argument(
        "--seconds",
        type=number(1, 60, "a number of seconds"),
        default=2,
        metavar="N",
        help="wait N seconds (default: 2)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each device")
    parser.add_argument(
        "--all", dest="target", action="store_const", const=ALL, default=ROOT_DEVICE, help="also services"
    )
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument("--bind", metavar="ADDR", type=_interface, help="search only the network of this address")
    to_help = "search only this address, at port 1900 or PORT (default: the whole network)"
    whom.add_argument("--to", metavar="ADDR[:PORT]", type=_peer, help=to_help)
    trace_help = "print every call and datagram; =hex adds a dump, =json prints one object per event"
    parser.add_argument("--trace", choices=TRACE_FORMS, nargs="?", metavar="FORM", help=trace_help)
    parser.add_argument("-v", "--verbose", dest="trace", action="store_const", const="text", help="same as --trace")
    return parser


def _interface(text: str) -> Interface:
    """Return the interface of a numeric address."""
    _numeric(text)
    try:
        return interface(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address of this machine: {error.strerror}") from None


def _numeric(text: str) -> str:
    """Return a numeric address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IPv4 or IPv6 address") from None
    return text


def _peer(text: str) -> tuple[Any, ...]:
    """Parse a numeric address and an optional port into a socket address; IPv6 before a port is in brackets."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]:")
        host = host if bracket else host.removesuffix("]")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    at = number(1, 65535, "a port")(port) if port else PORT
    try:
        return socket.getaddrinfo(_numeric(host), at, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0][4]
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{host!r} can't be searched: {error.strerror}") from None
