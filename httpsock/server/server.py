"""The server: the listening sockets, the event loop and its threads, and a clean stop.

Takes a folder, addresses and settings, gives a running server. Next: event_loop.py. These are the steps of every TCP
server:

    1  create         socket()        listeners.py
       configure      setsockopt()
    2  bind           bind()
    3  listen         listen()
    4  accept         accept()        event_loop.py, one for each connection
    5  communicate    recv(), send()  connection.py
    6  close          close()

RFC 9293 (TCP), POSIX.1 (the calls).
"""

import contextlib
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self

from httpsock.files.document_root import DocumentRoot
from httpsock.files.file_system import FileSystem
from httpsock.files.handler import serve_folder
from httpsock.http.checks import Fields, check_callable, check_field, check_seconds, field_list
from httpsock.http.handler import Handler, Middleware
from httpsock.http.request_parser import Limits

from .arguments import check_arguments, check_handlers, check_settings
from .connection import open_connection
from .event_loop import Connect, EventLoop, Log, Report
from .listeners import LOOPBACK, AcceptQueue, Create, clone, duplicate, host_of, listen_on, url_of
from .process import BLOCKED_SECONDS, start_thread
from .settings import Settings, Timeouts
from .state import Phase
from .transport import PlainTransport, Transport

if TYPE_CHECKING:
    # Loaded only for a traced server.
    from httpsock.observe.traced import Instrumentation

DEFAULT_PORT = 8000
# Sent with every response, unless *fields* replace them.
DEFAULT_FIELDS = {"Server": "httpsock", "X-Content-Type-Options": "nosniff"}

# Each response sets these fields itself; a second or wrong one would break it.
_OWN_FIELDS = frozenset(
    """accept-ranges allow connection content-encoding content-length content-range content-type date etag
    keep-alive last-modified location trailer transfer-encoding upgrade vary""".split()
)

# For ``preload_lazy_imports``: modules that some requests need.
_LAZY_IMPORTS = (
    *("datetime", "fcntl", "html", "json", "termios", "traceback"),
    *("httpsock.files.listing", "httpsock.files.siblings", "httpsock.http.charsets"),
)

_CHECK_SECONDS = 0.1


