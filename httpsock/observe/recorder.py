"""The recorder: holds the latest events in memory, and counts all events.

Trace events come in, an event stream goes out. The recorder holds events up to a limit. So a slow client loses events,
but never delays the server. The stream reports how many events were lost. Its format is "Server-sent events" (HTML):

    id: 5f3a9c01-57                        event 57 of this server; a client resumes after it with Last-Event-ID
    data: {"time": ..., "event": "recv", "octets": 78, "hex": "474554...", ...}

    event: counters                        after each change
    data: {"accepted": 12, "open": 2, "requests": 31, ...}

    :                                      a heartbeat, while no event happens
"""

import json
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from httpsock.http.masking import mask
from httpsock.server.access_log import Exchange
from httpsock.server.event_loop import Log
from httpsock.tracing.events import Event, format_json
from httpsock.tracing.trace import ConnectionTracer, TraceWriter, memory_size

# The path of the inspector; its own requests are not recorded.
PREFIX = b"/.httpsock/"
# The maximum of events to hold, and of their memory: enough for a few hundred requests.
_MAX_EVENTS = 1000
_MAX_OCTETS = 4 * 1024 * 1024
# Hold the first events of the server itself, from socket() to listen(), for ever.
_MAX_STARTUP_EVENTS = 16
# Show this many octets of each call.
_SHOWN_OCTETS = 1024
# Send this many events at a time: 256 take 3 ms to format, which delays the event loop.
_BATCH = 256
_HEARTBEAT_SECONDS = 10.0
# List this many of the newest open connections.
_MAX_LISTED = 256
# Buckets of the histogram: up to 1 µs, 2, 4, ...; the last one is for more than a minute.
_LATENCIES = 28


class Recorder(TraceWriter):
    """A trace that holds its latest events in memory.

    If *forward_to* is given, the trace *forward_to* gets the events too.
    """

    def __init__(
        self, forward_to: TraceWriter | None = None, *, max_events: int = _MAX_EVENTS, max_octets: int = _MAX_OCTETS
    ) -> None:
        super().__init__(format_json, -1)
        self._forward_to = forward_to
        self.server = InspectedTracer(self, 0, "", forward_to.server if forward_to else None)
        # A random name, which distinguishes this server's events from those of an earlier process.
        self.name = os.urandom(4).hex()
        # Guards all fields below.
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._own: list[tuple[int, Event]] = []
        self._last = 0
        self._memory = 0
        self._max_events = max_events
        self._max_memory = max_octets
        self._open: dict[int, None] = {}
        self._streams: set[int] = set()
        self._received = self._sent = 0
        self._statuses: Counter[int] = Counter()
        self._latencies = [0] * _LATENCIES
        # Cache the formatted events and counters, so that many streams cost hardly more than one.
        self._messages: dict[int, str] = {}
        self._counters: tuple[dict[str, Any], str] = ({}, "")
        self._process = {"process": os.getpid(), "started": time.time()}

    def tracer(self, peer: str) -> "InspectedTracer":
        """Return a tracer for a new connection from the client *peer*."""
        with self._lock:
            self._count += 1
            client = peer.rpartition(":")[0].strip("[]") or peer
            forward_to = (
                self._forward_to.tracer(peer) if self._forward_to and self._forward_to.includes(client) else None
            )
            return InspectedTracer(self, self._count, peer, forward_to)

    def put(self, event: Event) -> None:
        """Store *event*. If a limit is exceeded, evict the oldest events."""
        with self._lock:
            self._count_event(event)
            self._last += 1
            if not event.connection and len(self._own) < _MAX_STARTUP_EVENTS:
                self._own.append((self._last, event))
            self._events.append(event)
            self._memory += memory_size(event)
            while len(self._events) > self._max_events or self._memory > self._max_memory:
                self._memory -= memory_size(self._events.popleft())

    def start(self) -> None:
        """Start the trace that gets the forwarded events."""
        if self._forward_to:
            self._forward_to.start()

    def finish(self) -> None:
        """Finish the trace that gets the forwarded events."""
        if self._forward_to:
            self._forward_to.finish()

    def counting(self, log: Log | None) -> Log:
        """Return a log that counts exchanges, then calls *log*."""

        def count(exchanges: Sequence[Exchange]) -> None:
            self._count_exchanges(exchanges)
            if log:
                log(exchanges)

        return count

    def after(self, number: int | None) -> tuple[int, list[Event]]:
        """Return the events after event *number*, at most one batch.

        The result is a pair: the number of the first event, and the list of events. If *number* is None, begin with the
        oldest event.
        """
        with self._lock:
            first = self._last - len(self._events) + 1
            start = first if number is None or number > self._last else max(first, number + 1)
            return start, list(islice(self._events, start - first, start - first + _BATCH))

    def message(self, number: int, event: Event) -> str:
        """Return *event* as a message of an event stream. All streams share a cache of messages."""
        message = self._messages.get(number)
        if message is None:
            message = self._messages[number] = f"id: {self.name}-{number}\ndata: {_object(event)}\n\n"
            if len(self._messages) > _BATCH:
                self._messages.pop(next(iter(self._messages)), None)
        return message

    def startup_events_before(self, number: int) -> list[Event]:
        """Return the events of the server's start-up that came before event *number*."""
        with self._lock:
            return [event for own, event in self._own if own < number]

    def streaming(self, connection: int, *, is_on: bool) -> None:
        """Record whether a connection sends an event stream."""
        with self._lock:
            (self._streams.add if is_on else self._streams.discard)(connection)

    def counters_message(self) -> tuple[dict[str, Any], str]:
        """Return all counters as a dict, and as a message of an event stream. All streams share the message."""
        counters = self.counters()
        known, message = self._counters
        if counters != known:
            message = f"event: counters\ndata: {json.dumps(counters)}\n\n"
            self._counters = counters, message
        return counters, message

    def counters(self) -> dict[str, Any]:
        """Return all counters, and the numbers of the newest open connections."""
        with self._lock:
            return {
                **self._process,
                "accepted": self._count,
                "open": len(self._open),
                "connections": list(islice(reversed(self._open), _MAX_LISTED)),
                "streams": sorted(self._streams),
                "requests": self._statuses.total(),
                "statuses": dict(sorted(self._statuses.items())),
                "received": self._received,
                "sent": self._sent,
                "latencies": list(self._latencies),
            }

    def _count_event(self, event: Event) -> None:
        """Update the counters that *event* changes."""
        match event.name:
            case "accept":
                self._open[event.connection] = None
            case "close":
                self._open.pop(event.connection, None)
            case "recv":
                self._received += event.attributes.get("octets", 0)
            case "send" | "sendfile":
                self._sent += event.attributes.get("octets", 0)

    def _count_exchanges(self, exchanges: Sequence[Exchange]) -> None:
        with self._lock:
            for exchange in exchanges:
                if not exchange.request_line.partition(b" ")[2].startswith(PREFIX):
                    self._statuses[int(exchange.status)] += 1
                    power = int(exchange.seconds * 1_000_000).bit_length()
                    self._latencies[min(power, _LATENCIES - 1)] += 1


