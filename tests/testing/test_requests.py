"""Recorded requests of a test server: the raw octets, the parsed request, and the connection."""

import threading

import pytest
import requests

from httpsock import TestServer
from tests.support import connect, exchange, get, receive_answer, receive_head, reset

CHUNKED = b"POST /form HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_request_is_recorded_as_parsed_and_as_received(server: TestServer) -> None:
    server.respond("/form", 201)
    octets = b"PUT /form?a=1 HTTP/1.1\r\nHOST: x\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 3\r\n\r\nabc"

    exchange(server.port, octets)

    (request,) = server.requests
    assert (request.method, request.target, request.content) == ("PUT", "/form?a=1", b"abc")
    assert request.fields == (("host", "x"), ("x-two", "1"), ("x-two", "2"), ("content-length", "3"))
    assert (request.field("X-Two"), request.field("Range")) == ("1, 2", None)
    with pytest.raises(TypeError, match=r"^the name of a field must be a str, not a value of type bytes$"):
        request.field(b"X-Two")  # type: ignore[arg-type]
    assert (request.octets, request.is_complete, request.refusal) == (octets, True, None)
    assert request.connection.accepted <= request.began <= request.ended
    assert repr(request) == "<PUT /form?a=1 on connection 1>"


def test_chunked_content_is_recorded_decoded_and_as_received(server: TestServer) -> None:
    server.respond("/form")
    content = b"3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"

    # Send one octet at a time; the kernel may join some of them.
    with connect(server.port) as client:
        for octet in CHUNKED + content:
            client.send(bytes([octet]))
        receive_answer(client)

    assert [request.content for request in server.requests] == [b"abcde"]
    assert server.requests[0].octets == CHUNKED + content


def test_pipelined_requests_are_recorded_separately(server: TestServer) -> None:
    first, second = b"\r\n" + get("/a"), get("/b")

    exchange(server.port, first + second)

    assert [request.octets for request in server.requests] == [first, second]
    assert {request.connection.number for request in server.requests} == {1}


def test_connections_are_identified_by_number_and_address(server: TestServer) -> None:
    with requests.Session() as session:
        session.get(server.url)
        session.get(server.url)
    with connect(server.port) as client:
        client.sendall(get("/"))
        receive_answer(client)
        port = client.getsockname()[1]

    assert [request.connection.number for request in server.requests] == [1, 1, 2]
    assert server.requests[2].connection.peer == f"127.0.0.1:{port}"


def test_an_ipv6_address_stands_in_brackets() -> None:
    try:
        server = TestServer(hosts="::1")
    except OSError:
        pytest.skip("no IPv6")
    with server, connect(server.port, "::1") as client:
        client.sendall(get("/"))
        receive_answer(client)
        assert server.requests[0].connection.peer.startswith("[::1]:")


def test_content_of_a_request_for_a_file_is_recorded_before_the_response(server: TestServer) -> None:
    answer = requests.post(server.url, data=b"x" * 3_000_000, timeout=60)

    assert (answer.status_code, len(server.requests[0].content)) == (405, 3_000_000)


def test_a_malformed_request_is_recorded_with_the_reason(server: TestServer) -> None:
    exchange(server.port, b"GET / HTTP/1.1\r\nHost : x\r\n\r\n" + get("/"))

    (request,) = server.requests
    assert (request.method, request.target, request.is_complete, request.is_over) == ("", "", False, True)
    assert request.refusal
    assert (request.refusal.reason, request.refusal.section) == (
        "field line 1 has a space before its colon",
        "RFC 9112 §5.1",
    )
    assert request.octets.startswith(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")
    assert repr(request) == "<b'GET / HTTP/1.1\\r\\nHost : x\\r\\n\\r\\nGET / HTTP/1' on connection 1>"


def test_malformed_content_is_recorded_with_the_reason(server: TestServer) -> None:
    server.respond("/form")

    answer = exchange(server.port, CHUNKED + b"3\r\nabc\r\nx\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    (request,) = server.requests
    assert (request.method, request.octets) == ("POST", CHUNKED + b"3\r\nabc\r\nx\r\n")
    assert request.refusal
    assert request.refusal.reason.startswith('chunk line "x')


@pytest.mark.parametrize(("octets", "part"), [(b"GET /", "head"), (CHUNKED + b"3\r\nab", "content")])
def test_a_request_that_is_broken_off_is_recorded(server: TestServer, octets: bytes, part: str) -> None:
    server.respond("/form")
    client = connect(server.port)
    client.sendall(octets)
    reset(client)

    (request,) = server.wait_for(1)

    assert (request.octets, request.is_complete) == (octets, False)
    assert request.refusal
    assert request.refusal.reason == f"the connection ended before the {part} was complete"


def test_a_request_begins_with_its_first_octet(server: TestServer) -> None:
    with connect(server.port) as client:
        client.sendall(get("/a"))
        receive_answer(client)
        client.sendall(b"GET /b HTTP/1.1\r\n")
        client.sendall(b"Host: x\r\n\r\n")
        receive_answer(client)

    first, second = server.requests
    assert first.ended <= second.began <= second.ended


def test_a_test_waits_for_requests_of_another_thread(server: TestServer) -> None:
    assert server.wait_for(0) == []
    thread = threading.Thread(target=exchange, args=(server.port, get("/a") + get("/b")))
    thread.start()

    assert [request.target for request in server.wait_for(2)] == ["/a", "/b"]
    thread.join()


def test_waiting_in_vain_is_an_assertion_with_the_requests(server: TestServer) -> None:
    exchange(server.port, get("/a"))

    with pytest.raises(AssertionError, match=r"(?s)^1 of 2 requests arrived within 0\.01 s\n#1 .* parse GET /a\n"):
        server.wait_for(2, seconds=0.01)


@pytest.mark.parametrize(("arguments", "reason"), [((-1,), "count must be"), ((1, -1.0), "seconds must be")])
def test_a_wrong_wait_is_refused(server: TestServer, arguments: tuple[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        server.wait_for(*arguments)


def test_requests_are_described_as_the_trace_shows_them(server: TestServer) -> None:
    assert server.describe() == "no request has arrived\n"
    server.respond("/form")
    exchange(
        server.port, get("/form?token=1", "Cookie: 1", "Content-Length: 1", method="POST") + b"x" + b"\x1b \r\n\r\n"
    )

    lines = server.describe().splitlines()

    assert [line.partition("  ")[2].strip().partition("  ")[2] or line for line in lines] == [
        "parse POST /form?token=***",
        "      > POST /form?token=*** HTTP/1.1",
        "      > Host: localhost",
        "      > Cookie: ***",
        "      > Content-Length: 1",
        "      >",
        "      > (1 bytes of content)",
        "refuse 400 Bad Request",
        *lines[8:],
    ]
    assert lines[8].startswith("      ! ")
    assert r"      > \x1b" in lines


def test_the_next_test_begins_with_no_requests_and_no_answers(server: TestServer) -> None:
    server.respond(None, 418 - 1)
    exchange(server.port, get("/a"))

    server.clear()

    assert server.requests == []
    assert exchange(server.port, get("/a")).startswith(b"HTTP/1.1 404 ")


def test_a_request_for_a_tunnel_is_not_recorded(server: TestServer) -> None:
    with connect(server.port) as client:
        client.sendall(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n")
        receive_head(client)

    assert [(request.method, request.target) for request in server.requests] == [("CONNECT", "x:80")]
