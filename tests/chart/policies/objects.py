"""Objects of the matrix: functions that build them, and their paths in the API."""

from __future__ import annotations

from typing import Any

from tests.chart.api import APPROVALS, EXPERIMENTS, MODELS, RUNS, Manifest, path_of
from tests.chart.policies.accounts import PEOPLE

__all__ = [
    "ALL_APPROVALS",
    "ALL_EXPERIMENTS",
    "ALL_MODELS",
    "ALL_RUNS",
    "EMPTY",
    "FRAUD",
    "LONG",
    "OTHER",
    "REFERENCES",
    "SPACE",
    "STAGES",
    "TRAFFIC",
    "VERSIONS",
    "approval",
    "controlled",
    "experiment",
    "model",
    "ours",
    "plural_path",
    "served",
    "training_run",
    "workload",
]

SPACE = "risk"
TRAFFIC = "modelyard.io/traffic"


def ours(kind: str, name: str, spec: Manifest, **metadata: Any) -> Manifest:
    meta = {"name": name, "namespace": SPACE, **metadata}
    return {"apiVersion": "modelyard.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def model(name: str, **spec: Any) -> Manifest:
    return ours("RegisteredModel", name, spec)


def experiment(name: str, **spec: Any) -> Manifest:
    return ours("Experiment", name, spec)


def training_run(name: str, registers: str = "", **metadata: Any) -> Manifest:
    """Return a TrainingRun that registers `model/version`, or nothing."""
    spec: Manifest = {"experiment": "kept", "trainer": {"external": {}}}
    if registers:
        spec["register"] = dict(zip(("model", "version"), registers.split("/"), strict=True))
    return ours("TrainingRun", name, spec, **metadata)


def approval(name: str, person: str, *, stage: str = "production", **more: Any) -> Manifest:
    """Return an approval of v3 of `fraud` in the name of a user."""
    spec = {
        "model": "fraud",
        "stage": stage,
        "version": "v3",
        "digest": f"sha256:{'3' * 64}",
        "decision": "Approve",
    }
    return ours(
        "ModelApproval", name, spec | {"approver": PEOPLE[person][0]} | more, labels={"team": "a"}
    )


def served(stage: str, model: str | None = "fraud") -> dict[str, str]:
    """Return the labels of a stage's serving objects."""
    labels = {
        "modelyard.io/uid": "uid-of-fraud",
        "modelyard.io/stage": stage,
        "modelyard.io/identity": "0a0a0a0a",
    }
    return labels | ({"modelyard.io/model": model} if model else {})


POD: Manifest = {
    "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1m"}}}]
}


def workload(
    kind: str, name: str, labels: dict[str, str] | None = None, pods: dict[str, str] | None = None
) -> Manifest:
    """Return an object of Kubernetes, with labels, and with other labels on its pods.

    Args:
        kind: `Pod`, `Deployment`, ...
        name: Its name.
        labels: The labels of the object itself.
        pods: Labels of its pod template besides `app`; for Services and budgets, the selector.

    """
    chosen = {"app": name} | (pods or {})
    template = {"metadata": {"labels": chosen}, "spec": POD}
    job = {
        "template": {"metadata": {"labels": pods or {}}, "spec": POD | {"restartPolicy": "Never"}}
    }
    selected = {"selector": {"matchLabels": chosen}, "template": template}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "elsewhere"}
    version, body = {
        "Pod": ("v1", {"spec": POD}),
        "ConfigMap": ("v1", {"data": {"a": "b"}}),
        "Service": ("v1", {"spec": {"selector": chosen, "ports": [{"port": 80}]}}),
        "ReplicationController": ("v1", {"spec": {"selector": chosen, "template": template}}),
        "Deployment": ("apps/v1", {"spec": selected}),
        "ReplicaSet": ("apps/v1", {"spec": selected}),
        "DaemonSet": ("apps/v1", {"spec": selected}),
        "StatefulSet": ("apps/v1", {"spec": selected | {"serviceName": name}}),
        "ControllerRevision": ("apps/v1", {"revision": 1, "data": {}}),
        "Job": ("batch/v1", {"spec": job}),
        "CronJob": ("batch/v1", {"spec": {"schedule": "1 2 3 4 5", "jobTemplate": {"spec": job}}}),
        "PodDisruptionBudget": (
            "policy/v1",
            {"spec": {"selector": {"matchLabels": chosen}, "maxUnavailable": 1}},
        ),
        "HorizontalPodAutoscaler": (
            "autoscaling/v2",
            {"spec": {"maxReplicas": 2, "scaleTargetRef": target}},
        ),
        "EndpointSlice": (
            "discovery.k8s.io/v1",
            {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]},
        ),
    }[kind]
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": SPACE, "labels": labels or {}},
        **body,
    }


def controlled(
    manifest: Manifest, kind: str = "RegisteredModel", group: str = "modelyard.io", **more: Any
) -> Manifest:
    """Return the object with the model `fraud`, or another owner, as its controller."""
    reference = {
        "apiVersion": f"{group}/v1alpha1",
        "kind": kind,
        "name": "fraud",
        "uid": "uid-of-fraud",
        "controller": True,
    }
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [reference | more]}}


def plural_path(manifest: Manifest, name: str | None = None) -> str:
    """Return the path of an object's kind, or of the object."""
    plural = {"poddisruptionbudget": "poddisruptionbudgets"}.get(
        manifest["kind"].lower(), manifest["kind"].lower() + "s"
    )
    return path_of(
        f"{manifest['apiVersion']}/{plural}", manifest["metadata"].get("namespace"), name
    )


REFERENCES = [
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": name,
        "uid": f"00000000-0000-0000-0000-00000000000{number}",
    }
    for number, name in enumerate(("first", "second"), 1)
]
LONG = "customer-churn-of-the-years"
VERSIONS = {
    "v1": {"trainingRun": "source-of-v1"},
    "v2": {"runId": "r2"},
    "v3": {"runId": "r3"},
    "v5": {"runId": "r5"},
}
STAGES: Manifest = {
    "production": {"version": "v1", "serving": {"replicas": 2}},
    "staging": {"version": "v2"},
    # No declaration of v9 exists yet.
    "waiting": {"version": "v9"},
    "failing": {"version": "v4"},
    "held": {"version": "v6"},
    "idle": {},
}
FRAUD, OTHER, EMPTY = (path_of(MODELS, SPACE, name) for name in ("fraud", "other", "empty"))
ALL_MODELS, ALL_RUNS, ALL_EXPERIMENTS, ALL_APPROVALS = (
    path_of(resource, SPACE) for resource in (MODELS, RUNS, EXPERIMENTS, APPROVALS)
)