class InspectedTracer(ConnectionTracer):
    """Records the events of one connection, except the events of requests for the inspector.

    The events of a request are buffered until its target is known. If *forward_to* is given, the tracer *forward_to*
    gets the events of all requests.
    """

    def __init__(self, recorder: Recorder, connection: int, peer: str, forward_to: ConnectionTracer | None) -> None:
        super().__init__(recorder, connection, peer)
        self.wants_octets = forward_to is not None and forward_to.wants_octets
        self.recorder = recorder
        self.connection = connection
        self._forward_to = forward_to
        self._undecided: list[Event] = []
        self._is_own = False
        # While it sends an event stream, it emits no events: each would go into the stream and cause another one.
        self.is_silent = False

    def __call__(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        head: bytes = b"",
        octets: bytes | memoryview = b"",
    ) -> None:
        """Emit an event that happens now."""
        if self.is_silent:
            return
        if self._forward_to:
            self._forward_to(name, attributes, head, octets)
        event = self.event(name, attributes or {}, head, octets)
        # Events of connection 0 never belong to the inspector.
        if self.connection and name in ("recv", "parse"):
            self._undecided.append(event)
            return
        if self._undecided:
            self.set_own(is_own=False)
        # Record each "close", since each "accept" is recorded.
        if not self._is_own or name == "close":
            self.recorder.put(event)

    def event(
        self, name: str, attributes: Mapping[str, Any], head: bytes = b"", octets: bytes | memoryview = b""
    ) -> Event:
        """Return an event with the current time, *head* and the start of *octets*."""
        event = super().event(name, attributes)
        # Mask all octets, since a field line may continue in the next call.
        shown = self._masked(name, octets)[:_SHOWN_OCTETS] if octets else b""
        return event._replace(head=mask(head), octets=shown)

    def set_path(self, path: bytes) -> None:
        """Set the request path of the current exchange."""
        if self._forward_to:
            self._forward_to.set_path(path)

    def set_own(self, *, is_own: bool) -> None:
        """Record the events of the current request, or drop them.

        If *is_own* is true, the request is for the inspector. Then drop its buffered events and its later events.
        """
        self._is_own = is_own
        for event in () if is_own else self._undecided:
            self.recorder.put(event)
        self._undecided.clear()


class EventStream:
    """The event stream to one client: all new events that the recorder still holds."""

    def __init__(self, recorder: Recorder, last_event_id: bytes, now: float) -> None:
        name, _, number = last_event_id.partition(b"-")
        is_ours = name == recorder.name.encode() and len(number) < 20 and number.isdigit()
        self._recorder = recorder
        self._last = int(number) if is_ours else None
        self._counters: dict[str, Any] = {}
        self._last_sent = now

    def next(self, now: float) -> bytes:
        """Return the new messages, or a heartbeat after a long silence."""
        recorder = self._recorder
        first, events = recorder.after(self._last)
        lines = []
        if self._last is None:
            lines = [f"data: {_object(event)}\n\n" for event in recorder.startup_events_before(first)]
        elif first > self._last + 1:
            lost = recorder.server.event("lost", {"events": first - self._last - 1})
            lines.append(f"data: {format_json(lost)}\n")
        lines += [recorder.message(number, event) for number, event in enumerate(events, first)]
        self._last = first + len(events) - 1
        counters, message = recorder.counters_message()
        if counters != self._counters:
            self._counters = counters
            lines.append(message)
        if not lines and now - self._last_sent >= _HEARTBEAT_SECONDS:
            lines.append(":\n\n")
        if lines:
            self._last_sent = now
        return "".join(lines).encode("ascii")


def _object(event: Event) -> str:
    """Return *event* as JSON, with the octets of the call in hexadecimal."""
    members = format_json(event).removesuffix("}\n")
    return f'{members}, "hex": "{event.octets.hex()}"}}' if event.octets else f"{members}}}"
