"""The list of all checks: the duties of a file server beyond the syntax (R028, R041, R064, R082 to R152).

    site(root)                        make the known folder, which the server under test must serve
    is_served(session)                return whether the server serves it
    for check in CHECKS:
        fault = check.run(session)    return None if the sentence check.name is true, otherwise say what is wrong

If the server lacks an optional feature, a check raises InapplicableError, which is no failure. The RFCs define the
levels MUST and SHOULD. SECURITY and POLICY are levels of this project.
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
    """Return whether the server serves the folder of known files."""
    try:
        return session.one(get("/digits.txt")).content == DIGITS
    except (FaultError, InapplicableError):
        return False
