"""The workloads, and the requests that they send.

A target or a field may contain placeholders. {n} becomes a new number for each request. {port} becomes the server's
port. {name} becomes a random one of *names*. {validators} becomes an If-None-Match or If-Modified-Since field.

The workload "page" imitates browsers. Each of 100 visitors sends the same fields for all files, and all
visitors request the same files. Request lines and field sections therefore repeat, but entire heads do not.
"""

from typing import NamedTuple

from .files import LARGE_OCTETS, MANY

# The default request of wrk.
_PLAIN = "Host: 127.0.0.1:{port}\r\n"
# Chromium's for a subresource; the whole head has some 600 octets.
_BROWSER = (
    "Host: 127.0.0.1:{port}\r\n"
    "Connection: keep-alive\r\n"
    'sec-ch-ua: "Chromium";v="136", "Not.A/Brand";v="99"\r\n'
    "sec-ch-ua-mobile: ?0\r\n"
    'sec-ch-ua-platform: "Linux"\r\n'
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 "
    "Safari/537.36\r\n"
    "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: no-cors\r\n"
    "Sec-Fetch-Dest: image\r\n"
    "Referer: http://127.0.0.1:{port}/index.html\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\n"
)
_VISITORS = 100
_VISITOR = f"{_BROWSER}Cookie: visitor={{n}}\r\n"
_DISTINCT = (
    "Host: 127.0.0.1:{port}\r\nUser-Agent: wrk/{n}\r\nAccept: */*\r\nCookie: visitor={n}\r\nX-Request-Id: {n}\r\n"
)
_RANGE_FIRST = 50 * 2**20
_RANGE_OCTETS = 2**20


class Workload(NamedTuple):
    """A workload: its requests, its number of connections, and the right answer.

    The target, the fields and the names may contain {n}, which stands for a number. *numbers* is the count of
    different numbers, or 0 if no number is used twice. *length* is the length of the content, or None if the server
    chooses it. The content must have one of the *codings*. *beside* is the key of a second workload to compare
    with. If *uses_defaults* is true, only servers without options for speed play this workload.
    """

    key: str
    title: str
    target: str = "/1k.bin"
    names: tuple[str, ...] = ()
    numbers: int = 0
    method: str = "GET"
    fields: str = _PLAIN
    status: int = 200
    length: int | None = 1024
    first: int = 0
    codings: tuple[str, ...] = ("",)
    connections: int = 32
    idle: int = 0
    pipelined: int = 1
    is_logged: bool = False
    has_floor: bool = False
    beside: str = ""
    min_seconds: int = 1
    uses_defaults: bool = False


_NAMES = tuple(f"{number:04}" for number in range(MANY))
_PAGE = Workload(
    "page",
    "a page: 1,000 files of 1 KiB at random, heads of 100 browsers",
    target="/page/{name}.png",
    names=_NAMES,
    numbers=_VISITORS,
    fields=_VISITOR,
)

WORKLOADS = (
    _PAGE,
    _PAGE._replace(
        key="page-siblings",
        title="the same page, with pre-compressed siblings",
        target="/precompressed/{name}.svg",
        length=None,
        codings=("br", "gzip"),
    ),
    _PAGE._replace(
        key="page-304",
        title="the same page, revalidated: 304 (Not Modified)",
        fields=_VISITOR + "{validators}",
        status=304,
        length=0,
    ),
    _PAGE._replace(
        key="page-plain",
        title="the same page, default options",
        connections=8,
        uses_defaults=True,
    ),
    Workload("1k", "1 KiB file, keep-alive, 32 connections", has_floor=True),
    Workload("browser", "1 KiB file, a browser's head of some 600 octets", fields=_BROWSER, has_floor=True),
    Workload(
        "distinct",
        "1 KiB file, no two heads alike (another query and other field values each time)",
        target="/1k.bin?visit={n}",
        fields=_DISTINCT,
        has_floor=True,
    ),
    Workload(
        "files",
        "1,000 files of 1 KiB at random",
        target="/many/{name}.bin",
        names=_NAMES,
    ),
    Workload("304", "304 (Not Modified)", fields=_PLAIN + "{validators}", status=304, length=0),
    Workload("64k", "64 KiB file", target="/large/64k.bin", length=64 * 1024),
    Workload("100m", "100 MiB file, 2 connections", target="/large/100m.bin", length=LARGE_OCTETS, connections=2),
    Workload(
        "range",
        "1 MiB in the middle of a 100 MiB file",
        target="/large/100m.bin",
        fields=f"{_PLAIN}Range: bytes={_RANGE_FIRST}-{_RANGE_FIRST + _RANGE_OCTETS - 1}\r\n",
        status=206,
        length=_RANGE_OCTETS,
        first=_RANGE_FIRST,
    ),
    Workload("close", "1 KiB file, a new connection for each request", fields=_PLAIN + "Connection: close\r\n"),
    Workload("c256", "1 KiB file, 256 connections", connections=256, has_floor=True, beside="1k"),
    Workload("c1000", "1 KiB file, 1,000 connections", connections=1000, has_floor=True, beside="1k"),
    Workload("idle", "1 KiB file, 32 connections, 5,000 idle ones beside", idle=5000, has_floor=True, beside="1k"),
    Workload("pipelined", "1 KiB file, 16 requests pipelined", pipelined=16),
    Workload("log", "1 KiB file, access log on (to a file)", is_logged=True, beside="1k"),
    Workload("head", "HEAD of a 1 KiB file", method="HEAD"),
    Workload(
        "sibling",
        "pre-compressed sibling of a script of 16 KiB",
        target="/sibling/app.js",
        fields=_PLAIN + "Accept-Encoding: gzip\r\n",
        length=None,
        codings=("gzip",),
    ),
    Workload("listing", "listing of 1,000 names", target="/names/", length=None),
)
BY_KEY = {workload.key: workload for workload in WORKLOADS}
# The workloads of --quick.
QUICK = ("page", "1k", "browser", "distinct", "files", "304", "64k", "100m", "close", "start", "import")


def requests_of(workload: Workload, port: int) -> list[str]:
    """Return the different requests of *workload*. The placeholders {n} and {validators} remain."""
    head = f"{workload.method} {workload.target} HTTP/1.1\r\n{workload.fields}\r\n".replace("{port}", str(port))
    return [head.replace("{name}", name) for name in workload.names] or [head]


def numbered(request: str, number: int) -> bytes:
    """Replace {n} with *number*. Return the octets of the request."""
    return request.replace("{n}", str(number)).encode("ascii")
