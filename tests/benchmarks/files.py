"""Make the files that all servers serve."""

import gzip
import os
import pathlib
import random

# Last modified long ago: no server has a reason to think that a file may be changing.
_MODIFIED = 1_700_000_000
MANY = 1_000
LISTED = 1_000
SIBLING_OCTETS = 16 * 1024
_TEXT = b"abcdefgh {}();=\n"
LARGE_OCTETS = 100 * 2**20


def make_root(folder: pathlib.Path) -> pathlib.Path:
    """Make a folder below *folder* with all files for the workloads. Return the new folder."""
    root = make_small_files(folder)
    chance = random.Random(1)
    (root / "large").mkdir()
    (root / "large" / "64k.bin").write_bytes(chance.randbytes(64 * 1024))
    with (root / "large" / "100m.bin").open("wb") as large:
        for _ in range(LARGE_OCTETS // 2**20):
            large.write(chance.randbytes(2**20))
    (root / "names").mkdir()
    make_names(root / "names", LISTED)
    (root / "sibling").mkdir()
    text = bytes(chance.choices(_TEXT, k=SIBLING_OCTETS))
    (root / "sibling" / "app.js").write_bytes(text)
    (root / "sibling" / "app.js.gz").write_bytes(gzip.compress(text, mtime=0))
    age(root)
    return root


def make_small_files(folder: pathlib.Path) -> pathlib.Path:
    """Make a folder below *folder* with only the small files for the workloads. Return the new folder."""
    # The workers of nginx and others run as another user, who must be able to read the files.
    folder.chmod(0o755)
    root = folder / "root"
    chance = random.Random(1)
    for name in ("many", "page", "precompressed"):
        (root / name).mkdir(parents=True)
    (root / "1k.bin").write_bytes(chance.randbytes(1024))
    for number in range(MANY):
        (root / "many" / f"{number:04}.bin").write_bytes(chance.randbytes(1024))
        (root / "page" / f"{number:04}.png").write_bytes(chance.randbytes(1024))
        _write_with_siblings(root / "precompressed" / f"{number:04}.svg", bytes(chance.choices(_TEXT, k=1024)))
    age(root)
    return root


def _write_with_siblings(file: pathlib.Path, text: bytes) -> None:
    """Write *text* to *file*. Also write FILE.gz and FILE.br. *text* has at most 64 KiB.

    Both extra files contain the text uncompressed. All answers are therefore equally long.
    """
    file.write_bytes(text)
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(text, compresslevel=0, mtime=0))
    # RFC 7932 §9.2: a window of 16 bits, a meta-block that is not the last, its length less one, uncompressed; then an
    # empty last one.
    head = (len(text) - 1) << 4 | 1 << 20
    file.with_name(f"{file.name}.br").write_bytes(head.to_bytes(3, "little") + text + b"\3")


def make_names(folder: pathlib.Path, count: int) -> None:
    """Create *count* empty files in *folder*."""
    for number in range(count):
        (folder / f"name-{number:06}.txt").touch()


def age(root: pathlib.Path) -> None:
    """Give all files below *root* an old modification time. Let every user read them."""
    for folder, _, names in os.walk(root):
        pathlib.Path(folder).chmod(0o755)
        for name in names:
            pathlib.Path(folder, name).chmod(0o644)
            os.utime(pathlib.Path(folder, name), (_MODIFIED, _MODIFIED))
        os.utime(folder, (_MODIFIED, _MODIFIED))
