"""Preconditions: the five conditional fields, evaluated in the RFC's order.

Takes a request and the validators of the selected representation, gives a verdict.
Knows nothing of files or sockets. Each field has one small function; ``evaluate`` reads as the RFC's list does.

RFC 9110 §8.8 (validators), §13 (conditional requests).
"""

from enum import Enum
from typing import NamedTuple

from . import grammar
from .messages import Request

try:
    # Where hashlib has it from, without OpenSSL, which comes with hashlib and takes 3.6 MiB.
    from _blake2 import blake2b
except ImportError:  # pragma: no cover (an interpreter other than CPython)
    from hashlib import blake2b


class Validators(NamedTuple):
    """What tells one state of a representation from another: an entity-tag and a time in seconds since 1970."""

    etag: bytes
    last_modified: int | None


def etag_of(octets: bytes) -> bytes:
    """Return the strong entity-tag of octets that are at hand: a digest of them (RFC 9110 §8.8.3)."""
    digest = tag_digest()
    digest.update(octets)
    return tag_of(digest)


def tag_digest() -> blake2b:
    """Return the digest that a strong entity-tag is made of, to be given the octets part by part."""
    return blake2b(digest_size=12)


def tag_of(digest: blake2b) -> bytes:
    """Return the strong entity-tag of the octets that *digest* was given."""
    return f'"{digest.hexdigest()}"'.encode("ascii")


class Verdict(Enum):
    """What the preconditions make of a request (RFC 9110 §13.2.2)."""

    PROCEED = "perform the method"
    NOT_MODIFIED = "answer 304"
    FAILED = "answer 412"


def evaluate(request: Request, validators: Validators, now: float) -> Verdict:
    """Return what the preconditions of a GET or HEAD say, in the order of RFC 9110 §13.2.2, steps 1 to 4.

    Step 5, If-Range, is ``range_applies``: it concerns the range alone.
    """
    fields = request.fields
    if (if_match := fields.get(b"if-match")) is not None:
        if not _matches_strongly(if_match, validators.etag):
            return Verdict.FAILED
    elif (if_unmodified_since := fields.get(b"if-unmodified-since")) is not None:
        if _is_modified_since(if_unmodified_since, validators.last_modified, now) is True:
            return Verdict.FAILED
    if (if_none_match := fields.get(b"if-none-match")) is not None:
        if _matches_weakly(if_none_match, validators.etag):
            return Verdict.NOT_MODIFIED
    elif (if_modified_since := fields.get(b"if-modified-since")) is not None:
        if _is_modified_since(if_modified_since, validators.last_modified, now) is False:
            return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def range_applies(request: Request, validators: Validators, now: float) -> bool:
    """Return whether If-Range lets the Range field count (RFC 9110 §13.1.5); it always does without If-Range."""
    if_range = request.fields.get(b"if-range")
    if if_range is None:
        return True
    if grammar.entity_tag.fullmatch(if_range):
        return _is_strong(if_range) and if_range == validators.etag
    # A date must be the very date, and that of a second which is over. That the client got its part after that second
    # is its own duty (RFC 9110 §13.1.5, §8.8.2.2).
    date = grammar.parse_http_date(if_range, now)
    return date is not None and date == validators.last_modified and date < now - 1


def _matches_strongly(field_value: bytes, etag: bytes) -> bool:
    """Return whether If-Match names *etag*, both being strong (RFC 9110 §8.8.3.2), or any state at all."""
    return field_value == b"*" or (_is_strong(etag) and etag in _entity_tags(field_value, etag))


def _matches_weakly(field_value: bytes, etag: bytes) -> bool:
    """Return whether If-None-Match names *etag*, weakness aside (RFC 9110 §8.8.3.2), or any state at all."""
    # Nearly always it is the one that was sent.
    if field_value in (etag, b"*"):
        return True
    opaque_tag = _opaque(etag)
    listed = _entity_tags(field_value, opaque_tag)
    return opaque_tag in listed or b"W/" + opaque_tag in listed


def _is_modified_since(field_value: bytes, last_modified: int | None, now: float) -> bool | None:
    """Return whether the representation changed after the given date; None if there is no such date."""
    date = grammar.parse_http_date(field_value, now)
    if date is None or last_modified is None:
        return None
    return last_modified > date


def _entity_tags(field_value: bytes, opaque_tag: bytes) -> list[bytes]:
    """Return the entity-tags listed; none at all if the field is malformed, or can't match *opaque_tag*."""
    # To search for the tag takes no time; to parse thousands of others does.
    if opaque_tag not in field_value or not grammar.entity_tags.fullmatch(field_value):
        return []
    return grammar.entity_tag.findall(field_value)


def _is_strong(etag: bytes) -> bool:
    return not etag.startswith(b"W/")


def _opaque(etag: bytes) -> bytes:
    return etag.removeprefix(b"W/")
