"""Look-ups: cache the file found for a path. A result is valid only while certain files and a folder are unchanged.

Takes stamps of files and folders, and decides whether a result is still valid. Knows paths and codings, but no other
HTTP. A second request for a file costs two calls instead of five. One of the two calls serves all files of a folder in
a tick:

    GET /js/a.js, Accept-Encoding: gzip, br      stat(js/a.js)  lstat(js)  stat(js/a.js.br)  stat(js/a.js.gz)  read ...
    the same again                               stat(js/a.js)  lstat(js)

A missing sibling stays missing while its folder is unchanged: a new name changes the folder's times, and a replaced
folder has another inode. The times prove this only if the last change is older than their granularity. A few file
systems do not store these times. So after a second the file is read again and compared. If the user has allowed caches
a ``max-age``, a look-up is used without any call during this second.

RFC 9110 §12.5.3 (Accept-Encoding); RFC 9111 §5.2.2.1 (max-age).
"""

import itertools
import math
import os
import re
import stat
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from httpsock.http.handler import Tick

from .aliases import Names
from .cache import FRESH_SECONDS, STAMP_LENGTH, Cached, FileStamp, file_stamp
from .file_system import FileSystem
from .representation import CODINGS, Representation, is_settled, settled_at

# The path and the Accept-Encoding of a request.
LookupKey = tuple[bytes, bytes | None]
# The codings that a client prefers to no coding, best first. Clients with the same codings share their look-ups.
Codings = tuple[str, ...]

# The maximum number of look-ups, and the maximum octets of path and Accept-Encoding of a look-up. All look-ups take at
# most some 10 MiB.
_MAX_LOOKUPS = 4096
_MAX_KEY_OCTETS = 512
_MAX_ACCEPTED = 256
_MAX_FOLDERS = 1024
# A max-age of a second or more.
_MAX_AGE = 'max-age="?0*[1-9][0-9]*"?'

# The numbers of ticks: each tick at each document root has its own number.
_numbers = itertools.count(1)

# Returns a representation while the cache holds it, else None.
Reference = Callable[[], Representation | None]


class FolderState(NamedTuple):
    """The state of the folder *relative* in one tick. *path* is its absolute path.

    *above* are the paths of the folders between the document root and the folder. If the path has a symlink that the
    server may not follow, *has_link* is true. After the time *settled_at*, every change of the folder is sure to change
    its *stamp*.
    """

    relative: str
    path: str
    above: tuple[str, ...]
    stamp: FileStamp
    has_link: bool
    settled_at: float


class Lookup:
    """A cached result: a request led to the file *found* at *path*.

    The result is valid while the file has this *stamp*, its compressed *siblings* have their stamps, and the *folder*
    is no symlink. If any siblings are *missing*, the folder's stamp must be unchanged, too. *number* is the number of
    the tick that has checked the look-up last.
    *contents* are the files to compare when the look-up has expired. If a comparison would not be enough, *contents* is
    empty.

    Look-ups share objects where possible. A page has a thousand look-ups, and each separate object costs a miss in the
    processor's cache.
    """

    __slots__ = ("contents", "folder", "found", "fresh_until", "missing", "number", "path", "siblings", "stamp")

    def __init__(
        self,
        found: Reference,
        files: Sequence[tuple[str, FileStamp]],
        *,
        number: int,
        fresh_until: float,
        folder: FolderState | None,
        missing: tuple[str, ...],
        contents: tuple[tuple[str, weakref.ref[Representation]], ...],
    ) -> None:
        """Store a result. *files* are the paths and stamps of the file and of its compressed siblings."""
        self.found = found
        self.path, self.stamp = files[0]
        self.siblings = tuple(files[1:])
        self.number = number
        self.fresh_until = fresh_until
        self.folder = folder
        self.missing = missing
        self.contents = contents


