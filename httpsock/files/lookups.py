"""Look-ups: remember the file found for a path, with the files and the folder that must be unchanged to use it again.

Takes stamps of files and folders, gives verdicts. It compares Accept-Encoding as bytes, and knows no other HTTP. To
find a file of a page again costs two calls instead of five, and one of the two serves all files of its folder in a
tick:

    GET /js/a.js, Accept-Encoding: gzip, br      stat(js/a.js)  lstat(js)  stat(js/a.js.br)  stat(js/a.js.gz)  read ...
    the same again                               stat(js/a.js)  lstat(js)

A missing sibling stays missing while its folder is unchanged: a new name changes the folder's times, and another folder
or a symlink in its place has another inode. Times prove that only if the last change is older than their granularity,
and a few file systems do not store them: so after a second the file is read again and compared. Until then, if the user
has allowed caches a ``max-age``, a look-up is used without any call.

RFC 9110 §12.5.3 (Accept-Encoding); RFC 9111 §5.2.2.1 (max-age).
"""

import os
import re
import stat
import threading
from _weakref import ref  # the source of weakref: to import that takes 0.7 ms of start-up
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from httpsock.http.handler import Tick

from .cache import FRESH_SECONDS, STAMP_LENGTH, Cached, FileStamp, file_stamp
from .confinement import open_beneath
from .representation import CODINGS, Representation, is_settled

if TYPE_CHECKING:
    from .aliases import Names

# The path and the Accept-Encoding of a request.
Asked = tuple[bytes, bytes | None]

# The number of look-ups, and the maximum octets of path and Accept-Encoding of each: all take at most some 10 MiB.
_MAX_LOOKUPS = 4096
_MAX_ASKED_OCTETS = 512
# A max-age of a second or more.
_MAX_AGE = 'max-age="?0*[1-9][0-9]*"?'

# Returns a representation as long as the cache holds it, else None.
Reference = Callable[[], Representation | None]


class FolderState(NamedTuple):
    """A folder as it is in one tick; *has_link*: the folder, or one above it, is a symlink."""

    stamp: FileStamp
    has_link: bool
    is_settled: bool


class Lookup(NamedTuple):
    """The file *found* in *folder* for what was *asked*.

    It is valid while the *files* that the search saw, pairs of a path and a stamp, are unchanged. If it depends on
    *missing* paths, it also needs the *folder_stamp*; else that is None. *contents* has the files whose octets can be
    compared to make it fresh again; it is empty if the look-up depends on other octets, too.
    """

    asked: Asked
    found: Reference
    fresh_until: float
    folder: str
    folder_stamp: FileStamp | None
    files: tuple[tuple[str, FileStamp], ...]
    missing: tuple[str, ...]
    contents: tuple[tuple[str, ref[Representation]], ...]


class TickMemo:
    """The memo of a document root in one tick: its results serve all requests of that tick."""

    __slots__ = ("folders", "found", "listed_names", "monotonic", "time")

    def __init__(self, tick: Tick) -> None:
        self.time = tick.time
        self.monotonic = tick.monotonic
        # The resource found for each request; only the document root knows its type.
        self.found: dict[Asked, Any] = {}
        self.folders: dict[str, FolderState] = {}
        # The names listed in each folder: see Aliases.
        self.listed_names: dict[str, Names] = {}


