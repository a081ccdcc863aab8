"""The grammar: the ABNF of RFC 9110 and RFC 9112 as patterns over octets, and the format of an HTTP-date.

Takes octets, gives matches and plain values. Knows no messages, files or sockets. Next: messages.
Above each pattern is its rule, as the RFC prints it. Repetitions are possessive (``*+``), so that hostile octets can't
make a pattern backtrack. Groups are atomic instead (``(?>...)``), since possessive groups fail before Python 3.11.5.

A name in lower case is a compiled pattern. A name in capitals is the source of a pattern. Such a pattern is a part of
other patterns, or is seldom needed. re compiles it on first use and caches it. To compile all patterns would take 5 ms.

RFC 9110 §5.6 (tokens, quoted strings, dates), §12.4.2 (weights); RFC 9112 §2.2, §3, §5, §7.1;
RFC 3986 §2.1, §3.2 (percent-encoding, hosts).
"""

import re
import time
from collections.abc import Iterator
from functools import cache, lru_cache

from .masking import MARGIN, mask_start

# --- RFC 9110 §5.6: the building blocks of fields -------------------------------------------------

# tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
#       / DIGIT / ALPHA
# token = 1*tchar
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# OWS = *( SP / HTAB )      BWS = OWS
OWS = rb"[ \t]*+"
# quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
QUOTED_STRING = rb'"(?>(?:[\t !#-\[\]-~\x80-\xff]++|\\[\t -~\x80-\xff])*)"'

# --- RFC 9112 §3, §5: the head --------------------------------------------------------------------

# HTTP-version = HTTP-name "/" DIGIT "." DIGIT      HTTP-name = %s"HTTP"
HTTP_VERSION = rb"HTTP/([0-9])\.([0-9])"
# request-line = method SP request-target SP HTTP-version
# The target has its own grammar, checked afterwards; here it is any octets but spaces and controls.
REQUEST_LINE = rb"(" + TOKEN + rb") ([!-~\x80-\xff]++) " + HTTP_VERSION
# field-line = field-name ":" OWS field-value OWS
# field-value = *field-content      field-vchar = VCHAR / obs-text
FIELD_VALUE = rb"[\t -~\x80-\xff]*+"
FIELD_LINE = TOKEN + rb":" + FIELD_VALUE

token = re.compile(TOKEN)
field_value = re.compile(FIELD_VALUE)
# HTTP-message = start-line CRLF *( field-line CRLF ) CRLF      here from the first CRLF on, with a maximum of lines
FIELD_SECTION = rb"\r\n(?>(?:" + FIELD_LINE.replace(b"%", b"%%") + rb"\r\n){0,%d})\r\n"
# status-line = HTTP-version SP status-code SP [ reason-phrase ]      status-code = 3DIGIT
# reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )
# Some servers omit the second space together with the phrase; that is unambiguous, so it is accepted.
STATUS_LINE = HTTP_VERSION + rb" ([0-9]{3})(?: (" + FIELD_VALUE + rb"))?"

# --- RFC 3986 §3.2.2, RFC 9110 §4.2, §7.2: hosts and targets --------------------------------------

# dec-octet: 0 to 255 without leading zeros
_DEC_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rb"(?:" + _DEC_OCTET + rb"\.){3}" + _DEC_OCTET
_H16 = rb"[0-9A-Fa-f]{1,4}"
_LS32 = rb"(?:" + _H16 + rb":" + _H16 + rb"|" + _IPV4 + rb")"
# IPv6address =                            6( h16 ":" ) ls32
#             /                       "::" 5( h16 ":" ) ls32
#             / [               h16 ] "::" 4( h16 ":" ) ls32      and so on, to
#             / [ *6( h16 ":" ) h16 ] "::"
_IPV6 = b"|".join(
    [rb"(?:%b:){6}%b" % (_H16, _LS32), rb"::(?:%b:){5}%b" % (_H16, _LS32)]
    + [rb"(?:(?:%b:){0,%d}%b)?::(?:%b:){%d}%b" % (_H16, n, _H16, _H16, 4 - n, _LS32) for n in range(5)]
    + [rb"(?:(?:%b:){0,5}%b)?::%b" % (_H16, _H16, _H16), rb"(?:(?:%b:){0,6}%b)?::" % (_H16, _H16)]
)
# IP-literal = "[" ( IPv6address / IPvFuture ) "]"
_IP_LITERAL = rb"\[(?:" + _IPV6 + rb"|[vV][0-9A-Fa-f]++\.[!$&'()*+,;=:\-._~0-9A-Za-z]++)\]"
# reg-name = *( unreserved / pct-encoded / sub-delims ), not empty in an http URI
_REG_NAME = rb"(?>(?:[!$&'()*+,;=\-._~0-9A-Za-z]++|%[0-9A-Fa-f]{2})+)"
# Host = uri-host [ ":" port ]      port = *DIGIT
_HOST = rb"(?:(?P<literal>\[[^\]]*+\])|" + _REG_NAME + rb")(?::(?P<port>[0-9]*+))?"

