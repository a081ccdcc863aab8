"""The trace: events are taken from whoever has something to tell, and written by a thread of its own.

Nobody who tells ever waits for a terminal: events wait in memory, up to a bound in octets. Those that come when it is
reached are counted, and the number is told where they are missing. Events are written in the order in which they
were told, so that those of one connection stand in the order in which they happened. Knows nothing of HTTP.

    tell, tell, ... → queue, bounded → the writer: format, write, ...
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
from .output import shows_colours, standard_error, write_whole

# What may wait to be written, and what an event takes up besides the octets that it holds.
_MOST_OCTETS = 16 * 1024 * 1024
_EVENT_OCTETS = 1024
# So many are written at a time.
_BATCH = 64
# A terminal that stalls holds up the end no longer than this.
_FINISH_SECONDS = 1.0
# What is held back of one exchange until it is known what it asks for.
_MOST_HELD_BACK = 100


def trace_on_standard_error(
    form: str, *, only: str = "", shows_process: bool = False, is_client: bool = False
) -> "TraceWriter":
    """Return a trace that is written to standard error in one of the forms of --trace, coloured where that is welcome.

    Where a program was started without standard error, its descriptor may be anything by now: nothing is written then.
    """
    descriptor = standard_error()
    text = TextFormatter(is_coloured=shows_colours(descriptor), shows_process=shows_process, is_client=is_client)
    return TraceWriter(
        format_json if form == "json" else text,
        descriptor,
        only=only,
        # A program may have put something without an encoding in its place.
        encoding=getattr(sys.stderr, "encoding", None) or "utf-8",
        wants_octets=form == "octets",
    )


class TraceWriter:
    """Writes events to a file descriptor: at once until ``start`` is called, then from a thread, until ``finish``.

    *only* restricts it to what concerns one client, given as its address, or requests whose path starts so.
    """

    def __init__(
        self,
        format_event: Format,
        descriptor: int,
        *,
        only: str = "",
        encoding: str = "utf-8",
        wants_octets: bool = False,
        most_octets: int = _MOST_OCTETS,
    ) -> None:
        self.wants_octets = wants_octets
        self.path = os.fsencode(only) if only.startswith("/") else b""
        self._client = "" if self.path else only
        self._format = format_event
        self._descriptor = descriptor
        self._encoding = encoding
        self._most_octets = most_octets
        self._thread: threading.Thread | None = None
        # Holds what follows; notified when there is something to write, or no more to come.
        self._changed = threading.Condition()
        self._waiting: deque[Event] = deque()
        self._octets = 0
        self._lost = 0
        self._count = 0
        self._is_over = False
        # Until when to retry a standard error that is full, on the monotonic clock.
        self._latest = math.inf
        self.server = ConnectionTracer(self, 0, "")

    def includes(self, client: str) -> bool:
        """Return whether anything is to be told of a client at this address."""
        return not self._client or client == self._client

    def teller(self, peer: str) -> "ConnectionTracer":
        """Return what tells of the next connection."""
        with self._changed:
            self._count += 1
            return ConnectionTracer(self, self._count, peer)

    def put(self, event: Event) -> None:
        """Take an event, and return at once."""
        with self._changed:
            if self._thread is None:
                self._write([event])
            elif self._octets + memory_size(event) > self._most_octets:
                self._lost += 1
            else:
                self._queue_lost()
                self._queue(event)

    def start(self) -> None:
        """Write from a thread from now on. Raises OSError if the system allows none."""
        self._thread = threading.Thread(target=self._run, name="httpsock-trace", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            raise OSError(errno.EAGAIN, "the system allows no more threads") from None

    def finish(self) -> None:
        """Return when all is written, or nothing can be."""
        with self._changed:
            self._queue_lost()
            self._is_over = True
            self._latest = time.monotonic() + _FINISH_SECONDS
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_FINISH_SECONDS)
            if not self._thread.is_alive():
                # What is still told is written at once, as before the start.
                self._thread = None

    def _queue(self, event: Event) -> None:
        self._octets += memory_size(event)
        self._waiting.append(event)
        self._changed.notify()

    def _queue_lost(self) -> None:
        """Tell how many events are missing here, if any are."""
        if self._lost:
            self._queue(self.server.event("lost", {"events": self._lost}))
            self._lost = 0

    def _run(self) -> None:
        """Write what there is to write until there is no more to come."""
        while batch := self._next():
            self._write(batch)
            with self._changed:
                self._octets -= sum(map(memory_size, batch))

    def _next(self) -> list[Event]:
        """Return the next events when there are some, or none when there are no more to come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]

    def _formatted(self, event: Event) -> str:
        """Return an event as text; a fault of ours costs this one, never the thread that writes."""
        try:
            return self._format(event)
        except Exception as error:
            return f"an event could not be shown: {error!r}\n"

    def _write(self, events: list[Event]) -> None:
        """Write events, from the thread however long it takes; count as lost those that can't be written."""
        octets = "".join(map(self._formatted, events)).encode(self._encoding, "backslashreplace")
        may_go_on = self._may_go_on if self._thread else bool
        if write_whole(self._descriptor, octets, may_go_on) < len(octets):
            with self._changed:
                self._lost += len(events)

    def _may_go_on(self) -> bool:
        """Return whether to retry a standard error that is full."""
        return time.monotonic() < self._latest


