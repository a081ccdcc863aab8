"""What is said: requests and responses as values, and the one error that means "this cannot be understood".

Takes and gives plain values; a request never changes once made, so it may be kept and shared between threads.
Knows nothing of files' names, sockets or threads.

RFC 9110 §5 (fields), §6 (message data), §15 (status codes); RFC 9112 §3, §4.
"""

import io
from collections.abc import Mapping
from enum import Enum, IntEnum
from itertools import islice
from typing import NamedTuple, Protocol, Self

from .grammar import each_member, name_and_value

_MAX_EXPECTATIONS = 16


class Status(IntEnum):
    """The status codes that httpsock sends, with the reason phrases of RFC 9110 §15 (431: RFC 6585 §5)."""

    def __new__(cls, code: int, phrase: str) -> Self:
        """Return the member *code*, which has a *phrase*."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.phrase = phrase
        return member

    phrase: str

    @property
    def line(self) -> str:
        """The status line (RFC 9112 §4)."""
        return f"HTTP/1.1 {self.value} {self.phrase}\r\n"

    OK = 200, "OK"
    NO_CONTENT = 204, "No Content"
    PARTIAL_CONTENT = 206, "Partial Content"
    MOVED_PERMANENTLY = 301, "Moved Permanently"
    NOT_MODIFIED = 304, "Not Modified"
    BAD_REQUEST = 400, "Bad Request"
    FORBIDDEN = 403, "Forbidden"
    NOT_FOUND = 404, "Not Found"
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed"
    REQUEST_TIMEOUT = 408, "Request Timeout"
    PRECONDITION_FAILED = 412, "Precondition Failed"
    CONTENT_TOO_LARGE = 413, "Content Too Large"
    URI_TOO_LONG = 414, "URI Too Long"
    RANGE_NOT_SATISFIABLE = 416, "Range Not Satisfiable"
    EXPECTATION_FAILED = 417, "Expectation Failed"
    MISDIRECTED_REQUEST = 421, "Misdirected Request"
    FIELDS_TOO_LARGE = 431, "Request Header Fields Too Large"
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error"
    NOT_IMPLEMENTED = 501, "Not Implemented"
    SERVICE_UNAVAILABLE = 503, "Service Unavailable"
    VERSION_NOT_SUPPORTED = 505, "HTTP Version Not Supported"


class Refusal(NamedTuple):
    """Why a request is not answered with what it asks for.

    *reason* names the fault and where it is; *section* says so, as "RFC 9112 §5.1".
    """

    status: Status
    reason: str
    section: str


class RequestError(Exception):
    """The octets received are no request that can be answered; the connection says so and closes."""

    def __init__(self, status: Status, reason: str, section: str) -> None:
        super().__init__(f"{status} {status.phrase}: {reason} ({section})")
        self.refusal = Refusal(status, reason, section)


class TargetForm(Enum):
    """The four forms of a request-target (RFC 9112 §3.2)."""

    ORIGIN = "origin-form"
    ABSOLUTE = "absolute-form"
    AUTHORITY = "authority-form"
    ASTERISK = "asterisk-form"


class Target(NamedTuple):
    """A request-target taken apart; *path* and *query* are still percent-encoded.

    *is_encoded* is false when path or query hold octets that had to be percent-encoded and were not.
    """

    form: TargetForm
    path: bytes
    query: bytes | None
    is_encoded: bool


class Request(NamedTuple):
    """One request's head, understood.

    *head* is as received, and *request_line* its first line, for the log. *fields* has those fields that mean something
    here: each name once, in lower case, the values of its lines joined with commas (RFC 9110 §5.3).
    *content_length* is in octets; None means chunked.
    """

    head: bytes
    request_line: bytes
    method: str
    target: Target
    minor_version: int
    fields: Mapping[bytes, bytes]
    content_length: int | None
    is_persistent: bool

    @property
    def field_lines(self) -> tuple[tuple[bytes, bytes], ...]:
        """All field lines in the order received: names in lower case, values without whitespace around them."""
        found = name_and_value.findall(self.head, len(self.request_line))
        return tuple((name.lower(), value.rstrip(b" \t")) for name, value in found)

    @property
    def expectations(self) -> list[bytes]:
        """What the Expect field asks for, in lower case; HTTP/1.0 has no such field (RFC 9110 §10.1.1).

        A longer list is read up to the sixteenth member: only one expectation is defined.
        """
        members = each_member(self.fields.get(b"expect", b"")) if self.minor_version else iter(())
        return [member.lower() for member in islice(members, _MAX_EXPECTATIONS)]


class FileSlice(NamedTuple):
    """*length* octets of an open file, from *offset* on."""

    file: io.FileIO
    offset: int
    length: int


Part = bytes | FileSlice


def unsent_parts(
    first: bytes, second: bytes, length: int, rest: tuple[Part, ...]
) -> tuple[bytes | memoryview, tuple[Part, ...]]:
    """Return the last *length* octets of *first* and *second*, and the parts after them.

    Nothing is copied of *second*: a cached file is one for all connections that wait for their readers.
    """
    if length > len(second):
        return first[len(first) + len(second) - length :], (second, *rest)
    return memoryview(second)[len(second) - length :], rest


# Content up to this length leaves in one call with the head before it; more is not copied for that.
_JOINED_OCTETS = 64 * 1024


class Closable(Protocol):
    """What is to be closed: an open file, say."""

    def close(self) -> None:
        """Close it; twice does no harm."""


class Response:
    """One response: what is sent, but for the fields that all responses share (Date, Server, Connection).

    *content* is a sequence of octets and slices of files. The response owns *file*, which its content comes from or
    is held by, and closes it when it is sent. It is put together once, here: the response of a kept file is sent over
    and over, and never changes.

    Only the response to HEAD may leave its length unsaid (RFC 9110 §9.3.2).

    *content_length* is the number of octets of content that a GET is sent. *field_lines* end with the empty line after
    the head. *opening* is these, and the first part of the content if that is short; *rest* the parts that follow it.
    """

    __slots__ = (
        "content",
        "content_length",
        "field_lines",
        "fields",
        "file",
        "first_write",
        "refusal",
        "rest",
        "status",
    )

    def __init__(
        self,
        status: Status,
        fields: tuple[tuple[str, str], ...],
        content: tuple[Part, ...] = (),
        file: Closable | None = None,
        *,
        says_length: bool = True,
    ) -> None:
        self.status = status
        self.fields = fields
        self.content = content
        self.file = file
        # Why it is an error, for the log.
        self.refusal: Refusal | None = None
        self.content_length = sum(part.length if isinstance(part, FileSlice) else len(part) for part in content)
        self.field_lines = _field_lines(status, fields, self.content_length if says_length else None)
        self.first_write, self.rest = self.field_lines, content
        if content and isinstance(content[0], bytes) and len(content[0]) <= _JOINED_OCTETS:
            self.first_write, self.rest = self.field_lines + content[0], content[1:]

    def close(self) -> None:
        """Close what the content comes from, if that is to be closed."""
        if self.file is not None:
            self.file.close()


def _field_lines(status: Status, fields: tuple[tuple[str, str], ...], content_length: int | None) -> bytes:
    """Return the lines of *fields* and of Content-Length, unless it is None, and the empty line.

    RFC 9110 §8.6: a 204 must not say a length, and what a 304 could say is the length of something else.
    """
    lines = [f"{name}: {value}\r\n" for name, value in fields]
    if content_length is not None and status not in (Status.NO_CONTENT, Status.NOT_MODIFIED):
        lines.append(f"Content-Length: {content_length}\r\n")
    return "".join([*lines, "\r\n"]).encode("latin-1")
