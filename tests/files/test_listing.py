"""Listings of a folder as HTML, JSON or text. Hostile file names do no harm."""

import json
import os
import re
import tracemalloc
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from unicodedata import category
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.files import listing
from httpsock.files.cache import FileCache
from httpsock.files.document_root import Directory, Entry
from httpsock.files.listing import MEDIA_TYPES, render
from httpsock.files.listing_page import FILTERED_FROM
from httpsock.files.paths import ResourceName
from httpsock.http.handler import BATCH
from tests.support import finish
from tests.support.rows import each_row

ROOT = ResourceName((), "", is_folder=True, is_hidden=False)
SUB = ResourceName(("sub", "a & b"), os.path.join("sub", "a & b"), is_folder=True, is_hidden=False)
# The time Sat, 22 Aug 2026 10:20:30 GMT.
MODIFIED = 1_787_394_030.75


def file(name: str, length: int = 1, modified: float = MODIFIED) -> Entry:
    """Return a listing entry for a file."""
    return Entry(name, is_folder=False, length=length, modified=modified)


def folder(name: str, length: int = 4096, modified: float = MODIFIED) -> Entry:
    """Return a listing entry for a folder."""
    return Entry(name, is_folder=True, length=length, modified=modified)


class Page(HTMLParser):
    """A parsed HTML page: elements, attributes, links, buttons and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self.buttons: list[tuple[str, str]] = []
        self.texts: dict[str, list[str]] = {"title": [], "h1": [], "td": [], "th": [], "p": []}
        self._open: list[str] = []
        self._href: str | None = None
        self.feed(page)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag in ("meta", "link", "input"):
            return
        self._open.append(tag)
        if tag == "a":
            self._href = dict(attrs)["href"]
            self.links.append((self._href or "", ""))
        if tag == "button":
            self.buttons.append((f"{dict(attrs)['name']}={dict(attrs)['value']}", ""))
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "a" in self._open:
            href, text = self.links[-1]
            self.links[-1] = (href, text + data)
        if "button" in self._open:
            value, text = self.buttons[-1]
            self.buttons[-1] = (value, text + data)
        for tag, texts in self.texts.items():
            if tag in self._open:
                texts[-1] += data

    @property
    def entries(self) -> list[tuple[str, str]]:
        """The links in the table rows. Links in the heading do not count."""
        return [(href, text) for href, text in self.links if text == "../" or href.strip("./")]


def listing_of(directory: Directory, query: bytes | None = None, media_type: str = "text/html") -> bytes:
    """Render *directory* in *media_type*."""
    return b"".join(finish(render(directory, query, media_type)))


def page_of(*entries: Entry, name: ResourceName = ROOT, query: bytes | None = None) -> Page:
    """Render *entries* as an HTML page and parse it."""
    return Page(listing_of(Directory(name, list(entries), served="www"), query).decode())


# --- Three forms ----------------------------------------------------------------------------------


def test_as_text_each_name_is_a_line_with_its_size_and_time_in_columns() -> None:
    octets = listing_of(Directory(SUB, [file("b.txt", 999), folder("c"), file("ä <1>.txt")]), None, "text/plain")
    assert octets.decode() == (
        "        -  2026-08-22 10:20 UTC  c/\n"
        "999 bytes  2026-08-22 10:20 UTC  b.txt\n"
        "   1 byte  2026-08-22 10:20 UTC  ä <1>.txt\n"
    )


def test_as_json_each_name_is_an_object() -> None:
    octets = listing_of(Directory(SUB, [file("ä b.txt", 312), folder("c")]), None, "application/json")
    assert json.loads(octets) == [
        {"name": "c", "href": "c/", "type": "folder", "size": None, "modified": "2026-08-22T10:20:30Z"},
        {"name": "ä b.txt", "href": "%C3%A4%20b.txt", "type": "file", "size": 312, "modified": "2026-08-22T10:20:30Z"},
    ]


def test_as_a_page_each_name_is_a_link_with_its_size_and_date() -> None:
    page = page_of(file("ä b.txt", 312), folder("c"))
    assert page.entries == [("c/", "c/"), ("%C3%A4%20b.txt", "ä b.txt")]
    assert page.texts["td"] == ["c/", "", "2026-08-22 10:20", "ä b.txt", "312 bytes", "2026-08-22 10:20"]
    assert page.texts["title"] == ["www/"]
    assert page.texts["h1"] == ["www"], "the root has the name of the folder that is served"
    assert page.texts["p"][0] == "1 folder · 1 file, 312 bytes"


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [("text/plain", b"This folder is empty.\n"), ("application/json", b"[]\n")],
    ids=["as text", "as JSON"],
)
def test_the_listing_of_an_empty_folder_says_that_it_is_empty(media_type: str, expected: bytes) -> None:
    assert listing_of(Directory(ROOT, []), None, media_type) == expected


def test_an_empty_root_is_a_page_without_entries() -> None:
    page = page_of()
    assert page.entries == []
    assert page.texts["td"] == []
    assert page.texts["p"][0] == "This folder is empty."


def test_a_folder_below_the_root_links_to_its_parent() -> None:
    page = page_of(file("x"), name=SUB)
    assert page.entries == [("../", "../"), ("x", "x")]
    assert page.texts["title"] == ["www/sub/a & b/"]
    assert page.texts["h1"] == ["www/sub/a & b"]
    assert page.links[:2] == [("../../", "www"), ("../", "sub")]


def test_the_path_to_a_deep_folder_is_shortened_in_the_middle() -> None:
    """The heading of a listing links to each parent folder. For thousands of levels, the links would take megabytes."""
    segments = tuple(f"{number}" for number in range(1000))
    page = page_of(name=ResourceName(segments, "/".join(segments), is_folder=True, is_hidden=False))
    assert page.texts["h1"] == ["www/…/" + "/".join(segments[-12:])]
    assert page.links[:2] == [("../" * 1000, "www"), ("../" * 11, "988")]


def test_the_root_of_the_system_is_a_slash() -> None:
    page = Page(listing_of(Directory(ROOT, [], served="/")).decode())
    assert (page.texts["title"], page.texts["h1"]) == (["/"], ["/"])


def test_a_page_loads_no_file_and_runs_only_its_own_script() -> None:
    octets = listing_of(Directory(ROOT, [file("x")])).decode()
    assert octets.startswith("<!DOCTYPE html>\n")
    (script,) = re.findall("<script>(.*)</script>", octets, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in octets
    assert "default-src 'none'" in octets
    page = Page(octets)
    assert not {"img", "iframe", "object", "base"} & set(page.elements)
    assert re.findall("<link.*", octets) == ['<link rel="icon" href="data:,">']
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "action")}


@each_row(
    ("length", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
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
def test_a_length_is_shown_in_readable_units(length: int, shown: str) -> None:
    assert page_of(file("x", length)).texts["td"][1] == shown


def test_the_exact_length_is_shown_on_demand() -> None:
    octets = listing_of(Directory(ROOT, [file("x", 123_456)]))
    assert b'<span title="123,456 bytes">121 KiB</span>' in octets


@each_row("modified", [1e12, 1e18, 1e300, -1e12, -1e300])
def test_a_date_beyond_the_calendar_is_left_out(modified: float) -> None:
    """A file system can store dates that Python's calendar lacks (requirement R145)."""
    directory = Directory(ROOT, [file("x", 1, modified)])
    assert json.loads(listing_of(directory, None, "application/json"))[0]["modified"] is None
    assert page_of(file("x", 1, modified)).texts["td"] == ["x", "1 byte", ""]
    assert listing_of(directory, None, "text/plain") == b"   1 byte                        x\n"


