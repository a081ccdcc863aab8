"""The request parser: request lines (RFC 9112 §3)."""

import pytest

from httpsock.http.messages import Refusal, Status
from tests.http.parsing import LIMITS, SMALL, get_root, refusal_of, request_of
from tests.support.cuts import Cut, however_cut
from tests.support.rows import each_row


@however_cut
@each_row("method", [b"GET", b"get", b"BREW", b"M-SEARCH", b"!#$%&'*+-.^_`|~09"])
def test_any_token_is_a_method(cut: Cut, method: bytes) -> None:
    """The handler, not the parser, decides which methods are supported (requirements R019 and R098)."""
    assert request_of(cut, method + b" / HTTP/1.1\r\nHost: a\r\n\r\n").method == method.decode()


@however_cut
@each_row(
    ("version", "minor_version"),
    [
        pytest.param("HTTP/1.0", 0, id="HTTP/1.0"),
        pytest.param("HTTP/1.1", 1, id="HTTP/1.1"),
        pytest.param("HTTP/1.2", 1, id="R011: a higher minor version is taken for 1.1"),
        pytest.param("HTTP/1.9", 1, id="R011: the highest is taken for 1.1"),
    ],
)
def test_a_version_is_parsed(cut: Cut, version: str, minor_version: int) -> None:
    assert request_of(cut, get_root(version=version)).minor_version == minor_version


@however_cut
@each_row("version", ["0.9", "0.0", "2.0", "3.0", "9.9"])
@each_row("field_lines", [(), (b"no field line",)])
def test_another_major_version_is_not_supported(cut: Cut, version: str, field_lines: tuple[bytes, ...]) -> None:
    """505 means that the server does not support the major version (requirement R013)."""
    reason = f"HTTP/{version} is not supported; use HTTP/1.1"
    expected = Refusal(Status.VERSION_NOT_SUPPORTED, reason, "RFC 9110 §15.6.6")
    assert refusal_of(cut, get_root(*field_lines, version=f"HTTP/{version}")) == expected


