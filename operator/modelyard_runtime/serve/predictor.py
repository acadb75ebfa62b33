"""What a loaded model can do for the protocols, whatever it is made of.

Protocols and models do not belong here: this is the line between them.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

from modelyard_runtime.serve.signature import Signature
from modelyard_runtime.serve.values import Table

__all__ = ["Answer", "Asked", "Predictor", "Request", "answered"]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    body: bytes
    """Uncompressed."""
    content_type: str = "application/json"
    head: str | None = None
    """The header Inference-Header-Content-Length: where the JSON of V2 ends and binary tensors
    begin.
    """


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
    by: tuple[bytes, bytes] | None = None
    """Version and identity of the candidate that has given it; None: it was given here."""
    took: float | None = None
    """Seconds from when the body was there; where the client asks for them."""


class Predictor(Protocol):
    """A loaded model. Its methods may be called from several threads."""

    platform: str
    """As V2's metadata has it."""
    quick: bool
    """True: a small request takes well under a millisecond, less than handing it to a thread.

    What `given` returns is then an array of rows that may be predicted together with the rows of
    other requests: each row has one prediction, which depends on no other row.
    """

    @property
    def signature(self) -> Signature | None:
        """What it takes and gives, if that is known."""

    def given(self, table: Table) -> Any:
        """Return an input as the model takes it.

        Raises:
            Refused: It does not fit the signature.

        """

    def predict(self, given: Any) -> Any:
        """Return predictions of what `given` has returned: an array, a list, or a pandas object.

        Raises:
            Refused: The model refuses it.

        """

    def invocations(self, body: bytes, content_type: str) -> "Asked":
        """Answer as `mlflow models serve` would.

        Raises:
            Refused: As MLflow refuses.

        """


Asked = Generator[Any, Any, Answer]
"""A request that is being answered.

It yields what is to be predicted, once at most, is sent the predictions, and returns the answer.
Its caller decides where, and together with what, that is predicted.
"""


def answered(asked: Asked, model: Predictor) -> Answer:
    """Answer a request by itself."""
    try:
        asked.send(model.predict(next(asked)))
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return] # the generator's
    raise RuntimeError("a request asks once")
