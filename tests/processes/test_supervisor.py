"""Several processes: all of them serve, a process that exits is replaced, and a signal ends all of them."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from httpsock import Server
from httpsock.__main__ import main
from tests.support import TIMEOUT_SECONDS, connect, eventually, fill_pipe, get, read_answer, receive_all
from tests.support.folder import FILM_OCTETS, HELLO
from tests.support.processes import is_alive
from tests.support.program import COMMAND, ENVIRONMENT, PACKAGE, Program, Start, run_python
from tests.support.rows import each_row

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc with the sockets of a process")


def serving_processes(program: Program) -> list[int]:
    """Return the PIDs of the processes that serve."""
    found = subprocess.run(["pgrep", "-P", str(program.process.pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def connections_of(process: int, port: int) -> int:
    """Return how many established connections to *port* the process has."""
    links = set()
    for descriptor in pathlib.Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.add(os.readlink(descriptor))
    rows = pathlib.Path(f"/proc/{process}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    established = [row.split() for row in rows if row.split()[3] == "01"]
    return sum(row[1].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in links for row in established)


# --- Serving --------------------------------------------------------------------------------------


def test_several_processes_serve_at_one_port(serving: Start) -> None:
    program = serving("--processes", "3", "--quiet")

    assert [program.ask("/hello.txt").content for _ in range(20)] == [HELLO] * 20
    code, _, standard_error = program.stop()

    assert code == 0
    assert len(standard_error.splitlines()) == 1
    assert standard_error.startswith("Serving ")


@on_linux
def test_connections_are_spread_over_the_processes(serving: Start) -> None:
    program = serving("--processes", "2", "--quiet")
    program.ask("/hello.txt")
    processes = serving_processes(program)
    assert len(processes) == 2
    with ExitStack() as stack:
        for _ in range(64):
            client = stack.enter_context(connect(program.port))
            client.sendall(get("/hello.txt"))
            client.recv(1)

        having = [connections_of(process, program.port) for process in processes]

    assert sum(having) == 64
    # By chance, one process gets all 64 connections once in 2**63 runs.
    assert min(having) > 0


def test_a_port_in_use_is_not_shared_with_another_program(serving: Start, start: Start) -> None:
    first = serving("--processes", "2", "--quiet")
    second = start("--processes", "2", "--port", str(first.port))

    code, out, standard_error = second.end()

    assert (code, out) == (1, "")
    assert standard_error.startswith(f"httpsock: port {first.port} is in use")


# --- Ending ---------------------------------------------------------------------------------------


@on_linux
def test_a_process_that_is_killed_is_replaced(serving: Start) -> None:
    program = serving("--processes", "2", "--quiet")
    program.ask("/hello.txt")
    killed, left = serving_processes(program)
    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: len(serving_processes(program)) == 2 and killed not in serving_processes(program))
    assert left in serving_processes(program)
    assert [program.ask("/hello.txt").content for _ in range(20)] == [HELLO] * 20
    code, _, standard_error = program.stop()

    assert code == 0
    assert re.search(rf"httpsock: process {killed} exited with signal 9 \(.*\); restarting\.", standard_error)


@on_linux
def test_processes_forked_during_an_upgrade_import_no_file(serving: Start, tmp_path: pathlib.Path) -> None:
    package = tmp_path / "httpsock"
    shutil.copytree(PACKAGE, package)
    options = "--processes", "2", "--announce", "--bind", "127.0.0.1", "--quiet"
    program = serving(*options, env=ENVIRONMENT | {"PYTHONPATH": str(tmp_path)})
    assert eventually(lambda: len(serving_processes(program)) == 2)
    before = serving_processes(program)
    # An upgrade removes the old files before it writes the new ones.
    shutil.rmtree(package)
    for process in before:
        os.kill(process, signal.SIGKILL)

    assert eventually(lambda: len(set(serving_processes(program)) - set(before)) == 2)
    answer = program.ask("/", "Accept: application/json")
    assert (answer.status, answer.content[:1]) == (200, b"[")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_all_processes_finish_their_responses(
    serving: Start, folder: pathlib.Path, number: signal.Signals
) -> None:
    film = os.urandom(1024) * (FILM_OCTETS // 1024)
    (folder / "film.bin").write_bytes(film)
    program = serving("--processes", "2", "--quiet", "--grace", "3600", start_new_session=True)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(program.port)) for _ in range(4)]
        for client in clients:
            client.sendall(get("/film.bin"))
        beginnings = [client.recv(1) for client in clients]
        # Send the signal to all processes of the group, as Ctrl-C does.
        os.killpg(program.process.pid, number)
        for beginning, client in zip(beginnings, clients, strict=True):
            answer, _ = read_answer(beginning + receive_all(client))
            assert answer.content == film

    assert program.end()[0] == 0


@on_linux
def test_a_second_signal_ends_all_processes_immediately(serving: Start, folder: pathlib.Path) -> None:
    with open(folder / "film.bin", "wb") as file:
        file.truncate(FILM_OCTETS * 16)
    program = serving("--processes", "2", "--quiet", "--grace", "3600")
    with connect(program.port) as client:
        client.sendall(get("/film.bin"))
        client.recv(1)
        processes = serving_processes(program)
        program.process.send_signal(signal.SIGTERM)
        # The idle process ends, which shows that the first signal has been handled.
        assert eventually(lambda: sum(map(is_alive, processes)) == 1)
        program.process.send_signal(signal.SIGTERM)

        assert program.end()[0] == 128 + signal.SIGTERM
        assert eventually(lambda: not any(map(is_alive, processes)))


@on_linux
def test_no_process_outlives_a_supervisor_that_is_killed(serving: Start) -> None:
    program = serving("--processes", "2", "--quiet")
    program.ask("/hello.txt")
    processes = serving_processes(program)
    assert len(processes) == 2

    program.process.kill()

    assert eventually(lambda: not any(map(is_alive, processes)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_right_after_its_first_line(start: Start, number: signal.Signals) -> None:
    for _ in range(5):
        program = start("--processes", "3", "--quiet", "--port", "0")
        program.read_url()

        assert program.stop(number)[0] == 0


@on_linux
def test_a_child_process_of_another_program_is_ignored(serving: Start) -> None:
    """A shell can start a child and then exec this program, which inherits the child."""
    with_child = ["sh", "-c", 'true & exec "$@"', "sh", *COMMAND]
    program = serving("--processes", "2", "--quiet", command=with_child)
    program.ask("/hello.txt")
    assert eventually(lambda: len(serving_processes(program)) == 2)

    assert [program.ask("/hello.txt").content for _ in range(5)] == [HELLO] * 5
    code, _, standard_error = program.stop()
    assert (code, len(standard_error.splitlines())) == (0, 1)


@on_linux
def test_a_full_standard_error_delays_neither_a_replacement_nor_the_end(serving: Start) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb", buffering=0) as full:
        program = serving("--processes", "2", "--quiet", stderr=full)
        program.ask("/hello.txt")
        fill_pipe(writing)
        (killed, left) = serving_processes(program)
        os.kill(killed, signal.SIGKILL)

        assert eventually(lambda: len({*serving_processes(program)} - {killed}) == 2)
        assert left in serving_processes(program)
        program.process.terminate()
        assert program.process.wait(TIMEOUT_SECONDS) == 0


@on_linux
def test_a_suspended_process_does_not_delay_the_end_of_the_others(serving: Start) -> None:
    code = "import sys, httpsock.processes.process_loop; httpsock.processes.process_loop.KILL_SECONDS = 1"
    run = f"{code}\nfrom httpsock.__main__ import main\nsys.exit(main())"
    program = serving("--processes", "2", "--quiet", "--grace", "0", command=[sys.executable, "-c", run])
    program.ask("/hello.txt")
    stopped, _ = serving_processes(program)
    os.kill(stopped, signal.SIGSTOP)

    assert program.stop()[0] == 0
    assert not is_alive(stopped)


# --- Bugs and failed forks ------------------------------------------------------------------------

SUPERVISED = """
import os, signal, sys
from httpsock.processes import children, supervisor
from httpsock.processes.process_loop import ProcessLoop
from httpsock.processes.restart import GracefulRestart

