"""The poller: which sockets are readable or writable now, and how much their send buffers hold.

Takes descriptors, each with the event to wait for, and gives the ready descriptors. On Linux, the poller is epoll. On
other systems, it is one of the standard library's selectors: kqueue on macOS, select on Windows. It does not know
connections or HTTP. Next: event_loop.py resumes the connection of each ready descriptor.
"""

import select
import selectors
import sys
from typing import Protocol

# The numbers are epoll's own, so that they need no translation. With NEITHER, epoll still reports errors.
NEITHER = 0x000
# Listening sockets are watched without EPOLLEXCLUSIVE, which wakes only one of the processes that share a socket: if
# that process pauses or drains, the connection waits until the next one arrives.
READABLE = 0x001
WRITABLE = 0x004


class Poller(Protocol):
    """The methods of epoll that the server uses."""

    def register(self, descriptor: int, awaited: int, /) -> None:
        """Watch *descriptor* for the event *awaited*, until ``unregister`` is called."""

    def modify(self, descriptor: int, awaited: int, /) -> None:
        """Watch *descriptor* for the event *awaited* from now on."""

    def unregister(self, descriptor: int, /) -> None:
        """Stop watching *descriptor*."""

    def poll(self, seconds: float | None, /) -> list[tuple[int, int]]:
        """Wait at most *seconds*, and return each ready descriptor with its events.

        If *seconds* is None, wait without limit.
        """

    def close(self) -> None:
        """Close the poller."""


class SelectorPoller:
    """The poller of systems without epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, descriptor: int, awaited: int, /) -> None:
        """Watch *descriptor* for the event *awaited*, until ``unregister`` is called."""
        self._selector.register(descriptor, _selector_events(awaited))

    def modify(self, descriptor: int, awaited: int, /) -> None:
        """Watch *descriptor* for the event *awaited* from now on."""
        # A selector cannot watch a descriptor for no event.
        self.unregister(descriptor)
        if awaited:
            self.register(descriptor, awaited)

    def unregister(self, descriptor: int, /) -> None:
        """Stop watching *descriptor*. If *descriptor* is not watched, do nothing."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def poll(self, seconds: float | None, /) -> list[tuple[int, int]]:
        """Wait at most *seconds*, and return each ready descriptor with its events.

        If *seconds* is None, wait without limit.
        """
        return [
            (key.fd, READABLE if events & selectors.EVENT_READ else WRITABLE)
            for key, events in self._selector.select(seconds)
        ]

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()


def _selector_events(awaited: int) -> int:
    return selectors.EVENT_READ if awaited & READABLE else selectors.EVENT_WRITE


def open_poller() -> Poller:
    """Return the best poller that this system has."""
    return select.epoll() if hasattr(select, "epoll") else SelectorPoller()


def unsent_octets(descriptor: int) -> int:
    """Return how many octets are in the kernel's send buffer, since the peer has not acknowledged them yet.

    If the system can't tell, return 0.
    """
    try:
        import fcntl
        import termios

        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (ImportError, OSError):
        return 0
