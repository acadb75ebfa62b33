"""Build the objects that serve a version in a stage. Pure.

The pods are built in `template`. A ControllerRevision keeps the template of each version that was
rolled out, so that another release of the operator applies the same one.
"""

import hashlib
from typing import Any

from modelyard.api.registered_model import (
    ModelRuntime,
    OperatorRuntime,
    RegisteredModel,
    ServedVersion,
)
from modelyard.api.wire import FETCH, MODEL
from modelyard.api.wire import SERVING_PORT as PORT
from modelyard.kube.names import serving_name, version_workload
from modelyard.kube.pods import Runtime, owner
from modelyard.plan import Manifest
from modelyard.registered_model.template import (
    TRAFFIC_VOLUME,
    PodSettings,
    is_of_revision_3,
    selector,
    serving_labels,
    template,
    with_serving,
)

__all__ = [
    "FETCH",
    "MODEL",
    "PORT",
    "REVISION",
    "TRAFFIC_VOLUME",
    "PodSettings",
    "autoscaler",
    "config_map",
    "deployment",
    "disruption_budget",
    "is_of_revision_3",
    "operator_runtime",
    "private_service",
    "revision",
    "rollout_name",
    "served",
    "service",
    "splits",
    "template",
    "workload_name",
]

REVISION = 4
"""Raise it when the meaning of a serving pod changes. It is part of a runtime's identity."""
_SPLITS = 4
"""The first revision whose pods can split their requests."""
_MIN_READY_SECONDS = 1
"""On a busy node the kubelet may revoke a new pod's readiness for a second."""


def served(version: str, digest: str, runtime: Runtime) -> ServedVersion:
    """Return the version with this runtime and its identity, as a new promotion records it."""
    identity = hashlib.sha256(
        "\n".join((version, digest, runtime.image, str(REVISION))).encode()
    ).hexdigest()[:8]
    return ServedVersion(
        version=version,
        digest=digest,
        runtime=ModelRuntime(image=runtime.image, revision=REVISION, identity=identity),
    )


def splits(what: ServedVersion) -> bool:
    """Tell whether pods of this runtime can split requests; those of earlier revisions cannot."""
    return what.runtime.revision >= _SPLITS


def operator_runtime(runtime: Runtime) -> OperatorRuntime:
    """Return the operator's own runtime as the status shows it."""
    return OperatorRuntime(image=runtime.image, revision=REVISION)


def revision(
    model: RegisteredModel, stage: str, what: ServedVersion, rolled_out: Manifest
) -> Manifest:
    """Return the ControllerRevision that keeps a template."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": _metadata(model, stage, workload_name(model, stage, what), what),
        "revision": what.runtime.revision,
        "data": {"template": rolled_out},
    }


# --- the objects --------------------------------------------------------------------------------
def deployment(
    model: RegisteredModel,
    stage: str,
    what: ServedVersion,
    rolled_out: Manifest,
    *,
    replicas: int,
    pod_settings: PodSettings,
) -> Manifest:
    """Return the Deployment that serves one version in one stage.

    Its own rolling updates never delete a pod before another one is ready.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(model, stage, workload_name(model, stage, what), what),
        "spec": {
            "replicas": replicas,
            "minReadySeconds": _MIN_READY_SECONDS,
            "revisionHistoryLimit": 1,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "selector": {"matchLabels": selector(model, stage, what)},
            "template": with_serving(rolled_out, model.spec.stages[stage].serving, pod_settings),
        },
    }


def service(model: RegisteredModel, stage: str, what: ServedVersion) -> Manifest:
    """Return the stage's Service, which routes to one version."""
    return _service(model, stage, what, serving_name(model.metadata.name, stage))


def private_service(model: RegisteredModel, stage: str, what: ServedVersion) -> Manifest:
    """Return the candidate's own Service, at which gates ask it; named like its Deployment."""
    return _service(model, stage, what, workload_name(model, stage, what))


def _service(model: RegisteredModel, stage: str, what: ServedVersion, name: str) -> Manifest:
    port = {"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(model, stage, name, what),
        "spec": {"type": "ClusterIP", "selector": selector(model, stage, what), "ports": [port]},
    }


def disruption_budget(model: RegisteredModel, stage: str, what: ServedVersion) -> Manifest:
    """Return the budget that lets node drains evict one pod of a stage at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(model, stage, serving_name(model.metadata.name, stage), what),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(model, stage, what)}},
    }


def autoscaler(
    model: RegisteredModel, stage: str, what: ServedVersion, least: int = 0
) -> Manifest | None:
    """Return the autoscaler of the effective version; None if the spec has none.

    Args:
        model: The object.
        stage: The stage.
        what: The version that it scales.
        least: Minimum number of pods during a rollout, which takes a share of the requests away.

    """
    wanted = model.spec.stages[stage].serving.autoscaling
    if wanted is None:
        return None
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu_utilization_percentage}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": workload_name(model, stage, what),
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(model, stage, serving_name(model.metadata.name, stage), what),
        "spec": {
            "scaleTargetRef": workload,
            "minReplicas": min(max(wanted.min_replicas, least), wanted.max_replicas),
            "maxReplicas": wanted.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def config_map(
    model: RegisteredModel, stage: str, what: ServedVersion, data: dict[str, str]
) -> Manifest:
    """Return the ConfigMap that stores the analysis of a stage's rollout."""
    meta = _metadata(model, stage, rollout_name(model, stage), what)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def rollout_name(model: RegisteredModel, stage: str) -> str:
    """Return the name of the ConfigMap of a stage's rollout."""
    return f"{serving_name(model.metadata.name, stage)}-rollout"


def workload_name(model: RegisteredModel, stage: str, what: ServedVersion) -> str:
    """Return the name of a version's Deployment, ControllerRevision and private Service."""
    return version_workload(model.metadata.name, stage, what.version, what.runtime.identity)


def _metadata(model: RegisteredModel, stage: str, name: str, what: ServedVersion) -> dict[str, Any]:
    meta = model.metadata
    return {
        "name": name,
        "namespace": meta.namespace,
        "labels": serving_labels(model, stage, what),
        "ownerReferences": owner(model.KIND, meta.name, meta.uid),
    }
