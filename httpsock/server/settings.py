"""The service: what all connections of a server share, and how long a client may take.

Knows nothing of sockets: it is what a server was told, handed down to whoever talks with a client.

RFC 9112 §9.5 (closing after failures and time-outs).
"""

from typing import NamedTuple

from httpsock.files.document_root import DocumentRoot
from httpsock.http.request_parser import Limits


class Timeouts(NamedTuple):
    """How long a client may take, in seconds. There is no limit on a whole exchange: long downloads are honest.

    *least_rate* is in octets a second.
    """

    # From the first octet of a head to its last. h2o and Caddy allow the same.
    head: float = 10.0
    # Between two requests, and before the first: a browser opens connections ahead.
    idle: float = 20.0
    # Between two reads of content.
    stall: float = 30.0
    # For how long a reader may take fewer octets a second than *least_rate*, so that a byte now and then holds no
    # connection for ever. The rate is that of Apache's mod_reqtimeout; a modem of the last century was faster.
    slow: float = 60.0
    least_rate: float = 500.0
    # For all of a request's content, which is bounded.
    content: float = 60.0
    # After the last response: between two reads, and in all (RFC 9112 §9.6 names no time; nginx waits 5 and 30).
    linger: float = 2.0
    linger_total: float = 10.0


class Settings:
    """What all connections of a server share. Nothing in it changes but how it stops.

    *field_lines* are added to every response. When it *is_stopping* each response is the last of its connection; those
    without a request are closed at once unless it *waits_for_idle*.
    """

    def __init__(
        self,
        root: DocumentRoot,
        field_lines: bytes = b"",
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.root = root
        self.field_lines = field_lines
        self.limits = limits or Limits()
        self.timeouts = timeouts or Timeouts()
        self.is_stopping = False
        self.is_draining = False
