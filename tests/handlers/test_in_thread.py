"""in_thread(): a handler runs a blocking function in a thread, so that no other client waits."""

import select
import threading
from collections.abc import Callable
from typing import Any

import pytest

import httpsock
from httpsock.handlers.in_thread import in_thread
from httpsock.http.handler import Context, Steps
from httpsock.http.messages import Request, Response
from httpsock.server.access_log import Exchange
from tests.handlers.gate import Gate
from tests.support import (
    TIMEOUT_SECONDS,
    connect,
    eventually,
    exchange,
    get,
    read_answers,
    receive_all,
    receive_answer,
    reset,
)

TEXT = (("Content-Type", "text/plain"),)
Serve = Callable[..., httpsock.Server]


@pytest.fixture
def gate() -> Any:
    gate = Gate()
    yield gate
    gate.open()


def behind(gate: Gate) -> Callable[[Request, Context], Response | Steps[Response]]:
    """Return a handler. The path /blocks calls *gate* in a thread. Other paths are answered immediately."""

    def blocks(context: Context) -> Steps[Response]:
        return Response(200, TEXT, (yield from in_thread(context, gate)))

    def handler(request: Request, context: Context) -> Response | Steps[Response]:
        return blocks(context) if request.target.path == b"/blocks" else Response(200, TEXT, b"immediately")

    return handler


