"""Look-ups: the file found for a path, and the files and the folder that must be unchanged for it to be found again.

Takes stamps of files and folders, gives verdicts. Knows no HTTP but the names of its values. A page's file costs two
calls instead of five, and one of the two serves all files of its folder in a tick:

    GET /js/a.js, Accept-Encoding: gzip, br      stat(js/a.js)  lstat(js)  stat(js/a.js.br)  stat(js/a.js.gz)  read ...
    the same again                               stat(js/a.js)  lstat(js)

A missing sibling stays missing while its folder is unchanged: a new name changes the folder's times, another folder or
a symlink in its place has another inode. As for files, times prove that only if the folder changed long enough before,
and a few file systems do not keep them: so each look-up holds for a second at most, like the file that it found.

RFC 9110 §12.5.3 (Accept-Encoding).
"""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from httpsock.http.handler import Tick

from .aliases import Names
from .cache import STAMP_LENGTH, Cached, FileStamp, file_stamp
from .representation import Representation, is_settled
from .siblings import CODINGS

# A path and an Accept-Encoding.
Asked = tuple[bytes, bytes | None]

# All look-ups take at most some 10 MiB: this many, each with its paths and up to this many octets of what was asked.
_MAX_LOOKUPS = 4096
_MAX_ASKED_OCTETS = 512


# Returns a representation as long as the cache holds it, else None.
Reference = Callable[[], Representation | None]


class FolderState(NamedTuple):
    """A folder as it is in one tick; *has_link*: it is a symlink, or there is one on the way to it."""

    stamp: FileStamp
    has_link: bool
    is_settled: bool


class Lookup(NamedTuple):
    """A file found in *folder*, and the stamps of the *files* that the search saw, by their paths.

    *folder_stamp* is that of the folder if the look-up depends on missing names, else None.
    """

    found: Reference
    fresh_until: float
    folder: str
    folder_stamp: FileStamp | None
    files: tuple[tuple[str, FileStamp], ...]


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
        self, asked: Asked, file: str, cached: Cached[Representation], skipped: Sequence[str], tick: TickMemo
    ) -> None:
        """Store that *asked* led to the *cached* representation of *file*, past its siblings in the *skipped* codings.

        The folder of *file* must have been looked at before them: then one that has appeared since changes it.
        """
        path = os.path.join(self._root, file)
        # The state of a sibling is followed by that of its file.
        files = [(path, cached.state[-STAMP_LENGTH:])]
        if coding := cached.value.coding:
            files.append((path + CODINGS[coding], cached.state[:STAMP_LENGTH]))
        folder = os.path.dirname(file)
        folder_stamp = None
        if skipped:
            state = self.folder(folder, tick)
            present = _stamps_of_present((path + CODINGS[coding] for coding in skipped), tick.time)
            if present is None or not state.is_settled:
                return
            folder_stamp = state.stamp
            files += present
        found = self._reference(file, cached.value)
        self._put(asked, Lookup(found, cached.fresh_until, folder, folder_stamp, tuple(files)))

    def _put(self, asked: Asked, lookup: Lookup) -> None:
        path, accept_encoding = asked
        if len(path) + len(accept_encoding or b"") > _MAX_ASKED_OCTETS:
            return
        with self._writing:
            self._lookups.pop(asked, None)
            self._lookups[asked] = lookup
            if len(self._lookups) > _MAX_LOOKUPS:
                del self._lookups[next(iter(self._lookups))]


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

    That of a symlink is its own: so it never equals that of the file that stat() shows, and must be looked up again.
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
