r"""Requests and responses from the tests of other parsers: the octets of each test, and the other parser's verdict.

gunicorn has one folder of requests that its parser accepts, and one of requests that it refuses. Each file has one
request, with escapes for line ends. llhttp has one folder of requests and one of responses. Its tests are in Markdown
files. Each test has a title, the input, and the log of llhttp's parser:

    ### A title
    <!-- meta={"type": "request"} -->
    ```http
    GET / HTTP/1.1
    ```
    ```log
    off=16 message complete
    ```
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_LETTERS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"f": b"\f"}
_ESCAPE = re.compile(rb"\\(?:x(?P<hexadecimal>[0-9A-Fa-f]{2})|(?P<octal>[0-3]?[0-7]{1,2})|(?P<letter>[rntf]))")
_TITLE_OR_TEST = re.compile(
    rb"^##+ (?P<title>[^\n]+)$"
    rb"|<!-- meta=(?P<meta>\{[^\n]*\}) -->\s*```http\n(?P<input>.*?)\n```.*?```log\n(?P<log>.*?)```",
    re.MULTILINE | re.DOTALL,
)
# llhttp logs a pause as an error too: it stops where another protocol may follow.
_FAILURE = re.compile(rb"error code=(?!21 |22 )")


class MessageFile(NamedTuple):
    """One test of another parser. *is_refused* says whether that parser refuses the octets.

    *messages* is the number of complete messages, or None if it is unknown. If *is_ended* is false, more octets may
    follow. If the octets are responses, *method* is the method of the requests that they answer.
    """

    name: str
    octets: bytes
    is_refused: bool
    messages: int | None = None
    is_ended: bool = True
    method: str | None = None


def read_gunicorn(folder: Path) -> Iterator[MessageFile]:
    """Yield gunicorn's request files. *folder* is the folder tests/requests of gunicorn's source code."""
    for kind in ("valid", "invalid"):
        for path in sorted((folder / kind).glob("*.http")):
            octets = _unescaped(path.read_bytes().replace(b"\n", b""))
            yield MessageFile(f"{kind}/{path.stem}", octets, is_refused=kind == "invalid")


def read_llhttp(folder: Path) -> Iterator[MessageFile]:
    """Yield llhttp's tests. *folder* is the folder "test" of llhttp's source code. Tests of lenient modes are left out.

    If a file can't be parsed, raise ValueError.
    """
    for kind in ("request", "response"):
        for path in sorted((folder / kind).glob("*.md")):
            try:
                yield from _tests_in(path, is_of_responses=kind == "response")
            except ValueError as error:
                raise ValueError(f"{path} is no test of llhttp: {error}") from error


def _tests_in(path: Path, *, is_of_responses: bool) -> Iterator[MessageFile]:
    """Yield the tests in one file of llhttp."""
    names: Counter[str] = Counter()
    title = ""
    for found in _TITLE_OR_TEST.finditer(path.read_bytes()):
        if found["title"]:
            title = found["title"].decode()
            continue
        meta = json.loads(found["meta"])
        if "lenient" in meta.get("type", ""):
            continue
        name = f"{'response/' if is_of_responses else ''}{path.stem}: {title}"
        names[name] += 1
        name += "" if names[name] == 1 else f" ({names[name]})"
        # With skipBody, the test tells llhttp what a client knows that has sent HEAD.
        method = "HEAD" if meta.get("skipBody") else "GET"
        yield _llhttp_test(name, found["input"], found["log"], method if is_of_responses else None)


def _llhttp_test(name: str, text: bytes, log: bytes, method: str | None) -> MessageFile:
    """Make a MessageFile from an llhttp test with the input *text* and the log *log*.

    llhttp does not require Host, but httpsock does. So this function adds Host to requests without it. If llhttp
    refuses a head before its end, the function also adds an end. Otherwise httpsock would wait for the rest.
    """
    text = text.replace(b"\\\n", b"").replace(b"\n", b"\r\n")
    octets = _unescaped(text)
    if b"host:" not in octets.lower():
        octets = octets.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nHost: a\r\n")
    is_refused = _FAILURE.search(log) is not None
    if is_refused and b"\r\n\r\n" not in octets:
        octets += b"\r\n\r\n"
    messages = None if is_refused else log.count(b" message complete\n")
    return MessageFile(name, octets, is_refused, messages, is_ended=False, method=method)


def _unescaped(text: bytes) -> bytes:
    """Replace the escapes in *text* by octets."""
    return _ESCAPE.sub(_octet, text)


def _octet(escape: re.Match[bytes]) -> bytes:
    """Return the octet for an escape."""
    if escape["letter"]:
        return _LETTERS[escape["letter"]]
    return bytes([int(escape["hexadecimal"], 16) if escape["hexadecimal"] else int(escape["octal"], 8)])
