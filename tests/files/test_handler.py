"""The file handler: methods, expectations, redirects, content codings, random requests (RFC 9110 §9, §10.1.1, §15)."""

import contextlib
import gzip
import io
import pathlib
import re
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import respond
from httpsock.http.grammar import format_http_date
from httpsock.http.handler import Tick
from httpsock.http.messages import RequestError
from httpsock.http.request_parser import parse_head
from tests.files.asking import BROWSER, MODIFIED, NOW, ask, field_names, respond_to
from tests.support import get
from tests.support.context import FixedContext
from tests.support.folder import ALPHABET, LARGE, LONG_AGO
from tests.support.processes import open_descriptors

# --- Methods --------------------------------------------------------------------------------------


def test_get_sends_the_file_and_its_metadata(root: DocumentRoot) -> None:
    """The response has validators and a media type (RFC 9110 §9.3.1; requirements R097, R108, R109 and R110)."""
    answer = ask(root, get("/alphabet.txt"))
    assert (answer.status, answer.content) == (200, ALPHABET)
    assert field_names(answer) == [
        "Accept-Ranges", "Cache-Control", "Content-Length", "Content-Type", "Date", "ETag", "Last-Modified", "Vary",
    ]  # fmt: skip
    assert answer.field("Content-Type") == "text/plain; charset=utf-8"
    assert answer.field("Last-Modified") == format_http_date(LONG_AGO)
    assert re.fullmatch(r'"[!#-~]+"', answer.field("ETag") or "")
    assert answer.field("Accept-Ranges") == "bytes"
    assert answer.field("Cache-Control") == "no-cache"
    assert answer.field("Vary") == "Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "content"), [("/empty.txt", b""), ("/large.bin", LARGE), ("/hello.txt?x=1&y", b"Hello, socket.\n")]
)
def test_get_sends_files_of_any_length(root: DocumentRoot, path: str, content: bytes) -> None:
    answer = ask(root, get(path))
    assert (answer.status, answer.content) == (200, content)


def test_a_folder_with_an_index_sends_it(root: DocumentRoot) -> None:
    """A path with a final slash is a folder (requirement R142)."""
    answer = ask(root, get("/sub/"))
    assert answer.content == b"<!DOCTYPE html><title>sub</title>\n"
    assert answer.field("Content-Type") == "text/html; charset=utf-8"
    assert answer == ask(root, get("/sub/index.html"))


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json"])
@pytest.mark.parametrize(
    "path",
    ["/alphabet.txt", "/empty.txt", "/large.bin", "/sub/", "/sub", '/a"', "/missing", "/a/../../b", "/%00"],
)
def test_head_has_the_head_of_get(root: DocumentRoot, path: str, accept: str) -> None:
    """HEAD gets the same fields as GET (RFC 9110 §9.3.2; requirements R102 and R103)."""
    of_get = ask(root, get(path, f"Accept: {accept}"))
    of_head = ask(root, get(path, f"Accept: {accept}", method="HEAD"))
    assert of_head == of_get


@pytest.mark.parametrize("path", ["/alphabet.txt", "/", "/sub", "/missing", '/a"', "/%00"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "PATCH"])
def test_a_method_that_files_do_not_support_is_not_allowed(root: DocumentRoot, method: str, path: str) -> None:
    """A 405 must list the allowed methods (RFC 9110 §15.5.6; requirements R099 and R100)."""
    answer = ask(root, get(path, method=method))
    assert answer.status == 405
    assert answer.field("Allow") == "GET, HEAD, OPTIONS"
    assert answer.text == (
        f"405 Method Not Allowed: {method} is not allowed; use GET, HEAD, OPTIONS (RFC 9110 §15.5.6)\n"
    )


def test_connect_opens_no_tunnel(root: DocumentRoot) -> None:
    """Only a proxy opens a tunnel (RFC 9110 §9.3.6, requirement R028)."""
    answer = ask(root, get("localhost:80", method="CONNECT"))
    assert answer.status == 405
    assert answer.field("Allow") == "GET, HEAD, OPTIONS"
    assert "CONNECT is not allowed" in answer.text


