"""Kinds of known differences between httpsock's parser and h11. A predicate for each kind recognises the octets.

The table differences.toml has the section, the direction and the reason of each kind. The direction says which parser
refuses. The predicates do not use httpsock's grammar. Otherwise they could not detect errors in this grammar.
"""

import ipaddress
import re
import tomllib
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from conformance.parsers.results import Difference

from .lenient import LenientRequest

TABLE = Path(__file__).parent / "differences.toml"


class Class(NamedTuple):
    """A kind of known difference between the two parsers. *example* is a short request that shows the difference."""

    name: str
    section: str
    direction: str
    says: str
    example: bytes

    @property
    def is_refusal(self) -> bool:
        """Whether one of the two parsers refuses the request."""
        return self.direction != "neither refuses"


def load_classes() -> dict[str, Class]:
    """Return all kinds of known differences by name, in the order of the table."""
    with TABLE.open("rb") as table:
        return {
            name: Class(name, entry["section"], entry["direction"], entry["says"], _unfold(entry["example"]))
            for name, entry in tomllib.load(table).items()
        }


def _unfold(example: str) -> bytes:
    """Return *example* as octets. ``{a * 3}`` becomes ``aaa``."""
    return re.sub(r"{(.*?) \* ([0-9]+)}", lambda match: match[1] * int(match[2]), example, flags=re.DOTALL).encode(
        "latin-1"
    )


_PERCENT = rb"%[0-9A-Fa-f][0-9A-Fa-f]"
_REG_NAME = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|" + _PERCENT + rb")+")
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)(.*)")
_WORD = rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_QUOTED = rb'"(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*"'
_EXTENSION = re.compile(
    rb"(?:[ \t]*;[ \t]*" + _WORD + rb"(?:[ \t]*=[ \t]*(?:" + _WORD + rb"|" + _QUOTED + rb"))?)*",
)


def _is_authority(authority: bytes) -> bool:
    """Return whether *authority* is a valid host with an optional port. The host must not be empty."""
    match = re.fullmatch(rb"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?", authority)
    if not match or int(match[2] or b"0") > 65535:
        return False
    if not match[1].startswith(b"["):
        return bool(_REG_NAME.fullmatch(match[1]))
    literal = match[1][1:-1].decode("latin-1")
    if re.fullmatch(r"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+", literal):
        return True
    try:
        ipaddress.IPv6Address(literal)
    except ValueError:
        return False
    return "%" not in literal


def _has_port(authority: bytes) -> bool:
    match = re.search(rb":([0-9]+)$", authority)
    return match is not None and int(match[1]) > 0


# --- httpsock refuses -----------------------------------------------------------------------------


def _bare_lf(request: LenientRequest) -> bool:
    return bool(re.search(rb"(?<!\r)\n", request.head) or re.search(rb"(?<!\r)\n", request.trailers))


def _folded_line(request: LenientRequest) -> bool:
    return any(line.startswith((b" ", b"\t")) for line in (*request.field_lines[1:], *request.trailer_lines[1:]))


def _control_in_a_value(request: LenientRequest) -> bool:
    values = (line.partition(b":")[2] for line in request.all_field_lines)
    return any(re.search(rb"[\x01-\x08\x0e-\x1f\x7f]", value) for value in values)


def _host_is_invalid(request: LenientRequest) -> bool:
    hosts = request.values(b"host")
    return len(hosts) == 1 and not _is_authority(hosts[0])


def _higher_minor_without_host(request: LenientRequest) -> bool:
    return request.version[:2] == b"1." and request.version > b"1.1" and not request.values(b"host")


def _other_major_version(request: LenientRequest) -> bool:
    return bool(request.version) and not request.version.startswith(b"1.")


def _length_beside_chunked(request: LenientRequest) -> bool:
    return bool(request.values(b"content-length") and request.values(b"transfer-encoding"))


def _chunked_in_http_1_0(request: LenientRequest) -> bool:
    return request.version == b"1.0" and bool(request.values(b"transfer-encoding"))


def _equal_lengths(request: LenientRequest) -> bool:
    lengths = b",".join(request.values(b"content-length")).split(b",")
    return len(lengths) > 1 and len({length.strip(b" \t") for length in lengths}) == 1


