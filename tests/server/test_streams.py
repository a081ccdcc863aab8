"""Endless streams: their end, eviction, slow readers, and many streams at a time."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import httpsock
from httpsock import Timeouts
from httpsock.handlers.checked import checked
from httpsock.http.handler import Context, Steps
from httpsock.http.messages import Request, Response, Sleep, Stream
from httpsock.server.access_log import Exchange
from httpsock.server.connection_limit import evictable
from httpsock.server.settings import Settings
from httpsock.server.state import Phase, State
from tests.server.dialogue import TIMEOUTS, Begin, Dialogue
from tests.support import TIMEOUT_SECONDS, connect, eventually, get, read_answers, receive_all, receive_head, reset
from tests.support.h11_reader import read_with_h11

TEXT = (("Content-Type", "text/plain"),)
Serve = Callable[..., httpsock.Server]


class Ticking(Iterator[bytes | Sleep]):
    """A stream that alternates *octets* with a Sleep of *seconds*. It ends when the server stops."""

    def __init__(self, context: Context, seconds: float, octets: bytes = b"tick") -> None:
        self._context = context
        self._octets = octets
        self._seconds = seconds
        self._sleeps = False
        self.is_closed = False

    def __next__(self) -> bytes | Sleep:
        if self._context.is_stopping:
            raise StopIteration
        self._sleeps = not self._sleeps
        return self._octets if self._sleeps else Sleep(self._seconds)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def streams(settings: Settings) -> list[Ticking]:
    """Set a handler that answers with endless streams, except for /next. Return a list of these streams."""
    begun: list[Ticking] = []

    def handler(request: Request, context: Context) -> Response:
        if request.target.path == b"/next":
            return Response(200, TEXT, b"next")
        begun.append(Ticking(context, 5))
        return Response(200, TEXT, Stream(begun[-1]))

    settings.handler = checked(handler)
    return begun


@pytest.fixture
def ticking(streams: list[Ticking], begin: Begin) -> Dialogue:
    dialogue = begin()
    dialogue.send(get("/"))
    assert dialogue.receive().endswith(b"\r\n\r\n4\r\ntick\r\n")
    return dialogue


def test_a_stream_sleeps_for_its_seconds(ticking: Dialogue) -> None:
    assert ticking.connection.state is State.SLEEPING
    assert ticking.seconds_left == 5
    ticking.pass_time(4.9)
    assert ticking.receive() == b""

    ticking.pass_time(0.1)

    assert ticking.receive() == b"4\r\ntick\r\n"


def test_a_client_that_closes_ends_the_stream(ticking: Dialogue, streams: list[Ticking]) -> None:
    ticking.client.close()
    ticking.run()

    assert not ticking.is_open
    assert streams[0].is_closed
    (exchange,) = ticking.exchanges
    assert (exchange.status, exchange.sent) == (200, 4)


def test_a_client_that_ends_its_side_ends_the_stream(ticking: Dialogue, streams: list[Ticking]) -> None:
    ticking.end_our_side()

    assert not ticking.is_open
    assert streams[0].is_closed


def test_a_request_after_a_stream_waits_for_its_end(
    ticking: Dialogue, streams: list[Ticking], settings: Settings
) -> None:
    ticking.send(get("/next"))
    assert ticking.connection.state is State.SLEEPING_UNREAD
    ticking.pass_time(5)
    arrived = ticking.receive()
    assert arrived == b"4\r\ntick\r\n"
    assert ticking.connection.state is State.SLEEPING_UNREAD

    # In this phase the next response is the last one.
    settings.phase = Phase.DRAINING
    ticking.resume()

    last_chunk, _, rest = ticking.receive().partition(b"\r\n\r\n")
    assert last_chunk == b"0"
    (answer,) = read_answers(rest)
    assert (answer.content, answer.field("Connection")) == (b"next", "close")
    assert streams[0].is_closed


def test_a_request_after_a_stream_is_answered_after_its_end(begin: Begin, settings: Settings) -> None:
    responses = iter([Response(200, TEXT, Stream(iter((b"a", Sleep(1), b"b")))), Response(200, TEXT, b"next")])
    settings.handler = checked(lambda request, context: next(responses))
    dialogue = begin()
    dialogue.send(get("/") + get("/next"))
    arrived = dialogue.receive()
    dialogue.pass_time(1)

    first, rest = read_with_h11(arrived + dialogue.receive())
    second, rest = read_with_h11(rest)

    assert (first.content, second.content, rest) == (b"ab", b"next", b"")


def test_a_client_that_leaves_after_another_request_ends_the_stream(ticking: Dialogue, streams: list[Ticking]) -> None:
    ticking.send(get("/next"))
    ticking.client.close()
    # epoll reports an error even if only other events are awaited.
    ticking.resume()

    assert not ticking.is_open
    assert streams[0].is_closed


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.STOPPING])
def test_a_stream_ends_when_the_server_stops(
    ticking: Dialogue, streams: list[Ticking], settings: Settings, phase: Phase
) -> None:
    settings.phase = phase
    # The event loop resumes idle connections when the phase changes.
    ticking.resume()

    assert ticking.receive() == b"0\r\n\r\n"
    assert streams[0].is_closed


@pytest.mark.parametrize("sends_ahead", [False, True])
def test_a_sleeping_stream_may_be_evicted(ticking: Dialogue, streams: list[Ticking], sends_ahead: bool) -> None:
    """A pipelined request does not prevent eviction, since the stream before this request may be endless."""
    if sends_ahead:
        ticking.send(get("/next"))
    assert evictable([ticking.connection], ticking.now, TIMEOUTS) == [ticking.connection]

    ticking.evict()

    assert not ticking.is_open
    assert streams[0].is_closed


def test_a_client_that_does_not_read_its_stream_is_dropped(begin: Begin, settings: Settings) -> None:
    settings.handler = checked(
        lambda request, context: Response(200, TEXT, Stream(Ticking(context, 0.1, bytes(99_999))))
    )
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/"))
    assert dialogue.connection.state is State.SENDING

    dialogue.pass_time(TIMEOUTS.slow)

    assert not dialogue.is_open


def test_a_client_that_reads_its_stream_too_slowly_is_dropped(begin: Begin, settings: Settings) -> None:
    """While octets wait for the reader, a Sleep does not extend the deadline."""
    settings.handler = checked(lambda request, context: Response(200, TEXT, Stream(Ticking(context, 1, bytes(8000)))))
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/"))
    began = dialogue.now
    while dialogue.is_open and dialogue.now - began < 20 * TIMEOUTS.slow:
        dialogue.pass_time(TIMEOUTS.slow / 6)
        if dialogue.is_open:
            dialogue.receive(400)

    assert not dialogue.is_open
    assert dialogue.now - began < 5 * TIMEOUTS.slow


def test_a_stream_may_sleep_for_any_time_if_its_client_has_read_all(begin: Begin, settings: Settings) -> None:
    settings.handler = checked(lambda request, context: Response(200, TEXT, Stream(Ticking(context, 9999, b"tick"))))
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/"))
    for _ in range(5):
        assert dialogue.receive().endswith(b"4\r\ntick\r\n")
        dialogue.pass_time(9999)

    assert dialogue.is_open


# --- With a real server ---------------------------------------------------------------------------------------------


def endless(request: Request, context: Context) -> Response:
    """Answer with a stream that ends only when the server stops."""
    return Response(200, TEXT, Stream(Ticking(context, 0.01)))


def stubborn(request: Request, context: Context) -> Response:
    """Answer with a stream that never ends, even if the server stops."""

    def chunks() -> Iterator[bytes]:
        while True:
            yield b"tick"

    return Response(200, TEXT, Stream(chunks()))


def test_a_hundred_streams_run_at_once_beside_other_requests(serve: Serve) -> None:
    def handler(request: Request, context: Context) -> Response:
        return Response(200, TEXT, b"short") if request.target.path == b"/short" else endless(request, context)

    server = serve(None, handler=handler)
    clients = [connect(server.port) for _ in range(100)]
    for client in clients:
        client.sendall(get("/"))
    for client in clients:
        assert b"chunked" in receive_head(client)
    with connect(server.port) as other:
        other.sendall(get("/short", "Connection: close"))
        assert receive_all(other).endswith(b"short")
    for client in clients:
        # Receive a few ticks of each stream.
        octets = b""
        while octets.count(b"tick") < 3:
            octets += client.recv(4096)

    server.stop()

    for client in clients:
        assert receive_all(client).endswith(b"0\r\n\r\n")
        client.close()


def test_a_stream_without_end_is_cut_off_after_the_grace(serve: Serve) -> None:
    reports: list[str] = []
    exchanges: list[Exchange] = []
    server = serve(None, handler=stubborn, report=reports.append, log=exchanges.extend)
    with connect(server.port) as client:
        client.sendall(get("/"))
        reader = threading.Thread(target=lambda: _read_on(client))
        reader.start()

        server.stop(grace_seconds=0.1)

        reader.join()
    assert reports == ["grace period over: 1 response cut off"]
    assert [exchange.status for exchange in exchanges] == [200]


def _read_on(client: Any) -> None:
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass


def test_a_drained_server_ends_its_streams_and_stops(serve: Serve) -> None:
    server = serve(None, handler=endless)
    with connect(server.port) as client:
        client.sendall(get("/"))
        receive_head(client)

        server.drain()

        octets = b""
        while not octets.endswith(b"0\r\n\r\n"):
            octets += client.recv(4096)
    server.join()


def test_a_stream_whose_client_resets_ends(serve: Serve) -> None:
    streams: list[Ticking] = []
    exchanges: list[Exchange] = []

    def handler(request: Request, context: Context) -> Response:
        streams.append(Ticking(context, 60))
        return Response(200, TEXT, Stream(streams[-1]))

    server = serve(None, handler=handler, log=exchanges.extend)
    client = connect(server.port)
    client.sendall(get("/"))
    receive_head(client)

    reset(client)

    assert eventually(lambda: streams[0].is_closed)
    server.wait_for_log()
    assert [exchange.sent for exchange in exchanges] == [4]


@pytest.mark.parametrize("waits", ["a thread", "its turn"])
def test_a_handler_that_was_blocked_when_the_grace_ended_does_not_go_on(serve: Serve, waits: str) -> None:
    """The server cannot stop the blocked thread, but it does not resume the handler."""
    reports: list[str] = []
    gate = threading.Event()
    goes_on = threading.Event()

    def handler(request: Request, context: Context) -> Steps[Response]:
        gate.wait(TIMEOUT_SECONDS)
        if waits == "a thread":
            yield from context.suspend(lambda resume: goes_on.set())
        yield
        goes_on.set()
        return Response(204)

    server = serve(None, handler=handler, threads=2, report=reports.append)
    with connect(server.port) as client:
        client.sendall(get("/"))
        assert eventually(lambda: server.blocked() == ["GET / HTTP/1.1 from 127.0.0.1"])
        assert server._loop is not None
        detached = server._loop._leaders.detached
        assert eventually(lambda: bool(detached))
        server.ask_to_stop(0)
        assert eventually(lambda: reports == ["grace period over: 1 response cut off"])

        gate.set()
        server.join()

        assert receive_all(client) == b""
    assert not goes_on.is_set()


def test_a_thread_that_finishes_after_the_grace_resumes_no_handler(serve: Serve) -> None:
    """After the grace period, the event loop still runs, since another thread is blocked."""
    reports: list[str] = []
    resumes: list[Callable[[], object]] = []
    gate = threading.Event()

    def handler(request: Request, context: Context) -> Steps[Response]:
        if request.target.path == b"/blocks":
            gate.wait(TIMEOUT_SECONDS)
        yield from context.suspend(resumes.append)
        return Response(204)

    server = serve(None, handler=handler, threads=2, report=reports.append)
    with connect(server.port) as suspended, connect(server.port) as blocked:
        suspended.sendall(get("/"))
        assert eventually(lambda: bool(resumes))
        blocked.sendall(get("/blocks"))
        assert server._loop is not None
        detached = server._loop._leaders.detached
        assert eventually(lambda: len(detached) == 2)
        server.ask_to_stop(0)
        assert eventually(lambda: reports == ["grace period over: 2 responses cut off"])

        resumes[0]()
        assert eventually(lambda: not server._loop._leaders._finished)  # type: ignore[union-attr]
        gate.set()
        server.join()

        assert receive_all(suspended) == receive_all(blocked) == b""
    assert len(resumes) == 1


def test_a_generator_that_fails_to_clean_up_is_reported_and_the_server_stops(serve: Serve) -> None:
    reports: list[str] = []
    exchanges: list[Exchange] = []

    def chunks() -> Iterator[bytes | Sleep]:
        try:
            while True:
                yield b"tick"
                yield Sleep(60)
        finally:
            raise ValueError("no cleaning up")

    server = serve(
        None,
        handler=lambda request, context: Response(200, TEXT, Stream(chunks())),
        report=reports.append,
        log=exchanges.extend,
        timeouts=Timeouts(),
    )
    with connect(server.port) as client:
        client.sendall(get("/"))
        receive_head(client)

        server.stop(grace_seconds=0.1)

        assert client.recv(1) in (b"4", b"")
    assert not server.is_running
    assert any("ValueError: no cleaning up" in report for report in reports)
    assert [exchange.status for exchange in exchanges] == [200]


def test_a_generator_that_ignores_its_end_is_reported_and_the_server_stops(serve: Serve) -> None:
    reports: list[str] = []

    def handler(request: Request, context: Context) -> Iterator[None]:
        try:
            while True:
                yield
        except GeneratorExit:
            yield

    server = serve(None, handler=handler, report=reports.append)
    with connect(server.port) as client:
        client.sendall(get("/"))
        assert eventually(lambda: server._loop is not None and bool(server._loop._connections))

        server.stop(grace_seconds=0.1)

    assert not server.is_running
    assert any("generator ignored GeneratorExit" in report for report in reports)
