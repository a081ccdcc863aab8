"""Aliases: some file systems give a hidden file a second name (GIT~1 for .git), which must be hidden, too."""

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from httpsock.files import confinement, file_system
from httpsock.files.aliases import Aliases
from httpsock.files.document_root import Directory, DocumentRoot, Found, Redirect
from httpsock.files.file_system import FileSystem
from httpsock.files.paths import NOT_FOUND, may_be_alias
from httpsock.files.representation import Representation
from httpsock.http.handler import Tick
from httpsock.http.messages import Refusal
from tests.support.rows import each_row
from tests.support.tools import run, tool

LATER = 2_000_000_000.0
needs_links = pytest.mark.skipif(os.name == "nt", reason="the stand-in is made of hard links and odd names")

SHORT = ["GIT~1", "git~1", "GI2D57~1", "HTPASS~2", "WELL-K~1", "a~1.txt", "é~1"]
FOLDED = ["\u200c.git", "\ufeff\u200d.git", "\u034f.a", "\u2024git", "\uff0egit", "\u115f.git", "\ufe0f.git"]
SPELLED = ["/SECRET~1", "/secret%7e1/../SECRET~1", "/./SECRET%7E1", "/sub/SECRET~1", "/sub%2fSECRET~1"]


def find(root: DocumentRoot, path: str) -> Found:
    """Look *path* up and return the resource. If the resource is a listing, read the listing to its end."""
    found = root.find(path.encode(), None, Tick(LATER, 0.0))
    if isinstance(found, Directory):
        list(found.entries)
        found.allotment.close()
    return found


@each_row("name", [*SHORT, *FOLDED])
def test_a_name_that_may_be_an_alias_is_looked_up(name: str) -> None:
    assert may_be_alias(name)


@each_row("name", ["a.txt", "file.txt~", "~", "~a", "café.txt", "日本.txt", "a\u200c.b", "1~x", "\u200c"])
def test_an_ordinary_name_costs_no_system_call(name: str) -> None:
    assert not may_be_alias(name)


