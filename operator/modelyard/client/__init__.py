"""The Python client: the custom resources, typed, with the user's own kubeconfig and rights
(decision 0008).

    from modelyard import Client

    client = Client(namespace="risk") run = client.runs.submit("fraud", "fraud-3", dataset={"name":
    "cards"}, register=("fraud", "v3")).wait() client.models.set_stage("fraud", "v3", "production")
    client.models.predict("fraud", [[0.1, -1.2]])

What happened is what the objects say; nothing goes around them. docs/client.md tells the rest.
"""

from modelyard.client.client import Client
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
