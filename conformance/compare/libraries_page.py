"""Write the page on parsers, PARSERS.md."""

import datetime as dt
import html
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from conformance.corpus.cases import CHAPTERS, load_cases

from .markdown import table
from .view import files

if TYPE_CHECKING:
    from .libraries import Read

_MAX_REASON = 120
# The members of libraries.Agreement whose cases the page lists one by one, with the heads of their columns.
_LISTED = {
    "LENIENT": "accepts what is invalid",
    "STRICT": "refuses what is valid",
    "OTHER": "reads other requests",
}


def render(found: Sequence["Read"], skipped: dict[str, str], date: dt.date) -> str:
    """Return the page. *skipped* has the title of each parser that was not tried, with the reason."""
    parts = [
        "# Parsers of HTTP/1.1, case by case",
        (
            f"Made on {date.isoformat()} by `python3 -m conformance parsers`: the {len(load_cases())} cases of the "
            "corpus, each given to the parser in one piece, followed by the end of the connection. The comparison "
            "covers the number of requests, the content of each, and whether the rest is refused."
        ),
        (
            "A parser is not a server: most leave Host and the target to the program that uses them. Differences in "
            "those chapters are work for that program, not faults. Behaviour that the RFC leaves open counts as "
            "allowed. Corrections are welcome."
        ),
        table(
            ["parser", "version", "as expected", "allowed", *_LISTED.values()],
            [[read.title, read.version, *_counts(read)] for read in found],
            numbers=len(_LISTED) + 3,
        ),
        *([f"Not tried: {'; '.join(f'{title} ({why})' for title, why in skipped.items())}."] if skipped else []),
        "## By chapter",
        "Accepted though invalid · refused though valid · read as other requests.",
        table(["parser", *CHAPTERS], [[read.title, *_chapters(read)] for read in found], len(CHAPTERS)),
        *(part for read in found for part in _listed(read)),
    ]
    return "\n\n".join(parts) + "\n"


def _counts(read: "Read") -> list[str]:
    counts = Counter(agreement.name for agreement in read.agreements.values())
    return [str(counts[name]) for name in ("SAME", "ALLOWED", *_LISTED)]


def _chapters(read: "Read") -> list[str]:
    """Return one table cell for each chapter. Each cell counts the cases that the parser reads wrongly."""
    counts = Counter((case.chapter, read.agreements[case.name].name) for case in load_cases())
    cells = [[counts[chapter, name] for name in _LISTED] for chapter in CHAPTERS]
    return [" · ".join(map(str, cell)) if any(cell) else "–" for cell in cells]


def _listed(read: "Read") -> list[str]:
    """Return lists of the cases that the parser reads wrongly. Each case is a link to its octets."""
    parts = [f"## {read.title} {read.version}"]
    for name, title in _LISTED.items():
        lines = [
            f"- [{case}]({files()[case]}){_reason(read.reasons[case])}"
            for case, agreement in read.agreements.items()
            if agreement.name == name
        ]
        if lines:
            summary = f"<summary>{title}: {len(lines)}</summary>"
            parts.append(f"<details>{summary}\n\n" + "\n".join(lines) + "\n\n</details>")
    return parts


def _reason(reason: str | None) -> str:
    """Return the parser's reason for a refusal in one line."""
    if reason is None:
        return ""
    text = " ".join(reason.split())
    text = text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}…"
    return ": " + html.escape(text, quote=False).replace("`", "'").replace("*", "\\*").replace("|", "\\|")
