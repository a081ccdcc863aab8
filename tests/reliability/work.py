"""Load: measure how long 200 busy connections from one address delay another client.

The busy connections come from 127.0.0.2. They repeat one kind of request, such as many small chunks, as fast as the
server reads it. The other client, at 127.0.0.3, requests a small file on a new connection each time. To compare with
another server: ``python3 -m tests.reliability work --long --server nginx``.
"""

import contextlib
import math
import multiprocessing
import pathlib
import select
import socket
import statistics
import time

from tests import support
from tests.support import get

from .constructs import CONSTRUCTS, Construct
from .subject import Row, Subject, ask, receive_all, serving, site

_ATTACKER, _CLIENT = "127.0.0.2", "127.0.0.3"
_CONNECTIONS = 200
_SECONDS = 2.0
_MEDIAN_MS, _WORST_MS = 50, 300
_SMALL = get("/hello.txt", "Connection: close")


def run(server: str, *, is_long: bool) -> list[Row]:
    """Return a row of results for each construct, such as a request with a long field.

    If *is_long* is true, the row has the delays of another client. Otherwise it has the status of the answer.
    """
    with site() as root:
        _fill(root / "many", 2000 if is_long else 20)
        with serving(root, server) as subject:
            if not is_long:
                return [_answered(subject, what, construct, server) for what, construct in CONSTRUCTS.items()]
            return [_delays(subject, what, construct) for what, construct in CONSTRUCTS.items()]


def _fill(folder: pathlib.Path, count: int) -> None:
    folder.mkdir()
    (folder / "backup~1").touch()
    for number in range(count):
        (folder / f"file-{number:05}.txt").touch()


def _answered(subject: Subject, what: str, construct: Construct, server: str) -> Row:
    """Send *construct* once. Return a row with the status, and whether the server still answers another client."""
    answer = ask(subject.port, construct.octets)
    status = answer[9:12].decode() or "closed"
    is_served = ask(subject.port, _SMALL).endswith(b"Hello, socket.\n")
    holds = is_served and (server != "httpsock" or status == str(construct.status))
    return Row(what, f"{status}, serves: {is_served}", str(construct.status), holds)


def _delays(subject: Subject, what: str, construct: Construct) -> Row:
    """Send *construct* on many connections. Return the delays of another client's requests."""
    attacker = multiprocessing.get_context("spawn").Process(target=attack, args=(subject.port, construct), daemon=True)
    attacker.start()
    try:
        # Wait until all of them are connected and have sent some octets.
        time.sleep(1)
        before, latest, delays = subject.cpu_seconds(), time.monotonic() + _SECONDS, []
        while time.monotonic() < latest:
            delays.append(_delay(subject.port))
            time.sleep(0.01)
        busy = (subject.cpu_seconds() - before) / (time.monotonic() - latest + _SECONDS)
    finally:
        attacker.terminate()
        attacker.join()
    # Wait for pending requests, so that they do not count for the next construct.
    _delay(subject.port)
    median, worst = statistics.median(delays), max(delays)
    measured = f"median {median:6.1f}, worst {worst:6.1f} ms; {len(delays)} requests, server {busy:.0%} busy"
    holds = median < _MEDIAN_MS and worst < _WORST_MS
    return Row(what, measured, f"< {_MEDIAN_MS}, < {_WORST_MS} ms", holds, is_timed=True)


def _delay(port: int) -> float:
    """Send a small request. Return the milliseconds until the answer. If there is no answer, return infinity."""
    began = time.monotonic()
    with support.connect(port, source=_CLIENT) as client:
        client.sendall(_SMALL)
        is_answered = receive_all(client).endswith(b"Hello, socket.\n")
    return (time.monotonic() - began) * 1000 if is_answered else math.inf


def attack(port: int, construct: Construct) -> None:
    """Send the octets of *construct* again and again, on many connections, until this process is killed.

    Replace connections that end.
    """
    octets = memoryview(construct.octets * (1 + (1 << 17) // len(construct.octets)))
    length, poller = len(construct.octets), select.epoll()
    attackers: dict[int, tuple[socket.socket, int]] = {}
    while True:
        while len(attackers) < _CONNECTIONS:
            client = _begin(port)
            attackers[client.fileno()] = client, 0
            poller.register(client.fileno(), select.EPOLLIN | select.EPOLLOUT)
        for descriptor, events in poller.poll():
            client, sent = attackers[descriptor]
            try:
                with contextlib.suppress(BlockingIOError):
                    if events & ~select.EPOLLOUT and not client.recv(1 << 18):
                        raise ConnectionError
                    if events & select.EPOLLOUT:
                        sent += client.send(octets[sent : sent + construct.step])
                        attackers[descriptor] = client, sent % length
            except OSError:
                poller.unregister(descriptor)
                del attackers[descriptor]
                client.close()


def _begin(port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.bind((_ATTACKER, 0))
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client
