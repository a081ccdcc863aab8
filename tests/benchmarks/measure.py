"""Take the samples of a workload. The servers take turns, A B C A B C, so that a slow minute affects all of them."""

import contextlib
import pathlib
import socket
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

from .answers import Expected, WrongAnswerError, connection, expect, read_answer
from .launch import NotStartedError, Running, Stage, running
from .load import Sample, ask_again_and_again, check, play
from .peers import FLOOR, Peer
from .processes import memory_octets
from .workloads import BY_KEY, Workload, numbered, requests_of

# After a turn with thousands of connections the server has as many to close.
_SETTLE_SECONDS = 0.3
# If other programs use more than this share of a processor, the sample is disturbed.
_DISTURBED = 0.15


class Entrant(NamedTuple):
    """A server that takes part in a workload.

    Some workloads are compared with a second workload, which the process *own* answers. To measure the cost of the
    access log, *own* is a process without a log. Otherwise *own* is *server*.
    """

    server: Running
    expected: Expected
    own: Running
    own_expected: Expected | None


class Row(NamedTuple):
    """The figures of one workload, by server name. *left_out* has the reason for each server without figures."""

    workload: Workload
    samples: dict[str, list[Sample]]
    peak_octets: dict[str, int]
    commands: dict[str, list[str]]
    left_out: dict[str, str]


def measure(workload: Workload, peers: list[Peer], stage: Stage, seconds: int, turns: int) -> Row:
    """Measure *workload* with all *peers*. A server with a wrong answer gets a reason instead of figures."""
    row = Row(workload, {}, {}, {}, {})
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=stage.work)))
        work.chmod(0o755)
        entrants = {}
        for peer in peers:
            if peer.uses_defaults != workload.uses_defaults or (peer is FLOOR and not workload.has_floor):
                continue
            with _left_out_if_wrong(row, peer.name):
                entrants[peer.name] = _enter(workload, peer, stage._replace(work=work), stack)
                row.samples[peer.name] = []
        for _ in range(turns):
            for name, entrant in entrants.items():
                if name not in row.left_out:
                    with _left_out_if_wrong(row, name):
                        row.samples[name].append(_turn(workload, entrant, stage, seconds))
        for name in row.samples.keys() - row.left_out.keys():
            with _left_out_if_wrong(row, name):
                row.peak_octets[name] = memory_octets(entrants[name].server.pid, "VmHWM")
                row.commands[name] = entrants[name].server.command
                if not row.peak_octets[name]:
                    raise WrongAnswerError("has ended by itself")
    for name in row.left_out:
        row.samples.pop(name, None)
    return row


@contextlib.contextmanager
def _left_out_if_wrong(row: Row, name: str) -> Iterator[None]:
    """If the server called *name* answers wrongly, record the reason in *row*. Continue without this server."""
    try:
        yield
    except (WrongAnswerError, NotStartedError, OSError) as error:
        row.left_out[name] = str(error) or type(error).__name__


def _enter(workload: Workload, peer: Peer, stage: Stage, stack: contextlib.ExitStack) -> Entrant:
    """Start *peer*. Check one answer to each request, then all answers during one second of load."""
    if workload.is_logged and not peer.logs:
        raise WrongAnswerError("has no access log of its own")
    server = stack.enter_context(running(peer, stage, is_logged=workload.is_logged))
    expected = expect(workload, server.port, stage.root)
    counts = ask_again_and_again(workload, server.port, expected, stage.processors, 1, thoroughly=True)
    check(workload, counts, expected)
    if not workload.beside:
        return Entrant(server, expected, server, None)
    own = stack.enter_context(running(peer, stage)) if workload.is_logged else server
    return Entrant(server, expected, own, expect(BY_KEY[workload.beside], own.port, stage.root))


def _turn(workload: Workload, entrant: Entrant, stage: Stage, seconds: int) -> Sample:
    """Play *workload* once and return its sample.

    If *workload* is compared with a second workload, play the second one first.
    """
    own_rate = None
    if entrant.own_expected:
        own = BY_KEY[workload.beside]
        own_rate = _play_in_peace(own, entrant.own, entrant.own_expected, stage, seconds).rate
    with idle_connections(entrant.server.port, workload.idle):
        sample = _play_in_peace(workload, entrant.server, entrant.expected, stage, seconds)
    if workload.idle or workload.connections > 32:
        time.sleep(_SETTLE_SECONDS)
    return sample._replace(ratio_to_own=sample.rate / own_rate if own_rate else None)


def _play_in_peace(workload: Workload, server: Running, expected: Expected, stage: Stage, seconds: int) -> Sample:
    """Play *workload*. If other programs disturb it, repeat it a few times. Return the least disturbed sample."""
    samples: list[Sample] = []
    while len(samples) < stage.attempts:
        samples.append(play(workload, server, expected, stage.processors, seconds))
        if samples[-1].others_busy < _DISTURBED:
            break
    return min(samples, key=lambda sample: sample.others_busy)


def load_generator(stage: Stage, seconds: int) -> str:
    """Measure the speed of wrk, with floor.py as the server. Return the result in words."""
    (sample,) = measure(BY_KEY["1k"], [FLOOR], stage, seconds, 1).samples["floor"]
    needed = sample.client_busy / sample.rate
    return (
        f"{needed * 1e6:.1f} µs of its processor for each answer: {1 / needed:,.0f} in a second "
        f"(the floor needs {sample.cpu_microseconds:.1f} µs)"
    )


@contextlib.contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open *count* connections and keep them open. Each connection sends one request and is then idle."""
    request = numbered(requests_of(BY_KEY["1k"], port)[0], 0)
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(count):
            connected, stream = stack.enter_context(connection(port))
            connected.sendall(request)
            read_answer(stream)
            connections.append(connected)
        yield connections
