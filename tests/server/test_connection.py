"""The connection: RFC 9112 §9 as a conversation over a pair of sockets, with a clock that the test sets.

Nothing runs by itself here. The test is the worker: it sees what a conversation waits for, and sends it the time,
or tells it that its time is over.
"""

import contextlib
import errno
import inspect
import itertools
import os
import pathlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from httpsock.files.document_root import DocumentRoot, Tick
from httpsock.http.framing import ContentLimits
from httpsock.http.request_parser import Limits
from httpsock.server.access_log import Exchange
from httpsock.server.connection import Connection, Wait
from httpsock.server.poller import READABLE, WRITABLE
from httpsock.server.settings import Settings, Timeouts
from tests.support import Answer, get, read_answer, read_answers

TIMEOUTS = Timeouts(head=10, idle=20, stall=30, content=60, linger=2, linger_total=10)
MOST_CONTENT = 64
STARTED = 1000.0
HELLO = b"Hello, socket.\n"
ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
LARGE = bytes(range(256)) * 1024


def open_connection(
    connected: socket.socket, settings: Settings, log: Callable[[Exchange], object] | None, now: float
) -> Connection:
    """Return the connection under test; the one place that knows how it is made."""
    return Connection(connected, "192.0.2.7", settings, log, Tick(settings.root, time.time(), now))


class Dialogue:
    """A client, the conversation with it, and the clock of both."""

    def __init__(self, settings: Settings, *, is_logged: bool = True, buffered_octets: int | None = None) -> None:
        self.client, self._connected = socket.socketpair()
        self.client.setblocking(False)
        self._connected.setblocking(False)
        if buffered_octets is not None:
            # Little is under way at any time, so that a large response has to wait for a slow reader.
            self._connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffered_octets)
        self.settings = settings
        self.exchanges: list[Exchange] = []
        self.now = STARTED
        self.goes_on = True
        self.has_heard_the_end = False
        self.connection = open_connection(
            self._connected, settings, self.exchanges.append if is_logged else None, self.now
        )
        self._step(next, self.connection.coroutine)

    def _step(self, step: Callable[[Any], Wait], argument: object) -> None:
        self.connection.tick = Tick(self.settings.root, time.time(), self.now)
        try:
            wait = step(argument)
            while wait is None:
                # There is no other client to be heard first.
                wait = self.connection.coroutine.send(None)
            self.connection.awaited, self.connection.deadline = wait
        except StopIteration:
            self.goes_on = False
            self.connection.close()

    def resume(self) -> None:
        """Let the conversation go on whether what it waits for is there or not."""
        self._step(self.connection.coroutine.send, None)

    def run(self) -> None:
        """Let the conversation go on while its awaited event is there."""
        while self.goes_on and self._is_ready():
            self.resume()

    def _is_ready(self) -> bool:
        watched = [self._connected]
        if self.connection.awaited == READABLE:
            return bool(select.select(watched, [], [], 0)[0])
        assert self.connection.awaited == WRITABLE
        return bool(select.select([], watched, [], 0)[1])

    def pass_time(self, seconds: float) -> None:
        """Set the clock forward; overdue connections are closed then."""
        self.now += seconds
        if self.goes_on and self.now >= self.connection.deadline:
            self._step(self.connection.coroutine.throw, TimeoutError())

    @property
    def seconds_left(self) -> float:
        """How long the conversation waits from now on, to the microsecond."""
        return round(self.connection.deadline - self.now, 6)

    def say(self, octets: bytes) -> None:
        """Send all of *octets*, as fast as the conversation takes them."""
        remaining = memoryview(octets)
        while remaining:
            sent = self._send(remaining)
            before = self.connection.deadline, self._is_readable()
            self.run()
            assert sent or before[1], "the conversation does not read"
            remaining = remaining[sent:]

    def _send(self, octets: memoryview) -> int:
        try:
            return self.client.send(octets)
        except BlockingIOError:
            return 0

    def _is_readable(self) -> bool:
        return self.goes_on and bool(select.select([self._connected], [], [], 0)[0])

    def end_our_side(self) -> None:
        """Say that the client sends no more."""
        self.client.shutdown(socket.SHUT_WR)
        self.run()

    def hear(self, most: int | None = None) -> bytes:
        """Return what the client can read by now, or until it has read *most* octets. A reset is an error."""
        heard = b""
        while most is None or len(heard) < most:
            self.run()
            try:
                octets = self.client.recv(65536 if most is None else most - len(heard))
            except BlockingIOError:
                break
            if not octets:
                self.has_heard_the_end = True
                break
            heard += octets
        return heard

    def answers(self, *methods: str) -> list[Answer]:
        """Return the responses that the client can read by now, to requests with *methods*."""
        return read_answers(self.hear(), *methods)

    def answer(self, method: str = "GET") -> Answer:
        """Return the only response that the client can read by now."""
        (answer,) = self.answers(method)
        return answer

    def close(self) -> None:
        """Cut the conversation short, as the worker does in the end, and let the client go."""
        self.connection.coroutine.close()
        self.connection.close()
        self.goes_on = False
        self.client.close()


Begin = Callable[..., Dialogue]


@pytest.fixture
def settings(folder: pathlib.Path) -> Settings:
    limits = Limits(content=ContentLimits(content=MOST_CONTENT))
    return Settings(DocumentRoot(folder), b"Server: httpsock\r\n", limits, TIMEOUTS)


@pytest.fixture
def begin(settings: Settings) -> Iterator[Begin]:
    """Begin a dialogue; it is closed when the test ends."""
    with ExitStack() as stack:

        def start(**options: Any) -> Dialogue:
            dialogue = Dialogue(settings, **options)
            stack.callback(dialogue.close)
            return dialogue

        yield start


@pytest.fixture
def dialogue(begin: Begin) -> Dialogue:
    return begin()


