"""The comparison: the page in the repository is complete. If a server can't be tried, it is skipped with a reason."""

import re
import shlex
import sys
from pathlib import Path
from xml.parsers import expat

import pytest

from conformance.__main__ import main
from conformance.corpus.requirements import address_of, load_requirements
from conformance.live.results import Outcome, Result
from conformance.live.start import started
from conformance.live.target import Target

from . import servers
from .arguments import WELL_KNOWN, accusations, load_arguments
from .compared import LEVELS, Comparison, as_json, compared, from_json
from .markdown import render_markdown
from .page import render_page
from .servers import Installation, Server, SkipError, load_servers
from .view import files, group

FOLDER = Path(__file__).parents[1]
_RESULTS = from_json((FOLDER / "RESULTS.json").read_text(encoding="utf-8"))
_MARKDOWN = (FOLDER / "RESULTS.md").read_text(encoding="utf-8")
_SERVERS = {server.name: server for server in load_servers()}


def test_the_pages_in_the_repository_are_current() -> None:
    """To renew the pages, run: python3 -m conformance compare --render."""
    assert render_markdown(_RESULTS) == _MARKDOWN
    assert render_page(_RESULTS) == (FOLDER / "RESULTS.html").read_text(encoding="utf-8")
    assert as_json(_RESULTS) == (FOLDER / "RESULTS.json").read_text(encoding="utf-8")


def test_the_page_says_when_and_how_it_was_made_and_asks_for_corrections() -> None:
    assert re.search(r"Made on 20[0-9]{2}-[0-9]{2}-[0-9]{2} by `python3 -m conformance compare` on ", _MARKDOWN)
    assert "Corrections are welcome" in _MARKDOWN


def test_each_server_of_the_table_is_on_the_page() -> None:
    """The page has the version and figures of each server, or the reason why it was skipped."""
    assert len(_RESULTS.compared) >= 20
    assert {server.name for server in _RESULTS.compared} | {
        server.name for server in load_servers() if server.title in _RESULTS.skipped
    } == _SERVERS.keys()
    for server in _RESULTS.compared:
        assert re.match(r"[0-9]+\.[0-9]", server.version), server.name
        assert server.tried > 600, server.name
        figures = f"| {server.tried} | {' | '.join(str(server.failed(level)) for level in LEVELS)} |"
        assert figures in _MARKDOWN, server.name


def test_httpsock_has_no_failure_on_the_page() -> None:
    assert [server.differences for server in _RESULTS.compared if server.name == "httpsock"] == [()]


def test_each_link_leads_to_an_anchor_to_the_octets_of_a_case_or_to_an_rfc() -> None:
    anchors = set(re.findall(r'<a id="([^"]+)"></a>', _MARKDOWN))
    for link in set(re.findall(r"\]\(([^)]+)\)", _MARKDOWN)):
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif link.startswith("corpus/"):
            assert (FOLDER / link).is_file(), link
        else:
            assert re.fullmatch(r"https://www\.rfc-editor\.org/rfc/rfc[0-9]{4}#section-[0-9.]+", link), link


def test_each_difference_has_its_octets_its_section_and_its_servers() -> None:
    """Each server's paragraph links to its differences. The octets are folded below each difference."""
    for one in group(_RESULTS):
        assert f'<a id="{one.anchor}"></a>' in _MARKDOWN
        assert f"](#{one.anchor}) " in _MARKDOWN
        assert one.names, one.anchor
        assert address_of(one.section) or one.section in {"practice", "policy"}, one.anchor
    assert _MARKDOWN.count("<details><summary>bytes of ") == len(group(_RESULTS))


def _parse(page: str) -> list[str]:
    """Return the anchors of *page*. If it is not well-formed XML, raise ExpatError."""
    anchors = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda _, attributes: anchors.append(attributes["id"]) if "id" in attributes else None
    parser.Parse(page, True)
    return anchors


def test_the_html_page_is_well_formed_xml_with_unique_anchors() -> None:
    anchors = _parse(render_page(_RESULTS))
    assert len(anchors) == len(set(anchors)) > len(group(_RESULTS))


def test_each_must_that_a_well_known_server_breaks_has_an_argument() -> None:
    """Each argument quotes a sentence with MUST from a section of an RFC."""
    accused = accusations(_RESULTS)
    arguments = load_arguments()
    assert accused.keys() - arguments.keys() == set()
    for number, argument in arguments.items():
        assert number in load_requirements()
        assert re.fullmatch(r"RFC [0-9]{4} §[0-9.]+", argument.section), number
        assert "MUST" in argument.says, number
        assert argument.why.endswith("."), number
    rows = [line for line in _MARKDOWN.splitlines() if re.match(r"\| R[0-9]{3} \| ", line)]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == sorted(accused)


def test_the_well_known_servers_are_in_the_table() -> None:
    """If a well-known server were renamed in the table, no other test would require arguments for its failures."""
    assert set(WELL_KNOWN) <= _SERVERS.keys()


def _result(name: str, level: str, outcome: Outcome = Outcome.FAILED) -> Result:
    return Result(name, "R100", level, outcome, "405 without <Allow>", b"GET / HTTP/1.1\r\n\xff", b"HTTP/1.1 405 |", "")


