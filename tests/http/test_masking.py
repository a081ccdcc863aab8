"""Masking: a trace never shows a client's credentials, even if they arrive in pieces."""

import pytest

from httpsock.http.masking import MARGIN, Masker, mask, mask_start
from tests.support.rows import each_row

BROWSER = (
    b"GET http://me:secret@localhost/ HTTP/1.1\r\n"
    b"Host: localhost\r\n"
    b"authorization:Bearer secret\r\n"
    b"Proxy-Authorization: secret\r\n"
    b"Cookie: a=secret; b=secret\r\n"
    b"Referer: https://secret@example.org/page?x=1\r\n"
    b"\r\n"
)


@each_row(
    ("octets", "masked"),
    [
        pytest.param(
            b"\r\nAuthorization: Basic c2U=\r\n", b"\r\nAuthorization: Basic ***\r\n", id="the scheme is not masked"
        ),
        pytest.param(b"\nAUTHORIZATION:c2VjcmV0\n", b"\nAUTHORIZATION:***\n", id="without a scheme"),
        pytest.param(
            b"\r\nProxy-Authorization:  Digest b c\r\n", b"\r\nProxy-Authorization:  Digest ***\r\n", id="proxy"
        ),
        pytest.param(b"\r\nCookie: a=b; c=d\r\nX: y", b"\r\nCookie: ***\r\nX: y", id="all cookies"),
        pytest.param(b"\r\nSet-Cookie: a=b\r\n", b"\r\nSet-Cookie: ***\r\n", id="a cookie that is set"),
        pytest.param(b"\r\nCookie : a=b\r\n", b"\r\nCookie : ***\r\n", id="a field line that is refused"),
        pytest.param(b"\r\nCookie: a=b\r\n\tc=d\r\nX: y", b"\r\nCookie: ***\r\nX: y", id="a folded line"),
        pytest.param(b"GET http://a:b@c/ HTTP/1.1", b"GET http://***@c/ HTTP/1.1", id="userinfo in the target"),
        pytest.param(b"CONNECT a:b@c:80 HTTP/1.1", b"CONNECT ***@c:80 HTTP/1.1", id="userinfo of an authority"),
        pytest.param(b"\r\nHost: a:b@c\r\n", b"\r\nHost: ***@c\r\n", id="userinfo in Host"),
        pytest.param(b"//u:p@h/", b"//***@h/", id="a reference without a scheme"),
        pytest.param(b"u:p@h/", b"***@h/", id="an authority without a scheme"),
        pytest.param(b"p@h:80", b"***@h:80", id="userinfo without a password"),
        pytest.param(b"GET u:p@h/ HTTP/1.1", b"GET ***@h/ HTTP/1.1", id="userinfo without a scheme"),
        pytest.param(b"GET http:u:p@h/ HTTP/1.1", b"GET ***@h/ HTTP/1.1", id="a scheme without slashes"),
        pytest.param(b"GET http:/u:p@h/ HTTP/1.1", b"GET http:/***@h/ HTTP/1.1", id="a scheme with one slash"),
        pytest.param(b"GET http://u:p%40h/ HTTP/1.1", b"GET http://***%40h/ HTTP/1.1", id="an @ that is encoded"),
        pytest.param(b"Authorization Basic p", b"Authorization Basic ***", id="no colon"),
        pytest.param(b'"Authorization" p', b'"Authorization***', id="in quotes"),
        pytest.param(b"Authorization: p  \r\n", b"Authorization: ***\r\n", id="an unknown scheme is no scheme"),
        pytest.param(
            b"Authorization: p q\r\n", b"Authorization: ***\r\n", id="a value of two words without a known scheme"
        ),
        pytest.param(
            b"Authorization: Basic\r\n p\r\n", b"Authorization: ***\r\n", id="a value folded after the scheme"
        ),
        pytest.param(b"Cookie: a\r b\r\n", b"Cookie: ***\r\n", id="folded with a bare CR"),
        pytest.param(b"X-Api-Key: p", b"X-Api-Key: ***", id="a key"),
        pytest.param(b"X-Amz-Security-Token: p", b"X-Amz-Security-Token: ***", id="a token"),
        pytest.param(b"GET /?a=1&access_token=p&b=2 X", b"GET /?a=1&access_token=***&b=2 X", id="a token in a query"),
        pytest.param(b"user=me&password=p;q", b"user=me&password=***", id="a password in a form"),
        pytest.param(b"\r\nReferer: http://a@b@c/\r\n", b"\r\nReferer: http://***@c/\r\n", id="up to the last @"),
    ],
)
def test_credentials_are_masked(octets: bytes, masked: bytes) -> None:
    assert mask(octets) == masked


