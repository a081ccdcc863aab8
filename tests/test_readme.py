"""README: the tests try each command and example. They compare each option, limit and table with the code."""

import ast
import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import types
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import httpsock
from httpsock.__main__ import main
from httpsock.cli.stderr import _MAX_QUEUED
from httpsock.files.document_root import _CACHE_OCTETS, _MAX_LISTED, SMALL_FILE
from httpsock.files.listing import _MAX_KNOWN_ENTRIES, _MAX_KNOWN_OCTETS
from httpsock.files.listing_budget import UNCOUNTED
from httpsock.files.lookups import _MAX_LOOKUPS
from httpsock.handlers.authentication import _MAX_CHECKS, _MAX_WAITING
from httpsock.handlers.in_thread import _MAX_THREADS
from httpsock.http.known_heads import _MAX_PARTS, MAX_KNOWN_OCTETS
from httpsock.http.ranges import MAX_RANGES
from httpsock.observe.recorder import _MAX_EVENTS, _MAX_OCTETS
from httpsock.server.connection_limit import _HEAD_SECONDS, _RESERVED_DESCRIPTORS
from httpsock.server.fairness import _LONG_SECONDS, _SHARE_SECONDS
from httpsock.server.listeners import BACKLOG
from httpsock.server.process import MAX_DESCRIPTORS
from tests.benchmarks.arguments import _parser as benchmark_arguments
from tests.support import ask, connect, get
from tests.support.tools import tool
from tests.support.trace import alike

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "httpsock"
TOUR = (PACKAGE / "README.md").read_text(encoding="utf-8")
OF_TRACING = (PACKAGE / "tracing" / "README.md").read_text(encoding="utf-8")
OF_CLIENT = (PACKAGE / "client" / "README.md").read_text(encoding="utf-8")
OF_DISCOVERY = (PACKAGE / "discovery" / "README.md").read_text(encoding="utf-8")
OF_HANDLERS = (PACKAGE / "handlers" / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str, text: str = README) -> list[str]:
    """Return the Markdown code blocks of *language* in *text*."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path: pathlib.Path) -> pathlib.Path:
    """Clone the last commit. The clone has only the files that git tracks."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    copy = tmp_path / "clone"
    command = [tool("git"), "-c", "safe.directory=*", "clone", "--quiet", "--local", str(ROOT), str(copy)]
    subprocess.run(command, check=True, timeout=60)
    return copy


def test_the_first_command_serves_a_fresh_clone(clone: pathlib.Path) -> None:
    first, *screen = code_blocks("console")[0].splitlines()
    command = first.removeprefix("$ ")
    assert command == "python3 -m httpsock"
    # The option -S hides the packages of this interpreter; port 0 replaces 8000, which may be in use.
    arguments = [sys.executable, "-S", *command.split()[1:], "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(arguments, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        url = run.stdout.readline().decode().strip()
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert answer.status == 200
                assert answer.read() == (clone / "www" / "index.html").read_bytes()
            seek = urllib.request.Request(url + "clock.webm", headers={"Range": "bytes=0-"})
            with urllib.request.urlopen(seek, timeout=60) as answer:
                assert len(answer.read()) == (clone / "www" / "clock.webm").stat().st_size
        finally:
            run.send_signal(signal.SIGTERM)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 0
    printed = [url, *errors.decode().replace(str(clone), "/home/you/httpsock").splitlines()]
    # These parts vary: the URL of IPv6, times, ports, and the size of the page.
    varying = r" and http://\[::1\]:\d+/|[\d:]+(?= 127)|(?<=:)\d+(?=/)|(?<= 200 )\d+|[\d.]+(?= ms)"
    assert [re.sub(varying, "", line) for line in printed] == [re.sub(varying, "", line) for line in screen]


@pytest.mark.slow
def test_the_test_command_passes_in_a_fresh_clone(clone: pathlib.Path) -> None:
    command = next(block for block in code_blocks("sh") if "pytest" in block)
    # Run only one file of tests: the whole suite would run this test again and again.
    environment = os.environ | {"PYTEST_ADDOPTS": "tests/http/test_ranges.py", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for name in [name for name in environment if name.startswith(("COV_", "COVERAGE", "VIRTUAL_ENV"))]:
        del environment[name]
    python = pathlib.Path(shutil.which("python3", path=os.path.dirname(sys.executable)) or sys.executable)
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], check=False, cwd=clone, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


def test_the_example_of_the_client_runs() -> None:
    example = next(block for block in code_blocks("python") if "Client" in block)
    with httpsock.Server(ROOT / "www", port=0) as server:
        command = [sys.executable, "-W", "error", "-c", example.replace("http://127.0.0.1:8000/", server.url)]
        done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    hello = (ROOT / "www" / "hello.txt").read_text()
    assert (done.stdout, done.stderr) == (f"200 text/plain; charset=utf-8\n{hello}\n", "")


def test_the_example_of_the_client_in_a_program_runs() -> None:
    (example,) = code_blocks("python", OF_CLIENT)
    with httpsock.Server(ROOT / "www", port=0) as server:
        command = [sys.executable, "-W", "error", "-c", example.replace("http://127.0.0.1:8000/", server.url)]
        done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout.splitlines()[:2], done.stderr) == (["206 bytes 0-4/109", "b'Hello'"], "")
    assert done.stdout.splitlines()[2].startswith("405 Method Not Allowed b'405 Method Not Allowed: ")


