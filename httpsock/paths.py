"""Paths: the name that the path of a request-target spells.

Takes a path's octets, gives the segments of a name, or why it can name no file. Decoded once, then split,
then checked, in this order: what is checked is what will be opened. Knows nothing of what files there are.

RFC 3986 §2.4 (when to decode), §3.3 (path), §5.2.4 (dot-segments); RFC 9110 §4.2.3, §17.3.

    /a%20b/c.txt    segments "a b", "c.txt"          /a/../b    refused: a dot-segment, in any spelling
    /a/             segment "a", as a folder          /a%2fb     refused: no name holds a slash
"""

import os
import re
from functools import lru_cache
from typing import NamedTuple

from .grammar import percent_decode, percent_encode
from .messages import Refusal, Status

# A longer path is parsed anew each time: what it is made of takes up many times its own length.
_MAX_MEMOISED = 256

NOT_FOUND = Refusal(Status.NOT_FOUND, "there is no such file here", "RFC 9110 §15.5.5")

# What Windows takes for a device, whatever follows a full stop, and what it drops or splits at.
_WINDOWS_TRAP = re.compile(
    r'(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\..*)?|.*[. ]|.*[<>:"|?*\x00-\x1f].*',
    re.IGNORECASE | re.DOTALL,
)


class Name(NamedTuple):
    """The name of a file or folder below the document root.

    *relative* has the system's separators; *is_folder* if the path ended with a slash; *is_hidden* if a segment
    starts with a full stop, but for /.well-known/, which is meant to be seen (RFC 8615).
    """

    segments: tuple[str, ...]
    relative: str
    is_folder: bool
    is_hidden: bool


def parse_path(path: bytes) -> Name | Refusal:
    """Return the Name that *path*, which starts with a slash, spells, or why it can't be one."""
    return _memoised_parse_path(path) if len(path) <= _MAX_MEMOISED else _parse_path(path)


def _parse_path(path: bytes) -> Name | Refusal:
    """Return the Name that *path* spells, or why it can't be one; depends on *path* alone."""
    *folders, last = path[1:].split(b"/")
    encoded = [*folders, last] if last else folders
    segments: list[str] = []
    for number, raw in enumerate(encoded, start=1):
        segment = percent_decode(raw)
        if fault := _segment_fault(segment, number):
            return fault
        name = _file_name(segment)
        if name is None:
            return NOT_FOUND
        segments.append(name)
    is_hidden = any(is_hidden_name(name, is_top=number == 0) for number, name in enumerate(segments))
    return Name(tuple(segments), os.sep.join(segments), not last, is_hidden)


_memoised_parse_path = lru_cache(maxsize=2048)(_parse_path)


def is_hidden_name(name: str, *, is_top: bool) -> bool:
    """Return whether a name is shown only on demand; *is_top* if it lies right below the root."""
    return name.startswith(".") and not (is_top and name == ".well-known")


def location_of(name: Name, query: bytes | None) -> str:
    """Return the reference to *name* as a folder: from one slash on, so that it never leads to another host."""
    path = "".join(f"/{percent_encode(os.fsencode(segment))}" for segment in name.segments)
    return f"{path}/" if query is None else f"{path}/?{query.decode('ascii')}"


def _segment_fault(segment: bytes, number: int) -> Refusal | None:
    """Return why the decoded path segment can't name anything, or None if it can."""
    for octet, shown in ((b"\0", "a NUL (%00)"), (b"/", "an encoded slash (%2F)"), (b"\\", "a backslash (%5C)")):
        if octet in segment:
            return Refusal(
                Status.BAD_REQUEST, f"path segment {number} has {shown}, which no name here has", "RFC 3986 §3.3"
            )
    if segment in (b".", b".."):
        reason = f'path segment {number} is "{segment.decode()}", which a client resolves before it sends'
        return Refusal(Status.BAD_REQUEST, reason, "RFC 3986 §5.2.4")
    return None if segment else NOT_FOUND


def _file_name(segment: bytes) -> str | None:
    """Return *segment* as the file system's names are written, or None if it can't be one."""
    try:
        name = os.fsdecode(segment)
    except UnicodeDecodeError:  # pragma: no cover (Windows: its names are UTF-16, so not any octets will do)
        return None
    return None if os.name == "nt" and is_windows_trap(name) else name


def is_windows_trap(name: str) -> bool:
    """Return whether Windows would open something other than a file of this very name."""
    return _WINDOWS_TRAP.fullmatch(name) is not None
