"""Long work in pieces: how often it pauses, and that nothing is lost."""

import pytest

from httpsock.pieces import PIECE, in_pieces
from tests.support import finish


@pytest.mark.parametrize(
    ("items", "pauses"),
    [
        pytest.param(0, 0, id="nothing to do"),
        pytest.param(1, 0, id="one item"),
        pytest.param(PIECE - 1, 0, id="less than a piece"),
        pytest.param(PIECE, 1, id="one piece"),
        pytest.param(PIECE + 1, 1, id="a piece and an item"),
        pytest.param(10 * PIECE, 10, id="ten pieces"),
    ],
)
def test_work_pauses_after_each_piece(items: int, pauses: int) -> None:
    assert sum(1 for _ in in_pieces(range(items))) == pauses
    assert finish(in_pieces(range(items))) == list(range(items))


def test_a_piece_is_made_only_when_the_work_goes_on() -> None:
    made: list[int] = []
    work = in_pieces(map(made.append, range(3 * PIECE)))
    next(work)
    assert len(made) == PIECE
    next(work)
    assert len(made) == 2 * PIECE
