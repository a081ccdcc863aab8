"""``httpsock find``: the devices found by a deadline, also where datagrams are lost, doubled and overtaken."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.__main__ import main
from httpsock.cli import find as find_module
from httpsock.cli.find import Found, identify, search
from httpsock.client.client import Client
from httpsock.client.connection import ClientTimeouts
from httpsock.client.url import parse_url
from httpsock.discovery.announcer import Announcer
from httpsock.discovery.description import parse_description
from httpsock.discovery.multicast import Interface
from httpsock.discovery.ssdp import Datagram, parse_datagram
from httpsock.tracing.sockets import discard
from tests.support import PATIENCE_SECONDS
from tests.support.program import COMMAND, ENVIRONMENT
from tests.support.relay import fates_of_a_bad_network, relaying
from tests.support.rows import each_row
from tests.support.servers import answering, ok, playing
from tests.support.trace import Told, golden

Captured = pytest.CaptureFixture[str]
NAMELESS = b"HTTP/1.1 200 OK\r\nST: a\r\nUSN: uuid:1::a\r\nLOCATION: nowhere\r\nSERVER: b\r\n\r\n"
TO = "127.0.0.1"
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


@contextlib.contextmanager
def devices(*answers: bytes, host: str = TO) -> Iterator[int]:
    """Somebody who answers the first search with datagrams; give the port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.settimeout(PATIENCE_SECONDS)
        device.bind((host, 0))

        def answer() -> None:
            octets, peer = device.recvfrom(8192)
            assert octets.startswith(b"M-SEARCH * HTTP/1.1\r\n")
            for each in answers:
                device.sendto(each, peer)

        thread = threading.Thread(target=answer)
        thread.start()
        yield device.getsockname()[1]
        thread.join()


def found(port: int, seconds: float = 0.3, trace: Told | None = None) -> list[tuple[str, Datagram]]:
    return list(search("upnp:rootdevice", [(TO, port)], seconds, trace))


def test_answers_are_given_with_whence_they_came() -> None:
    with devices(NAMELESS, NAMELESS) as port:
        assert found(port) == [(TO, parse_datagram(NAMELESS))] * 2


def test_a_datagram_that_is_no_answer_is_ignored() -> None:
    notify = b"NOTIFY * HTTP/1.1\r\nUSN: a\r\n\r\n"
    bare = b"HTTP/1.1 200\r\n\r\n"
    with devices(b"", b"\0" * 100, notify, bare, b"HTTP/1.1 200 OK\r\n\r\n", NAMELESS, b"x" * 20_000) as port:
        assert [datagram.field("usn") for _, datagram in found(port)] == ["uuid:1::a"]


def test_a_datagram_that_vanishes_before_it_is_received_is_ignored() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle:
        idle.setblocking(False)
        assert list(find_module._receive_answer(idle, discard)) == []


def test_an_empty_network_gives_no_device() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((TO, 0))
        port = closed.getsockname()[1]
    assert found(port, seconds=0.05) == []
    assert found(port, seconds=0.0) == []


def test_a_network_that_is_missing_is_an_error_unless_there_is_another() -> None:
    missing = Interface("192.0.2.1")
    with pytest.raises(OSError, match=r"Cannot assign|not valid|No such device"):
        list(search("a", [missing], 0.05))
    with devices(NAMELESS) as port:
        assert list(search("a", [missing, (TO, port)], 0.3))


def test_a_device_is_asked_over_ipv6() -> None:
    try:
        device = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this system has no ::1: {error}")
    with device, devices(NAMELESS, host="::1") as port:
        assert list(search("a", [("::1", port, 0, 0)], 0.3)) == [("::1", parse_datagram(NAMELESS))]


def test_a_search_as_it_is_traced() -> None:
    told = Told()
    with devices(NAMELESS, b"\0", b"NOTIFY * HTTP/1.1\r\nUSN: a\r\n\r\n") as port:
        assert len(found(port, seconds=1, trace=told)) == 1
    assert told.text == golden("find")


# --- what is said of a device ---------------------------------------------------------------------------------------


def device(location: str) -> Datagram:
    return parse_datagram(NAMELESS.replace(b"nowhere", location.encode()))


def test_a_link_local_url_gets_the_zone_of_the_answering_device() -> None:
    """Its name at the other end has no meaning here."""
    found = identified("http://[FE80::1]:1/", "fe80::1%1")
    assert found == Found("uuid:1::a", "http://[fe80::1%251]:1/", "fe80::1%1", "b", "uuid:1")


