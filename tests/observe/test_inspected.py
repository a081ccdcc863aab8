"""The inspector over real connections: its page and its event stream, with slow and missing readers."""

import contextlib
import json
import os
import pathlib
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

import httpsock
from httpsock import Timeouts
from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import serve_folder
from httpsock.http.handler import Tick
from httpsock.observe.inspected import _SAMPLE_SECONDS, Inspection
from httpsock.observe.recorder import Recorder
from httpsock.observe.routes import _GATHER_SECONDS
from httpsock.server.connection_limit import evictable
from httpsock.server.sending import Wait
from httpsock.server.settings import Settings
from httpsock.server.state import Phase, State
from tests.support import TIMEOUT_SECONDS, ask, connect, exchange, fill, get, read_answer, receive_all
from tests.support.inspect import EVENTS, Watching, inspected
from tests.support.marks import needs_signals
from tests.support.program import Start
from tests.support.trace import Traced

CLOSE = "Connection: close"


# --- The page -------------------------------------------------------------------------------------------------------


def test_the_inspector_serves_its_page(folder: pathlib.Path, server: httpsock.Server) -> None:
    with inspected(folder) as ours:
        for method in ("GET", "HEAD"):
            answer = ask(ours.port, "/.httpsock/", method=method)
            assert (answer.status, answer.field("Content-Type")) == (200, "text/html; charset=utf-8")
            assert answer.field("X-Content-Type-Options") == "nosniff"
        assert ask(ours.port, "/hello.txt").text == "Hello, socket.\n"
    assert ask(server.port, "/.httpsock/").status == 404


@pytest.mark.parametrize("line", ["Sec-Fetch-Site: cross-site", "Origin: http://evil.example", "Via: 1.1 x"])
@pytest.mark.parametrize("path", ["/.httpsock/", EVENTS, "/.httpsock"])
def test_other_clients_see_no_sign_of_the_inspector(folder: pathlib.Path, path: str, line: str) -> None:
    with inspected(folder) as ours, httpsock.Server(folder, port=0) as plain:
        for method in ("GET", "OPTIONS", "POST"):
            refused, missing = ask(ours.port, path, line, method=method), ask(plain.port, path, line, method=method)
            assert refused.status == {"GET": 404, "OPTIONS": 204, "POST": 405}[method]
            assert [field for field in refused.fields if field[0] != "Date"] == [
                field for field in missing.fields if field[0] != "Date"
            ]
            assert refused.content == missing.content


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["Accept: text/html,*/*"], 'inspector;desc="/.httpsock/"', id="a page"),
        pytest.param(["Accept: text/css"], None, id="a part of a page"),
        pytest.param(["Accept: text/html", "Via: 1.1 proxy"], None, id="behind a proxy"),
    ],
)
def test_a_page_learns_that_the_server_is_inspected(
    folder: pathlib.Path, lines: list[str], expected: str | None
) -> None:
    (folder / "page.html").write_text("<title>page</title>")
    with inspected(folder) as server:
        for path, status in (("/page.html", 200), ("/missing", 404)):
            answer, _ = read_answer(exchange(server.port, get(path, *lines)))

            assert (answer.status, answer.field("Server-Timing")) == (status, expected)


def test_a_folder_of_that_name_is_hidden_only_from_inspecting_clients(folder: pathlib.Path) -> None:
    (folder / ".httpsock").mkdir()
    (folder / ".httpsock" / "events").write_text("a file")
    with inspected(folder, show_hidden=True) as ours:
        assert ask(ours.port, EVENTS, "Sec-Fetch-Site: cross-site").text == "a file"
        assert b"\r\nContent-Type: text/event-stream\r\n" in exchange(ours.port, get(EVENTS, CLOSE, method="HEAD"))


# --- The stream of events -------------------------------------------------------------------------------------------


WAITING_FOR_THE_END = [("EAGAIN", None), (None, "the peer's end")]


def test_the_stream_has_each_call_of_a_request(folder: pathlib.Path) -> None:
    with inspected(folder) as server, Watching(server.port) as watching:
        ask(server.port, "/hello.txt", "Authorization: Basic dXNlcjpzZWNyZXQ=")
        events = [event for event in watching.events_until("close") if event["connection"] == 2]
    # The server may or may not have to wait for the end of the client's side.
    events = [event for event in events if (event.get("error"), event.get("for")) not in WAITING_FOR_THE_END]
    assert [
        event["event"] for event in events
    ] == "accept wait recv parse stat open read send shutdown recv close".split()
    (received, _) = (event for event in events if event["event"] == "recv")
    assert bytes.fromhex(received["hex"]).startswith(b"GET /hello.txt HTTP/1.1\r\n")
    assert b"Basic ****" in bytes.fromhex(received["hex"])
    assert events[3]["head"][0] == "GET /hello.txt HTTP/1.1"
    assert events[-4]["hex"].endswith(b"Hello, socket.\n".hex())


