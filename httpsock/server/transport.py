"""The transport: how the octets of one connection reach the kernel.

Takes a connected socket that does not block. A transport sends and receives, or raises BlockingIOError. It knows
neither messages nor time. The plain transport is a thin layer over the system's calls. A traced transport wraps another
transport. A transport for TLS would encrypt. Next: connection.py uses the transport.

RFC 9293 §3.9.1 (the calls of a user of TCP); RFC 9112 §9.6 (tear-down).
"""

import contextlib
import errno
import os
import socket
from array import array
from collections.abc import Callable
from io import FileIO
from typing import Protocol

from .poller import unsent_octets

# A flag of ``send``: the kernel waits for more octets before it sends a segment. 0 where the system lacks the flag.
MORE = getattr(socket, "MSG_MORE", 0)
# Errors of sendfile() where it is not supported: by FUSE, LXC, WSL 1, or a filter of system calls.
_SENDFILE_NOT_SUPPORTED = (
    errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODEV, errno.ESPIPE
)  # fmt: skip
# Octets of a file to read and send at a time where sendfile() is not supported.
_READ_OCTETS = 64 * 1024
# struct linger with a time-out of 0 seconds: close() sends RST.
_RESET = array("h" if os.name == "nt" else "i", (1, 0)).tobytes()


class WouldBlock(BlockingIOError):  # noqa: N818 (it is no error)
    """The call would block until the event *awaited*, READABLE or WRITABLE.

    TLS needs this error, since TLS may have to receive before it can send. A plain BlockingIOError stands for READABLE
    in ``recv``, and for WRITABLE in ``send``.
    """

    def __init__(self, awaited: int) -> None:
        super().__init__(errno.EAGAIN, "the call would block")
        self.awaited = awaited


class Transport(Protocol):
    """The calls that a connection makes. Each call may raise OSError.

    A call that would block raises BlockingIOError.
    """

    descriptor: int

    @property
    def scheme(self) -> str:
        """The URI scheme: "http", or "https" if the octets are encrypted."""

    def handshake(self) -> bool:
        """Agree on keys, if the transport encrypts. After a BlockingIOError, call this again.

        Return whether octets for ``recv`` may have arrived with the end of the handshake.
        """

    def recv(self, maximum: int, /) -> bytes:
        """Return the next octets from the peer, at most *maximum*. Return b"" at the end of the stream.

        With TLS, return all octets that are already decrypted, even if they are more than *maximum*, since the poller
        does not report decrypted octets.
        """

    def send(self, octets: bytes | memoryview, flags: int = 0, /) -> int:
        """Send as many *octets* as the kernel takes now. Return how many octets were sent.

        The flag MORE says that more octets will follow.

        After a BlockingIOError, the next call must pass the same octets, or a prefix of the same octets.
        """

    def send_both(self, first: bytes, second: bytes) -> int:
        """Send as much of *first* and then *second* as the kernel takes now. Return how many octets were sent."""

    @property
    def has_sendfile(self) -> bool:
        """Whether ``send_file`` may be called."""

    def send_file(self, file: FileIO, offset: int, length: int) -> int:
        """Send at most *length* octets of *file*. Return how many octets were sent, or 0 at the end of the file."""

    def unsent(self) -> int:
        """Return how many octets are in the kernel's send buffer, since the peer has not acknowledged them yet."""

    def has_input(self) -> bool:
        """Return whether octets or an error wait to be received."""

    def end(self) -> None:
        """Tell the peer that no more octets will follow. The peer may still send.

        After a BlockingIOError, call this again.
        """

    def reset(self) -> None:
        """Make ``close`` reset the connection: unsent octets are discarded, and the peer sees an error."""

    def abort(self) -> None:
        """End sending and receiving, in other threads too. The socket stays open."""

    def close(self) -> None:
        """Close the socket."""


def event_of(error: BlockingIOError, needed: int) -> int:
    """Return the event for which the failed call must wait. If *error* has no event, return *needed*."""
    return error.awaited if isinstance(error, WouldBlock) else needed


def send_slice(transport: Transport, file: FileIO, offset: int, length: int) -> int:
    """Send octets of *file* with sendfile(). If sendfile() is not supported, read and send the octets.

    Return how many octets the transport took, or 0 at the end of the file.
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
        # The socket's own methods: a method of this class around each one would cost 0.06 µs for each request.
        self.recv: Callable[[int], bytes] = connected.recv
        self.send: Callable[..., int] = connected.send

    def handshake(self) -> bool:
        """Do nothing, since there are no keys to agree on. Return False, since nothing has been received."""
        return False

    def send_both(self, first: bytes, second: bytes) -> int:
        """Send as much of *first* and then *second* as the kernel takes now. Return how many octets were sent."""
        # Windows lacks sendmsg().
        return self._socket.sendmsg((first, second)) if hasattr(self._socket, "sendmsg") else self.send(first + second)

    @property
    def has_sendfile(self) -> bool:
        """Whether the system has sendfile(). Windows lacks it."""
        return hasattr(os, "sendfile")

    def send_file(self, file: FileIO, offset: int, length: int) -> int:
        """Send octets of *file* without copying them."""
        return os.sendfile(self.descriptor, file.fileno(), offset, length)

    def unsent(self) -> int:
        """Return how many octets are in the kernel's send buffer. If the system can't tell, return 0."""
        return unsent_octets(self.descriptor)

    def has_input(self) -> bool:
        """Return whether octets or an error wait to be received. At the peer's end of file, return False."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError as error:
            return not isinstance(error, BlockingIOError)

    def end(self) -> None:
        """Send FIN."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Make ``close`` send RST, so that the kernel drops its send buffer instead of retrying for minutes."""
        # macOS refuses it once the peer is gone.
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def abort(self) -> None:
        """Shut the socket down, for receiving and for sending."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
