"""Checks on paths and their files: RFC 3986 §2, RFC 9110 §4.2.3, §15.4 and §17.3, and rules for special files."""

import re
from functools import partial

from conformance.live.site import DIGITS, OUTSIDE_MARK
from conformance.live.wire import Response

from .session import Chapter, InapplicableError, Session, expect, field, get, request, unless

CHECKS = Chapter()

_UP = "../" * 12


def _stays_inside(session: Session, target: str) -> str | None:
    """Return a fault if the response contains a file from outside the served folder."""
    responses = session.ask(get(target))
    return unless(
        all(OUTSIDE_MARK not in response.content for response in responses), "a file outside the folder is served"
    )


for _target in (
    f"/{_UP}etc/passwd",
    f"/{_UP.replace('..', '%2e%2e')}etc/passwd",
    f"/{_UP.replace('..', '%2E.')}etc/passwd",
    f"/{_UP.replace('/', '%2f')}etc/passwd",
    f"/{_UP.replace('../', '%2e%2e%2f')}etc/passwd",
    f"/{_UP.replace('../', '%252e%252e%252f')}etc/passwd",
    f"/{_UP.replace('/', '%5c')}etc/passwd",
    f"/{_UP.replace('../', '..%c0%af')}etc/passwd",
    f"/{_UP.replace('..', '%c0%ae%c0%ae')}etc/passwd",
    f"/folder/{_UP}etc/passwd",
    f"/folder/..%2f{_UP}etc/passwd",
    f"/folder/./{_UP}etc/passwd",
    f"/folder/;/{_UP}etc/passwd",
    f"//{_UP}etc/passwd",
    "//etc/passwd",
    "/%2fetc/passwd",
    "/%2f%2fetc%2fpasswd",
    f"/digits.txt/{_UP}etc/passwd",
    f"/{_UP}etc/passwd%00.txt",
    f"http://localhost/{_UP}etc/passwd",
    f"/....//{_UP.replace('../', '....//')}etc/passwd",
    f"/?/{_UP}etc/passwd",
    "/inner-folder/../../../../../../../../etc/passwd",
):
    _shown = re.sub(r"(.{3,}?)\1{3,}", r"\1…", _target)
    CHECKS.add(f"{_shown} does not lead out of the folder", "R138", "SECURITY", partial(_stays_inside, target=_target))


def _is_refused(session: Session, target: str) -> str | None:
    response = session.one(get(target))
    return unless(400 <= response.status < 500, f"the status is {response.status}, not 4xx")


for _what, _target in {
    "A path with NUL": "/digits.txt%00",
    "A path with NUL before an extension": "/digits.txt%00.html",
    "A path that is NUL alone": "/%00",
    "A path that is no UTF-8": "/%ff%fe",
    "A path with half a UTF-8 sequence": "/caf%c3",
    "A path with a line end": "/digits.txt%0d%0a",
}.items():
    CHECKS.add(f"{_what} gets 4xx", "R139", "SECURITY", partial(_is_refused, target=_target))
for _target in ("/digits.txt%", "/digits.txt%4", "/%zzdigits.txt", "/%g0", "/%+1", "/%u0064igits.txt"):
    CHECKS.add(f"A broken escape, {_target}, gets 4xx", "R140", "SHOULD", partial(_is_refused, target=_target))


@CHECKS.check("A path is decoded once", "R139", "SECURITY")
def _decoded_once(session: Session) -> str | None:
    if session.separate().one(get("/A.txt")).status != 200:
        raise InapplicableError("the known folder is not served")
    response = session.one(get("/%2541.txt"))
    return unless(b"no percent sign" not in response.content, "%2541 is decoded twice, to A")


def _reaches(session: Session, target: str, content: bytes, known: str = "/digits.txt") -> str | None:
    """Check that *target* returns *content*. If the server lacks the file at *known*, raise InapplicableError."""
    session.separate().whole(known)
    response = session.one(get(target))
    return expect(response, 200) or unless(response.content == content, "another file is served")


