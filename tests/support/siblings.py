"""Encode octets in the formats of content codings. Only gzip compresses. Zstandard and Brotli store raw octets."""

import gzip

ZSTD_MAX_BLOCK = 128 * 1024


def gzipped(octets: bytes) -> bytes:
    """Return *octets* as one gzip member (RFC 1952)."""
    return gzip.compress(octets, mtime=0)


def zstandard(octets: bytes, *, checksum: bytes = b"") -> bytes:
    """Return *octets* as one Zstandard frame of raw blocks (RFC 8878 §3.1). The frame header has the content length."""
    # A single segment, with a Frame_Content_Size of 4 octets.
    head = b"\x28\xb5\x2f\xfd" + bytes([0b10100000 | 4 * bool(checksum)]) + len(octets).to_bytes(4, "little")
    starts = range(0, max(len(octets), 1), ZSTD_MAX_BLOCK)
    blocks = []
    for start in starts:
        block = octets[start : start + ZSTD_MAX_BLOCK]
        is_last = start == starts[-1]
        blocks.append((len(block) << 3 | is_last).to_bytes(3, "little") + block)
    return head + b"".join(blocks) + checksum


def brotli(octets: bytes) -> bytes:
    """Return 1 to 65,536 *octets* as one uncompressed Brotli meta-block (RFC 7932 §9)."""
    # The bits: a window of 22 bits, not the last, 4 nibbles of MLEN - 1, uncompressed; then an empty last meta-block.
    return (0b1011 | len(octets) - 1 << 7 | 1 << 23).to_bytes(3, "little") + octets + b"\x03"


FORMS = {".br": brotli, ".zst": zstandard, ".gz": gzipped}