def test_results_of_a_server_go_through_json_unchanged() -> None:
    results = [
        _result("an-unknown-method", "MUST"),
        _result("a-delete", "MUST"),
        _result("one", "SHOULD"),
        _result("two", "POLICY"),
        _result("three", "MUST", Outcome.PASSED),
        _result("four", "MUST", Outcome.SKIPPED),
    ]
    server = compared("a", "A | B", "1.0", "apt", results)
    assert (server.tried, [server.failed(level) for level in LEVELS]) == (5, [2, 0, 1])
    assert [len(difference.names) for difference in server.differences] == [2, 1]
    comparison = Comparison("2026-01-01", "Linux", (server,), {"C": "there is no <program>"})
    assert from_json(as_json(comparison)) == comparison
    text = render_markdown(comparison)
    assert "405 without &lt;Allow&gt;" in text
    assert "[a-delete](corpus/well-formed/a-delete.http)" in text
    assert "- C: there is no &lt;program&gt;" in text
    assert files()["a-delete"] in render_page(comparison)
    assert _parse(render_page(comparison))


@pytest.mark.parametrize("server", load_servers(), ids=lambda server: server.name)
def test_each_entry_of_the_table_can_be_read(server: Server) -> None:
    """In each entry, the source is known, and each command can be split into words."""
    assert server.source in {"here", "apt", "pip", "npm"}
    for text in (server.start, server.back, server.version, server.build):
        assert set(re.findall(r"(?<!\$)\{(\w+)\}", text)) <= {
            *("port", "root", "folder", "back", "this", "python", "node", "build"),
        }
        shlex.split(text)
    assert "{port}" in server.start + "".join(server.files.values())


def test_a_server_that_needs_no_installation_is_started(tmp_path: Path) -> None:
    installation = Installation(tmp_path, uses_apt=False)
    server = _SERVERS["httpsock"]
    assert re.match(r"[0-9]+\.[0-9]", installation.version(server))
    with started(installation.prepare(server)) as program:
        assert Target(program.address, program).is_there()


def test_a_proxy_starts_after_the_server_behind_it(tmp_path: Path) -> None:
    """In the proxy's configuration file, {back} becomes the port of the server behind the proxy."""
    front = (
        "import socket, sys\n"
        "with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as listener:\n"
        "    while True:\n"
        "        with listener.accept()[0] as client, socket.create_connection(('127.0.0.1', {back})) as server:\n"
        "            server.sendall(client.recv(65536))\n"
        "            client.sendall(server.recv(65536))\n"
    )
    server = Server("front", "here", "Front", "", "{this} {folder}/front.py {port}", files={"front.py": front},
                    back="{this} -m httpsock --port {back} {root}")  # fmt: skip
    with started(Installation(tmp_path, uses_apt=False).prepare(server)) as program:
        assert Target(program.address, program).is_there()


@pytest.mark.parametrize(
    ("server", "why"),
    [
        pytest.param(Server("a", "apt", "A", "", "", ("a-package",), "no-such-program-anywhere"), "--apt", id="apt"),
        pytest.param(Server("a", "here", "A", "", "", (), "no-such-program-anywhere"), "is missing", id="here"),
        pytest.param(
            Server("a", "here", "A", "", "", build=f"{sys.executable} -c 'raise SystemExit(\"too old\")'"),
            "too old", id="a build that fails",
        ),
        pytest.param(Server("a", "here", "A", "", "", build="no-such-program"), "no-such-program", id="no builder"),
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_installed_raises_skip_error(server: Server, why: str, tmp_path: Path) -> None:
    with pytest.raises(SkipError, match=why):
        Installation(tmp_path, uses_apt=False).prepare(server)


def test_an_unknown_version_or_a_missing_virtual_environment_raises_skip_error(tmp_path: Path) -> None:
    server = Server("a", "pip", "A", "no-such-program-anywhere", "", ("a-package",))
    with pytest.raises(SkipError, match="its version is unknown"):
        Installation(tmp_path, uses_apt=False).version(server)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SkipError, match="cannot make a virtual environment"):
        Installation(tmp_path / "file", uses_apt=False).prepare(server)


def test_the_command_names_servers_that_cannot_be_tried_and_unknown_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If no server can be tried, the exit code is 2."""
    absent = Server("absent", "here", "Absent", "", "", (), "no-such-program-anywhere")
    dead = Server("dead", "here", "Dead", "{this} --version", "{this} -c 'raise SystemExit(3)'")
    monkeypatch.setattr(servers, "load_servers", lambda: (absent, dead))
    from . import run

    monkeypatch.setattr(run, "load_servers", lambda: (absent, dead))
    assert main(["compare", "--results", str(tmp_path / "R"), "--packages", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "Absent: not tried: the program no-such-program-anywhere is missing" in captured.err
    assert "Dead: not tried: " in captured.err
    assert "no server of the table could be tried" in captured.err
    with pytest.raises(SystemExit):
        main(["compare", "nginks"])
    assert "unknown servers: nginks" in capsys.readouterr().err


def test_the_pages_can_be_written_again_from_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If the file of results is missing, the exit code is 2."""
    assert main(["compare", "--render", "--results", str(tmp_path / "R")]) == 2
    assert "R.json" in capsys.readouterr().err
    (tmp_path / "R.json").write_text(as_json(_RESULTS), encoding="utf-8")
    assert main(["compare", "--render", "--results", str(tmp_path / "R")]) == 0
    assert (tmp_path / "R.md").read_text(encoding="utf-8") == _MARKDOWN
