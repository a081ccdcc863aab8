"""httpsock/testing/README.md: its examples run, and its tables are complete."""

import pathlib
import re
import subprocess
import sys
from typing import get_args

import pytest

from httpsock.http.messages import Then
from httpsock.testing import recording
from httpsock.testing.faults import FAULTS
from tests.support import TIMEOUT_SECONDS
from tests.testing import clients
from tests.testing.test_plugin import ROOT, run_pytest

README = (ROOT / "httpsock" / "testing" / "README.md").read_text(encoding="utf-8")
PYTEST, UNITTEST, MIGRATION = re.findall(r"(?ms)^```python\n(.*?)^```$", README)
FETCH = """
import urllib.request

def fetch(url):
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})
    with urllib.request.urlopen(request) as response:
        return response.read().decode()

"""


def test_the_examples_for_pytest_pass(tmp_path: pathlib.Path) -> None:
    assert "3 passed" in run_pytest(tmp_path, PYTEST)


def test_the_example_for_unittest_passes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "test_post.py").write_text(UNITTEST)
    command = [sys.executable, "-W", "error", "-m", "unittest"]

    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )

    assert "Ran 1 test" in done.stderr
    assert done.returncode == 0, done.stderr


def test_the_migrated_test_passes(tmp_path: pathlib.Path) -> None:
    ours = MIGRATION.partition("# httpsock\n")[2]
    assert len(MIGRATION.strip().splitlines()) <= 13

    assert "1 passed" in run_pytest(tmp_path, FETCH + ours)


def test_each_fault_is_explained_in_readme_as_in_the_code() -> None:
    section = README.partition("## Faults")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"(?m)^\| `.*$", section)]
    assert rows == [
        [f"`{name}`", fault.text, f"{fault.meaning} ({fault.default:g})" if fault.meaning else "", fault.section]
        for name, fault in FAULTS.items()
    ]


def documented_outcomes() -> dict[str, dict[str, str]]:
    """Return the cells of the README's table of clients, by client and fault."""
    section = README.partition("## What clients do")[2].partition("\n## ")[0]
    head, _, *rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"(?m)^\|.*$", section)]
    columns = [column.partition(" ")[0] for column in head[1:]]
    return {client: {row[0].strip("`"): row[1 + index] for row in rows} for index, client in enumerate(columns)}


def test_the_table_of_clients_has_each_fault() -> None:
    documented = documented_outcomes()

    assert list(documented) == ["curl", *clients.CLIENTS]
    assert all(list(rows) == list(FAULTS) for rows in documented.values())


@pytest.mark.parametrize("client", ["http.client", "urllib", "urllib3", "requests", "httpsock"])
@pytest.mark.parametrize(
    "fault", ["refuse", "slow-accept", "close", "truncate", "drip", "length-short", "chunk-last-missing", "encoding"]
)
def test_a_client_still_behaves_as_in_the_table(client: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # None of them hangs.
    monkeypatch.setattr(clients, "_HANGS_SECONDS", TIMEOUT_SECONDS)
    first, documented = clients.outcome(client, fault), documented_outcomes()[client][fault]

    # Compare only the first request: whether the next one fails may depend on microseconds.
    assert first.partition(";")[0] == documented.partition(";")[0]


@pytest.mark.parametrize("then", get_args(Then))
def test_each_end_of_exact_octets_is_explained(then: str) -> None:
    assert f'- `"{then}"`: ' in README


def test_each_attribute_of_a_request_is_explained() -> None:
    section = README.partition("## What arrived")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)", row.split("|")[1])}
    request = recording.ReceivedRequest(recording.ReceivedConnection(1, "", 0.0), 0.0)
    has = {name for name in dir(request) if not name.startswith("_")} - {"append", "head", "is_over"}
    assert documented == has