def identified(location: str, address: str = TO) -> Found:
    with Client(redirects=0) as client:
        return identify(client, address, device(location))


def described(*answers: bytes, at: str = "description.xml") -> Found:
    """Return what is found of a device whose description is the response *answers*; its port is left out."""
    with playing(*map(answering, answers)) as url:
        found = identified(url + at)
        port = url.rpartition(":")[2].rstrip("/")
        return found._replace(url=found.url.replace(f":{port}/", ":PORT/"))


@each_row(
    ("page", "url"),
    [
        pytest.param("http://c/", "http://c/", id="as UDA 2.0 has it"),
        pytest.param("/page?a&amp;b", "http://127.0.0.1:PORT/page?a&b", id="a path"),
        pytest.param("page", "http://127.0.0.1:PORT/dir/page", id="a name beside the description"),
        pytest.param("../", "http://127.0.0.1:PORT/", id="the folder above"),
        pytest.param("//c:81/x", "http://c:81/x", id="another host"),
        pytest.param("?q", "http://127.0.0.1:PORT/dir/d.xml?q", id="a query"),
        pytest.param("", "http://127.0.0.1:PORT/dir/d.xml", id="nothing"),
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


def test_a_base_that_the_description_gives_is_used() -> None:
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
        pytest.param(b"<friendlyName> A &amp; B </friendlyName>", "A & B", id="as UDA 2.0 has it"),
        pytest.param(b"<d:friendlyName x='y'>A</d:friendlyName >", "A", id="with a prefix"),
        pytest.param(b"<friendlyName><![CDATA[A & B]]></friendlyName>", "A & B", id="as character data"),
        pytest.param(b"<friendlyName>A<b/></friendlyName>", None, id="markup within"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"<friendlyName>" + b"x" * 9999 + b"</friendlyName>", "x" * 100, id="a long name"),
        pytest.param(b"<friendlyName>A</friendlyName>" + b"x" * 70_000, None, id="far too much"),
        pytest.param(LAUGHS.encode(), "&z;", id="a billion laughs"),
        pytest.param(b"<a>" * 20_000, None, id="deep nesting"),
        pytest.param(b"<friendlyName " * 4_000, None, id="a start without an end"),
        pytest.param(b"<friendlyName>&#65;&#x42;&#xD800;&#9999999;</friendlyName>", "AB\ufffd\ufffd", id="references"),
        pytest.param(
            b"<friendlyName>&#" + b"1" * 5000 + b";</friendlyName>", "&#" + "1" * 98, id="a number of 5,000 digits"
        ),
        pytest.param("\ufeff<friendlyName>\xe4</friendlyName>".encode("utf-16-le"), "\xe4", id="UTF-16"),
        pytest.param("\ufeff<friendlyName>\xe4</friendlyName>".encode("utf-16-be"), "\xe4", id="UTF-16, the other way"),
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
    "response",
    [
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", id="a redirect"
        ),
        pytest.param(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 30\r\n\r\n<friendlyName>B</friendlyName>", id="an error"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<friendlyName>B</friendlyName>", id="a part"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="no framing"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, id="interim responses without end"),
        pytest.param(b"what?\r\n", id="no response"),
    ],
)
def test_a_malformed_description_gives_no_name(response: bytes) -> None:
    assert described(response).name == "uuid:1::a"


def test_a_description_without_end_is_given_up() -> None:
    def trickle(connected: socket.socket) -> None:
        connected.recv(1000)
        connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n<friendlyName>A</friendlyName>")
        # Until the client closes.
        connected.recv(1000)

    with playing(trickle) as location, Client(redirects=0, timeouts=ClientTimeouts(whole=0.2)) as client:
        assert identify(client, TO, device(location)).name == "uuid:1::a"


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
    """The description is asked for only where the answer came from: here, nobody is asked at all."""
    assert identified("http://localhost:1/").name == "uuid:1::a"
    assert identified("http://127.0.0.2:1/") == Found("uuid:1::a", "http://127.0.0.2:1/", TO, "b", "uuid:1")


@each_row("location", ["nowhere", "http://127.0.0.1:1/"])
def test_a_device_without_a_description_is_named_by_its_number(location: str) -> None:
    assert identified(location).name == "uuid:1::a"


