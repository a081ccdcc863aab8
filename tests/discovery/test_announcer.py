"""The announcer: its answers, its announcements, and how many datagrams a stranger can make it send."""

import contextlib
import functools
import pathlib
import re
import shlex
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from httpsock.discovery import announcer
from httpsock.discovery.announcer import Announcer, _neighbours_search
from httpsock.discovery.description_handler import DescriptionHandler
from httpsock.discovery.multicast import Interface
from httpsock.discovery.networks import interface
from httpsock.discovery.ssdp import GROUP, GROUP_IPV6, Datagram, DatagramError, Device, format_search, parse_datagram
from tests.support import TIMEOUT_SECONDS
from tests.support.program import ENVIRONMENT
from tests.support.tools import TOOL_SECONDS, tool
from tests.support.trace import CollectedTrace, golden

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="multicast on loopback is Linux's")

DEVICE = Device(uuid.UUID(int=1), "http://127.0.0.1:1/0.xml", "a", 1)
HERE = interface("127.0.0.1")
# A search without MX, so that it is answered immediately.
SEARCH = b'M-SEARCH * HTTP/1.1\r\nMAN: "ssdp:discover"\r\nST: %b\r\n\r\n'


@pytest.fixture
def announcing(tmp_path: pathlib.Path) -> Iterator[Announcer]:
    """Yield an announcer on loopback. The folder's name has a character that XML must escape."""
    with Announcer(str(tmp_path / "my & folder"), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0) as running:
        yield running


@contextlib.contextmanager
def asking(*datagrams: bytes, port: int, host: str = "127.0.0.1", source: str = "") -> Iterator[socket.socket]:
    """Send *datagrams* to the announcer at *port*, and yield the socket. *source* is an optional sender address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as created:
        created.settimeout(TIMEOUT_SECONDS)
        if source:
            created.bind((source, 0))
        for datagram in datagrams:
            created.sendto(datagram, (host, port))
        yield created


def receive(connected: socket.socket, count: int) -> list[Datagram]:
    """Receive and parse *count* datagrams."""
    return [parse_datagram(connected.recv(8192)) for _ in range(count)]


# --- answers --------------------------------------------------------------------------------------------------------


def test_a_search_is_answered_to_its_sender(announcing: Announcer) -> None:
    with asking(SEARCH % b"ssdp:all", port=announcing.group_port) as client:
        answers = receive(client, 3)
    assert {answer.field("st").partition(":")[0] for answer in answers} == {"upnp", "uuid", "urn"}
    assert {answer.field("location") for answer in answers} == {announcing.devices[HERE].location}


def test_a_search_with_mx_is_answered_in_time(announcing: Announcer) -> None:
    with asking(format_search("upnp:rootdevice", 1), port=announcing.group_port) as client:
        assert receive(client, 1)[0].field("st") == "upnp:rootdevice"


def test_thousands_of_malformed_datagrams_have_no_effect(announcing: Announcer) -> None:
    valid = SEARCH % b"ssdp:all"
    broken = [valid[:length] for length in range(len(valid))] + [bytes([n % 256]) * (n % 300) for n in range(2000)]
    # Add searches for something else, and announcements of others.
    broken += [SEARCH % b"urn:else", b"NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\n\r\n", b"x" * 9000]
    # Send a hundred at a time: the kernel might drop some of a larger number.
    for first in range(0, len(broken), 100):
        hundred = broken[first : first + 100]
        search = SEARCH % b"upnp:rootdevice"
        # Send each hundred from another address, since one neighbour gets few answers.
        with asking(*hundred, search, port=announcing.group_port, source=f"127.0.1.{first // 100 + 1}") as client:
            assert receive(client, 1)[0].field("st") == "upnp:rootdevice"


def test_a_flood_of_searches_gets_few_answers(announcing: Announcer) -> None:
    """An attacker can forge the source address of a search. The owner of this address must get few answers."""
    with asking(*[SEARCH % b"ssdp:all"] * 300, port=announcing.group_port) as client:
        answers = len(receive(client, 9))
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while client.recv(8192):
                answers += 1
    assert answers < 300


def test_a_datagram_that_vanishes_before_it_is_received_is_ignored(announcing: Announcer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle:
        idle.setblocking(False)
        announcing._receive(HERE, idle, 0.0)
    assert not len(announcing._answers)


def test_a_search_from_outside_the_network_is_not_answered() -> None:
    with pytest.raises(DatagramError, match=r"8\.8\.8\.8 is not on a local network"):
        _neighbours_search(parse_datagram(SEARCH % b"ssdp:all"), "8.8.8.8")


def test_a_search_that_is_repeated_is_answered_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client repeats each search, since a datagram may get lost."""
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    collected = CollectedTrace(is_client=False)
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0, trace=collected)
    search = format_search("ssdp:all", 1)
    with running, asking(search, search, SEARCH % b"urn:else", port=running.group_port) as client:
        assert len(receive(client, 3)) == 3
    ignored = [
        (event.attributes["reason"], event.attributes["section"])
        for event in collected.events
        if event.name == "ignore"
    ]
    assert [each for each in ignored if each[0] != "it is not a search"] == [
        ("this client is already being answered", "UDA 2.0 §1.3.2"),
        ('the search is for "urn:else", not for this device', "UDA 2.0 §1.3.3"),
    ]


