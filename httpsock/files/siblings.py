"""Siblings: verify that a compressed file (app.js.gz) has the content of the file beside it (app.js).

Takes a function that reads the sibling, and the length of the file. Decides whether the sibling may be sent. A sibling
may be empty, cut off, still being written, or compressed from another file. So its octets are checked first. The
checks show, as far as possible, that the sibling is complete and has the content of the file.

    gzip    RFC 1952 §2.3    If the file is small, decompress and compare. Otherwise, check the signature and ISIZE, the
                             length modulo 2^32 in the last four octets. A file that was cut off has lost these octets.
    zstd    RFC 8878 §3.1    Check the signature, the Frame_Content_Size if there is one, and all blocks up to the last.
                             The window must be one that clients accept (RFC 9659 §3).
    br      RFC 7932 §9      Check the window, and the length of the first meta-block. Brotli has no signature, and only
                             a decoder could find its end. So reject the signatures of other formats.

RFC 9110 §8.4 (Content-Encoding).
"""

import os
import zlib
from collections.abc import Callable
from typing import NamedTuple

from httpsock.http.charsets import is_text, is_utf8

# A sibling that is older than its file comes from another version of the file. Allow 2 s, for copying.
_SLACK_NS = 2_000_000_000
# A sibling that was changed this recently may be incomplete.
_SETTLED_SECONDS = 2.0

_GZIP = b"\x1f\x8b\x08"
_MIN_GZIP = 18
# gzip adds at most this much to incompressible octets, including a name and a comment of common length.
_MAX_GZIP_ADDED = 4096
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAX_ZSTD_HEAD = 18
_ZSTD_RLE, _ZSTD_RESERVED = 1, 3
# RFC 9659 §3: a decoder need not have a larger window.
_MAX_ZSTD_WINDOW = 8 * 1024 * 1024
# Only the heads of blocks are read. This many blocks have up to 512 MiB of content, and take some milliseconds.
_MAX_ZSTD_BLOCKS = 4096

_BROTLI_HEAD = 64
# A shorter Brotli stream may look like text.
_MIN_BROTLI = 16
# If a file was allocated, but not written to its end, it ends in zeros.
_BROTLI_TAIL = 8
_OTHER_FORMATS = (_GZIP, _ZSTD, b"PK\x03\x04", b"\x89PNG", b"\x7fELF", b"BZh", b"\xfd7zXZ", b"\xff\xd8\xff")

# Read(offset, length) returns at most *length* octets of the sibling from *offset* on.
Read = Callable[[int, int], bytes]


class Original(NamedTuple):
    """The uncompressed file: its length, and its octets if the file is small."""

    length: int
    octets: bytes | None


def may_be_used(sibling: os.stat_result, original: os.stat_result, now: float) -> bool:
    """Return whether *sibling* is at least as new as the *original* file, and is not still being written."""
    # The time of modification is enough. A file that is being written has a recent time. A copy gets the time of its
    # source only when it is complete.
    is_settled = sibling.st_mtime + _SETTLED_SECONDS < now
    return is_settled and sibling.st_mtime_ns >= original.st_mtime_ns - _SLACK_NS


def is_verified(coding: str, read: Read, length: int, original: Original) -> bool:
    """Return whether a compressed file has the content of *original*, as far as its octets can show this.

    *read* reads from the compressed file, which has *length* octets.
    """
    verify = {"gzip": _is_verified_gzip, "zstd": _is_verified_zstd, "br": _is_verified_brotli}[coding]
    return verify(read, length, original)


def _is_verified_gzip(read: Read, length: int, original: Original) -> bool:
    """Return whether a gzip file has the length of *original* and, if *original* is small, the same content.

    A gzip file may have several members, but many clients read only the first. So the content must be a single member.
    """
    # RFC 1952 §2.3.1.2: a reserved flag changes the format.
    head = read(0, 4)
    # The file may have been cut since stat().
    if length < _MIN_GZIP or len(head) < 4 or not head.startswith(_GZIP) or head[3] & 0b11100000:
        return False
    if int.from_bytes(read(length - 4, 4), "little") != original.length & 0xFFFFFFFF:
        return False
    if original.octets is None:
        return True
    return length <= original.length + _MAX_GZIP_ADDED and _decompresses_to(read(0, length), original.octets)


