"""The request parser gives the same events for all octets together, one by one, or in two pieces."""

import pytest

from httpsock.http.message_reader import Content, EndOfContent, Pause
from httpsock.http.messages import Refusal, Request, Status, Target, TargetForm
from httpsock.http.request_parser import (
    RequestParser,
    parse_head,
)
from tests.http.parsing import (
    LIMITS,
    PLAIN,
    ROOT,
    SMALL,
    Outcome,
    get_root,
    outcome_of,
    outcome_of_pieces,
    post,
    refusal_of,
    request_of,
)
from tests.support.cuts import Cut, however_cut
from tests.support.rows import each_row

# --- A request ------------------------------------------------------------------------------------


@however_cut
def test_a_request_is_parsed_however_it_is_cut(cut: Cut) -> None:
    """The result does not depend on how many octets each read returns (RFC 9112 §2.2, requirement R001)."""
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
    """A head ends with an empty line (RFC 9112 §2.2, requirement R047)."""
    octets = get_root(b"Accept: b")
    for stop in range(1, len(octets)):
        assert outcome_of(cut, octets[:stop]) == [Pause.NEED_DATA]


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b"", [Pause.CLOSED], id="R093: no octets"),
        pytest.param(b"\r\n", [Pause.CLOSED], id="R004: an empty line"),
        pytest.param(get_root(), [PLAIN, Pause.CLOSED], id="R092: a request"),
        pytest.param(get_root() + b"\r\n", [PLAIN, Pause.CLOSED], id="R004: a request and an empty line"),
    ],
)
@however_cut
def test_a_peer_may_end_its_side_between_requests(cut: Cut, octets: bytes, expected: Outcome) -> None:
    assert outcome_of(cut, octets, ends=True) == expected


@however_cut
def test_a_peer_that_ends_its_side_within_a_head_is_refused(cut: Cut) -> None:
    octets = get_root()
    expected = Refusal(Status.BAD_REQUEST, "the connection ended before the head was complete", "RFC 9112 §8")
    for stop in range(1, len(octets)):
        assert outcome_of(cut, octets[:stop], ends=True) == [expected]


@however_cut
def test_pipelined_requests_are_parsed_in_order(cut: Cut) -> None:
    """A client may send several requests before the first answer (RFC 9112 §9.3.2; requirements R089 and R090)."""
    post_line = b"POST / HTTP/1.1"
    post_head = post_line + b"\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    fields = {b"host": b"a", b"content-length": b"3"}
    post = Request(post_head, post_line, "POST", ROOT, 1, fields, 3, is_persistent=True)
    assert outcome_of(cut, get_root() + post_head + b"abc" + b"\r\n" + get_root(b"b: c") + b"GE") == [
        PLAIN,
        post,
        Content(b"abc"),
        EndOfContent(),
        PLAIN._replace(head=get_root(b"b: c")),
        Pause.NEED_DATA,
    ]


def test_unparsed_input_can_be_read() -> None:
    request_parser = RequestParser(LIMITS)
    request_parser.receive(get_root() + b"GET /b")
    assert request_parser.next_event() == PLAIN
    assert request_parser.unread == b"GET /b"
    assert request_parser.next_event() is Pause.NEED_DATA
    assert request_parser.unread == b"GET /b"


def test_a_memoised_head_equals_a_parsed_one() -> None:
    """The parser memoises heads of normal length and parses longer heads each time (requirement R046)."""
    for field_line in (b"b: c", b"b: " + b"c" * 3000, b"b: " + b"c" * 10000):
        head = get_root(field_line)
        assert outcome_of_pieces([head, head]) == [parse_head(head, 100)] * 2 + [Pause.NEED_DATA]


# --- Empty lines before a request -----------------------------------------------------------------


@however_cut
@each_row("count", [1, 2])
def test_empty_lines_before_a_request_are_ignored(cut: Cut, count: int) -> None:
    """The limit on empty lines starts anew before each request (RFC 9112 §2.2, requirement R004)."""
    octets = (b"\r\n" * count + get_root()) * 3
    assert outcome_of(cut, octets, SMALL) == [PLAIN, PLAIN, PLAIN, Pause.NEED_DATA]


@however_cut
def test_one_empty_line_too_many_is_refused(cut: Cut) -> None:
    """A server should skip at least one empty line, but not an endless number (RFC 9112 §2.2, requirement R004)."""
    for limits, maximum in ((SMALL, 2), (LIMITS, 4)):
        refusal = refusal_of(cut, b"\r\n" * (maximum + 1) + get_root(), limits)
        reason = f"more than {maximum} empty lines before the request line"
        assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §2.2")


