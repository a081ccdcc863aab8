"""The generated parts of ``www/``: recordings, programs, and excerpts of the cited code.

    python3 -m tests.site             fill the pages from recordings, programs and code
    python3 -m tests.site --record    first play the exchanges again and store their traces
                                      (Linux; port 8000 has to be free)

In a page, these elements get new content. Their attributes select the content:

    <ol class="trace" data-from="server" data-connection="1" data-exchange="2" data-calls="recv parse">
        events of a recording. Connection 0 is the server itself. An exchange begins with a wait for a request.
        Exchange 0 comes before the first wait, and exchange -1 is the last one. data-calls selects the calls by name.
        data-below lists calls. Only events of these calls have the lines below them.
    <pre data-output="receiver" data-line="0">
        the output of a program, or one line of it
    <code data-program="tcp_server.py">
        a program of www/code
    <code data-datagram="search">
        a datagram of SSDP
    <a class="source" href="code.html#server.listeners/_open_listener/bind">
        a link to a call in the code. The link consists of the module, the function and the call
    <b data-figure="UDP lost">
        a figure of the transfer over the lossy path
    <!-- datagrams -->
        a picture of this transfer

``tests/test_site.py`` checks that the pages are up to date, and that the program still prints these recordings.
"""

import ast
import html
import itertools
import json
import pathlib
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

import httpsock
from httpsock.discovery.announcer import Announcer
from httpsock.discovery.description_handler import DescriptionHandler
from httpsock.discovery.search import search
from httpsock.discovery.ssdp import ROOT_DEVICE, format_search
from httpsock.files import cache, representation
from httpsock.tracing.events import TextFormatter
from tests.support import exchange, free_port
from tests.support.arguments import ArgumentParser
from tests.support.trace import CollectedTrace, Traced, alike

ROOT = pathlib.Path(__file__).parent.parent
WWW = ROOT / "www"
PAGES = sorted(WWW.glob("*.html"))
TRACES = WWW / "traces"
TIMEOUT_SECONDS = 60


# --- Recording ------------------------------------------------------------------------------------------------------


