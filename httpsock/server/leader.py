"""Leader/follower threads: one runs the event loop. If a slow disk blocks it, another one takes the loop over.

A follower watches the leader. If a tick takes too long, the follower becomes the leader, and takes all connections
except the connection in progress. The old leader finishes that connection, then becomes a follower.

    thread 1     leads: tick, tick, open() . . . . blocked . . . . . . . returns: finish_detached(); waits
    thread 2     follows, watches ...... _detach(); leads: tick, tick, tick ... reattach(), tick, tick ...
    thread 3     waits ................. follows, watches ................................................
    connection   polled .... in progress | detached ................... | finished | polled ..............

Only one thread is busy at a time. Under the interpreter lock, two busy threads would be slower than one, since the lock
changes hands at each system call. Measured with wrk, 32 connections and 1 KiB: two busy threads send about half as many
responses a second as one. So a leader that computes stays the leader. Only a blocked leader is replaced. The processor
clock of the leader's thread shows whether the thread computes. Without such a clock, the thread is replaced anyway.

The list *current* holds the connection in progress, or is empty. Removing the connection is atomic, with an interpreter
lock and without one. The thread that removes the connection leads. This module does not know HTTP. Next: event_loop.py.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from .connection import Connection
from .poller import READABLE, Poller
from .sending import Wait
from .state import State

# A tick that takes longer than this has stalled.
_STALL_SECONDS = 0.05
# A blocked thread uses hardly any processor time; a thread that used more than this during the stall is computing.
_COMPUTED_SECONDS = 0.005
# Without an interpreter lock the follower may, very rarely, miss the beginning of a tick.
_MAX_SLEEP_SECONDS = 10.0
_NEVER = float("inf")


class Superseded(Exception):  # noqa: N818 (it is no error)
    """Another thread took the event loop over while this thread was blocked."""


class LeaderThreads:
    """The threads that call ``run``. *wake* ends a poll of *poller* early.

    The leader stores the connection in progress in *current*, and the start of each tick in *tick_began*. While the
    leader polls, *tick_began* is None.
    """

    def __init__(self, poller: Poller, wake: Callable[[], object]) -> None:
        self.current: list[Connection] = []
        self.tick_began: float | None = None
        # Connections that block a former leader, or that wait for a thread of their handler; and those whose thread has
        # finished since, each with its next wait.
        self.detached: set[Connection] = set()
        self._finished: list[tuple[Connection, Wait]] = []
        self._poller = poller
        self._wake = wake
        # The leader's processor clock.
        self._clock: int | None = None
        self._is_asleep = False
        self._has_leader = False
        self._has_ended = threading.Event()
        self._wakeup = threading.Event()
        # The thread that holds this lock is the follower.
        self._follower_lock = threading.Lock()

    def run(self, lead: Callable[[], object]) -> None:
        """Call *lead* whenever this thread becomes the leader, until ``end`` is called.

        *lead* returns when another thread has become the leader.
        """
        while self._wait_to_lead():
            self._clock = _clock_of_this_thread()
            lead()

    def finish_detached(self, connection: Connection, wait: Wait) -> NoReturn:
        """Pass *connection*, which blocked this thread, to the new leader. Always raise Superseded."""
        self._finished.append((connection, wait))
        self._wake()
        raise Superseded from None

    def suspend(self, connection: Connection) -> None:
        """Stop polling *connection* while its handler waits for another thread.

        Call ``connection.start`` with a function that makes the leader poll the connection again.
        """
        self._stop_polling(connection)

        waiting = [connection]

        def resume() -> None:
            # Only the first call counts: a later one would end the next wait. Removing is atomic.
            with contextlib.suppress(IndexError):
                self._finished.append((waiting.pop(), None))
                self._wake()

        connection.start(resume)

    def reattach(self) -> Iterator[tuple[Connection, Wait]]:
        """Poll each detached connection that can continue. Yield the connection with its next wait."""
        while self._finished:
            connection, wait = self._finished.pop()
            # A suspended connection may have been aborted meanwhile.
            if connection not in self.detached:
                continue
            self.detached.remove(connection)
            if connection.state is State.CLOSED:
                # It was aborted while its thread was blocked.
                connection.cut()
                wait = State.CLOSED, _NEVER
            connection.awaited = READABLE
            self._poller.register(connection.descriptor, READABLE)
            yield connection, wait

    def begin_tick(self, now: float) -> None:
        """Record that a tick begins *now*. If the follower sleeps, wake the follower."""
        self.tick_began = now
        if self._is_asleep:
            self._wakeup.set()

    def end(self) -> None:
        """Make all threads return from ``run``."""
        self._has_ended.set()
        self._wakeup.set()

    def _wait_to_lead(self) -> bool:
        """Wait to become the leader. Return True when this thread leads, or False after ``end``.

        If a connection blocks the old leader, detach the connection.
        """
        with self._follower_lock:
            if not self._has_leader:
                self._has_leader = True
                return True
            began, used = None, 0.0
            while not self._has_ended.wait(_STALL_SECONDS):
                used_before, used = used, self._used_seconds()
                if self.tick_began is None:
                    self._sleep()
                elif self.tick_began == began and used - used_before < _COMPUTED_SECONDS:
                    # The list is empty between two connections.
                    with contextlib.suppress(IndexError):
                        self._detach(self.current.pop())
                        return True
                began = self.tick_began
        return False

    def _detach(self, connection: Connection) -> None:
        """Stop polling *connection*, which blocks its thread. A detached connection has no deadline."""
        connection.state = State.DETACHED
        self._stop_polling(connection)

    def _stop_polling(self, connection: Connection) -> None:
        connection.deadline = _NEVER
        self._poller.unregister(connection.descriptor)
        self.detached.add(connection)

    def _used_seconds(self) -> float:
        """Return the leader's processor time in seconds. If threads have no clock on this system, return 0.0."""
        # The leader may have ended already.
        with contextlib.suppress(OSError):
            return 0.0 if self._clock is None else time.clock_gettime(self._clock)
        return 0.0

    def _sleep(self) -> None:
        """Sleep until a tick begins, so that an idle server uses no CPU."""
        self._wakeup.clear()
        self._is_asleep = True
        # A tick may have begun just before.
        is_needed = self.tick_began is not None or self._has_ended.is_set()
        self._wakeup.wait(0.0 if is_needed else _MAX_SLEEP_SECONDS)
        self._is_asleep = False


def _clock_of_this_thread() -> int | None:
    """Return the ID of this thread's processor clock. On macOS and Windows, return None."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return None
    return time.pthread_getcpuclockid(threading.get_ident())
