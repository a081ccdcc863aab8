"""Malformed request heads: a table with the expected status, reason and RFC section of each.

malformed_content.py has the malformed framing and content.
"""

from typing import NamedTuple

POISON = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class Row(NamedTuple):
    """A malformed request. The answer must contain *reason* and end with *section*."""

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
    """Return a POST with the field lines *octets*, followed by five more octets."""
    return b"POST / HTTP/1.1\r\nHost: localhost\r\n" + octets + b"\r\n\r\nhello"


def chunked(octets: bytes) -> bytes:
    """Return the head of a chunked POST, followed by *octets*."""
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
    Row("R018: LF for the first space", line(b"GET\n/ HTTP/1.1"), 400, "ends with a bare LF", "RFC 9112 §2.2"),
    Row("R018: LF for the second space", line(b"GET /\nHTTP/1.1"), 400, "ends with a bare LF", "RFC 9112 §2.2"),
    Row("R003: the request line ends with LF", line(b"GET / HTTP/1.1\nX: y"), 400, "a bare LF", "RFC 9112 §2.2"),
    Row("R003: an empty line of LF alone", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a bare LF", "RFC 9112 §2.2"),
    Row("R003: all lines end with LF", b"GET / HTTP/1.1\nHost: localhost\n\n", 400, "a bare LF", "RFC 9112 §2.2"),
    Row("R002: a bare CR in the target", line(b"GET /a\rb HTTP/1.1"), 400, "has a bare CR", "RFC 9112 §2.2"),
    Row("R002: a CR before the CRLF", line(b"GET / HTTP/1.1\r"), 400, "has a bare CR", "RFC 9112 §2.2"),
    Row("R002: a CR for the line end", line(b"GET / HTTP/1.1\rX: y"), 400, "has a bare CR", "RFC 9112 §2.2"),
    Row("R002: a CR for every line end", b"GET / HTTP/1.1\rHost: a\r\r", 400, "has a bare CR", "RFC 9112 §2.2"),
    Row("R002: a CR in a line that ends with LF", b"GET / HTTP/1.1\rX: y\n\n", 400, "has a bare CR", "RFC 9112 §2.2"),
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
