"""The requirements of the RFCs on a server of static files. Each requirement has a number.

One entry of ``requirements.toml``:

    [R036]
    section = "RFC 9112 §5.1"                 the section that states it, or "practice" or "policy" if no RFC does
    level = "MUST"                            or SHOULD, MAY; SECURITY if the RFC leaves it open and an attack is known
    says = "The requirement, in one sentence."
    one_sided = "Why no client breaks it."    if only a response can break it, so that no case of the corpus does
    untestable = "Why no test can tell."      if it cannot be seen on the wire

The level is the key word of the section, such as MUST. Some rules have no key word. A rule without a key word counts as
a MUST if it defines the meaning of a protocol element (RFC 9110 §2.2). Otherwise it counts as a SHOULD.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).parent / "requirements.toml"

# A section of an RFC, as the tables write it.
SECTION = re.compile(r"RFC ([0-9]{4}) §([0-9]+(?:\.[0-9]+)*)")

LEVELS = ("MUST", "SHOULD", "MAY", "SECURITY")

_CHAPTERS = {
    "RFC 3986 §2": "Characters of a URI",
    "RFC 3986 §6": "Equivalence of URIs",
    "RFC 6585 §5": "Request Header Fields Too Large",
    "RFC 8246 §2": "The immutable directive",
    "RFC 9110 §2": "Conformance",
    "RFC 9110 §4": "Identifiers",
    "RFC 9110 §5": "Fields",
    "RFC 9110 §6": "Message abstraction",
    "RFC 9110 §7": "Routing",
    "RFC 9110 §8": "Representation data and metadata",
    "RFC 9110 §9": "Methods",
    "RFC 9110 §10": "Message context",
    "RFC 9110 §12": "Content negotiation",
    "RFC 9110 §13": "Conditional requests",
    "RFC 9110 §14": "Range requests",
    "RFC 9110 §15": "Status codes",
    "RFC 9110 §17": "Security considerations",
    "RFC 9112 §2": "Message",
    "RFC 9112 §3": "Request line",
    "RFC 9112 §5": "Field syntax",
    "RFC 9112 §6": "Message body",
    "RFC 9112 §7": "Transfer codings",
    "RFC 9112 §8": "Incomplete messages",
    "RFC 9112 §9": "Connection management",
    "RFC 9530 §2": "Digests of the content",
}


class Requirement(NamedTuple):
    """One requirement.

    If no test can check the requirement, *untestable* is the reason. Some requirements concern only responses, so no
    request can break them. *one_sided* is then the reason.
    """

    id: str
    section: str
    level: str
    says: str
    untestable: str | None = None
    one_sided: str | None = None


@cache
def load_requirements() -> dict[str, Requirement]:
    """Return all requirements by number. If an entry has a missing or unknown key, raise TypeError."""
    with TABLE.open("rb") as table:
        return {number: Requirement(number, **entry) for number, entry in tomllib.load(table).items()}


def chapter_of(section: str) -> str:
    """Return the chapter of a section, with its title. "RFC 9112 §5.1" becomes "RFC 9112 §5 Field syntax"."""
    match = re.match(r"RFC [0-9]{4} §[0-9]+", section)
    if match is None:
        return f"Beyond the RFCs: {section}"
    return f"{match[0]} {_CHAPTERS.get(match[0], '')}".rstrip()


def address_of(section: str) -> str | None:
    """Return the URL of *section*. If it is not in an RFC, return None."""
    match = SECTION.match(section)
    return f"https://www.rfc-editor.org/rfc/rfc{match[1]}#section-{match[2]}" if match else None
