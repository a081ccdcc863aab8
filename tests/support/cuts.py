"""Cuts of octets as they may arrive: whole, octet by octet, or in pieces."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.rows import each_row

Cut = Callable[[bytes], Iterator[list[bytes]]]


def whole(octets: bytes) -> Iterator[list[bytes]]:
    """Yield *octets* in one piece."""
    yield [octets] if octets else []


def octet_by_octet(octets: bytes) -> Iterator[list[bytes]]:
    """Yield *octets* in pieces of one octet."""
    yield [octets[position : position + 1] for position in range(len(octets))]


def in_two(octets: bytes) -> Iterator[list[bytes]]:
    """Yield *octets* in two pieces, cut at each position in turn; if *octets* are long, at 200 positions."""
    for position in range(0, len(octets) or 1, 1 + len(octets) // 200):
        yield [piece for piece in (octets[:position], octets[position:]) if piece]


however_cut = each_row(
    "cut",
    [
        pytest.param(whole, id="whole"),
        pytest.param(octet_by_octet, id="octet by octet"),
        pytest.param(in_two, id="in two, wherever"),
    ],
)


def cut_at(octets: bytes, positions: list[int]) -> list[bytes]:
    """Return the pieces of *octets* between *positions*; no piece is empty."""
    borders = sorted({0, len(octets), *(position % (len(octets) + 1) for position in positions)})
    return [octets[start:stop] for start, stop in itertools.pairwise(borders)]
