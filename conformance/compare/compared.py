"""The results of a comparison: for each server, how much failed in each chapter, and why.

The results are stored in a JSON file. The pages can be written again from this file, and other programs can read it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from conformance.live.causes import find_causes
from conformance.live.results import Outcome, Result, chapter_of_result

# The levels that the page counts, in its order.
LEVELS = ("MUST", "SECURITY", "SHOULD")
_MAX_SENT = 240
_MAX_RECEIVED = 160
_MAX_WHY = 300


class Difference(NamedTuple):
    """Failures of one server that probably have the same cause. *names* lists the failed cases and checks.

    *example* is one of *names*. *sent* and *received* are the octets in this example.
    """

    level: str
    requirements: tuple[str, ...]
    why: str
    names: tuple[str, ...]
    example: str
    sent: str
    received: str
    stops_server: bool = False


class Chapter(NamedTuple):
    """Counts for one chapter.

    *tried* counts cases and checks. *failed* counts failures of MUST, SECURITY and SHOULD.
    """

    tried: int
    failed: tuple[int, ...]


class Compared(NamedTuple):
    """The results of one server. *source* says where the server's package came from."""

    name: str
    title: str
    version: str
    source: str
    chapters: dict[str, Chapter]
    differences: tuple[Difference, ...]

    @property
    def tried(self) -> int:
        """The number of cases and checks that were tried."""
        return sum(chapter.tried for chapter in self.chapters.values())

    def failed(self, level: str) -> int:
        """Return the number of cases and checks that failed at *level*."""
        return sum(chapter.failed[LEVELS.index(level)] for chapter in self.chapters.values())


class Comparison(NamedTuple):
    """The results of all servers. *skipped* has the title of each server that was not tried, with the reason."""

    date: str
    system: str
    compared: tuple[Compared, ...]
    skipped: dict[str, str]


def compared(name: str, title: str, version: str, source: str, results: Sequence[Result]) -> Compared:
    """Summarise the *results* of one server."""
    tried = Counter(chapter_of_result(result) for result in results if result.outcome is not Outcome.SKIPPED)
    failed = Counter(
        (chapter_of_result(result), result.level) for result in results if result.outcome is Outcome.FAILED
    )
    chapters = {
        chapter: Chapter(count, tuple(failed[chapter, level] for level in LEVELS)) for chapter, count in tried.items()
    }
    return Compared(name, title, version, source, chapters, tuple(_differences(results)))


def _differences(results: Sequence[Result]) -> list[Difference]:
    """Group the failures by cause. Leave out failures at the level POLICY, where the RFC leaves servers a choice."""
    return [
        Difference(
            cause.level,
            cause.requirements,
            _cut(cause.why, _MAX_WHY),
            tuple(sorted(failure.name for failure in cause.failures)),
            cause.example.name,
            _text(cause.example.sent, _MAX_SENT),
            _text(cause.example.received, _MAX_RECEIVED),
            cause.example.stops_server,
        )
        for cause in find_causes(results)
        if cause.level in LEVELS
    ]


def _text(octets: bytes, maximum: int) -> str:
    """Return at most *maximum* octets as printable ASCII. All other octets are escaped."""
    shown = ascii(octets[:maximum])[2:-1].replace("\\\\", "\\")
    return shown if len(octets) <= maximum else f"{shown}…"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def as_json(comparison: Comparison) -> str:
    """Return *comparison* as JSON, with one line for each difference.

    To keep the file short, the names of all cases are in one list. Each difference has positions in this list.
    """
    names = sorted({name for server in comparison.compared for found in server.differences for name in found.names})
    numbers = {name: number for number, name in enumerate(names)}
    servers = []
    for server in comparison.compared:
        head = server._asdict() | {"chapters": {name: [*chapter] for name, chapter in server.chapters.items()}}
        differences = [
            _dump(found._asdict() | {"names": [numbers[name] for name in found.names]})
            for found in head.pop("differences")
        ]
        opening = _dump(head).removesuffix("}")
        servers.append(f'{opening}, "differences": [\n' + ",\n".join(differences) + "\n]}")
    head = {"date": comparison.date, "system": comparison.system, "skipped": comparison.skipped, "names": names}
    opening = _dump(head).removesuffix("}")
    return f'{opening}, "compared": [\n' + ",\n".join(servers) + "\n]}\n"


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def from_json(text: str) -> Comparison:
    """Parse the output of as_json()."""
    found: dict[str, Any] = json.loads(text)
    names = found.pop("names")
    found["compared"] = tuple(_server(server, names) for server in found["compared"])
    return Comparison(**found)


def _server(entry: dict[str, Any], names: list[str]) -> Compared:
    chapters = {name: Chapter(tried, tuple(failed)) for name, (tried, failed) in entry.pop("chapters").items()}
    differences = tuple(
        Difference(
            **found
            | {"requirements": tuple(found["requirements"]), "names": tuple(names[number] for number in found["names"])}
        )
        for found in entry.pop("differences")
    )
    return Compared(**entry, chapters=chapters, differences=differences)