for _target, _content in {
    "/%64igits.txt": DIGITS,
    "/%64%69%67%69%74%73%2e%74%78%74": DIGITS,
    "/with%20space.txt": b"a space\n",
    "/a+b.txt": b"a plus\n",
    "/a%2Bb.txt": b"a plus\n",
    "/a%2bb.txt": b"a plus\n",
    "/%2541.txt": b"a percent sign\n",
    "/%41.txt": b"no percent sign\n",
    "/what%3F.txt": b"a question mark\n",
    "/num%23ber.txt": b"a number sign\n",
    "/semi;colon=1,2.txt": b"reserved characters\n",
    "/semi%3Bcolon%3D1%2C2.txt": b"reserved characters\n",
    "/it's(a)~!$&*@:x.txt": b"more reserved characters\n",
    "/caf%C3%A9.txt": b"an accent\n",
    "/caf%c3%a9.txt": b"an accent\n",
    "/%E3%81%82.txt": b"a kana\n",
    "/stops...txt": b"three full stops\n",
    "/two..stops.txt": b"two full stops\n",
}.items():
    CHECKS.add(f"{_target} reaches its file", "R140", "SHOULD", partial(_reaches, target=_target, content=_content))
for _target in ("/digits.txt?", "/digits.txt?a=b", "/digits.txt?/../letters.txt", "/digits.txt?a?b", "/digits.txt?%2e"):
    CHECKS.add(
        f"The query of {_target} does not matter", "R141", "SHOULD", partial(_reaches, target=_target, content=DIGITS)
    )


def _is_not(session: Session, target: str, content: bytes) -> str | None:
    """Return a fault if the answer for *target* is a 5xx, or has the *content* of another resource."""
    session.separate().whole("/digits.txt")
    response = session.one(get(target))
    return unless(response.content != content, "the file is served under another name") or unless(
        response.status < 500, f"the status is {response.status}"
    )


for _target in (
    "/digits.txt/",
    "/digits.txt/x",
    "/DIGITS.TXT",
    "/digits.txt.",
    "/digits",
    "/digits.txt%20",
    "/digits.txt%2f",
):
    CHECKS.add(f"{_target} is not /digits.txt", "R141", "POLICY", partial(_is_not, target=_target, content=DIGITS))
CHECKS.add("/?digits.txt is not /digits.txt", "R141", "POLICY", partial(_is_not, target="/?digits.txt", content=DIGITS))
CHECKS.add(
    "An escaped ? does not begin a query",
    "R141",
    "POLICY",
    partial(_is_not, target="/digits.txt%3Fa", content=DIGITS),
)


def _is_equivalent(session: Session, target: str, canonical: str) -> str | None:
    """Check that *target* returns the content of *canonical*, or redirects to it."""
    known = session.whole(canonical)
    response = session.one(get(target))
    if 300 <= response.status < 400:
        location = re.sub(r"^https?://[^/]+", "", field(response, "location"))
        return unless(location == canonical, f"Location is {location!r}, not {canonical}")
    return expect(response, 200) or unless(response.content == known.content, "another file is served")


for _target in (
    "/./digits.txt",
    "/folder/../digits.txt",
    "/missing/../digits.txt",
    "/%2e/digits.txt",
    "/folder/%2E%2e/digits.txt",
    "/folder/.%2e/digits.txt",
    "/folder/./../digits.txt",
    "http://localhost/./digits.txt",
):
    CHECKS.add(
        f"{_target} is /digits.txt", "R146", "SHOULD", partial(_is_equivalent, target=_target, canonical="/digits.txt")
    )
# No RFC covers empty segments and escaped slashes; most file servers treat them like this.
for _target in (
    "//digits.txt",
    "///digits.txt",
    "/folder//../digits.txt",
    "/folder%2f..%2fdigits.txt",
    "/%2Fdigits.txt",
):
    CHECKS.add(
        f"{_target} is /digits.txt", "R146", "POLICY", partial(_is_equivalent, target=_target, canonical="/digits.txt")
    )
