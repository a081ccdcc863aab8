"""Headless Chromium loads the site from the real server. Each page must be complete and must work."""

import os
import pathlib
import re
import shutil
import struct
from collections.abc import Callable

import pytest

import httpsock
from httpsock.server.access_log import Exchange
from tests.support import exchange, get
from tests.support.browser import Browser
from tests.support.inspect import inspected
from tests.support.tools import run, tool

pytestmark = pytest.mark.tools

SITE = pathlib.Path(__file__).parents[2] / "www"
# The browser makes no background traffic, and has no sandbox, which can't run as root.
OPTIONS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
    --disable-background-networking --disable-component-update --disable-default-apps --disable-extensions
    --disable-sync --no-proxy-server --mute-audio""".split()
# The scripts of the site still run after the load event. With this option the browser's clock jumps ahead while no
# request is pending, so timers cost no real time. It does not wait for media: pages of tests delay their load event.
AHEAD = "--virtual-time-budget=10000"

Browse = Callable[..., str]
Visit = Callable[..., tuple[str, list[Exchange]]]


@pytest.fixture
def browse(tmp_path: pathlib.Path) -> Browse:
    """Return a function that loads a URL in the browser. The function returns the DOM after the scripts have run."""
    browser = [tool("chromium", "chromium-browser", "google-chrome"), *OPTIONS]
    profile = f"--user-data-dir={tmp_path / 'profile'}"

    def load(url: str, *more: str) -> str:
        done = run([*browser, profile, *more, "--dump-dom", url], tmp_path)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done.stdout.decode("utf-8")

    return load


@pytest.fixture
def visit(browse: Browse) -> Visit:
    """Return a function that serves a folder and loads a page from it.

    The function returns the DOM and the access log.
    """

    def load(folder: pathlib.Path, path: str, *more: str) -> tuple[str, list[Exchange]]:
        log: list[Exchange] = []
        with httpsock.Server(folder, port=0, log=log.extend) as server:
            document = browse(server.url + path, *more)
        return document, log

    return load


def paths_of(log: list[Exchange]) -> list[str]:
    """Return the request paths in an access log."""
    return [exchange.request_line.decode("ascii").split()[1] for exchange in log]


def statuses_of(log: list[Exchange], path: str) -> list[int]:
    """Return the status of each response to a request for *path*."""
    return [int(exchange.status) for exchange, asked in zip(log, paths_of(log), strict=True) if asked == path]


def outcome(document: str) -> str:
    """Return the text that the script in the page *document* wrote into its paragraph."""
    match = re.search(r'<p id="outcome">(.*?)</p>', document, re.DOTALL)
    assert match, f"no outcome in {document!r}"
    return match[1]


# --- the site -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["", "tcp.html", "udp.html", "http.html", "try.html", "code.html"])
def test_a_page_of_the_site_loads_with_all_its_resources(visit: Visit, page: str) -> None:
    document, log = visit(SITE, page, AHEAD)
    assert "<h1>" in document
    paths = paths_of(log)
    assert {"/" + page, "/style.css", "/script.js", "/favicon.svg"} <= set(paths)
    assert any(path.startswith("/img/") for path in paths) or page == "code.html"
    assert [exchange for exchange in log if exchange.status not in (200, 206, 304)] == []
    assert [exchange for exchange in log if exchange.sent != exchange.length and exchange.status != 206] == []


def test_the_start_page_shows_its_protocol_and_the_files_it_loaded(visit: Visit) -> None:
    document, _ = visit(SITE, "", AHEAD)
    assert "and the protocol was http/1.1." in document
    assert "<td>/style.css</td>" in document


def test_without_an_inspector_a_page_shows_recorded_steps(visit: Visit) -> None:
    document, log = visit(SITE, "tcp.html", AHEAD)
    assert "<b>Recorded.</b> These steps are those of another request." in document
    assert not [path for path in paths_of(log) if path.startswith("/.httpsock/")]
    # Where the browser does not report a new connection, the page must not claim one.
    assert "no need" not in document


def test_a_command_on_a_page_names_the_port_of_its_server(visit: Visit) -> None:
    document, log = visit(SITE, "http.html", AHEAD)
    port = re.search(r"http_by_hand\.py</span> <span>(\d+)</span></code>", document)
    assert port
    assert int(port[1]) != 8000
    assert log


def test_a_missing_page_is_answered_with_the_error_page_of_the_site(visit: Visit) -> None:
    document, log = visit(SITE, "no/such%20page", AHEAD)
    assert re.search(r"<title>(.*)</title>", document)
    assert "<code>/no/such%20page</code>" in document, "the script of the page names the requested path"
    assert statuses_of(log, "/no/such%20page") == [404]
    others = [exchange for exchange in log if b"such%20page" not in exchange.request_line]
    assert "/style.css" in paths_of(others)
    assert [exchange for exchange in others if exchange.status not in (200, 304)] == []


def test_a_folder_without_an_index_is_listed(visit: Visit) -> None:
    document, log = visit(SITE, "files", AHEAD)
    assert statuses_of(log, "/files") == [301]
    assert statuses_of(log, "/files/") == [200]
    assert "<title>www/files/</title>" in document
    for reference, text in (
        ("../", "../"),
        ("deeper/", "deeper/"),
        ("a%20name%20with%20spaces.txt", "a name with spaces.txt"),
        ("gr%C3%BC%C3%9Fe%2C%20%E4%B8%96%E7%95%8C.txt", "grüße, 世界.txt"),
    ):
        assert f'<a href="{reference}">{text}</a>' in document
    assert "<bdi>www</bdi></a><i>/</i><bdi>files</bdi></h1>" in document
    assert document.index(">deeper/<") < document.index(">a name with spaces.txt<"), "folders come first"


NARROW = """
const frame = document.createElement("iframe");
frame.style.cssText = "width: 390px; height: 800px; border: 0";
document.body.append(frame);
const verdicts = [];
for (const page of ["index", "tcp", "udp", "http", "try", "code"]) {
  const seen = new Promise((resolve) => { frame.onload = resolve; });
  frame.src = `site/${page}.html`;
  await seen;
  const { scrollWidth, clientWidth } = frame.contentDocument.documentElement;
  const links = [...frame.contentDocument.querySelectorAll("nav[aria-label=Pages] a")];
  const lines = new Set(links.map((link) => link.offsetTop)).size;
  // A finger needs 24 pixels (WCAG 2.2, 2.5.8).
  const buttons = [...frame.contentDocument.querySelectorAll("button")].filter((button) => button.offsetParent);
  const faults = [
    scrollWidth > clientWidth && "is too wide",
    lines > 1 && "has links on two lines",
    buttons.some((button) => button.offsetHeight < 24) && "has low buttons",
  ];
  verdicts.push(`${page} ${faults.filter(Boolean).join(" and ") || "fits"}`);
}
say(verdicts.join(", "));
"""


def test_the_pages_of_the_site_fit_a_phone(visit: Visit, tmp_path: pathlib.Path) -> None:
    shutil.copytree(SITE, tmp_path / "root" / "site")
    (tmp_path / "root" / "index.html").write_text(page_with(NARROW))
    document, _ = visit(tmp_path / "root", "")
    assert outcome(document) == "index fits, tcp fits, udp fits, http fits, try fits, code fits"


def test_with_an_inspector_a_page_shows_the_steps_of_its_own_request(tmp_path: pathlib.Path) -> None:
    """The page must not show requests of other clients, even for the same page."""
    with inspected(SITE) as server, Browser(tmp_path) as browser:
        exchange(server.port, get("/tcp.html", "Connection: close"))
        browser.command("Page.navigate", url=server.url + "tcp.html")
        browser.until("document.querySelectorAll('.live-now').length === 6")
        exchange(server.port, get("/tcp.html", "User-Agent: another", "Connection: close"))
        shown = browser.evaluate(
            "[...document.querySelectorAll('.live-now b, .live-now i')].map((it) => it.textContent)"
        )
        assert {
            "socket AF_INET, SOCK_STREAM",
            "bind 127.0.0.1:0",
            "accept",
            "wait for a request, at most 20 s",
            "parse GET /tcp.html",
            "> GET /tcp.html HTTP/1.1",
            f"stat tcp.html: file, {(SITE / 'tcp.html').stat().st_size} bytes",
            "< HTTP/1.1 200 OK",
        } <= set(shown)
        assert not [line for line in shown if "style.css" in line], "not of another request"
        assert "> User-Agent: another" not in shown
        accepted = browser.evaluate("document.querySelector('#accept .live-now').textContent")
        assert accepted.endswith("accept")
        assert "Live." in browser.evaluate("document.getElementById('live-note').textContent")
        assert browser.evaluate("document.querySelector('#live-note a').pathname") == "/.httpsock/"
        # Other pages show live steps, too: below each button, those of the request that it sends.
        browser.command("Page.navigate", url=server.url + "try.html")
        browser.until("document.querySelector('.live.on')")
        browser.evaluate("document.querySelector('[data-method=HEAD]').click()")
        browser.until("document.getElementById('traced').textContent.includes('parse HEAD /hello.txt')")
        assert browser.faults == []


def test_on_a_phone_a_command_breaks_between_its_words_and_is_selected_as_it_is(tmp_path: pathlib.Path) -> None:
    with httpsock.Server(SITE, port=0) as server, Browser(tmp_path) as browser:
        browser.command("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
        browser.command("Page.navigate", url=server.url + "try.html")
        browser.until("document.querySelector('.cmd .copy')")
        words = """[...document.querySelectorAll(".cmd span")].map((word) => [word.textContent, word.offsetHeight])"""
        heights = dict(browser.evaluate(words))
        assert heights["--trace"] == heights["--inspect"] == heights["-i"]
        selected = """[...document.querySelectorAll(".cmd code")].filter((command) => {
            getSelection().selectAllChildren(command);
            return getSelection().toString() === command.textContent;
        }).length"""
        assert browser.evaluate(selected) == len(re.findall('<div class="cmd">', (SITE / "try.html").read_text()))


# --- pages made for a test, with a script that acts like a user -----------------------------------------------------


def page_with(script: str) -> str:
    """Return a page that runs *script*.

    The script writes its outcome into a paragraph. The load event waits for the script.
    """
    return f"""<!DOCTYPE html>
