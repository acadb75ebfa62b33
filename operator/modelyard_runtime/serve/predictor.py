"""What a loaded model can do for the protocols, whatever it is made of.

Protocols and models do not belong here: this is the line between them.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from modelyard_runtime.serve.signature import Signature
from modelyard_runtime.serve.values import Table

__all__ = ["Answer", "Predictor", "Request"]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    body: bytes
    """Uncompressed."""
    content_type: str = "application/json"
    head: str | None = None
    """The header Inference-Header-Content-Length: where the JSON of V2 ends and binary tensors begin."""


@dataclass(frozen=True)
class Answer:
    """What a client gets."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    rows: int = 0
    """How many rows were predicted."""
    allow: bytes | None = None
    """The methods that the path knows, when it was asked by another one."""
    head: int | None = None
    """Bytes of the body before binary tensors, if there are any."""


class Predictor(Protocol):
    """A loaded model. Its methods may be called from several threads."""

    platform: str
    """As V2's metadata has it."""
    quick: bool
    """True: a small request takes well under a millisecond, less than handing it to a thread."""

    @property
    def signature(self) -> Signature | None:
        """What it takes and gives, if that is known."""

    def predict(self, table: Table) -> Any:
        """Return predictions: an array, a list, or a pandas object.

        Raises:
            Refused: The input does not fit the signature.

        """

    def invocations(self, body: bytes, content_type: str) -> Answer:
        """Answer as `mlflow models serve` would.

        Raises:
            Refused: As MLflow refuses.

        """
