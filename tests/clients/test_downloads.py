"""Clients that download files and folders: entire files, parts of files, or only the changes."""

import hashlib
import os
import pathlib
import re

import pytest

import httpsock
from httpsock.server.access_log import Exchange
from tests.support.tools import run, succeed, tool

pytestmark = pytest.mark.tools

LONG_AGO = 1_600_000_000
FILM = bytes(range(256)) * 8192


@pytest.fixture
def served(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a folder to serve. Its subfolder has file names that clients may encode wrongly."""
    folder = tmp_path / "served"
    (folder / "sub").mkdir(parents=True)
    files = {"film.bin": FILM, "hello.txt": b"hello\n", "sub/a:b.txt": b"colon\n", "sub/two words.txt": b"words\n"}
    files |= {"sub/100%.txt": b"percent\n", "sub/café.txt": b"accent\n"}
    for name, octets in files.items():
        (folder / name).write_bytes(octets)
        os.utime(folder / name, (LONG_AGO, LONG_AGO))
    return folder


def contents_below(folder: pathlib.Path) -> dict[str, bytes]:
    """Return the content of each file below *folder*, by name."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_wget_downloads_resumes_and_revalidates_a_file(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    wget, log = tool("wget"), list[Exchange]()
    with httpsock.Server(served, port=0, log=log.extend) as server:
        (tmp_path / "film.bin").write_bytes(FILM[:1000])
        succeed(run([wget, "-nv", "-c", server.url + "film.bin"], tmp_path))
        assert (tmp_path / "film.bin").read_bytes() == FILM
        succeed(run([wget, "-nv", "-c", server.url + "film.bin"], tmp_path))
        succeed(run([wget, "-nv", "-N", server.url + "hello.txt"], tmp_path))
        succeed(run([wget, "-nv", "-N", server.url + "hello.txt"], tmp_path))
    assert [int(exchange.status) for exchange in log] == [206, 416, 200, 304]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["aria2c", "-q", "-x4", "-s4", "-k1M", "--file-allocation=none"], id="aria2c"),
        pytest.param(["axel", "-q", "-n4"], id="axel"),
    ],
)
def test_a_file_is_downloaded_in_several_parts_at_the_same_time(
    served: pathlib.Path, tmp_path: pathlib.Path, command: list[str]
) -> None:
    program, *options = command
    log = list[Exchange]()
    (served / "film.bin").write_bytes(FILM * 4)
    os.utime(served / "film.bin", (LONG_AGO, LONG_AGO))
    with httpsock.Server(served, port=0, log=log.extend) as server:
        succeed(run([tool(program), *options, server.url + "film.bin"], tmp_path))
    assert (tmp_path / "film.bin").read_bytes() == FILM * 4
    assert sum(exchange.status == 206 for exchange in log) >= 2


def test_lftp_mirrors_a_folder_by_its_listing(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with httpsock.Server(served, port=0) as server:
        succeed(run([tool("lftp"), "-c", f"open {server.url}; mirror / mirrored"], tmp_path))
    assert contents_below(tmp_path / "mirrored") == contents_below(served)


def test_rclone_copies_a_folder_with_all_its_names(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    command = [tool("rclone"), "--config", os.devnull, "copy", "--http-url"]
    with httpsock.Server(served, port=0) as server:
        succeed(run([*command, server.url, ":http:", str(tmp_path / "copied")], tmp_path))
    assert contents_below(tmp_path / "copied") == contents_below(served)


def test_zsync_fetches_only_changed_blocks(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A multipart/byteranges must have CRLF before its first delimiter. Without it, zsync loops forever."""
    zsync, log = tool("zsync"), list[Exchange]()
    old, new = bytearray(os.urandom(1 << 20)), bytearray()
    new[:] = old
    for position in range(20_000, len(new), 50_000):
        new[position : position + 10] = b"0123456789"
    (served / "new.bin").write_bytes(new)
    (tmp_path / "old.bin").write_bytes(old)
    succeed(run([tool("zsyncmake"), "-b", "2048", "-u", "new.bin", "-o", "new.zsync", "new.bin"], served))
    with httpsock.Server(served, port=0, log=log.extend) as server:
        succeed(run([zsync, "-q", "-i", "old.bin", "-o", "new.bin", server.url + "new.zsync"], tmp_path))
    assert (tmp_path / "new.bin").read_bytes() == new
    parts = [exchange for exchange in log if exchange.status == 206]
    assert 1 <= len(parts) <= 5
    assert sum(exchange.sent for exchange in parts) < len(new) // 4


def test_zchunk_fetches_only_changed_chunks(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The client zckdl requests up to 255 ranges at a time. If the answer were 200, it would retry with fewer."""
    zck, log = tool("zck"), list[Exchange]()
    lines = [b"<package>%s\n" % (hashlib.sha256(b"%d" % number).hexdigest() * 20).encode() for number in range(1200)]
    (tmp_path / "old").write_bytes(b"".join(lines))
    for number in range(0, 900, 3):
        lines[number] = lines[number].upper().replace(b"<PACKAGE>", b"<package>")
    (served / "new").write_bytes(b"".join(lines))
    for name, folder in (("new", served), ("old", tmp_path)):
        succeed(run([zck, "-m", "-s", "<package>", "-o", f"{name}.zck", name], folder))
    with httpsock.Server(served, port=0, log=log.extend) as server:
        succeed(run([tool("zckdl"), "-s", "old.zck", server.url + "new.zck"], tmp_path))
    assert (tmp_path / "new.zck").read_bytes() == (served / "new.zck").read_bytes()
    # Requests for the head of the file, for 255 changed chunks, and for the other 45.
    assert {int(exchange.status) for exchange in log} == {206}
    assert len(log) <= 5
    assert sum(exchange.sent for exchange in log) < (served / "new.zck").stat().st_size


def test_ab_reuses_a_connection_of_http_1_0(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with httpsock.Server(served, port=0) as server:
        done = run([tool("ab"), "-q", "-k", "-n", "50", "-c", "2", server.url + "hello.txt"], tmp_path)
    succeed(done)
    assert re.search(rb"Keep-Alive requests: +50\n", done.stdout)
    assert re.search(rb"Failed requests: +0\n", done.stdout)
