"""The plugin of pytest: the fixtures ``http_server`` and ``http_server_factory``.

pytest loads this plugin by its entry point. The plugin loads the server only when a test needs one. If a test fails,
its report has the requests that the test's servers received.

RFC 9110 §3 (messages and their parts).
"""

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import ServerFactory, TestServer

_SERVER = "httpsock.testing.server"


@pytest.fixture
def http_server() -> Iterator["TestServer"]:
    """Start an HTTP server over a temporary folder, for this test: see httpsock.testing.server.TestServer."""
    from .server import TestServer

    with TestServer() as server:
        yield server


@pytest.fixture(scope="session")
def http_server_factory() -> Iterator["ServerFactory"]:
    """Return a function that starts a server until the session ends.

    The function takes the arguments of httpsock.testing.server.TestServer.
    """
    from .server import ServerFactory

    with ServerFactory() as factory:
        yield factory


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """If a test fails, list the requests to its servers in the report."""
    report = yield
    # A session without a server has not loaded the server's module.
    if report.failed and _SERVER in sys.modules:
        report.sections += sys.modules[_SERVER].described(getattr(item, "funcargs", {}).values())
    return report
