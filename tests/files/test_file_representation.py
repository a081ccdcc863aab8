"""Representations of files: their content, header fields, media types and entity-tags."""

import functools
import os
import pathlib
from contextlib import closing

import pytest

from httpsock.files.document_root import SMALL_FILE, DocumentRoot
from httpsock.files.file_system import read_whole
from httpsock.http.messages import FileSlice, Status
from tests.files.lookup import LATER, Change, changes, etag_of, make, represent, until_the_clock_ticks
from tests.support.folder import HELLO, LONG_AGO
from tests.support.siblings import FORMS, gzipped

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


def test_a_file_truncated_while_it_is_read_gives_its_remaining_octets(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "file", b"Hello")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert read_whole(descriptor, 10) == b"Hello"
    finally:
        os.close(descriptor)


def test_a_file_that_grows_while_it_is_read_gives_its_old_content(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "file", b"Hello, socket.")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert read_whole(descriptor, 5) == b"Hello"
    finally:
        os.close(descriptor)


# --- The fields -----------------------------------------------------------------------------------


def test_a_representation_has_its_fields(folder: pathlib.Path) -> None:
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


def test_the_configured_cache_control_is_sent(folder: pathlib.Path) -> None:
    found = represent(DocumentRoot(folder, cache_control="max-age=60"), b"/hello.txt")
    assert ("Cache-Control", "max-age=60") in found.caching_fields


@pytest.mark.parametrize("name", ["hello.txt", "large.bin"])
@pytest.mark.parametrize(
    ("modified", "now", "expected"),
    [
        pytest.param(LONG_AGO + 0.75, LATER, LONG_AGO, id="seconds are whole"),
        pytest.param(
            LONG_AGO, LONG_AGO - 10.5, LONG_AGO - 11, id="R108: a future time becomes the time of the response"
        ),
        pytest.param(0, LATER, 0, id="the first second of 1970"),
        pytest.param(-1, LATER, None, id="before 1970 the field is left out"),
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


def test_small_files_with_different_octets_have_different_entity_tags(folder: pathlib.Path) -> None:
    make(folder / "other.txt", b"Hello, socket!\n")
    assert etag_of(folder, b"/other.txt") != etag_of(folder, b"/hello.txt")


def test_the_entity_tag_of_a_small_file_is_strong_even_just_after_a_change(folder: pathlib.Path) -> None:
    etag = etag_of(folder, b"/hello.txt", now=(folder / "hello.txt").stat().st_ctime)
    assert etag == etag_of(folder, b"/hello.txt")
    assert etag.startswith(b'"')
    assert etag.endswith(b'"')


def test_each_coding_has_its_own_entity_tag(folder: pathlib.Path) -> None:
    # RFC 9110 §8.8.3.3: representations that differ only in their coding have different entity-tags.
    make(folder / "hello.txt.gz", gzipped(HELLO))
    make(folder / "hello.txt.br", FORMS[".br"](HELLO))
    served = DocumentRoot(folder)
    etags = {represent(served, b"/hello.txt", coding).validators.etag for coding in (None, b"gzip", b"br")}
    assert len(etags) == 3


def test_the_entity_tag_of_a_large_file_is_stable(folder: pathlib.Path) -> None:
    assert etag_of(folder, b"/large.bin") == etag_of(DocumentRoot(folder), b"/large.bin")


@changes
def test_a_large_file_that_changes_gets_another_entity_tag(change: Change, folder: pathlib.Path) -> None:
    served = DocumentRoot(folder)
    before = etag_of(served, b"/large.bin")
    octets = (folder / "large.bin").read_bytes()[::-1]
    until_the_clock_ticks(folder / "large.bin", functools.partial(change, folder / "large.bin", octets))
    assert etag_of(served, b"/large.bin") != before


# --- Types by content -----------------------------------------------------------------------------


@pytest.mark.parametrize("length", [100, SMALL_FILE + 100], ids=["a small file", "a large file"])
@pytest.mark.parametrize(
    ("name", "start", "expected"),
    [
        pytest.param("LICENSE", b"Permission is granted", "text/plain; charset=utf-8", id="text of an unknown name"),
        pytest.param("core", b"\x7fELF\x02\x01\x01\x00", "application/octet-stream", id="binary of an unknown name"),
        pytest.param("a.html", b"<meta charset=iso-8859-1>", "text/html", id="a page that declares its charset"),
        pytest.param("a.css", b"/* \xe9 */", "text/css", id="a style sheet in Latin-1"),
        pytest.param("a.js", "/* é */".encode(), "text/javascript; charset=utf-8", id="a script in UTF-8"),
        pytest.param("a.png", b"\x89PNG", "image/png", id="a picture, whose content is not examined"),
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


def test_the_examined_start_of_a_large_file_may_end_within_a_character(tmp_path: pathlib.Path) -> None:
    for lead in range(4):
        make(tmp_path / "a.txt", b"x" * lead + "😀".encode() * SMALL_FILE)
        with closing(represent(tmp_path, b"/a.txt")) as found:
            assert found.media_type == "text/plain; charset=utf-8"
