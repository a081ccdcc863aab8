"""The poller: epoll and the selectors module report the same ready sockets."""

import contextlib
import pathlib
import select
import selectors
import socket
from collections.abc import Iterator

import pytest

from httpsock.server.poller import (
    NEITHER,
    READABLE,
    WRITABLE,
    Poller,
    SelectorPoller,
    open_poller,
    unsent_octets,
)
from tests.support import TIMEOUT_SECONDS, fill

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(
    params=[
        pytest.param(None, id="the best that this system has"),
        pytest.param("DefaultSelector", id="the selectors of a system without epoll"),
        pytest.param("PollSelector", id="poll()"),
        pytest.param("SelectSelector", id="select(), as on Windows"),
    ]
)
def poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Poller]:
    """Yield an open poller, once for each kind."""
    if request.param is not None:
        if not hasattr(selectors, request.param):
            pytest.skip(f"this system has no {request.param}")
        monkeypatch.setattr(selectors, "DefaultSelector", getattr(selectors, request.param))
        monkeypatch.delattr(select, "epoll", raising=False)
    opened = open_poller()
    yield opened
    opened.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yield two connected sockets. The poller watches the first one."""
    ours, peer = socket.socketpair()
    with ours, peer:
        yield ours, peer


def drain(receiver: socket.socket) -> None:
    """Receive until the receive buffer is empty."""
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            receiver.recv(65536)


def test_without_epoll_the_selectors_of_the_standard_library_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)
    opened = open_poller()
    opened.close()
    assert isinstance(opened, SelectorPoller)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
def test_epoll_events_are_used_untranslated() -> None:
    opened = open_poller()
    opened.close()
    assert isinstance(opened, select.epoll)
    assert (READABLE, WRITABLE) == (select.EPOLLIN, select.EPOLLOUT)


def test_a_silent_socket_is_not_readable(poller: Poller, pair: Pair) -> None:
    poller.register(pair[0].fileno(), READABLE)
    assert poller.poll(0) == []


def test_a_socket_is_readable_once_octets_arrive(poller: Poller, pair: Pair) -> None:
    ours, peer = pair
    poller.register(ours.fileno(), READABLE)
    peer.sendall(b"G")
    assert poller.poll(TIMEOUT_SECONDS) == [(ours.fileno(), READABLE)]


def test_a_socket_stays_readable_until_its_octets_are_read(poller: Poller, pair: Pair) -> None:
    ours, peer = pair
    poller.register(ours.fileno(), READABLE)
    peer.sendall(b"GET")
    assert poller.poll(None) == poller.poll(None) == [(ours.fileno(), READABLE)]
    ours.recv(3)
    assert poller.poll(0) == []


def test_a_socket_with_room_is_writable(poller: Poller, pair: Pair) -> None:
    poller.register(pair[0].fileno(), WRITABLE)
    assert poller.poll(TIMEOUT_SECONDS) == [(pair[0].fileno(), WRITABLE)]


def test_a_socket_without_room_is_not_writable_until_the_peer_reads(poller: Poller, pair: Pair) -> None:
    ours, peer = pair
    fill(ours)
    poller.register(ours.fileno(), WRITABLE)
    assert poller.poll(0) == []
    drain(peer)
    assert poller.poll(TIMEOUT_SECONDS) == [(ours.fileno(), WRITABLE)]


def test_only_awaited_events_are_reported(poller: Poller, pair: Pair) -> None:
    ours, peer = pair
    poller.register(ours.fileno(), READABLE)
    assert poller.poll(0) == [], "the socket is writable, but only reading is awaited"
    poller.modify(ours.fileno(), WRITABLE)
    peer.sendall(b"G")
    assert poller.poll(TIMEOUT_SECONDS) == [(ours.fileno(), WRITABLE)]
    poller.modify(ours.fileno(), READABLE)
    assert poller.poll(TIMEOUT_SECONDS) == [(ours.fileno(), READABLE)]


@pytest.mark.parametrize("awaited", [pytest.param(READABLE, id="reading"), pytest.param(WRITABLE, id="writing")])
def test_a_peer_that_hangs_up_wakes_every_waiter(poller: Poller, pair: Pair, awaited: int) -> None:
    ours, peer = pair
    poller.register(ours.fileno(), awaited)
    peer.close()
    ((descriptor, events),) = poller.poll(TIMEOUT_SECONDS)
    assert descriptor == ours.fileno()
    assert events & awaited


def test_the_end_of_a_peers_stream_is_readable(poller: Poller, pair: Pair) -> None:
    ours, peer = pair
    poller.register(ours.fileno(), READABLE)
    peer.shutdown(socket.SHUT_WR)
    assert poller.poll(TIMEOUT_SECONDS) == [(ours.fileno(), READABLE)]


def test_all_ready_sockets_are_reported_together(poller: Poller) -> None:
    first, second = socket.socketpair()
    with first, second:
        for each in (first, second):
            poller.register(each.fileno(), WRITABLE)
        assert sorted(poller.poll(TIMEOUT_SECONDS)) == sorted((each.fileno(), WRITABLE) for each in (first, second))


def test_an_unregistered_socket_is_not_polled(poller: Poller, pair: Pair) -> None:
    ours, peer = pair
    poller.register(ours.fileno(), READABLE)
    peer.sendall(b"G")
    poller.unregister(ours.fileno())
    assert poller.poll(0) == []


def test_a_descriptor_may_be_watched_again(poller: Poller, pair: Pair) -> None:
    poller.register(pair[0].fileno(), READABLE)
    poller.unregister(pair[0].fileno())
    poller.register(pair[0].fileno(), WRITABLE)
    assert poller.poll(TIMEOUT_SECONDS) == [(pair[0].fileno(), WRITABLE)]


def test_a_client_that_connects_makes_a_listening_socket_readable(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        poller.register(listening.fileno(), READABLE)
        assert poller.poll(0) == []
        with socket.create_connection(listening.getsockname(), timeout=TIMEOUT_SECONDS):
            assert poller.poll(TIMEOUT_SECONDS) == [(listening.fileno(), READABLE)]
        poller.unregister(listening.fileno())


def test_a_client_wakes_each_poller_of_a_listening_socket(poller: Poller) -> None:
    other = open_poller()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            for each in (poller, other):
                each.register(listening.fileno(), READABLE)
            with socket.create_connection(listening.getsockname(), timeout=TIMEOUT_SECONDS):
                for each in (poller, other):
                    assert each.poll(TIMEOUT_SECONDS) == [(listening.fileno(), READABLE)]
            for each in (poller, other):
                each.unregister(listening.fileno())
    finally:
        other.close()


def test_the_length_of_the_send_queue_is_reported() -> None:
    """A slow reader shortens the queue, but a stalled reader does not."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        connected, _ = listener.accept()
        with connected:
            sent = fill(connected)
            held = unsent_octets(connected.fileno())
            if not held:
                pytest.skip("this system does not tell")
            assert held <= sent
            while sent:
                sent -= len(client.recv(1 << 20))
            assert unsent_octets(connected.fileno()) < held


def test_an_object_without_a_send_queue_holds_no_bytes(tmp_path: pathlib.Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        assert unsent_octets(file.fileno()) == 0


def test_a_socket_without_awaited_events_is_not_reported(poller: Poller, pair: Pair) -> None:
    ours, peer = pair
    poller.register(ours.fileno(), READABLE)
    peer.send(b"x")

    for awaited in (NEITHER, NEITHER):
        poller.modify(ours.fileno(), awaited)
        assert poller.poll(0) == []

    poller.modify(ours.fileno(), READABLE)
    assert poller.poll(TIMEOUT_SECONDS) == [(ours.fileno(), READABLE)]
    poller.modify(ours.fileno(), NEITHER)
    poller.unregister(ours.fileno())
