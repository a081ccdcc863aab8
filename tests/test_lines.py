"""Lines for standard error: nobody waits for whoever reads them."""

import os
import re
import threading
import types
from collections.abc import Iterator
from typing import IO

import pytest

from httpsock.lines import LineWriter
from tests.support import PATIENCE_SECONDS

# More than a pipe and what waits to be written can hold.
MUCH = 4 << 20
LINE = "x" * 999 + "\n"


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[bytes]]:
    """The reading end of a pipe that is standard error."""
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w", encoding="utf-8") as writer:
        monkeypatch.setattr("httpsock.lines.sys", types.SimpleNamespace(stderr=writer))
        yield reader


def test_lines_are_written_in_order(pipe: IO[bytes]) -> None:
    lines = LineWriter()
    lines.write("one\ntwo\n")
    lines.say("three \udcff")
    lines.write("four\n")
    lines.close(PATIENCE_SECONDS)

    assert [pipe.readline() for _ in range(4)] == [b"one\n", b"two\n", b"three \\udcff\n", b"four\n"]


def test_a_line_is_written_without_waiting_for_the_next(pipe: IO[bytes]) -> None:
    lines = LineWriter()
    for line in (b"one\n", b"two\n"):
        lines.write(line.decode())
        assert pipe.readline() == line
    lines.close(PATIENCE_SECONDS)


def test_nobody_waits_for_a_reader_that_does_not_read(pipe: IO[bytes]) -> None:
    """What there is no room for is dropped, counted and told of."""
    lines = LineWriter()
    for _ in range(MUCH // len(LINE)):
        lines.write(LINE)
    lines.close(0.0)

    written = dropped = 0
    while written + dropped < MUCH // len(LINE):
        read = pipe.readline()
        if read == LINE.encode():
            written += 1
        else:
            said = re.fullmatch(rb"lines dropped, since standard error took no more: (\d+)\n", read)
            assert said
            dropped += int(said[1])
    assert written * len(LINE) <= MUCH * 3 / 4


@pytest.mark.parametrize("way", ["closed", "none", "dead pipe"])
def test_lines_that_nobody_can_read_are_dropped(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as writer:
        monkeypatch.setattr("httpsock.lines.sys", types.SimpleNamespace(stderr=None if way == "none" else writer))
        if way == "closed":
            writer.close()
        lines = LineWriter()
        lines.write("one\n")
        lines.close(PATIENCE_SECONDS)
    assert lines._waiting == []


def test_without_a_line_there_is_nothing_to_close() -> None:
    before = threading.active_count()
    LineWriter().close(PATIENCE_SECONDS)
    assert threading.active_count() == before
