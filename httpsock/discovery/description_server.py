"""The description server: a temporary folder with one description for each interface, served over HTTP.

It is separate from the announced folder's server, which publishes only the user's own names.

UPnP Device Architecture 2.0 §2 (description); RFC 9110 §9.3.1 (GET).
"""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Sequence

from httpsock.server.listeners import url_of
from httpsock.server.server import Server

from .description import format_description
from .multicast import Interface
from .ssdp import Device


class DescriptionServer:
    """Serve, at *hosts*, the descriptions of the folder *name*, which is served at *port*."""

    def __init__(self, hosts: Sequence[str], name: str, port: int) -> None:
        self._name = name
        self._port = port
        self._numbers = itertools.count()
        with contextlib.ExitStack() as opened:
            self._folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="httpsock-"))
            self._server = Server(self._folder, hosts=hosts, port=0, threads=1)
            opened.callback(self._server.stop, 0.0)
            self._opened = opened.pop_all()

    def start(self) -> None:
        """Start serving."""
        self._server.start()

    def close(self) -> None:
        """Stop, and delete the descriptions."""
        self._opened.close()

    def add(self, each: Interface, device: Device) -> Device:
        """Write the description for an interface; return *device* with its location.

        Each location is new, so that a control point's cache is never wrong.
        """
        described = device._replace(location=f"{url_of(each.address, self._server.port)}{next(self._numbers)}.xml")
        with open(self._file_of(described), "wb") as file:
            file.write(format_description(device, self._name, url_of(each.address, self._port)))
        return described

    def refresh(self, device: Device) -> None:
        """Touch the description, since systems delete old temporary files. Raises OSError."""
        os.utime(self._file_of(device))

    def remove(self, device: Device) -> None:
        """Delete the description of a device that is gone."""
        with contextlib.suppress(OSError):
            os.unlink(self._file_of(device))

    def _file_of(self, device: Device) -> str:
        return os.path.join(self._folder, device.location.rpartition("/")[2])
