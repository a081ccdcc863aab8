"""Messages from other parsers' tests: each difference from httpsock has a reason and a case that tests the rule."""

from pathlib import Path

import pytest

from conformance.__main__ import main
from conformance.corpus.cases import load_cases

from .message_files import MessageFile, read_gunicorn, read_llhttp
from .suite import SUITES, Difference, load_differences

_CASES = {case.name: case for case in load_cases()}
_DIFFERENCES = load_differences()
_TESTS = Path(__file__).parents[2] / "tests"
# The corpus has only requests, so these tests of httpsock test the same rules as the differences on responses.
_RESPONSE_TESTS = "".join(
    (_TESTS / name).read_text(encoding="utf-8")
    for name in ("http/test_response_parser.py", "client/test_connection.py")
)


def test_each_suite_has_its_differences_in_the_table() -> None:
    assert _DIFFERENCES.keys() == SUITES.keys()


@pytest.mark.parametrize("difference", _DIFFERENCES["gunicorn"], ids=lambda difference: difference.case)
def test_httpsock_refuses_the_case_of_a_difference_exactly_if_gunicorn_accepts_the_files(
    difference: Difference,
) -> None:
    kinds = {name.partition("/")[0] for name in difference.files}
    assert len(kinds) == 1
    assert _CASES[difference.case].is_refused == (kinds == {"valid"})


@pytest.mark.parametrize("difference", [each for suite in _DIFFERENCES.values() for each in suite])
def test_each_difference_has_a_reason_with_its_section_and_a_case(difference: Difference) -> None:
    is_of_responses = {name.startswith("response/") for name in difference.files}
    assert len(is_of_responses) == 1
    assert f"def {difference.case}(" in _RESPONSE_TESTS if True in is_of_responses else difference.case in _CASES
    assert difference.why.startswith("RFC ")
    assert difference.why.endswith(".")


@pytest.mark.parametrize(("suite", "count"), [("gunicorn", 47), ("llhttp", 30)])
def test_no_file_is_in_two_differences(suite: str, count: int) -> None:
    names = [name for difference in _DIFFERENCES[suite] for name in difference.files]
    assert len(names) == len(set(names)) == count


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


def test_line_ends_of_a_file_of_gunicorn_are_dropped_and_its_escapes_become_octets(tmp_path: Path) -> None:
    _write(tmp_path / "invalid" / "a.http", b"GET / HTTP/1.1\\r\\n\nA: \\t\\0\\x7f\\r\\n\n")
    octets = b"GET / HTTP/1.1\r\nA: \t\x00\x7f\r\n"
    assert list(read_gunicorn(tmp_path)) == [MessageFile("invalid/a", octets, is_refused=True)]


_LLHTTP = rb"""# Requests

## A title

<!-- meta={"type": "request", "noScan": true} -->
```http
GET /\033\t\
a HTTP/1.1
A: b\n

```
_A remark._

```log
off=22 message complete
off=22 error code=22 reason="Pause on CONNECT/Upgrade"
```

### Another

<!-- meta={"type": "request-lenient-headers"} -->
```http
GET
```

```log
off=3 message complete
```

<!-- meta={"type": "request"} -->
```http
GET / HTTP/1.1
Host : a
```

```log
off=20 error code=10 reason="Missing `:`"
```
"""


def test_the_input_of_a_test_of_llhttp_gets_host_and_an_end(tmp_path: Path) -> None:
    """Line ends also become CRLF. Tests of lenient modes are left out."""
    _write(tmp_path / "request" / "a.md", _LLHTTP)
    first, second = read_llhttp(tmp_path)
    octets = b"GET /\x1b\ta HTTP/1.1\r\nHost: a\r\nA: b\n\r\n"
    assert first == MessageFile("a: A title", octets, is_refused=False, messages=1, is_ended=False)
    octets = b"GET / HTTP/1.1\r\nHost: a\r\nHost : a\r\n\r\n"
    assert second == MessageFile("a: Another", octets, is_refused=True, is_ended=False)


