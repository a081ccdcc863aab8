"""The judges: readers of requests, whose verdicts on the same octets are said in one form.

A judge takes the octets that a client sends before it ends its side, in any number of parts, and gives a Verdict.
It knows nothing of the table that says what to expect. Another judge needs one function, and its name in JUDGES.

httpsock is on trial. h11 is the oracle: read, not obeyed; where it differs the table beside the corpus says why.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import h11

from httpsock import Limits
from httpsock.http.messages import Request, RequestError
from httpsock.http.request_parser import Content, Event, Pause, RequestParser


class Understood(NamedTuple):
    """One request, whole: *fields* are counted by line, *content* by octet; *closes* if it is to be the last one.

    A *method* or *path* of more than 60 characters is cut there.
    """

    method: str
    path: str
    fields: int
    content: int
    closes: bool = False


class Verdict(NamedTuple):
    """The requests *accepted*, in order, and the *status* of the refusal that ends them, or None if nothing does."""

    accepted: tuple[Understood, ...]
    status: int | None = None

    @property
    def is_refused(self) -> bool:
        """Whether there was something that is no request."""
        return self.status is not None

    def agrees_with(self, other: "Verdict") -> bool:
        """Return whether both understand the same requests, and both refuse what follows or neither does."""
        # Which status a refusal has is for the server that uses a parser to say: h11 gives a hint at most.
        return (self.accepted, self.is_refused) == (other.accepted, other.is_refused)


Judge = Callable[[Iterable[bytes]], Verdict]


def judge_by_httpsock(parts: Iterable[bytes]) -> Verdict:
    """Return what httpsock's parser, with its default limits, makes of *parts*."""
    parser = RequestParser(Limits())
    accepted: list[Understood] = []
    request: Request | None = None
    content_octets = 0
    try:
        for part in (*parts, b""):
            parser.receive(part)
            while not isinstance(event := parser.next_event(), Pause):
                if isinstance(event, Request):
                    request, content_octets = event, 0
                elif isinstance(event, Content):
                    content_octets += len(event.octets)
                if request is not None and _is_last_event(event):
                    accepted.append(_understood(request, content_octets))
                    if accepted[-1].closes:
                        return Verdict(tuple(accepted))
    except RequestError as error:
        return Verdict(tuple(accepted), int(error.refusal.status))
    return Verdict(tuple(accepted))


def judge_by_h11(parts: Iterable[bytes]) -> Verdict:
    """Return what h11, in the role of the server, makes of *parts*; each request is answered as soon as it is whole."""
    connection = h11.Connection(h11.SERVER)
    accepted: list[Understood] = []
    request: h11.Request | None = None
    content_octets = 0
    try:
        for part in (*parts, b""):
            connection.receive_data(part)
            while (event := connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Request):
                    request, content_octets = event, 0
                elif isinstance(event, h11.Data):
                    content_octets += len(event.data)
                elif isinstance(event, h11.EndOfMessage) and request is not None:
                    persists = _answer(connection)
                    method, path = _cut(request.method.decode()), _cut(_path(request.method, request.target))
                    accepted.append(Understood(method, path, len(request.headers), content_octets, not persists))
                    if not persists:
                        return Verdict(tuple(accepted))
                elif isinstance(event, h11.ConnectionClosed):
                    break
    except h11.RemoteProtocolError as error:
        return Verdict(tuple(accepted), error.error_status_hint)
    return Verdict(tuple(accepted))


JUDGES: Mapping[str, Judge] = {"httpsock": judge_by_httpsock, "h11": judge_by_h11}


def _is_last_event(event: Event) -> bool:
    """Return whether *event* completes a request."""
    return not (isinstance(event, Content) or (isinstance(event, Request) and event.content_length != 0))


def _understood(request: Request, content_octets: int) -> Understood:
    """Return *request* as verdicts say it."""
    path = request.target.path.decode("utf-8", "backslashreplace")
    closes = not request.is_persistent
    return Understood(_cut(request.method), _cut(path), len(request.field_lines), content_octets, closes)


def _answer(connection: h11.Connection) -> bool:
    """Send some answer, and return whether the connection waits for another request."""
    # Not a 2xx: that would open the tunnel which a CONNECT asks for.
    connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
        return False
    connection.start_next_cycle()
    return True


def _path(method: bytes, request_target: bytes) -> str:
    """Return the path in *request_target*, which h11 leaves whole; a host and port alone have none.

    RFC 9112 §3.2.4: an OPTIONS with neither path nor query is for the server as a whole.
    """
    before_query = request_target.decode("ascii").partition("?")[0]
    scheme, separator, rest = before_query.partition("://")
    if separator and "/" not in scheme:
        is_whole_server = method == b"OPTIONS" and "/" not in rest and b"?" not in request_target
        return "*" if is_whole_server else "/" + rest.partition("/")[2]
    return before_query if before_query.startswith("/") or before_query == "*" else ""


def _cut(text: str) -> str:
    """Return *text* as a table can show it."""
    return text if len(text) <= 60 else text[:60] + "…"
