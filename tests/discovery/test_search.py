"""The search: which devices it finds in time, even if datagrams are lost, repeated or reordered."""

import contextlib
import errno
import itertools
import os
import pathlib
import re
import socket
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import httpsock
from httpsock.client.client import Client
from httpsock.client.connection import ClientTimeouts
from httpsock.client.url import parse_url
from httpsock.discovery import search as search_module
from httpsock.discovery.announcer import Announcer
from httpsock.discovery.description import parse_description
from httpsock.discovery.description_handler import DescriptionHandler
from httpsock.discovery.multicast import Interface
from httpsock.discovery.search import FoundDevice, discover, identify, search
from httpsock.discovery.ssdp import ROOT_DEVICE, Datagram, parse_datagram
from httpsock.tracing.sockets import discard
from tests.support import TIMEOUT_SECONDS, eventually
from tests.support.devices import NAMELESS, TO, devices
from tests.support.relay import fates_of_a_bad_network, relaying
from tests.support.rows import each_row
from tests.support.servers import answering, ok, playing
from tests.support.trace import CollectedTrace, golden

TAGS = [
    *(b"<friendlyName>", b"</friendlyName>", b"<presentationURL>", b"</presentationURL>", b"<URLBase>", b"</URLBase>"),
    *(
        b"<![CDATA[",
        b"]]>",
        b"&#1",
        b"&amp;",
        b";",
        b"<?xml encoding='",
        b"'?>",
        b"\xff\xfe",
        b"//",
        b"[",
        b"]",
        b"%25",
    ),
    *(b"http://127.0.0.1:1/", b"[fe80::1]:1/", b"::", b"9" * 5000, b"%25"),
]


def found(port: int, count: int) -> list[tuple[str, Datagram]]:
    """Send a search to the device at *port*. Return the first *count* answers with the addresses of their senders."""
    return list(itertools.islice(search("upnp:rootdevice", [(TO, port)], TIMEOUT_SECONDS), count))


def test_each_answer_comes_with_the_address_of_its_sender() -> None:
    with devices(NAMELESS, NAMELESS) as port:
        assert found(port, 2) == [(TO, parse_datagram(NAMELESS))] * 2


def test_a_datagram_that_is_not_an_answer_is_ignored() -> None:
    notify = b"NOTIFY * HTTP/1.1\r\nUSN: a\r\n\r\n"
    bare = b"HTTP/1.1 200\r\n\r\n"
    with devices(b"", b"\0" * 100, notify, bare, b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 20_000, NAMELESS) as port:
        assert [datagram.field("usn") for _, datagram in found(port, 1)] == ["uuid:1::a"]


def test_a_datagram_that_vanishes_before_it_is_received_is_ignored() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle:
        idle.setblocking(False)
        assert list(search_module._receive_answer(idle, discard)) == []


def test_an_empty_network_gives_no_device() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((TO, 0))
        port = closed.getsockname()[1]
    assert list(search("upnp:rootdevice", [(TO, port)], 0.05)) == []
    assert list(search("upnp:rootdevice", [(TO, port)], 0.0)) == []


def test_a_missing_network_is_an_error_unless_another_one_exists() -> None:
    missing = Interface("192.0.2.1")
    with pytest.raises(OSError, match=r"Cannot assign|not valid|No such device"):
        list(search("a", [missing], 0.05))
    with devices(NAMELESS) as port:
        assert next(search("a", [missing, (TO, port)], TIMEOUT_SECONDS))


def test_a_search_may_use_ipv6() -> None:
    try:
        device = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this system has no ::1: {error}")
    with device, devices(NAMELESS, host="::1") as port:
        assert next(search("a", [("::1", port, 0, 0)], TIMEOUT_SECONDS)) == ("::1", parse_datagram(NAMELESS))


def until_received(monkeypatch: pytest.MonkeyPatch, count: int) -> CollectedTrace:
    """Stop the clock of a search until *count* datagrams have arrived. Return the trace of the search."""
    collected = CollectedTrace()
    clock = SimpleNamespace(monotonic=lambda: 9.0 if collected.names.count("recvfrom") >= count else 0.0)
    monkeypatch.setattr(search_module, "time", clock)
    return collected


def test_a_search_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    collected = until_received(monkeypatch, 3)
    with devices(NAMELESS, b"\0", b"NOTIFY * HTTP/1.1\r\nUSN: a\r\n\r\n") as port:
        assert len(list(search("upnp:rootdevice", [(TO, port)], 1, collected))) == 1
    assert collected.text == golden("find")


