"""Preconditions: evaluate the five conditional fields in the RFC's order.

Takes a request and the validators of the selected representation, gives an Evaluation. Knows no files or sockets.
``evaluate`` reads like the RFC's list. Next, if the result is PROCEED: ranges.

RFC 9110 §8.8 (validators), §13 (conditional requests).
"""

import re
from enum import Enum
from typing import NamedTuple

from . import grammar
from .messages import Request

try:
    # hashlib imports blake2b from here, too. To import hashlib would load OpenSSL, which takes 3.6 MiB.
    from _blake2 import blake2b
except ImportError:  # pragma: no cover (an interpreter other than CPython)
    from hashlib import blake2b


class Validators(NamedTuple):
    """The validators of a representation: its entity-tag, and its last modification in seconds since 1970."""

    etag: bytes
    last_modified: int | None


def etag_of(octets: bytes) -> bytes:
    """Return a digest of *octets* as a strong entity-tag (RFC 9110 §8.8.3)."""
    digest = tag_digest()
    digest.update(octets)
    return tag_of(digest)


def tag_digest() -> blake2b:
    """Return an empty digest for a strong entity-tag. The caller updates the digest with the octets of the content."""
    return blake2b(digest_size=12)


def tag_of(digest: blake2b) -> bytes:
    """Return the strong entity-tag for a *digest* of the content."""
    return f'"{digest.hexdigest()}"'.encode("ascii")


class Evaluation(Enum):
    """The result of the preconditions (RFC 9110 §13.2.2)."""

    PROCEED = "perform the method"
    NOT_MODIFIED = "answer 304"
    FAILED = "answer 412"


# To look up the enum's members would take a tenth of the time of a 304.
PROCEED, NOT_MODIFIED, FAILED = Evaluation


def evaluate(request: Request, validators: Validators, now: float) -> Evaluation:
    """Evaluate the preconditions of a GET or HEAD: steps 1 to 4 of RFC 9110 §13.2.2.

    ``range_applies`` evaluates step 5, since its field If-Range concerns only the range.
    """
    fields = request.fields
    if (if_match := fields.get(b"if-match")) is not None:
        if not _matches_strongly(if_match, validators.etag):
            return FAILED
    elif (if_unmodified_since := fields.get(b"if-unmodified-since")) is not None:
        if _is_modified_since(if_unmodified_since, validators.last_modified, now) is True:
            return FAILED
    if (if_none_match := fields.get(b"if-none-match")) is not None:
        # The usual case first: the one entity-tag that this server sent.
        if if_none_match == validators.etag or _matches_weakly(if_none_match, validators.etag):
            return NOT_MODIFIED
    elif (if_modified_since := fields.get(b"if-modified-since")) is not None:
        if _is_modified_since(if_modified_since, validators.last_modified, now) is False:
            return NOT_MODIFIED
    return PROCEED


def range_applies(request: Request, validators: Validators, now: float) -> bool:
    """Return whether the Range field applies (RFC 9110 §13.1.5).

    The Range field applies if If-Range is absent or matches.
    """
    if_range = request.fields.get(b"if-range")
    if if_range is None:
        return True
    if re.fullmatch(grammar.ENTITY_TAG, if_range):
        return _is_strong(if_range) and if_range == validators.etag
    # A date must match exactly, and its second must be over. Only the client can check whether it received its part
    # after that second (RFC 9110 §13.1.5, §8.8.2.2).
    date = grammar.parse_http_date(if_range, now)
    return date is not None and date == validators.last_modified and date < now - 1


def _matches_strongly(field_value: bytes, etag: bytes) -> bool:
    """Return whether If-Match is "*" or lists *etag*. A weak *etag* matches only "*" (RFC 9110 §8.8.3.2)."""
    return field_value == b"*" or (_is_strong(etag) and etag in _entity_tags(field_value, etag))


def _matches_weakly(field_value: bytes, etag: bytes) -> bool:
    """Return whether If-None-Match is "*" or lists *etag*. Ignore the weakness of tags (RFC 9110 §8.8.3.2)."""
    if field_value == b"*":
        return True
    opaque_tag = _opaque(etag)
    listed = _entity_tags(field_value, opaque_tag)
    return opaque_tag in listed or b"W/" + opaque_tag in listed


def _is_modified_since(field_value: bytes, last_modified: int | None, now: float) -> bool | None:
    """Return whether *last_modified* is later than the date in *field_value*.

    If one of the two dates is missing or invalid, return None.
    """
    date = grammar.parse_http_date(field_value, now)
    if date is None or last_modified is None:
        return None
    return last_modified > date


def _entity_tags(field_value: bytes, opaque_tag: bytes) -> list[bytes]:
    """Return the entity-tags in *field_value*.

    If *field_value* is malformed or does not contain *opaque_tag*, return an empty list.
    """
    # A substring search is cheap; parsing thousands of other tags is not.
    if opaque_tag not in field_value or not re.fullmatch(grammar.ENTITY_TAGS, field_value):
        return []
    return re.findall(grammar.ENTITY_TAG, field_value)


def _is_strong(etag: bytes) -> bool:
    return not etag.startswith(b"W/")


def _opaque(etag: bytes) -> bytes:
    return etag.removeprefix(b"W/")
