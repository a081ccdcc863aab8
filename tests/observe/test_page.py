"""The inspector's page in headless Chromium: its lists, diagrams and buttons, while a server runs."""

import os
import pathlib
from collections.abc import Iterator

import pytest

import httpsock
from httpsock.observe.inspected import Inspection
from httpsock.observe.recorder import Recorder
from tests.support import connect, exchange, get
from tests.support.browser import Browser
from tests.support.inspect import inspected

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(os.name == "nt", reason="the browser is driven over descriptors that it inherits"),
]

CLOSE = "Connection: close"
IS_LIVE = "document.getElementById('status').dataset.is === 'live'"

# This script counts the dots in each state when all transitions have ended.
DOTS = """(() => {
  const groups = [...document.querySelectorAll("#machine g")].filter((group) => group.querySelector(".count"));
  const dots = (group) => [group.querySelector("text").textContent, group.querySelectorAll("circle").length];
  const counts = Object.fromEntries(groups.map(dots));
  return counts.sending === 1 && counts.idle === 1 && counts;
})()"""


# This script measures the smallest text, in pixels of the screen.
SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll("body *")]
  .filter((part) => part.getClientRects().length)
  .filter((part) => [...part.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
  .map((part) => parseFloat(getComputedStyle(part).fontSize) * (part.ownerSVGElement ? part.getScreenCTM().a : 1)))
"""

LOWEST_BUTTON = """Math.min(...[...document.querySelectorAll("button")]
  .filter((button) => button.getClientRects().length)
  .map((button) => button.getBoundingClientRect().height))
"""


@pytest.fixture
def browser(tmp_path: pathlib.Path) -> Iterator[Browser]:
    """Yield a browser. After the test, assert that its console has no error."""
    with Browser(tmp_path) as browser:
        yield browser
        assert browser.faults == [], "the page's policy blocks no resource, and no script fails"


@pytest.fixture
def server(folder: pathlib.Path, film: str) -> Iterator[httpsock.Server]:
    """Yield an inspected server for *folder*, which contains a long file."""
    with inspected(folder) as server:
        yield server


def watch(browser: Browser, server: httpsock.Server, width: int = 1280, scheme: str = "light") -> None:
    """Open the inspector's page at *width* pixels with the colour *scheme*. Wait until it shows live events."""
    browser.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
    )
    browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.command("Page.navigate", url=f"{server.url}.httpsock/")
    browser.until(IS_LIVE)


def text_of(selector: str) -> str:
    """Return a script that evaluates to the text of the element *selector*."""
    return f"document.querySelector({selector!r}).textContent"


def row(listed: str, holding: str) -> str:
    """Return a script that evaluates to one row of the list *listed*. The text of the row includes *holding*."""
    return f"[...document.querySelectorAll('#{listed} .row')].find((row) => row.textContent.includes({holding!r}))"


def test_the_page_lists_a_request_and_a_click_shows_its_bytes(browser: Browser, server: httpsock.Server) -> None:
    watch(browser, server)
    exchange(server.port, get("/hello.txt", "Cookie: secret", CLOSE))
    assert "200" in browser.until(row("requests", "GET /hello.txt") + "?.textContent")
    browser.evaluate(row("requests", "GET /hello.txt") + ".click()")
    browser.until(row("events", "recv ") + "?.textContent")
    browser.evaluate(row("events", "recv ") + ".click()")
    assert browser.evaluate(text_of("#events pre")).startswith(
        "GET /hello.txt HTTP/1.1 ↵\nHost: localhost ↵\nCookie: ******"
    )
    browser.evaluate(
        "[...document.querySelectorAll('.views button')].find((button) => button.textContent === 'hex').click()"
    )
    assert browser.evaluate(text_of("#events pre")).startswith(
        "0000  47 45 54 20 2f 68 65 6c 6c 6f 2e 74 78 74 20 48  GET /hello.txt H\n"
    )
    assert browser.until(text_of("#c-requests")) == "1"
    assert browser.evaluate(text_of("#c-statuses")) == "200 × 1"


def test_the_page_shows_what_is_wrong_with_a_broken_response(browser: Browser) -> None:
    with httpsock.TestServer(tracing=Inspection(Recorder())) as server:
        server.respond("/x", content=b"0123456789")
        server.fault("/x:truncate=0.5")
        watch(browser, server)
        exchange(server.port, get("/x", CLOSE))
        browser.until(row("requests", "GET /x") + "?.textContent")
        browser.evaluate(row("requests", "GET /x") + ".click()")
        browser.until(row("events", "break 200 OK") + "?.textContent")
        browser.evaluate(row("events", "break 200 OK") + ".click()")
        assert browser.evaluate(text_of("#events pre")) == (
            "fault truncate: ends the connection after a share of the content\nRFC 9112 §8"
        )


def test_the_page_shows_requests_from_before_it_was_opened(browser: Browser, server: httpsock.Server) -> None:
    exchange(server.port, get("/nothing", CLOSE))
    watch(browser, server)
    assert "404" in browser.until(row("requests", "GET /nothing") + "?.textContent")


def test_the_state_diagram_shows_each_connection_in_its_state(browser: Browser, server: httpsock.Server) -> None:
    watch(browser, server)
    with (
        connect(server.port) as silent,
        connect(server.port) as half,
        connect(server.port) as idle,
        connect(server.port) as greedy,
    ):
        half.sendall(b"GET / HTTP/1.1\r\nHos")
        idle.sendall(get("/hello.txt"))
        greedy.sendall(get("/film.webm"))
        greedy.recv(1)
        for client, state in ((silent, "accepted"), (half, "receiving"), (idle, "idle"), (greedy, "sending")):
            peer = f"127.0.0.1:{client.getsockname()[1]}"
            browser.until(row("connections", peer) + f"?.textContent.includes({state!r})")
        counts = browser.until(DOTS)
        assert counts["receiving"] == 1
        assert counts["accepted"] >= 1, "the browser may have a connection in reserve"


