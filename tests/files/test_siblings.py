"""Compressed siblings: check that hello.txt.gz really is hello.txt, compressed with gzip."""

import gzip
import os
import pathlib
import random
import shutil
import subprocess
import zlib
from collections.abc import Callable

import pytest

import httpsock
from httpsock.files.representation import CODINGS
from httpsock.files.siblings import Original, is_verified, may_be_used
from tests.support import exchange, get, read_answer
from tests.support.folder import LONG_AGO
from tests.support.rows import each_row
from tests.support.siblings import FORMS, brotli, gzipped, zstandard

CONTENT = b"".join(b"line %d of a file\n" % number for number in range(1000))
SMALL = Original(len(CONTENT), CONTENT)
LARGE = Original(len(CONTENT), None)
EMPTY_BROTLI = b"\x06"


def verified(coding: str, octets: bytes, original: Original) -> bool:
    """Return whether the check accepts *octets* as *original*, encoded with *coding*."""
    return is_verified(coding, lambda offset, length: octets[offset : offset + length], len(octets), original)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("original", [SMALL, LARGE], ids=["a small file", "a large file"])
def test_a_file_in_its_coding_is_verified(coding: str, original: Original) -> None:
    assert verified(coding, FORMS[CODINGS[coding]](CONTENT), original)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("original", [SMALL, LARGE], ids=["a small file", "a large file"])
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="no octets"),
        pytest.param(b"\x1f", id="one octet"),
        pytest.param(CONTENT, id="the file itself"),
        pytest.param(bytes(500), id="zeros, as in a file that was never written"),
        pytest.param(b"<!DOCTYPE html><title>404 Not Found</title>", id="an error page that was saved as the sibling"),
        pytest.param(b"PK\x03\x04" + CONTENT, id="a ZIP archive"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + CONTENT, id="a picture"),
        pytest.param(zlib.compress(CONTENT), id="zlib"),
    ],
)
def test_a_file_in_another_format_is_not_a_sibling(coding: str, octets: bytes, original: Original) -> None:
    assert not verified(coding, octets, original)


@each_row("coding", CODINGS)
def test_another_coding_is_not_verified(coding: str) -> None:
    for suffix, form in FORMS.items():
        assert verified(coding, form(CONTENT), LARGE) is (suffix == CODINGS[coding])


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("original", [SMALL, LARGE], ids=["a small file", "a large file"])
def test_a_file_that_is_cut_anywhere_is_not_verified(coding: str, original: Original) -> None:
    octets = FORMS[CODINGS[coding]](CONTENT)
    assert [length for length in range(len(octets)) if verified(coding, octets[:length], original)] == []


def test_brotli_with_a_tail_of_zeros_is_not_verified() -> None:
    octets = brotli(CONTENT)
    assert not verified("br", octets[:-100] + bytes(100), LARGE)


@each_row("coding", ["gzip", "zstd"])
def test_octets_after_the_end_of_a_sibling_are_rejected(coding: str) -> None:
    octets = FORMS[CODINGS[coding]](CONTENT)
    assert not verified(coding, octets + b"x", SMALL)
    assert not verified(coding, octets + octets, SMALL)


@each_row("coding", CODINGS)
def test_the_length_of_the_content_must_be_that_of_the_file(coding: str) -> None:
    octets = FORMS[CODINGS[coding]](CONTENT)
    assert not verified(coding, octets, Original(len(CONTENT) - 1, None))
    if coding != "br":
        assert not verified(coding, octets, Original(len(CONTENT) + 1, None))


def test_gzip_has_the_length_modulo_two_to_the_32() -> None:
    octets = gzipped(CONTENT)
    assert verified("gzip", octets, Original(len(CONTENT) + 2**32, None))


def test_gzip_of_a_small_file_is_compared_with_it() -> None:
    assert not verified("gzip", gzipped(CONTENT[::-1]), SMALL)
    assert verified("gzip", gzipped(CONTENT[::-1]), LARGE), "the limit of what is verified of a large file"
    for place in (10, -5):
        damaged = bytearray(gzipped(CONTENT))
        damaged[place] ^= 0xFF
        assert not verified("gzip", bytes(damaged), SMALL), "its first block, or its checksum"
    bomb = gzipped(bytes(10**7))
    assert not verified("gzip", bomb[:-4] + len(CONTENT).to_bytes(4, "little"), SMALL)


def test_a_gzip_sibling_much_longer_than_its_file_is_not_read() -> None:
    longer = gzipped(CONTENT)[:10] + bytes(len(CONTENT) + 4096) + len(CONTENT).to_bytes(4, "little")
    read: list[int] = []

    def read_and_note(offset: int, length: int) -> bytes:
        read.append(length)
        return longer[offset : offset + length]

    assert not is_verified("gzip", read_and_note, len(longer), SMALL)
    assert max(read) == 4


