"""The request parser: single field lines, and fields that must agree (RFC 9112 §5, §3.2, §6)."""

import pathlib
import re
from collections.abc import Callable

import pytest

from httpsock.http import request_parser
from httpsock.http.grammar import SINGLETONS
from httpsock.http.messages import Refusal, Status, Target, TargetForm
from httpsock.http.request_parser import (
    MEANINGFUL_FIELDS,
    parse_head,
)
from tests.http.parsing import HOST, LIMITS, SMALL, get_root, refusal_of, request_of
from tests.support.cuts import Cut, however_cut
from tests.support.rows import each_row

# --- Field lines ----------------------------------------------------------------------------------


@however_cut
@each_row(
    ("line", "name", "value"),
    [
        pytest.param(b"B:c", b"b", b"c", id="R035: no whitespace is needed"),
        pytest.param(b"B: \t c \t ", b"b", b"c", id="R035: whitespace round a value is dropped"),
        pytest.param(b"B: c\t d", b"b", b"c\t d", id="R035: whitespace within is kept"),
        pytest.param(b"B:", b"b", b"", id="R035: a value may be empty"),
        pytest.param(b"B: \t", b"b", b"", id="R035: whitespace alone is an empty value"),
        pytest.param(b"b: c:d", b"b", b"c:d", id="R038: the first colon ends the name"),
        pytest.param(b"!#$%&'*+-.^_`|~9Z: c", b"!#$%&'*+-.^_`|~9z", b"c", id="R039: any token is a name"),
        pytest.param(b"B: \x80\xff", b"b", b"\x80\xff", id="R040: obs-text is opaque"),
        pytest.param(b"B: \x85c\xa0", b"b", b"\x85c\xa0", id="R062: NEL and no-break space are no whitespace"),
        pytest.param(b"Content_Length: 5", b"content_length", b"5", id="R042: names are not normalised"),
    ],
)
def test_a_field_line_is_parsed(cut: Cut, line: bytes, name: bytes, value: bytes) -> None:
    request = request_of(cut, get_root(line))
    assert request.field_lines == (*HOST, (name, value))
    assert request.fields == {b"host": b"a"}
    assert request.content_length == 0


@each_row("name", MEANINGFUL_FIELDS[4:])
@each_row("spelling", [bytes.lower, bytes.title, bytes.upper])
def test_the_fields_that_the_server_uses_are_stored(name: bytes, spelling: Callable[[bytes], bytes]) -> None:
    """The result does not depend on the name's case or on the line's position (requirements R041 and R043)."""
    second, joined = (b"c d", b"c d") if name in SINGLETONS else (b"g", b"c d, g")
    head = get_root(
        b"A: b", spelling(name) + b": \tc d \t", b"X-" + name + b": e", name + b"-x: f", name + b":" + second
    )
    assert parse_head(head, 100).fields == {b"host": b"a", name: joined}


def test_only_stored_fields_are_looked_up() -> None:
    """If httpsock.http looks a field up, the parser must store this field."""
    named: set[str] = set()
    for path in pathlib.Path(request_parser.__file__).parent.glob("*.py"):
        named.update(re.findall(r'fields(?:\.get\(|\[)b"([a-z-]+)"', path.read_text(encoding="utf-8")))
        named.update(re.findall(r'b"([a-z-]+)" in (?:request\.)?fields', path.read_text(encoding="utf-8")))
    assert len(named) > 8
    assert named <= {name.decode() for name in MEANINGFUL_FIELDS}