def test_the_page_draws_a_download_as_curves(browser: Browser, server: httpsock.Server) -> None:
    watch(browser, server)
    with connect(server.port) as client:
        client.sendall(get("/film.webm"))
        client.recv(1)
        browser.until(row("requests", "GET /film.webm") + "?.textContent")
        browser.evaluate(row("requests", "GET /film.webm") + ".click()")
        browser.until("!document.getElementById('curves').hidden")
        curves = "[...document.querySelectorAll('#curves .curve')]"
        drawn = f"{curves}.filter((curve) => curve.getAttribute('d')).length"
        assert browser.until(drawn) == 6
        browser.until(
            row("events", "waits for room") + "?.textContent || " + row("events", "sendfile") + "?.textContent"
        )


def test_the_page_escapes_markup_in_requests(browser: Browser, server: httpsock.Server) -> None:
    watch(browser, server)
    evil = "/<img/src=x/onerror=document.title='evil'>"
    exchange(server.port, get(evil, CLOSE))
    exchange(server.port, b"<b>evil</b> / HTTP/1.1\r\n\r\n")
    browser.until(row("requests", evil) + "?.textContent")
    browser.evaluate(row("requests", evil) + ".click()")
    browser.until(row("events", evil) + "?.textContent")
    assert browser.evaluate("document.querySelectorAll('img, b:not(#curves b)').length") == 0
    assert browser.evaluate("document.title") == "httpsock: the sockets, live"


def test_the_buttons_of_the_page_send_requests(browser: Browser, server: httpsock.Server) -> None:
    watch(browser, server)
    browser.evaluate("document.querySelectorAll('#try button').forEach((button) => button.click())")
    for asked, status in (("HEAD /", "200"), ("POST /", "405"), ("GET /no-such-thing", "404")):
        assert status in browser.until(
            row("requests", asked) + f"?.textContent.includes({status!r}) && {row('requests', asked)}.textContent"
        )
    # The console also reports the responses with an error status, which are intended here.
    browser.faults = [fault for fault in browser.faults if "Failed to load resource" not in fault]


def test_the_page_reports_a_lost_connection_to_the_server(browser: Browser, folder: pathlib.Path) -> None:
    with inspected(folder) as server:
        watch(browser, server)
    assert browser.until(f"!({IS_LIVE}) && {text_of('#status')}") == "the server does not answer; trying again"
    browser.faults = [fault for fault in browser.faults if "ERR_" not in fault]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_desktop_in_both_colour_schemes(
    browser: Browser, server: httpsock.Server, width: int, scheme: str
) -> None:
    watch(browser, server, width, scheme)
    with connect(server.port) as client:
        client.sendall(get("/film.webm"))
        client.recv(1)
        browser.until("!document.getElementById('curves').hidden")
        browser.until("document.querySelector('#histogram text')")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate(SMALLEST_TEXT) >= 11
        assert browser.evaluate(LOWEST_BUTTON) >= 24, "a finger needs 24 pixels (WCAG 2.2, 2.5.8)"
        paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(243, 245, 248)", "dark": "rgb(16, 20, 28)"}[scheme]
        boxes = browser.evaluate(
            "[...document.querySelectorAll('#machine .box')].map((box) => { const { left, right, top, bottom } = "
            "box.getBoundingClientRect(); return [left, right, top, bottom]; })"
        )
    assert len(boxes) == 8
    for number, (left, right, top, bottom) in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert right < other[0] or other[1] < left or bottom < other[2] or other[3] < top, "no two states overlap"


def test_the_page_reports_missed_events_and_shows_no_closed_connection_as_open(
    browser: Browser, folder: pathlib.Path
) -> None:
    with inspected(folder, Recorder(max_events=12)) as server:
        exchange(server.port, get("/hello.txt") * 5)
        watch(browser, server)
        assert browser.until(row("connections", "the server") + "?.textContent"), "a page opened later shows it, too"
        with connect(server.port) as client:
            client.sendall(get("/hello.txt"))
            peer = f"127.0.0.1:{client.getsockname()[1]}"
            browser.until(row("connections", peer) + "?.textContent.includes('idle')")
        # The "close" event of this connection is dropped before the page can receive it.
        exchange(server.port, get("/hello.txt") * 100 + get("/hello.txt", CLOSE))
        browser.until(row("connections", peer) + "?.textContent.includes('closed')")
        assert "too fast for this page" in browser.until(
            f"!document.getElementById('missed').hidden && {text_of('#missed')}"
        )
        assert browser.until(text_of("#c-requests") + " === '107'")


def test_the_page_shows_the_calls_on_the_listening_socket(browser: Browser, server: httpsock.Server) -> None:
    watch(browser, server)
    browser.until(row("connections", "the server") + "?.textContent.includes('listening')")
    browser.evaluate(row("connections", "the server") + ".click()")
    for call in ("socket AF_INET, SOCK_STREAM", "bind 127.0.0.1:0", f"listen 1024 at 127.0.0.1:{server.port}"):
        browser.until(row("events", call) + "?.textContent")


def test_the_page_says_that_it_needs_a_script(browser: Browser, server: httpsock.Server) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.command("Page.navigate", url=f"{server.url}.httpsock/")
    # The page runs no timers, so it can't wait for its text as until() does.
    while not (text := browser.evaluate("document.getElementById('status')?.innerText")):
        pass
    assert text == "this page needs JavaScript; --trace prints the same events in the terminal"
