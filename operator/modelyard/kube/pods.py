"""What every generated pod has: security, environment, volumes, labels. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.api.pods import Resources
from modelyard.kube.names import CONNECTION_SECRET, FIELD_MANAGER, MANAGED_BY, UID_LABEL
from modelyard.kube.quantities import quantity

__all__ = [
    "CONTAINER_SECURITY",
    "DEFAULT_STORAGE",
    "POD_SECURITY",
    "STORAGE",
    "Runtime",
    "connection",
    "env",
    "labels",
    "literal",
    "owner",
    "pull_secrets",
    "resources",
    "scratch_mounts",
    "scratch_volumes",
    "store_keys",
    "store_reach",
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

DEFAULT_RESOURCES: dict[str, dict[str, Any]] = {
    "requests": {"cpu": "250m", "memory": "512Mi"},
    "limits": {"memory": "2Gi"},
}
STORAGE = "ephemeral-storage"
DEFAULT_STORAGE = "20Gi"
"""The size limit of each of a pod's volumes."""

_BASE_ENV = {
    "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod; only it and /modelyard are writable
    "PYTHONUNBUFFERED": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_STORE = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_STORE_OPTIONAL = (
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


@dataclass(frozen=True)
class Runtime:
    """The image of training and serving pods, its pull policy, and modelyard's version."""

    image: str
    pull_policy: str
    version: str
    pull_secrets: tuple[str, ...] = ()
    """Names of pull secrets, in the namespace of each pod."""


def literal(text: str) -> str:
    """Escape a text for a command or an environment variable.

    The kubelet expands `$(NAME)`, also from a Secret, and `$$`.
    """
    return text.replace("$", "$$")


def env(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a container's environment: that of all our pods, and these values unexpanded."""
    return [
        {"name": name, "value": literal(value)}
        for name, value in (_BASE_ENV | dict(values)).items()
    ]


def connection(secret: str = CONNECTION_SECRET) -> list[dict[str, Any]]:
    """Return the `envFrom` that gives a container the connection to MLflow and S3."""
    return [{"secretRef": {"name": secret}}]


def store_keys(secret: str) -> list[dict[str, Any]]:
    """Return the environment for S3, key by key, without the Secret's other keys.

    For programs that must run our code only, although users may write the Secret: with `envFrom`, a
    key such as PYTHONWARNINGS or LD_PRELOAD could make Python run other code first.
    """
    return [_secret_key(secret, name) for name in _STORE] + [
        _secret_key(secret, name, optional=True) for name in _STORE_OPTIONAL
    ]


def store_reach(secret: str) -> list[dict[str, Any]]:
    """Return the environment with what a namespace may read in S3, for users' addresses."""
    return [
        _secret_key(secret, name, optional=True)
        for name in ("MODELYARD_BUCKET", "MODELYARD_READ_BUCKETS")
    ]


def _secret_key(secret: str, key: str, **more: bool) -> dict[str, Any]:
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, **more}}}


def pull_secrets(*names: str) -> list[dict[str, str]]:
    """Return a pod's `imagePullSecrets`, each name once."""
    return [{"name": name} for name in dict.fromkeys(names)]


def resources(wanted: Resources) -> dict[str, Any]:
    """Return a container's resources: the user's, and defaults for missing ones.

    Memory always has a limit: the default, or a larger request. For a limit without a request,
    Kubernetes requests the same amount. There is no default CPU limit, which would only slow the
    container down.
    """
    requests, limits = dict(wanted.requests), dict(wanted.limits)
    if "cpu" not in requests and "cpu" not in limits:
        requests = {"cpu": DEFAULT_RESOURCES["requests"]["cpu"], **requests}
    if "memory" not in limits:
        asked = requests.setdefault("memory", DEFAULT_RESOURCES["requests"]["memory"])
        limits["memory"] = _larger(DEFAULT_RESOURCES["limits"]["memory"], asked)
    return {"requests": requests, "limits": limits} if requests else {"limits": limits}


def _larger(ours: str, theirs: int | str) -> int | str:
    least, asked = quantity(ours), quantity(theirs)
    return theirs if least is not None and asked is not None and asked > least else ours


def scratch_volumes(
    tmp: int | str = DEFAULT_STORAGE, data: int | str = DEFAULT_STORAGE
) -> list[dict[str, Any]]:
    """Return a pod's two writable volumes; Kubernetes ends the pod when one exceeds its size."""
    return [
        {"name": name, "emptyDir": {"sizeLimit": size}}
        for name, size in (("tmp", tmp), ("modelyard", data))
    ]


def scratch_mounts() -> list[dict[str, Any]]:
    """Return the mounts of `scratch_volumes`."""
    return [{"name": "tmp", "mountPath": "/tmp"}, {"name": "modelyard", "mountPath": "/modelyard"}]  # noqa: S108 - see above


def labels(uid: str, component: str, **more: str) -> dict[str, str]:
    """Return the labels of an owned object: its owner and its component."""
    return {
        MANAGED_BY: FIELD_MANAGER,
        "app.kubernetes.io/name": "modelyard",
        "app.kubernetes.io/component": component,
        UID_LABEL: uid,
        **more,
    }


def owner(kind: str, name: str, uid: str) -> list[dict[str, Any]]:
    """Return the controller reference of an owned object, deleted together with its owner."""
    reference = {"apiVersion": "modelyard.io/v1alpha1", "kind": kind, "name": name, "uid": uid}
    return [reference | {"controller": True, "blockOwnerDeletion": True}]
