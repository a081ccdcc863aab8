"""Single-page fallback: if a page does not exist, the client gets index.html."""

import os
import pathlib
from collections.abc import Callable, Iterator
from functools import partial

import pytest

import httpsock
from httpsock import Context, Request, Response, Status, Steps, single_page
from tests import support
from tests.support import Answer
from tests.support.folder import LONG_AGO
from tests.support.rows import each_row
from tests.support.siblings import gzipped

BROWSER = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
INDEX = b"<!DOCTYPE html><title>app</title><script src=/app.js></script>\n"
Ask = Callable[..., Answer]


@pytest.fixture
def index(folder: pathlib.Path) -> pathlib.Path:
    """Create index.html in *folder*."""
    index = folder / "index.html"
    index.write_bytes(INDEX)
    os.utime(index, (LONG_AGO, LONG_AGO))
    return index


@pytest.fixture
def ask(folder: pathlib.Path, index: pathlib.Path) -> Iterator[Ask]:
    """Yield a function that sends a request to a server with the single-page fallback."""
    assert index.exists()
    with httpsock.Server(folder, port=0, middleware=[single_page]) as server:
        yield partial(support.ask, server.port)


@pytest.mark.parametrize(
    "path", ["/users", "/users/7", "/users/7/", "/v1.2/users", "/sub/more", "/%C3%BC", "/users?sort=a.b", "/./users"]
)
def test_an_unknown_path_is_answered_with_the_index(ask: Ask, path: str) -> None:
    answer = ask(path, BROWSER)
    assert (answer.status, answer.content) == (200, INDEX)
    assert answer.field("Content-Type") == "text/html; charset=utf-8"
    assert answer.field("ETag") == ask("/").field("ETag")
    assert answer.field("Vary") == "Accept-Encoding, Accept"
    head = ask(path, BROWSER, method="HEAD")
    assert [field for field in head.fields if field[0] != "Date"] == [f for f in answer.fields if f[0] != "Date"]


@each_row(
    ("path", "field_line"),
    [
        pytest.param("/app.js", BROWSER, id="an asset"),
        pytest.param("/users/app.css", BROWSER, id="an asset below a page"),
        pytest.param("/users/7", "Accept: application/json", id="no page is asked for"),
        pytest.param("/users/7", "Accept: */*", id="anything is asked for"),
        pytest.param("/users/7", "X: y", id="a request without Accept"),
        pytest.param("/users/7", "Accept: text/html;q=0", id="a page is refused"),
        pytest.param("/users/7", "Accept: text/html;q=0.5, application/json", id="a page is the second choice"),
        pytest.param("/.git/config", BROWSER, id="a hidden folder"),
        pytest.param("/.env", BROWSER, id="a hidden file"),
        pytest.param("/%2Egit/x", BROWSER, id="a hidden folder, encoded"),
        pytest.param("/users/.x/y", BROWSER, id="a hidden folder below a page"),
        pytest.param("/.well-known/change-password", BROWSER, id="a well-known URI (RFC 8615)"),
        pytest.param("/GIT~1/config", BROWSER, id="a short name"),
    ],
)
def test_a_request_for_anything_but_a_page_stays_404(ask: Ask, path: str, field_line: str) -> None:
    answer = ask(path, field_line)
    assert answer.status == 404
    assert answer.field("Vary") == "Accept"


@pytest.mark.parametrize("path", ["/../users", "/%2e%2e/users", "/a/../../users", "/users%00"])
def test_a_path_that_leads_out_of_the_root_stays_400(ask: Ask, path: str) -> None:
    assert ask(path, BROWSER).status == 400


def test_existing_files_and_folders_are_served_as_usual(ask: Ask) -> None:
    assert ask("/hello.txt", BROWSER).content == b"Hello, socket.\n"
    assert ask("/sub", BROWSER).status == 301
    assert b"<title>sub</title>" in ask("/sub/", BROWSER).content


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("OPTIONS", 204), ("BREW", 501)])
def test_only_get_and_head_get_the_page(ask: Ask, method: str, status: int) -> None:
    assert ask("/users", BROWSER, method=method).status == status


def test_preconditions_apply_to_the_index(ask: Ask) -> None:
    tag = ask("/users", BROWSER).field("ETag")
    unchanged = ask("/users", BROWSER, f"If-None-Match: {tag}")
    assert (unchanged.status, unchanged.field("ETag")) == (304, tag)
    assert unchanged.field("Vary") == "Accept-Encoding, Accept"
    assert ask("/users", BROWSER, 'If-None-Match: "other"').status == 200
    assert ask("/users", BROWSER, 'If-Match: "other"').status == 412
    assert ask("/users", BROWSER, "If-Modified-Since: Thu, 26 Nov 2026 00:00:00 GMT").status == 304


def test_ranges_apply_to_the_index(ask: Ask) -> None:
    partial = ask("/users", BROWSER, "Range: bytes=0-8")
    assert (partial.status, partial.content) == (206, INDEX[:9])
    assert partial.field("Content-Range") == f"bytes 0-8/{len(INDEX)}"
    assert partial.field("Vary") == "Accept-Encoding, Accept"
    assert ask("/users", BROWSER, "Range: bytes=999-").status == 416


def test_a_compressed_index_is_sent(folder: pathlib.Path, index: pathlib.Path, ask: Ask) -> None:
    sibling = folder / "index.html.gz"
    sibling.write_bytes(gzipped(index.read_bytes()))
    os.utime(sibling, (LONG_AGO, LONG_AGO))
    answer = ask("/users", BROWSER, "Accept-Encoding: gzip")
    assert (answer.field("Content-Encoding"), answer.content) == ("gzip", sibling.read_bytes())
    assert answer.field("Vary") == "Accept-Encoding, Accept"


def test_the_content_of_a_request_for_a_page_is_discarded(ask: Ask) -> None:
    assert ask("/users", BROWSER, "Content-Length: 3", content=b"abc").content == INDEX


def test_without_an_index_a_page_is_missing(folder: pathlib.Path, serve: Callable[..., httpsock.Server]) -> None:
    """The 404 shows the requested path, not index.html."""
    ask = partial(support.ask, serve(folder, middleware=[single_page]).port)
    answer = ask("/users", BROWSER)
    assert answer.status == 404
    assert b"/users" in answer.content
    assert b"index.html" not in answer.content


def test_the_index_comes_before_the_folders_404_page(folder: pathlib.Path, ask: Ask) -> None:
    """The server opens 404.html before it looks for the index, so it must close 404.html again.

    In this test, 404.html is too large for the cache, so its response holds an open file.
    """
    (folder / "404.html").write_bytes(b"<!DOCTYPE html>" + b" " * 100_000)
    assert ask("/users", BROWSER).content == INDEX
    assert ask("/users.html", BROWSER).status == 404


def test_the_single_page_works_with_any_handler(serve: Callable[..., httpsock.Server]) -> None:
    """The handler in this test answers in steps, both for the missing page and for the index."""

    def handler(request: Request, context: Context) -> Steps[Response]:
        yield
        del context
        is_index = request.target.path == b"/index.html"
        return Response(Status.OK if is_index else Status.NOT_FOUND, (("Vary", "*"),), b"index" if is_index else b"")

    ask = partial(support.ask, serve(None, handler=handler, middleware=[single_page]).port)
    answer = ask("/users", BROWSER)
    assert (answer.content, answer.field("Vary")) == (b"index", "*, Accept")
    assert ask("/app.js", BROWSER).status == 404
