"""Measure single parts of httpsock without a socket: ``python3 -m tests.benchmarks.micro``.

The parser is compared with h11, a strict parser in Python, and with httptools, a lenient parser in C. All parsers get
the same octets, in turns. The times are processor time. They exclude the creation of the parsers.
"""

import email.utils
import functools
import json
import pathlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import respond
from httpsock.http.grammar import format_http_date
from httpsock.http.handler import Tick
from httpsock.http.messages import Request, Response
from httpsock.http.request_parser import Limits, RequestParser
from httpsock.server import access_log
from tests.support.arguments import ArgumentParser, new_file, whole_number
from tests.support.context import FixedContext

from .answers import FIRST_NUMBER
from .files import age
from .report import aligned, shown
from .workloads import BY_KEY, numbered, requests_of

_CURL = "GET /1k.bin HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
_OCTETS_OF_FILE = bytes(1024)
# Long after any change of the file, so that it is cached.
_NOW = 4_000_000_000.0


class Task(NamedTuple):
    """A task to time. *prepare* takes a number and returns this many steps.

    The tasks of a *group* are compared with the first task of the group.
    """

    group: str
    name: str
    prepare: Callable[[int], Iterable[Callable[[], object]]]


def main() -> int:
    """Time all tasks and print the times. Write the times to a file if requested."""
    parser = ArgumentParser("tests.benchmarks.micro", __doc__)
    parser.add_argument("--turns", type=whole_number, default=15, help="how many turns each task has (default: 15)")
    parser.add_argument(
        "--count", type=whole_number, default=2_000, help="how often it is done in a turn (default: 2,000)"
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all times to FILE")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}; {options.turns} turns of {options.count}; processor time\n")
    with tempfile.TemporaryDirectory() as folder:
        tasks = [*parser_tasks(), *origin_tasks(pathlib.Path(folder)), *line_tasks()]
        times = measure(tasks, options.turns, options.count)
    print(aligned(table(tasks, times)))
    if options.json:
        options.json.write_text(json.dumps({f"{task.group}: {task.name}": times[task] for task in tasks}, indent=1))
    return 0


def measure(tasks: list[Task], turns: int, count: int) -> dict[Task, list[float]]:
    """Time all tasks. Return the processor time of one step in µs, for each task and turn. A turn has *count* steps."""
    times: dict[Task, list[float]] = {task: [] for task in tasks}
    for _ in range(turns):
        for task in tasks:
            steps = list(task.prepare(count))
            begun = time.process_time()
            for step in steps:
                step()
            times[task].append((time.process_time() - begun) / len(steps) * 1e6)
    return times


def table(tasks: list[Task], times: dict[Task, list[float]]) -> list[list[str]]:
    """Return a table with headings, and one line for each task."""
    lines = [["", "best µs", "median µs", "ratio"]]
    firsts: dict[str, Task] = {}
    for task in tasks:
        first = firsts.setdefault(task.group, task)
        ratio = statistics.median(mine / other for mine, other in zip(times[task], times[first], strict=True))
        figures = [min(times[task]), statistics.median(times[task]), ratio]
        lines.append([f"{task.group}: {task.name}", *map(shown, figures)])
    return lines


def parser_tasks() -> Iterator[Task]:
    """Yield the tasks that parse requests. Each kind of request has one task for each parser."""
    for kind, request in _heads().items():
        group = f"parser, {kind} ({len(numbered(request, FIRST_NUMBER))} octets)"
        yield Task(group, "httpsock", _steps(request, _httpsock_step))
        for module, step in (("h11", _h11_step), ("httptools", _httptools_step)):
            try:
                __import__(module)
            except ImportError:
                print(f"{module} is left out: pip install '.[bench]'", file=sys.stderr)
            else:
                yield Task(group, module, _steps(request, step))


def _heads() -> dict[str, str]:
    """Return request heads by kind. {n} stands for a number that changes each time.

    If a head has no {n}, a parser may cache the entire head. Otherwise it may cache the parts without {n}.
    """
    browser = requests_of(BY_KEY["browser"], 8000)[0]
    kinds: dict[str, str] = {}
    for name, head in (("curl's", _CURL), ("a browser's", browser)):
        other_line = head.replace("/1k.bin", "/{n}.bin")
        kinds |= {
            f"{name}, seen": head,
            f"{name}, another line": other_line,
            f"{name}, other fields": head.replace("\r\n\r\n", "\r\nCookie: visitor={n}\r\n\r\n"),
            f"{name}, never seen": other_line.replace("\r\n\r\n", "\r\nCookie: visitor={n}\r\n\r\n"),
        }
    return kinds | {"another query and fields each time": requests_of(BY_KEY["distinct"], 8000)[0]}