@each_row("address", ["8.8.8.8", "2606:4700::1111", "192.0.2.1", "0.0.0.0", "fd00::1"])
def test_a_description_beyond_the_local_network_is_not_asked_for(address: str) -> None:
    """Anybody can write any address into a datagram as its sender's."""
    host = f"[{address}]" if ":" in address else address
    told = Told()
    with Client(redirects=0, trace=told) as client:
        found = identify(client, address, device(f"http://{host}:1/"))
    assert (found.name, found.url) == ("uuid:1::a", f"http://{host}:1/")
    assert told.events == []


def test_a_zone_that_a_device_gives_is_replaced_by_ours() -> None:
    assert identified("http://[fe80::1%25eth7]:1/", "fe80::1%1").url == "http://[fe80::1%251]:1/"


# --- the command ----------------------------------------------------------------------------------------------------


def find(port: int, *arguments: str) -> int:
    return main(["find", "--to", f"{TO}:{port}", "--seconds", "1", *arguments])


def test_each_device_is_printed_once_and_never_obeyed(capsys: Captured) -> None:
    evil = NAMELESS.replace(b"uuid:1::a", b"uuid:2\xc2\x9b2J")
    with devices(NAMELESS, evil, NAMELESS) as port:
        assert find(port) == 0
    out, error = capsys.readouterr()
    assert out == "uuid:1::a  nowhere  127.0.0.1\nuuid:2\\x9b2J  nowhere  127.0.0.1\n"
    assert error == ""


def test_a_status_line_without_a_phrase_is_found_and_traced(capfd: Captured) -> None:
    with devices(b"HTTP/1.1 200\r\n\r\n", NAMELESS.replace(b" OK", b"")) as port:
        assert find(port, "--trace") == 0
    out, error = capfd.readouterr()
    assert out == "uuid:1::a  nowhere  127.0.0.1\n"
    assert "Traceback" not in error


def test_as_json_each_device_is_one_object(capsys: Captured) -> None:
    with devices(NAMELESS) as port:
        assert find(port, "--json", "--all") == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "uuid:1::a", "url": "nowhere", "address": TO, "server": "b", "identity": "uuid:1"
    }  # fmt: skip


def test_more_devices_than_a_network_has_are_not_kept(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "_MAX_DEVICES", 3)
    with devices(*[NAMELESS.replace(b"uuid:1", b"uuid:%d" % number) for number in range(9)]) as port:
        assert find(port) == 0
    assert capsys.readouterr().out.count("\n") == 3