# --- Persistence ----------------------------------------------------------------------------------


@however_cut
@each_row(
    ("octets", "expected"),
    [
        pytest.param(get_root(), True, id="R082: HTTP/1.1 persists"),
        pytest.param(get_root(b"Connection: close"), False, id="R084: unless close is asked for"),
        pytest.param(get_root(b"Connection: Close"), False, id="R084: in any case"),
        pytest.param(get_root(b"Connection: keep-alive, ,close"), False, id="R084: anywhere in a list"),
        pytest.param(get_root(b"Connection: te", b"Connection: close"), False, id="R084: on any line"),
        pytest.param(get_root(b"Connection: closed"), True, id="R084: by that very word"),
        pytest.param(get_root(b"Connection: upgrade"), True, id="R082: an option other than close"),
        pytest.param(get_root(b"Connection:"), True, id="R082: an empty Connection does not close 1.1"),
        pytest.param(get_root(version="HTTP/1.5"), True, id="R082: a higher minor version persists like 1.1"),
        pytest.param(get_root(version="HTTP/1.0"), False, id="R087: HTTP/1.0 does not persist"),
        pytest.param(
            get_root(b"Connection: x", version="HTTP/1.0"), False, id="R087: an unknown option does not keep 1.0 open"
        ),
        pytest.param(
            get_root(b"Connection: Keep-Alive", version="HTTP/1.0"), True, id="R087: 1.0 with keep-alive persists"
        ),
        pytest.param(
            get_root(b"Connection: keep-alive, close", version="HTTP/1.0"),
            False,
            id="R084: close is stronger than keep-alive",
        ),
        pytest.param(
            b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
            True,
            id="R082: CONNECT, which the connection treats",
        ),
    ],
)
def test_the_head_decides_whether_the_connection_persists(cut: Cut, octets: bytes, expected: bool) -> None:
    assert request_of(cut, octets).is_persistent is expected


# --- Content --------------------------------------------------------------------------------------


@however_cut
@each_row(
    ("octets", "content_length", "events"),
    [
        pytest.param(post(b"Content-Length: 0", b""), 0, [], id="R052: Content-Length: 0"),
        pytest.param(
            post(b"Content-Length: 3", b"abc"),
            3,
            [Content(b"abc"), EndOfContent()],
            id="R052: as many octets as stated",
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
def test_content_is_separated_from_the_next_request(
    cut: Cut, octets: bytes, content_length: int | None, events: Outcome
) -> None:
    request, *rest = outcome_of(cut, octets + get_root())
    assert isinstance(request, Request)
    assert request.content_length == content_length
    assert (request.content_length != 0) is bool(events)
    assert request.fields[b"host"] == b"a"
    assert rest == [*events, PLAIN, Pause.NEED_DATA]


@however_cut
@each_row(
    "octets",
    [
        pytest.param(post(b"Content-Length: 3", b"ab"), id="R053: within content of known length"),
        pytest.param(post(b"Content-Length: 3", b""), id="R053: before content of known length"),
        pytest.param(post(b"Transfer-Encoding: chunked", b"2\r\nab"), id="R053: after a chunk's data"),
        pytest.param(post(b"Transfer-Encoding: chunked", b"2\r\nab\r\n0\r\n"), id="R053: before the last empty line"),
        pytest.param(post(b"Transfer-Encoding: chunked", b""), id="R053: before the first chunk"),
    ],
)
def test_truncated_content_is_refused(cut: Cut, octets: bytes) -> None:
    waiting = outcome_of(cut, octets)
    assert waiting[-1] is Pause.NEED_DATA
    reason = "the connection ended before the content was complete"
    assert outcome_of(cut, octets, ends=True)[-1] == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §8")


@however_cut
def test_content_that_breaks_its_framing_is_refused(cut: Cut) -> None:
    """In this test, the size of the second chunk is not a number (RFC 9112 §7.1; requirements R066 and R068)."""
    *_, refusal = outcome_of(cut, post(b"Transfer-Encoding: chunked", b"2\r\nab\r\nx\r\n") + get_root())
    reason = r'chunk line "x\x0d\x0a" is not a hexadecimal size, extensions and CRLF'
    assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §7.1")
