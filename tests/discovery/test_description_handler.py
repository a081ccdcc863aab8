"""The device description: its URL path, the requests that it answers, and its XML."""

import os
import pathlib
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

import httpsock
from httpsock.client.url import parse_url
from httpsock.discovery.description import format_description, parse_description
from httpsock.discovery.description_handler import DescriptionHandler
from httpsock.discovery.ssdp import Device
from tests.support import ask, exchange, get, read_answers
from tests.support.folder import HELLO
from tests.support.rows import each_row

Serve = Callable[..., httpsock.Server]
DEVICE = Device(uuid.UUID(int=1), "", "a", 1)


@pytest.fixture
def description() -> DescriptionHandler:
    """Return the handler for the description of a folder. The folder's name has a character that XML must escape."""
    handler = DescriptionHandler()
    handler.describe("/srv/my & folder", 8000)
    return handler


def test_the_description_is_served_beside_the_files_of_the_folder(
    description: DescriptionHandler, folder: pathlib.Path, serve: Serve
) -> None:
    port = serve(folder, middleware=[description]).port
    answer = ask(port, description.path)
    assert (answer.status, answer.field("Content-Type")) == (200, 'text/xml; charset="utf-8"')
    assert "<friendlyName>my &amp; folder on " in answer.text
    device = DescriptionHandler().describe("/srv/my & folder", 8000)
    assert f"<UDN>uuid:{device.identity}</UDN>" in answer.text
    head = ask(port, description.path, method="HEAD")
    assert (head.status, head.field("Content-Length")) == (200, str(len(answer.content)))
    assert ask(port, "/hello.txt").status == 200


def test_the_presentation_url_has_the_address_at_which_the_description_was_read() -> None:
    described = parse_description(format_description(DEVICE, "a"))
    for address in ("192.168.1.20:8000", "[fe80::1%252]:8000"):
        page = described.page(parse_url(f"http://{address}/.httpsock-1.xml"))
        assert str(page) == f"http://{address}/"


@each_row("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_the_description_allows_get_and_head_only(
    method: str, description: DescriptionHandler, folder: pathlib.Path, serve: Serve
) -> None:
    answer = ask(serve(folder, middleware=[description]).port, description.path, method=method)
    assert (answer.status, answer.field("Allow")) == (405, "GET, HEAD")
    assert f"{method} is not allowed for a device description" in answer.text


def test_content_of_a_request_for_the_description_is_not_read_as_a_request(
    description: DescriptionHandler, folder: pathlib.Path, serve: Serve
) -> None:
    port = serve(folder, middleware=[description]).port
    content = get("/empty.txt")
    octets = get(description.path, f"Content-Length: {len(content)}") + content + get("/hello.txt")
    answers = read_answers(exchange(port, octets), "GET", "GET")
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].content == HELLO


def test_the_description_is_not_listed_and_only_its_exact_path_finds_it(
    description: DescriptionHandler, folder: pathlib.Path, serve: Serve
) -> None:
    port = serve(folder, middleware=[description], show_hidden=True).port
    assert ".httpsock" not in ask(port, "/").text
    for path in (description.path + "/", description.path[:-1], f"/sub{description.path}", "/.httpsock-.xml"):
        assert ask(port, path).status == 404


def test_without_an_announcement_there_is_no_description(folder: pathlib.Path, serve: Serve) -> None:
    description = DescriptionHandler()
    assert ask(serve(folder, middleware=[description]).port, description.path).status == 404


def test_the_path_of_the_description_is_random_at_each_start() -> None:
    paths = {DescriptionHandler().path for _ in range(10)}
    assert len(paths) == 10
    assert all(re.fullmatch(r"/\.httpsock-[0-9a-f]{32}\.xml", path) for path in paths)


@each_row("name", [b"\xff", b"a\x01\n", "\N{RIGHT-TO-LEFT OVERRIDE}".encode()])
def test_the_description_of_a_folder_with_any_name_is_valid_xml(name: bytes) -> None:
    text = format_description(DEVICE, os.fsdecode(name)).decode()
    friendly = ET.fromstring(text)[1].findtext("{urn:schemas-upnp-org:device-1-0}friendlyName")
    assert friendly
    assert friendly.isprintable()


def test_a_name_is_escaped_as_text_and_truncated() -> None:
    text = format_description(DEVICE, '<b>&"' + "x" * 100).decode()
    assert "<friendlyName>&lt;b&gt;&amp;&quot;xxx" in text
    assert "x" * 59 not in text
