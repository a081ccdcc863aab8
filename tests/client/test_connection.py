"""The client's connection: choosing an address, sending and receiving, and errors."""

import contextlib
import errno
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from httpsock.client.connection import ClientConnection, ClientTimeouts, connect, interleave_families, resolve
from httpsock.http.response_parser import IncompleteError, ResponseError, ResponseLimits
from httpsock.tracing.sockets import discard
from tests.support import TIMEOUT_SECONDS, fill, receive_head, reset
from tests.support.servers import answering, ok, playing
from tests.support.trace import CollectedTrace

V4, V6 = socket.AF_INET, socket.AF_INET6
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
# More than the sockets of a connection can hold.
MANY_OCTETS = 24 * 1024 * 1024
FOREVER = float("inf")
BRIEFLY = 0.05


def soon() -> float:
    """Return a deadline that only a failing test reaches."""
    return time.monotonic() + TIMEOUT_SECONDS


# --- which address answers (RFC 8305) -------------------------------------------------------------------------------


def test_address_families_alternate() -> None:
    addresses = [(V6, "a"), (V6, "b"), (V4, "c"), (V6, "d")]
    assert interleave_families(addresses) == [(V6, "a"), (V4, "c"), (V6, "b"), (V6, "d")]
    assert interleave_families([]) == []


def test_a_numeric_address_is_resolved_to_itself() -> None:
    assert resolve("127.0.0.1", 80) == [(V4, ("127.0.0.1", 80))]


def test_an_invalid_name_has_no_address() -> None:
    """The message of the error contains the host name."""
    with pytest.raises(socket.gaierror, match=r": 'a{64}'$"):
        resolve("a" * 64, 80)


