"""The command that serves: what its options set up, signals, exit code.

line 1 of standard output    the URL, alone, for scripts
standard error               all else: what is served, the log, what went wrong
exit code                    0 after a clean stop, 1 if it cannot serve, 2 for a wrong argument
"""

import argparse
import contextlib
import errno
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from .accesslog import FORMATS, Exchange, Format
from .addresses import local_addresses
from .handover import Handover, Inheritance, inherit
from .lines import LineWriter
from .options import options_of
from .process import become_user, raise_descriptor_limit
from .server import ANY, DEFAULT_PORT, LOOPBACK, Server, import_the_rest, say, url_of
from .supervisor import Supervisor
from .worker import Log

if TYPE_CHECKING:
    from .announcer import Announcer
    from .traced import Tracing

CANNOT_SERVE = 1
WRONG_ARGUMENT = 2
# A default port that is taken gives way to the next ones; a port that was asked for does not.
_DEFAULT_PORTS = range(DEFAULT_PORT, DEFAULT_PORT + 10)
# How long the last lines of the log may take to be written when all else has ended.
_LAST_LINES_SECONDS = 1.0


def main(arguments: Sequence[str]) -> int:
    """Serve as *arguments* say until a signal ends it; return the exit code."""
    options = options_of(arguments)
    if options.processes > 1 and not hasattr(os, "fork"):
        say("httpsock: this system can't share listening sockets between processes; leave out --processes.")
        return WRONG_ARGUMENT
    directory = options.directory
    if directory is None:
        directory = "www" if os.path.isdir("www") else "."
    raise_descriptor_limit()
    lines = LineWriter()
    try:
        inheritance = inherit()
    except (OSError, ValueError) as error:
        say(f"httpsock: the listening sockets that it was started with can't be used: {error}.")
        return CANNOT_SERVE
    try:
        servers = _open_servers(options, directory, lines, inheritance)
    except OSError as error:
        say(f"httpsock: {_cannot_serve(error, options, directory)}")
        return CANNOT_SERVE
    # Who takes over is no longer root already.
    if not inheritance.predecessor and (fault := _give_up_root(options, directory)):
        for server in servers:
            server.stop(0)
        say(f"httpsock: {fault}")
        return CANNOT_SERVE
    if len(servers) > 1:
        return _serve_in_processes(servers, lines, options, inheritance)
    return _serve_here(servers[0], lines, options, inheritance)


def _serve(server: Server, lines: LineWriter) -> int:
    """Serve until stopped; return the exit code."""
    server.serve()
    lines.close(_LAST_LINES_SECONDS)
    # If it has ended by itself, it has said why.
    return 0 if server.is_stopping else CANNOT_SERVE


def _serve_here(server: Server, lines: LineWriter, options: argparse.Namespace, inheritance: Inheritance) -> int:
    """Serve in this process until a signal ends it, or another process has taken over and ended; return the code."""
    # Windows has no such signals.
    handover = _handover([server], server.ask_to_retire, options) if hasattr(signal, "SIGHUP") else None
    _stop_on_signals(server, options.grace, handover.stop if handover else int)
    with _announcing(server, options) as announcer:
        # Who reads the URL finds all that was asked for at work.
        _announce(server, options, inheritance)
        inheritance.watch(os.getpid())
        inheritance.is_served()
        code = _serve(server, lines)
        if announcer:
            announcer.is_replaced = server.is_retiring
    return handover.wait(code) if handover else code


