"""``httpsock find``: who announces itself on the local network, found by asking all at once.

This is the file to read for what a UDP client does:

    1  create         socket()
    2  communicate    sendto(), recvfrom()    one question to a group, any number of answers, in any order
    3  close          close()

There is no connect(): nobody is connected to, so that nobody can be known to have heard. The question is asked twice,
answers that come twice are told once, and after a deadline no more are waited for.

standard output    one line for each device: its name, its URL, its address; with --json one object each
exit code          0 if any was found, 1 if none was, 2 for a wrong argument

UPnP Device Architecture 2.0 §1.3 (search), §2 (description); RFC 1112 §6 (multicast).
"""

import argparse
import html
import json
import re
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .addresses import local_addresses
from .arguments import Parser, number
from .client import Client
from .client_connection import ClientTimeouts
from .response_parser import ResponseError
from .ssdp import ALL, GROUP, PORT, ROOT_DEVICE, Datagram, DatagramError, format_search, parse_datagram
from .terminal import visible
from .urls import UrlError, parse_url

NOTHING_FOUND = 1
_MOST_OCTETS = 8193
# Devices are many, descriptions short: what is longer or slower goes without a name.
_MOST_DEVICES = 256
_DESCRIPTION_OCTETS = 64 * 1024
_DESCRIPTION_SECONDS = 2.0
_TIMES = 2
_ELEMENT = r"<(?:\w+:)?{0}(?:\s[^<>]*)?>([^<>]*)</(?:\w+:)?{0}\s*>"


class Found(NamedTuple):
    """A device: what it calls itself, where it wants to be looked at, whence it answered, and what it says it is."""

    name: str
    url: str
    address: str
    server: str
    identity: str


def search(
    target: str, to: tuple[str, int], interfaces: Sequence[str], seconds: float
) -> Iterator[tuple[str, Datagram]]:
    """Give the answers to a search for *target*, each with whence it came, until *seconds* are over.

    *interfaces* are the addresses of ours on whose networks it is sent, if it is sent to a group.
    Raises OSError if it can be sent on none.
    """
    deadline = time.monotonic() + seconds
    # Who answers may wait so long; the rest is for the way.
    octets = format_search(target, max(1, int(seconds) - 1))
    # 1. Create: a descriptor for datagrams of UDP over IPv4; the system picks a port when the first is sent.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        # 2. Communicate: nobody says whether it arrived, so it is sent again.
        for _ in range(_TIMES):
            _ask(asking, octets, to, interfaces)
        while (left := deadline - time.monotonic()) > 0:
            asking.settimeout(left)
            try:
                octets, peer = asking.recvfrom(_MOST_OCTETS)
                datagram = parse_datagram(octets)
            except TimeoutError:
                return
            except (OSError, DatagramError):
                # What says nothing, or that one port is closed, says nothing of the others.
                continue
            if datagram.start_line.startswith(b"HTTP/1.1 200") and datagram.field("usn"):
                yield peer[0], datagram


def _ask(asking: socket.socket, octets: bytes, to: tuple[str, int], interfaces: Sequence[str]) -> None:
    """Send *octets* on each network. Raises the OSError of the last one if none took them."""
    fault: OSError | None = None
    has_sent = False
    for interface in interfaces or ["0.0.0.0"]:
        try:
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
            asking.sendto(octets, to)
            has_sent = True
        except OSError as error:
            fault = error
    if fault and not has_sent:
        raise fault


def identify(client: Client, address: str, datagram: Datagram) -> Found:
    """Return what *datagram* and the description that it names say of the device at *address*."""
    location, usn = datagram.field("location"), datagram.field("usn")
    text = _description(client, address, location)
    name = _element(text, "friendlyName") or usn
    url = _element(text, "presentationURL")
    try:
        # Some give a path only; where it leads is beside the description (UDA 2.0 §2.3).
        url = str(parse_url(url)) if "://" in url else location
    except UrlError:
        url = location
    return Found(name, url, address, datagram.field("server"), usn.partition("::")[0])


def _description(client: Client, address: str, location: str) -> str:
    """Return the description at *location*, or nothing.

    It is asked for only where the answer came from: nobody is to send us to somebody else.
    """
    try:
        if parse_url(location).host != address:
            return ""
        with client.get(location) as response:
            octets = b""
            for part in response:
                octets += part
                if len(octets) > _DESCRIPTION_OCTETS:
                    return ""
    except (OSError, ResponseError, UrlError):
        return ""
    return octets.decode("utf-8", "replace")


def _element(text: str, name: str) -> str:
    """Return the text of the first element *name*. A parser of XML would do more for a stranger than this needs."""
    match = re.search(_ELEMENT.format(name), text)
    return html.unescape(match[1]).strip() if match else ""


def main(arguments: Sequence[str]) -> int:
    """Search as *arguments* say, and print what is found; return the exit code."""
    options = _parser().parse_args(arguments)
    interfaces = [options.bind] if options.bind else [address for address in local_addresses() if ":" not in address]
    answers: dict[str, tuple[str, Datagram]] = {}
    try:
        for address, datagram in search(options.target, options.to, interfaces, options.seconds):
            if len(answers) < _MOST_DEVICES:
                answers.setdefault(datagram.field("usn").partition("::")[0], (address, datagram))
    except OSError as error:
        print(f"httpsock find: nothing can be sent: {error.strerror}.", file=sys.stderr)
    with Client(timeouts=ClientTimeouts(whole=_DESCRIPTION_SECONDS), redirects=0) as client:
        for address, datagram in answers.values():
            _print(identify(client, address, datagram), as_json=options.json)
    return 0 if answers else NOTHING_FOUND


def _print(found: Found, *, as_json: bool) -> None:
    """Print one device: what it says of itself is shown, never obeyed."""
    if as_json:
        print(json.dumps(found._asdict()), flush=True)
    else:
        print(f"{visible(found.name)}  {visible(found.url)}  {found.address}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="httpsock find",
        usage="httpsock find [options]",
        description="Find what announces itself on the local network by SSDP: httpsock --announce, and other devices.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--seconds", type=number(1, 60, "a number of seconds"), default=2, metavar="N", help="wait so long (default: 2)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each device")
    parser.add_argument(
        "--all", dest="target", action="store_const", const=ALL, default=ROOT_DEVICE, help="also services"
    )
    parser.add_argument("--bind", metavar="ADDR", type=_address, help="search from this address of ours only")
    to_help = "ask this address alone, at the port of SSDP or another (default: all of the group)"
    parser.add_argument("--to", metavar="ADDR[:PORT]", type=_peer, default=(GROUP, PORT), help=to_help)
    return parser


def _address(text: str) -> str:
    """Return a numeric IPv4 address."""
    try:
        socket.inet_pton(socket.AF_INET, text)
    except OSError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IPv4 address") from None
    return text


def _peer(text: str) -> tuple[str, int]:
    """Return a numeric IPv4 address and a port."""
    host, colon, port = text.partition(":")
    return _address(host), number(1, 65535, "a port")(port) if colon else PORT
