"""Each command imports only the modules that it needs, since each import delays the start."""

import subprocess
import sys

import pytest

from tests.support.program import ENVIRONMENT
from tests.support.rows import each_row


def loaded(*arguments: str) -> set[str]:
    """Run the program with *arguments*. Return the names of the httpsock modules that it has loaded."""
    code = f"""if True:
        import atexit, sys
        from httpsock.__main__ import main
        atexit.register(lambda: print(*[name for name in sys.modules if name.startswith("httpsock.")]))
        sys.exit(main({arguments!r}))"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    return {name.removeprefix("httpsock.") for name in done.stdout.splitlines()[-1].split()}


CLIENT = {"cli.get", "client.client", "client.connection", "client.download", "client.url", "http.response_parser"}
SERVER = {"cli.serve", "cli.options", "server.server", "processes.supervisor", "server.event_loop", "server.connection"}
SERVER |= {"files.handler", "files.document_root", "files.listing"}


# Prints the modules that are loaded when the program prints its first line, the URL.
UNTIL_THE_URL = """if True:
    import os, sys
    from httpsock.__main__ import main

    class Output:
        has_url = False
        def write(self, text):
            assert text.startswith("http://") or text == "\\n"
            self.has_url |= text != "\\n"
        def flush(self):
            os.write(1, " ".join(sys.modules).encode())
            os._exit(0 if self.has_url else 1)

    sys.stdout = Output()
    main(["--port", "0"])"""
# Prints those that any such program needs: some versions of Python import more for them than others.
NEEDED = """if True:
    import argparse, contextlib, select, signal, socket, sys, threading, typing
    parser = argparse.ArgumentParser(formatter_class=lambda prog: argparse.HelpFormatter(prog, width=80))
    parser.add_argument("--port")
    parser.parse_args([])
    print(*sys.modules)"""
# Of the package: for an option; for some requests; and the wings of other commands.
FOR_OPTIONS = {"tracing.trace"}
FOR_SOME_REQUESTS = {"files.listing", "files.siblings", "http.charsets"}
OTHER_WINGS = {"client", "discovery", "handlers", "observe", "testing"}
# Of the standard library: for a request, for an error, or for other programs.
SLOW = {"asyncio", "dataclasses", "datetime", "email", "encodings.idna", "hashlib", "heapq", "html", "http", "inspect"}
SLOW |= {"json", "logging", "pathlib", "random", "shutil", "ssl", "subprocess", "tempfile", "traceback"}
SLOW |= {"urllib", "zlib"}


def printed_by(program: str) -> set[str]:
    """Run the Python code *program* without Python's start-up files (option -S). Return the printed words."""
    command = [sys.executable, "-S", "-c", program]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="the modules of another interpreter import others")
def test_serve_loads_only_what_it_needs_until_it_prints_the_url() -> None:
    modules = printed_by(UNTIL_THE_URL)
    own = {name.removeprefix("httpsock.") for name in modules if name.startswith("httpsock.")}
    assert own >= {"server.event_loop", "files.document_root"}
    assert own & (FOR_OPTIONS | FOR_SOME_REQUESTS | OTHER_WINGS) == set()
    assert modules & SLOW <= printed_by(NEEDED)


def test_the_package_itself_loads_nothing_that_takes_long() -> None:
    """The import must be quick, since Ctrl-C shows a traceback until the command has begun."""
    modules = printed_by("import sys, httpsock; print(*sys.modules)")
    assert "httpsock" in modules
    assert modules & (SLOW | {"typing", "re", "collections", "contextlib"}) == set()


def test_serve_does_not_load_the_client() -> None:
    modules = loaded("--version")
    assert modules >= {"cli.serve", "server.server", "server.event_loop"}
    assert not modules & CLIENT


@each_row("arguments", [["get", "--help"], ["get", "http://127.0.0.1:1/"], ["find", "--help"]])
def test_get_and_find_do_not_load_the_server(arguments: list[str]) -> None:
    modules = loaded(*arguments)
    assert modules >= {f"cli.{arguments[0]}", "client.connection"}
    assert not modules & SERVER
