"""The interface between the protocols and a loaded model."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

from modelyard_runtime.serve.signature import Signature
from modelyard_runtime.serve.values import Table

__all__ = ["Answer", "AnswerGenerator", "Predictor", "Request", "answered"]


@dataclass(frozen=True)
class Request:
    """A client's request."""

    body: bytes
    """Uncompressed."""
    content_type: str = "application/json"
    head: str | None = None
    """The header Inference-Header-Content-Length: bytes of V2's JSON before binary tensors."""


@dataclass(frozen=True)
class Answer:
    """The answer to a client."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    rows: int = 0
    """The number of predicted rows."""
    allow: bytes | None = None
    """For a wrong method: the methods of the path."""
    head: int | None = None
    """Bytes of the body before binary tensors, if there are any."""
    by: tuple[bytes, bytes] | None = None
    """Version and runtime identity of the candidate that answered; None: this pod answered."""
    took: float | None = None
    """For a forwarded request: seconds since its body had arrived."""


class Predictor(Protocol):
    """A loaded model. Its methods may be called from several threads."""

    platform: str
    """Its name in V2's metadata."""
    quick: bool
    """Whether a small request takes well under a millisecond, less than a switch to a thread.

    `given` then returns an array of rows that may be predicted together with the rows of other
    requests: each row has one prediction, which does not depend on other rows.
    """

    @property
    def signature(self) -> Signature | None:
        """Its inputs and outputs, if they are known."""

    def given(self, table: Table) -> Any:
        """Return an input in the form that the model takes.

        Raises:
            Refused: It does not fit the signature.

        """

    def predict(self, given: Any) -> Any:
        """Return predictions of what `given` has returned: an array, a list, or a pandas object.

        Raises:
            Refused: The model refuses it.

        """

    def invocations(self, body: bytes, content_type: str) -> "AnswerGenerator":
        """Answer as `mlflow models serve` would.

        Raises:
            Refused: MLflow would refuse the request.

        """


AnswerGenerator = Generator[Any, Any, Answer]
"""A generator that answers one request.

It yields the rows to predict, at most once, receives their predictions, and returns the answer. So
its caller decides in which thread the rows are predicted, and with which other rows.
"""


def answered(generator: AnswerGenerator, model: Predictor) -> Answer:
    """Answer a single request, predicting it alone."""
    try:
        generator.send(model.predict(next(generator)))
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return] # the generator's
    raise RuntimeError("a request yields rows only once")
