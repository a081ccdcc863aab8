"""The sender: sends one response as octets, as fast as the peer reads.

Takes a Response, gives its octets to the transport. If the kernel does not take all octets, a coroutine sends the rest
later. If the peer reads too slowly, the coroutine resets the connection. Next: transport.py makes the calls.

RFC 9112 §4 (status line), §7.1 (chunked), §9.3, §9.6 (the connection option); RFC 9110 §6.6.1 (Date), §9.3.2 (HEAD).
"""

import contextlib
import math
import socket
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from functools import lru_cache
from itertools import chain, repeat

from httpsock.http.grammar import format_http_date, printable
from httpsock.http.handler import Context, Tick
from httpsock.http.messages import FileSlice, Part, Request, Response, Sleep, Status, Stream

from .access_log import Exchange
from .poller import WRITABLE
from .send_rate import SendRate
from .settings import Settings
from .state import State
from .transport import MORE, Transport, event_of, send_slice

# A state to wait in, and a deadline in seconds on the monotonic clock; None is a pause in which other connections run.
Wait = tuple[State, float] | None

# Octets of a file sent before other connections run.
_TICK_OCTETS = 1024 * 1024
# Up to this length a copy behind the head is faster than sendmsg() of both (measured: 64 KiB take 19 µs of processor
# time when copied, and 16.7 when not). Windows lacks sendmsg().
_COPIED_OCTETS = 32 * 1024 if hasattr(socket.socket, "sendmsg") else 1 << 62
# In a multipart response, slices up to this length are read and sent together with the part heads between them: two
# calls and a segment for each slice would cost more than the copy.
_SHORT_SLICE = 16 * 1024
_LAST_CHUNK = b"0\r\n\r\n"  # RFC 9112 §7.1
_END_OF_HEAD = b"\r\n\r\n"
_FOREVER = Sleep(math.inf)
# Gather this much from short slices before sending it.
_GATHERED_OCTETS = 8 * 1024


