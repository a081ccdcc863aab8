"""The process: its limit of file descriptors, its standard streams, and its user."""

import os
import pathlib
import subprocess
import sys

import pytest

from httpsock.server.process import MAX_DESCRIPTORS, become_user, descriptor_limit, raise_descriptor_limit
from tests.support.rows import each_row

pwd = pytest.importorskip("pwd")
resource = pytest.importorskip("resource")

ROOT = pathlib.Path(__file__).parents[2]
NOBODY = "nobody"


def test_the_descriptor_limit_is_that_of_the_system() -> None:
    assert descriptor_limit() in (resource.getrlimit(resource.RLIMIT_NOFILE)[0], MAX_DESCRIPTORS)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        pytest.param(40, 1000, 1000, id="the soft limit is raised to the hard limit"),
        pytest.param(40, 1_000_000, MAX_DESCRIPTORS, id="the soft limit is raised to the maximum"),
        pytest.param(40, -1, MAX_DESCRIPTORS, id="the soft limit is raised to the maximum, without a hard limit"),
        pytest.param(100, 100, 100, id="the soft limit equals the hard limit"),
        pytest.param(1_000_000, 1_000_000, 1_000_000, id="the limit is never lowered"),
        pytest.param(-1, -1, MAX_DESCRIPTORS, id="no limit"),
    ],
)
def test_the_limit_is_raised(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "RLIM_INFINITY", -1)
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, given: limits.append(given))

    raise_descriptor_limit()

    assert descriptor_limit() == expected
    assert limits[-1][1] == hard


def test_a_limit_that_cannot_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, given: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (40, 1000))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    raise_descriptor_limit()

    assert descriptor_limit() == 40


def test_the_program_raises_its_limit() -> None:
    program = (
        "import resource, httpsock.server.process as p; p.raise_descriptor_limit(); "
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    command = f'ulimit -Sn 40; exec "$0" -c "{program}"'
    done = subprocess.run(["/bin/sh", "-c", command, sys.executable], cwd=ROOT, capture_output=True, check=True)
    assert int(done.stdout) == min(resource.getrlimit(resource.RLIMIT_NOFILE)[1] % (1 << 63), MAX_DESCRIPTORS)


@each_row("closed", ["", "<&-", "2>&-", "<&- 2>&-"])
def test_no_socket_gets_the_descriptor_of_a_closed_standard_stream(closed: str) -> None:
    program = (
        "import os, socket, httpsock.server.process as p; p.fill_standard_descriptors(); s = socket.socket(); "
        "print(s.fileno() > 2, [os.fstat(d).st_rdev == os.stat(os.devnull).st_rdev for d in (0, 2)])"
    )
    command = f'exec "$0" -c "{program}" {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable], cwd=ROOT, stdin=subprocess.PIPE, capture_output=True, check=True
    )
    assert done.stdout.decode() == f"True {['<' in closed, '2' in closed]}\n"


def test_the_groups_of_root_are_dropped_before_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The groups must be dropped first, since only root may change groups."""
    done: list[tuple[object, ...]] = []
    monkeypatch.setattr(os, "initgroups", lambda *given: done.append(("initgroups", *given)))
    monkeypatch.setattr(os, "setgid", lambda *given: done.append(("setgid", *given)))
    monkeypatch.setattr(os, "setuid", lambda *given: done.append(("setuid", *given)))
    user = pwd.getpwnam(NOBODY)

    become_user(NOBODY)

    assert done == [("initgroups", NOBODY, user.pw_gid), ("setgid", user.pw_gid), ("setuid", user.pw_uid)]


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no user 'no such user'"):
        become_user("no such user")
