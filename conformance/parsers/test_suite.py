"""The request files of gunicorn's tests: each difference from httpsock has a reason and a case of the corpus."""

from pathlib import Path

import pytest

from conformance.__main__ import main
from conformance.corpus.cases import load_cases

from .suite import load_differences, octets_of

_CASES = {case.name: case for case in load_cases()}


def test_httpsock_refuses_the_case_of_a_difference_exactly_if_gunicorn_accepts_the_files() -> None:
    for difference in load_differences():
        kinds = {name.partition("/")[0] for name in difference.files}
        assert len(kinds) == 1, difference.files
        assert _CASES[difference.case].is_refused == (kinds == {"valid"}), difference.case
        assert difference.why.startswith("RFC "), difference.case


def test_no_file_is_in_two_differences() -> None:
    names = [name for difference in load_differences() for name in difference.files]
    assert len(names) == len(set(names)) == 47


def test_line_ends_of_a_request_file_are_dropped_and_its_escapes_become_octets() -> None:
    assert octets_of(b"GET / HTTP/1.1\\r\\n\nA: \\t\\0\\x7f\\r\\n\n") == b"GET / HTTP/1.1\r\nA: \t\x00\x7f\r\n"


def _write(folder: Path, name: str, text: bytes) -> None:
    path = folder / f"{name}.http"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


def test_the_command_exits_with_1_at_a_difference_without_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without such a difference it exits with 0, and for a folder without request files with 2."""
    assert main(["suite", str(tmp_path)]) == 2
    assert "has no request files" in capsys.readouterr().err
    _write(tmp_path, "valid/001", b"GET / HTTP/1.1\\r\\n\nHost: a\\r\\n\n\\r\\n")
    _write(tmp_path, "valid/006", b"GET / HTTP/1.1\\r\\n\n\\r\\n")
    assert main(["suite", str(tmp_path)]) == 0
    found = capsys.readouterr().out
    assert "valid/006: as no-host\n  RFC 9112 §3.2: " in found
    assert "2 files: 1 alike, 1 different, 0 of them without a reason" in found
    _write(tmp_path, "invalid/new", b"GET / HTTP/1.1\\r\\n\nHost: a\\r\\n\n\\r\\n")
    assert main(["suite", str(tmp_path)]) == 1
    assert "invalid/new: a difference without a reason" in capsys.readouterr().err
