"""Parent and child processes: their messages, and how each learns that the other is gone."""

import os
import signal
import socket
import sys

import pytest

from httpsock.server.children import Child, Children, Order, Parent, reap

if not hasattr(os, "posix_spawn"):
    pytest.skip("this system has no such processes", allow_module_level=True)


@pytest.fixture
def ends() -> "tuple[socket.socket, socket.socket]":
    """The two ends of a control channel: the parent's and the child's."""
    return socket.socketpair()


def test_a_child_says_that_it_is_ready(ends: tuple[socket.socket, socket.socket]) -> None:
    child, parent = Child(1, ends[0]), Parent(ends[1])
    assert child.is_ready() is None
    parent.notify_ready()

    assert child.is_ready() is True
    child.close()
    ends[1].close()


def test_a_parent_asks_to_drain_and_its_end_means_to_stop(ends: tuple[socket.socket, socket.socket]) -> None:
    child, parent = Child(1, ends[0]), Parent(ends[1])
    assert parent.read_order() is None
    child.drain()
    child.close()

    assert parent.read_order() is Order.DRAIN
    assert parent.read_order() is Order.STOP
    ends[1].close()


def test_a_parent_that_is_gone_before_it_read_anything_means_to_stop(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    parent = Parent(ends[1])
    parent.notify_ready()
    ends[0].close()

    # The kernel resets the channel: the child's message was never read.
    assert parent.read_order() is Order.STOP
    parent.notify_ready()
    ends[1].close()


@pytest.mark.parametrize("is_drained", [False, True])
def test_a_child_that_is_gone_is_not_ready(ends: tuple[socket.socket, socket.socket], is_drained: bool) -> None:
    child = Child(1, ends[0])
    if is_drained:
        child.drain()
    ends[1].close()

    assert child.is_ready() is False
    child.drain()
    child.close()


def test_a_process_that_has_exited_gets_no_signal(ends: tuple[socket.socket, socket.socket]) -> None:
    # Above every limit on PIDs.
    Child(2**30, ends[0]).send_signal(signal.SIGTERM)
    for end in ends:
        end.close()


def test_children_are_reaped_with_their_exit_codes_and_so_are_adopted_orphans() -> None:
    children = Children()
    ours, theirs = socket.socketpair()
    programs = ("raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)")
    pids = [os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ) for code in programs]
    children.add(Child(pids[0], ours))
    exited: dict[int, int] = {}
    for pid in pids:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    exited.update(reap())

    assert exited == {pids[0]: 3, pids[1]: -9}
    assert children.pids() == [pids[0]]
    assert children.remove(pids[1]) is None
    assert children.remove(pids[0]) is not None
    assert len(children) == 0
    assert list(reap()) == []
    theirs.close()


def test_a_running_child_is_not_reaped() -> None:
    gate, opener = os.pipe()
    os.set_inheritable(gate, True)
    waiting = f"import os; os.read({gate}, 1)"
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", waiting], os.environ)
    os.close(gate)

    assert list(reap()) == []
    os.close(opener)
    assert os.waitpid(pid, 0)[1] == 0
