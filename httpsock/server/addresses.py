"""Addresses: which of them count as one client, and at which this machine is reached; no name is looked up.

Takes and gives numeric addresses. The second is for printing what to type on another device.
"""

import contextlib
import socket
from functools import lru_cache

# Addresses of documentation (RFC 5737, RFC 3849): where a route would leave towards them tells which of our
# addresses the network sees. connect() on a datagram socket sends nothing.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
# linux/sockios.h: the address of an interface, in a struct ifreq: 16 octets of name, 4 of family and port,
# 4 of address.
_SIOCGIFADDR = 0x8915


@lru_cache(maxsize=1024)
def network_of(client: str) -> str:
    """Return what counts as one client: an address; of IPv6 its first 64 bits, all of which one subscriber has."""
    if ":" not in client or client == "::1":
        return client
    mapped = client.removeprefix("::ffff:")
    if "." in mapped:
        # An IPv4 address, at a socket for both.
        return mapped
    octets = socket.inet_pton(socket.AF_INET6, client.partition("%")[0])
    return socket.inet_ntop(socket.AF_INET6, octets[:8] + bytes(8))


def local_addresses() -> list[str]:
    """Return the addresses of this machine that others may reach, each once, the one of the default route first."""
    found = [address for family, elsewhere in _ELSEWHERE if (address := _towards(family, elsewhere))]
    return list(dict.fromkeys(address for address in found + _of_interfaces() if not address.startswith("127.")))


def _towards(family: socket.AddressFamily, elsewhere: str) -> str | None:
    """Return the address from which datagrams to *elsewhere* would leave, or None if there is no route."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((elsewhere, 9))
        return str(probe.getsockname()[0])
    return None


def _of_interfaces() -> list[str]:
    """Return the IPv4 address of each interface, where the system can be asked (Linux)."""
    try:
        from fcntl import ioctl
    except ImportError:
        # Windows has no such call.
        return []
    addresses = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                request = ioctl(probe.fileno(), _SIOCGIFADDR, name.encode().ljust(256, b"\0"))
                addresses.append(socket.inet_ntoa(request[20:24]))
    return addresses
