"""Fixtures for tests of a connection: the server's settings, and a dialogue with the connection."""

import pathlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from httpsock.files.document_root import DocumentRoot
from httpsock.files.handler import serve_folder
from httpsock.http.framing import ContentLimits
from httpsock.http.request_parser import Limits
from httpsock.server.settings import Settings
from tests.server.dialogue import MAX_CONTENT, TIMEOUTS, Begin, Dialogue


@pytest.fixture
def settings(folder: pathlib.Path) -> Settings:
    """Return a server's settings for *folder*, with small limits and short time-outs."""
    limits = Limits(content=ContentLimits(content=MAX_CONTENT))
    return Settings(serve_folder(DocumentRoot(folder)), b"Server: httpsock\r\n", limits, TIMEOUTS)


@pytest.fixture
def begin(settings: Settings) -> Iterator[Begin]:
    """Yield a function that begins a dialogue. Close the dialogue when the test ends."""
    with ExitStack() as stack:

        def start(**options: Any) -> Dialogue:
            dialogue = Dialogue(settings, **options)
            stack.callback(dialogue.close)
            return dialogue

        yield start


@pytest.fixture
def dialogue(begin: Begin) -> Dialogue:
    """Return a dialogue with the default settings."""
    return begin()
