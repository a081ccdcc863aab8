"""The wheel: build it, install it into an empty environment, import each module, and serve a file."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile
from typing import NamedTuple

import pytest

import httpsock
from tests.support.folder import HELLO
from tests.support.program import PACKAGE, Start

pytestmark = pytest.mark.slow

ROOT = PACKAGE.parent
# The environment without the variables by which Python would find the sources, or the coverage tool of the tests.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
IMPORT_ALL = """
import importlib, pkgutil, httpsock
names = [module.name for module in pkgutil.walk_packages(httpsock.__path__, "httpsock.")]
names.remove("httpsock.testing.plugin")  # it needs pytest, which loads it
for name in names:
    importlib.import_module(name)
print(httpsock.__file__, "httpsock", *names, sep="\\n")
"""


class Installed(NamedTuple):
    """A wheel, and a virtual environment that contains only this wheel."""

    wheel: pathlib.Path
    environment: pathlib.Path

    @property
    def scripts(self) -> pathlib.Path:
        """The folder of the environment's commands."""
        return self.environment / ("Scripts" if os.name == "nt" else "bin")

    @property
    def site_packages(self) -> pathlib.Path:
        """The folder of the environment's packages."""
        (folder,) = self.environment.rglob("site-packages")
        return folder


def run(*command: str | os.PathLike[str]) -> str:
    """Run *command* and return its output. Fail if the command fails."""
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel, and install it into a new environment without pip."""
    work = tmp_path_factory.mktemp("wheel")
    sources = work / "sources"
    shutil.copytree(PACKAGE, sources / "httpsock", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    run(sys.executable, "-m", "venv", "--without-pip", work / "empty")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*pip, "wheel", "--no-deps", "--wheel-dir", work, sources)
    (wheel,) = work.glob("*.whl")
    empty = Installed(wheel, work / "empty")
    run(*pip, "--python", empty.scripts / "python", "install", "--no-index", wheel)
    return empty


def sources() -> set[str]:
    """Return the names of all files in the package except documents and caches."""
    files = [file for file in PACKAGE.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return {file.relative_to(ROOT).as_posix() for file in files if file.suffix != ".md"}


def test_the_wheel_has_the_files_of_the_package_and_its_license(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    information = {name for name in names if ".dist-info/" in name}
    assert {name for name in names - information if not name.endswith(".md")} == sources()
    assert any(name.endswith("/LICENSE") for name in information)


def test_the_wheel_needs_no_other_package(installed: Installed) -> None:
    names = {file.name.partition("-")[0] for file in installed.site_packages.iterdir()}
    assert names == {"httpsock"}


def test_each_module_of_the_wheel_can_be_imported(installed: Installed) -> None:
    """In isolated mode, Python imports the wheel and not the clone. A warning counts as an error."""
    file, *names = run(installed.scripts / "python", "-I", "-W", "error", "-c", IMPORT_ALL).split()
    assert pathlib.Path(file).is_relative_to(installed.site_packages)
    modules = [name.removesuffix(".py").replace("/", ".") for name in sources() if name.endswith(".py")]
    expected = {module.removesuffix(".__init__") for module in modules} - {"httpsock.testing.plugin"}
    assert sorted(names) == sorted(expected)


def test_the_installed_command_serves_a_file(installed: Installed, serving: Start) -> None:
    command = str(installed.scripts / "httpsock")
    assert run(command, "--version") == f"httpsock {httpsock.__version__}\n"
    program = serving("--bind", "127.0.0.1", command=[command], env=ENVIRONMENT)
    assert program.ask("/hello.txt").content == HELLO
    assert run(command, "get", f"{program.url}hello.txt").encode() == HELLO
    code, _, error = program.stop()
    assert (code, "Traceback" in error) == (0, False)


def test_the_plugin_of_the_wheel_serves_the_tests_of_another_package(
    installed: Installed, tmp_path: pathlib.Path
) -> None:
    packages, project = tmp_path / "packages", tmp_path / "project"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*pip, "install", "--no-index", "--no-deps", "--target", packages, installed.wheel)
    project.mkdir()
    (project / "client.py").write_text(
        "import urllib.request\n\n\ndef get(url):\n    return urllib.request.urlopen(url).read()\n"
    )
    (project / "test_client.py").write_text(
        "import client, httpsock\n\n\ndef test_get(http_server):\n    http_server.respond('/x', 200, {}, 'hello')\n"
        "    assert client.get(http_server.url_for('/x')) == b'hello'\n"
        f"    assert httpsock.__file__.startswith({str(packages)!r})\n"
    )
    # pytest finds the fixture by the entry point of the wheel.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=project,
        env=ENVIRONMENT | {"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_installed_inspector_has_its_page(installed: Installed, serving: Start) -> None:
    program = serving("--inspect", command=[str(installed.scripts / "httpsock")], env=ENVIRONMENT)
    assert program.ask("/.httpsock/").content == (PACKAGE / "observe" / "page.html").read_bytes()
