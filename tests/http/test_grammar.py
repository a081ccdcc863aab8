"""The grammar: which octets each pattern matches; parsing and formatting of HTTP-date."""

import calendar
import ipaddress
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.http import grammar
from tests.support.rows import each_row

bounded = settings(derandomize=True, deadline=None, max_examples=200)
every_octet = [bytes([octet]) for octet in range(256)]
ONE_MIB = 1024 * 1024


def matches(pattern: re.Pattern[bytes] | bytes, octets: bytes) -> bool:
    """Return whether *pattern* matches *octets* from beginning to end."""
    return re.fullmatch(pattern, octets) is not None


# --- Tokens, values and quoted strings ------------------------------------------------------------


def test_a_token_consists_of_letters_digits_and_fifteen_signs() -> None:
    taken = b"".join(octet for octet in every_octet if matches(grammar.token, octet))
    assert taken == b"!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~"
    assert matches(grammar.token, taken)
    assert not matches(grammar.token, b"")


def test_a_field_value_consists_of_tabs_spaces_visible_octets_and_obs_text() -> None:
    """All other octets are control characters (RFC 9110 §5.5; requirements R032 and R040)."""
    refused = b"".join(octet for octet in every_octet if not matches(grammar.field_value, octet))
    assert refused == bytes(range(9)) + bytes(range(10, 32)) + b"\x7f"
    assert matches(grammar.field_value, b"")


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b'""', True, id="an empty quoted-string"),
        pytest.param(b'"a b\t!#[]~\x80\xff"', True, id="qdtext"),
        pytest.param(rb'"\"\\\a"', True, id="quoted pairs"),
        pytest.param(b'"\\\t\\ \\\xff"', True, id="quoted tab, space and obs-text"),
        pytest.param(b'"', False, id="one quote alone"),
        pytest.param(b'"a', False, id="no closing quote"),
        pytest.param(b'a"', False, id="no opening quote"),
        pytest.param(b'"a"b"', False, id="a quote inside"),
        pytest.param(rb'"\"', False, id="the closing quote is quoted"),
        pytest.param(b'"\\\0"', False, id="a quoted NUL"),
        pytest.param(b'"\r\n"', False, id="line ends"),
        pytest.param(b'"\x7f"', False, id="DEL"),
    ],
)
def test_a_malformed_quoted_string_is_recognised(octets: bytes, expected: bool) -> None:
    """The grammar of quoted-string is in RFC 9110 §5.6.4."""
    assert matches(grammar.QUOTED_STRING, octets) is expected


# --- Lists ----------------------------------------------------------------------------------------


@each_row(
    ("field_value", "expected"),
    [
        pytest.param(b"", [], id="an empty value has no members"),
        pytest.param(b"a", [b"a"], id="one member"),
        pytest.param(b"a,b", [b"a", b"b"], id="two members"),
        pytest.param(b" a \t,\t b ", [b"a", b"b"], id="whitespace round members is dropped"),
        pytest.param(b",, a,,\t,b,", [b"a", b"b"], id="R041: empty members are skipped"),
        pytest.param(b" , \t,", [], id="R041: only empty members"),
        pytest.param(b'"a,b",c', [b'"a,b"', b"c"], id="a comma within quotes does not end a member"),
        pytest.param(rb'"a\",b",c', [rb'"a\",b"', b"c"], id="a comma after an escaped quote does not separate"),
        pytest.param(b'a;b="c,d", e', [b'a;b="c,d"', b"e"], id="quotes may stand in the middle"),
        pytest.param(b"\x0ba\x0c,\xa0b\x85", [b"\x0ba\x0c", b"\xa0b\x85"], id="R062: other spaces are no whitespace"),
        pytest.param(b'"a', [b'"a'], id="R062: a quote that opens nothing stays in its member"),
        pytest.param(b'a"', [b'a"'], id="R062: a quote that closes nothing stays in its member"),
        pytest.param(b'a, b"c', [b"a", b'b"c'], id="R062: a quote in the middle stays in its member"),
    ],
)
def test_a_list_is_split_into_its_members(field_value: bytes, expected: list[bytes]) -> None:
    assert grammar.list_members(field_value) == expected


