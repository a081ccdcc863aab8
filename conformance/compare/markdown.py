"""Write the page on servers as Markdown, RESULTS.md."""

import html
from collections.abc import Iterator

from conformance.corpus.requirements import address_of

from .arguments import accusations, load_arguments
from .compared import LEVELS, Compared, Comparison
from .view import (
    ARGUMENTS,
    ARGUMENTS_TITLE,
    TITLE,
    Group,
    chapters,
    figures,
    files,
    group,
    introduction,
    of_server,
    short,
)

_MAX_NAMES = 6


def render_markdown(comparison: Comparison) -> str:
    """Return the page on servers as Markdown."""
    groups = group(comparison)
    parts = [
        f"# {TITLE}",
        *introduction(comparison),
        "## All servers",
        _servers(comparison),
        *_skipped(comparison),
        "## By chapter",
        "Failures of MUST · security · SHOULD.",
        _chapters(comparison),
        "## By server",
        *(_server(index, server, groups) for index, server in enumerate(comparison.compared)),
        "## The differences",
        *(part for level in LEVELS for part in _level(level, groups)),
        f"## {ARGUMENTS_TITLE}",
        ARGUMENTS,
        _arguments(comparison),
    ]
    return "\n\n".join(parts) + "\n"


def table(heads: list[str], rows: list[list[str]], numbers: int) -> str:
    """Return a table in Markdown. The last *numbers* columns are right-aligned."""
    rule = ["---"] * (len(heads) - numbers) + ["--:"] * numbers
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rows))


def _servers(comparison: Comparison) -> str:
    rows = [
        [
            f"[{server.title}](#server-{index})",
            *(server.version, server.source, str(server.tried)),
            *(str(server.failed(level)) for level in LEVELS),
            str(sum(difference.stops_server for difference in server.differences) or "–"),
        ]
        for index, server in enumerate(comparison.compared)
    ]
    return table(["server", "version", "from", "tried", "MUST", "security", "SHOULD", "stops it"], rows, 5)


def _skipped(comparison: Comparison) -> Iterator[str]:
    """Yield a list of the servers that were not tried, with the reasons."""
    if comparison.skipped:
        yield "Not tried:"
        yield "\n".join(f"- {title}: {_text(why)}" for title, why in comparison.skipped.items())


def _chapters(comparison: Comparison) -> str:
    names = chapters(comparison)
    rows = [[server.title, *(figures(server, name) for name in names)] for server in comparison.compared]
    return table(["server", *map(short, names)], rows, len(names))


def _server(index: int, server: Compared, groups: list[Group]) -> str:
    """Return the section on one server. It links to each difference, with the number of failures."""
    lines = [f'<a id="server-{index}"></a>**{server.title}** {server.version}', ""]
    for level in LEVELS:
        links = [
            f"[{'/'.join(one.requirements)}](#{one.anchor}) {count}" for one, count in of_server(server, groups, level)
        ]
        lines += [f"- {level}: {', '.join(links)}"] if links else []
    return "\n".join(lines if len(lines) > 2 else [*lines, "- no difference"])


def _level(level: str, groups: list[Group]) -> Iterator[str]:
    mine = [one for one in groups if one.level == level]
    if mine:
        yield f"### {level}"
        yield from map(_group, mine)


def _group(one: Group) -> str:
    """Return one difference in Markdown, with its requirement, its servers, its cases, and the octets of one case."""
    servers = ", ".join(f"{server.title} ({len(difference.names)})" for server, difference in one.servers)
    names = [_name(name) for name in one.names]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    example = one.example
    title = html.escape(example.example, quote=False)
    shown = html.escape(f"> {_lines(example.sent)}\n< {_lines(example.received)}", quote=False)
    return (
        f'<a id="{one.anchor}"></a>**{"/".join(one.requirements)}**, {_section(one.section)}: {_text(one.says)}\n'
        f"{_text(example.why)}: {servers}.\nCases: {', '.join(names[:_MAX_NAMES])}{more}.\n"
        f"<details><summary>bytes of {title}</summary>\n\n<pre>{shown}</pre></details>"
    )


def _section(section: str) -> str:
    address = address_of(section)
    return f"[{section}]({address})" if address else section


def _name(name: str) -> str:
    """If *name* is the name of a case, return a link to its octets. Otherwise return *name* as code."""
    file = files().get(name)
    return f"[{name}]({file})" if file else f"`{name}`"


def _lines(octets: str) -> str:
    """Break escaped *octets* into lines, after each CRLF. Indent all lines except the first."""
    return octets.replace("\\r\\n", "\\r\\n\n  ").rstrip()


def _arguments(comparison: Comparison) -> str:
    arguments = load_arguments()
    rows = [
        [
            number,
            ", ".join(servers),
            f"[{found.section}]({address_of(found.section)})",
            _text(found.says),
            _text(found.why),
        ]
        for number, servers in accusations(comparison).items()
        if (found := arguments.get(number))
    ]
    return table(["", "servers", "section", "the RFC says", "what they do"], rows, 0)


def _text(text: str) -> str:
    """Escape *text* for Markdown."""
    return html.escape(text, quote=False).replace("|", "\\|").replace("*", "\\*").replace("`", "\\`")
