"""Escapes: paths, names and fields that try to read a file outside the root, or to put text into an answer."""

import itertools
import os
import pathlib
import re
import socket

from tests.support import get

from .subject import Row, ask, connect, serving, site

_SECRET = b"OUTSIDE-THE-ROOT"
_DOTS = ("..", "%2e%2e", ".%2e", "%2E.", "%252e%252e", "..;", "...", "%c0%ae%c0%ae", "%u002e%u002e", "..%00", "\xff..")
_SLASHES = ("/", "%2f", "%5c", "\\", "//", "/./", "%252f", "%c0%af", "/%00/", "%2F%2e/", "/sub/../")
_STARTS = ("", "sub/", "/", "sub/../", "%2e/", "sub%2f..%2f", "linked/../", "link.txt/../", ".%2f/")
_HOSTILE_NAMES = (
    "<script>alert(1)<script>.txt",
    '"onmouseover="x',
    "line\nbreak.txt",
    "\x1b[2J.txt",
    "javascript:alert(1)",
    "&amp;.txt",
    "caf\udce9.txt",
    "\u202egpj.exe",
)


def spellings() -> list[str]:
    """Return many spellings of a path to secret.txt, a file outside the root."""
    made = [f"/{start}{dots}{slash}secret.txt" for start, dots, slash in itertools.product(_STARTS, _DOTS, _SLASHES)]
    deep = [f"/sub{slash}{dots}{slash}{dots}{slash}secret.txt" for dots, slash in itertools.product(_DOTS, _SLASHES)]
    whole = ["//{}/secret.txt", "/{}/secret.txt", "http://localhost/../secret.txt", "/link.txt", "/linked/secret.txt"]
    return made + deep + whole


def run(server: str, *, is_long: bool) -> list[Row]:
    """Request all spellings, special files, files with hostile names, and redirects."""
    with site() as root:
        _prepare(root)
        with serving(root, server) as subject:
            paths = [path.replace("{}", str(root.parent)) for path in spellings()]
            answers = [ask(subject.port, _raw(path)) for path in paths]
            leaks = [path for path, answer in zip(paths, answers, strict=True) if _SECRET in answer]
            errors = [
                path for path, answer in zip(paths, answers, strict=True) if re.match(rb"HTTP/1.1 50[0-3]", answer)
            ]
            rows = [
                Row(f"{len(paths)} spellings of a path out", f"{len(leaks)} leaks, {len(errors)} 5xx", "0",
                    not leaks + errors),
                _special(subject.port),
                _listing(subject.port),
                *_reflections(subject.port),
            ]  # fmt: skip
            if server == "httpsock":
                is_clean = all(32 <= ord(c) < 127 for line in subject.log().splitlines() for c in line)
                rows.append(Row("the log", f"printable ASCII: {is_clean}", "one line a response, escaped", is_clean))
    return rows


def _raw(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1", "replace")


def _prepare(root: pathlib.Path) -> None:
    (root / "sub").mkdir()
    (root.parent / "secret.txt").write_bytes(_SECRET)
    (root / "link.txt").symlink_to("../secret.txt")
    (root / "linked").symlink_to("..")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    (root / "device").symlink_to("/dev/zero")
    (root / "endless").symlink_to("/proc/self/environ")
    names = root / "names"
    names.mkdir()
    for name in _HOSTILE_NAMES:
        (names / name).write_bytes(b"x")


def _special(port: int) -> Row:
    """Request devices, pipes and sockets. The server must refuse each request immediately."""
    statuses = [ask(port, get(f"/{name}"))[9:12] for name in ("fifo", "socket", "device", "endless")]
    with connect(port, get("/hello.txt", "Connection: close")) as client:
        serves = client.recv(12) == b"HTTP/1.1 200"
    good = serves and set(statuses) <= {b"403", b"404"}
    return Row("FIFO, socket, device, /proc", b" ".join(statuses).decode(), "403 or 404, at once", good)


def _listing(port: int) -> Row:
    answer = ask(port, get("/names/", "Accept: text/html", "Connection: close"))
    head, _, page = answer.partition(b"\r\n\r\n")
    hostile = (b"<script>alert", b'"onmouse', b"\x1b", b'href="javascript:', b"line\nbreak", "\u202e".encode())
    found = [octets for octets in hostile if octets in page]
    named = page.count(b"<a href=") > len(_HOSTILE_NAMES)
    good = not found and named and b"nosniff" in head
    return Row("a listing of hostile names", f"{found} unescaped", "none, all listed, nosniff", good)


def _reflections(port: int) -> list[Row]:
    """Check two things: redirects stay on this host, and text from a request never becomes markup."""
    redirects = [
        ask(port, _raw(path))
        for path in ("//evil.example/..%2fsub", "/\\evil.example/sub", "//sub", "/sub%0d%0aX:y", "/sub")
    ]
    locations = [found[1] for answer in redirects if (found := re.search(rb"\r\nLocation: ([^\r]*)", answer))]
    outside = [where for where in locations if not re.match(rb"/(?![/\\])|[^/:]+/$", where)]
    script = b"<script>x</script>"
    pages = [
        ask(port, b"GET /%s HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n" % script),
        ask(port, b"GET /none HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\n\r\n" % script),
        ask(port, b"GET http://%s/ HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n" % script),
        ask(port, b"%s / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n" % script),
    ]
    reflected = sum(script in page for page in pages)
    split = sum(b"\r\nX:y" in answer for answer in redirects)
    return [
        Row("redirects", f"{len(outside)} to elsewhere, {split} split", "0", not outside and not split),
        Row("script in target, host or method", f"{reflected} unescaped", "0", reflected == 0),
    ]
