"""Streams that contain the head of the response: the octets sent, the log, and the end of the connection."""

from collections.abc import Callable

import pytest

from httpsock.handlers.checked import checked
from httpsock.http.messages import Response, Sleep, Status, Stream, Then
from httpsock.server.poller import NEITHER
from httpsock.server.settings import Settings
from httpsock.server.state import IDLE_STATES, Phase, State
from tests.server.dialogue import Begin, Dialogue
from tests.support import get, read_answers

HEAD = b"HTTP/1.1 299 Own\r\nX: 1\r\n\r\n"
Answering = Callable[..., Dialogue]


@pytest.fixture
def answering(begin: Begin, settings: Settings) -> Answering:
    """Return a function that sends two requests.

    The function's arguments are the pieces of the first answer, which include the head.
    """

    def begin_with(*chunks: bytes | Sleep, then: Then, method: str = "GET", status: Status = Status.OK) -> Dialogue:
        exact = Response(status, (), Stream(iter(chunks), then=then))
        responses = iter([exact, Response(200, (), b"next")])
        settings.handler = checked(lambda request, context: next(responses))
        dialogue = begin()
        dialogue.send(get("/x", method=method))
        if dialogue.is_open:
            dialogue.send(get("/next"))
        return dialogue

    return begin_with


@pytest.mark.parametrize("status", [Status.OK, Status.NO_CONTENT, Status.NOT_MODIFIED])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_the_chunks_are_all_that_is_sent(answering: Answering, method: str, status: Status) -> None:
    dialogue = answering(HEAD, b"abc", then="close", method=method, status=status)

    assert dialogue.receive() == HEAD + b"abc"
    assert dialogue.connection.state is State.LINGERING
    (exchange,) = dialogue.exchanges
    assert (exchange.status, exchange.sent) == (status, 3)


def test_the_next_request_is_answered_if_the_connection_persists(answering: Answering) -> None:
    dialogue = answering(HEAD, then="keep")

    octets = dialogue.receive()

    assert octets.startswith(HEAD)
    assert [answer.content for answer in read_answers(octets.removeprefix(HEAD))] == [b"next"]


def test_a_reset_may_follow(answering: Answering) -> None:
    dialogue = answering(HEAD, then="reset")

    assert not dialogue.is_open
    assert [exchange.sent for exchange in dialogue.exchanges] == [0]


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.STOPPING])
def test_a_stalled_response_ends_when_the_server_stops(answering: Answering, settings: Settings, phase: Phase) -> None:
    dialogue = answering(HEAD, then="stall")
    assert dialogue.receive() == HEAD
    assert dialogue.connection.state is State.SLEEPING_UNREAD
    dialogue.pass_time(1e9)
    assert dialogue.is_open

    settings.phase = phase
    dialogue.resume()

    assert not dialogue.is_open


def test_a_pause_lies_between_two_chunks(answering: Answering) -> None:
    dialogue = answering(HEAD[:9], Sleep(3), HEAD[9:], then="close")
    assert dialogue.receive() == HEAD[:9]
    dialogue.pass_time(2)
    assert dialogue.receive() == b""

    dialogue.pass_time(1)

    assert dialogue.receive() == HEAD[9:]


def test_a_server_that_drains_sends_a_stalled_response_and_ends_it(answering: Answering, settings: Settings) -> None:
    settings.phase = Phase.DRAINING
    dialogue = answering(HEAD, then="stall")

    assert dialogue.receive() == HEAD
    assert not dialogue.is_open


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.STOPPING])
def test_a_pause_goes_on_while_the_server_stops(answering: Answering, settings: Settings, phase: Phase) -> None:
    dialogue = answering(HEAD[:9], Sleep(3), HEAD[9:], then="close")
    assert dialogue.receive() == HEAD[:9]
    settings.phase = phase
    assert dialogue.connection.state is State.PAUSED
    assert dialogue.connection.state not in IDLE_STATES

    dialogue.pass_time(3)

    assert dialogue.receive() == HEAD[9:]


def test_a_client_that_has_ended_its_side_receives_the_rest_after_a_pause(answering: Answering) -> None:
    dialogue = answering(HEAD[:9], Sleep(3), HEAD[9:], then="close")
    assert dialogue.receive() == HEAD[:9]
    dialogue.end_our_side()

    dialogue.pass_time(3)

    assert dialogue.receive() == HEAD[9:]


def test_a_pause_does_not_make_its_reader_too_slow(answering: Answering) -> None:
    big = b"x" * 2**20
    dialogue = answering(HEAD + big, Sleep(3600), big, then="close")
    assert dialogue.receive() == HEAD + big

    dialogue.pass_time(3600)

    assert dialogue.receive() == big


def test_a_pause_ends_when_the_client_resets_the_connection(answering: Answering) -> None:
    """While a stream sleeps, the poller reports only errors, such as a reset."""
    dialogue = answering(HEAD[:9], Sleep(3), HEAD[9:], then="close")
    assert dialogue.connection.state.event == NEITHER

    dialogue.resume()

    assert not dialogue.is_open


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param((HEAD + b"abc",), id="in one chunk"),
        pytest.param((HEAD, b"abc"), id="in a chunk of its own"),
        pytest.param(tuple(bytes([octet]) for octet in HEAD + b"abc"), id="octet by octet"),
        pytest.param((HEAD[:-2], HEAD[-2:] + b"ab", b"c"), id="split in its end"),
        pytest.param((b"HTTP/1.1 103 Early Hints\r\n\r\n", HEAD + b"abc"), id="after an interim response"),
    ],
)
def test_the_log_counts_the_content_behind_the_head(answering: Answering, chunks: tuple[bytes, ...]) -> None:
    dialogue = answering(*chunks, then="close")
    dialogue.receive()

    assert [exchange.sent for exchange in dialogue.exchanges] == [3]


def test_octets_without_a_head_are_no_content(answering: Answering) -> None:
    dialogue = answering(b"never a head", then="close")
    dialogue.receive()

    assert [exchange.sent for exchange in dialogue.exchanges] == [0]