# --- the description of a device ------------------------------------------------------------------------------------


def device(location: str) -> Datagram:
    """Return an answer whose LOCATION is *location*."""
    return parse_datagram(NAMELESS.replace(b"nowhere", location.encode()))


def test_a_link_local_url_gets_the_zone_of_the_answering_device() -> None:
    """A zone is valid only on one machine, so the client must add its own zone to the URL."""
    found = identified("http://[FE80::1]:1/", "fe80::1%1")
    assert found == FoundDevice("uuid:1::a", "http://[fe80::1%251]:1/", "fe80::1%1", "b", "uuid:1")


def identified(location: str, address: str = TO) -> FoundDevice:
    """Download the description at *location*, and return the device at *address*."""
    with Client(redirects=0) as client:
        return identify(client, address, device(location))


def reason_to_skip(location: str, address: str = TO, seconds: float = 5.0) -> str:
    """Assert that the client does not use the description at *location*. Return the reason from the trace."""
    collected = CollectedTrace()
    with Client(redirects=0, timeouts=ClientTimeouts(whole=seconds)) as client:
        assert identify(client, address, device(location), collected.server).name == "uuid:1::a"
    (skipped,) = collected.events
    assert (skipped.name, skipped.attributes["identity"]) == ("skip", "uuid:1")
    return str(skipped.attributes["message"])


def described(*answers: bytes, at: str = "description.xml") -> FoundDevice:
    """Serve *answers* as the description of a device, and return the device. In its URL, replace the port by PORT."""
    with playing(*map(answering, answers)) as url:
        found = identified(url + at)
        port = url.rpartition(":")[2].rstrip("/")
        return found._replace(url=found.url.replace(f":{port}/", ":PORT/"))


@each_row(
    ("page", "url"),
    [
        pytest.param("http://c/", "http://c/", id="an absolute URL, as in UDA 2.0"),
        pytest.param("/page?a&amp;b", "http://127.0.0.1:PORT/page?a&b", id="a path"),
        pytest.param("page", "http://127.0.0.1:PORT/dir/page", id="a name beside the description"),
        pytest.param("../", "http://127.0.0.1:PORT/", id="the folder above"),
        pytest.param("//c:81/x", "http://c:81/x", id="another host"),
        pytest.param("?q", "http://127.0.0.1:PORT/dir/d.xml?q", id="a query"),
        pytest.param("", "http://127.0.0.1:PORT/dir/d.xml", id="an empty URL"),
        pytest.param("https://c/", "http://127.0.0.1:PORT/dir/d.xml", id="https"),
        pytest.param("javascript:alert(1)", "http://127.0.0.1:PORT/dir/d.xml", id="no page"),
        pytest.param("http://[", "http://127.0.0.1:PORT/dir/d.xml", id="brackets that break urljoin"),
        pytest.param("http://c:99999/", "http://127.0.0.1:PORT/dir/d.xml", id="no port"),
        pytest.param("/a&#9;b", "http://127.0.0.1:PORT/dir/d.xml", id="a control character"),
    ],
)
def test_a_presentation_url_is_resolved_beside_the_description(page: str, url: str) -> None:
    text = f"<presentationURL>{page}</presentationURL>"
    assert described(ok(text.encode()), at="dir/d.xml").url == url


def test_the_base_url_of_a_description_is_used() -> None:
    text = b"<URLBase>/base/</URLBase><presentationURL>page</presentationURL>"
    assert described(ok(text), at="dir/d.xml").url == "http://127.0.0.1:PORT/base/page"


LAUGHS = (
    "<!DOCTYPE l ["
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(20))
    + "]><friendlyName>&z;</friendlyName>"
)


