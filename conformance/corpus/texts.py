"""Errata, and rules outside the main RFCs. Each entry lists its tests, or says why it does not apply.

One entry of ``texts.toml``:

    [[texts]]
    text = "RFC 9112 erratum 7633"                    the erratum or section
    status = "rejected"                               verified, held, reported or rejected, if it is an erratum
    says = "What it says, in one sentence."
    tried_by = ["a-chunk-line-that-ends-with-lf"]     cases of the corpus and checks of the static semantics
    why = "Why it does not apply."                    if it does not apply to a server of files, or applies only in part
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("texts.toml")


class Text(NamedTuple):
    """One erratum, or one section outside the main RFCs.

    *tried_by* lists the cases and checks that test it. If the entry does not apply, *why* is the reason.
    """

    text: str
    says: str
    status: str | None = None
    tried_by: tuple[str, ...] = ()
    why: str | None = None


@cache
def load_texts() -> tuple[Text, ...]:
    """Return all entries, in the order of the table. If one has a missing or unknown key, raise TypeError."""
    with TABLE.open("rb") as file:
        entries = tomllib.load(file)["texts"]
    return tuple(Text(tried_by=tuple(entry.pop("tried_by", ())), **entry) for entry in entries)
