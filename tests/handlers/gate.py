"""A function that blocks until the test lets it return."""

import threading

from tests.support import TIMEOUT_SECONDS


class Gate:
    """A function that blocks until open() is called. For each call, *calls* has the name of its thread."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._entered = threading.Semaphore(0)
        self._is_open = threading.Event()

    def __call__(self) -> bytes:
        self.calls.append(threading.current_thread().name)
        self._entered.release()
        assert self._is_open.wait(TIMEOUT_SECONDS)
        return b"through"

    def wait(self) -> None:
        """Wait until one more call has begun."""
        assert self._entered.acquire(timeout=TIMEOUT_SECONDS)

    def open(self) -> None:
        """Let all calls return."""
        self._is_open.set()
