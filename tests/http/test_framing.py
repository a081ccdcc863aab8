"""Framing: the content length of a request, and malformed field lines (RFC 9112 §5, §6)."""

import pytest

from httpsock.http.framing import FramingError, field_line_fault, parse_content_length
from httpsock.http.messages import Refusal, Status
from httpsock.http.request_parser import request_error
from tests.support.rows import each_row

# --- Content-Length and Transfer-Encoding ---------------------------------------------------------


def refusal_of_fields(fields: dict[bytes, bytes], minor_version: int = 1) -> Refusal:
    """Assert that a request with *fields* has invalid framing, and return the refusal."""
    with pytest.raises(FramingError) as caught:
        parse_content_length(fields, minor_version)
    return request_error(caught.value).refusal


@each_row(
    ("fields", "expected"),
    [
        pytest.param({}, 0, id="R052: without either field there is no content"),
        pytest.param({b"content-length": b"0"}, 0, id="R052: no content, with the field"),
        pytest.param({b"content-length": b"5"}, 5, id="R052: five octets"),
        pytest.param({b"content-length": b"000"}, 0, id="R051: many zeros are zero"),
        pytest.param({b"content-length": b"010"}, 10, id="R051: leading zeros are decimal"),
        pytest.param({b"content-length": b"0" * 100 + b"7"}, 7, id="R051: a hundred leading zeros are ignored"),
        pytest.param({b"content-length": b"4294967296"}, 1 << 32, id="R051: more than 32 bits"),
        pytest.param({b"content-length": b"9" * 18}, 10**18 - 1, id="R051: eighteen digits, the maximum"),
        pytest.param({b"content_length": b"5"}, 0, id="R042: Content_Length is another field"),
    ],
)
@each_row("minor_version", [0, 1])
def test_content_length_decides(fields: dict[bytes, bytes], expected: int, minor_version: int) -> None:
    assert parse_content_length(fields, minor_version) == expected


@each_row(
    ("value", "shown"),
    [
        pytest.param(b"", "", id="R048: an empty value"),
        pytest.param(b"five", "five", id="R048: a word"),
        pytest.param(b"-1", "-1", id="R048: a minus sign"),
        pytest.param(b"+5", "+5", id="R048: a plus sign"),
        pytest.param(b"5.0", "5.0", id="R048: a point"),
        pytest.param(b"0x5", "0x5", id="R048: hexadecimal"),
        pytest.param(b"5e1", "5e1", id="R048: an exponent"),
        pytest.param(b"1_0", "1_0", id="R048: an underscore"),
        pytest.param(b"5 5", "5 5", id="R048: two numbers"),
        pytest.param(b'"5"', r"\x225\x22", id="R048: quotes"),
        pytest.param(b"5;a=b", "5;a=b", id="R048: a parameter"),
        pytest.param(b"\xb2", r"\xb2", id="R048: a digit that is not ASCII"),
        pytest.param(b"\xd9\xa5", r"\xd9\xa5", id="R048: a digit in UTF-8"),
        pytest.param(b"5\n", r"5\x0a", id="R048: a line end"),
        pytest.param(b"5, 6", "5, 6", id="R049: a list of different lengths"),
        pytest.param(b"5,5", "5,5", id="R050: a list of equal lengths"),
        pytest.param(b"5,", "5,", id="R050: a list with an empty member"),
    ],
)
def test_an_invalid_content_length_is_refused(value: bytes, shown: str) -> None:
    reason = f'Content-Length is "{shown}", not one decimal number'
    for minor_version in (0, 1):
        refusal = refusal_of_fields({b"content-length": value}, minor_version)
        assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §6.3")


@each_row(
    ("value", "digits"),
    [
        pytest.param(b"1" + b"0" * 18, 19, id="R051: one digit more than the maximum"),
        pytest.param(b"000" + b"1" * 19, 19, id="R051: leading zeros do not count"),
        pytest.param(b"18446744073709551621", 20, id="R051: five, if 64 bits overflowed"),
        pytest.param(b"9" * 5000, 5000, id="R051: more digits than int() accepts"),
    ],
)
def test_a_content_length_of_too_many_digits_is_too_large(value: bytes, digits: int) -> None:
    refusal = refusal_of_fields({b"content-length": value})
    assert refusal == Refusal(Status.CONTENT_TOO_LARGE, f"Content-Length has {digits} digits", "RFC 9110 §8.6")


