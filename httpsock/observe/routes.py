"""The inspector's routes: access control and responses.

A Request below /.httpsock/ comes in, a Response goes out. Other requests go to the folder.

    /.httpsock/          the page: one self-contained file; the browser checks its script against a hash
    /.httpsock/events    the event stream

RFC 9110 §7.2 (Host), §9.1 (methods), §15.5 (refusals); RFC 9112 §7.1 (chunked); Fetch Metadata; CSP Level 3.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files

from httpsock.http.error_response import explain
from httpsock.http.handler import Context
from httpsock.http.messages import Refusal, Request, Response, Sleep, Status, Stream, TargetForm
from httpsock.server.addresses import is_loopback

from .recorder import PREFIX, EventStream, InspectedTracer

# The delay that gathers events into one chunk.
_GATHER_SECONDS = 0.1
_ALLOW = ("Allow", "GET, HEAD")
# Keep the page out of caches and away from other sites.
_PRIVATE = (("Cache-Control", "no-store"), ("Cross-Origin-Resource-Policy", "same-origin"))
# Only these hosts may inspect: any other name could be made to resolve to this machine (DNS rebinding).
_own_host = re.compile(rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]*)?", re.IGNORECASE)
# Fields of a proxy: the client behind it may be on another machine.
_FORWARDED = frozenset((b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"))
_inline = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)


def may_inspect(request: Request, client: str) -> bool:
    """Return whether *request* is for the inspector and may be trusted. The folder answers all other requests."""
    target = request.target
    if not (target.path + b"/").startswith(PREFIX) or target.form is not TargetForm.ORIGIN:
        return False
    return _is_trusted(request, client)


def is_shown(request: Request, client: str) -> bool:
    """Return whether the response should mention the inspector: *request* must ask for HTML and be trusted."""
    return b"text/html" in request.fields.get(b"accept", b"") and _is_trusted(request, client)


def announce(response: Response) -> Response:
    """Return *response* with a field that tells the scripts of the page where the inspector is."""
    # A page's script can read only one field of its own response: Server-Timing (W3C).
    return response.with_members({"Server-Timing": f'inspector;desc="{PREFIX.decode()}"'})


def _is_trusted(request: Request, client: str) -> bool:
    """Return whether *request* comes directly from this machine, and not from a foreign web page."""
    if not is_loopback(client):
        return False
    host = request.fields.get(b"host", b"")
    if not _own_host.fullmatch(host):
        return False
    for name, value in request.field_lines:
        if name in _FORWARDED:
            return False
        # Browsers send the origin of a request; a page of another port of this machine is foreign, too.
        if name == b"sec-fetch-site" and value not in (b"same-origin", b"none"):
            return False
        if name == b"origin" and value.lower() != b"http://" + host.lower():
            return False
    return True


def respond(request: Request, context: Context, emit: InspectedTracer) -> Response:
    """Return the response to a request for the inspector."""
    accept = request.fields.get(b"accept")
    if request.method not in ("GET", "HEAD"):
        reason = f"{request.method} is not allowed at the inspector; use {_ALLOW[1]}"
        return explain(Refusal(Status.METHOD_NOT_ALLOWED, reason, "RFC 9110 §15.5.6"), accept, (_ALLOW,))
    match request.target.path:
        case b"/.httpsock":
            return Response(Status.MOVED_PERMANENTLY, (("Location", PREFIX.decode()), *_PRIVATE))
        case b"/.httpsock/":
            return page()
        case b"/.httpsock/events":
            last_event_id = request.field(b"last-event-id") or b""
            stream = Stream(_events(EventStream(emit.recorder, last_event_id, context.tick.monotonic), context, emit))
            return Response(Status.OK, (("Content-Type", "text/event-stream"), *_PRIVATE), stream)
    refusal = Refusal(Status.NOT_FOUND, "the inspector has only a page and its events", "RFC 9110 §15.5.5")
    return explain(refusal, accept)


def _events(events: EventStream, context: Context, emit: InspectedTracer) -> Iterator[bytes | Sleep]:
    """Yield new events until the client disconnects or the server stops.

    A slow client gets only the events that the recorder still holds.
    """
    # Let the head be sent, and its event recorded.
    yield b""
    emit.is_silent = True
    emit.recorder.streaming(emit.connection, is_on=True)
    try:
        while not context.is_stopping:
            yield events.next(context.tick.monotonic)
            yield Sleep(_GATHER_SECONDS)
    finally:
        emit.recorder.streaming(emit.connection, is_on=False)
        emit.is_silent = False


@cache
def page() -> Response:
    """Return the page, with a policy that allows only its own script and style. The file is read only once."""
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
