"""The recorded transport: another transport that records the octets received, and can discard one response.

Takes a transport and a function that records. The connection does not know the difference. When exact octets
have answered a request, the response of the connection must not follow them: the transport discards it.

RFC 9112 §9 (connection management).
"""

import socket
from collections.abc import Callable
from enum import Enum
from io import FileIO

from httpsock.http.handler import Context
from httpsock.server.transport import PlainTransport, Transport


class Next(Enum):
    """The fate of the next response."""

    SENT = "it is sent"
    DISCARDED = "exact octets stand in its place, and the connection goes on"
    CUT = "exact octets stand in its place, and the connection ends"


class RecordedTransport:
    """*transport*; *record* gets the octets received, b"" at the end. *close_also* is called when it is closed."""

    def __init__(
        self, transport: Transport, record: Callable[[bytes], object], close_also: Callable[[], object] = bool
    ) -> None:
        self._transport = transport
        self._record = record
        self._close_also = close_also
        self.next = Next.SENT
        # Breaks the connection off before a request is read, if it raises an OSError.
        self.begin: Callable[[], object] = bool
        self.descriptor = transport.descriptor
        self.scheme = transport.scheme
        self.has_sendfile = transport.has_sendfile
        self.unsent = transport.unsent
        self.has_input = transport.has_input
        self.end = transport.end
        self.reset = transport.reset
        self.abort = transport.abort
        self.send_both = transport.send_both
        # The exact octets of an answer.
        self.send_exactly = transport.send

    def handshake(self) -> bool:
        """Begin, or break off; then agree on keys."""
        self.begin()
        return self._transport.handshake()

    def recv(self, maximum: int, /) -> bytes:
        """Receive at most *maximum* octets."""
        octets = self._transport.recv(maximum)
        self._record(octets)
        return octets

    def send(self, octets: bytes | memoryview, flags: int = 0, /) -> int:
        """Send as many *octets* as the transport takes; or discard them, a whole response."""
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
        self._record(b"")
        self._close_also()
        self._transport.close()


class Transports:
    """The transports of one server: *open_transport* makes that of a socket, *record* the function that records it."""

    def __init__(
        self,
        open_transport: Callable[[socket.socket], Transport] = PlainTransport,
        record: Callable[[socket.socket], Callable[[bytes], object]] = lambda _: bool,
    ) -> None:
        self._open = open_transport
        self._record = record
        self._transports: dict[int, RecordedTransport] = {}
        # Called with each new transport.
        self.opened: Callable[[RecordedTransport], object] = bool

    def open(self, connected: socket.socket) -> RecordedTransport:
        """Return the transport of a *connected* socket."""
        descriptor = connected.fileno()
        transport = RecordedTransport(
            self._open(connected), self._record(connected), lambda: self._transports.pop(descriptor)
        )
        self._transports[descriptor] = transport
        self.opened(transport)
        return transport

    def of(self, context: Context) -> RecordedTransport:
        """Return the transport of a request."""
        return self._transports[context.descriptor]