def post(content: bytes, *field_lines: str, path: str = "/hello.txt", method: str = "POST") -> bytes:
    """Return a request with *content* and its length."""
    return get(path, *field_lines, f"Content-Length: {len(content)}", method=method) + content


def chunked(*chunks: bytes, method: str = "POST") -> bytes:
    """Return a request with content in *chunks*."""
    content = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return get("/hello.txt", "Transfer-Encoding: chunked", method=method) + content


def assert_goes_on(dialogue: Dialogue) -> None:
    """Assert that another request is answered."""
    dialogue.say(get("/alphabet.txt"))
    assert dialogue.answer().content == ALPHABET
    assert not dialogue.has_heard_the_end


def assert_is_over(dialogue: Dialogue) -> None:
    """Assert that the client has heard the end, and that another request is not answered."""
    assert dialogue.has_heard_the_end
    if dialogue.goes_on:
        dialogue.say(get("/alphabet.txt"))
        assert dialogue.hear() == b""
        dialogue.end_our_side()
    assert not dialogue.goes_on


# --- Persistence: RFC 9112 §9.3 -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "field_lines", "connection", "is_persistent"),
    [
        pytest.param("1.1", [], None, True, id="R082: 1.1 persists by default, unsaid"),
        pytest.param("1.1", ["Connection: keep-alive"], None, True, id="R082: 1.1 persists, asked for or not"),
        pytest.param("1.1", ["Connection: close"], "close", False, id="R084, R086: close is honoured, and said"),
        pytest.param("1.1", ["Connection: CLOSE"], "close", False, id="9110 §7.6.1: options ignore case"),
        pytest.param("1.1", ["Connection: te, ,close"], "close", False, id="R041: close in a list, after an empty one"),
        pytest.param("1.1", ["Connection: te", "connection: close"], "close", False, id="close on a second line"),
        pytest.param("1.1", ["Connection: keep-alive, close"], "close", False, id="9112 §9.3: close outweighs all"),
        pytest.param("1.1", ["Connection: closed, Xclose"], None, True, id="other options are not close"),
        pytest.param("1.0", [], "close", False, id="R087: 1.0 closes by default"),
        pytest.param("1.0", ["Connection: keep-alive"], "keep-alive", True, id="R088: 1.0 persists if asked to"),
        pytest.param("1.0", ["Connection: Keep-Alive"], "keep-alive", True, id="R088: as browsers wrote it"),
        pytest.param("1.0", ["Connection: keep-alive, close"], "close", False, id="R087: 1.0, both asked for"),
        pytest.param("1.0", ["Connection: te"], "close", False, id="R087: 1.0, something else asked for"),
        pytest.param("1.0", ["Keep-Alive: 300"], "close", False, id="R087: 1.0, the field Keep-Alive asks nothing"),
        pytest.param("1.2", [], None, True, id="R011: a higher minor version persists as 1.1 does"),
    ],
)
def test_a_connection_persists_or_closes(
    dialogue: Dialogue, version: str, field_lines: list[str], connection: str | None, *, is_persistent: bool
) -> None:
    dialogue.say("\r\n".join([f"GET /hello.txt HTTP/{version}", "Host: a", *field_lines, "", ""]).encode())

    answer = dialogue.answer()

    assert answer.content == HELLO
    assert answer.field("Connection") == connection
    if is_persistent:
        assert_goes_on(dialogue)
    else:
        assert_is_over(dialogue)


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
def test_persistence_survives_every_ordinary_answer(dialogue: Dialogue, request_octets: bytes, status: int) -> None:
    """R083, RFC 9112 §9.5."""
    dialogue.say(request_octets)

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, None)
    assert_goes_on(dialogue)


