"""Look-up of paths under the document root, and representations of files.

The clock is passed in: LATER is long after anything here was made, so that what may be kept in memory is kept.
"""

import errno
import functools
import gzip
import mmap
import os
import pathlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from httpsock.files import confinement, document_root
from httpsock.files.document_root import SMALL_FILE, Directory, DocumentRoot, Entry, Redirect, Tick
from httpsock.files.paths import NOT_FOUND
from httpsock.files.representation import Representation
from httpsock.http.messages import FileSlice, Refusal, Status
from tests.conftest import LONG_AGO
from tests.support.rows import each_row
from tests.support.siblings import FORMS, gzipped, zstandard

LATER = 4_000_000_000.0
HELLO = b"Hello, socket.\n"

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
    found = Tick(served, now, monotonic).find(path, accept_encoding)
    assert isinstance(found, Representation), found
    return found


def read(
    root: DocumentRoot | pathlib.Path, path: bytes, accept_encoding: bytes | None = None, now: float = LATER
) -> bytes:
    """Return all octets of the file that *path* names, wherever they are held."""
    with closing(represent(root, path, accept_encoding, now)) as found:
        return found.octets if found.file is None else found.file.readall()


def listed(root: DocumentRoot | pathlib.Path, path: bytes = b"/") -> dict[str, Entry]:
    """Return the entries of the folder that *path* names, which must have no index, by name."""
    served = root if isinstance(root, DocumentRoot) else DocumentRoot(root)
    found = Tick(served, LATER, 0.0).find(path, None)
    assert isinstance(found, Directory), found
    return {entry.name: entry for entry in found.entries}


def etag_of(root: DocumentRoot | pathlib.Path, path: bytes, now: float = LATER) -> bytes:
    """Return the entity-tag of the file that *path* names."""
    with closing(represent(root, path, None, now)) as found:
        return found.validators.etag


def make(file: pathlib.Path, octets: bytes, *, modified: float = LONG_AGO) -> pathlib.Path:
    """Return *file*, made anew with these *octets* and this time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(octets)
    os.utime(file, (modified, modified))
    return file


def until_the_clock_ticks(file: pathlib.Path, change: Callable[[], object]) -> None:
    """Call *change*, which rewrites *file*, until the file system's clock has gone on since the last change."""
    before = file.stat()
    change()
    while (file.stat().st_ctime_ns, file.stat().st_ino) == (before.st_ctime_ns, before.st_ino):
        change()


# --- The document root ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("hello.txt", NotADirectoryError, id="a file"),
        pytest.param("missing", FileNotFoundError, id="nothing"),
    ],
)
def test_a_root_that_is_no_folder_is_not_served(name: str, error: type[OSError], folder: pathlib.Path) -> None:
    with pytest.raises(error):
        DocumentRoot(folder / name)


def test_a_folder_is_served_from_where_it_was_when_the_program_began(
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
def test_a_document_root_that_is_replaced_is_served_anew(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"
    folder.rename(folder.with_name("old"))
    assert Tick(served, LATER, 0.0).find(b"/hello.txt", None) == NOT_FOUND
    assert Tick(served, LATER, 0.0).find(b"/", None) == NOT_FOUND
    make(folder / "hello.txt", b"Hello, again.\n")
    assert read(served, b"/hello.txt") == b"Hello, again.\n"


# --- What a path names ----------------------------------------------------------------------------


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
    assert Tick(DocumentRoot(folder), LATER, 0.0).find(path, None) == NOT_FOUND


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param(b"/../root/hello.txt", "which leads out of the root", id="R138: a dot-segment"),
        pytest.param(b"/sub/%2e%2e/..%2fhello.txt", "which leads out of the root", id="R138: dot-segments, encoded"),
        pytest.param(b"/hello.txt%00", "a NUL (%00)", id="R139: a NUL"),
    ],
)
def test_a_path_that_spells_no_name_is_refused(path: bytes, reason: str, folder: pathlib.Path) -> None:
    found = Tick(DocumentRoot(folder), LATER, 0.0).find(path, None)
    assert isinstance(found, Refusal)
    assert found.status is Status.BAD_REQUEST
    assert found.section.startswith("RFC 3986")
    assert reason in found.reason


@needs_posix
@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param(b"hello.txt", b"/%68ello.txt", id="R140: a letter, escaped though it need not be"),
        pytest.param(b"two words.txt", b"/two%20words.txt", id="R140: a space"),
        pytest.param(b"100%.txt", b"/100%25.txt", id="R140: a percent sign"),
        pytest.param(b"%41.txt", b"/%2541.txt", id="R139: decoded once, not twice"),
        pytest.param("š.txt".encode(), b"/%C5%A1.txt", id="R140: a letter beyond ASCII"),
        pytest.param(b"\xff.txt", b"/%FF.txt", id="R145: an octet that is not UTF-8"),
        pytest.param(b"two\nlines.txt", b"/two%0Alines.txt", id="R145: a line feed"),
        pytest.param(b"a;b=c&d?e#f.txt", b"/a;b=c&d%3Fe%23f.txt", id="R140: delimiters of other places"),
        pytest.param(b"-rf", b"/-rf", id="R145: what a command line would misread"),
        pytest.param(b"~", b"/~", id="R145: what a shell would replace"),
        pytest.param(b"...txt", b"/...txt", id="a hidden name of three full stops"),
    ],
)
def test_a_name_is_reached_by_its_encoded_form(name: bytes, path: bytes, folder: pathlib.Path) -> None:
    try:
        descriptor = os.open(os.path.join(os.fsencode(folder), name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    except OSError as error:
        pytest.skip(f"this file system has no such name ({error})")
    os.write(descriptor, b"reached")
    os.close(descriptor)
    assert read(DocumentRoot(folder, show_hidden=True), path) == b"reached"


def test_the_case_of_a_name_counts(folder: pathlib.Path) -> None:
    if (folder / "HELLO.TXT").exists():
        pytest.skip("this file system has one name for both")
    assert Tick(DocumentRoot(folder), LATER, 0.0).find(b"/HELLO.TXT", None) == NOT_FOUND


def test_a_folder_without_its_slash_is_redirected(folder: pathlib.Path) -> None:
    found = Tick(DocumentRoot(folder), LATER, 0.0).find(b"/sub", None)
    assert isinstance(found, Redirect)
    assert found.name.segments == ("sub",)


def test_a_folder_with_its_slash_is_represented_by_its_index(folder: pathlib.Path) -> None:
    found = represent(folder, b"/sub/")
    assert found.octets == b"<!DOCTYPE html><title>sub</title>\n"
    assert found.media_type == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        pytest.param(["index.htm"], b"index.htm", id="the shorter name will do"),
        pytest.param(["index.htm", "index.html"], b"index.html", id="the longer name comes first"),
    ],
)
def test_an_index_has_one_of_two_names(names: list[str], shown: bytes, tmp_path: pathlib.Path) -> None:
    for name in names:
        make(tmp_path / name, name.encode())
    assert read(tmp_path, b"/") == shown