def test_trace_is_refused_without_an_echo(root: DocumentRoot) -> None:
    """An echo of the request could reveal secrets (RFC 9110 §9.3.8, requirement R105)."""
    answer = ask(root, get("/hello.txt", "Authorization: Basic c2VjcmV0", "Cookie: secret", method="TRACE"))
    assert answer.status == 405
    assert "c2VjcmV0" not in answer.text
    assert "secret" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
def test_methods_that_would_write_are_refused(root: DocumentRoot, folder: pathlib.Path, method: str) -> None:
    """The server never changes a file (requirement R106)."""

    def states() -> dict[pathlib.Path, tuple[int, ...]]:
        found = {file: file.stat() for file in folder.rglob("*")}
        return {file: (s.st_mode, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for file, s in found.items()}

    before = states()
    ask(root, get("/hello.txt", method=method))
    ask(root, get("/new.txt", method=method))
    assert states() == before
    assert (folder / "hello.txt").read_bytes() == b"Hello, socket.\n"


@pytest.mark.parametrize("method", ["get", "Get", "head", "post", "options", "FOO", "PROPFIND", "GETX", "!#$%&'*+"])
def test_an_unknown_method_is_not_implemented(root: DocumentRoot, method: str) -> None:
    """Methods are case-sensitive (RFC 9110 §9.1; requirements R098 and R099)."""
    answer = ask(root, get("/hello.txt", method=method))
    assert answer.status == 501
    assert answer.text == (
        f'501 Not Implemented: the method "{method}" is not supported (methods are case-sensitive) (RFC 9110 §9.1)\n'
    )


def test_a_long_method_is_truncated_in_the_error(root: DocumentRoot) -> None:
    """If a method is longer than all known ones, the server answers 501 (RFC 9112 §3, requirement R014)."""
    answer = ask(root, get("/", method="A" * 1000))
    assert answer.status == 501
    assert f'the method "{"A" * 40}" is not supported' in answer.text


@pytest.mark.parametrize("target", ["*", "/", "/hello.txt", "/missing", "/sub", '/a"', "/%00", "http://a/"])
def test_options_names_the_allowed_methods(root: DocumentRoot, target: str) -> None:
    """With the target *, OPTIONS asks about the server as a whole (RFC 9110 §9.3.7; requirements R026, R104)."""
    answer = ask(root, get(target, method="OPTIONS"))
    assert answer.status == 204
    assert field_names(answer) == ["Allow", "Date"]
    assert answer.field("Allow") == "GET, HEAD, OPTIONS"


# --- Expect ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("expect", ["100-continue", "100-Continue", "100-CONTINUE"])
def test_the_expectation_100_continue_is_met(root: DocumentRoot, expect: str, method: str) -> None:
    """The expectation is case-insensitive (RFC 9110 §10.1.1; requirements R076 and R079)."""
    assert ask(root, get("/hello.txt", f"Expect: {expect}", method=method)).status == 200


@pytest.mark.parametrize("path", ["/hello.txt", "/missing", "/sub", '/a"'])
@pytest.mark.parametrize("expect", ["200-ok", "100-continue, 200-ok", "100-continue; x", "100"])
def test_another_expectation_fails(root: DocumentRoot, expect: str, path: str) -> None:
    """If a server cannot meet an expectation, it may answer 417 (RFC 9110 §10.1.1, requirement R080)."""
    answer = ask(root, get(path, f"Expect: {expect}"))
    assert answer.status == 417
    assert answer.text == (
        "417 Expectation Failed: the only expectation supported is 100-continue (RFC 9110 §10.1.1)\n"
    )


@pytest.mark.parametrize(
    "expect",
    [
        pytest.param(",100-continue, ,", id="R041: empty members are skipped"),
        pytest.param("", id="R041: an empty list expects nothing"),
        pytest.param("100-continue\r\nExpect: 100-continue", id="§5.3: two field lines are one list"),
    ],
)
def test_expectations_are_a_list(root: DocumentRoot, expect: str) -> None:
    """Only an unknown member of the list gives a 417 (RFC 9110 §5.6.1.2, §10.1.1)."""
    assert ask(root, get("/hello.txt", f"Expect: {expect}")).status == 200


def test_an_expectation_in_http_1_0_is_ignored(root: DocumentRoot) -> None:
    """A server must not send a 1xx to an HTTP/1.0 client (requirement R077)."""
    assert ask(root, b"GET /hello.txt HTTP/1.0\r\nExpect: 200-ok\r\n\r\n").status == 200


def test_a_method_is_checked_before_an_expectation(root: DocumentRoot) -> None:
    assert ask(root, get("/hello.txt", "Expect: 200-ok", method="POST")).status == 405


# --- Redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "location"),
    [
        pytest.param("/sub", "sub/", id="R142: a folder without its slash"),
        pytest.param("/sub?", "sub/?", id="with an empty query"),
        pytest.param("/sub?a=b/c&d=%20?", "sub/?a=b/c&d=%20?", id="the query is kept as it is"),
        pytest.param("/%73ub", "%73ub/", id="R140: an encoded name"),
        pytest.param("http://evil.example/sub?q", "sub/?q", id="R143: absolute-form stays on this host"),
        pytest.param("//sub", "sub/", id="R143, R146: an empty segment does not become a host"),
        pytest.param("/./alphabet.txt/../sub", "sub/", id="R146: dot-segments"),
        pytest.param("/sub%2F..%2fsub", "sub%2F..%2fsub/", id="R146: encoded slashes"),
        pytest.param("/sub%2F", "sub%2F/", id="R142: an encoded slash, after which relative links would fail"),
        pytest.param("/sub%2f?q", "sub%2f/?q", id="R142: the same with a query"),
        pytest.param("/sub/..", "../", id="R142: dot-segments that the client did not remove"),
        pytest.param("/sub/x%2F..", "x%2F../", id="R142: encoded dot-segments"),
        pytest.param("/sub//../", "/", id="R142: two full stops would remove an empty segment"),
        pytest.param('//evil.example/"', "/evil.example/%22", id="R143: a quote to be encoded, and no host"),
        pytest.param('http://localhost//evil.example/"', "/evil.example/%22", id="R143: the same in absolute-form"),
        pytest.param('/a"b', "/a%22b", id="R017: a quote without encoding"),
        pytest.param(
            "/a<b>?{c}|^`[d]", "/a%3Cb%3E?%7Bc%7D%7C%5E%60%5Bd%5D", id="R017: all characters that people type"
        ),
        pytest.param("/sub?q=[1]", "/sub?q=%5B1%5D", id="R017: a missing slash, and brackets to be encoded"),
        pytest.param("/sub?a=100%", "/sub?a=100%25", id="R017: a percent sign in a query"),
        pytest.param("/sub?%4{%%41%4", "/sub?%254%7B%25%41%254", id="R017: several, one before an encoded octet"),
        pytest.param("/ü?ü", "/%C3%BC?%C3%BC", id="R017: letters beyond ASCII"),
        pytest.param("/%2522/%22{", "/%2522/%22%7B", id="R139: encoded octets are not encoded again"),
        pytest.param('/?"//evil.example', "/?%22//evil.example", id="slashes in a query are not a host"),
    ],
)
def test_a_redirect_stays_on_the_host_and_keeps_the_query(root: DocumentRoot, target: str, location: str) -> None:
    answer = ask(root, get(target))
    assert answer.status == 301
    assert answer.field("Location") == location
    assert urlsplit(urljoin("http://localhost/x/", location)).netloc == "localhost"
    assert answer.text == f"{location}\n"
    assert answer.field("Content-Type") == "text/plain; charset=utf-8"
    assert answer.field("Cache-Control") == "no-cache"
    assert answer.field("Content-Range") is None


