"""Ways to cut octets into pieces, as they may arrive from the network."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.rows import each_row

Cut = Callable[[bytes], Iterator[list[bytes]]]


def whole(octets: bytes) -> Iterator[list[bytes]]:
    """Yield *octets* as one piece."""
    yield [octets] if octets else []


def octet_by_octet(octets: bytes) -> Iterator[list[bytes]]:
    """Yield *octets* cut into single octets."""
    yield [octets[position : position + 1] for position in range(len(octets))]


def in_two(octets: bytes) -> Iterator[list[bytes]]:
    """Cut *octets* in two at each position in turn. If *octets* are long, use only about 200 positions."""
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
    """Cut *octets* at *positions*. No piece is empty."""
    borders = sorted({0, len(octets), *(position % (len(octets) + 1) for position in positions)})
    return [octets[start:stop] for start, stop in itertools.pairwise(borders)]
