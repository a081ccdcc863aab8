"""Cached look-ups: a result is valid only while all its files and folders are unchanged.

Each test chooses the time. Most folders look old, so that each change shows in their times.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Callable

import pytest

from httpsock.files import document_root, lookups, siblings
from httpsock.files.document_root import DocumentRoot
from httpsock.files.paths import NOT_FOUND
from httpsock.http.handler import Tick
from tests.files.lookup import LATER, Change, changes, make, needs_posix, read, represent, until_the_clock_ticks
from tests.support.folder import HELLO, LONG_AGO
from tests.support.siblings import FORMS, gzipped

BROWSERS = b"gzip, deflate, br, zstd"


class Recorded(DocumentRoot):
    """A document root that records for which names it calls stat()."""

    def __init__(self, folder: pathlib.Path, *, follow_links: bool = False, cache_control: str = "no-cache") -> None:
        super().__init__(folder, follow_links=follow_links, cache_control=cache_control)
        self.names: list[str] = []
        self._stat = self._recorded

    def _recorded(self, path: str) -> os.stat_result:
        self.names.append(os.path.relpath(path, self.directory))
        return os.stat(path)

    def names_for(self, path: bytes, accept_encoding: bytes | None, monotonic: float = 0.0) -> list[str]:
        """Look *path* up. Return the names for which stat() was called."""
        self.names.clear()
        represent(self, path, accept_encoding, monotonic=monotonic).close()
        return self.names


def lookup_of(served: DocumentRoot, path: bytes, accept_encoding: bytes | None) -> lookups.Lookup | None:
    """Return the cached look-up for *path* and *accept_encoding*."""
    return served._lookups.accepted.get(accept_encoding, {}).get(path)


def age(folder: pathlib.Path) -> None:
    """Set the modification time of *folder* to a date long ago."""
    os.utime(folder, (LONG_AGO, LONG_AGO))


@pytest.fixture
def aged(folder: pathlib.Path) -> pathlib.Path:
    """Set the modification times of *folder* and its subfolder to a date long ago."""
    for each in (folder, folder / "sub"):
        age(each)
    return folder


# --- Cached look-ups ------------------------------------------------------------------------------

SEARCHED = ["hello.txt", "hello.txt.br", "hello.txt.zst", "hello.txt.gz"]


def test_a_file_without_siblings_is_searched_for_once(aged: pathlib.Path) -> None:
    served = Recorded(aged)
    assert served.names_for(b"/hello.txt", BROWSERS) == SEARCHED
    assert served.names_for(b"/hello.txt", BROWSERS) == ["hello.txt"]


def test_a_sibling_in_use_is_checked_each_time(aged: pathlib.Path) -> None:
    make(aged / "hello.txt.zst", FORMS[".zst"](HELLO))
    age(aged)
    served = Recorded(aged)
    assert served.names_for(b"/hello.txt", BROWSERS) == ["hello.txt", "hello.txt.br", "hello.txt.zst"]
    assert served.names_for(b"/hello.txt", BROWSERS) == ["hello.txt", "hello.txt.zst"]
    assert represent(served, b"/hello.txt", BROWSERS).coding == "zstd"


def test_the_look_up_of_an_index_is_cached(aged: pathlib.Path) -> None:
    served = Recorded(aged)
    index = os.path.join("sub", "index.html")
    assert served.names_for(b"/sub/", None) == ["sub", index]
    assert served.names_for(b"/sub/", None) == [index]


def test_after_a_second_a_file_is_read_again_and_not_searched_for(
    aged: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Recorded(aged)
    served.names_for(b"/hello.txt", BROWSERS)
    for monotonic in (0.9, 1.0, 1.9, 2.5, 3.0, 4.5):
        assert served.names_for(b"/hello.txt", BROWSERS, monotonic) == ["hello.txt"]
    monkeypatch.setattr(os, "read", lambda descriptor, length: b"HELLO, SOCKET.\n")
    assert represent(served, b"/hello.txt", BROWSERS, monotonic=5.4).octets == HELLO
    assert represent(served, b"/hello.txt", BROWSERS, monotonic=5.5).octets == b"HELLO, SOCKET.\n"


def test_after_a_second_a_sibling_in_use_and_its_file_are_read_again(aged: pathlib.Path) -> None:
    write(aged / "hello.txt.gz")
    age(aged)
    served = Recorded(aged)
    names = served.names_for(b"/hello.txt", b"gzip").copy()
    for monotonic in (0.9, 1.0, 1.9, 2.5):
        assert served.names_for(b"/hello.txt", b"gzip", monotonic) == names


@pytest.mark.parametrize(("name", "octets"), [("hello.txt", b"HELLO, SOCKET.\n"), ("hello.txt.gz", gzipped(b"x"))])
def test_a_sibling_is_verified_again_if_a_file_changes_with_unchanged_times(
    name: str, octets: bytes, aged: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, a write through mmap() may leave the times unchanged."""
    write(aged / "hello.txt.gz")
    age(aged)
    served = DocumentRoot(aged)
    assert read(served, b"/hello.txt", b"gzip") == gzipped(HELLO)
    before = {(aged / each).stat().st_ino: (aged / each).stat() for each in ("hello.txt", "hello.txt.gz")}
    stat, fstat = os.stat, os.fstat
    served._stat = lambda path: before.get(stat(path).st_ino) or stat(path)
    monkeypatch.setattr(os, "fstat", lambda descriptor: before.get(fstat(descriptor).st_ino) or fstat(descriptor))
    (aged / name).write_bytes(octets)
    assert represent(served, b"/hello.txt", b"gzip", monotonic=0.9).octets == gzipped(HELLO)
    assert represent(served, b"/hello.txt", b"gzip", monotonic=1.0).coding is None


