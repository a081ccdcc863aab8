"""Drivers for other parsers: read the corpus as JSON from standard input, and write the verdicts of one parser.

    python3 drivers.py NAME < corpus.json > verdicts.json

This is a separate script. It runs in the Python environment of the parser and needs only the parser's library. In a
verdict, *accepted* has the method and the content length of each accepted request. *refused* is the reason of a
refusal, or None. If the octets end within a request, this counts as a refusal.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

Accepted = list[tuple[str, int]]
_RECEIVE = 1 << 16
_UNDOCUMENTED = "an undocumented exception: "


def read_by_h11(octets: bytes) -> tuple[Accepted, str | None]:
    """Return the verdict of h11: the accepted requests, and the reason of a refusal or None."""
    h11: Any = import_module("h11")
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(octets)
    connection.receive_data(b"")
    accepted: Accepted = []
    method, length = "", 0
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                method, length = event.method.decode("ascii"), 0
            elif isinstance(event, h11.Data):
                length += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                accepted.append((method, length))
                answer = h11.Response(status_code=404, headers=[(b"Content-Length", b"0")])
                connection.send(answer)
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return accepted, None
                connection.start_next_cycle()
            else:
                return accepted, None
    except h11.RemoteProtocolError as error:
        return accepted, str(error)


class _Collector:
    """Callbacks for httptools. They collect the accepted requests."""

    def __init__(self) -> None:
        self.accepted: Accepted = []
        self.parser: Any = None
        self.is_open = False
        self._length = 0

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.is_open, self._length = True, 0

    def on_body(self, content: bytes) -> None:
        """Count the octets of the content."""
        self._length += len(content)

    def on_message_complete(self) -> None:
        """Finish a request."""
        self.is_open = False
        self.accepted.append((self.parser.get_method().decode("ascii"), self._length))


def read_by_httptools(octets: bytes) -> tuple[Accepted, str | None]:
    """Return the verdict of httptools, which wraps Node's parser llhttp."""
    httptools: Any = import_module("httptools")
    collector = _Collector()
    collector.parser = httptools.HttpRequestParser(collector)
    try:
        collector.parser.feed_data(octets)
    except httptools.HttpParserUpgrade:
        return collector.accepted, None
    except httptools.HttpParserError as error:
        return collector.accepted, str(error) or type(error).__name__
    return collector.accepted, "the end within a request" if collector.is_open else None


def read_by_aiohttp(octets: bytes) -> tuple[Accepted, str | None]:
    """Return the verdict of aiohttp's parser."""
    return asyncio.run(_read_by_aiohttp(octets))


async def _read_by_aiohttp(octets: bytes) -> tuple[Accepted, str | None]:
    parsers: Any = import_module("aiohttp.http_parser")
    protocol: Any = import_module("aiohttp.base_protocol").BaseProtocol
    loop = asyncio.get_running_loop()
    parser = parsers.HttpRequestParser(protocol(loop), loop, _RECEIVE)
    try:
        messages, _, _ = parser.feed_data(octets)
    except Exception as error:
        return [], f"{type(error).__name__}: {error}"
    accepted: Accepted = []
    for message, payload in messages:
        if payload.exception() is not None:
            return accepted, str(payload.exception())
        if not payload.is_eof():
            return accepted, "the end within a request"
        content = await payload.read()
        accepted.append((message.method, len(content)))
        if message.should_close:
            return accepted, None
    if not messages and octets.strip(b"\r\n"):
        return accepted, "the end within a head"
    return accepted, None


def read_by_gunicorn(octets: bytes) -> tuple[Accepted, str | None]:
    """Return the verdict of Gunicorn's parser."""
    parser: Any = import_module("gunicorn.http.parser").RequestParser
    config: Any = import_module("gunicorn.config").Config()
    accepted: Accepted = []
    try:
        for request in parser(config, iter([octets]), ("127.0.0.1", 1)):
            content = request.body.read()
            accepted.append((request.method, len(content)))
            if request.should_close():
                break
    except Exception as error:
        # gunicorn's errors have no common base class; some are OSErrors.
        return accepted, f"{type(error).__name__}: {error}"
    return accepted, None


def read_by_waitress(octets: bytes) -> tuple[Accepted, str | None]:
    """Return the verdict of Waitress's parser."""
    parsers: Any = import_module("waitress.parser")
    settings: Any = import_module("waitress.adjustments").Adjustments()
    accepted: Accepted = []
    while octets:
        parser = parsers.HTTPRequestParser(settings)
        consumed = parser.received(octets)
        while not parser.completed and consumed < len(octets) and (more := parser.received(octets[consumed:])):
            consumed += more
        octets = octets[consumed:]
        if parser.error is not None:
            return accepted, str(parser.error.body)
        if not parser.completed:
            return accepted, "the end within a request" if parser.headers or parser.header_plus else None
        if not parser.empty:
            body = parser.get_body_stream().read()
            accepted.append((parser.command, len(body)))
            if parser.connection_close:
                break
    return accepted, None


DRIVERS: dict[str, Callable[[bytes], tuple[Accepted, str | None]]] = {
    "h11": read_by_h11,
    "httptools": read_by_httptools,
    "aiohttp": read_by_aiohttp,
    "gunicorn": read_by_gunicorn,
    "waitress": read_by_waitress,
}


def main(name: str) -> None:
    """Read the corpus from standard input. Write the verdicts of the parser *name* to standard output."""
    verdicts = {}
    for case in json.load(sys.stdin):
        try:
            accepted, refused = DRIVERS[name](base64.b64decode(case["octets"]))
        except Exception as error:
            # An undocumented exception is a fault of the library: report it as this case's refusal.
            accepted, refused = [], f"{_UNDOCUMENTED}{type(error).__name__}: {error}"
        verdicts[case["name"]] = {"accepted": accepted, "refused": refused}
    json.dump(verdicts, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
