"""The handler for files: turn a request into the response of an origin server.

Takes a Request, gives a Response. For a listing, it gives a generator of steps that ends with a Response.
A refusal is a response like any other, so the connection persists.
Knows no sockets or threads. Next: document_root, which finds the resource.

RFC 9110 §9 (methods), §10.1.1 (Expect), §13.2 (preconditions), §14.2 (Range), §15 (status codes).
"""

import os
from contextlib import ExitStack
from functools import partial

from httpsock.http import error_response, preconditions
from httpsock.http.framing import content_too_large
from httpsock.http.grammar import printable
from httpsock.http.handler import Context, Handler, Steps, Tick
from httpsock.http.media_types import in_utf8
from httpsock.http.messages import Part, Refusal, Request, Response, Status
from httpsock.http.negotiation import preferred_media_type
from httpsock.http.preconditions import NOT_MODIFIED, PROCEED, Validators, tag_digest, tag_of
from httpsock.http.ranges import ByteRange, format_content_range, parse_ranges, select_ranges
from httpsock.http.request_parser import request_error

from .document_root import Directory, DocumentRoot, Redirect, refusal_of
from .paths import encoded_reference, folder_reference
from .representation import Representation

_ALLOW = ("Allow", "GET, HEAD, OPTIONS")
# The response to these known methods is 405 (RFC 9110 §9.3, RFC 5789). The response to any unknown method is 501.
_NOT_ALLOWED = frozenset(("POST", "PUT", "DELETE", "CONNECT", "TRACE", "PATCH"))
_CONDITIONAL = frozenset((b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"range"))
_PRECONDITIONS = _CONDITIONAL - {b"range"}


def serve_folder(root: DocumentRoot) -> Handler:
    """Return the handler that serves the files of *root*."""
    return partial(respond, root)


def respond(root: DocumentRoot, request: Request, context: Context) -> Response | Steps[Response]:
    """Return the response to *request* from the files of *root*.

    If *request* has content, first discard the content.
    """
    if request.content_length != 0:
        return _discard_content(root, request, context)
    if request.method not in ("GET", "HEAD"):
        return _respond_to_other_method(request)
    if b"expect" in request.fields and any(expected != b"100-continue" for expected in request.expectations):
        fault = Refusal(Status.EXPECTATION_FAILED, "the only expectation supported is 100-continue", "RFC 9110 §10.1.1")
        return _explain(fault, request)
    target = request.target
    if not target.is_encoded:
        return _redirect(encoded_reference(target.path, target.query))
    found = root.find(target.path, request.fields.get(b"accept-encoding"), context.tick)
    if isinstance(found, Representation):
        # Most requests are unconditional. For a cached file, the whole response is ready.
        if _CONDITIONAL.isdisjoint(request.fields):
            return found.whole
        now = context.tick.time
        return _check(request, found, now) or _select_ranges(request, found, now)
    match found:
        case Redirect():
            return _redirect(folder_reference(target.path, target.query))
        case Directory():
            return _list(root, request, found, context)
        case _:
            return _refuse(root, found, request, context.tick)


def _discard_content(root: DocumentRoot, request: Request, context: Context) -> Steps[Response]:
    """Discard the content of a request, then respond. The response does not depend on the content."""
    is_read = (yield from context.discard_content()) is not None
    # All connections receive before any connection answers: see Tick.
    yield
    response = respond(root, request._replace(content_length=0), context)
    if not isinstance(response, Response):
        response = yield from response
    if not is_read and (request.content_length or 0) > context.max_content and response.status < Status.BAD_REQUEST:
        response.close()
        raise request_error(content_too_large(context.max_content))
    return response


def _respond_to_other_method(request: Request) -> Response:
    """Return the response to a method other than GET and HEAD. The response does not depend on the resource."""
    if request.method == "OPTIONS":
        return Response(Status.NO_CONTENT, (_ALLOW,))
    if request.method in _NOT_ALLOWED:
        reason = f"{request.method} is not allowed; use {_ALLOW[1]}"
        return _explain(Refusal(Status.METHOD_NOT_ALLOWED, reason, "RFC 9110 §15.5.6"), request, (_ALLOW,))
    reason = f'the method "{request.method[:40]}" is not supported (methods are case-sensitive)'
    return _explain(Refusal(Status.NOT_IMPLEMENTED, reason, "RFC 9110 §9.1"), request)


def _check(request: Request, representation: Representation, now: float) -> Response | None:
    """Return a 304 or 412 if the preconditions require one of these, else None."""
    evaluation = preconditions.evaluate(request, representation.validators, now)
    if evaluation is PROCEED:
        return None
    representation.close()
    if evaluation is NOT_MODIFIED:
        return representation.not_modified
    name = "If-Match" if b"if-match" in request.fields else "If-Unmodified-Since"
    reason = f"{name} is false for the current representation"
    return _explain(Refusal(Status.PRECONDITION_FAILED, reason, "RFC 9110 §15.5.13"), request)


def _select_ranges(request: Request, representation: Representation, now: float) -> Response:
    """Return a 206 or 416 if the Range field applies, else the 200 with the whole *representation*."""
    range_field = request.fields.get(b"range")
    # RFC 9110 §14.2: Range is defined for GET alone.
    if (
        range_field is None
        or request.method != "GET"
        or not preconditions.range_applies(request, representation.validators, now)
    ):
        return representation.whole
    specs = parse_ranges(range_field)
    if specs is None:
        return representation.whole
    if representation.length == 0 and any(spec.first is None and spec.last for spec in specs):
        # RFC 9110 §14.1.2: a suffix of an empty file is satisfiable, but Content-Range can't express an empty range.
        return representation.whole
    byte_ranges = select_ranges(specs, representation.length)
    if byte_ranges:
        return _partial(representation, byte_ranges)
    representation.close()
    reason = f"none of the ranges lies within the {representation.length} bytes"
    content_range = ("Content-Range", format_content_range(None, representation.length))
    return _explain(Refusal(Status.RANGE_NOT_SATISFIABLE, reason, "RFC 9110 §15.5.17"), request, (content_range,))


