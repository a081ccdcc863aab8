"""The command line of the benchmarks: the workloads, the method, and the output files."""

import argparse
import pathlib
import shlex
import shutil
import sys

from tests.support.arguments import ArgumentParser, clone_folder, new_file, whole_number

from .environment import DEFAULT_FOLDER, Environment, open_environment
from .peers import PEERS, QUICK, WITH_DEFAULTS, Peer, httpsock
from .workloads import BY_KEY
from .workloads import QUICK as QUICK_WORKLOADS

# Measured like workloads, but without wrk.
START, IMPORT = "start", "import"
_KEYS = (*BY_KEY, START, IMPORT)
_ALL = (*PEERS, *WITH_DEFAULTS)
_GROWING = ("nginx, tuned", "httpsock", "floor")


def parse_arguments(description: str) -> argparse.Namespace:
    """Parse the command line. Fill in the defaults that depend on --quick."""
    options = _parser(description).parse_args()
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.turns = options.turns or (2 if options.quick else 5)
    options.attempts = options.attempts or (1 if options.quick else 3)
    options.only = options.only or (QUICK_WORKLOADS if options.quick else _KEYS)
    options.servers = options.servers or (_GROWING if options.growth else QUICK if options.quick else ())
    return options


def _server(text: str) -> str:
    if any(peer.name.startswith(text) for peer in _ALL):
        return text
    raise argparse.ArgumentTypeError(f"no server has a name that starts with {text!r}")


def _options(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _program(text: str) -> str:
    if shutil.which(text):
        return text
    raise argparse.ArgumentTypeError(f"there is no program {text!r}")


def _new_folder(text: str) -> pathlib.Path:
    if pathlib.Path(text).is_dir() or not pathlib.Path(text).exists():
        return pathlib.Path(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a folder")


def _parser(description: str) -> argparse.ArgumentParser:
    parser = ArgumentParser(
        "tests.benchmarks",
        description,
        epilog=f"Workloads: {' '.join(_KEYS)}. Servers: {'; '.join(peer.name for peer in _ALL)}.",
    )
    what = parser.add_argument_group("what to measure")
    what.add_argument("--quick", action="store_true", help="few workloads, few servers, under 2 minutes")
    what.add_argument("--growth", action="store_true", help="curves instead: connections, sizes, names in a folder")
    what.add_argument("--only", nargs="+", choices=_KEYS, metavar="WORKLOAD", help="these workloads alone")
    what.add_argument(
        "--servers", nargs="+", type=_server, metavar="SERVER", help="these servers alone, by the start of their names"
    )
    variant_help = "httpsock once more, with these options too; may be repeated"
    what.add_argument("--variant", action="append", default=[], type=_options, metavar="'OPTIONS'", help=variant_help)
    against_help = "the httpsock of another clone, too; may be repeated"
    what.add_argument("--against", action="append", default=[], type=clone_folder, metavar="CLONE", help=against_help)
    how = parser.add_argument_group("how to measure")
    how.add_argument("--seconds", type=whole_number, metavar="N", help="how long a turn lasts (default: 2; quick: 1)")
    how.add_argument(
        "--turns", type=whole_number, metavar="N", help="how many turns each server has (default: 5; quick: 2)"
    )
    attempts_help = "how often a turn is taken while something else disturbs it (default: 3; quick: 1)"
    how.add_argument("--attempts", type=whole_number, metavar="N", help=attempts_help)
    how.add_argument("--no-pin", dest="pin", action="store_false", help="let servers and clients run on all processors")
    how.add_argument(
        "--environment",
        type=pathlib.Path,
        default=DEFAULT_FOLDER,
        metavar="FOLDER",
        help="where the servers from PyPI are installed (default: %(default)s)",
    )
    how.add_argument(
        "--python", type=_program, default=sys.executable, help="the Python of those servers (default: this one)"
    )
    how.add_argument("--no-install", dest="install", action="store_false", help="install nothing")
    where = parser.add_argument_group("what to write")
    where.add_argument("--json", type=new_file, metavar="FILE", help="write all samples to FILE")
    where.add_argument("--out", type=_new_folder, metavar="FOLDER", help="write JSON, Markdown and charts to FOLDER")
    return parser


def choose_peers(options: argparse.Namespace) -> tuple[list[Peer], Environment]:
    """Return the chosen servers and the environment of their packages. Report each server that is not installed."""
    wanted = [peer for peer in _ALL if not options.servers or peer.name.startswith(tuple(options.servers))]
    packages = list(dict.fromkeys(package for peer in wanted for package in peer.packages))
    environment = open_environment(options.environment, options.python, packages, install=options.install)
    present = []
    for peer in wanted:
        if missing := peer.missing(environment):
            print(f"{peer.name} is left out: {missing}", file=sys.stderr)
        else:
            present.append(peer)
    present += [httpsock(*variant, name=f"httpsock {shlex.join(variant)}") for variant in options.variant]
    for each in options.against:
        folder = each.resolve()
        present.append(httpsock(name=f"httpsock of {folder.name}", folder=folder))
    return present, environment