class ConnectionTracer:
    """Tells a trace of one connection.

    Where the trace is of some paths only, the events of an exchange are held back until its path is known. An exchange
    begins when something is received after an answer.
    """

    def __init__(self, trace: TraceWriter, connection: int, peer: str) -> None:
        self.wants_octets = trace.wants_octets
        self._trace = trace
        self._connection = connection
        self._peer = peer
        self._began = time.monotonic()
        # Whether the exchange that is under way is wanted, if that is known; whether it has been answered.
        self._is_wanted = None if trace.path and connection else True
        self._is_answered = False
        self._sent, self._received = Masker(), Masker()
        self._held_back: deque[Event] = deque(maxlen=_MOST_HELD_BACK)

    def __call__(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        head: bytes = b"",
        octets: bytes | memoryview = b"",
    ) -> None:
        """Tell of what happens now. Either *head* is shown, or *octets* are; credentials in them are not."""
        event = self.event(name, attributes or {}, head, octets)
        if self._trace.path and self._connection:
            self._route(event)
        else:
            self._trace.put(event)

    def event(
        self, name: str, attributes: Mapping[str, Any], head: bytes = b"", octets: bytes | memoryview = b""
    ) -> Event:
        """Return what happens now as an event."""
        seconds = time.monotonic() - self._began
        event = Event(time.time(), os.getpid(), self._connection, self._peer, seconds, name, attributes)
        if not self.wants_octets:
            return event._replace(head=mask(head)) if head else event
        return event._replace(octets=self._masked(name, octets)) if octets else event

    def set_path(self, path: bytes) -> None:
        """Tell which path the exchange that is under way asks for."""
        if self._trace.path:
            self._is_wanted = path.startswith(self._trace.path)
            for event in self._held_back if self._is_wanted else ():
                self._trace.put(event)
            self._held_back.clear()
            self._is_answered = False

    def _masked(self, name: str, octets: bytes | memoryview) -> bytes:
        """Return octets that were sent or received without the credentials in them."""
        # What is on no connection are datagrams, and none goes on with another.
        ways = (self._sent, self._received) if self._connection else (Masker(), Masker())
        return ways[not name.startswith("send")].mask(bytes(octets))

    def _route(self, event: Event) -> None:
        """Tell of *event*, hold it back, or forget it."""
        if event.name == "recv" and self._is_answered and event.attributes.get("octets"):
            self._is_wanted = None
        if event.name in ("send", "sendfile"):
            self._is_answered = True
        elif event.name in ("recv", "shutdown"):
            # After our end what is received is no request.
            self._is_answered = False
        if self._is_wanted:
            self._trace.put(event)
        elif self._is_wanted is None:
            self._held_back.append(event)


def memory_size(event: Event) -> int:
    """Return about how many octets of memory an event takes up."""
    texts = sum(len(fact) for fact in event.attributes.values() if isinstance(fact, str))
    return _EVENT_OCTETS + texts + len(event.head) + len(event.octets)