def test_a_sibling_repaired_with_unchanged_times_is_verified_after_a_second(
    aged: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sibling = make(aged / "hello.txt.gz", gzipped(HELLO)[:-1] + b"x")
    age(aged)
    served = DocumentRoot(aged)
    assert represent(served, b"/hello.txt", b"gzip").coding is None
    before = sibling.stat()
    served._stat = lambda path: before if path == str(sibling) else os.stat(path)
    fstat = os.fstat
    monkeypatch.setattr(os, "fstat", lambda opened: before if fstat(opened).st_ino == before.st_ino else fstat(opened))
    sibling.write_bytes(gzipped(HELLO))
    assert represent(served, b"/hello.txt", b"gzip", monotonic=0.9).coding is None
    assert represent(served, b"/hello.txt", b"gzip", monotonic=1.0).coding == "gzip"


def test_a_large_file_with_a_small_sibling_is_searched_for_after_a_second(aged: pathlib.Path) -> None:
    """A cached look-up of a large file is valid for only a second."""
    make(aged / "zeros.txt", bytes(100_000))
    make(aged / "zeros.txt.gz", gzipped(bytes(100_000)))
    age(aged)
    served = Recorded(aged)
    names = served.names_for(b"/zeros.txt", b"gzip").copy()
    assert served.names_for(b"/zeros.txt", b"gzip", monotonic=0.9) == names
    assert served.names_for(b"/zeros.txt", b"gzip", monotonic=1.0) == 2 * names


def test_a_missing_sibling_is_looked_up_again_after_a_second(
    aged: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On some file systems, a new file does not change the times of its folder."""
    status = aged.stat()
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **options: status if path == str(aged) else stat(path, **options))
    served = DocumentRoot(aged)
    assert read(served, b"/hello.txt", BROWSERS) == HELLO
    write(aged / "hello.txt.gz")
    assert represent(served, b"/hello.txt", BROWSERS, monotonic=0.9).coding is None
    assert represent(served, b"/hello.txt", BROWSERS, monotonic=1.0).coding == "gzip"


@pytest.mark.parametrize(
    ("seconds", "is_cached"),
    [
        pytest.param(-100.0, True, id="long before"),
        pytest.param(-2.1, True, id="longer ago than a tick of any file system's clock"),
        pytest.param(-1.9, False, id="within one tick of the coarsest clock"),
        pytest.param(0.0, False, id="just now"),
        pytest.param(100.0, False, id="in the future, by a clock that is ahead"),
    ],
)
def test_a_missing_sibling_is_cached_only_if_its_folder_changed_long_ago(
    seconds: float, is_cached: bool, folder: pathlib.Path
) -> None:
    """If a folder changes twice within one tick of the file system's clock, it has the same time after both changes."""
    os.utime(folder, (LATER + seconds, LATER + seconds))
    served = Recorded(folder)
    served.names_for(b"/hello.txt", BROWSERS)
    assert (served.names_for(b"/hello.txt", BROWSERS) == ["hello.txt"]) is is_cached


def test_for_clients_without_codings_a_look_up_in_a_changing_folder_is_cached(folder: pathlib.Path) -> None:
    os.utime(folder / "sub", (LATER, LATER))
    served = Recorded(folder)
    served.names_for(b"/sub/", b"identity")
    assert served.names_for(b"/sub/", b"identity") == [os.path.join("sub", "index.html")]


def test_the_look_up_of_a_name_that_may_be_an_alias_is_not_cached(aged: pathlib.Path) -> None:
    """An alias is a name that the folder does not list, so the result depends on all names in the folder."""
    make(aged / "notes~1", HELLO)
    age(aged)
    served = DocumentRoot(aged)
    assert read(served, b"/notes~1", BROWSERS) == HELLO
    assert lookup_of(served, b"/notes~1", BROWSERS) is None


@needs_posix
def test_the_look_up_of_a_file_whose_sibling_has_too_long_a_name_is_not_cached(aged: pathlib.Path) -> None:
    name = "n" * 253
    make(aged / name, HELLO)
    age(aged)
    served = DocumentRoot(aged)
    asked = b"/" + name.encode(), BROWSERS
    assert read(served, *asked) == HELLO
    assert lookup_of(served, *asked) is None


def test_clients_that_prefer_the_same_codings_share_their_look_ups(aged: pathlib.Path) -> None:
    """A new value of Accept-Encoding needs one full look-up, which shows what the value means.

    Other paths then share the look-ups of a value with the same meaning.
    """
    served = Recorded(aged)
    index = os.path.join("sub", "index.html")
    for path in (b"/hello.txt", b"/sub/index.html"):
        represent(served, path, b"gzip")
    assert served.names_for(b"/hello.txt", b"br;q=0, gzip") == ["hello.txt", "hello.txt.gz"]
    assert served.names_for(b"/sub/index.html", b"br;q=0, gzip") == [index]
    assert served.names_for(b"/sub/index.html", b"br") == [index, index + ".br"]


def test_the_spellings_and_the_folders_in_memory_are_bounded(
    aged: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "_MAX_ACCEPTED", 2)
    monkeypatch.setattr(lookups, "_MAX_FOLDERS", 1)
    served = DocumentRoot(aged)
    for accepted in (b"gzip", b"br", b"zstd", b"gzip;q=0.5"):
        for path in (b"/hello.txt", b"/sub/index.html"):
            assert read(served, path, accepted) == read(served, path)
            assert len(served._lookups.accepted) <= 2
            assert len(served._lookups._folders) <= 1


def test_the_number_of_cached_look_ups_is_limited(aged: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_MAX_LOOKUPS", 2)
    served = DocumentRoot(aged)
    asked = [(b"/hello.txt", accepted) for accepted in (None, b"br", b"gzip")]
    for each in asked:
        read(served, *each)
    assert [lookup_of(served, *each) is not None for each in asked] == [False, True, True]


def test_look_ups_of_long_requests_are_not_cached(aged: pathlib.Path) -> None:
    served = DocumentRoot(aged)
    long = b"gzip" + b",x" * 300
    assert read(served, b"/hello.txt", long) == HELLO
    assert lookup_of(served, b"/hello.txt", long) is None


def test_different_requests_for_a_file_share_it_in_memory(aged: pathlib.Path) -> None:
    write(aged / "hello.txt.gz")
    age(aged)
    served = DocumentRoot(aged)
    found = represent(served, b"/hello.txt", BROWSERS)
    assert found.coding == "gzip"
    assert represent(served, b"/%68ello.txt", b"gzip") is found
    assert represent(served, b"/hello.txt") is represent(served, b"/hello.txt", b"br")


def test_a_large_sibling_is_verified_once(aged: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(aged / "large.bin.zst", FORMS[".zst"]((aged / "large.bin").read_bytes()))
    served = DocumentRoot(aged)
    for _ in range(2):
        with contextlib.closing(represent(served, b"/large.bin", BROWSERS)) as found:
            assert found.coding == "zstd"
        # From here on, another verification of the sibling would fail.
        monkeypatch.setattr(siblings, "is_verified", lambda *asked: False)


def test_a_look_up_does_not_hold_a_file_in_memory(aged: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_root, "_CACHE_OCTETS", 3000)
    served = Recorded(aged)
    read(served, b"/hello.txt")
    read(served, b"/sub/index.html")
    lookup = lookup_of(served, b"/hello.txt", None)
    assert lookup is not None
    assert lookup.found() is None
    assert read(served, b"/hello.txt") == HELLO


# --- A sibling appears ----------------------------------------------------------------------------


def write(sibling: pathlib.Path) -> None:
    """Write a compressed sibling."""
    make(sibling, gzipped(HELLO))


def move_in(sibling: pathlib.Path) -> None:
    """Move a compressed file from another folder to the path *sibling*."""
    make(sibling.parent.parent / "made", gzipped(HELLO)).rename(sibling)


def link_in(sibling: pathlib.Path) -> None:
    """Create a hard link at *sibling* to a compressed file in another folder."""
    os.link(make(sibling.parent.parent / "made", gzipped(HELLO)), sibling)


def point_in(sibling: pathlib.Path) -> None:
    """Create a symlink at *sibling* to a compressed file in another folder."""
    make(sibling.parent / "sub" / "made", gzipped(HELLO))
    sibling.symlink_to("sub/made")


@pytest.mark.parametrize(
    "appear",
    [
        pytest.param(write, id="written"),
        pytest.param(move_in, id="moved here, with its old modification time"),
        pytest.param(link_in, id="a hard link to a file elsewhere", marks=needs_posix),
        pytest.param(point_in, id="a symlink to a file inside", marks=needs_posix),
    ],
)
def test_a_sibling_that_appears_is_sent_next(appear: Callable[[pathlib.Path], None], aged: pathlib.Path) -> None:
    served = DocumentRoot(aged)
    for _ in range(2):
        assert read(served, b"/hello.txt", BROWSERS) == HELLO
    appear(aged / "hello.txt.gz")
    assert read(served, b"/hello.txt", BROWSERS) == gzipped(HELLO)


def test_a_better_sibling_that_appears_is_sent_next(aged: pathlib.Path) -> None:
    write(aged / "hello.txt.gz")
    age(aged)
    served = DocumentRoot(aged)
    for _ in range(2):
        assert represent(served, b"/hello.txt", BROWSERS).coding == "gzip"
    make(aged / "hello.txt.br", FORMS[".br"](HELLO))
    assert represent(served, b"/hello.txt", BROWSERS).coding == "br"


def test_a_sibling_changed_just_now_is_sent_some_seconds_later(aged: pathlib.Path) -> None:
    """The server does not use a compressed sibling that may still be growing."""
    make(aged / "hello.txt.gz", gzipped(HELLO), modified=LATER - 1.9)
    age(aged)
    served = DocumentRoot(aged)
    for _ in range(2):
        assert read(served, b"/hello.txt", BROWSERS) == HELLO
    assert represent(served, b"/hello.txt", BROWSERS, LATER + 0.2, monotonic=0.2).octets == gzipped(HELLO)


def test_a_sibling_that_replaces_a_folder_of_its_name_is_sent(aged: pathlib.Path) -> None:
    (aged / "hello.txt.gz").mkdir()
    age(aged)
    served = Recorded(aged)
    assert served.names_for(b"/hello.txt", b"gzip") == ["hello.txt", "hello.txt.gz"]
    assert read(served, b"/hello.txt", b"gzip") == HELLO
    (aged / "hello.txt.gz").rmdir()
    write(aged / "hello.txt.gz")
    assert read(served, b"/hello.txt", b"gzip") == gzipped(HELLO)


@needs_posix
def test_a_sibling_that_was_a_broken_symlink_is_sent_when_its_target_appears(aged: pathlib.Path) -> None:
    """The target of the symlink appears in another folder, so the folder of the symlink does not change."""
    (aged / "hello.txt.gz").symlink_to("sub/made")
    age(aged)
    served = DocumentRoot(aged)
    for _ in range(2):
        assert read(served, b"/hello.txt", BROWSERS) == HELLO
    make(aged / "sub" / "made", gzipped(HELLO))
    assert read(served, b"/hello.txt", BROWSERS) == gzipped(HELLO)


@changes
def test_an_invalid_sibling_is_sent_after_it_is_repaired(change: Change, aged: pathlib.Path) -> None:
    """A file that is rewritten in place does not change the time of its folder."""
    sibling = make(aged / "hello.txt.gz", gzipped(HELLO)[:-1])
    age(aged)
    served = Recorded(aged)
    assert served.names_for(b"/hello.txt", b"gzip") == ["hello.txt", "hello.txt.gz"]
    assert lookup_of(served, b"/hello.txt", b"gzip") is not None, "the result, no usable sibling, is cached"
    assert read(served, b"/hello.txt", b"gzip") == HELLO
    until_the_clock_ticks(sibling, lambda: change(sibling, gzipped(HELLO)))
    assert read(served, b"/hello.txt", b"gzip") == gzipped(HELLO), "changed without a trace in its folder"


@changes
def test_a_sibling_in_use_that_changes_is_read_again(change: Change, aged: pathlib.Path) -> None:
    sibling = aged / "hello.txt.gz"
    write(sibling)
    age(aged)
    served = DocumentRoot(aged)
    for _ in range(2):
        assert read(served, b"/hello.txt", BROWSERS) == gzipped(HELLO)
    until_the_clock_ticks(sibling, lambda: change(sibling, b"broken"))
    assert read(served, b"/hello.txt", BROWSERS) == HELLO


def test_a_sibling_in_use_that_is_deleted_is_not_sent(aged: pathlib.Path) -> None:
    write(aged / "hello.txt.gz")
    age(aged)
    served = DocumentRoot(aged)
    for _ in range(2):
        assert read(served, b"/hello.txt", BROWSERS) == gzipped(HELLO)
    (aged / "hello.txt.gz").unlink()
    assert read(served, b"/hello.txt", BROWSERS) == HELLO


@pytest.mark.parametrize("accepted", [None, BROWSERS])
def test_the_earlier_name_of_an_index_that_appears_is_sent(accepted: bytes | None, aged: pathlib.Path) -> None:
    make(aged / "old" / "index.htm", b"later")
    age(aged / "old")
    served = DocumentRoot(aged)
    for _ in range(2):
        assert read(served, b"/old/", accepted) == b"later"
    make(aged / "old" / "index.html", b"earlier")
    assert read(served, b"/old/", accepted) == b"earlier"


# --- Replaced folders -----------------------------------------------------------------------------


@pytest.fixture
def twins(folder: pathlib.Path) -> pathlib.Path:
    """Add two subfolders with the same file. The subfolder "with" also has a compressed sibling of the file."""
    make(folder / "without" / "a.txt", HELLO)
    write(folder / "with" / "a.txt.gz")
    os.link(folder / "without" / "a.txt", folder / "with" / "a.txt")
    for name in ("with", "without"):
        age(folder / name)
    return folder


@needs_posix
def test_a_folder_renamed_to_the_path_of_another_is_looked_up_again(twins: pathlib.Path) -> None:
    """In this test, two folders have the same file, so only the folder's inode shows the change."""
    served = DocumentRoot(twins)
    for _ in range(2):
        assert read(served, b"/without/a.txt", BROWSERS) == HELLO
    (twins / "without").rename(twins / "before")
    (twins / "with").rename(twins / "without")
    assert read(served, b"/without/a.txt", BROWSERS) == gzipped(HELLO)
    assert served.find(b"/with/a.txt", BROWSERS, Tick(LATER, 0.0)) == NOT_FOUND


@needs_posix
def test_renaming_a_folder_above_leads_to_other_files(twins: pathlib.Path) -> None:
    for name in ("with", "without"):
        (twins / f"of-{name}").mkdir()
        (twins / name).rename(twins / f"of-{name}" / "same")
    served = DocumentRoot(twins)
    for _ in range(2):
        assert read(served, b"/of-without/same/a.txt", BROWSERS) == HELLO
    (twins / "of-without").rename(twins / "before")
    (twins / "of-with").rename(twins / "of-without")
    assert read(served, b"/of-without/same/a.txt", BROWSERS) == gzipped(HELLO)


def test_a_folder_that_is_deleted_and_made_again_is_looked_up_again(twins: pathlib.Path) -> None:
    served = DocumentRoot(twins)
    for _ in range(2):
        assert read(served, b"/without/a.txt", BROWSERS) == HELLO
    shutil.rmtree(twins / "without")
    assert served.find(b"/without/a.txt", BROWSERS, Tick(LATER, 0.0)) == NOT_FOUND
    shutil.copytree(twins / "with", twins / "without")
    assert read(served, b"/without/a.txt", BROWSERS) == gzipped(HELLO)


@needs_posix
@pytest.mark.parametrize("moved", [pathlib.Path("top"), pathlib.Path("top", "deep")], ids=str)
@pytest.mark.parametrize("accepted", [None, BROWSERS])
def test_a_folder_replaced_by_a_symlink_out_of_the_root_is_not_found(
    moved: pathlib.Path, accepted: bytes | None, folder: pathlib.Path
) -> None:
    """In this test, the folder moves out of the root, and a symlink to its new place replaces the folder."""
    make(folder / "top" / "deep" / "a.txt", HELLO)
    age(folder / "top" / "deep")
    served = DocumentRoot(folder)
    for _ in range(2):
        assert read(served, b"/top/deep/a.txt", accepted) == HELLO
    (folder / moved).rename(folder.parent / "outside")
    (folder / moved).symlink_to(folder.parent / "outside")
    assert served.find(b"/top/deep/a.txt", accepted, Tick(LATER, 0.0)) == NOT_FOUND


@needs_posix
def test_a_symlink_that_is_replaced_leads_to_its_new_folder_if_links_are_followed(twins: pathlib.Path) -> None:
    """A deployment may switch between releases by replacing a symlink."""
    (twins / "current").symlink_to("without")
    served = DocumentRoot(twins, follow_links=True)
    for _ in range(2):
        assert read(served, b"/current/a.txt", BROWSERS) == HELLO
    (twins / "next").symlink_to("with")
    (twins / "next").replace(twins / "current")
    assert read(served, b"/current/a.txt", BROWSERS) == gzipped(HELLO)


@needs_posix
def test_a_folder_that_becomes_a_symlink_is_followed_if_links_are_followed(twins: pathlib.Path) -> None:
    served = Recorded(twins, follow_links=True)
    served.names_for(b"/without/a.txt", BROWSERS)
    assert served.names_for(b"/without/a.txt", BROWSERS) == [os.path.join("without", "a.txt")]
    (twins / "without").rename(twins / "before")
    (twins / "without").symlink_to("with")
    assert read(served, b"/without/a.txt", BROWSERS) == gzipped(HELLO)


# --- With a max-age -------------------------------------------------------------------------------


def test_with_a_max_age_a_look_up_is_valid_for_a_second(aged: pathlib.Path) -> None:
    served = Recorded(aged, cache_control="max-age=60")
    assert served.names_for(b"/hello.txt", BROWSERS) == SEARCHED
    assert served.names_for(b"/hello.txt", BROWSERS, 0.9) == []
    assert served.names_for(b"/hello.txt", BROWSERS, 1.0) == ["hello.txt"], "then it is confirmed"
    assert served.names_for(b"/hello.txt", BROWSERS, 1.9) == [], "for another second"
    assert served.names_for(b"/hello.txt", BROWSERS, 2.0) == ["hello.txt"]


@changes
def test_with_a_max_age_a_file_that_changes_is_sent_after_a_second(change: Change, aged: pathlib.Path) -> None:
    served = DocumentRoot(aged, cache_control="max-age=60")
    represent(served, b"/hello.txt")
    until_the_clock_ticks(aged / "hello.txt", lambda: change(aged / "hello.txt", b"HELLO, SOCKET.\n"))
    assert represent(served, b"/hello.txt", monotonic=0.9).octets == HELLO
    assert represent(served, b"/hello.txt", monotonic=1.0).octets == b"HELLO, SOCKET.\n"


def test_with_a_max_age_a_file_that_is_deleted_is_gone_after_a_second(aged: pathlib.Path) -> None:
    served = DocumentRoot(aged, cache_control="max-age=60")
    represent(served, b"/hello.txt")
    (aged / "hello.txt").unlink()
    assert represent(served, b"/hello.txt", monotonic=0.9).octets == HELLO
    assert served.find(b"/hello.txt", None, Tick(LATER, 1.0)) is NOT_FOUND


def test_with_a_max_age_a_sibling_that_appears_is_sent_after_a_second(aged: pathlib.Path) -> None:
    served = DocumentRoot(aged, cache_control="max-age=60")
    represent(served, b"/hello.txt", b"gzip")
    write(aged / "hello.txt.gz")
    assert represent(served, b"/hello.txt", b"gzip", monotonic=0.9).coding is None
    assert represent(served, b"/hello.txt", b"gzip", monotonic=1.0).coding == "gzip"


def test_with_a_max_age_a_path_without_a_file_is_looked_up_each_time(aged: pathlib.Path) -> None:
    served = DocumentRoot(aged, cache_control="max-age=60")
    assert served.find(b"/new.txt", None, Tick(LATER, 0.0)) is NOT_FOUND
    make(aged / "new.txt", HELLO)
    assert represent(served, b"/new.txt", monotonic=0.1).octets == HELLO


@pytest.mark.parametrize(
    "cache_control", ["public, max-age=31536000, immutable", 'MAX-AGE="1"', "s-maxage=0,max-age=01"]
)
def test_any_max_age_of_a_second_or_more_makes_look_ups_valid_for_a_second(
    cache_control: str, aged: pathlib.Path
) -> None:
    served = Recorded(aged, cache_control=cache_control)
    served.names_for(b"/hello.txt", None)
    assert served.names_for(b"/hello.txt", None, 0.5) == []


@pytest.mark.parametrize(
    "cache_control",
    ["no-cache", "max-age=0", "s-maxage=60", "max-age=60, no-cache", "No-Store, max-age=60", "max-age=-1", "public"],
)
def test_without_a_max_age_a_file_is_checked_each_time(cache_control: str, aged: pathlib.Path) -> None:
    served = Recorded(aged, cache_control=cache_control)
    served.names_for(b"/hello.txt", None)
    assert served.names_for(b"/hello.txt", None, 0.5) == ["hello.txt"]