def _serve_in_processes(
    servers: Sequence[Server], lines: LineWriter, options: argparse.Namespace, inheritance: Inheritance
) -> int:
    """Serve in as many processes as there are servers until a signal ends them, or others have taken over and ended."""

    def serve(number: int) -> int:
        handover.close()
        close_all(server for server in servers if server is not servers[number])
        if number == 0:
            inheritance.watch(os.getppid())
        return _serve(servers[number], lines)

    def close_all(servers: Iterable[Server]) -> None:
        for server in servers:
            server.stop(0)

    def close(signal_number: int) -> None:
        handover.stop(signal_number)
        close_all(servers)

    def retire() -> None:
        supervisor.retire()

    handover = _handover(servers, retire, options)
    supervisor = Supervisor(
        len(servers),
        serve=serve,
        stop=lambda number: servers[number].ask_to_stop(options.grace),
        retire=lambda number: servers[number].ask_to_retire(),
        close=close,
        ended=handover.ended,
        report=_say_if_it_is_taken,
        grace_seconds=options.grace,
    )
    _announce(servers[0], options, inheritance)
    inheritance.is_served()
    return handover.wait(supervisor.run())


def _handover(servers: Sequence[Server], retire: Callable[[], object], options: argparse.Namespace) -> Handover:
    """Return what starts, at SIGHUP, a process that serves in the place of *servers*, which are to *retire* then."""
    return Handover(
        [server.descriptors() for server in servers],
        retire=retire,
        report=_say_if_it_is_taken,
        grace_seconds=options.grace,
        waits_elsewhere=len(servers) > 1,
    )


def _say_if_it_is_taken(text: str) -> None:
    """Print on standard error, unless that would have to wait for whoever reads it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if select.select([], [sys.stderr], [], 0)[1]:
            say(text)


def _open_servers(
    options: argparse.Namespace, directory: str, lines: LineWriter, inheritance: Inheritance
) -> list[Server]:
    """Return a server for each process, bound to its port, or serving at the sockets that were inherited."""
    if inheritance.groups:
        groups = inheritance.for_processes(options.processes)
        return [_server(options, directory, lines, 0, group) for group in groups]
    first = _open_server(options, directory, lines)
    return [first, *(_server(options, directory, lines, 0, first.share()) for _ in range(1, options.processes))]


def _open_server(options: argparse.Namespace, directory: str, lines: LineWriter) -> Server:
    """Return the server, bound to its port: the one asked for, or the first free one of the default ports."""
    ports = _DEFAULT_PORTS if options.port is None else [options.port]
    for port in ports:
        try:
            return _server(options, directory, lines, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                raise
    raise AssertionError("there is always a port to try")


def _server(
    options: argparse.Namespace,
    directory: str,
    lines: LineWriter,
    port: int,
    listeners: Sequence[socket.socket] | None = None,
) -> Server:
    """Return a server, bound to *port* or serving at *listeners*."""
    return Server(
        directory,
        hosts=ANY if options.lan else [options.bind] if options.bind is not None else LOOPBACK,
        port=port,
        threads=options.threads,
        show_hidden=options.hidden,
        follow_links=options.follow_links,
        cache_control=f"max-age={options.cache}" if options.cache else "no-cache",
        fields=options.header,
        log=None if options.quiet or options.trace or options.trace_only else _log(FORMATS[options.log], lines),
        report=lines.say,
        listeners=listeners,
        tracing=_tracing(options) if options.trace or options.trace_only or options.inspect else None,
    )


def _tracing(options: argparse.Namespace) -> "Tracing":
    """Return what a server is made of that is traced on standard error, inspected, or both."""
    trace = None
    # Wanted by few.
    if options.trace or options.trace_only:
        from .trace import trace_on_standard_error

        form, only = options.trace or "text", options.trace_only or ""
        trace = trace_on_standard_error(form, only=only, shows_process=options.processes > 1)
    if options.inspect or trace is None:
        from .inspected import Inspecting
        from .inspector import Inspector

        return Inspecting(Inspector(trace))
    from .traced import Tracing

    return Tracing(trace)


def _log(format_line: Format, lines: LineWriter) -> Log:
    """Return a log that has a batch of lines written at once."""

    def log(exchanges: Sequence[Exchange]) -> None:
        lines.write("".join(map(format_line, exchanges)))

    return log


def _give_up_root(options: argparse.Namespace, directory: str) -> str | None:
    """Become the user that was asked for, if one was; return why that can't be, or None."""
    if options.user is None:
        return None
    import_the_rest()
    try:
        become_user(options.user)
        os.scandir(directory).close()
    except ValueError as error:
        return f"{error}; --user takes a name of this system."
    except PermissionError as error:
        if error.filename is None:
            return "--user gives up root, and this process is not root."
        return f"the folder {directory!r} may not be read by {options.user}."
    return None


