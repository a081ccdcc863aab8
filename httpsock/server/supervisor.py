"""Several processes: each has an interpreter lock of its own, so that together they use more than one processor.

Takes a function that serves and a number of processes, forks them, and forks again when one exits. The listening
sockets stay open here, so that the accept queue of a process passes to its successor. It does not know HTTP. The main
thread's loop (process_loop.py) calls all methods, one at a time.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from .children import Child, Children, Parent

Report = Callable[[str], object]
# Minimum interval between two forks of the same process: the failure that ended one may end the next one too.
_RESPAWN_DELAY_SECONDS = 1.0
_NEVER = float("inf")


class Supervisor:
    """Keeps *count* processes running; each calls ``serve(number, parent)`` and exits with the result.

    *close* closes this process's copies of the listening sockets; it is called on shutdown.
    """

    def __init__(
        self, count: int, *, serve: Callable[[int, Parent], int], close: Callable[[], object], report: Report
    ) -> None:
        self._count = count
        self._serve = serve
        self._close = close
        self._report = report
        self._children = Children()
        self._numbers: dict[int, int] = {}
        # On the monotonic clock: the last fork of each process, and the next fork of each missing one.
        self._forked_at = [0.0] * count
        self._missing = dict.fromkeys(range(count), 0.0)
        self._is_ending = False

    def start(self, wake: Callable[[], object]) -> None:
        """Fork all processes."""
        del wake  # SIGCHLD wakes the loop
        self.run_timers(time.monotonic())

    def run_timers(self, now: float) -> float:
        """Fork the missing processes that are due; return the time of the next fork."""
        for number, due in list(self._missing.items()):
            if due > now:
                continue
            if self._try_fork(number):
                del self._missing[number]
            else:
                self._missing[number] = now + _RESPAWN_DELAY_SECONDS
        return min(self._missing.values(), default=_NEVER)

    def stop(self) -> None:
        """Let all processes finish their responses; stop replacing them."""
        self._end()
        self._children.send_signal(signal.SIGTERM)
        self._close()

    def drain(self) -> None:
        """Drain all processes; stop replacing them."""
        self._end()
        self._children.drain()

    def kill(self) -> None:
        """Kill all processes."""
        self._children.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Return; all processes have exited already."""

    def on_exit(self, pid: int, code: int) -> None:
        """Schedule a replacement for *pid*, unless it was not forked here or the server is stopping."""
        if self._children.remove(pid) is None:
            return
        number = self._numbers.pop(pid)
        if self._is_ending:
            return
        how = f"code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
        self._report(f"httpsock: process {pid} exited with {how}; restarting.")
        self._missing[number] = self._forked_at[number] + _RESPAWN_DELAY_SECONDS

    @property
    def is_running(self) -> bool:
        """Whether a process runs or will be forked."""
        return bool(self._children) or bool(self._missing)

    def blocked(self) -> list[str]:
        """Return an empty list, since no thread of this process serves."""
        return []

    def pids(self) -> list[int]:
        """Return the PIDs of the running processes."""
        return self._children.pids()

    def _end(self) -> None:
        self._is_ending = True
        self._missing.clear()

    def _try_fork(self, number: int) -> bool:
        """Fork process *number*; return whether the system allowed it."""
        ends: tuple[socket.socket, ...] = ()
        # Block signals until the new process has its own handlers.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            ends = ours, theirs = socket.socketpair()
            self._forked_at[number] = time.monotonic()
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._child_main(number, theirs)
        except OSError as error:
            self._report(f"httpsock: cannot fork a process: {error.strerror}; retrying.")
            for end in ends:
                end.close()
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._children.add(Child(pid, ours))
        self._numbers[pid] = number
        return True

    def _child_main(self, number: int, control: socket.socket) -> NoReturn:
        """Serve in the forked process, and exit."""
        code = 1
        try:
            self._children.close()
            code = self._serve(number, Parent(control))
        except BaseException:
            import traceback  # adds 3 ms to start-up, and only a bug needs it

            self._report(traceback.format_exc())
        finally:
            # Never return into the supervisor's code.
            os._exit(code)
