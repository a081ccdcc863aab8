"""A traced server: parts that emit an event for each step.

The untraced parts do not know about tracing, so tracing costs an untraced server nothing. These are the traced parts,
the parts that they wrap or replace, and their events:

    TracedListener        around the system's calls            socket, bind, listen
    TracedTransport       around a connection's transport      recv, send, sendfile, shutdown, reset, close
    traced_coroutine      around a connection's coroutine      wait, timeout, evict, cut
    traced_handler        around the handler                   parse, content, refuse, break
    TracedFileSystem      in place of the file system          stat, lstat, open, read, scandir, cache, memo, unverified

``tracing.trace`` receives the events.

RFC 9112 §9 (connection management).
"""

import math
import re
import socket
import threading
from collections.abc import Callable

from httpsock.files.paths import normalise
from httpsock.http.error_response import ErrorHandler
from httpsock.http.handler import CONTENT_OCTETS, Context, Handler, Steps, Tick
from httpsock.http.masking import mask
from httpsock.http.messages import Refusal, Request, Response, Stream
from httpsock.server.access_log import Exchange
from httpsock.server.connection import Connection, Coroutine, open_connection
from httpsock.server.event_loop import Log
from httpsock.server.settings import Settings
from httpsock.tracing.events import visible_octets
from httpsock.tracing.sockets import Emit, TracedListener, address_of, discard
from httpsock.tracing.trace import ConnectionTracer, TraceWriter

from .traced_files import TracedFileSystem
from .traced_transport import TracedTransport

_begun_target = re.compile(rb"[^ \r\n]*+ (/[^ ?\r\n]*+)")
# Show this much of octets that could not be parsed as a request.
_MAX_UNREAD = 2048


class CurrentTracer(threading.local):
    """The tracer of the connection that this thread runs.

    Each thread has its own tracer. So two threads can trace: one that a slow disk blocks, and one that runs the event
    loop meanwhile.
    """

    emit: Emit = staticmethod(discard)


class Instrumentation:
    """Makes the parts of one traced server. The events go to *trace*."""

    def __init__(self, trace: TraceWriter) -> None:
        self.trace = trace
        self.start = trace.start
        self.finish = trace.finish
        self.current = CurrentTracer()

    def listener(self, family: int, kind: int) -> socket.socket:
        """Return a new traced socket for listening."""
        return TracedListener(family, kind, emit=self.trace.server)

    def inherited(self, listener: socket.socket) -> socket.socket:
        """Return a traced socket in place of *listener*, which another process or server has opened."""
        return TracedListener.inherited(listener, self.trace.server)

    def file_system(self, root: str, *, follow_links: bool) -> TracedFileSystem:
        """Return the traced file system of a document root."""
        return TracedFileSystem(root, self.current, follow_links=follow_links)

    def handler(self, handler: Handler) -> Handler:
        """Return *handler*. A subclass may return a handler that wraps *handler*."""
        return handler

    def wrap(self, settings: Settings, log: Log | None) -> Log | None:
        """Put the traced handlers into *settings*. Return *log*. A subclass may return a log that wraps *log*."""
        settings.handler = traced_handler(settings.handler, self.current)
        settings.explain = _traced_explain(settings.explain, self.current)
        return log

    def connect(
        self,
        connected: socket.socket,
        client: str,
        settings: Settings,
        log: Callable[[Exchange], object] | None,
        tick: Tick,
    ) -> Connection:
        """Return the Connection for *connected*. If the trace includes the client, the connection is traced."""
        if not self.trace.includes(client):
            return open_connection(connected, client, settings, log, tick)
        try:
            peer = address_of(connected.getpeername())
        except (OSError, ValueError):
            # The client has disconnected, or the socket is not an IP socket.
            peer = client
        emit = self.trace.tracer(peer)
        emit("accept")
        transport = TracedTransport(settings.transport(connected), connected, emit)
        connection = Connection(transport, client, settings, log, tick)
        transport.head_left = lambda: connection.sender.head_left
        connection.coroutine = self.coroutine(connection, connected, emit)
        return connection

    def coroutine(self, connection: Connection, connected: socket.socket, emit: ConnectionTracer) -> Coroutine:  # noqa: ARG002 (the inspector's needs the socket)
        """Return a coroutine that runs the coroutine of *connection*, and emits an event for each wait."""
        return traced_coroutine(connection, emit, self.current)


