"""Masking: what proves who a client is does not show in a trace.

Takes octets as they went over a connection, gives them with asterisks in the place of credentials: the values of
Authorization (but for its scheme), Proxy-Authorization, Cookie and Set-Cookie, and the userinfo of a URI. Whatever is
in doubt is masked. Knows nothing of requests: a line of content that looks like such a field is masked, too.

RFC 9110 §11.6.2, §11.7.2 (credentials), §4.2.4 (userinfo); RFC 6265 §4 (cookies).

    Authorization: Basic dXNlcjpzZWNyZXQ=       →   Authorization: Basic ***
    GET http://user:secret@localhost/ HTTP/1.1  →   GET http://***@localhost/ HTTP/1.1
"""

import re

# What comes before a secret, and the secret: a field's value with the lines that continue it; userinfo up to its "@",
# or to where the octets received so far end, since the "@" may be still to come.
_secret = re.compile(
    rb"((?:^|[\r\n])(?:(?:proxy-)?authorization[ \t]*:[ \t]*(?:[0-9a-z-]+[ \t]+)?|(?:set-)?cookie[ \t]*:[ \t]*))"
    rb"((?:[^\r\n]|\r?\n[ \t])+)"
    rb"|(//|^connect[ \t]+|(?:^|[\r\n])host[ \t]*:[ \t]*)([^/?#\s]+)(?=@|\Z)",
    re.IGNORECASE,
)
# A line longer than this is no field line; of its beginning so much is kept as holds the name of a field.
_LONGEST_LINE = 32 * 1024
_LONGEST_NAME = 64


def mask(octets: bytes, *, keeps_length: bool = False) -> bytes:
    """Return *octets* with their secrets masked, by three asterisks or by as many as there were octets."""

    def hide(match: re.Match[bytes]) -> bytes:
        before, secret = (match[1], match[2]) if match[3] is None else (match[3], match[4])
        return before + b"*" * (len(secret) if keeps_length else 3)

    return _secret.sub(hide, octets)


class Masker:
    """Masks what goes one way over a connection, however it is cut."""

    def __init__(self) -> None:
        # The line that is not known to have ended.
        self._line = b""

    def mask(self, octets: bytes) -> bytes:
        """Return *octets*, which follow those of the last time, with their secrets masked; the length stays."""
        joined = self._line + octets
        masked = mask(joined, keeps_length=True)[len(self._line) :]
        line = joined[_start_of_last_line(joined) :]
        self._line = line if len(line) <= _LONGEST_LINE else line[:_LONGEST_NAME]
        return masked


def _start_of_last_line(octets: bytes) -> int:
    """Return where the last line starts that may go on; one that begins with a space goes on with the line before."""
    stop = len(octets)
    while (newline := octets.rfind(b"\n", 0, stop)) >= 0:
        if octets[newline + 1 : newline + 2] not in (b"", b" ", b"\t"):
            break
        stop = newline
    return newline + 1
