"""Room: how many connections there may be at once, how much of that one address may take, and who makes room.

Counts connections and compares them; opens and closes none.
"""

import os
from collections.abc import Iterable
from itertools import islice

from .addresses import network_of
from .connection import Connection
from .process import descriptor_limit

# What is left for folders on the way to a file, and whatever else is open in this process.
_RESERVED_DESCRIPTORS = 16
# What may be polled at once: on Windows select() takes 512 sockets, listening ones among them.
_MAX_CONNECTIONS = 480 if os.name == "nt" else 1 << 30
# Room is made by this part of the idle connections at a time, and at most so many, as nginx does it.
_EVICTED_FRACTION = 8
_MAX_EVICTED = 32


class ConnectionLimit:
    """The connections that there are, counted by the addresses of their clients; no more than *most* of them."""

    def __init__(self, used_descriptors: int) -> None:
        """Leave half of the descriptors that are left to files: then every response finds one for its own."""
        left = descriptor_limit() - used_descriptors - _RESERVED_DESCRIPTORS
        self.maximum = max(1, min(_MAX_CONNECTIONS, left // 2))
        self._count = 0
        # How many connections each address has, or each network of IPv6.
        self._networks: dict[str, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return self._count >= self.maximum

    def add(self, client: str) -> None:
        """Count a connection of *client*."""
        network = network_of(client)
        self._count += 1
        self._networks[network] = self._networks.get(network, 0) + 1

    def remove(self, client: str) -> None:
        """Count it no more."""
        network = network_of(client)
        self._count -= 1
        count = self._networks.pop(network) - 1
        if count:
            self._networks[network] = count

    def exceeds_share(self, client: str) -> bool:
        """Return whether *client* has more than half of the connections; this machine itself may have all."""
        network = network_of(client)
        is_loopback = network.startswith("127.") or network == "::1"
        return not is_loopback and self._networks.get(network, 0) * 2 > self._count

    def has_client_over_share(self) -> bool:
        """Return whether any address has more than its share."""
        return any(map(self.exceeds_share, self._networks))


def evictable(connections: Iterable[Connection], now: float) -> list[Connection]:
    """Return those of *connections* that are to be given up, if room is needed: some that have been idle longest."""
    idle = [connection for connection in connections if connection.is_evictable(now)]
    # Who has been idle longest would be given up next anyway.
    idle.sort(key=lambda connection: connection.deadline)
    most = min(_MAX_EVICTED, max(1, len(idle) // _EVICTED_FRACTION))
    return list(islice((connection for connection in idle if connection.has_no_input()), most))
