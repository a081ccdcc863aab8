"""The handler, which turns a request into a response, and the context, which describes the connection to the handler.

A handler takes a Request and a Context, and gives a Response, or steps of work that end in one. A middleware takes a
handler and gives another one. A parsed Request is cached and shared by all connections, so whatever belongs to one
connection is in the Context. Knows no sockets or threads: the connection (server/connection.py) runs the steps.

    def hello(request, context):                  one response, immediately
        return Response(Status.OK, (("Content-Type", "text/plain"),), (b"hello",))

    def upload(request, context):                 steps: other connections run while the content arrives
        length = 0
        while octets := (yield from context.read_content()):
            length += len(octets)
        return Response(Status.OK, (("Content-Type", "text/plain"),), (b"%d" % length,))

RFC 9110 §3.3 (connections, clients and servers), §9 (methods), §10.1.1 (Expect).
"""

from collections.abc import Callable, Generator, Hashable
from typing import Any, Protocol, TypeVar

from .messages import Request, Response

Result = TypeVar("Result")

# Cooperative work: at each bare ``yield`` other connections run; ``yield from`` a method of the Context waits for the
# client, or for a thread. Long computations do not belong in a thread: under the interpreter lock, each socket call of
# the event loop would wait 5 ms for it.
Steps = Generator[Any, None, Result]

# Items in one step: this many names of a folder take about 0.6 ms.
BATCH = 64
# Octets in one step, when content is read.
CONTENT_OCTETS = 64 * 1024


class Tick:
    """One pass of the event loop: its time, and a memo.

    Every request answered in a tick arrived before the first is answered. So one look-up serves all of them, and no
    client gets a result older than its request. *memo* holds whatever handlers look up; each handler uses its own key.
    """

    __slots__ = ("memo", "monotonic", "second", "time")

    def __init__(self, now: float, monotonic: float) -> None:
        """Begin at *now*, in seconds since 1970 (for fields); *monotonic* is the monotonic time (for deadlines)."""
        self.time = now
        self.second = int(now)
        self.monotonic = monotonic
        self.memo: dict[Hashable, Any] = {}


class Context(Protocol):
    """The connection on which a request came, as a handler sees it."""

    @property
    def descriptor(self) -> int:
        """The file descriptor of the connection, unique among open connections."""

    @property
    def client(self) -> str:
        """The numeric address of the client."""

    @property
    def tick(self) -> Tick:
        """The tick in which the current step runs."""

    @property
    def network(self) -> str:
        """The network of the client, for limits: its IPv4 address, or the /64 prefix of its IPv6 address."""

    @property
    def scheme(self) -> str:
        """The URI scheme of the connection: "http" or "https"."""

    @property
    def is_stopping(self) -> bool:
        """Whether the server is stopping; an endless response should end then."""

    @property
    def max_content(self) -> int:
        """The limit on the content of a request, in octets."""

    def read_content(self, maximum: int = CONTENT_OCTETS) -> Steps[bytes]:
        """Return the next octets of the request's content, at most *maximum*; b"" at its end.

        The first call sends 100 (Continue) if the client waits for it. Raise RequestError if the content is malformed,
        too long or late, and ConnectionError if the client is gone; a handler must not catch either.
        """

    def discard_content(self) -> Steps[int | None]:
        """Receive and discard the rest of the content. Return how many octets it had, or None if it was left unread.

        It is left unread if the client waits for 100 (Continue), or has announced more than *max_content*.
        """

    def suspend(self, start: Callable[[Callable[[], object]], object]) -> Steps[None]:
        """Call ``start(resume)``, then wait until any thread calls ``resume()``."""


Handler = Callable[[Request, Context], Response | Steps[Response]]
Middleware = Callable[[Handler], Handler]


def respond(handler: Handler, request: Request, context: Context) -> Steps[Response]:
    """Call *handler*, run the steps if it returns any, and return its response, for a middleware to change."""
    response = handler(request, context)
    return response if isinstance(response, Response) else (yield from response)
