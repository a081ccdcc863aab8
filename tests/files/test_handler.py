"""The origin: the answers of the origin server (RFC 9110 §9, §10.1.1, §13.2, §14.2, §15)."""

import contextlib
import errno
import gzip
import io
import itertools
import json
import os
import pathlib
import re
from collections.abc import Iterator
from email.utils import formatdate
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from httpsock.files.document_root import DocumentRoot, Entry, Tick
from httpsock.files.handler import respond
from httpsock.http.grammar import format_http_date
from httpsock.http.messages import FileSlice, Request, RequestError, Response
from httpsock.http.ranges import MAX_RANGES
from httpsock.http.request_parser import parse_head
from httpsock.http.steps import BATCH
from tests.conftest import LONG_AGO
from tests.support import Answer, finish, get, read_answer

# Long after any file of a test was made, so that all of them have strong validators and may be kept.
NOW = 4_000_000_000.0
BROWSER = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
LARGE = bytes(range(256)) * 1024


@pytest.fixture
def root(folder: pathlib.Path) -> DocumentRoot:
    return DocumentRoot(folder)


def octets_of(response: Response) -> bytes:
    """Return the content, read from where it lies, and close the response."""
    parts = []
    for part in response.content:
        if isinstance(part, FileSlice):
            part.file.seek(part.offset)
            parts.append(part.file.read(part.length))
        else:
            parts.append(part)
    response.close()
    return b"".join(parts)


def respond_to(request: Request, tick: Tick) -> Response:
    """Return the response, all pieces of it done."""
    responded = respond(request, tick)
    return responded if isinstance(responded, Response) else finish(responded("127.0.0.1"))


def ask(root: DocumentRoot, octets: bytes, now: float = NOW) -> Answer:
    """Return the answer to the request whose head is *octets*, held against the grammar.

    The Date and what becomes of the content of an answer to HEAD are the connection's affair.
    """
    response = respond_to(parse_head(octets, 100), Tick(root, now, 0.0))
    content = octets_of(response)
    beginning = f"{response.status.line}Date: {formatdate(now, usegmt=True)}\r\n".encode()
    # The response to HEAD of a listing says no length.
    method = "GET" if b"\r\nContent-Length:" in response.field_lines else "HEAD"
    answer, rest = read_answer(beginning + response.field_lines + content, method)
    assert rest == b"", "the content is as long as its head says"
    return answer


def field_names(answer: Answer) -> list[str]:
    return sorted(name for name, _ in answer.fields)


# --- Methods --------------------------------------------------------------------------------------


def test_get_sends_the_file_and_its_metadata(root: DocumentRoot) -> None:
    """R097, R108, R109, R110, RFC 9110 §9.3.1."""
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
    """R142."""
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
    """R102, R103, RFC 9110 §9.3.2."""
    of_get = ask(root, get(path, f"Accept: {accept}"))
    of_head = ask(root, get(path, f"Accept: {accept}", method="HEAD"))
    assert of_head == of_get


@pytest.mark.parametrize("path", ["/alphabet.txt", "/", "/sub", "/missing", '/a"', "/%00"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "PATCH"])
def test_a_method_that_is_not_for_files_is_not_allowed(root: DocumentRoot, method: str, path: str) -> None:
    """R099, R100, RFC 9110 §15.5.6."""
    answer = ask(root, get(path, method=method))
    assert answer.status == 405
    assert answer.field("Allow") == "GET, HEAD, OPTIONS"
    assert answer.text == (
        f"405 Method Not Allowed: {method} is not allowed; use GET, HEAD, OPTIONS (RFC 9110 §15.5.6)\n"
    )


def test_connect_opens_no_tunnel(root: DocumentRoot) -> None:
    """R028, RFC 9110 §9.3.6."""
    answer = ask(root, get("localhost:80", method="CONNECT"))
    assert answer.status == 405
    assert answer.field("Allow") == "GET, HEAD, OPTIONS"
    assert "CONNECT is not allowed" in answer.text


def test_trace_is_refused_without_an_echo(root: DocumentRoot) -> None:
    """R105, RFC 9110 §9.3.8."""
    answer = ask(root, get("/hello.txt", "Authorization: Basic c2VjcmV0", "Cookie: secret", method="TRACE"))
    assert answer.status == 405
    assert "c2VjcmV0" not in answer.text
    assert "secret" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
