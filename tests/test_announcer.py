"""The announcer: who is answered, what is announced, how little a stranger can make it say; gssdp and upnpc find it."""

import contextlib
import pathlib
import re
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from httpsock import announcer
from httpsock.announcer import Announcer, Rate, description, is_near
from httpsock.client import Client
from httpsock.ssdp import GROUP, Datagram, Device, format_search, parse_datagram
from tests.support import PATIENCE_SECONDS
from tests.support_program import ENVIRONMENT
from tests.support_tools import TOOL_SECONDS, tool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="multicast on loopback is Linux's")

DEVICE = Device(uuid.UUID(int=1), "http://127.0.0.1:1/0.xml", "a", 1)
# Without MX: answered at once.
SEARCH = b'M-SEARCH * HTTP/1.1\r\nMAN: "ssdp:discover"\r\nST: %b\r\n\r\n'


@pytest.fixture
def announcing(tmp_path: pathlib.Path) -> Iterator[Announcer]:
    with Announcer(str(tmp_path / "my & folder"), ["127.0.0.1"], 8000, group_port=0) as running:
        yield running


@contextlib.contextmanager
def asking(*datagrams: bytes, port: int) -> Iterator[socket.socket]:
    """A socket from which the announcer at *port* has been sent *datagrams*."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as created:
        created.settimeout(PATIENCE_SECONDS)
        for datagram in datagrams:
            created.sendto(datagram, ("127.0.0.1", port))
        yield created


def receive(connected: socket.socket, count: int) -> list[Datagram]:
    return [parse_datagram(connected.recv(8192)) for _ in range(count)]


# --- who is answered ------------------------------------------------------------------------------------------------


def test_a_search_is_answered_to_who_asks(announcing: Announcer) -> None:
    with asking(SEARCH % b"ssdp:all", port=announcing.group_port) as client:
        answers = receive(client, 3)
    assert {answer.field("st").partition(":")[0] for answer in answers} == {"upnp", "uuid", "urn"}
    assert {answer.field("location") for answer in answers} == {announcing.devices["127.0.0.1"].location}


def test_a_search_with_mx_is_answered_in_time(announcing: Announcer) -> None:
    with asking(format_search("upnp:rootdevice", 1), port=announcing.group_port) as client:
        assert receive(client, 1)[0].field("st") == "upnp:rootdevice"


def test_malformed_datagrams_by_the_thousand_change_nothing(announcing: Announcer) -> None:
    valid = SEARCH % b"ssdp:all"
    broken = [valid[:length] for length in range(len(valid))] + [bytes([n % 256]) * (n % 300) for n in range(2000)]
    # Searches for something else, and what others announce.
    broken += [SEARCH % b"urn:else", b"NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\n\r\n", b"x" * 9000]
    # By a hundred, since more might not find room, and be dropped unread.
    for first in range(0, len(broken), 100):
        hundred = broken[first : first + 100]
        with asking(*hundred, SEARCH % b"upnp:rootdevice", port=announcing.group_port) as client:
            assert receive(client, 1)[0].field("st") == "upnp:rootdevice"


def test_a_flood_of_searches_is_answered_a_little(announcing: Announcer) -> None:
    """Whoever searches in somebody else's name gets them few answers."""
    with asking(*[SEARCH % b"ssdp:all"] * 300, port=announcing.group_port) as client:
        answers = len(receive(client, 20))
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while client.recv(8192):
                answers += 1
    assert answers < 300


def test_a_rate_grants_so_many_at_once_and_so_many_a_second() -> None:
    rate = Rate(2, 0.0)
    assert [rate.grants(0.0) for _ in range(3)] == [True, True, False]
    assert [rate.grants(0.5) for _ in range(2)] == [True, False]
    assert [rate.grants(100.0) for _ in range(3)] == [True, True, False]


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
    ],
)
def test_only_neighbours_are_answered(host: str, expected: bool) -> None:
    assert is_near(host) is expected


def test_who_reaches_us_at_no_announced_address_is_told_the_first(tmp_path: pathlib.Path) -> None:
    running = Announcer(str(tmp_path), ["127.0.0.2"], 8000, group_port=0)
    with running, asking(SEARCH % b"upnp:rootdevice", port=running.group_port) as client:
        assert receive(client, 1)[0].field("location").startswith("http://127.0.0.2:")


# --- what is announced ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket that hears what is said to the group on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as created:
        created.settimeout(PATIENCE_SECONDS)
        created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        created.bind((GROUP, port))
        membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        created.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        yield created


