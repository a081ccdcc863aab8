"""Restart on SIGHUP: a new process takes over without failed requests. If this fails, the old process still serves."""

import http.client
import os
import pathlib
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from httpsock.__main__ import main
from httpsock.processes.activation import inherit_sockets
from httpsock.processes.children import Children
from httpsock.processes.restart import GracefulRestart
from httpsock.server.poller import open_poller
from tests.support import TIMEOUT_SECONDS, connect, eventually, get, is_refused, read_answer, receive_all
from tests.support.folder import FILM_OCTETS, HELLO
from tests.support.marks import in_each_form
from tests.support.processes import children_of, is_alive
from tests.support.program import COMMAND, ENVIRONMENT, PACKAGE, Program, Start

if not hasattr(os, "posix_spawn"):
    pytest.skip("this system has no signals for it", allow_module_level=True)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc with the children of a process")


def line(program: Program) -> str:
    """Return the next line of standard error."""
    assert program.process.stderr
    octets: bytes = program.process.stderr.readline()
    return octets.decode()


def is_answered_for_the_last_time(client: socket.socket) -> bool:
    """Send requests until an answer has Connection: close. Return whether this answer came in time."""

    def is_last() -> bool:
        client.sendall(get("/hello.txt"))
        answer, _ = read_answer(client.recv(4096))
        assert answer.content == HELLO
        return answer.field("Connection") == "close"

    return eventually(is_last)


def threads(process: int) -> int:
    """Return the number of threads of *process*."""
    return len(list(pathlib.Path(f"/proc/{process}/task").iterdir()))