def test_a_folder_called_index_is_no_index(tmp_path: pathlib.Path) -> None:
    (tmp_path / "index.html").mkdir()
    assert list(listed(tmp_path)) == ["index.html"]


def test_a_folder_without_an_index_is_given_with_its_entries(folder: pathlib.Path) -> None:
    found = Tick(DocumentRoot(folder), LATER, 0.0).find(b"/", None)
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


# --- What is hidden -------------------------------------------------------------------------------

HIDDEN = [b"/.env", b"/.git/config", b"/sub/.env", b"/sub/.well-known/x", b"/.well-known/.env", b"/.well-known.txt"]


@pytest.fixture
def with_hidden(folder: pathlib.Path) -> pathlib.Path:
    """The folder, with files in it that are not meant for everyone."""
    for path in [*HIDDEN, b"/.well-known/x"]:
        make(folder / os.fsdecode(path[1:]), b"secret")
    return folder


@pytest.mark.parametrize("path", HIDDEN)
def test_a_name_that_starts_with_a_full_stop_is_hidden(path: bytes, with_hidden: pathlib.Path) -> None:
    assert Tick(DocumentRoot(with_hidden), LATER, 0.0).find(path, None) == NOT_FOUND


@pytest.mark.parametrize("path", HIDDEN)
def test_a_hidden_name_is_shown_on_demand(path: bytes, with_hidden: pathlib.Path) -> None:
    assert read(DocumentRoot(with_hidden, show_hidden=True), path) == b"secret"


def test_the_folder_of_well_known_names_is_shown(with_hidden: pathlib.Path) -> None:
    assert read(with_hidden, b"/.well-known/x") == b"secret"


@pytest.mark.parametrize(
    ("path", "shown", "on_demand"),
    [
        pytest.param(
            b"/",
            {".well-known", "alphabet.txt", "empty.txt", "hello.txt", "large.bin", "sub"},
            {".env", ".git", ".well-known.txt"},
            id="in the root, all but /.well-known/",
        ),
        pytest.param(b"/.well-known/", {"x"}, {".env"}, id="in /.well-known/"),
        pytest.param(b"/sub/", set(), {".env", ".well-known"}, id="in a folder, .well-known too (RFC 8615 §3)"),
    ],
)
def test_a_hidden_name_is_not_listed(
    path: bytes, shown: set[str], on_demand: set[str], with_hidden: pathlib.Path
) -> None:
    (with_hidden / "sub" / "index.html").unlink()
    assert set(listed(with_hidden, path)) == shown
    assert set(listed(DocumentRoot(with_hidden, show_hidden=True), path)) == shown | on_demand


# --- Links ----------------------------------------------------------------------------------------


@pytest.fixture
def linked(folder: pathlib.Path) -> pathlib.Path:
    """The folder, with links in it that lead inside, outside and nowhere."""
    make(folder.parent / "outside" / "secret.txt", b"secret")
    for name, target in {
        "link.txt": "hello.txt",
        "link.gz": "alphabet.txt",
        "sub-link": "sub",
        "self": ".",
        "out.txt": "../outside/secret.txt",
        "out": "../outside",
        "broken": "missing",
        "loop": "loop",
    }.items():
        (folder / name).symlink_to(target)
    return folder