def print_stderr(text: str) -> None:
    """Print *text* on standard error. Ignore errors: standard error may be closed."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)


class Server:
    """Serves the files below a folder over HTTP/1.1, or the responses of a program's handler.

    ``with Server("folder", port=0) as server:`` serves at ``server.url``, in threads of its own, until the block ends.
    A process may run any number of servers. One of the *threads* serves. If a slow disk blocks this thread, another
    thread takes over.

    *handler* answers the requests instead of the folder. Each *middleware* wraps the handler. The first one is
    outermost. A slow handler should run in steps, or call ``in_thread``: see http/handler.py. *transport* makes a
    transport from an accepted socket. *accept_queue* makes an accept queue from a listening socket.

    *siblings* allows ``app.js.gz`` as the answer for ``app.js``, if the client accepts gzip.

    *hosts* is one numeric address, or a sequence of addresses. The default is loopback: 127.0.0.1, and ::1 if the
    system has IPv6. If *port* is 0, the system picks a free port.

    *fields* are pairs or a mapping. The server sends the fields with every response, but Cache-Control only with files.

    *log* is called with batches of exchanges, in order. It runs on the serving thread: if *log* blocks, the server
    blocks. A client may receive its response before *log* is called. A test can wait with ``wait_for_log()``. *report*
    gets each traceback, and each sentence about the server itself.

    *tracing* observes every call and event. *listeners* are listening sockets to use instead of *hosts* and *port*. The
    server owns and closes these sockets.

    Raise OSError if the folder can't be read or the address can't be bound. Raise ValueError or TypeError if an
    argument is wrong. The message names the argument.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = ".",
        *,
        handler: Handler | None = None,
        middleware: Sequence[Middleware] = (),
        transport: Callable[[socket.socket], Transport] = PlainTransport,
        accept_queue: Callable[[socket.socket], AcceptQueue] = duplicate,
        hosts: Sequence[str] | str = LOOPBACK,
        port: int = DEFAULT_PORT,
        threads: int = 4,
        show_hidden: bool = False,
        follow_links: bool = False,
        siblings: bool = True,
        cache_control: str = "no-cache",
        fields: Fields = (),
        log: Log | None = None,
        report: Report = print_stderr,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        listeners: Sequence[socket.socket] | None = None,
        tracing: "Instrumentation | None" = None,
    ) -> None:
        switches = {"show_hidden": show_hidden, "follow_links": follow_links, "siblings": siblings}
        limits, timeouts = Limits() if limits is None else limits, Timeouts() if timeouts is None else timeouts
        hosts = [hosts] if isinstance(hosts, str) else hosts
        check_arguments(hosts, port, threads, switches, listeners)
        check_handlers(directory, handler, middleware, transport, accept_queue)
        check_settings(cache_control, log, report, limits, timeouts)
        fields = field_list(fields)
        # The absolute path of the folder; "" without one.
        self.directory = ""
        is_folder = handler is None
        if handler is None:
            root = _open_root(directory, switches, _cache_control(fields, cache_control), tracing)
            handler, self.directory = serve_folder(root), root.directory
        # The inspector runs after the middleware, so that a password protects the inspector too.
        handler = tracing.handler(handler) if tracing else handler
        composed = _compose(handler, middleware, is_folder=is_folder)
        self._settings = Settings(
            composed, _common_field_lines(fields), limits, timeouts, transport=transport, report=report
        )
        self._report, self._thread_count = report, threads
        self._loop: EventLoop | None = None
        # The threads; and one item for each thread that has returned or is about to.
        self._threads: list[threading.Thread] = []
        self._returned: list[None] = []
        self.tracing = tracing
        # A traced server differs from a plain one in these parts alone.
        self._create: Create = tracing.listener if tracing else socket.socket
        self._connect: Connect = tracing.connect if tracing else open_connection
        self._log = tracing.wrap(self._settings, log) if tracing else log
        if listeners is None:
            listeners = listen_on(hosts, port, self._create)
        elif tracing:
            listeners = [tracing.inherited(listener) for listener in listeners]
        self._listeners = list(listeners)
        # Queues that may refuse connections do so from now on, before the start.
        is_plain = accept_queue is duplicate
        self._queues = {} if is_plain else {each: accept_queue(each) for each in self._listeners}
        self._accept_queue = duplicate if is_plain else self._queues.__getitem__
        self.port: int = self._listeners[0].getsockname()[1]
        self.hosts: list[str] = [host_of(listener) for listener in self._listeners]
        self.urls = [url_of(host, self.port) for host in self.hosts]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.url}{'' if self.is_running else ', not running'}>"

    @property
    def url(self) -> str:
        """The URL of the server at its first address."""
        return self.urls[0]

    def start(self, wake: Callable[[], object] | None = None) -> None:
        """Start the threads that serve, and return.

        Each thread calls *wake* when it ends. If the system allows fewer threads than wanted, report that. Raise
        OSError if the system allows no thread. Raise RuntimeError if the server was started or stopped before.
        """
        if self._loop or self._listeners[0].fileno() < 0:
            raise RuntimeError(f"the server has been {'started' if self._loop else 'stopped'}; make another one")
        self._loop = EventLoop(
            self._listeners, self._settings, self._log, self._report, self._connect, accept_queue=self._accept_queue
        )
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
        """Start as many of the threads as the system allows. Raise OSError if the system allows no thread."""

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
        """Return new sockets that listen at this server's addresses, for another process.

        Call this method before ``start``.
        """
        return [clone(listener, self._create) for listener in self._listeners]

    def descriptors(self) -> list[int]:
        """Return the descriptors of the listening sockets. Call this method before ``start``."""
        return [listener.fileno() for listener in self._listeners]

    def ask_to_stop(self, grace_seconds: float) -> None:
        """Ask the server to stop, and return immediately. A signal handler may call this.

        The server stops accepting. Running responses have *grace_seconds* to finish.
        """
        check_seconds("grace_seconds", grace_seconds)
        self._finish(grace_seconds, Phase.STOPPING)

    def drain(self) -> None:
        """Drain: stop accepting, and close each connection after its next response.

        Idle connections keep their time-outs. A signal handler may call this.
        """
        self._finish(math.inf, Phase.STOPPING if self._settings.phase is Phase.STOPPING else Phase.DRAINING)

    def _finish(self, grace_seconds: float, phase: Phase) -> None:
        self._settings.phase = phase
        if self._loop:
            self._loop.stop(grace_seconds)

    @property
    def is_stopping(self) -> bool:
        """Whether the server has been asked to stop or to drain."""
        return self._settings.phase is not Phase.SERVING

    @property
    def is_draining(self) -> bool:
        """Whether the server has been asked to drain, but not to stop."""
        return self._settings.phase is Phase.DRAINING

    @property
    def is_running(self) -> bool:
        """Whether any of the server's threads still serves or is blocked."""
        return len(self._returned) < len(self._threads)

    def blocked(self) -> list[str]:
        """Return a description of each request that blocks a thread now, for example on a slow disk."""
        return self._loop.blocked() if self._loop and self.is_running else []

    def serve(self) -> None:
        """Start the server. Return when the server has stopped. ``ask_to_stop`` stops the server.

        An exception in this method, such as the KeyboardInterrupt of Ctrl-C, also stops the server.
        """
        self.start()
        try:
            self.join()
        except BaseException:
            self.stop()
            raise

    def wait_for_log(self) -> None:
        """Wait until the server's log function has received all exchanges that have ended so far."""
        self._check_thread("wait_for_log")
        if self._loop:
            is_logged = self._loop.when_logged()
            # If no thread runs any more, the log is complete: the last one writes it before it returns.
            while self.is_running and not is_logged.wait(_CHECK_SECONDS):
                pass

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Stop accepting, let running responses finish within *grace_seconds*, and close all sockets.

        Raise TimeoutError if a handler or a disk still blocks a thread 5 seconds after this period. Python can't end
        that thread. A thread of the server, for example in a handler, must call ``ask_to_stop`` instead.
        """
        self._check_thread("stop")
        self.ask_to_stop(grace_seconds)
        self._close_listeners()
        while self._queues and not self._loop:
            self._queues.popitem()[1].close()
        self._join(time.monotonic() + grace_seconds + BLOCKED_SECONDS)

    def _close_listeners(self) -> None:
        """Close this object's listening sockets. The event loop closes its own duplicates."""
        for listener in self._listeners:
            listener.close()

    def join(self) -> None:
        """Wait until all threads of the server have returned."""
        self._check_thread("join")
        self._join(math.inf)

    def _join(self, deadline: float) -> None:
        """Wait until all threads have returned. Raise TimeoutError if a request still blocks a thread at *deadline*."""
        for thread in self._threads:
            while thread.is_alive():
                # A time-out, since on Windows a join without one blocks signals.
                thread.join(timeout=min(1.0, max(_CHECK_SECONDS, deadline - time.monotonic())))
                if time.monotonic() >= deadline and (blocked := self.blocked()):
                    raise TimeoutError(f"a thread of the server is still blocked by {', '.join(blocked)}")
        if self.tracing:
            self.tracing.finish()

    def _check_thread(self, name: str) -> None:
        """Raise RuntimeError if a thread of the server calls the method *name*, which waits for all threads."""
        if threading.current_thread() in self._threads:
            raise RuntimeError(f"{name}() would wait for the thread that calls it, which is one of the server's own")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def preload_lazy_imports() -> None:
    """Import the modules that the server otherwise imports only when it first needs them.

    Call this before descriptors can run out, and before ``--user`` changes the user. Later, the process might be unable
    to read a module.
    """
    for name in _LAZY_IMPORTS:
        # Windows lacks some of them.
        with contextlib.suppress(ImportError):
            import_module(name)


