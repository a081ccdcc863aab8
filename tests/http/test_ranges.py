"""Byte ranges: parsing Range, selecting octets, formatting Content-Range (RFC 9110 §14, §15.3.7, §17.15)."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.http.ranges import (
    MAX_RANGES,
    ByteRange,
    RangeSpec,
    format_content_range,
    parse_ranges,
    select_ranges,
)
from tests.support.rows import each_row


@each_row(
    ("field_value", "expected"),
    [
        pytest.param(b"bytes=0-499", [RangeSpec(0, 499)], id="R127: both ends"),
        pytest.param(b"bytes=500-", [RangeSpec(500, None)], id="R127: an open end"),
        pytest.param(b"bytes=-500", [RangeSpec(None, 500)], id="R127: a suffix"),
        pytest.param(b"bytes=0-0,-1", [RangeSpec(0, 0), RangeSpec(None, 1)], id="R127: first and last"),
        pytest.param(b"BYTES=0-1", [RangeSpec(0, 1)], id="§14.1: unit names ignore case"),
        pytest.param(b"bytes=, 0-1 ,\t,2-3,", [RangeSpec(0, 1), RangeSpec(2, 3)], id="R041: empty members"),
        pytest.param(b"bytes=7-7", [RangeSpec(7, 7)], id="a single octet"),
        pytest.param(b"bytes=-0", [RangeSpec(None, 0)], id="R132: a suffix of zero is well-formed"),
        pytest.param(b"bytes=0007-00010", [RangeSpec(7, 10)], id="R134: leading zeros are decimal"),
        pytest.param(
            b"bytes=0-9999999999999999999", [RangeSpec(0, 9_999_999_999_999_999_999)], id="R134: nineteen digits"
        ),
        pytest.param(
            b"bytes=0-" + b"9" * 20, [RangeSpec(0, 10**19)], id="R134: a position of many digits lies beyond the end"
        ),
        pytest.param(b"bytes=" + b"9" * 5000 + b"-", [RangeSpec(10**19, None)], id="R134: thousands of digits"),
        pytest.param(b"bytes=-" + b"9" * 5000, [RangeSpec(None, 10**19)], id="R134: a suffix of thousands of digits"),
        pytest.param(b"bytes=" + b"0" * 5000 + b"1-1", [RangeSpec(1, 1)], id="R134: thousands of leading zeros"),
    ],
)
def test_a_range_field_is_parsed(field_value: bytes, expected: list[RangeSpec]) -> None:
    assert parse_ranges(field_value) == expected


@each_row(
    "field_value",
    [
        pytest.param(b"", id="an empty value"),
        pytest.param(b"bytes", id="a unit alone"),
        pytest.param(b"bytes=", id="an empty set"),
        pytest.param(b"bytes=,,", id="a set of empty members"),
        pytest.param(b"lines=0-1", id="R131: another unit"),
        pytest.param(b"bytes =0-1", id="R131: whitespace in the unit"),
        pytest.param(b"0-1", id="R131: no unit"),
        pytest.param(b"bytes=-", id="R131: neither first nor last"),
        pytest.param(b"bytes=1", id="R131: no hyphen"),
        pytest.param(b"bytes=--1", id="R131: two hyphens"),
        pytest.param(b"bytes=1--2", id="R131: a negative last position"),
        pytest.param(b"bytes=1-2-3", id="R131: three positions"),
        pytest.param(b"bytes=5-4", id="§14.1.1: the last before the first"),
        pytest.param(b"bytes=0-1,5-4", id="R131: one invalid member spoils the set"),
        pytest.param(b"bytes=0-1,x", id="R131: one malformed member spoils the set"),
        pytest.param(b"bytes=0 -1", id="R131: a space within"),
        pytest.param(b"bytes=+0-1", id="R131: a sign"),
        pytest.param(b"bytes=0x0-0x1", id="R131: hexadecimal"),
        pytest.param(b"bytes=1_0-20", id="R131: an underscore"),
        pytest.param("bytes=٠-١".encode(), id="R131: Arabic digits"),
        pytest.param(b'bytes="0-1"', id="R131: quotes"),
        pytest.param(b"bytes=0-1;2-3", id="R131: semicolons"),
        pytest.param(b"bytes=0-1=2", id="R131: two equals signs"),
        pytest.param(
            b"bytes=" + b"9" * 30 + b"-" + b"9" * 25, id="§14.1.1: the last before the first, however many digits"
        ),
    ],
)
def test_a_malformed_range_field_is_ignored(field_value: bytes) -> None:
    assert parse_ranges(field_value) is None


def test_the_maximum_number_of_ranges_is_parsed() -> None:
    specs = parse_ranges(b"bytes=" + b",".join(b"%d-%d" % (n * 3, n * 3) for n in range(MAX_RANGES)))
    assert specs is not None
    assert len(specs) == MAX_RANGES


def test_more_ranges_than_the_maximum_are_ignored() -> None:
    """Many ranges could be a denial-of-service attack (RFC 9110 §17.15, requirement R136)."""
    assert parse_ranges(b"bytes=" + b",".join(b"%d-%d" % (n * 3, n * 3) for n in range(MAX_RANGES + 1))) is None


def test_overlapping_ranges_are_joined_and_never_exceed_the_content() -> None:
    """The joined ranges keep the order of the request (requirement R136)."""
    specs = [RangeSpec(first, first + 10) for first in (*range(500, 600, 5), *range(0, 100, 10), *range(95, 300, 7))]
    assert select_ranges(specs, 10_000) == [ByteRange(500, 605), ByteRange(0, 308)]
    touching = [RangeSpec(first, first + 1) for first in range(2 * MAX_RANGES - 2, -1, -2)]
    assert select_ranges(touching, 10_000) == [ByteRange(0, 2 * MAX_RANGES - 1)]


def test_some_empty_members_are_skipped_and_many_are_ignored() -> None:
    """A server must accept a reasonable number of empty list members (RFC 9110 §5.6.1.2, requirement R136)."""
    assert parse_ranges(b"bytes=0-1" + b"," * 4 * MAX_RANGES) == [RangeSpec(0, 1)]
    assert parse_ranges(b"bytes=0-1" + b"," * (4 * MAX_RANGES + 1)) is None


@each_row(
    ("field_value", "expected"),
    [
        pytest.param(b"bytes=0-4", [ByteRange(0, 4)], id="both ends given"),
        pytest.param(b"bytes=0-", [ByteRange(0, 9)], id="the whole content"),
        pytest.param(b"bytes=7-", [ByteRange(7, 9)], id="an open end runs to the last octet"),
        pytest.param(b"bytes=9-9", [ByteRange(9, 9)], id="the last octet"),
        pytest.param(b"bytes=5-100", [ByteRange(5, 9)], id="§14.1.2: a last position past the end is the last octet"),
        pytest.param(b"bytes=-3", [ByteRange(7, 9)], id="a suffix"),
        pytest.param(b"bytes=-10", [ByteRange(0, 9)], id="a suffix of all"),
        pytest.param(b"bytes=-11", [ByteRange(0, 9)], id="§14.1.2: a suffix longer than all is all"),
        pytest.param(b"bytes=10-", [], id="R132: starting at the length"),
        pytest.param(b"bytes=11-12", [], id="R132: starting beyond"),
        pytest.param(b"bytes=-0", [], id="R132: a suffix of zero"),
        pytest.param(b"bytes=-0,10-,20-30", [], id="R132: no range of several is satisfiable"),
        pytest.param(b"bytes=" + b"9" * 5000 + b"-", [], id="R134: beyond any length"),
        pytest.param(b"bytes=10-,0-1", [ByteRange(0, 1)], id="§14.1.2: only the satisfiable range is sent"),
        pytest.param(b"bytes=0-1,4-5", [ByteRange(0, 1), ByteRange(4, 5)], id="two apart"),
        pytest.param(b"bytes=4-5,0-1", [ByteRange(4, 5), ByteRange(0, 1)], id="§15.3.7.2: in the order asked for"),
        pytest.param(b"bytes=0-1,2-3", [ByteRange(0, 3)], id="two that touch are joined"),
        pytest.param(b"bytes=2-3,0-1", [ByteRange(0, 3)], id="two adjacent ranges, the later one first"),
        pytest.param(b"bytes=0-5,3-8", [ByteRange(0, 8)], id="R136: two that overlap are joined"),
        pytest.param(b"bytes=0-9,3-4", [ByteRange(0, 9)], id="R136: a range within an earlier one"),
        pytest.param(b"bytes=3-4,0-9", [ByteRange(0, 9)], id="R136: a range within a later one"),
        pytest.param(b"bytes=0-,0-,0-,0-", [ByteRange(0, 9)], id="R136: four equal ranges"),
        pytest.param(b"bytes=0-1,3-4,2-2", [ByteRange(0, 4)], id="a third that bridges two"),
        pytest.param(
            b"bytes=8-9,0-0,4-5,6-7",
            [ByteRange(4, 9), ByteRange(0, 0)],
            id="a fourth that bridges two stands where the first of them stood",
        ),
        pytest.param(
            b"bytes=8-9,0-1,4-5,1-4",
            [ByteRange(8, 9), ByteRange(0, 5)],
            id="joined ones stand where the first of them stood",
        ),
    ],
)
def test_ranges_are_selected_from_ten_octets(field_value: bytes, expected: list[ByteRange]) -> None:
    specs = parse_ranges(field_value)
    assert specs is not None
    assert select_ranges(specs, 10) == expected


@each_row("field_value", [b"bytes=0-", b"bytes=0-0", b"bytes=-1", b"bytes=-0"])
def test_an_empty_file_has_no_range(field_value: bytes) -> None:
    specs = parse_ranges(field_value)
    assert specs is not None
    assert select_ranges(specs, 0) == []


def test_a_range_knows_its_length() -> None:
    assert ByteRange(3, 3).length == 1
    assert ByteRange(0, 499).length == 500


@each_row(
    ("byte_range", "expected"),
    [
        pytest.param(ByteRange(0, 4), "bytes 0-4/10", id="§14.4: one range"),
        pytest.param(None, "bytes */10", id="R133: no range is satisfiable"),
    ],
)
def test_a_content_range_is_formatted(byte_range: ByteRange | None, expected: str) -> None:
    assert format_content_range(byte_range, 10) == expected


def test_the_content_range_of_an_empty_file_says_zero() -> None:
    assert format_content_range(None, 0) == "bytes */0"


# --- A property -----------------------------------------------------------------------------------------------------

_POSITION = st.integers(min_value=0, max_value=70) | st.sampled_from([2**31, 2**63, 2**64, 10**19, 10**30])
_INT_RANGE = st.tuples(_POSITION, st.none() | _POSITION).filter(lambda pair: pair[1] is None or pair[0] <= pair[1])
_SUFFIX_RANGE = st.tuples(st.none(), _POSITION)
_LENGTH = st.integers(min_value=0, max_value=64)


def naive_positions(first: int | None, last: int | None, length: int) -> set[int]:
    """Return the positions from *first* to *last*.

    If *first* is None, the range is a suffix: return the last positions of the content, *last* in number.
    """
    if first is None:
        return {position for position in range(length) if last is not None and position >= length - last}
    return {position for position in range(length) if position >= first and (last is None or position <= last)}


def field_of(pairs: list[tuple[int | None, int | None]]) -> bytes:
    """Return the value of Range for *pairs* of first and last positions."""
    shown = [("" if first is None else str(first)) + "-" + ("" if last is None else str(last)) for first, last in pairs]
    return f"bytes={','.join(shown)}".encode()


@given(pairs=st.lists(_INT_RANGE | _SUFFIX_RANGE, min_size=1, max_size=MAX_RANGES), length=_LENGTH)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_the_selected_octets_are_the_requested_ones(pairs: list[tuple[int | None, int | None]], length: int) -> None:
    """Each requested octet is selected exactly once (requirements R128 and R136)."""
    specs = parse_ranges(field_of(pairs))
    assert specs is not None
    selected = select_ranges(specs, length)
    positions = [position for each in selected for position in range(each.first, each.last + 1)]
    assert len(positions) == len(set(positions)) == sum(each.length for each in selected) <= length
    assert set(positions) == set().union(*(naive_positions(first, last, length) for first, last in pairs))
    for each in selected:
        assert 0 <= each.first <= each.last < length
    # Ranges that touch are joined.
    ends = sorted(selected)
    assert all(one.last + 1 < other.first for one, other in itertools.pairwise(ends))


@given(field_value=st.binary(max_size=40) | st.binary(max_size=40).map(lambda octets: b"bytes=" + octets))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_any_octets_are_ranges_or_ignored(field_value: bytes) -> None:
    specs = parse_ranges(field_value)
    assert specs is None or 1 <= len(specs) <= MAX_RANGES
