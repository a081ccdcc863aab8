"""Paths: convert the path of a request-target to the name of a file or folder.

Takes a path's octets, gives the segments of a name, or a Refusal. Equivalent paths give the same name. A path is first
percent-decoded, then split. Then its dot-segments and empty segments are removed. All this happens before any access to
the file system, so all later checks see exactly the name that will be opened. Next: document_root.

RFC 3986 §2.4 (when to decode), §3.3 (path), §5.2.4 and §6.2.2.3 (dot-segments); RFC 9110 §4.2.3, §17.3.

    /a%20b/c.txt     "a b", "c.txt"                  /./a//b/../c    "a", "c"
    /a/  /a/.        "a", as a folder                /a%2Fb          "a", "b": a slash, once decoded
    /%252F           "%2F": decoded once             /a/../..        refused: it would leave the root
"""

import os
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from httpsock.http.grammar import encode_unencoded, percent_decode, percent_encode
from httpsock.http.messages import Refusal, Status

# A longer path is not memoised: its result takes many times its length in memory.
_MAX_MEMOISED = 256

NOT_FOUND = Refusal(Status.NOT_FOUND, "there is no such file here", "RFC 9110 §15.5.5")

# Names that mean a device on Windows, with any extension, and characters at which Windows splits or cuts a name.
_RESERVED_ON_WINDOWS = (
    r'(?is)(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\..*)?|.*[. ]|.*[<>:"|?*\\\x00-\x1f].*'
)

# Stands for a prefix that a proxy has removed. The path of a file can't have such a segment.
_PREFIX = b"/%00"
# The end of a short name (8.3), which a file system makes from a longer one: GIT~1, GI2D57~2.
_SHORT_NAME = "~[0-9]"
# Format characters, combining marks, unassigned characters, invalid UTF-8.
_IGNORABLE_CATEGORIES = frozenset(("Cf", "Cc", "Cn", "Co", "Cs", "Mn", "Me", "Zl", "Zp"))
# Letters that Unicode calls ignorable.
_FILLERS = "\u115f\u1160\u3164\uffa0"


class ResourceName(NamedTuple):
    """The name of a file or folder below the document root.

    *relative* has the system's separators. *is_folder* is true if the path ended with a slash or a dot-segment.
    *is_hidden* is true if a segment starts with a full stop, except for /.well-known/, which is public (RFC 8615).
    *may_be_alias* is true if a segment may be a second name of a hidden file.
    """

    segments: tuple[str, ...]
    relative: str
    is_folder: bool
    is_hidden: bool
    may_be_alias: bool = False


def parse_path(path: bytes) -> ResourceName | Refusal:
    """Return the name of the file or folder at *path*, or a refusal if *path* is invalid.

    *path* must start with a slash.
    """
    return _memoised_parse_path(path) if len(path) <= _MAX_MEMOISED else _parse_path(path)


def _parse_path(path: bytes) -> ResourceName | Refusal:
    """Return the result of ``parse_path``. The result depends only on *path*, so the result can be cached."""
    decoded = percent_decode(path)
    if b"\0" in decoded:
        number = decoded[: decoded.index(b"\0")].count(b"/")
        reason = f"path segment {number} has a NUL (%00), which no file name has"
        return Refusal(Status.BAD_REQUEST, reason, "RFC 3986 §3.3")
    try:
        parts = os.fsdecode(decoded).split("/")
    except UnicodeDecodeError:  # pragma: no cover (Windows: its names are UTF-16, so not all octets are valid)
        return NOT_FOUND
    segments: list[str] = []
    for number, part in enumerate(parts):
        if part == "..":
            if not segments:
                reason = f'path segment {number} is "..", which leads out of the root'
                return Refusal(Status.BAD_REQUEST, reason, "RFC 3986 §5.2.4")
            segments.pop()
        elif part not in ("", "."):
            segments.append(part)
    if os.name == "nt" and any(map(is_reserved_on_windows, segments)):
        return NOT_FOUND
    is_hidden = any(is_hidden_name(name, is_top=number == 0) for number, name in enumerate(segments))
    return ResourceName(
        tuple(segments),
        os.sep.join(segments),
        parts[-1] in ("", ".", ".."),
        is_hidden,
        any(map(may_be_alias, segments)),
    )


_memoised_parse_path = lru_cache(maxsize=2048)(_parse_path)


def normalise(path: bytes) -> bytes:
    """Return *path* decoded and without dot-segments. If *path* is invalid, return *path* unchanged.

    *path* must start with a slash.
    """
    name = parse_path(path)
    if isinstance(name, Refusal):
        return path
    slash = "/" if name.is_folder and name.segments else ""
    return os.fsencode(f"/{'/'.join(name.segments)}{slash}")


