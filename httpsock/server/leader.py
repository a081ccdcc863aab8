"""Leader/follower threads: one runs the event loop; if a slow disk blocks it, another takes the loop over.

A follower watches the leader. When a tick takes too long, the follower leads and takes every connection but the one in
progress; the old leader finishes that one and becomes a follower.

    thread 1   leads: tick, tick, open() . . . blocked . . . . returns: waits
    thread 2   follows, watches ......... leads: tick, tick, tick, tick ...
    thread 3   waits ................... follows, watches ................

At most one thread is busy: under the interpreter lock two would be slower than one, since the lock changes hands at
each system call (measured with wrk, 32 connections, 1 KiB: 39,000 responses a second from two busy threads, 72,000
from one). So a leader that computes keeps the loop; only a blocked one loses it. Its processor clock tells the two
apart, where the system has such a clock.

The list *current* holds at most one item: the one in progress. Removing it is atomic, with an interpreter lock and
without one; the thread that removes it leads. Used by event_loop.py, which stores its connections there.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

# A tick that takes longer than this has stalled.
_STALL_SECONDS = 0.05
# A blocked thread uses hardly any processor time; one that used more than this during the stall is computing.
_COMPUTED_SECONDS = 0.005
# Without an interpreter lock the follower may, very rarely, miss the beginning of a tick.
_MAX_SLEEP_SECONDS = 10.0

Item = TypeVar("Item")


class Superseded(Exception):  # noqa: N818 (it is no error)
    """Another thread took the event loop over while this one was blocked."""


class LeaderThreads(Generic[Item]):
    """The threads that call ``run``.

    The leader stores the item in progress in *current* and records when each tick begins. While it polls,
    *tick_began* is None.
    """

    def __init__(self) -> None:
        self.current: list[Item] = []
        self.tick_began: float | None = None
        # The leader's processor clock.
        self._clock: int | None = None
        self._is_asleep = False
        self._has_leader = False
        self._has_ended = threading.Event()
        self._is_awakened = threading.Event()
        # The thread that holds it is the follower.
        self._follower_lock = threading.Lock()

    def run(self, work: Callable[[list[Item]], None]) -> None:
        """Call *work* when this thread leads, with the item that blocks the old leader. *work* may raise Superseded."""
        while (stalled := self._wait_to_lead()) is not None:
            self._clock = _clock_of_this_thread()
            with contextlib.suppress(Superseded):
                work(stalled)

    def begin_tick(self, now: float) -> None:
        """Record that a tick begins *now*, and wake the follower if it sleeps."""
        self.tick_began = now
        if self._is_asleep:
            self._is_awakened.set()

    def end(self) -> None:
        """Let all threads return. The leader calls it."""
        self._has_ended.set()
        self._is_awakened.set()

    def _wait_to_lead(self) -> list[Item] | None:
        """Wait until this thread leads; return the item that blocks the old leader, if any, or None at the end."""
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
                    # The list is empty between two items.
                    with contextlib.suppress(IndexError):
                        return [self.current.pop()]
                began = self.tick_began
        return None

    def _used_seconds(self) -> float:
        """Return the processor time that the leader has used; always 0.0 on a system without such a clock."""
        # The leader may have ended already.
        with contextlib.suppress(OSError):
            return 0.0 if self._clock is None else time.clock_gettime(self._clock)
        return 0.0

    def _sleep(self) -> None:
        """Sleep until a tick begins, so that an idle server uses no CPU."""
        self._is_awakened.clear()
        self._is_asleep = True
        # A tick may have begun just before.
        is_needed = self.tick_began is not None or self._has_ended.is_set()
        self._is_awakened.wait(0.0 if is_needed else _MAX_SLEEP_SECONDS)
        self._is_asleep = False


def _clock_of_this_thread() -> int | None:
    """Return the clock of the processor time that this thread uses; None on macOS and Windows, which lack it."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return None
    return time.pthread_getcpuclockid(threading.get_ident())
