"""The connection: one client's requests and responses, from its first octet to the tear-down.

Takes a connected socket, gives a generator that reads as if it blocked: each ``yield`` names a socket event and a
deadline, and the event loop resumes it at either. The only place where octets meet sockets. Next:
http/request_parser.py, which finds a request in the octets; then files/handler.py, which answers it.

RFC 9112 §9 (connection management); RFC 9110 §10.1.1 (Expect), §6.6.1 (Date).

    repeat
      receive a request      recv() until the parser has one        or until the deadline: 408
      discard its content    recv() within a bound                  or leave it unread, and close afterwards
      respond                without any socket
      send the response      send(), sendfile()
    until one side closes
    tear down                shutdown(), recv() until end of file; then the event loop calls close()
"""

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Generator, Iterator
from functools import lru_cache
from io import FileIO

from httpsock.files.document_root import Tick
from httpsock.files.handler import respond
from httpsock.http.error_response import explain
from httpsock.http.framing import content_too_large
from httpsock.http.grammar import accept_line, format_http_date, printable
from httpsock.http.message_reader import EndOfContent, Pause
from httpsock.http.messages import FileSlice, Part, Request, RequestError, Response, Status, unsent_parts
from httpsock.http.request_parser import RequestParser, request_error

from .access_log import Exchange
from .addresses import network_of
from .poller import READABLE, WRITABLE, unsent_octets
from .send_rate import SendRate
from .settings import Settings

# READABLE or WRITABLE, and a deadline in seconds on the monotonic clock; or None: ready to answer, once all other
# connections that are readable in this tick have received.
Wait = tuple[int, float] | None
# It yields waits; TimeoutError is thrown in at the deadline. ``Connection.tick`` has the time.
Coroutine = Generator[Wait, None, None]

