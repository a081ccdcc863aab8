"""The command line: --auth-hash hashes a password, --auth requires a password, and --spa serves a single page."""

import contextlib
import io
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from httpsock.__main__ import main
from httpsock.cli.password import VARIABLE
from httpsock.handlers.credentials import Credentials
from tests.cli.programs import readable_copy
from tests.support.marks import as_root, needs_signals
from tests.support.program import COMMAND, ENVIRONMENT, Start, run_python

# The hash of "secret".
HASH = "scrypt$2$1$1$c2FsdHNhbHRzYWx0c2FsdA==$jjjNh3eNiOh3SQ07meC/jcZYQjJfzwYY4Tjkd0VmMZY="
RIGHT, WRONG = "Authorization: Basic YWxpY2U6c2VjcmV0", "Authorization: Basic YWxpY2U6d3Jvbmc="


@pytest.fixture
def file(tmp_path: pathlib.Path) -> str:
    """Write the password's hash to a file and return its path."""
    path = tmp_path / "password.txt"
    path.write_text(HASH + "\n")
    return str(path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the program with *arguments*, which are wrong. Return the error message."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    printed = capsys.readouterr()
    assert (left.value.code, printed.out) == (2, "")
    return printed.err.removeprefix("httpsock: ").partition("; see ")[0]


# --- the hash -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [b"secret", b"secret\n", b"secret\r\n", b"secret\nmore\n"])
def test_the_program_makes_the_hash_of_a_line(typed: bytes) -> None:
    done = subprocess.run([*COMMAND, "--auth-hash"], input=typed, env=ENVIRONMENT, capture_output=True, check=True)
    hashed = done.stdout.decode("ascii").removesuffix("\n")
    given = (b"alice", b"secret")
    credentials = Credentials("alice", hashed)
    assert credentials.are_valid(credentials.digest(given), given)
    assert done.stderr == b""


@pytest.mark.parametrize("typed", [b"", b"\n", b"a\0b\n", b"\xff", b"x" * 600])
def test_a_password_that_no_client_can_send_is_refused(typed: bytes) -> None:
    done = subprocess.run([*COMMAND, "--auth-hash"], input=typed, env=ENVIRONMENT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"httpsock: a password has 1 to 500 bytes of UTF-8, without control characters")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(
    ("again", "code", "message"),
    [
        pytest.param("secret", 0, b"scrypt$", id="the same"),
        pytest.param("sceret", 2, b"the two passwords differ", id="another password"),
        pytest.param("\x04", 1, b"cannot read the password: end of input", id="Ctrl-D"),
        pytest.param("\x03", 130, b"", id="Ctrl-C"),
    ],
)
def test_on_a_terminal_the_password_is_typed_twice_and_not_shown(again: str, code: int, message: bytes) -> None:
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*COMMAND, "--auth-hash"], ENVIRONMENT)
    with io.FileIO(terminal, "r+") as screen:
        shown = b""
        for prompt, typed in ((b"Password: ", "secret"), (b"The same again: ", again)):
            while not shown.endswith(prompt):
                shown += screen.read(1024) or b""
            screen.write(f"{typed}\n".encode())
        # On Linux, reading fails with EIO after the program has closed the terminal.
        with contextlib.suppress(OSError):
            while octets := screen.read(1024):
                shown += octets
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    assert b"ecret" not in shown
    assert b"Traceback" not in shown
    assert message in shown


def test_without_standard_input_the_password_is_refused_as_empty(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert refused(capsys, "--auth-hash").startswith("a password has 1 to 500 bytes")


def test_standard_input_that_cannot_be_read_is_reported() -> None:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        done = subprocess.run(
            [*COMMAND, "--auth-hash"], stdin=descriptor, env=ENVIRONMENT, capture_output=True, check=False
        )
    finally:
        os.close(descriptor)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"httpsock: cannot read the password: Bad file descriptor.\n"


def test_a_hash_that_cannot_be_written_is_reported() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "--auth-hash"],
            input=b"secret\n",
            env=ENVIRONMENT,
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.returncode == 23
    assert done.stderr == b"httpsock: can't write to standard output: Broken pipe.\n"


# --- wrong arguments ------------------------------------------------------------------------------------------------


