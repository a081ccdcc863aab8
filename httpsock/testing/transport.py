"""The recorded transport: another transport that records the octets received, and can keep one response back.

Takes a transport and the arrivals of its connection. The connection does not know the difference. When exact octets
have answered a request, the response of the connection must not follow them: the transport keeps it back.

RFC 9112 §9 (connection management).
"""

from collections.abc import Callable
from enum import Enum
from io import FileIO

from httpsock.server.transport import Transport

from .recording import Arrivals


class Next(Enum):
    """The fate of the next response."""

    SENT = "it is sent"
    KEPT_BACK = "exact octets stand in its place, and the connection goes on"
    CUT = "exact octets stand in its place, and the connection ends"


class RecordedTransport:
    """*transport*; *arrivals* records the octets received, and *closed* is called with the descriptor at its end."""

    def __init__(self, transport: Transport, arrivals: Arrivals, closed: Callable[[int], object]) -> None:
        self._transport = transport
        self._arrivals = arrivals
        self._closed = closed
        self.next = Next.SENT
        self.descriptor = transport.descriptor
        self.scheme = transport.scheme
        self.has_sendfile = transport.has_sendfile
        self.handshake = transport.handshake
        self.unsent = transport.unsent
        self.has_input = transport.has_input
        self.end = transport.end
        self.reset = transport.reset
        self.abort = transport.abort
        self.send_both = transport.send_both
        # The exact octets of an answer.
        self.send_exactly = transport.send

    def recv(self, maximum: int, /) -> bytes:
        """Receive at most *maximum* octets."""
        octets = self._transport.recv(maximum)
        self._arrivals.receive(octets)
        return octets

    def send(self, octets: bytes | memoryview, flags: int = 0, /) -> int:
        """Send as many *octets* as the transport takes; or keep a response back, which comes whole in one call."""
        if self.next is Next.SENT:
            return self._transport.send(octets, flags)
        if self.next is Next.CUT:
            raise ConnectionAbortedError("exact octets have ended this connection")
        self.next = Next.SENT
        return len(octets)

    def send_file(self, file: FileIO, offset: int, length: int) -> int:
        """Send at most *length* octets of *file*."""
        return self._transport.send_file(file, offset, length)

    def close(self) -> None:
        """Close the socket; a request that is not complete will never be."""
        self._arrivals.receive(b"")
        self._closed(self.descriptor)
        self._transport.close()
