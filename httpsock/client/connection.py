"""The client's end of a connection, from the first system call to the last.

Read this file to see what a TCP client does:

    1  create         socket()
    2  connect        connect()            to each address of the host, until one answers
    3  communicate    send(), recv()
    4  close          close()

There is no bind(), since the system picks the local port, and no listen() or accept(), since a client connects out.
Requests go out, and parsed responses come back. Every call may block, but only until its deadline. The response parser
(httpsock.http.response_parser) interprets the octets.

RFC 9293 (TCP); RFC 8305 (which address first); RFC 9112 §9 (connection management).
"""

import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from httpsock.http.checks import check_seconds
from httpsock.http.message_reader import Content, Pause
from httpsock.http.response_parser import ResponseHead, ResponseLimits, ResponseParser
from httpsock.tracing.events import visible_octets
from httpsock.tracing.sockets import Emit, address_of, discard, error_attributes, trace_errors
from httpsock.tracing.tcp_info import tcp_info

# The address family, and the address in the form of the socket module.
Address = tuple[socket.AddressFamily, Any]

_RECEIVE_OCTETS = 256 * 1024
_SEND_OCTETS = 64 * 1024
# RFC 8305 §5, §8: after this delay, try the next address in parallel.
_ATTEMPT_SECONDS = 0.25
_IN_PROGRESS_ERRNOS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN)


@dataclass(frozen=True)
class ClientTimeouts:
    """The client's time-outs, in seconds.

    *connect* limits the time to connect. *response* limits the time from the request to the end of the response's head.
    *stall* limits each wait while content is sent or received. *whole* limits a request with its redirects and content.
    """

    # To connect to any of the addresses. The name look-up is not included: only the system can end it.
    connect: float = 10.0
    # From the request's last octet to the end of the final head. Interim responses do not extend it.
    response: float = 60.0
    # Between two reads of content, or two writes of content.
    stall: float = 30.0
    # For one request with all its redirects, to the last octet of content. None means no limit.
    whole: float | None = None

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError if any value is not a valid time-out."""
        for name, value in vars(self).items():
            if name != "whole" or value is not None:
                check_seconds(name, value)


def resolve(host: str, port: int, emit: Emit = discard) -> list[Address]:
    """Return the addresses of *host*, a name or a numeric address. Raise socket.gaierror if *host* has no address."""
    # Pass the name as octets, so that Python does not change it.
    try:
        with trace_errors(emit, "getaddrinfo", {"host": host}):
            found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        # The error's text ends with its file name.
        error.filename = host
        raise
    addresses = interleave_families([(family, address) for family, *_, address in found])
    emit("getaddrinfo", {"host": host, "addresses": ", ".join(str(address[0]) for _, address in addresses)})
    return addresses


def interleave_families(addresses: Sequence[Address]) -> list[Address]:
    """Return *addresses* so that IPv4 and IPv6 alternate. The system's preferred family comes first (RFC 8305 §4)."""
    first = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    return [each for each in chain.from_iterable(zip_longest(first, others)) if each is not None]


def connect(addresses: Sequence[Address], deadline: float, emit: Emit = discard) -> socket.socket:
    """Return a socket connected to the first address that answers.

    Try *addresses* in order. If an address does not answer after a short delay, try the next one in parallel. Raise
    TimeoutError at *deadline*, on the monotonic clock. If all addresses fail, raise the last OSError.
    """
    waiting = deque(addresses)
    attempts: dict[socket.socket, Any] = {}
    fault = OSError("it has no address")
    next_attempt, began = 0.0, time.monotonic()
    try:
        while waiting or attempts:
            now = time.monotonic()
            if now >= deadline:
                emit("timeout", {"for": "an address to answer", "seconds": round(now - began, 3)})
                raise TimeoutError(f"no connection was made within {round(deadline - began, 2):g} s")
            if waiting and (now >= next_attempt or not attempts):
                next_attempt = now + _ATTEMPT_SECONDS
                family, address = waiting.popleft()
                try:
                    attempts[_start_connecting(family, address, emit)] = address
                except OSError as error:
                    fault = error
                continue
            wake_at = min(deadline, next_attempt) if waiting else deadline
            for attempt in _ready(attempts, selectors.EVENT_WRITE, wake_at - now):
                address = attempts.pop(attempt)
                code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    emit("connect", {"address": address_of(address), "local": address_of(attempt.getsockname())})
                    return attempt
                fault = _refused(code, address, emit)
                _close_attempt(attempt, address, emit)
                next_attempt = 0.0
    finally:
        for attempt, address in attempts.items():
            _close_attempt(attempt, address, emit)
    raise fault


