"""A client and the connection that serves it: a conversation over a pair of sockets, with a clock that the test sets.

Nothing runs by itself here. The test is the event loop: it sees each wait of the connection, and resumes it, or
throws TimeoutError when its deadline is over.
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


def _open(
    connected: socket.socket, settings: Settings, log: Callable[[Exchange], object] | None, now: float
) -> Connection:
    """Return the connection under test; the one place that knows how it is made."""
    return open_connection(connected, "192.0.2.7", settings, log, Tick(time.time(), now))


class Dialogue:
    """A client, the conversation with it, and the clock of both."""

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
        # Two responses of one moment have one Date.
        self._began = time.time()
        self.goes_on = True
        self.has_heard_the_end = False
        # Each state of the connection, in order.
        self.states = [State.NEW]
        self.connection = _open(self._connected, settings, self.exchanges.append if is_logged else None, self.now)
        self._step(next, self.connection.coroutine)

    def _step(self, step: Callable[[Any], Wait], argument: object) -> None:
        self.connection.tick = Tick(self._began + self.now - STARTED, self.now)
        try:
            wait = step(argument)
            while wait is None:
                self._enter(State.QUEUED)
                # There is no other connection that could receive first.
                wait = self.connection.coroutine.send(None)
            state, self.connection.deadline = wait
            self._enter(state)
        except StopIteration:
            self._enter(State.CLOSED)
            self.goes_on = False
            self.connection.close()

    def _enter(self, state: State) -> None:
        self.connection.state = state
        self.states.append(state)

    def resume(self) -> None:
        """Resume the conversation, whether its awaited event has happened or not."""
        if self.connection.state is State.SUSPENDED:
            # As the event loop does when the thread of the handler has finished.
            self._enter(State.QUEUED)
        self._step(self.connection.coroutine.send, None)

    def run(self) -> None:
        """Resume the conversation while its awaited event has happened."""
        while self.goes_on and self._is_ready():
            self.resume()

    def _is_ready(self) -> bool:
        watched = [self._connected]
        event = self.connection.state.event
        if event != WRITABLE:
            return event == READABLE and bool(select.select(watched, [], [], 0)[0])
        return bool(select.select([], watched, [], 0)[1])

    def pass_time(self, seconds: float) -> None:
        """Set the clock forward; overdue connections are closed then."""
        self.now += seconds
        if self.goes_on and self.now >= self.connection.deadline:
            self._step(self.connection.coroutine.throw, TimeoutError())

    @property
    def seconds_left(self) -> float:
        """The seconds until the conversation's deadline, to the microsecond."""
        return round(self.connection.deadline - self.now, 6)

    def say(self, octets: bytes) -> None:
        """Send all of *octets*, as fast as the conversation receives them."""
        remaining = memoryview(octets)
        while remaining:
            sent = self._send(remaining)
            before = self.connection.deadline, self._is_readable()
            self.run()
            assert sent or before[1], "the conversation does not read"
            remaining = remaining[sent:]

    def _send(self, octets: memoryview) -> int:
        try:
            return self.client.send(octets)
        except BlockingIOError:
            return 0

    def _is_readable(self) -> bool:
        return self.goes_on and bool(select.select([self._connected], [], [], 0)[0])

    def end_our_side(self) -> None:
        """End the client's side."""
        self.client.shutdown(socket.SHUT_WR)
        self.run()

    def hear(self, maximum: int | None = None) -> bytes:
        """Return the octets that the client can read now, at most *maximum*. A reset is an error."""
        heard = b""
        while maximum is None or len(heard) < maximum:
            self.run()
            try:
                octets = self.client.recv(65536 if maximum is None else maximum - len(heard))
            except BlockingIOError:
                break
            if not octets:
                self.has_heard_the_end = True
                break
            heard += octets
        return heard

    def answers(self, *methods: str) -> list[Answer]:
        """Return the responses that the client can read now, to requests with *methods*."""
        return read_answers(self.hear(), *methods)

    def answer(self, method: str = "GET") -> Answer:
        """Return the only response that the client can read now."""
        (answer,) = self.answers(method)
        return answer

    def close(self) -> None:
        """Close the conversation, as the event loop does in the end, and the client."""
        self.connection.coroutine.close()
        self.connection.close()
        self.goes_on = False
        self.client.close()


Begin = Callable[..., Dialogue]


def post(content: bytes, *field_lines: str, path: str = "/hello.txt", method: str = "POST") -> bytes:
    """Return a request with *content* and its length."""
    return get(path, *field_lines, f"Content-Length: {len(content)}", method=method) + content


def chunked(*chunks: bytes, method: str = "POST") -> bytes:
    """Return a request with content in *chunks*."""
    content = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return get("/hello.txt", "Transfer-Encoding: chunked", method=method) + content


def assert_goes_on(dialogue: Dialogue) -> None:
    """Assert that another request is answered."""
    dialogue.say(get("/alphabet.txt"))
    assert dialogue.answer().content == ALPHABET
    assert not dialogue.has_heard_the_end


def assert_is_over(dialogue: Dialogue) -> None:
    """Assert that the connection has ended, and that another request is not answered."""
    assert dialogue.has_heard_the_end
    if dialogue.goes_on:
        dialogue.say(get("/alphabet.txt"))
        assert dialogue.hear() == b""
        dialogue.end_our_side()
    assert not dialogue.goes_on
