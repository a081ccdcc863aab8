"""The pytest plugin, tested in separate pytest sessions, and the test server without pytest."""

import asyncio
import os
import pathlib
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from httpsock import TestServer
from httpsock.testing.server import ServerFactory
from tests.support import exchange, get
from tests.support.processes import open_descriptors

ROOT = pathlib.Path(__file__).parents[2]

TESTS = """
import urllib.request

import pytest

@pytest.mark.parametrize("number", range(6))
def test_a_file(http_server, number):
    (http_server.folder / "a.txt").write_text(str(number))
    assert urllib.request.urlopen(http_server.url_for("/a.txt")).read() == str(number).encode()

def test_a_client_that_asks_wrongly(http_server):
    http_server.respond("/x", 200, {}, "x")
    urllib.request.urlopen(http_server.url_for("/x")).close()
    assert http_server.requests[0].target == "/y"

@pytest.fixture(scope="session")
def shared(http_server_factory):
    return http_server_factory()

def test_one_server_for_all(shared):
    assert shared.is_running

def test_another_one(http_server_factory, shared):
    assert http_server_factory(handler=lambda request, context: None).port != shared.port
    assert not shared.is_running
"""


def run_pytest(folder: pathlib.Path, tests: str, *arguments: str) -> str:
    """Run the test source *tests* with the plugin in a new pytest session, and return its output."""
    (folder / "test_client.py").write_text(tests)
    command = [sys.executable, "-W", "error", "-m", "pytest", "-W", "error", "-p", "httpsock.testing.plugin"]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        # Sessions that share a folder for temporary files remove them from under each other.
        "PYTEST_DEBUG_TEMPROOT": str(folder),
    }
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "xdist"])
def test_the_fixtures_serve_and_a_failed_test_shows_the_requests(
    tmp_path: pathlib.Path, arguments: tuple[str, ...]
) -> None:
    printed = run_pytest(tmp_path, TESTS, *arguments)

    assert "2 failed, 7 passed" in printed, printed
    assert "warning" not in printed
    first, second = printed.split("_____ test_another_one _____")[-1], printed
    assert "- requests to http://127.0.0.1:" in first
    assert "no request has arrived" in first
    assert "  parse GET /x\n      > GET /x HTTP/1.1\n" in second


def test_the_plugin_itself_loads_no_server(tmp_path: pathlib.Path) -> None:
    tests = "import sys\n\ndef test_modules():\n    found = {name for name in sys.modules if 'httpsock' in name}\n"
    tests += "    assert found == {'httpsock', 'httpsock.testing', 'httpsock.testing.plugin'}\n    assert 0\n"

    assert "E       assert 0" in run_pytest(tmp_path, tests)


def test_a_block_that_fails_shows_the_requests() -> None:
    def fail() -> None:
        with TestServer() as server:
            exchange(server.port, get("/x"))
            raise AssertionError

    with pytest.raises(AssertionError) as caught:
        fail()

    (note,) = caught.value.__notes__
    assert note.startswith("Requests to http://127.0.0.1:")
    assert "parse GET /x" in note


def test_a_factory_stops_its_servers() -> None:
    with ServerFactory() as factory:
        servers = [factory(), factory()]
        assert all(server.is_running for server in servers)

    assert not any(server.is_running for server in servers)


def test_a_server_leaves_no_thread_descriptor_or_folder_behind(tmp_path: pathlib.Path) -> None:
    with TestServer():
        # The first server loads all modules and libraries.
        pass
    before = threading.active_count(), open_descriptors()
    for _ in range(20):
        with TestServer() as server:
            exchange(server.port, get("/"))
        server.stop()

    assert (threading.active_count(), open_descriptors()) == before
    assert not server.folder.exists()


def test_a_server_that_cannot_start_leaves_no_folder_behind(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with pytest.raises(ValueError, match="port must be from 0 to 65535, not -1"):
        TestServer(port=-1)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_given_stays(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with TestServer(str(tmp_path)) as server:
        assert b"\r\n\r\na" in exchange(server.port, get("/a.txt"))

    assert (tmp_path / "a.txt").exists()


def test_a_server_serves_clients_in_an_event_loop_and_in_threads(server: TestServer) -> None:
    server.respond("/x", content=b"x")

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(get("/x", "Connection: close"))
        octets = await reader.read()
        writer.close()
        await writer.wait_closed()
        return octets

    async def ask_all() -> list[bytes]:
        return await asyncio.gather(*(ask() for _ in range(20)))

    threads = [threading.Thread(target=lambda: urllib.request.urlopen(server.url_for("/x")).close()) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert all(octets.endswith(b"\r\n\r\nx") for octets in asyncio.run(ask_all()))
    for thread in threads:
        thread.join()
    assert len(server.wait_for(40)) == 40


def test_a_client_that_has_gone_has_no_address(server: TestServer) -> None:
    with socket.socket() as never_connected:
        transport = server._open(never_connected)
        transport.close()
    assert server.requests == []
