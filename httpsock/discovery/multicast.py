"""Multicast: join a group on a network interface, and send to the group by this interface.

A multicast datagram leaves by one interface and reaches the members of the group on its network. IPv4 identifies an
interface by one of its addresses. IPv6 identifies an interface by its index. The index is also the zone of link-local
addresses.

RFC 1112 §6, §7 (IPv4); RFC 3493 §5.2 (IPv6); RFC 4007 §6, §11 (link-local addresses and their zones).
"""

import ipaddress
import socket
import struct
from typing import Any, NamedTuple

# Private use (RFC 1918), link-local (RFC 3927, RFC 4291 §2.5.6) and loopback.
_LOCAL_NETWORKS = [
    *(ipaddress.ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")),
    *(ipaddress.ip_network(block) for block in ("169.254.0.0/16", "fe80::/10", "127.0.0.0/8", "::1")),
]


class Interface(NamedTuple):
    """One address of a network interface of this machine, and the interface's index *number*.

    If the index is unknown, *number* is 0. If an interface is deleted and created again, it gets a new index.
    """

    address: str
    number: int = 0

    @property
    def family(self) -> socket.AddressFamily:
        """The family of the interface's address: IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def is_link_local(self) -> bool:
        """Whether the interface's address is a link-local IPv6 address, which is unique only on its network."""
        return self.family == socket.AF_INET6 and ipaddress.ip_address(self.address).is_link_local

    @property
    def host(self) -> str:
        """The interface's address as text. A link-local address has its zone, as in "fe80::1%2"."""
        return with_zone(self.address, self.number)

    def join(self, receiver: socket.socket, group: str) -> None:
        """Join *group* on this interface. Raise OSError if that fails."""
        if self.family == socket.AF_INET6:
            wanted = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", self.number)
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, wanted)
        else:
            wanted = socket.inet_aton(group) + self._ipv4
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wanted)

    @property
    def _ipv4(self) -> bytes:
        """The interface in the format of an IPv4 socket option: its address, and its index if that is known."""
        return socket.inet_aton(self.address) + (struct.pack("@i", self.number) if self.number else b"")

    def send(self, sender: socket.socket, octets: bytes, group: str, port: int) -> None:
        """Send one datagram to *group* by this interface. Raise OSError if that fails."""
        if self.family == socket.AF_INET6:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self.number)
            sender.sendto(octets, (group, port, 0, self.number))
        else:
            # The option takes a struct ip_mreqn, here without a group, or only the address.
            named = bytes(4) + self._ipv4 if self.number else self._ipv4
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, named)
            sender.sendto(octets, (group, port))


def sender(address: tuple[Any, ...]) -> str:
    """Return the host of an *address* from recvfrom(). If the host is link-local, add its zone."""
    host = str(address[0]).partition("%")[0]
    return with_zone(host, address[3]) if len(address) > 2 else host


def with_zone(address: str, number: int) -> str:
    """Return *address*. If *address* is link-local, add its zone: the interface's index *number* (RFC 4007 §11)."""
    needs_zone = number and ":" in address and ipaddress.ip_address(address).is_link_local
    return f"{address}%{number}" if needs_zone else address


def is_on_local_network(host: str) -> bool:
    """Return whether the numeric address *host* is of this machine or of a local network.

    If *host* is an IPv6 address, it must be a loopback or link-local address.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    # Our sockets never receive IPv4-mapped IPv6 addresses.
    return any(address in network for network in _LOCAL_NETWORKS)
