"""Package managers and git. Each downloads from a repository that is a plain folder."""

import base64
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile
import zipfile

import pytest

import httpsock
from httpsock.server.access_log import Exchange
from tests.support.tools import TOOL_SECONDS, run, succeed, tool

pytestmark = pytest.mark.tools


@pytest.fixture
def served(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make the folder to serve."""
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


# The folders for apt's own files.
APT_FOLDERS = "state/lists/partial cache/archives/partial etc/preferences.d etc/trusted.gpg.d etc/apt.conf.d".split()


def test_apt_updates_from_a_flat_repository_and_fetches_a_package(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The apt source of a flat repository ends with ./, so apt requests URL/./Packages."""
    apt_get, log = tool("apt-get"), list[Exchange]()
    package = tmp_path / "package"
    (package / "DEBIAN").mkdir(parents=True)
    control = "Package: tried\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: tried\n"
    (package / "DEBIAN" / "control").write_text(control)
    succeed(
        run([tool("dpkg-deb"), "--root-owner-group", "-Znone", "-b", str(package), str(served / "tried.deb")], tmp_path)
    )
    octets = (served / "tried.deb").read_bytes()
    sums = f"Filename: ./tried.deb\nSize: {len(octets)}\nSHA256: {hashlib.sha256(octets).hexdigest()}\n"
    (served / "Packages").write_text(control + sums)
    for folder in APT_FOLDERS:
        (tmp_path / "apt" / folder).mkdir(parents=True)
    (tmp_path / "apt" / "status").touch()
    with httpsock.Server(served, port=0, log=log.extend) as server:
        (tmp_path / "apt" / "sources.list").write_text(f"deb [trusted=yes] {server.url} ./\n")
        below = tmp_path / "apt"
        settings = {
            "Dir::State": below / "state",
            "Dir::State::status": below / "status",
            "Dir::Cache": below / "cache",
            "Dir::Etc": below / "etc",
            "Dir::Etc::sourcelist": below / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "APT::Sandbox::User": "",
            "Acquire::http::Proxy": "DIRECT",
        }
        options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        environment = {**os.environ, "APT_CONFIG": os.devnull}
        for command in (["update"], ["download", "tried"]):
            succeed(
                subprocess.run(
                    [apt_get, *options, *command], cwd=tmp_path, env=environment, capture_output=True,
                    timeout=TOOL_SECONDS, check=False,
                )
            )  # fmt: skip
    assert next(tmp_path.glob("tried_1_all.deb")).read_bytes() == octets
    assert b"/./tried.deb" in {exchange.request_line.split()[1] for exchange in log if exchange.status == 200}


def test_pip_installs_from_a_folder_of_wheels(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    info = "tried-1.dist-info"
    with zipfile.ZipFile(served / "tried-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tried.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tried\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    pip = [tool("python3"), "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir"]
    with httpsock.Server(served, port=0) as server:
        options = ["--no-index", "--find-links", server.url, "--target", str(tmp_path / "into"), "-q", "--no-deps"]
        succeed(run([*pip, "install", *options, "tried"], tmp_path))
    assert (tmp_path / "into" / "tried.py").read_text() == "answer = 42\n"


def test_npm_installs_a_scoped_package_of_a_static_registry(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """npm requests /@scope%2fname with an encoded slash. The file "name" is in the folder "@scope"."""
    npm, log = tool("npm"), list[Exchange]()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in (("package.json", '{"name":"@scope/tried","version":"1.0.0"}'), ("index.js", "// tried\n")):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    (served / "tried.tgz").write_bytes(packed.getvalue())
    (served / "@scope").mkdir()
    with httpsock.Server(served, port=0, log=log.extend) as server:
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed.getvalue()).digest()).decode()
        version = {"name": "@scope/tried", "version": "1.0.0"}
        dist = {"tarball": server.url + "tried.tgz", "integrity": integrity}
        described = {
            "name": "@scope/tried",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": version | {"dist": dist}},
        }
        (served / "@scope" / "tried").write_text(json.dumps(described))
        options = ["--registry", server.url, "--cache", str(tmp_path / "cache"), "--no-audit", "--no-fund"]
        options += ["--no-update-notifier", "--prefix", str(tmp_path / "into")]
        succeed(run([npm, "install", *options, "@scope/tried"], tmp_path))
    assert (tmp_path / "into" / "node_modules" / "@scope" / "tried" / "index.js").read_text() == "// tried\n"
    assert b"/@scope%2ftried" in {exchange.request_line.split()[1] for exchange in log if exchange.status == 200}


def test_git_clones_over_the_dumb_protocol(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    git = [tool("git"), "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    succeed(run([*git, "init", "-q", "work"], tmp_path))
    (tmp_path / "work" / "file.txt").write_text("hello\n")
    for command in (["add", "."], ["commit", "-qm", "first"]):
        succeed(run([*git, *command], tmp_path / "work"))
    succeed(run([*git, "clone", "-q", "--bare", "work", str(served / "work.git")], tmp_path))
    succeed(run([*git, "update-server-info"], served / "work.git"))
    with httpsock.Server(served, port=0) as server:
        succeed(run([*git, "clone", "-q", server.url + "work.git", "cloned"], tmp_path))
    assert (tmp_path / "cloned" / "file.txt").read_text() == "hello\n"


def test_ostree_pulls_from_an_archive(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
    ostree = tool("ostree")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file.txt").write_text("hello\n")
    repository = f"--repo={served}"
    succeed(run([ostree, "init", repository, "--mode=archive"], tmp_path))
    succeed(run([ostree, "commit", repository, "-b", "main", "tree"], tmp_path))
    with httpsock.Server(served, port=0) as server:
        ours = f"--repo={tmp_path / 'ours'}"
        succeed(run([ostree, "init", ours, "--mode=archive"], tmp_path))
        succeed(run([ostree, "remote", "add", ours, "--no-gpg-verify", "origin", server.url], tmp_path))
        succeed(run([ostree, "pull", ours, "origin", "main"], tmp_path))
    done = run([ostree, "cat", ours, "origin:main", "/file.txt"], tmp_path)
    assert done.stdout == b"hello\n"
