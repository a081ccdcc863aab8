"""Fairness: how long the connections of one network may take in a turn before others run.

Takes the connections that are ready, gives them one by one, and measures the time until the next one is asked for.
As long as turns are short it costs a look at the clock now and then. Once one has become long, each network has a
share of every turn; a connection whose network has used its share up is postponed to the next turn.
"""

import time
from collections.abc import Callable, Iterator

from .addresses import network_of
from .connection import Connection

# A turn that receives, or answers, for longer than this is long.
_LONG_SECONDS = 0.01
# How long the connections of one network may receive in a turn, and how long they may answer.
_SHARE_SECONDS = 0.003
# A connection that takes less is not charged: a small file is answered in 0.015 ms, and many clients are one network
# behind a proxy.
_CHEAP_SECONDS = 0.00005
# Shares are measured until all networks have kept to them for this long.
_MEASURED_SECONDS = 1.0


class Fairness:
    """Divides the time of one phase of a turn, receiving or answering, among networks. *clock* tells seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Until when the shares of networks are measured.
        self.measures_until = 0.0
        self.postponed: list[Connection] = []

    def has_become_long(self, now: float) -> bool:
        """Return whether the turn that began *now* has become long; shares are measured from now on if it has."""
        seen = self._clock()
        if seen < now + _LONG_SECONDS:
            return False
        self.measures_until = seen + _MEASURED_SECONDS
        return True

    def select(self, connections: Iterator[Connection]) -> Iterator[Connection]:
        """Yield each connection whose network has time left in this turn; postpone the others."""
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
        """Return the connections postponed since the last call, in their order."""
        postponed, self.postponed = self.postponed, []
        return postponed


def least_recently_resumed(connection: Connection) -> float:
    """Return the key that sorts *connection* by the turn in which it last ran: those that have waited longest first."""
    return connection.tick.monotonic
