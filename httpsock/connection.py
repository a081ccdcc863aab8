"""The connection: one client's conversation from its first octet to the tear-down.

Takes a connected socket, gives a generator that reads as if it blocked: each ``yield`` says what the conversation
waits for and until when, and the worker resumes it then. The only place where octets meet sockets.

RFC 9112 §9 (connection management); RFC 9110 §10.1.1 (Expect), §6.6.1 (Date).

    repeat
      receive a request      recv() until the parser has one        or until the deadline: 408
      discard its content    recv() within a bound                  or leave it, and close afterwards
      respond                no socket is known there
      send the response      send(), sendfile()
    until one side wants no more
    tear down                shutdown(), recv() what is under way; the worker, which polls the socket, does close()
"""

import os
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import lru_cache
from io import FileIO

from .accesslog import Exchange
from .explanations import explain
from .framing import too_large
from .grammar import accept_line, format_http_date
from .messages import FileSlice, Request, RequestError, Response, Status
from .origin import respond
from .parser import EndOfContent, Limits, Pause, RequestParser
from .poller import READABLE, WRITABLE
from .resources import DocumentRoot

# What a conversation waits for (READABLE or WRITABLE) and until when (on the monotonic clock, in seconds).
Wait = tuple[int, float]
# It yields waits and is sent the time at which they are over; TimeoutError is thrown in at the deadline.
Conversation = Generator[Wait, float, None]

_RECEIVE_OCTETS = 64 * 1024
# How long responses to pipelined requests go out, and how much of a file, before others get their turn.
_TURN_SECONDS = 0.02
_TURN_OCTETS = 1024 * 1024
# A head and content up to this length leave in one call; more is not copied for that.
_JOINED_OCTETS = 64 * 1024
# Lets a head wait in the kernel for the first octets of its file, so that both leave in one segment.
_MORE = getattr(socket, "MSG_MORE", 0)


@dataclass(frozen=True)
class Timeouts:
    """How long a client may take, in seconds. There is no limit on a whole exchange: long downloads are honest."""

    # From the first octet of a head to its last. h2o and Caddy allow the same.
    head: float = 10.0
    # Between two requests, and before the first: a browser opens connections ahead.
    idle: float = 20.0
    # Between two reads of content, and between two writes.
    stall: float = 30.0
    # For all of a request's content, which is bounded.
    content: float = 60.0
    # After the last response: between two reads, and in all (RFC 9112 §9.6 names no time; nginx waits 5 and 30).
    linger: float = 2.0
    linger_total: float = 10.0


@dataclass
class Service:
    """What all connections of a server share. Nothing in it changes but *is_stopping*, once, to true.

    *field_lines* are added to every response.
    """

    root: DocumentRoot
    field_lines: bytes = b""
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    is_stopping: bool = False