@needs_posix
@pytest.mark.parametrize("can_walk", [True, False], ids=["walking", "comparing real paths"])
class TestLinks:
    """Symlinks within the document root are followed, all others are not there (R144)."""

    @pytest.fixture(autouse=True)
    def way(self, can_walk: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        if can_walk and not confinement.HAS_OPENAT:
            pytest.skip("this system cannot walk")
        monkeypatch.setattr(confinement, "HAS_OPENAT", can_walk)

    def test_a_link_inside_gives_its_target(self, linked: pathlib.Path) -> None:
        assert read(linked, b"/link.txt") == b"Hello, socket.\n"
        assert read(linked, b"/self/self/link.txt") == b"Hello, socket.\n"
        assert read(linked, b"/sub-link/") == b"<!DOCTYPE html><title>sub</title>\n"

    def test_a_link_has_the_type_of_its_own_name(self, linked: pathlib.Path) -> None:
        assert represent(linked, b"/link.gz").media_type == "application/gzip"

    def test_a_link_to_a_folder_is_redirected_to_its_own_name(self, linked: pathlib.Path) -> None:
        found = Tick(DocumentRoot(linked), LATER, 0.0).find(b"/sub-link", None)
        assert isinstance(found, Redirect)
        assert found.name.segments == ("sub-link",)

    @pytest.mark.parametrize(
        "path", [b"/out.txt", b"/out", b"/out/", b"/out/secret.txt", b"/self/out.txt", b"/self/out/secret.txt"]
    )
    def test_a_link_outside_is_not_found(self, path: bytes, linked: pathlib.Path) -> None:
        assert Tick(DocumentRoot(linked), LATER, 0.0).find(path, None) == NOT_FOUND

    @pytest.mark.parametrize("path", [b"/broken", b"/broken/", b"/broken/x", b"/loop", b"/loop/", b"/loop/x"])
    @pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
    def test_a_link_nowhere_is_not_found(self, path: bytes, follow_links: bool, linked: pathlib.Path) -> None:
        assert Tick(DocumentRoot(linked, follow_links=follow_links), LATER, 0.0).find(path, None) == NOT_FOUND

    def test_a_link_outside_is_followed_on_demand(self, linked: pathlib.Path) -> None:
        served = DocumentRoot(linked, follow_links=True)
        assert read(served, b"/out.txt") == b"secret"
        assert read(served, b"/out/secret.txt") == b"secret"
        assert isinstance(Tick(served, LATER, 0.0).find(b"/out", None), Redirect)
        assert list(listed(served, b"/out/")) == ["secret.txt"]

    def test_only_links_that_lead_inside_are_listed(self, linked: pathlib.Path) -> None:
        links = {name for name in listed(linked) if (linked / name).is_symlink()}
        assert links == {"link.txt", "link.gz", "sub-link", "self"}

    def test_links_that_lead_anywhere_are_listed_on_demand(self, linked: pathlib.Path) -> None:
        links = {name for name in listed(DocumentRoot(linked, follow_links=True)) if (linked / name).is_symlink()}
        assert links == {"link.txt", "link.gz", "sub-link", "self", "out.txt", "out"}

    def test_a_link_is_listed_as_its_target(self, linked: pathlib.Path) -> None:
        entries = listed(linked)
        assert entries["link.txt"] == entries["hello.txt"]._replace(name="link.txt")
        assert entries["sub-link"] == entries["sub"]._replace(name="sub-link")

    def test_an_index_that_leads_inside_is_shown(self, linked: pathlib.Path) -> None:
        (linked / "index.html").symlink_to("hello.txt")
        assert read(linked, b"/") == b"Hello, socket.\n"

    def test_an_index_that_leads_outside_is_never_shown(self, linked: pathlib.Path) -> None:
        (linked / "index.html").symlink_to("../outside/secret.txt")
        found = Tick(DocumentRoot(linked), LATER, 0.0).find(b"/", None)
        assert found == NOT_FOUND or (isinstance(found, Directory) and list(found.entries) is not None)

    def test_a_link_that_is_changed_leads_to_where_it_leads_now(self, linked: pathlib.Path) -> None:
        served = DocumentRoot(linked)
        assert read(served, b"/link.txt") == b"Hello, socket.\n"
        (linked / "link.txt").unlink()
        (linked / "link.txt").symlink_to("alphabet.txt")
        assert read(served, b"/link.txt") == b"abcdefghijklmnopqrstuvwxyz"
        (linked / "link.txt").unlink()
        (linked / "link.txt").symlink_to("../outside/secret.txt")
        assert Tick(served, LATER, 0.0).find(b"/link.txt", None) == NOT_FOUND


# --- Odd objects ----------------------------------------------------------------------------------


@pytest.fixture
def with_odd_objects(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder, with a pipe without a writer, a socket without a listener, and links to devices."""
    os.mkfifo(folder / "pipe")
    (folder / "pipe-link").symlink_to("pipe")
    # Of a socket's name the system takes no more than about 100 octets.
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
    assert Tick(DocumentRoot(with_odd_objects, follow_links=follow_links), LATER, 0.0).find(path, None) == NOT_FOUND


@needs_posix
@pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
def test_a_device_or_pipe_is_not_listed(follow_links: bool, with_odd_objects: pathlib.Path) -> None:
    served = DocumentRoot(with_odd_objects, follow_links=follow_links)
    assert set(listed(served)) == {"alphabet.txt", "empty.txt", "hello.txt", "large.bin", "sub"}


@needs_posix
def test_a_device_below_the_root_is_not_found() -> None:
    assert Tick(DocumentRoot("/dev"), LATER, 0.0).find(b"/zero", None) == NOT_FOUND


@needs_posix
@pytest.mark.parametrize("suffix", [".br", ".zst", ".gz"])
def test_a_pipe_is_no_sibling(suffix: str, folder: pathlib.Path) -> None:
    os.mkfifo(folder / f"hello.txt{suffix}")
    assert read(folder, b"/hello.txt", b"br, zstd, gzip") == b"Hello, socket.\n"


@needs_posix
def test_a_name_with_a_backslash_is_listed_and_reached(tmp_path: pathlib.Path) -> None:
    """R146: on POSIX it is a character like any other."""
    for name in ("a\\b.txt", "\\", "plain.txt"):
        make(tmp_path / name, name.encode())
    assert set(listed(tmp_path)) == {"a\\b.txt", "\\", "plain.txt"}
    found = Tick(DocumentRoot(tmp_path), LATER, 0.0).find(b"/a%5Cb.txt", None)
    assert isinstance(found, Representation)
    assert found.octets == b"a\\b.txt"


@needs_posix
@pytest.mark.parametrize("name", [b"two words", b"100%", "š".encode(), b"\xff", b"two\nlines", b"<b>&quot;", b"-"])
def test_a_name_that_a_path_can_spell_is_listed(name: bytes, tmp_path: pathlib.Path) -> None:
    try:
        os.close(os.open(os.path.join(os.fsencode(tmp_path), name), os.O_WRONLY | os.O_CREAT))
    except OSError as error:
        pytest.skip(f"this file system has no such name ({error})")
    assert [os.fsencode(entry) for entry in listed(tmp_path)] == [name]


# --- When the system refuses ----------------------------------------------------------------------


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be an ordinary user, without root's permissions, while the context lasts."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def reachable() -> Iterator[pathlib.Path]:
    """A folder that ordinary users reach, with a file in it."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        make(root / "hello.txt", b"Hello")
        yield root
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are something else there")
class TestPermissions:
    """A file that the server may not read is forbidden to its clients."""

    def test_a_file_that_may_not_be_read_is_forbidden(self, reachable: pathlib.Path) -> None:
        (reachable / "hello.txt").chmod(0)
        with without_privileges():
            found = Tick(DocumentRoot(reachable), LATER, 0.0).find(b"/hello.txt", None)
        assert found == Refusal(Status.FORBIDDEN, "the server has no permission to read the file", "RFC 9110 §15.5.4")

    def test_a_kept_file_that_may_no_longer_be_read_is_forbidden(self, reachable: pathlib.Path) -> None:
        served = DocumentRoot(reachable)
        with without_privileges():
            assert read(served, b"/hello.txt") == b"Hello"
        until_the_clock_ticks(reachable / "hello.txt", functools.partial((reachable / "hello.txt").chmod, 0))
        with without_privileges():
            found = Tick(served, LATER, 0.0).find(b"/hello.txt", None)
        assert isinstance(found, Refusal)
        assert found.status is Status.FORBIDDEN

    @pytest.mark.parametrize("path", [b"/sub/hello.txt", b"/sub/", b"/sub/missing.txt"])
    def test_a_folder_that_may_not_be_entered_is_forbidden(self, path: bytes, reachable: pathlib.Path) -> None:
        make(reachable / "sub" / "hello.txt", b"Hello")
        (reachable / "sub").chmod(0)
        with without_privileges():
            found = Tick(DocumentRoot(reachable), LATER, 0.0).find(path, None)
        assert isinstance(found, Refusal)
        assert found.status is Status.FORBIDDEN

    @pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="this system takes reading for passing through")
    def test_a_folder_that_may_be_entered_but_not_read_serves_its_files(self, reachable: pathlib.Path) -> None:
        make(reachable / "sub" / "deep" / "hello.txt", b"Hello")
        (reachable / "sub").chmod(0o111)
        with without_privileges():
            found = Tick(DocumentRoot(reachable), LATER, 0.0).find(b"/sub/deep/hello.txt", None)
            redirected = Tick(DocumentRoot(reachable), LATER, 0.0).find(b"/sub", None)
            forbidden = Tick(DocumentRoot(reachable), LATER, 0.0).find(b"/sub/", None)
        assert isinstance(found, Representation)
        assert isinstance(redirected, Redirect)
        assert isinstance(forbidden, Refusal)
        assert forbidden.status is Status.FORBIDDEN

    def test_a_sibling_that_may_not_be_read_is_not_used(self, reachable: pathlib.Path) -> None:
        make(reachable / "hello.txt.gz", b"compressed").chmod(0)
        with without_privileges():
            found = Tick(DocumentRoot(reachable), LATER, 0.0).find(b"/hello.txt", b"gzip")
        assert isinstance(found, Representation), found
        assert (found.octets, found.coding) == (b"Hello", None)

    def test_the_answer_does_not_reveal_what_exists_outside(self, reachable: pathlib.Path) -> None:
        """R144: a forbidden file there looks like a missing one."""
        make(reachable.parent / "outside" / "private" / "file", b"").parent.chmod(0o700)
        (reachable / "link").symlink_to(reachable.parent / "outside")
        with without_privileges():
            served = DocumentRoot(reachable)
            forbidden = Tick(served, LATER, 0.0).find(b"/link/private/file", None)
            missing = Tick(served, LATER, 0.0).find(b"/link/missing/file", None)
        assert forbidden == missing == NOT_FOUND

    def test_a_folder_that_may_not_be_read_is_not_served(self, reachable: pathlib.Path) -> None:
        reachable.chmod(0)
        with without_privileges(), pytest.raises(PermissionError):
            DocumentRoot(reachable)


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Let only so many more descriptors be opened while the context lasts, and none of them stay open."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    assert lowest == spare, "a descriptor was left open"


EXHAUSTED = Refusal(
    Status.SERVICE_UNAVAILABLE, "the file can't be opened for now (Too many open files)", "RFC 9110 §15.6.4"
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
        found = Tick(served, LATER, 0.0).find(path, None)
    assert found == EXHAUSTED
    again = Tick(served, LATER, 0.0).find(path, None)
    assert isinstance(again, Representation | Directory)
    if isinstance(again, Representation):
        again.close()
    else:
        assert list(again.entries)


@needs_posix
def test_without_a_descriptor_a_sibling_is_not_passed_over(folder: pathlib.Path) -> None:
    """Which form a client gets does not depend on how busy the server is."""
    make(folder / "hello.txt.gz", b"compressed")
    served = DocumentRoot(folder)
    with descriptors_left(0):
        assert Tick(served, LATER, 0.0).find(b"/hello.txt", b"gzip") == EXHAUSTED


@needs_posix
def test_a_kept_file_takes_no_descriptor(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    kept = represent(served, b"/hello.txt")
    with descriptors_left(0):
        found = Tick(served, LATER, 0.0).find(b"/hello.txt", None)
    assert found is kept


@each_row(
    ("number", "status"),
    [
        pytest.param(errno.ENOENT, Status.NOT_FOUND, id="ENOENT: there is nothing"),
        pytest.param(errno.ENOTDIR, Status.NOT_FOUND, id="ENOTDIR: a file stands where a folder should"),
        pytest.param(errno.ELOOP, Status.NOT_FOUND, id="ELOOP: links lead in a circle"),
        pytest.param(errno.ENAMETOOLONG, Status.NOT_FOUND, id="ENAMETOOLONG: no name is that long"),
        pytest.param(errno.EINVAL, Status.NOT_FOUND, id="EINVAL: no name is written like that"),
        pytest.param(errno.ENXIO, Status.NOT_FOUND, id="ENXIO: a socket"),
        pytest.param(errno.ESTALE, Status.NOT_FOUND, id="ESTALE: gone from the network's file system"),
        pytest.param(errno.EISDIR, Status.NOT_FOUND, id="EISDIR: a folder stands where a file stood"),
        pytest.param(errno.EACCES, Status.FORBIDDEN, id="EACCES: no permission"),
        pytest.param(errno.EPERM, Status.FORBIDDEN, id="EPERM: no permission, whoever asks"),
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


# --- Small and large files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "length",
    [
        pytest.param(0, id="no octet"),
        pytest.param(1, id="one octet"),
        pytest.param(SMALL_FILE, id="the longest small file"),
    ],
)
def test_a_small_file_is_represented_by_its_octets(length: int, tmp_path: pathlib.Path) -> None:
    octets = bytes(n % 251 for n in range(length))
    make(tmp_path / "file", octets)
    found = represent(tmp_path, b"/file")
    assert (found.octets, found.length, found.file) == (octets, length, None)
    assert found.part(0, length) == octets
    assert found.part(length // 2, 10) == octets[length // 2 : length // 2 + 10]
    assert found.whole.content == (octets,)
    found.close()


def test_a_large_file_is_represented_by_the_open_file(tmp_path: pathlib.Path) -> None:
    octets = bytes(n % 251 for n in range(SMALL_FILE + 1))
    make(tmp_path / "file", octets)
    with closing(represent(tmp_path, b"/file")) as found:
        assert found.file is not None
        assert (found.octets, found.length) == (b"", SMALL_FILE + 1)
        assert found.part(7, 10) == FileSlice(found.file, 7, 10)
        assert found.whole.content == (FileSlice(found.file, 0, SMALL_FILE + 1),)
        assert found.whole.file is found.file
        assert found.file.readall() == octets
    assert found.file.closed


def test_a_file_of_more_than_4_gib_is_represented(tmp_path: pathlib.Path) -> None:
    length = 2**32 + 5
    make(tmp_path / "sparse", b"")
    os.truncate(tmp_path / "sparse", length)
    with (tmp_path / "sparse").open("r+b") as file:
        file.seek(2**32)
        file.write(b"after")
    with closing(represent(tmp_path, b"/sparse")) as found:
        assert found.file is not None
        assert found.length == length
        assert found.part(2**32, 5) == FileSlice(found.file, 2**32, 5)
        found.file.seek(2**32)
        assert found.file.read() == b"after"


def test_a_file_that_is_cut_short_while_it_is_read_gives_the_rest(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "file", b"Hello")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert document_root._read(descriptor, 10) == b"Hello"
    finally:
        os.close(descriptor)


def test_a_file_that_grows_while_it_is_read_gives_its_old_content(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "file", b"Hello, socket.")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert document_root._read(descriptor, 5) == b"Hello"
    finally:
        os.close(descriptor)


# --- The fields -----------------------------------------------------------------------------------


def test_a_representation_is_described_by_its_fields(folder: pathlib.Path) -> None:
    found = represent(folder, b"/hello.txt")
    assert found.fields == (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Accept-Ranges", "bytes"),
        ("ETag", found.validators.etag.decode()),
        ("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept-Encoding"),
    )
    assert found.whole.status is Status.OK
    assert found.whole.fields == found.fields


def test_an_encoded_representation_names_its_coding(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO))
    found = represent(folder, b"/hello.txt", b"gzip")
    assert found.fields[:2] == (("Content-Type", "text/plain; charset=utf-8"), ("Content-Encoding", "gzip"))


def test_a_304_repeats_the_fields_for_caches(folder: pathlib.Path) -> None:
    # R125, RFC 9110 §15.4.5.
    names = [name for name, _ in represent(folder, b"/hello.txt").caching_fields]
    assert names == ["ETag", "Last-Modified", "Cache-Control", "Vary"]


def test_the_cache_control_is_the_one_that_was_asked_for(folder: pathlib.Path) -> None:
    found = represent(DocumentRoot(folder, cache_control="max-age=60"), b"/hello.txt")
    assert ("Cache-Control", "max-age=60") in found.caching_fields


@pytest.mark.parametrize("name", ["hello.txt", "large.bin"])
@pytest.mark.parametrize(
    ("modified", "now", "expected"),
    [
        pytest.param(LONG_AGO + 0.75, LATER, LONG_AGO, id="seconds are whole"),
        pytest.param(LONG_AGO, LONG_AGO - 10.5, LONG_AGO - 11, id="R108: never later than now"),
        pytest.param(0, LATER, 0, id="the first second of 1970"),
        pytest.param(-1, LATER, None, id="before 1970 there is none"),
    ],
)
def test_last_modified_is_the_time_of_the_file(
    name: str, modified: float, now: float, expected: int | None, folder: pathlib.Path
) -> None:
    os.utime(folder / name, (modified, modified))
    with closing(represent(folder, b"/" + name.encode(), None, now)) as found:
        assert found.validators.last_modified == expected
        assert ("Last-Modified" in dict(found.caching_fields)) == (expected is not None)


# --- Entity-tags ----------------------------------------------------------------------------------


def test_small_files_with_equal_octets_have_equal_entity_tags(folder: pathlib.Path) -> None:
    make(folder / "other.txt", b"Hello, socket.\n", modified=LONG_AGO + 1000)
    assert etag_of(folder, b"/other.txt") == etag_of(folder, b"/hello.txt")


def test_small_files_with_other_octets_have_other_entity_tags(folder: pathlib.Path) -> None:
    make(folder / "other.txt", b"Hello, socket!\n")
    assert etag_of(folder, b"/other.txt") != etag_of(folder, b"/hello.txt")


def test_the_entity_tag_of_a_small_file_is_strong_however_fresh_it_is(folder: pathlib.Path) -> None:
    etag = etag_of(folder, b"/hello.txt", now=(folder / "hello.txt").stat().st_ctime)
    assert etag == etag_of(folder, b"/hello.txt")
    assert etag.startswith(b'"')
    assert etag.endswith(b'"')


def test_each_coding_has_an_entity_tag_of_its_own(folder: pathlib.Path) -> None:
    # RFC 9110 §8.8.3.3: representations that differ only in their coding are told apart.
    make(folder / "hello.txt.gz", gzipped(HELLO))
    make(folder / "hello.txt.br", FORMS[".br"](HELLO))
    served = DocumentRoot(folder)
    etags = {represent(served, b"/hello.txt", coding).validators.etag for coding in (None, b"gzip", b"br")}
    assert len(etags) == 3


def test_the_entity_tag_of_a_large_file_is_stable(folder: pathlib.Path) -> None:
    assert etag_of(folder, b"/large.bin") == etag_of(DocumentRoot(folder), b"/large.bin")


def rewrite(file: pathlib.Path, octets: bytes) -> None:
    file.write_bytes(octets)


def rewrite_and_set_back(file: pathlib.Path, octets: bytes) -> None:
    make(file, octets)


def replace(file: pathlib.Path, octets: bytes) -> None:
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


@changes
def test_a_large_file_that_changes_gets_another_entity_tag(change: Change, folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    before = etag_of(served, b"/large.bin")
    octets = (folder / "large.bin").read_bytes()[::-1]
    until_the_clock_ticks(folder / "large.bin", functools.partial(change, folder / "large.bin", octets))
    assert etag_of(served, b"/large.bin") != before


# --- What is kept in memory -----------------------------------------------------------------------


def test_a_small_file_is_kept_once_it_is_read(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt") is represent(served, b"/%68ello.txt")
    assert represent(served, b"/sub/") is represent(served, b"/sub/index.html")


def test_a_large_file_is_opened_each_time(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    with (
        closing(represent(served, b"/large.bin")) as first,
        closing(represent(served, b"/large.bin")) as second,
    ):
        assert first.file is not None
        assert second.file is not None
        assert first.file.fileno() != second.file.fileno()


@changes
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"HELLO, SOCKET.\n", id="in its length"),
        pytest.param(b"Hello\n", id="shortened"),
        pytest.param(b"Hello, sockets.\n", id="lengthened"),
        pytest.param(b"", id="emptied"),
        pytest.param(bytes(SMALL_FILE + 1), id="grown large"),
    ],
)
def test_a_kept_file_that_changes_is_read_anew(change: Change, octets: bytes, folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"
    until_the_clock_ticks(folder / "hello.txt", functools.partial(change, folder / "hello.txt", octets))
    assert read(served, b"/hello.txt") == octets


def test_a_kept_file_that_is_deleted_is_not_found(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"
    (folder / "hello.txt").unlink()
    assert Tick(served, LATER, 0.0).find(b"/hello.txt", None) == NOT_FOUND


def test_a_kept_file_whose_folder_is_deleted_is_not_found(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/sub/index.html") == b"<!DOCTYPE html><title>sub</title>\n"
    shutil.rmtree(folder / "sub")
    for path in (b"/sub/index.html", b"/sub/", b"/sub"):
        assert Tick(served, LATER, 0.0).find(path, None) == NOT_FOUND


def test_a_kept_file_that_becomes_a_folder_is_redirected(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    assert read(served, b"/hello.txt") == b"Hello, socket.\n"
    (folder / "hello.txt").unlink()
    (folder / "hello.txt").mkdir()
    assert isinstance(Tick(served, LATER, 0.0).find(b"/hello.txt", None), Redirect)


@pytest.mark.parametrize(
    ("seconds", "is_kept"),
    [
        pytest.param(0.0, False, id="changed just now"),
        pytest.param(-60.0, False, id="changed in the future, by a clock that is behind"),
        pytest.param(1.9, False, id="changed within what the coarsest file system tells apart"),
        pytest.param(2.1, True, id="changed longer ago"),
    ],
)
def test_a_file_that_could_change_and_keep_its_times_is_not_kept(
    seconds: float, is_kept: bool, folder: pathlib.Path
) -> None:
    # Its time of modification is long ago: the time of its last change of any kind counts.
    now = (folder / "hello.txt").stat().st_ctime + seconds
    served = DocumentRoot(folder)
    first = represent(served, b"/hello.txt", None, now)
    assert (represent(served, b"/hello.txt", None, now) is first) is is_kept


def test_a_file_modified_in_the_future_is_not_kept(folder: pathlib.Path) -> None:
    os.utime(folder / "hello.txt", (LATER, LATER))
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt") is not represent(served, b"/hello.txt")


def test_the_cache_takes_no_more_memory_than_allowed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_root, "_CACHE_OCTETS", 3 * (2001 + document_root._CACHED_OVERHEAD))
    served = DocumentRoot(tmp_path)
    for name in "abcd":
        make(tmp_path / name, name.encode() * 1000)
    first = [represent(served, b"/" + name) for name in (b"a", b"b", b"c", b"d")]
    second = [represent(served, b"/" + name) for name in (b"d", b"c", b"b", b"a")]
    assert [again is before for again, before in zip(second[::-1], first, strict=True)] == [False, True, True, True]


# --- Siblings in content codings ------------------------------------------------------------------


@pytest.fixture
def with_siblings(folder: pathlib.Path) -> pathlib.Path:
    """The folder, with hello.txt in each content coding."""
    for suffix, form in FORMS.items():
        make(folder / f"hello.txt{suffix}", form(HELLO))
    return folder


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        pytest.param(None, None, id="no field: no coding was asked for"),
        pytest.param(b"", None, id="an empty field: none is wanted"),
        pytest.param(b"gzip", "gzip", id="gzip"),
        pytest.param(b"zstd", "zstd", id="zstd"),
        pytest.param(b"br", "br", id="br"),
        pytest.param(b"GZip", "gzip", id="codings ignore case"),
        pytest.param(b"x-gzip", "gzip", id="x-gzip is gzip (RFC 9110 §8.4.1.3)"),
        pytest.param(b"gzip, zstd, br", "br", id="among equals the server chooses"),
        pytest.param(b"gzip, br;q=0.5, zstd;q=0.7", "gzip", id="the greatest weight"),
        pytest.param(b"gzip;q=0.2, zstd;q=0.3", "zstd", id="weights below those of others"),
        pytest.param(b"br;q=0, gzip;q=0.001", "gzip", id="weight 0: not acceptable"),
        pytest.param(b"*", "br", id="any coding"),
        pytest.param(b"*, br;q=0", "zstd", id="any coding but one"),
        pytest.param(b"*;q=0", None, id="no coding"),
        pytest.param(b"identity", None, id="unencoded"),
        pytest.param(b"identity, gzip;q=0.5", None, id="better unencoded"),
        pytest.param(b"deflate, compress", None, id="codings that are not offered"),
        pytest.param(b"gzip;q=2", None, id="a weight that is none"),
    ],
)
def test_the_sibling_is_sent_that_the_client_prefers(
    accept_encoding: bytes | None, coding: str | None, with_siblings: pathlib.Path
) -> None:
    # R111, RFC 9110 §12.5.3.
    found = represent(with_siblings, b"/hello.txt", accept_encoding)
    forms = {None: HELLO, "br": FORMS[".br"](HELLO), "zstd": FORMS[".zst"](HELLO), "gzip": FORMS[".gz"](HELLO)}
    assert (found.coding, found.octets) == (coding, forms[coding])
    assert found.media_type == "text/plain; charset=utf-8", "the type is that of the file itself"
    assert found.vary == "Accept-Encoding"


def test_the_next_best_is_sent_where_the_best_is_missing(with_siblings: pathlib.Path) -> None:
    (with_siblings / "hello.txt.br").unlink()
    assert represent(with_siblings, b"/hello.txt", b"br, gzip;q=0.5").coding == "gzip"


def test_an_index_has_siblings_too(folder: pathlib.Path) -> None:
    page = gzipped(b"<!DOCTYPE html><title>sub</title>\n")
    make(folder / "sub" / "index.html.gz", page)
    found = represent(folder, b"/sub/", b"gzip")
    assert (found.coding, found.octets) == ("gzip", page)


@pytest.mark.parametrize(
    ("seconds", "coding"),
    [
        pytest.param(0, "gzip", id="as old as the file"),
        pytest.param(100, "gzip", id="younger"),
        pytest.param(-2, "gzip", id="older by what copying may take"),
        pytest.param(-3, None, id="older: made from another version"),
    ],
)
def test_a_sibling_older_than_its_file_is_not_used(seconds: int, coding: str | None, folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO), modified=LONG_AGO + seconds)
    assert represent(folder, b"/hello.txt", b"gzip").coding == coding


def test_a_kept_sibling_is_not_used_once_its_file_changes(with_siblings: pathlib.Path) -> None:
    served = DocumentRoot(with_siblings)
    assert read(served, b"/hello.txt", b"gzip") == gzipped(HELLO)
    make(with_siblings / "hello.txt", b"changed", modified=LONG_AGO + 100)
    assert read(served, b"/hello.txt", b"gzip") == b"changed"


def test_a_sibling_of_no_file_is_not_sent_in_its_place(folder: pathlib.Path) -> None:
    make(folder / "lonely.txt.gz", b"compressed")
    assert Tick(DocumentRoot(folder), LATER, 0.0).find(b"/lonely.txt", b"gzip") == NOT_FOUND


def test_a_sibling_is_a_file_of_its_own(with_siblings: pathlib.Path) -> None:
    served = DocumentRoot(with_siblings)
    assert represent(served, b"/hello.txt", b"gzip").coding == "gzip"
    found = represent(served, b"/hello.txt.gz", b"gzip")
    assert (found.coding, found.media_type, found.octets) == (None, "application/gzip", gzipped(HELLO))
    assert "Content-Encoding" not in dict(found.fields)


def test_a_large_sibling_is_opened(folder: pathlib.Path) -> None:
    large = zstandard((folder / "large.bin").read_bytes())
    make(folder / "large.bin.zst", large)
    with closing(represent(folder, b"/large.bin", b"zstd")) as found:
        assert found.file is not None
        assert (found.coding, found.length) == ("zstd", len(large))
        assert found.media_type == "application/octet-stream"


def test_a_folder_is_no_sibling(folder: pathlib.Path) -> None:
    (folder / "hello.txt.gz").mkdir()
    assert represent(folder, b"/hello.txt", b"gzip").coding is None


@needs_posix
def test_a_sibling_that_leads_inside_is_used(folder: pathlib.Path) -> None:
    make(folder / "packed", gzipped(HELLO))
    (folder / "hello.txt.gz").symlink_to("packed")
    assert represent(folder, b"/hello.txt", b"gzip").octets == gzipped(HELLO)


@needs_posix
def test_a_sibling_that_leads_outside_is_not_used(folder: pathlib.Path) -> None:
    # R144: the link is not followed; the file itself is there all the same.
    make(folder.parent / "outside.gz", gzipped(HELLO))
    (folder / "hello.txt.gz").symlink_to("../outside.gz")
    found = represent(folder, b"/hello.txt", b"gzip")
    assert (found.coding, found.octets) == (None, b"Hello, socket.\n")


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="empty"),
        pytest.param(gzipped(HELLO)[:-1], id="cut"),
        pytest.param(gzipped(b"HELLO, SOCKET.\n"), id="of another file of the same length"),
        pytest.param(HELLO, id="not compressed"),
    ],
)
def test_a_sibling_that_is_not_proved_is_not_used(octets: bytes, folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", octets)
    served = DocumentRoot(folder)
    for _ in range(2):
        found = represent(served, b"/hello.txt", b"gzip")
        assert (found.coding, found.octets, found.vary) == (None, HELLO, "Accept-Encoding")


def test_a_sibling_that_is_mended_is_used(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO)[:-1])
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt", b"gzip").coding is None
    make(folder / "hello.txt.gz", gzipped(HELLO))
    assert represent(served, b"/hello.txt", b"gzip").coding == "gzip"


def test_a_sibling_is_not_proved_twice_within_a_second(folder: pathlib.Path) -> None:
    """A sibling is looked up anew after a change of its state, or after a second."""
    large = (folder / "large.bin").read_bytes()
    make(folder / "large.bin.gz", gzipped(bytes(len(large))))
    make(folder / "large.bin.zst", b"foreign")
    served = DocumentRoot(folder)
    with closing(represent(served, b"/large.bin", b"gzip, zstd")) as found:
        assert found.coding == "gzip"
    known = {key[1]: served._proofs.get(key, entry[0], 0.5) for key, entry in served._proofs._cache.items()}
    assert known == {"gzip": "application/octet-stream", "zstd": ""}
    with closing(represent(served, b"/large.bin", b"gzip, zstd", monotonic=0.5)) as found:
        assert found.coding == "gzip"


def test_a_sibling_that_could_change_unseen_is_not_cached(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO))
    now = (folder / "hello.txt.gz").stat().st_ctime + 0.5
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt", b"gzip", now).coding == "gzip"
    assert served._proofs._cache == {}


