"""Media types: the Content-Type for a file's name and first octets (RFC 9110 §8.3)."""

import re

import pytest

from httpsock.http import media_types
from httpsock.http.media_types import content_type_of, depends_on_content
from tests.support.rows import each_row

LATIN_1 = "Grüße".encode("latin-1")
BINARY = b"\x00\x01\x02\xff"


@each_row(
    ("name", "expected"),
    [
        pytest.param("index.html", "text/html; charset=utf-8", id="a page"),
        pytest.param("INDEX.HTM", "text/html; charset=utf-8", id="the suffix ignores case"),
        pytest.param("script.js", "text/javascript; charset=utf-8", id="RFC 9239: JavaScript is text/javascript"),
        pytest.param("module.mjs", "text/javascript; charset=utf-8", id="RFC 9239: so is a module"),
        pytest.param("logo.svg", "image/svg+xml; charset=utf-8", id="a drawing is text"),
        pytest.param("feed.xml", "application/xml; charset=utf-8", id="XML is text"),
        pytest.param("a.tar.gz", "application/gzip", id="what follows the last full stop counts"),
        pytest.param("clock.webm", "video/webm", id="a film has no charset"),
        pytest.param(".txt", "text/plain; charset=utf-8", id="a hidden file has a suffix too"),
        pytest.param("file.txt ", "text/plain; charset=utf-8", id="a space is part of the suffix"),
        pytest.param("html", "text/plain; charset=utf-8", id="a suffix without its full stop is a name"),
        pytest.param("", "text/plain; charset=utf-8", id="no name at all"),
        pytest.param("v1.html/file", "text/plain; charset=utf-8", id="the suffix of a folder does not count"),
        pytest.param("file.tx\udcff", "text/plain; charset=utf-8", id="a suffix that is no UTF-8"),
        pytest.param("data.bin", "application/octet-stream", id="a name for binary data"),
    ],
)
def test_a_name_has_a_content_type(name: str, expected: str) -> None:
    assert content_type_of(name, b"text", is_whole=True) == expected


@each_row(
    "name",
    """LICENSE Makefile README Dockerfile .gitignore cert.pem main.kt App.vue a.c b.cpp c.go d.h e.rs f.py g.rb h.sh
    i.sql j.tex k.jsx l.tsx m.cts n.ts o.mts p.conf q.ini r.unheard-of s. t.scss u.lock v.proto""".split(),
)
def test_the_type_of_a_file_without_a_known_suffix_depends_on_its_content(name: str) -> None:
    assert content_type_of(name, b"<script>alert(1)</script>\n", is_whole=True) == "text/plain; charset=utf-8"
    assert content_type_of(name, b"", is_whole=True) == "text/plain; charset=utf-8"
    assert content_type_of(name, LATIN_1, is_whole=True) == "text/plain"
    assert content_type_of(name, "Grüße".encode("utf-16"), is_whole=True) == "text/plain"
    assert content_type_of(name, BINARY, is_whole=True) == "application/octet-stream"


@each_row("name", ["a.html", "a.css", "a.js", "a.json", "a.csv", "a.svg", "a.xml", "a.xhtml", "a.txt"])
def test_only_utf8_is_stated_as_a_charset(name: str) -> None:
    # Requirement R147: a charset is stated only if the content is in it.
    assert content_type_of(name, "Grüße".encode(), is_whole=True).endswith("; charset=utf-8")
    for octets in (
        LATIN_1,
        "Привет".encode("windows-1251"),
        "日本語".encode("shift_jis"),
        "中文".encode("gbk"),
        BINARY,
    ):
        assert "charset" not in content_type_of(name, octets, is_whole=True)


@each_row(
    ("name", "octets"),
    [
        pytest.param("a.html", b"<meta charset=iso-8859-1>", id="HTML"),
        pytest.param("a.shtml", b"<?xml version='1.0' encoding='gbk'?>", id="HTML with an XML declaration"),
        pytest.param("a.xhtml", b"<meta charset='gbk'/>", id="XHTML, where a meta tag counts for nothing"),
        pytest.param("a.svg", b"<?xml version='1.0' encoding='ISO-8859-1'?>", id="SVG"),
        pytest.param("a.rss", b'<?xml version="1.0" encoding="windows-1251"?>', id="a feed"),
        pytest.param("a.xml", b'<?xml version="1.0" encoding="koi8-r"?>', id="XML"),
        pytest.param("a.css", b'@charset "iso-8859-1";', id="CSS"),
        pytest.param("a.py", b"# coding: latin-1\n", id="Python"),
        pytest.param("a.el", b";; -*- coding: iso-2022-7bit -*-\n", id="an Emacs cookie"),
    ],
)
def test_no_charset_is_stated_if_the_content_declares_another(name: str, octets: bytes) -> None:
    assert "charset" not in content_type_of(name, octets, is_whole=True)