def test_methods_that_would_write_are_refused(root: DocumentRoot, folder: pathlib.Path, method: str) -> None:
    """R106."""

    def states() -> dict[pathlib.Path, tuple[int, ...]]:
        found = {file: file.stat() for file in folder.rglob("*")}
        return {file: (s.st_mode, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for file, s in found.items()}

    before = states()
    ask(root, get("/hello.txt", method=method))
    ask(root, get("/new.txt", method=method))
    assert states() == before
    assert (folder / "hello.txt").read_bytes() == b"Hello, socket.\n"


@pytest.mark.parametrize("method", ["get", "Get", "head", "post", "options", "FOO", "PROPFIND", "GETX", "!#$%&'*+"])
def test_a_method_that_is_not_known_is_not_implemented(root: DocumentRoot, method: str) -> None:
    """R098, R099, RFC 9110 §9.1."""
    answer = ask(root, get("/hello.txt", method=method))
    assert answer.status == 501
    assert answer.text == (
        f'501 Not Implemented: the method "{method}" is not supported (methods are case-sensitive) (RFC 9110 §9.1)\n'
    )


def test_a_long_method_is_shown_in_part(root: DocumentRoot) -> None:
    """R014."""
    answer = ask(root, get("/", method="A" * 1000))
    assert answer.status == 501
    assert f'the method "{"A" * 40}" is not supported' in answer.text


@pytest.mark.parametrize("target", ["*", "/", "/hello.txt", "/missing", "/sub", '/a"', "/%00", "http://a/"])
def test_options_names_the_allowed_methods(root: DocumentRoot, target: str) -> None:
    """R026, R104, RFC 9110 §9.3.7."""
    answer = ask(root, get(target, method="OPTIONS"))
    assert answer.status == 204
    assert field_names(answer) == ["Allow", "Date"]
    assert answer.field("Allow") == "GET, HEAD, OPTIONS"


# --- Expect ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("expect", ["100-continue", "100-Continue", "100-CONTINUE"])
def test_the_one_expectation_is_met(root: DocumentRoot, expect: str, method: str) -> None:
    """R076, R079, RFC 9110 §10.1.1."""
    assert ask(root, get("/hello.txt", f"Expect: {expect}", method=method)).status == 200


@pytest.mark.parametrize("path", ["/hello.txt", "/missing", "/sub", '/a"'])
@pytest.mark.parametrize("expect", ["200-ok", "100-continue, 200-ok", "100-continue; x", "100"])
def test_another_expectation_fails(root: DocumentRoot, expect: str, path: str) -> None:
    """R080, RFC 9110 §10.1.1."""
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
        pytest.param("100-continue\r\nExpect: 100-continue", id="§5.3: said on two lines it is a list"),
    ],
)
def test_expectations_are_a_list(root: DocumentRoot, expect: str) -> None:
    """RFC 9110 §5.6.1.2, §10.1.1: Expect = #expectation, and 417 is for one that is not known."""
    assert ask(root, get("/hello.txt", f"Expect: {expect}")).status == 200


def test_an_expectation_in_http_1_0_is_ignored(root: DocumentRoot) -> None:
    """R077, RFC 9110 §10.1.1."""
    assert ask(root, b"GET /hello.txt HTTP/1.0\r\nExpect: 200-ok\r\n\r\n").status == 200


def test_a_method_is_judged_before_an_expectation(root: DocumentRoot) -> None:
    assert ask(root, get("/hello.txt", "Expect: 200-ok", method="POST")).status == 405


