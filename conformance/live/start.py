"""The server under test, where the check starts it: a folder of known files, a free port, a program, and its end.

with started("server --port {port} {root}") as address: ...
"""

import contextlib
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import wire
from .probes import sentinel
from .site import site

_START_SECONDS = 15.0
_STOP_SECONDS = 5.0
_PAUSE_SECONDS = 0.05


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


@contextlib.contextmanager
def started(command: str) -> Iterator[tuple[str, int]]:
    """Start *command*, with ``{port}`` and ``{root}`` filled in, and yield its address.

    It is stopped in the end. Raises StartError if it can't be run, or doesn't answer in time.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder, tempfile.TemporaryFile() as output:
        root = Path(folder) / "root"
        root.mkdir()
        # Servers that give up their rights have to see what they serve.
        Path(folder).chmod(0o755)
        site(root)
        address = ("127.0.0.1", _free_port())
        words = [word.replace("{port}", str(address[1])).replace("{root}", str(root)) for word in shlex.split(command)]
        try:
            server = Program(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        except (OSError, IndexError) as error:
            raise StartError(f"{command!r} can't be run: {error}") from error
        with server:
            try:
                if not server.answers(address):
                    output.seek(0)
                    output_text = output.read(2000).decode("utf-8", "replace").strip()
                    raise StartError(
                        f"{words[0]} does not answer on port {address[1]}; its output: {output_text or 'empty'}"
                    )
                yield address
            finally:
                server.stop()


def _free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
