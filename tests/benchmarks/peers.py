"""The servers that are compared: each with the command that starts it for a folder and a port."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import NamedTuple

# As fast as nginx gets for files: one worker, no log, descriptors kept open and believed for a minute.
_NGINX_TUNED = """\
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000;
  open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f;
  uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; }}
}}
"""
_PATIENCE_SECONDS = 10.0


class Peer(NamedTuple):
    """A server in the comparison: its name, the command for (root, port, work folder), and what it needs."""

    name: str
    command: Callable[[pathlib.Path, int, pathlib.Path], list[str]]
    program: str = sys.executable
    install: str = ""

    @property
    def is_present(self) -> bool:
        """Whether its program is on this machine."""
        return shutil.which(self.program) is not None


def _httpsock(root: pathlib.Path, port: int, work: pathlib.Path) -> list[str]:
    return [sys.executable, "-m", "httpsock", str(root), "--port", str(port), "--bind", "127.0.0.1", "--quiet"]


def _http_server(root: pathlib.Path, port: int, work: pathlib.Path) -> list[str]:
    # Its log goes to standard error, which is thrown away here; HTTP/1.1 lets it keep connections.
    http11 = ["--protocol", "HTTP/1.1"] if sys.version_info >= (3, 11) else []
    return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(root), *http11]


def _nginx(root: pathlib.Path, port: int, work: pathlib.Path) -> list[str]:
    configuration = work / "nginx.conf"
    configuration.write_text(_NGINX_TUNED.format(root=root, port=port, work=work))
    return ["nginx", "-p", str(work), "-c", str(configuration)]


def _floor(root: pathlib.Path, port: int, work: pathlib.Path) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.floor", str(port), "1024"]


NGINX = Peer("nginx, tuned", _nginx, "nginx", "apt-get install nginx")
HTTPSOCK = Peer("httpsock", _httpsock)
HTTP_SERVER = Peer("http.server", _http_server)
FLOOR = Peer("floor", _floor)


class Running(NamedTuple):
    """A server that is being measured."""

    peer: Peer
    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        """Return the processor time, user and system, that the server and its children have used (from /proc)."""
        return sum(_cpu_ticks(pid) for pid in _tree(self.process.pid)) / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> list[int]:
    """Return *pid* and all below it."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(below for child in children for below in _tree(int(child)))]


def _cpu_ticks(pid: int) -> int:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@contextlib.contextmanager
def running(peer: Peer, root: pathlib.Path, work: pathlib.Path) -> Iterator[Running]:
    """Start *peer* for *root* on a free port, give it once it answers, and stop it in the end."""
    folder = work / peer.name.replace(" ", "-")
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = peer.command(root, port, folder)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_answers(port)
            yield Running(peer, process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_it_answers(port: int) -> None:
    """Return when the server on *port* answers, looking again a few times a second."""
    latest = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/1k.bin", timeout=1) as answer:
                answer.read()
                return
        except OSError:
            if time.monotonic() > latest:
                raise
            threading.Event().wait(0.02)
