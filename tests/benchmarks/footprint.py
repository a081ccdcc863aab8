"""Measure a server without load: start-up time, import time, memory, and memory for each idle connection."""

import contextlib
import pathlib
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.support import free_port

from .answers import WrongAnswerError
from .launch import NotStartedError, Running, Stage, running
from .measure import idle_connections
from .peers import CLONE, Peer, Site
from .processes import memory_octets, pinned
from .report import Table, shown

_IDLE_CONNECTIONS = 5_000
_TIMEOUT_SECONDS = 15.0
_SETTLE_SECONDS = 0.3
# For comparison: Python itself, and the modules that any HTTP server needs.
IMPORTED = (
    "httpsock",
    "httpsock.server.server",
    "httpsock.cli.serve",
    "httpsock.cli.get",
    "http.server",
    "asyncio",
    "socket",
    "sys",
)


class Start(NamedTuple):
    """The seconds from a server's start to its first answer, and to its first line of output."""

    answered: float
    ready: float | None


def start_up(peers: Sequence[Peer], stage: Stage, turns: int) -> Table:
    """Measure start-up times, memory at rest and memory for idle connections. Return a table."""
    starts: dict[str, list[Start]] = {peer.name: [] for peer in peers}
    for _ in range(turns):
        for peer in peers:
            with contextlib.suppress(NotStartedError):
                starts[peer.name].append(_start(peer, stage))
    headings = [
        "server",
        "first answer ms",
        "lowest–highest",
        "first line ms",
        "at rest MiB",
        "KiB for an idle connection",
    ]
    lines = [headings]
    for peer in peers:
        if taken := starts[peer.name]:
            answered = [start.answered * 1e3 for start in taken]
            ready = [start.ready * 1e3 for start in taken if start.ready is not None]
            lines.append(
                [
                    peer.name,
                    shown(statistics.median(answered)),
                    f"{shown(min(answered))}–{shown(max(answered))}",
                    shown(statistics.median(ready)) if ready else "–",
                    *_memory(peer, stage),
                ]
            )
    return lines


@contextlib.contextmanager
def _site(stage: Stage) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir=stage.work) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield Site(stage.root, free_port(), folder, None, stage.environment)


def _start(peer: Peer, stage: Stage) -> Start:
    """Start *peer* and measure the time until its first answer. Raise NotStartedError if no answer comes."""
    with _site(stage) as site:
        command = peer.command(site)
        with pinned(stage.processors.server):
            begun = time.perf_counter()
            process = subprocess.Popen(command, cwd=peer.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            # Read the line first: read after the answer, its time would be too late.
            ready = _first_line(process, begun) if peer.announces else None
            _wait_for_answer(site.port, begun)
            return Start(time.perf_counter() - begun, ready)
        finally:
            process.terminate()
            process.communicate()


def _first_line(process: subprocess.Popen[bytes], begun: float) -> float:
    assert process.stdout is not None
    process.stdout.readline()
    return time.perf_counter() - begun


def _wait_for_answer(port: int, begun: float) -> None:
    """Send a request every millisecond until the server on *port* answers."""
    request = b"GET /1k.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS) as connected:
                connected.sendall(request)
                if connected.recv(64).split()[1:2] == [b"200"]:
                    return
                raise NotStartedError("answers something else")
        except OSError:
            if time.perf_counter() - begun > _TIMEOUT_SECONDS:
                raise NotStartedError("does not answer") from None
            time.sleep(0.001)


def _memory(peer: Peer, stage: Stage) -> list[str]:
    """Return the memory of *peer* at rest in MiB, and its memory for each idle connection in KiB, as text."""
    try:
        with _site(stage) as site, running(peer, stage._replace(work=site.folder)) as server:
            time.sleep(_SETTLE_SECONDS)
            at_rest = memory_octets(server.pid, "VmRSS")
            more = _octets_with_idle_connections(server)
            for_each = (
                f"cannot hold {_IDLE_CONNECTIONS:,}"
                if more is None
                else shown((more - at_rest) / 1024 / _IDLE_CONNECTIONS)
            )
            return [shown(at_rest / 2**20), for_each]
    except NotStartedError as error:
        return [str(error), "–"]


def _octets_with_idle_connections(server: Running) -> int | None:
    """Return the memory of *server* with many idle connections. If any connection fails, return None."""
    try:
        with idle_connections(server.port, _IDLE_CONNECTIONS) as connections:
            time.sleep(_SETTLE_SECONDS)
            return memory_octets(server.pid, "VmRSS") if _are_open(connections) else None
    except (OSError, WrongAnswerError):
        return None


def _are_open(connections: Sequence[socket.socket]) -> bool:
    """Return whether all *connections* are still open and have no input."""
    poller = select.poll()
    for connected in connections:
        poller.register(connected, select.POLLIN)
    return not poller.poll(0)


def import_time(stage: Stage, turns: int) -> Table:
    """Measure the time to import each module in a new interpreter. Return a table."""
    taken: dict[str, list[float]] = {name: [] for name in IMPORTED}
    for _ in range(turns):
        for name in IMPORTED:
            code = f"import time; begun = time.perf_counter(); import {name}; print(time.perf_counter() - begun)"
            with pinned(stage.processors.server):
                done = subprocess.run([sys.executable, "-c", code], cwd=CLONE, capture_output=True, check=True)
            taken[name].append(float(done.stdout) * 1e3)
    lines = [["import", "median ms", "lowest–highest"]]
    for name, times in taken.items():
        lines.append([name, f"{statistics.median(times):.1f}", f"{min(times):.1f}–{max(times):.1f}"])
    return lines
