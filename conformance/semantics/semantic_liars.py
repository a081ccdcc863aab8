"""Servers that lie on purpose: for each check of the static semantics there is one that it must catch.

A lie is a function from one request to the octets of an answer. A plain GET of a file that exists is answered truly by
most, since a check asks so whether there is anything to check.
"""

import itertools
import socketserver
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial
from pathlib import Path

from conformance.live.site import DIGITS, MODIFIED, OUTSIDE_MARK, SPARSE_OCTETS

Lie = Callable[[bytes], bytes]

# All that should not be in an answer, besides the known file.
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
}


def say(status: int, content: bytes = b"", **fields: str) -> bytes:
    """Return a response; in the names of *fields*, _ stands for a hyphen."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + content


def _now() -> str:
    return formatdate(usegmt=True)


def tell_always(status: int, request: bytes) -> bytes:
    """Return the same for all requests, with everything that does not belong there."""
    return say(status, _LEAKS, **_FALSE_FIELDS)


def tell_the_file(request: bytes) -> bytes:
    """Return the whole known file for all requests."""
    return say(200, DIGITS, Date=_now(), **_TRUE_FIELDS)


def tell_plain(lie: Lie, root: Path, request: bytes) -> bytes:
    """Return the truth where a file is asked for without conditions, else what *lie* says."""
    line, *fields = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, target, _ = line.decode("latin-1").split(" ", 2) if line.count(b" ") >= 2 else ("", "", "")
    names = {field.partition(b":")[0] for field in fields}
    path = root / target.lstrip("/")
    file = path / "index.html" if target.endswith("/") else path
    if method != "GET" or names - {b"Host", b"Connection"} or not target.isascii() or ".." in target:
        return lie(request)
    if not file.is_file() or len(target) > 200:
        return lie(request)
    return say(200, file.read_bytes(), Date=_now(), **_TRUE_FIELDS)


def tell_wrong_ranges(content_range: str, octets: bytes, request: bytes) -> bytes:
    """Return a 206 with *octets*, whatever is asked for, and none of the fields of the 200."""
    return say(206, octets, Content_Range=content_range, Content_Type="text/html")


def tell_multipart(content: bytes, request: bytes) -> bytes:
    """Return a multipart 206 with *content*."""
    return say(206, content, Content_Type="multipart/byteranges; boundary=edge")


def tell_twice_framed(request: bytes) -> bytes:
    """Return the file, framed in two ways, with an error's status."""
    return say(400, DIGITS, Transfer_Encoding="chunked")


def tell_conditions_first(request: bytes) -> bytes:
    """Return 404, but 412 to every condition."""
    return say(412 if b"\nIf-" in request else 404)


def tell_a_large_file(request: bytes) -> bytes:
    """Return ranges of ten octets truly, and wrong ones of a file of 5 GiB."""
    if request.startswith(b"HEAD"):
        return b"HTTP/1.1 200 Said\r\nContent-Length: %d\r\n\r\n" % SPARSE_OCTETS
    if b"/digits.txt" in request:
        return say(206, b"12", Content_Range="bytes 1-2/10")
    return say(206, b"12", Content_Range=f"bytes 1-2/{SPARSE_OCTETS}")


def tell_one_form_of_date(request: bytes) -> bytes:
    """Return what conditions ask for, if their date has the preferred form, else the file."""
    if f"If-Modified-Since: {_TRUE_FIELDS['Last-Modified']}".encode() in request:
        return say(304)
    return say(412) if b"If-Unmodified-Since: Sun, 06 Nov 1994" in request else tell_the_file(request)


def tell_without_length(request: bytes) -> bytes:
    """Return the file, which only the close of the connection ends, and no validators."""
    return b"HTTP/1.1 200 Said\r\n\r\n" + DIGITS


def tell_anew(count: Iterator[int], request: bytes) -> bytes:
    """Return another file each time."""
    number = next(count)
    return say(200, b"%d" % number, ETag=f'"{number}"')


def tell_nothing(request: bytes) -> bytes:
    """Return no octets."""
    return b""


def lies(root: Path) -> dict[str, Lie]:
    """Return all lies, by name; *root* holds the known folder."""
    statuses = (200, 206, 301, 304, 400, 404, 405, 412, 416, 500)
    always: dict[str, Lie] = {f"always {status}": partial(tell_always, status) for status in statuses}
    always["always the file"] = tell_the_file
    always["framed twice"] = tell_twice_framed
    always["conditions first"] = tell_conditions_first
    always["a large file wrongly"] = tell_a_large_file
    always["one form of date"] = tell_one_form_of_date
    always["no length"] = tell_without_length
    always["never the same"] = partial(tell_anew, itertools.count())
    always["no octets"] = tell_nothing
    always["wrong octets"] = partial(tell_wrong_ranges, "bytes 1-2/10", b"ab")
    always["a part without the end"] = partial(tell_multipart, b"--edge\r\nContent-Range: bytes 1-2/10\r\n\r\n12\r\n")
    always["two lines joined"] = partial(
        tell_multipart, b"--edge\r\nContent-Range: bytes 1-2/10\r\n\r\n12\r\n--edge--\r\n"
    )
    always["a hundred times the file"] = partial(tell_wrong_ranges, "bytes 0-9/10", bytes(7 << 20))
    return always | {f"{name}, if not plain": partial(tell_plain, lie, root) for name, lie in always.items()}


class Handler(socketserver.BaseRequestHandler):
    """Answers each request of one connection with the server's lie, also behind one that asks to close."""

    server: "Liar"

    def handle(self) -> None:
        """Answer all that has come, and close if one of the requests asked for it."""
        self.request.settimeout(0.05)
        received, is_last = b"", False
        try:
            while not is_last and (octets := self.request.recv(1 << 16)):
                received += octets
                while b"\r\n\r\n" in received:
                    head, _, received = received.partition(b"\r\n\r\n")
                    self.request.sendall(self.server.lie(head + b"\r\n\r\n"))
                    is_last |= b"\nconnection: close" in head.lower()
        except OSError:
            # Silent for long enough, or gone: the next connection waits.
            pass


class Liar(socketserver.ThreadingTCPServer):
    """A server at a free port of the loopback address, with one lie."""

    daemon_threads = True
    block_on_close = True
    request_queue_size = 64

    def __init__(self, lie: Lie) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lie = lie

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", int(self.server_address[1])
