r"""The access log: one response as one line, safe to print.

Takes an exchange, gives a line in one of three formats. The request line appears as received, but escaped. So it cannot
move the cursor or forge a line of the log. Credentials are masked. If the server refused the request, the line also has
the reason. The Common Log Format has an extra quoted field for the reason, at the end.

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
from httpsock.http.masking import may_have_secret

# The log shows this many characters of a valid, a malformed and a binary request line.
_MAX_VALID = 1024
_MAX_MALFORMED = 60
_MAX_BINARY = 12
# A request line without octets to escape.
_ORDINARY = rb"(?:GET|HEAD) [!#-\[\]-~]*+ HTTP/1\.[01]"
_END_OF_REQUEST_LINE = rb" HTTP/[0-9]\.[0-9]\Z"
# If a line is too long for the terminal, its request line, client and reason are shortened, to this length at least. If
# it is still too long, it loses the length and the duration.
_MIN_REQUEST_LINE = 16
_MIN_CLIENT = 12
_MIN_REASON = 16
_VERSION = r" HTTP/[0-9]\.[0-9]\Z"
# A narrower terminal has no room for the time of day.
_MIN_WIDTH_WITH_CLOCK = 60
# By the first digit of the status: red is for server errors.
_COLOURS = {2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[1;31m"}
_PLAIN = "\x1b[0m"


class Exchange(NamedTuple):
    """One response: its client, its request and its result.

    *ended* is in seconds since 1970. The response announced *length* octets of content, and *sent* octets were sent.
    *seconds* counts from the end of the request's head until the kernel took the last octet. *reason* explains an
    error, or is empty.
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


def _format_request_line(request_line: bytes) -> str:
    # Longer lines must not fill the memo.
    return (_memoised_shown if len(request_line) <= _MAX_VALID else _shown)(request_line)


def _shown(request_line: bytes) -> str:
    """Return *request_line* as text that is safe to print."""
    # Most lines can be printed as they are. To find that out takes 1 µs, and the rest of this function 10 µs.
    if re.fullmatch(_ORDINARY, request_line) and not may_have_secret(request_line, _MAX_VALID):
        text = request_line.decode("ascii")
        return text if len(text) <= _MAX_VALID else text[:_MAX_VALID] + "…"
    is_request_line = re.match(_END_OF_REQUEST_LINE, request_line[-len(b" HTTP/1.1") :])
    is_binary = any(octet < 0x20 or octet >= 0x7F for octet in request_line[:4])
    maximum = _MAX_VALID if is_request_line else _MAX_BINARY if is_binary else _MAX_MALFORMED
    return printable(request_line, maximum)


_memoised_shown = lru_cache(maxsize=256)(_shown)


class TextFormat:
    """Formats an exchange as a line for a person, in local time.

    If *width* is given, a long line is shortened to *width* columns, but its status stays. If *is_coloured* is true,
    the status has a colour.
    """

    def __init__(self, width: int | None = None, *, is_coloured: bool = False) -> None:
        self._width = width
        self._is_coloured = is_coloured

    def __call__(self, exchange: Exchange) -> str:
        """Return the line for *exchange*."""
        clock = _clock("%H:%M:%S ", int(exchange.ended))
        sent = str(exchange.sent) if exchange.sent == exchange.length else f"{exchange.sent} of {exchange.length}"
        client, request_line, reason = exchange.client, _format_request_line(exchange.request_line), exchange.reason
        status, result = f"{exchange.status:d}", f"{sent} {exchange.seconds * 1000:.1f} ms"
        rest = f" {reason}; {result}" if reason else f" {result}"
        if self._width:
            clock = clock if self._width >= _MIN_WIDTH_WITH_CLOCK else ""
            columns = self._width - len(f'{clock} "" {status}')
            client, request_line, rest = _fit(client, request_line, reason, rest, columns)
        if self._is_coloured:
            status = f"{_COLOURS.get(exchange.status // 100, '')}{status}{_PLAIN}"
        return f'{clock}{client} "{request_line}" {status}{rest}\n'


def _fit(client: str, request_line: str, reason: str, rest: str, columns: int) -> tuple[str, str, str]:
    """Return *client*, *request_line* and *rest*, shortened to *columns* characters in all. *reason* is in *rest*."""
    if len(client) + len(request_line) + len(rest) <= columns:
        return client, request_line, rest
    request_line = re.sub(_VERSION, "", request_line)
    start, end = (" ", rest.removeprefix(f" {reason}")) if reason else ("", rest)
    columns -= len(start)
    least = min(len(request_line), _MIN_REQUEST_LINE) + min(len(client), _MIN_CLIENT) + min(len(reason), _MIN_REASON)
    end = end if least + len(end) <= columns else ""
    request_line = shorten(request_line, max(_MIN_REQUEST_LINE, columns - len(client + reason + end)))
    client = shorten(client, max(_MIN_CLIENT, columns - len(request_line + reason + end)))
    reason = shorten(reason, max(1, columns - len(request_line + client + end)))
    return client, request_line, f"{start}{reason}{end}"


format_text = TextFormat()


def shorten(text: str, maximum: int) -> str:
    """Return *text*, cut to *maximum* characters. An ellipsis replaces the middle of a longer text."""
    if len(text) <= maximum:
        return text
    last = (maximum - 1) // 3
    return f"{text[: maximum - 1 - last]}…{text[len(text) - last :]}"


def format_clf(exchange: Exchange) -> str:
    """Return a line in the Common Log Format, which log analysers read."""
    day, month, rest = _clock("%d %m %Y:%H:%M:%S %z", int(exchange.ended)).split(" ", 2)
    clock = f"{day}/{MONTHS[int(month) - 1]}/{rest}"
    escaped = exchange.reason.replace('"', '\\"')
    reason = f' "{escaped}"' if escaped else ""
    request_line = _format_request_line(exchange.request_line)
    return f'{exchange.client} - - [{clock}] "{request_line}" {exchange.status:d} {exchange.sent}{reason}\n'


def format_json(exchange: Exchange) -> str:
    """Return *exchange* as a line of JSON. The time is in UTC."""
    second, fraction = divmod(exchange.ended, 1)
    members = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{int(fraction * 1000):03}Z",
        "client": exchange.client,
        "request": _format_request_line(exchange.request_line),
        "status": int(exchange.status),
        "sent": exchange.sent,
        "length": exchange.length,
        "milliseconds": round(exchange.seconds * 1000, 3),
    }
    if exchange.reason:
        members["reason"] = exchange.reason
    import json  # adds 3 ms to start-up, and is rarely needed

    return json.dumps(members) + "\n"


FORMATS: dict[str, Format] = {"text": format_text, "clf": format_clf, "json": format_json}


@lru_cache(maxsize=4)
def _clock(pattern: str, second: int) -> str:
    return time.strftime(pattern, time.localtime(second))
