"""The command line: the program binds the port as root and then changes to another user."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import pytest

from httpsock.__main__ import main
from httpsock.cli.options import _parser
from httpsock.cli.serve import _drop_root
from httpsock.processes import restart
from httpsock.processes.children import Children
from httpsock.processes.restart import GracefulRestart, missing_permission
from httpsock.server.poller import open_poller
from tests.cli.programs import cannot_serve, readable_copy
from tests.support.marks import as_root, needs_signals
from tests.support.program import ENVIRONMENT, PACKAGE, Start
from tests.support.rows import each_row

pytestmark = needs_signals

# Coverage can't write its data as another user.
PLAIN = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(("COV", "PYTHON"))}


@as_root
def test_root_is_dropped_once_the_port_is_bound(start: Start, folder: pathlib.Path) -> None:
    secret = folder / "secret.txt"
    secret.write_bytes(b"for root alone")
    secret.chmod(0o600)
    with readable_copy(folder) as copy:
        program = start("--user", "nobody", "--port", str(free_low_port()), cwd=copy)
        program.read_url()
        assert program.ask("/hello.txt").status == 200
        assert program.ask("/secret.txt").status == 403
        status = pathlib.Path(f"/proc/{program.process.pid}/status").read_text()
        assert re.search(r"^Uid:\t(\d+)\t\1\t\1\t\1$", status, re.MULTILINE)
        assert "Uid:\t0" not in status
        assert "Gid:\t0" not in status
        assert program.stop()[0] == 0


@as_root
@each_row("options", [["--processes", "2"], ["--inspect"], ["--trace"], ["--bind", "127.0.0.1", "--announce"]])
def test_the_user_need_not_be_able_to_read_the_program(
    options: list[str], serving: Start, folder: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The program loads all modules and pages before it changes to another user."""
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    shutil.copytree(PACKAGE, private / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    with readable_copy(folder) as copy:
        environment = {**ENVIRONMENT, "PYTHONPATH": str(private)}
        program = serving("--user", "nobody", *options, cwd=copy, env=environment)
        assert program.url, program.end()[2]
        assert program.ask("/hello.txt").status == 200
        assert program.ask("/?sort=size", "Accept: application/json").status == 200
        assert program.ask("/.httpsock/").status == (200 if "--inspect" in options else 404)
        code, _, error = program.stop()
        assert code == 0
        assert re.search(CANNOT_RESTART, error), "the user is told that a restart would fail"


CANNOT_RESTART = (
    r"(?m)^httpsock: nobody may not (?:execute|read) '/[^'\n]+', "
    r"so SIGHUP can't restart this server; it serves all the same\.\n"
)


@as_root
def test_a_server_whose_user_may_read_the_program_can_restart(serving: Start, folder: pathlib.Path) -> None:
    with readable_copy(folder) as copy:
        shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
        command = [python_for_nobody(), "-m", "httpsock"]
        program = serving("--user", "nobody", "--quiet", cwd=copy, command=command, env=PLAIN)
        assert program.url, program.end()[2]
        assert program.process.stderr
        assert program.process.stderr.readline().startswith(b"Serving ")
        program.restart()
        assert program.ask("/hello.txt").status == 200
        assert program.stop()[0] == 0


def python_for_nobody() -> str:
    """Return a Python interpreter that root and the user nobody can run. If there is none, skip the test."""
    code = "import os, sys; print(sys.version_info >= (3, 11), os.__file__)"
    for python in [sys.executable, "/usr/bin/python3"]:
        with contextlib.suppress(OSError):
            found = [
                subprocess.run([python, "-c", code], user=user, cwd="/", env=PLAIN, check=False, capture_output=True)
                for user in ("root", "nobody")
            ]
            if found[0].stdout == found[1].stdout and found[0].stdout.startswith(b"True"):
                return python
    pytest.skip("nobody may run no Python here")


def test_a_restart_needs_the_interpreter_and_the_files_of_the_modules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    assert missing_permission() is None
    access = os.access
    for needed in (restart.__file__, os.__file__):
        monkeypatch.setattr(os, "access", lambda path, mode, needed=needed: path != needed and access(path, mode))
        assert missing_permission() == f"read {needed!r}"
    monkeypatch.setattr(os, "access", lambda path, mode: path != pytest.__file__ and access(path, mode))
    assert missing_permission() is None, "the program does not need what a start-up file has loaded"
    python = tmp_path / "python3"
    python.touch(mode=0o600)
    monkeypatch.setattr(sys, "executable", str(python))
    assert missing_permission() == f"execute '{python}'"


def test_without_a_permission_that_it_needs_a_restart_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", __file__)
    reports: list[str] = []
    children = Children()
    with contextlib.closing(open_poller()) as poller:
        GracefulRestart(children, [], reports.append).start(poller, 0.0)
    sentence = f"httpsock: cannot start a new process: this user may not execute {__file__!r}; still serving."
    assert (children.pids(), reports) == ([], [sentence])


def test_a_user_who_may_not_read_the_program_is_told_that_a_restart_would_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: pathlib.Path
) -> None:
    monkeypatch.setattr("httpsock.cli.serve.become_user", lambda name: monkeypatch.setattr(sys, "executable", __file__))
    assert _drop_root(_parser().parse_args(["--user", "nobody"]), str(folder)) is None
    assert re.fullmatch(CANNOT_RESTART, capsys.readouterr().err)


@as_root
def test_the_current_folder_must_be_within_reach_of_the_user(start: Start, tmp_path: pathlib.Path) -> None:
    """The server opens files by the absolute path of its folder, so the user needs access to each parent folder."""
    site = tmp_path / "site"
    site.mkdir()
    site.chmod(0o755)
    tmp_path.chmod(0o700)
    environment = {**PLAIN, "PYTHONPATH": str(PACKAGE.parent)}
    sentence = cannot_serve(start("--user", "nobody", "--port", "0", cwd=site, env=environment))
    assert sentence == f"nobody may not read the folder '{site}'."


def free_low_port() -> int:
    """Return a free port below 1024, which only root may bind."""
    for port in range(600, 1024):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    pytest.skip("no port below 1024 is free")


def test_an_unknown_user_is_reported_in_a_sentence(start: Start) -> None:
    sentence = cannot_serve(start("--user", "no such user", "--port", "0"))
    assert sentence == "there is no user 'no such user'; --user takes a name of this system."


def test_root_may_be_dropped_for_a_user_with_access_to_the_folder(
    monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path
) -> None:
    become: list[str] = []
    monkeypatch.setattr("httpsock.cli.serve.become_user", become.append)
    assert _drop_root(_parser().parse_args(["--user", "somebody"]), str(folder)) is None
    options = _parser().parse_args(["--user", "somebody", "--auth-file", str(folder / "hello.txt")])
    assert _drop_root(options, str(folder)) is None
    assert become == ["somebody", "somebody"]


def test_only_root_can_become_another_user(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "initgroups", refuse)
    assert main(["--port", "0", "--user", "nobody"]) == 1
    assert capsys.readouterr().err == "httpsock: --user needs root, and this process is not root.\n"


def test_a_folder_that_the_user_may_not_read_is_reported_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: pathlib.Path
) -> None:
    def become(name: str) -> None:
        def refuse(directory: str) -> None:
            raise PermissionError(13, "Permission denied", directory)

        monkeypatch.setattr(os, "scandir", refuse)

    monkeypatch.setattr("httpsock.cli.serve.become_user", become)
    assert main([str(folder), "--port", "0", "--user", "somebody"]) == 1
    assert capsys.readouterr().err == f"httpsock: somebody may not read the folder '{folder}'.\n"
