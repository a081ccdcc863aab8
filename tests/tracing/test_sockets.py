"""Traces of real exchanges must equal the recorded traces in tests/traces.

Other tests check that a trace does not change the octets sent, and that failures are traced.
"""

import errno
import os
import pathlib
import re
import socket
import threading
from typing import Any

import pytest

import httpsock
from httpsock import Timeouts
from httpsock.files import cache, document_root, representation
from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import serve_folder
from httpsock.http.handler import Tick
from httpsock.observe.traced import Instrumentation
from httpsock.observe.traced_transport import TracedTransport
from httpsock.server.settings import Settings
from httpsock.server.transport import PlainTransport
from httpsock.tracing.events import TextFormatter
from httpsock.tracing.sockets import TracedDatagramSocket, TracedListener
from httpsock.tracing.trace import ConnectionTracer, TraceWriter
from tests.support import TIMEOUT_SECONDS, connect, exchange, get, receive_all, receive_answer, reset
from tests.support.folder import LONG_AGO
from tests.support.siblings import gzipped
from tests.support.trace import CollectedTrace, Traced, alike, golden

CLOSE = "Connection: close"


def collapsed(collected: str) -> str:
    """Replace all sendfile() calls in a trace by one line. Their number and lengths differ from run to run."""
    gutter = "#1 127.0.0.1:PORT  TIME  "
    turns = rf"(?:{gutter}sendfile \d+\n(?:{gutter}wait for room.*\n(?={gutter}sendfile \d))?)+"
    collected = re.sub(turns, f"{gutter}sendfile MUCH\n", collected)
    return re.sub(rf"({gutter}sendfile MUCH\n{gutter}wait .*\n{gutter}timeout .*\n)+", r"\1", collected)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server cache new files immediately."""
    monkeypatch.setattr(representation, "MTIME_GRANULARITY_SECONDS", -3600)
    monkeypatch.setattr(cache, "FRESH_SECONDS", 3600)


# --- Recorded exchanges ---------------------------------------------------------------------------------------------


def test_two_requests_on_one_connection_are_traced(folder: pathlib.Path, settled: None) -> None:
    with Traced(folder) as server, connect(server.port) as client:
        for _ in range(2):
            client.sendall(get("/hello.txt"))
            receive_answer(client)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""
    assert server.connections == golden("keep-alive")


def test_a_file_in_memory_is_a_cache_hit_by_any_path(folder: pathlib.Path, settled: None) -> None:
    with Traced(folder) as server, connect(server.port) as client:
        for path in ("/hello.txt", "/hello.txt", "/%68ello.txt"):
            client.sendall(get(path))
            receive_answer(client)
        (folder / "hello.txt").write_bytes(b"changed")
        client.sendall(get("/hello.txt"))
        receive_answer(client)
    assert re.findall(r"TIME  (cache hit|read) ", server.connections) == ["read", "cache hit", "cache hit", "read"]


def test_a_file_evicted_by_another_is_not_a_cache_hit(
    folder: pathlib.Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_root, "_CACHE_OCTETS", 3000)
    with Traced(folder) as server, connect(server.port) as client:
        for path in ("/hello.txt", "/sub/index.html", "/hello.txt"):
            client.sendall(get(path))
            receive_answer(client)
    assert re.findall(r"TIME  (cache hit|read) ", server.connections) == ["read", "read", "read"]


def test_a_repeated_request_is_traced_each_time(folder: pathlib.Path) -> None:
    with Traced(folder) as server, connect(server.port) as client:
        for _ in range(6):
            client.sendall(get("/hello.txt", "X: sent each time"))
            receive_answer(client)
    assert server.connections.count("  parse GET /hello.txt\n") == 6


def test_a_refused_request_is_traced(folder: pathlib.Path) -> None:
    with Traced(folder) as server:
        exchange(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept : text/html\r\n\r\n")
    assert server.connections == golden("refused")


def test_a_head_that_times_out_is_traced(folder: pathlib.Path) -> None:
    with Traced(folder, timeouts=Timeouts(head=0.05)) as server, connect(server.port) as client:
        client.sendall(b"GET /hello.txt HTTP/1.1\r\nHos")
        receive_answer(client)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""
    assert server.connections == golden("timed-out")


def test_a_client_without_a_request_is_traced(folder: pathlib.Path) -> None:
    with Traced(folder, timeouts=Timeouts(idle=0.05)) as server, connect(server.port) as client:
        assert receive_all(client) == b""
    assert server.connections == golden("idle")


def test_a_range_of_a_large_file_is_traced(folder: pathlib.Path) -> None:
    with Traced(folder) as server:
        exchange(server.port, get("/large.bin", "Range: bytes=1000-1099", CLOSE))
    assert server.connections == golden("ranged")


def test_a_large_file_is_traced(folder: pathlib.Path) -> None:
    length = 8 * 1024 * 1024
    (folder / "film.webm").write_bytes(bytes(length))
    with Traced(folder) as traced:
        exchange(traced.port, get("/film.webm", CLOSE))
    collected = traced.connections
    assert sum(map(int, re.findall(r"  sendfile (\d+)\n", collected))) == length
    assert collapsed(collected) == golden("large-file")


def test_a_file_sent_after_its_head_is_traced(folder: pathlib.Path) -> None:
    (folder / "some.bin").write_bytes(bytes(50_000))
    with Traced(folder) as server:
        answer = exchange(server.port, get("/some.bin", CLOSE))
    assert answer.endswith(b"\r\n\r\n" + bytes(50_000))
    assert f"  send {len(answer)}\n" in server.connections


def test_a_reset_by_the_peer_is_traced(folder: pathlib.Path, settled: None) -> None:
    with Traced(folder) as server:
        client = connect(server.port)
        client.sendall(get("/hello.txt"))
        receive_answer(client)
        reset(client)
        # When this client is answered, the server has handled the reset.
        with connect(server.port) as other:
            other.sendall(get("/hello.txt", CLOSE))
            receive_all(other)
    first = "".join(re.findall(r"^#1 .*\n(?:      .*\n)*", server.connections, re.MULTILINE))
    assert first == golden("reset")


def test_evictions_are_traced(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server allows one connection. It evicts a client with an incomplete head, then an idle client."""
    monkeypatch.setattr("httpsock.server.connection_limit._MAX_CONNECTIONS", 1)
    monkeypatch.setattr("httpsock.server.connection_limit._HEAD_SECONDS", 0.0)
    with Traced(folder) as server, connect(server.port) as slow:
        slow.sendall(get("/nothing") + get("/hello.txt")[:-1])
        assert receive_answer(slow).status == 404
        with connect(server.port) as idle:
            idle.sendall(get("/nothing"))
            assert receive_answer(slow).status == 408
            assert receive_answer(idle).status == 404
            exchange(server.port, get("/nothing", CLOSE))
    assert server.connections == golden("evicted")


