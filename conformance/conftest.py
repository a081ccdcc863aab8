"""Fixtures for tests in several folders."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def signals_heeded() -> Iterator[None]:
    """Let SIGHUP and SIGINT end the programs that the test starts, even if this process ignores them (nohup)."""
    # Windows has no SIGHUP.
    hangup = getattr(signal, "SIGHUP", signal.SIGTERM)
    before = (signal.signal(hangup, signal.SIG_DFL), signal.signal(signal.SIGINT, signal.default_int_handler))
    yield
    signal.signal(hangup, before[0])
    signal.signal(signal.SIGINT, before[1])
