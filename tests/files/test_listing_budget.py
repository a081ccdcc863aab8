"""The listing budget limits how many names unsent listings may hold: in total, and for each client network."""

import pathlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import httpsock
from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import respond
from httpsock.files.listing_budget import UNCOUNTED, Allotment, ListingBudget
from httpsock.http.handler import BATCH, Steps, Tick
from httpsock.http.messages import Response
from httpsock.http.request_parser import parse_head
from tests.support import TIMEOUT_SECONDS, finish, get, read_answer
from tests.support.context import FixedContext


def allotment(budget: ListingBudget, network: str, names: int) -> Allotment:
    """Charge *network* for this number of *names*, and return the allotment.

    The first names of a listing are free, so they are added to the number.
    """
    allotted = Allotment(budget)
    allotted.network = network
    assert len(list(allotted.charge(range(UNCOUNTED + names)))) == UNCOUNTED + names
    return allotted


def is_refused(budget: ListingBudget, network: str, names: int) -> bool:
    """Charge *network* for a listing of *names* names, then release the names. Return whether the charge failed."""
    allotted = Allotment(budget)
    allotted.network = network
    try:
        list(allotted.charge(range(UNCOUNTED + names)))
    except OSError:
        return True
    finally:
        allotted.close()
    return False


def test_one_listing_alone_may_hold_any_number() -> None:
    budget = ListingBudget(1)
    longest = allotment(budget, "a", 100 * BATCH)
    assert is_refused(budget, "b", BATCH), "there is one such listing at a time"
    longest.close()
    longest.close()
    allotment(budget, "b", BATCH)


def test_a_single_long_listing_leaves_the_budget_of_others() -> None:
    budget = ListingBudget(4 * BATCH)
    allotment(budget, "a", 100 * BATCH)
    assert not is_refused(budget, "b", 2 * BATCH)


def test_one_network_gets_half_of_the_budget_however_many_listings_it_requests() -> None:
    budget = ListingBudget(8 * BATCH)
    held = [allotment(budget, "a", BATCH) for _ in range(4)]
    assert is_refused(budget, "a", BATCH)
    assert not is_refused(budget, "b", 2 * BATCH)
    held[0].close()
    assert not is_refused(budget, "a", BATCH)


def test_some_budget_is_left_for_another_network_however_many_there_are() -> None:
    budget = ListingBudget(100 * BATCH)
    for number in range(9):
        while not is_refused(budget, f"{number}", BATCH):
            allotment(budget, f"{number}", BATCH)
    assert not is_refused(budget, "another", 0)
    assert budget._left > 0, "what all hold together is bounded"


def test_short_listings_always_pass() -> None:
    budget = ListingBudget(0)
    allotment(budget, "a", BATCH)
    assert is_refused(budget, "a", 1)
    for _ in range(1000):
        allotment(budget, "a", 0)


def test_charges_of_many_threads_add_up() -> None:
    budget = ListingBudget(10_000)

    def allot_and_close() -> None:
        for _ in range(200):
            allotment(budget, "a", 3).close()

    threads = [threading.Thread(target=allot_and_close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget._left == 10_000
    assert budget._networks == {}


NAMES = UNCOUNTED + BATCH


@pytest.fixture
def root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> DocumentRoot:
    """Create a large folder with an empty subfolder. The budget of a network allows one listing of the large folder."""
    monkeypatch.setattr("httpsock.files.document_root._MAX_LISTED", 3 * BATCH)
    (tmp_path / "short").mkdir()
    for number in range(NAMES - 1):
        (tmp_path / f"{number}.txt").touch()
    return DocumentRoot(tmp_path)


def begin(root: DocumentRoot, *field_lines: str, target: str = "/", network: str = "a") -> Steps[Response]:
    responded = respond(root, parse_head(get(target, *field_lines), 100), FixedContext(Tick(4e9, 0.0), network))
    assert not isinstance(responded, Response)
    return responded


def test_an_unsent_listing_uses_the_budget(root: DocumentRoot) -> None:
    first = finish(begin(root, "Accept: text/plain"))
    assert first.status == 200
    refused = finish(begin(root))
    assert refused.status == 503
    assert b"Cannot allocate memory" in b"".join(part for part in refused.content if isinstance(part, bytes))
    assert finish(begin(root, target="/short/")).status == 200
    other = finish(begin(root, network="b"))
    assert other.status == 200
    other.close()

    first.close()
    assert finish(begin(root)).status == 200


def test_a_response_without_the_page_holds_no_budget(root: DocumentRoot) -> None:
    first = finish(begin(root))
    first.close()
    etag = dict(first.fields)["ETag"]
    assert finish(begin(root, f"If-None-Match: {etag}")).status == 304
    assert finish(begin(root, 'If-Match: "other"')).status == 412
    assert finish(begin(root)).status == 200


def test_an_abandoned_listing_holds_no_budget(root: DocumentRoot) -> None:
    work = begin(root)
    for _ in range(NAMES // BATCH):
        next(work)
    assert finish(begin(root)).status == 503
    work.close()
    assert finish(begin(root)).status == 200


@pytest.fixture
def server(root: DocumentRoot, tmp_path: pathlib.Path) -> Iterator[httpsock.Server]:
    for number in range(2000):
        (tmp_path / "short" / f"{number:0240}").touch()
    with httpsock.Server(tmp_path, hosts=("127.0.0.1",), port=0) as running:
        yield running


def asked(stack: ExitStack, port: int, source: str, target: str) -> socket.socket:
    """Connect from the address *source* with a small receive buffer, and request *target*."""
    client = stack.enter_context(socket.socket())
    client.settimeout(TIMEOUT_SECONDS)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    client.sendall(get(target, "Accept: text/plain", "Connection: close"))
    return client


def status_of(client: socket.socket) -> int:
    return int(client.recv(12)[9:])


def test_slow_readers_of_one_address_leave_listings_to_another(
    server: httpsock.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        # These clients read only the status; the buffers of the sockets can't hold a page.
        slow = [asked(stack, server.port, "127.0.0.2", "/short/") for _ in range(25)]
        assert {status_of(client) for client in slow} == {200, 503}
        other = asked(stack, server.port, "127.0.0.3", "/")
        octets = b"".join(iter(lambda: other.recv(65536), b""))
        answer, _ = read_answer(octets)
        assert (answer.status, answer.content.count(b"\n")) == (200, NAMES)
