"""The cache of small files: when the server may use a cached file, and when it evicts one."""

import os
import pathlib
import threading
from collections.abc import Callable

import pytest

from httpsock.files.cache import FileCache, FileStamp, file_stamp
from tests.support.rows import each_row

STATE = (1, 2, 3, 4, 5)
KEY = ("hello.txt", None)
NOW = 1000.0


def test_a_cached_file_is_returned_unchanged() -> None:
    stored: FileCache[list[str]] = FileCache(100)
    value = ["Hello"]
    stored.put(KEY, STATE, value, 5, NOW)
    assert stored.get(KEY, STATE, NOW) is value


def test_a_file_that_was_never_cached_is_a_miss() -> None:
    stored: FileCache[str] = FileCache(100)
    assert stored.get(KEY, STATE, NOW) is None


@each_row(
    "state",
    [
        pytest.param((9, 2, 3, 4, 5), id="another inode: replaced by a rename"),
        pytest.param((1, 9, 3, 4, 5), id="another length"),
        pytest.param((1, 2, 9, 4, 5), id="another time of modification"),
        pytest.param((1, 2, 3, 9, 5), id="another change time: modified, and its modification time set back"),
        pytest.param((1, 2, 3, 4, 9), id="another device: another file system was mounted here"),
    ],
)
def test_a_file_that_changed_in_any_way_is_not_found(state: FileStamp) -> None:
    stored: FileCache[str] = FileCache(100)
    stored.put(KEY, STATE, "Hello", 5, NOW)
    assert stored.get(KEY, state, NOW) is None


@each_row(
    "key",
    [
        pytest.param(("hello.txt", "gzip"), id="another coding"),
        pytest.param(("hello.txt.gz", None), id="another name"),
    ],
)
def test_the_same_state_under_another_key_is_not_found(key: tuple[str, str | None]) -> None:
    stored: FileCache[str] = FileCache(100)
    stored.put(KEY, STATE, "Hello", 5, NOW)
    assert stored.get(key, STATE, NOW) is None


@each_row(
    ("seconds", "is_fresh"),
    [
        pytest.param(0.0, True, id="at the same moment"),
        pytest.param(0.99, True, id="within a second"),
        pytest.param(1.0, False, id="after a second"),
        pytest.param(3600.0, False, id="long after"),
    ],
)
def test_a_value_is_fresh_for_a_second(seconds: float, is_fresh: bool) -> None:
    stored: FileCache[str] = FileCache(100)
    stored.put(KEY, STATE, "Hello", 5, NOW)
    assert stored.get(KEY, STATE, NOW + seconds) == ("Hello" if is_fresh else None)
    assert stored.get_stale(KEY, STATE) == "Hello"


def test_a_stale_value_is_returned_only_for_the_same_state() -> None:
    stored: FileCache[str] = FileCache(100)
    assert stored.get_stale(KEY, STATE) is None
    stored.put(KEY, STATE, "Hello", 5, NOW)
    assert stored.get_stale(KEY, (9, 2, 3, 4, 5)) is None


def test_a_value_that_is_cached_again_is_evicted_later() -> None:
    stored: FileCache[str] = FileCache(100)
    stored.put(KEY, STATE, "Hello", 5, NOW)
    stored.put(KEY, STATE, "Hello", 5, NOW + 10)
    assert stored.get(KEY, STATE, NOW + 10.5) == "Hello"


def test_a_newer_state_replaces_the_older_one() -> None:
    stored: FileCache[str] = FileCache(100)
    newer = (1, 2, 3, 5, 5)
    stored.put(KEY, STATE, "old", 60, NOW)
    stored.put(KEY, newer, "new", 60, NOW)
    assert stored.get(KEY, newer, NOW) == "new"
    assert stored.get(KEY, STATE, NOW) is None


def test_the_oldest_value_is_evicted() -> None:
    stored: FileCache[str] = FileCache(100)
    for name in ("a", "b", "c"):
        stored.put((name, None), STATE, name, 40, NOW)
    assert [stored.get((name, None), STATE, NOW) for name in ("a", "b", "c")] == [None, "b", "c"]


