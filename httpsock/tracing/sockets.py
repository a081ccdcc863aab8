"""Traced sockets: emit an event for each system call, with its result.

They behave like any other socket, so their users need not know about the tracing. Must not know HTTP; ``events``
formats the events.

RFC 9293 §3.9.1 (the calls of a user of TCP), POSIX.1.
"""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .tcp_info import tcp_info

Emit = Callable[..., object]


def discard(*_: object, **__: object) -> None:
    """Ignore an event."""


class TracedListener(socket.socket):
    """A listening socket that emits an event for each call.

    The server duplicates its sockets for each event loop and then closes its own, so only a socket made from a
    *fileno* emits "close": the one that ends the listening.
    """

    def __init__(
        self, family: int, kind: int, protocol: int = 0, fileno: int | None = None, *, emit: Emit = discard
    ) -> None:
        self._emit = emit
        self._tells_end = fileno is not None
        attributes = {"family": socket.AddressFamily(family).name, "type": socket.SocketKind(kind).name}
        with trace_errors(emit, "socket", attributes):
            super().__init__(family, kind, protocol, fileno)
        if not self._tells_end:
            emit("socket", attributes)

    def bind(self, address: Any, /) -> None:
        """Bind an address and a port."""
        attributes = {"address": address_of(address)}
        with trace_errors(self._emit, "bind", attributes):
            super().bind(address)
        self._emit("bind", attributes)

    def listen(self, backlog: int = 128, /) -> None:
        """Accept connections into a queue of *backlog*."""
        attributes = {"address": address_of(self.getsockname()), "backlog": backlog}
        with trace_errors(self._emit, "listen", attributes):
            super().listen(backlog)
        self._emit("listen", attributes)

    def close(self) -> None:
        """Close the descriptor."""
        if self._tells_end:
            self._emit("close", {"address": address_of(self.getsockname())})
        super().close()


class TracedSocket(socket.socket):
    """A connected socket that emits an event for each call.

    *head_octets* returns how many of the next octets to send belong to a message head, which the event includes.
    """

    def __init__(
        self,
        family: int,
        kind: int,
        protocol: int = 0,
        fileno: int | None = None,
        *,
        emit: Emit = discard,
        head_octets: Callable[[], int] = lambda: 0,
    ) -> None:
        self._emit = emit
        self._head_octets = head_octets
        # Whether our side has shut down.
        self.has_ended = False
        super().__init__(family, kind, protocol, fileno)

    def recv(self, maximum: int, flags: int = 0, /) -> bytes:
        """Receive at most *maximum* octets."""
        with trace_errors(self._emit, "recv"):
            octets = super().recv(maximum, flags)
        self._emit("recv", {"octets": len(octets)}, octets=octets)
        return octets

    def send(self, octets: Any, flags: int = 0, /) -> int:
        """Send as many of *octets* as the kernel accepts; return how many."""
        head_octets = self._head_octets()
        with trace_errors(self._emit, "send"):
            sent = super().send(octets, flags)
        head = bytes(octets[: min(head_octets, sent)])
        attributes = {"octets": sent, "content": sent - len(head)}
        self._emit("send", attributes, head=head, octets=memoryview(octets)[:sent])
        return sent

    def sendmsg(self, buffers: Iterable[Any], *_: Any) -> int:
        """Send as much of the joined *buffers* as the kernel accepts; return how many octets."""
        return self.send(b"".join(buffers))

    def shutdown(self, how: int, /) -> None:
        """Shut down our side."""
        with trace_errors(self._emit, "shutdown"):
            super().shutdown(how)
        self.has_ended = True
        self._emit("shutdown")

    def close(self) -> None:
        """Close the descriptor; emit the kernel's TCP_INFO."""
        info = tcp_info(self)
        super().close()
        self._emit("close", {"tcp": info} if info else {})


class TracedDatagramSocket(socket.socket):
    """A datagram socket that emits an event for each call; for datagrams, only if *wants(host)* is true."""

    def __init__(
        self, family: int, kind: int, *, emit: Emit = discard, wants: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._emit = emit
        self._wants = wants
        attributes = {"family": socket.AddressFamily(family).name, "type": socket.SocketKind(kind).name}
        with trace_errors(emit, "socket", attributes):
            super().__init__(family, kind)
        emit("socket", attributes)

    def bind(self, address: Any, /) -> None:
        """Bind an address and a port."""
        attributes = {"address": address_of(address)}
        with trace_errors(self._emit, "bind", attributes):
            super().bind(address)
        self._emit("bind", {"address": address_of(self.getsockname())})

    def recvfrom(self, maximum: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receive one datagram; return it and its source address."""
        with trace_errors(self._emit, "recvfrom"):
            octets, address = super().recvfrom(maximum, flags)
        if self._wants(str(address[0])):
            self._emit("recvfrom", {"octets": len(octets), "address": address_of(address)}, octets=octets)
        return octets, address

    def sendto(self, octets: Any, address: Any, /) -> int:  # type: ignore[override]
        """Send one datagram."""
        emit = self._emit if self._wants(str(address[0])) else discard
        attributes = {"address": address_of(address)}
        with trace_errors(emit, "sendto", attributes):
            sent = super().sendto(octets, address)
        emit("sendto", {"octets": sent, **attributes}, head=octets, octets=octets)
        return sent

    def close(self) -> None:
        """Close the descriptor; closing it again has no effect."""
        if self.fileno() >= 0:
            self._emit("close", {"address": address_of(self.getsockname())})
        super().close()


@contextlib.contextmanager
def trace_errors(emit: Emit, name: str, attributes: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Emit an event if the call fails, and re-raise its error."""
    try:
        yield
    except OSError as error:
        emit(name, {**(attributes or {}), **error_attributes(error)})
        raise


def error_attributes(error: OSError) -> dict[str, str]:
    """Return a failed call's errno by name, and a message."""
    # The system's own "Resource temporarily unavailable" puzzles first readers.
    message = "it would have to wait" if isinstance(error, BlockingIOError) else error.strerror or str(error)
    return {"error": errno.errorcode.get(error.errno or 0, type(error).__name__), "message": message}


def address_of(address: tuple[Any, ...]) -> str:
    """Return an address and a port, IPv6 in brackets (RFC 3986 §3.2.2)."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