class Connection:
    """One client. The worker that accepted it resumes its conversation; nobody else touches it."""

    __slots__ = (
        "_client",
        "_is_last_try",
        "_log",
        "_now",
        "_parser",
        "_sent",
        "_service",
        "_socket",
        "awaited",
        "conversation",
        "deadline",
        "is_idle",
    )  # fmt: skip

    def __init__(
        self,
        connected: socket.socket,
        client: str,
        service: Service,
        log: Callable[[Exchange], object] | None,
        now: float,
    ) -> None:
        self._socket = connected
        self._client = client
        self._service = service
        self._log = log
        self._now = now
        self._parser = RequestParser(service.limits)
        # Of the response that is being sent: octets that the system took; whether a deadline passed without any more.
        self._sent = 0
        self._is_last_try = False
        # For the worker: what the conversation waits for, until when, and whether to cut it short loses nothing.
        self.awaited = READABLE
        self.deadline = 0.0
        self.is_idle = False
        self.conversation = self._serve()

    def close(self) -> None:
        """Close the socket, which the worker does once it polls it no more."""
        self._socket.close()

    def _serve(self) -> Conversation:
        """Answer one request after the other until either side wants no more, then let the last response arrive."""
        is_persistent = True
        try:
            while is_persistent:
                request = None
                try:
                    request = yield from self._receive_request()
                    if request is None:
                        return
                    is_read = request.content_length == 0 or (yield from self._discard_content(request))
                    # From here to the response no socket is known.
                    response = respond(request, self._service.root, time.time())
                    if not is_read:
                        self._check_content_length(request, response)
                except RequestError as error:
                    yield from self._refuse(error, request)
                    break
                # What follows a CONNECT may be meant for the tunnel that was not opened (RFC 9110 §9.3.6).
                is_framed = is_read and request.method != "CONNECT"
                is_persistent = request.is_persistent and is_framed and not self._service.is_stopping
                connection_option = _connection_option(request, is_persistent=is_persistent)
                yield from self._send(response, request.request_line, connection_option)
                # Who sends many requests at once gets their responses one by one, and lets the others have a turn.
                if self._parser.unread and (now := time.monotonic()) > self._now + _TURN_SECONDS:
                    self._now = yield WRITABLE, now + self._service.timeouts.stall
            yield from self._linger()
        except OSError:
            # The peer is gone (reset, timed out, unreachable), or a file can't be read to its end. In either case
            # what was promised can't be sent; closing is the only way left to say so (RFC 9112 §8).
            pass

    def _receive_request(self) -> Generator[Wait, float, Request | None]:
        """Return the next request, or None if the client has none. Raises RequestError when it is too late."""
        timeouts = self._service.timeouts
        deadline = self._now + (timeouts.head if self._parser.unread else timeouts.idle)
        while (event := self._parser.next_event()) is Pause.NEED_DATA:
            self.is_idle = not self._parser.unread
            try:
                # When the server stops, what has not arrived by now is not waited for.
                if not (self.is_idle and self._service.is_stopping):
                    self._now = yield READABLE, deadline
            except TimeoutError:
                self._now = deadline
                if self.is_idle:
                    return None
                reason = f"the head was not complete {timeouts.head:g} seconds after its first octet"
                raise RequestError(Status.REQUEST_TIMEOUT, reason, "RFC 9110 §15.5.9") from None
            octets = self._receive()
            if octets is None:
                if self.is_idle and self._service.is_stopping:
                    return None
                continue
            if self.is_idle:
                deadline = self._now + timeouts.head
                self.is_idle = False
            self._parser.receive(octets)
        return event if isinstance(event, Request) else None

    def _check_content_length(self, request: Request, response: Response) -> None:
        """Raise RequestError if *request* has too much content, and nothing else is said against it."""
        limit = self._service.limits.content.content
        if (request.content_length or 0) > limit and response.status < Status.BAD_REQUEST:
            response.close()
            raise too_large(limit)

    def _discard_content(self, request: Request) -> Generator[Wait, float, bool]:
        """Receive the content of *request* to its end, a folder having no use for it. Return whether it was read."""
        # RFC 9110 §10.1.1: instead of 100 (Continue) the final response is sent; the client may then send the content
        # or not, and what follows could be taken for either: the connection closes.
        if request.expectations or (request.content_length or 0) > self._service.limits.content.content:
            return False
        timeouts = self._service.timeouts
        latest = self._now + timeouts.content
        while not isinstance(event := self._parser.next_event(), EndOfContent):
            if event is not Pause.NEED_DATA:
                continue
            deadline = min(latest, self._now + timeouts.stall)
            try:
                self._now = yield READABLE, deadline
            except TimeoutError:
                self._now = deadline
                raise RequestError(
                    Status.REQUEST_TIMEOUT, "the content did not come in time", "RFC 9110 §15.5.9"
                ) from None
            octets = self._receive()
            if octets is not None:
                self._parser.receive(octets)
        return True

    def _receive(self) -> bytes | None:
        """Return octets from the peer, none at all if it has ended its side, or None if there are none yet."""
        try:
            return self._socket.recv(_RECEIVE_OCTETS)
        except BlockingIOError:
            return None

    def _refuse(self, error: RequestError, request: Request | None) -> Conversation:
        """Send what was wrong with a request, which may be no more than the octets received."""
        unread = self._parser.unread
        accept = request.fields.get(b"accept") if request else accept_line(unread)
        request_line = request.request_line if request else unread.partition(b"\n")[0].removesuffix(b"\r")
        yield from self._send(explain(error.refusal, accept), request_line, "close")

    def _send(self, response: Response, request_line: bytes, connection_option: str | None) -> Conversation:
        """Send *response*, and tell the log how far it came."""
        began = self._now
        self._sent = 0
        head = response.head + _shared_fields(int(time.time()), connection_option, self._service.field_lines)
        # RFC 9110 §9.3.2: the response to HEAD has the same fields, and no content.
        content = () if request_line.startswith(b"HEAD ") else response.content
        pending = head
        try:
            for part in content:
                if isinstance(part, bytes) and len(part) <= _JOINED_OCTETS:
                    pending += part
                    continue
                yield from self._send_octets(pending, _MORE)
                if isinstance(part, bytes):
                    pending = part
                else:
                    yield from self._send_file(part)
                    pending = b""
            # Nearly always the system takes all at once, and nothing is left to wait for.
            if pending and (rest := self._send_some(pending, 0)):
                yield from self._send_octets(rest, 0)
        finally:
            response.close()
            if self._log:
                sent = max(0, self._sent - len(head))
                length = response.content_length if content else 0
                seconds = time.monotonic() - began
                self._log(Exchange(time.time(), self._client, request_line, response.status, sent, length, seconds))

    def _send_octets(self, octets: bytes | memoryview, flags: int) -> Conversation:
        """Send all of *octets*; wait where the peer does not read."""
        while octets and (octets := self._send_some(octets, flags)):
            yield from self._wait_to_send()

    def _send_some(self, octets: bytes | memoryview, flags: int) -> bytes | memoryview:
        """Send what the system takes of *octets* now; return the rest, which must wait."""
        try:
            sent = self._socket.send(octets, flags)
        except BlockingIOError:
            return octets
        self._sent += sent
        self._is_last_try = False
        return b"" if sent == len(octets) else memoryview(octets)[sent:]

    def _wait_to_send(self) -> Conversation:
        """Wait until more can be sent. Raises TimeoutError when the peer has read nothing for too long.

        The system wakes us only when a good part of its buffer is free. Who reads slowly may have freed less by the
        deadline, so that one more attempt is due before we give up.
        """
        if self._is_last_try:
            raise TimeoutError("the peer reads nothing")
        deadline = self._now + self._service.timeouts.stall
        try:
            self._now = yield WRITABLE, deadline
        except TimeoutError:
            self._now = deadline
            self._is_last_try = True

    def _send_file(self, part: FileSlice) -> Conversation:
        """Send a slice of a file, in turns with the other connections. Raises OSError if the file ends before it."""
        offset = part.offset
        stop = part.offset + part.length
        while offset < stop:
            wanted = min(stop - offset, _TURN_OCTETS)
            try:
                sent = _send_slice(self._socket, part.file, offset, wanted)
            except BlockingIOError:
                sent = 0
            else:
                if sent == 0:
                    raise ConnectionAbortedError("the file ended before the length that was promised")
                self._is_last_try = False
            self._sent += sent
            offset += sent
            if offset < stop:
                yield from self._wait_to_send()

    def _linger(self) -> Conversation:
        """End our side, and read what is still under way, so that no reset destroys the response (RFC 9112 §9.6)."""
        timeouts = self._service.timeouts
        self._socket.shutdown(socket.SHUT_WR)
        self.is_idle = True
        latest = self._now + timeouts.linger_total
        try:
            while (octets := self._receive()) != b"" and self._now < latest:
                if octets is None and self._service.is_stopping:
                    return
                self._now = yield READABLE, min(latest, self._now + timeouts.linger)
        except TimeoutError:
            return


def _send_slice(connected: socket.socket, file: FileIO, offset: int, length: int) -> int:
    """Return how many octets of *file* from *offset* on the system took; 0 means that the file ends there."""
    if hasattr(os, "sendfile"):
        return os.sendfile(connected.fileno(), file.fileno(), offset, length)
    file.seek(offset)
    octets = file.read(min(length, _RECEIVE_OCTETS))
    return connected.send(octets) if octets else 0


def _connection_option(request: Request, *, is_persistent: bool) -> str | None:
    """Return what the Connection field must say (RFC 9112 §9.3, §9.6): 1.1 persists unsaid, 1.0 wants it confirmed."""
    if not is_persistent:
        return "close"
    return "keep-alive" if request.minor_version == 0 else None


@lru_cache(maxsize=8)
def _shared_fields(second: int, connection_option: str | None, field_lines: bytes) -> bytes:
    """Return the end of a head: the field lines that every response of this second has, and the empty line."""
    connection = f"Connection: {connection_option}\r\n" if connection_option else ""
    return f"Date: {format_http_date(second)}\r\n{connection}".encode("ascii") + field_lines + b"\r\n"
