"""Cached small files, including files that change without a trace in stat()."""

import functools
import mmap
import os
import pathlib
import shutil
import weakref
from collections.abc import Callable
from contextlib import closing

import pytest

from httpsock.files import document_root
from httpsock.files.document_root import SMALL_FILE, DocumentRoot, Redirect
from httpsock.files.paths import NOT_FOUND
from httpsock.http.handler import Tick
from tests.files.lookup import LATER, Change, changes, make, read, represent, until_the_clock_ticks
from tests.support.folder import LONG_AGO

# --- Files in memory ------------------------------------------------------------------------------


def test_a_small_file_is_cached_after_it_is_read(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt") is represent(served, b"/%68ello.txt")
    assert represent(served, b"/sub/") is represent(served, b"/sub/index.html")


def test_a_large_file_is_opened_each_time(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    with (
        closing(represent(served, b"/large.bin")) as first,
        closing(represent(served, b"/large.bin")) as second,
    ):
        assert first.file is not None
        assert second.file is not None
        assert first.file.fileno() != second.file.fileno()


@changes
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"HELLO, SOCKET.\n", id="rewritten with the same length"),
        pytest.param(b"Hello\n", id="shortened"),
        pytest.param(b"Hello, sockets.\n", id="lengthened"),
        pytest.param(b"", id="emptied"),
        pytest.param(bytes(SMALL_FILE + 1), id="grown large"),
    ],
)
def test_a_cached_file_that_changes_is_read_again(change: Change, octets: bytes, folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"
    until_the_clock_ticks(folder / "hello.txt", functools.partial(change, folder / "hello.txt", octets))
    assert read(served, b"/hello.txt") == octets


def test_a_cached_file_that_is_deleted_is_not_found(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"
    (folder / "hello.txt").unlink()
    assert served.find(b"/hello.txt", None, Tick(LATER, 0.0)) == NOT_FOUND


def test_a_cached_file_whose_folder_is_deleted_is_not_found(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/sub/index.html") == b"<!DOCTYPE html><title>sub</title>\n"
    shutil.rmtree(folder / "sub")
    for path in (b"/sub/index.html", b"/sub/", b"/sub"):
        assert served.find(path, None, Tick(LATER, 0.0)) == NOT_FOUND


def test_a_path_of_a_cached_file_that_became_a_folder_is_redirected(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"
    (folder / "hello.txt").unlink()
    (folder / "hello.txt").mkdir()
    assert isinstance(served.find(b"/hello.txt", None, Tick(LATER, 0.0)), Redirect)


@pytest.mark.parametrize(
    ("seconds", "is_cached"),
    [
        pytest.param(0.0, False, id="changed just now"),
        pytest.param(-60.0, False, id="changed in the future, by a clock that is behind"),
        pytest.param(1.9, False, id="changed within the coarsest granularity of file times"),
        pytest.param(2.1, True, id="changed longer ago"),
    ],
)
def test_a_file_that_could_change_and_keep_its_times_is_not_cached(
    seconds: float, is_cached: bool, folder: pathlib.Path
) -> None:
    # The modification time of the file is old; its change time (ctime) decides.
    now = (folder / "hello.txt").stat().st_ctime + seconds
    served = DocumentRoot(folder)
    first = represent(served, b"/hello.txt", None, now)
    assert (represent(served, b"/hello.txt", None, now) is first) is is_cached


def test_a_file_modified_in_the_future_is_not_cached(folder: pathlib.Path) -> None:
    os.utime(folder / "hello.txt", (LATER, LATER))
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt") is not represent(served, b"/hello.txt")


def test_the_cache_stays_within_its_memory_limit(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_root, "_CACHE_OCTETS", 3 * (2001 + document_root._CACHED_OVERHEAD))
    served = DocumentRoot(tmp_path)
    for name in "abcd":
        make(tmp_path / name, name.encode() * 1000)
    stored = [weakref.ref(represent(served, b"/" + name)) for name in (b"a", b"b", b"c", b"d")]
    assert [each() is not None for each in stored] == [False, True, True, True]


def test_last_modified_is_not_in_the_future_after_the_clock_is_set_back(folder: pathlib.Path) -> None:
    """Last-Modified must not be later than Date (RFC 9110 §8.8.2.1)."""
    served = DocumentRoot(folder)
    first = represent(served, b"/hello.txt")
    assert first.validators.last_modified == LONG_AGO
    back = represent(served, b"/hello.txt", now=LONG_AGO - 10.5, monotonic=1.0)
    assert back.validators == (first.validators.etag, LONG_AGO - 11)


# --- Changes that stat() does not show ------------------------------------------------------------


def test_a_small_file_changed_through_memory_is_read_again_after_a_second(folder: pathlib.Path) -> None:
    """Only the first write to a memory-mapped page changes the file's times."""
    file = folder / "hello.txt"
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        mapped[:5] = b"Hallo"
        os.utime(file, (LONG_AGO, LONG_AGO))
        served = DocumentRoot(folder)
        before = represent(served, b"/hello.txt")
        mapped[:5] = b"HELLO"
        after = represent(served, b"/hello.txt", monotonic=1.0)
    assert (before.octets, after.octets) == (b"Hallo, socket.\n", b"HELLO, socket.\n")
    assert before.validators.etag != after.validators.etag


def unchanged(file: pathlib.Path, status: os.stat_result) -> Callable[[str], os.stat_result]:
    """Return a replacement for stat() that always returns *status* for *file*."""
    return lambda path: status if path == str(file) else os.stat(path)


def test_a_file_read_again_is_the_same_representation_if_it_is_unchanged(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    first = represent(served, b"/hello.txt")
    assert represent(served, b"/hello.txt", monotonic=1.0) is first
    assert represent(served, b"/hello.txt", monotonic=1.9) is first


def test_a_file_that_changes_and_keeps_all_its_times_is_read_again_after_a_second(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """exFAT stores times in steps of two seconds, so a file can change twice with the same time."""
    status = (folder / "hello.txt").stat()
    monkeypatch.setattr(os, "fstat", lambda descriptor: status)
    served = DocumentRoot(folder)
    served._stat = unchanged(folder / "hello.txt", status)
    first = represent(served, b"/hello.txt")
    (folder / "hello.txt").write_bytes(b"HELLO, SOCKET.\n")
    assert represent(served, b"/hello.txt", monotonic=0.9) is first
    assert represent(served, b"/hello.txt", monotonic=1.0).octets == b"HELLO, SOCKET.\n"
