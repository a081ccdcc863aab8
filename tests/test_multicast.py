"""Multicast: which interface an address is of, how each family names it, and who is of the same network."""

import ipaddress
import socket
import sys

import pytest

from httpsock import multicast
from httpsock.multicast import Interface, announcing_hosts, interface, is_near, sender, with_zone
from httpsock.ssdp import GROUP, GROUP_IPV6
from tests.support import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="multicast on loopback is Linux's")

LOOPBACK = socket.if_nametoindex("lo") if sys.platform == "linux" else 1


def test_an_address_of_ipv4_is_its_interface() -> None:
    each = interface("127.0.0.1")
    assert (each, each.family, each.host) == (Interface("127.0.0.1"), socket.AF_INET, "127.0.0.1")


def test_a_link_local_address_comes_with_its_interface() -> None:
    each = interface(f"fe80::1%{LOOPBACK}")
    assert (each, each.family) == (Interface("fe80::1", LOOPBACK), socket.AF_INET6)
    assert each.host == f"fe80::1%{LOOPBACK}"


def test_the_interface_of_another_address_of_ipv6_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multicast, "_ipv6_interfaces", lambda: [Interface("fd00::2", 7)])
    assert interface("fd00::2") == Interface("fd00::2", 7)
    with pytest.raises(OSError, match="No such device"):
        interface("fd00::3")


@pytest.mark.parametrize("host", ["nobody", "fe80::1%no-such-interface"])
def test_what_is_no_address_has_no_interface(host: str) -> None:
    with pytest.raises(OSError, match=r"not known|not supported|No address"):
        interface(host)


def test_it_is_announced_where_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [host for host in announcing_hosts() if ipaddress.ip_address(host).is_loopback] == []
    monkeypatch.setattr(multicast, "local_addresses", lambda: ["192.0.2.1", "2001:db8::1"])
    ours = [Interface("::1", 1), Interface("fe80::1", 2), Interface("fd00::1", 2)]
    monkeypatch.setattr(multicast, "_ipv6_interfaces", lambda: ours)
    assert announcing_hosts() == ["192.0.2.1", "fe80::1%2"]


def test_each_interface_of_ipv6_has_an_address_that_is_ours() -> None:
    for each in multicast._ipv6_interfaces():
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((each.address, 0, 0, each.number))


@pytest.mark.parametrize(
    ("each", "group"),
    [
        (Interface("127.0.0.1"), GROUP),
        (Interface("::1", LOOPBACK), GROUP_IPV6),
    ],
    ids=["IPv4", "IPv6"],
)
def test_who_has_joined_hears_what_is_said_to_the_group(each: Interface, group: str) -> None:
    if each.family == socket.AF_INET6 and not socket.has_ipv6:
        pytest.skip("this system has no IPv6")
    with (
        socket.socket(each.family, socket.SOCK_DGRAM) as hearing,
        socket.socket(each.family, socket.SOCK_DGRAM) as sending,
    ):
        hearing.bind(("", 0))
        hearing.settimeout(PATIENCE_SECONDS)
        each.join(hearing, group)
        try:
            each.send(sending, b"all", group, hearing.getsockname()[1])
        except OSError:
            # Linux has no way to ff02::/16 over loopback unless it is told of one.
            assert each.family == socket.AF_INET6
        else:
            octets, peer = hearing.recvfrom(100)
            assert octets == b"all"
            assert is_near(peer[0])


@pytest.mark.parametrize(
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
def test_only_neighbours_are_near(host: str, expected: bool) -> None:
    assert is_near(host) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("127.0.0.1", 1900), "127.0.0.1"),
        (("fe80::1", 1900, 0, 2), "fe80::1%2"),
        (("fe80::1%eth0", 1900, 0, 2), "fe80::1%2"),
        (("::1", 1900, 0, 0), "::1"),
    ],
)
def test_a_sender_is_named_with_its_zone_if_it_has_one(address: tuple[str, int], expected: str) -> None:
    assert sender(address) == expected


def test_only_a_link_local_address_has_a_zone() -> None:
    assert with_zone("fd00::1", 2) == "fd00::1"
    assert with_zone("fe80::1", 0) == "fe80::1"


def test_without_ipv6_there_are_no_such_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multicast, "_TABLE", "/nowhere")
    assert multicast._ipv6_interfaces() == []
