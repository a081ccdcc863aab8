"""The server under test: start it, measure its resources, and stop it."""

import argparse
import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests import support
from tests.support import free_port, get

ROOT = pathlib.Path(__file__).parent.parent.parent
TIMEOUT_SECONDS = 60.0
PYTHON = shlex.quote(sys.executable)
SERVERS = {
    "httpsock": f"{PYTHON} -m httpsock {{root}} --port {{port}} --bind 127.0.0.1 --log json",
    "nginx": "nginx -p {work} -c {work}/nginx.conf",
    "caddy": "caddy file-server --root {root} --listen 127.0.0.1:{port}",
}
_NGINX = """daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 8192; }}
http {{ access_log off; sendfile on; keepalive_requests 100000000;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p;
  fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; autoindex on; }} }}
"""


class NotStartedError(Exception):
    """The server under test did not start."""


def known_server(text: str) -> str:
    """Accept the name of a known server, or a command with {root} and {port}.

    For other texts, raise ArgumentTypeError.
    """
    try:
        if text in SERVERS or text.format(root="/", port=1, work="/") != text.format(root="", port="", work="/"):
            return text
    except (ValueError, LookupError, AttributeError):
        pass
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither {', '.join(SERVERS)} nor a command with {{root}} and {{port}}"
    )


class Row(NamedTuple):
    """One line of the results. *must* is the requirement. *holds* is true if *measured* meets the requirement.

    If *is_timed* is true, the result depends on the load of the machine, and tests ignore it.
    """

    what: str
    measured: str
    must: str
    holds: bool
    is_timed: bool = False


class Subject:
    """The running server under test."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: pathlib.Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    def log(self) -> str:
        """Return the server's output on standard error so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _tree(self) -> list[int]:
        waiting, found = [self.process.pid], []
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def memory_kib(self) -> int:
        """Return the memory of the server and its children in KiB.

        The figure is the PSS, which divides shared pages among processes.
        """
        rolled = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self._tree()]
        return sum(int(line.split()[1]) for text in rolled for line in text.splitlines() if line.startswith("Pss:"))

    def descriptors(self) -> int:
        """Return the number of open descriptors of the server and its children."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self._tree())

    def threads(self) -> int:
        """Return the number of threads of the server and its children."""
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self._tree())

    def is_asleep(self) -> bool:
        """Return whether all threads of the server sleep."""
        threads = [thread for pid in self._tree() for thread in pathlib.Path(f"/proc/{pid}/task").iterdir()]
        return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "S" for thread in threads)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server and its children have used."""
        stats = [pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._tree()]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> int:
        """Send SIGTERM. Return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_SECONDS)


@contextlib.contextmanager
def serving(
    root: pathlib.Path,
    server: str = "httpsock",
    options: str = "",
    *,
    descriptors: int = 0,
    port: int = 0,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Subject]:
    """Start *server* for *root*. Yield it when it answers. Stop it when the block ends.

    *descriptors* limits the number of open files, or is 0 for no limit.
    """
    port = port or free_port()
    with tempfile.TemporaryDirectory() as work, open(f"{work}/stderr", "wb") as log:
        pathlib.Path(work).chmod(0o755)
        pathlib.Path(work, "nginx.conf").write_text(_NGINX.format(work=work, port=port, root=root))
        command = f"exec {SERVERS.get(server, server).format(root=root, port=port, work=work)} {options}"
        if descriptors:
            command = f"ulimit -n {descriptors}; {command}"
        shell = ["/bin/sh", "-c", command]
        with subprocess.Popen(shell, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=log) as process:
            try:
                _wait_until_it_answers(process, port)
                yield Subject(process, port, pathlib.Path(work, "stderr"))
            finally:
                # SIGTERM comes first, so that nginx can end its workers; httpsock exits at the second one.
                for seconds in (1.0, TIMEOUT_SECONDS):
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(seconds)
                process.kill()


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait for the server's first answer, because an earlier signal might kill the server."""
    latest = time.monotonic() + TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < latest:
        with contextlib.suppress(OSError):
            if ask(port, get("*", "Connection: close", method="OPTIONS")):
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise RuntimeError("the server does not start")


@contextlib.contextmanager
def site() -> Iterator[pathlib.Path]:
    """Yield a temporary folder with a small file and a large file."""
    with tempfile.TemporaryDirectory() as work:
        # Some servers read as another user.
        pathlib.Path(work).chmod(0o755)
        root = pathlib.Path(work, "root")
        root.mkdir()
        (root / "hello.txt").write_bytes(b"Hello, socket.\n")
        with open(root / "large.bin", "wb") as file:
            file.truncate(64 << 20)
        yield root


def connect(port: int, octets: bytes = b"", *, buffer_octets: int = 0) -> socket.socket:
    """Connect and send *octets*. If *buffer_octets* is small, the server has to wait until the client reads."""
    client = support.connect(port, buffer_octets=buffer_octets)
    try:
        client.sendall(octets)
    except OSError:
        client.close()
        raise
    return client


def receive_all(client: socket.socket) -> bytes:
    """Receive until the peer closes its side, resets the connection, or sends nothing for too long."""
    parts = []
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := client.recv(1 << 18):
            parts.append(part)
    return b"".join(parts)


def ask(port: int, octets: bytes, *, quiet_seconds: float = 0.0) -> bytes:
    """Send *octets* on a new connection, and close the client's side. Return everything that the server sends.

    If *quiet_seconds* is given, leave the client's side open. Read until the server has sent nothing for this time.
    """
    with connect(port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(octets)
            if not quiet_seconds:
                client.shutdown(socket.SHUT_WR)
        client.settimeout(quiet_seconds or TIMEOUT_SECONDS)
        return receive_all(client)


def is_installed(program: str) -> bool:
    return shutil.which(program) is not None
