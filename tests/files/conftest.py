"""Fixtures for tests of files."""

import pathlib

import pytest

from httpsock.files.document_root import DocumentRoot


@pytest.fixture
def root(folder: pathlib.Path) -> DocumentRoot:
    """Return *folder* as a document root."""
    return DocumentRoot(folder)
