"""A server exits or falls silent during a check. The check must blame the case that stops it, and no other case."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from . import corpus_run, target, trials
from .results import GONE, NO_TIME, Outcome, Result
from .start import Program, Recipe, StartError, started
from .target import Target
from .testing import run_check, serving, url_of, wait
from .trials import Attempt, Trial, run_trials

PROJECT = Path(__file__).resolve().parents[2]

# A server of twenty lines that exits if a field line has no colon.
_FRAGILE = """
import socket, sys, os, threading

def serve_connection(connected):
    octets = connected.recv(65536)
    try:
        head = octets.partition(b"\\r\\n\\r\\n")[0].split(b"\\r\\n")
        dict(line.split(b":", 1) for line in head[1:])
        connected.sendall(b"HTTP/1.1 404 No\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    except ValueError as error:
        print("cannot read the fields:", error, flush=True)
        os._exit(3)
    connected.shutdown(socket.SHUT_WR)
    while connected.recv(65536):
        pass
    connected.close()

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    threading.Thread(target=serve_connection, args=(listener.accept()[0],), daemon=True).start()
"""
# The same, but it also exits at the thirtieth request.
_WORN_OUT = _FRAGILE.replace("import socket", "count = iter(range(30))\nimport socket").replace(
    "    try:", "    if next(count, None) is None:\n        os._exit(0)\n    try:"
)
# Like _FRAGILE, but instead of exiting it stops answering, and still accepts connections.
_SILENT = (
    _FRAGILE.replace("os._exit(3)", "silence.clear()")
    .replace(
        "def serve_connection(connected):\n",
        "silence = threading.Event()\nsilence.set()\n\ndef serve_connection(connected):\n",
    )
    .replace("    octets = ", "    silence.is_set() or threading.Event().wait()\n    octets = ")
)


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start servers without coverage, which can crash when os._exit() is called in a thread beside others."""
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)


