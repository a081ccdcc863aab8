"""Ports that refuse connections for a time, and slow accept queues: alone, in a server, and on the command line."""

import contextlib
import errno
import functools
import math
import os
import select
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from httpsock import TestServer
from httpsock.server.listeners import NotAccepting, listen_on
from httpsock.testing.broken import Faults
from httpsock.testing.faults import parse_rule
from httpsock.testing.listening import FaultyQueue, Period, Port
from tests.support import TIMEOUT_SECONDS, connect, eventually, exchange, get, is_refused, receive_all
from tests.support.processes import descriptors_left, without_privileges
from tests.support.program import Start

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux reopens a listening socket")

CLOSED, OPEN = Period(is_closed=True, seconds=0.0), Period(is_closed=False, seconds=0.0)
OPEN_FOR_EVER = Period(is_closed=False, seconds=math.inf)


def port_with(*periods: Period, delays: tuple[float, ...] = ()) -> Port:
    """Return a port that opens and closes as *periods* say. Each accept() takes the next delay from *delays*."""
    port = Port(iter(periods).__next__, iter(delays).__next__)
    port.is_slow = bool(delays)
    return port


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Yield a listening socket."""
    (listener,) = listen_on(["127.0.0.1"], 0, socket.socket)
    with listener:
        yield listener


def number_of(listener: socket.socket) -> int:
    """Return the port number of *listener*."""
    number: int = listener.getsockname()[1]
    return number


def accepted(queue: FaultyQueue) -> str:
    """Call accept(). Return "accepted", "empty" or "call it again"."""
    try:
        connected, _ = queue.accept()
    except BlockingIOError as pause:
        return "call it again" if isinstance(pause, NotAccepting) else "empty"
    connected.close()
    return "accepted"


def accepts(queue: FaultyQueue) -> bool:
    """Wait for the connection, then call accept(). Return whether accept() succeeds."""
    assert select.select([queue], [], [], TIMEOUT_SECONDS)[0]
    return accepted(queue) == "accepted"


@pytest.mark.parametrize("is_chosen", [False, True], ids=["chosen by the kernel", "given"])
def test_a_closed_port_refuses_connections_and_opens_at_the_same_address(
    listener: socket.socket, *, is_chosen: bool
) -> None:
    """shutdown() frees a port that the kernel chose, but keeps a port that the program chose."""
    number = number_of(listener)
    if is_chosen:
        listener.close()
        (listener,) = listen_on(["127.0.0.1"], number, socket.socket)
    with contextlib.closing(port_with(CLOSED, CLOSED, OPEN_FOR_EVER).accept_queue(listener)) as queue, listener:
        assert is_refused(number)
        assert accepted(queue) == "call it again"
        assert is_refused(number), "the second period"
        assert accepted(queue) == "call it again"
        assert accepted(queue) == "empty"
        with connect(number):
            assert accepts(queue)
        assert number_of(listener) == number


def test_the_kernel_gives_a_closed_port_to_no_other_program(listener: socket.socket) -> None:
    queue = port_with(CLOSED).accept_queue(listener)

    with socket.socket() as other, pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
        other.bind(listener.getsockname())
    queue.close()


def test_a_connection_that_came_before_the_port_closes_is_accepted(listener: socket.socket) -> None:
    queue = port_with(OPEN, CLOSED, CLOSED).accept_queue(listener)
    with connect(number_of(listener)):
        assert accepts(queue)
        assert accepted(queue) == "call it again"
        assert is_refused(number_of(listener))
    queue.close()


def test_all_addresses_refuse_together() -> None:
    try:
        listeners = listen_on(["127.0.0.1", "::1"], 0, socket.socket)
    except OSError:
        pytest.skip("no IPv6")
    port = port_with(Period(is_closed=True, seconds=3600.0), OPEN_FOR_EVER)
    queues = [port.accept_queue(listener) for listener in listeners]
    number = number_of(listeners[0])
    for host in ("127.0.0.1", "::1"):
        with pytest.raises(ConnectionRefusedError):
            connect(number, host)

    port.begin_period()

    for host, queue in zip(("127.0.0.1", "::1"), queues, strict=True):
        with connect(number, host):
            assert accepts(queue)
    for queue, listener in zip(queues, listeners, strict=True):
        queue.close()
        listener.close()
    port.begin_period()


def test_a_port_that_another_program_has_taken_meanwhile_is_not_exchanged_for_another(listener: socket.socket) -> None:
    number = number_of(listener)
    queue = port_with(CLOSED, OPEN_FOR_EVER).accept_queue(listener)
    (other,) = listen_on(["127.0.0.1"], number, socket.socket)
    with other:
        for _ in range(2):
            with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
                queue.accept()

    # The period in which the port is open has not ended.
    assert accepted(queue) == "call it again"
    with connect(number):
        assert accepts(queue)
    queue.close()


def test_a_socket_that_shares_its_address_with_no_other_opens_too() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number = number_of(listener)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", number))
        listener.listen()
        listener.setblocking(False)
        queue = port_with(CLOSED, OPEN_FOR_EVER).accept_queue(listener)
        assert is_refused(number)
        assert accepted(queue) == "call it again"
        with connect(number):
            assert accepts(queue)
        queue.close()


@pytest.fixture
def unshared() -> Iterator[socket.socket]:
    """Yield a listening socket without SO_REUSEADDR, as another program may have opened it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield listener


