"""Send rate: how slowly a peer may read a response.

Takes times and numbers of octets, gives a deadline. The socket itself is in sending.py.

RFC 9112 §9.5 (closing after failures and time-outs).
"""

_ALWAYS = float("inf")


class SendRate:
    """The deadline for a peer that reads a response.

    At first the deadline is *slow* seconds ahead. Each *min_rate* octets that the peer acknowledges extend the deadline
    by a second, but never to more than *slow* seconds ahead. Octets in the kernel's send buffer do not count yet.
    """

    __slots__ = ("_acknowledged", "_min_rate", "_slow", "deadline")

    def __init__(self, min_rate: float, slow: float, *, now: float, acknowledged: int) -> None:
        """Start to measure at *now*, on the monotonic clock.

        *acknowledged* is the number of octets acknowledged so far.
        """
        self._min_rate = min_rate
        self._slow = slow
        self._acknowledged = acknowledged
        self.deadline = now + slow

    def is_too_slow(self, now: float, acknowledged: int) -> bool:
        """Extend the deadline for newly acknowledged octets. Return whether the deadline has passed.

        *acknowledged* is the number of octets that the peer has acknowledged so far, in total.
        """
        if not self._min_rate:
            self.deadline = _ALWAYS
            return False
        gained = (acknowledged - self._acknowledged) / self._min_rate
        self._acknowledged = acknowledged
        self.deadline = min(self.deadline + gained, now + self._slow)
        return now >= self.deadline
