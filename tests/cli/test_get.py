"""``httpsock get``: its exit codes, and its output to files, pipes and terminals."""

import errno
import io
import itertools
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

import httpsock
from httpsock.__main__ import main
from tests.support import TIMEOUT_SECONDS, receive_head, reset
from tests.support.marks import needs_terminals
from tests.support.program import COMMAND, ENVIRONMENT
from tests.support.rows import each_row
from tests.support.servers import answering, ok, playing

Captured = pytest.CaptureFixture[bytes]


def run_get(*arguments: str) -> int:
    """Run ``httpsock get`` and return its exit code."""
    return main(["get", *arguments])


def read_output(captured: Captured) -> tuple[bytes, str]:
    """Return the new output: standard output as bytes, standard error as text."""
    out, error = captured.readouterr()
    return out, error.decode()


# --- the output -----------------------------------------------------------------------------------------------------


def test_get_writes_the_content_unchanged_to_standard_output(server: httpsock.Server, capfdbinary: Captured) -> None:
    assert run_get(server.url + "large.bin") == 0
    assert read_output(capfdbinary) == (bytes(range(256)) * 1024, "")


def test_the_contents_of_several_urls_are_written_in_order(server: httpsock.Server, capfdbinary: Captured) -> None:
    assert run_get(server.url + "hello.txt", server.url + "alphabet.txt", server.url + "empty.txt") == 0
    assert read_output(capfdbinary) == (b"Hello, socket.\nabcdefghijklmnopqrstuvwxyz", "")


def test_option_i_writes_the_received_head_before_the_content(capfdbinary: Captured) -> None:
    answer = ok(b"hello", "X: \xe9")
    with playing(answering(answer)) as url:
        assert run_get("-i", url) == 0
    assert read_output(capfdbinary) == (answer, "")


def test_option_capital_i_writes_the_head_alone(server: httpsock.Server, capfdbinary: Captured) -> None:
    assert run_get("-I", server.url + "alphabet.txt") == 0
    out, error = read_output(capfdbinary)
    assert out.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 26\r\n" in out
    assert out.endswith(b"\r\n\r\n")
    assert error == ""


@pytest.mark.parametrize("option", ["-v", "--verbose", "--trace", "--trace=text"])
def test_option_v_traces_each_call_and_both_heads(option: str, capfdbinary: Captured) -> None:
    with playing(answering(ok(b"hello", "Set-Cookie: secret"))) as url:
        assert run_get(option, url, "--header", "Authorization: secret") == 0
    out, error = read_output(capfdbinary)
    assert out == b"hello"
    address = url.removeprefix("http://").removesuffix("/")
    collected = [re.sub(rf"^#1 {address} +[0-9.]+ (µs|ms)  ", "", line) for line in error.splitlines()]
    assert re.fullmatch(rf"connect {address} from 127\.0\.0\.1:\d+", collected.pop(2))
    assert [line for line in collected if not line.startswith("      =")] == [
        "getaddrinfo 127.0.0.1: 127.0.0.1",
        "socket AF_INET, SOCK_STREAM",
        f"send {len(address) + 111}",
        "      > GET / HTTP/1.1",
        f"      > Host: {address}",
        "      > User-Agent: httpsock",
        "      > Accept: */*",
        "      > Accept-Encoding: identity",
        "      > Authorization: ***",
        "      >",
        "recv 63",
        "parse 200 OK",
        "      < HTTP/1.1 200 OK",
        "      < Set-Cookie: ***",
        "      < Content-Length: 5",
        "      <",
        "content 5, complete",
        "close",
    ]


def test_a_json_trace_has_one_object_for_each_call(server: httpsock.Server, capfdbinary: Captured) -> None:
    assert run_get("--trace=json", server.url + "hello.txt") == 0
    events = [json.loads(line) for line in read_output(capfdbinary)[1].splitlines()]
    calls = ["getaddrinfo", "socket", "connect", "send", "recv", "parse", "content", "close"]
    assert [event["event"] for event in events] == calls
    assert {event["connection"] for event in events} == {1}