@pytest.fixture
def privileged() -> Iterator[socket.socket]:
    """Yield a listening socket on a port that only root can bind. The test itself runs without root's privileges."""
    for number in range(1023, 511, -1):
        try:
            (listener,) = listen_on(["127.0.0.1"], number, socket.socket)
        except PermissionError:
            pytest.skip("only root binds such a port")
        except OSError:
            continue
        with listener, without_privileges():
            yield listener
        return


def test_a_port_that_needs_root_opens_again_without_root(privileged: socket.socket) -> None:
    queue = port_with(CLOSED, OPEN_FOR_EVER).accept_queue(privileged)
    assert is_refused(number_of(privileged))

    assert accepted(queue) == "call it again"

    with connect(number_of(privileged)):
        assert accepts(queue)
    queue.close()


def test_a_port_opens_while_its_connections_are_open(listener: socket.socket) -> None:
    port = port_with(OPEN_FOR_EVER, CLOSED, OPEN_FOR_EVER)
    queue = port.accept_queue(listener)
    with connect(number_of(listener)):
        assert select.select([queue], [], [], TIMEOUT_SECONDS)[0]
        connected, _ = queue.accept()
        with connected:
            port.begin_period()
            assert is_refused(number_of(listener))
            port.begin_period()
            with connect(number_of(listener)):
                assert accepts(queue)
    queue.close()


class SilentListener(socket.socket):
    """A listening socket of a system that does not tell whether a socket listens."""

    def dup(self) -> "SilentListener":
        """Return a duplicate."""
        return SilentListener(fileno=os.dup(self.fileno()))

    def getsockopt(self, *_: object) -> int:  # type: ignore[override]
        """Fail with ENOPROTOOPT, as on macOS."""
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))


def test_a_system_need_not_tell_whether_a_socket_listens(listener: socket.socket) -> None:
    with SilentListener(fileno=os.dup(listener.fileno())) as silent:
        queue = port_with(OPEN_FOR_EVER).accept_queue(silent)
        with connect(number_of(listener)):
            assert accepts(queue)
        queue.close()


def test_a_port_that_cannot_be_bound_again_is_not_exchanged_for_another(unshared: socket.socket) -> None:
    with connect(number_of(unshared)):
        assert select.select([unshared], [], [], TIMEOUT_SECONDS)[0]
        connected, _ = unshared.accept()
        with connected:
            queue = port_with(CLOSED, OPEN_FOR_EVER).accept_queue(unshared)

            with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
                queue.accept()

            assert is_refused(number_of(unshared))
            queue.close()


def test_a_port_closes_and_opens_without_a_descriptor_left(listener: socket.socket) -> None:
    port = port_with(OPEN_FOR_EVER, CLOSED, OPEN_FOR_EVER)
    queue = port.accept_queue(listener)
    with socket.socket() as client, descriptors_left(0):
        port.begin_period()
        assert client.connect_ex(listener.getsockname()) == errno.ECONNREFUSED
        port.begin_period()
    with connect(number_of(listener)):
        assert accepts(queue)
    queue.close()


def test_the_process_that_closed_the_port_opens_it_again(listener: socket.socket) -> None:
    """Two processes share a listening socket. The first one closes the port, and only the first one opens it again."""
    old = port_with(OPEN_FOR_EVER, CLOSED, OPEN_FOR_EVER)
    old_queue = old.accept_queue(listener)
    port = port_with(OPEN_FOR_EVER)
    port.closed_seconds = 3600.0
    queue = port.accept_queue(listener)

    old.begin_period()

    for _ in range(2):
        assert accepted(queue) == "call it again"
        assert is_refused(number_of(listener))
    old.begin_period()
    with connect(number_of(listener)):
        assert accepts(queue)
    for each in (queue, old_queue):
        each.close()