def test_a_name_with_a_line_break_adds_no_field_to_a_redirect(root: DocumentRoot, folder: pathlib.Path) -> None:
    """A client must not be able to add fields to a response (RFC 9110 §17.4, requirement R143)."""
    (folder / "a\r\nSet-Cookie: x").mkdir()
    answer = ask(root, get("/a%0D%0ASet-Cookie:%20x"))
    assert answer.field("Location") == "./a%0D%0ASet-Cookie:%20x/"
    assert answer.field("Set-Cookie") is None


@pytest.mark.parametrize(
    "path",
    [
        "//alphabet.txt",
        "/./alphabet.txt",
        "/sub/../alphabet.txt",
        "/sub/%2e%2E//alphabet.txt",
        "/missing/..%2falphabet.txt",
    ],
)
def test_equivalent_paths_have_one_answer_without_a_redirect(root: DocumentRoot, path: str) -> None:
    """Dot-segments, empty segments and percent-encoding make no difference (RFC 3986 §6.2.2.3, requirement R146)."""
    answer = ask(root, get(path))
    assert answer.status == 200
    assert answer.field("ETag") == ask(root, get("/alphabet.txt")).field("ETag")


def test_a_redirect_leads_to_the_intended_folder(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "grüße {1}.txt").write_bytes(b"hello")
    answer = ask(root, "GET /grüße%20{1}.txt HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer.status == 301
    assert ask(root, get(answer.field("Location") or "")).content == b"hello"


# --- Codings --------------------------------------------------------------------------------------


def test_a_compressed_sibling_is_a_separate_representation(root: DocumentRoot, folder: pathlib.Path) -> None:
    """alphabet.txt.gz has its own entity-tag and ranges (RFC 9110 §8.8.3.3, §14.2; requirements R109 and R111)."""
    coded = gzip.compress(ALPHABET, mtime=0)
    (folder / "alphabet.txt.gz").write_bytes(coded)
    plain = ask(root, get("/alphabet.txt"))
    answer = ask(root, get("/alphabet.txt", "Accept-Encoding: gzip"))
    assert (answer.status, answer.content) == (200, coded)
    assert answer.field("Content-Encoding") == "gzip"
    assert answer.field("Content-Type") == plain.field("Content-Type")
    assert answer.field("Vary") == plain.field("Vary") == "Accept-Encoding"
    assert answer.field("ETag") != plain.field("ETag")
    assert plain.field("Content-Encoding") is None
    # Ranges and validators are those of the coded representation.
    part = ask(root, get("/alphabet.txt", "Accept-Encoding: gzip", "Range: bytes=2-9"))
    assert part.content == coded[2:10]
    assert part.field("Content-Encoding") == "gzip"
    current = ask(root, get("/alphabet.txt", "Accept-Encoding: gzip", f"If-None-Match: {answer.field('ETag')}"))
    assert current.status == 304
    assert current.field("Content-Encoding") is None
    other = ask(root, get("/alphabet.txt", "Accept-Encoding: gzip", f"If-None-Match: {plain.field('ETag')}"))
    assert other.status == 200


def test_files_have_the_configured_cache_control(folder: pathlib.Path) -> None:
    """A 304 and a 206 have Cache-Control, too (RFC 9110 §15.4.5, requirement R125)."""
    root = DocumentRoot(folder, cache_control="max-age=3600")
    for octets in (
        get("/alphabet.txt"),
        get("/large.bin"),
        get("/alphabet.txt", "If-None-Match: *"),
        get("/alphabet.txt", "Range: bytes=0-1"),
        get("/alphabet.txt", "Range: bytes=0-1,5-6"),
    ):
        assert ask(root, octets).field("Cache-Control") == "max-age=3600"
    # Redirects, listings and errors must be revalidated.
    assert ask(root, get("/sub")).field("Cache-Control") == "no-cache"
    assert ask(root, get("/")).field("Cache-Control") == "no-cache"
    assert ask(root, get("/missing")).field("Cache-Control") == "no-store"


# --- Every answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "status", "holds_file"),
    [
        pytest.param(get("/large.bin"), 200, True, id="the whole file"),
        pytest.param(get("/large.bin", method="HEAD"), 200, True, id="HEAD for a large file"),
        pytest.param(get("/large.bin", "Range: bytes=0-1"), 206, True, id="a part"),
        pytest.param(get("/large.bin", "Range: bytes=0-1,5-6"), 206, True, id="several parts"),
        pytest.param(get("/large.bin", "If-None-Match: *"), 304, False, id="not modified"),
        pytest.param(get("/large.bin", 'If-Match: "x"'), 412, False, id="a failed precondition"),
        pytest.param(get("/large.bin", "Range: bytes=999999-"), 416, False, id="a range beyond"),
        pytest.param(get("/large.bin", "Range: bytes=x"), 200, True, id="a malformed range"),
        pytest.param(get("/missing", BROWSER), 404, True, id="the page for a missing file"),
        pytest.param(get("/missing"), 404, False, id="a missing file"),
        pytest.param(get("/"), 200, False, id="a listing"),
        pytest.param(get("/alphabet.txt"), 200, False, id="a small file"),
    ],
)
def test_a_file_is_closed_with_its_response(
    root: DocumentRoot, folder: pathlib.Path, octets: bytes, status: int, holds_file: bool
) -> None:
    (folder / "404.html").write_bytes(LARGE)
    before = open_descriptors()
    with contextlib.closing(respond_to(root, parse_head(octets, 100), Tick(NOW, 0.0))) as response:
        assert response.status == status
        held = {response.file.fileno()} if isinstance(response.file, io.FileIO) else set()
        assert bool(held) is holds_file
        assert open_descriptors() <= before | held
    assert open_descriptors() <= before


