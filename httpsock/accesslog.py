"""The access log: one response as one line, safe to print.

Takes what is known of an exchange, gives a line in one of three formats. What a client sent is shown as it
was received, never decoded, and escaped: nothing in a line can move a cursor, end the line or forge another.

    text    14:03:59 127.0.0.1 "GET /hello.txt HTTP/1.1" 200 312 0.4 ms
    clf     127.0.0.1 - - [22/Nov/2026:14:03:59 +0000] "GET /hello.txt HTTP/1.1" 200 312
    json    {"time": "2026-11-22T14:03:59.120Z", "client": "127.0.0.1", "request": "GET /hello.txt HTTP/1.1", ...}
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from .grammar import MONTHS, printable

# A request line longer than this is cut short in the log.
_MOST = 1024


class Exchange(NamedTuple):
    """One response sent: to whom, for what, and how it went.

    *ended* in seconds since 1970; *sent* octets of content of the *length* promised; *seconds* from the whole
    request to the last octet handed to the system.
    """

    ended: float
    client: str
    request_line: bytes
    status: int
    sent: int
    length: int
    seconds: float


Format = Callable[[Exchange], str]


def _shown(request_line: bytes) -> str:
    # The memo holds no more of a line than is shown.
    return _memoised_printable(request_line[: _MOST + 1], _MOST)


_memoised_printable = lru_cache(maxsize=256)(printable)


def format_text(exchange: Exchange) -> str:
    """Return a line for a person at a terminal; local time."""
    clock = _clock("%H:%M:%S", int(exchange.ended))
    sent = str(exchange.sent) if exchange.sent == exchange.length else f"{exchange.sent} of {exchange.length}"
    request_line = f'"{_shown(exchange.request_line)}"'
    return f"{clock} {exchange.client} {request_line} {exchange.status:d} {sent} {exchange.seconds * 1000:.1f} ms\n"


def format_clf(exchange: Exchange) -> str:
    """Return a line in the Common Log Format, which log analysers read."""
    day, month, rest = _clock("%d %m %Y:%H:%M:%S %z", int(exchange.ended)).split(" ", 2)
    clock = f"{day}/{MONTHS[int(month) - 1]}/{rest}"
    return f'{exchange.client} - - [{clock}] "{_shown(exchange.request_line)}" {exchange.status:d} {exchange.sent}\n'


def format_json(exchange: Exchange) -> str:
    """Return a line that holds one JSON object; UTC."""
    second, fraction = divmod(exchange.ended, 1)
    said = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{int(fraction * 1000):03}Z",
        "client": exchange.client,
        "request": _shown(exchange.request_line),
        "status": int(exchange.status),
        "sent": exchange.sent,
        "length": exchange.length,
        "milliseconds": round(exchange.seconds * 1000, 3),
    }
    import json  # 3 ms of start-up, and seldom wanted

    return json.dumps(said) + "\n"


FORMATS: dict[str, Format] = {"text": format_text, "clf": format_clf, "json": format_json}


@lru_cache(maxsize=4)
def _clock(pattern: str, second: int) -> str:
    return time.strftime(pattern, time.localtime(second))
