"""Arguments against servers: for each MUST that a well-known server breaks, the words of the RFC and the reason."""

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .compared import Comparison, Difference

TABLE = Path(__file__).with_name("arguments.toml")
# A failure of one of these widely used servers is more likely an error of ours, so each needs an argument.
WELL_KNOWN = ("nginx", "Apache", "Caddy", "lighttpd", "HAProxy", "h2o")


class Argument(NamedTuple):
    """An argument against servers that break a rule. *says* is the rule, a sentence from *section* of an RFC.

    *why* says how the servers break the rule.
    """

    section: str
    says: str
    why: str


@cache
def load_arguments() -> dict[str, Argument]:
    """Return the arguments by requirement number. If an entry has a missing or unknown key, raise TypeError."""
    with TABLE.open("rb") as file:
        return {number: Argument(**entry) for number, entry in tomllib.load(file).items()}


def accusations(comparison: Comparison) -> dict[str, list[str]]:
    """For each MUST that a well-known server breaks, return the names of these servers, by requirement number."""
    found: dict[str, list[str]] = {}
    for server in comparison.compared:
        for difference in server.differences:
            for number in _accused(server.name, difference):
                if server.name not in found.setdefault(number, []):
                    found[number].append(server.name)
    return dict(sorted(found.items()))


def _accused(name: str, difference: Difference) -> tuple[str, ...]:
    return difference.requirements if name in WELL_KNOWN and difference.level == "MUST" else ()
