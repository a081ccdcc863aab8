"""The server: the listening sockets, the event loop and its threads, and a clean stop.

Takes a folder, addresses and settings; gives a running server. It shows the steps of every TCP server; next:
event_loop.py.

    1  create         socket()
       configure      setsockopt()
    2  bind           bind()
    3  listen         listen()
    4  accept         accept()        event_loop.py, one for each connection
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
from httpsock.http.checks import check_callable, check_field, check_kind, check_number, check_seconds, field_list
from httpsock.http.framing import check_limits
from httpsock.http.request_parser import Limits

from .event_loop import EventLoop, Log, Report
from .process import start_thread
from .settings import Settings, Timeouts

if TYPE_CHECKING:
    # Loaded only for a traced server.
    from httpsock.observe.traced import Instrumentation

# Makes a socket of a family and a type, as ``socket.socket`` does.
Create = Callable[[int, int], socket.socket]

LOOPBACK = ("127.0.0.1", "::1")
ANY = ("0.0.0.0", "::")
DEFAULT_PORT = 8000
# Sent with every response, unless *fields* replace them.
DEFAULT_FIELDS = {"Server": "httpsock", "X-Content-Type-Options": "nosniff"}

# Each response sets these itself; a second or wrong one would break it.
_OWN_FIELDS = frozenset(
    """accept-ranges allow connection content-encoding content-length content-range content-type date etag
    keep-alive last-modified location trailer transfer-encoding upgrade vary""".split()
)

# Length of the accept queue; when it is full, clients must retry.
_BACKLOG = 1024
# The errors of a system without IPv6, or without an IPv6 address.
_NO_SUCH_ADDRESS = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
# With port 0 the kernel picks a free port for the first address; it may be in use at the second.
_MAX_PORT_TRIES = 16
_CHECK_SECONDS = 0.1
_MAX_THREADS = 1000


def print_stderr(text: str) -> None:
    """Print on standard error; ignore errors, such as a closed one."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)


