"""The file handler: ranges (RFC 9110 §14)."""

import os
import pathlib
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from httpsock.files.document_root import DocumentRoot
from httpsock.http.handler import Tick
from httpsock.http.ranges import MAX_RANGES
from httpsock.http.request_parser import parse_head
from tests.files.asking import MODIFIED, NOW, ask, respond_to
from tests.support import Answer, get
from tests.support.folder import ALPHABET, LONG_AGO


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin"])
@pytest.mark.parametrize(
    ("asked", "selected"),
    [
        pytest.param("bytes=0-0", slice(0, 1), id="the first octet"),
        pytest.param("bytes=3-5", slice(3, 6), id="some octets"),
        pytest.param("bytes=20-", slice(20, None), id="to the end"),
        pytest.param("bytes=-5", slice(-5, None), id="the last five"),
        pytest.param("bytes=-1", slice(-1, None), id="the last octet"),
        pytest.param("bytes=0-", slice(0, None), id="the whole file"),
        pytest.param("bytes=-99999999999999999999", slice(0, None), id="R134: a suffix beyond all numbers"),
        pytest.param("bytes=3-99999999999999999999", slice(3, None), id="R134: a position beyond all numbers"),
        pytest.param("bytes=3-5,6-8", slice(3, 9), id="R135: adjacent ranges are sent as one part"),
        pytest.param("bytes=3-5,99999999-", slice(3, 6), id="R135: only one of two ranges is satisfiable"),
    ],
)
def test_a_range_is_sent_unchanged(root: DocumentRoot, path: str, asked: str, selected: slice) -> None:
    """A 206 has the octets of the file and the fields of a 200 (RFC 9110 §15.3.7.1).

    Only Content-Length and Content-Range differ.
    """
    whole = ask(root, get(path))
    answer = ask(root, get(path, f"Range: {asked}"))
    assert answer.status == 206
    assert answer.content == whole.content[selected]
    first, stop, _ = selected.indices(len(whole.content))
    assert answer.field("Content-Range") == f"bytes {first}-{stop - 1}/{len(whole.content)}"
    changed = ("Content-Length", "Content-Range")
    assert [field for field in answer.fields if field[0] not in changed] == [
        field for field in whole.fields if field[0] not in changed
    ]


def parts_of(answer: Answer) -> list[tuple[dict[str, str], bytes]]:
    """Parse a multipart/byteranges answer (RFC 9110 §14.6, RFC 2046 §5.1.1). Return each part's fields and content."""
    match = re.fullmatch(r"multipart/byteranges; boundary=([0-9A-Za-z]{1,70})", answer.field("Content-Type") or "")
    assert match
    # zsync looks for the CRLF before the first delimiter, too.
    delimiter = b"\r\n--" + match[1].encode()
    parts = []
    rest = answer.content
    while rest != delimiter + b"--\r\n":
        assert rest.startswith(delimiter + b"\r\n")
        head, _, rest = rest.removeprefix(delimiter + b"\r\n").partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode("ascii").split("\r\n")]
        fields = {name: value for name, _, value in lines}
        assert len(fields) == len(lines)
        positions = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/[0-9]+", fields["Content-Range"])
        assert positions
        length = int(positions[2]) - int(positions[1]) + 1
        content, rest = rest[:length], rest[length:]
        assert len(content) == length
        assert delimiter not in content
        parts.append((fields, content))
    return parts


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin"])
@pytest.mark.parametrize(
    ("asked", "selected"),
    [
        pytest.param("bytes=0-0,-1", [slice(0, 1), slice(-1, None)], id="first and last"),
        pytest.param("bytes=20-21,0-1,10-11", [slice(20, 22), slice(0, 2), slice(10, 12)], id="in the order asked"),
        pytest.param("bytes=0-3,2-5,9-", [slice(0, 6), slice(9, None)], id="R136: overlapping ranges are joined"),
        pytest.param("bytes=0-1,99999999-,5-6", [slice(0, 2), slice(5, 7)], id="an unsatisfiable range is left out"),
        pytest.param(
            "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 18, 2)),
            [slice(n, n + 1) for n in range(0, 18, 2)],
            id="many apart",
        ),
    ],
)
def test_several_ranges_are_sent_in_parts(root: DocumentRoot, path: str, asked: str, selected: list[slice]) -> None:
    """Only the parts have Content-Range, not the response (RFC 9110 §15.3.7.2; requirements R128 and R135)."""
    whole = ask(root, get(path))
    length = len(whole.content)
    answer = ask(root, get(path, f"Range: {asked}"))
    assert answer.status == 206
    assert answer.field("Content-Range") is None
    expected = []
    for each in selected:
        first, stop, _ = each.indices(length)
        content_range = f"bytes {first}-{stop - 1}/{length}"
        fields = {"Content-Type": whole.field("Content-Type"), "Content-Range": content_range}
        expected.append((fields, whole.content[each]))
    assert parts_of(answer) == expected
    changed = ("Content-Length", "Content-Type")
    assert sorted(field for field in answer.fields if field[0] not in changed) == sorted(
        field for field in whole.fields if field[0] not in changed
    )


