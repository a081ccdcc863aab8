"""The report as one HTML page, which needs no other file, and no script."""

from html import escape

from conformance.corpus.cases import Case
from conformance.corpus.requirements import Requirement
from conformance.fuzz.differences import CLASSES
from httpsock import __version__

from .figures import (
    H11_VERSION,
    SECTION,
    Chapter,
    address_of,
    describe,
    load_chapters,
    load_coverages,
    load_excuses,
    show,
)

_STYLE = """
:root { color-scheme: light dark; --text: #1b1d21; --ground: #fdfdfc; --line: #d9dadd; --quiet: #5d626b;
  --link: #0b57a4; --panel: #f1f2f3 }
@media (prefers-color-scheme: dark) { :root { --text: #e5e6e8; --ground: #17191c; --line: #383c42; --quiet: #9ba1ab;
  --link: #86b9f5; --panel: #212428 } }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 68rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif }
h1, h2, h3 { line-height: 1.2; text-wrap: balance }
h2 { margin-top: 3rem }
a { color: var(--link) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td.count, th.count { text-align: right; font-variant-numeric: tabular-nums }
code, pre { font: .85rem/1.45 ui-monospace, monospace }
pre { margin: .4rem 0; padding: .6rem .8rem; background: var(--panel); overflow-x: auto }
details { margin: .3rem 0 }
summary { cursor: pointer }
.quiet { color: var(--quiet) }
"""


def render_page() -> str:
    """Return the whole report as HTML; it is well-formed XML too."""
    chapters = load_chapters()
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>HTTP/1.1: httpsock and h11</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        "<h1>What HTTP/1.1 means, and where httpsock and h11 stand</h1>",
        f'<p class="quiet">httpsock {escape(__version__)}, h11 {escape(H11_VERSION)}. {_totals(chapters)}</p>',
        "<h2>By chapter</h2>",
        _chapter_table(chapters),
        "<h2>Where h11 differs, case by case</h2>",
        *(_arguments(chapter) for chapter in chapters if chapter.differences),
        "<h2>What h11 takes whole, and may refuse in parts</h2>",
        *(f"<p>{_linked(why)} {_names(cases)}.</p>" for why, cases in load_excuses().items()),
        "<h2>Where h11 differs, whatever the octets</h2>",
        "<p>The classes that differences in generated octets fall into, each with the shortest example.</p>",
        _class_table(),
        "<h2>The requirements</h2>",
        "<p>How many cases keep and break each, and how many checks of a running server look at it.</p>",
        _requirement_table(),
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _totals(chapters: list[Chapter]) -> str:
    cases = sum(len(chapter.cases) for chapter in chapters)
    refused = sum(chapter.refused for chapter in chapters)
    differences = sum(chapter.differences for chapter in chapters)
    return f"{cases} cases, {cases - refused} taken and {refused} refused; h11 differs in {differences}."


def _table(heads: tuple[str, ...], rows: list[tuple[str | int, ...]]) -> str:
    """Return a table: strings are markup, numbers are counts."""
    counts = [isinstance(cell, int) for cell in rows[0]] if rows else [False] * len(heads)
    head = "".join(
        f'<th scope="col"{_class(is_count)}>{name}</th>' for name, is_count in zip(heads, counts, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td{_class(isinstance(cell, int))}>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _class(is_count: object) -> str:
    return ' class="count"' if is_count else ""


def _chapter_table(chapters: list[Chapter]) -> str:
    rows: list[tuple[str | int, ...]] = [
        (
            f'<a href="#{_anchor(chapter)}">{escape(chapter.name)}</a>'
            if chapter.differences
            else escape(chapter.name),
            *(len(chapter.requirements), len(chapter.cases), chapter.accepted),
            *(chapter.refused, chapter.differences, chapter.checks),
        )
        for chapter in chapters
    ]
    return _table(("chapter", "requirements", "cases", "taken", "refused", "h11 differs", "checks"), rows)


def _anchor(chapter: Chapter) -> str:
    match = SECTION.match(chapter.name)
    return f"rfc{match[1]}-{match[2]}" if match else "other"


def _arguments(chapter: Chapter) -> str:
    lines = [f'<h3 id="{_anchor(chapter)}">{escape(chapter.name)}</h3>']
    for why, cases in chapter.arguments.items():
        lines.append(f"<p>{_linked(why)}</p>")
        lines += [_case(case) for case in cases]
    return "\n".join(lines)


def _case(case: Case) -> str:
    ours = describe(case.expected["httpsock"], has_status=True)
    theirs = describe(case.expected["h11"], has_status=False)
    verdicts = f"httpsock {escape(ours)}; h11 {escape(theirs)}"
    name = case.name.replace("-", " ")
    return f"<details><summary>{name}: {verdicts}</summary>\n<pre>{escape(show(case.octets))}</pre></details>"


def _names(cases: list[Case]) -> str:
    return ", ".join(case.name.replace("-", " ") for case in cases)


def _class_table() -> str:
    rows: list[tuple[str | int, ...]] = [
        (_example(name, entry.example), _linked(entry.section), entry.direction, _linked(entry.says))
        for name, entry in CLASSES.items()
    ]
    return _table(("class", "section", "who refuses", "why"), rows)


def _example(name: str, octets: bytes) -> str:
    shown = escape(show(octets, 200))
    return f"{name.replace('-', ' ')}<details><summary>example</summary><pre>{shown}</pre></details>"


def _requirement_table() -> str:
    rows: list[tuple[str | int, ...]] = [
        (
            f'<span id="{requirement.id}">{requirement.id}</span>',
            *(_linked(requirement.section), requirement.level, _says(requirement)),
            *(len(keeping), len(breaking), len(checks)),
        )
        for requirement, keeping, breaking, checks in load_coverages()
    ]
    return _table(("number", "section", "level", "requirement", "kept", "broken", "checks"), rows)


def _says(requirement: Requirement) -> str:
    notes = (("Not testable", requirement.untestable), ("No client breaks it", requirement.one_sided))
    quiet = "".join(f' <span class="quiet">{label}: {escape(note)}</span>' for label, note in notes if note)
    return escape(requirement.says) + quiet


def _linked(text: str) -> str:
    """Return *text* as HTML, with a link at each section that it names."""
    parts = []
    position = 0
    for match in SECTION.finditer(text):
        link = f'<a href="{address_of(match[0])}">{escape(match[0])}</a>'
        parts += [escape(text[position : match.start()]), link]
        position = match.end()
    return "".join([*parts, escape(text[position:])])
