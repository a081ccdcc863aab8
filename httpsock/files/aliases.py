"""Aliases: detect second names of hidden files. For example, NTFS and FAT open .git as GIT~1, too.

Takes the segments of a path. A file is hidden if the folder lists it under a hidden name. The names in a folder are
cached for at most a second, and only while the folder is unchanged.

RFC 9110 §17.3 (attacks based on file and path names).
"""

import contextlib
import os
from collections.abc import Iterator, MutableMapping, Sequence

from .cache import FileCache, file_stamp
from .file_system import FileSystem
from .paths import is_hidden_name, may_be_alias
from .representation import is_settled

# The size of the cache, and the overhead of a name in memory, in bytes.
_CACHE_OCTETS = 8 * 1024 * 1024
_NAME_OVERHEAD = 120

Names = frozenset[str]


class Aliases:
    """Detects second names of hidden files below the document root. Several threads may use one object."""

    def __init__(self, file_system: FileSystem) -> None:
        self._file_system = file_system
        self._cache: FileCache[Names] = FileCache(_CACHE_OCTETS)

    def has_hidden(
        self, segments: Sequence[str], seen: MutableMapping[str, Names], monotonic: float, now: float
    ) -> bool:
        """Return whether any of *segments* is an alias of a hidden name. Raise OSError if a system call fails.

        *segments* are a path that starts at the document root. *seen* caches the names listed in this tick. *monotonic*
        and *now* are as in Tick.
        """
        for number, segment in enumerate(segments):
            if may_be_alias(segment):
                folder = os.sep.join(segments[:number])
                status = self._file_system.lstat(os.path.join(self._file_system.root, folder, segment))
                if segment in self._listed(folder, seen, monotonic, now):
                    continue
                names = self._names_of(status, folder)
                if not names or any(is_hidden_name(name, is_top=number == 0) for name in names):
                    return True
        return False

    def _listed(self, folder: str, seen: MutableMapping[str, Names], monotonic: float, now: float) -> Names:
        """Return the names listed in *folder* that look like aliases."""
        if (names := seen.get(folder)) is not None:
            return names
        status = self._file_system.stat(os.path.join(self._file_system.root, folder))
        key, state = (folder, None), file_stamp(status)
        if (names := self._cache.get(key, state, monotonic)) is None:
            with self._scandir(folder) as entries:
                names = frozenset(entry.name for entry in entries if "~" in entry.name or not entry.name.isascii())
            # A folder that has just changed could change again within the granularity of its times.
            if is_settled(status, now):
                memory = sum(len(name) + _NAME_OVERHEAD for name in names) + len(folder) + _NAME_OVERHEAD
                self._cache.put(key, state, names, memory, monotonic)
        seen[folder] = names
        return names

    def _names_of(self, status: os.stat_result, folder: str) -> list[str]:
        """Return the names in *folder* that belong to the file with this *status*."""
        others, likely = [], []
        with self._scandir(folder) as entries:
            for entry in entries:
                others.append(entry.name)
                if entry.inode() == status.st_ino:
                    likely.append(entry.name)

        def is_same(other: str) -> bool:
            with contextlib.suppress(OSError):
                path = os.path.join(self._file_system.root, folder, other)
                return os.path.samestat(self._file_system.lstat(path), status)
            return False

        # On some file systems the inode numbers of a listing differ from those of stat(). Then compare every entry.
        return list(filter(is_same, likely)) or list(filter(is_same, others))

    @contextlib.contextmanager
    def _scandir(self, folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with self._file_system.scandir(folder) as entries:
            yield self._file_system.listed(folder, entries)
