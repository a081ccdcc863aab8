"""Fixtures of the tests of the program."""

import pathlib

import pytest

from tests.support.folder import FILM_OCTETS


@pytest.fixture
def film(folder: pathlib.Path) -> str:
    """The path of a long file that takes no space on the disk."""
    with (folder / "film.bin").open("wb") as file:
        file.truncate(FILM_OCTETS)
    return "/film.bin"
