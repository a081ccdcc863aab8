"""Charsets: detecting text, UTF-8 and declared charsets at the start of a file (RFC 9110 §8.3.2)."""

import pytest

from httpsock.http.charsets import Syntax, declares_other, is_text, is_utf8
from tests.support.rows import each_row


@each_row(
    "octets",
    [
        pytest.param(b"", id="no octets"),
        pytest.param(b"all:\n\tcc\r\n\x0c", id="tab, line feed, carriage return, form feed"),
        pytest.param(b"\x1b[31mred\x1b[0m", id="colours of a terminal"),
        pytest.param("Grüße".encode("latin-1"), id="Latin-1"),
        pytest.param("Привет".encode("windows-1251"), id="windows-1251"),
        pytest.param("日本語".encode("shift_jis"), id="Shift_JIS"),
        pytest.param("Grüße".encode("utf-16"), id="UTF-16 with a byte order mark"),
        pytest.param(b"\xfe\xff" + "Grüße".encode("utf-16-be"), id="UTF-16, big-endian, with a byte order mark"),
    ],
)
def test_text_has_no_octet_that_only_binary_data_has(octets: bytes) -> None:
    assert is_text(octets)


@each_row("octet", [0, 1, 7, 8, 0x0B, 0x0E, 0x1A, 0x1C, 0x1F])
def test_one_binary_octet_makes_data_binary(octet: int) -> None:
    # These octets are the binary data bytes of MIME Sniffing §3.
    assert not is_text(b"text" + bytes([octet]) + b"text")


def test_pdf_is_binary_although_it_starts_as_text() -> None:
    assert not is_text(b"%PDF-1.7\n")


@each_row(
    "octets",
    [
        pytest.param(b"", id="no octets"),
        pytest.param(b"plain ASCII", id="ASCII"),
        pytest.param("Grüße, 日本語, 😀".encode(), id="two, three and four octets a character"),
        pytest.param("\ufeffGrüße".encode(), id="a byte order mark"),
        pytest.param(b"\x1b[1mbold\x1b[0m", id="colours of a terminal"),
        pytest.param("\x1b(B Grüße".encode(), id="an escape of ISO 2022 beside what it can't write"),
        pytest.param(b"if (a =~{b}) ~{", id="a tilde and a brace without an end"),
    ],
)
def test_utf8_is_recognised(octets: bytes) -> None:
    assert is_utf8(octets, is_whole=True)


@each_row(
    "octets",
    [
        pytest.param("Grüße".encode("latin-1"), id="Latin-1"),
        pytest.param("Привет".encode("windows-1251"), id="windows-1251"),
        pytest.param("日本語".encode("shift_jis"), id="Shift_JIS"),
        pytest.param("中文".encode("gbk"), id="GBK"),
        pytest.param("日本語".encode("euc-jp"), id="EUC-JP"),
        pytest.param("日本語".encode("iso-2022-jp"), id="ISO-2022-JP, all ASCII octets"),
        pytest.param("한국어".encode("iso-2022-kr"), id="ISO-2022-KR, all ASCII octets"),
        pytest.param("中文".encode("hz"), id="HZ, all ASCII octets"),
        pytest.param("text".encode("utf-16-le"), id="UTF-16 without a mark: valid UTF-8 except for its NULs"),
        pytest.param("Grüße".encode("utf-16"), id="UTF-16"),
        pytest.param("text".encode("utf-32"), id="UTF-32"),
        pytest.param(b"\xc0\xaf", id="an overlong sequence"),
        pytest.param(b"\xed\xa0\x80", id="a surrogate"),
        pytest.param(b"\xf4\x90\x80\x80", id="beyond U+10FFFF"),
        pytest.param(b"\x80", id="a continuation alone"),
    ],
)
@each_row("is_whole", [True, False])
def test_content_other_than_utf8_is_recognised(octets: bytes, is_whole: bool) -> None:
    assert not is_utf8(octets, is_whole=is_whole)


@each_row("cut", [1, 2, 3])
def test_a_prefix_may_end_within_a_character_and_a_file_may_not(cut: int) -> None:
    octets = "text 😀".encode()[:-cut]
    assert is_utf8(octets, is_whole=False)
    assert not is_utf8(octets, is_whole=True)


