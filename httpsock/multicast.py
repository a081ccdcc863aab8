"""Multicast: datagrams to all who have joined a group, network by network.

What is sent to a group leaves by one interface, and reaches who has joined on the network there. IPv4 knows an
interface by one of its addresses, IPv6 by a number, which its link-local addresses need besides.

RFC 1112 §6, §7 (IPv4); RFC 3493 §5.2 (IPv6); RFC 4007 §6, §11 (link-local addresses and their zones).
"""

import errno
import ipaddress
import os
import socket
import struct
from typing import Any, NamedTuple

from .addresses import local_addresses

# Linux: our addresses of IPv6, a line each: 32 hexadecimal digits, the number of the interface, and so on.
_TABLE = "/proc/net/if_inet6"

# Private use (RFC 1918), link-local (RFC 3927, RFC 4291 §2.5.6) and loopback.
_NEAR = [
    *(ipaddress.ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")),
    *(ipaddress.ip_network(block) for block in ("169.254.0.0/16", "fe80::/10", "127.0.0.0/8", "::1")),
]


class Interface(NamedTuple):
    """An interface of ours: an address that we have there, and of IPv6 its number."""

    address: str
    number: int = 0

    @property
    def family(self) -> socket.AddressFamily:
        """The family of its address."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def host(self) -> str:
        """Its address as others on this machine have to write it."""
        return with_zone(self.address, self.number)

    def join(self, hearing: socket.socket, group: str) -> None:
        """Let a socket hear what is said to *group* there. Raises OSError."""
        if self.family == socket.AF_INET6:
            wanted = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", self.number)
            hearing.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, wanted)
        else:
            wanted = socket.inet_aton(group) + socket.inet_aton(self.address)
            hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wanted)

    def send(self, sending: socket.socket, octets: bytes, group: str, port: int) -> None:
        """Send one datagram to *group* there. Raises OSError."""
        if self.family == socket.AF_INET6:
            sending.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self.number)
            sending.sendto(octets, (group, port, 0, self.number))
        else:
            sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self.address))
            sending.sendto(octets, (group, port))


def interface(host: str) -> Interface:
    """Return the interface that has *host*, a numeric address of ours. Raises OSError if there is none."""
    address = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0][4]
    if len(address) < 4:
        return Interface(str(address[0]))
    known = [each.number for each in _ipv6_interfaces() if each.address == address[0]]
    number = int(address[3]) or (known or [0])[0]
    if not number:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    return Interface(str(address[0]), number)


def announcing_hosts() -> list[str]:
    """Return the addresses under which this machine is known on each of its networks."""
    hosts = [host for host in local_addresses() if ":" not in host]
    return hosts + [each.host for each in _ipv6_interfaces() if "%" in each.host]


def _ipv6_interfaces() -> list[Interface]:
    """Return our addresses of IPv6 with their interfaces, where the system can be asked (Linux)."""
    try:
        with open(_TABLE, encoding="ascii") as table:
            rows = [line.split() for line in table]
    except OSError:
        return []
    return [
        Interface(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address)), int(number, 16))
        for address, number, *_ in rows
    ]


def sender(address: tuple[Any, ...]) -> str:
    """Return whose *address* it is, as recvfrom() gives it: the host, with its zone if it is a link-local one."""
    host = str(address[0]).partition("%")[0]
    return with_zone(host, address[3]) if len(address) > 2 else host


def with_zone(address: str, number: int) -> str:
    """Return *address*, and if it is one of many networks' alike, the number of the interface (RFC 4007 §11)."""
    is_of_a_zone = number and ":" in address and ipaddress.ip_address(address).is_link_local
    return f"{address}%{number}" if is_of_a_zone else address


def is_near(host: str) -> bool:
    """Return whether *host* is an address of a local network (of IPv6: of the link itself) or of this machine."""
    address = ipaddress.ip_address(host.partition("%")[0])
    # An address of IPv4 in the form of one of IPv6 comes to no socket of ours.
    return any(address in network for network in _NEAR)
