"""Groups of failures that probably have the same cause, the most serious group first.

One mistake of a server can fail many cases. For example, a 405 without Allow fails thirty. Failures belong together if
they break the same requirement at the same level. Their messages may differ only in numbers and quotations.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from conformance.corpus.requirements import load_requirements

from .results import Outcome, Result

# The levels, the gravest first, each with its meaning for a server that fails at it.
LEVELS = {
    "MUST": "required by the RFC",
    "SECURITY": "the RFC leaves this open, and an attack is known",
    "SHOULD": "recommended by the RFC: there may be reasons not to follow it",
    "MAY": "optional in the RFC, but implemented wrongly",
    "POLICY": "a choice of httpsock, which other servers need not make",
}
# Requirements of framing: a server that breaks one may serve a request that is hidden in the content of another.
_FRAMING = frozenset(("R007", *(f"R{number:03}" for number in range(48, 75))))
# A server that evaluates neither If-Match nor If-Unmodified-Since breaks all of these, each with this verdict.
_FAMILY = frozenset(("R121", "R122", "R123"))
_FAMILY_SHAPE = "not 412"
_OMISSION = "If-Match and If-Unmodified-Since are not evaluated."
# The quotations and numbers in which verdicts of one kind differ.
_FIGURES = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[0-9]+")
_SECTION = re.compile(r" \(RFC [0-9]+ §[0-9.]+\)$")


class Cause(NamedTuple):
    """Failures at one *level* that probably have the same cause.

    *requirements* are the requirements that the failures break.
    """

    level: str
    requirements: tuple[str, ...]
    says: str
    failures: tuple[Result, ...]

    @property
    def section(self) -> str:
        """The RFC section of the first requirement that the failures break."""
        return load_requirements()[self.requirements[0]].section

    @property
    def example(self) -> Result:
        """The failure that takes the fewest octets to repeat."""
        return min(self.failures, key=lambda failure: (len(failure.reproduce), failure.name))

    @property
    def why(self) -> str:
        """The message of the example."""
        return self.example.why


def find_causes(results: Sequence[Result]) -> list[Cause]:
    """Group the failures in *results* by cause. Causes that stop the server come first."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.outcome is Outcome.FAILED:
            kind = shape(result.why) + _error_in(result.output)
            groups.setdefault((result.level, result.requirement, kind), []).append(result)
    causes = _join_family(groups) + [_cause(failures) for failures in groups.values()]
    return sorted(causes, key=_order)


def blocks(results: Sequence[Result]) -> list[tuple[str, list[Cause]]]:
    """Return the causes in blocks with titles. Causes that stop the server come first, then the others by level."""
    found = find_causes(results)
    stops = [cause for cause in found if cause.failures[0].stops_server]
    titled = [("STOPS THE SERVER", "it exits, or no longer answers", stops)]
    titled += [
        (level, meaning, [cause for cause in found if cause.level == level and cause not in stops])
        for level, meaning in LEVELS.items()
    ]
    return [
        (f"{name}: {_failures(sum(len(cause.failures) for cause in causes))} ({meaning})", causes)
        for name, meaning, causes in titled
        if causes
    ]


def _failures(count: int) -> str:
    return "1 failure" if count == 1 else f"{count} failures"


def _cause(failures: Sequence[Result]) -> Cause:
    """Make a cause from failures that break the same requirement."""
    number = failures[0].requirement
    return Cause(failures[0].level, (number,), load_requirements()[number].says, tuple(failures))


def _join_family(groups: dict[tuple[str, str, str], list[Result]]) -> list[Cause]:
    """If a server ignores both If-Match and If-Unmodified-Since, join its failures with these fields into one cause.

    Remove these failures from *groups*, and return a list with the cause. For any other server, return an empty list.
    """
    keys = [key for key in groups if key[0] == "MUST" and key[1] in _FAMILY and key[2] == _FAMILY_SHAPE]
    if {number for _, number, _ in keys} != _FAMILY:
        return []
    failures = [failure for key in keys for failure in groups.pop(key)]
    return [Cause("MUST", tuple(sorted(_FAMILY)), _OMISSION, tuple(failures))]


def shape(why: str) -> str:
    """Remove numbers and quotations from a message, but keep the expected status."""
    if is_due := re.match(r"the status is [0-9]+, (not .*)", why):
        return is_due[1]
    return _FIGURES.sub("#", _SECTION.sub("", why))


def _error_in(output: str) -> str:
    """Return the name of the error in the last line of a server's output, such as "ValueError"."""
    return output.splitlines()[-1].partition(":")[0] if output else ""


def _order(cause: Cause) -> tuple[bool, int, bool, int, tuple[str, ...]]:
    """Return a sort key for causes. Causes that stop the server come first, then the others by level.

    Within a level, framing faults come first, then the causes with the most failures.
    """
    return (
        not cause.failures[0].stops_server,
        list(LEVELS).index(cause.level),
        cause.requirements[0] not in _FRAMING,
        -len(cause.failures),
        cause.requirements,
    )
