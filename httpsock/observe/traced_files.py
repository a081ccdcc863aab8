"""The traced file system: emits an event for each call of a document root.

Each event goes to the tracer of the connection that the calling thread runs.

POSIX.1 (the calls); RFC 9110 §3.2 (representations).
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import Protocol, TypeVar

from httpsock.files.cache import FileCache, FileStamp, Key
from httpsock.files.file_system import FileSystem, Item
from httpsock.files.representation import Representation
from httpsock.files.siblings import Original, Read
from httpsock.tracing.events import visible_octets
from httpsock.tracing.sockets import Emit, trace_errors

_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink"}

Value = TypeVar("Value")


class _Current(Protocol):
    @property
    def emit(self) -> Emit: ...


class TracedFileSystem(FileSystem):
    """A file system that emits an event for each system call. The events go to *current.emit*."""

    def __init__(self, root: str, current: _Current, *, follow_links: bool = False) -> None:
        """Trace the calls for files below *root*. Events show names relative to *root*."""
        super().__init__(root, follow_links=follow_links)
        self._current = current
        self._prefix = os.path.join(root, "")
        self.stat = self._traced("stat", self.stat)
        self.lstat = self._traced("lstat", self.lstat)

    def _traced(self, call: str, look: Callable[[str], os.stat_result]) -> Callable[[str], os.stat_result]:
        """Return a function that calls *look*, which is stat() or lstat(), and emits an event."""

        def look_and_emit(path: str) -> os.stat_result:
            attributes = {"name": self._shown(path)}
            with trace_errors(self._current.emit, call, attributes):
                status = look(path)
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "neither")
            self._current.emit(call, {**attributes, "kind": kind, "octets": status.st_size})
            return status

        return look_and_emit

    def open(self, relative: str) -> int:
        """Open a file. Emit an event."""
        attributes = {"name": self._shown(relative)}
        with trace_errors(self._current.emit, "open", attributes):
            descriptor = super().open(relative)
        self._current.emit("open", attributes)
        return descriptor

    def check_folder(self, relative: str) -> None:
        """Check that *relative* is a folder that can be opened. Emit an event."""
        attributes = {"name": self._shown(relative)}
        with trace_errors(self._current.emit, "open", attributes):
            super().check_folder(relative)
        self._current.emit("open", attributes)

    def read(self, descriptor: int, length: int) -> bytes:
        """Read a file. Emit an event."""
        octets = super().read(descriptor, length)
        self._current.emit("read", {"octets": len(octets)})
        return octets

    def file(self, descriptor: int) -> FileIO:
        """Return a file object that emits an event for each read."""
        return _TracedFile(descriptor, self._current)

    @contextmanager
    def scandir(self, relative: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        """Open a folder, and emit an event. Yield an iterator of the folder's entries."""
        with ExitStack() as opened:
            with trace_errors(self._current.emit, "scandir", {"name": self._shown(relative)}):
                entries = opened.enter_context(super().scandir(relative))
            yield entries

    def listed(self, relative: str, entries: Iterator[Item]) -> Iterator[Item]:
        """Yield *entries*. At the end, emit an event with the number of entries."""
        count = 0
        for entry in entries:
            yield entry
            count += 1
        self._current.emit("scandir", {"name": self._shown(relative), "entries": count})

    def is_verified(self, name: str, coding: str, read: Read, length: int, original: Original) -> bool:
        """Return whether the compressed sibling *name* has the content of *original*.

        Emit one event for all reads, since there may be thousands of small reads. If the content differs, emit a second
        event.
        """
        octets = 0

        def read_and_count(offset: int, length: int) -> bytes:
            nonlocal octets
            part = read(offset, length)
            octets += len(part)
            return part

        is_verified = super().is_verified(name, coding, read_and_count, length, original)
        self._current.emit("read", {"octets": octets})
        if not is_verified:
            self._current.emit("unverified", {"name": self._shown(name), "coding": coding})
        return is_verified

    def reference(self, name: str, found: Representation) -> Callable[[], Representation | None]:
        """Return a weak reference to *found*. Each use of the reference emits an event."""
        refer = super().reference(name, found)

        def use() -> Representation | None:
            if value := refer():
                self._current.emit("cache", {"name": self._shown(name), "octets": value.length})
            return value

        return use

    def use_memo(self, path: bytes) -> None:
        """Emit an event, since a request for *path* reuses the result of an earlier request of this tick."""
        self._current.emit("memo", {"path": visible_octets(path)})

    def cache(self, capacity: int) -> FileCache[Value]:
        """Return a cache that emits an event for each hit."""
        return _TracedCache(capacity, self._current, self._shown)

    def _shown(self, path: str) -> str:
        """Return the name of *path*, relative to the document root, as safe text for an event."""
        name = path.removeprefix(self._prefix) if path != self.root else ""
        return visible_octets(os.fsencode(name)) or "."


class _TracedFile(FileIO):
    """A file object that emits an event for each read."""

    def __init__(self, descriptor: int, current: _Current) -> None:
        super().__init__(descriptor)
        self._current = current

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most *size* octets. Emit an event."""
        octets = super().read(size) or b""
        self._current.emit("read", {"octets": len(octets)})
        return octets


class _TracedCache(FileCache[Value]):
    """A cache that emits an event for each hit."""

    def __init__(self, capacity: int, current: _Current, shown: Callable[[str], str]) -> None:
        super().__init__(capacity)
        self._current = current
        self._shown = shown

    def get(self, key: Key, state: FileStamp, now: float) -> Value | None:
        """Return the value of *key*. If the value is a representation, emit an event."""
        value = super().get(key, state, now)
        if isinstance(value, Representation):
            self._current.emit("cache", {"name": self._shown(key[0]), "octets": value.length})
        return value
