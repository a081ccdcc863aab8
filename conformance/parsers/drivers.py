r"""Drivers for two parsers: httpsock's parser, which is under test, and h11, the oracle.

A driver gives the parser the octets of a client, in any number of parts, and then the end of input. It returns a
ParseResult. It does not know the tables of the corpus. To add another parser, write one function here and add it to
PARSERS.

    b"GET / HTTP/1.1\r\n...", ... --> read_by_httpsock() --> ParseResult(requests, refusal, status, crash)
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import h11

from httpsock import Limits
from httpsock.http.message_reader import Content, EndOfContent, Pause
from httpsock.http.messages import Request, RequestError
from httpsock.http.request_parser import RequestParser
from httpsock.http.response_parser import ResponseError, ResponseHead, ResponseLimits, ResponseParser

from .results import ParsedRequest, ParseResult

# The status is not 2xx, since that would open a tunnel if the request is CONNECT.
_RESPONSE = h11.Response(status_code=404, headers=[("Content-Length", "0")])


def read_by_httpsock(*parts: bytes, is_ended: bool = True) -> ParseResult:
    """Parse *parts* with httpsock's parser and its default limits.

    If *is_ended* is false, the parser does not receive the end of input.
    """
    requests: list[ParsedRequest] = []
    try:
        _read_by_httpsock((*parts, b"") if is_ended else parts, requests)
    except RequestError as error:
        return ParseResult(tuple(requests), str(error), int(error.refusal.status))
    except Exception as error:  # a defect of the parser, which the fuzzer reports
        return ParseResult(tuple(requests), crash=f"httpsock raised {error!r}")
    return ParseResult(tuple(requests))


def _read_by_httpsock(parts: tuple[bytes, ...], requests: list[ParsedRequest]) -> None:
    """Parse *parts*. Append each complete request to *requests*."""
    parser = RequestParser(Limits())
    request: Request | None = None
    content: list[bytes] = []
    received = 0
    for part in parts:
        parser.receive(part)
        received += len(part)
        while not isinstance(event := parser.next_event(), Pause):
            if isinstance(event, Content):
                content.append(event.octets)
                continue
            if isinstance(event, Request):
                request, content = event, []
                if request.content_length != 0:
                    continue
            if request is not None:
                requests.append(_parsed(request, b"".join(content), received - len(parser.unread)))
                if requests[-1].closes:
                    return


def _parsed(request: Request, content: bytes, stop: int) -> ParsedRequest:
    target = request.target
    fields = tuple(_field(name, value) for name, value in request.field_lines)
    closes = not request.is_persistent
    return ParsedRequest(request.method.encode(), target.path, target.query, fields, content, stop, closes)


class ResponsesRead(NamedTuple):
    """The number of complete *responses* in some octets. *refusal* is the reason if the parser refused the rest."""

    responses: int
    refusal: str | None = None


def read_responses_by_httpsock(octets: bytes, method: str) -> ResponsesRead:
    """Parse *octets* as answers to requests with *method*. Use the parser of httpsock's client. More octets may follow.

    The number includes interim responses. Octets behind a connection's last response are ignored.
    """
    parser = ResponseParser(ResponseLimits())
    parser.expect(method)
    parser.receive(octets)
    count = 0
    try:
        while not isinstance(event := parser.next_event(), Pause):
            count += isinstance(event, EndOfContent) or (isinstance(event, ResponseHead) and event.is_interim)
            if isinstance(event, EndOfContent):
                rest, parser.unread = parser.unread, b""
                if not rest or not parser.is_reusable:
                    break
                parser.expect(method)
                parser.receive(rest)
    except ResponseError as error:
        return ResponsesRead(count, str(error))
    return ResponsesRead(count)


def read_by_h11(*parts: bytes) -> ParseResult:
    """Parse *parts* with h11 in the role of a server, which answers each complete request."""
    requests: list[ParsedRequest] = []
    try:
        _read_by_h11(parts, requests)
    except h11.RemoteProtocolError as error:
        return ParseResult(tuple(requests), str(error), error.error_status_hint)
    except Exception as error:  # a defect of h11
        return ParseResult(tuple(requests), crash=f"h11 raised {error!r}")
    return ParseResult(tuple(requests))


def _read_by_h11(parts: tuple[bytes, ...], requests: list[ParsedRequest]) -> None:
    """Parse *parts*. Append each complete request to *requests*."""
    connection = h11.Connection(h11.SERVER)
    request: h11.Request | None = None
    content: list[bytes] = []
    received = 0
    for part in (*parts, b""):
        connection.receive_data(part)
        received += len(part)
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Request):
                request, content = event, []
            elif isinstance(event, h11.Data):
                content.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                stop = received - len(connection.trailing_data[0])
                closes = not _answer(connection)
                path, query = _path_and_query(bytes(request.method), bytes(request.target))
                fields = tuple(_field(bytes(name), bytes(value)) for name, value in request.headers)
                method, octets = bytes(request.method), b"".join(content)
                requests.append(ParsedRequest(method, path, query, fields, octets, stop, closes))
                if closes:
                    return
            else:
                return


PARSERS: Mapping[str, Callable[..., ParseResult]] = {"httpsock": read_by_httpsock, "h11": read_by_h11}


def _answer(connection: h11.Connection) -> bool:
    """Send a response. Return whether the connection accepts another request."""
    connection.send(_RESPONSE)
    connection.send(h11.EndOfMessage())
    if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
        return False
    connection.start_next_cycle()
    return True


def _path_and_query(method: bytes, request_target: bytes) -> tuple[bytes, bytes | None]:
    """Split a request-target into path and query, since h11 does not. For authority-form, the path is empty.

    RFC 9112 §3.2.4: OPTIONS in absolute-form without path and query refers to the entire server.
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
    """Return a field in the form in which results are compared. Transfer codings are in lower case, as in h11."""
    return name, value.lower() if name == b"transfer-encoding" else value
