"""Arguments: reject wrong arguments of Server, with a message that contains the name of the argument.

Takes the arguments. Raises TypeError for a value of the wrong kind, and ValueError for a value out of range.
"""

import os
import socket
from collections.abc import Mapping, Sequence

from httpsock.http.checks import check_callable, check_kind, check_number, check_seconds
from httpsock.http.framing import check_limits
from httpsock.http.request_parser import Limits

from .settings import Timeouts

_MAX_THREADS = 1000


def check_handlers(
    directory: object, handler: object, middleware: object, transport: object, accept_queue: object
) -> None:
    """Raise TypeError or ValueError for a wrong folder, handler, middleware, transport or accept queue."""
    if handler is None:
        check_kind("directory", directory, (str, os.PathLike), "a str or a path")
    check_callable("transport", transport)
    check_callable("accept_queue", accept_queue)
    check_kind("middleware", middleware, Sequence, "a sequence of functions")
    for each in middleware:  # type: ignore[attr-defined]
        check_callable("each of middleware", each)
    if handler is not None:
        check_callable("handler", handler)
        if directory not in (".", None):
            raise ValueError("give a directory or a handler; a middleware puts a handler in front of a directory")


def check_arguments(hosts: object, port: int, threads: int, switches: Mapping[str, bool], listeners: object) -> None:
    """Raise TypeError or ValueError for a wrong address, port, number of threads, switch or listener."""
    _check_sequence("hosts", hosts, str, "a str")
    if listeners is not None:
        _check_sequence("listeners", listeners, socket.socket, "a socket")
    check_number("port", port, 0, 65535)
    check_number("threads", threads, 1, _MAX_THREADS)
    for name, switch in switches.items():
        check_kind(name, switch, bool, "a bool")


def _check_sequence(name: str, values: object, kind: type, wanted: str) -> None:
    """Raise TypeError if *values* is not a sequence of *kind*, or ValueError if *values* is empty."""
    check_kind(name, values, Sequence, "a sequence")
    if not values:
        raise ValueError(f"{name} must not be empty")
    for value in values:  # type: ignore[attr-defined]
        check_kind(f"each of {name}", value, kind, wanted)


def check_settings(cache_control: object, log: object, report: object, limits: Limits, timeouts: Timeouts) -> None:
    """Raise TypeError or ValueError for a wrong Cache-Control, callback, limit or time-out."""
    check_kind("cache_control", cache_control, str, "a str")
    if log is not None:
        check_callable("log", log)
    check_callable("report", report)
    check_kind("limits", limits, Limits, "Limits")
    check_limits(limits)
    check_kind("timeouts", timeouts, Timeouts, "Timeouts")
    for name, value in timeouts._asdict().items():
        check_seconds(name, value)
