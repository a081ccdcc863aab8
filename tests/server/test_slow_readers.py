"""Clients that read slowly or not at all: when the server drops them, and how much memory they use."""

import contextlib
import inspect
import os
import pathlib

import pytest

from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import serve_folder
from httpsock.server.settings import Settings
from httpsock.server.state import IDLE_STATES, State
from tests.server.dialogue import STARTED, TIMEOUTS, Begin, Dialogue, assert_persists
from tests.support import fill, get, read_answer, read_answers
from tests.support.folder import LARGE


def test_a_client_that_does_not_read_is_dropped(begin: Begin) -> None:
    """The log shows how many octets the kernel accepted (requirement R094)."""
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin"))
    assert dialogue.connection.state is State.SENDING
    assert dialogue.connection.state not in IDLE_STATES
    # For a pair of local sockets the count of unsent octets includes overhead of the kernel.
    assert 0.9 * TIMEOUTS.slow < dialogue.seconds_left <= TIMEOUTS.slow

    dialogue.pass_time(TIMEOUTS.slow)

    assert not dialogue.is_open
    (exchange,) = dialogue.exchanges
    head, _, content = dialogue.receive().partition(b"\r\n\r\n")
    assert f"Content-Length: {len(LARGE)}".encode() in head
    assert exchange.sent == len(content) < exchange.length == len(LARGE)
    assert LARGE.startswith(content)


@pytest.mark.parametrize("length", [1, 16384, 32768, 32769, 65536, 65537])
@pytest.mark.parametrize("buffered_octets", [None, 4096])
def test_a_file_of_any_length_arrives_whole(
    begin: Begin, folder: pathlib.Path, length: int, buffered_octets: int | None
) -> None:
    """The result does not depend on how many octets the kernel accepts per call."""
    octets = os.urandom(length)
    (folder / "some.bin").write_bytes(octets)
    dialogue = begin(buffered_octets=buffered_octets)

    dialogue.send(get("/some.bin") * 12)

    assert [answer.content for answer in dialogue.answers()] == [octets] * 12


def test_a_client_that_reads_slowly_gets_the_whole_file(begin: Begin, folder: pathlib.Path) -> None:
    """There is no limit for the total time of a response (requirement R095)."""
    (folder / "larger.bin").write_bytes(LARGE * 8)
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/larger.bin"))
    arrived = b""
    while len(arrived) < len(LARGE) * 7:
        arrived += dialogue.receive(len(LARGE))
        dialogue.pass_time(TIMEOUTS.slow / 2)
        assert dialogue.is_open

    answer, rest = read_answer(arrived + dialogue.receive())

    assert (answer.content, rest) == (LARGE * 8, b"")
    assert dialogue.now - STARTED > 3 * TIMEOUTS.slow
    assert_persists(dialogue)


def test_a_client_that_reads_in_small_steps_gets_the_whole_file(begin: Begin, folder: pathlib.Path) -> None:
    """Each octet that leaves the send buffer extends the deadline, even if send() would block (requirement R095)."""
    (folder / "larger.bin").write_bytes(LARGE * 8)
    dialogue = begin(buffered_octets=256 * 1024)
    dialogue.send(get("/larger.bin"))
    arrived = b""
    while not dialogue.has_received_end:
        arrived += dialogue.receive(100_000)
        dialogue.pass_time(TIMEOUTS.slow / 2)

    answer, rest = read_answer(arrived)

    assert (answer.content, rest) == (LARGE * 8, b"")


def read_at(dialogue: Dialogue, octets_a_second: int) -> int:
    """Read *octets_a_second* octets each second, for at most an hour. Return the seconds until the connection ends."""
    began = dialogue.now
    while dialogue.is_open and dialogue.now - began < 3600:
        dialogue.pass_time(1)
        if not dialogue.receive(octets_a_second):
            break
    return round(dialogue.now - began)


@pytest.fixture
def crawling(begin: Begin, folder: pathlib.Path) -> Dialogue:
    """Return a dialogue with small buffers. The client has requested a large file."""
    (folder / "larger.bin").write_bytes(LARGE * 12)
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/larger.bin"))
    return dialogue


def test_a_client_that_reads_too_slowly_is_dropped(crawling: Dialogue) -> None:
    """In this test, the client reads every second, but its deadline comes nearer each time."""
    assert read_at(crawling, 50) < 2 * TIMEOUTS.slow
    (exchange,) = crawling.exchanges
    assert exchange.sent < exchange.length


def test_a_client_that_reads_above_the_least_rate_gets_the_whole_file(crawling: Dialogue) -> None:
    """The server does not cut off a long download (requirement R095)."""
    assert read_at(crawling, 4096) > 10 * TIMEOUTS.slow
    (exchange,) = crawling.exchanges
    assert exchange.sent == exchange.length


def test_without_a_least_rate_only_a_stalled_reader_is_dropped(
    begin: Begin, settings: Settings, folder: pathlib.Path
) -> None:
    settings.timeouts = TIMEOUTS._replace(min_rate=0.0, stall=600)
    (folder / "larger.bin").write_bytes(LARGE)
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/larger.bin"))

    assert read_at(dialogue, 400) > 4 * TIMEOUTS.slow
    (exchange,) = dialogue.exchanges
    assert exchange.sent == exchange.length


def test_a_client_that_has_read_fast_is_dropped_if_it_becomes_slow(crawling: Dialogue) -> None:
    """Fast reading extends the deadline only up to a limit."""
    assert crawling.receive(len(LARGE) * 10)

    assert read_at(crawling, 50) < 2 * TIMEOUTS.slow

    assert crawling.exchanges[0].sent < len(LARGE) * 12


