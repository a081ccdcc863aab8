"""Measure how long the pytest plugin takes to load, and how long a test server takes to start and stop.

python3 -m tests.testing
"""

import statistics
import subprocess
import sys
import time

from httpsock import TestServer
from tests.support.arguments import ArgumentParser

_IMPORT = """
import time, pytest
began = time.perf_counter()
import httpsock.testing.plugin
print(time.perf_counter() - began)
"""
_TURNS = 25


def _milliseconds_to_load() -> float:
    done = subprocess.run([sys.executable, "-c", _IMPORT], check=True, capture_output=True, text=True, timeout=60)
    return float(done.stdout) * 1000


def _milliseconds_to_start_and_stop() -> float:
    began = time.perf_counter()
    with TestServer():
        pass
    return (time.perf_counter() - began) * 1000


def _median(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} ms (fastest {min(times):.1f}, slowest {max(times):.1f})"


def main() -> None:
    """Print both times: the median of 25 runs, after one run that is not counted."""
    ArgumentParser("tests.testing", __doc__).parse_args()
    for what, measure in (
        ("load the plugin", _milliseconds_to_load),
        ("start and stop a server", _milliseconds_to_start_and_stop),
    ):
        measure()
        print(f"{what}: {_median([measure() for _ in range(_TURNS)])}")


if __name__ == "__main__":
    main()
