"""The test cases: files of exact octets, and tables with the verdict that each parser must reach.

A case is one file ``<chapter>/<name>.http``, and the entry of that name in ``<chapter>/cases.toml``:

    [a-space-before-the-colon]                                the name of the file
    requirement = "R036"                                      the requirement that the case tests
    also = ["R035"]                                           further requirements that the case tests
    section = "RFC 9112 §5.1"                                 the section of the rule
    level = "MUST"                                            the level, if not that of the requirement
    cut_short = true                                          if the case is refused only because it ends too early
    httpsock = { refused = 400 }                              or { accepted = [{ method, path, fields, content }, ...] }
    allowed = [400]                                           what any server may do: see Case
    h11 = "refused"                                           or "accepted", if h11 accepts all of its octets
    h11_accepted = [...]                                      the requests that h11 accepts, if httpsock accepts others
    h11_in_parts = "One sentence with its section."           why h11 may refuse the case if it arrives in parts
    why = "One sentence with its section."                    why httpsock and h11 differ, if they do

An accepted request has ``closes = true`` if it is the last one that the server reads.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .requirements import load_requirements
from .verdicts import Understood, Verdict

FOLDER = Path(__file__).parent
# The chapters, each a folder with its table, in the order in which they are read.
CHAPTERS = (
    *("well-formed", "request-line", "version", "request-target", "host", "field-lines"),
    *("content-length", "transfer-encoding", "chunks", "extensions-and-trailers", "connections", "no-http"),
)

# The status in each expected refusal by h11; a comparison of two verdicts ignores the status.
_ANY_STATUS = 400

_REQUIRED_KEYS = {"requirement", "section", "httpsock", "h11"}
_OPTIONAL_KEYS = {"also", "level", "cut_short", "allowed", "h11_accepted", "h11_in_parts", "why"}


class Case(NamedTuple):
    """One test case: its octets, its requirement, the expected verdict of each parser, and what any server may do.

    A server passes the case if it does one of the things in *allowed*:

        "accepted"  give each request a final response, and keep the connection open unless a request asked to close
        "last"      give each request a final response, but answer no request that follows the case
        "refused"   respond with any 4xx or 5xx, or not at all, and close the connection
        a status    respond with this status, and close the connection
    """

    chapter: str
    name: str
    octets: bytes
    requirement: str
    also: tuple[str, ...]
    section: str
    level: str
    expected: dict[str, Verdict]
    allowed: tuple[str | int, ...]
    why: str | None
    h11_in_parts: str | None = None
    is_cut_short: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether httpsock refuses the octets, entirely or in part."""
        return self.expected["httpsock"].is_refused


@cache
def load_cases() -> tuple[Case, ...]:
    """Return all cases, in the order of the tables. If an entry has a wrong or missing key, raise ValueError."""
    cases = []
    for chapter in CHAPTERS:
        table = tomllib.loads((FOLDER / chapter / "cases.toml").read_text(encoding="utf-8"))
        cases += [_case(chapter, name, entry) for name, entry in table.items()]
    return tuple(cases)


def _case(chapter: str, name: str, entry: dict[str, Any]) -> Case:
    """Parse the entry called *name* in the table of *chapter*."""
    if wrong := (entry.keys() - _REQUIRED_KEYS - _OPTIONAL_KEYS) | (_REQUIRED_KEYS - entry.keys()):
        raise ValueError(f"the case {name} has missing or unknown keys: {', '.join(sorted(wrong))}")
    httpsock = Verdict(_accepted(entry["httpsock"].get("accepted", [])), entry["httpsock"].get("refused"))
    h11_accepted = _accepted(entry["h11_accepted"]) if "h11_accepted" in entry else httpsock.accepted
    h11 = Verdict(h11_accepted, {"accepted": None, "refused": _ANY_STATUS}[entry["h11"]])
    return Case(
        chapter,
        name,
        (FOLDER / chapter / f"{name}.http").read_bytes(),
        entry["requirement"],
        tuple(entry.get("also", ())),
        entry["section"],
        entry.get("level") or load_requirements()[entry["requirement"]].level,
        {"httpsock": httpsock, "h11": h11},
        tuple(entry.get("allowed", ("refused",) if httpsock.is_refused else ("accepted",))),
        entry.get("why"),
        entry.get("h11_in_parts"),
        entry.get("cut_short", False),
    )


def _accepted(entries: list[dict[str, Any]]) -> tuple[Understood, ...]:
    return tuple(Understood(**entry) for entry in entries)
