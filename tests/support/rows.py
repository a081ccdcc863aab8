"""Tables of test cases. One test for a table is faster than a test for each row."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

ParameterSet = type(pytest.param())

Test = Callable[..., None]


def each_row(
    names: str | Sequence[str], rows: Iterable[Any], ids: Callable[[Any], str] = repr
) -> Callable[[Test], Test]:
    """Run the test for each row, like `pytest.mark.parametrize`, but as a single test. Report all rows that fail.

    Fixtures are created once for the entire table.
    """
    keys = names.replace(" ", "").split(",") if isinstance(names, str) else list(names)
    table = [row if isinstance(row, ParameterSet) else pytest.param(*_columns(row, keys)) for row in rows]
    assert table, "a table without rows checks no rule"

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            faults: list[BaseException] = []
            lines = []
            for row in table:
                try:
                    test(**dict(zip(keys, row.values, strict=True)), **fixtures)
                except (Exception, pytest.fail.Exception) as fault:
                    faults.append(fault)
                    lines.append(f"{row.id or ', '.join(map(ids, row.values))}: {type(fault).__name__}: {fault}")
            if faults:
                raise AssertionError(f"{len(faults)} of {len(table)} rows fail:\n" + "\n".join(lines)) from faults[0]

        signature = inspect.signature(test)
        others = [parameter for name, parameter in signature.parameters.items() if name not in keys]
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate


def _columns(row: Any, keys: Sequence[str]) -> Sequence[Any]:
    """Return the values of a row, one for each of *keys*."""
    return [row] if len(keys) == 1 else list(row)
