"""External programs that tests need: find a program, and run it with a time limit."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Sequence

import pytest

# A program that runs longer than this has failed.
TOOL_SECONDS = 180


def tool(*names: str) -> str:
    """Return the path of the first program in *names* that is installed. If none is installed, skip the test.

    If the environment sets HTTPSOCK_REQUIRE_TOOLS, as in CI, fail the test instead of skipping it.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"none of these programs is installed: {', '.join(names)}"
    if os.environ.get("HTTPSOCK_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(arguments: Sequence[str], folder: pathlib.Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program in *folder* with *given* as its standard input. Return the completed process."""
    return subprocess.run(arguments, cwd=folder, input=given, capture_output=True, timeout=TOOL_SECONDS, check=False)


def succeed(done: subprocess.CompletedProcess[bytes]) -> None:
    """Assert that a program ended with exit code 0. Otherwise show the end of its output."""
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")[-2000:]
