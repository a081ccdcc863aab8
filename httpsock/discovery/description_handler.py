"""The handler of the device description: a middleware in front of the handler of the announced folder.

It answers one path, which only the announcer's datagrams tell. Any process of a server gives the same response, since
it is made once, before the server starts. Knows no sockets. Next: announcer.py, which names the path in LOCATION.

UPnP Device Architecture 2.0 §2 (description), §2.11 (retrieval); RFC 9110 §9.1 (methods), §15.5.6 (405).
"""

import os

from httpsock.http.error_response import explain
from httpsock.http.handler import Context, Handler, Steps
from httpsock.http.messages import Refusal, Request, Response, Status

from .description import format_description
from .ssdp import Device

_ALLOW = ("Allow", "GET, HEAD")
# UDA 2.0 §2.11 gives the charset in quotes.
_FIELDS = (("Content-Type", 'text/xml; charset="utf-8"'),)


class DescriptionHandler:
    """A middleware: it answers a request for *path* with the description; the wrapped handler answers all others.

    *path* has 128 random bits. So no file of the folder has this name, and a control point that has cached the
    description of an earlier start asks again. Until ``publish`` is called, the wrapped handler answers *path*, too.
    """

    def __init__(self) -> None:
        self.path = f"/.httpsock-{os.urandom(16).hex()}.xml"
        self._response: Response | None = None

    def publish(self, device: Device, name: str) -> None:
        """Answer with the description of *device*, called *name*. Call it before the server starts, or forks."""
        self._response = Response(Status.OK, _FIELDS, format_description(device, name))

    def __call__(self, handler: Handler) -> Handler:
        """Return a handler that answers *path*; *handler* answers all else."""
        path = self.path.encode("ascii")

        def respond(request: Request, context: Context) -> Response | Steps[Response]:
            if request.target.path != path or self._response is None:
                return handler(request, context)
            if request.method not in ("GET", "HEAD"):
                reason = f"{request.method} is not allowed for a device description; use {_ALLOW[1]}"
                refusal = Refusal(Status.METHOD_NOT_ALLOWED, reason, "RFC 9110 §15.5.6")
                return explain(refusal, request.fields.get(b"accept"), (_ALLOW,))
            return self._response

        return respond
