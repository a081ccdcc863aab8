"""Unusual but valid requests: the server answers and keeps the connection open."""

import socket

import pytest

from httpsock import Server
from tests.http.malformed import (
    POISON,
    chunked,
    framed,
    line,
)
from tests.support import connect, get, read_answers, receive_all
from tests.support.rows import each_row

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
def test_the_connection_stays_open_after_a_path_to_a_missing_file(
    server: Server, path: bytes, status: int, sentence: str
) -> None:
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
            b"!#$%&'*+-.^_`|~" + POISON[3:], 501, "is not supported", id="R019: a method of all characters of a token"
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
            id="R073: trailers have no effect on the head",
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
def test_the_connection_stays_open_after_an_unusual_request(
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
def test_each_valid_form_of_host_is_accepted(server: Server, value: bytes) -> None:
    """Host has a name or an IP address, and perhaps a port (requirement R033)."""
    with connect(server.port) as client:
        client.sendall(b"GET /hello.txt HTTP/1.1\r\nHost:" + value + b"\r\n\r\n" + POISON)
        client.shutdown(socket.SHUT_WR)
        assert [answer.status for answer in read_answers(receive_all(client))] == [200, 200]
