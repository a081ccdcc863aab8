"""Files are replaced, rewritten or truncated while clients read them. Folders become links."""

import contextlib
import itertools
import os
import pathlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.support import get

from .subject import Row, Subject, ask, connect, serving, site

_CLIENTS = 16
_SIZES = {"small.bin": 8 << 10, "large.bin": 512 << 10}


def _content(version: int, length: int) -> bytes:
    """Return *length* octets. The number *version*, in eight digits, is repeated to this length."""
    return b"%08d" % version * (length // 8)


def run(server: str, *, is_long: bool) -> list[Row]:
    """Replace a file many times a second while clients read it. Rewrite a file in place. Swap links."""
    seconds = 20.0 if is_long else 2.0
    return [*_replaced(server, seconds), *_rewritten(server, seconds / 2), *_swapped(server, seconds / 2)]


def _replaced(server: str, seconds: float) -> list[Row]:
    counts = {"answers": 0, "mixed": 0, "short": 0, "versions with one tag": 0, "errors": 0, "spliced": 0}
    tags: dict[tuple[str, bytes], bytes] = {}
    with site() as root:
        for name, length in _SIZES.items():
            (root / name).write_bytes(_content(0, length))
        with serving(root, server) as subject, _changes(lambda version: _replace(root, version)):
            latest = time.monotonic() + seconds
            with ThreadPoolExecutor(_CLIENTS) as pool:
                for done in [pool.submit(_read, subject, latest, counts, tags, number) for number in range(_CLIENTS)]:
                    done.result()
    return [Row("answers about a replaced file", str(counts["answers"]), "some", counts["answers"] > 0)] + [
        Row(f"of them {what}", str(count), "0", count == 0) for what, count in counts.items() if what != "answers"
    ]


def _replace(root: pathlib.Path, version: int) -> None:
    for name, length in _SIZES.items():
        (root / "new").write_bytes(_content(version, length))
        (root / "new").replace(root / name)


@contextlib.contextmanager
def _changes(change: Callable[[int], None]) -> Iterator[None]:
    """Call *change* in a thread, up to 200 times a second, until the block ends.

    The arguments are 1, 2, 3 and so on.
    """
    is_over = threading.Event()

    def go_on() -> None:
        version = 0
        while not is_over.wait(0.005):
            version += 1
            change(version)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _read(
    subject: Subject, latest: float, counts: dict[str, int], tags: dict[tuple[str, bytes], bytes], number: int
) -> None:
    name = ("small.bin", "large.bin")[number % 2]
    with connect(subject.port) as client:
        while time.monotonic() < latest:
            status, fields, content = _exchange(client, get(f"/{name}"))
            if status != 200:
                counts["errors"] += 1
                return
            counts["answers"] += 1
            counts["mixed"] += content != content[:8] * (len(content) // 8)
            counts["short"] += len(content) != _SIZES[name]
            tag = re.search(rb'\r\netag: *((?:W/)?"[^"]*")', fields, re.IGNORECASE)
            if not tag or tag[1].startswith(b"W/"):
                continue
            # Two versions must not have the same strong tag (RFC 9110 §8.8.1).
            counts["versions with one tag"] += tags.setdefault((name, tag[1]), content[:8]) != content[:8]
            half = _SIZES[name] // 2
            status, _, rest = _exchange(
                client, get(f"/{name}", f"Range: bytes={half}-", f"If-Range: {tag[1].decode()}")
            )
            counts["spliced"] += status == 206 and rest[:8] != content[:8]


def _exchange(client: socket.socket, octets: bytes) -> tuple[int, bytes, bytes]:
    """Send *octets*. Return the status, the head and the content of the answer. The content may be incomplete."""
    client.sendall(octets)
    received = b""
    while b"\r\n\r\n" not in received and (part := client.recv(1 << 18)):
        received += part
    head, _, content = received.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    parts, missing = [content], int(length[1]) - len(content) if length else 0
    while missing > 0 and (part := client.recv(1 << 18)):
        parts.append(part)
        missing -= len(part)
    return int(head[9:12] or b"0"), head, b"".join(parts)


def _rewritten(server: str, seconds: float) -> list[Row]:
    """Rewrite a file in place with changing lengths. Check that no answer is too long."""
    with site() as root:
        file = root / "large.bin"

        def rewrite(version: int) -> None:
            file.write_bytes(_content(version, (64 << 10) * (1 + version % 8)))

        answers = wrong = errors = 0
        with serving(root, server) as subject:
            with _changes(rewrite):
                latest = time.monotonic() + seconds
                while time.monotonic() < latest:
                    head, _, content = ask(subject.port, get("/large.bin", "Connection: close")).partition(b"\r\n\r\n")
                    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
                    answers += 1
                    # Less content than announced is right: the client sees that the connection broke off.
                    wrong += bool(length) and len(content) > int(length[1] if length else 0)
                    errors += head.startswith(b"HTTP/1.1 5")
            is_fresh = ask(subject.port, get("/large.bin")).endswith(b"\r\n\r\n" + file.read_bytes())
    return [
        Row("answers about a file rewritten in place", f"{answers}, {wrong} too long", "0 too long", wrong == 0),
        Row("of them 5xx", str(errors), "0", errors == 0),
        Row("when it rests", f"the file as it is: {is_fresh}", "the file as it is", is_fresh),
    ]


def _swapped(server: str, seconds: float) -> list[Row]:
    """Switch a link between a folder inside the root and one outside. Count answers with content from outside."""
    with site() as root:
        outside = root.parent / "outside"
        for folder, content in ((root / "inside", b"inside"), (outside, b"OUTSIDE")):
            folder.mkdir()
            (folder / "file.txt").write_bytes(content)
        (root / "swapped").symlink_to(root / "inside")
        is_over = threading.Event()

        def swap() -> None:
            number = 0
            while not is_over.is_set():
                number += 1
                os.symlink(outside if number % 2 else "inside", root / "next")
                os.replace(root / "next", root / "swapped")

        thread = threading.Thread(target=swap)
        answers = leaks = errors = 0
        # These paths are equivalent.
        forms = itertools.cycle(
            ("/swapped/file.txt", "//swapped//file.txt", "/inside/../swapped/./file.txt", "/swapped%2Ffile.txt")
        )
        with serving(root, server) as subject:
            thread.start()
            latest = time.monotonic() + seconds
            try:
                with connect(subject.port) as client:
                    while time.monotonic() < latest:
                        status, _, content = _exchange(client, get(next(forms)))
                        answers += 1
                        leaks += b"OUTSIDE" in content
                        errors += status >= 500
            finally:
                is_over.set()
                thread.join()
    return [Row("a link swapped in a loop", f"{leaks} leaks, {errors} 5xx, {answers} answers", "0", not leaks + errors)]