def test_a_connect_is_answered_and_closed(dialogue: Dialogue) -> None:
    """R028, RFC 9110 §9.3.6: the following bytes may be meant for the requested tunnel."""
    dialogue.say(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (405, "close")
    assert dialogue.has_heard_the_end


def test_a_request_after_a_request_to_close_is_not_processed(dialogue: Dialogue) -> None:
    """R084, RFC 9112 §9.6."""
    dialogue.say(get("/hello.txt", "Connection: close") + get("/alphabet.txt"))

    assert dialogue.answer().content == HELLO
    assert_is_over(dialogue)
    assert [exchange.request_line for exchange in dialogue.exchanges] == [b"GET /hello.txt HTTP/1.1"]


@pytest.mark.parametrize(
    "request_octets",
    [
        pytest.param(get("/large.bin", "Connection: close"), id="close was asked for"),
        pytest.param(b"GET /large.bin HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
    ],
)
def test_late_input_does_not_destroy_the_last_response(begin: Begin, request_octets: bytes) -> None:
    """R085, R091: unread octets turn a close into a reset; old clients send an empty line too many."""
    dialogue = begin(buffered_octets=4096)
    dialogue.say(request_octets)
    dialogue.client.sendall(b"\r\n")

    assert dialogue.answer().content == LARGE
    assert_is_over(dialogue)


def test_a_server_about_to_stop_says_so(dialogue: Dialogue) -> None:
    """R086, RFC 9112 §9.6."""
    dialogue.say(get("/hello.txt"))
    dialogue.settings.is_stopping = True
    dialogue.say(get("/hello.txt"))

    first, second = dialogue.answers()

    assert (first.field("Connection"), second.field("Connection")) == (None, "close")
    assert_is_over(dialogue)


def test_a_response_under_way_when_the_server_stops_is_sent_whole_and_is_the_last(begin: Begin) -> None:
    """R085: nobody waits for another request then."""
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin"))
    dialogue.settings.is_stopping = True

    answer = dialogue.answer()

    assert (answer.content, answer.field("Connection")) == (LARGE, None)
    assert dialogue.has_heard_the_end


def test_a_request_received_before_the_server_stops_is_answered_after_the_one_under_way(begin: Begin) -> None:
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin") + get("/hello.txt"))
    dialogue.settings.is_stopping = True

    first, second = dialogue.answers()

    assert (first.content, first.field("Connection")) == (LARGE, None)
    assert (second.content, second.field("Connection")) == (HELLO, "close")
    assert_is_over(dialogue)


# --- Pipelining, HEAD, and how octets are cut: RFC 9112 §9.3.2, §2.2 ------------------------------


PIPELINE = (
    get("/hello.txt") + get("/large.bin", method="HEAD") + post(b"abc") + chunked(b"x", b"yz") + get("/large.bin")
)


def assert_answers_the_pipeline(dialogue: Dialogue) -> None:
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
    """R089, R090."""
    dialogue.say(PIPELINE)

    assert_answers_the_pipeline(dialogue)
    assert_goes_on(dialogue)


def test_requests_may_come_one_octet_at_a_time(dialogue: Dialogue) -> None:
    """R001."""
    for octet in PIPELINE:
        dialogue.say(bytes([octet]))

    assert_answers_the_pipeline(dialogue)
    assert_goes_on(dialogue)


def test_an_incomplete_head_is_not_answered(dialogue: Dialogue) -> None:
    """R047."""
    request_octets = get("/hello.txt")
    dialogue.say(request_octets[:-1])
    assert dialogue.hear() == b""

    dialogue.say(request_octets[-1:])

    assert dialogue.answer().content == HELLO


def test_head_of_a_listing_omits_fields_that_depend_on_the_page(dialogue: Dialogue) -> None:
    """RFC 9110 §9.3.2."""
    dialogue.say(get("/") + get("/", method="HEAD"))

    got, head = dialogue.answers("GET", "HEAD")

    assert head.fields == [field for field in got.fields if field[0] not in ("ETag", "Content-Length")]
    assert head.content == b""
    assert_goes_on(dialogue)


@pytest.mark.parametrize("path", ["/hello.txt", "/large.bin", "/sub/", "/nothing"])
def test_head_has_the_fields_of_get_and_no_content(dialogue: Dialogue, path: str) -> None:
    """R101, R102, R103."""
    dialogue.say(get(path) + get(path, method="HEAD"))

    got, head = dialogue.answers("GET", "HEAD")

    assert head._replace(content=got.content) == got
    assert head.content == b""
    assert_goes_on(dialogue)


def test_all_responses_carry_the_shared_fields(dialogue: Dialogue) -> None:
    dialogue.say(get("/hello.txt") + get("/nothing") + b"nonsense\r\n\r\n")

    answers = dialogue.answers()

    assert [(answer.status, answer.field("Server")) for answer in answers] == [
        (200, "httpsock"),
        (404, "httpsock"),
        (400, "httpsock"),
    ]


# --- Expect: RFC 9110 §10.1.1 ---------------------------------------------------------------------


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("PUT", 405), ("GET", 200)], ids=str)
def test_a_client_that_expects_100_gets_the_final_response_at_once(
    dialogue: Dialogue, expectation: str, method: str, status: int
) -> None:
    """R075, R076, R078: the content is not waited for; as it may come or not, the connection closes."""
    dialogue.say(get("/hello.txt", f"Expect: {expectation}", "Content-Length: 30", method=method))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    dialogue.say(get("/hello.txt"))
    assert_is_over(dialogue)


def test_a_client_that_expects_100_for_chunks_gets_the_final_response_at_once(dialogue: Dialogue) -> None:
    """R075."""
    dialogue.say(get("/hello.txt", "Expect: 100-continue", "Transfer-Encoding: chunked", method="PUT"))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (405, "close")
    dialogue.say(b"1\r\nx\r\n0\r\n\r\n")
    assert_is_over(dialogue)


def test_an_expectation_without_content_has_no_effect(dialogue: Dialogue) -> None:
    """R079."""
    dialogue.say(get("/hello.txt", "Expect: 100-continue"))

    answer = dialogue.answer()

    assert (answer.content, answer.field("Connection")) == (HELLO, None)
    assert_goes_on(dialogue)


def test_http_1_0_knows_no_expectation(dialogue: Dialogue) -> None:
    """R077: the content is waited for, and no 100 is sent."""
    dialogue.say(
        b"GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    )
    assert dialogue.hear() == b""

    dialogue.say(b"abc")

    assert dialogue.answer().content == HELLO
    assert_goes_on(dialogue)


def test_an_unknown_expectation_with_content_is_refused_without_waiting(dialogue: Dialogue) -> None:
    """R080."""
    dialogue.say(get("/hello.txt", "Expect: magic", "Content-Length: 3"))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (417, "close")
    assert "the only expectation supported is 100-continue (RFC 9110 §10.1.1)" in answer.text
    assert_is_over(dialogue)


# --- Content: RFC 9112 §6, §9.3 -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_octets", "status"),
    [
        pytest.param(post(b"x" * MOST_CONTENT), 405, id="POST, as much as is read"),
        pytest.param(post(b"x" * MOST_CONTENT, method="GET"), 200, id="GET, as much as is read"),
        pytest.param(post(b"", method="GET"), 200, id="none, and said so"),
        pytest.param(chunked(b"x" * MOST_CONTENT), 405, id="one chunk"),
        pytest.param(chunked(b"x" * 60, b"abcd", method="GET"), 200, id="several chunks"),
        pytest.param(post(get("/secret"), method="GET"), 200, id="R052: what looks like a request is content"),
    ],
)
def test_content_is_read_and_discarded(dialogue: Dialogue, request_octets: bytes, status: int) -> None:
    """R054."""
    dialogue.say(request_octets + get("/alphabet.txt"))

    first, second = dialogue.answers()

    assert (first.status, first.field("Connection")) == (status, None)
    assert second.content == ALPHABET
    assert_goes_on(dialogue)


