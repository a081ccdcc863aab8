"""The program that ``python3 -m httpsock`` starts."""

import sys

if not __package__:
    # Started by its path, it has this folder first on the module path: "import http" would import httpsock/http.
    sys.stderr.write("httpsock: start it as python3 -m httpsock, with Python 3.11 or newer.\n")
    sys.exit(2)

from httpsock.cli.commands import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
