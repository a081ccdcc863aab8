"""Text that a person may be shown: without controls, which could move a cursor or hide what stands there.

ECMA-48 (control functions); UAX #9 (marks of direction). RFC 9110 §5.5 (what a field value may hold).
"""


def visible(text: str) -> str:
    r"""Return *text* with what is not printable escaped, as ``\\xNN``: controls, marks of direction, line ends."""
    return text if text.isprintable() else "".join(map(visible_character, text))


def visible_character(character: str) -> str:
    """Return *character* itself if it is printable, else its escape."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