def test_a_search_over_ipv6_is_answered_with_an_address_of_ipv6(tmp_path: pathlib.Path) -> None:
    running = Announcer(str(tmp_path), ["127.0.0.1", "::1"], 8000, DescriptionHandler(), group_port=0)
    if len(running.devices) < 2:
        running._opened.close()
        pytest.skip("this system has no ::1")
    with running, asking(SEARCH % b"upnp:rootdevice", port=running.group_port, host="::1") as client:
        location = receive(client, 1)[0].field("location")
    assert re.fullmatch(r"http://\[::1\]:8000/\.httpsock-[0-9a-f]{32}\.xml", location)


def test_a_search_at_an_unannounced_address_is_answered_with_the_first_one(tmp_path: pathlib.Path) -> None:
    running = Announcer(str(tmp_path), ["127.0.0.2"], 8000, DescriptionHandler(), group_port=0)
    with running, asking(SEARCH % b"upnp:rootdevice", port=running.group_port) as client:
        assert receive(client, 1)[0].field("location").startswith("http://127.0.0.2:")


BARE = b"HTTP/1.1 200\r\n\r\n"


def test_a_bare_status_line_does_not_stop_the_announcer(announcing: Announcer) -> None:
    with asking(BARE, b"", BARE[:-2], SEARCH % b"upnp:rootdevice", port=announcing.group_port) as client:
        assert receive(client, 1)[0].field("st") == "upnp:rootdevice"
    assert announcing._thread.is_alive()


def test_fifty_searches_of_one_neighbour_do_not_silence_the_others(announcing: Announcer) -> None:
    greedy = asking(*[SEARCH % b"ssdp:all"] * 50, port=announcing.group_port, source="127.0.0.7")
    search = SEARCH % b"upnp:rootdevice"
    with greedy, asking(search, port=announcing.group_port, source="127.0.0.8") as other:
        assert receive(other, 1)[0].field("st") == "upnp:rootdevice"


def test_an_unexpected_error_costs_one_datagram_and_is_reported_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(octets: bytes) -> Datagram:
        if octets == BARE:
            raise ZeroDivisionError("a fault of ours")
        return parse_datagram(octets)

    monkeypatch.setattr(announcer, "parse_datagram", parse)
    reports: list[str] = []
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0, report=reports.append)
    with running, asking(BARE, BARE, BARE, SEARCH % b"ssdp:all", port=running.group_port) as client:
        assert len(receive(client, 3)) == 3
    assert len(reports) == 1
    assert reports[0].endswith("ZeroDivisionError: a fault of ours\n")


