"""Parent and child processes: messages, signals, and how each process notices when the other ends."""

import os
import signal
import socket
import sys

import pytest

from httpsock.processes.children import Child, Children, Order, Parent
from httpsock.server.poller import open_poller
from tests.support.program import run_python

if not hasattr(os, "posix_spawn"):
    pytest.skip("this system has no such processes", allow_module_level=True)


@pytest.fixture
def ends() -> "tuple[socket.socket, socket.socket]":
    """Return the two ends of a control channel. The parent's end comes first."""
    return socket.socketpair()


def test_a_child_reports_once_that_it_is_ready(ends: tuple[socket.socket, socket.socket]) -> None:
    child, parent = Child(1, ends[0], signal.SIGTERM), Parent(ends[1])
    assert child.is_ready() is False
    parent.notify_ready()

    assert child.is_ready() is True
    assert child.is_ready() is False
    child.close()
    ends[1].close()


@pytest.mark.parametrize("is_served", [True, False])
def test_a_watched_child_ends_a_poll_once(ends: tuple[socket.socket, socket.socket], is_served: bool) -> None:
    child, parent, poller = Child(1, ends[0], signal.SIGTERM), Parent(ends[1]), open_poller()
    child.watch(poller)
    assert poller.poll(0) == []
    if is_served:
        parent.notify_ready()
    else:
        ends[1].close()

    assert [descriptor for descriptor, _ in poller.poll(0)] == [ends[0].fileno()]
    assert child.is_ready() is is_served
    assert poller.poll(0) == []
    child.close()
    ends[1].close()
    poller.close()


def test_a_child_drains_on_request_and_stops_when_its_parent_ends(ends: tuple[socket.socket, socket.socket]) -> None:
    child, parent = Child(1, ends[0], signal.SIGTERM), Parent(ends[1])
    assert parent.read_order() is None
    child.drain()
    child.close()

    assert parent.read_order() is Order.DRAIN
    assert parent.read_order() is Order.STOP
    ends[1].close()


def test_a_child_stops_when_its_parent_ends_before_reading(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    parent = Parent(ends[1])
    parent.notify_ready()
    ends[0].close()

    # The kernel resets the channel, since the parent did not read the child's message.
    assert parent.read_order() is Order.STOP
    parent.notify_ready()
    ends[1].close()


@pytest.mark.parametrize("is_drained", [False, True])
def test_a_child_that_is_gone_is_not_ready(ends: tuple[socket.socket, socket.socket], is_drained: bool) -> None:
    child = Child(1, ends[0], signal.SIGTERM)
    if is_drained:
        child.drain()
    ends[1].close()

    assert child.is_ready() is False
    child.drain()
    child.close()


def test_a_process_that_has_exited_gets_no_signal(ends: tuple[socket.socket, socket.socket]) -> None:
    # No process has this PID: it exceeds the system's limit.
    Child(2**30, ends[0], signal.SIGTERM).send_signal(signal.SIGTERM)
    for end in ends:
        end.close()


def spawn(children: Children, code: str) -> Child:
    """Start a child process that runs *code* in Python."""
    return children.spawn([sys.executable, "-c", code], lambda _: os.environ)


def wait_for_exit(pid: int) -> None:
    """Wait until the process *pid* has exited. Do not reap the process."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_children_and_adopted_orphans_are_reaped_with_their_exit_codes() -> None:
    children = Children()
    exited = spawn(children, "raise SystemExit(3)")
    killed = spawn(children, "import os; os.kill(os.getpid(), 9)")
    orphan = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    assert children.pids() == [exited.pid, killed.pid]
    assert (exited.exit_code, killed.exit_code) == (None, None)
    for pid in (exited.pid, killed.pid, orphan):
        wait_for_exit(pid)

    children.reap()

    assert (exited.exit_code, killed.exit_code) == (3, -signal.SIGKILL)
    assert children.pids() == []
    with pytest.raises(ChildProcessError):
        os.waitpid(orphan, os.WNOHANG)
    children.reap()


def test_a_running_child_is_not_reaped() -> None:
    children = Children()
    child = spawn(children, "import time; time.sleep(3600)")

    children.reap()

    assert (child.exit_code, children.pids()) == (None, [child.pid])
    children.send_signal(signal.SIGKILL)
    wait_for_exit(child.pid)
    children.reap()
    assert child.exit_code == -signal.SIGKILL


def test_the_exit_of_a_watched_child_ends_its_watch() -> None:
    children, poller = Children(), open_poller()
    child = spawn(children, "")
    child.watch(poller)
    wait_for_exit(child.pid)

    children.reap()

    assert child.is_ready() is False
    assert poller.poll(0) == []
    poller.close()


FORKING = """
import os, select, signal, sys
from httpsock.processes.children import Children, Order

def wait_for_the_end(parent):
    while parent.read_order() is not Order.STOP:
        select.select([parent.descriptor], [], [])
    return 7

def codes(*exiting):
    for child in exiting:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    children.reap()
    return [child.exit_code for child in exiting]

children = Children()
"""

# This program forks two children. The second child inherits the parent's end of the first channel, and closes it.
TWO_FORKED = """
first, second = children.fork(wait_for_the_end), children.fork(wait_for_the_end)
first.close()
print(codes(first), second.exit_code, children.pids() == [second.pid])
second.close()
print(codes(second), children.pids())
"""


def test_a_forked_process_sees_the_end_of_its_channel_although_another_runs() -> None:
    ran = run_python(FORKING + TWO_FORKED)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[7] None True\n[7] []\n", "")


ENDED = """
forked = children.fork(wait_for_the_end)
spawned = children.spawn([sys.executable, "-c", "import time; time.sleep(3600)"], lambda _: os.environ)
children.end_immediately()
print(codes(forked, spawned) == [-signal.SIGKILL, -signal.SIGTERM])
"""


def test_an_immediate_end_kills_a_forked_process_and_stops_a_spawned_one() -> None:
    ran = run_python(FORKING + ENDED)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")


def test_a_failed_fork_leaves_no_descriptor_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", fail)
    children = Children()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])

    with pytest.raises(OSError, match="no process to spare"):
        children.fork(lambda _: 0)

    assert children.pids() == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == blocked


def test_a_failed_spawn_leaves_no_descriptor_open() -> None:
    children = Children()

    with pytest.raises(FileNotFoundError):
        children.spawn(["/nowhere/python"], lambda _: os.environ)

    assert children.pids() == []


def fail() -> int:
    """Fail as fork() does when the system has too many processes."""
    raise BlockingIOError(11, "no process to spare")
