"""The checks of a server's responses: httpsock passes each check. For each check, some broken server fails it."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.live.results import Outcome
from conformance.live.site import DIGITS
from conformance.live.target import Target
from conformance.live.wire import Response
from httpsock import Server

from .broken_servers import behaviours, respond, running
from .checks import CHAPTERS, CHECKS, Check, is_served, site
from .ranges import ranges_of
from .run import check_semantics
from .session import InapplicableError, OtherFault, Session

# At most this many checks do not apply to httpsock, because it lacks an optional feature.
_NOT_DONE_BY_HTTPSOCK = 20

# These checks fail only if the server does not respond at all.
_CAUGHT_BY_SILENCE = {
    "The answer to a request whose content is refused can be read",
    "A connection whose client has ended its side is closed after the answer",
    "The connection closes behind the response to a request that asks to close",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of known files. Return its path."""
    folder = tmp_path_factory.mktemp("site")
    site(folder)
    return folder


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[tuple[str, int]]:
    """Serve the folder of known files with httpsock. Yield the address."""
    with Server(root, port=0, hosts=["127.0.0.1"]) as server:
        yield "127.0.0.1", server.port


def test_httpsock_passes_each_check_and_most_checks_apply(address: tuple[str, int]) -> None:
    faults: dict[str, str] = {}
    inapplicable = []
    for check in CHECKS:
        try:
            fault = check.run(Session(address, silence_seconds=10))
        except InapplicableError:
            inapplicable.append(check.name)
        else:
            faults |= {} if fault is None else {check.name: fault}
    assert not faults
    assert len(inapplicable) <= _NOT_DONE_BY_HTTPSOCK, inapplicable


def test_no_two_checks_have_the_same_name() -> None:
    """Reports identify a check by its name, and the option --only selects checks by name."""
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names) >= 120


def test_every_check_has_a_requirement_and_a_level() -> None:
    for check in CHECKS:
        assert re.fullmatch(r"R(028|041|064|08[2-9]|09[0-9]|1[0-4][0-9]|15[0-2])", check.requirement), check.name
        assert check.level in {"MUST", "SHOULD", "SECURITY", "POLICY"}, check.name


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_for_every_check_there_is_a_broken_server_that_fails_it(chapter: str, root: Path) -> None:
    """A check that can't fail is useless."""
    unfailing = {check.name: check for check in CHAPTERS[chapter] if check.name not in _CAUGHT_BY_SILENCE}
    for behaviour in behaviours(root).values():
        with running(behaviour) as address:
            for check in list(unfailing.values()):
                if _catches(check, Session(address, silence_seconds=2)):
                    del unfailing[check.name]
    assert sorted(unfailing) == []


@pytest.mark.parametrize("name", sorted(_CAUGHT_BY_SILENCE))
def test_a_server_that_never_answers_fails_even_checks_that_need_only_a_response(name: str) -> None:
    check = next(check for check in CHECKS if check.name == name)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert check.run(Session(silent.getsockname(), silence_seconds=0.05))


_PART = b"--edge\r\nContent-Type: text/plain\r\nContent-Range: bytes 1-2/10\r\n\r\n12"


def _multipart(content: bytes, *fields: tuple[bytes, bytes]) -> Response:
    named = (b"content-type", b"multipart/byteranges; boundary=edge")
    return Response(206, b"", (named, *fields), content, b"")


def test_the_parts_of_a_multipart_answer_are_its_ranges() -> None:
    """RFC 9110 §14.6: each part has its own Content-Range."""
    assert ranges_of(_multipart(_PART + b"\r\n" + _PART + b"\r\n--edge--\r\n")) == [(1, 2, b"12"), (1, 2, b"12")]


@pytest.mark.parametrize(
    ("content", "fields", "fault"),
    [
        pytest.param(_PART, [], "close delimiter", id="no close delimiter"),
        pytest.param(_PART + b"\r\n--edge", [], "close delimiter", id="an unfinished close delimiter"),
        pytest.param(b"--edge--\r\n", [], "begin", id="no part"),
        pytest.param(b"12\r\n--edge--", [], "begin", id="no delimiter before the first part"),
        pytest.param(_PART + b"3\r\n--edge--", [], "with 3 bytes", id="more octets than Content-Range says"),
        pytest.param(b"--edge\r\n12\r\n--edge--", [], "no head", id="a part without a head"),
        pytest.param(b"--edge\r\nA: b\r\n\r\n12\r\n--edge--", [], "0 Content-Range", id="a part without Content-Range"),
        pytest.param(
            _PART + b"\r\n--edge--", [(b"content-range", b"bytes 1-2/10")], "outside", id="Content-Range outside parts"
        ),
    ],
)
def test_a_multipart_answer_is_read_strictly(content: bytes, fields: list[tuple[bytes, bytes]], fault: str) -> None:
    """RFC 2046 §5.1.1 and RFC 9110 §15.3.7.2 define the rules."""
    with pytest.raises(ValueError, match=fault):
        ranges_of(_multipart(content, *fields))


def test_a_server_of_another_folder_is_recognised(tmp_path: Path, address: tuple[str, int]) -> None:
    """A server without the known files would fail for this reason alone, so its checks are skipped."""
    with Server(tmp_path, port=0, hosts=["127.0.0.1"]) as server:
        assert not is_served(Session(("127.0.0.1", server.port)))
    assert is_served(Session(address))


def _catches(check: Check, session: Session) -> bool:
    try:
        fault = check.run(session)
    except InapplicableError:
        return False
    # A missing response does not count, since every check notices it.
    return fault is not None and not isinstance(fault, OtherFault) and not fault.startswith("no response")


def _answer_wrongly(request: bytes) -> bytes:
    """Answer most range requests wrongly. Answer the range 1-2 correctly, since checks try it first."""
    if request.startswith(b"X-NONE"):
        return respond(405)
    if request.startswith(b"HEAD"):
        return respond(200, b"123").partition(b"123")[0]
    if b"Range: bytes=1-2\r" in request:
        return respond(206, DIGITS[1:3], Content_Range="bytes 1-2/10")
    return respond(200, b"wrong" if b"Range:" in request else DIGITS)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        pytest.param("Range: bytes=0-4 of ten bytes is 0 to 4", ["Range: bytes=0-4"], id="no probe for ranges"),
        pytest.param("get is not GET", ["get /digits.txt"], id="no probe for unknown methods"),
        pytest.param(
            "HEAD of a file has the length of GET", ["GET /digits.txt", "HEAD /digits.txt"], id="two requests compared"
        ),
    ],
)
def test_the_shell_lines_of_a_failure_repeat_only_the_requests_that_it_is_about(name: str, lines: list[str]) -> None:
    """The shell lines are in the order of the requests. The report shows the octets of the last request."""
    with running(_answer_wrongly) as address:
        (result,) = [found for found in check_semantics(Target(address), name) if found.name == name]
    found = result.reproduce.splitlines()
    assert result.outcome is Outcome.FAILED
    assert len(found) == len(lines)
    assert all(text in line for line, text in zip(found, lines, strict=True))
    assert lines[-1].encode() in result.sent