# --- Redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "location"),
    [
        pytest.param("/sub", "sub/", id="R142: a folder without its slash"),
        pytest.param("/sub?", "sub/?", id="with an empty query"),
        pytest.param("/sub?a=b/c&d=%20?", "sub/?a=b/c&d=%20?", id="the query is kept as it is"),
        pytest.param("/%73ub", "%73ub/", id="R140: an encoded name"),
        pytest.param("http://evil.example/sub?q", "sub/?q", id="R143: absolute-form leads nowhere else"),
        pytest.param("//sub", "sub/", id="R143, R146: an empty segment is no host"),
        pytest.param("/./alphabet.txt/../sub", "sub/", id="R146: dot-segments"),
        pytest.param("/sub%2F..%2fsub", "sub%2F..%2fsub/", id="R146: encoded slashes"),
        pytest.param("/sub%2F", "sub%2F/", id="R142: behind an encoded slash, links would lead elsewhere"),
        pytest.param("/sub%2f?q", "sub%2f/?q", id="R142: the same with a query"),
        pytest.param("/sub/..", "../", id="R142: dot-segments that the client has left"),
        pytest.param("/sub/x%2F..", "x%2F../", id="R142: and encoded ones"),
        pytest.param("/sub//../", "/", id="R142: two full stops would remove an empty segment"),
        pytest.param('//evil.example/"', "/evil.example/%22", id="R143: no host before what is to be encoded"),
        pytest.param('http://localhost//evil.example/"', "/evil.example/%22", id="R143: nor in absolute-form"),
        pytest.param('/a"b', "/a%22b", id="R017: a quote that was not encoded"),
        pytest.param("/a<b>?{c}|^`[d]", "/a%3Cb%3E?%7Bc%7D%7C%5E%60%5Bd%5D", id="R017: all that people type"),
        pytest.param("/sub?q=[1]", "/sub?q=%5B1%5D", id="R017: first encoded, then the slash"),
        pytest.param("/sub?a=100%", "/sub?a=100%25", id="R017: a percent sign in a query"),
        pytest.param("/sub?%4{%%41%4", "/sub?%254%7B%25%41%254", id="R017: several, one before an encoded octet"),
        pytest.param("/ü?ü", "/%C3%BC?%C3%BC", id="R017: letters beyond ASCII"),
        pytest.param("/%2522/%22{", "/%2522/%22%7B", id="R139: what is encoded is not encoded again"),
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


def test_a_redirect_writes_no_line_of_its_own(root: DocumentRoot, folder: pathlib.Path) -> None:
    """R143."""
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
    """R146."""
    answer = ask(root, get(path))
    assert answer.status == 200
    assert answer.field("ETag") == ask(root, get("/alphabet.txt")).field("ETag")


def test_a_redirect_leads_to_the_intended_folder(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "grüße {1}.txt").write_bytes(b"hello")
    answer = ask(root, "GET /grüße%20{1}.txt HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer.status == 301
    assert ask(root, get(answer.field("Location") or "")).content == b"hello"


# --- Preconditions --------------------------------------------------------------------------------

FIELDS = ("If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since")
MODIFIED = format_http_date(LONG_AGO)
EARLIER = format_http_date(LONG_AGO - 1)
# The value of each field with which its condition is true, and with which it is false.
VALUES = {
    ("If-Match", True): "{etag}",
    ("If-Match", False): '"x"',
    ("If-Unmodified-Since", True): MODIFIED,
    ("If-Unmodified-Since", False): EARLIER,
    ("If-None-Match", True): '"x"',
    ("If-None-Match", False): "{etag}",
    ("If-Modified-Since", True): EARLIER,
    ("If-Modified-Since", False): MODIFIED,
}


def status_by_the_rfc(*held: bool | None) -> int | None:
    """Return the status that the four conditions lead to, step by step (RFC 9110 §13.2.2), or None for none."""
    if_match, if_unmodified_since, if_none_match, if_modified_since = held
    # Step 1, and step 2 if there is no If-Match.
    if if_match is False or (if_match is None and if_unmodified_since is False):
        return 412
    # Step 3, and step 4 if there is no If-None-Match.
    if if_none_match is False or (if_none_match is None and if_modified_since is False):
        return 304
    return None


COMBINATIONS = [
    pytest.param(held, id="".join({None: "-", True: "T", False: "F"}[holds] for holds in held))
    for held in itertools.product((None, True, False), repeat=4)
]


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin"])
@pytest.mark.parametrize("held", COMBINATIONS)
def test_all_combinations_of_conditions_are_answered_in_order(
    root: DocumentRoot, held: tuple[bool | None, ...], path: str
) -> None:
    """R123, RFC 9110 §13.2.2: the id says -, T(rue) or F(alse) for IM, IUS, INM and IMS."""
    whole = ask(root, get(path))
    etag = whole.field("ETag") or ""
    conditions = [
        f"{name}: {VALUES[name, holds].format(etag=etag)}"
        for name, holds in zip(FIELDS, held, strict=True)
        if holds is not None
    ]
    decided = status_by_the_rfc(*held)
    # Step 5: If-Range, with GET and Range alone.
    ranges = [
        ((), "GET", 200),
        ((), "HEAD", 200),
        (("Range: bytes=1-2",), "GET", 206),
        (("Range: bytes=1-2",), "HEAD", 200),
        (("Range: bytes=1-2", f"If-Range: {etag}"), "GET", 206),
        (("Range: bytes=1-2", f"If-Range: {MODIFIED}"), "GET", 206),
        (("Range: bytes=1-2", 'If-Range: "x"'), "GET", 200),
        (("Range: bytes=1-2", f"If-Range: {EARLIER}"), "GET", 200),
        (("Range: bytes=999999-",), "GET", 416),
        (("Range: bytes=999999-", 'If-Range: "x"'), "GET", 200),
        ((f"If-Range: {etag}",), "GET", 200),
        # R148: a repeated field with two values is neither value, nor both joined.
        (("Range: bytes=1-2", "Range: 3-4"), "GET", 200),
        (("Range: bytes=1-2", "Range: bytes=1-2"), "GET", 206),
        (("Range: bytes=1-2", f"If-Range: {etag}", 'If-Range: "x"'), "GET", 200),
        (("Range: bytes=1-2", f"If-Range: {etag}", f"If-Range: {etag}"), "GET", 206),
    ]
    for range_lines, method, otherwise in ranges:
        answer = ask(root, get(path, *conditions, *range_lines, method=method))
        assert answer.status == (decided or otherwise), (range_lines, method)
        if answer.status == 200:
            assert answer == whole
        if answer.status == 206:
            assert answer.content == whole.content[1:3]


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin", "/sub/", "/"])
def test_not_modified_repeats_only_the_fields_for_caches(root: DocumentRoot, path: str) -> None:
    """R125, R126, RFC 9110 §15.4.5."""
    whole = ask(root, get(path))
    answer = ask(root, get(path, f"If-None-Match: {whole.field('ETag')}"))
    assert answer.status == 304
    dated = ["Last-Modified"] if path != "/" else []
    assert field_names(answer) == sorted(["Cache-Control", "Date", "ETag", "Vary", *dated])
    assert all(field in whole.fields for field in answer.fields)
    assert answer == ask(root, get(path, f"If-None-Match: {whole.field('ETag')}", method="HEAD"))


@pytest.mark.parametrize(
    ("field_lines", "name"),
    [
        (('If-Match: "x"',), "If-Match"),
        (('If-Match: "x"', f"If-Unmodified-Since: {EARLIER}"), "If-Match"),
        ((f"If-Unmodified-Since: {EARLIER}",), "If-Unmodified-Since"),
    ],
    ids=["If-Match alone", "both", "If-Unmodified-Since alone"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_failed_precondition_is_named(
    root: DocumentRoot, field_lines: tuple[str, ...], name: str, method: str
) -> None:
    """R121, R122, RFC 9110 §15.5.13."""
    answer = ask(root, get("/alphabet.txt", *field_lines, method=method))
    assert answer.status == 412
    assert answer.text == (
        f"412 Precondition Failed: {name} is false for the current representation (RFC 9110 §15.5.13)\n"
    )
    assert answer.field("ETag") is None
    assert answer.field("Last-Modified") is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "status"),
    [("/missing", 404), ("/sub", 301), ("/a/../../b", 400), ('/a"', 301), ("/.hidden", 404)],
)
@pytest.mark.parametrize("condition", ['If-Match: "x"', "If-None-Match: *", f"If-Unmodified-Since: {EARLIER}"])
def test_preconditions_do_not_replace_another_answer(
    root: DocumentRoot, condition: str, path: str, status: int, method: str
) -> None:
    """R124, RFC 9110 §13.2.1."""
    assert ask(root, get(path, condition, method=method)).status == status


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("DELETE", 405), ("OPTIONS", 204), ("FOO", 501)])
def test_preconditions_do_not_concern_other_methods(root: DocumentRoot, method: str, status: int) -> None:
    """R118, R124, RFC 9110 §13.2.1."""
    for condition in ('If-Match: "x"', "If-None-Match: *", f"If-Modified-Since: {MODIFIED}"):
        assert ask(root, get("/alphabet.txt", condition, method=method)).status == status


def test_a_listing_is_a_representation_with_preconditions(root: DocumentRoot) -> None:
    assert ask(root, get("/", 'If-Match: "x"')).status == 412
    assert ask(root, get("/", "If-None-Match: *")).status == 304
    # It has no date that a condition could be held against.
    assert ask(root, get("/", f"If-Modified-Since: {format_http_date(int(NOW))}")).status == 200
    assert ask(root, get("/", f"If-Unmodified-Since: {EARLIER}")).status == 200