OTHER_IN_HTML = [
    pytest.param(b"<meta charset=iso-8859-1>", id="an attribute"),
    pytest.param(b"<!DOCTYPE html><html><head><META CHARSET='Shift_JIS'>", id="upper case, single quotes"),
    pytest.param(b'<meta\n charset = "gbk" />', id="white space around"),
    pytest.param(b"<meta/charset=koi8-r>", id="a slash in the place of white space"),
    pytest.param(b'<meta name=x content=y charset="windows-1251">', id="behind other attributes"),
    pytest.param(b'<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">', id="as http-equiv"),
    pytest.param(
        b"<meta content='text/html;charset=euc-jp' http-equiv=CONTENT-TYPE>", id="the attributes in the other order"
    ),
    pytest.param(b"<meta http-equiv=content-type content=\"charset = 'big5'\">", id="quotes within quotes"),
    pytest.param(b"<p>" * 2000 + b"<meta charset=iso-8859-1>", id="after the first 1,024 octets"),
    pytest.param(b"<!-- a --><!--><meta charset=iso-8859-1>", id="behind comments"),
    pytest.param(b"<a title='>'><meta charset=iso-8859-1>", id="behind a quoted angle bracket"),
    pytest.param(b"<? pi ?><! x><meta charset=iso-8859-1>", id="behind an instruction and a declaration"),
    pytest.param(b"<meta charset=''><meta charset=iso-8859-1>", id="the first that is not empty"),
    pytest.param(b"<meta name=charset><meta charset=gbk>", id="behind a meta tag of another kind"),
    pytest.param(b"<meta charset=nonsense>", id="a charset that no client knows"),
    pytest.param(b"<meta charset=iso-8859-1", id="cut off"),
    pytest.param(b"<?xml version='1.0' encoding='iso-8859-1'?><html>", id="an XML declaration"),
    pytest.param(b"a < b <meta charset=iso-8859-1>", id="after an angle bracket that opens no tag"),
    pytest.param(b"<meta charset=us-ascii>", id="US-ASCII"),
]
NONE_IN_HTML = [
    pytest.param(b"", id="no octets"),
    pytest.param(b"<title>charset</title>", id="the word alone"),
    pytest.param(b"<meta charset=utf-8>", id="UTF-8"),
    pytest.param(b'<meta charset="UTF8" >', id="UTF-8 by another label"),
    pytest.param(b"<meta charset=utf-8/>", id="UTF-8 and a slash"),
    pytest.param(b'<meta http-equiv=content-type content="text/html; charset=utf-8">', id="UTF-8 by http-equiv"),
    pytest.param(b"<meta charset=utf-8><meta charset=iso-8859-1>", id="the first counts"),
    pytest.param(b"<meta charset=utf-8 charset=iso-8859-1>", id="the first attribute counts"),
    pytest.param(b"<!-- <meta charset=iso-8859-1> --><p>", id="in a comment"),
    pytest.param(b"<!-- <meta charset=iso-8859-1>", id="in a comment without an end"),
    pytest.param(b'<a title="<meta charset=iso-8859-1>">', id="in an attribute of another tag"),
    pytest.param(b"<metal charset=iso-8859-1>", id="a tag of another name"),
    pytest.param(b"<meta content='text/html; charset=gbk'>", id="without http-equiv"),
    pytest.param(b"<meta http-equiv=refresh content='1; charset=gbk'>", id="another http-equiv"),
    pytest.param(
        b"<meta http-equiv=content-type content='text/html'><p charset=x>", id="an http-equiv without a charset"
    ),
    pytest.param(b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>", id="an XML declaration of UTF-8"),
]


@each_row("octets", OTHER_IN_HTML)
def test_another_charset_of_a_page_is_found(octets: bytes) -> None:
    assert declares_other(octets, Syntax.HTML)


@each_row("octets", NONE_IN_HTML)
def test_a_page_without_another_declared_charset_is_utf8(octets: bytes) -> None:
    assert not declares_other(octets, Syntax.HTML)


@each_row(
    ("syntax", "octets", "expected"),
    [
        pytest.param(Syntax.XML, b"<?xml version='1.0' encoding='ISO-8859-1'?>", True, id="XML, single quotes"),
        pytest.param(Syntax.XML, b'<?xml version="1.0"\n encoding = "koi8-r"?>', True, id="XML, spaced"),
        pytest.param(Syntax.XML, b'\xef\xbb\xbf<?xml version="1.0" encoding="gbk"?>', True, id="XML behind a mark"),
        pytest.param(Syntax.XML, b'<?xml version="1.0" encoding="utf-8"?>', False, id="XML in UTF-8"),
        pytest.param(Syntax.XML, b'<?xml version="1.0"?><a encoding="gbk"/>', False, id="XML, an attribute elsewhere"),
        pytest.param(Syntax.XML, b"<svg/>", False, id="XML without a declaration"),
        pytest.param(Syntax.XML, b"<meta charset=gbk>", False, id="XML has no meta tags"),
        pytest.param(Syntax.CSS, b'@charset "iso-8859-1";', True, id="CSS"),
        pytest.param(Syntax.CSS, b"@CHARSET 'shift_jis';", True, id="CSS, in upper case, which clients ignore"),
        pytest.param(Syntax.CSS, b'@charset "UTF-8";', False, id="CSS in UTF-8"),
        pytest.param(Syntax.CSS, b'a { } @charset "gbk";', False, id="CSS, not at the start"),
        pytest.param(Syntax.SCRIPT, b"#!/usr/bin/python\n# -*- coding: latin-1 -*-\n", True, id="Python, line 2"),
        pytest.param(Syntax.SCRIPT, b"# coding=cp1252\n", True, id="Python, without an Emacs cookie"),
        pytest.param(Syntax.SCRIPT, b"# encoding: utf-8\n", False, id="Ruby in UTF-8"),
        pytest.param(Syntax.SCRIPT, b"\n\n# coding: latin-1\n", False, id="Python, line 3"),
        pytest.param(Syntax.PLAIN, b"// -*- mode: c; coding: euc-jp -*-\n", True, id="an Emacs cookie"),
        pytest.param(Syntax.PLAIN, b";; -*- coding: utf-8-unix -*-\n", False, id="an Emacs cookie of UTF-8"),
        pytest.param(Syntax.PLAIN, b"# Decoding: foundations\n", False, id="a heading"),
    ],
)
def test_each_syntax_has_its_own_declaration_of_a_charset(syntax: Syntax, octets: bytes, expected: bool) -> None:
    assert declares_other(octets, syntax) is expected
