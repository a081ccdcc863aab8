"""Known heads: a cache of parsed heads and of parts of heads, since clients repeat them.

Takes complete heads, gives requests. A client that requests a file again repeats the whole head. Clients that load the
same page send the same request lines. One client sends the same field lines for all files of a page. If the client
loads the page again, it only appends conditions. Next: request_parser, which parses the new parts.

    GET /a.png HTTP/1.1               request line
    Host: localhost                   stem: the field lines up to the first condition; the same for all files
    Accept-Encoding: gzip
    If-None-Match: "3a7c"             tail: from the first condition to the end; the same for all clients
                                      the empty line

RFC 9112 §2.1 (message format); RFC 9110 §13.1 (conditions).
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from .framing import FramingError
from .messages import Request, RequestError, Target

# The parts of a Request that a request line and a field section determine, in its order.
RequestLine = tuple[bytes, str, Target, int]
Fields = dict[bytes, bytes]
FieldSection = tuple[Fields, int | None, bool]

# Longer heads are not cached, so that all known parts together stay below some 25 MiB.
MAX_KNOWN_OCTETS = 2048
# Longer heads are not cached as a whole: hashing one in vain takes 3 % of the time of a browser's request.
MAX_WHOLE_OCTETS = 256
# Search for conditions only in the last octets, since a search of the whole head would take longer.
_MAX_TAIL_OCTETS = 256
_MAX_PARTS = 2048
_MAX_HASHES = 4096
# A longer tail is parsed together with its stem.
_MAX_TAIL_LINES = 8
_END = b"\r\n\r\n"

Part = TypeVar("Part")


class Parsers(NamedTuple):
    """The functions that parse the parts of a head that are not cached.

    *line* parses a request line. *section* parses all field lines. The second argument of *section* is the minor
    version. *line* and *section* raise RequestError or FramingError. *tail* parses the last field lines of a head and
    returns their fields. *tail* returns None if a line is invalid, if a name is repeated, or if a field determines the
    host, the framing or the persistence. *section* and *tail* get octets that start with the CRLF before the first line
    and end with the empty line.
    """

    line: Callable[[bytes], RequestLine]
    section: Callable[[bytes, int], FieldSection]
    tail: Callable[[bytes], Fields | None]
    max_field_lines: int


class KnownHeads:
    """Parses heads, and caches the results for heads and parts that are repeated.

    A head that is never repeated costs little more than its parsing. All threads share one object without a lock:
    results are immutable, and at worst two threads parse the same octets.
    """

    def __init__(self, parsers: Parsers) -> None:
        self._parse_line, self._parse_section, self._parse_tail, self._max_field_lines = parsers
        self.requests: dict[bytes, Request] = {}
        self._lines: dict[bytes, RequestLine] = {}
        # Each key starts with the digit before the CRLF, which is the minor version. A stem ends before a CRLF.
        self._sections: dict[bytes, FieldSection] = {}
        self._stems: dict[bytes, FieldSection] = {}
        self._tails: dict[bytes, Fields] = {}
        # Hashes of the parts that came before. A hash takes less memory than a part, and determines its own index.
        self._hashes = [0] * _MAX_HASHES

    def parse(self, octets: bytes) -> Request:
        """Return the request at the start of *octets*. Raise RequestError or FramingError if its head is invalid.

        The head must be complete, including its empty line. More heads may follow. These heads must be complete, too.
        """
        line_end = octets.find(b"\r\n")
        line_octets, section_octets = octets[:line_end], octets[line_end - 1 :]
        line, section = self._lines.get(line_octets), self._sections.get(section_octets)
        if line is not None:
            section = section or self._conditional_section(octets, line_end)
            if section is not None:
                request = Request._make((octets, *line, *section))
                if len(octets) <= MAX_WHOLE_OCTETS and self._is_repeated(octets):
                    _put(self.requests, octets, request)
                return request
        if section is None:
            head_end = octets.find(_END) + len(_END)
            if head_end < len(octets):
                head = octets[:head_end]
                return self.requests.get(head) or self.parse(head)
        if line is None:
            line = self._parse_line(line_octets)
            if self._is_repeated(line_octets):
                _put(self._lines, line_octets, line)
        if section is None:
            section = self._parse_section(octets[line_end:], line[3])
            if self._is_repeated(section_octets):
                _put(self._sections, section_octets, section)
        return Request._make((octets, *line, *section))

    def _conditional_section(self, head: bytes, line_end: int) -> FieldSection | None:
        """Join two cached parts of *head*: the lines before the first condition, and all lines after these.

        Return the fields of all lines. If a part can't be cached, or if a field is in each of the parts, return None.
        """
        stem_end = head.find(b"\r\nIf-", max(line_end, len(head) - _MAX_TAIL_OCTETS))
        if stem_end < 0:
            return None
        stem_octets, tail_octets = head[line_end - 1 : stem_end], head[stem_end:]
        stem = self._stems.get(stem_octets) or self._learn_stem(stem_octets)
        if stem is None:
            return None
        tail = self._tails.get(tail_octets)
        if tail is None:
            tail = self._parse_tail(tail_octets) if tail_octets.count(b"\n") <= _MAX_TAIL_LINES else None
            if tail is None:
                return None
            if self._is_repeated(tail_octets):
                _put(self._tails, tail_octets, tail)
        fields = stem[0] | tail
        # If a name occurs in the stem and in the tail, its values must be joined.
        return (fields, stem[1], stem[2]) if len(fields) == len(stem[0]) + len(tail) else None

    def _learn_stem(self, octets: bytes) -> FieldSection | None:
        """Return the parsed fields of a stem, and cache the result. A stem is the field lines before the conditions.

        Return None if the stem comes for the first time, is invalid or is too long.
        """
        section_octets = octets + _END
        # The condition that ends the stem may belong to the next head.
        is_whole = section_octets.find(_END) == len(octets)
        if not is_whole or octets.count(b"\n") + _MAX_TAIL_LINES > self._max_field_lines:
            return None
        stem = self._sections.get(section_octets)
        if stem is None and self._is_repeated(octets):
            with contextlib.suppress(RequestError, FramingError):  # a stem may be invalid without its tail
                stem = self._parse_section(section_octets[1:], 0 if octets.startswith(b"0") else 1)
        if stem is not None:
            _put(self._stems, octets, stem)
        return stem

    def _is_repeated(self, octets: bytes) -> bool:
        """Remember *octets*. Return whether the same octets came before."""
        hashed = hash(octets)
        place = hashed % _MAX_HASHES
        if self._hashes[place] == hashed:
            return True
        self._hashes[place] = hashed
        return False


def _put(parts: dict[bytes, Part], octets: bytes, part: Part) -> None:
    """Store the result *part* for *octets* in the cache *parts*. If the cache is full, first clear the cache."""
    if len(parts) >= _MAX_PARTS:
        parts.clear()
    parts[octets] = part