def test_a_step_that_fails_is_reported_once(announcing: Announcer, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    monkeypatch.setattr(announcing, "_report", reports.append)

    def _step() -> None:
        raise OSError(24, "Too many open files")

    for _ in range(3):
        announcing._guard(_step)
    assert reports == ["httpsock: the folder can't be announced: Too many open files."]


# --- networks that come and go --------------------------------------------------------------------------------------


def notifications(listener: socket.socket, count: int) -> list[tuple[str, str]]:
    """Receive *count* datagrams. Return the NTS and the host in the LOCATION of each datagram."""
    return [
        (each.field("nts").removeprefix("ssdp:"), each.field("location").partition("//")[2].partition(":")[0])
        for each in receive(listener, count)
    ]


def test_the_announcer_follows_new_and_removed_addresses(tmp_path: pathlib.Path) -> None:
    """The announcer sends ssdp:byebye for an old address and ssdp:alive for a new one."""
    running = Announcer(str(tmp_path), ["127.0.0.2"], 8000, DescriptionHandler(), group_port=0)
    with listening(running.group_port) as listener:
        booted = running._device.booted
        running._hosts._specific = ["127.0.0.3"]
        running._update_networks()
        assert notifications(listener, 12) == [("byebye", "")] * 6 + [("alive", "127.0.0.3")] * 6
        assert running._device.booted > booted
        running._hosts._specific = ["127.0.0.3", "127.0.0.4"]
        running._update_networks()
        assert notifications(listener, 12) == [("update", "127.0.0.3")] * 6 + [("alive", "127.0.0.4")] * 6
        assert len({device.booted for device in running.devices.values()}) == 1
        running._hosts._specific = ["127.0.0.3"]
        running._update_networks()
        assert notifications(listener, 12) == [("byebye", "")] * 6 + [("alive", "127.0.0.3")] * 6
        running._update_networks()
        assert list(running.devices) == list(running._sockets) == [Interface("127.0.0.3")]
    running._opened.close()


def test_the_announcer_waits_for_a_network(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Interface] = []
    monkeypatch.setattr("httpsock.discovery.networks.announcing_interfaces", lambda: found)
    reports: list[str] = []
    running = Announcer(str(tmp_path), ["0.0.0.0"], 8000, DescriptionHandler(), group_port=0, report=reports.append)
    assert reports == ["httpsock: no network to announce the folder on; waiting for one."]
    running._scan_at = 0.0
    found.append(HERE)
    running._run_timers(1.0)
    assert list(running.devices) == [HERE]
    running._opened.close()


def test_a_search_at_an_address_not_yet_announced_gets_no_other_address(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpsock.discovery.networks.announcing_interfaces", lambda: [Interface("127.0.0.2")])
    running = Announcer(str(tmp_path), ["0.0.0.0"], 8000, DescriptionHandler(), group_port=0)
    with pytest.raises(DatagramError, match="the network has changed and is not announced yet"):
        running._interface_towards(("127.0.0.1", 5000), Interface("127.0.0.2"))
    running._opened.close()


def test_a_notice_of_a_change_makes_the_announcer_scan_networks_sooner(tmp_path: pathlib.Path) -> None:
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0)
    assert running._changes
    before = running._scan_at
    running._on_readable(running._changes.fileno())
    assert running._scan_at < before
    running._opened.close()


def test_without_notices_of_changes_networks_are_scanned_at_intervals(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "open_changes", lambda: None)
    monkeypatch.setattr(announcer, "_SCAN_SECONDS", 0.01)
    running = Announcer(str(tmp_path), ["127.0.0.2"], 8000, DescriptionHandler(), group_port=0)
    with listening(running.group_port) as listener, running:
        notifications(listener, 6)
        running._hosts._specific = ["127.0.0.3"]
        assert notifications(listener, 12)[6:] == [("alive", "127.0.0.3")] * 6


# --- what is announced ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Yield a socket that has joined the multicast group on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as created:
        created.settimeout(TIMEOUT_SECONDS)
        created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        created.bind((GROUP, port))
        membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        created.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        yield created


def test_the_announcer_sends_alive_and_byebye_twice(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0)
    with listening(running.group_port) as listener:
        with running:
            alive = receive(listener, 6)
        leaving = receive(listener, 6)
    assert {datagram.field("nts") for datagram in alive} == {"ssdp:alive"}
    assert {datagram.field("nts") for datagram in leaving} == {"ssdp:byebye"}
    assert len({datagram.field("usn") for datagram in alive + leaving}) == 3


def test_the_announcer_ends_without_a_byebye_when_another_process_takes_over(tmp_path: pathlib.Path) -> None:
    replaced: list[None] = []
    is_replaced = functools.partial(bool, replaced)
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), is_replaced=is_replaced, group_port=0)
    with listening(running.group_port) as listener:
        with running:
            receive(listener, 6)
            replaced.append(None)
            # Its LOCATION is invalid now, so this search is not answered.
            with asking(SEARCH % b"ssdp:all", port=running.group_port):
                running._thread.join(TIMEOUT_SECONDS)
            assert not running._thread.is_alive()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            last.sendto(b"NOTIFY * HTTP/1.1\r\nHost: x\r\nNTS: the last\r\n\r\n", (GROUP, running.group_port))
        (after,) = receive(listener, 1)
    assert after.field("nts") == "the last"


