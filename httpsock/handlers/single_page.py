"""Single-page fallback: a middleware that sends /index.html when a browser requests a page that has no file.

The script of /index.html reads the path and shows the page. A missing file of another kind stays 404.

RFC 9110 §12.5.1 (Accept), §12.5.5 (Vary), §15.5.5 (404).
"""

from httpsock.files.paths import ResourceName, parse_path
from httpsock.http.error_response import MEDIA_TYPES
from httpsock.http.handler import Context, Handler, Steps
from httpsock.http.messages import Request, Response, Status, Target, TargetForm
from httpsock.http.negotiation import preferred_media_type

from .checked import respond

_INDEX = Target(TargetForm.ORIGIN, b"/index.html", None, is_encoded=True)


def single_page(handler: Handler) -> Handler:
    """Return a handler that sends /index.html if *handler* answers 404 to a request for a page.

    If there is no /index.html, the client gets the 404.
    """

    def respond_with_page(request: Request, context: Context) -> Response | Steps[Response]:
        return _fall_back(handler, request, context) if _is_for_page(request) else handler(request, context)

    return respond_with_page


def _is_for_page(request: Request) -> bool:
    """Return whether *request* is a browser's request for a page.

    The path of a page has no hidden segment and no extension.
    """
    if request.method not in ("GET", "HEAD"):
        return False
    if preferred_media_type(request.fields.get(b"accept"), MEDIA_TYPES) != "text/html":
        return False
    name = parse_path(request.target.path)
    if not isinstance(name, ResourceName) or name.may_be_alias:
        return False
    return not any(part.startswith(".") for part in name.segments) and "." not in "".join(name.segments[-1:])


def _fall_back(handler: Handler, request: Request, context: Context) -> Steps[Response]:
    missing = yield from respond(handler, request, context)
    if missing.status is not Status.NOT_FOUND:
        return missing
    # Pass the same request on, for the index: with its conditions and ranges, but without content, which has been read.
    index = yield from respond(handler, request._replace(target=_INDEX, content_length=0), context)
    if index.status is Status.NOT_FOUND:
        index.close()
        return missing
    missing.close()
    # For another Accept the response is 404.
    return index.with_members({"Vary": "Accept"})