<meta charset="utf-8"><title>test</title><link rel="icon" href="data:,">
<p id="outcome">nothing has happened</p>
<iframe></iframe>
<script>
// The load event waits for the frame, which is loading until it is closed.
const frame = document.querySelector("iframe").contentDocument;
frame.open();
const outcome = document.getElementById("outcome");
const say = (text) => {{ outcome.textContent = text; }};
const act = async () => {{
{script}
}};
act().catch((error) => say(`failed: ${{error.message}}`)).finally(() => frame.close());
</script>
"""


FOLLOW_ALL_LINKS = """
const listing = new URL("names/", location.href);
const page = new DOMParser().parseFromString(await (await fetch(listing)).text(), "text/html");
const lines = [];
for (const link of page.querySelectorAll("tbody a")) {
  if (link.textContent === "../") continue;
  const response = await fetch(new URL(link.getAttribute("href"), listing));
  lines.push(`${link.textContent} ${response.status} ${await response.text()}`);
}
say(lines.join("; "));
"""


def test_a_listing_shows_times_in_the_time_zone_of_its_reader(
    visit: Visit, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Content-Security-Policy of the listing must allow the script that converts the times."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    folder = tmp_path / "names"
    folder.mkdir()
    (folder / "x.txt").touch()
    os.utime(folder / "x.txt", (1_787_394_030, 1_787_394_030))
    document, _ = visit(tmp_path, "names/", AHEAD)
    assert re.search(r'<time datetime="2026-08-22T10:20Z" title="[^"]*">2026-08-22 19:20</time>', document)
    assert '<span id="zone">Asia/Tokyo</span>' in document


def test_a_listing_is_filtered_as_its_reader_types(visit: Visit, tmp_path: pathlib.Path) -> None:
    names = tmp_path / "site" / "names"
    names.mkdir(parents=True)
    for number in range(30):
        (names / f"Note {number}.txt").touch()
    (tmp_path / "site" / "index.html").write_text(
        """<!DOCTYPE html><p id="outcome"></p><iframe src="names/"></iframe><script>