class Sender:
    """Sends the responses of one connection, one after the other. Logs each response when it ends."""

    __slots__ = (
        "_awaited",
        "_context",
        "_head_octets",
        "_log",
        "_rate",
        "_sent",
        "_settings",
        "_transport",
        "step_seconds",
    )

    def __init__(
        self, transport: Transport, settings: Settings, context: Context, log: Callable[[Exchange], object] | None
    ) -> None:
        """Send to *transport*. *context* has the client's address and the current tick."""
        self._transport = transport
        self._settings = settings
        # A strong reference would make a cycle, which only the garbage collector frees.
        self._context = weakref.proxy(context)
        self._log = log
        # The length of the current response's head, and how many octets of the response the kernel has taken.
        self._head_octets = self._sent = 0
        # The speed at which the peer reads, measured from the first wait on.
        self._rate: SendRate | None = None
        self._awaited = WRITABLE
        # How long the handler took for the next response, if it ran in steps.
        self.step_seconds = 0.0

    @property
    def head_left(self) -> int:
        """How many octets of the head are still to be sent."""
        return max(0, self._head_octets - self._sent)

    def send(
        self, response: Response, request: Request | None, unread: bytes, began: Tick, *, is_persistent: bool
    ) -> Generator[Wait, None, object] | None:
        """Send *response*. If the kernel takes the whole response, return None, else a coroutine that sends the rest.

        *began* is the current tick. If there is no valid *request*, the log shows the first line of *unread*.
        """
        if request:
            # RFC 9112 §9.3, §9.6: 1.1 persists by default, 1.0 only with "keep-alive".
            confirmed = None if request.minor_version else "keep-alive"
            request_line, is_head = request.request_line, request.method == "HEAD"
        else:
            request_line, confirmed = unread.partition(b"\n")[0].removesuffix(b"\r"), None
            is_head = request_line.startswith(b"HEAD ")
        connection_option = confirmed if is_persistent else "close"
        common_head = _common_head(response.status, began.second, self._settings.field_lines, connection_option)
        # RFC 9110 §9.3.2: the response to HEAD has the same fields, without content.
        octets, parts = (response.field_lines, ()) if is_head else (response.first_write, response.rest)
        if not octets:
            if isinstance(response.content, Stream) and response.content.then:
                return self._send_exactly(response.content, response, request_line, began)
            return self._send_stream(response, request, request_line, began, connection_option)
        self._head_octets, self._sent = len(common_head) + len(response.field_lines), 0
        try:
            if len(octets) > _COPIED_OCTETS and not parts:
                unsent = self._send_both(common_head, octets)
            else:
                unsent = self._send_some(common_head + octets, MORE if parts else 0)
        except OSError:
            self._finish(response, request_line, began)
            raise
        if unsent:
            unsent, parts = unsent_parts(common_head, octets, len(unsent), parts)
        if unsent or parts:
            return self._send_rest(unsent, parts, response, request_line, began)
        if self._log or response.file:
            self._finish(response, request_line, began)
        return None

    def send_interim(self, octets: bytes) -> Generator[Wait, None, None]:
        """Send *octets*, an interim response such as 100 (Continue): see RFC 9110 §15.2."""
        self._head_octets, self._sent, self._rate = len(octets), 0, None
        yield from self._send_octets(octets)

    def _finish(self, response: Response, request_line: bytes, began: Tick, framing_octets: int = 0) -> None:
        """Close *response*, and log how many octets of content were sent.

        *framing_octets* is the number of octets that the chunked coding added. These octets are not content.
        """
        try:
            response.close()
        finally:
            if self._log:
                sent = max(0, self._sent - self._head_octets - framing_octets)
                length = 0 if request_line.startswith(b"HEAD ") else response.content_length
                if isinstance(response.content, Stream) and response.content.length is None:
                    length = sent
                seconds = time.monotonic() - began.monotonic + self.step_seconds
                self.step_seconds = 0.0
                reason = response.refusal.reason if response.refusal else ""
                client = self._context.client
                self._log(Exchange(time.time(), client, request_line, response.status, sent, length, seconds, reason))

    def _send_rest(
        self,
        unsent: bytes | memoryview,
        parts: tuple[Part, ...],
        response: Response,
        request_line: bytes,
        began: Tick,
    ) -> Generator[Wait, None, None]:
        """Send the rest of *response*: first the *unsent* octets, then the *parts*."""
        # The first call below tries the unsent octets again, and reports which event they wait for.
        self._rate, self._awaited = None, WRITABLE
        try:
            is_multipart = len(parts) > 1
            for part in _join_short(parts) if is_multipart else parts:
                # MORE holds these octets in the kernel until those of the file follow, so that both share a segment.
                yield from self._send_octets(unsent, MORE)
                if isinstance(part, bytes):
                    unsent = part
                else:
                    yield from self._send_file(part)
                    unsent = b""
                # Other connections run between the parts of up to 256 ranges.
                if is_multipart:
                    yield from self._wait_to_send()
            yield from self._send_octets(unsent)
        finally:
            self._finish(response, request_line, began)

    def _send_stream(
        self,
        response: Response,
        request: Request | None,
        request_line: bytes,
        began: Tick,
        connection_option: str | None,
    ) -> Generator[Wait, None, bool]:
        """Send a streamed *response*. Return whether its framing lets the connection persist."""
        stream = response.content if isinstance(response.content, Stream) else Stream(iter(()))
        is_sized = stream.length is not None
        is_chunked = not is_sized and request is not None and request.minor_version > 0
        if not is_sized and not is_chunked:
            connection_option = "close"
        common_head = _common_head(response.status, began.second, self._settings.field_lines, connection_option)
        head = common_head + (b"Transfer-Encoding: chunked\r\n" if is_chunked else b"") + response.field_lines
        self._head_octets, self._sent, self._rate = len(head), 0, None
        framing_octets, is_complete = 0, False
        try:
            unsent = head
            for chunk in _chunks(stream, request_line, self._context.client):
                if isinstance(chunk, Sleep):
                    yield from self._send_octets(unsent)
                    yield from self._sleep(chunk.seconds)
                    unsent = b""
                    continue
                if is_chunked and chunk:
                    framing_octets += len(b"%x\r\n\r\n" % len(chunk))
                    chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)  # noqa: PLW2901 (its form on the wire)
                yield from self._send_octets(unsent + chunk)
                unsent = b""
                # Other connections run between two chunks.
                yield None
            last_chunk = _LAST_CHUNK if is_chunked else b""
            framing_octets += len(last_chunk)
            yield from self._send_octets(unsent + last_chunk)
            is_complete = True
        finally:
            if not is_complete and not is_sized and not is_chunked:
                # Only a reset shows that content without framing is incomplete (RFC 9112 §8).
                self._transport.reset()
            self._finish(response, request_line, began, framing_octets)
        return is_sized or is_chunked

    def _send_exactly(
        self, stream: Stream, response: Response, request_line: bytes, began: Tick
    ) -> Generator[Wait, None, bool]:
        """Send the octets of *stream* unchanged, without a head. Return whether the connection may persist.

        Raise ConnectionAbortedError if a reset must follow the octets, or if the server stops an endless response.
        """
        self._head_octets, self._sent, self._rate = 0, 0, None
        is_endless = stream.then == "stall"
        # The last octets of a head that has not ended yet, or None.
        begun: bytes | None = b""
        try:
            for chunk in chain(
                _chunks(stream, request_line, self._context.client), repeat(_FOREVER) if is_endless else ()
            ):
                if isinstance(chunk, Sleep):
                    if is_endless and self._context.is_stopping:
                        raise ConnectionAbortedError("the server stops")
                    yield from (self._sleep if is_endless else self._pause)(chunk.seconds)
                else:
                    if begun is not None or chunk.startswith(b"HTTP/"):
                        begun = self._find_head(begun or b"", chunk)
                    yield from self._send_octets(chunk)
                    # Other connections run between two chunks.
                    yield None
            if stream.then == "reset":
                self._transport.reset()
                raise ConnectionAbortedError("a reset follows")
        finally:
            self._finish(response, request_line, began)
        return stream.then == "keep"

    def _find_head(self, begun: bytes, chunk: bytes) -> bytes | None:
        """Record how much of *chunk* belongs to the head.

        *begun* has the last octets before *chunk*. If the head has ended, return None. Otherwise, return the last
        octets, which the next call gets as *begun*.
        """
        octets = begun + chunk
        stop = octets.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        has_ended = stop >= len(_END_OF_HEAD)
        self._head_octets = self._sent + (stop - len(begun) if has_ended else len(chunk))
        return None if has_ended else octets[1 - len(_END_OF_HEAD) :]

    def _pause(self, seconds: float) -> Generator[Wait, None, None]:
        """Wait for *seconds* between two parts of a response.

        Raise ConnectionAbortedError if the client resets the connection.
        """
        with contextlib.suppress(TimeoutError):
            yield State.PAUSED, self._context.tick.monotonic + seconds
            raise ConnectionAbortedError("the client reset the connection")
        self._measure_anew()

    def _sleep(self, seconds: float) -> Generator[Wait, None, None]:
        """Wait for *seconds*, while a stream has nothing to send. If the server stops meanwhile, return early.

        Raise ConnectionAbortedError if the client disconnects.
        """
        deadline = self._context.tick.monotonic + seconds
        state = State.SLEEPING
        try:
            while True:
                yield state, deadline
                if self._context.is_stopping:
                    break
                # The socket is readable: at the client's end, or with its next request, which waits for the stream.
                if state is State.SLEEPING_UNREAD or not self._transport.has_input():
                    raise ConnectionAbortedError("the reader of the stream disconnected")
                state = State.SLEEPING_UNREAD
        except TimeoutError:
            # A time-out before the deadline evicts the connection.
            if self._context.tick.monotonic < deadline:
                raise
        self._measure_anew()

    def _measure_anew(self) -> None:
        """If the peer has received everything, start to measure its speed again."""
        if not self._transport.unsent():
            self._rate = None

    def _send_octets(self, octets: bytes | memoryview, flags: int = 0) -> Generator[Wait, None, None]:
        """Send all of *octets*. Wait whenever the kernel takes no more."""
        while octets and (octets := self._send_some(octets, flags)):
            yield from self._wait_to_send()

    def _send_some(self, octets: bytes | memoryview, flags: int) -> bytes | memoryview:
        """Send as many *octets* as the kernel takes now. Return the octets that are left."""
        try:
            sent = self._transport.send(octets, flags)
        except BlockingIOError as error:
            self._awaited = event_of(error, WRITABLE)
            return octets
        self._sent += sent
        return b"" if sent == len(octets) else memoryview(octets)[sent:]

    def _send_both(self, first: bytes, second: bytes) -> bytes | memoryview:
        """Send as much of *first* and then *second* as the kernel takes now. Return the octets that are left."""
        try:
            sent = self._transport.send_both(first, second)
        except BlockingIOError as error:
            self._awaited = event_of(error, WRITABLE)
            return first + second
        self._sent += sent
        return b"" if sent == len(first) + len(second) else memoryview(first + second)[sent:]

    def _wait_to_send(self) -> Generator[Wait, None, None]:
        """Wait until the transport takes more octets. Raise TimeoutError if the peer reads too slowly."""
        now = self._context.tick.monotonic
        acknowledged = self._sent - self._transport.unsent()
        if self._rate is None:
            timeouts = self._settings.timeouts
            self._rate = SendRate(timeouts.min_rate, timeouts.slow, now=now, acknowledged=acknowledged)
        if self._rate.is_too_slow(now, acknowledged):
            self._transport.reset()
            raise TimeoutError("the peer reads too slowly")
        state = State.SENDING if self._awaited == WRITABLE else State.SENDING_IN
        self._awaited = WRITABLE
        with contextlib.suppress(TimeoutError):
            yield state, self._rate.deadline

    def _send_file(self, part: FileSlice) -> Generator[Wait, None, None]:
        """Send *part*, a slice of a file, in several calls. Raise OSError if the file is too short.

        Other connections run between two calls.
        """
        offset = part.offset
        stop = part.offset + part.length
        while offset < stop:
            try:
                sent = send_slice(self._transport, part.file, offset, min(stop - offset, _TICK_OCTETS))
            except BlockingIOError as error:
                self._awaited = event_of(error, WRITABLE)
                sent = 0
            else:
                if sent == 0:
                    raise ConnectionAbortedError("the file is shorter than the Content-Length sent")
            self._sent += sent
            offset += sent
            if offset < stop:
                yield from self._wait_to_send()