@each_row(
    ("octets", "name"),
    [
        pytest.param(b"<friendlyName> A &amp; B </friendlyName>", "A & B", id="a name as in UDA 2.0"),
        pytest.param(b"<d:friendlyName x='y'>A</d:friendlyName >", "A", id="with a prefix"),
        pytest.param(b"<friendlyName><![CDATA[A & B]]></friendlyName>", "A & B", id="as character data"),
        pytest.param(b"<friendlyName>A<b/></friendlyName>", None, id="markup within"),
        pytest.param(b"", None, id="an empty description"),
        pytest.param(b"<friendlyName>" + b"x" * 9999 + b"</friendlyName>", "x" * 100, id="a long name"),
        pytest.param(b"<friendlyName>A</friendlyName>" + b"x" * 70_000, None, id="a description that is too long"),
        pytest.param(LAUGHS.encode(), "&z;", id="a billion laughs"),
        pytest.param(b"<a>" * 20_000, None, id="deep nesting"),
        pytest.param(b"<friendlyName " * 4_000, None, id="a start without an end"),
        pytest.param(b"<friendlyName>&#65;&#x42;&#xD800;&#9999999;</friendlyName>", "AB\ufffd\ufffd", id="references"),
        pytest.param(
            b"<friendlyName>&#" + b"1" * 5000 + b";</friendlyName>", "&#" + "1" * 98, id="a number of 5,000 digits"
        ),
        pytest.param("\ufeff<friendlyName>\xe4</friendlyName>".encode("utf-16-le"), "\xe4", id="UTF-16"),
        pytest.param("\ufeff<friendlyName>\xe4</friendlyName>".encode("utf-16-be"), "\xe4", id="UTF-16, big-endian"),
        pytest.param("\ufeff<friendlyName>\xe4</friendlyName>".encode(), "\xe4", id="UTF-8 with a mark"),
        pytest.param(
            b"<?xml version='1.0' encoding='ISO-8859-1'?><friendlyName>\xe4</friendlyName>", "\xe4", id="Latin-1"
        ),
        pytest.param(b'<?xml encoding="zip"?><friendlyName>\xe4</friendlyName>', "\ufffd", id="an encoding of no text"),
        pytest.param(b"\xff\xfe\x00\xd8x", None, id="half a surrogate"),
    ],
)
def test_any_description_gives_a_name(octets: bytes, name: str | None) -> None:
    assert described(ok(octets)).name == (name or "uuid:1::a")


@each_row(
    ("response", "reason"),
    [
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "the response has the status 302, not 200",
            id="a redirect",
        ),
        pytest.param(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 30\r\n\r\n<friendlyName>B</friendlyName>",
            "the response has the status 404, not 200",
            id="an error",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<friendlyName>B</friendlyName>",
            "the connection ended after 30 of 99 bytes of content (RFC 9112 §8)",
            id="a part",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            r'chunk line "zz\x0d\x0a" is not a hexadecimal size, extensions and CRLF (RFC 9112 §7.1)',
            id="no framing",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
            "there are more than 60 interim responses (RFC 9110 §15.2)",
            id="interim responses without end",
        ),
        pytest.param(
            b"what?\r\n", 'the response begins with "what?", not with "HTTP/" (RFC 9112 §4)', id="no response"
        ),
    ],
)
def test_a_malformed_response_is_skipped_with_the_reason(response: bytes, reason: str) -> None:
    with playing(answering(response)) as location:
        assert reason_to_skip(location) == reason


def test_a_description_that_is_too_long_is_skipped() -> None:
    with playing(answering(ok(bytes(65_537)))) as location:
        assert reason_to_skip(location) == "the description is longer than 65536 bytes"


def test_a_slow_description_is_skipped() -> None:
    def trickle(connected: socket.socket) -> None:
        connected.recv(1000)
        connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n<friendlyName>A</friendlyName>")
        # Wait until the client closes.
        connected.recv(1000)

    with playing(trickle) as location:
        assert reason_to_skip(location, seconds=0.2) == "the exchange was not complete within 0.2 s"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(TAGS) | st.binary(max_size=20)), st.sampled_from([TO, "fe80::1%2", "8.8.8.8", "::1"]))
def test_any_answer_and_any_description_make_a_device(parts: list[bytes], address: str) -> None:
    octets = b"".join(parts)
    value = re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", octets)[:4000]
    answer = parse_datagram(b"HTTP/1.1 200\r\nUSN: uuid:1%b\r\nLOCATION: http://%b\r\n\r\n" % (value, value))
    assert identify(None, address, answer).address == address
    found = parse_description(octets)
    page = found.page(parse_url("http://[fe80::1%251]:1/a/b"))
    assert page is None or parse_url(str(page)) == page


def test_a_device_cannot_point_to_another_host() -> None:
    """The description must be at the address that sent the answer."""
    assert reason_to_skip("http://localhost:1/") == "LOCATION names the host localhost, not 127.0.0.1"
    assert reason_to_skip("http://127.0.0.2:1/") == "LOCATION names the host 127.0.0.2, not 127.0.0.1"
    assert identified("http://127.0.0.2:1/") == FoundDevice("uuid:1::a", "http://127.0.0.2:1/", TO, "b", "uuid:1")


