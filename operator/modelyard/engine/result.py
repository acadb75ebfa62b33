"""How one reconcile ended."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from modelyard.api.conditions import CONNECTION_OPERATION
from modelyard.errors import Conflict, Forbidden, ModelyardError, Unavailable

__all__ = ["Outcome", "ReconcileResult", "down_dependency", "unreported"]


class Outcome(StrEnum):
    """How a reconcile ended; a label of the metric `modelyard_reconciles`."""

    SETTLED = "settled"
    """Nothing is left to do."""
    BUSY = "busy"
    """There is more to do; other objects have their turn first."""
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
        fingerprint: Of what the last round observed; None if nothing was observed.
        requeue_after: When the plan wants the next reconcile.
        retry_after: Seconds that the dependency asked us to wait.
        down: The dependency that refuses or does not answer this namespace: `MLflow`, `S3`, or
            `connection` without a usable Secret. It is down for all objects of the namespace.
        quiet: Whether nothing had changed and nothing was written.

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


def unreported(error: ModelyardError) -> ReconcileResult:
    """Return the result of a reconcile whose status could not be written."""
    if isinstance(error, Unavailable):
        return ReconcileResult(Outcome.UNAVAILABLE, retry_after=error.retry_after)
    return ReconcileResult(Outcome.CONFLICT if isinstance(error, Conflict) else Outcome.FAILED)
