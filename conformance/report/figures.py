"""The figures of the report: counts of cases, requirements and checks by chapter, and the reasons of differences.

All figures come from the tables. This module runs no parser.
"""

from collections import Counter
from importlib.metadata import version
from typing import NamedTuple

from conformance.corpus.cases import Case, load_cases
from conformance.corpus.requirements import SECTION, Requirement, chapter_of
from conformance.corpus.verdicts import Verdict

from .coverage import Coverage, cover, load_checks

H11_VERSION = version("h11")


class Chapter(NamedTuple):
    """A chapter of an RFC, with the cases and requirements that belong to it.

    *checks* is the number of checks that test one of these requirements on a running server.
    """

    name: str
    cases: tuple[Case, ...]
    requirements: tuple[Requirement, ...]
    checks: int

    @property
    def refused(self) -> int:
        """The number of cases that httpsock refuses, entirely or in part."""
        return sum(case.is_refused for case in self.cases)

    @property
    def accepted(self) -> int:
        """The number of cases that httpsock accepts entirely."""
        return len(self.cases) - self.refused

    @property
    def arguments(self) -> dict[str, list[Case]]:
        """The cases in which h11 differs from httpsock, grouped by the reason."""
        found: dict[str, list[Case]] = {}
        for case in self.cases:
            if case.why is not None:
                found.setdefault(case.why, []).append(case)
        return found

    @property
    def differences(self) -> int:
        """The number of cases in which h11 differs from httpsock."""
        return sum(case.why is not None for case in self.cases)


def load_chapters() -> list[Chapter]:
    """Return all chapters. The chapters of RFC 9112 come first."""
    cases: dict[str, list[Case]] = {}
    requirements: dict[str, list[Requirement]] = {}
    checks: Counter[str] = Counter()
    for case in load_cases():
        cases.setdefault(chapter_of(case.section), []).append(case)
    for coverage in load_coverages():
        name = chapter_of(coverage.requirement.section)
        requirements.setdefault(name, []).append(coverage.requirement)
        checks[name] += len(coverage.checks)
    names = sorted(cases.keys() | requirements.keys(), key=_order)
    return [
        Chapter(name, tuple(cases.get(name, ())), tuple(requirements.get(name, ())), checks[name]) for name in names
    ]


def _order(chapter: str) -> tuple[int, int, int, str]:
    """Return a sort key for chapters. RFC 9112 comes first, then RFC 9110, then other RFCs, then the rest."""
    match = SECTION.match(chapter)
    if match is None:
        return (3, 0, 0, chapter)
    rank = {"9112": 0, "9110": 1}.get(match[1], 2)
    return (rank, int(match[1]), int(match[2].partition(".")[0]), chapter)


def load_excuses() -> dict[str, list[Case]]:
    """Return the cases that h11 accepts in one read, but may refuse if the octets arrive in several reads.

    The keys are the reasons for these refusals.
    """
    found: dict[str, list[Case]] = {}
    for case in load_cases():
        if case.h11_in_parts is not None:
            found.setdefault(case.h11_in_parts, []).append(case)
    return found


def load_coverages() -> list[Coverage]:
    """Return the coverage of each requirement."""
    return cover(load_cases(), load_checks())


def describe(verdict: Verdict, *, has_status: bool) -> str:
    """Describe *verdict* in words. If *has_status* is true, include the status of a refusal."""
    requests = ", ".join(f"{request.method} {request.path}".rstrip() for request in verdict.accepted)
    refusal = f"refuses with {verdict.status}" if has_status else "refuses"
    if not verdict.is_refused:
        return f"accepts {requests}" if requests else "accepts no request"
    return f"accepts {requests}, then {refusal}" if requests else refusal


def show(octets: bytes, maximum: int = 400) -> str:
    """Return the first *maximum* octets as printable ASCII with escapes, line by line."""
    shown = "".join(
        chr(octet) if 0x20 <= octet < 0x7F and octet != 0x5C else _escape(octet) for octet in octets[:maximum]
    )
    lines = shown.replace("\\n", "\\n\n").rstrip("\n")
    return f"{lines}…" if len(octets) > maximum else lines


def _escape(octet: int) -> str:
    return {0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t", 0x5C: "\\\\"}.get(octet, f"\\x{octet:02x}")
