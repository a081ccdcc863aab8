"""Kept files: small files held in memory, each trusted only while the file system says it is what it was.

Takes a name and what stat() says now, gives what was kept under just that. Knows nothing of HTTP.
A kept file costs a stat(), not open(), fstat(), read() and close(); it is never staler than the file.
"""

import os
import threading
from typing import Generic, TypeVar

Value = TypeVar("Value")
Key = tuple[str, str | None]


# What changes when a file does: its inode, length, time of modification, time of change (ns), and device.
FileState = tuple[int, int, int, int, int]


def file_state(status: os.stat_result) -> FileState:
    """Return the state that *status* describes."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev


class KeptFiles(Generic[Value]):
    """What was made of files, up to *capacity* octets in all; the one kept longest makes room.

    Shared by all threads. Reading is one look-up in a dict, which is safe on every Python; what is found never
    changes. Writing changes dict and total together, so it holds the lock.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: dict[Key, tuple[FileState, Value, int]] = {}
        self._total = 0
        self._writing = threading.Lock()

    def get(self, key: Key, state: FileState) -> Value | None:
        """Return what is kept under *key*, or None unless it was made of the file in this very *state*."""
        kept = self._kept.get(key)
        return kept[1] if kept is not None and kept[0] == state else None

    def keep(self, key: Key, state: FileState, value: Value, octets: int) -> None:
        """Keep *value*, which takes up *octets* of memory, in the place of what was kept under *key*."""
        with self._writing:
            self._drop(key)
            self._kept[key] = (state, value, octets)
            self._total += octets
            while self._total > self._capacity:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._total -= dropped[2]
