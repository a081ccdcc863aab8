"""Listings: a folder's names as a page, as JSON, as text; safe against hostile names."""

import json
import os
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.listing import MEDIA_TYPES, Order, render, sort
from httpsock.paths import Name
from httpsock.resources import Directory, Entry
from tests.support import finish

ROOT = Name((), "", is_folder=True, is_hidden=False)
SUB = Name(("sub", "a & b"), os.path.join("sub", "a & b"), is_folder=True, is_hidden=False)
# Sat, 22 Aug 2026 10:20:30 GMT
MODIFIED = 1_787_394_030.75


def file(name: str, length: int = 1, modified: float = MODIFIED) -> Entry:
    return Entry(name, is_folder=False, length=length, modified=modified)


def folder(name: str, length: int = 4096, modified: float = MODIFIED) -> Entry:
    return Entry(name, is_folder=True, length=length, modified=modified)


class Page(HTMLParser):
    """What a browser finds on a page: its elements, its links with their text, its cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self.texts: dict[str, list[str]] = {"title": [], "h1": [], "td": [], "th": []}
        self._open: list[str] = []
        self._href: str | None = None
        self.feed(page)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag == "meta":
            return
        self._open.append(tag)
        if tag == "a":
            self._href = dict(attrs)["href"]
            self.links.append((self._href or "", ""))
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "a" in self._open:
            href, text = self.links[-1]
            self.links[-1] = (href, text + data)
        for tag, texts in self.texts.items():
            if tag in self._open:
                texts[-1] += data

    @property
    def entries(self) -> list[tuple[str, str]]:
        """The links to entries, without those of the headings."""
        return [link for link in self.links if not link[0].startswith("?")]


def page_of(*entries: Entry, name: Name = ROOT, query: bytes | None = None) -> Page:
    return Page(finish(render(Directory(name, list(entries)), query, "text/html")).decode())


def names(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries]


# --- Three forms ----------------------------------------------------------------------------------


def test_as_text_each_name_is_a_line_and_folders_end_with_a_slash() -> None:
    octets = finish(render(Directory(SUB, [file("b.txt"), folder("c"), file("ä <1>.txt")]), None, "text/plain"))
    assert octets.decode() == "c/\nb.txt\nä <1>.txt\n"


def test_as_json_each_name_is_an_object() -> None:
    octets = finish(render(Directory(SUB, [file("ä b.txt", 312), folder("c")]), None, "application/json"))
    assert json.loads(octets) == [
        {"name": "c", "href": "c/", "type": "folder", "size": None, "modified": "2026-08-22T10:20:30Z"},
        {"name": "ä b.txt", "href": "%C3%A4%20b.txt", "type": "file", "size": 312, "modified": "2026-08-22T10:20:30Z"},
    ]


def test_as_a_page_each_name_is_a_link_with_its_size_and_date() -> None:
    page = page_of(file("ä b.txt", 312), folder("c"))
    assert page.entries == [("c/", "c/"), ("%C3%A4%20b.txt", "ä b.txt")]
    assert page.texts["td"] == ["c/", "", "2026-08-22 10:20", "ä b.txt", "312", "2026-08-22 10:20"]
    assert page.texts["title"] == page.texts["h1"] == ["/"]


@pytest.mark.parametrize(
    ("media_type", "expected"), [("text/plain", b""), ("application/json", b"[]\n")], ids=["as text", "as JSON"]
)
def test_an_empty_folder_lists_nothing(media_type: str, expected: bytes) -> None:
    assert finish(render(Directory(ROOT, []), None, media_type)) == expected


def test_an_empty_root_is_a_page_without_entries() -> None:
    page = page_of()
    assert page.entries == []
    assert page.texts["td"] == []


def test_a_folder_below_the_root_links_to_the_one_above() -> None:
    page = page_of(file("x"), name=SUB)
    assert page.entries == [("../", "../"), ("x", "x")]
    assert page.texts["title"] == page.texts["h1"] == ["/sub/a & b/"]


def test_a_page_runs_no_script_and_loads_nothing() -> None:
    octets = finish(render(Directory(ROOT, [file("x")]), None, "text/html")).decode()
    assert octets.startswith("<!DOCTYPE html>\n")
    assert "default-src 'none'" in octets
    page = Page(octets)
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(page.elements)
    assert not {name for name in page.attributes if name.startswith("on") or name == "src"}


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 * 1024, "10 KiB"),
        (999 * 1024, "999 KiB"),
        (1000 * 1024, "1.0 MiB"),
        (12 * 1024**2, "12 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (7 * 1024**4, "7.0 TiB"),
        (8 * 1024**5, "8.0 PiB"),
        (8192 * 1024**5, "8192 PiB"),
    ],
)
def test_a_length_is_shown_for_a_person(length: int, shown: str) -> None:
    assert page_of(file("x", length)).texts["td"][1] == shown


def test_the_exact_length_is_told_on_demand() -> None:
    octets = finish(render(Directory(ROOT, [file("x", 123_456)]), None, "text/html"))
    assert b'<span title="123456 octets">121 KiB</span>' in octets


@pytest.mark.parametrize("modified", [1e12, 1e18, 1e300, -1e12, -1e300])
def test_a_date_that_no_calendar_says_is_left_out(modified: float) -> None:
    """R145."""
    directory = Directory(ROOT, [file("x", 1, modified)])
    assert json.loads(finish(render(directory, None, "application/json")))[0]["modified"] is None
    assert page_of(file("x", 1, modified)).texts["td"] == ["x", "1", ""]
    assert finish(render(directory, None, "text/plain")) == b"x\n"


def test_a_date_before_1970_is_a_date() -> None:
    listed = json.loads(finish(render(Directory(ROOT, [file("x", 1, -1.0)]), None, "application/json")))
    assert listed[0]["modified"] == "1969-12-31T23:59:59Z"


# --- Order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "in_order",
    [
        pytest.param(["file1", "file2", "file10", "file20"], id="numbers by their value"),
        pytest.param(["1", "02", "3", "10"], id="numbers with leading zeros by their value"),
        pytest.param(["a", "B", "c"], id="letters whatever their case"),
        pytest.param(["a1b2", "a1b10", "a2b1"], id="several numbers in a name"),
        pytest.param(["v1.9", "v1.10", "v1.10.1"], id="versions"),
        pytest.param(["File", "file"], id="names that differ in case alone have an order too"),
        pytest.param(["1", "a", "z", "ä"], id="numbers before letters, others behind"),
        pytest.param(["a" + "9" * 200, "b1"], id="a number as long as names can be"),
        pytest.param(["x²", "x٣"], id="digits of other scripts are letters"),
        pytest.param(["a", "a\udcff"], id="names that are no UTF-8"),
    ],
)
def test_names_are_in_natural_order(in_order: list[str]) -> None:
    shuffled = [file(name) for name in reversed(in_order)]
    assert names(finish(sort(shuffled, Order.NAME, is_descending=False))) == in_order
    assert names(finish(sort(shuffled, Order.NAME, is_descending=True))) == in_order[::-1]


ENTRIES = [
    file("b2", 5, 300),
    folder("z", 4096, 100),
    file("b10", 5, 200),
    file("a", 9, 250),
    folder("y", 4096, 500),
    file("c", 1, 200),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(None, ["y", "z", "a", "b2", "b10", "c"], id="by name, folders first"),
        pytest.param(b"sort=name", ["y", "z", "a", "b2", "b10", "c"], id="by name when asked"),
        pytest.param(b"sort=name-desc", ["z", "y", "c", "b10", "b2", "a"], id="by name backwards, folders still first"),
        pytest.param(b"sort=size", ["y", "z", "c", "b2", "b10", "a"], id="by size, equal ones by name"),
        pytest.param(b"sort=size-desc", ["y", "z", "a", "b2", "b10", "c"], id="by size backwards, equal ones by name"),
        pytest.param(b"sort=date", ["z", "y", "b10", "c", "a", "b2"], id="by date, equal ones by name"),
        pytest.param(b"sort=date-desc", ["y", "z", "b2", "a", "b10", "c"], id="by date backwards"),
        pytest.param(b"", ["y", "z", "a", "b2", "b10", "c"], id="an empty query sorts nothing"),
        pytest.param(b"sort=colour", ["y", "z", "a", "b2", "b10", "c"], id="an order that is none"),
        pytest.param(b"sort=size&x", ["y", "z", "a", "b2", "b10", "c"], id="a query of something else"),
        pytest.param(b"<script>", ["y", "z", "a", "b2", "b10", "c"], id="a hostile query"),
    ],
)
def test_a_query_sorts_a_listing(query: bytes | None, expected: list[str]) -> None:
    directory = Directory(ROOT, ENTRIES)
    listed = finish(render(directory, query, "text/plain")).decode().split()
    assert [name.rstrip("/") for name in listed] == expected
    assert [entry["name"] for entry in json.loads(finish(render(directory, query, "application/json")))] == expected
    page = Page(finish(render(directory, query, "text/html")).decode())
    assert [text.rstrip("/") for _, text in page.entries] == expected


@pytest.mark.parametrize("query", [b"sort=size", b"sort=size-desc"])
def test_folders_have_no_size_to_be_sorted_by(query: bytes) -> None:
    """What a file system says of a folder's length is its own affair; no listing shows it."""
    directory = Directory(ROOT, [folder("c", 4096), folder("a", 12_288), folder("b", 40)])
    assert finish(render(directory, query, "text/plain")) == b"a/\nb/\nc/\n"


