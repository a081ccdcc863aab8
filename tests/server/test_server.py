"""The server: its addresses, extra response fields, start, stop and reports."""

import contextlib
import errno
import gc
import io
import os
import pathlib
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from httpsock import Context, Request, Response, Server, TestServer
from httpsock.server import listeners, server
from tests.support import TIMEOUT_SECONDS, connect, eventually, exchange, get, read_answer, read_answers, receive_all
from tests.support.folder import HELLO
from tests.support.processes import open_descriptors
from tests.support.rows import each_row

# A time longer than any test waits.
AN_HOUR = 3600.0
NO_DESCRIPTORS = pytest.mark.skipif(sys.platform == "win32", reason="there are no descriptors to count")

Serve = Callable[..., Server]


def system_has_ipv6() -> bool:
    """Return whether this machine has the address ::1."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


IPV6 = pytest.mark.skipif(not system_has_ipv6(), reason="the system has no IPv6")


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Assert that the test leaves no thread and no file descriptor behind."""
    gc.collect()
    threads, descriptors = threading.active_count(), open_descriptors()
    yield
    gc.collect()
    # Threads of an earlier test may end meanwhile.
    assert eventually(lambda: threading.active_count() <= threads)
    assert open_descriptors() <= descriptors


def first_content(url: str) -> bytes:
    """Request hello.txt from the server at *url*, and return its content."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    with connect(parts.port, parts.hostname) as client:
        client.sendall(get("/hello.txt", "Connection: close"))
        (answer,) = read_answers(receive_all(client))
        return answer.content


# --- Addresses ------------------------------------------------------------------------------------


def test_by_default_the_server_listens_on_all_loopback_addresses(folder: pathlib.Path, serve: Serve) -> None:
    served = serve(folder)

    expected = [f"http://127.0.0.1:{served.port}/", f"http://[::1]:{served.port}/"]
    assert served.urls == expected[: 1 + system_has_ipv6()]
    assert served.url == served.urls[0]
    assert [first_content(url) for url in served.urls] == [HELLO] * len(served.urls)


@IPV6
def test_the_server_can_listen_on_ipv6_only(folder: pathlib.Path, serve: Serve) -> None:
    served = serve(folder, hosts=("::1",))

    assert served.urls == [f"http://[::1]:{served.port}/"]
    assert first_content(served.url) == HELLO
    with pytest.raises(ConnectionRefusedError):
        connect(served.port)


@IPV6
def test_the_server_can_listen_on_all_addresses_of_both_families_at_one_port(
    folder: pathlib.Path, serve: Serve
) -> None:
    served = serve(folder, hosts=listeners.ANY)

    assert served.urls == [f"http://127.0.0.1:{served.port}/", f"http://[::1]:{served.port}/"]
    assert first_content(f"http://127.0.0.1:{served.port}/") == HELLO
    assert first_content(f"http://[::1]:{served.port}/") == HELLO


@each_row(
    ("host", "url"),
    [
        pytest.param("192.0.2.1", "http://192.0.2.1:80/", id="IPv4"),
        pytest.param("2001:db8::1", "http://[2001:db8::1]:80/", id="IPv6 in brackets (RFC 3986 §3.2.2)"),
    ],
)
def test_an_address_is_shown_as_a_url(host: str, url: str) -> None:
    assert listeners.url_of(host, 80) == url


def test_an_address_that_the_system_lacks_is_skipped_beside_another(folder: pathlib.Path, serve: Serve) -> None:
    """192.0.2.1 is reserved for documentation, so no system has this address (RFC 5737)."""
    served = serve(folder, hosts=("127.0.0.1", "192.0.2.1"))

    assert served.urls == [f"http://127.0.0.1:{served.port}/"]


@NO_DESCRIPTORS
def test_a_single_address_that_the_system_lacks_is_an_error(folder: pathlib.Path, nothing_left: None) -> None:
    with pytest.raises(OSError, match=r".") as raised:
        Server(folder, hosts=("192.0.2.1",), port=0)

    assert raised.value.errno == errno.EADDRNOTAVAIL


@NO_DESCRIPTORS
@pytest.mark.parametrize("first", [(), ("127.0.0.1",)], ids=["alone", "after an address that is one"])
@pytest.mark.parametrize(
    "host", ["localhost", "example.com", "0", "127.1", "300.1.1.1", "::g", "[::1]", "", "a" * 70, "ä"]
)
def test_a_name_in_place_of_a_numeric_address_is_refused(
    folder: pathlib.Path, nothing_left: None, host: str, first: tuple[str, ...]
) -> None:
    """The server does not resolve host names."""
    with pytest.raises(ValueError, match="is not an IPv4 or IPv6 address") as raised:
        Server(folder, hosts=(*first, host), port=0)

    assert repr(host) in str(raised.value)
    # The traceback references sockets that were opened before the error.
    del raised


@NO_DESCRIPTORS
@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_an_invalid_port_is_refused(folder: pathlib.Path, nothing_left: None, port: int) -> None:
    """Some systems would silently use only the lower 16 bits of the port."""
    with pytest.raises((ValueError, OverflowError), match="port"):
        Server(folder, hosts=("127.0.0.1",), port=port).stop()


@NO_DESCRIPTORS
def test_a_port_that_is_in_use_is_an_error(folder: pathlib.Path, server: Server, nothing_left: None) -> None:
    with pytest.raises(OSError, match=f": 127.0.0.1, port {server.port}$") as raised:
        Server(folder, port=server.port)

    assert raised.value.errno == errno.EADDRINUSE


@NO_DESCRIPTORS
def test_a_port_that_is_free_at_one_address_only_is_an_error(folder: pathlib.Path, nothing_left: None) -> None:
    """In this test, both addresses are equal, so the second bind() always fails. The server must not retry forever."""
    with pytest.raises(OSError, match=r".") as raised:
        Server(folder, hosts=("127.0.0.1", "127.0.0.1"), port=0)

    assert raised.value.errno == errno.EADDRINUSE


@pytest.mark.skipif(sys.platform != "linux", reason="an address of its own, where no port is taken by chance")
def test_a_port_is_free_immediately_after_its_server_has_stopped(folder: pathlib.Path) -> None:
    with Server(folder, hosts=("127.0.0.2",), port=0) as before:
        client = connect(before.port, "127.0.0.2")
        # A client in the accept queue of a stopping server is reset; this one has been accepted.
        client.sendall(get("/hello.txt"))
        assert client.recv(65536).endswith(HELLO)
    with client, Server(folder, hosts=("127.0.0.2",), port=before.port) as after:
        assert receive_all(client) == b""
        assert first_content(after.url) == HELLO


@NO_DESCRIPTORS
def test_a_missing_folder_is_an_error(folder: pathlib.Path, nothing_left: None) -> None:
    with pytest.raises(FileNotFoundError):
        Server(folder / "nothing", port=0)
    with pytest.raises(NotADirectoryError):
        Server(folder / "hello.txt", port=0)


def test_the_server_stores_the_absolute_path_of_its_folder(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with Server(port=0) as served:
        monkeypatch.chdir("/")
        assert served.directory == str(folder)
        assert first_content(served.url) == HELLO


# --- Fields of every response ---------------------------------------------------------------------


EVERY_ANSWER = get("/hello.txt") + get("/nothing") + get("/hello.txt", "If-None-Match: *") + b"nonsense\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], {"Server": "httpsock", "X-Content-Type-Options": "nosniff"}, id="the default fields"),
        pytest.param(
            [("X-Frame-Options", "DENY")],
            {"Server": "httpsock", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"},
            id="another field beside them",
        ),
        pytest.param(
            [("SERVER", "mine")],
            {"SERVER": "mine", "X-Content-Type-Options": "nosniff"},
            id="R115: a default field is replaced, whatever the case of its name",
        ),
    ],
)
def test_fields_are_sent_with_every_response(
    folder: pathlib.Path, serve: Serve, fields: list[tuple[str, str]], expected: dict[str, str]
) -> None:
    served = serve(folder, fields=iter(fields))

    answers = read_answers(exchange(served.port, EVERY_ANSWER))

    assert [answer.status for answer in answers] == [200, 404, 304, 400]
    for answer in answers:
        added = {name: value for name, value in answer.fields if name.lower() in ("server", "x-frame-options")}
        assert added | {"X-Content-Type-Options": answer.field("X-Content-Type-Options")} == expected


def test_a_field_may_be_sent_on_several_lines(folder: pathlib.Path, serve: Serve) -> None:
    served = serve(folder, fields=[("Link", "</a>"), ("Link", "</b>")])

    (answer,) = read_answers(exchange(served.port, get("/hello.txt")))

    assert [value for name, value in answer.fields if name == "Link"] == ["</a>", "</b>"]


# --- Starting and stopping ------------------------------------------------------------------------


@NO_DESCRIPTORS
def test_a_stopped_server_leaves_no_thread_and_no_descriptor(folder: pathlib.Path, nothing_left: None) -> None:
    for threads in (1, 2, 5) * 5:
        with Server(folder, port=0, threads=threads) as served:
            assert threading.active_count() >= 1 + threads
            assert first_content(served.url) == HELLO


@NO_DESCRIPTORS
def test_several_servers_may_run_at_the_same_time(
    folder: pathlib.Path, tmp_path: pathlib.Path, nothing_left: None
) -> None:
    with ExitStack() as stack:
        servers = []
        for number in range(20):
            own = tmp_path / str(number)
            own.mkdir()
            (own / "hello.txt").write_text(f"number {number}")
            servers.append(stack.enter_context(Server(own, port=0, threads=1)))

        assert len({served.port for served in servers}) == 20
        contents = [first_content(served.url) for served in servers]
        assert contents == [f"number {number}".encode() for number in range(20)]


@NO_DESCRIPTORS
def test_a_server_that_was_never_started_leaves_no_descriptor(folder: pathlib.Path, nothing_left: None) -> None:
    served = Server(folder, port=0)
    assert not served.is_stopping

    served.stop()
    served.stop()

    assert served.is_stopping


def test_a_server_is_shown_with_its_url(folder: pathlib.Path) -> None:
    served = Server(folder, hosts="127.0.0.1", port=0)
    shown = f"<Server at http://127.0.0.1:{served.port}/, not running>"
    assert repr(served) == shown
    with served:
        assert repr(served) == f"<Server at http://127.0.0.1:{served.port}/>"
    assert repr(served) == shown


def test_a_server_stops_when_its_block_fails(folder: pathlib.Path) -> None:
    with pytest.raises(ZeroDivisionError), Server(folder, port=0) as served:
        raise ZeroDivisionError

    with pytest.raises(ConnectionRefusedError):
        connect(served.port)


def test_stopping_closes_idle_connections(folder: pathlib.Path) -> None:
    with ExitStack() as stack:
        with Server(folder, port=0) as served:
            clients = [stack.enter_context(connect(served.port)) for _ in range(10)]
            for client in clients[5:]:
                client.sendall(get("*", method="OPTIONS"))
                assert read_answer(client.recv(65536))[0].status == 204

        assert [receive_all(client) for client in clients] == [b""] * 10


def test_running_downloads_finish_and_later_answers_close_the_connection(folder: pathlib.Path) -> None:
    """The server still answers requests that it received before the stop (requirements R085 and R086)."""
    large = os.urandom(1 << 20) * 16
    (folder / "larger.bin").write_bytes(large)
    served = Server(folder, port=0)
    served.start()
    with ExitStack() as stack:
        stack.callback(served.stop, 0)
        clients = [stack.enter_context(connect(served.port)) for _ in range(6)]
        beginnings = []
        for client in clients:
            client.sendall(get("/larger.bin") + get("/hello.txt"))
            beginnings.append(client.recv(1))
        served.ask_to_stop(AN_HOUR)
        assert served.is_stopping

        for client, beginning in zip(clients, beginnings, strict=True):
            first, second = read_answers(beginning + receive_all(client))
            assert (first.content, first.field("Connection")) == (large, None)
            assert (second.content, second.field("Connection")) == (HELLO, "close")


def test_downloads_that_are_unfinished_after_the_grace_are_cut_off(folder: pathlib.Path) -> None:
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(1 << 30)
    served = Server(folder, port=0)
    served.start()
    with connect(served.port) as client:
        client.sendall(get("/huge.bin"))
        beginning = client.recv(1)
        served.stop(0.1)

        received = len(beginning) + len(receive_all(client))

    assert received < 1 << 30


def test_serve_returns_after_stop(folder: pathlib.Path) -> None:
    served = Server(folder, port=0)
    serving = threading.Thread(target=served.serve)
    serving.start()
    assert first_content(served.url) == HELLO

    served.ask_to_stop(AN_HOUR)

    serving.join(TIMEOUT_SECONDS)
    assert not serving.is_alive()
    with pytest.raises(ConnectionRefusedError):
        connect(served.port)


def test_serve_returns_if_the_server_was_drained_before(folder: pathlib.Path) -> None:
    served = Server(folder, port=0)
    served.drain()

    served.serve()

    assert (served.is_stopping, served.is_draining) == (True, True)


def test_serve_returns_if_the_server_was_stopped_before(folder: pathlib.Path) -> None:
    """A signal may stop the server before serve() is called."""
    served = Server(folder, port=0)
    serving = threading.Thread(target=served.serve)
    served.ask_to_stop(AN_HOUR)
    serving.start()

    serving.join(TIMEOUT_SECONDS)

    has_returned = not serving.is_alive()
    served.stop()
    serving.join()
    assert has_returned


def test_serve_stops_the_server_on_ctrl_c(folder: pathlib.Path, nothing_left: None) -> None:
    class Interrupted(Server):
        def join(self) -> None:
            signal.raise_signal(signal.SIGINT)
            super().join()

    interrupted = Interrupted(folder, port=0)
    with pytest.raises(KeyboardInterrupt):
        interrupted.serve()

    assert not interrupted.is_running
    with pytest.raises(ConnectionRefusedError):
        connect(interrupted.port)


class _Blocking:
    """A handler that blocks its thread until *gate* is set."""

    def __init__(self) -> None:
        self.gate, self._has_begun = threading.Event(), threading.Event()

    def __call__(self, request: Request, context: Context) -> Response:
        self._has_begun.set()
        assert self.gate.wait(TIMEOUT_SECONDS)
        return Response(204)

    def block(self, client: socket.socket) -> None:
        """Send a request, and wait until the handler blocks."""
        client.sendall(get("/slow"))
        assert self._has_begun.wait(TIMEOUT_SECONDS)


BLOCKED = r"^a thread of the server is still blocked by GET /slow HTTP/1\.1 from 127\.0\.0\.1$"


def test_stop_names_a_request_that_still_blocks_a_thread(nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BLOCKED_SECONDS", 0)
    handler, reports = _Blocking(), list[str]()
    served = Server(handler=handler, port=0, report=reports.append)
    served.start()
    with connect(served.port) as client:
        handler.block(client)
        with pytest.raises(TimeoutError, match=BLOCKED):
            served.stop(0)
        assert served.is_running

        handler.gate.set()
        served.join()

        assert not served.is_running


def test_a_server_of_a_test_removes_its_folder_even_if_a_request_blocks_a_thread(
    nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BLOCKED_SECONDS", 0)
    handler = _Blocking()
    served = TestServer()
    served.answer("/slow", handler)
    served.start()
    with connect(served.port) as client:
        handler.block(client)
        with pytest.raises(TimeoutError, match=BLOCKED):
            served.stop()
        assert not served.folder.exists()
        handler.gate.set()
        served.join()


@each_row("name", ["stop", "join"])
def test_a_handler_cannot_wait_for_its_own_server(name: str) -> None:
    reports: list[str] = []

    def handler(request: Request, context: Context) -> Response:
        if request.target.path == b"/wait":
            getattr(served, name)()
        return Response(204)

    with Server(handler=handler, port=0, report=reports.append) as served:
        assert read_answer(exchange(served.port, get("/wait")))[0].status == 500
        assert read_answer(exchange(served.port, get("/")))[0].status == 204
    (report,) = reports
    assert f"{name}() would wait for the thread that calls it, which is one of the server's own" in report


# --- Reports --------------------------------------------------------------------------------------


def test_reports_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    server.print_stderr("out of descriptors")

    assert capsys.readouterr() == ("", "out of descriptors\n")


def test_reports_are_dropped_when_standard_error_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    closed.close()
    with contextlib.redirect_stderr(closed):
        server.print_stderr("out of descriptors")

    assert capsys.readouterr() == ("", "")


def test_reports_are_dropped_without_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Other programs read standard output, so reports must not go there."""
    with contextlib.redirect_stderr(None):
        server.print_stderr("out of descriptors")

    assert capsys.readouterr() == ("", "")


