"""The client: a URL in, a response out.

A program embeds ``Client``. It reuses connections, follows a limited number of redirects, and streams content. The
sockets are in ``connection``; read that next.

RFC 9110 §7.2 (Host), §8.6 (Content-Length), §9.2.2 (idempotent methods), §15.4 (redirection); RFC 9112 §3, §9.3.

    request(method, URL)
      connect, or reuse a connection              an idle one to the same host and port
      send the head and the content
      receive the final head                      after any interim ones
      repeat with the new URL                     if it is a redirect
    → ClientResponse: iterate over it for the content
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from httpsock.http import grammar
from httpsock.http.checks import check_field, check_kind, check_number, field_list
from httpsock.http.response_parser import ResponseError, ResponseHead, ResponseLimits
from httpsock.tracing.sockets import address_of, discard

from .connection import ClientConnection, ClientTimeouts, connect, resolve
from .url import Url, UrlError, parse_url, redirect

if TYPE_CHECKING:
    # At run time, only a traced client loads it.
    from httpsock.tracing.trace import TraceWriter

Fields = Iterable[tuple[str, str]] | Mapping[str, str]

# Defaults that the caller may override. Without Accept-Encoding, the server could choose any coding (RFC 9110
# §12.5.3), and this client never decodes.
_DEFAULT_FIELDS = (("User-Agent", "httpsock"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
# Fields that frame the request or change the protocol: only the client itself sets them.
_OWN_FIELDS = frozenset("content-length expect te trailer transfer-encoding upgrade".split())
_IDEMPOTENT = frozenset("GET HEAD OPTIONS PUT DELETE TRACE".split())
# RFC 9110 §15.4: a redirect to another origin must not carry the credentials of the first.
_CREDENTIALS = frozenset("authorization cookie proxy-authorization".split())
# RFC 9110 §8.6: without content, methods that expect it send "Content-Length: 0".
_WITH_CONTENT = frozenset("POST PUT PATCH".split())
# The maximum of idle connections; to open another one closes the oldest.
_MAX_CONNECTIONS = 8
# Read up to this much of a redirect's content, to reuse the connection.
_MAX_DISCARDED_OCTETS = 64 * 1024
_MAX_DISCARD_SECONDS = 2.0
MAX_REDIRECTS = 10


class RedirectError(Exception):
    """There are too many redirects, or a redirect leads to a URL that is not supported."""


class _Outgoing(NamedTuple):
    """A request to send. The whole response must arrive by *deadline* (on the monotonic clock)."""

    method: str
    url: Url
    head: bytes
    content: bytes
    deadline: float


class ClientResponse:
    """A response whose head has arrived; its content is received as the caller reads it.

    Iterate over it for pieces of any size, or ``read()`` it whole; then ``close()`` it, preferably by ``with``.
    *url* is the final URL, after redirects. A read raises IncompleteError if the connection ends early (RFC 9112 §8),
    ResponseError if the framing is broken, or TimeoutError; a later read raises the same error again. A read after
    ``close()`` raises ValueError if the content was not complete.
    """

    def __init__(self, url: Url, head: ResponseHead, connection: ClientConnection) -> None:
        self.url = str(url)
        self.head = head
        self.status = head.status
        self.phrase = head.phrase.decode("latin-1")
        self.content_length = connection.content_length
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()
        self._connection: ClientConnection | None = connection
        # The error that ended the content early.
        self._fault: Exception | None = None
        if self.content_length == 0:
            # Finish immediately, so that the client can reuse the connection.
            self.read()

    def field(self, name: str) -> str | None:
        """Return the value of the field *name*, its lines joined with commas, or None if it is missing."""
        value = self.head.field(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[bytes]:
        while self._connection is not None:
            if self._connection.is_closed:
                # Its client was closed.
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
                # Release the connection, so that the client can reuse it.
                self.trailers = self._connection.trailers
                self._connection = None
        if self._fault is not None:
            raise self._fault

    def read(self) -> bytes:
        """Return all remaining content, however large."""
        return b"".join(self)

    def close(self) -> None:
        """Close the response, and its connection if content is left."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._fault = ValueError("the response was closed before its content was whole")

    def discard(self) -> None:
        """Read the rest of the content, to reuse the connection; close the connection if the rest is long or slow."""
        if self._connection is not None:
            self._connection.hasten(_MAX_DISCARD_SECONDS)
        octets = 0
        # The caller does not want this content, so errors in it do not matter.
        with contextlib.suppress(ResponseError, OSError):
            for part in self:
                octets += len(part)
                if octets > _MAX_DISCARDED_OCTETS:
                    break
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Client:
    """Sends requests over HTTP/1.1, and returns the responses.

    ``with Client() as client, client.get(url) as response: ...`` Use it from one thread at a time.
    The client follows at most *redirects* redirects; with 0, it returns the redirect itself. *trace* receives an
    event for each socket call.
    """

    def __init__(
        self,
        *,
        timeouts: ClientTimeouts | None = None,
        limits: ResponseLimits | None = None,
        redirects: int = MAX_REDIRECTS,
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
        Raise UrlError (a ValueError), ValueError or TypeError if an argument is wrong; socket.gaierror if the host has
        no address, another OSError if the connection fails; TimeoutError if the server is too slow; ResponseError if
        the response is malformed; IncompleteError if the connection ends before the response; RedirectError if a
        redirect can't be followed.
        """
        check_kind("method", method, str, "a str")
        check_kind("url", url, str, "a str")
        check_kind("content", content, (bytes, bytearray, memoryview), "bytes; encode a str first")
        octets = bytes(content)
        deadline = time.monotonic() + (float("inf") if self._timeouts.whole is None else self._timeouts.whole)
        current, fields = parse_url(url), field_list(fields)
        for _ in range(self._redirects + 1):
            head = format_head(method, current, fields, octets)
            response = self._exchange(_Outgoing(method, current, head, octets, deadline))
            if not self._redirects:
                return response
            try:
                next_request = redirect(method, current, response.status, response.head.field(b"location"))
            except UrlError as error:
                response.close()
                raise RedirectError(str(error)) from None
            if next_request is None:
                return response
            response.discard()
            if next_request[1].origin != current.origin:
                fields = [field for field in fields if field[0].lower() not in _CREDENTIALS | {"host"}]
            if next_request[0] != method:
                octets = b""
                fields = [field for field in fields if not field[0].lower().startswith("content-")]
            method, current = next_request
        raise RedirectError(f"more than {self._redirects} redirects; the last one leads to {current}")

    def _exchange(self, request: _Outgoing) -> ClientResponse:
        """Return the final response to one request, over an idle connection if there is one.

        RFC 9112 §9.3.1: the server may close an idle connection while the request is on its way. In that case,
        retry once, on a new connection, if the method is idempotent.
        """
        if connection := self._idle_connection(request.url.origin):
            try:
                return self._send_and_receive(connection, request)
            except ResponseError:
                if connection.has_begun_to_answer or request.method not in _IDEMPOTENT:
                    raise
        origin = request.url.origin
        emit = self._trace.tracer(address_of(origin)) if self._trace else discard
        addresses = resolve(*origin, emit)
        deadline = min(request.deadline, time.monotonic() + self._timeouts.connect)
        connection = ClientConnection(connect(addresses, deadline, emit), self._limits, self._timeouts, emit)
        self._connections.append((origin, connection))
        return self._send_and_receive(connection, request)

    def _idle_connection(self, origin: tuple[str, int]) -> ClientConnection | None:
        """Return an idle connection to *origin*. If there is none, make room for a new one, and return None."""
        self._connections = [each for each in self._connections if not each[1].is_closed]
        idle = [each for each in self._connections if each[1].is_idle]
        for peer, connection in idle:
            if peer == origin:
                if connection.is_reusable:
                    return connection
                connection.close()
        for _, connection in idle[: 1 - _MAX_CONNECTIONS]:
            connection.close()
        return None

    def _send_and_receive(self, connection: ClientConnection, request: _Outgoing) -> ClientResponse:
        """Send *request* on *connection* and return the response; close the connection on any error."""
        try:
            connection.send(request.method, request.head, request.content, request.deadline)
            return ClientResponse(request.url, connection.receive_head(), connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close all connections, including those of unfinished responses."""
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
    """Return the head of a request. Raise ValueError if the method or a field is invalid."""
    if not grammar.token.fullmatch(method.encode("ascii", "replace")):
        raise ValueError(f"the method {method!r} is not a token (RFC 9110 §9.1)")
    if method == "CONNECT":
        raise ValueError("CONNECT is not supported (RFC 9110 §9.3.6)")
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
    """Raise ValueError if the field is malformed, or is one that only the client itself may set."""
    check_field(name, value)
    if name.lower() in _OWN_FIELDS:
        raise ValueError(f"the client itself sets the field {name}")
