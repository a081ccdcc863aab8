"""http URLs: host, port and target; which URLs are repaired or refused; and redirects."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.client.url import Url, UrlError, parse_url, redirect
from httpsock.http.messages import RequestError
from httpsock.http.target import parse_target
from tests.support.rows import each_row


@each_row(
    ("text", "host", "port", "target", "authority"),
    [
        pytest.param("http://a/", "a", 80, "/", "a", id="the default port is left out (RFC 9110 §4.2.3)"),
        pytest.param("http://a:80/", "a", 80, "/", "a", id="the default port is given"),
        pytest.param("http://a:/", "a", 80, "/", "a", id="an empty port"),
        pytest.param(
            "HTTP://A.Example:08080/B", "a.example", 8080, "/B", "a.example:8080", id="case of scheme and host"
        ),
        pytest.param("http://a", "a", 80, "/", "a", id="an empty path is /"),
        pytest.param("http://a?q=1", "a", 80, "/?q=1", "a", id="no path before a query"),
        pytest.param("http://a/?", "a", 80, "/?", "a", id="an empty query is sent"),
        pytest.param("http://a/b#c?d", "a", 80, "/b", "a", id="a fragment is never sent"),
        pytest.param("http://a/b?c?d//e", "a", 80, "/b?c?d//e", "a", id="a query may hold ? and /"),
        pytest.param("http://[::1]:8000/", "::1", 8000, "/", "[::1]:8000", id="IPv6"),
        pytest.param("http://[FE80::1]/", "fe80::1", 80, "/", "[fe80::1]", id="IPv6, default port"),
        pytest.param("http://a/ä b", "a", 80, "/%C3%A4%20b", "a", id="other characters are encoded"),
        pytest.param("http://a/\udcff", "a", 80, "/%FF", "a", id="octets that are no text"),
        pytest.param("http://a/%e4%", "a", 80, "/%e4%", "a", id="percent-encoding stays"),
        pytest.param(
            'http://a/{"x"}[1]|\\',
            "a",
            80,
            "/%7B%22x%22%7D%5B1%5D%7C%5C",
            "a",
            id="all ASCII characters that a path can't hold",
        ),
    ],
)
def test_a_url_is_parsed(text: str, host: str, port: int, target: str, authority: str) -> None:
    url = parse_url(text)
    assert url == Url(host, port, target)
    assert url.authority == authority
    assert str(url) == f"http://{authority}{target}"
    assert url.origin == (host, port)


def test_a_zone_is_not_sent() -> None:
    """A zone is the name of a network interface and is valid only on one machine (RFC 6874)."""
    url = parse_url("http://[FE80::1%25Eth0]:8000/a")
    assert url == Url("fe80::1%Eth0", 8000, "/a")
    assert url.authority == "[fe80::1]:8000"
    assert str(url) == "http://[fe80::1%25Eth0]:8000/a"


@each_row(
    ("text", "reason"),
    [
        pytest.param("", 'the URL "" does not begin with http://', id="an empty URL"),
        pytest.param("http://[fe80::1%25a b]/", 'has an invalid host "[fe80::1%25a b]"', id="an invalid zone"),
        pytest.param("http://[v1.a]/", 'has an invalid host "[v1.a]"', id="an address of the future"),
        pytest.param(
            "http://[fd00::1%251]/",
            'has an invalid host "[fd00::1%251]"',
            id="a zone of an address that is not link-local",
        ),
        pytest.param("a:8000/b", 'the URL "a:8000/b" does not begin with http://', id="no scheme"),
        pytest.param("mailto:a", 'the URL "mailto:a" does not begin with http://', id="no authority"),
        pytest.param("https://a/", 'the URL "https://a/" has a scheme that is not supported', id="https"),
        pytest.param("ftp://a/", 'the URL "ftp://a/" has a scheme that is not supported', id="another scheme"),
        pytest.param("http:///b", 'the URL has an invalid host ""', id="no host"),
        pytest.param("http://a b/", 'the URL has an invalid host "a b"', id="a space in the host"),
        pytest.param("http://a:x/", 'the URL has an invalid host "a:x"', id="no number for a port"),
        pytest.param("http://a:0/", 'the URL has an invalid port in "a:0"; ports are 1 to 65535', id="port 0"),
        pytest.param("http://a:65536/", "ports are 1 to 65535", id="a port of more than 16 bits"),
        pytest.param("http://a:999999/", "ports are 1 to 65535", id="a port of six digits"),
        pytest.param("http://ä/", "write a non-ASCII name in its xn-- form", id="a host beyond ASCII"),
        pytest.param("http://me:secret@a/", "URLs with a user name or password are refused", id="credentials"),
        pytest.param("http://a@b/", "URLs with a user name or password are refused", id="a user's name"),
        pytest.param("http://a/\r\nX: y", "has the control character \\x0d", id="a line break"),
        pytest.param("http://a/\ud800", "has the surrogate '\\ud800', which has no form in UTF-8", id="a surrogate"),
        pytest.param("http://a/\0", "has the control character \\x00", id="NUL"),
        pytest.param(
            "http://a/" + "b" * 16384, "the URL has 16393 bytes; the limit is 16384", id="the URL is too long"
        ),
    ],
)
def test_an_invalid_url_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UrlError) as caught:
        parse_url(text)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


# A string of characters: for a category of characters hypothesis would first build a table of Unicode for seconds.
TYPED = "".join(map(chr, range(0x250))) + "\u202e\u2028\u2100\uff0f\ufeff\U0001f600\udc80\ud800"


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(TYPED, max_size=30))
def test_any_typed_text_makes_one_request_target(text: str) -> None:
    try:
        url = parse_url("http://a/" + text)
    except UrlError:
        return
    assert url.target.isascii()
    assert " " not in url.target
    fault = ""
    try:
        parse_target(b"GET", url.target.encode("ascii"))
    except RequestError as error:
        fault = str(error)
    # A path typed in encoded form is sent unchanged.
    assert fault == "" or "percent sign" in fault


BASE = parse_url("http://a:8000/b/c?d")


@each_row(
    ("location", "expected"),
    [
        pytest.param(b"http://e/f", "http://e/f", id="absolute"),
        pytest.param(b"/f", "http://a:8000/f", id="a path"),
        pytest.param(b"f", "http://a:8000/b/f", id="a relative path"),
        pytest.param(b"../f", "http://a:8000/f", id="upwards"),
        pytest.param(b"//e/f", "http://e/f", id="a host and a path"),
        pytest.param(b"?q", "http://a:8000/b/c?q", id="a query"),
        pytest.param(b"#x", "http://a:8000/b/c?d", id="a fragment"),
        pytest.param("/ä".encode(), "http://a:8000/%C3%A4", id="UTF-8, as some servers send it"),
        pytest.param(b"/\xe4", "http://a:8000/%E4", id="an octet beyond ASCII is percent-encoded"),
    ],
)
def test_a_location_is_resolved_against_its_url(location: bytes, expected: str) -> None:
    onward = redirect("GET", BASE, 301, location)
    assert onward is not None
    assert str(onward[1]) == expected


@each_row(
    ("status", "method", "expected"),
    [
        (301, "GET", "GET"),
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (302, "PUT", "PUT"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "HEAD", "HEAD"),
    ],
)
def test_the_status_of_a_redirect_chooses_the_next_method(status: int, method: str, expected: str) -> None:
    assert redirect(method, BASE, status, b"/f") == (expected, parse_url("http://a:8000/f"))


@each_row(("status", "location"), [(200, b"/f"), (201, b"/f"), (300, b"/f"), (304, b"/f"), (301, None)])
def test_a_response_without_a_redirect_leads_to_no_url(status: int, location: bytes | None) -> None:
    assert redirect("GET", BASE, status, location) is None


@each_row(
    ("location", "reason"),
    [
        pytest.param(b"https://a/", "a scheme that is not supported", id="https"),
        pytest.param(b"file:///etc/passwd", "a scheme that is not supported", id="a file"),
        pytest.param(b"javascript:alert(1)", "does not begin with http://", id="a script"),
        pytest.param(b"http://u:p@a/", "a user name", id="credentials"),
        pytest.param(b"/a\tb", 'the redirect to "/a\\x09b" has a control character', id="a tab"),
    ],
)
def test_a_redirect_to_an_unsupported_url_is_an_error(location: bytes, reason: str) -> None:
    with pytest.raises(UrlError) as caught:
        redirect("GET", BASE, 302, location)
    assert reason in str(caught.value)


@each_row("location", ["http://[::1", "//[", "http://[x]/", "http://a\N{ACCOUNT OF}b/"])
def test_a_redirect_to_an_invalid_url_is_not_followed(location: str) -> None:
    with pytest.raises(UrlError, match="is invalid: "):
        redirect("GET", Url("a", 80, "/"), 302, location.encode())


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text("htp:/[]@%.?#1fe8\\v\N{ACCOUNT OF} \udcff", max_size=20))
def test_any_redirect_is_a_url_or_an_error(location: str) -> None:
    try:
        onward = redirect("GET", Url("a", 80, "/"), 302, location.encode("utf-8", "surrogateescape"))
    except UrlError:
        return
    assert onward is not None
    assert parse_url(str(onward[1])) == onward[1]
