"""How the connection sends a file: with sendfile(), or with read() and send(). The file may change meanwhile."""

import errno
import itertools
import os
import pathlib

import pytest

from tests.server.dialogue import Begin, Dialogue, assert_persists
from tests.support import get
from tests.support.folder import LARGE


@pytest.mark.parametrize("has_sendfile", [True, False], ids=["sendfile", "read and send"])
def test_a_file_truncated_while_it_is_sent_ends_the_connection(
    begin: Begin, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *, has_sendfile: bool
) -> None:
    """The client gets fewer octets than Content-Length announces (RFC 9112 §8)."""
    if not has_sendfile:
        monkeypatch.delattr(os, "sendfile", raising=False)
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin") + get("/hello.txt"))

    os.truncate(folder / "large.bin", 100_000)

    head, _, content = dialogue.receive().partition(b"\r\n\r\n")
    assert f"Content-Length: {len(LARGE)}".encode() in head
    assert content == LARGE[:100_000]
    assert dialogue.has_received_end
    assert not dialogue.is_open
    (exchange,) = dialogue.exchanges
    assert (exchange.sent, exchange.length) == (100_000, len(LARGE))


@pytest.mark.parametrize("has_sendfile", [True, False], ids=["sendfile", "read and send"])
def test_a_range_of_a_large_file_is_sent_exactly(
    dialogue: Dialogue, monkeypatch: pytest.MonkeyPatch, *, has_sendfile: bool
) -> None:
    """A 206 with one part has exactly the octets of its Content-Range (requirement R128)."""
    if not has_sendfile:
        monkeypatch.delattr(os, "sendfile", raising=False)
    dialogue.send(get("/large.bin", "Range: bytes=1000-1999") + get("/large.bin", "Range: bytes=-3"))

    first, second = dialogue.answers()

    assert (first.content, second.content) == (LARGE[1000:2000], LARGE[-3:])
    assert first.field("Content-Range") == f"bytes 1000-1999/{len(LARGE)}"
    assert_persists(dialogue)


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile()")
@pytest.mark.parametrize("before", [0, 1, 2], ids=["at once", "after one call", "after two calls"])
@pytest.mark.parametrize("refusal", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "EPERM"])
def test_a_file_is_read_and_sent_if_sendfile_is_refused(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, refusal: str, before: int
) -> None:
    """LXC, WSL 1, FUSE and system call filters refuse sendfile(), some only after a few calls."""
    sendfile, calls = os.sendfile, itertools.count()

    def refuse(out: int, file: int, offset: int, length: int) -> int:
        if next(calls) < before:
            return sendfile(out, file, offset, length)
        raise OSError(getattr(errno, refusal), "not supported here")

    monkeypatch.setattr(os, "sendfile", refuse)
    dialogue = begin(buffered_octets=4096)
    dialogue.send(get("/large.bin", "Range: bytes=5-199999") + get("/hello.txt"))

    first, second = dialogue.answers()

    assert (first.status, first.content) == (206, LARGE[5:200000])
    assert second.content == b"Hello, socket.\n"
    assert next(calls) > before


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile()")
def test_a_disk_error_of_sendfile_is_not_followed_by_reading(
    dialogue: Dialogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "sendfile", fail)
    dialogue.send(get("/large.bin"))

    assert dialogue.receive().partition(b"\r\n\r\n")[2] == b""
    assert not dialogue.is_open