def test_a_date_before_1970_is_shown() -> None:
    listed = json.loads(listing_of(Directory(ROOT, [file("x", 1, -1.0)]), None, "application/json"))
    assert listed[0]["modified"] == "1969-12-31T23:59:59Z"


# --- Order ----------------------------------------------------------------------------------------


def hrefs(directory: Directory, query: bytes) -> list[bytes]:
    """Return the link targets in the listing of *directory* for *query*, percent-decoded."""
    listed = json.loads(listing_of(directory, query, "application/json"))
    return [unquote_to_bytes(entry["href"]) for entry in listed]


@each_row(
    "in_order",
    [
        pytest.param(["file1", "file2", "file10", "file20"], id="numbers by their value"),
        pytest.param(["1", "02", "3", "10"], id="numbers with leading zeros by their value"),
        pytest.param(["a", "B", "c"], id="letters whatever their case"),
        pytest.param(["a1b2", "a1b10", "a2b1"], id="several numbers in a name"),
        pytest.param(["v1.9", "v1.10", "v1.10.1"], id="versions"),
        pytest.param(["File", "file"], id="names that differ only in case have an order"),
        pytest.param(["1", "a", "z", "ä"], id="digits first, then ASCII letters, then others"),
        pytest.param(["a" + "9" * 200, "b1"], id="a number as long as names can be"),
        pytest.param(["x²", "x٣"], id="digits of other scripts are letters"),
        pytest.param(["a", "a\udcff"], id="names that are no UTF-8"),
    ],
)
def test_names_are_in_natural_order(in_order: list[str]) -> None:
    shuffled = Directory(ROOT, [file(name) for name in reversed(in_order)])
    links = [os.fsencode(name) for name in in_order]
    assert hrefs(shuffled, b"sort=name") == links
    assert hrefs(shuffled, b"sort=name-desc") == links[::-1]


