"""Content of requests: the connection discards it (RFC 9112 §6, §9.3); Expect: 100-continue."""

import pytest

from tests.server.dialogue import MAX_CONTENT, Dialogue, assert_is_closed, assert_persists, chunked, post
from tests.support import get
from tests.support.folder import ALPHABET, HELLO

# --- Expect: RFC 9110 §10.1.1 ---------------------------------------------------------------------


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("PUT", 405), ("GET", 200)], ids=str)
def test_a_client_that_expects_100_gets_the_final_response_immediately(
    dialogue: Dialogue, expectation: str, method: str, status: int
) -> None:
    """After the final response, the client may omit the content.

    The server therefore closes the connection (requirements R075, R076 and R078).
    """
    dialogue.send(get("/hello.txt", f"Expect: {expectation}", "Content-Length: 30", method=method))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    dialogue.send(get("/hello.txt"))
    assert_is_closed(dialogue)


def test_a_client_that_expects_100_for_chunks_gets_the_final_response_immediately(dialogue: Dialogue) -> None:
    """The server answers before it receives the content (RFC 9110 §10.1.1, requirement R075)."""
    dialogue.send(get("/hello.txt", "Expect: 100-continue", "Transfer-Encoding: chunked", method="PUT"))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (405, "close")
    dialogue.send(b"1\r\nx\r\n0\r\n\r\n")
    assert_is_closed(dialogue)


def test_an_expectation_without_content_has_no_effect(dialogue: Dialogue) -> None:
    """The server sends only the final response (requirement R079)."""
    dialogue.send(get("/hello.txt", "Expect: 100-continue"))

    answer = dialogue.answer()

    assert (answer.content, answer.field("Connection")) == (HELLO, None)
    assert_persists(dialogue)


def test_an_expectation_in_http_1_0_is_ignored(dialogue: Dialogue) -> None:
    """The server waits for the content and sends no 100 (requirement R077)."""
    dialogue.send(
        b"GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    )
    assert dialogue.receive() == b""

    dialogue.send(b"abc")

    assert dialogue.answer().content == HELLO
    assert_persists(dialogue)


def test_an_unknown_expectation_with_content_is_refused_without_waiting(dialogue: Dialogue) -> None:
    """If a server cannot meet an expectation, it may answer 417 (RFC 9110 §10.1.1, requirement R080)."""
    dialogue.send(get("/hello.txt", "Expect: magic", "Content-Length: 3"))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (417, "close")
    assert "the only expectation supported is 100-continue (RFC 9110 §10.1.1)" in answer.text
    assert_is_closed(dialogue)


# --- Content: RFC 9112 §6, §9.3 -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_octets", "status"),
    [
        pytest.param(post(b"x" * MAX_CONTENT), 405, id="POST, as much as is read"),
        pytest.param(post(b"x" * MAX_CONTENT, method="GET"), 200, id="GET, as much as is read"),
        pytest.param(post(b"", method="GET"), 200, id="Content-Length: 0"),
        pytest.param(chunked(b"x" * MAX_CONTENT), 405, id="one chunk"),
        pytest.param(chunked(b"x" * 60, b"abcd", method="GET"), 200, id="several chunks"),
        pytest.param(post(get("/secret"), method="GET"), 200, id="R052: what looks like a request is content"),
    ],
)
def test_content_is_read_and_discarded(dialogue: Dialogue, request_octets: bytes, status: int) -> None:
    """The server finds the next request after the content (RFC 9112 §9.3, requirement R054)."""
    dialogue.send(request_octets + get("/alphabet.txt"))

    first, second = dialogue.answers()

    assert (first.status, first.field("Connection")) == (status, None)
    assert second.content == ALPHABET
    assert_persists(dialogue)


def test_a_response_waits_for_the_end_of_the_content(dialogue: Dialogue) -> None:
    dialogue.send(post(b"", method="GET").replace(b"Content-Length: 0", b"Content-Length: 2") + b"x")
    assert dialogue.receive() == b""

    dialogue.send(b"y")

    assert dialogue.answer().content == HELLO


TOO_LARGE = f"the content is longer than the limit of {MAX_CONTENT} bytes (RFC 9110 §15.5.14)"


@pytest.mark.parametrize(
    ("request_octets", "status", "sentence"),
    [
        pytest.param(
            get("/hello.txt", "Content-Length: 65"), 413, TOO_LARGE, id="413 to a GET with more content than is read"
        ),
        pytest.param(
            get("/large.bin", "Content-Length: 65"), 413, TOO_LARGE, id="413 to a GET for a file that had to be opened"
        ),
        pytest.param(get("/hello.txt", f"Content-Length: {10**17}"), 413, TOO_LARGE, id="R051: 413 to a huge length"),
        pytest.param(
            get("/x", "Content-Length: 65", method="POST"), 405, "RFC 9110 §15.5.6", id="405 comes before 413"
        ),
        pytest.param(get("/x", "Content-Length: 65"), 404, "RFC 9110 §15.5.5", id="404 comes before 413"),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"41\r\n", 413, TOO_LARGE, id="one chunk is too large"
        ),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"40\r\n" + b"x" * 64 + b"\r\n1\r\n",
            413,
            TOO_LARGE,
            id="the chunks are too large together",
        ),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"F" * 99 + b"\r\n",
            413,
            TOO_LARGE,
            id="R067: a chunk size that fits into no integer",
        ),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"1\r\nab\r\n",
            400,
            "not by CRLF (RFC 9112 §7.1)",
            id="R068: a chunk longer than its size",
        ),
        pytest.param(
            get("/hello.txt", "Transfer-Encoding: chunked") + b"0x1\r\na\r\n",
            400,
            "is not a hexadecimal size, extensions and CRLF (RFC 9112 §7.1)",
            id="R066: a malformed chunk size",
        ),
    ],
)
def test_content_that_is_too_large_or_malformed_ends_the_connection(
    dialogue: Dialogue, request_octets: bytes, status: int, sentence: str
) -> None:
    """The server must not parse octets of the content as a request (requirements R007, R043 and R054)."""
    dialogue.send(request_octets + get("/secret"))

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (status, "close")
    assert sentence in answer.text
    assert_is_closed(dialogue)


def test_too_much_content_for_a_head_is_refused_without_content(dialogue: Dialogue) -> None:
    dialogue.send(get("/hello.txt", "Content-Length: 65", method="HEAD"))

    assert dialogue.answer("HEAD").status == 413
    assert_is_closed(dialogue)


@pytest.mark.parametrize(
    "request_octets",
    [
        pytest.param(get("/hello.txt", "Content-Length: 9") + b"12345678", id="shorter than its length"),
        pytest.param(get("/hello.txt", "Transfer-Encoding: chunked") + b"1\r\nx\r\n", id="without a last chunk"),
        pytest.param(get("/hello.txt", "Transfer-Encoding: chunked") + b"0\r\n", id="without the empty line"),
    ],
)
def test_truncated_content_ends_the_connection(dialogue: Dialogue, request_octets: bytes) -> None:
    """The server must not process a request with incomplete content (RFC 9112 §8, requirement R053)."""
    dialogue.send(request_octets)
    dialogue.end_our_side()

    answer = dialogue.answer()

    assert (answer.status, answer.field("Connection")) == (400, "close")
    assert "the connection ended before the content was complete (RFC 9112 §8)" in answer.text
    assert not dialogue.is_open
