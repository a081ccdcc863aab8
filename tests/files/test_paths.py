"""Paths: decoding the path of a request to a resource name (RFC 3986 §2.4, §3.3; RFC 9110 §17.3)."""

import itertools
import os
import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpsock.files import paths
from httpsock.files.paths import (
    NOT_FOUND,
    ResourceName,
    encoded_reference,
    folder_reference,
    holds_references,
    is_hidden_name,
    is_reserved_on_windows,
    parse_path,
)
from httpsock.http.grammar import BROKEN_PERCENT, UNENCODED, percent_encode
from httpsock.http.messages import Refusal, Status
from tests.support.rows import each_row


@each_row(
    ("path", "segments", "is_folder"),
    [
        pytest.param(b"/", (), True, id="the root"),
        pytest.param(b"/a", ("a",), False, id="a file"),
        pytest.param(b"/a/", ("a",), True, id="a folder"),
        pytest.param(b"/a/b/c.txt", ("a", "b", "c.txt"), False, id="a file in folders"),
        pytest.param(b"/a%20b", ("a b",), False, id="R140: an encoded space"),
        pytest.param(b"/%61%62", ("ab",), False, id="R140: encoded letters are the letters"),
        pytest.param(b"/%C3%BC", ("ü",), False, id="R140: an encoded letter beyond ASCII"),
        pytest.param(b"/%c3%bc", ("ü",), False, id="R140: encoded with lower-case digits"),
        pytest.param(b"/%2561", ("%61",), False, id="R139: decoded once"),
        pytest.param(b"/%252e%252e/", ("%2e%2e",), True, id="R139: a double encoding is a name"),
        pytest.param(b"/a+b", ("a+b",), False, id="a plus is a plus"),
        pytest.param(b"/a;b=c", ("a;b=c",), False, id="parameters are part of a name"),
        pytest.param(b"/%3F%23", ("?#",), False, id="an encoded question mark is part of a name"),
        pytest.param(b"/a..", ("a..",), False, id="full stops at the end of a name"),
        pytest.param(b"/%0a%0D%1b", ("\n\r\x1b",), False, id="control characters, which a name may have"),
        pytest.param(b"/%ff", (os.fsdecode(b"\xff"),), False, id="octets that are no UTF-8, which a name may have"),
        pytest.param(b"/A", ("A",), False, id="R141: case counts"),
        pytest.param(b"/./x", ("x",), False, id="R146: a dot-segment"),
        pytest.param(b"/a/../b", ("b",), False, id="R146: two dots"),
        pytest.param(b"/a/%2e/f", ("a", "f"), False, id="R146: an encoded dot-segment"),
        pytest.param(b"/a/%2E%2e/f", ("f",), False, id="R146: encoded dots"),
        pytest.param(b"/a/.%2e/f", ("f",), False, id="R146: half encoded dots"),
        pytest.param(b"//x", ("x",), False, id="R146: an empty segment"),
        pytest.param(b"/a//f", ("a", "f"), False, id="R146: an empty segment within"),
        pytest.param(b"///", (), True, id="R146: empty segments alone"),
        pytest.param(b"/a//", ("a",), True, id="R146: an empty segment at the end"),
        pytest.param(b"/a/.", ("a",), True, id="R146: a dot-segment at the end is a folder"),
        pytest.param(b"/a/b/..", ("a",), True, id="R146: two dots at the end are a folder"),
        pytest.param(b"/@scope%2fname", ("@scope", "name"), False, id="R146: an encoded slash is a slash"),
        pytest.param(b"/a%2F", ("a",), True, id="R146: an encoded slash at the end"),
        pytest.param(b"/a%2f..%2Fb", ("b",), False, id="R146: dots between encoded slashes"),
        pytest.param(b"/.git/../x", ("x",), False, id="R146: a hidden name that dots remove"),
        pytest.param(b"/%252F", ("%2F",), False, id="R139: an escaped slash is decoded once"),
        pytest.param(b"/a/b..;/c", ("a", "b..;", "c"), False, id="dots with parameters are a name"),
        pytest.param(
            b"/%c0%ae%c0%ae/x", (os.fsdecode(b"\xc0\xae\xc0\xae"), "x"), False, id="overlong UTF-8 does not make dots"
        ),
    ],
)
def test_a_path_is_decoded_to_a_name(path: bytes, segments: tuple[str, ...], is_folder: bool) -> None:
    name = parse_path(path)
    assert name == ResourceName(segments, os.sep.join(segments), is_folder, is_hidden=False)


