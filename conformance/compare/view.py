"""The content of the page on servers. The Markdown version and the HTML version share it."""

import re
from functools import cache
from typing import NamedTuple

from conformance.corpus.cases import load_cases
from conformance.corpus.requirements import SECTION, load_requirements
from conformance.live.causes import shape

from .arguments import WELL_KNOWN
from .compared import LEVELS, Compared, Comparison, Difference

TITLE = "HTTP/1.1 servers, chapter by chapter"
ARGUMENTS_TITLE = "Why each of these is a MUST"
ARGUMENTS = f"For each MUST that one of {', '.join(WELL_KNOWN)} breaks: the words of the RFC, and what the server does."


class Group(NamedTuple):
    """A difference that several servers share. *anchor* is its HTML anchor on the page."""

    anchor: str
    level: str
    requirements: tuple[str, ...]
    servers: tuple[tuple[Compared, Difference], ...]

    @property
    def section(self) -> str:
        """The RFC section of the group's first requirement."""
        return load_requirements()[self.requirements[0]].section

    @property
    def says(self) -> str:
        """The group's first requirement as a sentence."""
        return load_requirements()[self.requirements[0]].says

    @property
    def names(self) -> tuple[str, ...]:
        """The sorted names of all cases and checks that any of the servers fails."""
        return tuple(sorted({name for _, difference in self.servers for name in difference.names}))

    @property
    def example(self) -> Difference:
        """The example on the page. It is a difference of one of the servers."""
        return min((difference for _, difference in self.servers), key=lambda found: (len(found.sent), found.example))


def group(comparison: Comparison) -> list[Group]:
    """Group the differences of all servers. The groups are sorted by level and requirement."""
    found: dict[tuple[str, tuple[str, ...], str], list[tuple[Compared, Difference]]] = {}
    for server in comparison.compared:
        for difference in server.differences:
            key = (difference.level, difference.requirements, shape(difference.why))
            found.setdefault(key, []).append((server, difference))
    groups = []
    counts: dict[str, int] = {}
    for level, numbers, verdict in sorted(found, key=lambda key: (LEVELS.index(key[0]), key[1], -len(found[key]))):
        name = f"{numbers[0]}-{level}".lower()
        counts[name] = counts.get(name, 0) + 1
        groups.append(Group(f"{name}-{counts[name]}", level, numbers, tuple(found[level, numbers, verdict])))
    return groups


def chapters(comparison: Comparison) -> list[str]:
    """Return the chapters of RFCs that were tried, in the order of the RFCs."""
    found = {name for server in comparison.compared for name in server.chapters if name.startswith("RFC")}
    return sorted(found, key=lambda name: [int(number) for number in re.findall("[0-9]+", name)[:2]])


def short(chapter: str) -> str:
    """Shorten the name of a chapter: "RFC 9112 §5 Field syntax" becomes "9112 §5"."""
    match = SECTION.match(chapter)
    return f"{match[1]} §{match[2]}" if match else chapter


def figures(server: Compared, chapter: str) -> str:
    """Return the failures in *chapter* as text. "38 · 0 · 2" counts the failures of MUST, SECURITY and SHOULD.

    If there are no failures, return "–". If no case of *chapter* was tried, return "not tried".
    """
    found = server.chapters.get(chapter)
    if found is None:
        return "not tried"
    return " · ".join(map(str, found.failed)) if any(found.failed) else "–"


@cache
def files() -> dict[str, str]:
    """Return the path of each case's file, relative to the page. The keys are the names of the cases."""
    return {case.name: f"corpus/{case.chapter}/{case.name}.http" for case in load_cases()}


def introduction(comparison: Comparison) -> list[str]:
    """Return the first paragraphs of the page: how it was made, and what its figures mean."""
    count = len(comparison.compared)
    return [
        (
            f"Made on {comparison.date} by `python3 -m conformance compare` on {comparison.system}: {count} servers, "
            "each installed from Debian, PyPI or npm, started with a folder of known files, checked over loopback with "
            "every case of the corpus and every check of the static semantics, and stopped. The start commands and "
            "configurations are in `compare/servers.toml`: the defaults, and the few settings that serving a folder "
            "needs."
        ),
        (
            "The figures count failures of a MUST, of a rule against a known attack (security), and of a SHOULD; the "
            'column "stops it" counts the causes that made the server exit or fall silent. A failure is a difference '
            "from the RFC, not a judgement of the server: many are deliberate, and one mistake may fail fifty cases. "
            "httpsock's own policies are not counted. The conditions and ranges of an application server are those of "
            "its application."
        ),
        (
            "Each difference links to its bytes and its section. For each MUST that a well-known server breaks, the "
            "last table quotes the RFC. Corrections are welcome: please open an issue with the command and the words "
            "of the RFC that contradict the page."
        ),
    ]


def of_server(server: Compared, groups: list[Group], level: str) -> list[tuple[Group, int]]:
    """Return each group at *level* that includes *server*, with the number of the server's failures."""
    return [
        (one, len(difference.names))
        for one in groups
        if one.level == level
        for has, difference in one.servers
        if has is server
    ]
