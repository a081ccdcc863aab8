"""Checks on the fields and framing of responses: RFC 9110 §6, §8, §9.3.2, §10.2.4, §12.5, §15; RFC 9112 §6.

A server for files need not send digests (RFC 9530) or immutable (RFC 8246). If it sends them, they must be correct.
"""

import base64
import gzip
import hashlib
import re
import time
import zlib
from datetime import UTC, datetime
from functools import partial

from conformance.live.responses import Response
from conformance.live.site import DIGITS, STYLE

from .session import Chapter, InapplicableError, Session, expect, field, get, parse_date, request, unless

CHECKS = Chapter()

_ENTITY_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')

# A request for each kind of response that a file server sends.
_KINDS: dict[str, bytes] = {
    "a file": get("/digits.txt"),
    "an empty file": get("/empty.txt"),
    "a folder": get("/folder/"),
    "a folder without slash": get("/folder"),
    "a listing": get("/listing/"),
    "a missing file": get("/missing"),
    "HEAD": request("HEAD", "/digits.txt"),
    "HEAD of a missing file": request("HEAD", "/missing"),
    "OPTIONS": request("OPTIONS", "/digits.txt"),
    "a method not allowed": request("DELETE", "/digits.txt"),
    "an unknown method": request("BREW", "/digits.txt"),
    "a range": get("/digits.txt", "Range: bytes=0-1"),
    "two ranges": get("/digits.txt", "Range: bytes=0-1,4-5"),
    "an unsatisfiable range": get("/digits.txt", "Range: bytes=99-"),
    "If-None-Match": get("/digits.txt", "If-None-Match: *"),
    "If-Match that fails": get("/digits.txt", 'If-Match: "no-such-tag"'),
    "a compressible file": get("/style.css", "Accept-Encoding: gzip"),
}
_SINGLETONS = b"""content-length content-type content-range content-location date etag last-modified location server
    expires retry-after age""".split()


def _date(session: Session, asked: bytes) -> str | None:
    """Check that the response has a Date near the current time (RFC 9110 §6.6.1)."""
    response = session.one(asked)
    if response.status >= 500:
        raise InapplicableError(f"a {response.status} need not have Date")
    date = field(response, "date")
    moment = parse_date(date)
    if moment is None:
        return f"Date is {date!r}, not an IMF-fixdate" if date else f"the {response.status} has no Date"
    return unless(abs(moment.timestamp() - time.time()) < 300, f"Date is {date}, not the current time")


def _well_formed(session: Session, asked: bytes) -> str | None:
    """Check the syntax of the response. Return the first fault."""
    response = session.one(asked)
    names = [name for name, _ in response.fields]
    twice = sorted({name.decode() for name in _SINGLETONS if names.count(name) > 1})
    return (
        session.fault
        or unless(not twice, f"sent twice: {', '.join(twice)}")
        or unless(not {b"content-length", b"transfer-encoding"} <= set(names), "Content-Length and Transfer-Encoding")
    )


def _delimited(session: Session, asked: bytes) -> str | None:
    """Return a fault if only the close of the connection ends the response."""
    response = session.one(asked)
    if response.status in {204, 304}:
        raise InapplicableError(f"the response is a {response.status}, which has no content")
    return unless(
        field(response, "content-length") or field(response, "transfer-encoding"),
        "only the close of the connection ends the response",
    )


for _kind, _asked in _KINDS.items():
    CHECKS.add(f"The response to {_kind} has Date", "R107", "MUST", partial(_date, asked=_asked))
    CHECKS.add(f"The response to {_kind} is well-formed", "R115", "MUST", partial(_well_formed, asked=_asked))
    if _asked.startswith(b"HEAD"):
        continue
    CHECKS.add(f"The response to {_kind} is delimited", "R114", "SHOULD", partial(_delimited, asked=_asked))


# Fields in which HEAD may differ from GET: those of time, connection and framing (RFC 9110 §9.3.2).
_NOT_OF_HEAD = {b"date", b"connection", b"keep-alive", b"content-length", b"transfer-encoding"}


def _head_and_get(session: Session, target: str, fields: list[str]) -> tuple[Response, Response]:
    full = session.one(get(target, *fields))
    return session.one(request("HEAD", target, *fields)), full


def _head_fields(session: Session, target: str, fields: list[str]) -> str | None:
    head, full = _head_and_get(session, target, fields)
    # RFC 9110 §9.3.2: HEAD may leave out fields that only generating the content determines, as for a listing.
    generated = {b"etag"} if target == "/listing/" and not field(head, "etag") else set()
    missing = [
        name.decode("latin-1")
        for name, value in full.fields
        if name not in _NOT_OF_HEAD | generated and (name, value) not in head.fields
    ]
    return expect(head, full.status) or unless(not missing, f"not the same as in GET: {', '.join(missing)}")