def test_a_client_that_stops_reading_is_traced(folder: pathlib.Path) -> None:
    (folder / "film.webm").write_bytes(bytes(64 * 1024 * 1024))
    has_timed_out = threading.Event()
    settings: dict[str, Any] = {"timeouts": Timeouts(slow=0.05), "log": lambda exchanges: has_timed_out.set()}
    with Traced(folder, **settings) as server, connect(server.port) as client:
        client.sendall(get("/film.webm"))
        assert has_timed_out.wait(TIMEOUT_SECONDS)
    # The result of the last attempt before the reset differs from run to run.
    last_attempt = (
        r"(?m)^#1 127\.0\.0\.1:PORT  TIME  sendfile(?:: EAGAIN.*| MUCH)\n(?=#1 127\.0\.0\.1:PORT  TIME  setsockopt)"
    )
    # Room that comes without a new acknowledgement does not extend the deadline: then less than 0.05 s is left.
    trace = re.sub(r"(at most|timeout after) 0\.0\d* s", r"\1 0.05 s", server.connections)
    assert re.sub(last_attempt, "", collapsed(trace)) == golden("stalled")


def test_an_unverified_sibling_is_traced(folder: pathlib.Path) -> None:
    (folder / "hello.txt.gz").write_bytes(b"")
    os.utime(folder / "hello.txt.gz", (LONG_AGO, LONG_AGO))
    with Traced(folder) as server:
        exchange(server.port, get("/hello.txt", "Accept-Encoding: gzip", CLOSE))
    assert "unverified hello.txt.gz: its bytes are not verified as the file in gzip\n" in server.connections


