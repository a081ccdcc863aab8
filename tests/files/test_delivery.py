"""Delivery: clients get all octets over real connections, even if clients are slow or files change."""

import errno
import gzip
import hashlib
import os
import pathlib
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from httpsock import Server
from tests.support import TIMEOUT_SECONDS, Answer, connect, exchange, get, read_answer, read_answers, receive_all

PORTABLE = "selectors, read and send"
MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30

Serve = Callable[..., Server]


@pytest.fixture(params=["epoll and sendfile", PORTABLE])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test twice, with and without epoll and sendfile."""
    name = str(request.param)
    if name == PORTABLE:
        fall_back(monkeypatch)
    return name


def fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove epoll and sendfile, as on other systems."""
    monkeypatch.delattr(select, "epoll", raising=False)
    monkeypatch.delattr(os, "sendfile", raising=False)


def octets_from(seed: str, length: int) -> bytes:
    """Return *length* octets that look random. Equal seeds give equal octets."""
    block = hashlib.shake_256(seed.encode()).digest(min(length, MEBIBYTE))
    return (block * (length // len(block) + 1))[:length]


@pytest.fixture
def slow_client() -> Iterator[Callable[[int], socket.socket]]:
    """Yield a function that connects a client with small buffers. A server must soon wait for such a client."""
    with ExitStack() as stack:

        def start(port: int) -> socket.socket:
            return stack.enter_context(connect(port, buffer_octets=16 * 1024))

        yield start


SlowClient = Callable[[int], socket.socket]


# --- The same on every system ---------------------------------------------------------------------


def without_time(answers: list[Answer]) -> list[Answer]:
    """Return *answers* without Date. Make all ETags strong, since a new file has a weak ETag."""
    return [
        answer._replace(fields=[(name, value.removeprefix("W/")) for name, value in answer.fields if name != "Date"])
        for answer in answers
    ]


def test_the_answers_are_the_same_without_epoll_and_sendfile(
    folder: pathlib.Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [
        get("/hello.txt"),
        get("/large.bin"),
        get("/large.bin", method="HEAD"),
        get("/large.bin", "Range: bytes=1000-200000"),
        get("/large.bin", "Range: bytes=-1"),
        get("/empty.txt"),
        get("/sub/"),
        get("/sub"),
        get("/"),
        get("/nothing"),
        get("*", method="OPTIONS"),
        get("/hello.txt", "Content-Length: 3", method="PUT") + b"abc",
        b"nonsense\r\n\r\n",
    ]
    octets = b"".join(requests)
    methods = [request.split(b" ")[0].decode() for request in requests]
    usual = read_answers(exchange(serve(folder).port, octets), *methods)

    fall_back(monkeypatch)
    portable = read_answers(exchange(serve(folder).port, octets), *methods)

    assert without_time(portable) == without_time(usual)
    assert [answer.status for answer in usual] == [200, 200, 200, 206, 206, 200, 200, 301, 200, 404, 204, 405, 400]


# --- Many clients ---------------------------------------------------------------------------------


def test_slow_and_fast_clients_all_get_the_whole_right_content(
    folder: pathlib.Path, serve: Serve, platform: str
) -> None:
    """In this test, some of many simultaneous clients read slowly (RFC 9112 §6.3, requirement R095)."""
    contents = {f"/{name}.bin": octets_from(name, 2 * MEBIBYTE + number) for number, name in enumerate("abcdef")}
    for path, content in contents.items():
        (folder / path[1:]).write_bytes(content)
    served = serve(folder)
    with ExitStack() as stack:
        reading = []
        for number in range(24):
            path = list(contents)[number % len(contents)]
            client = stack.enter_context(connect(served.port))
            client.sendall(get(path, "Connection: close"))
            # Each fourth client is slow, and each reads in portions of another size.
            portion = 20_000 + number if number % 4 == 0 else MEBIBYTE
            reading.append((client, path, portion, bytearray()))
        finished = 0
        while reading:
            client, path, portion, received = reading.pop(0)
            part = client.recv(portion)
            received += part
            if part:
                reading.append((client, path, portion, received))
                continue
            (answer,) = read_answers(bytes(received))
            assert answer.content == contents[path]
            finished += 1

    assert finished == 24


def test_many_clients_share_small_and_large_files(folder: pathlib.Path, serve: Serve, platform: str) -> None:
    served = serve(folder)
    large = (folder / "large.bin").read_bytes()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(served.port)) for _ in range(80)]
        for client in clients:
            client.sendall(get("/hello.txt") + get("/large.bin", "Connection: close"))

        for client in clients:
            small, whole = read_answers(receive_all(client))
            assert small.content == b"Hello, socket.\n"
            assert whole.content == large


def test_idle_clients_delay_no_other_client(folder: pathlib.Path, serve: Serve, platform: str) -> None:
    """While some clients are idle, the server answers other clients (RFC 9112 §9.5, requirement R093)."""
    served = serve(folder)
    with ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(connect(served.port))

        for _ in range(10):
            (answer,) = read_answers(exchange(served.port, get("/hello.txt")))
            assert answer.content == b"Hello, socket.\n"


# --- Pipelines ------------------------------------------------------------------------------------


def test_a_hundred_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """A server must answer in the order of the requests (RFC 9112 §9.3.2; requirements R089 and R090)."""
    octets = b"".join(get("/alphabet.txt", f"Range: bytes=0-{number % 26}") for number in range(100))

    answers = read_answers(exchange(server.port, octets))

    alphabet = b"abcdefghijklmnopqrstuvwxyz"
    assert [answer.content for answer in answers] == [alphabet[: number % 26 + 1] for number in range(100)]


def test_a_client_that_pipelines_thousands_before_reading_gets_all_answers(
    server: Server, folder: pathlib.Path, slow_client: SlowClient
) -> None:
    """TCP flow control blocks the client's sending until the client reads (requirements R090 and R095)."""
    (folder / "some.bin").write_bytes(content := octets_from("some", 1000))
    client = slow_client(server.port)
    writing = threading.Thread(target=client.sendall, args=(get("/some.bin") * 3000 + get("/nothing"),))
    writing.start()
    received = bytearray(client.recv(1))
    while b"HTTP/1.1 404 Not Found" not in received[-4096:]:
        received += client.recv(65536)
    writing.join()
    client.shutdown(socket.SHUT_WR)

    *answers, last = read_answers(bytes(received) + receive_all(client))

    assert len(answers) == 3000
    assert {answer.content for answer in answers} == {content}
    assert last.status == 404


# --- Files that change while they are sent --------------------------------------------------------


def test_a_file_truncated_while_it_is_sent_ends_the_connection(
    folder: pathlib.Path, serve: Serve, platform: str, slow_client: SlowClient
) -> None:
    """The connection ends early, so the client knows that octets are missing (RFC 9112 §8)."""
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(128 * MEBIBYTE)
    client = slow_client(serve(folder).port)
    client.sendall(get("/huge.bin") + get("/hello.txt"))
    beginning = client.recv(1)

    os.truncate(folder / "huge.bin", 64 * MEBIBYTE)

    head, _, content = (beginning + receive_all(client)).partition(b"\r\n\r\n")
    assert head.endswith(f"\r\nContent-Length: {128 * MEBIBYTE}".encode())
    assert content == bytes(64 * MEBIBYTE)


def test_a_file_replaced_while_it_is_sent_is_sent_with_its_old_content(
    folder: pathlib.Path, serve: Serve, platform: str, slow_client: SlowClient
) -> None:
    before, after = octets_from("before", 24 * MEBIBYTE), octets_from("after", 23 * MEBIBYTE)
    (folder / "changing.bin").write_bytes(before)
    (folder / "new.bin").write_bytes(after)
    client = slow_client(serve(folder).port)
    client.sendall(get("/changing.bin") + get("/changing.bin", "Connection: close"))
    beginning = client.recv(1)

    os.replace(folder / "new.bin", folder / "changing.bin")

    first, second = read_answers(beginning + receive_all(client))
    assert first.content == before
    assert second.content == after
    assert first.field("ETag") != second.field("ETag")


def test_a_file_that_grows_while_it_is_sent_is_sent_with_its_promised_length(
    folder: pathlib.Path, serve: Serve, platform: str, slow_client: SlowClient
) -> None:
    content = octets_from("growing", 24 * MEBIBYTE)
    (folder / "growing.bin").write_bytes(content)
    client = slow_client(serve(folder).port)
    client.sendall(get("/growing.bin") + get("/growing.bin", "Range: bytes=-5", "Connection: close"))
    beginning = client.recv(1)

    with open(folder / "growing.bin", "ab") as file:
        file.write(b"a line more")

    first, second = read_answers(beginning + receive_all(client))
    assert first.content == content
    assert second.content == b" more"


def test_a_file_removed_while_it_is_sent_is_sent_whole(
    folder: pathlib.Path, serve: Serve, platform: str, slow_client: SlowClient
) -> None:
    content = octets_from("removed", 24 * MEBIBYTE)
    (folder / "removed.bin").write_bytes(content)
    client = slow_client(serve(folder).port)
    client.sendall(get("/removed.bin") + get("/removed.bin", "Connection: close"))
    beginning = client.recv(1)

    os.unlink(folder / "removed.bin")

    first, second = read_answers(beginning + receive_all(client))
    assert first.content == content
    assert second.status == 404


# --- Systems that refuse sendfile() ---------------------------------------------------------------

REFUSALS = ["EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EPERM", "EACCES", "ENODEV", "ESPIPE"]
Sendfile = Callable[[int, int, int, int], int]


def refuse_sendfile(monkeypatch: pytest.MonkeyPatch, name: str, after: int) -> list[int]:
    """Let sendfile() succeed *after* times, then fail with the error *name*. Return the offsets of failed calls."""
    refused: list[int] = []
    real: Sendfile = os.sendfile
    calls = iter(range(1 << 30))

    def sendfile(target: int, source: int, offset: int, count: int) -> int:
        if next(calls) < after:
            return real(target, source, offset, min(count, 100_000))
        refused.append(offset)
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(os, "sendfile", sendfile)
    return refused


needs_sendfile = pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile()")


@needs_sendfile
@pytest.mark.parametrize("after", [pytest.param(0, id="from the first call on"), pytest.param(3, id="midway")])
@pytest.mark.parametrize("name", REFUSALS)
def test_a_file_is_read_and_sent_if_sendfile_is_refused(
    folder: pathlib.Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str, after: int
) -> None:
    content = octets_from(name, MEBIBYTE + 7)
    (folder / "film.bin").write_bytes(content)
    refused = refuse_sendfile(monkeypatch, name, after)

    requests = get("/film.bin") + get("/film.bin", "Range: bytes=5-900000") + get("/hello.txt")
    whole, part, hello = read_answers(exchange(serve(folder).port, requests))

    assert whole.content == content
    assert part.content == content[5:900001]
    assert hello.content == b"Hello, socket.\n"
    assert refused[0] == after * 100_000


@needs_sendfile
def test_a_slow_reader_gets_a_whole_file_if_sendfile_is_refused(
    folder: pathlib.Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, slow_client: SlowClient
) -> None:
    content = octets_from("film", 8 * MEBIBYTE)
    (folder / "film.bin").write_bytes(content)
    refuse_sendfile(monkeypatch, "EINVAL", 0)
    served = serve(folder)
    client = slow_client(served.port)
    client.sendall(get("/film.bin", "Connection: close"))

    # Another client is answered while the first one does not read.
    (other,) = read_answers(exchange(served.port, get("/hello.txt", "Connection: close")))
    (answer,) = read_answers(receive_all(client))

    assert other.content == b"Hello, socket.\n"
    assert answer.content == content


@needs_sendfile
@pytest.mark.parametrize("name", ["EIO", "ENOMEM"])
def test_a_response_is_broken_off_at_a_read_error_and_the_file_not_read_again(
    folder: pathlib.Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The client gets fewer octets than Content-Length (RFC 9112 §8)."""
    content = octets_from("film", MEBIBYTE)
    (folder / "film.bin").write_bytes(content)
    refuse_sendfile(monkeypatch, name, 2)

    head, _, sent = exchange(serve(folder).port, get("/film.bin") + get("/hello.txt")).partition(b"\r\n\r\n")

    assert b"\r\nContent-Length: 1048576" in head
    assert sent == content[:200_000]


# --- Many parts -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("length", [1, 100, 16 * 1024, 16 * 1024 + 1, 40_000])
def test_256_parts_of_a_large_file_are_sent_exactly(folder: pathlib.Path, serve: Serve, length: int) -> None:
    """The client zchunk requests up to 255 ranges at a time (requirement R136)."""
    content = octets_from("parts", 256 * (length + 1) + 100_000)
    (folder / "parts.bin").write_bytes(content)
    starts = [place * (length + 1) for place in range(256)]
    asked = ",".join(f"{first}-{first + length - 1}" for first in reversed(starts))
    request = get("/parts.bin", f"Range: bytes={asked}") + get("/hello.txt")

    answer, hello = read_answers(exchange(serve(folder).port, request))

    assert answer.status == 206
    boundary = (answer.field("Content-Type") or "").partition("boundary=")[2]
    preamble, *parts, epilogue = answer.content.split(f"\r\n--{boundary}".encode())
    assert (preamble, epilogue) == (b"", b"--\r\n")
    for first, part in zip(reversed(starts), parts, strict=True):
        head, _, octets = part.partition(b"\r\n\r\n")
        assert head.endswith(f"Content-Range: bytes {first}-{first + length - 1}/{len(content)}".encode())
        assert octets == content[first : first + length]
    assert hello.content == b"Hello, socket.\n"


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("length", [100, 40_000])
def test_a_file_truncated_between_its_parts_ends_the_connection(
    folder: pathlib.Path, serve: Serve, slow_client: SlowClient, length: int
) -> None:
    """The client gets fewer octets than Content-Length, and no further response (RFC 9112 §8)."""
    film = folder / "film.bin"
    film.write_bytes(octets_from("film", 16 * MEBIBYTE))
    client = slow_client(serve(folder).port)
    asked = [
        "0-8388607",
        *(f"{9_000_000 + place}-{9_000_000 + place + length - 1}" for place in range(0, 90_000, 45_000)),
    ]
    client.sendall(get("/film.bin", f"Range: bytes={','.join(asked)}") + get("/hello.txt"))
    received = client.recv(1000)

    os.truncate(film, 8 * MEBIBYTE)
    while part := client.recv(MEBIBYTE):
        received += part

    head, _, sent = received.partition(b"\r\n\r\n")
    (promised,) = (int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
    assert len(sent) < promised
    assert b"Hello, socket." not in received


# --- Large files ----------------------------------------------------------------------------------


@pytest.fixture
def vast(folder: pathlib.Path) -> pathlib.Path:
    """Create a sparse file of 5 GiB with text at its start, at 4 GiB, and at its end."""
    path = folder / "vast.bin"
    with open(path, "wb") as file:
        file.write(b"start")
        file.seek(4 * GIBIBYTE - 4)
        file.write(b"boundary")
        file.seek(5 * GIBIBYTE - 3)
        file.write(b"end")
    return folder


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize(
    ("byte_range", "sent_range", "content"),
    [
        pytest.param("0-4", "0-4", b"start", id="the start"),
        pytest.param("4294967292-4294967299", "4294967292-4294967299", b"boundary", id="across 4 GiB"),
        pytest.param("4294967296-4294967297", "4294967296-4294967297", b"da", id="from 4 GiB on"),
        pytest.param("5368709117-", "5368709117-5368709119", b"end", id="to the end"),
        pytest.param("-4", "5368709116-5368709119", b"\0end", id="a suffix"),
    ],
)
def test_ranges_of_a_file_of_more_than_4_gib_are_right(
    vast: pathlib.Path, serve: Serve, byte_range: str, sent_range: str, content: bytes
) -> None:
    """Positions above 32 bits must not overflow (RFC 9110 §14.1.2; requirements R128 and R134)."""
    (answer,) = read_answers(exchange(serve(vast).port, get("/vast.bin", f"Range: bytes={byte_range}")))

    assert answer.status == 206
    assert answer.field("Content-Range") == f"bytes {sent_range}/5368709120"
    assert answer.content == content


def test_a_file_of_more_than_4_gib_has_its_whole_length(vast: pathlib.Path, serve: Serve, platform: str) -> None:
    served = serve(vast)
    answer, _ = read_answer(exchange(served.port, get("/vast.bin", method="HEAD")), "HEAD")
    assert answer.field("Content-Length") == "5368709120"

    with connect(served.port) as client:
        client.sendall(get("/vast.bin"))
        received = b""
        while len(received) < 1000:
            received += client.recv(1000)

    head, _, content = received.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nContent-Length: 5368709120")
    assert content.rstrip(b"\0") == b"start"


# --- Imports while serving ------------------------------------------------------------------------

EVERYTHING = """
import pathlib, sys
import httpsock
from tests.support import connect, get, read_answers, exchange

with httpsock.Server(sys.argv[1], port=0, log=print) as server:
    # The client's own imports.
    connect(server.port).close()
    before = set(sys.modules)
    answers = exchange(server.port, b"".join([
        get("/"),
        get("/", "Accept: text/html"),
        get("/", "Accept: application/json"),
        get("/hello.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"),
        get("/large.bin", "Range: bytes=0-1,3-4"),
        get("/hello.txt", "Accept-Encoding: gzip"),
        get("/%EF%BC%8Egit"),
        get("/nothing", "Accept: text/html"),
        get("/nothing", "Accept: application/json"),
        b"nonsense",
    ]))
    print(len(answers), sorted(set(sys.modules) - before), file=sys.stderr)
"""


def test_a_serving_program_imports_no_module(folder: pathlib.Path) -> None:
    """A later import could fail for lack of file descriptors or permissions."""
    octets = (folder / "hello.txt").read_bytes()
    (folder / "hello.txt.gz").write_bytes(gzip.compress(octets))
    for name in ("hello.txt", "hello.txt.gz"):
        os.utime(folder / name, (1, 1))
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING, str(folder)],
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )
    assert re.fullmatch(r"[1-9]\d{3,} \[\]\n", done.stderr)