def test_the_announcer_repeats_alive_before_it_expires(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcer, "_ANNOUNCE_SECONDS", 0.01)
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0)
    with listening(running.group_port) as listener, running:
        assert {datagram.field("nts") for datagram in receive(listener, 30)} == {"ssdp:alive"}


def test_the_same_folder_and_port_are_the_same_device(tmp_path: pathlib.Path) -> None:
    identities = set()
    for port in (8000, 8000, 8001):
        with Announcer(str(tmp_path), ["127.0.0.1"], port, DescriptionHandler(), group_port=0) as running:
            identities.add(running.devices[HERE].identity)
    assert len(identities) == 2


def test_each_address_of_the_server_has_its_location(tmp_path: pathlib.Path) -> None:
    description = DescriptionHandler()
    with Announcer(str(tmp_path), ["127.0.0.1", "127.0.0.2"], 8000, description, group_port=0) as running:
        locations = [device.location for device in running.devices.values()]
    assert locations == [f"http://127.0.0.{n}:8000{description.path}" for n in (1, 2)]


def test_a_failed_announcement_is_an_error_and_leaves_no_socket_open(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match="No such device"):
        Announcer(str(tmp_path), ["192.0.2.1"], 8000, DescriptionHandler(), group_port=0)


def test_a_missing_network_is_reported_and_the_others_are_announced(tmp_path: pathlib.Path) -> None:
    reports: list[str] = []
    collected = CollectedTrace(is_client=False)
    hosts = ["192.0.2.1", "127.0.0.1", "fe80::1%no-such-interface"]
    with Announcer(
        str(tmp_path), hosts, 8000, DescriptionHandler(), group_port=0, report=reports.append, trace=collected
    ) as running:
        assert list(running.devices) == [HERE]
    assert len(reports) == 2
    reports.sort()
    assert reports[0] == "httpsock: the folder can't be announced at 192.0.2.1: No such device."
    assert reports[1].startswith("httpsock: the folder can't be announced at fe80::1%no-such-interface: ")
    assert "join 239.255.255.250 at 192.0.2.1: ENODEV, No such device\n" in collected.text


def test_without_a_joined_network_no_search_is_received(tmp_path: pathlib.Path) -> None:
    """The announcer could not answer in a network that it has not joined."""
    hosts = ["127.0.0.1", "fe80::1%99999"]
    with Announcer(str(tmp_path), hosts, 8000, DescriptionHandler(), group_port=0, report=lambda text: None) as running:
        assert list(running._sockets) == [HERE]


