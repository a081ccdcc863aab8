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
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from io import FileIO

from httpsock.files.cache import FileState
from httpsock.files.document_root import DocumentRoot, Entry, Moment
from httpsock.files.representation import Representation
from httpsock.files.siblings import CODINGS
from httpsock.http.error_response import Explanation
from httpsock.http.framing import ChunkedDecoder, LengthDecoder
from httpsock.http.masking import mask
from httpsock.http.messages import Request, Response
from httpsock.http.request_parser import Content, EndOfContent, Event, Limits, RequestParser
from httpsock.server.access_log import Exchange
from httpsock.server.connection import Connection, Conversation
from httpsock.server.event_loop import Log, Report, Worker
from httpsock.server.poller import WRITABLE
from httpsock.server.settings import Service
from httpsock.tracing.events import visible
from httpsock.tracing.sockets import Tell, TracedListener, TracedSocket, address_of, failure, nobody, telling_failure
from httpsock.tracing.trace import Teller, Trace

# So much is shown of octets that are no request.
_MOST_UNREAD = 2048


class Tracing:
    """What a server is made of that tells *trace* what it does. One belongs to one server."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.start = trace.start
        self.finish = trace.finish

    def listener(self, family: int, kind: int) -> socket.socket:
        """Create a socket that is to listen."""
        return TracedListener(family, kind, tell=self.trace.server)

    def worker(self, listeners: Sequence[socket.socket], service: Service, log: Log | None, report: Report) -> Worker:
        """Make a worker."""
        return TracedWorker(listeners, service, log, report, trace=self.trace)


class TracedWorker(Worker):
    """A worker that tells *trace* of its connections."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        service: Service,
        log: Log | None,
        report: Report,
        *,
        trace: Trace,
    ) -> None:
        super().__init__(listeners, service, log, report)
        self._trace = trace
        self._connect = self._connect_traced
        # Which variant of a connection it makes.
        self.connection: type[TracedConnection] = TracedConnection
        self._root = TracedRoot(service.root)
        self._listeners = {
            descriptor: TracedListener(
                listener.family, listener.type, listener.proto, listener.detach(), tell=trace.server
            )
            for descriptor, listener in self._listeners.items()
        }

    def _moment(self) -> Moment:
        moment = super()._moment()
        return Moment(self._root, moment.time, moment.monotonic)

    def _resume(self, connection: Connection, moment: Moment, thrown: Exception | None = None) -> None:
        # What is looked up until it waits again is looked up for this connection.
        self._root.tell = connection.tell if isinstance(connection, TracedConnection) else nobody
        super()._resume(connection, moment, thrown)

    def _connect_traced(
        self,
        connected: socket.socket,
        client: str,
        service: Service,
        log: Callable[[Exchange], object] | None,
        moment: Moment,
    ) -> Connection:
        if not self._trace.wants(client):
            return Connection(connected, client, service, log, moment)
        try:
            peer = address_of(connected.getpeername())
        except OSError:
            # It is gone already.
            peer = client
        return self.connection(connected, client, service, log, moment, tell=self._trace.teller(peer))


class TracedConnection(Connection):
    """A connection that tells what it receives, waits for, answers and sends."""

    __slots__ = ("tell",)

    def __init__(
        self,
        connected: socket.socket,
        client: str,
        service: Service,
        log: Callable[[Exchange], object] | None,
        moment: Moment,
        *,
        tell: Teller,
    ) -> None:
        self.tell = tell
        tell("accept")
        traced = TracedSocket(
            connected.family,
            connected.type,
            connected.proto,
            connected.detach(),
            tell=tell,
            # Octets of a head that are not sent yet stand in _sent as a negative number.
            head_octets=lambda: max(0, -self._sent),
        )
        traced.setblocking(False)
        super().__init__(traced, client, service, log, moment)
        self._parser = TracedParser(service.limits, tell)

    def _serve(self) -> Conversation:
        """Serve, and tell what is waited for and how the waiting ends."""
        conversation = super()._serve()
        thrown = None
        while True:
            try:
                wait = conversation.send(None) if thrown is None else conversation.throw(thrown)
            except StopIteration:
                return
            facts = {}
            if wait is not None:
                facts = {"for": self._awaited(wait[0]), "seconds": round(wait[1] - self.moment.monotonic, 3)}
                self.tell("wait", facts)
            try:
                yield wait
                thrown = None
            except TimeoutError as error:
                self.tell("timeout", facts)
                thrown = error
            except GeneratorExit:
                self.tell("cut")
                conversation.close()
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

    def _send(self, response: Response, request: Request | None, *, is_persistent: bool) -> Conversation | None:
        if isinstance(response, Explanation):
            unread = b"" if request else self._parser.unread
            status, reason, clause = response.refusal
            facts = {"status": int(status), "phrase": status.phrase, "reason": reason, "clause": clause}
            if not request:
                self.tell.asks_for(unread.partition(b" ")[2])
            self.tell("refuse", facts, head=unread[:_MOST_UNREAD])
        return super()._send(response, request, is_persistent=is_persistent)

    def _sendfile(self, file: FileIO, offset: int, length: int) -> int:
        with telling_failure(self.tell, "sendfile"):
            sent = super()._sendfile(file, offset, length)
        octets = os.pread(file.fileno(), sent, offset) if self.tell.wants_octets else b""
        self.tell("sendfile", {"octets": sent}, octets=octets)
        return sent


