"""httpsock: an HTTP/1.1 server for a folder, from the socket up.

``Server`` is what a program embeds; ``python3 -m httpsock`` is what a person runs.

The files, in the order of a request; an import only points downwards:

    __main__        the command line: arguments, signals, exit code
    supervisor      several processes, each replaced when it ends
    lines           standard error, which nobody waits for
    addresses       at which addresses this machine is reached
    server          the listening sockets, the workers, and a clean stop
    worker          one thread: a poller, its connections, their deadlines
    connection      one client's conversation, from first octet to tear-down
    service         what all connections share, and how long a client may take
    accesslog       one response as one line
    origin          what the origin server answers
    listing         a folder's names as a page
    explanations    a refusal as a response that says why
    resources       which resource a path names, opened as its representation
    kept            small files held in memory
    confinement     open what lies below a folder, and nothing else
    paths           the name that a path spells
    preconditions   the five conditional fields
    parser          octets in, events out
    target          the request-target and the host
    framing         where a request's content ends
    ranges          byte ranges
    negotiation     which representation a client prefers
    mediatypes      the Content-Type of a name
    messages        what is said: requests and responses as values
    poller          which sockets are ready
    process         what the system lets us have, and who we are
    grammar         the ABNF of the RFCs as patterns
"""

from .parser import Limits
from .server import Server
from .service import Timeouts

__all__ = ["Limits", "Server", "Timeouts", "__version__"]
__version__ = "0.1.0"
