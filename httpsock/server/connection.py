"""The connection: one client's requests and responses, from the first octet to the tear-down.

Takes a transport, gives a coroutine. The coroutine reads as if each call blocked. Each ``yield`` gives the event loop a
state and a deadline. The event loop resumes the coroutine when the state's event happens, or at the deadline. Only this
module connects parsed messages with a socket.

Next: http/request_parser.py finds a request in the octets. files/handler.py answers the request. sending.py sends the
response.

RFC 9112 §9 (connection management); RFC 9110 §10.1.1 (Expect).

    repeat
      receive a request      recv() until the parser has one        or until the deadline: 408
      respond                the handler; it may read the content
      send the response      send(), sendfile()
      discard the content    recv() within a bound                  or leave it unread, and close
    until one side closes
    tear down                shutdown(), recv() until end of file; then the event loop calls close()
"""

import contextlib
import socket
from collections.abc import Callable, Generator

from httpsock.http.framing import content_too_large
from httpsock.http.grammar import printable
from httpsock.http.handler import CONTENT_OCTETS, Steps, Tick
from httpsock.http.message_reader import Content, Pause
from httpsock.http.messages import Refusal, Request, RequestError, Response, Status
from httpsock.http.request_parser import RequestParser, request_error

from .access_log import Exchange
from .addresses import network_of
from .poller import READABLE, WRITABLE
from .sending import Sender, Wait
from .settings import Settings
from .state import Phase, State
from .transport import Transport, event_of

# A coroutine yields waits; the event loop throws TimeoutError in at the deadline. ``Connection.tick`` has the time.
Coroutine = Generator[Wait, None, None]

