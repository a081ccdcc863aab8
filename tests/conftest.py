"""Fixtures for all tests: a folder with known files, and servers that are stopped in the end."""

import os
import pathlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import httpsock

# A time stamp long enough ago that a file with it may be kept in memory and has a date that is a strong validator.
LONG_AGO = 1_700_000_000


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A document root with a few files, all last modified long ago."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "hello.txt").write_bytes(b"Hello, socket.\n")
    (root / "empty.txt").write_bytes(b"")
    (root / "alphabet.txt").write_bytes(b"abcdefghijklmnopqrstuvwxyz")
    (root / "large.bin").write_bytes(bytes(range(256)) * 1024)
    (root / "sub" / "index.html").write_bytes(b"<!DOCTYPE html><title>sub</title>\n")
    for file in root.rglob("*"):
        os.utime(file, (LONG_AGO, LONG_AGO))
    return root


@pytest.fixture
def serve() -> Iterator[Callable[..., httpsock.Server]]:
    """Start a server for a folder, on a free port; it is stopped when the test ends."""
    with ExitStack() as stack:

        def start(directory: os.PathLike[str], **settings: Any) -> httpsock.Server:
            return stack.enter_context(httpsock.Server(directory, port=0, **settings))

        yield start


@pytest.fixture
def server(folder: pathlib.Path, serve: Callable[..., httpsock.Server]) -> httpsock.Server:
    """A server for the folder above, with its default settings."""
    return serve(folder)
