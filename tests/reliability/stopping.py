"""Stopping: running responses finish, and no new responses begin. Responses that are cut off are counted."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.support import eventually, free_port, get, is_refused

from .subject import Row, ask, connect, receive_all, serving, site

_OCTETS = 64 << 20


def run(server: str, *, is_long: bool) -> list[Row]:
    """Send SIGTERM during downloads that clients read, and during downloads that clients do not read."""
    count = 50 if is_long else 8
    return [*_finish(server, count), *([*_cut()] if server == "httpsock" else [])]


def _finish(server: str, count: int) -> list[Row]:
    port = free_port()
    with site() as root, ExitStack() as stack:
        with serving(root, server, "--grace 60" if server == "httpsock" else "", port=port) as subject:
            idle = stack.enter_context(connect(port, get("/hello.txt")))
            idle.recv(1000)
            clients = [stack.enter_context(connect(port, get("/large.bin") + get("/hello.txt"))) for _ in range(count)]
            first = [client.recv(1) for client in clients]
            began = time.monotonic()
            subject.process.send_signal(signal.SIGTERM)
            idle_ended = not idle.recv(1)
            refused = eventually(lambda: is_refused(port))
            with ThreadPoolExecutor(count) as pool:
                answers = list(pool.map(receive_all, clients))
            code = subject.process.wait(20)
            seconds = time.monotonic() - began
        whole = sum(len(answer) > _OCTETS for answer in answers)
        close = sum(b"Connection: close" in answer[-1000:] for answer in answers)
        assert first == [b"H"] * count
        with serving(root, server, port=port):
            again = ask(port, get("/hello.txt")).endswith(b"socket.\n")
    return [
        Row("downloads under way", f"{whole} of {count} whole, {seconds:.1f} s", "all", whole == count),
        Row("the answers after them", f"{close} of {count} say close", "all", close == count),
        Row("idle connections", f"closed: {idle_ended}", "at once", idle_ended),
        Row("new connections", f"refused: {refused}", "refused", refused),
        Row("exit code", str(code), "0", code == 0),
        Row("restart at once on the same port", f"serves: {again}", "serves", again),
    ]


def _cut() -> list[Row]:
    with site() as root, serving(root, "httpsock", "--grace 0") as subject, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connect(subject.port, get("/large.bin"))).recv(1)
        code = subject.stop()
        is_counted = "grace period over: 5 responses cut off" in subject.log()
        lines = subject.log().count("/large.bin")
    return [
        Row(
            "what the grace is too short for",
            f"counted: {is_counted}, {lines} log lines",
            "5 cut",
            is_counted and lines == 5,
        ),
        Row("exit code then", str(code), "0", code == 0),
    ]
