"""The site in www/: its traces are up to date, the cited code exists, its programs run, and its pages are valid."""

import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
from collections import Counter
from html.parser import HTMLParser

import pytest

import httpsock
from httpsock.tracing.events import FORMATS
from tests import site
from tests.site import PAGES, TRACES, WWW
from tests.support import exchange, free_port, read_answer

STYLE = (WWW / "style.css").read_text(encoding="utf-8")
SCRIPT = (WWW / "script.js").read_text(encoding="utf-8")
MAX_OCTETS = 60 * 1024
VOID = {"br", "img", "link", "meta", "source"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


# --- the generated parts --------------------------------------------------------------------------------------------


def test_the_pages_show_the_present_recordings_programs_and_code() -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    built = site.built(pages)
    for name, page in pages.items():
        assert page == built[name], f"{name} is stale: python3 -m tests.site"


def test_a_citation_of_a_missing_function_or_call_fails() -> None:
    excerpt = site.excerpt("server.listeners", "_open_listener", ["bind"])
    assert '<mark id="server.listeners/_open_listener/bind">' in excerpt
    with pytest.raises(KeyError, match="there is no _no_such_function"):
        site.excerpt("server.server", "_no_such_function", ["bind"])
    with pytest.raises(KeyError, match="_open_listener makes no call of connect"):
        site.excerpt("server.listeners", "_open_listener", ["connect"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="recorded on Linux, which reports TCP_INFO")
def test_the_program_still_prints_the_recorded_traces() -> None:
    """Only times, ports and dates may differ. ``python3 -m tests.site --record`` records the traces again."""
    for name, collected in site.record_tcp(0).items():
        recorded = (TRACES / f"{name}.txt").read_text(encoding="utf-8")
        assert site.normalised(collected) == site.normalised(recorded), name


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="multicast on loopback is Linux's")
def test_a_search_still_prints_its_recorded_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    # Answer as late as possible, so that the second copy of the search arrives before the answer leaves.
    monkeypatch.setattr("httpsock.discovery.announcer.random.uniform", lambda first, last: last)
    for name, collected in site.record_search().items():
        recorded = (TRACES / f"{name}.txt").read_text(encoding="utf-8")
        assert site.normalised(collected) == site.normalised(recorded), name


@pytest.mark.skipif(os.name == "nt", reason="Windows reports a closed port to the sender of a datagram")
def test_the_datagrams_are_still_sent_and_answered_as_recorded() -> None:
    for name, collected in site.record_udp().items():
        recorded = (TRACES / f"{name}.txt").read_text(encoding="utf-8")
        assert re.sub(r"port \d+", "port", collected) == re.sub(r"port \d+", "port", recorded), name


def test_the_readme_cites_the_same_run_of_the_bad_path() -> None:
    path = json.loads((TRACES / "bad-path.json").read_text())
    udp, tcp = path["UDP"], path["TCP"]
    on_the_path = tcp["packets on the path"]
    readme = " ".join((site.ROOT / "httpsock" / "discovery" / "README.md").read_text(encoding="utf-8").split())

    assert (
        f"of {udp['sent']} datagrams {udp['lost']} were lost, {udp['came twice']} came twice, {udp['overtaken']} were "
        f"overtaken; over TCP {tcp['octets']:,} bytes arrived whole, in {tcp['seconds']} s, although "
        f"{on_the_path['dropped']} of {sum(on_the_path.values())} packets were dropped."
    ) in readme


def test_the_figures_of_the_bad_path_agree_with_what_arrived() -> None:
    path = json.loads((TRACES / "bad-path.json").read_text())
    arrived = Counter(path["UDP"]["arrived"].split())
    assert len(arrived) == path["UDP"]["sent"] - path["UDP"]["lost"]
    assert arrived.total() - len(arrived) == path["UDP"]["came twice"]
    assert path["TCP"]["whole"] is True
    cells = re.findall(r'<use href="#(\w+)" x=', (WWW / "udp.html").read_text(encoding="utf-8"))
    assert len(cells) == path["UDP"]["sent"]
    assert cells.count("lost") == path["UDP"]["lost"]
    assert cells.count("twice") == path["UDP"]["came twice"]


def test_live_events_have_the_text_of_those_on_the_terminal() -> None:
    table = SCRIPT.partition("const sentences = {")[2].partition("};")[0]
    written = dict(re.findall(r'^  (\w+): "(.*)",$', table, re.MULTILINE))
    assert written == {name: FORMATS[name].replace(":g}", "}") for name in written}
    collected = site.events_of((TRACES / "server.txt").read_text(encoding="utf-8"))
    assert {event.call for event in collected} <= set(written)


# --- the programs ---------------------------------------------------------------------------------------------------


def test_the_server_of_six_steps_answers_the_client_of_five() -> None:
    port = str(free_port())
    with subprocess.Popen(site.on_port("tcp_server.py", port), stdout=subprocess.PIPE, text=True) as server:
        client = site.on_port("tcp_client.py", port)
        # Repeat while connections are refused: the server does not listen yet.
        while (done := subprocess.run(client, capture_output=True, text=True, timeout=60, check=False)).returncode:
            assert "ConnectionRefusedError" in done.stderr
            assert server.poll() is None
        output, _ = server.communicate(timeout=60)
    assert done.stdout == "HELLO, SOCKET\n"
    assert output.startswith("connection from ('127.0.0.1', ")


def test_a_request_written_by_hand_is_answered() -> None:
    with httpsock.Server(WWW, port=0) as server:
        output = site.run(site.on_port("http_by_hand.py", str(server.port)))
    assert output.startswith("HTTP/1.1 200 OK")
    assert output.endswith((WWW / "hello.txt").read_text() + "\n")


def test_a_rude_request_of_the_page_gets_the_section_that_the_page_names() -> None:
    rude = (WWW / "try.html").read_text(encoding="utf-8").partition('id="rude"')[2].partition("</section>")[0]
    tries = re.findall(r"<code>printf '(.*?)' \| nc .*?</code></pre></div>\n<p class=\"look\">(.*?)</p>", rude)
    assert len(tries) == 5
    with httpsock.Server(WWW, port=0) as server:
        for text, section in tries:
            octets = text.replace(r"\r", "\r").replace(r"\n", "\n").encode()
            answer, _ = read_answer(exchange(server.port, octets, ends=False))
            assert (answer.status, answer.field("Connection")) == (400, "close")
            assert re.findall(r"RFC \d+ §[\d.]+\b", answer.text) == [section]


# --- the pages ------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """An HTML page: its elements, and the errors in their nesting."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self._open: list[str] = []
        self._is_drawing = False
        self.feed(path.read_text(encoding="utf-8"))
        self.faults += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def all(self, name: str) -> list[str]:
        """Return every value of the attribute *name* on the page."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@each_page
def test_a_page_is_well_nested_and_small(page: pathlib.Path) -> None:
    assert Page(page).faults == []
    assert page.stat().st_size < MAX_OCTETS


@each_page
def test_headings_descend_step_by_step(page: pathlib.Path) -> None:
    levels = [int(tag[1]) for tag, _ in Page(page).elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))


@each_page
def test_pictures_and_regions_have_names_for_a_screen_reader(page: pathlib.Path) -> None:
    elements = Page(page).elements
    for tag, attributes in elements:
        if tag == "img":
            assert "alt" in attributes
        if attributes.get("role") in ("img", "region") or tag in ("video", "nav"):
            assert attributes.keys() & {"aria-label", "aria-labelledby"}, attributes
    assert ("html", {"lang": "en"}) in elements


@each_page
def test_each_link_leads_to_a_page_of_the_site(page: pathlib.Path) -> None:
    parsed = Page(page)
    ids = parsed.all("id")
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    for attribute in ("aria-labelledby", "aria-describedby"):
        assert {part for value in parsed.all(attribute) for part in value.split()} <= set(ids)
    for link in [*parsed.all("href"), *parsed.all("src"), *parsed.all("srcset"), *parsed.all("poster")]:
        path, _, fragment = link.partition("#")
        assert ":" not in path, f"{link} leads out of the site"
        assert page.name == "404.html" or not path.startswith("/"), f"{link} fails where the site lies in a folder"
        target = WWW / urllib.parse.unquote(path.removeprefix("/")) if path else page
        target = target / "index.html" if path in ("./", "/") else target
        assert target.exists() or link == "no-such-page", link
        assert not fragment or urllib.parse.unquote(fragment) in Page(target).all("id"), link


def test_the_pages_load_no_resource_from_another_host() -> None:
    assert not re.search(r"@import|url\(|https?://", STYLE)
    assert re.findall(r"https?://[^\"/]*", SCRIPT) == ["http://127.0.0.1:8000"], "only within commands"


def test_the_site_has_no_motion_for_users_who_reduce_it() -> None:
    moving = re.sub(r"@media \(prefers-reduced-motion: no-preference\) \{.*?\n\}", "", STYLE, flags=re.DOTALL)
    assert not re.search(r"animation|transition|scroll-behavior", moving)


@pytest.mark.parametrize("figure", sorted((WWW / "img").glob("*.svg")), ids=lambda path: path.name)
def test_the_text_of_a_figure_is_readable_on_a_phone(figure: pathlib.Path) -> None:
    """The text must be readable if the figure is 374 pixels wide, as on a phone that is 390 pixels wide."""
    drawing = figure.read_text(encoding="utf-8")
    if figure.name == "conversation-wide.svg":
        pytest.skip("a phone gets conversation-narrow.svg in its place")
    width = float(re.findall(r'viewBox="\S+ \S+ (\S+) ', drawing)[0])
    sizes = [float(size) for size in re.findall(r'font(?:-size)?[:=]"?([\d.]+)', drawing)]
    assert min(sizes) * 374 / width >= 11


@each_page
def test_each_figure_has_dark_colours_in_all_browsers(page: pathlib.Path) -> None:
    """WebKit ignores prefers-color-scheme inside an image, so the page requests the dark colours by a fragment."""
    text = page.read_text(encoding="utf-8")
    for source in re.findall(r'(?:src|srcset)="(/?img/[\w-]+\.svg)"', text):
        drawing = (WWW / source.lstrip("/")).read_text(encoding="utf-8")
        assert f'(prefers-color-scheme: dark)" srcset="{source}#dark"' in text
        assert drawing.startswith('<svg id="dark" ')
        assert "svg:target { --paper:#181e29;" in drawing


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "panel"])
@pytest.mark.parametrize("text", ["ink", "soft", "client", "server"])
def test_text_has_enough_contrast(scheme: int, ground: str, text: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[scheme]))
    assert contrast(colours[text], colours[ground]) >= 4.5
    # The last ground is that of marked lines of code, and of text on bars.
    assert contrast(colours[text if text in ("ink", "soft") else "ink"], colours["server-wash"]) >= 4.5
    assert contrast(colours["panel"], colours["server"]) >= 4.5
