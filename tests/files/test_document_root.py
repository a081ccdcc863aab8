"""The document root: it finds a file, a folder or an error for each path."""

import errno
import gzip
import os
import pathlib
import socket
import stat
from contextlib import closing

import pytest

from httpsock.files.document_root import SMALL_FILE, Directory, DocumentRoot, Entry, Redirect
from httpsock.files.file_system import FileSystem
from httpsock.files.paths import NOT_FOUND
from httpsock.files.representation import Representation
from httpsock.http.handler import Tick
from httpsock.http.messages import Refusal, Status
from tests.files.lookup import LATER, listed, make, needs_posix, read, represent
from tests.support.folder import LONG_AGO

# --- The document root ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("hello.txt", NotADirectoryError, id="a file"),
        pytest.param("missing", FileNotFoundError, id="a missing file"),
    ],
)
def test_a_root_that_is_not_a_folder_is_refused(name: str, error: type[OSError], folder: pathlib.Path) -> None:
    with pytest.raises(error):
        DocumentRoot(folder / name)


def test_a_relative_document_root_is_resolved_at_the_start(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    served = DocumentRoot(".")
    monkeypatch.chdir(folder / "sub")
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"


@needs_posix
def test_the_root_of_the_file_system_can_be_served(folder: pathlib.Path) -> None:
    assert read(DocumentRoot("/"), os.fsencode(folder / "hello.txt")) == b"Hello, socket.\n"


@needs_posix
def test_a_replaced_document_root_is_opened_again(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"
    folder.rename(folder.with_name("old"))
    assert served.find(b"/hello.txt", None, Tick(LATER, 0.0)) == NOT_FOUND
    assert served.find(b"/", None, Tick(LATER, 0.0)) == NOT_FOUND
    make(folder / "hello.txt", b"Hello, again.\n")
    assert read(served, b"/hello.txt") == b"Hello, again.\n"


# --- Paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(b"/missing.txt", id="R142: no such file"),
        pytest.param(b"/missing/", id="R142: no such folder"),
        pytest.param(b"/missing/hello.txt", id="R142: a file in no such folder"),
        pytest.param(b"/hello.txt/", id="R141: a file taken for a folder"),
        pytest.param(b"/hello.txt/x", id="R141: a file below a file"),
        pytest.param(b"/" + b"n" * 300, id="R145: a name longer than the system's"),
        pytest.param(b"/" + b"folder/" * 1000, id="R145: a path longer than the system's"),
    ],
)
def test_a_missing_file_is_not_found(path: bytes, folder: pathlib.Path) -> None:
    assert DocumentRoot(folder).find(path, None, Tick(LATER, 0.0)) == NOT_FOUND


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param(b"/../root/hello.txt", "which leads out of the root", id="R138: a dot-segment"),
        pytest.param(b"/sub/%2e%2e/..%2fhello.txt", "which leads out of the root", id="R138: dot-segments, encoded"),
        pytest.param(b"/hello.txt%00", "a NUL (%00)", id="R139: a NUL"),
    ],
)
def test_an_invalid_path_is_refused(path: bytes, reason: str, folder: pathlib.Path) -> None:
    found = DocumentRoot(folder).find(path, None, Tick(LATER, 0.0))
    assert isinstance(found, Refusal)
    assert found.status is Status.BAD_REQUEST
    assert found.section.startswith("RFC 3986")
    assert reason in found.reason


