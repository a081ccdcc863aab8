"""The command line: signals, and how the program ends."""

import os
import pathlib
import re
import signal
import socket
import sys

import pytest

import httpsock
from tests.support import TIMEOUT_SECONDS, connect, eventually, fill_pipe, get, is_refused, read_answer, receive_all
from tests.support.folder import FILM_OCTETS
from tests.support.marks import needs_signals
from tests.support.program import COMMAND, Start
from tests.support.tools import run, tool

pytestmark = needs_signals


STOPPING = [pytest.param(signal.SIGINT, id="SIGINT"), pytest.param(signal.SIGTERM, id="SIGTERM")]


# --- signals --------------------------------------------------------------------------------------------------------


# This program simulates Ctrl-C during the import of one module.
INTERRUPTED_IMPORT = """
import os, signal, sys
# A shell may have started the tests with it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "httpsock.cli.{}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from httpsock.cli.commands import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("module", "arguments"), [("options", []), ("get", ["get", "http://127.0.0.1/"]), ("find", ["find"])]
)
def test_ctrl_c_during_an_import_ends_the_program_without_a_traceback(
    start: Start, module: str, arguments: list[str]
) -> None:
    program = start(*arguments, command=[sys.executable, "-c", INTERRUPTED_IMPORT.format(module)])
    assert program.end() == (130, "", "")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_sighup_during_the_exit_does_not_change_the_exit_code(serving: Start) -> None:
    program = serving("--quiet")
    program.process.send_signal(signal.SIGTERM)
    while program.process.poll() is None:
        program.process.send_signal(signal.SIGHUP)
    assert program.end()[0] == 0


def begin(client: socket.socket, request: bytes) -> bytes:
    """Send *request* and return the first octets of its answer."""
    client.sendall(request)
    return client.recv(1000)


def wait_until_it_stops(idle: socket.socket) -> None:
    """Wait until the program closes the idle connection *idle*. This shows that the program is stopping."""
    assert receive_all(idle) == b""


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_lets_a_running_download_finish(serving: Start, film: str, number: int) -> None:
    program = serving("--grace", "3600")
    with connect(program.port) as idle, connect(program.port) as client:
        begin(idle, get("/empty.txt"))
        first = begin(client, get(film, "Connection: close"))
        program.process.send_signal(number)
        wait_until_it_stops(idle)
        answer, _ = read_answer(first + receive_all(client))
    assert len(answer.content) == FILM_OCTETS, "R085: the last response arrives whole"
    code, _, error = program.end()
    assert code == 0
    assert f"200 {FILM_OCTETS} " in error
    assert "Traceback" not in error


def test_while_a_download_finishes_new_clients_are_refused(serving: Start, film: str) -> None:
    program = serving("--grace", "3600")
    with connect(program.port) as idle, connect(program.port) as client:
        begin(idle, get("/empty.txt"))
        first = begin(client, get(film, "Connection: close"))
        program.process.send_signal(signal.SIGTERM)
        wait_until_it_stops(idle)
        assert eventually(lambda: is_refused(program.port))
        answer, _ = read_answer(first + receive_all(client))
    assert len(answer.content) == FILM_OCTETS, "refused while the download was still under way, not because it was cut"


def test_a_client_that_has_its_download_is_closed_immediately(folder: pathlib.Path, film: str) -> None:
    timeouts = httpsock.Timeouts(idle=3600)
    with httpsock.Server(folder, port=0, timeouts=timeouts) as server, connect(server.port) as client:
        first = begin(client, get(film))
        server.ask_to_stop(grace_seconds=3600)
        answer, rest = read_answer(first + receive_all(client))
        assert (len(answer.content), rest) == (FILM_OCTETS, b""), "it need not wait for the end of the grace"


@pytest.mark.parametrize("number", STOPPING)
def test_a_second_signal_ends_the_program_immediately(serving: Start, film: str, number: int) -> None:
    program = serving("--grace", "3600")
    with connect(program.port) as idle, connect(program.port) as client:
        begin(idle, get("/empty.txt"))
        begin(client, get(film))
        program.process.send_signal(number)
        wait_until_it_stops(idle)
        code, _, error = program.stop(number)
    assert code == 128 + number
    assert "Traceback" not in error


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_ends_an_idle_server_quietly(serving: Start, number: int) -> None:
    program = serving("--quiet")
    with connect(program.port) as idle:
        begin(idle, get("/hello.txt"))
        code, more, error = program.stop(number)
        assert receive_all(idle) == b""
    assert (code, more) == (0, "")
    assert error.count("\n") == 1, "nothing but the announcement"


def test_a_signal_before_the_server_runs_ends_the_program(start: Start) -> None:
    # A full pipe for standard error: the program stops after line 1 of standard output, before it starts to serve.
    reading, writing = os.pipe()
    try:
        fill_pipe(writing)
        program = start("--port", "0", stderr=writing)
        program.read_url()
        program.process.send_signal(signal.SIGTERM)
        while not os.read(reading, 4096).endswith(b"\n"):
            pass
        assert program.process.wait(TIMEOUT_SECONDS) == 0
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_stops_the_first_process_of_a_container(start: Start, tmp_path: pathlib.Path, number: int) -> None:
    # The kernel does not deliver an unhandled signal to the first process of a namespace.
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    container = [tool("unshare"), *own_user, "--pid", "--fork", "--mount-proc", "--kill-child"]
    if run([*container, "true"], tmp_path).returncode != 0:
        pytest.skip("this system lets nobody make a namespace here")
    program = start("--port", "0", command=[*container, *COMMAND])
    program.read_url()
    assert program.ask("/hello.txt").status == 200
    outside = program.process.pid
    children = pathlib.Path(f"/proc/{outside}/task/{outside}/children")
    if not children.exists():
        pytest.skip("this system does not tell the children of a process")
    os.kill(int(children.read_text()), number)
    code, more, error = program.end()
    assert (code, more) == (0, "")
    assert "Traceback" not in error


# --- stopping in time -----------------------------------------------------------------------------------------------


def test_responses_unfinished_after_the_grace_are_cut_and_counted(serving: Start, film: str) -> None:
    program = serving("--grace", "0")
    with connect(program.port) as idle, connect(program.port) as client:
        begin(idle, get("/empty.txt"))
        begin(client, get(film))
        code, _, error = program.stop()
    assert code == 0
    assert "grace period over: 1 response cut off\n" in error
    assert re.search(rf'"GET {film} HTTP/1\.1" 200 \d+ of {FILM_OCTETS} ', error), "each is logged with what was sent"


def test_a_blocked_standard_error_delays_no_client(serving: Start) -> None:
    """In this test, no program reads the log, which is longer than the pipe and the server's queue of lines."""
    program = serving()
    octets = get("/nothing?" + "x" * 900) * 500
    for _ in range(8):
        with connect(program.port) as client:
            client.sendall(octets + get("/hello.txt", "Connection: close"))
            assert receive_all(client).endswith(b"Hello, socket.\n")
    code, _, error = program.stop()
    assert code == 0
    assert len(error) < 3 << 20
    assert re.search(r"\d+ log lines dropped: standard error is blocked\n", error)
