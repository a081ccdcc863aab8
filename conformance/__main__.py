"""The command line: ``python3 -m conformance check | coverage | fuzz | report``."""

import argparse
import importlib
import sys
import urllib.parse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from conformance.live import check as live
from conformance.live import outputs
from conformance.live.start import StartError, started

_USAGE = """usage: python3 -m conformance COMMAND [--help | ...]

  check     play the corpus and the static semantics against a running server
  coverage  which requirement is tried by what
  fuzz      look for inputs that the judges see differently, and nobody has explained
  report    write down where the judges stand
"""

# These need more than the standard library, and are loaded only when they run.
_MODULES = {
    "coverage": "conformance.report.coverage",
    "fuzz": "conformance.fuzz.search",
    "report": "conformance.report.markdown",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command, and return what the process exits with."""
    command, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if command == "check":
        return check(rest)
    if command in _MODULES:
        return int(importlib.import_module(_MODULES[command]).main(rest))
    is_help = command in ("-h", "--help")
    print(_USAGE, end="", file=sys.stdout if is_help else sys.stderr)
    return 0 if is_help else 2


def _parser() -> argparse.ArgumentParser:
    """Return what reads the options of check."""
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance check",
        description="Play the corpus and the static semantics against a server. Exits with 0 if no MUST is broken, "
        "with 1 if one is or there was no time for all, with 2 if nothing could be tried.",
    )
    parser.add_argument("url", nargs="?", help="where the server is: http://127.0.0.1:8000/")
    parser.add_argument("--start", metavar="COMMAND", help="start it, with {port} and {root} filled in, and stop it")
    parser.add_argument("--only", metavar="TEXT", help="part of a name, a requirement, a section or a chapter")
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--junit", metavar="FILE", type=Path)
    parser.add_argument("--html", metavar="FILE", type=Path)
    return parser


def check(arguments: Sequence[str]) -> int:
    """Check a server, write what was asked for, and return 0 only if no MUST is broken."""
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
        results = live.check(address, options.only)
    if not results:
        print("conformance: nothing matches", file=sys.stderr)
        return 2
    print(outputs.as_table(results), end="")
    try:
        _write(results, options)
    except OSError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    untried = sum(result.why == live.NO_TIME for result in results)
    if untried:
        print(f"conformance: the server is so slow that there was no time for {untried} of these", file=sys.stderr)
    return 1 if untried or live.breaks_a_must(results) else 0


def _write(results: list[live.Result], options: argparse.Namespace) -> None:
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
    """Return the host and port in *url*. Raises ValueError if it has none, or is for another protocol."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url} is no http URL")
    if parts.path not in {"", "/"} or parts.query:
        raise ValueError(f"{url} names more than a server, and the cases ask for paths of their own")
    return parts.hostname, parts.port or 80


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
