"""Masking: credentials do not show in anything that is written: the access log, traces, reasons, error messages.

Takes octets as they went over a connection, gives them with asterisks in place of credentials. Knows nothing of
requests: a line of content that looks like such a field is masked, too, and so is whatever is in doubt. Masked are

    the values of Authorization (but for a known scheme), Proxy-Authorization, Cookie, Set-Cookie,
      and of fields whose names end in token, secret, password, api-key, session-id
    the userinfo of a URI: what stands before "@"
    query parameters whose names end in token, secret, password, pwd, api-key, signature, sig, credential

RFC 9110 §11.6.2, §11.7.2 (credentials), §4.2.4 (userinfo); RFC 6265 §4 (cookies); RFC 6750 §2.3 (tokens in queries).

    Authorization: Basic dXNlcjpzZWNyZXQ=       →   Authorization: Basic ***
    GET http://user:secret@localhost/ HTTP/1.1  →   GET http://***@localhost/ HTTP/1.1
    GET /?access_token=secret HTTP/1.1          →   GET /?access_token=*** HTTP/1.1

Each pattern begins at an octet that the repetition before it can't hold, so that the work grows with the length alone.
"""

import re
from functools import cache

_TOKEN = rb"!#$%&'*+.^_`|~0-9A-Za-z-"
# Before the name there may be what makes the line malformed, and its colon may be missing.
_START = rb"(?:^|[\r\n])[^\r\n%b]*+" % _TOKEN
_END_OF_NAME = rb"(?![%b])[ \t:=]*+" % _TOKEN
_SCHEME = (
    rb"(?:(?:basic|bearer|digest|negotiate|ntlm|dpop|hoba|mutual|token|apikey|aws4-hmac-sha256|scram-sha-[0-9]+|vapid"
    rb"|oauth|signature)[ \t]++(?=[^\s]))?"
)
_FIELD = rb"%b(?:(?:proxy-)?authorization%b%b|(?:(?:set-)?cookie2?|[%b]{0,40}%b)%b)" % (
    *(_START, _END_OF_NAME, _SCHEME),
    *(_TOKEN, rb"(?:api-?key|token|secret|passw(?:or)?d|session-?id)", _END_OF_NAME),
)
# A value goes on in the lines that are folded.
_VALUE = rb"(?:[^\r\n]|(?:\r\n?|\n)[ \t])++"
_PARAMETER = rb"(?:^|[\r\n?&;])[\w.-]{0,40}(?:token|secret|passw(?:or)?d|pwd|api[_-]?key|sig(?:nature)?|credential)="
# What userinfo may follow: "//"; CONNECT; Host and its colon; or, where it has a colon, a scheme or the beginning of
# any word.
_BEFORE_USERINFO = (
    rb"//|^connect[ \t]++|(?:^|[\r\n])host[ \t]*+:[ \t]*+"
    rb"|(?:^|\s)[\"'<(]*+(?:[a-z][a-z0-9+.-]*+:/?)?(?=[^\s/?#@:]*+:[^\s/?#])"
)


@cache  # compiled when it is first needed: at start-up it would take 5 ms
def _pattern(before_userinfo: bytes, after_userinfo: bytes) -> re.Pattern[bytes]:
    """Return the pattern of all secrets, each as the second of two groups."""
    userinfo = rb"(%b)([^/?#\s]+)(?=%b)" % (before_userinfo, after_userinfo)
    return re.compile(
        rb"(%b)(%b)|%b|(%b)([^&\s#]++)" % (_FIELD, _VALUE, userinfo, _PARAMETER), re.IGNORECASE
    )  # fmt: skip


