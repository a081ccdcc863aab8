"""The command ``compare``: install, start, check and stop each server of the table, and make the page."""

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

from .compared import Compared, Comparison, as_json, compared, from_json
from .markdown import render_markdown
from .page import render_page
from .servers import Installation, Server, SkipError, load_servers

_RESULTS = Path(__file__).parents[1] / "RESULTS"
# A server that starts again and again, or closes late, has all the time that it takes.
_PATIENCE = 5.0


def main(arguments: Sequence[str]) -> int:
    """Compare the servers, write the page in three forms, and return 0, or 2 if none could be tried."""
    options = _parse(arguments)
    data = options.results.with_suffix(".json")
    try:
        if options.render:
            comparison = from_json(data.read_text(encoding="utf-8"))
        else:
            comparison = compare(options)
            if not comparison.compared:
                print("conformance: no server of the table could be tried", file=sys.stderr)
                return 2
            data.write_text(as_json(comparison), encoding="utf-8")
        options.results.with_suffix(".md").write_text(render_markdown(comparison), encoding="utf-8")
        options.results.with_suffix(".html").write_text(render_page(comparison), encoding="utf-8")
    except OSError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = ", ".join(server.name for server in load_servers())
    parser = argparse.ArgumentParser(
        prog="python3 -m conformance compare",
        description="Install, start, check and stop servers, and write RESULTS.json, RESULTS.md and RESULTS.html.",
        epilog=f"The servers: {names}. A server that can't be tried is left out, and the page says why.",
    )
    parser.add_argument("servers", nargs="*", metavar="SERVER", help="only these of the table (default: all)")
    parser.add_argument("--apt", action="store_true", help="install missing packages of Debian, as root")
    parser.add_argument(
        "--packages", metavar="FOLDER", type=Path, help="keep what pip and npm install here (default: a temporary one)"
    )
    parser.add_argument("--render", action="store_true", help="write the pages anew from RESULTS.json, and try nothing")
    parser.add_argument("--results", metavar="FILE", type=Path, default=_RESULTS, help="another place for the results")
    options = parser.parse_args(arguments)
    if unknown := set(options.servers) - {server.name for server in load_servers()}:
        parser.error(f"not in the table: {', '.join(sorted(unknown))}; it has {names}")
    return options


def compare(options: argparse.Namespace) -> Comparison:
    """Return what the check finds of each server of *options* that can be tried."""
    servers = [server for server in load_servers() if not options.servers or server.name in options.servers]
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        installation = Installation(options.packages or Path(folder), uses_apt=options.apt)
        found = tuple(_each(installation, servers, skipped))
    date = dt.datetime.now(dt.UTC).date().isoformat()
    return Comparison(date, f"{platform.system()} {platform.machine()}, {_distribution()}", found, skipped)


def _distribution() -> str:
    """Return the name of the system's distribution, if it has one."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.release()


def _each(installation: Installation, servers: Sequence[Server], skipped: dict[str, str]) -> Iterator[Compared]:
    """Yield what is found of each of *servers*, and write into *skipped* why others could not be tried."""
    for server in servers:
        try:
            yield _one(installation, server)
        except (SkipError, StartError, NothingTriedError) as error:
            skipped[server.title] = str(error).strip().splitlines()[0]
            print(f"{server.title}: not tried: {error}", file=sys.stderr)


def _one(installation: Installation, server: Server) -> Compared:
    """Return what the check finds of *server*. Raises SkipError, StartError or NothingTriedError."""
    recipe = installation.prepare(server)
    version = installation.version(server)
    with started(recipe) as program:
        results = check(Target(program.address, program, restarts=True), patience=_PATIENCE)
    found = compared(server.name, server.title, version, server.source, results)
    musts, others = found.failed("MUST"), found.failed("SECURITY") + found.failed("SHOULD")
    print(f"{server.title} {version}: {found.tried} tried, {musts} break a MUST, {others} a SHOULD or security")
    return found
