"""The errors that cross a port. Anything else that is raised is a bug, and is reported as one.

    ModelyardError
    ├── Invalid        the other side understood and refused; asking again without a change is useless
    │   └── Forbidden  ... because of the credentials
    ├── Unavailable    no answer, or an answer that says "later"; asking again may help
    │   └── Ambiguous  ... and the write may have happened: search before repeating it
    └── Conflict       somebody else was faster, or holds the name

Messages are ours: they name the dependency, the operation and the object, never a response body, a
URL with a signature or a credential (design/api.md and I11 of bar/reliability.md).
"""

from typing import Literal

__all__ = [
    "Ambiguous",
    "Conflict",
    "Dependency",
    "Forbidden",
    "Invalid",
    "ModelyardError",
    "Unavailable",
]

Dependency = Literal["MLflow", "S3", "Kubernetes", "CloudEvents"]


class ModelyardError(Exception):
    """Base of all errors that a port may raise.

    Attributes:
        dependency: Who answered, or did not.
        operation: What was asked, in words: `create experiment`.
        subject: The object that it was asked about: `risk/fraud`.
        detail: What the user can act on; empty when there is nothing to add.

    """

    def __init__(
        self, dependency: Dependency, operation: str, subject: str, detail: str = ""
    ) -> None:
        self.dependency: Dependency = dependency
        self.operation = operation
        self.subject = subject
        self.detail = detail
        super().__init__(f"{dependency}: {operation} {subject}" + (f": {detail}" if detail else ""))


class Invalid(ModelyardError):
    """The request was understood and refused."""


class Forbidden(Invalid):
    """The credentials are wrong, or do not reach this object."""


class Unavailable(ModelyardError):
    """Nobody answered in time, or the answer says that it is not now.

    Attributes:
        retry_after: Seconds that the other side asks us to wait; 0 when it said nothing.

    """

    retry_after: float = 0.0


class Ambiguous(Unavailable):
    """A write got no clear answer: it may have happened."""


class Conflict(ModelyardError):
    """The object changed under our hands, or the name is taken."""
