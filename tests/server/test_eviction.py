"""Eviction: which connections the server closes at the connection limit, and what their clients receive."""

from httpsock.http.handler import Context, Steps
from httpsock.http.messages import Request, Response, Sleep, Stream
from httpsock.server.connection_limit import evictable
from httpsock.server.settings import Settings
from httpsock.server.state import State
from tests.server.dialogue import EVICTED_CONTENT, EVICTED_HEAD, STARTED, TIMEOUTS, Begin, Dialogue
from tests.support import get
from tests.support.folder import ALPHABET, HELLO


def test_a_head_may_be_evicted_two_seconds_after_its_first_octet(dialogue: Dialogue) -> None:
    """More octets of the head do not extend this time (requirement R093)."""
    dialogue.pass_time(5)
    dialogue.send(b"GET /hell")
    dialogue.pass_time(1.9)
    dialogue.send(b"o")
    assert evictable([dialogue.connection], dialogue.now, TIMEOUTS) == []

    dialogue.pass_time(0.1)

    assert evictable([dialogue.connection], dialogue.now, TIMEOUTS) == [dialogue.connection]


def test_an_evicted_head_is_answered_with_408_then_lingers_until_it_is_evicted_again(dialogue: Dialogue) -> None:
    dialogue.send(get("/hello.txt") + b"GET /al")
    assert dialogue.answer().content == HELLO
    dialogue.pass_time(2)

    dialogue.evict()

    answer = dialogue.answer()
    assert (answer.status, answer.field("Connection")) == (408, "close")
    assert EVICTED_HEAD in answer.text
    assert [exchange.request_line for exchange in dialogue.exchanges][1:] == [b"GET /al"]
    assert (dialogue.connection.state, dialogue.seconds_left) == (State.LINGERING, TIMEOUTS.linger)
    assert evictable([dialogue.connection], dialogue.now, TIMEOUTS) == [dialogue.connection]

    dialogue.evict()

    assert not dialogue.is_open


def test_the_oldest_incomplete_head_is_evicted(begin: Begin) -> None:
    late, early = begin(), begin()
    early.send(b"GET /")
    for dialogue in (late, early):
        dialogue.pass_time(1)
    late.send(b"GET /")
    for dialogue in (late, early):
        dialogue.pass_time(2)

    assert evictable([late.connection, early.connection], late.now, TIMEOUTS) == [early.connection]


def test_the_connection_that_loses_least_is_evicted(begin: Begin, settings: Settings) -> None:
    """The order is: idle connections, incomplete content, incomplete heads, streams that wait for their next part."""
    files = settings.handler

    def handler(request: Request, context: Context) -> Response | Steps[Response]:
        is_stream = request.target.path == b"/stream"
        return Response(200, (), Stream(iter((Sleep(1),)))) if is_stream else files(request, context)

    settings.handler = handler
    idle, head, content, stream = (begin() for _ in range(4))
    stream.send(get("/stream"))
    content.send(get("/hello.txt", "Content-Length: 9"))
    head.send(b"GET /")
    idle.send(get("/hello.txt"))
    connections = [each.connection for each in (stream, head, content, idle)]

    evicted = []
    while connections:
        evicted += evictable(connections, STARTED + 2, TIMEOUTS)
        connections.remove(evicted[-1])

    assert evicted == [each.connection for each in (idle, content, head, stream)]


def test_evicted_content_is_answered_with_408(dialogue: Dialogue) -> None:
    """The folder's handler discards the content, so the server need not receive the rest (requirement R093)."""
    dialogue.send(get("/hello.txt", "Content-Length: 9") + b"x")
    assert evictable([dialogue.connection], dialogue.now, TIMEOUTS) == [dialogue.connection]

    dialogue.evict()

    answer = dialogue.answer()
    assert (answer.status, answer.field("Connection")) == (408, "close")
    assert EVICTED_CONTENT in answer.text
    assert dialogue.connection.state is State.LINGERING


def test_content_that_the_handler_reads_is_not_evicted(begin: Begin, settings: Settings) -> None:
    def handler(request: Request, context: Context) -> Steps[Response]:
        content = yield from context.read_content()
        return Response(200, (), content)

    settings.handler = handler
    dialogue = begin()
    dialogue.send(get("/", "Content-Length: 9"))
    dialogue.pass_time(TIMEOUTS.stall - 1)

    assert evictable([dialogue.connection], dialogue.now, TIMEOUTS) == []
    dialogue.send(b"x" * 9)
    assert dialogue.answer().content == b"x" * 9


def test_a_head_whose_rest_has_arrived_is_not_evicted(dialogue: Dialogue) -> None:
    dialogue.send(b"GET /alphabet.txt HTTP/1.1\r\n")
    dialogue.pass_time(2)
    dialogue.client.sendall(b"Host: localhost\r\n\r\n")

    assert evictable([dialogue.connection], dialogue.now, TIMEOUTS) == []
    dialogue.run()
    assert dialogue.answer().content == ALPHABET
