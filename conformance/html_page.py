"""The frame of an HTML page, its style, and its tables. A page is also well-formed XML."""

from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --text: #1b1d21; --ground: #fdfdfc; --line: #d9dadd; --quiet: #5d626b;
  --link: #0b57a4; --panel: #f1f2f3 }
@media (prefers-color-scheme: dark) { :root { --text: #e5e6e8; --ground: #17191c; --line: #383c42; --quiet: #9ba1ab;
  --link: #86b9f5; --panel: #212428 } }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 68rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word }
h1, h2, h3 { line-height: 1.2; text-wrap: balance }
h2 { margin-top: 3rem }
a { color: var(--link) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td.count, th.count { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
code, pre { font: .85rem/1.45 ui-monospace, monospace }
pre { margin: .4rem 0; padding: .6rem .8rem; background: var(--panel); overflow-x: auto }
"""


def head(title: str, style: str) -> str:
    """Return the start of a page, up to its body. Add *style* to the style that all pages share."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str | int]], numbers: int) -> str:
    """Return a table. A string in *rows* is the HTML of a cell. The last *numbers* columns contain numbers."""
    first = len(heads) - numbers
    top = "".join(f'<th scope="col"{_class(index >= first)}>{name}</th>' for index, name in enumerate(heads))
    body = "\n".join(
        f"<tr>{''.join(f'<td{_class(index >= first)}>{cell}</td>' for index, cell in enumerate(row))}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _class(is_count: object) -> str:
    return ' class="count"' if is_count else ""
