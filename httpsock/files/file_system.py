"""The file system: the system calls of a document root.

Takes names, gives the results of the calls. A traced server uses a subclass, which also emits events. Next:
confinement, which opens files beneath the root and no others.

POSIX.1 (the calls); RFC 9110 §17.3 (attacks based on file and path names).
"""

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from .cache import FileCache
from .confinement import open_beneath, scandir_beneath
from .representation import Representation

if TYPE_CHECKING:
    from .siblings import Original, Read

Item = TypeVar("Item")
Value = TypeVar("Value")


class FileSystem:
    """The system calls of a document root. A subclass may observe them."""

    def __init__(self) -> None:
        # The system's own function, since a method around it would cost time at each request.
        self.stat: Callable[[str], os.stat_result] = os.stat

    def open(self, root: str, relative: str, *, follow_links: bool) -> int:
        """Open *relative*, a name below the folder *root*, and return its descriptor. Raise OSError if that fails."""
        return open_beneath(root, relative, follow_links=follow_links)

    def read(self, descriptor: int, length: int) -> bytes:
        """Return the first *length* octets of a file. If the file has become shorter, return fewer octets."""
        return read_whole(descriptor, length)

    def scandir(
        self, root: str, relative: str, *, follow_links: bool
    ) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        """Return a context manager that gives the entries of a folder. Raise OSError if it can't be opened."""
        return scandir_beneath(root, relative, follow_links=follow_links)

    def listed(self, relative: str, entries: Iterator[Item]) -> Iterator[Item]:  # noqa: ARG002 (for an observer)
        """Return *entries*, the visible entries of the folder *relative*. A subclass may count the entries."""
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

    def cache(self, capacity: int) -> FileCache[Value]:
        """Return an empty file cache for *capacity* octets."""
        return FileCache(capacity)


def read_whole(descriptor: int, length: int) -> bytes:
    """Return the first *length* octets of a file. If the file has become shorter, return fewer octets."""
    parts = []
    while length and (part := os.read(descriptor, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
