"""The client: a URL in, a response out.

What a program embeds. Connections persist and are used again, redirects are followed within a bound, and content is
given as it comes. ``client_connection`` is where the sockets are.

RFC 9110 §7.2 (Host), §8.6 (Content-Length), §9.2.2 (idempotent methods), §15.4 (redirection); RFC 9112 §3, §9.3.

    request(method, URL)
      connect, or take a connection of before     that is idle, to the same host and port
      send the head and the content
      receive the final head                      interim ones are passed over
      again, elsewhere                            if it is a redirect
    → ClientResponse: iterate over it for the content
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from httpsock.http import grammar
from httpsock.http.checks import check_kind, check_number, field_list
from httpsock.http.response_parser import ResponseError, ResponseHead, ResponseLimits
from httpsock.tracing.sockets import address_of, discard

from .connection import ClientConnection, ClientTimeouts, connect, resolve
from .url import Url, UrlError, parse_url, redirected

if TYPE_CHECKING:
    # Loaded by who wants it.
    from httpsock.tracing.trace import TraceWriter

Fields = Iterable[tuple[str, str]] | Mapping[str, str]

# What is sent unless the caller says otherwise. Without Accept-Encoding any coding would do (RFC 9110 §12.5.3), and
# content is given, and kept in files, as it comes.
_DEFAULT_FIELDS = (("User-Agent", "httpsock"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
# What frames the request or changes what may follow it is for the client itself to say.
_OWN_FIELDS = frozenset("content-length expect te trailer transfer-encoding upgrade".split())
_IDEMPOTENT = frozenset("GET HEAD OPTIONS PUT DELETE TRACE".split())
# RFC 9110 §15.4.8: credentials are for the origin that they were given for.
_CREDENTIALS = frozenset("authorization cookie proxy-authorization".split())
# RFC 9110 §8.6: where content is expected, a request says so when it has none.
_WITH_CONTENT = frozenset("POST PUT PATCH".split())
# Idle connections kept for later; one more ends the oldest.
_MOST_CONNECTIONS = 8
# A redirect's content up to this length is read, so that the connection can be used again.
_DISCARDED_OCTETS = 64 * 1024
_DISCARD_SECONDS = 2.0
MOST_REDIRECTS = 10


class RedirectError(Exception):
    """The response sends the client on once too often, or where it can't go."""


class _Outgoing(NamedTuple):
    """A request as it is sent, which must be answered to the last octet *until* then (on the monotonic clock)."""

    method: str
    url: Url
    head: bytes
    content: bytes
    until: float