def test_events_are_the_objects_of_the_trace(folder: pathlib.Path) -> None:
    from httpsock.tracing.events import format_json

    with Traced(folder, format_json) as traced:
        exchange(traced.port, get("/large.bin", CLOSE))
    with inspected(folder) as server, Watching(server.port) as watching:
        exchange(server.port, get("/large.bin", CLOSE))
        events = [event for event in watching.events_until("close") if event["connection"] == 2]
    expected = [json.loads(line) for line in traced.output.splitlines()]
    alike = [
        [
            set(event) - {"hex"}
            for event in side
            if event["connection"] and event["event"] in ("parse", "stat", "open", "close")
        ]
        for side in (expected, events)
    ]
    assert alike[0] == alike[1]
    assert len(alike[0]) == 4


def test_a_new_reader_gets_the_past_events_and_a_returning_one_the_missed_events(folder: pathlib.Path) -> None:
    with inspected(folder) as server:
        exchange(server.port, get("/hello.txt", CLOSE))
        with Watching(server.port) as watching:
            past = watching.events_until("close")
            last = watching.messages[len(past) - 1].id
        assert "/hello.txt" in [event.get("target") for event in past]
        exchange(server.port, get("/alphabet.txt", CLOSE))
        with Watching(server.port, f"Last-Event-ID: {last}") as watching:
            targets = [event.get("target") for event in watching.events_until("parse")]
    assert "/alphabet.txt" in targets
    assert "/hello.txt" not in targets


def test_the_stream_leaves_out_the_inspector_itself(folder: pathlib.Path) -> None:
    with inspected(folder) as server, Watching(server.port) as watching:
        ask(server.port, "/.httpsock/")
        with Watching(server.port) as other:
            other.counters_until(lambda counters: len(counters["streams"]) == 2)
        ask(server.port, "/hello.txt")
        watching.counters_until(lambda counters: counters["requests"] == 1)
        events = watching.events_until("parse")
        counters = watching.counters_until(lambda counters: counters["requests"] == 1)
    assert [event["target"] for event in events if event["event"] == "parse"] == ["/hello.txt"]
    assert not [event for event in events if event["connection"] in (1, 3) and event["event"] in ("recv", "send")]
    assert counters["statuses"] == {"200": 1}
    assert counters["received"] == len(get("/hello.txt", CLOSE))


def test_one_connection_may_carry_the_page_and_then_a_recorded_request(folder: pathlib.Path) -> None:
    with inspected(folder) as server, Watching(server.port) as watching:
        exchange(server.port, get("/.httpsock/") + get("/hello.txt", CLOSE))
        events = watching.events_until("close")
    parsed = [event["target"] for event in events if event["event"] == "parse"]
    assert parsed == ["/hello.txt"]


def test_a_stream_ends_when_the_server_stops(folder: pathlib.Path) -> None:
    reports: list[str] = []
    with inspected(folder, report=reports.append) as server, Watching(server.port) as watching:
        watching.until(lambda messages: messages)
        server.stop(grace_seconds=60)
        watching.read_to_end()
        assert watching.client.recv(1) == b""
    assert reports == []


def test_a_reader_that_leaves_is_forgotten(folder: pathlib.Path) -> None:
    with inspected(folder) as server, Watching(server.port) as watching:
        with Watching(server.port) as other:
            other.until(lambda messages: messages)
            watching.counters_until(lambda counters: len(counters["streams"]) == 2)
        watching.messages.clear()
        assert watching.counters_until(lambda counters: len(counters["streams"]) == 1)["streams"] == [1]


def test_a_request_after_the_stream_waits_for_its_end(folder: pathlib.Path) -> None:
    with inspected(folder) as server, Watching(server.port) as watching:
        watching.until(lambda messages: messages)
        watching.client.sendall(get("/hello.txt"))
        assert ask(server.port, "/hello.txt").status == 200
        watching.counters_until(lambda counters: counters["requests"] == 1)
        server.stop(grace_seconds=60)
        watching.read_to_end()


def test_a_stalled_reader_delays_no_client_and_loses_the_excess_events(folder: pathlib.Path) -> None:
    recorder = Recorder(max_events=50)
    with inspected(folder, recorder) as server, connect(server.port, buffer_octets=8192) as client:
        client.sendall(get(EVENTS))
        with Watching(server.port) as watching:
            watching.counters_until(lambda counters: len(counters["streams"]) == 2)
            for _ in range(30):
                with connect(server.port) as other:
                    other.sendall(get("/hello.txt") * 100 + get("/hello.txt", CLOSE))
                    assert receive_all(other).count(b"HTTP/1.1 200 OK") == 101
            watching.counters_until(lambda counters: counters["requests"] == 3030)
            assert watching.events_until("lost")
    assert len(recorder._events) <= 50


