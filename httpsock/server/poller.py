"""The poller: which sockets can be read from or written to now, and how much they hold.

epoll where there is one, else what the standard library's selectors find: kqueue on macOS, select on Windows.
Both are asked the same way. Knows nothing of connections or HTTP.
"""

import select
import selectors
import sys
from typing import Protocol

# The numbers are epoll's own, so that where there is epoll nothing is translated.
READABLE = 0x001
WRITABLE = 0x004
# For a listening socket that several pollers watch: wake one of them, not all.
ACCEPTABLE = READABLE | getattr(select, "EPOLLEXCLUSIVE", 0)


class Poller(Protocol):
    """What epoll offers, as far as it is used here."""

    def register(self, descriptor: int, awaited: int, /) -> None:
        """Watch *descriptor* until it is unregistered."""

    def modify(self, descriptor: int, awaited: int, /) -> None:
        """Watch it for something else."""

    def unregister(self, descriptor: int, /) -> None:
        """Watch it no longer."""

    def poll(self, seconds: float | None, /) -> list[tuple[int, int]]:
        """Return the descriptors that are ready, and for what, after at most *seconds*, or None for any time."""

    def close(self) -> None:
        """Give up the poller itself."""


class SelectorPoller:
    """The poller of systems without epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, descriptor: int, awaited: int, /) -> None:
        """Watch *descriptor* until it is unregistered."""
        self._selector.register(descriptor, _selector_events(awaited))

    def modify(self, descriptor: int, awaited: int, /) -> None:
        """Watch it for something else."""
        self._selector.modify(descriptor, _selector_events(awaited))

    def unregister(self, descriptor: int, /) -> None:
        """Watch it no longer."""
        self._selector.unregister(descriptor)

    def poll(self, seconds: float | None, /) -> list[tuple[int, int]]:
        """Return the descriptors that are ready, and for what, after at most *seconds*, or None for any time."""
        return [
            (key.fd, READABLE if events & selectors.EVENT_READ else WRITABLE)
            for key, events in self._selector.select(seconds)
        ]

    def close(self) -> None:
        """Give up the selector itself."""
        self._selector.close()


def _selector_events(awaited: int) -> int:
    return selectors.EVENT_READ if awaited & READABLE else selectors.EVENT_WRITE


def open_poller() -> Poller:
    """Return the best poller that this system has."""
    return select.epoll() if hasattr(select, "epoll") else SelectorPoller()


def unsent_octets(descriptor: int) -> int:
    """Return how many octets the system holds that the peer's has not taken; 0 where it does not tell."""
    try:
        import fcntl
        import termios

        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (ImportError, OSError):
        return 0
