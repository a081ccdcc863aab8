"""The main thread's loop: signals, child processes and the parent, handled one at a time.

A signal handler only queues its signal; all decisions are made here, one after the other. So a signal that arrives
while a process is being started finds that process registered, and nothing is lost in between. Knows nothing of HTTP.

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
# Windows has neither.
_SIGHUP = getattr(signal, "SIGHUP", 0)
_SIGKILL = getattr(signal, "SIGKILL", 0)
_NEVER = float("inf")
# No poll lasts longer: the kernel does not take every number.
_LONGEST_POLL_SECONDS = 86_400.0
# How long after the grace this process waits for threads that a disk blocks, how long for children, which do the
# same, until it kills them, and how long for those that even SIGKILL does not end.
BLOCKED_SECONDS = 5.0
KILL_SECONDS = 6.0
_LEAVE_SECONDS = 7.0


class ExitCode(IntEnum):
    """What a process exits with."""

    STOPPED = 0
    FAILED = 1


class Served(Protocol):
    """What a process serves with: threads of its own, or processes that it forks."""

    def start(self, wake: Callable[[], object]) -> None:
        """Start to serve. *wake* may be called from any thread to say that ``is_running`` has changed."""

    def stop(self) -> None:
        """Finish the running responses within the grace."""

    def drain(self) -> None:
        """Accept no more, and close each connection after its next response."""

    def kill(self) -> None:
        """End immediately what can be ended."""

    def close(self) -> None:
        """Wait for what is about to end anyway."""

    def on_exit(self, pid: int, code: int) -> None:
        """Learn that process *pid* has exited; it may be none of these."""

    def run_timers(self, now: float) -> float:
        """Do what is due *now*, on the monotonic clock; return when something will be due."""

    @property
    def is_running(self) -> bool:
        """Whether anything is still served."""

    def blocked(self) -> list[str]:
        """Return the requests whose answers block threads of this process."""

    def pids(self) -> list[int]:
        """Return the processes that serve, if they are not this one."""


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
        # The C handler writes to the socket, so that a poll ends however briefly before it began the signal came.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # A supervisor forks with all signals blocked. Windows has no such mask.
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
    """Runs *served* in this process until it has ended, and with it all processes that were started for it.

    A forked process leaves restarts, and what Ctrl-C means, to its parent.
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
        # A forked process gets the signals of its process group as well as its parent's, and exits once.
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
        # When threads that a disk blocks are left behind, on the monotonic clock; and children killed, and left behind.
        self._blocked_deadline = self._kill_deadline = self._leave_deadline = _NEVER

    def run(self) -> int:
        """Serve; return the exit code. Raises OSError if the system allows not even one thread."""
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
        """Reap the processes that have exited; return whether anything is still served, here or by a successor."""
        # At first, too: a shell that became this process may have left children behind.
        for pid, code in reap() if hasattr(os, "WNOHANG") else ():
            self._on_exit(pid, code)
        return self._served.is_running or self._restart.is_running

    def _run_once(self) -> list[str] | None:
        """Wait for something and handle it. Return what would be waited for in vain, or None to go on."""
        now = time.monotonic()
        self._restart.run_timers(now)
        own_deadline = min(self._blocked_deadline, self._kill_deadline, self._leave_deadline)
        deadline = min(own_deadline, self._restart.deadline, self._served.run_timers(now))
        ready = self._poller.poll(min(max(0.0, deadline - now), _LONGEST_POLL_SECONDS))
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
        """Start a process that is to take over, and watch for its first word."""
        self._restart.start(time.monotonic())
        starting = self._restart.starting
        if starting and starting is not self._watched:
            self._watched = starting
            self._poller.register(starting.descriptor, READABLE)

    def _unwatch(self, child: Child) -> None:
        """Stop polling a starting process: it has spoken, or exited."""
        self._poller.unregister(child.descriptor)
        self._watched = None

    def _on_exit(self, pid: int, code: int) -> None:
        """Handle the exit of a child; if it was the successor, nothing accepts any more, and this process stops."""
        if self._watched and pid == self._watched.pid:
            self._unwatch(self._watched)
        self._served.on_exit(pid, code)
        if self._restart.on_exit(pid, code):
            self._stop(signal.SIGTERM)

    def _obey(self, parent: Parent) -> None:
        """Do what the parent asks for; stop if it is gone."""
        if parent.read_order() is Order.DRAIN:
            self._served.drain()
            self._restart.drain()
            return
        self._poller.unregister(parent.descriptor)
        self._parent = None
        self._stop(signal.SIGTERM)

    def _stop(self, signum: int) -> None:
        """Stop, and have the processes that were started here stop as at *signum*."""
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
        """Exit at the second signal, and have all other processes do so."""
        self._restart.send_signal(signum)
        self._served.kill()
        os._exit(128 + signum)

    def _end_grace(self, now: float) -> list[str] | None:
        """Kill what should have exited. Return what does not end even so, or None while there is time."""
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
    """Return the signals to handle, and those to ignore, of the ones that this system has."""
    if is_forked:
        # Ctrl-C reaches all processes of a terminal; the parent passes it on, once.
        return _present(["SIGTERM"]), _present(["SIGINT", "SIGHUP", "SIGUSR1"])
    # nohup ignores SIGHUP, and it stays so.
    hangup = [] if _SIGHUP and signal.getsignal(_SIGHUP) == signal.SIG_IGN else ["SIGHUP"]
    return _present(["SIGINT", "SIGTERM", "SIGCHLD", *hangup]), _present(["SIGUSR1"])


def _present(names: list[str]) -> list[int]:
    """Return the numbers of those signals that this system has: Windows lacks some."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _has_terminal() -> bool:
    """Return whether this process has a terminal that sends it signals."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
