"""Networks: list this machine's interfaces and addresses, and watch for changes.

On Linux this module uses netlink. The kernel answers a dump request with one message for each link or address. To watch
for changes, a netlink socket joins the kernel's multicast groups, and becomes readable at each change. Its messages are
discarded, and the caller lists everything again. On systems without netlink, this module uses the source addresses of
the routes to other networks.

RFC 3549 §2.3 (messages), §3.1.1 (links), §3.1.2 (addresses); RFC 1112 §6 (interfaces).
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from httpsock.server.addresses import local_addresses

from .multicast import Interface

# nlmsghdr: length, type, flags, sequence, port.   ifinfomsg: family, -, type, index, flags, change.
# ifaddrmsg: family, prefix length, flags, scope, index.   rtattr: length, type.
_HEADER, _LINK, _ADDRESS, _ATTRIBUTE = (struct.Struct(each) for each in ("@IHHII", "@BBHiII", "@BBBBI", "@HH"))
_ERROR, _DONE = 2, 3
_GET_LINKS, _GET_ADDRESSES = 18, 22
_REQUEST_ALL = 0x301
_IS_UP, _IS_LOOPBACK, _IS_RUNNING = 0x01, 0x08, 0x40
# Duplicate address detection is still running, or has found a duplicate (RFC 4862 §5.4).
_IS_TENTATIVE = 0x48
_ADDRESS_AND_LOCAL = (1, 2)
# RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_GROUPS = 0x111
_NO_NETLINK = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPERM, errno.EACCES)
_MAX_OCTETS = 1 << 16
_ANSWER_SECONDS = 5.0


class Hosts:
    """The numeric addresses of a server. 0.0.0.0 and :: stand for the addresses on all networks."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.unspecified = [host for host in hosts if host in ("0.0.0.0", "::")]
        self._specific = [host for host in hosts if host not in self.unspecified]

    def first(self, faults: dict[str, OSError]) -> list[Interface]:
        """Return the interfaces that have the server's addresses. If a look-up fails, store the error in *faults*."""
        found = []
        for host in self._specific:
            try:
                found.append(interface(host))
            except OSError as error:
                faults[host] = error
        return [*dict.fromkeys(found + self._of_networks())]

    def retain(self, joined: Sequence[Interface]) -> None:
        """Forget each address of the server that no interface in *joined* has.

        An address that fails at the start is probably misspelled, so it is not tried again.
        """
        known = {each.address: each.host for each in joined}
        self._specific = [known[plain] for host in self._specific if (plain := host.partition("%")[0]) in known]

    def interfaces(self) -> list[Interface]:
        """Return the interfaces that have the server's addresses at the moment. Raise OSError if the look-up fails."""
        own = [interface(host) for host in self._specific if _is_ours(host)]
        return [*dict.fromkeys(own + self._of_networks())]

    def _of_networks(self) -> list[Interface]:
        families = {socket.AF_INET6 if ":" in host else socket.AF_INET for host in self.unspecified}
        return [each for each in announcing_interfaces() if each.family in families] if families else []


def _is_ours(host: str) -> bool:
    """Return whether this machine has the numeric address *host* at the moment. Raise OSError if the look-up fails."""
    try:
        family, *_, address = _numeric(host)
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(address)
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
            return False
        raise
    return True


def interface(host: str) -> Interface:
    """Return the interface with the numeric address *host*.

    If no interface has this address, raise OSError for IPv6. For IPv4, return an Interface with the index 0, which
    means unknown.
    """
    *_, address = _numeric(host)
    known = [each.number for each in interfaces(with_loopback=True) if each.address == address[0]]
    number = (int(address[3]) if len(address) > 2 else 0) or (known or [0])[0]
    if not number and len(address) > 2:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    return Interface(str(address[0]), number)


def _numeric(host: str) -> tuple[Any, ...]:
    """Return the result of socket.getaddrinfo() for the numeric address *host*."""
    # Pass octets, as in server/listeners: for a str, Python would import the codec of IDNA.
    return socket.getaddrinfo(os.fsencode(host), 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]


def announcing_interfaces() -> list[Interface]:
    """Return the interfaces to announce on: all IPv4 addresses and all link-local IPv6 addresses."""
    return [each for each in interfaces() if each.family == socket.AF_INET or each.is_link_local]


def interfaces(*, with_loopback: bool = False) -> list[Interface]:
    """Return each address of each interface that is up and connected. Raise OSError if the look-up fails."""
    try:
        wanted = _IS_UP | _IS_RUNNING
        ignored = 0 if with_loopback else _IS_LOOPBACK
        links = {index: flags for _, _, _, index, flags, _ in map(_LINK.unpack_from, _all(_GET_LINKS))}
        return [
            each
            for each in _addresses()
            if links.get(each.number, 0) & wanted == wanted and not links[each.number] & ignored
        ]
    except (OSError, AttributeError) as error:
        # AttributeError: this system has no netlink.
        if isinstance(error, OSError) and error.errno not in _NO_NETLINK:
            raise
        return [Interface(address) for address in local_addresses() if ":" not in address]


def _addresses() -> Iterator[Interface]:
    """Yield all usable addresses of this machine with their interfaces."""
    for message in _all(_GET_ADDRESSES):
        family, _, flags, _, index = _ADDRESS.unpack_from(message)
        is_usable = family == socket.AF_INET or (family == socket.AF_INET6 and not flags & _IS_TENTATIVE)
        # On a point-to-point link, IFA_ADDRESS is the peer's, and IFA_LOCAL is ours. Sorting puts IFA_LOCAL last.
        found = sorted(each for each in _attributes(message[_ADDRESS.size :]) if each[0] in _ADDRESS_AND_LOCAL)
        yield from [Interface(socket.inet_ntop(family, octets), index) for _, octets in found[-1:] if is_usable]


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while len(octets) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(octets)
        yield kind, octets[_ATTRIBUTE.size : length]
        octets = octets[_aligned(max(length, _ATTRIBUTE.size)) :]


def _all(kind: int) -> Iterator[bytes]:
    """Request a dump from the kernel. Yield the content of each message. Raise OSError if the request fails.

    *kind* selects what the dump lists: links or addresses.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(_ANSWER_SECONDS)
        netlink.send(_HEADER.pack(_HEADER.size + 4, kind, _REQUEST_ALL, 0, 0) + bytes(4))
        while True:
            octets = netlink.recv(_MAX_OCTETS)
            while len(octets) >= _HEADER.size:
                length, answer, *_ = _HEADER.unpack_from(octets)
                content = octets[_HEADER.size : length]
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    (code,) = struct.unpack_from("@i", content)
                    raise OSError(-code, os.strerror(-code))
                yield content
                octets = octets[_aligned(max(length, _HEADER.size)) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def open_changes() -> socket.socket | None:
    """Return a socket that becomes readable when a link or an address changes. Without netlink, return None."""
    with contextlib.suppress(OSError, AttributeError), contextlib.ExitStack() as opened:
        changes = opened.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
        changes.bind((0, _GROUPS))
        changes.setblocking(False)
        opened.pop_all()
        return changes
    return None


def discard_changes(changes: socket.socket) -> None:
    """Discard the messages of a socket from ``open_changes``. The caller then lists the interfaces again."""
    # EAGAIN: the socket is empty. ENOBUFS: its buffer overflowed, and the next call drains the rest.
    with contextlib.suppress(OSError):
        while changes.recv(_MAX_OCTETS):
            pass
