"""Proactive negotiation: choose the representation that a client prefers.

Takes the values of Accept and Accept-Encoding, and the available representations. Knows no files or sockets.

RFC 9110 §12.4 (quality values), §12.5.1 (Accept), §12.5.3 (Accept-Encoding).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

from . import grammar

# Further members, and further parameters of a member, are ignored: no real client has this many, and each costs time.
_MAX_MEMBERS = 64
_MAX_PARAMETERS = 16
# A longer value is not memoised, so that the memos stay below some dozen KiB.
_MAX_MEMOISED = 256


def _weights(field_value: bytes) -> dict[str, int]:
    """Return the weight of each listed choice, in thousandths. Choices are in lower case. Skip malformed members."""
    weights: dict[str, int] = {}
    # RFC 9110 §12.5.1: a media range with parameters is more specific than the offers here, so it counts only if the
    # type is not also listed without parameters.
    special: dict[str, int] = {}
    for member in islice(grammar.each_member(field_value), _MAX_MEMBERS):
        if member.startswith(b";"):
            continue
        parts = islice(re.finditer(grammar.PARAMETER, member), 1 + _MAX_PARAMETERS)
        choice, *parameters = (part[0].strip(b" \t").lower() for part in parts)
        qvalues = [parameter[2:] for parameter in parameters if parameter.startswith(b"q=")]
        weight = _thousandths(qvalues[0]) if qvalues else 1000
        if weight >= 0:
            found = special if len(parameters) > len(qvalues) else weights
            found.setdefault(choice.decode("latin-1"), weight)
    return special | weights


def _thousandths(qvalue: bytes) -> int:
    """Return a qvalue in thousandths, or -1 if it is invalid."""
    return round(float(qvalue) * 1000) if re.fullmatch(grammar.QVALUE, qvalue) else -1


def preferred_media_type(accept: bytes | None, offers: Sequence[str]) -> str:
    """Return the media type of *offers* that *accept* prefers. If types have equal weights, return the first of these.

    If several ranges in *accept* match a type, the most specific range decides the weight of the type (RFC 9110
    §12.5.1). If the client accepts none of *offers*, a server may answer 406 or ignore the Accept field. This server
    ignores the field.
    """
    if accept is None:
        return offers[0]
    return (_memoised_media_type if len(accept) <= _MAX_MEMOISED else _media_type)(accept, offers)


def _media_type(accept: bytes, offers: Sequence[str]) -> str:
    weights = _weights(accept)

    def weight(offer: str) -> int:
        for media_range in (offer, offer.partition("/")[0] + "/*", "*/*"):
            if media_range in weights:
                return weights[media_range]
        return 0

    return max(offers, key=weight)


_memoised_media_type = lru_cache(maxsize=256)(_media_type)


def accepted_codings(accept_encoding: bytes | None, offers: Sequence[str]) -> tuple[str, ...]:
    """Return the codings of *offers* that the client prefers to unencoded content, best first.

    The rules are in RFC 9110 §12.5.3. A coding with the weight 0 is not acceptable. "*" stands for each coding that is
    not listed. If two codings have equal weights, the order of *offers* decides. A coding with the same weight as
    unencoded content is preferred to unencoded content.
    If there is no Accept-Encoding field, every coding is acceptable. But the client may not support any coding, so the
    result is empty.
    """
    if accept_encoding is None:
        return ()
    return (_memoised_codings if len(accept_encoding) <= _MAX_MEMOISED else _codings)(accept_encoding, offers)


def _codings(accept_encoding: bytes, offers: Sequence[str]) -> tuple[str, ...]:
    weights = _weights(accept_encoding)
    anything = weights.get("*", 0)
    # "x-gzip" is "gzip" (RFC 9110 §8.4.1.3).
    weights.setdefault("gzip", weights.get("x-gzip", anything))
    # Identity is acceptable even if not listed, as the last choice.
    minimum = max(weights.get("identity", anything), 1)
    wanted = [coding for coding in offers if weights.get(coding, anything) >= minimum]
    return tuple(sorted(wanted, key=lambda coding: -weights.get(coding, anything)))


_memoised_codings = lru_cache(maxsize=256)(_codings)
