"""Known heads: a cache of parsed heads, and of their parts, since clients repeat them.

Takes complete heads, gives requests. A client that requests a file again repeats the whole head. Clients that load the
same page send the same request lines. One client sends the same field lines for all files of a page, and if it loads
the page again, it only appends conditions. Next: request_parser, which parses the parts that are new.

    GET /a.png HTTP/1.1               request line
    Host: localhost                   stem: the field lines up to the first condition
    Accept-Encoding: gzip
    If-None-Match: "3a7c"             tail: from the first condition to the end
                                      the empty line

RFC 9112 §2.1 (message format); RFC 9110 §13.1 (conditions).
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from .framing import FramingError
from .messages import Request, RequestError, Target

# The parts of a Request that a request line and a field section determine, in its order.
RequestLine = tuple[bytes, str, Target, int]
Fields = Mapping[bytes, bytes]
FieldSection = tuple[Fields, int | None, bool]

# Longer heads are not cached, so that all known parts together stay below some 20 MiB.
MAX_KNOWN_OCTETS = 2048
_MAX_PARTS = 2048
_MAX_HASHES = 4096
_END = b"\r\n\r\n"

Part = TypeVar("Part")


class Parsers(NamedTuple):
    """The functions that parse new parts; all but *tail* raise RequestError or FramingError.

    *section* takes the field lines, with the CRLF before them and the empty line, and the minor version, on which the
    meaning of some fields depends. *tail* takes only the last field lines, also with that CRLF and the empty line. It
    returns their fields, or None if a line is invalid, if two lines have one name, or if a field determines the host,
    the framing or the persistence.
    """

    line: Callable[[bytes], RequestLine]
    section: Callable[[bytes, int], FieldSection]
    tail: Callable[[bytes], Fields | None]
    max_field_lines: int


class KnownHeads:
    """Parses heads, and caches the results for parts that are repeated.

    Heads that never repeat cost little more than their parsing. Shared by all threads: results are immutable, and at
    worst two threads parse the same octets.
    """

    def __init__(self, parsers: Parsers) -> None:
        self._parse_line, self._parse_section, self._parse_tail, self._max_field_lines = parsers
        self.requests: dict[bytes, Request] = {}
        self._lines: dict[bytes, RequestLine] = {}
        # Each key starts with the digit before the CRLF, which is the minor version.
        self._sections: dict[bytes, FieldSection] = {}
        # Hashes of parts that have come once: they take less memory than the parts.
        self._hashes: set[int] = set()

    def parse(self, head: bytes) -> Request:
        """Return the request with the complete *head*, including its empty line; raise the errors of the parsers."""
        line_end = head.find(b"\r\n")
        line_octets, section_octets = head[:line_end], head[line_end - 1 :]
        line, section = self._lines.get(line_octets), self._sections.get(section_octets)
        if line is not None:
            section = section or self._with_tail(section_octets, line[3])
            is_known = section is not None
        else:
            is_known = False
            line = self._parse_line(line_octets)
            self._store(self._lines, line_octets, line)
        if section is None:
            section = self._parse_section(head[line_end:], line[3])
            self._store(self._sections, section_octets, section)
        request = Request._make((head, *line, *section))
        if is_known:
            self._store(self.requests, head, request)
        return request

    def _with_tail(self, octets: bytes, minor_version: int) -> FieldSection | None:
        """Return the parsed field section *octets* if its stem is known and its tail only adds fields, else None."""
        stem_end = octets.find(b"\r\nIf-")
        if stem_end < 0:
            return None
        stem_octets = octets[:stem_end] + _END
        stem = self._sections.get(stem_octets)
        if stem is None:
            with contextlib.suppress(RequestError, FramingError):  # a stem may be invalid without its tail
                self._store(self._sections, stem_octets, self._parse_section(stem_octets[1:], minor_version))
            return None
        added = self._parse_tail(octets[stem_end:])
        # Two of the line ends belong to no field line: the first one, and that of the empty line.
        has_many = octets.count(b"\n") - 2 > self._max_field_lines
        if added is None or has_many or not added.keys().isdisjoint(stem[0]):
            return None
        return {**stem[0], **added}, stem[1], stem[2]

    def _store(self, parts: dict[bytes, Part], octets: bytes, part: Part) -> None:
        """Store *part*, the result for *octets*, if they come for the second time; clear a full store before."""
        hashed = hash(octets)
        if hashed not in self._hashes:
            if len(self._hashes) >= _MAX_HASHES:
                self._hashes.clear()
            self._hashes.add(hashed)
            return
        if len(parts) >= _MAX_PARTS:
            parts.clear()
        parts[octets] = part
