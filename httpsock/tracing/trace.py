"""The trace: queue events, and write them from a thread.

Emitting never blocks. If the queue is full, new events are dropped, and the trace reports how many. The writer keeps
the order of the events, so the events of one connection appear as they happened. Must not know HTTP.

    emit, emit, ... → bounded queue → writer thread: format, write, ...
"""

import errno
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from httpsock.http.masking import Masker, mask

from .events import Event, Format, TextFormatter, format_json
from .output import shows_colours, standard_error, would_block, write_whole

# The limit of the queue, and an event's own memory in addition to its octets.
_MAX_OCTETS = 16 * 1024 * 1024
_EVENT_OCTETS = 1024
# Write this many events at a time.
_BATCH = 64
# A stalled terminal delays the exit by at most this.
_FINISH_SECONDS = 1.0
# The maximum of events to buffer until the path of their exchange is known.
_MAX_BUFFERED = 100


def trace_on_standard_error(
    form: str, *, only: str = "", shows_process: bool = False, is_client: bool = False
) -> "TraceWriter":
    """Return a trace that writes to standard error. *form* is the value of ``--trace``.

    If the program was started without standard error, all events are lost.
    """
    descriptor = standard_error()
    text = TextFormatter(is_coloured=shows_colours(descriptor), shows_process=shows_process, is_client=is_client)
    return TraceWriter(
        format_json if form == "json" else text,
        descriptor,
        only=only,
        # A program may have replaced sys.stderr by an object without an encoding.
        encoding=getattr(sys.stderr, "encoding", None) or "utf-8",
        wants_octets=form == "octets",
    )