def run(tmp_path: Path, program: str, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Check the server *program*. Return the exit code, and the results by name."""
    script = tmp_path / "server.py"
    script.write_text(program, encoding="utf-8")
    return run_check(tmp_path, "--start", f"{sys.executable} {script} {{port}}", *options)


def test_every_case_that_stops_the_server_is_named_and_the_others_are_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After each stop, the check starts the server again, and repeats the other cases that were in progress.

    The report has the exit code and the last output of the server.
    """
    code, results = run(tmp_path, _FRAGILE, "--only", "R038")
    stops = {name: result for name, result in results.items() if result["stops_server"]}
    assert code == 1
    assert stops.keys() == {
        *("a-field-line-without-a-colon", "a-status-line-among-the-fields", "a-request-line-among-the-fields"),
        *("a-corrupted-line-without-a-colon", "a-name-whose-colon-is-in-a-fold"),
    }
    for result in stops.values():
        assert result["why"] == "the server stops: it exited with code 3"
        assert result["output"].startswith("cannot read the fields: ")
        assert (result["requirement"], result["level"]) == ("R093", "SECURITY")
    assert not any(result["why"] == GONE or "connection is refused" in result["why"] for result in results.values())
    assert "a-field-line-without-a-colon: the server stops: it exited with code 3\n" in capsys.readouterr().err


def test_a_server_that_does_not_start_again_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The remaining cases are skipped, and the report quotes the output of the server."""
    mark = tmp_path / "mark"
    once = f"import os, sys\nif os.path.exists({str(mark)!r}): sys.exit('locked')\nopen({str(mark)!r}, 'w').close()\n"
    code, results = run(tmp_path, once + _FRAGILE, "--only", "R038")
    assert code == 1
    assert "the server stops: it does not start again: " in results["the-server-stays-up"]["why"]
    assert "locked" in results["the-server-stays-up"]["why"]
    assert any(result["why"] == GONE for result in results.values())
    assert "cases and checks not tried, since the server stopped: " in capsys.readouterr().err


def test_a_stop_that_no_single_case_causes_is_reported_with_all_cases_in_progress(tmp_path: Path) -> None:
    """Each case in progress passes if it is tried alone on a new server.

    The report therefore blames none of these cases.
    """
    _, results = run(tmp_path, _WORN_OUT, "--only", "RFC 9112 §7")
    stops = [result for result in results.values() if result["stops_server"]]
    assert [result["name"] for result in stops] == ["the-server-stays-up"]
    assert "none of which stops it alone: " in stops[0]["why"]
    assert "it exited with code 0" in stops[0]["why"]


def test_cases_behind_the_one_that_silences_the_server_do_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent server accepts connections, but answers nothing.

    The report names each case that makes a server silent.
    """
    monkeypatch.setattr(corpus_run, "_MIN_SILENCE_SECONDS", 0.4)
    monkeypatch.setattr(target, "_ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(target, "_RETURN_SECONDS", 0.1)
    monkeypatch.setattr(target, "_STALL_SECONDS", 0.4)
    _, results = run(tmp_path, _SILENT, "--only", "R038")
    failed = [result for result in results.values() if result["outcome"] == "failed"]
    says = "the server stops: it no longer answers plain requests (timed out)"
    assert [result["why"] for result in failed] == [says] * 5
    assert all(result["output"] for result in failed)
    assert all(result["outcome"] == "passed" for result in results.values() if result not in failed)


def test_if_a_server_that_check_did_not_start_stops_the_report_names_all_cases_in_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check did not start the server, so it can't restart the server to try the cases one by one."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve_a_few() -> None:
        with listener:
            for _ in range(40):
                with listener.accept()[0] as connected:
                    connected.recv(65536)
                    connected.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    connected.shutdown(socket.SHUT_WR)
                    wait(connected)

    thread = threading.Thread(target=serve_a_few)
    thread.start()
    code, results = run_check(tmp_path, url_of(listener.getsockname()))
    thread.join()
    assert code == 1
    why = str(results["the-server-stays-up"]["why"])
    assert why.startswith("the server stops: it no longer accepts connections; in progress: ")
    assert sum(result["why"] == GONE for result in results.values()) > len(results) - 60
    assert "; with --start, check can start it again\n" in capsys.readouterr().err


class _Late:
    """Makes trials that pass after *times* time-outs. *names* lists the name of the trial at each attempt."""

    def __init__(self, times: int = 1) -> None:
        self._times = times
        self.names: list[str] = []

    def trial(self, name: str) -> Trial:
        """Return a trial called *name*."""
        result = Result(name, "R001", "MUST", Outcome.SKIPPED, "", b"", b"", "")
        return Trial(name, partial(self._attempt, result), lambda why: result._replace(why=why))

    def _attempt(self, result: Result) -> Attempt:
        self.names.append(result.name)
        is_late = self.names.count(result.name) <= self._times
        outcome = Outcome.FAILED if is_late else Outcome.PASSED
        return Attempt(result._replace(outcome=outcome), is_doubtful=False, is_late=is_late)


def test_a_case_that_timed_out_beside_others_is_tried_again_alone() -> None:
    """The case may have timed out only because another case kept the server busy."""
    late = _Late()
    with serving(lambda connected: connected.sendall(b"HTTP/1.1 404 No\r\n\r\n")) as address:
        results = run_trials(Target(address), [late.trial("one"), late.trial("two")])
    assert [(result.name, result.outcome) for result in results] == [("one", Outcome.PASSED), ("two", Outcome.PASSED)]
    assert sorted(late.names) == ["one", "one", "two", "two"]


def test_many_cases_that_timed_out_beside_others_are_tried_again_alone() -> None:
    """A single slow case may have delayed all the others, so each of them is tried alone."""
    late, names = _Late(), [f"case-{number}" for number in range(40)]
    with serving(lambda connected: connected.sendall(b"HTTP/1.1 404 No\r\n\r\n")) as address:
        results = run_trials(Target(address), [late.trial(name) for name in names])
    assert [(result.name, result.outcome) for result in results] == [(name, Outcome.PASSED) for name in names]


def test_if_many_cases_time_out_alone_too_the_others_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """If many cases time out alone, the server itself is slow, so it is useless to repeat the others."""
    monkeypatch.setattr(trials, "_MAX_LATE", 3)
    late, names = _Late(times=9), [f"case-{number}" for number in range(40)]
    with serving(lambda connected: connected.sendall(b"HTTP/1.1 404 No\r\n\r\n")) as address:
        results = run_trials(Target(address), [late.trial(name) for name in names])
    assert {result.outcome for result in results} == {Outcome.FAILED}
    assert len(late.names) == 40 + 3


def test_after_the_deadline_a_case_that_timed_out_beside_others_has_no_verdict() -> None:
    """No time is left to try the case alone, so the case may have failed only because the server is slow."""
    late = _Late()
    with serving(lambda connected: connected.sendall(b"HTTP/1.1 404 No\r\n\r\n")) as address:
        overdue = Target(address)
        overdue.deadline = 0.0
        results = run_trials(overdue, [late.trial("one")])
    assert [(result.name, result.why) for result in results] == [("one", NO_TIME)]
    assert late.names == ["one"]


def test_after_many_timeouts_an_exchange_gets_less_time() -> None:
    slow = Target(("127.0.0.1", 1))
    for _ in range(12):
        assert slow.limited(2.0) == 2.0
        slow.count_timeout()
    assert slow.limited(2.0) == 0.5
    assert slow.limited(0.1) == 0.1


# A server of the file /digits.txt that exits at the first request for it.
_EXITS_AT_FIRST = """
import os, socket, sys
answer = b"HTTP/1.1 %s\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s"
with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64) as listener:
    while True:
        with listener.accept()[0] as connected:
            is_of_file = connected.recv(65536).startswith(b"GET /digits.txt ")
            if is_of_file and not os.path.exists(MARK):
                open(MARK, "w").close()
                os._exit(1)
            connected.sendall(answer % ((b"200 OK", 10, b"0123456789") if is_of_file else (b"404 No", 0, b"")))
            connected.shutdown(socket.SHUT_WR)
            while connected.recv(65536):
                pass
"""


def test_a_server_that_stops_when_asked_for_the_known_folder_is_started_again_and_checked(tmp_path: Path) -> None:
    """Without the restart, all checks would be skipped, as if the server served another folder."""
    program = _EXITS_AT_FIRST.replace("MARK", repr(str(tmp_path / "mark")))
    name = "An unknown method gets 501"
    _, results = run(tmp_path, program, "--only", name)
    assert (results[name]["outcome"], results[name]["why"]) == ("failed", "the status is 404, not 501")


def test_if_a_case_tried_again_alone_stops_the_server_only_that_case_is_blamed() -> None:
    """If the server has stopped for good, the other cases that timed out are skipped."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = Target(listener.getsockname()[:2])
    late = _Late()
    one, two = run_trials(closed, [late.trial("one"), late.trial("two")])
    assert (one.why, one.stops_server) == ("the server stops: it no longer accepts connections", True)
    assert (two.outcome, two.why, closed.is_gone) == (Outcome.SKIPPED, GONE, True)


# This server first tries its port with a socket that it closes immediately, as some programs do, and listens later.
_TRIES_ITS_PORT = """
import socket, sys, time
address = ("127.0.0.1", int(sys.argv[1]))
with socket.create_server(address) as listener:
    listener.accept()[0].close()
time.sleep(0.2)
with socket.create_server(address) as listener:
    while True:
        connected = listener.accept()[0]
        connected.recv(65536)
        connected.sendall(b"HTTP/1.1 404 No\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        connected.close()
"""


def test_a_server_has_started_when_it_answers(tmp_path: Path) -> None:
    """A port that is open only for a moment is not enough."""
    script = tmp_path / "server.py"
    script.write_text(_TRIES_ITS_PORT, encoding="utf-8")
    with started(Recipe(f"{sys.executable} {script} {{port}}")) as server:
        assert Target(server.address, server).is_there()


def test_a_server_has_started_at_its_first_byte() -> None:
    """A hostile server may send bytes without end, so the start must not wait for the end of an answer."""
    sent = []

    def flood(connected: socket.socket) -> None:
        while True:
            sent.append(connected.send(bytes(65536)))

    with Program([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as program:
        with serving(flood) as address:
            assert program.answers(address)
        program.communicate(b"\n")
    assert 0 < sum(sent) < 32 * 1024 * 1024


def test_a_server_that_exits_after_opening_its_port_has_not_started(tmp_path: Path) -> None:
    """The error message quotes the output of the server."""
    script = tmp_path / "server.py"
    script.write_text(_TRIES_ITS_PORT.replace("time.sleep(0.2)", "sys.exit('no more')"), encoding="utf-8")
    with pytest.raises(StartError, match="no more"), started(Recipe(f"{sys.executable} {script} {{port}}")):
        pass


@pytest.mark.usefixtures("signals_heeded")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no FIFO")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_if_a_signal_ends_the_check_the_server_ends_too(tmp_path: Path, name: str, code: int) -> None:
    script, fifo = tmp_path / "silent.py", tmp_path / "fifo"
    script.write_text(
        "import os, socket, sys, threading\n"
        "with socket.create_server(('127.0.0.1', int(sys.argv[1]))), open(sys.argv[2], 'w') as fifo:\n"
        "    fifo.write(str(os.getpid()))\n"
        "    fifo.close()\n"
        "    threading.Event().wait()\n",
        encoding="utf-8",
    )
    os.mkfifo(fifo)
    start = f"{sys.executable} {script} {{port}} {fifo}"
    command = [sys.executable, "-m", "conformance", "check", "--start", start]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        pid = int(fifo.read_text(encoding="utf-8"))
        program.send_signal(signal.Signals[name])
        _, errors = program.communicate(timeout=60)
    assert program.returncode == code
    assert b"Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# A server with a child process that listens on a second port, and keeps running if the parent exits.
_HAS_A_CHILD = """
import os, socket, sys, time
other = socket.create_server(("127.0.0.1", 0))
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    if os.fork() == 0:
        listener.close()
        time.sleep(100)
    with open(sys.argv[2], "w") as file:
        file.write(str(other.getsockname()[1]))
    while True:
        with listener.accept()[0] as connected:
            connected.sendall(b"HTTP/1.1 404 No\\r\\n\\r\\n")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork()")
def test_a_server_is_stopped_with_its_children(tmp_path: Path) -> None:
    """If only the parent were stopped, its worker processes would keep serving."""
    script, port = tmp_path / "server.py", tmp_path / "port"
    script.write_text(_HAS_A_CHILD, encoding="utf-8")
    with ExitStack() as stack:
        with started(Recipe(f"{sys.executable} {script} {{port}} {port}")):
            other = ("127.0.0.1", int(port.read_text(encoding="utf-8")))
            queued = stack.enter_context(socket.create_connection(other, timeout=10.0))
        # When the last process with the listening socket exits, the kernel resets the connections in its accept queue.
        with pytest.raises(ConnectionResetError):
            queued.recv(1)
