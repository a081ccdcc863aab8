"""Results: the outcome of one case or check against one server."""

from enum import Enum
from typing import NamedTuple

from conformance.corpus.requirements import chapter_of, load_requirements

# The reason of a case or check that was skipped for lack of time.
NO_TIME = "no time was left"
# The reason of those that were skipped after the server ended.
GONE = "the server had ended"
# A result keeps at most this much of the octets received: a server may send megabytes for each case.
KEPT_OCTETS = 64 * 1024


class Outcome(Enum):
    """The outcome of a case or a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Result(NamedTuple):
    """One case or check against one server: its outcome, and after a failure the reason and a way to repeat it."""

    name: str
    requirement: str
    level: str
    outcome: Outcome
    why: str
    sent: bytes
    received: bytes
    reproduce: str


def chapter_of_result(result: Result) -> str:
    """Return the chapter of the requirement of *result*."""
    requirement = load_requirements().get(result.requirement)
    return chapter_of(requirement.section if requirement else "practice")


def section_of_result(result: Result) -> str:
    """Return the section of the requirement of *result*."""
    requirement = load_requirements().get(result.requirement)
    return requirement.section if requirement else ""


def matches(name: str, number: str, only: str | None) -> bool:
    """Return whether *only* is None or a part of *name*, of the requirement *number*, its section or its chapter."""
    if only is None:
        return True
    section = load_requirements()[number].section
    return any(only.lower() in text.lower() for text in (name, number, section, chapter_of(section)))


def breaks_a_must(results: list[Result]) -> bool:
    """Return whether one of *results* is a broken MUST."""
    return any(result.outcome is Outcome.FAILED and result.level.startswith("MUST") for result in results)