def test_two_parts_of_a_date_are_no_date(root: DocumentRoot) -> None:
    """R148: RFC 9110 §13.1.3."""
    day, _, rest = MODIFIED.partition(", ")
    assert ask(root, get("/hello.txt", f"If-Modified-Since: {MODIFIED}")).status == 304
    assert ask(root, get("/hello.txt", f"If-Modified-Since: {day}", f"If-Modified-Since: {rest}")).status == 200


def test_a_file_with_a_later_time_is_last_modified_now(root: DocumentRoot) -> None:
    """R108, RFC 9110 §8.8.2.1."""
    before = LONG_AGO - 1000
    answer = ask(root, get("/alphabet.txt"), now=before + 0.5)
    assert answer.field("Last-Modified") == answer.field("Date") == format_http_date(before)


# --- Ranges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin"])
@pytest.mark.parametrize(
    ("asked", "selected"),
    [
        pytest.param("bytes=0-0", slice(0, 1), id="the first octet"),
        pytest.param("bytes=3-5", slice(3, 6), id="some octets"),
        pytest.param("bytes=20-", slice(20, None), id="to the end"),
        pytest.param("bytes=-5", slice(-5, None), id="the last five"),
        pytest.param("bytes=-1", slice(-1, None), id="the last octet"),
        pytest.param("bytes=0-", slice(0, None), id="all of it"),
        pytest.param("bytes=-99999999999999999999", slice(0, None), id="R134: a suffix beyond all numbers"),
        pytest.param("bytes=3-99999999999999999999", slice(3, None), id="R134: a position beyond all numbers"),
        pytest.param("bytes=3-5,6-8", slice(3, 9), id="R135: ranges that touch are one"),
        pytest.param("bytes=3-5,99999999-", slice(3, 6), id="R135: one that can be satisfied is one"),
    ],
)
def test_a_range_is_sent_as_it_is(root: DocumentRoot, path: str, asked: str, selected: slice) -> None:
    """R127, R128, R129, RFC 9110 §15.3.7.1."""
    whole = ask(root, get(path))
    answer = ask(root, get(path, f"Range: {asked}"))
    assert answer.status == 206
    assert answer.content == whole.content[selected]
    first, stop, _ = selected.indices(len(whole.content))
    assert answer.field("Content-Range") == f"bytes {first}-{stop - 1}/{len(whole.content)}"
    changed = ("Content-Length", "Content-Range")
    assert [field for field in answer.fields if field[0] not in changed] == [
        field for field in whole.fields if field[0] not in changed
    ]


def parts_of(answer: Answer) -> list[tuple[dict[str, str], bytes]]:
    """Return the fields and the content of each part of a multipart/byteranges (RFC 9110 §14.6, RFC 2046 §5.1.1)."""
    match = re.fullmatch(r"multipart/byteranges; boundary=([0-9A-Za-z]{1,70})", answer.field("Content-Type") or "")
    assert match
    # zsync looks for the CRLF before the first delimiter, too.
    delimiter = b"\r\n--" + match[1].encode()
    parts = []
    rest = answer.content
    while rest != delimiter + b"--\r\n":
        assert rest.startswith(delimiter + b"\r\n")
        head, _, rest = rest.removeprefix(delimiter + b"\r\n").partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode("ascii").split("\r\n")]
        fields = {name: value for name, _, value in lines}
        assert len(fields) == len(lines)
        positions = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/[0-9]+", fields["Content-Range"])
        assert positions
        length = int(positions[2]) - int(positions[1]) + 1
        content, rest = rest[:length], rest[length:]
        assert len(content) == length
        assert delimiter not in content
        parts.append((fields, content))
    return parts


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin"])
@pytest.mark.parametrize(
    ("asked", "selected"),
    [
        pytest.param("bytes=0-0,-1", [slice(0, 1), slice(-1, None)], id="first and last"),
        pytest.param("bytes=20-21,0-1,10-11", [slice(20, 22), slice(0, 2), slice(10, 12)], id="in the order asked"),
        pytest.param("bytes=0-3,2-5,9-", [slice(0, 6), slice(9, None)], id="R136: overlapping ones joined"),
        pytest.param("bytes=0-1,99999999-,5-6", [slice(0, 2), slice(5, 7)], id="one that can't be satisfied left out"),
        pytest.param(
            "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 18, 2)),
            [slice(n, n + 1) for n in range(0, 18, 2)],
            id="many apart",
        ),
    ],
)
def test_several_ranges_are_sent_in_parts(root: DocumentRoot, path: str, asked: str, selected: list[slice]) -> None:
    """R128, R135, RFC 9110 §15.3.7.2."""
    whole = ask(root, get(path))
    length = len(whole.content)
    answer = ask(root, get(path, f"Range: {asked}"))
    assert answer.status == 206
    assert answer.field("Content-Range") is None
    expected = []
    for each in selected:
        first, stop, _ = each.indices(length)
        content_range = f"bytes {first}-{stop - 1}/{length}"
        fields = {"Content-Type": whole.field("Content-Type"), "Content-Range": content_range}
        expected.append((fields, whole.content[each]))
    assert parts_of(answer) == expected
    changed = ("Content-Length", "Content-Type")
    assert sorted(field for field in answer.fields if field[0] not in changed) == sorted(
        field for field in whole.fields if field[0] not in changed
    )


def test_no_boundary_can_be_foretold(root: DocumentRoot) -> None:
    answers = [ask(root, get("/alphabet.txt", "Range: bytes=0-0,-1")) for _ in range(20)]
    assert len({answer.field("Content-Type") for answer in answers}) == 20


