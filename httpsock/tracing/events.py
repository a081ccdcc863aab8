r"""Events: each call at a socket, as text or as JSON.

Events come in, and lines go out. ``trace`` writes the lines. The lines are safe for a terminal: octets other than
printable ASCII appear as ``\xNN``.

    #1 127.0.0.1:52814       412 µs  recv 78                     the call, and how many octets it moved
    #1 127.0.0.1:52814       433 µs  parse GET /hello.txt
          > GET /hello.txt HTTP/1.1                              > to the server
          > Host: 127.0.0.1:8000
          >
    #1 127.0.0.1:52814       611 µs  send 312
          < HTTP/1.1 200 OK                                      < from the server

Events outside any connection have the connection number 0.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .tcp_info import format_tcp_info


class Event(NamedTuple):
    """One event: its time, connection, name and attributes.

    *seconds* count from the start of the connection. In a server this is accept(), in a client it is socket().
    *attributes* become members of the JSON object. *head* is the head of a message. If the trace shows octets, *octets*
    has the octets that the call sent or received. Credentials are already masked in *head* and *octets*.
    """

    time: float
    process: int
    connection: int
    peer: str
    seconds: float
    name: str
    attributes: Mapping[str, Any]
    head: bytes = b""
    octets: bytes = b""


Format = Callable[[Event], str]

# The text of each event. Its JSON members are the names in braces and the names in EXTRA_ATTRIBUTES.
FORMATS = {
    "socket": "socket {family}, {type}",
    "bind": "bind {address}",
    "listen": "listen {backlog} at {address}",
    "join": "setsockopt {option}: join {group} at {address}",
    "accept": "accept",
    "getaddrinfo": "getaddrinfo {host}: {addresses}",
    "connect": "connect {address} from {local}",
    "wait": "wait for {for}, at most {seconds:g} s",
    "timeout": "timeout after {seconds:g} s of waiting for {for}",
    "evict": "evict while it waits for {for}: another client needs the connection",
    "recv": "recv {octets}",
    "recvfrom": "recvfrom {octets} from {address}",
    "parse": "parse {method} {target}",
    "content": "content {octets}, complete",
    "stat": "stat {name}: {kind}, {octets} bytes",
    "lstat": "lstat {name}: {kind}, {octets} bytes",
    "cache": "cache hit {name}, {octets} bytes",
    "memo": "memo {path}: found already in this tick",
    "unverified": "unverified {name}: its bytes are not verified as the file in {coding}",
    "open": "open {name}",
    "read": "read {octets}",
    "scandir": "scandir {name}: {entries} entries",
    "refuse": "refuse {status} {phrase}",
    "break": "break {status} {phrase}",
    "ignore": "ignore it",
    "repeated": "repeated: {identity} has answered already",
    "skip": "skip the description of {identity}: {message}",
    "send": "send {octets}",
    "sendto": "sendto {octets} to {address}",
    "sendfile": "sendfile {octets}",
    "tcp": "the kernel's figures so far",
    "shutdown": "shutdown: our side has ended",
    "reset": "setsockopt SO_LINGER: close will send a reset",
    "close": "close",
    "cut": "cut short: the server stops",
    "lost": "lost {events} events: they came faster than they could be written",
}
EXTRA_ATTRIBUTES = {
    "parse": ("head", "status", "phrase"),
    "refuse": ("reason", "section", "head"),
    "break": ("reason", "section"),
    "ignore": ("reason", "section", "head"),
    "send": ("head", "content"),
    "sendto": ("head",),
    "tcp": ("tcp",),
    "shutdown": ("address",),
    "close": ("address", "tcp"),
}
# The text of a failed call. The error follows this text.
_FAILED = {
    "bind": "bind {address}",
    "listen": "listen",
    "getaddrinfo": "getaddrinfo {host}",
    "connect": "connect {address}",
    "join": "setsockopt {option}: join {group} at {address}",
    "sendto": "sendto {address}",
    "stat": "stat {name}",
    "lstat": "lstat {name}",
    "open": "open {name}",
    "scandir": "scandir {name}",
}
_DIRECTIONS = {"send": "<", "sendfile": "<", "sendto": "<"}
# In a client's trace, sent octets go to the server.
_AT_THE_CLIENT = {"<": ">", ">": "<"}
_INDENT = "      "

_NAME, _FAINT, _IN, _OUT, _WRONG, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[36m", "\x1b[32m", "\x1b[1;31m", "\x1b[0m"
_COLOURS = {">": _IN, "<": _OUT, "!": _WRONG, "=": _FAINT}
_WRONG_EVENTS = ("timeout", "evict", "refuse", "break", "ignore", "skip", "cut", "lost")
# The character for each octet in a dump.
_PRINTABLE = bytes(octet if 0x20 <= octet < 0x7F else ord(".") for octet in range(256))
_not_visible = re.compile(rb"[^ -\[\]-~]")


class TextFormatter:
    """Formats events as text, with colours and the process ID if requested."""

    def __init__(self, *, is_coloured: bool = False, shows_process: bool = False, is_client: bool = False) -> None:
        self._is_coloured = is_coloured
        self._shows_process = shows_process
        self._own_name = "client" if is_client else "server"
        self._marks = _AT_THE_CLIENT if is_client else {}

    def __call__(self, event: Event) -> str:
        """Return *event* as one or more lines."""
        subject = f"#{event.connection} {event.peer}" if event.connection else self._own_name
        if self._shows_process:
            subject = f"{event.process} {subject}"
        sentence = _sentence(event)
        is_wrong = event.name in _WRONG_EVENTS or "error" in event.attributes
        gutter = self._coloured(f"{subject:<19} {_elapsed(event.seconds):>10}", _FAINT)
        lines = [f"{gutter}  {self._coloured(sentence, _WRONG if is_wrong else _NAME)}"]
        lines += [self._detail(self._marks.get(mark, mark), line) for mark, line in _details(event)]
        return "\n".join([*lines, ""])

    def _detail(self, mark: str, line: str) -> str:
        return _INDENT + self._coloured(f"{mark} {line}".rstrip(), _COLOURS[mark])

    def _coloured(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._is_coloured else text


def format_json(event: Event) -> str:
    """Return *event* as one line of JSON. The time is in UTC."""
    import json  # costs 3 ms of start-up, and is seldom needed

    microseconds = int(event.time * 1_000_000)
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(microseconds // 1_000_000))
    members = {
        "time": f"{clock}.{microseconds % 1_000_000:06}Z",
        "process": event.process,
        "connection": event.connection,
        "peer": event.peer,
        "microseconds": int(event.seconds * 1_000_000),
        "event": event.name,
        **event.attributes,
    }
    if event.head:
        members["head"] = [line.decode("latin-1") for line in _lines(event.head)]
    return json.dumps(members) + "\n"


def visible_octets(octets: bytes) -> str:
    r"""Return *octets* as text. Control characters, backslashes and octets beyond ASCII become ``\xNN``."""
    return _not_visible.sub(lambda match: b"\\x%02x" % match[0][0], octets).decode("ascii")


def _sentence(event: Event) -> str:
    if "error" in event.attributes:
        call = _FAILED.get(event.name, event.name).format(**event.attributes)
        return f"{call}: {event.attributes['error']}, {event.attributes['message']}"
    if event.name == "recv" and event.attributes["octets"] == 0:
        return "recv 0: the peer has ended its side"
    if event.name == "wait" and "seconds" not in event.attributes:
        return f"wait for {event.attributes['for']}"
    if event.name == "shutdown" and "address" in event.attributes:
        return f"shutdown {event.attributes['address']}: the kernel refuses connections"
    if event.name == "close" and "address" in event.attributes:
        return f"close {event.attributes['address']}"
    if event.name == "parse" and "status" in event.attributes:
        return "parse {status} {phrase}".format(**event.attributes).rstrip()
    return FORMATS[event.name].format(**event.attributes)


def _details(event: Event) -> list[tuple[str, str]]:
    """Return the detail lines of an event. Each line is a pair of a mark, such as ">", and a text."""
    mark = _DIRECTIONS.get(event.name, ">")
    details = []
    if "reason" in event.attributes:
        details.append(("!", f"{event.attributes['reason']} ({event.attributes['section']})"))
    if event.octets:
        return details + [(mark, line) for line in _dump(event.octets)]
    details += [(mark, visible_octets(line)) for line in _lines(event.head)]
    if content := event.attributes.get("content"):
        details.append((mark, f"({content:,} bytes of content)"))
    if tcp := event.attributes.get("tcp"):
        details += [("=", line) for line in format_tcp_info(tcp)]
    return details


def _lines(head: bytes) -> list[bytes]:
    """Return the lines of a head. The last line may be incomplete."""
    lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
    return lines if lines[-1] else lines[:-1]


def _dump(octets: bytes) -> list[str]:
    """Return *octets* as lines of sixteen octets. Each line has an offset, hexadecimal digits and text."""
    digits, text = octets.hex(" "), octets.translate(_PRINTABLE).decode("ascii")
    return [
        f"{offset:04x}  {digits[offset * 3 : offset * 3 + 47]:<47}  {text[offset : offset + 16]}"
        for offset in range(0, len(octets), 16)
    ]


def _elapsed(seconds: float) -> str:
    """Return a duration as text in µs, ms or s."""
    microseconds = int(seconds * 1_000_000)
    if microseconds < 1000:
        return f"{microseconds} µs"
    return f"{microseconds / 1000:.3f} ms" if microseconds < 1_000_000 else f"{microseconds / 1_000_000:.3f} s"
