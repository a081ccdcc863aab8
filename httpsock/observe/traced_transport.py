"""The traced transport: wraps another transport, and emits an event for each call.

Takes a transport and the tracer of its connection. To the connection it looks like any other transport.

RFC 9293 §3.9.1 (the calls of a user of TCP); RFC 9112 §9.6 (tear-down).
"""

import os
import socket
from collections.abc import Callable
from io import FileIO

from httpsock.server.transport import Transport
from httpsock.tracing.sockets import trace_errors
from httpsock.tracing.tcp_info import tcp_info
from httpsock.tracing.trace import ConnectionTracer


class TracedTransport:
    """Wraps the *transport* of a *connected* socket. Each method of this class emits an event."""

    def __init__(self, transport: Transport, connected: socket.socket, emit: ConnectionTracer) -> None:
        self._transport = transport
        self._connected = connected
        self._emit = emit
        self.descriptor = transport.descriptor
        self.scheme = transport.scheme
        self.has_sendfile = transport.has_sendfile
        # Returns how many octets of a head are still to be sent: the event shows these octets.
        self.head_left: Callable[[], int] = lambda: 0
        # These calls have no event.
        self.handshake = transport.handshake
        self.unsent = transport.unsent
        self.has_input = transport.has_input
        self.abort = transport.abort

    def recv(self, maximum: int, /) -> bytes:
        """Receive at most *maximum* octets."""
        with trace_errors(self._emit, "recv"):
            octets = self._transport.recv(maximum)
        self._emit("recv", {"octets": len(octets)}, octets=octets)
        return octets

    def send(self, octets: bytes | memoryview, flags: int = 0, /) -> int:
        """Send as many *octets* as the transport takes. Return how many octets were sent."""
        head_octets = self.head_left()
        with trace_errors(self._emit, "send"):
            sent = self._transport.send(octets, flags)
        taken = memoryview(octets)[:sent]
        head = bytes(taken[:head_octets])
        self._emit("send", {"octets": sent, "content": sent - len(head)}, head=head, octets=taken)
        return sent

    def send_both(self, first: bytes, second: bytes) -> int:
        """Send *first* and then *second*. Return how many octets the transport took."""
        return self.send(first + second)

    def send_file(self, file: FileIO, offset: int, length: int) -> int:
        """Send at most *length* octets of *file*."""
        with trace_errors(self._emit, "sendfile"):
            sent = self._transport.send_file(file, offset, length)
        octets = os.pread(file.fileno(), sent, offset) if self._emit.wants_octets else b""
        self._emit("sendfile", {"octets": sent}, octets=octets)
        return sent

    def end(self) -> None:
        """Tell the peer that no more octets will follow."""
        with trace_errors(self._emit, "shutdown"):
            self._transport.end()
        self._emit("shutdown")

    def reset(self) -> None:
        """Make ``close`` send a reset."""
        self._transport.reset()
        self._emit("reset")

    def close(self) -> None:
        """Close the socket. Emit an event with the kernel's TCP_INFO."""
        info = tcp_info(self._connected)
        self._transport.close()
        self._emit("close", {"tcp": info} if info else {})
