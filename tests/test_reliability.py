"""Short runs of the experiments in tests/reliability. The tests ignore results that depend on the machine's load."""

import sys
from collections.abc import Callable

import pytest

from tests.reliability import fuzz
from tests.reliability.subject import Row
from tests.support.rows import each_row
from tests.support.tools import tool

if sys.platform != "linux":
    pytest.skip("the server is watched through /proc", allow_module_level=True)

from tests.reliability.__main__ import EXPERIMENTS
from tests.reliability.smuggling import FRONT_ENDS, variants

pytestmark = [pytest.mark.slow, pytest.mark.tools]


@each_row("name", EXPERIMENTS)
def test_every_requirement_of_an_experiment_is_met(name: str) -> None:
    if name == "smuggling":
        for front_end in FRONT_ENDS:
            tool(front_end)
    experiment: Callable[..., list[Row]] = EXPERIMENTS[name]
    rows = experiment("httpsock", is_long=False)
    assert [row for row in rows if not row.holds and not row.is_timed] == []


def test_there_are_many_variants() -> None:
    assert len(set(variants())) > 80


def test_the_fuzzer_finds_a_fault() -> None:
    """The function in this test fails if its input has more than four commas."""

    def faulty(octets: bytes) -> None:
        if octets.startswith(b"bytes=") and octets.count(b",") > 4:
            raise ZeroDivisionError

    count, _, fault = fuzz.fuzz(fuzz.Target(faulty, (b"bytes=0-1,2-3",)), 20_000, 20.0)
    assert count < 20_000
    assert "ZeroDivisionError" in fault
