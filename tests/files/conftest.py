"""Fixtures for tests of files."""

import pathlib

import pytest

from httpsock.files import confinement
from httpsock.files.document_root import DocumentRoot


@pytest.fixture
def root(folder: pathlib.Path) -> DocumentRoot:
    """Return *folder* as a document root."""
    return DocumentRoot(folder)


@pytest.fixture(params=[pytest.param(True, id="openat()"), pytest.param(False, id="real paths")])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test once with openat() and once without."""
    if request.param and not confinement.HAS_OPENAT:
        pytest.skip("this system has no openat()")
    monkeypatch.setattr(confinement, "HAS_OPENAT", request.param)
