"""The command ``export`` writes the corpus as JSON."""

import base64
import json
from pathlib import Path

import pytest

from conformance.__main__ import main

from .cases import load_cases


def test_the_export_has_each_case_to_the_last_octet(capsys: pytest.CaptureFixture[str]) -> None:
    """For each case, the export also has the requests that a parser must accept, and the status of the refusal."""
    assert main(["export"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(entry["name"], base64.b64decode(entry["octets"])) for entry in found] == [
        (case.name, case.octets) for case in load_cases()
    ]
    by_name = {entry["name"]: entry for entry in found}
    assert by_name["a-get-with-host-alone"]["accepted"] == [
        {"method": "GET", "path": "/", "fields": 1, "content": 0, "closes": False}
    ]
    assert by_name["a-get-with-host-alone"]["refused"] is None
    assert (by_name["no-host"]["refused"], by_name["no-host"]["level"]) == (400, "MUST")
    assert by_name["no-host"]["section"] == "RFC 9112 §3.2"
    assert by_name["trailers-cut-short"]["cut_short"] is True


def test_the_export_goes_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "corpus.json")]) == 0
    assert len(json.loads((tmp_path / "corpus.json").read_text(encoding="utf-8"))) == len(load_cases())
    assert capsys.readouterr().out == ""
