"""Measure ticks of the event loop, in this process alone: ``python3 -m tests.benchmarks.ticks``.

In each tick, some connections have one request each. Only the tick of the loop is timed, as processor time. The
shortest of many ticks is steady, even on a shared machine. The median includes ticks in which cached files are read
again. The floor is the time of a loop with only ``epoll``, ``recv`` and ``send``. This loop uses the same sockets, and
its answers have the same lengths.

    write requests   →   one tick, timed   →   read the answers, check each one's status and length
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import pathlib
import platform
import random
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from httpsock.files.representation import MTIME_GRANULARITY_SECONDS
from httpsock.server.event_loop import EventLoop
from httpsock.server.server import Server
from tests.support.arguments import ArgumentParser, clone_folder, whole_number

from .answers import FIRST_NUMBER, Answer, WrongAnswerError, read_answer, with_validators
from .files import make_small_files
from .peers import CLONE
from .report import aligned, shown
from .workloads import BY_KEY, Workload, numbered, requests_of

KEYS = ("1k", "browser", "distinct", "files", "304", "page", "page-siblings", "page-304")
_RECEIVE_OCTETS = 8 * 1024
# This program runs this module with the package of another clone, whose own benchmarks may differ.
_OF_CLONE = (
    "import sys; sys.path[0] = sys.argv.pop(1); import httpsock; sys.path[0] = sys.argv.pop(1);"
    "from tests.benchmarks.ticks import main; sys.exit(main())"
)


class Times(NamedTuple):
    """Processor times for one response, in µs. *floor* is the shortest time of a loop without httpsock."""

    least: float
    median: float
    floor: float


class Client(NamedTuple):
    """The client's end of a connection. *answers* is a stream to read the answers from."""

    socket: socket.socket
    answers: BinaryIO


