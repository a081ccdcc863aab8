"""Describe the conditions of a run: the machine, the system, the versions and the method."""

import os
import pathlib
import platform
import shlex
import subprocess
import sys
import time

from .environment import Environment
from .peers import CLONE, Peer
from .processes import Processors


def conditions(
    peers: list[Peer], environment: Environment, processors: Processors, seconds: int, turns: int
) -> dict[str, str]:
    """Return the conditions of this run as text, by name."""
    return {
        "command": shlex.join(["python3", "-m", "tests.benchmarks", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{_processor()}, {os.cpu_count()} processors, {_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, loopback",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Python of the peers from PyPI": _first_line([environment.python, "--version"]).removeprefix("Python ")
        or "none",
        "httpsock": _first_line(["git", "-C", str(CLONE), "describe", "--always", "--dirty"]) or "no clone",
        "wrk": _first_line(["wrk", "-v"]).partition(" Copyright")[0].removeprefix("wrk ") or "not installed",
        "peers": ", ".join(filter(None, (_version(peer, environment) for peer in peers))),
        "turns": f"{turns} of {seconds} s for each server, one server after the other",
        "processors": str(processors),
    }


def _version(peer: Peer, environment: Environment) -> str:
    """Return a server's name and version. If the server is httpsock or part of Python, return ""."""
    if peer.version:
        version = _first_line(list(peer.version)).removeprefix("nginx version: ").partition(" - ")[0].strip()
        return f"{peer.name} ({version})"
    return " + ".join(f"{package} {environment.versions[package]}" for package in peer.packages)


def _first_line(command: list[str]) -> str:
    """Run *command* and return the first line of its output."""
    try:
        finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError:
        return ""
    return finished.stdout.partition("\n")[0].strip()


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