def test_a_small_file_waits_for_a_client_that_does_not_read(begin: Begin, folder: pathlib.Path) -> None:
    """Content from memory waits like content from a file (requirement R095)."""
    small = bytes(range(256)) * 255
    (folder / "small.bin").write_bytes(small)
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/small.bin"))
    assert dialogue.connection.state is State.SENDING
    assert dialogue.seconds_left <= TIMEOUTS.slow
    dialogue.pass_time(TIMEOUTS.slow / 2)

    assert dialogue.answer().content == small
    assert_persists(dialogue)


def test_requests_of_a_client_that_does_not_read_are_not_received(begin: Begin) -> None:
    """Pipelined requests stay in the kernel's buffer, so they use no memory of the server (requirement R095)."""
    dialogue = begin(buffered_octets=4096)
    requests = memoryview(get("/large.bin") * 100_000)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += dialogue.client.send(requests[sent:])
            dialogue.run()
    assert dialogue.connection.state is State.SENDING
    assert sent < len(requests) / 2

    # The connection holds the octets of one recv(), and the start of a head from the previous one.
    for _ in range(10):
        assert len(dialogue.connection._parser.unread) < 65 * 1024
        assert len(dialogue.receive(len(LARGE))) == len(LARGE)


def test_a_reader_has_the_full_time_for_the_next_response(begin: Begin) -> None:
    """The deadline of a response does not depend on the response before it (requirement R095)."""
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin") * 2)
    arrived = dialogue.client.recv(1 << 20)
    dialogue.pass_time(TIMEOUTS.slow)
    assert dialogue.is_open
    arrived += dialogue.receive(len(LARGE))
    arrived += dialogue.client.recv(1 << 20)
    dialogue.pass_time(TIMEOUTS.slow)
    assert dialogue.is_open

    first, second = read_answers(arrived + dialogue.receive())

    assert first.content == second.content == LARGE


def test_a_long_listing_waits_for_a_client_that_does_not_read(begin: Begin, folder: pathlib.Path) -> None:
    """In this test, the head and the listing are too long for one send() (requirement R095)."""
    for number in range(700):
        (folder / f"{number:0200}").touch()
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/"))
    assert dialogue.connection.state is State.SENDING

    answer = dialogue.answer()

    assert len(answer.content) > 65536
    assert answer.text.count('<tr><td><a href="0') == 700


def test_the_head_of_a_long_listing_waits_for_a_client_that_does_not_read(begin: Begin, folder: pathlib.Path) -> None:
    for number in range(700):
        (folder / f"{number:0200}").touch()
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin") + get("/"))

    first, second = dialogue.answers()

    assert first.content == LARGE
    assert second.text.count('<tr><td><a href="0') == 700


@pytest.mark.parametrize("path", ["/hello.txt", "/some.bin", "/large.bin", "/"])
def test_a_head_waits_for_a_client_that_does_not_read(begin: Begin, folder: pathlib.Path, path: str) -> None:
    """The paths lead to short files, long files and a listing (requirement R095)."""
    (folder / "some.bin").write_bytes(bytes(32768))
    for number in range(700):
        (folder / f"{number:0200}").touch()
    dialogue = begin(buffered_octets=4096)
    filling = fill(dialogue._connected)
    dialogue.send(get(path))
    assert dialogue.connection.state is State.SENDING

    arrived = dialogue.receive()

    assert arrived[:filling] == bytes(filling)
    assert read_answers(arrived[filling:])[0].status == 200


def overwhelm(dialogue: Dialogue, octets: bytes) -> None:
    """Send *octets* until the connection stops receiving."""
    waiting = memoryview(octets)
    with contextlib.suppress(BlockingIOError):
        while waiting:
            waiting = waiting[dialogue.client.send(waiting) :]
            dialogue.run()
    assert waiting, "the connection has received all"


def test_little_memory_is_used_while_a_response_waits_for_its_reader(folder: pathlib.Path) -> None:
    """The server frees the head of the request and leaves later requests in the kernel's buffer."""
    with contextlib.closing(Dialogue(Settings(serve_folder(DocumentRoot(folder))), buffered_octets=4096)) as dialogue:
        overwhelm(dialogue, get("/large.bin", f"X: {'y' * 20_000}") + get("/hello.txt") * 10_000)

        assert dialogue.connection.state is State.SENDING
        assert len(dialogue.connection._parser.unread) <= 8 * 1024
        held = inspect.getgeneratorlocals(dialogue.connection.coroutine)["request"]
        assert (held.head, held.fields) == (b"", {})


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(get("/large.bin", "Content-Length: 100000") + bytes(100_000), id="of a length"),
        pytest.param(
            get("/large.bin", "Transfer-Encoding: chunked") + b"186a0\r\n" + bytes(100_000) + b"\r\n0\r\n\r\n",
            id="in one chunk",
        ),
    ],
)
def test_discarding_content_uses_little_memory(octets: bytes, folder: pathlib.Path) -> None:
    with contextlib.closing(Dialogue(Settings(serve_folder(DocumentRoot(folder))), buffered_octets=4096)) as dialogue:
        overwhelm(dialogue, octets + get("/hello.txt") * 10_000)

        assert dialogue.connection.state is State.SENDING
        assert len(dialogue.connection._parser.unread) <= 8 * 1024
