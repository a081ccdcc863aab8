"""The server: the listening sockets, the worker and its threads, and a clean stop.

This is the file to read for what a TCP server does:

    1  create         socket()
       configure      setsockopt()
    2  bind           bind()
    3  listen         listen()
    4  accept         accept()        worker.py, one for each connection
    5  communicate    recv(), send()  connection.py
    6  close          close()

RFC 9293 (TCP), POSIX.1 (the calls).
"""

import contextlib
import errno
import math
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from httpsock.files.document_root import DocumentRoot
from httpsock.http.checks import check_callable, check_kind, check_number, check_seconds, field_list
from httpsock.http.framing import check_limits
from httpsock.http.grammar import field_value, token
from httpsock.http.request_parser import Limits

from .event_loop import EventLoop, Log, Report
from .process import start_thread
from .settings import Settings, Timeouts

if TYPE_CHECKING:
    # Loaded by who wants it.
    from httpsock.observe.traced import Instrumentation

# Makes a socket of a family and a type, as ``socket.socket`` does.
Create = Callable[[int, int], socket.socket]

LOOPBACK = ("127.0.0.1", "::1")
ANY = ("0.0.0.0", "::")
DEFAULT_PORT = 8000
# Fields that are sent with every response unless others of their names are given.
DEFAULT_FIELDS = {"Server": "httpsock", "X-Content-Type-Options": "nosniff"}

# What each response says by itself; said twice, or wrongly, it would break.
_OWN_FIELDS = frozenset(
    """accept-ranges allow connection content-encoding content-length content-range content-type date etag
    keep-alive last-modified location trailer transfer-encoding upgrade vary""".split()
)

# Connections that the system completes while the worker is busy; more clients than that must try again.
_BACKLOG = 1024
# What a system without IPv6, or without an address for it, says.
_NO_SUCH_ADDRESS = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
# With port 0 the system picks a port for the first address, which may be taken on the second.
_PORT_TRIES = 16
_CHECK_SECONDS = 0.1
_MOST_THREADS = 1000