def _open_root(
    directory: str | os.PathLike[str] | None,
    switches: Mapping[str, bool],
    cache_control: str,
    tracing: "Instrumentation | None",
) -> DocumentRoot:
    """Return the document root of *directory*. Raise OSError if the folder can't be read.

    If *tracing* is given, use a traced file system.
    """
    file_system = tracing.file_system if tracing else FileSystem
    return DocumentRoot(directory or "", **switches, cache_control=cache_control, file_system=file_system)


def _cache_control(fields: Sequence[tuple[str, str]], default: str) -> str:
    """Return the Cache-Control value in *fields*. If there is none, return *default*.

    Raise ValueError if it is malformed.
    """
    given = [value for name, value in fields if name.lower() == "cache-control"]
    cache_control = ", ".join(given) if given else default
    check_field("Cache-Control", cache_control)
    return cache_control


def _compose(handler: Handler, middleware: Sequence[Middleware], *, is_folder: bool) -> Handler:
    """Return *handler* wrapped in all *middleware*. The first middleware is outermost.

    If a program supplies a handler or a middleware, the result also checks each response.
    """
    if is_folder and not middleware:
        return handler
    from httpsock.handlers.checked import checked  # only for a program's handler

    for each in reversed(middleware):
        handler = each(handler)
        check_callable("what a middleware returns", handler)
    return checked(handler)


def check_response_field(name: str, value: str) -> None:
    """Raise ValueError if the field is malformed, or if only the server may set the field."""
    check_field(name, value)
    if name.lower() in _OWN_FIELDS:
        raise ValueError(f"the field {name} is set by each response itself")


def _common_field_lines(fields: Sequence[tuple[str, str]]) -> bytes:
    """Return the field lines of every response: the default fields, then *fields*.

    *fields* replace default fields of the same name. Cache-Control is left out, since only files have it.
    """
    for name, value in fields:
        check_response_field(name, value)
    given = [field for field in fields if field[0].lower() != "cache-control"]
    replaced = {name.lower() for name, _ in given}
    defaults = [field for field in DEFAULT_FIELDS.items() if field[0].lower() not in replaced]
    return "".join(f"{name}: {value}\r\n" for name, value in [*defaults, *given]).encode("latin-1")