class Lookups:
    """A cache of look-ups below *root*; the oldest is evicted. Shared by all threads, like FileCache."""

    def __init__(self, root: str, *, follow_links: bool, reference: Callable[[str, Representation], Reference]) -> None:
        """Remember look-ups below *root*; *reference* makes a weak reference to the representation of a file."""
        self._reference = reference
        self._root = root
        self._follow_links = follow_links
        self._lookups: dict[Asked, Lookup] = {}
        self._writing = threading.Lock()
        self.get = self._lookups.get

    def folder(self, relative: str, tick: TickMemo) -> FolderState:
        """Return the state of a folder; look at it once in each *tick*. Raise OSError if that fails."""
        if (state := tick.folders.get(relative)) is None:
            state = folder_state(self._root, relative, tick.time, follow_links=self._follow_links)
            tick.folders[relative] = state
        return state

    def remember(
        self,
        asked: Asked,
        file: str,
        cached: Cached[Representation],
        tick: TickMemo,
        *,
        original: Cached[Representation] | None,
        skipped: Sequence[str],
    ) -> None:
        """Store that *asked* led to the *cached* representation of *file*.

        *skipped* are the codings that the client prefers, but in which no sibling could be used. The folder of *file*
        must have been looked at before the siblings: a sibling that appears later changes the folder. A representation
        in a coding also depends on the *original*, if that is cached.
        """
        path = os.path.join(self._root, file)
        # The state of a sibling is followed by that of its file.
        files = [(path, cached.state[-STAMP_LENGTH:])]
        contents = [(path, ref(original.value))] if original else []
        if coding := cached.value.coding:
            files.append((path + CODINGS[coding], cached.state[:STAMP_LENGTH]))
            contents.append((files[1][0], ref(cached.value)))
        siblings = tuple(path + CODINGS[coding] for coding in skipped)
        folder = os.path.dirname(file)
        state = self.folder(folder, tick) if siblings else None
        present = _stamps_of_present(siblings, tick.time)
        if present is None or (state and not state.is_settled):
            return
        found = self._reference(file, cached.value)
        lookup = Lookup(
            asked,
            found,
            cached.fresh_until,
            folder,
            state and state.stamp,
            (*files, *present),
            tuple(set(siblings) - dict(present).keys()),
            # A skipped sibling may be repaired without a new stamp; a used one is compared together with its original.
            tuple(contents) if len(contents) == len(files) and not present else (),
        )
        self._put(asked, lookup)

    def is_confirmed(self, lookup: Lookup, tick: TickMemo) -> bool:
        """Return whether an expired look-up is still valid; if so, make it fresh for another second.

        The caller has compared its stamps. Here the files must still have the octets that were read, and the missing
        siblings must still be missing.
        """
        if not lookup.contents or any(map(os.path.lexists, lookup.missing)):
            return False
        for path, read in lookup.contents:
            representation = read()
            if representation is None or self._read(path, representation.length + 1) != representation.octets:
                return False
        self._put(lookup.asked, lookup._replace(fresh_until=tick.monotonic + FRESH_SECONDS))
        return True

    def _read(self, path: str, length: int) -> bytes:
        """Return the first octets of a file, to compare them; never send them, since a symlink may have replaced it."""
        descriptor = open_beneath(self._root, path, follow_links=True)
        try:
            return os.read(descriptor, length)
        finally:
            os.close(descriptor)

    def _put(self, asked: Asked, lookup: Lookup) -> None:
        path, accept_encoding = asked
        if len(path) + len(accept_encoding or b"") > _MAX_ASKED_OCTETS:
            return
        with self._writing:
            self._lookups.pop(asked, None)
            self._lookups[asked] = lookup
            if len(self._lookups) > _MAX_LOOKUPS:
                del self._lookups[next(iter(self._lookups))]


def allows_staleness(cache_control: str) -> bool:
    """Return whether caches may send a response with this Cache-Control for a second without asking (RFC 9111 §4.2)."""
    directives = [directive.strip().lower() for directive in cache_control.split(",")]
    if any(directive.startswith(("no-cache", "no-store")) for directive in directives):
        return False
    return any(re.fullmatch(_MAX_AGE, directive) for directive in directives)


def folder_state(root: str, relative: str, now: float, *, follow_links: bool) -> FolderState:
    """Return the state of the folder *relative* beneath *root*; with *follow_links* no symlink matters."""
    status = os.stat(os.path.join(root, relative) if follow_links else root)
    if relative and not follow_links:
        below = root
        for name in relative.split(os.sep):
            below = os.path.join(below, name)
            status = os.lstat(below)
            if stat.S_ISLNK(status.st_mode):
                return FolderState(file_stamp(status), has_link=True, is_settled=False)
    return FolderState(file_stamp(status), has_link=False, is_settled=is_settled(status, now))


def _stamps_of_present(paths: Iterable[str], now: float) -> list[tuple[str, FileStamp]] | None:
    """Return the stamps of those of *paths* that exist; None if a file has changed lately, or lstat() fails.

    A symlink gets its own stamp, not that of its target; so the stamp never matches, and the path is looked up anew.
    """
    stamps = []
    for path in paths:
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        if not is_settled(status, now):
            return None
        stamps.append((path, file_stamp(status)))
    return stamps