class TracedParser(RequestParser):
    """A parser that tells of each request and of the end of its content."""

    __slots__ = ("_octets", "_tell")

    def __init__(self, limits: Limits, tell: Teller) -> None:
        super().__init__(limits)
        self._tell = tell
        self._octets = 0

    @property
    def is_in_content(self) -> bool:
        """Whether the content of a request is being received."""
        return self._decoder is not None

    def _request(self, stop: int) -> Request:
        request = super()._request(stop)
        self._tell.asks_for(request.target.path)
        # Of a method that reads like the name of a secret field, all that follows is masked.
        method, _, rest = visible(mask(request.request_line)).partition(" ")
        self._tell("parse", {"method": method, "target": rest.rpartition(" ")[0] or rest}, head=request.head)
        self._octets = 0
        return request

    def _next_content(self, decoder: LengthDecoder | ChunkedDecoder) -> Event:
        event = super()._next_content(decoder)
        if isinstance(event, Content):
            self._octets += len(event.octets)
        if isinstance(event, EndOfContent):
            self._tell("content", {"octets": self._octets})
        return event


class TracedRoot(DocumentRoot):
    """The same folder as *root*, seen by one worker; tells *tell* what it looks at."""

    def __init__(self, root: DocumentRoot) -> None:
        self.__dict__.update(vars(root))
        # Who is kept by a slow disk goes on with its own look-up while another thread does others.
        self._of_thread = threading.local()
        self._stat = self._traced_stat

    @property
    def tell(self) -> Tell:
        """Whom to tell what this thread looks at."""
        tell: Tell = getattr(self._of_thread, "tell", nobody)
        return tell

    @tell.setter
    def tell(self, tell: Tell) -> None:
        """Tell *tell* from now on."""
        self._of_thread.tell = tell

    def _traced_stat(self, path: str) -> os.stat_result:
        name = _shown(path.removeprefix(self._prefix))
        try:
            status = os.stat(path)
        except OSError as error:
            self.tell("stat", {"name": name, **failure(error)})
            raise
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file" if stat.S_ISREG(status.st_mode) else "neither"
        self.tell("stat", {"name": name, "kind": kind, "octets": status.st_size})
        return status

    def _kept_file(self, name: str, coding: str | None, state: FileState, moment: Moment) -> Representation | None:
        kept = super()._kept_file(name, coding, state, moment)
        if kept:
            self.tell("kept", {"name": _shown(name), "octets": kept.length})
        return kept

    def _prove(self, name: str, coding: str, status: os.stat_result, moment: Moment) -> str:
        media_type = super()._prove(name, coding, status, moment)
        if not media_type:
            self.tell("unproved", {"name": _shown(name + CODINGS[coding]), "coding": coding})
        return media_type

    def _open(
        self, name: str, coding: str | None, moment: Moment, proved: FileState = (), media_type: str = ""
    ) -> Representation:
        facts = {"name": _shown(name + CODINGS[coding] if coding else name)}
        try:
            opened = super()._open(name, coding, moment, proved, media_type)
        except OSError as error:
            self.tell("open", {**facts, **failure(error)})
            raise
        self.tell("open", facts)
        if opened.file is None:
            self.tell("read", {"octets": opened.length})
        return opened

    def _entries(self, relative: str) -> Iterator[Entry]:
        facts = {"name": _shown(relative)}
        try:
            entries = super()._entries(relative)
        except OSError as error:
            self.tell("scandir", {**facts, **failure(error)})
            raise
        return self._counted(entries, facts)

    def _counted(self, entries: Iterator[Entry], facts: dict[str, str]) -> Iterator[Entry]:
        """Return *entries*; tell how many they were when there are no more."""
        count = 0
        for entry in entries:
            yield entry
            count += 1
        self.tell("scandir", {**facts, "entries": count})


def _shown(name: str) -> str:
    """Return the name of a file below the root as it is shown."""
    return visible(os.fsencode(name)) or "."
