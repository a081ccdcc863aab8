"""The command ``suite``: parse the messages of other parsers' tests with httpsock, and explain each difference.

    python3 -m conformance suite gunicorn-27.0.1/tests/requests
    python3 -m conformance suite aiohttp-3.14.5/vendor/llhttp/test

The other parser is gunicorn or llhttp. httpsock's request parser reads requests, and the parser of its client reads the
responses of llhttp's tests. If httpsock and the other parser disagree on a file, ``suites.toml`` has the reason. It
also lists a test of the same rule. For requests, this is a case of the corpus. For responses, it is one of httpsock's
own tests.
"""

import argparse
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .drivers import read_by_httpsock, read_responses_by_httpsock
from .message_files import MessageFile, read_gunicorn, read_llhttp

TABLE = Path(__file__).with_name("suites.toml")
# The function that reads the files of each suite; a folder belongs to the first suite that finds files in it.
SUITES: Mapping[str, Callable[[Path], Iterator[MessageFile]]] = {"gunicorn": read_gunicorn, "llhttp": read_llhttp}


class Difference(NamedTuple):
    """Files on which httpsock and the other parser differ, and the reason *why*.

    *case* is a test of the same rule: a case of the corpus, or one of httpsock's own tests.
    """

    files: tuple[str, ...]
    case: str
    why: str


@cache
def load_differences() -> dict[str, tuple[Difference, ...]]:
    """Return the explained differences of each suite. If an entry has a missing or unknown key, raise TypeError."""
    with TABLE.open("rb") as file:
        table = tomllib.load(file)
    return {
        suite: tuple(Difference(tuple(entry.pop("files")), **entry) for entry in entries)
        for suite, entries in table.items()
    }


def is_read_alike(file: MessageFile) -> bool:
    """Return whether httpsock and the other parser agree on *file*."""
    if file.method is None:
        verdict = read_by_httpsock(file.octets, is_ended=file.is_ended).verdict
        is_refused, count = verdict.is_refused, len(verdict.accepted)
    else:
        found = read_responses_by_httpsock(file.octets, file.method)
        is_refused, count = found.refusal is not None, found.responses
    return is_refused == file.is_refused and file.messages in {None, count}


def main(arguments: Sequence[str]) -> int:
    """Compare httpsock with another parser on a folder of its tests. If each difference has a reason, return 0."""
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance suite",
        description="Compare httpsock with gunicorn or llhttp on the requests and responses of their tests, and print "
        "the reason of each difference. Exits with 1 if a difference has no reason in suites.toml.",
    )
    parser.add_argument(
        "folder",
        type=Path,
        help="tests/requests of gunicorn's sources, or test of llhttp's (aiohttp's sources have it)",
    )
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"there is no folder {options.folder}")
    try:
        for suite, read in SUITES.items():
            if files := list(read(options.folder)):
                return _compare(files, load_differences()[suite])
    except ValueError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    print(f"conformance: {options.folder} has no tests of {' or '.join(SUITES)}", file=sys.stderr)
    return 2


def _compare(files: Sequence[MessageFile], differences: Sequence[Difference]) -> int:
    """Print the reason of each difference. If a reason is missing, return 1, otherwise 0."""
    different = [file.name for file in files if not is_read_alike(file)]
    for difference in differences:
        if names := [name for name in difference.files if name in different]:
            print(f"{', '.join(names)}: as {difference.case}\n  {difference.why}")
    explained = {name for difference in differences for name in difference.files}
    open_ones = [name for name in different if name not in explained]
    for name in open_ones:
        print(f"{name}: a difference without a reason", file=sys.stderr)
    alike = len(files) - len(different)
    print(f"{len(files)} files: {alike} alike, {len(different)} different, {len(open_ones)} of them without a reason")
    return 1 if open_ones else 0
