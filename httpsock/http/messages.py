"""Messages: requests and responses as values, and the error for an invalid request.

Parsers make requests, handlers make responses. A Request is immutable, so it may be cached and shared between threads.
Knows no file names, sockets or threads. Next: target, framing, then request_parser.

RFC 9110 §5 (fields), §6 (message data), §15 (status codes); RFC 9112 §3, §4.
"""

import io
from collections.abc import Iterator, Mapping
from enum import Enum, IntEnum
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple, Protocol, Self

from .checks import Fields, check_kind, check_number, field_list
from .grammar import each_member, split_field_line
from .text import visible

_MAX_EXPECTATIONS = 16


class Status(IntEnum):
    """The final status codes and their reason phrases: RFC 9110 §15, RFC 6585, 7725 (451) and 4918 (507).

    Any other code from 200 to 599 is "Unassigned". Only 205 is an error: its framing differs (RFC 9110 §15.3.6).
    """

    def __new__(cls, code: int, phrase: str) -> Self:
        """Create a member from a status *code* and its reason *phrase*."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.phrase = phrase
        return member

    phrase: str

    @classmethod
    def _missing_(cls, value: object) -> "Status":
        """Return the status of a code without a name. Raise TypeError or ValueError if *value* can't be a status."""
        check_number("status", value, 200, 599)
        if value == 205:
            raise ValueError("205 has a framing of its own (RFC 9110 §15.3.6)")
        status: Status = int.__new__(cls, value)  # type: ignore[call-overload]
        status._name_, status._value_, status.phrase = "UNASSIGNED", int(status), "Unassigned"
        return status

    @property
    def line(self) -> str:
        """The status line (RFC 9112 §4)."""
        return f"HTTP/1.1 {self.value} {self.phrase}\r\n"

    OK = 200, "OK"
    CREATED = 201, "Created"
    ACCEPTED = 202, "Accepted"
    NON_AUTHORITATIVE_INFORMATION = 203, "Non-Authoritative Information"
    NO_CONTENT = 204, "No Content"
    PARTIAL_CONTENT = 206, "Partial Content"
    MULTIPLE_CHOICES = 300, "Multiple Choices"
    MOVED_PERMANENTLY = 301, "Moved Permanently"
    FOUND = 302, "Found"
    SEE_OTHER = 303, "See Other"
    NOT_MODIFIED = 304, "Not Modified"
    TEMPORARY_REDIRECT = 307, "Temporary Redirect"
    PERMANENT_REDIRECT = 308, "Permanent Redirect"
    BAD_REQUEST = 400, "Bad Request"
    UNAUTHORIZED = 401, "Unauthorized"
    PAYMENT_REQUIRED = 402, "Payment Required"
    FORBIDDEN = 403, "Forbidden"
    NOT_FOUND = 404, "Not Found"
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed"
    NOT_ACCEPTABLE = 406, "Not Acceptable"
    REQUEST_TIMEOUT = 408, "Request Timeout"
    CONFLICT = 409, "Conflict"
    GONE = 410, "Gone"
    LENGTH_REQUIRED = 411, "Length Required"
    PRECONDITION_FAILED = 412, "Precondition Failed"
    CONTENT_TOO_LARGE = 413, "Content Too Large"
    URI_TOO_LONG = 414, "URI Too Long"
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported Media Type"
    RANGE_NOT_SATISFIABLE = 416, "Range Not Satisfiable"
    EXPECTATION_FAILED = 417, "Expectation Failed"
    MISDIRECTED_REQUEST = 421, "Misdirected Request"
    UNPROCESSABLE_CONTENT = 422, "Unprocessable Content"
    UPGRADE_REQUIRED = 426, "Upgrade Required"
    PRECONDITION_REQUIRED = 428, "Precondition Required"
    TOO_MANY_REQUESTS = 429, "Too Many Requests"
    FIELDS_TOO_LARGE = 431, "Request Header Fields Too Large"
    UNAVAILABLE_FOR_LEGAL_REASONS = 451, "Unavailable For Legal Reasons"
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error"
    NOT_IMPLEMENTED = 501, "Not Implemented"
    BAD_GATEWAY = 502, "Bad Gateway"
    SERVICE_UNAVAILABLE = 503, "Service Unavailable"
    GATEWAY_TIMEOUT = 504, "Gateway Timeout"
    VERSION_NOT_SUPPORTED = 505, "HTTP Version Not Supported"
    INSUFFICIENT_STORAGE = 507, "Insufficient Storage"


class Refusal(NamedTuple):
    """The reason for an error response.

    *reason* names the fault and its place. *section* is the section of the RFC, for example "RFC 9112 §5.1".
    """

    status: Status
    reason: str
    section: str


class RequestError(Exception):
    """The request is not valid, or a handler refuses it. The connection sends the refusal and closes."""

    def __init__(self, status: Status | int, reason: str, section: str) -> None:
        status = status if isinstance(status, Status) else Status(status)  # type: ignore[call-arg]
        super().__init__(f"{status} {status.phrase}: {reason} ({section})")
        self.refusal = Refusal(status, visible(reason), visible(section))  # a handler may quote the client