ENTRIES = [
    file("b2", 5, 300),
    folder("z", 4096, 100),
    file("b10", 5, 200),
    file("a", 9, 250),
    folder("y", 4096, 500),
    file("c", 1, 200),
]


@each_row(
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
        pytest.param(b"sort=colour", ["y", "z", "a", "b2", "b10", "c"], id="an unknown order"),
        pytest.param(b"x=1&sort=size", ["y", "z", "c", "b2", "b10", "a"], id="beside another parameter"),
        pytest.param(b"<script>", ["y", "z", "a", "b2", "b10", "c"], id="a hostile query"),
    ],
)
def test_a_query_sorts_a_listing(query: bytes | None, expected: list[str]) -> None:
    directory = Directory(ROOT, ENTRIES)
    lines = listing_of(directory, query, "text/plain").decode().splitlines()
    assert [line.split()[-1].rstrip("/") for line in lines] == expected
    assert [entry["name"] for entry in json.loads(listing_of(directory, query, "application/json"))] == expected
    page = Page(listing_of(directory, query).decode())
    assert [text.rstrip("/") for _, text in page.entries] == expected


@each_row("query", [b"sort=size", b"sort=size-desc"])
def test_folders_are_not_sorted_by_size(query: bytes) -> None:
    """The length of a folder depends on the file system, so listings ignore this length."""
    directory = Directory(ROOT, [folder("c", 4096), folder("a", 12_288), folder("b", 40)])
    assert hrefs(directory, query) == [b"a/", b"b/", b"c/"]


def test_an_entry_that_changes_has_a_new_row_in_each_form() -> None:
    """Rows are cached, and the cache must notice each change."""
    for entry in (file("a", 1), file("a", 2), folder("a"), file("a", 1)):
        forms = [listing_of(Directory(ROOT, [entry]), b"", media_type) for media_type in MEDIA_TYPES]
        assert [b"1 byte<" in forms[0], b'"size": 1,' in forms[1], b"1 byte " in forms[2]] == [entry.length == 1] * 3
        assert [b"2 bytes<" in forms[0], b'"size": 2,' in forms[1], b"2 bytes " in forms[2]] == [entry.length == 2] * 3
        assert [b"a/</a>" in forms[0], b'"folder"' in forms[1], b"a/\n" in forms[2]] == [entry.is_folder] * 3


