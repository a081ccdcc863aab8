"""Decoding content of known length, chunks and trailers (RFC 9112 §6.2, §7.1), also octet by octet."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.http.framing import ChunkedDecoder, ContentLimits, FramingError, LengthDecoder
from httpsock.http.messages import Refusal, Status
from httpsock.http.request_parser import request_error
from tests.support.cuts import Cut, cut_at, however_cut, octet_by_octet
from tests.support.rows import each_row

bounded = settings(derandomize=True, deadline=None, max_examples=200)
LIMITS = ContentLimits()
SMALL = ContentLimits(content=20, chunk_line=16, chunk_extensions=24, trailers=24)
ONE_MIB = 1024 * 1024


# --- Decoding -------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """The result of a decoder. *left* has the octets after the content."""

    content: bytes
    is_complete: bool
    left: bytes
    refusal: Refusal | None = None


def decode(decoder: LengthDecoder | ChunkedDecoder, pieces: list[bytes]) -> Outcome:
    """Feed *pieces* to *decoder* and return the outcome. Octets that the decoder has not used are fed again."""
    content = left = b""
    for piece in pieces:
        left += piece
        try:
            decoded = decoder.decode(left)
        except FramingError as error:
            # The content before the fault depends on the cut; the refusal and its reason do not.
            return Outcome(b"", is_complete=False, left=b"", refusal=request_error(error).refusal)
        content += decoded.content
        left = left[decoded.used :]
    return Outcome(content, decoder.is_complete, left)


@however_cut
@each_row(
    ("length", "octets", "expected"),
    [
        pytest.param(0, b"abc", Outcome(b"", True, b"abc"), id="R052: Content-Length: 0"),
        pytest.param(2, b"abc", Outcome(b"ab", True, b"c"), id="R052: the rest is not content"),
        pytest.param(3, b"abc", Outcome(b"abc", True, b""), id="R052: all octets are content"),
        pytest.param(4, b"abc", Outcome(b"abc", False, b""), id="R053: there is more to come"),
    ],
)
def test_content_of_known_length_is_decoded(cut: Cut, length: int, octets: bytes, expected: Outcome) -> None:
    for pieces in cut(octets):
        assert decode(LengthDecoder(length), pieces) == expected


@however_cut
@each_row(
    ("octets", "content", "left"),
    [
        pytest.param(b"0\r\n\r\n", b"", b"", id="R065: an empty content"),
        pytest.param(b"000000000000000000000\r\n\r\n", b"", b"", id="R065: a last chunk of many zeros"),
        pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"", id="R065: one chunk"),
        pytest.param(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc", b"", id="R065: two chunks"),
        pytest.param(b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b"", id="R065: a size in lower case"),
        pytest.param(b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b"", id="R065: a size in upper case"),
        pytest.param(b"00000000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", b"", id="R065: leading zeros"),
        pytest.param(b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n", b"", id="R068: chunk data may look like line ends"),
        pytest.param(
            b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", b"", id="R068: chunk data may look like the last chunk"
        ),
        pytest.param(b"5;a;b=c\r\nhello\r\n0;d\r\n\r\n", b"hello", b"", id="R069: extensions are ignored"),
        pytest.param(
            b'5;a="\\";\t0"\r\nhello\r\n0\r\n\r\n', b"hello", b"", id="R069: an extension with a quoted value"
        ),
        pytest.param(b"5 ; a = b\r\nhello\r\n0\r\n\r\n", b"hello", b"", id="R069: bad whitespace in an extension"),
        pytest.param(b"0\r\nA: b\r\nC:\r\n\r\n", b"", b"", id="R072: trailers are read"),
        pytest.param(b"0\r\nContent-Length: 9\r\n\r\n", b"", b"", id="R073: trailers have no effect"),
        pytest.param(b"0\r\n\r\nGET / HTTP/1.1\r\n", b"", b"GET / HTTP/1.1\r\n", id="R089: the next request is left"),
    ],
)
def test_chunked_content_is_decoded(cut: Cut, octets: bytes, content: bytes, left: bytes) -> None:
    for pieces in cut(octets):
        assert decode(ChunkedDecoder(LIMITS), pieces) == Outcome(content, is_complete=True, left=left)


@however_cut
def test_every_beginning_of_chunked_content_waits_for_more(cut: Cut) -> None:
    """Truncated content must never count as complete (requirement R053)."""
    octets = b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n"
    for stop in range(1, len(octets)):
        for pieces in cut(octets[:stop]):
            outcome = decode(ChunkedDecoder(LIMITS), pieces)
            assert not outcome.is_complete
            assert outcome.refusal is None
            assert b"hello!".startswith(outcome.content)


@however_cut
@each_row(
    ("line", "shown"),
    [
        pytest.param(b"\r\n", r"\x0d\x0a", id="R066: no size"),
        pytest.param(b"g\r\n", r"g\x0d\x0a", id="R066: a letter that is no digit"),
        pytest.param(b"-5\r\n", r"-5\x0d\x0a", id="R066: a minus sign"),
        pytest.param(b"+5\r\n", r"+5\x0d\x0a", id="R066: a plus sign"),
        pytest.param(b"0x5\r\n", r"0x5\x0d\x0a", id="R066: a prefix"),
        pytest.param(b"5_0\r\n", r"5_0\x0d\x0a", id="R066: an underscore"),
        pytest.param(b"5h\r\n", r"5h\x0d\x0a", id="R066: a suffix"),
        pytest.param(b" 5\r\n", r" 5\x0d\x0a", id="R066: a space before the size"),
        pytest.param(b"5 \r\n", r"5 \x0d\x0a", id="R066: a space after the size"),
        pytest.param(b"5 5\r\n", r"5 5\x0d\x0a", id="R066: two sizes"),
        pytest.param(b"5,5\r\n", r"5,5\x0d\x0a", id="R066: a list"),
        pytest.param(b"\0005\r\n", r"\x005\x0d\x0a", id="R066: NUL"),
        pytest.param(b"\xb2\r\n", r"\xb2\x0d\x0a", id="R066: a digit that is not ASCII"),
        pytest.param(b"5\n", r"5\x0a", id="R003: a bare LF"),
        pytest.param(b"5\r\r\n", r"5\x0d\x0d\x0a", id="R002: a bare CR before the line end"),
        pytest.param(b"5\rX\n", r"5\x0dX\x0a", id="R002: a bare CR, and X in place of its LF"),
        pytest.param(b"5;\r\n", r"5;\x0d\x0a", id="R070: an extension without name"),
        pytest.param(b"5;a;\r\n", r"5;a;\x0d\x0a", id="R070: a second extension without a name"),
        pytest.param(b"5;=b\r\n", r"5;=b\x0d\x0a", id="R070: a value without name"),
        pytest.param(b"5;a=\r\n", r"5;a=\x0d\x0a", id="R070: an equals sign without value"),
        pytest.param(b"5;a=b=c\r\n", r"5;a=b=c\x0d\x0a", id="R070: two values"),
        pytest.param(b"5;a b\r\n", r"5;a b\x0d\x0a", id="R070: a space within a name"),
        pytest.param(b"5;a \r\n", r"5;a \x0d\x0a", id="R070: a space at the end"),
        pytest.param(b'5;a="b\r\n', r"5;a=\x22b\x0d\x0a", id="R070: quotes that are not closed"),
        pytest.param(b'5;a="b"c\r\n', r"5;a=\x22b\x22c\x0d\x0a", id="R070: something after the quotes"),
        pytest.param(b'5;"a"\r\n', r"5;\x22a\x22\x0d\x0a", id="R070: a quoted name"),
        pytest.param(b"5;a=b\rc\r\n", r"5;a=b\x0dc\x0d\x0a", id="R070: a bare CR within"),
        pytest.param(b'5;a="\0"\r\n', r"5;a=\x22\x00\x22\x0d\x0a", id="R070: NUL within quotes"),
        pytest.param(b"5;a\n", r"5;a\x0a", id="R070: a bare LF after a name"),
        pytest.param(b'5;a="\n"\r\n', r"5;a=\x22\x0a", id="R070: a bare LF within quotes"),
    ],
)
def test_a_malformed_chunk_line_breaks_the_framing(cut: Cut, line: bytes, shown: str) -> None:
    reason = f'chunk line "{shown}" is not a hexadecimal size, extensions and CRLF'
    for start in (b"", b"1\r\na\r\n"):
        for pieces in cut(start + line + b"hello\r\n0\r\n\r\n"):
            outcome = decode(ChunkedDecoder(LIMITS), pieces)
            assert outcome.refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §7.1")


@however_cut
@each_row(
    ("octets", "shown"),
    [
        pytest.param(b"5\r\nhello0\r\n\r\n", "0", id="R068: the next size"),
        pytest.param(b"5\r\nhello!\r\n0\r\n\r\n", "!", id="R068: data longer than its size"),
        pytest.param(b"5\r\nhell\r\n0\r\n\r\n", r"\x0a", id="R068: data shorter than its size"),
        pytest.param(b"5\r\nhello\n0\r\n\r\n", r"\x0a", id="R003: a bare LF"),
        pytest.param(b"5\r\nhello\r0\r\n\r\n", r"\x0d0", id="R002: a bare CR"),
        pytest.param(b"5\r\nhello\r\r\n0\r\n\r\n", r"\x0d\x0d", id="R002: two CRs"),
        pytest.param(b"5\r\nhello \r\n0\r\n\r\n", " ", id="R068: a space"),
    ],
)
def test_chunk_data_ends_with_crlf_exactly_at_its_size(cut: Cut, octets: bytes, shown: str) -> None:
    for pieces in cut(octets):
        outcome = decode(ChunkedDecoder(LIMITS), pieces)
        reason = f'chunk data is followed by "{shown}", not by CRLF'
        assert outcome.refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §7.1")


@however_cut
@each_row(
    ("trailers", "reason", "section"),
    [
        pytest.param(
            b"A: b\nC: d\r\n\r\n",
            "trailer field line 1 ends with a bare LF, not with CRLF",
            "RFC 9112 §2.2",
            id="R003: a bare LF",
        ),
        pytest.param(
            b"A: b\r\n\n",
            "trailer field line 2 ends with a bare LF, not with CRLF",
            "RFC 9112 §2.2",
            id="R003: a bare LF for the empty line",
        ),
        pytest.param(
            b"A: b\r\n c\r\n\r\n",
            "trailer field line 2 starts with whitespace: folded lines are obsolete",
            "RFC 9112 §5.2",
            id="R074: a folded line",
        ),
        pytest.param(
            b"A\r\n\r\n", 'trailer field line 1 "A" has no colon', "RFC 9112 §5", id="R074: a line without colon"
        ),
        pytest.param(
            b"A : b\r\n\r\n",
            "trailer field line 1 has a space before its colon",
            "RFC 9112 §5.1",
            id="R074: a space before the colon",
        ),
        pytest.param(
            b"A: b\0\r\n\r\n",
            "trailer field line 1 has a NUL in its value",
            "RFC 9110 §5.5",
            id="R074: NUL in a value",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            'trailer field line 1 "GET / HTTP/1.1" has no colon',
            "RFC 9112 §5",
            id="R074: the next request where the empty line is missing",
        ),
    ],
)
def test_trailers_obey_field_syntax(cut: Cut, trailers: bytes, reason: str, section: str) -> None:
    for pieces in cut(b"0\r\n" + trailers):
        outcome = decode(ChunkedDecoder(LIMITS), pieces)
        assert outcome.refusal == Refusal(Status.BAD_REQUEST, reason, section)


@however_cut
def test_trailers_are_stored_separately_in_the_order_received(cut: Cut) -> None:
    for pieces in cut(b"1\r\n!\r\n0\r\nDigest: abc\r\nX:\ty \r\n\r\n"):
        decoder = ChunkedDecoder(LIMITS)
        assert decode(decoder, pieces).content == b"!"
        assert decoder.trailers == [(b"digest", b"abc"), (b"x", b"y")]


# --- Limits, each at its value and one past it ----------------------------------------------------


@however_cut
@each_row(
    ("chunks", "passes"),
    [
        # The framing of a chunk of one octet is four octets longer than its content.
        pytest.param(b"1\r\na\r\n" * 8, True, id="the maximum of small chunks"),
        pytest.param(b"1\r\na\r\n" * 9, False, id="one chunk more"),
        pytest.param(b"5\r\nhello\r\n" * 400, True, id="as much framing as content in each chunk"),
        pytest.param(b"14\r\n" + b"a" * 20 + b"\r\n" + b"1\r\na\r\n" * 11, True, id="content pays for framing"),
        pytest.param(b"1\r\na\r\n" * 9 + b"14\r\n" + b"a" * 20 + b"\r\n", False, id="content afterwards does not"),
        pytest.param(b"1" + b";a=bc" * 5 + b"\r\na\r\n", True, id="extensions are framing"),
        pytest.param(b"1" + b";a=bc" * 6 + b"\r\na\r\n", False, id="too many extensions"),
        pytest.param(b"0" * 29 + b"1\r\na\r\n", False, id="zeros in front of a size"),
    ],
)
def test_framing_may_be_longer_than_the_content_up_to_a_limit(cut: Cut, chunks: bytes, passes: bool) -> None:
    limits = ContentLimits(chunk_framing=32)
    for pieces in cut(chunks):
        refusal = decode(ChunkedDecoder(limits), pieces).refusal
        if passes:
            assert refusal is None
        else:
            reason = "the chunk framing is more than 32 bytes longer than the content"
            assert refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9110 §17.5")


@however_cut
@each_row(
    ("count", "expected"),
    [
        pytest.param(3, None, id="the maximum"),
        pytest.param(4, "the trailer section has more than 3 field lines", id="one field line more"),
    ],
)
def test_trailer_lines_are_limited_in_number(cut: Cut, count: int, expected: str | None) -> None:
    limits = ContentLimits(trailer_lines=3)
    for pieces in cut(b"0\r\n" + b"A: b\r\n" * count + b"\r\n"):
        outcome = decode(ChunkedDecoder(limits), pieces)
        assert outcome.is_complete is (expected is None)
        if expected:
            assert outcome.refusal == Refusal(Status.FIELDS_TOO_LARGE, expected, "RFC 9112 §7.1.2")


@however_cut
@each_row(
    "octets",
    [
        pytest.param(b"14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n", id="content, in one chunk"),
        pytest.param(b"a\r\n0123456789\r\n" * 2 + b"0\r\n\r\n", id="content, in two chunks"),
        pytest.param(b"0" * 14 + b"\r\n\r\n", id="R071: a chunk line"),
        pytest.param(b"1;" + b"a" * 11 + b"\r\n!\r\n0;" + b"b" * 11 + b"\r\n\r\n", id="R071: extensions, in all"),
        pytest.param(b"0\r\nA: " + b"b" * 17 + b"\r\n\r\n", id="R074: a trailer section of one line"),
        pytest.param(b"0\r\nA: 45678\r\nB: 4567890\r\n\r\n", id="R074: trailers, in two lines"),
    ],
)
def test_input_just_within_a_limit_passes(cut: Cut, octets: bytes) -> None:
    for pieces in cut(octets):
        outcome = decode(ChunkedDecoder(SMALL), pieces)
        assert outcome.refusal is None
        assert outcome.is_complete


TOO_LARGE = Refusal(Status.CONTENT_TOO_LARGE, "the content is longer than the limit of 20 bytes", "RFC 9110 §15.5.14")
TRAILERS_TOO_LARGE = Refusal(Status.FIELDS_TOO_LARGE, "the trailer section is longer than 24 bytes", "RFC 9112 §7.1.2")


@however_cut
@each_row(
    ("octets", "expected"),
    [
        pytest.param(b"15\r\n", TOO_LARGE, id="content, in one chunk"),
        pytest.param(b"14\r\n" + b"x" * 20 + b"\r\n1\r\n", TOO_LARGE, id="content, one octet in a second chunk"),
        pytest.param(b"100000000\r\n", TOO_LARGE, id="R067: a size of more than 32 bits"),
        pytest.param(b"fffffffffffff\r\n", TOO_LARGE, id="R067: a size of 52 bits"),
        pytest.param(
            b"0" * 15 + b"\r\n",
            Refusal(Status.BAD_REQUEST, "the chunk line is longer than 16 bytes", "RFC 9112 §7.1.1"),
            id="R071: a chunk line",
        ),
        pytest.param(
            b"0;" + b"a" * 1000,
            Refusal(Status.BAD_REQUEST, "the chunk line is longer than 16 bytes", "RFC 9112 §7.1.1"),
            id="R071: a chunk line without end",
        ),
        pytest.param(
            b"1;" + b"a" * 11 + b"\r\n!\r\n0;" + b"b" * 12 + b"\r\n",
            Refusal(Status.BAD_REQUEST, "chunk extensions take more than 24 bytes", "RFC 9112 §7.1.1"),
            id="R071: extensions, in all",
        ),
        pytest.param(
            b"0\r\nA: " + b"b" * 18 + b"\r\n\r\n", TRAILERS_TOO_LARGE, id="R074: a trailer section of one line"
        ),
        pytest.param(b"0\r\nA: " + b"b" * 1000, TRAILERS_TOO_LARGE, id="R074: trailers, in a line without end"),
        pytest.param(b"0\r\n" + b"A: 45\r\n" * 4, TRAILERS_TOO_LARGE, id="R074: trailers, in several lines"),
        pytest.param(
            b"0\r\nA: 45678\r\nB: 45678901\r\n\r\n",
            TRAILERS_TOO_LARGE,
            id="R074: the empty line counts",
        ),
    ],
)
def test_input_one_byte_past_a_limit_is_refused(cut: Cut, octets: bytes, expected: Refusal) -> None:
    for pieces in cut(octets):
        assert decode(ChunkedDecoder(SMALL), pieces).refusal == expected


@however_cut
@each_row(
    "size",
    [
        pytest.param(b"100001", id="one octet past a mebibyte"),
        pytest.param(b"7fffffffffffffff", id="R067: the most of 63 bits"),
        pytest.param(b"ffffffffffffffff", id="R067: minus one in 64 bits"),
        pytest.param(b"10000000000000005", id="R067: five, if 64 bits overflowed"),
        pytest.param(b"f" * 4000, id="R067: four thousand digits"),
    ],
)
def test_chunk_sizes_do_not_overflow(cut: Cut, size: bytes) -> None:
    reason = f"the content is longer than the limit of {ONE_MIB} bytes"
    for pieces in cut(size + b"\r\n"):
        outcome = decode(ChunkedDecoder(LIMITS), pieces)
        assert outcome.refusal == Refusal(Status.CONTENT_TOO_LARGE, reason, "RFC 9110 §15.5.14")


# --- Properties -----------------------------------------------------------------------------------

_whitespace = st.sampled_from([b"", b"", b" ", b"\t "])
_token = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=5).map(str.encode)
_quoted = st.lists(st.sampled_from([b"a", b";", b",", b" ", b"\t", b"\\\\", b'\\"', b"\x80"]), max_size=5).map(
    lambda parts: b'"' + b"".join(parts) + b'"'
)
_value = st.builds(
    lambda before, after, value: before + b"=" + after + value, _whitespace, _whitespace, _token | _quoted
)
_extension = st.builds(
    lambda before, after, name, value: before + b";" + after + name + value,
    _whitespace,
    _whitespace,
    _token,
    st.just(b"") | _value,
)
_extensions = st.lists(_extension, max_size=2).map(b"".join)
_trailer = st.builds(
    lambda name, before, value: name + b":" + before + value + b"\r\n",
    _token,
    _whitespace,
    st.lists(st.sampled_from([b"a", b" ", b":", b'"', b"\xff"]), max_size=4).map(b"".join),
)


@st.composite
def chunked_contents(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw some content. Return the content as is and in chunks."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    encoded = b""
    for chunk in [*chunks, b""]:
        size = f"{len(chunk):x}" if draw(st.booleans()) else f"{len(chunk):X}"
        encoded += b"0" * draw(st.integers(0, 20)) + size.encode() + draw(_extensions) + b"\r\n"
        encoded += chunk + b"\r\n" if chunk else b""
    return b"".join(chunks), encoded + b"".join(draw(st.lists(_trailer, max_size=3))) + b"\r\n"


@bounded
@given(chunked_contents(), st.binary(max_size=5), st.lists(st.integers(0, 1000), max_size=8))
def test_any_content_in_any_chunks_is_decoded_at_any_cut(
    chunked_content: tuple[bytes, bytes], rest: bytes, positions: list[int]
) -> None:
    content, encoded = chunked_content
    outcome = decode(ChunkedDecoder(LIMITS), cut_at(encoded + rest, positions))
    assert outcome == Outcome(content, is_complete=True, left=rest)


_fragments = st.lists(
    st.one_of(
        st.sampled_from(
            [b"0", b"1", b"2", b"a", b"fffffffffffffffff", b";", b"=", b'"', b" ", b"\r", b"\n", b"\r\n", b":"]
        ),
        st.sampled_from([b"0\r\n", b"1\r\na\r\n", b"A: b\r\n", b";a=b", b"\0"]),
        st.binary(max_size=3),
    ),
    max_size=12,
).map(b"".join)


@st.composite
def damaged_contents(draw: st.DrawFn) -> bytes:
    """Draw chunked content and damage it at one place."""
    _, encoded = draw(chunked_contents())
    position = draw(st.integers(0, len(encoded) - 1))
    replacement = draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"0", b"ab", b";", b"\0"]))
    return encoded[:position] + replacement + encoded[position + draw(st.integers(0, 2)) :]


@bounded
@given(_fragments | damaged_contents(), st.lists(st.integers(0, 1000), max_size=6))
def test_the_meaning_of_octets_does_not_depend_on_how_they_are_cut(octets: bytes, positions: list[int]) -> None:
    at_once = decode(ChunkedDecoder(SMALL), [octets])
    assert decode(ChunkedDecoder(SMALL), cut_at(octets, positions)) == at_once
    for pieces in octet_by_octet(octets):
        assert decode(ChunkedDecoder(SMALL), pieces) == at_once


@each_row(
    ("octets", "status"),
    [
        pytest.param(b"0" * ONE_MIB, Status.BAD_REQUEST, id="a size without end"),
        pytest.param(b'0;a="' + b'\\"' * (ONE_MIB // 2), Status.BAD_REQUEST, id="an extension without end"),
        pytest.param(b"1;a\r\n!\r\n" * (ONE_MIB // 8), Status.BAD_REQUEST, id="many chunks with extensions"),
        pytest.param(b"0\r\nA:" + b" " * ONE_MIB, Status.FIELDS_TOO_LARGE, id="a trailer without end"),
        pytest.param(b"0\r\n" + b"A:\r\n" * (ONE_MIB // 4), Status.FIELDS_TOO_LARGE, id="trailers without end"),
    ],
)
def test_a_mebibyte_of_hostile_framing_is_refused(octets: bytes, status: Status) -> None:
    refusal = decode(ChunkedDecoder(LIMITS), [octets]).refusal
    assert refusal is not None
    assert refusal.status is status


def test_a_mebibyte_of_small_chunks_is_decoded() -> None:
    count = ONE_MIB // 5
    outcome = decode(ChunkedDecoder(LIMITS), [b"5\r\nhello\r\n" * count + b"0\r\n\r\n"])
    assert outcome == Outcome(b"hello" * count, is_complete=True, left=b"")
