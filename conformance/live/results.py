"""The result of one case or check on a server."""

from enum import Enum
from typing import NamedTuple

from conformance.corpus.requirements import chapter_of, load_requirements

# Why a case or check was skipped: time ran out, or the server had stopped.
NO_TIME = "no time was left"
GONE = "the server had stopped"
# A result stores at most this many of the octets received: a server may send megabytes for each case.
MAX_RECEIVED = 64 * 1024


class Outcome(Enum):
    """The outcome of a case or a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Result(NamedTuple):
    """The result of one case or check on a server. If it failed or was skipped, *why* is the reason.

    *reproduce* has shell commands that send the same octets again. If *stops_server* is true, the server exited or no
    longer answered, and *output* has its last lines of output.
    """

    name: str
    requirement: str
    level: str
    outcome: Outcome
    why: str
    sent: bytes
    received: bytes
    reproduce: str
    stops_server: bool = False
    output: str = ""


def chapter_of_result(result: Result) -> str:
    """Return the chapter of the result's requirement."""
    requirement = load_requirements().get(result.requirement)
    return chapter_of(requirement.section if requirement else "practice")


def section_of_result(result: Result) -> str:
    """Return the section of the result's requirement."""
    requirement = load_requirements().get(result.requirement)
    return requirement.section if requirement else ""


def matches(name: str, number: str, only: str | None) -> bool:
    """Return whether *only* selects the case or check called *name* with the requirement *number*.

    *only* may be part of the name, or of the requirement's number, section or chapter. None selects everything.
    """
    if only is None:
        return True
    section = load_requirements()[number].section
    return any(only.lower() in text.lower() for text in (name, number, section, chapter_of(section)))


def breaks_a_must(results: list[Result]) -> bool:
    """Return whether any failure in *results* breaks a MUST."""
    return any(result.outcome is Outcome.FAILED and result.level.startswith("MUST") for result in results)
