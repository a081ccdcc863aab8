"""``httpsock find``: what is found of whom, by a deadline, also where datagrams are lost, doubled and overtaken."""

import contextlib
import json
import pathlib
import re
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from httpsock import find as find_module
from httpsock.__main__ import main
from httpsock.announcer import Announcer
from httpsock.client import Client
from httpsock.find import Found, identify, search
from httpsock.ssdp import Datagram, parse_datagram
from tests.support import PATIENCE_SECONDS
from tests.support_relay import fates_of_a_bad_network, relaying
from tests.support_servers import answering, ok, playing

Captured = pytest.CaptureFixture[str]
NAMELESS = b"HTTP/1.1 200 OK\r\nST: a\r\nUSN: uuid:1::a\r\nLOCATION: nowhere\r\nSERVER: b\r\n\r\n"
TO = "127.0.0.1"


@contextlib.contextmanager
def devices(*answers: bytes) -> Iterator[int]:
    """Somebody who answers the first search with datagrams; give the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.settimeout(PATIENCE_SECONDS)
        device.bind((TO, 0))

        def answer() -> None:
            octets, peer = device.recvfrom(8192)
            assert octets.startswith(b"M-SEARCH * HTTP/1.1\r\n")
            for each in answers:
                device.sendto(each, peer)

        thread = threading.Thread(target=answer)
        thread.start()
        yield device.getsockname()[1]
        thread.join()


def found(port: int, seconds: float = 0.3, interfaces: Sequence[str] = ("127.0.0.1",)) -> list[tuple[str, Datagram]]:
    return list(search("upnp:rootdevice", (TO, port), interfaces, seconds))


def test_answers_are_given_with_whence_they_came() -> None:
    with devices(NAMELESS, NAMELESS) as port:
        assert found(port) == [(TO, parse_datagram(NAMELESS))] * 2


def test_what_is_no_answer_is_passed_over() -> None:
    notify = b"NOTIFY * HTTP/1.1\r\nUSN: a\r\n\r\n"
    with devices(b"", b"\0" * 100, notify, b"HTTP/1.1 200 OK\r\n\r\n", NAMELESS, b"x" * 20_000) as port:
        assert [datagram.field("usn") for _, datagram in found(port)] == ["uuid:1::a"]


def test_where_nobody_is_nothing_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((TO, 0))
        port = closed.getsockname()[1]
    assert found(port, seconds=0.05) == []
    assert found(port, seconds=0.0) == []


def test_an_interface_that_is_not_ours_is_an_error_unless_another_is() -> None:
    with pytest.raises(OSError, match=r"Cannot assign|not valid|No such device"):
        found(9, interfaces=["192.0.2.1"])
    with devices(NAMELESS) as port:
        assert found(port, interfaces=["192.0.2.1", "127.0.0.1"])


# --- what is said of a device ---------------------------------------------------------------------------------------


def device(location: str) -> Datagram:
    return parse_datagram(NAMELESS.replace(b"nowhere", location.encode()))


def identified(location: str, address: str = TO) -> Found:
    with Client(redirects=0) as client:
        return identify(client, address, device(location))


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        pytest.param(
            "<friendlyName> A &amp; B </friendlyName><presentationURL>http://c/</presentationURL>",
            "A & B", "http://c/", id="as UDA has it",
        ),
        pytest.param("<d:friendlyName x='y'>A</d:friendlyName >", "A", None, id="with a prefix"),
        pytest.param("<friendlyName>A<b/></friendlyName>", "uuid:1::a", None, id="markup within"),
        pytest.param("<presentationURL>/page</presentationURL>", "uuid:1::a", None, id="a path"),
        pytest.param("<presentationURL>https://c/</presentationURL>", "uuid:1::a", None, id="https"),
        pytest.param("", "uuid:1::a", None, id="nothing"),
        pytest.param("<friendlyName>A</friendlyName>" + "x" * 70_000, "uuid:1::a", None, id="far too much"),
    ],
)  # fmt: skip
def test_the_description_says_its_name_and_where_to_look(text: str, name: str, url: str | None) -> None:
    with playing(answering(ok(text.encode()))) as location:
        assert identified(location) == Found(name, url or location, TO, "b", "uuid:1")


def test_nobody_is_sent_to_somebody_else() -> None:
    """The description is asked for only where the answer came from: here, nobody is asked at all."""
    assert identified("http://127.0.0.2:1/") == Found("uuid:1::a", "http://127.0.0.2:1/", TO, "b", "uuid:1")


@pytest.mark.parametrize("location", ["nowhere", "http://127.0.0.1:1/"])
def test_a_device_without_a_description_is_named_by_its_number(location: str) -> None:
    assert identified(location).name == "uuid:1::a"


def test_a_description_that_is_no_response_is_none() -> None:
    with playing(answering(b"what?\r\n")) as location:
        assert identified(location).name == "uuid:1::a"


# --- the command ----------------------------------------------------------------------------------------------------


def find(port: int, *arguments: str) -> int:
    return main(["find", "--to", f"{TO}:{port}", "--seconds", "1", *arguments])


def test_each_device_is_printed_once_and_never_obeyed(capsys: Captured) -> None:
    evil = NAMELESS.replace(b"uuid:1::a", b"uuid:2\xc2\x9b2J")
    with devices(NAMELESS, evil, NAMELESS) as port:
        assert find(port, "--bind", "127.0.0.1") == 0
    out, error = capsys.readouterr()
    assert out == "uuid:1::a  nowhere  127.0.0.1\nuuid:2\\x9b2J  nowhere  127.0.0.1\n"
    assert error == ""


def test_as_json_each_device_is_one_object(capsys: Captured) -> None:
    with devices(NAMELESS) as port:
        assert find(port, "--json", "--all") == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "uuid:1::a", "url": "nowhere", "address": TO, "server": "b", "identity": "uuid:1"
    }  # fmt: skip


def test_more_devices_than_a_network_has_are_not_kept(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "_MOST_DEVICES", 3)
    with devices(*[NAMELESS.replace(b"uuid:1", b"uuid:%d" % number) for number in range(9)]) as port:
        assert find(port) == 0
    assert capsys.readouterr().out.count("\n") == 3


def test_where_nothing_is_found_it_is_1(capsys: Captured) -> None:
    with devices() as port:
        assert find(port) == 1
    assert capsys.readouterr() == ("", "")


def test_what_can_not_be_sent_is_said(capsys: Captured) -> None:
    assert find(9, "--bind", "192.0.2.1") == 1
    assert re.fullmatch(r"httpsock find: nothing can be sent: .*\.\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--to", "nobody"], "'nobody' is not an IPv4 address"),
        (["--to", "127.0.0.1:0"], "'0' is not a port from 1 to 65535"),
        (["--bind", "::1"], "'::1' is not an IPv4 address"),
        (["--seconds", "0"], "'0' is not a number of seconds from 1 to 60"),
    ],
)
def test_a_wrong_argument_is_2(arguments: list[str], reason: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        main(["find", *arguments])
    assert left.value.code == 2
    assert reason in capsys.readouterr().err


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
