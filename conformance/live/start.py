"""The server under test, where the check starts it: a folder of known files, a free port, a program, and its end.

with started("server --port {port} {root}") as server: ...
"""

import contextlib
import io
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from . import wire
from .probes import sentinel
from .site import site

_START_SECONDS = 15.0
_STOP_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
# How much of the end of a server's output a message quotes.
_QUOTED_OCTETS = 2000
_QUOTED_LINES = 6


class StartError(Exception):
    """The server does not start; the message gives the reason."""


class Program(subprocess.Popen[bytes]):
    """A program that was started, as a process: most often a server."""

    def answers(self, address: tuple[str, int]) -> bool:
        """Return whether it runs, and accepts connections at *address* before too long."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.poll() is None:
            if wire.exchange(address, [sentinel(0)], seconds=2.0, ends=False, patience=0.5).ended != "refused":
                return True
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(_PAUSE_SECONDS)
        return False

    def stop(self) -> None:
        """Stop it, by force if it doesn't listen."""
        self.terminate()
        try:
            self.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


class StartedServer:
    """The server that *command* starts, with ``{port}`` and ``{root}`` filled in; *output* takes what it prints."""

    def __init__(self, command: str, root: Path, output: IO[bytes]) -> None:
        self.address = ("127.0.0.1", 0)
        self._command = command
        self._root = root
        self._output = output
        self._output_start = 0
        self._program: Program | None = None

    def start(self) -> None:
        """Start it on a free port. Raises StartError if the program can't be run, or doesn't answer in time."""
        # Each time another port: a program that has just ended may have left connections on the one before.
        self.address = ("127.0.0.1", _free_port())
        filled = {"{port}": str(self.address[1]), "{root}": str(self._root)}
        words = shlex.split(self._command)
        for name, value in filled.items():
            words = [word.replace(name, value) for word in words]
        self._output_start = self._output.seek(0, io.SEEK_END)
        try:
            self._program = Program(words, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output)
        except (OSError, IndexError) as error:
            raise StartError(f"{self._command!r} can't be run: {error}") from error
        if not self._program.answers(self.address):
            raise StartError(
                f"{words[0]} does not answer on port {self.address[1]}; its output: {self.last_output() or 'empty'}"
            )

    def exit_code(self, seconds: float) -> int | None:
        """Return its exit code, negative for a signal, or None if it still runs after *seconds*."""
        if self._program is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._program.wait(seconds)
        return self._program.returncode

    def last_output(self) -> str:
        """Return the last lines that it has printed since its start."""
        length = self._output.seek(0, io.SEEK_END)
        self._output.seek(max(length - _QUOTED_OCTETS, self._output_start))
        lines = self._output.read(_QUOTED_OCTETS).decode("utf-8", "replace").strip().splitlines()
        return "\n".join(lines[-_QUOTED_LINES:])

    def stop(self) -> None:
        """Stop it, if it was started."""
        if self._program is not None:
            with self._program as program:
                program.stop()
            self._program = None


@contextlib.contextmanager
def started(command: str) -> Iterator[StartedServer]:
    """Start *command* in the known folder, and yield the server, which is stopped in the end. Raises StartError."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder, tempfile.TemporaryFile() as output:
        root = Path(folder) / "root"
        root.mkdir()
        # Servers that give up their rights have to see what they serve.
        Path(folder).chmod(0o755)
        site(root)
        server = StartedServer(command, root, output)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
