"""wget -r against the real server: it copies a folder, without the pages that only sort or filter it."""

import pathlib

import pytest

import httpsock
from tests.support.tools import run, tool

pytestmark = pytest.mark.tools


def test_wget_copies_a_folder_file_by_file(tmp_path: pathlib.Path) -> None:
    """wget does not submit forms, so it does not fetch the pages that sort or filter a listing."""
    site, copy = tmp_path / "site", tmp_path / "copy"
    names = {f"docs/{number} 50% #x?.txt" for number in range(30)} | {"docs/deep/a:b.txt", "top.txt"}
    for name in names:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(name)
    copy.mkdir()
    asked: list[str] = []
    with httpsock.Server(
        site, port=0, log=lambda batch: asked.extend(each.request_line.decode().split()[1] for each in batch)
    ) as server:
        done = run([tool("wget"), "-q", "--no-config", "--no-proxy", "-r", "-nH", server.url], copy)
    assert done.returncode == 0, done.stderr.decode()
    assert not [target for target in asked if "?" in target]
    copied = {str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file()}
    assert copied == names | {"index.html", "docs/index.html", "docs/deep/index.html"}
    assert all((copy / name).read_text() == name for name in names)
