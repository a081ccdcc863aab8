"""Faulty handlers: the client gets a 500, the server reports a traceback, and other clients are still served."""

import asyncio
import contextlib
import enum
import http
import io
import pathlib
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

import httpsock
from httpsock.handlers.checked import checked
from httpsock.http.handler import Context, Steps
from httpsock.http.messages import FileSlice, Request, Response, Sleep, Status, Stream
from httpsock.server.access_log import Exchange
from httpsock.server.settings import Settings
from tests.server.dialogue import Begin, Dialogue, assert_persists, post
from tests.support import connect, get, read_answers
from tests.support.h11_reader import read_with_h11

TEXT = (("Content-Type", "text/plain"),)
Serve = Callable[..., httpsock.Server]
Ask = Callable[..., tuple[Dialogue, list[str]]]


@pytest.fixture
def ask(begin: Begin, settings: Settings) -> Ask:
    """Return a function that sends a request to a handler. The function returns the dialogue and the reports."""
    reports: list[str] = []
    settings.report = reports.append

    def start(handler: Any, request: bytes = get("/")) -> tuple[Dialogue, list[str]]:
        settings.handler = checked(handler)
        dialogue = begin()
        dialogue.send(request)
        return dialogue, reports

    return start


def assert_failed(dialogue: Dialogue, reports: list[str], reason: str) -> None:
    """Assert that the client got a 500 without details. Assert that the only report has a traceback and *reason*."""
    answer = dialogue.answer()
    assert (answer.status, answer.field("Connection")) == (500, "close")
    assert answer.text == "500 Internal Server Error: the server failed to answer (RFC 9110 §15.6.1)\n"
    assert dialogue.has_received_end
    (report,) = reports
    assert report.startswith("Traceback (most recent call last):")
    assert reason in report
    assert re.search(r"\n(GET|POST) /\S* HTTP/1\.1 from 192\.0\.2\.7\Z", report)
    (exchange,) = dialogue.exchanges
    assert (exchange.status, exchange.reason) == (500, "the server failed to answer")


class _Odd(BaseException):
    """An exception that is not a subclass of Exception."""