def _head_length(session: Session, target: str, fields: list[str]) -> str | None:
    head, full = _head_and_get(session, target, fields)
    length = field(head, "content-length")
    if not length.isdecimal():
        raise InapplicableError("the response to HEAD has no Content-Length, which is allowed")
    return unless(
        int(length) == len(full.content), f"Content-Length is {length}, but GET gets {len(full.content)} bytes"
    )


def _head_content(session: Session, target: str, fields: list[str]) -> str | None:
    session.ask(request("HEAD", target, *fields))
    received = session.transcript.received if session.transcript else b""
    return unless(received.partition(b"\r\n\r\n")[2] == b"", "the response to HEAD has content (RFC 9110 §9.3.2)")


for _what, _target, _fields in (
    ("a file", "/digits.txt", []),
    ("an empty file", "/empty.txt", []),
    ("a large file", "/big.bin", []),
    ("a folder", "/folder/", []),
    ("a folder without slash", "/folder", []),
    ("a listing", "/listing/", []),
    ("a missing file", "/missing", []),
    ("a compressible file", "/style.css", ["Accept-Encoding: gzip"]),
    ("a file not modified", "/digits.txt", ["If-None-Match: *"]),
):
    CHECKS.add(
        f"HEAD of {_what} has no content", "R101", "MUST", partial(_head_content, target=_target, fields=_fields)
    )
    CHECKS.add(
        f"HEAD of {_what} has the fields of GET",
        "R102",
        "SHOULD",
        partial(_head_fields, target=_target, fields=_fields),
    )
    CHECKS.add(
        f"HEAD of {_what} has the length of GET", "R103", "MUST", partial(_head_length, target=_target, fields=_fields)
    )


@CHECKS.check("A file has Last-Modified", "R108", "SHOULD")
def _last_modified_is_sent(session: Session) -> str | None:
    return unless(session.whole("/digits.txt").field("last-modified"), "the response has no Last-Modified")


def _last_modified_is_past(session: Session, path: str) -> str | None:
    response = session.whole(path)
    date, modified = field(response, "date"), field(response, "last-modified")
    if not modified:
        raise InapplicableError("the server sends no Last-Modified")
    moment = parse_date(modified)
    if moment is None:
        return f"Last-Modified is {modified!r}, not an IMF-fixdate"
    return unless(
        moment <= (parse_date(date) or datetime.now(UTC)), f"Last-Modified is {modified}, which is after Date, {date}"
    )


CHECKS.add("Last-Modified is not later than Date", "R149", "MUST", partial(_last_modified_is_past, path="/digits.txt"))
CHECKS.add(
    "Last-Modified of a file from the future is not later than Date",
    "R149",
    "MUST",
    partial(_last_modified_is_past, path="/future.txt"),
)


def _tag(session: Session, asked: bytes) -> str:
    tag = field(session.one(asked), "etag")
    if not tag:
        raise InapplicableError("the response has no ETag")
    return tag


@CHECKS.check("A file has ETag", "R109", "SHOULD")
def _tag_is_sent(session: Session) -> str | None:
    return unless(session.whole("/digits.txt").field("etag"), "the response has no ETag")


def _tag_is_quoted(session: Session, path: str) -> str | None:
    tag = _tag(session, get(path))
    return unless(_ENTITY_TAG.fullmatch(tag), f"ETag is {tag}")


def _tag_is_stable(session: Session, asked: bytes) -> str | None:
    tag = _tag(session, get("/digits.txt"))
    again = field(session.one(asked), "etag")
    return unless(again in {"", tag}, f"ETag is {tag}, then {again}")


for _path in ("/digits.txt", "/empty.txt", "/folder/", "/style.css", "/listing/"):
    CHECKS.add(f"ETag of {_path} is an entity-tag", "R150", "MUST", partial(_tag_is_quoted, path=_path))
for _kind in ("a file", "HEAD", "a range", "two ranges", "If-None-Match"):
    CHECKS.add(
        f"ETag in the response to {_kind} is that of the file",
        "R150",
        "MUST",
        partial(_tag_is_stable, asked=_KINDS[_kind]),
    )


@CHECKS.check("A strong ETag of the encoded representation is not that of the plain one", "R150", "MUST")
def _tag_of_encoded(session: Session) -> str | None:
    encoded = session.one(get("/style.css", "Accept-Encoding: gzip"))
    if not field(encoded, "content-encoding"):
        raise InapplicableError("the server does not encode the file")
    tag = _tag(session, get("/style.css"))
    return unless(
        tag.startswith("W/") or field(encoded, "etag") != tag, "both representations have the same strong ETag"
    )


