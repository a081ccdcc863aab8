"""The command that serves: takes arguments, sets up servers and the main thread's loop, gives an exit code.

line 1 of standard output    the URL, alone, for scripts
standard error               all other text: the folder and its URLs, the log, errors
exit code                    0 after a clean stop, 1 if it cannot serve, 2 for a wrong argument, 23 if --help, --version
                             or --auth-hash can't print

Next: server/server.py.
"""

import argparse
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

from httpsock.http.text import visible
from httpsock.processes.activation import InheritedSockets, inherit_sockets
from httpsock.processes.children import Children, Parent
from httpsock.processes.process_loop import ExitCode, ProcessLoop, Served
from httpsock.processes.restart import GracefulRestart, missing_permission
from httpsock.processes.supervisor import Supervisor
from httpsock.processes.threaded import ThreadedServer
from httpsock.server.access_log import FORMATS, Exchange, TextFormat
from httpsock.server.addresses import is_loopback, local_addresses
from httpsock.server.event_loop import Log
from httpsock.server.listeners import ANY, LOOPBACK, url_of
from httpsock.server.process import become_user, fill_standard_descriptors, raise_descriptor_limit
from httpsock.server.server import DEFAULT_PORT, Server, preload_lazy_imports, print_stderr
from httpsock.tracing.output import is_terminal, shows_colours, standard_error, width_of, would_block

from .arguments import WRONG_ARGUMENT
from .options import options_of
from .stderr import StderrWriter

if TYPE_CHECKING:
    from httpsock.discovery.description_handler import DescriptionHandler
    from httpsock.observe.traced import Instrumentation

# If the default port is in use, try the next ones; a port given with --port has no substitute.
_DEFAULT_PORTS = range(DEFAULT_PORT, DEFAULT_PORT + 10)
# Time to write the first lines, each to its stream, before the server serves without them.
_FIRST_LINES_SECONDS = 1.0
# If a pipe is writable, it has room for 4,096 bytes. A character has at most 10 bytes: \U0001f600, escaped in ASCII.
_PIECE_CHARACTERS = 400
# Time to write the last lines of the log at exit.
_LAST_LINES_SECONDS = 1.0


def main(arguments: Sequence[str]) -> int:
    """Serve as *arguments* say, until a signal ends the server. Return the exit code."""
    options = options_of(arguments)
    if options.processes > 1 and not hasattr(os, "fork"):
        print_stderr("httpsock: this system can't share listening sockets between processes; leave out --processes.")
        return WRONG_ARGUMENT
    directory = options.directory
    if directory is None:
        directory = "www" if os.path.isdir("www") else "."
    fill_standard_descriptors()
    raise_descriptor_limit()
    lines = StderrWriter()
    description = _description_handler(options)
    try:
        inherited = inherit_sockets()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        print_stderr(f"httpsock: cannot use the inherited listening sockets: {reason}.")
        return ExitCode.FAILED
    try:
        make = partial(_server, options, directory, lines, description=description)
        servers = _open_servers(options, make, inherited)
        if not inherited:
            _check_all_are_bound(servers, options)
    except OSError as error:
        print_stderr(f"httpsock: {_start_error(error, options, directory)}")
        return ExitCode.FAILED
    if description:
        description.describe(servers[0].directory, servers[0].port)
    # A process that takes over after SIGHUP already has the user of the old one.
    if not (inherited and inherited.parent) and (fault := _drop_root(options, servers[0].directory)):
        for server in servers:
            server.stop(0)
        print_stderr(f"httpsock: {fault}")
        return ExitCode.FAILED
    return _run(servers, lines, options, inherited, description)


def _run(
    servers: Sequence[Server],
    lines: StderrWriter,
    options: argparse.Namespace,
    inherited: InheritedSockets | None,
    description: "DescriptionHandler | None",
) -> int:
    """Run *servers* until a signal ends them. Return the exit code."""
    try:
        loop = _process_loop(servers, lines, options, inherited, description)
    except OSError as error:
        for server in servers:
            server.stop(0)
        print_stderr(f"httpsock: cannot serve: {error.strerror}.")
        return ExitCode.FAILED
    # With several processes, the first forked one announces: this one must fork, so it must not start a thread.
    with _announcing(servers[0], description if len(servers) == 1 else None):
        # Print the URL last, when everything works.
        _print_urls(servers[0], options, inherited)
        return _run_loop(loop, lines)


