"""httpsock: an HTTP/1.1 server for a folder, and a client, from the socket up.

``Server`` and ``Client`` are what a program embeds; ``python3 -m httpsock`` is what a person runs.

The files, in the order of a request; an import only points downwards:

    __main__        the program that python3 -m httpsock starts
    commands        which command is wanted
    serve           the command that serves: what its options set up, signals, exit code
    options         its options

    announcer            says on the local network that a folder is served: recvfrom(), sendto()
    description_server   serves what the announced device says of itself
    find                 who announces itself there
    networks             the interfaces and addresses that this machine has now
    answers              answers to searches, and each neighbour's share of them
    multicast            datagrams to a group, network by network
    description          what a device says of itself
    ssdp                 HTTP in datagrams, as values
    get                  the client: its command
    download             content that becomes a file when it is whole
    client               a URL in, a response out
    client_connection    the connection as its client sees it: socket(), connect(), send(), recv(), close()
    response_parser      octets in, events out, of responses
    urls                 where an http URL leads
    arguments            what a person typed, as values
    terminal             what may be written to a terminal

    process_loop    signals, child processes and the parent, handled one at a time
    supervisor      several processes, each replaced when it exits
    threaded        the server's threads, as that loop sees them
    restart         a new process takes over the listening sockets
    activation      the listening sockets that a process was started with
    children        child processes, and the parent as a child sees it
    lines           standard error, written by its own thread
    server          the listening sockets, the worker and its threads, and a clean stop
    inspected       the variants that answer the inspector's page, too, for --inspect
    inspection      who may inspect, and what is answered to them
    inspector       the last events and all counts, remembered for pages
    traced          the variants that tell of what they do, for --trace
    worker          a poller, its connections, their deadlines, turn by turn
    crew            the threads that take the turns, one at a time
    fairness        how long the connections of one network may take in a turn
    room            how many connections there may be, and of whom
    connection      one client's conversation, from first octet to tear-down
    service         what all connections share, and how long a client may take
    accesslog       one response as one line
    tracedsocket    sockets that tell of each call
    trace           what is told, in order, to be written by a thread of its own
    timeline        an event as text or as JSON
    output          octets written whole to a descriptor that may be full
    tcpinfo         what the kernel knows of a connection
    origin          what the origin server answers
    listing         a folder's names as a page, as JSON or as text
    listing_page    what stands around the names on the page
    explanations    a refusal as a response that says why
    resources       which resource a path names, opened as its representation
    representation  a file as it is sent: its fields and validators
    siblings        whether a compressed file beside another is that file
    kept            small files held in memory
    confinement     open what lies below a folder, and nothing else
    claims          how many names all listings may hold
    pieces          long work done a piece at a time
    paths           the name that a path spells
    preconditions   the five conditional fields
    parser          octets in, events out
    target          the request-target and the host
    protocols       what octets are that are no HTTP
    framing         where a request's content ends
    ranges          byte ranges
    negotiation     which representation a client prefers
    mediatypes      the Content-Type of a file
    charsets        whether octets are text, and in which charset
    messages        what is said: requests and responses as values
    poller          which sockets are ready
    addresses       which of them are one client, and at which this machine is reached
    process         what the system lets us have, and who we are
    grammar         the ABNF of the RFCs as patterns
    masking         credentials that are not shown
    checks          the arguments that a program passes, or a sentence on what is wrong with them

This file and ``__main__`` also parse on Python 2.7 and 3.6, so that an old Python gets one sentence, not a traceback.
"""

import sys

# The interpreter puts the current folder first on the module path for "python3 -m": in a folder of downloads a file
# named socket.py would run. The interpreter has found this package already, and needs that folder for nothing else.
# While it imports the package of a program, the program's name is still "-m" ("-c" in Python 2.7).
_is_program = sys.argv[:1] in (["-m"], ["-c"]) and "runpy" in sys.modules

if sys.version_info < (3, 11):  # noqa: UP036  # pragma: no cover (an older Python runs this in a test)
    _FAULT = "httpsock needs Python 3.11 or newer; this is Python %d.%d" % sys.version_info[:2]  # noqa: UP031
    if not _is_program:
        raise ImportError(_FAULT)
    sys.stderr.write(_FAULT + "; try python3.11 -m httpsock.\n")
    sys.exit(2)

if _is_program:
    # The interpreter itself has loaded it.
    import os

    try:
        _folder = os.path.realpath(os.getcwd())
    except OSError:  # pragma: no cover (the folder is gone, and nothing can be imported from it)
        _folder = ""
    # Started in the folder of the standard library, the interpreter needs it.
    if not (_folder + os.sep).startswith(os.path.dirname(os.path.realpath(os.__file__)) + os.sep):
        sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != _folder]

from typing import TYPE_CHECKING  # noqa: E402 (only from here on no module of the current folder is imported)

__all__ = [
    "Client",
    "ClientResponse",
    "ClientTimeouts",
    "Exchange",
    "IncompleteError",
    "Limits",
    "RedirectError",
    "ResponseError",
    "ResponseLimits",
    "Server",
    "Timeouts",
    "UrlError",
    "__version__",
]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from .accesslog import Exchange
    from .client import Client, ClientResponse, RedirectError
    from .client_connection import ClientTimeouts
    from .parser import Limits
    from .response_parser import IncompleteError, ResponseError, ResponseLimits
    from .server import Server
    from .service import Timeouts
    from .urls import UrlError
else:
    from importlib import import_module

    _HOMES = {
        "Client": "client",
        "ClientResponse": "client",
        "ClientTimeouts": "client_connection",
        "Exchange": "accesslog",
        "IncompleteError": "response_parser",
        "Limits": "parser",
        "RedirectError": "client",
        "ResponseError": "response_parser",
        "ResponseLimits": "response_parser",
        "Server": "server",
        "Timeouts": "service",
        "UrlError": "urls",
    }

    def __getattr__(name):
        """Load what is asked for when it is asked for: a client has no use for a server, nor a server for a client."""
        if name not in _HOMES:
            raise AttributeError("module %r has no attribute %r" % (__name__, name))  # noqa: UP031
        value = globals()[name] = getattr(import_module("." + _HOMES[name], __name__), name)
        return value