def test_the_response_of_a_cached_file_is_cached(root: DocumentRoot) -> None:
    request = parse_head(get("/alphabet.txt"), 100)
    context = FixedContext(Tick(NOW, 0.0))
    assert respond(root, request, context) is respond(root, request, context)


_TARGETS = st.text(alphabet=[chr(octet) for octet in range(0x21, 0x7F)], max_size=20) | st.lists(
    st.sampled_from(
        ["/", "//", "..", ".", "%2e", "%2f", "%00", "%", "%ff", "sub", "hello.txt", "?", '"', "\\", "#", "@", ":"]
    )
).map("".join)


@given(target=_TARGETS, method=st.sampled_from(["GET", "HEAD", "OPTIONS", "POST"]))
@settings(
    derandomize=True,
    deadline=None,
    max_examples=300,
    # All examples may share the folder: none of them changes it.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_target_has_an_answer_that_stays_on_the_host(root: DocumentRoot, target: str, method: str) -> None:
    """The server never fails and never redirects to another host (requirements R116, R138 and R143)."""
    try:
        answer = ask(root, get("/" + target, method=method))
    except RequestError:
        # The parser refuses a malformed target before the handler sees it.
        return
    assert answer.status in (200, 204, 301, 400, 404, 405)
    if answer.status == 301:
        location = answer.field("Location") or ""
        assert re.match(r"(?:/(?![/\\])|[^/\\:]+/)", location)
        onward = (
            location if location.startswith("/") else f"/{target}".partition("?")[0].rpartition("/")[0] + "/" + location
        )
        assert ask(root, get(onward)).field("Location") != location, "it leads on"


_PIECES = (
    rb"""* "x" W/"x" " W/ \ , , ; q= = 0 1 9 0.5 - bytes= text/html */* application/json gzip 100-continue % """.split()
)
_DATES = [MODIFIED.encode(), b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov 31 08:49:37 1994"]
_VALUES = st.lists(st.sampled_from([*_PIECES, *_DATES, b" ", b"\t", b"\xff", b"9" * 25]), max_size=8).map(b"".join)
_NAMES = st.sampled_from(
    b"If-Match If-None-Match If-Modified-Since If-Unmodified-Since If-Range Range Accept Accept-Encoding Expect".split()
)


@given(
    path=st.sampled_from([b"/alphabet.txt", b"/large.bin", b"/empty.txt", b"/", b"/missing"]),
    fields=st.lists(st.tuples(_NAMES, _VALUES), max_size=5),
)
@settings(
    derandomize=True,
    deadline=None,
    max_examples=300,
    # All examples may share the folder: none of them changes it.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_field_values_get_an_answer_below_500(
    root: DocumentRoot, path: bytes, fields: list[tuple[bytes, bytes]]
) -> None:
    """A client must not be able to cause a 5xx (RFC 9110 §15.6, requirement R116)."""
    field_lines = [b"%b: %b" % field for field in fields]
    answer = ask(root, b"\r\n".join([b"GET %b HTTP/1.1" % path, b"Host: a", *field_lines, b"", b""]))
    assert answer.status in (200, 206, 304, 404, 412, 416, 417)