def is_hidden_name(name: str, *, is_top: bool) -> bool:
    """Return whether a name is hidden by default. If the name is directly in the document root, *is_top* is true."""
    return name.startswith(".") and not (is_top and name == ".well-known")


def may_be_alias(name: str) -> bool:
    """Return whether a file system may use *name* as a second name of a hidden file.

    NTFS and FAT open .git as GIT~1, too. On case-insensitive volumes, HFS+ and ext4 ignore some characters. A few file
    systems treat compatibility forms of the full stop as a full stop.
    """
    if name.isascii():
        return _has_short_name(name)
    # Characters can be normalised one by one, since a full stop never combines. Most names start with a letter.
    letters = (c for character in name for c in unicodedata.normalize("NFKC", character) if not _is_ignorable(c))
    return next(letters, "") == "." or _has_short_name(name)


def _has_short_name(name: str) -> bool:
    # The plain search first: most names have no tilde.
    return "~" in name and re.search(_SHORT_NAME, name) is not None


def _is_ignorable(character: str) -> bool:
    """Return whether a file system may ignore *character* in a name."""
    return unicodedata.category(character) in _IGNORABLE_CATEGORIES or character in _FILLERS


def folder_reference(path: bytes, query: bytes | None) -> str:
    """Return a reference from *path* to the same path with a final slash.

    The reference is the last segment and a slash. So it works behind a proxy that removes a prefix, and can't lead to
    another host. But clients split paths differently from this server. A client keeps empty segments, and does not
    split a path at an encoded slash. If a client would reach another folder, return the whole path instead.
    """
    before, _, last = path.rpartition(b"/")
    # A colon in the first segment would end a scheme (RFC 3986 §4.2).
    reference = (b"./" if b":" in last else b"") + last + b"/"
    folder = parse_path(path + b"/")
    if isinstance(folder, ResourceName) and not (last and _leads_to(before + b"/" + reference, folder)):
        reference = _whole(folder)
    return _with_query(reference, query)


def holds_references(path: bytes, folder: ResourceName) -> bool:
    """Return whether a relative reference leads into *folder* if a client resolves it against *path*.

    *path* is the path of *folder*. The reference leads elsewhere if the last slash is percent-encoded, or if clients
    split the path into other segments.
    """
    if path.endswith(b"/") and b"%" not in path and b".." not in path:
        return True
    before, _, last = path.rpartition(b"/")
    return percent_decode(last) in (b"", b".") and _leads_to(before + b"/", folder)


def encoded_reference(path: bytes, query: bytes | None) -> str:
    """Return a reference to *path* and *query*. Percent-encode every octet that must be encoded.

    The reference starts with a single slash, so it can't lead to another host.
    """
    reference = b"/" + encode_unencoded(path.lstrip(b"/")).encode("ascii")
    name = parse_path(path)
    if isinstance(name, ResourceName) and not _leads_to(reference, name):
        reference = _whole(name)
    return _with_query(reference, query and encode_unencoded(query).encode("ascii"))


def _leads_to(path: bytes, name: ResourceName) -> bool:
    """Return whether clients resolve *path* to *name*, even behind a proxy that removes a prefix."""
    # Only two full stops can make a difference. Skip the work for all other paths.
    if b".." not in percent_decode(path):
        return True
    for is_browser in (False, True):
        prefix, *segments = _resolved(_PREFIX + path, is_browser=is_browser)
        if prefix != _PREFIX[1:] or parse_path(b"/" + b"/".join(segments)) != name:
            return False
    return True


def _resolved(path: bytes, *, is_browser: bool) -> list[bytes]:
    """Return the segments of *path* after a client has resolved it (RFC 3986 §5.2.4). Keep empty segments.

    Browsers also treat %2E as a full stop, as WHATWG's URL Standard requires.
    """
    segments: list[bytes] = []
    dots = b""
    for segment in path.split(b"/")[1:]:
        dots = percent_decode(segment) if is_browser else segment
        if dots == b"..":
            del segments[-1:]
        elif dots != b".":
            segments.append(segment)
    # A path that ends with a dot-segment resolves to a path with a final slash.
    return [*segments, b""] if dots in (b".", b"..") else segments


def _whole(name: ResourceName) -> bytes:
    """Return the path of *name* from the document root. This path starts with a single slash."""
    path = b"".join(b"/" + percent_encode(os.fsencode(segment)).encode("ascii") for segment in name.segments)
    return path + b"/" if name.is_folder else path


def _with_query(reference: bytes, query: bytes | None) -> str:
    return (reference if query is None else reference + b"?" + query).decode("ascii")


def is_reserved_on_windows(name: str) -> bool:
    """Return whether Windows would open something other than a file with exactly this name."""
    return re.fullmatch(_RESERVED_ON_WINDOWS, name) is not None
