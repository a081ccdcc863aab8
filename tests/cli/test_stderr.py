"""Standard error: a slow reader, a closed pipe or a full disk never blocks the program. Dropped lines are counted."""

import os
import pathlib
import re
import select
import subprocess
import threading
import time
import types
from collections.abc import Iterator
from typing import IO

import pytest

from httpsock.cli.stderr import StderrWriter
from httpsock.tracing.output import standard_error
from tests.support import TIMEOUT_SECONDS
from tests.support.tools import tool

# The octets of more lines than a pipe and the queue of unwritten lines can hold.
MUCH = 4 << 20
LINE = "x" * 999 + "\n"


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[bytes]]:
    """Replace standard error by a pipe, and yield its reading end."""
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w", encoding="utf-8") as writer:
        monkeypatch.setattr("httpsock.tracing.output.sys", types.SimpleNamespace(stderr=writer))
        yield reader


def writer_of() -> int:
    """Return the descriptor of the fake standard error."""
    return standard_error()


def test_lines_are_written_in_order(pipe: IO[bytes]) -> None:
    lines = StderrWriter()
    lines.write("one\ntwo\n")
    lines.write_line("three \udcff")
    lines.write("four\n")
    lines.close(TIMEOUT_SECONDS)

    assert [pipe.readline() for _ in range(4)] == [b"one\n", b"two\n", b"three \\udcff\n", b"four\n"]


def test_a_line_is_written_without_waiting_for_the_next(pipe: IO[bytes]) -> None:
    lines = StderrWriter()
    for line in (b"one\n", b"two\n"):
        lines.write(line.decode())
        assert pipe.readline() == line
    lines.close(TIMEOUT_SECONDS)


def test_a_blocked_reader_blocks_no_writer(pipe: IO[bytes]) -> None:
    """If the queue is full, lines are dropped, and their number is reported."""
    lines = StderrWriter()
    for _ in range(MUCH // len(LINE)):
        lines.write(LINE)
    lines.close(0.0)

    written = dropped = 0
    while written + dropped < MUCH // len(LINE):
        read = pipe.readline()
        if read == LINE.encode():
            written += 1
        else:
            report = re.fullmatch(rb"(\d+) log lines dropped: standard error is blocked\n", read)
            assert report
            dropped += int(report[1])
    assert written * len(LINE) <= MUCH * 3 / 4


@pytest.mark.parametrize("way", ["closed", "none", "dead pipe"])
def test_lines_for_a_closed_reader_are_dropped(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as writer:
        monkeypatch.setattr(
            "httpsock.tracing.output.sys", types.SimpleNamespace(stderr=None if way == "none" else writer)
        )
        if way == "closed":
            writer.close()
        lines = StderrWriter()
        lines.write("one\n")
        lines.close(TIMEOUT_SECONDS)
    assert lines._waiting == []
    assert lines._dropped == (0 if way in ("closed", "none") else 1)


def test_a_writer_without_lines_has_no_thread_to_close() -> None:
    before = threading.active_count()
    StderrWriter().close(TIMEOUT_SECONDS)
    assert threading.active_count() <= before


def test_a_full_pipe_that_does_not_block_loses_no_line(pipe: IO[bytes]) -> None:
    """Another program may have set O_NONBLOCK on the pipe, so the writer retries after EAGAIN."""
    os.set_blocking(writer_of(), False)
    lines = StderrWriter()
    expected = [f"{number} {'x' * 200}\n".encode() for number in range(3001)]
    for line in expected:
        lines.write(line.decode())
    # The pipe is full before anything is read.
    while select.select([], [writer_of()], [], 0)[1]:
        pass
    assert [pipe.readline() for _ in expected] == expected
    lines.close(TIMEOUT_SECONDS)


def test_lines_dropped_beside_a_full_pipe_are_counted_exactly(pipe: IO[bytes]) -> None:
    os.set_blocking(writer_of(), False)
    lines = StderrWriter()
    total = MUCH // len(LINE)
    for _ in range(total):
        lines.write(LINE)
    written = dropped = 0
    while written + dropped < total:
        read = pipe.readline()
        report = re.fullmatch(rb"(\d+) log lines dropped: standard error is blocked\n", read)
        assert report or read == LINE.encode(), "no line is torn"
        dropped += int(report[1]) if report else 0
        written += not report
    lines.close(TIMEOUT_SECONDS)
    assert dropped


def test_a_blocked_standard_error_does_not_delay_the_end(pipe: IO[bytes]) -> None:
    os.set_blocking(writer_of(), False)
    lines = StderrWriter()
    for _ in range(1000):
        lines.write(LINE)
    lines.close(0.1)
    assert lines._thread
    lines._thread.join(TIMEOUT_SECONDS)
    assert not lines._thread.is_alive()


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Mount a file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        [tool("mount"), "-t", "tmpfs", "-o", "size=64k", "httpsock", str(disk)], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip("this user may not mount a file system here")
    yield disk
    subprocess.run([tool("umount"), "--lazy", str(disk)], check=True)


def test_on_a_full_disk_lines_wait_until_there_is_room(
    small_disk: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_disk / "ballast").write_bytes(bytes(56 * 1024))
    expected = [f"{number} {'x' * 300}\n" for number in range(100)]
    with (small_disk / "log").open("w", encoding="utf-8") as log:
        monkeypatch.setattr("httpsock.tracing.output.sys", types.SimpleNamespace(stderr=log))
        lines = StderrWriter()
        for line in expected:
            lines.write(line)
        latest = time.monotonic() + TIMEOUT_SECONDS
        while os.fstat(log.fileno()).st_size < 4096 and time.monotonic() < latest:
            os.sched_yield()
        (small_disk / "ballast").unlink()
        lines.close(TIMEOUT_SECONDS)
    assert (small_disk / "log").read_text().splitlines(keepends=True) == expected, "none is lost, none is torn"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_disk_that_stays_full_does_not_end_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr("httpsock.tracing.output.sys", types.SimpleNamespace(stderr=full))
        lines = StderrWriter()
        lines.write("one\ntwo\n")
        lines.close(0.0)
        assert lines._thread
        lines._thread.join(TIMEOUT_SECONDS)
        assert not lines._thread.is_alive()
    assert lines._dropped == 2
