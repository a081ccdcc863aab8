"""An inspected server: it is traced, serves the inspector's page, and samples the kernel's TCP_INFO.

The events go to the recorder. A handler in front of the folder serves the page and its event stream.

RFC 9293 §3.8, RFC 5681 (the figures of TCP_INFO); RFC 9110 §9.1 (methods).
"""

import socket
from contextlib import closing
from typing import cast

from httpsock.http.handler import Context, Handler, Steps
from httpsock.http.messages import Request, Response
from httpsock.server.connection import Connection, Coroutine
from httpsock.server.event_loop import Log
from httpsock.server.settings import Settings
from httpsock.server.state import State
from httpsock.tracing.sockets import Emit
from httpsock.tracing.tcp_info import tcp_info
from httpsock.tracing.trace import ConnectionTracer

from . import routes
from .recorder import InspectedTracer, Recorder
from .routes import announce, is_shown, may_inspect
from .traced import CurrentTracer, Instrumentation

# The interval of TCP_INFO samples of a download.
_SAMPLE_SECONDS = 0.2


class Inspection(Instrumentation):
    """Makes the parts of one inspected server. The events go to *recorder*."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._recorder = recorder
        # Read it now: later the process may have no descriptor left, or another user without access to the file.
        routes.page()

    def handler(self, handler: Handler) -> Handler:
        """Return a handler that answers requests for the inspector. *handler* answers all other requests."""
        return inspected_handler(handler, self.current)

    def wrap(self, settings: Settings, log: Log | None) -> Log | None:
        """Put the traced handlers into *settings*. Return a log that counts exchanges, then calls *log*."""
        super().wrap(settings, log)
        return self._recorder.counting(log)

    def coroutine(self, connection: Connection, connected: socket.socket, emit: ConnectionTracer) -> Coroutine:
        """Return a coroutine that runs the traced coroutine of *connection*, and samples TCP_INFO."""
        connection.coroutine = super().coroutine(connection, connected, emit)
        return _Sampling(connection, connected, emit).run()


def inspected_handler(handler: Handler, current: CurrentTracer) -> Handler:
    """Return a handler that answers requests for the inspector. *handler* answers all other requests."""

    def respond(request: Request, context: Context) -> Response | Steps[Response]:
        # An inspected server traces all its connections.
        emit = cast("InspectedTracer", current.emit)
        is_own = may_inspect(request, context.client)
        emit.set_own(is_own=is_own)
        if is_own:
            return routes.respond(request, context, emit)
        response = handler(request, context)
        if isinstance(response, Response) and is_shown(request, context.client):
            return announce(response)
        return response

    return respond


class _Sampling:
    """Samples the TCP_INFO of a connection at intervals, while the connection waits to send."""

    def __init__(self, connection: Connection, connected: socket.socket, emit: Emit) -> None:
        self._connection = connection
        self._coroutine = connection.coroutine
        self._connected = connected
        self._emit = emit
        self._next_sample = 0.0

    def run(self) -> Coroutine:
        """Run the coroutine of the connection. Emit a "tcp" event for each sample."""
        coroutine = self._coroutine
        thrown: Exception | None = None
        with closing(coroutine):
            while True:
                try:
                    wait = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
                except StopIteration:
                    return
                thrown = None
                try:
                    if wait and wait[0] is State.SENDING:
                        yield from self._sample(wait[1])
                    else:
                        yield wait
                except TimeoutError as error:
                    thrown = error

    def _sample(self, deadline: float) -> Coroutine:
        """Wait until the connection can send, or until *deadline*. Take samples meanwhile."""
        while True:
            now = self._connection.tick.monotonic
            if now >= self._next_sample and (info := tcp_info(self._connected)):
                self._next_sample = now + _SAMPLE_SECONDS / 2
                self._emit("tcp", {"tcp": info})
            try:
                yield State.SENDING, min(deadline, now + _SAMPLE_SECONDS)
            except TimeoutError:
                if self._connection.tick.monotonic >= deadline:
                    raise
            else:
                return