@pytest.fixture
def aliased(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return a folder with aliases, as on NTFS, FAT or HFS+. Names with a tilde or a ZWNJ are not listed."""
    listed = confinement.scandir_beneath

    @contextlib.contextmanager
    def scandir_beneath(root: str, relative: str, *, follow_links: bool) -> Iterator[Iterator[os.DirEntry[str]]]:
        with listed(root, relative, follow_links=follow_links) as entries:
            yield (entry for entry in entries if not set("~\u200c") & set(entry.name))

    monkeypatch.setattr(file_system, "scandir_beneath", scandir_beneath)
    for name in ("secret", "plain.text", "well"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "sub").mkdir()
    for name, alias in {".secret": "SECRET~1", ".git": "\u200c.git", "sub/.secret": "sub/SECRET~1"}.items():
        (tmp_path / name).write_bytes(b"secret")
        os.link(tmp_path / name, tmp_path / alias)
    os.link(tmp_path / "plain.text", tmp_path / "PLAIN~1.TEX")
    (tmp_path / ".well-known").write_bytes(b"well")
    os.link(tmp_path / ".well-known", tmp_path / "WELL-K~1")
    (tmp_path / "UNLIST~1").write_bytes(b"no folder has a name for it")
    return tmp_path


@needs_links
@pytest.mark.parametrize("path", [*SPELLED, "/%E2%80%8C.git", "/UNLIST~1", "/MISSIN~1"])
@pytest.mark.parametrize("follow_links", [False, True])
def test_an_alias_of_a_hidden_name_is_not_found(aliased: pathlib.Path, path: str, follow_links: bool) -> None:
    """A file is hidden if its name in the folder's listing is hidden (requirement R144)."""
    assert find(DocumentRoot(aliased, follow_links=follow_links), path) == NOT_FOUND


@needs_links
@pytest.mark.parametrize("path", ["/PLAIN~1.TEX", "/WELL-K~1"])
def test_an_alias_of_a_visible_file_is_served(aliased: pathlib.Path, path: str) -> None:
    assert isinstance(find(DocumentRoot(aliased), path), Representation)


@needs_links
def test_aliases_of_hidden_names_are_served_if_hidden_names_are(aliased: pathlib.Path) -> None:
    assert isinstance(find(DocumentRoot(aliased, show_hidden=True), "/SECRET~1"), Representation)


@needs_links
def test_a_listed_name_is_not_an_alias(tmp_path: pathlib.Path) -> None:
    """A hard link to a hidden file was made on purpose, so it is served."""
    (tmp_path / ".secret").write_bytes(b"meant")
    os.link(tmp_path / ".secret", tmp_path / "backup~1")
    (tmp_path / "folder~1").mkdir()
    root = DocumentRoot(tmp_path)
    assert isinstance(find(root, "/backup~1"), Representation)
    assert isinstance(find(root, "/folder~1"), Redirect)
    assert isinstance(find(root, "/folder~1/"), Directory)


class Entry:
    """A directory entry with an inode number that stat() does not confirm."""

    def __init__(self, name: str) -> None:
        self.name = name

    def inode(self) -> int:
        return 0


@needs_links
def test_entries_are_compared_by_stat_where_inode_numbers_are_unreliable(
    aliased: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def scandir_beneath(root: str, relative: str, *, follow_links: bool) -> Iterator[Iterator[Entry]]:
        yield map(Entry, ["gone", "plain.text", ".secret"])

    monkeypatch.setattr(file_system, "scandir_beneath", scandir_beneath)
    assert find(DocumentRoot(aliased), "/SECRET~1") == NOT_FOUND
    assert isinstance(find(DocumentRoot(aliased), "/PLAIN~1.TEX"), Representation)


@needs_links
def test_a_folder_is_read_once_for_all_its_names(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server caches the names in a folder, since each listing of the folder is slow."""
    looks: list[str] = []
    listed = confinement.scandir_beneath

    def scandir_beneath(root: str, relative: str, *, follow_links: bool) -> object:
        looks.append(relative)
        return listed(root, relative, follow_links=follow_links)

    monkeypatch.setattr(file_system, "scandir_beneath", scandir_beneath)
    for name in ("a~1", "b~2", "é~3", "plain"):
        (tmp_path / name).write_bytes(b"x")
    root = DocumentRoot(tmp_path)
    for path in ("/a~1", "/b~2", "/%C3%A9~3", "/a~1"):
        assert isinstance(find(root, path), Representation)
    assert looks == [""]
    os.link(tmp_path / "plain", tmp_path / "c~4")
    os.utime(tmp_path, ns=(1, 1))
    tick = Tick(LATER, 0.0)
    for asked in (b"/c~4", b"/a~1"):
        assert isinstance(root.find(asked, None, tick), Representation)
    assert looks == ["", ""], "the folder has changed"
    assert isinstance(root.find(b"/c~4", None, Tick(LATER, 5.0)), Representation)
    assert looks == ["", "", ""], "the earlier listing is too old"
    # A folder that changed just now may change again without changing its times.
    for _ in range(2):
        assert isinstance(root.find(b"/c~4", None, Tick(os.stat(tmp_path).st_ctime, 20.0)), Representation)
    assert len(looks) == 5


@needs_links
def test_a_folder_is_read_once_in_each_tick(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a~1").write_bytes(b"x")
    seen: dict[str, frozenset[str]] = {}
    verdicts = Aliases(FileSystem(str(tmp_path)))
    assert not verdicts.has_hidden(["a~1"], seen, 0.0, LATER)
    assert seen == {"": frozenset({"a~1"})}
    assert not verdicts.has_hidden(["a~1"], seen, 100.0, LATER)


@contextlib.contextmanager
def mounted(image: pathlib.Path, folder: pathlib.Path, *command: str) -> Iterator[None]:
    """Mount *image* at *folder* with *command*. If the system refuses, skip the test."""
    folder.mkdir()
    done = run([*command, str(image), str(folder)], image.parent)
    if done.returncode:
        pytest.skip(f"{command[0]} can't mount here: {done.stderr.decode(errors='replace').strip()[:200]}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=60)


def installed(name: str) -> str:
    """Return the path of a file system tool. Search /sbin, too, which the PATH of many users lacks."""
    path = shutil.which(name) or shutil.which(name, path="/sbin:/usr/sbin")
    return path or tool(name)


def fill(folder: pathlib.Path) -> None:
    """Create a hidden folder and an ordinary file. On FAT and NTFS, each gets a short alias."""
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_bytes(b"secret")
    (folder / "longfilename.text").write_bytes(b"plain")


def check(folder: pathlib.Path) -> None:
    """Assert that no alias leads to the hidden file, and that the ordinary file has an alias."""
    assert (folder / "GIT~1" / "config").read_bytes() == b"secret", "the file system has no such alias"
    for path in ("/GIT~1/config", "/GIT~1/", "/GIT~1", "/git~1/config", "/x/../GIT~1%2fconfig", "//GIT~1/./config"):
        assert isinstance(find(DocumentRoot(folder), path), Refusal), path
    assert isinstance(find(DocumentRoot(folder), "/LONGFI~1.TEX"), Representation)
    assert isinstance(find(DocumentRoot(folder, show_hidden=True), "/GIT~1/config"), Representation)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting takes privileges")
def test_short_names_of_ntfs_are_hidden_like_their_long_names(tmp_path: pathlib.Path) -> None:
    image, folder = tmp_path / "image", tmp_path / "mounted"
    image.write_bytes(bytes(4 << 20))
    assert run([installed("mkntfs"), "-q", "-F", str(image)], tmp_path).returncode == 0
    with mounted(image, folder, installed("ntfs-3g")):
        fill(folder)
        os.setxattr(folder / ".git", "system.ntfs_dos_name", b"GIT~1")
        os.setxattr(folder / "longfilename.text", "system.ntfs_dos_name", b"LONGFI~1.TEX")
        check(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting takes privileges")
def test_short_names_of_fat_are_hidden_like_their_long_names(tmp_path: pathlib.Path) -> None:
    image, folder = tmp_path / "image", tmp_path / "mounted"
    image.write_bytes(bytes(4 << 20))
    assert run([installed("mkfs.vfat"), str(image)], tmp_path).returncode == 0
    with mounted(image, folder, "mount", "-o", "loop", "-t", "vfat"):
        fill(folder)
        check(folder)