@contextlib.contextmanager
def listening(backlog: int = 8) -> Iterator[socket.socket]:
    """Yield a listening socket."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """Yield an address that never answers. Its accept queue is full, so the kernel drops new connections."""
    if sys.platform != "linux":
        pytest.skip("elsewhere a full queue refuses")
    with listening(0) as listener, contextlib.ExitStack() as waiting:
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()


@pytest.fixture
def refusing() -> tuple[str, int]:
    """Return an address on which no socket listens."""
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        address: tuple[str, int] = unbound.getsockname()
    return address


def test_a_refusing_address_is_skipped_immediately(refusing: tuple[str, int]) -> None:
    collected = CollectedTrace()
    with listening() as listener:
        # The broadcast address is refused by the system itself.
        addresses = [(V4, ("255.255.255.255", 9)), (V4, refusing), (V4, listener.getsockname())]
        with connect(addresses, soon(), collected.tracer("a:80")) as connected:
            assert connected.getpeername() == listener.getsockname()
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert collected.names == [*["socket", "connect", "close"] * 2, "socket", "connect"]
    assert "connect 127.0.0.1:PORT: ECONNREFUSED, Connection refused\n" in collected.text


def test_a_silent_address_is_raced_with_the_next(silent: tuple[str, int]) -> None:
    with listening() as listener, connect([(V4, silent), (V4, listener.getsockname())], soon()) as connected:
        assert connected.getpeername() == listener.getsockname()


def test_connecting_times_out_if_no_address_answers(silent: tuple[str, int]) -> None:
    collected = CollectedTrace()
    with pytest.raises(TimeoutError, match=r"no connection was made within 0\.\d+ s"):
        connect([(V4, silent)], time.monotonic() + BRIEFLY, collected.tracer("a:80"))
    assert collected.names == ["socket", "timeout", "close"]


def test_if_all_addresses_refuse_the_error_is_that_of_the_last(refusing: tuple[str, int]) -> None:
    with pytest.raises(ConnectionRefusedError, match=f": '127.0.0.1:{refusing[1]}'$") as caught:
        connect([(V4, refusing), (V4, refusing)], soon())
    assert caught.value.errno == errno.ECONNREFUSED


def test_connecting_without_an_address_raises() -> None:
    with pytest.raises(OSError, match="it has no address"):
        connect([], soon())


def test_connecting_by_ipv6_works_as_by_ipv4() -> None:
    collected = CollectedTrace()
    try:
        listener = socket.create_server(("::1", 0), family=V6)
    except OSError as error:
        pytest.skip(f"this system has no ::1: {error}")
    port = listener.getsockname()[1]
    with listener, connect(resolve("::1", port), soon(), collected.tracer("a:80")):
        pass
    family, connected = collected.events
    assert family.attributes == {"family": "AF_INET6", "type": "SOCK_STREAM"}
    assert connected.attributes["address"] == f"[::1]:{port}"
    assert connected.attributes["local"].startswith("[::1]:")


# --- one exchange ---------------------------------------------------------------------------------------------------


class Pair:
    """A client's connection, and the server's socket at the other end."""

    def __init__(self, timeouts: ClientTimeouts, *, is_traced: bool = True) -> None:
        ours, self.server = socket.socketpair()
        self.server.settimeout(TIMEOUT_SECONDS)
        self.collected = CollectedTrace()
        emit = self.collected.tracer("127.0.0.1:80") if is_traced else discard
        self.client = ClientConnection(ours, ResponseLimits(), timeouts, emit)

    def sentences(self) -> list[str]:
        return re.findall("^#1 .*TIME  (.*)", self.collected.text, re.MULTILINE)

    def content(self) -> bytes:
        return b"".join(iter(self.client.receive_content, b""))

    def close(self) -> None:
        self.client.close()
        self.server.close()


@contextlib.contextmanager
def paired(timeouts: ClientTimeouts | None = None, *, is_traced: bool = True) -> Iterator[Pair]:
    """Yield a Pair, and close it afterwards."""
    pair = Pair(timeouts or ClientTimeouts(), is_traced=is_traced)
    with contextlib.closing(pair):
        yield pair


def test_a_request_is_sent_and_its_response_received() -> None:
    with paired() as pair:
        pair.client.send("POST", REQUEST, b"content", FOREVER)
        assert pair.server.recv(1000) == REQUEST + b"content"
        pair.server.sendall(b"HTTP/1.1 100 \t\xff\r\n\r\n" + ok(b"hello"))
        assert pair.client.receive_head().status == 200
        assert pair.client.content_length == 5
        assert pair.content() == b"hello"
        assert pair.client.is_reusable
        assert pair.client.trailers == ()
        pair.client.close()
        pair.client.close()
        assert not pair.client.is_idle
        assert pair.sentences() == [
            "send 34",
            "recv 62",
            "parse 100 \\x09\\xff",
            "parse 200 OK",
            "content 5, complete",
            "close",
        ]
        assert pair.collected.events[0].head == REQUEST
        assert pair.collected.events[0].attributes["content"] == 7


def test_a_connection_that_the_server_ends_is_closed_and_not_reused() -> None:
    with paired(is_traced=False) as pair:
        pair.client.send("GET", REQUEST, b"", FOREVER)
        pair.server.sendall(b"HTTP/1.1 200 OK\r\n\r\nto the end")
        pair.client.receive_head()
        pair.server.shutdown(socket.SHUT_WR)
        assert pair.client.content_length is None
        assert pair.content() == b"to the end"
        assert not pair.client.is_reusable


def test_a_connection_that_ends_between_two_requests_is_not_reused() -> None:
    with paired() as pair:
        pair.client.send("GET", REQUEST, b"", FOREVER)
        pair.server.sendall(ok())
        assert pair.client.receive_head().status == 200
        assert pair.content() == b""
        assert pair.client.is_reusable
        pair.server.close()
        assert not pair.client.is_reusable


def test_a_connection_with_unrequested_octets_is_not_reused() -> None:
    """Unrequested octets must not pass as the response to the next request (RFC 9112 §9.3)."""
    with paired() as pair:
        pair.client.send("GET", REQUEST, b"", FOREVER)
        pair.server.sendall(ok())
        pair.client.receive_head()
        assert pair.content() == b""
        pair.server.sendall(ok(b"forged"))
        assert not pair.client.is_reusable


def test_a_malformed_response_is_an_error() -> None:
    with paired() as pair:
        pair.client.send("GET", REQUEST, b"", FOREVER)
        assert not pair.client.has_begun_to_answer
        pair.server.sendall(b"220 mail.example ESMTP\r\n")
        with pytest.raises(ResponseError, match="begins with"):
            pair.client.receive_head()
        assert pair.client.has_begun_to_answer


def test_an_early_end_of_the_connection_is_an_error_and_is_traced() -> None:
    with paired() as pair:
        pair.client.send("GET", REQUEST, b"", FOREVER)
        pair.server.recv(1000)
        pair.server.close()
        with pytest.raises(IncompleteError, match="ended before any byte"):
            pair.client.receive_head()
        assert pair.sentences()[-1] == "recv 0: the peer has ended its side"


# --- time-outs ------------------------------------------------------------------------------------------------------


def test_waiting_for_a_response_ends_at_the_deadline() -> None:
    with paired(ClientTimeouts(response=BRIEFLY)) as pair:
        pair.client.send("GET", REQUEST, b"", FOREVER)
        with pytest.raises(TimeoutError, match=r"the server sent no complete response head within 0\.05 s"):
            pair.client.receive_head()


def test_waiting_for_stalled_content_ends_at_the_deadline() -> None:
    with paired(ClientTimeouts(stall=BRIEFLY)) as pair:
        pair.client.send("GET", REQUEST, b"", FOREVER)
        pair.server.sendall(ok(b"hello")[:-1])
        pair.client.receive_head()
        assert pair.client.receive_content() == b"hell"
        with pytest.raises(TimeoutError, match=r"the server sent nothing for 0\.05 s"):
            pair.client.receive_content()
        assert re.fullmatch(r"timeout after 0\.\d+ s of waiting for the server", pair.sentences()[-1])


def test_a_server_that_does_not_read_times_out() -> None:
    late = pytest.raises(TimeoutError, match=r"the server read no content for 0\.05 s")
    with paired(ClientTimeouts(stall=BRIEFLY)) as pair:
        with late:
            pair.client.send("POST", REQUEST, bytes(MANY_OCTETS), FOREVER)
        assert pair.sentences()[-1] == "timeout after 0.05 s of waiting for room to send"


def test_the_whole_exchange_ends_at_its_deadline() -> None:
    with paired(ClientTimeouts(whole=BRIEFLY)) as pair:
        pair.client.send("GET", REQUEST, b"", FOREVER)
        pair.server.sendall(ok(b"hello")[:-1])
        pair.client.receive_head()
        assert pair.client.receive_content() == b"hell"
        # Now the deadline has passed.
        pair.client._deadline = time.monotonic()
        with pytest.raises(TimeoutError, match=r"the exchange was not complete within 0\.05 s"):
            pair.client.receive_content()
        with pytest.raises(TimeoutError, match="the exchange was not complete"):
            pair.client.send("GET", REQUEST, b"", time.monotonic() - 1)


# --- content that goes out while something comes in -----------------------------------------------------------------


def tcp(url: str, timeouts: ClientTimeouts | None = None) -> ClientConnection:
    """Connect to *url* and return the client's connection."""
    port = int(url.removesuffix("/").rpartition(":")[2])
    connected = connect([(V4, ("127.0.0.1", port))], soon())
    return ClientConnection(connected, ResponseLimits(), timeouts or ClientTimeouts())


