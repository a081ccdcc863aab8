"""The transport: how the octets of one connection reach the kernel.

Takes a connected socket that does not block. A transport sends and receives, or raises BlockingIOError; it knows
neither messages nor time. The plain one is a thin layer over the system's calls; a traced one wraps another, and one
for TLS would encrypt. Next: connection.py, which decides what is sent.

RFC 9293 §3.9.1 (the calls of a user of TCP); RFC 9112 §9.6 (tear-down).
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable
from io import FileIO
from typing import Protocol

from .poller import unsent_octets

# The flag of ``send`` that tells the kernel to wait for more before it sends a segment; 0 where the system lacks it.
MORE = getattr(socket, "MSG_MORE", 0)
# sendfile() on a file system or kernel that lacks it: FUSE, LXC, WSL 1, or a filter of system calls.
_SENDFILE_NOT_SUPPORTED = (
    errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODEV, errno.ESPIPE
)  # fmt: skip
# Octets of a file to read and send at a time where sendfile() is not supported.
_READ_OCTETS = 64 * 1024
# struct linger: on, for 0 seconds, so that close() resets.
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class WouldBlock(BlockingIOError):  # noqa: N818 (it is no error)
    """A call must wait for the event *awaited*, READABLE or WRITABLE: TLS may have to receive in order to send.

    A plain BlockingIOError waits for the event that the call itself needs.
    """

    def __init__(self, awaited: int) -> None:
        super().__init__(errno.EAGAIN, "the call would block")
        self.awaited = awaited


class Transport(Protocol):
    """The calls of a connection. Each may raise OSError; those that wait raise BlockingIOError."""

    descriptor: int

    @property
    def scheme(self) -> str:
        """The URI scheme: "http", or "https" if the octets are encrypted."""

    def handshake(self) -> bool:
        """Agree on keys, if there are any; call it again after each BlockingIOError, until it returns.

        Return whether it may hold octets that have come with its end, for ``recv``.
        """

    def recv(self, maximum: int, /) -> bytes:
        """Return octets from the peer, *maximum* of them or a few more; b"" at the end.

        It buffers no decrypted octets: the poller would not report them.
        """

    def send(self, octets: bytes | memoryview, flags: int = 0, /) -> int:
        """Send as many *octets* as the kernel takes now; return how many. The flag MORE: others follow immediately.

        After a BlockingIOError the next call starts with the same octets, but may give fewer of them.
        """

    def send_both(self, first: bytes, second: bytes) -> int:
        """Send as much of both as the kernel takes now, without joining them; return how many octets."""

    @property
    def has_sendfile(self) -> bool:
        """Whether ``send_file`` may work at all."""

    def send_file(self, file: FileIO, offset: int, length: int) -> int:
        """Send at most *length* octets of *file*; return how many the kernel took, or 0 at the end of the file."""

    def unsent(self) -> int:
        """Return how many sent octets the peer has not acknowledged yet."""

    def has_input(self) -> bool:
        """Return whether octets, or an error, wait to be received."""

    def end(self) -> None:
        """Tell the peer that no more will be sent; it may still send. Call it again after each BlockingIOError."""

    def reset(self) -> None:
        """Let ``close`` discard what the kernel still holds, and tell the peer that the connection failed."""

    def abort(self) -> None:
        """Make every later call fail, in other threads too. The socket stays open."""

    def close(self) -> None:
        """Close the socket."""


def event_of(error: BlockingIOError, needed: int) -> int:
    """Return the event that the call which raised *error* waits for; *needed* if the error does not say."""
    return error.awaited if isinstance(error, WouldBlock) else needed


def send_slice(transport: Transport, file: FileIO, offset: int, length: int) -> int:
    """Send octets of *file* without copying them, or by reading them where that is not possible.

    Return how many the transport took, or 0 at the end of the file.
    """
    if transport.has_sendfile:
        try:
            return transport.send_file(file, offset, length)
        except OSError as error:
            if error.errno not in _SENDFILE_NOT_SUPPORTED:
                raise
    file.seek(offset)
    octets = file.read(min(length, _READ_OCTETS))
    return transport.send(octets) if octets else 0


class PlainTransport:
    """The transport without encryption: one system call for each method."""

    __slots__ = ("_socket", "descriptor", "recv", "send")

    scheme = "http"

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.descriptor = connected.fileno()
        # The socket's own methods: around each of them, one of this class would cost 0.06 µs for each request.
        self.recv: Callable[[int], bytes] = connected.recv
        self.send: Callable[..., int] = connected.send

    def handshake(self) -> bool:
        """Return False: TCP's own handshake is over, and nothing has been received."""
        return False

    def send_both(self, first: bytes, second: bytes) -> int:
        """Send as much of both as the kernel takes now; return how many octets."""
        # Windows lacks sendmsg().
        return self._socket.sendmsg((first, second)) if hasattr(self._socket, "sendmsg") else self.send(first + second)

    @property
    def has_sendfile(self) -> bool:
        """Whether the system has sendfile(); Windows lacks it."""
        return hasattr(os, "sendfile")

    def send_file(self, file: FileIO, offset: int, length: int) -> int:
        """Send octets of *file* without copying them."""
        return os.sendfile(self.descriptor, file.fileno(), offset, length)

    def unsent(self) -> int:
        """Return how many sent octets the peer has not acknowledged; 0 where the system does not report it."""
        return unsent_octets(self.descriptor)

    def has_input(self) -> bool:
        """Return whether octets, or an error, wait to be received; False at the peer's end."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError as error:
            return not isinstance(error, BlockingIOError)

    def end(self) -> None:
        """Send FIN."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Let ``close`` send RST: the kernel drops its send buffer instead of retrying for minutes."""
        # macOS refuses it once the peer is gone.
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def abort(self) -> None:
        """Shut down both directions."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
