"""Arguments: parsers that serve, get and find share.

Takes the arguments of a command line, gives their values, or one sentence about a wrong argument.
"""

import argparse
import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

from httpsock.http.masking import mask
from httpsock.http.text import visible
from httpsock.tracing.output import write_all

if TYPE_CHECKING:
    # Loaded only with --trace.
    from httpsock.tracing.trace import TraceWriter

WRONG_ARGUMENT = 2
# The exit code after a write error is 23, as in curl. The exit code after Ctrl-C is 128 + SIGINT.
NOT_WRITTEN = 23
INTERRUPTED = 130
# "octets" is an older name of "hex".
TRACE_FORMS = ("text", "hex", "octets", "json")
# Before Python 3.13, argparse took --port=-- and -p-- as options without a value, and stored an empty list.
_OPTION_WITH_DASHES = r"(--?[^=]+)=--|(-[A-Za-z]+)--"
_MIN_SIMILARITY = 0.6


def command_name() -> str:
    """Return the command that started this program: "httpsock", or "python3 -m httpsock"."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return "python3 -m httpsock" if spec and spec.name == "httpsock.__main__" else "httpsock"


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of a description and of examples. It wraps a line only if it is wider than the terminal."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        from textwrap import fill  # only for the help

        # argparse leaves the last two columns free. They are needed here.
        wrap = partial(fill, width=width + 2, break_long_words=False, break_on_hyphens=False)
        deeper = f"{indent}    "
        return "".join(f"{wrap(line, initial_indent=indent, subsequent_indent=deeper)}\n" for line in text.splitlines())


class ArgumentParser(argparse.ArgumentParser):
    """Reports a wrong argument in one sentence, and suggests the option that was probably meant.

    *foreign_options* maps options of other programs to the httpsock options with the same meaning.
    """

    def __init__(self, name: str, usage: str, foreign_options: Mapping[str, str], **settings: Any) -> None:
        self._name = name
        self._foreign_options = foreign_options
        self._command = name.replace("httpsock", command_name(), 1)
        # argparse makes a formatter for each option; without a width, the formatter imports shutil (3 ms of start-up).
        formatter = partial(argparse.RawDescriptionHelpFormatter, width=80)
        super().__init__(
            prog=name, usage=f"{self._command} {usage}", formatter_class=formatter, allow_abbrev=False, **settings
        )

    def format_help(self) -> str:
        """Return the help text, as wide as the terminal."""
        self.formatter_class = _HelpFormatter
        return super().format_help()

    def print_help(self, _file: object = None) -> None:
        """Print the help text on standard output. If that fails, report it, and exit with code 23."""
        self.print_output(self.format_help())

    def print_output(self, text: str) -> None:
        """Print *text* on standard output. If that fails, report it, and exit with code 23."""
        try:
            write_output(text)
        except OSError as error:
            self.exit(NOT_WRITTEN, f"{self._name}: can't write to standard output: {error.strerror}.\n")

    def error(self, message: str) -> NoReturn:
        """Mask credentials in *message*, print the result, and exit with code 2."""
        printable = visible(mask(message.encode("utf-8", "surrogateescape")).decode("utf-8", "backslashreplace"))
        self.exit(WRONG_ARGUMENT, f"{self._name}: {printable}; see {self._command} --help.\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """If there is a *message*, try to print it on standard error. Then exit with the code *status*."""
        if message:
            # The argparse of Python 3.11.2 fails if standard error is closed.
            print_error(message.removesuffix("\n"))
        sys.exit(status)

    def parse_args(self, arguments: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        """Parse *arguments*, and return a namespace with the values. Exit with code 2 if an argument is wrong."""
        for argument in takewhile(lambda argument: argument != "--", arguments):
            if match := re.fullmatch(_OPTION_WITH_DASHES, argument):
                self.error(f"argument {match[1] or match[2]}: '--' is not a value")
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            option = next((each for each in unknown if each.startswith("-")), "")
            hint = self._hint(option.partition("=")[0]) if option else None
            self.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; did you mean {hint}?" if hint else ""))
        return options

    def _hint(self, option: str) -> str | None:
        """Return the option that the user probably meant by *option*, or None if no option is similar."""
        known = [each for action in self._actions for each in action.option_strings]
        if option in self._foreign_options:
            return self._foreign_options[option]
        if not option.startswith("--"):
            # Only the letter counts, as in -P or -p8080x.
            return next((each for each in known if each.lower() == option[:2].lower()), None)
        from difflib import get_close_matches  # rarely needed

        longer = [each for each in known if len(option) > len("--") + 1 and each.startswith(option)]
        long_options = [each for each in known if each.startswith("--")]
        similar = longer or get_close_matches(option, long_options, 1, _MIN_SIMILARITY)
        return similar[0] if similar else None


def write_output(text: str) -> None:
    """Write *text* to standard output. Escape characters that can't be encoded. Raise OSError if writing fails."""
    # A standard stream that was closed at the start is None.
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    octets = text.replace("\n", os.linesep).encode(encoding, "backslashreplace")
    if hasattr(sys.stdout, "buffer"):
        write_all(sys.stdout.buffer, octets)
    else:
        # A program may have replaced sys.stdout by a text stream that has no buffer, such as StringIO.
        sys.stdout.write(octets.decode(encoding))
        sys.stdout.flush()


def print_error(sentence: str) -> None:
    """Write *sentence* as a line to standard error. Ignore write errors: the exit code reports the failure too."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def expand_trace_option(arguments: Sequence[str]) -> list[str]:
    """Return *arguments* with ``--trace FORM`` rewritten as ``--trace=FORM``.

    ``--trace`` without a form becomes ``--trace=text``.
    """
    expanded: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument == "--":
            return [*expanded, argument, *remaining]
        if argument == "--trace":
            argument = f"--trace={remaining.pop(0)}" if remaining and remaining[0] in TRACE_FORMS else "--trace=text"
        expanded.append("--trace=octets" if argument == "--trace=hex" else argument)
    return expanded


def client_trace(form: str | None) -> "TraceWriter | None":
    """Return the trace of a client on standard error, in *form*. Without a form, return None."""
    if form is None:
        return None
    # Imported here, since it is rarely needed.
    from httpsock.tracing.trace import trace_on_standard_error

    return trace_on_standard_error(form, is_client=True)


def number(minimum: int, maximum: int, name: str) -> Callable[[str], int]:
    """Return a function that parses a number from *minimum* to *maximum*.

    *name* describes the number in an error, such as "a port".
    """

    def parse(text: str) -> int:
        # Nine digits are enough for every limit here; int() alone would accept signs, spaces and non-ASCII digits.
        if text.isascii() and text.isdigit() and len(text) <= 9 and minimum <= int(text) <= maximum:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not {name} from {minimum} to {maximum}")

    return parse


def field(check: Callable[[str, str], None]) -> Callable[[str], tuple[str, str]]:
    """Return a function that parses 'Name: value'. *check* raises ValueError if the name or the value is wrong."""

    def parse(text: str) -> tuple[str, str]:
        name, colon, value = text.partition(":")
        # A field value has octets; the str that represents them is decoded as Latin-1 (RFC 9110 §5.5).
        octets = value.strip(" \t").encode("utf-8", "surrogateescape")
        if not colon:
            raise argparse.ArgumentTypeError(f"{text!r} is not 'Name: value'")
        try:
            check(name, octets.decode("latin-1"))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return name, octets.decode("latin-1")

    return parse
