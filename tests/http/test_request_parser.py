"""The parser: octets in, events out; every exchange whole, octet by octet, and in two pieces cut wherever."""

import itertools
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.http import grammar, request_parser
from httpsock.http.framing import ContentLimits
from httpsock.http.grammar import SINGLETONS
from httpsock.http.messages import Refusal, Request, RequestError, Status, Target, TargetForm
from httpsock.http.request_parser import (
    MEANINGFUL_FIELDS,
    Content,
    EndOfContent,
    Event,
    Limits,
    Pause,
    RequestParser,
    _line_faults,
    parse_head,
)
from tests.support.rows import each_row

bounded = settings(derandomize=True, deadline=None, max_examples=200)
LIMITS = Limits()
SMALL = Limits(
    request_line=40,
    head=100,
    field_lines=3,
    empty_lines=2,
    content=ContentLimits(content=20, chunk_line=16, chunk_extensions=24, trailers=24),
)
ONE_MIB = 1024 * 1024

Outcome = list[Event | Refusal]


# --- How octets are given to a parser -------------------------------------------------------------


def whole(octets: bytes) -> Iterator[list[bytes]]:
    yield [octets] if octets else []


def octet_by_octet(octets: bytes) -> Iterator[list[bytes]]:
    yield [octets[position : position + 1] for position in range(len(octets))]


def in_two(octets: bytes) -> Iterator[list[bytes]]:
    for position in range(0, len(octets) or 1, 1 + len(octets) // 200):
        yield [piece for piece in (octets[:position], octets[position:]) if piece]


Cut = Callable[[bytes], Iterator[list[bytes]]]
however_cut = each_row(
    "cut",
    [
        pytest.param(whole, id="whole"),
        pytest.param(octet_by_octet, id="octet by octet"),
        pytest.param(in_two, id="in two, wherever"),
    ],
)


def outcome_of_pieces(pieces: Iterable[bytes], limits: Limits = LIMITS) -> Outcome:
    """The events of a parser for *pieces*: all its events, content that comes in parts as one, and the last pause.

    A refusal is the last there is. How much of the content before it was given depends on the cut: it is left out.
    """
    request_parser = RequestParser(limits)
    outcome: Outcome = []
    last: Event = Pause.NEED_DATA
    for piece in pieces:
        request_parser.receive(piece)
        try:
            while not isinstance(last := request_parser.next_event(), Pause):
                if isinstance(last, Content) and isinstance(before := outcome[-1], Content):
                    outcome[-1] = Content(before.octets + last.octets)
                else:
                    outcome.append(last)
        except RequestError as error:
            complete = outcome[:-1] if outcome and isinstance(outcome[-1], Content) else outcome
            return [*complete, error.refusal]
    return [*outcome, last]


def outcome_of(cut: Cut, octets: bytes, limits: Limits = LIMITS, *, ends: bool = False) -> Outcome:
    """The events of a parser for *octets* cut by *cut*, the same at every cut; the peer then *ends* its side or not."""
    outcomes = [outcome_of_pieces([*pieces, b""] if ends else pieces, limits) for pieces in cut(octets)]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    return outcomes[0]


def request_of(cut: Cut, octets: bytes, limits: Limits = LIMITS) -> Request:
    """The one request that *octets* are, to the last one."""
    request, *rest = outcome_of(cut, octets, limits)
    assert isinstance(request, Request)
    assert rest == [Pause.NEED_DATA]
    return request


def refusal_of(cut: Cut, octets: bytes, limits: Limits = LIMITS) -> Refusal:
    """Why *octets* are no request at all."""
    (refusal,) = outcome_of(cut, octets, limits)
    assert isinstance(refusal, Refusal)
    return refusal


def get(*field_lines: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """A GET with a Host and *field_lines*."""
    return b"\r\n".join([b"GET / " + version, b"Host: a", *field_lines, b"", b""])


ROOT = Target(TargetForm.ORIGIN, b"/", None, is_encoded=True)
HOST = ((b"host", b"a"),)
PLAIN = Request(get(), b"GET / HTTP/1.1", "GET", ROOT, 1, dict(HOST), 0, is_persistent=True)


# --- A request ------------------------------------------------------------------------------------


@however_cut
def test_a_request_is_understood_however_it_is_cut(cut: Cut) -> None:
    """R001: RFC 9112 §2.2."""
    octets = b"GET /a%20b?c=d HTTP/1.1\r\nHost: localhost:8000\r\nAccept:  text/html\t\r\nACCEPT:image/png\r\n\r\n"
    request = request_of(cut, octets)
    assert request.field_lines == (
        (b"host", b"localhost:8000"),
        (b"accept", b"text/html"),
        (b"accept", b"image/png"),
    )
    assert request == Request(
        head=octets,
        request_line=b"GET /a%20b?c=d HTTP/1.1",
        method="GET",
        target=Target(TargetForm.ORIGIN, b"/a%20b", b"c=d", is_encoded=True),
        minor_version=1,
        fields={b"host": b"localhost:8000", b"accept": b"text/html, image/png"},
        content_length=0,
        is_persistent=True,
    )


@however_cut
def test_an_incomplete_head_is_not_answered(cut: Cut) -> None:
    """R047: RFC 9112 §2.2."""
    octets = get(b"Accept: b")
    for stop in range(1, len(octets)):
        assert outcome_of(cut, octets[:stop]) == [Pause.NEED_DATA]


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b"", [Pause.CLOSED], id="R093: nothing at all"),
        pytest.param(b"\r\n", [Pause.CLOSED], id="R004: an empty line"),
        pytest.param(get(), [PLAIN, Pause.CLOSED], id="R092: a request"),
        pytest.param(get() + b"\r\n", [PLAIN, Pause.CLOSED], id="R004: a request and an empty line"),
    ],
)
@however_cut
def test_a_peer_may_end_its_side_between_requests(cut: Cut, octets: bytes, expected: Outcome) -> None:
    assert outcome_of(cut, octets, ends=True) == expected