def test_a_trace_with_closed_standard_error_is_dropped(server: httpsock.Server, tmp_path: pathlib.Path) -> None:
    """If standard error is closed, the output file may get descriptor 2. The trace must not end up in this file."""
    command = [*COMMAND, "get", "--trace", "-o", "hello.txt", server.url + "hello.txt"]
    without = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    done = subprocess.run(without, cwd=tmp_path, env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode == 0
    assert (tmp_path / "hello.txt").read_bytes() == b"Hello, socket.\n"


def test_each_url_is_written_to_the_next_named_file(
    server: httpsock.Server, tmp_path: pathlib.Path, capfdbinary: Captured
) -> None:
    urls = [server.url + name for name in ("hello.txt", "alphabet.txt", "empty.txt")]
    assert run_get("-o", str(tmp_path / "a"), "-i", "-o", "-", *urls) == 0
    out, error = read_output(capfdbinary)
    assert (tmp_path / "a").read_bytes() == b"Hello, socket.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "root"]
    assert out.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert b"\r\n\r\nabcdefghijklmnopqrstuvwxyz" in out
    assert error == ""


def test_a_file_name_suggested_by_the_server_is_ignored(tmp_path: pathlib.Path, capfdbinary: Captured) -> None:
    with playing(answering(ok(b"hello", 'Content-Disposition: attachment; filename="/etc/passwd"'))) as url:
        assert run_get("-o", str(tmp_path / "mine"), url) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert read_output(capfdbinary) == (b"", "")


# --- requests -------------------------------------------------------------------------------------------------------


@each_row(
    ("arguments", "expected"),
    [
        pytest.param([], b"GET", id="GET"),
        pytest.param(["-I"], b"HEAD", id="HEAD"),
        pytest.param(["--method", "DELETE"], b"DELETE", id="another method"),
        pytest.param(["-X", "OPTIONS"], b"OPTIONS", id="-X, as with curl"),
        pytest.param(["-d", ""], b"POST", id="POST, although there is no content"),
    ],
)
def test_the_arguments_choose_the_method(arguments: list[str], expected: bytes) -> None:
    seen: list[bytes] = []
    with playing(answering(ok(), seen=seen)) as url:
        assert run_get(*arguments, url) == 0
    assert seen[0].startswith(expected + b" / HTTP/1.1\r\n")


@pytest.mark.parametrize("data", ["text", "file", "standard input"])
def test_option_data_sends_text_a_file_or_standard_input(
    data: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"a\0b\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\0b\n")))
    seen: list[bytes] = []

    def take(connected: socket.socket) -> None:
        seen.append(receive_head(connected) + connected.recv(100))
        connected.sendall(ok())

    given = {"text": "ä=b", "file": f"@{tmp_path / 'file'}", "standard input": "@-"}[data]
    with playing(take) as url:
        assert run_get("--data", given, "--header", "Content-Type: text/plain", url) == 0
    assert seen[0].startswith(b"POST / HTTP/1.1\r\n")
    assert seen[0].endswith(b"Content-Length: 4\r\n\r\n" + ("ä=b".encode() if data == "text" else b"a\0b\n"))


