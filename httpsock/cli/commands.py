"""Commands: which one is wanted.

    httpsock [DIR] [options]    serve      the server
    httpsock get URL...         get        the client
    httpsock find               find       the search on the local network

Each is loaded alone: a client has no use for a server, and starts sooner without it.
"""

import sys
from collections.abc import Sequence

# 128 + SIGINT, as a shell says it.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what *arguments* say; return the exit code."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        # Ctrl-C came before the command handles it, mostly while modules are imported.
        return _INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    """Import the command that *arguments* name, and run it."""
    # A folder of that name is served as ./get or ./find.
    match arguments[:1]:
        case ["get"]:
            from .get import main as get

            return get(arguments[1:])
        case ["find"]:
            from .find import main as find

            return find(arguments[1:])
    from .serve import main as serve

    return serve(arguments)
