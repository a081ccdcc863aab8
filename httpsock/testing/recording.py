"""The recording: the requests that arrived, each as received and as parsed.

Takes the octets that each transport receives, and parses them a second time. So the recording also has content that no
handler reads, and octets that are not a request. Any thread may read the recording.

RFC 9112 §2.1 (message format), §8 (incomplete messages).
"""

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from httpsock.http.checks import check_kind
from httpsock.http.masking import mask
from httpsock.http.message_reader import Content, EndOfContent, Pause
from httpsock.http.messages import Refusal, Request, RequestError
from httpsock.http.request_parser import Limits, RequestParser
from httpsock.tracing.events import Event, TextFormatter, visible_octets

# Show this much of octets that are not a request.
_MAX_SHOWN = 2048


class ReceivedConnection(NamedTuple):
    """The connection on which a request came. *number* counts connections from 1.

    *peer* is the client's address. *accepted* is the time when the server accepted the connection, on the monotonic
    clock.
    """

    number: int
    peer: str
    accepted: float


class ReceivedRequest:
    """One request as it arrived. If the request is malformed or incomplete, *refusal* has the reason.

    *method* and *target* are text. If the head is malformed, *method* and *target* are empty. *fields* are pairs of
    name and value, in the order received. Names are in lower case. *began* and *ended* are the times of the first and
    the last octet, on the monotonic clock.
    """

    def __init__(self, connection: ReceivedConnection, began: float, request: Request | None = None) -> None:
        self.connection = connection
        self.began = self.ended = began
        self.method = request.method if request else ""
        self.target = _text(request.request_line).split(" ")[1] if request else ""
        self.fields = tuple((_text(name), _text(value)) for name, value in request.field_lines) if request else ()
        self.head = request.head if request else b""
        self.refusal: Refusal | None = None
        self.is_complete = request is not None and request.content_length == 0
        self._octets, self._content = bytearray(), bytearray()

    @property
    def octets(self) -> bytes:
        """All octets of the request as received, with the framing of the content."""
        return bytes(self._octets)

    @property
    def content(self) -> bytes:
        """The octets of the content, without the framing of chunks."""
        return bytes(self._content)

    @property
    def is_over(self) -> bool:
        """Whether the request has ended: it is complete, malformed or broken off."""
        return self.is_complete or self.refusal is not None

    def field(self, name: str) -> str | None:
        """Return the value of the field called *name*, or None if the field is missing.

        If the field has several lines, join their values with commas.
        """
        check_kind("the name of a field", name, str, "a str")
        values = [value for found, value in self.fields if found == name.lower()]
        return ", ".join(values) if values else None

    def append(self, octets: bytes, content: bytes = b"") -> None:
        """Append *octets* as received, and *content*, which was decoded from *octets*."""
        self._octets += octets
        self._content += content
        self.ended = time.monotonic()

    def __repr__(self) -> str:
        what = f"{self.method} {self.target}" if self.method else repr(self.octets[:40])
        return f"<{what} on connection {self.connection.number}>"


class Recording:
    """The requests of one server, in the order in which their heads arrived."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._requests: list[ReceivedRequest] = []
        self._connections = 0
        self.changed = threading.Condition()

    def connection(self, peer: str) -> ReceivedConnection:
        """Count and return a new connection from the client *peer*."""
        with self.changed:
            self._connections += 1
            return ReceivedConnection(self._connections, peer, time.monotonic())

    def add(self, request: ReceivedRequest) -> ReceivedRequest:
        """Add *request*, and return it."""
        with self.changed:
            self._requests.append(request)
        return request

    def notify(self) -> None:
        """Wake the threads that wait for requests."""
        with self.changed:
            self.changed.notify_all()

    def requests(self) -> list[ReceivedRequest]:
        """Return the requests that have arrived so far."""
        with self.changed:
            return list(self._requests)

    def clear(self) -> None:
        """Forget the requests that have arrived so far."""
        with self.changed:
            self._requests.clear()

    def wait_for(self, count: int, seconds: float) -> list[ReceivedRequest]:
        """Wait until at least *count* requests have ended. Return all requests.

        If this takes longer than *seconds*, raise AssertionError.
        """

        def over() -> int:
            return sum(request.is_over for request in self._requests)

        with self.changed:
            if self.changed.wait_for(lambda: over() >= count, seconds):
                return list(self._requests)
            found = over()
        raise AssertionError(f"{found} of {count} requests arrived within {seconds:g} s\n{describe(self.requests())}")


class Arrivals:
    """Finds the requests in the octets of one connection. Records each request."""

    def __init__(self, recording: Recording, peer: str) -> None:
        self._recording = recording
        self._connection = recording.connection(peer)
        self._parser = RequestParser(recording.limits)
        # The octets received since the last event, and the time of the first one; the request whose content is
        # arriving; and whether recording has ended.
        self._octets = bytearray()
        self._began = 0.0
        self._request: ReceivedRequest | None = None
        self._is_over = False

    def receive(self, octets: bytes) -> None:
        """Record *octets*, which have just arrived. b"" means the end of the connection."""
        if self._is_over:
            return
        self._is_over = not octets
        self._began = self._began if self._octets else time.monotonic()
        self._octets += octets
        self._parser.receive(octets)
        try:
            while not isinstance(event := self._parser.next_event(), Pause):
                self._record(event)
        except RequestError as error:
            self._is_over = True
            request = self._request or self._recording.add(ReceivedRequest(self._connection, self._began))
            request.append(self._take(len(self._octets)))
            request.refusal = error.refusal
        self._recording.notify()

    def _record(self, event: Request | Content | EndOfContent) -> None:
        began, octets = self._began, self._take(len(self._octets) - len(self._parser.unread))
        if isinstance(event, Request):
            self._request = self._recording.add(ReceivedRequest(self._connection, began, event))
        request = self._request
        if request is None:
            raise AssertionError("content follows a request")
        request.append(octets, event.octets if isinstance(event, Content) else b"")
        request.is_complete = request.is_complete or isinstance(event, EndOfContent)
        self._request = None if request.is_complete else request

    def _take(self, count: int) -> bytes:
        """Remove the first *count* octets from the buffer, and return them."""
        octets = bytes(self._octets[:count])
        del self._octets[:count]
        # The octets after them have just arrived.
        self._began = time.monotonic()
        return octets


def describe(requests: Iterable[ReceivedRequest]) -> str:
    """Return *requests* as text, like a trace. Credentials are masked."""
    return "".join(map(TextFormatter(), map(_event, requests))) or "no request has arrived\n"


def _event(request: ReceivedRequest) -> Event:
    number, peer, accepted = request.connection
    attributes: dict[str, object] = {"method": request.method, "target": _target(request)}
    attributes |= {"content": len(request.content)}
    head = mask(request.head)
    if refusal := request.refusal:
        status, reason, section = refusal
        attributes |= {"status": int(status), "phrase": status.phrase, "reason": reason, "section": section}
        head = head or mask(request.octets[:_MAX_SHOWN])
    return Event(0.0, 0, number, peer, request.ended - accepted, "refuse" if refusal else "parse", attributes, head)


def _target(request: ReceivedRequest) -> str:
    """Return the request-target without credentials."""
    masked = visible_octets(mask(request.head.partition(b"\r\n")[0]))
    return masked.partition(" ")[2].rpartition(" ")[0]


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")
