"""A server that ends is found out: which case ends it, how, and that the others were not tried."""

import json
import os
import socket
import sys
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from conformance.__main__ import main

from . import target
from .results import GONE, Outcome, Result
from .start import Recipe, StartError, started
from .target import Target
from .test_live import hostile
from .trials import Attempt, Trial, run_trials

# Twenty lines of a stranger's server, which one request ends: a line without a colon among its fields.
_STRANGER = """
import socket, sys, os, threading

def converse(connected):
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
    threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()
"""
# The same, but it ends at its thirtieth request.
_WORN_OUT = _STRANGER.replace("import socket", "count = iter(range(30))\nimport socket").replace(
    "    try:", "    if next(count, None) is None:\n        os._exit(0)\n    try:"
)
# The same, but it falls silent there, with its listening socket open.
_SILENT = (
    _STRANGER.replace("os._exit(3)", "silence.clear()")
    .replace("def converse(connected):\n", "silence = threading.Event()\nsilence.set()\n\ndef converse(connected):\n")
    .replace("    octets = ", "    silence.is_set() or threading.Event().wait()\n    octets = ")
)


def run(tmp_path: Path, program: str, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code of a check of *program*, and its results by name."""
    script, output = tmp_path / "stranger.py", tmp_path / "results.json"
    script.write_text(program, encoding="utf-8")
    code = main(["check", "--start", f"{sys.executable} {script} {{port}}", "--json", str(output), *options])
    return code, {result["name"]: result for result in json.loads(output.read_text(encoding="utf-8"))}


def test_the_case_that_ends_the_server_is_named_and_the_others_are_not_accused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its exit code and the end of its output; the other cases are skipped, and the exit code says so."""
    code, results = run(tmp_path, _STRANGER, "--only", "RFC 9112 §5")
    failed = {name: result for name, result in results.items() if result["outcome"] == "failed"}
    ended = [name for name, result in failed.items() if "the server ends here" in result["why"]]
    assert code == 1
    assert len(ended) == 1, ended
    assert "it ended with exit code 3; it printed last: cannot read the fields: " in failed[ended[0]]["why"]
    assert (failed[ended[0]]["requirement"], failed[ended[0]]["level"]) == ("R093", "SECURITY")
    assert not any("connection is refused" in result["why"] for result in failed.values()), failed
    assert any(result["why"] == GONE for result in results.values())
    assert "with --start and --restart it starts again" in capsys.readouterr().err


def test_with_restart_every_case_is_tried_and_each_that_ends_the_server_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server starts again behind each end; a case that only met the end of another has its own result."""
    code, results = run(tmp_path, _STRANGER, "--restart", "--only", "R038")
    ended = {name for name, result in results.items() if "the server ends here" in result["why"]}
    assert code == 1
    assert ended == {
        *("a-field-line-without-a-colon", "a-status-line-among-the-fields", "a-request-line-among-the-fields")
    }
    assert all(result["why"] != GONE for result in results.values())
    assert "a-field-line-without-a-colon: the server ends here: it ended with exit code 3" in capsys.readouterr().err


def test_a_server_that_ends_for_no_case_of_its_own_is_reported_with_those_that_were_open(tmp_path: Path) -> None:
    """No case is accused: each holds on a server that has just started."""
    _, results = run(tmp_path, _WORN_OUT, "--only", "RFC 9112 §7")
    ends = [result for result in results.values() if "the server ends" in result["why"]]
    assert [result["name"] for result in ends] == ["the-server-goes-on"]
    assert "none of them ends it alone: " in ends[0]["why"]
    assert "it ended with exit code 0" in ends[0]["why"]


def test_a_server_that_falls_silent_is_not_accused_by_the_cases_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still accepts connections, but never answers: the cases are not tried."""
    monkeypatch.setattr(target, "_ANSWER_SECONDS", 0.4)
    _, results = run(tmp_path, _SILENT, "--only", "R038")
    ended = [result["why"] for result in results.values() if result["outcome"] == "failed"]
    assert len(ended) == 1
    assert ended[0].startswith("the server ends here: it answers no plain request any more (timed out); it printed")


def test_a_server_that_the_check_did_not_start_is_reported_with_those_that_were_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check cannot try them alone, and says so by naming them all."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve_a_few() -> None:
        with listener:
            for _ in range(40):
                with listener.accept()[0] as connected:
                    connected.recv(65536)
                    connected.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    connected.shutdown(socket.SHUT_WR)
                    while connected.recv(65536):
                        pass

    thread = threading.Thread(target=serve_a_few)
    thread.start()
    output = tmp_path / "results.json"
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert main(["check", url, "--json", str(output)]) == 1
    thread.join()
    results = {result["name"]: result for result in json.loads(output.read_text(encoding="utf-8"))}
    why = results["the-server-goes-on"]["why"]
    assert why.startswith("the server ends while one of these is tried: ")
    assert why.endswith("it accepts no connection any more")
    assert sum(result["why"] == GONE for result in results.values()) > len(results) - 60
    assert "with --start and --restart it starts again" in capsys.readouterr().err


def test_restart_is_for_a_server_that_the_check_starts(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and a sentence."""
    with pytest.raises(SystemExit) as ended:
        main(["check", "http://127.0.0.1:1/", "--restart"])
    assert ended.value.code == 2
    assert "--restart needs --start" in capsys.readouterr().err


class _Late:
    """Trials that run out of time at first; *names* says how often each was tried."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def trial(self, name: str) -> Trial:
        """Return the trial *name*."""
        result = Result(name, "R001", "MUST", Outcome.SKIPPED, "", b"", b"", "")
        return Trial(name, partial(self._attempt, result), lambda why: result._replace(why=why))

    def _attempt(self, result: Result) -> Attempt:
        self.names.append(result.name)
        is_late = self.names.count(result.name) == 1
        outcome = Outcome.FAILED if is_late else Outcome.PASSED
        return Attempt(result._replace(outcome=outcome), is_doubtful=False, is_late=is_late)


def test_a_case_that_ran_out_of_time_beside_others_is_tried_again_alone() -> None:
    """What keeps the server is another case; the one that waited is not accused."""
    late = _Late()
    with hostile(lambda connected: connected.sendall(b"HTTP/1.1 404 No\r\n\r\n")) as address:
        results = run_trials(Target(address), [late.trial("one"), late.trial("two")])
    assert [(result.name, result.outcome) for result in results] == [("one", Outcome.PASSED), ("two", Outcome.PASSED)]
    assert sorted(late.names) == ["one", "one", "two", "two"]


def test_a_case_that_is_tried_again_alone_and_ends_the_server_is_the_only_one_accused() -> None:
    """The other ones that had run out of time are not tried."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = Target(listener.getsockname()[:2])
    late = _Late()
    one, two = run_trials(closed, [late.trial("one"), late.trial("two")])
    assert "the server ends here: it accepts no connection any more" in one.why
    assert (two.outcome, two.why, closed.is_gone) == (Outcome.SKIPPED, GONE, True)


# It tries its port with a listener that it closes immediately, as some programs do, and listens a while later.
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
    """A port that is open for a moment is not enough."""
    script = tmp_path / "server.py"
    script.write_text(_TRIES_ITS_PORT, encoding="utf-8")
    with started(Recipe(f"{sys.executable} {script} {{port}}")) as server:
        assert Target(server.address, server).is_there()


def test_a_server_that_ends_behind_an_open_port_has_not_started(tmp_path: Path) -> None:
    """The message has its output."""
    script = tmp_path / "server.py"
    script.write_text(_TRIES_ITS_PORT.replace("time.sleep(0.2)", "sys.exit('no more')"), encoding="utf-8")
    with pytest.raises(StartError, match="no more"), started(Recipe(f"{sys.executable} {script} {{port}}")):
        pass


# A server whose child listens on a second port, and outlives it.
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
    """Workers that their parent leaves behind would serve on."""
    script, port = tmp_path / "server.py", tmp_path / "port"
    script.write_text(_HAS_A_CHILD, encoding="utf-8")
    with ExitStack() as stack:
        with started(Recipe(f"{sys.executable} {script} {{port}} {port}")):
            other = ("127.0.0.1", int(port.read_text(encoding="utf-8")))
            queued = stack.enter_context(socket.create_connection(other, timeout=10.0))
        # The last process that holds the listening socket takes the connections in its queue with it.
        with pytest.raises(ConnectionResetError):
            queued.recv(1)
