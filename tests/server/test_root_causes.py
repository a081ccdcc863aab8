"""Known faults of other servers, grouped by cause. Requests that trigger such a fault do no harm here.

Each row has the report's number as its id. Related tests: ``tests/reliability`` (fuzz, slow, escapes),
test_confinement.py and test_listing.py.
"""

import os
import pathlib
import re
import socket
from collections.abc import Callable

import pytest

from httpsock import Server
from tests.support import connect, eventually, exchange, get, read_answer, read_answers, receive_all, reset
from tests.support.folder import HELLO
from tests.support.program import Start

Serve = Callable[..., Server]

POISON = get("/hello.txt")
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def refused(name: str, octets: bytes, status: int = 400) -> object:
    """Return a table row: the server must refuse *octets* with *status*."""
    return pytest.param(octets, status, id=name)


# --- Ambiguous requests ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        # Octets from the network parsed by int(), str.strip(), str.split() and the like.
        refused("gh-103204: Content-Length by int()", POST + b"Content-Length: +1_0\r\n\r\n"),
        refused("CVE-2022-24761: a sign", POST + b"Content-Length: +10\r\n\r\n"),
        refused("CVE-2022-24761: a base", POST + b"Content-Length: 0x1\r\n\r\n"),
        refused("CVE-2022-24801, gunicorn #3047: a chunk's size with a sign", CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n"),
        refused("gunicorn #3047: a chunk's size with a base", CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"),
        refused("gunicorn #3047: a chunk's size with an underscore", CHUNKED + b"0_5\r\nhello\r\n0\r\n\r\n"),
        refused("CVE-2019-16789: a vertical tab is no space", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n"),
        refused("gunicorn #3087: \\x85 is no space", POST + b"Transfer-Encoding: \x85chunked\r\n\r\n"),
        refused("gunicorn #3104: a field without a name", HEAD + b": x\r\n\r\n"),
        refused("gunicorn #3144: NUL in a value", HEAD + b"A: x\0y\r\n\r\n"),
        refused(
            "CVE-2022-24801, cheroot #230, GO-2022-0212: a space before the colon", POST + b"Content-Length : 5\r\n\r\n"
        ),
        refused("CVE-2020-28473: octets that are no request", b"\x16\x03\x01\x02\r\n\r\n"),
        # Wrong ends of lines.
        refused("CVE-2019-16785: bare LF", b"GET / HTTP/1.1\nHost: x\n\n"),
        refused("gh-114782, CVE-2023-37276: bare CR", HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n"),
        refused("CVE-2018-25103: a folded line", HEAD + b"A: x\r\n y\r\n\r\n"),
        refused("CVE-2025-22871: bare LF after a chunk's size", CHUNKED + b"5;\nhello\r\n0\r\n\r\n"),
        refused("CVE-2025-55315: bare LF in a chunk's extension", CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        refused("CVE-2025-43859: what follows a chunk is no CRLF", CHUNKED + b"5\r\nhelloXX0\r\n\r\n"),
        refused("CVE-2023-49082: CR and LF in the method", b"GET\r\nX / HTTP/1.1\r\nHost: x\r\n\r\n"),
        refused("CVE-2023-49081: CR in the version", b"GET / HTTP/1.1\rX: y\r\nHost: x\r\n\r\n"),
        # Two lengths, or no length.
        refused(
            "CVE-2019-16792, CVE-2020-10108, cheroot #275", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n"
        ),
        refused("CVE-2020-10109, CVE-2023-47641", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        refused("CVE-2019-16786", POST + b"Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        refused("CVE-2024-1135, CVE-2024-6827: a coding of no name", POST + b"Transfer-Encoding: x\r\n\r\n"),
        refused("gunicorn #3091: an empty coding", POST + b"Transfer-Encoding: ,chunked\r\n\r\n"),
        refused("GHSA-753j-mpmx-qq6g: chunked twice", POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n"),
        refused("cheroot #714: a chunk's size that is none", CHUNKED + b"z\r\n"),
        # Wrong hosts.
        refused("CVE-2026-34525: two Hosts", HEAD + b"Host: y\r\n\r\n"),
        refused("CVE-2026-48710: Host with a path", b"GET / HTTP/1.1\r\nHost: a/b?c=\r\n\r\n"),
        refused("cheroot 11.1.2: an address that has no end", b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        # Input without an end.
        refused("CVE-2023-39326: a chunk's extension", CHUNKED + b"1;" + b"a" * 20_000 + b"\r\nx\r\n"),
        refused("CVE-2026-22815: trailers", CHUNKED + b"0\r\n" + b"A: b\r\n" * 20_000, 431),
        refused(
            "CVE-2022-41717: names of fields", HEAD + b"".join(b"A%d: b\r\n" % n for n in range(200)) + b"\r\n", 431
        ),
        refused("CVE-2025-58068: a request for a trailer", CHUNKED + b"0\r\nGET /secret HTTP/1.1\r\n\r\n"),
    ],
)
def test_a_malformed_request_is_refused_and_the_next_one_is_not_answered(
    server: Server, octets: bytes, status: int
) -> None:
    """In CVE-2024-49768, the server answered a request after a malformed one."""
    (answer,) = read_answers(exchange(server.port, octets + POISON))

    assert (answer.status, answer.field("Connection")) == (status, "close")


@pytest.mark.parametrize(
    "request_line", [b"GET /", b"GET /missing", b"HEAD /hello.txt", b"DELETE /", b"GET /sub", b"GET /%00", b"OPTIONS *"]
)
@pytest.mark.parametrize("framing", [b"Content-Length: 51\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n33\r\n"])
def test_content_is_never_the_next_request(server: Server, request_line: bytes, framing: bytes) -> None:
    """In CVE-2022-29361 and CVE-2023-41419, unread content was parsed as a request."""
    hidden = b"GET /hidden HTTP/1.1\r\nHost: x\r\nX-Padding: 12345\r\n\r\n"
    assert len(hidden) == 0x33
    end = b"\r\n0\r\n\r\n" if b"chunked" in framing else b""
    octets = request_line + b" HTTP/1.1\r\nHost: x\r\n" + framing + hidden + end

    first, second = read_answers(exchange(server.port, octets + POISON), request_line.split()[0].decode())

    assert second.content == HELLO
    assert first.status != 500


def test_a_content_length_may_have_more_digits_than_int_accepts(server: Server) -> None:
    """If a Content-Length had too many digits, waitress 3.0.2 closed the connection and printed a traceback."""
    octets = POST + b"Content-Length: " + b"0" * 4300 + b"5\r\n\r\nhello"
    first, second = read_answers(exchange(server.port, octets + POISON))
    assert (first.status, second.content) == (405, HELLO)


def test_a_trailer_is_not_a_header_field(server: Server) -> None:
    """In CVE-2025-12642, trailer fields such as Connection were merged into the header."""
    octets = CHUNKED + b"0\r\nConnection: close\r\nHost: y\r\nContent-Length: 9\r\n\r\n"
    first, second = read_answers(exchange(server.port, octets + POISON))
    assert (first.status, first.field("Connection"), second.content) == (405, None, HELLO)


def test_answers_come_in_the_order_of_the_requests(server: Server) -> None:
    """In CVE-2023-46137 and CVE-2024-41671, a fast second response overtook a slow first one."""
    octets = get("/large.bin") + get("/hello.txt") + get("/missing") + get("/alphabet.txt")
    answers = read_answers(exchange(server.port, octets))
    assert [(answer.status, len(answer.content)) for answer in answers[:2]] == [(200, 256 * 1024), (200, len(HELLO))]
    assert [answer.status for answer in answers[2:]] == [404, 200]


# --- Files outside the root -----------------------------------------------------------------------


@pytest.mark.parametrize("follow_links", [False, True])
@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/../root-secret/{}", id="CVE-2023-29159: a prefix is no containment"),
        pytest.param("/../../{}", id="CVE-2024-23334"),
        pytest.param("/sub/..%2f..%2froot-secret/{}", id="CVE-2017-16762, CVE-2018-7490: decoded after the check"),
        pytest.param("/sub../root-secret/{}", id="CVE-2018-19052"),
        pytest.param("/sub/.//..//../root-secret/{}", id="CVE-2017-10671"),
        pytest.param("/%2f..%2froot-secret/{}?", id="CVE-2019-11072"),
        pytest.param("/.cpr/%2Fetc%2F{}", id="CVE-2023-37474: an absolute path in the middle"),
        pytest.param("/%5c%5chost%5cshare%5c{}", id="CVE-2026-48818: a name of the network"),
        pytest.param("/..\\root-secret\\{}", id="backslashes"),
        pytest.param("/C:/Windows/{}", id="gh-104711: a drive"),
        pytest.param("/NUL/{}", id="CVE-2024-49766, CVE-2026-27199: a device"),
        pytest.param("/CON.txt%20/{}", id="CVE-2025-66221, CVE-2026-21860: a device with more to its name"),
    ],
)
def test_files_outside_the_root_are_not_revealed(
    folder: pathlib.Path, serve: Serve, target: str, *, follow_links: bool
) -> None:
    """In CVE-2025-69226, the status showed whether a file outside the root exists."""
    secret = folder.parent / "root-secret"
    secret.mkdir()
    (secret / "passwd").write_bytes(b"secret")
    port = serve(folder, follow_links=follow_links).port

    there, missing = (read_answers(exchange(port, get(target.format(name))))[0] for name in ("passwd", "missing"))

    assert there.status == missing.status
    assert there.status in (400, 404)
    assert there.text.replace("passwd", "missing") == missing.text


@pytest.mark.parametrize("host", [b"", b"..", b"/"])
def test_host_is_not_part_of_the_path(server: Server, host: bytes) -> None:
    """In CVE-2018-18778, Host was used as a folder name."""
    (answer,) = read_answers(exchange(server.port, b"GET /etc/passwd HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"))
    assert answer.status in (400, 404)


# --- Redirects, pages, fields, log lines ----------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("//evil.example/..%2f..%2f../sub", id="CVE-2021-28861"),
        pytest.param("//evil.example/%2e%2e/sub", id="CVE-2023-28370, CVE-2021-21330"),
        pytest.param("/\\evil.example/%2e%2e%2fsub", id="cpython 132826"),
        pytest.param("//sub", id="CVE-2020-28724"),
        pytest.param("/sub%0d%0aX-Injected:%20y", id="CVE-2016-9964, CVE-2020-7695"),
        pytest.param("/./sub", id="a folder"),
    ],
)
def test_a_redirect_stays_on_this_host(server: Server, target: str) -> None:
    (answer,) = read_answers(exchange(server.port, get(target)))
    location = answer.field("Location")
    assert location is None or re.fullmatch(r"(?:/[^/\\]|[^/\\:]+/)[!-~]*", location)
    assert answer.field("X-Injected") is None


def test_a_page_escapes_the_requested_path(server: Server) -> None:
    """In CVE-2022-39348, CVE-2024-41810, CVE-2016-10516 and CVE-2025-67724, pages repeated markup from requests."""
    accept = b"Accept: text/html\r\n\r\n"
    for octets in (
        b"GET / HTTP/1.1\r\nHost: <script>\r\n" + accept,
        b"GET /<script> HTTP/1.1\r\nHost: x\r\n" + accept,
        b"GET /%3Cscript%3E HTTP/1.1\r\nHost: x\r\n" + accept,
        b"<script> / HTTP/1.1\r\nHost: x\r\n" + accept,
    ):
        (answer,) = read_answers(exchange(server.port, octets))
        assert "<script" not in answer.text
        assert "script" not in answer.phrase


def test_a_configured_value_with_a_line_break_is_refused(folder: pathlib.Path) -> None:
    """In CPython issue 142533, CVE-2018-1000164 and CVE-2026-34519, a line break in a value began a new field."""
    with pytest.raises(ValueError, match="control character"):
        Server(folder, port=0, fields=[("X-A", "b\r\nX-Injected: y")])


def test_a_log_line_is_one_line_without_control_characters(serving: Start) -> None:
    """In CVE-2020-7694, requests forged log lines. In CVE-2025-47287, requests flooded the log."""
    program = serving()
    program.ask("/%1b[31m%0a")
    exchange(program.port, b"GET /\x1b[31m HTTP/1.1\r\nCookie: \x80;;=\r\n\r\n")
    standard_error = program.stop()[2]
    assert "\x1b" not in standard_error
    assert [re.search(r'" (\d+) ', line)[1] for line in standard_error.splitlines()[1:]] == ["301", "400"]  # type: ignore[index]


# --- Crashes, delays and leaks --------------------------------------------------------------------


def test_octets_beyond_ascii_in_fields_are_accepted(server: Server) -> None:
    """In CVE-2026-42544, octets beyond ASCII made the server fail."""
    (answer,) = read_answers(exchange(server.port, HEAD + b"Sec-WebSocket-Protocol: \x80\xff\r\nCookie: \xfe\r\n\r\n"))
    assert answer.status == 200


def test_a_file_of_any_date_is_served(folder: pathlib.Path, server: Server) -> None:
    """In CVE-2020-25691, a file's date made the server fail."""
    for date in (2**40, -(2**33), 253_402_300_800):
        try:
            os.utime(folder / "hello.txt", (date, date))
        except (OSError, OverflowError):
            continue
        assert read_answers(exchange(server.port, get("/hello.txt")))[0].content == HELLO
        assert read_answers(exchange(server.port, get("/")))[0].status == 200


def test_too_many_ranges_get_the_whole_file(server: Server) -> None:
    """In CVE-2025-62727 and CVE-2011-3192, many ranges used up CPU time and memory."""
    ranges = "bytes=0-," + ",".join(f"{first}-{first}" for first in range(1, 4000, 2))
    (answer,) = read_answers(exchange(server.port, get("/large.bin", f"Range: {ranges}")))
    assert (answer.status, len(answer.content)) == (200, 256 * 1024)


def test_a_head_that_is_too_long_in_many_reads_is_refused(server: Server) -> None:
    """In CVE-2022-30780, a connection with a long head stayed open and used CPU time."""
    with connect(server.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(HEAD)
        for _ in range(40):
            client.sendall(b"A: " + b"b" * 996 + b"\r\n")
        assert read_answer(receive_all(client))[0].status == 431


def test_a_departed_client_leaves_no_state(serving: Start) -> None:
    """In CVE-2022-31015 and CVE-2024-49769, a client reset its connection.

    In CVE-2022-41556, a client left within a chunk.
    """
    program = serving("--bind", "127.0.0.1")
    descriptors = pathlib.Path(f"/proc/{program.process.pid}/fd")
    if not descriptors.exists():
        pytest.skip("this system does not tell what a process has open")
    program.ask("/hello.txt")
    before = len(list(descriptors.iterdir()))
    for _ in range(100):
        with connect(program.port) as client:
            reset(client)
        assert read_answers(exchange(program.port, CHUNKED + b"5\r\nhe"))[0].status == 400

    assert program.ask("/hello.txt").content == HELLO
    assert eventually(lambda: len(list(descriptors.iterdir())) <= before + 1)
    code, _, standard_error = program.stop()
    assert (code, "Traceback" in standard_error) == (0, False)
