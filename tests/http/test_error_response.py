"""Error responses: the content explains the error (RFC 9110 §15.5)."""

import json
import re
from html.parser import HTMLParser

import pytest

from httpsock.http.error_response import explain
from httpsock.http.messages import Refusal, Response, Status
from tests.support.rows import each_row

REFUSAL = Refusal(Status.BAD_REQUEST, 'field line 3 has "<b>&" in it', "RFC 9112 §5.1")


class _Page(HTMLParser):
    """The elements and the text of an HTML page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def content_of(response: Response) -> bytes:
    return b"".join(part for part in response.content if isinstance(part, bytes))


@each_row("accept", [None, b"*/*", b"image/png", b"text/plain"])
def test_curl_gets_one_line_of_text(accept: bytes | None) -> None:
    """The content of a 4xx or 5xx explains the error (RFC 9110 §15.5, requirement R113)."""
    response = explain(REFUSAL, accept)
    assert content_of(response).decode() == '400 Bad Request: field line 3 has "<b>&" in it (RFC 9112 §5.1)\n'
    assert ("Content-Type", "text/plain; charset=utf-8") in response.fields


def test_a_browser_gets_a_page() -> None:
    response = explain(REFUSAL, b"text/html,*/*;q=0.8")
    assert ("Content-Type", "text/html; charset=utf-8") in response.fields
    page = content_of(response).decode()
    assert page.startswith("<!DOCTYPE html>\n<html lang=")
    assert "<title>400 Bad Request</title>" in page
    assert "<h1>400 Bad Request</h1>" in page
    assert "RFC 9112 §5.1" in page


def test_markup_in_a_reason_is_shown_as_text() -> None:
    """A page must not contain markup from the request (RFC 9110 §17.4, requirement R143)."""
    page = _Page(content_of(explain(REFUSAL, b"text/html")).decode())
    assert 'Field line 3 has "<b>&" in it.' in page.text
    assert "b" not in page.elements
    assert "script" not in page.elements


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(Status.BAD_REQUEST, "</p><script>alert(1)</script>", "x"),
        Refusal(Status.BAD_REQUEST, "x", "<script>alert(1)</script>"),
        Refusal(Status.BAD_REQUEST, "{title} {0} %s", "{section}"),
        Refusal(Status.BAD_REQUEST, "", ""),
    ],
    ids=["markup in the reason", "markup in the section", "braces and percents", "no reason"],
)
def test_every_page_has_the_same_elements(refusal: Refusal) -> None:
    """A page must not contain markup from the request (RFC 9110 §17.4, requirement R143)."""
    page = _Page(content_of(explain(refusal, b"text/html")).decode())
    assert page.elements == _Page(content_of(explain(REFUSAL, b"text/html")).decode()).elements
    assert refusal.reason[1:] in page.text
    assert refusal.section in page.text


def test_a_page_loads_no_file_and_runs_no_script() -> None:
    page = content_of(explain(REFUSAL, b"text/html")).decode()
    assert "default-src 'none'" in page
    assert "src=" not in page
    assert re.findall("href=.*", page) == ['href="data:,">']


def test_the_policy_of_a_page_allows_its_icon() -> None:
    """A browser would report a blocked icon as an error in its console."""
    page = content_of(explain(REFUSAL, b"text/html")).decode()
    assert '<link rel="icon" href="data:,">' in page
    assert "; img-src data:; " in page


def test_a_program_gets_json() -> None:
    response = explain(REFUSAL, b"application/json")
    assert ("Content-Type", "application/json; charset=utf-8") in response.fields
    assert json.loads(content_of(response)) == {
        "status": 400,
        "error": "Bad Request",
        "reason": 'field line 3 has "<b>&" in it',
        "section": "RFC 9112 §5.1",
    }


@each_row("accept", [None, b"text/html", b"application/json"])
def test_an_error_response_is_not_cached_and_varies_with_accept(accept: bytes | None) -> None:
    """Accept selects HTML, JSON or text, so Vary must have Accept (RFC 9110 §12.5, requirement R111)."""
    response = explain(REFUSAL, accept, (("Allow", "GET"),))
    assert response.status is Status.BAD_REQUEST
    assert response.refusal is REFUSAL
    assert [name for name, _ in response.fields] == ["Content-Type", "Cache-Control", "Vary", "Allow"]
    assert dict(response.fields)["Cache-Control"] == "no-store"
    assert dict(response.fields)["Vary"] == "Accept"
    assert dict(response.fields)["Allow"] == "GET"
    assert response.content_length == len(content_of(response)) > 0
