"""Resources: which resource a path names under the document root, opened as its representation.

Takes a path as it stands in a request-target, gives a Representation, a Directory, a Redirect or a Refusal.
Knows nothing of requests, methods, ranges or sockets.

RFC 9110 §3.1, §3.2 (resources, representations), §8 (representation data and metadata), §12.5.3.

    one regular file    → Representation: its octets if it is small, else the open file, to be closed
    a folder            → Directory, or the Representation of its index, or a Redirect to its name with a slash
    anything else       → Refusal: 404, 403 where the system forbids, 503 where descriptors have run out
"""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from .claims import Claim, Claims
from .confinement import check_folder_below, has_link, open_below, scandir_below
from .grammar import can_be_http_date, format_http_date
from .kept import KeptFiles, file_state
from .mediatypes import media_type_of
from .messages import FileSlice, Part, Refusal, Response, Status
from .negotiation import accepted_codings
from .paths import NOT_FOUND, Name, is_hidden_name, parse_path
from .preconditions import Validators, etag_of

INDEX_NAMES = ("index.html", "index.htm")
# Content codings of siblings made beforehand, best first, with what is added to the name.
CODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
_CODING_NAMES = tuple(CODINGS)

# A file up to this length is read whole: its entity-tag is a digest of its octets, and it may be kept.
SMALL_FILE = 64 * 1024
# What all kept files may take up in memory, and what one takes up besides its content, in octets. Its content is there
# twice: by itself for ranges, and behind the head of its response.
_MAX_KEPT = 32 * 1024 * 1024
_KEPT_OVERHEAD = 2048
# How many names all listings that are made or read at one time may hold: each takes up to 1 KiB.
_MOST_LISTED = 500_000
# No file system in use keeps times coarser than this (FAT: 2 s). A file changed within this time could change
# again and keep its times, so it is not kept in memory.
_COARSEST_SECONDS = 2.0
# Linux stamps files with a clock that ticks every 1 to 10 ms. A large file changed within a few ticks has a weak
# entity-tag: a strong one would let a client splice two versions (RFC 9110 §8.8.1).
_TICKS_SECONDS = 0.05
# A sibling older than its file was made from another version of it; copying may have taken up to 2 s.
_SIBLING_SLACK_NS = 2_000_000_000

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
# What may be otherwise in a moment; EAGAIN: another process holds a lease on the file.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


