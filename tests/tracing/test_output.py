"""Output: the width of a terminal; a pipe has none."""

import os

import pytest

from httpsock.tracing.output import width_of

if not hasattr(os, "openpty"):
    pytest.skip("no terminals can be made here", allow_module_level=True)


def test_a_pipe_has_no_width() -> None:
    reader, writer = os.pipe()
    assert width_of(writer) is None
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("error", [OSError(25, "Inappropriate ioctl for device"), ValueError("bad descriptor")])
def test_a_terminal_without_a_known_width_has_no_limit(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_: int) -> os.terminal_size:
        raise error

    ours, theirs = os.openpty()
    monkeypatch.setattr(os, "get_terminal_size", fail)
    assert width_of(theirs) is None
    os.close(ours)
    os.close(theirs)
