"""The table of requirements is complete, and cases or checks cover each requirement."""

import io
import re

import pytest

from conformance.corpus.cases import Case, load_cases
from conformance.corpus.requirements import LEVELS, chapter_of, load_requirements
from conformance.corpus.texts import Text, load_texts
from conformance.corpus.verdicts import Verdict

from . import coverage
from .coverage import cover, load_checks

REQUIREMENTS = load_requirements()
COVERAGES = cover(load_cases(), load_checks())


def test_the_requirements_are_numbered_in_order_without_a_gap() -> None:
    assert list(REQUIREMENTS) == [f"R{number:03}" for number in range(1, len(REQUIREMENTS) + 1)]


def test_a_requirement_has_a_sentence_a_level_and_a_section() -> None:
    """Each section is in a chapter whose title is known."""
    wrong = []
    for requirement in REQUIREMENTS.values():
        sentences = (requirement.says, requirement.untestable, requirement.one_sided)
        if (
            requirement.level not in LEVELS
            or not re.fullmatch(r"RFC [0-9]{4} §[0-9]+(\.[0-9]+)*|practice|policy", requirement.section)
            or not re.fullmatch(r".* .*[^0-9]$", chapter_of(requirement.section))
            or any(sentence and not re.fullmatch(r"[A-Z].{20,}\.", sentence) for sentence in sentences)
        ):
            wrong.append(requirement)
    assert not wrong


def test_no_two_requirements_have_the_same_sentence() -> None:
    assert len({requirement.says for requirement in REQUIREMENTS.values()}) == len(REQUIREMENTS)


def test_each_requirement_is_covered_unless_the_table_gives_a_reason() -> None:
    assert {covered.requirement.id: covered.gap for covered in COVERAGES if covered.gap} == {}


def test_no_requirement_that_is_covered_has_a_reason_for_a_gap() -> None:
    needless = [
        covered.requirement.id
        for covered in COVERAGES
        if (covered.requirement.untestable and (covered.keeping or covered.breaking or covered.checks))
        or (covered.requirement.one_sided and covered.breaking)
    ]
    assert not needless


def test_every_check_has_the_number_of_a_requirement() -> None:
    assert [name for name, number in load_checks() if number not in REQUIREMENTS] == []


@pytest.mark.parametrize("text", load_texts(), ids=lambda text: text.text)
def test_each_erratum_and_other_text_is_tried_or_has_a_reason(text: Text) -> None:
    """All cases and checks in the entry exist. The statement and the reason are sentences."""
    names = {case.name for case in load_cases()} | {name for name, _ in load_checks()}
    assert re.fullmatch(r"RFC [0-9]{4}( §[0-9]+(\.[0-9]+)*| errat(um|a) [0-9 and]+)?", text.text)
    assert text.status in ({"verified", "held", "reported", "rejected"} if "errat" in text.text else {None})
    assert text.tried_by or text.why
    assert set(text.tried_by) <= names
    assert all(re.fullmatch(r"[A-Z].{20,}\.", sentence) for sentence in (text.says, text.why or text.says))


def test_no_text_has_two_entries() -> None:
    assert len({text.text for text in load_texts()}) == len(load_texts())


@pytest.mark.parametrize(
    ("section", "chapter"),
    [
        pytest.param("RFC 9112 §5.1", "RFC 9112 §5 Field syntax", id="a section of a chapter"),
        pytest.param("RFC 9112 §3", "RFC 9112 §3 Request line", id="a chapter itself"),
        pytest.param("RFC 9110 §15.5.15", "RFC 9110 §15 Status codes", id="a chapter of two digits"),
        pytest.param("RFC 9111 §4", "RFC 9111 §4", id="a chapter without requirements"),
        pytest.param("practice", "Beyond the RFCs: practice", id="not in an RFC"),
    ],
)
def test_a_section_belongs_to_a_chapter(section: str, chapter: str) -> None:
    assert chapter_of(section) == chapter


def _case(requirement: str, status: int | None, also: tuple[str, ...] = ()) -> Case:
    """Make a case. If *status* is None, the case is accepted. Otherwise it is refused with this status."""
    verdicts = {"httpsock": Verdict((), status)}
    return Case("chapter", "a-case", b"", requirement, also, "RFC 9112 §5", "MUST", verdicts, ("accepted",), None)


@pytest.mark.parametrize(
    ("cases", "checks", "gap"),
    [
        pytest.param([], [], "no case keeps it", id="no case and no check"),
        pytest.param([_case("R036", 400)], [], "no case keeps it", id="only broken"),
        pytest.param([_case("R036", None)], [], "no case breaks it", id="only kept"),
        pytest.param([_case("R036", None), _case("R036", 400)], [], None, id="kept and broken"),
        pytest.param(
            [_case("R036", None), _case("R001", 400, ("R036",))], [], None, id="also broken by a case of R001"
        ),
        pytest.param([], [("A check", "R036")], None, id="one check"),
    ],
)
def test_a_requirement_is_covered_by_a_check_or_by_cases_that_keep_and_break_it(
    cases: list[Case], checks: list[tuple[str, str]], gap: str | None
) -> None:
    assert next(each for each in cover(cases, checks) if each.requirement.id == "R036").gap == gap


def test_a_one_sided_requirement_needs_no_case_that_breaks_it() -> None:
    """R081 concerns only responses, so no request can break it."""
    kept = cover([_case("R081", None)], [])
    assert next(each for each in kept if each.requirement.id == "R081").gap is None


def test_the_coverage_is_printed_by_chapter_with_a_line_for_each_requirement() -> None:
    out = io.StringIO()
    is_complete = coverage.report(out)
    lines = out.getvalue().splitlines()
    assert all(any(line.startswith(f"  {number}  ") for line in lines) for number in REQUIREMENTS)
    assert "RFC 9112 §5 Field syntax" in out.getvalue()
    assert "RFC 9110 §15 Status codes" in out.getvalue()
    assert all(any(line.startswith(f"  {text.text}  ") for line in lines) for text in load_texts())
    assert is_complete == lines[-1].endswith(" untestable, 0 not covered")


def test_a_requirement_that_is_not_covered_is_named_and_the_exit_code_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(coverage, "load_cases", lambda: ())
    monkeypatch.setattr(coverage, "load_checks", list)
    assert coverage.main([]) == 1
    assert "NOT COVERED: no case keeps it" in capsys.readouterr().out
