"""Play a workload to one server for some seconds. Check and count the answers.

The client is wrk. Each connection waits for an answer before it sends the next request. wrk can't read answers to HEAD,
since it waits for content. client.py sends HEAD requests instead, but more slowly.
"""

import json
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

from .answers import FIRST_NUMBER, Expected, WrongAnswerError
from .launch import Running
from .peers import CLONE
from .processes import Processors, busy_seconds, cpu_seconds, pinned
from .workloads import Workload, numbered

# To see status and length, wrk copies the content: that is cheap up to this length.
_MAX_COUNTED = 4096
_MAX_CHECKED = 2 * 2**20
_TIMEOUT_SECONDS = 30
# An answer after which the connection closes has one more field.
HEAD_SLACK_OCTETS = 64

# The end of each of wrk's scripts: it prints exact counts, where wrk itself prints rounded ones.
_REPORT = """
local threads = {}
setup = function(thread) table.insert(threads, thread) end
done = function(summary, latency)
  local errors = summary.errors
  local counted = -1
  for _, thread in ipairs(threads) do counted = thread:get("right") or -1 end
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "octets": %d, "errors": %d, "right": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout, counted,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Counts(NamedTuple):
    """The counts in the last line of a client's output.

    *right* counts the right answers. If the client did not count them, *right* is -1.
    """

    requests: int
    microseconds: int
    octets: int
    errors: int
    right: int
    p50: int
    p99: int


class Sample(NamedTuple):
    """The figures that one server reaches in one turn. Each *busy* figure is a share of one processor's time."""

    rate: float
    cpu_microseconds: float
    p50_microseconds: float
    p99_microseconds: float
    server_busy: float
    client_busy: float
    others_busy: float
    ratio_to_own: float | None = None


def play(workload: Workload, server: Running, expected: Expected, processors: Processors, seconds: int) -> Sample:
    """Play *workload* once and return a sample. Raise WrongAnswerError if any answer is wrong."""
    before, client_before, all_before = cpu_seconds(server.pid), _children_seconds(), busy_seconds()
    counts = ask_again_and_again(workload, server.port, expected, processors, seconds)
    used, client_used = cpu_seconds(server.pid) - before, _children_seconds() - client_before
    others_used = busy_seconds() - all_before - used - client_used
    check(workload, counts, expected)
    # A large answer cut off at the end counts for the octets that have arrived.
    is_large = expected.length >= 2**20
    responses = counts.octets / expected.max_octets if is_large else counts.requests
    elapsed = counts.microseconds / 1e6
    return Sample(
        rate=responses / elapsed,
        cpu_microseconds=used * 1e6 / responses,
        p50_microseconds=counts.p50,
        p99_microseconds=counts.p99,
        server_busy=used / elapsed,
        client_busy=client_used / elapsed,
        others_busy=max(0.0, others_used / elapsed),
    )


def ask_again_and_again(
    workload: Workload, port: int, expected: Expected, processors: Processors, seconds: int, *, thoroughly: bool = False
) -> Counts:
    """Run wrk or client.py with *workload* and return the counts.

    If *thoroughly* is true, also check answers of up to 2 MiB.
    """
    seconds = max(seconds, workload.min_seconds)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, pinned(processors.client):
        if workload.method == "HEAD":
            command = [sys.executable, "-m", "tests.benchmarks.client"]
            command += map(str, [port, workload.connections, seconds, workload.status, expected.max_octets])
            command.append(numbered(expected.requests[0], FIRST_NUMBER).decode("ascii"))
        else:
            script.write(lua(workload, expected, _MAX_CHECKED if thoroughly else _MAX_COUNTED))
            script.flush()
            command = ["wrk", "-t1", f"-c{workload.connections}", f"-d{seconds}", "--timeout", str(_TIMEOUT_SECONDS)]
            command += ["-s", script.name, f"http://127.0.0.1:{port}/"]
        try:
            time_limit = seconds + 2 * _TIMEOUT_SECONDS
            finished = subprocess.run(
                command, cwd=CLONE, capture_output=True, text=True, check=True, timeout=time_limit
            )
        except subprocess.CalledProcessError as error:
            raise WrongAnswerError(f"could not be asked: {error.stderr.strip()}") from None
        except subprocess.TimeoutExpired:
            raise WrongAnswerError("its client did not end") from None
    return parse(finished.stdout)


def _children_seconds() -> float:
    """Return the processor time of all ended child processes. Only clients have ended, since the servers still run."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def lua(workload: Workload, expected: Expected, max_counted: int) -> str:
    """Return a Lua script for wrk.

    If the content has at most *max_counted* octets, the script checks each status and length.
    """
    pieces = [request.split("{n}") for request in expected.requests]
    if len(pieces) == 1 and len(pieces[0]) == 1:
        script = f"local all = {json.dumps(expected.requests[0] * workload.pipelined)}\n"
        script += "request = function() return all end\n"
    else:
        listed = ", ".join(f"{{{', '.join(map(json.dumps, each))}}}" for each in pieces)
        following = f"(n + 1) % {workload.numbers}" if workload.numbers else "n + 1"
        script = f"local all, n = {{{listed}}}, 0\nrequest = function()\n  n = {following}\n"
        script += f"  return table.concat(all[math.random(#all)], {FIRST_NUMBER} + n)\nend\n"
    if expected.length <= max_counted:
        right = f"status == {expected.status} and #content == {expected.length}"
        script += f"right = 0\nresponse = function(status, _, content) if {right} then right = right + 1 end end\n"
    return script + _REPORT


def parse(output: str) -> Counts:
    """Parse the last line of a client's output. Raise WrongAnswerError if it has no figures."""
    lines = re.findall(r"^\{.*\}$", output, re.MULTILINE)
    if not lines:
        raise WrongAnswerError(f"no figures: {output[-200:]}")
    return Counts(**json.loads(lines[-1]))


def check(workload: Workload, counts: Counts, expected: Expected) -> None:
    """Raise WrongAnswerError if there was a wrong answer, or no answer at all."""
    if counts.errors:
        what = "closed without saying so, lost, late, or a status of 400 or more"
        raise WrongAnswerError(f"{counts.errors} errors in {counts.requests} answers: {what}")
    if not counts.octets:
        raise WrongAnswerError("no answer at all")
    if counts.right not in (-1, counts.requests):
        raise WrongAnswerError(f"only {counts.right} of {counts.requests} answers had the right status and length")
    # Responses running at the end have been read in part.
    under_way = workload.connections * workload.pipelined
    minimum = counts.requests * (expected.min_octets - HEAD_SLACK_OCTETS)
    maximum = (counts.requests + under_way) * (expected.max_octets + HEAD_SLACK_OCTETS)
    if not minimum <= counts.octets <= maximum:
        raise WrongAnswerError(f"{counts.octets} octets for {counts.requests} answers of {expected.max_octets}")
