"""The command line ``python3 -m conformance``, and the libraries that each command needs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import check
from .__main__ import main
from .live.results import Outcome, Result

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
    """The command check runs without site-packages, and without the package httpsock."""
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
    """Python 3.10 is too old, since it has no tomllib to read the tables of the corpus."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    assert main(["check", "http://127.0.0.1:1/"]) == 2
    assert "Python 3.11 or newer is needed" in capsys.readouterr().err


def test_an_old_python_can_run_the_file_that_refuses_it() -> None:
    """The file must not use := or list[str], which Python 3.6 does not know."""
    tree = ast.parse((PROJECT / "conformance" / "__main__.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    arguments = [node.annotation for node in ast.walk(tree) if isinstance(node, ast.arg) and node.annotation]
    assert len(arguments) == 6
    assert not any(isinstance(part, ast.Subscript) for annotation in arguments for part in ast.walk(annotation))


def test_a_command_started_by_its_path_says_how_to_start_it() -> None:
    result = subprocess.run(
        [sys.executable, "conformance", "coverage"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    says = "conformance: start it as python3 -m conformance, in the folder that has this one\n"
    assert (result.returncode, result.stderr) == (2, says)


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check"], "error: give a URL, or --start with a command"),
        (["check", "http://127.0.0.1:1/", "--json", "{missing}/a.json"], "argument --json: there is no folder "),
        (["check", "http://127.0.0.1:1/", "--junit", ""], "argument --junit: the name of the file is empty"),
        (["check", "http://127.0.0.1:1/", "--html", "{folder}"], "is a folder, not a file"),
        (["compare", "no-such-server"], "error: unknown servers: no-such-server; the table has "),
        (["compare", "--results", "{missing}/a"], "argument --results: there is no folder "),
        (["compare", "--packages", "{file}/packages"], "argument --packages: there is no folder "),
        (["coverage", "more"], "error: unrecognized arguments: more"),
        (["export", "{missing}/a.json"], "argument file: there is no folder "),
        (["fuzz", "--minutes", "nan"], "error: --minutes is nan: give 0 or more"),
        (["fuzz", "--inputs", "-1"], "error: --inputs is -1: give 0 or more"),
        (["fuzz", "--candidates", "{file}"], "argument --candidates: there is no folder "),
        (["parsers", "--page", "{missing}/a.md"], "argument --page: there is no folder "),
        (["report", "--html", "{missing}/a.html"], "argument --html: there is no folder "),
        (["suite", "{missing}"], "error: there is no folder "),
    ],
)
def test_an_argument_that_cannot_work_is_refused_before_the_run(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    places = {"missing": str(tmp_path / "missing"), "folder": str(tmp_path), "file": str(file)}
    with pytest.raises(SystemExit) as ended:
        main([argument.format(**places) for argument in arguments])
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert says in captured.err.splitlines()[-1]


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"\xff", b'{"names": [], "compared": [1]}'])
def test_a_file_that_compare_did_not_write_is_refused_with_its_name(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(content)
    assert main(["compare", "--render", "--results", str(tmp_path / "results")]) == 2
    assert f"conformance: {file} is no output of compare: " in capsys.readouterr().err


def test_a_file_that_is_no_test_of_llhttp_is_refused_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "request" / "a.md"
    file.parent.mkdir()
    file.write_bytes(b"## A title\n<!-- meta={} -->\n```http\n```\n```log\n```\n## \xff\n")
    assert main(["suite", str(tmp_path)]) == 2
    assert f"conformance: {file} is no test of llhttp: 'utf-8' codec can't decode" in capsys.readouterr().err


_IS_LINUX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")


@_IS_LINUX
@pytest.mark.parametrize("command", ["coverage", "export", "--help"])
def test_a_full_disk_behind_standard_output_causes_one_sentence(command: str) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "conformance", command],
            cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    assert (result.returncode, result.stderr) == (2, b"conformance: cannot go on: No space left on device\n")


@_IS_LINUX
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "/dev/full"], "conformance: cannot write /dev/full: No space left on device\n"),
        (["check", "http://127.0.0.1:1/", "--json", "/dev/full"],
         "conformance: cannot write /dev/full: No space left on device\n"),
    ],
)  # fmt: skip
def test_a_full_disk_behind_a_file_causes_one_sentence(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passed = Result("a-name", "R036", "MUST", Outcome.PASSED, "", b"", b"", "")
    monkeypatch.setattr(check, "check", lambda *_, **__: [passed])
    assert main(arguments) == 2
    assert capsys.readouterr().err == says


@pytest.mark.parametrize("command", ["coverage", "export", "--help"])
def test_a_command_runs_without_standard_output(command: str) -> None:
    result = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m conformance {command} >&-"],
        cwd=PROJECT, stderr=subprocess.PIPE, timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, b"")


@_IS_LINUX
def test_a_file_in_a_folder_of_another_user_can_be_written() -> None:
    """For example, a user can write to /dev/stdout, although only root can make files in /dev."""
    code = (
        "import os\nfrom conformance.output_path import output_file\n"
        "if os.geteuid() == 0: os.setuid(65534)\nprint(output_file('/dev/full'))"
    )
    # A process that notes its coverage writes to a folder in which this user can't.
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT, env=unmeasured, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("/dev/full\n", "")


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "  check " in capsys.readouterr().out