def test_a_response_waits_for_the_end_of_the_content(dialogue: Dialogue) -> None:
    dialogue.say(post(b"", method="GET").replace(b"Content-Length: 0", b"Content-Length: 2") + b"x")
    assert dialogue.hear() == b""

    dialogue.say(b"y")

    assert dialogue.answer().content == HELLO


TOO_LARGE = f"the content is longer than the limit of {MOST_CONTENT} bytes (RFC 9110 §15.5.14)"


@pytest.mark.parametrize(
    ("request_octets", "status", "sentence"),
    [
        pytest.param(
            get("/hello.txt", "Content-Length: 65"), 413, TOO_LARGE, id="413 to a GET with more content than is read"
        ),
        pytest.param(
            get("/large.bin", "Content-Length: 65"), 413, TOO_LARGE, id="413 to a GET for a file that had to be opened"
        ),
        pytest.param(get("/hello.txt", f"Content-Length: {10**17}"), 413, TOO_LARGE, id="R051: 413 to a huge length"),
        pytest.param(
            get("/x", "Content-Length: 65", method="POST"), 405, "RFC 9110 §15.5.6", id="405 comes before 413"
        ),
        pytest.param(get("/x", "Content-Length: 65"), 404, "RFC 9110 §15.5.5", id="404 comes before 413"),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"41\r\n", 413, TOO_LARGE, id="one chunk is too large"
        ),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"40\r\n" + b"x" * 64 + b"\r\n1\r\n",
            413,
            TOO_LARGE,
            id="the chunks are too large together",
        ),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"F" * 99 + b"\r\n",
            413,
            TOO_LARGE,
            id="R067: a chunk size that fits into no integer",
        ),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"1\r\nab\r\n",
            400,
            "not by CRLF (RFC 9112 §7.1)",
            id="R068: a chunk longer than its size",
        ),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"0x1\r\na\r\n",
            400,
            "is not a hexadecimal size, extensions and CRLF (RFC 9112 §7.1)",
            id="R066: a malformed chunk size",
        ),
    ],
)
def test_content_too_large_or_malformed_ends_the_connection(
    dialogue: Dialogue, request_octets: bytes, status: int, sentence: str
) -> None:
    """R007, R043, R054: the following bytes are never taken for a request."""
    dialogue.say(request_octets + get("/secret"))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    assert sentence in answer.text
    assert_is_over(dialogue)


def test_too_much_content_for_a_head_is_refused_without_content(dialogue: Dialogue) -> None:
    dialogue.say(get("/hello.txt", "Content-Length: 65", method="HEAD"))

    assert dialogue.answer("HEAD").status == 413
    assert_is_over(dialogue)


@pytest.mark.parametrize(
    "request_octets",
    [
        pytest.param(get("/hello.txt", "Content-Length: 9") + b"12345678", id="shorter than its length"),
        pytest.param(get("/hello.txt", "Transfer-Encoding: chunked") + b"1\r\nx\r\n", id="without a last chunk"),
        pytest.param(get("/hello.txt", "Transfer-Encoding: chunked") + b"0\r\n", id="without its empty line"),
    ],
)
def test_content_cut_short_ends_the_connection(dialogue: Dialogue, request_octets: bytes) -> None:
    """R053, RFC 9112 §8."""
    dialogue.say(request_octets)
    dialogue.end_our_side()

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (400, "close")
    assert "the connection ended before the content was complete (RFC 9112 §8)" in answer.text
    assert not dialogue.goes_on


# --- The client ends its side ---------------------------------------------------------------------


def test_a_client_that_ends_its_side_still_gets_all_its_answers(begin: Begin) -> None:
    """R092."""
    dialogue = begin(buffered_octets=4096)
    dialogue.client.sendall(PIPELINE)
    dialogue.end_our_side()

    assert_answers_the_pipeline(dialogue)
    assert dialogue.has_heard_the_end
    assert not dialogue.goes_on


def test_a_silent_client_that_leaves_is_closed(dialogue: Dialogue) -> None:
    dialogue.end_our_side()

    assert dialogue.hear() == b""
    assert dialogue.has_heard_the_end
    assert not dialogue.goes_on
    assert dialogue.exchanges == []


def test_a_head_cut_short_is_refused(dialogue: Dialogue) -> None:
    """RFC 9112 §8."""
    dialogue.say(get("/hello.txt")[:-2])
    dialogue.end_our_side()

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (400, "close")
    assert "the connection ended before the head was complete (RFC 9112 §8)" in answer.text
    assert not dialogue.goes_on


@pytest.mark.parametrize(
    "request_octets",
    [
        pytest.param(b"", id="without a word"),
        pytest.param(b"GET / HT", id="in the middle of a head"),
        pytest.param(get("/", "Content-Length: 9") + b"1", id="in the middle of content"),
    ],
)
def test_a_client_that_resets_is_let_go(dialogue: Dialogue, request_octets: bytes) -> None:
    """R093. A pair of sockets resets when one is closed with octets that it has not read."""
    dialogue.say(get("/hello.txt"))
    dialogue.say(request_octets)
    dialogue.client.close()

    dialogue.run()

    assert not dialogue.goes_on


def test_a_client_that_is_gone_while_it_is_sent_a_file_is_let_go(begin: Begin) -> None:
    """R093: the log says how far it came."""
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin"))
    dialogue.client.close()

    dialogue.run()

    assert not dialogue.goes_on
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
    """R006, R007."""
    dialogue.say(octets)
    dialogue.say(get("/secret"))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    assert sentence in answer.text
    assert_is_over(dialogue)


def test_a_head_that_is_refused_gets_no_content(dialogue: Dialogue) -> None:
    """R101: the method is known even if the rest is not understood."""
    dialogue.say(b"HEAD /hello.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")

    answer = dialogue.answer("HEAD")

    assert (answer.status, answer.field("Connection"), answer.content) == (400, "close", b"")


