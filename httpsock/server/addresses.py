"""Numeric addresses: the network of a client, and the addresses of this machine.

Names are never looked up.
"""

import contextlib
import socket
from functools import lru_cache

# Documentation addresses (RFC 5737, RFC 3849): the route to them shows the source address that other hosts see.
# connect() on a datagram socket sends no packet.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
# linux/sockios.h: get the address of an interface. Its struct ifreq has 16 octets of name, 4 of family and port, and
# 4 of address.
_SIOCGIFADDR = 0x8915


@lru_cache(maxsize=1024)
def network_of(client: str) -> str:
    """Return the network of *client*: its IPv4 address, or the /64 prefix of its IPv6 address.

    Limits count all clients of a network together.
    """
    if ":" not in client or client == "::1":
        return client
    mapped = client.removeprefix("::ffff:")
    if "." in mapped:
        # An IPv4 address, as a dual-stack socket shows it.
        return mapped
    octets = socket.inet_pton(socket.AF_INET6, client.partition("%")[0])
    return socket.inet_ntop(socket.AF_INET6, octets[:8] + bytes(8))


def is_loopback(address: str) -> bool:
    """Return whether a numeric address is a loopback address."""
    return address.startswith("127.") or address == "::1"


def local_addresses() -> list[str]:
    """Return the addresses at which other devices can reach this machine.

    The address on the default route comes first.
    """
    found = [address for family, elsewhere in _ELSEWHERE if (address := _towards(family, elsewhere))]
    return list(dict.fromkeys(address for address in found + _of_interfaces() if not address.startswith("127.")))


def _towards(family: socket.AddressFamily, elsewhere: str) -> str | None:
    """Return this machine's source address for datagrams to *elsewhere*, or None if there is no route."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((elsewhere, 9))
        return str(probe.getsockname()[0])
    return None


def _of_interfaces() -> list[str]:
    """Return the IPv4 address of each interface. On systems other than Linux, return an empty list."""
    try:
        from fcntl import ioctl
    except ImportError:
        # Windows lacks ioctl().
        return []
    addresses = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                request = ioctl(probe.fileno(), _SIOCGIFADDR, name.encode().ljust(256, b"\0"))
                addresses.append(socket.inet_ntoa(request[20:24]))
    return addresses