@bounded
@given(st.lists(st.sampled_from([b"a", b",", b" ", b"\t", b'"', b"\\", b'"b,c"', b"\xff", b"\n"])).map(b"".join))
def test_splitting_a_list_loses_only_commas_and_whitespace(field_value: bytes) -> None:
    stored = b"".join(grammar.list_members(field_value))
    assert re.sub(rb"[\t ,]", b"", stored) == re.sub(rb"[\t ,]", b"", field_value)


# --- Escapes in messages, and percent-encoding ----------------------------------------------------


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b"plain text ~!", "plain text ~!", id="printable ASCII is shown as it is"),
        pytest.param(b'"\\', r"\x22\x5c", id="quotes and backslashes are escaped, so that escapes are unambiguous"),
        pytest.param(b"\x00\r\n\x1f\x7f\x80\xff", r"\x00\x0d\x0a\x1f\x7f\x80\xff", id="other octets are escaped"),
        pytest.param(b"a" * 60, "a" * 60, id="sixty octets are shown whole"),
        pytest.param(b"a" * 61, "a" * 60 + "…", id="the sixty-first is left out"),
    ],
)
def test_octets_are_escaped_in_messages(octets: bytes, expected: str) -> None:
    assert grammar.printable(octets) == expected


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b"/a%20b", b"/a b", id="an encoded octet is decoded"),
        pytest.param(b"%c3%A4", b"\xc3\xa4", id="digits in both cases"),
        pytest.param(b"%2541", b"%41", id="R139: only once"),
        pytest.param(b"%00", b"\0", id="NUL"),
        pytest.param(b"%4%zz%", b"%4%zz%", id="an invalid encoding stays"),
    ],
)
def test_percent_encoded_octets_are_decoded(octets: bytes, expected: bytes) -> None:
    assert grammar.percent_decode(octets) == expected


def test_only_unreserved_characters_are_not_percent_encoded() -> None:
    unreserved = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
    unchanged = [octet.decode() for octet in every_octet if grammar.percent_encode(octet) == octet.decode("latin-1")]
    assert "".join(unchanged) == unreserved
    assert grammar.percent_encode(b"a/\xe4\n") == "a%2F%E4%0A"


@bounded
@given(st.binary())
def test_decoding_undoes_encoding(octets: bytes) -> None:
    assert grammar.percent_decode(grammar.percent_encode(octets).encode()) == octets


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nAccept: text/html\r\n", b"text/html", id="the value"),
        pytest.param(b"G T\naCCEPT:\t a, b", b"a, b", id="any case, any line end, no last line end"),
        pytest.param(b"GET / HTTP/1.1\r\nX-Accept: a\r\nAccept-Encoding: b\r\n", None, id="no other field"),
        pytest.param(b"Accept: a\r\n", None, id="Accept in place of the request line"),
        pytest.param(b"", None, id="no field lines"),
    ],
)
def test_the_accept_line_is_found_even_in_a_broken_head(octets: bytes, expected: bytes | None) -> None:
    assert grammar.accept_line(octets) == expected
    # The Accept of the next request does not count.
    assert grammar.accept_line(b"GET /a b HTTP/1.1\r\n\r\n" + octets) is None


# --- Hosts ----------------------------------------------------------------------------------------


def is_host(octets: bytes) -> bool:
    """Return whether the grammar accepts *octets* as a value of Host."""
    return grammar.match_host(octets) is not None


