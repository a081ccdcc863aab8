"""Basic authentication over real connections (RFC 7617, RFC 9110 §11)."""

import base64
import contextlib
import pathlib
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

import httpsock
from httpsock import basic_authentication
from httpsock.handlers import authentication
from tests.support import TIMEOUT_SECONDS, Answer, ask, exchange, get, read_answer, receive_all
from tests.support.folder import HELLO
from tests.support.inspect import EVENTS, Watching, inspected
from tests.support.rows import each_row

CHALLENGE = 'Basic realm="httpsock", charset="UTF-8"'
# A hash of "secret" that is quick to check.
QUICK = "scrypt$2$1$1$c2FsdHNhbHRzYWx0c2FsdA==$jjjNh3eNiOh3SQ07meC/jcZYQjJfzwYY4Tjkd0VmMZY="
# A hash of "secret" that takes about a quarter of a second to check.
SLOW = "scrypt$65536$8$1$c2FsdHNhbHRzYWx0c2FsdA==$0Y6ly8DGgHUoz6yd07bamx2OqKlbJrXyn9pN/Il3eNY="


def basic(user_pass: str, scheme: str = "Basic") -> str:
    """Return an Authorization field line."""
    return f"Authorization: {scheme} {base64.b64encode(user_pass.encode()).decode()}"


RIGHT = basic("alice:secret")


class Guarded:
    """A server that requires a password."""

    def __init__(self, server: httpsock.Server) -> None:
        self.server = server

    def ask(
        self, *field_lines: str, path: str = "/hello.txt", method: str = "GET", client: str = "127.0.0.1"
    ) -> Answer:
        """Send a request from the address *client* on a new connection, and return the answer."""
        return ask(self.server.port, path, *field_lines, method=method, source=client)


@pytest.fixture
def guarded(folder: pathlib.Path, serve: Callable[..., httpsock.Server]) -> Guarded:
    """Return a server for *folder* that only the user alice may use."""
    return Guarded(serve(folder, middleware=[basic_authentication("alice", QUICK)]))


def assert_is_challenge(answer: Answer) -> None:
    """Assert that *answer* asks for a password and that no cache may store the answer."""
    assert answer.status == 401
    assert answer.field("WWW-Authenticate") == CHALLENGE
    assert answer.field("Cache-Control") == "no-store, private"
    assert answer.field("Vary") == "Accept, Authorization"


# --- right credentials ----------------------------------------------------------------------------------------------


@each_row(
    "field_line",
    [
        pytest.param(RIGHT, id="RFC 7617 §2"),
        pytest.param(basic("alice:secret", "basic"), id="the scheme in lower case"),
        pytest.param(basic("alice:secret", "BASIC  "), id="more spaces"),
        pytest.param(RIGHT.replace("Authorization", "aUTHORIZATION"), id="the field's name in another case"),
        pytest.param(RIGHT + " \t", id="whitespace behind the value"),
    ],
)
def test_the_right_credentials_are_admitted(guarded: Guarded, field_line: str) -> None:
    answer = guarded.ask(field_line)
    assert (answer.status, answer.content) == (200, HELLO)
    assert answer.field("WWW-Authenticate") is None


def test_shared_caches_may_not_store_responses_that_need_a_password(guarded: Guarded) -> None:
    """For caches that ignore "private" in Cache-Control, the response also has Vary (RFC 9111 §5.2.2.7)."""
    for answer in (
        whole := guarded.ask(RIGHT),
        guarded.ask(RIGHT, f"If-None-Match: {whole.field('ETag')}"),
        guarded.ask(RIGHT, "Range: bytes=0-1"),
        guarded.ask(RIGHT, path="/missing"),
        guarded.ask(RIGHT, path="/"),
        guarded.ask(RIGHT, path="/", method="HEAD"),
        guarded.ask(RIGHT, path="/sub"),
        guarded.ask(RIGHT, method="OPTIONS"),
    ):
        assert "private" in str(answer.field("Cache-Control")).split(", "), answer.status
        assert "Authorization" in str(answer.field("Vary")).split(", "), answer.status


def test_a_listing_in_steps_is_sent_to_the_right_user(guarded: Guarded) -> None:
    answer = guarded.ask(RIGHT, "Accept: text/plain", path="/")
    assert "hello.txt" in answer.text
    head = guarded.ask(RIGHT, path="/", method="HEAD")
    assert (head.status, head.field("Content-Length")) == (200, None)


