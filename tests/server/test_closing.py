"""Closing a connection: the client's end or reset, refused requests, and the lingering close (RFC 9112 §9.6)."""

import pytest

from httpsock.server.poller import READABLE
from tests.server.dialogue import MUCH, TIMEOUTS, Begin, Dialogue, assert_is_closed
from tests.support import get
from tests.support.folder import HELLO, LARGE

# --- The client ends its side ---------------------------------------------------------------------


def test_a_silent_client_that_leaves_is_closed(dialogue: Dialogue) -> None:
    dialogue.end_our_side()

    assert dialogue.receive() == b""
    assert dialogue.has_received_end
    assert not dialogue.is_open
    assert dialogue.exchanges == []


def test_a_truncated_head_is_refused(dialogue: Dialogue) -> None:
    """A server must not process a truncated request (RFC 9112 §8)."""
    dialogue.send(get("/hello.txt")[:-2])
    dialogue.end_our_side()

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (400, "close")
    assert "the connection ended before the head was complete (RFC 9112 §8)" in answer.text
    assert not dialogue.is_open


@pytest.mark.parametrize(
    "request_octets",
    [
        pytest.param(b"", id="without a word"),
        pytest.param(b"GET / HT", id="in the middle of a head"),
        pytest.param(get("/", "Content-Length: 9") + b"1", id="in the middle of content"),
    ],
)
def test_a_connection_that_its_client_resets_is_closed(dialogue: Dialogue, request_octets: bytes) -> None:
    """If a client closes before it reads the answer, its kernel resets the connection (requirement R093)."""
    dialogue.send(get("/hello.txt"))
    dialogue.send(request_octets)
    dialogue.client.close()

    dialogue.run()

    assert not dialogue.is_open


def test_a_connection_whose_client_leaves_during_a_download_is_closed(begin: Begin) -> None:
    """The log shows how many octets the server sent (requirement R093)."""
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin"))
    dialogue.client.close()

    dialogue.run()

    assert not dialogue.is_open
    (exchange,) = dialogue.exchanges
    assert 0 < exchange.sent < exchange.length == len(LARGE)


# --- Refusals, and the lingering close: RFC 9112 §9.6 ---------------------------------------------


@pytest.mark.parametrize(
    ("octets", "status", "sentence"),
    [
        pytest.param(
            b"GET / HTTP/1.1\r\n\r\n", 400, "there is no Host field line (RFC 9112 §3.2)", id="R029: without Host"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            400,
            "field line 1 has a space before its colon (RFC 9112 §5.1)",
            id="R036: space before the colon",
        ),
        pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/2.0 is not supported", id="R013: HTTP/2"),
        pytest.param(b"\x16\x03\x01\x00", 400, "a TLS handshake on a plain HTTP port", id="R096: a TLS handshake"),
        pytest.param(b"GET /" + b"a" * 8300, 414, "RFC 9110 §15.5.15", id="R015: an endless target"),
    ],
)
def test_a_malformed_request_is_refused_and_later_input_is_not_processed(
    dialogue: Dialogue, octets: bytes, status: int, sentence: str
) -> None:
    """After a malformed request, the server cannot find the next one (RFC 9112 §2.2; requirements R006 and R007)."""
    dialogue.send(octets)
    dialogue.send(get("/secret"))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    assert sentence in answer.text
    assert_is_closed(dialogue)


def test_a_head_that_is_refused_gets_no_content(dialogue: Dialogue) -> None:
    """The server knows the method HEAD although a later line is malformed (requirement R101)."""
    dialogue.send(b"HEAD /hello.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")

    answer = dialogue.answer("HEAD")

    assert (answer.status, answer.field("Connection"), answer.content) == (400, "close", b"")


def test_a_refusal_has_a_media_type_that_the_client_accepts(dialogue: Dialogue) -> None:
    """The server obeys Accept even if another line of the head is malformed (requirement R113)."""
    dialogue.send(b"GET / HTTP/1.1\r\nAccept: application/json\r\nHost: a\r\nHost: b\r\n\r\n")

    assert dialogue.answer().field("Content-Type") == "application/json; charset=utf-8"


def test_requests_before_the_one_that_is_refused_are_answered(dialogue: Dialogue) -> None:
    dialogue.send(get("/hello.txt") + b"nonsense\r\n\r\n")

    first, second = dialogue.answers()

    assert (first.content, first.field("Connection")) == (HELLO, None)
    assert (second.status, second.field("Connection")) == (400, "close")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(get("/hello.txt", f"Content-Length: {MUCH}"), 413, id="413"),
        pytest.param(get("/x", f"Content-Length: {MUCH}", method="PUT"), 405, id="405"),
        pytest.param(get("/x", f"Content-Length: {MUCH}", "Expect: 100-continue", method="PUT"), 405, id="Expect"),
        pytest.param(b"nonsense\r\n\r\n", 400, id="400"),
    ],
)
def test_a_refusal_is_not_destroyed_by_unread_input(dialogue: Dialogue, head: bytes, status: int) -> None:
    """A close with unread input would reset the connection and could destroy the answer (requirement R091)."""
    dialogue.send(head + b"x" * MUCH)

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    assert_is_closed(dialogue)


def test_a_lingering_close_waits_for_the_client_to_end_its_side(dialogue: Dialogue) -> None:
    """The server shuts down its sending side first, so the client sees the end of the answer (requirement R091)."""
    dialogue.send(b"nonsense\r\n\r\n")
    assert dialogue.answer().status == 400
    assert dialogue.has_received_end
    assert dialogue.is_open
    assert dialogue.connection.awaited == READABLE
    assert dialogue.seconds_left == TIMEOUTS.linger

    dialogue.end_our_side()

    assert not dialogue.is_open


def test_a_lingering_close_ends_without_input(dialogue: Dialogue) -> None:
    dialogue.send(b"nonsense\r\n\r\n")
    dialogue.pass_time(TIMEOUTS.linger - 0.1)
    dialogue.send(b"x")
    dialogue.pass_time(TIMEOUTS.linger - 0.1)
    assert dialogue.is_open

    dialogue.pass_time(0.1)

    assert not dialogue.is_open


def test_a_lingering_close_ends_even_if_the_client_never_does(dialogue: Dialogue) -> None:
    """A client that keeps sending cannot extend the deadline (RFC 9112 §9.5, requirement R094)."""
    dialogue.send(b"nonsense\r\n\r\n")
    for _ in range(9):
        dialogue.pass_time(TIMEOUTS.linger_total / 10)
        dialogue.send(b"x")
    assert dialogue.is_open
    assert dialogue.seconds_left == TIMEOUTS.linger_total / 10

    dialogue.now += TIMEOUTS.linger_total / 10
    dialogue.client.send(b"x")
    dialogue.resume()

    assert not dialogue.is_open
