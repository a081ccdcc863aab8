"""Fixtures for tests of handlers. They come from the tests of a connection."""

from tests.server.conftest import begin, settings

__all__ = ["begin", "settings"]
