"""The connection: persistence, pipelining and HEAD (RFC 9112 §9), over a pair of sockets."""

import pathlib

import pytest

from httpsock.server.state import IDLE_STATES, Phase, State
from tests.server.dialogue import STARTED, TIMEOUTS, Begin, Dialogue, assert_is_closed, assert_persists, chunked, post
from tests.support import get, read_answers
from tests.support.folder import HELLO, LARGE

# --- Persistence: RFC 9112 §9.3 -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "field_lines", "connection", "is_persistent"),
    [
        pytest.param("1.1", [], None, True, id="R082: 1.1 persists by default, unsaid"),
        pytest.param("1.1", ["Connection: keep-alive"], None, True, id="R082: 1.1 persists, asked for or not"),
        pytest.param("1.1", ["Connection: close"], "close", False, id="R084, R086: close is honoured, and announced"),
        pytest.param("1.1", ["Connection: CLOSE"], "close", False, id="9110 §7.6.1: options ignore case"),
        pytest.param("1.1", ["Connection: te, ,close"], "close", False, id="R041: close in a list, after an empty one"),
        pytest.param("1.1", ["Connection: te", "connection: close"], "close", False, id="close on a second line"),
        pytest.param("1.1", ["Connection: keep-alive, close"], "close", False, id="9112 §9.3: close outweighs all"),
        pytest.param("1.1", ["Connection: closed, Xclose"], None, True, id="options that only contain close"),
        pytest.param("1.0", [], "close", False, id="R087: 1.0 closes by default"),
        pytest.param("1.0", ["Connection: keep-alive"], "keep-alive", True, id="R088: 1.0 persists if asked to"),
        pytest.param(
            "1.0",
            ["Connection: Keep-Alive"],
            "keep-alive",
            True,
            id="R088: Keep-Alive in the case that old browsers used",
        ),
        pytest.param("1.0", ["Connection: keep-alive, close"], "close", False, id="R087: 1.0, both asked for"),
        pytest.param("1.0", ["Connection: te"], "close", False, id="R087: 1.0, something else asked for"),
        pytest.param(
            "1.0", ["Keep-Alive: 300"], "close", False, id="R087: the field Keep-Alive does not keep 1.0 open"
        ),
        pytest.param("1.2", [], None, True, id="R011: a higher minor version persists as 1.1 does"),
    ],
)
def test_version_and_options_decide_whether_a_connection_persists(
    dialogue: Dialogue, version: str, field_lines: list[str], connection: str | None, *, is_persistent: bool
) -> None:
    dialogue.send("\r\n".join([f"GET /hello.txt HTTP/{version}", "Host: a", *field_lines, "", ""]).encode())

    answer = dialogue.answer()

    assert answer.content == HELLO
    assert answer.field("Connection") == connection
    if is_persistent:
        assert_persists(dialogue)
    else:
        assert_is_closed(dialogue)


@pytest.mark.parametrize(
    ("request_octets", "status"),
    [
        pytest.param(get("/nothing"), 404, id="404"),
        pytest.param(get("/sub"), 301, id="301"),
        pytest.param(get("/hello.txt", method="PUT"), 405, id="405"),
        pytest.param(get("/hello.txt", method="Get"), 501, id="501 for an unknown method"),
        pytest.param(get("*", method="OPTIONS"), 204, id="204"),
        pytest.param(get("/hello.txt", "If-None-Match: *"), 304, id="304"),
        pytest.param(get("/hello.txt", 'If-Match: "x"'), 412, id="412"),
        pytest.param(get("/hello.txt", "Range: bytes=1-2"), 206, id="206"),
        pytest.param(get("/large.bin", "Range: bytes=0-0,9-9"), 206, id="206 of several parts of a file"),
        pytest.param(get("/hello.txt", "Range: bytes=99-"), 416, id="416"),
        pytest.param(get("/hello.txt", "Expect: the impossible"), 417, id="417"),
    ],
)
def test_a_connection_persists_after_each_ordinary_answer(
    dialogue: Dialogue, request_octets: bytes, status: int
) -> None:
    """A status such as 304, 404, 405 or 416 does not end a connection (RFC 9112 §9.5, requirement R083)."""
    dialogue.send(request_octets)

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, None)
    assert_persists(dialogue)


