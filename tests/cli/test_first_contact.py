"""The first start: with an old Python, in a folder of hostile downloads, or as the file __main__.py."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from tests.support import TIMEOUT_SECONDS
from tests.support.program import COMMAND, ENVIRONMENT, PACKAGE, Start
from tests.support.rows import each_row

OLD = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}


def old_python(version: str) -> str:
    """Return the path of a Python interpreter of *version*. If there is none, skip the test."""
    named = shutil.which(f"python{version}")
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
    for python in [named, *pyenv.glob(f"{version}.*/bin/python")]:
        if python and subprocess.run([python, "-c", ""], check=False, capture_output=True, env=PLAIN).returncode == 0:
            return str(python)
    pytest.skip(f"there is no Python {version} here")


def run(command: list[str], folder: pathlib.Path, environment: dict[str, str] = PLAIN) -> tuple[int, str, str]:
    """Run *command* in *folder*. Return its exit code, standard output and standard error."""
    done = subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [[], ["get", "http://localhost/"], ["find"]], ids=["serve", "get", "find"])
@pytest.mark.parametrize("version", OLD)
def test_an_old_python_gets_one_sentence_and_exit_code_2(version: str, arguments: list[str]) -> None:
    code, out, error = run([old_python(version), "-B", "-m", "httpsock", *arguments], PACKAGE.parent)
    assert (code, out) == (2, "")
    sentence = f"httpsock needs Python 3.11 or newer; this is Python {version}; try python3.11 -m httpsock.\n"
    assert error == sentence


@each_row("version", OLD)
def test_an_import_by_an_old_python_is_an_import_error(version: str) -> None:
    code = "try:\n import httpsock\nexcept ImportError as error:\n print(error)"
    result = run([old_python(version), "-B", "-c", code], PACKAGE.parent)
    assert result == (0, f"httpsock needs Python 3.11 or newer; this is Python {version}\n", "")


@each_row("name", ["httpsock", "httpsock/__main__.py"])
@each_row("version", [*OLD, ""])
def test_main_py_run_as_a_file_says_how_to_start_the_program(version: str, name: str) -> None:
    python = old_python(version) if version else sys.executable
    code, out, error = run([python, "-B", name], PACKAGE.parent, PLAIN if version else dict(os.environ))
    assert (code, out) == (2, "")
    assert error == "httpsock: start it as python3 -m httpsock, with Python 3.11 or newer.\n"


# The option -S omits the start-up files of an environment, which may load any module.
WITHOUT_SITE = [sys.executable, "-S", "-m", "httpsock"]


def modules_of_the_interpreter(folder: pathlib.Path) -> set[str]:
    """Return the modules that ``python -m`` itself imports. Python looks for them in the current folder first."""
    (folder / "nothing.py").write_text("import sys; print(*sys.modules)")
    done = subprocess.run(
        [sys.executable, "-S", "-m", "nothing"], check=True, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.fixture
def downloads(folder: pathlib.Path) -> pathlib.Path:
    """Add a file to *folder* for each module that the program could import. Each file records that it was run."""
    marks = folder.parent / "marks"
    names = sys.stdlib_module_names - modules_of_the_interpreter(folder)
    assert {"argparse", "select", "socket", "typing"} <= names
    for name in names:
        code = f"open({str(marks)!r}, 'a').write({name!r} + ' ')\nraise ImportError('from the folder')\n"
        (folder / f"{name}.py").write_text(code)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="stops the program by a signal")
@pytest.mark.parametrize("is_clone", [False, True], ids=["installed", "in its clone"])
def test_no_file_of_the_current_folder_is_run(serving: Start, downloads: pathlib.Path, *, is_clone: bool) -> None:
    if is_clone:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE, downloads / "httpsock", ignore=ignored)
    program = serving(command=[sys.executable, "-S", "-P", "-c", LAUNCH] if is_clone else WITHOUT_SITE)
    for accept in ("text/html", "application/json", "text/plain"):
        assert program.ask("/", f"Accept: {accept}").status == 200
        assert program.ask("/nothing", f"Accept: {accept}").status == 404
    code, _, error = program.stop(signal.SIGTERM)
    assert code == 0, error
    assert not (downloads.parent / "marks").exists()


# Start the program without PYTHONPATH, so that it finds httpsock in the current folder only.
LAUNCH = """import os, sys
os.environ.pop("PYTHONPATH", None)
os.execv(sys.executable, [sys.executable, "-S", "-m", "httpsock", *sys.argv[1:]])
"""


@pytest.mark.parametrize("command", ["get", "find", "serve"])
def test_no_command_runs_a_file_of_the_current_folder(downloads: pathlib.Path, command: str) -> None:
    arguments = ["--help"] if command == "serve" else [command, "--help"]
    done = subprocess.run(
        [*WITHOUT_SITE, *arguments],
        check=False,
        cwd=downloads,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (downloads.parent / "marks").exists()


def test_the_program_starts_in_the_folder_of_the_standard_library() -> None:
    done = subprocess.run(
        [*COMMAND, "--version"], check=False, cwd=pathlib.Path(os.__file__).parent, env=ENVIRONMENT,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