def print_stderr(text: str) -> None:
    """Print on standard error, if there is one and it still takes something."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)


class Server:
    """Serves the files below a folder over HTTP/1.1.

    ``with Server("folder", port=0) as server:`` serves at ``server.url`` from threads of its own until the
    block ends. Any number of servers may live side by side. One of the *threads* serves; the others are there for
    when a slow disk keeps it.

    *siblings*: answer with ``app.js.gz`` in the place of ``app.js`` if the client accepts it.
    *hosts* are numeric addresses, or one; by default loopback, of IPv6 only if the system has it. *port* 0
    takes a free one.
    *fields*, pairs or a mapping, are sent with every response, but Cache-Control with files only. *log* is called with
    the exchanges of each batch, in order, from the thread that serves; while it waits, no client is served. That is
    after their last octets are sent: a client may have its response before *log* is called, so that a test waits with
    ``wait_for_log()``. *tracing* is what
    tells of each call that is made, and of all else that happens. *listeners* are listening sockets to serve at, in
    the place of *hosts* and *port*; they are the server's from then on.
    Raises OSError if the folder can't be read or the address can't be bound, ValueError or TypeError for an argument
    that is none; the message names it.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] = ".",
        *,
        hosts: Sequence[str] | str = LOOPBACK,
        port: int = DEFAULT_PORT,
        threads: int = 4,
        show_hidden: bool = False,
        follow_links: bool = False,
        siblings: bool = True,
        cache_control: str = "no-cache",
        fields: Iterable[tuple[str, str]] | Mapping[str, str] = (),
        log: Log | None = None,
        report: Report = print_stderr,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        listeners: Sequence[socket.socket] | None = None,
        tracing: "Instrumentation | None" = None,
    ) -> None:
        switches = {"show_hidden": show_hidden, "follow_links": follow_links, "siblings": siblings}
        limits = Limits() if limits is None else limits
        timeouts = Timeouts() if timeouts is None else timeouts
        hosts = [hosts] if isinstance(hosts, str) else hosts
        _check_arguments(directory, hosts, port, threads, switches)
        _check_service(cache_control, log, report, limits, timeouts)
        fields = field_list(fields)
        replaced = [value for name, value in fields if name.lower() == "cache-control"]
        cache_control = ", ".join(replaced) if replaced else cache_control
        check_field("Cache-Control", cache_control)
        root = DocumentRoot(directory, **switches, cache_control=cache_control)
        self._settings = Settings(root, _field_lines(fields), limits, timeouts)
        self._log, self._report = log, report
        self._thread_count = threads
        self._worker: EventLoop | None = None
        self._threads: list[threading.Thread] = []
        # One item for each thread that has returned, or is about to.
        self._returned: list[None] = []
        self.tracing = tracing
        # What it is made of is chosen here, once.
        self._create: Create = tracing.listener if tracing else socket.socket
        self._loop_type = tracing.worker if tracing else EventLoop
        self._listeners = _listen_on(hosts, port, self._create) if listeners is None else list(listeners)
        self.directory = root.directory
        self.port: int = self._listeners[0].getsockname()[1]
        self.urls = [url_of(listener.getsockname()[0], self.port) for listener in self._listeners]

    @property
    def url(self) -> str:
        """The URL of the folder at the first address."""
        return self.urls[0]

    def start(self, wake: Callable[[], object] | None = None) -> None:
        """Start to serve, on threads of its own, and return. The listening sockets are the worker's from now on.

        Each thread calls *wake* when it returns. Fewer threads than wanted are reported; if there can be none, all is
        closed and OSError raised. Raises RuntimeError if it has started before, or been stopped: it serves once.
        """
        if self._worker or self._listeners[0].fileno() < 0:
            raise RuntimeError(f"the server has been {'started' if self._worker else 'stopped'}; make another one")
        self._worker = self._loop_type(self._listeners, self._settings, self._log, self._report)
        self._close_listeners()
        try:
            if self.tracing:
                self.tracing.start()
            self._start_threads(self._worker, wake)
        except OSError:
            self._worker.close()
            raise
        preload_lazy_imports()

    def _start_threads(self, worker: EventLoop, wake: Callable[[], object] | None) -> None:
        """Start the threads, as many as the system allows. Raises OSError if that is none."""

        def run() -> None:
            try:
                worker.run()
            finally:
                self._returned.append(None)
                if wake:
                    wake()

        for number in range(1, self._thread_count + 1):
            try:
                self._threads.append(start_thread(run, f"httpsock-{number}"))
            except OSError as error:
                if not self._threads:
                    raise
                self._report(f"{number - 1} of {self._thread_count} threads started: {error.strerror}")
                return

    def clone_listeners(self) -> list[socket.socket]:
        """Return listening sockets for another process, at the addresses of this server, which has not started yet."""
        return [_share(listener, self._create) for listener in self._listeners]

    def descriptors(self) -> list[int]:
        """Return the descriptors of the listening sockets of this server, which has not started yet."""
        return [listener.fileno() for listener in self._listeners]

    def ask_to_stop(self, grace_seconds: float) -> None:
        """Ask the worker to accept no more and to finish what it is sending; return at once.

        May be called from a signal handler.
        """
        check_seconds("grace_seconds", grace_seconds)
        self._finish(grace_seconds, is_draining=False)

    def drain(self) -> None:
        """Ask the worker to accept no more, since somebody else does, and to answer who is connected, each once more.

        Nothing is cut off: who has not asked may still ask, for as long as ever. May be called from a signal handler.
        """
        self._finish(math.inf, is_draining=not self._settings.is_stopping)

    def _finish(self, grace_seconds: float, *, is_draining: bool) -> None:
        self._settings.is_draining = is_draining
        self._settings.is_stopping = True
        if self._worker:
            self._worker.stop(grace_seconds)

    @property
    def is_stopping(self) -> bool:
        """Whether it has been asked to stop, or to retire."""
        return self._settings.is_stopping

    @property
    def is_draining(self) -> bool:
        """Whether it has been asked to retire, and not to stop since."""
        return self._settings.is_draining

    @property
    def is_running(self) -> bool:
        """Whether a thread of its own still serves, or is blocked."""
        return len(self._returned) < len(self._threads)

    def blocked(self) -> list[str]:
        """Return the requests whose answers block threads now, as a slow disk does, each with its client."""
        return self._worker.blocked() if self._worker and self.is_running else []

    def serve(self) -> None:
        """Start, and return when all threads have returned, which they do once it has been asked to stop."""
        self.start()
        self.join()

    def wait_for_log(self) -> None:
        """Return once all exchanges whose last octets have been sent by now have been passed to *log*."""
        if threading.current_thread() in self._threads:
            raise RuntimeError("wait_for_log() is for other threads than the one that calls the log")
        if self._worker:
            is_logged = self._worker.when_logged()
            # Once no thread is left, all is logged.
            while self.is_running and not is_logged.wait(_CHECK_SECONDS):
                pass

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Accept no more, finish what is being sent for at most *grace_seconds*, close all sockets."""
        self.ask_to_stop(grace_seconds)
        self._close_listeners()
        self.join()

    def _close_listeners(self) -> None:
        """Close our own descriptors of the listening sockets; the worker has, and closes, its own."""
        for listener in self._listeners:
            listener.close()

    def join(self) -> None:
        """Return when all threads have returned."""
        for thread in self._threads:
            while thread.is_alive():
                # With a time limit, since without one Windows lets no signal through.
                thread.join(timeout=1.0)
        if self.tracing:
            self.tracing.finish()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def preload_lazy_imports() -> None:
    """Import what is otherwise imported when it is first wanted, so that start-up takes a third less.

    It is not left until then: descriptors may have run out, or the modules' folder be closed to who is root no more.
    """
    for name in ("datetime", "fcntl", "html", "json", "termios", "traceback", "httpsock.files.listing"):
        # Windows has not all of them.
        with contextlib.suppress(ImportError):
            import_module(name)


def url_of(host: str, port: int) -> str:
    """Return the URL of the folder at a numeric address, IPv6 in brackets (RFC 3986 §3.2.2).

    Where all addresses are listened on, loopback is one that can be connected to.
    """
    host = dict(zip(ANY, LOOPBACK, strict=True)).get(host, host)
    # A zone is written after an encoded percent sign (RFC 6874 §2): curl opens it, browsers do not.
    return f"http://[{host.replace('%', '%25')}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _check_arguments(directory: object, hosts: object, port: int, threads: int, switches: Mapping[str, bool]) -> None:
    """Raise TypeError or ValueError for what can't be served, or where it can't be."""
    check_kind("directory", directory, (str, os.PathLike), "a str or a path")
    check_kind("hosts", hosts, Sequence, "addresses")
    if not hosts:
        raise ValueError("hosts must have one address at least")
    for host in hosts:  # type: ignore[attr-defined]
        check_kind("each of hosts", host, str, "a str")
    check_number("port", port, 0, 65535)
    check_number("threads", threads, 1, _MOST_THREADS)
    for name, switch in switches.items():
        check_kind(name, switch, bool, "a bool")


def _check_service(cache_control: object, log: object, report: object, limits: Limits, timeouts: Timeouts) -> None:
    """Raise TypeError or ValueError for what is no way to serve."""
    check_kind("cache_control", cache_control, str, "a str")
    if log is not None:
        check_callable("log", log)
    check_callable("report", report)
    check_kind("limits", limits, Limits, "Limits")
    check_limits(limits)
    check_kind("timeouts", timeouts, Timeouts, "Timeouts")
    for name, value in timeouts._asdict().items():
        check_seconds(name, value)


def check_field(name: str, value: str) -> None:
    """Raise ValueError unless the field may be added to every response: well formed, and none that each says itself."""
    if not token.fullmatch(name.encode("utf-8", "surrogateescape")):
        raise ValueError(f"the field name {name!r} is not a token (RFC 9110 §5.1)")
    if not field_value.fullmatch(value.encode("latin-1", "replace")):
        raise ValueError(f"the value of {name} has a control character (RFC 9110 §5.5)")
    if name.lower() in _OWN_FIELDS:
        raise ValueError(f"the field {name} is for each response to say by itself")


def _field_lines(fields: Sequence[tuple[str, str]]) -> bytes:
    """Return the field lines of every response: the default ones unless replaced, and the given ones."""
    for name, value in fields:
        check_field(name, value)
    given = [field for field in fields if field[0].lower() != "cache-control"]
    replaced = {name.lower() for name, _ in given}
    kept = [field for field in DEFAULT_FIELDS.items() if field[0].lower() not in replaced]
    return "".join(f"{name}: {value}\r\n" for name, value in [*kept, *given]).encode("latin-1")


def _listen_on(hosts: Sequence[str], port: int, create: Create) -> list[socket.socket]:
    """Return listening sockets for all *hosts* on one port."""
    tries = _PORT_TRIES if port == 0 else 1
    while True:
        tries -= 1
        try:
            return _listen_once(hosts, port, create)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not tries:
                raise


def _listen_once(hosts: Sequence[str], port: int, create: Create) -> list[socket.socket]:
    """Return listening sockets for all *hosts* on *port*, or, if it is 0, on the one that the first gets."""
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
    """Return a listening socket, or none if the system has no such address and another one is listened on."""
    try:
        return [_listen(host, port, create)]
    except OSError as error:
        if is_optional and error.errno in _NO_SUCH_ADDRESS:
            return []
        raise


def _listen(host: str, port: int, create: Create) -> socket.socket:
    """Return a socket that listens on a numeric address."""
    check_numeric_address(host)
    flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
    return _open_listener(family, address, create)


def _open_listener(family: int, address: tuple[Any, ...], create: Create, *, is_shared: bool = False) -> socket.socket:
    """Return a socket that listens on *address*: the first three steps of a server."""
    # 1. Create: a descriptor for one end of TCP connections, of IPv4 or IPv6.
    listener = create(family, socket.SOCK_STREAM)
    try:
        if os.name == "nt":  # pragma: no cover (Windows: SO_REUSEADDR there would share a busy port silently)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined]
        else:
            # Else a restart would have to wait until the connections of before have left TIME-WAIT.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted sockets inherit it: what is sent is sent at once, not held back until the last was acknowledged.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # 2. Bind: take the address and the port.
        listener.bind(address)
        # 3. Listen: let the system complete connections, up to so many ahead of accept().
        listener.listen(_BACKLOG)
        # accept() must not wait: another process may have been faster.
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _share(listener: socket.socket, create: Create) -> socket.socket:
    """Return another listening socket at the address of *listener*, for another process.

    The system spreads new connections over both; but for Linux it does not, and the queue is one.
    Of one queue a process takes all that arrives in a burst, and leaves the others nothing to do.
    """
    if not sys.platform.startswith("linux"):
        return listener.dup()
    # Only now: had the first one been bound with it, nobody would have noticed that the port was in use.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _open_listener(listener.family, listener.getsockname(), create, is_shared=True)


def check_numeric_address(host: str) -> None:
    """Raise ValueError unless *host* is a numeric address, written in full: no name is ever looked up."""
    try:
        # Stricter than getaddrinfo(), to which "0" and "127.1" are addresses, too; a zone may follow (fe80::1%eth0).
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except (OSError, ValueError):
        raise ValueError(f"{host!r} is not an IPv4 or IPv6 address") from None
