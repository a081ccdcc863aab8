"""The command ``compare``: install, start, check and stop each server in the table. Then write the page."""

import argparse
import datetime as dt
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from conformance.check import check
from conformance.live.corpus_run import NothingTriedError
from conformance.live.start import StartError, started
from conformance.live.target import Target
from conformance.output_path import output_file, output_folder

from .compared import Compared, Comparison, as_json, compared, from_json
from .markdown import render_markdown
from .page import render_page
from .servers import Installation, Server, SkipError, load_servers

_RESULTS = Path(__file__).parents[1] / "RESULTS"
# Every server gets twice the usual time: some must be restarted often, others close connections late.
_TIME_FACTOR = 2.0


def main(arguments: Sequence[str]) -> int:
    """Compare the servers, and write the results and the pages. If no server could be tried, return 2, otherwise 0."""
    options = _parse(arguments)
    data = options.results.with_suffix(".json")
    try:
        if options.render:
            comparison = _saved(data)
        else:
            comparison = compare(options)
            if not comparison.compared:
                print("conformance: no server of the table could be tried", file=sys.stderr)
                return 2
            data.write_text(as_json(comparison), encoding="utf-8")
        options.results.with_suffix(".md").write_text(render_markdown(comparison), encoding="utf-8")
        options.results.with_suffix(".html").write_text(render_page(comparison), encoding="utf-8")
    except OSError as error:
        print(f"conformance: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    return 0


def _saved(data: Path) -> Comparison:
    """Return the comparison in the file *data*. If it has no comparison, raise ValueError."""
    try:
        return from_json(data.read_text(encoding="utf-8"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{data} is no output of compare: {error!r}") from error


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = ", ".join(server.name for server in load_servers())
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance compare",
        description="Install, start, check and stop servers, and write RESULTS.json, RESULTS.md and RESULTS.html.",
        epilog=f"The servers: {names}. The page lists servers that can't be tried, each with the reason.",
    )
    parser.add_argument("servers", nargs="*", metavar="SERVER", help="compare only these servers (default: all)")
    parser.add_argument("--apt", action="store_true", help="install missing Debian packages; needs root")
    parser.add_argument(
        "--packages",
        metavar="FOLDER",
        type=output_folder,
        help="install pip and npm packages here (default: temporary folder)",
    )
    parser.add_argument("--render", action="store_true", help="only write the pages again from RESULTS.json")
    parser.add_argument(
        "--results",
        metavar="FILE",
        type=output_file,
        default=_RESULTS,
        help="write to FILE.json, FILE.md and FILE.html (default: conformance/RESULTS)",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.servers) - {server.name for server in load_servers()}:
        parser.error(f"unknown servers: {', '.join(sorted(unknown))}; the table has {names}")
    return options


def compare(options: argparse.Namespace) -> Comparison:
    """Check the servers that *options* select. Return the comparison."""
    servers = [server for server in load_servers() if not options.servers or server.name in options.servers]
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        installation = Installation(options.packages or Path(folder), uses_apt=options.apt)
        found = tuple(_each(installation, servers, skipped))
    date = dt.datetime.now(dt.UTC).date().isoformat()
    return Comparison(date, f"{platform.system()} {platform.machine()}, {_distribution()}", found, skipped)


def _distribution() -> str:
    """Return the name of the Linux distribution. On other systems, return the kernel's release."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.release()


def _each(installation: Installation, servers: Sequence[Server], skipped: dict[str, str]) -> Iterator[Compared]:
    """Yield the results of each server. If a server can't be tried, put the reason into *skipped*."""
    for server in servers:
        try:
            yield _one(installation, server)
        except (SkipError, StartError, NothingTriedError) as error:
            skipped[server.title] = str(error).strip().splitlines()[0]
            print(f"{server.title}: not tried: {error}", file=sys.stderr)


def _one(installation: Installation, server: Server) -> Compared:
    """Check one server. If it can't be tried, raise SkipError, StartError or NothingTriedError."""
    recipe = installation.prepare(server)
    version = installation.version(server)
    with started(recipe) as program:
        results = check(Target(program.address, program), time_factor=_TIME_FACTOR)
    found = compared(server.name, server.title, version, server.source, results)
    musts, others = found.failed("MUST"), found.failed("SECURITY") + found.failed("SHOULD")
    print(f"{server.title} {version}: of {found.tried} tried, {musts} break a MUST, {others} a SHOULD or SECURITY")
    return found
