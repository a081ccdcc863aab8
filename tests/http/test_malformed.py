"""A malformed request is refused once, with the reason, and no request behind it is answered.

Each row is played three ways: alone, by a client that then waits (so the refusal may not wait either); with a
request hidden behind it, in the same octets; and octet by octet to the parser. The second table has what looks as
odd but is well-formed: it is answered like any other request, and the connection goes on.
"""

import socket
from typing import NamedTuple

import pytest

from httpsock import Limits, Server
from httpsock.http.messages import Refusal, RequestError
from httpsock.http.request_parser import Pause, RequestParser
from tests.support import Answer, connect, read_answer, read_answers, receive_all
from tests.support.rows import each_row

POISON = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class Row(NamedTuple):
    """Octets that are no request; the sentence that answers them holds *reason* and ends with *section*."""

    name: str
    octets: bytes
    status: int
    reason: str
    section: str


def line(octets: bytes) -> bytes:
    """Return a request whose request line is *octets*."""
    return octets + b"\r\nHost: localhost\r\n\r\n"


def host(value: bytes) -> bytes:
    """Return a request whose Host is *value*."""
    return b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


def field(octets: bytes) -> bytes:
    """Return a request whose second field line is *octets*."""
    return HEAD + octets + b"\r\n\r\n"


def framed(octets: bytes) -> bytes:
    """Return a POST with the field lines *octets*, and five octets of content that may be no content."""
    return b"POST / HTTP/1.1\r\nHost: localhost\r\n" + octets + b"\r\n\r\nhello"


def chunked(octets: bytes) -> bytes:
    """Return a POST whose chunked content is *octets*."""
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + octets


