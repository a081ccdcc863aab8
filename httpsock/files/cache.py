"""File cache: small files in memory, valid only while stat() is unchanged, and for a second after they were read.

Takes a name and its current stat(), gives the value cached for exactly these. Knows no HTTP.
A kept file costs a stat(), not open(), fstat(), read() and close(). A program that writes through mmap() changes a file
long before its times; some file systems keep times in whole seconds. So a kept file is read again after a second.
"""

import os
import threading
from typing import Generic, TypeVar

Value = TypeVar("Value")
Key = tuple[str, str | None]


# The parts of stat() that change when a file does: its inode, length, time of modification, time of change (ns), and
# device; the same of a second file, if the value depends on both.
FileStamp = tuple[int, ...]

# How long a value is given without reading the file again.
FRESH_SECONDS = 1.0


def file_stamp(status: os.stat_result) -> FileStamp:
    """Return the state that *status* describes."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev


class FileCache(Generic[Value]):
    """A cache of values made from files, up to *capacity* octets in all; the oldest entry is evicted.

    Shared by all threads. Reading is one look-up in a dict, which is safe on every Python; a value never
    changes. Writing changes dict and total together, so it holds the lock.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # By key: the state, the value, until when it is fresh, and the memory that it takes up.
        self._cache: dict[Key, tuple[FileStamp, Value, float, int]] = {}
        self._total = 0
        self._writing = threading.Lock()

    def get(self, key: Key, state: FileStamp, now: float) -> Value | None:
        """Return the value under *key*, or None unless the file was read in this very *state*, less than a second ago.

        *now* in seconds of the monotonic clock.
        """
        cached = self._cache.get(key)
        return cached[1] if cached is not None and cached[0] == state and now < cached[2] else None

    def get_stale(self, key: Key, state: FileStamp) -> Value | None:
        """Return the value under *key* however long ago the file was read in this very *state*, or None."""
        cached = self._cache.get(key)
        return cached[1] if cached is not None and cached[0] == state else None

    def put(self, key: Key, state: FileStamp, value: Value, octets: int, now: float) -> None:
        """Keep *value*, read *now*, which takes up *octets* of memory, in the place of the one under *key*."""
        with self._writing:
            self._drop(key)
            self._cache[key] = (state, value, now + FRESH_SECONDS, octets)
            self._total += octets
            while self._total > self._capacity:
                self._drop(next(iter(self._cache)))

    def _drop(self, key: Key) -> None:
        dropped = self._cache.pop(key, None)
        if dropped is not None:
            self._total -= dropped[3]