def is_ipv6(text: str) -> bool:
    """Return whether the standard library accepts *text* as an IPv6 address."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def host_accepts_ipv6(text: str) -> bool:
    """Return whether the grammar accepts *text* in brackets as a value of Host."""
    return is_host(f"[{text}]".encode())


def test_ipv6_addresses_of_every_shape_are_accepted_as_by_the_standard_library() -> None:
    """Try addresses with up to nine groups, before and after ``::`` or ``:`` (RFC 3986 §3.2.2)."""
    verdicts = set()
    for before, after, gap, tail in itertools.product(range(10), range(10), ("::", ":", ""), ("", "192.0.2.1")):
        groups_after = ["ab12"] * after + ([tail] if tail else [])
        text = ":".join(["1"] * before) + gap + ":".join(groups_after)
        verdicts.add(is_ipv6(text))
        assert host_accepts_ipv6(text) is is_ipv6(text), text
    assert verdicts == {True, False}


_group = st.text("09afAF", min_size=1, max_size=4)
_piece = st.one_of(
    _group, _group, _group, st.sampled_from(["", "00000", "g", "1.2.3.4", "1.2.3.256", "1.2.3", "01.2.3.4"])
)
_address = st.ip_addresses(v=6).flatmap(lambda a: st.sampled_from([str(a), a.exploded, str(a).upper()]))


@st.composite
def damaged_addresses(draw: st.DrawFn) -> str:
    """Draw an IPv6 address, and replace or remove up to two characters."""
    text = draw(_address)
    for _ in range(draw(st.integers(0, 2))):
        position = draw(st.integers(0, len(text) - 1))
        text = text[:position] + draw(st.sampled_from(["", ":", "::", "0", "f", ".", "1.2.3.4"])) + text[position + 1 :]
    return text


@bounded
@given(st.one_of(st.lists(_piece, min_size=1, max_size=9).map(":".join), damaged_addresses()))
def test_random_ipv6_addresses_are_accepted_as_by_the_standard_library(text: str) -> None:
    """Try valid and damaged addresses (RFC 3986 §3.2.2; requirements R031 and R033)."""
    assert host_accepts_ipv6(text) is is_ipv6(text)


@bounded
@given(st.ip_addresses(v=6))
def test_every_spelling_of_an_ipv6_address_is_a_host(address: ipaddress.IPv6Address) -> None:
    assert host_accepts_ipv6(str(address))
    assert host_accepts_ipv6(address.exploded)
    assert host_accepts_ipv6(str(address).upper())


@each_row(
    "octets",
    [
        pytest.param(b"localhost", id="R033: a name"),
        pytest.param(b"www.Example.ORG.", id="R033: a name with dots"),
        pytest.param(b"a:80", id="R033: a port"),
        pytest.param(b"a:", id="R033: an empty port"),
        pytest.param(b"192.0.2.1:8000", id="R033: IPv4"),
        pytest.param(b"999.1.1.1", id="R033: an invalid IPv4 address is a name"),
        pytest.param(b"a-b_c~d!$&'()*+,;=e", id="R033: unreserved characters and sub-delims"),
        pytest.param(b"%C3%a4.example", id="R033: percent-encoded octets"),
        pytest.param(b"[::1]:80", id="R033: IPv6 and a port"),
        pytest.param(b"[::ffff:192.0.2.255]", id="R033: IPv6 that ends as IPv4"),
        pytest.param(b"[vF.a:b-~!$&'()*+,;=]", id="R033: an address of a future version"),
        pytest.param(b"[V1.x]", id="R033: IPvFuture with an upper-case V"),
    ],
)
def test_a_valid_host_matches(octets: bytes) -> None:
    assert is_host(octets)


@each_row(
    "octets",
    [
        pytest.param(b"", id="R031: an empty host"),
        pytest.param(b":80", id="R031: only a port"),
        pytest.param(b"a b", id="R031: a space"),
        pytest.param(b"a:8o", id="R031: a port that is no number"),
        pytest.param(b"a:-1", id="R031: a negative port"),
        pytest.param(b"a:1:2", id="R031: two ports"),
        pytest.param(b"a@b", id="R031: userinfo"),
        pytest.param(b"a/", id="R031: a path"),
        pytest.param(b"a?b", id="R031: a query"),
        pytest.param(b"a#b", id="R031: a fragment"),
        pytest.param(b"a\\b", id="R031: a backslash"),
        pytest.param(b'"a"', id="R031: quotes"),
        pytest.param(b"<a>", id="R031: angle brackets"),
        pytest.param(b"%", id="R031: a percent sign alone"),
        pytest.param(b"%4", id="R031: half an encoding"),
        pytest.param(b"%zz", id="R031: no encoding"),
        pytest.param(b"\xc3\xa4", id="R031: obs-text"),
        pytest.param(b"::1", id="R031: IPv6 without brackets"),
        pytest.param(b"[::1", id="R031: no closing bracket"),
        pytest.param(b"::1]", id="R031: no opening bracket"),
        pytest.param(b"[]", id="R031: empty brackets"),
        pytest.param(b"[a]", id="R031: a name in brackets"),
        pytest.param(b"[192.0.2.1]", id="R031: IPv4 in brackets"),
        pytest.param(b"[fe80::1%25eth0]", id="R031: a zone"),
        pytest.param(b"[::1]a", id="R031: something after the brackets"),
        pytest.param(b"[v1.]", id="R031: a version without address"),
        pytest.param(b"[v.x]", id="R031: no version"),
        pytest.param(b"[vg.x]", id="R031: a version that is not hexadecimal"),
        pytest.param(b"a\n", id="R031: a line end"),
    ],
)
def test_an_invalid_host_is_refused(octets: bytes) -> None:
    assert not is_host(octets)


# --- Chunk lines ----------------------------------------------------------------------------------


@each_row(
    ("octets", "size", "extensions"),
    [
        pytest.param(b"5\r\n", b"5", b"", id="R065: a digit"),
        pytest.param(b"00aF\r\n", b"00aF", b"", id="R065: leading zeros, either case"),
        pytest.param(b"5;a\r\n", b"5", b";a", id="R069: a name"),
        pytest.param(b"5;a=b;c\r\n", b"5", b";a=b;c", id="R069: a value, and another name"),
        pytest.param(b'5;a="b;\\"\t,c"\r\n', b"5", b';a="b;\\"\t,c"', id="R069: a quoted value"),
        pytest.param(b'5 ;\ta = "" ;b\t=\tc\r\n', b"5", b' ;\ta = "" ;b\t=\tc', id="R069: bad whitespace"),
    ],
)
def test_a_chunk_line_is_parsed(octets: bytes, size: bytes, extensions: bytes) -> None:
    match = grammar.chunk_line().fullmatch(octets)
    assert match
    assert (match["size"], match["extensions"]) == (size, extensions)


# --- Entity-tags and weights ----------------------------------------------------------------------


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b'"a"', True, id="a strong entity-tag"),
        pytest.param(b'W/"a"', True, id="a weak entity-tag"),
        pytest.param(b'""', True, id="an empty entity-tag"),
        pytest.param(b'"!#,\\~\x80\xff"', True, id="a comma, a backslash and obs-text within"),
        pytest.param(b'w/"a"', False, id="the W is case-sensitive"),
        pytest.param(b'W/ "a"', False, id="a space after the W"),
        pytest.param(b"a", False, id="no quotes"),
        pytest.param(b'"a', False, id="no closing quote"),
        pytest.param(b'"a b"', False, id="a space within"),
        pytest.param(b'"a"b"', False, id="a quote within"),
        pytest.param(b'"\x7f"', False, id="DEL within"),
    ],
)
def test_a_malformed_entity_tag_is_recognised(octets: bytes, expected: bool) -> None:
    """The grammar of entity-tag is in RFC 9110 §8.8.3."""
    assert matches(grammar.ENTITY_TAG, octets) is expected


@each_row(
    ("octets", "expected"),
    [
        pytest.param(b'"a"', True, id="one entity-tag"),
        pytest.param(b'"a","b",W/"c"', True, id="several"),
        pytest.param(b',, "a"\t,,W/"b" ,', True, id="R041: empty members are skipped"),
        pytest.param(b'"a" "b"', False, id="no comma"),
        pytest.param(b'"a",b', False, id="a second member without quotes"),
        pytest.param(b'"a",*', False, id="the star stands alone"),
        pytest.param(b" , ", False, id="a list without members"),
        pytest.param(b"", False, id="an empty value"),
    ],
)
def test_a_malformed_list_of_entity_tags_is_recognised(octets: bytes, expected: bool) -> None:
    assert matches(grammar.ENTITY_TAGS, octets) is expected


@each_row("octets", [b"0", b"0.", b"0.5", b"0.123", b"1", b"1.", b"1.000"])
def test_a_valid_weight_is_parsed(octets: bytes) -> None:
    """The grammar of qvalue is in RFC 9110 §12.4.2."""
    assert matches(grammar.QVALUE, octets)


@each_row("octets", [b"", b".5", b"0.1234", b"1.001", b"1.0000", b"2", b"00", b"-0", b"0,5", b" 1", b"1e0"])
def test_an_invalid_weight_is_refused(octets: bytes) -> None:
    assert not matches(grammar.QVALUE, octets)


# --- HTTP-date ------------------------------------------------------------------------------------

# The time in the example of RFC 9110 §5.6.7, and the present time for years of two digits.
EXAMPLE = 784_111_777
JUNE_2026 = calendar.timegm((2026, 6, 15, 12, 0, 0))


@each_row(
    ("field_value", "expected"),
    [
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE, id="R120: IMF-fixdate"),
        pytest.param(b"Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE, id="R120: rfc850-date"),
        pytest.param(b"Sun Nov  6 08:49:37 1994", EXAMPLE, id="R120: asctime-date"),
        pytest.param(b"Sun Nov 06 08:49:37 1994", EXAMPLE, id="R120: asctime-date, two digits for the day"),
        pytest.param(b"Wed Nov 16 08:49:37 1994", EXAMPLE + 10 * 86400, id="R120: asctime-date later in the month"),
        pytest.param(b"Mon, 06 Nov 1994 08:49:37 GMT", EXAMPLE, id="the name of the day is not verified"),
        pytest.param(b"Thu, 01 Jan 1970 00:00:00 GMT", 0, id="the first second of 1970"),
        pytest.param(b"Wed, 31 Dec 1969 23:59:59 GMT", -1, id="the second before 1970"),
        pytest.param(b"Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799, id="the last second of four-digit years"),
        pytest.param(b"Mon, 01 Jan 0001 00:00:00 GMT", -62_135_596_800, id="the first year"),
        pytest.param(b"Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400, id="2000 was a leap year"),
        pytest.param(b"Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800, id="a leap second is folded into the next"),
        pytest.param(b"Saturday, 31-Dec-16 23:59:60 GMT", 1_483_228_800, id="a leap second in an rfc850-date"),
        pytest.param(b"Sat Dec 31 23:59:60 2016", 1_483_228_800, id="a leap second in an asctime-date"),
        pytest.param(b"Fri, 31 Dec 9999 23:59:60 GMT", 253_402_300_800, id="a leap second at the end of all"),
    ],
)
def test_a_date_is_parsed(field_value: bytes, expected: int) -> None:
    assert grammar.parse_http_date(field_value, JUNE_2026) == expected


@each_row(
    "field_value",
    [
        pytest.param(b"", id="an empty value"),
        pytest.param(b"0", id="a number"),
        pytest.param(b"1994-11-06T08:49:37Z", id="ISO 8601"),
        pytest.param(b"Sun, 6 Nov 1994 08:49:37 GMT", id="one digit for the day"),
        pytest.param(b"Sun, 06 Nov 94 08:49:37 GMT", id="two digits for the year"),
        pytest.param(b"Sun, 06 Nov 1994 8:49:37 GMT", id="one digit for the hour"),
        pytest.param(b"Sun, 06 Nov 1994 08:49 GMT", id="no seconds"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37", id="no zone"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 UTC", id="a zone that is not GMT"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 +0000", id="a zone in digits"),
        pytest.param(b"sun, 06 Nov 1994 08:49:37 GMT", id="the day in lower case"),
        pytest.param(b"Sun, 06 nov 1994 08:49:37 GMT", id="the month in lower case"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 gmt", id="GMT in lower case"),
        pytest.param(b"Son, 06 Nov 1994 08:49:37 GMT", id="the day in another language"),
        pytest.param(b"Sun 06 Nov 1994 08:49:37 GMT", id="no comma"),
        pytest.param(b"Sun,  06 Nov 1994 08:49:37 GMT", id="two spaces"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT ", id="a space after it"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT; length=5", id="text after the date"),
        pytest.param(b"Sun, 06-Nov-94 08:49:37 GMT", id="rfc850-date with a short day"),
        pytest.param(b"Sunday, 06-Nov-1994 08:49:37 GMT", id="rfc850-date with a long year"),
        pytest.param(b"Sun Nov 6 08:49:37 1994", id="asctime-date with one space"),
        pytest.param(b"Sun Nov  6 08:49:37 1994 GMT", id="asctime-date with a zone"),
        pytest.param(b"Mon, 31 Apr 2000 00:00:00 GMT", id="no April has 31 days"),
        pytest.param(b"Mon, 30 Feb 2000 00:00:00 GMT", id="no February has 30 days"),
        pytest.param(b"Mon, 29 Feb 1900 00:00:00 GMT", id="1900 was no leap year"),
        pytest.param(b"Monday, 29-Feb-23 00:00:00 GMT", id="29 February 2023"),
        pytest.param(b"Mon, 00 Jan 2000 00:00:00 GMT", id="there is no day 0"),
        pytest.param(b"Mon Jan  0 00:00:00 2000", id="there is no day 0 in asctime either"),
        pytest.param(b"Mon, 32 Jan 2000 00:00:00 GMT", id="there is no day 32"),
        pytest.param(b"Sat, 01 Jan 0000 00:00:00 GMT", id="there is no year 0"),
        pytest.param(b"Sat, 01 Jan 2000 24:00:00 GMT", id="there is no hour 24"),
        pytest.param(b"Sat, 01 Jan 2000 00:60:00 GMT", id="there is no minute 60"),
        pytest.param(b"Sat, 01 Jan 2000 00:00:61 GMT", id="there is no second 61"),
    ],
)
def test_an_invalid_date_is_refused(field_value: bytes) -> None:
    assert grammar.parse_http_date(field_value, JUNE_2026) is None


@each_row(
    ("field_value", "year"),
    [
        pytest.param(b"Monday, 15-Jun-26 12:00:00 GMT", 2026, id="R120: this very second"),
        pytest.param(b"Thursday, 31-Dec-26 23:59:59 GMT", 2026, id="R120: the end of this year"),
        pytest.param(b"Wednesday, 15-Jun-00 12:00:00 GMT", 2000, id="R120: the past of this century"),
        pytest.param(b"Saturday, 15-Jun-30 12:00:00 GMT", 2030, id="R120: the near future"),
        pytest.param(
            b"Monday, 15-Jun-76 12:00:00 GMT", 2076, id="R120: exactly fifty years ahead is not more than that"
        ),
        pytest.param(
            b"Monday, 15-Jun-76 12:00:01 GMT", 1976, id="R120: fifty years and a second are more, so in the past"
        ),
        pytest.param(b"Friday, 31-Dec-76 23:59:59 GMT", 1976, id="R120: fifty years and a half lie in the past"),
        pytest.param(b"Saturday, 01-Jan-77 00:00:00 GMT", 1977, id="R120: the fifty-first year lies in the past"),
        pytest.param(b"Friday, 31-Dec-99 23:59:59 GMT", 1999, id="R120: the end of the last century"),
    ],
)
def test_a_year_of_two_digits_more_than_fifty_years_ahead_lies_in_the_past(field_value: bytes, year: int) -> None:
    """Only the obsolete rfc850-date has a year of two digits (RFC 9110 §5.6.7)."""
    seconds = grammar.parse_http_date(field_value, JUNE_2026 + 0.5)
    assert seconds is not None
    assert grammar.format_http_date(seconds)[12:16] == str(year)


@each_row(
    ("seconds", "expected"),
    [
        pytest.param(EXAMPLE, "Sun, 06 Nov 1994 08:49:37 GMT", id="the RFC's example"),
        pytest.param(0, "Thu, 01 Jan 1970 00:00:00 GMT", id="the first second"),
        pytest.param(253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT", id="the last second"),
    ],
)
def test_a_date_is_formatted_as_imf_fixdate(seconds: int, expected: str) -> None:
    """A sender must use IMF-fixdate (RFC 9110 §5.6.7, requirement R107)."""
    assert grammar.can_be_http_date(seconds)
    assert grammar.format_http_date(seconds) == expected


@each_row("seconds", [-1, 253_402_300_800])
def test_a_time_outside_the_years_1970_to_9999_cannot_be_formatted(seconds: int) -> None:
    assert not grammar.can_be_http_date(seconds)


@bounded
@given(st.integers(0, 253_402_300_799), st.integers(0, 253_402_300_799))
def test_a_formatted_date_is_parsed_to_the_same_time(seconds: int, now: int) -> None:
    assert grammar.parse_http_date(grammar.format_http_date(seconds).encode(), now) == seconds


@bounded
@given(st.binary(max_size=40), st.integers(0, 253_402_300_799))
def test_no_octets_make_the_date_parser_fail(octets: bytes, now: int) -> None:
    assert grammar.parse_http_date(octets, now) is None


@bounded
@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 9999))
def test_a_date_is_accepted_only_if_the_calendar_has_it(
    day: int, hour: int, minute: int, second: int, year: int
) -> None:
    text = f"Mon, {day:02} Feb {year:04} {hour:02}:{minute:02}:{second:02} GMT"
    last = 28 + calendar.isleap(year)
    exists = 1 <= day <= last and hour < 24 and minute < 60 and second <= 60 and year > 0
    expected = calendar.timegm((year, 2, day, hour, minute, second)) if exists else None
    assert grammar.parse_http_date(text.encode(), JUNE_2026) == expected


# --- Hostile octets -------------------------------------------------------------------------------


def fill(start: bytes, repeated: bytes, stop: bytes = b"") -> bytes:
    """Return about 1 MiB: *start*, then many copies of *repeated*, then *stop*."""
    return start + repeated * ((ONE_MIB - len(start) - len(stop)) // len(repeated)) + stop


@each_row(
    ("pattern", "start", "repeated", "stop"),
    [
        pytest.param(grammar.request_line, b"GET ", b"a", b"", id="a request line that is one target"),
        pytest.param(grammar.FIELD_SECTION % 10**6, b"\r\n", b"a: b\r\n", b"a", id="many field lines"),
        pytest.param(grammar.FIELD_SECTION % 10**6, b"\r\na:", b" \t", b"\0", id="a field line with much whitespace"),
        pytest.param(grammar.REQUEST_LINE, b"", b"a", b" / HTTP/1.1\r", id="a method"),
        pytest.param(grammar.FIELD_LINE, b"a:", b"\t ", b"\x7f", id="a value of whitespace"),
        pytest.param(grammar.ABSOLUTE_FORM, b"", b"a+", b":/", id="a scheme"),
        pytest.param(grammar.chunk_line(), b"", b"0", b"x", id="a chunk's size"),
        pytest.param(grammar.chunk_line(), b"0", b";a", b" ", id="many chunk extensions"),
        pytest.param(grammar.chunk_line(), b"0", b" \t", b"x", id="bad whitespace"),
        pytest.param(grammar.chunk_line(), b'0;a="', b'\\"', b"", id="a quoted value of quoted quotes"),
        pytest.param(grammar.ENTITY_TAGS, b"", b'"a", ', b"x", id="many entity-tags"),
        pytest.param(grammar.ENTITY_TAGS, b"", b", \t", b"x", id="many empty members"),
        pytest.param(grammar.ENTITY_TAG, b'"', b"a", b"", id="an entity-tag without end"),
    ],
)
def test_a_pattern_matches_a_mebibyte_of_hostile_octets_in_linear_time(
    pattern: re.Pattern[bytes] | bytes, start: bytes, repeated: bytes, stop: bytes
) -> None:
    assert not matches(pattern, fill(start, repeated, stop))


@each_row(
    ("start", "repeated", "stop"),
    [
        pytest.param(b"[", b"1:", b"", id="an IPv6 address without end"),
        pytest.param(b"[", b"1:", b"]", id="an IPv6 address"),
        pytest.param(b"[::", b":1", b"]", id="an IPv6 address after its gap"),
        pytest.param(b"[v1.", b":", b"", id="an address of a version to come, without end"),
        pytest.param(b"[v1.", b":", b"%]", id="an address of a version to come"),
        pytest.param(b"", b"%41", b"%", id="an encoded name"),
        pytest.param(b"a:", b"0", b"x", id="a port"),
    ],
)
def test_a_host_of_a_mebibyte_of_hostile_octets_is_checked_in_linear_time(
    start: bytes, repeated: bytes, stop: bytes
) -> None:
    assert not is_host(fill(start, repeated, stop))


@each_row(
    ("start", "repeated"),
    [
        pytest.param(b'"', b"a", id="a quote that is never closed"),
        pytest.param(b"", b'"\\', id="quotes and backslashes in turn"),
        pytest.param(b"", b'\\"', id="backslashes and quotes in turn"),
        pytest.param(b'"', b'\\"', id="a quote that is never closed, full of quoted quotes"),
        pytest.param(b"", b"a b", id="no quotes at all"),
    ],
)
def test_a_mebibyte_without_comma_is_one_member_of_a_list(start: bytes, repeated: bytes) -> None:
    # Check a short value first: a wrong pattern fails there, before it takes hours for the long one.
    for field_value in (start + repeated * 4, fill(start, repeated)):
        assert grammar.list_members(field_value) == [field_value]


def test_a_mebibyte_of_commas_has_no_members() -> None:
    assert grammar.list_members(fill(b"", b", \t")) == []
