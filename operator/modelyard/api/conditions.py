"""How a kind says where it stands: three conditions that kstatus reads, and what an error means to a user.

Ready: everything that the spec asks for is so. Reconciling: it is on its way, nobody has to do anything. Stalled: it is not, and
will not be until somebody does something. Writing conditions to an object does not belong here (`engine.report`).
"""

from modelyard.api.base import Condition, condition
from modelyard.errors import Conflict, Forbidden, Invalid, ModelyardError

__all__ = ["CONNECTION_OPERATION", "progressing", "ready", "stalled", "trouble"]

CONNECTION_OPERATION = "read connection"


def ready(reason: str, message: str) -> tuple[Condition, ...]:
    """Say that all is as the spec asks."""
    return (condition("Ready", True, reason, message), condition("Reconciling", False, reason), condition("Stalled", False, reason))


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
        return stalled("ConnectionMissing", error.detail or f"The Secret {error.subject} is missing or incomplete.")
    if isinstance(error, Forbidden) and error.dependency != "Kubernetes":
        return stalled(
            "ConnectionRefused", f"{error.dependency} refused to {subject}{detail}. Correct the keys in the Secret modelyard-connection."
        )
    if isinstance(error, Invalid):
        return stalled("RequestRefused", f"{error.dependency} refused to {subject}{detail}.")
    if isinstance(error, Conflict):
        return progressing("RequestRefused", f"{error.dependency}: {subject} met a conflict{detail}. It is tried again by itself.")
    reason = {"MLflow": "MLflowUnavailable", "S3": "StoreUnavailable", "Kubernetes": "RequestRefused"}[error.dependency]
    return progressing(reason, f"{error.dependency} does not answer to {subject}{detail}. It is tried again by itself.")
