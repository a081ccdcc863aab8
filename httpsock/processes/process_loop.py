"""The main thread's loop: signals, child processes and the parent, handled one at a time.

Runs a server, or a supervisor of several processes, and gives an exit code. A signal handler only queues its signal.
The loop handles the queued signals, one after the other. So a signal that arrives during a fork is handled after the
fork, and reaches the new process too. The loop does not know HTTP.

    repeat
      look after children    a new process is ready        let it take over
                             one has exited                reap it; the supervisor forks another
                             the successor has exited      stop
                             one hangs                     kill it
      wait for an event      SIGINT, SIGTERM               stop: finish the running responses
                             a second one                  exit immediately
                             SIGHUP                        restart gracefully; stop if the terminal is gone
                             SIGCHLD, a child is ready     look after children
                             the parent asks to drain      drain
                             the parent is gone            stop
    until no thread serves and all children have exited
"""

import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from types import FrameType
from typing import NoReturn, Protocol

from httpsock.server.poller import READABLE, open_poller
from httpsock.server.process import BLOCKED_SECONDS

from .children import Children, Order, Parent
from .restart import GracefulRestart

Report = Callable[[str], object]
# Windows lacks both.
_SIGHUP = getattr(signal, "SIGHUP", 0)
_SIGKILL = getattr(signal, "SIGKILL", 0)
_NEVER = float("inf")
# The kernel rejects larger time-outs.
_MAX_POLL_SECONDS = 86_400.0
# Seconds after the grace period: this process exits, even if a disk still blocks its threads; it kills its children,
# which should have exited by BLOCKED_SECONDS; it exits, even if SIGKILL has not ended its children.
KILL_SECONDS = 6.0
_LEAVE_SECONDS = 7.0


class ExitCode(IntEnum):
    """The exit code of a serving process."""

    STOPPED = 0
    FAILED = 1


class Served(Protocol):
    """A server in threads of this process, or a supervisor of forked processes."""

    def start(self, wake: Callable[[], object]) -> None:
        """Start to serve. Each thread calls *wake* when it ends, so that the loop checks ``is_running``."""

    def stop(self) -> None:
        """Stop accepting connections. Running responses have a grace period to finish."""

    def drain(self) -> None:
        """Stop accepting connections, and close each open connection after its next response."""

    def close(self) -> None:
        """Wait until all threads of the server have returned."""

    def run_timers(self, now: float) -> float:
        """Run the timers that have expired. Return the next deadline. Times are on the monotonic clock."""

    @property
    def is_running(self) -> bool:
        """Whether a thread of the server still serves, or the supervisor still replaces processes."""

    def blocked(self) -> list[str]:
        """Return a description of each request that blocks a thread of this process."""


