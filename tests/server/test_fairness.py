"""Fairness: if a client network has used up its share of a tick, its other connections wait."""

import pathlib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import serve_folder
from httpsock.http.handler import Tick
from httpsock.server.connection import Connection, open_connection
from httpsock.server.fairness import Fairness, least_recently_resumed
from httpsock.server.settings import Settings

HEAVY, LIGHT = "192.0.2.1", "192.0.2.2"


class Clock:
    """A clock that advances only when the test sets it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Peers:
    """A factory of connections with given client addresses."""

    def __init__(self, root: pathlib.Path, stack: ExitStack) -> None:
        self._settings = Settings(serve_folder(DocumentRoot(root)))
        self._stack = stack

    def of(self, *clients: str) -> list[Connection]:
        connections = []
        for client in clients:
            ours, theirs = socket.socketpair()
            self._stack.enter_context(theirs)
            tick = Tick(time.time(), 0.0)
            connections.append(open_connection(ours, client, self._settings, None, tick))
            self._stack.callback(connections[-1].close)
        return connections


@pytest.fixture
def peers(tmp_path: pathlib.Path) -> Iterator[Peers]:
    """Yield a factory of connections with given client addresses."""
    with ExitStack() as stack:
        yield Peers(tmp_path, stack)


def run(fairness: Fairness, clock: Clock, connections: list[Connection], costs: dict[str, float]) -> list[Connection]:
    """Return the connections that *fairness* selects. For each one, advance *clock* by the cost of its client."""
    ran = []
    for connection in fairness.select(iter(connections)):
        clock.now += costs.get(connection.client, 0.0)
        ran.append(connection)
    return ran


def test_a_network_that_has_used_its_share_waits_and_the_others_run(peers: Peers) -> None:
    clock = Clock()
    fairness = Fairness(clock)
    connections = peers.of(*[HEAVY] * 200, LIGHT)

    ran = run(fairness, clock, connections, {HEAVY: 0.002, LIGHT: 0.002})

    assert ran == [*connections[:2], connections[-1]]
    assert fairness.take_postponed() == connections[2:-1]
    assert fairness.take_postponed() == []


def test_each_tick_has_new_shares(peers: Peers) -> None:
    clock = Clock()
    fairness = Fairness(clock)
    waiting = peers.of(*[HEAVY] * 7)
    ticks = []
    while waiting:
        ticks.append(len(run(fairness, clock, waiting, {HEAVY: 0.002})))
        waiting = fairness.take_postponed()
    assert ticks == [2, 2, 2, 1]


def test_connections_that_cost_little_are_not_charged(peers: Peers) -> None:
    clock = Clock()
    fairness = Fairness(clock)
    connections = peers.of(*[HEAVY] * 1000)
    assert run(fairness, clock, connections, {HEAVY: 0.00004}) == connections
    assert fairness.postponed == []


def test_all_addresses_of_an_ipv6_subscriber_have_one_share(peers: Peers) -> None:
    clock = Clock()
    fairness = Fairness(clock)
    costs = {f"2001:db8::{number:x}": 0.004 for number in range(1, 9)}
    connections = peers.of(*costs, "2001:db8:0:1::1")
    assert run(fairness, clock, connections, costs) == [connections[0], connections[-1]]


def test_shares_are_measured_from_a_long_tick_until_a_second_without_one(peers: Peers) -> None:
    clock = Clock()
    fairness = Fairness(clock)
    assert not fairness.has_become_long(clock.now - 0.005)
    assert fairness.measures_until == 0.0
    assert fairness.has_become_long(clock.now - 0.02)
    assert fairness.measures_until == clock.now + 1.0
    clock.now += 0.9
    run(fairness, clock, peers.of(HEAVY, HEAVY), {HEAVY: 0.004})
    assert fairness.measures_until == pytest.approx(clock.now + 1.0)


def test_the_connection_that_has_waited_longest_comes_first(peers: Peers) -> None:
    first, second = peers.of(HEAVY, LIGHT)
    first.tick.monotonic, second.tick.monotonic = 2.0, 1.0
    assert sorted([first, second], key=least_recently_resumed) == [second, first]
