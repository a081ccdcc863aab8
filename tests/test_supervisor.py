"""Several processes: each serves, who ends is replaced, and a signal ends them all in time."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from httpsock import Server
from httpsock.__main__ import main
from tests.support import PATIENCE_SECONDS, connect, get, read_answer, receive_all
from tests.support_program import COMMAND, ENVIRONMENT, Program, Start

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which process has which sockets")

HELLO = b"Hello, socket.\n"
# More than the sockets of a connection can hold, so that a download is under way until its client has read it.
FILM_OCTETS = 64 * 1024 * 1024


def serving_processes(program: Program) -> list[int]:
    """Return the processes that serve."""
    found = subprocess.run(["pgrep", "-P", str(program.process.pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether *condition* holds within the time that a test waits for anything."""
    latest = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < latest:
        if condition():
            return True
    return False


def is_alive(process: int) -> bool:
    """Return whether there is such a process, a zombie being none."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def connections_of(process: int, port: int) -> int:
    """Return how many established connections to *port* a process has open."""
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
    code, _, said = program.stop()

    assert code == 0
    assert len(said.splitlines()) == 1
    assert said.startswith("Serving ")


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
    # One without any would be a coin that fell on the same side 64 times.
    assert min(having) > 0


def test_a_port_that_is_in_use_is_not_shared_with_a_stranger(serving: Start, start: Start) -> None:
    first = serving("--processes", "2", "--quiet")
    second = start("--processes", "2", "--port", str(first.port))

    code, out, said = second.end()

    assert (code, out) == (1, "")
    assert said.startswith(f"httpsock: port {first.port} is in use")


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
    code, _, said = program.stop()

    assert code == 0
    assert re.search(rf"httpsock: process {killed} ended with signal 9 \(.*\); another takes its place\.", said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_all_processes_finish_what_they_send(
    serving: Start, folder: pathlib.Path, number: signal.Signals
) -> None:
    film = os.urandom(1024) * (FILM_OCTETS // 1024)
    (folder / "film.bin").write_bytes(film)
    program = serving("--processes", "2", "--quiet", start_new_session=True)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(program.port)) for _ in range(4)]
        for client in clients:
            client.sendall(get("/film.bin"))
        beginnings = [client.recv(1) for client in clients]
        # As Ctrl-C does: all processes of the group get it.
        os.killpg(program.process.pid, number)
        for beginning, client in zip(beginnings, clients, strict=True):
            answer, _ = read_answer(beginning + receive_all(client))
            assert answer.content == film

    assert program.end()[0] == 0


@on_linux
def test_a_second_signal_ends_all_at_once(serving: Start, folder: pathlib.Path) -> None:
    with open(folder / "film.bin", "wb") as file:
        file.truncate(FILM_OCTETS * 16)
    program = serving("--processes", "2", "--quiet")
    with connect(program.port) as client:
        client.sendall(get("/film.bin"))
        client.recv(1)
        processes = serving_processes(program)
        program.process.send_signal(signal.SIGTERM)
        # The process that does not send ends: the first signal has been seen.
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
def test_a_signal_ends_it_as_soon_as_it_has_said_where_it_is(start: Start, number: signal.Signals) -> None:
    for _ in range(5):
        program = start("--processes", "3", "--quiet", "--port", "0")
        program.read_url()

        assert program.stop(number)[0] == 0


@on_linux
def test_who_is_not_ours_is_none_of_its_business(serving: Start) -> None:
    """As process 1 of a container it is given orphans; and a shell that became it may have left children."""
    with_child = ["sh", "-c", 'true & exec "$@"', "sh", *COMMAND]
    program = serving("--processes", "2", "--quiet", command=with_child)
    program.ask("/hello.txt")
    assert eventually(lambda: len(serving_processes(program)) == 2)

    assert [program.ask("/hello.txt").content for _ in range(5)] == [HELLO] * 5
    code, _, said = program.stop()
    assert (code, len(said.splitlines())) == (0, 1)


@on_linux
def test_a_full_standard_error_holds_up_neither_a_replacement_nor_the_end(serving: Start) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb", buffering=0) as full:
        program = serving("--processes", "2", "--quiet", stderr=full)
        program.ask("/hello.txt")
        os.set_blocking(writing, False)
        for octets in (b"x" * 4096, b"x"):
            with contextlib.suppress(BlockingIOError):
                while os.write(writing, octets):
                    pass
        os.set_blocking(writing, True)
        (killed, left) = serving_processes(program)
        os.kill(killed, signal.SIGKILL)

        assert eventually(lambda: len({*serving_processes(program)} - {killed}) == 2)
        assert left in serving_processes(program)
        program.process.terminate()
        assert program.process.wait(PATIENCE_SECONDS) == 0


@on_linux
def test_a_process_that_is_stopped_does_not_hold_up_the_end(serving: Start) -> None:
    code = "import sys, httpsock.supervisor; httpsock.supervisor._MORE_SECONDS = 1"
    run = f"{code}\nfrom httpsock.__main__ import main\nsys.exit(main())"
    program = serving("--processes", "2", "--quiet", "--grace", "0", command=[sys.executable, "-c", run])
    program.ask("/hello.txt")
    stopped, _ = serving_processes(program)
    os.kill(stopped, signal.SIGSTOP)

    assert program.stop()[0] == 0
    assert not is_alive(stopped)


# --- A fault of our own ---------------------------------------------------------------------------

FAULTY = """
import os, signal
from httpsock.supervisor import Supervisor