_INT_RANGES = st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda pair: pair[0] <= pair[1])


@given(pairs=st.lists(_INT_RANGES, min_size=1, max_size=MAX_RANGES))
@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    # Nothing changes the folder between the examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_ranges_never_send_an_octet_twice(root: DocumentRoot, pairs: list[tuple[int, int]]) -> None:
    """R136, RFC 9110 §17.15."""
    answer = ask(root, get("/alphabet.txt", "Range: bytes=" + ",".join(f"{first}-{last}" for first, last in pairs)))
    asked = {octet for first, last in pairs for octet in ALPHABET[first : last + 1]}
    if not asked:
        assert answer.status == 416
        return
    assert answer.status == 206
    contents = [answer.content] if answer.field("Content-Range") else [content for _, content in parts_of(answer)]
    sent = b"".join(contents)
    assert sorted(sent) == sorted(asked)


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin", "/"])
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("lines=0-1", id="R131: another unit"),
        pytest.param("bytes=2-1", id="R131: the last before the first"),
        pytest.param("bytes=0-1,2-1", id="R131: one invalid among valid ones"),
        pytest.param("bytes=a-b", id="R131: no numbers"),
        pytest.param("bytes=", id="R131: no range"),
        pytest.param("bytes=" + "0-0," * MAX_RANGES + "0-0", id="R136: too many"),
    ],
)
def test_a_malformed_range_is_ignored(root: DocumentRoot, path: str, asked: str) -> None:
    whole = ask(root, get(path))
    assert whole.status == 200
    assert ask(root, get(path, f"Range: {asked}")) == whole


def test_a_range_is_for_get_alone(root: DocumentRoot) -> None:
    """R130, RFC 9110 §14.2."""
    for asked in ("bytes=0-1", "bytes=0-1,5-6", "bytes=99999999-"):
        assert ask(root, get("/large.bin", f"Range: {asked}", method="HEAD")) == ask(root, get("/large.bin"))


@pytest.mark.parametrize(
    ("path", "asked", "length"),
    [
        pytest.param("/alphabet.txt", "bytes=26-", 26, id="R132: starting at the length"),
        pytest.param("/alphabet.txt", "bytes=-0", 26, id="R132: a suffix of zero"),
        pytest.param("/alphabet.txt", "bytes=26-27,99-", 26, id="R132: none of several"),
        pytest.param("/alphabet.txt", "bytes=99999999999999999999-", 26, id="R134: beyond all numbers"),
        pytest.param("/large.bin", "bytes=262144-", 262144, id="R132: of a large file"),
        pytest.param("/empty.txt", "bytes=0-", 0, id="R132: of an empty file"),
        pytest.param("/empty.txt", "bytes=-0", 0, id="R132: a suffix of zero of an empty file"),
    ],
)
def test_a_range_beyond_the_content_is_refused_with_the_length(
    root: DocumentRoot, path: str, asked: str, length: int
) -> None:
    """R133, RFC 9110 §15.5.17."""
    answer = ask(root, get(path, f"Range: {asked}"))
    assert answer.status == 416
    assert answer.field("Content-Range") == f"bytes */{length}"
    assert answer.text == (
        f"416 Range Not Satisfiable: none of the ranges lies within the {length} bytes (RFC 9110 §15.5.17)\n"
    )
    assert answer.field("ETag") is None


def test_the_last_octets_of_an_empty_file_are_all_of_it(root: DocumentRoot) -> None:
    """R132, RFC 9110 §14.1.2: a suffix of more than zero is satisfiable, and no Content-Range could say so."""
    answer = ask(root, get("/empty.txt", "Range: bytes=-5"))
    assert answer == ask(root, get("/empty.txt"))
    assert answer.status == 200


def test_a_missing_file_has_no_ranges(root: DocumentRoot) -> None:
    answer = ask(root, get("/missing", "Range: bytes=0-1"))
    assert answer.status == 404
    assert answer.field("Content-Range") is None


def test_a_range_of_a_listing_is_ignored(root: DocumentRoot) -> None:
    """RFC 9110 §14.2: ranges are optional; one byte of a listing would cost as much as all of it."""
    whole = ask(root, get("/", "Accept: text/plain"))
    assert whole.field("Accept-Ranges") is None
    assert ask(root, get("/", "Accept: text/plain", "Range: bytes=0-0")) == whole
    assert ask(root, get("/", "Accept: text/plain", "Range: bytes=999999-")) == whole


def test_a_file_that_may_still_change_is_not_spliced(root: DocumentRoot, folder: pathlib.Path) -> None:
    """R137, RFC 9110 §8.8.1, §13.1.5: a large file changed just now has a weak entity-tag, which no range matches."""
    now = os.stat(folder / "large.bin").st_ctime
    etag = ask(root, get("/large.bin"), now).field("ETag") or ""
    assert etag.startswith('W/"')
    assert ask(root, get("/large.bin", "Range: bytes=0-1", f"If-Range: {etag}"), now).status == 200
    assert ask(root, get("/large.bin", "Range: bytes=0-1"), now).status == 206
    assert ask(root, get("/large.bin", f"If-None-Match: {etag}"), now).status == 304
    assert ask(root, get("/large.bin", f"If-Match: {etag}"), now).status == 412


def test_a_date_of_the_last_second_is_no_strong_validator(root: DocumentRoot, folder: pathlib.Path) -> None:
    """R137, RFC 9110 §8.8.2.2."""
    octets = get("/alphabet.txt", "Range: bytes=0-1", f"If-Range: {MODIFIED}")
    assert ask(root, octets, LONG_AGO + 0.5).status == 200
    assert ask(root, octets, LONG_AGO + 60).status == 206


