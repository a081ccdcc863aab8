"""The file handler: preconditions, such as If-None-Match (RFC 9110 §13)."""

import itertools

import pytest

from httpsock.files.document_root import DocumentRoot
from httpsock.http.grammar import format_http_date
from tests.files.asking import MODIFIED, NOW, ask, field_names
from tests.support import get
from tests.support.folder import LONG_AGO

FIELDS = ("If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since")


EARLIER = format_http_date(LONG_AGO - 1)
# For each field, a value that makes its condition true, and a value that makes it false.
VALUES = {
    ("If-Match", True): "{etag}",
    ("If-Match", False): '"x"',
    ("If-Unmodified-Since", True): MODIFIED,
    ("If-Unmodified-Since", False): EARLIER,
    ("If-None-Match", True): '"x"',
    ("If-None-Match", False): "{etag}",
    ("If-Modified-Since", True): EARLIER,
    ("If-Modified-Since", False): MODIFIED,
}


def status_by_the_rfc(*held: bool | None) -> int | None:
    """Return the status that the RFC requires for four preconditions, or None if it requires none (RFC 9110 §13.2.2).

    In *held*, each precondition is true or false, or None if the request lacks its field.
    """
    if_match, if_unmodified_since, if_none_match, if_modified_since = held
    # Step 1, and step 2 if there is no If-Match.
    if if_match is False or (if_match is None and if_unmodified_since is False):
        return 412
    # Step 3, and step 4 without If-None-Match.
    if if_none_match is False or (if_none_match is None and if_modified_since is False):
        return 304
    return None


COMBINATIONS = [
    pytest.param(held, id="".join({None: "-", True: "T", False: "F"}[holds] for holds in held))
    for held in itertools.product((None, True, False), repeat=4)
]


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin"])
@pytest.mark.parametrize("held", COMBINATIONS)
def test_all_combinations_of_conditions_are_answered_in_order(
    root: DocumentRoot, held: tuple[bool | None, ...], path: str
) -> None:
    """In a test ID, T is true, F is false, and - means no field (RFC 9110 §13.2.2, requirement R123)."""
    whole = ask(root, get(path))
    etag = whole.field("ETag") or ""
    conditions = [
        f"{name}: {VALUES[name, holds].format(etag=etag)}"
        for name, holds in zip(FIELDS, held, strict=True)
        if holds is not None
    ]
    decided = status_by_the_rfc(*held)
    # Step 5: If-Range counts only with GET and Range.
    ranges = [
        ((), "GET", 200),
        ((), "HEAD", 200),
        (("Range: bytes=1-2",), "GET", 206),
        (("Range: bytes=1-2",), "HEAD", 200),
        (("Range: bytes=1-2", f"If-Range: {etag}"), "GET", 206),
        (("Range: bytes=1-2", f"If-Range: {MODIFIED}"), "GET", 206),
        (("Range: bytes=1-2", 'If-Range: "x"'), "GET", 200),
        (("Range: bytes=1-2", f"If-Range: {EARLIER}"), "GET", 200),
        (("Range: bytes=999999-",), "GET", 416),
        (("Range: bytes=999999-", 'If-Range: "x"'), "GET", 200),
        ((f"If-Range: {etag}",), "GET", 200),
        # Requirement R148: of two different values of a field, neither is used, and they are not joined.
        (("Range: bytes=1-2", "Range: 3-4"), "GET", 200),
        (("Range: bytes=1-2", "Range: bytes=1-2"), "GET", 206),
        (("Range: bytes=1-2", f"If-Range: {etag}", 'If-Range: "x"'), "GET", 200),
        (("Range: bytes=1-2", f"If-Range: {etag}", f"If-Range: {etag}"), "GET", 206),
    ]
    for range_lines, method, otherwise in ranges:
        answer = ask(root, get(path, *conditions, *range_lines, method=method))
        assert answer.status == (decided or otherwise), (range_lines, method)
        if answer.status == 200:
            assert answer == whole
        if answer.status == 206:
            assert answer.content == whole.content[1:3]


