"""Request content that a handler reads or ignores (RFC 9112 §6, §7.1, §9.3); 100 (Continue) (RFC 9110 §10.1.1)."""

import inspect
from collections.abc import Callable

import pytest

from httpsock.handlers.checked import checked
from httpsock.http.handler import Context, Steps
from httpsock.http.messages import Request, RequestError, Response, Stream
from httpsock.server.settings import Settings
from httpsock.server.state import State
from tests.server.dialogue import MAX_CONTENT, TIMEOUTS, Begin, Dialogue, chunked, post
from tests.support import fill, get
from tests.support.h11_reader import read_with_h11

TEXT = (("Content-Type", "text/plain"),)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def echo(request: Request, context: Context) -> Steps[Response]:
    """Answer with the content of the request."""
    content = b""
    while octets := (yield from context.read_content(7)):
        assert len(octets) <= 7
        content += octets
    # Reading after the end returns b"" again.
    assert (yield from context.read_content()) == b""
    return Response(200, TEXT, content)


@pytest.fixture
def reports(settings: Settings) -> list[str]:
    """Set the handler echo(), and return the list of the connection's reports."""
    found: list[str] = []
    settings.report = found.append
    settings.handler = checked(echo)
    return found


@pytest.fixture
def echoing(reports: list[str], begin: Begin) -> Dialogue:
    return begin()


TEXT_64 = bytes(range(64))


@pytest.mark.parametrize("octet_by_octet", [False, True])
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(post(b""), id="Content-Length: 0"),
        pytest.param(post(TEXT_64), id="of a length, as much as is allowed"),
        pytest.param(post(get("/secret")), id="a request is content"),
        pytest.param(chunked(TEXT_64), id="one chunk"),
        pytest.param(chunked(*(b"%c" % octet for octet in TEXT_64)), id="chunks of one octet"),
        pytest.param(chunked(), id="no chunk but the last"),
        pytest.param(
            get("/", "Transfer-Encoding: chunked", method="POST") + b"3;a=b\r\nabc\r\n0;c\r\nT: x\r\nY: z\r\n\r\n",
            id="extensions and trailers",
        ),
        pytest.param(post(b"x" * 30, method="GET"), id="of a GET"),
    ],
)
def test_a_handler_reads_the_content_and_the_next_request_follows(
    echoing: Dialogue, octets: bytes, octet_by_octet: bool
) -> None:
    pieces = [b"%c" % octet for octet in octets + post(b"next")] if octet_by_octet else [octets + post(b"next")]
    for piece in pieces:
        echoing.send(piece)

    first, second = echoing.answers()

    head, _, framed = octets.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        assert first.content == framed
    elif framed.startswith(b"3;"):
        assert first.content == b"abc"
    else:
        assert first.content == (b"" if framed.startswith(b"0") else TEXT_64)
    assert (second.content, second.field("Connection")) == (b"next", None)


def test_content_reaches_the_handler_before_its_end(begin: Begin, settings: Settings) -> None:
    found: list[bytes] = []

    def handler(request: Request, context: Context) -> Steps[Response]:
        while octets := (yield from context.read_content()):
            found.append(octets)
        return Response(204)

    settings.handler = checked(handler)
    dialogue = begin()
    dialogue.send(get("/", "Content-Length: 6", method="PUT") + b"ab")
    assert found == [b"ab"]
    dialogue.send(b"c")
    assert found == [b"ab", b"c"]
    dialogue.send(b"def")
    assert dialogue.answer().status == 204


def test_a_read_must_be_of_at_least_one_octet(begin: Begin, settings: Settings, reports: list[str]) -> None:
    def handler(request: Request, context: Context) -> Steps[Response]:
        yield from context.read_content(0)
        return Response(204)

    settings.handler = checked(handler)
    dialogue = begin()
    dialogue.send(post(b"abc"))

    assert dialogue.answer().status == 500
    assert "ValueError: maximum must be from 1, not 0" in reports[0]


