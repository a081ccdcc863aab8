"""Verdicts: the result of a parser in the short form that the tables of the corpus use."""

from typing import NamedTuple


class Understood(NamedTuple):
    """One whole request: the number of *fields*, the octets of *content*; *closes* if it is the last one.

    A *method* or *path* of more than 60 characters is cut there.
    """

    method: str
    path: str
    fields: int
    content: int
    closes: bool = False


class Verdict(NamedTuple):
    """The requests *accepted*, in order, and the *status* of the refusal after them, if any."""

    accepted: tuple[Understood, ...]
    status: int | None = None

    @property
    def is_refused(self) -> bool:
        """Whether a part of the octets was refused."""
        return self.status is not None

    def agrees_with(self, other: "Verdict") -> bool:
        """Return whether both accept the same requests, and both or neither refuse the rest."""
        # A parser gives the status as a hint at most: the server that uses it chooses.
        return (self.accepted, self.is_refused) == (other.accepted, other.is_refused)