def _partial(representation: Representation, byte_ranges: list[ByteRange]) -> Response:
    """Return a 206. A single range is sent alone.

    Several ranges are sent as multipart/byteranges (RFC 9110 §15.3.7).
    """
    if len(byte_ranges) == 1:
        (byte_range,) = byte_ranges
        content_range = ("Content-Range", format_content_range(byte_range, representation.length))
        part = representation.part(byte_range.first, byte_range.length)
        return Response(Status.PARTIAL_CONTENT, (*representation.fields, content_range), (part,), representation.file)
    # Random, so that a file can't contain it on purpose.
    boundary = os.urandom(12).hex()
    # CRLF before the first delimiter too, as an empty preamble (RFC 2046 §5.1.1): zsync looks for it.
    head = f"\r\n--{boundary}\r\nContent-Type: {representation.media_type}\r\nContent-Range: bytes ".encode("ascii")
    end_of_head = f"/{representation.length}\r\n\r\n".encode("ascii")
    parts: list[Part] = []
    for first, last in byte_ranges:
        parts.append(b"%b%d-%d%b" % (head, first, last, end_of_head))
        parts.append(representation.part(first, last - first + 1))
    parts.append(f"\r\n--{boundary}--\r\n".encode("ascii"))
    if representation.file is None:
        parts = [b"".join(part for part in parts if isinstance(part, bytes))]
    content_type = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
    fields = (content_type, *(field for field in representation.fields if field[0] != "Content-Type"))
    return Response(Status.PARTIAL_CONTENT, fields, tuple(parts), representation.file)


def _list(root: DocumentRoot, request: Request, directory: Directory, context: Context) -> Steps[Response]:
    """Return the listing of *directory* in the format that the client prefers.

    The names of the listing count towards the limit for the client's network (``ListingBudget``).

    Each request reads the whole folder, since the times of a folder do not change when its files change. To save work,
    ignore Range, which is optional (RFC 9110 §14.2). The response to an unconditional HEAD lacks the fields that depend
    on the page (§9.3.2).
    """
    from . import listing  # 3 ms of start-up with its imports, and many folders have an index

    media_type = preferred_media_type(request.fields.get(b"accept"), listing.MEDIA_TYPES)
    directory.allotment.network = context.network
    content_type = ("Content-Type", in_utf8(media_type))
    with ExitStack() as ending:
        ending.callback(directory.allotment.close)
        try:
            if request.method == "HEAD" and _PRECONDITIONS.isdisjoint(request.fields):
                # Reading one entry shows whether the folder is readable.
                next(iter(directory.entries), None)
                fields = (content_type, ("Cache-Control", "no-cache"), ("Vary", "Accept"))
                return Response(Status.OK, fields, has_length=False)
            parts = yield from listing.render(directory, request.target.query, media_type)
        except OSError as error:
            return _refuse(root, refusal_of(error), request, context.tick)
        digest = tag_digest()
        for part in parts:
            digest.update(part)
            yield
        validators = Validators(tag_of(digest), None)
        listed = Representation(in_utf8(media_type), None, "no-cache", validators, length=0, vary="Accept")
        if (checked := _check(request, listed, context.tick.time)) is not None:
            return checked
        # The allotment lasts until the page is sent.
        ending.pop_all()
        return Response(Status.OK, (content_type, *listed.caching_fields), parts, directory.allotment)


def _redirect(location: str) -> Response:
    """Return a 301 to *location*. Caches must revalidate the 301, since a folder may become a file."""
    content = f"{location}\n".encode("ascii")
    fields = (("Location", location), ("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-cache"))
    return Response(Status.MOVED_PERMANENTLY, fields, (content,))


def _refuse(root: DocumentRoot, refusal: Refusal, request: Request, tick: Tick) -> Response:
    """Return the error response to *request*. If the client prefers HTML, a 404 has the page /404.html of *root*."""
    wants_page = preferred_media_type(request.fields.get(b"accept"), error_response.MEDIA_TYPES) == "text/html"
    if refusal.status is Status.NOT_FOUND and wants_page:
        page = root.find(b"/404.html", None, tick)
        if isinstance(page, Representation):
            fields = (("Content-Type", page.media_type), ("Cache-Control", "no-store"), ("Vary", "Accept"))
            response = Response(Status.NOT_FOUND, fields, (page.part(0, page.length),), page.file)
            response.refusal = refusal._replace(reason=_missing_reason(request))
            return response
    if refusal.status is Status.NOT_FOUND:
        refusal = refusal._replace(reason=_missing_reason(request))
        return error_response.explain(refusal, request.fields.get(b"accept"), above=_above(request.target.path))
    return _explain(refusal, request)


def _missing_reason(request: Request) -> str:
    return f'there is no "{printable(request.target.path)}" here'


def _above(path: bytes) -> str:
    """Return a relative reference to the folder above *path*, or "" for the root.

    The reference works behind a proxy that removes a prefix, and can't lead to another host (RFC 3986 §5.2.2).
    """
    if not path.strip(b"/"):
        return ""
    return "../" if path.endswith(b"/") else "./"


def _explain(refusal: Refusal, request: Request, fields: tuple[tuple[str, str], ...] = ()) -> Response:
    return error_response.explain(refusal, request.fields.get(b"accept"), fields)
