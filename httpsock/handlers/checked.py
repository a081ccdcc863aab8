"""Checked handlers: check each response of a program's handler before the server sends it.

A wrong response could break the framing or the event loop. So a checked handler raises TypeError or ValueError for a
wrong response, and the client gets a 500. If the server has only a folder and no middleware, its responses are not
checked, which saves time.

RFC 9110 §5.1, §5.5 (names and values of fields); RFC 9112 §6 (framing).
"""

import io
import os
from collections.abc import Coroutine, Generator, Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from itertools import islice

from httpsock.http.checks import check_field, check_number, check_seconds, field_list
from httpsock.http.handler import Context, Handler, Steps
from httpsock.http.messages import FileSlice, Part, Request, RequestError, Response, Sleep, Status, Stream

# The length of the longest file (off_t).
_MAX_LENGTH = 2**63 - 1
# Each response sets these fields itself; a second or wrong one would break its framing.
_OWN_FIELDS = frozenset(
    ("connection", "content-length", "date", "keep-alive", "trailer", "transfer-encoding", "upgrade")
)


def respond(handler: Handler, request: Request, context: Context) -> Steps[Response]:
    """Call *handler*, run any steps of the handler, and return the response.

    A middleware calls ``response = yield from respond(handler, request, context)``, then changes the response. Raise
    TypeError if *handler* does not return a response.
    """
    return finish(handler(request, context))


def finish(result: object) -> Steps[Response]:
    """Run the steps of *result*, if it has any. Return the response. Raise TypeError if there is no response."""
    if isinstance(result, Generator):
        result = yield from result
    return _check_response(result)


def _check_response(result: object) -> Response:
    """Return *result*, the result of a handler. Raise TypeError if *result* is not a Response."""
    if isinstance(result, Response):
        return result
    hint = ""
    if isinstance(result, Coroutine):
        # Otherwise Python warns about it as well.
        result.close()
        hint = "; it must not be an async function"
    raise TypeError(f"the handler returned {result!r:.80}, not a Response or a generator that returns one{hint}")


def checked(handler: Handler) -> Handler:
    """Return a handler that calls *handler* and checks the response."""

    def respond_if_valid(request: Request, context: Context) -> Response | Steps[Response]:
        result: object = handler(request, context)
        return _checked_steps(result, request) if isinstance(result, Generator) else _checked(result, request)

    return respond_if_valid


def _checked_steps(steps: Steps[object], request: Request) -> Steps[Response]:
    """Run *steps*, check each value that *steps* yield, and return the checked response."""
    thrown: Exception | None = None
    with closing(steps):
        while True:
            try:
                wait = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return _checked(end.value, request)
            if not _is_wait(wait):
                raise TypeError(f"a handler may only yield None, or from a method of its context, not {wait!r:.80}")
            try:
                yield wait
                thrown = None
            except Exception as error:
                thrown = error


def _is_wait(wait: object) -> bool:
    """Return whether a handler may yield *wait*.

    A handler may yield None. A handler may also pass on a wait from a method of its context: a state and a deadline.
    """
    if not isinstance(wait, tuple):
        return wait is None
    return len(wait) == 2 and hasattr(wait[0], "event") and isinstance(wait[1], float)


def _checked(result: object, request: Request) -> Response:
    """Return the response to send. If *result* is invalid, close it and raise TypeError, ValueError or RequestError."""
    response = _check_response(result)
    try:
        return _checked_response(response, request)
    except BaseException:
        response.close()
        raise


def _checked_response(response: Response, request: Request) -> Response:
    if request.method == "CONNECT" and response.status < Status.MULTIPLE_CHOICES:
        raise RequestError(Status.NOT_IMPLEMENTED, "the server opens no tunnel", "RFC 9110 §9.3.6")
    _check_fields(response.fields)
    if isinstance(response.content, Stream):
        return _with_checked_chunks(response, response.content)
    is_head = request.method == "HEAD"
    if not is_head and not response.has_length:
        raise ValueError("only the response to HEAD may omit its length (RFC 9110 §9.3.2)")
    for part in response.content:
        if not isinstance(part, bytes):
            _check_parts(response.content, is_head=is_head)
            break
    return response


def _check_parts(parts: tuple[Part, ...], *, is_head: bool) -> None:
    """Raise TypeError or ValueError if one of *parts* is neither bytes nor a slice within its file.

    If *is_head* is true, a slice may exceed its file, since no content is sent.
    """
    # For each file, the end of its last slice.
    stops: dict[io.FileIO, int] = {}
    for part in parts:
        if isinstance(part, FileSlice):
            check_number("the offset of a slice", part.offset, 0, _MAX_LENGTH)
            check_number("the length of a slice", part.length, 0, _MAX_LENGTH)
            stops[part.file] = max(stops.get(part.file, 0), part.offset + part.length)
        elif not isinstance(part, bytes):
            raise TypeError(f"content must be bytes, slices of files or a Stream, not {part!r:.80}")
    for file, stop in stops.items():
        if not is_head and stop > (length := os.fstat(file.fileno()).st_size):
            raise ValueError(f"a slice ends at byte {stop} of a file that has {length} bytes")


# Most handlers send the same fields again and again.
@lru_cache(maxsize=1024)
def _check_fields(fields: tuple[tuple[str, str], ...]) -> None:
    """Raise ValueError if a field is malformed, or if only the server may set the field."""
    for name, value in field_list(fields):
        check_field(name, value)
        if name.lower() in _OWN_FIELDS:
            raise ValueError(f"the field {name} is set by each response itself")


def _with_checked_chunks(response: Response, stream: Stream) -> Response:
    """Make and check the first chunk. Return *response* with a check for each further chunk."""
    length = stream.length
    if length is not None:
        check_number("the length of a stream", length, 0, _MAX_LENGTH)
    chunks = stream._replace(chunks=_CheckedChunks(stream.chunks))
    streamed = Response(response.status, response.fields, chunks, response.file)
    streamed.refusal = response.refusal
    return streamed


class _CheckedChunks(Iterator[bytes | Sleep]):
    """Checks the chunks of a stream. The first chunk is made before the head is sent, so its error can become a 500."""

    def __init__(self, chunks: Iterable[object]) -> None:
        self._chunks = iter(chunks)
        self._first = [_checked_chunk(chunk) for chunk in islice(self._chunks, 1)]

    def __next__(self) -> bytes | Sleep:
        return self._first.pop() if self._first else _checked_chunk(next(self._chunks))

    def close(self) -> None:
        """Close the iterator of chunks. A generator then runs its ``finally`` clauses."""
        getattr(self._chunks, "close", bool)()


def _checked_chunk(chunk: object) -> bytes | Sleep:
    if not isinstance(chunk, bytes | Sleep):
        raise TypeError(f"a stream must yield bytes or a Sleep, not {chunk!r:.80}")
    if isinstance(chunk, Sleep):
        check_seconds("the seconds of a Sleep", chunk.seconds)
    return chunk
