"""The public client: its requests (checked with h11), reuse of connections, and redirects."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import httpsock
from httpsock.client.client import Client, RedirectError, check_request_field, format_head
from httpsock.client.connection import ClientTimeouts
from httpsock.client.url import UrlError, parse_url
from httpsock.http.response_parser import IncompleteError, ResponseError, ResponseLimits
from tests.support import TIMEOUT_SECONDS, receive_head
from tests.support.rows import each_row
from tests.support.servers import Script, answering, ok, playing
from tests.support.trace import CollectedTrace, golden

HERE = parse_url("http://127.0.0.1:8000/where?q=now")

# --- requests -------------------------------------------------------------------------------------------------------


def as_h11_reads(octets: bytes) -> tuple[h11.Request, bytes]:
    """Parse *octets* with h11 as a server. Return the only request and its content."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(octets)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    content = b""
    while isinstance(event := server.next_event(), h11.Data):
        content += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert server.trailing_data == (b"", False)
    return request, content


def test_a_get_sends_host_user_agent_and_accept_fields() -> None:
    request, content = as_h11_reads(format_head("GET", HERE, [], b""))
    assert (request.method, request.target, content) == (b"GET", b"/where?q=now", b"")
    assert list(request.headers) == [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"httpsock"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"identity"),
    ]


def test_given_fields_replace_the_default_ones_and_host_stays_first() -> None:
    given = [("accept", "text/html"), ("X-A", "b"), ("host", "elsewhere"), ("X-A", "c"), ("User-Agent", "")]
    request, _ = as_h11_reads(format_head("GET", HERE, given, b""))
    assert list(request.headers) == [
        (b"host", b"elsewhere"),
        (b"accept-encoding", b"identity"),
        (b"accept", b"text/html"),
        (b"x-a", b"b"),
        (b"x-a", b"c"),
        (b"user-agent", b""),
    ]


@each_row(
    ("method", "content", "expected"),
    [
        ("GET", b"", None),
        ("POST", b"", b"0"),
        ("PUT", b"", b"0"),
        ("PATCH", b"ab", b"2"),
        ("DELETE", b"", None),
        ("GET", b"abc", b"3"),
    ],
)
def test_content_is_sent_with_its_length(method: str, content: bytes, expected: bytes | None) -> None:
    request, received = as_h11_reads(format_head(method, HERE, [], content) + content)
    assert dict(request.headers).get(b"content-length") == expected
    assert received == content


@each_row(
    ("method", "reason"),
    [
        ("", "the method '' is not a token"),
        ("G T", "the method 'G T' is not a token"),
        ("GET\r\nX:", "is not a token"),
        ("CONNECT", "CONNECT is not supported"),
    ],
)
def test_an_invalid_method_is_not_sent(method: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"method|CONNECT") as caught:
        format_head(method, HERE, [], b"")
    assert reason in str(caught.value)


@each_row(
    ("name", "value", "reason"),
    [
        ("", "x", "the field name '' is not a token"),
        ("X ", "x", "the field name 'X ' is not a token"),
        ("X", "a\r\nY: z", "the value of X has a control character"),
        ("X", "\0", "the value of X has a control character"),
        ("Content-Length", "5", "the client itself sets the field Content-Length"),
        ("transfer-encoding", "chunked", "the client itself sets the field"),
        ("Expect", "100-continue", "the client itself sets the field"),
        ("Upgrade", "h2c", "the client itself sets the field"),
    ],
)
def test_a_value_that_would_split_a_request_is_not_sent(name: str, value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"field|value") as caught:
        check_request_field(name, value)
    assert reason in str(caught.value)


anything = st.text("".join(map(chr, range(0x200))), max_size=12)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(anything, st.lists(st.tuples(anything, anything), max_size=3), anything, st.binary(max_size=20))
def test_any_argument_makes_one_request_or_an_error(
    method: str, fields: list[tuple[str, str]], path: str, content: bytes
) -> None:
    try:
        head = format_head(method, parse_url("http://a/" + path), fields, content)
    except ValueError:
        return
    try:
        _, received = as_h11_reads(head + content)
    except h11.RemoteProtocolError as error:
        # The caller has given two Host fields, or a Host that h11 refuses.
        assert "Host" in str(error)  # noqa: PT017
        return
    assert received == content


def test_h11_reads_each_sent_request_as_one_request() -> None:
    seen: list[bytes] = []
    with playing(answering(ok(), ok(), ok(), seen=seen)) as url, Client() as client:
        for method, path in (("GET", ""), ("HEAD", "a b?ä"), ("DELETE", "x")):
            with client.request(method, url + path, fields=[("X", "y")]) as response:
                assert response.read() == b""
    for octets in seen:
        request, content = as_h11_reads(octets)
        assert dict(request.headers)[b"host"] == url.removeprefix("http://").removesuffix("/").encode()
        assert content == b""
    assert [octets.split(b" ")[:2] for octets in seen] == [
        [b"GET", b"/"],
        [b"HEAD", b"/a%20b?%C3%A4"],
        [b"DELETE", b"/x"],
    ]


