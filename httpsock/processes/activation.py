"""Socket activation: the listening sockets that a process was started with.

Takes environment variables, gives sockets. At a restart, the sockets come from an older process of this server
(restart.py). The sockets may also come from systemd, or from another program that follows sd_listen_fds(3). Then
LISTEN_FDS is the number of sockets, from descriptor 3 on, and LISTEN_PID is the process that gets the sockets. This
module does not know HTTP.
"""

import os
import re
import socket
from collections.abc import MutableMapping
from functools import partial
from typing import NamedTuple

from .children import Parent
from .restart import RESTART_VARIABLE

_RESTART_VALUE = r"([0-9]{1,10}) ([0-9]{1,9})((?: [0-9]{1,9}(?:,[0-9]{1,9})*)+)"
_FIRST_DESCRIPTOR = 3
_COUNT = r"[0-9]{1,6}"


class InheritedSockets(NamedTuple):
    """Listening sockets in *groups*, one group for each process.

    At a restart, *parent* is the older process that this process replaces.
    """

    groups: list[list[socket.socket]]
    parent: Parent | None = None

    def for_processes(self, count: int) -> list[list[socket.socket]]:
        """Return a list of listening sockets for each of *count* processes.

        If there are *count* groups, each process gets one group. Otherwise each process gets all sockets.
        """
        if len(self.groups) == count:
            return self.groups
        together = [listener for group in self.groups for listener in group]
        return [together, *([listener.dup() for listener in together] for _ in range(1, count))]


def inherit_sockets(environment: MutableMapping[str, str] = os.environ) -> InheritedSockets | None:
    """Return the sockets that variables in *environment* describe. If there are no such variables, return None.

    Remove the variables from *environment*.

    Raise ValueError if a variable is malformed. Raise ValueError or OSError if a descriptor is not a listening TCP
    socket.
    """
    restart = environment.pop(RESTART_VARIABLE, "")
    count, pid = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if restart:
        return _inherit_from_parent(restart)
    if pid != str(os.getpid()):
        return None
    if not re.fullmatch(_COUNT, count):
        raise ValueError(f"LISTEN_FDS is {count!r}, not a number of sockets")
    descriptors = range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count))
    return InheritedSockets([list(map(_open_listener, descriptors))]) if descriptors else None


def _inherit_from_parent(value: str) -> InheritedSockets:
    """Parse *value*, which an older process has set. Return the listening sockets and the control channel."""
    match = re.fullmatch(_RESTART_VALUE, value)
    if match is None:
        raise ValueError(f"{RESTART_VARIABLE} is {value!r}, which is malformed")
    pid, control, groups = match.groups()
    if pid != str(os.getppid()):
        raise ValueError(f"process {pid}, which this one should replace, has ended")
    parent = Parent(socket.socket(fileno=int(control)))
    # A fault may have closed the port for a time.
    open_listener = partial(_open_listener, may_be_closed=True)
    return InheritedSockets([list(map(open_listener, map(int, each.split(",")))) for each in groups.split()], parent)


def _open_listener(descriptor: int, *, may_be_closed: bool = False) -> socket.socket:
    """Return the TCP socket at *descriptor*. Raise ValueError or OSError if *descriptor* is anything else.

    If *may_be_closed* is false, raise ValueError also if the socket does not listen.
    """
    listener = socket.socket(fileno=descriptor)
    is_tcp = listener.family in (socket.AF_INET, socket.AF_INET6) and listener.type == socket.SOCK_STREAM
    if not is_tcp or not (may_be_closed or listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        listener.close()
        raise ValueError(f"descriptor {descriptor} is not a listening TCP socket")
    listener.set_inheritable(False)
    listener.setblocking(False)
    # As listen_on() does. Connections inherit both: with the first one, a fault can bind their port again.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