@each_row(
    "value",
    [
        pytest.param(b"chunked", id="R055: chunked"),
        pytest.param(b"Chunked", id="R056: the case of a coding does not matter"),
        pytest.param(b"CHUNKED", id="R056: all letters in upper case"),
        pytest.param(b" \tchunked\t ", id="R035: whitespace round it is dropped"),
        pytest.param(b", chunked ,,", id="R041: empty members are skipped"),
    ],
)
def test_chunked_content_has_no_length(value: bytes) -> None:
    assert parse_content_length({b"transfer-encoding": value}, 1) is None


@each_row(
    ("value", "shown"),
    [
        pytest.param(b"", "", id="R057: an empty value"),
        pytest.param(b" , ", " , ", id="R057: an empty list"),
        pytest.param(b"gzip", "gzip", id="R057: only another coding"),
        pytest.param(b"identity", "identity", id="R057: identity, which is no coding any more"),
        pytest.param(b"chunked, gzip", "chunked, gzip", id="R057: chunked not last"),
        pytest.param(b"chunked;q=1", "chunked;q=1", id="R063: a parameter"),
        pytest.param(b"chunked;", "chunked;", id="R063: an empty parameter"),
        pytest.param(b'"chunked"', r"\x22chunked\x22", id="R062: quotes"),
        pytest.param(b'"chunked', r"\x22chunked", id="R062: a quote before chunked"),
        pytest.param(b'chunked"', r"chunked\x22", id="R062: a quote after chunked"),
        pytest.param(b'a"chunked', r"a\x22chunked", id="R062: a quote between chunked and another token"),
        pytest.param(b'gzip,"chunked', r"gzip,\x22chunked", id="R062: a quote before chunked, the last member"),
        pytest.param(b"\x0bchunked", r"\x0bchunked", id="R062: VT before chunked"),
        pytest.param(b"chunked\x0c", r"chunked\x0c", id="R062: FF after chunked"),
        pytest.param(b"\x85chunked", r"\x85chunked", id="R062: NEL before chunked"),
        pytest.param(b"chunked\xa0", r"chunked\xa0", id="R062: a no-break space after chunked"),
        pytest.param(b"chunked\0", r"chunked\x00", id="R062: NUL after chunked"),
        pytest.param(b"chun ked", "chun ked", id="R062: a space within"),
        pytest.param(b"gzip chunked", "gzip chunked", id="R062: a space for a comma"),
        pytest.param(b"xchunked", "xchunked", id="R062: a longer name"),
        pytest.param(b"chunke", "chunke", id="R062: a shorter name"),
    ],
)
def test_a_request_whose_last_transfer_coding_is_not_chunked_is_refused(value: bytes, shown: str) -> None:
    reason = f'Transfer-Encoding is "{shown}"; the last coding is not exactly "chunked", so the content has no end'
    refusal = refusal_of_fields({b"transfer-encoding": value})
    assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §6.3")


def test_the_number_of_transfer_codings_is_limited() -> None:
    with pytest.raises(FramingError) as raised:
        parse_content_length({b"transfer-encoding": b"a," * 15_000 + b"chunked"}, 1)
    assert raised.value.reason.endswith("has more than 16 codings")


@each_row("value", ["chunked, chunked", "chunked,Chunked", "chunked, gzip, chunked"])
def test_chunked_is_not_applied_twice(value: str) -> None:
    """A sender must not apply chunked more than once (RFC 9112 §6.1, requirement R061)."""
    refusal = refusal_of_fields({b"transfer-encoding": value.encode()})
    reason = f'Transfer-Encoding "{value}" applies chunked twice'
    assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §6.1")


@each_row("value", ["gzip, chunked", "deflate,gzip,chunked", "identity, chunked", "a;b=c, chunked"])
def test_an_unknown_coding_before_chunked_is_not_implemented(value: str) -> None:
    """If a server does not know a transfer coding, it answers 501 (RFC 9112 §6.1, requirement R058)."""
    refusal = refusal_of_fields({b"transfer-encoding": value.encode()})
    reason = f'Transfer-Encoding "{value}" has a coding that is not implemented'
    assert refusal == Refusal(Status.NOT_IMPLEMENTED, reason, "RFC 9112 §6.1")


