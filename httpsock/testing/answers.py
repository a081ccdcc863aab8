"""Answers: which answer a request gets in place of a file.

A middleware in front of the folder. It answers only after the whole request has arrived. So when a test has the
response, the recording has the request's content.

RFC 9110 §3.9 (a request and its response), §10.1.1 (100 for a client that waits for it).
"""

import threading
from collections.abc import Sequence

from httpsock.handlers.checked import respond
from httpsock.http.handler import Context, Handler, Steps
from httpsock.http.messages import Request, Response

from .exact import Exact, exact_response

# A response, exact octets, or a handler that makes a response for each request.
Answer = Response | Exact | Handler
_ANY = b""


class Answers:
    """The answers that a test has defined for one server."""

    def __init__(self) -> None:
        self._answers: dict[bytes, list[Answer]] = {}
        self._lock = threading.Lock()

    def set(self, target: str | None, answers: Sequence[Answer]) -> None:
        """Answer requests for *target* with *answers* in turn. Repeat the last answer.

        A target without a query stands for the path with any query. None stands for all other requests.
        """
        key = _ANY if target is None else target.encode("ascii")
        with self._lock:
            self._answers[key] = list(answers)

    def clear(self) -> None:
        """Forget all answers, so that requests get files again."""
        with self._lock:
            self._answers.clear()

    def middleware(self, handler: Handler) -> Handler:
        """Return a handler that sends the answers of this object. *handler* gets the requests that have no answer."""

        def respond_as_defined(request: Request, context: Context) -> Response | Steps[Response]:
            answer = self._next(request)
            if answer is None:
                return handler(request, context)
            if isinstance(answer, Response) and request.content_length == 0:
                return answer
            return self._answer(answer, request, context)

        return respond_as_defined

    def _next(self, request: Request) -> Answer | None:
        """Return the next answer to *request*, or None if there is none. Use the last answer again and again."""
        path, query = request.target.path, request.target.query
        with self._lock:
            for key in (path if query is None else b"%b?%b" % (path, query), path, _ANY):
                if answers := self._answers.get(key):
                    return answers.pop(0) if len(answers) > 1 else answers[0]
        return None

    def _answer(self, answer: Answer, request: Request, context: Context) -> Steps[Response]:
        """Wait until the content of *request* has arrived. Return the response of *answer*."""
        if not isinstance(answer, Response | Exact):
            response = yield from respond(answer, request, context)
            # Receive the content that the handler has not read.
            yield from context.discard_content()
            return response
        while (yield from context.read_content()):
            pass
        return answer if isinstance(answer, Response) else exact_response(iter(answer.parts), answer.then)