@each_row("left", range(20))
def test_gzip_that_is_truncated_while_it_is_read_is_not_verified(left: int) -> None:
    octets = gzipped(CONTENT)
    cut = octets[:left]
    assert not is_verified("gzip", lambda offset, length: cut[offset : offset + length], len(octets), LARGE)


def test_gzip_with_a_reserved_flag_is_not_verified() -> None:
    octets = bytearray(gzipped(CONTENT))
    octets[3] = 0x20
    assert not verified("gzip", bytes(octets), LARGE)


@each_row("coding", ["gzip", "zstd"])
def test_an_empty_file_may_have_siblings(coding: str) -> None:
    assert verified(coding, FORMS[CODINGS[coding]](b""), Original(0, b""))


MAGIC = b"\x28\xb5\x2f\xfd"
LAST_BLOCK = b"\x09\x00\x00x"


@each_row(
    ("octets", "length", "expected"),
    [
        pytest.param(MAGIC + b"\x20\x01" + LAST_BLOCK, 1, True, id="one octet for the length"),
        pytest.param(MAGIC + b"\x60\x00\x00\x03\x08\x00x", 256, True, id="two octets, which start at 256; a run"),
        pytest.param(MAGIC + b"\xe0" + (1).to_bytes(8, "little") + LAST_BLOCK, 1, True, id="eight octets"),
        pytest.param(MAGIC + b"\x00\x00" + LAST_BLOCK, 99, True, id="no length: a stream"),
        pytest.param(MAGIC + b"\x00\x68" + LAST_BLOCK, 99, True, id="a window of 8 MiB"),
        pytest.param(MAGIC + b"\x00\x69" + LAST_BLOCK, 99, False, id="a window that clients refuse (RFC 9659)"),
        pytest.param(
            MAGIC + b"\xa0" + (9 << 20).to_bytes(4, "little") + LAST_BLOCK, 9 << 20, False, id="a segment of 9 MiB"
        ),
        pytest.param(MAGIC + b"\x21\x07\x01" + LAST_BLOCK, 1, False, id="a dictionary, which clients do not have"),
        pytest.param(MAGIC + b"\x28\x01" + LAST_BLOCK, 1, False, id="a reserved bit"),
        pytest.param(MAGIC + b"\x20\x01" + b"\x07\x00\x00x", 1, False, id="a reserved kind of block"),
        pytest.param(MAGIC + b"\x20\x01" + b"\x08\x00\x00x", 1, False, id="no last block"),
        pytest.param(MAGIC + b"\x24\x01" + LAST_BLOCK + b"abcd", 1, True, id="a checksum"),
        pytest.param(MAGIC + b"\x24\x01" + LAST_BLOCK, 1, False, id="a checksum that is missing"),
        pytest.param(b"\x50\x2a\x4d\x18\x00\x00\x00\x00" + zstandard(b"x"), 1, False, id="a skippable frame"),
    ],
)
def test_the_frame_of_zstandard_is_read(octets: bytes, length: int, expected: bool) -> None:
    assert verified("zstd", octets, Original(length, None)) is expected


def test_a_zstandard_sibling_of_too_many_blocks_is_not_read_to_its_end() -> None:
    head = MAGIC + b"\x00\x00"
    assert verified("zstd", head + b"\x00\x00\x00" * 4095 + b"\x01\x00\x00", LARGE)
    assert not verified("zstd", head + b"\x00\x00\x00" * 4096 + b"\x01\x00\x00", LARGE)


def bits(*fields: tuple[int, int]) -> bytes:
    """Pack *fields* into octets, lowest bit first. A field is a value and its number of bits."""
    value = position = 0
    for field, count in fields:
        value |= field << position
        position += count
    return value.to_bytes(8, "little") + b"\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0\xff"


LAST, NOT_LAST = (0b01, 2), (0, 1)


