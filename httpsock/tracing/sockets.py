"""Traced sockets: emit an event for each system call, with its result.

Traced sockets behave like other sockets, so the code that uses them need not know about the trace. Must not know HTTP.
``events`` formats the events.

RFC 9293 §3.9.1 (the calls of a user of TCP), POSIX.1.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Emit = Callable[..., object]


def discard(*_: object, **__: object) -> None:
    """Do nothing with an event. This function is used if there is no trace."""


class TracedListener(socket.socket):
    """A listening socket that emits an event for each call, except when an original socket is closed.

    The server duplicates its sockets for the event loop and then closes the originals. Closing an original does not end
    listening, so it emits nothing. Closing the duplicate emits "close".
    """

    def __init__(
        self, family: int, kind: int, protocol: int = 0, fileno: int | None = None, *, emit: Emit = discard
    ) -> None:
        self._emit = emit
        self._is_duplicate = fileno is not None
        attributes = {"family": socket.AddressFamily(family).name, "type": socket.SocketKind(kind).name}
        with trace_errors(emit, "socket", attributes):
            super().__init__(family, kind, protocol, fileno)
        if not self._is_duplicate:
            emit("socket", attributes)

    @classmethod
    def inherited(cls, listener: socket.socket, emit: Emit) -> "TracedListener":
        """Return a traced socket in place of *listener*, which another process or server has opened."""
        traced = cls(listener.family, listener.type, listener.proto, listener.detach(), emit=emit)
        traced._is_duplicate = False
        traced.setblocking(False)
        return traced

    def bind(self, address: Any, /) -> None:
        """Bind the socket to an address and a port."""
        attributes = {"address": address_of(address)}
        with trace_errors(self._emit, "bind", attributes):
            super().bind(address)
        self._emit("bind", attributes)

    def listen(self, backlog: int = 128, /) -> None:
        """Listen with an accept queue for *backlog* connections."""
        attributes = {"address": address_of(self.getsockname()), "backlog": backlog}
        with trace_errors(self._emit, "listen", attributes):
            super().listen(backlog)
        self._emit("listen", attributes)

    def shutdown(self, how: int, /) -> None:
        """Stop listening, but stay bound to the address."""
        super().shutdown(how)
        self._emit("shutdown", {"address": address_of(self.getsockname())})

    def dup(self) -> "TracedListener":
        """Return a duplicate. Closing the duplicate emits "close", since only this ends listening."""
        duplicate = TracedListener(self.family, self.type, self.proto, os.dup(self.fileno()), emit=self._emit)
        duplicate.settimeout(self.gettimeout())
        return duplicate

    def close(self) -> None:
        """Close the socket. Only closing the duplicate ends listening, so only the duplicate emits "close"."""
        if self._is_duplicate:
            self._emit("close", {"address": address_of(self.getsockname())})
        super().close()


class TracedDatagramSocket(socket.socket):
    """A datagram socket that emits an event for each call.

    If *includes* returns false for a peer's address, the datagrams of this peer are not traced.
    """

    def __init__(
        self, family: int, kind: int, *, emit: Emit = discard, includes: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._emit = emit
        self._includes = includes
        attributes = {"family": socket.AddressFamily(family).name, "type": socket.SocketKind(kind).name}
        with trace_errors(emit, "socket", attributes):
            super().__init__(family, kind)
        emit("socket", attributes)

    def bind(self, address: Any, /) -> None:
        """Bind the socket to an address and a port."""
        attributes = {"address": address_of(address)}
        with trace_errors(self._emit, "bind", attributes):
            super().bind(address)
        self._emit("bind", {"address": address_of(self.getsockname())})

    def recvfrom(self, maximum: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receive one datagram. Return the datagram and its source address."""
        with trace_errors(self._emit, "recvfrom"):
            octets, address = super().recvfrom(maximum, flags)
        if self._includes(str(address[0])):
            self._emit("recvfrom", {"octets": len(octets), "address": address_of(address)}, octets=octets)
        return octets, address

    def sendto(self, octets: Any, address: Any, /) -> int:  # type: ignore[override]
        """Send one datagram."""
        emit = self._emit if self._includes(str(address[0])) else discard
        attributes = {"address": address_of(address)}
        with trace_errors(emit, "sendto", attributes):
            sent = super().sendto(octets, address)
        emit("sendto", {"octets": sent, **attributes}, head=octets, octets=octets)
        return sent

    def close(self) -> None:
        """Close the descriptor. A second call has no effect."""
        if self.fileno() >= 0:
            self._emit("close", {"address": address_of(self.getsockname())})
        super().close()


@contextlib.contextmanager
def trace_errors(emit: Emit, name: str, attributes: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Emit an event if the call within the ``with`` block fails. Raise the error again."""
    try:
        yield
    except OSError as error:
        emit(name, {**(attributes or {}), **error_attributes(error)})
        raise


def error_attributes(error: OSError) -> dict[str, str]:
    """Return the attributes for the event of a failed call: the name of its errno, and a message."""
    # The system's own "Resource temporarily unavailable" puzzles first readers.
    message = "it would have to wait" if isinstance(error, BlockingIOError) else error.strerror or str(error)
    return {"error": errno.errorcode.get(error.errno or 0, type(error).__name__), "message": message}


def address_of(address: tuple[Any, ...]) -> str:
    """Return an address and a port as text. IPv6 addresses are in brackets (RFC 3986 §3.2.2)."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