def test_a_sibling_written_just_now_is_not_used(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO), modified=LATER - 1.9)
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt", b"gzip").coding is None
    assert represent(served, b"/hello.txt", b"gzip", LATER + 0.2).coding == "gzip"


def test_a_sibling_that_changes_once_it_is_proved_is_not_used(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO))
    served = DocumentRoot(folder)
    prove = served._prove

    def prove_and_change(*arguments: Any) -> str:
        proved = prove(*arguments)
        make(folder / "new", b"changed").replace(folder / "hello.txt.gz")
        return proved

    served._prove = prove_and_change  # type: ignore[assignment, method-assign]
    assert represent(served, b"/hello.txt", b"gzip").octets == HELLO


def test_a_file_replaced_by_an_older_one_is_not_represented_by_its_kept_sibling(with_siblings: pathlib.Path) -> None:
    served = DocumentRoot(with_siblings)
    assert represent(served, b"/hello.txt", b"gzip").coding == "gzip"
    make(with_siblings / "new", b"HELLO, SOCKET.\n", modified=LONG_AGO - 100).replace(with_siblings / "hello.txt")
    assert read(served, b"/hello.txt", b"gzip") == b"HELLO, SOCKET.\n"


def test_siblings_can_be_turned_off(with_siblings: pathlib.Path) -> None:
    found = represent(DocumentRoot(with_siblings, siblings=False), b"/hello.txt", b"br, gzip")
    assert (found.coding, found.octets, found.vary) == (None, HELLO, None)
    assert "Vary" not in dict(found.fields)
    assert "Vary" not in dict(found.caching_fields)