def test_a_connect_is_answered_and_closed(dialogue: Dialogue) -> None:
    """The server closes, since later octets may belong to a tunnel (RFC 9110 §9.3.6, requirement R028)."""
    dialogue.send(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (405, "close")
    assert dialogue.has_received_end


def test_a_request_after_a_request_to_close_is_not_processed(dialogue: Dialogue) -> None:
    """A request with Connection: close is the client's last one (RFC 9112 §9.6, requirement R084)."""
    dialogue.send(get("/hello.txt", "Connection: close") + get("/alphabet.txt"))

    assert dialogue.answer().content == HELLO
    assert_is_closed(dialogue)
    assert [exchange.request_line for exchange in dialogue.exchanges] == [b"GET /hello.txt HTTP/1.1"]


@pytest.mark.parametrize(
    "request_octets",
    [
        pytest.param(get("/large.bin", "Connection: close"), id="close was asked for"),
        pytest.param(b"GET /large.bin HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
    ],
)
def test_late_input_does_not_destroy_the_last_response(begin: Begin, request_octets: bytes) -> None:
    """Old clients send an extra empty line, which must not turn the close into a reset (requirement R085)."""
    dialogue = begin(buffered_octets=4096)
    dialogue.send(request_octets)
    dialogue.client.sendall(b"\r\n")

    assert dialogue.answer().content == LARGE
    assert_is_closed(dialogue)


def test_a_server_that_stops_sends_connection_close(dialogue: Dialogue) -> None:
    """A server that will close sends Connection: close in its last response (RFC 9112 §9.6, requirement R086)."""
    dialogue.send(get("/hello.txt"))
    dialogue.settings.phase = Phase.STOPPING
    dialogue.send(get("/hello.txt"))

    first, second = dialogue.answers()

    assert (first.field("Connection"), second.field("Connection")) == (None, "close")
    assert_is_closed(dialogue)


def test_a_response_running_when_the_server_stops_is_sent_whole_and_is_the_last(begin: Begin) -> None:
    """After the last response, the server does not wait for another request (requirement R085)."""
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin"))
    dialogue.settings.phase = Phase.STOPPING

    answer = dialogue.answer()

    assert (answer.content, answer.field("Connection")) == (LARGE, None)
    assert dialogue.has_received_end


def test_a_pipelined_request_received_before_the_server_stops_is_answered(begin: Begin) -> None:
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin") + get("/hello.txt"))
    dialogue.settings.phase = Phase.STOPPING

    first, second = dialogue.answers()

    assert (first.content, first.field("Connection")) == (LARGE, None)
    assert (second.content, second.field("Connection")) == (HELLO, "close")
    assert_is_closed(dialogue)


# --- Pipelining, HEAD, and how octets are cut: RFC 9112 §9.3.2, §2.2 ------------------------------


PIPELINE = (
    get("/hello.txt") + get("/large.bin", method="HEAD") + post(b"abc") + chunked(b"x", b"yz") + get("/large.bin")
)


def assert_answers_the_pipeline(dialogue: Dialogue) -> None:
    """Assert that the answers to the pipelined requests arrive in order."""
    answers = dialogue.answers("GET", "HEAD", "POST", "POST")
    assert [(answer.status, len(answer.content)) for answer in answers if answer.status == 200] == [
        (200, len(HELLO)),
        (200, 0),
        (200, len(LARGE)),
    ]
    assert [answer.status for answer in answers] == [200, 200, 405, 405, 200]
    assert answers[0].content == HELLO
    assert answers[4].content == LARGE


def test_pipelined_requests_are_answered_in_order(dialogue: Dialogue) -> None:
    """A server must answer in the order of the requests (RFC 9112 §9.3.2; requirements R089 and R090)."""
    dialogue.send(PIPELINE)

    assert_answers_the_pipeline(dialogue)
    assert_persists(dialogue)


def test_requests_may_come_one_octet_at_a_time(dialogue: Dialogue) -> None:
    """The result does not depend on how many octets each read returns (RFC 9112 §2.2, requirement R001)."""
    for octet in PIPELINE:
        dialogue.send(bytes([octet]))

    assert_answers_the_pipeline(dialogue)
    assert_persists(dialogue)


def test_an_incomplete_head_is_not_answered(dialogue: Dialogue) -> None:
    """The server answers only after the last octet of the head (RFC 9110 §5.3, requirement R047)."""
    request_octets = get("/hello.txt")
    dialogue.send(request_octets[:-1])
    assert dialogue.receive() == b""

    dialogue.send(request_octets[-1:])

    assert dialogue.answer().content == HELLO


def test_head_of_a_listing_omits_fields_that_depend_on_the_page(dialogue: Dialogue) -> None:
    """HEAD does not read the folder (RFC 9110 §9.3.2)."""
    dialogue.send(get("/") + get("/", method="HEAD"))

    got, head = dialogue.answers("GET", "HEAD")

    assert head.fields == [field for field in got.fields if field[0] not in ("ETag", "Content-Length")]
    assert head.content == b""
    assert_persists(dialogue)


@pytest.mark.parametrize("path", ["/hello.txt", "/large.bin", "/sub/", "/nothing"])
def test_head_has_the_fields_of_get_and_no_content(dialogue: Dialogue, path: str) -> None:
    """Content-Length is the length that GET would have (RFC 9110 §9.3.2, §8.6; requirements R101 to R103)."""
    dialogue.send(get(path) + get(path, method="HEAD"))

    got, head = dialogue.answers("GET", "HEAD")

    assert head._replace(content=got.content) == got
    assert head.content == b""
    assert_persists(dialogue)


def test_all_responses_carry_the_shared_fields(dialogue: Dialogue) -> None:
    dialogue.send(get("/hello.txt") + get("/nothing") + b"nonsense\r\n\r\n")

    answers = dialogue.answers()

    assert [(answer.status, answer.field("Server")) for answer in answers] == [
        (200, "httpsock"),
        (404, "httpsock"),
        (400, "httpsock"),
    ]


def test_a_client_that_ends_its_side_still_gets_all_its_answers(begin: Begin) -> None:
    """The client shuts down its sending side and can still read (RFC 9112 §9.6, requirement R092)."""
    dialogue = begin(buffered_octets=4096)
    dialogue.client.sendall(PIPELINE)
    dialogue.end_our_side()

    assert_answers_the_pipeline(dialogue)
    assert dialogue.has_received_end
    assert not dialogue.is_open


# --- Spurious events ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="before a request"),
        pytest.param(get("/hello.txt")[:-1], id="in a head"),
        pytest.param(get("/hello.txt", "Content-Length: 9"), id="in content"),
        pytest.param(b"nonsense\r\n\r\n", id="in a lingering close"),
    ],
)
def test_a_connection_resumed_without_input_keeps_waiting(dialogue: Dialogue, octets: bytes) -> None:
    dialogue.send(octets)
    waited_for = dialogue.connection.awaited, dialogue.connection.deadline

    dialogue.resume()

    assert dialogue.is_open
    assert (dialogue.connection.awaited, dialogue.connection.deadline) == waited_for