class TraceWriter:
    """Writes events to a descriptor. After ``start()`` a separate thread writes the events, until ``finish()``.

    If *only* is an address, the trace has only the events of this client. If *only* starts with a slash, the trace has
    only requests whose path starts with *only*.
    """

    def __init__(
        self,
        format_event: Format,
        descriptor: int,
        *,
        only: str = "",
        encoding: str = "utf-8",
        wants_octets: bool = False,
        max_octets: int = _MAX_OCTETS,
    ) -> None:
        self.wants_octets = wants_octets
        self.path = os.fsencode(only) if only.startswith("/") else b""
        self._client = "" if self.path else only
        self._format = format_event
        self._descriptor = descriptor
        self._encoding = encoding
        self._max_octets = max_octets
        self._thread: threading.Thread | None = None
        # Guards the fields below; notified when events are queued, or the trace ends.
        self._changed = threading.Condition()
        self._waiting: deque[Event] = deque()
        self._octets = 0
        self._lost = 0
        self._count = 0
        self._is_over = False
        # When to stop retrying a full standard error, on the monotonic clock.
        self._retry_deadline = math.inf
        self.server = ConnectionTracer(self, 0, "")

    def includes(self, client: str) -> bool:
        """Return whether the trace includes the events of *client*, a numeric address."""
        return not self._client or client == self._client

    def tracer(self, peer: str) -> "ConnectionTracer":
        """Return a tracer for a new connection to or from *peer*. Each connection gets the next number."""
        with self._changed:
            self._count += 1
            return ConnectionTracer(self, self._count, peer)

    def put(self, event: Event) -> None:
        """Queue an event without blocking. If the queue is full, drop the event.

        Before ``start()``, write the event immediately.
        """
        with self._changed:
            if self._thread is None:
                self._write([event])
            elif self._octets + memory_size(event) > self._max_octets:
                self._lost += 1
            else:
                self._queue_lost()
                self._queue(event)

    def start(self) -> None:
        """Start the writer thread. Raise OSError if the system allows no more threads."""
        self._thread = threading.Thread(target=self._run, name="httpsock-trace", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            raise OSError(errno.EAGAIN, "the system allows no more threads") from None

    def finish(self) -> None:
        """Wait until the writer thread has written all events and ended. Stop waiting after a time-out."""
        with self._changed:
            self._queue_lost()
            self._is_over = True
            self._retry_deadline = time.monotonic() + _FINISH_SECONDS
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_FINISH_SECONDS)
            if not self._thread.is_alive():
                # Later events are written directly, as before the start.
                self._thread = None

    def _queue(self, event: Event) -> None:
        self._octets += memory_size(event)
        self._waiting.append(event)
        self._changed.notify()

    def _queue_lost(self) -> None:
        """If events were dropped, queue an event that reports how many."""
        if self._lost:
            self._queue(self.server.event("lost", {"events": self._lost}))
            self._lost = 0

    def _run(self) -> None:
        """Write batches of events until the trace ends."""
        while batch := self._next():
            self._write(batch)
            with self._changed:
                self._octets -= sum(map(memory_size, batch))

    def _next(self) -> list[Event]:
        """Wait for events, and return a batch of events. At the end of the trace, return an empty list."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]

    def _formatted(self, event: Event) -> str:
        """Return an event as text. A bug in the formatter must not end the writer thread."""
        try:
            return self._format(event)
        except Exception as error:
            return f"an event could not be shown: {error!r}\n"

    def _write(self, events: list[Event]) -> None:
        """Write events. If that fails, count the events as lost. Only the writer thread retries, and may block."""
        octets = "".join(map(self._formatted, events)).encode(self._encoding, "backslashreplace")
        may_retry = self._may_retry if self._thread else bool
        is_blocked = not self._thread and would_block(self._descriptor)
        if is_blocked or write_whole(self._descriptor, octets, may_retry) < len(octets):
            with self._changed:
                self._lost += len(events)

    def _may_retry(self) -> bool:
        """Return whether there is time to write again to a full standard error."""
        return time.monotonic() < self._retry_deadline


class ConnectionTracer:
    """Emits the events of one connection to a trace.

    If the trace selects a path, the tracer buffers events until the path of the request is known. A new exchange begins
    with the first octets received after a response.
    """

    def __init__(self, trace: TraceWriter, connection: int, peer: str) -> None:
        self.wants_octets = trace.wants_octets
        self._trace = trace
        self._connection = connection
        self._peer = peer
        self._began = time.monotonic()
        # Whether the trace selects the current exchange, or None if that is not known yet.
        self._is_wanted = None if trace.path and connection else True
        # Whether the response of this exchange has begun.
        self._is_answered = False
        self._sent, self._received = Masker(), Masker()
        self._buffered: deque[Event] = deque(maxlen=_MAX_BUFFERED)

    def __call__(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        head: bytes = b"",
        octets: bytes | memoryview = b"",
    ) -> None:
        """Emit an event that happens now. Mask credentials in *head* and *octets*."""
        event = self.event(name, attributes or {}, head, octets)
        if self._trace.path and self._connection:
            self._route(event)
        else:
            self._trace.put(event)

    def event(
        self, name: str, attributes: Mapping[str, Any], head: bytes = b"", octets: bytes | memoryview = b""
    ) -> Event:
        """Return an event that happens now, but do not emit the event."""
        seconds = time.monotonic() - self._began
        event = Event(time.time(), os.getpid(), self._connection, self._peer, seconds, name, attributes)
        if not self.wants_octets:
            return event._replace(head=mask(head)) if head else event
        return event._replace(octets=self._masked(name, octets)) if octets else event

    def set_path(self, path: bytes) -> None:
        """Set the path of the current request.

        If the trace selects this path, emit the buffered events. Otherwise, drop the buffered events.
        """
        if self._trace.path:
            self._is_wanted = path.startswith(self._trace.path)
            for event in self._buffered if self._is_wanted else ():
                self._trace.put(event)
            self._buffered.clear()
            self._is_answered = False

    def _masked(self, name: str, octets: bytes | memoryview) -> bytes:
        """Return sent or received octets with masked credentials."""
        # Octets outside a connection are datagrams, and a secret never spans two datagrams.
        maskers = (self._sent, self._received) if self._connection else (Masker(), Masker())
        return maskers[not name.startswith("send")].mask(bytes(octets))

    def _route(self, event: Event) -> None:
        """Queue, buffer or drop *event*.

        If the path of the exchange is not known yet, buffer *event*. If the trace does not select the path, drop
        *event*.
        """
        if event.name == "recv" and self._is_answered and event.attributes.get("octets"):
            self._is_wanted = None
        if event.name in ("send", "sendfile"):
            self._is_answered = True
        elif event.name in ("recv", "shutdown"):
            # Octets received after our shutdown are not a request.
            self._is_answered = False
        if self._is_wanted:
            self._trace.put(event)
        elif self._is_wanted is None:
            self._buffered.append(event)


def memory_size(event: Event) -> int:
    """Return the approximate memory that an event takes, in octets."""
    texts = sum(len(value) for value in event.attributes.values() if isinstance(value, str))
    return _EVENT_OCTETS + texts + len(event.head) + len(event.octets)
