"""The document root: find the resource that a path names, and open its representation.

Takes the path of a request-target, gives a Representation, a Directory, a Redirect or a Refusal.
Knows no requests, methods, ranges or sockets. Next: paths and confinement. Then handler, which makes the response.

RFC 9110 §3.1, §3.2 (resources, representations), §8 (representation data and metadata), §12.5.3.

    a regular file      → Representation: its octets if it is small, else the open file, to be closed
    a folder            → Directory, or the Representation of its index, or a Redirect to its name with a slash
    anything else       → Refusal: 404, or 403 if the system denies access, or 503 if descriptors have run out
"""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from httpsock.http.handler import Tick
from httpsock.http.media_types import content_type_of, depends_on_content
from httpsock.http.messages import Refusal, Status
from httpsock.http.negotiation import accepted_codings
from httpsock.http.preconditions import etag_of

from .aliases import Aliases
from .cache import FileCache, FileStamp, file_stamp
from .file_system import FileSystem, read_whole
from .listing_budget import Allotment, ListingBudget
from .lookups import Lookup, LookupKey, Lookups, TickMemo, allows_staleness
from .paths import NOT_FOUND, ResourceName, holds_references, is_hidden_name, parse_path
from .representation import CODING_NAMES, CODINGS, Representation, etag_of_state, is_settled, validators_of

INDEX_NAMES = ("index.html", "index.htm")

# A file up to this length is read whole: its entity-tag is a digest of its octets, and it may be cached.
SMALL_FILE = 64 * 1024
# The size of the cache in memory, and the overhead of one file in addition to its content, in octets. The content is
# stored twice: alone for ranges, and after the head of its response.
_CACHE_OCTETS = 32 * 1024 * 1024
_CACHED_OVERHEAD = 2048
# The size and the overhead for the cache of results of the checks on siblings.
_VERDICTS_OCTETS = 1024 * 1024
_VERDICT_OVERHEAD = 768
# How much of a large file to read for its type and charset.
_MAX_SNIFFED_OCTETS = 8 * 1024
# The number of names that all listings in progress may hold: each takes up to 1 KiB. See ListingBudget.
_MAX_LISTED = 500_000

_MISSING = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.ENXIO,
    errno.ESTALE,
    errno.EISDIR,
)
# Temporary errors. EAGAIN: another process holds a lease on the file.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


class Entry(NamedTuple):
    """A file or folder in a listing. *modified* is in seconds since 1970."""

    name: str
    is_folder: bool
    length: int
    modified: float


class Directory(NamedTuple):
    """A folder without an index. The iteration over *entries* reads the folder.

    Iterate exactly once. The iteration raises OSError if the folder can't be read to its end. Close *allotment* to
    release the entries from the budget. *served* is the name of the document root, to be shown on the page.
    """

    name: ResourceName
    entries: Iterable[Entry]
    allotment: Allotment = Allotment(ListingBudget(0))
    served: str = "/"


class Redirect(NamedTuple):
    """A redirect to the folder *name*: the path lacks the final slash, or relative links would lead elsewhere."""

    name: ResourceName


Found = Representation | Directory | Redirect | Refusal


