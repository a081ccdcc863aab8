"""Listings: a folder's names as a page, as JSON or as text, safe against hostile names.

Takes a Directory, gives octets in parts. Knows no requests, files or sockets. Next: listing_page.
A name may have any octets but NUL and slash. In a link, the name is percent-encoded. In text, it is escaped, and U+FFFD
replaces octets that are not UTF-8, control characters and most format characters. Links are relative, so a listing
works below any prefix.

The duration of a step does not grow with the folder. Each entry becomes a row when it is read. Rows are sorted in short
runs, and the runs are merged lazily. Other connections run between any two steps.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from heapq import merge
from html import escape
from itertools import chain, islice
from typing import NamedTuple
from unicodedata import category

from httpsock.http.grammar import percent_decode, percent_encode
from httpsock.http.handler import BATCH, Steps

from . import listing_page
from .cache import FileCache
from .document_root import Directory, Entry

MEDIA_TYPES = ("text/html", "application/json", "text/plain")


class Order(Enum):
    """The sort order of a listing. Folders always come first."""

    NAME = "name"
    SIZE = "size"
    DATE = "date"


class View(NamedTuple):
    """The order of a listing, and its filter: only names that contain *text* are shown. The filter ignores case."""

    order: Order = Order.NAME
    is_descending: bool = False
    text: str = ""

    @property
    def sort(self) -> str:
        """The value of the query parameter ``sort`` for this order, for example size-desc."""
        return self.order.value + ("-desc" if self.is_descending else "")


# The sort keys of a row, then the row: the size or date, the natural key of the name, the name, the row.
Key = tuple[float, str, str, bytes]
_Row = Callable[[Entry], bytes]

_SORT = re.compile(rb"(name|size|date)(-desc)?")
_DIGITS = re.compile(r"([0-9]+)")
# Most names need neither encoding nor escaping.
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
# Persian words and emoji have these format characters. Without them, their parts show separately.
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Sorting a run takes about 1 ms, and so does joining this many rows.
_RUN = 1024
_JOINED_ROWS = 256
# Listings of up to this many entries are cached with their entries. All together take this many octets. A listing takes
# _LISTING_OCTETS, its key and its parts. An entry takes _ENTRY_OCTETS and its name. A character takes up to 4 octets. A
# cached listing of 1,000 names takes 2.5 ms instead of 6.
_MAX_KNOWN_ENTRIES = 4096
_MAX_KNOWN_OCTETS = 8 * 1024 * 1024
_LISTING_OCTETS = 768
_ENTRY_OCTETS = 256
_known_listings: FileCache[tuple[bytes, ...]] = FileCache(_MAX_KNOWN_OCTETS)


def parse_view(query: bytes | None) -> View:
    """Return the view for a *query* such as ``sort=size-desc&filter=text``. Ignore other parameters."""
    view, text = View(), b""
    for parameter in (query or b"").split(b"&"):
        name, _, value = parameter.partition(b"=")
        if name == b"sort" and (match := _SORT.fullmatch(value)):
            view = view._replace(order=Order(match[1].decode()), is_descending=match[2] is not None)
        elif name == b"filter":
            text = value
    # A form encodes a space as a plus sign.
    return view._replace(text=os.fsdecode(percent_decode(text.replace(b"+", b" "))))


def render(directory: Directory, query: bytes | None, media_type: str) -> Steps[tuple[bytes, ...]]:
    """Return the listing of *directory* in the format *media_type*, with the order and the filter of *query*.

    The result has several parts, so that no step takes long. Raise OSError if the folder can't be read to its end.
    """
    view = parse_view(query)
    unread = iter(directory.entries)
    entries: list[Entry] = []
    while batch := list(islice(unread, BATCH)):
        entries += batch
        if len(entries) > _MAX_KNOWN_ENTRIES:
            return (yield from _render(directory, chain(entries, unread), view, media_type))
        yield
    key = "/".join((directory.served, *directory.name.segments)), f"{media_type} {view.sort} {view.text}"
    state = tuple(entries)
    parts = _known_listings.get_stale(key, state)
    if parts is None:
        parts = yield from _render(directory, entries, view, media_type)
        octets = _LISTING_OCTETS + 4 * sum(map(len, key)) + sum(map(len, parts))
        octets += sum(_ENTRY_OCTETS + 4 * len(entry.name) for entry in entries)
        _known_listings.put(key, state, parts, octets, 0.0)
    return parts


def _render(directory: Directory, entries: Iterable[Entry], view: View, media_type: str) -> Steps[tuple[bytes, ...]]:
    """Return the listing of *directory*, which has these *entries*."""
    row = {"text/html": _page_row, "application/json": _json_row, "text/plain": _text_row}[media_type]
    folders, files = _Runs(view), _Runs(view)
    text, found = view.text.casefold(), 0
    for found, entry in enumerate(entries, start=1):
        if not text or text in entry.name.casefold():
            (folders if entry.is_folder else files).add(entry, row)
        if found % BATCH == 0:
            yield
    parts: list[bytes] = []
    rows = chain(folders.take_all(), files.take_all())
    while part := b"".join(islice(rows, _JOINED_ROWS)):
        parts.append(part)
        yield
    if media_type == "text/html":
        counts = listing_page.Counts(found, folders.count, files.count, format_size(files.length))
        path = [_shown(name) for name in (directory.served, *directory.name.segments)]
        beginning = listing_page.beginning(path, view.sort, _shown(view.text), counts)
        return (beginning.encode("utf-8", "replace"), *parts, listing_page.END)
    if media_type == "application/json":
        # Each row begins with the comma that ends the line before it. In the first row, "[" replaces the comma.
        return (b"[", parts[0][1:], *parts[1:], b"\n]\n") if parts else (b"[]\n",)
    return tuple(parts) or (b"No name matches the filter.\n" if found else b"This folder is empty.\n",)


class _Runs:
    """Sorts rows in the order of *view*: ``add`` collects rows in sorted runs, and ``take_all`` merges the runs."""

    def __init__(self, view: View) -> None:
        self.count = 0
        self.length = 0
        self._runs: list[list[Key]] = []
        self._newest: list[Key] = []
        self._order = view.order
        # Only the order by name is reversed: entries of equal size or date always have ascending names.
        self._is_reversed = view.is_descending and view.order is Order.NAME
        self._sign = -1 if view.is_descending else 1

    def add(self, entry: Entry, row: _Row) -> None:
        """Add *entry*. The function *row* makes the row of *entry*."""
        self.count += 1
        self.length += entry.length
        value: float = 0
        if self._order is Order.SIZE and not entry.is_folder:
            value = self._sign * entry.length
        elif self._order is Order.DATE:
            value = self._sign * entry.modified
        self._newest.append((value, _natural(entry.name), entry.name, row(entry)))
        if len(self._newest) == _RUN:
            self._end_run()

    def _end_run(self) -> None:
        # Sort in reverse, so that rows are popped from the end and freed one by one. To free all together takes long.
        self._newest.sort(reverse=not self._is_reversed)
        self._runs.append(self._newest)
        self._newest = []

    def take_all(self) -> Iterator[bytes]:
        """Return an iterator over all rows in order. Call this only once."""
        self._end_run()
        runs = [_drain(run) for run in self._runs]
        in_order = merge(*runs, reverse=self._is_reversed) if len(runs) > 1 else runs[0]
        return (row for _, _, _, row in in_order)


def _drain(run: list[Key]) -> Iterator[Key]:
    while run:
        yield run.pop()


def _natural(name: str) -> str:
    """Return a sort key that ignores case and compares numbers in names by value: "a9" comes before "a10".

    In the key, a number becomes NUL, the count of its digits, and its digits. Names can't contain NUL.
    """
    parts = _DIGITS.split(name.casefold())
    for place in range(1, len(parts), 2):
        digits = parts[place].lstrip("0")
        parts[place] = f"\0{len(digits):03}{digits}"
    return "".join(parts)


def _shown(name: str) -> str:
    """Return a file name as text on one line. U+FFFD replaces misleading characters, and octets that are not UTF-8."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return text if text.isprintable() else "".join("\N{REPLACEMENT CHARACTER}" if _misleads(c) else c for c in text)


