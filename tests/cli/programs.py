"""Helpers that start the real program, as a user or a script would."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.program import COMMAND, Program
from tests.support.tools import tool


@contextlib.contextmanager
def taken_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Yield a port on which another socket listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        try:
            taken.bind((host, 0))
        except OSError as error:
            pytest.skip(f"this system has no {host}: {error}")
        taken.listen()
        yield taken.getsockname()[1]


def need_address(host: str) -> None:
    """If the system lacks the address *host*, skip the test."""
    with taken_port(host):
        pass


def cannot_serve(program: Program) -> str:
    """Wait until *program* has ended with an error. Return the error message."""
    code, out, error = program.end()
    assert (code, out) == (1, "")
    assert re.fullmatch(r"httpsock: [^\n]+\.\n", error), "one sentence, no traceback"
    return error.removeprefix("httpsock: ").removesuffix("\n")


@contextlib.contextmanager
def readable_copy(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a copy of *folder* that all users may read. Only the test's own user may enter pytest's folders."""
    with tempfile.TemporaryDirectory() as place:
        pathlib.Path(place).chmod(0o755)
        yield shutil.copytree(folder, pathlib.Path(place) / "root")


def unprivileged_command() -> list[str]:
    """Return the command that runs the program without root's privileges."""
    if os.geteuid() != 0:
        return COMMAND
    return [tool("setpriv"), "--inh-caps=-all", "--bounding-set=-all", *COMMAND]
