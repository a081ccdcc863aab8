"""Credentials: check the user name and the password of a request.

This module has only the hash of the right password. A hash is one line of text, with the salt and the key in base64:

    scrypt$16384$8$1$c2FsdCBvZiAxNiBieXRlcw==$...        N, r, p, salt, key

RFC 7617 §2 (Basic), §2.1 (UTF-8); RFC 7914 §2 (scrypt); RFC 8265 §4.2 (normalisation).
"""

import binascii
import hmac
import os
import re
import unicodedata
from hashlib import scrypt
from typing import NamedTuple

from httpsock.http.checks import check_kind

# 16 MiB of memory and about 50 ms for each check.
_N, _R, _P = 1 << 14, 8, 1
_SALT_OCTETS, _KEY_OCTETS = 16, 32
_MAX_MEMORY = 1 << 30
# A longer Authorization field is rejected without a check.
_MAX_CREDENTIALS = 2048
# A name and a password have at most this many octets each.
MAX_OCTETS = 500

# RFC 4648 §4, §3.2: all octets in groups of four, with padding.
_BASE64 = "((?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?)"
_basic = re.compile(rf"(?i:basic) +{_BASE64}".encode("ascii"))
# RFC 7617 §2: the name has no colon, and neither part has a control character. UTF-8 has no surrogates.
_user_pass = re.compile("([^\x00-\x1f\x7f:\ud800-\udfff]*):([^\x00-\x1f\x7f\ud800-\udfff]*)")
_hash = re.compile(rf"scrypt\$([0-9]{{1,7}})\$([0-9]{{1,3}})\$([0-9]{{1,3}})\${_BASE64}\${_BASE64}")


class _Scrypt(NamedTuple):
    """The parameters of scrypt: N, r, p, the salt, and the length of the key."""

    n: int
    r: int
    p: int
    salt: bytes
    length: int

    @property
    def memory(self) -> int:
        """The memory that scrypt needs with these parameters, in octets."""
        return 128 * self.r * (self.n + self.p + 2)

    def derive(self, password: bytes) -> bytes:
        """Return the key that scrypt derives from *password*."""
        n, r, p, salt, length = self
        return scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=self.memory, dklen=length)


class Credentials:
    """The right user name, and the hash of the right password.

    Raise TypeError if an argument is not a str. Raise ValueError if an argument is malformed. No error message shows
    any part of the hash.
    """

    def __init__(self, user: str, password_hash: str) -> None:
        check_kind("user", user, str, "a str")
        check_kind("password_hash", password_hash, str, "a str")
        match = _user_pass.fullmatch(f"{user}:")
        if not user or match is None or match[1] != user or len(_prepared(user)) > MAX_OCTETS:
            reason = f"1 to {MAX_OCTETS} bytes of UTF-8, without a colon or control characters (RFC 7617 §2)"
            raise ValueError(f"a user name has {reason}, not {user[:80]!r}")
        self._user = _prepared(user)
        self._scrypt, self._key = _parse_hash(password_hash)
        # Memory holds only a digest of the last right credentials, made with a random key.
        self._digest_key = os.urandom(_KEY_OCTETS)
        self._accepted = b""

    def digest(self, given: tuple[bytes, bytes]) -> bytes:
        """Return a digest of the name and password *given*. The digest uses a random key of this object."""
        return hmac.digest(self._digest_key, b":".join(given), "sha256")

    def are_known(self, digest: bytes) -> bool:
        """Return whether *digest* belongs to the last credentials that were right.

        This check is fast, since it does not use scrypt.
        """
        return hmac.compare_digest(digest, self._accepted)

    def are_valid(self, digest: bytes, given: tuple[bytes, bytes]) -> bool:
        """Return whether the name and password *given* are right. *digest* is the result of ``digest(given)``.

        If ``are_known(digest)`` is false, this function derives a key with scrypt, which takes some 50 ms.
        """
        # An earlier check of the same credentials may have ended meanwhile.
        if self.are_known(digest):
            return True
        user, password = given
        key = self._scrypt.derive(password)
        # Both comparisons always run: an unknown user takes the time of a wrong password.
        is_valid = hmac.compare_digest(key, self._key) & hmac.compare_digest(user, self._user)
        if is_valid:
            self._accepted = digest
        return is_valid


def parse_credentials(authorization: bytes | None) -> tuple[bytes, bytes] | None:
    """Return the name and the password in an Authorization field. If the field is missing or malformed, return None."""
    match = _basic.fullmatch(authorization or b"") if len(authorization or b"") <= _MAX_CREDENTIALS else None
    if match is None:
        return None
    try:
        text = binascii.a2b_base64(match[1]).decode("utf-8")
    except UnicodeDecodeError:
        return None
    parts = _user_pass.fullmatch(text)
    return (_prepared(parts[1]), _prepared(parts[2])) if parts else None


def hash_password(password: str) -> str:
    """Return the hash of *password*, with a new salt. Raise ValueError if no client can send this password."""
    match = _user_pass.fullmatch(f":{password}")
    octets = _prepared(password) if match else b""
    if not 1 <= len(octets) <= MAX_OCTETS:
        reason = "without control characters (RFC 7617 §2)"
        raise ValueError(f"a password has 1 to {MAX_OCTETS} bytes of UTF-8, {reason}")
    salt = os.urandom(_SALT_OCTETS)
    key = _Scrypt(_N, _R, _P, salt, _KEY_OCTETS).derive(octets)
    texts = [binascii.b2a_base64(part, newline=False).decode("ascii") for part in (salt, key)]
    return "$".join(["scrypt", str(_N), str(_R), str(_P), *texts])


def _prepared(text: str) -> bytes:
    """Return *text* in UTF-8, normalised to NFC. Keyboards encode accents in different ways."""
    return unicodedata.normalize("NFC", text).encode("utf-8")


def _parse_hash(password_hash: str) -> tuple[_Scrypt, bytes]:
    """Return the scrypt parameters and the key in a hash. Raise ValueError if the hash is malformed."""
    match = _hash.fullmatch(password_hash)
    if match is None:
        raise ValueError("the hash of the password is not scrypt$N$R$P$SALT$KEY, with salt and key in base64")
    n, r, p = (int(number) for number in match.groups()[:3])
    salt, key = map(binascii.a2b_base64, match.groups()[3:])
    if len(key) < _SALT_OCTETS:
        raise ValueError(f"the key in the hash of the password has less than {_SALT_OCTETS} bytes")
    derivation = _Scrypt(n, r, p, salt, len(key))
    if n < 2 or n & (n - 1) or not r or not p or derivation.memory > _MAX_MEMORY:
        reason = f"N is a power of two, and all need at most {_MAX_MEMORY >> 30} GiB (RFC 7914 §2)"
        raise ValueError(f"scrypt cannot run with N={n}, r={r}, p={p}: {reason}")
    return derivation, key
