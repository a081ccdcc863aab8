"""h11 as a client: a second opinion on a server's responses."""

import re
from collections.abc import Sequence

import h11

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def faults_by_h11_client(octets: bytes, methods: Sequence[str]) -> list[str]:
    """Parse a server's responses with h11 and return the faults. *methods* are the methods of the requests.

    A missing response is not a fault here. Octets after the last response are a fault.
    """
    for count, method in enumerate(methods, 1):
        if not octets:
            return []
        connection = h11.Connection(h11.CLIENT)
        asked = method if _TOKEN.fullmatch(method) else "GET"
        connection.send(h11.Request(method=asked, target="*", headers=[("Host", "localhost")]))
        connection.send(h11.EndOfMessage())
        try:
            connection.receive_data(octets)
            rest = _rest_after_response(connection)
            if rest is None:
                connection.receive_data(b"")
                rest = _rest_after_response(connection) or b""
        except h11.RemoteProtocolError as error:
            return [f"h11 on response {count}: {error}"]
        octets = rest
    return ["h11: octets follow the last response"] if octets else []


def _rest_after_response(connection: h11.Connection) -> bytes | None:
    """Return the octets after the first response. If the response is still incomplete, return None."""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.EndOfMessage):
            return connection.trailing_data[0]
        if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            return b""