# absolute-form = scheme "://" authority path-abempty [ "?" query ]
ABSOLUTE_FORM = (
    rb"(?s)(?P<scheme>[A-Za-z][A-Za-z0-9+\-.]*+)://(?P<authority>[^/?]*+)(?P<path>[^?]*+)(?:\?(?P<query>.*+))?"
)
# origin-form = absolute-path [ "?" query ]      query = *( pchar / "/" / "?" )
# pchar = unreserved / pct-encoded / sub-delims / ":" / "@"; even without pct-encoded, this covers nearly all targets.
_PLAIN = rb"[!$&'()*+,\-./0-9:;=@A-Z_a-z~"
_PLAIN_ORIGIN_FORM = rb"(/" + _PLAIN + rb"]*+)(?:\?(" + _PLAIN + rb"?]*+))?"
# A request line. If its target is a plain origin-form, as in nearly all requests, the groups 2 and 3 are its path and
# query; for any other target both are None.
request_line = re.compile(rb"(" + TOKEN + rb") (?:" + _PLAIN_ORIGIN_FORM + rb" |[!-~\x80-\xff]++ )" + HTTP_VERSION)
# Octets that must be percent-encoded in a path or query, but that people type and browsers send.
UNENCODED = rb'["<>\[\]^`{|}\x80-\xff]'
# pct-encoded = "%" HEXDIG HEXDIG
BROKEN_PERCENT = rb"%(?![0-9A-Fa-f]{2})"

# --- RFC 9112 §7.1: chunks ------------------------------------------------------------------------

# chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
_CHUNK_EXT = rb"(?>(?:%b;%b%b(?>(?:%b=%b(?:%b|%b))?))*)" % (OWS, OWS, TOKEN, OWS, OWS, TOKEN, QUOTED_STRING)
# chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF      chunk-size = 1*HEXDIG
_CHUNK_LINE = rb"(?P<size>[0-9A-Fa-f]++)(?P<extensions>" + _CHUNK_EXT + rb")\r\n"

# --- RFC 9110 §5.6.1, §8.8.3, §12.4.2: lists, entity-tags, weights --------------------------------

# A member of a comma-separated list; a comma within quotes does not end it.
_LIST_MEMBER = rb'(?s)(?>(?:"(?>(?:[^"\\]++|\\.)*)(?:"|\\?\Z)|[^",]++)+)'
# A value or parameter between semicolons; a semicolon within quotes does not end it.
PARAMETER = rb'(?s)(?>(?:"(?>(?:[^"\\]++|\\.)*)(?:"|\\?\Z)|[^";]++)+)'
# Connection = #connection-option      connection-option = token      (RFC 9110 §7.6.1)
_OPTION = rb"(?i:(?:\A|,)" + OWS + rb"%b" + OWS + rb"(?:,|\Z))"
CLOSE_OPTION = _OPTION % b"close"
KEEP_ALIVE_OPTION = _OPTION % b"keep-alive"
# entity-tag = [ weak ] opaque-tag      opaque-tag = DQUOTE *etagc DQUOTE
ENTITY_TAG = rb'(?:W/)?"[!#-~\x80-\xff]*+"'
ENTITY_TAGS = rb"(?>(?:[ \t,]*+" + ENTITY_TAG + rb"[ \t]*+(?=,|$))+)[ \t,]*+"
# Content-Range = "bytes" SP ( first-pos "-" last-pos "/" ( complete-length / "*" ) / "*/" complete-length )
CONTENT_RANGE = rb"(?i:bytes) (?:(?P<first>[0-9]++)-(?P<last>[0-9]++)|\*)/(?:(?P<length>[0-9]++)|\*)"
# weight = OWS ";" OWS "q=" qvalue
# qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
QVALUE = rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?"


def split_field_line(line: bytes) -> tuple[bytes, bytes]:
    """Return the name and the value of a valid field line. The name is in lower case. The line may end with CRLF."""
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t\r\n")


def match_host(octets: bytes) -> re.Match[bytes] | None:
    """Return the match of a host with an optional port, or None if the host is invalid."""
    match = re.fullmatch(_HOST, octets)
    is_valid = match and (match["literal"] is None or re.fullmatch(_IP_LITERAL, match["literal"]))
    return match if is_valid else None


@cache
def chunk_line() -> re.Pattern[bytes]:
    """Return the pattern of a chunk's first line. The pattern is compiled on first use."""
    return re.compile(_CHUNK_LINE)


def list_members(field_value: bytes) -> list[bytes]:
    """Return the members of a comma-separated list. Skip empty members (RFC 9110 §5.6.1.2)."""
    return list(each_member(field_value))


def each_member(field_value: bytes) -> Iterator[bytes]:
    """Yield the members of a comma-separated list one by one. This saves time if only the first members are needed."""
    for match in re.finditer(_LIST_MEMBER, field_value):
        if member := match[0].strip(b" \t"):
            yield member


def printable(octets: bytes, maximum: int = 60) -> str:
    r"""Return the first *maximum* octets as text for a person. If there are more octets, end with an ellipsis.

    Quotes, backslashes and all octets other than printable ASCII become ``\xNN``.

    Mask credentials (RFC 9110 §17.9, §17.16), since the text may end up in a log that other people read.
    """
    masked = mask_start(octets, maximum)
    shown = "".join(map(_SHOWN.__getitem__, masked[:maximum]))
    return shown + "…" if len(masked) > maximum or len(octets) > maximum + MARGIN else shown