def test_the_errors_of_the_client_in_readme_exist() -> None:
    section = OF_CLIENT.partition("| error |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+Error)`", section)
    assert sorted(named) == ["IncompleteError", "RedirectError", "ResponseError", "UrlError"]
    assert all(issubclass(getattr(httpsock, name), Exception) for name in named)
    assert issubclass(httpsock.IncompleteError, httpsock.ResponseError)


def test_the_client_prints_the_output_in_readme(capfd: pytest.CaptureFixture[str]) -> None:
    """Only times, ports and dates may differ."""
    command, *printed = code_blocks("console", OF_CLIENT)[0].splitlines()
    with httpsock.Server(ROOT / "www", port=0) as server:
        assert main(command.replace("http://127.0.0.1:8000/", server.url).split()[2:]) == 0
        out, error = capfd.readouterr()
        actual = error.replace(f"127.0.0.1:{server.port}", "127.0.0.1:8000")
    assert out == (ROOT / "www" / "hello.txt").read_text()
    expected = "\n".join([*printed, ""]).replace(out, "")
    # The head may be shorter, since the port may have fewer digits.
    same = [re.sub(r"(send|recv) \d+", r"\1 N", alike(trace)) for trace in (actual, expected)]
    assert same[0] == same[1]


def test_readme_lists_all_options_and_exit_codes_of_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["get", "--help"])
    for option in set(re.findall(r"(?<![\w-])--?[a-zA-Z]+", capsys.readouterr().out)) - {"-h", "--help"}:
        if option not in ("--include", "--head", "--verbose", "--output", "--continue"):
            assert f"`{option}" in OF_CLIENT, option
    for code in (2, 6, 7, 8, 18, 22, 23, 28, 47, 130):
        assert re.search(rf"\b{code}\b", OF_CLIENT), code


def test_readme_lists_all_options_of_find(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["find", "--help"])
    for option in set(re.findall(r"(?<![\w-])--[a-z]+", capsys.readouterr().out)) - {"--help"}:
        assert f"`{option}" in OF_DISCOVERY or option in ("--announce", "--verbose"), option


def test_the_trace_in_readme_is_an_excerpt_of_the_whole_one() -> None:
    """A line "..." in the excerpt stands for any number of lines."""
    command, *lines = next(block for block in code_blocks("console") if "--trace" in block).splitlines()
    whole_command, *whole = code_blocks("console", OF_TRACING)[0].splitlines()
    assert command == whole_command
    pattern = "\n".join(r"(?s:.*)" if line.strip() == "..." else re.escape(line) for line in lines)
    assert re.fullmatch(pattern, "\n".join(whole))


def test_the_example_of_a_traced_server_in_a_program_runs() -> None:
    (example,) = code_blocks("python", OF_TRACING)
    command = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "parse GET /hello.txt\n      > GET /hello.txt HTTP/1.1\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_results_have_a_command_each_with_as_many_figures_as_it_measures() -> None:
    section = README.partition("## Results")[2].partition("\n## ")[0]
    _, _, *rows = re.findall(r"(?m)^\|.*\|$", section)
    for command in re.findall(r"`python3 -m tests\.benchmarks ([^`]*)`", section):
        options = benchmark_arguments("").parse_args(shlex.split(command))
        for _ in options.only:
            assert rows.pop(0).count(" µs ") == len(options.servers)
    assert rows == []


def test_the_example_of_embedding_runs() -> None:
    example = next(block for block in code_blocks("python") if "urllib" in block)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == (ROOT / "www" / "hello.txt").read_text() + "\n"
    assert done.stderr == ""


