"""The addresses by which other devices can reach this machine."""

import ipaddress
import socket
import sys

import pytest

from httpsock.server import addresses
from httpsock.server.addresses import local_addresses


def test_each_address_is_numeric_and_given_once() -> None:
    found = [ipaddress.ip_address(address) for address in local_addresses()]
    assert len(set(found)) == len(found)


def test_addresses_that_only_this_machine_can_reach_are_left_out() -> None:
    assert [address for address in local_addresses() if ipaddress.ip_address(address).is_loopback] == []


def test_each_address_belongs_to_this_machine() -> None:
    for address in local_addresses():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # The system refuses the address of another machine.
            probe.bind((address, 0))
            assert probe.getsockname()[0] == address


def test_the_address_of_the_default_route_comes_first() -> None:
    outwards = [addresses._towards(family, elsewhere) for family, elsewhere in addresses._ELSEWHERE]
    expected = [address for address in outwards if address is not None]
    assert local_addresses()[: len(expected)] == expected


def test_datagrams_to_this_machine_leave_from_its_loopback_address() -> None:
    assert addresses._towards(socket.AF_INET, "127.0.0.1") == "127.0.0.1"


def test_without_a_route_there_is_no_address() -> None:
    # Broadcast needs an option that is not set, so the system refuses it on any network.
    assert addresses._towards(socket.AF_INET, "255.255.255.255") is None


def test_the_address_of_each_interface_is_numeric() -> None:
    assert [str(ipaddress.IPv4Address(address)) for address in addresses._of_interfaces()] == addresses._of_interfaces()


def test_a_system_without_ioctl_is_not_asked_for_its_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    # This entry makes "import fcntl" fail, as on Windows.
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert addresses._of_interfaces() == []
    assert len(local_addresses()) <= len(addresses._ELSEWHERE)
