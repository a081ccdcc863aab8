"""The request-target and Host (RFC 9112 §3.2): each form of the target, and each kind of fault."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.http.messages import Refusal, RequestError, Status, Target, TargetForm
from httpsock.http.target import check_host, parse_target
from tests.support.rows import each_row

bounded = settings(derandomize=True, deadline=None, max_examples=200)


def refusal_of_target(method: bytes, request_target: bytes) -> Refusal:
    """Assert that *request_target* is malformed, and return the refusal."""
    with pytest.raises(RequestError) as caught:
        parse_target(method, request_target)
    return caught.value.refusal


# --- origin-form ----------------------------------------------------------------------------------


@each_row(
    ("request_target", "path", "query"),
    [
        pytest.param(b"/", b"/", None, id="the root"),
        pytest.param(b"/where?q=now", b"/where", b"q=now", id="a path and a query"),
        pytest.param(b"/a?", b"/a", b"", id="an empty query is a query"),
        pytest.param(b"/a?b?c", b"/a", b"b?c", id="a query may hold question marks"),
        pytest.param(b"/a%2Fb%00", b"/a%2Fb%00", None, id="R139: the parser does not decode the target"),
        pytest.param(b"/../a//b/.", b"/../a//b/.", None, id="dot-segments are not resolved"),
        pytest.param(b"//example.org/a", b"//example.org/a", None, id="two slashes start a path, not an authority"),
        pytest.param(b"/a:b@c!$&'()*+,;=-._~", b"/a:b@c!$&'()*+,;=-._~", None, id="all that a path may hold"),
    ],
)
def test_an_origin_form_is_parsed(request_target: bytes, path: bytes, query: bytes | None) -> None:
    for method in (b"GET", b"HEAD", b"OPTIONS", b"BREW"):
        assert parse_target(method, request_target) == Target(TargetForm.ORIGIN, path, query, is_encoded=True)


def test_a_query_with_a_broken_escape_is_not_encoded() -> None:
    target = parse_target(b"GET", b"/a?100%")
    assert target == Target(TargetForm.ORIGIN, b"/a", b"100%", is_encoded=False)


@each_row("octet", [bytes([octet]) for octet in b'"<>[]^`{|}\x80\xc3\xff'])
def test_a_target_with_an_unencoded_octet_is_marked(octet: bytes) -> None:
    """The handler redirects a target with this mark to the encoded target (requirement R017)."""
    assert parse_target(b"GET", b"/a" + octet) == Target(TargetForm.ORIGIN, b"/a" + octet, None, is_encoded=False)
    assert parse_target(b"GET", b"/a?" + octet) == Target(TargetForm.ORIGIN, b"/a", octet, is_encoded=False)
    absolute = Target(TargetForm.ABSOLUTE, b"/" + octet, b"", is_encoded=False)
    assert parse_target(b"GET", b"http://a/" + octet + b"?") == absolute


@each_row("start", [b"", b"http://example.org"])
@each_row(
    ("request_target", "reason", "section"),
    [
        pytest.param(
            b"/a#b",
            "the request-target has a fragment (#), which clients must not send",
            "RFC 9112 §3.2",
            id="R017: a fragment after the path",
        ),
        pytest.param(
            b"/a?b#c",
            "the request-target has a fragment (#), which clients must not send",
            "RFC 9112 §3.2",
            id="R017: a fragment after the query",
        ),
        pytest.param(
            b"/a\\b", "the request-target has a backslash", "RFC 9112 §3.2", id="R017: a backslash in the path"
        ),
        pytest.param(
            b"/a?\\", "the request-target has a backslash", "RFC 9112 §3.2", id="R017: a backslash in the query"
        ),
        pytest.param(
            b"/100%",
            'the request-target has "%", a percent sign without two hexadecimal digits',
            "RFC 3986 §2.1",
            id="R140: a percent sign at the end",
        ),
        pytest.param(
            b"/%41%4?a",
            'the request-target has "%4", a percent sign without two hexadecimal digits',
            "RFC 3986 §2.1",
            id="R140: a percent sign with one digit",
        ),
        pytest.param(
            b"/%zz/",
            'the request-target has "%zz", a percent sign without two hexadecimal digits',
            "RFC 3986 §2.1",
            id="R140: a percent sign with letters that are no digits",
        ),
        pytest.param(
            b"/%%41",
            'the request-target has "%%4", a percent sign without two hexadecimal digits',
            "RFC 3986 §2.1",
            id="R140: a percent sign before an encoded octet",
        ),
    ],
)
def test_octets_that_are_invalid_in_a_target_are_refused(
    start: bytes, request_target: bytes, reason: str, section: str
) -> None:
    assert refusal_of_target(b"GET", start + request_target) == Refusal(Status.BAD_REQUEST, reason, section)


# --- absolute-form --------------------------------------------------------------------------------


@each_row(
    ("request_target", "path", "query"),
    [
        pytest.param(b"http://www.example.org/where?q=now", b"/where", b"q=now", id="R020: a path and a query"),
        pytest.param(b"http://a", b"/", None, id="R021: an empty path is /"),
        pytest.param(b"http://a?b", b"/", b"b", id="R021: no path before a query"),
        pytest.param(b"http://a?", b"/", b"", id="R021: no path before an empty query"),
        pytest.param(b"HTTP://a/b", b"/b", None, id="R020: a scheme ignores case"),
        pytest.param(b"http://a:8000/b", b"/b", None, id="R020: a port"),
        pytest.param(b"http://a:/b", b"/b", None, id="R020: an empty port"),
        pytest.param(b"http://[::1]:65535/b", b"/b", None, id="R020: an IPv6 address"),
        pytest.param(b"http://a/b?http://c@d/", b"/b", b"http://c@d/", id="R020: a URI in the query"),
        pytest.param(b"http://a//b", b"//b", None, id="R020: two slashes in the path"),
    ],
)
def test_an_absolute_form_is_parsed(request_target: bytes, path: bytes, query: bytes | None) -> None:
    for method in (b"GET", b"BREW"):
        assert parse_target(method, request_target) == Target(TargetForm.ABSOLUTE, path, query, is_encoded=True)


def test_options_without_a_path_is_for_the_whole_server() -> None:
    """A proxy would forward OPTIONS without a path as OPTIONS * (RFC 9112 §3.2.4, requirement R026)."""
    for request_target, path in ((b"http://a", b"*"), (b"http://a?", b"/"), (b"http://a/", b"/")):
        assert parse_target(b"OPTIONS", request_target).path == path


@each_row(
    ("request_target", "status", "reason", "section"),
    [
        pytest.param(
            b"https://a/",
            Status.MISDIRECTED_REQUEST,
            "the scheme https is not served on this connection",
            "RFC 9110 §7.4",
            id="R023: https over clear text",
        ),
        pytest.param(
            b"FTP://a/",
            Status.MISDIRECTED_REQUEST,
            "the scheme ftp is not served on this connection",
            "RFC 9110 §7.4",
            id="R023: another scheme",
        ),
        pytest.param(
            b"http:///a",
            Status.BAD_REQUEST,
            'the request-target has the invalid host ""',
            "RFC 9110 §4.2.1",
            id="R024: no host",
        ),
        pytest.param(
            b"http://:80/a",
            Status.BAD_REQUEST,
            'the request-target has the invalid host ":80"',
            "RFC 9110 §4.2.1",
            id="R024: a port without a host",
        ),
        pytest.param(
            b"http://a:65536/",
            Status.BAD_REQUEST,
            'the request-target has the invalid host "a:65536"',
            "RFC 9110 §4.2.1",
            id="R024: a port beyond 65535",
        ),
        pytest.param(
            b"http://a#b",
            Status.BAD_REQUEST,
            'the request-target has the invalid host "a#b"',
            "RFC 9110 §4.2.1",
            id="R024: a fragment right after the host",
        ),
        pytest.param(
            b"http://a\\b/",
            Status.BAD_REQUEST,
            r'the request-target has the invalid host "a\x5cb"',
            "RFC 9110 §4.2.1",
            id="R024: a backslash in the host",
        ),
        pytest.param(
            b"http://user@a/",
            Status.BAD_REQUEST,
            "the request-target has userinfo",
            "RFC 9110 §4.2.4",
            id="R025: a user",
        ),
        pytest.param(
            b"http://user:password@a:80/",
            Status.BAD_REQUEST,
            "the request-target has userinfo",
            "RFC 9110 §4.2.4",
            id="R025: a user and a password",
        ),
        pytest.param(
            b"http://@a/",
            Status.BAD_REQUEST,
            "the request-target has userinfo",
            "RFC 9110 §4.2.4",
            id="R025: an empty user",
        ),
    ],
)
def test_an_invalid_absolute_form_is_refused(request_target: bytes, status: Status, reason: str, section: str) -> None:
    assert refusal_of_target(b"GET", request_target) == Refusal(status, reason, section)


@each_row(
    "request_target",
    [
        pytest.param(b"hello.txt", id="a path without slash"),
        pytest.param(b"http:/a", id="one slash after the scheme"),
        pytest.param(b"http:a", id="no slash after the scheme"),
        pytest.param(b"://a/", id="no scheme"),
        pytest.param(b"1http://a/", id="a scheme that starts with a digit"),
        pytest.param(b"?a", id="a query alone"),
        pytest.param(b"#", id="a fragment alone"),
        pytest.param(b"**", id="two stars"),
        pytest.param(b"*?a", id="a star with a query"),
        pytest.param(b"www.example.com:80", id="R027: authority-form belongs to CONNECT"),
        pytest.param(b"%2F", id="an encoded slash is no slash"),
    ],
)
def test_a_target_of_no_known_form_is_refused(request_target: bytes) -> None:
    shown = request_target.decode()
    for method in (b"GET", b"OPTIONS"):
        assert refusal_of_target(method, request_target) == Refusal(
            Status.BAD_REQUEST, f'the request-target "{shown}" starts with neither / nor http://', "RFC 9112 §3.2"
        )


# --- asterisk-form and authority-form -------------------------------------------------------------


def test_an_asterisk_is_a_target_of_options() -> None:
    """OPTIONS * asks about the server as a whole (RFC 9112 §3.2.4, requirement R026)."""
    assert parse_target(b"OPTIONS", b"*") == Target(TargetForm.ASTERISK, b"*", None, is_encoded=True)


@each_row("method", ["GET", "HEAD", "POST", "options", "BREW"])
def test_an_asterisk_is_refused_for_other_methods(method: str) -> None:
    """Only OPTIONS may have an asterisk as its target (RFC 9110 §7.1, requirement R027)."""
    reason = f"the request-target * is for OPTIONS, not for {method}"
    assert refusal_of_target(method.encode(), b"*") == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §3.2.4")


@each_row(
    "request_target",
    [b"www.example.com:80", b"192.0.2.1:1", b"[::1]:65535", b"a:00080", b"a:0000000000000000000065535"],
)
def test_connect_names_a_host_and_a_port(request_target: bytes) -> None:
    """CONNECT needs a target in authority-form (RFC 9112 §3.2.3, requirement R027)."""
    assert parse_target(b"CONNECT", request_target) == Target(TargetForm.AUTHORITY, b"", None, is_encoded=True)


@each_row(
    "request_target",
    [
        pytest.param(b"a", id="R028: no port"),
        pytest.param(b"a:", id="R028: an empty port"),
        pytest.param(b"a:0", id="R028: port zero"),
        pytest.param(b"a:000", id="R028: port zero, written long"),
        pytest.param(b"a:65536", id="R028: a port of more than 16 bits"),
        pytest.param(b"a:99999999999999999999", id="R028: a port of more than 64 bits"),
        pytest.param(b"a:http", id="R028: a port by name"),
        pytest.param(b":80", id="R028: no host"),
        pytest.param(b"::1:80", id="R028: an IPv6 address without brackets"),
        pytest.param(b"user@a:80", id="R028: userinfo"),
        pytest.param(b"a:80/", id="R028: a path"),
        pytest.param(b"http://a:80", id="R027: absolute-form"),
        pytest.param(b"/", id="R027: origin-form"),
        pytest.param(b"*", id="R027: asterisk-form"),
    ],
)
def test_connect_to_anything_else_is_refused(request_target: bytes) -> None:
    reason = f'CONNECT to "{request_target.decode().replace("user@", "***@")}", which is not a host and a port'
    assert refusal_of_target(b"CONNECT", request_target) == Refusal(Status.BAD_REQUEST, reason, "RFC 9110 §9.3.6")


def test_the_target_of_lower_case_connect_is_not_an_authority() -> None:
    """Methods are case-sensitive, so "connect" is not CONNECT (requirement R098)."""
    assert parse_target(b"connect", b"/").form is TargetForm.ORIGIN


# --- Host -----------------------------------------------------------------------------------------


@each_row(
    "value",
    [
        pytest.param(b"localhost", id="R033: a name"),
        pytest.param(b"localhost:8000", id="R033: a name and a port"),
        pytest.param(b"a:", id="R033: an empty port"),
        pytest.param(b"a:0", id="R033: port zero, which only a connection can't have"),
        pytest.param(b"a:065535", id="R033: the last port, with a leading zero"),
        pytest.param(b"[::1]:80", id="R033: an IPv6 address"),
    ],
)
@each_row("minor_version", [0, 1])
def test_a_valid_host_is_accepted_in_any_version(value: bytes, minor_version: int) -> None:
    check_host(value, minor_version)


@each_row(
    ("value", "shown"),
    [
        pytest.param(b"", "", id="R031: an empty Host"),
        pytest.param(b"a b", "a b", id="R031: a space"),
        pytest.param(b"a, b", "a, b", id="R031: two hosts"),
        pytest.param(b"a/b", "a/b", id="R031: a path"),
        pytest.param(b"http://a", "http://a", id="R031: a URI"),
        pytest.param(b"user@a", "***@a", id="R031: userinfo"),
        pytest.param(b"a:b", "a:b", id="R031: a port by name"),
        pytest.param(b"a:65536", "a:65536", id="R031: a port of more than 16 bits"),
        pytest.param(b"a:100000000000000000000", "a:100000000000000000000", id="R031: a port of more than 64 bits"),
        pytest.param(b"::1", "::1", id="R031: an IPv6 address without brackets"),
        pytest.param(b"[::1", "[::1", id="R031: half a bracket"),
        pytest.param(b'"a"', r"\x22a\x22", id="R031: quotes"),
        pytest.param(b"\xe4", r"\xe4", id="R031: obs-text"),
    ],
)
@each_row("minor_version", [0, 1])
def test_an_invalid_host_is_refused_in_any_version(value: bytes, shown: str, minor_version: int) -> None:
    with pytest.raises(RequestError) as caught:
        check_host(value, minor_version)
    reason = f'Host is "{shown}", not a host with an optional port'
    assert caught.value.refusal == Refusal(Status.BAD_REQUEST, reason, "RFC 9112 §3.2")


def test_http_1_1_needs_a_host() -> None:
    """If an HTTP/1.1 request lacks Host, the server must answer 400 (RFC 9112 §3.2, requirement R029)."""
    with pytest.raises(RequestError) as caught:
        check_host(None, 1)
    assert caught.value.refusal == Refusal(Status.BAD_REQUEST, "there is no Host field line", "RFC 9112 §3.2")


def test_http_1_0_needs_no_host() -> None:
    """Host is required only in HTTP/1.1 (RFC 9112 §3.2, requirement R034)."""
    check_host(None, 0)


# --- Any octets -----------------------------------------------------------------------------------

_visible = st.binary(min_size=1, max_size=30).map(
    lambda octets: bytes(o if o > 0x20 and o != 0x7F else 0x2F for o in octets)
)
_fragments = st.lists(
    st.sampled_from(
        [b"http", b"https", b":", b"//", b"/", b"*", b"a", b"@", b"?", b"#", b"%", b"%41", b"[::1]", b"80", b"\xff"]
    ),
    min_size=1,
    max_size=8,
).map(b"".join)


@bounded
@given(st.sampled_from([b"GET", b"OPTIONS", b"CONNECT"]), st.one_of(_visible, _fragments))
def test_any_target_is_parsed_or_refused_with_a_reason(method: bytes, request_target: bytes) -> None:
    try:
        target = parse_target(method, request_target)
    except RequestError as error:
        target, refusal = None, error.refusal
    if target is None:
        assert refusal.reason
        assert refusal.section.startswith("RFC ")
        return
    assert target.path.startswith((b"/", b"*")) or target.form is TargetForm.AUTHORITY
    assert b"#" not in target.path + (target.query or b"")
    if target.form is TargetForm.ORIGIN:
        assert request_target == target.path + (b"" if target.query is None else b"?" + target.query)


@each_row(
    ("method", "request_target"),
    [
        pytest.param(b"GET", b"http://a:" + b"0" * 1024 * 1024 + b"x", id="a port"),
        pytest.param(b"GET", b"/" + b"%41" * (1024 * 1024 // 3) + b"%", id="an encoded path"),
        pytest.param(b"GET", b"a" * 1024 * 1024, id="a scheme"),
        pytest.param(b"CONNECT", b"[" + b"1:" * (512 * 1024), id="an IPv6 address"),
    ],
)
def test_a_mebibyte_of_hostile_target_is_refused(method: bytes, request_target: bytes) -> None:
    assert refusal_of_target(method, request_target).status is Status.BAD_REQUEST
