r"""Exact octets as an answer, as no well-behaved server sends them.

Takes octets and the connection's transport, gives steps that send exactly these octets.

    Exact(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", then="reset")

RFC 9112 §8 (incomplete messages), §9.6 (tear-down); RFC 9293 §3.5.2 (reset).
"""

import contextlib
import math
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from httpsock.http.handler import Context, Steps
from httpsock.http.messages import Sleep
from httpsock.server.poller import WRITABLE
from httpsock.server.state import State
from httpsock.server.transport import event_of

from .transport import Next, RecordedTransport

# What follows exact octets on the connection. close: end this side, then wait for the client's end. reset: send RST.
# keep: answer the next request. stall: send no more octets, until the client closes or the server stops.
Then = Literal["close", "reset", "keep", "stall"]

# How long a client may pause reading, and may leave its side open after a "close".
_STALL_SECONDS = 60.0
_LINGER_SECONDS = 2.0


class Exact(NamedTuple):
    """An answer of exact *octets*: bytes, or a tuple of bytes and Sleeps. *then* (see Then) is done afterwards."""

    octets: bytes | tuple[bytes | Sleep, ...]
    then: Then = "close"

    @property
    def parts(self) -> tuple[bytes | Sleep, ...]:
        """The octets and Sleeps as a tuple."""
        return self.octets if isinstance(self.octets, tuple) else (self.octets,)


def check_exact(exact: Exact) -> None:
    """Raise TypeError or ValueError if *exact* can't be sent."""
    for part in exact.parts:
        if not isinstance(part, bytes | Sleep):
            raise TypeError(f"exact octets must be bytes, or a tuple of bytes and Sleep, not {part!r:.80}")
    if exact.then not in get_args(Then):
        raise ValueError(f"then must be one of {', '.join(get_args(Then))}, not {exact.then!r}")


def send_exactly(
    parts: Iterable[bytes | Sleep], then: Then, context: Context, transport: RecordedTransport
) -> Steps[None]:
    """Send the *parts*, and do *then* (see Then) afterwards; the transport discards the handler's response."""
    transport.next = Next.CUT
    # An OSError means that the client is gone or does not read, or that the connection is evicted.
    with contextlib.suppress(OSError):
        for part in parts:
            if isinstance(part, Sleep):
                yield from _pause(part.seconds, context, transport)
            else:
                yield from _send(part, context, transport)
                # Other connections run between the parts of an endless response.
                yield
        yield from _follow(then, context, transport)


def _follow(then: Then, context: Context, transport: RecordedTransport) -> Steps[None]:
    """Do *then* after the octets: close, reset, keep or stall the connection."""
    match then:
        case "keep":
            transport.next = Next.DISCARDED
        case "reset":
            transport.reset()
        case "stall":
            yield from _pause(math.inf, context, transport)
        case _:
            yield from _linger(context, transport)


def _send(octets: bytes, context: Context, transport: RecordedTransport) -> Steps[None]:
    """Send all *octets*. Raise TimeoutError if the client does not read."""
    left = memoryview(octets)
    while left:
        try:
            left = left[transport.send_exactly(left) :]
        except BlockingIOError as error:
            state = State.SENDING if event_of(error, WRITABLE) == WRITABLE else State.HANDSHAKE_IN
            yield state, context.tick.monotonic + _STALL_SECONDS


def _pause(seconds: float, context: Context, transport: RecordedTransport) -> Steps[None]:
    """Wait for *seconds*. Raise ConnectionAbortedError if the client closes or the server stops meanwhile."""
    deadline = context.tick.monotonic + seconds
    state = State.SLEEPING
    with contextlib.suppress(TimeoutError):
        while True:
            yield state, deadline
            # The socket is readable: at the client's end, or with its next request, which waits for this answer's end.
            if context.is_stopping or state is State.SLEEPING_UNREAD or not transport.has_input():
                raise ConnectionAbortedError("the client has disconnected, or the server stops")
            state = State.SLEEPING_UNREAD
    if context.tick.monotonic < deadline:
        raise TimeoutError("the connection is evicted")


def _linger(context: Context, transport: RecordedTransport) -> Steps[None]:
    """Send FIN and read until end of file, so that no reset destroys the octets."""
    transport.end()
    deadline = context.tick.monotonic + _LINGER_SECONDS
    while not context.is_stopping:
        try:
            if not transport.recv(64 * 1024):
                return
        except BlockingIOError:
            yield State.LINGERING, deadline
