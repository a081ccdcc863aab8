"""A virtual environment for the servers that come from PyPI, made once and kept in a folder of the user's choice."""

import json
import os
import pathlib
import subprocess
import sys
from typing import NamedTuple

DEFAULT_FOLDER = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "httpsock-benchmarks"
_LIST = (
    "import importlib.metadata, json;"
    "print(json.dumps({d.name.lower(): d.version for d in importlib.metadata.distributions()}))"
)


class Environment(NamedTuple):
    """An environment: its folder, its interpreter, the versions of its packages, why other packages are not."""

    folder: pathlib.Path
    python: str
    versions: dict[str, str]
    failures: dict[str, str]

    def why(self, package: str) -> str:
        """Return why *package* is not there, or how to get it."""
        return self.failures.get(package) or f"{self.python} -m pip install {package}"


def open_environment(folder: pathlib.Path, python: str, packages: list[str], *, install: bool) -> Environment:
    """Return the environment in *folder* of the interpreter *python*; install what of *packages* isn't in it yet.

    Without *install*, nothing is made or fetched, and only what is there is used.
    """
    interpreter = folder / "bin" / "python"
    if not interpreter.exists():
        if not install or not packages:
            return Environment(folder, str(interpreter), {}, {})
        _say(f"making {folder}")
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    versions = _installed(str(interpreter))
    failures = {}
    for package in packages if install else []:
        # One by one: a package missing for this Python does not block the others.
        if package not in versions:
            _say(f"installing {package} into {folder}")
            command = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            if finished.returncode:
                errors = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")]
                failures[package] = (errors or ["pip could not install it"])[-1]
    return Environment(folder, str(interpreter), _installed(str(interpreter)), failures)


def _installed(python: str) -> dict[str, str]:
    """Return the versions of the distributions that *python* finds, by their names in lower case."""
    listed = subprocess.run([python, "-c", _LIST], capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(listed.stdout)
    return versions


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
