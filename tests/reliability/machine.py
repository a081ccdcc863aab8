"""Faults of the machine: clock jumps, a suspended process and forced thread switches. Also a soak test of resources."""

import contextlib
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from unittest import mock

import httpsock
from tests.support import get, reset

from .subject import PYTHON, Row, Subject, ask, connect, serving, site

_SWITCHING = (
    PYTHON + " -c 'import sys; sys.setswitchinterval(1e-6); from httpsock.__main__ import main; sys.exit(main())'"
    " {root} --port {port} --bind 127.0.0.1 --quiet --threads 4"
)
# This server has time-outs of at most three seconds.
_IMPATIENT = (
    PYTHON + " -c 'import sys, threading, httpsock; from httpsock.server.process import raise_descriptor_limit;"
    " raise_descriptor_limit(); timeouts = httpsock.Timeouts(head=3.0, idle=3.0, stall=3.0);"
    ' server = httpsock.Server("{root}", hosts=["127.0.0.1"], port={port}, timeouts=timeouts); server.serve()\''
)
_BARS = "▁▂▃▄▅▆▇█"


def run(server: str, *, is_long: bool) -> list[Row]:
    """Try clock jumps, a simulated day, a suspended server, thread switches, and a long load."""
    return [
        *_clock(),
        _day(),
        _halt(4000 if is_long else 100),
        _switching(20.0 if is_long else 1.5),
        *_soak(server, 600.0 if is_long else 3.0),
    ]


def _clock() -> list[Row]:
    """Set the server's clock forward and back while a client is connected."""
    dates = []
    now = time.time
    with site() as root, httpsock.Server(root, port=0) as server, connect(server.port) as client:
        for step in (0, 86_400, -86_400, 86_400 * 365):
            with mock.patch("httpsock.server.event_loop.time.time", lambda step=step: now() + step):
                dates.append(_answer(client).partition(b"Date: ")[2][:16])
    different = len(set(dates))
    return [
        Row(
            "the clock is set three times",
            f"{len(dates)} answers, {different} dates",
            "4 answers, 4 dates",
            different == 4,
        )
    ]


def _answer(client: socket.socket) -> bytes:
    """Send a request and return the answer. If the connection ends early, return the part that arrived."""
    octets = b""
    with contextlib.suppress(ConnectionError):
        client.sendall(get("/hello.txt"))
        while not octets.endswith(b"socket.\n") and (part := client.recv(4096)):
            octets += part
    return octets


def _day() -> Row:
    """Advance the server's clock by a day, in steps of ten minutes.

    In each step a client sends a request and stays connected. In the next step the server must close this idle
    connection.
    """
    began = int(time.time()) // 86_400 * 86_400
    passed = 0.0
    clock = SimpleNamespace(time=lambda: began + passed, monotonic=lambda: 1000.0 + passed)
    right = 0
    patched = mock.patch("httpsock.server.event_loop.time", clock)
    with site() as root, patched, httpsock.Server(root, port=0) as server, ExitStack() as stack:
        before = None
        descriptors = []
        for step in range(144):
            passed = 600.0 * step
            client = stack.enter_context(connect(server.port))
            date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(began + passed))
            right += f"Date: {date}\r\n".encode() in _answer(client)
            if before:
                right += before.recv(1) == b""
                before.close()
            before = client
            descriptors.append(len(os.listdir("/proc/self/fd")))
        flat = max(descriptors[10:]) <= max(descriptors[:10])
    return Row(
        "a day in steps of ten minutes",
        f"{right} of 287 dates and ends right, descriptors flat: {flat}",
        "all",
        right == 287 and flat,
    )


def _halt(count: int) -> Row:
    """Suspend the server for longer than its time-outs. Meanwhile *count* clients send their requests."""
    with site() as root, serving(root, _IMPATIENT) as subject, ExitStack() as stack:
        clients = [stack.enter_context(connect(subject.port, b"GET /hello.txt HTTP/1.1\r\n")) for _ in range(count)]
        # When this client is answered, the server has accepted all clients before it.
        ask(subject.port, get("/hello.txt"))
        subject.process.send_signal(signal.SIGSTOP)
        for client in clients:
            client.sendall(b"Host: x\r\n\r\n")
        threading.Event().wait(5.0)
        subject.process.send_signal(signal.SIGCONT)
        answered = sum(client.recv(4096).startswith(b"HTTP/1.1 200 ") for client in clients)
    measured = f"{answered} of {count} answered"
    return Row("a halt of 5 s, time-outs of 3 s", measured, "all", answered == count, is_timed=True)


def _load(subject: Subject, latest: float, seed: int) -> tuple[int, int]:
    """Send all kinds of requests until *latest*. Return the numbers of right and wrong answers."""
    chance = random.Random(seed)
    right = wrong = 0
    while time.monotonic() < latest:
        match chance.randrange(6):
            case 0:
                client = connect(subject.port, get("/large.bin"))
                client.recv(1000)
                reset(client)
                continue
            case 1:
                good = ask(subject.port, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
            case 2:
                good = len(ask(subject.port, get("/large.bin", "Range: bytes=0-999999"))) > 1_000_000
            case 3:
                good = ask(subject.port, get("/")).startswith(b"HTTP/1.1 200")
            case _:
                good = ask(subject.port, get("/hello.txt") * 20).count(b"Hello, socket.\n") == 20
        right, wrong = right + good, wrong + (not good)
    return right, wrong


def _switching(seconds: float) -> Row:
    with site() as root, serving(root, _SWITCHING) as subject, ThreadPoolExecutor(4) as pool:
        latest = time.monotonic() + seconds
        loads = [pool.submit(_load, subject, latest, seed).result for seed in range(4)]
        right, wrong = map(sum, zip(*(load() for load in loads), strict=True))
        has_traceback = "Traceback" in subject.log()
    return Row(
        "threads that switch at every step",
        f"{right} right, {wrong} wrong",
        "0 wrong",
        right > 0 and not wrong + has_traceback,
    )


def _soak(server: str, seconds: float) -> list[Row]:
    """Put the server under load from all kinds of clients. Measure its resources sixty times."""
    samples: list[tuple[int, int, int]] = []
    with site() as root, serving(root, server, "" if server != "httpsock" else "--quiet") as subject:
        latest = time.monotonic() + seconds
        with ThreadPoolExecutor(4) as pool:
            loads = [pool.submit(_load, subject, latest, seed) for seed in range(4)]
            pause = threading.Event()
            while time.monotonic() < latest:
                pause.wait(seconds / 60)
                samples.append((subject.memory_kib(), subject.descriptors(), subject.threads()))
            right, wrong = map(sum, zip(*(load.result() for load in loads), strict=True))
    memory, descriptors, threads = (list(column) for column in zip(*samples, strict=True))
    third = len(memory) // 3
    grown = max(memory[-third:]) - max(memory[third : 2 * third])
    return [
        Row("a soak", f"{right} right, {wrong} wrong in {seconds:.0f} s", "0 wrong", right > 0 and not wrong),
        Row("memory over time", f"{plot(memory)} {min(memory)} to {max(memory)} KiB", "flat", grown < 1024),
        Row("descriptors over time", f"{plot(descriptors)} up to {max(descriptors)}", "< 40", max(descriptors) < 40),
        Row("threads over time", f"{plot(threads)} up to {max(threads)}", "the same", len(set(threads)) == 1),
    ]


def plot(values: list[int]) -> str:
    """Return *values* as a one-line bar chart."""
    minimum, maximum = min(values), max(values)
    return "".join(_BARS[(value - minimum) * 7 // max(1, maximum - minimum)] for value in values)
