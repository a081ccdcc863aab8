"""Restart at SIGHUP: under load, no request fails, and running downloads finish."""

import http.client
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from tests.support import eventually, get

from .subject import TIMEOUT_SECONDS, Row, Subject, connect, receive_all, serving, site

_OCTETS = 64 << 20
_CLIENTS = 8


def run(server: str, *, is_long: bool) -> list[Row]:
    """Send SIGHUP many times while clients send requests and download files."""
    rows = []
    for options in ("", "--processes 2") if server == "httpsock" else ("",):
        with site() as root, serving(root, server, options) as subject:
            rows += _under_load(subject, 100 if is_long else 3, f"{server} {options}".rstrip())
    return rows


def _under_load(subject: Subject, times: int, what: str) -> list[Row]:
    is_over = threading.Event()
    whole = taken_over = 0
    with ThreadPoolExecutor(_CLIENTS) as pool, ExitStack() as stack:
        stack.callback(is_over.set)
        loads = [pool.submit(_ask, subject.port, keeps=number % 2 == 0, is_over=is_over) for number in range(_CLIENTS)]
        for number in range(times):
            clients = [connect(subject.port, get("/large.bin", "Connection: close")) for _ in range(4)]
            subject.process.send_signal(signal.SIGHUP)
            # nginx does not report a restart.
            has_reported = eventually(
                partial(_has_reported, subject, number + 1), 0.5 if "nginx" in what else TIMEOUT_SECONDS
            )
            taken_over += has_reported or "nginx" in what
            whole += sum(len(receive_all(client)) > _OCTETS for client in clients)
            for client in clients:
                client.close()
        is_over.set()
        answers, faults = map(sum, zip(*(load.result() for load in loads), strict=True))
    code = subject.stop()
    return [
        Row(f"{what}, {times} times", f"{answers:,} answers, {faults} failed", "0 failed", answers > 0 and not faults),
        Row("downloads under way", f"{whole} of {4 * times} whole", "all", whole == 4 * times),
        Row("taken over", f"{taken_over} times, exit code {code}", "each time, 0", (taken_over, code) == (times, 0)),
    ]


def _has_reported(subject: Subject, times: int) -> bool:
    return subject.log().count("has taken over") >= times


def _ask(port: int, *, keeps: bool, is_over: threading.Event) -> tuple[int, int]:
    """Send requests until *is_over* is set. Return the numbers of successes and failures.

    If *keeps* is true, keep the connection open. No request is sent twice, so an unexpected end of the connection is a
    failure.
    """
    answers = faults = 0
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    while not is_over.is_set():
        try:
            client.request("GET", "/hello.txt", headers={} if keeps else {"Connection": "close"})
            good = client.getresponse().read() == b"Hello, socket.\n"
        except (OSError, http.client.HTTPException):
            good = False
            client.close()
        answers, faults = answers + good, faults + (not good)
    client.close()
    return answers, faults
