"""Run experiments, and print each result beside its requirement.

If a result fails its requirement, the exit code is 1.
"""

import sys
import time
from collections.abc import Callable

from tests.support.arguments import ArgumentParser

from . import (
    changing,
    escapes,
    footprint,
    full,
    fuzz,
    hostile,
    leaving,
    machine,
    restart,
    slow,
    smuggling,
    stopping,
    work,
)
from .subject import SERVERS, NotStartedError, Row, known_server

EXPERIMENTS: dict[str, Callable[..., list[Row]]] = {
    "slow": slow.run,
    "full": full.run,
    "leaving": leaving.run,
    "stopping": stopping.run,
    "restart": restart.run,
    "changing": changing.run,
    "hostile": hostile.run,
    "fuzz": fuzz.run,
    "escapes": escapes.run,
    "smuggling": smuggling.run,
    "machine": machine.run,
    "work": work.run,
    "footprint": footprint.run,
}


def main() -> int:
    """Run the chosen experiments. Return the exit code."""
    parser = ArgumentParser("tests.reliability", __doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(EXPERIMENTS)} (default: all)")
    parser.add_argument("--long", action="store_true", help="the full numbers, for minutes")
    server_help = f"another one, as a yardstick: {', '.join(SERVERS)}, or a command with {{root}} and {{port}}"
    parser.add_argument("--server", type=known_server, default="httpsock", help=server_help)
    options = parser.parse_args()
    if unknown := set(options.names) - set(EXPERIMENTS):
        parser.error(f"there is no experiment {', '.join(sorted(unknown))}")
    all_hold = True
    for name in options.names or EXPERIMENTS:
        began = time.monotonic()
        try:
            rows = EXPERIMENTS[name](options.server, is_long=options.long)
        except NotStartedError as error:
            parser.error(str(error))
        sys.stdout.write(f"\n{name}: {options.server}, {time.monotonic() - began:.0f} s\n")
        width = max(len(row.what) for row in rows)
        for row in rows:
            verdict = "ok  " if row.holds else "FAIL"
            sys.stdout.write(f"  {verdict} {row.what:{width}}  {row.measured}  (must: {row.must})\n")
        sys.stdout.flush()
        all_hold = all_hold and all(row.holds for row in rows)
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main())