# --- responses ------------------------------------------------------------------------------------------------------


def test_a_response_is_streamed() -> None:
    go_on = threading.Event()

    def in_two_parts(connected: socket.socket) -> None:
        receive_head(connected)
        connected.sendall(ok(b"hello", "ETag: \xe9", "X: a", "x: b", status="200 Sch\xf6n")[:-2])
        assert go_on.wait(TIMEOUT_SECONDS)
        connected.sendall(b"lo")

    with playing(in_two_parts) as url, httpsock.Client() as client, client.get(url) as response:
        assert (response.status, response.phrase, response.url) == (200, "Sch\xf6n", url)
        assert (response.field("X"), response.field("etag"), response.field("Server")) == ("a, b", "\xe9", None)
        assert repr(response) == f"<ClientResponse 200, {url}>"
        assert response.field("€") is None
        with pytest.raises(TypeError, match=r"^the name of a field must be a str, not a value of type bytes$"):
            response.field(b"X")  # type: ignore[arg-type]
        assert response.content_length == 5
        parts = iter(response)
        assert next(parts) == b"hel"
        go_on.set()
        assert b"".join(parts) == b"lo"
        assert response.read() == b""


def test_trailers_are_available_after_the_content() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nDigest: x\r\n\r\n"
    with playing(answering(chunked)) as url, Client() as client, client.get(url) as response:
        assert list(response.trailers) == []
        assert response.read() == b"ab"
        assert response.trailers == ((b"digest", b"x"),)


def test_content_that_breaks_off_is_an_error_and_ends_the_connection() -> None:
    with playing(answering(ok(b"hello")[:-1]), answering(ok(b"again"))) as url, Client() as client:
        with client.get(url) as response, pytest.raises(IncompleteError, match="after 4 of 5 bytes of content"):
            response.read()
        assert client.get(url).read() == b"again"


def test_a_malformed_response_is_an_error_and_ends_the_connection() -> None:
    with playing(answering(b"what?\r\n"), answering(ok(b"again"))) as url, Client() as client:
        with pytest.raises(ResponseError, match="begins with"):
            client.get(url)
        assert client.get(url).read() == b"again"


def test_the_given_limits_and_timeouts_apply() -> None:
    too_long = pytest.raises(ResponseError, match="the head is longer than 10 bytes")
    with playing(answering(ok())) as url, Client(limits=ResponseLimits(head=10)) as client, too_long:
        client.get(url)
    silent = pytest.raises(IncompleteError, match="before any byte")
    with playing(receive_head) as url, Client(timeouts=ClientTimeouts(whole=60)) as client, silent:
        client.get(url)


@each_row("url", ["https://127.0.0.1/", "nowhere"])
def test_an_invalid_request_is_not_sent(url: str) -> None:
    with Client() as client, pytest.raises(UrlError):
        client.get(url)


# --- choice of the connection ---------------------------------------------------------------------------------------


def test_one_connection_serves_several_requests() -> None:
    collected = CollectedTrace()
    with playing(answering(ok(b"a"), ok(b"b"), ok(b"c"))) as url, Client(trace=collected) as client:
        assert [client.get(url).read() for _ in range(3)] == [b"a", b"b", b"c"]
    assert collected.names.count("connect") == 1
    assert collected.names[-1] == "close"


def test_a_connection_with_an_unread_response_is_not_reused() -> None:
    with playing(answering(ok(b"first")), answering(ok(b"second"))) as url, Client() as client:
        first, second = client.get(url), client.get(url)
        assert second.read() == b"second"
        assert first.read() == b"first"


def test_a_response_that_is_closed_early_ends_its_connection() -> None:
    with playing(answering(ok(b"first")), answering(ok(b"second"))) as url, Client() as client:
        with client.get(url):
            pass
        assert client.get(url).read() == b"second"


def test_a_connection_that_the_server_has_ended_is_not_used_again() -> None:
    collected = CollectedTrace()
    with playing(answering(ok(b"a")), answering(ok(b"b"))) as url, Client(trace=collected) as client:
        assert client.get(url).read() == b"a"
        ((_, connection),) = client._connections
        # The server ends it; the client sees that before it sends.
        assert select.select([connection._socket], [], [], TIMEOUT_SECONDS)[0]
        assert client.get(url).read() == b"b"
    assert [name for name in collected.names if name in ("connect", "send", "close")] == [
        "connect",
        "send",
        "close",
    ] * 2


