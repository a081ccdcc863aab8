"""Results: the outcome of one case or check against one server."""

from enum import Enum
from typing import NamedTuple

from conformance.corpus.requirements import chapter_of, load_requirements

# The reason of a skipped case or check that the time limit left out.
NO_TIME = "no time was left"
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


def matches(result: Result, only: str | None) -> bool:
    """Return whether *only* is None or is part of the name, the requirement or the chapter of *result*."""
    if only is None:
        return True
    return any(
        only.lower() in text.lower()
        for text in (result.name, result.requirement, section_of_result(result), chapter_of_result(result))
    )


def breaks_a_must(results: list[Result]) -> bool:
    """Return whether one of *results* says that a MUST is broken."""
    return any(result.outcome is Outcome.FAILED and result.level.startswith("MUST") for result in results)
