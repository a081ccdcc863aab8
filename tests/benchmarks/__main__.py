"""Measure httpsock beside its peers: ``python3 -m tests.benchmarks``.

Each workload is played by wrk against one server after the other, again and again (A B C A B C ...), so that a slow
minute of the machine hurts all alike. What is compared is ratios within one run: the rate, and the processor time
that the server itself used for a response, which is steadier than rates on a machine that is shared.
Every answer is checked: its status, its length, and that no connection failed.
"""

import argparse
import pathlib
import shlex
import shutil
import sys
import tempfile

from . import report
from .conditions import conditions
from .environment import DEFAULT_FOLDER, Environment, open_environment
from .files import make_root
from .launch import Stage
from .measure import Row, measure
from .peers import PEERS, QUICK, Peer, httpsock
from .processes import divide_processors, raise_descriptor_limit
from .workloads import BY_KEY, WORKLOADS, Workload
from .workloads import QUICK as QUICK_WORKLOADS

_FEW_DESCRIPTORS = 6_000


def main() -> int:
    """Measure what is asked for, print tables, write files if asked to; return the exit code."""
    options = _options()
    if not shutil.which("wrk"):
        print("wrk is needed: apt-get install wrk", file=sys.stderr)
        return 1
    if raise_descriptor_limit() < _FEW_DESCRIPTORS:
        print("too few descriptors for 5,000 connections: ulimit -Hn", file=sys.stderr)
    peers, environment = _choose_peers(options)
    processors = divide_processors(pin=options.pin)
    told = conditions(peers, environment, processors, options.seconds, options.turns)
    print("\n".join(f"{name}: {text}" for name, text in told.items()), report.LEGEND, sep="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        stage = Stage(make_root(work), work, environment, processors)
        rows = [_show(measure(workload, peers, stage, options.seconds, options.turns)) for workload in _chosen(options)]
    if options.json:
        options.json.write_text(report.to_json(told, rows, {}))
    if options.out:
        _write(options.out, told, rows)
    return 0


def _options() -> argparse.Namespace:
    """Return the arguments, with what --quick means filled in."""
    options = _parser().parse_args()
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.turns = options.turns or (2 if options.quick else 5)
    options.only = options.only or (QUICK_WORKLOADS if options.quick else list(BY_KEY))
    options.servers = options.servers or (QUICK if options.quick else [])
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.benchmarks",
        description=__doc__.partition("\n")[0],
        epilog=f"workloads: {' '.join(BY_KEY)}; servers: {', '.join(peer.name for peer in PEERS)}",
    )
    what = parser.add_argument_group("what to measure")
    what.add_argument("--quick", action="store_true", help="few workloads, few servers, under 2 minutes")
    what.add_argument("--only", nargs="+", choices=BY_KEY, metavar="WORKLOAD", help="these workloads alone")
    what.add_argument("--servers", nargs="+", metavar="SERVER", help="these servers alone, by the start of their names")
    variant_help = "httpsock once more, with these options too; may be repeated"
    what.add_argument("--variant", action="append", default=[], metavar="'OPTIONS'", help=variant_help)
    against_help = "the httpsock of another clone, too; may be repeated"
    what.add_argument("--against", action="append", default=[], type=pathlib.Path, metavar="CLONE", help=against_help)
    how = parser.add_argument_group("how to measure")
    how.add_argument("--seconds", type=int, metavar="N", help="how long a turn lasts (default: 2; quick: 1)")
    how.add_argument("--turns", type=int, metavar="N", help="how many turns each server has (default: 5; quick: 2)")
    how.add_argument("--no-pin", dest="pin", action="store_false", help="let servers and clients run on all processors")
    how.add_argument(
        "--environment",
        type=pathlib.Path,
        default=DEFAULT_FOLDER,
        metavar="FOLDER",
        help="where the servers from PyPI are installed (default: %(default)s)",
    )
    how.add_argument("--python", default=sys.executable, help="the Python of those servers (default: this one)")
    how.add_argument("--no-install", dest="install", action="store_false", help="install nothing")
    where = parser.add_argument_group("what to write")
    where.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all samples to FILE")
    where.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help="write JSON, Markdown and charts to FOLDER")
    return parser


def _chosen(options: argparse.Namespace) -> list[Workload]:
    return [workload for workload in WORKLOADS if workload.key in options.only]


def _choose_peers(options: argparse.Namespace) -> tuple[list[Peer], Environment]:
    """Return the servers that are asked for and present, and the environment of those from PyPI; say what lacks."""
    wanted = [peer for peer in PEERS if not options.servers or peer.name.startswith(tuple(options.servers))]
    packages = list(dict.fromkeys(package for peer in wanted for package in peer.packages))
    environment = open_environment(options.environment, options.python, packages, install=options.install)
    present = []
    for peer in wanted:
        if missing := peer.missing(environment):
            print(f"{peer.name} is left out: {missing}", file=sys.stderr)
        else:
            present.append(peer)
    present += [httpsock(*shlex.split(variant), name=f"httpsock {variant}") for variant in options.variant]
    for clone in options.against:
        folder = clone.resolve()
        present.append(httpsock(name=f"httpsock of {folder.name}", folder=folder))
    return present, environment


def _show(row: Row) -> Row:
    print(f"\n{row.workload.title}\n\n{report.row_text(row)}", flush=True)
    return row


def _write(folder: pathlib.Path, told: dict[str, str], rows: list[Row]) -> None:
    """Write the report into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(report.to_json(told, rows, {}))
    (folder / "benchmarks.md").write_text(report.to_markdown(told, rows, {}))


if __name__ == "__main__":
    sys.exit(main())
