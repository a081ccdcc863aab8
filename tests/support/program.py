"""The httpsock program in a process of its own."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable

import httpsock
from tests.support import TIMEOUT_SECONDS, Answer, ask

PACKAGE = pathlib.Path(httpsock.__file__).parent
COMMAND = [sys.executable, "-m", "httpsock"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}


class Program:
    """A running httpsock program."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.url = ""

    def read_url(self) -> None:
        """Read the first line of standard output, which is the URL."""
        assert self.process.stdout
        self.url = self.process.stdout.readline().decode("ascii").removesuffix("\n")

    @property
    def port(self) -> int:
        """The port in the program's URL."""
        return int(self.url.removesuffix("/").rpartition(":")[2])

    def ask(self, path: str, *field_lines: str) -> Answer:
        """Request *path* on a new connection. Return the answer."""
        return ask(self.port, path, *field_lines)

    def end(self) -> tuple[int, str, str]:
        """Wait for the program to end. Return its exit code, and the rest of standard output and standard error."""
        out, error = self.process.communicate(timeout=TIMEOUT_SECONDS)
        return self.process.returncode, (out or b"").decode(), (error or b"").decode()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal and wait for the program to end. Return the same values as end()."""
        self.process.send_signal(number)
        return self.end()

    def restart(self) -> int:
        """Send SIGHUP, and wait until a new process has taken over. Return the PID of the new process."""
        self.process.send_signal(signal.SIGHUP)
        assert self.process.stderr
        # Lines of the access log may come first.
        while not (line := self.process.stderr.readline()).startswith(b"httpsock: "):
            assert line, "standard error is closed"
        words = line.decode().split()
        assert words[3:] == ["has", "taken", "over."], line
        return int(words[2])


Start = Callable[..., Program]


def run_python(program: str, directory: pathlib.Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python source code. Return the completed process with its output."""
    return subprocess.run(
        [sys.executable, "-u", "-c", program],
        cwd=directory,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
