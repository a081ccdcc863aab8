"""The command ``check``: test a running server with the corpus and the checks of responses.

Standard library only.
"""

import argparse
import re
import socket
import sys
import time
import urllib.parse
from collections.abc import Sequence
from contextlib import ExitStack

from conformance.live import outputs
from conformance.live.corpus_run import NothingTriedError, check_corpus
from conformance.live.progress import Progress
from conformance.live.results import GONE, NO_TIME, Outcome, Result, breaks_a_must
from conformance.live.start import Recipe, StartError, started
from conformance.live.target import Target
from conformance.output_path import output_file
from conformance.semantics.run import check_semantics

# The seconds from the start of the check to the deadline of each part.
_CORPUS_SECONDS = 75.0
_SEMANTICS_SECONDS = 150.0


def check(
    target: Target, only: str | None = None, *, time_factor: float = 1.0, progress: Progress | None = None
) -> list[Result]:
    """Run the cases and checks that *only* selects, and return the results.

    *time_factor* multiplies the time for all cases together, and for all checks together. If *target* does not answer a
    plain request, raise NothingTriedError.
    """
    started = time.monotonic()
    target.deadline = started + time_factor * _CORPUS_SECONDS
    results = check_corpus(target, only, progress)
    lost = target.deadline - started - time_factor * _CORPUS_SECONDS
    target.deadline = started + time_factor * _SEMANTICS_SECONDS + lost
    return results + check_semantics(target, only, progress)


def _parser() -> argparse.ArgumentParser:
    """Return the parser for the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance check",
        description="Check how well a server keeps RFC 9110 and RFC 9112. Exit codes: 0 the server breaks no MUST, "
        "1 it breaks a MUST, stops or is too slow, 2 no case could be tried.",
    )
    parser.add_argument("url", nargs="?", help="the URL of a running server: http://127.0.0.1:8000/")
    parser.add_argument(
        "--start",
        metavar="COMMAND",
        help="start the server with this command, in which {port} and {root} (a folder of known files) are filled in, "
        "start it again if it stops, and stop it after the check",
    )
    parser.add_argument(
        "--only", metavar="TEXT", help="run cases and checks with TEXT in their name, requirement, section or chapter"
    )
    parser.add_argument("--all", action="store_true", help="print the bytes of each failure")
    parser.add_argument("--json", metavar="FILE", type=output_file, help="write the results as JSON")
    parser.add_argument("--junit", metavar="FILE", type=output_file, help="write the results as JUnit XML")
    parser.add_argument("--html", metavar="FILE", type=output_file, help="write the results as an HTML page")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Check a server and write the results. If all was tried and no MUST is broken, return 0."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.url is None) == (options.start is None):
        parser.error("give a URL, or --start with a command")
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(sys.stderr))
        try:
            with progress.running("starting the server"):
                target = _target(options, stack)
            results = check(target, options.only, progress=progress)
        except (StartError, ValueError, NothingTriedError) as error:
            print(f"conformance: {error}", file=sys.stderr)
            return 2
    if all(result.outcome is Outcome.SKIPPED for result in results):
        why = f"no case could be tried: {results[0].why}" if results else f"no case or check matches {options.only!r}"
        print(f"conformance: {why}", file=sys.stderr)
        return 2
    print(outputs.as_table(results, shows_all=options.all), end="")
    try:
        _write(results, options)
    except OSError as error:
        print(f"conformance: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 1 if _is_incomplete(results, is_ours=options.start is not None) or breaks_a_must(results) else 0


def _target(options: argparse.Namespace, stack: ExitStack) -> Target:
    """Return the server at the URL in *options*, or start a server. The end of *stack* stops this server.

    If *options* are wrong, raise ValueError. If the server does not start, raise StartError.
    """
    if options.url is not None:
        return Target(_address(options.url))
    if "{port}" not in options.start:
        raise ValueError("the start command needs {port}, where check puts the port on which the server must listen")
    server = stack.enter_context(started(Recipe(options.start)))
    return Target(server.address, server)


def _is_incomplete(results: list[Result], *, is_ours: bool) -> bool:
    """Print how many cases and checks have no verdict.

    Return True if a case or check has no verdict or stopped the server. If *is_ours* is true, check has started the
    server.
    """
    slow, gone = (sum(result.why == why for result in results) for why in (NO_TIME, GONE))
    if slow:
        print(f"conformance: cases and checks without a verdict, since the server is too slow: {slow}", file=sys.stderr)
    if gone:
        how = "" if is_ours else "; with --start, check can start it again"
        print(f"conformance: cases and checks not tried, since the server stopped: {gone}{how}", file=sys.stderr)
    return bool(slow or gone) or any(result.stops_server for result in results)


def _write(results: list[Result], options: argparse.Namespace) -> None:
    """Write *results* to the files in *options*. If a file can't be written, raise OSError with its name."""
    title = f"HTTP/1.1 conformance of {options.url or options.start}"
    for path, text in (
        (options.json, outputs.as_json),
        (options.junit, outputs.as_junit),
        (options.html, lambda found: outputs.as_html(found, title)),
    ):
        if path is None:
            continue
        try:
            path.write_text(text(results), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            # An error of write(), unlike one of open(), has no name.
            raise OSError(error.errno, error.strerror, str(path)) from error


def _address(url: str) -> tuple[str, int]:
    """Parse *url* and return its host and port.

    If *url* is not an http URL or its host has no address, raise ValueError.
    """
    # urlsplit() drops some of these characters without an error.
    if re.search(r"[\x00-\x20\x7f]", url):
        raise ValueError(f"{url!r} has a space or a control character, which no URL has")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, 80 if parts.port is None else parts.port
    except ValueError as error:
        raise ValueError(f"{url} is not a valid URL: {error}") from error
    if parts.scheme != "http" or not host:
        raise ValueError(f"{url} is not an http URL, such as http://127.0.0.1:8000/")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{url} has more than a host and a port: give the root of the server, http://host:port/")
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"the host {host} has no known address: {error}") from error
    return host, port
