"""The connection limit: which new clients wait, and which connections the server evicts or closes."""

import contextlib
import errno
import itertools
import os
import pathlib
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import httpsock
from httpsock import Timeouts
from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import serve_folder
from httpsock.http.handler import Context, Tick
from httpsock.http.messages import Request, Response, Sleep, Stream
from httpsock.server.connection_limit import ConnectionLimit
from httpsock.server.event_loop import EventLoop
from httpsock.server.poller import open_poller
from httpsock.server.process import descriptor_limit
from httpsock.server.settings import Settings
from httpsock.server.state import Phase, State
from tests.server.dialogue import EVICTED_CONTENT, EVICTED_HEAD
from tests.support import (
    TIMEOUT_SECONDS,
    connect,
    eventually,
    exchange,
    get,
    read_answers,
    receive_all,
    receive_answer,
    reset,
)
from tests.support.folder import HELLO
from tests.support.rows import each_row

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of descriptors to lower")

# This program serves a folder, and an endless stream at /endless. On the command "take" it opens all remaining
# descriptors.
GREEDY_PROGRAM = """
import itertools, os, sys, httpsock

def endless(handler):
    stream = httpsock.Response(200, (), httpsock.Stream(itertools.repeat(bytes(4096))))
    return lambda request, context: stream if request.target.path == b"/endless" else handler(request, context)

with httpsock.Server(sys.argv[1], port=0, threads=1, middleware=[endless]) as server:
    print(server.port, flush=True)
    taken = []
    for line in sys.stdin:
        try:
            while line == "take\\n":
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        else:
            while taken:
                os.close(taken.pop())
        print(flush=True)
"""


