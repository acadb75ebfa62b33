"""The errors that ports raise. Any other exception is a bug, and is reported as one.

    ModelyardError
    ├── Invalid        understood and refused; the same request would be refused again
    │   └── Forbidden  ... because of the credentials
    ├── Unavailable    no answer, or an answer that says "later"; asking again may help
    │   └── Ambiguous  ... and the write may have happened: search before repeating it
    └── Conflict       another writer was faster, or holds the name

Messages name the dependency, the operation and the object. They never contain a response body, a
signed URL or a credential (design/api.md and I11 of bar/reliability.md).
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
        dependency: The external system.
        operation: The operation, in words: `create experiment`.
        subject: The object of the operation: `risk/fraud`.
        detail: What helps a user to act; may be empty.

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
    """The other side understood the request and refused it."""


class Forbidden(Invalid):
    """The credentials are wrong, or lack the right to this object."""


class Unavailable(ModelyardError):
    """There was no answer in time, or the answer says to retry later.

    Attributes:
        retry_after: Seconds after which to retry, if the other side gave a time; else 0.

    """

    retry_after: float = 0.0


class Ambiguous(Unavailable):
    """A write had no clear answer: it may have taken effect."""


class Conflict(ModelyardError):
    """The object changed concurrently, or the name is taken."""
