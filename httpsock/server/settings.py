"""The settings that all connections of a server share, with the time-outs of its clients.

server.py makes the settings. connection.py uses the settings.

RFC 9112 §9.5 (closing after failures and time-outs).
"""

import socket
from collections.abc import Callable
from typing import NamedTuple

from httpsock.http.error_response import ErrorHandler, explain_fault
from httpsock.http.handler import Handler
from httpsock.http.request_parser import Limits

from .state import Phase
from .transport import PlainTransport, Transport


class Timeouts(NamedTuple):
    """How long a client may take, in seconds. *min_rate* is in octets a second.

    There is no limit on the time of a whole exchange, since a long download is legitimate.
    """

    # From the first octet of a head to its last. h2o and Caddy allow the same.
    head: float = 10.0
    # Between two requests, and before the first: a browser opens connections before it needs them.
    idle: float = 20.0
    # Between two reads of content.
    stall: float = 30.0
    # How long a client may read nothing. Each *min_rate* octets that it reads extend this by a second: a slower trickle
    # holds no connection for ever. The rate is that of Apache's mod_reqtimeout; a modem of the last century was faster.
    slow: float = 60.0
    min_rate: float = 500.0
    # For all of a request's content; its length has a limit.
    content: float = 60.0
    # After the last response: between two reads, and in total (RFC 9112 §9.6 gives no time; nginx waits 5 and 30).
    linger: float = 2.0
    linger_total: float = 10.0


def _ignore(_: str) -> None:
    """Ignore a report."""


class Settings:
    """The settings that all connections of a server share. While the server runs, only *phase* changes.

    *handler* answers requests. *explain* makes error responses. Every response includes *field_lines*. *transport*
    makes the transport of a connected socket. *report* gets the traceback of a failed handler.
    """

    def __init__(
        self,
        handler: Handler,
        field_lines: bytes = b"",
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        *,
        explain: ErrorHandler = explain_fault,
        transport: Callable[[socket.socket], Transport] = PlainTransport,
        report: Callable[[str], object] = _ignore,
    ) -> None:
        self.handler = handler
        self.explain = explain
        self.field_lines = field_lines
        self.limits = limits or Limits()
        self.timeouts = timeouts or Timeouts()
        self.transport = transport
        self.report = report
        self.phase = Phase.SERVING
