"""Readings: what httpsock's parser and h11 make of the same octets, to the last field and octet of content.

Where judges counts, for a table that people read, this compares: two readings are equal only if both readers took
the same requests, from the same octets, with the same method, target, fields and content, and both refuse what
follows or neither does. Where they part, a Difference holds the octets from there on.
"""

from typing import NamedTuple

import h11

from httpsock import Limits
from httpsock.http.messages import Request, RequestError
from httpsock.http.request_parser import Content, Pause, RequestParser


class Whole(NamedTuple):
    """One request, whole; *stop* is where the octets end that it was read from, *closes* if it is the last one."""

    method: bytes
    path: bytes
    query: bytes | None
    fields: tuple[tuple[bytes, bytes], ...]
    content: bytes
    stop: int
    closes: bool


class Reading(NamedTuple):
    """The *requests* in some octets, the *refusal* of what is none, and the *crash* of a reader that did neither."""

    requests: tuple[Whole, ...]
    refusal: str | None = None
    crash: str | None = None


class Difference(NamedTuple):
    """Where two readings part: *octets* are those from the end of the last request on that both agree on.

    *ours* and *theirs* is the request that each reader took next; without one it refused, or came to the end.
    """

    octets: bytes
    ours: Whole | None
    our_refusal: str | None
    theirs: Whole | None
    their_refusal: str | None

    @property
    def direction(self) -> str:
        """Who refuses, as differences.toml says it."""
        if self.our_refusal is not None:
            return "httpsock refuses"
        return "h11 refuses" if self.their_refusal is not None else "neither refuses"


def read_by_httpsock(octets: bytes) -> Reading:
    """Return what httpsock's parser, with its default limits, reads in *octets*."""
    requests: list[Whole] = []
    try:
        _read_by_httpsock(octets, requests)
    except RequestError as error:
        return Reading(tuple(requests), str(error))
    except Exception as error:  # what a reader may not do is what is looked for
        return Reading(tuple(requests), None, f"httpsock raised {error!r}")
    return Reading(tuple(requests))


def _read_by_httpsock(octets: bytes, requests: list[Whole]) -> None:
    """Add the requests in *octets* to *requests*."""
    parser = RequestParser(Limits())
    request: Request | None = None
    content: list[bytes] = []
    for part in (octets, b""):
        parser.receive(part)
        while not isinstance(event := parser.next_event(), Pause):
            if isinstance(event, Content):
                content.append(event.octets)
                continue
            if isinstance(event, Request):
                request, content = event, []
                if request.content_length != 0:
                    continue
            if request is not None:
                requests.append(_whole(request, b"".join(content), len(octets) - len(parser.unread)))
                if requests[-1].closes:
                    return


def _whole(request: Request, content: bytes, stop: int) -> Whole:
    target = request.target
    fields = tuple(_field(name, value) for name, value in request.field_lines)
    return Whole(request.method.encode(), target.path, target.query, fields, content, stop, not request.is_persistent)


def read_by_h11(octets: bytes) -> Reading:
    """Return what h11, in the role of a server that answers each request at once, reads in *octets*."""
    requests: list[Whole] = []
    try:
        _read_by_h11(octets, requests)
    except h11.RemoteProtocolError as error:
        return Reading(tuple(requests), str(error))
    except Exception as error:  # the same
        return Reading(tuple(requests), None, f"h11 raised {error!r}")
    return Reading(tuple(requests))


def _read_by_h11(octets: bytes, requests: list[Whole]) -> None:
    """Add the requests in *octets* to *requests*."""
    connection = h11.Connection(h11.SERVER)
    request: h11.Request | None = None
    content: list[bytes] = []
    for part in (octets, b""):
        connection.receive_data(part)
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Request):
                request, content = event, []
            elif isinstance(event, h11.Data):
                content.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                stop = len(octets) - len(connection.trailing_data[0])
                closes = not _answer(connection)
                path, query = _path_and_query(bytes(request.method), bytes(request.target))
                fields = tuple(_field(bytes(name), bytes(value)) for name, value in request.headers)
                requests.append(Whole(bytes(request.method), path, query, fields, b"".join(content), stop, closes))
                if closes:
                    return
            else:
                return


_RESPONSE = h11.Response(status_code=404, headers=[("Content-Length", "0")])


def _answer(connection: h11.Connection) -> bool:
    """Send some answer, and return whether the connection waits for another request."""
    connection.send(_RESPONSE)
    connection.send(h11.EndOfMessage())
    if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
        return False
    connection.start_next_cycle()
    return True


def _path_and_query(method: bytes, request_target: bytes) -> tuple[bytes, bytes | None]:
    """Return path and query of *request_target*, which h11 leaves whole; a host and port alone have neither.

    RFC 9112 §3.2.4: an OPTIONS with neither path nor query is for the server as a whole.
    """
    before_query, mark, query = request_target.partition(b"?")
    scheme, separator, rest = before_query.partition(b"://")
    if separator and b"/" not in scheme:
        if method == b"OPTIONS" and not mark and b"/" not in rest:
            return b"*", None
        before_query = b"/" + rest.partition(b"/")[2]
    elif not (before_query.startswith(b"/") or before_query == b"*"):
        return b"", None
    return before_query, query if mark else None


def _field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a field as readings compare it: h11 gives the names of codings in lower case, and they ignore case."""
    return name, value.lower() if name == b"transfer-encoding" else value


def find_difference(octets: bytes, ours: Reading, theirs: Reading) -> Difference | None:
    """Return where two readings of *octets* part, or None if they don't."""
    agreed = 0
    for our_request, their_request in zip(ours.requests, theirs.requests, strict=False):
        if our_request != their_request:
            break
        agreed += 1
    our_next = ours.requests[agreed] if agreed < len(ours.requests) else None
    their_next = theirs.requests[agreed] if agreed < len(theirs.requests) else None
    our_refusal = None if our_next else ours.refusal
    their_refusal = None if their_next else theirs.refusal
    if our_next == their_next and (our_refusal is None) == (their_refusal is None):
        return None
    start = ours.requests[agreed - 1].stop if agreed else 0
    return Difference(octets[start:], our_next, our_refusal, their_next, their_refusal)