@however_cut
def test_a_peer_that_ends_its_side_within_a_head_is_refused(cut: Cut) -> None:
    octets = get()
    expected = Refusal(Status.BAD_REQUEST, "the connection ended before the head was complete", "RFC 9112 §8")
    for stop in range(1, len(octets)):
        assert outcome_of(cut, octets[:stop], ends=True) == [expected]


@however_cut
def test_requests_are_given_in_their_order(cut: Cut) -> None:
    """R089, R090: RFC 9112 §9.3.2."""
    post_line = b"POST / HTTP/1.1"
    post_head = post_line + b"\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    fields = {b"host": b"a", b"content-length": b"3"}
    post = Request(post_head, post_line, "POST", ROOT, 1, fields, 3, is_persistent=True)
    assert outcome_of(cut, get() + post_head + b"abc" + b"\r\n" + get(b"b: c") + b"GE") == [
        PLAIN,
        post,
        Content(b"abc"),
        EndOfContent(),
        PLAIN._replace(head=get(b"b: c")),
        Pause.NEED_DATA,
    ]


def test_unparsed_input_can_be_read() -> None:
    request_parser = RequestParser(LIMITS)
    request_parser.receive(get() + b"GET /b")
    assert request_parser.next_event() == PLAIN
    assert request_parser.unread == b"GET /b"
    assert request_parser.next_event() is Pause.NEED_DATA
    assert request_parser.unread == b"GET /b"


def test_a_head_is_the_same_kept_or_not() -> None:
    """R046: a head of usual length is parsed once and kept, a longer one each time."""
    for field_line in (b"b: c", b"b: " + b"c" * 3000, b"b: " + b"c" * 10000):
        head = get(field_line)
        assert outcome_of_pieces([head, head]) == [parse_head(head, 100)] * 2 + [Pause.NEED_DATA]


# --- Empty lines before a request -----------------------------------------------------------------


@however_cut
@each_row("count", [1, 2])
def test_empty_lines_before_a_request_are_ignored(cut: Cut, count: int) -> None:
    """R004: RFC 9112 §2.2; the count starts anew with each request."""
    octets = (b"\r\n" * count + get()) * 3
    assert outcome_of(cut, octets, SMALL) == [PLAIN, PLAIN, PLAIN, Pause.NEED_DATA]


@however_cut
def test_one_empty_line_too_many_is_refused(cut: Cut) -> None:
    """R004: RFC 9112 §2.2."""
    for limits, maximum in ((SMALL, 2), (LIMITS, 4)):
        refusal = refusal_of(cut, b"\r\n" * (maximum + 1) + get(), limits)
        reason = f"more than {maximum} empty lines before the request line"
        assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §2.2")


# --- Request lines --------------------------------------------------------------------------------


@however_cut
@each_row("method", [b"GET", b"get", b"BREW", b"M-SEARCH", b"!#$%&'*+-.^_`|~09"])
def test_any_token_is_a_method(cut: Cut, method: bytes) -> None:
    """R019, R098: whether it is known is for others to say."""
    assert request_of(cut, method + b" / HTTP/1.1\r\nHost: a\r\n\r\n").method == method.decode()


