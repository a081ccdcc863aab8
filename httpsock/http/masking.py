"""Masking: hide credentials in all output: the access log, traces, reasons, error messages.

Takes octets as sent over a connection. Replaces credentials with asterisks. It does not parse requests, so it also
masks a line of content that looks like a field with credentials. If in doubt, it masks. It hides

    the values of Authorization (without the scheme, if it is known), Proxy-Authorization, Cookie, Set-Cookie,
      and of fields whose names end in token, jwt, secret, password, passphrase, api-key (also access-, secret- and
      private-key), auth, authorization, session, session-id
    the userinfo of a URI: the part before "@"
    parameters of a query or fragment whose names end in one of these, or in pwd, signature, sig, credential

RFC 9110 §11.6.2, §11.7.2 (credentials), §4.2.4 (userinfo); RFC 6265 §4 (cookies); RFC 6750 §2.3 (tokens in queries).

    Authorization: Basic dXNlcjpzZWNyZXQ=       →   Authorization: Basic ***
    GET http://user:secret@localhost/ HTTP/1.1  →   GET http://***@localhost/ HTTP/1.1
    GET /?access_token=secret HTTP/1.1          →   GET /?access_token=*** HTTP/1.1

If an attempt to match fails, the next attempt starts where this attempt stopped. So the time is linear.
"""

import re
from functools import cache

_TOKEN = rb"!#$%&'*+.^_`|~0-9A-Za-z-"
# Fields are masked in malformed lines too: with other octets before the name, or without the colon.
_START = rb"(?:^|[\r\n])[^\r\n%b]*+" % _TOKEN
_END_OF_NAME = rb"(?![%b])[ \t:=]*+" % _TOKEN
_SCHEME = (
    rb"(?:(?:basic|bearer|digest|negotiate|ntlm|dpop|hoba|mutual|token|apikey|aws4-hmac-sha256|scram-sha-[0-9]+|vapid"
    rb"|oauth|signature)[ \t]++(?=[^\s]))?"
)
_FIELD = rb"%b(?:(?:proxy-)?authorization%b%b|(?:(?:set-)?cookie2?|[%b]{0,40}%b)%b)" % (
    *(_START, _END_OF_NAME, _SCHEME),
    *(
        _TOKEN,
        rb"(?:(?:api|access|secret|private)-?key|token|jwt|secret|passw(?:or)?d|passphrase|auth(?:orization)?|session(?:-?id)?)",
        _END_OF_NAME,
    ),
)
# A value continues in folded lines.
_VALUE = rb"(?>(?:[^\r\n]|(?:\r\n?|\n)[ \t])+)"
_NAME_OF_PARAMETER = (
    rb"[\w.-]{0,40}(?:token|jwt|secret|passw(?:or)?d|passphrase|pwd|sig(?:nature)?|credential"
    rb"|(?:api|access|secret|private)[_-]?key|auth(?:orization)?|sess(?:ion)?(?:[_-]?id)?)"
    # PHP and others write token[]=x.
    rb"(?:\[|%5b|%5d|\]|\+|%20){0,4}(?:=|%3d)"
)
_PARAMETER = rb"(?:^|[\r\n?&;#])" + _NAME_OF_PARAMETER
# Userinfo may follow "//", CONNECT or "Host:". If it has a colon, it may also follow a scheme, or begin any word.
_BEFORE_USERINFO = (
    rb"//|^connect[ \t]++|(?:^|[\r\n])host[ \t]*+:[ \t]*+"
    rb"|(?:^|\s)[\"'<(]*+(?:[a-z][a-z0-9+.-]*+:/?)?(?=[^\s/?#@:]*+:[^\s/?#])"
)


@cache  # compiled when it is first needed: at start-up it would take 5 ms
def _pattern(before_userinfo: bytes, after_userinfo: bytes) -> re.Pattern[bytes]:
    """Return a pattern that matches each secret. A match has two groups, and the second group is the secret.

    *before_userinfo* and *after_userinfo* are patterns for the octets around userinfo.
    """
    userinfo = rb"(%b)([^/?#\s]+)(?=%b)" % (before_userinfo, after_userinfo)
    return re.compile(
        rb"(%b)(%b)|%b|(%b)([^&\s#]++)" % (_FIELD, _VALUE, userinfo, _PARAMETER), re.IGNORECASE
    )  # fmt: skip


