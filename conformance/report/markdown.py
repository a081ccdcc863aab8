"""The report: both parsers side by side, as one HTML page, as Markdown, and in short for the README.

``python3 -m conformance report`` writes conformance.html and conformance.md; ``--readme FILE`` puts the short
form between ``<!-- conformance -->`` and ``<!-- /conformance -->``. The same corpus always gives the same octets.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from conformance.corpus.cases import Case
from conformance.fuzz.differences import CLASSES

from .coverage import load_checks
from .figures import SECTION, Chapter, address_of, describe, load_chapters, load_coverages, load_excuses
from .page import render_page

BEGIN = "<!-- conformance -->"
END = "<!-- /conformance -->"


def main(argv: Sequence[str]) -> int:
    """Write the reports that *argv* names; return the exit code."""
    options = _parse_options(argv)
    if options.html is None and options.markdown is None and options.readme is None:
        options.html, options.markdown = Path("conformance.html"), Path("conformance.md")
    if options.html is not None:
        options.html.write_text(render_page(), encoding="utf-8")
    if options.markdown is not None:
        options.markdown.write_text(render_markdown(), encoding="utf-8")
    if options.readme is not None:
        try:
            text = with_summary(options.readme.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            print(f"conformance: {options.readme}: {error}", file=sys.stderr)
            return 2
        options.readme.write_text(text, encoding="utf-8")
    return 0


def _parse_options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance report",
        description="Write the report on both parsers. Without options: conformance.html and conformance.md.",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="one page, which needs no other file")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="the same as Markdown")
    parser.add_argument("--readme", metavar="FILE", type=Path, help=f"the short form, between {BEGIN} and {END}")
    return parser.parse_args(argv)


# --- The short form -------------------------------------------------------------------------------


def with_summary(text: str) -> str:
    """Return *text* with the short form between its markers. Raise ValueError unless it has one pair of markers."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"there is not one {BEGIN} with one {END} behind it")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{render_summary()}{END}{after}"


def render_summary() -> str:
    """Return the short form: totals in one paragraph, and the figures of each chapter."""
    chapters = load_chapters()
    cases = sum(len(chapter.cases) for chapter in chapters)
    coverages = load_coverages()
    gaps = sum(coverage.gap is not None for coverage in coverages)
    untestable = sum(coverage.requirement.untestable is not None for coverage in coverages)
    sentence = (
        f"{cases} cases: httpsock accepts {sum(chapter.accepted for chapter in chapters)} and refuses "
        f"{sum(chapter.refused for chapter in chapters)}. h11 differs in "
        f"{sum(chapter.differences for chapter in chapters)}, each with its reason in the table; generated "
        f"bytes differ in {len(CLASSES)} classes, each with its section. Of {len(coverages)} requirements "
        f"{len(coverages) - gaps - untestable} are tried by cases or by {len(load_checks())} checks of a running "
        f"server, {untestable} cannot be seen on the wire, {gaps} are not covered."
    )
    return f"\n{_wrapped(sentence)}\n\n{_chapter_table(chapters)}\n"


def _wrapped(sentence: str, width: int = 120) -> str:
    """Return *sentence* in lines of at most *width* characters."""
    return re.sub(rf"(.{{1,{width}}})(?: |$)", r"\1\n", sentence).rstrip("\n")


def _chapter_table(chapters: list[Chapter]) -> str:
    lines = ["| chapter | cases | accepted | refused | h11 differs | checks |", "|---|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {chapter.name} | {len(chapter.cases)} | {chapter.accepted} | {chapter.refused} | {chapter.differences} | "
        f"{chapter.checks} |"
        for chapter in chapters
    ]
    return "\n".join(lines)


# --- Markdown -------------------------------------------------------------------------------------


def render_markdown() -> str:
    """Return the whole report as Markdown."""
    parts = [
        "# The meaning of HTTP/1.1, as httpsock and h11 read it",
        render_summary().strip("\n"),
        "## Where h11 differs, case by case",
        *(_arguments(chapter) for chapter in load_chapters() if chapter.differences),
        "## Cases that h11 accepts whole and may refuse in parts",
        *(f"- {_linked(why)} {_names(cases)}." for why, cases in load_excuses().items()),
        "## Classes of differences",
        "The classes of differences in generated bytes.",
        _class_table(),
        "## The requirements",
        "How many cases keep and break each, and how many checks of a running server look at it.",
        _requirement_table(),
    ]
    return "\n\n".join(parts) + "\n"


def _arguments(chapter: Chapter) -> str:
    lines = [f"### {chapter.name}", ""]
    for why, cases in chapter.arguments.items():
        lines.append(f"- {_linked(why)}")
        for case in cases:
            ours = describe(case.expected["httpsock"], has_status=True)
            theirs = describe(case.expected["h11"], has_status=False)
            lines.append(f"  - `{case.name}`: httpsock {_cell(ours)}; h11 {_cell(theirs)}")
    return "\n".join(lines)


def _names(cases: list[Case]) -> str:
    return ", ".join(f"`{case.name}`" for case in cases)


def _class_table() -> str:
    lines = ["| class | section | direction | why |", "|---|---|---|---|"]
    lines += [
        f"| {entry.name} | {_linked(entry.section)} | {entry.direction} | {_cell(entry.says)} |"
        for entry in CLASSES.values()
    ]
    return "\n".join(lines)


def _requirement_table() -> str:
    lines = ["| number | section | level | requirement | kept | broken | checks |", "|---|---|---|---|--:|--:|--:|"]
    for requirement, keeping, breaking, checks in load_coverages():
        reason = f" Not testable: {requirement.untestable}" if requirement.untestable else ""
        lines.append(
            f"| {requirement.id} | {_linked(requirement.section)} | {requirement.level} | "
            f"{_cell(requirement.says + reason)} | {len(keeping)} | {len(breaking)} | {len(checks)} |"
        )
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return *text* with the markup characters of Markdown escaped."""
    return re.sub(r"([\\`*_|<>\[\]#~])", r"\\\1", text)


def _linked(text: str) -> str:
    """Return *text* as Markdown, with a link at each section that it names."""
    parts = []
    position = 0
    for match in SECTION.finditer(text):
        parts += [_cell(text[position : match.start()]), f"[{match[0]}]({address_of(match[0])})"]
        position = match.end()
    return "".join([*parts, _cell(text[position:])])
