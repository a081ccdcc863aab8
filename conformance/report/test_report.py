"""The report agrees with the tables and links to sections of the RFCs. README has the current summary."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.parsers import expat

import pytest

from conformance.corpus.cases import load_cases
from conformance.corpus.requirements import address_of, load_requirements
from conformance.corpus.verdicts import Understood, Verdict
from conformance.fuzz.differences import CLASSES

from . import markdown as report
from .coverage import load_checks
from .figures import describe, load_chapters, show
from .markdown import BEGIN, END, render_markdown, render_summary, with_summary
from .page import render_page

README = Path(__file__).parents[1] / "README.md"


def page() -> ET.Element:
    """Parse the page as XML and return its root. An unclosed tag or an unescaped character is an error."""
    _, doctype, html = render_page().partition("<!DOCTYPE html>\n")
    assert doctype
    builder, parser = ET.TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(html, True)
    return builder.close()


# --- The page -------------------------------------------------------------------------------------


def test_the_page_is_well_formed() -> None:
    html = page()
    assert html.tag == "html"
    assert [child.tag for child in html] == ["head", "body"]


def test_the_page_needs_no_other_file() -> None:
    tags = {element.tag for element in page().iter()}
    assert not tags & {"script", "img", "link", "iframe", "object"}
    assert "url(" not in render_page()


def test_the_page_has_light_and_dark_colours() -> None:
    assert "color-scheme: light dark" in render_page()
    assert "@media (prefers-color-scheme: dark)" in render_page()


def test_each_link_leads_to_a_section_of_an_rfc_or_to_an_anchor_on_the_page() -> None:
    html = page()
    places = [element.attrib["id"] for element in html.iter() if "id" in element.attrib]
    assert len(places) == len(set(places))
    for link in html.iter("a"):
        target = link.attrib["href"]
        is_section = re.fullmatch(r"https://www\.rfc-editor\.org/rfc/rfc[0-9]{4}#section-[0-9]+(\.[0-9]+)*", target)
        assert is_section or (target.startswith("#") and target[1:] in places), target


def test_the_page_has_each_difference_each_class_and_each_requirement() -> None:
    html = page()
    text = "".join(html.itertext())
    names = {"".join(element.itertext()).partition(":")[0] for element in html.iter("summary")} - {"example"}
    differing = [case for case in load_cases() if case.why is not None]
    assert names == {case.name.replace("-", " ") for case in differing}
    assert all(case.why in text for case in differing if case.why is not None)
    assert all(case.h11_in_parts in text for case in load_cases() if case.h11_in_parts is not None)
    for name, entry in CLASSES.items():
        assert name.replace("-", " ") in text
        assert entry.says in text
    assert load_requirements().keys() <= {element.attrib.get("id") for element in html.iter()}


def test_markup_in_the_octets_of_a_case_is_shown_as_text() -> None:
    assert (
        show(b"GET /<b>\\ HTTP/1.1\r\nA:\t\x00\xff\r\n\r\n")
        == "GET /<b>\\\\ HTTP/1.1\\r\\n\nA:\\t\\x00\\xff\\r\\n\n\\r\\n"
    )
    assert show(b"a" * 500, 3) == "aaa…"
    shown = {"".join(element.itertext()) for element in page().iter("pre")}
    assert {show(case.octets) for case in load_cases() if case.why is not None} <= shown


# --- The figures ----------------------------------------------------------------------------------


def test_each_case_and_each_requirement_is_in_one_chapter() -> None:
    chapters = load_chapters()
    assert sorted(case.name for chapter in chapters for case in chapter.cases) == sorted(
        case.name for case in load_cases()
    )
    assert sum(len(chapter.requirements) for chapter in chapters) == len(load_requirements())
    assert sum(chapter.checks for chapter in chapters) == len(load_checks())
    for chapter in chapters:
        assert chapter.accepted + chapter.refused == len(chapter.cases)
        assert sum(len(cases) for cases in chapter.arguments.values()) == chapter.differences


def test_the_chapters_of_rfc_9112_come_first_and_section_10_comes_after_section_9() -> None:
    names = [chapter.name for chapter in load_chapters()]
    assert names[0].startswith("RFC 9112 §2 ")
    rfc_9110 = [int(match[1]) for name in names if (match := re.match(r"RFC 9110 §([0-9]+)", name))]
    assert rfc_9110 == sorted(rfc_9110)


@pytest.mark.parametrize(
    ("verdict", "ours", "theirs"),
    [
        pytest.param(Verdict(()), "accepts no request", "accepts no request", id="no request"),
        pytest.param(Verdict((), 400), "refuses with 400", "refuses", id="refused"),
        pytest.param(Verdict((Understood("GET", "/", 1, 0),)), "accepts GET /", "accepts GET /", id="accepted"),
        pytest.param(
            Verdict((Understood("GET", "/", 1, 0), Understood("CONNECT", "", 1, 0)), 501),
            "accepts GET /, CONNECT, then refuses with 501",
            "accepts GET /, CONNECT, then refuses",
            id="accepted, and the next refused",
        ),
    ],
)
def test_a_verdict_is_described_in_words(verdict: Verdict, ours: str, theirs: str) -> None:
    """The description includes the status of a refusal by httpsock, but not by h11."""
    assert describe(verdict, has_status=True) == ours
    assert describe(verdict, has_status=False) == theirs


def test_a_section_of_an_rfc_has_a_url() -> None:
    assert address_of("RFC 9112 §5.1") == "https://www.rfc-editor.org/rfc/rfc9112#section-5.1"
    assert address_of("practice") is None


# --- Markdown, and the README ---------------------------------------------------------------------


def test_the_markdown_has_each_difference() -> None:
    markdown = render_markdown()
    for case in load_cases():
        is_there = case.why is not None or case.h11_in_parts is not None
        assert (f"`{case.name}`" in markdown) == is_there, case.name


def test_each_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    """An extra cell would mean that a "|" in a cell is not escaped."""
    counts = [len(re.findall(r"(?<!\\)\|", line)) for line in render_markdown().splitlines() if line.startswith("|")]
    assert set(counts) == {5, 7, 8}


def test_the_summary_in_the_readme_is_current() -> None:
    """To renew the summary, run: python3 -m conformance report --readme conformance/README.md."""
    text = README.read_text(encoding="utf-8")
    assert with_summary(text) == text


def test_the_command_replaces_only_the_text_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\n7 cases\n{END}\n\nThe end.\n", encoding="utf-8")
    assert report.main(["--readme", str(readme)]) == 0
    expected = f"# Title\n\n{BEGIN}\n{render_summary()}{END}\n\nThe end.\n"
    assert readme.read_text(encoding="utf-8") == expected
    assert report.main(["--readme", str(readme)]) == 0
    assert readme.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"], ids=ascii)
def test_a_readme_without_one_pair_of_markers_is_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    assert report.main(["--readme", str(readme)]) == 2
    assert readme.read_text(encoding="utf-8") == text
    assert f"conformance: {readme}: the file must have {BEGIN} once" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--html", "--markdown"])
def test_a_file_in_no_folder_is_refused_with_the_name_of_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        report.main([option, str(tmp_path / "missing" / "file")])
    assert ended.value.code == 2
    assert f"argument {option}: there is no folder {tmp_path / 'missing'}\n" in capsys.readouterr().err


def test_a_readme_that_does_not_exist_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--readme", str(tmp_path / "README.md")]) == 2
    assert capsys.readouterr().err == f"conformance: {tmp_path / 'README.md'}: No such file or directory\n"


def test_the_summary_has_the_counts_of_each_chapter_in_lines_of_at_most_120_characters() -> None:
    summary = render_summary()
    assert f"{len(load_cases())} cases" in summary
    assert all(len(line) <= 120 for line in summary.splitlines())
    for chapter in load_chapters():
        assert f"| {chapter.name} | {len(chapter.cases)} | " in summary


def test_the_command_writes_both_forms_into_the_current_folder_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report.main([]) == 0
    assert report.main(["--html", "a.html", "--markdown", "a.md"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.md", "conformance.html", "conformance.md"]
    assert Path("a.html").read_text(encoding="utf-8") == Path("conformance.html").read_text(encoding="utf-8")
    assert Path("a.md").read_text(encoding="utf-8") == Path("conformance.md").read_text(encoding="utf-8")
