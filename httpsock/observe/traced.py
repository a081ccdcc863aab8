"""Traced classes: the event loop, its connections, parsers and document root, with an event for each step.

A traced server uses these classes from the start, so that an untraced one pays no cost. Each subclass emits an event
before or after it calls its base class, which does not know about tracing. ``tracing.trace`` receives the events.

RFC 9112 §9 (connection management).

    Instrumentation ─┬─ TracedListener
                     └─ TracedEventLoop ─┬─ TracedConnection ─┬─ TracedSocket
                                         │                    └─ TracedParser
                                         └─ TracedRoot
"""

import os
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from io import FileIO

from httpsock.files.cache import FileStamp
from httpsock.files.document_root import DocumentRoot, Entry, Tick
from httpsock.files.lookups import Lookup
from httpsock.files.paths import normalise
from httpsock.files.representation import Representation
from httpsock.files.siblings import CODINGS
from httpsock.http.error_response import Explanation
from httpsock.http.masking import mask
from httpsock.http.message_reader import Content, Decoder, EndOfContent, Pause
from httpsock.http.messages import Request, Response
from httpsock.http.request_parser import Limits, RequestParser
from httpsock.server.access_log import Exchange
from httpsock.server.connection import Connection, Coroutine
from httpsock.server.event_loop import EventLoop, Log, Report
from httpsock.server.poller import WRITABLE
from httpsock.server.settings import Settings
from httpsock.tracing.events import visible
from httpsock.tracing.sockets import (
    Emit,
    TracedListener,
    TracedSocket,
    address_of,
    discard,
    error_attributes,
    trace_errors,
)
from httpsock.tracing.trace import ConnectionTracer, TraceWriter

_begun_target = re.compile(rb"[^ \r\n]*+ (/[^ ?\r\n]*+)")
# Show this much of octets that could not be parsed as a request.
_MOST_UNREAD = 2048


class Instrumentation:
    """The classes of a server whose events go to *trace*; one for each server."""

    def __init__(self, trace: TraceWriter) -> None:
        self.trace = trace
        self.start = trace.start
        self.finish = trace.finish

    def listener(self, family: int, kind: int) -> socket.socket:
        """Return a new socket for listening."""
        return TracedListener(family, kind, emit=self.trace.server)

    def event_loop(
        self, listeners: Sequence[socket.socket], settings: Settings, log: Log | None, report: Report
    ) -> EventLoop:
        """Return a new event loop."""
        return TracedEventLoop(listeners, settings, log, report, trace=self.trace)