def test_a_reader_that_never_reads_is_dropped(folder: pathlib.Path) -> None:
    (folder / ("x" * 200)).write_text("")
    with inspected(folder, timeouts=Timeouts(slow=0.1)) as server, connect(server.port, buffer_octets=8192) as client:
        client.sendall(get(EVENTS))
        with Watching(server.port) as watching:
            both = watching.counters_until(lambda counters: len(counters["streams"]) == 2)["streams"]
            gone = threading.Event()

            def rain() -> None:
                while not gone.is_set():
                    exchange(server.port, get("/" + "x" * 200) * 50 + get("/hello.txt", CLOSE))

            raining = threading.Thread(target=rain)
            raining.start()
            try:
                left = watching.counters_until(lambda counters: len(counters["streams"]) == 1 and counters["requests"])
            finally:
                gone.set()
                raining.join()
    assert set(left["streams"]) < set(both)


# --- TCP_INFO of a download -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="only Linux reports TCP_INFO")
def test_while_a_download_waits_tcp_info_is_read_at_intervals(folder: pathlib.Path, film: str) -> None:
    with inspected(folder) as server, Watching(server.port) as watching, connect(server.port) as client:
        client.sendall(get(film))
        client.recv(1)
        events = watching.events_until("tcp", 3)
        samples = [event for event in events if event["event"] == "tcp"]
        assert all(event["tcp"]["segment_octets"] > 0 for event in samples)
        between = [event["microseconds"] for event in samples]
        assert between == sorted(between)
        waits = [event for event in events if event["event"] == "timeout"]
        assert waits == [], "the coroutine itself waits on undisturbed"


def test_a_stalled_download_times_out_with_an_inspector(folder: pathlib.Path, film: str) -> None:
    with (
        inspected(folder, timeouts=Timeouts(slow=0.3)) as server,
        Watching(server.port) as watching,
        connect(server.port) as client,
    ):
        client.sendall(get(film))
        client.recv(1)
        events = [event for event in watching.events_until("close") if event["connection"] == 2]
        assert events[-1]["event"] == "close"
        assert "timeout" in [event["event"] for event in events]


# --- One connection, step by step -----------------------------------------------------------------------------------


class Inspected:
    """A connection to an inspected server, without an event loop. The test resumes the connection's coroutine."""

    def __init__(self, folder: pathlib.Path, client: str, stack: ExitStack) -> None:
        self.recorder = Recorder()
        inspection = Inspection(self.recorder)
        self.settings = Settings(inspection.handler(serve_folder(DocumentRoot(folder))))
        inspection.wrap(self.settings, None)
        self._connected, self.client = socket.socketpair()
        stack.callback(self.client.close)
        self.client.settimeout(TIMEOUT_SECONDS)
        self._connected.setblocking(False)
        self.connection = inspection.connect(self._connected, client, self.settings, None, Tick(0.0, 0.0))
        stack.callback(self.connection.close)
        self.coroutine = self.connection.coroutine
        stack.callback(self.coroutine.close)

    def wait(self, step: Callable[[], Wait]) -> tuple[State, float]:
        """Call *step*, and resume the coroutine until it waits. Return the new state and its deadline."""
        while (wait := step()) is None:
            step = self.coroutine.__next__
        self.connection.state, self.connection.deadline = wait
        return wait

    def start_stream(self) -> None:
        """Request the event stream, and resume the coroutine until it waits for events."""
        self.client.sendall(get(EVENTS))
        assert self.wait(self.coroutine.__next__) == (State.NEW, 20.0)
        poll(self._connected)
        assert self.wait(self.coroutine.__next__) == (State.SLEEPING, _GATHER_SECONDS)

    def fill(self) -> None:
        """Send zeros until the kernel's buffers are full."""
        fill(self._connected)


def poll(connected: socket.socket) -> None:
    """Wait until octets have arrived."""
    assert select.select([connected], [], [], TIMEOUT_SECONDS)[0]


@pytest.fixture
def inspect(folder: pathlib.Path) -> Iterator[Callable[..., Inspected]]:
    """Yield a function that opens a connection to an inspected server from a given client address."""
    with ExitStack() as stack:
        yield lambda client="127.0.0.1": Inspected(folder, client, stack)


def test_another_machine_is_answered_as_if_there_were_no_inspector(inspect: Callable[..., Inspected]) -> None:
    one = inspect("192.0.2.7")
    one.client.sendall(get("/.httpsock/"))
    one.wait(one.coroutine.__next__)
    poll(one._connected)
    one.wait(one.coroutine.__next__)
    assert one.client.recv(65536).startswith(b"HTTP/1.1 404 Not Found\r\n")