@pytest.fixture
def replaceable(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a copy of the package. The test may change its files."""
    shutil.copytree(PACKAGE, tmp_path / "code" / "httpsock", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "code" / "httpsock"


def running(package: pathlib.Path) -> dict[str, str]:
    """Return the environment variables for a process that imports *package*. Coverage is not measured."""
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("COVERAGE")}
    return {**environment, "PYTHONPATH": str(package.parent)}


def program_with(code: str) -> list[str]:
    """Return a command that runs *code* and then the program."""
    return [sys.executable, "-c", f"import sys\nfrom httpsock.__main__ import main\n{code}\nsys.exit(main())"]


# This code runs a statement in each process that starts after the file "started" exists.
AFTER_THE_FIRST = "import os\nif os.path.exists('started'): {}"


# --- Clients notice no restart --------------------------------------------------------------------


class Load:
    """A client that sends requests until its ``with`` block ends. It counts answers and records faults."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers = 0
        self.faults: list[str] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        while not self._is_over.is_set():
            try:
                client.request("GET", "/hello.txt")
                assert client.getresponse().read() == HELLO
                self.answers += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.faults.append(repr(error))
                client.close()
        client.close()

    def goes_on(self, *, answers: int) -> bool:
        """Wait for a fault, or until the number of answers has grown by *answers*. If time runs out, return False."""
        enough = self.answers + answers
        return eventually(lambda: self.answers >= enough or bool(self.faults))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


@in_each_form
def test_under_load_no_request_fails(serving: Start, processes: str) -> None:
    program = serving("--quiet", "--processes", processes)
    line(program)

    with Load(program.port) as first, Load(program.port) as second:
        took_over = []
        for _ in range(3):
            took_over.append(program.restart())
            # The next request is answered by the old process, as its last one, or by the new process.
            assert first.goes_on(answers=3)
            assert second.goes_on(answers=3)

    assert first.faults + second.faults == []
    assert len({program.process.pid, *took_over}) == 4
    code, out, standard_error = program.stop()
    assert (code, out, standard_error) == (0, "", "")
    assert is_refused(program.port)
    assert eventually(lambda: not any(map(is_alive, took_over)))


@in_each_form
def test_a_connected_client_gets_one_more_response(serving: Start, folder: pathlib.Path, processes: str) -> None:
    film = os.urandom(1024) * (FILM_OCTETS // 1024)
    (folder / "film.bin").write_bytes(film)
    # A grace of zero seconds must not cut off clients at a restart.
    program = serving("--quiet", "--grace", "0", "--processes", processes)
    line(program)
    with connect(program.port) as idle, connect(program.port) as silent, connect(program.port) as download:
        idle.sendall(get("/hello.txt"))
        assert read_answer(idle.recv(4096))[0].field("Connection") is None
        download.sendall(get("/film.bin", "Connection: close"))
        beginning = download.recv(1)

        program.restart()
        assert program.ask("/hello.txt").content == HELLO

        for client in (idle, silent):
            assert is_answered_for_the_last_time(client)
            assert receive_all(client) == b""
        assert read_answer(beginning + receive_all(download))[0].content == film

    assert program.stop()[0] == 0


def test_the_new_process_runs_the_current_code(serving: Start, replaceable: pathlib.Path) -> None:
    program = serving("--quiet", env=running(replaceable))
    line(program)
    assert program.ask("/").field("Server") == "httpsock"
    source = (replaceable / "server" / "server.py").read_text(encoding="utf-8")
    (replaceable / "server" / "server.py").write_text(
        source.replace('"Server": "httpsock"', '"Server": "newer"'), encoding="utf-8"
    )

    program.restart()

    assert eventually(lambda: program.ask("/").field("Server") == "newer")
    assert program.stop()[0] == 0


# --- Failures have no effect ----------------------------------------------------------------------


def test_a_new_process_that_ends_before_it_serves_has_no_effect(serving: Start, folder: pathlib.Path) -> None:
    program = serving("--quiet", command=program_with(AFTER_THE_FIRST.format("sys.exit('a fault of the new one')")))
    line(program)
    (folder / "started").touch()

    program.process.send_signal(signal.SIGHUP)
    reported = line(program), line(program)

    assert reported[0] == "a fault of the new one\n"
    assert reported[1].startswith("httpsock: new process ")
    assert reported[1].endswith(" exited before it was ready; still serving.\n")
    assert program.ask("/hello.txt").content == HELLO
    (folder / "started").unlink()
    program.restart()
    assert program.ask("/hello.txt").content == HELLO
    assert program.stop()[0] == 0


def test_a_process_that_cannot_be_started_is_reported(serving: Start) -> None:
    program = serving("--quiet", command=program_with("sys.executable = '/nowhere/python'"))
    line(program)
    for _ in range(3):
        program.process.send_signal(signal.SIGHUP)

        assert line(program) == "httpsock: cannot start a new process: No such file or directory; still serving.\n"
        assert program.ask("/hello.txt").content == HELLO
    assert program.stop()[0] == 0


@on_linux
def test_no_process_is_started_while_another_one_starts(serving: Start, folder: pathlib.Path) -> None:
    # A process that starts now blocks until the FIFO has a writer.
    os.mkfifo(folder / "gate")
    program = serving("--quiet", command=program_with(AFTER_THE_FIRST.format("open('gate').close()")))
    line(program)
    (folder / "started").touch()
    for _ in range(3):
        program.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: len(children_of(program.process.pid)) == 1)
    beginning = children_of(program.process.pid)
    assert program.ask("/hello.txt").content == HELLO

    # The new process ends although it does not serve yet.
    assert program.stop()[0] == 0
    assert not any(map(is_alive, beginning))


# This code sends a signal to the new process, or to this one, in the middle of the call that starts the new one.
DURING_THE_START = """
import os, signal
spawn = os.posix_spawn
def spawn_and(*arguments, **keywords):
    pid = spawn(*arguments, **keywords)
    {}
    return pid
os.posix_spawn = spawn_and
"""


def test_a_stop_while_a_process_is_started_stops_that_process(serving: Start) -> None:
    during = DURING_THE_START.format("os.kill(os.getpid(), signal.SIGTERM); open('started', 'w').write(str(pid))")
    program = serving("--quiet", command=program_with(during))
    line(program)

    code, _, standard_error = program.stop(signal.SIGHUP)

    assert (code, standard_error) in ((0, ""), (128 + signal.SIGTERM, ""))
    assert is_refused(program.port)


def test_an_exit_that_happens_while_the_process_is_started_is_noticed(serving: Start) -> None:
    killed = "os.kill(pid, signal.SIGKILL); os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)"
    program = serving("--quiet", command=program_with(DURING_THE_START.format(killed)))
    line(program)
    for _ in range(2):
        program.process.send_signal(signal.SIGHUP)

        assert line(program).endswith(" exited before it was ready; still serving.\n")
        assert program.ask("/hello.txt").content == HELLO
    assert program.stop() == (0, "", "")


def test_a_new_process_that_hangs_is_killed_and_does_not_block_the_next(serving: Start, folder: pathlib.Path) -> None:
    os.mkfifo(folder / "gate")
    impatient = "import httpsock.processes.restart; httpsock.processes.restart.START_SECONDS = 0.2\n"
    program = serving("--quiet", command=program_with(impatient + AFTER_THE_FIRST.format("open('gate').close()")))
    line(program)
    (folder / "started").touch()
    program.process.send_signal(signal.SIGHUP)

    assert line(program).endswith(" was not ready after 0.2 s: killed.\n")
    assert line(program).endswith(" exited before it was ready; still serving.\n")
    assert program.ask("/hello.txt").content == HELLO
    assert program.stop() == (0, "", "")


def test_a_burst_of_signals_starts_one_process_at_a_time(serving: Start) -> None:
    program = serving("--quiet")
    line(program)
    for _ in range(50):
        program.process.send_signal(signal.SIGHUP)

    while "has taken over" not in line(program):
        pass
    assert program.ask("/hello.txt").content == HELLO
    assert program.stop()[0] == 0
    assert is_refused(program.port)


@on_linux
@in_each_form
def test_sighup_to_a_starting_process_has_no_effect(serving: Start, folder: pathlib.Path, processes: str) -> None:
    """For example, pkill sends a signal to all processes with the same name."""
    hung_up = "import signal\n" + AFTER_THE_FIRST.format("os.kill(os.getpid(), signal.SIGHUP)")
    program = serving("--quiet", "--processes", processes, command=program_with(hung_up))
    line(program)
    (folder / "started").touch()

    successor = program.restart()

    assert program.ask("/hello.txt").content == HELLO
    # The new process starts no process itself; the next restart is by the first process.
    assert program.restart() in children_of(program.process.pid)
    assert eventually(lambda: not is_alive(successor))
    assert program.stop() == (0, "", "")


@on_linux
@in_each_form
def test_sigusr1_has_no_effect(serving: Start, processes: str) -> None:
    program = serving("--quiet", "--processes", processes)
    line(program)
    program.ask("/hello.txt")
    for pid in [program.process.pid, *children_of(program.process.pid)]:
        os.kill(pid, signal.SIGUSR1)
    assert program.ask("/hello.txt").content == HELLO
    successor = program.restart()
    for pid in (program.process.pid, successor):
        os.kill(pid, signal.SIGUSR1)

    assert program.ask("/hello.txt").content == HELLO
    assert program.stop() == (0, "", "")


@on_linux
@in_each_form
def test_later_processes_of_a_replaced_supervisor_accept_no_connection(serving: Start, processes: str) -> None:
    program = serving("--quiet", "--processes", processes)
    line(program)
    replaced = program.restart()
    os.kill(replaced, signal.SIGHUP)
    successor = int(line(program).split()[2])
    assert children_of(replaced)[-1] == successor

    last = program.restart()

    assert eventually(lambda: not is_alive(successor))
    assert eventually(lambda: not is_alive(replaced))
    assert children_of(program.process.pid)[-1] == last
    assert program.ask("/hello.txt").content == HELLO
    assert program.stop() == (0, "", "")
    assert is_refused(program.port)


def test_a_replaced_process_starts_no_other() -> None:
    reports: list[str] = []
    children = Children()
    restart = GracefulRestart(children, [], reports.append)
    restart.drain()

    restart.start(open_poller(), time.monotonic())

    assert (children.pids(), reports) == ([], [])


# This program reports that it is ready, and waits.
READY = """
import os, signal
pid, control = os.environ["HTTPSOCK_RESTART"].split()
os.write(int(control), b"r")
signal.pause()
"""


@pytest.mark.parametrize("end", [GracefulRestart.stop, GracefulRestart.drain])
def test_a_process_that_is_ready_at_the_end_does_not_take_over(
    end: Callable[[GracefulRestart], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", READY])
    reports: list[str] = []
    own = Children()
    restart, poller = GracefulRestart(own, [], reports.append), open_poller()
    restart.start(poller, 0.0)
    assert poller.poll(TIMEOUT_SECONDS) != []

    end(restart)

    assert restart.take_over() is False
    assert poller.poll(0) == []
    own.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, own.pids()[0], os.WEXITED | os.WNOWAIT)
    own.reap()
    restart.run_timers(0.0)
    assert (own.pids(), restart.exit_code, reports) == ([], None, [])
    poller.close()


@on_linux
@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_a_new_process_takes_over_without_standard_error(serving: Start, closed: str) -> None:
    program = serving(command=["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND])
    with connect(program.port) as client:
        program.process.send_signal(signal.SIGHUP)

        assert is_answered_for_the_last_time(client)
    assert len(children_of(program.process.pid)) == 1
    assert program.ask("/hello.txt").content == HELLO
    assert program.stop()[:2] == (0, "")


@in_each_form
def test_each_process_of_a_restart_closes_all_its_sockets(serving: Start, processes: str) -> None:
    """If a socket is still open when a process ends, Python prints a warning."""
    command = [sys.executable, "-W", "always::ResourceWarning", "-m", "httpsock"]
    program = serving("--quiet", "--processes", processes, command=command)
    line(program)
    for _ in range(2):
        program.restart()

    assert program.stop() == (0, "", "")


@on_linux
def test_a_process_that_outlives_its_parent_closes_all_its_sockets(serving: Start) -> None:
    command = [sys.executable, "-W", "always::ResourceWarning", "-m", "httpsock"]
    program = serving("--quiet", command=command)
    line(program)
    program.restart()

    program.process.kill()

    assert program.end() == (-signal.SIGKILL, "", "")


# --- Ending ---------------------------------------------------------------------------------------


@in_each_form
def test_the_new_process_ends_when_the_old_one_is_killed(serving: Start, processes: str) -> None:
    program = serving("--quiet", "--processes", processes)
    line(program)
    successor = program.restart()

    program.process.kill()
    program.process.wait()

    assert eventually(lambda: is_refused(program.port))
    assert eventually(lambda: not is_alive(successor))


@in_each_form
def test_if_the_new_process_ends_all_processes_exit_with_its_code(serving: Start, processes: str) -> None:
    program = serving("--quiet", "--processes", processes)
    line(program)
    os.kill(program.restart(), signal.SIGKILL)

    code, _, standard_error = program.end()

    assert code == 128 + signal.SIGKILL
    assert standard_error.endswith(", which had taken over, exited with code 137.\n")


@on_linux
@in_each_form
def test_if_the_new_process_ends_the_draining_process_stops(serving: Start, film: str, processes: str) -> None:
    program = serving("--quiet", "--grace", "0", "--processes", processes)
    line(program)
    with connect(program.port) as client:
        client.sendall(get(film))
        client.recv(1)
        os.kill(program.restart(), signal.SIGTERM)

        code, _, standard_error = program.end()

    assert code == 0
    assert "grace period over: 1 response cut off\n" in standard_error


@on_linux
@in_each_form
def test_a_second_signal_ends_all_processes_immediately(serving: Start, film: str, processes: str) -> None:
    # Run without coverage: a killed process could leave incomplete coverage data.
    program = serving("--quiet", "--grace", "3600", "--processes", processes, env=running(PACKAGE))
    line(program)
    successor = program.restart()
    # The old process ends soon, since it has no connection.
    assert eventually(lambda: children_of(program.process.pid) == [successor] and threads(program.process.pid) == 1)
    with connect(program.port) as client:
        client.sendall(get(film))
        client.recv(1)
        program.process.terminate()
        assert eventually(lambda: is_refused(program.port))
        assert is_alive(successor)
        program.process.terminate()

        assert program.end()[0] == 128 + signal.SIGTERM
        assert eventually(lambda: not is_alive(successor))


def test_a_suspended_process_does_not_delay_the_end(serving: Start) -> None:
    short = "import httpsock.processes.process_loop; httpsock.processes.process_loop.KILL_SECONDS = 1"
    program = serving("--quiet", "--grace", "0", command=program_with(short))
    line(program)
    successor = program.restart()
    os.kill(successor, signal.SIGSTOP)

    program.process.terminate()

    assert program.end()[0] == 128 + signal.SIGKILL
    assert not is_alive(successor)


# --- SIGHUP from a terminal -----------------------------------------------------------------------


def test_sighup_from_its_terminal_ends_the_program(folder: pathlib.Path) -> None:
    import pty

    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover (another process)
        os.chdir(folder)
        os.execve(sys.executable, [*COMMAND, "--port", "0", "--quiet"], ENVIRONMENT)
    shown = b""
    while b"Ctrl-C" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_sighup_ends_the_program_once_its_terminal_is_gone(serving: Start) -> None:
    gone = "from httpsock.processes import process_loop; process_loop._has_terminal = [False, True].pop"
    program = serving("--quiet", command=program_with(gone))
    line(program)

    assert program.stop(signal.SIGHUP) == (0, "", "")


def test_an_ignored_sighup_stays_ignored(serving: Start) -> None:
    program = serving("--quiet", command=["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *COMMAND])
    line(program)
    program.process.send_signal(signal.SIGHUP)

    assert program.ask("/hello.txt").content == HELLO
    assert program.stop() == (0, "", "")


# --- Inherited sockets ----------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Yield a listening socket for the service to inherit, as from systemd."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


GIVEN = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


@in_each_form
def test_the_server_accepts_on_an_inherited_socket(start: Start, listener: socket.socket, processes: str) -> None:
    command = [sys.executable, "-c", GIVEN, str(listener.fileno()), *COMMAND]
    program = start("--quiet", "--processes", processes, command=command, pass_fds=[listener.fileno()])
    program.read_url()
    assert program.port == listener.getsockname()[1]
    assert line(program).endswith(f" at {program.url} (Ctrl-C to stop)\n")

    assert [program.ask("/hello.txt").content for _ in range(5)] == [HELLO] * 5
    program.restart()
    assert [program.ask("/hello.txt").content for _ in range(5)] == [HELLO] * 5
    assert program.stop()[0] == 0


def test_an_inherited_socket_gets_the_options_of_the_servers_own(start: Start) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        command = [sys.executable, "-c", GIVEN, str(listener.fileno()), *COMMAND]
        program = start("--quiet", command=command, pass_fds=[listener.fileno()])
        program.read_url()

        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

        assert program.stop()[0] == 0


def test_an_inherited_socket_that_does_not_listen_is_reported(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        command = [sys.executable, "-c", GIVEN, str(other.fileno()), *COMMAND]
        code, out, standard_error = start(command=command, pass_fds=[other.fileno()]).end()

    reason = "descriptor 3 is not a listening TCP socket"
    assert (code, out) == (1, "")
    assert standard_error == f"httpsock: cannot use the inherited listening sockets: {reason}.\n"


def test_sockets_meant_for_another_process_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))

    assert inherit_sockets() is None
    assert "LISTEN_FDS" not in os.environ


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        pytest.param("HTTPSOCK_RESTART", f"{os.getppid()} 99999 5", "Bad file descriptor", id="no channel"),
        pytest.param(
            "HTTPSOCK_RESTART",
            "1 2 3",
            "process 1, which this one should replace, has ended",
            id="variables meant for another process",
        ),
        pytest.param("HTTPSOCK_RESTART", "x", "HTTPSOCK_RESTART is 'x'", id="malformed"),
        pytest.param("LISTEN_FDS", "x", "LISTEN_FDS is 'x', not a number of sockets", id="not a number"),
        pytest.param("LISTEN_FDS", "-1", "LISTEN_FDS is '-1', not a number of sockets", id="negative"),
        pytest.param("LISTEN_FDS", "+1", "LISTEN_FDS is '+1', not a number of sockets", id="signed"),
        pytest.param("LISTEN_FDS", "", "LISTEN_FDS is '', not a number of sockets", id="empty"),
        pytest.param("LISTEN_FDS", "99999", "", id="no sockets"),
    ],
)
def test_malformed_activation_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))

    assert main([]) == 1

    standard_error = capfd.readouterr().err
    assert standard_error.startswith(f"httpsock: cannot use the inherited listening sockets: {reason}")


def test_no_sockets_means_that_the_server_opens_its_own() -> None:
    assert inherit_sockets({"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())}) is None
