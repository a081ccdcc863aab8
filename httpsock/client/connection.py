"""The connection as its client sees it: from the first call to the last.

This is the file to read for what a TCP client does:

    1  create         socket()
    2  connect        connect()            to each address of the host, until one answers
    3  communicate    send(), recv()
    4  close          close()

There is no bind(): the system picks the local port; no listen(), no accept(): nobody is waited for.
All calls wait, but none past its deadline. Octets that came are understood by the response parser, not here.

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
from httpsock.http.request_parser import Content, Pause
from httpsock.http.response_parser import ResponseHead, ResponseLimits, ResponseParser
from httpsock.tracing.events import visible
from httpsock.tracing.sockets import Emit, address_of, discard, error_attributes, trace_errors
from httpsock.tracing.tcp_info import tcp_info

# The family of an address and the address itself, as the system writes it.
Address = tuple[socket.AddressFamily, Any]

_RECEIVE_OCTETS = 256 * 1024
_SEND_OCTETS = 64 * 1024
# RFC 8305 §5, §8: an attempt that has not succeeded for so long gets company from the next address.
_ATTEMPT_SECONDS = 0.25
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN)


@dataclass(frozen=True)
class ClientTimeouts:
    """How long a server may take, in seconds."""

    # To complete a connection, whichever address it is to. The look-up of a name is not counted: only the system can
    # end it.
    connect: float = 10.0
    # From the request's last octet to the end of the final head, interim responses included.
    response: float = 60.0
    # Between two reads of content, or for a piece of ours to be taken.
    stall: float = 30.0
    # For one request with all its redirects, to the last octet of content; or None for any time.
    whole: float | None = None

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for what is no time."""
        for name, value in vars(self).items():
            if name != "whole" or value is not None:
                check_seconds(name, value)


def resolve(host: str, port: int, emit: Emit = discard) -> list[Address]:
    """Return the addresses of *host*, a numeric address or a name. Raises socket.gaierror if it has none."""
    # As octets, so that nothing is made of the name before the system sees it.
    with trace_errors(emit, "getaddrinfo", {"host": host}):
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    addresses = interleave_families([(family, address) for family, *_, address in found])
    emit("getaddrinfo", {"host": host, "addresses": ", ".join(str(address[0]) for _, address in addresses)})
    return addresses


def interleave_families(addresses: Sequence[Address]) -> list[Address]:
    """Return *addresses* with their families in turn, first the one that the system prefers (RFC 8305 §4)."""
    first = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    return [each for each in chain.from_iterable(zip_longest(first, others)) if each is not None]