def test_an_idle_stream_may_be_evicted(inspect: Callable[..., Inspected]) -> None:
    one = inspect()
    one.start_stream()
    assert evictable([one.connection], 0.0, Timeouts()) == [one.connection]
    with pytest.raises(StopIteration):
        one.coroutine.throw(TimeoutError())
    assert one.recorder.counters()["streams"] == []


def test_an_idle_server_sends_no_event(inspect: Callable[..., Inspected]) -> None:
    one = inspect()
    one.start_stream()
    assert receive_until(one.client, b"event: counters").endswith(b"\n\n\r\n")
    one.connection.tick = Tick(0.0, _GATHER_SECONDS)
    assert one.wait(lambda: one.coroutine.throw(TimeoutError())) == (State.SLEEPING, 2 * _GATHER_SECONDS)
    one.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        one.client.recv(1)


def receive_until(client: socket.socket, end: bytes) -> bytes:
    """Receive and return all octets, up to the end of the chunk that contains *end*."""
    octets = b""
    while end not in octets or not octets.endswith(b"\r\n"):
        octets += client.recv(65536)
    return octets


def test_a_waiting_stream_can_be_cancelled(inspect: Callable[..., Inspected]) -> None:
    one = inspect()
    one.start_stream()
    assert one.recorder.counters()["streams"] == [1]
    one.coroutine.close()
    assert one.recorder.counters()["streams"] == []


def test_a_stream_ends_immediately_when_the_server_stops(inspect: Callable[..., Inspected]) -> None:
    one = inspect()
    one.start_stream()
    one.settings.phase = Phase.STOPPING
    with pytest.raises(StopIteration):
        one.wait(one.coroutine.__next__)
    assert receive_until(one.client, b"\r\n0\r\n\r\n").endswith(b"\r\n0\r\n\r\n")


def test_a_head_that_does_not_fit_is_sent_before_the_events(inspect: Callable[..., Inspected]) -> None:
    one = inspect()
    one.fill()
    one.client.sendall(get(EVENTS))
    one.wait(one.coroutine.__next__)
    poll(one._connected)
    state, deadline = one.wait(one.coroutine.__next__)
    assert (state, deadline) == (State.SENDING, _SAMPLE_SECONDS)
    one.client.setblocking(False)
    octets = b""
    while b"event: counters" not in octets:
        one.wait(one.coroutine.__next__)
        with contextlib.suppress(BlockingIOError):
            octets = (octets + one.client.recv(1 << 22)).lstrip(b"\0")
    assert re.match(rb"HTTP/1\.1 200 OK\r\n(.+\r\n)+\r\n[0-9a-f]+\r\nid: ", octets)


# --- The command line -----------------------------------------------------------------------------------------------

pytestmark = needs_signals


def test_the_program_prints_the_url_of_the_inspector(serving: Start) -> None:
    program = serving("--inspect", "--bind", "127.0.0.1")
    assert program.ask("/.httpsock/").status == 200
    _, _, error = program.stop()
    assert error.splitlines()[1] == f"See the sockets at {program.url}.httpsock/"
    assert '"GET /.httpsock/ HTTP/1.1" 200' in error, "the log goes on"


def test_the_inspector_works_beside_the_trace(serving: Start) -> None:
    program = serving("--inspect", "--trace", "--bind", "127.0.0.1")
    with Watching(program.port) as watching:
        program.ask("/hello.txt")
        watching.events_until("close")
    code, _, error = program.stop()
    assert code == 0
    assert "  parse GET /hello.txt\n" in error
    assert "  parse GET /.httpsock/events\n" in error
    stream = re.findall(r"^#1 .*? [µms]?s  (\w+)", error, re.MULTILINE)
    assert stream[:4] == ["accept", "wait", "recv", "parse"]
    assert stream.count("send") <= 2, "the head and perhaps the last chunk, or there would be no end"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--processes", "2"], "--inspect cannot be combined with --processes"),
        (["--bind", "192.0.2.1"], "--inspect is for this machine alone"),
        (["--bind", "::"], "--inspect is for this machine alone"),
    ],
)
def test_options_that_exclude_the_inspector_are_refused(start: Start, arguments: list[str], reason: str) -> None:
    code, out, error = start("--inspect", *arguments).end()
    assert (code, out) == (2, "")
    assert reason in error


def test_the_inspector_is_off_by_default(serving: Start) -> None:
    program = serving("--hidden", "--bind", "127.0.0.1")
    assert program.ask("/.httpsock/").status == 404
    assert program.ask(EVENTS).status == 404
    program.stop()


def test_an_inspected_server_has_traced_listening_sockets(folder: pathlib.Path) -> None:
    with inspected(folder) as server, Watching(server.port) as watching:
        names = [event["event"] for event in watching.events_until("listen")]
    assert names[:3] == ["socket", "bind", "listen"]
