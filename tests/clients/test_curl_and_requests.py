"""Everyday uses of curl and requests against the real server."""

import gzip
import hashlib
import json
import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy

import pytest
import requests

import httpsock
from httpsock.server.access_log import Exchange
from tests.support import TIMEOUT_SECONDS, connect
from tests.support.folder import LONG_AGO
from tests.support.tools import run, tool

pytestmark = pytest.mark.tools

Curl = Callable[..., subprocess.CompletedProcess[bytes]]

# More octets than the buffers of a connection hold, so that both ends have to wait.
MANY_OCTETS = 24 * 1024 * 1024


@pytest.fixture
def curl(tmp_path: pathlib.Path) -> Curl:
    """Return a function that runs curl in the folder *home*. curl ignores the user's settings and proxies."""
    arguments = [tool("curl"), "-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(TIMEOUT_SECONDS)]
    home = tmp_path / "home"
    home.mkdir()

    def run_curl(*more: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return run([*arguments, *more], home, given)

    return run_curl


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the folder in which curl runs."""
    return tmp_path / "home"


def curl_speaks(feature: str) -> bool:
    """Return whether the installed curl supports *feature*."""
    done = subprocess.run([tool("curl"), "--version"], capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
    return feature.encode() in done.stdout.split()


def status_of(answered: subprocess.CompletedProcess[bytes]) -> int:
    """Return the status from the output of ``curl --include`` or ``curl --head``."""
    assert answered.returncode == 0, answered.stderr
    return int(answered.stdout.split(b" ", 2)[1])


# --- curl: ranges and resumed downloads -----------------------------------------------------------------------------


def test_curl_resumes_a_broken_download(curl: Curl, home: pathlib.Path, server: httpsock.Server) -> None:
    whole = bytes(range(256)) * 1024
    (home / "part").write_bytes(whole[:100_000])
    done = curl("-C", "-", "-o", "part", "-D", "head", server.url + "large.bin")
    assert done.returncode == 0, done.stderr
    head = (home / "head").read_bytes()
    assert head.startswith(b"HTTP/1.1 206 Partial Content\r\n")
    assert b"\r\nContent-Range: bytes 100000-262143/262144\r\n" in head
    assert (home / "part").read_bytes() == whole


def test_curl_knows_that_a_download_is_complete(curl: Curl, home: pathlib.Path, server: httpsock.Server) -> None:
    (home / "part").write_bytes(b"abcdefghijklmnopqrstuvwxyz")
    # Some versions of curl report success after this response, others a failure; all leave the file unchanged.
    curl("-C", "-", "-o", "part", "-D", "head", server.url + "alphabet.txt")
    head = (home / "head").read_bytes()
    assert head.startswith(b"HTTP/1.1 416 Range Not Satisfiable\r\n"), "R133"
    assert b"\r\nContent-Range: bytes */26\r\n" in head
    assert (home / "part").read_bytes() == b"abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        pytest.param("0-4", b"abcde", id="first to last"),
        pytest.param("23-", b"xyz", id="an open end runs to the last octet"),
        pytest.param("-2", b"yz", id="a suffix"),
        pytest.param("20-900", b"uvwxyz", id="a last position past the end is clipped"),
    ],
)
def test_curl_gets_one_range(curl: Curl, server: httpsock.Server, ranges: str, expected: bytes) -> None:
    done = curl("-r", ranges, "-w", " %{http_code}", server.url + "alphabet.txt")
    assert done.stdout == expected + b" 206"


def test_curl_gets_several_ranges_as_parts(curl: Curl, server: httpsock.Server) -> None:
    done = curl("-i", "-r", "0-1,4-5", server.url + "alphabet.txt")
    assert status_of(done) == 206
    _, _, answer = done.stdout.partition(b"\r\n")
    message = message_from_bytes(answer, policy=policy.HTTP)
    assert message.get_content_type() == "multipart/byteranges"
    assert message["Content-Range"] is None, "R135: Content-Range stands in the parts and not outside"
    parts = [(part["Content-Range"], part.get_content()) for part in message.iter_parts()]
    assert parts == [("bytes 0-1/26", "ab"), ("bytes 4-5/26", "ef")]


# --- curl: methods and versions -------------------------------------------------------------------------------------


def test_curl_gets_only_the_head(curl: Curl, server: httpsock.Server) -> None:
    done = curl("-I", server.url + "alphabet.txt")
    assert status_of(done) == 200
    assert b"\r\nContent-Length: 26\r\n" in done.stdout
    assert done.stdout.endswith(b"\r\n\r\n"), "R101: HEAD has no content"


def test_curl_gets_501_for_an_unknown_method(curl: Curl, server: httpsock.Server) -> None:
    done = curl("-i", "-X", "FOO", server.url)
    assert status_of(done) == 501, "R099"
    assert b'the method "FOO" is not supported' in done.stdout


def test_curl_gets_the_allowed_methods(curl: Curl, server: httpsock.Server) -> None:
    done = curl("-i", "-X", "DELETE", server.url + "hello.txt")
    assert status_of(done) == 405, "R099"
    assert b"\r\nAllow: GET, HEAD, OPTIONS\r\n" in done.stdout


def test_curl_with_http_1_0_is_answered_and_its_connection_closed(curl: Curl, server: httpsock.Server) -> None:
    done = curl("-i", "--http1.0", server.url + "hello.txt")
    assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n"), "R012: the highest version conformed to"
    assert b"\r\nConnection: close\r\n" in done.stdout
    assert done.stdout.endswith(b"\r\n\r\nHello, socket.\n")


def test_curl_with_http_2_prior_knowledge_gets_an_error(curl: Curl, folder: pathlib.Path) -> None:
    if not curl_speaks("HTTP2"):
        pytest.skip("this curl speaks no HTTP/2")
    log: list[Exchange] = []
    with httpsock.Server(folder, port=0, log=log.extend) as server:
        done = curl("--http2-prior-knowledge", server.url)
    assert done.returncode not in (0, 28), "curl reports an error, and not that the time is over"
    assert done.stderr.startswith(b"curl: ")
    assert [(exchange.request_line, exchange.status) for exchange in log] == [(b"PRI * HTTP/2.0", 505)], "R013"


def test_curl_with_a_proxy_protocol_header_gets_400(curl: Curl, server: httpsock.Server) -> None:
    done = curl("-i", "--haproxy-protocol", server.url)
    assert status_of(done) == 400, "R096: other protocols on the port do no harm"
    assert b"RFC 9112" in done.stdout


def test_curl_fetches_several_files_over_one_connection(curl: Curl, server: httpsock.Server) -> None:
    urls = [server.url + name for name in ("hello.txt", "nothing", "sub", "alphabet.txt")]
    wanted = [argument for url in urls for argument in ("-o", os.devnull, url)]
    done = curl("-w", "%{http_code} %{num_connects}\n", *wanted)
    assert done.stdout.splitlines() == [b"200 1", b"404 0", b"301 0", b"200 0"], "R083"


def test_curl_connects_over_ipv6(curl: Curl, folder: pathlib.Path) -> None:
    try:
        server = httpsock.Server(folder, port=0, hosts=["::1"])
    except OSError as error:
        pytest.skip(f"this system has no IPv6: {error}")
    with server:
        assert server.url == f"http://[::1]:{server.port}/"
        assert curl("--globoff", server.url + "hello.txt").stdout == b"Hello, socket.\n"


# --- curl: uploads, which are refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="waiting for 100 (Continue) first"),
        pytest.param(["-H", "Expect:"], id="sending at once"),
    ],
)
def test_curl_gets_the_answer_to_a_large_upload(
    curl: Curl, home: pathlib.Path, server: httpsock.Server, options: list[str]
) -> None:
    with (home / "large").open("wb") as large:
        large.truncate(4 * MANY_OCTETS)
    done = curl("-i", "-T", "large", *options, server.url + "large")
    assert done.returncode == 0, "R091: a reset would end curl with 55 or 56 and lose the answer"
    assert status_of(done) == 405
    assert b"PUT is not allowed" in done.stdout


def test_curl_gets_the_answer_to_a_chunked_upload(curl: Curl, server: httpsock.Server) -> None:
    done = curl("-i", "-T", "-", server.url + "new.txt", given=b"some content\n" * 1000)
    assert status_of(done) == 405, "R055: chunked is understood"
    assert b"\r\nAllow: GET, HEAD, OPTIONS\r\n" in done.stdout


# --- curl: caches and codings ---------------------------------------------------------------------------------------


def test_curl_stores_an_entity_tag_and_revalidates_with_it(
    curl: Curl, home: pathlib.Path, server: httpsock.Server
) -> None:
    url = server.url + "hello.txt"
    assert curl("--etag-save", "etag", url).stdout == b"Hello, socket.\n"
    assert (home / "etag").read_bytes().startswith(b'"')
    done = curl("-i", "--etag-compare", "etag", url)
    assert status_of(done) == 304, "R117"
    assert done.stdout.endswith(b"\r\n\r\n"), "R126: 304 has no content"


def test_curl_gets_the_file_again_when_its_entity_tag_has_changed(
    curl: Curl, folder: pathlib.Path, server: httpsock.Server
) -> None:
    url = server.url + "hello.txt"
    curl("--etag-save", "etag", url)
    (folder / "hello.txt").write_bytes(b"Hello again.\n")
    assert curl("--etag-compare", "etag", url).stdout == b"Hello again.\n"


@pytest.mark.parametrize(
    ("date", "status"),
    [
        pytest.param("Tue, 14 Nov 2023 22:13:20 GMT", 304, id="R119: the date is that of the file"),
        pytest.param("Tue, 14 Nov 2023 22:13:19 GMT", 200, id="R119: modified since the second before"),
    ],
)
def test_curl_gets_a_file_only_if_it_was_modified_since_a_date(
    curl: Curl, server: httpsock.Server, date: str, status: int
) -> None:
    assert status_of(curl("-i", "-z", date, server.url + "hello.txt")) == status


def test_curl_gets_the_compressed_sibling_and_decodes_it(
    curl: Curl, folder: pathlib.Path, server: httpsock.Server
) -> None:
    (folder / "alphabet.txt.gz").write_bytes(gzip.compress(b"abcdefghijklmnopqrstuvwxyz"))
    os.utime(folder / "alphabet.txt.gz", (LONG_AGO, LONG_AGO))
    done = curl("-i", "--compressed", server.url + "alphabet.txt")
    assert b"\r\nContent-Encoding: gzip\r\n" in done.stdout
    assert b"\r\nVary: Accept-Encoding\r\n" in done.stdout, "R111"
    assert done.stdout.endswith(b"\r\n\r\nabcdefghijklmnopqrstuvwxyz")


def test_curl_gets_a_listing_as_json(curl: Curl, server: httpsock.Server) -> None:
    listed = json.loads(curl("-H", "Accept: application/json", server.url).stdout)
    assert [(entry["name"], entry["type"], entry["size"]) for entry in listed] == [
        ("sub", "folder", None),
        ("alphabet.txt", "file", 26),
        ("empty.txt", "file", 0),
        ("hello.txt", "file", 15),
        ("large.bin", "file", 262144),
    ]


# --- curl: hostile paths --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("%00", "path segment 1 has a NUL (%00)", id="R139: a NUL"),
        pytest.param("../x", 'path segment 1 is ".."', id="R138: out of the folder"),
        pytest.param("sub/..%2f..%2fetc/passwd", 'path segment 3 is ".."', id="R146: encoded"),
    ],
)
def test_curl_gets_the_error_of_a_path(curl: Curl, server: httpsock.Server, path: str, reason: str) -> None:
    done = curl("-i", "--path-as-is", server.url + path)
    assert status_of(done) == 400
    assert reason in done.stdout.decode()
    assert "(RFC 3986 §" in done.stdout.decode()


def test_garbage_gets_a_status_line(server: httpsock.Server) -> None:
    # A response without a status line would be HTTP/0.9, which curl refuses.
    with connect(server.port) as client:
        client.sendall(b"hello?\n\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 Bad Request\r\n"), "R006"


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Make a session of the library requests. It ignores the user's settings and proxies."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def fetch(session: requests.Session, url: str, **field_lines: str) -> requests.Response:
    """Send a GET with the fields *field_lines*. An underscore in a field name becomes a hyphen."""
    fields = {name.replace("_", "-"): value for name, value in field_lines.items()}
    return session.get(url, headers=fields, timeout=TIMEOUT_SECONDS)


def test_requests_stays_on_one_connection(session: requests.Session, server: httpsock.Server) -> None:
    for path in ("hello.txt", "nothing", "sub/", "empty.txt", "large.bin"):
        fetch(session, server.url + path)
    adapter = session.get_adapter(server.url)
    assert isinstance(adapter, requests.adapters.HTTPAdapter)
    pools = adapter.poolmanager.pools
    (key,) = pools.keys()
    pool = pools[key]
    assert (pool.num_requests, pool.num_connections) == (5, 1), "R082, R083"


def test_requests_streams_a_large_file_whole(
    session: requests.Session, folder: pathlib.Path, server: httpsock.Server
) -> None:
    expected = hashlib.sha256()
    with (folder / "film.bin").open("wb") as film:
        for part in range(MANY_OCTETS // 65536):
            octets = part.to_bytes(4, "big") * 16384
            expected.update(octets)
            film.write(octets)
    received = hashlib.sha256()
    with session.get(server.url + "film.bin", stream=True, timeout=TIMEOUT_SECONDS) as response:
        assert response.headers["Content-Length"] == str(MANY_OCTETS)
        for part in response.iter_content(100_000):
            received.update(part)
    assert received.hexdigest() == expected.hexdigest(), "R095"


def test_requests_may_close_in_the_middle_of_a_stream(
    session: requests.Session, folder: pathlib.Path, server: httpsock.Server
) -> None:
    with (folder / "film.bin").open("wb") as film:
        film.truncate(MANY_OCTETS)
    with session.get(server.url + "film.bin", stream=True, timeout=TIMEOUT_SECONDS) as response:
        assert next(response.iter_content(1000)) == bytes(1000)
    assert fetch(session, server.url + "hello.txt").text == "Hello, socket.\n", "R093: others are served on"


def test_requests_gets_the_same_fields_with_head(session: requests.Session, server: httpsock.Server) -> None:
    url = server.url + "alphabet.txt"
    whole = fetch(session, url)
    head = session.head(url, timeout=TIMEOUT_SECONDS)
    assert head.content == b""
    # The two dates may differ by a second.
    assert {**head.headers, "Date": ""} == {**whole.headers, "Date": ""}, "R102, R103"


@pytest.mark.parametrize(
    ("path", "lands_on"),
    [
        pytest.param("sub", "sub/", id="R142: a folder without its slash"),
        pytest.param("sub?a=1&b=%20c", "sub/?a=1&b=%20c", id="R142: the query is kept"),
    ],
)
def test_requests_is_redirected_to_a_folder(
    session: requests.Session, server: httpsock.Server, path: str, lands_on: str
) -> None:
    response = fetch(session, server.url + path)
    assert [step.status_code for step in response.history] == [301]
    assert response.history[0].headers["Location"] == lands_on
    assert response.status_code == 200
    assert response.text == "<!DOCTYPE html><title>sub</title>\n"


def test_requests_gets_405_for_a_post_and_reuses_the_connection(
    session: requests.Session, server: httpsock.Server
) -> None:
    response = session.post(server.url + "hello.txt", data={"a": "b" * 10_000}, timeout=TIMEOUT_SECONDS)
    assert response.status_code == 405, "R099"
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS", "R100"
    assert "POST is not allowed" in response.text
    assert fetch(session, server.url + "hello.txt").status_code == 200, "R054: its content is not taken for a request"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("grüße, 世界.txt", id="letters beyond ASCII"),
        pytest.param("a name with spaces.txt", id="spaces"),
        pytest.param("100% #1?.txt", id="characters that a reference must escape"),
        pytest.param("http:x.txt", id="a name like a URL with a scheme"),
        pytest.param("<b>&amp;'\".txt", id="a name like markup"),
    ],
)
def test_requests_reaches_a_name_through_the_listing(
    session: requests.Session, folder: pathlib.Path, server: httpsock.Server, name: str
) -> None:
    (folder / "names").mkdir()
    (folder / "names" / name).write_text(name, encoding="utf-8")
    url = server.url + "names/"
    (entry,) = fetch(session, url, Accept="application/json").json()
    assert entry["name"] == name
    response = fetch(session, requests.compat.urljoin(url, entry["href"]))
    assert response.content.decode("utf-8") == name, "R140"


def test_requests_gets_a_range(session: requests.Session, server: httpsock.Server) -> None:
    response = fetch(session, server.url + "alphabet.txt", Range="bytes=1-3")
    assert (response.status_code, response.content) == (206, b"bcd")
    assert response.headers["Content-Range"] == "bytes 1-3/26", "R128"


def test_requests_resumes_with_a_range_only_while_the_file_is_unchanged(
    session: requests.Session, folder: pathlib.Path, server: httpsock.Server
) -> None:
    url = server.url + "alphabet.txt"
    etag = fetch(session, url).headers["ETag"]
    assert fetch(session, url, Range="bytes=20-", If_Range=etag).content == b"uvwxyz"
    (folder / "alphabet.txt").write_bytes(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    response = fetch(session, url, Range="bytes=20-", If_Range=etag)
    assert (response.status_code, response.content) == (200, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "R137"