def test_a_user_needs_a_password(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    sentence = "the hash of the password is missing: give --auth-file FILE, or set HTTPSOCK_AUTH"
    assert refused(capsys, "--auth", "alice") == sentence
    monkeypatch.setenv(VARIABLE, "")
    assert refused(capsys, "--auth", "alice") == sentence


def test_a_password_needs_a_user(capsys: pytest.CaptureFixture[str], file: str) -> None:
    assert refused(capsys, "--auth-file", file) == "--auth-file is for --auth USER"


def test_the_error_names_a_missing_password_file(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    sentence = refused(capsys, "--auth", "alice", "--auth-file", str(tmp_path / "none"))
    assert sentence.startswith("cannot read the file ")
    assert sentence.endswith("none' of --auth-file: No such file or directory")


@pytest.mark.parametrize("content", [b"", b"secret", b"\xff\xfe\0", b"scrypt$2$1$1$$", HASH.encode() * 2])
def test_a_file_without_a_hash_is_refused_and_not_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, content: bytes
) -> None:
    (tmp_path / "file").write_bytes(content)
    sentence = refused(capsys, "--auth", "alice", "--auth-file", str(tmp_path / "file"))
    assert sentence in (
        "the hash of the password is not scrypt$N$R$P$SALT$KEY, with salt and key in base64",
        "the key in the hash of the password has less than 16 bytes",
    )


@pytest.mark.parametrize("user", ["", "a:b"])
def test_a_user_name_that_no_client_can_send_is_refused(
    capsys: pytest.CaptureFixture[str], file: str, user: str
) -> None:
    assert refused(capsys, "--auth", user, "--auth-file", file).startswith("a user name has 1 to 500 bytes")


def test_a_python_without_scrypt_is_reported(file: str) -> None:
    program = f"""
import hashlib, sys
del hashlib.scrypt
from httpsock.__main__ import main
sys.exit(main(["--auth", "alice", "--auth-file", {file!r}]))"""
    done = run_python(program)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("httpsock: cannot import name 'scrypt' from 'hashlib'")


# --- the program ----------------------------------------------------------------------------------------------------


@needs_signals
@pytest.mark.parametrize("options", [[], ["--processes", "2"], ["--inspect"], ["--trace"], ["--trace=json"]])
def test_only_the_user_with_the_password_is_admitted(serving: Start, file: str, options: list[str]) -> None:
    """The test also checks that the log and the trace show neither the password nor its hash."""
    program = serving("--auth", "alice", "--auth-file", file, *options)
    for _ in range(4):
        assert program.ask("/hello.txt").status == 401
        assert program.ask("/hello.txt", WRONG).status == 401
        assert program.ask("/hello.txt", RIGHT).status == 200
    code, _, error = program.stop()
    assert code == 0
    assert "Traceback" not in error
    assert "401" in error
    for secret in ("secret", "YWxpY2U6c2VjcmV0", "YWxpY2U6d3Jvbmc=", "jjjNh3"):
        assert secret not in error
    assert "crosses the network" not in error


@needs_signals
def test_the_environment_may_hold_the_hash(serving: Start) -> None:
    program = serving("--auth", "alice", env=ENVIRONMENT | {VARIABLE: HASH})
    assert [program.ask("/hello.txt", line).status for line in (WRONG, RIGHT)] == [401, 200]


@needs_signals
@pytest.mark.parametrize("reach", [["--lan"], ["--bind", "0.0.0.0"]])
def test_beyond_loopback_a_hint_says_that_the_password_can_be_read(serving: Start, file: str, reach: list[str]) -> None:
    _, _, error = serving("--auth", "alice", "--auth-file", file, *reach).stop()
    assert "The password crosses the network unencrypted: put a proxy with TLS in front.\n" in error


@needs_signals
def test_a_restart_reads_the_file_again(serving: Start, file: str) -> None:
    """After SIGHUP, new connections need the new password. Older connections still accept the old password."""
    program = serving("--auth", "alice", "--auth-file", file)
    assert program.ask("/hello.txt", RIGHT).status == 200
    changed = subprocess.run(
        [*COMMAND, "--auth-hash"], input=b"other", env=ENVIRONMENT, capture_output=True, check=True
    )
    pathlib.Path(file).write_bytes(changed.stdout)
    program.restart()
    # The old process stops accepting, and answers the connections that it has accepted.
    while program.ask("/hello.txt", RIGHT).status == 200:
        pass
    assert program.ask("/hello.txt", "Authorization: Basic YWxpY2U6b3RoZXI=").status == 200


@needs_signals
def test_a_restart_with_a_file_that_has_no_hash_changes_nothing(serving: Start, file: str) -> None:
    program = serving("--auth", "alice", "--auth-file", file)
    pathlib.Path(file).write_text("nothing")
    program.process.send_signal(signal.SIGHUP)
    assert program.process.stderr
    while b"exited before it was ready; still serving" not in (line := program.process.stderr.readline()):
        assert line
    assert [program.ask("/hello.txt", line).status for line in (WRONG, RIGHT)] == [401, 200]


@needs_signals
def test_an_unknown_path_is_answered_with_the_index(serving: Start, folder: pathlib.Path) -> None:
    (folder / "index.html").write_bytes(b"index")
    program = serving("--spa")
    assert program.ask("/users/7", "Accept: text/html").content == b"index"
    assert program.ask("/app.js", "Accept: text/html").status == 404
    assert program.stop()[0] == 0
    assert serving().ask("/users/7", "Accept: text/html").status == 404


@as_root
def test_a_user_without_access_to_the_password_file_is_reported(start: Start, folder: pathlib.Path, file: str) -> None:
    """The program refuses to start, since it could not read the file again at a restart."""
    with readable_copy(folder) as copy:
        hidden = copy.with_name("password.txt")
        hidden.write_text(pathlib.Path(file).read_text())
        hidden.chmod(0o600)
        arguments = ("--user", "nobody", "--auth", "alice", "--auth-file", str(hidden), "--port", "0")
        code, out, error = start(*arguments, cwd=copy).end()
        assert (code, out) == (1, "")
        assert error.startswith(f"httpsock: nobody may not read the file {str(hidden)!r}.\n")
        hidden.chmod(0o644)
        program = start(*arguments, cwd=copy)
        program.read_url()
        assert [program.ask("/hello.txt", line).status for line in (WRONG, RIGHT)] == [401, 200]
        assert program.stop()[0] == 0
