"""The client: a URL in, a response out.

A program embeds ``Client``. The client reuses connections, follows a limited number of redirects, and streams content.
Next: ``connection``, which has the sockets.

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
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from httpsock.http import grammar
from httpsock.http.checks import Fields, check_field, check_kind, check_number, field_list
from httpsock.http.response_parser import ResponseError, ResponseHead, ResponseLimits
from httpsock.tracing.sockets import address_of, discard

from .connection import ClientConnection, ClientTimeouts, connect, resolve
from .url import Url, UrlError, parse_url, redirect

if TYPE_CHECKING:
    # At run time, only a traced client loads it.
    from httpsock.tracing.trace import TraceWriter

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
# The maximum number of idle connections. If another one is opened, the oldest is closed.
_MAX_CONNECTIONS = 8
# Read up to this much of a redirect's content, to reuse the connection.
_MAX_DISCARDED_OCTETS = 64 * 1024
_MAX_DISCARD_SECONDS = 2.0
MAX_REDIRECTS = 10


class RedirectError(Exception):
    """There are too many redirects, or a redirect leads to an unsupported URL."""


class _Outgoing(NamedTuple):
    """A request to send. The whole response must arrive by *deadline*, a time of the monotonic clock."""

    method: str
    url: Url
    head: bytes
    content: bytes
    deadline: float


class ClientResponse:
    """A response whose head has arrived. The content is received while the caller reads it.

    Iterate over the response to get pieces of any size, or call ``read()`` to get all content. Then call ``close()``,
    or use ``with``. *url* is the final URL, after redirects. If the connection ends early, reading raises
    IncompleteError (RFC 9112 §8). If the framing is broken, reading raises ResponseError. If the server is too slow,
    reading raises TimeoutError. Further reads raise the same error. If the response was closed before the end of its
    content, reading raises ValueError.
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
        """Return the value of the field called *name*. If the response has no such field, return None.

        If the field has several lines, join their values with commas.
        """
        check_kind("the name of a field", name, str, "a str")
        value = self.head.field(name.lower().encode("ascii", "replace"))
        return None if value is None else value.decode("latin-1")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {self.url}>"

    def __iter__(self) -> Iterator[bytes]:
        while self._connection is not None:
            if self._connection.is_closed:
                # The client that made this response was closed.
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
        """Return all remaining content. Its size is not limited."""
        return b"".join(self)

    def close(self) -> None:
        """Close the response. If its content has not been read to the end, close the connection, too."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._fault = ValueError("the response was closed before its content was whole")

    def discard(self) -> None:
        """Read and discard the rest of the content, so that the connection can be reused.

        If the rest is long or slow, close the connection instead.
        """
        if self._connection is not None:
            self._connection.shorten_deadline(_MAX_DISCARD_SECONDS)
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

    ``with Client() as client, client.get(url) as response: ...`` Use a client from one thread at a time. The client
    follows at most *redirects* redirects. If *redirects* is 0, the client returns the redirect response itself. *trace*
    receives an event for each socket call.
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
        # One item, which the thread that sends a request takes out.
        self._turn = [None]

    def get(self, url: str, *, fields: Fields = ()) -> ClientResponse:
        """Return the response to a GET for *url*. See ``request`` for the errors."""
        return self.request("GET", url, fields=fields)

    def request(
        self, method: str, url: str, *, fields: Fields = (), content: bytes | bytearray | memoryview = b""
    ) -> ClientResponse:
        """Send a request, follow redirects, and return the final response.

        *fields* may be a mapping, or pairs of name and value. The errors are:

            TypeError, ValueError         an argument is wrong; UrlError is a ValueError
            socket.gaierror               the host has no address
            TimeoutError                  the server is too slow
            OSError                       the connection fails for another reason
            ResponseError                 the response is malformed
            IncompleteError               the connection ends before the head is complete
            RedirectError                 a redirect can't be followed
            RuntimeError                  another thread is using this client
        """
        check_kind("method", method, str, "a str")
        check_kind("url", url, str, "a str")
        check_kind("content", content, (bytes, bytearray, memoryview), "bytes; encode a str first")
        octets = bytes(content)
        deadline = time.monotonic() + (float("inf") if self._timeouts.whole is None else self._timeouts.whole)
        current, fields = parse_url(url), field_list(fields)
        for _ in range(self._redirects + 1):
            head = format_head(method, current, fields, octets)
            response = self._exchange_alone(_Outgoing(method, current, head, octets, deadline))
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

    def _exchange_alone(self, request: _Outgoing) -> ClientResponse:
        """Send one request, and return the final response. Raise RuntimeError if another thread uses this client."""
        # Two threads could get the same idle connection, and each other's response. Taking the item is atomic, like
        # taking a lock, but a lock would need threading, which this wing must not load.
        try:
            turn = self._turn.pop()
        except IndexError:
            raise RuntimeError("another thread is using this client; make a client for each thread") from None
        try:
            return self._exchange(request)
        finally:
            self._turn.append(turn)

    def _exchange(self, request: _Outgoing) -> ClientResponse:
        """Send one request, and return the final response. Reuse an idle connection if there is one.

        The server may close an idle connection while the request is on its way (RFC 9112 §9.3.1). If this happens and
        the method is idempotent, retry once on a new connection.
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
        """Return an idle connection to *origin*. If there is none, return None, and make room for a new connection."""
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
        """Send *request* on *connection*, and return the response. If an error occurs, close the connection."""
        try:
            connection.send(request.method, request.head, request.content, request.deadline)
            return ClientResponse(request.url, connection.receive_head(), connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close all connections. Responses that are not complete can't be read any more."""
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
    """Raise ValueError if the field is malformed, or if only the client itself may set the field."""
    check_field(name, value)
    if name.lower() in _OWN_FIELDS:
        raise ValueError(f"the client itself sets the field {name}")
