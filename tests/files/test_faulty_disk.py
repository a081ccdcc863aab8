"""A faulty disk: the server reports each read error, breaks the response off, and closes all descriptors.

A library in C replaces read(), sendfile() and readdir() in the server process. If a name starts with "faulty", these
calls fail with EIO. If the name also contains "late", sendfile() fails only after the first MiB.
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.support import connect, get, read_answer, receive_all
from tests.support.program import ENVIRONMENT, Program, Start
from tests.support.tools import TOOL_SECONDS, tool

pytestmark = pytest.mark.tools

if sys.platform != "linux":
    pytest.skip("calls are replaced as Linux does it", allow_module_level=True)

MIB = 1 << 20
SOURCE = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

static int fails(int descriptor, off64_t offset)
{
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (readlink(link, path, sizeof path - 1) < 0)
        return 0;
    const char *name = strrchr(path, '/');
    if (!name || strncmp(name, "/faulty", 7) || (strstr(name, "late") && offset < 1 << 20))
        return 0;
    errno = EIO;
    return 1;
}

ssize_t read(int descriptor, void *octets, size_t count)
{
    ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    return fails(descriptor, 0) ? -1 : next(descriptor, octets, count);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count)
{
    ssize_t (*next)(int, int, off64_t *, size_t) = dlsym(RTLD_NEXT, "sendfile64");
    return fails(in, offset ? *offset : 0) ? -1 : next(out, in, offset, count);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
    ssize_t (*next)(int, int, off_t *, size_t) = dlsym(RTLD_NEXT, "sendfile");
    return fails(in, offset ? *offset : 0) ? -1 : next(out, in, offset, count);
}

struct dirent64 *readdir64(DIR *folder)
{
    struct dirent64 *(*next)(DIR *) = dlsym(RTLD_NEXT, "readdir64");
    return fails(dirfd(folder), 0) ? NULL : next(folder);
}

struct dirent *readdir(DIR *folder)
{
    struct dirent *(*next)(DIR *) = dlsym(RTLD_NEXT, "readdir");
    return fails(dirfd(folder), 0) ? NULL : next(folder);
}
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Compile the library that makes calls of the file system fail. Return its path."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "faulty.c").write_text(SOURCE)
    command = [tool("cc", "gcc", "clang"), "-shared", "-fPIC", "-o", "library.so", "faulty.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True, timeout=TOOL_SECONDS)
    return folder / "library.so"


@pytest.fixture
def program(serving: Start, folder: pathlib.Path, library: pathlib.Path) -> Program:
    """Start the server for a folder with some files and a subfolder that cannot be read."""
    (folder / "faulty.txt").write_bytes(b"x" * 100)
    (folder / "faulty").mkdir()
    for name in ("faulty.bin", "faulty-late.bin"):
        (folder / name).write_bytes(os.urandom(MIB) * 4)
    return serving("--bind", "127.0.0.1", env={**ENVIRONMENT, "LD_PRELOAD": str(library)})


@pytest.mark.parametrize("path", ["/faulty.txt", "/faulty/"])
def test_an_unreadable_file_is_reported(program: Program, path: str) -> None:
    with connect(program.port) as client:
        client.sendall(get(path) + get("/hello.txt", "Connection: close"))
        answer, rest = read_answer(receive_all(client))

    assert answer.status == 500
    assert "the file system failed (Input/output error) (RFC 9110 §15.6.1)" in answer.text
    # The connection stays open.
    assert read_answer(rest)[0].content == b"Hello, socket.\n"
    assert "Traceback" not in program.stop()[2]


@pytest.mark.parametrize(
    ("path", "offset"),
    [
        pytest.param("/faulty.bin", 0, id="at once"),
        pytest.param("/faulty-late.bin", 0, id="in the middle"),
        pytest.param("/faulty-late.bin", MIB - 5, id="in the middle of a range"),
    ],
)
def test_a_read_error_cuts_the_response_off(program: Program, folder: pathlib.Path, path: str, offset: int) -> None:
    content = (folder / path[1:]).read_bytes()
    with connect(program.port) as client:
        client.sendall(get(path, f"Range: bytes={offset}-") + get("/hello.txt"))
        received = receive_all(client)
    head, _, sent = received.partition(b"\r\n\r\n")

    # The client receives only right octets, but fewer than the head announces, and no other answer after them.
    assert f"Content-Length: {len(content) - offset}".encode() in head
    assert bool(sent) is ("late" in path)
    assert len(sent) < len(content) - offset
    assert sent == content[offset : offset + len(sent)]
    _, _, standard_error = program.stop()
    assert re.search(rf'"GET {path} HTTP/1\.1" 206 {len(sent)} of {len(content) - offset} ', standard_error)
    assert "Traceback" not in standard_error


def test_every_descriptor_is_closed(program: Program) -> None:
    descriptors = pathlib.Path(f"/proc/{program.process.pid}/fd")

    def ask_for_all() -> int:
        for path in ("/faulty.txt", "/faulty/", "/faulty.bin", "/faulty-late.bin"):
            with connect(program.port) as client:
                client.sendall(get(path, "Connection: close"))
                receive_all(client)
        # When this request is answered, the event loop has closed the earlier connections.
        program.ask("/hello.txt")
        return len(list(descriptors.iterdir()))

    before = ask_for_all()
    assert [ask_for_all() for _ in range(20)][-1] <= before + 1