def _cannot_serve(error: OSError, options: argparse.Namespace, directory: str) -> str:
    """Return one sentence on why the server can't start."""
    match error.errno:
        case errno.EADDRINUSE if options.port is None:
            return f"all ports from {_DEFAULT_PORTS[0]} to {_DEFAULT_PORTS[-1]} are in use; choose another with --port."
        case errno.EADDRINUSE:
            return (
                f"port {options.port} is in use; choose another with --port, or leave it to the system with --port 0."
            )
        case errno.EACCES if error.filename is None:
            return f"port {options.port} may not be bound by this user; ports from 1024 on may."
        case errno.EADDRNOTAVAIL:
            return f"{options.bind or LOOPBACK[0]} is not an address of this machine."
        case errno.ENOENT:
            return f"there is no folder {directory!r}."
        case errno.ENOTDIR:
            return f"{directory!r} is not a folder."
        case errno.EACCES:
            return f"the folder {directory!r} may not be read by this user."
    return f"{directory!r} can't be served at {options.bind or LOOPBACK[0]}: {error.strerror or error}."


def _announce(server: Server, options: argparse.Namespace, inheritance: Inheritance) -> None:
    """Say where the folder is, unless that was said before: the URL alone on standard output, else standard error."""
    if inheritance.predecessor:
        return
    said = []
    if options.port is None and server.port != DEFAULT_PORT and not inheritance.groups:
        said.append(f"Port {DEFAULT_PORT} is in use, so this is port {server.port}.")
    if options.lan:
        said.append(f"Serving {server.directory} to the whole network (Ctrl-C to stop). On other devices type:")
        said += [f"  {url_of(address, server.port)}" for address in local_addresses()]
    else:
        said.append(f"Serving {server.directory} at {' and '.join(server.urls)} (Ctrl-C to stop)")
    if options.inspect:
        said.append(f"See the sockets at {server.url}.httpsock/")
    # Whoever started it may have closed the pipe; it serves all the same.
    with contextlib.suppress(OSError, ValueError):
        print(server.url, flush=True)
    say("\n".join(said))


def _announcing(server: Server, options: argparse.Namespace) -> contextlib.AbstractContextManager["Announcer | None"]:
    """Return what announces the folder on the local network while it is entered, if that is asked for and possible."""
    if not options.announce:
        return contextlib.nullcontext()
    # Loaded only now: most servers announce nothing.
    from .announcer import Announcer
    from .multicast import announcing_hosts

    # Of a trace of some paths only, no datagram is a part.
    trace = server.tracing.trace if server.tracing and not server.tracing.trace.path else None
    hosts = [options.bind]
    if options.lan or options.bind in ANY:
        hosts = [host for host in announcing_hosts() if options.lan or (":" in host) == (":" in options.bind)]
    try:
        return Announcer(server.directory, hosts, server.port, trace=trace)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)) if hosts else "there is no network"
        say(f"httpsock: the folder can't be announced: {reason}; it is served all the same.")
        return contextlib.nullcontext()


def _stop_on_signals(server: Server, grace_seconds: int, pass_on: Callable[[int], object]) -> None:
    """Let SIGINT and SIGTERM drain the server, and *pass_on* the number; a second one leaves at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        pass_on(number)
        if server.is_stopping and not server.is_retiring:
            os._exit(128 + number)
        server.ask_to_stop(grace_seconds)

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