@pytest.mark.parametrize("path", ["/alphabet.txt", "/large.bin", "/sub/", "/"])
def test_not_modified_repeats_only_the_fields_for_caches(root: DocumentRoot, path: str) -> None:
    """A 304 omits other metadata, such as Content-Type (RFC 9110 §15.4.5; requirements R125 and R126)."""
    whole = ask(root, get(path))
    answer = ask(root, get(path, f"If-None-Match: {whole.field('ETag')}"))
    assert answer.status == 304
    dated = ["Last-Modified"] if path != "/" else []
    assert field_names(answer) == sorted(["Cache-Control", "Date", "ETag", "Vary", *dated])
    assert all(field in whole.fields for field in answer.fields)
    assert answer == ask(root, get(path, f"If-None-Match: {whole.field('ETag')}", method="HEAD"))


@pytest.mark.parametrize(
    ("field_lines", "name"),
    [
        (('If-Match: "x"',), "If-Match"),
        (('If-Match: "x"', f"If-Unmodified-Since: {EARLIER}"), "If-Match"),
        ((f"If-Unmodified-Since: {EARLIER}",), "If-Unmodified-Since"),
    ],
    ids=["If-Match alone", "both", "If-Unmodified-Since alone"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_failed_precondition_is_named(
    root: DocumentRoot, field_lines: tuple[str, ...], name: str, method: str
) -> None:
    """The 412 explains which field failed, and has no validators (RFC 9110 §15.5.13; requirements R121 and R122)."""
    answer = ask(root, get("/alphabet.txt", *field_lines, method=method))
    assert answer.status == 412
    assert answer.text == (
        f"412 Precondition Failed: {name} is false for the current representation (RFC 9110 §15.5.13)\n"
    )
    assert answer.field("ETag") is None
    assert answer.field("Last-Modified") is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "status"),
    [("/missing", 404), ("/sub", 301), ("/a/../../b", 400), ('/a"', 301), ("/.hidden", 404)],
)
@pytest.mark.parametrize("condition", ['If-Match: "x"', "If-None-Match: *", f"If-Unmodified-Since: {EARLIER}"])
def test_preconditions_are_ignored_if_the_answer_is_another_error_or_redirect(
    root: DocumentRoot, condition: str, path: str, status: int, method: str
) -> None:
    """A server evaluates preconditions only if it would otherwise answer 2xx or 412 (requirement R124)."""
    assert ask(root, get(path, condition, method=method)).status == status


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("DELETE", 405), ("OPTIONS", 204), ("FOO", 501)])
def test_preconditions_do_not_apply_to_other_methods(root: DocumentRoot, method: str, status: int) -> None:
    """The server applies preconditions only to GET and HEAD (RFC 9110 §13.2.1; requirements R118 and R124)."""
    for condition in ('If-Match: "x"', "If-None-Match: *", f"If-Modified-Since: {MODIFIED}"):
        assert ask(root, get("/alphabet.txt", condition, method=method)).status == status


def test_preconditions_apply_to_a_listing(root: DocumentRoot) -> None:
    assert ask(root, get("/", 'If-Match: "x"')).status == 412
    assert ask(root, get("/", "If-None-Match: *")).status == 304
    # A listing has no modification date to compare with.
    assert ask(root, get("/", f"If-Modified-Since: {format_http_date(int(NOW))}")).status == 200
    assert ask(root, get("/", f"If-Unmodified-Since: {EARLIER}")).status == 200


def test_a_date_split_over_two_field_lines_is_ignored(root: DocumentRoot) -> None:
    """The server must not join two lines into one date (RFC 9110 §13.1.3, requirement R148)."""
    day, _, rest = MODIFIED.partition(", ")
    assert ask(root, get("/hello.txt", f"If-Modified-Since: {MODIFIED}")).status == 304
    assert ask(root, get("/hello.txt", f"If-Modified-Since: {day}", f"If-Modified-Since: {rest}")).status == 200


def test_last_modified_of_a_file_with_a_future_time_is_now(root: DocumentRoot) -> None:
    """Last-Modified must not be later than Date (RFC 9110 §8.8.2.1, requirement R108)."""
    before = LONG_AGO - 1000
    answer = ask(root, get("/alphabet.txt"), now=before + 0.5)
    assert answer.field("Last-Modified") == answer.field("Date") == format_http_date(before)
