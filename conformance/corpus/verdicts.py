"""Verdicts: the result of a parser, reduced to what the tables of the corpus state."""

from typing import NamedTuple


class Understood(NamedTuple):
    """One complete request; *fields* is the number of its fields, and *content* is the length of its content in octets.

    *closes* is true for the last request of a connection. *method* and *path* are cut after 60 characters.
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
        """Whether the parser refused some of the octets."""
        return self.status is not None

    def agrees_with(self, other: "Verdict") -> bool:
        """Return whether both verdicts accept the same requests, and either both or neither refuse the rest."""
        # The status of a refusal is not compared: a parser only suggests one, and the server around it chooses.
        return (self.accepted, self.is_refused) == (other.accepted, other.is_refused)