# Each octet as a person reads it: one look-up, so that a long request line in a log takes little time.
_SHOWN = [chr(o) if 0x20 <= o < 0x7F and o not in b'"\\' else f"\\x{o:02x}" for o in range(256)]

# Whole runs: thousands of escapes in a row cost one call.
_PERCENT_ENCODED = rb"(?>(?:%[0-9A-Fa-f]{2})+)"
_RESERVED = rb"[^0-9A-Za-z\-._~]++"


def percent_decode(octets: bytes) -> bytes:
    """Decode each percent-encoded octet once (RFC 3986 §2.4). So "%2541" becomes "%41"."""
    if b"%" not in octets:
        return octets
    return re.sub(_PERCENT_ENCODED, lambda run: bytes.fromhex(run[0].replace(b"%", b"").decode("ascii")), octets)


def encode_unencoded(octets: bytes) -> str:
    """Percent-encode the octets of a path or query that must not be sent unencoded. Keep existing escapes."""
    return "".join(map(_written().__getitem__, re.sub(BROKEN_PERCENT, b"%25", octets)))


@cache
def _written() -> list[str]:
    """Return a table with the encoded form of each octet. With a table, every octet takes the same time to encode."""
    return [f"%{octet:02X}" if re.match(UNENCODED, bytes((octet,))) else chr(octet) for octet in range(256)]


def percent_encode(octets: bytes) -> str:
    """Percent-encode all octets except unreserved characters (RFC 3986 §2.1, §2.3)."""
    return re.sub(_RESERVED, lambda run: b"%" + run[0].hex("%").upper().encode("ascii"), octets).decode("ascii")


def accept_line(octets: bytes) -> bytes | None:
    """Return the value of the Accept field line in an invalid head, or None if there is no such line."""
    match = re.search(rb"(?i)\naccept:[ \t]*+([\t -~]*+)", octets.partition(b"\r\n\r\n")[0])
    return match[1] if match else None


# --- RFC 9110 §5.6.7: HTTP-date -------------------------------------------------------------------

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = rb"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = rb"(?P<month>" + "|".join(MONTHS).encode() + rb")"
_TIME = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATES = (
    # IMF-fixdate  = day-name "," SP date1 SP time-of-day SP GMT       Sun, 06 Nov 1994 08:49:37 GMT
    _DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" GMT",
    # rfc850-date  = day-name-l "," SP date2 SP time-of-day SP GMT     Sunday, 06-Nov-94 08:49:37 GMT
    _LONG_DAY + rb", (?P<day>[0-9]{2})-" + _MONTH + rb"-(?P<year>[0-9]{2}) " + _TIME + rb" GMT",
    # asctime-date = day-name SP date3 SP time-of-day SP year          Sun Nov  6 08:49:37 1994
    _DAY + b" " + _MONTH + rb" (?P<day>[0-9]{2}| [0-9]) " + _TIME + rb" (?P<year>[0-9]{4})",
)
_LAST_SECOND_OF_9999 = 253_402_300_799


@lru_cache(maxsize=1024)
def format_http_date(seconds: int) -> str:
    """Return a time as an IMF-fixdate. *seconds* count from 1970 UTC, and the year must be from 1970 to 9999."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} GMT"


def can_be_http_date(seconds: int) -> bool:
    """Return whether a time in seconds since 1970 is in the years 1970 to 9999, so that an HTTP-date can express it."""
    return 0 <= seconds <= _LAST_SECOND_OF_9999


def parse_http_date(field_value: bytes, now: float) -> int | None:
    """Return an HTTP-date as seconds since 1970, or None if the date is invalid. All three forms are allowed.

    If a two-digit year would be more than 50 years after *now*, a year in the past is meant (RFC 9110 §5.6.7).
    """
    for form in _DATES:
        if match := re.fullmatch(form, field_value):
            break
    else:
        return None
    month = 1 + MONTHS.index(match["month"].decode())
    # second = 2DIGIT goes up to 60, a leap second; POSIX time counts it as the next second.
    second = int(match["second"])
    year = int(match["year"])
    if len(match["year"]) == 2:
        today = time.gmtime(now)
        year += today.tm_year - today.tm_year % 100
        candidate = (year - 50, month, int(match["day"]), int(match["hour"]), int(match["minute"]), second)
        if candidate > today[:6]:
            year -= 100
    leap = second == 60
    from datetime import UTC, datetime  # 1.4 ms of start-up, and only a few conditions need it

    try:
        date = datetime(
            year, month, int(match["day"]), int(match["hour"]), int(match["minute"]), second - leap, tzinfo=UTC
        )
    except ValueError:
        return None
    return int(date.timestamp()) + leap


# Fields with a single value, not a list, on which a decision depends (RFC 9110 §5.3, §5.5).
SINGLETONS = frozenset(
    b"""content-location content-range content-type date etag if-modified-since if-range if-unmodified-since
    last-modified location range retry-after""".split()
)
