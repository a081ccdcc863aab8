"""Arguments: what a person typed, as values, or one sentence on what is wrong with it.

What the command line of the server and those of its sub-commands share.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

WRONG_ARGUMENT = 2
# Of the clients; the numbers are curl's, or those of shells.
NOT_WRITTEN = 23
INTERRUPTED = 130
TRACE_FORMS = ("text", "octets", "json")


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(WRONG_ARGUMENT, f"{self.prog}: {message}; see {self.prog} --help.\n")


def complain(sentence: str) -> None:
    """Write a line to standard error; if that is closed, or was never there, the exit code still speaks."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def with_trace_form(arguments: Sequence[str]) -> list[str]:
    """Return *arguments* with the form of --trace, which only follows an equals sign: after it, others can follow."""
    return ["--trace=text" if argument == "--trace" else argument for argument in arguments]


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
