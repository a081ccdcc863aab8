"""The limits of the request parser: input at the limit is accepted, and one octet more is refused."""

import pytest

from httpsock.http.message_reader import Pause
from httpsock.http.messages import Refusal, Request, RequestError, Status
from httpsock.http.request_parser import (
    Limits,
    RequestParser,
    parse_head,
)
from tests.http.parsing import LIMITS, ONE_MIB, PLAIN, SMALL, get_root, outcome_of_pieces, refusal_of, request_of
from tests.support.cuts import Cut, cut_at, however_cut
from tests.support.rows import each_row


def request_line(length: int) -> bytes:
    return b"GET /" + b"a" * (length - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"


def head(length: int, first: bytes = b"GET / HTTP/1.1") -> bytes:
    """Return a head of *length* octets whose request line is *first*."""
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
        pytest.param(get_root(b"B: 1", b"C: 2"), SMALL, id="R046: field lines"),
        pytest.param(get_root(*[b"B:"] * 99), LIMITS, id="R046: a hundred field lines"),
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
            get_root(b"B: " + b"c" * 100)[:101],
            SMALL,
            Refusal(Status.FIELDS_TOO_LARGE, "the head is longer than 100 bytes", "RFC 6585 §5"),
            id="R045: a field line without end",
        ),
        pytest.param(
            get_root(b"B: 1", b"C: 2", b"D: 3"),
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
            get_root(b"B: 1", b"C: 2", b"no field line"),
            SMALL,
            Refusal(Status.FIELDS_TOO_LARGE, "there are more than 3 field lines", "RFC 6585 §5"),
            id="R044: field lines, the last one without a colon",
        ),
        pytest.param(
            get_root(*[b"B:"] * 100),
            LIMITS,
            Refusal(Status.FIELDS_TOO_LARGE, "there are more than 100 field lines", "RFC 6585 §5"),
            id="R044: a hundred and one field lines",
        ),
    ],
)
def test_input_one_byte_past_a_limit_is_refused(cut: Cut, octets: bytes, limits: Limits, expected: Refusal) -> None:
    assert refusal_of(cut, octets, limits) == expected


@however_cut
def test_a_fault_in_a_head_that_is_too_long_is_named(cut: Cut) -> None:
    """The parser finds the malformed line before it reaches the limit (requirement R043)."""
    refusal = refusal_of(cut, get_root(b"B : c", b"D: " + b"e" * 100), SMALL)
    assert refusal == Refusal(Status.BAD_REQUEST, "field line 2 has a space before its colon", "RFC 9112 §5.1")


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
            b"GET / HTTP/1.1\r\n" + b"A:" * (ONE_MIB // 2), Status.FIELDS_TOO_LARGE, id="R045: one long field line"
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


def test_a_mebibyte_of_requests_is_parsed() -> None:
    """The limits are for one head, not for all pipelined requests (RFC 9112 §9.3.2, requirement R090)."""
    count = 4096
    assert outcome_of_pieces([get_root() * count]) == [PLAIN] * count + [Pause.NEED_DATA]


@each_row("length", [100, 101])
def test_a_limit_on_the_head_may_be_lower_than_that_on_the_request_line(length: int) -> None:
    """A head above its limit is refused, even if its request line is short (requirement R043)."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    octets = head + b"x" * (length - len(head) - 4) + b"\r\n\r\n"
    request_parser = RequestParser(Limits(head=100))
    request_parser.receive(octets)
    if length <= 100:
        assert isinstance(request_parser.next_event(), Request)
    else:
        with pytest.raises(RequestError, match="the head is longer than 100 bytes"):
            request_parser.next_event()