def trace_get(*arguments: str) -> str:
    """Run ``httpsock get`` with *arguments*. Return its standard error, which is the trace."""
    command = [sys.executable, "-m", "httpsock", "get", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
    return done.stderr.decode()


def record_tcp(port: int) -> dict[str, str]:
    """Play some exchanges with a server on *port*. Return the traces of the server and of its client, by name."""
    with pytest.MonkeyPatch.context() as patch:
        # Let the server cache even a file that was checked out just now, and for more than a second.
        patch.setattr(representation, "MTIME_GRANULARITY_SECONDS", -3600)
        patch.setattr(cache, "FRESH_SECONDS", 3600)
        return _record_tcp(port)


def _record_tcp(port: int) -> dict[str, str]:
    with Traced(WWW, port=port) as server:
        url = f"http://127.0.0.1:{server.port}/"
        hello = url + "hello.txt"
        client = trace_get("-v", hello)
        trace_get(hello, url + "files/colours.csv")
        trace_get("-I", hello)
        trace_get("-H", "Range: bytes=0-4", hello)
        trace_get("-H", f"If-None-Match: {etag_of('hello.txt')}", hello)
        exchange(server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept : text/plain\r\n\r\n", ends=False)
    with Traced(WWW, port=port, wants_octets=True) as other:
        exchange(
            other.port, b"GET /hello.txt HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nConnection: close\r\n\r\n", ends=False
        )
    return {"server": server.output, "client": client, "octets": other.output}


def etag_of(name: str) -> str:
    """Return the entity-tag that httpsock sends for the file *name* in www."""
    with httpsock.Server(WWW, port=0) as server, httpsock.Client() as client, client.get(server.url + name) as response:
        return str(response.field("ETag"))


class Silent(Announcer):
    """An announcer that answers searches but sends no announcements."""

    def _announce(self, make: object) -> None:
        pass


def record_search() -> dict[str, str]:
    """Play one SSDP search. Return the traces of the announcer and of the client, by name."""
    server, client = CollectedTrace(is_client=False), CollectedTrace()
    with Silent(str(WWW), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0, trace=server) as running:
        port = running.group_port
        assert list(search(ROOT_DEVICE, [("127.0.0.1", port)], 3.0, client))
    collected = {
        "search": "".join(map(TextFormatter(), server.events)),
        "find": "".join(map(TextFormatter(is_client=True), client.events)),
    }
    # The recording must not show which system it was made on.
    collected = {name: re.sub(r"SERVER: \S+", "SERVER: Linux/6.1", text) for name, text in collected.items()}
    return {name: text.replace(f":{port}\n", ":1900\n") for name, text in collected.items()}


def record_udp() -> dict[str, str]:
    """Run the two UDP programs of www/code. Return the output of each program, by name."""
    port = str(free_port(socket.SOCK_DGRAM))
    sender = on_port("udp_sender.py", port)
    with subprocess.Popen(on_port("udp_receiver.py", port), stdout=subprocess.PIPE, text=True) as receiver:
        # Datagrams are lost until the receiver is bound.
        while (answered := run(sender)).count("from") == 0:
            pass
        assert receiver.stdout
        received = "".join(receiver.stdout.readline() for _ in range(2))
        receiver.terminate()
    collected = {"receiver": received, "sender": answered, "unanswered": run(sender)}
    return {name: re.sub(rf"\b{port}\b", "9001", text) for name, text in collected.items()}


def on_port(name: str, port: str) -> list[str]:
    """Return a command that runs the program *name* of www/code on *port*."""
    source = (WWW / "code" / name).read_text(encoding="utf-8")
    assert len(re.findall(r"\b(?:8000|900[01])\b", source)) > 0
    return [sys.executable, "-u", "-c", re.sub(r"\b(?:8000|900[01])\b", port, source)]


def run(command: list[str]) -> str:
    """Run *command* and return its standard output."""
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=True, text=True).stdout


def record_bad_path() -> str:
    """Send data over a simulated lossy path. Return the figures of the transfer as JSON."""
    command = [sys.executable, "-m", "tests.support.lossy_path"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIMEOUT_SECONDS, check=True, text=True)
    return done.stdout


# --- Recordings as values -------------------------------------------------------------------------------------------


class RecordedEvent(NamedTuple):
    """One event of a recorded trace."""

    connection: int
    time: str
    what: str
    below: list[str]

    @property
    def call(self) -> str:
        """The name of the call that the event records."""
        return self.what.split()[0].rstrip(":")


_EVENT = re.compile(r"(?:server|client|#(\d+) \S+) +([\d.]+ (?:µs|ms|s)|TIME)  (.*)")


def events_of(text: str) -> list[RecordedEvent]:
    """Parse the trace *text* of a server or a client. Return its events."""
    events: list[RecordedEvent] = []
    for line in text.splitlines():
        if match := _EVENT.fullmatch(line):
            events.append(RecordedEvent(int(match[1] or 0), match[2], " ".join(match[3].split()), []))
        elif events and line.strip()[:1] in (">", "<", "=", "!"):
            events[-1].below.append(line.strip())
    return events


def exchanges_of(events: list[RecordedEvent]) -> list[list[RecordedEvent]]:
    """Split the events of one connection into exchanges. Each one after the first begins with a wait for a request."""
    exchanges: list[list[RecordedEvent]] = [[]]
    for event in events:
        if event.what.startswith("wait for a request"):
            exchanges.append([])
        exchanges[-1].append(event)
    return exchanges


def normalised(text: str) -> dict[int, list[RecordedEvent]]:
    """Return the events of each connection. Remove the parts that differ from run to run."""
    text = alike(text)
    # The dump of a response contains the date; a port has four digits or five.
    text = re.sub(r"(?m)^ +< [0-9a-f]{4}  .*\n", "", text)
    text = re.sub(r"\b(recv|send) +[1-9]\d*", r"\1 N", text)
    by_connection: dict[int, list[RecordedEvent]] = {}
    for event in events_of(text):
        by_connection.setdefault(event.connection, []).append(event)
    return by_connection


# --- Content of the pages -------------------------------------------------------------------------------------------


def trace(attributes: dict[str, str]) -> str:
    """Return the events that *attributes* select from a recording, as HTML list items."""
    name = attributes["data-from"]
    events = events_of((TRACES / f"{name}.txt").read_text(encoding="utf-8"))
    if "data-connection" in attributes:
        events = [event for event in events if event.connection == int(attributes["data-connection"])]
    if "data-exchange" in attributes:
        events = exchanges_of(events)[int(attributes["data-exchange"])]
    if calls := attributes.get("data-calls"):
        events = [event for event in events if event.call in calls.split()]
    if "data-below" in attributes:
        shown = attributes["data-below"].split()
        events = [event if event.call in shown else event._replace(below=[]) for event in events]
    assert events, f"{attributes} select no event of {name}"
    return "\n".join(["", *map(item, events), ""])


def item(event: RecordedEvent) -> str:
    """Return one event as an HTML list item."""
    time, what = html.escape(event.time), html.escape(event.what, quote=False)
    below = "\n".join(f'<i class="{_SIDES[line[0]]}">{html.escape(line, quote=False)}</i>' for line in event.below)
    return f"<li><span>{time}</span> <b>{what}</b>{f'<pre>{below}</pre>' if below else ''}</li>"


_SIDES = {">": "of-client", "<": "of-server", "=": "note", "!": "of-server"}


def output_of(name: str, line: str) -> str:
    """Return the recorded output of a program. If *line* is not empty, return only the line with this number."""
    lines = (TRACES / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return html.escape("\n".join(lines) if line == "" else lines[int(line)], quote=False)


def datagram(name: str) -> str:
    """Return an example of an SSDP datagram as HTML."""
    octets = {"search": format_search(ROOT_DEVICE, 1)}[name]
    return html.escape(octets.decode().replace("\r\n", "\n").rstrip("\n"), quote=False)


def program(name: str) -> str:
    """Return a program of www/code as HTML."""
    return marked((WWW / "code" / name).read_text(encoding="utf-8").rstrip("\n"))


def marked(source: str) -> str:
    """Return Python *source* as HTML. Comments, docstrings and step numbers in comments are marked."""
    escaped = html.escape(source, quote=False)
    escaped = re.sub(r'(?s)"""(.*?)"""', lambda match: f'<i>"""{match[1]}"""</i>', escaped)
    escaped = re.sub(r"(?m)(?:(?<=\s)|^)(# .*)$", r"<i>\1</i>", escaped)
    return re.sub(r"<i># ([0-9])(?=[. ])", r"<i># <b>\1</b>", escaped)


class Cited(NamedTuple):
    """A function call in httpsock that a page of the site cites."""

    module: str
    function: str
    call: str

    @property
    def anchor(self) -> str:
        """The HTML anchor of the call on the page code.html."""
        return "/".join(self)


def cited_in(pages: dict[str, str]) -> list[Cited]:
    """Return the calls that the pages cite, in the order of the citations."""
    order = ("index.html", "tcp.html", "udp.html", "http.html", "try.html")
    text = "".join(pages[name] for name in order if name in pages)
    return [Cited(*found) for found in dict.fromkeys(re.findall(r'href="code\.html#([^/"]+)/([^/"]+)/([^/"]+)"', text))]


def file_of(module: str) -> pathlib.Path:
    """Return the source file of a module, such as "server.connection"."""
    return (ROOT / "httpsock").joinpath(*module.split(".")).with_suffix(".py")


def path_of(module: str) -> str:
    """Return the path of a module within the package."""
    return module.replace(".", "/") + ".py"


def excerpt(module: str, function: str, calls: list[str]) -> str:
    """Return the source of a function as HTML, and mark the *calls*.

    If the function or a call is missing, raise KeyError.
    """
    source = file_of(module).read_text(encoding="utf-8")
    node = find(ast.parse(source), function)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = source.splitlines()[first - 1 : node.end_lineno]
    indent = len(lines[0]) - len(lines[0].lstrip())
    written = marked("\n".join(line[indent:] for line in lines)).split("\n")
    for call in calls:
        at = line_of(node, call) - first
        anchor = Cited(module, function, call).anchor
        written[at] = f'<mark id="{anchor}">{written[at]}</mark>'
    return "\n".join(written)


def find(tree: ast.AST, function: str) -> ast.FunctionDef:
    """Find a function or a method, such as "Class.method", in *tree*. Raise KeyError if it is missing."""
    node: ast.AST = tree
    for name in function.split("."):
        body = [child for child in ast.iter_child_nodes(node) if getattr(child, "name", "") == name]
        if not body:
            raise KeyError(f"there is no {function}")
        node = body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def line_of(function: ast.FunctionDef, call: str) -> int:
    """Return the first line on which *function* calls *call*. Raise KeyError if there is no such call."""
    lines = [node.lineno for node in ast.walk(function) if isinstance(node, ast.Call) and name_of(node.func) == call]
    if not lines:
        raise KeyError(f"{function.name} makes no call of {call}")
    return min(lines)


def name_of(called: ast.expr) -> str:
    """Return the last name in the expression *called*. If the expression has no name, return ""."""
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def excerpts(cited: list[Cited]) -> str:
    """Return the source of all cited functions as HTML, file by file."""
    parts = [contents(cited)]
    for module in dict.fromkeys(each.module for each in cited):
        source = file_of(module).read_text(encoding="utf-8")
        purpose = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        functions = dict.fromkeys(each.function for each in cited if each.module == module)
        title = html.escape(purpose, quote=False)
        parts.append(f'<section class="part" id="{module}" aria-labelledby="{module}-h">')
        parts.append(f'<p class="tag">{path_of(module)}</p>\n<div class="body">\n<h2 id="{module}-h">{title}</h2>')
        tree = ast.parse(source)
        for function in sorted(functions, key=lambda name, tree=tree: find(tree, name).lineno):  # type: ignore[misc]
            calls = [each.call for each in cited if (each.module, each.function) == (module, function)]
            parts.append(f'<h3 id="{module}/{function}"><code>{function}</code></h3>')
            parts.append(f'<div class="code"><pre><code>{excerpt(module, function, calls)}</code></pre></div>')
        parts.append("</div>\n</section>")
    return "\n".join(["", *parts, ""])


def contents(cited: list[Cited]) -> str:
    """Return the table of contents: each file with its functions."""
    items = []
    for module in dict.fromkeys(each.module for each in cited):
        functions = dict.fromkeys(each.function for each in cited if each.module == module)
        links = " ".join(f'<a href="#{module}/{function}">{function}</a>' for function in functions)
        items.append(f'<li><a href="#{module}">{path_of(module)}</a> <span>{links}</span></li>')
    return "\n".join(['<nav class="contents" aria-label="Contents">', "<ul>", *items, "</ul>", "</nav>"])


def figure(path: dict[str, object], name: str) -> str:
    """Look up one figure of the transfer over a lossy path. *name* is a list of keys, such as "UDP/sent"."""
    value: object = path
    for part in name.split("/"):
        assert isinstance(value, dict)
        value = value[part]
    return f"{value:,}" if isinstance(value, int) else str(value)


def datagrams(sent: int, arrived: list[int]) -> str:
    """Return an SVG picture with one cell for each datagram. The cell shows whether and how the datagram arrived."""
    overtaken = {later for earlier, later in itertools.pairwise(arrived) if later < earlier}
    cells = []
    for number in range(sent):
        column, row = number % 40, number // 40
        count = arrived.count(number)
        fate = "lost" if not count else "twice" if count > 1 else "late" if number in overtaken else "once"
        cells.append(f'<use href="#{fate}" x="{column * 16}" y="{row * 20}"/>')
    return "\n" + "\n".join("".join(cells[row : row + 20]) for row in range(0, sent, 20)) + "\n"


_TRACE = re.compile(r'(<ol class="trace"( data-from=[^>]*)>)(?s:.*?)(?=</ol>)')
_OUTPUT = re.compile(r'(<pre [^>]*data-output="([^"]*)"(?: data-line="([^"]*)")?[^>]*>)(?s:.*?)(?=</pre>)')
_DATAGRAM = re.compile(r'(<code data-datagram="([^"]*)">)(?s:.*?)(?=</code>)')
_PROGRAM = re.compile(r'(<code data-program="([^"]*)">)(?s:.*?)(?=</code>)')
_SOURCE = re.compile(r'(<a class="source" href="code\.html#([^/"]+)/([^/"]+)/[^/"]+">).*?(?=</a>)')
_FIGURE = re.compile(r'(<b data-figure="([^"]*)">).*?(?=</b>)')
_DATAGRAMS = re.compile(r"(<!-- datagrams -->)(?s:.*?)(?=<!-- /datagrams -->)")
_EXCERPTS = re.compile(r"(<!-- excerpts -->)(?s:.*?)(?=<!-- /excerpts -->)")


def built(pages: dict[str, str]) -> dict[str, str]:
    """Return the pages with all generated parts up to date."""
    path = json.loads((TRACES / "bad-path.json").read_text())
    code = excerpts(cited_in(pages))
    fillings: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
        (_TRACE, lambda found: trace(dict(re.findall(r'([\w-]+)="([^"]*)"', found[2])))),
        (_OUTPUT, lambda found: output_of(found[2], found[3] or "")),
        (_DATAGRAM, lambda found: datagram(found[2])),
        (_PROGRAM, lambda found: program(found[2])),
        (_SOURCE, lambda found: f"<code>{path_of(found[2])}</code> {found[3]}"),
        (_FIGURE, lambda found: figure(path, found[2])),
        (_DATAGRAMS, lambda _: datagrams(path["UDP"]["sent"], [int(each) for each in path["UDP"]["arrived"].split()])),
        (_EXCERPTS, lambda _: code),
    ]
    done = {}
    for name, page in pages.items():
        done[name] = page
        for pattern, fill in fillings:
            done[name] = pattern.sub(lambda found, fill=fill: found[1] + fill(found), done[name])  # type: ignore[misc]
    return done


def main() -> None:
    """Write the pages. With ``--record``, record the traces first."""
    parser = ArgumentParser("tests.site", __doc__)
    parser.add_argument("--record", action="store_true", help="first play the exchanges again and store their traces")
    options = parser.parse_args()
    TRACES.mkdir(exist_ok=True)
    if options.record:
        for name, text in {**record_tcp(8000), **record_search(), **record_udp()}.items():
            (TRACES / f"{name}.txt").write_text(text, encoding="utf-8")
        (TRACES / "bad-path.json").write_text(record_bad_path(), encoding="utf-8")
    for name, page in built({path.name: path.read_text(encoding="utf-8") for path in PAGES}).items():
        (WWW / name).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
