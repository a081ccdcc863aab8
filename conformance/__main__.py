"""The command line: ``python3 -m conformance COMMAND``."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence

if not __package__:
    sys.stderr.write("conformance: start it as python3 -m conformance, in the folder that has this one\n")
    sys.exit(2)

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
# Older versions must be able to run this file, so that it can refuse them. So some annotations are strings.
_OLDEST_PYTHON = (3, 11)


def main(arguments: "Sequence[str]") -> int:
    """Run one command. Return its exit code."""
    try:
        code = _dispatch(arguments)
        # A command started with >&- has no standard output.
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of standard output, such as head, has closed it.
        _discard_output()
        return 2
    except OSError as error:
        _discard_output()
        print(f"conformance: {error.filename or 'cannot go on'}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nconformance: interrupted", file=sys.stderr)
        return 130
    return code


def _dispatch(arguments: "Sequence[str]") -> int:
    """Run the command in *arguments*, or print the usage. Return the exit code."""
    command, rest = (arguments[0], list(arguments[1:])) if arguments else (None, [])
    if command in _MODULES:
        return _run(command, rest)
    if command in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    why = "no command given" if command is None else f"unknown command {command!r}"
    print(f"{_USAGE}\nconformance: {why}", file=sys.stderr)
    return 2


def _run(command: str, arguments: "list[str]") -> int:
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
    return int(module.main(arguments))


def _discard_output() -> None:
    """If standard output can't be written, discard the rest of the output.

    Otherwise Python would fail again at exit.
    """
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# The signals that end a command. Windows has no SIGHUP.
_ENDING = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))


def _end(signum: int, _: object) -> None:
    """End the command with an exception, so that the command can stop the server that it has started.

    Ignore further signals, which would interrupt the stop: impatient users press Ctrl-C twice.
    """
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + signum)


if __name__ == "__main__":
    for signum in _ENDING:
        # A command started by nohup ignores SIGHUP.
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _end)
    code = main(sys.argv[1:])
    # The command has ended. A late Ctrl-C must not change the exit code.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)