def _misleads(character: str) -> bool:
    """Return whether a character could move the cursor, break the line, or reorder or hide a part of a name."""
    return character not in _JOINERS and category(character) in ("Cc", "Cf", "Zl", "Zp")


def _reference(name: str) -> str:
    """Return a file name as a relative reference. Encode all reserved characters: a name may look like a URI."""
    return percent_encode(os.fsencode(name))


def _time(modified: float) -> datetime | None:
    """Return when an entry was modified, or None if datetime can't represent the time."""
    try:
        return _EPOCH + timedelta(seconds=int(modified))
    except (OverflowError, ValueError):
        return None


def _page_row(entry: Entry) -> bytes:
    name = entry.name
    reference, text = (name, name) if _PLAIN.fullmatch(name) else (_reference(name), escape(_shown(name)))
    date = _page_date(entry.modified // 60)
    if entry.is_folder:
        return f'<tr class="d"><td><a href="{reference}/">{text}/</a></td><td></td><td>{date}</td></tr>\n'.encode()
    size = _page_size(entry.length)
    return f'<tr><td><a href="{reference}">{text}</a></td><td>{size}</td><td>{date}</td></tr>\n'.encode()


# Cached, since many files of a folder have the same minute, or the same size.
@lru_cache(maxsize=4096)
def _page_date(minutes: float) -> str:
    if (time := _time(minutes * 60)) is None:
        return ""
    # As 2026-11-22T14:03:00+00:00.
    text = time.isoformat()
    return f'<time datetime="{text[:16]}Z">{text[:10]} {text[11:16]}</time>'


@lru_cache(maxsize=4096)
def _page_size(length: int) -> str:
    shown = format_size(length)
    return shown if length < 1000 else f'<span title="{length:,} bytes">{shown}</span>'


def _text_row(entry: Entry) -> bytes:
    """Return a line for a terminal with size, time and name."""
    size = "-" if entry.is_folder else format_size(entry.length)
    slash = "/" if entry.is_folder else ""
    return f"{size:>9}  {_text_date(entry.modified // 60)}  {_shown(entry.name)}{slash}\n".encode()


@lru_cache(maxsize=4096)
def _text_date(minutes: float) -> str:
    time = _time(minutes * 60)
    return f"{time.isoformat(' ')[:16]} UTC" if time else " " * 20


def _json_row(entry: Entry) -> bytes:
    """Return an entry as a line of JSON: name, href, type, size in bytes, and modification time in UTC."""
    import json  # 3 ms of start-up, and seldom needed

    time = _time(entry.modified)
    members = {
        "name": _shown(entry.name),
        "href": _reference(entry.name) + ("/" if entry.is_folder else ""),
        "type": "folder" if entry.is_folder else "file",
        "size": None if entry.is_folder else entry.length,
        "modified": time and f"{time.isoformat()[:19]}Z",
    }
    return f",\n{json.dumps(members, ensure_ascii=False)}".encode()


def format_size(length: int) -> str:
    """Return a length as text for people, for example 1 byte, 999 bytes, 1.0 KiB or 12 MiB."""
    if length < 1000:
        return "1 byte" if length == 1 else f"{length} bytes"
    power = next(n for n in (1, 2, 3, 4, 5) if length < 999.5 * 1024**n or n == 5)
    size = length / 1024**power
    return f"{size:.{1 if size < 9.95 else 0}f} {'KMGTP'[power - 1]}iB"