# Of a whole text, which may be a request line or an authority alone; and of octets whose "@" may be still to come.
_WHOLE = _BEFORE_USERINFO + rb"|^[%b]++[ \t]++|^" % _TOKEN, rb"@|%40"
_BEGUN = _BEFORE_USERINFO, rb"@|%40|\Z"
_OPEN_PARAMETER = _PARAMETER + rb"[^&\s#]*+\Z"
_start_of_line = re.compile(rb"(?:\r\n?|\n)(?=[^ \t\r\n])")
_line_ends = re.compile(rb"[\r\n]{1,4}\Z")
# A reader who wants the start of octets gets it from this many more, since masking shortens them.
MARGIN = 256
# What follows a name that is cut, where userinfo may end later in the same word.
_LATER_END = b":@"
_word = re.compile(rb"[^/?#\s]*+")
# This much of a line is remembered as it is; of more, only what decides about the octets that follow.
_REMEMBERED = 64


def mask(octets: bytes, *, keeps_length: bool = False) -> bytes:
    """Return *octets* with their secrets masked, by three asterisks or by as many as there were octets."""
    return _masked(_pattern(*_WHOLE), octets, keeps_length=keeps_length)


def mask_start(octets: bytes, most: int) -> bytes:
    """Return the start of ``mask(octets)``: at least *most* bytes where no secret stands before that, else maybe fewer.

    The work grows with *most*, not with the length of *octets*.
    """
    cut = most + MARGIN
    if len(octets) <= cut:
        return mask(octets)
    # The bytes "%40" may stand on both sides of the cut.
    rest = _word.match(octets, cut - 2)
    if rest is None or (b"@" not in rest[0] and b"%40" not in rest[0]):
        return mask(octets[:cut])
    return mask(octets[:cut] + _LATER_END).removesuffix(_LATER_END[1:]).removesuffix(_LATER_END[:1])


def _masked(pattern: re.Pattern[bytes], octets: bytes, *, keeps_length: bool) -> bytes:
    def hide(match: re.Match[bytes]) -> bytes:
        secret = match.lastindex or 0
        return match[secret - 1] + b"*" * (len(match[secret]) if keeps_length else 3)

    return pattern.sub(hide, octets)


class Masker:
    """Masks what goes one way over a connection, however it is cut, with the same work for each octet."""

    def __init__(self) -> None:
        # Octets after which the next ones mean the same as after all that came.
        self._context = b""

    def mask(self, octets: bytes) -> bytes:
        """Return *octets*, which follow those of the last time, with their secrets masked; the length stays."""
        joined = self._context + octets
        masked = _masked(_pattern(*_BEGUN), joined, keeps_length=True)[len(self._context) :]
        start = 0
        for match in _start_of_line.finditer(joined):
            start = match.end()
        line = joined[start:]
        self._context = line if len(line) <= _REMEMBERED else _context(line)
        return masked


def _context(line: bytes) -> bytes:
    """Return a short beginning of a line after which octets mean the same as after *line*."""
    ends = _line_ends.search(line)
    if re.match(_FIELD, line, re.IGNORECASE):
        return b"cookie: x" + (ends[0] if ends else b"")
    if ends:
        return b"x\\" + ends[0]
    # The last word, and whether it is the second, as a request-target is. The backslash is part of no name.
    space = max(line.rfind(b" "), line.rfind(b"\t"), line.rfind(b"\v"), line.rfind(b"\f"), line.rfind(b"\n"))
    word = line[space + 1 :]
    before = b"" if space < 0 else b"x\\ " if len(line.split(None, 2)) > (2 if word else 1) else b"CONNECT "
    return before + (word if len(word) <= _REMEMBERED else _context_of_word(word))


def _context_of_word(word: bytes) -> bytes:
    """Return a short beginning of a word after which octets mean the same as after *word*."""
    if re.search(_OPEN_PARAMETER, word, re.IGNORECASE):
        return b"/?token=x"
    _, slashes, authority = word.rpartition(b"//")
    if slashes and not re.search(rb"[/?#]", authority):
        return b"x//a" + authority[-2:]
    if not re.search(rb"[/?#]", word):
        return (b"a:" if b":" in word else b"a") + word[-2:]
    parameter = word[max(word.rfind(b"?"), word.rfind(b"&"), word.rfind(b";"), 0) :]
    return b"/" + (parameter if len(parameter) <= _REMEMBERED else b"/" if word.endswith(b"/") else b"x")
