"""The server of a test: a real server, on a free port of this machine, over a temporary folder.

It records the requests, and answers with files or as the test defines. With pytest, use the fixture ``http_server``.
Without pytest, use a ``with`` block:

    with TestServer() as server:
        server.respond("/x", 503, {"Retry-After": "1"})
        ...
        assert server.requests[0].method == "GET"

RFC 9110 §3 (messages and their parts).
"""

import contextlib
import os
import pathlib
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from httpsock.handlers.checked import checked
from httpsock.http.checks import Fields, check_callable, check_kind, check_number, check_seconds
from httpsock.http.framing import ContentLimits
from httpsock.http.handler import Handler, Middleware
from httpsock.http.messages import Response, Sleep, Stream, Then
from httpsock.http.request_parser import Limits, parse_head
from httpsock.server.event_loop import Log, Report
from httpsock.server.server import Server, print_stderr
from httpsock.server.settings import Timeouts
from httpsock.server.transport import PlainTransport, Transport
from httpsock.tracing.sockets import address_of

from .answers import Answer, Answers
from .broken import Faults
from .exact import Exact, check_exact
from .faults import parse_rule
from .recording import Arrivals, ReceivedRequest, Recording, describe
from .transport import RecordedTransport

if TYPE_CHECKING:
    # Loaded only for a traced server.
    from httpsock.observe.traced import Instrumentation

# Higher than the server's own limits: the client of a test is trusted.
_LIMITS = Limits(content=ContentLimits(content=2**30, chunk_framing=2**30))