def _decompresses_to(compressed: bytes, octets: bytes) -> bool:
    """Return whether *compressed* is one gzip member whose content is exactly *octets*."""
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        # Decompress one octet more than expected: enough to notice longer content, and to reach the end.
        content = decompressor.decompress(compressed, len(octets) + 1)
    except zlib.error:
        return False
    return content == octets and decompressor.eof and not decompressor.unused_data


def _is_verified_zstd(read: Read, length: int, original: Original) -> bool:
    """Return whether a Zstandard file is a single, complete frame.

    If the frame states a length, this length must match.
    """
    head = read(0, _MAX_ZSTD_HEAD)
    if len(head) < 6 or not head.startswith(_ZSTD):
        return False
    # RFC 8878 §3.1.1.1: descriptor, window unless single segment, dictionary, content length.
    descriptor = head[4]
    is_single_segment = descriptor >> 5 & 1
    size_octets = (is_single_segment, 2, 4, 8)[descriptor >> 6]
    offset = 5
    window = 0
    if not is_single_segment:
        exponent, mantissa = head[5] >> 3, head[5] & 7
        window = (1 << 10 + exponent) * (8 + mantissa) // 8
        offset += 1
    # Reject a dictionary, which clients lack, and the reserved bit.
    if descriptor & 0b1011:
        return False
    if size_octets:
        content_length = int.from_bytes(head[offset : offset + size_octets], "little") + 256 * (size_octets == 2)
        if content_length != original.length:
            return False
        window = window or content_length
        offset += size_octets
    if window > _MAX_ZSTD_WINDOW:
        return False
    end = _end_of_zstd_blocks(read, offset)
    return end is not None and end + 4 * (descriptor >> 2 & 1) == length


def _end_of_zstd_blocks(read: Read, offset: int) -> int | None:
    """Return where the blocks that start at *offset* end, or None if the blocks are incomplete (RFC 8878 §3.1.1.2)."""
    for _ in range(_MAX_ZSTD_BLOCKS):
        head = read(offset, 3)
        if len(head) < 3:
            return None
        fields = int.from_bytes(head, "little")
        is_last, kind, size = fields & 1, fields >> 1 & 3, fields >> 3
        if kind == _ZSTD_RESERVED:
            return None
        offset += 3 + (1 if kind == _ZSTD_RLE else size)
        if is_last:
            return offset
    return None


def _is_verified_brotli(read: Read, length: int, original: Original) -> bool:
    """Return whether a file may be *original*, compressed with Brotli. Check only the file's first and last octets."""
    head = read(0, _BROTLI_HEAD)
    if head.startswith(_OTHER_FORMATS):
        return False
    if len(head) >= _MIN_BROTLI and is_text(head) and is_utf8(head, is_whole=False):
        return False
    if length > _BROTLI_TAIL and not any(read(length - _BROTLI_TAIL, _BROTLI_TAIL)):
        return False
    return bool(head) and _fits_brotli(int.from_bytes(head[:8], "little"), original.length)


def _fits_brotli(bits: int, content_length: int) -> bool:
    """Return whether a stream that starts with *bits* may have *content_length* octets of content (RFC 7932 §9).

    The lowest bit comes first. The first meta-block must not be longer than the content. If there is no other
    meta-block, the first meta-block must be exactly as long as the content.
    """
    window_bits = _brotli_window_bits(bits)
    if window_bits is None:
        return False
    bits >>= window_bits
    is_last = bits & 1
    bits >>= 1
    if is_last:
        if bits & 1:
            # An empty meta-block: the whole content is empty.
            return content_length == 0
        bits >>= 1
    nibbles = 4 + (bits & 3)
    if nibbles == 7:
        # A metadata block; encoders do not start with one.
        return False
    last_position = bits >> 2 & (1 << 4 * nibbles) - 1
    if nibbles > 4 and last_position < 1 << 4 * (nibbles - 1):
        return False
    return last_position + 1 == content_length if is_last else last_position < content_length


def _brotli_window_bits(bits: int) -> int | None:
    """Return how many bits encode the window size. *bits* are the first bits of the file, as a number.

    For Large Window Brotli, return None.
    """
    if not bits & 1:
        return 1
    if bits & 0b1110:
        return 4
    return None if bits & 0b1110000 == 0b0010000 else 7
