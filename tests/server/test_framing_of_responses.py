"""Framing of responses: each kind of content, for each version and method. h11 parses the octets.

RFC 9112 §6.3 (message body length), §7.1 (chunked), §9.3 (persistence); RFC 9110 §6.4.1 (content), §9.3.2 (HEAD).
"""

import io
import pathlib
from collections.abc import Iterator

import pytest

from httpsock.handlers.checked import checked
from httpsock.http.handler import Context
from httpsock.http.messages import FileSlice, Request, Response, Sleep, Stream
from httpsock.server.sending import unsent_parts
from httpsock.server.settings import Settings
from httpsock.server.state import State
from tests.server.dialogue import Begin, Dialogue
from tests.support import get
from tests.support.h11_reader import Received, read_with_h11
from tests.support.rows import each_row

TEXT = (("Content-Type", "text/plain"),)
CONTENT = b"0123456789" * 2000


def chunks() -> Iterator[bytes]:
    """Yield empty pieces and pieces of the content in turn."""
    yield b""
    for first in range(0, len(CONTENT), 7000):
        yield CONTENT[first : first + 7000]
        yield b""


@pytest.fixture
def file(tmp_path: pathlib.Path) -> Iterator[io.FileIO]:
    path = tmp_path / "file"
    path.write_bytes(b"before" + CONTENT + b"behind")
    with path.open("rb", buffering=0) as file:
        yield file


def answer_with(settings: Settings, *responses: Response) -> None:
    """Set a handler that sends *responses*, one per request."""
    following = iter(responses)

    def handler(request: Request, context: Context) -> Response:
        return next(following)

    settings.handler = checked(handler)


KINDS = ["bytes", "parts", "file", "sized", "unsized"]


def respond(kind: str, file: io.FileIO, status: int = 200) -> Response:
    """Return a response that always has the same octets as its content. *kind* selects the type of the content."""
    match kind:
        case "bytes":
            return Response(status, TEXT, CONTENT)
        case "parts":
            return Response(status, TEXT, (CONTENT[:5], FileSlice(file, 11, len(CONTENT) - 10), CONTENT[-5:]))
        case "file":
            return Response(status, TEXT, (FileSlice(file, 6, len(CONTENT)),))
        case "sized":
            return Response(status, TEXT, Stream(chunks(), len(CONTENT)))
    return Response(status, TEXT, Stream(chunks()))


def ask(
    begin: Begin, request: bytes, method: str = "GET", *, buffered_octets: int | None = None
) -> tuple[Received, Dialogue]:
    """Send *request*, and return the response and the dialogue. Assert that no octets follow the response."""
    dialogue = begin(buffered_octets=buffered_octets)
    dialogue.send(request)
    octets = dialogue.receive()
    received, rest = read_with_h11(octets, method, has_ended=dialogue.has_received_end)
    assert rest == b""
    return received, dialogue


@pytest.mark.parametrize("buffered_octets", [None, 4096])
@pytest.mark.parametrize("kind", KINDS)
def test_content_reaches_http_1_1_and_the_connection_persists(
    begin: Begin, settings: Settings, file: io.FileIO, kind: str, buffered_octets: int | None
) -> None:
    answer_with(settings, respond(kind, file), Response(200, TEXT, b"next"))

    received, dialogue = ask(begin, get("/"), buffered_octets=buffered_octets)

    assert (received.status, received.content, received.can_reuse) == (200, CONTENT, True)
    assert received.fields["content-type"] == "text/plain"
    if kind == "unsized":
        assert received.fields["transfer-encoding"] == "chunked"
        assert "content-length" not in received.fields
    else:
        assert received.fields["content-length"] == str(len(CONTENT))
        assert "transfer-encoding" not in received.fields
    dialogue.send(get("/"))
    assert dialogue.answer().content == b"next"
    first, _ = dialogue.exchanges
    assert (first.status, first.sent, first.length) == (200, len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("kind", KINDS)
def test_content_reaches_http_1_0_and_the_connection_closes(
    begin: Begin, settings: Settings, file: io.FileIO, kind: str
) -> None:
    answer_with(settings, respond(kind, file))

    received, dialogue = ask(begin, get("/", version="HTTP/1.0"))

    assert (received.content, received.is_whole) == (CONTENT, True)
    assert "transfer-encoding" not in received.fields
    assert received.fields["connection"] == "close"
    assert dialogue.has_received_end


@pytest.mark.parametrize("kind", KINDS)
def test_http_1_0_persists_only_if_the_content_has_a_length(
    begin: Begin, settings: Settings, file: io.FileIO, kind: str
) -> None:
    answer_with(settings, respond(kind, file), Response(200, TEXT, b"next"))

    received, dialogue = ask(begin, get("/", "Connection: keep-alive", version="HTTP/1.0"))

    assert received.content == CONTENT
    assert received.fields["connection"] == ("close" if kind == "unsized" else "keep-alive")
    assert dialogue.has_received_end == (kind == "unsized")


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_response_to_head_has_the_same_fields_and_no_content(
    begin: Begin, settings: Settings, file: io.FileIO, kind: str, version: str
) -> None:
    answer_with(settings, respond(kind, file), Response(200, TEXT, b"next"))

    received, dialogue = ask(begin, get("/", "Connection: keep-alive", method="HEAD", version=version), "HEAD")

    assert (received.status, received.content) == (200, b"")
    assert received.fields.get("content-length") == (None if kind == "unsized" else str(len(CONTENT)))
    dialogue.send(get("/"))
    assert dialogue.answer().content == b"next"
    assert (dialogue.exchanges[0].sent, dialogue.exchanges[0].length) == (0, 0)


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("kind", KINDS)
def test_a_status_without_content_has_no_framing(
    begin: Begin, settings: Settings, file: io.FileIO, kind: str, status: int
) -> None:
    answer_with(settings, respond(kind, file, status), Response(200, TEXT, b"next"))

    received, dialogue = ask(begin, get("/"))

    assert (received.status, received.content, received.can_reuse) == (status, b"", True)
    assert not {"content-length", "transfer-encoding"} & received.fields.keys()
    dialogue.send(get("/"))
    assert dialogue.answer().content == b"next"
    assert (dialogue.exchanges[0].sent, dialogue.exchanges[0].length) == (0, 0)


class _Watched(Iterator[bytes]):
    """An endless iterator, but not a generator. It counts the calls of close()."""

    def __init__(self) -> None:
        self.closings = 0

    def __next__(self) -> bytes:
        return b"x"

    def close(self) -> None:
        self.closings += 1


@pytest.mark.parametrize("is_logged", [True, False])
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)], ids=str)
def test_a_stream_that_is_not_sent_is_closed(
    begin: Begin, settings: Settings, method: str, status: int, is_logged: bool
) -> None:
    stream = _Watched()
    answer_with(settings, Response(status, TEXT, Stream(stream)))
    dialogue = begin(is_logged=is_logged)

    dialogue.send(get("/", method=method))

    assert dialogue.receive().startswith(b"HTTP/1.1 %d" % status)
    assert stream.closings


