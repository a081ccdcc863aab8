"""Several processes: each has an interpreter lock of its own, so that together they use more than one processor.

Takes what a process is to do, forks as many as are wanted, and forks another one when one exits. The listening sockets
were opened before and stay open here: a process that exits leaves its accept queue to its successor. Knows nothing of
HTTP. All methods belong to the main thread, whose loop (process_loop.py) calls them one at a time.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from .children import Child, Children, Parent

Report = Callable[[str], object]
# A process that lived less long than this is replaced only after this time: its cause may end the next one, too.
_RESPAWN_DELAY_SECONDS = 1.0
_NEVER = float("inf")


class Supervisor:
    """Keeps *count* processes running, each of which calls ``serve(number, parent)`` and exits with what it returns.

    *close* closes this process's copies of the listening sockets, once they are not needed any more.
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
        # When each was forked last, and when each that is missing is forked again, on the monotonic clock.
        self._forked_at = [0.0] * count
        self._missing = dict.fromkeys(range(count), 0.0)
        self._is_ending = False

    def start(self, wake: Callable[[], object]) -> None:
        """Fork all processes."""
        del wake  # SIGCHLD wakes the loop
        self.run_timers(time.monotonic())

    def run_timers(self, now: float) -> float:
        """Fork the missing processes that are due; return when the next one is."""
        for number, due in list(self._missing.items()):
            if due > now:
                continue
            if self._try_fork(number):
                del self._missing[number]
            else:
                self._missing[number] = now + _RESPAWN_DELAY_SECONDS
        return min(self._missing.values(), default=_NEVER)

    def stop(self) -> None:
        """Let all processes finish their responses; replace none."""
        self._end()
        self._children.send_signal(signal.SIGTERM)
        self._close()

    def drain(self) -> None:
        """Let all processes drain; replace none."""
        self._end()
        self._children.drain()

    def kill(self) -> None:
        """Kill all processes."""
        self._children.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Do nothing more: all processes have exited."""

    def on_exit(self, pid: int, code: int) -> None:
        """Have another process take the place of *pid*, if that is one of these and they are to go on."""
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
        """Whether a process runs, or is to be forked."""
        return bool(self._children) or bool(self._missing)

    def blocked(self) -> list[str]:
        """Return nothing: no thread of this process serves."""
        return []

    def pids(self) -> list[int]:
        """Return the processes that run."""
        return self._children.pids()

    def _end(self) -> None:
        self._is_ending = True
        self._missing.clear()

    def _try_fork(self, number: int) -> bool:
        """Fork process *number*; return whether the system let us."""
        ends: tuple[socket.socket, ...] = ()
        # Signals wait until the new process handles them itself.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            ends = ours, theirs = socket.socketpair()
            self._forked_at[number] = time.monotonic()
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._child_main(number, theirs)
        except OSError as error:
            self._report(f"httpsock: cannot fork a process: {error.strerror}; trying again.")
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
            import traceback  # takes 3 ms of start-up, and there should never be a fault

            self._report(traceback.format_exc())
        finally:
            # Never return into the supervisor's code.
            os._exit(code)
