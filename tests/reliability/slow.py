"""Thousands of clients that send or read slowly. They must not delay other clients or cost much memory."""

import contextlib
import select
import socket
import statistics
import time
from contextlib import ExitStack

from tests.support import get

from .subject import Row, Subject, connect, receive_all, serving, site

_UNFINISHED = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nX: "
_SLOW_BODY = get("/hello.txt", "Content-Length: 100000")


def run(server: str, *, is_long: bool) -> list[Row]:
    """Connect slow senders, slow readers and idle clients. Measure the delay of another client, and the memory."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    heads, bodies, readers, idle = (1000, 200, 200, 5000) if is_long else (50, 10, 10, 250)
    try:
        with site() as root, serving(root, server) as subject, ExitStack() as stack:
            probe_once(subject)
            before = subject.memory_kib()
            opened: dict[str, list[socket.socket]] = {
                "idle": [stack.enter_context(connect(subject.port)) for _ in range(idle)],
                "reader": [
                    stack.enter_context(connect(subject.port, get("/large.bin"), buffer_octets=2048))
                    for _ in range(readers)
                ],
                "body": [stack.enter_context(connect(subject.port, _SLOW_BODY)) for _ in range(bodies)],
                "head": [stack.enter_context(connect(subject.port, _UNFINISHED)) for _ in range(heads)],
            }
            began = time.monotonic()
            delays = [probe_once(subject) for _ in range(200 if is_long else 50)]
            each = (subject.memory_kib() - before) / (idle + readers + bodies + heads)
            median, worst = statistics.median(delays), max(delays)
            rows = [
                Row("a request meanwhile, median", f"{median:.1f} ms", "< 20 ms", median < 20, is_timed=True),
                Row("a request meanwhile, worst", f"{worst:.1f} ms", "< 250 ms", worst < 250, is_timed=True),
                Row("memory for a connection", f"{each:.2f} KiB", "<= 4 KiB", each <= (4 if is_long else 40)),
            ]
            return rows + (_cut(opened, began) if is_long else [])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def probe_once(subject: Subject) -> float:
    """Send a small request. Return the milliseconds from the connection attempt to the end of the answer."""
    began = time.monotonic()
    with connect(subject.port, get("/hello.txt", "Connection: close")) as client:
        answer = receive_all(client)
    assert answer.endswith(b"Hello, socket.\n"), answer
    return (time.monotonic() - began) * 1000


def _cut(opened: dict[str, list[socket.socket]], began: float) -> list[Row]:
    """Let all clients continue slowly. Return how many clients of each kind the server dropped, and when."""
    ended: dict[str, list[float]] = {name: [] for name in opened}
    answers: list[bytes] = []
    poller = select.poll()
    alive = {client.fileno(): (name, client) for name, clients in opened.items() for client in clients}
    for descriptor, (name, client) in alive.items():
        client.setblocking(False)
        poller.register(descriptor, select.POLLHUP | select.POLLRDHUP | (0 if name == "reader" else select.POLLIN))
    next_crawl = began
    while alive and (now := time.monotonic()) - began < 130:
        if now >= next_crawl:
            next_crawl = now + 3
            _crawl(list(alive.values()))
        for descriptor, _ in poller.poll(500):
            name, client = alive.pop(descriptor)
            poller.unregister(descriptor)
            ended[name].append(time.monotonic() - began)
            if name == "head":
                with contextlib.suppress(OSError):
                    answers.append(client.recv(16))
    refused = sum(answer.startswith(b"HTTP/1.1 408") for answer in answers)
    heads = len(opened["head"])
    last = {name: max(times, default=0.0) for name, times in ended.items()}
    must = {"idle": (22, "idle"), "head": (12, "slow heads"), "body": (75, "slow bodies"), "reader": (125, "readers")}
    rows = [Row("slow heads refused with a reason", f"{refused} of {heads}", "408 to each", refused == heads)]
    for name, (seconds, shown) in must.items():
        count = len(ended[name])
        measured = f"{count} of {len(opened[name])}, the last after {last[name]:.0f} s"
        rows.append(
            Row(
                f"{shown} cut", measured, f"all within {seconds} s", count == len(opened[name]) and last[name] < seconds
            )
        )
    return rows


def _crawl(clients: list[tuple[str, socket.socket]]) -> None:
    """Send or receive one octet on each connection."""
    for name, client in clients:
        with contextlib.suppress(OSError):
            if name in ("head", "body"):
                client.send(b"x")
            elif name == "reader":
                client.recv(1)
