r"""Exact octets as an answer, even octets that no well-behaved server sends.

Takes octets, gives a response that is sent as exactly these octets: see ``Stream`` in http/messages.py.

    Exact(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", then="reset")

RFC 9112 §8 (incomplete messages), §9.6 (tear-down); RFC 9293 §3.5.2 (reset).
"""

from collections.abc import Iterator
from typing import NamedTuple, get_args

from httpsock.http.checks import check_seconds
from httpsock.http.messages import Closable, Response, Sleep, Status, Stream, Then


class Exact(NamedTuple):
    """An answer of exact *octets*: bytes, or a tuple of bytes and pauses (Sleep).

    *then* is the action after the last octet: see Then in http/messages.py.
    """

    octets: bytes | tuple[bytes | Sleep, ...]
    then: Then = "close"

    @property
    def parts(self) -> tuple[bytes | Sleep, ...]:
        """The bytes and the pauses as a tuple."""
        return self.octets if isinstance(self.octets, tuple) else (self.octets,)


def check_exact(exact: Exact) -> None:
    """Raise TypeError or ValueError if *exact* can't be sent."""
    for part in exact.parts:
        if not isinstance(part, bytes | Sleep):
            raise TypeError(f"exact octets must be bytes, or a tuple of bytes and Sleep, not {part!r:.80}")
        if isinstance(part, Sleep):
            check_seconds("the seconds of a Sleep", part.seconds)
    if exact.then not in get_args(Then):
        raise ValueError(f"then must be one of {', '.join(get_args(Then))}, not {exact.then!r}")


def exact_response(
    parts: Iterator[bytes | Sleep], then: Then, status: Status = Status.NO_CONTENT, source: Closable | None = None
) -> Response:
    """Return a response that sends exactly the octets of *parts*.

    *status* is only for the log. Closing the response closes *source*.
    """
    return Response(status, (), Stream(parts, then=then), source)


def is_exact(response: Response) -> bool:
    """Return whether *response* sends exact octets."""
    return isinstance(response.content, Stream) and response.content.then is not None
