"""Hostile servers send endless or random bytes: the client reads the response or raises a clear error."""

import contextlib
import itertools
import pathlib
import random
import socket
from collections.abc import Callable

import pytest

from httpsock.client.client import Client, RedirectError
from httpsock.client.connection import ClientTimeouts
from httpsock.client.download import Download
from httpsock.client.url import UrlError, parse_url, redirect
from httpsock.http.message_reader import Content, EndOfContent
from httpsock.http.response_parser import ResponseError, ResponseHead, ResponseLimits, ResponseParser
from tests.support import receive_head
from tests.support.servers import playing

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
# Far more than any limit of the client.
MAX_OCTETS = 64 * 1024 * 1024


def endless(beginning: bytes, repeated: bytes) -> Callable[[socket.socket], None]:
    """Return a server function that sends *beginning*, and then *repeated* until the client closes."""

    def script(connected: socket.socket) -> None:
        receive_head(connected)
        piece = repeated * (1 + (1 << 16) // len(repeated))
        with contextlib.suppress(ConnectionError):
            connected.sendall(beginning)
            for _ in range(MAX_OCTETS // len(piece)):
                connected.sendall(piece)
            raise AssertionError("the client takes it without end")

    return script


@pytest.mark.parametrize(
    ("beginning", "repeated", "reason"),
    [
        pytest.param(b"", b"\0", 'the response begins with "', id="no HTTP"),
        pytest.param(b"", b"\r\n", 'the response begins with "', id="empty lines"),
        pytest.param(b"HTTP/1.1 200 ", b"a", "the head is longer than", id="phrase"),
        pytest.param(b"HTTP/1.1 ", b"2", "the head is longer than", id="status"),
        pytest.param(OK, b"a", "the head is longer than", id="field name"),
        pytest.param(OK + b"A: ", b"a", "the head is longer than", id="field value"),
        pytest.param(OK, b"A: b\r\n", "more than 1000 field lines", id="field lines"),
        pytest.param(OK + b"A: b\r\n", b" c\r\n", "more than 1000 field lines", id="folded lines"),
        pytest.param(OK, b"ETag: a\r\n", "more than 1000 field lines", id="a repeated singleton field"),
        pytest.param(b"", b"HTTP/1.1 103 x\r\n\r\n", "more than 60 interim responses", id="interim responses"),
        pytest.param(OK + b"Content-Length: ", b"0", "the head is longer than", id="digits of a length"),
        pytest.param(CHUNKED, b"0", "the chunk line is longer than 4096", id="size of a chunk"),
        pytest.param(CHUNKED + b"1", b";a", "the chunk line is longer than 4096", id="extensions of a chunk"),
        pytest.param(CHUNKED, b"1;a=b\r\nc\r\n", "extensions", id="chunks with extensions"),
        pytest.param(CHUNKED + b"0\r\nA: ", b"b", "trailer", id="a trailer"),
        pytest.param(CHUNKED + b"0\r\n", b"A: b\r\n", "trailer", id="trailers"),
    ],
)
def test_a_response_without_end_is_an_error(beginning: bytes, repeated: bytes, reason: str) -> None:
    with playing(endless(beginning, repeated)) as url, Client() as client:
        with pytest.raises(ResponseError) as caught, client.get(url) as response:
            for _ in response:
                pass
        assert reason in str(caught.value)


@pytest.mark.parametrize("beginning", [OK + b"\r\n", CHUNKED])
def test_content_without_end_times_out(beginning: bytes) -> None:
    def script(connected: socket.socket) -> None:
        receive_head(connected)
        with contextlib.suppress(ConnectionError):
            connected.sendall(beginning)
            while True:
                connected.sendall(b"1\r\na\r\n" * 1000)

    timeouts = ClientTimeouts(whole=0.2)
    with playing(script) as url, pytest.raises(TimeoutError), Client(timeouts=timeouts) as client:
        for _ in client.get(url):
            pass


def test_endless_content_of_a_redirect_is_not_downloaded() -> None:
    moved = endless(b"HTTP/1.1 301 x\r\nLocation: /a\r\n\r\n", b"a")

    def final(connected: socket.socket) -> None:
        receive_head(connected)
        connected.sendall(OK + b"Content-Length: 2\r\n\r\nok")

    with playing(moved, final) as url, Client() as client, client.get(url) as response:
        assert response.read() == b"ok"


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "javascript:1", "https://a/", "http://[", "//", "///a/b", "HTTP:///a", "//?", "http://#"],
)
def test_the_error_of_a_redirect_to_an_unsupported_url_names_it(location: str) -> None:
    def script(connected: socket.socket) -> None:
        receive_head(connected)
        connected.sendall(f"HTTP/1.1 302 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())

    with playing(script) as url, Client() as client:
        with pytest.raises(RedirectError) as caught:
            client.get(url)
        assert location in str(caught.value)


# --- every value that the client computes from a response -----------------------------------------------------------

NAMES = (
    *(b"Content-Length", b"Transfer-Encoding", b"Location", b"ETag", b"Content-Range", b"Last-Modified", b"Date"),
    *(b"Retry-After", b"Connection", b"Content-Type", b"Content-Encoding", b"Content-Location", b"Set-Cookie"),
)
VALUES = (
    *(b"", b"0", b"5", b"-1", b"+5", b"5, 5", b"5,6", b"9" * 30, b"0" * 40 + b"5", b"chunked", b"gzip, chunked"),
    *(b'"a"', b'W/"a"', b'"', b"bytes 0-4/5", b"bytes 5-9/10", b"bytes */5", b"bytes 9-0/5", b"bytes 0-4/*"),
    *(b"bytes " + b"9" * 40 + b"-" + b"9" * 41 + b"/" + b"9" * 42, b"Sun, 06 Nov 1994 08:49:37 GMT", b"120"),
    *(b"Sun, 31 Feb 1994 08:49:37 GMT", b"Sun, 06 Nov 0000 24:49:60 GMT", b"Sun Nov  6 08:49:37 0001", b"/", b"//"),
    *(b"http://", b"http://[::1", b"http://[::1]:99999/", b"http://a:b@/", b"http://\xff/", b"javascript:1", b"?"),
    *(b"%", b"\xff\xfe", b"\xe2\x80\xae", b"close", b"keep-alive", b"1" * 5000, b"\x7f", b"\0", b"\x1b[2J", b"gzip"),
)
STATUSES = (b"200", b"200", b"206", b"206", b"301", b"303", b"308", b"304", b"204", b"100", b"101", b"000", b"999")
CONTENTS = (
    *(
        b"",
        b"hello",
        b"5\r\nhello\r\n0\r\n\r\n",
        b'5;a="b"\r\nhello\r\n0\r\nETag: "z"\r\nA:\xff\r\n\r\n',
        b"5\r\nhelloX",
    ),
    *(b"F" * 17 + b"\r\n", b"0\r\n" + b"A: b\r\n" * 1100, b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
)


def any_response(choose: random.Random) -> bytes:
    """Return a random response, which may be malformed."""
    version = choose.choice([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.9", b"HTTP/2.0"])
    octets = version + b" " + choose.choice(STATUSES) + choose.choice([b" OK", b"", b" \xff\x1b"][:2] * 9 + [b" \x1b"])
    for _ in range(choose.randrange(5)):
        octets += b"\r\n" + choose.choice(NAMES) + b": " + choose.choice(VALUES)
    octets += b"\r\n\r\n" + choose.choice(CONTENTS)
    return octets[: choose.randrange(len(octets))] if choose.random() < 0.1 else octets


def use_all(head: ResponseHead) -> None:
    """Compute all properties of *head*."""
    assert isinstance(head.is_interim, bool)
    assert isinstance(head.is_error, bool)
    for name in NAMES:
        assert isinstance(head.field(name.lower()), bytes | None)
    for method in ("GET", "HEAD", "POST"):
        with contextlib.suppress(UrlError):
            redirect(method, parse_url("http://a/b"), head.status, head.field(b"location"))


@pytest.mark.parametrize("seed", range(8))
def test_every_response_is_usable_or_a_response_error(seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(500):
        parser = ResponseParser(ResponseLimits())
        parser.expect(choose.choice(["GET", "HEAD"]))
        parser.receive(any_response(choose))
        parser.receive(b"")
        # A response gives a limited number of events; the parser must come to an end.
        with contextlib.suppress(ResponseError):
            for count in itertools.count():
                assert count < 100
                event = parser.next_event()
                if isinstance(event, ResponseHead):
                    use_all(event)
                elif not isinstance(event, Content):
                    break
            assert isinstance(event, EndOfContent)
        assert isinstance(parser.trailers, tuple)
        assert parser.content_length is None or parser.content_length >= 0
        assert isinstance(parser.is_reusable, bool)


@pytest.mark.parametrize("seed", range(4))
def test_a_download_of_any_octets_succeeds_or_prints_one_sentence(seed: int, tmp_path: pathlib.Path) -> None:
    choose = random.Random(seed)
    answers = [any_response(choose) for _ in range(40)]

    def script_of(octets: bytes) -> Callable[[socket.socket], None]:
        def script(connected: socket.socket) -> None:
            with contextlib.suppress(ConnectionError):
                receive_head(connected)
                connected.sendall(octets)

        return script

    (tmp_path / "file.part").write_bytes(b"hello")
    with playing(*map(script_of, answers)) as url:
        for _ in answers:
            with (
                Client(redirects=0) as client,
                contextlib.closing(Download(str(tmp_path / "file"), url, resumes=True)) as download,
                contextlib.suppress(ResponseError),
                client.get(url, fields=download.fields) as response,
            ):
                download.start(response)
                for octets in response:
                    download.write(octets)
                download.finish()