def test_a_sibling_has_the_charset_of_its_file(folder: pathlib.Path) -> None:
    page = b"<meta charset=iso-8859-1>Gr\xf6\xdfe"
    make(folder / "a.html", page)
    make(folder / "a.html.gz", gzipped(page))
    assert [represent(folder, b"/a.html", coding).media_type for coding in (None, b"gzip")] == ["text/html"] * 2


# --- What was read of a file ----------------------------------------------------------------------


@pytest.mark.parametrize("length", [100, SMALL_FILE + 100], ids=["a small file", "a large file"])
@pytest.mark.parametrize(
    ("name", "start", "expected"),
    [
        pytest.param("LICENSE", b"Permission is granted", "text/plain; charset=utf-8", id="text of an unknown name"),
        pytest.param("core", b"\x7fELF\x02\x01\x01\x00", "application/octet-stream", id="binary of an unknown name"),
        pytest.param("a.html", b"<meta charset=iso-8859-1>", "text/html", id="a page that declares its charset"),
        pytest.param("a.css", b"/* \xe9 */", "text/css", id="a style sheet in Latin-1"),
        pytest.param("a.js", "/* é */".encode(), "text/javascript; charset=utf-8", id="a script in UTF-8"),
        pytest.param("a.png", b"\x89PNG", "image/png", id="a picture, which is not looked at"),
    ],
)
def test_the_type_is_that_of_the_read_content(
    name: str, start: bytes, expected: str, length: int, tmp_path: pathlib.Path
) -> None:
    octets = start.ljust(length, b"x")
    make(tmp_path / name, octets)
    with closing(represent(tmp_path, b"/" + name.encode())) as found:
        assert found.media_type == expected
        assert (found.octets if found.file is None else found.file.readall()) == octets


