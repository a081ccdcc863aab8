"""Access to the inspector: only clients on this machine get its page and its events."""

import pathlib
import re
from base64 import b64encode
from hashlib import sha256

import httpsock
from httpsock.http.handler import Tick
from httpsock.http.messages import Request, Response, Stream
from httpsock.http.request_parser import parse_head
from httpsock.observe.recorder import Recorder
from httpsock.observe.routes import may_inspect, respond
from httpsock.server.addresses import is_loopback
from httpsock.tracing.events import FORMATS
from tests.support import get
from tests.support.context import FixedContext
from tests.support.rows import each_row

PACKAGE = pathlib.Path(httpsock.__file__).parent
PAGE = (PACKAGE / "observe" / "page.html").read_text(encoding="utf-8")


def answer(request: Request) -> Response:
    """Run the inspector's handler for *request*, and return the response."""
    return respond(request, FixedContext(Tick(0.0, 0.0)), Recorder().tracer("127.0.0.1:1"))


def request(
    *field_lines: str, target: str = "/.httpsock/", method: str = "GET", host: str = "localhost:8000"
) -> Request:
    """Return a request for the inspector."""
    return parse_head(get(target, *field_lines, method=method, host=host), 100)


def test_the_page_has_a_sentence_for_each_event_of_a_server() -> None:
    table = PAGE.partition("const FORMATS = {")[2].partition("\n};")[0]
    with_sentences = set(re.findall(r"(?:^  |, )(\w+): \(", table, re.MULTILINE))
    # "tcp" and "lost" change the page in other ways; a client's events never come.
    others = {"tcp", "lost", "getaddrinfo", "connect", "repeated", "skip"}
    assert set(FORMATS) - with_sentences == others


# --- Access ---------------------------------------------------------------------------------------------------------


@each_row("client", ["127.0.0.1", "127.8.9.10", "::1"])
@each_row("host", ["localhost", "LocalHost:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000", "[::1]"])
def test_a_client_on_this_machine_gets_the_inspector(client: str, host: str) -> None:
    assert may_inspect(request(host=host), client)


@each_row("path", ["/.httpsock", "/.httpsock/", "/.httpsock/events?x=1", "/.httpsock/nothing"])
def test_paths_below_that_of_the_inspector_belong_to_it(path: str) -> None:
    assert may_inspect(request(target=path), "::1")


@each_row("path", ["/", "/.httpsocket/", "/httpsock/", "/%2Ehttpsock/", "//.httpsock/", "/x/.httpsock/"])
def test_all_other_paths_are_for_the_handler(path: str) -> None:
    assert not may_inspect(request(target=path), "::1")


@each_row("client", ["192.168.1.7", "10.0.0.1", "fe80::1%eth0", "::ffff:127.0.0.1", "::", "1270.0.0.1", "unknown"])
def test_a_client_on_another_machine_does_not_get_the_inspector(client: str) -> None:
    assert not is_loopback(client)
    assert not may_inspect(request(), client)


@each_row(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "x.localhost", "192.168.1.7", "[::2]"],
)
def test_a_request_with_another_host_does_not_get_the_inspector(host: str) -> None:
    assert not may_inspect(request(host=host), "127.0.0.1")


def test_a_request_without_host_does_not_get_the_inspector() -> None:
    assert not may_inspect(parse_head(b"GET /.httpsock/ HTTP/1.0\r\n\r\n", 100), "127.0.0.1")


def test_a_request_in_absolute_form_does_not_get_the_inspector() -> None:
    assert not may_inspect(request(target="http://localhost:8000/.httpsock/"), "127.0.0.1")


@each_row(
    ("line", "expected"),
    [
        ("Sec-Fetch-Site: same-origin", True),
        ("Sec-Fetch-Site: none", True),
        ("Sec-Fetch-Site: same-site", False),
        ("Sec-Fetch-Site: cross-site", False),
        ("sec-fetch-site: CROSS-SITE", False),
        ("Origin: http://localhost:8000", True),
        ("Origin: http://localhost:3000", False),
        ("Origin: https://localhost:8000", False),
        ("Origin: http://evil.example", False),
        ("Origin: null", False),
        ("X-Forwarded-For: 127.0.0.1", False),
        ("Forwarded: for=127.0.0.1", False),
        ("Via: 1.1 proxy", False),
        ("X-Real-IP: 127.0.0.1", False),
        ("Referer: http://evil.example/", True),
    ],
)
def test_a_request_from_another_site_or_a_proxy_does_not_get_the_inspector(line: str, *, expected: bool) -> None:
    assert may_inspect(request(line), "127.0.0.1") == expected


def test_each_field_line_is_checked_for_another_site() -> None:
    lines = ("Sec-Fetch-Site: none", "Accept: */*", "Sec-Fetch-Site: cross-site")
    assert not may_inspect(request(*lines), "127.0.0.1")


# --- Responses ------------------------------------------------------------------------------------------------------


@each_row("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
@each_row("path", ["/.httpsock/", "/.httpsock/events", "/.httpsock/nothing"])
def test_the_inspector_allows_get_and_head_only(path: str, method: str) -> None:
    response = answer(request(target=path, method=method))
    assert response.status == 405
    assert ("Allow", "GET, HEAD") in response.fields


def test_the_path_of_the_inspector_without_its_slash_is_redirected() -> None:
    response = answer(request(target="/.httpsock"))
    assert (response.status, response.fields[0]) == (301, ("Location", "/.httpsock/"))


def test_other_paths_are_not_found() -> None:
    assert answer(request(target="/.httpsock/nothing")).status == 404


def test_the_stream_resumes_after_the_last_seen_event() -> None:
    recorder = Recorder()
    for _ in range(3):
        recorder.server("listen", {"address": "127.0.0.1:1", "backlog": 1})
    last = f"Last-Event-ID: {recorder.name}-2"
    response = respond(request(last, target="/.httpsock/events"), FixedContext(Tick(0.0, 0.0)), recorder.tracer("::1"))
    assert isinstance(response.content, Stream)
    head, events = next(response.content.chunks), next(response.content.chunks)
    response.close()
    assert head == b""
    assert isinstance(events, bytes)
    assert re.findall(rb"^id: .*", events, re.MULTILINE) == [f"id: {recorder.name}-3".encode()]


# --- The page -------------------------------------------------------------------------------------------------------


def test_the_browser_runs_only_the_script_of_the_page() -> None:
    response = answer(request())
    fields = dict(response.fields)
    policy = dict(part.split(" ", 1) for part in fields["Content-Security-Policy"].split("; "))
    hashes = {
        kind: b64encode(sha256(content.encode()).digest()).decode()
        for kind, content in re.findall(r"<(script|style)>(.*?)</\1>", PAGE, re.DOTALL)
    }
    assert policy == {
        "default-src": "'none'",
        "script-src": f"'sha256-{hashes['script']}'",
        "style-src": f"'sha256-{hashes['style']}'",
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert fields["Cache-Control"] == "no-store"
    assert fields["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in fields
    assert response.content == (PAGE.encode(),)


def test_the_page_loads_no_file_and_inserts_no_markup() -> None:
    assert set(re.findall(r"\bhttps?://[^\s'\"`]+", PAGE)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"\bsrc=|@import|url\((?!#)|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", PAGE
    )
    assert not re.search(r"<[^>]* (style|on\w+)=", PAGE), "neither would be let through"
