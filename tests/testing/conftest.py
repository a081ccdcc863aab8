"""The fixture server, as in the pytest plugin. test_plugin.py tests the plugin itself."""

from collections.abc import Iterator

import pytest

from httpsock import TestServer


@pytest.fixture
def server() -> Iterator[TestServer]:
    """Yield a test server with a temporary folder."""
    with TestServer() as server:
        yield server