# --- exit codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param([], "the following arguments are required: URL", id="no URL"),
        pytest.param(["https://a/"], "has a scheme that is not supported; use http", id="https"),
        pytest.param(["http://me:secret@a/"], "URLs with a user name or password", id="credentials"),
        pytest.param(["http://a/", "-o", "x", "-o", "y"], "2 files for 1 URLs", id="more files than URLs"),
        pytest.param(["-C", "http://a/"], "-C needs a file for each URL: -o FILE", id="no file to resume"),
        pytest.param(
            ["-C", "-o", "-", "http://a/"], "-C needs a file for each URL: -o FILE", id="-C on standard output"
        ),
        pytest.param(["-C", "-o", "x", "-d", "y", "http://a/"], "-C resumes GET only", id="-C and POST"),
        pytest.param(["-o", "", "http://a/"], "the name of the file is empty", id="no name"),
        pytest.param(["-o", "new/", "http://a/"], "'new/' is a folder; name a file", id="a folder that is not there"),
        pytest.param(["-o", ".", "http://a/"], "'.' is a folder; name a file", id="a folder"),
        pytest.param(
            ["-C", "-o", "x", "-H", "range: bytes=0-1", "http://a/"],
            "-C sets Range and If-Range itself",
            id="two ranges",
        ),
        pytest.param(["-I", "-o", "x", "http://a/"], "-I gets no content; leave out -o", id="a head into a file"),
        pytest.param(["-X", "G T", "http://a/"], "the method 'G T' is not a token", id="no method"),
        pytest.param(["-X", "", "http://a/"], "the method '' is not a token", id="an empty method"),
        pytest.param(["-X", "CONNECT", "http://a/"], "CONNECT is not supported", id="CONNECT"),
        pytest.param(["-H", "a", "http://a/"], "'a' is not 'Name: value'", id="no field"),
        pytest.param(["-H", "Content-Length: 5", "http://a/"], "the client itself sets the field", id="framing"),
        pytest.param(["-d", "@nowhere", "http://a/"], "'nowhere' can't be read: No such file", id="no file to send"),
        pytest.param(
            ["--redirects", "-1", "http://a/"],
            "'-1' is not a number from 0 to 100",
            id="a negative number of redirects",
        ),
        pytest.param(["--timeout", "0", "http://a/"], "is not a number of seconds from 1", id="no time"),
    ],
)
def test_an_invalid_argument_gives_exit_code_2(arguments: list[str], reason: str, capfdbinary: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        run_get(*arguments)
    out, error = read_output(capfdbinary)
    assert (left.value.code, out) == (2, b"")
    assert error.startswith("httpsock get: ")
    assert reason in error
    assert error.endswith("; see httpsock get --help.\n")
    assert "secret" not in error


def fails(captured: Captured, url: str, code: int, sentence: str, *arguments: str) -> None:
    """Run ``httpsock get`` for *url*. Assert that the exit code is *code* and the error message is *sentence*."""
    assert run_get(*arguments, url) == code
    assert read_output(captured)[1] == f"httpsock get: {url}: {sentence}\n"


def test_a_host_without_an_address_gives_exit_code_6(capfdbinary: Captured) -> None:
    assert run_get(f"http://{'a' * 64}/") == 6
    assert "the host has no address" in read_output(capfdbinary)[1]


def test_a_refused_connection_gives_exit_code_7(capfdbinary: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    fails(capfdbinary, url, 7, "no connection: Connection refused")


def test_a_malformed_response_gives_exit_code_8(capfdbinary: Captured) -> None:
    with playing(answering(b"HTTP/1.1 200 OK\r\nA b\x1b[2J\r\n\r\n")) as url:
        fails(capfdbinary, url, 8, 'field line 1 "A b\\x1b[2J" has no colon (RFC 9112 §5)')


def test_truncated_content_gives_exit_code_18(capfdbinary: Captured) -> None:
    reason = "the connection ended after 4 of 5 bytes of content (RFC 9112 §8)"
    with playing(answering(ok(b"hello")[:-1])) as url:
        fails(capfdbinary, url, 18, reason)


def test_a_connection_reset_before_the_response_gives_exit_code_18(capfdbinary: Captured) -> None:
    def hang_up(connected: socket.socket) -> None:
        receive_head(connected)
        reset(connected)

    with playing(hang_up) as url:
        assert run_get(url) == 18
    assert "before any byte of the response" in read_output(capfdbinary)[1]


@pytest.mark.parametrize("option", ["-f", "--fail"])
def test_an_error_response_with_fail_gives_exit_code_22(
    option: str, server: httpsock.Server, capfdbinary: Captured
) -> None:
    fails(capfdbinary, server.url + "missing", 22, "404 Not Found.", option)


def test_an_error_response_without_fail_is_written_like_any_other(
    server: httpsock.Server, capfdbinary: Captured
) -> None:
    assert run_get(server.url + "missing") == 0
    assert read_output(capfdbinary)[0].startswith(b"404 Not Found")


def test_an_error_response_with_fail_does_not_overwrite_the_file(
    server: httpsock.Server, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").write_bytes(b"good")
    assert run_get("--fail", "-o", str(tmp_path / "file"), server.url + "missing") == 22
    assert (tmp_path / "file").read_bytes() == b"good"


def test_a_health_check_gives_exit_code_0_or_22(server: httpsock.Server, capfdbinary: Captured) -> None:
    assert run_get("--fail", "--timeout", "20", "-o", os.devnull, server.url + "hello.txt") == 0
    assert run_get("--fail", "--timeout", "20", "-o", os.devnull, server.url + "missing") == 22
    assert read_output(capfdbinary)[0] == b""


def test_a_write_error_gives_exit_code_23(tmp_path: pathlib.Path, capfdbinary: Captured) -> None:
    with playing(answering(ok(b"hello"))) as url:
        assert run_get("-o", str(tmp_path / "no" / "file"), url) == 23
    assert "can't be written" in read_output(capfdbinary)[1]


def test_a_closed_standard_output_gives_exit_code_23(capfdbinary: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    with playing(answering(ok(b"hello"))) as url, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert run_get(url) == 23
    assert "can't write to standard output" in read_output(capfdbinary)[1]


@pytest.mark.skipif(os.name != "posix", reason="the shell is POSIX's")
@pytest.mark.parametrize("closed", list(itertools.product(["", "<&-"], ["", ">&-"], ["", "2>&-"])), ids="".join)
def test_closed_standard_streams_give_the_documented_exit_codes(
    closed: tuple[str, ...], server: httpsock.Server
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = f"{shlex.join([*COMMAND, 'get', *arguments])} {' '.join(closed)}"
        return subprocess.run(
            ["sh", "-c", command], env=ENVIRONMENT, input="", capture_output=True, text=True, timeout=60, check=False
        )

    _, is_silent, is_mute = map(bool, closed)
    got, sent = run(server.url + "hello.txt"), run("-d", "@-", server.url)
    assert got.returncode == (23 if is_silent else 0)
    assert sent.returncode == (2 if closed[0] else 23 if is_silent else 0)
    assert ("can't write to standard output: it is closed" in got.stderr) == (is_silent and not is_mute)
    assert ("standard input is closed" in sent.stderr) == (bool(closed[0]) and not is_mute)
    assert "Traceback" not in got.stderr + sent.stderr


def test_a_closed_standard_error_does_not_change_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    with playing(answering(ok(b"hello"))) as url, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        assert run_get("-v", "-o", str(tmp_path / "file"), url) == 0
        assert run_get("http://127.0.0.1:1/") == 7
    assert (tmp_path / "file").read_bytes() == b"hello"


def test_a_timeout_gives_exit_code_28(capfdbinary: Captured) -> None:
    with playing(receive_head_twice) as url:
        fails(capfdbinary, url, 28, "the exchange was not complete within 1 s", "--timeout", "1")


def receive_head_twice(connected: socket.socket) -> None:
    """Receive a request and wait for another one. Send no answer."""
    receive_head(connected)
    receive_head(connected)


def test_too_many_redirects_give_exit_code_47(capfdbinary: Captured) -> None:
    again = ok(b"", "Location: /again", status="302 Found")
    with playing(answering(again, again)) as url:
        reason = f"more than 1 redirects; the last one leads to {url}again"
        fails(capfdbinary, url, 47, reason, "--redirects", "1")


def test_a_redirect_to_an_invalid_url_gives_exit_code_47(capfdbinary: Captured) -> None:
    with playing(answering(ok(b"", "Location: http://[::1", status="302 Found"))) as url:
        assert run_get(url) == 47
    assert 'the redirect to "http://[::1" is invalid: ' in read_output(capfdbinary)[1]


def test_an_unrequested_206_gives_exit_code_8_and_writes_no_file(tmp_path: pathlib.Path, capfdbinary: Captured) -> None:
    """A part of the content must not pass as the complete file."""
    part = ok(b"hello", "Content-Range: bytes 0-4/100", status="206 Partial Content")
    for arguments in ([], ["-o", str(tmp_path / "file")]):
        with playing(answering(part)) as url:
            assert run_get(url, *arguments) == 8
    assert "the server sent a part, but the request was for the whole (RFC 9110 §15.3.7)" in read_output(capfdbinary)[1]
    assert list(tmp_path.iterdir()) == []
    with playing(answering(part)) as url:
        assert run_get(url, "--header", "Range: bytes=0-4") == 0


def test_the_output_file_may_be_a_pipe(server: httpsock.Server) -> None:
    command = [*COMMAND, "get", server.url + "hello.txt", "-o", "/dev/stdout"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"Hello, socket.\n")


@pytest.mark.parametrize("name", ["file.part", "file.resume"])
def test_a_symlink_at_the_name_of_the_part_is_not_followed(
    name: str, server: httpsock.Server, tmp_path: pathlib.Path, capfdbinary: Captured
) -> None:
    """If the client followed the symlink, another user could make the download overwrite any file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"ours")
    (tmp_path / name).symlink_to(victim)
    code = run_get(server.url + "hello.txt", "-o", str(tmp_path / "file"))
    assert victim.read_bytes() == b"ours"
    assert code == (23 if name == "file.part" else 0)


def test_a_redirect_to_https_gives_exit_code_47(capfdbinary: Captured) -> None:
    with playing(answering(ok(b"", "Location: https://a/", status="301 Moved"))) as url:
        reason = 'the URL "https://a/" has a scheme that is not supported; use http'
        fails(capfdbinary, url, 47, reason)


def test_the_first_failure_gives_the_exit_code_and_later_urls_are_downloaded(
    server: httpsock.Server, capfdbinary: Captured
) -> None:
    with playing(answering(b"what?\r\n")) as broken:
        assert run_get("--fail", server.url + "missing", broken, server.url + "hello.txt") == 22
    out, error = read_output(capfdbinary)
    assert out == b"Hello, socket.\n"
    assert error.count("\n") == 2


# --- resuming -------------------------------------------------------------------------------------------------------


def test_option_capital_c_resumes_a_download_where_it_broke_off(
    server: httpsock.Server, tmp_path: pathlib.Path, capfdbinary: Captured
) -> None:
    whole = server.url + "alphabet.txt"
    with httpsock.Client() as client:
        tag = client.request("HEAD", whole).field("ETag") or ""
    path = str(tmp_path / "file")
    pathlib.Path(path + ".part").write_bytes(b"abcdefghij")
    note = {"url": whole, "source": whole, "validator": tag, "coding": "", "length": 26}
    pathlib.Path(path + ".resume").write_text(json.dumps(note))
    assert run_get("-C", "-v", "-o", path, whole) == 0
    error = read_output(capfdbinary)[1]
    assert "> Range: bytes=10-\n" in error
    assert "< Content-Range: bytes 10-25/26\n" in error
    assert pathlib.Path(path).read_bytes() == b"abcdefghijklmnopqrstuvwxyz"


def test_a_truncated_download_is_reported_and_resumed(tmp_path: pathlib.Path, capfdbinary: Captured) -> None:
    rest = ok(b"lo", "Content-Range: bytes 3-4/5", 'ETag: "a"', status="206 Partial Content")
    seen: list[bytes] = []
    with playing(answering(ok(b"hello", 'ETag: "a"')[:-2]), answering(rest, seen=seen)) as url:
        path = str(tmp_path / "file")
        assert run_get("-o", path, url) == 18
        assert f"httpsock get: {path}.part has 3 bytes; resume it with -C.\n" in read_output(capfdbinary)[1]
        assert run_get("-C", "-o", path, url) == 0
    assert b'\r\nRange: bytes=3-\r\nIf-Range: "a"\r\n' in seen[0]
    assert pathlib.Path(path).read_bytes() == b"hello"
    assert read_output(capfdbinary) == (b"", "")


def test_controls_in_the_name_of_a_file_are_escaped_in_reports(tmp_path: pathlib.Path, capfdbinary: Captured) -> None:
    with playing(answering(ok(b"hello", 'ETag: "a"')[:-2])) as url:
        assert run_get("-C", "-o", str(tmp_path / "two\nlines\x1b[2J"), url) == 18
    restarted, resumable, _ = read_output(capfdbinary)[1].splitlines()
    assert restarted.endswith("two\\x0alines\\x1b[2J.part: no part of a known version to resume; starting over.")
    assert resumable.endswith("two\\x0alines\\x1b[2J.part has 3 bytes; resume it with -C.")


@pytest.mark.skipif(os.name != "posix", reason="of POSIX")
def test_a_download_that_fills_the_disk_can_be_resumed(tmp_path: pathlib.Path, capfdbinary: Captured) -> None:
    import resource  # Windows lacks it

    content = os.urandom(100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    rest = ok(content[50_000:], "Content-Range: bytes 50000-99999/100000", 'ETag: "a"', status="206 Partial Content")
    with playing(answering(ok(content, 'ETag: "a"')), answering(rest)) as url:
        path = str(tmp_path / "file")
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            assert run_get("-o", path, url) == 23
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        resumable, reason = read_output(capfdbinary)[1].splitlines()
        assert resumable == f"httpsock get: {path}.part has 50000 bytes; resume it with -C."
        assert reason == f"httpsock get: {url}: {path}.part can't be written: {os.strerror(errno.EFBIG)}"
        assert run_get("-C", "-o", path, url) == 0
    assert pathlib.Path(path).read_bytes() == content


def test_a_416_for_the_rest_starts_the_download_over(tmp_path: pathlib.Path, capfdbinary: Captured) -> None:
    gone = ok(b"", "Content-Range: bytes */2", status="416 Range Not Satisfiable")
    with playing(answering(ok(b"hello", 'ETag: "a"')[:-2]), answering(gone), answering(ok(b"hi"))) as url:
        path = str(tmp_path / "file")
        assert run_get("-o", path, url) == 18
        assert run_get("-C", "-o", path, url) == 0
    assert pathlib.Path(path).read_bytes() == b"hi"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_resuming_without_a_part_reports_that_it_starts_over(
    server: httpsock.Server, tmp_path: pathlib.Path, capfdbinary: Captured
) -> None:
    path = str(tmp_path / "file")
    assert run_get("-C", "-o", path, server.url + "hello.txt") == 0
    assert (
        read_output(capfdbinary)[1]
        == f"httpsock get: {path}.part: no part of a known version to resume; starting over.\n"
    )


@pytest.mark.parametrize("status", ["404 Not Found", "204 No Content", "503 Later"])
def test_a_response_other_than_200_206_or_416_keeps_the_part(
    status: str, tmp_path: pathlib.Path, capfdbinary: Captured
) -> None:
    with playing(answering(ok(b"hello", 'ETag: "a"')[:-2]), answering(ok(b"", status=status))) as url:
        path = str(tmp_path / "file")
        assert run_get("-o", path, url) == 18
        read_output(capfdbinary)
        fails(capfdbinary, url, 22, f"{status}.", "-C", "-o", path)
    assert pathlib.Path(path + ".part").read_bytes() == b"hel"
    assert os.path.exists(path + ".resume")


def test_content_without_a_validator_cannot_be_resumed(tmp_path: pathlib.Path, capfdbinary: Captured) -> None:
    with playing(answering(ok(b"hello")[:-2])) as url:
        assert run_get("-o", str(tmp_path / "file"), url) == 18
    assert "-C" not in read_output(capfdbinary)[1]


# --- as a program, and on a terminal --------------------------------------------------------------------------------


def test_the_program_writes_content_into_a_pipe(server: httpsock.Server) -> None:
    done = subprocess.run(
        [*COMMAND, "get", server.url + "alphabet.txt"], env=ENVIRONMENT, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"abcdefghijklmnopqrstuvwxyz", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here is always full")
def test_a_full_standard_output_is_reported_in_one_sentence(server: httpsock.Server) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "get", server.url + "alphabet.txt"], env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE,
            timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 23
    assert done.stderr.decode().endswith(": can't write to standard output: No space left on device\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_gives_exit_code_130_and_keeps_the_part(tmp_path: pathlib.Path, interruptible: None) -> None:
    done = threading.Event()

    def begin(connected: socket.socket) -> None:
        receive_head(connected)
        connected.sendall(ok(bytes(200_000), 'ETag: "a"')[:-1])
        assert done.wait(TIMEOUT_SECONDS)

    with playing(begin) as url:
        command = [*COMMAND, "get", "-o", str(tmp_path / "file"), url]
        with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) as program:
            while not os.path.exists(tmp_path / "file.part") or not os.path.getsize(tmp_path / "file.part"):
                assert not done.wait(0.01)
                assert program.poll() is None
            program.send_signal(signal.SIGINT)
            _, error = program.communicate(timeout=TIMEOUT_SECONDS)
        done.set()
    assert program.returncode == 130
    assert error.decode().splitlines()[-1] == "httpsock get: interrupted."
    assert "resume it with -C" in error.decode()
    assert "Traceback" not in error.decode()


def test_an_interrupt_while_content_is_written_gives_exit_code_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, interruptible: None
) -> None:
    class InterruptingBuffer(io.BytesIO):
        def write(self, octets: Any) -> int:
            signal.raise_signal(signal.SIGINT)
            return super().write(octets)

    with playing(answering(ok(b"content"))) as url:
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer := InterruptingBuffer()))
        assert run_get(url) == 130
    assert (buffer.getvalue(), capsys.readouterr().err) == (b"", "httpsock get: interrupted.\n")


class Watched:
    """The program, with *streams* connected to a terminal.

    Other output goes to a pipe. *drawn* is all text on the terminal.
    """

    def __init__(self, *arguments: str, streams: tuple[str, ...]) -> None:
        self._watching, watched = os.openpty()
        out, error = (watched if name in streams else subprocess.PIPE for name in ("stdout", "stderr"))
        self.program = subprocess.Popen([*COMMAND, "get", *arguments], env=ENVIRONMENT, stdout=out, stderr=error)
        os.close(watched)
        self.drawn = b""

    def watch(self) -> bool:
        """Read from the terminal. Return whether the program still has the terminal open."""
        try:
            octets = os.read(self._watching, 65536)
        except OSError:
            # On Linux, EIO means that the program has closed the terminal.
            octets = b""
        self.drawn += octets
        return bool(octets)

    def end(self) -> bytes:
        """Read until the program ends. Return the octets from the pipe."""
        while self.watch():
            pass
        piped, _ = self.program.communicate(timeout=TIMEOUT_SECONDS)
        os.close(self._watching)
        return piped or b""


@needs_terminals
def test_control_characters_of_a_server_are_escaped_on_a_terminal() -> None:
    answer = ok(b"\x1b[2J\xc3\xa4\x9b\r\nforged\r!", "X: \x9b2J\xe9")
    with playing(answering(answer)) as url:
        watched = Watched("-i", url, streams=("stdout",))
        watched.end()
    assert watched.program.returncode == 0
    # The terminal turns each LF into CRLF.
    lines = watched.drawn.decode().split("\r\n")
    assert lines == ["HTTP/1.1 200 OK", "X: \\x9b2J\\xe9", "Content-Length: 17", "", "\\x1b[2Jä\\x9b", "forged", "!"]


@needs_terminals
def test_characters_that_a_terminal_cannot_show_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "PYTHONIOENCODING", "ascii:strict")
    with playing(answering(ok("Grüße, 世界\n".encode()))) as url:
        watched = Watched(url, streams=("stdout", "stderr"))
        watched.end()
    assert (watched.program.returncode, watched.drawn) == (0, rb"Gr\xfc\xdfe, \u4e16\u754c" + b"\r\n")


def test_a_terminal_that_is_gone_gives_exit_code_23(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class GoneTerminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("sys.stdout", GoneTerminal())
    with playing(answering(ok(b"content"))) as url:
        assert run_get(url) == 23
    expected = f"httpsock get: {url}: can't write to standard output: Input/output error\n"
    assert capsys.readouterr().err == expected


@needs_terminals
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], b"text/plain, */*;q=0.8", id="a folder is listed as text"),
        pytest.param(["-H", "Accept: text/html"], b"text/html", id="unless asked otherwise"),
    ],
)
def test_get_prefers_text_on_a_terminal(options: list[str], expected: bytes) -> None:
    heads: list[bytes] = []

    def answer(connected: socket.socket) -> None:
        heads.append(receive_head(connected))
        connected.sendall(ok(b"hello\n"))

    with playing(answer) as url:
        watched = Watched(*options, url, streams=("stdout",))
        watched.end()
    assert re.findall(rb"(?m)^Accept: (.*)\r$", heads[0]) == [expected]


@needs_terminals
@pytest.mark.parametrize("ends", ["whole", "broken off"])
@pytest.mark.parametrize("to_file", [True, False])
def test_a_long_transfer_shows_a_progress_bar(to_file: bool, ends: str, tmp_path: pathlib.Path) -> None:
    seen = threading.Event()
    answer = ok(bytes(4_000_000))

    def drip(connected: socket.socket) -> None:
        receive_head(connected)
        sent = 0
        # Send slowly until a bar is drawn; then send the rest, or end the connection.
        while not seen.wait(0.01):
            connected.sendall(answer[sent : sent + 100])
            sent += 100
        connected.sendall(answer[sent:] if ends == "whole" else b"")

    with playing(drip) as url:
        watched = Watched(*(["-o", str(tmp_path / "file")] if to_file else []), url, streams=("stderr",))
        content = b""
        while b"left" not in watched.drawn:
            assert watched.watch()
        seen.set()
        if watched.program.stdout:
            # Otherwise the pipe fills and the program blocks.
            content = watched.program.stdout.read()
        watched.end()
    assert watched.program.returncode == (0 if ends == "whole" else 18)
    assert re.search(rb"\r  0% \[\.{24}\] [0-9.]+ K?i?B  [0-9.]+ K?i?B/s  [0-9]+ s left\x1b\[K", watched.drawn)
    if ends == "whole":
        assert b"\r100% [########################] 3.8 MiB" in watched.drawn
        assert len(content) == (0 if to_file else 4_000_000)
