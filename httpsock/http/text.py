"""Safe text: escape controls, which could move a terminal's cursor or hide other text.

Takes and gives str, for terminals, logs and pages.
ECMA-48 (control functions); UAX #9 (bidirectional controls); RFC 9110 §5.5 (dangerous characters in field values).
"""


def visible(text: str) -> str:
    r"""Return *text* with each unprintable character escaped, for example a line end as ``\x0a``."""
    return text if text.isprintable() else "".join(map(visible_character, text))


def visible_character(character: str) -> str:
    """Return *character* if it is printable, else return its escape."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
