"""The loop of the main thread: a server stops even if a disk blocks its threads.

If a thread cannot start, the program reports this.
"""

import os
import pathlib
import signal
import sys

import pytest

from tests.support import connect, get, read_answer
from tests.support.marks import in_each_form
from tests.support.processes import children_of
from tests.support.program import Start

if not hasattr(os, "mkfifo"):
    pytest.skip("this system has no FIFOs to wait for", allow_module_level=True)


# This program simulates a disk that hangs: looking up one file blocks until the writer of a FIFO closes it.
HANGING_DISK = """
import os, sys
from httpsock.files import file_system
from httpsock.processes import process_loop
look_up = os.stat
def hang(path, **keywords):
    if path.endswith("slow.txt"):
        open("gate").read()
    return look_up(path, **keywords)
file_system.os = type("Os", (), {**vars(os), "stat": staticmethod(hang)})
process_loop.BLOCKED_SECONDS = 0.1
process_loop.KILL_SECONDS = 60
process_loop._LEAVE_SECONDS = 120
from httpsock.__main__ import main
sys.exit(main())
"""


@in_each_form
def test_a_disk_that_hangs_does_not_delay_the_end(serving: Start, folder: pathlib.Path, processes: str) -> None:
    os.mkfifo(folder / "gate")
    (folder / "slow.txt").touch()
    program = serving("--quiet", "--grace", "0", "--processes", processes, command=[sys.executable, "-c", HANGING_DISK])
    with connect(program.port) as client:
        client.sendall(get("/slow.txt?q"))
        # This open() returns when the server has opened the FIFO for reading, and is blocked.
        opened = os.open(folder / "gate", os.O_WRONLY)
        code, _, standard_error = program.stop()
        os.close(opened)

    assert code == (1 if processes == "1" else 0)
    assert "httpsock: still waiting for GET /slow.txt?q HTTP/1.1 from 127.0.0.1; exiting.\n" in standard_error


WITH_THREADS = """
import sys, threading
start, left = threading.Thread.start, [{}]
def start_while_there_are_any(self):
    if not left[0]:
        raise RuntimeError("can't start new thread")
    left[0] -= 1
    start(self)
threading.Thread.start = start_while_there_are_any
from httpsock.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("arguments", [[], ["--trace"], ["--processes", "1", "--threads", "1"]])
def test_a_server_that_cannot_start_a_thread_reports_it(start: Start, arguments: list[str]) -> None:
    code, _, standard_error = start(
        "--port", "0", *arguments, command=[sys.executable, "-c", WITH_THREADS.format(0)]
    ).end()

    assert code == 1
    assert standard_error.endswith("httpsock: cannot serve: the system allows no more threads.\n")
    assert "Traceback" not in standard_error


def test_a_server_with_fewer_threads_than_requested_serves_and_reports_it(serving: Start) -> None:
    # Three threads can start: two that serve, and one that writes the log.
    program = serving(command=[sys.executable, "-c", WITH_THREADS.format(3)])
    with connect(program.port) as client:
        client.sendall(get("/hello.txt"))
        assert read_answer(client.recv(4096))[0].status == 200

    code, _, standard_error = program.stop(signal.SIGINT)
    assert code == 0
    assert "of 4 threads started: the system allows no more threads\n" in standard_error


# This program prints how often the loop has waited.
COUNTED = """
import sys
from httpsock.processes import process_loop
process_loop.BLOCKED_SECONDS = 0
process_loop.KILL_SECONDS = 0.5
handle_events, waits = process_loop.ProcessLoop._handle_events, []
def handle_and_count(self, seconds):
    waits.append(seconds)
    handle_events(self, seconds)
process_loop.ProcessLoop._handle_events = handle_and_count
from httpsock.__main__ import main
code = main()
print(len(waits))
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc with the children of a process")
def test_the_loop_sleeps_while_it_waits_for_a_suspended_process(serving: Start) -> None:
    program = serving("--quiet", "--grace", "0", "--processes", "2", command=[sys.executable, "-c", COUNTED])
    program.ask("/hello.txt")
    os.kill(children_of(program.process.pid)[0], signal.SIGSTOP)

    code, out, _ = program.stop()

    assert code == 0
    assert int(out) < 20
