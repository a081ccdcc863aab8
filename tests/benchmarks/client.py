"""A client for requests that wrk can't send: ``client.py PORT CONNECTIONS SECONDS STATUS OCTETS REQUEST``.

Each connection sends REQUEST again when the answer has arrived. An answer has OCTETS octets. The program prints one
line of JSON, with the same figures as the script for wrk prints.
"""

import json
import select
import socket
import time
from typing import NamedTuple

from tests.support.arguments import ArgumentParser, whole_number

# An answer after which the connection closes has one more field.
_HEAD_SLACK_OCTETS = 64
_CLOSE = b"\r\nConnection: close\r\n"


class Run(NamedTuple):
    """The arguments of a run. The right answer has this *status* and this number of *octets*."""

    port: int
    connections: int
    seconds: int
    status: int
    octets: int
    request: bytes


def main(run: Run) -> None:
    """Send requests for the given time. Print one line of figures."""
    poller = select.epoll()
    clients: dict[int, socket.socket] = {}
    for _ in range(run.connections):
        connect(run.port, clients, poller)
    right_start = b"HTTP/1.1 %d " % run.status
    asked = dict.fromkeys(clients, time.perf_counter())
    for client in clients.values():
        client.send(run.request)
    latencies = []
    wrong = 0
    begun = time.perf_counter()
    now = begun
    while now - begun < run.seconds:
        for descriptor, _ in poller.poll(1):
            client = clients[descriptor]
            answer = client.recv(65536)
            now = time.perf_counter()
            latencies.append(now - asked[descriptor])
            is_right = abs(len(answer) - run.octets) <= _HEAD_SLACK_OCTETS and answer.startswith(right_start)
            wrong += not is_right
            if not answer or _CLOSE in answer:
                # A server may close a connection after a number of requests.
                del clients[descriptor]
                client.close()
                client = connect(run.port, clients, poller)
            asked[client.fileno()] = now
            client.send(run.request)
        now = time.perf_counter()
    report(latencies, now - begun, run.octets, wrong)


def connect(port: int, clients: dict[int, socket.socket], poller: select.epoll) -> socket.socket:
    """Make a connection, and add it to *clients* and to *poller*."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    clients[client.fileno()] = client
    poller.register(client.fileno(), select.EPOLLIN)
    return client


def report(latencies: list[float], elapsed: float, octets: int, wrong: int) -> None:
    """Print the figures of a run. Each answer has *octets* octets."""
    count = len(latencies)
    ordered = sorted(latencies) or [0.0]
    figures = {
        "requests": count,
        "microseconds": int(elapsed * 1e6),
        "octets": count * octets,
        "errors": wrong,
        "right": count - wrong,
        "p50": int(ordered[len(ordered) // 2] * 1e6),
        "p99": int(ordered[len(ordered) * 99 // 100] * 1e6),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = ArgumentParser("tests.benchmarks.client", __doc__)
    for name in ("port", "connections", "seconds", "status", "octets"):
        parser.add_argument(name, type=whole_number, metavar=name.upper())
    parser.add_argument("request", metavar="REQUEST", type=str.encode)
    main(Run(**vars(parser.parse_args())))
