"""Exhausted resources: no free descriptors, a full disk, and a log pipe that is not read."""

import contextlib
import os
import time
from contextlib import ExitStack

from tests.support import get

from .subject import Row, Subject, ask, connect, serving, site

_HELLO = b"Hello, socket.\n"


def run(server: str, *, is_long: bool) -> list[Row]:
    """Serve 200 clients with only 64 descriptors. Serve while standard error is full, closed or blocked."""
    return [*_many_clients(server), *_all_busy(server, 10.0 if is_long else 1.5), *_mute(server)]


def _many_clients(server: str) -> list[Row]:
    with site() as root, serving(root, server, descriptors=64) as subject, ExitStack() as stack:
        answered = 0
        for _ in range(200):
            client = stack.enter_context(connect(subject.port, get("/hello.txt")))
            with contextlib.suppress(OSError):
                answered += client.recv(1000).endswith(_HELLO)
        return [Row("200 keep-alive clients, 64 descriptors", f"{answered} answered", "all", answered == 200)]


def _all_busy(server: str, seconds: float) -> list[Row]:
    """Use up all descriptors with 200 downloads that the clients do not read."""
    with site() as root, serving(root, server, descriptors=64) as subject, ExitStack() as stack:
        clients = [stack.enter_context(connect(subject.port, get("/large.bin"))) for _ in range(200)]
        before, began = subject.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        # Without the announcement and the first answer.
        logged = subject.log().count("\n") - 2
        seconds = time.monotonic() - began
        share = (subject.cpu_seconds() - before) / seconds
        first = []
        began = time.monotonic()
        for client in clients:
            first.append(client.recv(12))
            client.close()
        recovered = ask(subject.port, get("/hello.txt")).endswith(_HELLO)
        whole = sum(octets == b"HTTP/1.1 200" for octets in first)
        return [
            Row("200 downloads, 64 descriptors", f"{whole} begun in turn", "all, no 503", whole == 200),
            Row("the processor meanwhile", f"{share:.1%}", "< 5%", share < 0.05, is_timed=True),
            Row("lines logged meanwhile", f"{logged} in {seconds:.0f} s", "one a second", logged <= seconds + 2),
            Row("when they have left", f"answers after {time.monotonic() - began:.2f} s", "at once", recovered),
        ]


def _mute(server: str) -> list[Row]:
    """Serve while standard error is a full device, is closed, or is a pipe that is not read."""
    if server != "httpsock":
        return []
    rows = []
    with site() as root:
        for way in ("2>/dev/full", "2>&-"):
            with serving(root, server, way) as subject:
                rows.append(_serves_on(subject, f"standard error is {way}"))
        reading, writing = os.pipe()
        with (
            open(reading, "rb"),
            open(writing, "wb"),
            serving(root, server, f"2>/proc/{os.getpid()}/fd/{writing}") as subject,
        ):
            rows.append(_serves_on(subject, "standard error is a pipe that nobody empties"))
    return rows


def _serves_on(subject: Subject, what: str) -> Row:
    octets = get("/nothing?" + "x" * 900) * 100 + get("/hello.txt", "Connection: close")
    good = sum(ask(subject.port, octets).endswith(_HELLO) for _ in range(30))
    return Row(what, f"{good} of 30 rounds answered", "all", good == 30)
