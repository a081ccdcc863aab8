"""Confinement: no name leads out of the document root, even if links change meanwhile (requirements R138, R144).

Each test runs twice. The first run opens folder by folder with openat(). The second run compares real paths, as on
systems without openat().
"""

import errno
import os
import pathlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from httpsock.files import confinement
from httpsock.files.confinement import check_folder_beneath, open_beneath, scandir_beneath
from httpsock.files.document_root import DocumentRoot
from httpsock.files.paths import NOT_FOUND
from httpsock.files.representation import Representation
from httpsock.http.handler import Tick
from httpsock.http.messages import Refusal, Status
from tests.support.processes import lowest_free_descriptor

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there, to make a symlink takes a privilege")

# A time long after any change of a file, so that small files are cached.
LATER = 4_000_000_000.0
# How often a thread swaps a link.
SWAPS = 2000


@contextmanager
def before_opening(name: str, change: Callable[[], object]) -> Iterator[None]:
    """Replace os.open(). Call *change* once, right before a file or folder called *name* is opened."""
    # An audit hook cannot be removed, and it disturbs debuggers and coverage tools.
    system_open = os.open
    is_opened = False

    def opening(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        nonlocal is_opened
        if not is_opened and os.path.basename(path) == name:
            is_opened = True
            change()
        return system_open(path, flags, mode, dir_fd=dir_fd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", opening)
        yield
    assert is_opened, f"{name} was never opened"


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a document root with all kinds of symlinks. Some links lead to folders outside."""
    root = tmp_path / "root"
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "inside.txt").write_bytes(b"inside")
    (root / "folder" / "inside.txt").write_bytes(b"inside")
    (root / "folder" / "deep" / "inside.txt").write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "inside.txt").write_bytes(b"outside")
    # The name of this folder starts with that of the root.
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root-2" / "inside.txt").write_bytes(b"outside")
    links = {
        "link": "inside.txt",
        "absolute": str(root / "inside.txt"),
        "roundabout": "folder/../inside.txt",
        "chain": "link",
        "folder-link": "folder",
        "deep-link": "folder-link/deep",
        "folder/up": "..",
        "self": ".",
        "self-absolute": str(root),
        "returning": "../root/inside.txt",
        "out": "../outside/inside.txt",
        "out-absolute": str(tmp_path / "outside" / "inside.txt"),
        "out-chain": "out",
        "out-folder": "../outside",
        "out-folder-chain": "folder/up/out-folder",
        "out-similar": "../root-2/inside.txt",
        "parent": "..",
        "system": "/",
        "broken": "missing.txt",
        "broken-folder": "missing",
        "loop": "loop",
        "loop-1": "loop-2",
        "loop-2": "loop-1",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


@pytest.fixture(autouse=True)
def every_descriptor_is_closed() -> Iterator[None]:
    """Assert that the test leaves no file descriptor open."""
    before = lowest_free_descriptor()
    yield
    assert lowest_free_descriptor() == before


def read_below(root: pathlib.Path, relative: str, *, follow_links: bool = False) -> bytes:
    """Open the file *relative* below *root*, and return its first octets."""
    descriptor = open_beneath(str(root), relative, follow_links=follow_links)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def names_below(root: pathlib.Path, relative: str, *, follow_links: bool = False) -> list[str]:
    """Return the names in the folder *relative* below *root*, sorted."""
    with scandir_beneath(str(root), relative, follow_links=follow_links) as entries:
        return sorted(entry.name for entry in entries)


INSIDE = [
    pytest.param("inside.txt", id="a file"),
    pytest.param("folder/inside.txt", id="a file in a folder"),
    pytest.param("folder/deep/inside.txt", id="a file in a folder in a folder"),
    pytest.param("link", id="R144: a link"),
    pytest.param("absolute", id="R144: a link with an absolute name"),
    pytest.param("roundabout", id="R144: a link that goes into a folder and back"),
    pytest.param("chain", id="R144: a link to a link"),
    pytest.param("folder-link/inside.txt", id="R144: a link in the middle of the name"),
    pytest.param("folder-link/deep/inside.txt", id="R144: a link before the middle"),
    pytest.param("deep-link/inside.txt", id="R144: a link through a link"),
    pytest.param("folder/up/inside.txt", id="R144: a link up, not above the root"),
    pytest.param("folder/up/folder-link/up/link", id="R144: many links in one name"),
    pytest.param("self/inside.txt", id="R144: a link to the root itself"),
    pytest.param("self/self-absolute/self/link", id="R144: several links to the root itself"),
    pytest.param("returning", id="R144: a link out of the root and back"),
    pytest.param("parent/root/inside.txt", id="R144: a link above the root, and back by name"),
]
OUTSIDE = [
    pytest.param("out", id="R144: a link"),
    pytest.param("out-absolute", id="R144: a link with an absolute name"),
    pytest.param("out-chain", id="R144: a link to a link"),
    pytest.param("out-folder/inside.txt", id="R144: a link in the middle of the name"),
    pytest.param("out-folder-chain/inside.txt", id="R144: a link through a link"),
    pytest.param("self/out", id="R144: a link to the root, then out"),
    pytest.param("folder/up/out-folder/inside.txt", id="R144: a link up, then out"),
    pytest.param("out-similar", id="R138: a link to a folder whose name begins like the root's"),
    pytest.param("parent/root-2/inside.txt", id="R138: a link above the root"),
]


@pytest.mark.parametrize("relative", INSIDE)
def test_a_file_below_the_root_is_opened(relative: str, root: pathlib.Path, way: None) -> None:
    assert read_below(root, relative) == b"inside"


@pytest.mark.parametrize("relative", INSIDE)
def test_the_path_of_the_root_may_contain_a_link(relative: str, root: pathlib.Path, way: None) -> None:
    linked_root = root.with_name("linked-root")
    linked_root.symlink_to("root")
    assert read_below(linked_root, relative) == b"inside"


@pytest.mark.parametrize("relative", OUTSIDE)
def test_a_file_outside_the_root_is_not_opened(relative: str, root: pathlib.Path, way: None) -> None:
    with pytest.raises(FileNotFoundError, match="leads out of the document root"):
        read_below(root, relative)


@pytest.mark.parametrize("relative", OUTSIDE)
def test_a_file_outside_the_root_is_opened_when_links_are_followed(
    relative: str, root: pathlib.Path, way: None
) -> None:
    assert read_below(root, relative, follow_links=True) == b"outside"


@pytest.mark.parametrize(
    ("relative", "numbers"),
    [
        pytest.param("missing.txt", {errno.ENOENT}, id="no such file"),
        pytest.param("missing/inside.txt", {errno.ENOENT}, id="no such folder"),
        pytest.param("inside.txt/inside.txt", {errno.ENOTDIR}, id="a file taken for a folder (R141)"),
        pytest.param("link/inside.txt", {errno.ENOTDIR}, id="a link to a file taken for a folder (R141)"),
        pytest.param("broken", {errno.ENOENT}, id="R144: a broken link"),
        pytest.param("broken-folder/inside.txt", {errno.ENOENT}, id="R144: a broken link in the middle"),
        pytest.param("loop", {errno.ELOOP}, id="R144: a link to itself"),
        pytest.param("loop/inside.txt", {errno.ELOOP, errno.ENOTDIR}, id="R144: a link to itself in the middle"),
        pytest.param("loop-1", {errno.ELOOP}, id="R144: two links to each other"),
        pytest.param("n" * 300, {errno.ENAMETOOLONG}, id="R145: a name longer than the system's"),
    ],
)
@pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
def test_a_missing_file_raises_the_systems_error(
    relative: str, numbers: set[int], follow_links: bool, root: pathlib.Path, way: None
) -> None:
    with pytest.raises(OSError, match=r".") as raised:
        read_below(root, relative, follow_links=follow_links)
    assert raised.value.errno in numbers


def test_a_pipe_without_a_writer_is_opened_without_waiting(root: pathlib.Path, way: None) -> None:
    os.mkfifo(root / "pipe")
    assert read_below(root, "pipe") == b""


def test_a_socket_is_not_opened(root: pathlib.Path, way: None, monkeypatch: pytest.MonkeyPatch) -> None:
    bind_socket(root, "socket", monkeypatch)
    with pytest.raises(OSError, match=r".") as raised:
        read_below(root, "socket")
    assert raised.value.errno in (errno.ENXIO, errno.EOPNOTSUPP)


def bind_socket(folder: pathlib.Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create a socket called *name* in *folder*. Its path must be short, so change the working directory first."""
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(name)


@pytest.mark.parametrize(
    "relative",
    [
        pytest.param("folder", id="a folder"),
        pytest.param("folder/deep", id="a folder in a folder"),
        pytest.param("folder-link", id="R144: a link"),
        pytest.param("folder-link/deep", id="R144: a link in the middle of the name"),
        pytest.param("self", id="R144: a link to the root itself"),
    ],
)
@pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
def test_a_folder_below_the_root_passes_the_check(
    relative: str, follow_links: bool, root: pathlib.Path, way: None
) -> None:
    check_folder_beneath(str(root), relative, follow_links=follow_links)


@pytest.mark.parametrize(
    "relative",
    [
        pytest.param("out-folder", id="R144: a link"),
        pytest.param("out-folder-chain", id="R144: a link through a link"),
        pytest.param("parent", id="R144: a link above the root"),
        pytest.param("parent/root-2", id="R138: a folder whose name begins like the root's"),
        pytest.param("system", id="R138: a link to the root of the file system"),
    ],
)
def test_a_folder_outside_the_root_fails_the_check(relative: str, root: pathlib.Path, way: None) -> None:
    with pytest.raises(FileNotFoundError, match="leads out of the document root"):
        check_folder_beneath(str(root), relative, follow_links=False)
    check_folder_beneath(str(root), relative, follow_links=True)


@pytest.mark.parametrize(
    ("relative", "number"),
    [
        pytest.param("inside.txt", errno.ENOTDIR, id="a file"),
        pytest.param("missing", errno.ENOENT, id="a missing file"),
        pytest.param("broken-folder", errno.ENOENT, id="R144: a broken link"),
    ],
)
@pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
def test_a_file_in_place_of_a_folder_fails_the_check(
    relative: str, number: int, follow_links: bool, root: pathlib.Path, way: None
) -> None:
    with pytest.raises(OSError, match=r".") as raised:
        check_folder_beneath(str(root), relative, follow_links=follow_links)
    assert raised.value.errno == number


@pytest.mark.parametrize(
    ("relative", "names"),
    [
        pytest.param("folder", ["deep", "inside.txt", "up"], id="a folder"),
        pytest.param("folder/deep", ["inside.txt"], id="a folder in a folder"),
        pytest.param("deep-link", ["inside.txt"], id="R144: a link through a link"),
        pytest.param("folder-link/deep", ["inside.txt"], id="R144: a link in the middle of the name"),
    ],
)
@pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
def test_a_folder_below_the_root_is_listed(
    relative: str, names: list[str], follow_links: bool, root: pathlib.Path, way: None
) -> None:
    assert names_below(root, relative, follow_links=follow_links) == names


@pytest.mark.parametrize("relative", ["", "self", "folder/up", "parent/root"])
def test_the_root_itself_is_listed(relative: str, root: pathlib.Path, way: None) -> None:
    assert names_below(root, relative) == sorted(os.listdir(root))


@pytest.mark.parametrize("relative", ["out-folder", "out-folder-chain", "self/out-folder"])
def test_a_folder_outside_the_root_is_listed_only_when_links_are_followed(
    relative: str, root: pathlib.Path, way: None
) -> None:
    with pytest.raises(FileNotFoundError, match="leads out of the document root"):
        names_below(root, relative)
    assert names_below(root, relative, follow_links=True) == ["inside.txt"]


def test_a_file_is_not_listed(root: pathlib.Path, way: None) -> None:
    with pytest.raises(NotADirectoryError):
        names_below(root, "inside.txt")


def test_an_abandoned_listing_is_closed(root: pathlib.Path, way: None) -> None:
    with pytest.raises(KeyError), scandir_beneath(str(root), "folder", follow_links=False) as entries:
        raise KeyError(next(entries).name)


def point(link: pathlib.Path, target: str) -> None:
    """Replace *link* atomically by a symlink to *target*."""
    new = link.with_name(f"{link.name}-new")
    new.symlink_to(target)
    new.replace(link)


def test_a_file_that_becomes_a_link_out_before_it_is_opened_is_not_found(root: pathlib.Path, way: None) -> None:
    with (
        before_opening("inside.txt", lambda: point(root / "inside.txt", "../outside/inside.txt")),
        pytest.raises(FileNotFoundError, match=r"leads out of the document root|changed while it was opened"),
    ):
        read_below(root, "inside.txt")


def test_a_link_whose_target_becomes_a_link_out_before_it_is_opened_is_refused(root: pathlib.Path, way: None) -> None:
    with (
        before_opening("inside.txt", lambda: point(root / "inside.txt", "../outside/inside.txt")),
        pytest.raises(OSError, match=r".") as raised,
    ):
        read_below(root, "link")
    # The kernel reports a link, or the server reports a change.
    assert raised.value.errno in (errno.ELOOP, errno.EMLINK, errno.ENOENT)


@pytest.mark.skipif(not confinement.HAS_OPENAT, reason="this system has no openat()")
def test_a_link_that_is_swapped_before_it_is_resolved_is_not_found(root: pathlib.Path) -> None:
    with (
        before_opening("link", lambda: point(root / "link", "../outside/inside.txt")),
        pytest.raises(FileNotFoundError, match="leads out of the document root"),
    ):
        read_below(root, "link")


@pytest.mark.skipif(not confinement.HAS_OPENAT, reason="this system has no openat()")
def test_a_folder_that_becomes_a_link_out_before_it_is_entered_is_not_found(root: pathlib.Path) -> None:
    def swap() -> None:
        (root / "folder").rename(root / "elsewhere")
        (root / "folder").symlink_to("../outside")

    with (
        before_opening("folder", swap),
        pytest.raises(FileNotFoundError, match="leads out of the document root"),
    ):
        read_below(root, "folder/inside.txt")


@pytest.mark.skipif(not confinement.HAS_OPENAT, reason="this system has no openat()")
def test_a_folder_that_becomes_a_link_out_after_it_is_entered_is_still_read(root: pathlib.Path) -> None:
    def swap() -> None:
        (root / "folder").rename(root / "elsewhere")
        (root / "folder").symlink_to("../outside")

    with before_opening("inside.txt", swap):
        assert read_below(root, "folder/inside.txt") == b"inside"


def test_a_file_replaced_while_it_is_opened_is_either_the_old_or_the_new_one(root: pathlib.Path, way: None) -> None:
    def swap() -> None:
        (root / "new").write_bytes(b"inside, too")
        (root / "new").replace(root / "inside.txt")

    with before_opening("inside.txt", swap):
        assert read_below(root, "inside.txt") == b"inside, too"


def test_a_file_that_becomes_a_pipe_before_it_is_opened_is_not_found(root: pathlib.Path) -> None:
    def swap() -> None:
        os.mkfifo(root / "pipe")
        (root / "pipe").replace(root / "inside.txt")

    with before_opening("inside.txt", swap):
        assert DocumentRoot(root).find(b"/inside.txt", None, Tick(LATER, 0.0)) == NOT_FOUND


def test_a_file_that_is_gone_before_it_is_opened_is_not_found(root: pathlib.Path) -> None:
    with before_opening("inside.txt", (root / "inside.txt").unlink):
        assert DocumentRoot(root).find(b"/inside.txt", None, Tick(LATER, 0.0)) == NOT_FOUND


def test_a_folder_that_is_gone_before_it_is_listed_is_not_found(root: pathlib.Path) -> None:
    (root / "empty").mkdir()
    with before_opening("empty", (root / "empty").rmdir):
        assert DocumentRoot(root).find(b"/empty/", None, Tick(LATER, 0.0)) == NOT_FOUND


def test_a_folder_that_becomes_a_link_out_before_it_is_listed_is_not_found(root: pathlib.Path) -> None:
    (root / "empty").mkdir()

    def swap() -> None:
        (root / "empty").rmdir()
        (root / "empty").symlink_to("../outside")

    with before_opening("empty", swap):
        assert DocumentRoot(root).find(b"/empty/", None, Tick(LATER, 0.0)) == NOT_FOUND


@pytest.mark.skipif(not confinement.HAS_OPENAT, reason="without openat(), a swapped link can deceive the check")
@pytest.mark.parametrize(
    ("link", "targets", "path"),
    [
        pytest.param("swapped", ("inside.txt", "../outside/inside.txt"), b"/swapped", id="the link is the name"),
        pytest.param("swapped", ("folder", "../outside"), b"/swapped/inside.txt", id="the link is in the middle"),
        pytest.param(
            "swapped", ("folder/deep", "out-folder-chain"), b"/deep-2/inside.txt", id="the link is behind a link"
        ),
    ],
)
def test_no_octet_from_outside_is_sent_while_a_link_is_swapped(
    link: str, targets: tuple[str, str], path: bytes, root: pathlib.Path
) -> None:
    (root / "deep-2").symlink_to("swapped")
    point(root / link, targets[0])
    served = DocumentRoot(root)

    def swap() -> None:
        for n in range(SWAPS):
            point(root / link, targets[n % 2])

    swapping = threading.Thread(target=swap)
    swapping.start()
    found = []
    try:
        while swapping.is_alive():
            found.append(served.find(path, None, Tick(LATER, 0.0)))
    finally:
        swapping.join()
    for answer in found:
        if isinstance(answer, Representation):
            assert answer.octets == b"inside"
        else:
            assert isinstance(answer, Refusal)
            assert answer.status is Status.NOT_FOUND


@pytest.mark.skipif(not confinement.HAS_OPENAT, reason="without openat(), a swapped link can deceive the check")
def test_no_name_from_outside_is_listed_while_a_link_is_swapped(root: pathlib.Path) -> None:
    point(root / "swapped", "folder")

    def swap() -> None:
        for n in range(SWAPS):
            point(root / "swapped", ("folder", "../root-2")[n % 2])

    (root.parent / "root-2" / "secret.txt").touch()
    swapping = threading.Thread(target=swap)
    swapping.start()
    listed: list[list[str]] = []
    refused: list[int | None] = []
    try:
        while swapping.is_alive():
            try:
                listed.append(names_below(root, "swapped"))
            except OSError as error:
                refused.append(error.errno)
    finally:
        swapping.join()
    assert not any("secret.txt" in names for names in listed)
    assert set(refused) <= {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}


def test_a_cached_file_is_not_found_after_its_folder_became_a_link_out(root: pathlib.Path) -> None:
    served = DocumentRoot(root)
    found = served.find(b"/folder/inside.txt", None, Tick(LATER, 0.0))
    assert isinstance(found, Representation)
    # Move the whole folder out of the root: the file in it is unchanged.
    (root / "folder").rename(root.parent / "moved")
    (root / "folder").symlink_to("../moved")
    assert served.find(b"/folder/inside.txt", None, Tick(LATER, 0.0)) == NOT_FOUND
