"""Arguments: what a person typed, as values, or one sentence on what is wrong with it.

What the command line of the server and those of its sub-commands share.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from httpsock.http.masking import mask
from httpsock.http.text import visible

WRONG_ARGUMENT = 2
# Of the clients; the numbers are curl's, or those of shells.
NOT_WRITTEN = 23
INTERRUPTED = 130
# "octets" is what "hex" was called first.
TRACE_FORMS = ("text", "hex", "octets", "json")
_FEWEST_ALIKE = 0.6


def command_name() -> str:
    """Return how a person starts this program again: by its command, or as a module if it was started so."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return "python3 -m httpsock" if spec and spec.name == "httpsock.__main__" else "httpsock"


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one sentence, and what it may have been meant for.

    *elsewhere* has options of other programs, each with what does the same here.
    """

    def __init__(self, name: str, usage: str, elsewhere: Mapping[str, str], **settings: Any) -> None:
        self._name = name
        self._elsewhere = elsewhere
        self._command = name.replace("httpsock", command_name(), 1)
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(
            prog=name, usage=f"{self._command} {usage}", formatter_class=formatter, allow_abbrev=False, **settings
        )

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2. Credentials in a mistyped argument do not show."""
        shown = visible(mask(message.encode("utf-8", "surrogateescape")).decode("utf-8", "backslashreplace"))
        self.exit(WRONG_ARGUMENT, f"{self._name}: {shown}; see {self._command} --help.\n")

    def parse_args(self, arguments: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        """Return what *arguments* mean, as attributes. Leaves with exit code 2 if they mean nothing."""
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            option = next((each for each in unknown if each.startswith("-")), "")
            hint = self._hint(option.partition("=")[0]) if option else None
            self.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; did you mean {hint}?" if hint else ""))
        return options

    def _hint(self, option: str) -> str | None:
        """Return the option that *option* was probably meant for, or None."""
        known = [each for action in self._actions for each in action.option_strings]
        if option in self._elsewhere:
            return self._elsewhere[option]
        if not option.startswith("--"):
            # -p8080x, -P: the letter decides.
            return next((each for each in known if each.lower() == option[:2].lower()), None)
        from difflib import get_close_matches  # wanted by few

        begun = [each for each in known if len(option) > len("--") + 1 and each.startswith(option)]
        near = begun or get_close_matches(option, [each for each in known if each.startswith("--")], 1, _FEWEST_ALIKE)
        return near[0] if near else None


def print_error(sentence: str) -> None:
    """Write a line to standard error; if that is closed, or was never there, the exit code still speaks."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def expand_trace_option(arguments: Sequence[str]) -> list[str]:
    """Return *arguments* with the form of --trace behind an equals sign: any other word after it is no form."""
    given: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return [*given, argument, *waiting]
        if argument == "--trace":
            argument = f"--trace={waiting.pop(0)}" if waiting and waiting[0] in TRACE_FORMS else "--trace=text"
        given.append("--trace=octets" if argument == "--trace=hex" else argument)
    return given


def number(least: int, most: int, name: str) -> Callable[[str], int]:
    """Return what turns an argument into a number from *least* to *most*."""

    def parse(text: str) -> int:
        # Nine digits are more than any limit here, and int() would take signs, spaces and other scripts' digits.
        if text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not {name} from {least} to {most}")

    return parse


def field(check: Callable[[str, str], None]) -> Callable[[str], tuple[str, str]]:
    """Return what turns an argument into the name and value of a field line that *check* raises no ValueError for."""

    def parse(text: str) -> tuple[str, str]:
        name, colon, value = text.partition(":")
        # Values are octets; they travel within text as Latin-1 (RFC 9110 §5.5).
        octets = value.strip(" \t").encode("utf-8", "surrogateescape")
        if not colon:
            raise argparse.ArgumentTypeError(f"{text!r} is not 'Name: value'")
        try:
            check(name, octets.decode("latin-1"))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return name, octets.decode("latin-1")

    return parse
