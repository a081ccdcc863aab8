"""Query processes and file descriptors, and set limits for a test."""

import os
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest


def is_alive(process: int) -> bool:
    """Return whether *process* is running. A zombie counts as ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = pathlib.Path(f"/proc/{process}/stat")
    try:
        return status.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        # The process ended just now, or this system has no /proc.
        return not pathlib.Path("/proc/self").exists()


def children_of(process: int) -> list[int]:
    """Return the PIDs of the child processes of *process*. This works only on Linux."""
    return [int(word) for word in pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def open_descriptors() -> set[int]:
    """Return the open descriptors of this process that are below 512."""
    found = set()
    for descriptor in range(512):
        with suppress(OSError):
            os.fstat(descriptor)
            found.add(descriptor)
    return found


def lowest_free_descriptor() -> int:
    """Return the number that the next new descriptor will get."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Within the block, allow only *count* more descriptors. Afterwards assert that no descriptor was left open."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = lowest_free_descriptor()
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert lowest_free_descriptor() == spare, "a descriptor was left open"


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run the block as an ordinary user. Restore root afterwards."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