@however_cut
@each_row(
    ("version", "minor_version"),
    [
        pytest.param(b"HTTP/1.0", 0, id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1", 1, id="HTTP/1.1"),
        pytest.param(b"HTTP/1.2", 1, id="R011: a higher minor version is taken for 1.1"),
        pytest.param(b"HTTP/1.9", 1, id="R011: the highest is taken for 1.1"),
    ],
)
def test_a_version_is_understood(cut: Cut, version: bytes, minor_version: int) -> None:
    assert request_of(cut, get(version=version)).minor_version == minor_version


@however_cut
@each_row("version", ["0.9", "0.0", "2.0", "3.0", "9.9"])
@each_row("field_lines", [(), (b"no field line",)])
def test_another_major_version_is_not_spoken(cut: Cut, version: str, field_lines: tuple[bytes, ...]) -> None:
    """R013: RFC 9110 §15.6.6."""
    reason = f"HTTP/{version} is not supported; use HTTP/1.1"
    expected = Refusal(Status.VERSION_NOT_SUPPORTED, reason, "RFC 9110 §15.6.6")
    assert refusal_of(cut, get(*field_lines, version=f"HTTP/{version}".encode())) == expected


@however_cut
def test_the_preface_of_http_2_is_another_version(cut: Cut) -> None:
    """R096: RFC 9113 §3.4."""
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
            id="R017: a method alone",
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
def test_a_request_line_without_its_grammar_is_refused(cut: Cut, line: bytes, reason: str) -> None:
    """RFC 9112 §3; a method is judged before the rest of its line has come (§3.1)."""
    section = "RFC 9112 §3.1" if "position" in reason else "RFC 9112 §3"
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
def test_an_impossible_method_is_refused_before_the_line_is_complete(cut: Cut, start: bytes, reason: str) -> None:
    """R006: the sender of another protocol need not wait for an answer; it is the same one if all comes at once."""
    expected = Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §3.1")
    for octets in (start, start + b" / HTTP/1.1", start + b" / HTTP/1.1\r\nHost: a\r\n\r\n"):
        for limits in (LIMITS, SMALL):
            assert refusal_of(cut, octets, limits) == expected


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
def test_a_field_line_is_taken_apart(cut: Cut, line: bytes, name: bytes, value: bytes) -> None:
    request = request_of(cut, get(line))
    assert request.field_lines == (*HOST, (name, value))
    assert request.fields == {b"host": b"a"}
    assert request.content_length == 0


@each_row("name", MEANINGFUL_FIELDS[4:])
@each_row("spelling", [bytes.lower, bytes.title, bytes.upper])
def test_the_fields_that_mean_something_are_at_hand(name: bytes, spelling: Callable[[bytes], bytes]) -> None:
    """R041, R043: however they are spelled, and wherever they stand."""
    second, joined = (b"c d", b"c d") if name in SINGLETONS else (b"g", b"c d, g")
    head = get(b"A: b", spelling(name) + b": \tc d \t", b"X-" + name + b": e", name + b"-x: f", name + b":" + second)
    assert parse_head(head, 100).fields == {b"host": b"a", name: joined}


def test_no_field_is_looked_for_that_is_not_at_hand() -> None:
    """Every name of a field in the source is one that the parser gives."""
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
            b" ", "starts with whitespace: folded lines are obsolete", "RFC 9112 §5.2", id="R037: nothing but a space"
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
def test_a_field_line_without_its_grammar_is_refused(cut: Cut, line: bytes, reason: str, section: str) -> None:
    expected = Refusal(Status.BAD_REQUEST, f"field line 2 {reason}", section)
    for limits in (LIMITS, SMALL):
        assert refusal_of(cut, get(line, b"E: f"), limits) == expected


@however_cut
@each_row("line", [b" Host: a", b"\tHost: a", b" ", b" b"])
def test_whitespace_before_the_first_field_line_is_refused(cut: Cut, line: bytes) -> None:
    """R005: RFC 9112 §2.2."""
    reason = "there is whitespace between the request line and the first field line"
    refusal = refusal_of(cut, b"GET / HTTP/1.1\r\n" + line + b"\r\nHost: a\r\n\r\n")
    assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §2.2")


@however_cut
def test_a_fault_is_named_before_the_head_is_complete(cut: Cut) -> None:
    """R007: the rest of a head that is broken already is not waited for."""
    refusal = refusal_of(cut, b"GET / HTTP/1.1\r\nHost: a\r\nAccept : b\r\nC: d")
    assert refusal == Refusal(Status.BAD_REQUEST, "field line 2 has a space before its colon", "RFC 9112 §5.1")


@however_cut
def test_the_first_of_several_faults_is_named(cut: Cut) -> None:
    refusal = refusal_of(cut, get(b"B: c", b"D", b"E : f", version=b"HTTP/1.2"))
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
            get(b"Host: a"),
            Refusal(Status.BAD_REQUEST, "there is more than one Host field line", "RFC 9112 §3.2"),
            id="R030: two Hosts",
        ),
        pytest.param(
            get(b"HOST: b", version=b"HTTP/1.0"),
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
            get(b"Content-Length: 5", b"Content-Length: 5"),
            Refusal(Status.BAD_REQUEST, "there is more than one Content-Length field line", "RFC 9112 §6.3"),
            id="R050: two equal lengths",
        ),
        pytest.param(
            get(b"Content-Length: 5", b"content-length: 6"),
            Refusal(Status.BAD_REQUEST, "there is more than one Content-Length field line", "RFC 9112 §6.3"),
            id="R049: two different lengths",
        ),
        pytest.param(
            get(b"Content-Length: 5, 5"),
            Refusal(Status.BAD_REQUEST, 'Content-Length is "5, 5", not one decimal number', "RFC 9112 §6.3"),
            id="R050: a list of lengths",
        ),
        pytest.param(
            get(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
            Refusal(Status.BAD_REQUEST, "both Transfer-Encoding and Content-Length", "RFC 9112 §6.1"),
            id="R059: framed twice",
        ),
        pytest.param(
            get(b"Transfer-Encoding: chunked", version=b"HTTP/1.0"),
            Refusal(Status.BAD_REQUEST, "Transfer-Encoding in an HTTP/1.0 request", "RFC 9112 §6.1"),
            id="R060: a coding in HTTP/1.0",
        ),
        pytest.param(
            get(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
            Refusal(Status.BAD_REQUEST, 'Transfer-Encoding "chunked, chunked" applies chunked twice', "RFC 9112 §6.1"),
            id="R061: chunked on two lines",
        ),
        pytest.param(
            get(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
            Refusal(
                Status.NOT_IMPLEMENTED,
                'Transfer-Encoding "gzip, chunked" has a coding that is not implemented',
                "RFC 9112 §6.1",
            ),
            id="R058: an unknown coding on a line of its own",
        ),
    ],
)
def test_a_head_that_leaves_a_doubt_is_refused(cut: Cut, octets: bytes, expected: Refusal) -> None:
    assert refusal_of(cut, octets) == expected


@however_cut
def test_an_absolute_form_stands_for_the_host(cut: Cut) -> None:
    """R022: RFC 9112 §3.2.2."""
    request = request_of(cut, b"GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n")
    assert request.target == Target(TargetForm.ABSOLUTE, b"/c", None, is_encoded=True)


@however_cut
def test_http_1_0_needs_no_host(cut: Cut) -> None:
    """R034: RFC 9112 §3.2."""
    assert request_of(cut, b"GET / HTTP/1.0\r\n\r\n").fields == {}


# --- Persistence ----------------------------------------------------------------------------------


@however_cut
@each_row(
    ("octets", "expected"),
    [
        pytest.param(get(), True, id="R082: HTTP/1.1 persists"),
        pytest.param(get(b"Connection: close"), False, id="R084: unless close is asked for"),
        pytest.param(get(b"Connection: Close"), False, id="R084: in any case"),
        pytest.param(get(b"Connection: keep-alive, ,close"), False, id="R084: anywhere in a list"),
        pytest.param(get(b"Connection: te", b"Connection: close"), False, id="R084: on any line"),
        pytest.param(get(b"Connection: closed"), True, id="R084: by that very word"),
        pytest.param(get(b"Connection: upgrade"), True, id="R082: another option does not matter"),
        pytest.param(get(b"Connection:"), True, id="R082: nor does an empty one"),
        pytest.param(get(version=b"HTTP/1.5"), True, id="R082: a higher minor version persists like 1.1"),
        pytest.param(get(version=b"HTTP/1.0"), False, id="R087: HTTP/1.0 does not persist"),
        pytest.param(get(b"Connection: x", version=b"HTTP/1.0"), False, id="R087: nor for another option"),
        pytest.param(get(b"Connection: Keep-Alive", version=b"HTTP/1.0"), True, id="R087: but for keep-alive"),
        pytest.param(
            get(b"Connection: keep-alive, close", version=b"HTTP/1.0"),
            False,
            id="R084: close is stronger than keep-alive",
        ),
        pytest.param(
            b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
            True,
            id="R082: CONNECT asks for no close; that no tunnel follows is for the connection to see",
        ),
    ],
)
def test_a_connection_persists_or_not(cut: Cut, octets: bytes, expected: bool) -> None:
    assert request_of(cut, octets).is_persistent is expected


# --- Content --------------------------------------------------------------------------------------


def post(framing: bytes, content: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + content


@however_cut
@each_row(
    ("octets", "content_length", "events"),
    [
        pytest.param(post(b"Content-Length: 0", b""), 0, [], id="R052: none"),
        pytest.param(
            post(b"Content-Length: 3", b"abc"), 3, [Content(b"abc"), EndOfContent()], id="R052: as many octets as said"
        ),
        pytest.param(
            post(b"Content-Length: 003", b"\r\n\r"), 3, [Content(b"\r\n\r"), EndOfContent()], id="R051: leading zeros"
        ),
        pytest.param(
            post(b"Transfer-Encoding: chunked", b"2\r\nab\r\n1;x\r\nc\r\n0\r\nHost: b\r\n\r\n"),
            None,
            [Content(b"abc"), EndOfContent()],
            id="R073: chunks, with a trailer that is not merged",
        ),
        pytest.param(
            post(b"Transfer-Encoding: CHUNKED", b"0\r\n\r\n"), None, [EndOfContent()], id="R065: chunks without content"
        ),
    ],
)
def test_content_is_told_from_the_next_request(
    cut: Cut, octets: bytes, content_length: int | None, events: Outcome
) -> None:
    request, *rest = outcome_of(cut, octets + get())
    assert isinstance(request, Request)
    assert request.content_length == content_length
    assert (request.content_length != 0) is bool(events)
    assert request.fields[b"host"] == b"a"
    assert rest == [*events, PLAIN, Pause.NEED_DATA]


@however_cut
@each_row(
    "octets",
    [
        pytest.param(post(b"Content-Length: 3", b"ab"), id="R053: by its length"),
        pytest.param(post(b"Content-Length: 3", b""), id="R053: by its length, before it started"),
        pytest.param(post(b"Transfer-Encoding: chunked", b"2\r\nab"), id="R053: after a chunk's data"),
        pytest.param(post(b"Transfer-Encoding: chunked", b"2\r\nab\r\n0\r\n"), id="R053: before the last empty line"),
        pytest.param(post(b"Transfer-Encoding: chunked", b""), id="R053: before the first chunk"),
    ],
)
def test_content_that_is_cut_short_is_refused(cut: Cut, octets: bytes) -> None:
    waiting = outcome_of(cut, octets)
    assert waiting[-1] is Pause.NEED_DATA
    reason = "the connection ended before the content was complete"
    assert outcome_of(cut, octets, ends=True)[-1] == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §8")


@however_cut
def test_content_that_breaks_its_framing_is_refused(cut: Cut) -> None:
    """R066, R068: RFC 9112 §7.1."""
    *_, refusal = outcome_of(cut, post(b"Transfer-Encoding: chunked", b"2\r\nab\r\nx\r\n") + get())
    reason = r'chunk line "x\x0d\x0a" is not a hexadecimal size, extensions and CRLF'
    assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §7.1")


# --- Limits, each at its value and one past it ----------------------------------------------------


def request_line(length: int) -> bytes:
    return b"GET /" + b"a" * (length - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"


def head(length: int, first: bytes = b"GET / HTTP/1.1") -> bytes:
    start = first + b"\r\nHost: a\r\nB: "
    return start + b"c" * (length - len(start) - 4) + b"\r\n\r\n"


@however_cut
@each_row(
    ("octets", "limits"),
    [
        pytest.param(request_line(40) + b"\r\nHost: a\r\n\r\n", SMALL, id="R016: a request line"),
        pytest.param(request_line(8000) + b"\r\nHost: a\r\n\r\n", LIMITS, id="R016: a request line of 8000 octets"),
        pytest.param(request_line(8192) + b"\r\nHost: a\r\n\r\n", LIMITS, id="R016: a request line of 8192 octets"),
        pytest.param(b"A" * 29 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", SMALL, id="R014: a method"),
        pytest.param(head(39), SMALL, id="R046: a head just shorter than a request line may be"),
        pytest.param(head(40), SMALL, id="R046: a head as long as a request line may be"),
        pytest.param(head(41), SMALL, id="R046: a head just longer than a request line may be"),
        pytest.param(head(100), SMALL, id="R046: a head"),
        pytest.param(head(32768), LIMITS, id="R046: a head of 32 KiB"),
        pytest.param(get(b"B: 1", b"C: 2"), SMALL, id="R046: field lines"),
        pytest.param(get(*[b"B:"] * 99), LIMITS, id="R046: a hundred field lines"),
    ],
)
def test_input_just_within_a_limit_passes(cut: Cut, octets: bytes, limits: Limits) -> None:
    assert request_of(cut, octets, limits) == parse_head(octets, 100)


@however_cut
@each_row(
    ("octets", "limits", "expected"),
    [
        pytest.param(
            request_line(41) + b"\r\nHost: a\r\n\r\n",
            SMALL,
            Refusal(Status.URI_TOO_LONG, "the request line is longer than 40 bytes", "RFC 9110 §15.5.15"),
            id="R015: a request line",
        ),
        pytest.param(
            request_line(8193) + b"\r\nHost: a\r\n\r\n",
            LIMITS,
            Refusal(Status.URI_TOO_LONG, "the request line is longer than 8192 bytes", "RFC 9110 §15.5.15"),
            id="R015: a request line of 8193 octets",
        ),
        pytest.param(
            request_line(100)[:42],
            SMALL,
            Refusal(Status.URI_TOO_LONG, "the request line is longer than 40 bytes", "RFC 9110 §15.5.15"),
            id="R015: a request line without end",
        ),
        pytest.param(
            b"A" * 42,
            SMALL,
            Refusal(Status.NOT_IMPLEMENTED, "the method is longer than 40 bytes", "RFC 9112 §3"),
            id="R014: a method without end",
        ),
        pytest.param(
            b"A" * 42 + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
            SMALL,
            Refusal(Status.NOT_IMPLEMENTED, "the method is longer than 40 bytes", "RFC 9112 §3"),
            id="R014: a method",
        ),
        pytest.param(
            b"A" * 8194 + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
            LIMITS,
            Refusal(Status.NOT_IMPLEMENTED, "the method is longer than 8192 bytes", "RFC 9112 §3"),
            id="R014: a method of 8194 octets",
        ),
        pytest.param(
            head(101),
            SMALL,
            Refusal(Status.FIELDS_TOO_LARGE, "the head is longer than 100 bytes", "RFC 6585 §5"),
            id="R044: a head",
        ),
        pytest.param(
            head(32769),
            LIMITS,
            Refusal(Status.FIELDS_TOO_LARGE, "the head is longer than 32768 bytes", "RFC 6585 §5"),
            id="R044: a head of 32 KiB and one octet",
        ),
        pytest.param(
            get(b"B: " + b"c" * 100)[:101],
            SMALL,
            Refusal(Status.FIELDS_TOO_LARGE, "the head is longer than 100 bytes", "RFC 6585 §5"),
            id="R045: a field line without end",
        ),
        pytest.param(
            get(b"B: 1", b"C: 2", b"D: 3"),
            SMALL,
            Refusal(Status.FIELDS_TOO_LARGE, "there are more than 3 field lines", "RFC 6585 §5"),
            id="R044: field lines",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nH:a\r\nB:\r\nC:\r\nD:\r\n\r\n",
            Limits(field_lines=3),
            Refusal(Status.FIELDS_TOO_LARGE, "there are more than 3 field lines", "RFC 6585 §5"),
            id="R044: field lines of a short head",
        ),
        pytest.param(
            get(b"B: 1", b"C: 2", b"no field line"),
            SMALL,
            Refusal(Status.FIELDS_TOO_LARGE, "there are more than 3 field lines", "RFC 6585 §5"),
            id="R044: field lines, the last one being none",
        ),
        pytest.param(
            get(*[b"B:"] * 100),
            LIMITS,
            Refusal(Status.FIELDS_TOO_LARGE, "there are more than 100 field lines", "RFC 6585 §5"),
            id="R044: a hundred and one field lines",
        ),
    ],
)
def test_input_one_byte_past_a_limit_is_refused(cut: Cut, octets: bytes, limits: Limits, expected: Refusal) -> None:
    assert refusal_of(cut, octets, limits) == expected


@however_cut
def test_a_fault_within_a_head_that_is_too_long_is_named(cut: Cut) -> None:
    """R043: the fault comes first, the end of input after it."""
    refusal = refusal_of(cut, get(b"B : c", b"D: " + b"e" * 100), SMALL)
    assert refusal == Refusal(Status.BAD_REQUEST, "field line 2 has a space before its colon", "RFC 9112 §5.1")


# --- Properties -----------------------------------------------------------------------------------

_fragment = st.one_of(
    st.sampled_from(
        [b"GET", b"POST", b" ", b"/", b"*", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http://a", b":", b"%"]
    ),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\t", b"\0", b"\x7f", b"\xff", b'"', b"\x16", b"@"]),
    st.sampled_from(
        [b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"Host: a\r\n", b"B: c\r\n"]
    ),
    st.sampled_from([b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b" d\r\n"]),
    st.sampled_from([b"0\r\n\r\n", b"2\r\nab\r\n", b"2;e=f\r\nab\r\n", get(), post(b"Content-Length: 2", b"ab")]),
    st.binary(max_size=3),
)
_octets = st.lists(_fragment, max_size=12).map(b"".join)


@st.composite
def damaged_requests(draw: st.DrawFn) -> bytes:
    """Two requests and some content, with a few octets left out, put in or replaced."""
    content = draw(
        st.sampled_from(
            [post(b"Content-Length: 2", b"ab"), post(b"Transfer-Encoding: chunked", b"1;a\r\nb\r\n0\r\nC: d\r\n\r\n")]
        )
    )
    octets = draw(st.sampled_from([b"", b"\r\n"])) + content + get(b"Accept: text/html")
    for _ in range(draw(st.integers(0, 2))):
        position = draw(st.integers(0, len(octets) - 1))
        octets = octets[:position] + draw(_fragment) + octets[position + draw(st.integers(0, 3)) :]
    return octets


_traffic = _octets | damaged_requests()
_positions = st.lists(st.integers(0, 1000), max_size=8)
_limits = st.sampled_from([LIMITS, SMALL, Limits(field_lines=1), Limits(request_line=16, head=60)])


def cut_at(octets: bytes, positions: list[int]) -> list[bytes]:
    """The pieces of *octets* between *positions*, none of them empty."""
    borders = sorted({0, len(octets), *(position % (len(octets) + 1) for position in positions)})
    return [octets[start:stop] for start, stop in itertools.pairwise(borders)]


@bounded
@given(st.binary(max_size=200) | _traffic, _positions, _limits)
def test_any_octets_are_taken_or_refused_for_a_reason(octets: bytes, positions: list[int], limits: Limits) -> None:
    """R006, R116: nothing but RequestError is ever raised."""
    last = outcome_of_pieces([*cut_at(octets, positions), b""], limits)[-1]
    assert last is Pause.CLOSED or (isinstance(last, Refusal) and last.reason and last.section.startswith("RFC "))


@settings(bounded, max_examples=200)
@given(_traffic, _positions, _limits, st.booleans())
def test_the_meaning_of_octets_does_not_depend_on_how_they_are_cut(
    octets: bytes, positions: list[int], limits: Limits, ends: bool
) -> None:
    """R001: RFC 9112 §2.2."""
    end = [b""] if ends or not octets else []
    at_once = outcome_of_pieces([octets, *end] if octets else end, limits)
    assert outcome_of_pieces([*cut_at(octets, positions), *end], limits) == at_once
    for pieces in octet_by_octet(octets):
        assert outcome_of_pieces([*pieces, *end], limits) == at_once


@settings(bounded, max_examples=200)
@given(_traffic)
def test_a_head_is_passed_by_its_pattern_or_has_a_fault_with_a_name(octets: bytes) -> None:
    """The walk over the lines explains every head that the one pattern refuses; the walk passes all that it passes."""
    while octets.startswith(b"\r\n"):
        octets = octets[2:]
    complete = (octets + b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if complete.startswith(b"\r\n"):
        return
    fault = next(_line_faults(complete, 0, 100), None)
    passed = grammar.head.fullmatch(complete)
    assert (fault is None) is (passed is not None and passed[3] == b"1")
    if passed is None:
        assert fault is not None
        with pytest.raises(RequestError) as caught:
            parse_head(complete, 100)
        assert caught.value.refusal == fault.refusal


@bounded
@given(
    st.lists(
        st.tuples(st.text("aZ9-_~", min_size=1, max_size=6).map(lambda n: b"X" + n.encode()), st.binary(max_size=12)),
        max_size=6,
    )
)
def test_field_lines_are_given_as_they_were_sent(sent: list[tuple[bytes, bytes]]) -> None:
    """R035, R040: names in lower case, values as they are but for the whitespace round them."""
    allowed = [(name, bytes(o for o in value if o >= 0x20 and o != 0x7F)) for name, value in sent]
    request = parse_head(get(*(name + b":" + value for name, value in allowed)), 100)
    assert request.field_lines == (*HOST, *((name.lower(), value.strip(b" ")) for name, value in allowed))
    assert request.fields == dict(HOST)


@each_row(
    ("octets", "status"),
    [
        pytest.param(b"A" * ONE_MIB, Status.NOT_IMPLEMENTED, id="R014: a method"),
        pytest.param(b"GET /" + b"a" * ONE_MIB, Status.URI_TOO_LONG, id="R015: a target"),
        pytest.param(b"\r\n" * (ONE_MIB // 2), Status.BAD_REQUEST, id="R004: empty lines"),
        pytest.param(b"\n" * ONE_MIB, Status.BAD_REQUEST, id="R003: bare LFs"),
        pytest.param(b"\r" * ONE_MIB, Status.BAD_REQUEST, id="R002: bare CRs"),
        pytest.param(b"\0" * ONE_MIB, Status.BAD_REQUEST, id="R006: NULs"),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"A:" * (ONE_MIB // 2), Status.FIELDS_TOO_LARGE, id="R045: one field line"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"A:\r\n" * (ONE_MIB // 4), Status.FIELDS_TOO_LARGE, id="R045: field lines"
        ),
        pytest.param(b"GET / HTTP/1.1\r\n" + b" \r\n" * (ONE_MIB // 3), Status.BAD_REQUEST, id="R037: folded lines"),
    ],
)
def test_a_mebibyte_of_hostile_octets_is_refused(octets: bytes, status: Status) -> None:
    for pieces in ([octets], cut_at(octets, list(range(0, ONE_MIB, 4096)))):
        (refusal,) = outcome_of_pieces(pieces)
        assert isinstance(refusal, Refusal)
        assert refusal.status is status


def test_a_mebibyte_of_requests_is_understood() -> None:
    """R090: RFC 9112 §9.3.2."""
    count = 4096
    assert outcome_of_pieces([get() * count]) == [PLAIN] * count + [Pause.NEED_DATA]


@each_row("length", [100, 101])
def test_a_limit_on_the_head_below_that_on_the_request_line_holds(length: int) -> None:
    """R043: every limit counts, whichever is the lower."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    octets = head + b"x" * (length - len(head) - 4) + b"\r\n\r\n"
    request_parser = RequestParser(Limits(head=100))
    request_parser.receive(octets)
    if length <= 100:
        assert isinstance(request_parser.next_event(), Request)
    else:
        with pytest.raises(RequestError, match="the head is longer than 100 bytes"):
            request_parser.next_event()


@each_row("connection", ['a",close', '"close', '"a, close, b"', 'a="\\", close', "close,", ",CLOSE", "a, b\t,\tclose"])
def test_no_quote_hides_that_the_client_closes(connection: str) -> None:
    """R084: options are tokens (RFC 9110 §7.6.1), among which a quote means nothing."""
    head = f"GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n".encode()
    assert parse_head(head, 100).is_persistent is (connection == '"close')


@however_cut
@each_row("name", ["Range", "If-Range", "If-Modified-Since", "If-Unmodified-Since"])
def test_a_singleton_that_stands_twice_is_one_if_both_say_the_same(cut: Cut, name: str) -> None:
    """R148."""
    request = request_of(cut, get(f"{name}: a, b".encode(), b"Accept: c", f"{name.lower()}:a, b\t".encode()))
    assert request.fields[name.lower().encode()] == b"a, b"


@however_cut
@each_row("values", [("Sun", "06 Nov 1994 08:49:37 GMT"), ("", "a"), ("a", "b", "a"), ("a", "b", "")])
@each_row("name", ["Range", "If-Range", "If-Modified-Since", "If-Unmodified-Since"])
def test_a_singleton_with_two_values_says_neither_nor_both_joined(cut: Cut, name: str, values: tuple[str, ...]) -> None:
    """R148: RFC 9110 §13.1.3, §13.1.4 ("appears to be a list of dates": ignored)."""
    request = request_of(cut, get(*(f"{name}: {value}".encode() for value in values)))
    assert request.fields[name.lower().encode()] == b""
