"""Downloads: which responses are written to a file, and which are resumed. A file never mixes two versions.

The *part* is the incomplete file (film.part). The *note* (film.resume) stores the URL and the validator.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import stat
import sys
from collections.abc import Callable, Iterator

import pytest

from httpsock.client.client import ClientResponse
from httpsock.client.connection import ClientConnection, ClientTimeouts
from httpsock.client.download import Download, OutputError, strong_validator
from httpsock.client.url import parse_url
from httpsock.http.response_parser import IncompleteError, ResponseError, ResponseLimits
from tests.support.rows import each_row
from tests.support.servers import ok

URL = "http://a/film"
DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:48:37 GMT"
JUST_BEFORE = "Sun, 06 Nov 1994 08:48:38 GMT"
WHOLE = b"abcdefghij"

# A function that creates a file or something else at a path.
Put = Callable[[pathlib.Path], None]


@contextlib.contextmanager
def respond(octets: bytes, url: str = URL) -> Iterator[ClientResponse]:
    """Yield the ClientResponse that a client makes from *octets*."""
    ours, server = socket.socketpair()
    connection = ClientConnection(ours, ResponseLimits(), ClientTimeouts())
    with contextlib.closing(connection):
        with server:
            connection.send("GET", b"GET / HTTP/1.1\r\n\r\n", b"", float("inf"))
            server.recv(1000)
            server.sendall(octets)
        yield ClientResponse(parse_url(url), connection.receive_head(), connection)


def accepts(download: Download, octets: bytes, url: str = URL) -> bool:
    """Return whether *download* accepts the response *octets* as the rest of the incomplete file."""
    with respond(octets, url) as response:
        return download.accepts(response)


def rest(first: int, *field_lines: str, content: bytes = b"", content_range: str | None = None) -> bytes:
    """Return a 206 with *content*. If *content* is empty, use the octets of the file from position *first* on."""
    value = content_range or f"bytes {first}-{len(WHOLE) - 1}/{len(WHOLE)}"
    content = content or WHOLE[first:]
    return ok(content, f"Content-Range: {value}", *(field_lines or ['ETag: "v1"']), status="206 Partial Content")


def receive(download: Download, octets: bytes, url: str = URL) -> None:
    """Write the response *octets* to a file, as ``httpsock get`` does."""
    with respond(octets, url) as response:
        download.start(response)
        try:
            for part in response:
                download.write(part)
            download.finish()
        finally:
            download.close()


def broken_off(path: pathlib.Path, *field_lines: str, octets: int = 4) -> None:
    """Start a download to *path*, but end the connection after this number of *octets*. An incomplete file remains."""
    download = Download(str(path), URL, resumes=False)
    with pytest.raises(IncompleteError):
        receive(download, ok(WHOLE, *(field_lines or ['ETag: "v1"']))[: octets - len(WHOLE)])
    assert download.octets == octets


def note_with(**changes: object) -> str:
    """Return the text of a valid note with *changes*. A note describes an interrupted download."""
    return json.dumps({"url": URL, "source": URL, "validator": '"v1"', "coding": "", "length": 10, **changes})


def names(folder: pathlib.Path) -> list[str]:
    """Return the file names in *folder*, sorted."""
    return sorted(path.name for path in folder.iterdir())


# --- from the content to the file -----------------------------------------------------------------------------------


def test_content_becomes_the_file_when_it_is_whole(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(b"the old one")
    download = Download(str(path), URL, resumes=False)
    with respond(ok(WHOLE, 'ETag: "v1"')) as response:
        download.start(response)
        for part in response:
            download.write(part)
            assert path.read_bytes() == b"the old one"
            assert names(tmp_path) == ["film", "film.part", "film.resume"]
        download.finish()
    assert path.read_bytes() == WHOLE
    assert names(tmp_path) == ["film"]


def test_an_interrupted_download_leaves_the_file_alone_and_a_part_beside_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(b"the old one")
    broken_off(path)
    assert path.read_bytes() == b"the old one"
    assert (tmp_path / "film.part").read_bytes() == WHOLE[:4]
    assert json.loads((tmp_path / "film.resume").read_text()) == {
        "url": URL, "source": URL, "validator": '"v1"', "coding": "", "length": 10
    }  # fmt: skip


def test_a_part_without_a_validator_is_not_resumed(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film", 'ETag: W/"v1"')
    assert names(tmp_path) == ["film.part"]
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    assert not download.is_resumable
    assert download.fields == []
    receive(download, ok(b"all of another version"))
    assert (tmp_path / "film").read_bytes() == b"all of another version"
    assert names(tmp_path) == ["film"]


def test_a_symlink_stays_a_symlink(tmp_path: pathlib.Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/film")
    receive(Download(str(tmp_path / "link"), URL, resumes=False), ok(WHOLE))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "film").read_bytes() == WHOLE


@pytest.mark.skipif(os.name != "posix", reason="of POSIX")
@pytest.mark.parametrize("target", ["film", "/dev/null"])
def test_a_symlink_of_another_user_is_not_followed(
    tmp_path: pathlib.Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shared folder like /tmp, such a link could make the client overwrite a file of this user."""
    link, lstat = tmp_path / "link", os.lstat
    link.symlink_to(target)

    def lstat_of_another(path: str) -> os.stat_result:
        found = lstat(path)
        return os.stat_result([*found[:4], os.geteuid() + 1, *found[5:10]]) if path == str(link) else found

    monkeypatch.setattr(os, "lstat", lstat_of_another)
    with pytest.raises(OutputError, match=r"link can't be written: it is a symlink of another user"):
        Download(str(link), URL, resumes=False)
    monkeypatch.undo()
    assert names(tmp_path) == ["link"]


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="there is no /dev/null")
def test_a_device_or_pipe_is_written_to_directly() -> None:
    download = Download("/dev/null", URL, resumes=True)
    assert not download.is_resumable
    receive(download, ok(WHOLE, 'ETag: "v1"'))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert not os.path.exists("/dev/null.part")
    assert not os.path.exists("/dev/null.resume")


