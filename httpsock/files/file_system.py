"""The file system: the system calls of a document root.

Takes names, gives the results of the calls. A traced server uses a subclass, which also emits events. So that its trace
is complete, a document root makes each call that names a file or folder through this class. Next: confinement, which
opens files beneath the root and no others.

POSIX.1 (the calls); RFC 9110 §17.3 (attacks based on file and path names).
"""

import contextlib
import io
import os
import stat
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from .cache import FileCache
from .confinement import check_folder_beneath, open_beneath, scandir_beneath
from .representation import Representation

if TYPE_CHECKING:
    from .siblings import Original, Read

Item = TypeVar("Item")
Value = TypeVar("Value")


class FileSystem:
    """The system calls of a document root. A subclass may observe them."""

    def __init__(self, root: str, *, follow_links: bool = False) -> None:
        """Look at files below *root*, an absolute path. If *follow_links* is true, symlinks may lead out of *root*."""
        self.root = root
        self.follow_links = follow_links
        # The system's own functions, since a method around them would cost time at each request.
        self.stat: Callable[[str], os.stat_result] = os.stat
        self.lstat: Callable[[str], os.stat_result] = os.lstat

    def has_link(self, relative: str) -> bool:
        """Return whether the path to *relative* has a symlink. If the path does not exist, return False."""
        below = self.root
        with contextlib.suppress(OSError):
            for name in relative.split(os.sep):
                below = os.path.join(below, name)
                if stat.S_ISLNK(self.lstat(below).st_mode):
                    return True
        return False

    def open(self, relative: str) -> int:
        """Open *relative*, a name below the document root, and return its descriptor. Raise OSError if that fails."""
        return open_beneath(self.root, relative, follow_links=self.follow_links)

    def check_folder(self, relative: str) -> None:
        """Check that *relative* is a folder below the document root, and can be opened. Otherwise, raise OSError."""
        check_folder_beneath(self.root, relative, follow_links=self.follow_links)

    def read(self, descriptor: int, length: int) -> bytes:
        """Return the next *length* octets of a file. If fewer octets are left, return all of these."""
        return read_whole(descriptor, length)

    def file(self, descriptor: int) -> io.FileIO:
        """Return a file object for *descriptor*, to send a large file in parts.

        Closing the object closes *descriptor*.
        """
        return io.FileIO(descriptor)

    def scandir(self, relative: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        """Return a context manager that gives the entries of a folder. Raise OSError if the folder can't be opened."""
        return scandir_beneath(self.root, relative, follow_links=self.follow_links)

    def listed(self, relative: str, entries: Iterator[Item]) -> Iterator[Item]:  # noqa: ARG002 (for an observer)
        """Return *entries*, the entries of the folder *relative*. A subclass may count the entries."""
        return entries

    def is_verified(self, name: str, coding: str, read: "Read", length: int, original: "Original") -> bool:  # noqa: ARG002 (for an observer)
        """Return whether the compressed sibling *name* has the content of *original*. *coding* is its content coding.

        *read* reads from the sibling, which has *length* octets.
        """
        from .siblings import is_verified  # few folders have compressed siblings

        return is_verified(coding, read, length, original)

    def reference(self, name: str, found: Representation) -> Callable[[], Representation | None]:  # noqa: ARG002 (for an observer)
        """Return a weak reference to *found*, the representation of the file *name*."""
        return weakref.ref(found)

    def use_memo(self, path: bytes) -> None:
        """Do nothing. A subclass may emit an event.

        The document root calls this if an earlier request of this tick has already found the resource at *path*.
        """

    def cache(self, capacity: int) -> FileCache[Value]:
        """Return an empty file cache for *capacity* octets."""
        return FileCache(capacity)


def read_whole(descriptor: int, length: int) -> bytes:
    """Return the next *length* octets of a file. If fewer octets are left, return all of these."""
    parts = []
    while length and (part := os.read(descriptor, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