class Server:
    """Serves the files below a folder over HTTP/1.1.

    ``with Server("folder", port=0) as server:`` serves at ``server.url`` from threads of its own until the
    block ends. A process may run any number of servers. One of the *threads* serves; the others take over when a slow
    disk blocks it.

    *siblings*: answer with ``app.js.gz`` instead of ``app.js`` if the client accepts it.
    *hosts* are numeric addresses, or one; by default loopback (IPv6 only if the system has it). *port* 0 takes a free
    one.
    *fields*, pairs or a mapping, are sent with every response, but Cache-Control with files only. *log* is called with
    a batch of exchanges, in order, on the serving thread: if it blocks, the server blocks. A client may receive its
    response before *log* is called; a test waits with ``wait_for_log()``.
    *tracing* observes every call and event. *listeners* are listening sockets to use instead of *hosts* and *port*; the
    server owns and closes them.
    Raises OSError if the folder can't be read or the address can't be bound, ValueError or TypeError for a wrong
    argument; the message names it.
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
        _check_settings(cache_control, log, report, limits, timeouts)
        fields = field_list(fields)
        replaced = [value for name, value in fields if name.lower() == "cache-control"]
        cache_control = ", ".join(replaced) if replaced else cache_control
        check_field("Cache-Control", cache_control)
        root = DocumentRoot(directory, **switches, cache_control=cache_control)
        self._settings = Settings(root, _field_lines(fields), limits, timeouts)
        self._log, self._report = log, report
        self._thread_count = threads
        self._loop: EventLoop | None = None
        self._threads: list[threading.Thread] = []
        # One item for each thread that has returned or is about to.
        self._returned: list[None] = []
        self.tracing = tracing
        # A traced server differs from a plain one here alone.
        self._create: Create = tracing.listener if tracing else socket.socket
        self._loop_type = tracing.event_loop if tracing else EventLoop
        self._listeners = _listen_on(hosts, port, self._create) if listeners is None else list(listeners)
        self.directory = root.directory
        self.port: int = self._listeners[0].getsockname()[1]
        self.urls = [url_of(listener.getsockname()[0], self.port) for listener in self._listeners]

    @property
    def url(self) -> str:
        """The URL of the folder at the first address."""
        return self.urls[0]

    def start(self, wake: Callable[[], object] | None = None) -> None:
        """Start to serve, on threads of its own, and return.

        Each thread calls *wake* when it returns. If the system allows fewer threads, that is reported; if it allows no
        thread, OSError is raised. Raises RuntimeError if the server has been started or stopped before.
        """
        if self._loop or self._listeners[0].fileno() < 0:
            raise RuntimeError(f"the server has been {'started' if self._loop else 'stopped'}; make another one")
        self._loop = self._loop_type(self._listeners, self._settings, self._log, self._report)
        self._close_listeners()
        try:
            if self.tracing:
                self.tracing.start()
            self._start_threads(self._loop, wake)
        except OSError:
            self._loop.close()
            raise
        preload_lazy_imports()

    def _start_threads(self, loop: EventLoop, wake: Callable[[], object] | None) -> None:
        """Start as many of the threads as the system allows. Raises OSError if it does not allow any."""

        def run() -> None:
            try:
                loop.run()
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
        """Return listening sockets at the same addresses, for another process. Call it before ``start``."""
        return [_clone(listener, self._create) for listener in self._listeners]

    def descriptors(self) -> list[int]:
        """Return the descriptors of the listening sockets. Call it before ``start``."""
        return [listener.fileno() for listener in self._listeners]

    def ask_to_stop(self, grace_seconds: float) -> None:
        """Stop accepting and finish the running responses; return immediately. Safe in a signal handler."""
        check_seconds("grace_seconds", grace_seconds)
        self._finish(grace_seconds, is_draining=False)

    def drain(self) -> None:
        """Drain: stop accepting, and close each connection after its next response.

        Idle connections keep their time-outs. Safe in a signal handler.
        """
        self._finish(math.inf, is_draining=not self._settings.is_stopping)

    def _finish(self, grace_seconds: float, *, is_draining: bool) -> None:
        self._settings.is_draining = is_draining
        self._settings.is_stopping = True
        if self._loop:
            self._loop.stop(grace_seconds)

    @property
    def is_stopping(self) -> bool:
        """Whether it has been asked to stop or to drain."""
        return self._settings.is_stopping

    @property
    def is_draining(self) -> bool:
        """Whether it has been asked to drain, and not to stop since."""
        return self._settings.is_draining

    @property
    def is_running(self) -> bool:
        """Whether one of its threads still serves or is blocked."""
        return len(self._returned) < len(self._threads)

    def blocked(self) -> list[str]:
        """Return the requests whose answers block threads now, as a slow disk does, each with its client."""
        return self._loop.blocked() if self._loop and self.is_running else []

    def serve(self) -> None:
        """Start; return when the server has stopped. ``ask_to_stop`` stops it."""
        self.start()
        self.join()

    def wait_for_log(self) -> None:
        """Return when *log* has received all exchanges that have already ended."""
        if threading.current_thread() in self._threads:
            raise RuntimeError("wait_for_log() would block the thread that calls the log")
        if self._loop:
            is_logged = self._loop.when_logged()
            # The last thread writes the log before it returns.
            while self.is_running and not is_logged.wait(_CHECK_SECONDS):
                pass

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Stop accepting, finish the running responses for at most *grace_seconds*, close all sockets."""
        self.ask_to_stop(grace_seconds)
        self._close_listeners()
        self.join()

    def _close_listeners(self) -> None:
        """Close our copies of the listening sockets; the event loop closes its own."""
        for listener in self._listeners:
            listener.close()

    def join(self) -> None:
        """Return when all threads have returned."""
        for thread in self._threads:
            while thread.is_alive():
                # A time-out, since on Windows a join without one blocks signals.
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
    """Import the modules that are otherwise imported on first use; that makes start-up a third faster.

    Do it now: later descriptors may have run out, or the folder be unreadable after `--user`.
    """
    for name in ("datetime", "fcntl", "html", "json", "termios", "traceback", "zlib", "httpsock.files.listing"):
        # Windows lacks some of them.
        with contextlib.suppress(ImportError):
            import_module(name)