def test_a_configured_cache_control_replaces_that_of_files(folder: pathlib.Path, serve: Serve) -> None:
    """The response has one Cache-Control field (requirement R115)."""
    served = serve(folder, fields=[("cache-control", "max-age=5"), ("Cache-Control", "public")])
    file, missing = read_answers(exchange(served.port, get("/hello.txt") + get("/nothing")))
    assert file.field("Cache-Control") == "max-age=5, public"
    assert missing.field("Cache-Control") == "no-store"


def test_a_server_without_a_thread_is_refused(folder: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="threads must be from 1 to 1000, not 0"):
        Server(folder, port=0, threads=0)


def test_the_value_of_cache_control_is_checked(folder: pathlib.Path, serve: Serve) -> None:
    """A line break is refused. Letters beyond ASCII are sent as Latin-1 (requirement R143)."""
    with pytest.raises(ValueError, match="the value of Cache-Control has a control character"):
        Server(folder, port=0, cache_control="a\r\nX: y")
    served = serve(folder, cache_control="private, x=é")
    with connect(served.port) as client:
        client.sendall(get("/hello.txt", "Connection: close"))
        assert b"\r\nCache-Control: private, x=\xe9\r\n" in receive_all(client)


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ({"directory": None}, TypeError, "directory must be a str or a path, not None"),
        (
            {"directory": "x", "handler": print},
            ValueError,
            "give a directory or a handler; a middleware puts a handler",
        ),
        ({"handler": 5}, TypeError, "handler must be a function, not a value of type int"),
        ({"middleware": print}, TypeError, "middleware must be a sequence of functions"),
        ({"middleware": [5]}, TypeError, "each of middleware must be a function"),
        ({"middleware": [lambda handler: None]}, TypeError, "what a middleware returns must be a function, not None"),
        ({"transport": None}, TypeError, "transport must be a function, not None"),
    ],
    # Leave out addresses in memory: they differ between the processes of a run.
    ids=lambda value: str(value).partition(" at 0x")[0],
)
def test_the_error_of_a_wrong_handler_names_it(arguments: dict[str, Any], kind: type[Exception], sentence: str) -> None:
    given: dict[str, Any] = {"directory": ".", "port": 0} | arguments
    with pytest.raises(kind, match=re.escape(sentence)):
        Server(**given)
