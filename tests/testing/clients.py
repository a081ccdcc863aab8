"""Test how real clients react to each fault, and print a table for httpsock/testing/README.md.

    python3 -m tests.testing.clients            prints the table
    python3 -m tests.testing.clients --write    also writes it into the README

Each client sends two requests in one session. Only the first response has the fault. If a client is not installed, the
table has no column for it. All clients keep their default time-outs: httpx has 5 seconds, aiohttp has 300, and most
clients have none.
"""

import asyncio
import contextlib
import http.client
import importlib
import importlib.metadata
import pathlib
import platform
import queue
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpsock
from httpsock import TestServer
from httpsock.testing.faults import FAULTS, Stage
from tests.support.arguments import ArgumentParser

README = pathlib.Path(httpsock.__file__).parent / "testing" / "README.md"
BEGIN, END = "<!-- python3 -m tests.testing.clients -->\n", "<!-- end -->\n"
CONTENT = b"0123456789"
# A client that has not returned after this many seconds counts as hanging.
_HANGS_SECONDS = 2.0
# Values for faults that need one; they keep the run short.
_VALUES = {"slow-accept": "=0.1", "latency": "=0.1", "drip": "=2000", "length-long": "=3", "length-short": "=3"}

Get = Callable[[str], bytes]


@contextlib.contextmanager
def _http_client() -> Iterator[Get]:
    connections: list[http.client.HTTPConnection] = []

    def get(url: str) -> bytes:
        host, _, path = url.removeprefix("http://").partition("/")
        if not connections:
            connections.append(http.client.HTTPConnection(host))
        connections[0].request("GET", f"/{path}")
        return connections[0].getresponse().read()

    yield get
    connections[0].close()


@contextlib.contextmanager
def _urllib() -> Iterator[Get]:
    def get(url: str) -> bytes:
        with urllib.request.urlopen(url) as response:
            content: bytes = response.read()
            return content

    yield get


@contextlib.contextmanager
def _requests() -> Iterator[Get]:
    import requests

    with requests.Session() as session:
        yield lambda url: session.get(url).content


@contextlib.contextmanager
def _urllib3() -> Iterator[Get]:
    import urllib3

    with urllib3.PoolManager(retries=False) as pool:
        yield lambda url: pool.request("GET", url).data


@contextlib.contextmanager
def _httpx() -> Iterator[Get]:
    httpx = importlib.import_module("httpx")
    with httpx.Client() as client:
        yield lambda url: client.get(url).content


@contextlib.contextmanager
def _aiohttp() -> Iterator[Get]:
    aiohttp = importlib.import_module("aiohttp")
    with asyncio.Runner() as runner:

        async def opened() -> object:
            return aiohttp.ClientSession()

        async def read(session: "aiohttp.ClientSession", url: str) -> bytes:  # type: ignore[name-defined]
            async with session.get(url) as response:
                content: bytes = await response.read()
                return content

        session = runner.run(opened())
        yield lambda url: runner.run(read(session, url))
        runner.run(session.close())  # type: ignore[attr-defined]


@contextlib.contextmanager
def _own() -> Iterator[Get]:
    with httpsock.Client() as client:

        def get(url: str) -> bytes:
            with client.get(url) as response:
                return b"".join(response)

        yield get


CLIENTS: dict[str, Callable[[], contextlib.AbstractContextManager[Get]]] = {
    "http.client": _http_client,
    "urllib": _urllib,
    "urllib3": _urllib3,
    "requests": _requests,
    "httpx": _httpx,
    "aiohttp": _aiohttp,
    "httpsock": _own,
}


def outcome(client: str, fault: str) -> str:
    """Let *client* send requests to a server with *fault*. Return a description of the result."""
    with TestServer() as server:
        server.respond(None, 200, {}, CONTENT)
        path = "/first:" if FAULTS[fault].stage is Stage.RESPONSE else ""
        server.fault(f"{path}{fault}{_VALUES.get(fault, '')}", times=1)
        urls = [server.url_for("/first"), server.url_for("/next")]
        if FAULTS[fault].stage is Stage.PORT:
            # It is a matter of time when the next one is accepted.
            del urls[1]
        if client == "curl":
            return _in_words(server, *_ask_with_curl(urls))
        queued: queue.SimpleQueue[str] = queue.SimpleQueue()
        thread = threading.Thread(target=_ask, args=(CLIENTS[client], urls, queued.put), daemon=True)
        thread.start()
        words = [_next_word(queued)]
        if words[0] != "hangs" and len(urls) > 1:
            words.append(_next_word(queued))
        result = _in_words(server, *words)
    # A client that hangs ends with the server.
    thread.join(10)
    return result


def _next_word(queued: "queue.SimpleQueue[str]") -> str:
    try:
        return queued.get(timeout=_HANGS_SECONDS)
    except queue.Empty:
        return "hangs"


def _ask(
    open_client: Callable[[], contextlib.AbstractContextManager[Get]], urls: list[str], put: Callable[[str], object]
) -> None:
    # After a failure, closing the client may fail, too.
    with contextlib.suppress(Exception), open_client() as get:
        for url in urls:
            try:
                put(_judged(get(url)))
            except Exception as error:
                put(f"`{type(error).__name__}`")


def _judged(content: bytes) -> str:
    return "right" if content == CONTENT else f"believes {len(content)} of {len(CONTENT)} bytes"


def _ask_with_curl(urls: list[str]) -> list[str]:
    command = ["curl", "-s", "-w", "\n%{exitcode}\n", *urls]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_HANGS_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return ["hangs"]
    lines = done.stdout.split(b"\n")
    pairs = zip(lines[::2], lines[1::2], strict=False)
    return [_judged(content) if code == b"0" else f"exit code {code.decode()}" for content, code in pairs]


def _in_words(server: TestServer, first: str, then: str = "right") -> str:
    asked = [request for request in server.requests if request.target == "/first"]
    asked_again = len(asked) > 1 or (bool(asked) and asked[0].connection.number > 1)
    return first + (", asks again" if asked_again else "") + ("" if then == "right" else f"; next: {then}")


def version(client: str) -> str:
    """Return the version of *client*. If it is not installed, return an empty string."""
    if client in ("http.client", "urllib"):
        return platform.python_version()
    if client == "httpsock":
        return httpsock.__version__
    if client == "curl":
        if not shutil.which("curl"):
            return ""
        return subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    try:
        return importlib.metadata.version(client)
    except importlib.metadata.PackageNotFoundError:
        return ""


def table() -> str:
    """Run all clients with all faults, and return the table in Markdown. A row is a fault, a column is a client."""
    clients = {client: version(client) for client in ("curl", *CLIENTS) if version(client)}
    for client in clients:
        # Load it now: the first fault would seem to hang.
        outcome(client, "drip")
    with ThreadPoolExecutor(len(clients)) as pool:
        columns = list(pool.map(lambda client: [outcome(client, fault) for fault in FAULTS], clients))
    head = ["fault", *(f"{client} {number}" for client, number in clients.items())]
    rows = [
        head,
        ["---"] * len(head),
        *([f"`{fault}`", *cells] for fault, *cells in zip(FAULTS, *columns, strict=True)),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Print the table. With --write, also write it into the README."""
    parser = ArgumentParser("tests.testing.clients", __doc__)
    parser.add_argument("--write", action="store_true", help="also write the table into the README")
    options = parser.parse_args()
    made = table()
    sys.stdout.write(made)
    if options.write:
        text = README.read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        README.write_text(f"{before}{BEGIN}{made}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