def main() -> int:
    """Measure the workloads and print their times."""
    options = _parser().parse_args()
    if options.against:
        _compare(options)
        return 0
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        root = make_small_files(pathlib.Path(folder))
        # A file that has just changed is not cached.
        time.sleep(2 * MTIME_GRANULARITY_SECONDS)
        for key in options.only:
            for count in options.connections:
                with connected(root, count, options.cache_control) as (loop, clients):
                    found[f"{key} {count}"] = measure(BY_KEY[key], loop, clients, options.ticks)
    if options.json:
        json.dump(found, sys.stdout)
        return 0
    print(f"Python {platform.python_version()}; {options.ticks} ticks; µs of processor time for a response\n")
    print(aligned(_table(found)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser("tests.benchmarks.ticks", __doc__)
    parser.add_argument("--only", nargs="+", choices=KEYS, default=KEYS, metavar="WORKLOAD", help=", ".join(KEYS))
    connections_help = "how many connections have a request in each tick (default: 28 1)"
    parser.add_argument(
        "--connections", nargs="+", type=whole_number, default=[28, 1], metavar="N", help=connections_help
    )
    parser.add_argument("--ticks", type=whole_number, default=400, metavar="N", help="how many ticks (default: 400)")
    cache_help = "the Cache-Control of the files (default: no-cache)"
    parser.add_argument("--cache-control", default="no-cache", metavar="VALUE", help=cache_help)
    parser.add_argument("--json", action="store_true", help="print the times as JSON")
    against_help = "compare with the httpsock of another clone, turn by turn"
    parser.add_argument("--against", type=clone_folder, metavar="CLONE", help=against_help)
    parser.add_argument("--turns", type=whole_number, default=5, help="how many turns each clone has (default: 5)")
    return parser


@contextlib.contextmanager
def connected(
    root: pathlib.Path, count: int, cache_control: str = "no-cache"
) -> Iterator[tuple[EventLoop, list[Client]]]:
    """Start an event loop that serves *root*, and connect *count* clients. Yield the loop and the clients."""
    with contextlib.ExitStack() as stack:
        server = Server(root, port=0, cache_control=cache_control)
        stack.callback(server.stop)
        loop = EventLoop(server._listeners, server._settings, None, print)
        stack.callback(loop.close)
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            clients.append(Client(client, stack.enter_context(client.makefile("rb"))))
            loop._run_once()
        yield loop, clients


def measure(workload: Workload, loop: EventLoop, clients: list[Client], ticks: int) -> Times:
    """Measure ticks of the event loop. In each tick, each client sends one request. Check each answer."""

    def answer_to(request: str) -> Answer:
        return _ask(loop, clients[0], request)

    each_request = [with_validators(request, answer_to) for request in requests_of(workload, 8000)]
    # Request each file once, so that it is cached.
    expected = [answer_to(request) for request in each_request][-1]
    requests = _at_random(workload, each_request)

    def check(answer: Answer) -> None:
        if answer.status != workload.status or len(answer.content) != (workload.length or len(expected.content)):
            raise WrongAnswerError(f"answers {answer.status} with {len(answer.content)} octets")

    times = [_timed(loop._run_once, clients, requests, check) for _ in range(ticks)]
    with _floor(loop, expected) as run_once:
        floors = [_timed(run_once, clients, requests, check) for _ in range(ticks)]
    return Times(min(times), statistics.median(times), min(floors))


def _at_random(workload: Workload, requests: list[str]) -> Iterator[bytes]:
    """Yield *requests* at random, without end. The order is the same in each run."""
    chance = random.Random(1)
    for number in itertools.cycle(range(workload.numbers)) if workload.numbers else itertools.count():
        yield numbered(chance.choice(requests), FIRST_NUMBER + number)


def _ask(loop: EventLoop, client: Client, request: str) -> Answer:
    """Send one request, run one tick, and return the answer."""
    client.socket.sendall(numbered(request, FIRST_NUMBER))
    loop._run_once()
    return read_answer(client.answers)


def _timed(
    run_once: Callable[[], object], clients: list[Client], requests: Iterator[bytes], check: Callable[[Answer], None]
) -> float:
    """Run one tick and check its answers.

    Return the µs for each answer. If the answers need more ticks, return infinity.
    """
    for client in clients:
        client.socket.sendall(next(requests))
    begun = time.thread_time_ns()
    run_once()
    took: float = time.thread_time_ns() - begun
    for client in clients:
        # A tick that becomes long, as when files are read, postpones some answers.
        while not select.select([client.socket], [], [], 0)[0]:
            run_once()
            took = math.inf
        check(read_answer(client.answers))
    return took / len(clients) / 1000


@contextlib.contextmanager
def _floor(loop: EventLoop, expected: Answer) -> Iterator[Callable[[], None]]:
    """Yield a function that runs one tick without httpsock. It answers each read with fixed octets."""
    head = f"HTTP/1.1 {expected.status} OK\r\nContent-Length: {len(expected.content)}\r\nX: "
    answer = head.encode("ascii").ljust(expected.octets - len(expected.content) - 4, b"x")
    answer += b"\r\n\r\n" + expected.content
    with select.epoll() as poller, contextlib.ExitStack() as stack:
        connections = {}
        for descriptor in loop._connections:
            connections[descriptor] = stack.enter_context(socket.socket(fileno=os.dup(descriptor)))
            poller.register(descriptor, select.EPOLLIN)

        def run_once() -> None:
            for descriptor, _ in poller.poll():
                connection = connections[descriptor]
                if connection.recv(_RECEIVE_OCTETS):
                    connection.send(answer)

        yield run_once


def _table(found: dict[str, Times]) -> list[list[str]]:
    """Return a table with headings, and one line for each workload and number of connections."""
    lines = [["workload and connections", "least", "median", "floor", "least to floor"]]
    for name, times in found.items():
        lines.append([name, *map(shown, times), f"{times.least / times.floor:.2f}"])
    return lines


def _compare(options: argparse.Namespace) -> None:
    """Measure this clone and another clone in turns. Print the times of both clones side by side."""
    clones = {"this": CLONE, "other": options.against.resolve()}
    turns: dict[str, list[dict[str, Times]]] = {name: [] for name in clones}
    arguments = ["--only", *options.only, "--connections", *options.connections, "--ticks", options.ticks, "--json"]
    arguments += ["--cache-control", options.cache_control]
    for _ in range(options.turns):
        for name, folder in clones.items():
            command = [sys.executable, "-c", _OF_CLONE, folder, CLONE, *arguments]
            finished = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True)
            turns[name].append({key: Times(*times) for key, times in json.loads(finished.stdout).items()})
    lines = [["workload and connections", "least", "other", "ratio", "median", "other", "ratio"]]
    for key in turns["this"][0]:
        line = [key]
        for figure, best in (("least", min), ("median", statistics.median)):
            this, other = (_best(best, (getattr(turn[key], figure) for turn in turns[name])) for name in clones)
            line += [shown(this), shown(other), f"{this / other:.3f}"]
        lines.append(line)
    print(aligned(lines))


def _best(best: Callable[[Iterable[float]], float], figures: Iterable[float]) -> float:
    return best(figures)


if __name__ == "__main__":
    sys.exit(main())