@each_row(
    ("location", "reason"),
    [
        ("nowhere", 'the URL "nowhere" does not begin with http://'),
        ("http://127.0.0.1:1/", os.strerror(errno.ECONNREFUSED)),
        ("http://127.0.0.1:1/\x9b2J", os.strerror(errno.ECONNREFUSED)),
    ],
)
def test_a_device_without_a_description_has_its_number_as_its_name(location: str, reason: str) -> None:
    assert reason_to_skip(location) == reason


@each_row("address", ["8.8.8.8", "2606:4700::1111", "192.0.2.1", "0.0.0.0", "fd00::1"])
def test_a_description_beyond_the_local_network_is_not_requested(address: str) -> None:
    """The source address of a datagram may be forged."""
    host = f"[{address}]" if ":" in address else address
    collected = CollectedTrace()
    with Client(redirects=0, trace=collected) as client:
        found = identify(client, address, device(f"http://{host}:1/"), collected.server)
    assert (found.name, found.url) == ("uuid:1::a", f"http://{host}:1/")
    assert [event.attributes["message"] for event in collected.events] == [f"{address} is not on a local network"]


def test_the_zone_in_a_location_is_replaced_by_that_of_this_machine() -> None:
    assert identified("http://[fe80::1%25eth7]:1/", "fe80::1%1").url == "http://[fe80::1%251]:1/"


# --- each device of a search ----------------------------------------------------------------------------------------


def discovered(port: int, trace: CollectedTrace) -> list[FoundDevice]:
    """Send a search to the device at *port*, and download the descriptions. Return all devices."""
    return list(discover(ROOT_DEVICE, [(TO, port)], 1, trace))


def test_more_devices_than_a_network_has_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "_MAX_DEVICES", 3)
    collected = until_received(monkeypatch, 9)
    with devices(*[NAMELESS.replace(b"uuid:1", b"uuid:%d" % number) for number in range(9)]) as port:
        assert [found.identity for found in discovered(port, collected)] == ["uuid:0", "uuid:1", "uuid:2"]


def test_slow_descriptions_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """If one host claims to be many devices, the client must not wait for each description."""
    monkeypatch.setattr(search_module, "_MAX_DESCRIPTIONS_SECONDS", 0.0)
    collected = until_received(monkeypatch, 1)
    with socket.create_server((TO, 0)) as silent:
        location = f"http://{TO}:{silent.getsockname()[1]}/"
        with devices(NAMELESS.replace(b"nowhere", location.encode())) as port:
            assert discovered(port, collected) == [FoundDevice("uuid:1::a", location, TO, "b", "uuid:1")]
        silent.settimeout(0)
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert collected.events[-1].attributes["message"] == "the descriptions of other devices took 0 s"


# --- lost, repeated and reordered datagrams -------------------------------------------------------------------------


def test_a_datagram_may_be_lost_repeated_or_reordered() -> None:
    fates = fates_of_a_bad_network(seed=1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, relaying(server_address(server), fates) as relay:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for number in range(200):
                client.sendto(b"%d" % number, (TO, relay.port))
        assert eventually(lambda: sum(relay.done.values()) == 200)
        server.setblocking(False)
        arrived = []
        with contextlib.suppress(BlockingIOError):
            while True:
                arrived.append(int(server.recv(100)))
    assert set(relay.done) == {"passed", "dropped", "doubled", "reordered"}
    assert len(set(arrived)) < 200, "some are lost"
    assert len(set(arrived)) < len(arrived), "some came twice"
    assert arrived != sorted(arrived), "some were overtaken"


def server_address(server: socket.socket) -> tuple[str, int]:
    """Bind *server* to a free port and return the address."""
    server.bind((TO, 0))
    host, port = server.getsockname()
    return host, port


def test_a_folder_is_found_over_a_bad_network(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends each search twice and merges repeated answers."""
    fates = iter(["dropped", "passed", "doubled"])
    description = DescriptionHandler()
    server = httpsock.Server(folder, port=0, middleware=[description])
    running = Announcer(server.directory, [TO], server.port, description, group_port=0)
    collected = until_received(monkeypatch, 2)
    with server, running, relaying((TO, running.group_port), fates) as relay:
        (device,) = discovered(relay.port, collected)
    assert dict(relay.done) == {"dropped": 1, "passed": 1, "doubled": 1}
    assert device.name.startswith("root on ")
    assert (device.url, device.address) == (server.url, TO)
