"""Coverage: for each requirement, the cases and checks that test it.

A case is a file of octets in the corpus. If httpsock accepts all of its octets, the case keeps its requirement.
Otherwise the case breaks its requirement. A check is a test of a running server's responses.

A requirement is covered if a check tests it. It is also covered if one case keeps it and another case breaks it. There
are two exceptions. A one-sided requirement, which no request can break, needs only a case that keeps it. An untestable
requirement, which can't be seen on the wire, needs no case. The table of requirements gives the reason for each
exception.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TextIO

from conformance.corpus.cases import Case, load_cases
from conformance.corpus.requirements import Requirement, chapter_of, load_requirements
from conformance.corpus.texts import load_texts
from conformance.semantics.checks import CHECKS


class Coverage(NamedTuple):
    """The tests of one requirement: the cases that keep the requirement, the cases that break it, and the checks."""

    requirement: Requirement
    keeping: tuple[str, ...]
    breaking: tuple[str, ...]
    checks: tuple[str, ...]

    @property
    def gap(self) -> str | None:
        """The reason why the requirement is not covered. If it is covered, the value is None."""
        if self.checks or self.requirement.untestable:
            return None
        if not self.keeping:
            return "no case keeps it"
        if not self.breaking and not self.requirement.one_sided:
            return "no case breaks it"
        return None


def cover(cases: Iterable[Case], checks: Iterable[tuple[str, str]]) -> list[Coverage]:
    """Return the coverage of each requirement. *checks* are pairs of a check's name and its requirement's number."""
    keeping: dict[str, list[str]] = defaultdict(list)
    breaking: dict[str, list[str]] = defaultdict(list)
    checking: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        for number in (case.requirement, *case.also):
            (breaking if case.is_refused else keeping)[number].append(case.name)
    for name, number in checks:
        checking[number].append(name)
    return [
        Coverage(requirement, tuple(keeping[number]), tuple(breaking[number]), tuple(checking[number]))
        for number, requirement in load_requirements().items()
    ]


def load_checks() -> list[tuple[str, str]]:
    """Return the name of each check, with the number of its requirement."""
    return [(check.name, check.requirement) for check in CHECKS]


def table(coverages: Iterable[Coverage]) -> Iterator[str]:
    """Yield the lines of a table by chapter. Each line counts the cases and checks of one requirement."""
    by_chapter: dict[str, list[Coverage]] = defaultdict(list)
    for coverage in coverages:
        by_chapter[chapter_of(coverage.requirement.section)].append(coverage)
    for chapter in sorted(by_chapter, key=_chapter_order):
        yield ""
        yield f"{chapter:<52} keep  break  checks"
        for coverage in by_chapter[chapter]:
            requirement = coverage.requirement
            counts = f"{len(coverage.keeping):>4}  {len(coverage.breaking):>5}  {len(coverage.checks):>6}"
            line = f"  {requirement.id}  {requirement.section:<22}{requirement.level:<22}{counts}"
            yield f"{line}  {_remark(coverage)}".rstrip()


def report(out: TextIO) -> bool:
    """Print the table and its totals to *out*. Return whether every requirement is covered."""
    cases, checks = load_cases(), load_checks()
    coverages = cover(cases, checks)
    gaps = [coverage for coverage in coverages if coverage.gap]
    untestable = [coverage for coverage in coverages if coverage.requirement.untestable]
    print(f"{len(coverages)} requirements, {len(cases)} cases, {len(checks)} checks", file=out)
    for line in table(coverages):
        print(line, file=out)
    print("\nErrata and rules of other texts", file=out)
    for text in load_texts():
        tried = f"tried by {len(text.tried_by)}" if text.tried_by else "not tried"
        print(f"  {text.text:<31}{tried:<12}{text.why or text.says}", file=out)
    covered = len(coverages) - len(gaps) - len(untestable)
    print(f"\n{covered} covered, {len(untestable)} untestable, {len(gaps)} not covered", file=out)
    for coverage in gaps:
        print(f"  {coverage.requirement.id}  {coverage.gap}: {coverage.requirement.says}", file=out)
    return not gaps


def main(arguments: Sequence[str]) -> int:
    """Print the coverage. If every requirement is covered, return 0, otherwise 1."""
    argparse.ArgumentParser(
        prog="python3 -m conformance coverage",
        description="For each requirement, print how many cases keep it, how many break it, and how many checks of a "
        "running server try it. Exits with 1 if a requirement is not covered.",
    ).parse_args(arguments)
    return 0 if report(sys.stdout) else 1


def _remark(coverage: Coverage) -> str:
    """Return the remark at the end of a line in the table."""
    requirement = coverage.requirement
    if requirement.untestable:
        return f"untestable: {requirement.untestable}"
    if coverage.gap:
        return f"NOT COVERED: {coverage.gap}"
    if requirement.one_sided and not coverage.breaking and not coverage.checks:
        return f"one-sided: {requirement.one_sided}"
    return ""


def _chapter_order(chapter: str) -> tuple[bool, str, int]:
    """Return a sort key for chapters. Chapters of RFCs come first, in the order of their numbers."""
    document, sign, rest = chapter.partition(" §")
    return (not sign, document, int(rest.partition(" ")[0]) if sign else 0)