@needs_posix
@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param(b"hello.txt", b"/%68ello.txt", id="R140: a letter, encoded without need"),
        pytest.param(b"two words.txt", b"/two%20words.txt", id="R140: a space"),
        pytest.param(b"100%.txt", b"/100%25.txt", id="R140: a percent sign"),
        pytest.param(b"%41.txt", b"/%2541.txt", id="R139: decoded once, not twice"),
        pytest.param("š.txt".encode(), b"/%C5%A1.txt", id="R140: a letter beyond ASCII"),
        pytest.param(b"\xff.txt", b"/%FF.txt", id="R145: an octet that is not UTF-8"),
        pytest.param(b"two\nlines.txt", b"/two%0Alines.txt", id="R145: a line feed"),
        pytest.param(b"a;b=c&d?e#f.txt", b"/a;b=c&d%3Fe%23f.txt", id="R140: delimiters of other parts of a URL"),
        pytest.param(b"-rf", b"/-rf", id="R145: a name that a command line would misread"),
        pytest.param(b"~", b"/~", id="R145: a name that a shell would replace"),
        pytest.param(b"...txt", b"/...txt", id="a hidden name of three full stops"),
    ],
)
def test_a_file_is_found_by_its_encoded_name(name: bytes, path: bytes, folder: pathlib.Path) -> None:
    try:
        descriptor = os.open(os.path.join(os.fsencode(folder), name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    except OSError as error:
        pytest.skip(f"this file system has no such name ({error})")
    os.write(descriptor, b"reached")
    os.close(descriptor)
    assert read(DocumentRoot(folder, show_hidden=True), path) == b"reached"


def test_names_are_case_sensitive(folder: pathlib.Path) -> None:
    if (folder / "HELLO.TXT").exists():
        pytest.skip("this file system has one name for both")
    assert DocumentRoot(folder).find(b"/HELLO.TXT", None, Tick(LATER, 0.0)) == NOT_FOUND


def test_a_folder_without_its_slash_is_redirected(folder: pathlib.Path) -> None:
    found = DocumentRoot(folder).find(b"/sub", None, Tick(LATER, 0.0))
    assert isinstance(found, Redirect)
    assert found.name.segments == ("sub",)


def test_a_folder_with_its_slash_is_represented_by_its_index(folder: pathlib.Path) -> None:
    found = represent(folder, b"/sub/")
    assert found.octets == b"<!DOCTYPE html><title>sub</title>\n"
    assert found.media_type == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        pytest.param(["index.htm"], b"index.htm", id="the shorter name alone"),
        pytest.param(["index.htm", "index.html"], b"index.html", id="the longer name comes first"),
    ],
)
def test_an_index_is_called_index_html_or_index_htm(names: list[str], shown: bytes, tmp_path: pathlib.Path) -> None:
    for name in names:
        make(tmp_path / name, name.encode())
    assert read(tmp_path, b"/") == shown


def test_a_folder_called_index_is_not_an_index(tmp_path: pathlib.Path) -> None:
    (tmp_path / "index.html").mkdir()
    assert list(listed(tmp_path)) == ["index.html"]


def test_a_folder_without_an_index_is_listed_with_its_entries(folder: pathlib.Path) -> None:
    found = DocumentRoot(folder).find(b"/", None, Tick(LATER, 0.0))
    assert isinstance(found, Directory)
    assert found.name.segments == ()
    assert sorted(found.entries) == sorted(
        [
            Entry("alphabet.txt", False, 26, LONG_AGO),
            Entry("empty.txt", False, 0, LONG_AGO),
            Entry("hello.txt", False, 15, LONG_AGO),
            Entry("large.bin", False, 262144, LONG_AGO),
            Entry("sub", True, (folder / "sub").stat().st_size, LONG_AGO),
        ]
    )


