"""Commands: import and run the one that the first argument names.

    httpsock [DIR] [options]    serve      the server
    httpsock get URL...         get        the client
    httpsock find               find       the search on the local network

Takes arguments, gives an exit code. Only one command is imported, so that a client starts without loading a server.
"""

import sys
from collections.abc import Sequence

# 128 + SIGINT, as in shells.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name; return the exit code."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        # Ctrl-C during imports, before the command handles it.
        return _INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    """Import the command that *arguments* name, and run it."""
    # To serve a folder of that name: ./get or ./find.
    match arguments[:1]:
        case ["get"]:
            from .get import main as get

            return get(arguments[1:])
        case ["find"]:
            from .find import main as find

            return find(arguments[1:])
    from .serve import main as serve

    return serve(arguments)
