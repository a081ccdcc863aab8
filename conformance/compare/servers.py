"""The table of servers to compare, and how to install each server.

One entry of ``servers.toml``, below ``servers``:

    [servers.nginx]
    source = "apt"                   apt, pip or npm; or "here", if nothing needs to be installed
    packages = ["nginx-light"]       the packages to install
    program = "nginx"                the program that must be on the PATH
    title = "nginx"                  the server's name on the page, if not the name of the entry
    version = "nginx -v"             a command that prints its version
    start = "nginx -c {folder}/..."  the command that starts the server; see live.start.Recipe for start, back and files
    app = "starlette"                the application that the server runs, one of the table's ``apps``
    build = "go build ..."           a command that builds the program
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from conformance.live.start import Recipe

TABLE = Path(__file__).with_name("servers.toml")
_INSTALL_SECONDS = 600
_VERSION = re.compile(r"[0-9]+\.[0-9]+[0-9A-Za-z.+~-]*")
# Debian installs many servers in /usr/sbin, which is not on the PATH of every user.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class SkipError(Exception):
    """A server can't be tried on this computer. The message is the reason."""


class Server(NamedTuple):
    """One entry in the table of servers."""

    name: str
    source: str
    title: str
    version: str
    start: str
    packages: tuple[str, ...] = ()
    program: str = ""
    back: str = ""
    build: str = ""
    files: Mapping[str, str] = {}


@cache
def load_servers() -> tuple[Server, ...]:
    """Return the servers in the order of the table. If an entry has a missing or unknown key, raise TypeError."""
    with TABLE.open("rb") as file:
        table = tomllib.load(file)
    return tuple(_server(name, dict(entry), table["apps"]) for name, entry in table["servers"].items())


def _server(name: str, entry: dict[str, Any], apps: dict[str, dict[str, str]]) -> Server:
    """Parse an entry of the table. Add the files of the server's application."""
    app = entry.pop("app", None)
    files = entry.pop("files", {}) | (apps[app] if app else {})
    return Server(name, title=entry.pop("title", name), packages=tuple(entry.pop("packages", ())), files=files, **entry)


class Installation:
    """Installs servers. Packages from pip and npm go into *folder*, where a later run can use them again.

    Debian packages are installed only if *uses_apt* is true. apt requires root.
    """

    def __init__(self, folder: Path, *, uses_apt: bool) -> None:
        self._folder = folder
        self._uses_apt = uses_apt

    def _place(self, server: Server) -> Path:
        """Return the folder for the packages of *server*. Each server has its own folder."""
        return self._folder / re.sub(r"\W+", "-", server.name)

    def _python(self, server: Server) -> Path:
        return self._place(server) / "bin" / "python"

    def _node(self, server: Server) -> Path:
        return self._place(server) / "node_modules"

    def prepare(self, server: Server) -> Recipe:
        """Install *server* if it is missing. Return how to start it. If it can't be tried, raise SkipError."""
        {"here": lambda _: None, "apt": self._apt, "pip": self._pip, "npm": self._npm}[server.source](server)
        if server.program and shutil.which(server.program, path=_PATH) is None:
            raise SkipError(f"the program {server.program} is missing")
        files = dict(server.files)
        start = server.start
        if server.build:
            start = self._build(server)
        environment = {"PATH": _PATH, "PYTHONPATH": os.pathsep.join(("{folder}", str(Path(__file__).parents[2])))}
        return Recipe(self._fill(start, server), files, self._fill(server.back, server), environment)

    def environment(self) -> dict[str, str]:
        """Return the environment variables for other programs, such as drivers of parsers."""
        return os.environ | {"PATH": _PATH}

    def version(self, server: Server) -> str:
        """Run the server's version command. Return the version or "?". If the command can't be run, raise SkipError."""
        try:
            done = subprocess.run(
                shlex.split(self._fill(server.version, server)),
                capture_output=True, text=True, check=False, timeout=60, env=self.environment(),
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SkipError(f"its version is unknown: {error}") from error
        match = _VERSION.search(done.stdout + done.stderr)
        return match[0] if match else "?"

    def _fill(self, text: str, server: Server) -> str:
        values = {"this": sys.executable, "python": self._python(server), "node": self._node(server)}
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def _apt(self, server: Server) -> None:
        if shutil.which(server.program, path=_PATH) is not None:
            return
        install = ["apt-get", "install", "-y", "--no-install-recommends", *server.packages]
        if not self._uses_apt:
            raise SkipError(f"it is not installed; --apt runs {' '.join(install)}")
        _run(install)

    def _pip(self, server: Server) -> None:
        python = self._python(server)
        if not python.exists():
            try:
                venv.create(self._place(server), with_pip=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise SkipError(f"cannot make a virtual environment: {error}") from error
        # Install only wheels: building a package from source takes compilers and minutes.
        _run([str(python), "-m", "pip", "install", "-q", "--only-binary", ":all:", *server.packages])

    def _npm(self, server: Server) -> None:
        if shutil.which("npm") is None:
            raise SkipError("npm is missing")
        if not all((self._node(server) / package).exists() for package in server.packages):
            place = str(self._place(server))
            _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", place, *server.packages])

    def _build(self, server: Server) -> str:
        """Build the program of *server*. Return the command that starts it."""
        folder = self._place(server)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in server.files.items():
                (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise SkipError(f"cannot write its source code: {error}") from error
        _run(shlex.split(server.build.replace("{build}", str(folder))))
        return server.start.replace("{build}", str(folder))


def _run(command: list[str]) -> None:
    """Run a command that installs or builds something. If it fails, raise SkipError with the end of its output."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SkipError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise SkipError(f"{' '.join(command)} failed: {words[-1] if words else done.returncode}")
