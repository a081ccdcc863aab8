"""The main thread's loop: signals, child processes and the parent, handled one at a time.

Takes a server (or a supervisor), a restart and the parent's control channel; gives an exit code. A signal handler only
queues its signal; all decisions are made here, one after the other. So a signal that arrives while a process is being
started is handled once that process is registered, and reaches it. It does not know HTTP.

    SIGINT, SIGTERM        stop: finish the running responses; a second one exits immediately
    SIGHUP                 restart gracefully; stop if the terminal is gone
    SIGCHLD                reap
    SIGUSR1                ignored
    control channel        the parent asks this process to drain, or is gone: stop
                           a new process is ready: let it take over
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

from .children import Child, Order, Parent, reap
from .poller import READABLE, open_poller
from .restart import GracefulRestart

Report = Callable[[str], object]
# Windows lacks both.
_SIGHUP = getattr(signal, "SIGHUP", 0)
_SIGKILL = getattr(signal, "SIGKILL", 0)
_NEVER = float("inf")
# The kernel rejects larger time-outs.
_MAX_POLL_SECONDS = 86_400.0
# Seconds after the grace period until this process leaves threads that a disk blocks; until it kills children, which
# have the same wait; and until it leaves children that even SIGKILL does not end.
BLOCKED_SECONDS = 5.0
KILL_SECONDS = 6.0
_LEAVE_SECONDS = 7.0


class ExitCode(IntEnum):
    """The exit code of a serving process."""

    STOPPED = 0
    FAILED = 1


class Served(Protocol):
    """A server in this process's threads, or a supervisor of forked processes."""

    def start(self, wake: Callable[[], object]) -> None:
        """Start to serve. Any thread may call *wake* after ``is_running`` has changed."""

    def stop(self) -> None:
        """Finish the running responses within the grace period."""

    def drain(self) -> None:
        """Accept no more, and close each connection after its next response."""

    def kill(self) -> None:
        """Kill the serving processes immediately, if there are any."""

    def close(self) -> None:
        """Wait for threads that are about to return."""

    def on_exit(self, pid: int, code: int) -> None:
        """Handle the exit of process *pid*; ignore other processes."""

    def run_timers(self, now: float) -> float:
        """Run the timers that are due *now*, on the monotonic clock; return the next deadline."""

    @property
    def is_running(self) -> bool:
        """Whether a thread or process still serves."""

    def blocked(self) -> list[str]:
        """Return the requests whose answers block threads of this process."""

    def pids(self) -> list[int]:
        """Return the PIDs of the serving processes other than this one."""


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
        # A supervisor forks with all signals blocked. Windows lacks signal masks.
        with contextlib.suppress(AttributeError):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signums)

    def _append(self, signum: int, _: FrameType | None) -> None:
        self._pending.append(signum)

    def wake(self) -> None:
        """End the poll; may be called from any thread, and after ``close``."""
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def take(self) -> list[int]:
        """Return the signals that have arrived since the last call."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
        return [self._pending.popleft() for _ in range(len(self._pending))]

    def close(self) -> None:
        """Stop queuing: later signals are ignored."""
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


class ProcessLoop:
    """Runs *served* until it has ended, and all processes started for it have exited.

    A forked process leaves Ctrl-C and restarts to its parent.
    """

    def __init__(
        self,
        served: Served,
        *,
        restart: GracefulRestart,
        parent: Parent | None,
        grace_seconds: float,
        report: Report,
        is_forked: bool = False,
    ) -> None:
        self._served = served
        self._restart = restart
        self._parent = parent
        self._grace_seconds = grace_seconds
        self._report = report
        # A forked process may get a signal twice, through its process group and from its parent: it stops once.
        self._is_forked = is_forked
        self._has_terminal = not is_forked and _has_terminal()
        self._signals = SignalQueue(*_signals(is_forked=is_forked))
        self._poller = open_poller()
        self._poller.register(self._signals.descriptor, READABLE)
        if parent:
            self._poller.register(parent.descriptor, READABLE)
        # The starting process whose control channel is polled.
        self._watched: Child | None = None
        self._is_stopping = self._has_killed = False
        # On the monotonic clock: when to leave blocked threads, when to kill children, and when to leave them.
        self._blocked_deadline = self._kill_deadline = self._leave_deadline = _NEVER

    def run(self) -> int:
        """Serve; return the exit code. Raises OSError if the system does not allow a single thread."""
        try:
            self._served.start(self._signals.wake)
            if self._parent:
                self._parent.notify_ready()
            while self._is_running():
                if (pending := self._run_once()) is not None:
                    self._report(f"httpsock: still waiting for {', '.join(pending)}; exiting.")
                    return ExitCode.FAILED
            self._served.close()
        finally:
            self._poller.close()
            self._signals.close()
        if self._restart.exit_code is not None:
            return self._restart.exit_code
        return ExitCode.STOPPED if self._is_stopping else ExitCode.FAILED

    def _is_running(self) -> bool:
        """Reap exited processes; return whether this process or a successor still serves."""
        # Also at the start: a shell that became this process by exec may have left children.
        for pid, code in reap() if hasattr(os, "WNOHANG") else ():
            self._on_exit(pid, code)
        return self._served.is_running or self._restart.is_running

    def _run_once(self) -> list[str] | None:
        """Wait for an event and handle it. Return the requests and processes to leave behind, or None to continue."""
        now = time.monotonic()
        self._restart.run_timers(now)
        own_deadline = min(self._blocked_deadline, self._kill_deadline, self._leave_deadline)
        deadline = min(own_deadline, self._restart.deadline, self._served.run_timers(now))
        ready = self._poller.poll(min(max(0.0, deadline - now), _MAX_POLL_SECONDS))
        for signum in self._signals.take():
            self._on_signal(signum)
        for descriptor, _ in ready:
            if self._parent and descriptor == self._parent.descriptor:
                self._obey(self._parent)
            elif self._watched and descriptor == self._watched.descriptor:
                self._unwatch(self._watched)
                if self._restart.take_over():
                    self._served.drain()
        return self._end_grace(time.monotonic())

    def _on_signal(self, signum: int) -> None:
        if signum in (signal.SIGINT, signal.SIGTERM):
            if self._is_stopping and not self._is_forked:
                self._exit_immediately(signum)
            self._stop(signum)
        elif signum == _SIGHUP and not self._is_stopping:
            if self._has_terminal and not _has_terminal():
                self._stop(signal.SIGTERM)
            else:
                self._start_successor()

    def _start_successor(self) -> None:
        """Start a process that is to take over, and poll its control channel."""
        self._restart.start(time.monotonic())
        starting = self._restart.starting
        if starting and starting is not self._watched:
            self._watched = starting
            self._poller.register(starting.descriptor, READABLE)

    def _unwatch(self, child: Child) -> None:
        """Stop polling the channel of a process that is ready or has exited."""
        self._poller.unregister(child.descriptor)
        self._watched = None

    def _on_exit(self, pid: int, code: int) -> None:
        """Handle the exit of a child; stop if it was the successor, the only process that accepted."""
        if self._watched and pid == self._watched.pid:
            self._unwatch(self._watched)
        self._served.on_exit(pid, code)
        if self._restart.on_exit(pid, code):
            self._stop(signal.SIGTERM)

    def _obey(self, parent: Parent) -> None:
        """Read the parent's order and drain; stop if the parent is gone."""
        if parent.read_order() is Order.DRAIN:
            self._served.drain()
            self._restart.drain()
            return
        self._poller.unregister(parent.descriptor)
        self._parent = None
        self._stop(signal.SIGTERM)

    def _stop(self, signum: int) -> None:
        """Stop; send *signum* to the processes that were started here."""
        if self._is_stopping:
            return
        self._is_stopping = True
        end_of_grace = time.monotonic() + self._grace_seconds
        self._blocked_deadline = end_of_grace + BLOCKED_SECONDS
        self._kill_deadline = end_of_grace + KILL_SECONDS
        self._leave_deadline = end_of_grace + _LEAVE_SECONDS
        self._restart.stop(signum)
        self._served.stop()

    def _exit_immediately(self, signum: int) -> NoReturn:
        """Exit at the second signal; end all other processes too."""
        self._restart.send_signal(signum)
        self._served.kill()
        os._exit(128 + signum)

    def _end_grace(self, now: float) -> list[str] | None:
        """Kill children after the grace period. Return the requests and processes to leave behind, or None."""
        pids = [*self._served.pids(), *self._restart.pids()]
        blocked = self._served.blocked() if now >= self._blocked_deadline else []
        if blocked and not pids:
            return blocked
        if now >= self._kill_deadline and not self._has_killed:
            self._has_killed = True
            self._served.kill()
            self._restart.send_signal(_SIGKILL)
        return blocked + [f"process {pid}" for pid in pids] if now >= self._leave_deadline else None


def _signals(*, is_forked: bool) -> tuple[list[int], list[int]]:
    """Return the signals to handle and those to ignore."""
    if is_forked:
        # Ctrl-C reaches all processes of a terminal; here only the parent's SIGTERM counts.
        return _present(["SIGTERM"]), _present(["SIGINT", "SIGHUP", "SIGUSR1"])
    # nohup has SIGHUP ignored: leave it so.
    hangup = [] if _SIGHUP and signal.getsignal(_SIGHUP) == signal.SIG_IGN else ["SIGHUP"]
    return _present(["SIGINT", "SIGTERM", "SIGCHLD", *hangup]), _present(["SIGUSR1"])


def _present(names: list[str]) -> list[int]:
    """Return the numbers of the signals that this system has; Windows lacks some."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _has_terminal() -> bool:
    """Return whether this process has a terminal that sends it signals."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
