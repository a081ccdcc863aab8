"""Fixtures for all tests: a folder with known files, and servers that stop after each test."""

import os
import pathlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import httpsock
from tests.support import TIMEOUT_SECONDS
from tests.support.folder import ALPHABET, FILM_OCTETS, HELLO, LARGE, LONG_AGO
from tests.support.program import COMMAND, ENVIRONMENT, Program, Start

# The same examples each time, on the slowest machine too.
settings.register_profile("patient", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_MAX_WORKERS = 8


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of pytest-xdist workers. If the command line lists test files, return 0."""
    if any(".py" in argument for argument in config.args):
        config.option.dist = "no"
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # A container may see more cores than it has time on.
    return min(cores, _MAX_WORKERS - 1) + 1


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a document root with a few files. All files were last modified long ago."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "hello.txt").write_bytes(HELLO)
    (root / "empty.txt").write_bytes(b"")
    (root / "alphabet.txt").write_bytes(ALPHABET)
    (root / "large.bin").write_bytes(LARGE)
    (root / "sub" / "index.html").write_bytes(b"<!DOCTYPE html><title>sub</title>\n")
    for file in root.rglob("*"):
        os.utime(file, (LONG_AGO, LONG_AGO))
    return root


@pytest.fixture
def film(folder: pathlib.Path) -> str:
    """Make a long sparse file in *folder*. Return its path in a URL."""
    with (folder / "film.webm").open("wb") as file:
        file.truncate(FILM_OCTETS)
    return "/film.webm"


@pytest.fixture
def serve() -> Iterator[Callable[..., httpsock.Server]]:
    """Yield a function that starts a server on a free port. When the test ends, the servers stop."""
    with ExitStack() as stack:

        def start(directory: os.PathLike[str], **settings: Any) -> httpsock.Server:
            return stack.enter_context(httpsock.Server(directory, port=0, **settings))

        yield start


@pytest.fixture
def server(folder: pathlib.Path, serve: Callable[..., httpsock.Server]) -> httpsock.Server:
    """Start a server for *folder* with default settings."""
    return serve(folder)


@pytest.fixture
def start(folder: pathlib.Path) -> Iterator[Start]:
    """Yield a function that starts the program in *folder*. Kill the program after the test or a time-out."""
    with ExitStack() as stack:

        def start(*arguments: str, command: list[str] = COMMAND, **settings: Any) -> Program:
            given: dict[str, Any] = {
                "cwd": folder,
                "env": ENVIRONMENT,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
            } | settings
            # Without a buffer, the text after line 1 stays in the pipe for a later read.
            process = stack.enter_context(subprocess.Popen([*command, *arguments], bufsize=0, **given))
            stack.callback(process.kill)
            watchdog = threading.Timer(2 * TIMEOUT_SECONDS, process.kill)
            watchdog.start()
            stack.callback(watchdog.join)
            stack.callback(watchdog.cancel)
            return Program(process)

        yield start


@pytest.fixture
def serving(start: Start) -> Start:
    """Return a function that starts the program on a free port and waits until it has printed its URL."""

    def begin(*arguments: str, **settings: Any) -> Program:
        program = start(*arguments, "--port", "0", **settings)
        program.read_url()
        return program

    return begin


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let the started programs receive SIGINT. A shell makes background processes ignore this signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
