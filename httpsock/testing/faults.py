"""Faults on demand: a response that is broken in one known way, for the tests of clients.

Takes the response that would be sent, and sends its octets with the fault; each fault names the section that it breaks
or tests. A middleware chooses, by path, by number and by chance, which responses to break. The command loads this file
only for --fault.

RFC 9112 §6.3, §7.1, §8 (framing, incomplete messages), §9 (connections); RFC 9110 §8.4, §8.6, §15.2.
"""

import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import NamedTuple

from httpsock.http.checks import check_number
from httpsock.http.grammar import format_http_date
from httpsock.http.handler import Context, Handler, Steps
from httpsock.http.messages import FileSlice, Part, Refusal, Request, Response, Sleep, Stream

from .exact import Then, send_exactly
from .transport import Next, RecordedTransport, Transports

_PIECE_OCTETS = 64 * 1024
# The pause between two parts of an endless message.
_ENDLESS_PAUSE = Sleep(0.005)
_GARBAGE = b"\0\xffgarbage\r\n\r\n"


class Message(NamedTuple):
    """The response that would be sent. *start* is its status line and field lines; *content* has *length* octets."""

    start: bytes
    length: int
    content: tuple[Part, ...]

    def head(self, *field_lines: str) -> bytes:
        """Return the head: *start*, these *field_lines*, which frame the content, and the empty line."""
        return self.start + "".join(f"{line}\r\n" for line in (*field_lines, "")).encode("ascii")

    @property
    def sized_head(self) -> bytes:
        """The head with the right length."""
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
    """The octets to send in place of the response, with pauses between them. *then* (see Then) is done afterwards."""

    parts: Iterable[bytes | Sleep]
    then: Then


class Fault(NamedTuple):
    """A fault: a *text* that completes "the server ...", the *section* it breaks or tests, and its value's default.

    *make* takes the message and the value, and returns the script. *meaning* is the unit of the value; a fault without
    it takes no value. A share is from 0 to 1. A fault *is_of_connections* if it comes before any request.
    """

    text: str
    section: str
    make: Callable[[Message, float], Script]
    meaning: str = ""
    default: float = 0.0
    is_of_connections: bool = False


def _share(message: Message, share: float) -> Iterator[bytes]:
    """Yield the head and the first part of the content, *share* (0 to 1) of its length."""
    return chain([message.sized_head], message.octets(int(message.length * share)))


def _drip(parts: Iterable[bytes], rate: float) -> Iterator[bytes | Sleep]:
    """Yield *parts* in small pieces with pauses, so that they arrive at *rate* octets a second."""
    size = max(1, int(rate / 10))
    for part in parts:
        for first in range(0, len(part), size):
            yield part[first : first + size]
            yield Sleep(size / rate)


def _chunked(message: Message, after: bytes) -> Iterator[bytes]:
    """Yield the response in the chunked coding, with the octets *after* in place of the last chunk."""
    yield message.head("Transfer-Encoding: chunked")
    for octets in message.octets(message.length):
        if octets:
            yield b"%x\r\n%b\r\n" % (len(octets), octets)
    yield after


def _endless(first: bytes, again: bytes) -> Iterator[bytes | Sleep]:
    """Yield *first*, then *again* for ever."""
    return chain([first], chain.from_iterable(repeat((again, _ENDLESS_PAUSE))))


def _with_length(message: Message, length: float) -> Script:
    """Return a script of the response with this Content-Length, which is wrong."""
    head = message.head(f"Content-Length: {max(0, int(length))}")
    return Script(chain([head], message.octets(message.length)), "keep")


FAULTS = {
    "connect-close": Fault(
        "ends a new connection before a request is read",
        "RFC 9112 §9.5",
        lambda *_: Script((), "close"),
        is_of_connections=True,
    ),
    "connect-reset": Fault(
        "resets a new connection before a request is read",
        "RFC 9112 §9.5",
        lambda *_: Script((), "reset"),
        is_of_connections=True,
    ),
    "close": Fault("ends the connection without a response", "RFC 9112 §9.5", lambda *_: Script((), "close")),
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
        lambda message, _: Script(_endless(message.start, b"X-Endless: %b\r\n" % (b"x" * 1000)), "close"),
    ),
    "endless-1xx": Fault(
        "sends interim responses for ever",
        "RFC 9110 §15.2",
        lambda *_: Script(_endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10), "close"),
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
    """Selects the responses to break with the fault *name* and its *value*.

    *path* is one path, or a prefix that ends with a slash; None stands for all paths. *probability* is from 0 to 1.
    *times* is the number of responses to break; None means no limit.
    """

    name: str
    value: float
    path: str | None = None
    probability: float = 1.0
    times: int | None = None

    def matches(self, path: str) -> bool:
        """Return whether the rule selects responses to requests for *path*."""
        return self.path in (None, path) or (str(self.path).endswith("/") and path.startswith(str(self.path)))


_rule = re.compile(
    r"(?:(?P<path>/[^:]*):)?(?P<name>[a-z0-9-]+)(?:=(?P<value>[0-9]+(?:\.[0-9]+)?)(?:/s)?)?(?:@(?P<probability>[01](?:\.[0-9]+)?))?"
)


