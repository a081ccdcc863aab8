"""The traced variants: a worker, its connections and what they use, which tell of what they do and do the same.

A server that is to be traced is made of these from the start, so that one that is not pays nothing for it. Each is a
subclass that tells, then or before lets the class above do the work. Nothing that is traced knows that it is.

RFC 9112 §9 (connection management): what a connection waits for.

    Tracing ─┬─ TracedListener
             └─ TracedWorker ─┬─ TracedConnection ─┬─ TracedSocket
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
from httpsock.files.paths import normalise
from httpsock.files.representation import Representation
from httpsock.files.siblings import CODINGS
from httpsock.http.error_response import Explanation
from httpsock.http.framing import ChunkedDecoder, LengthDecoder
from httpsock.http.masking import mask
from httpsock.http.messages import Request, Response
from httpsock.http.request_parser import Content, EndOfContent, Event, Limits, RequestParser
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
# So much is shown of octets that are no request.
_MOST_UNREAD = 2048


class Instrumentation:
    """What a server is made of that tells *trace* what it does. One belongs to one server."""

    def __init__(self, trace: TraceWriter) -> None:
        self.trace = trace
        self.start = trace.start
        self.finish = trace.finish

    def listener(self, family: int, kind: int) -> socket.socket:
        """Create a socket that is to listen."""
        return TracedListener(family, kind, emit=self.trace.server)

    def worker(
        self, listeners: Sequence[socket.socket], settings: Settings, log: Log | None, report: Report
    ) -> EventLoop:
        """Make a worker."""
        return TracedWorker(listeners, settings, log, report, trace=self.trace)


class TracedWorker(EventLoop):
    """A worker that tells *trace* of its connections."""

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
        # Which variant of a connection it makes.
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
        # What is looked up until it waits again is looked up for this connection.
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
            # It is gone already.
            peer = client
        return self.connection(connected, client, settings, log, tick, emit=self._trace.teller(peer))


class TracedConnection(Connection):
    """A connection that tells what it receives, waits for, answers and sends."""

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
            # Octets of a head that are not sent yet stand in _sent as a negative number.
            head_octets=lambda: max(0, -self._sent),
        )
        traced.setblocking(False)
        super().__init__(traced, client, settings, log, tick)
        self._parser = TracedParser(settings.limits, emit)

    def _serve(self) -> Coroutine:
        """Serve, and tell what is waited for and how the waiting ends."""
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
        """Return what a wait is for."""
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
                # What is no request may name a path all the same.
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
    """A parser that tells of each request and of the end of its content."""

    __slots__ = ("_emit", "_octets")

    def __init__(self, limits: Limits, emit: ConnectionTracer) -> None:
        super().__init__(limits)
        self._emit = emit
        self._octets = 0

    @property
    def is_in_content(self) -> bool:
        """Whether the content of a request is being received."""
        return self._decoder is not None

    def _request(self, stop: int) -> Request:
        request = super()._request(stop)
        path = request.target.path
        self._emit.set_path(normalise(path) if path.startswith(b"/") else path)
        # Of a method that reads like the name of a secret field, all that follows is masked.
        method, _, rest = visible(mask(request.request_line)).partition(" ")
        self._emit("parse", {"method": method, "target": rest.rpartition(" ")[0] or rest}, head=request.head)
        self._octets = 0
        return request

    def _next_content(self, decoder: LengthDecoder | ChunkedDecoder) -> Event:
        event = super()._next_content(decoder)
        if isinstance(event, Content):
            self._octets += len(event.octets)
        if isinstance(event, EndOfContent):
            self._emit("content", {"octets": self._octets})
        return event


class TracedRoot(DocumentRoot):
    """The same folder as *root*, seen by one worker; tells *tell* what it looks at."""

    def __init__(self, root: DocumentRoot) -> None:
        self.__dict__.update(vars(root))
        # Who is kept by a slow disk goes on with its own look-up while another thread does others.
        self._of_thread = threading.local()
        self._stat = self._traced_stat

    @property
    def emit(self) -> Emit:
        """Whom to tell what this thread looks at."""
        emit: Emit = getattr(self._of_thread, "emit", discard)
        return emit

    @emit.setter
    def emit(self, emit: Emit) -> None:
        """Tell *tell* from now on."""
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
        """Return *entries*; tell how many they were when there are no more."""
        count = 0
        for entry in entries:
            yield entry
            count += 1
        self.emit("scandir", {**attributes, "entries": count})


def _shown(name: str) -> str:
    """Return the name of a file below the root as it is shown."""
    return visible(os.fsencode(name)) or "."
