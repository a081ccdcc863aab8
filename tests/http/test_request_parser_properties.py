"""The request parser: properties that hold for any octets, in any pieces."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.http import grammar
from httpsock.http.framing import FramingError
from httpsock.http.message_reader import Pause
from httpsock.http.messages import Refusal, RequestError
from httpsock.http.request_parser import (
    Limits,
    _line_faults,
    _parse_request_line,
    parse_head,
)
from tests.http.parsing import HOST, LIMITS, SMALL, bounded, get_root, outcome_of_pieces, post
from tests.support.cuts import cut_at, octet_by_octet

_fragment = st.one_of(
    st.sampled_from(
        [b"GET", b"POST", b" ", b"/", b"*", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http://a", b":", b"%"]
    ),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\t", b"\0", b"\x7f", b"\xff", b'"', b"\x16", b"@"]),
    st.sampled_from(
        [b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"Host: a\r\n", b"B: c\r\n"]
    ),
    st.sampled_from([b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b" d\r\n"]),
    st.sampled_from([b"0\r\n\r\n", b"2\r\nab\r\n", b"2;e=f\r\nab\r\n", get_root(), post(b"Content-Length: 2", b"ab")]),
    st.binary(max_size=3),
)
_octets = st.lists(_fragment, max_size=12).map(b"".join)


@st.composite
def damaged_requests(draw: st.DrawFn) -> bytes:
    """Draw two requests, and damage them at up to two places."""
    content = draw(
        st.sampled_from(
            [post(b"Content-Length: 2", b"ab"), post(b"Transfer-Encoding: chunked", b"1;a\r\nb\r\n0\r\nC: d\r\n\r\n")]
        )
    )
    octets = draw(st.sampled_from([b"", b"\r\n"])) + content + get_root(b"Accept: text/html")
    for _ in range(draw(st.integers(0, 2))):
        position = draw(st.integers(0, len(octets) - 1))
        octets = octets[:position] + draw(_fragment) + octets[position + draw(st.integers(0, 3)) :]
    return octets


_traffic = _octets | damaged_requests()
_positions = st.lists(st.integers(0, 1000), max_size=8)
_limits = st.sampled_from([LIMITS, SMALL, Limits(field_lines=1), Limits(request_line=16, head=60)])


@bounded
@given(st.binary(max_size=200) | _traffic, _positions, _limits)
def test_any_octets_are_parsed_or_refused_with_a_reason(octets: bytes, positions: list[int], limits: Limits) -> None:
    """The parser raises only RequestError (requirements R006 and R116)."""
    last = outcome_of_pieces([*cut_at(octets, positions), b""], limits)[-1]
    assert last is Pause.CLOSED or (isinstance(last, Refusal) and last.reason and last.section.startswith("RFC "))


@settings(bounded, max_examples=200)
@given(_traffic, _positions, _limits, st.booleans())
def test_the_meaning_of_octets_does_not_depend_on_how_they_are_cut(
    octets: bytes, positions: list[int], limits: Limits, ends: bool
) -> None:
    """The events are the same for any pieces (RFC 9112 §2.2, requirement R001)."""
    end = [b""] if ends or not octets else []
    at_once = outcome_of_pieces([octets, *end] if octets else end, limits)
    assert outcome_of_pieces([*cut_at(octets, positions), *end], limits) == at_once
    for pieces in octet_by_octet(octets):
        assert outcome_of_pieces([*pieces, *end], limits) == at_once


def _parse_request_line_or_none(octets: bytes) -> object:
    try:
        return _parse_request_line(octets)
    except RequestError:
        return None


@settings(bounded, max_examples=200)
@given(_traffic)
def test_a_head_matches_the_patterns_or_has_a_named_fault(octets: bytes) -> None:
    """If the fast pattern refuses a head, the slow check of each line must find the fault."""
    while octets.startswith(b"\r\n"):
        octets = octets[2:]
    complete = (octets + b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if complete.startswith(b"\r\n"):
        return
    fault = next(_line_faults(complete, 0, 100), None)
    line_end = complete.find(b"\r\n")
    line, fields = (
        _parse_request_line_or_none(complete[:line_end]),
        re.fullmatch(grammar.FIELD_SECTION % 100, complete[line_end:]),
    )
    assert (fault is None) is (line is not None and fields is not None)
    if fault is not None:
        with pytest.raises((RequestError, FramingError)) as caught:
            parse_head(complete, 100)
        assert str(caught.value) == str(fault)


@bounded
@given(
    st.lists(
        st.tuples(st.text("aZ9-_~", min_size=1, max_size=6).map(lambda n: b"X" + n.encode()), st.binary(max_size=12)),
        max_size=6,
    )
)
def test_field_lines_are_returned_as_sent(sent: list[tuple[bytes, bytes]]) -> None:
    """The parser only converts names to lower case and strips whitespace around values (requirements R035 and R040)."""
    allowed = [(name, bytes(o for o in value if o >= 0x20 and o != 0x7F)) for name, value in sent]
    request = parse_head(get_root(*(name + b":" + value for name, value in allowed)), 100)
    assert request.field_lines == (*HOST, *((name.lower(), value.strip(b" ")) for name, value in allowed))
    assert request.fields == dict(HOST)