def test_an_empty_folder_has_no_entries(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").mkdir()
    assert listed(tmp_path, b"/empty/") == {}


# --- Odd objects ----------------------------------------------------------------------------------


@pytest.fixture
def with_odd_objects(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """In *folder*, make a named pipe, a socket, a link to the pipe, and two links to devices. Return *folder*."""
    os.mkfifo(folder / "pipe")
    (folder / "pipe-link").symlink_to("pipe")
    # The path of a socket can have no more than about 100 octets.
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    (folder / "endless").symlink_to("/dev/zero")
    (folder / "terminal").symlink_to("/dev/tty")
    return folder


@needs_posix
@pytest.mark.parametrize("path", [b"/pipe", b"/pipe-link", b"/pipe/", b"/socket", b"/endless", b"/terminal"])
@pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
def test_a_device_or_pipe_is_not_found(path: bytes, follow_links: bool, with_odd_objects: pathlib.Path) -> None:
    assert DocumentRoot(with_odd_objects, follow_links=follow_links).find(path, None, Tick(LATER, 0.0)) == NOT_FOUND


@needs_posix
@pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
def test_a_device_or_pipe_is_not_listed(follow_links: bool, with_odd_objects: pathlib.Path) -> None:
    served = DocumentRoot(with_odd_objects, follow_links=follow_links)
    assert set(listed(served)) == {"alphabet.txt", "empty.txt", "hello.txt", "large.bin", "sub"}


@needs_posix
def test_a_device_below_the_root_is_not_found() -> None:
    assert DocumentRoot("/dev").find(b"/zero", None, Tick(LATER, 0.0)) == NOT_FOUND


@pytest.mark.skipif(not os.path.exists("/proc/sys/kernel/ostype"), reason="only Linux has this file")
def test_a_file_of_proc_is_sent_whole() -> None:
    """stat() reports the length 0 for this file, although it has content."""
    assert os.stat("/proc/sys/kernel/ostype").st_size == 0
    assert read(pathlib.Path("/proc/sys/kernel"), b"/ostype") == b"Linux\n"


def without_length(status: os.stat_result) -> os.stat_result:
    """If *status* is of a regular file, return a copy with the length 0 and old times. Otherwise, return *status*."""
    is_file = stat.S_ISREG(status.st_mode)
    return os.stat_result([*status[:6], 0, LONG_AGO, LONG_AGO, LONG_AGO]) if is_file else status


class VirtualFileSystem(FileSystem):
    """A file system that reports the length 0 for every file, as /proc does for most files."""

    def __init__(self, root: str, *, follow_links: bool = False) -> None:
        super().__init__(root, follow_links=follow_links)
        self.stat = lambda path: without_length(os.stat(path))


@pytest.fixture
def virtual(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> DocumentRoot:
    """Return a document root at *tmp_path*, on a virtual file system."""
    fstat = os.fstat
    monkeypatch.setattr(os, "fstat", lambda descriptor: without_length(fstat(descriptor)))
    return DocumentRoot(tmp_path, file_system=VirtualFileSystem)


@pytest.mark.parametrize("length", [0, 1, SMALL_FILE - 1, SMALL_FILE])
def test_a_file_without_a_length_is_sent_whole(length: int, tmp_path: pathlib.Path, virtual: DocumentRoot) -> None:
    make(tmp_path / "file", b"x" * length)
    assert read(virtual, b"/file") == b"x" * length


def test_a_long_file_without_a_length_is_refused(tmp_path: pathlib.Path, virtual: DocumentRoot) -> None:
    """The server must not send the first part of the content as if it were the whole file."""
    make(tmp_path / "file", b"x" * (SMALL_FILE + 1))
    refusal = virtual.find(b"/file", None, Tick(LATER, 0.0))
    reason = f"the file system failed ({os.strerror(errno.EFBIG)})"
    assert refusal == Refusal(Status.INTERNAL_SERVER_ERROR, reason, "RFC 9110 §15.6.1")


class RewritingFileSystem(FileSystem):
    """A file system in which a program fills an empty file just before the server reads the file."""

    def read(self, descriptor: int, length: int) -> bytes:
        if not os.fstat(descriptor).st_size:
            make(pathlib.Path(self.root) / "file", b"x" * (SMALL_FILE + 1))
        return super().read(descriptor, length)


def test_a_file_that_is_rewritten_while_it_is_opened_is_sent_whole(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "file", b"")
    assert read(DocumentRoot(tmp_path, file_system=RewritingFileSystem), b"/file") == b"x" * (SMALL_FILE + 1)


def test_a_file_without_a_length_is_never_cached(tmp_path: pathlib.Path, virtual: DocumentRoot) -> None:
    """When the content of such a file changes, stat() returns the same values as before."""
    for content in (b"1", b"12", b"3"):
        make(tmp_path / "file", content)
        assert read(virtual, b"/file") == content


@needs_posix
@pytest.mark.parametrize("suffix", [".br", ".zst", ".gz"])
def test_a_pipe_is_not_used_as_a_sibling(suffix: str, folder: pathlib.Path) -> None:
    os.mkfifo(folder / f"hello.txt{suffix}")
    assert read(folder, b"/hello.txt", b"br, zstd, gzip") == b"Hello, socket.\n"


@needs_posix
def test_a_name_with_a_backslash_is_listed_and_reached(tmp_path: pathlib.Path) -> None:
    """On POSIX, a backslash is an ordinary character (requirement R146)."""
    for name in ("a\\b.txt", "\\", "plain.txt"):
        make(tmp_path / name, name.encode())
    assert set(listed(tmp_path)) == {"a\\b.txt", "\\", "plain.txt"}
    found = DocumentRoot(tmp_path).find(b"/a%5Cb.txt", None, Tick(LATER, 0.0))
    assert isinstance(found, Representation)
    assert found.octets == b"a\\b.txt"


@needs_posix
@pytest.mark.parametrize("name", [b"two words", b"100%", "š".encode(), b"\xff", b"two\nlines", b"<b>&quot;", b"-"])
def test_a_name_that_a_path_can_contain_is_listed(name: bytes, tmp_path: pathlib.Path) -> None:
    try:
        os.close(os.open(os.path.join(os.fsencode(tmp_path), name), os.O_WRONLY | os.O_CREAT))
    except OSError as error:
        pytest.skip(f"this file system has no such name ({error})")
    assert [os.fsencode(entry) for entry in listed(tmp_path)] == [name]


# --- One tick -------------------------------------------------------------------------------------


def test_a_look_up_is_cached_for_one_tick(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    tick = Tick(LATER, 0.0)
    found = served.find(b"/hello.txt", None, tick)
    assert isinstance(found, Representation)
    (folder / "new.txt").write_bytes(b"changed")
    (folder / "new.txt").replace(folder / "hello.txt")

    assert served.find(b"/hello.txt", None, tick) is found
    changed = served.find(b"/hello.txt", None, Tick(LATER, 0.0))
    assert isinstance(changed, Representation)
    assert changed.octets == b"changed"


def test_an_open_file_is_looked_up_each_time(folder: pathlib.Path) -> None:
    """Each response closes its open file, so two responses cannot share a file."""
    served, tick = DocumentRoot(folder), Tick(LATER, 0.0)
    first, second = served.find(b"/large.bin", None, tick), served.find(b"/large.bin", None, tick)
    assert isinstance(first, Representation)
    assert isinstance(second, Representation)

    with closing(first), closing(second):
        assert first.file is not second.file


def test_a_tick_distinguishes_codings(folder: pathlib.Path) -> None:
    (folder / "hello.txt.gz").write_bytes(gzip.compress(b"Hello, socket.\n"))
    served, tick = DocumentRoot(folder), Tick(LATER, 0.0)

    found = [served.find(b"/hello.txt", accepted, tick) for accepted in (b"gzip", None, b"br", b"gzip")]

    assert [each.coding for each in found if isinstance(each, Representation)] == ["gzip", None, None, "gzip"]


def test_a_folder_is_looked_up_once_in_each_tick(folder: pathlib.Path) -> None:
    """In the next tick, the folder of a cached file is looked up again, since it may have become a symlink."""
    served = DocumentRoot(folder)
    paths = [b"/sub/a.txt", b"/sub/b.txt"]
    for name in ("a.txt", "b.txt"):
        (folder / "sub" / name).write_bytes(b"inside")
        os.utime(folder / "sub" / name, (LONG_AGO, LONG_AGO))
    for _ in range(2):
        tick = Tick(LATER, 0.0)
        assert [
            found.octets for path in paths if isinstance(found := served.find(path, None, tick), Representation)
        ] == [
            b"inside",
            b"inside",
        ]

    if os.name != "nt":
        (folder / "sub").rename(folder.parent / "outside")
        (folder / "sub").symlink_to(folder.parent / "outside")
        tick = Tick(LATER, 0.0)
        assert [served.find(path, None, tick) for path in paths] == [NOT_FOUND, NOT_FOUND]