def test_a_refusal_has_a_media_type_that_the_client_accepts(dialogue: Dialogue) -> None:
    """R113: even where the head could not be understood whole."""
    dialogue.say(b"GET / HTTP/1.1\r\nAccept: application/json\r\nHost: a\r\nHost: b\r\n\r\n")

    assert dialogue.answer().field("Content-Type") == "application/json; charset=utf-8"


def test_requests_before_the_one_that_is_refused_are_answered(dialogue: Dialogue) -> None:
    dialogue.say(get("/hello.txt") + b"nonsense\r\n\r\n")

    first, second = dialogue.answers()

    assert (first.content, first.field("Connection")) == (HELLO, None)
    assert (second.status, second.field("Connection")) == (400, "close")


MUCH = 10 * 1024 * 1024


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
    """R091: all of it is read, so that the answer can be."""
    dialogue.say(head + b"x" * MUCH)

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    assert_is_over(dialogue)


def test_a_lingering_close_waits_for_the_client_to_end_its_side(dialogue: Dialogue) -> None:
    """R091: our side is ended at once, so the client knows that no more will come."""
    dialogue.say(b"nonsense\r\n\r\n")
    assert dialogue.answer().status == 400
    assert dialogue.has_heard_the_end
    assert dialogue.goes_on
    assert dialogue.connection.awaited == READABLE
    assert dialogue.seconds_left == TIMEOUTS.linger

    dialogue.end_our_side()

    assert not dialogue.goes_on


def test_a_lingering_close_ends_without_input(dialogue: Dialogue) -> None:
    dialogue.say(b"nonsense\r\n\r\n")
    dialogue.pass_time(TIMEOUTS.linger - 0.1)
    dialogue.say(b"x")
    dialogue.pass_time(TIMEOUTS.linger - 0.1)
    assert dialogue.goes_on

    dialogue.pass_time(0.1)

    assert not dialogue.goes_on


def test_a_lingering_close_ends_even_if_the_client_never_does(dialogue: Dialogue) -> None:
    """R094."""
    dialogue.say(b"nonsense\r\n\r\n")
    for _ in range(9):
        dialogue.pass_time(TIMEOUTS.linger_total / 10)
        dialogue.say(b"x")
    assert dialogue.goes_on
    assert dialogue.seconds_left == TIMEOUTS.linger_total / 10

    dialogue.now += TIMEOUTS.linger_total / 10
    dialogue.client.send(b"x")
    dialogue.resume()

    assert not dialogue.goes_on


# --- Time: RFC 9112 §9.5, RFC 9110 §15.5.9 --------------------------------------------------------


LATE_HEAD = "the head was not complete 10 seconds after its first octet (RFC 9110 §15.5.9)"
LATE_CONTENT = "the content did not come in time (RFC 9110 §15.5.9)"


def test_a_silent_client_is_closed_without_a_response(dialogue: Dialogue) -> None:
    """A browser that opens connections ahead must not find an unrequested answer."""
    assert dialogue.connection.is_idle
    assert dialogue.seconds_left == TIMEOUTS.idle

    dialogue.pass_time(TIMEOUTS.idle)

    assert not dialogue.goes_on
    assert dialogue.hear() == b""
    assert dialogue.has_heard_the_end
    assert dialogue.exchanges == []


def test_an_idle_client_is_closed_without_a_response(dialogue: Dialogue) -> None:
    dialogue.pass_time(15)
    dialogue.say(get("/hello.txt"))
    assert dialogue.answer().content == HELLO
    assert dialogue.connection.is_idle
    assert dialogue.seconds_left == TIMEOUTS.idle

    dialogue.pass_time(TIMEOUTS.idle)

    assert not dialogue.goes_on
    assert dialogue.hear() == b""


def test_a_head_may_be_dripped_until_its_deadline_and_no_longer(dialogue: Dialogue) -> None:
    """R094: the deadline counts from the first octet, and no octet puts it off."""
    dialogue.pass_time(5)
    for octet in b"GET /hell":
        dialogue.say(bytes([octet]))
        assert not dialogue.connection.is_idle
        dialogue.pass_time(1)
    assert dialogue.seconds_left == 1
    assert dialogue.hear() == b""

    dialogue.pass_time(1)

    answer = dialogue.answer()
    assert (answer.status, answer.field("Connection")) == (408, "close")
    assert LATE_HEAD in answer.text
    assert dialogue.has_heard_the_end
    assert [exchange.request_line for exchange in dialogue.exchanges] == [b"GET /hell"]


def test_a_slow_head_that_is_complete_in_time_is_answered(dialogue: Dialogue) -> None:
    dialogue.say(get("/hello.txt")[:-1])
    dialogue.pass_time(TIMEOUTS.head - 0.1)

    dialogue.say(b"\n")

    assert dialogue.answer().content == HELLO
    assert dialogue.seconds_left == TIMEOUTS.idle


def test_a_head_that_begins_behind_another_request_has_the_same_time(dialogue: Dialogue) -> None:
    """R094: its first octet is there, so it is no time to idle."""
    dialogue.say(get("/hello.txt") + b"GET /al")
    assert dialogue.answer().content == HELLO
    assert not dialogue.connection.is_idle
    assert dialogue.seconds_left == TIMEOUTS.head

    dialogue.pass_time(TIMEOUTS.head)

    answer = dialogue.answer()
    assert answer.status == 408
    assert LATE_HEAD in answer.text


def test_content_that_stalls_is_given_up(dialogue: Dialogue) -> None:
    """R094."""
    dialogue.say(get("/hello.txt", "Content-Length: 9"))
    dialogue.pass_time(TIMEOUTS.stall - 1)
    dialogue.say(b"x")
    assert dialogue.seconds_left == TIMEOUTS.stall

    dialogue.pass_time(TIMEOUTS.stall)

    answer = dialogue.answer()
    assert (answer.status, answer.field("Connection")) == (408, "close")
    assert LATE_CONTENT in answer.text
    assert dialogue.has_heard_the_end
    assert [exchange.request_line for exchange in dialogue.exchanges] == [b"GET /hello.txt HTTP/1.1"]