# --- what is traced -------------------------------------------------------------------------------------------------


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let announcers send answers but no announcements."""
    for what in ("alive", "byebye"):
        monkeypatch.setattr(Device, what, lambda device: ())


def test_a_search_is_traced(tmp_path: pathlib.Path, silent: None) -> None:
    """The trace shows the search and its answer as datagrams, since UDP has no connection."""
    collected = CollectedTrace(is_client=False)
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0, trace=collected)
    with running, asking(format_search("upnp:rootdevice", 1), port=running.group_port) as client:
        receive(client, 1)
    assert collected.text == golden("search")


def test_ignored_datagrams_are_traced_with_the_reason(tmp_path: pathlib.Path, silent: None) -> None:
    collected = CollectedTrace(is_client=False)
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0, trace=collected)
    datagrams = [b"\x1b[2J\r\n\r\n", b"NOTIFY * HTTP/1.1\r\n\r\n", SEARCH % b"upnp:rootdevice"]
    with running, asking(*datagrams, port=running.group_port) as client:
        receive(client, 1)
    text = collected.text[collected.text.index("server  TIME  recvfrom") :]
    ignored, _, _ = text.partition("server  TIME  recvfrom N from 127.0.0.1:PORT\nserver  TIME  parse M-S")
    assert ignored == (
        "server  TIME  recvfrom N from 127.0.0.1:PORT\n"
        "server  TIME  ignore it\n"
        '      ! the start line "\\x1b[2J" is neither that of a request nor of a response (RFC 9112 §2.1)\n'
        "      > \\x1b[2J\n"
        "      >\n"
        "server  TIME  recvfrom N from 127.0.0.1:PORT\n"
        "server  TIME  parse NOTIFY *\n"
        "      > NOTIFY * HTTP/1.1\n"
        "      >\n"
        "server  TIME  ignore it\n"
        "      ! it is not a search (UDA 2.0 §1.3.2)\n"
    )


def test_a_trace_limited_to_another_client_shows_no_datagram(tmp_path: pathlib.Path, silent: None) -> None:
    collected = CollectedTrace(is_client=False, only="192.0.2.7")
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, DescriptionHandler(), group_port=0, trace=collected)
    with running, asking(SEARCH % b"upnp:rootdevice", port=running.group_port) as client:
        receive(client, 1)
    assert collected.names == ["socket", "bind", "join", "close"]


def test_a_trace_names_the_socket_option_of_each_address_family(tmp_path: pathlib.Path, silent: None) -> None:
    collected = CollectedTrace(is_client=False)
    hosts = ["127.0.0.1", "::1"]
    with Announcer(str(tmp_path), hosts, 8000, DescriptionHandler(), group_port=0, trace=collected) as running:
        has_ipv6 = len(running.devices) == 2
    if not has_ipv6:
        pytest.skip("this system has no ::1")
    joined = [event.attributes for event in collected.events if event.name == "join"]
    options = {attributes["group"]: attributes["option"] for attributes in joined}
    assert options == {GROUP: "IP_ADD_MEMBERSHIP", GROUP_IPV6: "IPV6_JOIN_GROUP"}


# --- the real tools, in a network of their own ----------------------------------------------------------------------


# These commands set up loopback with multicast, and a virtual cable whose ends have link-local addresses immediately.
UP = """
set -e
ip link set lo up multicast on
ip route add 239.0.0.0/8 dev lo
ip link add near0 type veth peer name near1
sysctl -qw net.ipv6.conf.near0.accept_dad=0 net.ipv6.conf.near1.accept_dad=0 || true
ip addr add 10.8.0.1/24 dev near0
ip addr add 8.8.8.8/32 dev lo
ip link set near0 up
ip link set near1 up
set +e
"""


def in_a_network_of_its_own(commands: str, folder: pathlib.Path) -> str:
    """Run shell *commands* in *folder*, in a new network namespace. Return their output."""
    prefix = [tool("unshare"), "--map-root-user", "--net", "bash", "-c"]
    tool("ip")
    if subprocess.run([*prefix, UP], capture_output=True, timeout=TOOL_SECONDS, check=False).returncode:
        pytest.skip("networks can't be made here")
    done = subprocess.run(
        [*prefix, f"{UP}\n{commands}"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=TOOL_SECONDS,
        check=False,
    )
    return (done.stdout + done.stderr).decode()


def start(*arguments: str) -> str:
    """Return shell commands that start the program and wait for its URL."""
    command = f"{sys.executable} -m httpsock {' '.join(arguments)} --announce --port 8123"
    return f"exec 3< <({command} 2>&4 & echo $!; wait)\nread pid <&3; read url <&3\n"


FIND = f"{sys.executable} -m httpsock find"
LOCATION = r"http://127\.0\.0\.1:8123/\.httpsock-[0-9a-f]{32}\.xml"


@pytest.mark.tools
@pytest.mark.parametrize(
    ("program", "command", "expected"),
    [
        (
            "gssdp-discover",
            "gssdp-discover -i lo -n 4 --target upnp:rootdevice",
            r"resource available\n  USN:      uuid:[0-9a-f-]{36}::upnp:rootdevice\n  Location: " + LOCATION,
        ),
        ("upnpc", "upnpc -m 127.0.0.1 -l", rf"desc: {LOCATION}\n st: upnp:rootdevice"),
        ("ip", f"{FIND} --bind 127.0.0.1", r" on .*  http://127\.0\.0\.1:8123/  127\."),
    ],
    ids=["gssdp-discover", "upnpc", "httpsock find"],
)  # fmt: skip
def test_other_programs_find_the_announced_server(
    program: str, command: str, expected: str, folder: pathlib.Path
) -> None:
    tool(program)
    output = in_a_network_of_its_own(f"exec 4>/dev/null\n{start('--bind 127.0.0.1')}\n{command}\nkill $pid", folder)
    assert re.search(expected, output), output


@pytest.mark.tools
def test_find_finds_a_server_at_its_link_local_address(folder: pathlib.Path) -> None:
    get = f"{sys.executable} -m httpsock get"
    output = in_a_network_of_its_own(
        f"""
        address=$(ip -6 -o addr show dev near1 | sed 's/.*inet6 //; s,/.*,,')
        exec 4>/dev/null
        {start("--lan")}
        found=$({FIND} --bind "$address%near1")
        echo "$found"
        {get} "$(echo "$found" | grep -o 'http://[^ ]*')hello.txt" -o /dev/null && echo got
        kill $pid
        """,
        folder,
    )
    if "inet6" in output or not output.strip():
        pytest.skip("networks have no IPv6 here")
    assert re.search(r" on .*  http://\[fe80::[0-9a-f:]+%25\d+\]:8123/  fe80::[0-9a-f:]+%\d+\n", output), output
    assert output.endswith("got\n"), output


@pytest.mark.tools
def test_each_process_serves_the_description_and_a_restart_gives_it_another_location(folder: pathlib.Path) -> None:
    get = f"{sys.executable} -m httpsock get"
    output = in_a_network_of_its_own(
        f"""
        exec 4>/dev/null
        locate() {{
            {FIND} --to 127.0.0.1 --seconds 1 --trace 2>&1 | sed -n 's/.* LOCATION: //p' | sort -u
        }}
        {start("--bind 127.0.0.1 --processes 3")}
        until location=$(locate); [ -n "$location" ]; do :; done
        for n in 1 2 3 4 5 6 7 8 9; do {get} "$location" | grep -c presentationURL; done
        kill -HUP $pid
        until now=$(locate); [ -n "$now" ] && [ "$now" != "$location" ]; do :; done
        {get} "$now" | grep -c presentationURL
        echo "$now"
        kill $pid
        """,
        folder,
    )
    assert re.fullmatch(rf"(1\n){{10}}{LOCATION}\n", output), output


@pytest.mark.tools
@pytest.mark.parametrize("options", ["--auth alice", "--inspect", "--spa"])
def test_the_description_needs_no_password_and_precedes_all_other_handlers(options: str, folder: pathlib.Path) -> None:
    output = in_a_network_of_its_own(
        f"""
        exec 4>/dev/null
        export HTTPSOCK_AUTH=$(echo secret | {sys.executable} -m httpsock --auth-hash)
        {start("--bind 127.0.0.1", options)}
        {FIND} --to 127.0.0.1 --seconds 1
        kill $pid
        """,
        folder,
    )
    assert re.search(r"^root on .*  http://127\.0\.0\.1:8123/  127\.", output), output


@pytest.mark.tools
def test_a_server_at_a_link_local_address_alone_is_announced_there(folder: pathlib.Path) -> None:
    """The announced URL needs a zone, since a link-local address alone is ambiguous."""
    output = in_a_network_of_its_own(
        f"""
        address=$(ip -6 -o addr show dev near1 | sed 's/.*inet6 //; s,/.*,,')
        exec 4>&1
        {start('--bind "$address%near1"')}
        {sys.executable} -m httpsock get "${{url}}hello.txt" -o /dev/null && echo got
        {FIND} --bind "$address%near1"
        kill $pid
        """,
        folder,
    )
    if "inet6" in output or "Serving" not in output:
        pytest.skip("networks have no IPv6 here")
    assert re.search(r"at http://\[fe80::[0-9a-f:]+%25\d+\]:8123/ ", output), output
    assert "got\n" in output, output
    assert re.search(r" on .*  http://\[fe80::[0-9a-f:]+%25\d+\]:8123/  fe80::[0-9a-f:]+%\d", output), output


@pytest.mark.tools
def test_a_search_from_another_network_is_not_answered(folder: pathlib.Path) -> None:
    """The source address of a search from another network may be forged."""
    ask = f"""if True:
        import socket
        with socket.socket(type=socket.SOCK_DGRAM) as asking:
            asking.bind(("8.8.8.8", 0))
            asking.sendto({SEARCH % b"ssdp:all"!r}, ("10.8.0.1", 1900))
        """
    output = in_a_network_of_its_own(
        f"""
        exec 4>&1
        {start("--bind 10.8.0.1 --trace")}
        {sys.executable} -c {shlex.quote(ask)}
        {FIND} --to 10.8.0.1 --seconds 1
        kill $pid
        """,
        folder,
    )
    assert "! 8.8.8.8 is not on a local network (UDA 2.0 §1.3.3)\n" in output
    assert "sendto" in output
    assert not re.search(r"sendto \d+ to 8\.8", output)


@pytest.mark.tools
def test_the_announcer_follows_changes_of_the_networks(folder: pathlib.Path) -> None:
    """In this test, one of 30 network interfaces is deleted, created again, and given another address."""
    output = in_a_network_of_its_own(
        f"""
        for n in $(seq 2 31); do
            ip link add far$n type veth peer name end$n
            ip addr add 10.8.$n.1/24 dev far$n
            ip link set far$n up; ip link set end$n up
        done
        exec 4> ../trace
        wait_for() {{ until [ "$(grep -c "$1" ../trace)" -ge "$2" ]; do sleep 0.05; done; }}
        {start("--bind 0.0.0.0 --trace")}
        wait_for 'join .* at 10.8.31.1' 1
        {FIND} --bind 10.8.31.1 --seconds 1 | sed 's/.* on /31: on /'
        ip link del near0
        ip link add near0 type veth peer name near1
        ip addr add 10.8.0.1/24 dev near0
        ip link set near0 up; ip link set near1 up
        wait_for 'join .* at 10.8.0.1' 2
        {FIND} --bind 10.8.0.1 --seconds 1 | sed 's/.* on /again: on /'
        ip addr del 10.8.0.1/24 dev near0
        ip addr add 10.8.0.9/24 dev near0
        wait_for 'join .* at 10.8.0.9' 1
        {FIND} --bind 10.8.0.9 --seconds 1 | sed 's/.* on /other: on /'
        kill $pid
        """,
        folder,
    )
    for name, address in (("31", "10.8.31.1"), ("again", "10.8.0.1"), ("other", "10.8.0.9")):
        assert re.search(rf"^{name}: on .*  http://{re.escape(address)}:8123/  ", output, re.MULTILINE), output
