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
from httpsock.http.framing import too_large
from httpsock.http.grammar import accept_line, format_http_date, printable
from httpsock.http.messages import FileSlice, Part, Request, RequestError, Response, Status, unsent_parts
from httpsock.http.request_parser import EndOfContent, Pause, RequestParser

from .access_log import Exchange
from .addresses import network_of
from .poller import READABLE, WRITABLE, unsent_octets
from .send_rate import SendRate
from .settings import Settings

# What a conversation waits for (READABLE or WRITABLE) and until when (on the monotonic clock, in seconds); or None:
# for the requests of all others that are there to be received, before its own is answered.
Wait = tuple[int, float] | None
# It yields waits; TimeoutError is thrown in at the deadline. What time it is stands in ``Connection.moment``.
Coroutine = Generator[Wait, None, None]

# How much is received at a time, which bounds what a turn parses and a connection holds; and how much is discarded.
_RECEIVE_OCTETS, _DISCARD_OCTETS = 8 * 1024, 64 * 1024
# When there is room for no more connections, who has connected has this long to ask for something.
_SECONDS_TO_ASK = 1.0
# Who is overdue by so much has met nobody who looked: deadlines are looked at twenty times a second.
_SUSPEND_SECONDS = 1.0
# How much of a file goes out before others get their turn.
_TURN_OCTETS = 1024 * 1024
# Up to this length it takes less time to copy octets behind a head than to hand over both (measured: 64 KiB take 19 µs
# of processor time when copied, and 16.7 when not). Windows can't hand over both.
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
# Linger on closing: yes, for no time; the system's structure of two numbers.
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection:
    """One client. Its worker resumes its conversation, in one thread at a time."""

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
        # Of the response that is being sent, or was last: octets of content that the system took, negative as long as
        # there are octets of the head that it did not take, and before the first response.
        self._sent = -1
        # Set by the worker: when it is, what its poller watches for, what the conversation waits for and until when.
        self.tick = tick
        self.polled = self.awaited = READABLE
        self.deadline = 0.0
        # For the worker: whether to cut the conversation short loses nothing.
        self.is_idle = False
        self.coroutine = self._serve()

    # What answers a request: a function, unless a variant of this class has an answer of its own.
    _respond = staticmethod(respond)

    def close(self) -> None:
        """Close the socket, which the worker does once it polls it no more."""
        self._socket.close()

    def shut_down(self) -> None:
        """Let every call that uses the socket fail from now on, in another thread too; it is not closed by this."""
        self.is_idle = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def describe(self) -> str:
        """Return the request that is being answered, and its client, for a report."""
        # Read from the frame where the generator has stopped: so it costs a request nothing.
        frame = getattr(self.coroutine, "gi_frame", None)
        request: Request | None = frame.f_locals.get("request") if frame else None
        return f"{printable(request.request_line) if request else 'a connection'} from {self.client}"

    def is_evictable(self, now: float) -> bool:
        """Return whether room may be made by closing it: it is idle, and has had an answer, or time to ask."""
        has_had_time = self.deadline - now <= self._settings.timeouts.idle - _SECONDS_TO_ASK
        return self.is_idle and (self._sent >= 0 or has_had_time)

    def has_no_input(self) -> bool:
        """Return whether nothing has arrived from the peer that was not received yet."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except OSError as error:
            return isinstance(error, BlockingIOError)

    def has_input_after_suspend(self, now: float) -> bool:
        """Return whether, although it is overdue, it is to be heard first, since it was we who did not listen.

        After a halt of the machine all are overdue, and no poll tells of all that have sent something meanwhile.
        """
        return now > self.deadline + _SUSPEND_SECONDS and self.awaited == READABLE and not self.has_no_input()

    def _serve(self) -> Coroutine:
        """Answer one request after the other until either side wants no more, then let the last response arrive."""
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
                        # When the server stops, what has not arrived by now is not waited for.
                        if not (self.is_idle and settings.is_stopping and not settings.is_draining):
                            yield READABLE, deadline
                        self._receive()
                    self.is_idle = False
                    if not isinstance(event, Request):
                        return
                    request = event
                    is_read = request.content_length == 0 or (yield from self._discard_content(request))
                    # The requests of others are received before this one is answered: see Moment.
                    yield None
                    response = handler(request, self.tick)
                    # What takes long is done in pieces, and between them others have their turn.
                    if not isinstance(response, Response):
                        response = yield from response(network_of(self.client))
                    if not is_read:
                        self._check_content_length(request, response)
                    # What follows a CONNECT may be meant for the tunnel that was not opened (RFC 9110 §9.3.6).
                    is_last = settings.is_stopping or request.method == "CONNECT"
                    is_persistent = request.is_persistent and is_read and not is_last
                except (RequestError, TimeoutError) as error:
                    response, is_persistent = self._error_response(error, request), False
                if unsent := self._send(response, request, is_persistent=is_persistent):
                    # The head and its fields may be long: while the reader takes its time, the request line does.
                    request, event = request and request._replace(head=b"", fields={}), Pause.NEED_DATA
                    yield from unsent
                del response, unsent
            yield from self._linger()
        except OSError:
            # The peer has nothing to ask, or is gone (reset, timed out, unreachable), or a file can't be read to its
            # end, so that what was promised can't be sent: closing is the only way left to say so (RFC 9112 §8).
            pass

    def _request_deadline(self, deadline: float) -> float:
        """Return until when the next request may take: less long once its first octet is there."""
        was_idle, self.is_idle = self.is_idle, not self._parser.unread
        if deadline and was_idle == self.is_idle:
            return deadline
        timeouts = self._settings.timeouts
        return self.tick.monotonic + (timeouts.idle if self.is_idle else timeouts.head)

    def _receive(self, most: int = _RECEIVE_OCTETS) -> None:
        """Give the parser at most *most* octets from the peer; none at all if it has ended its side."""
        try:
            self._parser.receive(self._socket.recv(most))
        except BlockingIOError:
            if self.is_idle and self._settings.is_stopping and not self._settings.is_draining:
                raise ConnectionAbortedError("the server stops, and there is no request") from None

    def _discard_content(self, request: Request) -> Generator[Wait, None, bool]:
        """Receive the content of *request* to its end, a folder having no use for it. Return whether it was read."""
        # RFC 9110 §10.1.1: instead of 100 (Continue) the final response is sent; the client may then send the content
        # or not, and what follows could be taken for either: the connection closes.
        if request.expectations or (request.content_length or 0) > self._settings.limits.content.content:
            return False
        timeouts = self._settings.timeouts
        latest = self.tick.monotonic + timeouts.content
        while not isinstance(event := self._parser.next_event(), EndOfContent):
            if event is not Pause.NEED_DATA:
                continue
            yield READABLE, min(latest, self.tick.monotonic + timeouts.stall)
            # Content leaves no more behind it than a head does.
            self._receive(min(_DISCARD_OCTETS, self._parser.content_left + _RECEIVE_OCTETS))
        return True

    def _check_content_length(self, request: Request, response: Response) -> None:
        """Raise RequestError if *request* has too much content, and nothing else is said against it."""
        limit = self._settings.limits.content.content
        if (request.content_length or 0) > limit and response.status < Status.BAD_REQUEST:
            response.close()
            raise too_large(limit)

    def _error_response(self, error: RequestError | TimeoutError, request: Request | None) -> Response:
        """Return what is said of a request that can't be understood, or that did not come in time.

        Raises *error* if it was not even begun in time.
        """
        if isinstance(error, TimeoutError):
            if self.is_idle:
                raise error
            head = f"the head was not complete {self._settings.timeouts.head:g} seconds after its first octet"
            reason = "the content did not come in time" if request else head
            error = RequestError(Status.REQUEST_TIMEOUT, reason, "RFC 9110 §15.5.9")
        return explain(error.refusal, request.fields.get(b"accept") if request else accept_line(self._parser.unread))

    def _send(self, response: Response, request: Request | None, *, is_persistent: bool) -> Coroutine | None:
        """Send *response*; return what is left to be sent as a conversation. Nearly always nothing is."""
        request_line = request.request_line if request else _first_line(self._parser.unread)
        began = self.tick
        # RFC 9112 §9.3, §9.6: 1.1 persists unsaid, 1.0 wants it confirmed.
        confirmed = "keep-alive" if request and request.minor_version == 0 else None
        connection_option = confirmed if is_persistent else "close"
        beginning = _common_head(response.status, began.second, self._settings.field_lines, connection_option)
        # RFC 9110 §9.3.2: the response to HEAD has the same fields, and no content.
        is_head = request_line.startswith(b"HEAD ")
        octets, parts = (response.field_lines, ()) if is_head else (response.first_write, response.rest)
        self._sent = -len(beginning) - len(response.field_lines)
        try:
            if len(octets) > _COPIED_OCTETS and not parts:
                unsent = self._send_both(beginning, octets)
            else:
                unsent = self._send_some(beginning + octets, _MORE if parts else 0)
        except OSError:
            self._finish_response(response, request_line, began)
            raise
        if unsent:
            unsent, parts = unsent_parts(beginning, octets, len(unsent), parts)
        if unsent or parts:
            return self._send_rest(unsent, parts, response, request_line, began)
        if self._log or response.file:
            self._finish_response(response, request_line, began)
        return None

    def _finish_response(self, response: Response, request_line: bytes, began: Tick) -> None:
        """Close what *response* was sent from, and tell the log how far it came."""
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
        """Send what is left of *response*: *unsent* octets, then *parts*."""
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
                # Other connections take their turns between the parts of 256 ranges.
                if is_multipart:
                    yield from self._wait_to_send()
            yield from self._send_octets(unsent, 0)
        finally:
            self._finish_response(response, request_line, began)

    def _send_octets(self, octets: bytes | memoryview, flags: int) -> Coroutine:
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
        return b"" if sent == len(octets) else memoryview(octets)[sent:]

    def _send_both(self, first: bytes, second: bytes) -> bytes | memoryview:
        """Send what the system takes of both now, without putting them together first; return the rest."""
        try:
            sent = self._socket.sendmsg((first, second))
        except BlockingIOError:
            return first + second
        self._sent += sent
        return b"" if sent == len(first) + len(second) else memoryview(first + second)[sent:]

    def _start_rate(self, now: float) -> None:
        """Measure from *now* on how fast the peer reads."""
        timeouts = self._settings.timeouts
        acknowledged = self._sent - unsent_octets(self.descriptor)
        self._rate = SendRate(timeouts.least_rate, timeouts.slow, now=now, acknowledged=acknowledged)

    def _wait_to_send(self) -> Coroutine:
        """Wait until more can be sent. Raises TimeoutError when the peer reads nothing for too long, or too slowly."""
        if self._rate.is_too_slow(self.tick.monotonic, self._sent - unsent_octets(self.descriptor)):
            # Reset, so that the kernel drops its send buffer instead of retrying for minutes.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            raise TimeoutError("the peer reads nothing, or too slowly")
        with contextlib.suppress(TimeoutError):
            yield WRITABLE, self._rate.deadline

    def _send_file(self, part: FileSlice) -> Coroutine:
        """Send a slice of a file, in turns with the other connections. Raises OSError if the file ends before it."""
        offset = part.offset
        stop = part.offset + part.length
        while offset < stop:
            wanted = min(stop - offset, _TURN_OCTETS)
            try:
                sent = self._send_slice(part.file, offset, wanted)
            except BlockingIOError:
                sent = 0
            else:
                if sent == 0:
                    raise ConnectionAbortedError("the file ended before the length that was promised")
            self._sent += sent
            offset += sent
            if offset < stop:
                yield from self._wait_to_send()

    def _send_slice(self, file: FileIO, offset: int, length: int) -> int:
        """Return how many octets of *file* from *offset* on the system took; 0 means that the file ends there."""
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
        """Let the kernel send octets of *file*; return how many it took."""
        return os.sendfile(self.descriptor, file.fileno(), offset, length)

    def _linger(self) -> Coroutine:
        """End our side, and read what is still under way, so that no reset destroys the response (RFC 9112 §9.6)."""
        timeouts = self._settings.timeouts
        self._socket.shutdown(socket.SHUT_WR)
        self.is_idle = True
        latest = self.tick.monotonic + timeouts.linger_total
        while self.tick.monotonic < latest:
            try:
                if not self._socket.recv(_DISCARD_OCTETS):
                    return
            except BlockingIOError:
                if self._settings.is_stopping and not self._settings.is_draining:
                    return
            yield READABLE, min(latest, self.tick.monotonic + timeouts.linger)


def _join_short(parts: tuple[Part, ...]) -> Iterator[Part]:
    """Yield *parts* with the octets and short slices among them joined, about _RECEIVE_OCTETS at a time.

    Raises OSError if a file can't be read, or ends before a slice does.
    """
    joined = bytearray()
    for part in parts:
        if isinstance(part, bytes):
            joined += part
        elif part.length <= _SHORT_SLICE:
            part.file.seek(part.offset)
            octets = part.file.read(part.length)
            if len(octets) < part.length:
                raise ConnectionAbortedError("the file ended before the length that was promised")
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
    """Return the first line of what was received, for the log: it may be no request line."""
    return octets.partition(b"\n")[0].removesuffix(b"\r")


@lru_cache(maxsize=64)
def _common_head(status: Status, second: int, field_lines: bytes, connection_option: str | None) -> bytes:
    """Return the beginning of a head: the status line and the field lines that all responses of this second share.

    RFC 9110 §5.3: what controls the exchange is best said first.
    """
    connection = f"Connection: {connection_option}\r\n" if connection_option else ""
    date = f"Date: {format_http_date(second)}\r\n"
    return f"{status.line}{date}{connection}".encode("ascii") + field_lines