@pytest.mark.parametrize("path", ["/large.bin", "/small.bin"])
def test_a_connection_resumed_with_a_full_send_buffer_keeps_waiting(
    begin: Begin, folder: pathlib.Path, path: str
) -> None:
    (folder / "small.bin").write_bytes(LARGE[: 63 * 1024])
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get(path))

    dialogue.resume()

    assert dialogue.connection.state is State.SENDING
    assert LARGE.startswith(dialogue.answer().content)
    assert_persists(dialogue)


def test_only_a_fully_answered_client_is_idle(begin: Begin) -> None:
    """When the event loop stops, it closes only idle connections."""
    dialogue = begin(buffered_octets=4096)
    assert dialogue.connection.state in IDLE_STATES
    dialogue.send(get("/large.bin", "Content-Length: 1")[:-1])
    assert dialogue.connection.state not in IDLE_STATES
    dialogue.send(b"\n")
    assert dialogue.connection.state not in IDLE_STATES
    dialogue.send(b"x")
    assert dialogue.connection.state not in IDLE_STATES

    assert dialogue.answer().content == LARGE

    assert dialogue.connection.state in IDLE_STATES


# --- The log --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        pytest.param(get("/hello.txt"), (b"GET /hello.txt HTTP/1.1", 200, len(HELLO), len(HELLO)), id="a small file"),
        pytest.param(get("/large.bin"), (b"GET /large.bin HTTP/1.1", 200, len(LARGE), len(LARGE)), id="a large file"),
        pytest.param(get("/large.bin", "Range: bytes=1-9"), (b"GET /large.bin HTTP/1.1", 206, 9, 9), id="a range"),
        pytest.param(get("/large.bin", method="HEAD"), (b"HEAD /large.bin HTTP/1.1", 200, 0, 0), id="HEAD"),
        pytest.param(get("*", method="OPTIONS"), (b"OPTIONS * HTTP/1.1", 204, 0, 0), id="no content"),
        pytest.param(get("/empty.txt"), (b"GET /empty.txt HTTP/1.1", 200, 0, 0), id="an empty file"),
    ],
)
def test_a_complete_exchange_is_logged(
    dialogue: Dialogue, octets: bytes, expected: tuple[bytes, int, int, int]
) -> None:
    dialogue.send(octets)
    dialogue.receive()

    (exchange,) = dialogue.exchanges

    assert (exchange.request_line, exchange.status, exchange.sent, exchange.length) == expected
    assert exchange.client == "192.0.2.7"


