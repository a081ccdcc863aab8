"""A server in threads of this process, with the methods that the main thread's loop (process_loop.py) calls."""

from collections.abc import Callable

from httpsock.server.server import Server

_NEVER = float("inf")


class ThreadedServer:
    """Runs *server*. When the server is stopped, running responses have *grace_seconds* to finish."""

    def __init__(self, server: Server, grace_seconds: float) -> None:
        self._server = server
        self._grace_seconds = grace_seconds

    def start(self, wake: Callable[[], object]) -> None:
        """Start the threads. Each thread calls *wake* when it returns. Raise OSError if no thread can start."""
        self._server.start(wake)

    def stop(self) -> None:
        """Stop accepting connections. Running responses have a grace period to finish."""
        self._server.ask_to_stop(self._grace_seconds)

    def drain(self) -> None:
        """Stop accepting connections, and close each open connection after its next response."""
        self._server.drain()

    def close(self) -> None:
        """Wait until all threads of the server have returned."""
        self._server.join()

    def run_timers(self, now: float) -> float:
        """Return infinity, since there are no timers."""
        del now
        return _NEVER

    @property
    def is_running(self) -> bool:
        """Whether any thread of the server still runs."""
        return self._server.is_running

    def blocked(self) -> list[str]:
        """Return a description of each request that blocks a thread of this process."""
        return self._server.blocked()