class TargetForm(Enum):
    """The four forms of a request-target (RFC 9112 §3.2)."""

    ORIGIN = "origin-form"
    ABSOLUTE = "absolute-form"
    AUTHORITY = "authority-form"
    ASTERISK = "asterisk-form"


class Target(NamedTuple):
    """A parsed request-target. *path* and *query* are still percent-encoded.

    If *path* or *query* has an octet that must be percent-encoded but is not, *is_encoded* is false.
    """

    form: TargetForm
    path: bytes
    query: bytes | None
    is_encoded: bool


class Request(NamedTuple):
    """The parsed head of a request.

    *head* has the octets received. *request_line* is the first line, for the log. *content_length* is in octets. If the
    content is chunked, *content_length* is None. *fields* has only the fields that a file server needs
    (MEANINGFUL_FIELDS in ``request_parser``). Each name occurs once, in lower case. If a field has several lines, their
    values are joined with commas (RFC 9110 §5.3).
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
        """All field lines in the order received. Names are in lower case, and values have no surrounding whitespace."""
        lines = self.head[len(self.request_line) :].split(b"\r\n")
        # Splitting leaves one empty string before the first field line, and two after the last one.
        return tuple(map(split_field_line, lines[1:-2]))

    def field(self, name: bytes) -> bytes | None:
        """Return the value of the field called *name*, such as b"host". If the field is missing, return None.

        If the field has several lines, join their values with commas.
        """
        value = self.fields.get(name)
        if value is None:
            check_kind("the name of a field", name, bytes, 'bytes, such as b"host"')
            values = [value for found, value in self.field_lines if found == name.lower()]
            return b", ".join(values) if values else None
        return value

    @property
    def expectations(self) -> list[bytes]:
        """The first sixteen members of the Expect field, in lower case.

        An HTTP/1.0 request has no expectations (RFC 9110 §10.1.1).
        """
        members = each_member(self.fields.get(b"expect", b"")) if self.minor_version else iter(())
        return [member.lower() for member in islice(members, _MAX_EXPECTATIONS)]


class FileSlice(NamedTuple):
    """A part of a file opened with ``buffering=0``: *length* octets that start at *offset*."""

    file: io.FileIO
    offset: int
    length: int


Part = bytes | FileSlice


class Sleep(NamedTuple):
    """A stream yields a Sleep if the stream has nothing to send for *seconds*.

    If the client closes the connection meanwhile, the stream ends. The server may also evict the connection. So a
    stream should sleep only if the client can continue with another request, as with event streams.
    """

    seconds: float


# The action after a whole response that a stream sends octet by octet. close: end our side, and read until the client
# ends its own. reset: RST. keep: the next request is answered. stall: send nothing more until the client closes. Only a
# stalled response ends when the server stops; the others have the grace period, as all responses.
Then = Literal["close", "reset", "keep", "stall"]


class Stream(NamedTuple):
    """Content that is generated while it is sent: *chunks* yields octets, or a Sleep.

    Other connections run between two chunks. If there are no octets to send yet, yield b"" to let other connections
    run, or yield a Sleep to wait. Without a Sleep, the server notices a lost client only when it sends octets. The
    server closes the iterator at the end. *length* is the length of the content in octets. If *length* is None, the
    content is chunked. For an HTTP/1.0 client, such content ends with the connection (RFC 9112 §6.3).

    *then* is for tests of clients, see ``testing/exact.py``. If *then* is set, *chunks* yields a whole response with
    its head. The response is sent unchanged, even to HEAD.
    """

    chunks: Iterator[bytes | Sleep]
    length: int | None = None
    then: Then | None = None

    def close(self) -> None:
        """Close the iterator of chunks. If the iterator is a generator, its "finally" clauses run now."""
        getattr(self.chunks, "close", bool)()


Content = tuple[Part, ...] | Stream
_KINDS_OF_CONTENT = "bytes, a tuple of bytes and slices of files, or a Stream"

# Content up to this length is copied behind its head, so that one call sends both.
_JOINED_OCTETS = 64 * 1024


class Closable(Protocol):
    """A resource to close, for example an open file."""

    def close(self) -> None:
        """Close the resource. A second call has no effect."""


class Response:
    """One response. *fields* are pairs or a mapping. Date, Server, Connection and the framing fields are added later.

    *content* is octets, a Stream, or a tuple of octets and file slices. The response owns *file*, the source of its
    content, and closes it after sending. A response for a cached file is sent many times, so never change a response.

    If *has_length* is false, the fields do not give the length of the content. Only a response to HEAD or a response
    with a stream may omit the length (RFC 9110 §9.3.2). *content_length* is the length in octets, also for HEAD. If the
    length of a stream is unknown, *content_length* is 0. *field_lines* has the field lines and the empty line that
    ends the head. *first_write* has these lines. If the first part of the content is short, *first_write* has this
    part, too. *rest* has the other parts. If a Stream is sent, *first_write* and *rest* are empty.
    """

    __slots__ = (
        "content",
        "content_length",
        "field_lines",
        "fields",
        "file",
        "first_write",
        "has_length",
        "refusal",
        "rest",
        "status",
    )

    def __init__(
        self,
        status: Status | int,
        fields: Fields = (),
        content: Content | bytes = (),
        file: Closable | None = None,
        *,
        has_length: bool = True,
    ) -> None:
        self.status = status if isinstance(status, Status) else Status(status)  # type: ignore[call-arg]
        # Most fields are a tuple of tuples already.
        if not isinstance(fields, tuple) or (fields and not isinstance(fields[0], tuple)):
            fields = tuple(field_list(fields))
        self.fields: tuple[tuple[str, str], ...] = fields
        if not isinstance(content, (bytes, tuple)):
            check_kind("content", content, bytes, _KINDS_OF_CONTENT)
        self.content: Content = (content,) if isinstance(content, bytes) else content
        self.file = file
        # The reason of an error response, for the log.
        self.refusal: Refusal | None = None
        # RFC 9110 §6.4.1: these never have content.
        has_content = self.status not in (Status.NO_CONTENT, Status.NOT_MODIFIED)
        self.rest: tuple[Part, ...] = ()
        if isinstance(self.content, Stream):
            # Closed even if it is never sent, as for HEAD.
            self.file = file or self.content
            self.content_length = (self.content.length or 0) if has_content else 0
            has_length = self.content.length is not None
        else:
            self.rest = self.content if has_content else ()
            self.content_length = _length(self.rest)
        self.has_length = has_length or not has_content
        self.field_lines = _field_lines(fields, self.content_length if has_length and has_content else None)
        self.first_write = self.field_lines
        if isinstance(self.content, Stream):
            if self.content.then:
                self.field_lines = self.first_write = b""
            elif has_content:
                self.first_write = b""
        if self.rest and isinstance(self.rest[0], bytes) and len(self.rest[0]) <= _JOINED_OCTETS:
            self.first_write, self.rest = self.field_lines + self.rest[0], self.rest[1:]

    def with_members(self, members: Mapping[str, str]) -> "Response":
        """Return a copy with members added to list fields, for example {"Vary": "Accept"} (RFC 9110 §5.6.1).

        The copy shares the content of this response, so close only one of the two responses.
        """
        return self._with(_with_members(self.fields, tuple(members.items())))

    def with_fields(self, fields: Fields) -> "Response":
        """Return a copy with *fields* in place of fields of the same names. The copy shares the content."""
        added = field_list(fields)
        replaced = {name.lower() for name, _ in added}
        return self._with((*(field for field in self.fields if field[0].lower() not in replaced), *added))

    def _with(self, fields: tuple[tuple[str, str], ...]) -> "Response":
        """Return a copy in which *fields* replace all fields."""
        has_length = b"\nContent-Length: " in b"\n" + self.field_lines
        response = Response(self.status, fields, self.content, self.file, has_length=has_length)
        response.refusal = self.refusal
        return response

    def close(self) -> None:
        """Close the source of the content, if there is one."""
        try:
            if isinstance(self.content, Stream):
                self.content.close()
        finally:
            if self.file is not None:
                self.file.close()


# The responses for one file have the same fields again and again.
@lru_cache(maxsize=1024)
def _with_members(
    fields: tuple[tuple[str, str], ...], members: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Return *fields* with members added to list fields. Each of *members* is a field name and a list member."""
    added = list(fields)
    for name, member in members:
        index = next((index for index, field in enumerate(added) if field[0].lower() == name.lower()), len(added))
        if index == len(added):
            added.append((name, member))
        elif member.lower() not in (each.strip(" \t").lower() for each in added[index][1].split(",")):
            added[index] = added[index][0], f"{added[index][1]}, {member}"
    return tuple(added)


def _field_lines(fields: tuple[tuple[str, str], ...], content_length: int | None) -> bytes:
    """Return *fields* as lines, then a Content-Length line, then the empty line.

    If *content_length* is None, omit the Content-Length line. A 204 must not have this line. In a 304, it would
    describe the omitted content (RFC 9110 §8.6).
    """
    try:
        lines = [": ".join(field) for field in fields]
    except TypeError:
        raise TypeError(f"fields must be pairs of a name and a value, both str, not {fields!r:.200}") from None
    if content_length is not None:
        lines.append(f"Content-Length: {content_length}")
    text = "\r\n".join([*lines, "\r\n"] if lines else ["\r\n"])
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        line = text[: error.start + 1].rpartition("\n")[2]
        raise ValueError(f"the field line {line[-80:]!r} has a character beyond Latin-1 (RFC 9110 §5.5)") from None


def _length(parts: tuple[Part, ...]) -> int:
    """Return the length of *parts* in octets. Raise TypeError if a part is neither bytes nor a FileSlice."""
    try:
        return sum(part.length if isinstance(part, FileSlice) else len(part) for part in parts)
    except TypeError:
        raise TypeError(f"content must be {_KINDS_OF_CONTENT}, not {parts!r:.200}") from None
