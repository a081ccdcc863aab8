"""The static-semantics checks: the duties of a server for files beyond the syntax (R082 to R148).

    site(root)                     makes the known folder, which the server under test is to serve
    is_served(session)                whether it does
    for check in CHECKS:
        fault = check.run(session)    None if what check.name says holds, else a sentence on what is wrong

A check raises InapplicableError, with a sentence, where the RFC makes a feature optional and the server lacks it;
that is no failure. MUST and SHOULD are the RFC's; SECURITY and POLICY are ours.
"""

from conformance.live.site import DIGITS, site

from . import conditions as semantic_conditions
from . import fields as semantic_fields
from . import messages as semantic_messages
from . import paths as semantic_paths
from . import ranges as semantic_ranges
from .session import Chapter, Check, FaultError, InapplicableError, Session, get

__all__ = ["CHAPTERS", "CHECKS", "Check", "InapplicableError", "Session", "is_served", "site"]


CHAPTERS: dict[str, Chapter] = {
    "messages": semantic_messages.CHECKS,
    "fields": semantic_fields.CHECKS,
    "conditions": semantic_conditions.CHECKS,
    "ranges": semantic_ranges.CHECKS,
    "paths": semantic_paths.CHECKS,
}
CHECKS: list[Check] = [check for chapter in CHAPTERS.values() for check in chapter]


def is_served(session: Session) -> bool:
    """Return whether the server of *session* serves the known folder."""
    try:
        return session.one(get("/digits.txt")).content == DIGITS
    except FaultError:
        return False
