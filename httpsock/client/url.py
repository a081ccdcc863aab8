"""URLs: where an http URL leads, and where a redirect leads from there.

Takes what a person typed or a server sent, gives a value or says what is wrong with it. What may be repaired without
guessing (a space, a letter beyond ASCII) is percent-encoded; what could break a request apart is refused.
Knows nothing of sockets.

RFC 9110 §4.2 (http URIs), §15.4 (redirection); RFC 3986 §3 (parts), §5 (references).

    http://www.example.org:8080/where?q=now#part
           host            port target      the fragment is never sent
"""

import re
from typing import NamedTuple
from urllib.parse import urljoin

from httpsock.http import grammar

DEFAULT_PORT = 80
# RFC 9110 §4.1 asks for 8000 at least.
_MOST_OCTETS = 16 * 1024
# An address of one network among several, and the interface that leads there (RFC 6874 §2).
_zone = re.compile(
    rb"(?P<before>\[fe80:[^%\]]*+)%25(?P<zone>[0-9A-Za-z._~-]+)(?P<after>\].*)", re.IGNORECASE | re.DOTALL
)
# What a path or query may hold as it is: pchar, "/", "?" and the percent sign of what is encoded already.
_not_in_target = re.compile(rb"[^!$&'()*+,\-./0-9:;=?@A-Z_a-z~%]")
_no_host = re.compile(r"(?:http:)?//(?:[/?#]|$)", re.IGNORECASE)
_control = re.compile(rb"[\x00-\x1f\x7f]")


class UrlError(ValueError):
    """The text is no URL that can be asked for here."""


class _ReferenceError(UrlError):
    """The text is no reference that can be resolved; the message says why, without what the text was."""


class Url(NamedTuple):
    """An http URL taken apart. *host* is in lower case, an IPv6 address without its brackets, its zone after %."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the field Host says: the port only if it is not the default one (RFC 9110 §4.2.3, §7.2)."""
        # RFC 6874 §4: a zone means nothing to anybody else.
        return self._written(self.host.partition("%")[0])

    @property
    def origin(self) -> tuple[str, int]:
        """Host and port: whom to connect to (RFC 9110 §4.3.1)."""
        return self.host, self.port

    def __str__(self) -> str:
        return f"http://{self._written(self.host.replace('%', '%25'))}{self.target}"

    def _written(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"


def parse_url(text: str) -> Url:
    """Return *text* as a Url. Raises UrlError, with a sentence, if it is none that can be asked for here."""
    octets = text.encode("utf-8", "surrogateescape")
    shown = grammar.printable(octets)
    if len(octets) > _MOST_OCTETS:
        raise UrlError(f"the URL has {len(octets)} octets; {_MOST_OCTETS} are the most")
    if control := _control.search(octets):
        raise UrlError(f'the URL "{shown}" has the control character \\x{control[0][0]:02x}')
    match = grammar.absolute_form.fullmatch(octets.partition(b"#")[0])
    if match is None:
        raise UrlError(f'the URL "{shown}" does not begin with http://')
    if match["scheme"].lower() != b"http":
        raise UrlError(f'the URL "{shown}" is not one of http, the only scheme that is spoken here')
    host, port = _parse_authority(match["authority"])
    # RFC 9110 §4.2.3: an empty path is the same as "/".
    target = (match["path"] or b"/") + (b"" if match["query"] is None else b"?" + match["query"])
    return Url(host, port, _not_in_target.sub(lambda octet: b"%%%02X" % octet[0][0], target).decode("ascii"))


def _parse_authority(authority: bytes) -> tuple[str, int]:
    """Return host and port. Raises UrlError where there is none to connect to, or more than that."""
    shown = grammar.printable(authority)
    if b"@" in authority:
        # RFC 9110 §4.2.4: a password would end up in logs and histories, and what stands before "@" deceives.
        raise UrlError("a URL with a user's name or password is not asked for; give them with --header, if at all")
    zone = b""
    if match := _zone.fullmatch(authority):
        authority, zone = match["before"] + match["after"], b"%" + match["zone"]
    match = grammar.host.fullmatch(authority)
    # RFC 3986 §3.2.2: what is to come after IPv6 is not known here.
    if match is None or authority[:2] in (b"[v", b"[V"):
        hint = "; write a name beyond ASCII in its form xn--" if any(octet > 0x7F for octet in authority) else ""
        raise UrlError(f'the URL has "{shown}" for a host{hint}')
    digits = (match["port"] or b"").lstrip(b"0")
    if match["port"] and not (digits and len(digits) <= 5 and int(digits) <= 65535):
        raise UrlError(f'the URL has "{shown}" for host and port; ports are 1 to 65535')
    host = authority[: match.start("port") - 1] if match["port"] is not None else authority
    return host.strip(b"[]").decode("ascii").lower() + zone.decode("ascii"), int(digits or DEFAULT_PORT)


def resolve(base: Url, reference: str) -> Url:
    """Return the URL that *reference* names where *base* is the URL of its document (RFC 3986 §5.2).

    Raises UrlError if it is none that can be asked for here.
    """
    if _control.search(reference.encode("utf-8", "surrogateescape")):
        # A tabulator would be dropped without a word by what resolves the reference.
        raise _ReferenceError("has a control character")
    if _no_host.match(reference):
        # RFC 9110 §4.2.1: it is invalid. Some clients would stay at this host, others take the next segment for one.
        raise _ReferenceError("names no host")
    try:
        joined = urljoin(str(base), reference)
    except ValueError as error:
        raise _ReferenceError(f"leads nowhere: {error}") from None
    return parse_url(joined)


def redirected(method: str, url: Url, status: int, location: bytes | None) -> tuple[str, Url] | None:
    """Return the method and the URL with which a response sends its client elsewhere, or None if it does not.

    Raises UrlError if it sends it where this client can't go.
    """
    if location is None or status not in (301, 302, 303, 307, 308):
        return None
    try:
        # Octets beyond ASCII are taken as they are, and encoded by parse_url().
        elsewhere = resolve(url, location.decode("utf-8", "surrogateescape"))
    except _ReferenceError as error:
        raise UrlError(f'the redirect to "{grammar.printable(location)}" {error}') from None
    # RFC 9110 §15.4: a 303 asks for a GET, and a POST becomes one by custom; HEAD stays HEAD.
    becomes_get = (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST")
    return ("GET" if becomes_get else method), elsewhere
