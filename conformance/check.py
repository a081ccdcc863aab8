"""The command ``check``: the corpus and the static semantics against a running server. Standard library only."""

import argparse
import sys
import time
import urllib.parse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from conformance.live import outputs
from conformance.live.corpus_run import NothingTriedError, check_corpus
from conformance.live.results import GONE, NO_TIME, Outcome, Result, breaks_a_must
from conformance.live.start import Recipe, StartError, started
from conformance.live.target import Target
from conformance.live.trials import is_end
from conformance.semantics.run import check_semantics

# From the start of the check to the end of each part.
_CORPUS_SECONDS = 16.0
_SEMANTICS_SECONDS = 27.0
# More of them are counted.
_MAX_ENDS = 5


def check(target: Target, only: str | None = None, *, patience: float = 1.0) -> list[Result]:
    """Return all results for *target*, or those that match *only*; a slow server may have *patience* times as long.

    Raise NothingTriedError.
    """
    started = time.monotonic()
    target.deadline = started + patience * _CORPUS_SECONDS
    results = check_corpus(target, only)
    lost = target.deadline - started - patience * _CORPUS_SECONDS
    target.deadline = started + patience * _SEMANTICS_SECONDS + lost
    return results + check_semantics(target, only)


def _parser() -> argparse.ArgumentParser:
    """Return the parser of check's options."""
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance check",
        description="Check a server with the corpus and the static semantics. Exit codes: 0 no MUST is broken, "
        "1 a MUST is broken or time ran out, 2 nothing could be tried.",
    )
    parser.add_argument("url", nargs="?", help="the server, as http://127.0.0.1:8000/")
    parser.add_argument(
        "--start", metavar="COMMAND", help="start a server with {port} and {root} filled in, and stop it"
    )
    parser.add_argument("--restart", action="store_true", help="start the server again whenever it ends, and go on")
    parser.add_argument("--only", metavar="TEXT", help="only those with TEXT in name, requirement, section or chapter")
    parser.add_argument("--all", action="store_true", help="print the bytes of each failure")
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--junit", metavar="FILE", type=Path)
    parser.add_argument("--html", metavar="FILE", type=Path)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Check a server, write the results, and return 0 only if no MUST is broken."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.url is None) == (options.start is None):
        parser.error("give a URL, or --start with a command")
    if options.restart and options.start is None:
        parser.error("--restart needs --start: the check starts no other server")
    with ExitStack() as stack:
        try:
            results = check(_target(options, stack), options.only)
        except (StartError, ValueError, NothingTriedError) as error:
            print(f"conformance: {error}", file=sys.stderr)
            return 2
    if all(result.outcome is Outcome.SKIPPED for result in results):
        why = f"nothing could be tried: {results[0].why}" if results else "no case or check matches"
        print(f"conformance: {why}", file=sys.stderr)
        return 2
    print(outputs.as_table(results, shows_all=options.all), end="")
    try:
        _write(results, options)
    except OSError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    return 1 if _is_incomplete(results) or breaks_a_must(results) else 0


def _target(options: argparse.Namespace, stack: ExitStack) -> Target:
    """Return the server that *options* name, or start one, which *stack* stops. Raise StartError or ValueError."""
    if options.url:
        return Target(_address(options.url))
    server = stack.enter_context(started(Recipe(options.start)))
    return Target(server.address, server, restarts=options.restart)


def _is_incomplete(results: list[Result]) -> bool:
    """Print why cases or checks were left out, and return whether some were, or the server has ended."""
    ends = [result for result in results if is_end(result)]
    for result in ends[:_MAX_ENDS]:
        print(f"conformance: {result.name}: {result.why.partition('; it printed')[0]}", file=sys.stderr)
    if len(ends) > _MAX_ENDS:
        print(f"conformance: {len(ends) - _MAX_ENDS} more cases and checks end the server", file=sys.stderr)
    slow, gone = (sum(result.why == why for result in results) for why in (NO_TIME, GONE))
    if slow:
        print(f"conformance: the server is too slow: {slow} of these were not tried", file=sys.stderr)
    if gone:
        how = "with --start and --restart it starts again"
        print(f"conformance: {gone} were not tried, since the server ended; {how}", file=sys.stderr)
    return bool(slow or gone or ends)


def _write(results: list[Result], options: argparse.Namespace) -> None:
    """Write *results* into the files that *options* name."""
    title = f"HTTP/1.1 conformance of {options.url or options.start}"
    for path, text in (
        (options.json, outputs.as_json),
        (options.junit, outputs.as_junit),
        (options.html, lambda found: outputs.as_html(found, title)),
    ):
        if path is not None:
            path.write_text(text(results), encoding="utf-8")


def _address(url: str) -> tuple[str, int]:
    """Return the host and port in *url*. Raise ValueError for an invalid URL or another protocol."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url} is not an http URL")
    if parts.path not in {"", "/"} or parts.query:
        raise ValueError(f"{url} has a path: give the root of the server, http://host:port/")
    return parts.hostname, parts.port or 80
