"""Foreign servers: the client must get the same content as curl from nginx, Caddy and http.server."""

import contextlib
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

import httpsock
from httpsock.client.client import Client
from httpsock.client.download import Download
from tests.support import TIMEOUT_SECONDS, free_port
from tests.support.tools import run, tool
from tests.support.trace import CollectedTrace

pytestmark = pytest.mark.tools

LARGE = bytes(range(256)) * 4096

Command = Callable[[pathlib.Path, pathlib.Path, int], list[str]]


def nginx(root: pathlib.Path, work: pathlib.Path, port: int) -> list[str]:
    """Return the command that starts nginx. Its listings and compressed files are chunked."""
    (work / "nginx.conf").write_text(
        f"""
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log; user root;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {work}/1; proxy_temp_path {work}/2;
  fastcgi_temp_path {work}/3; uwsgi_temp_path {work}/4; scgi_temp_path {work}/5;
  server {{ listen 127.0.0.1:{port}; root {root}; autoindex on; gzip on; gzip_min_length 1; gzip_types *; }}
}}
"""
    )
    return [tool("nginx"), "-p", str(work), "-c", str(work / "nginx.conf")]


def caddy(root: pathlib.Path, work: pathlib.Path, port: int) -> list[str]:
    """Return the command that starts Caddy."""
    (work / "Caddyfile").write_text(
        f"{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{port} {{\n root * {root}\n file_server browse\n}}\n"
    )
    return [tool("caddy"), "run", "--config", str(work / "Caddyfile"), "--adapter", "caddyfile"]


def of_python(root: pathlib.Path, work: pathlib.Path, port: int) -> list[str]:
    """Return the command that starts http.server, a server of HTTP/1.0."""
    return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(root)]


def of_ours(root: pathlib.Path, work: pathlib.Path, port: int) -> list[str]:
    """Return the command that starts httpsock."""
    return [sys.executable, "-m", "httpsock", str(root), "--bind", "127.0.0.1", "--port", str(port), "--quiet"]


@contextlib.contextmanager
def running(command: list[str], port: int, work: pathlib.Path) -> Iterator[str]:
    """Run a server until the block ends. Yield the URL when the server accepts connections."""
    with (work / "log").open("wb") as log, subprocess.Popen(
        command, stdout=log, stderr=log, cwd=pathlib.Path(httpsock.__file__).parent.parent
    ) as program:  # fmt: skip
        latest = time.monotonic() + TIMEOUT_SECONDS
        try:
            while True:
                assert program.poll() is None, (work / "log").read_text()
                assert time.monotonic() < latest, "it does not listen"
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
            yield f"http://127.0.0.1:{port}/"
        finally:
            program.terminate()


@pytest.fixture(scope="module", params=[nginx, caddy, of_python, of_ours])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of each kind of server in turn. All servers have the same files."""
    root, work = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("work")
    root.chmod(0o755)
    (root / "large.bin").write_bytes(LARGE)
    (root / "hello.txt").write_bytes(b"Hello, socket.\n")
    (root / "empty.txt").write_bytes(b"")
    (root / "folder").mkdir()
    (root / "folder" / "a b.txt").write_bytes(b"a b\n")
    port = free_port()
    with running(request.param(root, work, port), port, work) as url:
        yield url


def test_files_arrive_whole(served: str) -> None:
    with Client() as client:
        for path, content in (("large.bin", LARGE), ("hello.txt", b"Hello, socket.\n"), ("folder/a b.txt", b"a b\n")):
            with client.get(served + path) as response:
                assert (response.status, response.read()) == (200, content)


def test_several_requests_go_over_one_connection_if_the_server_lets_them(served: str) -> None:
    collected = CollectedTrace()
    with Client(trace=collected) as client:
        versions = []
        for _ in range(3):
            with client.get(served + "hello.txt") as response:
                versions.append(response.head.minor_version)
                assert response.read() == b"Hello, socket.\n"
    connections = collected.names.count("connect")
    assert connections == (1 if versions == [1, 1, 1] else 3)


def test_heads_missing_files_and_redirects_are_understood(served: str) -> None:
    with Client() as client:
        with client.request("HEAD", served + "large.bin") as response:
            assert (response.status, response.read()) == (200, b"")
            assert response.field("Content-Length") == str(len(LARGE))
        with client.get(served + "missing") as response:
            assert response.status == 404
            assert response.head.is_error
            response.read()
        with client.get(served + "folder") as response:
            assert (response.status, response.url) == (200, served + "folder/")
            assert b"a%20b.txt" in response.read()


def test_a_known_response_is_not_requested_again(served: str) -> None:
    with Client() as client:
        modified = client.request("HEAD", served + "hello.txt").field("Last-Modified") or ""
        with client.get(served + "hello.txt", fields=[("If-Modified-Since", modified)]) as response:
            assert (response.status, response.read()) == (304, b"")


def test_an_interrupted_download_is_resumed_or_started_over(served: str, tmp_path: pathlib.Path) -> None:
    """If a server supports no ranges, the download starts over."""
    url, path = served + "large.bin", tmp_path / "file"
    with Client() as client:
        first = Download(str(path), url, resumes=False)
        with client.get(url) as response:
            first.start(response)
            first.write(next(iter(response)))
        first.close()
        second = Download(str(path), url, resumes=True)
        with client.get(url, fields=second.fields) as response:
            assert response.status == (
                206 if second.is_resumable and response.field("Accept-Ranges") else response.status
            )
            second.start(response)
            for octets in response:
                second.write(octets)
            second.finish()
    assert path.read_bytes() == LARGE


def test_compressed_content_arrives_unchanged_and_chunked(served: str) -> None:
    """nginx compresses while it sends, so the length is unknown. Other servers send stored files."""
    with Client() as client, client.get(served + "hello.txt", fields=[("Accept-Encoding", "gzip")]) as response:
        content = response.read()
    if response.field("Content-Encoding") == "gzip":
        assert content.startswith(b"\x1f\x8b")
    else:
        assert content == b"Hello, socket.\n"


def test_curl_gets_the_same(served: str, tmp_path: pathlib.Path) -> None:
    for path in ("large.bin", "empty.txt", "folder/"):
        theirs = run([tool("curl"), "-q", "-s", "--noproxy", "*", served + path], tmp_path)
        with Client() as client, client.get(served + path) as response:
            assert response.read() == theirs.stdout
