"""Types of command-line arguments: a file or a folder that a command will write.

A command may run for minutes before it writes. So an argument that can't work is refused before the run.
"""

import os
from argparse import ArgumentTypeError
from pathlib import Path


def output_file(text: str) -> Path:
    """Return *text* as a path. If no file can be written there, raise ArgumentTypeError."""
    path = Path(text)
    if not text or path.is_dir():
        raise ArgumentTypeError(f"{text!r} is a folder, not a file" if text else "the name of the file is empty")
    # An existing file such as /dev/stdout may be in a folder in which this user can make no files.
    if not path.exists():
        _check_folder(path.parent)
    elif not os.access(path, os.W_OK):
        raise ArgumentTypeError(f"{text} can't be written")
    return path


def output_folder(text: str) -> Path:
    """Return *text* as a path. If the folder neither exists nor can be made, raise ArgumentTypeError."""
    path = Path(text)
    existing = path
    while not existing.exists():
        existing = existing.parent
    _check_folder(existing)
    return path


def _check_folder(path: Path) -> None:
    """If *path* is not a folder for new files, raise ArgumentTypeError."""
    if not path.is_dir():
        raise ArgumentTypeError(f"there is no folder {path}")
    if not os.access(path, os.W_OK):
        raise ArgumentTypeError(f"the folder {path} can't be written")
