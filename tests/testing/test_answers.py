"""Answers of a test server: files, responses, handlers, a different answer for each request, and raw octets."""

import inspect
import socket
from typing import Any

import pytest

from httpsock import Server, TestServer
from httpsock.http.handler import Context, Steps
from httpsock.http.messages import Request, Response, Sleep, Stream
from httpsock.testing.exact import Exact
from httpsock.testing.server import Settings
from tests.support import connect, exchange, get, read_answers, receive_all, receive_answer, receive_head

OCTETS = b"HTTP/1.1 299 Odd\r\nContent-Length: 5\r\n\r\nhel"


def test_files_of_its_temporary_folder_are_served_until_it_stops() -> None:
    with TestServer() as server:
        (server.folder / "hello.txt").write_text("hello")
        assert b"\r\n\r\nhello" in exchange(server.port, get("/hello.txt"))
        assert server.url_for("/hello.txt") == f"http://127.0.0.1:{server.port}/hello.txt"

    assert not server.folder.exists()


def test_a_response_answers_its_path_with_any_query(server: TestServer) -> None:
    server.respond("/x", 503, {"Retry-After": "1"}, "später")

    first, second, other = read_answers(exchange(server.port, get("/x") + get("/x?a=1") + get("/y")))

    assert (first.status, first.field("Retry-After"), first.text) == (503, "1", "später")
    assert second == first
    assert other.status == 404


@pytest.mark.parametrize("status", [299, 418, 599])
def test_a_status_may_be_one_that_no_rfc_defines(server: TestServer, status: int) -> None:
    server.respond("/x", status, content="x")

    (answer,) = read_answers(exchange(server.port, get("/x")))

    assert (answer.status, answer.phrase, answer.content) == (status, "Unassigned", b"x")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(199, "from 200 to 599, not 199"), (600, "from 200 to 599, not 600"), (205, "205 has a framing of its own")],
)
def test_an_invalid_status_is_refused(server: TestServer, status: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        server.respond("/x", status)


def test_the_most_exact_answer_counts(server: TestServer) -> None:
    server.respond(None, content=b"any")
    server.respond("/x", content=b"path")
    server.respond("/x?a=1", content=b"query")

    answers = read_answers(exchange(server.port, get("/x?a=1") + get("/x?a=2") + get("/y")))

    assert [answer.content for answer in answers] == [b"query", b"path", b"any"]


def test_several_answers_come_in_turn_and_the_last_one_stays(server: TestServer) -> None:
    server.answer("/x", Response(503), Response(200, (), b"at last"))

    answers = read_answers(exchange(server.port, get("/x") * 3))

    assert [answer.status for answer in answers] == [503, 200, 200]


def test_a_response_comes_after_the_content_for_which_100_was_sent(server: TestServer) -> None:
    server.respond("/x", 201)
    with connect(server.port) as client:
        client.sendall(get("/x", "Expect: 100-continue", "Content-Length: 3", method="PUT"))
        assert receive_head(client) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert receive_answer(client).status == 201

    assert server.requests[0].content == b"abc"


def test_a_handler_answers_at_once_or_in_steps(server: TestServer) -> None:
    def at_once(request: Request, context: Context) -> Response:
        return Response(200, (), request.method.encode())

    def in_steps(request: Request, context: Context) -> Steps[Response]:
        return Response(200, (), (yield from context.read_content()))

    server.answer("/at-once", at_once)
    server.answer("/in-steps", in_steps)
    post = [get(path, "Content-Length: 3", method="POST") + b"abc" for path in ("/at-once", "/in-steps")]

    answers = read_answers(exchange(server.port, b"".join(post) + get("/at-once")))

    assert [answer.content for answer in answers] == [b"POST", b"abc", b"GET"]
    assert [request.content for request in server.requests] == [b"abc", b"abc", b""]


def test_a_handler_replaces_the_folder() -> None:
    with TestServer(handler=lambda request, context: Response(200, (), b"own")) as server:
        assert b"\r\n\r\nown" in exchange(server.port, get("/x"))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_exact_octets_are_sent_without_any_others(server: TestServer, method: str) -> None:
    server.send_octets(OCTETS)

    assert exchange(server.port, get("/x", method=method) * 2) == OCTETS


def test_a_persistent_connection_answers_the_next_request(server: TestServer) -> None:
    server.send_octets(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", then="keep", path="/odd")

    with connect(server.port) as client:
        client.sendall(get("/odd"))
        assert receive_head(client) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        client.sendall(get("/x"))
        assert receive_answer(client).status == 404


def test_pipelined_requests_are_answered_out_of_order(server: TestServer) -> None:
    """A response does not contain the request's path, so the client cannot notice the wrong order."""
    server.respond("/first", content=b"second")
    server.respond("/second", content=b"first")

    answers = read_answers(exchange(server.port, get("/first") + get("/second")))

    assert [answer.content for answer in answers] == [b"second", b"first"]


def test_a_reset_follows_the_octets(server: TestServer) -> None:
    server.send_octets(OCTETS, then="reset")

    with connect(server.port) as client:
        client.sendall(get("/x"))
        with pytest.raises(ConnectionResetError):
            receive_all(client)


def test_a_stalled_connection_ends_with_the_client_or_the_server(server: TestServer) -> None:
    server.send_octets(OCTETS, then="stall")
    gone, waiting, pipelining = connect(server.port), connect(server.port), connect(server.port)
    for client in (gone, waiting, pipelining):
        client.sendall(get("/x"))
        received = b""
        while received != OCTETS:
            received += client.recv(1)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(20)
    gone.shutdown(socket.SHUT_WR)
    assert gone.recv(1) == b""
    pipelining.sendall(get("/y"))

    server.stop()

    assert waiting.recv(1) == b""
    with pytest.raises(ConnectionResetError):
        receive_all(pipelining)
    for client in (gone, waiting, pipelining):
        client.close()


def test_octets_come_in_parts_with_pauses_between_them(server: TestServer) -> None:
    server.send_octets((b"HTTP/1.1 200 ", Sleep(0.05), b"OK\r\n\r\n"))

    with connect(server.port) as client:
        client.sendall(get("/x"))
        assert client.recv(100) == b"HTTP/1.1 200 "
        assert receive_all(client) == b"OK\r\n\r\n"


def test_more_octets_than_the_kernel_takes_are_all_sent(server: TestServer) -> None:
    server.send_octets(b"x" * 20_000_000)

    with connect(server.port, buffer_octets=4096) as client:
        client.sendall(get("/x"))
        assert receive_all(client) == b"x" * 20_000_000


def test_a_stop_does_not_wait_for_a_client_that_leaves_its_side_open(server: TestServer) -> None:
    server.send_octets(OCTETS)

    with connect(server.port) as client:
        client.sendall(get("/x"))
        assert receive_all(client) == OCTETS
        server.stop()


def test_a_large_file_is_sent_whole(server: TestServer) -> None:
    (server.folder / "large.bin").write_bytes(b"x" * 3_000_000)

    with connect(server.port) as client:
        client.sendall(get("/large.bin"))
        assert len(receive_answer(client).content) == 3_000_000


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(Response(200, (("Trailer", "x"),)), "the field Trailer is set by each", id="own field"),
        pytest.param(Response(200, (), Stream(iter(()))), "a Stream can be sent only once", id="stream"),
        pytest.param(Exact(b"", "burst"), "then must be one of close, reset, keep, stall", id="then"),  # type: ignore[arg-type]
        pytest.param(Exact("text"), "exact octets must be bytes", id="text"),  # type: ignore[arg-type]
        pytest.param(Exact((Sleep(-1.0),)), "the seconds of a Sleep must be from 0", id="pause"),
        pytest.param("text", "an answer must be a Response, a handler or Exact", id="not an answer"),
    ],
)
def test_an_answer_that_cannot_be_sent_is_refused(server: TestServer, answer: Response, reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=reason):
        server.answer("/x", answer)


