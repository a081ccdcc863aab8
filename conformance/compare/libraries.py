"""The command ``parsers``: run the corpus through other parsers, as libraries, and write one page.

Each parser runs in a process of its own, with a driver that reads the corpus as JSON. Three things are compared with
the corpus: the number of requests, the length of each content, and whether the rest is refused.
"""

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from conformance.corpus.cases import Case, load_cases
from conformance.corpus.export import as_json
from conformance.live.allowances import may_accept, may_refuse
from conformance.output_path import output_file, output_folder

from .libraries_page import render
from .servers import Installation, Server, SkipError

_PAGE = Path(__file__).parents[1] / "PARSERS.md"
_SECONDS = 120
_HERE = Path(__file__).parent


class Agreement(Enum):
    """How a parser's verdict on a case compares with the expected verdict."""

    SAME = "as expected"
    ALLOWED = "otherwise, as the RFC allows"
    LENIENT = "accepts what is invalid"
    STRICT = "refuses what is valid"
    OTHER = "reads other requests"


class Library(NamedTuple):
    """A parser.

    *server* says how to install and start the parser's driver. *environment* has variables for the driver.
    """

    name: str
    server: Server
    environment: Mapping[str, str] = MappingProxyType({})


def _python(name: str, title: str, *packages: str, driver: str = "", **environment: str) -> Library:
    """Describe a parser that pip installs. *driver* is the name of its driver in drivers.py, by default *name*."""
    version = f"{{python}} -c 'from importlib.metadata import version; print(version(\"{packages[0]}\"))'"
    start = f"{{python}} {_HERE / 'drivers.py'} {driver or name}"
    return Library(name, Server(name, "pip", title, version, start, packages), environment)


LIBRARIES = (
    _python("h11", "h11", "h11"),
    _python("httptools", "httptools (llhttp)", "httptools"),
    _python("aiohttp", "aiohttp, its parser in C", "aiohttp"),
    _python("aiohttp-python", "aiohttp, its parser in Python", "aiohttp", driver="aiohttp", AIOHTTP_NO_EXTENSIONS="1"),
    _python("gunicorn", "Gunicorn", "gunicorn"),
    _python("waitress", "Waitress", "waitress"),
    Library(
        "Go net/http",
        Server("Go", "apt", "Go net/http", "go version", "{build}/driver", ("golang-go",), "go",
               build="go build -o {build}/driver {build}/driver.go",
               files={"driver.go": (_HERE / "driver.go").read_text(encoding="utf-8")}),
    ),
)  # fmt: skip


class Read(NamedTuple):
    """The results of one parser. The keys are the names of cases. *reasons* has the reason of each refusal."""

    title: str
    version: str
    agreements: dict[str, Agreement]
    reasons: dict[str, str | None]


def main(arguments: Sequence[str]) -> int:
    """Run the corpus through the parsers and write the page. Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance parsers",
        description="Run the corpus through parsers of PyPI and Go, as libraries, and write PARSERS.md.",
    )
    parser.add_argument("--apt", action="store_true", help="install missing Debian packages; needs root")
    parser.add_argument(
        "--packages",
        metavar="FOLDER",
        type=output_folder,
        help="install pip packages here (default: temporary folder)",
    )
    parser.add_argument(
        "--page",
        metavar="FILE",
        type=output_file,
        default=_PAGE,
        help="write to FILE (default: conformance/PARSERS.md)",
    )
    options = parser.parse_args(arguments)
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        installation = Installation(options.packages or Path(folder), uses_apt=options.apt)
        found = list(_each(installation, LIBRARIES, skipped))
    if not found:
        print("conformance: no parser of the table could be tried", file=sys.stderr)
        return 2
    try:
        options.page.write_text(render(found, skipped, dt.datetime.now(dt.UTC).date()), encoding="utf-8")
    except OSError as error:
        print(f"conformance: cannot write {options.page}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def _each(installation: Installation, libraries: Iterable[Library], skipped: dict[str, str]) -> Iterable[Read]:
    """Yield the results of each library. If a library can't be tried, put the reason into *skipped*."""
    corpus = as_json(load_cases())
    for library in libraries:
        try:
            verdicts = _run(installation, library, corpus)
            version = installation.version(library.server)
        except SkipError as error:
            skipped[library.server.title] = str(error).strip().splitlines()[0]
            print(f"{library.server.title}: not tried: {error}", file=sys.stderr)
            continue
        agreements = {case.name: agreement_of(case, verdicts[case.name]) for case in load_cases()}
        reasons = {name: verdict["refused"] for name, verdict in verdicts.items()}
        read = Read(library.server.title, version, agreements, reasons)
        same = sum(agreement is Agreement.SAME for agreement in agreements.values())
        print(f"{read.title} {read.version}: {same} of {len(agreements)} as expected")
        yield read


def _run(installation: Installation, library: Library, corpus: str) -> dict[str, Any]:
    """Run the parser on *corpus*. Return its verdict on each case, by name.

    If the parser can't be run, raise SkipError.
    """
    recipe = installation.prepare(library.server)
    try:
        done = subprocess.run(
            recipe.start.split(), input=corpus, capture_output=True, text=True, timeout=_SECONDS, check=False,
            env={**installation.environment(), **library.environment},
        )  # fmt: skip
        verdicts: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise SkipError(f"the driver failed: {error}") from error
    return verdicts


def agreement_of(case: Case, verdict: dict[str, Any]) -> Agreement:
    """Compare a parser's *verdict* on *case* with the expected verdict."""
    expected = case.expected["httpsock"]
    due = [understood.content for understood in expected.accepted]
    found = [length for _, length in verdict["accepted"]]
    is_refused = verdict["refused"] is not None
    if is_refused and not expected.is_refused:
        return Agreement.ALLOWED if may_refuse(case) else Agreement.STRICT
    if expected.is_refused and not is_refused:
        return Agreement.ALLOWED if may_accept(case) else Agreement.LENIENT
    # A parser that gets all octets at once may report the fault without the requests before it.
    is_same = found == due or (is_refused and found == due[: len(found)])
    return Agreement.SAME if is_same else Agreement.OTHER
