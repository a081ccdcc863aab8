"""The command line: ``python3 -m conformance check | coverage | fuzz | report``."""

import importlib
import sys
from collections.abc import Sequence

_USAGE = """usage: python3 -m conformance COMMAND [--help | ...]

  check     probe the corpus and the static semantics against a running server
  coverage  which requirement is tried by what
  fuzz      look for inputs that the judges see differently, and nobody has explained
  report    write down where the judges stand
"""

# Loaded only when they run: check needs the standard library alone, fuzz and report need h11.
_MODULES = {
    "check": "conformance.check",
    "coverage": "conformance.report.coverage",
    "fuzz": "conformance.fuzz.search",
    "report": "conformance.report.markdown",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command, and return what the process exits with."""
    command, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if command in _MODULES:
        return int(importlib.import_module(_MODULES[command]).main(rest))
    is_help = command in ("-h", "--help")
    print(_USAGE, end="", file=sys.stdout if is_help else sys.stderr)
    return 0 if is_help else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
