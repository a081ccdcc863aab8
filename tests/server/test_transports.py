"""Transports other than plain TCP: TLS, and a transport whose send() waits for input."""

import pathlib
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import httpsock
from httpsock.handlers.checked import checked
from httpsock.http.handler import Context, Steps
from httpsock.http.messages import Request, Response, Sleep, Stream
from httpsock.server.access_log import Exchange
from httpsock.server.connection_limit import evictable
from httpsock.server.poller import READABLE, WRITABLE
from httpsock.server.settings import Settings
from httpsock.server.state import State
from httpsock.server.transport import PlainTransport, WouldBlock
from tests.server.dialogue import TIMEOUTS, Begin, Dialogue, post
from tests.support import connect, get, read_answer, read_answers, receive_all, receive_answer
from tests.support.folder import ALPHABET, HELLO, LARGE
from tests.support.h11_reader import read_with_h11
from tests.support.tls import TLSTransport, make_certificate
from tests.support.tools import tool

TEXT = (("Content-Type", "text/plain"),)
Serve = Callable[..., httpsock.Server]
Encrypt = Callable[[socket.socket], ssl.SSLSocket]

# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, pathlib.Path]:
    openssl = tool("openssl")
    folder = tmp_path_factory.mktemp("tls")
    return make_certificate(folder, openssl), folder / "certificate"


@pytest.fixture
def transport(certificate: tuple[ssl.SSLContext, pathlib.Path]) -> Callable[[socket.socket], TLSTransport]:
    return partial(TLSTransport, context=certificate[0])


@pytest.fixture
def trust(certificate: tuple[ssl.SSLContext, pathlib.Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[1]))


@pytest.fixture
def encrypt(trust: ssl.SSLContext) -> Encrypt:
    """Return a function that starts TLS on a client's connected socket."""
    return lambda connected: trust.wrap_socket(connected, server_hostname="localhost")


def echo(request: Request, context: Context) -> Steps[Response]:
    """Answer with the scheme and the content of the request."""
    content = context.scheme.encode()
    while octets := (yield from context.read_content()):
        content += octets
    return Response(200, TEXT, content)


def test_files_are_served_over_tls(serve: Serve, folder: pathlib.Path, transport: object, encrypt: Encrypt) -> None:
    exchanges: list[Exchange] = []
    server = serve(folder, transport=transport, log=exchanges.extend)
    with encrypt(connect(server.port)) as client:
        client.sendall(get("/hello.txt") + get("/large.bin") + get("/alphabet.txt") + get("/none"))
        assert [receive_answer(client).content for _ in range(3)] == [HELLO, LARGE, ALPHABET]
        assert receive_answer(client).status == 404
    server.wait_for_log()
    assert [exchange.sent for exchange in exchanges[:3]] == [len(HELLO), len(LARGE), len(ALPHABET)]


def test_a_slow_reader_gets_a_large_file_over_tls(
    serve: Serve, folder: pathlib.Path, transport: object, encrypt: Encrypt
) -> None:
    """If the kernel's send buffer is full, a TLS record must wait."""
    (folder / "larger.bin").write_bytes(LARGE * 40)
    server = serve(folder, transport=transport)
    with encrypt(connect(server.port, buffer_octets=4096)) as client, encrypt(connect(server.port)) as other:
        client.sendall(get("/larger.bin", "Connection: close"))
        # When another client is answered, the server waits for this slow reader.
        other.sendall(get("/hello.txt"))
        assert receive_answer(other).content == HELLO

        answer, rest = read_answer(receive_all(client))

    assert (answer.content == LARGE * 40, rest) == (True, b"")


def test_content_and_100_pass_over_tls(serve: Serve, transport: object, encrypt: Encrypt) -> None:
    server = serve(None, handler=echo, transport=transport)
    content = bytes(range(256)) * 256
    with encrypt(connect(server.port)) as client:
        client.sendall(get("/", f"Content-Length: {len(content)}", "Expect: 100-continue", method="POST"))
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(content)
        assert receive_answer(client).content == b"https" + content
        client.sendall(post(b"next"))
        assert receive_answer(client).content == b"httpsnext"


