"""A simulated network path that loses packets: UDP loses datagrams, TCP delivers all octets."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.support.tools import TOOL_SECONDS, tool

pytestmark = pytest.mark.tools

ROOT = pathlib.Path(__file__).parents[2]


def test_a_lossy_path_that_cannot_be_made_is_reported() -> None:
    command = [sys.executable, "-m", "tests.support.lossy_path"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": "/nowhere"},
        capture_output=True,
        timeout=TOOL_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"the path can't be made here, which takes Linux, .*\n", done.stderr.decode())


def test_tcp_arrives_whole_where_udp_is_lost_repeated_and_reordered() -> None:
    tool("ip")
    make = "ip tuntap add dev try0 mode tun && test -w /dev/net/tun"
    made = subprocess.run(
        [tool("unshare"), "--map-root-user", "--net", "sh", "-c", make], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("networks can't be made here")
    command = [sys.executable, "-m", "tests.support.lossy_path"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TOOL_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    udp, tcp = figures["UDP"], figures["TCP"]
    assert udp["lost"] > 0
    assert udp["came twice"] > 0
    assert udp["overtaken"] > 0
    assert tcp["whole"] is True
    assert set(tcp["packets on the path"]) == {"passed", "dropped", "doubled", "reordered"}