def test_the_listing_of_an_unchanged_folder_is_cached() -> None:
    entries = [file("a"), folder("b")]
    first, again = (finish(render(Directory(ROOT, list(entries)), None, "text/html")) for _ in range(2))
    assert again is first
    for changed in (entries[:1], [*entries, file("c")], [file("a", modified=MODIFIED + 60), entries[1]]):
        parts = finish(render(Directory(ROOT, changed), None, "text/html"))
        assert parts != first
        assert sorted(text.rstrip("/") for _, text in page_of(*changed).entries) == [entry.name for entry in changed]


def test_folders_with_equal_entries_have_different_listings() -> None:
    entries = [file("a", 2), file("b", 1)]
    names = [ROOT, SUB, ResourceName(("sub",), "sub", is_folder=True, is_hidden=False)]
    queries = [None, b"sort=size", b"sort=size-desc", b"filter=a", b"filter=b"]
    cases = [(name, served, query) for name in names for served in ("www", "x") for query in queries]
    listed = [listing_of(Directory(name, list(entries), served=served), query) for name, served, query in cases * 2]
    assert listed[: len(cases)] == listed[len(cases) :]
    assert len(set(listed)) == len(cases)


def test_a_long_listing_is_not_cached() -> None:
    """A long listing would evict many others from the cache."""
    entries = [file(f"n{number}") for number in range(4097)]
    first, again = (finish(render(Directory(SUB, entries), None, "text/plain")) for _ in range(2))
    assert again is not first
    assert again == first