def test_slow_descriptions_do_not_add_up(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who answers for many devices would keep us waiting for each."""
    monkeypatch.setattr(find_module, "_ALL_DESCRIPTIONS_SECONDS", -1.0)
    with socket.create_server((TO, 0)) as silent:
        location = f"http://{TO}:{silent.getsockname()[1]}/".encode()
        with devices(NAMELESS.replace(b"nowhere", location)) as port:
            assert find(port) == 0
        silent.settimeout(0)
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert capsys.readouterr().out == f"uuid:1::a  {location.decode()}  {TO}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
def test_a_closed_standard_output_is_23() -> None:
    with devices(NAMELESS) as port, open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "find", "--to", f"{TO}:{port}", "--seconds", "1"],
            env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 23
    assert done.stderr.startswith(b"httpsock find: can't write to standard output: ")
    assert b"Traceback" not in done.stderr


def test_letters_that_standard_output_has_not_are_escaped() -> None:
    named = NAMELESS.replace(b"uuid:1::a", "uuid:ä".encode())
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii"}
    with devices(named) as port:
        command = [*COMMAND, "find", "--to", f"{TO}:{port}", "--seconds", "1"]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"uuid:\\xe4  nowhere  {TO}\n".encode())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_an_interrupt_is_130(interruptible: None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(PATIENCE_SECONDS)
        asked.bind((TO, 0))
        command = [*COMMAND, "find", "--to", f"{TO}:{asked.getsockname()[1]}", "--seconds", "60"]
        with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) as program:
            asked.recv(1000)
            program.send_signal(signal.SIGINT)
            _, error = program.communicate(timeout=PATIENCE_SECONDS)
    assert (program.returncode, error) == (130, b"httpsock find: interrupted.\n")


def test_a_search_without_result_is_1(capsys: Captured) -> None:
    with devices() as port:
        assert find(port) == 1
    assert capsys.readouterr() == ("", "")


def test_a_failed_send_is_reported(capsys: Captured) -> None:
    assert main(["find", "--bind", "192.0.2.1"]) == 1
    assert re.fullmatch(r"httpsock find: cannot send a search: .*\.\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--to", "nobody"], "'nobody' is not an IPv4 or IPv6 address"),
        (["--to", "127.0.0.1:0"], "'0' is not a port from 1 to 65535"),
        (["--to", "[::1]1900"], "'::1]1900' is not an IPv4 or IPv6 address"),
        (["--to", "::1", "--bind", "::1"], "not allowed with"),
        (["--to", "fe80::1%no-such-interface"], "'fe80::1%no-such-interface' can't be searched: "),
        (["--bind", "here"], "'here' is not an IPv4 or IPv6 address"),
        (["--bind", "fe80::1%no-such-interface"], "'fe80::1%no-such-interface' is not an address of this machine: "),
        (["--seconds", "0"], "'0' is not a number of seconds from 1 to 60"),
    ],
)
def test_a_wrong_argument_is_2(arguments: list[str], reason: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        main(["find", *arguments])
    assert left.value.code == 2
    assert reason in capsys.readouterr().err


@each_row(
    ("text", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", 1900)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("::1", ("::1", 1900, 0, 0)),
        ("[::1]", ("::1", 1900, 0, 0)),
        ("[::1]:80", ("::1", 80, 0, 0)),
        ("[fe80::1%1]:80", ("fe80::1", 80, 0, 1)),
    ],
)
def test_one_device_is_given_by_its_address(text: str, expected: tuple[object, ...]) -> None:
    assert find_module._peer(text) == expected


def test_a_search_beside_a_get_in_one_trace(tmp_path: pathlib.Path, capfd: Captured) -> None:
    with Announcer(str(tmp_path / "folder"), [TO], 8000, group_port=0) as running:
        assert find(running.group_port, "--trace=json") == 0
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    calls = [(event["connection"], event["event"]) for event in events]
    asked = [(0, "socket"), (0, "sendto"), (0, "sendto"), (0, "wait")]
    assert calls[:4] == asked
    assert set(calls[4:-10]) <= {(0, "recvfrom"), (0, "parse"), (0, "repeated")}
    described = ["getaddrinfo", "socket", "connect", "send", "recv", "parse", "content", "close"]
    assert calls[-10:-8] == [(0, "timeout"), (0, "close")]
    assert calls[-8:] == [(1, name) for name in described]


def test_without_a_network_the_system_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "announcing_interfaces", list)
    assert find_module._networks() == [Interface("0.0.0.0")]
    monkeypatch.setattr(find_module, "announcing_interfaces", lambda: [Interface("127.0.0.1")])
    assert find_module._networks() == [Interface("127.0.0.1")]


def test_a_device_that_answers_twice_is_reported(capfd: Captured) -> None:
    with devices(NAMELESS, NAMELESS) as port:
        assert find(port, "-v") == 0
    assert re.search(r"  repeated: uuid:1 has answered already\n", capfd.readouterr().err)


# --- where datagrams are lost, doubled and overtaken ----------------------------------------------------------------


def test_a_datagram_may_be_lost_doubled_or_overtaken() -> None:
    fates = fates_of_a_bad_network(seed=1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, relaying(server_address(server), fates) as relay:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for number in range(200):
                client.sendto(b"%d" % number, (TO, relay.port))
        server.settimeout(0.3)
        arrived = []
        with contextlib.suppress(TimeoutError):
            while True:
                arrived.append(int(server.recv(100)))
    assert set(relay.done) == {"passed", "dropped", "doubled", "reordered"}
    assert len(set(arrived)) < 200, "some are lost"
    assert len(set(arrived)) < len(arrived), "some came twice"
    assert arrived != sorted(arrived), "some were overtaken"


def server_address(server: socket.socket) -> tuple[str, int]:
    server.bind((TO, 0))
    host, port = server.getsockname()
    return host, port


def test_a_folder_is_found_over_a_bad_network(tmp_path: pathlib.Path, capsys: Captured) -> None:
    """The search is sent twice and the answers are put together, so that a lost datagram loses nobody."""
    fates = iter(["dropped", "passed", "doubled"])
    running = Announcer(str(tmp_path / "folder"), [TO], 8000, group_port=0)
    with running, relaying((TO, running.group_port), fates) as relay:
        assert find(relay.port) == 0
    assert dict(relay.done) == {"dropped": 1, "passed": 1, "doubled": 1}
    assert re.fullmatch(r"folder on .*  http://127\.0\.0\.1:8000/  127\.0\.0\.1\n", capsys.readouterr().out)