def run_definitions(example: str, start: str) -> dict[str, Any]:
    """Run *example* without its last line *start*, which would start a server. Return the names that it defines."""
    definitions, found, rest = example.partition(start)
    assert (bool(found), rest.strip()) == (True, "")
    names: dict[str, Any] = {}
    exec(compile(definitions, "README.md", "exec"), names)
    return names


def test_the_example_of_a_handler_runs() -> None:
    example = next(block for block in code_blocks("python", OF_HANDLERS) if "handler=" in block)
    names = run_definitions(example, "httpsock.Server(handler=greet).serve()")
    with httpsock.Server(port=0, handler=names["greet"]) as server:
        status, fields, content, connected = fetch(server.port, get("/you"))
        connected.close()
    assert (status, fields["content-type"], content) == (200, "text/plain", b"Hello, /you\n")


def test_the_example_of_a_middleware_runs() -> None:
    example = next(block for block in code_blocks("python", OF_HANDLERS) if "middleware=" in block)
    names = run_definitions(example, 'httpsock.Server("www", middleware=[api]).serve()')
    with httpsock.Server(ROOT / "www", port=0, middleware=[names["api"]]) as server:

        def ask(method: str, path: str, content: bytes = b"") -> tuple[int, bytes]:
            length = f"Content-Length: {len(content)}"
            octets = get(path, length, method=method) + content
            status, _, answered, connected = fetch(server.port, octets)
            connected.close()
            return status, answered

        assert ask("POST", "/api/notes", b'"buy milk"') == (200, b'["buy milk"]')
        assert ask("POST", "/api/notes", b"buy milk") == (400, b"the content is not JSON\n")
        assert ask("GET", "/api/notes") == (200, b'["buy milk"]')
        assert ask("DELETE", "/api/notes") == (405, b"")
        assert ask("GET", "/hello.txt") == (200, (ROOT / "www" / "hello.txt").read_bytes())


def test_the_example_of_streams_uploads_and_calls_that_block_runs() -> None:
    example = next(block for block in code_blocks("python", OF_HANDLERS) if "Stream" in block)
    start = "httpsock.Server(handler=handler, limits=limits, timeouts=httpsock.Timeouts(content=600)).serve()"
    names = run_definitions(example, start)
    upload = bytes(2 * 2**20)
    with (
        httpsock.Server(port=0, handler=names["handler"], limits=names["limits"]) as server,
        httpsock.Client() as client,
    ):
        with client.request("POST", server.url + "upload", content=upload) as response:
            assert (response.status, response.read()) == (200, b"%d bytes\n" % len(upload))
        assert [client.get(server.url + path).status for path in ("slow", "other")] == [204, 404]
        with client.get(server.url + "clock") as response:
            assert response.field("Content-Type") == "text/event-stream"
            assert re.fullmatch(rb"data: \w{3} .*\n\n", next(iter(response)))


def test_the_example_of_a_field_a_refusal_and_a_log_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = next(block for block in code_blocks("python", OF_HANDLERS) if "add_field" in block)
    names = run_definitions(example, 'httpsock.Server("www", middleware=[add_field, refuse], log=log).serve()')
    middleware = [names["add_field"], names["refuse"]]
    with (
        httpsock.Server(ROOT / "www", port=0, middleware=middleware, log=names["log"]) as server,
        httpsock.Client() as client,
    ):
        url = server.url + "hello.txt"
        with client.get(url) as response:
            assert (response.status, response.field("X-Frame-Options")) == (200, "DENY")
            assert response.read() == (ROOT / "www" / "hello.txt").read_bytes()
        with client.get(url, fields={"Origin": "http://elsewhere"}) as response:
            assert (response.status, response.field("X-Frame-Options")) == (403, "DENY")
        server.wait_for_log()
    assert "127.0.0.1 b'GET /hello.txt HTTP/1.1' 200 109" in capsys.readouterr().out


def test_the_parts_of_requests_and_contexts_that_readme_lists_exist() -> None:
    section = OF_HANDLERS.partition("## What it gets and returns")[2].partition("\n## ")[0]
    of_request, of_context = re.findall(r"(?ms)^\| of the \w+ \| \|$(.*?)^$", section)
    for table, kind in ((of_request, httpsock.Request), (of_context, httpsock.Context)):
        rows = re.findall(r"(?m)^\| (`.*?) \|", table)
        names = [name for row in rows for name in re.findall(r"`(?:yield from context\.)?(\w+)", row)]
        assert len(names) >= 6
        assert [name for name in names if not hasattr(kind, name)] == []


