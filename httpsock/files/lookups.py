"""Look-ups: the file found for a path, and the files and the folder that must be unchanged for it to be found again.

Takes stamps of files and folders, gives verdicts. It compares Accept-Encoding as bytes, and knows no other HTTP. A
page's file costs two calls instead of five, and one of the two serves all files of its folder in a tick:

    GET /js/a.js, Accept-Encoding: gzip, br      stat(js/a.js)  lstat(js)  stat(js/a.js.br)  stat(js/a.js.gz)  read ...
    the same again                               stat(js/a.js)  lstat(js)

A missing sibling stays missing while its folder is unchanged: a new name changes the folder's times, another folder or
a symlink in its place has another inode. Times prove that only if the last change is old enough, and a few file systems
do not keep them: so after a second the file is read again and compared. Until then, if the user has allowed caches a
``max-age``, a look-up is believed without any call.

RFC 9110 §12.5.3 (Accept-Encoding); RFC 9111 §5.2.2.1 (max-age).
"""

import os
import re
import stat
import threading
from _weakref import ref  # the source of weakref, whose import takes 0.7 ms of start-up
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from httpsock.http.handler import Tick

from .aliases import Names
from .cache import FRESH_SECONDS, STAMP_LENGTH, Cached, FileStamp, file_stamp
from .confinement import open_beneath
from .representation import Representation, is_settled
from .siblings import CODINGS

# A path and an Accept-Encoding.
Asked = tuple[bytes, bytes | None]

# All look-ups take at most some 10 MiB: this many, each with its paths and up to this many octets of what was asked.
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
    """The file *found* in *folder* for what was *asked*, and the stamps of the *files* that the search saw, by path.

    *folder_stamp* is that of the folder if the look-up depends on *missing* paths, else None. It also depends on the
    *contents* of these files, as read for the representations; there are none if other contents matter, too.
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
    """What a document root has looked at in one tick, for all requests of that tick."""

    __slots__ = ("folders", "found", "listed_names", "monotonic", "time")

    def __init__(self, tick: Tick) -> None:
        self.time = tick.time
        self.monotonic = tick.monotonic
        # By what was asked: the resource, which the document root alone knows.
        self.found: dict[Asked, Any] = {}
        self.folders: dict[str, FolderState] = {}
        # Names that folders list: see Aliases.
        self.listed_names: dict[str, Names] = {}


class Lookups:
    """A memo of look-ups below *root*; the oldest is evicted. Shared by all threads, like FileCache."""

    def __init__(self, root: str, *, follow_links: bool, reference: Callable[[str, Representation], Reference]) -> None:
        """Remember look-ups below *root*; *reference* makes the reference to the representation of a file."""
        self._reference = reference
        self._root = root
        self._follow_links = follow_links
        self._lookups: dict[Asked, Lookup] = {}
        self._writing = threading.Lock()
        self.get = self._lookups.get

    def folder(self, relative: str, tick: TickMemo) -> FolderState:
        """Return the state of a folder, looked at once in each *tick*. Raise OSError from the system."""
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
        """Store that *asked* led to the *cached* representation of *file*, past its siblings in the *skipped* codings.

        The folder of *file* must have been looked at before its siblings: a sibling that appears later changes it. A
        representation in a coding also depends on the *original*, if that is cached.
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

        The caller has compared its stamps. The files must have the octets that were read, and no missing sibling may
        have appeared.
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
        """Return the first octets of a file, to compare and never to send: a symlink may have replaced it."""
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
    """Return the stamps of those of *paths* that exist; None if one has changed lately, or can't be seen.

    A symlink gets its own stamp, which never equals that of its target: the path is looked up again each time.
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
