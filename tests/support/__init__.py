"""Shared by tests: a strict reader of responses, and ways to talk to a server in octets."""

import re
import socket
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from httpsock.http.steps import Steps

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t -~]*)")
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([!-~](?:[\t -~]*[!-~])?)")
_WITHOUT_CONTENT = (204, 304)
# A test that waits longer than this for octets has failed.
PATIENCE_SECONDS = 20


Result = TypeVar("Result")


def finish(work: Steps[Result]) -> Result:
    """Return the result of *work*, done without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: Result = stop.value
            return result


class Answer(NamedTuple):
    """One response as read from a connection."""

    status: int
    phrase: str
    fields: list[tuple[str, str]]
    content: bytes

    def field(self, name: str) -> str | None:
        """Return the value of the field *name*, which must not occur twice, or None."""
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        """The content as text."""
        return self.content.decode("utf-8")


def read_answer(octets: bytes, method: str = "GET") -> tuple[Answer, bytes]:
    """Return the first response in *octets* to a request with *method*, and the octets after it.

    Every octet of the head is held against the grammar, and the content against its Content-Length.
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
    """Return the responses in *octets*, to requests with *methods* in turn (GET where none is given)."""
    answers: list[Answer] = []
    while octets:
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        answer, octets = read_answer(octets, method)
        answers.append(answer)
    return answers


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a connection to a server on this machine."""
    return socket.create_connection((host, port), timeout=PATIENCE_SECONDS)


def receive_all(connected: socket.socket) -> bytes:
    """Return all that the peer sends until it ends its side."""
    parts = []
    while part := connected.recv(65536):
        parts.append(part)
    return b"".join(parts)


def talk(port: int, octets: bytes, *, ends: bool = True) -> bytes:
    """Connect, send *octets*, and if *ends* end this side; return all that the server sends."""
    with connect(port) as client:
        client.sendall(octets)
        if ends:
            client.shutdown(socket.SHUT_WR)
        return receive_all(client)


def get(path: str, *field_lines: str, method: str = "GET") -> bytes:
    """Return the octets of a request for *path*."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *field_lines, "", ""]).encode()


def free_port() -> int:
    """Return a port that no program listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Return whether *condition* becomes true within *seconds*."""
    latest = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > latest:
            return False
        time.sleep(0.01)
    return True