@however_cut
def test_the_preface_of_http_2_is_refused_as_another_version(cut: Cut) -> None:
    """The preface of HTTP/2 looks like a request of version HTTP/2.0 (RFC 9113 §3.4, requirement R096)."""
    refusal = refusal_of(cut, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert refusal.status is Status.VERSION_NOT_SUPPORTED
    assert refusal.reason == "HTTP/2.0 is not supported; use HTTP/1.1"


@however_cut
@each_row(
    ("line", "reason"),
    [
        pytest.param(
            b"GET\r\n",
            "the request line has 1 of its three parts: method, request-target, HTTP-version",
            id="R017: only a method",
        ),
        pytest.param(
            b"GET /\r\n",
            "the request line has 2 of its three parts: method, request-target, HTTP-version",
            id="R017: no version, as in HTTP/0.9",
        ),
        pytest.param(b" / HTTP/1.1\r\n", "the request line starts with a space", id="R019: no method"),
        pytest.param(b"GET  HTTP/1.1\r\n", "the request-target is empty", id="R017: no target"),
        pytest.param(b"GET  / HTTP/1.1\r\n", "the request line has more than two spaces", id="R017: two spaces"),
        pytest.param(
            b"GET / HTTP/1.1 \r\n", "the request line has more than two spaces", id="R017: a space at the end"
        ),
        pytest.param(
            b"GET /a b HTTP/1.1\r\n", "the request line has more than two spaces", id="R017: a space in a target"
        ),
        pytest.param(b"GET / HTTP/1.10\r\n", 'the HTTP-version is "HTTP/1.10", not HTTP/1.1', id="R010: two digits"),
        pytest.param(
            b"GET / HTTP/11.1\r\n", 'the HTTP-version is "HTTP/11.1", not HTTP/1.1', id="R009: two digits before"
        ),
        pytest.param(b"GET / HTTP/1\r\n", 'the HTTP-version is "HTTP/1", not HTTP/1.1', id="R009: no minor version"),
        pytest.param(b"GET / HTTP/1,1\r\n", 'the HTTP-version is "HTTP/1,1", not HTTP/1.1', id="R009: a comma"),
        pytest.param(b"GET / HTTP/+1.1\r\n", 'the HTTP-version is "HTTP/+1.1", not HTTP/1.1', id="R009: a plus sign"),
        pytest.param(b"GET / http/1.1\r\n", 'the HTTP-version is "http/1.1", not HTTP/1.1', id="R008: lower case"),
        pytest.param(b"GET / HTTP /1.1\r\n", "the request line has more than two spaces", id="R009: a space within"),
        pytest.param(b"GET / ICY/1.1\r\n", 'the HTTP-version is "ICY/1.1", not HTTP/1.1', id="R096: another protocol"),
        pytest.param(
            b"GET /\0 HTTP/1.1\r\n", r'the request-target "/\x00" has a control character', id="R018: NUL in a target"
        ),
        pytest.param(
            b"GET\t/\tHTTP/1.1\r\n", r"the method has the byte \x09 at position 3, and is not a token", id="R018: tabs"
        ),
        pytest.param(
            b"GET /\ta HTTP/1.1\r\n",
            r'the request-target "/\x09a" has a control character',
            id="R018: a tab in a target",
        ),
        pytest.param(
            b"GET /\x7f HTTP/1.1\r\n", r'the request-target "/\x7f" has a control character', id="R018: DEL in a target"
        ),
        pytest.param(b"GET / HTTP/1.1\n", "the request line ends with a bare LF, not with CRLF", id="R003: a bare LF"),
        pytest.param(b"GET\n", "the request line ends with a bare LF, not with CRLF", id="R018: LF after the method"),
        pytest.param(b"GET /\n", "the request line ends with a bare LF, not with CRLF", id="R018: LF after the target"),
        pytest.param(b"\n", "the request line ends with a bare LF, not with CRLF", id="R003: LF for an empty line"),
        pytest.param(b"GET / HTTP/1.1\r\r\n", "the request line has a bare CR", id="R002: CR before the line end"),
        pytest.param(b"GET /\rHTTP/1.1\r\n", "the request line has a bare CR", id="R002: CR for a space"),
        pytest.param(b"GET / HTTP/1.1\rHost: a\r\n", "the request line has a bare CR", id="R002: CR for a line end"),
    ],
)
def test_a_malformed_request_line_is_refused(cut: Cut, line: bytes, reason: str) -> None:
    """The error names the section: RFC 9112 §3.1 (method), §2.2 (line ends) or §3 (the rest)."""
    section = "RFC 9112 §3.1" if "position" in reason else "RFC 9112 §2.2" if "a bare" in reason else "RFC 9112 §3"
    for limits in (LIMITS, SMALL):
        assert refusal_of(cut, line + b"Host: a\r\n\r\n", limits) == Refusal(Status.BAD_REQUEST, reason, section)


@however_cut
@each_row(
    ("start", "reason"),
    [
        pytest.param(b"G@T", r"the method has the byte \x40 at position 1, and is not a token", id="R019: a delimiter"),
        pytest.param(b"\0GET", r"the method has the byte \x00 at position 0, and is not a token", id="R019: NUL"),
        pytest.param(b"G\xc9T", r"the method has the byte \xc9 at position 1, and is not a token", id="R019: obs-text"),
        pytest.param(b"GET:", r"the method has the byte \x3a at position 3, and is not a token", id="R019: a colon"),
        pytest.param(b"GE\rT", r"the method has the byte \x0d at position 2, and is not a token", id="R002: a bare CR"),
        pytest.param(
            b"\rGET", r"the method has the byte \x0d at position 0, and is not a token", id="R002: CR at the start"
        ),
        pytest.param(b"\r\rGET", r"the method has the byte \x0d at position 0, and is not a token", id="R002: two CRs"),
        pytest.param(b'{"a":1}', r"the method has the byte \x7b at position 0, and is not a token", id="R006: JSON"),
        pytest.param(
            b"\x16\x03\x01\x02\x00\x01",
            "a TLS handshake on a plain HTTP port",
            id="R096: TLS",
        ),
    ],
)
def test_an_invalid_method_is_refused_before_the_line_is_complete(cut: Cut, start: bytes, reason: str) -> None:
    """A client of another protocol perhaps never sends a line end, so the parser must not wait (requirement R006)."""
    expected = Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §3.1")
    for octets in (start, start + b" / HTTP/1.1", start + b" / HTTP/1.1\r\nHost: a\r\n\r\n"):
        for limits in (LIMITS, SMALL):
            assert refusal_of(cut, octets, limits) == expected