@pytest.mark.parametrize(
    ("fields", "content", "reason"),
    [
        pytest.param({"A\r\nB": "1"}, b"", "the field name .* is not a token", id="name"),
        pytest.param({"A": "1\r\n"}, b"", "the value of A has a control character", id="control character"),
        pytest.param({"A": "€"}, b"", "the field line 'A: €' has a character beyond Latin-1", id="beyond Latin-1"),
        pytest.param({"A": 1}, b"", "the value of a field must be a str", id="kind of a value"),
        pytest.param({"Content-Length": "1"}, b"", "the field Content-Length is set by each", id="framing"),
        pytest.param({}, 1, "content must be bytes or a str, not a value of type int", id="content"),
    ],
)
def test_a_response_that_cannot_be_sent_is_refused(
    server: TestServer, fields: dict[str, str], content: bytes, reason: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=reason):
        server.respond("/x", 200, fields, content)


def test_a_path_and_a_rule_are_text(server: TestServer) -> None:
    with pytest.raises(TypeError, match="path must be a str or None, not a value of type int"):
        server.respond(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rule must be a str, not a value of type bytes"):
        server.fault(b"close")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["x", "/é", "", "/a b", "/a#b", "/a\n"])
def test_a_path_that_no_client_can_send_is_refused(server: TestServer, path: str) -> None:
    with pytest.raises(ValueError, match="give a path as it is sent, such as /x or /%C3%A9"):
        server.answer(path, Response(200))


def test_a_call_without_answers_is_refused(server: TestServer) -> None:
    with pytest.raises(ValueError, match="and answers"):
        server.answer("/x")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"report": None}, "report must be a function, not None"),
        ({"transport": 5}, "transport must be a function, not a value of type int"),
        ({"middleware": None}, "middleware must be a sequence of functions, not None"),
    ],
)
def test_a_server_names_its_wrong_argument(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(TypeError, match=f"^{reason}$"):
        TestServer(**arguments)


def test_the_typed_settings_are_the_arguments_of_a_server() -> None:
    parameters = inspect.signature(Server, eval_str=False).parameters
    assert set(Settings.__annotations__) == set(parameters) - {"directory", "accept_queue"}


def test_a_server_without_limits_of_its_own_has_those_of_tests() -> None:
    with TestServer(limits=None) as server:
        content = bytes(2 * 2**20)
        octets = get("/x", f"Content-Length: {len(content)}", method="POST") + content
        assert read_answers(exchange(server.port, octets))[0].status == 405
        assert server.requests[0].content == content
