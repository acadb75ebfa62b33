"""Every derived name, label, annotation and tag; those that pods use too are in `api.wire`."""

import hashlib

__all__ = [
    "ADOPT_ANNOTATION",
    "ALLOW_CODE_LABEL",
    "APPLIED_ANNOTATION",
    "ATTEMPT_TAG",
    "CODE_TAG",
    "COMPONENT_LABEL",
    "CONNECTION_SECRET",
    "CONTENT_ANNOTATION",
    "DIGEST_TAG",
    "FAILURE_TAG",
    "FIELD_MANAGER",
    "FREEZE_CONFIG_MAP",
    "GATE_LABEL",
    "HEARTBEAT_ANNOTATION",
    "IDENTITY_LABEL",
    "IMAGE_TAG",
    "MANAGED_BY",
    "MODEL_LABEL",
    "NAMESPACE_TAG",
    "NAME_TAG",
    "OUR_TAGS",
    "PODS_SECRET",
    "RUN_LABEL",
    "STAGES_TAG",
    "STAGE_LABEL",
    "TRAFFIC_ANNOTATION",
    "UID_LABEL",
    "UID_TAG",
    "VERSION_LABEL",
    "VERSION_TAG",
    "bounded",
    "experiment_name",
    "experiment_prefix",
    "gate_job",
    "job_name",
    "mlflow_model_name",
    "owner_tags",
    "serving_name",
    "version_holder",
    "version_workload",
]

CONNECTION_SECRET = "modelyard-connection"  # noqa: S105 - the name of a Secret, not a secret
FREEZE_CONFIG_MAP = "modelyard-freeze"
"""The ConfigMap with the cluster's freezes, in the operator's own namespace."""
PODS_SECRET = "modelyard-connection-pods"  # noqa: S105 - the name of a Secret, not a secret
"""Optional: a separate connection for the namespace's pods, so that training needs no rights on
the registry.
"""
FIELD_MANAGER = "modelyard"
MANAGED_BY = "app.kubernetes.io/managed-by"

UID_LABEL = "modelyard.io/uid"
RUN_LABEL = "modelyard.io/training-run"
MODEL_LABEL = "modelyard.io/model"
STAGE_LABEL = "modelyard.io/stage"
VERSION_LABEL = "modelyard.io/version"
IDENTITY_LABEL = "modelyard.io/identity"
"""On serving objects: eight hex digits of a hash of version, digest, image and revision."""
GATE_LABEL = "modelyard.io/gate"
"""On a gate's Job and its pods: the gate's name. They have no identity, so no stage's Service
selects them.
"""
COMPONENT_LABEL = "app.kubernetes.io/component"
ALLOW_CODE_LABEL = "modelyard.io/allow-code-models"
ADOPT_ANNOTATION = "modelyard.io/adopt"
HEARTBEAT_ANNOTATION = "modelyard.io/heartbeat"
APPLIED_ANNOTATION = "modelyard.io/applied"
"""On each owned object: a hash of the fields with which it was last applied (`kube.applied`)."""
CONTENT_ANNOTATION = "modelyard.io/content"
"""On our ConfigMaps: a hash of the data, which the operator does not keep in memory."""
TRAFFIC_ANNOTATION = "modelyard.io/traffic"
"""On a serving pod: how it splits its requests (`wire.RULE_FILE`)."""

OUR_TAGS = "modelyard.io/"
UID_TAG = "modelyard.io/uid"
NAMESPACE_TAG = "modelyard.io/namespace"
NAME_TAG = "modelyard.io/name"
ATTEMPT_TAG = "modelyard.io/attempt"
VERSION_TAG = "modelyard.io/version"
DIGEST_TAG = "modelyard.io/digest"
STAGES_TAG = "modelyard.io/stages"
CODE_TAG = "modelyard.io/code.version"
IMAGE_TAG = "modelyard.io/image"
FAILURE_TAG = "modelyard.io/failure"

_LABEL_LIMIT = 63


def bounded(name: str, limit: int = _LABEL_LIMIT) -> str:
    """Return a name of at most `limit` characters; a shortened one ends with a digest."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - 9].rstrip('-.')}-{digest}"


def owner_tags(namespace: str, name: str, uid: str) -> dict[str, str]:
    """Return the tags that all our objects in MLflow have."""
    return {UID_TAG: uid, NAMESPACE_TAG: namespace, NAME_TAG: name}


def experiment_name(namespace: str, name: str) -> str:
    """Return the MLflow experiment's name."""
    return f"{namespace}/{name}"


def experiment_prefix(bucket: str, namespace: str, name: str) -> str:
    """Return the prefix of an experiment's artifacts, which ends with a slash."""
    return f"s3://{bucket}/{namespace}/{name}/"


def mlflow_model_name(namespace: str, name: str) -> str:
    """Return the registered model's name in MLflow, unique since namespaces have no dots."""
    return f"{namespace}.{name}"


def job_name(run: str, attempt: int) -> str:
    """Return the name of the Job of one attempt; its pods' names are six characters longer."""
    return bounded(f"{run}-{attempt}", 57)


def gate_job(model: str, stage: str, gate: str, asked: str) -> str:
    """Return the name of a gate's Job; its pods' names are six characters longer.

    `asked` is a hash of the gate's input.
    """
    return f"{bounded(f'{model}-{stage}-{gate}', 48)}-{asked}"


def serving_name(model: str, stage: str) -> str:
    """Return the name of a stage's Service (its host name), autoscaler and disruption budget."""
    return bounded(f"{model}-{stage}")


def version_holder(run: str) -> str:
    """Return the holder of a version's name for a TrainingRun that does not exist yet.

    Once it exists, its uid is the holder.
    """
    return f"trainingruns/{run}"


def version_workload(model: str, stage: str, version: str, identity: str) -> str:
    """Return the name of the Deployment that serves a version in a stage.

    Its pods' names are seventeen characters longer.
    """
    return f"{bounded(f'{model}-{stage}-{version}'.lower(), 37)}-{identity}"
