"""Write the page on servers as HTML: one file without scripts, with links to the files of the corpus."""

from html import escape

from conformance.corpus.requirements import address_of
from conformance.html_page import head, table

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

_STYLE = """summary { cursor: pointer; color: var(--quiet) }
section { margin: 1.5rem 0 }
section:target { outline: 2px solid var(--link); outline-offset: .5rem }
"""


def render_page(comparison: Comparison) -> str:
    """Return the page on servers as HTML that is also well-formed XML."""
    groups = group(comparison)
    parts = [
        head(TITLE, _STYLE),
        f"<h1>{TITLE}</h1>",
        *(f"<p>{_code(sentence)}</p>" for sentence in introduction(comparison)),
        "<h2>All servers</h2>",
        _servers(comparison),
        _skipped(comparison),
        "<h2>By chapter</h2>\n<p>Failures of MUST · security · SHOULD.</p>",
        _chapters(comparison),
        "<h2>By server</h2>",
        *(_server(index, server, groups) for index, server in enumerate(comparison.compared)),
        "<h2>The differences</h2>",
        *(_level(level, groups) for level in LEVELS),
        f"<h2>{ARGUMENTS_TITLE}</h2>",
        f"<p>{ARGUMENTS}</p>",
        _arguments(comparison),
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _code(sentence: str) -> str:
    """Return *sentence* as HTML. Text between grave accents becomes code."""
    return "".join(
        f"<code>{escape(part)}</code>" if index % 2 else escape(part) for index, part in enumerate(sentence.split("`"))
    )


def _servers(comparison: Comparison) -> str:
    rows = [
        [
            f'<a href="#server-{index}">{escape(server.title)}</a>',
            *(escape(server.version), server.source, str(server.tried)),
            *(str(server.failed(level)) for level in LEVELS),
            str(sum(difference.stops_server for difference in server.differences) or "–"),
        ]
        for index, server in enumerate(comparison.compared)
    ]
    return table(["server", "version", "from", "tried", "MUST", "security", "SHOULD", "stops it"], rows, 5)


def _skipped(comparison: Comparison) -> str:
    if not comparison.skipped:
        return ""
    items = "".join(f"<li>{escape(title)}: {escape(why)}</li>\n" for title, why in comparison.skipped.items())
    return f"<p>Not tried:</p>\n<ul>\n{items}</ul>"


def _chapters(comparison: Comparison) -> str:
    names = chapters(comparison)
    rows = [[escape(server.title), *(figures(server, name) for name in names)] for server in comparison.compared]
    return table(["server", *map(short, names)], rows, len(names))


def _server(index: int, server: Compared, groups: list[Group]) -> str:
    """Return the section on one server. It links to each difference, with the number of failures."""
    items = ""
    for level in LEVELS:
        links = ", ".join(
            f'<a href="#{one.anchor}">{"/".join(one.requirements)}</a> {count}'
            for one, count in of_server(server, groups, level)
        )
        items += f"<li>{level}: {links}</li>\n" if links else ""
    title = f"<h3>{escape(server.title)} {escape(server.version)}</h3>"
    return f'<section id="server-{index}">{title}\n<ul>\n{items or "<li>no difference</li>"}</ul></section>'


def _level(level: str, groups: list[Group]) -> str:
    mine = "\n".join(_group(one) for one in groups if one.level == level)
    return f"<h3>{level}</h3>\n{mine}" if mine else ""


def _group(one: Group) -> str:
    """Return one difference in HTML, with its requirement, servers and cases. Add one example for each server."""
    servers = ", ".join(f"{escape(server.title)} ({len(difference.names)})" for server, difference in one.servers)
    names = ", ".join(map(_name, one.names))
    octets = "".join(
        f"<p>{escape(server.title)}, {_name(difference.example)}: {escape(difference.why)}</p>\n"
        f"<pre>&gt; {_lines(difference.sent)}\n&lt; {_lines(difference.received)}</pre>\n"
        for server, difference in one.servers
    )
    return (
        f'<section id="{one.anchor}"><p><strong>{"/".join(one.requirements)}</strong>, {_section(one.section)}: '
        f"{escape(one.says)}</p>\n<p>{escape(one.example.why)}: {servers}.</p>\n"
        f"<details><summary>{len(one.names)} cases, with the bytes of one for each server</summary>\n"
        f"<p>{names}</p>\n{octets}</details></section>"
    )


def _section(section: str) -> str:
    address = address_of(section)
    return f'<a href="{address}">{escape(section)}</a>' if address else escape(section)


def _name(name: str) -> str:
    """If *name* is the name of a case, return a link to its octets. Otherwise return *name* as code."""
    file = files().get(name)
    return f'<a href="{file}">{escape(name)}</a>' if file else f"<code>{escape(name)}</code>"


def _lines(octets: str) -> str:
    return escape(octets.replace("\\r\\n", "\\r\\n\n  ").rstrip(), quote=False)


def _arguments(comparison: Comparison) -> str:
    arguments = load_arguments()
    rows = [
        [number, ", ".join(servers), _section(found.section), escape(found.says), escape(found.why)]
        for number, servers in accusations(comparison).items()
        if (found := arguments.get(number))
    ]
    return table(["", "servers", "section", "the RFC says", "what they do"], rows, 0)