# _WHOLE is for a complete text, for example a request line or an authority. _BEGUN is for a stream, in which the "@"
# may arrive later.
_WHOLE = _BEFORE_USERINFO + rb"|^[%b]++[ \t]++|^" % _TOKEN, rb"@|%40"
_BEGUN = _BEFORE_USERINFO, rb"@|%40|\Z"
_OPEN_PARAMETER = _PARAMETER + rb"[^&\s#]*+\Z"
_START_OF_LINE = rb"(?:\r\n?|\n)(?=[^ \t\r\n])"
_LINE_ENDS = rb"[\r\n]{1,4}\Z"
# ``mask_start`` masks this many octets more than it returns, since masking shortens them.
MARGIN = 256
# If the rest of a cut word has an "@", this replaces the rest, so that the userinfo before the cut is recognised.
_ASSUMED_END = b":@"
_WORD = rb"[^/?#\s]*+"
# A line up to this length is stored as it is. A longer line is replaced by a short equivalent.
_MAX_REMEMBERED = 64


def mask(octets: bytes, *, keeps_length: bool = False) -> bytes:
    """Return *octets* with each secret replaced by three asterisks.

    If *keeps_length* is true, an asterisk replaces each octet of a secret instead.
    """
    return _masked(_pattern(*_WHOLE), octets, keeps_length=keeps_length)


@cache
def _secret_parameter() -> re.Pattern[bytes]:
    return re.compile(rb"[?&;#](?=[^&=%%]*+[=%%])%b" % _NAME_OF_PARAMETER, re.IGNORECASE)


def may_have_secret(request_line: bytes, maximum: int) -> bool:
    """Return whether ``mask`` may change the first *maximum* octets of *request_line*.

    The line has the method GET or HEAD, and printable octets only. This takes a tenth of the time of ``mask``.
    """
    has_at = b"@" in request_line or b"%40" in request_line
    return has_at or _secret_parameter().search(request_line, 0, maximum) is not None


def mask_start(octets: bytes, minimum: int) -> bytes:
    """Mask the first *minimum* octets and a few more. Return the result, without the rest of *octets*.

    So the time depends on *minimum*, not on the length of *octets*.
    """
    cut = minimum + MARGIN
    if len(octets) <= cut:
        return mask(octets)
    # The bytes "%40" may stand on both sides of the cut.
    rest = re.compile(_WORD).match(octets, cut - 2)
    if rest is None or (b"@" not in rest[0] and b"%40" not in rest[0]):
        return mask(octets[:cut])
    return mask(octets[:cut] + _ASSUMED_END).removesuffix(_ASSUMED_END[1:]).removesuffix(_ASSUMED_END[:1])


def _masked(pattern: re.Pattern[bytes], octets: bytes, *, keeps_length: bool) -> bytes:
    def hide(match: re.Match[bytes]) -> bytes:
        secret = match.lastindex or 0
        return match[secret - 1] + b"*" * (len(match[secret]) if keeps_length else 3)

    return pattern.sub(hide, octets)


class Masker:
    """Masks the octets that one peer of a connection sends, even if a secret arrives in pieces."""

    def __init__(self) -> None:
        # A short text in place of all octets so far: after it, the next octets are masked in the same way.
        self._context = b""

    def mask(self, octets: bytes) -> bytes:
        """Return *octets*, the next octets of the stream, with an asterisk in place of each octet of a secret."""
        joined = self._context + octets
        masked = _masked(_pattern(*_BEGUN), joined, keeps_length=True)[len(self._context) :]
        start = 0
        for match in re.finditer(_START_OF_LINE, joined):
            start = match.end()
        line = joined[start:]
        self._context = line if len(line) <= _MAX_REMEMBERED else _context(line)
        return masked


def _context(line: bytes) -> bytes:
    """Shorten *line*, but keep all that matters for the masking of later octets."""
    ends = re.search(_LINE_ENDS, line)
    if re.match(_FIELD, line, re.IGNORECASE):
        return b"cookie: x" + (ends[0] if ends else b"")
    if ends:
        return b"x\\" + ends[0]
    # Keep the last word, and whether it is the second, as a request-target is. No field name contains a backslash.
    space = max(line.rfind(b" "), line.rfind(b"\t"), line.rfind(b"\v"), line.rfind(b"\f"), line.rfind(b"\n"))
    word = line[space + 1 :]
    before = b"" if space < 0 else b"x\\ " if len(line.split(None, 2)) > (2 if word else 1) else b"CONNECT "
    return before + (word if len(word) <= _MAX_REMEMBERED else _context_of_word(word))


def _context_of_word(word: bytes) -> bytes:
    """Shorten *word*, but keep all that matters for the masking of later octets."""
    if re.search(_OPEN_PARAMETER, word, re.IGNORECASE):
        return b"/?token=x"
    _, slashes, authority = word.rpartition(b"//")
    if slashes and not re.search(rb"[/?#]", authority):
        return b"x//a" + authority[-2:]
    if not re.search(rb"[/?#]", word):
        return (b"a:" if b":" in word else b"a") + word[-2:]
    parameter = word[max(0, *map(word.rfind, (b"?", b"&", b";", b"#"))) :]
    return b"/" + (parameter if len(parameter) <= _MAX_REMEMBERED else b"/" if word.endswith(b"/") else b"x")
