"""Start the server under test with a folder of known files, on a free port. Stop it at the end.

with started(Recipe("server --port {port} {root}")) as server: ...
"""

import contextlib
import io
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from . import wire
from .probes import sentinel
from .site import site

_START_SECONDS = 15.0
_CLOSED_SECONDS = 1.0
_STOP_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
# A message quotes at most this much of the end of a server's output.
_QUOTED_OCTETS = 2000
_QUOTED_LINES = 6


class StartError(Exception):
    """The server did not start. The message is the reason."""


class Program(subprocess.Popen[bytes]):
    """A process that the check has started, such as a server."""

    def answers(self, address: tuple[str, int]) -> bool:
        """Wait until the program answers at *address*, and return True. If it exits or takes too long, return False.

        Some programs accept connections but close them without an answer. If such a program still runs a little later,
        return True.
        """
        deadline = time.monotonic() + _START_SECONDS
        is_accepted = False
        while time.monotonic() < deadline and self.poll() is None:
            found = wire.exchange(
                address, [sentinel(0)], silence_seconds=2.0, ends=False, quiet_seconds=0.5, max_octets=1
            )
            if found.received or found.is_late:
                return True
            if found.ended != "refused" and not is_accepted:
                is_accepted = True
                deadline = time.monotonic() + _CLOSED_SECONDS
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(_PAUSE_SECONDS)
        return is_accepted and self.poll() is None

    def stop(self) -> None:
        """Stop the process with SIGTERM. At the end, kill the rest of its process group.

        If the process takes too long to stop, or if Ctrl-C interrupts this method, use SIGKILL.
        """
        try:
            self.terminate()
            self.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()
            # Windows has no killpg, and a program started in the group of its parent has no group to kill.
            with contextlib.suppress(AttributeError, ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


class Recipe(NamedTuple):
    """How to start a server. *start* is a command in which {port}, {root}, {folder} and {back} are filled in.

    *files* are first written into {folder}. Names in braces are also filled in within *files* and *environment*. If
    *start* is a proxy, *back* is the command of the server behind the proxy. This server starts first, on the port
    {back}.
    """

    start: str
    files: Mapping[str, str] = {}
    back: str = ""
    environment: Mapping[str, str] = {}


class StartedServer:
    """A server that the check has started. It serves *root*. *output* is a file for its output."""

    def __init__(self, recipe: Recipe, root: Path, output: IO[bytes]) -> None:
        self.address = ("127.0.0.1", 0)
        self._recipe = recipe
        self._root = root
        self._output = output
        self._output_start = 0
        self._programs: list[Program] = []

    def start(self) -> None:
        """Start the server on a free port. If it can't be run or does not answer in time, raise StartError."""
        # Use a new port each time: connections of a program that has just exited may still block the last port.
        self.address, back = ("127.0.0.1", _free_port()), ("127.0.0.1", _free_port())
        folder = self._root.parent / "server"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        values = {"port": str(self.address[1]), "back": str(back[1]), "root": str(self._root), "folder": str(folder)}
        for name, text in self._recipe.files.items():
            (folder / name).write_text(_fill(text, values), encoding="utf-8")
        self._output_start = self._output.seek(0, io.SEEK_END)
        if self._recipe.back:
            self._run(self._recipe.back, values, back)
        self._run(self._recipe.start, values, self.address)

    def _run(self, command: str, values: Mapping[str, str], address: tuple[str, int]) -> None:
        """Start *command*, and wait until it answers at *address*."""
        try:
            words = [_fill(word, values) for word in shlex.split(command)]
        except ValueError as error:
            raise StartError(f"cannot read the start command {command!r}: {error}") from error
        environment = {name: _fill(value, values) for name, value in self._recipe.environment.items()}
        try:
            program = Program(
                words,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env=os.environ | environment,
                start_new_session=True,
            )
        except OSError as error:
            raise StartError(f"cannot run {words[0]}: {error.strerror}") from error
        self._programs.append(program)
        if not program.answers(address):
            code = program.poll()
            how = "does not answer" if code is None else f"exited with code {code} before it answered"
            printed = self.last_output()
            raise StartError(f"{words[0]} {how} on port {address[1]}; it printed {printed or 'no output'}")

    def exit_code(self, seconds: float) -> int | None:
        """Wait up to *seconds* and return the exit code. If the server still runs, return None.

        After a signal, the exit code is negative.
        """
        if not self._programs:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._programs[-1].wait(seconds)
        return self._programs[-1].returncode

    def last_output(self) -> str:
        """Return the last lines of output since the server's start."""
        length = self._output.seek(0, io.SEEK_END)
        self._output.seek(max(length - _QUOTED_OCTETS, self._output_start))
        lines = self._output.read(_QUOTED_OCTETS).decode("utf-8", "replace").strip().splitlines()
        return "\n".join(lines[-_QUOTED_LINES:])

    def stop(self) -> None:
        """Stop the server. If it is a proxy, also stop the server behind it."""
        while self._programs:
            self._programs[-1].stop()
            self._programs[-1].wait()
            self._programs.pop()


@contextlib.contextmanager
def started(recipe: Recipe) -> Iterator[StartedServer]:
    """Start a server with a folder of known files.

    Yield the server, and stop it at the end. If it does not start, raise StartError.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder, tempfile.TemporaryFile() as output:
        root = Path(folder) / "root"
        root.mkdir()
        # A server that changes from root to another user must still be able to read the folder.
        Path(folder).chmod(0o755)
        site(root)
        server = StartedServer(recipe, root, output)
        try:
            server.start()
            yield server
        finally:
            try:
                server.stop()
            finally:
                # If a signal has interrupted the stop, try again. The next signal is ignored.
                server.stop()


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Replace each name in braces by its value."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _free_port() -> int:
    """Return a free TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