# --- missing and wrong credentials ----------------------------------------------------------------------------------


@each_row(
    "field_lines",
    [
        pytest.param([], id="no field"),
        pytest.param(["Authorization:"], id="an empty field"),
        pytest.param(["Authorization: Basic"], id="a scheme alone"),
        pytest.param(["Authorization: Basic !!!!"], id="bad base64"),
        pytest.param(["Authorization: Basic YWxpY2U="], id="no colon"),
        pytest.param([basic("alice:secret", "Bearer")], id="another scheme"),
        pytest.param([RIGHT, RIGHT], id="two field lines"),
        pytest.param(["Authorization:", RIGHT], id="an empty field before the right one"),
        pytest.param([RIGHT, "Authorization:"], id="an empty field after the right one"),
        pytest.param([basic("alice:sec\0ret")], id="a control character"),
        pytest.param([basic("alice:" + "x" * 20_000)], id="very long"),
        pytest.param([RIGHT.replace("Authorization", "Proxy-Authorization")], id="for a proxy"),
        pytest.param([RIGHT.replace("Authorization", "X-Authorization")], id="another field"),
    ],
)
def test_a_request_without_credentials_is_challenged(guarded: Guarded, field_lines: list[str]) -> None:
    answer = guarded.ask(*field_lines)
    assert_is_challenge(answer)
    assert answer.text == (
        "401 Unauthorized: this needs a user name and a password, as Basic authentication in UTF-8 (RFC 9110 §15.5.2)\n"
    )


@pytest.mark.parametrize(
    "user_pass", ["alice:wrong", "alice:", "bob:secret", ":secret", "alice:secret ", "Alice:secret"]
)
def test_wrong_credentials_are_challenged_again(guarded: Guarded, user_pass: str) -> None:
    answer = guarded.ask(basic(user_pass))
    assert_is_challenge(answer)
    assert "the user name or the password is wrong" in answer.text
    guarded.ask(RIGHT)
    assert_is_challenge(guarded.ask(basic(user_pass)))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/hello.txt", "/missing", "/../x", "/sub"])
def test_every_method_and_path_is_protected(guarded: Guarded, method: str, path: str) -> None:
    """Without the password, no client may learn whether a file exists."""
    assert_is_challenge(guarded.ask(path=path, method=method))


