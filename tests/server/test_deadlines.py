"""The deadlines of a connection: idle, head, content and lingering close (RFC 9112 §9.5, RFC 9110 §15.5.9)."""

import pytest

from httpsock.server.state import IDLE_STATES
from tests.server.dialogue import MUCH, TIMEOUTS, Dialogue, assert_is_closed
from tests.support import get
from tests.support.folder import HELLO

LATE_HEAD = "the head was not complete 10 seconds after its first byte (RFC 9110 §15.5.9)"
LATE_CONTENT = "the content did not come in time (RFC 9110 §15.5.9)"


def test_a_silent_client_is_closed_without_a_response(dialogue: Dialogue) -> None:
    """A browser may connect in advance, and would take a 408 as the answer to its next request."""
    assert dialogue.connection.state in IDLE_STATES
    assert dialogue.seconds_left == TIMEOUTS.idle

    dialogue.pass_time(TIMEOUTS.idle)

    assert not dialogue.is_open
    assert dialogue.receive() == b""
    assert dialogue.has_received_end
    assert dialogue.exchanges == []


def test_an_idle_client_is_closed_without_a_response(dialogue: Dialogue) -> None:
    dialogue.pass_time(15)
    dialogue.send(get("/hello.txt"))
    assert dialogue.answer().content == HELLO
    assert dialogue.connection.state in IDLE_STATES
    assert dialogue.seconds_left == TIMEOUTS.idle

    dialogue.pass_time(TIMEOUTS.idle)

    assert not dialogue.is_open
    assert dialogue.receive() == b""


def test_a_head_sent_octet_by_octet_times_out_at_its_deadline(dialogue: Dialogue) -> None:
    """Only the first octet sets the deadline (requirement R094)."""
    dialogue.pass_time(5)
    for octet in b"GET /hell":
        dialogue.send(bytes([octet]))
        assert dialogue.connection.state not in IDLE_STATES
        dialogue.pass_time(1)
    assert dialogue.seconds_left == 1
    assert dialogue.receive() == b""

    dialogue.pass_time(1)

    answer = dialogue.answer()
    assert (answer.status, answer.field("Connection")) == (408, "close")
    assert LATE_HEAD in answer.text
    assert dialogue.has_received_end
    assert [exchange.request_line for exchange in dialogue.exchanges] == [b"GET /hell"]


def test_a_slow_head_that_is_complete_in_time_is_answered(dialogue: Dialogue) -> None:
    dialogue.send(get("/hello.txt")[:-1])
    dialogue.pass_time(TIMEOUTS.head - 0.1)

    dialogue.send(b"\n")

    assert dialogue.answer().content == HELLO
    assert dialogue.seconds_left == TIMEOUTS.idle


def test_a_head_after_another_request_has_the_deadline_of_a_head(dialogue: Dialogue) -> None:
    """The first octet of a head sets the deadline of this head (requirement R094)."""
    dialogue.send(get("/hello.txt") + b"GET /al")
    assert dialogue.answer().content == HELLO
    assert dialogue.connection.state not in IDLE_STATES
    assert dialogue.seconds_left == TIMEOUTS.head

    dialogue.pass_time(TIMEOUTS.head)

    answer = dialogue.answer()
    assert answer.status == 408
    assert LATE_HEAD in answer.text


def test_content_that_stalls_times_out(dialogue: Dialogue) -> None:
    """The content has a deadline for stalls, which each octet extends (RFC 9112 §9.5, requirement R094)."""
    dialogue.send(get("/hello.txt", "Content-Length: 9"))
    dialogue.pass_time(TIMEOUTS.stall - 1)
    dialogue.send(b"x")
    assert dialogue.seconds_left == TIMEOUTS.stall

    dialogue.pass_time(TIMEOUTS.stall)

    answer = dialogue.answer()
    assert (answer.status, answer.field("Connection")) == (408, "close")
    assert LATE_CONTENT in answer.text
    assert dialogue.has_received_end
    assert [exchange.request_line for exchange in dialogue.exchanges] == [b"GET /hello.txt HTTP/1.1"]


def test_content_sent_octet_by_octet_times_out(dialogue: Dialogue) -> None:
    """The content has a deadline for its total time, which no octet extends (requirement R094)."""
    dialogue.send(get("/hello.txt", "Transfer-Encoding: chunked") + b"9\r\n")
    for _ in range(5):
        dialogue.send(b"x")
        dialogue.pass_time(10)
        assert dialogue.receive() == b""
    assert dialogue.seconds_left == 10

    dialogue.pass_time(10)

    assert LATE_CONTENT in dialogue.answer().text


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(get("/hello.txt")[:-1], id="a head"),
        pytest.param(get("/hello.txt", "Content-Length: 9"), id="content"),
    ],
)
def test_a_client_that_timed_out_has_time_to_read_the_408(dialogue: Dialogue, octets: bytes) -> None:
    """The time-out of the lingering close begins after the 408 (requirement R091)."""
    dialogue.send(octets)
    dialogue.pass_time(dialogue.seconds_left)
    assert dialogue.seconds_left == TIMEOUTS.linger
    dialogue.send(b"x" * MUCH)

    assert dialogue.answer().status == 408
    assert_is_closed(dialogue)
