"""The handler of the device description: a middleware in front of the handler of the announced folder.

It answers requests for one path. Only the announcer's datagrams reveal this path. The response is made before the fork,
so all processes of a server send the same response. Must not know sockets. Next: announcer.py, which sends the path in
LOCATION.

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
    """A middleware that answers requests for *path* with the description. All other requests go to the wrapped handler.

    *path* has 128 random bits, so no file of the folder has this name. Each start of the server makes another path, so
    a program that has cached an old description requests the new one. Before ``describe`` is called, all requests go to
    the wrapped handler.
    """

    def __init__(self) -> None:
        self.path = f"/.httpsock-{os.urandom(16).hex()}.xml"
        self._response: Response | None = None

    def describe(self, directory: str, port: int) -> Device:
        """Make the description of the folder *directory*, which is served at *port*. Return the device to announce.

        Call this before the server forks, so that all processes send the same description. A device with the same
        *directory* and *port* gets the same UUID after a restart.
        """
        # The same folder on the same machine keeps its identity across restarts.
        origin = f"httpsock:{platform.node()}:{uuid.getnode()}:{visible(directory)}:{port}"
        server = f"{platform.system()}/{platform.release()} UPnP/2.0 httpsock"
        device = Device(uuid.uuid5(uuid.NAMESPACE_URL, origin), "", server, int(time.time()))
        name = f"{os.path.basename(directory) or directory} on {platform.node()}"
        self._response = Response(Status.OK, _FIELDS, format_description(device, name))
        return device

    def __call__(self, handler: Handler) -> Handler:
        """Return a handler that answers requests for the description. *handler* gets all other requests."""
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
