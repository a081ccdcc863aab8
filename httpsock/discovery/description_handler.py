"""The handler of the device description: a middleware in front of the handler of the announced folder.

It answers requests for one path, which only the announcer's datagrams reveal. All processes of a server send the same
response, which is made before the fork. Must not know sockets. Next: announcer.py, which names the path in LOCATION.

UPnP Device Architecture 2.0 §2 (description), §2.11 (retrieval); RFC 9110 §9.1 (methods), §15.5.6 (405).
"""

import os
import platform
import time
import uuid

from httpsock.http.error_response import explain
from httpsock.http.handler import Context, Handler, Steps
from httpsock.http.messages import Refusal, Request, Response, Status
from httpsock.http.text import visible

from .description import format_description
from .ssdp import Device

_ALLOW = ("Allow", "GET, HEAD")
# UDA 2.0 §2.11 gives the charset in quotes.
_FIELDS = (("Content-Type", 'text/xml; charset="utf-8"'),)


class DescriptionHandler:
    """A middleware: answers requests for *path* with the description; the wrapped handler answers all other requests.

    *path* has 128 random bits. So no file of the folder has this name, and a program that has cached the description of
    an earlier start requests the new one. Until ``describe`` is called, the wrapped handler answers *path*, too.
    """

    def __init__(self) -> None:
        self.path = f"/.httpsock-{os.urandom(16).hex()}.xml"
        self._response: Response | None = None

    def describe(self, directory: str, port: int) -> Device:
        """Make the description of the folder *directory*, served at *port*; return its device.

        Call it before the server forks. A later call with the same arguments makes the same description.
        """
        # The same folder on the same machine keeps its identity across restarts.
        origin = f"httpsock:{platform.node()}:{uuid.getnode()}:{visible(directory)}:{port}"
        server = f"{platform.system()}/{platform.release()} UPnP/2.0 httpsock"
        device = Device(uuid.uuid5(uuid.NAMESPACE_URL, origin), "", server, int(time.time()))
        name = f"{os.path.basename(directory) or directory} on {platform.node()}"
        self._response = Response(Status.OK, _FIELDS, format_description(device, name))
        return device

    def __call__(self, handler: Handler) -> Handler:
        """Return a handler that answers requests for *path*, and passes all others to *handler*."""
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
