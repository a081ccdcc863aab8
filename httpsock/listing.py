"""Listings: a folder's names as a page, as JSON or as text; safe against hostile names.

Takes a Directory, gives octets. Knows nothing of requests, files or sockets.
A name is any octets but NUL and slash: it is percent-encoded where it is a reference, escaped where it is text,
and shown with U+FFFD where it is not UTF-8. Links are relative, so that a listing works below any prefix.
"""

import os
import re
from datetime import UTC, datetime
from enum import Enum
from html import escape
from unicodedata import category

from .explanations import SAFE_PAGE
from .grammar import percent_encode
from .paths import Name
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


def render(directory: Directory, query: bytes | None, media_type: str) -> bytes:
    """Return the listing of *directory* in one of MEDIA_TYPES, sorted as *query* says (``sort=size-desc``)."""
    match = _QUERY.fullmatch(query or b"")
    order = Order(match[1].decode()) if match else Order.NAME
    is_descending = bool(match and match[2])
    entries = sort(directory.entries, order, is_descending=is_descending)
    if media_type == "application/json":
        text = _render_json(entries)
    elif media_type == "text/plain":
        text = "".join(f"{_line(entry)}\n" for entry in entries)
    else:
        text = _render_page(directory.name, entries, order, is_descending=is_descending)
    return text.encode("utf-8")


def sort(entries: list[Entry], order: Order, *, is_descending: bool) -> list[Entry]:
    """Return the entries in *order*, equal ones by name, folders before files either way."""
    by_name = sorted(entries, key=lambda entry: _natural(entry.name), reverse=is_descending and order is Order.NAME)
    if order is Order.SIZE:
        by_name.sort(key=lambda entry: 0 if entry.is_folder else entry.length, reverse=is_descending)
    elif order is Order.DATE:
        by_name.sort(key=lambda entry: entry.modified, reverse=is_descending)
    return sorted(by_name, key=lambda entry: not entry.is_folder)


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a key that sorts numbers within names by their value, and letters whatever their case."""
    parts = _DIGITS.split(name.casefold())
    # int() takes no numeral of thousands of digits, and no name has more than 255.
    return [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)], name


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


def _render_json(entries: list[Entry]) -> str:
    """Return an array of objects: name, href, type, and for files size in octets; modified in UTC."""
    listed = []
    for entry in entries:
        time = _time(entry)
        listed.append(
            {
                "name": _shown(entry.name),
                "href": _reference(entry),
                "type": "folder" if entry.is_folder else "file",
                "size": None if entry.is_folder else entry.length,
                "modified": time and time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
    import json  # 3 ms of start-up, and seldom wanted

    return json.dumps(listed, ensure_ascii=False, indent=1) + "\n"


def _render_page(name: Name, entries: list[Entry], order: Order, *, is_descending: bool) -> str:
    title = escape("/" + "".join(f"{_shown(segment)}/" for segment in name.segments))
    rows = [_row(entry) for entry in entries]
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
