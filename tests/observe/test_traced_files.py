"""The traced file system: each system call on a file below the root, and each use of a cache, emits an event."""

import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from httpsock.files import cache
from httpsock.files.document_root import Directory, DocumentRoot
from httpsock.files.representation import Representation
from httpsock.http.handler import Tick
from httpsock.observe.traced_files import TracedFileSystem
from tests.files.lookup import LATER, make, needs_posix
from tests.support.folder import LONG_AGO
from tests.support.rows import each_row
from tests.support.siblings import gzipped


class Collected:
    """A document root that collects its events. Each event is a pair: its name, and a file name or a length."""

    def __init__(self, folder: pathlib.Path, **settings: Any) -> None:
        self.events: list[tuple[str, Any]] = []
        file_system = partial(TracedFileSystem, current=self)
        self.root = DocumentRoot(folder, **settings, file_system=file_system)

    def emit(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Collect an event."""
        self.events.append((name, attributes.get("name", attributes.get("path", attributes.get("octets")))))

    def find(self, path: str, tick: Tick) -> list[tuple[str, Any]]:
        """Look *path* up for a client that accepts gzip. Return the events."""
        self.events.clear()
        found = self.root.find(path.encode(), b"gzip", tick)
        if isinstance(found, Directory):
            list(found.entries)
        elif isinstance(found, Representation):
            found.close()
        return self.events


@pytest.fixture
def site(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a folder with some files and a subfolder. One file has a compressed sibling, one looks like an alias."""
    (tmp_path / "sub").mkdir()
    make(tmp_path / "a.txt", b"a")
    make(tmp_path / "video.ts", bytes(100_000))
    make(tmp_path / "sub" / "b.txt", b"b" * 1000)
    make(tmp_path / "sub" / "b.txt.gz", gzipped(b"b" * 1000))
    make(tmp_path / "B~1.TXT", b"tilde")
    for folder in (tmp_path, tmp_path / "sub"):
        os.utime(folder, (LONG_AGO, LONG_AGO))
    return tmp_path


@pytest.fixture
def calls(site: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return a list that records all calls of stat(), lstat() and open() below *site*, in order."""
    made: list[tuple[str, str]] = []

    def record(call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(path: Any, *arguments: Any, **options: Any) -> Any:
            # To open a file, each folder on the way is opened, too: then the path is one segment.
            is_step = call == "open" and arguments[0] & os.O_DIRECTORY
            if isinstance(path, str) and not is_step:
                name = os.path.relpath(path, site) if os.path.isabs(path) else path
                made.append((call, name if call != "open" else os.path.basename(name)))
            return real(path, *arguments, **options)

        return recorded

    for call in ("stat", "lstat", "open"):
        monkeypatch.setattr(os, call, record(call, getattr(os, call)))
    return made


def looks(events: list[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the calls that *events* report. For open(), yield only the last segment of the path."""
    for name, file in events:
        if name in ("stat", "lstat"):
            yield name, file
        elif name in ("open", "scandir"):
            yield "open", os.path.basename(file)


@needs_posix
@pytest.mark.parametrize("path", ["/a.txt", "/sub/b.txt", "/video.ts", "/B~1.TXT", "/GONE~1.TXT", "/nothing", "/sub/"])
@pytest.mark.parametrize("follow_links", [False, True])
def test_every_call_is_an_event(
    path: str, follow_links: bool, site: pathlib.Path, calls: list[tuple[str, str]]
) -> None:
    """The test looks up each path without a cache, with a fresh cache, and with a cache older than a second."""
    collected = Collected(site, follow_links=follow_links)
    for monotonic in (0.0, 0.5, 2.0):
        calls.clear()
        events = collected.find(path, Tick(LATER, monotonic))
        assert list(looks(events)) == calls != []


def test_after_a_second_the_file_is_read_and_compared(site: pathlib.Path) -> None:
    collected = Collected(site)
    searched = [("stat", "a.txt"), ("stat", "."), ("stat", "a.txt.gz")]
    assert collected.find("/a.txt", Tick(LATER, 0.0)) == [
        *searched, ("open", "a.txt"), ("read", 1), ("lstat", "a.txt"), ("lstat", "a.txt.gz")
    ]  # fmt: skip
    assert collected.find("/a.txt", Tick(LATER, 0.5)) == [("stat", "a.txt"), ("stat", "."), ("cache", "a.txt")]
    compared = [("lstat", "a.txt.gz"), ("open", "a.txt"), ("read", 1)]
    assert collected.find("/a.txt", Tick(LATER, 2.0)) == [
        *(("stat", "a.txt"), ("stat", ".")), *compared, ("cache", "a.txt")
    ]  # fmt: skip


def test_the_first_bytes_of_a_large_file_are_read_for_its_type(site: pathlib.Path) -> None:
    events = Collected(site).find("/video.ts", Tick(LATER, 0.0))
    assert events[-2:] == [("open", "video.ts"), ("read", 8192)]


def test_a_folder_is_opened_before_a_redirect_reveals_it(site: pathlib.Path) -> None:
    assert Collected(site).find("/sub", Tick(LATER, 0.0)) == [("stat", "sub"), ("open", "sub")]


@needs_posix
def test_a_folder_is_listed_to_find_the_names_of_an_alias(site: pathlib.Path) -> None:
    collected = Collected(site)
    events = collected.find("/B~1.TXT", Tick(LATER, 0.0))
    assert events[:3] == [("lstat", "B~1.TXT"), ("stat", "."), ("scandir", ".")]
    assert ("scandir", ".") not in collected.find("/B~1.TXT", Tick(LATER, 0.5))


@needs_posix
def test_the_target_of_a_symlink_in_a_listing_is_opened(site: pathlib.Path) -> None:
    (site / "sub" / "link").symlink_to("b.txt")
    (site / "sub" / "folder").symlink_to("../sub")
    events = Collected(site).find("/sub/", Tick(LATER, 0.0))
    opened = {("open", "sub/link"), ("open", "sub/folder")}
    assert opened <= set(events)
    assert events[-1] == ("scandir", "sub")


@needs_posix
def test_a_cached_file_that_is_not_used_is_no_hit(site: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In this test, the folder of a cached file moves out of the root, and a symlink replaces the folder."""
    collected = Collected(site)
    collected.find("/sub/b.txt", Tick(LATER, 0.0))
    outside = tmp_path_factory.mktemp("outside") / "sub"
    (site / "sub").rename(outside)
    (site / "sub").symlink_to(outside)
    events = collected.find("/sub/b.txt", Tick(LATER, 0.5))
    assert events[-1] == ("open", "sub/b.txt"), "it fails, since it leads out of the root"
    assert "cache" not in dict(events)


def test_the_parts_of_a_large_file_are_read(site: pathlib.Path) -> None:
    collected = Collected(site)
    found = collected.root.find(b"/video.ts", None, Tick(LATER, 0.0))
    assert isinstance(found, Representation)
    with closing(found):
        assert found.file
        assert found.file.read(5) == bytes(5)
    assert collected.events[-1] == ("read", 5)


@each_row("path", ["/nothing", "/sub"])
def test_a_result_of_the_same_tick_is_a_memo(path: str, site: pathlib.Path) -> None:
    collected, tick = Collected(site), Tick(LATER, 0.0)
    first = collected.find(path, tick).copy()
    assert ("memo", path) not in first
    assert collected.find(path, tick) == [("memo", path)]
    assert collected.find(path, Tick(LATER, 0.0)) == first


def test_a_file_in_the_cache_needs_no_call_in_the_same_tick(site: pathlib.Path) -> None:
    collected, tick = Collected(site), Tick(LATER, 0.0)
    collected.find("/a.txt", tick)
    assert collected.find("/a.txt", tick) == [("cache", "a.txt")]


def test_with_max_age_a_file_is_not_looked_at_for_a_second(site: pathlib.Path) -> None:
    collected = Collected(site, cache_control="max-age=10")
    collected.find("/a.txt", Tick(LATER, 0.0))
    assert collected.find("/a.txt", Tick(LATER, cache.FRESH_SECONDS - 0.1)) == [("cache", "a.txt")]
