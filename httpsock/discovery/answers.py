"""Answers to searches that wait for their moment, and how many each neighbour may have.

A search may come in another's name, and the answers go to that one: so answers are few. One neighbour that searches
without end must not use up those of the others: so each has a share. Knows nothing of sockets.

UDA 2.0 §1.3.2, §1.3.3 (when to answer); RFC 4732 §2.1 (reflected traffic).
"""

import heapq
import itertools
import math
import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from .multicast import Interface, sender
from .ssdp import DatagramError

# All neighbours together, and each: a second, and at once. A search for all has three answers, and comes two or three
# times. Ten neighbours that take their whole shares leave nothing to others.
_ALL_PER_SECOND, _ALL_AT_ONCE = 30, 30
_EACH_PER_SECOND, _EACH_AT_ONCE = 3, 9
_MOST_WAITING = 90
# So many neighbours are remembered; the one that has been silent longest is forgotten, as if it had not asked before.
_MOST_NEIGHBOURS = 1024


class RateLimit:
    """Grants so many a second, and so many at once."""

    def __init__(self, per_second: int, at_once: int, now: float) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._left = float(at_once)
        self._now = now

    def has_one(self, now: float) -> bool:
        """Return whether one more can be granted now."""
        self._left = min(float(self._at_once), self._left + (now - self._now) * self._per_second)
        self._now = now
        return self._left >= 1

    def take(self) -> None:
        """Use up one."""
        self._left -= 1


class Shares:
    """How many answers all neighbours may have, and each of them."""

    def __init__(self, now: float) -> None:
        self._all = RateLimit(_ALL_PER_SECOND, _ALL_AT_ONCE, now)
        self._each: OrderedDict[str, RateLimit] = OrderedDict()

    def grant(self, neighbour: str, now: float) -> None:
        """Grant one answer to *neighbour*. Raises DatagramError if its share, or that of all, is used up.

        A refused answer costs the others nothing.
        """
        share = self._each.setdefault(neighbour, RateLimit(_EACH_PER_SECOND, _EACH_AT_ONCE, now))
        self._each.move_to_end(neighbour)
        if len(self._each) > _MOST_NEIGHBOURS:
            self._each.popitem(last=False)
        if not share.has_one(now):
            raise DatagramError(f"{_EACH_PER_SECOND} answers a second are given to one neighbour", "RFC 4732 §2.1")
        if not self._all.has_one(now):
            raise DatagramError(f"{_ALL_PER_SECOND} answers a second are given to all neighbours", "RFC 4732 §2.1")
        share.take()
        self._all.take()


class Answer(NamedTuple):
    """One answer; *number* keeps those of one moment in order, *about* is the interface that it tells of."""

    moment: float
    number: int
    datagram: bytes
    peer: tuple[Any, ...]
    heard_at: Interface
    about: Interface


class Answers:
    """The answers that wait, each for its moment."""

    def __init__(self, now: float) -> None:
        self._waiting: list[Answer] = []
        self._count = itertools.count()
        self._shares = Shares(now)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def next_moment(self) -> float:
        """When the next one is due."""
        return self._waiting[0].moment if self._waiting else math.inf

    def add(
        self,
        datagrams: Sequence[bytes],
        peer: tuple[Any, ...],
        places: tuple[Interface, Interface],
        seconds: float,
        now: float,
    ) -> None:
        """Let *datagrams* wait for random moments within *seconds*. Raises DatagramError for those that are too many.

        *places* are the interfaces where the search was heard, and that the answers tell of.
        """
        # Not the port: one neighbour has many. Nor the network, as for a server: all link-local addresses are of one.
        neighbour = sender(peer)
        for datagram in datagrams:
            if any(each.datagram == datagram and each.peer == peer for each in self._waiting):
                raise DatagramError("this client is already being answered", "UDA 2.0 §1.3.2")
            if len(self._waiting) >= _MOST_WAITING:
                raise DatagramError(f"{_MOST_WAITING} answers are waiting already", "RFC 4732 §2.1")
            self._shares.grant(neighbour, now)
            moment = now + random.uniform(0, seconds)  # noqa: S311 (it keeps no secret)
            heapq.heappush(self._waiting, Answer(moment, next(self._count), datagram, peer, *places))

    def take_due(self, now: float) -> list[Answer]:
        """Take out and return the answers whose moment has come."""
        due = []
        while self.next_moment <= now:
            due.append(heapq.heappop(self._waiting))
        return due

    def forget(self, gone: Interface) -> None:
        """Drop the answers that would tell of an interface that is gone."""
        self._waiting = [each for each in self._waiting if gone not in (each.heard_at, each.about)]
        heapq.heapify(self._waiting)
