"""The request files of another author's tests: each difference from httpsock is argued by a case of the corpus."""

from pathlib import Path

import pytest

from conformance.__main__ import main
from conformance.corpus.cases import load_cases

from .suite import load_differences, octets_of

_CASES = {case.name: case for case in load_cases()}


def test_each_argued_file_is_answered_as_the_case_that_asks_the_same() -> None:
    """Httpsock refuses a case that stands for files which gunicorn accepts, and the other way round."""
    for difference in load_differences():
        kinds = {name.partition("/")[0] for name in difference.files}
        assert len(kinds) == 1, difference.files
        assert _CASES[difference.case].is_refused == (kinds == {"valid"}), difference.case
        assert difference.why.startswith("RFC "), difference.case


def test_no_file_is_argued_twice() -> None:
    """Otherwise one of the arguments would be wrong."""
    names = [name for difference in load_differences() for name in difference.files]
    assert len(names) == len(set(names)) == 47


def test_a_request_file_stands_for_octets() -> None:
    """Line ends of the file are dropped; escapes become octets."""
    assert octets_of(b"GET / HTTP/1.1\\r\\n\nA: \\t\\0\\x7f\\r\\n\n") == b"GET / HTTP/1.1\r\nA: \t\x00\x7f\r\n"


def _write(folder: Path, name: str, text: bytes) -> None:
    path = folder / f"{name}.http"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


def test_the_command_finds_a_difference_that_nobody_has_argued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1; without it, 0, with each argument in print; and 2 for a folder without request files."""
    assert main(["suite", str(tmp_path)]) == 2
    assert "has no request files" in capsys.readouterr().err
    _write(tmp_path, "valid/001", b"GET / HTTP/1.1\\r\\n\nHost: a\\r\\n\n\\r\\n")
    _write(tmp_path, "valid/006", b"GET / HTTP/1.1\\r\\n\n\\r\\n")
    assert main(["suite", str(tmp_path)]) == 0
    found = capsys.readouterr().out
    assert "valid/006: as no-host\n  RFC 9112 §3.2: " in found
    assert "2 files: 1 alike, 1 otherwise, 0 of them not argued" in found
    _write(tmp_path, "invalid/new", b"GET / HTTP/1.1\\r\\n\nHost: a\\r\\n\n\\r\\n")
    assert main(["suite", str(tmp_path)]) == 1
    assert "invalid/new: not argued" in capsys.readouterr().err
