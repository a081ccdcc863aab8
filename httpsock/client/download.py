"""Downloads: save content to a file, complete or resumable.

Responses come in, and a file goes out. The path comes from the caller, never from a server. The file gets its name when
it is complete. A resumed download never mixes two versions, since the server must confirm that nothing has changed.

RFC 9110 §8.8 (validators), §13.1.5 (If-Range), §14 (ranges), §15.3.7 (206), §15.5.17 (416).

    FILE          the complete content; FILE.part is renamed to FILE after the last octet
    FILE.part     the content received so far
    FILE.resume   a note about FILE.part: URLs, a strong validator, the complete length and the Content-Encoding

Other users may be able to write to the folder. So FILE.part and FILE.resume must be regular files of this user, and
FILE must not be a symlink of a stranger.
cli/get.py uses this module.
"""

import contextlib
import errno
import io
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from httpsock.http import grammar
from httpsock.http.response_parser import IncompleteError, ResponseError

from .client import ClientResponse

# RFC 9110 §8.8.2.2: a date is a strong validator only if the file can't have changed again within the same second. A
# minute allows for clocks that differ.
_SETTLED_SECONDS = 60
# A note with two URLs and an entity-tag of the maximum length is still shorter than this.
_MAX_NOTE_OCTETS = 64 * 1024


