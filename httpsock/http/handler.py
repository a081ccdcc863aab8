"""Handlers turn a request into a response. The context describes the connection to the handler.

A handler takes a Request and a Context. It returns a Response, or a generator of steps that ends with a Response. A
middleware takes a handler and returns a new handler. A Request is cached and shared by all connections, so the data of
one connection is in the Context. Knows no sockets or threads: the connection (server/connection.py) runs the steps.

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

# Cooperative work. At each plain ``yield``, other connections run. ``yield from`` a method of the Context waits for the
# client, or for a thread. Long computations do not belong in a thread: under the interpreter lock, each socket call of
# the event loop would wait 5 ms for the thread.
Steps = Generator[Any, None, Result]

# The number of items in one step. This many names of a folder take about 0.6 ms.
BATCH = 64
# Octets in one step, when content is read.
CONTENT_OCTETS = 64 * 1024


class Tick:
    """One pass of the event loop: its time, and a memo.

    All requests of a tick arrived before the first one is answered. So one look-up serves all requests, and no client
    gets a result older than its request. Handlers store look-ups in *memo*. Each handler uses its own key.
    """

    __slots__ = ("memo", "monotonic", "second", "time")

    def __init__(self, now: float, monotonic: float) -> None:
        """Start a tick at *now*, in seconds since 1970. *monotonic* is the same moment on the monotonic clock."""
        self.time = now
        self.second = int(now)
        self.monotonic = monotonic
        self.memo: dict[Hashable, Any] = {}


class Context(Protocol):
    """The connection of a request, as a handler sees it."""

    @property
    def descriptor(self) -> int:
        """The file descriptor of the connection, unique among open connections."""

    @property
    def client(self) -> str:
        """The numeric address of the client."""

    @property
    def tick(self) -> Tick:
        """The tick of the event loop in which the current step runs."""

    @property
    def network(self) -> str:
        """The client's network, for limits: an IPv4 address, or the /64 prefix of an IPv6 address."""

    @property
    def scheme(self) -> str:
        """The URI scheme of the connection: "http" or "https"."""

    @property
    def is_stopping(self) -> bool:
        """Whether the server is stopping. If the server is stopping, an endless response should end."""

    @property
    def max_content(self) -> int:
        """The limit on the content of a request, in octets."""

    def read_content(self, maximum: int = CONTENT_OCTETS) -> Steps[bytes]:
        """Return the next octets of the request's content, at most *maximum*. Return b"" at the end of the content.

        If the client waits for 100 (Continue), the first call sends this response. Raise RequestError if the content is
        malformed, too long or too late. Raise ConnectionError if the client is gone. A handler must not catch these
        errors.
        """

    def discard_content(self) -> Steps[int | None]:
        """Receive and discard the rest of the content. Return the number of octets, or None if the rest was not read.

        The rest is not read if the client waits for 100 (Continue), or if the client announced more content than
        ``max_content``.
        """

    def suspend(self, start: Callable[[Callable[[], object]], object]) -> Steps[None]:
        """Call ``start(resume)``, then wait until any thread calls ``resume()``."""


Handler = Callable[[Request, Context], Response | Steps[Response]]
Middleware = Callable[[Handler], Handler]
