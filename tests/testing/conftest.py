"""A server as the fixture of the plugin makes it; the plugin itself runs in test_plugin.py."""

from collections.abc import Iterator

import pytest

from httpsock import TestServer


@pytest.fixture
def server() -> Iterator[TestServer]:
    """A test's server over a temporary folder."""
    with TestServer() as server:
        yield server