@pytest.mark.parametrize(("length", "version"), [(None, "HTTP/1.1"), (0, "HTTP/1.1"), (None, "HTTP/1.0")], ids=str)
def test_a_stream_may_be_empty(begin: Begin, settings: Settings, length: int | None, version: str) -> None:
    answer_with(settings, Response(200, TEXT, Stream(iter(()), length)))

    received, _ = ask(begin, get("/", version=version))

    assert (received.status, received.content, received.is_whole) == (200, b"", True)


def test_pauses_and_sleeps_send_no_empty_chunk(begin: Begin, settings: Settings) -> None:
    """An empty chunk would end the content (RFC 9112 §7.1)."""
    answer_with(settings, Response(200, TEXT, Stream(iter((b"", Sleep(1), b"", b"a", b"", Sleep(1), b"b", b"")))))
    dialogue = begin()
    dialogue.send(get("/"))
    arrived = dialogue.receive()
    assert arrived.endswith(b"\r\n\r\n")
    assert dialogue.connection.state is State.SLEEPING

    dialogue.pass_time(1)
    arrived += dialogue.receive()
    assert arrived.endswith(b"\r\n\r\n1\r\na\r\n")
    dialogue.pass_time(1)

    received, rest = read_with_h11(arrived + dialogue.receive())
    assert (received.content, received.can_reuse, rest) == (b"ab", True, b"")


def test_pipelined_responses_of_all_kinds_arrive_in_order(begin: Begin, settings: Settings, file: io.FileIO) -> None:
    answer_with(settings, *(respond(kind, file) for kind in KINDS), Response(204), Response(200, TEXT, b"last"))
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/") * 7)

    octets = dialogue.receive()

    for _ in KINDS:
        received, octets = read_with_h11(octets)
        assert received.content == CONTENT
    received, octets = read_with_h11(octets)
    assert received.status == 204
    received, octets = read_with_h11(octets)
    assert (received.content, octets) == (b"last", b"")


def test_a_file_truncated_while_it_is_sent_breaks_the_response_off(
    begin: Begin, settings: Settings, file: io.FileIO
) -> None:
    """The connection ends early, so the client knows that octets are missing (RFC 9112 §8)."""
    response = Response(200, TEXT, (FileSlice(file, 6, len(CONTENT) + 100),))
    # As if the file had been longer when the response was checked.
    settings.handler = lambda request, context: response

    received, dialogue = ask(begin, get("/"))

    assert not received.is_whole
    assert received.content == CONTENT + b"behind"
    assert not dialogue.is_open
    assert dialogue.exchanges[0].sent == len(CONTENT) + 6 < dialogue.exchanges[0].length


def test_a_short_slice_of_a_truncated_file_breaks_the_response_off(
    begin: Begin, settings: Settings, file: io.FileIO
) -> None:
    """If the file lacks the octets of a slice, the server does not send the parts behind this slice."""
    response = Response(200, TEXT, (b"first", FileSlice(file, len(CONTENT), 100), FileSlice(file, 0, 6)))
    settings.handler = lambda request, context: response

    received, dialogue = ask(begin, get("/"))

    assert not received.is_whole
    assert b"before" not in received.content
    assert not dialogue.is_open


@each_row(
    ("length", "unsent", "parts"),
    [
        pytest.param(7, b"abc", (b"defg", b"rest"), id="nothing is sent"),
        pytest.param(5, b"c", (b"defg", b"rest"), id="a part of the first"),
        pytest.param(4, b"defg", (b"rest",), id="just the first"),
        pytest.param(1, b"g", (b"rest",), id="a part of the second"),
    ],
)
def test_the_unsent_rest_of_two_buffers_is_not_copied(length: int, unsent: bytes, parts: tuple[bytes, ...]) -> None:
    second = b"defg"
    left, after = unsent_parts(b"abc", second, length, (b"rest",))
    assert (bytes(left), after) == (unsent, parts)
    assert second is (left.obj if isinstance(left, memoryview) else after[0])