@pytest.mark.parametrize("name", ["small.html", "large.html"])
@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param(b"<meta charset=iso-8859-1>Gr\xf6\xdfe", "text/html", id="a page that declares Latin-1"),
        pytest.param("Größe".encode(), "text/html; charset=utf-8", id="a page in UTF-8"),
    ],
)
def test_each_answer_from_a_file_has_one_content_type(
    name: str, start: bytes, expected: str, root: DocumentRoot, folder: pathlib.Path
) -> None:
    """R102, R147: of HEAD, of GET, of one part, and of each of several parts."""
    path = f"/{name}"
    (folder / name).write_bytes(start.ljust(100_000 if name == "large.html" else 100, b"x"))
    whole, head = ask(root, get(path)), respond_to(parse_head(get(path, method="HEAD"), 100), Tick(root, NOW, 0.0))
    head.close()
    part, parts = ask(root, get(path, "Range: bytes=50-59")), ask(root, get(path, "Range: bytes=50-59,70-79"))
    assert [whole.field("Content-Type"), part.field("Content-Type")] == [expected] * 2
    assert dict(head.fields)["Content-Type"] == expected
    assert parts.content.count(f"Content-Type: {expected}\r\n".encode()) == 2


# --- Codings --------------------------------------------------------------------------------------


def test_a_coded_sibling_is_a_representation_of_its_own(root: DocumentRoot, folder: pathlib.Path) -> None:
    """R109, R111, RFC 9110 §8.4, §8.8.3.3, §14.2."""
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
    # A range is of the coded octets, a validator is of the coded representation.
    part = ask(root, get("/alphabet.txt", "Accept-Encoding: gzip", "Range: bytes=2-9"))
    assert part.content == coded[2:10]
    assert part.field("Content-Encoding") == "gzip"
    current = ask(root, get("/alphabet.txt", "Accept-Encoding: gzip", f"If-None-Match: {answer.field('ETag')}"))
    assert current.status == 304
    assert current.field("Content-Encoding") is None
    other = ask(root, get("/alphabet.txt", "Accept-Encoding: gzip", f"If-None-Match: {plain.field('ETag')}"))
    assert other.status == 200


def test_cache_control_is_the_configured_one(folder: pathlib.Path) -> None:
    """R125."""
    root = DocumentRoot(folder, cache_control="max-age=3600")
    for octets in (
        get("/alphabet.txt"),
        get("/large.bin"),
        get("/alphabet.txt", "If-None-Match: *"),
        get("/alphabet.txt", "Range: bytes=0-1"),
        get("/alphabet.txt", "Range: bytes=0-1,5-6"),
    ):
        assert ask(root, octets).field("Cache-Control") == "max-age=3600"
    # Neither a redirect nor a listing nor a refusal is to be kept without asking.
    assert ask(root, get("/sub")).field("Cache-Control") == "no-cache"
    assert ask(root, get("/")).field("Cache-Control") == "no-cache"
    assert ask(root, get("/missing")).field("Cache-Control") == "no-store"


# --- Listings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param("*/*", "text/html; charset=utf-8", id="anything: a page"),
        pytest.param("text/html", "text/html; charset=utf-8", id="a page"),
        pytest.param("application/json", "application/json; charset=utf-8", id="JSON"),
        pytest.param("text/plain", "text/plain; charset=utf-8", id="text"),
        pytest.param("image/png", "text/html; charset=utf-8", id="nothing on offer: a page"),
    ],
)
def test_a_folder_without_an_index_is_listed_as_its_client_prefers(
    root: DocumentRoot, accept: str, content_type: str
) -> None:
    """R142, RFC 9110 §12.5.1."""
    answer = ask(root, get("/", f"Accept: {accept}"))
    assert answer.status == 200
    assert answer.field("Content-Type") == content_type
    assert answer.field("Vary") == "Accept"
    assert answer.field("Cache-Control") == "no-cache"
    for name in ("alphabet.txt", "empty.txt", "hello.txt", "large.bin", "sub/"):
        assert name in answer.text


def test_a_listing_has_an_entity_tag_that_changes_with_it(root: DocumentRoot, folder: pathlib.Path) -> None:
    """R109."""
    first = ask(root, get("/"))
    assert ask(root, get("/")) == first
    tags = {ask(root, get(target)).field("ETag") for target in ("/", "/?sort=size", "/?sort=size-desc")}
    tags.add(ask(root, get("/", "Accept: application/json")).field("ETag"))
    assert len(tags) == 4
    (folder / "new.txt").write_bytes(b"new")
    assert ask(root, get("/", f"If-None-Match: {first.field('ETag')}")).status == 200


def test_the_query_sorts_a_listing(root: DocumentRoot) -> None:
    answer = ask(root, get("/?sort=size-desc", "Accept: text/plain"))
    names = [line.split()[-1] for line in answer.text.splitlines()]
    assert names == ["sub/", "large.bin", "alphabet.txt", "hello.txt", "empty.txt"]


