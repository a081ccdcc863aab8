"""Helpers for all tests: a strict reader of responses, and functions that exchange octets with a server."""

import contextlib
import os
import re
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from httpsock.http.handler import Steps

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t -~]*)")
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([!-~](?:[\t -~]*[!-~])?)")
_WITHOUT_CONTENT = (204, 304)
# A test that waits longer than this for octets has failed.
TIMEOUT_SECONDS = 60


Result = TypeVar("Result")


def finish(work: Steps[Result]) -> Result:
    """Run the generator *work* to its end. Return its result."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: Result = stop.value
            return result


class Answer(NamedTuple):
    """A response after parsing."""

    status: int
    phrase: str
    fields: list[tuple[str, str]]
    content: bytes

    def field(self, name: str) -> str | None:
        """Return the value of the field called *name*. If it is missing, return None. If it occurs twice, fail."""
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        """The content as text."""
        return self.content.decode("utf-8")


def read_answer(octets: bytes, method: str = "GET") -> tuple[Answer, bytes]:
    """Parse the first response in *octets*. Return the response and the remaining octets.

    *method* is the method of the request. The head is checked against the grammar, and the content against
    Content-Length.
    """
    head, separator, rest = octets.partition(b"\r\n\r\n")
    assert separator, f"no complete head in {octets[:200]!r}"
    status_line, *field_lines = head.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    assert match, f"no status line: {status_line!r}"
    fields = []
    for line in field_lines:
        field = _FIELD_LINE.fullmatch(line)
        assert field, f"no field line: {line!r}"
        fields.append((field[1].decode(), field[2].decode()))
    answer = Answer(int(match[1]), match[2].decode(), fields, b"")
    assert answer.field("Transfer-Encoding") is None
    assert answer.field("Date")
    if answer.status in _WITHOUT_CONTENT:
        assert answer.field("Content-Length") is None
        return answer, rest
    if method == "HEAD":
        return answer, rest
    length = int(answer.field("Content-Length") or "-1")
    assert length >= 0, "a response with content says its length"
    assert len(rest) >= length, f"{len(rest)} octets of content, {length} promised"
    return answer._replace(content=rest[:length]), rest[length:]


def read_answers(octets: bytes, *methods: str) -> list[Answer]:
    """Parse all responses in *octets*.

    *methods* are the methods of the first requests. All further requests are GETs.
    """
    answers: list[Answer] = []
    while octets:
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        answer, octets = read_answer(octets, method)
        answers.append(answer)
    return answers


def connect(port: int, host: str = "127.0.0.1", *, source: str = "", buffer_octets: int = 0) -> socket.socket:
    """Connect to a server on this machine. *source* is the local address.

    A small receive buffer of *buffer_octets* makes the server wait until the client reads.
    """
    client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        client.settimeout(TIMEOUT_SECONDS)
        if buffer_octets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_octets)
        if source:
            client.bind((source, 0))
        client.connect((host, port))
    except OSError:
        client.close()
        raise
    return client


def receive_all(connected: socket.socket) -> bytes:
    """Receive until the peer closes its side of the connection."""
    parts = []
    while part := connected.recv(65536):
        parts.append(part)
    return b"".join(parts)


def exchange(port: int, octets: bytes, *, ends: bool = True, source: str = "") -> bytes:
    """Send *octets* on a new connection. Return everything that the server sends.

    If *ends* is true, close the client's side after *octets*. *source* is the local address.
    """
    with connect(port, source=source) as client:
        client.sendall(octets)
        if ends:
            client.shutdown(socket.SHUT_WR)
        return receive_all(client)


def receive_head(connected: socket.socket) -> bytes:
    """Receive exactly one head. If the peer closes its side early, return the part that arrived."""
    octets = b""
    while not octets.endswith(b"\r\n\r\n") and (octet := connected.recv(1)):
        octets += octet
    return octets


def receive_answer(client: socket.socket) -> Answer:
    """Receive exactly one response to a GET. The response must have a Content-Length."""
    octets = receive_head(client)
    remaining = int(octets.partition(b"\r\nContent-Length: ")[2].partition(b"\r")[0])
    while remaining:
        part = client.recv(min(remaining, 65536))
        assert part, "the connection ends before its response"
        octets += part
        remaining -= len(part)
    answer, rest = read_answer(octets)
    assert rest == b""
    return answer


def fill(sender: socket.socket) -> int:
    """Make *sender* non-blocking. Send zeros until its send buffer is full, and return the number of zeros."""
    sender.setblocking(False)
    count = 0
    # The last octets decide: the buffer may lack room for a block, but not for an octet.
    for block in (bytes(4096), b"\0"):
        with contextlib.suppress(BlockingIOError):
            while True:
                count += sender.send(block)
    return count


def fill_pipe(descriptor: int) -> int:
    """Write zeros into a pipe until it is full. Return the number of zeros."""
    os.set_blocking(descriptor, False)
    count = 0
    for block in (bytes(4096), b"\0"):
        with contextlib.suppress(BlockingIOError):
            while True:
                count += os.write(descriptor, block)
    os.set_blocking(descriptor, True)
    return count


def reset(connected: socket.socket) -> None:
    """Close a connection with a reset (RST), as if the program had crashed."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connected.close()


def is_refused(port: int) -> bool:
    """Return whether the port refuses a new connection because no socket listens."""
    # A client in the accept queue is reset when the listening socket closes.
    with contextlib.suppress(ConnectionResetError):
        try:
            connect(port).close()
        except ConnectionRefusedError:
            return True
    return False


def encoded(text: str | bytes) -> bytes:
    """Return *text* as octets. Octets are returned unchanged."""
    return text.encode() if isinstance(text, str) else text


def get(
    target: str | bytes,
    *field_lines: str | bytes,
    method: str = "GET",
    host: str = "localhost",
    version: str = "HTTP/1.1",
) -> bytes:
    """Return the octets of a request. The default method is GET."""
    request_line = b" ".join([method.encode(), encoded(target), version.encode()])
    return b"\r\n".join([request_line, f"Host: {host}".encode(), *map(encoded, field_lines), b"", b""])


def ask(
    port: int,
    target: str | bytes,
    *field_lines: str | bytes,
    method: str = "GET",
    content: bytes = b"",
    source: str = "",
) -> Answer:
    """Send one request on a new connection, and return its response. *source* is the client's address."""
    request = get(target, *field_lines, "Connection: close", method=method) + content
    answer, rest = read_answer(exchange(port, request, ends=False, source=source), method)
    assert rest == b""
    return answer


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a free TCP port. For SOCK_DGRAM, return a free UDP port."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], bool], seconds: float = TIMEOUT_SECONDS) -> bool:
    """Wait until *condition* is true. If it is still false after *seconds*, return False."""
    latest = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > latest:
            return False
        time.sleep(0.01)
    return True
