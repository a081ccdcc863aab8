"""Fixtures for the tests of handlers, the same as for tests of the connection."""

from tests.server.conftest import begin, settings

__all__ = ["begin", "settings"]