def _malformed_extension(request: LenientRequest) -> bool:
    extensions = (line.lstrip(b"0123456789ABCDEFabcdef").rstrip(b" \t") for line in request.chunk_lines)
    return any(not _EXTENSION.fullmatch(extension) for extension in extensions)


def _space_at_the_end_of_a_chunk_line(request: LenientRequest) -> bool:
    return any(line.endswith((b" ", b"\t")) for line in request.chunk_lines)


def _connect_without_a_port(request: LenientRequest) -> bool:
    return request.method == b"CONNECT" and not (_is_authority(request.target) and _has_port(request.target))


def _asterisk_without_options(request: LenientRequest) -> bool:
    return request.target == b"*" and request.method not in {b"OPTIONS", b"CONNECT"}


def _no_form_of_a_target(request: LenientRequest) -> bool:
    is_one = request.target.startswith(b"/") or request.target == b"*" or _ABSOLUTE.fullmatch(request.target)
    return bool(request.target) and request.method != b"CONNECT" and not is_one


def _fragment_or_backslash(request: LenientRequest) -> bool:
    match = _ABSOLUTE.fullmatch(request.target)
    path_and_query = match[3] if match else request.target
    return request.method != b"CONNECT" and bool(re.search(rb"[#\\]", path_and_query))


def _broken_escape(request: LenientRequest) -> bool:
    match = _ABSOLUTE.fullmatch(request.target)
    path = (match[3] if match else request.target).partition(b"?")[0]
    return request.method != b"CONNECT" and bool(re.search(rb"%(?![0-9A-Fa-f]{2})", path))


def _absolute_form(request: LenientRequest) -> tuple[bytes, bytes] | None:
    """Return the scheme and authority of a target in absolute-form. For any other form, return None."""
    match = None if request.method == b"CONNECT" else _ABSOLUTE.fullmatch(request.target)
    return (match[1].lower(), match[2]) if match else None


def _other_scheme(request: LenientRequest) -> bool:
    absolute = _absolute_form(request)
    return absolute is not None and absolute[0] != b"http"


def _userinfo(request: LenientRequest) -> bool:
    absolute = _absolute_form(request)
    return absolute is not None and b"@" in absolute[1]


def _invalid_authority(request: LenientRequest) -> bool:
    absolute = _absolute_form(request)
    return absolute is not None and b"@" not in absolute[1] and not _is_authority(absolute[1])


def _too_many_lines(request: LenientRequest) -> bool:
    return len(request.field_lines) > 100


def _long_request_line(request: LenientRequest) -> bool:
    return request.first_line_octets > 8192


def _long_head(request: LenientRequest) -> bool:
    return request.head_octets > 32 * 1024


def _long_extensions(request: LenientRequest) -> bool:
    lengths = [len(line) for line in request.chunk_lines]
    return bool(lengths) and (max(lengths) > 4096 - 2 or sum(lengths) > 16 * 1024)


def _long_trailers(request: LenientRequest) -> bool:
    return len(request.trailers) > 32 * 1024 or len(request.trailer_lines) > 100


def _much_framing(request: LenientRequest) -> bool:
    excess = accumulate(
        len(line) + len(b"\r\n\r\n") - int((re.match(rb"[0-9A-Fa-f]+", line) or [b"0"])[0], 16)
        for line in request.chunk_lines
    )
    return max(excess, default=0) > 16 * 1024


def _much_content(request: LenientRequest) -> bool:
    return request.content_octets > 1024 * 1024


# --- h11 refuses ----------------------------------------------------------------------------------


def _empty_line_first(request: LenientRequest) -> bool:
    return request.octets.startswith(b"\r\n")


def _obs_text_in_the_target(request: LenientRequest) -> bool:
    return bool(re.search(rb"[\x80-\xff]", request.target))


def _long_chunk_size(request: LenientRequest) -> bool:
    return any(re.match(rb"[0-9A-Fa-f]{21}", line) for line in request.chunk_lines)


def _long_length(request: LenientRequest) -> bool:
    return any(re.fullmatch(rb"[0-9]{21,}", value) for value in request.values(b"content-length"))


