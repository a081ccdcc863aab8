"""The event loop: how it accepts and resumes connections, checks their deadlines, and stops."""

import errno
import itertools
import os
import pathlib
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from httpsock import Timeouts
from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import respond as respond_with_files
from httpsock.files.handler import serve_folder
from httpsock.http.handler import Context, Steps, Tick
from httpsock.http.messages import Request, Response
from httpsock.server import event_loop as event_loop_module
from httpsock.server.access_log import Exchange
from httpsock.server.event_loop import EventLoop, Log, Report
from httpsock.server.fairness import Fairness
from httpsock.server.poller import Poller, unsent_octets
from httpsock.server.settings import Settings
from httpsock.server.state import Phase
from tests.support import (
    TIMEOUT_SECONDS,
    connect,
    eventually,
    exchange,
    get,
    is_refused,
    read_answers,
    receive_all,
    receive_answer,
    reset,
)
from tests.support.folder import HELLO
from tests.support.processes import open_descriptors

# A time longer than any test waits.
AN_HOUR = 3600.0


def open_loop(listener: socket.socket, settings: Settings, log: Log | None, report: Report) -> EventLoop:
    """Return the event loop under test."""
    return EventLoop([listener], settings, log, report)


class RunningLoop:
    """An event loop in a thread, and a list of its reports."""

    def __init__(self, root: pathlib.Path, timeouts: Timeouts, log: Log | None) -> None:
        self.reports: list[str] = []
        self.settings = Settings(serve_folder(DocumentRoot(root)), timeouts=timeouts, report=self.reports.append)
        with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
            listener.setblocking(False)
            self.port: int = listener.getsockname()[1]
            self.loop = open_loop(listener, self.settings, log, self.reports.append)
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def ask_to_stop(self, grace_seconds: float = TIMEOUT_SECONDS) -> None:
        self.settings.phase = Phase.STOPPING
        self.loop.stop(grace_seconds)

    def has_returned(self) -> bool:
        """Wait for the event loop's thread. Return whether it has ended in time."""
        self.thread.join(TIMEOUT_SECONDS)
        return not self.thread.is_alive()

    def end(self) -> None:
        self.ask_to_stop(0)
        self.thread.join()


StartLoop = Callable[..., RunningLoop]


@pytest.fixture
def start_loop(folder: pathlib.Path) -> Iterator[StartLoop]:
    """Yield a function that runs an event loop. Stop the loop after the test."""
    with ExitStack() as stack:

        def start(timeouts: Timeouts | None = None, log: Log | None = None) -> RunningLoop:
            running = RunningLoop(folder, timeouts or Timeouts(), log)
            stack.callback(running.end)
            return running

        yield start


# --- Accepting, and ticks -------------------------------------------------------------------------


def test_more_clients_than_are_accepted_at_a_time_are_all_served(start_loop: StartLoop) -> None:
    running = start_loop()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(running.port)) for _ in range(60)]
        for client in reversed(clients):
            client.sendall(get("/hello.txt"))

        assert [receive_answer(client).content for client in clients] == [HELLO] * 60


def test_silent_and_unfinished_clients_delay_no_other_client(start_loop: StartLoop) -> None:
    """In this test, some clients send nothing, and some send half a request (RFC 9112 §9.5, requirement R093)."""
    running = start_loop()
    with ExitStack() as stack:
        for beginning in (b"", b"GET /hel", get("/", "Content-Length: 9"), get("/large.bin") * 50, b"nonsense\r\n\r\n"):
            for _ in range(4):
                stack.enter_context(connect(running.port)).sendall(beginning)

        answers = read_answers(exchange(running.port, get("/hello.txt") * 3))

        assert [answer.content for answer in answers] == [HELLO] * 3


def test_clients_that_leave_immediately_are_removed(start_loop: StartLoop) -> None:
    """In this test, some clients only connect and close.

    Others send a request and reset the connection (requirement R093).
    """
    running = start_loop()
    for _ in range(5):
        connect(running.port).close()
        with connect(running.port) as client:
            client.sendall(get("/hello.txt"))
            reset(client)

    assert read_answers(exchange(running.port, get("/hello.txt")))[0].content == HELLO
    assert running.reports == []


