"""The folder of known files, with fixed content and dates. The checks of responses request these files.

Some systems do not support a sparse file, a FIFO, or a name that is not UTF-8. The folder then lacks this file, and the
checks that need it do not apply.
"""

import contextlib
import gzip
import os
import socket
from pathlib import Path

DIGITS = b"0123456789"
BIG = b"".join(b"%07d\n" % number for number in range(0, 3 << 20, 8))
SPARSE_OCTETS = (5 << 30) + 3
STYLE = b"body { margin: 0; padding: 0; color: black }\n" * 40
# A file outside the folder that no path must reach: every Unix has it, and it contains OUTSIDE_MARK.
OUTSIDE = "/etc/passwd"
OUTSIDE_MARK = b"root:"
MODIFIED = 1_614_834_367
FUTURE = 4_102_444_800

_FILES: dict[bytes, bytes] = {
    b"index.html": b"<!doctype html><title>The root</title>\n",
    b"digits.txt": DIGITS,
    b"letters.txt": b"abcdefghij",
    b"empty.txt": b"",
    b"big.bin": BIG,
    b"style.css": STYLE,
    b"style.css.gz": gzip.compress(STYLE, mtime=0),
    b"script.js": b"void 0;\n",
    b"data.json": b"{}\n",
    b"picture.png": b"\x89PNG\r\n\x1a\n",
    b"drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>\n',
    b"page.html": b"<!doctype html><title>A page</title>\n",
    b"future.txt": b"from tomorrow\n",
    b"charset/utf-8.html": "<!doctype html><title>Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n</title>\n".encode(),
    b"charset/latin-1.html": b"<!doctype html><title>Gr\xfcn</title>\n",
    b"charset/latin-1.txt": b"Gr\xfcn\n",
    b"charset/latin-1.css": b"/* Gr\xfcn */ body { margin: 0 }\n",
    b"charset/latin-1.js": b'void "Gr\xfcn";\n',
    b"charset/latin-1.svg": b"<?xml version='1.0' encoding='ISO-8859-1'?>\n<svg><title>Gr\xfcn</title></svg>\n",
    b"charset/windows-1251.xml": b'<?xml version="1.0" encoding="windows-1251"?>\n<a>\xc4\xe0</a>\n',
    b"charset/shift-jis.html": b"<!doctype html><title>\x93\xfa\x96{</title>\n",
    b"charset/gbk.csv": b"\xd6\xd0\xce\xc4,1\n",
    b"charset/iso-2022-jp.html": b"<!doctype html><title>\x1b$BF|K\\\x1b(B</title>\n",
    b"charset/utf-16.html": "\ufeff<!doctype html><title>A page</title>\n".encode("utf-16-le"),
    b"charset/declared.html": b'<!doctype html><META CHARSET="iso-8859-1"><title>A page</title>\n',
    b"charset/declared-as-field.html": b'<meta http-equiv=Content-Type content="text/html; charset=koi8-r">\n',
    b"charset/declared.css": b'@charset "iso-8859-1";\nbody { margin: 0 }\n',
    b"charset/declared.xml": b'<?xml version="1.0" encoding="iso-8859-1"?>\n<a/>\n',
    b"folder/index.html": b"<!doctype html><title>A folder</title>\n",
    b"folder/inner.txt": b"inner\n",
    b"listing/<b>bold.txt": b"bold\n",
    b"listing/plain.txt": b"plain\n",
    b".hidden": b"hidden: nobody shall read this\n",
    b".folder/config": b"hidden: nobody shall read this\n",
    b"with space.txt": b"a space\n",
    b"a+b.txt": b"a plus\n",
    b"%41.txt": b"a percent sign\n",
    b"A.txt": b"no percent sign\n",
    b"what?.txt": b"a question mark\n",
    b"num#ber.txt": b"a number sign\n",
    b"semi;colon=1,2.txt": b"reserved characters\n",
    b"it's(a)~!$&*@:x.txt": b"more reserved characters\n",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}.txt".encode(): b"an accent\n",
    "\N{HIRAGANA LETTER A}.txt".encode(): b"a kana\n",
    b"stops...txt": b"three full stops\n",
    b"two..stops.txt": b"two full stops\n",
    b"latin-\xe9.txt": b"a name that is no UTF-8\n",
}

_LINKS = {
    "inner-link.txt": "digits.txt",
    "inner-folder": "folder",
    "broken-link.txt": "nothing-here",
    "loop": "loop",
    "outside-link.txt": OUTSIDE,
    "outside-folder": "/etc",
}


def site(root: Path) -> None:
    """Create the known files in *root*, an empty folder."""
    for name, octets in _FILES.items():
        path = os.fsencode(root) + b"/" + name
        # Some systems do not allow some of these names.
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(octets)
            os.utime(path, (MODIFIED, MODIFIED))
    _make_odd_objects(root)
    os.utime(root / "future.txt", (FUTURE, FUTURE))


def _make_odd_objects(root: Path) -> None:
    """Make symbolic links, a sparse file, a FIFO, a socket and an unreadable file, if the system supports them."""
    for name, target in _LINKS.items():
        with contextlib.suppress(OSError):
            (root / name).symlink_to(target)
    with contextlib.suppress(OSError), open(root / "sparse.bin", "wb") as file:
        file.truncate(SPARSE_OCTETS - 3)
        file.seek(SPARSE_OCTETS - 3)
        file.write(b"end")
    with contextlib.suppress(OSError, AttributeError):
        os.mkfifo(root / "fifo")
    with contextlib.suppress(OSError, AttributeError), socket.socket(socket.AF_UNIX) as unix_socket:
        unix_socket.bind(str(root / "socket"))
    with contextlib.suppress(OSError):
        (root / "unreadable.txt").write_bytes(b"unreadable\n")
        (root / "unreadable.txt").chmod(0)