_WANTED = ("Want-Content-Digest: sha-256=10, sha-512=1", "Want-Repr-Digest: sha-256=10, sha-512=1")
_DIGEST = re.compile(r"(sha-256|sha-512)=:([0-9A-Za-z+/=]*):")


def _digests(session: Session, name: str, fields: list[str]) -> str | None:
    """Return a fault if a digest in the response is wrong (RFC 9530 §2, §3). *name* is the name of the digest field."""
    response = session.one(get("/digits.txt", *_WANTED, *fields))
    found = _DIGEST.findall(field(response, name))
    if response.status not in {200, 206} or not found:
        raise InapplicableError("no digest is sent: Want-Content-Digest and Want-Repr-Digest may be ignored")
    octets = DIGITS if name == "repr-digest" else response.content
    right = {
        (algorithm, base64.b64encode(hashlib.new(algorithm.replace("-", ""), octets).digest()).decode())
        for algorithm in ("sha-256", "sha-512")
    }
    wrong = sorted(algorithm for algorithm, digest in set(found) - right)
    return unless(not wrong, f"{', '.join(wrong)} in {name} is not that of the bytes")


for _name in ("Content-Digest", "Repr-Digest"):
    for _what, _fields in {"a file": [], "a range": ["Range: bytes=2-7"]}.items():
        _run = partial(_digests, name=_name.lower(), fields=_fields)
        CHECKS.add(f"{_name} of {_what} is right", "R151", "MUST", _run)


@CHECKS.check("Cache-Control with immutable has a lifetime", "R152", "SHOULD")
def _immutable(session: Session) -> str | None:
    response = session.whole("/digits.txt")
    value = field(response, "cache-control").lower()
    if "immutable" not in value:
        raise InapplicableError("the server does not send immutable")
    return unless("max-age" in value or response.field("expires"), f"Cache-Control is {value}, without a lifetime")


def _type(session: Session, path: str, types: list[str]) -> str | None:
    found = field(session.whole(path), "content-type").partition(";")[0].strip().lower()
    # RFC 9110 §8.3: a server may omit Content-Type; the recipient then assumes application/octet-stream.
    if found in {"", "application/octet-stream"}:
        raise InapplicableError("the server does not know the type of this file, which is allowed")
    return unless(found in types, f"Content-Type is {found!r}")


for _path, _types in {
    "/page.html": ["text/html"],
    "/folder/": ["text/html"],
    "/digits.txt": ["text/plain"],
    "/style.css": ["text/css"],
    "/script.js": ["text/javascript", "application/javascript", "application/x-javascript"],
    "/data.json": ["application/json"],
    "/picture.png": ["image/png"],
    "/drawing.svg": ["image/svg+xml"],
}.items():
    CHECKS.add(f"Content-Type of {_path} fits", "R110", "SHOULD", partial(_type, path=_path, types=_types))


def _charset(session: Session, path: str, *, is_utf8: bool) -> str | None:
    """Check the charset in Content-Type. *is_utf8* says whether the file is in UTF-8."""
    found = field(session.whole(path), "content-type")
    match = re.search(r';[ \t]*charset="?([^";\s]+)', found, re.IGNORECASE)
    if match is None:
        return None
    return unless((match[1].lower() == "utf-8") is is_utf8, f"Content-Type is {found!r}")


for _path, _what in {
    "/charset/latin-1.html": "a page in Latin-1",
    "/charset/latin-1.txt": "a text in Latin-1",
    "/charset/latin-1.css": "a style sheet in Latin-1",
    "/charset/latin-1.js": "a script in Latin-1",
    "/charset/latin-1.svg": "a drawing in Latin-1",
    "/charset/windows-1251.xml": "XML in windows-1251",
    "/charset/shift-jis.html": "a page in Shift_JIS",
    "/charset/gbk.csv": "a table in GBK",
    "/charset/iso-2022-jp.html": "a page in ISO-2022-JP",
    "/charset/utf-16.html": "a page in UTF-16",
    "/charset/declared.html": "a page that declares another charset",
    "/charset/declared-as-field.html": "a page that declares another charset as a field",
    "/charset/declared.css": "a style sheet that declares another charset",
    "/charset/declared.xml": "XML that declares another charset",
}.items():
    CHECKS.add(f"UTF-8 is not announced for {_what}", "R147", "SHOULD", partial(_charset, path=_path, is_utf8=False))