def test_a_verified_sibling_is_opened_instead_of_its_file(folder: pathlib.Path, settled: None) -> None:
    (folder / "hello.txt.gz").write_bytes(gzipped((folder / "hello.txt").read_bytes()))
    os.utime(folder / "hello.txt.gz", (LONG_AGO, LONG_AGO))
    with Traced(folder) as server:
        exchange(server.port, get("/hello.txt", "Accept-Encoding: gzip", CLOSE))
    assert "unverified" not in server.connections
    calls = re.findall(r"TIME  ((?:open|read|lstat) .*)", server.connections)
    assert calls == [
        *("open hello.txt", "read 15", "lstat hello.txt: file, 15 bytes"),
        # The signature, the length, and all octets verify the sibling; then it is read to be sent.
        *("open hello.txt.gz", "read 43", "open hello.txt.gz", "read 35", "lstat hello.txt.gz: file, 35 bytes"),
    ]


def test_a_missing_file_and_a_folder_are_traced(folder: pathlib.Path, settled: None) -> None:
    with Traced(folder) as server:
        exchange(server.port, get("/nothing.txt") + get("/sub/") + get("/sub") + get("/", "Accept: text/plain", CLOSE))
    assert server.connections == golden("folders")


def test_a_path_out_of_the_folder_is_traced(folder: pathlib.Path) -> None:
    (folder.parent / "outside").mkdir()
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "link").symlink_to(folder.parent / "outside")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    with Traced(folder) as server:
        exchange(server.port, get("/link.txt") + get("/link/", CLOSE))
    assert "  open link.txt: ENOENT, leads out of the document root\n" in server.output
    assert "  scandir link: ENOENT, leads out of the document root\n" in server.output
    assert server.output.count("  refuse 404 Not Found\n") == 2


