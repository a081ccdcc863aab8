"""Write the results as text for a terminal, as JSON, as JUnit XML and as an HTML page.

Octets from a server are shown as printable ASCII.
"""

import html
import json
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from .causes import Cause, blocks, find_causes
from .results import Outcome, Result, breaks_a_must, chapter_of_result, section_of_result

_MAX_SHOWN = 1200
# Print the octets of failures without --all if there are at most this many failures.
_FEW = 3
_MAX_NAMES = 3
_MAX_REASONS = 3


def show(octets: bytes) -> str:
    """Return the first part of *octets* as printable ASCII, with escapes as in Python."""
    text = ascii(octets[:_MAX_SHOWN])[2:-1].replace("\\\\", "\\")
    return text if len(octets) <= _MAX_SHOWN else f"{text} … ({len(octets)} bytes)"


def _lines(octets: bytes) -> list[str]:
    """Return *octets* as lines for a terminal. Each escaped CRLF ends a line."""
    lines = show(octets).replace("\\r\\n", "\\r\\n\n").splitlines()
    return lines or ["(no bytes)"]


def chapters(results: Sequence[Result]) -> dict[str, Counter[Outcome]]:
    """Count the outcomes in each chapter. The result is in the order of the chapters."""
    counts: dict[str, Counter[Outcome]] = {}
    for result in results:
        counts.setdefault(chapter_of_result(result), Counter())[result.outcome] += 1
    return dict(sorted(counts.items(), key=lambda item: _order(item[0])))


def _order(chapter: str) -> list[tuple[int, str]]:
    """Return a sort key that puts §9 before §10."""
    return [(int(word), "") if word.isdecimal() else (0, word) for word in chapter.replace("§", "").split()]


def _row(title: str, counts: Counter[Outcome], width: int) -> str:
    figures = "".join(f"{counts[outcome] or '·':>9}" for outcome in Outcome)
    return f"{title:<{width}}{figures}"


def _counts(results: Sequence[Result]) -> str:
    """Return a sentence that counts the results by outcome, and the causes."""
    outcomes = Counter(result.outcome for result in results)
    tried = outcomes[Outcome.PASSED] + outcomes[Outcome.FAILED]
    text = f"{tried} cases and checks tried: {outcomes[Outcome.PASSED]} passed, {outcomes[Outcome.FAILED]} failed"
    if outcomes[Outcome.FAILED]:
        count = len(find_causes(results))
        text += ", with one likely cause" if count == 1 else f", with {count} likely causes, the gravest first"
    return f"{text}. {outcomes[Outcome.SKIPPED]} skipped, since they do not apply or could not be tried."


def _skips(results: Sequence[Result]) -> list[str]:
    """Return the most frequent reasons for skipping cases and checks, with the number of each."""
    reasons = Counter(result.why for result in results if result.outcome is Outcome.SKIPPED)
    return [f"{count:>5} skipped: {why}" for why, count in reasons.most_common(_MAX_REASONS)]


def _summary(results: Sequence[Result]) -> list[str]:
    """Return lines with the counts and the causes of all failures, level by level."""
    lines = [_counts(results), *_skips(results), ""]
    for title, causes in blocks(results):
        lines.append(title)
        for cause in causes:
            lines += _cause(cause)
        lines.append("")
    return lines


def _cause(cause: Cause) -> list[str]:
    """Return lines about one cause: its requirement, its failures, and shell commands that repeat one failure."""
    example = cause.example
    others = [failure.name for failure in cause.failures if failure is not example]
    names = "; ".join([example.name, *others[: _MAX_NAMES - 1]])
    more = f"; and {len(others) - _MAX_NAMES + 1} more" if len(others) >= _MAX_NAMES else ""
    indent = " " * 7
    return [
        f"{len(cause.failures):>5}  {', '.join(cause.requirements)}  {cause.section}  {cause.says}",
        f"{indent}{example.why}",
        *(f"{indent}| {line}" for line in example.output.splitlines()),
        f"{indent}{names}{more}",
        *(f"{indent}$ {line}" for line in example.reproduce.splitlines()),
    ]


