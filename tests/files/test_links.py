"""Symbolic links in the path of a request."""

import pathlib

import pytest

from httpsock.files.document_root import Directory, DocumentRoot, Redirect
from httpsock.files.paths import NOT_FOUND
from httpsock.http.handler import Tick
from tests.files.lookup import LATER, listed, make, needs_posix, read, represent


@pytest.fixture
def linked(folder: pathlib.Path) -> pathlib.Path:
    """Add symlinks to *folder*. Some lead to files inside, some lead outside, some are broken."""
    make(folder.parent / "outside" / "secret.txt", b"secret")
    for name, target in {
        "link.txt": "hello.txt",
        "link.gz": "alphabet.txt",
        "sub-link": "sub",
        "self": ".",
        "out.txt": "../outside/secret.txt",
        "out": "../outside",
        "broken": "missing",
        "loop": "loop",
    }.items():
        (folder / name).symlink_to(target)
    return folder


@needs_posix
@pytest.mark.usefixtures("way")
class TestLinks:
    """The server follows symlinks that stay within the document root, and no others (requirement R144)."""

    def test_a_link_inside_the_root_leads_to_its_target(self, linked: pathlib.Path) -> None:
        assert read(linked, b"/link.txt") == b"Hello, socket.\n"
        assert read(linked, b"/self/self/link.txt") == b"Hello, socket.\n"
        assert read(linked, b"/sub-link/") == b"<!DOCTYPE html><title>sub</title>\n"

    def test_a_link_has_the_type_of_its_own_name(self, linked: pathlib.Path) -> None:
        assert represent(linked, b"/link.gz").media_type == "application/gzip"

    def test_a_link_to_a_folder_is_redirected_to_its_own_name(self, linked: pathlib.Path) -> None:
        found = DocumentRoot(linked).find(b"/sub-link", None, Tick(LATER, 0.0))
        assert isinstance(found, Redirect)
        assert found.name.segments == ("sub-link",)

    @pytest.mark.parametrize(
        "path", [b"/out.txt", b"/out", b"/out/", b"/out/secret.txt", b"/self/out.txt", b"/self/out/secret.txt"]
    )
    def test_a_link_out_of_the_root_is_not_found(self, path: bytes, linked: pathlib.Path) -> None:
        assert DocumentRoot(linked).find(path, None, Tick(LATER, 0.0)) == NOT_FOUND

    @pytest.mark.parametrize("path", [b"/broken", b"/broken/", b"/broken/x", b"/loop", b"/loop/", b"/loop/x"])
    @pytest.mark.parametrize("follow_links", [False, True], ids=["links confined", "links followed"])
    def test_a_broken_link_is_not_found(self, path: bytes, follow_links: bool, linked: pathlib.Path) -> None:
        assert DocumentRoot(linked, follow_links=follow_links).find(path, None, Tick(LATER, 0.0)) == NOT_FOUND

    def test_a_link_out_of_the_root_is_followed_on_demand(self, linked: pathlib.Path) -> None:
        served = DocumentRoot(linked, follow_links=True)
        assert read(served, b"/out.txt") == b"secret"
        assert read(served, b"/out/secret.txt") == b"secret"
        assert isinstance(served.find(b"/out", None, Tick(LATER, 0.0)), Redirect)
        assert list(listed(served, b"/out/")) == ["secret.txt"]

    def test_only_links_that_lead_inside_are_listed(self, linked: pathlib.Path) -> None:
        links = {name for name in listed(linked) if (linked / name).is_symlink()}
        assert links == {"link.txt", "link.gz", "sub-link", "self"}

    def test_links_out_of_the_root_are_listed_on_demand(self, linked: pathlib.Path) -> None:
        links = {name for name in listed(DocumentRoot(linked, follow_links=True)) if (linked / name).is_symlink()}
        assert links == {"link.txt", "link.gz", "sub-link", "self", "out.txt", "out"}

    def test_a_link_is_listed_as_its_target(self, linked: pathlib.Path) -> None:
        entries = listed(linked)
        assert entries["link.txt"] == entries["hello.txt"]._replace(name="link.txt")
        assert entries["sub-link"] == entries["sub"]._replace(name="sub-link")

    def test_an_index_that_leads_inside_is_shown(self, linked: pathlib.Path) -> None:
        (linked / "index.html").symlink_to("hello.txt")
        assert read(linked, b"/") == b"Hello, socket.\n"

    def test_an_index_that_leads_outside_is_never_shown(self, linked: pathlib.Path) -> None:
        (linked / "index.html").symlink_to("../outside/secret.txt")
        found = DocumentRoot(linked).find(b"/", None, Tick(LATER, 0.0))
        assert found == NOT_FOUND or (isinstance(found, Directory) and list(found.entries) is not None)

    def test_a_changed_link_leads_to_its_new_target(self, linked: pathlib.Path) -> None:
        served = DocumentRoot(linked)
        assert read(served, b"/link.txt") == b"Hello, socket.\n"
        (linked / "link.txt").unlink()
        (linked / "link.txt").symlink_to("alphabet.txt")
        assert read(served, b"/link.txt") == b"abcdefghijklmnopqrstuvwxyz"
        (linked / "link.txt").unlink()
        (linked / "link.txt").symlink_to("../outside/secret.txt")
        assert served.find(b"/link.txt", None, Tick(LATER, 0.0)) == NOT_FOUND