@each_row("length", [b"0", b"5", b"x"])
@each_row("coding", [b"chunked", b"gzip", b""])
def test_a_request_framed_twice_is_refused(length: bytes, coding: bytes) -> None:
    """With Content-Length and Transfer-Encoding, a request's end is ambiguous (RFC 9112 §6.1, requirement R059)."""
    refusal = refusal_of_fields({b"content-length": length, b"transfer-encoding": coding})
    reason = "both Transfer-Encoding and Content-Length"
    assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §6.1")


@each_row("coding", [b"chunked", b"gzip", b""])
def test_http_1_0_has_no_transfer_encoding(coding: bytes) -> None:
    """An HTTP/1.0 server would not decode the content (RFC 9112 §6.1, requirement R060)."""
    refusal = refusal_of_fields({b"transfer-encoding": coding}, minor_version=0)
    assert refusal == Refusal(Status.BAD_REQUEST, "Transfer-Encoding in an HTTP/1.0 request", "RFC 9112 §6.1")


# --- Malformed field lines ------------------------------------------------------------------------


@each_row(
    "line",
    [
        pytest.param(b"A:\r\n", id="R035: no value"),
        pytest.param(b"A:b\r\n", id="R035: no whitespace"),
        pytest.param(b"A: \t b \t\r\n", id="R035: much whitespace"),
        pytest.param(b"!#$%&'*+-.^_`|~09azAZ: b\r\n", id="R039: any token for a name"),
        pytest.param(b"A: b\t\x80\xff:\r\n", id="R040: obs-text in a value"),
    ],
)
def test_a_valid_field_line_has_no_fault(line: bytes) -> None:
    assert field_line_fault(line, "it") is None


@each_row(
    ("line", "reason", "section"),
    [
        pytest.param(b"A: b\n", "it ends with a bare LF, not with CRLF", "RFC 9112 §2.2", id="R003: a bare LF"),
        pytest.param(b"\n", "it ends with a bare LF, not with CRLF", "RFC 9112 §2.2", id="R003: a bare LF alone"),
        pytest.param(
            b" A: b\r\n",
            "it starts with whitespace: folded lines are obsolete",
            "RFC 9112 §5.2",
            id="R037: a space first",
        ),
        pytest.param(
            b"\t\r\n", "it starts with whitespace: folded lines are obsolete", "RFC 9112 §5.2", id="R037: a tab alone"
        ),
        pytest.param(b"A b\r\n", 'it "A b" has no colon', "RFC 9112 §5", id="R038: no colon"),
        pytest.param(
            b"A : b\r\n", "it has a space before its colon", "RFC 9112 §5.1", id="R036: a space before the colon"
        ),
        pytest.param(
            b"A\t: b\r\n", "it has a space before its colon", "RFC 9112 §5.1", id="R036: a tab before the colon"
        ),
        pytest.param(b": b\r\n", 'it has the name "", which is not a token', "RFC 9110 §5.1", id="R038: no name"),
        pytest.param(
            b"A b: c\r\n",
            'it has the name "A b", which is not a token',
            "RFC 9110 §5.1",
            id="R038: a space in the name",
        ),
        pytest.param(
            b"A\0: b\r\n", r'it has the name "A\x00", which is not a token', "RFC 9110 §5.1", id="R038: NUL in the name"
        ),
        pytest.param(
            b"\xc3\xa4: b\r\n",
            r'it has the name "\xc3\xa4", which is not a token',
            "RFC 9110 §5.1",
            id="R038: obs-text in the name",
        ),
        pytest.param(
            b"A: b\rc\r\n", "it has a bare CR in its value", "RFC 9112 §2.2", id="R002: a bare CR in the value"
        ),
        pytest.param(
            b"A: b\r\r\n", "it has a bare CR in its value", "RFC 9112 §2.2", id="R002: a bare CR before the CRLF"
        ),
        pytest.param(b"A: \0\x01\r\n", "it has a NUL in its value", "RFC 9110 §5.5", id="R032: NUL in the value"),
        pytest.param(
            b"A: b\x01\r\n",
            r"it has the control character \x01 in its value",
            "RFC 9110 §5.5",
            id="R032: another control in the value",
        ),
        pytest.param(
            b"A: \t\x7f\x01\r\n",
            r"it has the control character \x7f in its value",
            "RFC 9110 §5.5",
            id="R032: DEL in the value, before another control",
        ),
    ],
)
def test_a_field_lines_fault_is_named(line: bytes, reason: str, section: str) -> None:
    fault = field_line_fault(line, "it")
    assert fault is not None
    assert request_error(fault).refusal == Refusal(Status.BAD_REQUEST, reason, section)
