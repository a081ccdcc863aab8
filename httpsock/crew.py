"""The crew: threads that take a worker's turns, one at a time, so that who is kept by a slow disk keeps nobody else.

All of them run the same work. One stands by; when it sees that a turn lasts for long, it relieves the one at work of
all but the item that it is doing just then, and goes on with the others. Who was kept joins those who wait. So no
second thread is ever busy beside the first: under the interpreter lock both would be slower than one, since it changes
hands at each system call (measured with wrk, 32 connections, 1 KiB: 39,000 responses a second from two busy threads,
72,000 from one).

Both agree by a list of at most one item: it holds what is being done. Taking the item out is atomic, with an
interpreter lock and without one: whoever gets it goes on with the turns.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from .poller import READABLE, Poller, open_poller

# Who is kept for longer than this is relieved.
_PATIENCE_SECONDS = 0.05
# That there is something to do is often missed: whoever is at work has received it by then.
_LONGEST_SLEEP_SECONDS = 0.1

Item = TypeVar("Item")


class Relieved(Exception):  # noqa: N818 (it is no error)
    """Another thread has gone on with the turns while this one was kept."""


class Crew(Generic[Item]):
    """The threads that call ``run``.

    Who is at work has what may keep it in *doing*, as long as it does, and says when its turn has begun; None means
    that it waits for *poller*.
    """

    def __init__(self, poller: Poller) -> None:
        """Relieve who is kept, if *poller* has something to tell meanwhile."""
        self.doing: list[Item] = []
        self.turn_began: float | None = None
        self._has_begun = False
        self._has_ended = threading.Event()
        # Who holds it stands by; or sees that there is nothing left to do.
        self._standing_by = threading.Lock()
        # An octet through this pair of sockets tells who stands by of the end.
        self._bell, self._ringer = socket.socketpair()
        # What who stands by sleeps at. Opened now, for all of them: later, descriptors may have run out.
        self._monitor = open_poller()
        self._monitor.register(self._bell.fileno(), READABLE)
        self._sleep_seconds = _PATIENCE_SECONDS
        if poller.fileno() >= 0:
            self._monitor.register(poller.fileno(), READABLE)
            self._sleep_seconds = _LONGEST_SLEEP_SECONDS

    def run(self, work: Callable[[list[Item]], None]) -> None:
        """Do *work* when it is this thread's turn. It takes what keeps the thread before, and raises Relieved."""
        while (kept := self._take_over()) is not None:
            with contextlib.suppress(Relieved):
                work(kept)

    def end(self) -> None:
        """Let all threads return: there is nothing left to do. Called by the one at work."""
        self._has_ended.set()
        self._ringer.send(b"\0")
        with self._standing_by:
            self._monitor.close()
            self._bell.close()
            self._ringer.close()

    def _take_over(self) -> list[Item] | None:
        """Wait until this thread is to take turns; return what keeps the one before, or None at the end."""
        with self._standing_by:
            if not self._has_begun:
                self._has_begun = True
                return []
            if self._has_ended.is_set():
                return None
            return self._stand_by()

    def _stand_by(self) -> list[Item] | None:
        """Wait as above. While nobody is at work it sleeps until there is something to do, or for some time."""
        while True:
            began = None
            while not self._has_ended.wait(_PATIENCE_SECONDS):
                if self.turn_began is None:
                    break
                if self.turn_began == began:
                    with contextlib.suppress(IndexError):
                        return [self.doing.pop()]
                began = self.turn_began
            else:
                return None
            self._monitor.poll(self._sleep_seconds)
