"""The command line: ``python3 -m conformance COMMAND``."""

import importlib
import os
import sys
from collections.abc import Sequence

_USAGE = """usage: python3 -m conformance COMMAND [--help | ...]

  check     check how well a server keeps RFC 9110 and RFC 9112
  compare   check many servers from Debian, PyPI and npm, and write a page on them
  coverage  print how many cases and checks try each requirement
  export    write the test cases as JSON
  fuzz      search for input that httpsock and h11 parse differently for no known reason (needs h11)
  parsers   run the test cases through other parsers, and write a page on them
  report    write what httpsock and h11 do with each test case, as HTML and Markdown (needs h11)
  suite     compare httpsock with gunicorn or llhttp on the messages of their tests (needs h11)
"""

# The module of a command is imported only when the command runs: fuzz, report and suite need h11, the others do not.
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
    """Run one command. Return its exit code."""
    command, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if command in _MODULES:
        return _run(command, rest)
    if command in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    print(
        f"{_USAGE}\nconformance: {f'unknown command {command!r}' if command else 'no command given'}", file=sys.stderr
    )
    return 2


def _run(command: str, arguments: list[str]) -> int:
    """Run *command* and return its exit code. If Python is too old or a library is missing, print why and return 2."""
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
    try:
        code = int(module.main(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of standard output, such as head, has closed it: discard the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except KeyboardInterrupt:
        print("\nconformance: interrupted", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
