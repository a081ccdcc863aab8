"""Fixtures of the tests of handlers: those of a connection."""

from tests.server.conftest import begin, settings

__all__ = ["begin", "settings"]