def send_and_receive(client: ClientConnection, content: bytes) -> None:
    """Send a POST with *content* and receive the head of the response."""
    client.send("POST", REQUEST, content, FOREVER)
    client.receive_head()


def receive_exactly(connected: socket.socket, octets: int) -> None:
    """Receive and discard this number of *octets*."""
    while octets:
        octets -= len(connected.recv(min(octets, 1 << 20)))


def test_a_server_that_refuses_content_is_not_sent_the_rest() -> None:
    refused = threading.Event()

    def refuse(connected: socket.socket) -> None:
        receive_head(connected)
        connected.sendall(ok(b"no", "Connection: close", status="413 Content Too Large"))
        # Read no more until the client has stopped sending; a reset then loses no data.
        assert refused.wait(TIMEOUT_SECONDS)

    with playing(refuse) as url, contextlib.closing(tcp(url)) as client:
        client.send("POST", REQUEST, bytes(MANY_OCTETS), FOREVER)
        refused.set()
        assert client.receive_head().status == 413
        assert client.receive_content() == b"no"
        assert not client.is_reusable


def test_a_refusal_is_noticed_when_sending_fails() -> None:
    with paired() as pair:
        fill(pair.client._socket)
        pair.server.sendall(ok(b"no", "Connection: close", status="413 Content Too Large"))
        pair.client.send("POST", REQUEST, b"content", FOREVER)
        assert pair.client.receive_head().status == 413