class OutputError(Exception):
    """The content of a response can't be written to a file."""


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    """Raise an OutputError in place of any OSError within the ``with`` block.

    The message of the OutputError contains *path*.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror}") from error


class _Part(NamedTuple):
    """The contents of FILE.resume: the requested URL, the final URL *source*, and the version of the content."""

    url: str
    source: str
    validator: str
    # In lower case; empty if the content is not encoded.
    coding: str
    # The complete length in octets, if the server announced it.
    length: int | None


def _open_own(path: str, flags: int) -> int:
    """Open the regular file *path* of this user. Raise OSError if *path* is a link, a pipe or another user's file.

    In a shared folder, another user may have created a file with this name, since the name is predictable.
    """
    # With O_NONBLOCK, a pipe without a reader fails instead of blocking.
    safely = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    # Check the owner before truncating.
    descriptor = os.open(path, flags & ~os.O_TRUNC | safely, 0o666)
    try:
        _check_own(os.fstat(descriptor))
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _open_private(path: str, flags: int) -> int:
    """Open *path*. If this call creates the file, only this user may read it."""
    return os.open(path, flags, 0o600)


def _check_own(found: os.stat_result) -> None:
    if fault := _fault_of(found):
        raise OSError(errno.EPERM, fault)


def _fault_of(found: os.stat_result) -> str | None:
    """Return the reason to distrust the file with the status *found*, or None if the file can be trusted."""
    if not stat.S_ISREG(found.st_mode):
        return "it is not a regular file"
    # Windows has no such owners and links.
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        return "it belongs to another user"
    return "it has a second hard link" if found.st_nlink > 1 else None


def _follow(path: str) -> str:
    """Return the real path of *path*, since a download replaces the target of a symlink, and not the link.

    Raise OSError if a stranger has put the link into a shared folder. Linux protects users from such links, too
    (fs.protected_symlinks).
    """
    folder, name = os.path.split(path)
    real_path = os.path.realpath(path)
    is_link = real_path != os.path.join(os.path.realpath(folder), name)
    # Windows has no such owners. The superuser owns the links of /dev.
    if is_link and hasattr(os, "geteuid"):
        trusted = (os.geteuid(), 0, os.stat(folder or os.curdir).st_uid)
        if os.lstat(path).st_uid not in trusted:
            raise OSError(errno.EPERM, "it is a symlink of another user")
    return real_path


class Download:
    """A download to the file *path*. If *resumes* is true, continue an earlier download if possible.

    If *path* exists but is not a regular file, write the content directly to *path*. Examples are ``/dev/null`` and a
    pipe. All methods raise OutputError if the file can't be written.
    """

    def __init__(self, path: str, url: str, *, resumes: bool) -> None:
        self._is_direct = os.path.exists(path) and not os.path.isfile(path)
        # The current folder may have been deleted.
        with _writing(path):
            real_path = _follow(path)
        self._path = path if self._is_direct else real_path
        self.part_path = self._path if self._is_direct else self._path + ".part"
        self._note_path = self._path + ".resume"
        self._url = url
        self._file: io.BufferedWriter | None = None
        # The complete length, and the end of the range in a 206.
        self._expected: int | None = None
        self._stop: int | None = None
        self.octets = 0
        self._resumed = 0
        # A sentence on why the download can't be resumed.
        self.restart_reason = f"{self.part_path}: no part of a known version to resume"
        self._part = self._known_part() if resumes and not self._is_direct else None

    @property
    def is_resumable(self) -> bool:
        """Whether a part from an earlier download can be continued."""
        return self._part is not None

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The request fields that ask for the rest of the content.

        If the content has changed, these fields ask for all of the content.
        """
        if self._part is None:
            return []
        return [("Range", f"bytes={self._resumed}-"), ("If-Range", self._part.validator)]

    def restart(self) -> None:
        """Ignore the part from an earlier download, so that ``start`` starts over."""
        self._part = None

    def accepts(self, response: ClientResponse) -> bool:
        """Return whether *response* is usable for this download.

        If there is a part from an earlier download, two kinds of response are not usable: a 416, and a response from
        another final URL.
        """
        return self._part is None or (response.status != 416 and response.url == self._part.source)

    @property
    def can_be_resumed(self) -> bool:
        """Whether a later download can resume this one."""
        return self.octets > 0 and os.path.exists(self._note_path)

    def start(self, response: ClientResponse) -> None:
        """Open the file for the content of *response*.

        If *response* has the rest of an earlier download, append to the part of that download. Otherwise, start over.
        If *response* is a 206 with another range or of another version, raise ResponseError.
        """
        if self._part is not None and response.status == 206:
            self.octets = self._resumed
            self._stop, self._expected = _check_rest(response, self._part, self._resumed)
            self._file = self._open("ab")
            if self._file.tell() != self._resumed:
                self.close()
                raise OutputError(f"{self.part_path} can't be written: another program writes to it")
            return
        self._part, self._expected = None, response.content_length
        # Delete the note first, so that it never describes other octets.
        self._drop_note()
        self._file = self._open("wb")
        self._keep_permissions(self._file.fileno())
        validator = strong_validator(response)
        # A 206 for the user's own Range field may not start at the first octet: it can't be resumed.
        if validator is not None and response.status == 200 and not self._is_direct:
            self._write_note(_Part(self._url, response.url, validator, _coding_of(response), response.content_length))

    def write(self, octets: bytes) -> None:
        """Append *octets* to the file. If a 206 has more octets than its range, raise ResponseError."""
        if self._file is None:
            raise ValueError("start() comes first")
        if self._stop is not None and self.octets + len(octets) > self._stop:
            # Only a chunked 206, or one that ends with the connection, can be too long.
            raise ResponseError("the 206 has more content than its Content-Range says", "RFC 9110 §15.3.7")
        with _writing(self.part_path):
            self._file.write(octets)
        self.octets += len(octets)

    def finish(self) -> None:
        """Rename FILE.part to FILE. Raise IncompleteError if octets are missing."""
        self.close()
        if self._expected is not None and self.octets != self._expected:
            reason = f"only {self.octets} of {self._expected} bytes arrived before the server stopped"
            raise IncompleteError(reason, "RFC 9110 §15.3.7")
        if self._is_direct:
            return
        with _writing(self._path):
            os.replace(self.part_path, self._path)
        self._drop_note()

    def close(self) -> None:
        """Close the file, even if the content is incomplete."""
        if self._file is None or self._file.closed:
            return
        with _writing(self.part_path):
            try:
                self._file.close()
            finally:
                # An interrupt may have come after a write and before the count. Or the disk is full.
                if not self._is_direct:
                    self.octets = os.path.getsize(self.part_path)

    def _open(self, mode: Literal["ab", "wb"]) -> io.BufferedWriter:
        with _writing(self.part_path):
            return open(self.part_path, mode, opener=None if self._is_direct else _open_own)

    def _keep_permissions(self, part: int) -> None:
        """Give FILE.part the permissions of an existing FILE, so that a private file stays private.

        *part* is the descriptor of FILE.part. If FILE belongs to another user, change nothing, since that user chose
        the permissions.
        """
        with _writing(self.part_path), contextlib.suppress(FileNotFoundError):
            replaced = os.stat(self._path)
            # Windows has no such permissions.
            if not self._is_direct and hasattr(os, "fchmod") and replaced.st_uid == os.geteuid():
                # The part must stay readable and writable, so that it can be resumed.
                os.fchmod(part, stat.S_IMODE(replaced.st_mode) & 0o777 | 0o600)

    def _write_note(self, part: _Part) -> None:
        # Mode "x" refuses a file that someone has created since the old note was unlinked. A URL may have a secret.
        with _writing(self._note_path), open(self._note_path, "x", encoding="ascii", opener=_open_private) as note:
            json.dump(part._asdict(), note)

    def _drop_note(self) -> None:
        with _writing(self._note_path), contextlib.suppress(FileNotFoundError):
            os.unlink(self._note_path)

    def _known_part(self) -> _Part | None:
        """Return the contents of FILE.resume, or None if FILE.part can't be continued."""
        try:
            found = os.lstat(self.part_path)
            fault, path = _fault_of(found), self.part_path
            if fault is None:
                path = self._note_path
                part = _read_note(path)
        except OSError as error:
            fault = None if isinstance(error, FileNotFoundError) else error.strerror
            part = None
        if fault is not None:
            self.restart_reason = f"{path} is not trusted: {fault}"
            return None
        if part is None or part.url != self._url or not 0 < found.st_size <= (part.length or found.st_size):
            return None
        self._resumed = found.st_size
        return part