# Size of one recv(), which bounds the parsing in a tick and the memory of a connection; and of one that discards.
_RECEIVE_OCTETS, _DISCARD_OCTETS = 8 * 1024, 64 * 1024
# At the connection limit, a new connection has this long to send a request before it may be evicted.
_SECONDS_TO_ASK = 1.0
# A deadline missed by this much means that the process was suspended: deadlines are checked 20 times a second.
_SUSPEND_SECONDS = 1.0
# Octets of a file sent before other connections run.
_TICK_OCTETS = 1024 * 1024
# Up to this length a copy behind the head is faster than sendmsg() of both (measured: 64 KiB take 19 µs of processor
# time when copied, and 16.7 when not). Windows lacks sendmsg().
_COPIED_OCTETS = 32 * 1024 if hasattr(socket.socket, "sendmsg") else 1 << 62
# Of a multipart response, slices up to this length are read and sent together with the heads between them: two calls
# and a segment for each would cost more than the copy.
_SHORT_SLICE = 16 * 1024
# Tells the kernel to wait for more before it sends a segment.
_MORE = getattr(socket, "MSG_MORE", 0)
# sendfile() on a file system or kernel that lacks it: FUSE, LXC, WSL 1, or a filter of system calls.
_SENDFILE_NOT_SUPPORTED = (
    errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODEV, errno.ESPIPE
)  # fmt: skip
# struct linger: on, for 0 seconds, so that close() resets.
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection:
    """One client's connection. The event loop resumes its coroutine, in one thread at a time."""

    __slots__ = (
        "_log",
        "_parser",
        "_rate",
        "_sent",
        "_settings",
        "_socket",
        "awaited",
        "client",
        "coroutine",
        "deadline",
        "descriptor",
        "is_idle",
        "polled",
        "tick",
    )  # fmt: skip

    def __init__(
        self,
        connected: socket.socket,
        client: str,
        settings: Settings,
        log: Callable[[Exchange], object] | None,
        tick: Tick,
    ) -> None:
        self._socket = connected
        self.descriptor = connected.fileno()
        self.client = client
        self._settings = settings
        self._log = log
        self._parser = RequestParser(settings.limits)
        # Octets of content that the kernel has taken of the current response, or of the last one; negative while octets
        # of its head are unsent, and before the first response.
        self._sent = -1
        # Set by the event loop: the time, the events that the poller watches, the awaited event and its deadline.
        self.tick = tick
        self.polled = self.awaited = READABLE
        self.deadline = 0.0
        # For the event loop: whether closing the connection now loses no request or response.
        self.is_idle = False
        self.coroutine = self._serve()

    # The handler. A subclass may replace it.
    _respond = staticmethod(respond)

    def close(self) -> None:
        """Close the socket; the event loop unregisters it first."""
        self._socket.close()

    def shut_down(self) -> None:
        """Make every later call on the socket fail, in other threads too. The socket stays open."""
        self.is_idle = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def describe(self) -> str:
        """Return the current request and its client, for a report."""
        # Read from the generator's frame, so that requests need not store it.
        frame = getattr(self.coroutine, "gi_frame", None)
        request: Request | None = frame.f_locals.get("request") if frame else None
        return f"{printable(request.request_line) if request else 'a connection'} from {self.client}"

    def is_evictable(self, now: float) -> bool:
        """Return whether it may be evicted: it is idle, and has had a response, or time to send a request."""
        has_had_time = self.deadline - now <= self._settings.timeouts.idle - _SECONDS_TO_ASK
        return self.is_idle and (self._sent >= 0 or has_had_time)

    def has_no_input(self) -> bool:
        """Return whether the socket holds no unread octets."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except OSError as error:
            return isinstance(error, BlockingIOError)

    def has_input_after_suspend(self, now: float) -> bool:
        """Return whether an overdue connection has unread input after a suspension.

        All connections are overdue then, and a single poll does not report every readable one.
        """
        return now > self.deadline + _SUSPEND_SECONDS and self.awaited == READABLE and not self.has_no_input()

    def _serve(self) -> Coroutine:
        """Answer one request after the other until either side closes, then let the last response arrive."""
        parser, settings, handler = self._parser, self._settings, self._respond
        is_persistent = True
        try:
            while is_persistent:
                request = None
                try:
                    # Receiving is written out here: as a generator of its own it would cost 0.8 of each 6.6 µs.
                    deadline = 0.0
                    while (event := parser.next_event()) is Pause.NEED_DATA:
                        deadline = self._request_deadline(deadline)
                        # A stopping server does not wait for requests that have not arrived yet.
                        if not (self.is_idle and settings.is_stopping and not settings.is_draining):
                            yield READABLE, deadline
                        self._receive()
                    self.is_idle = False
                    if not isinstance(event, Request):
                        return
                    request = event
                    is_read = request.content_length == 0 or (yield from self._discard_content(request))
                    # All connections receive before any answers: see Tick.
                    yield None
                    response = handler(request, self.tick)
                    # A slow response, such as a long listing, comes in steps; other connections run between them.
                    if not isinstance(response, Response):
                        response = yield from response(network_of(self.client))
                    if not is_read:
                        self._check_content_length(request, response)
                    # Octets after a CONNECT may be meant for the tunnel that was refused (RFC 9110 §9.3.6).
                    is_last = settings.is_stopping or request.method == "CONNECT"
                    is_persistent = request.is_persistent and is_read and not is_last
                except (RequestError, TimeoutError) as error:
                    response, is_persistent = self._error_response(error, request), False
                if unsent := self._send(response, request, is_persistent=is_persistent):
                    # A slow reader holds the request in memory: drop its head and fields, keep the request line.
                    request, event = request and request._replace(head=b"", fields={}), Pause.NEED_DATA
                    yield from unsent
                del response, unsent
            yield from self._linger()
        except OSError:
            # The peer is idle for too long or gone (reset, unreachable), or a file can't be read to its end: closing
            # early is the only way to signal an incomplete response (RFC 9112 §8).
            pass

    def _request_deadline(self, deadline: float) -> float:
        """Return the deadline of the next request; a closer one begins with its first octet."""
        was_idle, self.is_idle = self.is_idle, not self._parser.unread
        if deadline and was_idle == self.is_idle:
            return deadline
        timeouts = self._settings.timeouts
        return self.tick.monotonic + (timeouts.idle if self.is_idle else timeouts.head)

    def _receive(self, maximum: int = _RECEIVE_OCTETS) -> None:
        """Pass at most *maximum* octets from the peer to the parser; b"" at end of file."""
        try:
            self._parser.receive(self._socket.recv(maximum))
        except BlockingIOError:
            if self.is_idle and self._settings.is_stopping and not self._settings.is_draining:
                raise ConnectionAbortedError("the server is stopping, and no request has begun") from None

    def _discard_content(self, request: Request) -> Generator[Wait, None, bool]:
        """Receive and discard the content of *request*, since a folder does not use it. Return whether it was read."""
        # RFC 9110 §10.1.1: send the final response instead of 100 (Continue). The client may then send the content or
        # not; the next octets could be either, so the connection closes.
        if request.expectations or (request.content_length or 0) > self._settings.limits.content.content:
            return False
        timeouts = self._settings.timeouts
        deadline = self.tick.monotonic + timeouts.content
        while not isinstance(event := self._parser.next_event(), EndOfContent):
            if event is not Pause.NEED_DATA:
                continue
            yield READABLE, min(deadline, self.tick.monotonic + timeouts.stall)
            # Read past the content no more than past a head.
            self._receive(min(_DISCARD_OCTETS, self._parser.content_left + _RECEIVE_OCTETS))
        return True

    def _check_content_length(self, request: Request, response: Response) -> None:
        """Raise RequestError if *request* has too much content and no other error applies."""
        limit = self._settings.limits.content.content
        if (request.content_length or 0) > limit and response.status < Status.BAD_REQUEST:
            response.close()
            raise request_error(content_too_large(limit))

    def _error_response(self, error: RequestError | TimeoutError, request: Request | None) -> Response:
        """Return the error response to a malformed or late request.

        Raises *error* if the request has not begun.
        """
        if isinstance(error, TimeoutError):
            if self.is_idle:
                raise error
            head = f"the head was not complete {self._settings.timeouts.head:g} seconds after its first byte"
            reason = "the content did not come in time" if request else head
            error = RequestError(Status.REQUEST_TIMEOUT, reason, "RFC 9110 §15.5.9")
        return explain(error.refusal, request.fields.get(b"accept") if request else accept_line(self._parser.unread))

    def _send(self, response: Response, request: Request | None, *, is_persistent: bool) -> Coroutine | None:
        """Send *response*; return a coroutine that sends the rest, or None if the kernel took all, the usual case."""
        request_line = request.request_line if request else _first_line(self._parser.unread)
        began = self.tick
        # RFC 9112 §9.3, §9.6: 1.1 persists by default, 1.0 only with "keep-alive".
        confirmed = "keep-alive" if request and request.minor_version == 0 else None
        connection_option = confirmed if is_persistent else "close"
        common_head = _common_head(response.status, began.second, self._settings.field_lines, connection_option)
        # RFC 9110 §9.3.2: the response to HEAD has the same fields, without content.
        is_head = request_line.startswith(b"HEAD ")
        octets, parts = (response.field_lines, ()) if is_head else (response.first_write, response.rest)
        self._sent = -len(common_head) - len(response.field_lines)
        try:
            if len(octets) > _COPIED_OCTETS and not parts:
                unsent = self._send_both(common_head, octets)
            else:
                unsent = self._send_some(common_head + octets, _MORE if parts else 0)
        except OSError:
            self._finish_response(response, request_line, began)
            raise
        if unsent:
            unsent, parts = unsent_parts(common_head, octets, len(unsent), parts)
        if unsent or parts:
            return self._send_rest(unsent, parts, response, request_line, began)
        if self._log or response.file:
            self._finish_response(response, request_line, began)
        return None

    def _finish_response(self, response: Response, request_line: bytes, began: Tick) -> None:
        """Close *response* and log how much of it was sent."""
        response.close()
        if self._log:
            length = 0 if request_line.startswith(b"HEAD ") else response.content_length
            seconds = time.monotonic() - began.monotonic
            sent = max(0, self._sent)
            reason = response.refusal.reason if response.refusal else ""
            self._log(Exchange(time.time(), self.client, request_line, response.status, sent, length, seconds, reason))

    def _send_rest(
        self,
        unsent: bytes | memoryview,
        parts: tuple[Part, ...],
        response: Response,
        request_line: bytes,
        began: Tick,
    ) -> Coroutine:
        """Send the rest of *response*: *unsent* octets, then *parts*."""
        self._start_rate(began.monotonic)
        try:
            is_multipart = len(parts) > 1
            for part in _join_short(parts) if is_multipart else parts:
                # Octets wait in the kernel for the octets of the file that follow them, to leave in one segment.
                yield from self._send_octets(unsent, _MORE)
                if isinstance(part, bytes):
                    unsent = part
                else:
                    yield from self._send_file(part)
                    unsent = b""
                # Other connections run between the parts of up to 256 ranges.
                if is_multipart:
                    yield from self._wait_to_send()
            yield from self._send_octets(unsent, 0)
        finally:
            self._finish_response(response, request_line, began)

    def _send_octets(self, octets: bytes | memoryview, flags: int) -> Coroutine:
        """Send all of *octets*; wait while the peer does not read."""
        while octets and (octets := self._send_some(octets, flags)):
            yield from self._wait_to_send()

    def _send_some(self, octets: bytes | memoryview, flags: int) -> bytes | memoryview:
        """Send as many *octets* as the kernel takes now; return the rest."""
        try:
            sent = self._socket.send(octets, flags)
        except BlockingIOError:
            return octets
        self._sent += sent
        return b"" if sent == len(octets) else memoryview(octets)[sent:]

    def _send_both(self, first: bytes, second: bytes) -> bytes | memoryview:
        """Send as much of both as the kernel takes now, without joining them first; return the rest."""
        try:
            sent = self._socket.sendmsg((first, second))
        except BlockingIOError:
            return first + second
        self._sent += sent
        return b"" if sent == len(first) + len(second) else memoryview(first + second)[sent:]

    def _start_rate(self, now: float) -> None:
        """Begin to measure, at *now*, how fast the peer reads."""
        timeouts = self._settings.timeouts
        acknowledged = self._sent - unsent_octets(self.descriptor)
        self._rate = SendRate(timeouts.least_rate, timeouts.slow, now=now, acknowledged=acknowledged)

    def _wait_to_send(self) -> Coroutine:
        """Wait until the socket is writable. Raises TimeoutError if the peer reads too slowly."""
        if self._rate.is_too_slow(self.tick.monotonic, self._sent - unsent_octets(self.descriptor)):
            # Reset, so that the kernel drops its send buffer instead of retrying for minutes.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            raise TimeoutError("the peer reads too slowly")
        with contextlib.suppress(TimeoutError):
            yield WRITABLE, self._rate.deadline

    def _send_file(self, part: FileSlice) -> Coroutine:
        """Send a slice of a file; other connections run in between. Raises OSError if the file is too short."""
        offset = part.offset
        stop = part.offset + part.length
        while offset < stop:
            length = min(stop - offset, _TICK_OCTETS)
            try:
                sent = self._send_slice(part.file, offset, length)
            except BlockingIOError:
                sent = 0
            else:
                if sent == 0:
                    raise ConnectionAbortedError("the file is shorter than the Content-Length sent")
            self._sent += sent
            offset += sent
            if offset < stop:
                yield from self._wait_to_send()

    def _send_slice(self, file: FileIO, offset: int, length: int) -> int:
        """Send octets of *file* from *offset* on; return how many the kernel took, or 0 at the end of the file."""
        if hasattr(os, "sendfile"):
            try:
                return self._sendfile(file, offset, length)
            except OSError as error:
                if error.errno not in _SENDFILE_NOT_SUPPORTED:
                    raise
        file.seek(offset)
        octets = file.read(min(length, _DISCARD_OCTETS))
        return self._socket.send(octets) if octets else 0

    def _sendfile(self, file: FileIO, offset: int, length: int) -> int:
        """Send octets of *file* without copying them; return how many the kernel took."""
        return os.sendfile(self.descriptor, file.fileno(), offset, length)

    def _linger(self) -> Coroutine:
        """Send FIN and read until end of file, so that no reset destroys the response (RFC 9112 §9.6)."""
        timeouts = self._settings.timeouts
        self._socket.shutdown(socket.SHUT_WR)
        self.is_idle = True
        deadline = self.tick.monotonic + timeouts.linger_total
        while self.tick.monotonic < deadline:
            try:
                if not self._socket.recv(_DISCARD_OCTETS):
                    return
            except BlockingIOError:
                if self._settings.is_stopping and not self._settings.is_draining:
                    return
            yield READABLE, min(deadline, self.tick.monotonic + timeouts.linger)


def _join_short(parts: tuple[Part, ...]) -> Iterator[Part]:
    """Yield *parts* with their octets and short slices joined, about _RECEIVE_OCTETS at a time.

    Raises OSError if a file can't be read or is too short.
    """
    joined = bytearray()
    for part in parts:
        if isinstance(part, bytes):
            joined += part
        elif part.length <= _SHORT_SLICE:
            part.file.seek(part.offset)
            octets = part.file.read(part.length)
            if len(octets) < part.length:
                raise ConnectionAbortedError("the file is shorter than the Content-Length sent")
            joined += octets
        else:
            yield bytes(joined)
            joined.clear()
            yield part
        if len(joined) >= _RECEIVE_OCTETS:
            yield bytes(joined)
            joined.clear()
    yield bytes(joined)


def _first_line(octets: bytes) -> bytes:
    """Return the first received line, for the log; it may be malformed."""
    return octets.partition(b"\n")[0].removesuffix(b"\r")


@lru_cache(maxsize=64)
def _common_head(status: Status, second: int, field_lines: bytes, connection_option: str | None) -> bytes:
    """Return the status line and the field lines that all responses of this second share.

    RFC 9110 §5.3: control fields come first.
    """
    connection = f"Connection: {connection_option}\r\n" if connection_option else ""
    date = f"Date: {format_http_date(second)}\r\n"
    return f"{status.line}{date}{connection}".encode("ascii") + field_lines
