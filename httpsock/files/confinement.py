"""Confinement: open files beneath a folder, and no others.

Takes a folder and a name relative to it, gives a file descriptor. A check of the name is not enough, since an attacker
may create a symlink between check and open. So the kernel opens each folder on the way without following symlinks. If
the kernel meets a symlink, this module computes the real path. If the real path is within the folder, the kernel opens
the real path in the same way. If an attacker swaps in a symlink, the client gets a refusal, never a file from outside.

Next: representation, then handler.

RFC 9110 §17.3 (attacks based on file and path names).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

# Leave out each flag that the system lacks.
_ANY = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
# O_PATH: to pass through a folder, permission to search it is enough.
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", os.O_RDONLY)

# The errors of open() with O_NOFOLLOW at a symlink: for a file, for a folder, and on FreeBSD.
_LINK_ERRORS = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)

HAS_OPENAT = os.open in os.supports_dir_fd and bool(_NO_LINK)


def open_beneath(root: str, relative: str, *, follow_links: bool) -> int:
    """Open *relative*, a name below the folder *root*, without blocking. Return its descriptor.

    If *follow_links* is true, symlinks may lead anywhere. Otherwise, raise FileNotFoundError if a symlink leads out of
    *root*. Raise another OSError if the system refuses.
    """
    return _open(root, relative, _ANY, follow_links=follow_links)


def check_folder_beneath(root: str, relative: str, *, follow_links: bool) -> None:
    """Raise OSError if *relative* is not a searchable folder beneath *root*.

    *follow_links* and the errors are as for ``open_beneath``.
    """
    if HAS_OPENAT:
        os.close(_open(root, relative, _FOLDER, follow_links=follow_links))
    else:
        below = relative if follow_links else _real_relative(root, relative)
        if not stat.S_ISDIR(os.stat(os.path.join(root, below)).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", relative)


@contextmanager
def scandir_beneath(root: str, relative: str, *, follow_links: bool) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Return a context manager that gives the entries of *relative*, a folder beneath *root*.

    The context manager raises the same errors as ``open_beneath``.
    """
    if not HAS_OPENAT:
        below = relative if follow_links else _real_relative(root, relative)
        with os.scandir(os.path.join(root, below)) as entries:
            yield entries
        return
    descriptor = _open(root, relative, _ANY, follow_links=follow_links)
    try:
        with os.scandir(descriptor) as entries:
            yield entries
    finally:
        os.close(descriptor)


def _open(root: str, relative: str, flags: int, *, follow_links: bool) -> int:
    if follow_links:
        return os.open(os.path.join(root, relative), flags)
    if not HAS_OPENAT:
        return _open_checked(root, relative)
    try:
        return _walk(root, relative, flags)
    except OSError as error:
        if error.errno not in _LINK_ERRORS:
            raise
    return _walk(root, _real_relative(root, relative), flags)


def _walk(root: str, relative: str, flags: int) -> int:
    """Open each folder from *root* to *relative* without following symlinks. Return a descriptor of *relative*."""
    *folders, name = relative.split(os.sep)
    if not folders:
        return os.open(os.path.join(root, name), flags | _NO_LINK)
    here = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER | _NO_LINK, dir_fd=here)
            os.close(here)
            here = below
        return os.open(name, flags | _NO_LINK, dir_fd=here)
    finally:
        os.close(here)


def _real_relative(root: str, relative: str) -> str:
    """Resolve the symlinks in *relative*, and return the real path below *root*.

    Raise FileNotFoundError if the real path is outside *root*.
    """
    real_root = os.path.join(os.path.realpath(root), "")
    real = os.path.realpath(os.path.join(root, relative))
    if not os.path.join(real, "").startswith(real_root):
        raise FileNotFoundError(errno.ENOENT, "leads out of the document root", relative)
    return real[len(real_root) :]


def _open_checked(root: str, relative: str) -> int:
    """Open *relative* on Windows, where openat() is missing. Then check that the file's real path is beneath *root*.

    This check is weaker than openat(): an attacker who swaps links at the right moment can pass the check.
    """
    real = os.path.join(os.path.realpath(root), _real_relative(root, relative))
    descriptor = os.open(real, _ANY)
    if os.path.realpath(real) == real and os.path.samestat(os.fstat(descriptor), os.stat(real)):
        return descriptor
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "changed while it was opened", relative)
