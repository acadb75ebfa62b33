"""The built objects for every trainer and option, by the name of the golden file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.names import CONNECTION_SECRET, PODS_SECRET
from modelyard.plan import Manifest
from modelyard.registered_model import build as serving
from modelyard.registered_model.build import PodSettings
from modelyard.registered_model.gates import pods as gates
from modelyard.training_run import build as training
from tests.unit.builders import NOW, RUNTIME, artifacts, registered_model, training_run, tree
from tests.unit.models import B, stage_of, view_of
from tests.unit.models import served as candidate

PLAIN = PodSettings(allow_code=False, pods_secret=CONNECTION_SECRET)
TOLERATION = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}


def trained(
    attempt: int = 1,
    *,
    name: str = "fraud-1",
    about: dict[str, Any] | None = None,
    secret: str = CONNECTION_SECRET,
    **spec: Any,
) -> list[Manifest]:
    run = training_run(name, about=about, **spec)
    return [
        training.config_map(run),
        training.job(run, attempt, "0123456789abcdef0123456789abcdef", RUNTIME, secret),
    ]


TRAINING = {
    "xgboost": trained(
        trainer={"xgboost": {"task": "classification"}},
        parameters={"max_depth": "6", "learning_rate": "0.1"},
        dataset={"name": "cards"},
    ),
    "xgboost-no-dataset": trained(trainer={"xgboost": {"task": "regression"}}),
    "script": trained(
        trainer={"script": {"config_map": "train", "key": "train.py"}},
        dataset={
            "name": "cards",
            "uri": "s3://datasets/risk/cards.parquet",
            "digest": "sha256:" + "a" * 64,
            "target": "is_fraud",
        },
    ),
    "script-no-dataset": trained(trainer={"script": {"config_map": "train"}}),
    "container": trained(
        trainer={
            "container": {
                "image": "registry/team/train@sha256:1",
                "command": ["python", "train.py"],
                "args": ["--epochs", "3"],
            }
        },
        dataset={"name": "cards", "rows": 100},
    ),
    "container-bare": trained(trainer={"container": {"image": "registry/team/train:1"}}),
    "everything": trained(
        2,
        resources={
            "requests": {"cpu": "1", "memory": "1Gi"},
            "limits": {"memory": "2Gi", "nvidia.com/gpu": 1},
        },
        node_selector={"pool": "training"},
        tolerations=[TOLERATION],
        image_pull_secrets=["registry"],
        active_deadline_seconds=3600,
        secret=PODS_SECRET,
        dataset={"name": "cards"},
    ),
    "signed": trained(
        trainer={"xgboost": {}, "sign": {"secret": "modelyard-signing-fraud", "key": "key.pem"}},
        dataset={"name": "cards"},
    ),
    "suspended": trained(suspend=True),
    "queued": trained(
        about={
            "labels": {
                "kueue.x-k8s.io/queue-name": "team",
                "kueue.x-k8s.io/priority-class": "high",
                "team": "risk",
            }
        }
    ),
    "long-name": trained(21, name="r" * 50),
}


WHAT = serving.served("v3", tree().digest, RUNTIME)


def served(
    model: RegisteredModel,
    stage: str = "production",
    *,
    replicas: int = 1,
    pod_settings: PodSettings = PLAIN,
) -> list[Manifest]:
    template = serving.template(model, stage, WHAT, artifacts("v3"), RUNTIME.pull_policy)
    built = [
        serving.deployment(
            model, stage, WHAT, template, replicas=replicas, pod_settings=pod_settings
        ),
        serving.revision(model, stage, WHAT, template),
        serving.service(model, stage, WHAT),
        serving.disruption_budget(model, stage, WHAT),
    ]
    scaler = serving.autoscaler(model, stage, WHAT)
    return [*built, scaler] if scaler else built


SERVING = {
    "plain": served(registered_model(stages={"production": {"version": "v3"}})),
    "autoscaled": served(
        registered_model(
            stages={
                "production": {
                    "version": "v3",
                    "serving": {
                        "autoscaling": {
                            "min_replicas": 2,
                            "max_replicas": 8,
                            "target_cpu_utilization_percentage": 70,
                        }
                    },
                }
            }
        ),
        replicas=2,
    ),
    "everything": served(
        registered_model(
            stages={
                "staging": {
                    "version": "v3",
                    "serving": {
                        "replicas": 3,
                        "resources": {
                            "requests": {"cpu": "500m"},
                            "limits": {"cpu": "2", "memory": "1Gi"},
                        },
                        "runtime": {"workers": 4, "max_body_bytes": "8Mi", "timeout": "30s"},
                        "node_selector": {"pool": "serving"},
                        "tolerations": [TOLERATION, {"key": "dedicated", "value": "models"}],
                    },
                }
            }
        ),
        "staging",
        replicas=3,
        pod_settings=PodSettings(allow_code=True, pods_secret=PODS_SECRET),
    ),
}


def gate(pods_secret: str = CONNECTION_SECRET, **kind: Any) -> list[Manifest]:
    """Return the Job of a gate of production, and the candidate's Service that it sends requests
    to.
    """
    asked = {"name": "integration", **kind}
    model = stage_of("vb", candidate=candidate(B), asked=[asked])
    view = replace(
        view_of(model), pod_settings=PodSettings(allow_code=False, pods_secret=pods_secret)
    )
    assert view.spec is not None
    built = [gates.job(view, view.spec.gates[0])]
    return (
        [*built, serving.private_service(model, "production", candidate(B))]
        if view.spec.gates[0].asks_candidate
        else built
    )


def again(**kind: Any) -> list[Manifest]:
    """Return the Job of a gate in a verification of production's effective version."""
    view = view_of(stage_of("vb", holds=B, asked=[{"name": "integration", **kind}]), round=NOW)
    assert view.spec is not None
    return [gates.job(view, view.spec.gates[0])]


GATES = {
    "again": again(
        smoke={
            "requests": {"configMap": "cases", "key": "cases.json", "digest": "sha256:" + "a" * 64}
        }
    ),
    "job": gate(job={"image": "registry/team/test:1"}),
    "everything": gate(
        PODS_SECRET,
        job={
            "image": "registry/team/test@sha256:1",
            "command": ["pytest"],
            "args": ["-q", "tests"],
            "env": [{"name": "SUITE", "value": "integration"}],
            "resources": {
                "requests": {"cpu": "1"},
                "limits": {"memory": "1Gi", "ephemeral-storage": "1Gi"},
            },
            "timeout": "1h",
            "retries": 3,
            "candidate": "Served",
        },
    ),
    "signed": gate(
        signed={"keys": ["-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"]}
    ),
    "smoke": gate(
        smoke={
            "requests": {"configMap": "cases", "key": "cases.json", "digest": "sha256:" + "a" * 64},
            "maxLatency": "50ms",
        },
    ),
    "smoke-s3": gate(
        PODS_SECRET,
        smoke={"requests": {"uri": "s3://mlflow/risk/cases.json", "digest": "sha256:" + "a" * 64}},
    ),
}

CASES = {
    f"{kind}/{name}": built
    for kind, cases in (("training", TRAINING), ("serving", SERVING), ("gates", GATES))
    for name, built in cases.items()
}
PODS = {
    f"{name}/{manifest['kind']}": manifest["spec"]["template"]["spec"]
    for name, built in CASES.items()
    for manifest in built
    if "template" in manifest.get("spec", {})
}