class SignalQueue:
    """Queues signals for the main thread, which polls ``descriptor``."""

    def __init__(self, signums: list[int], ignored: list[int]) -> None:
        self._pending: deque[int] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.descriptor = self._reader.fileno()
        for signum in ignored:
            signal.signal(signum, signal.SIG_IGN)
        for signum in signums:
            signal.signal(signum, self._append)
        # The C handler writes to the socket, so that a signal just before a poll also ends that poll.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # The parent starts this process with signals blocked. Windows lacks signal masks.
        with contextlib.suppress(AttributeError):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signums)

    def _append(self, signum: int, _: FrameType | None) -> None:
        self._pending.append(signum)

    def wake(self) -> None:
        """Make the main thread's poll return early. Any thread may call this, also after ``close``."""
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def take(self) -> list[int]:
        """Return the signals that have arrived since the last call."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
        return [self._pending.popleft() for _ in range(len(self._pending))]

    def close(self) -> None:
        """Close the sockets. Later signals have no effect."""
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


class ProcessLoop:
    """Runs *served* until all threads have ended and all *children* have exited.

    If *is_forked* is true, ignore Ctrl-C and SIGHUP, since the parent process handles both.
    """

    def __init__(
        self,
        served: Served,
        *,
        children: Children,
        restart: GracefulRestart,
        parent: Parent | None,
        grace_seconds: float,
        report: Report,
        is_forked: bool = False,
    ) -> None:
        self._served = served
        self._children = children
        self._restart = restart
        self._parent = parent
        self._grace_seconds = grace_seconds
        self._report = report
        # A forked process may receive one SIGTERM twice, through its process group and from its parent. So the second
        # one does not make it exit immediately.
        self._is_forked = is_forked
        self._has_terminal = not is_forked and _has_terminal()
        self._signals = SignalQueue(*_signals(is_forked=is_forked))
        self._poller = open_poller()
        self._poller.register(self._signals.descriptor, READABLE)
        if parent:
            self._poller.register(parent.descriptor, READABLE)
        self._is_stopping = False
        # On the monotonic clock: when to exit despite blocked threads, to kill children, to exit despite children.
        self._blocked_deadline = self._kill_deadline = self._leave_deadline = _NEVER

    def run(self) -> int:
        """Serve until all threads and children have ended. Return the exit code. Raise OSError if no thread starts."""
        try:
            self._served.start(self._signals.wake)
            if self._parent:
                self._parent.notify_ready()
            while True:
                now = time.monotonic()
                deadline = self._run_timers(now)
                if not self._served.is_running and not self._children.pids():
                    break
                if (pending := self._overdue(now)) is not None:
                    self._report(f"httpsock: still waiting for {', '.join(pending)}; exiting.")
                    return ExitCode.FAILED
                self._handle_events(min(deadline - now, _MAX_POLL_SECONDS))
            self._served.close()
        finally:
            self._poller.close()
            self._signals.close()
            if self._parent:
                self._parent.close()
        if self._restart.exit_code is not None:
            return self._restart.exit_code
        return ExitCode.STOPPED if self._is_stopping else ExitCode.FAILED

    def _run_timers(self, now: float) -> float:
        """Reap child processes, let a new process take over, and run all timers that have expired.

        Return the next deadline.
        """
        if self._restart.take_over():
            self._served.drain()
        # Reap at the start, too: a shell that became this process by exec may have left children.
        self._children.reap()
        deadlines = self._restart.run_timers(now), self._served.run_timers(now)
        if self._restart.exit_code is not None:
            # The successor has exited, and this process no longer accepts.
            self._stop()
        if now >= self._kill_deadline:
            self._kill_deadline = _NEVER
            self._children.send_signal(_SIGKILL)
        own_deadlines = self._blocked_deadline, self._kill_deadline, self._leave_deadline
        return min(deadline for deadline in (*deadlines, *own_deadlines) if deadline > now)

    def _overdue(self, now: float) -> list[str] | None:
        """If the running requests and processes still have time to end, return None.

        Otherwise, return descriptions of these requests and processes.
        """
        blocked = self._served.blocked() if now >= self._blocked_deadline else []
        pids = self._children.pids()
        if blocked and not pids:
            return blocked
        return blocked + [f"process {pid}" for pid in pids] if now >= self._leave_deadline else None

    def _handle_events(self, seconds: float) -> None:
        """Wait at most *seconds* for a signal or an order of the parent.

        Handle all signals and orders that have arrived.
        """
        ready = self._poller.poll(seconds)
        for signum in self._signals.take():
            self._on_signal(signum)
        if self._parent and any(descriptor == self._parent.descriptor for descriptor, _ in ready):
            self._obey(self._parent)

    def _on_signal(self, signum: int) -> None:
        if signum in (signal.SIGINT, signal.SIGTERM):
            if self._is_stopping and not self._is_forked:
                self._exit_immediately(signum)
            self._stop()
        elif signum == _SIGHUP and not self._is_stopping:
            if self._has_terminal and not _has_terminal():
                self._stop()
            else:
                self._restart.start(self._poller, time.monotonic())

    def _obey(self, parent: Parent) -> None:
        """If *parent* has ordered this process to drain, drain. If *parent* is gone, stop."""
        if parent.read_order() is Order.DRAIN:
            self._served.drain()
            self._restart.drain()
            return
        self._poller.unregister(parent.descriptor)
        parent.close()
        self._parent = None
        self._stop()

    def _stop(self) -> None:
        """Stop serving, and make all child processes stop."""
        if self._is_stopping:
            return
        self._is_stopping = True
        end_of_grace = time.monotonic() + self._grace_seconds
        self._blocked_deadline = end_of_grace + BLOCKED_SECONDS
        self._kill_deadline = end_of_grace + KILL_SECONDS
        self._leave_deadline = end_of_grace + _LEAVE_SECONDS
        self._served.stop()
        self._restart.stop()
        self._children.send_signal(signal.SIGTERM)

    def _exit_immediately(self, signum: int) -> NoReturn:
        """Make all children exit immediately, then exit. *signum* is the second signal to stop."""
        self._children.end_immediately()
        os._exit(128 + signum)


def _signals(*, is_forked: bool) -> tuple[list[int], list[int]]:
    """Return two lists: the signals to handle, and the signals to ignore.

    A signal may be in both lists. The process first ignores such a signal, which discards a signal that is pending.
    """
    if is_forked:
        # Ctrl-C reaches all processes of a terminal; here only the parent's SIGTERM counts.
        return _present(["SIGTERM"]), _present(["SIGINT", "SIGHUP", "SIGUSR1"])
    # nohup starts a program with SIGHUP ignored: leave it ignored.
    hangup = [] if _SIGHUP and signal.getsignal(_SIGHUP) == signal.SIG_IGN else ["SIGHUP"]
    # To ignore SIGHUP discards a pending one: a process that has just started need not restart.
    return _present(["SIGINT", "SIGTERM", "SIGCHLD", *hangup]), _present(["SIGUSR1", *hangup])


def _present(names: list[str]) -> list[int]:
    """Return the numbers of the signals in *names* that this system has. Windows lacks some signals."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _has_terminal() -> bool:
    """Return whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
