"""An empty application. granian requires an application, but serves files without calling it."""

from collections.abc import Callable
from typing import Any


def application(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
    """Answer 404."""
    start_response("404 Not Found", [("Content-Length", "0")])
    return []