def _steps(
    request: str, make_step: Callable[[bytes], Callable[[], object]]
) -> Callable[[int], Iterator[Callable[[], object]]]:
    """Return a function that makes steps. Each step parses *request* with a different number in place of {n}."""
    numbers = iter(range(FIRST_NUMBER, 10 * FIRST_NUMBER))

    def prepare(count: int) -> Iterator[Callable[[], object]]:
        for _ in range(count):
            yield make_step(numbered(request, next(numbers)))

    return prepare


def _httpsock_step(head: bytes) -> Callable[[], object]:
    parser = RequestParser(Limits())

    def step() -> object:
        parser.receive(head)
        return parser.next_event()

    return step


def _h11_step(head: bytes) -> Callable[[], object]:
    import h11

    connection = h11.Connection(h11.SERVER)

    def step() -> object:
        connection.receive_data(head)
        return connection.next_event()

    return step


class _Collected:
    """Callbacks for httptools. They store the target and the fields of a request."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: dict[bytes, bytes] = {}

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields[name.lower()] = value


def _httptools_step(head: bytes) -> Callable[[], object]:
    import httptools

    parser = httptools.HttpRequestParser(_Collected())

    def step() -> object:
        parser.feed_data(head)
        return parser.get_method()

    return step


def origin_tasks(folder: pathlib.Path) -> Iterator[Task]:
    """Yield the tasks that answer requests for a file of 1 KiB, without a connection."""
    (folder / "1k.bin").write_bytes(_OCTETS_OF_FILE)
    age(folder)
    root = DocumentRoot(folder)
    whole = _request(_CURL)
    response = respond(root, whole, FixedContext(Tick(_NOW, 0.0)))
    assert isinstance(response, Response)
    etag = dict(response.fields)["ETag"]
    requests = {
        "200": whole,
        "304": _request(_CURL.replace("\r\n\r\n", f"\r\nIf-None-Match: {etag}\r\n\r\n")),
        "206": _request(_CURL.replace("\r\n\r\n", "\r\nRange: bytes=0-99\r\n\r\n")),
        "404": _request(_CURL.replace("1k.bin", "nothing")),
    }
    for name, request in requests.items():
        yield Task("origin", name, _again(functools.partial(_respond, request, root)))


def _respond(request: Request, root: DocumentRoot) -> None:
    response = respond(root, request, FixedContext(Tick(_NOW, 0.0)))
    assert isinstance(response, Response)
    response.close()


def _request(text: str) -> Request:
    parser = RequestParser(Limits())
    parser.receive(text.encode("ascii"))
    request = parser.next_event()
    assert isinstance(request, Request)
    return request


def line_tasks() -> Iterator[Task]:
    """Yield the tasks that format dates and log lines. Each step has a new time or a new request line."""
    seconds = iter(range(1_000_000_000, 2_000_000_000))
    yield Task("date", "httpsock", _again(lambda: format_http_date(next(seconds))))
    yield Task("date", "email.utils.formatdate", _again(lambda: email.utils.formatdate(next(seconds), usegmt=True)))
    for kind, name_format in access_log.FORMATS.items():
        yield Task("log line", kind, _again(_line_step(name_format)))


def _line_step(form: Callable[[access_log.Exchange], str]) -> Callable[[], object]:
    numbers = iter(range(FIRST_NUMBER, 10 * FIRST_NUMBER))

    def step() -> object:
        request_line = b"GET /1k.bin?visit=%d HTTP/1.1" % next(numbers)
        return form(access_log.Exchange(_NOW, "127.0.0.1", request_line, 200, 1024, 1024, 0.0004))

    return step


def _again(step: Callable[[], Any]) -> Callable[[int], list[Callable[[], object]]]:
    """Return a function that takes a number and returns a list. The list repeats *step* this many times."""
    return lambda count: [step] * count


if __name__ == "__main__":
    sys.exit(main())
