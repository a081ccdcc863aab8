"""Install the servers from PyPI and npm into one folder, a virtual environment with node_modules.

The name of an npm package begins with "npm:".
"""

import json
import os
import pathlib
import shlex
import subprocess
import sys
from typing import NamedTuple

DEFAULT_FOLDER = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "httpsock-benchmarks"
NPM = "npm:"
_LIST = (
    "import importlib.metadata, json;"
    "print(json.dumps({d.name.lower(): d.version for d in importlib.metadata.distributions()}))"
)


class Environment(NamedTuple):
    """An environment of packages.

    *versions* has the packages that are installed. *failures* has the reason for each package that could not be
    installed.
    """

    folder: pathlib.Path
    python: str
    versions: dict[str, str]
    failures: dict[str, str]

    def why(self, package: str) -> str:
        """Return why the installation of *package* failed. If it was not tried, return the command that installs it."""
        return self.failures.get(package) or shlex.join(_installation(self.folder, self.python, package))


def open_environment(folder: pathlib.Path, python: str, packages: list[str], *, install: bool) -> Environment:
    """Open the environment in *folder*. If *install* is true, install the missing *packages*."""
    interpreter = folder / "bin" / "python"
    if not interpreter.exists():
        if not install or not packages:
            return Environment(folder, str(interpreter), {}, {})
        _print(f"making {folder}")
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    versions = _installed(folder)
    failures = {}
    for package in packages if install else []:
        # One by one: a package missing for this Python does not block the others.
        if package not in versions:
            _print(f"installing {package} into {folder}")
            try:
                subprocess.run(
                    _installation(folder, str(interpreter), package), capture_output=True, text=True, check=True
                )
            except FileNotFoundError as error:
                failures[package] = f"{error.filename} is not installed"
            except subprocess.CalledProcessError as error:
                errors = [line for line in error.stderr.splitlines() if "ERR" in line]
                failures[package] = (errors or ["could not be installed"])[-1]
    return Environment(folder, str(interpreter), _installed(folder), failures)


def _installation(folder: pathlib.Path, python: str, package: str) -> list[str]:
    """Return the command that installs *package*."""
    name = package.removeprefix(NPM)
    if name != package:
        return ["npm", "install", name, "--silent", "--prefix", str(folder)]
    return [python, "-m", "pip", "install", name, "--quiet", "--disable-pip-version-check"]


def _installed(folder: pathlib.Path) -> dict[str, str]:
    """Return the versions of all packages in *folder*, by name in lower case."""
    listed = subprocess.run([folder / "bin" / "python", "-c", _LIST], capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(listed.stdout)
    for described in folder.glob("node_modules/*/package.json"):
        versions[f"{NPM}{described.parent.name}"] = json.loads(described.read_text())["version"]
    return versions


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
