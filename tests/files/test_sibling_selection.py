"""Compressed siblings (hello.txt.gz for hello.txt): which sibling the server sends."""

import pathlib
from contextlib import closing
from typing import Any

import pytest

from httpsock.files.document_root import DocumentRoot
from httpsock.files.paths import NOT_FOUND
from httpsock.http.handler import Tick
from tests.files.lookup import LATER, make, needs_posix, read, represent
from tests.support.folder import HELLO, LONG_AGO
from tests.support.siblings import FORMS, gzipped, zstandard


@pytest.fixture
def with_siblings(folder: pathlib.Path) -> pathlib.Path:
    """Add a compressed sibling of hello.txt for each content coding."""
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
        pytest.param(b"gzip;q=2", None, id="an invalid weight"),
    ],
)
def test_the_client_gets_the_sibling_that_it_prefers(
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


def test_an_index_may_have_siblings(folder: pathlib.Path) -> None:
    page = gzipped(b"<!DOCTYPE html><title>sub</title>\n")
    make(folder / "sub" / "index.html.gz", page)
    found = represent(folder, b"/sub/", b"gzip")
    assert (found.coding, found.octets) == ("gzip", page)


@pytest.mark.parametrize(
    ("seconds", "coding"),
    [
        pytest.param(0, "gzip", id="the same age as the file"),
        pytest.param(100, "gzip", id="newer than the file"),
        pytest.param(-2, "gzip", id="two seconds older, as by copying"),
        pytest.param(-3, None, id="older: made from another version"),
    ],
)
def test_a_sibling_older_than_its_file_is_not_used(seconds: int, coding: str | None, folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO), modified=LONG_AGO + seconds)
    assert represent(folder, b"/hello.txt", b"gzip").coding == coding


def test_a_cached_sibling_is_not_used_once_its_file_changes(with_siblings: pathlib.Path) -> None:
    served = DocumentRoot(with_siblings)
    assert read(served, b"/hello.txt", b"gzip") == gzipped(HELLO)
    make(with_siblings / "hello.txt", b"changed", modified=LONG_AGO + 100)
    assert read(served, b"/hello.txt", b"gzip") == b"changed"


def test_a_sibling_without_its_file_is_not_sent(folder: pathlib.Path) -> None:
    make(folder / "lonely.txt.gz", b"compressed")
    assert DocumentRoot(folder).find(b"/lonely.txt", b"gzip", Tick(LATER, 0.0)) == NOT_FOUND


def test_a_sibling_requested_by_name_is_an_ordinary_file(with_siblings: pathlib.Path) -> None:
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


def test_a_folder_is_not_used_as_a_sibling(folder: pathlib.Path) -> None:
    (folder / "hello.txt.gz").mkdir()
    assert represent(folder, b"/hello.txt", b"gzip").coding is None


@needs_posix
def test_a_sibling_that_is_a_symlink_inside_the_root_is_used(folder: pathlib.Path) -> None:
    make(folder / "packed", gzipped(HELLO))
    (folder / "hello.txt.gz").symlink_to("packed")
    assert represent(folder, b"/hello.txt", b"gzip").octets == gzipped(HELLO)


@needs_posix
def test_a_sibling_that_is_a_symlink_out_of_the_root_is_not_used(folder: pathlib.Path) -> None:
    # Requirement R144: the link is not followed, and the file itself is sent.
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
def test_a_sibling_that_is_not_verified_is_not_used(octets: bytes, folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", octets)
    served = DocumentRoot(folder)
    for _ in range(2):
        found = represent(served, b"/hello.txt", b"gzip")
        assert (found.coding, found.octets, found.vary) == (None, HELLO, "Accept-Encoding")


def test_a_repaired_sibling_is_used(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO)[:-1])
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt", b"gzip").coding is None
    make(folder / "hello.txt.gz", gzipped(HELLO))
    assert represent(served, b"/hello.txt", b"gzip").coding == "gzip"


def test_a_sibling_is_not_verified_twice_within_a_second(folder: pathlib.Path) -> None:
    """If the sibling does not change, the result of its check is valid for a second."""
    large = (folder / "large.bin").read_bytes()
    make(folder / "large.bin.gz", gzipped(bytes(len(large))))
    make(folder / "large.bin.zst", b"foreign")
    served = DocumentRoot(folder)
    with closing(represent(served, b"/large.bin", b"gzip, zstd")) as found:
        assert found.coding == "gzip"
    known = {key[1]: served._verified.get(key, entry[0], 0.5) for key, entry in served._verified._cache.items()}
    assert known == {"gzip": "application/octet-stream", "zstd": ""}
    with closing(represent(served, b"/large.bin", b"gzip, zstd", monotonic=0.5)) as found:
        assert found.coding == "gzip"


def test_a_sibling_changed_just_now_is_not_cached(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO))
    now = (folder / "hello.txt.gz").stat().st_ctime + 0.5
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt", b"gzip", now).coding == "gzip"
    assert served._verified._cache == {}


def test_a_sibling_written_just_now_is_not_used(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO), modified=LATER - 1.9)
    served = DocumentRoot(folder)
    assert represent(served, b"/hello.txt", b"gzip").coding is None
    assert represent(served, b"/hello.txt", b"gzip", LATER + 0.2).coding == "gzip"


def test_a_sibling_that_changes_during_its_verification_is_not_used(folder: pathlib.Path) -> None:
    make(folder / "hello.txt.gz", gzipped(HELLO))
    served = DocumentRoot(folder)
    verify = served._verify

    def verify_and_change(*arguments: Any) -> str:
        verified = verify(*arguments)
        make(folder / "new", b"changed").replace(folder / "hello.txt.gz")
        return verified

    served._verify = verify_and_change  # type: ignore[assignment, method-assign]
    assert represent(served, b"/hello.txt", b"gzip").octets == HELLO


def test_a_file_replaced_by_an_older_one_is_not_represented_by_its_cached_sibling(with_siblings: pathlib.Path) -> None:
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
