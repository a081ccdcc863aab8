"""The programs in tests/, such as tests.site: a wrong argument gives a one-sentence error and exit code 2."""

import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.support import TIMEOUT_SECONDS

ROOT = pathlib.Path(__file__).parents[1]
WRONG = [
    "tests.benchmarks --turns 0",
    "tests.benchmarks --servers nowhere",
    "tests.benchmarks --variant '",
    "tests.benchmarks --against nowhere",
    "tests.benchmarks --python nowhere",
    "tests.benchmarks --json nowhere/figures.json",
    "tests.benchmarks --out README.md",
    "tests.benchmarks.client 80 1 1 200 one GET",
    "tests.benchmarks.floor 80000 README.md",
    "tests.benchmarks.floor 8000 nowhere",
    "tests.benchmarks.floor",
    "tests.benchmarks.applications nothing",
    "tests.benchmarks.micro --count -1",
    "tests.benchmarks.ticks --connections 0",
    "tests.benchmarks.ticks --against nowhere",
    "tests.reliability nothing",
    "tests.reliability --server nowhere",
    "tests.reliability --server {nowhere}",
    "tests.reliability.fuzz",
    "tests.reliability.fuzz nan",
    "tests.reliability.fuzz 0",
    "tests.reliability.fuzz 1 two",
    "tests.site --recorded",
    "tests.support.lossy_path outside",
    "tests.testing --write",
    "tests.testing.clients README.md",
]


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Run ``python3 -m`` with *command*. The program must end immediately."""
    return subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_a_wrong_argument_is_refused_in_one_sentence() -> None:
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(WRONG, pool.map(run, WRONG), strict=True))
    refused = {command: (each.returncode, each.stdout, each.stderr.count("\n")) for command, each in done.items()}
    assert refused == dict.fromkeys(WRONG, (2, "", 1)), {command: each.stderr[-300:] for command, each in done.items()}
