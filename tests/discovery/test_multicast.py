"""Multicast: joining a group, which addresses are on the local network, and zones of link-local addresses."""

import socket
import sys

import pytest

from httpsock.discovery.multicast import Interface, is_on_local_network, sender, with_zone
from httpsock.discovery.ssdp import GROUP, GROUP_IPV6
from tests.support import TIMEOUT_SECONDS
from tests.support.rows import each_row

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="multicast on loopback is Linux's")

LOOPBACK = socket.if_nametoindex("lo") if sys.platform == "linux" else 1


@pytest.mark.parametrize(
    ("each", "group"),
    [
        (Interface("127.0.0.1"), GROUP),
        (Interface("::1", LOOPBACK), GROUP_IPV6),
    ],
    ids=["IPv4", "IPv6"],
)
def test_a_member_of_the_group_receives_its_datagrams(each: Interface, group: str) -> None:
    if each.family == socket.AF_INET6 and not socket.has_ipv6:
        pytest.skip("this system has no IPv6")
    with (
        socket.socket(each.family, socket.SOCK_DGRAM) as receiver,
        socket.socket(each.family, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("", 0))
        receiver.settimeout(TIMEOUT_SECONDS)
        each.join(receiver, group)
        try:
            each.send(sender, b"all", group, receiver.getsockname()[1])
        except OSError:
            # Linux has no route to ff02::/16 over loopback unless one is added.
            assert each.family == socket.AF_INET6
        else:
            octets, peer = receiver.recvfrom(100)
            assert octets == b"all"
            assert is_on_local_network(peer[0])


@each_row(("address", "expected"), [("fe80::1", True), ("2001:db8::1", False), ("169.254.1.1", False)])
def test_an_address_of_ipv6_may_be_link_local(address: str, expected: bool) -> None:
    assert Interface(address).is_link_local is expected


@each_row(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("192.168.1.1", True),
        ("172.16.0.1", True),
        ("169.254.1.1", True),
        ("8.8.8.8", False),
        ("172.32.0.1", False),
        ("239.255.255.250", False),
        ("::1", True),
        ("fe80::1", True),
        ("fe80::1%2", True),
        ("fe80::1%a%b", True),
        ("febf::1", True),
        ("fec0::1", False),
        ("0.0.0.0", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("255.255.255.255", False),
        ("fd00::1", False),
        ("2606:4700::1111", False),
        ("ff02::c", False),
        ("::ffff:127.0.0.1", False),
    ],
)
def test_only_addresses_of_the_local_network_are_near(host: str, expected: bool) -> None:
    assert is_on_local_network(host) is expected


@each_row(
    ("address", "expected"),
    [
        (("127.0.0.1", 1900), "127.0.0.1"),
        (("fe80::1", 1900, 0, 2), "fe80::1%2"),
        (("fe80::1%eth0", 1900, 0, 2), "fe80::1%2"),
        (("::1", 1900, 0, 0), "::1"),
    ],
)
def test_the_address_of_a_sender_includes_its_zone_if_it_has_one(address: tuple[str, int], expected: str) -> None:
    assert sender(address) == expected


def test_only_a_link_local_address_has_a_zone() -> None:
    assert with_zone("fd00::1", 2) == "fd00::1"
    assert with_zone("fe80::1", 0) == "fe80::1"
