"""Downloads: content that becomes a file only when it is whole, and that can be gone on with until then.

Takes a path that its caller has chosen (nothing that a server sends becomes a name) and responses. Two versions are
never spliced: a part is gone on with only if the server confirms that it is of the representation that it has now.

RFC 9110 §8.8 (validators), §13.1.5 (If-Range), §14 (ranges), §15.3.7 (206), §15.5.17 (416).

    FILE          the whole content, renamed to that when its last octet is here
    FILE.part     what there is of it so far
    FILE.resume   of what it is a part: its URL, a strong validator, its complete length and its Content-Encoding

Others may write into the folder, too: of both only a regular file of our own is believed.
"""

import contextlib
import errno
import io
import json
import os
import stat
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from httpsock.http import grammar
from httpsock.http.response_parser import IncompleteError, ResponseError

from .client import ClientResponse

# RFC 9110 §8.8.2.2: a date is a strong validator only if the file can't have changed again within its second; a
# minute is more than clocks differ.
_SETTLED_SECONDS = 60
# A note with the longest URLs, twice, and the longest entity-tag is shorter.
_MOST_NOTE_OCTETS = 64 * 1024


class OutputError(Exception):
    """What was received can't be written to where it should be."""


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    """Make of an OSError that happens meanwhile an OutputError which names *path*."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror}") from error


class _Part(NamedTuple):
    """A part, as its note tells: the URL asked for, the one it came from, and the version there."""

    url: str
    source: str
    validator: str
    # In lower case; empty for none.
    coding: str
    # Of the whole, in octets, if the server has said it.
    length: int | None


def _open_own(path: str, flags: int) -> int:
    """Open a regular file of our own. Raises OSError for anything else: a link, a pipe, another user's file.

    Its name can be guessed, and where others may write they may have put something there.
    """
    # With O_NONBLOCK a pipe without a reader is an error, and not waited for.
    safely = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    # Nothing is emptied before it is known to be ours.
    descriptor = os.open(path, flags & ~os.O_TRUNC | safely, 0o666)
    try:
        _check_own(os.fstat(descriptor))
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_own(found: os.stat_result) -> None:
    if fault := _fault_of(found):
        raise OSError(errno.EPERM, fault)


def _fault_of(found: os.stat_result) -> str | None:
    """Return why a file is not to be believed, or None."""
    if not stat.S_ISREG(found.st_mode):
        return "it is not a regular file"
    # Windows has neither owners nor links of this kind.
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        return "it belongs to another user"
    return "it has another name, too" if found.st_nlink > 1 else None


class Download:
    """What is on its way into the file *path*; with *resumes*, from where an earlier one broke off, if it can.

    What is there already and is no file (``/dev/null``, a pipe) is written to as it is.
    All methods raise OutputError when the file can't be written.
    """

    def __init__(self, path: str, url: str, *, resumes: bool) -> None:
        self._is_direct = os.path.exists(path) and not os.path.isfile(path)
        # A link is followed, so that what it leads to is replaced, not the link; what a link to a pipe says is no path.
        self._path = path if self._is_direct else os.path.realpath(path)
        self.part_path = self._path if self._is_direct else self._path + ".part"
        self._note_path = self._path + ".resume"
        self._url = url
        self._file: io.BufferedWriter | None = None
        self._expected: int | None = None
        self.octets = 0
        self._resumed = 0
        # Why there is no part to go on with.
        self.obstacle = f"{self.part_path}: no part of a known version to go on with"
        self._part = self._known_part() if resumes and not self._is_direct else None

    @property
    def is_resumable(self) -> bool:
        """Whether there is a part that can be gone on with."""
        return self._part is not None

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What a request has to say to be sent the rest only, or all if the representation has changed."""
        if self._part is None:
            return []
        return [("Range", f"bytes={self._resumed}-"), ("If-Range", self._part.validator)]

    def forget(self) -> None:
        """Begin anew, whatever part there is."""
        self._part = None

    def accepts(self, response: ClientResponse) -> bool:
        """Return whether a request for the rest of the part has led to where the part came from, and to octets."""
        return self._part is None or (response.status != 416 and response.url == self._part.source)

    @property
    def is_kept(self) -> bool:
        """Whether what has come so far can be gone on with later."""
        return self.octets > 0 and os.path.exists(self._note_path)

    def begin(self, response: ClientResponse) -> None:
        """Open the file for the content of *response*: after the part if it is the rest, else from the beginning.

        Raises ResponseError if it claims to be the rest, and is not.
        """
        if self._part is not None and response.status == 206:
            self.octets, self._expected = self._resumed, _check_rest(response, self._part, self._resumed)
            self._file = self._open("ab")
            if self._file.tell() != self._resumed:
                self.close()
                raise OutputError(f"{self.part_path} can't be written: another program writes to it")
            return
        self._part, self._expected = None, response.content_length
        # In this order a note is never beside octets that it does not speak of.
        self._drop_note()
        self._file = self._open("wb")
        validator = strong_validator(response)
        # The octets of a 206 that the user has asked for are not those from the beginning on.
        if validator is not None and response.status == 200 and not self._is_direct:
            self._write_note(_Part(self._url, response.url, validator, _coding_of(response), response.content_length))

    def write(self, octets: bytes) -> None:
        """Add *octets* to the file."""
        if self._file is None:
            raise ValueError("begin() comes first")
        with _writing(self.part_path):
            self._file.write(octets)
        self.octets += len(octets)

    def finish(self) -> None:
        """Make the file what it is meant to be, now that its content is whole. Raises IncompleteError if it is not."""
        self.close()
        if self._expected is not None and self.octets != self._expected:
            reason = f"{self.octets} octets of {self._expected} are here, and the server sends no more"
            raise IncompleteError(reason, "RFC 9110 §15.3.7")
        if self._is_direct:
            return
        with _writing(self._path):
            os.replace(self.part_path, self._path)
        self._drop_note()

    def close(self) -> None:
        """Close the file as far as it has come."""
        if self._file is not None:
            with _writing(self.part_path):
                self._file.close()

    def _open(self, mode: Literal["ab", "wb"]) -> io.BufferedWriter:
        with _writing(self.part_path):
            return open(self.part_path, mode, opener=None if self._is_direct else _open_own)

    def _write_note(self, part: _Part) -> None:
        # With "x" it is a new file: what has been put there since the old one was unlinked is not written to.
        with _writing(self._note_path), open(self._note_path, "x", encoding="ascii") as note:
            json.dump(part._asdict(), note)

    def _drop_note(self) -> None:
        with _writing(self._note_path), contextlib.suppress(FileNotFoundError):
            os.unlink(self._note_path)

    def _known_part(self) -> _Part | None:
        """Return what there is of the same URL from an earlier time, if it can be gone on with."""
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
            self.obstacle = f"{path} is not believed: {fault}"
            return None
        if part is None or part.url != self._url or not 0 < found.st_size <= (part.length or found.st_size):
            return None
        self._resumed = found.st_size
        return part


