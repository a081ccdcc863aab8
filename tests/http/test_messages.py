"""Requests and responses as Python objects (RFC 9110 §6, §8.6, §15; RFC 9112 §4)."""

import io
import pathlib
from typing import Any

import pytest

from httpsock.http.messages import FileSlice, Part, Refusal, RequestError, Response, Status, Stream
from httpsock.http.request_parser import parse_head
from tests.support.rows import each_row


@each_row(
    ("status", "line"),
    [
        pytest.param(Status.OK, b"HTTP/1.1 200 OK", id="RFC 9110 §15.3.1"),
        pytest.param(Status.NO_CONTENT, b"HTTP/1.1 204 No Content", id="RFC 9110 §15.3.5"),
        pytest.param(Status.PARTIAL_CONTENT, b"HTTP/1.1 206 Partial Content", id="RFC 9110 §15.3.7"),
        pytest.param(Status.MOVED_PERMANENTLY, b"HTTP/1.1 301 Moved Permanently", id="RFC 9110 §15.4.2"),
        pytest.param(Status.NOT_MODIFIED, b"HTTP/1.1 304 Not Modified", id="RFC 9110 §15.4.5"),
        pytest.param(Status.BAD_REQUEST, b"HTTP/1.1 400 Bad Request", id="RFC 9110 §15.5.1"),
        pytest.param(Status.FORBIDDEN, b"HTTP/1.1 403 Forbidden", id="RFC 9110 §15.5.4"),
        pytest.param(Status.NOT_FOUND, b"HTTP/1.1 404 Not Found", id="RFC 9110 §15.5.5"),
        pytest.param(Status.METHOD_NOT_ALLOWED, b"HTTP/1.1 405 Method Not Allowed", id="RFC 9110 §15.5.6"),
        pytest.param(Status.REQUEST_TIMEOUT, b"HTTP/1.1 408 Request Timeout", id="RFC 9110 §15.5.9"),
        pytest.param(Status.PRECONDITION_FAILED, b"HTTP/1.1 412 Precondition Failed", id="RFC 9110 §15.5.13"),
        pytest.param(Status.CONTENT_TOO_LARGE, b"HTTP/1.1 413 Content Too Large", id="RFC 9110 §15.5.14"),
        pytest.param(Status.URI_TOO_LONG, b"HTTP/1.1 414 URI Too Long", id="RFC 9110 §15.5.15"),
        pytest.param(Status.RANGE_NOT_SATISFIABLE, b"HTTP/1.1 416 Range Not Satisfiable", id="RFC 9110 §15.5.17"),
        pytest.param(Status.EXPECTATION_FAILED, b"HTTP/1.1 417 Expectation Failed", id="RFC 9110 §15.5.18"),
        pytest.param(Status.MISDIRECTED_REQUEST, b"HTTP/1.1 421 Misdirected Request", id="RFC 9110 §15.5.20"),
        pytest.param(Status.FIELDS_TOO_LARGE, b"HTTP/1.1 431 Request Header Fields Too Large", id="RFC 6585 §5"),
        pytest.param(Status.INTERNAL_SERVER_ERROR, b"HTTP/1.1 500 Internal Server Error", id="RFC 9110 §15.6.1"),
        pytest.param(Status.NOT_IMPLEMENTED, b"HTTP/1.1 501 Not Implemented", id="RFC 9110 §15.6.2"),
        pytest.param(Status.SERVICE_UNAVAILABLE, b"HTTP/1.1 503 Service Unavailable", id="RFC 9110 §15.6.4"),
        pytest.param(Status.VERSION_NOT_SUPPORTED, b"HTTP/1.1 505 HTTP Version Not Supported", id="RFC 9110 §15.6.6"),
    ],
)
def test_a_status_line_has_the_code_and_its_phrase(status: Status, line: bytes) -> None:
    assert status.line == f"{line.decode()}\r\n"


