"""The listening sockets: the first three steps of a TCP server.

Takes numeric addresses and a port, gives listening sockets. Next: server.py passes the sockets to the event loop.

    1  create         socket()
       configure      setsockopt()
    2  bind           bind()
    3  listen         listen()

RFC 9293 §3.9.1.1 (open); POSIX.1 (the calls).
"""

import errno
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

# Makes a socket of a family and a type, as ``socket.socket`` does.
Create = Callable[[int, int], socket.socket]


class AcceptQueue(Protocol):
    """The methods of a listening socket that the event loop calls. The event loop owns the socket."""

    def fileno(self) -> int:
        """Return the descriptor to poll for new connections."""

    def accept(self) -> tuple[socket.socket, Any]:
        """Return a connection and the client's address. Raise NotAccepting if the event loop must call again soon."""

    def close(self) -> None:
        """Stop listening."""


class NotAccepting(BlockingIOError):  # noqa: N818 (it is no error)
    """The accept queue gives no connection now, and must not be polled. Call accept() again after *seconds*."""

    seconds = 0.01


def duplicate(listener: socket.socket) -> AcceptQueue:
    """Return a duplicate of *listener* as an accept queue. Only the event loop closes the duplicate."""
    return listener.dup()


LOOPBACK = ("127.0.0.1", "::1")
ANY = ("0.0.0.0", "::")

# Length of the accept queue; when it is full, clients must retry.
BACKLOG = 1024
# The errors of a system without IPv6, or without an IPv6 address.
_NO_SUCH_ADDRESS = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
# With port 0 the kernel picks a free port for the first address; it may be in use at the second.
_MAX_PORT_TRIES = 16


def listen_on(hosts: Sequence[str], port: int, create: Create) -> list[socket.socket]:
    """Return a listening socket for each of *hosts*, all on one port. *create* makes each socket.

    Raise OSError if this machine lacks the first address. Leave out any other address that this machine lacks.
    """
    tries = _MAX_PORT_TRIES if port == 0 else 1
    while True:
        tries -= 1
        try:
            return _listen_once(hosts, port, create)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not tries:
                raise


def _listen_once(hosts: Sequence[str], port: int, create: Create) -> list[socket.socket]:
    """Return a listening socket for each of *hosts*. If *port* is 0, the kernel picks one port for all sockets."""
    listeners: list[socket.socket] = []
    try:
        for host in hosts:
            listeners += _listen_if_present(host, port, create, is_optional=bool(listeners))
            port = listeners[0].getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen_if_present(host: str, port: int, create: Create, *, is_optional: bool) -> list[socket.socket]:
    """Return a list with one listening socket. If the system lacks an optional *host*, return an empty list."""
    try:
        return [_listen(host, port, create)]
    except OSError as error:
        if is_optional and error.errno in _NO_SUCH_ADDRESS:
            return []
        error.strerror = f"{error.strerror}: {host}, port {port}"
        raise


def _listen(host: str, port: int, create: Create) -> socket.socket:
    """Return a socket that listens at the numeric address *host*."""
    check_numeric_address(host)
    flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
    # Pass octets: for a str, Python would import the codec of IDNA, which takes 2 ms.
    octets = os.fsencode(host)
    family, _, _, _, address = socket.getaddrinfo(octets, port, type=socket.SOCK_STREAM, flags=flags)[0]
    return _open_listener(family, address, create)


def _open_listener(family: int, address: tuple[Any, ...], create: Create, *, is_clone: bool = False) -> socket.socket:
    """Return a socket that listens on *address*.

    If *is_clone* is true, other sockets may listen on the same address.
    """
    # 1. Create: a descriptor for one end of TCP connections, of IPv4 or IPv6.
    listener = create(family, socket.SOCK_STREAM)
    try:
        if os.name == "nt":  # pragma: no cover (Windows: SO_REUSEADDR there would share a busy port silently)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined]
        else:
            # Otherwise a restart must wait until earlier connections have left TIME-WAIT.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_clone:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted sockets inherit it: send immediately, without waiting for earlier acknowledgements (Nagle).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # 2. Bind: take the address and the port.
        listener.bind(address)
        # 3. Listen: let the kernel complete connections and queue them for accept().
        listener.listen(BACKLOG)
        # accept() must not block, since another process may have accepted the connection first.
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def clone(listener: socket.socket, create: Create) -> socket.socket:
    """Return another listening socket at the address of *listener*, for another process.

    On Linux, each socket has its own accept queue, and the kernel spreads connections over the queues. On other
    systems, the two sockets share one queue.
    """
    if not sys.platform.startswith("linux"):
        return listener.dup()
    # Set the option only after bind(): with it, the first bind() would not detect a port in use.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _open_listener(listener.family, listener.getsockname(), create, is_clone=True)


def check_numeric_address(host: str) -> None:
    """Raise ValueError if *host* is not a complete numeric address. Names are never looked up."""
    try:
        # Stricter than getaddrinfo(), which accepts "0" and "127.1"; a zone may follow (fe80::1%eth0).
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except (OSError, ValueError):
        raise ValueError(f"{host!r} is not an IPv4 or IPv6 address") from None


def host_of(listener: socket.socket) -> str:
    """Return the numeric address of *listener*. A link-local address ends with its zone (RFC 4007 §11)."""
    host, _, *more = listener.getsockname()
    # Linux reports a scope for link-local addresses alone.
    return f"{host}%{more[1]}" if more and more[1] and "%" not in host else str(host)


def url_of(host: str, port: int) -> str:
    """Return the URL of a server at a numeric address. An IPv6 address is in brackets (RFC 3986 §3.2.2).

    If *host* is 0.0.0.0 or ::, the URL has the loopback address instead.
    """
    host = dict(zip(ANY, LOOPBACK, strict=True)).get(host, host)
    # An encoded percent sign precedes a zone (RFC 6874 §2): curl opens such a URL, browsers do not.
    return f"http://[{host.replace('%', '%25')}]:{port}/" if ":" in host else f"http://{host}:{port}/"
