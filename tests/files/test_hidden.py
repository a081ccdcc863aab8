"""Hidden names, which start with a full stop."""

import os
import pathlib

import pytest

from httpsock.files.document_root import DocumentRoot
from httpsock.files.paths import NOT_FOUND
from httpsock.http.handler import Tick
from tests.files.lookup import LATER, listed, make, read

HIDDEN = [b"/.env", b"/.git/config", b"/sub/.env", b"/sub/.well-known/x", b"/.well-known/.env", b"/.well-known.txt"]


@pytest.fixture
def with_hidden(folder: pathlib.Path) -> pathlib.Path:
    """Add hidden files to *folder*."""
    for path in [*HIDDEN, b"/.well-known/x"]:
        make(folder / os.fsdecode(path[1:]), b"secret")
    return folder


@pytest.mark.parametrize("path", HIDDEN)
def test_a_name_that_starts_with_a_full_stop_is_hidden(path: bytes, with_hidden: pathlib.Path) -> None:
    assert DocumentRoot(with_hidden).find(path, None, Tick(LATER, 0.0)) == NOT_FOUND


@pytest.mark.parametrize("path", HIDDEN)
def test_a_hidden_name_is_shown_on_demand(path: bytes, with_hidden: pathlib.Path) -> None:
    assert read(DocumentRoot(with_hidden, show_hidden=True), path) == b"secret"


def test_the_folder_of_well_known_names_is_shown(with_hidden: pathlib.Path) -> None:
    assert read(with_hidden, b"/.well-known/x") == b"secret"


@pytest.mark.parametrize(
    ("path", "shown", "on_demand"),
    [
        pytest.param(
            b"/",
            {".well-known", "alphabet.txt", "empty.txt", "hello.txt", "large.bin", "sub"},
            {".env", ".git", ".well-known.txt"},
            id="in the root, all but /.well-known/",
        ),
        pytest.param(b"/.well-known/", {"x"}, {".env"}, id="in /.well-known/"),
        pytest.param(b"/sub/", set(), {".env", ".well-known"}, id="in a folder, .well-known too (RFC 8615 §3)"),
    ],
)
def test_a_hidden_name_is_not_listed(
    path: bytes, shown: set[str], on_demand: set[str], with_hidden: pathlib.Path
) -> None:
    (with_hidden / "sub" / "index.html").unlink()
    assert set(listed(with_hidden, path)) == shown
    assert set(listed(DocumentRoot(with_hidden, show_hidden=True), path)) == shown | on_demand