def test_a_stream_passes_over_tls(serve: Serve, transport: object, encrypt: Encrypt) -> None:
    def chunks() -> Iterator[bytes | Sleep]:
        for _ in range(3):
            yield bytes(100_000)
            yield Sleep(0.01)

    server = serve(None, handler=lambda *_: Response(200, TEXT, Stream(chunks())), transport=transport)
    with encrypt(connect(server.port)) as client:
        client.sendall(get("/", "Connection: close"))
        received, _ = read_with_h11(receive_all(client), has_ended=True)
    assert (received.content == bytes(300_000), received.is_whole) == (True, True)


def test_the_end_of_a_tls_connection_is_authenticated(serve: Serve, transport: object, encrypt: Encrypt) -> None:
    """close_notify proves that the content is complete (RFC 8446 §6.1)."""
    server = serve(None, handler=echo, transport=transport)
    with encrypt(connect(server.port)) as client:
        client.sendall(get("/", version="HTTP/1.0"))
        # Without close_notify this would raise SSLEOFError.
        assert receive_all(client).endswith(b"https")
        client.unwrap()


def test_a_handshake_may_arrive_octet_by_octet(
    serve: Serve, folder: pathlib.Path, transport: object, trust: ssl.SSLContext
) -> None:
    server = serve(folder, transport=transport)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with connect(server.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for octet in outgoing.read():
                    client.send(b"%c" % octet)
                incoming.write(client.recv(65536))
        tls.write(get("/hello.txt", "Connection: close"))
        client.sendall(outgoing.read())
        incoming.write(receive_all(client))
        assert tls.read(65536).endswith(HELLO)


@pytest.mark.parametrize(
    "octets", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"\x16\x03\x01"], ids=["http", "end", "cut"]
)
def test_a_client_that_fails_the_handshake_is_closed_silently(
    serve: Serve, folder: pathlib.Path, transport: object, octets: bytes
) -> None:
    reports: list[str] = []
    exchanges: list[Exchange] = []
    server = serve(folder, transport=transport, report=reports.append, log=exchanges.extend)
    with connect(server.port) as client:
        client.sendall(octets)
        client.shutdown(socket.SHUT_WR)
        arrived = receive_all(client)
    assert not arrived.startswith(b"HTTP")
    server.stop()
    assert (reports, exchanges) == ([], [])


def test_a_handshake_has_the_deadline_of_a_head(begin: Begin, settings: Settings, transport: object) -> None:
    settings.transport = transport  # type: ignore[assignment]
    dialogue = begin()
    assert state_of(dialogue) is State.HANDSHAKE_IN
    assert dialogue.seconds_left == TIMEOUTS.head

    dialogue.pass_time(TIMEOUTS.head)

    assert not dialogue.is_open


def test_a_handshake_may_be_evicted_after_two_seconds(begin: Begin, settings: Settings, transport: object) -> None:
    settings.transport = transport  # type: ignore[assignment]
    dialogue = begin()
    dialogue.send(b"\x16\x03\x01")
    dialogue.pass_time(1.9)
    assert evictable([dialogue.connection], dialogue.now, TIMEOUTS) == []
    dialogue.pass_time(0.1)
    assert evictable([dialogue.connection], dialogue.now, TIMEOUTS) == [dialogue.connection]

    dialogue.evict()

    assert not dialogue.is_open
    assert dialogue.receive() == b""


# --- A transport that waits for the other direction -----------------------------------------------


class ContraryTransport(PlainTransport):
    """A transport that waits for input before it sends, and for buffer space before it receives.

    TLS may do this during a key update.
    """

    __slots__ = ("calls",)

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        self.calls: list[str] = []
        self.recv = self._recv_late
        self.send = self._send_late

    def _waits(self, call: str, event: int) -> None:
        if self.calls[-1:] != [call]:
            self.calls.append(call)
            raise WouldBlock(event)
        self.calls.append("")

    def handshake(self) -> bool:
        if self.calls[:2] != ["in", "out"]:
            self.calls.append("out" if self.calls else "in")
            raise WouldBlock(WRITABLE if self.calls[1:] else READABLE)
        return True

    def _recv_late(self, maximum: int) -> bytes:
        self._waits("recv", WRITABLE)
        return self._socket.recv(maximum)

    def _send_late(self, octets: bytes | memoryview, flags: int = 0) -> int:
        self._waits("send", READABLE)
        # Send only a part, so that the next call has to wait.
        return self._socket.send(octets[:10_000], flags)

    def send_both(self, first: bytes, second: bytes) -> int:
        return self.send(first + second)

    has_sendfile = False

    def end(self) -> None:
        self._waits("end", WRITABLE)
        super().end()


