"""Servers that are Python libraries, each started as its documentation says: ``applications.py NAME PORT ROOT [LOG]``.

They run in an environment of their own, without httpsock.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

# More Python threads would only wait for each other.
_THREADS = 4


def whitenoise(root: str) -> Any:
    """Return a WhiteNoise application that serves *root*. For an unknown path it answers 404."""
    from whitenoise import WhiteNoise

    def nothing(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
        start_response("404 Not Found", [("Content-Length", "0")])
        return []

    return WhiteNoise(nothing, root=root)


def cheroot(port: int, root: str, log: str | None) -> None:
    """Serve *root* with WhiteNoise on cheroot."""
    from cheroot import wsgi

    server = wsgi.Server(("127.0.0.1", port), whitenoise(root), numthreads=_THREADS, request_queue_size=1024)
    server.safe_start()


def waitress(port: int, root: str, log: str | None) -> None:
    """Serve *root* with WhiteNoise on waitress."""
    from waitress import serve

    serve(whitenoise(root), host="127.0.0.1", port=port, threads=_THREADS, backlog=1024, connection_limit=8192)


def uvicorn(port: int, root: str, log: str | None) -> None:
    """Serve *root* with Starlette on uvicorn."""
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles
    from uvicorn import run

    application = Starlette(routes=[Mount("/", StaticFiles(directory=root))])
    run(application, host="127.0.0.1", port=port, access_log=log is not None, log_level="info" if log else "error")


def aiohttp(port: int, root: str, log: str | None) -> None:
    """Serve *root* with aiohttp."""
    from aiohttp import web

    if log:
        logging.basicConfig(filename=log, level=logging.INFO)
    application = web.Application()
    application.router.add_static("/", root, show_index=True)
    # Without *log* the level INFO is not enabled, so aiohttp formats no line.
    web.run_app(
        application, host="127.0.0.1", port=port, print=lambda *_: None, backlog=1024, loop=asyncio.new_event_loop()
    )


if __name__ == "__main__":
    serve_with = {"cheroot": cheroot, "waitress": waitress, "uvicorn": uvicorn, "aiohttp": aiohttp}
    name, port_text, root_folder, log_file = [*sys.argv[1:], *[""] * 4][:4]
    if name not in serve_with or not port_text.isdecimal() or not root_folder or len(sys.argv) > 5:
        sys.stderr.write(
            f"applications.py: the arguments are NAME PORT ROOT [LOG]; names are {', '.join(serve_with)}\n"
        )
        sys.exit(2)
    serve_with[name](int(port_text), root_folder, log_file or None)