def test_no_file_is_created_before_content_arrives(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"start\(\) comes first"):
        Download(str(tmp_path / "film"), URL, resumes=False).write(b"x")


# --- errors of writing ----------------------------------------------------------------------------------------------


def test_a_folder_is_not_written_to(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OutputError, match="can't be written: Is a directory"):
        receive(Download(str(tmp_path), URL, resumes=False), ok(WHOLE))


@pytest.mark.skipif(os.name == "nt", reason="Windows does not delete the current folder")
def test_a_current_folder_that_was_deleted_is_an_error(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(OutputError, match=r"^file can't be written: No such file or directory$"):
        Download("file", URL, resumes=False)


def test_a_missing_folder_is_not_created(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OutputError, match=r"film\.part can't be written: No such file"):
        receive(Download(str(tmp_path / "no" / "film"), URL, resumes=False), ok(WHOLE))


def test_a_note_that_can_not_be_written_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "film.resume").symlink_to("no/note")
    download = Download(str(tmp_path / "film"), URL, resumes=False)
    (tmp_path / "no").mkdir()
    receive(download, ok(WHOLE, 'ETag: "v1"'))
    (tmp_path / "deep").mkdir()
    os.mkdir(tmp_path / "deep" / "film.resume")
    with pytest.raises(OutputError, match=r"film\.resume can't be written"):
        receive(Download(str(tmp_path / "deep" / "film"), URL, resumes=False), ok(WHOLE, 'ETag: "v1"'))


def test_a_file_that_became_a_folder_is_not_replaced(tmp_path: pathlib.Path) -> None:
    download = Download(str(tmp_path / "film"), URL, resumes=False)
    (tmp_path / "film").mkdir()
    with pytest.raises(OutputError, match="film can't be written: Is a directory"):
        receive(download, ok(WHOLE))


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("octets", [10, 100_000], ids=["when it is closed", "while it is written"])
def test_a_full_disk_is_an_error(octets: int) -> None:
    with pytest.raises(OutputError, match="/dev/full can't be written: No space left"):
        receive(Download("/dev/full", URL, resumes=False), ok(bytes(octets)))


# --- resuming -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_a_part_is_resumed(tmp_path: pathlib.Path, validator: str) -> None:
    value = '"v1"' if validator == "ETag" else BEFORE
    broken_off(tmp_path / "film", f"{validator}: {value}", DATE)
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    assert download.is_resumable
    assert download.fields == [("Range", "bytes=4-"), ("If-Range", value)]
    octets = rest(4, f"{validator}: {value}")
    assert accepts(download, octets)
    receive(download, octets)
    assert (tmp_path / "film").read_bytes() == WHOLE
    assert names(tmp_path) == ["film"]