def test_it_says_twice_that_it_is_there_and_twice_that_it_leaves(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, group_port=0)
    with listening(running.group_port) as listener:
        with running:
            alive = receive(listener, 6)
        leaving = receive(listener, 6)
    assert {datagram.field("nts") for datagram in alive} == {"ssdp:alive"}
    assert {datagram.field("nts") for datagram in leaving} == {"ssdp:byebye"}
    assert len({datagram.field("usn") for datagram in alive + leaving}) == 3


def test_it_does_not_take_leave_when_another_process_goes_on(tmp_path: pathlib.Path) -> None:
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, group_port=0)
    with listening(running.group_port) as listener:
        with running:
            receive(listener, 6)
            running.is_replaced = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            last.sendto(b"NOTIFY * HTTP/1.1\r\nHost: x\r\nNTS: the last\r\n\r\n", (GROUP, running.group_port))
        (after,) = receive(listener, 1)
    assert after.field("nts") == "the last"


def test_it_says_so_again_before_it_is_forgotten(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcer, "_AGAIN_SECONDS", 0.01)
    running = Announcer(str(tmp_path), ["127.0.0.1"], 8000, group_port=0)
    with listening(running.group_port) as listener, running:
        assert {datagram.field("nts") for datagram in receive(listener, 30)} == {"ssdp:alive"}


def test_the_same_folder_is_the_same_device(tmp_path: pathlib.Path) -> None:
    identities = set()
    for port in (8000, 8000, 8001):
        with Announcer(str(tmp_path), ["127.0.0.1"], port, group_port=0) as running:
            identities.add(running.devices["127.0.0.1"].identity)
    assert len(identities) == 2


def test_the_description_says_where_the_folder_is(announcing: Announcer) -> None:
    with Client() as client, client.get(announcing.devices["127.0.0.1"].location) as response:
        assert response.field("Content-Type") in ("application/xml", "text/xml; charset=utf-8", "text/xml")
        text = response.read().decode()
    assert "<friendlyName>my &amp; folder on " in text
    assert "<presentationURL>http://127.0.0.1:8000/</presentationURL>" in text
    assert f"<UDN>uuid:{announcing.devices['127.0.0.1'].identity}</UDN>" in text


def test_nothing_in_a_name_is_markup() -> None:
    text = description(DEVICE, '<b>&"' + "x" * 100, "http://a/?a&b").decode()
    assert "<friendlyName>&lt;b&gt;&amp;&quot;xxx" in text
    assert "x" * 59 not in text
    assert "http://a/?a&amp;b" in text


@pytest.mark.parametrize("addresses", [["192.0.2.1"], []])
def test_what_can_not_be_announced_is_an_error_and_leaves_nothing_open(
    addresses: list[str], tmp_path: pathlib.Path
) -> None:
    with pytest.raises((OSError, ValueError)):
        Announcer(str(tmp_path), addresses, 8000, group_port=0)


# --- the real tools, in a network of their own ----------------------------------------------------------------------


def in_a_network_of_its_own(commands: str) -> str:
    """Return what *commands* of a shell print where there is nothing but loopback, and multicast on it."""
    prefix = [tool("unshare"), "--map-root-user", "--net", "bash", "-c"]
    tool("ip")
    up = "ip link set lo up && ip link set lo multicast on && ip route add 239.0.0.0/8 dev lo"
    if subprocess.run([*prefix, up], capture_output=True, timeout=TOOL_SECONDS, check=False).returncode:
        pytest.skip("networks can't be made here")
    done = subprocess.run(
        [*prefix, f"{up}\n{commands}"], env=ENVIRONMENT, capture_output=True, timeout=TOOL_SECONDS, check=False
    )
    return (done.stdout + done.stderr).decode()


START = f"""
exec 3< <({sys.executable} -m httpsock --bind 127.0.0.1 --announce --port 8123 2>/dev/null & echo $!; wait)
read pid <&3; read url <&3
"""


@pytest.mark.parametrize(
    ("program", "command", "expected"),
    [
        (
            "gssdp-discover",
            "gssdp-discover -i lo -n 2 --target upnp:rootdevice",
            r"resource available\n  USN:      uuid:[0-9a-f-]{36}::upnp:rootdevice\n  Location: http://127\.0\.0\.1:\d+/0\.xml",
        ),
        ("upnpc", "upnpc -m 127.0.0.1 -l", r"desc: http://127\.0\.0\.1:\d+/0\.xml\n st: upnp:rootdevice"),
        ("ip", f"{sys.executable} -m httpsock find --bind 127.0.0.1", r" on .*  http://127\.0\.0\.1:8123/  127\."),
    ],
    ids=["gssdp-discover", "upnpc", "httpsock find"],
)  # fmt: skip
def test_others_find_what_is_announced(program: str, command: str, expected: str) -> None:
    tool(program)
    said = in_a_network_of_its_own(f"{START}\n{command}\nkill $pid")
    assert re.search(expected, said), said
