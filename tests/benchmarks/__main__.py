"""Measure httpsock beside its peers: ``python3 -m tests.benchmarks``.

Each workload is played by wrk against one server after the other, again and again (A B C A B C ...), so that a slow
minute of the machine hurts all alike. What is compared is ratios within one run: the rate, and the processor time
that the server itself used for a response, which is steadier than rates on a machine that is shared.
Every answer is checked: its status, its length, and that no connection failed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

from .peers import FLOOR, HTTP_SERVER, HTTPSOCK, NGINX, Peer, Running, running

# Printed by wrk's own Lua when it is done: exact counts instead of rounded words.
_WRK_REPORT = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests": %d, "microseconds": %d, "octets": %d, "errors": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""
_MOST_HEAD_OCTETS = 600


class Workload(NamedTuple):
    """What is asked for, by how many connections; *length* of the content in octets."""

    name: str
    path: str
    length: int
    connections: int
    peers: tuple[Peer, ...]


SMALL = Workload("1 KiB file, keep-alive, 32 connections", "/1k.bin", 1024, 32, (NGINX, HTTPSOCK, HTTP_SERVER, FLOOR))
LARGE = Workload("100 MiB file, 2 connections", "/100m.bin", 100 * 2**20, 2, (NGINX, HTTPSOCK, HTTP_SERVER))
WORKLOADS = (SMALL, LARGE)


class Sample(NamedTuple):
    """One turn of one server."""

    rate: float
    cpu_microseconds: float
    p50_microseconds: float
    p99_microseconds: float


def main() -> int:
    """Run the workloads, print tables, write the samples as JSON if asked to; return the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=4, help="how long a turn lasts (default: 4)")
    parser.add_argument("--turns", type=int, default=5, help="how many turns each server has (default: 5)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all samples to FILE")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        print("wrk is needed: apt-get install wrk", file=sys.stderr)
        return 1
    print(conditions(options.seconds, options.turns))
    measured = {}
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        root = make_root(work)
        for workload in WORKLOADS:
            samples = measure(workload, root, work, options.seconds, options.turns)
            print(table(workload, samples))
            measured[workload.name] = {peer: [sample._asdict() for sample in taken] for peer, taken in samples.items()}
    if options.json:
        options.json.write_text(
            json.dumps({"conditions": conditions(options.seconds, options.turns), "samples": measured}, indent=1)
        )
    return 0


def conditions(seconds: int, turns: int) -> str:
    """Return what has to be known to judge the figures."""
    versions = [f"Python {platform.python_version()}", f"{platform.system()} {platform.release()}"]
    if NGINX.is_present:
        versions.append(subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.strip())
    processors = len(os.sched_getaffinity(0))
    return (
        f"{', '.join(versions)}; {processors} processors, shared with wrk; {turns} turns of {seconds} s each; loopback"
    )


def make_root(work: pathlib.Path) -> pathlib.Path:
    """Return a folder with the files that the workloads ask for, last modified long ago."""
    root = work / "root"
    root.mkdir(mode=0o755)
    work.chmod(0o755)
    (root / "1k.bin").write_bytes(os.urandom(1024))
    with (root / "100m.bin").open("wb") as large:
        for _ in range(100):
            large.write(os.urandom(2**20))
    for file in root.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))
    return root


def measure(
    workload: Workload, root: pathlib.Path, work: pathlib.Path, seconds: int, turns: int
) -> dict[str, list[Sample]]:
    """Return the samples of each server that is present, taken turn by turn."""
    for peer in workload.peers:
        if not peer.is_present:
            print(f"{peer.name} is left out: {peer.install}")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=work)))
        folder.chmod(0o755)
        servers = [stack.enter_context(running(peer, root, folder)) for peer in workload.peers if peer.is_present]
        for server in servers:
            play(workload, server, 1)
        samples: dict[str, list[Sample]] = {server.peer.name: [] for server in servers}
        for _ in range(turns):
            for server in servers:
                samples[server.peer.name].append(play(workload, server, seconds))
        return samples


def play(workload: Workload, server: Running, seconds: int) -> Sample:
    """Return one sample. Raises RuntimeError if any answer was wrong."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_WRK_REPORT)
        script.flush()
        url = f"http://127.0.0.1:{server.port}{workload.path}"
        command = ["wrk", "-t1", f"-c{workload.connections}", f"-d{seconds}", "--timeout", "30", "-s", script.name, url]
        before = server.cpu_seconds()
        finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
        used = server.cpu_seconds() - before
    counted = json.loads(re.findall(r"^\{.*\}$", finished.stdout, re.MULTILINE)[-1])
    requests = counted["requests"]
    # A large answer that is under way when the time is over counts with its octets, but not as a response.
    responses = requests if workload is SMALL else counted["octets"] / workload.length
    head = counted["octets"] / requests - workload.length if requests and workload is SMALL else 0
    if counted["errors"] or not requests or not 0 <= head <= _MOST_HEAD_OCTETS:
        raise RuntimeError(f"{server.peer.name} gave wrong answers: {finished.stdout}")
    rate = responses / (counted["microseconds"] / 1e6)
    return Sample(rate, used * 1e6 / responses, counted["p50"], counted["p99"])


def table(workload: Workload, samples: dict[str, list[Sample]]) -> str:
    """Return medians with their spread, and the ratios to the first server in the same turns."""
    first = next(iter(samples.values()))
    lines = [
        f"\n{workload.name}",
        f"{'':14}{'rate':>12}{'spread':>18}{'CPU µs':>10}{'p50 µs':>9}{'p99 µs':>9}{'rate':>8}{'CPU':>7}",
    ]
    for name, taken in samples.items():
        rates = [sample.rate for sample in taken]
        rate_ratio = statistics.median(sample.rate / other.rate for sample, other in zip(taken, first, strict=True))
        cpu_ratio = statistics.median(
            sample.cpu_microseconds / other.cpu_microseconds for sample, other in zip(taken, first, strict=True)
        )
        cpu = statistics.median(sample.cpu_microseconds for sample in taken)
        p50 = statistics.median(sample.p50_microseconds for sample in taken)
        p99 = statistics.median(sample.p99_microseconds for sample in taken)
        spread = f"{min(rates):,.0f}–{max(rates):,.0f}" if min(rates) >= 100 else f"{min(rates):.1f}–{max(rates):.1f}"
        rate = statistics.median(rates)
        shown = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
        lines.append(
            f"{name:14}{shown:>12}{spread:>18}{cpu:>10.1f}{p50:>9.0f}{p99:>9.0f}{rate_ratio:>8.2f}{cpu_ratio:>7.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