@each_row("code", [299, 418, 599])
def test_a_status_may_be_one_that_no_rfc_defines(code: int) -> None:
    """A client treats an unknown code like the x00 code of its class (RFC 9110 §15)."""
    status = Response(code).status
    assert (status, status.line, str(status)) == (code, f"HTTP/1.1 {code} Unassigned\r\n", str(code))


@each_row(
    ("status", "reason"),
    [
        (100, "status must be from 200 to 599, not 100"),
        (600, "status must be from 200 to 599, not 600"),
        (205, r"205 has a framing of its own \(RFC 9110 §15.3.6\)"),
        ("200", "status must be a whole number, not a value of type str"),
        (200.5, "status must be a whole number, not a value of type float"),
        (True, "status must be a whole number, not a value of type bool"),
        (None, "status must be a whole number, not None"),
    ],
)
def test_a_response_has_a_final_status(status: Any, reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{reason}$"):
        Response(status)


@each_row(
    "fields",
    [
        pytest.param({"A": "b", "TE": "é"}, id="a mapping"),
        pytest.param([("A", "b"), ("TE", "é")], id="a list"),
        pytest.param((["A", "b"], ["TE", "é"]), id="pairs that are lists"),
        pytest.param(iter([("A", "b"), ("TE", "é")]), id="an iterator"),
    ],
)
def test_fields_are_pairs_or_a_mapping(fields: Any) -> None:
    response = Response(204, fields)
    assert response.fields == (("A", "b"), ("TE", "é"))
    assert response.field_lines == b"A: b\r\nTE: \xe9\r\n\r\n"


@each_row(
    ("fields", "reason"),
    [
        (b"content", "fields must be pairs of name and value, or a mapping, not a value of type bytes"),
        (None, "fields must be pairs of name and value, or a mapping, not None"),
        (("A", "b"), "fields must be pairs of name and value; a value of type str is not a pair"),
        ((("A", 5),), r"fields must be pairs of a name and a value, both str, not \(\('A', 5\),\)"),
        (((b"A", b"b"),), "fields must be pairs of a name and a value, both str, not "),
        ((("A", "b"), 5), "fields must be pairs of a name and a value, both str, not "),
        ({"A": None}, "the value of a field must be a str, not None"),
        ((("A", "b"), ("C", "d€e")), r"the field line 'C: d€' has a character beyond Latin-1 \(RFC 9110 §5.5\)"),
        ((("€", "b"),), r"the field line '€' has a character beyond Latin-1 \(RFC 9110 §5.5\)"),
    ],
)
def test_a_response_names_its_wrong_fields(fields: Any, reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{reason}"):
        Response(200, fields)


@each_row(
    ("content", "reason"),
    [
        ("abc", "not a value of type str"),
        ("", "not a value of type str"),
        (bytearray(3), "not a value of type bytearray"),
        (memoryview(b"abc"), "not a value of type memoryview"),
        ([b"abc"], "not a value of type list"),
        (None, "not None"),
        ((b"abc", 5), r"not \(b'abc', 5\)"),
        ((FileSlice(None, 0, None),), "not "),  # type: ignore[arg-type]
    ],
)
def test_a_response_names_its_wrong_content(content: Any, reason: str) -> None:
    wanted = "content must be bytes, a tuple of bytes and slices of files, or a Stream"
    with pytest.raises(TypeError, match=f"^{wanted}, {reason}"):
        Response(200, (), content)


def test_the_field_lines_are_in_their_order_and_end_with_the_empty_line() -> None:
    response = Response(Status.OK, (("Content-Type", "text/plain"), ("ETag", '"x"')), (b"some", b"thing"))
    assert response.field_lines == b'Content-Type: text/plain\r\nETag: "x"\r\nContent-Length: 9\r\n\r\n'


@each_row("status", [Status.NO_CONTENT, Status.NOT_MODIFIED])
def test_a_response_that_cannot_have_content_has_no_length(status: Status) -> None:
    """In a 304, a Content-Length would be the length of the 200 response (RFC 9110 §8.6, requirement R126)."""
    assert Response(status, (("ETag", '"x"'),)).field_lines == b'ETag: "x"\r\n\r\n'


@each_row("status", [s for s in Status if s not in (Status.NO_CONTENT, Status.NOT_MODIFIED)])
def test_any_other_response_has_a_content_length_even_if_it_is_zero(status: Status) -> None:
    """A client must be able to find the end of the content (RFC 9112 §6.3, requirement R114)."""
    assert Response(status, ()).field_lines == b"Content-Length: 0\r\n\r\n"


def test_the_content_length_counts_octets_and_slices(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"abcdefghij")
    with io.FileIO(tmp_path / "file") as file:
        content: tuple[Part, ...] = (b"12", FileSlice(file, 0, 3), b"", FileSlice(file, 7, 0), "ü".encode())
        assert Response(Status.OK, (), content, file).content_length == 7


@each_row(
    ("content", "joined", "rest"),
    [
        pytest.param((), b"", (), id="no content"),
        pytest.param((b"abc",), b"abc", (), id="short"),
        pytest.param((b"x" * 65536,), b"x" * 65536, (), id="as long as may be joined"),
        pytest.param((b"x" * 65537,), b"", (b"x" * 65537,), id="longer than may be joined"),
        pytest.param((b"abc", b"def"), b"abc", (b"def",), id="two parts"),
    ],
)
def test_the_first_write_is_the_field_lines_with_small_content(
    content: tuple[bytes, ...], joined: bytes, rest: tuple[bytes, ...]
) -> None:
    response = Response(Status.OK, (), content)

    assert response.first_write == response.field_lines + joined
    assert response.rest == rest


def test_closing_a_response_closes_its_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    file = io.FileIO(tmp_path / "file")
    response = Response(Status.OK, (), (FileSlice(file, 0, 3),), file)
    response.close()
    assert file.closed
    response.close()


def test_closing_a_response_from_memory_does_not_change_it() -> None:
    response = Response(Status.OK, (), (b"abc",))
    response.close()
    assert response.content == (b"abc",)


def test_a_request_error_has_its_refusal_and_its_text_is_a_sentence() -> None:
    error = RequestError(Status.BAD_REQUEST, "there is no Host field line", "RFC 9112 §3.2")
    assert error.refusal == Refusal(Status.BAD_REQUEST, "there is no Host field line", "RFC 9112 §3.2")
    assert str(error) == "400 Bad Request: there is no Host field line (RFC 9112 §3.2)"
    assert RequestError(400, "there is no Host field line", "RFC 9112 §3.2").refusal == error.refusal


def test_controls_in_a_reason_are_escaped() -> None:
    """The reason may quote the request. Terminals that show the reason would obey its control characters."""
    error = RequestError(400, 'no "a\n\x1b[31mb\x9b" é', "§")
    assert error.refusal == Refusal(Status.BAD_REQUEST, 'no "a\\x0a\\x1b[31mb\\x9b" é', "§")


# --- members of list fields -----------------------------------------------------------------------------------------


@each_row(
    ("fields", "expected"),
    [
        pytest.param((), (("Vary", "Accept"),), id="a field that is not there"),
        pytest.param((("vary", "Origin"),), (("vary", "Origin, Accept"),), id="another member, in any case"),
        pytest.param((("Vary", "origin,accept"),), (("Vary", "origin,accept"),), id="the same member"),
        pytest.param((("Vary", "Accept-Encoding"),), (("Vary", "Accept-Encoding, Accept"),), id="a longer member"),
        pytest.param((("Vary", "*"),), (("Vary", "*, Accept"),), id="any member (RFC 9110 §12.5.5)"),
        pytest.param(
            (("Set-Cookie", "a"), ("Set-Cookie", "b")),
            (("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Vary", "Accept")),
            id="other fields stay, even repeated ones",
        ),
    ],
)
def test_a_member_is_added_to_a_list_field_once(
    fields: tuple[tuple[str, str], ...], expected: tuple[tuple[str, str], ...]
) -> None:
    """Members are equal if they differ only in case (RFC 9110 §5.6.1)."""
    assert Response(Status.OK, fields).with_members({"Vary": "Accept"}).fields == expected


def test_adding_members_changes_nothing_else_in_a_response(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"some")
    with io.FileIO(tmp_path / "file") as file:
        response = Response(Status.NOT_FOUND, (("A", "b"),), (b"x", FileSlice(file, 0, 4)), file)
        response.refusal = Refusal(Status.NOT_FOUND, "why", "RFC 9110 §15.5.5")
        more = response.with_members({"Vary": "Accept", "Cache-Control": "private"})
        assert (more.status, more.content, more.file, more.refusal) == (
            response.status,
            response.content,
            file,
            response.refusal,
        )
        assert more.field_lines == (b"A: b\r\nVary: Accept\r\nCache-Control: private\r\nContent-Length: 5\r\n\r\n")


@each_row(
    "response",
    [
        pytest.param(Response(Status.OK, has_length=False), id="of HEAD"),
        pytest.param(Response(Status.NOT_MODIFIED), id="304"),
        pytest.param(Response(Status.NO_CONTENT, (("X", "Content-Length: 5"),)), id="204"),
        pytest.param(Response(Status.OK, (), Stream(iter(()))), id="a stream"),
    ],
)
def test_adding_members_to_a_response_without_a_length_adds_no_length(response: Response) -> None:
    assert b"\nContent-Length" not in response.with_members({"Vary": "Accept"}).field_lines


def test_fields_replace_fields_of_the_same_names() -> None:
    response = Response(Status.NOT_FOUND, (("A", "b"), ("X", "1"), ("x", "2")), b"abc")
    response.refusal = Refusal(Status.NOT_FOUND, "why", "RFC 9110 §15.5.5")

    more = response.with_fields({"X": "3", "Y": "4"})

    assert more.fields == (("A", "b"), ("X", "3"), ("Y", "4"))
    assert (more.status, more.content, more.refusal) == (response.status, response.content, response.refusal)
    assert response.fields == (("A", "b"), ("X", "1"), ("x", "2"))


def test_the_response_to_head_with_more_fields_has_no_other_length() -> None:
    assert Response(Status.OK, has_length=False).with_fields([("X", "1")]).field_lines == b"X: 1\r\n\r\n"


# --- fields of a request --------------------------------------------------------------------------------------------


def test_a_field_of_a_request_has_the_values_of_all_its_lines() -> None:
    """Repeated lines are joined with commas, even for a field unknown to the server (RFC 9110 §5.3)."""
    lines = b"Host: a\r\nAccept: x\r\nX-Own: 1\r\nACCEPT: y\r\nx-own:\t2 \r\n"
    request = parse_head(b"GET / HTTP/1.1\r\n" + lines + b"\r\n", 100)
    assert [request.field(name) for name in (b"host", b"accept", b"x-own", b"x")] == [b"a", b"x, y", b"1, 2", None]


def test_the_name_of_a_field_of_a_request_is_in_any_case() -> None:
    request = parse_head(b"GET / HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\n\r\n", 100)
    assert [request.field(name) for name in (b"Host", b"HOST", b"X-Own", b"X-OTHER")] == [b"a", b"a", b"1", None]


@each_row("name", ["host", "Host", None, 5])
def test_the_name_of_a_field_of_a_request_is_bytes(name: Any) -> None:
    """A name of another type would match no field, as if each field were missing."""
    request = parse_head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 100)
    with pytest.raises(TypeError, match=r'^the name of a field must be bytes, such as b"host", not '):
        request.field(name)
