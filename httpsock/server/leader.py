"""The crew: threads that take a worker's turns, one at a time, so that who is kept by a slow disk keeps nobody else.

All of them run the same work. One stands by; when it sees that a turn lasts for long, it relieves the one at work of
all but the item that it is doing just then, and goes on with the others. Who was kept joins those who wait. So no
second thread is ever busy beside the first: under the interpreter lock both would be slower than one, since it changes
hands at each system call (measured with wrk, 32 connections, 1 KiB: 39,000 responses a second from two busy threads,
72,000 from one). For the same reason a thread that computes is never relieved, only one that waits: its own processor
clock tells the difference, where the system has such a clock.

Both agree by a list of at most one item: it holds what is being done. Taking the item out is atomic, with an
interpreter lock and without one: whoever gets it goes on with the turns.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

# Whose turn lasts for longer than this is relieved.
_STALL_SECONDS = 0.05
# A thread that waits for a disk uses hardly any processor time; one that used more than this meanwhile is computing.
_COMPUTED_SECONDS = 0.005
# An interpreter without a lock may let a thread miss, once in a long time, that another has just begun.
_LONGEST_SLEEP_SECONDS = 10.0

Item = TypeVar("Item")


class Superseded(Exception):  # noqa: N818 (it is no error)
    """Another thread has gone on with the turns while this one was kept."""


class LeaderThreads(Generic[Item]):
    """The threads that call ``run``.

    Who is at work has what may keep it in *doing*, as long as it does, and says when a turn begins. While it waits for
    something to do, *turn_began* is None.
    """

    def __init__(self) -> None:
        self.current: list[Item] = []
        self.tick_began: float | None = None
        # The processor clock of the thread at work.
        self._clock: int | None = None
        self._is_asleep = False
        self._has_leader = False
        self._has_ended = threading.Event()
        self._is_awakened = threading.Event()
        # Who holds it stands by; or sees that there is nothing left to do.
        self._follower_lock = threading.Lock()

    def run(self, work: Callable[[list[Item]], None]) -> None:
        """Do *work* when it is this thread's turn. It takes what keeps the thread before, and raises Relieved."""
        while (stalled := self._wait_to_lead()) is not None:
            self._clock = _clock_of_this_thread()
            with contextlib.suppress(Superseded):
                work(stalled)

    def begin_tick(self, now: float) -> None:
        """Say that a turn begins *now*."""
        self.tick_began = now
        if self._is_asleep:
            self._is_awakened.set()

    def end(self) -> None:
        """Let all threads return: there is nothing left to do. Called by the one at work."""
        self._has_ended.set()
        self._is_awakened.set()

    def _wait_to_lead(self) -> list[Item] | None:
        """Wait until this thread is to take turns; return what keeps the one before, or None at the end."""
        with self._follower_lock:
            if not self._has_leader:
                self._has_leader = True
                return []
            began, used = None, 0.0
            while not self._has_ended.wait(_STALL_SECONDS):
                used_before, used = used, self._used_seconds()
                if self.tick_began is None:
                    self._sleep()
                elif self.tick_began == began and used - used_before < _COMPUTED_SECONDS:
                    # It may be between two items just now.
                    with contextlib.suppress(IndexError):
                        return [self.current.pop()]
                began = self.tick_began
        return None

    def _used_seconds(self) -> float:
        """Return the processor time that the thread at work has used; always the same where no clock tells it."""
        # The thread may just have ended.
        with contextlib.suppress(OSError):
            return 0.0 if self._clock is None else time.clock_gettime(self._clock)
        return 0.0

    def _sleep(self) -> None:
        """Sleep until a turn begins, so that who waits for nothing costs nothing."""
        self._is_awakened.clear()
        self._is_asleep = True
        # It may have begun just before.
        is_needed = self.tick_began is not None or self._has_ended.is_set()
        self._is_awakened.wait(0.0 if is_needed else _LONGEST_SLEEP_SECONDS)
        self._is_asleep = False


def _clock_of_this_thread() -> int | None:
    """Return the clock of the processor time that this thread uses; None on macOS and Windows, which have none."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return None
    return time.pthread_getcpuclockid(threading.get_ident())
