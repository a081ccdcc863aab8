"""A dialogue: a client and the server's connection, joined by a pair of sockets. The test sets the clock.

There is no event loop. The connection is a coroutine that waits for events. When the event occurs, the dialogue itself
resumes the coroutine. If the deadline has passed, the dialogue throws TimeoutError into the coroutine.
"""

import select
import socket
import time
from collections.abc import Callable
from typing import Any

from httpsock.http.handler import Tick
from httpsock.server.access_log import Exchange
from httpsock.server.connection import Connection, open_connection
from httpsock.server.poller import READABLE, WRITABLE
from httpsock.server.sending import Wait
from httpsock.server.settings import Settings, Timeouts
from httpsock.server.state import State
from tests.support import Answer, get, read_answers
from tests.support.folder import ALPHABET

TIMEOUTS = Timeouts(head=10, idle=20, stall=30, content=60, linger=2, linger_total=10)
MAX_CONTENT = 64
STARTED = 1000.0
MUCH = 10 * 1024 * 1024
# The reasons of a 408 when a connection is evicted.
EVICTED_HEAD = "the head was not complete when another client needed the connection (RFC 9110 §15.5.9)"
EVICTED_CONTENT = EVICTED_HEAD.replace("head", "content")


def _open(
    connected: socket.socket, settings: Settings, log: Callable[[Exchange], object] | None, now: float
) -> Connection:
    """Return the connection under test."""
    return open_connection(connected, "192.0.2.7", settings, log, Tick(time.time(), now))


class Dialogue:
    """A client's socket, the server's connection, and a clock that the test sets."""

    def __init__(self, settings: Settings, *, is_logged: bool = True, buffered_octets: int | None = None) -> None:
        self.client, self._connected = socket.socketpair()
        self.client.setblocking(False)
        self._connected.setblocking(False)
        if buffered_octets is not None:
            # The buffers are small, so that a large response has to wait for a slow reader.
            self._connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffered_octets)
        self.settings = settings
        self.exchanges: list[Exchange] = []
        self.now = STARTED
        # Use one time for all responses, so that they have the same Date.
        self._began = time.time()
        self.is_open = True
        self.has_received_end = False
        # All states of the connection so far, in order.
        self.states = [State.NEW]
        self.connection = _open(self._connected, settings, self.exchanges.append if is_logged else None, self.now)
        self._step(next, self.connection.coroutine)

    def _step(self, step: Callable[[Any], Wait], argument: object) -> None:
        self.connection.tick = Tick(self._began + self.now - STARTED, self.now)
        try:
            wait = step(argument)
            while wait is None:
                self._enter(State.QUEUED)
                # None means a new tick, for other connections; here there are none, so go on.
                wait = self.connection.coroutine.send(None)
            state, self.connection.deadline = wait
            self._enter(state)
        except StopIteration:
            self._enter(State.CLOSED)
            self.is_open = False
            self.connection.close()

    def _enter(self, state: State) -> None:
        self.connection.state = state
        self.states.append(state)

    def resume(self) -> None:
        """Resume the connection, even if the event for which it waits has not occurred."""
        if self.connection.state is State.SUSPENDED:
            # The event loop sets this state when the thread of the handler has finished.
            self._enter(State.QUEUED)
        self._step(self.connection.coroutine.send, None)

    def run(self) -> None:
        """Resume the connection until it must wait for an event."""
        while self.is_open and self._is_ready():
            self.resume()

    def _is_ready(self) -> bool:
        watched = [self._connected]
        event = self.connection.state.event
        if event != WRITABLE:
            return event == READABLE and bool(select.select(watched, [], [], 0)[0])
        return bool(select.select([], watched, [], 0)[1])

    def pass_time(self, seconds: float) -> None:
        """Advance the clock. If the deadline has passed, throw TimeoutError into the connection."""
        self.now += seconds
        if self.is_open and self.now >= self.connection.deadline:
            self._step(self.connection.coroutine.throw, TimeoutError())

    def evict(self) -> None:
        """Evict the connection, as the event loop does at the connection limit."""
        self._step(self.connection.coroutine.throw, TimeoutError())

    @property
    def seconds_left(self) -> float:
        """The seconds until the connection's deadline, rounded to microseconds."""
        return round(self.connection.deadline - self.now, 6)

    def send(self, octets: bytes) -> None:
        """Send *octets* as the client, and let the connection receive all of them."""
        remaining = memoryview(octets)
        while remaining:
            sent = self._send_now(remaining)
            before = self.connection.deadline, self._is_readable()
            self.run()
            assert sent or before[1], "the connection does not read"
            remaining = remaining[sent:]

    def _send_now(self, octets: memoryview) -> int:
        try:
            return self.client.send(octets)
        except BlockingIOError:
            return 0

    def _is_readable(self) -> bool:
        return self.is_open and bool(select.select([self._connected], [], [], 0)[0])

    def end_our_side(self) -> None:
        """Shut down the client's sending side."""
        self.client.shutdown(socket.SHUT_WR)
        self.run()

    def receive(self, maximum: int | None = None) -> bytes:
        """Return at most *maximum* octets that the client can read now. If the connection was reset, raise OSError."""
        arrived = b""
        while maximum is None or len(arrived) < maximum:
            self.run()
            try:
                octets = self.client.recv(65536 if maximum is None else maximum - len(arrived))
            except BlockingIOError:
                break
            if not octets:
                self.has_received_end = True
                break
            arrived += octets
        return arrived

    def answers(self, *methods: str) -> list[Answer]:
        """Read and return all responses that have arrived. *methods* are the methods of their requests."""
        return read_answers(self.receive(), *methods)

    def answer(self, method: str = "GET") -> Answer:
        """Read and return the only response that has arrived."""
        (answer,) = self.answers(method)
        return answer

    def close(self) -> None:
        """Close the connection as an event loop does. Then close the client's socket."""
        self.connection.coroutine.close()
        self.connection.close()
        self.is_open = False
        self.client.close()


Begin = Callable[..., Dialogue]


def post(content: bytes, *field_lines: str, path: str = "/hello.txt", method: str = "POST") -> bytes:
    """Return a request with *content* and a Content-Length."""
    return get(path, *field_lines, f"Content-Length: {len(content)}", method=method) + content


def chunked(*chunks: bytes, method: str = "POST") -> bytes:
    """Return a request that sends *chunks* with chunked transfer coding."""
    content = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return get("/hello.txt", "Transfer-Encoding: chunked", method=method) + content


def assert_persists(dialogue: Dialogue) -> None:
    """Assert that the connection is still open and answers another request."""
    dialogue.send(get("/alphabet.txt"))
    assert dialogue.answer().content == ALPHABET
    assert not dialogue.has_received_end


def assert_is_closed(dialogue: Dialogue) -> None:
    """Assert that the connection has ended and answers no further request."""
    assert dialogue.has_received_end
    if dialogue.is_open:
        dialogue.send(get("/alphabet.txt"))
        assert dialogue.receive() == b""
        dialogue.end_our_side()
    assert not dialogue.is_open