class Representation:
    """A file as it is sent: its metadata, and either its octets or the open file. It never changes."""

    def __init__(
        self,
        media_type: str,
        coding: str | None,
        cache_control: str,
        validators: Validators,
        *,
        length: int,
        octets: bytes = b"",
        file: io.FileIO | None = None,
        vary: str = "Accept-Encoding",
    ) -> None:
        self.media_type = media_type
        self.coding = coding
        self.cache_control = cache_control
        self.validators = validators
        self.length = length
        self.octets = octets
        self.file = file
        self.vary = vary

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The fields that describe it (RFC 9110 §8), which a 200 sends all."""
        encoding = (("Content-Encoding", self.coding),) if self.coding else ()
        return (("Content-Type", self.media_type), *encoding, ("Accept-Ranges", "bytes"), *self.caching_fields)

    @property
    def caching_fields(self) -> tuple[tuple[str, str], ...]:
        """The fields that a cache goes by, which a 304 repeats (RFC 9110 §15.4.5)."""
        last_modified = self.validators.last_modified
        dated = () if last_modified is None else (("Last-Modified", format_http_date(last_modified)),)
        etag = ("ETag", self.validators.etag.decode("ascii"))
        return (etag, *dated, ("Cache-Control", self.cache_control), ("Vary", self.vary))

    @cached_property
    def whole(self) -> Response:
        """The response that sends all of it; made once for a file that is kept."""
        return Response(Status.OK, self.fields, (self.part(0, self.length),), self.file)

    @cached_property
    def not_modified(self) -> Response:
        """The response that says that the client has it already; it sends nothing of it."""
        return Response(Status.NOT_MODIFIED, self.caching_fields)

    def part(self, offset: int, length: int) -> Part:
        """Return *length* octets from *offset* on, to be sent."""
        if self.file is None:
            return self.octets[offset : offset + length]
        return FileSlice(self.file, offset, length)

    def close(self) -> None:
        """Close the file, if one is open."""
        if self.file is not None:
            self.file.close()


class Entry(NamedTuple):
    """One name in a folder; *modified* in seconds since 1970."""

    name: str
    is_folder: bool
    length: int
    modified: float


class Directory(NamedTuple):
    """A folder without an index, and the entries that may be seen, which are looked up as they are iterated over.

    They can be iterated over once, and must be; OSError is raised there if the folder can't be read to its end. What
    is made of them takes up memory until *claim* is closed.
    """

    name: Name
    entries: Iterable[Entry]
    claim: Claim = Claim(Claims(0))


class Redirect(NamedTuple):
    """A folder whose name was given without its slash."""

    name: Name


Found = Representation | Directory | Redirect | Refusal


class Moment:
    """One turn of a worker, as seen from below: what time it is, and what was found in it.

    All requests that are answered in a turn had arrived before it began: what was found for the first of them holds
    for all. So a file that many ask for at once is looked up once, and yet nobody sees it as it was before they asked.
    """

    __slots__ = ("_found", "_root", "linked_folders", "monotonic", "second", "time")

    def __init__(self, root: "DocumentRoot", now: float, monotonic: float) -> None:
        """*now* in seconds since 1970, for fields; *monotonic* in seconds since some time or other, for deadlines."""
        self.time = now
        self.second = int(now)
        self.monotonic = monotonic
        self._root = root
        self._found: dict[tuple[bytes, bytes | None], Found] = {}
        # For the root: whether a symlink is on the way to a folder.
        self.linked_folders: dict[str, bool] = {}

    def find(self, path: bytes, accept_encoding: bytes | None) -> Found:
        """Return what *path* names, for a client with this Accept-Encoding."""
        asked = path, accept_encoding
        found = self._found.get(asked)
        if found is None:
            found = self._root.find(path, accept_encoding, self)
            # An open file or folder has one reader, who closes it.
            if not (isinstance(found, Directory) or (isinstance(found, Representation) and found.file)):
                self._found[asked] = found
        return found

    def end(self) -> None:
        """Forget what was found: the turn is over, but who is connected may hold on to its moment for long."""
        self._found.clear()
        self.linked_folders.clear()


class DocumentRoot:
    """The folder that is served. Any number of threads may ask at once: nothing in it changes but what is kept."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        show_hidden: bool = False,
        follow_links: bool = False,
        cache_control: str = "no-cache",
    ) -> None:
        """Serve *directory*. Raises NotADirectoryError, FileNotFoundError or PermissionError if it can't be."""
        self.directory = os.path.abspath(directory)
        self._prefix = os.path.join(self.directory, "")
        # An empty name is no folder, also where abspath() would take it for the current one.
        os.scandir(self.directory if os.fspath(directory) else "").close()
        self._show_hidden = show_hidden
        self._follow_links = follow_links
        self._cache_control = cache_control
        self._kept: KeptFiles[Representation] = KeptFiles(_MAX_KEPT)
        self._claims = Claims(_MOST_LISTED)
        # A root that is traced has another.
        self._stat: Callable[[str], os.stat_result] = os.stat

    def find(self, path: bytes, accept_encoding: bytes | None, moment: Moment) -> Found:
        """Return what *path* names at this *moment*, for a client with this Accept-Encoding."""
        name = parse_path(path)
        if isinstance(name, Refusal):
            return name
        if name.is_hidden and not self._show_hidden:
            return NOT_FOUND
        try:
            status = self._stat(self._prefix + name.relative)
            if stat.S_ISREG(status.st_mode) and not name.is_folder:
                return self._represent(name.relative, status, accept_encoding, moment)
            if stat.S_ISDIR(status.st_mode):
                return self._find_in_folder(name, accept_encoding, moment)
        except OSError as error:
            # What the system forbids behind a link may lie outside, and nothing is said of what there is outside.
            if isinstance(error, PermissionError) and self._may_lead_out(name.relative):
                return NOT_FOUND
            return refusal_of(error)
        return NOT_FOUND

    def _find_in_folder(self, name: Name, accept_encoding: bytes | None, moment: Moment) -> Found:
        """Return what a folder is represented by: its index, or the list of its entries."""
        if not name.is_folder:
            check_folder_below(self.directory, name.relative, follow_links=self._follow_links)
            return Redirect(name)
        for index_name in INDEX_NAMES:
            index = os.path.join(name.relative, index_name)
            if status_of_index := self._stat_regular(index):
                # One that leads out of the root is none.
                with contextlib.suppress(FileNotFoundError):
                    return self._represent(index, status_of_index, accept_encoding, moment)
        claim = Claim(self._claims)
        return Directory(name, claim.count(self._entries(name.relative)), claim)

    def _represent(
        self, name: str, status: os.stat_result, accept_encoding: bytes | None, moment: Moment
    ) -> Representation:
        """Return the representation of a regular file: one of its siblings if the client prefers its coding."""
        for coding in accepted_codings(accept_encoding, _CODING_NAMES) if accept_encoding else ():
            of_sibling = self._stat_regular(name + CODINGS[coding])
            if of_sibling and of_sibling.st_mtime_ns >= status.st_mtime_ns - _SIBLING_SLACK_NS:
                try:
                    return self._kept_file(name, coding, of_sibling, moment) or self._open(name, coding, moment.time)
                except OSError as error:
                    # A sibling that may not be read, or leads outside, does not hide the file itself.
                    if error.errno in _EXHAUSTED:
                        raise
        return self._kept_file(name, None, status, moment) or self._open(name, None, moment.time)

    def _kept_file(
        self, name: str, coding: str | None, status: os.stat_result, moment: Moment
    ) -> Representation | None:
        """Return what is kept of a file whose stat() was *status* just now, unless a symlink leads to it by now.

        Its folder may have been moved out of the root and a link put in its place; the file itself is the same then.
        """
        kept = self._kept.get((name, coding), file_state(status))
        folder = name.rpartition(os.sep)[0]
        if kept is None or not folder:
            return kept
        is_linked = moment.linked_folders.get(folder)
        if is_linked is None:
            is_linked = moment.linked_folders[folder] = self._may_lead_out(folder)
        return None if is_linked else kept

    def _may_lead_out(self, relative: str) -> bool:
        """Return whether there is a symlink on the way to *relative*, where links are not to lead outside."""
        return not self._follow_links and has_link(self.directory, relative)

    def _open(self, name: str, coding: str | None, now: float) -> Representation:
        """Return the file called *name*, or its sibling in *coding*, opened or read, and kept if that is safe."""
        relative = name + CODINGS[coding] if coding else name
        media_type = media_type_of(name)
        descriptor = open_below(self.directory, relative, follow_links=self._follow_links)
        try:
            opened = os.fstat(descriptor)
            if not stat.S_ISREG(opened.st_mode):
                raise FileNotFoundError(errno.ENOENT, "no regular file any more", relative)
            if opened.st_size > SMALL_FILE:
                return self._large(io.FileIO(os.dup(descriptor)), opened, media_type, coding, now)
            octets = _read(descriptor, opened.st_size)
        finally:
            os.close(descriptor)
        validators = _validators(etag_of(octets), opened, now)
        small = Representation(media_type, coding, self._cache_control, validators, length=len(octets), octets=octets)
        is_settled = max(opened.st_mtime, opened.st_ctime) + _COARSEST_SECONDS < now
        if is_settled and not has_link(self.directory, relative):
            self._kept.keep((name, coding), file_state(opened), small, 2 * len(octets) + len(name) + _KEPT_OVERHEAD)
        return small

    def _large(
        self, file: io.FileIO, opened: os.stat_result, media_type: str, coding: str | None, now: float
    ) -> Representation:
        """Return the open *file* as a representation; its entity-tag is made of all that changes when the file does."""
        weak = "W/" if opened.st_ctime + _TICKS_SECONDS > now else ""
        etag = f'{weak}"{opened.st_ino:x}-{opened.st_size:x}-{opened.st_mtime_ns:x}-{opened.st_ctime_ns:x}"'
        validators = _validators(etag.encode("ascii"), opened, now)
        return Representation(media_type, coding, self._cache_control, validators, length=opened.st_size, file=file)

    def _entries(self, relative: str) -> Iterator[Entry]:
        """Return the entries of a folder that a client could ask for. Raises OSError if it can't be opened."""
        opened = contextlib.ExitStack()
        entries = opened.enter_context(scandir_below(self.directory, relative, follow_links=self._follow_links))

        def look_up() -> Iterator[Entry]:
            with opened:
                for entry in entries:
                    if self._is_nameable(relative, entry.name) and (seen := self._entry(relative, entry)):
                        yield seen

        return look_up()

    def _entry(self, relative: str, entry: os.DirEntry[str]) -> Entry | None:
        """Return *entry* as it is listed, or None if it is gone, leads outside, or is neither file nor folder."""
        try:
            status = self._stat_link(os.path.join(relative, entry.name)) if entry.is_symlink() else entry.stat()
        except OSError:
            return None
        is_folder = stat.S_ISDIR(status.st_mode)
        if not is_folder and not stat.S_ISREG(status.st_mode):
            return None
        return Entry(entry.name, is_folder, status.st_size, status.st_mtime)

    def _is_nameable(self, relative: str, name: str) -> bool:
        """Return whether a path can spell *name*, and may."""
        if "\\" in name:
            return False
        return self._show_hidden or not is_hidden_name(name, is_top=not relative)

    def _stat_link(self, relative: str) -> os.stat_result:
        """Return what a symlink leads to. Raises OSError if that lies outside."""
        status = self._stat(self._prefix + relative)
        if stat.S_ISDIR(status.st_mode):
            check_folder_below(self.directory, relative, follow_links=self._follow_links)
        elif stat.S_ISREG(status.st_mode):
            os.close(open_below(self.directory, relative, follow_links=self._follow_links))
        return status

    def _stat_regular(self, relative: str) -> os.stat_result | None:
        """Return what stat() says of *relative* if it is a regular file, else None."""
        try:
            status = self._stat(self._prefix + relative)
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None


def _read(descriptor: int, length: int) -> bytes:
    """Return the first *length* octets of a file, or all there are by now."""
    parts = []
    while length and (part := os.read(descriptor, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _validators(etag: bytes, opened: os.stat_result, now: float) -> Validators:
    """Return the validators of a file; Last-Modified is never later than Date (RFC 9110 §8.8.2.1)."""
    last_modified = int(min(opened.st_mtime, now))
    return Validators(etag, last_modified if can_be_http_date(last_modified) else None)


def refusal_of(error: OSError) -> Refusal:
    """Return what an error of the file system means to a client."""
    said = os.strerror(error.errno or 0)
    if error.errno in _MISSING:
        return NOT_FOUND
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refusal(Status.FORBIDDEN, "the file may not be read by the server", "RFC 9110 §15.5.4")
    if error.errno in _EXHAUSTED:
        return Refusal(Status.SERVICE_UNAVAILABLE, f"the file can't be opened for now ({said})", "RFC 9110 §15.6.4")
    return Refusal(Status.INTERNAL_SERVER_ERROR, f"the file system failed ({said})", "RFC 9110 §15.6.1")