class Limited:
    """A server process with few file descriptors, and its clients."""

    def __init__(self, process: subprocess.Popen[bytes], stack: ExitStack) -> None:
        self.process = process
        self._stack = stack
        assert process.stdout
        match = re.search(rb"(\d+)/?\n", process.stdout.readline())
        assert match
        self.port = int(match[1])

    def connect(self, octets: bytes = b"") -> socket.socket:
        """Connect a new client and send *octets*."""
        client = self._stack.enter_context(connect(self.port))
        client.sendall(octets)
        return client

    def command(self, word: bytes) -> None:
        """Send a command to the program and wait until the command is done."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(word + b"\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def report(self) -> bytes:
        """Return the next line of standard error."""
        assert self.process.stderr
        return self.process.stderr.readline()


Limit = Callable[..., Limited]


@pytest.fixture
def limited(folder: pathlib.Path) -> Iterator[Limit]:
    """Yield a function that starts a server process with few file descriptors. End the process after the test."""
    with ExitStack() as stack:

        def start(descriptors: int, *arguments: str) -> Limited:
            program = arguments or ("-m", "httpsock", "--port", "0", "--quiet", "--bind", "127.0.0.1")
            command = f"ulimit -n {descriptors}; exec \"$@\" '{folder}'"
            process = stack.enter_context(
                subprocess.Popen(
                    ["/bin/sh", "-c", command, "sh", sys.executable, *program],
                    bufsize=0,
                    env=os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
            watchdog = threading.Timer(3 * TIMEOUT_SECONDS, process.kill)
            watchdog.start()
            stack.callback(watchdog.join)
            stack.callback(watchdog.cancel)
            # httpsock ends at SIGTERM, another program at the end of its standard input.
            stack.callback(process.stdin.close if arguments and process.stdin else process.terminate)
            return Limited(process, stack)

        yield start


# --- Few descriptors, many clients ----------------------------------------------------------------


def test_the_longest_idle_connections_are_evicted(limited: Limit) -> None:
    """Since idle connections are evicted, the server answers more clients than the limit."""
    program = limited(64)
    clients = []
    for _ in range(200):
        clients.append(program.connect(get("/hello.txt")))
        assert receive_answer(clients[-1]).content == HELLO

    # The first connection was evicted, the last one is open.
    assert clients[0].recv(1) == b""
    clients[-1].sendall(get("/hello.txt"))
    assert receive_answer(clients[-1]).content == HELLO


def test_two_hundred_simultaneous_clients_are_all_answered(limited: Limit) -> None:
    program = limited(64)
    clients = [program.connect(get("/hello.txt")) for _ in range(200)]

    assert [receive_answer(client).content for client in clients] == [HELLO] * 200


def test_silent_connections_are_evicted_for_active_clients(limited: Limit) -> None:
    """Eviction waits a little, since a new client may be about to send its request."""
    program = limited(64)
    silent = [program.connect() for _ in range(30)]

    assert receive_answer(program.connect(get("/hello.txt"))).content == HELLO
    assert silent[0].recv(1) == b""


def test_if_all_connections_are_busy_new_clients_wait_and_files_can_be_opened(
    limited: Limit, folder: pathlib.Path
) -> None:
    """For each connection, the server reserves a file descriptor for the requested file."""
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(1 << 30)
    program = limited(64)
    assert program.report().startswith(b"Serving ")
    clients = [program.connect(get("/huge.bin")) for _ in range(60)]

    assert re.fullmatch(rb"not accepting: connection limit of \d+ reached\n", program.report())

    answers = []
    for client in clients:
        answers.append(client.recv(12))
        # Each client that leaves makes room for another.
        client.close()
    assert answers == [b"HTTP/1.1 200"] * 60
    assert read_answers(exchange(program.port, get("/hello.txt")))[0].content == HELLO


def test_idle_connections_are_evicted_if_descriptors_run_out(limited: Limit) -> None:
    """In this test, the program that embeds the server opens files until no descriptor is free."""
    program = limited(64, "-c", GREEDY_PROGRAM)
    idle = program.connect(get("/hello.txt"))
    assert receive_answer(idle).content == HELLO
    program.command(b"take")

    busy = program.connect(get("/endless"))

    assert busy.recv(12) == b"HTTP/1.1 200"
    assert idle.recv(1) == b""
    # The only connection sends, so the next client waits.
    waiting = program.connect(get("/hello.txt"))
    assert program.report() == b"not accepting: Too many open files\n"
    program.command(b"release")
    assert receive_answer(waiting).content == HELLO


def test_without_descriptors_the_event_loop_does_not_spin(limited: Limit) -> None:
    program = limited(64, "-c", GREEDY_PROGRAM)
    program.command(b"take")
    before = processor_seconds(program.process.pid)
    program.connect(get("/hello.txt"))

    # There is at most one report a second, so three reports take two seconds.
    assert [program.report() for _ in range(3)] == [b"not accepting: Too many open files\n"] * 3

    assert processor_seconds(program.process.pid) - before < 0.5


def processor_seconds(process: int) -> float:
    """Return the CPU time of a process, in seconds."""
    stat = pathlib.Path(f"/proc/{process}/stat")
    if not stat.exists():
        pytest.skip("this system does not tell what a process has used")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- One address, many connections ----------------------------------------------------------------


class FromAfar(socket.socket):
    """A listening socket with fake client addresses. accept() returns or raises the next item of *addresses*."""

    addresses: list[str | OSError | None]

    def dup(self) -> "FromAfar":
        copy = super().dup()
        copy.addresses = self.addresses
        return copy

    def accept(self) -> tuple[socket.socket, Any]:
        if self.addresses and isinstance(self.addresses[0], OSError):
            raise self.addresses.pop(0)  # type: ignore[misc]
        connected, (_, port) = super().accept()
        address = self.addresses.pop(0)
        return connected, None if address is None else (address, port)


@contextlib.contextmanager
def working(
    folder: pathlib.Path, addresses: list[str | OSError | None], timeouts: Timeouts | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Run an event loop whose clients seem to come from *addresses*, in this order.

    Yield the port and a list of reports.
    """
    settings = Settings(serve_folder(DocumentRoot(folder)), timeouts=timeouts or Timeouts())
    reports: list[str] = []
    with FromAfar() as listener:
        listener.addresses = addresses
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        listener.setblocking(False)
        loop = EventLoop([listener], settings, None, reports.append)
        port = listener.getsockname()[1]
        thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield port, reports
    finally:
        assert thread.is_alive(), "the event loop still runs"
        settings.phase = Phase.STOPPING
        loop.stop(0)
        thread.join()


