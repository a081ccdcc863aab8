"""Check the status and the content of each server's answers before the server is measured.

If a server gives a wrong answer, the workload is measured without this server. The report has the reason.
"""

import contextlib
import pathlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, NamedTuple

from .workloads import Workload, numbered, requests_of

_TIMEOUT_SECONDS = 30.0
# Every number that replaces {n} has seven digits, so that all heads have the same length.
FIRST_NUMBER = 1_000_000
# The suffix of the sibling file in each content coding.
_SUFFIXES = {"": "", "gzip": ".gz", "br": ".br"}


class WrongAnswerError(Exception):
    """A server's answer differs from the answer that the workload requires. The message describes the difference."""


class Answer(NamedTuple):
    """A response. *octets* is the length of the head, the framing and the content. Field names are in lower case."""

    status: int
    fields: dict[str, str]
    content: bytes
    octets: int


class Expected(NamedTuple):
    """The requests for wrk, and the answer that wrk must get. *length* is the length of the content."""

    requests: list[str]
    status: int
    length: int
    min_octets: int
    max_octets: int


def read_answer(stream: BinaryIO, method: str = "GET") -> Answer:
    """Read the next response. Raise WrongAnswerError if the response is incomplete."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            raise WrongAnswerError("closed the connection before its answer was complete")
        head += line
    status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(status_line.split()[1])
    if method == "HEAD" or status in (204, 304):
        content, framing = b"", 0
    elif fields.get("transfer-encoding", "").lower() == "chunked":
        content, framing = _read_chunks(stream)
    else:
        content, framing = stream.read(int(fields.get("content-length", -1))), 0
    if method != "HEAD" and status != 304 and len(content) < int(fields.get("content-length", 0)):
        raise WrongAnswerError("closed the connection before its content was complete")
    return Answer(status, fields, content, len(head) + len(content) + framing)


def _read_chunks(stream: BinaryIO) -> tuple[bytes, int]:
    """Read chunked content. Return the content, and the number of octets that the framing took."""
    content, framing = b"", 0
    while True:
        line = stream.readline()
        size = int(line.partition(b";")[0], 16)
        content += stream.read(size)
        framing += len(line) + len(stream.readline())
        if not size:
            return content, framing


@contextlib.contextmanager
def connection(port: int) -> Iterator[tuple[socket.socket, BinaryIO]]:
    """Connect to *port*. Yield the socket, and a stream to read the answers from."""
    with (
        socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS) as connected,
        connected.makefile("rb") as stream,
    ):
        yield connected, stream


def ask(port: int, request: str) -> Answer:
    """Send one request on a new connection. Return the answer."""
    with connection(port) as (connected, stream):
        connected.sendall(numbered(request, FIRST_NUMBER))
        return read_answer(stream, request.partition(" ")[0])


def expect(workload: Workload, port: int, root: pathlib.Path) -> Expected:
    """Send each request of *workload* and check the answer. Return the requests, and the answer that wrk must get."""
    requests = [with_validators(request, partial(ask, port)) for request in requests_of(workload, port)]
    lengths, octets = set(), set()
    for request in requests:
        answer = ask(port, request)
        _check(workload, request, answer, root)
        lengths.add(len(answer.content))
        octets.add(answer.octets)
    return Expected(requests, workload.status, max(lengths), min(octets), max(octets))


def with_validators(request: str, answer_to: Callable[[str], Answer]) -> str:
    """Replace {validators} in *request* with an If-None-Match or If-Modified-Since field.

    To get the value of the field, first send the request without this field.
    """
    if "{validators}" not in request:
        return request
    answer = answer_to(request.replace("{validators}", ""))
    if etag := answer.fields.get("etag"):
        return request.replace("{validators}", f"If-None-Match: {etag}\r\n")
    if last_modified := answer.fields.get("last-modified"):
        return request.replace("{validators}", f"If-Modified-Since: {last_modified}\r\n")
    raise WrongAnswerError("sends neither ETag nor Last-Modified")


def _check(workload: Workload, request: str, answer: Answer, root: pathlib.Path) -> None:
    """Raise WrongAnswerError if *answer* has a wrong status, coding or content. A listing must have its last file."""
    if answer.status != workload.status:
        raise WrongAnswerError(f"answers {answer.status}, not {workload.status}")
    path = request.split()[1].partition("?")[0]
    coding = answer.fields.get("content-encoding", "")
    if answer.status != 304 and coding not in workload.codings:
        raise WrongAnswerError(f"sends Content-Encoding: {coding or 'none'}")
    if path.endswith("/"):
        last = max((root / path.strip("/")).iterdir()).name
        if last.encode() not in answer.content:
            raise WrongAnswerError(f"does not list {last}")
    elif workload.method == "HEAD":
        if answer.fields.get("content-length") != str(workload.length):
            raise WrongAnswerError(f"promises {answer.fields.get('content-length')} octets, not {workload.length}")
    elif answer.status != 304:
        file = root / (path.strip("/") + _SUFFIXES[coding])
        with file.open("rb") as opened:
            opened.seek(workload.first)
            if answer.content != opened.read(-1 if workload.length is None else workload.length):
                raise WrongAnswerError("sends other octets than the file's")
