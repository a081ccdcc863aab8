"""The server's options: parses arguments, and rejects arguments that are wrong or exclude each other."""

import argparse
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from httpsock import __version__
from httpsock.files.paths import normalise
from httpsock.http.handler import Middleware
from httpsock.server.access_log import FORMATS
from httpsock.server.addresses import is_loopback
from httpsock.server.listeners import check_numeric_address, duplicate
from httpsock.server.server import check_response_field
from httpsock.server.transport import PlainTransport

from .arguments import TRACE_FORMS, ArgumentParser, command_name, expand_trace_option, field, number
from .password import VARIABLE, print_hash, read_hash

if TYPE_CHECKING:
    from httpsock.testing.faults import Rule

_DEFAULT_GRACE = 5
_port = number(0, 65535, "a port")
_header = field(check_response_field)
# Options of other servers, and their names here.
_FOREIGN_OPTIONS = {
    "--host": "--bind", "--address": "--bind", "-a": "--bind", "-i": "--bind", "--listen": "--bind", "-l": "--port",
    "--cors": "--header 'Access-Control-Allow-Origin: *'",
    "-H": "--header", "--root": "--directory", "--dir": "--directory", "--public": "--lan", "-c": "--cache",
    "-v": "--trace", "--verbose": "--trace", "-s": "--quiet", "-q": "--quiet", "--silent": "--quiet",
    "-V": "--version", "--dotfiles": "--hidden", "--all": "--hidden", "-L": "--follow-links", "-w": "--threads",
    "--workers": "--processes", "--max-age": "--cache", "--interface": "--bind", "--interfaces": "--bind",
    "--single": "--spa",
}  # fmt: skip
_EPILOG = """examples:
  httpsock                   serve www/, or else the current folder
  httpsock ~/site 8080       serve a folder at http://127.0.0.1:8080/
  httpsock --lan             let other devices on the network see it
  httpsock --cache 3600 --header 'Access-Control-Allow-Origin: *'

httpsock get URL...   download over HTTP (see get --help)
httpsock find         search the network for announced servers
"""


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse *arguments*, and return a namespace with the values. Exit with code 2 if an argument is wrong."""
    parser = _parser()
    options = parser.parse_args(expand_trace_option(arguments))
    if options.version:
        parser.print_output(f"httpsock {__version__}\n")
        parser.exit()
    if options.auth_hash:
        print_hash(parser)
    _assign_positional(parser, options)
    options.bind = list(dict.fromkeys(options.bind)) if options.bind else None
    if options.announce and not (options.lan or options.bind):
        parser.error("a loopback-only server cannot be announced; add --lan or --bind")
    if options.inspect and options.processes > 1:
        # The process that happens to answer would show only its own connections.
        parser.error("--inspect cannot be combined with --processes")
    if options.inspect and not all(map(is_loopback, options.bind or ())):
        parser.error("--inspect is for this machine alone; leave out --bind, bind a loopback address, or use --lan")
    options.transport, options.accept_queue = PlainTransport, duplicate
    options.middleware = _middleware(parser, options)
    return options


def _middleware(parser: ArgumentParser, options: argparse.Namespace) -> list[Middleware]:
    """Return the middleware that *options* ask for, with the outermost first. Import no other middleware."""
    chosen: list[Middleware] = [_break_responses(parser, options)] if options.fault else []
    if options.auth is not None:
        try:
            from httpsock.handlers.authentication import basic_authentication

            chosen.append(basic_authentication(options.auth, read_hash(options.auth_file)))
        except (ImportError, ValueError) as error:  # some builds of Python lack scrypt
            parser.error(str(error))
    elif options.auth_file is not None:
        parser.error("--auth-file is for --auth USER")
    if options.spa:
        from httpsock.handlers.single_page import single_page

        chosen.append(single_page)
    return chosen


def _break_responses(parser: ArgumentParser, options: argparse.Namespace) -> Middleware:
    """Return the middleware of --fault, which breaks responses.

    Other faults break connections instead. For these faults, this function stores a transport and an accept queue in
    *options*.
    """
    # Imported here, since it is rarely needed.
    from httpsock.testing.broken import Faults
    from httpsock.testing.transport import RecordedTransport

    if options.processes > 1 and any(rule.name == "refuse" for rule in options.fault):
        parser.error("--fault refuse cannot be combined with --processes: another process would accept")
    # The inspector's page is not to be tested.
    faults = Faults(options.fault_seed, exempt="/.httpsock/" if options.inspect else None)
    options.transport = lambda connected: faults.begin(RecordedTransport(PlainTransport(connected), bool))
    options.accept_queue = faults.accept_queue
    try:
        for rule in options.fault:
            faults.add(rule)
    except ValueError as error:
        parser.error(str(error))
    return faults.middleware


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "httpsock",
        "[DIR] [PORT] [options]",
        _FOREIGN_OPTIONS,
        description="Serve a folder over HTTP/1.1, to this machine alone by default.",
        epilog=_EPILOG.replace("  httpsock", f"  {command_name()}").replace("\nhttpsock", f"\n{command_name()}"),
    )
    directory_help = "the folder (default: www/ if it exists, else the current folder)"
    parser.add_argument("places", metavar="DIR", nargs="*", help=f"{directory_help}; a bare number is the port")
    parser.add_argument("-d", "--directory", metavar="DIR", help="same as DIR")
    address = parser.add_argument_group("addresses")
    port_help = "the TCP port; 0 takes a free one (default: 8000, or the next free one up to 8009)"
    address.add_argument("-p", "--port", type=_port, metavar="N", help=port_help)
    hosts = address.add_mutually_exclusive_group()
    bind_help = "listen on this numeric address only; may be repeated (default: 127.0.0.1 and ::1)"
    hosts.add_argument("-b", "--bind", type=_host, action="append", metavar="ADDR", help=bind_help)
    hosts.add_argument("--lan", action="store_true", help="listen on all addresses, so that other devices can connect")
    announce_help = "announce the folder on the local network by SSDP; needs --lan or --bind"
    address.add_argument("--announce", action="store_true", help=announce_help)
    _add_file_options(parser.add_argument_group("files"))
    _add_authentication_options(parser.add_argument_group("access"))
    log = parser.add_argument_group("output")
    log_help = "format of the access log on standard error (default: text)"
    log.add_argument("--log", choices=FORMATS, default="text", help=log_help)
    log.add_argument("--quiet", action="store_true", help="no access log")
    trace_help = (
        "print every socket call instead of the access log; =hex adds a dump, =json prints one object per event"
    )
    log.add_argument("--trace", choices=TRACE_FORMS, nargs="?", metavar="FORM", help=trace_help)
    only_help = "trace only requests below a path (/img/), or one client (its IP address)"
    log.add_argument("--trace-only", type=_path_or_host, metavar="WHAT", help=only_help)
    inspect_help = "live view of all connections at /.httpsock/, for this machine only"
    log.add_argument("--inspect", action="store_true", help=inspect_help)
    _add_process_options(parser.add_argument_group("processes"))
    _add_faults(parser.add_argument_group("to test clients"))
    return parser


def _add_file_options(group: argparse._ArgumentGroup) -> None:
    """Add the options about files and their fields."""
    group.add_argument("--hidden", action="store_true", help="serve and list names that start with a full stop, too")
    group.add_argument("--follow-links", action="store_true", help="follow symlinks that lead out of the folder, too")
    siblings_help = "send no compressed siblings (app.js.gz) in place of files"
    group.add_argument("--no-siblings", dest="siblings", action="store_false", help=siblings_help)
    cache_help = "let caches reuse files for SECONDS (default: revalidate every time)"
    seconds = number(0, 999_999_999, "a number of seconds")
    group.add_argument("--cache", type=seconds, metavar="SECONDS", help=cache_help)
    spa_help = "answer with index.html where a browser asks for a page without a file"
    group.add_argument("--spa", action="store_true", help=spa_help)
    header_help = "add this field to every response; may be repeated"
    group.add_argument("--header", type=_header, action="append", default=[], metavar="'NAME: VALUE'", help=header_help)


def _add_authentication_options(group: argparse._ArgumentGroup) -> None:
    """Add the options about the user and the password."""
    group.add_argument("--auth", metavar="USER", help="admit this user alone, by Basic authentication")
    file_help = f"the file with the hash of the password (default: it is in the variable {VARIABLE})"
    group.add_argument("--auth-file", metavar="FILE", help=file_help)
    hash_help = "read a password, print its hash for FILE, and exit"
    group.add_argument("--auth-hash", action="store_true", help=hash_help)


def _add_process_options(group: argparse._ArgumentGroup) -> None:
    """Add the options about processes, threads and shutdown."""
    threads_help = "threads (default: 4): one serves, the others take over when a slow disk blocks it"
    group.add_argument("--threads", type=number(1, 128, "a number"), default=4, metavar="N", help=threads_help)
    processes_help = "serving processes, each with threads of its own (default: 1)"
    group.add_argument("--processes", type=number(1, 64, "a number"), default=1, metavar="N", help=processes_help)
    group.add_argument(
        "--grace",
        type=number(0, 86_400, "a number of seconds"),
        default=_DEFAULT_GRACE,
        metavar="SECONDS",
        help="on shutdown, time for running responses to finish (default: 5)",
    )
    group.add_argument("--user", metavar="NAME", help="drop root: become this user once the port is bound")
    group.add_argument("--version", action="store_true", help="print the version, and exit")


def _add_faults(faults: argparse._ArgumentGroup) -> None:
    """Add the options that break responses."""
    fault_help = (
        "break responses or connections: [PATH:]FAULT[=VALUE][@PROBABILITY][*TIMES]; "
        "may be repeated, the first that applies counts"
    )
    faults.add_argument("--fault", type=_fault, action="append", default=[], metavar="FAULT", help=fault_help)
    seed_help = "make the same choices as another run with this number"
    faults.add_argument("--fault-seed", type=number(0, 2**31, "a number"), metavar="N", help=seed_help)


def _fault(text: str) -> "Rule":
    """Return the rule of --fault that *text* describes. Raise ArgumentTypeError if *text* is wrong."""
    # Imported here, since it is rarely needed.
    from httpsock.testing.faults import parse_rule

    try:
        return parse_rule(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _assign_positional(parser: ArgumentParser, options: argparse.Namespace) -> None:
    """Store the positional arguments as the folder and the port. The user may give these two in either order."""
    for place in options.places:
        # A folder whose name is a number is served.
        if place.isascii() and place.isdigit() and options.port is None and not os.path.isdir(place):
            try:
                options.port = _port(place)
            except argparse.ArgumentTypeError as error:
                parser.error(str(error))
        elif options.directory is None:
            options.directory = place
        else:
            parser.error(f"unrecognized arguments: {place}")


def _host(text: str) -> str:
    """Return *text*. Raise ArgumentTypeError if *text* is not a numeric address."""
    try:
        check_numeric_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _path_or_host(text: str) -> str:
    """Return the path or the numeric address *text* in canonical form."""
    if text.startswith("/"):
        return os.fsdecode(normalise(os.fsencode(text)))
    try:
        check_numeric_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, and a path starts with /") from None
    host, percent, zone = text.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, host)) + percent + zone
