"""Sockets that tell: each call as the system knows it, and what came of it.

They are sockets like any other, and do the same; who has one need not know. Know nothing of HTTP.

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
    """Tell nobody."""


def everybody(host: str) -> bool:
    """Return that whoever is at *host* is told of."""
    return bool(host)


def nothing() -> int:
    """Return that nothing of what is sent next is the head of a message."""
    return 0


class TracedListener(socket.socket):
    """A listening socket that tells *tell* of each call.

    A duplicate of it tells nobody. A server gives its worker duplicates and closes its own socket, which ends nothing
    and is not told; what ends the listening is told by a socket that was made of a descriptor, *fileno*.
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
        """Take an address and a port."""
        attributes = {"address": address_of(address)}
        with trace_errors(self._emit, "bind", attributes):
            super().bind(address)
        self._emit("bind", attributes)

    def listen(self, backlog: int = 128, /) -> None:
        """Let clients connect."""
        attributes = {"address": address_of(self.getsockname()), "backlog": backlog}
        with trace_errors(self._emit, "listen", attributes):
            super().listen(backlog)
        self._emit("listen", attributes)

    def close(self) -> None:
        """Give up the descriptor."""
        if self._tells_end:
            self._emit("close", {"address": address_of(self.getsockname())})
        super().close()


class TracedSocket(socket.socket):
    """A connected socket that tells *tell* of each call.

    *head_octets* returns how many of the octets that are sent next are the head of a message, which is shown.
    """

    def __init__(
        self,
        family: int,
        kind: int,
        protocol: int = 0,
        fileno: int | None = None,
        *,
        emit: Emit = discard,
        head_octets: Callable[[], int] = nothing,
    ) -> None:
        self._emit = emit
        self._head_octets = head_octets
        # Whether our side has ended.
        self.has_ended = False
        super().__init__(family, kind, protocol, fileno)

    def recv(self, most: int, flags: int = 0, /) -> bytes:
        """Receive what there is, at most so many octets."""
        with trace_errors(self._emit, "recv"):
            octets = super().recv(most, flags)
        self._emit("recv", {"octets": len(octets)}, octets=octets)
        return octets

    def send(self, octets: Any, flags: int = 0, /) -> int:
        """Send what the system takes of *octets*; return how many it took."""
        head_octets = self._head_octets()
        with trace_errors(self._emit, "send"):
            sent = super().send(octets, flags)
        head = bytes(octets[: min(head_octets, sent)])
        attributes = {"octets": sent, "content": sent - len(head)}
        self._emit("send", attributes, head=head, octets=memoryview(octets)[:sent])
        return sent

    def sendmsg(self, buffers: Iterable[Any], *_: Any) -> int:
        """Send what the system takes of *buffers*, one behind the other; return how many octets it took."""
        return self.send(b"".join(buffers))

    def shutdown(self, how: int, /) -> None:
        """End our side."""
        with trace_errors(self._emit, "shutdown"):
            super().shutdown(how)
        self.has_ended = True
        self._emit("shutdown")

    def close(self) -> None:
        """Give up the descriptor; tell what the kernel knows of the connection."""
        info = tcp_info(self)
        super().close()
        self._emit("close", {"tcp": info} if info else {})


class TracedDatagramSocket(socket.socket):
    """A socket for datagrams that tells *tell* of each call, but of datagrams only if *wants* their other end."""

    def __init__(
        self, family: int, kind: int, *, emit: Emit = discard, wants: Callable[[str], bool] = everybody
    ) -> None:
        self._emit = emit
        self._wants = wants
        attributes = {"family": socket.AddressFamily(family).name, "type": socket.SocketKind(kind).name}
        with trace_errors(emit, "socket", attributes):
            super().__init__(family, kind)
        emit("socket", attributes)

    def bind(self, address: Any, /) -> None:
        """Take an address and a port."""
        attributes = {"address": address_of(address)}
        with trace_errors(self._emit, "bind", attributes):
            super().bind(address)
        self._emit("bind", {"address": address_of(self.getsockname())})

    def recvfrom(self, most: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receive one datagram; return it, and whose it is."""
        with trace_errors(self._emit, "recvfrom"):
            octets, address = super().recvfrom(most, flags)
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
        """Give up the descriptor; twice does no harm."""
        if self.fileno() >= 0:
            self._emit("close", {"address": address_of(self.getsockname())})
        super().close()


@contextlib.contextmanager
def trace_errors(emit: Emit, name: str, attributes: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Tell of a call that fails, which it does all the same."""
    try:
        yield
    except OSError as error:
        emit(name, {**(attributes or {}), **error_attributes(error)})
        raise


def error_attributes(error: OSError) -> dict[str, str]:
    """Return what the system says of a call that failed: the name of the error, and a sentence."""
    # "Resource temporarily unavailable" puzzles whoever hears it first.
    said = "it would have to wait" if isinstance(error, BlockingIOError) else error.strerror or str(error)
    return {"error": errno.errorcode.get(error.errno or 0, type(error).__name__), "message": said}


def address_of(address: tuple[Any, ...]) -> str:
    """Return an address and a port, IPv6 in brackets (RFC 3986 §3.2.2)."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
