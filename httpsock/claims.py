"""Claims: how many names the listings that are made or read at one time may hold, all together.

A listing takes memory from its first name to the last octet of its page, and a client may read slowly: so each claims
its names as it comes to them, and gives them back when it is closed. Safe to be used by several threads.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from .pieces import PIECE

Item = TypeVar("Item")


class Claims:
    """What all claims together hold, which is at most *most*; but one alone may hold any number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._changing = threading.Lock()

    def change(self, by: int, own: int) -> None:
        """Let a claim that holds *own* items hold *by* more. Raises OSError if others hold too many for that."""
        with self._changing:
            if by > 0 and own < self._held and self._held + by > self._most:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            self._held += by


class Claim:
    """The part of *claims* that one listing holds."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._own = 0

    def count(self, items: Iterable[Item]) -> Iterator[Item]:
        """Return *items*, claimed a piece at a time. Raises OSError where there is no room for more."""
        iterator = iter(items)
        while piece := list(islice(iterator, PIECE)):
            self._claims.change(len(piece), self._own)
            self._own += len(piece)
            yield from piece

    def close(self) -> None:
        """Give back what it holds; twice does no harm."""
        self._claims.change(-self._own, self._own)
        self._own = 0