def test_two_tests_of_llhttp_with_one_title_have_two_names(tmp_path: Path) -> None:
    one = _LLHTTP[_LLHTTP.index(b"## A title") : _LLHTTP.index(b"### Another")]
    _write(tmp_path / "request" / "a.md", one + one)
    assert [file.name for file in read_llhttp(tmp_path)] == ["a: A title", "a: A title (2)"]


_RESPONSES = rb"""## To HEAD
<!-- meta={"type": "response", "skipBody": true} -->
```http
HTTP/1.1 200 OK
Content-Length: 5


```
```log
off=0 message complete
```

## Interim and final
<!-- meta={"type": "response"} -->
```http
HTTP/1.1 100 Continue

HTTP/1.1 204 No Content
Content-Length: 0

HTTP/1.1 200 OK
Connection: close
Content-Length: 1

aHTTP/1.1 200 OK
```
```log
off=1 message complete
off=2 message complete
off=3 message complete
```

## A space
<!-- meta={"type": "response"} -->
```http
HTTP/1.1 200 OK
Host : a
```
```log
off=20 error code=10 reason="Missing `:`"
```

## An end too many
<!-- meta={"type": "response"} -->
```http
HTTP/1.1 200 OK

```
```log
off=1 message complete
```
"""


def test_a_response_of_a_test_of_llhttp_is_read_by_the_parser_of_the_client(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interim responses are messages, as in llhttp's log. If a test sets skipBody, its response answers HEAD."""
    _write(tmp_path / "response" / "a.md", _RESPONSES)
    files = list(read_llhttp(tmp_path))
    assert [(file.name, file.method, file.messages) for file in files] == [
        ("response/a: To HEAD", "HEAD", 1),
        ("response/a: Interim and final", "GET", 3),
        ("response/a: A space", "GET", None),
        ("response/a: An end too many", "GET", 1),
    ]
    assert files[2].octets == b"HTTP/1.1 200 OK\r\nHost : a\r\n\r\n"
    assert main(["suite", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err == "response/a: An end too many: a difference without a reason\n"
    assert captured.out == "4 files: 3 alike, 1 different, 1 of them without a reason\n"


def test_the_command_exits_with_1_at_a_difference_without_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If each difference has a reason, the exit code is 0. For a folder without tests, it is 2."""
    assert main(["suite", str(tmp_path)]) == 2
    assert "has no tests of gunicorn or llhttp" in capsys.readouterr().err
    _write(tmp_path / "valid" / "001.http", b"GET / HTTP/1.1\\r\\n\nHost: a\\r\\n\n\\r\\n")
    _write(tmp_path / "valid" / "006.http", b"GET / HTTP/1.1\\r\\n\n\\r\\n")
    assert main(["suite", str(tmp_path)]) == 0
    found = capsys.readouterr().out
    assert "valid/006: as no-host\n  RFC 9112 §3.2: " in found
    assert "2 files: 1 alike, 1 different, 0 of them without a reason" in found
    _write(tmp_path / "invalid" / "new.http", b"GET / HTTP/1.1\\r\\n\nHost: a\\r\\n\n\\r\\n")
    assert main(["suite", str(tmp_path)]) == 1
    assert "invalid/new: a difference without a reason" in capsys.readouterr().err


def test_a_file_in_which_httpsock_finds_more_or_fewer_requests_than_llhttp_is_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        b'## Skipped content\n<!-- meta={"type": "request"} -->\n```http\nPUT / HTTP/1.1\nContent-Length: 5\n\n\n```\n'
    )
    _write(tmp_path / "request" / "new.md", text + b"```log\noff=1 message complete\n```\n")
    assert main(["suite", str(tmp_path)]) == 1
    assert "new: Skipped content: a difference without a reason" in capsys.readouterr().err
    _write(tmp_path / "request" / "new.md", text + b"```log\noff=1 message begin\n```\n")
    assert main(["suite", str(tmp_path)]) == 0
