"""Verdicts: the result of a parser, in the short form that the tables of the corpus use."""

from typing import NamedTuple


class Understood(NamedTuple):
    """One complete request that a parser found. *fields* counts its fields. *content* is the length of its content.

    If *closes* is true, the request is the last one of its connection. *method* and *path* are cut after 60 characters.
    """

    method: str
    path: str
    fields: int
    content: int
    closes: bool = False


class Verdict(NamedTuple):
    """A parser's verdict on some octets: the accepted requests.

    If the parser refused the rest, *status* is the status code of the refusal.
    """

    accepted: tuple[Understood, ...]
    status: int | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the parser refused the octets, entirely or in part."""
        return self.status is not None

    def agrees_with(self, other: "Verdict") -> bool:
        """Return whether both verdicts accept the same requests and agree on a refusal. The status does not matter."""
        # The status of a refusal is not compared: a parser only suggests one, and the server around it chooses.
        return (self.accepted, self.is_refused) == (other.accepted, other.is_refused)
