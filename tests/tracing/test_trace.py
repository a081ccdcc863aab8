"""The trace: emitting an event never blocks, dropped events are counted, and events stay in order."""

import contextlib
import io
import os
import pathlib
import tempfile
import threading
from collections.abc import Iterator

import pytest

from httpsock.tracing.events import Event
from httpsock.tracing.trace import TraceWriter, trace_on_standard_error
from tests.support import TIMEOUT_SECONDS, exchange, fill_pipe, get, read_answers
from tests.support.trace import CollectedTrace, Traced

CLOSE = "Connection: close"


def brief(event: Event) -> str:
    """Format an event as a line of 100 octets."""
    return f"{event.connection} {event.name} {' '.join(map(str, event.attributes.values()))}".strip().ljust(99) + "\n"


def lines(collected: bytes) -> list[str]:
    """Split a trace into lines without indentation."""
    return [line.strip() for line in collected.decode().splitlines()]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield both ends of a pipe. The pipe replaces a terminal that reads only when the test wants."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def read_lines(reading: int, count: int) -> list[str]:
    """Read from the pipe until at least *count* lines have arrived. Return the lines."""
    collected = b""
    while collected.count(b"\n") < count:
        collected += os.read(reading, 65536)
    return lines(collected)


def test_before_its_thread_starts_the_trace_writes_directly(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    TraceWriter(brief, writing).server("bind", {"address": "a"})
    assert read_lines(reading, 1) == ["0 bind a"]


def test_events_are_written_in_the_order_of_emission(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    trace = TraceWriter(brief, writing)
    trace.start()
    one, other = trace.tracer("a"), trace.tracer("b")
    for number in range(200):
        one("recv", {"octets": number})
        other("send", {"octets": number})
    collected = read_lines(reading, 400)
    trace.finish()
    assert [line for line in collected if line[0] == "1"] == [f"1 recv {number}" for number in range(200)]
    assert [line for line in collected if line[0] == "2"] == [f"2 send {number}" for number in range(200)]


def test_emitting_never_blocks_and_dropped_events_are_counted() -> None:
    reading, writing = os.pipe()
    trace = TraceWriter(brief, writing, max_octets=100 * 1024)
    trace.start()
    emit = trace.tracer("a")
    # Without a reader the pipe holds some hundred lines, the queue a hundred.
    for number in range(5000):
        emit("recv", {"octets": number})
    collected: list[bytes] = []
    with open(reading, "rb") as terminal:
        reader = threading.Thread(target=lambda: collected.extend(terminal))
        reader.start()
        trace.finish()
        os.close(writing)
        reader.join()
    # Each gap is reported, with the number of missing events.
    expected = 0
    for line in lines(b"".join(collected)):
        _, what, count = line.split()
        if what == "recv":
            assert int(count) == expected
        expected += 1 if what == "recv" else int(count)
    assert expected == 5000
    assert len(collected) < 5000


def test_long_names_count_with_their_memory(pipe: tuple[int, int]) -> None:
    trace = TraceWriter(brief, pipe[1], max_octets=100 * 1024)
    trace.start()
    emit = trace.tracer("a")
    for _ in range(200):
        emit("stat", {"name": "x" * 50_000})
    waiting = sum(len(event.attributes["name"]) for event in trace._waiting if "name" in event.attributes)
    assert waiting <= 100 * 1024
    read_lines(pipe[0], 1)
    os.set_blocking(pipe[0], False)
    while trace._waiting:
        with contextlib.suppress(BlockingIOError):
            os.read(pipe[0], 65536)
    trace.finish()


def test_two_datagrams_are_not_joined() -> None:
    collected = CollectedTrace(wants_octets=True)
    for octets in (b"no line", b"Authorization: Basic secret\r\n"):
        collected.server("recvfrom", {"octets": len(octets), "address": "a"}, octets=octets)
    assert collected.events[1].octets == b"Authorization: Basic ******\r\n"


def test_events_dropped_at_the_end_are_counted(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    trace = TraceWriter(brief, writing, max_octets=0)
    trace.start()
    trace.tracer("a")("accept")
    trace.finish()
    assert read_lines(reading, 1) == ["0 lost 1"]


def test_writing_to_a_full_non_blocking_terminal_is_repeated(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    count = fill_pipe(writing)
    os.set_blocking(writing, False)
    trace = TraceWriter(brief, writing)
    trace.start()
    emit = trace.tracer("a")
    for number in range(2000):
        emit("recv", {"octets": number})
    assert os.read(reading, count) == bytes(count)
    assert read_lines(reading, 2000) == [f"1 recv {number}" for number in range(2000)]
    trace.finish()


def test_before_the_start_an_event_that_would_block_is_lost(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    count = fill_pipe(writing)
    trace = TraceWriter(brief, writing)
    trace.server("bind")
    assert os.read(reading, count) == bytes(count)
    trace.start()
    trace.finish()
    assert read_lines(reading, 1) == ["0 lost 1"]


def test_a_terminal_that_stays_full_does_not_delay_the_end(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpsock.tracing.trace._FINISH_SECONDS", 0.0)
    fill_pipe(pipe[1])
    os.set_blocking(pipe[1], False)
    trace = TraceWriter(brief, pipe[1])
    trace.start()
    writer = trace._thread
    assert writer is not None
    trace.tracer("a")("accept")
    trace.finish()
    writer.join(TIMEOUT_SECONDS)
    assert not writer.is_alive()
    assert trace._lost == 1


def test_a_closed_reader_is_not_an_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    trace = TraceWriter(brief, writing)
    trace.start()
    trace.tracer("a")("accept")
    trace.finish()
    os.close(writing)
    assert trace._thread is None


def test_a_terminal_that_stalls_does_not_delay_the_end(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpsock.tracing.trace._FINISH_SECONDS", 0.01)
    reading, writing = pipe
    trace = TraceWriter(brief, writing)
    trace.start()
    emit = trace.tracer("a")
    # The pipe holds some hundred lines, and has no reader.
    for number in range(2000):
        emit("recv", {"octets": number})
    trace.finish()
    # Later events do not block, either.
    emit("close")
    writer = trace._thread
    assert writer is not None
    read_lines(reading, 2000)
    writer.join(TIMEOUT_SECONDS)


def test_a_client_is_served_while_the_terminal_stalls(folder: pathlib.Path, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    request = get("/hello.txt") * 20 + get("/hello.txt", CLOSE)
    with Traced(folder, descriptor=writing) as server:
        for _ in range(20):
            answers = read_answers(exchange(server.port, request))
            assert [answer.text for answer in answers] == ["Hello, socket.\n"] * 21
        # A new reader lets the trace write all waiting events.
        reader = threading.Thread(target=read_until_close, args=(reading,))
        reader.start()
    reader.join(TIMEOUT_SECONDS)
    assert not reader.is_alive()


def read_until_close(reading: int) -> None:
    """Read until the trace shows that the listening socket is closed."""
    collected = b""
    while b"  close 127." not in collected:
        collected = collected[-200:] + os.read(reading, 65536)


def test_a_traced_server_sends_the_same_bytes_as_an_untraced_one(folder: pathlib.Path) -> None:
    requests = [
        get("/hello.txt") + get("/large.bin") + get("/sub/") + get("/large.bin", "Range: bytes=-5", CLOSE),
        get("/hello.txt", method="HEAD") + get("/nothing", "Accept: application/json", CLOSE),
        get("/hello.txt", "Content-Length: 3", method="POST") + b"abc" + get("/", CLOSE),
        b"GET /hello.txt HTTP/1.1\r\nHost : x\r\n\r\n",
        b"\x16\x03\x01",
    ]
    answers = {}
    for is_traced in (True, False):
        # Unselected events are not traced.
        with Traced(folder, only="" if is_traced else "192.0.2.7", wants_octets=is_traced) as server:
            answers[is_traced] = [without_dates(exchange(server.port, request)) for request in requests]
        assert ("  close\n" in server.output) == is_traced
    assert answers[True] == answers[False]


def without_dates(octets: bytes) -> bytes:
    """Remove Date from responses, and make weak entity-tags strong. A tag is weak only if the file is new."""
    lines = octets.replace(b"W/", b"").split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(b"Date: "))


def test_connections_of_all_threads_are_counted_together(folder: pathlib.Path) -> None:
    with Traced(folder, threads=3) as server:
        for _ in range(3):
            exchange(server.port, get("/hello.txt", CLOSE))
    accepted = [line for line in server.connections.splitlines() if line.endswith("accept")]
    assert [line.partition(" ")[0] for line in accepted] == ["#1", "#2", "#3"]


def test_an_event_that_cannot_be_shown_is_reported_and_skipped() -> None:
    def show(event: Event) -> str:
        if event.name == "broken":
            raise ZeroDivisionError("a fault of ours")
        return f"{event.name}\n"

    with tempfile.TemporaryFile() as file:
        trace = TraceWriter(show, file.fileno())
        trace.start()
        for name in ("one", "broken", "two"):
            trace.server(name)
        trace.finish()
        file.seek(0)
        assert file.read() == b"one\nan event could not be shown: ZeroDivisionError('a fault of ours')\ntwo\n"


def test_standard_error_may_lack_an_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, a program may replace standard error by a StringIO."""
    monkeypatch.setattr("sys.stderr", io.StringIO())
    trace_on_standard_error("text").tracer("x")("accept")