for _target in ("/folder/.", "/folder/../folder/", "/folder/%2e/"):
    CHECKS.add(
        f"{_target} is /folder/", "R146", "SHOULD", partial(_is_equivalent, target=_target, canonical="/folder/")
    )
# RFC 3986 §5.2.4 keeps such a path at the root; a server may do so or refuse it.
for _target in ("/..", "/../digits.txt", "/%2e%2e/digits.txt", "/folder/../../digits.txt", "/..%2fdigits.txt"):

    def _stays_in_root(session: Session, target: str = _target) -> str | None:
        response = session.one(get(target))
        is_root = response.status in (200, 301, 302, 307, 308)
        return unless(is_root or 400 <= response.status < 500, f"the status is {response.status}")

    CHECKS.add(f"{_target} stays at the root or is refused", "R146", "SHOULD", _stays_in_root)


def _location_fault(response: Response) -> str | None:
    """Return a fault if *response* redirects to another host."""
    location = field(response, "location")
    # Two slashes start a host (RFC 3986 §4.2), and browsers read a backslash as a slash.
    has_host = re.match(r"[\s\x00-\x20]*([A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2,}([^/\\?#]*)", location)
    is_here = not has_host or has_host[2].partition(":")[0] in {"localhost", "127.0.0.1", "[", "[::1]"}
    return unless(is_here, f"Location is {location}")


@CHECKS.check("A folder without slash redirects to the one with it", "R142", "POLICY")
def _folder_redirects(session: Session) -> str | None:
    session.whole("/folder/")
    response = session.one(get("/folder"))
    location = field(response, "location")
    return (
        expect(response, 301, 302, 303, 307, 308)
        or unless(re.fullmatch(r"(https?://[^/]+)?/folder/|folder/", location), f"Location is {location!r}")
        or _location_fault(response)
    )


CHECKS.add(
    "A folder shows its index",
    "R142",
    "POLICY",
    partial(_reaches, target="/folder/", content=b"<!doctype html><title>A folder</title>\n"),
)
CHECKS.add(
    "The root shows its index",
    "R142",
    "POLICY",
    partial(_reaches, target="/", content=b"<!doctype html><title>The root</title>\n"),
)
for _target in ("/missing", "/missing/", "/folder/missing", "/missing/../missing", "/folder/missing/"):

    def _is_missing(session: Session, target: str = _target) -> str | None:
        return expect(session.one(get(target)), *((404, 400) if ".." in target else (404,)))

    CHECKS.add(f"{_target} is not found", "R142", "SHOULD", _is_missing)


def _no_open_redirect(session: Session, target: str) -> str | None:
    return _location_fault(session.one(get(target)))


for _target in (
    "//folder", "///folder", "/%2ffolder", "/%5cfolder", "/\\folder", "//evil.example/..;/folder", "/./folder",
    "//evil.example/%2e%2e/folder", "//evil.example/../folder", "/.//folder", "//%2e/folder", "//folder?//evil.example",
    "/%09/folder", "//inner-folder", "/%5c%5cevil.example/..%2ffolder",
):  # fmt: skip
    CHECKS.add(f"{_target} redirects to no other host", "R143", "SECURITY", partial(_no_open_redirect, target=_target))


def _no_field_injection(session: Session, target: str) -> str | None:
    response = session.one(get(target))
    head = response.octets.partition(b"\r\n\r\n")[0]
    return unless(not re.search(rb"[\r\n]x-injected", head, re.IGNORECASE), "the response has a field from the request")


for _target in (
    "/folder%0d%0aX-Injected:%201",
    "/folder?%0d%0aX-Injected:%201",
    "/folder%0aX-Injected:%201/..",
    "/%0d%0aX-Injected:%201/../folder",
    "/digits.txt%0d%0a%0d%0aX-Injected",
    "/folder?a%0dX-Injected:%201",
):
    CHECKS.add(f"{_target} injects no field", "R143", "SECURITY", partial(_no_field_injection, target=_target))