def url_of(host: str, port: int) -> str:
    """Return the URL of the folder at a numeric address, IPv6 in brackets (RFC 3986 §3.2.2).

    For the unspecified address it is the URL at loopback.
    """
    host = dict(zip(ANY, LOOPBACK, strict=True)).get(host, host)
    # An encoded percent sign precedes a zone (RFC 6874 §2): curl opens such a URL, browsers do not.
    return f"http://[{host.replace('%', '%25')}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _check_arguments(directory: object, hosts: object, port: int, threads: int, switches: Mapping[str, bool]) -> None:
    """Raise TypeError or ValueError for a wrong folder, address, port, number of threads or switch."""
    check_kind("directory", directory, (str, os.PathLike), "a str or a path")
    check_kind("hosts", hosts, Sequence, "addresses")
    if not hosts:
        raise ValueError("hosts must have one address at least")
    for host in hosts:  # type: ignore[attr-defined]
        check_kind("each of hosts", host, str, "a str")
    check_number("port", port, 0, 65535)
    check_number("threads", threads, 1, _MAX_THREADS)
    for name, switch in switches.items():
        check_kind(name, switch, bool, "a bool")


def _check_settings(cache_control: object, log: object, report: object, limits: Limits, timeouts: Timeouts) -> None:
    """Raise TypeError or ValueError for a wrong Cache-Control, callback, limit or time-out."""
    check_kind("cache_control", cache_control, str, "a str")
    if log is not None:
        check_callable("log", log)
    check_callable("report", report)
    check_kind("limits", limits, Limits, "Limits")
    check_limits(limits)
    check_kind("timeouts", timeouts, Timeouts, "Timeouts")
    for name, value in timeouts._asdict().items():
        check_seconds(name, value)


def check_response_field(name: str, value: str) -> None:
    """Raise ValueError if the field is malformed, or one that each response sets itself."""
    check_field(name, value)
    if name.lower() in _OWN_FIELDS:
        raise ValueError(f"the field {name} is set by each response itself")


def _field_lines(fields: Sequence[tuple[str, str]]) -> bytes:
    """Return the field lines of every response: the default ones that are not replaced, and the given ones."""
    for name, value in fields:
        check_response_field(name, value)
    given = [field for field in fields if field[0].lower() != "cache-control"]
    replaced = {name.lower() for name, _ in given}
    defaults = [field for field in DEFAULT_FIELDS.items() if field[0].lower() not in replaced]
    return "".join(f"{name}: {value}\r\n" for name, value in [*defaults, *given]).encode("latin-1")


def _listen_on(hosts: Sequence[str], port: int, create: Create) -> list[socket.socket]:
    """Return listening sockets for all *hosts* on one port."""
    tries = _MAX_PORT_TRIES if port == 0 else 1
    while True:
        tries -= 1
        try:
            return _listen_once(hosts, port, create)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not tries:
                raise


def _listen_once(hosts: Sequence[str], port: int, create: Create) -> list[socket.socket]:
    """Return listening sockets for all *hosts* on *port*; 0 takes the port that the kernel picks for the first."""
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
    """Return one listening socket, or an empty list if *host* is optional and the system lacks it."""
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
    # As octets, since Python encodes a str in IDNA, whose import takes 2 ms.
    octets = os.fsencode(host)
    family, _, _, _, address = socket.getaddrinfo(octets, port, type=socket.SOCK_STREAM, flags=flags)[0]
    return _open_listener(family, address, create)


def _open_listener(family: int, address: tuple[Any, ...], create: Create, *, is_clone: bool = False) -> socket.socket:
    """Return a socket that listens on *address*: the first three steps of a server."""
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
        listener.listen(_BACKLOG)
        # accept() must not block: another process may have been faster.
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _clone(listener: socket.socket, create: Create) -> socket.socket:
    """Return another listening socket at the address of *listener*, for another process.

    Linux gives each socket its own accept queue and spreads connections over them. Elsewhere both share one queue, from
    which one process may take a whole burst while the others idle.
    """
    if not sys.platform.startswith("linux"):
        return listener.dup()
    # Set it only after bind(), or the first bind() would not detect a port in use.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _open_listener(listener.family, listener.getsockname(), create, is_clone=True)


def check_numeric_address(host: str) -> None:
    """Raise ValueError unless *host* is a numeric address, written in full; names are never looked up."""
    try:
        # Stricter than getaddrinfo(), which accepts "0" and "127.1"; a zone may follow (fe80::1%eth0).
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except (OSError, ValueError):
        raise ValueError(f"{host!r} is not an IPv4 or IPv6 address") from None
