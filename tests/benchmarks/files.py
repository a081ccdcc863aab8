"""The folder that all servers serve, and its files."""

import gzip
import os
import pathlib
import random

# Last modified long ago: no server has a reason to think that a file may be changing.
_MODIFIED = 1_700_000_000
MANY = 1_000
LISTED = 1_000
SIBLING_OCTETS = 16 * 1024
LARGE_OCTETS = 100 * 2**20


def make_root(folder: pathlib.Path) -> pathlib.Path:
    """Return a new folder below *folder* with the files that the workloads ask for."""
    # nginx and others give up being root: their workers must be able to read all this.
    folder.chmod(0o755)
    root = folder / "root"
    chance = random.Random(1)
    for name in ("large", "many", "names", "sibling"):
        (root / name).mkdir(parents=True)
    (root / "1k.bin").write_bytes(chance.randbytes(1024))
    (root / "large" / "64k.bin").write_bytes(chance.randbytes(64 * 1024))
    with (root / "large" / "100m.bin").open("wb") as large:
        for _ in range(LARGE_OCTETS // 2**20):
            large.write(chance.randbytes(2**20))
    for number in range(MANY):
        (root / "many" / f"{number:04}.bin").write_bytes(chance.randbytes(1024))
    make_names(root / "names", LISTED)
    text = bytes(chance.choices(b"abcdefgh {}();=\n", k=SIBLING_OCTETS))
    (root / "sibling" / "app.js").write_bytes(text)
    (root / "sibling" / "app.js.gz").write_bytes(gzip.compress(text, mtime=0))
    age(root)
    return root


def make_names(folder: pathlib.Path, count: int) -> None:
    """Put *count* files without content into *folder*."""
    for number in range(count):
        (folder / f"name-{number:06}.txt").touch()


def age(root: pathlib.Path) -> None:
    """Let all below *root* be last modified long ago, and readable to all."""
    for folder, _, names in os.walk(root):
        pathlib.Path(folder).chmod(0o755)
        for name in names:
            pathlib.Path(folder, name).chmod(0o644)
            os.utime(pathlib.Path(folder, name), (_MODIFIED, _MODIFIED))
        os.utime(folder, (_MODIFIED, _MODIFIED))