class TracedEventLoop(EventLoop):
    """An event loop that traces its connections."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        settings: Settings,
        log: Log | None,
        report: Report,
        *,
        trace: TraceWriter,
    ) -> None:
        super().__init__(listeners, settings, log, report)
        self._trace = trace
        self._connect = self._connect_traced
        # The class of new connections.
        self.connection: type[TracedConnection] = TracedConnection
        self._root = TracedRoot(settings.root)
        self._listeners = {
            descriptor: TracedListener(
                listener.family, listener.type, listener.proto, listener.detach(), emit=trace.server
            )
            for descriptor, listener in self._listeners.items()
        }

    def _tick(self) -> Tick:
        tick = super()._tick()
        return Tick(self._root, tick.time, tick.monotonic)

    def _resume(self, connection: Connection, tick: Tick, thrown: Exception | None = None) -> None:
        # Until the connection yields again, all look-ups in the root are for it.
        self._root.emit = connection.emit if isinstance(connection, TracedConnection) else discard
        super()._resume(connection, tick, thrown)

    def _connect_traced(
        self,
        connected: socket.socket,
        client: str,
        settings: Settings,
        log: Callable[[Exchange], object] | None,
        tick: Tick,
    ) -> Connection:
        if not self._trace.includes(client):
            return Connection(connected, client, settings, log, tick)
        try:
            peer = address_of(connected.getpeername())
        except OSError:
            # The client has disconnected.
            peer = client
        return self.connection(connected, client, settings, log, tick, emit=self._trace.tracer(peer))


class TracedConnection(Connection):
    """A connection that emits an event for each receive, wait, response and send."""

    __slots__ = ("emit",)

    def __init__(
        self,
        connected: socket.socket,
        client: str,
        settings: Settings,
        log: Callable[[Exchange], object] | None,
        tick: Tick,
        *,
        emit: ConnectionTracer,
    ) -> None:
        self.emit = emit
        emit("accept")
        traced = TracedSocket(
            connected.family,
            connected.type,
            connected.proto,
            connected.detach(),
            emit=emit,
            # While the head is not sent yet, _sent is minus the number of its remaining octets.
            head_octets=lambda: max(0, -self._sent),
        )
        traced.setblocking(False)
        super().__init__(traced, client, settings, log, tick)
        self._parser = TracedParser(settings.limits, emit)

    def _serve(self) -> Coroutine:
        """Serve, and emit an event for each wait and for its time-out."""
        coroutine = super()._serve()
        thrown = None
        while True:
            try:
                wait = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration:
                return
            attributes = {}
            if wait is not None:
                attributes = {"for": self._awaited(wait[0]), "seconds": round(wait[1] - self.tick.monotonic, 3)}
                self.emit("wait", attributes)
            try:
                yield wait
                thrown = None
            except TimeoutError as error:
                self.emit("timeout", attributes)
                thrown = error
            except GeneratorExit:
                self.emit("cut")
                coroutine.close()
                raise

    def _awaited(self, awaited: int) -> str:
        """Return the purpose of a wait, in words."""
        if awaited == WRITABLE:
            return "room to send"
        if isinstance(self._socket, TracedSocket) and self._socket.has_ended:
            return "the peer's end"
        if isinstance(self._parser, TracedParser) and self._parser.is_in_content:
            return "content"
        return "a request" if self.is_idle else "the rest of the head"

    def _send(self, response: Response, request: Request | None, *, is_persistent: bool) -> Coroutine | None:
        if isinstance(response, Explanation):
            unread = b"" if request else self._parser.unread
            status, reason, section = response.refusal
            attributes = {"status": int(status), "phrase": status.phrase, "reason": reason, "section": section}
            if not request:
                # A malformed request may still have a path.
                match = _begun_target.match(unread)
                self.emit.set_path(normalise(match[1]) if match else b"")
            self.emit("refuse", attributes, head=unread[:_MOST_UNREAD])
        return super()._send(response, request, is_persistent=is_persistent)

    def _sendfile(self, file: FileIO, offset: int, length: int) -> int:
        with trace_errors(self.emit, "sendfile"):
            sent = super()._sendfile(file, offset, length)
        octets = os.pread(file.fileno(), sent, offset) if self.emit.wants_octets else b""
        self.emit("sendfile", {"octets": sent}, octets=octets)
        return sent


class TracedParser(RequestParser):
    """A parser that emits an event for each request and for the end of its content."""

    __slots__ = ("_emit", "_octets")

    def __init__(self, limits: Limits, emit: ConnectionTracer) -> None:
        super().__init__(limits)
        self._emit = emit
        self._octets = 0

    @property
    def is_in_content(self) -> bool:
        """Whether it is receiving the content of a request."""
        return self._decoder is not None

    def _consume(self, request: Request) -> Request:
        request = super()._consume(request)
        path = request.target.path
        self._emit.set_path(normalise(path) if path.startswith(b"/") else path)
        # Masking hides the rest of the line if the method looks like the name of a secret field.
        method, _, rest = visible(mask(request.request_line)).partition(" ")
        self._emit("parse", {"method": method, "target": rest.rpartition(" ")[0] or rest}, head=request.head)
        self._octets = 0
        return request

    def _next_content(self, decoder: Decoder) -> Content | EndOfContent | Pause:
        event = super()._next_content(decoder)
        if isinstance(event, Content):
            self._octets += len(event.octets)
        if isinstance(event, EndOfContent):
            self._emit("content", {"octets": self._octets})
        return event


class TracedRoot(DocumentRoot):
    """The same folder as *root*, for one event loop; emits an event for each look-up."""

    def __init__(self, root: DocumentRoot) -> None:
        self.__dict__.update(vars(root))
        # One value for each thread: a thread blocked by a slow disk finishes its look-up while another leads.
        self._of_thread = threading.local()
        self._stat = self._traced_stat

    @property
    def emit(self) -> Emit:
        """The tracer for this thread's look-ups."""
        emit: Emit = getattr(self._of_thread, "emit", discard)
        return emit

    @emit.setter
    def emit(self, emit: Emit) -> None:
        """Set the tracer for this thread's look-ups."""
        self._of_thread.emit = emit

    def _traced_stat(self, path: str) -> os.stat_result:
        name = _shown(path.removeprefix(self._prefix))
        try:
            status = os.stat(path)
        except OSError as error:
            self.emit("stat", {"name": name, **error_attributes(error)})
            raise
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file" if stat.S_ISREG(status.st_mode) else "neither"
        self.emit("stat", {"name": name, "kind": kind, "octets": status.st_size})
        return status

    def _recall(self, lookup: Lookup, tick: Tick) -> Representation | None:
        recalled = super()._recall(lookup, tick)
        if recalled:
            name = lookup.files[0][0].removeprefix(self._prefix)
            self.emit("cache", {"name": _shown(name), "octets": recalled.length})
        return recalled

    def _cached_file(self, name: str, coding: str | None, state: FileStamp, tick: Tick) -> Representation | None:
        kept = super()._cached_file(name, coding, state, tick)
        if kept:
            self.emit("cache", {"name": _shown(name), "octets": kept.length})
        return kept

    def _prove(self, name: str, coding: str, status: os.stat_result, tick: Tick) -> str:
        media_type = super()._prove(name, coding, status, tick)
        if not media_type:
            self.emit("unproved", {"name": _shown(name + CODINGS[coding]), "coding": coding})
        return media_type

    def _open(
        self, name: str, coding: str | None, tick: Tick, proved: FileStamp = (), media_type: str = ""
    ) -> Representation:
        attributes = {"name": _shown(name + CODINGS[coding] if coding else name)}
        try:
            opened = super()._open(name, coding, tick, proved, media_type)
        except OSError as error:
            self.emit("open", {**attributes, **error_attributes(error)})
            raise
        self.emit("open", attributes)
        if opened.file is None:
            self.emit("read", {"octets": opened.length})
        return opened

    def _entries(self, relative: str) -> Iterator[Entry]:
        attributes = {"name": _shown(relative)}
        try:
            entries = super()._entries(relative)
        except OSError as error:
            self.emit("scandir", {**attributes, **error_attributes(error)})
            raise
        return self._counted(entries, attributes)

    def _counted(self, entries: Iterator[Entry], attributes: dict[str, str]) -> Iterator[Entry]:
        """Yield *entries*; emit their number at the end."""
        count = 0
        for entry in entries:
            yield entry
            count += 1
        self.emit("scandir", {**attributes, "entries": count})


def _shown(name: str) -> str:
    """Return a file name below the root, for an event."""
    return visible(os.fsencode(name)) or "."
