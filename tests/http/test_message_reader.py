"""The message reader, which both parsers use: each framing error becomes a request error or a response error."""

from typing import NamedTuple

import pytest

from httpsock.http.framing import ContentLimits, FramingError, FramingFault
from httpsock.http.message_reader import Pause
from httpsock.http.messages import RequestError
from httpsock.http.request_parser import Limits, RequestParser
from httpsock.http.response_parser import IncompleteError, ResponseError, ResponseLimits, ResponseParser
from tests.support.rows import each_row

CONTENT = ContentLimits(content=5, trailers=9)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Row(NamedTuple):
    """A kind of framing error, a message with this error, and the error texts of both parsers.

    The message lacks its start line.
    """

    kind: FramingFault
    octets: bytes
    of_request: str
    of_response: str
    minor_version: int = 1


ROWS = [
    Row(
        FramingFault.MALFORMED,
        b"A : b\r\n\r\n",
        "400 Bad Request: field line 2 has a space before its colon (RFC 9112 §5.1)",
        "field line 2 has a space before its colon (RFC 9112 §5.1)",
    ),
    Row(
        FramingFault.INCOMPLETE,
        b"Content-Length: 2\r\n\r\na",
        "400 Bad Request: the connection ended before the content was complete (RFC 9112 §8)",
        "the connection ended after 1 of 2 bytes of content (RFC 9112 §8)",
    ),
    Row(
        FramingFault.LENGTH_TOO_LARGE,
        b"Content-Length: " + b"9" * 19 + b"\r\n\r\n",
        "413 Content Too Large: Content-Length has 19 digits (RFC 9110 §8.6)",
        "Content-Length has 19 digits (RFC 9110 §8.6)",
    ),
    Row(
        FramingFault.CONTENT_TOO_LARGE,
        CHUNKED + b"6\r\n",
        "413 Content Too Large: the content is longer than the limit of 5 bytes (RFC 9110 §15.5.14)",
        "the content is longer than 5 bytes (RFC 9110 §8.6)",
    ),
    Row(
        FramingFault.TRAILERS_TOO_LARGE,
        CHUNKED + b"0\r\nA: bcdefg\r\n",
        "431 Request Header Fields Too Large: the trailer section is longer than 9 bytes (RFC 9112 §7.1.2)",
        "the trailer section is longer than 9 bytes (RFC 9112 §7.1.2)",
    ),
    Row(
        FramingFault.CODED_IN_1_0,
        CHUNKED,
        "400 Bad Request: Transfer-Encoding in an HTTP/1.0 request (RFC 9112 §6.1)",
        "there is Transfer-Encoding in an HTTP/1.0 response (RFC 9112 §6.1)",
        minor_version=0,
    ),
    Row(
        FramingFault.FRAMED_TWICE,
        b"Content-Length: 5\r\n" + CHUNKED,
        "400 Bad Request: both Transfer-Encoding and Content-Length (RFC 9112 §6.1)",
        "there are both Transfer-Encoding and Content-Length (RFC 9112 §6.3)",
    ),
    Row(
        FramingFault.UNFRAMED,
        b"Transfer-Encoding: chunked, chunked\r\n\r\n",
        '400 Bad Request: Transfer-Encoding "chunked, chunked" applies chunked twice (RFC 9112 §6.1)',
        'Transfer-Encoding is "chunked, chunked"; only chunked is supported (RFC 9112 §7.4)',
    ),
    Row(
        FramingFault.UNKNOWN_CODING,
        b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        '501 Not Implemented: Transfer-Encoding "gzip, chunked" has a coding that is not implemented (RFC 9112 §6.1)',
        'Transfer-Encoding is "gzip, chunked"; only chunked is supported (RFC 9112 §7.4)',
    ),
]
each_kind = each_row("row", ROWS, ids=lambda row: row.kind.name)


def read(parser: RequestParser | ResponseParser, octets: bytes) -> None:
    """Feed *octets* and the end of the connection to *parser*. Read all events."""
    for piece in (octets, b""):
        parser.receive(piece)
        while not isinstance(parser.next_event(), Pause):
            pass


def test_the_table_has_each_kind_of_framing_error() -> None:
    assert [row.kind for row in ROWS] == list(FramingFault)


@each_kind
def test_a_framing_error_of_a_request_becomes_a_request_error(row: Row) -> None:
    start = b"POST / HTTP/1.%d\r\nHost: a\r\n" % row.minor_version
    with pytest.raises(RequestError) as caught:
        read(RequestParser(Limits(content=CONTENT)), start + row.octets)
    assert str(caught.value) == row.of_request
    assert kind_behind(caught.value) is row.kind


@each_kind
def test_a_framing_error_of_a_response_becomes_a_response_error(row: Row) -> None:
    parser = ResponseParser(ResponseLimits(content=CONTENT))
    parser.expect("GET")
    start = b"HTTP/1.%d 200 OK\r\nServer: a\r\n" % row.minor_version
    with pytest.raises(ResponseError) as caught:
        read(parser, start + row.octets)
    assert str(caught.value) == row.of_response
    assert kind_behind(caught.value) is row.kind
    assert isinstance(caught.value, IncompleteError) is (row.kind is FramingFault.INCOMPLETE)


def kind_behind(error: Exception) -> FramingFault:
    """Return the kind of the FramingError that caused *error*."""
    assert isinstance(error.__context__, FramingError)
    return error.__context__.kind
