"""The three conditions that kstatus reads, and conditions for errors.

Ready: the object is as its spec asks. Reconciling: it is not yet, and the operator continues
automatically. Stalled: it is not, and a user must act. `engine.report` writes them to the object.
"""

from enum import StrEnum

from modelyard.api.base import Condition, condition
from modelyard.errors import Conflict, Forbidden, Invalid, ModelyardError

__all__ = ["CONNECTION_OPERATION", "EngineReason", "progressing", "ready", "stalled", "trouble"]

CONNECTION_OPERATION = "read connection"


class EngineReason(StrEnum):
    """Reasons that the engine gives, for objects of any kind, when the kind could not decide."""

    INVALID_SPEC = "InvalidSpec"
    """The object does not match its kind: the CRDs and the operator are of different releases."""
    RECONCILE_TIMED_OUT = "ReconcileTimedOut"
    """A reconcile exceeded its time limit. It is retried automatically."""
    NO_PROGRESS = "NoProgress"
    """Another program reverts what the operator writes. It is retried automatically."""
    INTERNAL_ERROR = "InternalError"
    """A bug of modelyard. It is retried automatically."""


def ready(reason: str, message: str) -> tuple[Condition, ...]:
    """Return the conditions of an object that is as its spec asks."""
    return (
        condition("Ready", True, reason, message),
        condition("Reconciling", False, reason),
        condition("Stalled", False, reason),
    )


def progressing(reason: str, message: str) -> tuple[Condition, ...]:
    """Return the conditions of an object that is not as its spec asks yet."""
    return (
        condition("Ready", False, reason, message),
        condition("Reconciling", True, reason, message),
        condition("Stalled", False, reason),
    )


def stalled(reason: str, message: str) -> tuple[Condition, ...]:
    """Return the conditions of an object that needs a user's action."""
    return (
        condition("Ready", False, reason, message),
        condition("Reconciling", False, reason),
        condition("Stalled", True, reason, message),
    )


def trouble(error: ModelyardError) -> tuple[Condition, ...]:
    """Return the conditions for an error: which dependency, what was tried, what to do."""
    subject = f"{error.operation} {error.subject}"
    detail = f": {error.detail}" if error.detail else ""
    if error.operation == CONNECTION_OPERATION:
        return stalled(
            "ConnectionMissing",
            error.detail or f"The Secret {error.subject} is missing or incomplete.",
        )
    if isinstance(error, Forbidden) and error.dependency != "Kubernetes":
        return stalled(
            "ConnectionRefused",
            f"{error.dependency} refused to {subject}{detail}. Correct the keys in the Secret"
            " modelyard-connection.",
        )
    if isinstance(error, Invalid):
        return stalled("RequestRefused", f"{error.dependency} refused to {subject}{detail}.")
    if isinstance(error, Conflict):
        return progressing(
            "RequestRefused",
            f"{error.dependency}: {subject} met a conflict{detail}. It is retried automatically.",
        )
    reason = {
        "MLflow": "MLflowUnavailable",
        "S3": "StoreUnavailable",
        "Kubernetes": "RequestRefused",
    }[error.dependency]
    return progressing(
        reason,
        f"{error.dependency} does not answer to {subject}{detail}. It is retried automatically.",
    )