ERRORS = [
    ValueError("a secret"),
    SystemExit("a secret"),
    KeyboardInterrupt("a secret"),
    asyncio.CancelledError("a secret"),
    _Odd("a secret"),
    TimeoutError("a secret"),
    ConnectionResetError("a secret"),
    StopIteration("a secret"),
    FileNotFoundError(2, "a secret"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_handler_that_raises_is_answered_with_500(ask: Ask, error: BaseException) -> None:
    def handler(request: Request, context: Context) -> Response:
        raise error

    assert_failed(*ask(handler), "a secret")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("request_octets", [get("/"), post(b"abc"), post(b"abc")[:-1]], ids=["none", "all", "some"])
@pytest.mark.parametrize("reads", [False, True])
def test_steps_that_raise_are_answered_with_500(
    ask: Ask, error: BaseException, request_octets: bytes, reads: bool
) -> None:
    """If *reads* is true, the handler reads the content before it raises the error."""

    def handler(request: Request, context: Context) -> Steps[Response]:
        if reads:
            yield from context.read_content()
        yield
        raise error

    assert_failed(*ask(handler, request_octets), "a secret")


def test_content_behind_a_handler_that_raised_is_not_a_request(ask: Ask) -> None:
    def handler(request: Request, context: Context) -> Response:
        raise ValueError("no")

    dialogue, reports = ask(handler, post(get("/secret"))[:-5])

    assert_failed(dialogue, reports, "ValueError: no")
    dialogue.client.send(b"abcde" + get("/secret"))
    dialogue.run()
    assert len(dialogue.exchanges) == 1


def test_a_report_that_raises_does_not_change_the_answer(begin: Begin, settings: Settings) -> None:
    def fail(text: str) -> None:
        raise SystemExit(text)

    def handler(request: Request, context: Context) -> Response:
        raise ValueError("no")

    settings.report, settings.handler = fail, checked(handler)
    dialogue = begin()
    dialogue.send(get("/"))

    assert dialogue.answer().status == 500


class _Colour(enum.Enum):
    RED = 1


async def _coroutine() -> Response:
    return Response(204)


def _result(make: Callable[[], object]) -> Callable[[Request, Context], object]:
    return lambda request, context: make()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda: None, "TypeError: the handler returned None, not a Response", id="None"),
        pytest.param(lambda: "abc", "TypeError: the handler returned 'abc', not a Response", id="str"),
        pytest.param(lambda: b"abc", "TypeError: the handler returned b'abc', not a Response", id="bytes"),
        pytest.param(lambda: [Response(204)], "TypeError: the handler returned [<", id="list"),
        pytest.param(lambda: (200, b""), "TypeError: the handler returned (200, b'')", id="tuple"),
        pytest.param(lambda: Response, "TypeError: the handler returned <class", id="a class"),
        pytest.param(lambda: Response(99), "ValueError: status must be from 200 to 599, not 99", id="status 99"),
        pytest.param(lambda: Response(101), "ValueError: status must be from 200 to 599, not 101", id="status 101"),
        pytest.param(lambda: Response(205), "ValueError: 205 has a framing of its own", id="status 205"),
        pytest.param(lambda: Response(200, (), "abc"), "TypeError: content must be bytes", id="str content"),  # type: ignore[arg-type]
        pytest.param(lambda: Response(200, (), None), "TypeError", id="None content"),  # type: ignore[arg-type]
        pytest.param(lambda: Response(200, (), (b"a", "b")), "TypeError: content must be bytes", id="str part"),  # type: ignore[arg-type]
        pytest.param(lambda: Response(200, (), (bytearray(3),)), "not bytearray(b", id="bytearray part"),  # type: ignore[arg-type]
        pytest.param(
            lambda: Response(200, (), b"abc", has_length=False),
            "ValueError: only the response to HEAD may omit its length",
            id="without its length",
        ),
        pytest.param(lambda: Response(200, (("A B", "c"),)), "the field name 'A B' is not a token", id="name"),
        pytest.param(lambda: Response(200, (("", "c"),)), "the field name '' is not a token", id="empty name"),
        pytest.param(lambda: Response(200, (("A\r\nB", "c"),)), "is not a token", id="line end in a name"),
        pytest.param(
            lambda: Response(200, (("A", "b\r\nSet-Cookie: c"),)), "the value of A has a control", id="line end"
        ),
        pytest.param(lambda: Response(200, (("A", "b\nc"),)), "the value of A has a control", id="LF"),
        pytest.param(lambda: Response(200, (("A", "b\0c"),)), "the value of A has a control", id="NUL"),
        pytest.param(
            lambda: Response(200, (("A", "€"),)), "the field line 'A: €' has a character", id="beyond Latin-1"
        ),
        pytest.param(lambda: Response(200, (("A", 5),)), "TypeError: fields must be pairs", id="a number as value"),  # type: ignore[arg-type]
        pytest.param(lambda: Response(200, (("A", b"b"),)), "TypeError: fields must be pairs", id="bytes as value"),  # type: ignore[arg-type]
        pytest.param(
            lambda: Response(200, (("A", "b", "c"),)),  # type: ignore[arg-type]
            "TypeError: fields must be pairs",
            id="three in a pair",
        ),
        *(
            pytest.param(
                lambda name=name: Response(200, ((name, "1"),)),
                f"ValueError: the field {name} is set by each response itself",
                id=name,
            )
            for name in (
                "Content-Length",
                "transfer-encoding",
                "Connection",
                "Date",
                "Trailer",
                "Upgrade",
                "Keep-Alive",
            )
        ),
        pytest.param(lambda: Response(200, (), Stream(iter(()), -1)), "must be from 0 to", id="a negative length"),
        pytest.param(lambda: Response(200, (), Stream(iter(()), 1.5)), "must be a whole number", id="half a length"),  # type: ignore[arg-type]
        pytest.param(
            lambda: Response(200, (), Stream(5)),  # type: ignore[arg-type]
            "'int' object is not iterable",
            id="a stream that is not iterable",
        ),
        pytest.param(lambda: Response(200, (), Stream(iter([5]))), "a stream must yield bytes", id="a number as chunk"),  # type: ignore[list-item]
        pytest.param(lambda: Response(200, (), Stream(iter(["a"]))), "a stream must yield bytes", id="text as chunk"),  # type: ignore[list-item]
        pytest.param(lambda: Response(200, (), Stream(iter([Sleep(-1)]))), "the seconds of a Sleep", id="Sleep(-1)"),
        pytest.param(
            lambda: Response(200, (), Stream(iter([Sleep(float("nan"))]))), "the seconds of a Sleep", id="Sleep(nan)"
        ),
    ],
)
def test_an_invalid_result_is_answered_with_500(ask: Ask, make: Callable[[], object], reason: str) -> None:
    assert_failed(*ask(_result(make)), reason)


def test_a_handler_is_not_an_async_function(ask: Ask) -> None:
    """The server closes the coroutine. Otherwise, Python would warn that the coroutine was never awaited."""
    dialogue, reports = ask(lambda request, context: _coroutine())

    assert_failed(dialogue, reports, "TypeError: the handler returned <coroutine")
    assert "not a Response or a generator that returns one; it must not be an async function\n" in reports[0]


