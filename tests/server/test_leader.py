"""Leader/follower threads: if the leader blocks, a follower leads, and no request is lost."""

import gc
import pathlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from httpsock import Server, Timeouts
from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import respond as respond_with_files
from httpsock.files.handler import serve_folder
from httpsock.http.handler import Context, Steps, Tick
from httpsock.http.messages import Request, Response
from httpsock.server.access_log import Exchange
from httpsock.server.connection import Connection, open_connection
from httpsock.server.leader import LeaderThreads, Superseded
from httpsock.server.poller import READABLE, open_poller
from httpsock.server.sending import Wait
from httpsock.server.settings import Settings
from httpsock.server.state import State
from tests.support import TIMEOUT_SECONDS, connect, eventually, get, receive_all, receive_answer, reset
from tests.support.folder import HELLO
from tests.support.processes import descriptors_left


class SlowDisk:
    """A disk on which each request with the query "slow" blocks until *released* is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.blocks = threading.Semaphore(0)
        self.released = threading.Event()
        # The seconds for which it pretends to have blocked a request.
        self.seconds = 0.0
        monkeypatch.setattr("httpsock.files.handler.respond", self.respond)

    def respond(self, root: DocumentRoot, request: Request, context: Context) -> Response | Steps[Response]:
        if request.target.query == b"slow":
            self.blocks.release()
            assert self.released.wait(TIMEOUT_SECONDS)
            context.tick.monotonic -= self.seconds
        return respond_with_files(root, request, context)

    def has_blocked_another(self) -> bool:
        return self.blocks.acquire(timeout=TIMEOUT_SECONDS)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    """Yield a disk on which some requests block until the test releases them."""
    slow = SlowDisk(monkeypatch)
    yield slow
    slow.released.set()


@pytest.fixture
def serve(folder: object) -> Callable[..., Server]:
    """Return a function that makes a server for *folder*."""
    return lambda **options: Server(str(folder), port=0, **options)


def receive_hello(client: socket.socket) -> None:
    """Receive one response, and assert that its content is hello.txt."""
    assert receive_answer(client).content == HELLO


def test_connected_clients_are_served_while_a_disk_blocks_another(disk: SlowDisk, serve: Callable[..., Server]) -> None:
    with serve() as server, connect(server.port) as slow, connect(server.port) as other:
        other.sendall(get("/hello.txt"))
        receive_hello(other)
        slow.sendall(get("/hello.txt?slow"))
        assert disk.has_blocked_another()

        for _ in range(10):
            other.sendall(get("/hello.txt"))
            receive_hello(other)
        with connect(server.port) as new:
            new.sendall(get("/hello.txt"))
            receive_hello(new)

        disk.released.set()
        receive_hello(slow)
        # The connection that was blocked is an ordinary one again.
        slow.sendall(get("/hello.txt"))
        receive_hello(slow)


def test_other_requests_of_the_same_tick_are_answered(disk: SlowDisk, serve: Callable[..., Server]) -> None:
    """In this test, two of twenty requests block. The others arrive before, between and after these two."""
    with ExitStack() as stack:
        server = stack.enter_context(serve(threads=3))
        clients = [stack.enter_context(connect(server.port)) for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(get("/hello.txt?slow") + get("/hello.txt") if number in (3, 11) else get("/hello.txt"))
        assert disk.has_blocked_another()
        assert disk.has_blocked_another()

        for number, client in enumerate(clients):
            if number not in (3, 11):
                receive_hello(client)

        disk.released.set()
        for number in (3, 11):
            clients[number].shutdown(socket.SHUT_WR)
            assert receive_all(clients[number]).count(HELLO) == 2


def test_a_blocked_connection_gets_its_full_idle_time_back(disk: SlowDisk, serve: Callable[..., Server]) -> None:
    disk.seconds = 3600.0
    with serve() as server, connect(server.port) as slow, connect(server.port) as other:
        slow.sendall(get("/hello.txt?slow"))
        assert disk.has_blocked_another()
        other.sendall(get("/hello.txt"))
        receive_hello(other)
        disk.released.set()
        receive_hello(slow)
        # Make enough ticks to check all deadlines.
        for _ in range(3):
            other.sendall(get("/hello.txt"))
            receive_hello(other)

        slow.sendall(get("/hello.txt"))
        receive_hello(slow)


def test_a_blocked_connection_leaves_no_state(disk: SlowDisk, serve: Callable[..., Server]) -> None:
    """A leader may lead for days, so it must not keep a reference to a closed connection."""
    gc.collect()
    before = count_connections()
    with serve() as server, connect(server.port) as other:
        with connect(server.port) as slow:
            slow.sendall(get("/hello.txt?slow"))
            assert disk.has_blocked_another()
            other.sendall(get("/hello.txt"))
            receive_hello(other)
            disk.released.set()
            receive_hello(slow)

        def has_no_other() -> bool:
            other.sendall(get("/hello.txt"))
            receive_hello(other)
            return count_connections() <= before + 1

        assert eventually(has_no_other)


def count_connections() -> int:
    """Return the number of Connection objects in memory. Closed connections count, too."""
    return sum(type(each) is Connection for each in gc.get_objects())


def test_earlier_exchanges_are_logged_while_the_leader_is_blocked(disk: SlowDisk, serve: Callable[..., Server]) -> None:
    """The new leader must not wait for the next event before it writes the log."""
    is_logging, may_go_on, has_logged = (threading.Event() for _ in range(3))

    def log(exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            if b"first" in exchange.request_line:
                is_logging.set()
                assert may_go_on.wait(TIMEOUT_SECONDS)
            elif b"second" in exchange.request_line:
                has_logged.set()

    with ExitStack() as stack:
        server = stack.enter_context(serve(log=log, timeouts=Timeouts(idle=3600.0)))
        first, second, slow = (stack.enter_context(connect(server.port)) for _ in range(3))
        for client in (first, second, slow):
            client.sendall(get("/hello.txt"))
            receive_hello(client)
        first.sendall(get("/hello.txt?first"))
        assert is_logging.wait(TIMEOUT_SECONDS)
        # Meanwhile these requests arrive, all for the same tick.
        second.sendall(get("/hello.txt?second"))
        slow.sendall(get("/hello.txt?slow"))
        may_go_on.set()
        assert disk.has_blocked_another()

        assert has_logged.wait(TIMEOUT_SECONDS)
        disk.released.set()


def test_a_blocked_connection_that_fails_affects_no_other(serve: Callable[..., Server], disk: SlowDisk) -> None:
    reports: list[str] = []
    with serve(report=reports.append) as server, connect(server.port) as slow, connect(server.port) as other:
        slow.sendall(get("/hello.txt?slow"))
        assert disk.has_blocked_another()
        other.sendall(get("/hello.txt"))
        receive_hello(other)
        # The client of the blocked connection resets it, so that sending fails.
        reset(slow)
        disk.released.set()

        other.sendall(get("/hello.txt"))
        receive_hello(other)
    assert reports == []


def test_a_blocked_connection_is_cut_off_after_the_grace(serve: Callable[..., Server], disk: SlowDisk) -> None:
    reports: list[str] = []
    server = serve(report=reports.append)
    server.start()
    with connect(server.port) as slow, connect(server.port) as other:
        other.sendall(get("/hello.txt"))
        receive_hello(other)
        slow.sendall(get("/hello.txt?slow"))
        assert disk.has_blocked_another()
        # The answer to this request shows that another thread leads.
        other.sendall(get("/hello.txt"))
        receive_hello(other)
        server.ask_to_stop(0)

        assert slow.recv(1) == b""
        disk.released.set()
        server.stop(0)
    assert reports == ["grace period over: 1 response cut off"]


@pytest.mark.parametrize("threads", [2, 5])
def test_every_request_is_answered_however_often_the_leader_changes(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """In this test, a leader counts as stalled after 0 s, so a follower may take over at any moment."""
    monkeypatch.setattr("httpsock.server.leader._STALL_SECONDS", 0.0)
    logged: list[object] = []
    with serve(threads=threads, log=logged.extend) as server, switching_often():

        def ask(number: int) -> int:
            with connect(server.port) as client:
                for _ in range(20):
                    client.sendall(get("/hello.txt") * (1 + number % 3))
                    for _ in range(1 + number % 3):
                        receive_hello(client)
            return 20 * (1 + number % 3)

        with ThreadPoolExecutor(16) as clients:
            asked = sum(clients.map(ask, range(48)))
    assert len(logged) == asked


@contextmanager
def switching_often() -> Iterator[None]:
    """Make the interpreter switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def leader_threads(folder: pathlib.Path) -> Iterator[tuple[LeaderThreads, Connection]]:
    """Yield a LeaderThreads object and its only connection."""
    ours, theirs = socket.socketpair()
    poller = open_poller()
    with ours, theirs:
        settings = Settings(serve_folder(DocumentRoot(folder)))
        connection = open_connection(ours, "127.0.0.1", settings, None, Tick(0.0, 0.0))
        poller.register(connection.descriptor, READABLE)
        yield LeaderThreads(poller, lambda: None), connection
        connection.coroutine.close()
    poller.close()