def test_a_connection_to_a_server_that_is_gone_is_not_reused() -> None:
    here, gone = threading.Event(), threading.Event()

    def leave(connected: socket.socket) -> None:
        # If the reset came earlier, connect() itself would fail.
        assert here.wait(TIMEOUT_SECONDS)
        reset(connected)
        gone.set()

    with playing(leave) as url, contextlib.closing(tcp(url)) as client:
        here.set()
        assert gone.wait(TIMEOUT_SECONDS)
        client.send("GET", REQUEST, b"", FOREVER)
        assert not client.is_reusable


def test_a_server_that_answers_200_early_is_still_sent_the_rest() -> None:
    def answer_early(connected: socket.socket) -> None:
        receive_head(connected)
        connected.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        receive_exactly(connected, MANY_OCTETS // 2)
        connected.sendall(ok(b"early"))
        receive_exactly(connected, MANY_OCTETS // 2)

    with playing(answer_early) as url, contextlib.closing(tcp(url)) as client:
        client.send("POST", REQUEST, bytes(MANY_OCTETS), FOREVER)
        assert client.receive_head().status == 200
        assert client.receive_content() == b"early"


def test_responses_that_arrive_before_all_content_is_sent_are_read_in_turn() -> None:
    """The first response arrives while the client waits to send. The second one arrives while the client sends."""
    ours, server = socket.socketpair()
    server.setblocking(False)
    received = []
    answers = iter([ok(b"early")])

    def play(name: str, attributes: dict[str, Any], **_: bytes) -> None:
        if name in ("send", "parse"):
            with contextlib.suppress(BlockingIOError):
                while True:
                    received.append(server.recv(1 << 20))
        if attributes.get("status") == 102:
            server.sendall(next(answers))

    with server, contextlib.closing(ClientConnection(ours, ResponseLimits(), ClientTimeouts(), play)) as client:
        filling = fill(ours)
        server.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")

        client.send("POST", REQUEST, bytes(1 << 20), FOREVER)

        assert client.receive_head().status == 200
        assert client.receive_content() == b"early"
        assert b"".join(received) == bytes(filling) + REQUEST + bytes(1 << 20)


def test_a_server_that_leaves_while_content_is_sent_is_an_error() -> None:
    def leave(connected: socket.socket) -> None:
        receive_head(connected)
        reset(connected)

    gone = pytest.raises(IncompleteError, match="before any byte")
    with playing(leave) as url, contextlib.closing(tcp(url)) as client, gone:
        send_and_receive(client, bytes(MANY_OCTETS))


def test_a_reset_within_content_is_reported_with_the_missing_length() -> None:
    def break_off(connected: socket.socket) -> None:
        answering(ok(b"hello")[:-1])(connected)
        assert taken.wait(TIMEOUT_SECONDS)
        reset(connected)

    taken = threading.Event()
    with playing(break_off) as url, contextlib.closing(tcp(url)) as client:
        client.send("GET", REQUEST, b"", FOREVER)
        client.receive_head()
        assert client.receive_content() == b"hell"
        taken.set()
        with pytest.raises(IncompleteError, match="was reset after 4 of 5 bytes of content"):
            client.receive_content()


def test_a_connection_that_was_reset_while_idle_is_not_reused() -> None:
    def reset_later(connected: socket.socket) -> None:
        answering(ok())(connected)
        assert idle.wait(TIMEOUT_SECONDS)
        reset(connected)

    idle = threading.Event()
    with playing(reset_later) as url, contextlib.closing(tcp(url)) as client:
        client.send("GET", REQUEST, b"", FOREVER)
        client.receive_head()
        assert client.receive_content() == b""
        assert client.is_reusable
        idle.set()
        while client.is_reusable:
            pass
