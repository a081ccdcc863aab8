"""Graceful restart: a new process with the current code takes over the listening sockets. No request fails.

Starts a new process with the same command line. The new process inherits the listening sockets, and new connections
queue in the kernel meanwhile. The old process keeps running, since a shell, systemd or a container tracks its PID. When
the old process is stopped, it stops its successor. When the successor exits, the old process exits with the same code.
This module does not know HTTP. Next: activation.py, which finds the inherited sockets in the new process.

    SIGHUP
      start a process                  if it exits or hangs: report this, and continue to serve
      wait for READY
      drain the process it replaces    this one, or the previous successor
      wait for the successor's exit    and exit with its code
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence

from httpsock.server.poller import Poller

from .children import Child, Children

Report = Callable[[str], object]
# Its value: the parent's PID, the descriptor of the control channel, and the descriptors of each process's listeners.
RESTART_VARIABLE = "HTTPSOCK_RESTART"
# A new process that is not ready after this time hangs: kill it, since it would block every later restart.
START_SECONDS = 30.0
_NEVER = float("inf")


class GracefulRestart:
    """Starts a new process, lets the new process take over when it is ready, and reports failures.

    *groups* are the descriptors of the listening sockets, one group for each process. One thread calls all methods.
    """

    def __init__(self, children: Children, groups: Sequence[Sequence[int]], report: Report) -> None:
        self._children = children
        self._groups = [[_duplicate_inheritable(descriptor) for descriptor in group] for group in groups]
        self._report = report
        self._starting: Child | None = None
        self._successor: Child | None = None
        # When to kill the starting process, on the monotonic clock.
        self._start_deadline = _NEVER
        # The exit code of the successor once it has exited: 128 + the signal's number if a signal killed it.
        self.exit_code: int | None = None
        # Whether this process is stopping, or its parent has replaced it: then its children are expected to exit.
        self._is_ending = False

    def start(self, poller: Poller, now: float) -> None:
        """Start a new process that is to take over the listening sockets, and watch the new process.

        Do nothing if a new process is already starting, or if this process is ending.
        """
        if self._starting or self._is_ending:
            return
        if missing := missing_permission():
            self._report(f"httpsock: cannot start a new process: this user may not {missing}; still serving.")
            return
        groups = " ".join(",".join(map(str, group)) for group in self._groups)
        try:
            self._starting = self._children.spawn(
                [sys.executable, *sys.orig_argv[1:]],
                lambda control: {**os.environ, RESTART_VARIABLE: f"{os.getpid()} {control} {groups}"},
            )
        except OSError as error:
            self._report(f"httpsock: cannot start a new process: {error.strerror}; still serving.")
            return
        self._starting.watch(poller)
        self._start_deadline = now + START_SECONDS

    def take_over(self) -> bool:
        """If the new process is ready, let it take over. Return whether this process must drain now."""
        if not self._starting or not self._starting.is_ready() or self._is_ending:
            return False
        previous, self._successor, self._starting = self._successor, self._starting, None
        self._report(f"httpsock: process {self._successor.pid} has taken over.")
        if previous is None:
            return True
        previous.drain()
        return False

    def run_timers(self, now: float) -> float:
        """Report new processes that have exited, and kill a new process that hangs. Return the next deadline."""
        if self._starting and self._starting.exit_code is not None:
            if not self._is_ending:
                self._report(f"httpsock: new process {self._starting.pid} exited before it was ready; still serving.")
            self._starting = None
        if self._successor and self._successor.exit_code is not None:
            code = self._successor.exit_code
            self.exit_code = code if code >= 0 else 128 - code
            if not self._is_ending:
                pid = self._successor.pid
                self._report(f"httpsock: process {pid}, which had taken over, exited with code {self.exit_code}.")
            self._successor = None
        if self._starting and now >= self._start_deadline:
            self._start_deadline = _NEVER
            self._report(f"httpsock: new process {self._starting.pid} was not ready after {START_SECONDS:g} s: killed.")
            self._starting.send_signal(signal.SIGKILL)
        return self._start_deadline if self._starting else _NEVER

    def drain(self) -> None:
        """Start no more processes. Drain the processes that this object has started.

        The parent orders this when another process has replaced this process.
        """
        self._is_ending = True
        for child in filter(None, (self._starting, self._successor)):
            child.drain()

    def stop(self) -> None:
        """Start no more processes, and close this object's copies of the listening sockets."""
        self._is_ending = True
        groups, self._groups = self._groups, []
        for descriptor in (descriptor for group in groups for descriptor in group):
            os.close(descriptor)


def missing_permission() -> str | None:
    """Return an action that a restart needs but this user may not do, such as "read '/x.py'", or None."""
    if _is_forbidden(sys.executable, os.X_OK):
        return f"execute {sys.executable!r}"
    # A start-up file may have loaded other modules, which the program does not need.
    needed = {"__main__", "httpsock", *sys.stdlib_module_names}
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in needed]
    files = filter(None, (getattr(module, "__file__", None) for module in modules))
    return next((f"read {file!r}" for file in files if _is_forbidden(file, os.R_OK)), None)


def _is_forbidden(path: str, mode: int) -> bool:
    """Return whether this user lacks the permission *mode* for *path*. A file that does not exist is not forbidden."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.EACCES
    return not os.access(path, mode)


def _duplicate_inheritable(descriptor: int) -> int:
    """Return a duplicate of *descriptor* that a new process inherits."""
    duplicate = os.dup(descriptor)
    os.set_inheritable(duplicate, True)
    return duplicate
