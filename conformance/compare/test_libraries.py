"""Parsers as libraries: the page in the repository is complete, and verdicts are compared with the corpus."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.__main__ import main
from conformance.corpus.cases import load_cases

from . import libraries
from .libraries import LIBRARIES, Agreement, Library, agreement_of
from .servers import Server

_PAGE = Path(__file__).parents[1] / "PARSERS.md"
_CASES = {case.name: case for case in load_cases()}
# A driver of a parser that accepts every case as one GET.
_CREDULOUS = """
import json, sys
cases = json.load(sys.stdin)
print(json.dumps({case["name"]: {"accepted": [["GET", 0]], "refused": None} for case in cases}))
"""


def test_the_page_says_when_and_how_it_was_made_and_its_figures_add_up() -> None:
    """The figures of each parser add up to the number of cases."""
    text = _PAGE.read_text(encoding="utf-8")
    made = re.search(r"Made on 20[0-9]{2}-[0-9]{2}-[0-9]{2} by `python3 -m conformance parsers`: the ([0-9]+) ", text)
    assert made
    assert "Corrections are welcome" in text
    rows = re.findall(r"^\| ([^|]+) \| ([0-9][^|]*) \| ([0-9]+) \| ([0-9]+) \| ([0-9]+) \| ([0-9]+) \| ([0-9]+) \|$",
                      text, re.MULTILINE)  # fmt: skip
    assert len(rows) >= 5
    for title, version, *figures in rows:
        assert sum(map(int, figures)) == int(made[1]), title
        assert f"## {title} {version}" in text
        assert text.count(f"| {title} | ") == 2


def test_each_link_of_the_page_leads_to_the_octets_of_a_case() -> None:
    links = re.findall(r"\]\(([^)]+)\)", _PAGE.read_text(encoding="utf-8"))
    assert links
    for link in set(links):
        assert (_PAGE.parent / link).is_file(), link


@pytest.mark.parametrize(
    ("name", "accepted", "refused", "agreement"),
    [
        pytest.param("a-get-with-host-alone", [["GET", 0]], None, Agreement.SAME, id="valid and accepted"),
        pytest.param("a-get-with-host-alone", [], "no", Agreement.STRICT, id="valid and refused"),
        pytest.param("a-get-with-content", [], "no", Agreement.ALLOWED, id="refused as the RFC allows"),
        pytest.param("no-host", [], "no", Agreement.SAME, id="invalid and refused"),
        pytest.param("no-host", [["GET", 0]], None, Agreement.LENIENT, id="invalid and accepted"),
        pytest.param("a-field-line-that-ends-with-lf", [["GET", 0]], None, Agreement.ALLOWED, id="as the RFC allows"),
        pytest.param("content-of-five-octets", [["POST", 4]], None, Agreement.OTHER, id="other content"),
        pytest.param("no-host", [["GET", 0]], "no", Agreement.OTHER, id="a request in front of the fault"),
        pytest.param("a-request-and-then-none", [], "no", Agreement.SAME, id="a fault that hides what is in front"),
    ],
)
def test_a_verdict_is_compared_with_the_expected_one(
    name: str, accepted: list[list[Any]], refused: str | None, agreement: Agreement
) -> None:
    """The comparison covers the number of requests, the length of each content, and the refusal."""
    assert agreement_of(_CASES[name], {"accepted": accepted, "refused": refused}) is agreement


def _drive(cases: list[bytes], *options: str) -> list[dict[str, Any]]:
    """Run the driver of h11 on *cases* in a process of its own. Return its verdicts."""
    corpus = [{"name": str(number), "octets": base64.b64encode(octets).decode()} for number, octets in enumerate(cases)]
    command = [sys.executable, *options, str(Path(libraries.__file__).with_name("drivers.py")), "h11"]
    done = subprocess.run(command, input=json.dumps(corpus), capture_output=True, text=True, check=True)
    return [*json.loads(done.stdout).values()]


def test_the_driver_of_h11_gives_accepted_requests_and_the_reason_of_a_refusal() -> None:
    verdicts = _drive([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"x"])
    assert verdicts[0] == {"accepted": [["GET", 0]], "refused": None}
    assert verdicts[1]["accepted"] == []
    assert verdicts[1]["refused"]


def test_an_undocumented_exception_becomes_a_refusal() -> None:
    """In this test, the driver can't import h11, so it raises ModuleNotFoundError."""
    driver = Path(libraries.__file__).with_name("drivers.py")
    corpus = json.dumps([{"name": "a", "octets": ""}])
    done = subprocess.run(
        [sys.executable, "-S", driver, "h11"], input=corpus, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["a"]["refused"].startswith("an undocumented exception: Module")


def test_the_command_writes_the_page_and_skips_parsers_that_cannot_be_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page and standard error give the reason for each parser that was skipped."""
    (tmp_path / "credulous.py").write_text(_CREDULOUS, encoding="utf-8")
    credulous = Server("credulous", "here", "Credulous", "{this} --version", f"{{this}} {tmp_path}/credulous.py")
    monkeypatch.setattr(
        libraries,
        "LIBRARIES",
        (
            Library("credulous", credulous),
            Library("dead", credulous._replace(title="Dead", start="{this} --version")),
            Library("absent", credulous._replace(title="Absent", program="no-such-program-anywhere")),
        ),
    )
    page = tmp_path / "PARSERS.md"
    assert main(["parsers", "--packages", str(tmp_path), "--page", str(page)]) == 0
    captured = capsys.readouterr()
    text = page.read_text(encoding="utf-8")
    assert f"of {len(_CASES)} as expected" in captured.out
    assert "Dead: not tried: the driver failed" in captured.err
    assert "Absent (the program no-such-program-anywhere is missing)" in text
    assert "- [no-host](corpus/host/no-host.http)" in text
    with pytest.raises(SystemExit):
        main(["parsers", "--packages", str(tmp_path), "--page", str(tmp_path / "no" / "page")])
    assert "argument --page: there is no folder " in capsys.readouterr().err
    monkeypatch.setattr(libraries, "LIBRARIES", ())
    assert main(["parsers", "--page", str(page)]) == 2
    assert "no parser of the table could be tried" in capsys.readouterr().err


def test_each_parser_of_the_table_has_a_driver() -> None:
    """The driver is a Python function in drivers.py, or a program to build."""
    from .drivers import DRIVERS

    for library in LIBRARIES:
        assert library.server.build or library.server.start.split()[-1] in DRIVERS, library.name
