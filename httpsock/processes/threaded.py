"""A server whose threads run in this process, as the main thread's loop (process_loop.py) sees it."""

from collections.abc import Callable

from httpsock.server.server import Server

_NEVER = float("inf")


class ThreadedServer:
    """Runs *server*; gives it *grace_seconds* to finish its responses when it is stopped."""

    def __init__(self, server: Server, grace_seconds: float) -> None:
        self._server = server
        self._grace_seconds = grace_seconds

    def start(self, wake: Callable[[], object]) -> None:
        """Start the threads; each calls *wake* when it returns. Raise OSError if the system allows no thread."""
        self._server.start(wake)

    def stop(self) -> None:
        """Finish the running responses within the grace period."""
        self._server.ask_to_stop(self._grace_seconds)

    def drain(self) -> None:
        """Accept no more, and close each connection after its next response."""
        self._server.drain()

    def close(self) -> None:
        """Wait for the threads, which are about to return."""
        self._server.join()

    def run_timers(self, now: float) -> float:
        """Return infinity, since there are no timers."""
        del now
        return _NEVER

    @property
    def is_running(self) -> bool:
        """Whether any thread has not returned yet."""
        return self._server.is_running

    def blocked(self) -> list[str]:
        """Describe the requests whose answers block threads."""
        return self._server.blocked()
