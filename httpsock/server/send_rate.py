"""Send rate: how slowly a peer may read a response.

Takes times and numbers of octets, gives a deadline. It does not see the socket; connection.py does.

RFC 9112 §9.5 (closing after failures and time-outs).
"""

_ALWAYS = float("inf")


class SendRate:
    """The deadline of one response's reader: it must take *min_rate* octets a second, or less for *slow* seconds.

    Each acknowledged octet extends the deadline, up to a bound: a pause is tolerated, a crawl is not. Octets still in
    our send buffer do not count: it holds megabytes.
    """

    __slots__ = ("_acknowledged", "_min_rate", "_slow", "deadline")

    def __init__(self, min_rate: float, slow: float, *, now: float, acknowledged: int) -> None:
        """Start at *now*, on the monotonic clock, with *acknowledged* octets counted already."""
        self._min_rate = min_rate
        self._slow = slow
        self._acknowledged = acknowledged
        self.deadline = now + slow

    def is_too_slow(self, now: float, acknowledged: int) -> bool:
        """Extend the deadline by the octets *acknowledged* since the last call; return whether it has passed."""
        if not self._min_rate:
            self.deadline = _ALWAYS
            return False
        gained = (acknowledged - self._acknowledged) / self._min_rate
        self._acknowledged = acknowledged
        self.deadline = min(self.deadline + gained, now + self._slow)
        return now >= self.deadline