# The size of one recv(), which bounds the parsing in a tick and the memory of a connection; and of a recv() whose
# octets are discarded.
_RECEIVE_OCTETS, _DISCARD_OCTETS = 8 * 1024, 64 * 1024
# A deadline missed by this much means that the process was suspended: deadlines are checked 20 times a second.
_SUSPEND_SECONDS = 1.0
_NEVER = float("inf")
# Python 3.11 takes 0.05 µs to look up a member of an enum.
_IDLE, _RECEIVING = State.IDLE, State.RECEIVING
_SERVING, _STOPPING = Phase.SERVING, Phase.STOPPING
_NEED_DATA = Pause.NEED_DATA
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection:
    """One client's connection: a coroutine that the event loop resumes.

    Only one thread at a time runs the coroutine. A handler sees the connection as the Context of a request.
    """

    __slots__ = (
        "__weakref__",
        "_content",
        "_content_error",
        "_content_seconds",
        "_parser",
        "_request",
        "_settings",
        "_transport",
        "awaited",
        "client",
        "coroutine",
        "deadline",
        "descriptor",
        "sender",
        "start",
        "state",
        "tick",
    )

    def __init__(
        self,
        transport: Transport,
        client: str,
        settings: Settings,
        log: Callable[[Exchange], object] | None,
        tick: Tick,
    ) -> None:
        self._transport = transport
        self.descriptor = transport.descriptor
        self.client = client
        self._settings = settings
        self._parser = RequestParser(settings.limits)
        self.sender = Sender(transport, settings, self, log)
        self._request: Request | None = None  # set until its content has been read to the end
        self._content = b""  # decoded, and not yet read
        self._content_seconds = 0.0  # how long to wait for the rest
        self._content_error: RequestError | OSError | None = None  # the error that ended the content
        # Set by the event loop: the time, the state, the event that the poller watches, and the deadline of the state.
        self.tick = tick
        self.state = State.NEW
        self.awaited = READABLE
        self.deadline = 0.0
        self.coroutine: Coroutine = self._serve()

    def close(self) -> None:
        """Close the socket. The event loop must unregister the socket first."""
        self._transport.close()

    def cut(self) -> None:
        """End the coroutine, in any state. Report an exception that the coroutine's clean-up raises."""
        try:
            self.coroutine.close()
        except BaseException:
            self._report_error(None)

    def shut_down(self) -> None:
        """Shut the socket down without closing it. After that, no thread can send or receive any more."""
        self._transport.abort()

    def describe(self) -> str:
        """Return a description of the current request and its client, for a report."""
        # Read from the generator's frame, so that requests need not store it.
        frame = getattr(self.coroutine, "gi_frame", None)
        return self._describe(frame.f_locals.get("request") if frame else None)

    def _describe(self, request: Request | None) -> str:
        return f"{printable(request.request_line) if request else 'a connection'} from {self.client}"

    def has_no_input(self) -> bool:
        """Return True if the socket has no unread input.

        If a stream with nothing to send sleeps, the next request may wait unread. In this case, return True, too.
        """
        return self.state is State.SLEEPING_UNREAD or not self._transport.has_input()

    def has_input_after_suspend(self, now: float) -> bool:
        """Return whether the process was suspended past the connection's deadline, and the socket has unread input.

        The event loop must read that input before the connection may time out.
        """
        return now > self.deadline + _SUSPEND_SECONDS and self.awaited == READABLE and self._transport.has_input()

    # --- The context of a handler -----------------------------------------------------------------

    @property
    def network(self) -> str:
        """The client's network: its IPv4 address, or the /64 prefix of its IPv6 address."""
        return network_of(self.client)

    @property
    def scheme(self) -> str:
        """The URI scheme of the connection."""
        return self._transport.scheme

    @property
    def is_stopping(self) -> bool:
        """Whether the server is stopping or draining. If so, an endless response should end."""
        return self._settings.phase is not Phase.SERVING

    @property
    def max_content(self) -> int:
        """The maximum length of a request's content, in octets."""
        return self._settings.limits.content.content

    def read_content(self, maximum: int = CONTENT_OCTETS) -> Generator[Wait, None, bytes]:
        """Return the next octets of the request's content, at most *maximum*. Return b"" at the end of the content.

        Raise RequestError if the content is malformed, too long or late. Raise OSError if the client is gone.
        """
        if maximum < 1:
            raise ValueError(f"maximum must be from 1, not {maximum}")
        while not self._content and self._request:
            yield from self._receive_content(self._request, is_wanted=True)
        octets, self._content = self._content[:maximum], self._content[maximum:]
        return octets

    def discard_content(self) -> Generator[Wait, None, int | None]:
        """Receive and discard the rest of the content. Return its length, or None if the rest was left unread.

        The content is left unread if the client waits for 100 (Continue). Content longer than ``max_content`` is left
        unread too.
        """
        length = len(self._content)
        while self._request:
            if not self._can_discard():
                return None
            self._content = b""
            yield from self._receive_content(self._request, is_wanted=False)
            length += len(self._content)
        self._content = b""
        return length

    def suspend(self, start: Callable[[Callable[[], object]], object]) -> Generator[Wait, None, None]:
        """Call ``start(resume)``, then wait until any thread calls ``resume()``."""
        errors: list[BaseException] = []

        def start_safely(resume: Callable[[], object]) -> None:
            try:
                start(resume)
            except BaseException as error:
                errors.append(error)
                resume()

        self.start = start_safely
        yield State.SUSPENDED, _NEVER
        # The function may keep the result of a thread in memory.
        del self.start
        if errors:
            raise errors[0]

    def _can_discard(self) -> bool:
        """Return whether to discard the rest of the content, so that the next request can be parsed."""
        request = self._request
        # RFC 9110 §10.1.1: a client that gets the final response instead of 100 (Continue) may then send the content or
        # not. The next octets could be either, so the connection closes.
        is_certain = request is None or not (request.expectations or (request.content_length or 0) > self.max_content)
        return is_certain and self._content_error is None

    def _receive_content(self, request: Request, *, is_wanted: bool) -> Generator[Wait, None, None]:
        """Receive more content, or the end of the content. *is_wanted* means that a handler reads the content."""
        if self._content_error:
            raise self._content_error
        try:
            if is_wanted:
                yield from self._accept_content(request)
            yield from self._receive_until_content(State.CONTENT if is_wanted else State.DISCARDING)
        except (RequestError, OSError) as error:
            self._content_error = error
            raise

    def _accept_content(self, request: Request) -> Generator[Wait, None, None]:
        """Raise RequestError if the content is too long. If the client waits for 100 (Continue), send this response."""
        if (request.content_length or 0) > self.max_content:
            raise request_error(content_too_large(self.max_content))
        if request.expectations:
            # RFC 9110 §10.1.1: 100 is not needed once content has arrived.
            if b"100-continue" in request.expectations and not self._parser.unread:
                yield from self.sender.send_interim(_CONTINUE)
            fields = {name: value for name, value in request.fields.items() if name != b"expect"}
            self._request = request._replace(fields=fields)

    def _receive_until_content(self, state: State) -> Generator[Wait, None, None]:
        while (event := self._parser.next_event()) is Pause.NEED_DATA:
            # The time that the handler takes between two reads does not count.
            began = self.tick.monotonic
            deadline = began + min(self._content_seconds, self._settings.timeouts.stall)
            try:
                yield state, deadline
                # Receive no further past the end of the content than past the end of a head.
                while self._receive(min(_DISCARD_OCTETS, self._parser.content_left + _RECEIVE_OCTETS)):
                    yield State.HANDSHAKE_OUT, deadline
            except TimeoutError:
                reason = "the content did not come in time"
                # A time-out before the deadline evicts the connection.
                if self.tick.monotonic < deadline:
                    reason = "the content was not complete when another client needed the connection"
                raise RequestError(Status.REQUEST_TIMEOUT, reason, "RFC 9110 §15.5.9") from None
            self._content_seconds -= self.tick.monotonic - began
        if isinstance(event, Content):
            self._content = event.octets
        else:
            self._request = None

    # --- The coroutine ----------------------------------------------------------------------------

    def _serve(self) -> Coroutine:
        """Answer one request after the other until either side closes. Then tear down the connection."""
        parser, settings, handler = self._parser, self._settings, self._settings.handler
        request, is_persistent = None, True
        try:
            yield from self._shake_hands()
            wait: tuple[State, float] | None = State.NEW, self.tick.monotonic + settings.timeouts.idle
            while is_persistent:
                try:
                    # Receiving is written out here: as a generator of its own it would cost 0.8 of each 6.6 µs.
                    while (event := parser.next_event()) is _NEED_DATA:
                        wait = self._request_wait(wait)
                        # A stopping server does not wait for requests that have not arrived yet.
                        if settings.phase is not _STOPPING or wait[0] is _RECEIVING:
                            yield wait
                        while self._receive():
                            yield State.HANDSHAKE_OUT, wait[1]
                    if not isinstance(event, Request):
                        return
                    request = event
                    # All connections receive before any answers: see Tick.
                    yield None
                    response = handler(request, self) if request.content_length == 0 else self._answer(request)
                    # A slow response, such as a long listing, comes in steps; other connections run between them.
                    if not isinstance(response, Response):
                        response = yield from self._run(response)
                    # Octets after a CONNECT may be meant for the tunnel that was refused (RFC 9110 §9.3.6).
                    is_last = settings.phase is not _SERVING or request.method == "CONNECT"
                    is_persistent = request.is_persistent and not is_last and (not self._request or self._can_discard())
                except BaseException as error:
                    response, is_persistent = self._error_response(error, request), False
                if unsent := self.sender.send(response, request, parser.unread, self.tick, is_persistent=is_persistent):
                    # A slow reader holds the request in memory: drop its head and fields, keep the request line.
                    request, event = request and request._replace(head=b"", fields={}), _NEED_DATA
                    # Only the end of the connection may mark the end of a stream.
                    is_persistent = (yield from unsent) is not False and is_persistent
                del response, unsent
                request = wait = None
                is_persistent = is_persistent and (not self._request or (yield from self._leave_content()))
            yield from self._linger()
        except OSError:
            # The peer is idle for too long or gone (reset, unreachable), or a file can't be read to its end: closing
            # early is the only way to signal an incomplete response (RFC 9112 §8).
            pass

    def _run(self, steps: Steps[Response]) -> Generator[Wait, None, Response]:
        """Run the *steps* that make a response. Record how long the steps took, for the log."""
        began = self.tick.monotonic
        try:
            return (yield from steps)
        finally:
            self.sender.step_seconds = self.tick.monotonic - began

    def _answer(self, request: Request) -> Generator[Wait, None, Response]:
        """Return the handler's response to a *request* with content."""
        self._request, self._content, self._content_seconds = request, b"", self._settings.timeouts.content
        response = self._settings.handler(request, self)
        if not isinstance(response, Response):
            response = yield from response
        # A slow reader of the response holds no content in memory.
        self._content = b""
        return response

    def _shake_hands(self) -> Coroutine:
        """Complete the transport's handshake. Then receive octets that may have arrived with the handshake."""
        deadline = self.tick.monotonic + self._settings.timeouts.head
        if (yield from self._complete(self._transport.handshake, deadline)):
            while self._receive():
                yield State.HANDSHAKE_OUT, deadline

    def _complete(self, call: Callable[[], bool | None], deadline: float) -> Generator[Wait, None, bool | None]:
        """Repeat *call* until it no longer raises BlockingIOError. Return the result of *call*."""
        while True:
            try:
                return call()
            except BlockingIOError as error:
                state = State.HANDSHAKE_IN if event_of(error, READABLE) == READABLE else State.HANDSHAKE_OUT
            yield state, deadline

    def _request_wait(self, wait: tuple[State, float] | None) -> tuple[State, float]:
        """Return the state and the deadline with which to wait for a request, or for the rest of a head.

        *wait* is the previous result. The result changes only when the first octet of a head has arrived.
        """
        has_begun = bool(self._parser.unread)
        if wait and has_begun == (wait[0] is _RECEIVING):
            return wait
        timeouts = self._settings.timeouts
        if has_begun:
            return _RECEIVING, self.tick.monotonic + timeouts.head
        return _IDLE, self.tick.monotonic + timeouts.idle

    def _receive(self, maximum: int = _RECEIVE_OCTETS) -> bool:
        """Receive octets or the end of the input, and pass the result to the parser.

        Return True if the transport must send before it can receive.
        """
        try:
            self._parser.receive(self._transport.recv(maximum))
        except BlockingIOError as error:
            if self._settings.phase is _STOPPING and not self._request and not self._parser.unread:
                raise ConnectionAbortedError("the server is stopping, and no request has begun") from None
            return event_of(error, READABLE) == WRITABLE
        return False

    def _error_response(self, error: BaseException, request: Request | None) -> Response:
        """Return the error response for *error*, which the parser, a deadline or the handler raised.

        Raise *error* again if the client is gone, or if no request has begun.
        """
        unread = self._parser.unread
        if isinstance(error, RequestError):
            return self._settings.explain(error.refusal, request, unread)
        if request is None and isinstance(error, TimeoutError) and unread:
            reason = f"the head was not complete {self._settings.timeouts.head:g} seconds after its first byte"
            # A time-out before the deadline evicts the connection.
            if self.tick.monotonic < self.deadline:
                reason = "the head was not complete when another client needed the connection"
            return self._settings.explain(Refusal(Status.REQUEST_TIMEOUT, reason, "RFC 9110 §15.5.9"), None, unread)
        if request is None or error is self._content_error or isinstance(error, GeneratorExit):
            raise error
        self._report_error(request)
        refusal = Refusal(Status.INTERNAL_SERVER_ERROR, "the server failed to answer", "RFC 9110 §15.6.1")
        return self._settings.explain(refusal, request, unread)

    def _report_error(self, request: Request | None) -> None:
        """Report the traceback of the exception that is being handled, and the request."""
        with contextlib.suppress(BaseException):
            self._settings.report(f"{current_traceback()}{self._describe(request)}")

    def _leave_content(self) -> Generator[Wait, None, bool]:
        """Discard the content that the handler has not read. Return whether the next request can follow."""
        try:
            return (yield from self.discard_content()) is not None
        except RequestError:
            # The response has been sent already.
            return False

    def _linger(self) -> Coroutine:
        """Send FIN and read until end of file, so that no reset destroys the response (RFC 9112 §9.6)."""
        timeouts = self._settings.timeouts
        deadline = self.tick.monotonic + timeouts.linger_total
        yield from self._complete(self._transport.end, deadline)
        while self.tick.monotonic < deadline:
            try:
                if not self._transport.recv(_DISCARD_OCTETS):
                    return
            except BlockingIOError:
                if self._settings.phase is _STOPPING:
                    return
            yield State.LINGERING, min(deadline, self.tick.monotonic + timeouts.linger)


def open_connection(
    connected: socket.socket,
    client: str,
    settings: Settings,
    log: Callable[[Exchange], object] | None,
    tick: Tick,
) -> Connection:
    """Return the Connection for *connected*, a socket that does not block."""
    return Connection(settings.transport(connected), client, settings, log, tick)


def current_traceback() -> str:
    """Return the traceback of the exception that is being handled."""
    # Imported here, since only a bug needs it and it adds 3 ms to start-up.
    import traceback

    return traceback.format_exc()
