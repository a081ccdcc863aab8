"""Passwords: hash a password for --auth-hash, and read a hash for --auth.

Takes a file or the environment, gives the hash. Neither a password nor a hash is passed as an argument, since other
users of the machine can read arguments. Next: handlers/credentials.py.
"""

import os
import sys
from typing import NoReturn

from .arguments import ArgumentParser

# The environment variable with the hash, if no file has it.
VARIABLE = "HTTPSOCK_AUTH"
# No hash is longer; but a device such as /dev/zero has no end.
_MAX_OCTETS = 4096
_FAILED = 1


def read_hash(file: str | None) -> str:
    """Return the hash in *file*, or in the environment if *file* is None. Raise ValueError if the hash is missing."""
    if file is None:
        password_hash = os.environ.get(VARIABLE, "")
        if not password_hash:
            raise ValueError(f"the hash of the password is missing: give --auth-file FILE, or set {VARIABLE}")
    else:
        try:
            with open(file, "rb") as opened:
                password_hash = opened.read(_MAX_OCTETS).decode("latin-1")
        except OSError as error:
            raise ValueError(f"cannot read the file {file!r} of --auth-file: {error.strerror}") from None
    return password_hash.strip(" \t\r\n")


def print_hash(parser: ArgumentParser) -> NoReturn:
    """Read a password, print its hash, and exit."""
    try:
        # Some builds of Python lack scrypt.
        from httpsock.handlers.credentials import hash_password

        password_hash = hash_password(_read_password())
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "end of input"
        parser.exit(_FAILED, f"httpsock: cannot read the password: {reason}.\n")
    parser.print_output(f"{password_hash}\n")
    parser.exit()


def _read_password() -> str:
    """Return the password from standard input. On a terminal, ask twice.

    Raise ValueError if the two passwords differ.
    """
    if not sys.stdin or not sys.stdin.isatty():
        line = sys.stdin.buffer.readline(_MAX_OCTETS) if sys.stdin else b""
        return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
    import getpass

    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise ValueError("the two passwords differ")
    return password