@pytest.fixture
def limit_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the connection limit to one."""
    monkeypatch.setattr("httpsock.server.connection_limit._MAX_CONNECTIONS", 1)


def occupy(client: socket.socket, film: str) -> None:
    """Request *film* as *client*, and read only one octet. The server evicts no connection while it sends a file."""
    client.sendall(get(film))
    assert client.recv(1) == b"H"


def is_closed_on(port: int) -> bool:
    """Connect a new client, and return whether the server closes without an answer."""
    return exchange(port, b"", ends=False) == b""


def test_at_the_connection_limit_a_client_over_its_share_is_closed(
    folder: pathlib.Path, film: str, limit_of_one: None
) -> None:
    hog, other = "192.0.2.1", "192.0.2.2"
    with working(folder, [hog, hog, other, other]) as (port, _), ExitStack() as stack:
        occupy(stack.enter_context(connect(port)), film)

        # A client that has all connections gets no other one.
        assert is_closed_on(port)
        # Another client does.
        assert read_answers(exchange(port, get("/hello.txt")))[0].content == HELLO
        assert read_answers(exchange(port, get("/hello.txt")))[0].content == HELLO


@pytest.mark.parametrize(
    ("hog", "same", "other"),
    [
        pytest.param("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", id="the first 64 bits count"),
        pytest.param("fe80::1%eth0", "fe80::2%eth0", "2001:db8::1", id="without the zone"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2", id="IPv4 at a socket for both"),
    ],
)
@pytest.mark.usefixtures("limit_of_one")
def test_an_ipv6_network_counts_as_one_client(folder: pathlib.Path, film: str, hog: str, same: str, other: str) -> None:
    """A limit per address would be useless, since a client has many IPv6 addresses."""
    with working(folder, [hog, same, other]) as (port, _), ExitStack() as stack:
        occupy(stack.enter_context(connect(port)), film)

        assert is_closed_on(port)
        assert read_answers(exchange(port, get("/hello.txt")))[0].content == HELLO


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_clients_on_this_machine_may_use_all_connections(
    folder: pathlib.Path, film: str, limit_of_one: None, address: str
) -> None:
    with working(folder, [address] * 3) as (port, reports), connect(port) as first, connect(port) as second:
        occupy(first, film)
        second.sendall(get("/hello.txt"))
        # The second client waits until the first one leaves.
        assert eventually(lambda: bool(reports))
        assert not select.select([second], [], [], 0.0)[0]
        first.close()

        assert receive_answer(second).content == HELLO
        assert "connection limit of 1 reached" in reports[0]


@each_row("free, maximum", [(1016, 500), (32, 8), (31, 8), (19, 5), (3, 1), (2, 1), (0, 1), (-3, 1)])
def test_half_of_few_free_descriptors_is_reserved(free: int, maximum: int) -> None:
    assert ConnectionLimit(descriptor_limit() - free).maximum == maximum


@each_row("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_clients_on_this_machine_never_exceed_their_share(address: str) -> None:
    connection_limit = ConnectionLimit(0)
    connection_limit.add(address)
    assert not connection_limit.exceeds_share(address)
    connection_limit.maximum = 1
    assert not connection_limit.allows_another()


def test_a_connection_with_an_unread_request_is_not_evicted(folder: pathlib.Path) -> None:
    """Before an eviction, the server checks whether the idle client has sent a request."""
    settings = Settings(serve_folder(DocumentRoot(folder)))
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        listener.setblocking(False)
        loop = EventLoop([listener], settings, None, print)
        clients = [stack.enter_context(connect(listener.getsockname()[1])) for _ in range(3)]
        tick = Tick(time.time(), time.monotonic())
        while len(loop._connections) < 3:
            loop._accept(next(iter(loop._listeners.values())), tick, 3)
        stack.callback(loop.run)
        stack.callback(setattr, settings, "phase", Phase.STOPPING)
        first, second, third = loop._connections.values()
        for connection in (first, second, third):
            connection.state = State.IDLE
        clients[0].sendall(get("/hello.txt"))
        reset(clients[2])
        assert eventually(lambda: len(select.select([first.descriptor, third.descriptor], [], [], 0)[0]) == 2)

        assert loop._evict(tick)
        assert list(loop._connections.values()) == [first, third], "the second was silent, and the third came later"
        # A client that has left does not count as evictable: it is removed without eviction.
        assert not loop._evict(tick)
        assert not loop._evict(tick), "asked again in the same tick"


def test_accepting_pauses_until_there_is_room(folder: pathlib.Path, limit_of_one: None) -> None:
    """The server reports the pause once."""
    settings = Settings(serve_folder(DocumentRoot(folder)))
    reports: list[str] = []
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        for listener in listeners:
            listener.setblocking(False)
        loop = EventLoop(listeners, settings, None, reports.append)
        stack.callback(loop.close)
        first = stack.enter_context(connect(listeners[0].getsockname()[1]))
        tick = Tick(time.time(), time.monotonic())
        while not loop._connections:
            for queue in loop._listeners.values():
                loop._accept(queue, tick, 1)
        for listener in listeners:
            stack.enter_context(connect(listener.getsockname()[1]))
        for descriptor in loop._listeners:
            # The kernel may queue it a little later.
            assert select.select([descriptor], [], [], TIMEOUT_SECONDS)[0]
            loop._handle([descriptor], tick)
        assert (len(loop._connections), loop._is_accepting) == (1, False)

        loop._resume_accepting(tick)
        assert (len(loop._connections), loop._is_accepting) == (1, False)
        assert reports == ["not accepting: connection limit of 1 reached"]

        reset(first)
        while loop._connections:
            loop._resume(next(iter(loop._connections.values())), tick)
        assert loop._accept_again_at == 0.0
        loop._resume_accepting(tick)
        # The event loop has not looked yet whether more clients wait.
        assert (len(loop._connections), loop._is_accepting) == (1, True)
        loop._handle([descriptor], tick)
        assert (len(loop._connections), loop._is_accepting) == (1, False)


def test_a_connection_that_has_answered_makes_room_in_the_same_tick(folder: pathlib.Path, limit_of_one: None) -> None:
    """The next client is accepted without a pause."""
    settings = Settings(serve_folder(DocumentRoot(folder)))
    reports: list[str] = []
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setblocking(False)
        loop = EventLoop([listener], settings, None, reports.append)
        stack.callback(loop.close)
        clients = [stack.enter_context(connect(listener.getsockname()[1])) for _ in range(3)]
        for client in clients:
            client.sendall(get("/hello.txt"))

        while not reports and len(select.select(clients, [], [], 0)[0]) < len(clients):
            loop._run_once()

        assert reports == []
        assert [receive_answer(client).content for client in clients] == [HELLO] * 3


def test_listeners_take_turns_at_the_connection_limit(folder: pathlib.Path, limit_of_one: None) -> None:
    """Otherwise, many IPv4 clients could keep all IPv6 clients out."""
    settings = Settings(serve_folder(DocumentRoot(folder)))
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        for listener in listeners:
            listener.setblocking(False)
        loop = EventLoop(listeners, settings, None, print)
        stack.callback(loop.close)
        for _ in range(2):
            for listener in listeners:
                stack.enter_context(connect(listener.getsockname()[1]))
        tick = Tick(time.time(), time.monotonic())
        ports = []
        for _ in range(4):
            loop._pause_accepting(tick, None)
            loop._resume_accepting(tick)
            ((descriptor, connection),) = loop._connections.items()
            with socket.socket(fileno=os.dup(descriptor)) as connected:
                ports.append(connected.getsockname()[1])
            loop._resume(connection, tick, TimeoutError())

    assert ports[0] != ports[1]
    assert ports[:2] == ports[2:]


def test_each_new_client_evicts_one_of_few_idle_connections(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server must evict only one connection for each new client."""
    monkeypatch.setattr("httpsock.server.connection_limit._MAX_CONNECTIONS", 2)
    with working(folder, ["127.0.0.1"] * 3) as (port, reports), ExitStack() as stack:
        clients = []
        for _ in range(3):
            clients.append(stack.enter_context(connect(port)))
            clients[-1].sendall(get("/hello.txt"))
            assert receive_answer(clients[-1]).content == HELLO

        assert clients[0].recv(1) == b""
        clients[1].sendall(get("/hello.txt"))
        assert receive_answer(clients[1]).content == HELLO
    assert reports == []


