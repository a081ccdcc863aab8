"""Answers to searches: random delays, a total limit, and a fair share for each neighbour."""

import math

import pytest

from httpsock.discovery import answers
from httpsock.discovery.answers import Answers, RateLimit, Shares
from httpsock.discovery.multicast import Interface
from httpsock.discovery.ssdp import DatagramError

HERE, THERE = Interface("127.0.0.1", 1), Interface("127.0.0.2", 1)
PEER = ("127.0.0.9", 5000)


def granted(rate: RateLimit, now: float) -> bool:
    """If *rate* allows an answer *now*, count the answer and return True."""
    if rate.has_token(now):
        rate.take()
        return True
    return False


def test_a_rate_limit_allows_a_burst_and_then_a_number_per_second() -> None:
    rate = RateLimit(2, 3, 0.0)
    assert [granted(rate, 0.0) for _ in range(4)] == [True, True, True, False]
    assert [granted(rate, 0.5) for _ in range(2)] == [True, False]
    assert [granted(rate, 100.0) for _ in range(4)] == [True, True, True, False]


def served(shares: Shares, neighbour: str, now: float) -> str:
    """Ask *shares* for an answer to *neighbour*. Return "granted" or the reason for the refusal."""
    try:
        shares.take_token(neighbour, now)
    except DatagramError as error:
        return error.reason
    return "granted"


def test_fifty_searches_a_second_of_one_neighbour_do_not_use_the_shares_of_others() -> None:
    shares = Shares(0.0)
    greedy = [served(shares, "10.0.0.1", second + tick / 50) for second in range(60) for tick in range(50)]
    assert greedy.count("granted") <= 9 + 60 * 3
    assert greedy[-1] in ("granted", "over the limit of 3 answers a second to one neighbour")
    assert [served(shares, f"10.0.0.{host}", 60.0) for host in (2, 3) for _ in range(9)] == ["granted"] * 18


def test_many_neighbours_share_the_total_limit() -> None:
    """A client that forges many source addresses must not exceed the total limit."""
    shares = Shares(0.0)
    outcomes = [served(shares, f"10.0.{n // 250}.{n % 250}", n / 1000) for n in range(10_000)]
    assert 30 * 9 < outcomes.count("granted") <= 30 + 30 * 10
    assert set(outcomes) == {"granted", "over the limit of 30 answers a second to all neighbours"}
    assert len(shares._each) == 1024


def test_the_neighbour_that_was_silent_longest_is_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_MAX_NEIGHBOURS", 2)
    shares = Shares(0.0)
    for neighbour in ("a", "b", "a", "c"):
        shares.take_token(neighbour, 0.0)
    assert list(shares._each) == ["a", "c"]


def test_a_neighbour_that_has_used_its_share_leaves_the_shares_of_others() -> None:
    shares = Shares(0.0)
    for _ in range(1000):
        served(shares, "a", 0.0)
    assert [served(shares, neighbour, 0.0) for neighbour in ("b", "c") for _ in range(9)] == ["granted"] * 18


def test_answers_are_due_within_their_delay() -> None:
    waiting = Answers(0.0)
    assert (len(waiting), waiting.next_due) == (0, math.inf)
    waiting.add([b"1", b"2"], PEER, (HERE, HERE), 2.0, 1.0)
    assert len(waiting) == 2
    assert 1.0 <= waiting.next_due <= 3.0
    assert waiting.take_due(0.9) == []
    assert {each.datagram for each in waiting.take_due(3.0)} == {b"1", b"2"}
    assert len(waiting) == 0


def test_a_waiting_answer_is_not_queued_twice() -> None:
    waiting = Answers(0.0)
    waiting.add([b"1"], PEER, (HERE, HERE), 2.0, 0.0)
    with pytest.raises(DatagramError, match="this client is already being answered"):
        waiting.add([b"1"], PEER, (HERE, HERE), 2.0, 0.0)
    waiting.add([b"1"], ("127.0.0.9", 5001), (HERE, HERE), 2.0, 0.0)


def test_all_ports_of_a_neighbour_use_one_share() -> None:
    waiting = Answers(0.0)
    for port in range(9):
        waiting.add([b"1"], ("127.0.0.9", port), (HERE, HERE), 2.0, 0.0)
    with pytest.raises(DatagramError, match="to one neighbour"):
        waiting.add([b"1"], ("127.0.0.9", 9), (HERE, HERE), 2.0, 0.0)


def test_the_queue_of_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_MAX_QUEUED", 1)
    waiting = Answers(0.0)
    with pytest.raises(DatagramError, match="the queue is full with 1 answers"):
        waiting.add([b"1", b"2"], PEER, (HERE, HERE), 2.0, 0.0)
    assert len(waiting) == 1


def test_announcements_of_a_removed_interface_are_dropped() -> None:
    waiting = Answers(0.0)
    waiting.add([b"1"], PEER, (HERE, THERE), 2.0, 0.0)
    waiting.add([b"2"], PEER, (THERE, HERE), 2.0, 0.0)
    waiting.add([b"3"], PEER, (HERE, HERE), 2.0, 0.0)
    waiting.drop(THERE)
    assert [each.datagram for each in waiting.take_due(9.0)] == [b"3"]
