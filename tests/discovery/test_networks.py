"""Network interfaces and their addresses, found with and without netlink, and notifications of changes."""

import errno
import ipaddress
import pathlib
import socket
import sys

import pytest

from httpsock.discovery import networks
from httpsock.discovery.multicast import Interface
from httpsock.discovery.networks import (
    Hosts,
    announcing_interfaces,
    discard_changes,
    interface,
    interfaces,
    open_changes,
)
from tests.support.rows import each_row

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")

LOOPBACK = socket.if_nametoindex("lo") if sys.platform == "linux" else 1


def test_an_address_comes_with_its_interface() -> None:
    each = interface("127.0.0.1")
    assert (each, each.family, each.host) == (Interface("127.0.0.1", LOOPBACK), socket.AF_INET, "127.0.0.1")
    assert interface("192.0.2.77") == Interface("192.0.2.77")


def test_a_link_local_address_names_its_interface() -> None:
    each = interface(f"fe80::1%{LOOPBACK}")
    assert (each, each.family, each.host) == (Interface("fe80::1", LOOPBACK), socket.AF_INET6, f"fe80::1%{LOOPBACK}")


def test_an_ipv6_address_of_another_machine_has_no_interface() -> None:
    with pytest.raises(OSError, match="No such device"):
        interface("2001:db8::3")


@each_row("host", ["nobody", "fe80::1%no-such-interface"])
def test_an_invalid_address_has_no_interface(host: str) -> None:
    with pytest.raises(OSError, match=r"not known|not supported|No address"):
        interface(host)


def test_each_interface_has_an_address_of_this_machine() -> None:
    found = interfaces(with_loopback=True)
    assert Interface("127.0.0.1", LOOPBACK) in found
    for each in found:
        with socket.socket(each.family, socket.SOCK_DGRAM) as probe:
            probe.bind((each.address, 0, 0, each.number) if each.family == socket.AF_INET6 else (each.address, 0))


def test_all_ipv6_addresses_that_the_kernel_lists_are_found() -> None:
    table = pathlib.Path("/proc/net/if_inet6")
    if not table.exists():
        pytest.skip("this system has no IPv6")
    rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()]
    on_loopback = {
        Interface(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address)), int(number, 16))
        for address, number, _, _, _, name in rows
        if name == "lo"
    }
    found = interfaces(with_loopback=True)
    assert {each for each in found if each.family == socket.AF_INET6 and each.number == LOOPBACK} == on_loopback


def test_announcements_are_for_ipv4_and_link_local_ipv6_beyond_loopback() -> None:
    for each in announcing_interfaces():
        assert each.number != LOOPBACK
        assert each.family == socket.AF_INET or ipaddress.ip_address(each.address).is_link_local


def test_without_netlink_only_ipv4_addresses_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK")
    monkeypatch.setattr(networks, "local_addresses", lambda: ["192.0.2.1", "2001:db8::1"])
    assert interfaces() == [Interface("192.0.2.1")]
    assert open_changes() is None


def test_an_error_of_netlink_raises_unless_it_means_not_supported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(networks, "_GET_LINKS", 9999)
    with pytest.raises(OSError, match="not supported"):
        interfaces()
    monkeypatch.setattr(networks, "_NO_NETLINK", (errno.EOPNOTSUPP,))
    monkeypatch.setattr(networks, "local_addresses", lambda: ["192.0.2.1"])
    assert interfaces() == [Interface("192.0.2.1")]


def test_all_pending_changes_are_received() -> None:
    sender, changes = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, changes:
        changes.setblocking(False)
        sender.send(b"one")
        sender.send(b"two")
        discard_changes(changes)
        with pytest.raises(BlockingIOError):
            changes.recv(1)


def test_a_socket_for_changes_does_not_block() -> None:
    changes = open_changes()
    assert changes
    with changes:
        discard_changes(changes)


def test_the_hosts_are_the_given_addresses_that_this_machine_has_now() -> None:
    hosts = Hosts(["192.0.2.77", "127.0.0.1", "127.0.0.2", "fe80::1%no-such-interface"])
    faults: dict[str, OSError] = {}
    first = hosts.first(faults)
    assert [each.address for each in first] == ["192.0.2.77", "127.0.0.1", "127.0.0.2"]
    assert list(faults) == ["fe80::1%no-such-interface"]
    hosts.retain(first)
    assert [each.address for each in hosts.interfaces()] == ["127.0.0.1", "127.0.0.2"]
    assert hosts._specific == ["192.0.2.77", "127.0.0.1", "127.0.0.2"]


def test_hosts_that_were_not_joined_are_removed() -> None:
    hosts = Hosts(["192.0.2.77", "127.0.0.1"])
    hosts.retain([Interface("127.0.0.1", LOOPBACK)])
    assert hosts._specific == ["127.0.0.1"]


@each_row(("host", "family"), [("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)])
def test_a_wildcard_address_stands_for_all_addresses_of_its_family(host: str, family: int) -> None:
    hosts = Hosts([host])
    assert hosts.interfaces() == [each for each in announcing_interfaces() if each.family == family]
    assert hosts.unspecified == [host]


def test_an_unknown_interface_of_an_address_is_an_error() -> None:
    with pytest.raises(OSError, match="not known"):
        networks._is_ours("nobody")
