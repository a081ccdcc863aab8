"""At any moment, Ctrl-C and other signals end a command and its server, without a traceback."""

import _thread
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from .start import Program
from .threads import call_in_threads

PROJECT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("signals_heeded")


def test_results_are_in_the_order_of_the_items() -> None:
    is_second = threading.Event()

    def wait_for_the_second(item: int) -> int:
        if item == 1:
            is_second.wait()
        if item == 2:
            is_second.set()
        return 10 * item

    assert call_in_threads(wait_for_the_second, [1, 2, 3], max_threads=2) == [10, 20, 30]
    assert call_in_threads(wait_for_the_second, [], max_threads=2) == []


def test_after_an_error_no_further_call_begins() -> None:
    begun = []

    def fail(item: int) -> None:
        begun.append(item)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        call_in_threads(fail, range(9), max_threads=1)
    assert begun == [0]


def test_an_interrupt_does_not_wait_for_calls_in_progress_and_no_further_call_begins() -> None:
    begun, is_over, is_ended = [], threading.Event(), threading.Event()

    def hang(item: int) -> None:
        begun.append(item)
        _thread.interrupt_main()
        is_over.wait()
        is_ended.set()

    with pytest.raises(KeyboardInterrupt):
        call_in_threads(hang, range(9), max_threads=1)
    assert not is_ended.is_set()
    is_over.set()
    is_ended.wait()
    assert begun == [0]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="the system has no process groups")
def test_an_interrupt_while_a_server_stops_kills_the_server() -> None:
    """This server does not end on SIGTERM, but sends SIGINT to the test. If the test ends, the server ends."""
    script = "trap 'kill -INT $PPID' TERM; echo; while kill -0 $PPID; do read line; done"
    pipe = subprocess.PIPE
    with Program(["/bin/sh", "-c", script], stdin=pipe, stdout=pipe, start_new_session=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with pytest.raises(KeyboardInterrupt):
            server.stop()
        assert server.wait() == -signal.SIGKILL


# A server that never answers a case. On SIGTERM, it reports that, waits, and ends.
_HANGING = """
import os, signal, socket, sys, threading

def report(text):
    with open(sys.argv[2], "w") as fifo:
        fifo.write(text)

def stop(*_):
    report("stopping")
    with open(sys.argv[3]):
        os._exit(0)

def converse(connected):
    if connected.recv(65536).startswith((b"GET /sentinel-0 ", b"GET / ")):
        connected.sendall(b"HTTP/1.1 404 No\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        connected.close()
        return
    if lock.acquire(blocking=False):
        report(str(os.getpid()))
    threading.Event().wait()

lock = threading.Lock()
signal.signal(signal.SIGTERM, stop)
with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64) as listener:
    while True:
        threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no FIFO")
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_does_not_interrupt_the_stop_of_the_server(tmp_path: Path, signum: int, code: int) -> None:
    """The first signal comes while a case is in progress. Two more signals come while the server stops."""
    script, fifo, go_on = tmp_path / "hanging.py", tmp_path / "fifo", tmp_path / "go-on"
    script.write_text(_HANGING, encoding="utf-8")
    os.mkfifo(fifo)
    os.mkfifo(go_on)
    start = f"{sys.executable} {script} {{port}} {fifo} {go_on}"
    command = [sys.executable, "-m", "conformance", "check", "--start", start, "--only", "no-host"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        pid = int(fifo.read_text(encoding="utf-8"))
        program.send_signal(signum)
        assert fifo.read_text(encoding="utf-8") == "stopping"
        program.send_signal(signum)
        program.send_signal(signal.SIGINT)
        with open(go_on, "w", encoding="utf-8"):
            output = program.communicate()
    says = b"\nconformance: interrupted\n" if signum == signal.SIGINT else b""
    assert (program.returncode, *output) == (code, b"", says)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
