"""The recorded transport: wraps another transport, and records the octets received.

Takes a transport and a function that records octets. To the connection it looks like any other transport.

RFC 9112 §9 (connection management).
"""

from collections.abc import Callable

from httpsock.server.transport import Transport


class RecordedTransport:
    """Wraps *transport*. Passes all received octets to *record*, and b"" at the end of the connection."""

    def __init__(self, transport: Transport, record: Callable[[bytes], object]) -> None:
        self._transport = transport
        self._record = record
        # Called before a request is read; an OSError breaks the connection off.
        self.begin: Callable[[], object] = bool
        self.descriptor = transport.descriptor
        self.scheme = transport.scheme
        self.has_sendfile = transport.has_sendfile
        self.send = transport.send
        self.send_both = transport.send_both
        self.send_file = transport.send_file
        self.unsent = transport.unsent
        self.has_input = transport.has_input
        self.end = transport.end
        self.reset = transport.reset
        self.abort = transport.abort

    def handshake(self) -> bool:
        """First call ``self.begin``, by which a fault can end the connection.

        Then do the wrapped transport's handshake.
        """
        self.begin()
        return self._transport.handshake()

    def recv(self, maximum: int, /) -> bytes:
        """Receive at most *maximum* octets."""
        octets = self._transport.recv(maximum)
        self._record(octets)
        return octets

    def close(self) -> None:
        """Close the socket, and record the end of the connection."""
        self._record(b"")
        self._transport.close()