def _read_note(path: str) -> _Part | None:
    """Return the contents of FILE.resume, or None if the contents are invalid.

    Raise OSError if the file can't be trusted.
    """
    with open(path, "rb", opener=_open_own) as note:
        octets = note.read(_MAX_NOTE_OCTETS)
    if len(octets) == _MAX_NOTE_OCTETS:
        raise OSError(errno.EFBIG, f"it has {_MAX_NOTE_OCTETS} bytes or more")
    try:
        members = json.loads(octets.decode("ascii"))
        part = _Part(*(members[name] for name in _Part._fields))
        are_texts = all(isinstance(each, str) for each in part[:-1])
        is_length = part.length is None or (type(part.length) is int and part.length >= 0)
        return part if are_texts and is_length and _is_strong(part.validator) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _coding_of(response: ClientResponse) -> str:
    """Return the Content-Encoding of *response* in lower case, or "" if it is missing (RFC 9110 §8.4)."""
    members = grammar.list_members((response.field("Content-Encoding") or "").encode("latin-1"))
    return ", ".join(member.decode("latin-1").lower() for member in members)


def strong_validator(response: ClientResponse) -> str | None:
    """Return the strong validator of *response*, for If-Range.

    If there is none, return None (RFC 9110 §8.8.1, §13.1.5).
    """
    entity_tag, modified = response.field("ETag"), response.field("Last-Modified")
    if entity_tag is not None:
        return entity_tag if _is_strong(entity_tag) else None
    if modified is None:
        return None
    now = time.time()
    changed = grammar.parse_http_date(modified.encode("latin-1"), now)
    sent = grammar.parse_http_date((response.field("Date") or "").encode("latin-1"), now)
    is_settled = changed is not None and sent is not None and sent - changed >= _SETTLED_SECONDS
    return modified if is_settled else None


def _is_strong(validator: str) -> bool:
    """Return whether *validator* is a strong entity-tag or a date, in ASCII. Only these may be sent in If-Range."""
    octets = validator.encode("utf-8", "surrogateescape")
    if not octets.isascii():
        return False
    is_tag = re.fullmatch(grammar.ENTITY_TAG, octets) is not None and not octets.startswith(b"W/")
    return is_tag or grammar.parse_http_date(octets, 0.0) is not None


def _check_rest(response: ClientResponse, part: _Part, start: int) -> tuple[int, int]:
    """Check the 206 *response*. Return the end of its range, and the complete length of the file.

    Raise ResponseError if the range is invalid or does not start at *start*. Raise ResponseError also if *response* is
    of another version than *part*.
    """
    content_range = (response.field("Content-Range") or "").encode("latin-1")
    shown = grammar.printable(content_range)
    match = re.fullmatch(grammar.CONTENT_RANGE, content_range)
    if match is None or match["length"] is None or match["first"] is None:
        raise ResponseError(f'the 206 has Content-Range "{shown}", without a range and a length', "RFC 9110 §14.4")
    # No file needs more than eighteen digits; int() rejects thousands of them.
    if max(map(len, match.groups())) > 18:
        raise ResponseError(f'the 206 has Content-Range "{shown}", with impossible numbers', "RFC 9110 §14.4")
    first, last, length = (int(match[name]) for name in ("first", "last", "length"))
    if not start == first <= last < length:
        reason = f'the 206 has Content-Range "{shown}"; the request was for bytes from {start} on'
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    if response.content_length not in (None, last - first + 1):
        reason = f'the 206 has Content-Range "{shown}" but {response.content_length} bytes of content'
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    if part.length not in (None, length):
        reason = f'the 206 has Content-Range "{shown}"; the part is of {part.length} bytes'
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    if (coding := _coding_of(response)) != part.coding:
        found, known = (grammar.printable(each.encode("latin-1")) or "none" for each in (coding, part.coding))
        reason = f"the 206 is of another version than the part: its Content-Encoding is {found}, the part's {known}"
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    # A 206 must repeat the ETag of the 200, but may omit Last-Modified.
    is_tag = part.validator.startswith('"')
    validator = response.field("ETag" if is_tag else "Last-Modified")
    if validator != part.validator and (is_tag or validator is not None):
        shown = grammar.printable((validator or "none").encode("latin-1"))
        raise ResponseError(
            f"the 206 is of another version than the part: its validator is {shown}", "RFC 9110 §15.3.7"
        )
    return last + 1, length
