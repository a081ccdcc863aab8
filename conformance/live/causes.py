"""The causes of failures: failures that likely have one cause together, the gravest first.

One mistake of a server breaks many cases: a 405 without Allow, thirty. Failures count as one cause if they break the
same requirement at the same level, and if their verdicts differ in figures and quotations alone.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from conformance.corpus.requirements import load_requirements

from .results import Outcome, Result
from .trials import is_end

# The levels, the gravest first, and the meaning of each for the server that breaks it.
LEVELS = {
    "MUST": "required by the RFC",
    "SECURITY": "the RFC leaves this open, and an attack is known",
    "SHOULD": "recommended by the RFC: there may be reasons not to follow it",
    "MAY": "optional in the RFC, but done wrongly",
    "POLICY": "a choice of httpsock, which others need not make",
}
# Requirements of framing: a server that breaks one may serve a request that another one has hidden in its content.
_FRAMING = frozenset(("R007", *(f"R{number:03}" for number in range(48, 75))))
# Requirements that one omission breaks together, all of them, with this verdict.
_FAMILY = frozenset(("R121", "R122", "R123"))
_FAMILY_SHAPE = "not 412"
_OMISSION = "If-Match and If-Unmodified-Since are not evaluated."
# What differs between verdicts of one kind.
_FIGURES = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9]+")
_SECTION = re.compile(r" \(RFC [0-9]+ §[0-9.]+\)$")


class Cause(NamedTuple):
    """*failures* that likely have one cause: all at one *level*, most often of one of *requirements*."""

    level: str
    requirements: tuple[str, ...]
    says: str
    failures: tuple[Result, ...]

    @property
    def section(self) -> str:
        """The section of the first requirement."""
        return load_requirements()[self.requirements[0]].section

    @property
    def example(self) -> Result:
        """The failure that is shortest to repeat."""
        return min(self.failures, key=lambda failure: (len(failure.reproduce), failure.name))

    @property
    def why(self) -> str:
        """The verdict on the example."""
        return self.example.why


def find_causes(results: Sequence[Result]) -> list[Cause]:
    """Return the causes of the failures among *results*: those that end the server first, then level by level."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.outcome is Outcome.FAILED:
            groups.setdefault((result.level, result.requirement, shape(result.why)), []).append(result)
    causes = _join_family(groups) + [_cause(failures) for failures in groups.values()]
    return sorted(causes, key=_order)


def blocks(results: Sequence[Result]) -> list[tuple[str, list[Cause]]]:
    """Return the causes of the failures in blocks with a title: what ends the server, then each level."""
    found = find_causes(results)
    ends = [cause for cause in found if is_end(cause.failures[0])]
    titled = [("ENDS THE SERVER", "everything behind it gets no answer", ends)]
    titled += [
        (level, meaning, [cause for cause in found if cause.level == level and cause not in ends])
        for level, meaning in LEVELS.items()
    ]
    return [
        (f"{name}: {sum(len(cause.failures) for cause in causes)} failures ({meaning})", causes)
        for name, meaning, causes in titled
        if causes
    ]


def _cause(failures: Sequence[Result]) -> Cause:
    """Return the cause of *failures*, which are alike."""
    number = failures[0].requirement
    return Cause(failures[0].level, (number,), load_requirements()[number].says, tuple(failures))


def _join_family(groups: dict[tuple[str, str, str], list[Result]]) -> list[Cause]:
    """Move the groups that one omission explains into one cause, if all of its requirements are broken."""
    keys = [key for key in groups if key[0] == "MUST" and key[1] in _FAMILY and key[2] == _FAMILY_SHAPE]
    if {number for _, number, _ in keys} != _FAMILY:
        return []
    failures = [failure for key in keys for failure in groups.pop(key)]
    return [Cause("MUST", tuple(sorted(_FAMILY)), _OMISSION, tuple(failures))]


def shape(why: str) -> str:
    """Return *why* without its figures and quotations, but with the expected status."""
    if is_due := re.match(r"the status is [0-9]+, (not .*)", why):
        return is_due[1]
    said, _, output = why.partition("; it printed last: ")
    # Of what a server prints at its end, the last line names the error.
    last = output.splitlines()[-1].partition(":")[0] if output else ""
    return _FIGURES.sub("#", _SECTION.sub("", said) + last)


def _order(cause: Cause) -> tuple[bool, int, bool, int, tuple[str, ...]]:
    """Return what causes are sorted by: ends of the server, levels, framing, and how many failures they have."""
    return (
        not is_end(cause.failures[0]),
        list(LEVELS).index(cause.level),
        cause.requirements[0] not in _FRAMING,
        -len(cause.failures),
        cause.requirements,
    )