def test_a_206_need_not_repeat_last_modified(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film", f"Last-Modified: {BEFORE}", DATE)
    receive(Download(str(tmp_path / "film"), URL, resumes=True), rest(4, "X: y"))
    assert (tmp_path / "film").read_bytes() == WHOLE


def test_a_part_that_breaks_off_again_is_resumed_again(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film")
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    with pytest.raises(IncompleteError):
        receive(download, rest(4)[:-3])
    assert download.octets == 7
    again = Download(str(tmp_path / "film"), URL, resumes=True)
    assert again.fields[0] == ("Range", "bytes=7-")
    receive(again, rest(7))
    assert (tmp_path / "film").read_bytes() == WHOLE


def test_a_206_with_less_than_the_rest_does_not_complete_the_file(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film")
    with pytest.raises(IncompleteError, match="only 7 of 10 bytes arrived before the server stopped"):
        receive(
            Download(str(tmp_path / "film"), URL, resumes=True),
            rest(4, content=WHOLE[4:7], content_range="bytes 4-6/10"),
        )
    assert names(tmp_path) == ["film.part", "film.resume"]


@pytest.mark.parametrize(
    ("content", "content_range"),
    [
        pytest.param(b"efghijk", "bytes 4-9/10", id="beyond the complete length"),
        pytest.param(b"efghij", "bytes 4-6/10", id="the rest, but the range ends before"),
    ],
)
@pytest.mark.parametrize("framing", ["chunked", "until the end of the connection"])
def test_a_206_with_more_content_than_its_range_is_refused(
    tmp_path: pathlib.Path, content: bytes, content_range: str, framing: str
) -> None:
    """Such a 206 contradicts itself, and could be endless."""
    broken_off(tmp_path / "film")
    head = f'HTTP/1.1 206 Partial Content\r\nETag: "v1"\r\nContent-Range: {content_range}\r\n'.encode()
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    octets = head + (chunks if framing == "chunked" else b"\r\n" + content)
    with pytest.raises(ResponseError, match="the 206 has more content than its Content-Range says"):
        receive(Download(str(tmp_path / "film"), URL, resumes=True), octets)
    assert names(tmp_path) == ["film.part", "film.resume"]
    assert (tmp_path / "film.part").read_bytes() == WHOLE[:4]


def test_a_changed_file_is_downloaded_whole(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film")
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    octets = ok(b"ABC", 'ETag: "v2"')
    assert accepts(download, octets)
    receive(download, octets)
    assert (tmp_path / "film").read_bytes() == b"ABC"


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        pytest.param(rest(4, 'ETag: "v2"'), "than the part: its validator is \\x22v2\\x22", id="another ETag"),
        pytest.param(rest(4, "X: y"), "of another version than the part: its validator is none", id="no ETag"),
        pytest.param(rest(4, content_range="bytes 3-9/10"), "the request was for bytes from 4 on", id="from elsewhere"),
        pytest.param(rest(4, content_range="bytes 4-9/9"), "the request was for bytes from 4 on", id="past the end"),
        pytest.param(rest(4, content_range="bytes 4-3/10"), "the request was for bytes from 4 on", id="backwards"),
        pytest.param(rest(4, content_range="bytes 4-9/*"), "without a range and a length", id="of an unknown length"),
        pytest.param(rest(4, content_range="bytes */10"), "without a range and a length", id="of no part"),
        pytest.param(rest(4, content_range="lines 4-9/10"), "without a range and a length", id="of another unit"),
        pytest.param(rest(4, content_range=f"bytes 4-9/{'9' * 5000}"), "with impossible numbers", id="5000 digits"),
        pytest.param(rest(4, content_range="bytes 4-9/11"), "the part is of 10 bytes", id="of another length"),
        pytest.param(rest(4, 'ETag: "v1"', "Content-Encoding: gzip"), "is gzip, the part's none", id="coded"),
        pytest.param(rest(4, content=b"efg"), "but 3 bytes of content", id="less content than Content-Length says"),
        pytest.param(
            ok(b"efghij", 'ETag: "v1"', status="206 Partial Content"),
            'Content-Range "", without',
            id="no Content-Range",
        ),
    ],
)  # fmt: skip
def test_a_response_other_than_the_rest_is_refused_and_the_part_stays(
    tmp_path: pathlib.Path, octets: bytes, reason: str
) -> None:
    broken_off(tmp_path / "film")
    with pytest.raises(ResponseError) as caught:
        receive(Download(str(tmp_path / "film"), URL, resumes=True), octets)
    assert reason in str(caught.value)
    assert (tmp_path / "film.part").read_bytes() == WHOLE[:4]
    assert Download(str(tmp_path / "film"), URL, resumes=True).is_resumable


def test_a_date_that_differs_is_another_version(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film", f"Last-Modified: {BEFORE}", DATE)
    with pytest.raises(ResponseError, match="of another version"):
        receive(Download(str(tmp_path / "film"), URL, resumes=True), rest(4, f"Last-Modified: {JUST_BEFORE}"))


def test_a_part_of_another_url_or_without_a_rest_is_not_resumed(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film")
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    assert not accepts(download, rest(4), "http://mirror/film")
    assert not accepts(download, ok(status="416 Range Not Satisfiable"))
    download.restart()
    assert download.fields == []
    assert accepts(download, ok(status="416 Range Not Satisfiable"))


def test_a_part_of_another_url_is_not_resumed_after_a_redirect(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film")
    assert not Download(str(tmp_path / "film"), URL + "?", resumes=True).is_resumable
    assert not Download(str(tmp_path / "film"), URL, resumes=False).is_resumable


@pytest.mark.parametrize(
    "note",
    [
        "", "{", "[]", "{}", '{"url": "http://a/film"}',
        pytest.param('{"url": "http://a/film", "source": "x", "validator": 1}', id="a number"),
        pytest.param('{"url": "http://a/film", "source": "x", "validator": "W/\\"a\\""}', id="a weak validator"),
        pytest.param(
            '{"url": "http://a/film", "source": "x", "validator": "\\"a\\"\\r\\nX: y"}',
            id="a line break in the validator",
        ),
        pytest.param('{"url": "http://a/film", "source": "x", "validator": "\\"\\u00e4\\""}', id="beyond ASCII"),
        pytest.param(note_with(validator='"\ud800"'), id="half a character"),
        pytest.param(note_with(length=-1), id="a negative length"),
        pytest.param(note_with(length=True), id="a length that is not a number"),
        pytest.param(note_with(length=3), id="a length below that of the part"),
        pytest.param(note_with(coding=None), id="no coding"),
        pytest.param(note_with(source=["x"]), id="a source that is no text"),
        pytest.param("9" * 5000, id="5000 digits"),
        pytest.param("[" * 60_000, id="60,000 brackets"),
        pytest.param("\xff", id="no ASCII"),
    ],
)  # fmt: skip
def test_an_invalid_note_is_ignored(tmp_path: pathlib.Path, note: str) -> None:
    broken_off(tmp_path / "film")
    (tmp_path / "film.resume").write_text(note, encoding="latin-1")
    assert not Download(str(tmp_path / "film"), URL, resumes=True).is_resumable


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip, br"])
def test_a_part_with_a_content_coding_is_resumed_in_the_same_coding(tmp_path: pathlib.Path, coding: str) -> None:
    broken_off(tmp_path / "film", 'ETag: "v1"', f"Content-Encoding: {coding}")
    with pytest.raises(ResponseError, match="its Content-Encoding is none, the part's"):
        receive(Download(str(tmp_path / "film"), URL, resumes=True), rest(4))
    receive(
        Download(str(tmp_path / "film"), URL, resumes=True),
        rest(4, 'ETag: "v1"', f"Content-Encoding: {coding.lower().replace(' ', '')}"),
    )
    assert (tmp_path / "film").read_bytes() == WHOLE


def test_a_part_of_unknown_length_is_resumed(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film")
    (tmp_path / "film.resume").write_text(note_with(length=None))
    receive(Download(str(tmp_path / "film"), URL, resumes=True), rest(4))
    assert (tmp_path / "film").read_bytes() == WHOLE


def test_a_download_of_a_range_is_not_resumed(tmp_path: pathlib.Path) -> None:
    """The octets of a range are not the first octets of the file."""
    with pytest.raises(IncompleteError):
        receive(Download(str(tmp_path / "film"), URL, resumes=False), rest(4)[:-3])
    assert names(tmp_path) == ["film.part"]


def test_a_part_that_grew_meanwhile_is_not_written_to(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film")
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    (tmp_path / "film.part").write_bytes(WHOLE[:5])
    with pytest.raises(OutputError, match="another program writes to it"):
        receive(download, rest(4))
    assert (tmp_path / "film.part").read_bytes() == WHOLE[:5]


# --- files that another program or user left there ------------------------------------------------------------------


def a_pipe(path: pathlib.Path) -> None:
    os.mkfifo(path)


def a_socket(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def a_link(path: pathlib.Path) -> None:
    """At *path*, create a symlink to a valid note on an interrupted download."""
    (path.parent / "elsewhere").write_text(note_with())
    path.symlink_to("elsewhere")


def a_link_to_a_device(path: pathlib.Path) -> None:
    """Create a symlink to a device with endless data."""
    path.symlink_to("/dev/zero")


def a_second_name(path: pathlib.Path) -> None:
    """At *path*, create a hard link to a valid note on an interrupted download."""
    (path.parent / "elsewhere").write_text(note_with())
    os.link(path.parent / "elsewhere", path)


def too_much(path: pathlib.Path) -> None:
    """Write a note that is longer than the client allows."""
    path.write_text(note_with() + " " * 65536)


def brackets(path: pathlib.Path) -> None:
    """Write a file of JSON whose brackets are nested too deeply to be parsed."""
    path.write_text("[" * 100_000)


on_posix = pytest.mark.skipif(os.name != "posix", reason="of POSIX")


@on_posix
@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (a_pipe, "it is not a regular file"),
        (a_socket, "No such device or address|Operation not supported"),
        (pathlib.Path.mkdir, "it is not a regular file"),
        (a_link, "Too many levels of symbolic links"),
        (a_link_to_a_device, "Too many levels of symbolic links"),
        (a_second_name, "it has a second hard link"),
        (too_much, "it has 65536 bytes or more"),
        (brackets, "it has 65536 bytes or more"),
    ],
)
def test_only_a_regular_note_with_one_name_is_trusted(tmp_path: pathlib.Path, put: Put, reason: str) -> None:
    broken_off(tmp_path / "film")
    (tmp_path / "film.resume").unlink()
    put(tmp_path / "film.resume")
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    assert not download.is_resumable
    assert re.fullmatch(rf".*film\.resume is not trusted: ({reason})", download.restart_reason)


@on_posix
@pytest.mark.parametrize(
    ("put", "written"),
    [
        (a_pipe, "No such device or address"),
        (a_socket, "No such device or address|Operation not supported"),
        (pathlib.Path.mkdir, "Is a directory"),
        (a_link, "Too many levels of symbolic links"),
        (a_link_to_a_device, "Too many levels of symbolic links"),
        (a_second_name, "it has a second hard link"),
    ],
)
def test_only_a_regular_part_with_one_name_is_resumed_or_written_to(
    tmp_path: pathlib.Path, put: Put, written: str
) -> None:
    broken_off(tmp_path / "film")
    (tmp_path / "film.part").unlink()
    put(tmp_path / "film.part")
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    assert not download.is_resumable
    reason = "it has a second hard link" if put is a_second_name else "it is not a regular file"
    assert download.restart_reason == f"{os.path.realpath(tmp_path)}/film.part is not trusted: {reason}"
    with pytest.raises(OutputError, match=rf"film\.part can't be written: ({written})"):
        receive(download, ok(WHOLE, 'ETag: "v1"'))
    for kept in tmp_path.glob("elsewhere"):
        assert kept.read_text() == note_with()


@on_posix
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(0o600, 0o600, id="private"),
        pytest.param(0o755, 0o755, id="executable"),
        pytest.param(0o4777, 0o777, id="set-user-ID"),
        pytest.param(0o444, 0o644, id="read-only: a part must be writable, to be resumed"),
    ],
)
def test_a_replaced_file_keeps_its_permissions(tmp_path: pathlib.Path, before: int, after: int) -> None:
    film = tmp_path / "film"
    film.touch()
    film.chmod(before)
    broken_off(film)
    assert stat.S_IMODE((tmp_path / "film.part").stat().st_mode) == after
    receive(Download(str(film), URL, resumes=True), rest(4))
    assert film.read_bytes() == WHOLE
    assert stat.S_IMODE(film.stat().st_mode) == after


@on_posix
def test_only_this_user_may_read_the_note(tmp_path: pathlib.Path) -> None:
    """The note contains the URL. With a signed URL, anyone can download the file."""
    broken_off(tmp_path / "film")
    assert stat.S_IMODE((tmp_path / "film.resume").stat().st_mode) == 0o600


@on_posix
def test_a_download_does_not_get_the_permissions_of_another_users_file(tmp_path: pathlib.Path) -> None:
    """In a shared folder like /tmp, another user may have created the file and made it writable for everybody."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    film = tmp_path / "film"
    film.touch()
    film.chmod(0o606)
    os.chown(film, 12345, 12345)
    for path in (film, tmp_path / "new"):
        receive(Download(str(path), URL, resumes=False), ok(WHOLE))
    assert film.read_bytes() == WHOLE
    assert film.stat().st_mode == (tmp_path / "new").stat().st_mode


@on_posix
def test_a_pipe_with_a_reader_is_not_used_as_the_part(tmp_path: pathlib.Path) -> None:
    a_pipe(tmp_path / "film.part")
    reader = os.open(tmp_path / "film.part", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OutputError, match=r"film\.part can't be written: it is not a regular file"):
            receive(Download(str(tmp_path / "film"), URL, resumes=False), ok(WHOLE))
    finally:
        os.close(reader)


@on_posix
@pytest.mark.parametrize("name", ["film.part", "film.resume"])
def test_a_part_or_note_of_another_user_is_not_trusted(tmp_path: pathlib.Path, name: str) -> None:
    """In a shared folder like /tmp, another user may have created the file."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    broken_off(tmp_path / "film")
    os.chown(tmp_path / name, 12345, 12345)
    download = Download(str(tmp_path / "film"), URL, resumes=True)
    assert not download.is_resumable
    assert download.restart_reason.endswith(f"{name} is not trusted: it belongs to another user")
    if name == "film.part":
        with pytest.raises(OutputError, match="it belongs to another user"):
            receive(download, ok(WHOLE, 'ETag: "v1"'))
        assert (tmp_path / name).read_bytes() == WHOLE[:4]


def test_an_empty_or_missing_part_is_not_resumed(tmp_path: pathlib.Path) -> None:
    broken_off(tmp_path / "film")
    (tmp_path / "film.part").write_bytes(b"")
    assert not Download(str(tmp_path / "film"), URL, resumes=True).is_resumable
    (tmp_path / "film.part").unlink()
    assert not Download(str(tmp_path / "film"), URL, resumes=True).is_resumable


@each_row(
    ("field_lines", "expected"),
    [
        pytest.param(['ETag: "a"', f"Last-Modified: {BEFORE}", DATE], '"a"', id="an entity-tag comes first"),
        pytest.param(
            ['ETag: W/"a"', f"Last-Modified: {BEFORE}", DATE], None, id="a weak entity-tag makes the date weak, too"
        ),
        pytest.param(["ETag: a"], None, id="no entity-tag"),
        pytest.param(['ETag: "\xe4"'], None, id="an entity-tag beyond ASCII"),
        pytest.param([f"Last-Modified: {BEFORE}", DATE], BEFORE, id="a date a minute ago"),
        pytest.param([f"Last-Modified: {JUST_BEFORE}", DATE], None, id="a date a moment ago (RFC 9110 §8.8.2.2)"),
        pytest.param([f"Last-Modified: {BEFORE}"], None, id="Last-Modified alone is not enough to resume"),
        pytest.param(["Last-Modified: yesterday", DATE], None, id="no date"),
        pytest.param([], None, id="neither entity-tag nor Last-Modified"),
    ],
)
def test_a_weak_validator_is_not_used(field_lines: list[str], expected: str | None) -> None:
    with respond(ok(b"", *field_lines)) as response:
        assert strong_validator(response) == expected