def as_table(results: Sequence[Result], *, shows_all: bool = False) -> str:
    """Return the causes of all failures, and a table of counts by chapter.

    If there are few failures, or if *shows_all* is true, add the octets of each failure.
    """
    failures = [result for result in results if result.outcome is Outcome.FAILED]
    counts = chapters(results)
    width = max([len(chapter) for chapter in counts] + [30]) + 2
    lines = _summary(results)
    lines.append(f"{'':<{width}}{''.join(f'{outcome.value:>9}' for outcome in Outcome)}")
    lines += [_row(chapter, figures, width) for chapter, figures in counts.items()]
    lines.append(_row("all", sum(counts.values(), Counter()), width))
    if shows_all or len(failures) <= _FEW:
        lines += ["", *(_failure(result) for result in failures)]
    elif failures:
        lines += ["", "--all shows the bytes of each failure, --only NAME those of one."]
    return "\n".join(lines) + "\n"


def _failure(result: Result) -> str:
    """Return the text on one failure: the message, the octets sent and received, and shell commands to repeat it."""
    lines = [
        f"{result.level} {result.requirement} ({section_of_result(result)}): {result.name}",
        f"  {result.why}",
        *(f"  | {line}" for line in result.output.splitlines()),
        *(f"  > {line}" for line in _lines(result.sent)),
        *(f"  < {line}" for line in _lines(result.received)),
        *(f"  $ {line}" for line in result.reproduce.splitlines()),
    ]
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[Result]) -> str:
    """Return the results as a JSON array of objects. Octets are decoded as ISO 8859-1."""
    return json.dumps([_plain(result) for result in results], indent=1) + "\n"


def _plain(result: Result) -> dict[str, object]:
    octets = {"sent": result.sent.decode("latin-1"), "received": result.received[:_MAX_SHOWN].decode("latin-1")}
    places = {"chapter": chapter_of_result(result), "section": section_of_result(result)}
    return {**result._asdict(), "outcome": result.outcome.value, **places, **octets}


def as_junit(results: Sequence[Result]) -> str:
    """Return the results as JUnit XML, with a test suite for each chapter.

    A failure that breaks a MUST or stops the server fails the build. Other failures are marked as skipped.
    """
    root = ET.Element("testsuites", name="conformance")
    for chapter in chapters(results):
        mine = [result for result in results if chapter_of_result(result) == chapter]
        suite = ET.SubElement(root, "testsuite", name=chapter, tests=str(len(mine)))
        for result in mine:
            case = ET.SubElement(suite, "testcase", name=result.name, classname=result.requirement)
            if result.outcome is not Outcome.PASSED:
                is_failure = breaks_a_must([result]) or result.stops_server
                message = result.why if is_failure else f"{result.level}: {result.why}"
                found = ET.SubElement(case, "failure" if is_failure else "skipped", message=message)
                found.text = _failure(result)
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr + tr { border-top: 1px solid #8884; }
.wide { overflow-x: auto; } pre { overflow-x: auto; padding: .5rem; background: #8881; } .broken { color: #c33; }
"""


def as_html(results: Sequence[Result], title: str) -> str:
    """Return the results as one HTML page: the causes with their failures, then the counts by chapter."""
    counts = chapters(results)
    rows = "".join(
        f"<tr><td>{html.escape(chapter)}</td>" + "".join(f"<td>{counts[chapter][outcome]}</td>" for outcome in Outcome)
        + "</tr>\n"
        for chapter in counts
    )  # fmt: skip
    heads = "".join(f"<th>{outcome.value}</th>" for outcome in Outcome)
    causes = "".join(
        f"<h2>{html.escape(heading)}</h2>\n{''.join(map(_section, found))}" for heading, found in blocks(results)
    )
    skips = "".join(f"<p>{html.escape(skip.strip())}</p>\n" for skip in _skips(results))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n<h1>{html.escape(title)}</h1>\n'
        f"<p>{_counts(results)}</p>\n{skips}{causes or '<p>No failures.</p>'}"
        f'<h2>By chapter</h2>\n<div class="wide"><table>\n<tr><th>chapter</th>{heads}</tr>\n{rows}</table></div>\n'
        "</html>\n"
    )


def _section(cause: Cause) -> str:
    """Return one cause as HTML, with its failures in a folded element."""
    numbers = ", ".join(cause.requirements)
    title = f"{cause.says} ({len(cause.failures)} × {numbers}, {cause.section})"
    failures = "".join(
        f"<details><summary>{html.escape(failure.name)}: {html.escape(failure.why)}</summary>\n"
        f"<pre>{html.escape(_failure(failure))}</pre></details>\n"
        for failure in cause.failures
    )
    return f'<h3 class="broken">{html.escape(title)}</h3>\n{failures}'