@however_cut
@each_row(
    ("line", "reason", "section"),
    [
        pytest.param(b"B : c", "has a space before its colon", "RFC 9112 §5.1", id="R036: a space before the colon"),
        pytest.param(b"B\t: c", "has a space before its colon", "RFC 9112 §5.1", id="R036: a tab before the colon"),
        pytest.param(
            b" c", "starts with whitespace: folded lines are obsolete", "RFC 9112 §5.2", id="R037: a folded line"
        ),
        pytest.param(
            b"\tB: c", "starts with whitespace: folded lines are obsolete", "RFC 9112 §5.2", id="R037: folded by a tab"
        ),
        pytest.param(
            b" ", "starts with whitespace: folded lines are obsolete", "RFC 9112 §5.2", id="R037: a line of one space"
        ),
        pytest.param(b"B", '"B" has no colon', "RFC 9112 §5", id="R038: no colon"),
        pytest.param(b": c", 'has the name "", which is not a token', "RFC 9110 §5.1", id="R038: no name"),
        pytest.param(b"B@: c", 'has the name "***@", which is not a token', "RFC 9110 §5.1", id="R038: no token"),
        pytest.param(
            b"B\r: c", r'has the name "B\x0d", which is not a token', "RFC 9110 §5.1", id="R002: CR in a name"
        ),
        pytest.param(b"\rB: c", r'has the name "\x0dB", which is not a token', "RFC 9110 §5.1", id="R002: CR first"),
        pytest.param(b"\r", r'"\x0d" has no colon', "RFC 9112 §5", id="R002: CR for an empty line"),
        pytest.param(b"B: c\rd", "has a bare CR in its value", "RFC 9112 §2.2", id="R002: CR in a value"),
        pytest.param(b"B: c\r", "has a bare CR in its value", "RFC 9112 §2.2", id="R002: CR before the line end"),
        pytest.param(b"B: c\nD: e", "ends with a bare LF, not with CRLF", "RFC 9112 §2.2", id="R003: a bare LF"),
        pytest.param(b"\n", "ends with a bare LF, not with CRLF", "RFC 9112 §2.2", id="R003: LF for an empty line"),
        pytest.param(b"B: \0", "has a NUL in its value", "RFC 9110 §5.5", id="R032: NUL in a value"),
        pytest.param(
            b"B: \x1b", r"has the control character \x1b in its value", "RFC 9110 §5.5", id="R032: ESC in a value"
        ),
        pytest.param(
            b"B: \x7f", r"has the control character \x7f in its value", "RFC 9110 §5.5", id="R032: DEL in a value"
        ),
    ],
)
def test_a_malformed_field_line_is_refused(cut: Cut, line: bytes, reason: str, section: str) -> None:
    expected = Refusal(Status.BAD_REQUEST, f"field line 2 {reason}", section)
    for limits in (LIMITS, SMALL):
        assert refusal_of(cut, get_root(line, b"E: f"), limits) == expected


@however_cut
@each_row("line", [b" Host: a", b"\tHost: a", b" ", b" b"])
def test_whitespace_before_the_first_field_line_is_refused(cut: Cut, line: bytes) -> None:
    """Other servers could accept or ignore a line that starts with whitespace (RFC 9112 §2.2, requirement R005)."""
    reason = "there is whitespace between the request line and the first field line"
    refusal = refusal_of(cut, b"GET / HTTP/1.1\r\n" + line + b"\r\nHost: a\r\n\r\n")
    assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §2.2")


@however_cut
def test_a_fault_is_named_before_the_head_is_complete(cut: Cut) -> None:
    """The server refuses a malformed head before the rest of the head arrives (requirement R007)."""
    refusal = refusal_of(cut, b"GET / HTTP/1.1\r\nHost: a\r\nAccept : b\r\nC: d")
    assert refusal == Refusal(Status.BAD_REQUEST, "field line 2 has a space before its colon", "RFC 9112 §5.1")


@however_cut
def test_the_first_of_several_faults_is_named(cut: Cut) -> None:
    refusal = refusal_of(cut, get_root(b"B: c", b"D", b"E : f", version="HTTP/1.2"))
    assert refusal == Refusal(Status.BAD_REQUEST, 'field line 3 "D" has no colon', "RFC 9112 §5")


# --- Host, target and framing of a whole head -----------------------------------------------------


