"""The options of the command that serves: their names, what each takes, and which go together."""

import argparse
import socket
from collections.abc import Sequence

from . import __version__
from .accesslog import FORMATS
from .arguments import TRACE_FORMS, Parser, field, number, with_trace_form
from .server import check_field, check_host

_DEFAULT_GRACE = 5
_EPILOG = """examples:
  httpsock                         serve www/ if there is one, else the current folder
  httpsock ~/site --port 8080      serve a folder at http://127.0.0.1:8080/
  httpsock --lan                   let other devices on the network see it
  httpsock --cache 3600 --header 'Access-Control-Allow-Origin: *'

httpsock get URL... is the client; see httpsock get --help
httpsock find is the search for what --announce announces; see httpsock find --help
"""


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what *arguments* mean, as attributes. Leaves with exit code 2 if they mean nothing."""
    parser = _parser()
    options = parser.parse_args(with_trace_form(arguments))
    if options.announce and not (options.lan or options.bind):
        parser.error("--announce needs --lan or --bind: what is served on loopback alone is for nobody else")
    if options.announce and options.processes > 1:
        # What announces has a thread, and processes are made of one thread.
        parser.error("--announce goes with one process, not with --processes")
    if options.inspect and options.processes > 1:
        # A page is answered by one of them, and would show that one alone.
        parser.error("--inspect goes with one process, not with --processes")
    if options.inspect and options.bind and not options.bind.startswith("127.") and options.bind != "::1":
        parser.error("--inspect is for this machine alone: leave out --bind, bind a loopback address, or use --lan")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="httpsock",
        usage="httpsock [DIR] [options]",
        description="Serve the files of a folder over HTTP/1.1, to this machine alone unless told otherwise.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", help="the folder (default: www/ if it exists, else the current folder)"
    )
    where = parser.add_argument_group("where to listen")
    port_help = "the TCP port; 0 takes a free one (default: 8000, or the next free one up to 8009)"
    where.add_argument("--port", type=number(0, 65535, "a port"), metavar="N", help=port_help)
    reach = where.add_mutually_exclusive_group()
    reach.add_argument(
        "--bind", type=_host, metavar="ADDR", help="listen on this numeric address only (default: 127.0.0.1 and ::1)"
    )
    reach.add_argument("--lan", action="store_true", help="listen on all addresses, so that other devices can connect")
    announce_help = "announce it on the local network by SSDP; needs --lan or --bind"
    where.add_argument("--announce", action="store_true", help=announce_help)
    what = parser.add_argument_group("what to serve")
    what.add_argument("--hidden", action="store_true", help="serve and list names that start with a full stop, too")
    what.add_argument("--follow-links", action="store_true", help="follow symlinks that lead out of the folder, too")
    siblings_help = "send no compressed siblings (app.js.gz) in place of files"
    what.add_argument("--no-siblings", dest="siblings", action="store_false", help=siblings_help)
    cache_help = "let caches use a file for so long without asking (default: they ask each time)"
    what.add_argument("--cache", type=number(0, 999_999_999, "a number of seconds"), metavar="SECONDS", help=cache_help)
    header_help = "add this field to every response; may be repeated"
    what.add_argument(
        "--header", type=field(check_field), action="append", default=[], metavar="'NAME: VALUE'", help=header_help
    )
    log = parser.add_argument_group("what to say")
    log_help = "how the access log is written to standard error (default: text)"
    log.add_argument("--log", choices=FORMATS, default="text", help=log_help)
    log.add_argument("--quiet", action="store_true", help="no access log")
    trace_help = "instead, tell each call at each socket; =octets: with all octets; =json: one object an event"
    log.add_argument("--trace", choices=TRACE_FORMS, nargs="?", metavar="FORM", help=trace_help)
    only_help = "--trace, but only of requests whose path starts so (/img/), or one client, given as its address"
    log.add_argument("--trace-only", type=_path_or_host, metavar="WHAT", help=only_help)
    inspect_help = "serve a page to this machine alone, at /.httpsock/, that shows the connections as they live"
    log.add_argument("--inspect", action="store_true", help=inspect_help)
    _add_how_to_run(parser.add_argument_group("how to run"))
    return parser


def _add_how_to_run(how: argparse._ArgumentGroup) -> None:
    threads_help = "threads: one serves, the others are there for when a slow disk keeps it (default: 4)"
    how.add_argument("--threads", type=number(1, 128, "a number"), default=4, metavar="N", help=threads_help)
    processes_help = "serving processes, each with threads of its own (default: 1)"
    how.add_argument("--processes", type=number(1, 64, "a number"), default=1, metavar="N", help=processes_help)
    how.add_argument(
        "--grace",
        type=number(0, 86_400, "a number of seconds"),
        default=_DEFAULT_GRACE,
        metavar="SECONDS",
        help="how long running responses may take to finish when it is to stop (default: 5)",
    )
    how.add_argument("--user", metavar="NAME", help="give up root for this user once the port is bound")
    how.add_argument("--version", action="version", version=f"httpsock {__version__}")


def _host(text: str) -> str:
    """Return a numeric address."""
    try:
        check_host(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _path_or_host(text: str) -> str:
    """Return the beginning of a path, or a numeric address as the system writes it."""
    if text.startswith("/"):
        return text
    host, percent, zone = _host(text).partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, host)) + percent + zone