def test_a_large_file_may_be_cut_within_a_character_where_the_look_at_it_ends(tmp_path: pathlib.Path) -> None:
    for lead in range(4):
        make(tmp_path / "a.txt", b"x" * lead + "😀".encode() * SMALL_FILE)
        with closing(represent(tmp_path, b"/a.txt")) as found:
            assert found.media_type == "text/plain; charset=utf-8"


# --- What changes unseen --------------------------------------------------------------------------


def test_a_small_file_changed_through_memory_is_read_again_after_a_second(folder: pathlib.Path) -> None:
    """The first write to a mapped page changes the file's times, later ones do not."""
    file = folder / "hello.txt"
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        mapped[:5] = b"Hallo"
        os.utime(file, (LONG_AGO, LONG_AGO))
        served = DocumentRoot(folder)
        before = represent(served, b"/hello.txt")
        mapped[:5] = b"HELLO"
        after = represent(served, b"/hello.txt", monotonic=1.0)
    assert (before.octets, after.octets) == (b"Hallo, socket.\n", b"HELLO, socket.\n")
    assert before.validators.etag != after.validators.etag


def unchanged(file: pathlib.Path, status: os.stat_result) -> Callable[[str], os.stat_result]:
    """Return a stat() that sees *file* as it was."""
    return lambda path: status if path == str(file) else os.stat(path)


