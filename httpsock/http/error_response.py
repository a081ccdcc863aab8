"""Error responses: turn a refusal into a response that names the fault, its place and the section of the RFC.

Takes a Refusal, gives a Response: text for curl, a page for a browser, JSON on request.
Knows no files or sockets. The client's octets are already escaped in the reason of the Refusal. This module escapes
markup.

RFC 9110 §15.5 (a 4xx explains itself), §12.5.1 (Accept).
"""

from collections.abc import Callable

from .grammar import accept_line
from .media_types import in_utf8
from .messages import Refusal, Request, Response
from .negotiation import preferred_media_type

MEDIA_TYPES = ("text/plain", "text/html", "application/json")
# The start of a page that loads no resources. Scripts and forms need a permission in *policy*.
# Without the empty icon, a browser would look for /favicon.ico, which the policy blocks with an error in the console.
SAFE_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; {policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
"""
_PAGE = (
    SAFE_PAGE
    + """<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 18vh auto 0; padding: 0 1.25rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }}
p {{ margin: 0 0 .5rem; overflow-wrap: anywhere; }}
.section {{ opacity: .7; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{reason}.</p>
<p class="section">{section}</p>
{above}</main>
</body>
</html>
"""
)


# Makes an error response from the refusal, the request and the unconsumed octets. If the head is malformed, the request
# is None.
ErrorHandler = Callable[[Refusal, Request | None, bytes], Response]


def explain_fault(refusal: Refusal, request: Request | None, unread: bytes) -> Response:
    """Return the error response for *refusal*, in the format that the client prefers.

    The Accept field of the request states this format. If the head is malformed, *request* is None, and the Accept
    field is taken from the octets *unread*.
    """
    return explain(refusal, request.fields.get(b"accept") if request else accept_line(unread))


def explain(
    refusal: Refusal, accept: bytes | None, fields: tuple[tuple[str, str], ...] = (), above: str = ""
) -> Response:
    """Return the error response for *refusal*, in the format that the Accept value *accept* prefers.

    The response also gets *fields*. *above* is a relative reference to the folder above, for a link on the page. If
    *above* is empty, the page has no link.
    """
    media_type = preferred_media_type(accept, MEDIA_TYPES)
    title = f"{refusal.status} {refusal.status.phrase}"
    if media_type == "text/html":
        from html import escape  # 2 ms of start-up

        content = _PAGE.format(
            policy="form-action 'none'",
            above=f'<p><a href="{above}">Go to the folder above</a></p>\n' if above else "",
            title=escape(title),
            reason=escape(refusal.reason[:1].upper() + refusal.reason[1:]),
            section=escape(refusal.section),
        )
    elif media_type == "application/json":
        members = {
            "status": refusal.status,
            "error": refusal.status.phrase,
            "reason": refusal.reason,
            "section": refusal.section,
        }
        import json  # 3 ms of start-up, and seldom needed

        content = json.dumps(members) + "\n"
    else:
        content = f"{title}: {refusal.reason} ({refusal.section})\n"
    described = (
        ("Content-Type", in_utf8(media_type)),
        # The next request may succeed.
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
    )
    response = Response(refusal.status, described + fields, content.encode("utf-8"))
    response.refusal = refusal
    return response
