"""How one reconcile ended."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from modelyard.api.conditions import CONNECTION_OPERATION
from modelyard.errors import Conflict, Forbidden, ModelyardError, Unavailable

__all__ = ["Outcome", "ReconcileResult", "down_dependency", "result_without_status"]


class Outcome(StrEnum):
    """How a reconcile ended; a label of the metric `modelyard_reconciles`."""

    SETTLED = "settled"
    """Nothing is left to do."""
    BUSY = "busy"
    """There is more to do; the object was queued again, behind other objects."""
    CONFLICT = "conflict"
    """Another client wrote the object first: observe again."""
    UNAVAILABLE = "unavailable"
    """Kubernetes did not answer, so nothing could be reported either."""
    FAILED = "failed"
    """An error, which the status reports."""
    INVALID = "invalid"
    """The object does not fit its kind."""
    BUG = "bug"
    """An exception that should not exist; the status reports it."""
    GONE = "gone"
    """The object is gone, or nothing external is left of it."""
    SKIPPED = "skipped"
    """Nothing has changed since the last reconcile, and the next is not due."""


@dataclass(frozen=True)
class ReconcileResult:
    """How one reconcile ended.

    Attributes:
        outcome: How it ended, in one word.
        fingerprint: The fingerprint of what the last round observed; None: nothing was observed.
        requeue_after: Time until the next reconcile that the plan asks for.
        retry_after: Seconds that the dependency asked the operator to wait.
        down: The dependency that does not answer, or refuses, all objects of the namespace:
            `MLflow`, `S3`, or `connection` if there is no usable Secret.
        quiet: Whether the reconcile wrote nothing.

    """

    outcome: Outcome
    fingerprint: int | None = None
    requeue_after: timedelta | None = None
    retry_after: float = 0.0
    down: str | None = None
    quiet: bool = False


def down_dependency(error: ModelyardError) -> str | None:
    """Return what is down for the whole namespace (`ReconcileResult.down`); None if nothing is."""
    if error.operation == CONNECTION_OPERATION:
        return "connection"
    for_all = isinstance(error, Unavailable | Forbidden) and error.dependency != "Kubernetes"
    return error.dependency if for_all else None


def result_without_status(error: ModelyardError) -> ReconcileResult:
    """Return the result of a reconcile that could not write the error to the status."""
    if isinstance(error, Unavailable):
        return ReconcileResult(Outcome.UNAVAILABLE, retry_after=error.retry_after)
    return ReconcileResult(Outcome.CONFLICT if isinstance(error, Conflict) else Outcome.FAILED)
