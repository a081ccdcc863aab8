"""Faults on demand: a response that is broken in one known way, for the tests of clients.

Takes the response that would be sent, gives broken octets instead. Each fault has the RFC section that it breaks or
tests. A rule selects the responses to break. The command loads this file only for --fault. Next: broken.py.

RFC 9112 §6.3, §7.1, §8 (framing, incomplete messages), §9 (connections); RFC 9110 §8.4, §8.6, §15.2.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import chain, repeat
from typing import NamedTuple

from httpsock.http.messages import FileSlice, Part, Sleep, Then

_PIECE_OCTETS = 64 * 1024
# The pause between two parts of an endless message.
_ENDLESS_PAUSE = Sleep(0.005)
_GARBAGE = b"\0\xffgarbage\r\n\r\n"


class Message(NamedTuple):
    """The response before a fault breaks it.

    *start* has the status line and the field lines. *content* has *length* octets.
    """

    start: bytes
    length: int
    content: tuple[Part, ...]

    def head(self, *field_lines: str) -> bytes:
        """Return the head: the status line and the original field lines, then *field_lines*, then the empty line."""
        return self.start + "".join(f"{line}\r\n" for line in (*field_lines, "")).encode("ascii")

    @property
    def sized_head(self) -> bytes:
        """The head with the right Content-Length."""
        return self.head(f"Content-Length: {self.length}")

    def octets(self, stop: int) -> Iterator[bytes]:
        """Yield the first *stop* octets of the content."""
        for part in self.content:
            left = min(stop, part.length if isinstance(part, FileSlice) else len(part))
            stop -= left
            if isinstance(part, bytes):
                yield part[:left]
                continue
            part.file.seek(part.offset)
            while left and (octets := part.file.read(min(left, _PIECE_OCTETS))):
                left -= len(octets)
                yield octets

    def whole(self) -> Iterator[bytes]:
        """Yield the response without a fault."""
        return chain([self.sized_head], self.octets(self.length))


class Script(NamedTuple):
    """The octets and pauses to send in place of the response.

    *then* is the action that follows: see Then in http/messages.py.
    """

    parts: Iterable[bytes | Sleep]
    then: Then


def _end(*_: object) -> Script:
    """Return a script that closes the connection and sends nothing."""
    return Script((), "close")


class Stage(Enum):
    """The part of a server that a fault breaks.

    A fault of a response may depend on the request's path. All other faults happen before a request arrives, so there
    is no path yet.
    """

    PORT = "the listening sockets"
    QUEUE = "the accept queue"
    CONNECTION = "a new connection"
    RESPONSE = "a response"


class Fault(NamedTuple):
    """One way to break a response or a connection.

    *text* completes the sentence "the server ...". *section* is the section of an RFC that the fault breaks or tests.
    *make* takes the message and the value, and returns a script. *meaning* is the unit of the value. If *meaning* is
    empty, the fault takes no value. *stage* is the part that the fault breaks.
    """

    text: str
    section: str
    make: Callable[[Message, float], Script] = _end
    meaning: str = ""
    default: float = 0.0
    stage: Stage = Stage.RESPONSE


def _share(message: Message, share: float) -> Iterator[bytes]:
    """Yield the head, then the first part of the content. *share* is the size of this part, as a fraction."""
    return chain([message.sized_head], message.octets(int(message.length * share)))


def _drip(parts: Iterable[bytes], rate: float) -> Iterator[bytes | Sleep]:
    """Yield *parts* in small pieces with pauses, at *rate* octets a second."""
    size = max(1, int(rate / 10))
    for part in parts:
        for first in range(0, len(part), size):
            yield part[first : first + size]
            yield Sleep(size / rate)


def _chunked(message: Message, after: bytes) -> Iterator[bytes]:
    """Yield the response in the chunked coding. The octets *after* replace the last chunk."""
    yield message.head("Transfer-Encoding: chunked")
    for octets in message.octets(message.length):
        if octets:
            yield b"%x\r\n%b\r\n" % (len(octets), octets)
    yield after


def _endless(first: bytes, again: bytes) -> Iterator[bytes | Sleep]:
    """Yield the octets *first*, then repeat the octets *again* for ever, with pauses.

    The script's last action must be "stall". Then a server that is asked to stop does not wait for this response.
    """
    return chain([first], chain.from_iterable(repeat((again, _ENDLESS_PAUSE))))


def _with_length(message: Message, length: float) -> Script:
    """Return a script that sends the response with the wrong Content-Length *length*."""
    head = message.head(f"Content-Length: {max(0, int(length))}")
    return Script(chain([head], message.octets(message.length)), "keep")


FAULTS = {
    "refuse": Fault(
        "closes the port for so many seconds at a time: the kernel refuses connections",
        "RFC 9293 §3.5.2",
        meaning="seconds at a time",
        default=1.0,
        stage=Stage.PORT,
    ),
    "slow-accept": Fault(
        "leaves a new connection in the accept queue for so many seconds",
        "RFC 9112 §9.5",
        meaning="seconds",
        default=1.0,
        stage=Stage.QUEUE,
    ),
    "connect-close": Fault("ends a new connection before a request is read", "RFC 9112 §9.5", stage=Stage.CONNECTION),
    "connect-reset": Fault("resets a new connection before a request is read", "RFC 9112 §9.5", stage=Stage.CONNECTION),
    "close": Fault("ends the connection without a response", "RFC 9112 §9.5"),
    "reset": Fault("resets the connection before the head", "RFC 9112 §9.5", lambda *_: Script((), "reset")),
    "reset-head": Fault(
        "resets the connection in the middle of the head",
        "RFC 9112 §8",
        lambda message, _: Script([message.start[: len(message.start) // 2]], "reset"),
    ),
    "reset-content": Fault(
        "resets the connection after a share of the content",
        "RFC 9112 §8",
        lambda message, share: Script(_share(message, share), "reset"),
        "share",
        0.5,
    ),
    "truncate": Fault(
        "ends the connection after a share of the content",
        "RFC 9112 §8",
        lambda message, share: Script(_share(message, share), "close"),
        "share",
        0.5,
    ),
    "stall": Fault(
        "sends nothing more after a share of the content, and keeps the connection open",
        "RFC 9112 §9.5",
        lambda message, share: Script(_share(message, share), "stall"),
        "share",
        0.5,
    ),
    "latency": Fault(
        "sends the response so many seconds later",
        "RFC 9112 §9.5",
        lambda message, seconds: Script(chain([Sleep(seconds)], message.whole()), "keep"),
        "seconds",
        1.0,
    ),
    "drip": Fault(
        "sends the response, head and all, at this rate",
        "RFC 9112 §9.5",
        lambda message, rate: Script(_drip(message.whole(), rate), "keep"),
        "bytes a second",
        100.0,
    ),
    "length-long": Fault(
        "announces so many bytes more than the content has",
        "RFC 9110 §8.6",
        lambda message, more: _with_length(message, message.length + more),
        "bytes",
        1.0,
    ),
    "length-short": Fault(
        "announces so many bytes fewer than the content has",
        "RFC 9110 §8.6",
        lambda message, fewer: _with_length(message, message.length - fewer),
        "bytes",
        1.0,
    ),
    "chunk-broken": Fault(
        "ends chunked content with a line that is no size",
        "RFC 9112 §7.1",
        lambda message, _: Script(_chunked(message, b"xyz\r\n"), "close"),
    ),
    "chunk-last-missing": Fault(
        "ends the connection before the last chunk",
        "RFC 9112 §8",
        lambda message, _: Script(_chunked(message, b""), "close"),
    ),
    "garbage": Fault(
        "sends bytes after the response that no request has asked for",
        "RFC 9112 §9.2",
        lambda message, _: Script(chain(message.whole(), [_GARBAGE]), "keep"),
    ),
    "endless-head": Fault(
        "sends field lines for ever",
        "RFC 9110 §5.4",
        lambda message, _: Script(_endless(message.start, b"X-Endless: %b\r\n" % (b"x" * 1000)), "stall"),
    ),
    "endless-1xx": Fault(
        "sends interim responses for ever",
        "RFC 9110 §15.2",
        lambda *_: Script(_endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "stall"),
    ),
    "encoding": Fault(
        "announces the content as gzip, which it is not",
        "RFC 9110 §8.4",
        lambda message, _: Script(
            chain(
                [message.head("Content-Encoding: gzip", f"Content-Length: {message.length}")],
                message.octets(message.length),
            ),
            "keep",
        ),
    ),
    "half-close": Fault(
        "ends its side after a response that leaves the connection open",
        "RFC 9112 §9.6",
        lambda message, _: Script(message.whole(), "close"),
    ),
}


class Rule(NamedTuple):
    """Selects responses or connections to break with the fault *name*. *value* is the fault's value.

    *path* is one path. A *path* that ends with a slash stands for all paths below. None stands for all paths.
    *probability* is from 0 to 1. *times* is how often the rule applies. None means no limit.
    """

    name: str
    value: float
    path: str | None = None
    probability: float = 1.0
    times: int | None = None

    def matches(self, path: str) -> bool:
        """Return whether the rule selects responses to requests for *path*."""
        return self.path in (None, path) or (str(self.path).endswith("/") and path.startswith(str(self.path)))

    def hides(self, later: "Rule") -> bool:
        """Return whether this rule always applies before the rule *later*, so that *later* would never apply."""
        matches = self.path is None or (later.path is not None and self.matches(later.path))
        return matches and self.probability == 1 and self.times is None


_rule = re.compile(
    r"(?:(?P<path>/.*):)?(?P<name>[a-z0-9-]+)(?:=(?P<value>[0-9]+(?:\.[0-9]+)?)(?P<unit>/s)?)?"
    r"(?:@(?P<probability>[01](?:\.[0-9]+)?))?(?:\*(?P<times>[0-9]{1,9}))?"
)
# A path as it is sent: no octet that must be encoded, no query.
_path = re.compile(r"(?:/[!-\"$->@-~]*)?")
_RANGES = {
    "share": (0.0, 1.0, "a share from 0 to 1"),
    "seconds": (0.0, 1e6, "in seconds, at most 1000000"),
    "seconds at a time": (0.01, 1e6, "in seconds, from 0.01 to 1000000"),
    "bytes": (0.0, 1e6, "in bytes, at most 1000000"),
    "bytes a second": (1.0, 1e6, "in bytes a second, from 1 to 1000000"),
}


def parse_rule(text: str, times: int | None = None) -> Rule:
    """Parse a rule: ``PATH:NAME=VALUE@PROBABILITY*TIMES``. Only NAME is required.

    Raise ValueError if *text* is wrong. If *times* is given, *text* must not have TIMES.
    """
    match = _rule.fullmatch(text)
    if not match:
        # A colon in the same word as the "@" would look like a password, which the command masks.
        form = "FAULT[=VALUE][@PROBABILITY][*TIMES], or that behind PATH and a colon"
        raise ValueError(f"{text!r:.200} is not {form}, such as /big:truncate=0.5@0.1")
    name, path = match["name"], match["path"]
    fault = FAULTS.get(name)
    if fault is None:
        raise ValueError(f"there is no fault {name!r:.80}; there are {', '.join(FAULTS)}")
    if path and fault.stage is not Stage.RESPONSE:
        raise ValueError(f"the fault {name} is for connections: it takes no path")
    if not _path.fullmatch(path or ""):
        raise ValueError(f"{path!r:.200} is not a path as it is sent, such as /x or /%C3%A9; a query can't be given")
    if match["unit"] and fault.meaning != "bytes a second":
        raise ValueError(f"the fault {name} takes no rate")
    probability = float(match["probability"] or 1)
    if probability > 1:
        raise ValueError(f"the probability in {text!r:.200} must be from 0 to 1")
    if match["times"] is not None:
        if times is not None:
            raise ValueError(f"the number of times is given twice, in {text!r:.200} and beside it")
        times = int(match["times"])
        if times < 1:
            raise ValueError(f"the number of times in {text!r:.200} must be from 1 on")
    return Rule(name, _value(name, fault, match["value"]), path, probability, times)


def _value(name: str, fault: Fault, text: str | None) -> float:
    """Return the number *text*. If *text* is None, return the default of *fault*.

    Raise ValueError if the number is out of range.
    """
    if text is None:
        return fault.default
    if not fault.meaning:
        raise ValueError(f"the fault {name} takes no value")
    minimum, maximum, described = _RANGES[fault.meaning]
    if not minimum <= float(text) <= maximum:
        raise ValueError(f"{name}={text:.40} is out of range: the value is {described}")
    return float(text)