@each_row(
    ("path", "reason", "section"),
    [
        pytest.param(
            b"/%00", "path segment 1 has a NUL (%00), which no file name has", "RFC 3986 §3.3", id="R139: NUL"
        ),
        pytest.param(
            b"/a/b%00.txt",
            "path segment 2 has a NUL (%00), which no file name has",
            "RFC 3986 §3.3",
            id="R139: NUL in a name",
        ),
        pytest.param(b"/..", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R146: out of the root"),
        pytest.param(b"/../", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R146: out of the root, a folder"),
        pytest.param(
            b"/a/../../a", 'path segment 3 is ".."', "RFC 3986 §5.2.4", id="R146: out of the root and back into it"
        ),
        pytest.param(b"/%2e%2E/x", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R146: encoded"),
        pytest.param(b"/.%2e/x", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R146: half encoded"),
        pytest.param(b"/..%2Fx", 'path segment 1 is ".."', "RFC 3986 §5.2.4", id="R146: an encoded slash"),
        pytest.param(b"//..//x", 'path segment 2 is ".."', "RFC 3986 §5.2.4", id="R146: empty segments are no folders"),
        pytest.param(b"/./../x", 'path segment 2 is ".."', "RFC 3986 §5.2.4", id="R146: a dot-segment is no folder"),
    ],
)
def test_a_path_that_cannot_name_a_file_is_refused(path: bytes, reason: str, section: str) -> None:
    refusal = parse_path(path)
    assert isinstance(refusal, Refusal)
    assert refusal.status is Status.BAD_REQUEST
    assert refusal.reason.startswith(reason)
    assert refusal.section == section


@pytest.mark.skipif(os.name == "nt", reason="on Windows it separates names")
def test_an_encoded_backslash_is_part_of_a_name() -> None:
    assert parse_path(b"/back%5Cslash.txt") == ResourceName(
        ("back\\slash.txt",), "back\\slash.txt", False, is_hidden=False
    )
    assert parse_path(b"/a/..%5c..%5cb") == ResourceName(("a", "..\\..\\b"), "a/..\\..\\b", False, is_hidden=True)


@each_row(
    ("path", "is_hidden"),
    [
        pytest.param(b"/.git/config", True, id="R144: in a hidden folder"),
        pytest.param(b"/a/.htpasswd", True, id="R144: a hidden file"),
        pytest.param(b"/%2egit", True, id="R144: an encoded full stop"),
        pytest.param(b"/...", True, id="R144: full stops alone"),
        pytest.param(b"/.well-known/security.txt", False, id="RFC 8615: meant to be seen"),
        pytest.param(b"/.well-known/", False, id="RFC 8615: the folder itself"),
        pytest.param(b"/.well-known/.secret", True, id="R144: hidden names in .well-known are hidden"),
        pytest.param(b"/a/.well-known/x", True, id="RFC 8615: at the top alone"),
        pytest.param(b"/.well-known.bak", True, id="R144: a longer name"),
        pytest.param(b"/.Well-Known/", True, id="RFC 8615: case counts"),
        pytest.param(b"/a.b/c.", False, id="a full stop elsewhere"),
    ],
)
def test_names_that_start_with_a_full_stop_are_hidden(path: bytes, is_hidden: bool) -> None:
    name = parse_path(path)
    assert isinstance(name, ResourceName)
    assert name.is_hidden is is_hidden


def test_a_name_that_starts_with_a_full_stop_is_hidden_except_well_known_in_the_root() -> None:
    assert is_hidden_name(".a", is_top=True)
    assert is_hidden_name(".well-known", is_top=False)
    assert not is_hidden_name(".well-known", is_top=True)
    assert not is_hidden_name("a", is_top=False)


@each_row(
    ("path", "query", "reference"),
    [
        pytest.param(b"/sub", None, "sub/", id="R142: with a slash"),
        pytest.param(b"/sub", b"", "sub/?", id="an empty query is a query"),
        pytest.param(b"/sub", b"a=b&c=%20", "sub/?a=b&c=%20", id="the query is kept as it is"),
        pytest.param(b"/a%20b/c", None, "c/", id="only the last segment"),
        pytest.param(b"/a:b", None, "./a:b/", id="R143: a colon does not end a scheme"),
        pytest.param(b"/javascript:alert(1)", None, "./javascript:alert(1)/", id="R143: no scheme"),
        pytest.param(b"//evil.example", None, "evil.example/", id="R143: no host"),
        pytest.param(b"/a%2Fsub", None, "a%2Fsub/", id="R146: an encoded slash is in the last segment"),
        pytest.param(b"/%ff", None, "%ff/", id="octets that are no UTF-8"),
        pytest.param(b"/%5C%5Cevil.example", None, "%5C%5Cevil.example/", id="R143: backslashes stay encoded"),
        pytest.param(b"/x/../sub", None, "sub/", id="R146: behind a dot-segment"),
        pytest.param(b"//x//sub", None, "sub/", id="R146: behind empty segments"),
        pytest.param(b"/x//../sub", b"q", "/sub/?q", id="R146: two full stops would remove an empty segment"),
        pytest.param(b"/x//%2e%2e/sub", None, "/sub/", id="R146: encoded full stops, which browsers decode"),
        pytest.param(b"/a%2Fb/../sub", None, "/a/sub/", id="R146: two full stops would remove two folders"),
        pytest.param(b"/a%2Fb/../../sub", None, "/sub/", id="R146: two full stops would remove a proxy's prefix"),
    ],
)
def test_a_folder_without_its_slash_gets_a_relative_reference(path: bytes, query: bytes | None, reference: str) -> None:
    assert folder_reference(path, query) == reference


@each_row(
    ("path", "query", "reference"),
    [
        pytest.param(b'/a"b', None, "/a%22b", id="a quote"),
        pytest.param(b"/x/a<b", b"q=<", "/x/a%3Cb?q=%3C", id="with a query"),
        pytest.param(b'//evil.example/"', None, "/evil.example/%22", id="R143: no host"),
        pytest.param(b"/", b"100%", "/?100%25", id="a broken escape in a query"),
        pytest.param(b'/x//../"', b"", "/%22?", id="R146: two full stops would remove an empty segment"),
        pytest.param(b'/x//../"/.', None, "/%22/", id="R146: a folder after two full stops"),
        pytest.param(b'/x/../"/..', None, "/x/../%22/..", id="R146: dot-segments that clients resolve"),
        pytest.param(b'/../"', None, "/../%22", id="R146: a path that leaves the root"),
    ],
)
def test_a_path_with_unencoded_octets_is_redirected_to_its_encoded_form(
    path: bytes, query: bytes | None, reference: str
) -> None:
    assert encoded_reference(path, query) == reference


def resolve(base: str, reference: str) -> str:
    """Resolve the relative *reference* against the path *base* (RFC 3986 §5.2.2 to §5.2.4)."""
    path = reference if reference.startswith("/") else base.rpartition("/")[0] + "/" + reference
    stored: list[str] = []
    *folders, last = path.split("/")[1:]
    for segment in folders:
        if segment == "..":
            del stored[-1:]
        elif segment != ".":
            stored.append(segment)
    assert last not in (".", "..")
    return "".join(f"/{segment}" for segment in [*stored, last])


PIECES = ["/", ".", "%2e", "..", "%2f", "%5c", "a", "b:c", ".git", "\xff", '"', "%61", ";", "%25", "%"]


def spelled_paths() -> Iterator[bytes]:
    """Yield all paths of up to three pieces, such as "..", "%2f" or "a", and random paths of up to nine pieces."""
    chosen = random.Random(1)
    longer = [chosen.choices(PIECES, k=chosen.randint(4, 9)) for _ in range(3000)]
    for pieces in itertools.chain(*(itertools.product(PIECES, repeat=count) for count in range(4)), longer):
        yield ("/" + "".join(pieces)).encode("latin-1")


def test_a_reference_leads_to_the_requested_file() -> None:
    """If a client follows the redirect, it requests the same folder or file (requirements R142 and R143)."""
    for path in spelled_paths():
        check_reference(path)


def check_reference(path: bytes) -> None:
    """Assert that a redirect from *path* leads to the same name. Skip paths with a final slash."""
    name = parse_path(path)
    if isinstance(name, Refusal) or name.is_folder:
        return
    base = path.decode("latin-1")
    if re.search(BROKEN_PERCENT, path) or re.search(UNENCODED, path):
        reference, is_folder = encoded_reference(path, None), False
        assert re.match(r"/(?![/\\])", reference)
    else:
        reference, is_folder = folder_reference(path, None), True
        assert not reference.startswith(("/", "\\"))
        assert ":" not in reference.partition("/")[0]
        # The reference leads to the same file behind a proxy that strips a prefix.
        assert resolve("/prefix" + base, reference) == "/prefix" + resolve(base, reference) or ".." in base
    assert parse_path(resolve(base, reference).encode("latin-1")) == name._replace(is_folder=is_folder), path


def test_links_in_a_listing_lead_into_its_folder() -> None:
    """If relative links would lead elsewhere, the client is first redirected (requirements R142 and R146)."""
    for path in spelled_paths():
        check_references_in_folder(path)


def check_references_in_folder(path: bytes) -> None:
    """Assert that links in the listing of *path* lead into this folder, perhaps after a redirect."""
    name = parse_path(path)
    if isinstance(name, Refusal) or not name.is_folder or re.search(BROKEN_PERCENT, path) or re.search(UNENCODED, path):
        return
    base = path.decode("ascii")
    if not holds_references(path, name):
        base = resolve_folder(base, folder_reference(path, None))
        assert parse_path(base.encode()) == name
        assert holds_references(base.encode(), name)
    assert parse_path(resolve(base, "x").encode()) == parse_path(b"/" + b"/".join([*_encoded(name), b"x"]))


def resolve_folder(base: str, reference: str) -> str:
    """Resolve *reference*, which ends with a slash, against the path *base*."""
    return resolve(base, reference + "x").removesuffix("x")


def _encoded(name: ResourceName) -> list[bytes]:
    return [percent_encode(os.fsencode(segment)).encode() for segment in name.segments]


def normalise(path: bytes) -> list[bytes] | None:
    """Remove the dot-segments from *path* and return its segments (RFC 3986 §5.2.4).

    If *path* leads out of the root, return None.
    """
    decoded, rest = b"", path
    while rest:
        size = 3 if re.match(rb"%[0-9A-Fa-f]{2}", rest) else 1
        decoded += bytes([int(rest[1:3], 16)]) if size == 3 else rest[:1]
        rest = rest[size:]
    segments: list[bytes] = []
    for segment in decoded.split(b"/"):
        if segment == b"..":
            if not segments:
                return None
            segments.pop()
        elif segment not in (b"", b"."):
            segments.append(segment)
    return segments


@each_row("length", range(6))
def test_equivalent_paths_have_one_name(length: int) -> None:
    """The test compares the result with a second implementation (requirements R138 and R146)."""
    pieces = [b"/", b".", b"%2e", b"%2F", b"%5C", b"a", b".git"]
    for chosen in itertools.product(pieces, repeat=length):
        path = b"/" + b"".join(chosen)
        name, expected = parse_path(path), normalise(path)
        if expected is None:
            assert isinstance(name, Refusal)
            assert name.section == "RFC 3986 §5.2.4"
            continue
        assert isinstance(name, ResourceName)
        assert [os.fsencode(segment) for segment in name.segments] == expected
        assert os.path.normpath("/root/" + name.relative) == "/root/" + name.relative or not name.segments
        assert name.is_hidden == any(segment.startswith(b".") for segment in expected)


@given(path=st.binary(max_size=30).map(lambda octets: b"/" + octets))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_the_name_of_any_path_stays_below_the_root(path: bytes) -> None:
    """No path leads out of the root (RFC 9110 §17.3, requirement R138)."""
    name = parse_path(path)
    if isinstance(name, Refusal):
        assert name.status in (Status.BAD_REQUEST, Status.NOT_FOUND)
        return
    for segment in name.segments:
        assert segment not in ("", ".", "..")
        assert not set(segment) & set("\0/")


WINDOWS_TRAPS = ["con", "CON", "nul.txt", "Aux", "prn", "com1", "COM9.log", "com¹", "lpt0", "conin$", "CONOUT$", "con "]
WINDOWS_TRAPS += [
    "a\\b",
    "..\\b",
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


@each_row("name", WINDOWS_TRAPS)
def test_a_name_with_another_meaning_on_windows_is_reserved(name: str) -> None:
    """For example, Windows opens a device for NUL.txt (requirement R145)."""
    assert is_reserved_on_windows(name)


@each_row("name", ["console", "a", "a.txt", "com", "com10", "nullify.txt", "aux-1", "ü", ".git", "a b"])
def test_an_ordinary_name_is_not_reserved(name: str) -> None:
    assert not is_reserved_on_windows(name)


def test_reserved_names_of_windows_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # These paths are too long for the memo, which may hold results of this system.
    folder = b"/" + b"a" * 300
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        trapped = parse_path(folder + b"/nul.txt")
        ordinary = parse_path(folder + b"/null.txt")
    assert trapped is NOT_FOUND
    assert isinstance(ordinary, ResourceName)
    assert ordinary.segments == ("a" * 300, "null.txt")


def test_a_long_path_is_not_memoised() -> None:
    """Long paths would fill the cache of parsed paths."""
    before = paths._memoised_parse_path.cache_info()
    assert isinstance(parse_path(b"/" + b"a/" * 200), ResourceName)
    assert paths._memoised_parse_path.cache_info() == before
