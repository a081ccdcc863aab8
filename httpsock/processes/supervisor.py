"""The supervisor: runs the server in several processes, to use more than one processor.

Each process has its own interpreter lock. The supervisor forks the processes, and replaces each process that exits. The
listening sockets stay open here, so a new process gets the accept queue of the process that it replaces. This module
does not know HTTP. The main thread's loop (process_loop.py) calls all methods, one at a time.
"""

import signal
import time
from collections.abc import Callable

from .children import Child, Children, Parent

Report = Callable[[str], object]
# Minimum interval between two forks in the same place: the failure that ended a process may end the next one too.
_RESPAWN_DELAY_SECONDS = 1.0
_NEVER = float("inf")


class Supervisor:
    """Keeps *count* processes running. Each process calls ``serve(number, parent)`` and exits with the result.

    To drain and to stop, the supervisor calls *close*, which closes this process's copies of the listening sockets.
    """

    def __init__(
        self,
        children: Children,
        count: int,
        *,
        serve: Callable[[int, Parent], int],
        close: Callable[[], object],
        report: Report,
    ) -> None:
        self._children = children
        self._serve = serve
        self._close = close
        self._report = report
        self._processes: list[Child | None] = [None] * count
        # The earliest time of the next fork for each process, on the monotonic clock.
        self._fork_at = [0.0] * count
        self._is_ending = False

    def start(self, wake: Callable[[], object]) -> None:
        """Fork all processes that are to serve."""
        del wake  # SIGCHLD wakes the loop
        self.run_timers(time.monotonic())

    def run_timers(self, now: float) -> float:
        """Report and replace processes that have exited. Return the time of the next fork."""
        if self._is_ending:
            return _NEVER
        for number, process in enumerate(self._processes):
            if process and process.exit_code is not None:
                self._report(
                    f"httpsock: process {process.pid} exited with {_described(process.exit_code)}; restarting."
                )
                self._processes[number] = None
            if self._processes[number] is None and now >= self._fork_at[number]:
                self._fork_at[number] = now + _RESPAWN_DELAY_SECONDS
                self._processes[number] = self._try_fork(number)
        return min(
            (at for at, process in zip(self._fork_at, self._processes, strict=True) if not process), default=_NEVER
        )

    def stop(self) -> None:
        """Stop replacing processes, and close the listening sockets."""
        self._is_ending = True
        self._close()

    def drain(self) -> None:
        """Drain all processes, and stop replacing processes that exit. Close the listening sockets."""
        self.stop()
        for process in filter(None, self._processes):
            process.drain()

    def close(self) -> None:
        """Do nothing. When the main thread's loop calls this method, all processes have already exited."""

    @property
    def is_running(self) -> bool:
        """Whether this supervisor still replaces processes that exit."""
        return not self._is_ending

    def blocked(self) -> list[str]:
        """Return an empty list, since no thread of this process serves."""
        return []

    def _try_fork(self, number: int) -> Child | None:
        """Fork process *number*. If the system refuses, report that and return None."""

        def run(parent: Parent) -> int:
            try:
                return self._serve(number, parent)
            except BaseException:
                import traceback  # adds 3 ms to start-up, and only a bug needs it

                self._report(traceback.format_exc())
                return 1

        try:
            return self._children.fork(run)
        except OSError as error:
            self._report(f"httpsock: cannot fork a process: {error.strerror}; retrying.")
            return None


def _described(code: int) -> str:
    return f"code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