CHECKS.add(
    "No charset but UTF-8 is announced for a page in UTF-8",
    "R147",
    "SHOULD",
    partial(_charset, path="/charset/utf-8.html", is_utf8=True),
)


def _encoding(session: Session, value: str, allowed: list[str]) -> str | None:
    response = session.one(get("/style.css", *([f"Accept-Encoding: {value}"] if value != "-" else [])))
    coding = field(response, "content-encoding").lower()
    try:
        content = gzip.decompress(response.content) if coding == "gzip" else response.content
    except (EOFError, OSError, zlib.error):
        return "the content is not valid gzip"
    return (
        expect(response, 200, 406)
        or unless(coding in allowed, f"Content-Encoding is {coding!r}")
        or unless(
            response.status != 200 or coding not in {"", "gzip"} or content == STYLE,
            "the decoded content is not that of the file",
        )
    )


for _value, _allowed in {
    "gzip": ["", "gzip"],
    "GZIP": ["", "gzip"],
    "gzip;q=0": [""],
    "gzip;q=0.000, br": ["", "br"],
    "identity": [""],
    "br": ["", "br"],
    "deflate, gzip;q=0.5": ["", "gzip", "deflate"],
    "*;q=0, identity": [""],
    "": [""],
    "xgzip": [""],
}.items():
    _run = partial(_encoding, value=_value, allowed=_allowed)
    CHECKS.add(f"Accept-Encoding: {_value} is honoured", "R111", "SHOULD", _run)


@CHECKS.check("A response that depends on Accept-Encoding has Vary, encoded or not", "R111", "SHOULD")
def _vary(session: Session) -> str | None:
    encoded, plain = session.one(_KINDS["a compressible file"]), session.whole("/style.css")
    if field(encoded, "content-encoding") == field(plain, "content-encoding"):
        raise InapplicableError("the server does not encode the file")
    named = ["accept-encoding" in field(one, "vary").lower() or field(one, "vary") == "*" for one in (encoded, plain)]
    return unless(all(named), f"Vary is {field(encoded, 'vary')!r} if encoded, and {field(plain, 'vary')!r} if not")


@CHECKS.check("Server does not name the system and the libraries", "R112", "SHOULD")
def _server(session: Session) -> str | None:
    found = field(session.whole("/digits.txt"), "server")
    return unless("(" not in found and len(found.split()) <= 2, f"Server is {found}")


def _explains(session: Session, asked: bytes) -> str | None:
    response = session.one(asked)
    if response.status < 400:
        raise InapplicableError(f"the response is a {response.status}, which is no error")
    return unless(response.content, f"the {response.status} has no content") or unless(
        response.field("content-type"), f"the content of the {response.status} has no Content-Type"
    )


for _kind in ("a missing file", "a method not allowed", "an unknown method", "an unsatisfiable range"):
    CHECKS.add(f"The error for {_kind} explains itself", "R113", "SHOULD", partial(_explains, asked=_KINDS[_kind]))


def _no_500(session: Session, asked: bytes) -> str | None:
    status = session.one(asked).status
    return unless(status < 500 or status in {501, 503, 505}, f"the status is {status}")


for _what, _asked in {
    "a long query": get("/digits.txt?" + "a" * 3000),
    "an odd query": get("/digits.txt?%00%ff&&==%zz"),
    "an odd Accept": get("/digits.txt", "Accept: ;;;,,/;q=x"),
    "an odd Accept-Encoding": get("/digits.txt", "Accept-Encoding: ;q=,gzip;q=9;q,*;"),
    "an odd Range": get("/digits.txt", "Range: bytes=-,-,--,9-8"),
    "an odd If-Range": get("/digits.txt", "Range: bytes=0-0", 'If-Range: W/"'),
    "an odd If-None-Match": get("/digits.txt", 'If-None-Match: "a, W/, *, "'),
    "an odd date": get("/digits.txt", "If-Modified-Since: Sun, 99 Foo 99999 99:99:99 GMT"),
    "a date in the year 0": get("/digits.txt", "If-Modified-Since: Sat, 01 Jan 0000 00:00:00 GMT"),
    "a date of Friday the 31st of February": get("/digits.txt", "If-Modified-Since: Fri, 31 Feb 2020 00:00:00 GMT"),
    "an odd Cookie": get("/digits.txt", "Cookie: \xff\xfe; =; ;;"),
    "odd credentials": get("/digits.txt", "Authorization: Basic %%%"),
    "a surrogate in the path": get("/%ed%a0%80"),
    "an overlong sequence in the path": get("/%c0%80"),
}.items():
    CHECKS.add(f"No 500 for {_what}", "R116", "SECURITY", partial(_no_500, asked=_asked))
