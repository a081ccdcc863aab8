"""Charsets: check whether a file is text, whether the text is UTF-8, and which charset the text declares.

Takes the first octets of a file, or all of them. A charset parameter overrides every declaration within the content
(RFC 9110 §8.3.2, RFC 7303 §3.2, CSS Syntax §3.2). So a server must check a charset before it sends one. Next:
media_types, which uses the results.

    <meta charset=...>, <meta http-equiv=content-type content="...; charset=...">    HTML §13.2.3.2
    <?xml version="1.0" encoding="..."?>                                             XML 1.0 §2.8, §4.3.3
    @charset "...";                                                                  CSS Syntax §3.2
    # -*- coding: ... -*-                                                            Emacs, Python (PEP 263), Ruby
"""

import codecs
import re
from enum import Enum
from functools import cache

# MIME Sniffing §3: these octets make content binary. Tab, LF, FF, CR and ESC are text.
_BINARY = bytes(octet for octet in range(0x20) if octet not in b"\t\n\f\r\x1b")
_UTF16_MARKS = (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
# PDF is a binary format, although it starts with a line of text.
_PDF = b"%PDF-"
# re compiles these patterns on first use, and then remembers them: that saves 0.5 ms of start-up.
# ISO 2022 (ISO-2022-JP, -KR, -CN) and HZ encode other charsets in ASCII octets; these sequences switch charsets.
_SHIFTED = rb"\x1b[$%(-/]|~\{(?:[\x21-\x7d][\x21-\x7e])+~\}"
# All labels of UTF-8 in the Encoding Standard §4.2.
_UTF8_LABELS = frozenset(b"utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8".split())

_XML_DECLARATION = rb"\s*+<\?xml\s[^>]*?\bencoding\s*+=\s*+[\"']([^\"'>]*)"
_CSS_DECLARATION = rb"(?i)\s*+@charset\s++[\"']([^\"'\n]*)"
# Search only this many octets for the first two lines; lines with a declaration are shorter.
_MAX_SOURCE_OCTETS = 512
_COMMENT_DECLARATION = rb"[ \t\f]*#.*?coding[:=][ \t]*([-_.A-Za-z0-9]+)"
_EMACS_DECLARATION = rb".*?-\*-.*?coding[:=][ \t]*([-_.A-Za-z0-9]+)"

# The prescan of HTML §13.2.3.2 skips comments, declarations, and other tags with their attributes.
_ATTRIBUTE = rb"""[\t\n\f\r /]*+(?P<name>[^\t\n\f\r />][^\t\n\f\r />=]*+)
    (?>(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+(?:"(?P<double>[^"]*+)"?|'(?P<single>[^']*+)'?|(?P<bare>[^\t\n\f\r >]*+)))?)"""
_IN_CONTENT = rb"charset[\t\n\f\r ]*+=[\t\n\f\r ]*+[\"']?([^\"';\t\n\f\r ]*)"


class Syntax(Enum):
    """The place where a file declares its charset."""

    HTML = "in a meta tag or an XML declaration"
    XML = "in an XML declaration"
    CSS = "in an @charset rule"
    SCRIPT = "in a comment in the first two lines"
    PLAIN = "in an Emacs cookie in the first two lines"


# Other types that end in +xml are XML. XHTML opened as HTML obeys its meta tags.
_SYNTAXES = {
    "application/xhtml+xml": Syntax.HTML,
    "application/xml": Syntax.XML,
    "application/xml-dtd": Syntax.XML,
    "text/css": Syntax.CSS,
    "text/html": Syntax.HTML,
    "text/x-opml": Syntax.XML,
}
# Scripts declare their charset in a comment in the first two lines.
_SCRIPTS = frozenset(("py", "pyi", "pyw", "rb"))


def syntax_of(media_type: str, suffix: str) -> Syntax:
    """Return where a file of this *media_type* and *suffix* declares its charset."""
    if suffix in _SCRIPTS:
        return Syntax.SCRIPT
    return _SYNTAXES.get(media_type, Syntax.XML if media_type.endswith("+xml") else Syntax.PLAIN)


def is_text(octets: bytes) -> bool:
    """Return whether *octets* are text in any charset.

    Text has no octets that occur only in binary data.
    """
    if octets.startswith(_UTF16_MARKS):
        return True
    return not octets.startswith(_PDF) and len(octets.translate(None, _BINARY)) == len(octets)


def is_utf8(octets: bytes, *, is_whole: bool) -> bool:
    """Return whether *octets* are UTF-8 text.

    If *is_whole* is false, *octets* are the start of a file and may end within a character.
    """
    if b"\0" in octets:
        # Latin letters in UTF-16 or UTF-32 are valid UTF-8 too, with NULs between them.
        return False
    if octets.isascii():
        return not (b"\x1b" in octets or b"~{" in octets) or re.search(_SHIFTED, octets) is None
    try:
        codecs.utf_8_decode(octets, "strict", is_whole)
    except UnicodeDecodeError:
        return False
    return True


def declares_other(octets: bytes, syntax: Syntax) -> bool:
    """Return whether *octets* declare a charset other than UTF-8. Only the first declaration is checked."""
    octets = octets.removeprefix(codecs.BOM_UTF8)
    # The value of <meta charset=utf-8/> includes the slash.
    label = _declared(octets, syntax).strip(b"\t\n\f\r /").lower()
    if syntax in (Syntax.SCRIPT, Syntax.PLAIN):
        # Emacs and Python accept more names: utf-8-unix, utf_8, utf-8-sig.
        return bool(label) and not label.replace(b"_", b"-").startswith((b"utf-8", b"utf8", b"mule-utf-8"))
    return bool(label) and label not in _UTF8_LABELS


def _declared(octets: bytes, syntax: Syntax) -> bytes:
    """Return the first charset that *octets* declare, or b"" if *octets* declare none."""
    match syntax:
        case Syntax.HTML:
            return _first(_XML_DECLARATION, octets) or _declared_in_html(octets)
        case Syntax.XML:
            return _first(_XML_DECLARATION, octets)
        case Syntax.CSS:
            return _first(_CSS_DECLARATION, octets)
        case Syntax.SCRIPT:
            return _declared_in_source(octets, (_COMMENT_DECLARATION, _EMACS_DECLARATION))
        case _:
            return _declared_in_source(octets, (_EMACS_DECLARATION,))


def _declared_in_source(octets: bytes, patterns: tuple[bytes, ...]) -> bytes:
    """Return the charset that a comment in the first two lines declares.

    If none of *patterns* matches, return b"".
    """
    lines = octets[:_MAX_SOURCE_OCTETS].split(b"\n", 2)[:2]
    return next((label for line in lines for pattern in patterns if (label := _first(pattern, line))), b"")


def _first(pattern: bytes, octets: bytes) -> bytes:
    match = re.match(pattern, octets)
    return match[1] if match else b""


@cache  # compiled when it is first needed: at start-up it would take 2 ms
def _meta_attribute() -> re.Pattern[bytes]:
    return re.compile(_ATTRIBUTE, re.VERBOSE)


@cache
def _up_to_meta() -> re.Pattern[bytes]:
    return re.compile(
        rb"""(?> (?: [^<]++
            | <!-- (?: -?> | .*? (?: --> | \Z ))
            | (?! <meta[\t\n\f\r /] ) </?[a-z][^\t\n\f\r />]*+ (?>(?:%s)*)
            | <[!/?][^>]*+
            | <(?! meta[\t\n\f\r /] )
        )*) <meta"""
        % re.sub(rb"\?P<\w+>", b"?:", _ATTRIBUTE),
        re.VERBOSE | re.IGNORECASE | re.DOTALL,
    )


def _declared_in_html(octets: bytes) -> bytes:
    """Return the first charset that a meta tag declares, or b"" if no meta tag declares a charset.

    A browser obeys a meta tag even after the first 1,024 octets. So this function searches all *octets*.
    """
    # A plain search first: the pattern is slow.
    lowered = octets.lower()
    if lowered.find(b"charset", lowered.find(b"<meta")) < 0:
        return b""
    position = 0
    while meta := _up_to_meta().match(octets, position):
        attributes, position = _attributes(octets, meta.end())
        if label := _declared_in_meta(attributes):
            return label
    return b""


def _attributes(octets: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """Return the attributes of an HTML tag, which start at *position*, and the position after the last attribute."""
    attributes: dict[bytes, bytes] = {}
    while found := _meta_attribute().match(octets, position):
        value = found["double"] or found["single"] or found["bare"] or b""
        # The first attribute of a name wins.
        attributes.setdefault(found["name"].lower(), value)
        position = found.end()
    return attributes, position


def _declared_in_meta(attributes: dict[bytes, bytes]) -> bytes:
    """Return the charset that a meta tag with these *attributes* declares. If it declares no charset, return b""."""
    if charset := attributes.get(b"charset"):
        return charset
    if attributes.get(b"http-equiv", b"").strip(b"\t\n\f\r ").lower() != b"content-type":
        return b""
    found = re.search(_IN_CONTENT, attributes.get(b"content", b"").lower())
    return found[1] if found else b""
