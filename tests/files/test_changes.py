"""Random changes on the disk: after each one, the server finds the current content, although it caches files.

The test compares each result with a naive look-up, which reads everything again.
"""

import contextlib
import gzip
import os
import pathlib
import random
from collections.abc import Callable

import pytest

from httpsock.files.document_root import SMALL_FILE, Directory, DocumentRoot, Redirect
from httpsock.files.paths import NOT_FOUND
from httpsock.files.representation import Representation
from httpsock.http.handler import Tick
from tests.files.lookup import LATER, needs_posix, until_the_clock_ticks

FOLDERS = ("", "a", "a/b")
NAMES = ("f", "index.html", "index.htm")
CONTENTS = (b"", b"1", b"2", b"1" * 100, b"2" * 100, b"1" * (SMALL_FILE + 1), b"2" * (SMALL_FILE + 1))
SECONDS = (0.0, 0.1, 0.5, 1.1)

# The outcome of a look-up: the content and the coding of a file, or "folder", "redirect" or "missing".
Outcome = tuple[bytes, str | None] | str


class Disk:
    """A folder called *root*, which changes at random. The folder beside it must not be served."""

    def __init__(self, folder: pathlib.Path, choose: random.Random) -> None:
        self.root, self._outside, self._choose = folder / "root", folder / "outside", choose
        self.root.mkdir()
        self._outside.mkdir()
        self._changes: tuple[Callable[[], object], ...] = (
            *(self._write, self._write, self._replace, self._unlink, self._make_folder, self._make_folder),
            *(self._rename_folder, self._link_file, self._link_folder),
            *(self._compress, self._compress, self._uncompress),
        )

    def path(self) -> str:
        """Return a random path. It may lead to no file."""
        folder, name = self._choose.choice(FOLDERS), self._choose.choice((*NAMES, "f.gz", ""))
        return "/" + (f"{folder}/{name}" if folder else name) if self._choose.random() < 0.9 else f"/{folder}"

    def change(self) -> None:
        """Try to make one random change. Ignore errors of the system."""
        with contextlib.suppress(OSError):
            self._choose.choice(self._changes)()

    def _file(self) -> pathlib.Path:
        return self.root / self._choose.choice(FOLDERS) / self._choose.choice(NAMES)

    def _folder(self) -> pathlib.Path:
        return self.root / self._choose.choice(FOLDERS[1:])

    def _write(self) -> None:
        self._file().write_bytes(self._choose.choice(CONTENTS))

    def _replace(self) -> None:
        (self._outside / "file").write_bytes(self._choose.choice(CONTENTS))
        (self._outside / "file").replace(self._file())

    def _unlink(self) -> None:
        self._file().unlink()

    def _make_folder(self) -> None:
        self._folder().mkdir(parents=True)

    def _rename_folder(self) -> None:
        self._folder().rename(self._folder())

    def _link_file(self) -> None:
        file, target = self._file(), self._choose.choice((self._file(), self._outside / "file"))
        file.unlink(missing_ok=True)
        file.symlink_to(target)

    def _link_folder(self) -> None:
        """Move a folder out of the root. In its place, put a link to the moved folder or to another one."""
        folder, moved = self._folder(), self._outside / str(self._choose.getrandbits(64))
        folder.rename(moved)
        folder.symlink_to(self._choose.choice((self._folder(), moved)))

    def _compress(self) -> None:
        """Write a compressed sibling. It may have the wrong content, and it may be older than its file."""
        file = self._file()
        content = file.read_bytes() if self._choose.random() < 0.8 else self._choose.choice(CONTENTS)
        sibling = file.with_name(file.name + ".gz")
        sibling.write_bytes(gzip.compress(content))
        if self._choose.random() < 0.3:
            os.utime(sibling, (0, 0))

    def _uncompress(self) -> None:
        file = self._file()
        file.with_name(file.name + ".gz").unlink()

    # --- The model --------------------------------------------------------------------------------

    def outcome(self, path: str, *, takes_gzip: bool) -> Outcome:
        """Look *path* up without a cache, and return the outcome."""
        found = os.path.join(self.root, path.strip("/"))
        if os.path.isfile(found) and not path.endswith("/"):
            return self._content(found, takes_gzip=takes_gzip) or "missing"
        # A file is judged by its real path, so an index outside may be a link back to a file inside.
        for index in (os.path.join(found, name) for name in ("index.html", "index.htm")):
            if (
                path.endswith("/")
                and os.path.isfile(index)
                and (content := self._content(index, takes_gzip=takes_gzip))
            ):
                return content
        if not os.path.isdir(found) or not self._is_inside(found):
            return "missing"
        return "folder" if path.endswith("/") else "redirect"

    def _is_inside(self, path: str) -> bool:
        root = os.path.realpath(self.root)
        return os.path.commonpath((root, os.path.realpath(path))) == root

    def _content(self, file: str, *, takes_gzip: bool) -> tuple[bytes, str | None] | None:
        if not self._is_inside(file):
            return None
        content, sibling = pathlib.Path(file).read_bytes(), file + ".gz"
        if takes_gzip and os.path.isfile(sibling) and self._is_inside(sibling):
            compressed = pathlib.Path(sibling).read_bytes()
            # Of a large file, only the length is compared.
            is_copy = compressed[-4:] == len(content).to_bytes(4, "little") and (
                len(content) > SMALL_FILE or gzip.decompress(compressed) == content
            )
            if is_copy and os.stat(sibling).st_mtime >= os.stat(file).st_mtime - 2:
                return compressed, "gzip"
        return content, None


def find(served: DocumentRoot, path: str, accept_encoding: bytes | None, tick: Tick) -> Outcome:
    """Look *path* up in the document root *served*, and return the outcome."""
    found = served.find(path.encode(), accept_encoding, tick)
    match found:
        case Representation():
            with contextlib.closing(found):
                return (found.file.readall() if found.file else found.octets), found.coding
        case Directory():
            with contextlib.closing(found.allotment):
                list(found.entries)
            return "folder"
        case Redirect():
            return "redirect"
    assert found == NOT_FOUND
    return "missing"


@needs_posix
@pytest.mark.parametrize("seed", range(5))
def test_every_path_leads_to_the_current_content_of_the_disk(seed: int, tmp_path: pathlib.Path) -> None:
    choose = random.Random(seed)
    disk = Disk(tmp_path, choose)
    served, clock, monotonic = DocumentRoot(disk.root), tmp_path / "clock", 0.0
    outcomes = []
    for _ in range(100):
        for _ in range(choose.choice((1, 1, 3))):
            disk.change()
        monotonic += choose.choice(SECONDS)
        tick = Tick(LATER, monotonic)
        for _ in range(20):
            path, accept_encoding = disk.path(), choose.choice((None, b"gzip", b"br, gzip;q=0.5", b"identity"))
            expected = disk.outcome(path, takes_gzip=b"gzip" in (accept_encoding or b""))
            assert find(served, path, accept_encoding, tick) == expected, (path, accept_encoding)
            outcomes.append(expected)
        # Otherwise, the next change could leave the times of a file as they are.
        clock.touch()
        until_the_clock_ticks(clock, clock.touch)
    kinds = {outcome if isinstance(outcome, str) else outcome[1] for outcome in outcomes}
    assert kinds >= {None, "folder", "missing"}, "the changes are varied"