def test_a_port_that_a_process_closed_before_it_ended_is_opened(listener: socket.socket) -> None:
    old = port_with(OPEN_FOR_EVER, CLOSED)
    old_queue = old.accept_queue(listener)
    queue = port_with(OPEN_FOR_EVER, OPEN_FOR_EVER).accept_queue(listener)
    old.begin_period()
    old_queue.close()

    assert accepted(queue) == "call it again", "the port is closed for as long as that process may have wanted"
    assert accepted(queue) == "call it again"

    with connect(number_of(listener)):
        assert accepts(queue)
    queue.close()


def test_a_process_that_replaces_another_finds_the_port_closed_and_opens_it() -> None:
    listeners = [listen_on(["127.0.0.1"], 0, socket.socket)[0] for _ in range(2)]
    old = port_with(CLOSED)
    old_queues = [old.accept_queue(listener) for listener in listeners]
    port = port_with(OPEN_FOR_EVER)
    queues = [port.accept_queue(listener) for listener in listeners]

    for listener, queue in zip(listeners, queues, strict=True):
        with connect(number_of(listener)):
            assert accepts(queue)
    for queue in (*old_queues, *queues):
        queue.close()
    for listener in listeners:
        listener.close()


class SharedListener(socket.socket):
    """A listening socket. If *is_raced* is true, the next shutdown() happens twice, as if two processes made it."""

    is_raced = False

    def dup(self) -> "SharedListener":
        """Return a duplicate socket that has the same value of *is_raced*."""
        duplicate = SharedListener(fileno=os.dup(self.fileno()))
        duplicate.is_raced = self.is_raced
        return duplicate

    def shutdown(self, how: int, /) -> None:
        """Stop listening. If *is_raced* is true, shut down twice, as two processes would."""
        if self.is_raced:
            self.is_raced = False
            super().shutdown(how)
        super().shutdown(how)


@pytest.mark.parametrize("is_raced", [False, True], ids=["in turn", "at the same time"])
def test_connections_are_whole_after_two_processes_have_closed_the_port(
    listener: socket.socket, *, is_raced: bool
) -> None:
    """On Linux, connections inherit a second shutdown of their listening socket, so httpsock must avoid or undo it."""
    with SharedListener(fileno=os.dup(listener.fileno())) as shared:
        shared.setblocking(False)
        shared.is_raced = is_raced
        old_queue = port_with(CLOSED).accept_queue(shared)
        port = port_with(CLOSED, CLOSED, OPEN_FOR_EVER)
        queue = port.accept_queue(shared)
        assert is_refused(number_of(listener))
        port.begin_period()
        assert is_refused(number_of(listener))
        port.begin_period()
        with connect(number_of(listener)):
            assert select.select([queue], [], [], TIMEOUT_SECONDS)[0]
            connected, _ = queue.accept()
            with connected:
                connected.setblocking(False)
                with pytest.raises(BlockingIOError):
                    connected.recv(1)
        for each in (queue, old_queue):
            each.close()


def test_another_failure_is_an_error(listener: socket.socket) -> None:
    queue = port_with(OPEN_FOR_EVER).accept_queue(listener)
    queue.close()

    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        queue.accept()


def test_a_connection_waits_in_the_accept_queue(listener: socket.socket) -> None:
    port = port_with(OPEN_FOR_EVER, OPEN_FOR_EVER, delays=(3600.0, 0.0))
    queue = port.accept_queue(listener)
    assert accepted(queue) == "empty", "only a connection has a delay"
    with connect(number_of(listener)):
        assert select.select([queue], [], [], TIMEOUT_SECONDS)[0]
        assert accepted(queue) == "call it again"
        assert accepted(queue) == "call it again", "the same delay"

        port.begin_period()

        assert accepts(queue)
    queue.close()


def test_another_process_may_keep_the_port_closed_for_as_long_as_the_longest_rule_says(listener: socket.socket) -> None:
    faults = Faults()
    for rule in ("refuse=3600@0", "refuse=0.01@0"):
        faults.add(parse_rule(rule))
    queue = faults.accept_queue(listener)
    listener.shutdown(socket.SHUT_RD)
    assert accepted(queue) == "call it again"

    end_of_shorter = time.monotonic() + 0.01
    while time.monotonic() < end_of_shorter:
        assert accepted(queue) == "call it again"
    assert accepted(queue) == "call it again"

    assert is_refused(number_of(listener))
    queue.close()


