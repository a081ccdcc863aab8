"""Exchanges with well-behaved and hostile servers, and the parsing of valid and invalid responses."""

import shutil
import socket
import subprocess
import threading

import pytest

from conformance.parsers.h11_client import faults_by_h11_client

from .start import Program
from .testing import serving
from .wire import ParsedResponses, exchange, read_responses, reproduce

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def read(octets: bytes, *methods: str) -> ParsedResponses:
    """Parse *octets* as the responses of a server that then closed the connection."""
    return read_responses(octets, methods or ("GET",), True)


GOOD = {
    "a length": ("GET", OK, [b"hello"]),
    "two responses": ("GET", OK + OK, [b"hello", b"hello"]),
    "an interim response": ("GET", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, [b"hello"]),
    "content until the close": ("GET", b"HTTP/1.1 200 OK\r\n\r\nhello", [b"hello"]),
    "no phrase": ("GET", b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", [b""]),
    "HEAD": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", [b""]),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n" + OK, [b"", b"hello"]),
    "304 with the length of the 200": ("GET", b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", [b""]),
    "a tunnel": ("CONNECT", b"HTTP/1.1 200 OK\r\n\r\n", [b""]),
    "chunks": (
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
        [b"hello"],
    ),
    "empty values": ("GET", b"HTTP/1.1 200 OK\r\nX:\r\nY: \t\r\nContent-Length:0\r\n\r\n", [b""]),
}


@pytest.mark.parametrize(("method", "octets", "contents"), GOOD.values(), ids=GOOD.keys())
def test_a_valid_response_is_read_to_its_end_without_a_fault(method: str, octets: bytes, contents: list[bytes]) -> None:
    """The strict reader finds no fault, and h11 as a client finds none."""
    parsed = read(octets, method)
    assert [response.content for response in parsed.responses] == contents
    assert (parsed.leftover, parsed.faults) == (b"", [])
    assert faults_by_h11_client(octets, [method, "GET"]) == []


BAD = {
    "no status line": (b"hello\r\n\r\n", "status line"),
    "another protocol": (b"ICY 200 OK\r\n\r\n", "status line"),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "status line"),
    "no space behind the status": (b"HTTP/1.1 200\r\n\r\n", "status line"),
    "a control character in the phrase": (b"HTTP/1.1 200 O\x00K\r\n\r\n", "status line"),
    "a simple response": (b"<html>", "is not the start of a response"),
    "a head without end": (b"HTTP/1.1 200 OK\r\nX: y\r\n", "no end"),
    "a space before a colon": (b"HTTP/1.1 204 x\r\nX : y\r\n\r\n", "is not a field line"),
    "a fold": (b"HTTP/1.1 204 x\r\nX: y\r\n z\r\n\r\n", "is not a field line"),
    "a NUL in a value": (b"HTTP/1.1 204 x\r\nX: \x00\r\n\r\n", "is not a field line"),
    "two lengths": (b"HTTP/1.1 200 x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", "2 times"),
    "a length and chunks": (
        b"HTTP/1.1 200 x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "beside",
    ),
    "a length in 204": (b"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", "in a 204"),
    "a negative length": (b"HTTP/1.1 200 x\r\nContent-Length: -1\r\n\r\n", "Content-Length is"),
    "content in 304": (b"HTTP/1.1 304 x\r\n\r\nhello", "must not have content"),
    "content cut short": (OK[:-1], "promised"),
    "chunks cut short": (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "no end"),
    "no last chunk": (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "no end"),
    "a trailer cut short": (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX", "no end"),
    "a negative chunk size": (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", "chunk size"),
    "a chunk too long": (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n", "of that size"),
    "a trailer without a colon": (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n", "trailer"),
    "405 without Allow": (b"HTTP/1.1 405 x\r\nContent-Length: 0\r\n\r\n", "Allow"),
    "401 without a challenge": (b"HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", "WWW-Authenticate"),
    "426 without Upgrade": (b"HTTP/1.1 426 x\r\nContent-Length: 0\r\n\r\n", "Upgrade"),
    "206 without a range": (b"HTTP/1.1 206 x\r\nContent-Length: 0\r\n\r\n", "Content-Range"),
    "a multipart 206 with a range": (
        b"HTTP/1.1 206 x\r\nContent-Type: multipart/byteranges; boundary=x\r\nContent-Range: bytes 0-0/1\r\n\r\n",
        "outside its parts",
    ),
    "a date of another form": (b"HTTP/1.1 204 x\r\nDate: Sunday, 06-Nov-94 08:49:37 GMT\r\n\r\n", "date is"),
    "an entity-tag without quotes": (b"HTTP/1.1 204 x\r\nETag: abc\r\n\r\n", "etag is"),
}


@pytest.mark.parametrize(("octets", "fault"), BAD.values(), ids=BAD.keys())
def test_an_invalid_response_has_a_fault_with_its_section(octets: bytes, fault: str) -> None:
    found = read(octets).faults[0].says
    assert fault in found
    assert "(RFC 9" in found


def test_no_octets_that_a_server_sends_raise_an_error() -> None:
    """The test replaces each octet of each valid response, and cuts each response at each position."""
    for method, octets, _ in GOOD.values():
        for position in range(len(octets)):
            for replaced in (b"", b"\x00", b"\r", b"\n", b"\xff", b" ", b"9"):
                changed = octets[:position] + replaced + octets[position + 1 :]
                parsed = read(changed, method)
                octets_read = sum(len(part.octets) for part in (*parsed.responses, *parsed.interim))
                assert octets_read + len(parsed.leftover) == len(changed)
                faults_by_h11_client(changed, [method])
            # A response that is still incomplete is not a fault.
            assert read_responses(octets[:position], [method], False).faults == []


def test_a_transcript_has_the_octets_sent_and_received_and_how_the_connection_ended() -> None:

    def script(connected: socket.socket) -> None:
        with connected.makefile("rb") as stream:
            connected.sendall(b"<" + stream.read(4) + b">")

    with serving(script) as address:
        transcript = exchange(address, [b"a", b"", b"bc", b"d"], silence_seconds=5.0, ends=False)
    assert transcript == (b"abcd", b"<abcd>", "closed", False)


def test_reading_an_endless_response_stops() -> None:
    """The reader stops after a hundred surplus responses, or a hundred thousand chunks."""
    assert len(read(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "GET").interim) < 110
    assert len(read(OK * 1000, "GET").responses) < 110
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 200_000
    parsed = read(chunks, "GET")
    assert (parsed.responses, parsed.leftover) == ([], chunks)
    assert [fault.says for fault in parsed.faults] == ["more than 100000 chunks, and no end"]


def test_the_client_ends_its_side_immediately_or_after_some_silence() -> None:
    """The server in this test answers only after the client has closed its side."""

    def script(connected: socket.socket) -> None:
        with connected.makefile("rb") as stream:
            connected.sendall(b"<" + stream.read() + b">")

    with serving(script) as address:
        assert exchange(address, [b"ab"], silence_seconds=5.0, ends=True) == (b"ab", b"<ab>", "closed", True)
        quiet = exchange(address, [b"ab"], silence_seconds=5.0, ends=False, quiet_seconds=0.05)
    assert quiet == (b"ab", b"<ab>", "closed", True)


def test_an_exchange_with_a_silent_server_times_out() -> None:
    is_over = threading.Event()
    with serving(lambda _: is_over.wait(10.0)) as address:
        assert exchange(address, [b"x"], silence_seconds=0.1, ends=False) == (b"x", b"", "timed out", False)
        is_over.set()


def test_an_exchange_stops_after_max_octets() -> None:

    def script(connected: socket.socket) -> None:
        while True:
            connected.sendall(b"x" * 65536)

    with serving(script) as address:
        transcript = exchange(address, [b"x"], silence_seconds=5.0, ends=False, max_octets=100_000)
    assert transcript.ended == "flooded"
    assert len(transcript.received) > 100_000


def test_a_server_that_does_not_read_does_not_block_the_exchange() -> None:
    """The client must still receive a response that the server sent before it closed the connection."""

    def script(connected: socket.socket) -> None:
        connected.sendall(b"no")

    with serving(script) as address:
        transcript = exchange(address, (b"x" * 65536 for _ in range(1000)), silence_seconds=5.0, ends=False)
    assert transcript.ended in ("closed", "reset")
    assert transcript.received in (b"no", b"")


def test_a_connection_to_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()[:2]
    assert exchange(address, [b"x"], silence_seconds=1.0, ends=False) == (b"", b"", "refused", False)


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"-n%d\\x41'\"`$HOME`" + bytes(range(256)) + b"7\x007", id="all octets"),
        pytest.param(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", id="long runs"),
        pytest.param(b"-%'\x00" * 500, id="one long run"),
        pytest.param(b"", id="no octets"),
    ],
)
def test_the_shell_line_that_repeats_a_case_prints_its_octets_and_is_short(octets: bytes) -> None:
    line = reproduce("127.0.0.1", 80, octets)
    assert "\n" not in line
    command, separator, rest = line.rpartition(" | ")
    assert (separator, rest) == (" | ", "nc 127.0.0.1 80")
    assert len(line) < 1200
    with Program(["sh", "-c", command], stdout=subprocess.PIPE) as shell:
        assert shell.communicate()[0] == octets


def test_the_shell_line_for_a_request_cut_short_ends_the_client_s_side() -> None:
    """The option -N of nc closes the client's side. Without it, the server would wait for the rest of the request."""
    assert reproduce("::1", 80, b"GET", ends=True) == "printf 'GET' | nc -N ::1 80"
