"""Build what serves a version in a stage. Pure; when it is made, and when it goes, is decided elsewhere."""

from typing import Any

from modelyard.api import wire
from modelyard.api.registered_model import RegisteredModel, Serving, VersionStatus
from modelyard.api.wire import FETCH, MODEL
from modelyard.api.wire import SERVING_PORT as PORT
from modelyard.kube.names import (
    MODEL_LABEL,
    STAGE_LABEL,
    UID_LABEL,
    VERSION_LABEL,
    bounded,
    mlflow_model_name,
    serving_name,
    version_workload,
)
from modelyard.kube.pods import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    Runtime,
    connection,
    env,
    labels,
    owner,
    resources,
    scratch_mounts,
    scratch_volumes,
)
from modelyard.plan import Manifest

__all__ = ["FETCH", "MODEL", "PORT", "autoscaler", "deployment", "disruption_budget", "service"]

_GRACE_SECONDS = 30
_MIN_READY_SECONDS = 1
"""A kubelet on a busy node may take the word back for a second with which it called a new pod ready."""
_FETCH_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}


def deployment(
    model: RegisteredModel, stage: str, version: VersionStatus, replicas: int, runtime: Runtime, *, allow_code: bool
) -> Manifest:
    """Return the Deployment that serves one version in one stage. Its own roll-outs never take a pod away before another is ready."""
    name = version_workload(model.metadata.name, stage, version.name)
    metadata = _metadata(model, stage, name, version.name)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "minReadySeconds": _MIN_READY_SECONDS,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": _selector(model, stage, version.name)},
            "template": {
                "metadata": {"labels": metadata["labels"]},
                "spec": _pod(model, model.spec.stages[stage].serving, version, runtime, allow_code=allow_code),
            },
        },
    }


def _pod(model: RegisteredModel, serving: Serving, version: VersionStatus, runtime: Runtime, *, allow_code: bool) -> dict[str, Any]:
    meta = model.metadata
    image = {"image": runtime.image, "imagePullPolicy": runtime.pull_policy}
    common = image | {
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": scratch_mounts(),
    }
    fetch = {
        "name": FETCH,
        "command": wire.program("fetch", "--uri", str(version.uri), "--digest", str(version.digest), "--to", wire.MODEL_FOLDER),
        "envFrom": connection(),
        "env": env({}),
        "resources": _FETCH_RESOURCES,
    }
    environment = {wire.MODEL_NAME: mlflow_model_name(meta.namespace, meta.name), wire.WORKERS: str(serving.runtime.workers)}
    if allow_code:
        environment[wire.ALLOW_CODE] = "true"
    command = wire.program("serve", "--model-dir", wire.MODEL_FOLDER)
    server = {
        "name": MODEL,
        "command": [*command, "--name", meta.name, "--version", version.name, "--port", str(PORT)],
        "env": env(environment),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": resources(serving.resources),
        # Until it has predicted once it is starting: a large model may take its time, a broken one says so and ends.
        "startupProbe": _probe(wire.READY_PATH, period=1, failures=600),
        "readinessProbe": _probe(wire.READY_PATH, period=1, failures=3),
        "livenessProbe": _probe(wire.LIVE_PATH, period=10, failures=6),
    }
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": POD_SECURITY,
        "initContainers": [common | fetch],
        "containers": [common | server],
        "volumes": scratch_volumes(),
    }
    if serving.node_selector:
        pod["nodeSelector"] = dict(serving.node_selector)
    if serving.tolerations:
        pod["tolerations"] = [toleration.model_dump(by_alias=True, exclude_none=True) for toleration in serving.tolerations]
    return pod


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": PORT}, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": failures}


def service(model: RegisteredModel, stage: str, version: str) -> Manifest:
    """Return the stage's address, pointing at one version."""
    metadata = _metadata(model, stage, serving_name(model.metadata.name, stage), version)
    port = {"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": "ClusterIP", "selector": _selector(model, stage, version), "ports": [port]},
    }


def disruption_budget(model: RegisteredModel, stage: str, version: str) -> Manifest:
    """Return the budget that lets drains of nodes take one pod of a stage at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(model, stage, serving_name(model.metadata.name, stage), version),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _selector(model, stage, version)}},
    }


def autoscaler(model: RegisteredModel, stage: str, version: str) -> Manifest | None:
    """Return the stage's autoscaler, which follows the version that holds the stage; None when the spec wants none."""
    wanted = model.spec.stages[stage].serving.autoscaling
    if wanted is None:
        return None
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu_utilization_percentage}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(model, stage, serving_name(model.metadata.name, stage), version),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": version_workload(model.metadata.name, stage, version),
            },
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def _selector(model: RegisteredModel, stage: str, version: str) -> dict[str, str]:
    return {UID_LABEL: model.metadata.uid, STAGE_LABEL: stage, VERSION_LABEL: version}


def _metadata(model: RegisteredModel, stage: str, name: str, version: str) -> dict[str, Any]:
    meta = model.metadata
    return {
        "name": name,
        "namespace": meta.namespace,
        "labels": labels(meta.uid, "serving", **{MODEL_LABEL: bounded(meta.name), STAGE_LABEL: stage, VERSION_LABEL: version}),
        "ownerReferences": owner(model.KIND, meta.name, meta.uid),
    }