@pytest.mark.parametrize(
    ("octets", "status", "sentence"),
    [
        (get("/", f"Content-Length: {MAX_CONTENT + 1}", method="POST"), 413, "longer than the limit of 64 bytes"),
        (
            get("/", f"Content-Length: {MAX_CONTENT + 1}", "Expect: 100-continue", method="POST"),
            413,
            "longer than the limit of 64 bytes",
        ),
        (get("/", "Transfer-Encoding: chunked", method="POST") + b"41\r\n", 413, "longer than the limit of 64 bytes"),
        (get("/", "Transfer-Encoding: chunked", method="POST") + b"1\r\nab\r\n", 400, "not by CRLF"),
        (get("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\nA B: x\r\n", 400, "RFC 9110 §5.1"),
    ],
)
def test_content_that_is_too_long_or_malformed_is_refused(
    echoing: Dialogue, reports: list[str], octets: bytes, status: int, sentence: str
) -> None:
    """The server must not parse later octets as a request. It does not report a client's error."""
    echoing.send(octets + b"\r\n\r\n" + get("/secret"))

    answer = echoing.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    assert sentence in answer.text
    assert echoing.has_received_end
    assert reports == []
    assert len(echoing.exchanges) == 1


def test_a_handler_that_ignores_malformed_content_answers_and_closes(
    begin: Begin, settings: Settings, reports: list[str]
) -> None:
    errors: list[object] = []

    def handler(request: Request, context: Context) -> Steps[Response]:
        for _ in range(2):
            try:
                yield from context.read_content()
            except RequestError as error:
                errors.append(error)
        assert (yield from context.discard_content()) is None
        return Response(200, TEXT, b"never mind")

    settings.handler = checked(handler)
    dialogue = begin()
    dialogue.send(get("/", "Transfer-Encoding: chunked", method="POST") + b"x\r\n\r\n" + get("/secret"))

    answer = dialogue.answer()

    assert (answer.content, answer.field("Connection")) == (b"never mind", "close")
    assert dialogue.has_received_end
    # Each read raises the same error: parsing does not resume after a fault.
    assert len(errors) == 2
    assert errors[0] is errors[1]


def test_content_that_comes_too_late_is_refused(echoing: Dialogue, reports: list[str]) -> None:
    echoing.send(get("/", "Content-Length: 9", method="POST") + b"abc")
    assert echoing.connection.state is State.CONTENT
    assert echoing.seconds_left == TIMEOUTS.stall

    echoing.pass_time(TIMEOUTS.stall)

    answer = echoing.answer()
    assert (answer.status, answer.field("Connection")) == (408, "close")
    assert "the content did not come in time (RFC 9110 §15.5.9)" in answer.text
    assert reports == []


def test_the_time_of_the_handler_does_not_count_for_the_client(begin: Begin, settings: Settings) -> None:
    def handler(request: Request, context: Context) -> Steps[Response]:
        content = b""
        while octets := (yield from context.read_content()):
            content += octets
            yield from context.suspend(lambda resume: None)
        return Response(200, TEXT, content)

    settings.handler = checked(handler)
    dialogue = begin()
    dialogue.send(get("/", "Content-Length: 6", method="POST"))
    for octet in b"abcde":
        dialogue.pass_time(TIMEOUTS.content / 6)
        dialogue.send(b"%c" % octet)
        # The handler takes more time than the client may take.
        assert dialogue.connection.state is State.SUSPENDED
        dialogue.now += TIMEOUTS.content
        dialogue.resume()
    assert dialogue.seconds_left == TIMEOUTS.content / 6
    dialogue.send(b"f")
    dialogue.resume()

    assert dialogue.answer().content == b"abcdef"


def test_the_content_of_each_request_has_its_own_deadline(echoing: Dialogue) -> None:
    for _ in range(3):
        echoing.send(get("/", "Content-Length: 3", method="POST"))
        for octet in b"abc":
            echoing.pass_time(TIMEOUTS.stall * 0.6)
            echoing.send(b"%c" % octet)
        assert echoing.answer().content == b"abc"


@pytest.mark.parametrize("octets", [post(b"abc")[:-1], chunked(b"abc")[:-1]], ids=["length", "chunked"])
def test_a_client_that_ends_its_side_within_the_content_gets_400(
    echoing: Dialogue, reports: list[str], octets: bytes
) -> None:
    """The client has shut down only its sending side, so it can read the answer (RFC 9112 §8)."""
    echoing.send(octets)
    echoing.end_our_side()

    answer = echoing.answer()

    assert (answer.status, answer.field("Connection")) == (400, "close")
    assert "the connection ended before the content was complete (RFC 9112 §8)" in answer.text
    assert reports == []
    assert not echoing.is_open


def test_a_client_that_leaves_within_the_content_is_not_reported(
    settings: Settings, reports: list[str], begin: Begin
) -> None:
    caught: list[BaseException] = []

    def handler(request: Request, context: Context) -> Steps[Response]:
        try:
            yield from context.read_content()
        except BaseException as error:
            caught.append(error)
            raise
        return Response(204)

    settings.handler = checked(handler)
    dialogue = begin()
    # The client does not read the answer, so that closing its socket resets the connection.
    dialogue.send(get("/", "Content-Length: 9", "Expect: 100-continue", method="POST"))
    assert dialogue.connection.state is State.CONTENT
    dialogue.client.close()
    dialogue.run()

    assert not dialogue.is_open
    assert reports == []
    assert dialogue.exchanges == []
    assert isinstance(caught[0], ConnectionResetError)


# --- Expect: RFC 9110 §10.1.1 ---------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_100_is_sent_at_the_first_read(begin: Begin, settings: Settings, framing: str) -> None:
    go = [False]

    def handler(request: Request, context: Context) -> Steps[Response]:
        while not go[0]:
            # Suspend the handler before it reads.
            yield from context.suspend(lambda resume: None)
        return (yield from echo(request, context))

    settings.handler = checked(handler)
    dialogue = begin()
    dialogue.send(get("/", framing, "Expect: 100-Continue", method="POST"))
    assert dialogue.receive() == b""

    go[0] = True
    dialogue.resume()
    assert dialogue.receive() == CONTINUE

    for piece in (b"3\r\nabc\r\n", b"0\r\n\r\n") if "chunked" in framing else (b"a", b"bc"):
        assert dialogue.receive() == b""
        dialogue.send(piece)
    received, rest = read_with_h11(CONTINUE + dialogue.receive(), "POST")
    assert (received.content, received.interim, received.can_reuse, rest) == (b"abc", [100], True, b"")
    dialogue.send(post(b"next"))
    assert dialogue.answer().content == b"next"


def test_100_is_not_sent_once_content_has_arrived(echoing: Dialogue) -> None:
    echoing.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST") + b"a")
    assert echoing.receive() == b""
    echoing.send(b"bc")

    assert echoing.answer().content == b"abc"


def test_100_is_not_sent_to_http_1_0(echoing: Dialogue) -> None:
    echoing.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST", version="HTTP/1.0"))
    assert echoing.receive() == b""
    echoing.send(b"abc")

    assert echoing.answer().content == b"abc"


def test_100_is_not_sent_for_another_expectation(echoing: Dialogue) -> None:
    echoing.send(get("/", "Content-Length: 3", "Expect: magic", method="POST"))
    assert echoing.receive() == b""
    echoing.send(b"abc")

    assert echoing.answer().content == b"abc"


def test_100_waits_for_a_client_that_does_not_read(reports: list[str], begin: Begin) -> None:
    dialogue = begin(buffered_octets=4096)
    filling = fill(dialogue._connected)
    dialogue.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
    assert dialogue.connection.state is State.SENDING

    assert dialogue.receive() == bytes(filling) + CONTINUE
    dialogue.send(b"abc")
    assert dialogue.answer().content == b"abc"


def test_a_client_that_does_not_read_100_is_dropped(reports: list[str], begin: Begin) -> None:
    dialogue = begin(buffered_octets=4096)
    fill(dialogue._connected)
    dialogue.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))

    dialogue.pass_time(TIMEOUTS.slow)

    assert not dialogue.is_open
    assert reports == []