@each_row(
    ("octets", "expected"),
    [
        pytest.param(bits((0, 1), NOT_LAST, (0, 2), (999, 16)), True, id="as long as the file"),
        pytest.param(bits((0, 1), NOT_LAST, (0, 2), (499, 16)), True, id="shorter, and more follows"),
        pytest.param(bits((0, 1), NOT_LAST, (0, 2), (1000, 16)), False, id="longer than the file"),
        pytest.param(bits((0, 1), LAST, (0, 2), (999, 16)), True, id="the last, as long as the file"),
        pytest.param(bits((0, 1), LAST, (0, 2), (998, 16)), False, id="the last, and too short"),
        pytest.param(bits((0, 1), (0b11, 2)), False, id="the last, and empty"),
        pytest.param(bits((0b1011, 4), NOT_LAST, (0, 2), (999, 16)), True, id="a window of 22 bits"),
        pytest.param(bits((0b0000001, 7), NOT_LAST, (0, 2), (999, 16)), True, id="a window of 17 bits"),
        pytest.param(bits((0b0100001, 7), NOT_LAST, (0, 2), (999, 16)), True, id="a window of 10 bits"),
        pytest.param(bits((0b0010001, 7), NOT_LAST, (0, 2), (999, 16)), False, id="a large window: another format"),
        pytest.param(bits((0, 1), NOT_LAST, (1, 2), (999, 20)), False, id="more digits than the length needs"),
        pytest.param(bits((0, 1), NOT_LAST, (3, 2)), False, id="metadata"),
    ],
)
def test_the_first_meta_block_of_brotli_is_read(octets: bytes, expected: bool) -> None:
    assert verified("br", octets, Original(1000, None)) is expected


def test_a_long_meta_block_of_brotli_has_more_digits() -> None:
    assert verified("br", bits((0, 1), NOT_LAST, (1, 2), (99_999, 20)), Original(100_000, None))


@each_row("octets", [EMPTY_BROTLI, b"\x3b"])
def test_brotli_of_an_empty_file_is_one_octet(octets: bytes) -> None:
    assert verified("br", octets, Original(0, b""))
    assert not verified("br", octets, Original(1, b"x"))


@pytest.mark.parametrize(
    ("of_sibling", "of_original", "expected"),
    [
        pytest.param(LONG_AGO, LONG_AGO, True, id="the same age as the file"),
        pytest.param(LONG_AGO - 2, LONG_AGO, True, id="two seconds older, as by copying"),
        pytest.param(LONG_AGO - 3, LONG_AGO, False, id="three seconds older"),
        pytest.param(LONG_AGO + 97, LONG_AGO, True, id="three seconds ago"),
        pytest.param(LONG_AGO + 98, LONG_AGO, False, id="modified two seconds ago: it may still be written"),
        pytest.param(LONG_AGO + 200, LONG_AGO, False, id="in the future"),
    ],
)
def test_a_sibling_that_is_too_old_or_too_new_is_not_used(
    of_sibling: int, of_original: int, expected: bool, tmp_path: pathlib.Path
) -> None:
    statuses = []
    for name, modified in (("a.gz", of_sibling), ("a", of_original)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (modified, modified))
        statuses.append((tmp_path / name).stat())
    assert may_be_used(statuses[0], statuses[1], LONG_AGO + 100) is expected


def test_a_sibling_is_never_sent_while_it_is_written(
    serve: Callable[..., httpsock.Server], tmp_path: pathlib.Path
) -> None:
    """While gzip writes the sibling, the server sends the complete file."""
    if not shutil.which("gzip"):
        pytest.skip("gzip is not installed")
    octets = random.Random(1).randbytes(2 << 20)
    (tmp_path / "a.js").write_bytes(octets)
    os.utime(tmp_path / "a.js", (LONG_AGO, LONG_AGO))
    server = serve(tmp_path)

    def ask() -> str | None:
        answer, _ = read_answer(exchange(server.port, get("/a.js", "Accept-Encoding: gzip", "Connection: close")))
        coding = answer.field("Content-Encoding")
        assert (gzip.decompress(answer.content) if coding else answer.content) == octets
        return coding

    with subprocess.Popen(["gzip", "-k", "-9", tmp_path / "a.js"]) as writing:
        while writing.poll() is None:
            ask()
    # gzip gives the sibling the modification time of the file.
    assert ask() == "gzip"


@pytest.mark.parametrize("level", ["-1", "-19", "--no-check"])
@pytest.mark.parametrize("length", [1, 1000, 70_000, 1_000_000])
def test_zstd_itself_is_verified(level: str, length: int, tmp_path: pathlib.Path) -> None:
    if not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    octets = (CONTENT * 60)[:length]
    (tmp_path / "a").write_bytes(octets)
    named = subprocess.run(["zstd", "-q", "-c", level, tmp_path / "a"], check=True, capture_output=True).stdout
    piped = subprocess.run(["zstd", "-q", "-c", level], check=True, input=octets, capture_output=True).stdout
    for compressed in (named, piped):
        assert verified("zstd", compressed, Original(length, None))
        assert not verified("zstd", compressed[:-1], Original(length, None))