# A path, perhaps with a query: no octet that must be encoded, no fragment.
_path = re.compile(r"/[!-\"$-~]*")
_GET = parse_head(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", _LIMITS.field_lines)


class Settings(TypedDict, total=False):
    """For type checkers: the arguments that TestServer passes on to Server."""

    handler: Handler | None
    middleware: Sequence[Middleware]
    transport: Callable[[socket.socket], Transport]
    hosts: Sequence[str] | str
    port: int
    threads: int
    show_hidden: bool
    follow_links: bool
    siblings: bool
    cache_control: str
    fields: Fields
    log: Log | None
    report: Report
    limits: Limits | None
    timeouts: Timeouts | None
    listeners: Sequence[socket.socket] | None
    tracing: "Instrumentation | None"


class TestServer(Server):
    """A server for tests: it records the requests, and answers as the test defines.

    It serves *directory*. Without *directory*, it serves a temporary folder, which is removed at the end. The attribute
    ``folder`` has the path. *settings* are the arguments of Server. With a *seed*, random faults are repeatable. Any
    thread may call the methods while the server runs.
    """

    # pytest must not collect this class as a test, in spite of its name.
    __test__ = False

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        seed: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        given: dict[str, Any] = {"hosts": "127.0.0.1", "port": 0, "threads": 2, **settings}
        given["limits"] = given.get("limits") or _LIMITS
        self._recording = Recording(given["limits"])
        self._open_transport: Callable[[socket.socket], Transport] = given.pop("transport", PlainTransport)
        self._answers = Answers()
        self._faults = Faults(seed)
        report = given.get("report", print_stderr)
        check_callable("report", report)
        check_callable("transport", self._open_transport)
        # When the server stops, the test may have left a response unfinished: do not report that.
        given["report"] = lambda text: None if self.is_stopping else report(text)
        middleware = given.get("middleware", ())
        check_kind("middleware", middleware, Sequence, "a sequence of functions")
        given["middleware"] = (self._faults.middleware, self._answers.middleware, *middleware)
        with contextlib.ExitStack() as stack:
            if directory is None and given.get("handler") is None:
                directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="httpsock-"))
            super().__init__(directory, transport=self._open, accept_queue=self._faults.accept_queue, **given)
            self._resources = stack.pop_all()

    def _open(self, connected: socket.socket) -> RecordedTransport:
        """Return the transport for *connected*."""
        return self._faults.begin(RecordedTransport(self._open_transport(connected), self._record(connected)))

    def _record(self, connected: socket.socket) -> Callable[[bytes], object]:
        """Return the function that records the octets received from *connected*."""
        try:
            peer = address_of(connected.getpeername())
        except OSError:
            # The client has disconnected.
            peer = "unknown:0"
        return Arrivals(self._recording, peer).receive

    @property
    def folder(self) -> pathlib.Path:
        """The folder whose files the server sends."""
        return pathlib.Path(self.directory)

    def url_for(self, path: str) -> str:
        """Return the URL of *path*, which begins with a slash."""
        return self.url + path.removeprefix("/")

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests received so far, in the order in which their heads arrived."""
        return self._recording.requests()

    def wait_for(self, count: int, seconds: float = 5.0) -> list[ReceivedRequest]:
        """Wait until at least *count* requests have arrived. Return all requests.

        If this takes longer than *seconds*, raise AssertionError with a list of the requests received so far.
        """
        check_number("count", count, 0, 10**9)
        check_seconds("seconds", seconds)
        return self._recording.wait_for(count, seconds)

    def respond(
        self,
        path: str | None,
        status: int = 200,
        fields: Fields = (),
        content: bytes | str = b"",
    ) -> None:
        """From now on, answer requests for *path* with this response. If *content* is a str, send it in UTF-8.

        If *path* is None, answer all other requests. *status* is from 200 to 599. For 205, use ``send_octets``, since
        205 has a framing of its own (RFC 9110 §15.3.6).
        """
        check_kind("content", content, (bytes, str), "bytes or a str")
        octets = content.encode() if isinstance(content, str) else content
        self.answer(path, Response(status, fields, octets))

    def send_octets(
        self, octets: bytes | tuple[bytes | Sleep, ...], then: Then = "close", *, path: str | None = None
    ) -> None:
        """Answer requests for *path* with exactly these octets. If *path* is None, answer all other requests.

        *then* is the action that follows: "close", "reset", "keep" or "stall". See Then in http/messages.py.
        """
        self.answer(path, Exact(octets, then))

    def answer(self, path: str | None, *answers: Answer) -> None:
        """Answer requests for *path* with *answers* in turn. Repeat the last answer.

        Each answer is a Response, Exact octets, or a handler. A path without a query stands for the path with any
        query. If *path* is None, answer all other requests. Raise ValueError or TypeError if an answer can't be sent.
        """
        for answer in answers:
            if isinstance(answer, Exact):
                check_exact(answer)
            elif isinstance(answer, Response):
                _check_response(answer)
            else:
                check_callable("an answer", answer, "a Response, a handler or Exact")
        if not answers:
            raise ValueError("give a path and answers, at least one")
        if path is not None:
            check_kind("path", path, str, "a str or None")
            if not _path.fullmatch(path):
                raise ValueError(f"give a path as it is sent, such as /x or /%C3%A9, not {path!r:.200}")
        self._answers.set(path, answers)

    def fault(self, rule: str, *, times: int | None = None) -> None:
        """Break responses or connections by *rule*: ``PATH:FAULT=VALUE@PROBABILITY*TIMES``.

        Only FAULT is required. FAULTS in faults.py has all faults. A path that ends with a slash stands for all paths
        below it. *times* limits how often the rule applies. Raise ValueError if the rule is wrong.
        """
        check_kind("rule", rule, str, "a str")
        self._faults.add(parse_rule(rule, times))

    def clear(self) -> None:
        """Forget all answers, faults and requests, for the next test."""
        self._faults.clear()
        self._answers.clear()
        self._recording.clear()

    def describe(self) -> str:
        """Return the requests received so far as text, like a trace."""
        return describe(self.requests)

    def stop(self, grace_seconds: float = 0.0) -> None:
        """Stop the server, and remove the temporary folder.

        Running responses have *grace_seconds* to finish.
        """
        try:
            super().stop(grace_seconds)
        finally:
            self._resources.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if isinstance(error, Exception):
            error.add_note(f"Requests to {self.url}\n{self.describe()}")


def _check_response(response: Response) -> None:
    """Raise TypeError or ValueError if *response* can't be sent repeatedly."""
    if isinstance(response.content, Stream):
        raise TypeError("a Stream can be sent only once: give a handler that makes the response")
    checked(lambda *_: response)(_GET, None)  # type: ignore[arg-type]  # no context is needed


class ServerFactory:
    """Starts any number of servers, which run until the ``with`` block ends."""

    def __init__(self) -> None:
        self.servers: list[TestServer] = []
        self._stack = contextlib.ExitStack()

    def __call__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        seed: int | None = None,
        **settings: Unpack[Settings],
    ) -> TestServer:
        """Start and return a new server."""
        server = self._stack.enter_context(TestServer(directory, seed=seed, **settings))
        self.servers.append(server)
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def described(values: Iterable[object]) -> Sequence[tuple[str, str]]:
    """Return report sections as pairs of title and text, one for each server in *values*.

    *values* are the fixtures of a test.
    """
    servers: list[TestServer] = []
    for value in values:
        servers += value.servers if isinstance(value, ServerFactory) else []
        servers += [value] if isinstance(value, TestServer) else []
    return [(f"requests to {server.url}", server.describe()) for server in servers]
