"""Credentials: parsing Authorization, hashing a password, comparing passwords (RFC 7617, RFC 7914)."""

import base64
import re
import sys

import pytest

from httpsock.handlers.credentials import MAX_OCTETS, Credentials, hash_password, parse_credentials
from tests.support.rows import each_row

# The parts of a hash of "secret" that is quick to check, since N is 2.
SALT = base64.b64encode(b"salt" * 4).decode()
KEY = "jjjNh3eNiOh3SQ07meC/jcZYQjJfzwYY4Tjkd0VmMZY="
QUICK = f"scrypt$2$1$1${SALT}${KEY}"


def basic(user_pass: bytes, scheme: bytes = b"Basic ") -> bytes:
    """Return the value of an Authorization field."""
    return scheme + base64.b64encode(user_pass)


def is_valid(credentials: Credentials, authorization: bytes) -> bool:
    """Return whether *authorization* has the right credentials."""
    given = parse_credentials(authorization)
    assert given is not None
    return credentials.are_valid(credentials.digest(given), given)


# --- the field Authorization ----------------------------------------------------------------------------------------


@each_row(
    ("authorization", "credentials"),
    [
        pytest.param(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", (b"Aladdin", b"open sesame"), id="RFC 7617 §2"),
        pytest.param(b"Basic dGVzdDoxMjPCow==", (b"test", "123£".encode()), id="RFC 7617 §2.1: UTF-8"),
        pytest.param(basic(b"a:b", b"bAsIc "), (b"a", b"b"), id="the scheme has no case (RFC 9110 §11.1)"),
        pytest.param(basic(b"a:b", b"Basic    "), (b"a", b"b"), id="1*SP behind the scheme (RFC 9110 §11.4)"),
        pytest.param(basic(b"a:b:c"), (b"a", b"b:c"), id="the first colon ends the name"),
        pytest.param(basic(b":"), (b"", b""), id="both parts may be empty"),
        pytest.param(basic("a:e\u0301".encode()), (b"a", "\xe9".encode()), id="composed (RFC 8265 §4.2.2)"),
    ],
)
def test_credentials_are_found(authorization: bytes, credentials: tuple[bytes, bytes]) -> None:
    assert parse_credentials(authorization) == credentials


@each_row(
    "authorization",
    [
        pytest.param(None, id="no field"),
        pytest.param(b"", id="an empty field"),
        pytest.param(b"Basic", id="a scheme alone"),
        pytest.param(b"Basic ", id="a scheme and a space"),
        pytest.param(basic(b"a:b", b"Bearer "), id="another scheme"),
        pytest.param(basic(b"a:b", b"Basic\t"), id="a tab behind the scheme"),
        pytest.param(basic(b"a:b", b"Basic"), id="no space behind the scheme"),
        pytest.param(basic(b"a:b", b"XBasic "), id="a longer scheme"),
        pytest.param(b"Basic YTpi YTpi", id="two values"),
        pytest.param(b"Basic YTpi, Basic YTpi", id="two field lines"),
        pytest.param(b'Basic realm="x"', id="parameters"),
        pytest.param(b"Basic YTpi=", id="too much padding"),
        pytest.param(b"Basic YTpiYw", id="too little padding"),
        pytest.param(b"Basic YTp", id="a cut group"),
        pytest.param(b"Basic YTp=i", id="padding in the middle"),
        pytest.param(b"Basic YT_-", id="the alphabet of URLs"),
        pytest.param(basic(b"ab"), id="no colon"),
        pytest.param(basic(b"a\xff:b"), id="not UTF-8"),
        pytest.param(basic(b"a:\xed\xa0\x80"), id="a surrogate"),
        *(pytest.param(basic(b"a:b" + bytes((octet,))), id=f"control character {octet}") for octet in (0, 10, 31, 127)),
        pytest.param(basic(b"a\0:b"), id="a control character in the name"),
        pytest.param(basic(b"a:" + b"x" * 3000), id="very long"),
    ],
)
def test_a_value_without_valid_credentials_gives_none(authorization: bytes | None) -> None:
    assert parse_credentials(authorization) is None


# --- the hash -------------------------------------------------------------------------------------------------------


def test_the_key_is_computed_by_scrypt() -> None:
    """The expected hash is the second test vector of RFC 7914 §12."""
    key = base64.b64encode(
        bytes.fromhex(
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
            "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
        )
    ).decode()
    hashed = f"scrypt$1024$8$16${base64.b64encode(b'NaCl').decode()}${key}"
    credentials = Credentials("user", hashed)
    assert is_valid(credentials, basic(b"user:password"))
    assert not is_valid(credentials, basic(b"user:Password"))


@pytest.mark.parametrize("password", ["secret", "a:b", "£ and ß", "e\u0301", "x" * MAX_OCTETS, " "])
def test_a_new_hash_matches_only_its_password(password: str) -> None:
    credentials = Credentials("user", hash_password(password))
    assert is_valid(credentials, basic(f"user:{password}".encode()))
    assert not is_valid(credentials, basic(f"user:{password}x".encode()))


def test_two_hashes_of_one_password_differ() -> None:
    assert hash_password("secret") != hash_password("secret")


@pytest.mark.parametrize("password", ["", "a\nb", "a\0", "a\x7f", "a\udcff", "x" * (MAX_OCTETS + 1)])
def test_a_password_that_no_client_can_send_has_no_hash(password: str) -> None:
    with pytest.raises(ValueError, match=r"^a password has 1 to 500 bytes of UTF-8, without control characters"):
        hash_password(password)


@each_row(
    ("hashed", "reason"),
    [
        pytest.param("", "is not scrypt$N$R$P$SALT$KEY", id="empty"),
        pytest.param("secret", "is not scrypt$N$R$P$SALT$KEY", id="a password"),
        pytest.param(QUICK + "\n", "is not scrypt$N$R$P$SALT$KEY", id="a line end"),
        pytest.param(QUICK.replace("scrypt", "bcrypt"), "is not scrypt$N$R$P$SALT$KEY", id="another function"),
        pytest.param(QUICK.replace("$2$", "$٢$"), "is not scrypt$N$R$P$SALT$KEY", id="a digit of another script"),
        pytest.param(QUICK.replace("$2$", "$-2$"), "is not scrypt$N$R$P$SALT$KEY", id="a negative number"),
        pytest.param(QUICK.replace("$2$", "$3$"), "N=3, r=1, p=1: N is a power of two", id="no power of two"),
        pytest.param(QUICK.replace("$2$", "$1$"), "N=1, r=1, p=1", id="N is too small"),
        pytest.param(QUICK.replace("$2$1$", "$2$0$"), "N=2, r=0, p=1", id="r is zero"),
        pytest.param(QUICK.replace("$1$1$", "$1$0$"), "N=2, r=1, p=0", id="p is zero"),
        pytest.param(QUICK.replace("$2$1$", "$1048576$8$"), "need at most 1 GiB", id="too much memory"),
        pytest.param(QUICK.replace(KEY, "AAAA="), "is not scrypt$N$R$P$SALT$KEY", id="base64"),
        pytest.param(QUICK.replace(KEY, "AAAA"), "has less than 16 bytes", id="a short key"),
    ],
)
def test_a_malformed_hash_is_refused_with_the_reason(hashed: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        Credentials("user", hashed)


@pytest.mark.parametrize("user", ["", "a:b", "a\n", "a\udcff", "x" * (MAX_OCTETS + 1)])
def test_a_user_name_that_no_client_can_send_is_refused(user: str) -> None:
    with pytest.raises(
        ValueError, match=r"^a user name has 1 to 500 bytes of UTF-8, without a colon or control characters"
    ):
        Credentials(user, QUICK)


def test_a_name_and_a_hash_that_are_not_text_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^user must be a str, not a value of type dict$"):
        Credentials({"user": QUICK}, QUICK)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^password_hash must be a str, not a value of type bytes$"):
        Credentials("user", QUICK.encode())  # type: ignore[arg-type]


# --- the comparison -------------------------------------------------------------------------------------------------


@each_row(
    ("user_pass", "expected"),
    [
        (b"user:secret", True),
        (b"user:Secret", False),
        (b"User:secret", False),
        (b"user:", False),
        (b":secret", False),
        (b"user:secret ", False),
        (b"use:rsecret", False),
    ],
)
def test_name_and_password_must_both_be_right(user_pass: bytes, expected: bool) -> None:
    assert is_valid(Credentials("user", QUICK), basic(user_pass)) is expected


def test_only_the_last_right_credentials_are_remembered() -> None:
    credentials = Credentials("user", QUICK)
    right, wrong = (credentials.digest(given) for given in ((b"user", b"secret"), (b"user", b"wrong")))
    assert not credentials.are_known(right)
    assert not credentials.are_valid(wrong, (b"user", b"wrong"))
    assert not credentials.are_known(wrong)
    assert credentials.are_valid(right, (b"user", b"secret"))
    assert credentials.are_known(right)
    assert not credentials.are_valid(wrong, (b"user", b"wrong"))
    assert credentials.are_known(right), "wrong ones do not displace them"
    assert Credentials("user", QUICK).digest((b"user", b"secret")) != right, "each process has a key of its own"


def keys_derived(credentials: Credentials, *user_passes: tuple[bytes, bytes]) -> int:
    """Check *user_passes*, and return how many times scrypt ran."""
    calls = []

    def see(_: object, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", "") == "scrypt":
            calls.append(called)

    sys.setprofile(see)
    try:
        for given in user_passes:
            credentials.are_valid(credentials.digest(given), given)
    finally:
        sys.setprofile(None)
    return len(calls)


def test_remembered_credentials_need_no_hash() -> None:
    """Only the first check of the same credentials runs scrypt."""
    assert keys_derived(Credentials("user", QUICK), *[(b"user", b"secret")] * 100) == 1


def test_an_unknown_user_costs_as_much_work_as_a_wrong_password() -> None:
    assert keys_derived(Credentials("user", QUICK), (b"user", b"wrong")) == 1
    assert keys_derived(Credentials("user", QUICK), (b"nobody", b"wrong")) == 1
    assert keys_derived(Credentials("user", QUICK), (b"nobody", b"secret")) == 1