def _close_attempt(attempt: socket.socket, address: Any, emit: Emit) -> None:
    """Close a socket that has not connected to *address*."""
    attempt.close()
    emit("close", {"address": address_of(address)})


def _start_connecting(family: socket.AddressFamily, address: Any, emit: Emit) -> socket.socket:
    """Start to connect to *address*, and return the socket. Raise OSError if connect() fails immediately."""
    # 1. Create: a descriptor for one end of a TCP connection, over IPv4 or IPv6.
    created = socket.socket(family, socket.SOCK_STREAM)
    emit("socket", {"family": created.family.name, "type": created.type.name})
    # Disable Nagle's algorithm: send small segments immediately, before earlier ones are acknowledged.
    created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # connect() must not block: another address may be faster.
    created.setblocking(False)
    # 2. Connect: the system picks a local port and sends SYN; the connection is open when the peer's SYN-ACK arrives.
    code = created.connect_ex(address)
    if code not in (0, *_IN_PROGRESS_ERRNOS):
        fault = _refused(code, address, emit)
        _close_attempt(created, address, emit)
        raise fault
    return created


def _refused(code: int, address: Any, emit: Emit) -> OSError:
    error = OSError(code, os.strerror(code), address_of(address))
    emit("connect", {"address": address_of(address), **error_attributes(error)})
    return error


def _ready(sockets: Iterable[socket.socket], awaited: int, seconds: float) -> list[socket.socket]:
    """Return the sockets that are ready for the event *awaited*. Wait at most this many *seconds*."""
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            selector.register(each, awaited, each)
        return [key.data for key, _ in selector.select(seconds)]


