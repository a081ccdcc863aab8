"""Validators: two versions of a file never have the same strong entity-tag."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from httpsock.files.document_root import SMALL_FILE, DocumentRoot
from httpsock.files.handler import respond
from httpsock.files.representation import Representation, etag_of_state
from httpsock.http.handler import Tick
from httpsock.http.messages import Response, Status
from httpsock.http.request_parser import parse_head
from tests.support import get
from tests.support.context import FixedContext
from tests.support.folder import LONG_AGO

CHANGED_NS = LONG_AGO * 10**9


def status_of(file: pathlib.Path, changed_ns: int) -> os.stat_result:
    """Return the stat() result of *file*, but with *changed_ns* as the file's times."""
    status = list(file.stat())
    seconds = [changed_ns // 10**9] * 3
    fractions = [changed_ns / 10**9] * 3
    return os.stat_result([*status[:7], *seconds], dict(zip(_TIMES, [*fractions, *[changed_ns] * 3], strict=True)))


_TIMES = ("st_atime", "st_mtime", "st_ctime", "st_atime_ns", "st_mtime_ns", "st_ctime_ns")


@pytest.mark.parametrize(
    ("fraction_ns", "seconds", "weak"),
    [
        pytest.param(123_456_789, 0.0, True, id="nanoseconds, at the time of the change"),
        pytest.param(123_456_789, -10.0, True, id="nanoseconds, before it, by a clock that is behind"),
        pytest.param(123_456_789, 0.04, True, id="nanoseconds, a few ticks later"),
        pytest.param(123_456_789, 0.06, False, id="nanoseconds, certainly a tick later"),
        pytest.param(10_000_000, 0.06, False, id="a clock of 10 ms, as that of exFAT"),
        pytest.param(0, 0.06, True, id="a time in whole seconds: the file may change again within that second"),
        pytest.param(0, 1.99, True, id="whole seconds, or two of them"),
        pytest.param(0, 2.01, False, id="whole seconds, when they are over"),
    ],
)
def test_an_entity_tag_is_weak_while_the_file_may_change_with_unchanged_times(
    fraction_ns: int, seconds: float, weak: bool, folder: pathlib.Path
) -> None:
    # RFC 9110 §8.8.1: a validator is weak if the file could change again without changing it.
    status = status_of(folder / "large.bin", CHANGED_NS + fraction_ns)
    tag = etag_of_state(status, status.st_ctime + seconds)
    assert tag.startswith(b"W/") is weak
    assert tag.removeprefix(b"W/") == etag_of_state(status, LONG_AGO + 1000)


def test_an_entity_tag_reveals_no_inode(folder: pathlib.Path) -> None:
    """An NFS file handle contains the inode number, so strangers must not learn this number (CVE-2003-1418)."""
    shutil.copy(folder / "large.bin", folder / "other.bin")
    statuses = [status_of(folder / name, CHANGED_NS + ns) for name in ("large.bin", "other.bin") for ns in (0, 1)]
    tags = {etag_of_state(status, LONG_AGO + 1000) for status in statuses}
    assert len(tags) == 4, "the tag depends on the inode and on the times"
    assert all(re.fullmatch(rb'"40000-[0-9a-f]{24}"', tag) for tag in tags)


def test_a_range_never_mixes_two_versions_of_a_file_on_a_coarse_clock(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this test, both versions have the same length and time.

    If-Range with the first version's ETag gets the complete second version.
    """
    status = status_of(folder / "large.bin", CHANGED_NS)
    monkeypatch.setattr(os, "fstat", lambda descriptor: status)
    root = DocumentRoot(folder)
    with closing(find(root, LONG_AGO + 0.5)) as first:
        tag = first.validators.etag
    assert tag.startswith(b"W/")
    for now in (LONG_AGO + 1.5, LONG_AGO + 60):
        request = get("/large.bin", "Range: bytes=100-", f"If-Range: {tag.decode()}")
        response = respond(root, parse_head(request, 100), FixedContext(Tick(now, 0.0)))
        assert isinstance(response, Response)
        response.close()
        assert response.status is Status.OK


def find(root: DocumentRoot, now: float) -> Representation:
    """Return the representation of large.bin at the time *now*."""
    found = root.find(b"/large.bin", None, Tick(now, 0.0))
    assert isinstance(found, Representation)
    return found


@pytest.fixture(params=["ext4", "vfat"])
def coarse(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Mount a file system that stores times in steps of one or two seconds."""
    make = {
        "ext4": ["mkfs.ext4", "-q", "-F", "-I", "128", "-O", "^metadata_csum"],
        "vfat": ["mkfs.vfat"],
    }[request.param]
    if not sys.platform.startswith("linux") or not shutil.which(make[0], path="/usr/sbin:/sbin:/usr/bin"):
        pytest.skip(f"{make[0]} is not installed")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    image.touch()
    os.truncate(image, 16 << 20)
    folder.mkdir()
    environment = os.environ | {"PATH": "/usr/sbin:/sbin:" + os.environ["PATH"]}
    subprocess.run([*make, image], check=True, env=environment, capture_output=True)
    mount = ["mount", "-t", request.param, "-o", "loop", image, folder]
    if subprocess.run(mount, check=False, env=environment, capture_output=True).returncode:
        pytest.skip(f"this user or kernel can't mount a {request.param} image")
    yield folder
    subprocess.run(["umount", folder], check=True, env=environment)


def test_on_a_coarse_file_system_the_entity_tag_of_a_new_file_is_weak(coarse: pathlib.Path) -> None:
    file = coarse / "large.bin"
    file.write_bytes(bytes(SMALL_FILE + 1))
    status = file.stat()
    assert status.st_ctime_ns % 10**9 == 0, "the clock of this file system is fine"
    root = DocumentRoot(coarse)
    with closing(find(root, status.st_ctime + 1.9)) as fresh, closing(find(root, status.st_ctime + 2.1)) as settled:
        assert fresh.validators.etag == b"W/" + settled.validators.etag