def _process_loop(
    servers: Sequence[Server],
    lines: StderrWriter,
    options: argparse.Namespace,
    inherited: InheritedSockets | None,
    description: "DescriptionHandler | None",
) -> ProcessLoop:
    """Return the main thread's loop, which runs *servers*. Raise OSError if descriptors have run out."""
    # Windows lacks SIGHUP and inherited descriptors.
    groups = [server.descriptors() for server in servers] if hasattr(signal, "SIGHUP") else []
    children = Children()
    restart = GracefulRestart(children, groups, _print_if_writable)
    served: Served = ThreadedServer(servers[0], options.grace)
    if len(servers) > 1:
        served = _supervisor(servers, lines, options, children, restart, description=description)
    return ProcessLoop(
        served,
        children=children,
        restart=restart,
        parent=inherited.parent if inherited else None,
        grace_seconds=options.grace,
        report=_print_if_writable,
    )


def _run_loop(loop: ProcessLoop, lines: StderrWriter) -> int:
    """Run *loop*, then write the last lines of the log. Return the exit code."""
    try:
        code = loop.run()
    except OSError as error:
        print_stderr(f"httpsock: cannot serve: {error.strerror}.")
        code = ExitCode.FAILED
    lines.close(_LAST_LINES_SECONDS)
    # The interpreter restores the default actions as it exits: without this, a late SIGHUP would change the exit code.
    with contextlib.suppress(AttributeError):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return code


def _supervisor(
    servers: Sequence[Server],
    lines: StderrWriter,
    options: argparse.Namespace,
    children: Children,
    restart: GracefulRestart,
    *,
    description: "DescriptionHandler | None",
) -> Served:
    """Return a supervisor that runs each of *servers* in a process of its own."""
    # Before the first fork: after an upgrade, a process that replaces another would import modules of the new version.
    _preload(options)

    def serve(number: int, parent: Parent) -> int:
        restart.stop()
        close_all(server for server in servers if server is not servers[number])
        served = ThreadedServer(servers[number], options.grace)
        no_children = Children()
        loop = ProcessLoop(
            served,
            children=no_children,
            restart=GracefulRestart(no_children, [], lines.write_line),
            parent=parent,
            grace_seconds=options.grace,
            report=lines.write_line,
            is_forked=True,
        )
        with _announcing(servers[number], description if number == 0 else None):
            return _run_loop(loop, lines)

    def close_all(servers: Iterable[Server]) -> None:
        for server in servers:
            server.stop(0)

    return Supervisor(children, len(servers), serve=serve, close=lambda: close_all(servers), report=_print_if_writable)


def _print_if_writable(text: str) -> None:
    """Print *text* on standard error. If standard error is closed or would block, do nothing."""
    _print_unless_blocked(sys.stderr, text, 0.0)


def _print_unless_blocked(stream: TextIO | None, text: str, seconds: float) -> None:
    """Print *text* on *stream*. If *stream* is closed, or stays full for *seconds*, drop the rest."""
    with contextlib.suppress(OSError, ValueError):
        line = f"{text}\n"
        for start in range(0, len(line), _PIECE_CHARACTERS):
            # A standard stream that was closed at the start is None.
            if not stream or would_block(stream, seconds):
                return
            stream.write(line[start : start + _PIECE_CHARACTERS])
            stream.flush()


def _open_servers(
    options: argparse.Namespace, make: Callable[..., Server], inherited: InheritedSockets | None
) -> list[Server]:
    """Return a server for each process. If there are *inherited* sockets, use these. Otherwise, bind the port."""
    if inherited:
        return [make(0, group) for group in inherited.for_processes(options.processes)]
    first = _open_server(options, make)
    return [first, *(make(0, first.clone_listeners()) for _ in range(1, options.processes))]