@pytest.mark.tools
def test_the_commands_to_try_work_as_readme_says(tmp_path: pathlib.Path) -> None:
    tool("curl")
    block = next(block for block in code_blocks("sh") if "multipart/byteranges" in block)
    outputs = []
    with httpsock.Server(ROOT / "www", port=0) as server:
        for line in block.splitlines():
            if line.startswith("curl"):
                command = line.replace("http://127.0.0.1:8000/", server.url).replace("curl ", "curl -s ", 1)
                done = subprocess.run(
                    ["bash", "-c", command], check=False, cwd=tmp_path, capture_output=True, timeout=60
                )
                assert done.returncode == 0, command
                outputs.append(done.stdout)
    whole, five, two, resumed, listing, outside = outputs
    hello = (ROOT / "www" / "hello.txt").read_bytes()
    assert whole.endswith(b"\r\n\r\n" + hello)
    assert five == hello[:5]
    assert b"Content-Type: multipart/byteranges" in two
    assert resumed == b""
    assert (tmp_path / "clock.webm").read_bytes() == (ROOT / "www" / "clock.webm").read_bytes()
    assert "colours.csv" in [entry["name"] for entry in json.loads(listing)]
    assert outside.startswith(b"HTTP/1.1 400")
    assert b"dot" in outside or b'".."' in outside