def test_content_that_drips_is_given_up(dialogue: Dialogue) -> None:
    """R094: for all of the content there is one deadline, however often some of it comes."""
    dialogue.say(get("/hello.txt", "Transfer-Encoding: chunked") + b"9\r\n")
    for _ in range(5):
        dialogue.say(b"x")
        dialogue.pass_time(10)
        assert dialogue.hear() == b""
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
def test_a_client_that_is_too_late_has_the_time_to_read_that_it_is(dialogue: Dialogue, octets: bytes) -> None:
    """R091: the clock has gone on while nothing came; the lingering close starts from now."""
    dialogue.say(octets)
    dialogue.pass_time(dialogue.seconds_left)
    assert dialogue.seconds_left == TIMEOUTS.linger
    dialogue.say(b"x" * MUCH)

    assert dialogue.answer().status == 408
    assert_is_over(dialogue)


def test_a_client_that_does_not_read_is_given_up(begin: Begin) -> None:
    """R094: and the log says how much the system had taken."""
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin"))
    assert dialogue.connection.awaited == WRITABLE
    assert not dialogue.connection.is_idle
    # Our system counts what it needs besides, in a pair of local sockets.
    assert 0.9 * TIMEOUTS.slow < dialogue.seconds_left <= TIMEOUTS.slow

    dialogue.pass_time(TIMEOUTS.slow)

    assert not dialogue.goes_on
    (exchange,) = dialogue.exchanges
    head, _, content = dialogue.hear().partition(b"\r\n\r\n")
    assert f"Content-Length: {len(LARGE)}".encode() in head
    assert exchange.sent == len(content) < exchange.length == len(LARGE)
    assert LARGE.startswith(content)


@pytest.mark.parametrize("length", [1, 16384, 32768, 32769, 65536, 65537])
@pytest.mark.parametrize("buffered_octets", [None, 4096])
def test_a_file_of_any_length_arrives_whole(
    begin: Begin, folder: pathlib.Path, length: int, buffered_octets: int | None
) -> None:
    """In any pieces, and however many bytes the kernel takes each time."""
    octets = os.urandom(length)
    (folder / "some.bin").write_bytes(octets)
    dialogue = begin(buffered_octets=buffered_octets)

    dialogue.say(get("/some.bin") * 12)

    assert [answer.content for answer in dialogue.answers()] == [octets] * 12


def test_a_client_that_reads_slowly_gets_it_all(begin: Begin, folder: pathlib.Path) -> None:
    """R095: there is no limit on a whole exchange."""
    (folder / "larger.bin").write_bytes(LARGE * 8)
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/larger.bin"))
    heard = b""
    while len(heard) < len(LARGE) * 7:
        heard += dialogue.hear(len(LARGE))
        dialogue.pass_time(TIMEOUTS.slow / 2)
        assert dialogue.goes_on

    answer, rest = read_answer(heard + dialogue.hear())

    assert (answer.content, rest) == (LARGE * 8, b"")
    assert dialogue.now - STARTED > 3 * TIMEOUTS.slow
    assert_goes_on(dialogue)


def test_a_client_that_reads_a_little_now_and_then_gets_it_all(begin: Begin, folder: pathlib.Path) -> None:
    """R095: a system calls a full buffer writable only when much of it is free; to make room for less is no stall."""
    (folder / "larger.bin").write_bytes(LARGE * 8)
    dialogue = begin(buffered_octets=256 * 1024)
    dialogue.say(get("/larger.bin"))
    heard = b""
    while not dialogue.has_heard_the_end:
        heard += dialogue.hear(100_000)
        dialogue.pass_time(TIMEOUTS.slow / 2)

    answer, rest = read_answer(heard)

    assert (answer.content, rest) == (LARGE * 8, b"")


def read_at(dialogue: Dialogue, octets_a_second: int) -> int:
    """Read what comes in at a rate, while more comes, for an hour at most; return how many seconds."""
    began = dialogue.now
    while dialogue.goes_on and dialogue.now - began < 3600:
        dialogue.pass_time(1)
        if not dialogue.hear(octets_a_second):
            break
    return round(dialogue.now - began)


@pytest.fixture
def crawling(begin: Begin, folder: pathlib.Path) -> Dialogue:
    """A dialogue in which a client has asked for much, and hardly anything is buffered."""
    (folder / "larger.bin").write_bytes(LARGE * 12)
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/larger.bin"))
    return dialogue


def test_a_client_that_reads_an_octet_now_and_then_is_given_up(crawling: Dialogue) -> None:
    """However regularly: its reading gives it less time than has passed."""
    assert read_at(crawling, 50) < 2 * TIMEOUTS.slow
    (exchange,) = crawling.exchanges
    assert exchange.sent < exchange.length


def test_a_client_that_reads_slowly_but_steadily_gets_it_all(crawling: Dialogue) -> None:
    """R095: a long honest download is never cut."""
    assert read_at(crawling, 4096) > 10 * TIMEOUTS.slow
    (exchange,) = crawling.exchanges
    assert exchange.sent == exchange.length


def test_without_a_least_rate_only_a_stalled_reader_is_dropped(
    begin: Begin, settings: Settings, folder: pathlib.Path
) -> None:
    settings.timeouts = TIMEOUTS._replace(least_rate=0.0, stall=600)
    (folder / "larger.bin").write_bytes(LARGE)
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/larger.bin"))

    assert read_at(dialogue, 400) > 4 * TIMEOUTS.slow
    (exchange,) = dialogue.exchanges
    assert exchange.sent == exchange.length


def test_a_client_that_has_read_fast_may_not_crawl_for_long(crawling: Dialogue) -> None:
    """The time that it has gained is bounded."""
    assert crawling.hear(len(LARGE) * 10)

    assert read_at(crawling, 50) < 2 * TIMEOUTS.slow

    assert crawling.exchanges[0].sent < len(LARGE) * 12


