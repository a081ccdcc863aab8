"""Media types: the Content-Type that goes with a name (RFC 9110 §8.3)."""

import re

import pytest

from httpsock import mediatypes
from httpsock.mediatypes import media_type_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("index.html", "text/html; charset=utf-8", id="a page"),
        pytest.param("INDEX.HTM", "text/html; charset=utf-8", id="the suffix ignores case"),
        pytest.param("script.js", "text/javascript; charset=utf-8", id="RFC 9239: JavaScript is text/javascript"),
        pytest.param("module.mjs", "text/javascript; charset=utf-8", id="RFC 9239: so is a module"),
        pytest.param("logo.svg", "image/svg+xml; charset=utf-8", id="a drawing is text"),
        pytest.param("feed.xml", "application/xml", id="XML names its charset within"),
        pytest.param("a.tar.gz", "application/gzip", id="what follows the last full stop counts"),
        pytest.param("clock.webm", "video/webm", id="a film has no charset"),
        pytest.param(".txt", "text/plain; charset=utf-8", id="a hidden file has a suffix too"),
        pytest.param("file.txt ", "application/octet-stream", id="a space is part of the suffix"),
        pytest.param("file.", "application/octet-stream", id="an empty suffix"),
        pytest.param("txt", "application/octet-stream", id="a suffix without its full stop is a name"),
        pytest.param("", "application/octet-stream", id="no name at all"),
        pytest.param("file.unheard-of", "application/octet-stream", id="§8.3: a type not known"),
        pytest.param("v1.txt/file", "application/octet-stream", id="the suffix of a folder does not count"),
        pytest.param("file.tx\udcff", "application/octet-stream", id="a suffix that is no UTF-8"),
    ],
)
def test_a_name_has_a_content_type(name: str, expected: str) -> None:
    assert media_type_of(name) == expected


@pytest.mark.parametrize("suffix", ["c", "cpp", "go", "h", "hpp", "java", "lua", "py", "rb", "rs", "sh", "sql", "tex"])
def test_source_code_is_shown_as_plain_text(suffix: str) -> None:
    assert media_type_of(f"source.{suffix}") == "text/plain; charset=utf-8"


# content-type = type "/" subtype *( OWS ";" OWS parameter )
CONTENT_TYPE = re.compile(r"(?P<type>[a-z]+)/[a-z0-9][a-z0-9.+-]*(?P<charset>; charset=utf-8)?")


@pytest.mark.parametrize(("suffix", "content_type"), sorted(mediatypes._TYPES.items()))
def test_every_type_is_well_formed(suffix: str, content_type: str) -> None:
    match = CONTENT_TYPE.fullmatch(content_type)
    assert match
    assert suffix == suffix.lower()
    assert "." not in suffix
    if match["type"] == "text":
        assert match["charset"], "text without a charset is left to the client's guess"


def test_no_suffix_is_both_text_and_binary() -> None:
    assert not mediatypes._TEXT.keys() & mediatypes._BINARY.keys()