def unsent_parts(
    first: bytes, second: bytes, length: int, rest: tuple[Part, ...]
) -> tuple[bytes | memoryview, tuple[Part, ...]]:
    """Return the octets to send next, and the parts to send after these octets.

    The last *length* octets of *first* + *second* are unsent. All of *rest* is unsent, too. Never copy *second*, since
    it may be a cached file that many connections with slow readers share.
    """
    if length > len(second):
        return first[len(first) + len(second) - length :], (second, *rest)
    return memoryview(second)[len(second) - length :], rest


def _chunks(stream: Stream, request_line: bytes, client: str) -> Iterator[bytes | Sleep]:
    """Yield the chunks of *stream*. If the stream raises an exception, add the request to it as a note.

    Replace an OSError by a RuntimeError, since an OSError would look like an error of the connection.
    """
    try:
        yield from _measured_chunks(stream)
    except OSError as error:
        failure = RuntimeError("the stream failed")
        failure.add_note(f"{printable(request_line)} from {client}")
        raise failure from error
    except BaseException as error:
        error.add_note(f"{printable(request_line)} from {client}")
        raise


def _measured_chunks(stream: Stream) -> Iterator[bytes | Sleep]:
    """Yield the chunks of *stream*. If the stream announces a length, raise ValueError for any other length."""
    length, sent = stream.length, 0
    for chunk in stream.chunks:
        if not isinstance(chunk, Sleep):
            sent += len(chunk)
            if length is not None and sent > length:
                raise ValueError(f"the stream is longer than its length of {length} bytes")
        yield chunk
    if length is not None and sent < length:
        raise ValueError(f"the stream ended {length - sent} bytes before its length of {length}")


def _join_short(parts: tuple[Part, ...]) -> Iterator[Part]:
    """Yield *parts*, but join octets and short slices into pieces of about _GATHERED_OCTETS.

    Raise OSError if a file can't be read or is too short.
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
        if len(joined) >= _GATHERED_OCTETS:
            yield bytes(joined)
            joined.clear()
    yield bytes(joined)


@lru_cache(maxsize=64)
def _common_head(status: Status, second: int, field_lines: bytes, connection_option: str | None) -> bytes:
    """Return the start of a head: the status line, Date, Connection and *field_lines*.

    Responses with equal arguments share the result. Control fields come first (RFC 9110 §5.3).
    """
    connection = f"Connection: {connection_option}\r\n" if connection_option else ""
    date = f"Date: {format_http_date(second)}\r\n"
    return f"{status.line}{date}{connection}".encode("ascii") + field_lines
