"""The application that granian insists on; its files are served before it is asked."""

from collections.abc import Callable
from typing import Any


def application(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
    """Answer that nothing is here."""
    start_response("404 Not Found", [("Content-Length", "0")])
    return []
