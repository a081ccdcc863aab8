"""Connection limit: how many connections in total and per client, and which connections to evict.

This module only counts and selects connections. The event loop opens and closes connections.
"""

import os
from collections.abc import Iterable
from itertools import islice

from .addresses import is_loopback, network_of
from .connection import Connection
from .process import descriptor_limit
from .settings import Timeouts
from .state import State

# Descriptors reserved for the folders on the path to a file, and for everything else in this process. If few are free,
# half of them are reserved: a browser alone opens several connections.
_RESERVED_DESCRIPTORS = 16
# On Windows select() takes 512 sockets, including the listeners.
_MAX_CONNECTIONS = 480 if os.name == "nt" else 1 << 30
# Evict this fraction (1/8) of the candidates at a time, and at most this many, as nginx does.
_EVICTED_FRACTION = 8
_MAX_EVICTED = 32
# The states in which a connection may be evicted, the first kind first: closing an idle connection loses nothing; the
# content is not needed; an incomplete head or handshake is no request yet; a stream breaks off.
_EVICTION_ORDER = (
    (State.NEW, State.IDLE, State.LINGERING),
    (State.DISCARDING,),
    (State.RECEIVING, State.HANDSHAKE_IN),
    (State.SLEEPING, State.SLEEPING_UNREAD),
)
_KINDS = {state: kind for kind, states in enumerate(_EVICTION_ORDER) for state in states}
# A client has this long to begin its first request, as browsers open connections before they need them.
_FIRST_REQUEST_SECONDS = 1.0
# A client has this long to complete a head or a handshake. TCP sends a usual head in one flight (RFC 6928), and a lost
# segment again after about a second (RFC 6298 §2).
_HEAD_SECONDS = 2.0
_NEVER = float("inf")


class ConnectionLimit:
    """Counts the open connections, in total and for each network. *maximum* is the limit."""

    def __init__(self, used_descriptors: int) -> None:
        """Set the limit to half of the free descriptors. Each response may need another descriptor for a file."""
        free = descriptor_limit() - used_descriptors
        reserved = min(_RESERVED_DESCRIPTORS, free // 2)
        self.maximum = max(1, min(_MAX_CONNECTIONS, (free - reserved) // 2))
        self._count = 0
        # The number of connections of each IPv4 address or IPv6 network.
        self._networks: dict[str, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether the connection limit is reached."""
        return self._count >= self.maximum

    def add(self, client: str) -> None:
        """Count one more connection of *client*."""
        network = network_of(client)
        self._count += 1
        self._networks[network] = self._networks.get(network, 0) + 1

    def remove(self, client: str) -> None:
        """Stop counting a connection of *client*."""
        network = network_of(client)
        self._count -= 1
        count = self._networks.pop(network) - 1
        if count:
            self._networks[network] = count

    def exceeds_share(self, client: str) -> bool:
        """Return whether the network of *client* has more than half of all connections.

        Loopback addresses never exceed their share.
        """
        network = network_of(client)
        return not is_loopback(network) and self._networks.get(network, 0) * 2 > self._count

    def allows_another(self) -> bool:
        """Return whether to accept another connection.

        At the limit, return True only if a client has more than its share. Connections of other clients may then exceed
        the limit. New connections of that client are closed.
        """
        return not self.is_full or any(map(self.exceeds_share, self._networks))


def evictable(connections: Iterable[Connection], now: float, timeouts: Timeouts) -> list[Connection]:
    """Return the connections to evict at the limit.

    They are of one kind, the first kind in ``_EVICTION_ORDER`` that has candidates. Those that have waited longest come
    first. To hold a connection, an attacker leaves a head incomplete for long. The head of an honest client on a slow
    link is younger, so the attackers are evicted first.
    """
    latest = {
        State.NEW: now + timeouts.idle - _FIRST_REQUEST_SECONDS,
        State.RECEIVING: now + timeouts.head - _HEAD_SECONDS,
        State.HANDSHAKE_IN: now + timeouts.head - _HEAD_SECONDS,
    }
    kinds: list[list[Connection]] = [[] for _ in _EVICTION_ORDER]
    for connection in connections:
        state = connection.state
        if state in _KINDS and connection.deadline <= latest.get(state, _NEVER):
            kinds[_KINDS[state]].append(connection)
    for candidates in kinds:
        # The connection that has waited longest has the earliest deadline: it would time out next anyway.
        candidates.sort(key=lambda connection: connection.deadline)
        count = min(_MAX_EVICTED, max(1, len(candidates) // _EVICTED_FRACTION))
        if evicted := list(islice((each for each in candidates if each.has_no_input()), count)):
            return evicted
    return []
