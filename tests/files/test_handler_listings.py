"""The file handler: listings of folders that have no index."""

import contextlib
import errno
import json
import os
import pathlib
import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import pytest

from httpsock.files.document_root import DocumentRoot, Entry
from httpsock.files.handler import respond
from httpsock.http.handler import BATCH, Tick
from httpsock.http.messages import Response
from httpsock.http.request_parser import parse_head
from tests.files.asking import BROWSER, NOW, ask
from tests.support import get
from tests.support.context import FixedContext


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param("*/*", "text/html; charset=utf-8", id="anything: a page"),
        pytest.param("text/html", "text/html; charset=utf-8", id="a page"),
        pytest.param("application/json", "application/json; charset=utf-8", id="JSON"),
        pytest.param("text/plain", "text/plain; charset=utf-8", id="text"),
        pytest.param("image/png", "text/html; charset=utf-8", id="an unavailable type: a page"),
    ],
)
def test_a_folder_without_an_index_is_listed_as_its_client_prefers(
    root: DocumentRoot, accept: str, content_type: str
) -> None:
    """Accept selects the format of the listing (RFC 9110 §12.5.1, requirement R142)."""
    answer = ask(root, get("/", f"Accept: {accept}"))
    assert answer.status == 200
    assert answer.field("Content-Type") == content_type
    assert answer.field("Vary") == "Accept"
    assert answer.field("Cache-Control") == "no-cache"
    for name in ("alphabet.txt", "empty.txt", "hello.txt", "large.bin", "sub/"):
        assert name in answer.text


def test_a_listing_has_an_entity_tag_that_changes_with_it(root: DocumentRoot, folder: pathlib.Path) -> None:
    """Different content needs a different ETag (RFC 9110 §8.8.3, requirement R109)."""
    first = ask(root, get("/"))
    assert ask(root, get("/")) == first
    tags = {ask(root, get(target)).field("ETag") for target in ("/", "/?sort=size", "/?sort=size-desc")}
    tags.add(ask(root, get("/", "Accept: application/json")).field("ETag"))
    assert len(tags) == 4
    (folder / "new.txt").write_bytes(b"new")
    assert ask(root, get("/", f"If-None-Match: {first.field('ETag')}")).status == 200


def test_the_query_sorts_a_listing(root: DocumentRoot) -> None:
    answer = ask(root, get("/?sort=size-desc", "Accept: text/plain"))
    names = [line.split()[-1] for line in answer.text.splitlines()]
    assert names == ["sub/", "large.bin", "alphabet.txt", "hello.txt", "empty.txt"]


def test_head_for_a_listing_does_not_read_the_folder(root: DocumentRoot, folder: pathlib.Path) -> None:
    """A response to HEAD may omit fields that depend on the content (RFC 9110 §9.3.2)."""
    for number in range(10 * BATCH):
        (folder / f"{number}").touch()
    work = respond(root, parse_head(get("/", method="HEAD"), 100), FixedContext(Tick(NOW, 0.0)))
    assert not isinstance(work, Response)
    with pytest.raises(StopIteration) as stopped:
        next(work)
    fields = dict(stopped.value.value.fields)
    assert fields == {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache", "Vary": "Accept"}
    assert b"Content-Length" not in stopped.value.value.field_lines


def test_head_for_a_listing_with_a_condition_has_the_fields_of_get(root: DocumentRoot) -> None:
    etag = ask(root, get("/")).field("ETag")
    assert ask(root, get("/", f"If-None-Match: {etag}", method="HEAD")).status == 304
    assert ask(root, get("/", 'If-Match: "x"', method="HEAD")).status == 412
    assert ask(root, get("/", 'If-None-Match: "x"', method="HEAD")).field("ETag") == etag


@pytest.mark.parametrize(
    ("path", "above"),
    [
        ("/missing", "./"),
        ("/missing/", "../"),
        ("/sub/missing", "./"),
        ("/sub/a/b/", "../"),
        ("//missing", "./"),
        ("/a%20b%3Fc", "./"),
        ("/http:x", "./"),
    ],
)
def test_the_page_for_a_missing_file_links_to_the_folder_above(root: DocumentRoot, path: str, above: str) -> None:
    """A relative link also works behind a proxy and cannot lead to another host."""
    answer = ask(root, get(path, BROWSER))
    assert answer.status == 404
    assert re.findall('<a href="(.*?)"', answer.text) == [above]
    assert "href" not in ask(root, get(path)).text


def test_the_page_for_a_missing_file_in_a_missing_root_has_no_link(tmp_path: pathlib.Path) -> None:
    (tmp_path / "root").mkdir()
    root = DocumentRoot(tmp_path / "root")
    (tmp_path / "root").rmdir()
    answer = ask(root, get("/", BROWSER))
    assert answer.status == 404
    assert "<a " not in answer.text


HOSTILE_NAMES = [
    b"<img src=x onerror=alert(1)>.txt",
    b'"><script>alert(1)<',
    b"'&lt;",
    b"javascript:alert(1)",
    b"http:",
    b"a\nb\r\x1b[2J",
    b"%2e%2e",
    b"a?b#c",
    b"a;b=c&d+e f",
    b"\xff\xfe.txt",
    "grüße \u202e.txt".encode(),
    b"a~b!c$d*e,f@g",
]


def test_each_hostile_name_is_listed_with_a_link_that_leads_to_its_file(tmp_path: pathlib.Path) -> None:
    """No name can break the page or its links (RFC 9110 §17.4; requirements R140, R143 and R145)."""
    made = set()
    for name in HOSTILE_NAMES:
        # Some file systems refuse some of the names.
        with contextlib.suppress(OSError), open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"This is " + name)
            made.add(name)
    assert len(made) > 5
    root = DocumentRoot(tmp_path)
    listed = json.loads(ask(root, get("/", "Accept: application/json")).content)
    assert len(listed) == len(made)
    found = set()
    for entry in listed:
        path = urlsplit(urljoin("http://localhost/", entry["href"]))
        assert path.netloc == "localhost"
        answer = ask(root, get(path.path))
        assert answer.status == 200
        found.add(answer.content.removeprefix(b"This is "))
    assert found == made
    page = ask(root, get("/", BROWSER)).text
    assert page.count("<script") == 1, "the page's own"
    assert "<img" not in page
    assert 'href="javascript:' not in page
    assert "\x1b" not in page
    assert ask(root, get("/", "Accept: text/plain")).text.count("\n") == len(made)


def test_a_folder_with_a_hostile_name_is_redirected_to_and_listed(tmp_path: pathlib.Path) -> None:
    """A folder name cannot add fields or markup to a response (RFC 9110 §17.4, requirement R143)."""
    (tmp_path / "<b>\r\nX: y").mkdir()
    root = DocumentRoot(tmp_path)
    redirect = ask(root, get("/%3Cb%3E%0d%0aX:%20y"))
    assert redirect.field("Location") == "./%3Cb%3E%0d%0aX:%20y/"
    page = ask(root, get(urljoin("/", redirect.field("Location") or ""), BROWSER))
    assert page.status == 200
    assert "<bdi>&lt;b&gt;\ufffd\ufffdX: y</bdi></h1>" in page.text


def test_a_folder_that_cant_be_read_to_its_end_is_refused(root: DocumentRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial listing would look complete."""

    def entries(relative: str) -> Iterator[Entry]:
        yield Entry("hello.txt", False, 1, NOW)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(root, "_entries", entries)
    answer = ask(root, get("/"))
    assert answer.status == 500
    assert "the file system failed (Input/output error)" in answer.text