def test_the_server_as_a_whole_is_protected(guarded: Guarded) -> None:
    assert_is_challenge(guarded.ask(path="*", method="OPTIONS"))
    octets = exchange(guarded.server.port, b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
    assert_is_challenge(read_answer(octets)[0])


@pytest.mark.parametrize(
    ("accept", "start"), [("text/html", b"<!DOCTYPE html>"), ("application/json", b'{"status": 401')]
)
def test_the_challenge_has_the_media_type_that_the_client_prefers(guarded: Guarded, accept: str, start: bytes) -> None:
    assert guarded.ask(f"Accept: {accept}").content.startswith(start)


def test_the_connection_persists_after_a_refusal(guarded: Guarded) -> None:
    """The server discards the content of the request, so the client can retry on the same connection."""
    content = b"GET /hello.txt HTTP/1.1\r\n\r\n"
    refused = get("/hello.txt", f"Content-Length: {len(content)}", method="POST") + content
    octets = exchange(guarded.server.port, refused + get("/hello.txt", RIGHT, "Connection: close"))
    first, rest = read_answer(octets)
    second, rest = read_answer(rest)
    assert (first.status, second.status, second.content, rest) == (401, 200, HELLO, b"")


def test_a_client_that_expects_100_is_refused_before_it_sends_content(guarded: Guarded) -> None:
    octets = exchange(guarded.server.port, get("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
    answer, rest = read_answer(octets)
    assert_is_challenge(answer)
    assert (answer.field("Connection"), rest) == ("close", b"")


# --- many clients ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def guessing(server: httpsock.Server, count: int, client: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Open *count* connections from the address *client*, and send a wrong password on each.

    Yield the connections. Read no answers.
    """
    with contextlib.ExitStack() as stack:
        connections = []
        for number in range(count):
            address = ("127.0.0.1", server.port)
            connected = stack.enter_context(socket.create_connection(address, TIMEOUT_SECONDS, (client, 0)))
            connected.sendall(get("/hello.txt", basic(f"alice:{number}"), "Connection: close"))
            connections.append(connected)
        yield connections


def statuses(connections: list[socket.socket]) -> list[int]:
    """Return the status of the answer on each connection."""
    return [read_answer(receive_all(connected))[0].status for connected in connections]


def test_a_hundred_requests_with_the_same_credentials_need_one_hash(
    folder: pathlib.Path, serve: Callable[..., httpsock.Server]
) -> None:
    """All requests arrive before the first hash is ready. One hash per request would take minutes."""
    guarded = Guarded(serve(folder, middleware=[basic_authentication("alice", SLOW)]))
    answers: list[int] = []
    clients = [threading.Thread(target=lambda: answers.append(guarded.ask(RIGHT).status)) for _ in range(100)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(TIMEOUT_SECONDS)
    assert answers == [200] * 100


def test_guesses_from_one_network_delay_no_other_network(
    folder: pathlib.Path, serve: Callable[..., httpsock.Server]
) -> None:
    """If the server checked all guesses first, the client from the other network would time out."""
    guarded = Guarded(serve(folder, middleware=[basic_authentication("alice", SLOW)]))
    with guessing(guarded.server, 100, "127.0.0.2") as guesses:
        assert guarded.ask(RIGHT).status == 200, "within the time limit of a test"
        assert guarded.ask(RIGHT, client="127.0.0.2").status == 200, (
            "known credentials are not checked again, whatever their address"
        )
        assert guarded.ask(client="127.0.0.2").status == 401
        assert not is_readable(guesses[-1]), "the last guess still waits"
        guarded.server.stop(0)


def is_readable(connected: socket.socket) -> bool:
    """Return whether an answer has arrived."""
    connected.setblocking(False)
    try:
        return bool(connected.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_guesses_beyond_the_limit_get_429(folder: pathlib.Path, serve: Callable[..., httpsock.Server]) -> None:
    """The server checks guesses up to the limit. RFC 6585 §4 defines 429."""
    server = serve(folder, middleware=[basic_authentication("alice", SLOW)])
    with guessing(server, authentication._MAX_WAITING + 64) as guesses:
        while True:
            (answered, *_), _, _ = select.select(guesses, [], [], TIMEOUT_SECONDS)
            answer, _ = read_answer(receive_all(answered))
            if answer.status == 429:
                break
            assert_is_challenge(answer)
            guesses.remove(answered)
        assert answer.field("Retry-After") == "1"
        assert "too many passwords wait to be checked" in answer.text
        assert answer.field("WWW-Authenticate") is None
        server.stop(0)


# --- other parts of the server --------------------------------------------------------------------------------------


def test_the_inspector_needs_the_password(folder: pathlib.Path) -> None:
    """The inspector is a page that shows the requests of all clients."""
    with inspected(folder, middleware=[basic_authentication("alice", QUICK)]) as server:
        guarded = Guarded(server)
        for path in ("/.httpsock/", EVENTS, "/.httpsock"):
            assert_is_challenge(guarded.ask(path=path))
        assert b"<script>" in guarded.ask(RIGHT, path="/.httpsock/").content
        with Watching(server.port, RIGHT) as watching:
            guarded.ask(RIGHT)
            seen = repr(watching.until(lambda messages: "/hello.txt" in repr(messages)))
        assert RIGHT.rpartition(" ")[2] not in seen
        assert "Basic ***" in seen


def test_the_log_has_the_reason_and_no_password(folder: pathlib.Path, serve: Callable[..., httpsock.Server]) -> None:
    exchanges: list[httpsock.Exchange] = []
    server = serve(folder, middleware=[basic_authentication("alice", QUICK)], log=exchanges.extend)
    guarded = Guarded(server)
    for field_lines in ([], [basic("alice:wrong")], [RIGHT]):
        guarded.ask(*field_lines)
    server.wait_for_log()
    assert [(each.status, each.reason) for each in exchanges] == [
        (401, "this needs a user name and a password, as Basic authentication in UTF-8"),
        (401, "the user name or the password is wrong"),
        (200, ""),
    ]


def test_authentication_precedes_the_single_page(folder: pathlib.Path, serve: Callable[..., httpsock.Server]) -> None:
    (folder / "index.html").write_bytes(b"index")
    both = [basic_authentication("alice", QUICK), httpsock.single_page]
    guarded = Guarded(serve(folder, middleware=both))
    assert_is_challenge(guarded.ask("Accept: text/html", path="/users"))
    answer = guarded.ask("Accept: text/html", RIGHT, path="/users")
    assert (answer.status, answer.content) == (200, b"index")
    assert answer.field("Vary") == "Accept-Encoding, Accept, Authorization"
