"""The inspection: who may inspect, and what is answered to them.

A second responder, for the paths below /.httpsock/. Takes a Request, gives a Response, or says that it is not meant.

    /.httpsock/          the page: one file, which loads nothing and whose script the browser holds against a hash
    /.httpsock/events    the stream of events

RFC 9110 §7.2 (Host), §9.1 (methods), §15.5 (refusals); RFC 9112 §7.1 (chunked); Fetch Metadata; CSP Level 3.
"""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from httpsock.http.error_response import explain
from httpsock.http.messages import Refusal, Request, Response, Status, TargetForm

from .recorder import PREFIX

_ALLOW = ("Allow", "GET, HEAD")
# Nobody else's page may show it or have it, and no cache.
_PRIVATE = (("Cache-Control", "no-store"), ("Cross-Origin-Resource-Policy", "same-origin"))
# A name that somebody else's name server makes lead to this machine is none of these (DNS rebinding).
_own_host = re.compile(rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]*)?", re.IGNORECASE)
# Whoever hands on a request for somebody else says so; then the peer is not who asks.
_FORWARDED = frozenset((b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"))
_inline = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)


class Stream(Response):
    """The head of a response that has no end; *last_event_id* is what its reader has seen last."""

    __slots__ = ("last_event_id",)

    def __init__(self, last_event_id: bytes) -> None:
        super().__init__(Status.OK, ())
        self.last_event_id = last_event_id
        fields = (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"), *_PRIVATE)
        self.fields = fields
        self.field_lines = "".join([*(f"{name}: {value}\r\n" for name, value in fields), "\r\n"]).encode("ascii")
        self.first_write = self.field_lines


def is_loopback(address: str) -> bool:
    """Return whether a numeric address is one of this machine that no other can reach."""
    return address.startswith("127.") or address == "::1"


def may_inspect(request: Request, client: str) -> bool:
    """Return whether *request* is for the inspector, and from a person on this machine, not from a foreign page.

    To all others it looks as if there were no inspector.
    """
    target = request.target
    if not (target.path + b"/").startswith(PREFIX) or target.form is not TargetForm.ORIGIN:
        return False
    return _is_trusted(request, client)


def is_shown(request: Request, client: str) -> bool:
    """Return whether *request* is for a page, from a person who may inspect."""
    return b"text/html" in request.fields.get(b"accept", b"") and _is_trusted(request, client)


def announce(response: Response) -> Response:
    """Return *response* with a field that tells the script of a page that this server is inspected."""
    # Server-Timing (W3C) is the one response field of a page that its own script can read.
    fields = (*response.fields, ("Server-Timing", f'inspector;desc="{PREFIX.decode()}"'))
    return Response(response.status, fields, response.content, response.file)


def _is_trusted(request: Request, client: str) -> bool:
    """Return whether *request* comes from a person on this machine, and not from a foreign page or a proxy."""
    if not is_loopback(client):
        return False
    host = request.fields.get(b"host", b"")
    if not _own_host.fullmatch(host):
        return False
    for name, value in request.field_lines:
        if name in _FORWARDED:
            return False
        # Browsers say where a request comes from; a page of another port of this machine is foreign, too.
        if name == b"sec-fetch-site" and value not in (b"same-origin", b"none"):
            return False
        if name == b"origin" and value.lower() != b"http://" + host.lower():
            return False
    return True


def respond(request: Request) -> Response:
    """Return the response to a request for the inspector."""
    accept = request.fields.get(b"accept")
    if request.method not in ("GET", "HEAD"):
        reason = f"{request.method} is not for the inspector; {_ALLOW[1]} are"
        return explain(Refusal(Status.METHOD_NOT_ALLOWED, reason, "RFC 9110 §15.5.6"), accept, (_ALLOW,))
    match request.target.path:
        case b"/.httpsock":
            return Response(Status.MOVED_PERMANENTLY, (("Location", PREFIX.decode()), *_PRIVATE))
        case b"/.httpsock/":
            return _page()
        case b"/.httpsock/events" if request.minor_version == 0:
            reason = "what has no end is sent in chunks, which HTTP/1.0 does not know"
            return explain(Refusal(Status.VERSION_NOT_SUPPORTED, reason, "RFC 9112 §6.1"), accept)
        case b"/.httpsock/events":
            return Stream(dict(request.field_lines).get(b"last-event-id", b""))
    refusal = Refusal(Status.NOT_FOUND, "the inspector has only a page and its events", "RFC 9110 §15.5.5")
    return explain(refusal, accept)


@cache
def _page() -> Response:
    """Return the page: the browser runs the script and takes the style that are in it, and nothing else."""
    octets = files(__package__).joinpath("page.html").read_bytes()
    hashes = {kind.decode(): b64encode(sha256(content).digest()).decode() for kind, content in _inline.findall(octets)}
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    )
    fields = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", policy),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
        *_PRIVATE,
    )
    return Response(Status.OK, fields, (octets,))
