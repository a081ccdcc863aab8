"""Child processes, and the parent as a child sees it.

A parent and a child share a pair of connected sockets: the control channel. The kernel closes the parent's end with the
parent, even after SIGKILL, so a child always sees that its parent is gone. It does not know HTTP.

    parent                      control channel        child
    Child.is_ready()            <-- READY              Parent.notify_ready()
    Child.drain()               DRAIN -->              Parent.read_order() is Order.DRAIN
    the parent has exited       end of file -->        Parent.read_order() is Order.STOP
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from enum import Enum

_READY = b"r"
_DRAIN = b"d"


class Order(Enum):
    """An order from a parent to its child."""

    DRAIN = "accept no more, and close each connection after its next response"
    STOP = "finish the running responses, and exit"


class Parent:
    """The process that started this one; *control* is this process's end of the channel."""

    def __init__(self, control: socket.socket) -> None:
        control.setblocking(False)
        control.set_inheritable(False)
        self._control = control
        self.descriptor = control.fileno()

    def notify_ready(self) -> None:
        """Tell the parent that this process serves now."""
        # If the parent is gone, ``read_order`` reports it.
        with contextlib.suppress(OSError):
            self._control.send(_READY)

    def read_order(self) -> Order | None:
        """Return the parent's order, or None if none has arrived."""
        try:
            octets = self._control.recv(1)
        except BlockingIOError:
            return None
        except OSError:
            return Order.STOP
        return Order.DRAIN if octets else Order.STOP


class Child:
    """A process that this one started; *control* is this process's end of the channel."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        control.setblocking(False)
        self.pid = pid
        self._control = control
        self.descriptor = control.fileno()

    def is_ready(self) -> bool | None:
        """Return True if the child serves, False if it is gone, None if it is still starting."""
        try:
            return self._control.recv(1) == _READY
        except BlockingIOError:
            return None
        except OSError:
            return False

    def drain(self) -> None:
        """Order the child to drain."""
        with contextlib.suppress(OSError):
            self._control.send(_DRAIN)

    def send_signal(self, signum: int) -> None:
        """Send a signal to the child, unless it has exited."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def close(self) -> None:
        """Close this process's end of the channel."""
        self._control.close()


class Children:
    """The children of one kind that have not been reaped yet, by their PIDs."""

    def __init__(self) -> None:
        self._by_pid: dict[int, Child] = {}

    def add(self, child: Child) -> None:
        """Add *child*."""
        self._by_pid[child.pid] = child

    def remove(self, pid: int) -> Child | None:
        """Remove and return the reaped child *pid*, or return None for an unknown PID."""
        child = self._by_pid.pop(pid, None)
        if child:
            child.close()
        return child

    def drain(self) -> None:
        """Order all children to drain."""
        for child in self._by_pid.values():
            child.drain()

    def send_signal(self, signum: int) -> None:
        """Send a signal to all children."""
        for child in self._by_pid.values():
            child.send_signal(signum)

    def close(self) -> None:
        """Close all channels; a forked process calls this, since it has copies of its parent's ends."""
        for child in self._by_pid.values():
            child.close()
        self._by_pid.clear()

    def pids(self) -> list[int]:
        """Return the PIDs of all children."""
        return list(self._by_pid)

    def __len__(self) -> int:
        return len(self._by_pid)


def reap() -> Iterator[tuple[int, int]]:
    """Yield the PID and exit code of each exited child; for a killed one, the code is minus the signal's number.

    Process 1 of a container adopts orphans: it reaps them here too, or they would stay zombies.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            yield pid, os.waitstatus_to_exitcode(status)
