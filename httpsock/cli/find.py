"""``httpsock find``: search the local network for devices that announce themselves.

Takes arguments, prints devices, gives an exit code. The search itself is in discovery/search.py.

standard output    one line for each device: its name, its URL, its address; with --json, a JSON object
exit code          0 if a device was found, 1 if not, 2 for a wrong argument, 23 if the output can't be written, 130
                   if interrupted
"""

import argparse
import ipaddress
import json
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from httpsock.discovery.multicast import Interface
from httpsock.discovery.networks import announcing_interfaces, interface
from httpsock.discovery.search import Destination, FoundDevice, discover
from httpsock.discovery.ssdp import ALL, PORT, ROOT_DEVICE
from httpsock.http.text import visible

from .arguments import (
    INTERRUPTED,
    NOT_WRITTEN,
    TRACE_FORMS,
    ArgumentParser,
    client_trace,
    expand_trace_option,
    number,
    print_error,
    write_output,
)

if TYPE_CHECKING:
    # Loaded only with --trace.
    from httpsock.tracing.trace import TraceWriter

NOTHING_FOUND = 1


def main(arguments: Sequence[str]) -> int:
    """Search as *arguments* say, and print the devices found. Return the exit code."""
    options = _parser().parse_args(expand_trace_option(arguments))
    try:
        return _find(options, client_trace(options.trace))
    except KeyboardInterrupt:
        print_error("httpsock find: interrupted.")
        return INTERRUPTED


def _find(options: argparse.Namespace, trace: "TraceWriter | None") -> int:
    """Search, and print the devices found. Return the exit code."""
    destinations: list[Destination] = [options.to] if options.to else [options.bind] if options.bind else []
    exit_code = NOTHING_FOUND
    try:
        for device in discover(options.target, destinations or _networks(), options.seconds, trace):
            exit_code = 0
            try:
                _print(device, as_json=options.json)
            except OSError as error:
                print_error(f"httpsock find: can't write to standard output: {error.strerror}.")
                return NOT_WRITTEN
        if exit_code == NOTHING_FOUND:
            print_error(f"httpsock find: no device answered within {options.seconds} s.")
    except OSError as error:
        print_error(f"httpsock find: cannot send a search: {error.strerror}.")
    return exit_code


def _networks() -> list[Interface]:
    """Return the interfaces of local networks, or the system's default interface if there is no local network."""
    return announcing_interfaces() or [Interface("0.0.0.0")]


def _print(device: FoundDevice, *, as_json: bool) -> None:
    """Print *device* as a line of text or JSON. Escape control characters. Raise OSError if writing fails."""
    text = f"{visible(device.name)}  {visible(device.url)}  {device.address}"
    write_output(f"{json.dumps(device._asdict()) if as_json else text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        "httpsock find",
        "[options]",
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
    destination = parser.add_mutually_exclusive_group()
    destination.add_argument("--bind", metavar="ADDR", type=_interface, help="search only the network of this address")
    to_help = "search only this address, at port 1900 or PORT (default: the whole network)"
    destination.add_argument("--to", metavar="ADDR[:PORT]", type=_peer, help=to_help)
    trace_help = "print every call and datagram; =hex adds a dump, =json prints one object per event"
    parser.add_argument("--trace", choices=TRACE_FORMS, nargs="?", metavar="FORM", help=trace_help)
    parser.add_argument("-v", "--verbose", dest="trace", action="store_const", const="text", help="same as --trace")
    return parser


def _interface(text: str) -> Interface:
    """Return the interface with the numeric address *text*. Raise ArgumentTypeError if there is no such interface."""
    _numeric(text)
    try:
        return interface(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address of this machine: {error.strerror}") from None


def _numeric(text: str) -> str:
    """Return *text*. Raise ArgumentTypeError if *text* is not a numeric address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IPv4 or IPv6 address") from None
    return text


def _peer(text: str) -> tuple[Any, ...]:
    """Return the socket address for ADDR, IPV4:PORT or [IPV6]:PORT. The address must be numeric."""
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