@however_cut
@each_row(
    ("octets", "expected"),
    [
        pytest.param(
            b"GET / HTTP/1.1\r\n\r\n",
            Refusal(Status.BAD_REQUEST, "there is no Host field line", "RFC 9112 §3.2"),
            id="R029: no Host",
        ),
        pytest.param(
            get_root(b"Host: a"),
            Refusal(Status.BAD_REQUEST, "there is more than one Host field line", "RFC 9112 §3.2"),
            id="R030: two Hosts",
        ),
        pytest.param(
            get_root(b"HOST: b", version="HTTP/1.0"),
            Refusal(Status.BAD_REQUEST, "there is more than one Host field line", "RFC 9112 §3.2"),
            id="R030: two Hosts in HTTP/1.0",
        ),
        pytest.param(
            b"GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n",
            Refusal(Status.BAD_REQUEST, 'Host is "b/c", not a host with an optional port', "RFC 9112 §3.2"),
            id="R031: an invalid Host, though absolute-form would override it",
        ),
        pytest.param(
            b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            Refusal(Status.BAD_REQUEST, "the request-target * is for OPTIONS, not for GET", "RFC 9112 §3.2.4"),
            id="R027: a target for another method",
        ),
        pytest.param(
            get_root(b"Content-Length: 5", b"Content-Length: 5"),
            Refusal(Status.BAD_REQUEST, "there is more than one Content-Length field line", "RFC 9112 §6.3"),
            id="R050: two equal lengths",
        ),
        pytest.param(
            get_root(b"Content-Length: 5", b"content-length: 6"),
            Refusal(Status.BAD_REQUEST, "there is more than one Content-Length field line", "RFC 9112 §6.3"),
            id="R049: two different lengths",
        ),
        pytest.param(
            get_root(b"Content-Length: 5, 5"),
            Refusal(Status.BAD_REQUEST, 'Content-Length is "5, 5", not one decimal number', "RFC 9112 §6.3"),
            id="R050: a list of lengths",
        ),
        pytest.param(
            get_root(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
            Refusal(Status.BAD_REQUEST, "both Transfer-Encoding and Content-Length", "RFC 9112 §6.1"),
            id="R059: framed twice",
        ),
        pytest.param(
            get_root(b"Transfer-Encoding: chunked", version="HTTP/1.0"),
            Refusal(Status.BAD_REQUEST, "Transfer-Encoding in an HTTP/1.0 request", "RFC 9112 §6.1"),
            id="R060: a coding in HTTP/1.0",
        ),
        pytest.param(
            get_root(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
            Refusal(Status.BAD_REQUEST, 'Transfer-Encoding "chunked, chunked" applies chunked twice', "RFC 9112 §6.1"),
            id="R061: chunked on two lines",
        ),
        pytest.param(
            get_root(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
            Refusal(
                Status.NOT_IMPLEMENTED,
                'Transfer-Encoding "gzip, chunked" has a coding that is not implemented',
                "RFC 9112 §6.1",
            ),
            id="R058: an unknown coding on a line of its own",
        ),
    ],
)
def test_an_ambiguous_head_is_refused(cut: Cut, octets: bytes, expected: Refusal) -> None:
    assert refusal_of(cut, octets) == expected


@however_cut
def test_the_host_of_an_absolute_form_replaces_the_field(cut: Cut) -> None:
    """If the target contains a host, the server must ignore Host (requirement R022)."""
    request = request_of(cut, b"GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n")
    assert request.target == Target(TargetForm.ABSOLUTE, b"/c", None, is_encoded=True)


@however_cut
def test_http_1_0_needs_no_host(cut: Cut) -> None:
    """Host is required only in HTTP/1.1 (RFC 9112 §3.2, requirement R034)."""
    assert request_of(cut, b"GET / HTTP/1.0\r\n\r\n").fields == {}


@each_row("connection", ['a",close', '"close', '"a, close, b"', 'a="\\", close', "close,", ",CLOSE", "a, b\t,\tclose"])
def test_a_quote_does_not_hide_the_option_close(connection: str) -> None:
    """The options of Connection are tokens, so quotes have no meaning (RFC 9110 §7.6.1, requirement R084)."""
    head = f"GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n".encode()
    assert parse_head(head, 100).is_persistent is (connection == '"close')


@however_cut
@each_row("name", ["Range", "If-Range", "If-Modified-Since", "If-Unmodified-Since"])
def test_a_repeated_singleton_field_with_equal_values_is_valid(cut: Cut, name: str) -> None:
    """If a field allows one value, two equal values count as one (RFC 9110 §5.3, requirement R148)."""
    request = request_of(cut, get_root(f"{name}: a, b".encode(), b"Accept: c", f"{name.lower()}:a, b\t".encode()))
    assert request.fields[name.lower().encode()] == b"a, b"


@however_cut
@each_row("values", [("Sun", "06 Nov 1994 08:49:37 GMT"), ("", "a"), ("a", "b", "a"), ("a", "b", "")])
@each_row("name", ["Range", "If-Range", "If-Modified-Since", "If-Unmodified-Since"])
def test_a_singleton_field_with_two_different_values_is_ignored(cut: Cut, name: str, values: tuple[str, ...]) -> None:
    """If a date field has two values, a server must ignore the field (RFC 9110 §13.1.3, requirement R148)."""
    request = request_of(cut, get_root(*(f"{name}: {value}".encode() for value in values)))
    assert request.fields[name.lower().encode()] == b""
