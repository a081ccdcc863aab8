r"""The access log: one response as one line, safe to print.

Takes what is known of an exchange, gives a line in one of three formats. What a client sent is shown as it
was received, never decoded, escaped, and without credentials: nothing in a line can move a cursor, end the line or
forge another. A response of 4xx or 5xx says why: in the text behind its status, in the Common Log Format as one more
quoted field at the end of the line.

    text    14:03:59 127.0.0.1 "GET /hello.txt HTTP/1.1" 200 312 0.4 ms
            14:04:07 127.0.0.1 "\x16\x03\x01\x02…" 400 a TLS handshake on a plain HTTP port; 129 0.1 ms
    clf     127.0.0.1 - - [22/Nov/2026:14:03:59 +0000] "GET /hello.txt HTTP/1.1" 200 312
    json    {"time": "2026-11-22T14:03:59.120Z", "client": "127.0.0.1", "request": "GET /hello.txt HTTP/1.1", ...}
"""

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from httpsock.http.grammar import MONTHS, printable

# A request line longer than this is cut short in the log; so is, much sooner, what is no request line.
_MOST = 1024
_MOST_OF_NONE = 60
_MOST_OF_BINARY = 12
_end_of_request_line = re.compile(rb" HTTP/[0-9]\.[0-9]\Z")
# On a terminal, a line that is too long is cut in its request line first, of which this much is left.
_LEAST_SHOWN = 16
# By the first digit of the status: red is for faults of the server.
_COLOURS = {2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[1;31m"}
_PLAIN = "\x1b[0m"


class Exchange(NamedTuple):
    """One response sent: to whom, for what, and how it went.

    *ended* in seconds since 1970; *sent* octets of content of the *length* promised; *seconds* from the whole
    request to the last octet handed to the system. *reason* is why the status is an error, if it is one.
    """

    ended: float
    client: str
    request_line: bytes
    status: int
    sent: int
    length: int
    seconds: float
    reason: str = ""


Format = Callable[[Exchange], str]


def _shown(request_line: bytes) -> str:
    is_request_line = _end_of_request_line.match(request_line[-len(b" HTTP/1.1") :])
    is_binary = any(octet < 0x20 or octet >= 0x7F for octet in request_line[:4])
    most = _MOST if is_request_line else _MOST_OF_BINARY if is_binary else _MOST_OF_NONE
    if len(request_line) > most:
        # The memo holds no longer lines.
        return printable(request_line, most)
    return _memoised_printable(request_line, most)


_memoised_printable = lru_cache(maxsize=256)(printable)


class TextFormat:
    """Formats a line for a person: local time; as *width* allows, and with the status in colour, on a terminal."""

    def __init__(self, width: int | None = None, *, is_coloured: bool = False) -> None:
        self._width = width
        self._is_coloured = is_coloured

    def __call__(self, exchange: Exchange) -> str:
        """Return the line."""
        clock = _clock("%H:%M:%S", int(exchange.ended))
        sent = str(exchange.sent) if exchange.sent == exchange.length else f"{exchange.sent} of {exchange.length}"
        request_line, reason = _shown(exchange.request_line), f"{exchange.reason}; " if exchange.reason else ""
        status, rest = f"{exchange.status:d}", f"{reason}{sent} {exchange.seconds * 1000:.1f} ms"
        if self._width:
            # Spaces and quotes take up seven columns.
            room = self._width - len(clock) - len(exchange.client) - len(status) - 6
            request_line = shorten(request_line, max(_LEAST_SHOWN, room - len(rest)))
            if reason and len(request_line) + len(rest) > room:
                shown = shorten(
                    exchange.reason, max(_LEAST_SHOWN, len(exchange.reason) + room - len(rest) - len(request_line))
                )
                rest = rest.replace(exchange.reason, shown, 1)
        if self._is_coloured:
            status = f"{_COLOURS.get(exchange.status // 100, '')}{status}{_PLAIN}"
        return f'{clock} {exchange.client} "{request_line}" {status} {rest}\n'


format_text = TextFormat()


def shorten(text: str, most: int) -> str:
    """Return *text* with its middle cut out, and an ellipsis there, if it has more than *most* characters."""
    if len(text) <= most:
        return text
    last = (most - 1) // 3
    return f"{text[: most - 1 - last]}…{text[len(text) - last :]}"


def format_clf(exchange: Exchange) -> str:
    """Return a line in the Common Log Format, which log analysers read."""
    day, month, rest = _clock("%d %m %Y:%H:%M:%S %z", int(exchange.ended)).split(" ", 2)
    clock = f"{day}/{MONTHS[int(month) - 1]}/{rest}"
    said = exchange.reason.replace('"', '\\"')
    reason = f' "{said}"' if said else ""
    request_line = _shown(exchange.request_line)
    return f'{exchange.client} - - [{clock}] "{request_line}" {exchange.status:d} {exchange.sent}{reason}\n'


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
    if exchange.reason:
        said["reason"] = exchange.reason
    import json  # 3 ms of start-up, and seldom wanted

    return json.dumps(said) + "\n"


FORMATS: dict[str, Format] = {"text": format_text, "clf": format_clf, "json": format_json}


@lru_cache(maxsize=4)
def _clock(pattern: str, second: int) -> str:
    return time.strftime(pattern, time.localtime(second))
