"""Masking: nothing that proves who a client is shows in a trace, however the octets are cut."""

import pytest

from httpsock.masking import Masker, mask

BROWSER = (
    b"GET http://me:secret@localhost/ HTTP/1.1\r\n"
    b"Host: localhost\r\n"
    b"authorization:Bearer secret\r\n"
    b"Proxy-Authorization: secret\r\n"
    b"Cookie: a=secret; b=secret\r\n"
    b"Referer: https://secret@example.org/page?x=1\r\n"
    b"\r\n"
)


@pytest.mark.parametrize(
    ("octets", "masked"),
    [
        pytest.param(b"\r\nAuthorization: Basic c2U=\r\n", b"\r\nAuthorization: Basic ***\r\n", id="but its scheme"),
        pytest.param(b"\nAUTHORIZATION:c2VjcmV0\n", b"\nAUTHORIZATION:***\n", id="without a scheme"),
        pytest.param(b"\r\nProxy-Authorization:  A b c\r\n", b"\r\nProxy-Authorization:  A ***\r\n", id="proxy"),
        pytest.param(b"\r\nCookie: a=b; c=d\r\nX: y", b"\r\nCookie: ***\r\nX: y", id="all cookies"),
        pytest.param(b"\r\nSet-Cookie: a=b\r\n", b"\r\nSet-Cookie: ***\r\n", id="a cookie that is set"),
        pytest.param(b"\r\nCookie : a=b\r\n", b"\r\nCookie : ***\r\n", id="a field line that is refused"),
        pytest.param(b"\r\nCookie: a=b\r\n\tc=d\r\nX: y", b"\r\nCookie: ***\r\nX: y", id="a folded line"),
        pytest.param(b"GET http://a:b@c/ HTTP/1.1", b"GET http://***@c/ HTTP/1.1", id="userinfo in the target"),
        pytest.param(b"CONNECT a:b@c:80 HTTP/1.1", b"CONNECT ***@c:80 HTTP/1.1", id="userinfo of an authority"),
        pytest.param(b"\r\nHost: a:b@c\r\n", b"\r\nHost: ***@c\r\n", id="userinfo in Host"),
        pytest.param(b"\r\nReferer: http://a@b@c/\r\n", b"\r\nReferer: http://***@c/\r\n", id="up to the last @"),
    ],
)
def test_credentials_are_masked(octets: bytes, masked: bytes) -> None:
    assert mask(octets) == masked


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Cookie: a\r\nCookies: b\r\n\r\n",
        b"GET http://localhost/a@b HTTP/1.1\r\n",
        b"GET /?to=me@example.org HTTP/1.1\r\n",
        b"\r\nX: Authorization: Basic\r\n",
        b"\r\nCookie:\r\n\r\n",
    ],
)
def test_what_proves_nothing_is_left(octets: bytes) -> None:
    assert mask(octets) == octets


def test_the_length_stays_where_octets_are_counted() -> None:
    assert mask(b"\r\nCookie: a=b\r\n", keeps_length=True) == b"\r\nCookie: ***\r\n"
    assert len(mask(BROWSER, keeps_length=True)) == len(BROWSER)


@pytest.mark.parametrize("cut", range(1, len(BROWSER)))
def test_a_cut_anywhere_shows_nothing(cut: int) -> None:
    masker = Masker()
    masked = masker.mask(BROWSER[:cut]) + masker.mask(BROWSER[cut:])
    assert len(masked) == len(BROWSER)
    assert b"secret" not in masked
    assert masked.endswith(b"/page?x=1\r\n\r\n")


def test_octet_by_octet_whatever_is_in_doubt_is_masked() -> None:
    masker = Masker()
    masked = b"".join(masker.mask(BROWSER[at : at + 1]) for at in range(len(BROWSER)))
    assert b"secret" not in masked
    assert b"\r\nHost: *********\r\n" in masked


def test_a_folded_line_is_masked_when_it_comes_later() -> None:
    masker = Masker()
    assert masker.mask(b"Cookie: a=b\r\n") == b"Cookie: ***\r\n"
    assert masker.mask(b" c=d\r\nX: y\r\n") == b"****\r\nX: y\r\n"


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    masker = Masker()
    masker.mask(b"Cookie: " + b"x" * 100_000)
    assert len(masker._line) == 64
    assert masker.mask(b"secret\r\nX: y") == b"******\r\nX: y"
