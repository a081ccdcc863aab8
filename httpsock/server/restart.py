"""Graceful restart: a new process with the current code takes over the listening sockets; no request fails.

Takes the descriptors of the listening sockets and starts a process with the same command line, which inherits them; new
connections queue in the kernel meanwhile. The old process stays for whatever tracks its PID (a shell, systemd, a
container): it passes signals on, and exits with its successor's code. It does not know HTTP. Next: activation.py, which
the new process uses to inherit.

    SIGHUP
      start a process                  it exits, or hangs: report it, and continue to serve
      wait for READY
      drain the process it replaces    this one, or the previous successor
      wait for the successor's exit    and exit with its code
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from .activation import RESTART_VARIABLE
from .children import Child, Children

Report = Callable[[str], object]
# A new process that is not ready after this time hangs: kill it, or it would block every later restart.
START_SECONDS = 30.0
_NEVER = float("inf")


class GracefulRestart:
    """Starts a successor, lets it take over when it is ready, and reports failures.

    *groups* are the descriptors of the listening sockets, one group for each process. One thread calls all methods.
    """

    def __init__(self, groups: Sequence[Sequence[int]], report: Report) -> None:
        self._groups = [[_duplicate_inheritable(descriptor) for descriptor in group] for group in groups]
        self._report = report
        self._children = Children()
        self.starting: Child | None = None
        self._successor: Child | None = None
        # When the starting process must be ready, on the monotonic clock.
        self.deadline = _NEVER
        # The exit code of the last successor: 128 + the signal's number if a signal killed it.
        self.exit_code: int | None = None
        self._is_stopping = False
        # The parent has replaced this process, so its successors must not accept.
        self._is_draining = False

    @property
    def is_running(self) -> bool:
        """Whether a process that was started here still runs."""
        return len(self._children) > 0

    def start(self, now: float) -> None:
        """Start a process that is to take over, unless one is already starting or this process has been replaced."""
        if self.starting or self._is_draining:
            return
        try:
            self.starting = self._spawn()
        except OSError as error:
            self._report(f"httpsock: cannot start a new process: {error.strerror}; still serving.")
            return
        self._children.add(self.starting)
        self.deadline = now + START_SECONDS

    def take_over(self) -> bool:
        """Let the starting process take over if it is ready. Return whether this process must drain now."""
        if not self.starting or not self.starting.is_ready():
            return False
        previous, self._successor = self._successor, self.starting
        self.starting, self.deadline = None, _NEVER
        self._report(f"httpsock: process {self._successor.pid} has taken over.")
        if previous is None:
            return True
        previous.drain()
        return False

    def drain(self) -> None:
        """Start no more processes, and drain the running ones: the parent has replaced all of them."""
        self._is_draining = True
        self._children.drain()

    def on_exit(self, pid: int, code: int) -> bool:
        """Record that *pid* has exited; ignore it if it was not started here. Return whether it was the successor."""
        child = self._children.remove(pid)
        if child is None:
            return False
        is_expected = self._is_stopping or self._is_draining
        if child is self.starting:
            self.starting, self.deadline = None, _NEVER
            if not is_expected:
                self._report(f"httpsock: new process {pid} exited before it was ready; still serving.")
        if child is not self._successor:
            return False
        self._successor, self.exit_code = None, code if code >= 0 else 128 - code
        if not is_expected:
            self._report(f"httpsock: process {pid}, which had taken over, exited with code {self.exit_code}.")
        return True

    def run_timers(self, now: float) -> None:
        """Kill a process that takes too long to start."""
        if self.starting and now >= self.deadline:
            self.deadline = _NEVER
            self._report(f"httpsock: new process {self.starting.pid} was not ready after {START_SECONDS:g} s: killed.")
            self.starting.send_signal(signal.SIGKILL)

    def stop(self, signum: int) -> None:
        """Start no more processes, and pass the signal *signum* on to those that run."""
        self._is_stopping = True
        self._close_listeners()
        self.send_signal(signum)

    def send_signal(self, signum: int) -> None:
        """Send a signal to all processes that were started here."""
        self._children.send_signal(signum)

    def close(self) -> None:
        """Close all descriptors; a forked process calls this, since the children are its parent's."""
        self._close_listeners()
        self._children.close()

    def pids(self) -> list[int]:
        """Return the PIDs of the running processes that were started here."""
        return self._children.pids()

    def _close_listeners(self) -> None:
        groups, self._groups = self._groups, []
        for descriptor in (descriptor for group in groups for descriptor in group):
            os.close(descriptor)

    def _spawn(self) -> Child:
        """Start a process with the same command line; it inherits the listening sockets."""
        ours, theirs = socket.socketpair()
        try:
            theirs.set_inheritable(True)
            groups = " ".join(",".join(map(str, group)) for group in self._groups)
            environment = {**os.environ, RESTART_VARIABLE: f"{os.getpid()} {theirs.fileno()} {groups}"}
            command = [sys.executable, *sys.orig_argv[1:]]
            # A process group of its own, so that Ctrl-C reaches it once, through this process.
            pid = os.posix_spawn(sys.executable, command, environment, setpgroup=0, setsigmask=())
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Child(pid, ours)


def _duplicate_inheritable(descriptor: int) -> int:
    """Return a duplicate of *descriptor* that a started process inherits."""
    duplicate = os.dup(descriptor)
    os.set_inheritable(duplicate, True)
    return duplicate
