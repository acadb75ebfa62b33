"""How one reconcile ended."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

__all__ = ["Outcome", "ReconcileResult"]


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
        outcome: In a word.
        fingerprint: Of what the last round observed; None when there was none.
        requeue_after: When the plan wants the next reconcile.
        retry_after: Seconds that the other side asked us to wait.
        down: The dependency that refuses or does not answer this namespace: `MLflow`, `S3`, or
            `connection` when there is none. It is down for all objects of the namespace.
        quiet: Whether everything was found as it was, and nothing written.

    """

    outcome: Outcome
    fingerprint: int | None = None
    requeue_after: timedelta | None = None
    retry_after: float = 0.0
    down: str | None = None
    quiet: bool = False
