"""A traced server with a custom handler: the trace also has events for the content that the handler reads."""

import re
from collections.abc import Iterator

from httpsock.handlers.in_thread import in_thread
from httpsock.http.handler import Context, Steps
from httpsock.http.messages import Request, Response, Sleep, Stream
from tests.server.dialogue import chunked, post
from tests.support import exchange, get
from tests.support.h11_reader import read_with_h11
from tests.support.trace import Traced

TEXT = (("Content-Type", "text/plain"),)


def echo(request: Request, context: Context) -> Steps[Response]:
    """Read two pieces of the content and discard the rest. Answer with the pieces."""
    content = b""
    for _ in range(2):
        content += yield from context.read_content(2)
    rest = yield from context.discard_content()
    assert not context.is_stopping
    assert context.tick.monotonic
    return Response(200, TEXT, content + b", then %r" % rest)


def test_reading_and_discarding_content_is_one_event() -> None:
    with Traced(None, handler=echo) as traced:
        received, _ = read_with_h11(exchange(traced.port, post(b"abcdef")))
    assert received.content == b"abcd, then 2"
    assert "content 6" in traced.connections


def test_reading_content_to_its_end_is_one_event() -> None:
    def handler(request: Request, context: Context) -> Steps[Response]:
        content = b""
        while octets := (yield from context.read_content()):
            content += yield from in_thread(context, octets.upper)
        return Response(200, TEXT, content)

    with Traced(None, handler=handler) as traced:
        received, _ = read_with_h11(exchange(traced.port, chunked(b"abc", b"def")))
    assert received.content == b"ABCDEF"
    assert traced.connections.count("content 6") == 1
    # The event has no deadline: JSON could not express an infinite one.
    assert re.search("wait for a thread$", traced.connections, re.MULTILINE)


def test_unread_content_is_not_an_event() -> None:
    def handler(request: Request, context: Context) -> Steps[Response]:
        assert (yield from context.discard_content()) is None
        return Response(200, TEXT, b"unread")

    with Traced(None, handler=handler) as traced:
        request = get("/", "Content-Length: 100", "Expect: 100-continue", method="POST")
        received, _ = read_with_h11(exchange(traced.port, request))
    assert received.content == b"unread"
    assert "  content " not in traced.connections


def test_a_stream_is_traced_chunk_by_chunk() -> None:
    def chunks() -> Iterator[bytes | Sleep]:
        yield b"abc"
        yield Sleep(0.01)
        yield b"def"

    with Traced(None, handler=lambda request, context: Response(200, TEXT, Stream(chunks()))) as traced:
        received, _ = read_with_h11(exchange(traced.port, get("/", "Connection: close"), ends=False))
    assert received.content == b"abcdef"
    assert "wait for the next part of a stream" in traced.connections
    assert traced.connections.count("  send ") == 3


def test_a_handler_that_fails_is_traced_as_a_refusal() -> None:
    reports: list[str] = []

    def handler(request: Request, context: Context) -> Response:
        raise ValueError("a secret")

    with Traced(None, handler=handler, report=reports.append) as traced:
        received, _ = read_with_h11(exchange(traced.port, get("/")))
    assert received.status == 500
    assert re.search(r"refuse 500 Internal Server Error\n +! the server failed to answer", traced.connections)
    assert "a secret" not in traced.connections
    assert len(reports) == 1


def test_clients_that_are_not_traced_are_served() -> None:
    """A trace limited to one client must not affect other clients."""
    with Traced(None, handler=echo, only="192.0.2.1") as traced:
        received, _ = read_with_h11(exchange(traced.port, post(b"abcdef")))
        malformed, _ = read_with_h11(exchange(traced.port, b"nonsense\r\n\r\n"))
    assert (received.content, malformed.status) == (b"abcd, then 2", 400)
    assert traced.connections == ""