def test_without_sendfile_reading_and_sending_are_traced(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sendfile", raising=False)
    with Traced(folder) as server:
        exchange(server.port, get("/large.bin", "Range: bytes=0-99", CLOSE))
    assert "  send 100\n      < (100 bytes of content)\n" in server.output
    assert "sendfile" not in server.output


def test_a_refused_sendfile_is_traced_and_replaced_by_send(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "sendfile", refuse, raising=False)
    with Traced(folder) as server:
        exchange(server.port, get("/large.bin", "Range: bytes=0-99", CLOSE))
    assert "  sendfile: EINVAL, Invalid argument\n" in server.output
    assert "  send 100\n      < (100 bytes of content)\n" in server.output


def test_content_that_is_discarded_is_traced(folder: pathlib.Path) -> None:
    with Traced(folder) as server, connect(server.port) as client:
        client.sendall(get("/hello.txt", "Content-Length: 20", CLOSE, method="POST"))
        client.sendall(b"x" * 20)
        client.shutdown(socket.SHUT_WR)
        receive_all(client)
    collected = server.connections
    assert "  content 20, complete\n" in collected
    assert "  refuse 405 Method Not Allowed\n      ! POST is not allowed" in collected
    assert collected.count("> POST /hello.txt HTTP/1.1") == 1


def test_waiting_for_content_is_traced(folder: pathlib.Path) -> None:
    with Traced(folder, timeouts=Timeouts(stall=0.05)) as server, connect(server.port) as client:
        client.sendall(get("/hello.txt", "Content-Length: 20", method="POST") + b"xxx")
        receive_answer(client)
    collected = server.connections
    assert "  wait for content, at most 0.05 s\n" in collected
    assert "  timeout after 0.05 s of waiting for content\n" in collected
    assert "! the content did not come in time (RFC 9110 §15.5.9)" in collected


def test_all_octets_are_shown_on_request(folder: pathlib.Path) -> None:
    request = get("/alphabet.txt", "Authorization: Basic dXNlcjpzZWNyZXQ=", CLOSE)
    with Traced(folder, wants_octets=True) as server:
        answer = exchange(server.port, request)
    rows = re.findall(r"^      ([<>]) [0-9a-f]{4}  ([0-9a-f ]{47})", server.output, re.MULTILINE)
    received = bytes.fromhex("".join(row for mark, row in rows if mark == ">"))
    sent = bytes.fromhex("".join(row for mark, row in rows if mark == "<"))
    assert received == request.replace(b"dXNlcjpzZWNyZXQ=", b"*" * 16)
    assert sent == answer
    assert "> GET" not in server.output, "a head is shown once"


def test_all_octets_of_a_file_are_shown_on_request(folder: pathlib.Path) -> None:
    with Traced(folder, wants_octets=True) as server:
        exchange(server.port, get("/large.bin", "Range: bytes=4-70003", CLOSE))
    (collected,) = re.findall(r"  sendfile 70000\n((?:      .*\n)+)", server.output)
    octets = bytes.fromhex("".join(re.findall(r"< [0-9a-f]{4,}  ([0-9a-f ]{47})", collected)))
    assert octets == (folder / "large.bin").read_bytes()[4:70004]


# --- The server itself ----------------------------------------------------------------------------------------------


def test_the_trace_shows_how_the_server_starts_to_listen_and_ends(folder: pathlib.Path) -> None:
    with Traced(folder, threads=2) as server:
        pass
    assert alike(server.output) == golden("server")


def test_an_address_in_use_is_traced(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, (tmp_path / "trace").open("wb") as file:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            httpsock.Server(
                folder,
                hosts=["127.0.0.1"],
                port=port,
                tracing=Instrumentation(TraceWriter(TextFormatter(), file.fileno())),
            )
    assert f"  bind 127.0.0.1:{port}: EADDRINUSE, Address already in use\n" in (tmp_path / "trace").read_text()


def test_all_octets_sent_without_a_head_are_content() -> None:
    collected: list[Any] = []
    one, other = socket.socketpair()

    class Tracer(ConnectionTracer):
        def __call__(self, *event: Any, **octets: Any) -> None:
            del octets
            collected.append(event)

    with other:
        transport = TracedTransport(PlainTransport(one), one, Tracer(TraceWriter(TextFormatter(), -1), 1, ""))
        transport.send_both(b"ab", b"c")
        transport.close()
    assert collected == [("send", {"octets": 3, "content": 3}), ("close", {})]


def test_a_socket_that_cannot_be_created_is_traced() -> None:
    collected = []
    with pytest.raises(OSError, match="not supported"):
        TracedListener(socket.AF_INET, socket.SOCK_SEQPACKET, emit=lambda *event: collected.append(event))
    assert [(name, attributes["error"]) for name, attributes in collected] == [("socket", "ESOCKTNOSUPPORT")]


def test_connections_that_are_cut_off_are_traced(folder: pathlib.Path) -> None:
    (folder / "film.webm").write_bytes(bytes(64 * 1024 * 1024))
    with Traced(folder) as server, connect(server.port) as client:
        client.sendall(get("/film.webm"))
        client.recv(1)
        server.stop_now()
    assert "  cut short: the server stops\n" in server.connections


# --- Traced clients and paths ---------------------------------------------------------------------------------------


def test_a_trace_may_be_limited_to_one_client(folder: pathlib.Path) -> None:
    with Traced(folder, only="127.0.0.9") as server:
        with connect(server.port) as client:
            client.sendall(get("/hello.txt", CLOSE))
            receive_all(client)
        with connect(server.port, source="127.0.0.9") as client:
            client.sendall(get("/alphabet.txt", CLOSE))
            receive_all(client)
    assert "hello" not in server.output
    assert re.findall(r"^#1 127\.0\.0\.9:\d+ .* parse (.*)$", server.output, re.MULTILINE) == ["GET /alphabet.txt"]


def test_a_trace_may_be_limited_to_some_paths(folder: pathlib.Path) -> None:
    with Traced(folder, only="/a") as server:
        with connect(server.port) as client:
            for path in ("/hello.txt", "/alphabet.txt", "/sub/", "/a-b"):
                client.sendall(get(path))
                receive_answer(client)
        exchange(server.port, b"GET /a b HTTP/1.1\r\n\r\n")
        exchange(server.port, b"GET /hello.txt b HTTP/1.1\r\n\r\n")
        exchange(server.port, b"")
    collected = re.findall(r"^(#\d) 127.*  TIME  (.*)", server.connections, re.MULTILINE)
    assert collected == [
        ("#1", "recv 47"),
        ("#1", "parse GET /alphabet.txt"),
        ("#1", "stat alphabet.txt: file, 26 bytes"),
        ("#1", "open alphabet.txt"),
        ("#1", "read 26"),
        ("#1", "send 344"),
        ("#1", "wait for a request, at most 20 s"),
        ("#1", "recv 38"),
        ("#1", "parse GET /a-b"),
        ("#1", "stat a-b: ENOENT, No such file or directory"),
        ("#1", "refuse 404 Not Found"),
        ("#1", "send 273"),
        ("#1", "wait for a request, at most 20 s"),
        ("#1", "recv 0: the peer has ended its side"),
        ("#1", "close"),
        ("#2", "accept"),
        ("#2", "wait for a request, at most 20 s"),
        ("#2", "recv 21"),
        ("#2", "refuse 400 Bad Request"),
        ("#2", "send 309"),
        ("#2", "shutdown: our side has ended"),
        ("#2", "recv 0: the peer has ended its side"),
        ("#2", "close"),
    ]


def test_a_peer_that_left_before_its_accept_has_no_port(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    settings = Settings(serve_folder(DocumentRoot(folder)))
    with (tmp_path / "trace").open("wb") as file, socket.socket() as never_connected:
        tracing = Instrumentation(TraceWriter(TextFormatter(), file.fileno()))
        tracing.connect(never_connected, "192.0.2.7", settings, None, Tick(0, 0)).coroutine.close()
    assert re.findall(r"^#1 192\.0\.2\.7 ", (tmp_path / "trace").read_text(), re.MULTILINE) != []


def test_failed_calls_of_a_datagram_socket_are_traced() -> None:
    collected = CollectedTrace(is_client=False)
    with TracedDatagramSocket(socket.AF_INET, socket.SOCK_DGRAM, emit=collected.server) as first:
        first.bind(("127.0.0.1", 0))
        second = TracedDatagramSocket(socket.AF_INET, socket.SOCK_DGRAM, emit=collected.server)
        second.setblocking(False)
        for call in (
            lambda: second.bind(first.getsockname()),
            lambda: second.sendto(b"octets", ("127.0.0.1", 0)),
            lambda: second.recvfrom(100),
        ):
            with pytest.raises(OSError, match=r"\d"):
                call()
        second.close()
        second.close()
    with pytest.raises(OSError, match=r"\d"):
        TracedDatagramSocket(socket.AF_INET, socket.SOCK_SEQPACKET, emit=collected.server)
    sentences = [line.partition("  TIME  ")[2].partition(",")[0] for line in collected.text.splitlines()]
    assert sentences[3:] == [
        "bind 127.0.0.1:PORT: EADDRINUSE",
        "sendto 127.0.0.1:PORT: EINVAL",
        "recvfrom: EAGAIN",
        "close 0.0.0.0:PORT",
        "close 127.0.0.1:PORT",
        "socket: ESOCKTNOSUPPORT",
    ]
