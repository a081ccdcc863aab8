"""Downloads: content that becomes a file only when it is whole, and that can be gone on with until then.

Takes a path that its caller has chosen (nothing that a server sends becomes a name) and responses. Two versions are
never spliced: a part is gone on with only if the server confirms that it is of the representation that it has now.

RFC 9110 §8.8 (validators), §13.1.5 (If-Range), §14 (ranges), §15.3.7 (206), §15.5.17 (416).

    FILE          the whole content, renamed to that when its last octet is here
    FILE.part     what there is of it so far
    FILE.resume   of what it is a part: its URL and a strong validator
"""

import contextlib
import io
import json
import os
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from . import grammar
from .client import ClientResponse
from .response_parser import IncompleteError, ResponseError

# RFC 9110 §8.8.2.2: a date is a strong validator only if the file can't have changed again within its second; a
# minute is more than clocks differ.
_SETTLED_SECONDS = 60


class OutputError(Exception):
    """What was received can't be written to where it should be."""


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    """Make of an OSError that happens meanwhile an OutputError which names *path*."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror}") from error


def _open_no_link(path: str, flags: int) -> int:
    """Open a file whose name is ours: where others may write, too, a link of that name would lead to what is theirs."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


class _Part(NamedTuple):
    """What is known of a part: the URL asked for, the one it came from, and what names the version there."""

    url: str
    source: str
    validator: str
    octets: int


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
        return [("Range", f"bytes={self._part.octets}-"), ("If-Range", self._part.validator)]

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
            self.octets, self._expected = self._part.octets, _check_rest(response, self._part)
            self._file = self._open("ab")
            return
        self._part, self._expected = None, response.content_length
        # In this order a note is never beside octets that it does not speak of.
        self._drop_note()
        self._file = self._open("wb")
        validator = strong_validator(response)
        if validator is not None and not self._is_direct:
            self._write_note(_Part(self._url, response.url, validator, 0))

    def write(self, octets: bytes) -> None:
        """Add *octets* to the file."""
        if self._file is None:
            raise ValueError("begin() comes first")
        with _writing(self.part_path):
            self._file.write(octets)
        self.octets += len(octets)

    def conclude(self) -> None:
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
            return open(self.part_path, mode, opener=None if self._is_direct else _open_no_link)

    def _write_note(self, part: _Part) -> None:
        with _writing(self._note_path), open(self._note_path, "w", encoding="ascii", opener=_open_no_link) as note:
            json.dump(part._asdict(), note)

    def _drop_note(self) -> None:
        with _writing(self._note_path), contextlib.suppress(FileNotFoundError):
            os.unlink(self._note_path)

    def _known_part(self) -> _Part | None:
        """Return what there is of the same URL from an earlier time, if it can be gone on with."""
        try:
            with open(self._note_path, encoding="ascii") as note:
                said = json.load(note)
            octets = os.path.getsize(self.part_path)
            part = _Part(str(said["url"]), str(said["source"]), str(said["validator"]), octets)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return part if part.url == self._url and _is_strong(part.validator) and octets else None


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


def _check_rest(response: ClientResponse, part: _Part) -> int:
    """Return the length of the whole that a 206 brings the rest of.

    Raises ResponseError unless it brings just what was asked for (RFC 9110 §15.3.7.1), of the same version.
    """
    said = response.field("Content-Range")
    shown = grammar.printable((said or "").encode("latin-1"))
    match = grammar.content_range.fullmatch((said or "").encode("latin-1"))
    if match is None or match["length"] is None or match["first"] is None:
        raise ResponseError(f'the 206 says Content-Range "{shown}", not which part of how much', "RFC 9110 §14.4")
    # Eighteen digits count more than any file has; int() refuses thousands of them.
    if max(map(len, match.groups())) > 18:
        raise ResponseError(f'the 206 says Content-Range "{shown}", numbers that no file has', "RFC 9110 §14.4")
    first, last, length = (int(match[name]) for name in ("first", "last", "length"))
    if not part.octets == first <= last < length:
        reason = f'the 206 says Content-Range "{shown}", and octets from {part.octets} on were asked for'
        raise ResponseError(reason, "RFC 9110 §15.3.7")
    if response.content_length not in (None, last - first + 1):
        reason = f'the 206 says Content-Range "{shown}", and a content of {response.content_length} octets'
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
