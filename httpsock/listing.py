"""Listings: a folder's names as a page, as JSON or as text; safe against hostile names.

Takes a Directory, gives octets. Knows nothing of requests, files or sockets.
A name is any octets but NUL and slash: it is percent-encoded where it is a reference, escaped where it is text,
and shown with U+FFFD where it is not UTF-8. Links are relative, so that a listing works below any prefix.
"""

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum
from html import escape
from unicodedata import category

from .explanations import SAFE_PAGE
from .grammar import percent_encode
from .paths import Name
from .pieces import Pieces, in_pieces
from .resources import Directory, Entry

MEDIA_TYPES = ("text/html", "application/json", "text/plain")


class Order(Enum):
    """What a listing is sorted by; folders come first in each."""

    NAME = "name"
    SIZE = "size"
    DATE = "date"


_QUERY = re.compile(rb"sort=(name|size|date)(-desc)?")
_DIGITS = re.compile(r"([0-9]+)")
_PAGE = (
    SAFE_PAGE
    + """<style>
:root {{ color-scheme: light dark; --line: color-mix(in srgb, currentColor 15%, transparent); }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem; }}
h1 {{ font-size: 1.35rem; font-weight: 600; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; width: 100%; }}
th {{ text-align: left; font-weight: 500; font-size: .85rem; }}
th, td {{ padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }}
td:first-child {{ overflow-wrap: anywhere; }}
th + th, td + td {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
td + td {{ opacity: .75; }}
tbody tr:hover {{ background: color-mix(in srgb, currentColor 6%, transparent); }}
a {{ text-decoration: none; }}
a:hover {{ text-decoration: underline; }}
@media (max-width: 34rem) {{ th:last-child, td:last-child {{ display: none; }} }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<table>
<thead><tr>{columns}</tr></thead>
<tbody>
{rows}</tbody>
</table>
</main>
</body>
</html>
"""
)


def render(directory: Directory, query: bytes | None, media_type: str) -> Pieces[bytes]:
    """Return the listing of *directory* in one of MEDIA_TYPES, sorted as *query* says (``sort=size-desc``).

    Raises OSError if the folder can't be read to its end.
    """
    match = _QUERY.fullmatch(query or b"")
    order = Order(match[1].decode()) if match else Order.NAME
    is_descending = bool(match and match[2])
    entries = yield from sort(directory.entries, order, is_descending=is_descending)
    if media_type == "application/json":
        text = yield from _render_json(entries)
    elif media_type == "text/plain":
        text = "".join((yield from in_pieces(f"{_line(entry)}\n" for entry in entries)))
    else:
        text = yield from _render_page(directory.name, entries, order, is_descending=is_descending)
    return text.encode("utf-8")


def sort(entries: Iterable[Entry], order: Order, *, is_descending: bool) -> Pieces[list[Entry]]:
    """Return the entries in *order*, equal ones by name, folders before files either way."""
    keyed = yield from in_pieces((_natural(entry.name), entry.name, entry) for entry in entries)
    keyed.sort(reverse=is_descending and order is Order.NAME)
    by_name = [entry for _, _, entry in keyed]
    if order is Order.SIZE:
        by_name.sort(key=lambda entry: 0 if entry.is_folder else entry.length, reverse=is_descending)
    elif order is Order.DATE:
        by_name.sort(key=lambda entry: entry.modified, reverse=is_descending)
    return [entry for entry in by_name if entry.is_folder] + [entry for entry in by_name if not entry.is_folder]


def _natural(name: str) -> str:
    """Return a key that sorts numbers within names by their value, before all else, and letters whatever their case.

    A number becomes NUL, which is in no name, the number of its digits, and these.
    """
    return _DIGITS.sub(_number_key, name.casefold())


def _number_key(match: re.Match[str]) -> str:
    digits = match[0].lstrip("0")
    return f"\0{len(digits):03}{digits}"


def _shown(name: str) -> str:
    """Return a name as text: what is not UTF-8 as U+FFFD, and on one line."""
    text = os.fsencode(name).decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or category(c) == "Zs" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _line(entry: Entry) -> str:
    return _shown(entry.name) + ("/" if entry.is_folder else "")


def _reference(entry: Entry) -> str:
    """Return the relative reference to an entry; every reserved octet encoded, so that it is never a scheme."""
    return percent_encode(os.fsencode(entry.name)) + ("/" if entry.is_folder else "")


def _time(entry: Entry) -> datetime | None:
    """Return when an entry was modified, or None if no calendar says it."""
    try:
        return datetime.fromtimestamp(int(entry.modified), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _render_json(entries: list[Entry]) -> Pieces[str]:
    """Return an array of objects, one a line: name, href, type, and for files size in octets; modified in UTC."""
    lines = yield from in_pieces(map(_object, entries))
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def _object(entry: Entry) -> str:
    import json  # 3 ms of start-up, and seldom wanted

    time = _time(entry)
    members = {
        "name": _shown(entry.name),
        "href": _reference(entry),
        "type": "folder" if entry.is_folder else "file",
        "size": None if entry.is_folder else entry.length,
        "modified": time and time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps(members, ensure_ascii=False)


def _render_page(name: Name, entries: list[Entry], order: Order, *, is_descending: bool) -> Pieces[str]:
    title = escape("/" + "".join(f"{_shown(segment)}/" for segment in name.segments))
    rows = yield from in_pieces(map(_row, entries))
    if name.segments:
        rows.insert(0, '<tr><td><a href="../">../</a></td><td></td><td></td></tr>\n')
    columns = "".join(_column(column, order, is_descending=is_descending) for column in Order)
    return _PAGE.format(title=title, columns=columns, rows="".join(rows))


def _column(column: Order, order: Order, *, is_descending: bool) -> str:
    """Return a column's heading, a link that sorts by it, or the other way round if it does already."""
    label = column.value.capitalize()
    if column is not order:
        return f'<th><a href="?sort={column.value}">{label}</a></th>'
    towards, sign = ("", "↓") if is_descending else ("-desc", "↑")
    sorting = "descending" if is_descending else "ascending"
    return f'<th aria-sort="{sorting}"><a href="?sort={column.value}{towards}">{label} {sign}</a></th>'


def _row(entry: Entry) -> str:
    date = ""
    if time := _time(entry):
        # As 2026-11-22T14:03:59+00:00; strftime() would take half of the time of the whole row.
        text = time.isoformat()
        date = f'<time datetime="{text[:19]}Z">{text[:10]} {text[11:16]}</time>'
    size = "" if entry.is_folder else f'<span title="{entry.length} octets">{_size(entry.length)}</span>'
    return f'<tr><td><a href="{_reference(entry)}">{escape(_line(entry))}</a></td><td>{size}</td><td>{date}</td></tr>\n'


def _size(length: int) -> str:
    """Return a length for a person: 999, 1.0 KiB, 12 MiB."""
    if length < 1000:
        return str(length)
    power = next(n for n in (1, 2, 3, 4, 5) if length < 999.5 * 1024**n or n == 5)
    size = length / 1024**power
    return f"{size:.{1 if size < 9.95 else 0}f} {'KMGTP'[power - 1]}iB"