def test_connections_that_are_postponed_are_all_served_in_the_end(
    start_loop: StartLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test shortens all limits, so that every connection exceeds its share of a tick."""
    monkeypatch.setattr(event_loop_module, "_RESUMES_PER_CLOCK_READ", 1)
    for name in ("_LONG_SECONDS", "_SHARE_SECONDS", "_CHEAP_SECONDS"):
        monkeypatch.setattr(f"httpsock.server.fairness.{name}", -1.0)
    running = start_loop()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(running.port)) for _ in range(30)]
        for client in clients:
            client.sendall(get("/hello.txt"))
        assert [receive_answer(client).content for client in clients] == [HELLO] * 30
        for client in clients:
            client.sendall(get("/hello.txt") * 3 + get("/hello.txt", "Connection: close"))
        assert [receive_all(client).count(HELLO) for client in clients] == [4] * 30


def test_each_tick_serves_all_connections_unless_it_is_long(folder: pathlib.Path) -> None:
    """In a long tick, the event loop postpones some connections to the next tick."""
    not_long, ticking = Fairness(lambda: 0.0), itertools.count(1e9)
    loop = EventLoop([], Settings(serve_folder(DocumentRoot(folder))), None, print)
    clients = []
    with ExitStack() as stack:
        stack.callback(loop.close)
        for _ in range(20):
            # Unlike TCP, these sockets deliver immediately.
            connected, client = socket.socketpair()
            clients.append(stack.enter_context(client))
            loop._admit(connected, "192.0.2.1", Tick(time.time(), time.monotonic()))

        def run_once_after(octets: bytes) -> int:
            """Send *octets* from each client and run one tick. Return how many clients get an answer."""
            for client in clients:
                client.sendall(octets)
            loop._run_once()
            return len(select.select(clients, [], [], 0)[0])

        def serve_all() -> list[bytes]:
            for client in clients:
                while not select.select([client], [], [], 0)[0]:
                    loop._run_once()
            return [receive_answer(client).content for client in clients]

        loop._fair_receiving = loop._fair_answering = not_long
        assert run_once_after(get("/hello.txt")) == 20
        assert serve_all() == [HELLO] * 20

        # The clock is read after 16 connections; then the network of all has time for one more.
        loop._fair_answering = Fairness(lambda: next(ticking))
        assert run_once_after(get("/hello.txt")) == 17
        assert run_once_after(get("/hello.txt")) == 18
        assert serve_all() == serve_all() == [HELLO] * 20

        loop._fair_receiving, loop._fair_answering = Fairness(lambda: next(ticking)), not_long
        assert run_once_after(get("/hello.txt")) == 17
        assert serve_all() == [HELLO] * 20


def test_overdue_connections_that_are_postponed_end_soon_after(
    start_loop: StartLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_LONG_SECONDS", "_SHARE_SECONDS", "_CHEAP_SECONDS"):
        monkeypatch.setattr(f"httpsock.server.fairness.{name}", -1.0)
    running = start_loop(Timeouts(idle=0.1))
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(running.port)) for _ in range(30)]
        assert [receive_all(client) for client in clients] == [b""] * 30


# --- Deadlines ------------------------------------------------------------------------------------


def test_each_client_has_its_own_deadline(start_loop: StartLoop) -> None:
    """In this test, a silent, a slow and a normal client are connected at the same time (requirement R094)."""
    running = start_loop(Timeouts(head=0.5, idle=1.0, stall=TIMEOUT_SECONDS, linger=0.1))
    with connect(running.port) as reader, connect(running.port) as silent, connect(running.port) as slow:
        reader.sendall(get("/large.bin", "Content-Length: 1"))
        slow.sendall(b"GET /")

        assert receive_all(silent) == b""
        (late,) = read_answers(receive_all(slow))
        assert late.status == 408
        assert "the head was not complete 0.5 seconds after its first byte" in late.text
        reader.sendall(b"x")
        assert receive_answer(reader).content == bytes(range(256)) * 1024


def test_a_dropped_reader_is_reset(start_loop: StartLoop, folder: pathlib.Path) -> None:
    """After a reset, the kernel keeps no send buffer (requirement R094)."""
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(1 << 30)
    over = threading.Event()
    running = start_loop(Timeouts(slow=0.2), log=lambda exchanges: over.set())
    with connect(running.port) as client:
        client.sendall(get("/huge.bin"))
        assert over.wait(TIMEOUT_SECONDS)

        with pytest.raises(ConnectionResetError):
            receive_all(client)


# --- Bugs of the server ---------------------------------------------------------------------------


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the handler raise an error for /fault and call sys.exit() for /exit."""

    def respond(root: DocumentRoot, request: Request, context: Context) -> Response | Steps[Response]:
        if request.target.path == b"/fault":
            raise ZeroDivisionError("a fault of our own")
        if request.target.path == b"/exit":
            sys.exit("a fault of our own")
        return respond_with_files(root, request, context)

    monkeypatch.setattr("httpsock.files.handler.respond", respond)


@pytest.mark.parametrize("has_epoll", [True, False], ids=["epoll", "selectors"])
def test_an_unexpected_error_is_reported_and_ends_one_connection(
    start_loop: StartLoop, faulty: None, monkeypatch: pytest.MonkeyPatch, *, has_epoll: bool
) -> None:
    """The client gets a 500 without details (requirement R116)."""
    if not has_epoll:
        monkeypatch.delattr(select, "epoll", raising=False)
    running = start_loop()
    with connect(running.port) as other:
        other.sendall(get("/hello.txt"))
        assert receive_answer(other).content == HELLO

        (failed,) = read_answers(exchange(running.port, get("/fault"), ends=False))
        assert failed.status == 500
        assert failed.text == "500 Internal Server Error: the server failed to answer (RFC 9110 §15.6.1)\n"

        other.sendall(get("/hello.txt"))
        assert receive_answer(other).content == HELLO
        (report,) = running.reports
        assert report.startswith("Traceback (most recent call last):")
        assert report.endswith("ZeroDivisionError: a fault of our own\nGET /fault HTTP/1.1 from 127.0.0.1")


def test_an_exit_is_reported_and_ends_one_connection(start_loop: StartLoop, faulty: None) -> None:
    """If SystemExit were not caught, the thread would end silently."""
    running = start_loop()

    assert read_answers(exchange(running.port, get("/exit"), ends=False))[0].status == 500

    assert read_answers(exchange(running.port, get("/hello.txt")))[0].content == HELLO
    (report,) = running.reports
    assert report.endswith("SystemExit: a fault of our own\nGET /exit HTTP/1.1 from 127.0.0.1")


# --- Input before and during a tick ---------------------------------------------------------------


def test_a_request_sent_after_a_file_changed_is_answered_with_the_change(
    start_loop: StartLoop, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All requests of a tick share the look-up of a file. The next tick needs a new look-up."""

    def respond(root: DocumentRoot, request: Request, context: Context) -> Response | Steps[Response]:
        response = respond_with_files(root, request, context)
        if request.target.query == b"first":
            # Replace and request the file in the middle of a tick.
            (folder / "new.txt").write_bytes(b"changed")
            (folder / "new.txt").replace(folder / "hello.txt")
            second.sendall(get("/hello.txt"))
        return response

    monkeypatch.setattr("httpsock.files.handler.respond", respond)
    running = start_loop()
    with connect(running.port) as first, connect(running.port) as second:
        first.sendall(get("/hello.txt?first"))

        assert receive_answer(first).content == HELLO
        assert receive_answer(second).content == b"changed"


def test_other_clients_are_answered_between_the_steps_of_long_work(
    start_loop: StartLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long work, such as a huge listing, yields after each step."""
    other_is_answered = threading.Event()

    def work(root: DocumentRoot, request: Request, context: Context) -> Steps[Response]:
        while not other_is_answered.is_set():
            yield
        response = respond_with_files(root, request, context)
        assert isinstance(response, Response)
        return response

    def respond(root: DocumentRoot, request: Request, context: Context) -> Response | Steps[Response]:
        if request.target.query == b"long":
            return work(root, request, context)
        return respond_with_files(root, request, context)

    monkeypatch.setattr("httpsock.files.handler.respond", respond)
    running = start_loop()
    with connect(running.port) as first, connect(running.port) as second:
        first.sendall(get("/hello.txt?long"))
        second.sendall(get("/hello.txt"))

        assert receive_answer(second).content == HELLO
        other_is_answered.set()
        assert receive_answer(first).content == HELLO


def test_long_work_is_cut_off_at_the_end_of_the_grace(start_loop: StartLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cut = threading.Event(), threading.Event()

    def work(*_: object) -> Steps[Response]:
        try:
            while True:
                begun.set()
                yield
        finally:
            cut.set()

    monkeypatch.setattr("httpsock.files.handler.respond", work)
    running = start_loop()
    with connect(running.port) as client:
        client.sendall(get("/hello.txt"))
        assert begun.wait(TIMEOUT_SECONDS)
        running.ask_to_stop(0)

        assert cut.wait(TIMEOUT_SECONDS)
        assert client.recv(1) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much memory is in use")
def test_an_idle_connection_holds_no_file(start_loop: StartLoop, folder: pathlib.Path) -> None:
    """The server's memory does not grow, although each download is a new version that the cache cannot hold."""
    running = start_loop()
    with ExitStack() as stack:
        before = resident_octets()
        for number in range(400):
            (folder / "new.bin").write_bytes(bytes([number % 256]) * 65536)
            client = stack.enter_context(connect(running.port))
            client.sendall(get("/new.bin"))
            receive_answer(client)

        # The server has sent 25 MiB.
        assert resident_octets() - before < 12 * 1024 * 1024


def resident_octets() -> int:
    """Return the resident memory of this process, in octets."""
    return int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_many_pipelining_clients_are_each_answered_in_order(start_loop: StartLoop) -> None:
    """A connection gets one answer per tick, so this test needs many ticks (requirement R089)."""
    running = start_loop()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(running.port)) for _ in range(8)]
        for client in clients:
            client.sendall((get("/hello.txt") + get("/alphabet.txt")) * 20)

        for client in clients:
            client.shutdown(socket.SHUT_WR)
            assert [answer.content[:5] for answer in read_answers(receive_all(client))] == [b"Hello", b"abcde"] * 20


# --- The log --------------------------------------------------------------------------------------


def test_the_log_receives_each_exchange_once_in_order(start_loop: StartLoop) -> None:
    seen: list[Exchange] = []
    running = start_loop(log=seen.extend)
    began, clock_began = time.time(), time.monotonic()
    exchange(running.port, get("/hello.txt") + get("/nothing") + get("/hello.txt", method="HEAD"))
    exchange(running.port, b"nonsense\r\n\r\n")
    running.end()
    ended, clock_ended = time.time(), time.monotonic()

    assert [(exchange.request_line, exchange.status) for exchange in seen] == [
        (b"GET /hello.txt HTTP/1.1", 200),
        (b"GET /nothing HTTP/1.1", 404),
        (b"HEAD /hello.txt HTTP/1.1", 200),
        (b"nonsense", 400),
    ]
    assert {each.client for each in seen} == {"127.0.0.1"}
    assert all(0 <= exchange.seconds <= clock_ended - clock_began for exchange in seen)
    assert all(began <= exchange.ended <= ended for exchange in seen)


def test_a_response_cut_off_at_the_end_is_logged(start_loop: StartLoop, folder: pathlib.Path) -> None:
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(1 << 30)
    seen: list[Exchange] = []
    running = start_loop(log=seen.extend)
    with connect(running.port) as client:
        client.sendall(get("/huge.bin"))
        assert client.recv(1) == b"H"
        running.end()

    (exchange,) = seen
    assert exchange.sent < exchange.length == 1 << 30


def test_the_log_may_store_a_batch_of_exchanges(start_loop: StartLoop) -> None:
    batches: list[Sequence[Exchange]] = []
    running = start_loop(log=batches.append)
    exchange(running.port, get("/hello.txt"))
    exchange(running.port, get("/hello.txt"))
    running.end()

    assert sum(map(len, batches)) == 2


class FewAtOnce:
    """A poller that reports at most two ready sockets per poll. The server's own poller reports up to 1,023."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._run_once = 0
        self._reported_at: dict[int, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def poll(self, seconds: float | None, /) -> list[tuple[int, int]]:
        # Report those first that were not reported for the longest time.
        ready = sorted(self._poller.poll(seconds), key=lambda each: self._reported_at.get(each[0], 0))[:2]
        self._run_once += 1
        self._reported_at |= {descriptor: self._run_once for descriptor, _ in ready}
        return ready


def test_after_a_suspension_a_client_that_has_sent_a_request_is_answered(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a suspension of the process, all deadlines have passed.

    One poll reports only some of the waiting requests, so the loop must poll again before it closes a connection.
    """
    now = [100.0]
    monkeypatch.setattr(event_loop_module, "time", SimpleNamespace(time=time.time, monotonic=lambda: now[0]))
    settings = Settings(serve_folder(DocumentRoot(folder)))
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        listener.setblocking(False)
        loop = open_loop(listener, settings, None, print)
        loop._poller = FewAtOnce(loop._poller)
        stack.callback(loop.run)
        stack.callback(loop.stop, 0.0)
        stack.callback(setattr, settings, "phase", Phase.STOPPING)
        clients = [stack.enter_context(connect(listener.getsockname()[1])) for _ in range(7)]
        while len(loop._connections) < 7:
            loop._run_once()
        clients[0].sendall(b"GET /hello.txt HTTP/1.1\r\n")
        loop._run_once()

        now[0] += AN_HOUR
        clients[0].sendall(b"Host: x\r\n\r\n")
        for client in clients[1:6]:
            client.sendall(get("/hello.txt"))
        # The kernel may deliver them a little later.
        descriptors = list(loop._connections)
        assert eventually(lambda: len(select.select(descriptors, [], [], 0)[0]) == 6)
        while len(loop._connections) == 7:
            loop._run_once()

        # The silent client is closed.
        assert clients[6].recv(1) == b""
        for client in clients[:6]:
            client.settimeout(TIMEOUT_SECONDS)
            while not select.select([client], [], [], 0.1)[0]:
                loop._run_once()
            assert receive_answer(client).content == HELLO


# --- Stopping -------------------------------------------------------------------------------------


def test_a_stopped_event_loop_closes_idle_connections(start_loop: StartLoop) -> None:
    running = start_loop()
    with connect(running.port) as silent, connect(running.port) as served:
        served.sendall(get("/hello.txt"))
        assert receive_answer(served).content == HELLO
        running.ask_to_stop()

        assert receive_all(silent) == receive_all(served) == b""
        assert running.has_returned()


def test_a_stopped_event_loop_finishes_its_responses(start_loop: StartLoop, folder: pathlib.Path) -> None:
    """After its responses, the event loop does not wait for further requests (requirement R085)."""
    large = os.urandom(1 << 20) * 16
    (folder / "larger.bin").write_bytes(large)
    running = start_loop(Timeouts(idle=AN_HOUR))
    with connect(running.port) as client:
        client.sendall(get("/larger.bin"))
        beginning = client.recv(1)
        running.ask_to_stop(AN_HOUR)

        (answer,) = read_answers(beginning + receive_all(client))

        assert answer.content == large
        assert running.has_returned()


def test_a_stopped_event_loop_accepts_no_connection(start_loop: StartLoop, folder: pathlib.Path) -> None:
    """While responses finish, the kernel refuses new clients. These clients can try another server."""
    large = bytes(1 << 26)
    (folder / "larger.bin").write_bytes(large)
    running = start_loop()
    with connect(running.port) as client:
        client.sendall(get("/larger.bin") + get("/hello.txt"))
        beginning = client.recv(1)
        running.ask_to_stop()

        assert eventually(lambda: is_refused(running.port))

        first, second = read_answers(beginning + receive_all(client))
        assert (first.content, first.field("Connection")) == (large, None)
        assert (second.content, second.field("Connection")) == (HELLO, "close")


def test_a_response_unfinished_at_the_end_of_the_grace_is_cut(start_loop: StartLoop, folder: pathlib.Path) -> None:
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(1 << 30)
    running = start_loop()
    with connect(running.port) as client, connect(running.port) as unfinished:
        client.sendall(get("/huge.bin"))
        assert client.recv(1) == b"H"
        unfinished.sendall(b"GET /")
        running.ask_to_stop(0.1)

        assert running.has_returned()
        assert receive_all(unfinished) == b""
        assert running.reports == ["grace period over: 2 responses cut off"]


def test_an_event_loop_may_be_stopped_before_it_runs_and_after_it_ends(folder: pathlib.Path) -> None:
    settings = Settings(serve_folder(DocumentRoot(folder)))
    settings.phase = Phase.STOPPING
    reports: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = open_loop(listener, settings, None, reports.append)
    loop.stop(TIMEOUT_SECONDS)

    loop.run()
    loop.stop(0)

    assert reports == []


def test_a_client_in_the_accept_queue_at_the_end_is_answered(folder: pathlib.Path) -> None:
    settings = Settings(serve_folder(DocumentRoot(folder)))
    settings.phase = Phase.STOPPING
    reports: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = open_loop(listener, settings, None, reports.append)
        with connect(listener.getsockname()[1]) as silent, connect(listener.getsockname()[1]) as asking:
            asking.sendall(get("/hello.txt"))
            assert eventually(lambda: unsent_octets(asking.fileno()) == 0)
            listener.close()

            loop.run()

            (answer,) = read_answers(receive_all(asking))
            assert (answer.content, answer.field("Connection")) == (HELLO, "close")
            assert receive_all(silent) == b""
    assert reports == []


def test_a_spurious_wake_up_has_no_effect(start_loop: StartLoop) -> None:
    """If the loop is woken while the server still serves, the loop goes on."""
    running = start_loop()
    running.loop.stop(TIMEOUT_SECONDS)

    assert read_answers(exchange(running.port, get("/hello.txt")))[0].content == HELLO


@pytest.mark.skipif(sys.platform == "win32", reason="there are no descriptors to count")
def test_an_event_loop_whose_listening_socket_fails_ends_and_holds_no_descriptor(folder: pathlib.Path) -> None:
    """EINVAL from accept() means a bug, so accept() is not called again."""
    settings = Settings(serve_folder(DocumentRoot(folder)))
    reports: list[str] = []
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = open_loop(listener, settings, None, reports.append)
        listener.shutdown(socket.SHUT_RDWR)

        with pytest.raises(OSError, match="Invalid argument") as raised:
            loop.run()

    assert raised.value.errno == errno.EINVAL
    assert open_descriptors() <= before


@pytest.mark.skipif(sys.platform == "win32", reason="a listening socket is not shut down there")
def test_an_event_loop_that_ends_closes_all_clients(folder: pathlib.Path) -> None:
    settings = Settings(serve_folder(DocumentRoot(folder)))
    reports: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        listener.setblocking(False)
        loop = open_loop(listener, settings, None, reports.append)
        client = stack.enter_context(connect(listener.getsockname()[1]))
        client.sendall(get("/hello.txt"))
        with ThreadPoolExecutor() as pool:
            ends = pool.submit(loop.run)
            assert receive_answer(client).content == HELLO
            listener.shutdown(socket.SHUT_RDWR)
            assert isinstance(ends.exception(TIMEOUT_SECONDS), OSError)
        assert client.recv(1) == b""
    assert reports == []


@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit])
def test_a_log_that_fails_is_reported_and_affects_no_client(start_loop: StartLoop, kind: type[BaseException]) -> None:
    def log(exchanges: Sequence[Exchange]) -> None:
        raise kind("the log is at fault")

    running = start_loop(log=log)
    for _ in range(2):
        assert read_answers(exchange(running.port, get("/hello.txt")))[0].content == HELLO
    running.end()

    assert len(running.reports) == 2
    assert all(report.endswith(f"{kind.__name__}: the log is at fault\n") for report in running.reports)


def test_exchanges_that_ended_before_a_wakeup_are_logged_before_the_wait_ends(folder: pathlib.Path) -> None:
    logged: list[Exchange] = []
    loop = EventLoop([], Settings(serve_folder(DocumentRoot(folder))), logged.extend, print)
    exchange = Exchange(0.0, "127.0.0.1", b"GET / HTTP/1.1", 200, 1, 1, 0.001, "")
    loop._exchanges.append(exchange)
    is_logged = loop.when_logged()

    loop._on_wakeup(Tick(time.time(), time.monotonic()))

    assert logged == [exchange]
    assert is_logged.is_set()
    loop.close()