def connect(addresses: Sequence[Address], deadline: float, emit: Emit = discard) -> socket.socket:
    """Return a socket that is connected to one of *addresses*: the first to answer, each being tried in its turn.

    Raises TimeoutError at *deadline* (on the monotonic clock), or the OSError of the last address that refused.
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
                    attempts[_begin_to_connect(family, address, emit)] = address
                except OSError as error:
                    fault = error
                continue
            until = min(deadline, next_attempt) if waiting else deadline
            for attempt in _ready(attempts, selectors.EVENT_WRITE, until - now):
                address = attempts.pop(attempt)
                code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    emit("connect", {"address": address_of(address), "local": address_of(attempt.getsockname())})
                    return attempt
                attempt.close()
                fault = _refused(code, address, emit)
                next_attempt = 0.0
    finally:
        for attempt in attempts:
            attempt.close()
    raise fault


def _begin_to_connect(family: socket.AddressFamily, address: Any, emit: Emit) -> socket.socket:
    """Return a socket that is being connected to *address*. Raises OSError if the system knows no way there."""
    # 1. Create: a descriptor for one end of a TCP connection, of IPv4 or IPv6.
    created = socket.socket(family, socket.SOCK_STREAM)
    emit("socket", {"family": created.family.name, "type": created.type.name})
    # What is sent is sent at once, not held back until the last was acknowledged.
    created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # connect() must not wait: another address may be faster.
    created.setblocking(False)
    # 2. Connect: the system sends SYN and picks a local port; it is done when the peer's SYN and ACK are here.
    code = created.connect_ex(address)
    if code not in (0, *_UNDER_WAY):
        created.close()
        raise _refused(code, address, emit)
    return created


def _refused(code: int, address: Any, emit: Emit) -> OSError:
    error = OSError(code, os.strerror(code))
    emit("connect", {"address": address_of(address), **error_attributes(error)})
    return error


def _ready(sockets: Iterable[socket.socket], awaited: int, seconds: float) -> list[socket.socket]:
    """Return those of *sockets* on which what is *awaited* would not wait any more, after at most *seconds*."""
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            selector.register(each, awaited, each)
        return [key.data for key, _ in selector.select(seconds)]


class ClientConnection:
    """A connection to a server: one request goes out, its response comes in, then the next."""

    def __init__(
        self, connected: socket.socket, limits: ResponseLimits, timeouts: ClientTimeouts, emit: Emit = discard
    ) -> None:
        self._socket = connected
        self._timeouts = timeouts
        self._emit = emit
        self._parser = ResponseParser(limits)
        self._until = 0.0
        # The head that came before all of our content was sent; the octets of content that have come.
        self._early: ResponseHead | None = None
        self._octets = 0
        # What of our head the system has not taken yet.
        self._head = b""
        self._is_last = False

    @property
    def is_idle(self) -> bool:
        """Whether it is open, and no response is awaited on it."""
        return not self.is_closed and self._parser.is_idle

    @property
    def is_closed(self) -> bool:
        """Whether its socket is closed."""
        return self._socket.fileno() < 0

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent: the server has ended nothing, and nothing unasked has come."""
        return self.is_idle and self._parser.can_go_on and not self._has_octets()

    @property
    def has_begun_to_answer(self) -> bool:
        """Whether anything of the response has come: if not, the request may not have arrived."""
        return self._parser.has_begun

    @property
    def content_length(self) -> int | None:
        """The octets of content that the last head has promised, or None if it has promised no number."""
        return self._parser.content_length

    @property
    def trailers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The trailer fields of the last response."""
        return self._parser.trailers

    def send(self, method: str, head: bytes, content: bytes, until: float) -> None:
        """Send a request, which is to be answered to the last octet *until* then (on the monotonic clock)."""
        self._until = until
        self._early = None
        self._octets = 0
        self._head = head
        self._parser.expect(method)
        # A small request leaves in one call, and mostly in one segment.
        beginning, rest = content[:_SEND_OCTETS], memoryview(content)[_SEND_OCTETS:]
        # 3. Communicate: send() returns when the system has taken some octets, not when the peer has them.
        try:
            _ = self._send_all(memoryview(head + beginning)) and self._send_all(rest)
        except ConnectionError as error:
            # RFC 9112 §9.5: the server may have said why before it closed.
            self._emit("send", error_attributes(error))
            self._is_last = True

    def hasten(self, seconds: float) -> None:
        """Let the rest of the response take at most *seconds*."""
        self._until = min(self._until, time.monotonic() + seconds)

    def _send_all(self, octets: memoryview) -> bool:
        """Send *octets* unless the server says meanwhile that it does not want them; return whether they are sent.

        A server that refuses may read no more: to wait for it to take the rest would be to wait for ever.
        """
        stall = self._timeouts.stall
        with selectors.DefaultSelector() as selector:
            key = selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while octets:
                seconds = min(stall, self._until - time.monotonic())
                ready = selector.select(seconds) if seconds > 0 else []
                if not ready:
                    raise self._late("room to send", seconds, f"the server did not take what was sent for {stall:g} s")
                if ready[0][1] & selectors.EVENT_WRITE:
                    octets = octets[self._send_some(octets[:_SEND_OCTETS]) :]
                if octets and ready[0][1] & selectors.EVENT_READ:
                    if self._is_refused():
                        return False
                    if self._early:
                        # It wants the content all the same; what else it says is for later.
                        key = selector.modify(key.fileobj, selectors.EVENT_WRITE)
        return True

    def _send_some(self, octets: memoryview) -> int:
        """Send what the system takes of *octets*; return how many it took."""
        sent = self._socket.send(octets)
        # The head is told whole, since a part of it might show what the whole does not.
        head, self._head = self._head, b""
        self._emit("send", {"octets": sent, "content": max(0, sent - len(head))}, head=head, octets=octets[:sent])
        return sent

    def _is_refused(self) -> bool:
        """Receive what the server says while content is being sent; return whether it does not want it.

        RFC 9112 §9.3: what would have to follow on this connection is the rest of the content, so it can't go on.
        """
        self._receive(*self._stall())
        self._early = self._final_head()
        self._is_last = self._early is not None and self._early.is_error
        return self._is_last

    def receive_head(self) -> ResponseHead:
        """Return the head of the final response. Raises ResponseError, TimeoutError."""
        seconds = self._timeouts.response
        deadline = time.monotonic() + seconds
        head = self._early or self._final_head()
        while head is None:
            self._receive(deadline, f"the head of the response was not there within {seconds:g} s")
            head = self._final_head()
        return head

    def _final_head(self) -> ResponseHead | None:
        """Return the final head if it is there, past the interim ones."""
        while isinstance(event := self._parser.next_event(), ResponseHead):
            self._emit("parse", {"status": event.status, "phrase": visible(event.phrase)}, head=event.octets)
            if not event.is_interim:
                return event
        return None

    def receive_content(self) -> bytes:
        """Return some content, or nothing at its end. Raises ResponseError, TimeoutError."""
        while (event := self._parser.next_event()) is Pause.NEED_DATA:
            self._receive(*self._stall())
        if isinstance(event, Content):
            self._octets += len(event.octets)
            return event.octets
        self._emit("content", {"octets": self._octets})
        if self._is_last or not self._parser.can_go_on:
            self.close()
        return b""

    def _stall(self) -> tuple[float, str]:
        """Return until when some octets must come, and the reason if none do."""
        seconds = self._timeouts.stall
        return time.monotonic() + seconds, f"nothing came from the server for {seconds:g} s"

    def _receive(self, deadline: float, reason: str) -> None:
        """Give the parser what the server sends; wait for it until *deadline*, which passes for *reason*."""
        began = time.monotonic()
        try:
            self._wait_at_most(deadline)
            octets = self._socket.recv(_RECEIVE_OCTETS)
        except TimeoutError:
            raise self._late("the server", time.monotonic() - began, reason) from None
        except ConnectionError as error:
            self._emit("recv", error_attributes(error))
            raise self._parser.incomplete("was reset") from error
        self._emit("recv", {"octets": len(octets)}, octets=octets)
        self._parser.receive(octets)

    def _has_octets(self) -> bool:
        """Return whether there is anything to receive now, be it the end or a failure."""
        return bool(_ready([self._socket], selectors.EVENT_READ, 0.0))

    def _wait_at_most(self, deadline: float) -> None:
        """Let the next call wait until *deadline*, but not longer than the whole exchange may take."""
        seconds = min(deadline, self._until) - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds)

    def _late(self, awaited: str, seconds: float, reason: str) -> TimeoutError:
        """Return the error for a deadline that has passed: that of the whole exchange, or the one with a *reason*."""
        self._emit("timeout", {"for": awaited, "seconds": round(max(seconds, 0.0), 3)})
        if self._timeouts.whole is not None and time.monotonic() >= self._until:
            reason = f"the exchange was not complete within {self._timeouts.whole:g} s"
        return TimeoutError(reason)

    def close(self) -> None:
        """Close the socket; twice does no harm."""
        if not self.is_closed:
            known = None if self._emit is discard else tcp_info(self._socket)
            # 4. Close: the system sends FIN once all is sent; or a reset if we leave octets unread.
            self._socket.close()
            self._emit("close", {"tcp": known} if known else {})