def state_of(dialogue: Dialogue) -> State:
    return dialogue.connection.state


@pytest.fixture
def contrary(settings: Settings, begin: Begin) -> Begin:
    settings.transport = ContraryTransport

    def start(**options: Any) -> Dialogue:
        dialogue = begin(**options)
        assert state_of(dialogue) is State.HANDSHAKE_IN
        dialogue.resume()
        # The socket is writable, so the second wait of the handshake is over immediately.
        assert state_of(dialogue) is State.HANDSHAKE_OUT
        dialogue.run()
        assert state_of(dialogue) is State.NEW
        assert dialogue.seconds_left == TIMEOUTS.idle
        return dialogue

    return start


def receive_on(dialogue: Dialogue) -> bytes:
    """Return all octets that the client can read. If send() waits for input, resume the connection without input."""
    arrived = b""
    while True:
        octets = dialogue.receive()
        arrived += octets
        if dialogue.is_open and state_of(dialogue) is State.SENDING_IN:
            # The transport waits to receive before it can send.
            assert dialogue.connection._transport.calls[-1] == "send"  # type: ignore[attr-defined]
            dialogue.resume()
        elif not octets:
            return arrived


@pytest.mark.parametrize("path", ["/hello.txt", "/large.bin", "/alphabet.txt"])
def test_each_direction_may_wait_for_the_other(contrary: Begin, path: str) -> None:
    dialogue = contrary()
    for _ in range(2):
        dialogue.send(get(path))
        assert state_of(dialogue) is State.SENDING_IN
        assert evictable([dialogue.connection], dialogue.now + TIMEOUTS.slow, TIMEOUTS) == []

        (answer,) = read_answers(receive_on(dialogue))

        assert answer.content == {"/hello.txt": HELLO, "/large.bin": LARGE, "/alphabet.txt": ALPHABET}[path]
        assert state_of(dialogue) is State.IDLE
    dialogue.end_our_side()
    assert not dialogue.is_open


def test_a_head_in_pieces_may_wait_for_the_other_direction(contrary: Begin) -> None:
    dialogue = contrary()
    dialogue.send(get("/hello.txt")[:10])
    assert state_of(dialogue) is State.RECEIVING
    dialogue.send(get("/hello.txt")[10:])

    (answer,) = read_answers(receive_on(dialogue))

    assert answer.content == HELLO


def test_content_may_wait_for_the_other_direction(contrary: Begin, settings: Settings) -> None:
    settings.handler = checked(echo)
    dialogue = contrary()
    dialogue.send(get("/", "Content-Length: 3", method="POST"))
    assert state_of(dialogue) is State.CONTENT
    dialogue.send(b"a")
    assert state_of(dialogue) is State.CONTENT
    dialogue.send(b"bc")

    (answer,) = read_answers(receive_on(dialogue))

    assert answer.content == b"httpabc"


def test_content_times_out_while_its_transport_waits_to_send(contrary: Begin, settings: Settings) -> None:
    settings.handler = checked(echo)
    dialogue = contrary()
    dialogue.send(get("/", "Content-Length: 3", method="POST"))
    # This octet resumes the connection, which then waits to send.
    dialogue.client.send(b"a")
    dialogue.resume()
    assert state_of(dialogue) is State.HANDSHAKE_OUT

    dialogue.pass_time(TIMEOUTS.stall)

    (answer,) = read_answers(receive_on(dialogue))
    assert answer.status == 408


def test_the_end_may_wait_for_the_other_direction(contrary: Begin) -> None:
    dialogue = contrary()
    dialogue.send(get("/hello.txt", "Connection: close"))

    (answer,) = read_answers(receive_on(dialogue))

    assert answer.content == HELLO
    assert dialogue.has_received_end
    assert state_of(dialogue) is State.LINGERING


def test_after_waiting_for_input_sending_may_wait_for_room(contrary: Begin, folder: pathlib.Path) -> None:
    dialogue = contrary(buffered_octets=4096)
    (folder / "larger.bin").write_bytes(LARGE * 8)
    dialogue.send(get("/larger.bin"))
    answer, rest = read_answer(receive_on(dialogue))

    assert (answer.content == LARGE * 8, rest) == (True, b"")