class DocumentRoot:
    """The folder that is served. Several threads may use one object."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        show_hidden: bool = False,
        follow_links: bool = False,
        siblings: bool = True,
        cache_control: str = "no-cache",
        file_system: Callable[..., FileSystem] = FileSystem,
    ) -> None:
        """Serve *directory*. Raise OSError if *directory* is not a folder, or can't be read.

        If *siblings* is true, send compressed siblings of files to clients that accept compressed content.
        """
        self.directory = os.path.abspath(directory)
        self._prefix = os.path.join(self.directory, "")
        # Reject an empty name, for which abspath() returns the current folder.
        os.scandir(self.directory if os.fspath(directory) else "").close()
        self._show_hidden = show_hidden
        self._siblings = siblings
        self._vary = "Accept-Encoding" if siblings else None
        self._cache_control = cache_control
        # Whether a fresh look-up may be used unchecked: the max-age of *cache_control* allows stale answers.
        self._allows_staleness = allows_staleness(cache_control)
        self._file_system = file_system(self.directory, follow_links=follow_links)
        self._stat = self._file_system.stat
        self._cache: FileCache[Representation] = self._file_system.cache(_CACHE_OCTETS)
        # For each possible sibling, the Content-Type of its file, or "" if it is not a valid sibling.
        self._verified: FileCache[str] = FileCache(_VERDICTS_OCTETS)
        self._lookups = Lookups(self._file_system)
        self._aliases = Aliases(self._file_system)
        self._budget = ListingBudget(_MAX_LISTED)

    def find(self, path: bytes, accept_encoding: bytes | None, tick: Tick) -> Found:
        """Return the resource at *path*. *accept_encoding* is the client's Accept-Encoding field.

        All requests of one *tick* of the event loop share each result, except for folders and open files.
        """
        memo = tick.memo.get(self)
        if memo is None:
            memo = tick.memo[self] = TickMemo(tick)
        # Written out here: as methods these two look-ups would cost 2 % of the time of a request.
        lookups = self._lookups.accepted.get(accept_encoding)
        lookup = lookups.get(path) if lookups else None
        found: Found | None = None
        if lookup is not None:
            found = lookup.found() if lookup.number == memo.number else self._recall(lookup, memo)
        if found is None:
            key = path, accept_encoding
            found = memo.found.get(key)
            if found is None:
                found = self._search(key, memo)
                # An open file or folder belongs to one response, which closes it.
                if not (isinstance(found, Directory) or (isinstance(found, Representation) and found.file)):
                    memo.found[key] = found
            else:
                self._file_system.use_memo(path)
        return found

    def _recall(self, lookup: Lookup, tick: TickMemo) -> Representation | None:
        """Return the cached result of *lookup*. If its files or its folder have changed, return None.

        If the user allows stale answers, a result less than a second old is returned without a check.
        """
        is_fresh = tick.monotonic < lookup.fresh_until
        if is_fresh and self._allows_staleness:
            return lookup.found()
        try:
            if file_stamp(self._stat(lookup.path)) != lookup.stamp:
                return None
            for path, stamp in lookup.siblings:
                if file_stamp(self._stat(path)) != stamp:
                    return None
            folder = lookup.folder
            if folder is not None and tick.folders.get(folder.relative) is not folder:
                if not self._lookups.holds_names(lookup, folder, tick):
                    return None
            if not is_fresh and not self._lookups.is_confirmed(lookup, tick):
                return None
        except OSError:
            return None
        lookup.number = tick.number
        return lookup.found()

    def _search(self, key: LookupKey, tick: TickMemo) -> Found:
        """Search the file system for the resource of a request, without the cache of look-ups."""
        path, accept_encoding = key
        name = parse_path(path)
        if isinstance(name, Refusal):
            return name
        try:
            if not self._show_hidden and self._is_hidden(name, tick):
                return NOT_FOUND
            status = self._stat(self._prefix + name.relative)
            if stat.S_ISREG(status.st_mode) and not name.is_folder:
                found = self._represent(name.relative, status, accept_encoding, tick)
                self._remember(key, name, name.relative, found, tick)
                return found
            if stat.S_ISDIR(status.st_mode):
                return self._find_in_folder(key, name, tick)
        except OSError as error:
            # EACCES behind a symlink may concern a file outside the root: answer 404, to reveal nothing.
            if isinstance(error, PermissionError) and self._passes_symlink(name.relative):
                return NOT_FOUND
            return refusal_of(error)
        return NOT_FOUND

    def _is_hidden(self, name: ResourceName, tick: TickMemo) -> bool:
        """Return whether any segment of *name* is hidden or an alias of a hidden name."""
        return name.is_hidden or (
            name.may_be_alias and self._aliases.has_hidden(name.segments, tick.listed_names, tick.monotonic, tick.time)
        )

    def _find_in_folder(self, key: LookupKey, name: ResourceName, tick: TickMemo) -> Found:
        """Return the index of a folder or, if there is no index, the folder as a Directory.

        If relative links would not lead into the folder, return a Redirect.
        """
        path, accept_encoding = key
        if not name.is_folder or not holds_references(path, name):
            self._file_system.check_folder(name.relative)
            return Redirect(name)
        for index_name in INDEX_NAMES:
            index = os.path.join(name.relative, index_name)
            if status_of_index := self._stat_regular(index):
                # Skip an index that is a symlink out of the root.
                with contextlib.suppress(FileNotFoundError):
                    found = self._represent(index, status_of_index, accept_encoding, tick)
                    # If an earlier index appears, a later index becomes wrong, so remember only the first.
                    if index_name == INDEX_NAMES[0]:
                        self._remember(key, name, index, found, tick)
                    return found
        allotment = Allotment(self._budget)
        served = os.path.basename(self.directory) or self.directory
        return Directory(name, allotment.charge(self._entries(name.relative)), allotment, served)

    def _represent(
        self, name: str, status: os.stat_result, accept_encoding: bytes | None, tick: TickMemo
    ) -> Representation:
        """Return the representation of a regular file, or of a compressed sibling if the client prefers one."""
        if codings := self._codings(accept_encoding):
            # Look at the folder before the siblings: a sibling that appears from now on changes it.
            self._lookups.folder(os.path.dirname(name), tick)
        for coding in codings:
            if sibling := self._sibling(name, coding, status, tick):
                return sibling
        return self._plain(name, status, tick)

    def _codings(self, accept_encoding: bytes | None) -> tuple[str, ...]:
        """Return the codings that the client prefers to the uncompressed file, best first."""
        return accepted_codings(accept_encoding, CODING_NAMES) if accept_encoding and self._siblings else ()

    def _remember(self, key: LookupKey, name: ResourceName, file: str, found: Representation, tick: TickMemo) -> None:
        """Store the result of a search in the cache of look-ups: the request *key* led to *file*.

        If the representation *found* is not in the file cache, store nothing.
        """
        cached = self._cache.entry((file, found.coding))
        # Whether a name is an alias depends on all names in its folder.
        if cached is not None and cached.value is found and not name.may_be_alias:
            original = self._cache.entry((file, None))
            self._lookups.remember(key, file, cached, tick, original=original, codings=self._codings(key[1]))

    def _plain(self, name: str, status: os.stat_result, tick: TickMemo) -> Representation:
        """Return the representation of the file *name* itself, which is not compressed."""
        return self._cached_file(name, None, file_stamp(status), tick) or self._open(name, None, tick)

    def _sibling(self, name: str, coding: str, status: os.stat_result, tick: TickMemo) -> Representation | None:
        """Return the representation of the compressed sibling in *coding*, or None if there is no valid sibling."""
        of_sibling = self._stat_regular(name + CODINGS[coding])
        if of_sibling is None:
            return None
        from .siblings import may_be_used  # few folders have compressed siblings

        if not may_be_used(of_sibling, status, tick.time):
            return None
        key, state = (name, coding), file_stamp(of_sibling) + file_stamp(status)
        try:
            if cached := self._cached_file(name, coding, state, tick):
                return cached
            media_type = self._verified.get(key, state, tick.monotonic)
            if media_type is None:
                media_type = self._verify(name, coding, status, tick)
                if is_settled(of_sibling, tick.time) and is_settled(status, tick.time):
                    self._verified.put(key, state, media_type, len(name) + _VERDICT_OVERHEAD, tick.monotonic)
            return self._open(name, coding, tick, state, media_type) if media_type else None
        except OSError as error:
            # Send the file itself if the sibling is unreadable or leads out of the root.
            if error.errno in _EXHAUSTED:
                raise
            return None

    def _verify(self, name: str, coding: str, status: os.stat_result, tick: TickMemo) -> str:
        """Return the Content-Type of the file *name*.

        If its compressed sibling is not verified as a copy, return "".
        """
        from .siblings import Original  # few folders have compressed siblings

        with contextlib.closing(self._plain(name, status, tick)) as plain:
            original = Original(plain.length, None if plain.file else plain.octets)
            descriptor = self._file_system.open(name + CODINGS[coding])
            with io.FileIO(descriptor) as sibling:

                def read(offset: int, length: int) -> bytes:
                    sibling.seek(offset)
                    return read_whole(descriptor, length)

                length = os.fstat(descriptor).st_size
                is_its_sibling = self._file_system.is_verified(name + CODINGS[coding], coding, read, length, original)
            return plain.media_type if is_its_sibling else ""

    def _cached_file(self, name: str, coding: str | None, state: FileStamp, tick: TickMemo) -> Representation | None:
        """Return the file from the cache. If its state has changed, or if its path has a symlink now, return None.

        *state* is the current state of the file. A comparison of states is not enough: if the folder is moved out of
        the root and a symlink takes its place, the file keeps its state.
        """
        key, folder = (name, coding), os.path.dirname(name)
        if folder and self._cache.entry(key) and self._lookups.folder(folder, tick).has_link:
            return None
        return self._cache.get(key, state, tick.monotonic)

    def _passes_symlink(self, relative: str) -> bool:
        """Return whether a symlink is on the path to *relative*. If symlinks are allowed, always return False."""
        return not self._file_system.follow_links and self._file_system.has_link(relative)

    def _open(
        self, name: str, coding: str | None, tick: TickMemo, verified: FileStamp = (), media_type: str = ""
    ) -> Representation:
        """Open the file *name* or its compressed sibling in *coding*.

        Read a small file. Cache the file if that is safe. A sibling has the content type *media_type*. Raise
        FileNotFoundError if the sibling has changed since it was *verified*.
        """
        relative = name + CODINGS[coding] if coding else name
        descriptor = self._file_system.open(relative)
        try:
            opened = os.fstat(descriptor)
            state = verified or file_stamp(opened)
            if not stat.S_ISREG(opened.st_mode) or state[: len(file_stamp(opened))] != file_stamp(opened):
                raise FileNotFoundError(errno.ENOENT, "changed while it was opened", relative)
            if opened.st_size > SMALL_FILE:
                media_type = media_type or self._type_of_large(name, descriptor)
                file = self._file_system.file(os.dup(descriptor))
                return self._represented(media_type, coding, opened, tick, file=file)
            # A file of /proc has content, but no length.
            octets = self._file_system.read(descriptor, opened.st_size or SMALL_FILE + 1)
            if len(octets) > SMALL_FILE:
                if os.fstat(descriptor).st_size:  # it was empty while a program rewrote it
                    return self._open(name, coding, tick, verified, media_type)
                raise OSError(errno.EFBIG, "longer than its length", relative)
        finally:
            os.close(descriptor)
        small = self._cache.get_stale((name, coding), state)
        # Mostly the file has not changed since it was last read. Then reuse its representation, with the digest.
        if small is None or not small.still_holds(octets, tick.time) or media_type not in ("", small.media_type):
            media_type = media_type or content_type_of(name, octets, is_whole=True)
            small = self._represented(media_type, coding, opened, tick, octets=octets)
        # If stat() does not know the length, its times do not change with the content, either.
        is_described = len(octets) == opened.st_size
        if is_described and is_settled(opened, tick.time) and not self._file_system.has_link(relative):
            memory = 2 * len(octets) + len(name) + _CACHED_OVERHEAD
            self._cache.put((name, coding), state, small, memory, tick.monotonic)
        return small

    def _type_of_large(self, name: str, descriptor: int) -> str:
        """Return the Content-Type of a large file. Read its first octets only if the name is not enough."""
        if not depends_on_content(name):
            return content_type_of(name, b"", is_whole=False)
        octets = self._file_system.read(descriptor, _MAX_SNIFFED_OCTETS)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return content_type_of(name, octets, is_whole=False)

    def _represented(
        self,
        media_type: str,
        coding: str | None,
        opened: os.stat_result,
        tick: TickMemo,
        *,
        octets: bytes = b"",
        file: io.FileIO | None = None,
    ) -> Representation:
        """Return the representation of a file with the status *opened*. Its content is *octets* or the open *file*."""
        return Representation(
            media_type,
            coding,
            self._cache_control,
            validators_of(etag_of_state(opened, tick.time) if file else etag_of(octets), opened, tick.time),
            length=opened.st_size if file else len(octets),
            octets=octets,
            file=file,
            vary=self._vary,
        )

    def _entries(self, relative: str) -> Iterator[Entry]:
        """Return an iterator over the visible entries of a folder. Raise OSError if the folder can't be opened."""
        opened = contextlib.ExitStack()
        entries = opened.enter_context(self._file_system.scandir(relative))

        def look_up() -> Iterator[Entry]:
            with opened:
                for entry in entries:
                    # Most names start with no full stop, and need no call.
                    if entry.name.startswith(".") and not self._is_nameable(relative, entry.name):
                        continue
                    try:
                        link = os.path.join(relative, entry.name) if entry.is_symlink() else None
                        status = self._stat_link(link) if link else entry.stat()
                    except OSError:
                        # The file is gone, or leads out of the root.
                        continue
                    kind = stat.S_IFMT(status.st_mode)
                    if kind in (stat.S_IFREG, stat.S_IFDIR):
                        yield Entry._make((entry.name, kind == stat.S_IFDIR, status.st_size, status.st_mtime))

        return self._file_system.listed(relative, look_up())

    def _is_nameable(self, relative: str, name: str) -> bool:
        """Return whether clients may request the file *name*."""
        return self._show_hidden or not is_hidden_name(name, is_top=not relative)

    def _stat_link(self, relative: str) -> os.stat_result:
        """Return the status of a symlink's target. Raise OSError if the target lies outside the document root."""
        status = self._stat(self._prefix + relative)
        if stat.S_ISDIR(status.st_mode):
            self._file_system.check_folder(relative)
        elif stat.S_ISREG(status.st_mode):
            os.close(self._file_system.open(relative))
        return status

    def _stat_regular(self, relative: str) -> os.stat_result | None:
        """Return the status of *relative* if it is a regular file, else None."""
        try:
            status = self._stat(self._prefix + relative)
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None


def refusal_of(error: OSError) -> Refusal:
    """Return the refusal for an error of the file system."""
    message = os.strerror(error.errno or 0)
    if error.errno in _MISSING:
        return NOT_FOUND
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refusal(Status.FORBIDDEN, "the server has no permission to read the file", "RFC 9110 §15.5.4")
    if error.errno in _EXHAUSTED:
        return Refusal(Status.SERVICE_UNAVAILABLE, f"no resources are free for now ({message})", "RFC 9110 §15.6.4")
    return Refusal(Status.INTERNAL_SERVER_ERROR, f"the file system failed ({message})", "RFC 9110 §15.6.1")