class TickMemo:
    """The results that a document root has found in one tick. All requests of the tick share these results."""

    __slots__ = ("folders", "found", "listed_names", "monotonic", "number", "time")

    def __init__(self, tick: Tick) -> None:
        self.number = next(_numbers)
        self.time = tick.time
        self.monotonic = tick.monotonic
        # The resource found for each request without a look-up; only the document root knows its type.
        self.found: dict[LookupKey, Any] = {}
        self.folders: dict[str, FolderState] = {}
        # The names listed in each folder: see Aliases.
        self.listed_names: dict[str, Names] = {}


class Lookups:
    """A cache of look-ups below the document root. All threads share the cache.

    If the cache is full, an old look-up is evicted.
    """

    def __init__(self, file_system: FileSystem) -> None:
        self._file_system = file_system
        # Look-ups by the codings of the client, then by path.
        self._lookups: dict[Codings, dict[bytes, Lookup]] = {}
        # The same look-ups by Accept-Encoding, then by path.
        self.accepted: dict[bytes | None, dict[bytes, Lookup]] = {}
        self._folders: dict[str, FolderState] = {}
        self._writing = threading.Lock()

    def folder(self, relative: str, tick: TickMemo) -> FolderState:
        """Return the state of a folder. Ask the file system only once in each *tick*. Raise OSError if that fails.

        While the state is unchanged, return the same object, so that look-ups share this object.
        """
        state = tick.folders.get(relative)
        if state is None:
            state = tick.folders[relative] = self._folder_state(relative)
        return state

    def holds_names(self, lookup: Lookup, folder: FolderState, tick: TickMemo) -> bool:
        """Return whether the missing siblings of *lookup* are still missing, and *folder* is still no symlink.

        Siblings are compressed files, for example app.js.gz beside app.js.
        """
        state = self.folder(folder.relative, tick)
        if state.has_link or (lookup.missing and state.stamp != folder.stamp):
            return False
        lookup.folder = state
        return True

    def remember(
        self,
        key: LookupKey,
        file: str,
        cached: Cached[Representation],
        tick: TickMemo,
        *,
        original: Cached[Representation] | None,
        codings: Codings,
    ) -> None:
        """Cache a result: the request *key* led to *file*, and *cached* is the representation of *file*.

        *codings* are the codings that the client prefers, best first. *original* is the uncompressed file if it is
        cached. Before the caller searches for compressed siblings, it must call ``folder`` for the file's folder. Then
        a sibling that appears after the search changes the folder's stamp, and the result is no longer valid.
        """
        path = os.path.join(self._file_system.root, file)
        # The state of a sibling ends with the state of its file.
        files = [(path, cached.state[-STAMP_LENGTH:])]
        contents = [(file, weakref.ref(original.value))] if original else []
        skipped = codings
        if coding := cached.value.coding:
            files.append((path + CODINGS[coding], cached.state[:STAMP_LENGTH]))
            contents.append((file + CODINGS[coding], weakref.ref(cached.value)))
            skipped = codings[: codings.index(coding)]
        siblings = tuple(path + CODINGS[coding] for coding in skipped)
        folder = os.path.dirname(file)
        state = self.folder(folder, tick) if siblings or folder else None
        present = self._stamps_of_present(siblings, tick.time)
        if present is None or (state and (state.has_link or (siblings and state.settled_at >= tick.time))):
            return
        lookup = Lookup(
            self._file_system.reference(file, cached.value),
            (*files, *present),
            number=tick.number,
            fresh_until=cached.fresh_until,
            folder=state,
            missing=tuple(set(siblings) - dict(present).keys()),
            # A skipped sibling may be repaired without a new stamp. A used sibling is compared with its original.
            contents=tuple(contents) if len(contents) == len(files) and not present else (),
        )
        self._put(key, codings, lookup)

    def is_confirmed(self, lookup: Lookup, tick: TickMemo) -> bool:
        """Return whether an expired look-up is still valid. Extend a valid look-up by a second.

        The caller has compared the stamps. This function compares the content of the files with the cached octets. This
        function also checks that no new compressed sibling exists.
        """
        if not lookup.contents or self._stamps_of_present(lookup.missing, tick.time) != []:
            return False
        for name, reference in lookup.contents:
            representation = reference()
            # The stamps include the length.
            is_valid = representation and representation.still_holds(self._read(name, representation.length), tick.time)
            if not is_valid:
                return False
        lookup.fresh_until = tick.monotonic + FRESH_SECONDS
        return True

    def _read(self, relative: str, length: int) -> bytes:
        """Return the first *length* octets of the file *relative*. Raise OSError if the file can't be opened."""
        descriptor = self._file_system.open(relative)
        try:
            return self._file_system.read(descriptor, length)
        finally:
            os.close(descriptor)

    def _folder_state(self, relative: str) -> FolderState:
        """Return the state of the folder *relative* now.

        If the folder has not changed since the last call, return the same object as then.
        """
        known = self._folders.get(relative)
        path, above = (known.path, known.above) if known else self._paths_of(relative)
        status = self._folder_status(relative, path, above)
        stamp = file_stamp(status) if status else ()
        if known and known.stamp == stamp:
            return known
        if len(self._folders) >= _MAX_FOLDERS:
            self._folders.clear()
        settled = settled_at(status) if status else math.inf
        state = FolderState(relative, path, above, stamp, has_link=status is None, settled_at=settled)
        self._folders[relative] = state
        return state

    def _paths_of(self, relative: str) -> tuple[str, tuple[str, ...]]:
        """Return the absolute path of a folder, and the paths of all folders between the document root and it."""
        names = relative.split(os.sep) if relative else []
        paths = list(itertools.accumulate(names, os.path.join, initial=self._file_system.root))
        return paths[-1], tuple(paths[1:-1])

    def _folder_status(self, relative: str, path: str, above: tuple[str, ...]) -> os.stat_result | None:
        """Return the status of a folder. If the path has a symlink that may not be followed, return None."""
        # The document root itself may be a symlink.
        if self._file_system.follow_links or not relative:
            return self._file_system.stat(path)
        for folder in above:
            if stat.S_ISLNK(self._file_system.lstat(folder).st_mode):
                return None
        status = self._file_system.lstat(path)
        return None if stat.S_ISLNK(status.st_mode) else status

    def _stamps_of_present(self, paths: Iterable[str], now: float) -> list[tuple[str, FileStamp]] | None:
        """Return the stamps of the *paths* that exist.

        If one of these files has just changed, or if an error occurs, return None.

        For a symlink, return the stamp of the symlink itself. A later comparison with the target's stamp then fails, so
        the path is searched again.
        """
        stamps = []
        for path in paths:
            try:
                status = self._file_system.lstat(path)
            except FileNotFoundError:
                continue
            except OSError:
                return None
            if not is_settled(status, now):
                return None
            stamps.append((path, file_stamp(status)))
        return stamps

    def _put(self, key: LookupKey, codings: Codings, lookup: Lookup) -> None:
        path, accept_encoding = key
        if len(path) + len(accept_encoding or b"") > _MAX_KEY_OCTETS:
            return
        with self._writing:
            if len(self.accepted) >= _MAX_ACCEPTED:
                self.accepted.clear()
            lookups = self.accepted[accept_encoding] = self._lookups.setdefault(codings, {})
            lookups.pop(path, None)
            lookups[path] = lookup
            if sum(map(len, self._lookups.values())) > _MAX_LOOKUPS:
                fullest = max(self._lookups.values(), key=len)
                del fullest[next(iter(fullest))]


def allows_staleness(cache_control: str) -> bool:
    """Return whether *cache_control* lets a cached response be used unchecked for one second (RFC 9111 §4.2)."""
    directives = [directive.strip().lower() for directive in cache_control.split(",")]
    if any(directive.startswith(("no-cache", "no-store")) for directive in directives):
        return False
    return any(re.fullmatch(_MAX_AGE, directive) for directive in directives)
