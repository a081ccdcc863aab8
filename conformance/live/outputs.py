"""The outputs: the results of a live check as a table, as JSON, as JUnit's XML and as one page of HTML.

It takes results and gives text. All octets of a server are shown as printable ASCII.
"""

import html
import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from conformance.corpus.requirements import load_requirements

from .results import Outcome, Result, chapter_of_result, section_of_result

_MAX_SHOWN = 1200
# The levels, the gravest first, with their meanings.
LEVELS = {
    "MUST": "required by the RFC",
    "SHOULD": "recommended by the RFC: there may be reasons not to follow it",
    "MAY": "optional in the RFC, but done wrongly",
    "SECURITY": "the RFC leaves this open, and an attack is known",
    "POLICY": "a choice of httpsock, which others need not make",
}


class Cause(NamedTuple):
    """The common cause of some failures: one requirement, at one level."""

    level: str
    requirement: str
    section: str
    failures: int
    says: str


def show(octets: bytes) -> str:
    """Return *octets* as in the source of a program, shortened if long."""
    text = ascii(octets[:_MAX_SHOWN])[2:-1].replace("\\\\", "\\")
    return text if len(octets) <= _MAX_SHOWN else f"{text} … ({len(octets)} bytes)"


def _lines(octets: bytes) -> list[str]:
    """Return *octets* line by line, as they are shown."""
    lines = show(octets).replace("\\r\\n", "\\r\\n\n").splitlines()
    return lines or ["(no bytes)"]


def chapters(results: Sequence[Result]) -> dict[str, Counter[Outcome]]:
    """Return the number of each outcome in each chapter, in the order of the chapters."""
    counts: dict[str, Counter[Outcome]] = {}
    for result in results:
        counts.setdefault(chapter_of_result(result), Counter())[result.outcome] += 1
    return dict(sorted(counts.items(), key=lambda item: _order(item[0])))


def _order(chapter: str) -> list[tuple[int, str]]:
    """Return a sort key for chapters, by number: §9 before §10."""
    return [(int(word), "") if word.isdecimal() else (0, word) for word in chapter.replace("§", "").split()]


def _row(title: str, counts: Counter[Outcome], width: int) -> str:
    figures = "".join(f"{counts[outcome] or '·':>9}" for outcome in Outcome)
    return f"{title:<{width}}{figures}"


def causes(results: Sequence[Result]) -> list[Cause]:
    """Return the causes of failures by requirement, the gravest first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for result in results:
        if result.outcome is Outcome.FAILED:
            counts[result.level, result.requirement, section_of_result(result)] += 1
    order = list(LEVELS)
    return [
        Cause(level, number, section, count, load_requirements()[number].says)
        for (level, number, section), count in sorted(counts.items(), key=lambda item: (order.index(item[0][0]), item))
    ]


def _summary(results: Sequence[Result]) -> str:
    """Return the failures, a line for each requirement, by level."""
    found = causes(results)
    lines = []
    for level, meaning in LEVELS.items():
        mine = [cause for cause in found if cause.level == level]
        if mine:
            lines.append(f"{level}: {sum(cause.failures for cause in mine)} failures ({meaning})")
            lines += [f"{cause.failures:>5}  {cause.requirement}  {cause.section:<19}  {cause.says}" for cause in mine]
    return "".join(f"{line}\n" for line in lines)


def as_table(results: Sequence[Result]) -> str:
    """Return all failures with their octets, their counts by requirement, and the figures of each chapter."""
    parts = [_failure(result) for result in results if result.outcome is Outcome.FAILED]
    parts += [_summary(results)] if parts else []
    counts = chapters(results)
    width = max([len(chapter) for chapter in counts] + [30]) + 2
    lines = [f"{'':<{width}}{''.join(f'{outcome.value:>9}' for outcome in Outcome)}"]
    lines += [_row(chapter, figures, width) for chapter, figures in counts.items()]
    lines.append(_row("all", sum(counts.values(), Counter()), width))
    return "\n".join([*parts, *lines]) + "\n"


def _failure(result: Result) -> str:
    """Return one failure: its octets in both directions, its section, and a shell line that repeats it."""
    lines = [
        f"{result.level} {result.requirement} ({section_of_result(result)}): {result.name}",
        f"  {result.why}",
        *(f"  > {line}" for line in _lines(result.sent)),
        *(f"  < {line}" for line in _lines(result.received)),
        f"  {result.reproduce}",
    ]
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[Result]) -> str:
    """Return the results as a list of objects; octets are text, one character each (ISO 8859-1)."""
    return json.dumps([_plain(result) for result in results], indent=1) + "\n"


def _plain(result: Result) -> dict[str, str]:
    octets = {"sent": result.sent.decode("latin-1"), "received": result.received[:_MAX_SHOWN].decode("latin-1")}
    places = {"chapter": chapter_of_result(result), "section": section_of_result(result)}
    return {**result._asdict(), "outcome": result.outcome.value, **places, **octets}


def as_junit(results: Sequence[Result]) -> str:
    """Return the results as JUnit's XML, a suite for each chapter; a broken SHOULD or policy counts as skipped."""
    root = ET.Element("testsuites", name="conformance")
    for chapter in chapters(results):
        mine = [result for result in results if chapter_of_result(result) == chapter]
        suite = ET.SubElement(root, "testsuite", name=chapter, tests=str(len(mine)))
        for result in mine:
            case = ET.SubElement(suite, "testcase", name=result.name, classname=result.requirement)
            if result.outcome is not Outcome.PASSED:
                is_failure = result.outcome is Outcome.FAILED and result.level.startswith("MUST")
                message = result.why if is_failure else f"{result.level}: {result.why}"
                found = ET.SubElement(case, "failure" if is_failure else "skipped", message=message)
                found.text = _failure(result)
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr + tr { border-top: 1px solid #8884; }
pre { overflow-x: auto; padding: .5rem; background: #8881; } .broken { color: #c33; }
"""


def as_html(results: Sequence[Result], title: str) -> str:
    """Return one self-contained page: the figures, then each failure."""
    counts = chapters(results)
    rows = "".join(
        f"<tr><td>{html.escape(chapter)}</td>" + "".join(f"<td>{counts[chapter][outcome]}</td>" for outcome in Outcome)
        + "</tr>\n"
        for chapter in counts
    )  # fmt: skip
    heads = "".join(f"<th>{outcome.value}</th>" for outcome in Outcome)
    summary = f"<pre>{html.escape(_summary(results))}</pre>\n"
    failures = "".join(_section(result) for result in results if result.outcome is Outcome.FAILED)
    failures = failures or "<p>No failures.</p>"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n<h1>{html.escape(title)}</h1>\n'
        f"<table>\n<tr><th>chapter</th>{heads}</tr>\n{rows}</table>\n{summary}{failures}\n</html>\n"
    )


def _section(result: Result) -> str:
    """Return one failure as HTML."""
    name = html.escape(f"{result.level} {result.requirement}, {section_of_result(result)}: {result.name}")
    return f'<h2 class="broken">{name}</h2>\n<pre>{html.escape(_failure(result))}</pre>\n'