@pytest.mark.parametrize("result", [None, "abc", (200, b"")], ids=repr)
@pytest.mark.parametrize("has_steps", [False, True])
def test_a_middleware_names_the_wrong_result_of_its_handler(ask: Ask, result: object, has_steps: bool) -> None:
    def steps() -> Generator[None, None, object]:
        yield
        return result

    def handler(request: Request, context: Context) -> Any:
        return steps() if has_steps else result

    def middleware(request: Request, context: Context) -> Steps[Response]:
        return (yield from httpsock.respond(handler, request, context)).with_fields({"A": "b"})

    assert_failed(*ask(middleware), f"TypeError: the handler returned {result!r}, not a Response")


@pytest.mark.parametrize(
    "value",
    [
        5,
        b"chunk",
        "text",
        (1, 2),
        (),
        (None, None, None),
        (Status.OK, 5.0),
        (http.HTTPStatus.OK, 5.0),
        (_Colour.RED, 1.0),
        Sleep(1),
        Response(204),
        asyncio.sleep,
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_steps_that_yield_an_invalid_value_are_answered_with_500(ask: Ask, value: object) -> None:
    closed: list[bool] = []

    def handler(request: Request, context: Context) -> Iterator[object]:
        try:
            yield None
            yield value
        finally:
            closed.append(True)

    assert_failed(*ask(handler), "TypeError: a handler may only yield None, or from a method of its context, not ")
    assert closed == [True]


@pytest.mark.parametrize("value", [None, b"abc", 5])
def test_steps_that_return_an_invalid_value_are_answered_with_500(ask: Ask, value: object) -> None:
    def handler(request: Request, context: Context) -> Generator[None, None, object]:
        yield
        return value

    assert_failed(*ask(handler), f"TypeError: the handler returned {value!r}, not a Response")


@pytest.mark.parametrize("length", [-1, True, None, 1.5], ids=str)
def test_a_slice_has_a_length(ask: Ask, tmp_path: pathlib.Path, length: Any) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    with io.FileIO(tmp_path / "file") as file:
        assert_failed(*ask(_result(lambda: Response(200, (), (FileSlice(file, 0, length),)))), "Error")


def test_a_slice_has_an_offset(ask: Ask, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    with io.FileIO(tmp_path / "file") as file:
        make = _result(lambda: Response(200, (), (FileSlice(file, -1, 1),)))
        assert_failed(*ask(make), "ValueError: the offset of a slice must be from 0")


@pytest.mark.parametrize(("offset", "length"), [(0, 4), (3, 1), (2**40, 0)])
def test_a_slice_lies_within_its_file(ask: Ask, tmp_path: pathlib.Path, offset: int, length: int) -> None:
    """Otherwise the connection would break off without a report."""
    (tmp_path / "file").write_bytes(b"abc")
    with io.FileIO(tmp_path / "file") as file:
        make = _result(lambda: Response(200, (), (FileSlice(file, 0, 1), FileSlice(file, offset, length))))
        assert_failed(*ask(make), f"ValueError: a slice ends at byte {offset + length} of a file that has 3 bytes")


@pytest.mark.parametrize(
    ("file", "reason"), [(io.BytesIO(b"abc"), "UnsupportedOperation: fileno"), ("file", "AttributeError")]
)
def test_a_slice_is_of_a_file(ask: Ask, file: Any, reason: str) -> None:
    assert_failed(*ask(_result(lambda: Response(200, (), (FileSlice(file, 0, 3),)))), reason)


def test_a_slice_may_be_as_long_as_the_longest_file(ask: Ask, tmp_path: pathlib.Path) -> None:
    longest = 2**63 - 1
    (tmp_path / "file").write_bytes(b"abc")
    with io.FileIO(tmp_path / "file") as file:
        request = get("/").replace(b"GET", b"HEAD")
        dialogue, reports = ask(_result(lambda: Response(200, (), (FileSlice(file, 0, longest),))), request)
        assert dialogue.answer("HEAD").field("Content-Length") == str(longest)
    assert reports == []


class _Closings:
    """A source of content that counts how often it is closed."""

    def __init__(self) -> None:
        self.count = 0

    def close(self) -> None:
        self.count += 1


def test_a_response_that_is_refused_is_closed(ask: Ask) -> None:
    source = _Closings()

    assert_failed(*ask(_result(lambda: Response(200, (("Date", "now"),), b"abc", source))), "the field Date")

    assert source.count


def test_a_status_may_be_a_number(ask: Ask) -> None:
    dialogue, _ = ask(_result(lambda: Response(201, TEXT, b"abc")))

    answer = dialogue.answer()
    assert (answer.status, answer.phrase) == (201, "Created")


def test_a_handler_cannot_open_a_tunnel(ask: Ask) -> None:
    """A 2xx to CONNECT would open a tunnel (RFC 9110 §9.3.6). The client gets a 501, and the server reports nothing."""
    source = _Closings()
    request = b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n"
    dialogue, reports = ask(_result(lambda: Response(200, TEXT, b"abc", source)), request)

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (501, "close")
    assert "the server opens no tunnel (RFC 9110 §9.3.6)" in answer.text
    assert reports == []
    assert source.count


def test_a_handler_may_refuse_a_tunnel_by_itself(ask: Ask) -> None:
    request = b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n" + get("/secret")
    dialogue, _ = ask(_result(lambda: Response(405, TEXT, b"no")), request)

    answer = dialogue.answer()
    assert (answer.status, answer.field("Connection")) == (405, "close")


def test_the_response_to_head_may_omit_its_length(ask: Ask) -> None:
    dialogue, reports = ask(_result(lambda: Response(200, TEXT, has_length=False)), get("/", method="HEAD"))

    assert dialogue.answer("HEAD").field("Content-Length") is None
    assert reports == []


def test_a_response_may_be_sent_again_and_again(ask: Ask) -> None:
    response = Response(200, TEXT, b"abc")
    dialogue, _ = ask(lambda request, context: response, get("/") * 3)

    assert [answer.content for answer in dialogue.answers()] == [b"abc"] * 3


def test_a_handler_that_failed_for_one_client_serves_the_next(ask: Ask, begin: Begin) -> None:
    def handler(request: Request, context: Context) -> object:
        if request.target.path == b"/":
            return "text"
        return Response(200, TEXT, b"abcdefghijklmnopqrstuvwxyz")

    assert_failed(*ask(handler), "TypeError")

    assert_persists(begin())


# --- Streams that fail ----------------------------------------------------------------------------------------------


def failing(error: BaseException | None, *chunks: object) -> Iterator[Any]:
    yield from chunks
    if error:
        raise error


@pytest.mark.parametrize("length", [None, 10])
@pytest.mark.parametrize("error", ERRORS[:-2], ids=lambda error: type(error).__name__)
def test_a_stream_that_fails_at_its_first_chunk_is_answered_with_500(
    ask: Ask, error: BaseException, length: int | None
) -> None:
    source = _Closings()
    make = _result(lambda: Response(200, TEXT, Stream(failing(error), length), source))

    assert_failed(*ask(make), "a secret")

    assert source.count


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize(
    ("error", "chunks", "length", "reason"),
    [
        pytest.param(ValueError("a secret"), (b"abc",), None, "ValueError: a secret", id="raises"),
        pytest.param(SystemExit("a secret"), (b"abc",), None, "SystemExit: a secret", id="exits"),
        pytest.param(OSError("a secret"), (b"abc",), None, "OSError: a secret", id="OSError"),
        pytest.param(None, (b"abc", "text"), None, "a stream must yield bytes or a Sleep, not 'text'", id="text"),
        pytest.param(None, (b"abc", Sleep(-1)), None, "the seconds of a Sleep must be from 0", id="Sleep"),
        pytest.param(ValueError("a secret"), (b"abc",), 10, "ValueError: a secret", id="raises, sized"),
        pytest.param(
            None, (b"abc",), 10, "the stream ended 7 bytes before its length of 10", id="the stream is too short"
        ),
        pytest.param(
            None,
            (b"abc", b"d" * 8),
            10,
            "the stream is longer than its length of 10 bytes",
            id="the stream is too long",
        ),
    ],
)
def test_a_stream_that_fails_later_is_broken_off(
    serve: Serve,
    *,
    error: BaseException | None,
    chunks: tuple[Any, ...],
    length: int | None,
    reason: str,
    version: str,
) -> None:
    """The client must see that the content is incomplete (RFC 9112 §8)."""
    source = _Closings()
    reports: list[str] = []
    exchanges: list[Exchange] = []
    make = _result(lambda: Response(200, TEXT, Stream(failing(error, *chunks), length), source))
    server = serve(None, handler=make, report=reports.append, log=exchanges.extend)
    with connect(server.port) as client:
        client.sendall(get("/", version=version))
        arrived = b""
        with contextlib.suppress(ConnectionResetError):
            while octets := client.recv(65536):
                arrived += octets
            assert (version, length) != ("HTTP/1.0", None), "the content looks complete"
    server.wait_for_log()

    received, _ = read_with_h11(arrived)
    assert (received.content, received.is_whole) == (b"abc", False)
    (report,) = reports
    assert report.startswith("Traceback (most recent call last):")
    assert reason in report
    assert report.endswith(f"\nGET / {version} from 127.0.0.1\n")
    (exchange,) = exchanges
    assert (exchange.status, exchange.sent) == (200, 3)
    assert source.count


def test_pipelined_requests_behind_a_failure_are_not_answered(ask: Ask) -> None:
    def handler(request: Request, context: Context) -> Response:
        raise ValueError("no")

    dialogue, _ = ask(handler, get("/") * 3)

    assert [answer.status for answer in read_answers(dialogue.receive())] == [500]
