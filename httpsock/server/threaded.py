"""A server whose threads run in this process, as the main thread's loop (process_loop.py) sees it."""

from collections.abc import Callable

from .server import Server

_NEVER = float("inf")


class ThreadedServer:
    """*server*, which has *grace_seconds* to finish its responses when it is stopped."""

    def __init__(self, server: Server, grace_seconds: float) -> None:
        self._server = server
        self._grace_seconds = grace_seconds

    def start(self, wake: Callable[[], object]) -> None:
        """Start the threads; the last one that returns calls *wake*. Raises OSError if there can be none."""
        self._server.start(wake)

    def stop(self) -> None:
        """Finish the running responses within the grace."""
        self._server.ask_to_stop(self._grace_seconds)

    def drain(self) -> None:
        """Accept no more, and close each connection after its next response."""
        self._server.drain()

    def kill(self) -> None:
        """Do nothing: threads end with their process."""

    def close(self) -> None:
        """Wait for the threads, which are about to end."""
        self._server.join()

    def on_exit(self, pid: int, code: int) -> None:
        """Do nothing: no process serves."""

    def run_timers(self, now: float) -> float:
        """Return that nothing is ever due."""
        del now
        return _NEVER

    @property
    def is_running(self) -> bool:
        """Whether a thread has not returned yet."""
        return self._server.is_running

    def blocked(self) -> list[str]:
        """Return the requests whose answers block threads."""
        return self._server.blocked()

    def pids(self) -> list[int]:
        """Return no process: this one serves."""
        return []
