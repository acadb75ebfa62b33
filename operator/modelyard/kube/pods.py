"""What every generated pod has: security, environment, volumes. Which containers it has does not belong here."""

from collections.abc import Mapping
from typing import Any

from modelyard.kube.names import CONNECTION_SECRET, FIELD_MANAGER, MANAGED_BY, UID_LABEL

__all__ = [
    "CONTAINER_SECURITY",
    "POD_SECURITY",
    "connection",
    "env",
    "labels",
    "owner",
    "scratch_mounts",
    "scratch_volumes",
]

USER = 65532

POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

_BASE_ENV = {
    "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod, the only place it may write to besides /modelyard
    "PYTHONUNBUFFERED": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def env(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a container's environment: what every pod of ours has, and these."""
    return [{"name": name, "value": value} for name, value in (_BASE_ENV | dict(values)).items()]


def connection() -> list[dict[str, Any]]:
    """Return the `envFrom` that opens MLflow and S3 to a container."""
    return [{"secretRef": {"name": CONNECTION_SECRET}}]


def scratch_volumes() -> list[dict[str, Any]]:
    """Return the two places that a pod may write to."""
    return [{"name": "tmp", "emptyDir": {}}, {"name": "modelyard", "emptyDir": {}}]


def scratch_mounts() -> list[dict[str, Any]]:
    """Return where they are mounted."""
    return [{"name": "tmp", "mountPath": "/tmp"}, {"name": "modelyard", "mountPath": "/modelyard"}]  # noqa: S108 - see above


def labels(uid: str, component: str, **more: str) -> dict[str, str]:
    """Return a child's labels: who owns it, what it is."""
    return {
        MANAGED_BY: FIELD_MANAGER,
        "app.kubernetes.io/name": "modelyard",
        "app.kubernetes.io/component": component,
        UID_LABEL: uid,
        **more,
    }


def owner(kind: str, name: str, uid: str) -> list[dict[str, Any]]:
    """Return the owner reference by which a child goes with its object."""
    reference = {"apiVersion": "modelyard.io/v1alpha1", "kind": kind, "name": name, "uid": uid}
    return [reference | {"controller": True, "blockOwnerDeletion": True}]
