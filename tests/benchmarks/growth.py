"""Workloads that measure growth: with the number of connections, the file size, and the length of a listing."""

import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from .files import age, make_names
from .workloads import Workload

CONNECTIONS = (1, 4, 16, 32, 64, 128, 256, 1_000, 2_500, 5_000)
SIZES = (0, 2**10, 2**12, 2**14, 2**15, 2**16, 2**16 + 1, 2**17, 2**18, 2**20, 10 * 2**20, 100 * 2**20)
NAMES = (10, 100, 1_000, 10_000, 100_000)


class Curve(NamedTuple):
    """A series of workloads that differ in one number. *values* has the number for each workload."""

    key: str
    title: str
    unit: str
    values: tuple[int, ...]
    workloads: tuple[Workload, ...]


def make_growing_root(work: pathlib.Path) -> pathlib.Path:
    """Make a folder below *work* with the files for all workloads that measure growth. Return the new folder."""
    work.chmod(0o755)
    root = work / "growing"
    root.mkdir()
    (root / "1k.bin").write_bytes(os.urandom(1024))
    for size in SIZES:
        file = root / _sized(size).strip("/")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(os.urandom(size))
    for count in NAMES:
        folder = root / "names" / f"{count}"
        folder.mkdir(parents=True)
        make_names(folder, count)
    age(root)
    return root


def curves() -> Iterator[Curve]:
    """Yield three series of workloads: by number of connections, by file size, and by number of names in a folder."""
    by_connections = (
        Workload(f"connections-{count}", f"1 KiB file, {count:,} connections", connections=count, has_floor=True)
        for count in CONNECTIONS
    )
    yield Curve("connections", "1 KiB file", "connections", CONNECTIONS, tuple(by_connections))
    by_size = (
        Workload(f"size-{size}", f"file of {size:,} octets", target=_sized(size), length=size, connections=8)
        for size in SIZES
    )
    yield Curve("size", "One file, 8 connections", "octets of the file", SIZES, tuple(by_size))
    by_names = (
        Workload(
            f"names-{count}",
            f"listing of {count:,} names",
            target=f"/names/{count}/",
            length=None,
            connections=2,
            min_seconds=1 + count // 12_500,
        )
        for count in NAMES
    )
    yield Curve("names", "Listing of a folder, 2 connections", "names in the folder", NAMES, tuple(by_names))


def _sized(size: int) -> str:
    return f"/{'large' if size >= 2**16 else 'small'}/{size}.bin"