@each_row(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Cookie: a\r\nCookies: b\r\n\r\n",
        b"GET http://localhost/a@b HTTP/1.1\r\n",
        b"GET /?to=me@example.org HTTP/1.1\r\n",
        b"\r\nX: Authorization: Basic\r\n",
        b"\r\nCookie:\r\n\r\n",
    ],
)
def test_an_ambiguous_value_is_not_masked(octets: bytes) -> None:
    assert mask(octets) == octets


def test_masking_may_keep_the_length() -> None:
    assert mask(b"\r\nCookie: a=b\r\n", keeps_length=True) == b"\r\nCookie: ***\r\n"
    assert len(mask(BROWSER, keeps_length=True)) == len(BROWSER)


@each_row("cut", range(1, len(BROWSER)))
def test_a_cut_anywhere_reveals_no_secret(cut: int) -> None:
    masker = Masker()
    masked = masker.mask(BROWSER[:cut]) + masker.mask(BROWSER[cut:])
    assert len(masked) == len(BROWSER)
    assert b"secret" not in masked
    assert masked.endswith(b"/page?x=1\r\n\r\n")


def test_octet_by_octet_an_ambiguous_value_is_masked() -> None:
    masker = Masker()
    masked = b"".join(masker.mask(BROWSER[at : at + 1]) for at in range(len(BROWSER)))
    assert b"secret" not in masked
    assert b"\r\nHost: *********\r\n" in masked


def test_a_folded_line_is_masked_when_it_comes_later() -> None:
    masker = Masker()
    assert masker.mask(b"Cookie: a=b\r\n") == b"Cookie: ***\r\n"
    assert masker.mask(b" c=d\r\nX: y\r\n") == b"****\r\nX: y\r\n"


# Lines with a secret after more octets than a masker stores.
LONG = [
    b"Cookie: " + b"x" * 200 + b"secret\r\n",
    b"Cookie" + b" " * 200 + b": secret\r\n",
    b"Cookie: " + b"x" * 200 + b"\r\n secret\r\n",
    b"X-Api-Key:" + b"x" * 200 + b"secret\r\n",
    b"X: " + b"x" * 200 + b"\r\nCookie: secret\r\n",
    b"X: " + b"x" * 200 + b"\rCookie: secret\r\n",
    b"CONNECT " + b"x" * 200 + b"secret@h:80 HTTP/1.1\r\n",
    b"CONNECT" + b" " * 200 + b"secret@h:80 HTTP/1.1\r\n",
    b"GET http://" + b"x" * 200 + b":secret@h/ HTTP/1.1\r\n",
    b"GET /" + b"x" * 200 + b"//u:secret@h/ HTTP/1.1\r\n",
    b"GET u:" + b"x" * 200 + b"secret@h/ HTTP/1.1\r\n",
    b"GET /" + b"x" * 200 + b"?token=secret HTTP/1.1\r\n",
    b"GET /?a=" + b"x" * 200 + b"&token=secret HTTP/1.1\r\n",
    b"GET /?token=" + b"x;" * 100 + b"secret HTTP/1.1\r\n",
    b"GET /?" + b"x" * 200 + b"&token=secret HTTP/1.1\r\n",
    b"Host: " + b"x" * 200 + b"secret@h\r\n",
]


