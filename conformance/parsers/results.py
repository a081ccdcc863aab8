"""The result of a parser: all requests that it found in some octets, with all fields and the entire content.

Two results agree if both parsers found the same requests at the same positions and then did the same with the rest.
Otherwise there is a Difference, which has the octets from the point where the results differ.

Standard library only. The tables of the corpus use a shorter form, the Verdict, which `ParseResult.verdict` returns.
"""

from typing import NamedTuple

from conformance.corpus.verdicts import Understood, Verdict

_SHOWN_CHARACTERS = 60


class ParsedRequest(NamedTuple):
    """One complete request that a parser found. *stop* is the position after its last octet.

    If *closes* is true, the connection closes after this request.
    """

    method: bytes
    path: bytes
    query: bytes | None
    fields: tuple[tuple[bytes, bytes], ...]
    content: bytes
    stop: int
    closes: bool


class ParseResult(NamedTuple):
    """The requests that a parser found in some octets. If it refused the rest, *refusal* is the reason.

    If the parser raised an unexpected exception, *crash* describes it.
    """

    requests: tuple[ParsedRequest, ...]
    refusal: str | None = None
    status: int | None = None
    crash: str | None = None

    @property
    def verdict(self) -> Verdict:
        """The result in the short form of the corpus. After a crash, raise RuntimeError."""
        if self.crash is not None:
            raise RuntimeError(self.crash)
        return Verdict(tuple(_understood(request) for request in self.requests), self.status)


class Difference(NamedTuple):
    """The point where two results differ. *octets* start after the last request on which both parsers agree.

    *ours* is the next request that httpsock found. *theirs* is the next request that h11 found. If a parser
    found no further request, its value is None.
    """

    octets: bytes
    ours: ParsedRequest | None
    our_refusal: str | None
    theirs: ParsedRequest | None
    their_refusal: str | None

    @property
    def direction(self) -> str:
        """Which parser refuses the octets, such as "h11 refuses"."""
        if self.our_refusal is not None:
            return "httpsock refuses"
        return "h11 refuses" if self.their_refusal is not None else "neither refuses"


def find_difference(octets: bytes, ours: ParseResult, theirs: ParseResult) -> Difference | None:
    """Compare two results for *octets*. Return the point where they differ, or None."""
    agreed = 0
    for our_request, their_request in zip(ours.requests, theirs.requests, strict=False):
        if our_request != their_request:
            break
        agreed += 1
    our_next = ours.requests[agreed] if agreed < len(ours.requests) else None
    their_next = theirs.requests[agreed] if agreed < len(theirs.requests) else None
    our_refusal = None if our_next else ours.refusal
    their_refusal = None if their_next else theirs.refusal
    if our_next == their_next and (our_refusal is None) == (their_refusal is None):
        return None
    start = ours.requests[agreed - 1].stop if agreed else 0
    return Difference(octets[start:], our_next, our_refusal, their_next, their_refusal)


def _understood(request: ParsedRequest) -> Understood:
    """Convert *request* to the short form of the corpus."""
    method, path = (_cut(octets.decode("utf-8", "backslashreplace")) for octets in (request.method, request.path))
    return Understood(method, path, len(request.fields), len(request.content), request.closes)


def _cut(text: str) -> str:
    """Shorten *text* for a table."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