def test_the_boundary_is_unpredictable(root: DocumentRoot) -> None:
    answers = [ask(root, get("/alphabet.txt", "Range: bytes=0-0,-1")) for _ in range(20)]
    assert len({answer.field("Content-Type") for answer in answers}) == 20


_INT_RANGES = st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda pair: pair[0] <= pair[1])


@given(pairs=st.lists(_INT_RANGES, min_size=1, max_size=MAX_RANGES))
@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    # All examples may share the folder: none of them changes it.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_ranges_never_send_an_octet_twice(root: DocumentRoot, pairs: list[tuple[int, int]]) -> None:
    """Overlapping ranges must not multiply the response (RFC 9110 §17.15, requirement R136)."""
    answer = ask(root, get("/alphabet.txt", "Range: bytes=" + ",".join(f"{first}-{last}" for first, last in pairs)))
    asked = {octet for first, last in pairs for octet in ALPHABET[first : last + 1]}
    if not asked:
        assert answer.status == 416
        return
    assert answer.status == 206
    contents = [answer.content] if answer.field("Content-Range") else [content for _, content in parts_of(answer)]
    sent = b"".join(contents)
    assert sorted(sent) == sorted(asked)


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin", "/"])
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("lines=0-1", id="R131: another unit"),
        pytest.param("bytes=2-1", id="R131: the last before the first"),
        pytest.param("bytes=0-1,2-1", id="R131: one invalid among valid ones"),
        pytest.param("bytes=a-b", id="R131: no numbers"),
        pytest.param("bytes=", id="R131: no range"),
        pytest.param("bytes=" + "0-0," * MAX_RANGES + "0-0", id="R136: too many ranges"),
    ],
)
def test_a_malformed_range_is_ignored(root: DocumentRoot, path: str, asked: str) -> None:
    whole = ask(root, get(path))
    assert whole.status == 200
    assert ask(root, get(path, f"Range: {asked}")) == whole


def test_a_range_applies_to_get_only(root: DocumentRoot) -> None:
    """Only GET defines a meaning for Range (RFC 9110 §14.2, requirement R130)."""
    for asked in ("bytes=0-1", "bytes=0-1,5-6", "bytes=99999999-"):
        assert ask(root, get("/large.bin", f"Range: {asked}", method="HEAD")) == ask(root, get("/large.bin"))


@pytest.mark.parametrize(
    ("path", "asked", "length"),
    [
        pytest.param("/alphabet.txt", "bytes=26-", 26, id="R132: starting at the length"),
        pytest.param("/alphabet.txt", "bytes=-0", 26, id="R132: a suffix of zero"),
        pytest.param("/alphabet.txt", "bytes=26-27,99-", 26, id="R132: no range of several is satisfiable"),
        pytest.param("/alphabet.txt", "bytes=99999999999999999999-", 26, id="R134: beyond all numbers"),
        pytest.param("/large.bin", "bytes=262144-", 262144, id="R132: of a large file"),
        pytest.param("/empty.txt", "bytes=0-", 0, id="R132: of an empty file"),
        pytest.param("/empty.txt", "bytes=-0", 0, id="R132: a suffix of zero of an empty file"),
    ],
)
def test_a_range_beyond_the_content_is_refused_with_the_length(
    root: DocumentRoot, path: str, asked: str, length: int
) -> None:
    """A 416 has the current length in Content-Range (RFC 9110 §15.5.17, requirement R133)."""
    answer = ask(root, get(path, f"Range: {asked}"))
    assert answer.status == 416
    assert answer.field("Content-Range") == f"bytes */{length}"
    assert answer.text == (
        f"416 Range Not Satisfiable: none of the ranges lies within the {length} bytes (RFC 9110 §15.5.17)\n"
    )
    assert answer.field("ETag") is None


