"""Requests that repeat one construct of HTTP/1.1, such as a chunk or a field line, as often as the limits allow."""

from typing import NamedTuple

from tests.support import get

_CHUNKED = b"POST /hello.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_HEAD = b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n"
# These lengths are close to the limits of a head and of a request line.
_VALUE = 31 * 1024
_TARGET = 8000


class Construct(NamedTuple):
    """A request that a connection repeats without end.

    *step* is the size of each write in bytes. *status* is the status of each answer.
    """

    octets: bytes
    status: int
    step: int = 1 << 16


def _field(name: str, unit: bytes, status: int = 200, path: bytes = b"/hello.txt") -> Construct:
    """Return a request for *path* with a long field. The value repeats *unit*."""
    value = (unit * (_VALUE // len(unit))).strip(b", ")
    return Construct(_HEAD.replace(b"/hello.txt", path) + name.encode() + b": " + value + b"\r\n\r\n", status)


def _target(unit: bytes, status: int, method: bytes = b"GET") -> Construct:
    """Return a request with a long target. The target repeats *unit*."""
    return Construct(method + b" /" + unit * (_TARGET // len(unit)) + b" HTTP/1.1\r\nHost: x\r\n\r\n", status)


def _lines(line: bytes, count: int, status: int = 200) -> Construct:
    """Return a request with *count* field lines."""
    return Construct(_HEAD + line * count + b"\r\n", status)


def _chunks(chunk: bytes, count: int, status: int = 405, trailers: bytes = b"") -> Construct:
    """Return a request with *count* chunks of content."""
    return Construct(_CHUNKED + chunk * count + b"0\r\n" + trailers + b"\r\n", status)


CONSTRUCTS = {
    "one small request after the other": Construct(get("/hello.txt"), 200),
    "the shortest requests": Construct(b"GET /x HTTP/1.0\r\nConnection:keep-alive\r\n\r\n", 404),
    "HEAD": Construct(get("/hello.txt").replace(b"GET", b"HEAD"), 200),
    "OPTIONS": Construct(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204),
    "unknown methods": Construct(b"A" * 4000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    "a file of 64 MiB": Construct(get("/large.bin"), 200),
    "a page of error": Construct(get("/" + "%22" * 2600, "Accept: text/html"), 404),
    "an error as JSON": Construct(get("/" + "%22" * 2600, "Accept: application/json"), 404),
    "chunks of 1 byte": _chunks(b"1\r\na\r\n", 4000),
    "chunks of 1 byte without end": _chunks(b"1\r\na\r\n", 20_000, 400),
    "chunks of 6 bytes": _chunks(b"6\r\nabcdef\r\n", 20_000),
    "chunks of 100 bytes": _chunks(b"64\r\n" + b"a" * 100 + b"\r\n", 5000),
    "sizes of chunks with zeros": _chunks(b"0" * 4000 + b"1\r\na\r\n", 4),
    "chunk extensions, short": _chunks(b"1;a\r\na\r\n", 2000),
    "chunk extensions, many": _chunks(b"1" + b";a" * 2000 + b"\r\na\r\n", 3),
    "chunk extensions, quoted": _chunks(b'1;a="' + b"\\a" * 1900 + b'"\r\na\r\n', 3),
    "trailers": _chunks(b"1\r\na\r\n", 1, 405, b"A:\r\n" * 100),
    "trailers without end": _chunks(b"1\r\na\r\n", 1, 431, b"A:\r\n" * 8000),
    "a long trailer": _chunks(b"1\r\na\r\n", 1, 405, b"A: " + b"b" * 31_000 + b"\r\n"),
    "empty lines": Construct(b"\r\n\r\n\r\n\r\n" + get("/hello.txt"), 200),
    "field lines": _lines(b"A:\r\n", 99),
    "field lines, too many": _lines(b"A:\r\n", 7000, 431),
    "field lines of Accept": _lines(b"Accept: a, b;q=0.5, c\r\n", 99),
    "a long field line": _field("A", b"b"),
    "a long field line of spaces": Construct(_HEAD + b"A:" + b" " * _VALUE + b"b\r\n\r\n", 200),
    "odd bytes in a field": _field("A", b"\xff\t"),
    "a control in a long head": Construct(_HEAD + b"A: b\r\n" * 90 + b"C: " + b"d" * 29_000 + b"\1\r\n\r\n", 400),
    "a head byte by byte": Construct(_HEAD + b"A: " + b"b" * _VALUE + b"\r\n\r\n", 200, step=1),
    "field lines byte by byte": Construct(_HEAD + b"A: b\r\n" * 99 + b"\r\n", 200, step=1),
    "chunks byte by byte": _chunks(b"1\r\na\r\n", 100)._replace(step=1),
    "a request line byte by byte": _target(b"a", 404)._replace(step=1),
    "members of Connection": _field("Connection", b"a,"),
    "members of Connection, spaced": _field("Connection", b" , close-not ,"),
    "members of Accept": _field("Accept", b"a/b;q=0.5,", 404, b"/nothing"),
    "members of Accept, empty": Construct(
        b"GET /nothing HTTP/1.1\r\nHost: x\r\nAccept: a" + b"," * _VALUE + b"b\r\n\r\n", 404
    ),
    "members of Accept, one letter": _field("Accept", b"a,", 404, b"/nothing"),
    "parameters of Accept": _field("Accept", b";q=1", 404, b"/nothing"),
    "quotes in Accept": _field("Accept", b'"\\a', 404, b"/nothing"),
    "members of Accept-Encoding": _field("Accept-Encoding", b"gzip;q=0.001,"),
    "members of Accept-Encoding, one letter": _field("Accept-Encoding", b"a,"),
    "members of Expect": _field("Expect", b"a,", 417),
    "members of Expect, known": _field("Expect", b"100-continue,"),
    "members of Transfer-Encoding": _field("Transfer-Encoding", b"a,", 400),
    "tags of If-None-Match": _field("If-None-Match", b'"",'),
    "tags of If-None-Match, weak": _field("If-None-Match", b'W/"a" , '),
    "tags of If-None-Match, malformed": _field("If-None-Match", b'"a",b,'),
    "tags of If-Match": _field("If-Match", b'"",', 412),
    "ranges": Construct(get("/large.bin", "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(0, 512, 2))), 206),
    "ranges that overlap": Construct(_HEAD + b"Range: bytes=" + b",".join([b"0-9"] * 256) + b"\r\n\r\n", 206),
    "ranges, too many": _field("Range", b"0-0,"),
    "ranges, commas": Construct(_HEAD + b"Range: bytes=0-0" + b"," * 64 + b"\r\n\r\n", 206),
    "digits of a range": Construct(_HEAD + b"Range: bytes=" + b"0" * _VALUE + b"1-\r\n\r\n", 206),
    "digits of Content-Length": Construct(_HEAD + b"Content-Length: " + b"0" * _VALUE + b"\r\n\r\n", 200),
    "digits of a date": _field("If-Modified-Since", b"Sun, 06 Nov 1994 "),
    "a long If-Range": Construct(_HEAD + b'Range: bytes=0-0\r\nIf-Range: "' + b"a" * _VALUE + b'"\r\n\r\n', 200),
    "a long Host": Construct(b"GET /hello.txt HTTP/1.1\r\nHost: " + b"a." * (_VALUE // 2) + b"\r\n\r\n", 200),
    "escapes in Host": Construct(b"GET /hello.txt HTTP/1.1\r\nHost: " + b"%41" * (_VALUE // 3) + b"\r\n\r\n", 200),
    "colons in Host": Construct(b"GET /hello.txt HTTP/1.1\r\nHost: [" + b"1:" * (_VALUE // 2) + b"]\r\n\r\n", 400),
    "segments of a path": _target(b"a/", 404),
    "segments of a path, hidden": _target(b".a/", 404),
    "slashes": _target(b"/", 200),
    "dots": _target(b"../", 400),
    "escapes of a path": _target(b"%41", 404),
    "escapes of a path, mixed": _target(b"%e2a", 404),
    "a redirect of quotes": _target(b'"', 301),
    "a redirect of quotes and letters": _target(b'"a', 301),
    "a redirect of odd bytes": _target(b"\xff", 301),
    "a redirect of percent signs": Construct(b"GET /?" + b"%" * _TARGET + b" HTTP/1.1\r\nHost: x\r\n\r\n", 301),
    "a long query": Construct(b"GET /hello.txt?" + b"a&" * (_TARGET // 2) + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "a long authority": Construct(
        b"GET http://" + b"a." * (_TARGET // 2) + b"/hello.txt HTTP/1.1\r\nHost: x\r\n\r\n", 200
    ),
    "no request at all": Construct(b"\xff" * 30_000 + b"\r\n\r\n", 400),
    "line ends alone": Construct(b"\n" * 30_000, 400),
    "a name that may be a second one": Construct(get("/many/backup~1"), 200),
    "names of letters that have long forms": _target(b"%EF%B7%BA", 404),
    "names of marks that may be ignored": _target(b"%E2%80%8C", 404),
    "a field line without a colon": Construct(_HEAD + b"a" * _VALUE + b"\r\n\r\n", 400),
    "passwords in Host": Construct(b"GET / HTTP/1.1\r\nHost: " + b"//a:b@" * (_VALUE // 6) + b"\r\n\r\n", 400),
    "members of Transfer-Encoding, chunked": _field("Transfer-Encoding", b"a,chunked,", 400),
    "filters of a listing": Construct(get("/many/?" + "filter=a&" * (_TARGET // 9)), 200),
    "a listing": Construct(get("/many/"), 200),
    "a listing, its first byte": Construct(get("/many/", "Range: bytes=0-0"), 200),
    "a new connection for each": Construct(get("/hello.txt", "Connection: close"), 200),
}
