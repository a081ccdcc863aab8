"""Fixtures of the tests of the program."""

import pathlib

import pytest

from tests.support.folder import FILM_OCTETS


@pytest.fixture
def film(folder: pathlib.Path) -> str:
    """A long file, which takes no room on the disk; its path."""
    with (folder / "film.bin").open("wb") as file:
        file.truncate(FILM_OCTETS)
    return "/film.bin"
