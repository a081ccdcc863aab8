"""Malformed requests: the server refuses each with the right reason, and answers no later request.

Each row of the tables is sent in three ways. First the client sends only the row. Then the client sends the row and a
valid request together. Finally the parser gets the row octet by octet.
"""

import socket

import pytest

from httpsock import Limits, Server
from httpsock.http.messages import Refusal
from tests.http.malformed import (
    FIELD_LINES,
    HEAD,
    HOSTS,
    LIMITS,
    LINE_ENDS,
    OTHER_PROTOCOLS,
    POISON,
    REQUEST_LINES,
    TARGETS,
    VERSIONS,
    Row,
    chunked,
    framed,
)
from tests.http.malformed_content import CHUNKS, CONTENT_LENGTHS, TRAILERS, TRANSFER_ENCODINGS
from tests.http.parsing import outcome_of_pieces
from tests.support import Answer, connect, read_answer, read_answers, receive_all
from tests.support.rows import each_row

ROWS = [
    *REQUEST_LINES,
    *VERSIONS,
    *TARGETS,
    *HOSTS,
    *FIELD_LINES,
    *LINE_ENDS,
    *CONTENT_LENGTHS,
    *TRANSFER_ENCODINGS,
    *CHUNKS,
    *TRAILERS,
    *LIMITS,
    *OTHER_PROTOCOLS,
]
each_malformed = each_row("row", [pytest.param(row, id=row.name) for row in ROWS])


def only_answer(port: int, octets: bytes) -> Answer:
    """Send *octets* and return the only answer. Assert that the server closes without a reset."""
    with connect(port) as client:
        client.sendall(octets)
        received = receive_all(client)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    answer, rest = read_answer(received)
    assert rest == b""
    return answer


def refusal_of(parts: list[bytes]) -> Refusal:
    """Feed *parts* one by one to a parser and return its refusal."""
    *_, refusal = outcome_of_pieces(parts, Limits())
    assert isinstance(refusal, Refusal)
    return refusal


def assert_refused(answer: Answer, row: Row) -> None:
    """Assert that *answer* is the expected refusal of *row* and has Connection: close."""
    assert answer.status == row.status
    assert answer.field("Connection") == "close"
    assert answer.field("Content-Type") == "text/plain; charset=utf-8"
    assert answer.text.startswith(f"{answer.status} {answer.phrase}: ")
    assert row.reason in answer.text
    assert answer.text.endswith(f"{row.section})\n")


@each_malformed
def test_a_malformed_request_is_refused_immediately_and_the_connection_ends(server: Server, row: Row) -> None:
    assert_refused(only_answer(server.port, row.octets), row)


@each_malformed
def test_a_request_after_a_malformed_one_is_not_answered(server: Server, row: Row) -> None:
    assert_refused(only_answer(server.port, row.octets + POISON), row)


@each_malformed
def test_the_refusal_is_the_same_octet_by_octet(row: Row) -> None:
    refusal = refusal_of([bytes([octet]) for octet in row.octets])
    assert refusal.status == row.status
    assert row.reason in refusal.reason
    assert refusal.section.endswith(row.section)
    assert refusal == refusal_of([row.octets])
    assert refusal == refusal_of([row.octets + POISON])


def test_each_name_in_the_table_is_unique() -> None:
    names = [(row.name, row.octets) for row in ROWS]
    assert len(names) == len(set(names)) > 120


@each_row(
    ("octets", "reason"),
    [
        pytest.param(b"GET", "the head", id="R053: within the method"),
        pytest.param(b"GET / HTTP/1.1\r\n", "the head", id="R053: after the request line"),
        pytest.param(HEAD, "the head", id="R053: before the empty line"),
        pytest.param(HEAD + b"\r", "the head", id="R053: within the empty line"),
        pytest.param(framed(b"Content-Length: 6"), "the content", id="R053: one octet less than Content-Length"),
        pytest.param(chunked(b""), "the content", id="R053: before the first chunk"),
        pytest.param(chunked(b"5"), "the content", id="R053: within a chunk size"),
        pytest.param(chunked(b"5\r\nhell"), "the content", id="R053: within chunk data"),
        pytest.param(chunked(b"5\r\nhello\r"), "the content", id="R053: within the CRLF after chunk data"),
        pytest.param(chunked(b"5\r\nhello\r\n"), "the content", id="R053: before the last chunk"),
        pytest.param(chunked(b"0\r\n"), "the content", id="R053: before the end of the trailers"),
        pytest.param(chunked(b"0\r\nX: y"), "the content", id="R053: within a trailer"),
    ],
)
def test_a_truncated_request_is_refused(server: Server, octets: bytes, reason: str) -> None:
    with connect(server.port) as client:
        client.sendall(octets)
        client.shutdown(socket.SHUT_WR)
        (answer,) = read_answers(receive_all(client))
    sentence = f"400 Bad Request: the connection ended before {reason} was complete (RFC 9112 §8)\n"
    assert (answer.status, answer.field("Connection"), answer.text) == (400, "close", sentence)


def test_content_above_the_limit_is_refused_unread(server: Server) -> None:
    octets = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n" + POISON
    answer = only_answer(server.port, octets)
    assert (answer.status, answer.field("Connection")) == (413, "close")
    assert answer.text.endswith("longer than the limit of 1048576 bytes (RFC 9110 §15.5.14)\n")
