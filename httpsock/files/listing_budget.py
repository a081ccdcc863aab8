"""Listing budget: limit the number of names in memory for listings, in total and for each network.

A listing occupies memory until the last byte of its page is sent, and a client may read slowly. So each listing charges
its names to the budget when it reads them, and releases them when it is closed. Several threads may use one budget.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from httpsock.http.handler import BATCH

Item = TypeVar("Item")

# The first names are free, so that short listings always succeed. Their page is no longer than a small file.
UNCOUNTED = 4 * BATCH


class ListingBudget:
    """Limits the number of names in all listings to *maximum*, and gives each network a share.

    A network may not hold more names than remain free. So a single network gets half of *maximum*, two networks get a
    third each, and so on. There is one exception, so that a very large folder can be listed: a network with a single
    listing may exceed the limits. Only one listing at a time may do this.
    """

    def __init__(self, maximum: int) -> None:
        self._left = maximum
        self._networks: dict[str, int] = {}
        self._longest: Allotment | None = None
        self._changing = threading.Lock()

    def add(self, allotment: "Allotment", names: int) -> None:
        """Charge this many *names* to *allotment*. Raise OSError if the network has used up its share."""
        with self._changing:
            if allotment is self._longest:
                return
            held = self._networks.get(allotment.network, 0)
            if held + names <= self._left - names:
                self._adjust(allotment, names)
            elif held == allotment.held and self._longest is None:
                self._adjust(allotment, -allotment.held)
                self._longest = allotment
            else:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def release(self, allotment: "Allotment") -> None:
        """Release all names of *allotment*. A second call has no effect."""
        with self._changing:
            self._adjust(allotment, -allotment.held)
            if allotment is self._longest:
                self._longest = None

    def _adjust(self, allotment: "Allotment", by: int) -> None:
        self._left -= by
        allotment.held += by
        if held := self._networks.pop(allotment.network, 0) + by:
            self._networks[allotment.network] = held


class Allotment:
    """The names that one listing has charged to *budget*, for the client's *network*."""

    def __init__(self, budget: ListingBudget) -> None:
        self._budget = budget
        self.network = ""
        self.held = 0

    def charge(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield *items*, and charge the items to the budget in batches. Raise OSError if the budget is used up.

        The first few items are free, so that short listings always succeed.
        """
        iterator = iter(items)
        yield from islice(iterator, UNCOUNTED)
        while batch := list(islice(iterator, BATCH)):
            self._budget.add(self, len(batch))
            yield from batch

    def close(self) -> None:
        """Release all names of this listing. A second call has no effect."""
        self._budget.release(self)
