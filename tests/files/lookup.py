"""Helpers that look paths up under a document root and change its files.

The time of a look-up is a parameter. The default, LATER, lies far in the future, so that small files are cached.
"""

import os
import pathlib
from collections.abc import Callable
from contextlib import closing

import pytest

from httpsock.files.document_root import Directory, DocumentRoot, Entry
from httpsock.files.representation import Representation
from httpsock.http.handler import Tick
from tests.support.folder import LONG_AGO

LATER = 4_000_000_000.0

needs_posix = pytest.mark.skipif(os.name == "nt", reason="there, names and links are other than here")


def represent(
    root: DocumentRoot | pathlib.Path,
    path: bytes,
    accept_encoding: bytes | None = None,
    now: float = LATER,
    monotonic: float = 0.0,
) -> Representation:
    """Return the representation of the file at *path*."""
    served = root if isinstance(root, DocumentRoot) else DocumentRoot(root)
    found = served.find(path, accept_encoding, Tick(now, monotonic))
    assert isinstance(found, Representation), found
    return found


def read(
    root: DocumentRoot | pathlib.Path, path: bytes, accept_encoding: bytes | None = None, now: float = LATER
) -> bytes:
    """Return the content of the file at *path*, from the cache or the disk."""
    with closing(represent(root, path, accept_encoding, now)) as found:
        return found.octets if found.file is None else found.file.readall()


def listed(root: DocumentRoot | pathlib.Path, path: bytes = b"/") -> dict[str, Entry]:
    """Return the entries of the folder at *path*, by name. The folder must have no index."""
    served = root if isinstance(root, DocumentRoot) else DocumentRoot(root)
    found = served.find(path, None, Tick(LATER, 0.0))
    assert isinstance(found, Directory), found
    return {entry.name: entry for entry in found.entries}


def etag_of(root: DocumentRoot | pathlib.Path, path: bytes, now: float = LATER) -> bytes:
    """Return the entity-tag of the file at *path*."""
    with closing(represent(root, path, None, now)) as found:
        return found.validators.etag


def make(file: pathlib.Path, octets: bytes, *, modified: float = LONG_AGO) -> pathlib.Path:
    """Write *octets* to *file* and set its modification time. Return *file*."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(octets)
    os.utime(file, (modified, modified))
    return file


def until_the_clock_ticks(file: pathlib.Path, change: Callable[[], object]) -> None:
    """Call *change* repeatedly, until *file* has a new inode or change time."""
    before = file.stat()
    change()
    while (file.stat().st_ctime_ns, file.stat().st_ino) == (before.st_ctime_ns, before.st_ino):
        change()


def rewrite(file: pathlib.Path, octets: bytes) -> None:
    """Write *octets* to *file* in place, so that the inode stays the same."""
    file.write_bytes(octets)


def rewrite_and_set_back(file: pathlib.Path, octets: bytes) -> None:
    """Write *octets* to *file* in place. Then restore its modification time."""
    make(file, octets)


def replace(file: pathlib.Path, octets: bytes) -> None:
    """Replace *file* by a new file with *octets* and the same modification time."""
    make(file.with_name("new"), octets).replace(file)


changes = pytest.mark.parametrize(
    "change",
    [
        pytest.param(rewrite, id="rewritten in place"),
        pytest.param(rewrite_and_set_back, id="rewritten in place, its time set back"),
        pytest.param(replace, id="replaced by another with the same time"),
    ],
)
Change = Callable[[pathlib.Path, bytes], None]
