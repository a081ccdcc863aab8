"""Representations: the content of a file, with the metadata that describes it.

Takes the status of an open file, gives validators and fields. Knows neither paths nor requests. Next:
server/connection, which gets the response, and server/sending, which sends it.

RFC 9110 §8 (representation data and metadata), §8.8 (validators), §15.4.5 (the fields of a 304).
"""

import io
import os

from httpsock.http.grammar import can_be_http_date, format_http_date
from httpsock.http.messages import FileSlice, Part, Response, Status
from httpsock.http.preconditions import Validators, tag_digest

# Content codings, best first, with the suffix of a compressed sibling: see siblings.
CODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
CODING_NAMES = tuple(CODINGS)

# Linux stamps files with a clock that ticks every 1 to 10 ms. Other systems have finer clocks.
_CLOCK_GRANULARITY_NS = 50_000_000
# The coarsest time stamps of file systems in use (FAT: 2 s; ext4 with inodes of 128 bytes and HFS+: 1 s).
MTIME_GRANULARITY_SECONDS = 2.0
_SECOND_NS = 1_000_000_000


class Representation:
    """A file's metadata, and either its octets or the open file. Immutable."""

    __slots__ = (
        *("__weakref__", "_not_modified", "_whole", "cache_control", "coding", "file", "length", "media_type"),
        *("octets", "validators", "vary"),
    )

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
        vary: str | None,
    ) -> None:
        self.media_type = media_type
        self.coding = coding
        self.cache_control = cache_control
        self.validators = validators
        self.length = length
        self.octets = octets
        self.file = file
        self.vary = vary
        self._whole: Response | None = None
        self._not_modified: Response | None = None

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """All fields that describe the representation, for a 200 (RFC 9110 §8)."""
        encoding = (("Content-Encoding", self.coding),) if self.coding else ()
        return (("Content-Type", self.media_type), *encoding, ("Accept-Ranges", "bytes"), *self.caching_fields)

    @property
    def caching_fields(self) -> tuple[tuple[str, str], ...]:
        """The fields for caches, which a 304 repeats (RFC 9110 §15.4.5)."""
        last_modified = self.validators.last_modified
        dated = () if last_modified is None else (("Last-Modified", format_http_date(last_modified)),)
        etag = ("ETag", self.validators.etag.decode("ascii"))
        varying = () if self.vary is None else (("Vary", self.vary),)
        return (etag, *dated, ("Cache-Control", self.cache_control), *varying)

    @property
    def whole(self) -> Response:
        """The response with the whole content. For a cached file, this response is made only once."""
        if self._whole is None:
            self._whole = Response(Status.OK, self.fields, (self.part(0, self.length),), self.file)
        return self._whole

    @property
    def not_modified(self) -> Response:
        """The 304 for a client that already has the content."""
        if self._not_modified is None:
            self._not_modified = Response(Status.NOT_MODIFIED, self.caching_fields)
        return self._not_modified

    def still_holds(self, octets: bytes, now: float) -> bool:
        """Return whether *octets* are the content, and Last-Modified is not later than *now*.

        Last-Modified is later if the clock has been set back (RFC 9110 §8.8.2.1).
        """
        return self.octets == octets and (self.validators.last_modified or 0) <= now

    def part(self, offset: int, length: int) -> Part:
        """Return a part of a response: *length* octets from *offset* on."""
        if self.file is None:
            return self.octets[offset : offset + length]
        return FileSlice(self.file, offset, length)

    def close(self) -> None:
        """Close the file, if one is open."""
        if self.file is not None:
            self.file.close()


def validators_of(etag: bytes, opened: os.stat_result, now: float) -> Validators:
    """Return the validators of a file. Last-Modified is never later than Date (RFC 9110 §8.8.2.1)."""
    last_modified = int(min(opened.st_mtime, now))
    return Validators(etag, last_modified if can_be_http_date(last_modified) else None)


def etag_of_state(opened: os.stat_result, now: float) -> bytes:
    """Return the entity-tag of a large file. Compute the tag from the file's status, not from its content.

    If the file has just changed, a second change could leave the file's times unchanged. Then the tag is weak, so that
    no client joins parts of two versions (RFC 9110 §8.8.1).
    """
    weak = b"W/" if _could_keep_its_times(opened, now) else b""
    # A digest, since the number of an inode is the system's own affair (CVE-2003-1418).
    digest = tag_digest()
    digest.update(b"%x-%x-%x" % (opened.st_ino, opened.st_mtime_ns, opened.st_ctime_ns))
    return b'%b"%x-%b"' % (weak, opened.st_size, digest.hexdigest().encode("ascii"))


def settled_at(status: os.stat_result) -> float:
    """Return the time after which every change of the file or folder is sure to change its times."""
    return max(status.st_mtime, status.st_ctime) + MTIME_GRANULARITY_SECONDS


def is_settled(status: os.stat_result, now: float) -> bool:
    """Return whether every later change of the file or folder is sure to change its times."""
    return settled_at(status) < now


def _could_keep_its_times(opened: os.stat_result, now: float) -> bool:
    """Return whether a change of the file from now on could leave the file's times unchanged."""
    # On Windows st_ctime is the time of creation, and does not change.
    changed_ns = opened.st_mtime_ns if os.name == "nt" else opened.st_ctime_ns
    # A fraction of a second proves that the file system stores fractions.
    unseen_ns = _CLOCK_GRANULARITY_NS if changed_ns % _SECOND_NS else int(MTIME_GRANULARITY_SECONDS * _SECOND_NS)
    return changed_ns + unseen_ns > now * _SECOND_NS
