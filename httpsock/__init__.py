"""httpsock: an HTTP/1.1 server for a folder, and a client, from the socket up.

A program embeds ``Server`` and ``Client``. A person runs ``python3 -m httpsock``.

The package has eleven subpackages. Each one imports only subpackages below it, and its docstring lists its files:

    cli          the commands
    testing      a real server in the tests of a client
    observe      a running server, as a trace or as a live page
    discovery    announce and find a folder, by datagrams
    processes    signals, child processes, restart
    server       sockets, threads, connections
    handlers     handlers and middlewares of programs and of options
    client       the other end of a connection
    files        a folder as resources
    tracing      the calls at a socket, as events
    http         octets to values, and back
"""

import sys

# The interpreter puts the current folder first on the module path for "python3 -m": in a folder of downloads a file
# named socket.py would run. The interpreter has found this package already, so remove that folder from the path.
# While "python3 -m" imports this package, sys.argv[0] is still "-m" ("-c" in Python 2.7).
_is_program = sys.argv[:1] in (["-m"], ["-c"]) and "runpy" in sys.modules

if sys.version_info < (3, 11):  # noqa: UP036  # pragma: no cover (an older Python runs this in a test)
    _FAULT = "httpsock needs Python 3.11 or newer; this is Python %d.%d" % sys.version_info[:2]  # noqa: UP031
    if not _is_program:
        raise ImportError(_FAULT)
    sys.stderr.write(_FAULT + "; try python3.11 -m httpsock.\n")
    sys.exit(2)

if _is_program:
    # The interpreter has already loaded os.
    import os

    try:
        _folder = os.path.realpath(os.getcwd())
    except OSError:  # pragma: no cover (the folder is gone: imports from it fail)
        _folder = ""
    # The interpreter still needs the folder of the standard library, even if that is the current one.
    if not (_folder + os.sep).startswith(os.path.dirname(os.path.realpath(os.__file__)) + os.sep):
        sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != _folder]

# As typing has it; but until cli/commands.py runs, Ctrl-C shows a traceback, and the import of typing takes long.
TYPE_CHECKING = False

__all__ = [
    "Client",
    "ClientResponse",
    "ClientTimeouts",
    "ContentLimits",
    "Context",
    "Exchange",
    "FileSlice",
    "Handler",
    "IncompleteError",
    "Limits",
    "Middleware",
    "RedirectError",
    "Request",
    "RequestError",
    "Response",
    "ResponseError",
    "ResponseLimits",
    "Server",
    "Sleep",
    "Status",
    "Steps",
    "Stream",
    "TestServer",
    "Timeouts",
    "UrlError",
    "__version__",
    "basic_authentication",
    "in_thread",
    "respond",
    "single_page",
]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from httpsock.client.client import Client, ClientResponse, RedirectError
    from httpsock.client.connection import ClientTimeouts
    from httpsock.client.url import UrlError
    from httpsock.handlers.authentication import basic_authentication
    from httpsock.handlers.checked import respond
    from httpsock.handlers.in_thread import in_thread
    from httpsock.handlers.single_page import single_page
    from httpsock.http.framing import ContentLimits
    from httpsock.http.handler import Context, Handler, Middleware, Steps
    from httpsock.http.messages import FileSlice, Request, RequestError, Response, Sleep, Status, Stream
    from httpsock.http.request_parser import Limits
    from httpsock.http.response_parser import IncompleteError, ResponseError, ResponseLimits
    from httpsock.server.access_log import Exchange
    from httpsock.server.server import Server
    from httpsock.server.settings import Timeouts
    from httpsock.testing.server import TestServer
else:
    from importlib import import_module

    _MODULES = {
        "Client": "client.client",
        "ClientResponse": "client.client",
        "ClientTimeouts": "client.connection",
        "ContentLimits": "http.framing",
        "Context": "http.handler",
        "Exchange": "server.access_log",
        "FileSlice": "http.messages",
        "Handler": "http.handler",
        "IncompleteError": "http.response_parser",
        "Limits": "http.request_parser",
        "Middleware": "http.handler",
        "RedirectError": "client.client",
        "Request": "http.messages",
        "RequestError": "http.messages",
        "Response": "http.messages",
        "ResponseError": "http.response_parser",
        "ResponseLimits": "http.response_parser",
        "Server": "server.server",
        "Sleep": "http.messages",
        "Status": "http.messages",
        "Steps": "http.handler",
        "Stream": "http.messages",
        "TestServer": "testing.server",
        "Timeouts": "server.settings",
        "UrlError": "client.url",
        "basic_authentication": "handlers.authentication",
        "in_thread": "handlers.in_thread",
        "respond": "handlers.checked",
        "single_page": "handlers.single_page",
    }

    def __getattr__(name):
        """Import a public name on first use. So a program that uses only the client never loads the server."""
        if name not in _MODULES:
            raise AttributeError("module %r has no attribute %r" % (__name__, name))  # noqa: UP031
        value = globals()[name] = getattr(import_module("." + _MODULES[name], __name__), name)
        return value
