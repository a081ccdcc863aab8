"""Device descriptions: format the description of the folder, and parse the descriptions of other devices.

A program that searches downloads the description from the LOCATION that a device announces. Input is untrusted, so the
parser only matches three elements, with linear-time patterns. It ignores document types and nesting, and decodes few
encodings. Must not know sockets.

UPnP Device Architecture 2.0 §2.3 (description), 1.0 §2.1 (URLBase); XML 1.0 §4.1 (references), §4.3.3 (encodings);
RFC 3986 §5 (relative references).
"""

import re
from html import escape
from typing import NamedTuple

from httpsock.client.url import Url, UrlError, resolve
from httpsock.http.text import visible

from .ssdp import DEVICE_TYPE, Device

# UDA 2.0 §2.3: a name has fewer than 64 characters.
_MAX_SENT_CHARACTERS = 63
_MAX_RECEIVED_CHARACTERS = 100
# XML 1.0 §4.3.3 and appendix F: a byte order mark, else a declaration, else UTF-8.
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_ENCODINGS = {b"iso-8859-1": "latin-1", b"us-ascii": "latin-1", b"windows-1252": "cp1252"}
_declaration = re.compile(rb"""<\?xml[^<>]{1,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_ELEMENT = r"<(?:[\w.-]{1,40}:)?%s(?:\s[^<>]*+)?>(?:\s*+<!\[CDATA\[([^<>\]]*+)\]\]>\s*+|([^<>]*+))</"
_ELEMENTS = {name: re.compile(_ELEMENT % name) for name in ("friendlyName", "presentationURL", "URLBase")}
_reference = re.compile(r"&(?:#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def format_description(device: Device, name: str) -> bytes:
    """Return the description of *device* as XML, with the *name* and the folder's URL.

    The description has no services, as UDA 2.0 §2.1 allows. The folder's URL is relative to the description's URL, so
    one description fits every address of the server. XML can't hold control characters, so control characters are
    escaped as text.
    """
    return f"""<?xml version="1.0" encoding="utf-8"?>
<root xmlns="urn:schemas-upnp-org:device-1-0" configId="1">
  <specVersion><major>2</major><minor>0</minor></specVersion>
  <device>
    <deviceType>{DEVICE_TYPE}</deviceType>
    <friendlyName>{escape(visible(name)[:_MAX_SENT_CHARACTERS])}</friendlyName>
    <manufacturer>httpsock</manufacturer>
    <modelName>httpsock</modelName>
    <UDN>uuid:{device.identity}</UDN>
    <presentationURL>/</presentationURL>
  </device>
</root>
""".encode()


class Description(NamedTuple):
    """The elements of a description that this program uses. A missing element is an empty string."""

    name: str
    presentation: str
    base: str

    def page(self, location: Url) -> Url | None:
        """Return the presentation URL, or None if the URL is missing or is no http URL.

        Resolve a relative URL against URLBase (UDA 1.0). If there is no URLBase, resolve the URL against *location*,
        the URL of the description.
        """
        if not self.presentation:
            return None
        try:
            return resolve(resolve(location, self.base) if self.base else location, self.presentation)
        except UrlError:
            return None


def parse_description(octets: bytes) -> Description:
    """Parse *octets* as a description."""
    text = _decoded(octets)
    name, presentation, base = (_first(pattern, text) for pattern in _ELEMENTS.values())
    return Description(name[:_MAX_RECEIVED_CHARACTERS], presentation, base)


def _decoded(octets: bytes) -> str:
    for mark, encoding in _MARKS:
        if octets.startswith(mark):
            return octets[len(mark) :].decode(encoding, "replace")
    declared = _declaration.match(octets)
    encoding = _ENCODINGS.get(declared[1].lower(), "utf-8") if declared else "utf-8"
    return octets.decode(encoding, "replace")


def _first(pattern: re.Pattern[str], text: str) -> str:
    """Return the text of the first element that matches *pattern*, or "" if no element matches."""
    match = pattern.search(text)
    if match is None:
        return ""
    verbatim, escaped = match.groups()
    return (verbatim if escaped is None else _reference.sub(_character, escaped)).strip()


def _character(reference: re.Match[str]) -> str:
    decimal, hexadecimal, name = reference.groups()
    if name:
        return _NAMED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    # XML 1.0 §2.2: surrogates and numbers beyond Unicode are not characters.
    return _REPLACEMENT if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF else chr(number)
