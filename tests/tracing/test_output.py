"""Output of a trace: writing to a full pipe, and the width of a terminal."""

import io
import os
from typing import Any

import pytest

from httpsock.tracing import output
from httpsock.tracing.output import width_of, would_block, write_all, write_whole
from tests.support.marks import needs_terminals


def test_writing_to_a_full_pipe_is_repeated_as_the_caller_decides() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    count = write_whole(writer, b"x" * (1 << 21), lambda: False)
    assert 0 < count < 1 << 21

    def make_room() -> bool:
        assert os.read(reader, count) == b"x" * count
        return True

    assert write_whole(writer, b"later\n", make_room) == len(b"later\n")
    assert os.read(reader, count) == b"later\n"
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("buffering", [0, -1], ids=["unbuffered", "buffered"])
def test_everything_is_written_to_a_non_blocking_pipe(buffering: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    octets = bytes(range(256)) * 4096
    received: list[bytes] = []
    # The reader reads exactly when the writer waits.
    monkeypatch.setattr(output, "_wait", lambda descriptor, is_disk: received.append(os.read(reader, len(octets))))
    with open(writer, "wb", buffering) as stream:
        write_all(stream, octets)
        assert received, "the pipe was full at least once"
    while rest := os.read(reader, len(octets)):
        received.append(rest)
    os.close(reader)
    assert b"".join(received) == octets


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
@pytest.mark.parametrize("buffering", [0, -1], ids=["unbuffered", "buffered"])
def test_a_write_to_a_full_disk_fails(buffering: int) -> None:
    # Closing a buffered stream fails, too.
    with pytest.raises(OSError, match="No space left on device"), open("/dev/full", "wb", buffering) as stream:
        write_all(stream, b"octets")


def test_a_write_to_a_full_pipe_would_block() -> None:
    reader, writer = os.pipe()
    assert not would_block(writer)
    os.set_blocking(writer, False)
    write_whole(writer, b"x" * (1 << 21), lambda: False)
    assert would_block(writer)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("descriptor", [-1, 1 << 20])
def test_a_write_to_a_closed_descriptor_would_fail_and_not_block(descriptor: int) -> None:
    assert not would_block(descriptor)


@pytest.mark.parametrize("output", [io.StringIO(), object()], ids=["an unsupported fileno", "no fileno"])
def test_a_write_to_an_output_without_a_descriptor_does_not_block(output: Any) -> None:
    assert not would_block(output)


def test_a_pipe_has_no_width() -> None:
    reader, writer = os.pipe()
    assert width_of(writer) is None
    os.close(reader)
    os.close(writer)


@needs_terminals
@pytest.mark.parametrize("error", [OSError(25, "Inappropriate ioctl for device"), ValueError("bad descriptor")])
def test_a_terminal_without_a_known_width_has_no_limit(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_: int) -> os.terminal_size:
        raise error

    ours, theirs = os.openpty()
    monkeypatch.setattr(os, "get_terminal_size", fail)
    assert width_of(theirs) is None
    os.close(ours)
    os.close(theirs)
