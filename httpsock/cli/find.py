"""``httpsock find``: who announces itself on the local network, found by asking all at once.

This is the file to read for what a UDP client does:

    1  create         socket()
    2  communicate    sendto(), recvfrom()    one question to a group, any number of answers, in any order
    3  close          close()

There is no connect(): nobody is connected to, so that nobody can be known to have heard. The question is asked twice,
answers that come twice are told once, and after a deadline no more are waited for.

standard output    one line for each device: its name, its URL, its address; with --json one object each
exit code          0 if any was found, 1 if none was, 2 for a wrong argument, 23 if it can't be printed, 130
                   if it was interrupted

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

from .arguments import INTERRUPTED, NOT_WRITTEN, TRACE_FORMS, Parser, expand_trace_option, number, print_error

if TYPE_CHECKING:
    # Loaded by who wants it.
    from httpsock.tracing.trace import TraceWriter

NOTHING_FOUND = 1
_MOST_OCTETS = 8193
# Devices are many, descriptions short: what is longer or slower goes without a name.
_MOST_DEVICES = 256
_DESCRIPTION_OCTETS = 64 * 1024
_DESCRIPTION_SECONDS = 2.0
_ALL_DESCRIPTIONS_SECONDS = 10.0
_TIMES = 2
_MOST_CHARACTERS = 100


class Found(NamedTuple):
    """A device: what it calls itself, where it wants to be looked at, whence it answered, and what it says it is."""

    name: str
    url: str
    address: str
    server: str
    identity: str


# Who is asked: all on the network of an interface, or one address.
Asked = Interface | tuple[Any, ...]


def search(
    target: str, asked: Sequence[Asked], seconds: float, trace: "TraceWriter | None" = None
) -> Iterator[tuple[str, Datagram]]:
    """Ask all of *asked* for *target*; give the answers, each with whence it came, until *seconds* are over.

    *trace* is told of each call that is made. Raises OSError if nobody can be asked.
    """
    emit: Emit = trace.server if trace else discard
    create: Callable[[int, int], socket.socket] = partial(TracedDatagramSocket, emit=emit) if trace else socket.socket
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as opened:
        sockets: dict[int, socket.socket] = {}
        # 2. Communicate: nobody says whether it arrived, so it is sent again.
        for _ in range(_TIMES):
            _ask(
                target, asked, seconds, sockets, lambda family: opened.enter_context(create(family, socket.SOCK_DGRAM))
            )
        emit("wait", {"for": "answers", "seconds": seconds})
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select(list(sockets.values()), [], [], left)
            for each in ready:
                yield from _answer(each, emit)
        emit("timeout", {"for": "answers", "seconds": seconds})


def _ask(
    target: str,
    asked: Sequence[Asked],
    seconds: float,
    sockets: dict[int, socket.socket],
    create: Callable[[int], socket.socket],
) -> None:
    """Ask all of *asked* once. Raises the OSError of the last one if none could be asked."""
    fault: OSError | None = None
    has_asked = False
    for each in asked:
        family = each.family if isinstance(each, Interface) else socket.AF_INET6 if len(each) > 2 else socket.AF_INET
        is_ipv6 = family == socket.AF_INET6
        # Who answers may wait so long; the rest is for the way.
        octets = format_search(target, max(1, int(seconds) - 1), is_ipv6=is_ipv6)
        try:
            if family not in sockets:
                # 1. Create: a descriptor for datagrams of UDP; the system picks a port when the first is sent.
                sockets[family] = create(family)
                # What select() has promised may be dropped before it is received.
                sockets[family].setblocking(False)
            if isinstance(each, Interface):
                each.send(sockets[family], octets, GROUP_IPV6 if is_ipv6 else GROUP, PORT)
            else:
                sockets[family].sendto(octets, each)
            has_asked = True
        except OSError as error:
            fault = error
    if fault and not has_asked:
        raise fault


def _answer(receiver: socket.socket, emit: Emit) -> Iterator[tuple[str, Datagram]]:
    """Receive one datagram; give it if it is an answer."""
    try:
        octets, peer = receiver.recvfrom(_MOST_OCTETS)
        datagram = _parse_answer(octets, emit)
    except DatagramError as error:
        emit("ignore", error.attributes)
    except OSError:
        # That one port is closed, or one datagram broken, says nothing of the others.
        pass
    else:
        yield sender(peer), datagram


def _parse_answer(octets: bytes, emit: Emit) -> Datagram:
    """Return the answer that *octets* are. Raises DatagramError if they are none."""
    datagram = parse_datagram(octets)
    emit("parse", datagram.summary, head=octets)
    if not datagram.is_answer:
        raise DatagramError("it is no answer to a search", "UDA 2.0 §1.3.3")
    return datagram


def identify(client: Client | None, address: str, datagram: Datagram) -> Found:
    """Return what *datagram* says of the device at *address*, and what the description says that *client* gets."""
    name, shown = datagram.field("usn"), datagram.field("location")
    try:
        location = _seen_from_here(parse_url(shown), address)
    except UrlError:
        pass
    else:
        # A stranger is not to send us to somebody else, nor beyond the local network.
        is_trusted = is_near(address) and _is_same(location.host, address)
        described = parse_description(_get(client, location) if client and is_trusted else b"")
        name = described.name or name
        shown = str(_seen_from_here(described.page(location) or location, address))
    return Found(name[:_MOST_CHARACTERS], shown, address, datagram.field("server"), datagram.identity)


def _get(client: Client, location: Url) -> bytes:
    """Return the description at *location*, or nothing if there is none, or it is too long or too slow."""
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
    """Return *url* with the zone of *address* if it needs one: the device can't know how we call its network.

    RFC 4007 §6: a link-local address says nothing without it.
    """
    _, percent, zone = address.partition("%")
    host = url.host.partition("%")[0]
    return url._replace(host=host + percent + zone) if host.startswith("fe80:") else url


def _is_same(host: str, address: str) -> bool:
    """Return whether *host* is *address*, however it is written. A name is looked up nowhere, and is none."""
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(address)
    except ValueError:
        return False


def main(arguments: Sequence[str]) -> int:
    """Search as *arguments* say, and print what is found; return the exit code."""
    options = _parser().parse_args(expand_trace_option(arguments))
    try:
        return _find(options, _trace(options.trace))
    except KeyboardInterrupt:
        print_error("httpsock find: interrupted.")
        return INTERRUPTED


def _find(options: argparse.Namespace, trace: "TraceWriter | None") -> int:
    """Search, and print what is found; return the exit code."""
    answers: dict[str, tuple[str, Datagram]] = {}
    try:
        asked = [options.to] if options.to else [options.bind] if options.bind else _networks()
        for address, datagram in search(options.target, asked, options.seconds, trace):
            identity = datagram.identity
            if identity in answers and trace:
                trace.server("repeated", {"identity": visible(identity)})
            elif len(answers) < _MOST_DEVICES:
                answers.setdefault(identity, (address, datagram))
    except OSError as error:
        print_error(f"httpsock find: nothing can be sent: {error.strerror}.")
    with Client(timeouts=ClientTimeouts(whole=_DESCRIPTION_SECONDS), redirects=0, trace=trace) as client:
        until = time.monotonic() + _ALL_DESCRIPTIONS_SECONDS
        for address, datagram in answers.values():
            # Many slow ones together would take too long.
            asking = client if time.monotonic() < until else None
            found = identify(asking, address, datagram)
            try:
                _print(found, as_json=options.json)
            except OSError as error:
                print_error(f"httpsock find: standard output takes no more: {error.strerror}.")
                return NOT_WRITTEN
    return 0 if answers else NOTHING_FOUND


def _networks() -> list[Interface]:
    """Return the interfaces by which others may be reached, or what the system takes for one if it has none."""
    return announcing_interfaces() or [Interface("0.0.0.0")]


def _trace(form: str | None) -> "TraceWriter | None":
    """Return what tells of each call on standard error, if that is wanted."""
    if form is None:
        return None
    # Wanted by few.
    from httpsock.tracing.trace import trace_on_standard_error

    return trace_on_standard_error(form, is_client=True)


def _print(found: Found, *, as_json: bool) -> None:
    """Print one device: what it says of itself is shown, never obeyed. Raises OSError."""
    line = json.dumps(found._asdict()) if as_json else f"{visible(found.name)}  {visible(found.url)}  {found.address}"
    # What standard output has no letter for is escaped, too.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "httpsock find",
        "find [options]",
        {"--timeout": "--seconds", "-t": "--seconds", "--host": "--to"},
        description="Find servers and devices that announce themselves by SSDP.",
        epilog="exit codes: 0 found; 1 nothing found; 2 wrong argument;\n  23 can't be written; 130 interrupted",
    )
    parser.add_argument(
        "--seconds", type=number(1, 60, "a number of seconds"), default=2, metavar="N", help="wait so long (default: 2)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each device")
    parser.add_argument(
        "--all", dest="target", action="store_const", const=ALL, default=ROOT_DEVICE, help="also services"
    )
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument("--bind", metavar="ADDR", type=_interface, help="ask on the network of this address of ours only")
    to_help = "ask this address alone, at the port of SSDP or another (default: all of the group)"
    whom.add_argument("--to", metavar="ADDR[:PORT]", type=_peer, help=to_help)
    trace_help = "print every call and datagram; =hex adds a dump, =json prints one object per event"
    parser.add_argument("--trace", choices=TRACE_FORMS, nargs="?", metavar="FORM", help=trace_help)
    parser.add_argument("-v", "--verbose", dest="trace", action="store_const", const="text", help="the same as --trace")
    return parser


def _interface(text: str) -> Interface:
    """Return the interface of a numeric address."""
    _numeric(text)
    try:
        return interface(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of ours: {error.strerror}") from None


def _numeric(text: str) -> str:
    """Return a numeric address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IPv4 or IPv6 address") from None
    return text


def _peer(text: str) -> tuple[Any, ...]:
    """Return a numeric address, of IPv6 in brackets if a port follows, and a port, as the system takes them."""
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
        raise argparse.ArgumentTypeError(f"{host!r} can't be asked: {error.strerror}") from None