def test_a_suffix_range_of_an_empty_file_gets_the_whole_file(root: DocumentRoot) -> None:
    """The range is valid, but Content-Range cannot express an empty range (RFC 9110 §14.1.2, requirement R132)."""
    answer = ask(root, get("/empty.txt", "Range: bytes=-5"))
    assert answer == ask(root, get("/empty.txt"))
    assert answer.status == 200


def test_a_missing_file_has_no_ranges(root: DocumentRoot) -> None:
    answer = ask(root, get("/missing", "Range: bytes=0-1"))
    assert answer.status == 404
    assert answer.field("Content-Range") is None


def test_a_range_of_a_listing_is_ignored(root: DocumentRoot) -> None:
    """One octet of a listing would cost as much time as the complete listing (RFC 9110 §14.2)."""
    whole = ask(root, get("/", "Accept: text/plain"))
    assert whole.field("Accept-Ranges") is None
    assert ask(root, get("/", "Accept: text/plain", "Range: bytes=0-0")) == whole
    assert ask(root, get("/", "Accept: text/plain", "Range: bytes=999999-")) == whole


def test_if_range_gets_the_whole_of_a_file_that_changed_just_now(root: DocumentRoot, folder: pathlib.Path) -> None:
    """A file that changed just now has a weak entity-tag, which never matches If-Range (RFC 9110 §13.1.5)."""
    now = os.stat(folder / "large.bin").st_ctime
    etag = ask(root, get("/large.bin"), now).field("ETag") or ""
    assert etag.startswith('W/"')
    assert ask(root, get("/large.bin", "Range: bytes=0-1", f"If-Range: {etag}"), now).status == 200
    assert ask(root, get("/large.bin", "Range: bytes=0-1"), now).status == 206
    assert ask(root, get("/large.bin", f"If-None-Match: {etag}"), now).status == 304
    assert ask(root, get("/large.bin", f"If-Match: {etag}"), now).status == 412


def test_a_date_of_the_last_second_is_not_a_strong_validator(root: DocumentRoot, folder: pathlib.Path) -> None:
    """A file may change twice in one second (RFC 9110 §8.8.2.2, requirement R137)."""
    octets = get("/alphabet.txt", "Range: bytes=0-1", f"If-Range: {MODIFIED}")
    assert ask(root, octets, LONG_AGO + 0.5).status == 200
    assert ask(root, octets, LONG_AGO + 60).status == 206


@pytest.mark.parametrize("name", ["small.html", "large.html"])
@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param(b"<meta charset=iso-8859-1>Gr\xf6\xdfe", "text/html", id="a page that declares Latin-1"),
        pytest.param("Größe".encode(), "text/html; charset=utf-8", id="a page in UTF-8"),
    ],
)
def test_all_answers_from_a_file_have_the_same_content_type(
    name: str, start: bytes, expected: str, root: DocumentRoot, folder: pathlib.Path
) -> None:
    """GET, HEAD, and requests for one or two ranges get the same Content-Type (requirements R102 and R147)."""
    path = f"/{name}"
    (folder / name).write_bytes(start.ljust(100_000 if name == "large.html" else 100, b"x"))
    whole, head = ask(root, get(path)), respond_to(root, parse_head(get(path, method="HEAD"), 100), Tick(NOW, 0.0))
    head.close()
    part, parts = ask(root, get(path, "Range: bytes=50-59")), ask(root, get(path, "Range: bytes=50-59,70-79"))
    assert [whole.field("Content-Type"), part.field("Content-Type")] == [expected] * 2
    assert dict(head.fields)["Content-Type"] == expected
    assert parts.content.count(f"Content-Type: {expected}\r\n".encode()) == 2
