"""The inspected variants: connections that answer the inspector's page, too, and say how the kernel sees them.

A server that is to be inspected is made of these from the start. They are the traced ones, and tell the inspector.
A stream of events is a conversation like any other: it waits a moment, sends what is new, and waits again, so that it
takes no thread and nothing has to wake it. Its reader may be slow: it is only sent what is still remembered.

RFC 9112 §7.1 (chunked transfer coding); RFC 9293 §3.8, RFC 5681 (what the kernel is asked for).
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
from .traced import Instrumentation, TracedConnection, TracedWorker

# How long events are gathered before they are sent, and how often the kernel is asked about a download.
_GATHER_SECONDS = 0.1
_SAMPLE_SECONDS = 0.2


class Inspection(Instrumentation):
    """What a server is made of that *inspector* sees. One belongs to one server."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._recorder = recorder

    def worker(
        self, listeners: Sequence[socket.socket], settings: Settings, log: Log | None, report: Report
    ) -> EventLoop:
        """Make a worker."""
        counting = self._recorder.counting(log)
        worker = TracedWorker(listeners, settings, counting, report, trace=self._recorder)
        worker.connection = InspectedConnection
        return worker


class InspectedConnection(TracedConnection):
    """A connection that answers the inspector's page, too, and tells how the kernel sees it while it sends much."""

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
        """Return the inspector's response to who may inspect, else the origin's."""
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

    def _stream(self, unsent: Coroutine | None, feed: EventStream) -> Coroutine:
        """Send what is new, over and over, until the reader leaves or the server stops."""
        if unsent:
            yield from unsent
        emit = self.emit
        emit.is_silent = True
        emit.recorder.streaming(emit.connection, is_on=True)
        try:
            while not self._settings.is_stopping:
                # How slow the reader may be is reckoned from now on.
                self._start_rate(self.tick.monotonic)
                yield from self._send_octets(_chunk(feed.next(self.tick.monotonic)), 0)
                yield from self._gather()
            yield from self._send_octets(b"0\r\n\r\n", 0)
        finally:
            emit.recorder.streaming(emit.connection, is_on=False)
            emit.is_silent = False

    def _gather(self) -> Coroutine:
        """Wait for a moment. Raises an OSError if the reader leaves, or room is made for others."""
        deadline = self.tick.monotonic + _GATHER_SECONDS
        # Nothing is lost if it is cut short here.
        self.is_idle = True
        try:
            yield READABLE, deadline
        except TimeoutError:
            if self.tick.monotonic < deadline:
                raise
        else:
            if not self._settings.is_stopping:
                raise ConnectionAbortedError("the reader has left, or asks for more while it is answered")
        self.is_idle = False

    def _serve(self) -> Coroutine:
        """Serve, and ask the kernel now and then while there is no room to send."""
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
        """Wait for room to send, and tell what the kernel knows meanwhile."""
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
    """Return *octets* as a chunk; for none nothing, since an empty chunk would be the last."""
    return b"%x\r\n%b\r\n" % (len(octets), octets) if octets else b""