def traced_coroutine(connection: Connection, emit: Emit, current: CurrentTracer) -> Coroutine:
    """Return a coroutine that runs the coroutine of *connection*.

    The returned coroutine emits events for waits, time-outs, evictions and cuts.
    """
    coroutine = connection.coroutine

    def run() -> Coroutine:
        thrown: Exception | None = None
        while True:
            # Until the next wait, this thread works for this connection alone.
            current.emit = emit
            try:
                wait = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration:
                return
            finally:
                current.emit = discard
            attributes: dict[str, object] = {}
            if wait is not None:
                state, deadline = wait
                attributes = {"for": state.words}
                if deadline != math.inf:
                    attributes["seconds"] = round(deadline - connection.tick.monotonic, 3)
                emit("wait", attributes)
            try:
                yield wait
                thrown = None
            except TimeoutError as error:
                # A time-out before the deadline evicts the connection.
                if connection.tick.monotonic < connection.deadline:
                    emit("evict", {"for": attributes["for"]})
                else:
                    emit("timeout", attributes)
                thrown = error
            except GeneratorExit:
                emit("cut")
                coroutine.close()
                raise

    return run()


def traced_handler(handler: Handler, current: CurrentTracer) -> Handler:
    """Return a handler that calls *handler*.

    The new handler emits events for the request, its content and an error response.
    """

    def respond(request: Request, context: Context) -> Response | Steps[Response]:
        emit = current.emit
        if not isinstance(emit, ConnectionTracer):
            return handler(request, context)
        _emit_request(emit, request)
        result = handler(request, context if request.content_length == 0 else _TracedContext(context, emit))
        if not isinstance(result, Response):
            return _traced_steps(result, emit)
        _emit_outcome(emit, result)
        return result

    return respond


def _traced_steps(steps: Steps[Response], emit: Emit) -> Steps[Response]:
    response: Response = yield from steps
    _emit_outcome(emit, response)
    return response


def _traced_explain(explain: ErrorHandler, current: CurrentTracer) -> ErrorHandler:
    """Return a function that calls *explain*, and emits an event for each error response."""

    def explain_traced(refusal: Refusal, request: Request | None, unread: bytes) -> Response:
        emit = current.emit
        if request:
            unread = b""
        elif isinstance(emit, ConnectionTracer):
            # A malformed request may still have a path.
            match = _begun_target.match(unread)
            emit.set_path(normalise(match[1]) if match else b"")
        _emit_refusal(emit, refusal, unread[:_MAX_UNREAD])
        return explain(refusal, request, unread)

    return explain_traced


def _emit_request(emit: ConnectionTracer, request: Request) -> None:
    path = request.target.path
    emit.set_path(normalise(path) if path.startswith(b"/") else path)
    # If the method looks like the name of a field with credentials, the rest of the line is masked, too.
    method, _, rest = visible_octets(mask(request.request_line)).partition(" ")
    emit("parse", {"method": method, "target": rest.rpartition(" ")[0] or rest}, head=request.head)


def _emit_outcome(emit: Emit, response: Response) -> None:
    """Emit an event if *response* is an error response of the server, or was broken on purpose by a fault."""
    if response.refusal:
        is_broken = isinstance(response.content, Stream) and response.content.then is not None
        _emit_refusal(emit, response.refusal, b"", "break" if is_broken else "refuse")


def _emit_refusal(emit: Emit, refusal: Refusal, head: bytes, name: str = "refuse") -> None:
    status, reason, section = refusal
    attributes = {"status": int(status), "phrase": status.phrase, "reason": reason, "section": section}
    emit(name, attributes, head=head)


class _TracedContext:
    """Wraps the *context* of a request. Emits an event when the request's content has been read."""

    def __init__(self, context: Context, emit: Emit) -> None:
        self._context = context
        self._emit = emit
        self._octets = 0
        self.descriptor = context.descriptor
        self.client = context.client
        self.network = context.network
        self.scheme = context.scheme
        self.max_content = context.max_content
        self.suspend = context.suspend

    @property
    def tick(self) -> Tick:
        """The tick of the event loop in which the current step runs."""
        return self._context.tick

    @property
    def is_stopping(self) -> bool:
        """Whether the server is stopping."""
        return self._context.is_stopping

    def read_content(self, maximum: int = CONTENT_OCTETS) -> Steps[bytes]:
        """Return the next octets of the request's content."""
        octets: bytes = yield from self._context.read_content(maximum)
        self._octets += len(octets)
        if not octets:
            self._emit("content", {"octets": self._octets})
        return octets

    def discard_content(self) -> Steps[int | None]:
        """Receive and discard the rest of the content. Return its length, or None if the rest was not read."""
        length: int | None = yield from self._context.discard_content()
        if length is not None:
            self._emit("content", {"octets": self._octets + length})
        return length