def close_at_the_second_request(answer: bytes) -> Script:
    """Return a server function that answers one request and closes the connection after the next request."""

    def script(connected: socket.socket) -> None:
        answering(answer)(connected)
        receive_head(connected)

    return script


def test_a_get_on_a_connection_that_the_server_closes_is_sent_again() -> None:
    with playing(close_at_the_second_request(ok(b"a")), answering(ok(b"b"))) as url, Client() as client:
        assert client.get(url).read() == b"a"
        assert client.get(url).read() == b"b"


def test_a_post_is_never_sent_twice() -> None:
    with playing(close_at_the_second_request(ok(b"a"))) as url, Client() as client:
        assert client.get(url).read() == b"a"
        with pytest.raises(IncompleteError, match="before any byte"):
            client.request("POST", url)


def test_a_request_that_was_answered_in_part_is_not_sent_again() -> None:
    with playing(answering(ok(b"a"), b"HTTP/1.1 200")) as url, Client() as client:
        assert client.get(url).read() == b"a"
        with pytest.raises(IncompleteError, match="within the head"):
            client.get(url)


def test_only_a_few_idle_connections_stay_open(serve: Callable[..., httpsock.Server], folder: str) -> None:
    servers = [serve(folder, threads=1) for _ in range(9)]
    collected = CollectedTrace()
    with Client(trace=collected) as client:
        for server in servers:
            assert client.get(server.url + "hello.txt").read() == b"Hello, socket.\n"
        assert collected.names.count("close") == 1
    assert collected.names.count("close") == 9


def test_a_client_trace_shows_a_request_as_a_server_trace_does(server: httpsock.Server) -> None:
    collected = CollectedTrace()
    with Client(trace=collected) as client:
        client.get(server.url + "hello.txt", fields=[("Authorization", "Basic secret")]).read()
    assert collected.text == golden("get")


def test_a_trace_shows_all_octets_but_secrets() -> None:
    collected = CollectedTrace(wants_octets=True)
    with playing(answering(ok(b"hello", "Set-Cookie: a=secret"))) as url, Client(trace=collected) as client:
        client.request("POST", url, fields=[("Authorization", "Basic secret")], content=b"content").read()
    octets = {event.name: event.octets for event in collected.events}
    assert octets["send"].endswith(b"\r\nAuthorization: Basic ******\r\nContent-Length: 7\r\n\r\ncontent")
    assert b"\r\nSet-Cookie: ********\r\n" in octets["recv"]
    assert "      > 0000  50 4f 53 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d  POST / HTTP/1.1.\n" in collected.text


# --- redirects ------------------------------------------------------------------------------------------------------


def redirect(location: str, status: str = "302 Found", content: bytes = b"moved") -> bytes:
    """Return a redirect to *location*."""
    return ok(content, f"Location: {location}", status=status)


def test_a_redirect_is_followed_on_the_same_connection() -> None:
    seen: list[bytes] = []
    with playing(answering(redirect("/b?c"), ok(b"there"), seen=seen)) as url, Client() as client:
        response = client.get(url + "a", fields=[("Authorization", "x")])
        assert (response.url, response.read()) == (url + "b?c", b"there")
    assert seen[1].startswith(b"GET /b?c HTTP/1.1\r\n")
    assert b"\r\nAuthorization: x\r\n" in seen[1], "the same origin gets it again"


def test_credentials_are_not_sent_to_another_origin() -> None:
    seen: list[bytes] = []
    fields = [("Authorization", "secret"), ("Cookie", "secret"), ("Host", "a"), ("X", "y")]
    with (
        playing(answering(ok(b"there"), seen=seen)) as there,
        playing(answering(redirect(there), seen=seen)) as here,
        Client() as client,
    ):
        assert client.get(here, fields=fields).read() == b"there"
    assert b"secret" in seen[0]
    assert b"secret" not in seen[1]
    assert f"Host: {parse_url(there).authority}\r\n".encode() in seen[1]
    assert b"\r\nX: y\r\n" in seen[1]


def received_with_content(seen: list[bytes], *answers: bytes) -> Script:
    """Return a server function that sends *answers*, and appends each request with its content to *seen*."""

    def script(connected: socket.socket) -> None:
        for answer in answers:
            head = receive_head(connected)
            seen.append(head + (connected.recv(2) if b"Content-Length: 2" in head else b""))
            connected.sendall(answer)

    return script


def test_a_redirected_post_becomes_a_get_without_content() -> None:
    seen: list[bytes] = []
    with playing(received_with_content(seen, redirect("/b", "303 See Other"), ok())) as url, Client() as client:
        client.request("POST", url, content=b"ab", fields=[("Content-Type", "text/plain"), ("X", "y")]).read()
    assert seen[0].startswith(b"POST / ")
    assert seen[0].endswith(b"ab")
    assert seen[1].startswith(b"GET /b ")
    assert b"Content-" not in seen[1]
    assert b"X: y" in seen[1]