def _no_markup(session: Session, asked: bytes) -> str | None:
    response = session.one(asked)
    if not field(response, "content-type").lower().startswith(("text/html", "application/xhtml")):
        return None
    return unless(
        b"<script>alert" not in response.content and b"<b>bold" not in response.content,
        "markup is not escaped",
    )


for _what, _asked in {
    "a missing path": get("/%3Cscript%3Ealert(1)%3C/script%3E", "Accept: text/html"),
    "a path not escaped": get("/<script>alert(1)</script>", "Accept: text/html"),
    "a query": get("/missing?<script>alert(1)</script>", "Accept: text/html"),
    "a method": request("BREW<script>alert", "/digits.txt", "Accept: text/html"),
    "a redirect": get("/folder?<script>alert(1)</script>", "Accept: text/html"),
    "a name in a listing": get("/listing/", "Accept: text/html"),
    "a range": get("/digits.txt", "Range: bytes=<script>alert", "Accept: text/html"),
}.items():
    CHECKS.add(f"Markup in {_what} is escaped or left out", "R143", "SECURITY", partial(_no_markup, asked=_asked))


def _is_hidden(session: Session, target: str) -> str | None:
    response = session.one(get(target))
    return unless(b"nobody shall read this" not in response.content, "a dot file is served")


for _target in ("/.hidden", "/.folder/config", "/%2ehidden", "/folder/../.hidden", "/./.hidden", "/%2Efolder/config"):
    CHECKS.add(f"{_target} is not served", "R144", "POLICY", partial(_is_hidden, target=_target))


@CHECKS.check("A link that leads out of the folder is not followed", "R144", "POLICY")
def _no_outside_file(session: Session) -> str | None:
    return _stays_inside(session, "/outside-link.txt")


@CHECKS.check("A link to a folder outside is not followed", "R144", "POLICY")
def _no_outside_folder(session: Session) -> str | None:
    return _stays_inside(session, "/outside-folder/passwd")


CHECKS.add(
    "A link within the folder is followed",
    "R144",
    "POLICY",
    partial(_reaches, target="/inner-link.txt", content=DIGITS),
)
CHECKS.add(
    "A link to a folder within is followed",
    "R144",
    "POLICY",
    partial(_reaches, target="/inner-folder/inner.txt", content=b"inner\n"),
)
CHECKS.add("A broken link gets 4xx", "R144", "POLICY", partial(_is_refused, target="/broken-link.txt"))


def _is_error(session: Session, target: str) -> str | None:
    response = session.one(get(target))
    return unless(response.status >= 400, f"the status is {response.status}")


for _what, _target in {
    "A FIFO": "/fifo",
    "A socket": "/socket",
    "A link to itself": "/loop",
    "A path through a link to itself": "/loop/x",
}.items():
    CHECKS.add(f"{_what} gets an error immediately", "R145", "SECURITY", partial(_is_error, target=_target))


def _is_harmless(session: Session, target: str) -> str | None:
    response = session.one(get(target))
    return unless(response.status < 500, f"the status is {response.status}")


for _what, _target in {
    "a name that is no UTF-8": "/latin-%e9.txt",
    "a file that may not be read": "/unreadable.txt",
    "a name of 300 octets": "/" + "n" * 300,
    "a path of 4,200 octets": "/" + "n/" * 2100,
    "a thousand folders": "/" + "a/" * 1000,
    "a file taken for a folder": "/digits.txt/a/b/c",
    "a control character": "/%01%1b%7f",
    "many slashes": "/" * 1000,
    "many dot segments": "/" + "./" * 1000,
}.items():
    CHECKS.add(
        f"{_what[0].upper()}{_what[1:]} does not break the server",
        "R145",
        "SECURITY",
        partial(_is_harmless, target=_target),
    )
