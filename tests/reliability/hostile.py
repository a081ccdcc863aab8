"""Hostile input on real connections: mutated requests, many pipelined requests, and input without an end."""

import contextlib
import random
import re
import time

from tests.support import get

from .subject import Row, Subject, ask, connect, serving, site

_HEAD = b"POST /hello.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_SEEDS = (
    get("/hello.txt", "Range: bytes=0-1,3-", 'If-None-Match: "x", W/"y"', "Accept: text/html;q=0.5, */*"),
    get("/%7e/../a?b=c", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "Accept-Encoding: br;q=0, gzip"),
    _HEAD + b'5;a="b"\r\nhello\r\n0\r\nTrailer: x\r\n\r\n',
    b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
)
_TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"%",
    b"..",
    b"/",
    b"\xff",
    b"chunked",
    b"-1",
    b"9" * 20,
    b",",
)
_GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
# Kinds of endless input: the beginning, the repeated unit, and the status of the answer.
_ENDLESS = {
    "a method": (b"", b"A", 501),
    "a request-target": (b"GET /", b"a", 414),
    "field lines": (_GET, b"A: b\r\n", 431),
    "a field line": (_GET + b"A: ", b"b", 431),
    "empty lines": (b"", b"\r\n", 400),
    "a chunk's line": (_HEAD + b"5;", b"a", 400),
    "chunk extensions": (_HEAD, b"1;a=%b\r\nx\r\n" % (b"b" * 1000), 400),
    "chunks": (_HEAD, b"ffff\r\n%b\r\n" % (b"x" * 0xFFFF), 413),
    "a trailer section": (_HEAD + b"0\r\n", b"A: b\r\n", 431),
    "a Content-Length": (get("/", "Content-Length: 99999999999"), b"x", 413),
}


def run(server: str, *, is_long: bool) -> list[Row]:
    """Send mutated requests, many pipelined requests, and endless input."""
    with site() as root, serving(root, server, "" if server != "httpsock" else "--quiet") as subject:
        return [_mutated(subject, 20_000 if is_long else 300), _storm(subject), *_endless(subject)]


def mutate(octets: bytes, chance: random.Random) -> bytes:
    """Return *octets* with a few random changes."""
    for _ in range(chance.randint(1, 6)):
        first = chance.randrange(len(octets) + 1)
        last = min(len(octets), first + chance.choice((0, 0, 1, 1, 5, 40)))
        put = chance.choice((*_TOKENS, bytes([chance.randrange(256)]), b"", octets[first:last] * 2))
        octets = octets[:first] + put + octets[last:]
    return octets or b"\0"


def _mutated(subject: Subject, count: int) -> Row:
    chance = random.Random(1)
    wrong = []
    for number in range(count):
        octets = b"".join(mutate(chance.choice(_SEEDS), chance) for _ in range(chance.randint(1, 3)))
        answer = ask(subject.port, octets)
        # The server may send any number of responses, each with one of these statuses.
        statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)
        if b"500" in statuses or (answer and not answer.startswith(b"HTTP/1.1 ")):
            wrong.append(number)
    has_traceback = "Traceback" in subject.log()
    alive = ask(subject.port, get("/hello.txt")).endswith(b"socket.\n")
    what = f"{count} mutated connections"
    return Row(
        what,
        f"{len(wrong)} wrong, traceback: {has_traceback}, serves: {alive}",
        "none",
        not wrong and not has_traceback and alive,
    )


def _storm(subject: Subject) -> Row:
    before = subject.memory_kib()
    with connect(subject.port) as client:
        client.setblocking(False)
        storm = memoryview(get("/large.bin") + get("/hello.txt") * 99_999)
        sent, latest = 0, time.monotonic() + 3
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while sent < len(storm) and time.monotonic() < latest:
                sent += client.send(storm[sent:])
        time.sleep(0.3)
        grown = subject.memory_kib() - before
    return Row("100,000 pipelined, nothing read", f"{grown:+} KiB", "< 1 MiB", grown < 1024)


def _endless(subject: Subject) -> list[Row]:
    rows = []
    before = subject.memory_kib()
    for what, (beginning, unit, status) in _ENDLESS.items():
        answer = _without_end(subject, beginning, unit)
        rows.append(
            Row(f"{what} without end", answer[9:12].decode() or "closed", str(status), answer[9:12] == b"%d" % status)
        )
    grown = subject.memory_kib() - before
    return [*rows, Row("memory after all of them", f"{grown:+} KiB", "< 2 MiB", grown < 2048)]


def _without_end(subject: Subject, beginning: bytes, unit: bytes) -> bytes:
    """Send *beginning*, then *unit* again and again, up to 8 MiB. Return the start of the answer."""
    more, sent = unit * (1 + (64 << 10) // len(unit)), 0
    with connect(subject.port, beginning) as client:
        client.setblocking(False)
        while sent < 8 << 20:
            with contextlib.suppress(BlockingIOError):
                return client.recv(4096)
            with contextlib.suppress(BlockingIOError):
                sent += client.send(more[sent % len(unit) :])
    return b""
