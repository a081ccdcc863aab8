"""Inspected connections: traced ones that also serve the inspector's page, and sample the kernel's TCP_INFO.

An inspected server uses these classes from the start; their events go to ``recorder``. An event stream is a coroutine
like any response: it sleeps, sends the new events, and repeats, without a thread or a wake-up. A slow reader gets only
the events that the recorder still holds.

RFC 9112 §7.1 (chunked transfer coding); RFC 9293 §3.8, RFC 5681 (the figures of TCP_INFO).
"""

import socket
from collections.abc import Callable, Sequence

from httpsock.files.document_root import Tick
from httpsock.files.handler import respond
from httpsock.http.messages import Request, Response
from httpsock.http.steps import Work
from httpsock.server.access_log import Exchange
from httpsock.server.connection import Coroutine
from httpsock.server.event_loop import EventLoop, Log, Report
from httpsock.server.poller import READABLE, WRITABLE
from httpsock.server.settings import Settings
from httpsock.tracing.tcp_info import tcp_info

from . import routes
from .recorder import EventStream, InspectedTracer, Recorder
from .routes import Stream, announce, is_shown, may_inspect
from .traced import Instrumentation, TracedConnection, TracedEventLoop

# The delay that gathers events into one chunk, and the interval of TCP_INFO samples of a download.
_GATHER_SECONDS = 0.1
_SAMPLE_SECONDS = 0.2


class Inspection(Instrumentation):
    """The classes of a server whose events go to *recorder*; one for each server."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._recorder = recorder

    def event_loop(
        self, listeners: Sequence[socket.socket], settings: Settings, log: Log | None, report: Report
    ) -> EventLoop:
        """Return a new event loop."""
        counting = self._recorder.counting(log)
        loop = TracedEventLoop(listeners, settings, counting, report, trace=self._recorder)
        loop.connection = InspectedConnection
        return loop


class InspectedConnection(TracedConnection):
    """A connection that also serves the inspector, and samples TCP_INFO during long responses."""

    __slots__ = ("_next_sample",)

    emit: InspectedTracer

    def __init__(
        self,
        connected: socket.socket,
        client: str,
        settings: Settings,
        log: Callable[[Exchange], object] | None,
        tick: Tick,
        *,
        emit: InspectedTracer,
    ) -> None:
        self._next_sample = 0.0
        super().__init__(connected, client, settings, log, tick, emit=emit)

    def _respond(self, request: Request, tick: Tick) -> Response | Work[Response]:
        """Return the inspector's response if the request may inspect, else the folder's."""
        is_own = may_inspect(request, self.client)
        self.emit.set_own(is_own=is_own)
        if is_own:
            return routes.respond(request)
        response = respond(request, tick)
        return announce(response) if isinstance(response, Response) and is_shown(request, self.client) else response

    def _send(self, response: Response, request: Request | None, *, is_persistent: bool) -> Coroutine | None:
        unsent = super()._send(response, request, is_persistent=is_persistent)
        if isinstance(response, Stream) and request and request.method == "GET":
            return self._stream(unsent, EventStream(self.emit.recorder, response.last_event_id, self.tick.monotonic))
        return unsent

    def _stream(self, unsent: Coroutine | None, events: EventStream) -> Coroutine:
        """Send new events until the reader disconnects or the server stops."""
        if unsent:
            yield from unsent
        emit = self.emit
        emit.is_silent = True
        emit.recorder.streaming(emit.connection, is_on=True)
        try:
            while not self._settings.is_stopping:
                # Measure the reader's speed for each chunk anew.
                self._start_rate(self.tick.monotonic)
                yield from self._send_octets(_chunk(events.next(self.tick.monotonic)), 0)
                yield from self._gather()
            yield from self._send_octets(b"0\r\n\r\n", 0)
        finally:
            emit.recorder.streaming(emit.connection, is_on=False)
            emit.is_silent = False

    def _gather(self) -> Coroutine:
        """Sleep while events gather. Raises OSError if the reader disconnects or the connection is evicted."""
        deadline = self.tick.monotonic + _GATHER_SECONDS
        # Idle means evictable: the reader can reconnect and resume here.
        self.is_idle = True
        try:
            yield READABLE, deadline
        except TimeoutError:
            if self.tick.monotonic < deadline:
                raise
        else:
            if not self._settings.is_stopping:
                raise ConnectionAbortedError("the reader of the events disconnected, or sent another request")
        self.is_idle = False

    def _serve(self) -> Coroutine:
        """Serve, and sample TCP_INFO while waiting for room to send."""
        coroutine = super()._serve()
        thrown = None
        try:
            while True:
                try:
                    wait = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
                except StopIteration:
                    return
                thrown = None
                try:
                    if wait and wait[0] == WRITABLE:
                        yield from self._sampling(wait[1])
                    else:
                        yield wait
                except TimeoutError as error:
                    thrown = error
        finally:
            coroutine.close()

    def _sampling(self, deadline: float) -> Coroutine:
        """Wait for room to send, and emit a "tcp" event at intervals."""
        while True:
            now = self.tick.monotonic
            if now >= self._next_sample and (info := tcp_info(self._socket)):
                self._next_sample = now + _SAMPLE_SECONDS / 2
                self.emit("tcp", {"tcp": info})
            try:
                yield WRITABLE, min(deadline, now + _SAMPLE_SECONDS)
            except TimeoutError:
                if self.tick.monotonic >= deadline:
                    raise
            else:
                return


def _chunk(octets: bytes) -> bytes:
    """Return *octets* as a chunk, or b"" if they are empty, since an empty chunk ends the content."""
    return b"%x\r\n%b\r\n" % (len(octets), octets) if octets else b""
