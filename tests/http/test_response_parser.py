"""The response parser: it gets all octets together, or one by one. The results are compared with those of h11."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.http.framing import ContentLimits
from httpsock.http.message_reader import Content, EndOfContent, Pause
from httpsock.http.response_parser import IncompleteError, ResponseError, ResponseHead, ResponseLimits, ResponseParser
from tests.support.rows import each_row

bounded = settings(derandomize=True, deadline=None, max_examples=100)
LIMITS = ResponseLimits()
SMALL = ResponseLimits(
    head=64, field_lines=3, interim_responses=2, content=ContentLimits(20, chunk_line=16, trailers=24)
)


class Outcome(NamedTuple):
    """The result of parsing a response. *statuses* has the status of each head, also of interim responses."""

    statuses: list[int]
    content: bytes = b""
    is_whole: bool = False
    error: str = ""
    is_reusable: bool = False


def parse(
    pieces: Iterable[bytes], method: str = "GET", limits: ResponseLimits = LIMITS, *, ends: bool = False
) -> tuple[Outcome, list[ResponseHead], ResponseParser]:
    """Feed *pieces* to a new parser. Return the outcome, the heads, and the parser."""
    parser = ResponseParser(limits)
    parser.expect(method)
    heads: list[ResponseHead] = []
    content = b""
    whole = False

    def outcome(error: str = "") -> tuple[Outcome, list[ResponseHead], ResponseParser]:
        statuses = [head.status for head in heads]
        return Outcome(statuses, content, whole, error, not error and parser.is_reusable), heads, parser

    for piece in [*pieces, *([b""] if ends else [])]:
        parser.receive(piece)
        try:
            while not isinstance(event := parser.next_event(), Pause):
                match event:
                    case ResponseHead():
                        heads.append(event)
                    case Content(octets):
                        content += octets
                    case EndOfContent():
                        whole = True
        except ResponseError as error:
            return outcome(str(error))
    return outcome()


def both_ways(octets: bytes, method: str = "GET", limits: ResponseLimits = LIMITS, *, ends: bool = False) -> Outcome:
    """Parse *octets* together and one by one. Assert that both outcomes are equal, and return the outcome."""
    at_once = parse([octets], method, limits, ends=ends)[0]
    one_by_one = parse([bytes([octet]) for octet in octets], method, limits, ends=ends)[0]
    # The content that is read before an error depends on the cut.
    if at_once.error:
        assert one_by_one.error == at_once.error
        assert at_once.is_whole == one_by_one.is_whole
    else:
        assert one_by_one == at_once
    return one_by_one


def head_of(octets: bytes) -> ResponseHead:
    """Parse *octets* and return their only head."""
    (head,) = parse([octets])[1]
    return head


def ok(*field_lines: bytes, content: bytes = b"", version: bytes = b"1.1") -> bytes:
    """Return a 200 with *field_lines* and *content*."""
    return b"\r\n".join([b"HTTP/" + version + b" 200 OK", *field_lines, b"", b""]) + content


# --- the head -------------------------------------------------------------------------------------------------------


def test_a_head_is_parsed_and_stored_as_received() -> None:
    octets = b'HTTP/1.1 200 Fine, thanks\r\nETag:"a"\r\nVary: \tAccept \r\nvary: Range\r\nX:\xe9\r\n\r\n'
    head = head_of(octets)
    assert head == ResponseHead(
        octets,
        1,
        200,
        b"Fine, thanks",
        ((b"etag", b'"a"'), (b"vary", b"Accept"), (b"vary", b"Range"), (b"x", b"\xe9")),
    )
    assert head.field(b"vary") == b"Accept, Range"
    assert head.field(b"server") is None


@each_row(
    ("status_line", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 ", (1, 200, b""), id="no phrase"),
        pytest.param(b"HTTP/1.1 200", (1, 200, b""), id="the space before the reason phrase is missing"),
        pytest.param(b"HTTP/1.1 404 Nicht \xfcber", (1, 404, b"Nicht \xfcber"), id="a phrase beyond ASCII"),
        pytest.param(b"HTTP/1.1 200  two  spaces", (1, 200, b" two  spaces"), id="a phrase that begins with a space"),
        pytest.param(b"HTTP/1.0 200 OK", (0, 200, b"OK"), id="HTTP/1.0"),
        pytest.param(b"HTTP/1.9 200 OK", (1, 200, b"OK"), id="RFC 9110 §2.5: a higher minor version is the highest"),
        pytest.param(b"HTTP/1.1 999 ?", (1, 999, b"?"), id="RFC 9110 §15: a code out of the range"),
        pytest.param(b"HTTP/1.1 099 ?", (1, 99, b"?"), id="RFC 9110 §15: a code below the range"),
    ],
)
def test_a_status_line_is_parsed(status_line: bytes, expected: tuple[int, int, bytes]) -> None:
    head = head_of(status_line + b"\r\n\r\n")
    assert (head.minor_version, head.status, head.phrase) == expected


@each_row(("status", "is_error"), [(b"099", True), (b"200", False), (b"304", False), (b"400", True), (b"600", True)])
def test_a_status_code_out_of_range_is_an_error(status: bytes, is_error: bool) -> None:
    assert head_of(b"HTTP/1.1 " + status + b" x\r\nContent-Length: 0\r\n\r\n").is_error is is_error


@each_row(
    ("field_lines", "expected"),
    [
        pytest.param([b"A: b", b" c"], (b"a", b"b c"), id="one fold"),
        pytest.param([b"A:", b"\t c \t"], (b"a", b"c"), id="a value that begins after the fold"),
        pytest.param([b"A: b", b" c", b" ", b"\td"], (b"a", b"b c d"), id="three folds, one of them empty"),
    ],
)
def test_a_folded_line_is_read_as_spaces(field_lines: list[bytes], expected: tuple[bytes, bytes]) -> None:
    """A user agent must accept folded lines, but a server need not (RFC 9112 §5.2)."""
    assert both_ways(ok(*field_lines, b"Content-Length: 0")).is_whole
    assert head_of(ok(*field_lines)).field_lines == (expected,)


NOT_A_HEAD = [
    pytest.param(
        b"SSH-2.0-OpenSSH_9.2\r\n",
        'the response begins with "SSH-2.0-OpenSSH_9.2", not with "HTTP/"',
        "RFC 9112 §4",
        id="another protocol",
    ),
    pytest.param(
        b"http/1.1 200 OK\r\n",
        'the response begins with "http/1.1 200 OK", not with "HTTP/"',
        "RFC 9112 §4",
        id="HTTP in lower case",
    ),
    pytest.param(
        b"\x15\x03\x01",
        "the first byte is \\x15, as in a TLS alert; the server may want https, which is not supported",
        "RFC 9112 §4",
        id="TLS",
    ),
    pytest.param(
        b"x" * 40, f'the response begins with "{"x" * 40}", not with "HTTP/"', "RFC 9112 §4", id="a line without end"
    ),
    pytest.param(
        b"\r\nHTTP/1.1 200 OK\r\n", 'the response begins with "", not with "HTTP/"', "RFC 9112 §4", id="empty line"
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\n",
        "the status line ends with a bare LF, not with CRLF",
        "RFC 9112 §2.2",
        id="bare LF after the status line",
    ),
    pytest.param(
        b"HTTP/2 200\r\n",
        'the status line "HTTP/2 200" is not HTTP-version, three digits and a phrase',
        "RFC 9112 §4",
        id="a version of one digit",
    ),
    pytest.param(
        b"HTTP/1.1 20 OK\r\n",
        'the status line "HTTP/1.1 20 OK" is not HTTP-version, three digits and a phrase',
        "RFC 9112 §4",
        id="two digits",
    ),
    pytest.param(
        b"HTTP/1.1 2000 OK\r\n",
        'the status line "HTTP/1.1 2000 OK" is not HTTP-version, three digits and a phrase',
        "RFC 9112 §4",
        id="four digits",
    ),
    pytest.param(
        b"HTTP/1.1 200 O\0K\r\n",
        'the status line "HTTP/1.1 200 O\\x00K" is not HTTP-version, three digits and a phrase',
        "RFC 9112 §4",
        id="NUL in the phrase",
    ),
    pytest.param(
        b"HTTP/1.1 200 O\rK\r\n",
        'the status line "HTTP/1.1 200 O\\x0dK" is not HTTP-version, three digits and a phrase',
        "RFC 9112 §4",
        id="bare CR in the phrase",
    ),
    pytest.param(
        b"HTTP/2.0 200 OK\r\n", "the response is HTTP/2.0; only HTTP/1.1 is supported", "RFC 9110 §2.5", id="HTTP/2.0"
    ),
    pytest.param(
        ok(b" A: b"),
        "there is whitespace between the status line and the first field line",
        "RFC 9112 §2.2",
        id="a first line that is folded",
    ),
    pytest.param(ok(b"A b"), 'field line 1 "A b" has no colon', "RFC 9112 §5", id="no colon"),
    pytest.param(ok(b"A: b", b"C : d"), "field line 2 has a space before its colon", "RFC 9112 §5.1", id="space"),
    pytest.param(ok(b"A: b\0"), "field line 1 has a NUL in its value", "RFC 9110 §5.5", id="NUL"),
    pytest.param(
        ok(b"A: b", b" \x1b[2J"),
        "field line 2 has the control character \\x1b in its value",
        "RFC 9110 §5.5",
        id="an escape in a folded line",
    ),
    pytest.param(ok(b"A: b\n"), "field line 1 ends with a bare LF, not with CRLF", "RFC 9112 §2.2", id="bare LF"),
    pytest.param(
        ok(b"A: b", b" c\n"),
        "field line 2 ends with a bare LF, not with CRLF",
        "RFC 9112 §2.2",
        id="bare LF in a folded line",
    ),
    pytest.param(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        "the server switches protocols (101), which was not requested",
        "RFC 9110 §15.2.2",
        id="101",
    ),
]


@each_row(("octets", "reason", "section"), NOT_A_HEAD)
def test_a_malformed_head_is_refused_at_its_first_wrong_octet(octets: bytes, reason: str, section: str) -> None:
    assert both_ways(octets).error == f"{reason} ({section})"


# --- the end of the content (RFC 9112 §6.3) -------------------------------------------------------------------------

CHUNKED = b"Transfer-Encoding: chunked"


@each_row(
    ("octets", "method", "content", "is_reusable"),
    [
        pytest.param(ok(b"Content-Length: 5", content=b"hello"), "GET", b"hello", True, id="a length"),
        pytest.param(ok(b"Content-Length: 0"), "GET", b"", True, id="no content, Content-Length: 0"),
        pytest.param(ok(b"Content-Length: 5, 5", content=b"hello"), "GET", b"hello", True, id="the same length twice"),
        pytest.param(
            ok(b"Content-Length: 5", b"Content-Length: 5", content=b"hello"), "GET", b"hello", True, id="on two lines"
        ),
        pytest.param(ok(CHUNKED, content=b"5;a=b\r\nhello\r\n0\r\n\r\n"), "GET", b"hello", True, id="chunked"),
        pytest.param(
            ok(CHUNKED, content=b"2\r\nhe\r\n3\r\nllo\r\n000\r\nX: y\r\n\r\n"), "GET", b"hello", True, id="trailers"
        ),
        pytest.param(ok(b"Transfer-Encoding: ,Chunked", content=b"0\r\n\r\n"), "GET", b"", True, id="in any case"),
        pytest.param(
            ok(b"Content-Length: 5"), "HEAD", b"", True, id="1: HEAD has no content, whatever Content-Length says"
        ),
        pytest.param(ok(CHUNKED), "HEAD", b"", True, id="1: HEAD has no chunks, either"),
        pytest.param(
            b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "GET", b"", True, id="1: 204 has no content"
        ),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", b"", True, id="1: 304 has no content"
        ),
        pytest.param(
            ok(b"Content-Length: 2", b"Connection: Close", content=b"ab"), "GET", b"ab", False, id="close, announced"
        ),
        pytest.param(ok(b"Content-Length: 2", content=b"ab", version=b"1.0"), "GET", b"ab", False, id="HTTP/1.0"),
        pytest.param(
            ok(b"Content-Length: 2", b"Connection: keep-alive", content=b"ab", version=b"1.0"),
            "GET",
            b"ab",
            True,
            id="HTTP/1.0 that persists",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            + ok(b"Content-Length: 2", content=b"ab"),
            "GET",
            b"ab",
            True,
            id="interim responses come first",
        ),
    ],
)
def test_content_ends_as_the_head_announces(octets: bytes, method: str, content: bytes, is_reusable: bool) -> None:
    outcome = both_ways(octets, method)
    assert outcome == Outcome(outcome.statuses, content, is_whole=True, is_reusable=is_reusable)
    # A second response was not requested: it stays unread, and the connection is not reused.
    more = both_ways(octets + b"HTTP/1.1 200 OK\r\n\r\n", method)
    assert more == outcome._replace(is_reusable=False)


def test_interim_heads_are_marked() -> None:
    octets = b"HTTP/1.1 103 Early Hints\r\n\r\n" + ok(b"Content-Length: 0")
    assert [(head.status, head.is_interim) for head in parse([octets])[1]] == [(103, True), (200, False)]


@each_row("content", [b"", b"hello", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_content_without_length_ends_with_the_connection(content: bytes) -> None:
    assert both_ways(ok(content=content)) == Outcome([200], content)
    assert both_ways(ok(content=content), ends=True) == Outcome([200], content, is_whole=True)


def test_trailers_are_stored_separately() -> None:
    octets = ok(CHUNKED, content=b"1\r\n!\r\n0\r\nDigest: x\r\nETag: \ty \r\n\r\n")
    _, (head,), parser = parse([octets])
    assert parser.trailers == ((b"digest", b"x"), (b"etag", b"y"))
    assert head.field(b"etag") is None
    assert parse([ok(b"Content-Length: 0")])[2].trailers == ()


def test_the_parser_knows_the_announced_length() -> None:
    assert parse([ok(b"Content-Length: 5")])[2].content_length == 5
    assert parse([ok(b"Content-Length: 5")], "HEAD")[2].content_length == 0
    assert parse([ok(CHUNKED)])[2].content_length is None
    assert parse([ok()])[2].content_length is None


def test_one_response_after_the_other_is_read_from_one_connection() -> None:
    parser = ResponseParser(LIMITS)
    assert parser.is_idle
    assert parser.next_event() is Pause.NEED_DATA
    for content in (b"a", b"bc"):
        parser.expect("GET")
        assert not parser.is_idle
        assert not parser.has_begun
        parser.receive(ok(b"Content-Length: %d" % len(content)) + content)
        assert parser.has_begun
        assert isinstance(parser.next_event(), ResponseHead)
        assert parser.has_begun
        assert parser.next_event() == Content(content)
        assert parser.next_event() == EndOfContent()
        assert parser.is_reusable
    parser.receive(b"")
    assert parser.next_event() is Pause.CLOSED
    assert not parser.is_reusable


DOUBTFUL = [
    pytest.param(
        [b"Content-Length: 5, 6"],
        'Content-Length is "5, 6", which gives different lengths',
        "RFC 9112 §6.3",
        id="different lengths",
    ),
    pytest.param(
        [b"Content-Length: 5", b"Content-Length: 6"],
        'Content-Length is "5, 6", which gives different lengths',
        "RFC 9112 §6.3",
        id="on two lines",
    ),
    pytest.param([b"Content-Length: -5"], 'Content-Length is "-5", not one decimal number', "RFC 9112 §6.3", id="sign"),
    pytest.param(
        [b"Content-Length: 5,"], 'Content-Length is "", not one decimal number', "RFC 9112 §6.3", id="an empty member"
    ),
    pytest.param([b"Content-Length: " + b"9" * 19], "Content-Length has 19 digits", "RFC 9110 §8.6", id="19 digits"),
    pytest.param(
        [CHUNKED, b"Content-Length: 5"],
        "there are both Transfer-Encoding and Content-Length",
        "RFC 9112 §6.3",
        id="framed twice",
    ),
    pytest.param(
        [b"Transfer-Encoding: gzip, chunked"],
        'Transfer-Encoding is "gzip, chunked"; only chunked is supported',
        "RFC 9112 §7.4",
        id="gzip",
    ),
    pytest.param(
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        'Transfer-Encoding is "chunked, chunked"; only chunked is supported',
        "RFC 9112 §7.4",
        id="chunked twice",
    ),
    pytest.param(
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: deflate"],
        'Transfer-Encoding is "chunked, deflate"; only chunked is supported',
        "RFC 9112 §7.4",
        id="chunked before another coding",
    ),
    pytest.param(
        [b"Transfer-Encoding: "],
        'Transfer-Encoding is ""; only chunked is supported',
        "RFC 9112 §7.4",
        id="no coding",
    ),
]


@each_row(("field_lines", "reason", "section"), DOUBTFUL)
def test_ambiguous_framing_of_a_response_is_an_error(field_lines: list[bytes], reason: str, section: str) -> None:
    assert both_ways(ok(*field_lines), ends=True).error == f"{reason} ({section})"


def test_a_transfer_coding_in_http_1_0_is_an_error() -> None:
    error = "there is Transfer-Encoding in an HTTP/1.0 response (RFC 9112 §6.1)"
    assert both_ways(ok(CHUNKED, version=b"1.0")).error == error


def test_broken_chunks_are_an_error() -> None:
    outcome = both_ways(ok(CHUNKED, content=b"1\r\n!!\r\n"))
    assert outcome.error == 'chunk data is followed by "!", not by CRLF (RFC 9112 §7.1)'
    assert not outcome.is_whole


# --- repeated singleton fields (RFC 9110 §5.3) ----------------------------------------------------------------------

SINGLETONS = (
    "Content-Location", "Content-Range", "Content-Type", "Date", "ETag", "Last-Modified", "Location", "Retry-After"
)  # fmt: skip


@each_row("name", SINGLETONS)
def test_a_singleton_field_with_two_different_values_is_an_error(name: str) -> None:
    """The parser never joins the two values (RFC 9110 §5.3, requirement R148)."""
    error = f'there are two different {name} field lines, "a" and "b" (RFC 9110 §5.3)'
    head = [f"{name}: a".encode(), b"Content-Length: 0"]
    assert both_ways(ok(*head, f"{name.upper()}: b".encode())).error == error
    assert both_ways(ok(*head, f"{name}:".encode())).error == error.replace('"b"', '""')
    # The rule holds for an interim response, too.
    assert both_ways(b"HTTP/1.1 103 Early\r\n" + head[0] + f"\r\n{name}: b\r\n\r\n".encode()).error == error


@each_row("name", [*SINGLETONS, "Age", "Expires", "Server"])
def test_a_singleton_field_with_equal_values_is_valid(name: str) -> None:
    """Equal values of a repeated field count as one (RFC 9110 §5.3, requirement R148)."""
    line = f"{name}: a, b".encode()
    _, (head,), _ = parse([ok(line, b"Content-Length: 0", line + b" \t")])
    assert head.field(name.lower().encode()) == b"a, b"


@each_row("name", [b"age", b"expires", b"server"])
def test_a_repeated_field_without_effect_has_its_first_value(name: bytes) -> None:
    """Caches use the first value, too (RFC 9111 §4.2.1, §5.1; requirement R148)."""
    _, (head,), _ = parse([ok(name + b": 1", name + b": 2", b"Content-Length: 0")])
    assert head.field(name) == b"1"


def test_the_lines_of_a_list_field_are_joined() -> None:
    _, (head,), _ = parse([ok(b"Vary: a", b"vary: b", b"Content-Length: 0")])
    assert head.field(b"vary") == b"a, b"


# --- truncated responses (RFC 9112 §8) ------------------------------------------------------------------------------


@each_row(
    ("octets", "reason"),
    [
        pytest.param(b"", "the connection ended before any byte of the response", id="no octets"),
        pytest.param(b"HTT", "the connection ended within the head of the response", id="within the first line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", "the connection ended within the head of the response", id="without end"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n", "the connection ended within the head of the response", id="interim"
        ),
        pytest.param(
            ok(b"Content-Length: 5", content=b"hell"),
            "the connection ended after 4 of 5 bytes of content",
            id="one octet is missing",
        ),
        pytest.param(
            ok(CHUNKED, content=b"5\r\nhello\r\n"),
            "the connection ended after 5 bytes of content, before the last chunk",
            id="the last chunk is missing",
        ),
        pytest.param(
            ok(CHUNKED, content=b"5\r\nhello\r\n0\r\n"),
            "the connection ended after 5 bytes of content, before the last chunk",
            id="the last empty line is missing",
        ),
    ],
)
def test_a_truncated_response_is_an_error(octets: bytes, reason: str) -> None:
    assert both_ways(octets, ends=True).error == f"{reason} (RFC 9112 §8)"
    with pytest.raises(IncompleteError):
        raise parse([octets])[2].incomplete("ended")


def test_the_error_quotes_a_short_text_of_another_protocol() -> None:
    assert "begins with" in both_ways(b"220 hi", ends=True).error


# --- limits, each at its value and one past it ----------------------------------------------------------------------


@each_row(
    ("within", "past", "error"),
    [
        pytest.param(
            ok(b"A: " + b"b" * 40),
            ok(b"A: " + b"b" * 41),
            "the head is longer than 64 bytes (RFC 9110 §5.4)",
            id="a head",
        ),
        pytest.param(
            ok(b"A: b"),
            b"HTTP/1.1 200 " + b"x" * 100,
            "the head is longer than 64 bytes (RFC 9110 §5.4)",
            id="a status line without end",
        ),
        pytest.param(
            ok(b"A:", b"B:", b"C:"),
            ok(b"A:", b"B:", b"C:", b"D:"),
            "there are more than 3 field lines (RFC 9110 §5.4)",
            id="field lines",
        ),
        pytest.param(
            b"HTTP/1.1 100\r\n\r\n" * 2,
            b"HTTP/1.1 100\r\n\r\n" * 3,
            "there are more than 2 interim responses (RFC 9110 §15.2)",
            id="interim responses",
        ),
        pytest.param(
            ok(b"Content-Length: 20"),
            ok(b"Content-Length: 21"),
            "the content is longer than 20 bytes (RFC 9110 §8.6)",
            id="a length",
        ),
        pytest.param(
            ok(CHUNKED, content=b"14\r\n"),
            ok(CHUNKED, content=b"15\r\n"),
            "the content is longer than 20 bytes (RFC 9110 §8.6)",
            id="chunks",
        ),
        pytest.param(
            ok(CHUNKED, content=b"0\r\nA: " + b"b" * 17 + b"\r\n\r\n"),
            ok(CHUNKED, content=b"0\r\nA: " + b"b" * 18 + b"\r\n\r\n"),
            "the trailer section is longer than 24 bytes (RFC 9112 §7.1.2)",
            id="trailers",
        ),
    ],
)
def test_the_limits_of_a_response_apply(within: bytes, past: bytes, error: str) -> None:
    assert both_ways(within, limits=SMALL).error == ""
    assert both_ways(past, limits=SMALL).error == error


def test_a_chunk_of_impossible_length_is_an_error() -> None:
    error = f"the content is longer than {10**18 - 1} bytes (RFC 9110 §8.6)"
    assert both_ways(ok(CHUNKED, content=b"f" * 16 + b"\r\n")).error == error


# --- compared with h11 ----------------------------------------------------------------------------------------------


def read_by_h11(octets: bytes, method: str = "GET", *, ends: bool = False) -> Outcome:
    """Parse *octets* with h11 as a client, and return the outcome."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMITS.head)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    outcome = Outcome([])
    try:
        connection.receive_data(octets)
        if ends:
            connection.receive_data(b"")
        while True:
            match connection.next_event():
                case h11.InformationalResponse() | h11.Response() as head:
                    outcome = outcome._replace(statuses=[*outcome.statuses, head.status_code])
                case h11.Data() as data:
                    outcome = outcome._replace(content=outcome.content + bytes(data.data))
                case h11.EndOfMessage():
                    return outcome._replace(is_whole=True)
                case _:
                    return outcome
    except h11.RemoteProtocolError as error:
        return outcome._replace(error=str(error))