def call(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Return a handler that runs *function* in a thread. The answer is the repr() of the result."""

    def handler(request: Request, context: Context) -> Steps[Response]:
        result = yield from in_thread(context, function, *arguments, **keywords)
        return Response(200, TEXT, repr(result).encode())

    return handler


def test_the_result_comes_from_a_thread(serve: Serve) -> None:
    server = serve(None, handler=call(dict, a=1, b=2))

    (answer,) = read_answers(exchange(server.port, get("/")))

    assert answer.content == b"{'a': 1, 'b': 2}"


@pytest.mark.parametrize("error", [ValueError("a secret"), SystemExit("a secret"), TimeoutError("a secret")], ids=repr)
def test_an_exception_is_raised_in_the_handler(serve: Serve, error: BaseException) -> None:
    reports: list[str] = []

    def fail() -> None:
        raise error

    server = serve(None, handler=call(fail), report=reports.append)

    (answer,) = read_answers(exchange(server.port, get("/")))

    assert answer.status == 500
    (report,) = reports
    assert "in fail" in report
    assert "a secret" in report


def test_a_handler_may_catch_the_exception(serve: Serve) -> None:
    def handler(request: Request, context: Context) -> Steps[Response]:
        try:
            yield from in_thread(context, int, "x")
        except ValueError as error:
            return Response(422, TEXT, str(error).encode())
        raise AssertionError

    server = serve(None, handler=handler)

    (answer,) = read_answers(exchange(server.port, get("/")))

    assert (answer.status, answer.text) == (422, "invalid literal for int() with base 10: 'x'")


def test_other_clients_are_served_meanwhile(serve: Serve, gate: Gate) -> None:
    server = serve(None, handler=behind(gate), threads=1)
    with connect(server.port) as slow, connect(server.port) as quick:
        slow.sendall(get("/blocks") + get("/behind"))
        gate.wait()
        for _ in range(3):
            quick.sendall(get("/"))
            assert receive_answer(quick).content == b"immediately"
        assert eventually(lambda: server.blocked() == ["GET /blocks HTTP/1.1 from 127.0.0.1"])

        gate.open()

        assert receive_answer(slow).content == b"through"
        assert receive_answer(slow).content == b"immediately"
        assert eventually(lambda: server.blocked() == [])


def test_more_calls_than_threads_wait(serve: Serve, gate: Gate) -> None:
    server = serve(None, handler=behind(gate))
    clients = [connect(server.port) for _ in range(40)]
    for client in clients:
        client.sendall(get("/blocks"))
    for _ in range(32):
        gate.wait()
    assert eventually(lambda: len(server.blocked()) == 40)
    assert len(set(gate.calls)) == len(gate.calls) == 32

    gate.open()

    for client in clients:
        assert receive_answer(client).content == b"through"
        client.close()
    assert (len(gate.calls), len(set(gate.calls))) == (40, 32)


def test_content_may_be_read_between_two_calls(serve: Serve) -> None:
    def handler(request: Request, context: Context) -> Steps[Response]:
        parts = []
        while octets := (yield from context.read_content(3)):
            parts.append((yield from in_thread(context, octets.upper)))
        return Response(200, TEXT, b"".join(parts))

    server = serve(None, handler=handler)
    request = get("/", "Content-Length: 26", method="POST") + b"abcdefghijklmnopqrstuvwxyz"
    with connect(server.port) as client:
        for _ in range(2):
            client.sendall(request)
            assert receive_answer(client).content == b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_a_client_that_is_gone_is_noticed_at_the_end_of_the_call(serve: Serve, gate: Gate) -> None:
    exchanges: list[Exchange] = []
    reports: list[str] = []
    server = serve(None, handler=behind(gate), log=exchanges.extend, report=reports.append)
    client = connect(server.port)
    client.sendall(get("/blocks"))
    gate.wait()
    assert server._loop is not None
    (connection,) = server._loop._connections.values()
    reset(client)
    assert select.select([connection.descriptor], [], [], TIMEOUT_SECONDS)[0]

    gate.open()

    assert eventually(lambda: server.blocked() == [])
    assert eventually(lambda: server._loop is not None and not server._loop._connections)
    server.wait_for_log()
    assert [(exchange.request_line, exchange.sent) for exchange in exchanges] == [(b"GET /blocks HTTP/1.1", 0)]
    assert reports == []


def test_a_server_that_stops_waits_for_the_call(serve: Serve, gate: Gate) -> None:
    server = serve(None, handler=behind(gate))
    with connect(server.port) as client:
        client.sendall(get("/blocks"))
        gate.wait()

        server.ask_to_stop(TIMEOUT_SECONDS)
        gate.open()
        server.join()

        (answer,) = read_answers(receive_all(client))
        assert (answer.content, answer.field("Connection")) == (b"through", "close")


def test_a_server_that_stops_cuts_the_call_off_after_the_grace(serve: Serve, gate: Gate) -> None:
    """When the server stops, calls that still wait for a thread never run.

    The results of running calls are discarded.
    """
    reports: list[str] = []
    server = serve(None, handler=behind(gate), report=reports.append)
    clients = [connect(server.port) for _ in range(33)]
    for client in clients:
        client.sendall(get("/blocks"))
    for _ in range(32):
        gate.wait()
    assert eventually(lambda: len(server.blocked()) == 33)

    server.stop(grace_seconds=0)

    assert not server.is_running
    assert reports == ["grace period over: 33 responses cut off"]
    for client in clients:
        assert receive_all(client) == b""
        client.close()
    gate.open()
    # The same threads serve the next server.
    with httpsock.Server(None, port=0, handler=call(int, "7")) as other:
        assert read_answers(exchange(other.port, get("/")))[0].content == b"7"
    assert len(gate.calls) == 32


# --- suspend(), for any other wait ----------------------------------------------------------------------------------


def test_a_start_that_raises_ends_only_its_own_request(serve: Serve) -> None:
    reports: list[str] = []

    def handler(request: Request, context: Context) -> Steps[Response]:
        def start(resume: Callable[[], object]) -> None:
            if request.target.path == b"/late":
                resume()
            raise SystemExit("a secret")

        yield from context.suspend(start)
        return Response(204)

    server = serve(None, handler=handler, report=reports.append)

    for path in ("/", "/late"):
        assert read_answers(exchange(server.port, get(path)))[0].status == 500
    assert len(reports) == 2
    assert all("SystemExit: a secret" in report for report in reports)


def test_a_second_call_of_resume_has_no_effect(serve: Serve) -> None:
    """The second call must not end a later wait of the same connection."""
    resumes: list[Callable[[], object]] = []
    second = threading.Event()

    def start_second(resume: Callable[[], object]) -> None:
        resumes[0]()
        resumes.append(resume)
        second.set()

    def start_first(resume: Callable[[], object]) -> None:
        resumes.append(resume)
        resume()

    def handler(request: Request, context: Context) -> Steps[Response]:
        if request.target.path == b"/":
            yield from context.suspend(start_first)
            yield from context.suspend(start_second)
        return Response(200, TEXT, request.target.path)

    server = serve(None, handler=handler)
    with connect(server.port) as client, connect(server.port) as other:
        client.sendall(get("/"))
        assert second.wait(TIMEOUT_SECONDS)
        # When another client has been answered, any effect of the second call would have shown.
        other.sendall(get("/other"))
        assert receive_answer(other).content == b"/other"
        assert eventually(lambda: server.blocked() == ["GET / HTTP/1.1 from 127.0.0.1"])

        resumes[1]()

        assert receive_answer(client).content == b"/"


def test_resume_after_the_end_has_no_effect(serve: Serve) -> None:
    resumes: list[Callable[[], object]] = []

    def handler(request: Request, context: Context) -> Steps[Response]:
        yield from context.suspend(resumes.append)
        return Response(204)

    server = serve(None, handler=handler)
    with connect(server.port) as client:
        client.sendall(get("/"))
        assert eventually(lambda: bool(resumes))
        server.stop(grace_seconds=0)

        resumes[0]()

        assert client.recv(1) == b""