def serve(number):
    # The first time each fails in its own way; the replacement of either ends everything.
    if os.path.exists(f"{number}.tried"):
        os.kill(os.getppid(), signal.SIGTERM)
        signal.pause()
    open(f"{number}.tried", "w").close()
    if number == 0:
        raise ZeroDivisionError("a fault of our own")
    return 3

def stop(number):
    os._exit(0)

raise SystemExit(
    Supervisor(
        2, serve=serve, stop=stop, retire=stop, close=lambda number: print("closed"), ended=print,
        report=lambda text: print(text), grace_seconds=5,
    ).run()
)
"""


def test_a_fault_is_reported_and_its_process_replaced(tmp_path: pathlib.Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-u", "-c", FAULTY],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "ZeroDivisionError: a fault of our own\n" in ran.stdout
    assert re.search(r"httpsock: process \d+ ended with exit code 1; another takes its place\.\n", ran.stdout) or (
        re.search(r"httpsock: process \d+ ended with exit code 3; another takes its place\.\n", ran.stdout)
    )
    assert ran.stdout.endswith("closed\n")


def test_where_nothing_can_be_forked_it_says_so(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(os, "fork")

    assert main([str(folder), "--port", "0", "--processes", "2"]) == 2

    out, said = capfd.readouterr()
    assert out == ""
    assert said == "httpsock: this system can't share listening sockets between processes; leave out --processes.\n"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_server_shares_its_addresses(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Whether the system spreads connections over two sockets, or both have one queue."""
    if platform == "linux" and sys.platform != "linux":
        pytest.skip("only Linux spreads them")
    with Server(folder, port=0) as idle:
        pass
    monkeypatch.setattr(sys, "platform", platform)
    first = Server(folder, port=0)
    second = Server(folder, listeners=first.share())
    assert idle.port != first.port == second.port

    first.stop(0)
    with second, connect(second.port) as client:
        client.sendall(get("/hello.txt", "Connection: close"))
        assert read_answer(receive_all(client))[0].content == HELLO


LATE = """
import os, signal
from httpsock.supervisor import Supervisor

class Signalled(Supervisor):
    def _has_forked(self, number):
        has_forked = super()._has_forked(number)
        if number == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return has_forked

def serve(number):
    os.write(1, b"%d" % number)
    return 0

raise SystemExit(
    Signalled(3, serve=serve, stop=print, retire=print, close=int, ended=print, report=print, grace_seconds=5).run()
)
"""

RETRIED = """
import os, signal
from httpsock import supervisor

fork, tried = os.fork, []
def fails_once():
    tried.append(1)
    if len(tried) == 1:
        raise BlockingIOError(11, "no process to spare")
    return fork()
os.fork = fails_once
supervisor._REST_SECONDS = 0.01

def serve(number):
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()

def stop(number):
    os._exit(0)

raise SystemExit(
    supervisor.Supervisor(
        1, serve=serve, stop=stop, retire=stop, close=int, ended=print, report=print, grace_seconds=5
    ).run()
)
"""


def run_python(program: str) -> "subprocess.CompletedProcess[str]":
    """Run *program*, in this Python, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-u", "-c", program],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_no_process_is_started_after_the_signal() -> None:
    ran = run_python(LATE)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "1" not in ran.stdout
    assert "2" not in ran.stdout


def test_a_process_that_cannot_be_started_is_tried_again() -> None:
    ran = run_python(RETRIED)

    said = "httpsock: cannot start another process for now: no process to spare\n"
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", said)
