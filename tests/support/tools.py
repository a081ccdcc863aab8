"""Other programs that tests need: where they are, and a way to run them that always comes to an end."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Sequence

import pytest

# A program that runs longer than this has failed.
TOOL_SECONDS = 60


def tool(*names: str) -> str:
    """Return the path of the first of the programs *names* that is installed; without any, skip the test.

    Where the environment sets HTTPSOCK_REQUIRE_TOOLS, fail instead: a check that is always skipped is no check.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"none of these programs is installed: {', '.join(names)}"
    if os.environ.get("HTTPSOCK_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(arguments: Sequence[str], folder: pathlib.Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program in *folder* with *given* on its standard input; return its exit code and its output."""
    return subprocess.run(arguments, cwd=folder, input=given, capture_output=True, timeout=TOOL_SECONDS, check=False)


def succeed(done: subprocess.CompletedProcess[bytes]) -> None:
    """Assert that a program ended with exit code 0; show the end of its output if not."""
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")[-2000:]