def _read_note(path: str) -> _Part | None:
    """Return what a note says, or None if that is nothing. Raises OSError if it can't be read, or is not ours."""
    with open(path, "rb", opener=_open_own) as note:
        octets = note.read(_MOST_NOTE_OCTETS)
    if len(octets) == _MOST_NOTE_OCTETS:
        raise OSError(errno.EFBIG, f"it has {_MOST_NOTE_OCTETS} bytes or more")
    try:
        said = json.loads(octets.decode("ascii"))
        part = _Part(*(said[name] for name in _Part._fields))
        are_texts = all(isinstance(each, str) for each in part[:-1])
        is_length = part.length is None or (type(part.length) is int and part.length >= 0)
        return part if are_texts and is_length and _is_strong(part.validator) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _coding_of(response: ClientResponse) -> str:
    """Return the Content-Encoding of *response* in lower case, empty for none (RFC 9110 §8.4)."""
    members = grammar.list_members((response.field("Content-Encoding") or "").encode("latin-1"))
    return ", ".join(member.decode("latin-1").lower() for member in members)


def strong_validator(response: ClientResponse) -> str | None:
    """Return what names exactly this version of the content in If-Range, or None (RFC 9110 §8.8.1, §13.1.5)."""
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
    """Return whether *validator* can stand in If-Range: a strong entity-tag or a date, ASCII and nothing else."""
    octets = validator.encode("utf-8", "surrogateescape")
    if not octets.isascii():
        return False
    is_tag = grammar.entity_tag.fullmatch(octets) is not None and not octets.startswith(b"W/")
    return is_tag or grammar.parse_http_date(octets, 0.0) is not None


def _check_rest(response: ClientResponse, part: _Part, begin: int) -> int:
    """Return the length of the whole that a 206 brings the rest of.

    Raises ResponseError unless it brings just what was asked for (RFC 9110 §15.3.7.1), of the same version.
    """
    content_range = (response.field("Content-Range") or "").encode("latin-1")
    shown = grammar.printable(content_range)
    match = grammar.content_range.fullmatch(content_range)
    if match is None or match["length"] is None or match["first"] is None:
        raise ResponseError(f'the 206 says Content-Range "{shown}", not which part of how much', "RFC 9110 §14.4")
    # Eighteen digits count more than any file has; int() refuses thousands of them.
    if max(map(len, match.groups())) > 18:
        raise ResponseError(f'the 206 says Content-Range "{shown}", numbers that no file has', "RFC 9110 §14.4")
    first, last, length = (int(match[name]) for name in ("first", "last", "length"))
    if not begin == first <= last < length:
        reason = f'the 206 says Content-Range "{shown}", and octets from {begin} on were asked for'
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    if response.content_length not in (None, last - first + 1):
        reason = f'the 206 says Content-Range "{shown}", and a content of {response.content_length} octets'
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    if part.length not in (None, length):
        reason = f'the 206 says Content-Range "{shown}", and the part is of {part.length} octets'
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    if (coding := _coding_of(response)) != part.coding:
        said, known = (grammar.printable(each.encode("latin-1")) or "none" for each in (coding, part.coding))
        reason = (
            f"the 206 is of another version than the part: its Content-Encoding is {said}, that of the part {known}"
        )
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    # A 206 must have the ETag of the 200; Last-Modified it may leave out.
    is_tag = part.validator.startswith('"')
    validator = response.field("ETag" if is_tag else "Last-Modified")
    if validator != part.validator and (is_tag or validator is not None):
        shown = grammar.printable((validator or "none").encode("latin-1"))
        raise ResponseError(
            f"the 206 is of another version than the part: its validator is {shown}", "RFC 9110 §15.3.7"
        )
    return length
