"""Delayed answers to searches, with rate limits.

The announcer queues answers here, and sends each answer when its time has come. A search may have a forged source
address, and the answers go to this address. So all answers together have a rate limit. Each neighbour also has a rate
limit, so that no neighbour can use up the whole limit. Must not know sockets.

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

# The limits for all neighbours together and for each neighbour: a rate and a burst. A search for ssdp:all has three
# answers, and usually arrives two or three times. Ten neighbours at their limit use up the total.
_ALL_PER_SECOND, _ALL_BURST = 30, 30
_EACH_PER_SECOND, _EACH_BURST = 3, 9
_MAX_QUEUED = 90
# The maximum number of neighbours to remember. The neighbour that has been silent longest is evicted.
_MAX_NEIGHBOURS = 1024


class RateLimit:
    """A token bucket that gains *per_second* tokens a second and holds at most *burst* tokens."""

    def __init__(self, per_second: int, burst: int, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._now = now

    def has_token(self, now: float) -> bool:
        """Return whether the bucket holds a token at the time *now*."""
        self._tokens = min(float(self._burst), self._tokens + (now - self._now) * self._per_second)
        self._now = now
        return self._tokens >= 1

    def take(self) -> None:
        """Remove one token from the bucket."""
        self._tokens -= 1


class Shares:
    """The rate limits for answers: one for all neighbours together, and one for each neighbour."""

    def __init__(self, now: float) -> None:
        self._all = RateLimit(_ALL_PER_SECOND, _ALL_BURST, now)
        self._each: OrderedDict[str, RateLimit] = OrderedDict()

    def take_token(self, neighbour: str, now: float) -> None:
        """Use a token for one answer to *neighbour*. Raise DatagramError if a limit is exceeded."""
        share = self._each.setdefault(neighbour, RateLimit(_EACH_PER_SECOND, _EACH_BURST, now))
        self._each.move_to_end(neighbour)
        if len(self._each) > _MAX_NEIGHBOURS:
            self._each.popitem(last=False)
        if not share.has_token(now):
            raise DatagramError(
                f"over the limit of {_EACH_PER_SECOND} answers a second to one neighbour", "RFC 4732 §2.1"
            )
        if not self._all.has_token(now):
            raise DatagramError(
                f"over the limit of {_ALL_PER_SECOND} answers a second to all neighbours", "RFC 4732 §2.1"
            )
        share.take()
        self._all.take()


class Answer(NamedTuple):
    """A queued answer to *peer*, to be sent at the time *due*. *described* is the interface that the answer describes.

    If two answers have the same time, the answer with the lower *number* comes first.
    """

    due: float
    number: int
    datagram: bytes
    peer: tuple[Any, ...]
    received_on: Interface
    described: Interface


class Answers:
    """The queue of answers, sorted by the times at which to send the answers."""

    def __init__(self, now: float) -> None:
        self._queue: list[Answer] = []
        self._count = itertools.count()
        self._shares = Shares(now)

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def next_due(self) -> float:
        """The time of the next answer, or infinity if there is no answer."""
        return self._queue[0].due if self._queue else math.inf

    def add(
        self,
        datagrams: Sequence[bytes],
        peer: tuple[Any, ...],
        places: tuple[Interface, Interface],
        seconds: float,
        now: float,
    ) -> None:
        """Queue *datagrams* for *peer*. Each one is to be sent at a random time within *seconds*.

        *places* has two interfaces: the one that received the search, and the one that the answers describe. Raise
        DatagramError if the same answer to *peer* is already in the queue, or if a limit is exceeded.
        """
        # Limit each address, not each port. Do not limit the /64 network, since all link-local addresses share it.
        neighbour = sender(peer)
        for datagram in datagrams:
            if any(each.datagram == datagram and each.peer == peer for each in self._queue):
                raise DatagramError("this client is already being answered", "UDA 2.0 §1.3.2")
            if len(self._queue) >= _MAX_QUEUED:
                raise DatagramError(f"the queue is full with {_MAX_QUEUED} answers", "RFC 4732 §2.1")
            self._shares.take_token(neighbour, now)
            due = now + random.uniform(0, seconds)  # noqa: S311 (it keeps no secret)
            heapq.heappush(self._queue, Answer(due, next(self._count), datagram, peer, *places))

    def take_due(self, now: float) -> list[Answer]:
        """Remove and return the answers that are to be sent *now*."""
        answers = []
        while self.next_due <= now:
            answers.append(heapq.heappop(self._queue))
        return answers

    def drop(self, gone: Interface) -> None:
        """Drop the answers that would leave by the interface *gone*, and the answers that describe this interface."""
        self._queue = [each for each in self._queue if gone not in (each.received_on, each.described)]
        heapq.heapify(self._queue)
