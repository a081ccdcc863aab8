"""The file handler: missing files, invalid paths, and a folder's own error page (404.html)."""

import gzip
import pathlib

import pytest

from httpsock.files.document_root import DocumentRoot
from tests.files.asking import BROWSER, ask, field_names
from tests.support import get


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param("/missing", "/missing", id="R142: a missing file"),
        pytest.param("/hello.txt/", "/hello.txt/", id="R141: a file with a slash"),
        pytest.param("/hello.txt/x", "/hello.txt/x", id="R141: a file below a file"),
        pytest.param("/HELLO.TXT", "/HELLO.TXT", id="R141: case counts"),
        pytest.param("/missing?query", "/missing", id="the query is not part of a name"),
        pytest.param("/.hidden", "/.hidden", id="R144: a hidden file is not there"),
        pytest.param("/%3Cb%3E%22%0a", "/%3Cb%3E%22%0a", id="R143: shown as it was received, not decoded"),
        pytest.param("/" + "a" * 100, "/" + "a" * 59 + "…", id="a long name is cut"),
    ],
)
def test_a_missing_file_is_404(root: DocumentRoot, folder: pathlib.Path, path: str, shown: str) -> None:
    (folder / ".hidden").write_bytes(b"secret")
    answer = ask(root, get(path))
    assert answer.status == 404
    assert answer.text == f'404 Not Found: there is no "{shown}" here (RFC 9110 §15.5.5)\n'
    assert answer.field("Vary") == "Accept"
    assert answer.field("Cache-Control") == "no-store"


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_a_path_that_cannot_name_a_file_is_a_bad_request(root: DocumentRoot, accept: str) -> None:
    """In this test, the path leads out of the document root (RFC 9110 §17.3; requirements R138 and R139)."""
    answer = ask(root, get("/sub/%2e%2e/%2e%2e/etc/passwd", f"Accept: {accept}"))
    assert answer.status == 400
    assert "ath segment 3 is " in answer.text
    assert "RFC 3986 §5.2.4" in answer.text


def test_a_browser_gets_the_error_page_of_the_folder(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "404.html").write_bytes(b"<h1>Nothing here.</h1>")
    answer = ask(root, get("/missing", BROWSER))
    assert (answer.status, answer.content) == (404, b"<h1>Nothing here.</h1>")
    assert field_names(answer) == ["Cache-Control", "Content-Length", "Content-Type", "Date", "Vary"]
    assert answer.field("Content-Type") == "text/html; charset=utf-8"
    assert answer.field("Cache-Control") == "no-store"
    assert answer.field("Vary") == "Accept"
    assert ask(root, get("/missing", BROWSER, method="HEAD")) == answer
    assert ask(root, get("/.hidden/x", BROWSER)) == answer
    assert ask(root, get("/missing", BROWSER, "Range: bytes=0-1", 'If-Match: "x"', "If-None-Match: *")) == answer


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "application/json"])
def test_a_program_gets_the_error_in_its_own_format(root: DocumentRoot, folder: pathlib.Path, accept: str) -> None:
    (folder / "404.html").write_bytes(b"<h1>Nothing here.</h1>")
    answer = ask(root, get("/missing", f"Accept: {accept}"))
    assert answer.status == 404
    assert "<h1>" not in answer.text
    assert "there is no " in answer.text


def test_the_error_page_of_the_folder_is_sent_for_missing_files_only(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "404.html").write_bytes(b"<h1>Nothing here.</h1>")
    assert ask(root, get("/404.html", BROWSER)).status == 200
    for octets, status in (
        (get("/%00", BROWSER), 400),
        (get("/hello.txt", BROWSER, method="POST"), 405),
        (get("/hello.txt", BROWSER, 'If-Match: "x"'), 412),
    ):
        answer = ask(root, octets)
        assert answer.status == status
        assert "Nothing here." not in answer.text
        assert f"<h1>{status} " in answer.text


def test_the_error_page_of_the_folder_is_sent_unchanged(root: DocumentRoot, folder: pathlib.Path) -> None:
    """Even if the client accepts gzip, the server sends 404.html, and not 404.html.gz (requirement R111)."""
    (folder / "404.html").write_bytes(b"<h1>Nothing here.</h1>")
    (folder / "404.html.gz").write_bytes(gzip.compress(b"<h1>Nothing here.</h1>", mtime=0))
    answer = ask(root, get("/missing", BROWSER, "Accept-Encoding: gzip"))
    assert answer.content == b"<h1>Nothing here.</h1>"
    assert answer.field("Content-Encoding") is None


def test_a_large_error_page_of_the_folder_is_sent(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "404.html").write_bytes(b"x" * 100_000)
    answer = ask(root, get("/missing", BROWSER))
    assert (answer.status, answer.content) == (404, b"x" * 100_000)


def test_a_folder_named_like_the_error_page_is_ignored(root: DocumentRoot, folder: pathlib.Path) -> None:
    (folder / "404.html").mkdir()
    answer = ask(root, get("/missing", BROWSER))
    assert answer.status == 404
    assert "<h1>404 Not Found</h1>" in answer.text
    assert "There is no &quot;/missing&quot; here." in answer.text