@each_row(
    "text, count",
    [
        pytest.param("", 2000, id="short"),
        pytest.param("%F0%9F%98%80" + "a" * 2000, 150, id="long and with a character of four octets"),
    ],
)
def test_the_cache_of_listings_holds_no_more_than_its_capacity_whatever_the_filters(
    text: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each filter text gives a new listing, and even an empty listing takes memory."""
    capacity = 256 * 1024
    monkeypatch.setattr(listing, "_known_listings", FileCache(capacity))
    tracemalloc.start()
    try:
        for number in range(count):
            finish(render(Directory(ROOT, []), f"filter={text}{number}".encode(), "text/plain"))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A quarter for whatever else the process allocates meanwhile.
    assert held < 1.25 * capacity


@each_row("query", [b"sort=name", b"sort=name-desc", b"sort=size", b"sort=size-desc", b"sort=date-desc"])
def test_many_names_are_sorted_in_steps(query: bytes) -> None:
    """Sorting a large folder takes many short steps, and the result is in order."""
    numbers = [number * 7919 % 5000 for number in range(5000)]
    entries = [
        file(f"n{number}", number % 7, number % 11) if number % 3 else folder(f"n{number}") for number in numbers
    ]
    is_descending, order = query.endswith(b"-desc"), query[5:9]

    def place(entry: Entry) -> tuple[bool, float, int]:
        number, sign = int(entry.name[1:]), -1 if is_descending else 1
        length = 0 if entry.is_folder else entry.length
        value = {b"name": number, b"size": length, b"date": entry.modified}[order]
        return (not entry.is_folder, sign * value, number)

    work = render(Directory(ROOT, entries), query, "application/json")
    steps = sum(1 for _ in work)
    assert steps >= 5000 // BATCH
    expected = [entry.name for entry in sorted(entries, key=place)]
    listed = json.loads(listing_of(Directory(ROOT, entries), query, "application/json"))
    assert [entry["name"] for entry in listed] == expected


@each_row(
    ("query", "headings"),
    [
        (None, [("name-desc", "Name ↑"), ("size", "Size"), ("date", "Modified, UTC")]),
        (b"sort=name-desc", [("name", "Name ↓"), ("size", "Size"), ("date", "Modified, UTC")]),
        (b"sort=size", [("name", "Name"), ("size-desc", "Size ↑"), ("date", "Modified, UTC")]),
        (b"sort=date-desc", [("name", "Name"), ("size", "Size"), ("date", "Modified, UTC ↓")]),
    ],
)
def test_a_heading_sorts_by_its_column_or_reverses_the_order(
    query: bytes | None, headings: list[tuple[str, str]]
) -> None:
    """Each heading of a column is a button, since crawlers would follow links."""
    page = page_of(file("x"), query=query)
    assert page.buttons == [(f"sort={value}", text) for value, text in headings]
    assert page.links == [("x", "x")]


# --- Filter ---------------------------------------------------------------------------------------

MANY = [file(f"Note {number}") for number in range(FILTERED_FROM)]


def test_only_a_listing_of_many_names_has_a_filter() -> None:
    assert "input" not in page_of(*MANY[1:]).elements
    page = page_of(*MANY, query=b"sort=size-desc")
    assert "input" in page.elements
    assert page.buttons[0] == ("sort=size-desc", "Filter"), "the Enter key keeps the order"


@each_row(
    ("query", "shown"),
    [
        pytest.param(b"filter=NOTE+1&sort=name-desc", ["Note 19", "Note 11", "Note 10", "Note 1"], id="with an order"),
        pytest.param(b"filter=e%201&sort=", ["Note 1", "Note 10", "Note 11", "Note 19"], id="percent-encoded"),
        pytest.param(b"filter=2", [], id="no such name"),
        pytest.param(b"filter=", ["Note 0", "Note 1", "Note 10", "Note 11", "Note 19"], id="an empty filter"),
    ],
)
def test_a_query_filters_names_ignoring_case(query: bytes, shown: list[str]) -> None:
    entries = [file(f"Note {number}") for number in (0, 1, 10, 11, 19)]
    page = page_of(*entries, query=query)
    assert [text for _, text in page.entries] == shown
    listed = json.loads(listing_of(Directory(ROOT, entries), query, "application/json"))
    assert [entry["name"] for entry in listed] == shown


def test_a_filtered_listing_says_so() -> None:
    entries = [file("a"), file("b"), folder("ab")]
    assert page_of(*entries, query=b"filter=b").texts["p"][0] == "1 folder · 1 file, 1 byte of 3 names, with “b”"
    nothing = page_of(*entries, query=b"filter=<z>%ff")
    assert nothing.texts["p"][0] == "No match for “<z>\ufffd” in 3 names."
    assert listing_of(Directory(ROOT, entries), b"filter=z", "text/plain") == b"No name matches the filter.\n"


def test_a_name_that_is_not_utf8_can_be_filtered() -> None:
    assert [href for href, _ in page_of(file("a\udcff"), file("b"), query=b"filter=%FF").entries] == ["a%FF"]


# --- Hostile names --------------------------------------------------------------------------------


@each_row(
    ("name", "shown", "href"),
    [
        pytest.param("<script>alert(1)</script>", None, "%3Cscript%3Ealert%281%29%3C%2Fscript%3E", id="markup"),
        pytest.param('" onclick="x', None, "%22%20onclick%3D%22x", id="quotes do not end an attribute"),
        pytest.param("' onclick='x", None, "%27%20onclick%3D%27x", id="single quotes do not end an attribute"),
        pytest.param("&lt;b&gt;", None, "%26lt%3Bb%26gt%3B", id="references to characters are not resolved"),
        pytest.param("javascript:alert(1)", None, "javascript%3Aalert%281%29", id="a scheme is part of the name"),
        pytest.param("c:d", None, "c%3Ad", id="a colon does not make a scheme"),
        pytest.param("a?b#c", None, "a%3Fb%23c", id="a name has neither query nor fragment"),
        pytest.param("100%", None, "100%25", id="a percent sign"),
        pytest.param("%2e%2e", None, "%252e%252e", id="an encoded dot-segment is a name"),
        pytest.param("{title} %s", None, "%7Btitle%7D%20%25s", id="braces and percents"),
        pytest.param(
            "a\nb\r\t\x1b[2J\x7f", "a\ufffdb\ufffd\ufffd\ufffd[2J\ufffd", "a%0Ab%0D%09%1B%5B2J%7F", id="controls"
        ),
        pytest.param("a\u202etxt.exe", "a\ufffdtxt.exe", "a%E2%80%AEtxt.exe", id="a right-to-left override"),
        pytest.param("a\u200bb", "a\ufffdb", "a%E2%80%8Bb", id="a space without width"),
        pytest.param("می\u200cخواهم", None, "%D9%85%DB%8C%E2%80%8C%D8%AE%D9%88%D8%A7%D9%87%D9%85", id="a Persian word"),
        pytest.param("👩\u200d👧", None, "%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7", id="an emoji of two"),
        pytest.param("\U00050000", None, "%F1%90%80%80", id="a character that is newer than Python's tables"),
        pytest.param("a\u2028b", "a\ufffdb", "a%E2%80%A8b", id="a line separator"),
        pytest.param("a\udcffb", "a\ufffdb", "a%FFb", id="octets that are no UTF-8"),
        pytest.param("\udcc3", "\ufffd", "%C3", id="half of a UTF-8 sequence"),
        pytest.param("grüße, 世界", None, "gr%C3%BC%C3%9Fe%2C%20%E4%B8%96%E7%95%8C", id="letters of several scripts"),
    ],
)
def test_a_hostile_name_is_shown_and_linked_as_a_name(name: str, shown: str | None, href: str) -> None:
    """A name must not add markup to a page (RFC 9110 §17.4, requirement R143)."""
    page = page_of(file(name))
    assert page.entries == [(href, name if shown is None else shown)]
    assert page.elements == page_of(file("x")).elements
    assert page.attributes == page_of(file("x")).attributes
    directory = Directory(ROOT, [file(name)])
    (line,) = listing_of(directory, None, "text/plain").decode().split("\n")[:-1]
    assert line == f"   1 byte  2026-08-22 10:20 UTC  {name if shown is None else shown}"
    (listed,) = json.loads(listing_of(directory, None, "application/json"))
    assert listed["href"] == href
    assert listed["name"] == (name if shown is None else shown)


def test_a_hostile_name_of_the_folder_itself_is_shown_as_text() -> None:
    """A name must not add markup to a page (RFC 9110 §17.4, requirement R143)."""
    hostile = "</title><script>\n\udcff"
    page = page_of(name=ResourceName((hostile,), hostile, is_folder=True, is_hidden=False))
    assert page.texts["title"] == ["www/</title><script>\ufffd\ufffd/"]
    assert page.texts["h1"] == ["www/</title><script>\ufffd\ufffd"]
    assert page.elements.count("script") == 1


_NAMES = (
    st.binary(min_size=1, max_size=20)
    .filter(lambda octets: not set(octets) & set(b"\0/") and octets not in (b".", b".."))
    .map(os.fsdecode)
)


@given(name=_NAMES, is_folder=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=200)
def test_the_link_of_any_name_leads_to_that_name(name: str, is_folder: bool) -> None:
    """A link can percent-encode any octet (RFC 3986 §2.1; requirements R140 and R143)."""
    entry = Entry(name, is_folder, 1, MODIFIED)
    page = page_of(entry)
    ((href, shown),) = page.entries
    assert page.elements.count("a") == 1
    joiners = {"\u200c", "\u200d"}
    assert not {category(character) for character in set(shown) - joiners} & {"Cc", "Cf", "Zl", "Zp"}
    target = urlsplit(urljoin("http://host/some/folder/", href))
    assert (target.scheme, target.netloc, target.query, target.fragment) == ("http", "host", "", "")
    assert unquote_to_bytes(target.path) == b"/some/folder/" + os.fsencode(name) + (b"/" if is_folder else b"")
    (listed,) = json.loads(listing_of(Directory(ROOT, [entry]), None, "application/json"))
    assert listed["href"] == href
    text = listing_of(Directory(ROOT, [entry]), None, "text/plain").decode()
    assert text.endswith(f"  2026-08-22 10:20 UTC  {shown}\n")


def test_the_first_form_is_the_page() -> None:
    assert MEDIA_TYPES[0] == "text/html"