# --- Requests that stay incomplete ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        pytest.param(b"GET /hello.txt HTTP/1.1\r\nHost: ", EVICTED_HEAD, id="head"),
        pytest.param(get("/hello.txt", "Content-Length: 9"), EVICTED_CONTENT, id="content"),
    ],
)
def test_clients_that_never_complete_their_requests_keep_no_other_client_out(
    limited: Limit, octets: bytes, reason: str
) -> None:
    """These clients try to open more connections than the program allows (requirement R093)."""
    program = limited(64)
    slow = [program.connect(get("/hello.txt") + octets) for _ in range(25)]

    assert receive_answer(program.connect(get("/hello.txt"))).content == HELLO

    assert receive_answer(slow[0]).content == HELLO
    assert reason in receive_answer(slow[0]).text
    assert slow[0].recv(1) == b""


# --- A stop ---------------------------------------------------------------------------------------


def test_a_server_that_stops_at_the_limit_answers_the_clients_that_wait(
    folder: pathlib.Path, film: str, limit_of_one: None
) -> None:
    """If the server closed its listening socket immediately, the kernel would reset these clients."""
    settings = Settings(serve_folder(DocumentRoot(folder)))
    reports: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = EventLoop([listener], settings, None, reports.append)
        port = listener.getsockname()[1]
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        with connect(port) as first, connect(port) as second, connect(port) as third:
            occupy(first, film)
            second.sendall(get("/hello.txt"))
            third.sendall(get("/hello.txt"))
            assert eventually(lambda: bool(reports))
            settings.phase = Phase.STOPPING
            loop.stop(TIMEOUT_SECONDS)

            assert receive_answer(second).field("Connection") == "close"
            assert receive_answer(third).content == HELLO
    finally:
        settings.phase = Phase.STOPPING
        loop.stop(0)
        thread.join()


