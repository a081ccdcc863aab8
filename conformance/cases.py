"""The cases: files of exact octets, and the table that says what each reader must make of them.

A case is one file ``corpus/<name>.http``, whose name says what is in it, and one entry of ``corpus.toml``:

    [a-space-before-the-colon]                                what the octets are
    requirement = "R036"                                      which requirement they try
    section = "RFC 9112 §5.1"                                 and where that is written
    httpsock = { refused = 400 }                              or { accepted = [{ method, path, fields, content }, ...] }
    h11 = "refused"                                           or "accepted": whether h11 takes all of it
    h11_accepted = [...]                                      what h11 understands, where that is something else
    why = "One sentence with its section."                    if, and only if, the two differ

A request accepted has ``closes = true`` if nothing behind it is read.
"""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from .judges import Understood, Verdict

FOLDER = Path(__file__).parent / "corpus"
TABLE = Path(__file__).parent / "corpus.toml"

# What h11 hints at where it says nothing more exact; verdicts are compared without it.
_ANY_STATUS = 400


class Case(NamedTuple):
    """One case: its octets, what it tries, and the verdicts expected."""

    name: str
    octets: bytes
    requirement: str
    section: str
    expected: dict[str, Verdict]
    why: str | None


def load_cases() -> list[Case]:
    """Return all cases of the table, in its order. Raises an error at an entry that lacks something or has too much."""
    with TABLE.open("rb") as table:
        return [_case(name, entry) for name, entry in tomllib.load(table).items()]


def _case(name: str, entry: dict[str, Any]) -> Case:
    """Return the case that *entry* of the table describes."""
    unknown = entry.keys() - {"requirement", "section", "httpsock", "h11", "h11_accepted", "why"}
    if unknown:
        raise ValueError(f"the case {name} has {', '.join(sorted(unknown))}")
    httpsock = Verdict(_accepted(entry["httpsock"].get("accepted", [])), entry["httpsock"].get("refused"))
    h11_accepted = _accepted(entry["h11_accepted"]) if "h11_accepted" in entry else httpsock.accepted
    h11 = Verdict(h11_accepted, {"accepted": None, "refused": _ANY_STATUS}[entry["h11"]])
    octets = (FOLDER / f"{name}.http").read_bytes()
    expected = {"httpsock": httpsock, "h11": h11}
    return Case(name, octets, entry["requirement"], entry["section"], expected, entry.get("why"))


def _accepted(entries: list[dict[str, Any]]) -> tuple[Understood, ...]:
    return tuple(Understood(**entry) for entry in entries)
