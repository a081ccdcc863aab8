"""Fairness: no network may use up the time of a tick while other networks wait.

While ticks are short, the event loop resumes all ready connections, and reads the clock only now and then. After a long
tick, this module yields the ready connections to the event loop, and measures how long each one runs. Each network has
a share of every tick. If a network has used up its share, its other connections wait for the next tick.
"""

import time
from collections.abc import Callable, Iterator

from .addresses import network_of
from .connection import Connection

# A tick that receives, or answers, for longer than this is long.
_LONG_SECONDS = 0.01
# How long the connections of one network may receive in a tick, and how long they may answer.
_SHARE_SECONDS = 0.003
# A shorter run is not charged to its network: a small file takes 0.015 ms, and all clients behind a proxy are one
# network.
_CHEAP_SECONDS = 0.00005
# Measuring ends when all networks have stayed within their shares for this long.
_MEASURED_SECONDS = 1.0


class Fairness:
    """Divides the time of a tick among networks.

    The event loop has one object for receiving, one for answering, and one for time-outs. *clock* returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When to stop measuring shares, on the clock.
        self.measures_until = 0.0
        self.postponed: list[Connection] = []

    def has_become_long(self, now: float) -> bool:
        """If the tick has become long, start to measure how long connections run, and return True.

        *now* is the time at which the tick began.
        """
        current = self._clock()
        if current < now + _LONG_SECONDS:
            return False
        self.measures_until = current + _MEASURED_SECONDS
        return True

    def select(self, connections: Iterator[Connection]) -> Iterator[Connection]:
        """Yield each connection whose network has time left in this tick. Postpone all other connections."""
        spent: dict[str, float] = {}
        exhausted: set[str] = set()
        before = self._clock()
        for connection in connections:
            network = network_of(connection.client)
            if network in exhausted:
                self.postponed.append(connection)
                self.measures_until = before + _MEASURED_SECONDS
                continue
            yield connection
            now = self._clock()
            if now > before + _CHEAP_SECONDS:
                spent[network] = spent.get(network, 0.0) + now - before
                if spent[network] > _SHARE_SECONDS:
                    exhausted.add(network)
            before = now

    def take_postponed(self) -> list[Connection]:
        """Return the connections that ``select`` has postponed, in order, and clear the list."""
        postponed, self.postponed = self.postponed, []
        return postponed


def least_recently_resumed(connection: Connection) -> float:
    """Return the time at which *connection* last ran, as a sort key. The connection that waits longest comes first."""
    return connection.tick.monotonic