REQUEST_LINES = [
    Row("R017: two spaces before the target", line(b"GET  / HTTP/1.1"), 400, "more than two spaces", "RFC 9112 §3"),
    Row("R017: two spaces before the version", line(b"GET /  HTTP/1.1"), 400, "more than two spaces", "RFC 9112 §3"),
    Row("R017: a space after the version", line(b"GET / HTTP/1.1 "), 400, "more than two spaces", "RFC 9112 §3"),
    Row("R017: a space within the target", line(b"GET /a b HTTP/1.1"), 400, "more than two spaces", "RFC 9112 §3"),
    Row("R017: the method alone", line(b"GET"), 400, "1 of its three parts", "RFC 9112 §3"),
    Row("R017: no target", line(b"GET HTTP/1.1"), 400, "2 of its three parts", "RFC 9112 §3"),
    Row("R017: no version, as in HTTP/0.9", line(b"GET /"), 400, "2 of its three parts", "RFC 9112 §3"),
    Row("R017: an HTTP/0.9 request, whole", b"GET /hello.txt\r\n", 400, "2 of its three parts", "RFC 9112 §3"),
    Row("R017: a space and no version", line(b"GET / "), 400, 'the HTTP-version is ""', "RFC 9112 §3"),
    Row("R019: no method", line(b"/ HTTP/1.1"), 400, "\\x2f at position 0", "RFC 9112 §3.1"),
    Row("R019: a space before the method", line(b" GET / HTTP/1.1"), 400, "starts with a space", "RFC 9112 §3"),
    Row("R019: tabs between the parts", line(b"GET\t/\tHTTP/1.1"), 400, "\\x09 at position 3", "RFC 9112 §3.1"),
    Row("R019: a parenthesis in the method", line(b"GE(T / HTTP/1.1"), 400, "\\x28 at position 2", "RFC 9112 §3.1"),
    Row("R019: a colon after the method", line(b"GET: / HTTP/1.1"), 400, "\\x3a at position 3", "RFC 9112 §3.1"),
    Row("R019: a comma in the method", line(b"GET,PUT / HTTP/1.1"), 400, "\\x2c at position 3", "RFC 9112 §3.1"),
    Row("R019: a slash in the method", line(b"GET/ / HTTP/1.1"), 400, "\\x2f at position 3", "RFC 9112 §3.1"),
    Row("R019: a quoted method", line(b'"GET" / HTTP/1.1'), 400, "\\x22 at position 0", "RFC 9112 §3.1"),
    Row("R019: braces round the method", line(b"{GET} / HTTP/1.1"), 400, "\\x7b at position 0", "RFC 9112 §3.1"),
    Row("R019: obs-text in the method", line(b"G\xc9T / HTTP/1.1"), 400, "\\xc9 at position 1", "RFC 9112 §3.1"),
    Row("R019: a no-break space for a space", line(b"GET\xa0/ HTTP/1.1"), 400, "\\xa0 at position 3", "RFC 9112 §3.1"),
    Row("R019: a NUL in the method", line(b"G\0ET / HTTP/1.1"), 400, "\\x00 at position 1", "RFC 9112 §3.1"),
    Row("R018: LF for the first space", line(b"GET\n/ HTTP/1.1"), 400, "ends with a bare LF", "RFC 9112 §3"),
    Row("R018: LF for the second space", line(b"GET /\nHTTP/1.1"), 400, "ends with a bare LF", "RFC 9112 §3"),
    Row("R003: the request line ends with LF", line(b"GET / HTTP/1.1\nX: y"), 400, "a bare LF", "RFC 9112 §3"),
    Row("R003: an empty line of LF alone", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a bare LF", "RFC 9112 §3"),
    Row("R003: all lines end with LF", b"GET / HTTP/1.1\nHost: localhost\n\n", 400, "a bare LF", "RFC 9112 §3"),
    Row("R002: a bare CR in the target", line(b"GET /a\rb HTTP/1.1"), 400, "has a bare CR", "RFC 9112 §3"),
    Row("R002: a CR before the CRLF", line(b"GET / HTTP/1.1\r"), 400, "has a bare CR", "RFC 9112 §3"),
    Row("R002: a CR for the line end", line(b"GET / HTTP/1.1\rX: y"), 400, "has a bare CR", "RFC 9112 §3"),
    Row("R002: a CR before the method", line(b"\rGET / HTTP/1.1"), 400, "\\x0d at position 0", "RFC 9112 §3.1"),
    Row("R002: a CR within the method", line(b"GE\rT / HTTP/1.1"), 400, "\\x0d at position 2", "RFC 9112 §3.1"),
    Row("R018: a NUL in the target", line(b"GET /a\0b HTTP/1.1"), 400, "has a control character", "RFC 9112 §3"),
    Row("R018: a tab in the target", line(b"GET /a\tb HTTP/1.1"), 400, "has a control character", "RFC 9112 §3"),
    Row("R018: a VT in the target", line(b"GET /a\vb HTTP/1.1"), 400, "has a control character", "RFC 9112 §3"),
    Row("R018: an FF in the target", line(b"GET /a\fb HTTP/1.1"), 400, "has a control character", "RFC 9112 §3"),
    Row("R018: an ESC in the target", line(b"GET /\x1b[31m HTTP/1.1"), 400, "has a control character", "RFC 9112 §3"),
    Row("R018: a DEL in the target", line(b"GET /a\x7fb HTTP/1.1"), 400, "has a control character", "RFC 9112 §3"),
]

VERSIONS = [
    Row("R008: HTTP-name in lower case", line(b"GET / http/1.1"), 400, '"http/1.1", not HTTP/1.1', "RFC 9112 §3"),
    Row("R008: HTTP-name in mixed case", line(b"GET / Http/1.1"), 400, '"Http/1.1", not HTTP/1.1', "RFC 9112 §3"),
    Row("R008: another name", line(b"GET / HTTPS/1.1"), 400, '"HTTPS/1.1", not HTTP/1.1', "RFC 9112 §3"),
    Row("R009: no minor version", line(b"GET / HTTP/1"), 400, '"HTTP/1", not', "RFC 9112 §3"),
    Row("R009: a full stop and no minor version", line(b"GET / HTTP/1."), 400, '"HTTP/1.", not', "RFC 9112 §3"),
    Row("R009: no major version", line(b"GET / HTTP/.1"), 400, '"HTTP/.1", not', "RFC 9112 §3"),
    Row("R009: two minor digits", line(b"GET / HTTP/1.10"), 400, '"HTTP/1.10", not', "RFC 9112 §3"),
    Row("R009: two major digits", line(b"GET / HTTP/11.1"), 400, '"HTTP/11.1", not', "RFC 9112 §3"),
    Row("R009: leading zeros", line(b"GET / HTTP/01.01"), 400, '"HTTP/01.01", not', "RFC 9112 §3"),
    Row("R009: three numbers", line(b"GET / HTTP/1.1.1"), 400, '"HTTP/1.1.1", not', "RFC 9112 §3"),
    Row("R009: a comma", line(b"GET / HTTP/1,1"), 400, '"HTTP/1,1", not', "RFC 9112 §3"),
    Row("R009: a sign", line(b"GET / HTTP/+1.1"), 400, '"HTTP/+1.1", not', "RFC 9112 §3"),
    Row("R009: hexadecimal", line(b"GET / HTTP/0x1.1"), 400, '"HTTP/0x1.1", not', "RFC 9112 §3"),
    Row("R009: a letter behind it", line(b"GET / HTTP/1.1a"), 400, '"HTTP/1.1a", not', "RFC 9112 §3"),
    Row("R009: no slash", line(b"GET / HTTP1.1"), 400, '"HTTP1.1", not', "RFC 9112 §3"),
    Row("R009: digits of another script", line("GET / HTTP/١.١".encode()), 400, "the HTTP-version is", "RFC 9112 §3"),
    Row("R009: a NUL behind it", line(b"GET / HTTP/1.1\0"), 400, '"HTTP/1.1\\x00", not', "RFC 9112 §3"),
    Row("R010: 2 to the 32nd and 1", line(b"GET / HTTP/4294967297.1"), 400, '"HTTP/4294967297.1"', "RFC 9112 §3"),
    Row("R010: 2 to the 64th and 1", line(b"GET / HTTP/1.18446744073709551617"), 400, "HTTP-version is", "RFC 9112 §3"),
    Row("R013: HTTP/0.9 spelt out", line(b"GET / HTTP/0.9"), 505, "HTTP/0.9 is not supported", "RFC 9110 §15.6.6"),
    Row("R013: HTTP/0.0", line(b"GET / HTTP/0.0"), 505, "HTTP/0.0 is not supported", "RFC 9110 §15.6.6"),
    Row("R013: HTTP/2.0", line(b"GET / HTTP/2.0"), 505, "HTTP/2.0 is not supported", "RFC 9110 §15.6.6"),
    Row("R013: HTTP/3.0", line(b"GET / HTTP/3.0"), 505, "HTTP/3.0 is not supported", "RFC 9110 §15.6.6"),
    Row("R013: HTTP/9.9", line(b"GET / HTTP/9.9"), 505, "HTTP/9.9 is not supported", "RFC 9110 §15.6.6"),
]

TARGETS = [
    Row("R017: no slash first", line(b"GET hello.txt HTTP/1.1"), 400, "starts with neither", "RFC 9112 §3.2"),
    Row("R017: a query first", line(b"GET ?q HTTP/1.1"), 400, "starts with neither", "RFC 9112 §3.2"),
    Row("R017: a parent folder first", line(b"GET ../x HTTP/1.1"), 400, "starts with neither", "RFC 9112 §3.2"),
    Row("R017: a fragment", line(b"GET /#top HTTP/1.1"), 400, "has a fragment (#)", "RFC 9112 §3.2"),
    Row("R017: a fragment in the query", line(b"GET /?a#b HTTP/1.1"), 400, "has a fragment (#)", "RFC 9112 §3.2"),
    Row("R017: a backslash", line(b"GET /..\\x HTTP/1.1"), 400, "has a backslash", "RFC 9112 §3.2"),
    Row("R143: a slash and a backslash", line(b"GET /\\evil.example HTTP/1.1"), 400, "a backslash", "RFC 9112 §3.2"),
    Row("R140: a percent sign at the end", line(b"GET /100% HTTP/1.1"), 400, 'has "%", a percent', "RFC 3986 §2.1"),
    Row("R140: one digit after a percent sign", line(b"GET /%4 HTTP/1.1"), 400, 'has "%4", a percent', "RFC 3986 §2.1"),
    Row("R140: no hexadecimal digits", line(b"GET /%zz HTTP/1.1"), 400, 'has "%zz", a percent', "RFC 3986 §2.1"),
    Row("R140: %u is no escape", line(b"GET /%u0041 HTTP/1.1"), 400, 'has "%u0", a percent', "RFC 3986 §2.1"),
    Row("R140: int() would take %+1", line(b"GET /%+1 HTTP/1.1"), 400, 'has "%+1", a percent', "RFC 3986 §2.1"),
    Row("R027: * belongs to OPTIONS", line(b"GET * HTTP/1.1"), 400, "is for OPTIONS, not for GET", "RFC 9112 §3.2.4"),
    Row("R027: ** is no form", line(b"OPTIONS ** HTTP/1.1"), 400, "starts with neither", "RFC 9112 §3.2"),
    Row("R027: authority-form in GET", line(b"GET localhost:80 HTTP/1.1"), 400, "starts with neither", "RFC 9112 §3.2"),
    Row("R028: CONNECT to no port", line(b"CONNECT a HTTP/1.1"), 400, 'CONNECT to "a"', "RFC 9110 §9.3.6"),
    Row("R028: CONNECT to an empty port", line(b"CONNECT a: HTTP/1.1"), 400, 'CONNECT to "a:"', "RFC 9110 §9.3.6"),
    Row("R028: CONNECT to port 0", line(b"CONNECT a:0 HTTP/1.1"), 400, 'CONNECT to "a:0"', "RFC 9110 §9.3.6"),
    Row("R028: CONNECT to 65536", line(b"CONNECT a:65536 HTTP/1.1"), 400, 'CONNECT to "a:65536"', "RFC 9110 §9.3.6"),
    Row("R028: CONNECT to a word", line(b"CONNECT a:http HTTP/1.1"), 400, 'CONNECT to "a:http"', "RFC 9110 §9.3.6"),
    Row("R028: CONNECT to no host", line(b"CONNECT :80 HTTP/1.1"), 400, 'CONNECT to ":80"', "RFC 9110 §9.3.6"),
    Row("R028: CONNECT to a path", line(b"CONNECT / HTTP/1.1"), 400, 'CONNECT to "/"', "RFC 9110 §9.3.6"),
    Row("R028: CONNECT to *", line(b"CONNECT * HTTP/1.1"), 400, 'CONNECT to "*"', "RFC 9110 §9.3.6"),
    Row("R028: CONNECT to a URI", line(b"CONNECT http://a:80/ HTTP/1.1"), 400, "not a host and a", "RFC 9110 §9.3.6"),
    Row(
        "R023: https in clear text",
        line(b"GET https://a/ HTTP/1.1"),
        421,
        "scheme https is not served",
        "RFC 9110 §7.4",
    ),
    Row(
        "R023: HTTPS in capitals", line(b"GET HTTPS://a/ HTTP/1.1"), 421, "scheme https is not served", "RFC 9110 §7.4"
    ),
    Row("R023: another scheme", line(b"GET ftp://a/ HTTP/1.1"), 421, "scheme ftp is not served", "RFC 9110 §7.4"),
    Row("R017: a scheme without //", line(b"GET http:/a HTTP/1.1"), 400, "starts with neither", "RFC 9112 §3.2"),
    Row("R017: javascript:", line(b"GET javascript:alert(1) HTTP/1.1"), 400, "starts with neither", "RFC 9112 §3.2"),
    Row("R024: an empty host", line(b"GET http:///a HTTP/1.1"), 400, 'has the invalid host ""', "RFC 9110 §4.2.1"),
    Row("R024: nothing but a scheme", line(b"GET http:// HTTP/1.1"), 400, 'has the invalid host ""', "RFC 9110 §4.2.1"),
    Row("R024: a port alone", line(b"GET http://:80/ HTTP/1.1"), 400, 'has the invalid host ":80"', "RFC 9110 §4.2.1"),
    Row(
        "R024: an unclosed bracket", line(b"GET http://[::1/ HTTP/1.1"), 400, "has the invalid host", "RFC 9110 §4.2.1"
    ),
    Row("R024: port 99999", line(b"GET http://a:99999/ HTTP/1.1"), 400, 'invalid host "a:99999"', "RFC 9110 §4.2.1"),
    Row("R025: a user", line(b"GET http://me@a/ HTTP/1.1"), 400, "has userinfo", "RFC 9110 §4.2.4"),
    Row("R025: a user and password", line(b"GET http://me:pw@a/ HTTP/1.1"), 400, "has userinfo", "RFC 9110 §4.2.4"),
    Row("R017: a fragment in absolute-form", line(b"GET http://a/#b HTTP/1.1"), 400, "a fragment", "RFC 9112 §3.2"),
]

NOT_A_HOST = "not a host with an optional port"
HOSTS = [
    Row("R029: no Host", b"GET / HTTP/1.1\r\n\r\n", 400, "there is no Host", "RFC 9112 §3.2"),
    Row("R029: no Host among others", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, "there is no Host", "RFC 9112 §3.2"),
    Row("R029: no Host in HTTP/1.2", b"GET / HTTP/1.2\r\n\r\n", 400, "there is no Host", "RFC 9112 §3.2"),
    Row("R029: no Host beside an URI", b"GET http://a/ HTTP/1.1\r\n\r\n", 400, "there is no Host", "RFC 9112 §3.2"),
    Row("R030: Host twice, the same", field(b"Host: localhost"), 400, "more than one Host", "RFC 9112 §3.2"),
    Row("R030: Host twice, different", field(b"Host: evil.example"), 400, "more than one Host", "RFC 9112 §3.2"),
    Row("R030: Host twice, one empty", field(b"Host:"), 400, "more than one Host", "RFC 9112 §3.2"),
    Row("R030: Host twice, in another case", field(b"hOST: localhost"), 400, "more than one Host", "RFC 9112 §3.2"),
    Row(
        "R030: Host twice in HTTP/1.0",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        400,
        "more than one Host",
        "RFC 9112 §3.2",
    ),
    Row("R031: invalid in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", 400, NOT_A_HOST, "RFC 9112 §3.2"),
    Row(
        "R031: invalid beside an URI",
        b"GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
        400,
        NOT_A_HOST,
        "RFC 9112 §3.2",
    ),
    Row("R031: a VT before it", host(b"\vlocalhost"), 400, "the control character \\x0b", "RFC 9110 §5.5"),
    Row("R031: a NUL in it", host(b"local\0host"), 400, "has a NUL in its value", "RFC 9110 §5.5"),
] + [
    Row(f"R031: {name}", host(value), 400, NOT_A_HOST, "RFC 9112 §3.2")
    for name, value in [
        ("empty", b""),
        ("whitespace alone", b" \t "),
        ("a list", b"a, b"),
        ("a space within", b"a b"),
        ("a tab within", b"a\tb"),
        ("a slash", b"a/b"),
        ("a slash behind", b"a/"),
        ("a query", b"a?b"),
        ("a fragment", b"a#b"),
        ("a user", b"me@a"),
        ("a backslash", b"a\\b"),
        ("a URI", b"http://a"),
        ("markup", b"<script>"),
        ("quotes", b'"a"'),
        ("braces", b"{a}"),
        ("a caret", b"a^b"),
        ("a pipe", b"a|b"),
        ("obs-text", b"gr\xc3\xbc\xc3\x9fe"),
        ("a no-break space before it", b"\xa0localhost"),
        ("a broken escape", b"a%2"),
        ("an escape that is none", b"a%zz"),
        ("a port alone", b":80"),
        ("a port of letters", b"a:http"),
        ("a port with a sign", b"a:+80"),
        ("a negative port", b"a:-1"),
        ("a space before the port", b"a: 80"),
        ("a port of another script", "a:٨٠".encode()),
        ("two ports", b"a:80:80"),
        ("port 65536", b"a:65536"),
        ("a port of twenty digits", b"a:11111111111111111111"),
        ("IPv6 without brackets", b"::1"),
        ("an unclosed bracket", b"[::1"),
        ("an unopened bracket", b"::1]"),
        ("empty brackets", b"[]"),
        ("letters behind the bracket", b"[::1]a"),
        ("a name in brackets", b"[localhost]"),
        ("IPv4 in brackets", b"[127.0.0.1]"),
        ("three colons", b"[:::1]"),
        ("two abbreviations", b"[1::2::3]"),
        ("nine groups", b"[1:2:3:4:5:6:7:8:9]"),
        ("seven groups", b"[1:2:3:4:5:6:7]"),
        ("five digits in a group", b"[::12345]"),
        ("256 in the IPv4 part", b"[::ffff:256.0.0.1]"),
        ("a zone", b"[fe80::1%25eth0]"),
        ("IPvFuture without a version", b"[v.a]"),
        ("IPvFuture without an address", b"[v1.]"),
    ]
]

FIELD_LINES = [
    Row("R038: no colon", field(b"colonless"), 400, 'field line 2 "colonless" has no colon', "RFC 9112 §5"),
    Row("R038: no name", field(b": y"), 400, 'field line 2 has the name ""', "RFC 9110 §5.1"),
    Row(
        "R038: no name, in the first line",
        b"GET / HTTP/1.1\r\n: y\r\n\r\n",
        400,
        'field line 1 has the name ""',
        "§5.1",
    ),
    Row("R036: a space before the colon", field(b"X : y"), 400, "field line 2 has a space before its", "RFC 9112 §5.1"),
    Row("R036: a tab before the colon", field(b"X\t: y"), 400, "has a space before its colon", "RFC 9112 §5.1"),
    Row("R036: Host with a space", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "field line 1 has a space", "§5.1"),
    Row("R036: Content-Length with a space", framed(b"Content-Length : 5"), 400, "has a space before", "RFC 9112 §5.1"),
    Row("R036: Transfer-Encoding with a space", framed(b"Transfer-Encoding : chunked"), 400, "has a space", "§5.1"),
] + [
    Row(f"R038: {name}", field(octets), 400, "which is not a token", "RFC 9110 §5.1")
    for name, octets in [
        ("a space within a name", b"X Y: z"),
        ("a NUL in a name", b"X\0Y: z"),
        ("a NUL at the end of a name", b"Content-Length\0: 5"),
        ("parentheses in a name", b"X(Y): z"),
        ("a slash in a name", b"X/Y: z"),
        ("an at sign in a name", b"X@Y: z"),
        ("a comma in a name", b"X,Y: z"),
        ("a semicolon in a name", b"X;Y: z"),
        ("an equals sign in a name", b"X=Y: z"),
        ("a quoted name", b'"X": z'),
        ("brackets round a name", b"[X]: z"),
        ("a brace in a name", b"{X: z"),
        ("obs-text in a name", b"X\xe9: z"),
        ("a no-break space after a name", b"Content-Length\xa0: 5"),
        ("a VT after a name", b"Transfer-Encoding\v: chunked"),
        ("an FF before a name", b"\fTransfer-Encoding: chunked"),
        ("a DEL in a name", b"X\x7fY: z"),
        ("a bare CR in a name", b"X\rY: z"),
    ]
]

FOLDED = "starts with whitespace: folded lines are obsolete"
SEPARATED = "whitespace between the request line and the first field line"
LINE_ENDS = [
    Row("R005: a space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, SEPARATED, "RFC 9112 §2.2"),
    Row("R005: a tab before the first field", b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", 400, SEPARATED, "RFC 9112 §2.2"),
    Row("R005: a line of one space", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", 400, SEPARATED, "RFC 9112 §2.2"),
    Row("R037: a folded value", field(b"X: y\r\n z"), 400, f"field line 3 {FOLDED}", "RFC 9112 §5.2"),
    Row("R037: folded by a tab", field(b"X: y\r\n\tz"), 400, FOLDED, "RFC 9112 §5.2"),
    Row("R037: folded into a line of spaces", field(b"X: y\r\n  "), 400, FOLDED, "RFC 9112 §5.2"),
    Row("R037: a folded Host", host(b"a\r\n .example"), 400, FOLDED, "RFC 9112 §5.2"),
    Row("R037: a field hidden in a fold", field(b"X: y\r\n Content-Length: 5"), 400, FOLDED, "RFC 9112 §5.2"),
    Row("R037: a folded Content-Length", framed(b"Content-Length:\r\n 5"), 400, FOLDED, "RFC 9112 §5.2"),
    Row("R037: a folded Transfer-Encoding", framed(b"Transfer-Encoding:\r\n chunked"), 400, FOLDED, "RFC 9112 §5.2"),
    Row(
        "R003: a field line ends with LF",
        field(b"X: y\nZ: z"),
        400,
        "field line 2 ends with a bare LF",
        "RFC 9112 §2.2",
    ),
    Row("R003: the last field line ends with LF", HEAD + b"X: y\n\r\n", 400, "ends with a bare LF", "RFC 9112 §2.2"),
    Row("R003: the head ends with LF", HEAD + b"\n", 400, "field line 2 ends with a bare LF", "RFC 9112 §2.2"),
    Row("R002: a bare CR in a value", field(b"X: a\rb"), 400, "field line 2 has a bare CR", "RFC 9112 §2.2"),
    Row("R002: a CR before the CRLF", field(b"X: a\r"), 400, "has a bare CR in its value", "RFC 9112 §2.2"),
    Row(
        "R002: a field behind a bare CR",
        field(b"X: a\rTransfer-Encoding: chunked"),
        400,
        "has a bare CR",
        "RFC 9112 §2.2",
    ),
    Row("R002: a CR and a NUL", field(b"X: a\r\0"), 400, "has a bare CR in its value", "RFC 9112 §2.2"),
    Row("R032: a NUL in a value", field(b"X: a\0b"), 400, "field line 2 has a NUL in its value", "RFC 9110 §5.5"),
    Row("R032: a value of NUL alone", field(b"X: \0"), 400, "has a NUL in its value", "RFC 9110 §5.5"),
] + [
    Row(f"R032: the octet {octet:#04x} in a value", field(b"X: a%cb" % octet), 400, f"\\x{octet:02x}", "RFC 9110 §5.5")
    for octet in (0x01, 0x07, 0x08, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F)
]

CONTENT_LENGTHS = [
    Row(f"R048: {name}", framed(b"Content-Length: " + value), 400, "not one decimal number", "RFC 9112 §6.3")
    for name, value in [
        ("an empty length", b""),
        ("a sign", b"+5"),
        ("a negative length", b"-5"),
        ("minus zero", b"-0"),
        ("hexadecimal", b"0x5"),
        ("octal as Python writes it", b"0o5"),
        ("digits grouped as Python does", b"1_0"),
        ("digits grouped by spaces", b"1 0"),
        ("a fraction", b"5.0"),
        ("an exponent", b"5e0"),
        ("a word", b"five"),
        ("a unit", b"5 octets"),
        ("a parameter", b"5;q=1"),
        ("quotes", b'"5"'),
        ("a no-break space before it", b"\xa05"),
        ("a next-line character after it", b"5\x85"),
        ("digits of another script", "٥".encode()),
        ("a superscript digit", b"\xb2"),
    ]
] + [
    Row("R048: a VT before it", framed(b"Content-Length: \v5"), 400, "the control character \\x0b", "RFC 9110 §5.5"),
    Row("R049: a list of different lengths", framed(b"Content-Length: 5, 6"), 400, "not one decimal", "RFC 9112 §6.3"),
    Row("R050: a list of equal lengths", framed(b"Content-Length: 5, 5"), 400, "not one decimal", "RFC 9112 §6.3"),
    Row("R049: a list with an empty member", framed(b"Content-Length: ,5"), 400, "not one decimal", "RFC 9112 §6.3"),
    Row(
        "R049: different lengths in two lines",
        framed(b"Content-Length: 5\r\nContent-Length: 6"),
        400,
        "more than one Content-Length",
        "RFC 9112 §6.3",
    ),
    Row(
        "R050: equal lengths in two lines",
        framed(b"Content-Length: 5\r\nContent-Length: 5"),
        400,
        "more than one Content-Length",
        "RFC 9112 §6.3",
    ),
    Row("R051: nineteen digits", framed(b"Content-Length: " + b"9" * 19), 413, "has 19 digits", "RFC 9110 §8.6"),
    Row(
        "R051: 2 to the 64th and 5", framed(b"Content-Length: 18446744073709551621"), 413, "20 digits", "RFC 9110 §8.6"
    ),
    Row(
        "R051: more digits than int() takes",
        framed(b"Content-Length: " + b"9" * 4301),
        413,
        "4301 digits",
        "RFC 9110 §8.6",
    ),
]

NOT_LAST = 'the last coding is not exactly "chunked"'
TRANSFER_ENCODINGS = [
    Row(f"R062: {name}", framed(b"Transfer-Encoding: " + value), 400, NOT_LAST, "RFC 9112 §6.3")
    for name, value in [
        ("an empty value", b""),
        ("empty list members alone", b", ,"),
        ("a letter before it", b"xchunked"),
        ("a letter behind it", b"chunkedx"),
        ("quotes", b'"chunked"'),
        ("a quote before it", b'"chunked'),
        ("a quote behind it", b'chunked"'),
        ("a quote before it in a list", b'gzip, "chunked'),
        ("single quotes", b"'chunked'"),
        ("a space within", b"chun ked"),
        ("a next-line character behind it", b"chunked\x85"),
        ("a no-break space before it", b"\xa0chunked"),
        ("its value twice without a comma", b"chunked chunked"),
        ("a Kelvin sign for the k", "chun\u212aed".encode()),
    ]
] + [
    Row("R062: a VT before it", framed(b"Transfer-Encoding: \vchunked"), 400, "\\x0b in its value", "RFC 9110 §5.5"),
    Row("R062: an FF behind it", framed(b"Transfer-Encoding: chunked\f"), 400, "\\x0c in its value", "RFC 9110 §5.5"),
    Row("R062: a NUL behind it", framed(b"Transfer-Encoding: chunked\0"), 400, "has a NUL in its", "RFC 9110 §5.5"),
    Row("R062: LF behind it", framed(b"Transfer-Encoding: chunked\nX: y"), 400, "with a bare LF", "RFC 9112 §2.2"),
    Row("R063: a parameter", framed(b"Transfer-Encoding: chunked;q=1"), 400, NOT_LAST, "RFC 9112 §6.3"),
    Row("R057: chunked not last", framed(b"Transfer-Encoding: chunked, gzip"), 400, NOT_LAST, "RFC 9112 §6.3"),
    Row("R057: gzip alone", framed(b"Transfer-Encoding: gzip"), 400, NOT_LAST, "RFC 9112 §6.3"),
    Row("R057: identity", framed(b"Transfer-Encoding: identity"), 400, NOT_LAST, "RFC 9112 §6.3"),
    Row("R058: gzip, chunked", framed(b"Transfer-Encoding: gzip, chunked"), 501, "not implemented", "RFC 9112 §6.1"),
    Row("R058: identity, chunked", framed(b"Transfer-Encoding: identity, chunked"), 501, "not implemented", "§6.1"),
    Row(
        "R058: gzip and chunked in two lines",
        framed(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
        501,
        "not implemented",
        "RFC 9112 §6.1",
    ),
    Row("R061: chunked twice in a list", framed(b"Transfer-Encoding: chunked, chunked"), 400, "chunked twice", "§6.1"),
    Row(
        "R061: chunked twice in two lines",
        framed(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        400,
        "chunked twice",
        "RFC 9112 §6.1",
    ),
    Row(
        "R059: a length before it",
        framed(b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
        400,
        "both Transfer-Encoding and Content-Length",
        "RFC 9112 §6.1",
    ),
    Row(
        "R059: a length behind it",
        framed(b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
        400,
        "both Transfer-Encoding and Content-Length",
        "RFC 9112 §6.1",
    ),
    Row(
        "R059: a length beside a coding that is none",
        framed(b"Transfer-Encoding: xchunked\r\nContent-Length: 5"),
        400,
        "both Transfer-Encoding and Content-Length",
        "RFC 9112 §6.1",
    ),
    Row(
        "R060: chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "Transfer-Encoding in an HTTP/1.0 request",
        "RFC 9112 §6.1",
    ),
    Row(
        "R060: chunked and a length in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        400,
        "Transfer-Encoding in an HTTP/1.0 request",
        "RFC 9112 §6.1",
    ),
]

NOT_A_CHUNK = "is not a hexadecimal size, extensions and CRLF"
CHUNKS = (
    [
        Row(f"R066: {name}", chunked(octets), 400, NOT_A_CHUNK, "RFC 9112 §7.1")
        for name, octets in [
            ("no size", b"\r\nhello\r\n"),
            ("a letter beyond f", b"g\r\n"),
            ("a space before the size", b" 5\r\nhello\r\n"),
            ("a space after the size", b"5 \r\nhello\r\n"),
            ("a tab after the size", b"5\t\r\nhello\r\n"),
            ("a sign", b"+5\r\nhello\r\n"),
            ("a negative size", b"-5\r\nhello\r\n"),
            ("minus zero", b"-0\r\n\r\n"),
            ("a prefix", b"0x5\r\nhello\r\n"),
            ("digits grouped as Python does", b"1_0\r\n"),
            ("a fraction", b"5.0\r\nhello\r\n"),
            ("digits of another script", "٥\r\nhello\r\n".encode()),
            ("a NUL after the size", b"5\0\r\nhello\r\n"),
            ("a bare CR after the size", b"5\rX\r\nhello\r\n"),
            ("a second CR after the size", b"5\r\r\nhello\r\n"),
            ("LF alone after the size", b"5\nhello\r\n"),
            ("LF alone after the last size", b"0\n\r\n"),
            ("a comma", b"5,a\r\nhello\r\n"),
        ]
    ]
    + [
        Row(f"R070: {name}", chunked(octets), 400, NOT_A_CHUNK, "RFC 9112 §7.1")
        for name, octets in [
            ("an extension without a name", b"5;\r\nhello\r\n"),
            ("a value without a name", b"5;=a\r\nhello\r\n"),
            ("a name without its value", b"5;a=\r\nhello\r\n"),
            ("a semicolon too many", b"5;a;;b\r\nhello\r\n"),
            ("two words", b"5;a b\r\nhello\r\n"),
            ("no semicolon", b"5 a\r\nhello\r\n"),
            ("an open quote", b'5;a="b\r\nhello\r\n'),
            ("letters behind a quote", b'5;a="b"c\r\nhello\r\n'),
            ("a control within quotes", b'5;a="\x01"\r\nhello\r\n'),
            ("a CR within quotes", b'5;a="\r"\r\nhello\r\n'),
            ("a NUL in a name", b"5;a\0\r\nhello\r\n"),
            ("a bare CR in a value", b"5;a=b\rc\r\nhello\r\n"),
            ("LF within an extension", b"5;a\nb\r\nhello\r\n"),
            ("a faulty extension of the last chunk", b"0;\r\n\r\n"),
        ]
    ]
    + [
        Row(f"R068: {name}", chunked(octets), 400, "chunk data is followed by", "RFC 9112 §7.1")
        for name, octets in [
            ("two other octets for CRLF", b"5\r\nhelloXX0\r\n\r\n"),
            ("LF alone after the data", b"5\r\nhello\n0\r\n\r\n"),
            ("a CR and another octet after the data", b"5\r\nhello\rX0\r\n\r\n"),
            ("two CR after the data", b"5\r\nhello\r\r\n0\r\n\r\n"),
            ("nothing after the data", b"5\r\nhello0\r\n\r\n"),
            ("more data than the size", b"5\r\nhello, world\r\n0\r\n\r\n"),
            ("less data than the size", b"5\r\nhell\r\n0\r\n\r\n"),
            ("a fault in the second chunk", b"1\r\na\r\n1\r\nbb\r\n0\r\n\r\n"),
        ]
    ]
    + [
        Row("R067: seventeen digits", chunked(b"f" * 17 + b"\r\n"), 413, "limit of 1048576", "RFC 9110 §15.5.14"),
        Row("R067: 2 to the 64th", chunked(b"10000000000000000\r\n"), 413, "longer than the", "RFC 9110 §15.5.14"),
        Row("R067: one octet above the limit", chunked(b"100001\r\n"), 413, "longer than the", "RFC 9110 §15.5.14"),
        Row("R067: the sum of two chunks", chunked(b"1\r\na\r\n100000\r\n"), 413, "longer than", "RFC 9110 §15.5.14"),
        Row("R071: a long extension", chunked(b"5;" + b"a" * 4100), 400, "chunk line is longer", "RFC 9112 §7.1.1"),
        Row("R071: a size of zeros", chunked(b"0" * 4100), 400, "the chunk line is longer", "RFC 9112 §7.1.1"),
        Row(
            "R071: the sum of extensions",
            chunked((b"1;" + b"a" * 4000 + b"\r\nx\r\n") * 5),
            400,
            "chunk extensions take more than 16384 bytes",
            "RFC 9112 §7.1.1",
        ),
    ]
)

TRAILERS = [
    Row(f"R074: {name}", chunked(b"0\r\n" + octets), 400, f"trailer field line {reason}", section)
    for name, octets, reason, section in [
        ("a request in place of trailers", b"GET /x HTTP/1.1\r\n\r\n", '1 "GET /x HTTP/1.1" has no', "RFC 9112 §5"),
        ("a trailer without a colon", b"X: y\r\ncolonless\r\n\r\n", '2 "colonless" has no', "RFC 9112 §5"),
        ("a space before the colon", b"X : y\r\n\r\n", "1 has a space before its colon", "RFC 9112 §5.1"),
        ("a trailer without a name", b": y\r\n\r\n", '1 has the name "", which is not', "RFC 9110 §5.1"),
        ("a name that is no token", b"X(: y\r\n\r\n", '1 has the name "X(", which is not', "RFC 9110 §5.1"),
        ("a folded trailer", b"X: y\r\n z\r\n\r\n", f"2 {FOLDED}", "RFC 9112 §5.2"),
        ("a NUL in a trailer", b"X: \0\r\n\r\n", "1 has a NUL in its value", "RFC 9110 §5.5"),
        ("a DEL in a trailer", b"X: \x7f\r\n\r\n", "1 has the control character \\x7f", "RFC 9110 §5.5"),
        ("a bare CR in a trailer", b"X: a\rb\r\n\r\n", "1 has a bare CR in its value", "RFC 9112 §2.2"),
        ("a trailer that ends with LF", b"X: y\n\r\n", "1 ends with a bare LF", "RFC 9112 §2.2"),
        ("trailers that end with LF", b"X: y\r\n\n", "2 ends with a bare LF", "RFC 9112 §2.2"),
    ]
] + [
    Row(
        "R074: one endless trailer", chunked(b"0\r\nX: " + b"y" * 33000), 431, "the trailer section", "RFC 9112 §7.1.2"
    ),
    Row("R074: many trailers", chunked(b"0\r\n" + b"X: y\r\n" * 6000), 431, "the trailer section", "RFC 9112 §7.1.2"),
]

LIMITS = [
    Row("R014: a method without end", b"A" * 8200, 501, "the method is longer than 8192", "RFC 9112 §3"),
    Row("R015: a target without end", b"GET /" + b"a" * 8200, 414, "the request line is longer", "RFC 9110 §15.5.15"),
    Row(
        "R015: a long target in a whole request",
        line(b"GET /" + b"a" * 9000 + b" HTTP/1.1"),
        414,
        "the request line is longer than 8192 bytes",
        "RFC 9110 §15.5.15",
    ),
    Row("R015: a long query", line(b"GET /?" + b"a" * 40000 + b" HTTP/1.1"), 414, "the request line is", "§15.5.15"),
    Row("R044: a long value", field(b"X: " + b"y" * 33000), 431, "the head is longer than 32768", "RFC 6585 §5"),
    Row("R045: a value without end", HEAD + b"X: " + b"y" * 33000, 431, "the head is longer than", "RFC 6585 §5"),
    Row("R045: a name without end", HEAD + b"X" * 33000, 431, "the head is longer than 32768", "RFC 6585 §5"),
    Row("R044: 101 field lines", field(b"\r\n".join([b"X: y"] * 100)), 431, "more than 100 field lines", "RFC 6585 §5"),
    Row("R045: field lines without end", HEAD + b"X: y\r\n" * 101, 431, "more than 100 field lines", "RFC 6585 §5"),
    Row("R004: five empty lines", b"\r\n" * 5 + POISON, 400, "more than 4 empty lines", "RFC 9112 §2.2"),
    Row("R004: empty lines without end", b"\r\n" * 500, 400, "more than 4 empty lines", "RFC 9112 §2.2"),
]

CLIENT_HELLO = b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03" + b"\x5a" * 32 + b"\x00\x00\x02\x13\x01\x01\x00"
OTHER_PROTOCOLS = [
    Row("R096: a TLS ClientHello", CLIENT_HELLO, 400, "a TLS handshake on a plain HTTP port", "RFC 9112 §3.1"),
    Row("R096: one octet of TLS", b"\x16", 400, "TLS handshake", "RFC 9112 §3.1"),
    Row("R096: an SSLv2 hello", b"\x80\x2e\x01\x00\x02", 400, "a TLS handshake on a plain", "RFC 9112 §3.1"),
    Row(
        "R096: the preface of HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        505,
        "HTTP/2.0 is not supported",
        "RFC 9110 §15.6.6",
    ),
    Row("R096: an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n", 400, "an SSH greeting on an HTTP port", "RFC 9112 §3"),
    Row("R096: SMTP", b"EHLO client.example\r\n", 400, "2 of its three parts", "RFC 9112 §3"),
    Row("R096: FTP", b"USER anonymous\r\n", 400, "2 of its three parts", "RFC 9112 §3"),
    Row("R096: SIP", line(b"OPTIONS sip:a SIP/2.0"), 400, '"SIP/2.0", not HTTP/1.1', "RFC 9112 §3"),
    Row("R096: RTSP", line(b"DESCRIBE rtsp://a/b RTSP/1.0"), 400, '"RTSP/1.0", not HTTP/1.1', "RFC 9112 §3"),
    Row("R096: IRC", b"NICK a\r\nUSER a 0 * :a\r\n", 400, "2 of its three parts", "RFC 9112 §3"),
    Row("R096: Redis", b"*1\r\n$4\r\nPING\r\n", 400, "1 of its three parts", "RFC 9112 §3"),
    Row("R096: SOCKS 4", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", 400, "a SOCKS request", "RFC 9112 §3.1"),
    Row("R096: SOCKS 5", b"\x05\x01\x00", 400, "a SOCKS request", "RFC 9112 §3.1"),
    Row("R096: PROXY, in text", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", 400, "a header of the PROXY", "RFC 9112 §3"),
    Row("R096: PROXY, binary", b"\r\n\r\n\0\r\nQUIT\n", 400, "\\x00 at position 0", "RFC 9112 §3.1"),
    Row("R096: PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f", 400, "\\x00 at position 0", "RFC 9112 §3.1"),
    Row("R096: an HTTP response", b"HTTP/1.1 200 OK\r\n\r\n", 400, "\\x2f at position 4", "RFC 9112 §3.1"),
    Row("R096: JSON", b'{"method": "GET"}\r\n', 400, "\\x7b at position 0", "RFC 9112 §3.1"),
    Row("R096: HTML", b"<!DOCTYPE html>\r\n", 400, "\\x3c at position 0", "RFC 9112 §3.1"),
    Row("R096: a byte order mark", b"\xef\xbb\xbf" + POISON, 400, "\\xef at position 0", "RFC 9112 §3.1"),
    Row("R096: UTF-16", POISON.decode().encode("utf-16-le"), 400, "\\x00 at position 1", "RFC 9112 §3.1"),
    Row("R096: NULs", b"\0" * 64, 400, "\\x00 at position 0", "RFC 9112 §3.1"),
    Row("R096: every octet", bytes(range(256)), 400, "\\x00 at position 0", "RFC 9112 §3.1"),
    Row("R096: every octet, backwards", bytes(range(255, -1, -1)), 400, "\\xff at position 0", "RFC 9112 §3.1"),
]

ROWS = [
    *REQUEST_LINES,
    *VERSIONS,
    *TARGETS,
    *HOSTS,
    *FIELD_LINES,
    *LINE_ENDS,
    *CONTENT_LENGTHS,
    *TRANSFER_ENCODINGS,
    *CHUNKS,
    *TRAILERS,
    *LIMITS,
    *OTHER_PROTOCOLS,
]
each_malformed = each_row("row", [pytest.param(row, id=row.name) for row in ROWS])


def only_answer(port: int, octets: bytes) -> Answer:
    """Return the one answer to *octets*, after which the server must end the connection, and not by a reset."""
    with connect(port) as client:
        client.sendall(octets)
        received = receive_all(client)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    answer, rest = read_answer(received)
    assert rest == b""
    return answer


def refusal_of(parts: list[bytes]) -> Refusal:
    """Return why the parser refuses *parts*, each of which goes through a pair of sockets."""
    with pytest.raises(RequestError) as caught:
        parse(parts)
    return caught.value.refusal


def parse(parts: list[bytes]) -> None:
    """Send *parts* one by one to a parser, and let it find all that it can in what has come so far."""
    parser = RequestParser(Limits())
    near, far = socket.socketpair()
    with near, far:
        for part in parts:
            near.sendall(part)
            parser.receive(far.recv(len(part), socket.MSG_WAITALL))
            while parser.next_event() is not Pause.NEED_DATA:
                pass


def assert_refused(answer: Answer, row: Row) -> None:
    """Assert that *answer* is the refusal that *row* asks for, and that it announces the end."""
    assert answer.status == row.status
    assert answer.field("Connection") == "close"
    assert answer.field("Content-Type") == "text/plain; charset=utf-8"
    assert answer.text.startswith(f"{answer.status} {answer.phrase}: ")
    assert row.reason in answer.text
    assert answer.text.endswith(f"{row.section})\n")


@each_malformed
def test_a_malformed_request_is_refused_at_once_and_the_connection_ends(server: Server, row: Row) -> None:
    assert_refused(only_answer(server.port, row.octets), row)


@each_malformed
def test_a_request_behind_a_malformed_one_is_not_answered(server: Server, row: Row) -> None:
    assert_refused(only_answer(server.port, row.octets + POISON), row)


@each_malformed
def test_the_refusal_is_the_same_octet_by_octet(row: Row) -> None:
    refusal = refusal_of([bytes([octet]) for octet in row.octets])
    assert refusal.status == row.status
    assert row.reason in refusal.reason
    assert refusal.section.endswith(row.section)
    assert refusal == refusal_of([row.octets])
    assert refusal == refusal_of([row.octets + POISON])


def test_each_name_in_the_table_is_there_once() -> None:
    names = [(row.name, row.octets) for row in ROWS]
    assert len(names) == len(set(names)) > 120


@each_row(
    ("octets", "reason"),
    [
        pytest.param(b"GET", "the head", id="R053: within the method"),
        pytest.param(b"GET / HTTP/1.1\r\n", "the head", id="R053: after the request line"),
        pytest.param(HEAD, "the head", id="R053: before the empty line"),
        pytest.param(HEAD + b"\r", "the head", id="R053: within the empty line"),
        pytest.param(framed(b"Content-Length: 6"), "the content", id="R053: one octet before the length"),
        pytest.param(chunked(b""), "the content", id="R053: before the first chunk"),
        pytest.param(chunked(b"5"), "the content", id="R053: within a chunk size"),
        pytest.param(chunked(b"5\r\nhell"), "the content", id="R053: within chunk data"),
        pytest.param(chunked(b"5\r\nhello\r"), "the content", id="R053: within the CRLF after chunk data"),
        pytest.param(chunked(b"5\r\nhello\r\n"), "the content", id="R053: before the last chunk"),
        pytest.param(chunked(b"0\r\n"), "the content", id="R053: before the end of the trailers"),
        pytest.param(chunked(b"0\r\nX: y"), "the content", id="R053: within a trailer"),
    ],
)
def test_a_request_cut_short_is_refused(server: Server, octets: bytes, reason: str) -> None:
    with connect(server.port) as client:
        client.sendall(octets)
        client.shutdown(socket.SHUT_WR)
        (answer,) = read_answers(receive_all(client))
    sentence = f"400 Bad Request: the connection ended before {reason} was complete (RFC 9112 §8)\n"
    assert (answer.status, answer.field("Connection"), answer.text) == (400, "close", sentence)


def test_content_above_the_limit_is_refused_unread(server: Server) -> None:
    octets = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n" + POISON
    answer = only_answer(server.port, octets)
    assert (answer.status, answer.field("Connection")) == (413, "close")
    assert answer.text.endswith("longer than the limit of 1048576 bytes (RFC 9110 §15.5.14)\n")


def get(target: bytes, *field_lines: bytes) -> bytes:
    """Return a GET for *target*."""
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: localhost", *field_lines, b"", b""])


ODD_PATHS = [
    pytest.param(path, status, sentence, id=f"{requirement}: {path.decode('latin-1')[:40]}")
    for requirement, path, status, sentence in [
        ("R139", b"/%00", 400, "path segment 1 has a NUL (%00), which no file name has (RFC 3986 §3.3)"),
        ("R139", b"/hello.txt%00.html", 400, "path segment 1 has a NUL (%00)"),
        ("R139", b"/sub/%00", 400, "path segment 2 has a NUL (%00)"),
        ("R139", b"/%00/../hello.txt", 400, "path segment 1 has a NUL (%00)"),
        ("R138", b"/%2fetc%2fpasswd", 404, 'there is no "/%2fetc%2fpasswd" here'),
        ("R146", b"/%5c", 404, 'there is no "/%5c" here'),
        ("R146", b"/sub%5cindex.html", 404, 'there is no "/sub%5cindex.html" here'),
        ("R146", b"/..%5c..%5chello.txt", 404, 'there is no "/..%5c..%5chello.txt" here'),
        ("R146", b"/%5c%5chost%5cshare", 404, 'there is no "/%5c%5chost%5cshare" here'),
        ("R146", b"/..", 400, 'path segment 1 is "..", which leads out of the root (RFC 3986 §5.2.4)'),
        ("R146", b"/../", 400, 'path segment 1 is ".."'),
        ("R146", b"/../../../../etc/passwd", 400, 'path segment 1 is ".."'),
        ("R146", b"/sub/../../root/hello.txt", 400, 'path segment 3 is ".."'),
        ("R146", b"/%2e%2e/hello.txt", 400, 'path segment 1 is ".."'),
        ("R146", b"/.%2E/hello.txt", 400, 'path segment 1 is ".."'),
        ("R146", b"/..%2fhello.txt", 400, 'path segment 1 is ".."'),
        ("R146", b"//..//hello.txt", 400, 'path segment 2 is ".."'),
        ("R146", b"/hello.txt/.", 404, 'there is no "/hello.txt/." here'),
        ("R146", b"/hello.txt%2f", 404, 'there is no "/hello.txt%2f" here'),
        ("R144", b"/sub/../.git/config", 404, 'there is no "/sub/../.git/config" here'),
        ("R144", b"/.well-known/../.git/config", 404, 'there is no "/.well-known/../.git/config" here'),
        ("R144", b"/.git%2fconfig", 404, 'there is no "/.git%2fconfig" here'),
        ("R139", b"/%252e%252e/", 404, 'there is no "/%252e%252e/" here'),
        ("R139", b"/%2500", 404, 'there is no "/%2500" here'),
        ("R139", b"/%c0%ae%c0%ae/", 404, 'there is no "/%c0%ae%c0%ae/" here'),
        ("R139", b"/%ff%fe", 404, 'there is no "/%ff%fe" here'),
        ("R138", b"/...", 404, 'there is no "/..." here'),
        ("R138", b"/..;/hello.txt", 404, 'there is no "/..;/hello.txt" here'),
        ("R141", b"/hello.txt/", 404, 'there is no "/hello.txt/" here'),
        ("R141", b"/hello.txt/x", 404, 'there is no "/hello.txt/x" here'),
        ("R141", b"/hello.txt%20", 404, 'there is no "/hello.txt%20" here'),
        ("R141", b"/hello.txt;v=1", 404, 'there is no "/hello.txt;v=1" here'),
        ("R143", b"/%0d%0aX:%20y", 404, 'there is no "/%0d%0aX:%20y" here'),
        ("R143", b"/%1b[31m".replace(b"[", b"%5b"), 404, 'there is no "/%1b%5b31m" here'),
        ("R144", b"/.git/config", 404, 'there is no "/.git/config" here'),
        ("R145", b"/" + b"a" * 300, 404, "there is no "),
        ("R145", b"/" + b"a/" * 3000, 404, "there is no "),
        ("R015", b"/" + b"a" * 8000, 404, "there is no "),
    ]
]


@each_row(("path", "status", "sentence"), ODD_PATHS)
def test_a_path_to_a_missing_file_costs_no_connection(server: Server, path: bytes, status: int, sentence: str) -> None:
    with connect(server.port) as client:
        client.sendall(get(path) + POISON)
        client.shutdown(socket.SHUT_WR)
        odd, following = read_answers(receive_all(client))
    assert odd.status == status
    assert sentence in odd.text
    assert odd.field("Connection") is None
    assert (following.status, following.content) == (200, b"Hello, socket.\n")


@each_row(
    ("octets", "status", "text"),
    [
        pytest.param(get(b"/hello.txt?q=%41%20?&;="), 200, "Hello", id="R141: a query does not matter"),
        pytest.param(
            get(b"/hello.txt?100%"), 301, "/hello.txt?100%25\n", id="R017: a broken escape in the query is redirected"
        ),
        pytest.param(get(b"/?\xff"), 301, "/?%FF\n", id="R017: obs-text in the query is redirected to its escape"),
        pytest.param(
            get(b"/[a]|"), 301, "/%5Ba%5D%7C\n", id="R017: brackets and pipes are redirected to their escapes"
        ),
        pytest.param(get("/ü".encode()), 301, "/%C3%BC\n", id="R017: obs-text in the path is redirected to its escape"),
        pytest.param(
            get(b'//evil.example/"'), 301, "/evil.example/%22\n", id="R143: no redirect leads to another host"
        ),
        pytest.param(get(b"/sub"), 301, "sub/\n", id="R142: a folder without its slash"),
        *(
            pytest.param(get(path), 200, "Hello", id=f"R146: {path.decode()} is /hello.txt")
            for path in (
                b"//hello.txt",
                b"/./hello.txt",
                b"/sub/../hello.txt",
                b"/%2e/hello.txt",
                b"/sub%2F..%2fhello.txt",
            )
        ),
        pytest.param(get(b"/sub%2Findex.html"), 200, "<title>sub", id="R146: an encoded slash is a slash"),
        pytest.param(b"\r\n\r\n" + POISON, 200, "Hello", id="R004: empty lines before the request line"),
        pytest.param(POISON.replace(b"1.1", b"1.9"), 200, "Hello", id="R011: a higher minor version"),
        pytest.param(b"get" + POISON[3:], 501, 'the method "get" is not supported', id="R098: a method in lower case"),
        pytest.param(
            b"A" * 7000 + POISON[3:], 501, f'"{"A" * 40}" is not supported', id="R014: a method of 7000 octets"
        ),
        pytest.param(
            b"!#$%&'*+-.^_`|~" + POISON[3:], 501, "is not supported", id="R019: a method of all odd token characters"
        ),
        pytest.param(b"PUT" + POISON[3:], 405, "PUT is not allowed", id="R106: PUT"),
        pytest.param(b"TRACE" + POISON[3:], 405, "TRACE is not allowed", id="R105: TRACE"),
        pytest.param(line(b"OPTIONS * HTTP/1.1"), 204, "", id="R026: OPTIONS *"),
        pytest.param(framed(b"Content-Length: 5"), 405, "POST is not", id="R054: content of a known length is read"),
        pytest.param(framed(b"Content-Length: 005"), 405, "POST is not", id="R051: leading zeros are decimal"),
        pytest.param(
            framed(b"Content-Length: " + b"0" * 4400 + b"5"), 405, "POST is not", id="R051: more zeros than int() takes"
        ),
        pytest.param(
            chunked(b'3;a="; ";b\r\nabc\r\n0A ; c\r\n0123456789\r\n00\r\nX: y\r\n\r\n'),
            405,
            "POST is not",
            id="R069: extensions, bad whitespace and trailers",
        ),
        pytest.param(
            framed(b"transfer-encoding: ,CHUNKED ,").removesuffix(b"hello") + b"0\r\n\r\n",
            405,
            "POST is not",
            id="R041: empty list members and capitals round chunked",
        ),
        pytest.param(
            chunked(b"0\r\nConnection: close\r\nHost: a b\r\nContent-Length: 99\r\n\r\n"),
            405,
            "POST is not",
            id="R073: trailers mean nothing to the head",
        ),
        pytest.param(
            get(b"/hello.txt", b"Content_Length: 5"), 200, "Hello", id="R042: Content_Length is another field"
        ),
        pytest.param(
            get(b"/hello.txt", b"!#$%&'*+-.^_`|~: x"), 200, "Hello", id="R039: a name of odd token characters"
        ),
        pytest.param(get(b"/hello.txt", b"X:"), 200, "Hello", id="R035: an empty value"),
        pytest.param(get(b"/hello.txt", b"X: \xff\x80\t\xe9"), 200, "Hello", id="R040: obs-text in a value"),
        pytest.param(get(b"/hello.txt", b"X:" + b" " * 9000), 200, "Hello", id="R046: a value of spaces alone"),
        pytest.param(get(b"/hello.txt", *[b"X: y"] * 99), 200, "Hello", id="R046: a hundred field lines"),
        pytest.param(get(b"/hello.txt", b"Expect: tea"), 417, "100-continue", id="R080: another expectation"),
        pytest.param(get(b"/hello.txt", b"Upgrade: h2c", b"Connection: upgrade"), 200, "Hello", id="R081: Upgrade"),
        pytest.param(get(b"/hello.txt", b"Range: bytes=z"), 200, "Hello", id="R131: an invalid range"),
        pytest.param(line(b"GET http://other.example/hello.txt HTTP/1.1"), 200, "Hello", id="R022: an absolute-form"),
        pytest.param(line(b"GET hTTp://a:8/sub/ HTTP/1.1"), 200, "<!DOCTYPE", id="R020: a scheme ignores case"),
    ],
)
def test_an_odd_but_well_formed_request_costs_no_connection(
    server: Server, octets: bytes, status: int, text: str
) -> None:
    with connect(server.port) as client:
        client.sendall(octets + POISON)
        client.shutdown(socket.SHUT_WR)
        odd, following = read_answers(receive_all(client))
    assert odd.status == status
    assert text in odd.text
    assert odd.field("Connection") is None
    assert (following.status, following.content) == (200, b"Hello, socket.\n")


@each_row(
    "value",
    [
        b"localhost",
        b"LOCALHOST.",
        b"localhost:8000",
        b"localhost:",
        b"localhost:00080",
        b"127.0.0.1",
        b"999.999.999.999",
        b"[::]",
        b"[::1]:8000",
        b"[1:2:3:4:5:6:7:8]",
        b"[1::]",
        b"[2001:DB8::192.0.2.1]",
        b"[v1.fe80::a+en1]",
        b"a-b_c~d!$&'()*+,;=",
        b"gr%C3%BC%C3%9Fe.example",
        b"\t localhost \t",
    ],
    ids=repr,
)
def test_each_valid_form_of_host_is_taken(server: Server, value: bytes) -> None:
    """R033."""
    with connect(server.port) as client:
        client.sendall(b"GET /hello.txt HTTP/1.1\r\nHost:" + value + b"\r\n\r\n" + POISON)
        client.shutdown(socket.SHUT_WR)
        assert [answer.status for answer in read_answers(receive_all(client))] == [200, 200]
