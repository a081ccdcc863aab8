"""Broken servers: for each check, some server here fails it. This proves that the check works.

A behaviour is a function from a request to the octets of a response. Many checks first send a plain GET of a file, to
find out whether they apply. Most behaviours therefore answer a plain GET correctly.
"""

import itertools
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from pathlib import Path

from conformance.live.site import DIGITS, MODIFIED, OUTSIDE_MARK, SPARSE_OCTETS

Behaviour = Callable[[bytes], bytes]

# The content of the known file, and texts that no response must contain.
_LEAKS = DIGITS + OUTSIDE_MARK + b"nobody shall read this <script>alert <b>bold secret-one no percent sign\n"
_TRUE_FIELDS = {
    "ETag": '"tag"',
    "Last-Modified": formatdate(MODIFIED, usegmt=True),
    "Content-Type": "text/plain; charset=utf-8",
    "Vary": "Accept-Encoding",
    "Cache-Control": "no-cache",
    "Expires": formatdate(MODIFIED, usegmt=True),
    "Content-Location": "/digits.txt",
}
_FALSE_FIELDS = {
    "Server": "A/1 (System) B/2 C/3",
    "ETag": "unquoted",
    "Last-Modified": formatdate(4_102_444_800, usegmt=True),
    "Location": "//evil.example/",
    "X-Injected": "1",
    "Content-Encoding": "compress",
    "Allow": "POST, PUT, DELETE, PATCH",
    "Content-Range": "bytes 0-0/1",
    "Content-Type": "text/html; charset=iso-8859-1",
    "Content-Digest": "sha-256=:AAAA:",
    "Repr-Digest": "sha-512=:AAAA:",
    "Cache-Control": "immutable",
}