@pytest.mark.parametrize(
    ("query", "headings"),
    [
        (None, [("?sort=name-desc", "Name ↑"), ("?sort=size", "Size"), ("?sort=date", "Date")]),
        (b"sort=name-desc", [("?sort=name", "Name ↓"), ("?sort=size", "Size"), ("?sort=date", "Date")]),
        (b"sort=size", [("?sort=name", "Name"), ("?sort=size-desc", "Size ↑"), ("?sort=date", "Date")]),
        (b"sort=date-desc", [("?sort=name", "Name"), ("?sort=size", "Size"), ("?sort=date", "Date ↓")]),
    ],
)
def test_a_heading_sorts_by_its_column_or_the_other_way_round(
    query: bytes | None, headings: list[tuple[str, str]]
) -> None:
    page = page_of(file("x"), query=query)
    assert [link for link in page.links if link[0].startswith("?")] == headings


# --- Hostile names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown", "href"),
    [
        pytest.param("<script>alert(1)</script>", None, "%3Cscript%3Ealert%281%29%3C%2Fscript%3E", id="markup"),
        pytest.param('" onclick="x', None, "%22%20onclick%3D%22x", id="quotes do not end an attribute"),
        pytest.param("' onclick='x", None, "%27%20onclick%3D%27x", id="nor do single ones"),
        pytest.param("&lt;b&gt;", None, "%26lt%3Bb%26gt%3B", id="references to characters are not resolved"),
        pytest.param("javascript:alert(1)", None, "javascript%3Aalert%281%29", id="a scheme is a name"),
        pytest.param("c:d", None, "c%3Ad", id="a colon makes no scheme"),
        pytest.param("a?b#c", None, "a%3Fb%23c", id="a name has neither query nor fragment"),
        pytest.param("100%", None, "100%25", id="a percent sign"),
        pytest.param("%2e%2e", None, "%252e%252e", id="an encoded dot-segment is a name"),
        pytest.param("{title} %s", None, "%7Btitle%7D%20%25s", id="braces and percents"),
        pytest.param(
            "a\nb\r\t\x1b[2J\x7f", "a\ufffdb\ufffd\ufffd\ufffd[2J\ufffd", "a%0Ab%0D%09%1B%5B2J%7F", id="controls"
        ),
        pytest.param("a\u202etxt.exe", "a\ufffdtxt.exe", "a%E2%80%AEtxt.exe", id="letters that run backwards"),
        pytest.param("a\u2028b", "a\ufffdb", "a%E2%80%A8b", id="a line separator"),
        pytest.param("a\udcffb", "a\ufffdb", "a%FFb", id="octets that are no UTF-8"),
        pytest.param("\udcc3", "\ufffd", "%C3", id="half a letter"),
        pytest.param("grüße, 世界", None, "gr%C3%BC%C3%9Fe%2C%20%E4%B8%96%E7%95%8C", id="letters of the world"),
    ],
)
def test_a_hostile_name_is_shown_and_linked_as_a_name(name: str, shown: str | None, href: str) -> None:
    """R143."""
    page = page_of(file(name))
    assert page.entries == [(href, name if shown is None else shown)]
    assert page.elements == page_of(file("x")).elements
    assert page.attributes == page_of(file("x")).attributes
    directory = Directory(ROOT, [file(name)])
    assert finish(render(directory, None, "text/plain")).decode() == f"{name if shown is None else shown}\n"
    (listed,) = json.loads(finish(render(directory, None, "application/json")))
    assert listed["href"] == href
    assert listed["name"] == (name if shown is None else shown)