def test_the_head_of_a_listing_costs_no_listing(root: DocumentRoot, folder: pathlib.Path) -> None:
    """RFC 9110 §9.3.2: fields that only the content determines may be left out."""
    for number in range(10 * BATCH):
        (folder / f"{number}").touch()
    work = respond(parse_head(get("/", method="HEAD"), 100), Tick(root, NOW, 0.0))
    assert not isinstance(work, Response)
    with pytest.raises(StopIteration) as stopped:
        next(work("127.0.0.1"))
    fields = dict(stopped.value.value.fields)
    assert fields == {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache", "Vary": "Accept"}
    assert b"Content-Length" not in stopped.value.value.field_lines


def test_the_head_of_a_listing_with_a_condition_is_that_of_the_page(root: DocumentRoot) -> None:
    etag = ask(root, get("/")).field("ETag")
    assert ask(root, get("/", f"If-None-Match: {etag}", method="HEAD")).status == 304
    assert ask(root, get("/", 'If-Match: "x"', method="HEAD")).status == 412
    assert ask(root, get("/", 'If-None-Match: "x"', method="HEAD")).field("ETag") == etag


@pytest.mark.parametrize(
    ("path", "above"),
    [
        ("/missing", "./"),
        ("/missing/", "../"),
        ("/sub/missing", "./"),
        ("/sub/a/b/", "../"),
        ("//missing", "./"),
        ("/a%20b%3Fc", "./"),
        ("/http:x", "./"),
    ],
)
def test_the_page_for_a_missing_file_links_to_the_folder_above(root: DocumentRoot, path: str, above: str) -> None:
    """A relative reference: it keeps a proxy's prefix, and can't lead to another host."""
    answer = ask(root, get(path, BROWSER))
    assert answer.status == 404
    assert re.findall('href="(.*?)"', answer.text) == [above]
    assert "href" not in ask(root, get(path)).text


def test_above_the_root_there_is_no_folder_to_link_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "root").mkdir()
    root = DocumentRoot(tmp_path / "root")
    (tmp_path / "root").rmdir()
    answer = ask(root, get("/", BROWSER))
    assert answer.status == 404
    assert "href" not in answer.text


HOSTILE_NAMES = [
    b"<img src=x onerror=alert(1)>.txt",
    b'"><script>alert(1)<',
    b"'&lt;",
    b"javascript:alert(1)",
    b"http:",
    b"a\nb\r\x1b[2J",
    b"%2e%2e",
    b"a?b#c",
    b"a;b=c&d+e f",
    b"\xff\xfe.txt",
    "grüße \u202e.txt".encode(),
    b"a~b!c$d*e,f@g",
]


def test_every_hostile_name_is_listed_and_its_link_leads_to_it(tmp_path: pathlib.Path) -> None:
    """R140, R143, R145."""
    made = set()
    for name in HOSTILE_NAMES:
        # Not every file system takes every name.
        with contextlib.suppress(OSError), open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"This is " + name)
            made.add(name)
    assert len(made) > 5
    root = DocumentRoot(tmp_path)
    listed = json.loads(ask(root, get("/", "Accept: application/json")).content)
    assert len(listed) == len(made)
    found = set()
    for entry in listed:
        path = urlsplit(urljoin("http://localhost/", entry["href"]))
        assert path.netloc == "localhost"
        answer = ask(root, get(path.path))
        assert answer.status == 200
        found.add(answer.content.removeprefix(b"This is "))
    assert found == made
    page = ask(root, get("/", BROWSER)).text
    assert page.count("<script") == 1, "the page's own"
    assert "<img" not in page
    assert 'href="javascript:' not in page
    assert "\x1b" not in page
    assert ask(root, get("/", "Accept: text/plain")).text.count("\n") == len(made)


def test_a_hostile_folder_is_redirected_to_and_listed(tmp_path: pathlib.Path) -> None:
    """R143."""
    (tmp_path / "<b>\r\nX: y").mkdir()
    root = DocumentRoot(tmp_path)
    redirect = ask(root, get("/%3Cb%3E%0d%0aX:%20y"))
    assert redirect.field("Location") == "./%3Cb%3E%0d%0aX:%20y/"
    page = ask(root, get(urljoin("/", redirect.field("Location") or ""), BROWSER))
    assert page.status == 200
    assert "<bdi>&lt;b&gt;\ufffd\ufffdX: y</bdi></h1>" in page.text