def _open_server(options: argparse.Namespace, make: Callable[..., Server]) -> Server:
    """Return a server at the port of --port. Without --port, use the first default port that is free."""
    ports = _DEFAULT_PORTS if options.port is None else [options.port]
    for port in ports:
        try:
            return make(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                raise
    raise AssertionError("there is always a port to try")


def _check_all_are_bound(servers: Sequence[Server], options: argparse.Namespace) -> None:
    """Raise OSError if this machine lacks an address of --bind. Server itself requires only the first address."""
    if options.bind and len(servers[0].urls) < len(options.bind):
        for server in servers:
            server.stop(0)
        raise OSError(errno.EADDRNOTAVAIL, "no such address")


def _server(
    options: argparse.Namespace,
    directory: str,
    lines: StderrWriter,
    port: int,
    listeners: Sequence[socket.socket] | None = None,
    *,
    description: "DescriptionHandler | None",
) -> Server:
    """Return a server that uses *listeners*. Without *listeners*, the server is bound to *port*."""
    return Server(
        directory,
        # Devices on the network read the description without a password.
        middleware=[*([description] if description else []), *options.middleware],
        transport=options.transport,
        accept_queue=options.accept_queue,
        hosts=ANY if options.lan else options.bind or LOOPBACK,
        port=port,
        threads=options.threads,
        show_hidden=options.hidden,
        follow_links=options.follow_links,
        siblings=options.siblings,
        cache_control=f"max-age={options.cache}" if options.cache else "no-cache",
        fields=options.header,
        log=None if options.quiet or options.trace or options.trace_only else _log(options.log, lines),
        report=lines.write_line,
        listeners=listeners,
        tracing=_tracing(options) if options.trace or options.trace_only or options.inspect else None,
    )


def _tracing(options: argparse.Namespace) -> "Instrumentation":
    """Return the instrumentation for --trace, for --inspect, or for both options."""
    trace = None
    # Imported here, since it is rarely needed.
    if options.trace or options.trace_only:
        from httpsock.tracing.trace import trace_on_standard_error

        form, only = options.trace or "text", options.trace_only or ""
        trace = trace_on_standard_error(form, only=only, shows_process=options.processes > 1)
    if options.inspect or trace is None:
        from httpsock.observe.inspected import Inspection
        from httpsock.observe.recorder import Recorder

        return Inspection(Recorder(trace))
    from httpsock.observe.traced import Instrumentation

    return Instrumentation(trace)


def _log(name: str, lines: StderrWriter) -> Log:
    """Return a function that formats exchanges in the log format called *name*, and queues the lines."""
    descriptor = standard_error()
    is_fitted, is_coloured = name == "text" and is_terminal(descriptor), shows_colours(descriptor)

    def log(exchanges: Sequence[Exchange]) -> None:
        # The width of a terminal may change while the server runs.
        form = TextFormat(width_of(descriptor), is_coloured=is_coloured) if is_fitted else FORMATS[name]
        lines.write("".join(map(form, exchanges)))

    return log


def _preload(options: argparse.Namespace) -> None:
    """Import the modules that a server with these *options* otherwise imports only when it first needs them."""
    preload_lazy_imports()
    if options.announce:
        from httpsock.discovery import announcer  # noqa: F401


def _drop_root(options: argparse.Namespace, directory: str) -> str | None:
    """If --user is given, become that user. If that fails, return an error sentence. Otherwise, return None."""
    if options.user is None:
        return None
    _preload(options)
    try:
        become_user(options.user)
        os.scandir(directory).close()
        # After SIGHUP, the new process reads this file as this user.
        if options.auth_file:
            os.close(os.open(options.auth_file, os.O_RDONLY))
    except ValueError as error:
        return f"{error}; --user takes a name of this system."
    except PermissionError as error:
        if error.filename is None:
            return "--user needs root, and this process is not root."
        kind = "folder" if error.filename == directory else "file"
        return f"{options.user} may not read the {kind} {error.filename!r}."
    if missing := missing_permission():
        reason = f"{options.user} may not {missing}, so SIGHUP can't restart this server; it serves all the same."
        _print_unless_blocked(sys.stderr, f"httpsock: {reason}", _FIRST_LINES_SECONDS)
    return None


def _start_error(error: OSError, options: argparse.Namespace, directory: str) -> str:
    """Return one sentence that says why the server can't start."""
    hosts = " or ".join(options.bind or LOOPBACK[:1])
    match error.errno:
        case errno.EADDRINUSE if options.port is None:
            return f"all ports from {_DEFAULT_PORTS[0]} to {_DEFAULT_PORTS[-1]} are in use; choose another with --port."
        case errno.EADDRINUSE:
            return (
                f"port {options.port} is in use; choose another with --port, or leave it to the system with --port 0."
            )
        case errno.EACCES if error.filename is None:
            return f"this user may not bind port {options.port}; choose a port from 1024 on."
        case errno.EADDRNOTAVAIL | socket.EAI_NONAME:
            return f"{hosts} is not an address of this machine."
        case errno.EINVAL if options.bind:
            return f"{hosts} can't be bound; an address such as fe80::1 needs its zone (fe80::1%eth0)."
        case errno.ENOENT:
            return f"there is no folder {directory!r}."
        case errno.ENOTDIR:
            return f"{directory!r} is not a folder."
        case errno.EACCES:
            return f"this user may not read the folder {directory!r}."
    return f"{directory!r} can't be served at {hosts}: {error.strerror or error}."


def _print_urls(server: Server, options: argparse.Namespace, inherited: InheritedSockets | None) -> None:
    """Print the URL on standard output, and instructions on standard error. After a restart, print nothing."""
    if inherited and inherited.parent:
        return
    # A folder of any name may come from an archive, and its name may hold control characters.
    folder = visible(os.fsencode(server.directory).decode("utf-8", "backslashreplace"))
    lines = []
    if options.port is None and server.port != DEFAULT_PORT and not inherited:
        lines.append(f"Port {DEFAULT_PORT} is in use, so this is port {server.port}.")
    if options.lan:
        addresses = local_addresses()
        hint = "On other devices type:" if addresses else "But this machine is in no network now."
        lines.append(f"Serving {folder} to the whole network (Ctrl-C to stop). {hint}")
        lines += [f"  {url_of(address, server.port)}" for address in addresses]
    else:
        lines.append(f"Serving {folder} at {' and '.join(server.urls)} (Ctrl-C to stop)")
    if any("%25" in url for url in server.urls):
        lines.append("Browsers open no address with a zone, such as %eth0; curl and httpsock get do.")
    if options.auth and not all(map(is_loopback, server.hosts)):
        lines.append("The password crosses the network unencrypted: put a proxy with TLS in front.")
    if options.inspect:
        lines.append(f"See the sockets at {server.url}.httpsock/")
    # A full pipe must not keep the server from serving.
    _print_unless_blocked(sys.stdout, server.url, _FIRST_LINES_SECONDS)
    _print_unless_blocked(sys.stderr, "\n".join(lines), _FIRST_LINES_SECONDS)


def _description_handler(options: argparse.Namespace) -> "DescriptionHandler | None":
    """Return the middleware that serves the device description. Without --announce, return None."""
    if not options.announce:
        return None
    # Imported here, since it is rarely needed.
    from httpsock.discovery.description_handler import DescriptionHandler

    return DescriptionHandler()


def _announcing(server: Server, description: "DescriptionHandler | None") -> contextlib.AbstractContextManager[object]:
    """Return a context manager that announces the folder on the local network.

    If *description* is None, announce nothing. If the folder can't be announced, report the reason.
    """
    if description is None:
        return contextlib.nullcontext()
    # Imported here, since it is rarely needed.
    from httpsock.discovery.announcer import Announcer

    # Datagrams have no path, so a trace of one path leaves them out.
    trace = server.tracing.trace if server.tracing and not server.tracing.trace.path else None
    try:
        return Announcer(
            server.directory,
            server.hosts,
            server.port,
            description,
            is_replaced=lambda: server.is_draining,
            trace=trace,
        )
    except OSError as error:
        reason = f"the folder can't be announced: {error.strerror or error}; it is served all the same."
        _print_unless_blocked(sys.stderr, f"httpsock: {reason}", _FIRST_LINES_SECONDS)
        return contextlib.nullcontext()
