"""Less common package managers: uv with a folder of wheels as an index, and cargo with a sparse registry."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import httpsock
from httpsock.server.access_log import Exchange
from tests.support.tools import TOOL_SECONDS, tool

pytestmark = pytest.mark.tools


def run_in(home: pathlib.Path, *arguments: str, **settings: str) -> None:
    """Run a program in the folder *home*, without proxies. Assert that it succeeds."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    # A toolchain installed by rustup is in the real home.
    toolchains = os.environ.get("RUSTUP_HOME", str(pathlib.Path.home() / ".rustup"))
    done = subprocess.run(
        arguments, cwd=home, env={**kept, "HOME": str(home), "RUSTUP_HOME": toolchains, **settings},
        capture_output=True, timeout=TOOL_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]


def write_wheel(path: pathlib.Path) -> None:
    """Write a wheel that contains one module."""
    info = "tried-1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tried.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tried\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_uv_installs_from_listings_as_an_index(tmp_path: pathlib.Path) -> None:
    """Listings serve as a "simple" index (PEP 503). uv reads the metadata of a wheel with range requests."""
    # uv may be installed beside the Python that runs the tests.
    uv = tool("uv", str(pathlib.Path(sys.executable).with_name("uv")))
    log, served = list[Exchange](), tmp_path / "served"
    (served / "tried").mkdir(parents=True)
    write_wheel(served / "tried" / "tried-1-py3-none-any.whl")
    (tmp_path / "home").mkdir()
    with httpsock.Server(served, port=0, log=log.extend) as server:
        options = ["--index-url", server.url, "--target", "into", "--no-config", "--no-cache"]
        run_in(tmp_path / "home", uv, "pip", "install", "-q", *options, "tried")
    assert (tmp_path / "home" / "into" / "tried.py").read_text() == "answer = 42\n"
    assert {int(exchange.status) for exchange in log} <= {200, 206, 301, 404}


def test_cargo_fetches_from_a_sparse_registry(tmp_path: pathlib.Path) -> None:
    cargo = shutil.which("cargo")
    if not cargo:
        pytest.skip("cargo is not installed, and CI does not: it comes with a compiler of 500 MB")
    log, served = list[Exchange](), tmp_path / "served"
    (served / "index" / "tr" / "ie").mkdir(parents=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as crate:
        files = {"Cargo.toml": b'[package]\nname = "tried"\nversion = "1.0.0"\n', "src/lib.rs": b"pub fn f() {}\n"}
        for name, octets in files.items():
            member = tarfile.TarInfo(f"tried-1.0.0/{name}")
            member.size = len(octets)
            crate.addfile(member, io.BytesIO(octets))
    (served / "tried-1.0.0.crate").write_bytes(packed.getvalue())
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    entry = {"name": "tried", "vers": "1.0.0", "deps": [], "cksum": digest, "features": {}, "yanked": False}
    (served / "index" / "tr" / "ie" / "tried").write_text(json.dumps(entry) + "\n")
    home = tmp_path / "home"
    (home / "src").mkdir(parents=True)
    (home / "src" / "main.rs").write_text("fn main() {}\n")
    wanted = '[dependencies]\ntried = { version = "1", registry = "mine" }\n'
    (home / "Cargo.toml").write_text(f'[package]\nname = "asks"\nversion = "0.1.0"\n{wanted}')
    with httpsock.Server(served, port=0, log=log.extend) as server:
        (served / "index" / "config.json").write_text(json.dumps({"dl": server.url + "{crate}-{version}.crate"}))
        index = "sparse+" + server.url + "index/"
        run_in(
            home, cargo, "fetch", "-q", CARGO_HOME=str(home / "cargo"), CARGO_REGISTRIES_MINE_INDEX=index,
            CARGO_NET_OFFLINE="false",
        )  # fmt: skip
    (fetched,) = home.glob("cargo/registry/cache/*/tried-1.0.0.crate")
    assert fetched.read_bytes() == packed.getvalue()
    assert [exchange.request_line.split()[1] for exchange in log] == [
        b"/index/config.json",
        b"/index/tr/ie/tried",
        b"/tried-1.0.0.crate",
    ]