def test_a_hostile_name_of_the_folder_itself_is_shown_as_text() -> None:
    """R143."""
    hostile = "</title><script>\n\udcff"
    page = page_of(name=Name((hostile,), hostile, is_folder=True, is_hidden=False))
    assert page.texts["title"] == page.texts["h1"] == ["/</title><script>\ufffd\ufffd/"]
    assert "script" not in page.elements


_NAMES = (
    st.binary(min_size=1, max_size=20)
    .filter(lambda octets: not set(octets) & set(b"\0/") and octets not in (b".", b".."))
    .map(os.fsdecode)
)


@given(name=_NAMES, is_folder=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=200)
def test_any_name_is_linked_from_where_it_is_and_leads_back_to_it(name: str, is_folder: bool) -> None:
    """R140, R143."""
    entry = Entry(name, is_folder, 1, MODIFIED)
    page = page_of(entry)
    ((href, shown),) = page.entries
    assert page.elements.count("a") == len(Order) + 1
    assert shown.isprintable()
    target = urlsplit(urljoin("http://host/some/folder/", href))
    assert (target.scheme, target.netloc, target.query, target.fragment) == ("http", "host", "", "")
    assert unquote_to_bytes(target.path) == b"/some/folder/" + os.fsencode(name) + (b"/" if is_folder else b"")
    (listed,) = json.loads(finish(render(Directory(ROOT, [entry]), None, "application/json")))
    assert listed["href"] == href
    assert finish(render(Directory(ROOT, [entry]), None, "text/plain")).decode() == f"{shown}\n"


def test_the_first_form_is_the_page() -> None:
    assert MEDIA_TYPES[0] == "text/html"