class ClientConnection:
    """A connection to a server. Send one request, receive its response, repeat."""

    def __init__(
        self, connected: socket.socket, limits: ResponseLimits, timeouts: ClientTimeouts, emit: Emit = discard
    ) -> None:
        self._socket = connected
        self._timeouts = timeouts
        self._emit = emit
        self._parser = ResponseParser(limits)
        self._deadline = 0.0
        # A final head that arrived while the request's content was being sent.
        self._early_head: ResponseHead | None = None
        # How much content was received.
        self._octets = 0
        # The request head, until it is traced with the first send().
        self._head = b""
        self._is_last = False

    @property
    def is_idle(self) -> bool:
        """Whether the connection is open and the last response is complete."""
        return not self.is_closed and self._parser.is_idle

    @property
    def is_closed(self) -> bool:
        """Whether the socket is closed."""
        return self._socket.fileno() < 0

    @property
    def is_reusable(self) -> bool:
        """Whether the connection can be used for another request.

        A connection is not reusable if the server has closed its end, or has sent unexpected octets.
        """
        return self.is_idle and self._parser.is_reusable and not self._has_octets()

    @property
    def has_begun_to_answer(self) -> bool:
        """Whether part of the response has arrived. If not, the server may never have received the request."""
        return self._parser.has_begun

    @property
    def content_length(self) -> int | None:
        """The length of the content in octets, or None if the last head did not announce the length."""
        return self._parser.content_length

    @property
    def trailers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The trailer fields of the last response."""
        return self._parser.trailers

    def send(self, method: str, head: bytes, content: bytes, deadline: float) -> None:
        """Send a request. The whole response must arrive by *deadline*, on the monotonic clock."""
        self._deadline = deadline
        self._early_head = None
        self._octets = 0
        self._head = head
        self._parser.expect(method)
        # A small request takes one call, and usually one segment.
        beginning, rest = content[:_SEND_OCTETS], memoryview(content)[_SEND_OCTETS:]
        # 3. Communicate: send() returns when the kernel has buffered some octets, not when the peer has them.
        try:
            _ = self._send_all(memoryview(head + beginning)) and self._send_all(rest)
        except ConnectionError as error:
            # RFC 9112 §9.5: the server may have sent an error response before it closed.
            self._emit("send", error_attributes(error))
            self._is_last = True

    def shorten_deadline(self, seconds: float) -> None:
        """Shorten the deadline: the rest of the response must arrive within this many *seconds*."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def _send_all(self, octets: memoryview) -> bool:
        """Send *octets*. Stop early if the server answers with an error. Return whether all octets were sent.

        A server that refuses content may stop reading, so the socket might never become writable again.
        """
        stall = self._timeouts.stall
        with selectors.DefaultSelector() as selector:
            key = selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while octets:
                seconds = min(stall, self._deadline - time.monotonic())
                ready = selector.select(seconds) if seconds > 0 else []
                if not ready:
                    raise self._timeout("room to send", seconds, f"the server read no content for {stall:g} s")
                if ready[0][1] & selectors.EVENT_WRITE:
                    octets = octets[self._send_some(octets[:_SEND_OCTETS]) :]
                if octets and ready[0][1] & selectors.EVENT_READ:
                    if self._is_refused():
                        return False
                    if self._early_head:
                        # The response is no error: continue to send, and receive its content afterwards.
                        key = selector.modify(key.fileobj, selectors.EVENT_WRITE)
        return True

    def _send_some(self, octets: memoryview) -> int:
        """Send as many of *octets* as the kernel accepts. Return how many octets were sent."""
        sent = self._socket.send(octets)
        # Trace the head whole: a part of it could escape the masking of credentials.
        head, self._head = self._head, b""
        self._emit("send", {"octets": sent, "content": max(0, sent - len(head))}, head=head, octets=octets[:sent])
        return sent

    def _is_refused(self) -> bool:
        """Receive while content is being sent. Return whether an error response has arrived.

        After an error response, the server still expects the rest of the content. So the connection can't be reused
        (RFC 9112 §9.3).
        """
        self._receive(*self._stall())
        self._early_head = self._final_head()
        self._is_last = self._early_head is not None and self._early_head.is_error
        return self._is_last

    def receive_head(self) -> ResponseHead:
        """Return the head of the final response.

        Raise ResponseError if the head is malformed. Raise TimeoutError if the server is too slow.
        """
        seconds = self._timeouts.response
        deadline = time.monotonic() + seconds
        head = self._early_head or self._final_head()
        while head is None:
            self._receive(deadline, f"the server sent no complete response head within {seconds:g} s")
            head = self._final_head()
        return head

    def _final_head(self) -> ResponseHead | None:
        """Skip interim heads, and return the final head. If the final head has not arrived yet, return None."""
        while isinstance(event := self._parser.next_event(), ResponseHead):
            self._emit("parse", {"status": event.status, "phrase": visible_octets(event.phrase)}, head=event.octets)
            if not event.is_interim:
                return event
        return None

    def receive_content(self) -> bytes:
        """Return the next octets of the response's content. At the end of the content, return b"".

        Raise ResponseError if the content is malformed. Raise TimeoutError if the server is too slow.
        """
        while (event := self._parser.next_event()) is Pause.NEED_DATA:
            self._receive(*self._stall())
        if isinstance(event, Content):
            self._octets += len(event.octets)
            return event.octets
        self._emit("content", {"octets": self._octets})
        if self._is_last or not self._parser.is_reusable:
            self.close()
        return b""

    def _stall(self) -> tuple[float, str]:
        """Return the deadline for the next octets, and the error message for this deadline."""
        seconds = self._timeouts.stall
        return time.monotonic() + seconds, f"the server sent nothing for {seconds:g} s"

    def _receive(self, deadline: float, reason: str) -> None:
        """Receive octets, and pass the octets to the parser.

        At *deadline*, raise TimeoutError with the message *reason*.
        """
        began = time.monotonic()
        try:
            self._wait_until(deadline)
            octets = self._socket.recv(_RECEIVE_OCTETS)
        except TimeoutError:
            raise self._timeout("the server", time.monotonic() - began, reason) from None
        except ConnectionError as error:
            self._emit("recv", error_attributes(error))
            raise self._parser.incomplete("was reset") from error
        self._emit("recv", {"octets": len(octets)}, octets=octets)
        self._parser.receive(octets)

    def _has_octets(self) -> bool:
        """Return whether recv() would finish immediately.

        The result of recv() may be octets, the end of the stream or an error.
        """
        return bool(_ready([self._socket], selectors.EVENT_READ, 0.0))

    def _wait_until(self, deadline: float) -> None:
        """Set the socket's time-out to *deadline*, or to the deadline of the whole exchange if that is sooner."""
        seconds = min(deadline, self._deadline) - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds)

    def _timeout(self, awaited: str, seconds: float, reason: str) -> TimeoutError:
        """Emit an event for a missed deadline, and return a TimeoutError with the message *reason*.

        The event says what was *awaited*, and for how many *seconds*. If the deadline for the whole exchange has
        passed, the error has a message about that deadline.
        """
        self._emit("timeout", {"for": awaited, "seconds": round(max(seconds, 0.0), 3)})
        if self._timeouts.whole is not None and time.monotonic() >= self._deadline:
            reason = f"the exchange was not complete within {self._timeouts.whole:g} s"
        return TimeoutError(reason)

    def close(self) -> None:
        """Close the socket. A second call has no effect."""
        if not self.is_closed:
            known = None if self._emit is discard else tcp_info(self._socket)
            # 4. Close: the system sends FIN after the last octet. If received octets are unread, it sends a reset.
            self._socket.close()
            self._emit("close", {"tcp": known} if known else {})
