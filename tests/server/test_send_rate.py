"""The send rate: a client may pause its reading, but the server drops a client that stays too slow."""

from httpsock.server.send_rate import SendRate
from tests.support.rows import each_row


def start() -> SendRate:
    """Return a SendRate that starts at the time 1,000 s with 100 acknowledged octets."""
    return SendRate(500.0, 60.0, now=1000.0, acknowledged=100)


def test_a_stalled_reader_is_dropped_at_its_deadline() -> None:
    rate = start()
    assert not rate.is_too_slow(1059.9, 100)
    assert rate.is_too_slow(1060.0, 100)


def test_each_acknowledged_octet_extends_the_deadline() -> None:
    rate = start()
    assert not rate.is_too_slow(1030.0, 100 + 5000)
    assert rate.deadline == 1070.0


def test_the_time_that_a_reader_gains_is_limited() -> None:
    rate = start()
    assert not rate.is_too_slow(1030.0, 10**9)
    assert rate.deadline == 1090.0


def test_a_reader_below_the_least_rate_is_dropped_after_some_time() -> None:
    rate = start()
    seconds = next(second for second in range(1, 1000) if rate.is_too_slow(1000.0 + second, 100 + 250 * second))
    # At half the least rate, the time left decreases by half a second each second.
    assert seconds == 120


@each_row("acknowledged", [100, 10**9])
def test_without_a_least_rate_there_is_no_deadline(acknowledged: int) -> None:
    rate = SendRate(0.0, 60.0, now=1000.0, acknowledged=100)
    assert not rate.is_too_slow(1e9, acknowledged)
    assert rate.deadline == float("inf")
