"""Measure httpsock beside other servers: ``python3 -m tests.benchmarks``.

wrk sends each workload to one server after the other, again and again (A B C A B C ...). If the machine is slow for
a minute, all servers are slow alike. The results are ratios within one run. Ratios of processor time are steadier
than ratios of rates on a shared machine. Every answer must have the right status and length, and no connection may
fail.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile

from . import charts, report
from .arguments import IMPORT, START, choose_peers, parse_arguments
from .conditions import conditions
from .files import make_root
from .footprint import import_time, start_up
from .growth import Curve, curves, make_growing_root
from .launch import Stage
from .measure import Row, load_generator, measure
from .peers import Peer
from .processes import divide_processors, raise_descriptor_limit
from .workloads import WORKLOADS

_FEW_DESCRIPTORS = 6_000


def main() -> int:
    """Measure the chosen workloads. Print tables, and write files if requested. Return the exit code."""
    options = parse_arguments(__doc__.partition("\n")[0])
    if not shutil.which("wrk"):
        print("wrk is needed: apt-get install wrk", file=sys.stderr)
        return 1
    if raise_descriptor_limit() < _FEW_DESCRIPTORS:
        print("too few descriptors for 5,000 connections: see ulimit -Hn", file=sys.stderr)
    if options.out and not charts.are_possible():
        print("there will be no charts: pip install '.[bench]'", file=sys.stderr)
    # Programs started repeatedly are compiled once, as when installed.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    peers, environment = choose_peers(options)
    processors = divide_processors(pin=options.pin)
    run_conditions = conditions(peers, environment, processors, options.seconds, options.turns)
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        stage = Stage(make_root(work), work, environment, processors, options.attempts)
        run_conditions["load generator"] = load_generator(stage, options.seconds)
        _print("\n".join(f"{name}: {text}" for name, text in run_conditions.items()))
        _print(report.LEGEND)
        (_grow if options.growth else _play)(options, peers, stage, run_conditions)
    return 0


def _print(text: str) -> None:
    print(f"{text}\n", flush=True)


def _measure(row: Row) -> Row:
    """Print the figures of one workload. Return *row* unchanged."""
    _print(f"{row.workload.title}\n\n{report.row_text(row)}")
    return row


def _play(options: argparse.Namespace, peers: list[Peer], stage: Stage, run_conditions: dict[str, str]) -> None:
    """Measure the chosen workloads. Then measure start-up times and import times."""
    chosen = [workload for workload in WORKLOADS if workload.key in options.only]
    rows = [_measure(measure(workload, peers, stage, options.seconds, options.turns)) for workload in chosen]
    regular = [row for row in rows if not row.workload.uses_defaults]
    more = {}
    if START in options.only:
        more["Start-up and memory"] = start_up([peer for peer in peers if not peer.uses_defaults], stage, options.turns)
    if IMPORT in options.only:
        more["Time to import"] = import_time(stage, 3 * options.turns)
    for title, lines in more.items():
        _print(f"{title}\n\n{report.aligned(lines)}")
    if len(regular) > 1:
        _print(f"Rate, as a ratio to the first\n\n{report.aligned(report.summary(regular, 'rate'))}")
        _print(f"CPU time, as a ratio to the first\n\n{report.aligned(report.summary(regular, 'cpu_microseconds'))}")
    _write(options, "benchmarks", run_conditions, rows, more)
    if options.out and regular and charts.are_possible():
        title = "Responses in a second, as a ratio to {} (more is better)"
        charts.ratios(regular, "rate", title.format(peers[0].name), run_conditions, options.out / "rate.svg")
        title = "Processor time for a response, as a ratio to {} (less is better)"
        charts.ratios(regular, "cpu_microseconds", title.format(peers[0].name), run_conditions, options.out / "cpu.svg")


def _grow(options: argparse.Namespace, peers: list[Peer], stage: Stage, run_conditions: dict[str, str]) -> None:
    """Measure how the figures grow with the number of connections, the file size, and the length of a listing."""
    stage = stage._replace(root=make_growing_root(stage.work))
    measured: list[tuple[Curve, list[Row]]] = []
    for curve in curves():
        rows = [
            _measure(measure(workload, peers, stage, options.seconds, options.turns)) for workload in curve.workloads
        ]
        measured.append((curve, rows))
        if options.out and charts.are_possible():
            options.out.mkdir(parents=True, exist_ok=True)
            charts.curve(curve, rows, run_conditions, options.out / f"growth-{curve.key}.svg")
    _write(options, "growth", run_conditions, [row for _, rows in measured for row in rows], {})


def _write(
    options: argparse.Namespace,
    name: str,
    run_conditions: dict[str, str],
    rows: list[Row],
    more: dict[str, report.Table],
) -> None:
    """Write the figures to the requested files."""
    if options.json:
        options.json.write_text(report.to_json(run_conditions, rows, more))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{name}.json").write_text(report.to_json(run_conditions, rows, more))
        (options.out / f"{name}.md").write_text(report.to_markdown(run_conditions, rows, more))


if __name__ == "__main__":
    sys.exit(main())
