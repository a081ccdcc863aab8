"""Paths: the name that a path spells (RFC 3986 §2.4, §3.3; RFC 9110 §17.3)."""

import os
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock import paths
from httpsock.messages import Refusal, Status
from httpsock.paths import NOT_FOUND, Name, is_hidden_name, is_windows_trap, location_of, parse_path


@pytest.mark.parametrize(
    ("path", "segments", "is_folder"),
    [
        pytest.param(b"/", (), True, id="the root"),
        pytest.param(b"/a", ("a",), False, id="a file"),
        pytest.param(b"/a/", ("a",), True, id="a folder"),
        pytest.param(b"/a/b/c.txt", ("a", "b", "c.txt"), False, id="a file in folders"),
        pytest.param(b"/a%20b", ("a b",), False, id="R140: an encoded space"),
        pytest.param(b"/%61%62", ("ab",), False, id="R140: encoded letters are the letters"),
        pytest.param(b"/%C3%BC", ("ü",), False, id="R140: an encoded letter beyond ASCII"),
        pytest.param(b"/%c3%bc", ("ü",), False, id="R140: in small hexadecimal digits"),
        pytest.param(b"/%2561", ("%61",), False, id="R139: decoded once"),
        pytest.param(b"/%252e%252e/", ("%2e%2e",), True, id="R139: a double encoding is a name"),
        pytest.param(b"/a+b", ("a+b",), False, id="a plus is a plus"),
        pytest.param(b"/a;b=c", ("a;b=c",), False, id="parameters are part of a name"),
        pytest.param(b"/%3F%23", ("?#",), False, id="an encoded question mark is part of a name"),
        pytest.param(b"/a..", ("a..",), False, id="full stops at the end of a name"),
        pytest.param(b"/%0a%0D%1b", ("\n\r\x1b",), False, id="control characters, which a name may have"),
        pytest.param(b"/%ff", (os.fsdecode(b"\xff"),), False, id="octets that are no UTF-8, which a name may have"),
        pytest.param(b"/A", ("A",), False, id="R141: case counts"),
    ],
)
def test_a_path_spells_a_name(path: bytes, segments: tuple[str, ...], is_folder: bool) -> None:
    name = parse_path(path)
    assert name == Name(segments, os.sep.join(segments), is_folder, is_hidden=False)


