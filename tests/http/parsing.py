"""Helpers that feed a request parser: all octets together, one by one, or in two pieces."""

from collections.abc import Iterable

from hypothesis import settings

from httpsock.http.framing import ContentLimits
from httpsock.http.message_reader import Content, Pause
from httpsock.http.messages import Refusal, Request, RequestError, Target, TargetForm
from httpsock.http.request_parser import (
    Limits,
    RequestEvent,
    RequestParser,
)
from tests.support import get
from tests.support.cuts import Cut

bounded = settings(derandomize=True, deadline=None, max_examples=200)
LIMITS = Limits()
SMALL = Limits(
    request_line=40,
    head=100,
    field_lines=3,
    empty_lines=2,
    content=ContentLimits(content=20, chunk_line=16, chunk_extensions=24, trailers=24),
)
ONE_MIB = 1024 * 1024

Outcome = list[RequestEvent | Refusal]


def outcome_of_pieces(pieces: Iterable[bytes], limits: Limits = LIMITS) -> Outcome:
    """Feed *pieces* to a new parser, and return all its events. Join adjacent content.

    The last event is a Pause or a Refusal. Omit content before a Refusal, since its length depends on the pieces.
    """
    request_parser = RequestParser(limits)
    outcome: Outcome = []
    last: RequestEvent = Pause.NEED_DATA
    for piece in pieces:
        request_parser.receive(piece)
        try:
            while not isinstance(last := request_parser.next_event(), Pause):
                if isinstance(last, Content) and isinstance(before := outcome[-1], Content):
                    outcome[-1] = Content(before.octets + last.octets)
                else:
                    outcome.append(last)
        except RequestError as error:
            complete = outcome[:-1] if outcome and isinstance(outcome[-1], Content) else outcome
            return [*complete, error.refusal]
    return [*outcome, last]


def outcome_of(cut: Cut, octets: bytes, limits: Limits = LIMITS, *, ends: bool = False) -> Outcome:
    """Return the events of a parser for *octets*. If *ends* is true, the end of input follows the octets.

    The function *cut* cuts the octets in several ways. Assert that each way gives the same events.
    """
    outcomes = [outcome_of_pieces([*pieces, b""] if ends else pieces, limits) for pieces in cut(octets)]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    return outcomes[0]


def request_of(cut: Cut, octets: bytes, limits: Limits = LIMITS) -> Request:
    """Parse *octets* and return their only request. Assert that no octets are left."""
    request, *rest = outcome_of(cut, octets, limits)
    assert isinstance(request, Request)
    assert rest == [Pause.NEED_DATA]
    return request


def refusal_of(cut: Cut, octets: bytes, limits: Limits = LIMITS) -> Refusal:
    """Assert that *octets* are malformed, and return the refusal."""
    (refusal,) = outcome_of(cut, octets, limits)
    assert isinstance(refusal, Refusal)
    return refusal


def get_root(*field_lines: bytes, version: str = "HTTP/1.1") -> bytes:
    """Return a GET for / with Host and *field_lines*."""
    return get("/", *field_lines, host="a", version=version)


ROOT = Target(TargetForm.ORIGIN, b"/", None, is_encoded=True)
HOST = ((b"host", b"a"),)
PLAIN = Request(get_root(), b"GET / HTTP/1.1", "GET", ROOT, 1, dict(HOST), 0, is_persistent=True)


def post(framing: bytes, content: bytes) -> bytes:
    """Return a POST with the field lines *framing* and with *content*."""
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + content