onload = () => {
  const page = frames[0].document;
  const shown = () => page.querySelectorAll("tbody tr:not(.up):not([hidden])").length;
  const counts = [shown()];
  for (const text of ["note 2", "NOTE 29", "nothing"]) {
    page.querySelector("input").value = text;
    page.querySelector("input").dispatchEvent(new frames[0].Event("input"));
    counts.push(shown());
  }
  counts.push(page.getElementById("none").hidden);
  document.getElementById("outcome").textContent = counts.join(" ");
};
</script>"""
    )
    document, _ = visit(tmp_path / "site", "", AHEAD)
    assert outcome(document) == "30 11 1 0 false"


def test_each_link_of_a_listing_leads_to_its_file(visit: Visit, tmp_path: pathlib.Path) -> None:
    names = tmp_path / "root" / "names"
    names.mkdir(parents=True)
    for number, name in enumerate(["100% #1?.txt", "http:x.txt", "grüße.txt", "a\nb.txt"]):
        (names / name).write_text(str(number))
    (names / os.fsdecode(b"\xff.txt")).write_text("4")
    (tmp_path / "root" / "index.html").write_text(page_with(FOLLOW_ALL_LINKS))
    document, _ = visit(tmp_path / "root", "")
    followed = dict.fromkeys(outcome(document).split("; "))
    assert set(followed) == {
        "100% #1?.txt 200 0",
        "http:x.txt 200 1",
        "grüße.txt 200 2",
        "a\N{REPLACEMENT CHARACTER}b.txt 200 3",
        "\N{REPLACEMENT CHARACTER}.txt 200 4",
    }


FETCH_TWICE = """
const first = await fetch("hello.txt"), text = await first.text();
const second = await fetch("hello.txt"), again = await second.text();
say(`${first.status} ${text}, ${second.status} ${again}`);
"""


def test_a_second_fetch_revalidates_the_cached_file(visit: Visit, folder: pathlib.Path) -> None:
    (folder / "index.html").write_text(page_with(FETCH_TWICE))
    document, log = visit(folder, "")
    assert outcome(document) == "200 Hello, socket.\n, 200 Hello, socket.\n", (
        "the browser reports its cached copy as 200"
    )
    assert statuses_of(log, "/hello.txt") == [200, 304], "R117"


SEEK = """
const media = document.createElement("%s");
media.muted = true;
media.preload = "%s";
const seen = (name) => new Promise((resolve, reject) => {
  media.addEventListener(name, resolve, { once: true });
  media.addEventListener("error", () => reject(media.error), { once: true });
});
const known = seen("loadedmetadata");
media.src = "%s";
document.body.append(media);
await known;
const found = seen("seeked");
media.currentTime = media.duration - 1;
await found;
const is_present = media.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
say(`at ${media.currentTime.toFixed(1)} of ${media.duration.toFixed(1)}, ${is_present ? "present" : "absent"}`);
"""


def test_a_browser_seeks_to_the_end_of_a_film(visit: Visit, tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "clock.webm").write_bytes((SITE / "clock.webm").read_bytes())
    (root / "index.html").write_text(page_with(SEEK % ("video", "auto", "clock.webm")))
    document, log = visit(root, "")
    assert outcome(document) == "at 15.0 of 16.0, present"
    statuses = statuses_of(log, "/clock.webm")
    assert statuses
    assert set(statuses) == {206}, "R127: a browser asks for a film by ranges"


def wave_head(length: int) -> bytes:
    """Return the header of a WAVE file with *length* octets of sound."""
    return (
        b"RIFF" + struct.pack("<I", 36 + length) + b"WAVE"
        + b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
        + b"data" + struct.pack("<I", length)
    )  # fmt: skip


def test_a_browser_seeks_in_a_long_sound_without_downloading_all_of_it(visit: Visit, tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    length = 16000 * 6000
    with (root / "silence.wav").open("wb") as sound:
        sound.write(wave_head(length))
        sound.truncate(len(wave_head(length)) + length)
    (root / "index.html").write_text(page_with(SEEK % ("audio", "metadata", "silence.wav")))
    document, log = visit(root, "")
    assert outcome(document) == "at 5999.0 of 6000.0, present"
    parts = [exchange for exchange in log if exchange.request_line == b"GET /silence.wav HTTP/1.1"]
    assert {int(part.status) for part in parts} == {206}
    assert min(part.length for part in parts) < length // 2, "a range that starts far into the file"
    assert sum(part.sent for part in parts) < length, "the bytes in between were not sent"