def test_a_small_file_waits_for_a_client_that_does_not_read(begin: Begin, folder: pathlib.Path) -> None:
    """R095: content from memory waits as a file does."""
    small = bytes(range(256)) * 255
    (folder / "small.bin").write_bytes(small)
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/small.bin"))
    assert dialogue.connection.awaited == WRITABLE
    assert dialogue.seconds_left <= TIMEOUTS.slow
    dialogue.pass_time(TIMEOUTS.slow / 2)

    assert dialogue.answer().content == small
    assert_goes_on(dialogue)


def test_a_client_that_does_not_read_is_not_read_from(begin: Begin) -> None:
    """R095: the memory of a connection is bounded, however many requests it has sent ahead."""
    dialogue = begin(buffered_octets=4096)
    requests = memoryview(get("/large.bin") * 100_000)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += dialogue.client.send(requests[sent:])
            dialogue.run()
    assert dialogue.connection.awaited == WRITABLE
    assert sent < len(requests) / 2

    # The connection holds the bytes of one recv(), and the start of a head from the one before.
    for _ in range(10):
        assert len(dialogue.connection._parser.unread) < 65 * 1024
        assert len(dialogue.hear(len(LARGE))) == len(LARGE)


# --- Spurious events ------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="before a request"),
        pytest.param(get("/hello.txt")[:-1], id="in a head"),
        pytest.param(get("/hello.txt", "Content-Length: 9"), id="in content"),
        pytest.param(b"nonsense\r\n\r\n", id="in a lingering close"),
    ],
)
def test_a_connection_resumed_without_input_waits_on(dialogue: Dialogue, octets: bytes) -> None:
    dialogue.say(octets)
    waited_for = dialogue.connection.awaited, dialogue.connection.deadline

    dialogue.resume()

    assert dialogue.goes_on
    assert (dialogue.connection.awaited, dialogue.connection.deadline) == waited_for


@pytest.mark.parametrize("path", ["/large.bin", "/small.bin"])
def test_a_connection_resumed_with_a_full_send_buffer_waits_on(begin: Begin, folder: pathlib.Path, path: str) -> None:
    (folder / "small.bin").write_bytes(LARGE[: 63 * 1024])
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get(path))

    dialogue.resume()

    assert dialogue.connection.awaited == WRITABLE
    assert LARGE.startswith(dialogue.answer().content)
    assert_goes_on(dialogue)


def test_only_a_fully_answered_client_is_idle(begin: Begin) -> None:
    """The worker cuts idle ones short when it stops."""
    dialogue = begin(buffered_octets=4096)
    assert dialogue.connection.is_idle
    dialogue.say(get("/large.bin", "Content-Length: 1")[:-1])
    assert not dialogue.connection.is_idle
    dialogue.say(b"\n")
    assert not dialogue.connection.is_idle
    dialogue.say(b"x")
    assert not dialogue.connection.is_idle

    assert dialogue.answer().content == LARGE

    assert dialogue.connection.is_idle


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
    dialogue.say(octets)
    dialogue.hear()

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
    dialogue.say(octets)
    answer = dialogue.answer()

    (exchange,) = dialogue.exchanges

    assert (exchange.request_line, exchange.status) == (request_line, status)
    assert exchange.sent == exchange.length == len(answer.content)


def test_an_exchange_cut_short_is_logged_with_the_number_of_sent_bytes(begin: Begin) -> None:
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin"))

    dialogue.connection.coroutine.close()
    dialogue.connection.close()

    (exchange,) = dialogue.exchanges
    content = dialogue.client.recv(len(LARGE)).partition(b"\r\n\r\n")[2]
    content += dialogue.client.recv(len(LARGE))
    assert 0 < exchange.sent < exchange.length == len(LARGE)
    assert LARGE.startswith(content)


def test_without_a_log_all_is_the_same(begin: Begin) -> None:
    dialogue = begin(is_logged=False)
    dialogue.say(PIPELINE)

    assert_answers_the_pipeline(dialogue)
    assert dialogue.exchanges == []


# --- Files that change while they are sent --------------------------------------------------------


@pytest.mark.parametrize("has_sendfile", [True, False], ids=["sendfile", "read and send"])
def test_a_file_cut_short_while_it_is_sent_breaks_the_connection_off(
    begin: Begin, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *, has_sendfile: bool
) -> None:
    """RFC 9112 §8: fewer octets than promised, and nothing that could be taken for the rest."""
    if not has_sendfile:
        monkeypatch.delattr(os, "sendfile", raising=False)
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin") + get("/hello.txt"))

    os.truncate(folder / "large.bin", 100_000)

    head, _, content = dialogue.hear().partition(b"\r\n\r\n")
    assert f"Content-Length: {len(LARGE)}".encode() in head
    assert content == LARGE[:100_000]
    assert dialogue.has_heard_the_end
    assert not dialogue.goes_on
    (exchange,) = dialogue.exchanges
    assert (exchange.sent, exchange.length) == (100_000, len(LARGE))


