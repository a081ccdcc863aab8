"""Child processes, and the parent as a child sees it.

Starts, signals and reaps processes. One ``Children`` object has all children of this process. The code that starts a
child stores the ``Child`` object, which gets the exit code. This module does not know HTTP.

A parent and a child share a pair of connected sockets: the control channel. When the parent exits, even by SIGKILL, the
kernel closes the parent's end. So a child always notices that its parent is gone.

    parent                      control channel        child
    Child.is_ready()            <-- READY              Parent.notify_ready()
    Child.drain()               DRAIN -->              Parent.read_order() is Order.DRAIN
    the parent has exited       end of file -->        Parent.read_order() is Order.STOP
"""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping
from enum import Enum

from httpsock.server.poller import READABLE, Poller

_READY = b"r"
_DRAIN = b"d"


class Order(Enum):
    """An order from a parent to its child."""

    DRAIN = "accept no more, and close each connection after its next response"
    STOP = "finish the running responses, and exit"


class Parent:
    """The process that started this process. *control* is this process's end of the control channel."""

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
        """Return the parent's order, or None if no order has arrived. If the parent is gone, return STOP."""
        try:
            octets = self._control.recv(1)
        except BlockingIOError:
            return None
        except OSError:
            return Order.STOP
        return Order.DRAIN if octets else Order.STOP

    def close(self) -> None:
        """Close this process's end of the control channel."""
        self._control.close()


class Child:
    """A process that this process started. *control* is this process's end of the control channel.

    If the child is already stopping, the signal *exit_signum* makes the child exit immediately.
    """

    def __init__(self, pid: int, control: socket.socket, exit_signum: int) -> None:
        control.setblocking(False)
        self.pid = pid
        # None until it is reaped; if a signal killed it, the negative number of the signal.
        self.exit_code: int | None = None
        self.exit_signum = exit_signum
        self._control = control
        self._poller: Poller | None = None

    def watch(self, poller: Poller) -> None:
        """Let *poller* watch the control channel until the child is ready or has exited."""
        poller.register(self._control.fileno(), READABLE)
        self._poller = poller

    def is_ready(self) -> bool:
        """Return whether the child has just reported that it serves. Only one call returns True."""
        try:
            octets = self._control.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            octets = b""
        self._unwatch()
        return octets == _READY

    def drain(self) -> None:
        """Order the child to drain."""
        with contextlib.suppress(OSError):
            self._control.send(_DRAIN)

    def send_signal(self, signum: int) -> None:
        """Send a signal to the child, if the child still exists."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def record_exit(self, code: int) -> None:
        """Record the exit *code* of the child, which has been reaped. Close the control channel."""
        self.exit_code = code
        self._unwatch()
        self.close()

    def close(self) -> None:
        """Close this process's end of the control channel."""
        self._control.close()

    def _unwatch(self) -> None:
        if self._poller:
            self._poller.unregister(self._control.fileno())
            self._poller = None


class Children:
    """The child processes of this process that have not been reaped yet."""

    def __init__(self) -> None:
        self._by_pid: dict[int, Child] = {}

    def fork(self, run: Callable[[Parent], int]) -> Child:
        """Fork a child that calls *run* and exits with its result. Raise OSError if the system refuses."""
        ours, theirs = socket.socketpair()
        # Block signals until the new process has its own handlers.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                # Never return into the parent's code.
                code = 1
                try:
                    ours.close()
                    self.close()
                    code = run(Parent(theirs))
                finally:
                    os._exit(code)
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        # SIGKILL, since a forked process ignores a second SIGTERM: that may be the first one again, sent to its group.
        return self._add(Child(pid, ours, signal.SIGKILL))

    def spawn(self, command: list[str], environment: Callable[[int], Mapping[str, str]]) -> Child:
        """Start a child that runs *command*. Raise OSError if the system refuses.

        The function *environment* returns the child's environment. The function's argument is a descriptor: the child's
        end of the control channel.
        """
        ours, theirs = socket.socketpair()
        try:
            theirs.set_inheritable(True)
            variables = environment(theirs.fileno())
            # A process group of its own, so that Ctrl-C reaches it once, through this process; SIGHUP is blocked, or it
            # would kill a process that has no handler yet.
            pid = os.posix_spawn(command[0], command, variables, setpgroup=0, setsigmask=[signal.SIGHUP])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        # Not SIGKILL, since the process may have children of its own to end.
        return self._add(Child(pid, ours, signal.SIGTERM))

    def reap(self) -> None:
        """Reap each child that has exited, and record its exit code.

        Process 1 of a container adopts orphans. If this process is process 1, it reaps the orphans too.
        """
        with contextlib.suppress(ChildProcessError):
            for pid, status in iter(_wait_for_any, (0, 0)):
                if child := self._by_pid.pop(pid, None):
                    child.record_exit(os.waitstatus_to_exitcode(status))

    def send_signal(self, signum: int) -> None:
        """Send a signal to all children."""
        for child in self._by_pid.values():
            child.send_signal(signum)

    def end_immediately(self) -> None:
        """Make all children and grandchildren exit immediately. The children must already be stopping."""
        for child in self._by_pid.values():
            child.send_signal(child.exit_signum)

    def close(self) -> None:
        """Close all control channels.

        A forked process calls this, since it has copies of the channels between its parent and the other children.
        """
        for child in self._by_pid.values():
            child.close()

    def pids(self) -> list[int]:
        """Return the PIDs of all children."""
        return list(self._by_pid)

    def _add(self, child: Child) -> Child:
        self._by_pid[child.pid] = child
        return child


def _wait_for_any() -> tuple[int, int]:
    """Reap a child that has exited. Return its PID and its status, or two zeros if no child has exited."""
    # Windows lacks WNOHANG, and has no children here.
    return os.waitpid(-1, os.WNOHANG) if hasattr(os, "WNOHANG") else (0, 0)
