"""URLs: parse an http URL, and resolve a redirect against it.

Text from a person or a server comes in. A Url goes out, or an error that names the fault. If a URL contains a forbidden
but harmless character, for example a space, the parser percent-encodes it. The parser rejects control characters, which
could split a request. Must not know sockets. Next: ``connection``.

RFC 9110 §4.2 (http URIs), §15.4 (redirection); RFC 3986 §3 (parts), §5 (references).

    http://www.example.org:8080/where?q=now#part
           host            port target      the client does not send the fragment
"""

import re
from typing import NamedTuple
from urllib.parse import urljoin

from httpsock.http import grammar

DEFAULT_PORT = 80
# RFC 9110 §4.1 asks for 8000 at least.
_MAX_OCTETS = 16 * 1024
# A link-local address with its zone: the interface that leads to it (RFC 6874 §2).
_zone = re.compile(
    rb"(?P<before>\[fe80:[^%\]]*+)%25(?P<zone>[0-9A-Za-z._~-]+)(?P<after>\].*)", re.IGNORECASE | re.DOTALL
)
# A path or query may contain pchar, "/", "?" and "%" unencoded. This pattern matches every other octet.
_not_in_target = re.compile(rb"[^!$&'()*+,\-./0-9:;=?@A-Z_a-z~%]")
_no_host = re.compile(r"(?:http:)?//(?:[/?#]|$)", re.IGNORECASE)
_control = re.compile(rb"[\x00-\x1f\x7f]")


class UrlError(ValueError):
    """The text is not an http URL that this client supports."""


class _ReferenceError(UrlError):
    """The text can't be resolved as a reference.

    The message completes a sentence, for example "has a control character".
    """


class Url(NamedTuple):
    """A parsed http URL. *host* is in lower case. An IPv6 address has no brackets, but may have a zone after "%"."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host field, without the default port (RFC 9110 §4.2.3, §7.2)."""
        # RFC 6874 §4: a zone has a meaning on this machine only, so leave it out.
        return self._written(self.host.partition("%")[0])

    @property
    def origin(self) -> tuple[str, int]:
        """The host and port to connect to (RFC 9110 §4.3.1)."""
        return self.host, self.port

    def __str__(self) -> str:
        return f"http://{self._written(self.host.replace('%', '%25'))}{self.target}"

    def _written(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"


def parse_url(text: str) -> Url:
    """Parse *text* as a Url. Raise UrlError with the reason if *text* is malformed or not supported."""
    octets = _octets_of(text)
    shown = grammar.printable(octets)
    if len(octets) > _MAX_OCTETS:
        raise UrlError(f"the URL has {len(octets)} bytes; the limit is {_MAX_OCTETS}")
    if control := _control.search(octets):
        raise UrlError(f'the URL "{shown}" has the control character \\x{control[0][0]:02x}')
    match = re.fullmatch(grammar.ABSOLUTE_FORM, octets.partition(b"#")[0])
    if match is None:
        raise UrlError(f'the URL "{shown}" does not begin with http://')
    if match["scheme"].lower() != b"http":
        raise UrlError(f'the URL "{shown}" has a scheme that is not supported; use http')
    host, port = _parse_authority(match["authority"])
    # RFC 9110 §4.2.3: an empty path is equivalent to "/".
    target = (match["path"] or b"/") + (b"" if match["query"] is None else b"?" + match["query"])
    return Url(host, port, _not_in_target.sub(lambda octet: b"%%%02X" % octet[0][0], target).decode("ascii"))


def _octets_of(text: str) -> bytes:
    """Return *text* in UTF-8. Raise UrlError if *text* has no form in UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UrlError(f"the URL has the surrogate {text[error.start]!a}, which has no form in UTF-8") from None


def _parse_authority(authority: bytes) -> tuple[str, int]:
    """Return the host and the port. Raise UrlError if either is invalid, or if there is a user name."""
    shown = grammar.printable(authority)
    if b"@" in authority:
        # RFC 9110 §4.2.4: a password would end up in logs and histories, and text before "@" can pose as the host.
        raise UrlError("URLs with a user name or password are refused; send an Authorization field instead")
    zone = b""
    if match := _zone.fullmatch(authority):
        authority, zone = match["before"] + match["after"], b"%" + match["zone"]
    match = grammar.match_host(authority)
    # RFC 3986 §3.2.2: "[v" starts an address of a future version of IP.
    if match is None or authority[:2] in (b"[v", b"[V"):
        hint = "; write a non-ASCII name in its xn-- form" if any(octet > 0x7F for octet in authority) else ""
        raise UrlError(f'the URL has an invalid host "{shown}"{hint}')
    digits = (match["port"] or b"").lstrip(b"0")
    if match["port"] and not (digits and len(digits) <= 5 and int(digits) <= 65535):
        raise UrlError(f'the URL has an invalid port in "{shown}"; ports are 1 to 65535')
    host = authority[: match.start("port") - 1] if match["port"] is not None else authority
    return host.strip(b"[]").decode("ascii").lower() + zone.decode("ascii"), int(digits or DEFAULT_PORT)


def resolve(base: Url, reference: str) -> Url:
    """Resolve *reference* against *base* (RFC 3986 §5.2). Raise UrlError if the result is not supported."""
    if _control.search(_octets_of(reference)):
        # urljoin() would silently drop a tab.
        raise _ReferenceError("has a control character")
    if _no_host.match(reference):
        # RFC 9110 §4.2.1: such a URL is invalid. Some clients would use the base's host, others the next segment.
        raise _ReferenceError("names no host")
    try:
        joined = urljoin(str(base), reference)
    except ValueError as error:
        raise _ReferenceError(f"is invalid: {error}") from None
    return parse_url(joined)


def redirect(method: str, url: Url, status: int, location: bytes | None) -> tuple[str, Url] | None:
    """Return the method and the URL for the request that follows a redirect. For other responses, return None.

    Raise UrlError if the new URL is not supported.
    """
    if location is None or status not in (301, 302, 303, 307, 308):
        return None
    try:
        # parse_url() percent-encodes the octets beyond ASCII.
        target = resolve(url, location.decode("utf-8", "surrogateescape"))
    except _ReferenceError as error:
        raise UrlError(f'the redirect to "{grammar.printable(location)}" {error}') from None
    # RFC 9110 §15.4: after 303 any method but HEAD becomes GET; after 301 and 302 only POST does, by custom.
    becomes_get = (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST")
    return ("GET" if becomes_get else method), target