def run_all(leaders: LeaderThreads, lead: Callable[[], object], count: int) -> None:
    """Run *count* threads and wait for their end. The current leader calls *lead*."""
    threads = [threading.Thread(target=leaders.run, args=(lead,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_sleeping_follower_wakes_when_a_tick_begins_and_supersedes_a_blocked_leader(folder: pathlib.Path) -> None:
    is_superseded = threading.Event()
    detached: list[Connection] = []

    with leader_threads(folder) as (leaders, connection):

        def lead() -> None:
            if is_superseded.is_set() or leaders.detached:
                detached.extend(leaders.detached)
                is_superseded.set()
                leaders.end()
                return
            while not leaders._is_asleep:
                pass
            leaders.begin_tick(1.0)
            leaders.current.append(connection)
            assert is_superseded.wait(TIMEOUT_SECONDS)
            assert leaders.current == []

        run_all(leaders, lead, 3)
        assert detached == [connection]


def test_a_detached_connection_is_polled_again_once_its_thread_has_finished(folder: pathlib.Path) -> None:
    is_superseded = threading.Event()
    refused: list[bool] = []
    wait = State.IDLE, 5.0
    reattached: list[tuple[Connection, Wait]] = []

    with leader_threads(folder) as (leaders, connection):

        def lead() -> None:
            if leaders.detached:
                # A detached connection is not registered, so it can be registered here.
                leaders._poller.register(connection.descriptor, READABLE)
                leaders._poller.unregister(connection.descriptor)
                assert list(leaders.reattach()) == []
                is_superseded.set()
                while not reattached:
                    reattached.extend(leaders.reattach())
                leaders.end()
                return
            leaders.begin_tick(1.0)
            leaders.current.append(connection)
            assert is_superseded.wait(TIMEOUT_SECONDS)
            with pytest.raises(Superseded):
                leaders.finish_detached(connection, wait)
            refused.append(True)

        run_all(leaders, lead, 2)
        assert refused == [True]
        assert reattached == [(connection, wait)]
        assert leaders.detached == set()
        leaders._poller.unregister(connection.descriptor)


def test_followers_of_an_idle_server_sleep(serve: Callable[..., Server]) -> None:
    with serve() as server:
        assert server._loop
        leaders = server._loop._leaders
        assert eventually(lambda: leaders._is_asleep and leaders.tick_began is None)


def test_a_follower_opens_no_descriptor(folder: pathlib.Path) -> None:
    """A follower must be able to take over even if no file descriptor is free."""
    leads = [threading.Event() for _ in range(3)]
    may_end = threading.Event()

    with leader_threads(folder) as (leaders, connection):

        def lead() -> None:
            number = [each.is_set() for each in leads].index(False)
            leads[number].set()
            if number == 2:
                assert may_end.wait(TIMEOUT_SECONDS)
                leaders.end()
                return
            while leaders.detached:
                list(leaders.reattach())
            leaders.begin_tick(float(number))
            leaders.current.append(connection)
            assert leads[number + 1].wait(TIMEOUT_SECONDS)
            with pytest.raises(Superseded):
                leaders.finish_detached(connection, None)

        with ThreadPoolExecutor(2) as pool:
            with descriptors_left(0):
                threads = [pool.submit(leaders.run, lead) for _ in range(2)]
                was_superseded_twice = leads[2].wait(TIMEOUT_SECONDS)
            may_end.set()
    assert [thread.exception() for thread in threads] == [None, None]
    assert was_superseded_twice


def test_a_computing_leader_is_not_superseded(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second computing thread would only slow the first one down."""
    monkeypatch.setattr("httpsock.server.leader._STALL_SECONDS", 0.001)
    # The CPU time of the leader at each look of the follower: it advances 12 times, then the leader waits.
    seen = [0.05 * min(look, 12) for look in range(1, 100)]
    looks = iter(seen)
    is_superseded = threading.Event()

    with leader_threads(folder) as (leaders, connection):
        monkeypatch.setattr(leaders, "_used_seconds", lambda: next(looks))

        def lead() -> None:
            if leaders.detached:
                is_superseded.set()
                leaders.end()
                return
            leaders.begin_tick(1.0)
            leaders.current.append(connection)
            assert is_superseded.wait(TIMEOUT_SECONDS)

        run_all(leaders, lead, 2)
    assert next(looks) == seen[13], "it was superseded at the 13th look"


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="this system has no clock of another thread")
def test_the_clock_of_the_leader_advances_while_it_computes(folder: pathlib.Path) -> None:
    looked = []

    with leader_threads(folder) as (leaders, _):

        def lead() -> None:
            before = leaders._used_seconds()
            while leaders._used_seconds() == before:
                pass
            looked.append(before)
            leaders.end()

        leaders.run(lead)
    assert looked[0] > 0.0


def test_a_stopped_clock_reports_no_time(folder: pathlib.Path) -> None:
    """A follower may read the CPU clock of a leader after the leader's thread has ended."""
    with leader_threads(folder) as (leaders, _):
        leaders._clock = -1
        assert leaders._used_seconds() == 0.0


def test_without_a_thread_clock_a_thread_counts_as_waiting(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)
    with leader_threads(folder) as (leaders, _):
        leaders.run(leaders.end)
        assert leaders._used_seconds() == 0.0