def run(count, serve):
    def report(text):
        print(text, flush=True)
    own = children.Children()
    served = supervisor.Supervisor(own, count, serve=serve, close=lambda: report("closed"), report=report)
    loop = ProcessLoop(
        served, children=own, restart=GracefulRestart(own, [], report), parent=None, grace_seconds=5, report=report
    )
    raise SystemExit(loop.run())
"""

FAULTY = """
def serve(number, parent):
    # The first time each fails in its own way; the replacement of the first ends everything.
    if os.path.exists(f"{number}.tried"):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        if number == 0:
            os.kill(os.getppid(), signal.SIGTERM)
        while True:
            signal.pause()
    open(f"{number}.tried", "w").close()
    if number == 0:
        raise ZeroDivisionError("a fault of our own")
    return 3

run(2, serve)
"""


def test_an_error_in_a_process_is_reported_and_the_process_replaced(tmp_path: pathlib.Path) -> None:
    ran = run_python(SUPERVISED + FAULTY, tmp_path)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "ZeroDivisionError: a fault of our own\n" in ran.stdout
    assert re.search(r"httpsock: process \d+ exited with code [13]; restarting\.\n", ran.stdout)
    assert ran.stdout.endswith("closed\n")


def test_a_system_without_fork_is_reported(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(os, "fork")

    assert main([str(folder), "--port", "0", "--processes", "2"]) == 2

    out, standard_error = capfd.readouterr()
    assert out == ""
    assert (
        standard_error
        == "httpsock: this system can't share listening sockets between processes; leave out --processes.\n"
    )


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_server_shares_its_addresses(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """On Linux, each server has its own listening socket. On other systems, all servers share one accept queue."""
    if platform == "linux" and sys.platform != "linux":
        pytest.skip("only Linux spreads them")
    with Server(folder, port=0) as idle:
        pass
    monkeypatch.setattr(sys, "platform", platform)
    first = Server(folder, port=0)
    second = Server(folder, listeners=first.clone_listeners())
    assert idle.port != first.port == second.port

    first.stop(0)
    with second, connect(second.port) as client:
        client.sendall(get("/hello.txt", "Connection: close"))
        assert read_answer(receive_all(client))[0].content == HELLO


LATE = """
try_fork = supervisor.Supervisor._try_fork
def try_fork_and_stop(self, number):
    # The signal arrives while the processes are being forked.
    if number == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return try_fork(self, number)