def test_content_for_which_no_100_was_sent_is_not_read(begin: Begin, settings: Settings) -> None:
    """If no 100 was sent, the client may send the content or omit it. The server therefore closes the connection."""
    settings.handler = checked(lambda request, context: Response(200, TEXT, b"no"))
    dialogue = begin()
    dialogue.send(get("/", "Content-Length: 30", "Expect: 100-continue", method="POST"))

    answer = dialogue.answer()

    assert (answer.content, answer.field("Connection")) == (b"no", "close")
    dialogue.send(get("/secret"))
    assert dialogue.receive() == b""
    assert dialogue.has_received_end
    assert len(dialogue.exchanges) == 1


# --- Content that the handler does not read -------------------------------------------------------


def take(number: int) -> Callable[[Request, Context], Steps[Response]]:
    """Return a handler that reads *number* octets, one per call."""

    def handler(request: Request, context: Context) -> Steps[Response]:
        content = b""
        for _ in range(number):
            content += yield from context.read_content(1)
        return Response(200, TEXT, content)

    return handler


@pytest.mark.parametrize("number", [0, 1, 2, 40])
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(post(get("/secret")), id="length"),
        pytest.param(chunked(get("/secret")), id="one chunk"),
        pytest.param(chunked(b"GE", get("/secret"), b"\r\n\r\n"), id="chunks"),
    ],
)
@pytest.mark.parametrize("cut", [None, 3])
def test_unread_content_is_never_parsed_as_a_request(
    begin: Begin, settings: Settings, octets: bytes, number: int, cut: int | None
) -> None:
    settings.handler = checked(take(number))
    dialogue = begin()
    octets += get("/alphabet.txt", method="OPTIONS")
    for first in range(0, len(octets), cut or len(octets)):
        dialogue.send(octets[first : first + (cut or len(octets))])

    first_answer, second = dialogue.answers()

    assert len(first_answer.content) <= number
    assert second.content == b""
    assert [exchange.request_line[:8] for exchange in dialogue.exchanges] == [b"POST /he", b"OPTIONS "]