def _space_before_an_extension(request: LenientRequest) -> bool:
    return any(re.match(rb"[0-9A-Fa-f]+[ \t]+;", line) for line in request.chunk_lines)


def _empty_coding(request: LenientRequest) -> bool:
    codings = b",".join(request.values(b"transfer-encoding")).split(b",")
    return len(codings) > 1 and b"" in {coding.strip(b" \t") for coding in codings}


def _framing_field_in_a_trailer(request: LenientRequest) -> bool:
    lists = [value for name, value in request.trailer_fields if name == b"content-length"]
    lengths = {length.strip(b" \t") for value in lists for length in value.split(b",")}
    codings = [value.lower() for name, value in request.trailer_fields if name == b"transfer-encoding"]
    is_one_length = len(lengths) <= 1 and all(re.fullmatch(rb"[0-9]{1,20}", length) for length in lengths)
    return not is_one_length or codings not in ([], [b"chunked"])


# --- Neither refuses ------------------------------------------------------------------------------


def _http_1_0_that_asks_to_persist(request: LenientRequest) -> bool:
    options = b",".join(request.values(b"connection")).lower()
    return request.version == b"1.0" and b"keep-alive" in options


PREDICATES: dict[str, Callable[[LenientRequest], bool]] = {
    "a-line-end-without-cr": _bare_lf,
    "a-folded-line": _folded_line,
    "a-control-character-in-a-value": _control_in_a_value,
    "an-invalid-host": _host_is_invalid,
    "a-higher-minor-version-without-host": _higher_minor_without_host,
    "another-major-version": _other_major_version,
    "a-length-beside-chunked": _length_beside_chunked,
    "chunked-in-http-1-0": _chunked_in_http_1_0,
    "equal-lengths": _equal_lengths,
    "a-malformed-chunk-extension": _malformed_extension,
    "a-space-at-the-end-of-a-chunk-line": _space_at_the_end_of_a_chunk_line,
    "a-connect-without-a-port": _connect_without_a_port,
    "an-asterisk-without-options": _asterisk_without_options,
    "a-target-of-no-form": _no_form_of_a_target,
    "a-fragment-or-a-backslash": _fragment_or_backslash,
    "a-broken-escape": _broken_escape,
    "another-scheme": _other_scheme,
    "userinfo": _userinfo,
    "an-invalid-authority": _invalid_authority,
    "too-many-field-lines": _too_many_lines,
    "a-long-request-line": _long_request_line,
    "a-long-head": _long_head,
    "long-chunk-extensions": _long_extensions,
    "a-long-trailer-section": _long_trailers,
    "chunks-of-framing": _much_framing,
    "content-beyond-the-limit": _much_content,
    "an-empty-line-first": _empty_line_first,
    "obs-text-in-the-target": _obs_text_in_the_target,
    "a-chunk-size-of-many-zeros": _long_chunk_size,
    "a-length-of-many-zeros": _long_length,
    "a-space-before-a-chunk-extension": _space_before_an_extension,
    "an-empty-transfer-coding": _empty_coding,
    "a-framing-field-in-a-trailer": _framing_field_in_a_trailer,
    "http-1-0-that-asks-to-persist": _http_1_0_that_asks_to_persist,
}


def explain(difference: Difference) -> list[str]:
    """Return the names of the kinds of known differences that match *difference*.

    If there are none, the difference is a finding.
    """
    request = LenientRequest(difference.octets)
    direction = difference.direction
    return [name for name in _NAMES.get(direction, ()) if PREDICATES[name](request)]


def contradict(request_octets: bytes) -> list[str]:
    """Return the names of the known differences by which one parser should refuse this request.

    Both parsers have accepted the request, so the list should be empty.
    """
    request = LenientRequest(request_octets)
    return [name for name, entry in CLASSES.items() if entry.is_refusal and PREDICATES[name](request)]


CLASSES = load_classes()
_NAMES = {
    direction: [name for name, entry in CLASSES.items() if entry.direction == direction]
    for direction in ("httpsock refuses", "h11 refuses", "neither refuses")
}