@pytest.mark.parametrize("has_sendfile", [True, False], ids=["sendfile", "read and send"])
def test_a_range_of_a_large_file_is_sent_exactly(
    dialogue: Dialogue, monkeypatch: pytest.MonkeyPatch, *, has_sendfile: bool
) -> None:
    """R128."""
    if not has_sendfile:
        monkeypatch.delattr(os, "sendfile", raising=False)
    dialogue.say(get("/large.bin", "Range: bytes=1000-1999") + get("/large.bin", "Range: bytes=-3"))

    first, second = dialogue.answers()

    assert (first.content, second.content) == (LARGE[1000:2000], LARGE[-3:])
    assert first.field("Content-Range") == f"bytes 1000-1999/{len(LARGE)}"
    assert_goes_on(dialogue)


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile()")
@pytest.mark.parametrize("before", [0, 1, 2], ids=["at once", "after one call", "after two calls"])
@pytest.mark.parametrize("refusal", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "EPERM"])
def test_where_sendfile_is_refused_the_file_is_read_and_sent(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, refusal: str, before: int
) -> None:
    """LXC, WSL 1, FUSE and filters of system calls refuse it, and not always from the beginning."""
    sendfile, calls = os.sendfile, itertools.count()

    def refuse(out: int, file: int, offset: int, length: int) -> int:
        if next(calls) < before:
            return sendfile(out, file, offset, length)
        raise OSError(getattr(errno, refusal), "not supported here")

    monkeypatch.setattr(os, "sendfile", refuse)
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin", "Range: bytes=5-199999") + get("/hello.txt"))

    first, second = dialogue.answers()

    assert (first.status, first.content) == (206, LARGE[5:200000])
    assert second.content == b"Hello, socket.\n"
    assert next(calls) > before


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile()")
def test_a_disk_that_fails_is_no_refusal_of_sendfile(dialogue: Dialogue, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "sendfile", fail)
    dialogue.say(get("/large.bin"))

    assert dialogue.hear().partition(b"\r\n\r\n")[2] == b""
    assert not dialogue.goes_on


def test_a_pipelining_client_gets_one_response_per_tick(dialogue: Dialogue) -> None:
    """R093: responses that take long to make, and no time to send, keep nobody waiting for all of them."""
    dialogue.client.sendall(get("/", method="HEAD") * 3)
    coroutine = dialogue.connection.coroutine
    assert coroutine.send(None) is None

    for expected in (None, None, (READABLE, STARTED + TIMEOUTS.idle)):
        assert coroutine.send(None) == expected
        assert len(read_answers(dialogue.client.recv(65536), "HEAD")) == 1


def test_a_reader_that_is_late_once_has_all_its_time_for_the_next_response(begin: Begin) -> None:
    """R095: the read part of one response counts, and is freed, before the next."""
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin") * 2)
    heard = dialogue.client.recv(1 << 20)
    dialogue.pass_time(TIMEOUTS.slow)
    assert dialogue.goes_on
    heard += dialogue.hear(len(LARGE))
    heard += dialogue.client.recv(1 << 20)
    dialogue.pass_time(TIMEOUTS.slow)
    assert dialogue.goes_on

    first, second = read_answers(heard + dialogue.hear())

    assert first.content == second.content == LARGE


def test_a_long_listing_waits_for_a_client_that_does_not_read(begin: Begin, folder: pathlib.Path) -> None:
    """R095: content too long to be joined to its head arrives whole behind it."""
    for number in range(700):
        (folder / f"{number:0200}").touch()
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/"))
    assert dialogue.connection.awaited == WRITABLE

    answer = dialogue.answer()

    assert len(answer.content) > 65536
    assert answer.text.count('<tr><td><a href="0') == 700


def test_the_head_of_a_long_listing_waits_too(begin: Begin, folder: pathlib.Path) -> None:
    for number in range(700):
        (folder / f"{number:0200}").touch()
    dialogue = begin(buffered_octets=4096)
    dialogue.say(get("/large.bin") + get("/"))

    first, second = dialogue.answers()

    assert first.content == LARGE
    assert second.text.count('<tr><td><a href="0') == 700


@pytest.mark.parametrize("path", ["/hello.txt", "/large.bin", "/"])
def test_a_head_waits_for_a_client_that_does_not_read(begin: Begin, folder: pathlib.Path, path: str) -> None:
    """R095: whatever follows it."""
    for number in range(700):
        (folder / f"{number:0200}").touch()
    dialogue = begin(buffered_octets=4096)
    filling = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filling += dialogue._connected.send(b"\0")
    dialogue.say(get(path))
    assert dialogue.connection.awaited == WRITABLE

    heard = dialogue.hear()

    assert heard[:filling] == bytes(filling)
    assert read_answers(heard[filling:])[0].status == 200


def overwhelm(dialogue: Dialogue, octets: bytes) -> None:
    """Send *octets* until the conversation takes no more of them."""
    waiting = memoryview(octets)
    with contextlib.suppress(BlockingIOError):
        while waiting:
            waiting = waiting[dialogue.client.send(waiting) :]
            dialogue.run()
    assert waiting, "it has taken all"


def test_while_a_response_waits_for_its_reader_little_is_held(folder: pathlib.Path) -> None:
    """Requests sent ahead stay in the kernel, which makes the client wait; the head that was answered is dropped."""
    with contextlib.closing(Dialogue(Settings(DocumentRoot(folder)), buffered_octets=4096)) as dialogue:
        overwhelm(dialogue, get("/large.bin", f"X: {'y' * 20_000}") + get("/hello.txt") * 10_000)

        assert dialogue.connection.awaited == WRITABLE
        assert len(dialogue.connection._parser.unread) <= 8 * 1024
        held = inspect.getgeneratorlocals(dialogue.connection.coroutine)["request"]
        assert (held.head, held.fields) == (b"", {})


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(get("/large.bin", "Content-Length: 100000") + bytes(100_000), id="of a length"),
        pytest.param(
            get("/large.bin", "Transfer-Encoding: chunked") + b"186a0\r\n" + bytes(100_000) + b"\r\n0\r\n\r\n",
            id="in one chunk",
        ),
    ],
)
def test_content_that_is_discarded_leaves_little_behind_it(octets: bytes, folder: pathlib.Path) -> None:
    with contextlib.closing(Dialogue(Settings(DocumentRoot(folder)), buffered_octets=4096)) as dialogue:
        overwhelm(dialogue, octets + get("/hello.txt") * 10_000)

        assert dialogue.connection.awaited == WRITABLE
        assert len(dialogue.connection._parser.unread) <= 8 * 1024
