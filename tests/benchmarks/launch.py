"""Start a server, wait until it answers, and stop it afterwards."""

import contextlib
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

from tests.support import free_port

from .environment import Environment
from .peers import Peer, Site
from .processes import Processors, pinned

_TIMEOUT_SECONDS = 15.0
_GRACE_SECONDS = 5.0


class Stage(NamedTuple):
    """The conditions in which servers run: the folder to serve, a work folder, installed packages, and processors.

    If other programs disturb a measurement, it is repeated up to *attempts* times.
    """

    root: pathlib.Path
    work: pathlib.Path
    environment: Environment
    processors: Processors
    attempts: int = 3


class Running(NamedTuple):
    """A running server process."""

    peer: Peer
    pid: int
    port: int
    command: list[str]


class NotStartedError(Exception):
    """A server did not start. The message is the reason."""


@contextlib.contextmanager
def running(peer: Peer, stage: Stage, *, is_logged: bool = False) -> Iterator[Running]:
    """Start *peer* on a free port. Yield it when it answers. Stop it when the block ends."""
    folder = stage.work / f"{peer.name}{' with log' if is_logged else ''}".replace(" ", "-").replace("/", "-")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    log = folder / "access.log" if is_logged else None
    site = Site(stage.root, free_port(), folder, log, stage.environment)
    command = peer.command(site)
    with (folder / "output").open("wb") as output:
        # Discard the output for each response, unless the workload measures the log.
        destination = subprocess.DEVNULL if peer.streams and not is_logged else output
        with pinned(stage.processors.server):
            process = subprocess.Popen(command, cwd=peer.folder, stdout=destination, stderr=destination)
        try:
            _wait_until_it_answers(process, site.port, folder / "output")
            yield Running(peer, process.pid, site.port, command)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process. If it does not end, kill it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, output: pathlib.Path) -> None:
    """Wait until the server on *port* answers. Raise NotStartedError if it does not answer in time."""
    latest = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/1k.bin", timeout=_TIMEOUT_SECONDS) as answer:
                answer.read()
                return
        except urllib.error.HTTPError as error:
            raise NotStartedError(f"answers {error.code} to the first request") from None
        except OSError:
            if process.poll() is not None or time.monotonic() > latest:
                lines = output.read_text(errors="replace").split("\n")
                raise NotStartedError(f"did not start: {' '.join(lines).strip()[-200:]}") from None
            time.sleep(0.02)
