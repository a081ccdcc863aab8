"""Footprint: the memory of a connection whose client sends much and reads little."""

import contextlib
import os
import socket
import time
from contextlib import ExitStack

from tests.support import get

from .subject import Row, Subject, ask, connect, serving, site

_LONG = f"X: {'y' * 30_000}"
# The octets that each connection sends until the kernel refuses more, and the KiB that it may use in the server.
_HELD = {
    "idle": (b"", 24),
    "64 KiB pipelined behind an unread file": (get("/large.bin") + get("/hello.txt") * 1500, 24),
    "the same behind a long head": (get("/large.bin", _LONG) + get("/hello.txt") * 1500, 24),
    "the same behind a small file": (get("/small.bin") * 1500, 24),
    "content that does not end": (get("/hello.txt", "Content-Length: 100000") + bytes(90_000), 24),
    "a chunk that does not end": (get("/hello.txt", "Transfer-Encoding: chunked") + b"ffff\r\n" + bytes(60_000), 24),
    "a head that does not end": (get("/hello.txt", _LONG)[:-2], 40),
    "trailers that do not end": (get("/hello.txt", "Transfer-Encoding: chunked") + b"0\r\n" + _LONG.encode(), 40),
}


def run(server: str, *, is_long: bool) -> list[Row]:
    """For each kind of input, open many connections. Measure the memory of one connection."""
    count = 800 if is_long else 200
    rows = []
    # A server that measures its coverage needs more memory.
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with site() as root:
        (root / "small.bin").write_bytes(os.urandom(60_000))
        # A file unchanged for some time is cached.
        os.utime(root / "small.bin", (1e9, 1e9))
        time.sleep(2.5)
        for what, (octets, maximum) in _HELD.items():
            with serving(root, server, environment=unmeasured) as subject:
                each = _footprint(subject, octets, count)
            rows.append(Row(f"a connection, {what}", f"{each:.1f} KiB", f"<= {maximum} KiB", each <= maximum))
    return rows


def _footprint(subject: Subject, octets: bytes, count: int) -> float:
    """Return the memory of one connection in KiB. *count* clients send *octets* and do not read."""
    with ExitStack() as stack:
        # The first connections reuse memory that the allocator holds, so they are not measured.
        for _ in range(count // 2):
            _hold(stack.enter_context(connect(subject.port, buffer_octets=4096)), octets)
        _settle(subject)
        before = subject.memory_kib()
        for _ in range(count):
            _hold(stack.enter_context(connect(subject.port, buffer_octets=4096)), octets)
        _settle(subject)
        return (subject.memory_kib() - before) / count


def _settle(subject: Subject) -> None:
    """Wait until the server has processed all its input and sleeps."""
    assert ask(subject.port, get("/hello.txt", "Connection: close"))
    calm = 0
    while calm < 10:
        time.sleep(0.03)
        calm = calm + 1 if subject.is_asleep() else 0


def _hold(client: socket.socket, octets: bytes) -> None:
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while octets:
            octets = octets[client.send(octets) :]