# --- Errors that must not end the event loop ------------------------------------------------------


def test_a_connection_without_an_address_is_served(folder: pathlib.Path) -> None:
    """On macOS, accept() returns no address if the client has already reset the connection."""
    with working(folder, [None]) as (port, _):
        assert read_answers(exchange(port, get("/hello.txt")))[0].content == HELLO


def test_a_lack_of_descriptors_evicts_a_connection_only_for_a_client_that_waits(folder: pathlib.Path) -> None:
    """If no descriptor is free, accept() fails, even if no client waits."""
    addresses: list[str | OSError | None] = ["127.0.0.1", OSError(errno.EMFILE, "Too many open files")]
    with working(folder, addresses) as (port, reports), connect(port) as idle:
        for _ in range(2):
            idle.sendall(get("/hello.txt"))
            assert receive_answer(idle).content == HELLO
        assert addresses == []
        addresses += [OSError(errno.EMFILE, "Too many open files"), "127.0.0.1"]

        assert read_answers(exchange(port, get("/hello.txt")))[0].content == HELLO

        assert idle.recv(1) == b""
    assert reports == []


def test_a_network_that_is_down_evicts_no_connection(folder: pathlib.Path) -> None:
    addresses: list[str | OSError | None] = ["127.0.0.1"]
    with working(folder, addresses) as (port, reports), connect(port) as idle:
        idle.sendall(get("/hello.txt"))
        assert receive_answer(idle).content == HELLO
        addresses += [OSError(errno.ENETDOWN, "Network is down"), "127.0.0.1"]

        assert read_answers(exchange(port, get("/hello.txt")))[0].content == HELLO

        idle.sendall(get("/hello.txt"))
        assert receive_answer(idle).content == HELLO
    assert reports == ["not accepting: Network is down"]


