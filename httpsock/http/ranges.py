"""Byte ranges: parse a Range field, select the satisfiable ranges, format Content-Range.

Takes octets and lengths, gives positions. Knows no files or sockets.

RFC 9110 §14 (range requests), §15.3.7 (206), §17.15 (too many ranges).

    bytes=0-499      the first 500 octets       bytes=-500     the last 500
    bytes=500-       all but the first 500      bytes=0-0,-1   the first and the last
"""

import re
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

# RFC 9110 §17.15: a client that asks for very many ranges attacks. zsync asks for 20, zchunk for 255.
MAX_RANGES = 256

# range-set = 1#range-spec      range-spec = int-range / suffix-range
# int-range = first-pos "-" [ last-pos ]      suffix-range = "-" suffix-length
_RANGE_SPEC = rb"(?:[0-9]++-[0-9]*+|-[0-9]++)"
_RANGE_SET = rb"(?>(?:[ \t,]*+" + _RANGE_SPEC + rb"[ \t]*+(?=,|\Z))+)[ \t,]*+"
_POSITIONS = rb"([0-9]*+)-([0-9]*+)"
# No real position has more digits; int() is slow for thousands of them.
_MAX_DIGITS = 19


class ByteRange(NamedTuple):
    """The first and the last position of a range. As in Content-Range, the last octet belongs to the range."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """The number of octets in the range."""
        return self.last - self.first + 1


class RangeSpec(NamedTuple):
    """A requested range: from *first* to *last* inclusive. If *last* is None, the range has no end.

    If *first* is None, the range is the final *last* octets.
    """

    first: int | None
    last: int | None


def parse_ranges(field_value: bytes) -> list[RangeSpec] | None:
    """Return the ranges in a Range field, or None if the field is to be ignored (RFC 9110 §14.2).

    A field is ignored if its unit is not bytes, if it is malformed, or if it has too many ranges.
    """
    unit, _, range_set = field_value.partition(b"=")
    if unit.lower() != b"bytes" or range_set.count(b",") > 4 * MAX_RANGES or not re.fullmatch(_RANGE_SET, range_set):
        return None
    pairs, specs = re.findall(_POSITIONS, range_set), []
    if len(pairs) > MAX_RANGES:
        return None
    for first_digits, last_digits in pairs:
        first, last = _position(first_digits), _position(last_digits)
        # RFC 9110 §14.1.1: an int-range whose last position lies before its first is invalid.
        if first is not None and last is not None and last <= first and _is_less(last_digits, first_digits):
            return None
        specs.append(RangeSpec(first, last))
    return specs


def _position(digits: bytes) -> int | None:
    """Return the number in *digits*, or None if *digits* is empty. A very long number is limited to 10**_MAX_DIGITS."""
    if len(digits) <= _MAX_DIGITS:
        return int(digits) if digits else None
    significant = digits.lstrip(b"0") or b"0"
    return int(significant) if len(significant) <= _MAX_DIGITS else int(10**_MAX_DIGITS)


def _is_less(digits: bytes, others: bytes) -> bool:
    """Return whether the number in *digits* is less than the number in *others*, for numbers of any length."""
    digits, others = digits.lstrip(b"0"), others.lstrip(b"0")
    return (len(digits), digits) < (len(others), others)


def select_ranges(specs: list[RangeSpec], length: int) -> list[ByteRange]:
    """Return the satisfiable ranges of *specs*, clipped to *length* octets. Join ranges that overlap or touch.

    If no range is satisfiable, the list is empty (RFC 9110 §14.1.2).
    """
    selected = []
    for spec_first, spec_last in specs:
        # RFC 9110 §14.1.2: a long suffix means all of the content; a missing or large last position, the last octet.
        first = max(0, length - (spec_last or 0)) if spec_first is None else spec_first
        last = length - 1 if spec_first is None or spec_last is None else min(spec_last, length - 1)
        if first < length:
            selected.append(ByteRange(first, last))
    are_apart = all(one.last + 1 < other.first for one, other in pairwise(selected))
    return selected if are_apart else _coalesce(selected)


def _coalesce(byte_ranges: list[ByteRange]) -> list[ByteRange]:
    """Join ranges that overlap or touch (RFC 9110 §15.3.7.2). Keep the order in which the client listed the ranges.

    So the ranges together are never longer than the representation.
    """
    joined: list[tuple[int, ByteRange]] = []
    for index, byte_range in sorted(enumerate(byte_ranges), key=itemgetter(1)):
        if joined and byte_range.first <= joined[-1][1].last + 1:
            first_index, before = joined[-1]
            union = ByteRange(before.first, max(before.last, byte_range.last))
            joined[-1] = min(first_index, index), union
        else:
            joined.append((index, byte_range))
    return [byte_range for _, byte_range in sorted(joined)]


def format_content_range(byte_range: ByteRange | None, length: int) -> str:
    """Return the Content-Range of a 206 or, if *byte_range* is None, of a 416 (RFC 9110 §14.4)."""
    return f"bytes {byte_range.first}-{byte_range.last}/{length}" if byte_range else f"bytes */{length}"
