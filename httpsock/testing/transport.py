"""The recorded transport: another transport that records the octets received, and can discard one response.

Takes a transport and a function that records octets. To the connection it looks like any other transport. When exact
octets have answered a request, the connection still sends a response: the transport discards it.

RFC 9112 §9 (connection management).
"""

import socket
from collections.abc import Callable
from enum import Enum
from io import FileIO

from httpsock.http.handler import Context
from httpsock.server.transport import PlainTransport, Transport


class Next(Enum):
    """What happens to the next response of the connection."""

    SENT = "it is sent"
    DISCARDED = "it is discarded after exact octets, and the connection persists"
    CUT = "it is discarded after exact octets, and the connection ends"


class RecordedTransport:
    """Wraps *transport*; passes received octets to *record*, b"" at the end; calls *on_close* when it is closed."""

    def __init__(
        self, transport: Transport, record: Callable[[bytes], object], on_close: Callable[[], object] = bool
    ) -> None:
        self._transport = transport
        self._record = record
        self._on_close = on_close
        self.next = Next.SENT
        # Called before a request is read; an OSError breaks the connection off.
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
        # Sends the exact octets of an answer.
        self.send_exactly = transport.send

    def handshake(self) -> bool:
        """Call ``begin``, which may break the connection off; then do the transport's handshake."""
        self.begin()
        return self._transport.handshake()

    def recv(self, maximum: int, /) -> bytes:
        """Receive at most *maximum* octets."""
        octets = self._transport.recv(maximum)
        self._record(octets)
        return octets

    def send(self, octets: bytes | memoryview, flags: int = 0, /) -> int:
        """Send as many *octets* as the transport takes, or discard them if they are the response to discard."""
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
        """Close the socket, and record the end, which breaks an incomplete request off."""
        self._record(b"")
        self._on_close()
        self._transport.close()


class Transports:
    """The transports of one server.

    *open_transport* makes the transport of a socket, *record* the function that records the octets received from it.
    """

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
        """Return the transport of the connection that *context* describes."""
        return self._transports[context.descriptor]
