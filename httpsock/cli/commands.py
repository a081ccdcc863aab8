"""Commands: choose a command by the first argument, import it, and run it.

    httpsock [DIR] [options]    serve      the server
    httpsock get URL...         get        the client
    httpsock find               find       the search on the local network

Takes arguments, gives an exit code. Only one command is imported, so that a client starts without loading a server.
"""

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Sequence

# 128 + SIGINT, as in shells.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in *arguments*, and return the exit code. Without *arguments*, use sys.argv."""
    is_program = arguments is None
    try:
        if is_program:
            # Modules are never freed: each garbage collection would search them for 3 ms in vain.
            gc.disable()
        command, rest = _import(sys.argv[1:] if arguments is None else arguments)
        if is_program:
            # Other interpreters than CPython may lack it.
            with contextlib.suppress(AttributeError):
                gc.freeze()
            gc.enable()
        return command(rest)
    except KeyboardInterrupt:
        # Ctrl-C during imports, before the command handles it.
        return _INTERRUPTED
    finally:
        if is_program:
            _end_output()


def _end_output() -> None:
    """Flush standard output and standard error. If that fails, drop the rest.

    Otherwise the interpreter would try again at its exit, print an exception, and change the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            # A standard stream that was closed at the start is None.
            if stream:
                stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def _import(arguments: Sequence[str]) -> tuple[Callable[[Sequence[str]], int], Sequence[str]]:
    """Import the command in *arguments*.

    Return the command's function, and the arguments that follow the command's name.
    """
    # A folder with the name of a command is served as ./get or ./find.
    match arguments[:1]:
        case ["get"]:
            from .get import main as get

            return get, arguments[1:]
        case ["find"]:
            from .find import main as find

            return find, arguments[1:]
    from .serve import main as serve

    return serve, arguments