def test_the_commands_of_the_password_admit_only_its_user(tmp_path: pathlib.Path) -> None:
    """The first command makes a hash of the password. The second command serves with this hash."""
    (block,) = code_blocks("sh", OF_HANDLERS)
    program = f"{shlex.quote(sys.executable)} -m httpsock "
    make, serve = [program + line.removeprefix("httpsock ") for line in block.splitlines()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(["bash", "-c", make], check=True, cwd=tmp_path, env=environment, input=b"sesame\n", timeout=60)
    arguments = [*shlex.split(serve), "--port", "0", "--quiet"]
    with subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        port = int(run.stdout.readline().decode().rpartition(":")[2].strip("/\n"))
        statuses = []
        try:
            for password in (b"sesame", b"guess"):
                credentials = base64.b64encode(b"alice:" + password).decode()
                status, _, _, connected = fetch(port, get("/", f"Authorization: Basic {credentials}"))
                connected.close()
                statuses.append(status)
        finally:
            run.send_signal(signal.SIGTERM)
    assert statuses == [200, 401]
    assert f"{_MAX_WAITING} more wait" in OF_HANDLERS


def test_the_list_of_wings_is_complete() -> None:
    listed = set(re.findall(r"(?m)^\| \[?`(\w+)/`(?:\]\(\w+/README\.md\))? \|", TOUR))
    assert listed == {path.parent.name for path in (ROOT / "httpsock").glob("*/__init__.py")}


def test_the_table_of_limits_has_the_real_limits() -> None:
    limits, timeouts = httpsock.Limits(), httpsock.Timeouts()
    table = TOUR.partition("## Limits")[2].partition("\n## ")[0]
    content = limits.content
    for row in (
        f"| request line | {limits.request_line:,} bytes | 414",
        f"| head | {limits.head // 1024} KiB, {limits.field_lines} field lines | 431 |",
        f"| empty lines before a request | {limits.empty_lines} | 400 |",
        f"| request content, which is read and discarded | {content.content // 2**20} MiB | 413",
        f"| {content.chunk_line // 1024} KiB; {content.chunk_extensions // 1024} KiB; {content.trailers // 1024} KiB |",
        f"of the content; trailer lines | {content.chunk_framing // 1024} KiB; {content.trailer_lines} | 400; 431 |",
        f"| ranges in one request | {MAX_RANGES}, joined",
        (
            f"| {_CACHE_OCTETS // 2**20} MiB; {_MAX_LOOKUPS:,}; {_MAX_PARTS:,} of each kind, "
            f"of heads up to {MAX_KNOWN_OCTETS // 1024} KiB |"
        ),
        f"once ticks take more than {1000 * _LONG_SECONDS:g} ms | {1000 * _SHARE_SECONDS:g} ms to receive, ",
        f"| a head, from its first byte | {timeouts.head:g} s | 408 |",
        f"| between two requests | {timeouts.idle:g} s |",
        f"| request content | {timeouts.stall:g} s between two reads, {timeouts.content:g} s in all | 408 |",
        (
            f"| a response | {timeouts.slow:g} s; each {timeouts.min_rate:g} bytes that the client's system takes add "
            f"a second, up to {timeouts.slow:g} s from then; no limit in all |"
        ),
        f"| after the last response | {timeouts.linger:g} s between two reads, {timeouts.linger_total:g} s in all |",
        (
            f"| half of the free descriptors but {_RESERVED_DESCRIPTORS}, of at most {MAX_DESCRIPTORS:,} "
            f"(a quarter of fewer than {2 * _RESERVED_DESCRIPTORS}) |"
        ),
        f"after {_HEAD_SECONDS:g} s, heads that are incomplete get 408, the oldest first; then streams",
        f"| accept queue | {BACKLOG:,} |",
        f"listings of up to {UNCOUNTED} names do not count | {_MAX_LISTED:,}, and one listing of any length",
        (
            f"| listings in the cache, each of up to {_MAX_KNOWN_ENTRIES:,} names, used while the folder's entries are "
            f"the same | {_MAX_KNOWN_OCTETS // 2**20} MiB in all |"
        ),
        (
            f"| small files in the cache | {_CACHE_OCTETS // 2**20} MiB in all, "
            f"{SMALL_FILE // 1024} KiB each, for a second"
        ),
        f"| a file without a length, as in `/proc` | {SMALL_FILE // 1024} KiB | 500 |",
        f"| calls that block (`in_thread`), in threads | {_MAX_THREADS}, of one network {_MAX_THREADS // 2};",
        f"| passwords that are checked; that wait | {_MAX_CHECKS}, of one network {_MAX_CHECKS // 2}; {_MAX_WAITING} ",
        f"| log that waits to be written | {_MAX_QUEUED // 2**20} MiB |",
        f"| events that the inspector remembers | {_MAX_EVENTS:,}, {_MAX_OCTETS // 2**20} MiB |",
    ):
        assert row in table, row


def functions_of(file: pathlib.Path) -> set[str]:
    """Return the names of all functions and methods in *file*."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_stop_of_the_tour_names_functions_that_exist() -> None:
    tour = TOUR.partition("## The tour")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| (\d+) \| `([\w/]+\.py)`: `(\w+)\(\)` \| (.*) \|$", tour)
    assert [int(number) for number, *_ in rows] == list(range(1, 13))
    for number, file, function, rest in rows:
        assert function in functions_of(PACKAGE / file), f"stop {number}: {file} has no {function}()"
        assert rest.count(" | ") == 2, f"stop {number}: what comes in, what goes out, where to go next"
    files = {number: file for number, file, *_ in rows}
    for number, file, _, rest in rows:
        docstring = ast.get_docstring(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))) or ""
        for further in re.findall(r"\d+", rest.rpartition(" | ")[2]):
            name = pathlib.Path(files[further]).stem
            assert name in docstring or name.replace("_", " ") in docstring, f"stop {number}: {file} names no {name}"
    there = set.union(*(functions_of(PACKAGE / file) for _, file, _, _ in rows))
    assert set(re.findall(r"`(_\w+)\(\)`", tour)) <= there


def test_a_get_makes_the_stops_of_the_tour_in_their_order(folder: pathlib.Path) -> None:
    """The test leaves out the last stop, the socket's own send(), since this is a C function."""
    stops = re.findall(r"(?m)^\| \d+ \| `([\w/]+\.py)`: `(\w+)\(\)`", TOUR)
    calls: list[tuple[str, str]] = []

    def note(frame: types.FrameType, event: str, _: object) -> None:
        if event == "call":
            calls.append((frame.f_code.co_filename, frame.f_code.co_name))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        with httpsock.Server(folder, hosts=["127.0.0.1"], port=0) as server:
            # A head that another test has sent may be known.
            answer = ask(server.port, "/hello.txt", "Range: bytes=0-4", "X-Sent-By: the tour")
    finally:
        sys.setprofile(None)
        threading.setprofile(None)

    assert answer.text == "Hello"
    first = [calls.index((str(PACKAGE / file), function)) for file, function in stops[:-1]]
    assert first == sorted(first)


def test_each_link_leads_to_a_file_and_to_a_heading_in_it() -> None:
    folders = (PACKAGE, ROOT / "tests", ROOT / "conformance")
    for readme in [ROOT / "README.md", *(file for folder in folders for file in folder.rglob("*.md"))]:
        for target, _, heading in re.findall(r"\]\(([\w./-]+)(#([\w-]+))?\)", readme.read_text(encoding="utf-8")):
            linked = (readme.parent / target).resolve()
            assert linked.exists(), f"{readme}: {target}"
            if heading:
                titles = re.findall(r"(?m)^#+ (.*)$", linked.read_text(encoding="utf-8"))
                assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


class Both:
    """Two servers, ``http.server`` and httpsock, for the same folder. They run until the block ends."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> dict[str, tuple[subprocess.Popen[bytes], int]]:
        return {name: self._start(name) for name in ("http.server", "httpsock")}

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, name: str) -> tuple[subprocess.Popen[bytes], int]:
        command = [sys.executable, "-m", *{"http.server": [name, "0"], "httpsock": [name, "--port", "0"]}[name]]
        run = self._stack.enter_context(
            subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        )
        self._stack.callback(run.kill)
        assert run.stdout is not None
        port = re.search(rb"(?: port |:)(\d+)[ /]", run.stdout.readline())
        assert port
        return run, int(port[1])


@pytest.fixture
def shared(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a folder with a .git, a symlink to a file outside, and a file larger than any buffer."""
    folder = tmp_path / "shared"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text("[core]\n")
    (folder / "hello.txt").write_text("Hello, socket.\n")
    (tmp_path / "outside.txt").write_text("outside\n")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    with (folder / "large.bin").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    return folder


def fetch(port: int, octets: bytes) -> tuple[int, dict[str, str], bytes, socket.socket]:
    """Send *octets* on a new connection. Return the status, fields and content of the response, and the connection."""
    connected = connect(port)
    connected.sendall(octets)
    response = http.client.HTTPResponse(connected)
    response.begin()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read(), connected


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM, and symlinks only for some")
def test_each_row_of_the_comparison_with_http_server_is_true(shared: pathlib.Path) -> None:
    rows = re.findall(r"(?m)^\| (.*) \| (.*) \| (.*) \|$", README.partition("## Why not")[2].partition("\n## ")[0])
    documented = {what: {"http.server": old, "httpsock": ours} for what, old, ours in rows}
    assert len(documented) == 8
    seen: dict[str, dict[str, str]] = {what: {} for what in documented}
    with Both(shared) as servers:
        for name, (run, port) in servers.items():
            for what, value in zip(documented, observe(run, port), strict=True):
                seen[what][name] = value
    assert seen == documented


def observe(run: subprocess.Popen[bytes], port: int) -> Iterator[str]:
    """Try each row of the README's table on one server.

    Yield the results as table cells. The last row stops the server.
    """
    status, fields, content, connected = fetch(port, get("/hello.txt", "Range: bytes=0-4"))
    connected.close()
    yield {b"Hello": f"{status}, five bytes", b"Hello, socket.\n": f"{status}, the whole file"}[content]
    status, _, content, connected = fetch(port, get("/hello.txt", f"If-None-Match: {fields.get('etag', '*')}"))
    connected.close()
    yield f"{status}, all of it again" if content else f"{status}, no content"
    for path in ("/.git/config", "/link.txt"):
        status, _, _, connected = fetch(port, get(path))
        connected.close()
        yield str(status)
    bound = subprocess.run([tool("ss"), "-Hltn", f"sport = :{port}"], check=True, capture_output=True, text=True)
    addresses = {line.split()[3].rpartition(":")[0] for line in bound.stdout.splitlines()}
    yield "loopback" if addresses <= {"127.0.0.1", "[::1]"} else "all addresses"
    status, _, content, connected = fetch(port, b"GET /hello.txt HTTP/1.1\r\nHost : x\r\n\r\n")
    connected.close()
    says_why = b"field line 1" in content and b"RFC 9112" in content
    yield f"{status}, with the line, the reason and the RFC's section" if says_why else str(status)
    _, _, _, connected = fetch(port, get("/hello.txt"))
    with connected, contextlib.suppress(ConnectionError):
        connected.sendall(get("/hello.txt"))
        yield "answered" if connected.recv(1) else "the connection is closed"
    yield from download_while_it_is_terminated(run, port)


def download_while_it_is_terminated(run: subprocess.Popen[bytes], port: int) -> Iterator[str]:
    """Send SIGTERM during a download. Yield in words whether the download finishes."""
    with connect(port) as connected:
        connected.sendall(get("/large.bin"))
        received = len(connected.recv(65536))
        run.send_signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionError):
            while received <= 64 * 1024 * 1024 and (part := connected.recv(1 << 20)):
                received += len(part)
    yield "the download finishes" if received > 64 * 1024 * 1024 else "the download is cut off"