def test_a_folder_that_cant_be_read_to_its_end_is_refused(root: DocumentRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a listing would be taken for all of it."""

    def entries(relative: str) -> Iterator[Entry]:
        yield Entry("hello.txt", False, 1, NOW)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(root, "_entries", entries)
    answer = ask(root, get("/"))
    assert answer.status == 500
    assert "the file system failed (Input/output error)" in answer.text


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param("/missing", "/missing", id="R142: a missing file"),
        pytest.param("/hello.txt/", "/hello.txt/", id="R141: a file is no folder"),
        pytest.param("/hello.txt/x", "/hello.txt/x", id="R141: nor has it files"),
        pytest.param("/HELLO.TXT", "/HELLO.TXT", id="R141: case counts"),
        pytest.param("/missing?query", "/missing", id="the query is not part of a name"),
        pytest.param("/.hidden", "/.hidden", id="R144: a hidden file is not there"),
        pytest.param("/%3Cb%3E%22%0a", "/%3Cb%3E%22%0a", id="R143: shown as it was received, not decoded"),
        pytest.param("/" + "a" * 100, "/" + "a" * 59 + "…", id="a long name is cut"),
    ],
)
def test_a_missing_file_is_404(root: DocumentRoot, folder: pathlib.Path, path: str, shown: str) -> None:
    (folder / ".hidden").write_bytes(b"secret")
    answer = ask(root, get(path))
    assert answer.status == 404
    assert answer.text == f'404 Not Found: there is no "{shown}" here (RFC 9110 §15.5.5)\n'
    assert answer.field("Vary") == "Accept"
    assert answer.field("Cache-Control") == "no-store"


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_a_path_that_cannot_name_a_file_is_a_bad_request(root: DocumentRoot, accept: str) -> None:
    """R138, R139."""
    answer = ask(root, get("/sub/%2e%2e/%2e%2e/etc/passwd", f"Accept: {accept}"))
    assert answer.status == 400
    assert "ath segment 3 is " in answer.text
    assert "RFC 3986 §5.2.4" in answer.text


def test_a_browser_is_shown_the_page_of_the_folder(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "404.html").write_bytes(b"<h1>Nothing here.</h1>")
    answer = ask(root, get("/missing", BROWSER))
    assert (answer.status, answer.content) == (404, b"<h1>Nothing here.</h1>")
    assert field_names(answer) == ["Cache-Control", "Content-Length", "Content-Type", "Date", "Vary"]
    assert answer.field("Content-Type") == "text/html; charset=utf-8"
    assert answer.field("Cache-Control") == "no-store"
    assert answer.field("Vary") == "Accept"
    assert ask(root, get("/missing", BROWSER, method="HEAD")) == answer
    assert ask(root, get("/.hidden/x", BROWSER)) == answer
    assert ask(root, get("/missing", BROWSER, "Range: bytes=0-1", 'If-Match: "x"', "If-None-Match: *")) == answer


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "application/json"])
def test_a_program_is_told_in_its_own_form(root: DocumentRoot, folder: pathlib.Path, accept: str) -> None:
    (folder / "404.html").write_bytes(b"<h1>Nothing here.</h1>")
    answer = ask(root, get("/missing", f"Accept: {accept}"))
    assert answer.status == 404
    assert "<h1>" not in answer.text
    assert "there is no " in answer.text


def test_the_page_of_the_folder_is_for_missing_files_alone(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "404.html").write_bytes(b"<h1>Nothing here.</h1>")
    assert ask(root, get("/404.html", BROWSER)).status == 200
    for octets, status in (
        (get("/%00", BROWSER), 400),
        (get("/hello.txt", BROWSER, method="POST"), 405),
        (get("/hello.txt", BROWSER, 'If-Match: "x"'), 412),
    ):
        answer = ask(root, octets)
        assert answer.status == status
        assert "Nothing here." not in answer.text
        assert f"<h1>{status} " in answer.text


def test_the_page_of_the_folder_is_sent_as_it_is(root: DocumentRoot, folder: pathlib.Path) -> None:
    """R111: its coded sibling is for those who ask for it by name."""
    (folder / "404.html").write_bytes(b"<h1>Nothing here.</h1>")
    (folder / "404.html.gz").write_bytes(gzip.compress(b"<h1>Nothing here.</h1>", mtime=0))
    answer = ask(root, get("/missing", BROWSER, "Accept-Encoding: gzip"))
    assert answer.content == b"<h1>Nothing here.</h1>"
    assert answer.field("Content-Encoding") is None


def test_a_large_page_of_the_folder_is_sent_too(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "404.html").write_bytes(b"x" * 100_000)
    answer = ask(root, get("/missing", BROWSER))
    assert (answer.status, answer.content) == (404, b"x" * 100_000)


def test_a_folder_of_that_name_is_no_page(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "404.html").mkdir()
    answer = ask(root, get("/missing", BROWSER))
    assert answer.status == 404
    assert "<h1>404 Not Found</h1>" in answer.text
    assert "There is no &quot;/missing&quot; here." in answer.text


# --- What is true of every answer -----------------------------------------------------------------


def open_descriptors() -> set[int]:
    """Return the file descriptors of this process that are open, as far as tests use any."""
    found = set()
    for descriptor in range(512):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            found.add(descriptor)
    return found


@pytest.mark.parametrize(
    ("octets", "status", "holds_file"),
    [
        pytest.param(get("/large.bin"), 200, True, id="the whole file"),
        pytest.param(get("/large.bin", method="HEAD"), 200, True, id="its head"),
        pytest.param(get("/large.bin", "Range: bytes=0-1"), 206, True, id="a part"),
        pytest.param(get("/large.bin", "Range: bytes=0-1,5-6"), 206, True, id="several parts"),
        pytest.param(get("/large.bin", "If-None-Match: *"), 304, False, id="not modified"),
        pytest.param(get("/large.bin", 'If-Match: "x"'), 412, False, id="a failed precondition"),
        pytest.param(get("/large.bin", "Range: bytes=999999-"), 416, False, id="a range beyond"),
        pytest.param(get("/large.bin", "Range: bytes=x"), 200, True, id="a range that is none"),
        pytest.param(get("/missing", BROWSER), 404, True, id="the page for a missing file"),
        pytest.param(get("/missing"), 404, False, id="a missing file"),
        pytest.param(get("/"), 200, False, id="a listing"),
        pytest.param(get("/alphabet.txt"), 200, False, id="a small file"),
    ],
)
def test_a_file_is_open_no_longer_than_its_response(
    root: DocumentRoot, folder: pathlib.Path, octets: bytes, status: int, holds_file: bool
) -> None:
    (folder / "404.html").write_bytes(LARGE)
    before = open_descriptors()
    with contextlib.closing(respond_to(parse_head(octets, 100), Tick(root, NOW, 0.0))) as response:
        assert response.status == status
        held = {response.file.fileno()} if isinstance(response.file, io.FileIO) else set()
        assert bool(held) is holds_file
        assert open_descriptors() == before | held
    assert open_descriptors() == before


def test_a_kept_file_has_its_response_ready(root: DocumentRoot) -> None:
    request = parse_head(get("/alphabet.txt"), 100)
    assert respond(request, Tick(root, NOW, 0.0)) is respond(request, Tick(root, NOW, 0.0))


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
    # Nothing changes the folder between the examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_target_has_an_answer_that_stays_on_the_host(root: DocumentRoot, target: str, method: str) -> None:
    """R116, R138, R143."""
    try:
        answer = ask(root, get("/" + target, method=method))
    except RequestError:
        # Refused for its grammar before anybody asks what it names: that is the parser's affair.
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
    # Nothing changes the folder between the examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_field_values_have_an_answer(root: DocumentRoot, path: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """R116."""
    field_lines = [b"%b: %b" % field for field in fields]
    answer = ask(root, b"\r\n".join([b"GET %b HTTP/1.1" % path, b"Host: a", *field_lines, b"", b""]))
    assert answer.status in (200, 206, 304, 404, 412, 416, 417)