def test_a_file_cached_anew_is_evicted_last() -> None:
    stored: FileCache[str] = FileCache(100)
    for name in ("a", "b", "a", "c"):
        stored.put((name, None), STATE, name, 40, NOW)
    assert [stored.get((name, None), STATE, NOW) for name in ("a", "b", "c")] == ["a", None, "c"]


def test_only_as_many_values_are_evicted_as_necessary() -> None:
    stored: FileCache[str] = FileCache(100)
    for name in ("a", "b", "c"):
        stored.put((name, None), STATE, name, 30, NOW)
    stored.put(KEY, STATE, "Hello", 70, NOW)
    assert [stored.get((name, None), STATE, NOW) for name in ("a", "b", "c")] == [None, None, "c"]
    assert stored.get(KEY, STATE, NOW) == "Hello"


def test_a_file_of_exactly_the_capacity_is_cached() -> None:
    stored: FileCache[str] = FileCache(100)
    stored.put(("a", None), STATE, "a", 60, NOW)
    stored.put(("b", None), STATE, "b", 40, NOW)
    assert [stored.get((name, None), STATE, NOW) for name in ("a", "b")] == ["a", "b"]


def test_a_file_larger_than_the_capacity_is_not_cached() -> None:
    stored: FileCache[str] = FileCache(100)
    stored.put(KEY, STATE, "Hello", 101, NOW)
    assert stored.get(KEY, STATE, NOW) is None


def test_many_threads_never_exceed_the_capacity() -> None:
    stored: FileCache[int] = FileCache(50)
    together = threading.Barrier(4)

    def put_many(number: int) -> None:
        together.wait()
        for n in range(500):
            stored.put((str((n + number) % 20), None), STATE, n, 10, NOW)

    threads = [threading.Thread(target=put_many, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # If the threads had corrupted the total, more or fewer entries would be left than the capacity allows.
    assert sum(stored.get((str(n), None), STATE, NOW) is not None for n in range(20)) == 5


def rewritten(file: pathlib.Path) -> None:
    """Rewrite *file* with the same length."""
    file.write_bytes(b"HELLO")


def lengthened(file: pathlib.Path) -> None:
    """Rewrite *file* with more octets."""
    file.write_bytes(b"Hello!")


def set_back(file: pathlib.Path) -> None:
    """Rewrite *file* with the same length, and restore its modification time."""
    before = file.stat()
    file.write_bytes(b"HELLO")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(file: pathlib.Path) -> None:
    """Replace *file* by a new file with the same length and modification time."""
    before = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"HELLO")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(rewritten, id="rewritten with the same length"),
        pytest.param(lengthened, id="lengthened"),
        pytest.param(set_back, id="rewritten, its time of modification set back"),
        pytest.param(replaced, id="replaced by another of the same length and time"),
    ],
)
def test_the_state_of_a_file_changes_with_the_file(
    change: Callable[[pathlib.Path], None], tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "hello.txt"
    file.write_bytes(b"Hello")
    before = file_stamp(file.stat())
    change(file)
    # The clock of a file system advances in ticks; repeat the change until one has passed.
    while file.stat().st_ctime_ns == before[3] and file.stat().st_ino == before[0]:
        change(file)
    assert file_stamp(file.stat()) != before


def test_reading_a_file_does_not_change_its_state(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "hello.txt"
    file.write_bytes(b"Hello")
    before = file_stamp(file.stat())
    assert file.read_bytes() == b"Hello"
    assert file_stamp(file.stat()) == before


def test_the_state_distinguishes_files(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "hello.txt"
    file.write_bytes(b"Hello")
    os.utime(file, ns=(1, 1_700_000_000_123_456_789))
    status = file.stat()
    assert file_stamp(status) == (status.st_ino, 5, status.st_mtime_ns, status.st_ctime_ns, status.st_dev)
