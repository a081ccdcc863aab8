"""The listing page: the HTML around the rows of a listing, with its style and its script.

Takes texts and counts, gives HTML. Knows no files, requests or rows. Everything works without the script, since a form
sorts and filters. A form is better than links, which crawlers would follow. The script shows times in the visitor's
time zone, and filters while the visitor types. The page's Content-Security-Policy allows only the script with the right
digest, so a script in a file name can't run.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from httpsock.http.error_response import SAFE_PAGE

# A folder with this many names gets a filter field.
FILTERED_FROM = 20
# A deeper path is shown without the folders in the middle, since each link gets longer with the depth.
_MAX_BREADCRUMBS = 12


class Counts(NamedTuple):
    """Numbers for the page: entries in the folder, folders shown, files shown, total length of the files shown."""

    found: int
    folders: int
    files: int
    length: str


_STYLE = """<style>
:root { color-scheme: light dark;
  --page: #fdfdfc; --text: #1c1e22; --soft: #5b6068; --line: #e4e5e7; --hover: #f1f3f6; --link: #0b57b0;
  --folder: #d99a1c; --file: #a9b0ba; }
@media (prefers-color-scheme: dark) {
  :root { --page: #17181b; --text: #e9e9ea; --soft: #a3a8b0; --line: #2d3036; --hover: #202329; --link: #8ab8ff;
    --folder: #e6b450; --file: #6b727d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.25rem 4rem; background: var(--page); color: var(--text);
  font: 1rem/1.45 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.4rem; line-height: 1.35; font-weight: 650; overflow-wrap: anywhere; }
h1 a { font-weight: 400; }
h1 i { color: var(--soft); font-style: normal; font-weight: 400; padding: 0 .15em; }
h1 bdi, td a { unicode-bidi: isolate; }
.sum { margin: .3rem 0 0; color: var(--soft); }
.find { display: flex; gap: .5rem; margin: 1.1rem 0 0; max-width: 26rem; }
input, .find button { font: inherit; color: inherit; min-height: 2.75rem; border: 1px solid var(--line);
  border-radius: .5rem; background: transparent; padding: 0 .8rem; }
input { flex: 1; min-width: 0; }
button { font: inherit; color: inherit; cursor: pointer; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; text-underline-offset: .18em; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
table { width: 100%; margin: 1.1rem 0 0; border-collapse: collapse; table-layout: fixed; }
th { padding: 0; text-align: left; font-weight: 500; border-bottom: 1px solid var(--line); }
th button { min-height: 2.75rem; padding: 0 .6rem 0 0; border: 0; background: none; color: var(--soft);
  font-size: .875rem; white-space: nowrap; }
th button:hover, th[aria-sort] button { color: var(--text); }
th button { font-weight: inherit; }
th[aria-sort] { font-weight: 650; }
th + th { width: 7rem; text-align: right; }
th + th + th { width: 14rem; }
th + th + th button { white-space: normal; text-align: right; }
th + th button { padding: 0 0 0 .6rem; }
td { padding: 0; vertical-align: top; border-bottom: 1px solid var(--line); }
td + td { padding: .6rem 0; text-align: right; white-space: nowrap; color: var(--soft); font-size: .9rem;
  line-height: 1.6; font-variant-numeric: tabular-nums; }
td a { display: block; padding: .6rem .6rem .6rem 1.9rem; position: relative; overflow-wrap: anywhere; }
td a::before { content: ""; position: absolute; left: .15rem; top: .85rem; width: .85rem; height: 1.05rem;
  background: var(--file); clip-path: polygon(0 0, 62% 0, 62% 32%, 100% 32%, 100% 100%, 0 100%, 0 0, 70% 0, 100% 24%,
  70% 24%, 70% 0); }
.d a { font-weight: 550; }
.d a::before, .up a::before { width: 1.15rem; height: .95rem; left: 0; top: .9rem; background: var(--folder);
  clip-path: polygon(0 10%, 8% 0, 38% 0, 48% 14%, 92% 14%, 100% 24%, 100% 92%, 94% 100%, 6% 100%, 0 92%); }
.up a::before { width: .8rem; left: .2rem; background: var(--soft);
  clip-path: polygon(50% 0, 100% 50%, 64% 50%, 64% 100%, 36% 100%, 36% 50%, 0 50%); }
tbody tr:hover { background: var(--hover); }
.none { padding: 1.2rem 0; color: var(--soft); }
[hidden] { display: none; }
@media (max-width: 38rem) {
  body { padding: 1.25rem 1rem 3rem; }
  thead tr { display: flex; border-bottom: 1px solid var(--line); }
  th { border: 0; }
  th:first-child { flex: 1; }
  th + th, th + th + th { width: auto; }
  table, thead, tbody { display: block; }
  tbody tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0 0 .55rem; border-bottom: 1px solid var(--line); }
  tbody .up { padding: 0; }
  td { border: 0; }
  td:first-child { flex: 0 0 100%; min-width: 0; }
  td + td { padding: 0; font-size: .85rem; line-height: 1.3; }
  td a { padding-bottom: .2rem; padding-right: 0; }
  .up a { padding-bottom: .6rem; }
  td:nth-child(2) { padding-left: 1.9rem; }
  .d td:nth-child(2) { display: none; }
  .d td:nth-child(3) { padding-left: 1.9rem; }
}
</style>
"""
_SCRIPT = """
"use strict";
const two = (number) => String(number).padStart(2, "0");
for (const time of document.querySelectorAll("time")) {
  const date = new Date(time.dateTime);
  if (isNaN(date)) continue;
  time.textContent = date.getFullYear() + "-" + two(date.getMonth() + 1) + "-" + two(date.getDate())
    + " " + two(date.getHours()) + ":" + two(date.getMinutes());
  time.title = date.toString();
}
const zone = document.getElementById("zone");
zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
const field = document.querySelector("input");
if (field && !field.defaultValue) {
  const rows = Array.from(document.querySelectorAll("tbody tr:not(.up)"),
    (row) => [row, row.cells[0].textContent.toLowerCase()]);
  const none = document.getElementById("none");
  const filter = () => {
    const text = field.value.toLowerCase();
    let shown = 0;
    for (const [row, name] of rows) if (!(row.hidden = !name.includes(text))) shown++;
    none.hidden = shown > 0;
  };
  field.addEventListener("input", filter);
  if (field.value) filter();
}
"""
# A constant, checked by a test: hashlib would load OpenSSL, 3.6 MiB.
_SCRIPT_HASH = "PLQqvSacv3OEp250ul+KsSyo4wM6Gt2LYuBiDfG3Rls="
_POLICY = f"form-action 'self'; script-src 'sha256-{_SCRIPT_HASH}'"
END = f"""</tbody>
</table>
<p class="none" id="none" hidden>No name matches the filter.</p>
</main>
<script>{_SCRIPT}</script>
</body>
</html>
""".encode()


def beginning(path: Sequence[str], sort: str, text: str, counts: Counts) -> str:
    """Return the page up to its first row.

    *path* has the names of the document root and of each folder down to the listed folder. *sort* is the order, as in
    the query parameter ``sort``. *text* is the filter.
    """
    title = escape("/".join(path if path[0] != "/" else ["", *path[1:]]) + "/")
    return "".join((
        SAFE_PAGE.format(policy=_POLICY, title=title),
        _STYLE,
        "</head>\n<body>\n<main>\n",
        f"<h1>{''.join(_breadcrumbs(path))}</h1>\n",
        f'<p class="sum">{_summary(counts, text)}</p>\n',
        '<form id="view" method="get">\n',
        _filter_field(sort, text) if text or counts.found >= FILTERED_FROM else "",
        "</form>\n<table>\n<thead><tr>",
        *(_heading(name, sort) for name in ("name", "size", "date")),
        "</tr></thead>\n<tbody>\n",
        '<tr class="up"><td><a href="../">../</a></td><td></td><td></td></tr>\n' if len(path) > 1 else "",
    ))  # fmt: skip


def _breadcrumbs(path: Sequence[str]) -> Iterator[str]:
    """Yield a link to each folder above the listed folder, then the name of the listed folder."""
    depth = len(path) - 1
    for number, name in enumerate(path[:-1]):
        if number and depth - number >= _MAX_BREADCRUMBS:
            if number == 1:
                yield "<i>…/</i>"
            continue
        yield f'<a href="{"../" * (depth - number)}"><bdi>{escape(name)}</bdi></a><i>/</i>'
    yield f"<bdi>{escape(path[-1])}</bdi>"


def _summary(counts: Counts, text: str) -> str:
    if not counts.found:
        return "This folder is empty."
    if not counts.folders + counts.files:
        return f"No match for “{escape(text)}” in {_count(counts.found, 'name')}."
    shown = [_count(counts.folders, "folder")] if counts.folders else []
    if counts.files:
        shown.append(f"{_count(counts.files, 'file')}, {counts.length}")
    of_all = f" of {_count(counts.found, 'name')}, with “{escape(text)}”" if text else ""
    return " · ".join(shown) + of_all


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _filter_field(sort: str, text: str) -> str:
    """Return the filter field and its button. Enter presses the button, which filters and keeps the order."""
    return (
        f'<div class="find"><input type="search" name="filter" value="{escape(text)}" placeholder="Filter names"'
        ' aria-label="Filter names" autocomplete="off" spellcheck="false">'
        f'<button name="sort" value="{sort}">Filter</button></div>\n'
    )


def _heading(column: str, sort: str) -> str:
    """Return the heading of a column. It is a button that sorts by the column. A second click reverses the order."""
    order, _, is_descending = sort.partition("-")
    label = {"name": "Name", "size": "Size", "date": 'Modified, <span id="zone">UTC</span>'}[column]
    if column != order:
        return f'<th><button form="view" name="sort" value="{column}">{label}</button></th>'
    value, sign, sorting = (column, "↓", "descending") if is_descending else (f"{column}-desc", "↑", "ascending")
    button = f'<button form="view" name="sort" value="{value}">{label} {sign}</button>'
    return f'<th aria-sort="{sorting}">{button}</th>'
