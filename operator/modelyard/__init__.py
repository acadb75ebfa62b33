"""modelyard: a Kubernetes operator for machine-learning models, declared as custom resources.

    from modelyard import Client

The client and its errors are imported on first attribute access, because the operator and the
programs in pods import this package too.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelyard.client import Client
    from modelyard.client.errors import (
        ClientError,
        Failed,
        Missing,
        NotAllowed,
        NotFound,
        Paused,
        Refused,
        TimedOut,
        Unreachable,
    )
    from modelyard.client.kube import Impersonation

__all__ = [
    "Client",
    "ClientError",
    "Failed",
    "Impersonation",
    "Missing",
    "NotAllowed",
    "NotFound",
    "Paused",
    "Refused",
    "TimedOut",
    "Unreachable",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when needed

    return getattr(import_module("modelyard.client"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