@pytest.mark.parametrize(
    ("octets", "request_line", "status"),
    [
        pytest.param(b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", b"GET / HTTP/3.0", 505, id="a request line"),
        pytest.param(b"\r\nnonsense\r\n\r\n", b"nonsense", 400, id="something else"),
        pytest.param(b"G\x00T / HTTP", b"G\x00T / HTTP", 400, id="the start of something"),
    ],
)
def test_a_refusal_is_logged_with_the_received_request_line(
    dialogue: Dialogue, octets: bytes, request_line: bytes, status: int
) -> None:
    dialogue.send(octets)
    answer = dialogue.answer()

    (exchange,) = dialogue.exchanges

    assert (exchange.request_line, exchange.status) == (request_line, status)
    assert exchange.sent == exchange.length == len(answer.content)


def test_a_truncated_response_is_logged_with_the_number_of_sent_octets(begin: Begin) -> None:
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin"))

    dialogue.connection.coroutine.close()
    dialogue.connection.close()

    (exchange,) = dialogue.exchanges
    content = dialogue.client.recv(len(LARGE)).partition(b"\r\n\r\n")[2]
    content += dialogue.client.recv(len(LARGE))
    assert 0 < exchange.sent < exchange.length == len(LARGE)
    assert LARGE.startswith(content)


def test_without_a_log_the_answers_are_the_same(begin: Begin) -> None:
    dialogue = begin(is_logged=False)
    dialogue.send(PIPELINE)

    assert_answers_the_pipeline(dialogue)
    assert dialogue.exchanges == []


def test_a_pipelining_client_gets_one_response_per_tick(dialogue: Dialogue) -> None:
    """Between two pipelined responses, the server answers other clients (requirement R093)."""
    dialogue.client.sendall(get("/", method="HEAD") * 3)
    coroutine = dialogue.connection.coroutine
    assert coroutine.send(None) is None
    dialogue.connection.state = State.QUEUED

    for expected in (None, None, (State.IDLE, STARTED + TIMEOUTS.idle)):
        assert coroutine.send(None) == expected
        assert len(read_answers(dialogue.client.recv(65536), "HEAD")) == 1