class ClientResponse:
    """A response: its head is here, its content comes as it is asked for.

    Iterate over it for the content in pieces of any size, or ``read()`` it whole, then or else ``close()`` it, best
    by ``with``. *url* is where it came from, after redirects. Content raises IncompleteError if the connection
    ends before it is whole (RFC 9112 §8), ResponseError if its framing is broken, TimeoutError; each later attempt
    to read raises it again. After ``close()``, content that was not read raises ValueError.
    """

    def __init__(self, url: Url, head: ResponseHead, connection: ClientConnection) -> None:
        self.url = str(url)
        self.head = head
        self.status = head.status
        self.phrase = head.phrase.decode("latin-1")
        self.content_length = connection.content_length
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()
        self._connection: ClientConnection | None = connection
        # Why no more content comes, although it is not whole.
        self._fault: Exception | None = None
        if self.content_length == 0:
            # There is nothing to wait for: the connection is the client's again.
            self.read()

    def field(self, name: str) -> str | None:
        """Return the value of the field *name*, several values joined with commas, or None."""
        value = self.head.field(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[bytes]:
        while self._connection is not None:
            if self._connection.is_closed:
                # With its client.
                self.close()
                break
            try:
                octets = self._connection.receive_content()
            except BaseException as error:
                self.close()
                self._fault = error if isinstance(error, Exception) else self._fault
                raise
            if octets:
                yield octets
            else:
                # The connection is the client's again.
                self.trailers = self._connection.trailers
                self._connection = None
        if self._fault is not None:
            raise self._fault

    def read(self) -> bytes:
        """Return all of the content that has not been given yet, whatever memory it takes."""
        return b"".join(self)

    def close(self) -> None:
        """End it; if content is left, the connection, too."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._fault = ValueError("the response was closed before its content was whole")

    def discard(self) -> None:
        """Read the content, so that the connection can be used again, unless to close it is cheaper."""
        if self._connection is not None:
            self._connection.hasten(_DISCARD_SECONDS)
        octets = 0
        # It is of no use to anybody: whether it is whole does not matter.
        with contextlib.suppress(ResponseError, OSError):
            for part in self:
                octets += len(part)
                if octets > _DISCARDED_OCTETS:
                    break
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Client:
    """Asks servers over HTTP/1.1.

    ``with Client() as client, client.get(url) as response: ...`` For one thread at a time.
    *redirects* are followed up to that number; with 0 a redirect is a response like any other. *trace* is told of
    each call that is made.
    """

    def __init__(
        self,
        *,
        timeouts: ClientTimeouts | None = None,
        limits: ResponseLimits | None = None,
        redirects: int = MOST_REDIRECTS,
        trace: "TraceWriter | None" = None,
    ) -> None:
        self._timeouts = ClientTimeouts() if timeouts is None else timeouts
        self._limits = ResponseLimits() if limits is None else limits
        check_kind("timeouts", self._timeouts, ClientTimeouts, "ClientTimeouts")
        check_kind("limits", self._limits, ResponseLimits, "ResponseLimits")
        check_number("redirects", redirects, 0, 1000)
        self._redirects = redirects
        self._trace = trace
        self._connections: list[tuple[tuple[str, int], ClientConnection]] = []

    def get(self, url: str, *, fields: Fields = ()) -> ClientResponse:
        """Return the response to a GET for *url*; see ``request``."""
        return self.request("GET", url, fields=fields)

    def request(
        self, method: str, url: str, *, fields: Fields = (), content: bytes | bytearray | memoryview = b""
    ) -> ClientResponse:
        """Return the final response to a request with *method*, *fields* and *content* for *url*.

        *fields* are pairs of name and value, or a mapping.
        Raises UrlError (a ValueError), ValueError or TypeError for what can't be asked for; socket.gaierror for a name
        without address, other OSError if no connection can be made; TimeoutError; ResponseError for octets that are no
        response; IncompleteError if the connection ends before one; RedirectError.
        """
        check_kind("method", method, str, "a str")
        check_kind("url", url, str, "a str")
        check_kind("content", content, (bytes, bytearray, memoryview), "bytes; a str has to be encoded first")
        octets = bytes(content)
        until = time.monotonic() + (float("inf") if self._timeouts.whole is None else self._timeouts.whole)
        at, fields = parse_url(url), field_list(fields)
        for _ in range(self._redirects + 1):
            head = format_head(method, at, fields, octets)
            response = self._exchange(_Outgoing(method, at, head, octets, until))
            if not self._redirects:
                return response
            try:
                onward = redirected(method, at, response.status, response.head.field(b"location"))
            except UrlError as error:
                response.close()
                raise RedirectError(str(error)) from None
            if onward is None:
                return response
            response.discard()
            if onward[1].origin != at.origin:
                fields = [field for field in fields if field[0].lower() not in _CREDENTIALS | {"host"}]
            if onward[0] != method:
                octets = b""
                fields = [field for field in fields if not field[0].lower().startswith("content-")]
            method, at = onward
        raise RedirectError(f"there are more than {self._redirects} redirects; the last one leads to {at}")

    def _exchange(self, request: _Outgoing) -> ClientResponse:
        """Return the final response to one request, over a connection of before if there is one.

        RFC 9112 §9.3.1: it may be closed while the request is under way. Then it is sent again, once, on a new one,
        if to do a thing twice is the same as once.
        """
        if connection := self._idle_connection(request.url.origin):
            try:
                return self._send_and_receive(connection, request)
            except ResponseError:
                if connection.has_begun_to_answer or request.method not in _IDEMPOTENT:
                    raise
        origin = request.url.origin
        emit = self._trace.teller(address_of(origin)) if self._trace else discard
        addresses = resolve(*origin, emit)
        deadline = min(request.until, time.monotonic() + self._timeouts.connect)
        connection = ClientConnection(connect(addresses, deadline, emit), self._limits, self._timeouts, emit)
        self._connections.append((origin, connection))
        return self._send_and_receive(connection, request)

    def _idle_connection(self, origin: tuple[str, int]) -> ClientConnection | None:
        """Return a connection to *origin* that can be used again, or None; close idle ones that are too many."""
        self._connections = [each for each in self._connections if not each[1].is_closed]
        idle = [each for each in self._connections if each[1].is_idle]
        for at, connection in idle:
            if at == origin:
                if connection.is_reusable:
                    return connection
                connection.close()
        for _, connection in idle[: 1 - _MOST_CONNECTIONS]:
            connection.close()
        return None

    def _send_and_receive(self, connection: ClientConnection, request: _Outgoing) -> ClientResponse:
        """Send *request* on *connection*; return the response. After an error the connection is closed."""
        try:
            connection.send(request.method, request.head, request.content, request.until)
            return ClientResponse(request.url, connection.receive_head(), connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close all connections, also those from which content is still coming."""
        for _, connection in self._connections:
            connection.close()
        self._connections.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def format_head(method: str, url: Url, fields: Fields, content: bytes) -> bytes:
    """Return the head of a request. Raises ValueError for a method or a field that can't be sent."""
    if not grammar.token.fullmatch(method.encode("utf-8", "surrogateescape")):
        raise ValueError(f"the method {method!r} is not a token (RFC 9110 §9.1)")
    if method == "CONNECT":
        raise ValueError("CONNECT asks for a tunnel, which is not made here (RFC 9110 §9.3.6)")
    given = field_list(fields)
    for name, value in given:
        check_request_field(name, value)
    names = {name.lower() for name, _ in given}
    # RFC 9110 §7.2: Host comes first.
    lines = [(name, value) for name, value in given if name.lower() == "host"] or [("Host", url.authority)]
    lines += [field for field in _DEFAULT_FIELDS if field[0].lower() not in names]
    lines += [(name, value) for name, value in given if name.lower() != "host"]
    if content or method in _WITH_CONTENT:
        lines.append(("Content-Length", str(len(content))))
    head = f"{method} {url.target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n"
    return head.encode("latin-1")


def check_request_field(name: str, value: str) -> None:
    """Raise ValueError unless the field may be added to a request: well formed, and none that frames it."""
    if not grammar.token.fullmatch(name.encode("utf-8", "surrogateescape")):
        raise ValueError(f"the field name {name!r} is not a token (RFC 9110 §5.1)")
    # Values are octets; they travel within text as Latin-1 (RFC 9110 §5.5).
    if not grammar.field_value.fullmatch(value.encode("latin-1", "replace")):
        raise ValueError(f"the value of {name} has a control character (RFC 9110 §5.5)")
    if name.lower() in _OWN_FIELDS:
        raise ValueError(f"the field {name} is for the client to say by itself")