def parse_rule(text: str, times: int | None = None) -> Rule:
    """Return the rule that *text* describes. Raise ValueError if it is wrong.

    The form is ``PATH:NAME=VALUE@PROBABILITY``, of which only the name is required.
    """
    match = _rule.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not [PATH:]FAULT[=VALUE][@PROBABILITY], such as /big:truncate=0.5@0.1")
    name, value = match["name"], match["value"]
    fault = FAULTS.get(name)
    if fault is None:
        raise ValueError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
    if value and not fault.meaning:
        raise ValueError(f"the fault {name} takes no value")
    number = float(value) if value else fault.default
    if match["path"] and fault.is_of_connections:
        raise ValueError(f"the fault {name} is for connections: it takes no path")
    if (fault.meaning == "share" and number > 1) or (name == "drip" and number < 1) or number > 10**6:
        raise ValueError(f"{name}={value} is out of range: the value is {_RANGES[fault.meaning]}")
    probability = float(match["probability"] or 1)
    if probability > 1:
        raise ValueError(f"the probability in {text!r} must be from 0 to 1")
    return Rule(name, number, match["path"], probability, times)


_RANGES = {
    "share": "a share from 0 to 1",
    "seconds": "in seconds, at most 1000000",
    "bytes": "in bytes, at most 1000000",
    "bytes a second": "in bytes a second, from 1 to 1000000",
}


class Faults:
    """The faults of one server. The same *seed* makes the same choices for the same requests in the same order."""

    def __init__(self, transports: Transports, seed: int | None = None) -> None:
        self._transports = transports
        transports.opened = self._open
        self._random = random.Random(seed)  # noqa: S311 (no secret)
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, rule: Rule) -> None:
        """Break the responses that *rule* selects; if several rules select a response, the first one counts."""
        if rule.times is not None:
            check_number("times", rule.times, 1, 10**9)
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Break no more responses."""
        with self._lock:
            self._rules.clear()

    def middleware(self, handler: Handler) -> Handler:
        """Return a handler that breaks the responses of *handler* by the rules."""

        def respond(request: Request, context: Context) -> Response | Steps[Response]:
            response = handler(request, context)
            rule = self._choose(request.target.path.decode("latin-1"), is_of_connections=False)
            return response if rule is None else self._break(rule, response, request, context)

        return respond

    def _open(self, transport: RecordedTransport) -> None:
        """Let a new connection break off if a rule selects it."""
        rule = self._choose("", is_of_connections=True)
        if rule is None:
            return

        def break_off() -> None:
            if rule.name == "connect-reset":
                transport.reset()
            raise ConnectionAbortedError(FAULTS[rule.name].text)

        transport.begin = break_off

    def _choose(self, path: str, *, is_of_connections: bool) -> Rule | None:
        """Return the rule that breaks a new connection, or the response to a request for *path*, or None."""
        with self._lock:
            for index, rule in enumerate(self._rules):
                if FAULTS[rule.name].is_of_connections != is_of_connections or not rule.matches(path):
                    continue
                if self._random.random() < rule.probability:
                    if rule.times == 1:
                        del self._rules[index]
                    elif rule.times:
                        self._rules[index] = rule._replace(times=rule.times - 1)
                    return rule
        return None

    def _break(
        self, rule: Rule, response: Response | Steps[Response], request: Request, context: Context
    ) -> Steps[Response]:
        """Send *response* with the fault; return a response for the access log, which the transport discards."""
        if not isinstance(response, Response):
            response = yield from response
        transport = self._transports.of(context)
        if transport.next is not Next.SENT:
            # Exact octets have been sent in place of the response.
            return response
        try:
            content = response.content if request.method != "HEAD" else ()
            if isinstance(content, Stream):
                content = ((yield from _collect(content, context)),)
            fault = FAULTS[rule.name]
            script = fault.make(_message(response, content, request, context), rule.value)
            yield from send_exactly(script.parts, script.then, context, transport)
        finally:
            response.close()
        discarded = Response(response.status)
        discarded.refusal = Refusal(response.status, f"fault {rule.name}: {fault.text}", fault.section)
        return discarded


def _collect(stream: Stream, context: Context) -> Steps[bytes]:
    """Return all octets of *stream*, without its pauses."""
    octets = bytearray()
    for chunk in stream.chunks:
        if not isinstance(chunk, Sleep):
            octets += chunk
        yield
        if context.is_stopping:
            break
    return bytes(octets)


def _message(response: Response, content: tuple[Part, ...], request: Request, context: Context) -> Message:
    fields = [("Date", format_http_date(context.tick.second)), *response.fields]
    if not request.is_persistent:
        fields.insert(1, ("Connection", "close"))
    start = response.status.line + "".join(f"{name}: {value}\r\n" for name, value in fields)
    length = sum(part.length if isinstance(part, FileSlice) else len(part) for part in content)
    return Message(start.encode("latin-1"), length, content)
