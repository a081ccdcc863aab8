"""Request smuggling: requests with ambiguous framing and a hidden second request, sent directly and through proxies.

A proxy reuses its connections to httpsock. If the proxy and httpsock disagree about the end of a request, another
client gets the answer to the hidden request. After each request, other clients therefore check that they get their own
answers. httpsock must not log more hidden requests than the proxy logs.
"""

import contextlib
import itertools
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Iterator

from tests.support import free_port, get

from .subject import TIMEOUT_SECONDS, Row, Subject, ask, is_installed, serving, site

_HIDDEN = b"GET /hidden.txt HTTP/1.1\r\nHost: x\r\n\r\n"
_CHUNKED = b"0\r\n\r\n"
_CODINGS = (
    *(b"chunked", b"Chunked", b" chunked", b"chunked ", b"\tchunked", b"chunked\t", b"\x0bchunked", b"\x0cchunked"),
    *(b"\xa0chunked", b"chunked\x00", b'"chunked"', b"chunked;q=1", b"chunked,", b",chunked", b"identity, chunked"),
    *(b"chunked, identity", b"gzip, chunked", b"xchunked", b"chunkedx", b"chunked, chunked", b"identity", b""),
)  # fmt: skip
_NAMES = (
    *(b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked", b"\tTransfer-Encoding: chunked"),
    *(b"X: y\r\n Transfer-Encoding: chunked", b"Transfer-Encoding\t: chunked", b"Transfer-Encoding:\r\n chunked"),
    *(b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"Transfer_Encoding: chunked"),
    *(b"Transfer-Encoding\x00: chunked", b"Transfer-Encoding chunked", b"\x00Transfer-Encoding: chunked"),
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
)  # fmt: skip
_LENGTHS = (
    *(b"+%d", b"-%d", b"0x%x", b"%d ", b" %d", b"\t%d", b"%d\t", b"0%d", b"%d.0", b"%d,%d", b"%d, %d", b"%d, 0"),
    *(b"0, %d", b"%d 0", b"%d_0", b"%d;", b"", b"0\r\nContent-Length: %d", b"%d\r\nContent-Length: 0", b"%d\x0b"),
    *(b"%d\r\nContent-Length: %d", b"0\rContent-Length: %d", b"0\nContent-Length: %d", b"\xb2%d"),
    b"99999999999999999999",
)  # fmt: skip
_CHUNKS = (
    *(b"0\r\n\r\n", b"0\n\n", b"0\r\n\n", b"0\n\r\n", b"0;\n\r\n\r\n", b"0;a\r\r\n\r\n", b"0x0\r\n\r\n", b"+0\r\n\r\n"),
    *(b"-0\r\n\r\n", b"0 \r\n\r\n", b" 0\r\n\r\n", b"00\r\n\r\n", b"0_0\r\n\r\n", b"1\r\nxXX0\r\n\r\n"),
    b"1\r\nx\n0\r\n\r\n",
    *(b"1\nx\r\n0\r\n\r\n", b"1\rx\r\n0\r\n\r\n", b"1;a=b\nx\r\n0\r\n\r\n", b'1;a="\r\n"\r\nx\r\n0\r\n\r\n'),
    b"\r\n0\r\n\r\n",
    *(b"0\r\nX: y\n\r\n", b"0\r\nTransfer-Encoding: x\r\n\r\n", b"0\r\nContent-Length: 40\r\n\r\n"),
    b"0\r\nX : y\r\n\r\n",
    *(b"10000000000000000\r\n\r\n", b"ffffffffffffffff1\r\nx\r\n0\r\n\r\n", b"1\r\nx\r\n\r\n0\r\n\r\n", b"0\r\n\r"),
)  # fmt: skip


def variants() -> list[bytes]:
    """Return requests with an ambiguous end. A hidden request follows each of them."""
    head = b"POST /hello.txt HTTP/1.1\r\nHost: x\r\n"
    whole = len(_CHUNKED) + len(_HIDDEN)
    made = []
    for lines, length in itertools.product([b"Transfer-Encoding: " + c for c in _CODINGS] + list(_NAMES), (whole, 5)):
        made.append(head + lines + b"\r\nContent-Length: %d\r\n\r\n" % length + _CHUNKED + _HIDDEN)
    for pattern in _LENGTHS:
        count = pattern.count(b"%d") + pattern.count(b"%x")
        made.append(head + b"Content-Length: " + pattern % ((len(_HIDDEN),) * count) + b"\r\n\r\n" + _HIDDEN)
    made += [head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + _HIDDEN for chunks in _CHUNKS]
    for method, version in itertools.product(
        (b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE", b"get"), (b"1.0", b"1.1")
    ):
        start = method + b" /hello.txt HTTP/" + version + b"\r\nHost: x\r\n"
        made.append(start + b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n" % len(_HIDDEN) + _HIDDEN)
        made.append(start + b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n" + _CHUNKED + _HIDDEN)
    made += [
        head + b"Content-Length: %d\r\nConnection: Content-Length\r\n\r\n" % len(_HIDDEN) + _HIDDEN,
        head + b"Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n\r\n" + _CHUNKED + _HIDDEN,
        head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(_HIDDEN) + _HIDDEN,
        head + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: %d\r\n\r\n" % len(_HIDDEN) + _HIDDEN,
    ]
    return made


def _nginx(work: pathlib.Path, port: int, behind: int) -> list[str]:
    (work / "nginx.conf").write_text(f"""daemon off; worker_processes 1; pid {work}/pid; error_log {work}/error.log;
events {{ }}
http {{ log_format own '$request'; access_log {work}/access.log own; client_body_temp_path {work}/b;
  proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  upstream own {{ server 127.0.0.1:{behind}; keepalive 1; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://own; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; }} }} }}
""")
    return ["nginx", "-p", str(work), "-c", str(work / "nginx.conf")]


def _haproxy(work: pathlib.Path, port: int, behind: int) -> list[str]:
    (work / "haproxy.cfg").write_text(f"""global
  log fd@2 format raw local0 info
  nbthread 1
defaults
  mode http
  log-format "%r"
  timeout client 5s
  timeout server 5s
  timeout connect 5s
  http-reuse always
frontend own
  log global
  bind 127.0.0.1:{port}
  default_backend own
backend own
  server own 127.0.0.1:{behind} pool-max-conn 1
""")
    return ["haproxy", "-f", str(work / "haproxy.cfg")]


def _caddy(work: pathlib.Path, port: int, behind: int) -> list[str]:
    (work / "Caddyfile").write_text(f"""{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind 127.0.0.1
  log {{
    output file {work}/access.log
  }}
  reverse_proxy 127.0.0.1:{behind} {{
    transport http {{
      keepalive_idle_conns_per_host 1
    }}
  }}
}}
""")
    return ["caddy", "run", "--config", str(work / "Caddyfile"), "--adapter", "caddyfile"]


FRONT_ENDS = {"nginx": _nginx, "haproxy": _haproxy, "caddy": _caddy}


def run(server: str, *, is_long: bool) -> list[Row]:
    """Send the ambiguous requests to httpsock, directly and through each installed proxy."""
    made = variants()
    present = [name for name in FRONT_ENDS if is_installed(name)]
    return [_alone(made), *(_behind(name, made if is_long else made[::6]) for name in present)]


def _alone(made: list[bytes]) -> Row:
    """Send the ambiguous requests *made* to httpsock directly.

    Count how often httpsock refuses the first request but answers the hidden one.
    """
    wrong = []
    with _backend() as subject:
        for octets in made:
            answers = ask(subject.port, octets).split(b"HTTP/1.1 ")[1:]
            # After a refusal for the framing no other answer may come. The method "get" is refused for another reason.
            refused = answers[0].startswith((b"400", b"501", b"413")) and not octets.startswith(b"get ")
            if len(answers) > 1 and refused:
                wrong.append(octets)
    return Row(f"{len(made)} variants, alone", f"{len(wrong)} answered on after a doubt", "0", not wrong)


@contextlib.contextmanager
def _backend() -> Iterator[Subject]:
    with site() as root:
        (root / "hidden.txt").write_bytes(b"HIDDEN")
        for number in range(3):
            (root / f"own{number}.txt").write_bytes(b"OWN%d" % number)
        with serving(root) as subject:
            yield subject


def _behind(name: str, made: list[bytes]) -> Row:
    with tempfile.TemporaryDirectory() as folder, _backend() as subject:
        work, port = pathlib.Path(folder), free_port()
        with open(work / "stderr", "wb") as log:
            command = FRONT_ENDS[name](work, port, subject.port)
            with subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=log, env=os.environ | {"HOME": folder}
            ) as process:
                try:
                    _wait_for(port)
                    poisoned = sum(_poisons(port, octets) for octets in made)
                finally:
                    process.terminate()
        subject.stop()
        logged = "".join((work / log).read_text() for log in ("stderr", "access.log") if (work / log).exists())
        # HAProxy logs each line twice here; the number of known requests corrects that.
        before = _count(logged, "hidden") * len(made) // max(1, _count(logged, "own1"))
        behind = _count(subject.log(), "hidden")
    measured = f"{poisoned} poisoned; hidden requests seen: {before} before, {behind} behind"
    # Requests that the front end answers itself do not reach httpsock.
    return Row(f"{len(made)} variants, behind {name}", measured, "0, no more behind", not poisoned and behind <= before)


def _wait_for(port: int) -> None:
    latest = time.monotonic() + 20
    while time.monotonic() < latest:
        with contextlib.suppress(OSError):
            if _own(port, 0).endswith(b"OWN0"):
                return
        time.sleep(0.05)
    raise RuntimeError("the front end does not start")


def _poisons(port: int, octets: bytes) -> bool:
    """Send the ambiguous request *octets*. Return whether another client then gets a wrong answer."""
    # Do not end this side of the connection: nginx would assume that the client is gone.
    ask(port, octets, quiet_seconds=0.1)
    answers = [_own(port, number) for number in range(3)]
    return any(b"HIDDEN" in answer or not answer.endswith(b"OWN%d" % number) for number, answer in enumerate(answers))


def _own(port: int, number: int) -> bytes:
    return ask(port, get(f"/own{number}.txt", "Connection: close"), quiet_seconds=TIMEOUT_SECONDS)


def _count(log: str, name: str) -> int:
    """Return the number of requests for *name*.txt in a log of any format."""
    return log.count(f"GET /{name}.txt") + log.count(f'"uri":"/{name}.txt"')
