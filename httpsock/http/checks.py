"""Argument checks: reject wrong arguments of the public API, with one sentence that names the argument.

Takes names and values. Raises TypeError for a value of the wrong kind, and ValueError for a value out of range.

RFC 9110 §5.1, §5.5 (names and values of fields).
"""

from collections.abc import Iterable, Mapping

from . import grammar

Fields = Iterable[tuple[str, str]] | Mapping[str, str]

# This is more than eleven days. System calls overflow on much longer times.
MAX_SECONDS = 1_000_000


def check_kind(name: str, value: object, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Raise TypeError if *value* is not an instance of *kinds*. In the message, *wanted* describes a right value."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise TypeError(f"{name} must be {wanted}, not {_named(value)}")


def check_callable(name: str, value: object, wanted: str = "a function") -> None:
    """Raise TypeError if *value* can't be called. In the message, *wanted* describes a right value."""
    if not callable(value):
        raise TypeError(f"{name} must be {wanted}, not {_named(value)}")


def check_number(name: str, value: object, minimum: int, maximum: int) -> None:
    """Raise TypeError if *value* is not a whole number, or ValueError if the number is out of range."""
    check_kind(name, value, int, "a whole number")
    if not minimum <= value <= maximum:  # type: ignore[operator]
        raise ValueError(f"{name} must be from {minimum} to {maximum}, not {value}")


def check_seconds(name: str, value: object) -> None:
    """Raise TypeError or ValueError if *value* is not a valid time-out. A time-out is neither negative nor infinite."""
    check_kind(name, value, (int, float), "a number of seconds")
    # NaN fails this comparison too.
    if not 0 <= value <= MAX_SECONDS:  # type: ignore[operator]
        raise ValueError(f"{name} must be from 0 to {MAX_SECONDS} seconds, not {value}")


def field_list(fields: object) -> list[tuple[str, str]]:
    """Return *fields* as a list of pairs (name, value).

    *fields* may be a mapping, or pairs of name and value. Raise TypeError if *fields* has another form.
    """
    if isinstance(fields, Mapping):
        fields = fields.items()
    if isinstance(fields, str | bytes) or not isinstance(fields, Iterable):
        raise TypeError(f"fields must be pairs of name and value, or a mapping, not {_named(fields)}")
    pairs = list(fields)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"fields must be pairs of name and value; {_named(pair)} is not a pair")
        for part, given in zip(("name", "value"), pair, strict=True):
            check_kind(f"the {part} of a field", given, str, "a str")
    return [(name, value) for name, value in pairs]


def check_field(name: str, value: str) -> None:
    """Raise ValueError if *name* or *value* is invalid in a field line."""
    # Every character beyond ASCII becomes a "?", which is not allowed in a token either.
    if not grammar.token.fullmatch(name.encode("ascii", "replace")):
        raise ValueError(f"the field name {name!r} is not a token (RFC 9110 §5.1)")
    # A value given as text stands for its octets in Latin-1 (RFC 9110 §5.5).
    try:
        octets = value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"the value of {name} has a character beyond Latin-1 (RFC 9110 §5.5)") from None
    if not grammar.field_value.fullmatch(octets):
        raise ValueError(f"the value of {name} has a control character (RFC 9110 §5.5)")


def _named(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
