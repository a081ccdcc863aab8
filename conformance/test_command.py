"""The command line ``python3 -m conformance``, and the libraries that each command needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .__main__ import main

PROJECT = Path(__file__).resolve().parents[1]

# This script runs the command in a Python in which importing httpsock or h11 raises ImportError.
_CHECK = f"""
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"httpsock", "h11"}}:
            raise ImportError(f"check loads {{name}}")

sys.meta_path.insert(0, Refusing())
sys.path.insert(0, {str(PROJECT)!r})
from conformance.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_check_needs_only_the_standard_library() -> None:
    """It runs without site-packages, and without the package httpsock."""
    start = f"{sys.executable} -m httpsock --port {{port}} {{root}}"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CHECK, "check", "--start", start, "--only", "R036"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "RFC 9112 §5 Field syntax" in result.stdout


def _run_without_packages(command: str) -> subprocess.CompletedProcess[str]:
    """Run *command* with --help in a Python without third-party packages."""
    script = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from conformance.__main__ import main; "
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{script}sys.exit(main([{command!r}, '--help']))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["fuzz", "report", "suite"])
def test_a_command_that_needs_h11_says_how_to_install_it(command: str) -> None:
    result = _run_without_packages(command)
    says = f"conformance: {command} needs h11; install it with: python3 -m pip install h11\n"
    assert (result.returncode, result.stderr) == (2, says)


def test_coverage_needs_only_the_standard_library() -> None:
    result = _run_without_packages("coverage")
    assert (result.returncode, result.stderr) == (0, "")


def test_an_old_python_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python 3.10 has no tomllib, which reads the tables of the corpus."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    assert main(["check", "http://127.0.0.1:1/"]) == 2
    assert "Python 3.11 or newer is needed" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "compare", "coverage", "export", "fuzz", "parsers", "report", "suite"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: python3 -m conformance {command}" in capsys.readouterr().out


def test_a_closed_standard_output_causes_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "conformance", "coverage"]
    result = subprocess.run(command, cwd=PROJECT, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (result.returncode, result.stderr) == (2, b"")


def test_an_interrupt_causes_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("conformance.report.coverage.report", interrupt)
    assert main(["coverage"]) == 130
    assert capsys.readouterr().err == "\nconformance: interrupted\n"


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "  check " in capsys.readouterr().out