# --- In a server ----------------------------------------------------------------------------------------------------


def test_a_server_refuses_connections_until_the_next_test(server: TestServer) -> None:
    server.fault("refuse")

    assert is_refused(server.port)
    assert is_refused(server.port)
    server.clear()
    assert exchange(server.port, get("/x")).startswith(b"HTTP/1.1 404 ")
    assert [request.target for request in server.requests] == ["/x"]


def test_a_server_refuses_connections_for_a_time(server: TestServer) -> None:
    server.fault("refuse=0.05", times=1)

    assert eventually(lambda: not is_refused(server.port))
    assert exchange(server.port, get("/x")).startswith(b"HTTP/1.1 404 ")


def test_connections_that_are_open_stay_open_while_others_are_refused(server: TestServer) -> None:
    server.respond("/x", content=b"x")
    with connect(server.port) as client:
        client.sendall(get("/x"))
        server.wait_for(1)
        server.fault("refuse")
        assert is_refused(server.port)
        client.sendall(get("/x", "Connection: close"))
        octets = b""
        while part := client.recv(65536):
            octets += part

    assert octets.count(b"HTTP/1.1 200 OK\r\n") == 2


def test_by_chance_a_server_refuses_and_accepts_in_turns() -> None:
    with TestServer(seed=1) as server:
        server.fault("refuse=0.01@0.5")
        for expected in (True, False) * 3:
            assert eventually(functools.partial(_is_refused_as, server.port, expected))


def _is_refused_as(number: int, expected: bool) -> bool:
    return is_refused(number) == expected


def test_a_server_that_stops_while_it_refuses_leaves_the_port(server: TestServer) -> None:
    server.fault("refuse")

    server.stop()

    (other,) = listen_on(["127.0.0.1"], server.port, socket.socket)
    other.close()
    server.fault("refuse")


@pytest.mark.parametrize("stops", [False, True], ids=["answered", "stopped"])
def test_a_connection_is_accepted_late_or_never(server: TestServer, *, stops: bool) -> None:
    server.fault("slow-accept=3600" if stops else "slow-accept=0.02")
    with connect(server.port) as client:
        client.sendall(get("/x", "Connection: close"))
        if stops:
            assert eventually(lambda: not server._loop._is_accepting)  # type: ignore[union-attr]
            server.stop()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        else:
            assert client.recv(100).startswith(b"HTTP/1.1 404 ")


def test_a_connection_that_one_server_leaves_in_the_queue_is_accepted_by_another(listener: socket.socket) -> None:
    """Two servers poll the same accept queue. One of them delays accept() for an hour."""
    with TestServer(listeners=[listener.dup()]) as old, TestServer(listeners=[listener]) as new:
        new.respond("/x", content=b"new")
        old.fault("slow-accept=3600")
        new.fault("slow-accept=0.01*1")
        with connect(old.port) as client:
            client.sendall(get("/x", "Connection: close"))
            assert eventually(lambda: not old._loop._is_accepting)  # type: ignore[union-attr]
            old.drain()

            assert receive_all(client).endswith(b"new")


def test_the_port_is_closed_when_the_command_prints_its_url(serving: Start) -> None:
    program = serving("--bind", "127.0.0.1", "--fault", "refuse")

    assert is_refused(program.port)
    assert is_refused(program.port)


def test_a_server_refuses_connections_before_it_starts() -> None:
    server = TestServer()
    server.fault("refuse")
    assert is_refused(server.port)

    server.stop()
    server.stop()

    (other,) = listen_on(["127.0.0.1"], server.port, socket.socket)
    other.close()


def answers(number: int) -> bool:
    """Request hello.txt, and return whether the server sends a 200."""
    try:
        return exchange(number, get("/hello.txt", "Connection: close")).startswith(b"HTTP/1.1 200 ")
    except ConnectionError:
        return False


def test_the_command_refuses_and_accepts_late(serving: Start) -> None:
    program = serving("--trace", "--bind", "127.0.0.1", "--fault", "refuse=0.01*1", "--fault", "slow-accept=0.01*1")

    assert eventually(lambda: answers(program.port))

    _, _, trace = program.stop()
    steps = [
        f"  listen 1024 at 127.0.0.1:{program.port}\n",
        f"  shutdown 127.0.0.1:{program.port}: the kernel refuses connections\n",
        f"  listen 1024 at 127.0.0.1:{program.port}\n",
        "  accept\n",
    ]
    position = -1
    for step in steps:
        position = trace.find(step, position + 1)
        assert position >= 0, (step, trace)
