"""Look-ups that fail: no permission, no free file descriptor, and other system errors."""

import errno
import functools
import os
import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from httpsock.files import document_root
from httpsock.files.document_root import Directory, DocumentRoot, Redirect
from httpsock.files.paths import NOT_FOUND
from httpsock.files.representation import Representation
from httpsock.http.handler import Tick
from httpsock.http.messages import Refusal, Status
from tests.files.lookup import (
    LATER,
    make,
    needs_posix,
    read,
    represent,
    until_the_clock_ticks,
)
from tests.support.processes import descriptors_left, without_privileges
from tests.support.rows import each_row


@pytest.fixture
def reachable() -> Iterator[pathlib.Path]:
    """Yield a folder that ordinary users can enter. It has one file."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        make(root / "hello.txt", b"Hello")
        yield root
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are something else there")
class TestPermissions:
    """If the system does not let the server read a file, the server answers 403 (Forbidden)."""

    def test_a_file_that_may_not_be_read_is_forbidden(self, reachable: pathlib.Path) -> None:
        (reachable / "hello.txt").chmod(0)
        with without_privileges():
            found = DocumentRoot(reachable).find(b"/hello.txt", None, Tick(LATER, 0.0))
        assert found == Refusal(Status.FORBIDDEN, "the server has no permission to read the file", "RFC 9110 §15.5.4")

    def test_a_cached_file_that_becomes_unreadable_is_forbidden(self, reachable: pathlib.Path) -> None:
        served = DocumentRoot(reachable)
        with without_privileges():
            assert read(served, b"/hello.txt") == b"Hello"
        until_the_clock_ticks(reachable / "hello.txt", functools.partial((reachable / "hello.txt").chmod, 0))
        with without_privileges():
            found = served.find(b"/hello.txt", None, Tick(LATER, 0.0))
        assert isinstance(found, Refusal)
        assert found.status is Status.FORBIDDEN

    @pytest.mark.parametrize("path", [b"/sub/hello.txt", b"/sub/", b"/sub/missing.txt"])
    def test_a_folder_that_may_not_be_entered_is_forbidden(self, path: bytes, reachable: pathlib.Path) -> None:
        make(reachable / "sub" / "hello.txt", b"Hello")
        (reachable / "sub").chmod(0)
        with without_privileges():
            found = DocumentRoot(reachable).find(path, None, Tick(LATER, 0.0))
        assert isinstance(found, Refusal)
        assert found.status is Status.FORBIDDEN

    @pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="this system takes reading for passing through")
    def test_a_folder_that_may_be_entered_but_not_read_serves_its_files(self, reachable: pathlib.Path) -> None:
        make(reachable / "sub" / "deep" / "hello.txt", b"Hello")
        (reachable / "sub").chmod(0o111)
        with without_privileges():
            found = DocumentRoot(reachable).find(b"/sub/deep/hello.txt", None, Tick(LATER, 0.0))
            redirected = DocumentRoot(reachable).find(b"/sub", None, Tick(LATER, 0.0))
            forbidden = DocumentRoot(reachable).find(b"/sub/", None, Tick(LATER, 0.0))
        assert isinstance(found, Representation)
        assert isinstance(redirected, Redirect)
        assert isinstance(forbidden, Refusal)
        assert forbidden.status is Status.FORBIDDEN

    def test_a_sibling_that_may_not_be_read_is_not_used(self, reachable: pathlib.Path) -> None:
        make(reachable / "hello.txt.gz", b"compressed").chmod(0)
        with without_privileges():
            found = DocumentRoot(reachable).find(b"/hello.txt", b"gzip", Tick(LATER, 0.0))
        assert isinstance(found, Representation), found
        assert (found.octets, found.coding) == (b"Hello", None)

    def test_the_answer_does_not_reveal_what_exists_outside(self, reachable: pathlib.Path) -> None:
        """A link out of the root gets 404, even if its target is forbidden (requirement R144)."""
        make(reachable.parent / "outside" / "private" / "file", b"").parent.chmod(0o700)
        (reachable / "link").symlink_to(reachable.parent / "outside")
        with without_privileges():
            served = DocumentRoot(reachable)
            forbidden = served.find(b"/link/private/file", None, Tick(LATER, 0.0))
            missing = served.find(b"/link/missing/file", None, Tick(LATER, 0.0))
        assert forbidden == missing == NOT_FOUND

    def test_a_folder_that_may_not_be_read_is_not_served(self, reachable: pathlib.Path) -> None:
        reachable.chmod(0)
        with without_privileges(), pytest.raises(PermissionError):
            DocumentRoot(reachable)


EXHAUSTED = Refusal(
    Status.SERVICE_UNAVAILABLE, "no resources are free for now (Too many open files)", "RFC 9110 §15.6.4"
)


@needs_posix
@pytest.mark.parametrize(
    ("path", "left"),
    [
        pytest.param(b"/hello.txt", 0, id="to open a file"),
        pytest.param(b"/sub/index.html", 0, id="to open a folder on the way"),
        pytest.param(b"/large.bin", 1, id="to hold a large file open"),
        pytest.param(b"/", 0, id="to open a folder to list"),
    ],
)
def test_without_a_descriptor_the_server_is_unavailable(path: bytes, left: int, folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    with descriptors_left(left):
        found = served.find(path, None, Tick(LATER, 0.0))
    assert found == EXHAUSTED
    again = served.find(path, None, Tick(LATER, 0.0))
    assert isinstance(again, Representation | Directory)
    if isinstance(again, Representation):
        again.close()
    else:
        assert list(again.entries)


@needs_posix
def test_without_a_descriptor_a_sibling_is_not_passed_over(folder: pathlib.Path) -> None:
    """If hello.txt.gz cannot be opened for now, the server does not send hello.txt instead."""
    make(folder / "hello.txt.gz", b"compressed")
    served = DocumentRoot(folder)
    with descriptors_left(0):
        assert served.find(b"/hello.txt", b"gzip", Tick(LATER, 0.0)) == EXHAUSTED


@needs_posix
def test_a_cached_file_needs_no_descriptor(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    stored = represent(served, b"/hello.txt")
    with descriptors_left(0):
        found = served.find(b"/hello.txt", None, Tick(LATER, 0.0))
    assert found is stored


@each_row(
    ("number", "status"),
    [
        pytest.param(errno.ENOENT, Status.NOT_FOUND, id="ENOENT: no such file"),
        pytest.param(errno.ENOTDIR, Status.NOT_FOUND, id="ENOTDIR: a file in place of a folder"),
        pytest.param(errno.ELOOP, Status.NOT_FOUND, id="ELOOP: links lead in a circle"),
        pytest.param(errno.ENAMETOOLONG, Status.NOT_FOUND, id="ENAMETOOLONG: a name too long"),
        pytest.param(errno.EINVAL, Status.NOT_FOUND, id="EINVAL: an invalid name"),
        pytest.param(errno.ENXIO, Status.NOT_FOUND, id="ENXIO: a socket"),
        pytest.param(errno.ESTALE, Status.NOT_FOUND, id="ESTALE: deleted on a network file system"),
        pytest.param(errno.EISDIR, Status.NOT_FOUND, id="EISDIR: a folder in place of a file"),
        pytest.param(errno.EACCES, Status.FORBIDDEN, id="EACCES: no permission"),
        pytest.param(errno.EPERM, Status.FORBIDDEN, id="EPERM: not permitted"),
        pytest.param(errno.EMFILE, Status.SERVICE_UNAVAILABLE, id="EMFILE: the process has no descriptor left"),
        pytest.param(errno.ENFILE, Status.SERVICE_UNAVAILABLE, id="ENFILE: the system has no descriptor left"),
        pytest.param(errno.ENOMEM, Status.SERVICE_UNAVAILABLE, id="ENOMEM: no memory is left"),
        pytest.param(errno.EIO, Status.INTERNAL_SERVER_ERROR, id="EIO: the disk fails"),
        pytest.param(None, Status.INTERNAL_SERVER_ERROR, id="an error without a number"),
    ],
)
def test_each_error_of_the_file_system_has_its_status(number: int | None, status: Status) -> None:
    error = OSError() if number is None else OSError(number, os.strerror(number), "/srv/secret/name")
    refusal = document_root.refusal_of(error)
    assert refusal.status is status
    assert "secret" not in refusal.reason


def test_an_unforeseen_error_is_named_but_not_its_file() -> None:
    refusal = document_root.refusal_of(OSError(errno.EIO, os.strerror(errno.EIO), "/srv/secret/name"))
    assert refusal.reason == f"the file system failed ({os.strerror(errno.EIO)})"
    assert refusal.section == "RFC 9110 §15.6.1"
