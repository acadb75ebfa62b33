"""The three conditions that kstatus reads, and what an error means to a user.

Ready: the object is as its spec asks. Reconciling: it is not yet, and gets there automatically.
Stalled: it is not, and a user has to act. Writing conditions to an object is `engine.report`'s.
"""

from enum import StrEnum

from modelyard.api.base import Condition, condition
from modelyard.errors import Conflict, Forbidden, Invalid, ModelyardError

__all__ = ["CONNECTION_OPERATION", "EngineReason", "progressing", "ready", "stalled", "trouble"]

CONNECTION_OPERATION = "read connection"


class EngineReason(StrEnum):
    """Why no kind could decide about an object. Any kind's conditions may give these reasons."""

    INVALID_SPEC = "InvalidSpec"
    """The object does not fit its kind: the CRDs and the operator are of different releases."""
    RECONCILE_TIMED_OUT = "ReconcileTimedOut"
    """A reconcile took longer than it may. It is retried automatically."""
    NO_PROGRESS = "NoProgress"
    """What the operator writes is changed back at once by something else. It is retried
    automatically.
    """
    INTERNAL_ERROR = "InternalError"
    """A bug of modelyard. It is retried automatically."""


def ready(reason: str, message: str) -> tuple[Condition, ...]:
    """Say that all is as the spec asks."""
    return (
        condition("Ready", True, reason, message),
        condition("Reconciling", False, reason),
        condition("Stalled", False, reason),
    )


def progressing(reason: str, message: str) -> tuple[Condition, ...]:
    """Say that it is on its way, and what it waits for."""
    return (
        condition("Ready", False, reason, message),
        condition("Reconciling", True, reason, message),
        condition("Stalled", False, reason),
    )


def stalled(reason: str, message: str) -> tuple[Condition, ...]:
    """Say what somebody has to do."""
    return (
        condition("Ready", False, reason, message),
        condition("Reconciling", False, reason),
        condition("Stalled", True, reason, message),
    )


def trouble(error: ModelyardError) -> tuple[Condition, ...]:
    """Say what an error means to the user: which dependency, what was tried, what to do next."""
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
            f"{error.dependency}: {subject} met a conflict{detail}. It is tried again by itself.",
        )
    reason = {
        "MLflow": "MLflowUnavailable",
        "S3": "StoreUnavailable",
        "Kubernetes": "RequestRefused",
    }[error.dependency]
    return progressing(
        reason,
        f"{error.dependency} does not answer to {subject}{detail}. It is tried again by itself.",
    )