def test_a_file_read_again_is_the_same_representation_if_it_is_unchanged(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    first = represent(served, b"/hello.txt")
    assert represent(served, b"/hello.txt", monotonic=1.0) is first
    assert represent(served, b"/hello.txt", monotonic=1.9) is first


def test_a_file_that_changes_and_keeps_all_its_times_is_read_again_after_a_second(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on exFAT, rewritten in place in its length and within the same two seconds."""
    status = (folder / "hello.txt").stat()
    monkeypatch.setattr(os, "fstat", lambda descriptor: status)
    served = DocumentRoot(folder)
    served._stat = unchanged(folder / "hello.txt", status)
    first = represent(served, b"/hello.txt")
    (folder / "hello.txt").write_bytes(b"HELLO, SOCKET.\n")
    assert represent(served, b"/hello.txt", monotonic=0.9) is first
    assert represent(served, b"/hello.txt", monotonic=1.0).octets == b"HELLO, SOCKET.\n"


# --- A moment -------------------------------------------------------------------------------------


def test_a_look_up_holds_for_one_tick(folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    tick = Tick(served, LATER, 0.0)
    found = tick.find(b"/hello.txt", None)
    assert isinstance(found, Representation)
    (folder / "new.txt").write_bytes(b"changed")
    (folder / "new.txt").replace(folder / "hello.txt")

    assert tick.find(b"/hello.txt", None) is found
    changed = Tick(served, LATER, 0.0).find(b"/hello.txt", None)
    assert isinstance(changed, Representation)
    assert changed.octets == b"changed"


def test_an_open_file_is_found_anew_each_time(folder: pathlib.Path) -> None:
    """It has one reader, who closes it."""
    tick = Tick(DocumentRoot(folder), LATER, 0.0)
    first, second = tick.find(b"/large.bin", None), tick.find(b"/large.bin", None)
    assert isinstance(first, Representation)
    assert isinstance(second, Representation)

    with closing(first), closing(second):
        assert first.file is not second.file


def test_a_moment_tells_codings_apart(folder: pathlib.Path) -> None:
    (folder / "hello.txt.gz").write_bytes(gzip.compress(b"Hello, socket.\n"))
    tick = Tick(DocumentRoot(folder), LATER, 0.0)

    found = [tick.find(b"/hello.txt", accepted) for accepted in (b"gzip", None, b"br", b"gzip")]

    assert [each.coding for each in found if isinstance(each, Representation)] == ["gzip", None, None, "gzip"]


def test_a_folder_is_looked_at_once_in_a_moment_and_again_in_the_next(folder: pathlib.Path) -> None:
    """Whether a symlink leads to it now: its files are kept, and would be given unread."""
    served = DocumentRoot(folder)
    paths = [b"/sub/a.txt", b"/sub/b.txt"]
    for name in ("a.txt", "b.txt"):
        (folder / "sub" / name).write_bytes(b"inside")
        os.utime(folder / "sub" / name, (LONG_AGO, LONG_AGO))
    for _ in range(2):
        tick = Tick(served, LATER, 0.0)
        assert [found.octets for path in paths if isinstance(found := tick.find(path, None), Representation)] == [
            b"inside",
            b"inside",
        ]

    if os.name != "nt":
        (folder / "sub").rename(folder.parent / "outside")
        (folder / "sub").symlink_to(folder.parent / "outside")
        tick = Tick(served, LATER, 0.0)
        assert [tick.find(path, None) for path in paths] == [NOT_FOUND, NOT_FOUND]
