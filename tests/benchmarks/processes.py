"""Read a server's processor time and memory from /proc, and choose the processors it runs on. Linux only.

All figures are those of a whole tree of processes, so that a master and its workers count together.
"""

import contextlib
import os
import pathlib
import resource
from collections.abc import Iterator
from typing import NamedTuple

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Processors(NamedTuple):
    """The processors of the servers, and those of the clients."""

    server: frozenset[int]
    client: frozenset[int]

    def __str__(self) -> str:
        if self.server == self.client:
            return f"servers and clients share processors {_names(self.server)}"
        return f"servers pinned to processor {_names(self.server)}, clients to {_names(self.client)}"


def _names(processors: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(processors)))


def divide_processors(*, pin: bool) -> Processors:
    """Return one processor for the server and another for its client, if *pin* is true.

    Without *pin*, or if only one processor is usable, both get all usable processors.
    """
    usable = sorted(os.sched_getaffinity(0))
    if not pin or len(usable) < 2:
        return Processors(frozenset(usable), frozenset(usable))
    # Interrupts tend to arrive at the first processor.
    return Processors(frozenset(usable[-1:]), frozenset(usable[:1]))


@contextlib.contextmanager
def pinned(processors: frozenset[int]) -> Iterator[None]:
    """Run this program, and the programs that it starts in the block, on *processors* only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptor_limit() -> int:
    """Raise the limit on open descriptors as far as the system allows; return it."""
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    return maximum


def tree(pid: int) -> list[int]:
    """Return *pid* and all processes below it that are running now."""
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
    """Return the processor time, user and system, of a tree of processes, including children that have ended."""
    ticks = 0
    for process in tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            ticks += cpu_ticks(pathlib.Path(f"/proc/{process}/stat").read_text())
    return ticks / _TICKS_A_SECOND


def busy_seconds() -> float:
    """Return the processor time used on this whole machine, including the time stolen by its host."""
    # user nice system idle iowait irq softirq steal ...
    figures = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
    return (sum(figures) - figures[3] - figures[4]) / _TICKS_A_SECOND


def cpu_ticks(stat: str) -> int:
    """Return the sum of utime, stime, cutime and cstime in *stat*, the text of /proc/PID/stat."""
    # The name of the program comes second, in brackets, and may hold spaces and brackets itself.
    after_name = stat.rpartition(")")[2].split()
    return sum(map(int, after_name[11:15]))


def memory_octets(pid: int, kind: str) -> int:
    """Return the memory of a tree of processes, in octets: its peak if *kind* is VmHWM, the present value if VmRSS.

    A page that several processes share counts once for each process.
    """
    octets = 0
    for process in tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            octets += status_octets(pathlib.Path(f"/proc/{process}/status").read_text(), kind)
    return octets


def status_octets(status: str, kind: str) -> int:
    """Return the figure *kind* of *status*, the text of /proc/PID/status, in octets; 0 if it is missing."""
    for line in status.splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    return 0
