"""The command ``export``: write the corpus as JSON, for test suites in other languages.

Each case is an object. It has the octets in base64, the requirement with its section and level, and the requests that a
parser must accept. If the parser must refuse the rest, the object has the status for this refusal. ``allowed`` lists
what a server may do to pass, as corpus.cases describes it.
"""

import argparse
import base64
import json
import sys
from collections.abc import Sequence
from typing import Any

from conformance.output_path import output_file

from .cases import Case, load_cases
from .requirements import load_requirements


def main(arguments: Sequence[str]) -> int:
    """Write the corpus as JSON. Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance export",
        description="Write the corpus as JSON: an array with one object for each case; bytes are in base64.",
    )
    parser.add_argument("file", nargs="?", type=output_file, help="where to write it (default: standard output)")
    options = parser.parse_args(arguments)
    text = as_json(load_cases())
    if options.file is None:
        print(text, end="")
        return 0
    try:
        options.file.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"conformance: cannot write {options.file}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def as_json(cases: Sequence[Case]) -> str:
    """Return *cases* as a JSON array, with one object on each line."""
    lines = ",\n".join(json.dumps(_plain(case), ensure_ascii=False) for case in cases)
    return f"[\n{lines}\n]\n"


def _plain(case: Case) -> dict[str, Any]:
    """Convert *case* to a dictionary for JSON."""
    expected = case.expected["httpsock"]
    return {
        "chapter": case.chapter,
        "name": case.name,
        "octets": base64.b64encode(case.octets).decode("ascii"),
        "requirement": case.requirement,
        "section": case.section,
        "level": case.level,
        "says": load_requirements()[case.requirement].says,
        "accepted": [request._asdict() for request in expected.accepted],
        "refused": expected.status,
        "cut_short": case.is_cut_short,
        "allowed": list(case.allowed),
    }
