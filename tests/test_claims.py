"""What listings hold at one time: claimed piece by piece, given back when they are closed."""

import pathlib
import threading

import pytest

from httpsock.claims import Claim, Claims
from httpsock.messages import Response
from httpsock.origin import respond
from httpsock.parser import parse_head
from httpsock.pieces import PIECE, Pieces
from httpsock.resources import DocumentRoot, Moment
from tests.support import finish, get


def test_one_claim_alone_may_hold_any_number() -> None:
    claim = Claim(Claims(1))
    assert list(claim.count(range(10 * PIECE))) == list(range(10 * PIECE))


def test_others_are_refused_what_is_too_much_until_it_is_given_back() -> None:
    claims = Claims(3 * PIECE)
    first, second = Claim(claims), Claim(claims)
    assert len(list(first.count(range(2 * PIECE)))) == 2 * PIECE
    assert len(list(second.count(range(PIECE)))) == PIECE
    for claim in (first, second):
        with pytest.raises(OSError, match="Cannot allocate memory"):
            list(claim.count(range(1)))

    first.close()
    first.close()
    assert len(list(second.count(range(2 * PIECE)))) == 2 * PIECE


def test_claims_of_many_threads_add_up() -> None:
    claims = Claims(1)

    def claim_and_close() -> None:
        for _ in range(200):
            claims.change(3, claims._held)
            claims.change(-3, 3)

    threads = [threading.Thread(target=claim_and_close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert claims._held == 0


@pytest.fixture
def root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> DocumentRoot:
    """A folder of ten names, of which fifteen may be listed at one time."""
    monkeypatch.setattr("httpsock.resources._MOST_LISTED", 15)
    for number in range(10):
        (tmp_path / f"{number}.txt").touch()
    return DocumentRoot(tmp_path)


def begin(root: DocumentRoot, *field_lines: str) -> Pieces[Response]:
    responded = respond(parse_head(get("/", *field_lines), 100), Moment(root, 4e9, 0.0))
    assert not isinstance(responded, Response)
    return responded


@pytest.mark.parametrize(("field_line", "status"), [("Accept: text/plain", 200), ("Range: bytes=0-9", 206)])
def test_a_listing_that_is_not_sent_yet_holds_its_names(root: DocumentRoot, field_line: str, status: int) -> None:
    first = finish(begin(root, field_line))
    assert first.status == status
    refused = finish(begin(root))
    assert refused.status == 503
    assert b"Cannot allocate memory" in b"".join(part for part in refused.content if isinstance(part, bytes))

    first.close()
    assert finish(begin(root)).status == 200


def test_a_response_without_the_page_holds_nothing(root: DocumentRoot) -> None:
    first = finish(begin(root))
    first.close()
    etag = dict(first.fields)["ETag"]
    assert finish(begin(root, f"If-None-Match: {etag}")).status == 304
    assert finish(begin(root, 'If-Match: "other"')).status == 412
    assert finish(begin(root)).status == 200


def test_a_listing_that_is_given_up_while_it_is_made_holds_nothing(root: DocumentRoot, tmp_path: pathlib.Path) -> None:
    for number in range(2 * PIECE):
        (tmp_path / f"more{number}").touch()
    work = begin(root)
    next(work)
    assert finish(begin(root)).status == 503
    work.close()
    assert finish(begin(root)).status == 200
