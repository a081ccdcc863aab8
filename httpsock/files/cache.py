"""File cache: small files in memory, each valid for at most a second, and only while its stat() is unchanged.

Takes a name and the file's current stat(), gives the value cached for this name and stat(). Knows no HTTP.
A cached file costs one stat() instead of open(), fstat(), read() and close(). But a write through mmap() changes a file
long before its times change. Some file systems store times in whole seconds. So after a second the file is read again.
"""

import os
import threading
from typing import Any, Generic, NamedTuple, TypeVar

Value = TypeVar("Value")
Key = tuple[str, str | None]


# The parts of stat() that change with a file: inode, length, time of modification, time of change (ns), device. If a
# value depends on two files, the stamp has the parts of the first and of the second file.
FileStamp = tuple[int, ...]
STAMP_LENGTH = 5
# Everything that a cached value was made from: the stamps of files, or the entries of a folder.
State = tuple[Any, ...]

# How long a value is valid without reading the file again.
FRESH_SECONDS = 1.0


def file_stamp(status: os.stat_result) -> FileStamp:
    """Return the stamp of a file: the parts of its *status* that change when the file changes."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev


class Cached(NamedTuple, Generic[Value]):
    """A cache entry: a *value* made from a file that was in *state*. *octets* is the entry's size in memory.

    After *fresh_until*, on the monotonic clock, the file must be read again.
    """

    state: State
    value: Value
    fresh_until: float
    octets: int


class FileCache(Generic[Value]):
    """A cache of values made from files. If the values exceed *capacity* octets, the oldest entry is evicted.

    All threads share the cache. A read is one dict look-up, which is atomic in every Python, so a read needs no lock. A
    write changes the dict and the total together, so a write holds the lock.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._cache: dict[Key, Cached[Value]] = {}
        self._total = 0
        self._writing = threading.Lock()

    def get(self, key: Key, state: State, now: float) -> Value | None:
        """Return the cached value of *key*. If *state* has changed or the entry is a second old, return None.

        *state* is the current state of the file. *now* is in seconds of the monotonic clock.
        """
        cached = self._cache.get(key)
        return cached[1] if cached is not None and cached[0] == state and now < cached[2] else None

    def entry(self, key: Key) -> Cached[Value] | None:
        """Return the entry of *key*, or None if there is no entry. The file may have changed since."""
        return self._cache.get(key)

    def get_stale(self, key: Key, state: State) -> Value | None:
        """Return the cached value of *key*, however old it is. If *state* has changed, return None."""
        cached = self._cache.get(key)
        return cached[1] if cached is not None and cached[0] == state else None

    def put(self, key: Key, state: State, value: Value, octets: int, now: float) -> None:
        """Store *value* for *key*. If the cache is full, evict the oldest entries.

        *state* is the state of the file. *octets* is the size of the entry in memory. *now* is the time of the read.
        """
        with self._writing:
            self._drop(key)
            self._cache[key] = Cached(state, value, now + FRESH_SECONDS, octets)
            self._total += octets
            while self._total > self._capacity:
                self._drop(next(iter(self._cache)))

    def _drop(self, key: Key) -> None:
        dropped = self._cache.pop(key, None)
        if dropped is not None:
            self._total -= dropped.octets
