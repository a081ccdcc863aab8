"""The command ``suite``: parse the request files of gunicorn's tests with httpsock, and explain each difference.

    python3 -m conformance suite gunicorn-27.0.1/tests/requests

gunicorn has one folder of requests that its parser accepts, and one of requests that it refuses. For each file on which
httpsock decides otherwise, ``suites.toml`` names a case of the corpus that tests the same, and gives the reason with
its section.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .drivers import read_by_httpsock

TABLE = Path(__file__).with_name("suites.toml")
_FOLDERS = ("valid", "invalid")
_HEXADECIMAL = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_ESCAPES = {rb"\r\n": b"\r\n", rb"\0": b"\0", rb"\n": b"\n", rb"\t": b"\t"}


class Difference(NamedTuple):
    """Files on which httpsock and gunicorn differ, for the reason *why*; *case* of the corpus tests the same."""

    files: tuple[str, ...]
    case: str
    why: str


@cache
def load_differences() -> tuple[Difference, ...]:
    """Return the explained differences. Raise TypeError if an entry has a missing or unknown key."""
    with TABLE.open("rb") as file:
        entries = tomllib.load(file)["differences"]
    return tuple(Difference(tuple(entry.pop("files")), **entry) for entry in entries)


def octets_of(text: bytes) -> bytes:
    """Return the octets that the request file *text* describes: without its line ends, and with escapes replaced."""
    octets = text.replace(b"\n", b"")
    for escape, meaning in _ESCAPES.items():
        octets = octets.replace(escape, meaning)
    return _HEXADECIMAL.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), octets)


def read_folder(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the name of each request file below *folder*, and whether httpsock decides as gunicorn does."""
    for kind in _FOLDERS:
        for path in sorted((folder / kind).glob("*.http")):
            is_refused = read_by_httpsock(octets_of(path.read_bytes())).verdict.is_refused
            yield f"{kind}/{path.stem}", is_refused == (kind == "invalid")


def main(arguments: Sequence[str]) -> int:
    """Compare httpsock with gunicorn on a folder of request files; return 0 only if each difference is explained."""
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance suite",
        description="Compare httpsock with gunicorn on the request files of gunicorn's tests, and print the reason of "
        "each difference. Exits with 1 if a difference has no reason in suites.toml.",
    )
    parser.add_argument("folder", type=Path, help="tests/requests of gunicorn's sources, with valid/ and invalid/")
    options = parser.parse_args(arguments)
    found = dict(read_folder(options.folder))
    if not found:
        print(f"conformance: {options.folder} has no request files in valid/ and invalid/", file=sys.stderr)
        return 2
    argued = {name: difference for difference in load_differences() for name in difference.files}
    different = [name for name, is_alike in found.items() if not is_alike]
    open_ones = [name for name in different if name not in argued]
    for difference in load_differences():
        names = [name for name in difference.files if name in different]
        if names:
            print(f"{', '.join(names)}: as {difference.case}\n  {difference.why}")
    for name in open_ones:
        print(f"{name}: a difference without a reason", file=sys.stderr)
    alike = len(found) - len(different)
    print(f"{len(found)} files: {alike} alike, {len(different)} different, {len(open_ones)} of them without a reason")
    return 1 if open_ones else 0
