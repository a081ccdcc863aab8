"""The command line: ``python3 -m conformance COMMAND``."""

import importlib
import sys
from collections.abc import Sequence

_USAGE = """usage: python3 -m conformance COMMAND [--help | ...]

  check     send the corpus and the static-semantics checks to a running server
  compare   check servers of Debian, PyPI and npm, and write one page
  coverage  print the cases and checks that try each requirement
  export    write the corpus as JSON, for other languages
  fuzz      search for input that the two parsers read differently without an explanation (needs h11)
  parsers   run the corpus through parsers of PyPI and Go, and write one page
  report    write the standing of both parsers as HTML and Markdown (needs h11)
  suite     read the request files of gunicorn's tests, and argue each difference (needs h11)
"""

# Loaded only when they run: check needs the standard library alone, fuzz, report and suite need h11.
_MODULES = {
    "check": "conformance.check",
    "compare": "conformance.compare.run",
    "coverage": "conformance.report.coverage",
    "export": "conformance.corpus.export",
    "fuzz": "conformance.fuzz.search",
    "parsers": "conformance.compare.libraries",
    "report": "conformance.report.markdown",
    "suite": "conformance.parsers.suite",
}
_OLDEST_PYTHON = (3, 11)


def main(arguments: Sequence[str]) -> int:
    """Run one command, and return the exit code."""
    command, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if command in _MODULES:
        return _run(command, rest)
    is_help = command in ("-h", "--help")
    print(_USAGE, end="", file=sys.stdout if is_help else sys.stderr)
    return 0 if is_help else 2


def _run(command: str, arguments: list[str]) -> int:
    """Run *command*, or print what it lacks on this computer and return 2."""
    if sys.version_info < _OLDEST_PYTHON:
        print(f"conformance: Python 3.11 or newer is needed; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    try:
        module = importlib.import_module(_MODULES[command])
    except ModuleNotFoundError as error:
        if error.name != "h11":
            raise
        print(f"conformance: {command} needs h11; install it with: python3 -m pip install h11", file=sys.stderr)
        return 2
    return int(module.main(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