def test_a_307_keeps_method_and_content() -> None:
    seen: list[bytes] = []
    redirects = received_with_content(seen, redirect("/b", "307 Temporary Redirect"), ok())
    with playing(redirects) as url, Client() as client:
        client.request("POST", url, content=b"ab").read()
    assert seen[1].startswith(b"POST /b ")
    assert seen[1].endswith(b"ab")


def test_the_number_of_redirects_is_limited() -> None:
    once_too_often = pytest.raises(RedirectError, match=r"more than 2 redirects; the last one leads to .*/again")
    with playing(answering(*[redirect("/again")] * 3)) as url, Client(redirects=2) as client, once_too_often:
        client.get(url)


def test_with_a_limit_of_0_a_redirect_is_returned_like_any_response() -> None:
    with playing(answering(redirect("https://a/"))) as url, Client(redirects=0) as client:
        assert client.get(url).read() == b"moved"


def test_a_redirect_to_https_is_an_error() -> None:
    nowhere = pytest.raises(RedirectError, match='"https://a/" has a scheme that is not supported')
    with playing(answering(redirect("https://a/"))) as url, Client() as client, nowhere:
        client.get(url)


def test_a_redirect_with_long_content_closes_its_connection() -> None:
    def long(connected: socket.socket) -> None:
        receive_head(connected)
        connected.sendall(redirect("/b", content=bytes(1 << 20))[: 1 << 17])
        # The client closes the connection, with or without unread octets.
        with contextlib.suppress(ConnectionResetError):
            assert connected.recv(1) == b""

    with playing(long, answering(ok(b"there"))) as url, Client() as client:
        assert client.get(url).read() == b"there"


def test_the_package_loads_the_client_on_demand() -> None:
    assert httpsock.Client is Client
    with pytest.raises(AttributeError, match="has no attribute 'Klient'"):
        _ = httpsock.Klient  # type: ignore[attr-defined]


# --- content that is not whole --------------------------------------------------------------------------------------


def test_reading_truncated_content_again_raises_again() -> None:
    with playing(answering(ok(b"hello")[:-2])) as url, Client() as client:
        response = client.get(url)
        for _ in range(3):
            with pytest.raises(IncompleteError, match="after 3 of 5 bytes of content"):
                response.read()
        with pytest.raises(IncompleteError):
            next(iter(response))


@each_row("closes", ["the response", "the client"])
def test_reading_a_response_closed_before_its_end_raises(closes: str) -> None:
    with playing(answering(ok(b"hello"))) as url, Client() as client:
        response = client.get(url)
        (response if closes == "the response" else client).close()
        for _ in range(2):
            with pytest.raises(ValueError, match="the response was closed before its content was whole"):
                response.read()
        response.close()


def test_reading_after_the_end_returns_no_bytes() -> None:
    with playing(answering(ok(b"hello"))) as url, Client() as client:
        response = client.get(url)
        assert (response.read(), response.read()) == (b"hello", b"")
        response.close()
        response.discard()
        assert response.read() == b""


@each_row("broken", [redirect("/b")[:-2], redirect("/b").replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")])
def test_a_redirect_whose_content_breaks_off_is_followed(broken: bytes) -> None:
    with playing(answering(broken), answering(ok(b"there"))) as url, Client() as client:
        assert client.get(url).read() == b"there"


def test_a_redirect_whose_content_stalls_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpsock.client.client._MAX_DISCARD_SECONDS", 0.05)

    def stall(connected: socket.socket) -> None:
        receive_head(connected)
        connected.sendall(redirect("/b")[:-2])
        with contextlib.suppress(ConnectionResetError):
            assert connected.recv(1) == b""

    with playing(stall, answering(ok(b"there"))) as url, Client() as client:
        assert client.get(url).read() == b"there"


# --- threads --------------------------------------------------------------------------------------------------------


def test_a_client_is_for_one_thread_at_a_time() -> None:
    """If two threads used the same idle connection, one could read the response for the other thread."""
    go_on, has_begun = threading.Event(), threading.Event()

    def handler(request: httpsock.Request, context: httpsock.Context) -> httpsock.Response:
        has_begun.set()
        assert go_on.wait(TIMEOUT_SECONDS)
        return httpsock.Response(204)

    with httpsock.Server(handler=handler, port=0) as server, Client() as client:
        statuses: list[int] = []
        other = threading.Thread(target=lambda: statuses.append(client.get(server.url).status))
        other.start()
        assert has_begun.wait(TIMEOUT_SECONDS)
        with pytest.raises(RuntimeError, match=r"^another thread is using this client; make a client for each thread$"):
            client.get(server.url)
        go_on.set()
        other.join()
        assert (statuses, client.get(server.url).status) == ([204], 204)