@each_row("octets", LONG)
def test_a_secret_at_the_end_of_a_long_line_is_masked(octets: bytes) -> None:
    assert b"secret" not in mask(octets)
    for cut in range(1, len(octets)):
        masker = Masker()
        assert b"secret" not in masker.mask(octets[:cut]) + masker.mask(octets[cut:]), cut
    masker = Masker()
    assert b"secret" not in b"".join(masker.mask(octets[at : at + 1]) for at in range(len(octets)))


REPEATED = [
    b"x", b" ", b"/", b"//", b":", b"@", b"?", b"&", b"&token", b"a=", b"\r\n", b"\r\n ", b"\r", b"\n", b"'",
    b'"', b"%40", b"cookie", b"cookie: ", b"\r\nhost:", b"\r\ncookie:", b"a:", b" a:", b"basic ", b"//a@",
]  # fmt: skip


@each_row("repeated", REPEATED)
@each_row("before", [b"", b"CONNECT ", b"Authorization: ", b"GET /?token=", b"X: ", b"cookie", b"//"])
def test_the_work_for_an_octet_does_not_grow_with_earlier_input(before: bytes, repeated: bytes) -> None:
    """A masker stores only the last few octets of earlier input."""
    masker = Masker()
    masker.mask(before)
    for _ in range(10):
        masker.mask(repeated * 50)
        assert len(masker._context) <= 150
    assert len(mask(before + repeated * 20_000, keeps_length=True)) == len(before + repeated * 20_000)


@each_row(
    "octets",
    [
        b"GET http://user:" + b"secret" * 500 + b"@localhost/ HTTP/1.1",
        b"GET http://" + b"user" * 500 + b":secret@localhost/ HTTP/1.1",
        b"user" * 500 + b":secret%40localhost",
        b"CONNECT " + b"secret" * 500 + b"@localhost:80 HTTP/1.1",
        b"GET /?" + b"token=secret&" * 500 + b" HTTP/1.1",
        b"GET /?token=" + b"secret" * 500 + b" HTTP/1.1",
        b"Cookie: " + b"secret=secret; " * 500,
        b"Authorization: Basic" + b" " * 500 + b"secret",
    ],
)
def test_a_cut_head_shows_no_secret(octets: bytes) -> None:
    for minimum in range(600):
        shown = mask_start(octets, minimum)
        assert b"secret" not in shown
        assert len(shown) <= minimum + MARGIN + len(b"***")


@each_row("octets", [b"GET /" + b"a/b:c@" * 500, b"GET /" + b"a" * 3000, b"a/?x=y&token=z " * 300])
def test_masking_the_start_of_octets_gives_the_start_of_all_masked_octets(octets: bytes) -> None:
    for minimum in (0, 1, 60, 1024):
        assert mask_start(octets, minimum)[:minimum] == mask(octets)[:minimum]


@pytest.mark.parametrize(
    "octets",
    [
        *(
            b"GET /?a=b&%b=secret HTTP/1.1" % name
            for name in (b"auth", b"access_key", b"jwt", b"session", b"PHPSESSID")
        ),
        *(b"GET /?%b=secret HTTP/1.1" % name for name in (b"passphrase", b"token[]", b"token%5B%5D", b"token+")),
        b"GET /?token%3dsecret HTTP/1.1",
        b"GET /a#access_token=secret&b HTTP/1.1",
        b"X-Authorization: secret",
        b"X-Auth: secret",
        b"X-Session: secret",
        b"X-Forwarded-Authorization: Basic secret",
        b"AWS-Secret-Key: secret",
    ],
)
def test_unusual_spellings_are_masked_whole_and_octet_by_octet(octets: bytes) -> None:
    masker = Masker()
    assert b"secret" not in mask(octets)
    assert b"secret" not in b"".join(masker.mask(octets[i : i + 1]) for i in range(len(octets)))
