"""The command ``check``: the corpus and the static semantics against a running server. Standard library only."""

import argparse
import sys
import time
import urllib.parse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from conformance.live import outputs
from conformance.live.corpus_run import FIRST, check_corpus
from conformance.live.results import NO_TIME, Result, breaks_a_must, matches
from conformance.live.start import StartError, started
from conformance.semantics.run import check_semantics

# From the start of the check to the end of each part.
_CORPUS_SECONDS = 16.0
_SEMANTICS_SECONDS = 27.0


def check(address: tuple[str, int], only: str | None = None) -> list[Result]:
    """Return all results for the server at *address*, or those that match *only*."""
    started = time.monotonic()
    results = list(check_corpus(address, started + _CORPUS_SECONDS))
    if results[0].name == FIRST:
        return results
    results += check_semantics(address, started + _SEMANTICS_SECONDS)
    return [result for result in results if matches(result, only)]


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
    parser.add_argument("--only", metavar="TEXT", help="run what has this in its name, requirement, section or chapter")
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
    with ExitStack() as stack:
        try:
            address = _address(options.url) if options.url else stack.enter_context(started(options.start))
        except (StartError, ValueError) as error:
            print(f"conformance: {error}", file=sys.stderr)
            return 2
        results = check(address, options.only)
    if not results:
        print("conformance: no case or check matches", file=sys.stderr)
        return 2
    print(outputs.as_table(results), end="")
    try:
        _write(results, options)
    except OSError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    untried = sum(result.why == NO_TIME for result in results)
    if untried:
        print(f"conformance: the server is too slow: no time for {untried} of these", file=sys.stderr)
    return 1 if untried or breaks_a_must(results) else 0


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
    """Return the host and port in *url*. Raises ValueError for an invalid URL or another protocol."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url} is no http URL")
    if parts.path not in {"", "/"} or parts.query:
        raise ValueError(f"{url} has a path: give the root of the server, http://host:port/")
    return parts.hostname, parts.port or 80