supervisor.Supervisor._try_fork = try_fork_and_stop

def serve(number, parent):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    while True:
        signal.pause()

run(3, serve)
"""

RETRIED = """
fork, tried = os.fork, []
def fails_once():
    tried.append(1)
    if len(tried) == 1:
        raise BlockingIOError(11, "no process to spare")
    return fork()
os.fork = fails_once
supervisor._RESPAWN_DELAY_SECONDS = 0.01

def serve(number, parent):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    os.kill(os.getppid(), signal.SIGTERM)
    while True:
        signal.pause()

run(1, serve)
"""

WITHOUT_SOCKETS = """
import errno, socket
tried = []
def fails_once():
    tried.append(1)
    if len(tried) == 1:
        raise OSError(errno.EMFILE, "no descriptor to spare")
    os.kill(os.getpid(), signal.SIGTERM)
    return pair()
pair = socket.socketpair
children.socket = type("Sockets", (), {"socketpair": staticmethod(fails_once)})
supervisor._RESPAWN_DELAY_SECONDS = 0.01
run(1, lambda number, parent: signal.sigwait([signal.SIGTERM]) and 0)
"""


def test_a_signal_that_arrives_while_processes_are_forked_reaches_all_of_them() -> None:
    ran = run_python(SUPERVISED + LATE)

    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "closed\n")


@each_row(
    ("program", "reason"),
    [
        pytest.param(RETRIED, "no process to spare", id="no process"),
        pytest.param(WITHOUT_SOCKETS, "no descriptor to spare", id="no descriptor"),
    ],
)
def test_a_process_that_cannot_be_forked_is_tried_again(program: str, reason: str) -> None:
    ran = run_python(SUPERVISED + program)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"httpsock: cannot fork a process: {reason}; retrying.\nclosed\n"


@on_linux
def test_processes_are_replaced_where_child_signals_were_ignored(serving: Start) -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    program = serving("--processes", "2", "--quiet", command=[sys.executable, "-c", ignoring, *COMMAND])
    program.ask("/hello.txt")
    killed, _ = serving_processes(program)
    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: len({*serving_processes(program)} - {killed}) == 2)
    assert program.stop()[0] == 0


@on_linux
@pytest.mark.parametrize("processes", ["1", "2"])
def test_adopted_orphans_do_not_stay_zombies(serving: Start, processes: str) -> None:
    """For example, the first process of a container adopts orphans and must reap them."""
    with_children = ["sh", "-c", '(true) & sleep 0.01 & exec "$@"', "sh", *COMMAND]
    program = serving("--processes", processes, "--quiet", command=with_children)
    program.ask("/hello.txt")
    expected = 0 if processes == "1" else 2

    assert eventually(lambda: len(serving_processes(program)) == expected)
    assert program.stop()[0] == 0


@on_linux
def test_signals_to_the_processes_themselves_cut_off_no_response(serving: Start, folder: pathlib.Path) -> None:
    """Some service managers send the signal to all processes, not only to the supervisor."""
    film = os.urandom(1024) * (FILM_OCTETS // 1024)
    (folder / "film.bin").write_bytes(film)
    program = serving("--processes", "2", "--quiet", "--grace", "3600")
    with connect(program.port) as client:
        client.sendall(get("/film.bin"))
        beginning = client.recv(1)
        for _ in range(2):
            for pid in serving_processes(program):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        program.process.terminate()
        answer, _ = read_answer(beginning + receive_all(client))

    assert answer.content == film
    assert program.end()[0] == 0