# Cases that h11 accepts and httpsock refuses, each with the reason.
H11_ACCEPTS = {
    "bare LF after the status line": "RFC 9112 §2.2 leaves it open; one line must not have two meanings",
    "bare LF": "the same",
    "bare LF in a folded line": "the same",
    "HTTP/2.0": "RFC 9110 §2.5: another major version is another protocol",
    "an escape in a folded line": "RFC 9110 §5.5: it is invalid, and might end up on a terminal",
    "framed twice": "RFC 9112 §6.3: it ought to be handled as an error",
}


# Complete each malformed head: a parser that accepts it must find its end.
REFUSED = {str(row.id): row.values[0] + b"\r\n\r\n" for row in NOT_A_HEAD}  # type: ignore[operator]
REFUSED |= {str(row.id): ok(*row.values[0], content=b"0\r\n\r\n") for row in DOUBTFUL}  # type: ignore[misc]


@each_row("name", REFUSED)
def test_h11_refuses_the_same_responses_except_those_in_the_table(name: str) -> None:
    assert both_ways(REFUSED[name], ends=True).error
    assert read_by_h11(REFUSED[name], ends=True).is_whole is (name in H11_ACCEPTS)


def test_h11_reads_every_accepted_response_alike() -> None:
    for octets, method, ends in (
        (ok(b"Content-Length: 5, 5", content=b"hello"), "GET", False),
        (ok(b"A: b", b" c", CHUNKED, content=b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"), "GET", False),
        (ok(b"Content-Length: 5"), "HEAD", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", False),
        (b"HTTP/1.1 100\r\n\r\n" + ok(b"Content-Length: 2", content=b"ab"), "GET", False),
        (ok(content=b"to the end"), "GET", True),
        (ok(content=b"to the end", version=b"1.0"), "GET", True),
    ):
        ours = both_ways(octets, method, ends=ends)
        assert ours._replace(is_reusable=False) == read_by_h11(octets, method, ends=ends)
        assert ours.is_whole


token = st.text("abcXYZ-", min_size=1, max_size=8).map(str.encode)
value = st.binary(max_size=12).map(lambda octets: bytes(octet for octet in octets if octet >= 0x20 and octet != 0x7F))
fields = st.lists(st.tuples(token, value), max_size=4)
pieces_of_content = st.lists(st.binary(min_size=1, max_size=40), max_size=4)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, str, bytes]:
    """Draw a valid response. Return the response, the method of its request, and its content."""
    method = draw(st.sampled_from(["GET", "GET", "HEAD", "POST"]))
    status = draw(st.sampled_from([200, 200, 206, 204, 304, 404, 500]))
    framing = draw(st.sampled_from(["length", "chunks"]))
    pieces = draw(pieces_of_content)
    content = b"".join(pieces)
    lines = [b"HTTP/1.1 %d %b" % (status, draw(token))]
    lines += [b"X-%b:%b" % field for field in draw(fields)]
    lines.append(b"Content-Length: %d" % len(content) if framing == "length" else CHUNKED)
    head = b"\r\n".join([*lines, b"", b""])
    interim = b"HTTP/1.1 103 x\r\nLink: y\r\n\r\n" * draw(st.integers(0, 2))
    if method == "HEAD" or status in (204, 304):
        return interim + head, method, b""
    if framing == "length":
        return interim + head + content, method, content
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    trailers = b"".join(b"T-%b: %b\r\n" % field for field in draw(fields))
    return interim + head + chunks + b"0\r\n" + trailers + b"\r\n", method, content


def cut(octets: bytes, positions: Iterable[int]) -> list[bytes]:
    """Cut *octets* at *positions* and return the pieces. Positions may repeat or lie past the end."""
    bounds = [0, *sorted({position % (len(octets) + 1) for position in positions}), len(octets)]
    return [octets[start:stop] for start, stop in itertools.pairwise(bounds) if start < stop]


@bounded
@given(responses(), st.lists(st.integers(0, 10_000), max_size=6))
def test_a_response_is_read_as_by_h11_at_any_cut(response: tuple[bytes, str, bytes], cuts: list[int]) -> None:
    octets, method, content = response
    ours = parse(cut(octets, cuts), method)[0]
    assert ours.is_whole
    assert ours.content == content
    assert ours._replace(is_reusable=False) == read_by_h11(octets, method)


@bounded
@given(responses(), st.integers(0, 10_000))
def test_a_truncated_response_is_never_whole(response: tuple[bytes, str, bytes], length: int) -> None:
    octets, method, _ = response
    ours = parse([octets[: length % len(octets)]], method, ends=True)[0]
    assert ours.error.endswith(")")
    assert not ours.is_whole


@bounded
@given(
    responses(), st.integers(0, 10_000), st.binary(min_size=1, max_size=3), st.lists(st.integers(0, 10_000), max_size=4)
)
def test_an_altered_response_is_refused_or_read_as_by_h11(
    response: tuple[bytes, str, bytes], position: int, octets: bytes, cuts: list[int]
) -> None:
    whole, method, _ = response
    at = position % len(whole)
    altered = whole[:at] + octets + whole[at + len(octets) :]
    ours = parse(cut(altered, cuts), method, ends=True)[0]
    assert ours.error == parse([altered], method, ends=True)[0].error
    theirs = read_by_h11(altered, method, ends=True)
    if ours.is_whole and theirs.is_whole and ours.statuses == theirs.statuses:
        assert ours.content == theirs.content


@bounded
@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", ok(CHUNKED)]))
def test_any_octets_are_a_response_or_an_error(octets: bytes, before: bytes) -> None:
    outcome = parse([before + octets], ends=True)[0]
    assert outcome.is_whole or outcome.error