@pytest.mark.parametrize(
    ("path", "reason", "clause"),
    [
        pytest.param(b"/%00", "path segment 1 has a NUL (%00)", "RFC 3986 §3.3", id="R139: NUL"),
        pytest.param(b"/a/b%00.txt", "path segment 2 has a NUL (%00)", "RFC 3986 §3.3", id="R139: NUL in a name"),
        pytest.param(b"/a%2fb", "path segment 1 has an encoded slash (%2F)", "RFC 3986 §3.3", id="R138: %2f"),
        pytest.param(b"/..%2Fb", "path segment 1 has an encoded slash (%2F)", "RFC 3986 §3.3", id="R138: ..%2F"),
        pytest.param(b"/..%5cb", "path segment 1 has a backslash (%5C)", "RFC 3986 §3.3", id="R138: ..%5c"),
        pytest.param(b"/a/\\b", "path segment 2 has a backslash (%5C)", "RFC 3986 §3.3", id="R138: a backslash"),
        pytest.param(b"/..", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R138: .."),
        pytest.param(b"/a/../b", 'path segment 2 is ".."', "RFC 3986 §5.2.4", id="R138: .. within"),
        pytest.param(b"/a/b/..", 'path segment 3 is ".."', "RFC 3986 §5.2.4", id="R138: .. at the end"),
        pytest.param(b"/../", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R138: ../"),
        pytest.param(b"/%2e%2E/x", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R138: .. encoded"),
        pytest.param(b"/.%2e/x", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R138: .. half encoded"),
        pytest.param(b"/./a", 'path segment 1 is "."', "RFC 3986 §5.2.4", id="."),
        pytest.param(b"/a/%2e", 'path segment 2 is "."', "RFC 3986 §5.2.4", id=". encoded"),
    ],
)
def test_a_path_that_can_name_nothing_is_refused(path: bytes, reason: str, clause: str) -> None:
    refusal = parse_path(path)
    assert isinstance(refusal, Refusal)
    assert refusal.status is Status.BAD_REQUEST
    assert refusal.reason.startswith(reason)
    assert refusal.clause == clause


@pytest.mark.parametrize("path", [b"//", b"//a", b"/a//b", b"/a//", b"///"])
def test_an_empty_segment_names_nothing(path: bytes) -> None:
    assert parse_path(path) is NOT_FOUND


@pytest.mark.parametrize(
    ("path", "is_hidden"),
    [
        pytest.param(b"/.git/config", True, id="R144: in a hidden folder"),
        pytest.param(b"/a/.htpasswd", True, id="R144: a hidden file"),
        pytest.param(b"/%2egit", True, id="R144: an encoded full stop"),
        pytest.param(b"/...", True, id="R144: full stops alone"),
        pytest.param(b"/.well-known/security.txt", False, id="RFC 8615: meant to be seen"),
        pytest.param(b"/.well-known/", False, id="RFC 8615: the folder itself"),
        pytest.param(b"/.well-known/.secret", True, id="R144: hidden even there"),
        pytest.param(b"/a/.well-known/x", True, id="RFC 8615: at the top alone"),
        pytest.param(b"/.well-known.bak", True, id="R144: a longer name"),
        pytest.param(b"/.Well-Known/", True, id="RFC 8615: case counts"),
        pytest.param(b"/a.b/c.", False, id="a full stop elsewhere"),
    ],
)
def test_names_that_start_with_a_full_stop_are_hidden(path: bytes, is_hidden: bool) -> None:
    name = parse_path(path)
    assert isinstance(name, Name)
    assert name.is_hidden is is_hidden


def test_hidden_names_are_told_by_their_place() -> None:
    assert is_hidden_name(".a", is_top=True)
    assert is_hidden_name(".well-known", is_top=False)
    assert not is_hidden_name(".well-known", is_top=True)
    assert not is_hidden_name("a", is_top=False)


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        pytest.param(b"/sub", None, "/sub/", id="R142: with a slash"),
        pytest.param(b"/sub", b"", "/sub/?", id="an empty query is a query"),
        pytest.param(b"/sub", b"a=b&c=%20", "/sub/?a=b&c=%20", id="the query is kept as it is"),
        pytest.param(b"/a%20b/c", None, "/a%20b/c/", id="spaces stay encoded"),
        pytest.param(b"/a%0d%0aSet-Cookie:x", None, "/a%0D%0ASet-Cookie%3Ax/", id="R143: no header injection"),
        pytest.param(b"/javascript:alert(1)", None, "/javascript%3Aalert%281%29/", id="R143: no scheme"),
        pytest.param(b"/%ff", None, "/%FF/", id="octets that are no UTF-8"),
        pytest.param("/ü".encode(), None, "/%C3%BC/", id="letters beyond ASCII are encoded"),
    ],
)
def test_a_folder_has_a_location(path: bytes, query: bytes | None, location: str) -> None:
    name = parse_path(path)
    assert isinstance(name, Name)
    assert location_of(name, query) == location


@given(path=st.binary(max_size=30).map(lambda octets: b"/" + octets))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_whatever_a_path_holds_its_name_stays_below_the_root(path: bytes) -> None:
    """R138, R143."""
    name = parse_path(path)
    if isinstance(name, Refusal):
        assert name.status in (Status.BAD_REQUEST, Status.NOT_FOUND)
        return
    for segment in name.segments:
        assert segment not in ("", ".", "..")
        assert not set(segment) & set("\0/\\")
    location = location_of(name, None)
    assert urlsplit(urljoin("http://a/x/y", location)).netloc == "a"
    assert parse_path(location.encode()) == name._replace(is_folder=True)


WINDOWS_TRAPS = ["con", "CON", "nul.txt", "Aux", "prn", "com1", "COM9.log", "com¹", "lpt0", "conin$", "CONOUT$", "con "]
WINDOWS_TRAPS += [
    "con .txt",
    "name.",
    "name ",
    "file::$DATA",
    "a:b",
    "a*",
    "a?",
    "a<b",
    'a"b',
    "a|b",
    "a\nb\nc",
    "\x1f",
]


@pytest.mark.parametrize("name", WINDOWS_TRAPS)
def test_a_name_that_windows_would_take_for_another_is_a_trap(name: str) -> None:
    """R145."""
    assert is_windows_trap(name)


@pytest.mark.parametrize("name", ["console", "a", "a.txt", "com", "com10", "nullify.txt", "aux-1", "ü", ".git", "a b"])
def test_an_ordinary_name_is_no_trap(name: str) -> None:
    assert not is_windows_trap(name)


def test_on_windows_a_trap_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """R145."""
    # Paths so long that none is remembered from another system.
    folder = b"/" + b"a" * 300
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        trapped = parse_path(folder + b"/nul.txt")
        ordinary = parse_path(folder + b"/null.txt")
    assert trapped is NOT_FOUND
    assert isinstance(ordinary, Name)
    assert ordinary.segments == ("a" * 300, "null.txt")


def test_a_long_path_is_not_remembered() -> None:
    """A client that sends many long paths makes nothing grow."""
    before = paths._memoised_parse_path.cache_info()
    assert isinstance(parse_path(b"/" + b"a/" * 200), Name)
    assert paths._memoised_parse_path.cache_info() == before