def test_a_prefix_that_ends_within_a_character_is_utf8() -> None:
    assert content_type_of("a.txt", "é".encode()[:1], is_whole=False) == "text/plain; charset=utf-8"
    assert content_type_of("a.txt", "é".encode()[:1], is_whole=True) == "text/plain"


def packets(period: int, lead: int, count: int) -> bytes:
    """Return *count* MPEG packets of *period* octets each. A packet starts with *lead* extra octets."""
    return (bytes(lead) + b"\x47\x40\x00\x10" + bytes(period - lead - 4)) * count


@each_row("suffix", ["ts", "mts", "m2ts", "m2t"])
@each_row(
    ("octets", "expected"),
    [
        pytest.param(packets(188, 0, 1), "video/mp2t", id="one packet"),
        pytest.param(packets(188, 0, 9), "video/mp2t", id="packets"),
        pytest.param(packets(192, 4, 9), "video/mp2t", id="packets with their times, of a camera"),
        pytest.param(packets(188, 0, 9)[100:], "video/mp2t", id="a recording that begins within a packet"),
        pytest.param(b"export const GROUP: number = 1;\n", "text/plain; charset=utf-8", id="TypeScript"),
        pytest.param(b"G" * 1000, "text/plain; charset=utf-8", id="text full of the octet that starts a packet"),
        pytest.param(b'<?xml version="1.0"?><!DOCTYPE TS>', "text/plain; charset=utf-8", id="translations of Qt"),
        pytest.param(b"\x47\x00", "application/octet-stream", id="less than a packet"),
        pytest.param(bytes(1000), "application/octet-stream", id="zeros"),
        pytest.param(packets(188, 0, 2)[:300] + bytes(700), "application/octet-stream", id="packets that don't go on"),
    ],
)
def test_typescript_and_mpeg_streams_are_distinguished(suffix: str, octets: bytes, expected: str) -> None:
    assert content_type_of(f"a.{suffix}", octets, is_whole=True) == expected


@each_row(
    ("name", "octets", "expected"),
    [
        pytest.param("ca.crt", b"\x30\x82\x03\x00", "application/pkix-cert", id="a certificate"),
        pytest.param("ca.crt", b"-----BEGIN CERTIFICATE-----\n", "text/plain; charset=utf-8", id="armoured"),
        pytest.param("talk.key", b"PK\x03\x04\x00", "application/vnd.apple.keynote", id="slides"),
        pytest.param("tls.key", b"-----BEGIN PRIVATE KEY-----\n", "text/plain; charset=utf-8", id="a key"),
        pytest.param("tls.key", BINARY, "application/octet-stream", id="binary, but not slides"),
    ],
)
def test_formats_that_share_a_suffix_are_distinguished(name: str, octets: bytes, expected: str) -> None:
    assert content_type_of(name, octets, is_whole=True) == expected


@each_row(
    ("suffix", "media_type"),
    [
        ("geojson", "application/geo+json"),
        ("ndjson", "application/x-ndjson"),
        ("jsonl", "application/jsonl"),
        ("ipynb", "application/x-ipynb+json"),
        ("cjs", "text/javascript"),
        ("m3u", "audio/x-mpegurl"),
        ("m3u8", "application/vnd.apple.mpegurl"),
        ("m4b", "audio/mp4"),
        ("mka", "audio/matroska"),
        ("usdz", "model/vnd.usdz+zip"),
        ("webmanifest", "application/manifest+json"),
        ("gpx", "application/gpx+xml"),
        ("3mf", "model/3mf"),
        ("parquet", "application/vnd.apache.parquet"),
        ("torrent", "application/x-bittorrent"),
    ],
)
def test_modern_suffixes_have_types(suffix: str, media_type: str) -> None:
    assert content_type_of(f"a.{suffix}", b"text", is_whole=True).partition(";")[0] == media_type


@each_row(
    ("name", "expected"), [("a.png", False), ("a.bin", False), ("a.html", True), ("a.ts", True), ("LICENSE", True)]
)
def test_a_file_is_read_only_if_its_type_depends_on_it(name: str, expected: bool) -> None:
    assert depends_on_content(name) is expected


MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")


@each_row(("suffix", "media_type"), sorted((media_types._TEXT | media_types._BINARY).items()))
def test_every_type_is_well_formed(suffix: str, media_type: str) -> None:
    assert MEDIA_TYPE.fullmatch(media_type)
    assert suffix == suffix.lower()
    assert "." not in suffix


def test_no_suffix_is_in_two_tables() -> None:
    assert not media_types._TEXT.keys() & media_types._BINARY.keys()
    assert not media_types._SHARED.keys() & (media_types._TEXT | media_types._BINARY).keys()
