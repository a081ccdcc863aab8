"""Read a server's processor time and memory from /proc, and choose its processors. Linux only.

All figures are sums over a tree of processes, such as a master and its workers.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple


class Processors(NamedTuple):
    """The processors for the servers, and the processors for the clients."""

    server: frozenset[int]
    client: frozenset[int]

    def __str__(self) -> str:
        if self.server == self.client:
            return f"servers and clients share processors {_names(self.server)}"
        return f"servers pinned to processor {_names(self.server)}, clients to {_names(self.client)}"


def _names(processors: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(processors)))


def divide_processors(*, pin: bool) -> Processors:
    """If *pin* is true, return one processor for the server and another for its client.

    If *pin* is false, or if only one processor is usable, server and client share all usable processors.
    """
    usable = sorted(os.sched_getaffinity(0))
    if not pin or len(usable) < 2:
        return Processors(frozenset(usable), frozenset(usable))
    # Interrupts tend to arrive at the first processor.
    return Processors(frozenset(usable[-1:]), frozenset(usable[:1]))


@contextlib.contextmanager
def pinned(processors: frozenset[int]) -> Iterator[None]:
    """Within the block, restrict this program and its new child processes to *processors*."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptor_limit() -> int:
    """Raise the limit on open descriptors as far as the system allows. Return the new limit."""
    import resource

    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    return maximum


def tree(pid: int) -> list[int]:
    """Return *pid* and the IDs of all its running descendants."""
    below = [pid]
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []
    for task in tasks:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            below += [process for child in children for process in tree(int(child))]
    return below


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its descendants. Include children that have ended."""
    ticks = 0
    for process in tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            ticks += cpu_ticks(pathlib.Path(f"/proc/{process}/stat").read_text())
    return ticks / os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """Return the processor time used on the entire machine, including time that the hypervisor has stolen."""
    # user nice system idle iowait irq softirq steal ...
    figures = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
    return (sum(figures) - figures[3] - figures[4]) / os.sysconf("SC_CLK_TCK")


def cpu_ticks(stat: str) -> int:
    """Return utime + stime + cutime + cstime from *stat*, the text of /proc/PID/stat."""
    # The name of the program comes second, in brackets, and may hold spaces and brackets itself.
    after_name = stat.rpartition(")")[2].split()
    return sum(map(int, after_name[11:15]))


def memory_octets(pid: int, kind: str) -> int:
    """Return the memory of a process and its descendants. *kind* is VmHWM for the peak or VmRSS for the present.

    A shared page counts once for each process.
    """
    octets = 0
    for process in tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            octets += status_octets(pathlib.Path(f"/proc/{process}/status").read_text(), kind)
    return octets


def status_octets(status: str, kind: str) -> int:
    """Read the figure *kind* from *status*, the text of /proc/PID/status. If it is missing, return 0."""
    for line in status.splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    return 0
