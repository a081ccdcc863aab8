"""Helpers that send requests to the file handler without a connection and check the syntax of each answer."""

from email.utils import formatdate

from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import respond
from httpsock.http.grammar import format_http_date
from httpsock.http.handler import Tick
from httpsock.http.messages import FileSlice, Request, Response
from httpsock.http.request_parser import parse_head
from tests.support import Answer, finish, read_answer
from tests.support.context import FixedContext
from tests.support.folder import LONG_AGO

# A time long after any file of a test was made: all have strong validators and may be cached.
NOW = 4_000_000_000.0
BROWSER = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"


def octets_of(response: Response) -> bytes:
    """Read the content of *response*, from memory and from files. Then close the response."""
    parts = []
    for part in response.content:
        if isinstance(part, FileSlice):
            part.file.seek(part.offset)
            parts.append(part.file.read(part.length))
        else:
            parts.append(part)
    response.close()
    return b"".join(parts)


def respond_to(root: DocumentRoot, request: Request, tick: Tick) -> Response:
    """Run the file handler to its end, and return the response."""
    responded = respond(root, request, FixedContext(tick))
    return responded if isinstance(responded, Response) else finish(responded)


def ask(root: DocumentRoot, octets: bytes, now: float = NOW) -> Answer:
    """Send the request head *octets* to the file handler and return the answer. Check the answer's syntax.

    This function adds Date, as a connection would. Unlike a connection, it keeps the content for HEAD.
    """
    response = respond_to(root, parse_head(octets, 100), Tick(now, 0.0))
    content = octets_of(response)
    beginning = f"{response.status.line}Date: {formatdate(now, usegmt=True)}\r\n".encode()
    # The response to HEAD for a listing has no length.
    method = "GET" if b"\r\nContent-Length:" in response.field_lines else "HEAD"
    answer, rest = read_answer(beginning + response.field_lines + content, method)
    assert rest == b"", "the content is as long as its head says"
    return answer


def field_names(answer: Answer) -> list[str]:
    """Return the field names of *answer*, sorted."""
    return sorted(name for name, _ in answer.fields)


MODIFIED = format_http_date(LONG_AGO)