def respond(status: int, content: bytes = b"", **fields: str) -> bytes:
    """Return a response. An underscore in a field name becomes a hyphen."""
    lines = [f"HTTP/1.1 {status} Broken", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + content


def _now() -> str:
    return formatdate(usegmt=True)


def answer_always(status: int, request: bytes) -> bytes:
    """Answer every request with *status*, and with fields and content that are wrong for this status."""
    return respond(status, _LEAKS, **_FALSE_FIELDS)


def answer_the_file(request: bytes) -> bytes:
    """Answer every request with the entire file digits.txt."""
    return respond(200, DIGITS, Date=_now(), **_TRUE_FIELDS)


def answer_plain(behaviour: Behaviour, root: Path, request: bytes) -> bytes:
    """Answer a plain GET of a file correctly. Answer any other request with *behaviour*."""
    line, *fields = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, target, _ = line.decode("latin-1").split(" ", 2) if line.count(b" ") >= 2 else ("", "", "")
    names = {field.partition(b":")[0] for field in fields}
    path = root / target.lstrip("/")
    file = path / "index.html" if target.endswith("/") else path
    if method != "GET" or names - {b"Host", b"Connection"} or not target.isascii() or ".." in target:
        return behaviour(request)
    if not file.is_file() or len(target) > 200:
        return behaviour(request)
    return respond(200, file.read_bytes(), Date=_now(), **_TRUE_FIELDS)


def answer_wrong_ranges(content_range: str, octets: bytes, request: bytes) -> bytes:
    """Answer every request with a 206 that has *content_range* and *octets* but lacks necessary fields."""
    return respond(206, octets, Content_Range=content_range, Content_Type="text/html")


def answer_multipart(content: bytes, request: bytes) -> bytes:
    """Answer with a multipart 206. Its content is *content*."""
    return respond(206, content, Content_Type="multipart/byteranges; boundary=edge")


def answer_twice_framed(request: bytes) -> bytes:
    """Answer 400 with both Content-Length and Transfer-Encoding."""
    return respond(400, DIGITS, Transfer_Encoding="chunked")


def answer_conditions_first(request: bytes) -> bytes:
    """If a request has a precondition, answer with 412. Otherwise answer with 404."""
    return respond(412 if b"\nIf-" in request else 404)


def answer_a_large_file(request: bytes) -> bytes:
    """Answer range requests correctly for the file of ten bytes, and wrongly for the file of 5 GiB."""
    if request.startswith(b"HEAD"):
        return b"HTTP/1.1 200 Broken\r\nContent-Length: %d\r\n\r\n" % SPARSE_OCTETS
    if b"/digits.txt" in request:
        return respond(206, b"12", Content_Range="bytes 1-2/10")
    return respond(206, b"12", Content_Range=f"bytes 1-2/{SPARSE_OCTETS}")


def answer_one_form_of_date(request: bytes) -> bytes:
    """Evaluate a precondition only if its date is an IMF-fixdate. Ignore dates in the obsolete forms."""
    if f"If-Modified-Since: {_TRUE_FIELDS['Last-Modified']}".encode() in request:
        return respond(304)
    return respond(412) if b"If-Unmodified-Since: Sun, 06 Nov 1994" in request else answer_the_file(request)


def answer_without_length(request: bytes) -> bytes:
    """Answer with the file but without a length. Only the close of the connection ends the content."""
    return b"HTTP/1.1 200 Broken\r\n\r\n" + DIGITS


def answer_anew(count: Iterator[int], request: bytes) -> bytes:
    """Answer each request with new content and a new ETag, made from the next number in *count*."""
    number = next(count)
    return respond(200, b"%d" % number, ETag=f'"{number}"')


def answer_nothing(request: bytes) -> bytes:
    """Answer with no octets."""
    return b""


def behaviours(root: Path) -> dict[str, Behaviour]:
    """Return all behaviours by name. *root* is the folder with the files for correct answers."""
    statuses = (200, 206, 301, 304, 400, 404, 405, 412, 416, 500)
    always: dict[str, Behaviour] = {f"always {status}": partial(answer_always, status) for status in statuses}
    always["always the file"] = answer_the_file
    always["framed twice"] = answer_twice_framed
    always["conditions first"] = answer_conditions_first
    always["a large file wrongly"] = answer_a_large_file
    always["one form of date"] = answer_one_form_of_date
    always["no length"] = answer_without_length
    always["never the same"] = partial(answer_anew, itertools.count())
    always["no octets"] = answer_nothing
    always["wrong octets"] = partial(answer_wrong_ranges, "bytes 1-2/10", b"ab")
    always["a part without the end"] = partial(answer_multipart, b"--edge\r\nContent-Range: bytes 1-2/10\r\n\r\n12\r\n")
    always["two lines joined"] = partial(
        answer_multipart, b"--edge\r\nContent-Range: bytes 1-2/10\r\n\r\n12\r\n--edge--\r\n"
    )
    always["a hundred times the file"] = partial(answer_wrong_ranges, "bytes 0-9/10", bytes(7 << 20))
    return always | {
        f"{name}, if not plain": partial(answer_plain, behaviour, root) for name, behaviour in always.items()
    }


class Handler(socketserver.BaseRequestHandler):
    """Answers requests with the server's behaviour.

    If a second request follows a request that asks to close, the handler wrongly answers both requests.
    """

    server: "BrokenServer"

    def handle(self) -> None:
        """Receive requests and answer them. After a request with Connection: close, receive no more."""
        self.request.settimeout(0.05)
        received, is_last = b"", False
        try:
            while not is_last and (octets := self.request.recv(1 << 16)):
                received += octets
                while b"\r\n\r\n" in received:
                    head, _, received = received.partition(b"\r\n\r\n")
                    self.request.sendall(self.server.behaviour(head + b"\r\n\r\n"))
                    is_last |= b"\nconnection: close" in head.lower()
        except OSError:
            # The client has closed the connection, or has sent no request within the time-out.
            pass


class BrokenServer(socketserver.ThreadingTCPServer):
    """A server with one behaviour, on a free port of the loopback address."""

    daemon_threads = True
    block_on_close = True
    request_queue_size = 64

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour

    @property
    def address(self) -> tuple[str, int]:
        """The server's host and port."""
        return "127.0.0.1", int(self.server_address[1])


@contextmanager
def running(behaviour: Behaviour) -> Iterator[tuple[str, int]]:
    """Run a broken server and yield its address."""
    with BrokenServer(behaviour) as broken:
        thread = threading.Thread(target=partial(broken.serve_forever, poll_interval=0.01))
        thread.start()
        try:
            yield broken.address
        finally:
            broken.shutdown()
            thread.join()
