"""Command-line arguments of the programs in tests/. A wrong argument gives a one-sentence error and exit code 2."""

import argparse
import math
import pathlib
import re
from typing import Any, NoReturn


class ArgumentParser(argparse.ArgumentParser):
    """A parser for ``python3 -m MODULE``. It reports a wrong argument in one sentence."""

    def __init__(self, module: str, description: str | None, **settings: Any) -> None:
        first_line = (description or "").partition("\n")[0]
        super().__init__(prog=f"python3 -m {module}", description=first_line, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Print *message* and exit with code 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def whole_number(text: str) -> int:
    """Parse a whole number from 1 to 999,999,999."""
    if re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999999")


def positive_seconds(text: str) -> float:
    """Parse a positive number of seconds."""
    if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text) and not math.isclose(float(text), 0):
        return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")


def new_file(text: str) -> pathlib.Path:
    """Parse the path of a file to write. Its folder must exist."""
    path = pathlib.Path(text)
    if path.parent.is_dir() and not path.is_dir():
        return path
    raise argparse.ArgumentTypeError(f"{text!r} is not a file in an existing folder")


def clone_folder(text: str) -> pathlib.Path:
    """Parse the path of a folder that contains the package httpsock."""
    if (pathlib.Path(text) / "httpsock" / "__main__.py").is_file():
        return pathlib.Path(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a clone of httpsock")