def test_the_response_does_not_wait_for_unread_content(begin: Begin, settings: Settings) -> None:
    settings.handler = checked(take(0))
    dialogue = begin()
    dialogue.send(get("/", "Content-Length: 20", method="POST") + b"x")
    assert dialogue.answer().field("Connection") is None
    assert dialogue.connection.state is State.DISCARDING

    dialogue.send(b"x" * 19 + get("/"))

    assert dialogue.answer().status == 200


def test_unread_content_must_arrive_in_time(begin: Begin, settings: Settings, reports: list[str]) -> None:
    settings.handler = checked(take(0))
    dialogue = begin()
    dialogue.send(get("/", "Content-Length: 20", method="POST"))
    assert dialogue.answer().status == 200

    dialogue.pass_time(TIMEOUTS.stall)

    # No 408 follows, since the response has been sent.
    assert dialogue.receive() == b""
    assert dialogue.has_received_end
    assert reports == []


@pytest.mark.parametrize("framing", [f"Content-Length: {MAX_CONTENT + 1}", f"Content-Length: {10**12}"])
def test_more_content_than_the_limit_is_not_discarded(begin: Begin, settings: Settings, framing: str) -> None:
    settings.handler = checked(take(0))
    dialogue = begin()
    dialogue.send(get("/", framing, method="POST") + get("/secret") * 5)

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (200, "close")
    assert dialogue.has_received_end
    assert len(dialogue.exchanges) == 1


def test_chunks_without_end_are_not_discarded_for_ever(begin: Begin, settings: Settings) -> None:
    settings.handler = checked(take(0))
    dialogue = begin()
    dialogue.send(get("/", "Transfer-Encoding: chunked", method="POST"))
    assert dialogue.answer().status == 200

    dialogue.send(b"40\r\n" + bytes(64) + b"\r\n1\r\n")

    assert dialogue.receive() == b""
    assert dialogue.has_received_end


def test_content_is_not_stored_while_a_response_waits_for_its_reader(begin: Begin, settings: Settings) -> None:
    def handler(request: Request, context: Context) -> Steps[Response]:
        yield from context.read_content(1)
        return Response(200, TEXT, Stream(iter([bytes(100_000)] * 10)))

    settings.handler = checked(handler)
    dialogue = begin(buffered_octets=4096)
    dialogue.send(post(b"x" * MAX_CONTENT))

    assert dialogue.connection.state is State.SENDING
    assert dialogue.connection._content == b""
    held = inspect.getgeneratorlocals(dialogue.connection.coroutine)["request"]
    assert (held.head, held.fields) == (b"", {})


def test_the_logged_time_includes_the_content_and_the_handler(
    echoing: Dialogue,
) -> None:
    """The time of the next response starts again at zero."""
    echoing.send(get("/", "Content-Length: 3", method="POST"))
    echoing.pass_time(25)
    echoing.send(b"abc")
    echoing.send(post(b"next"))

    first, second = echoing.exchanges
    # Compare the difference: the clock of the machine, which the handler's time is measured with, is another one.
    assert round(first.seconds - second.seconds) == 25


def test_a_stored_context_does_not_read_content_of_a_later_request(begin: Begin, settings: Settings) -> None:
    stored: list[Context] = []

    def handler(request: Request, context: Context) -> Steps[Response]:
        stored.append(context)
        octets = yield from stored[0].read_content()
        return Response(200, TEXT, octets)

    settings.handler = checked(handler)
    dialogue = begin()
    dialogue.send(post(b"abc") + get("/") + post(b"def"))

    assert [answer.content for answer in dialogue.answers()] == [b"abc", b"", b"def"]


def test_a_handler_sees_the_request_and_the_connection(begin: Begin, settings: Settings) -> None:
    def handler(request: Request, context: Context) -> Response:
        lines = [
            request.method,
            request.target.path.decode(),
            (request.field(b"x-own") or b"").decode(),
            context.client,
            context.network,
            context.scheme,
            str(context.is_stopping),
            str(context.max_content),
        ]
        return Response(200, TEXT, "\n".join(lines).encode())

    settings.handler = checked(handler)
    dialogue = begin()
    dialogue.send(get("/a/b?c", "X-Own: 1", "x-own: 2"))

    lines = dialogue.answer().text.splitlines()
    assert lines == ["GET", "/a/b", "1, 2", "192.0.2.7", "192.0.2.7", "http", "False", str(MAX_CONTENT)]


def test_a_reset_while_content_is_discarded_ends_the_connection(
    begin: Begin, settings: Settings, reports: list[str]
) -> None:
    settings.handler = checked(take(0))
    dialogue = begin()
    dialogue.send(get("/", "Content-Length: 20", method="POST"))
    # The client has not read the response, so that closing its socket resets the connection.
    dialogue.client.close()
    dialogue.run()

    assert not dialogue.is_open
    assert reports == []