def test_a_full_poller_costs_one_connection(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If epoll is full (max_user_watches), the server closes only the new connection."""
    refused: list[int] = []

    class FullPoller:
        def __init__(self) -> None:
            self._poller = open_poller()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._poller, name)

        def register(self, descriptor: int, awaited: int, /) -> None:
            if len(registered) == 2 and not refused:
                refused.append(descriptor)
                raise OSError(errno.ENOSPC, "No space left on device")
            registered.append(descriptor)
            self._poller.register(descriptor, awaited)

    registered: list[int] = []
    monkeypatch.setattr("httpsock.server.event_loop.open_poller", FullPoller)
    with working(folder, ["192.0.2.1"] * 2) as (port, reports):
        assert exchange(port, b"", ends=False) == b""
        assert read_answers(exchange(port, get("/hello.txt")))[0].content == HELLO
    assert reports == ["not accepting: No space left on device"]


def test_a_report_that_fails_does_not_end_the_event_loop(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("the report is at fault")

    monkeypatch.setattr("httpsock.files.handler.respond", fail)
    settings = Settings(serve_folder(DocumentRoot(folder)), report=fail)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = EventLoop([listener], settings, None, fail)
        port = listener.getsockname()[1]
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        assert read_answers(exchange(port, get("/hello.txt"), ends=False))[0].status == 500
        assert read_answers(exchange(port, get("/hello.txt"), ends=False))[0].status == 500
    finally:
        settings.phase = Phase.STOPPING
        loop.stop(TIMEOUT_SECONDS)
        thread.join()


def test_a_deadline_may_be_years_away(folder: pathlib.Path) -> None:
    """A time of years is too long for one poll() call."""
    a_century = 100 * 365 * 86_400.0
    with working(folder, ["192.0.2.1"] * 2, Timeouts(idle=a_century)) as (port, _), connect(port) as client:
        client.sendall(get("/hello.txt"))
        assert receive_answer(client).content == HELLO
        client.sendall(get("/hello.txt"))
        assert receive_answer(client).content == HELLO
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""


def test_a_stream_that_sleeps_for_no_time_does_not_keep_the_server_evicting(limit_of_one: None) -> None:
    reports: list[str] = []

    def handler(request: Request, context: Context) -> Response:
        return Response(200, (), Stream(itertools.repeat(Sleep(0))) if request.target.path == b"/stream" else b"small")

    with httpsock.Server(handler=handler, port=0, report=reports.append) as server, connect(server.port) as first:
        first.sendall(get("/stream"))
        assert first.recv(1) == b"H"
        with connect(server.port) as second:
            second.sendall(get("/"))
            # The first client is still there, so no input of its own ends the eviction.
            assert eventually(lambda: "not accepting: connection limit of 1 reached" in reports)
            first.close()
            assert receive_answer(second).content == b"small"
