"""Claims: how many names the listings that are made or read at one time may hold, all together and for each network.

A listing takes memory from its first name to the last byte of its page, and a client may read slowly: so each claims
its names as it reads them, and gives them back when it is closed. Safe to be used by several threads.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from httpsock.http.steps import BATCH

Item = TypeVar("Item")

# So many names make a page no longer than a small file, which is not counted either: short listings always pass.
UNCOUNTED = 4 * BATCH


class ListingBudget:
    """The names that all listings hold: at most *most*, and besides them those of one listing of any length.

    A network may hold as many names as are left: one network alone gets half, each of two a third, and there is always
    as much left for another. The one listing beyond that must be the only one of its network.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self._networks: dict[str, int] = {}
        self._longest: Allotment | None = None
        self._changing = threading.Lock()

    def add(self, allotment: "Allotment", names: int) -> None:
        """Let *claim* hold more *names*. Raises OSError if its network has spent its share."""
        with self._changing:
            if allotment is self._longest:
                return
            held = self._networks.get(allotment.network, 0)
            if held + names <= self._left - names:
                self._change(allotment, names)
            elif held == allotment.held and self._longest is None:
                self._change(allotment, -allotment.held)
                self._longest = allotment
            else:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def release(self, allotment: "Allotment") -> None:
        """Take back all that *claim* holds; twice does no harm."""
        with self._changing:
            self._change(allotment, -allotment.held)
            if allotment is self._longest:
                self._longest = None

    def _change(self, allotment: "Allotment", by: int) -> None:
        self._left -= by
        allotment.held += by
        if held := self._networks.pop(allotment.network, 0) + by:
            self._networks[allotment.network] = held


class Allotment:
    """The names in *claims* that one listing holds, on behalf of the client's *network*."""

    def __init__(self, budget: ListingBudget) -> None:
        self._budget = budget
        self.network = ""
        self.held = 0

    def charge(self, items: Iterable[Item]) -> Iterator[Item]:
        """Return *items*, claimed a piece at a time. Raises OSError where there is no room for more."""
        iterator = iter(items)
        yield from islice(iterator, UNCOUNTED)
        while piece := list(islice(iterator, BATCH)):
            self._budget.add(self, len(piece))
            yield from piece

    def close(self) -> None:
        """Give back what it holds; twice does no harm."""
        self._budget.release(self)
