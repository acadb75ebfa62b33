"""Specs drawn from the CRDs' own schemas: valid, edge cases and invalid (R8 at admission, on a real
API server).

The operator can read what the API server accepts; a refusal by a rule has modelyard's message; and
the API server never fails.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelyard.api.base import Resource
from modelyard.api.kinds import KINDS
from modelyard.api.schema import crd
from tests.api.objects import (
    DIGEST,
    PUBLIC_KEY,
    Manifest,
    approval,
    experiment,
    model,
    training_run,
)
from tests.api.specs import ODD, changed, paths, specs
from tests.harness import Cluster

SETTINGS = settings(
    max_examples=60,
    deadline=None,  # another process does the work
    derandomize=True,  # the same specs in every run: a failing build fails again
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)


def spec_schema(kind: str) -> Manifest:
    (found,) = [each for each in KINDS if kind == each.resource.KIND]
    root: Manifest = crd(found)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec: Manifest = root["properties"]["spec"]
    return spec


def messages(node: Any) -> Iterator[str]:
    """The messages of all rules of a schema."""
    if isinstance(node, dict):
        for validation in node.get("x-kubernetes-validations", ()):
            yield validation["message"]
        for value in node.values():
            yield from messages(value)


SCHEMAS = {kind.resource.KIND: spec_schema(kind.resource.KIND) for kind in KINDS}
SPECS = {kind: specs(schema) for kind, schema in SCHEMAS.items()}
RESOURCES: dict[str, type[Resource[Any, Any]]] = {
    kind.resource.KIND: kind.resource for kind in KINDS
}

# Valid bases with every field set, so that a change of one value reaches every field.
ROLLOUT = {
    "strategy": "Canary",
    "steps": [{"replicas": 1}, {"weight": 5}, {"hold": "10m"}, {"pause": {}}],
    "sticky": {"header": "x-user"},
    "invite": {"header": "x-modelyard-version"},
    "resumed": 1,
    "analysis": {
        "interval": "30s",
        "falseAlarms": "0.01",
        "minRequests": 500,
        "noData": "Hold",
        "inconclusive": "Proceed",
        "failureLimit": 1,
        "metrics": [
            {"name": "errors", "errorRate": {"timesStable": "2", "moreThanStable": "0.001"}},
            {"name": "refusals", "refusalRate": {"timesStable": "2", "moreThanStable": "0.001"}},
            {"name": "slow", "latency": {"quantile": "0.99", "ratioToStable": "1.5"}},
        ],
    },
}
OTHER = {
    "strategy": "Canary",
    "steps": [{"weight": 5}],
    "sticky": {"cookie": "uid"},
    "analysis": {
        "metrics": [
            {"name": "errors", "errorRate": {"atMost": "0.01"}},
            {"name": "refusals", "refusalRate": {"atMost": "0.01"}},
            {"name": "slow", "latency": {"quantile": "0.9", "atMost": "50ms"}},
        ],
    },
}
RICH = {
    "Experiment": experiment(
        description="Card fraud",
        tags={"team": "risk"},
        objective={"metric": "accuracy", "goal": "Maximize"},
        retention={"runs": "90d", "keepBest": 3},
        deletionPolicy="Delete",
    ),
    "TrainingRun": training_run(
        parameters={"max_depth": "6"},
        dataset={
            "name": "cards",
            "uri": "s3://data/risk/cards.parquet",
            "digest": DIGEST,
            "target": "is_fraud",
        },
        trainer={"container": {"image": "i", "command": ["python"], "args": ["-V"]}},
        resources={"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        nodeSelector={"pool": "train"},
        tolerations=[{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
        imagePullSecrets=["registry"],
        workers=1,
        suspend=True,
        backoffLimit=2,
        activeDeadlineSeconds=3600,
        ttlSecondsAfterFinished=0,
        register={"model": "fraud", "version": "v1", "registeredBy": "dana@example.com"},
        deletionPolicy="Delete",
    ),
    "RegisteredModel": model(
        description="Card fraud",
        tags={"team": "risk"},
        versions={
            "v1": {
                "trainingRun": "fraud-001",
                "tags": {"a": "b"},
                "registeredBy": "dana@example.com",
            },
            "v2": {"runId": "a", "path": "model"},
            "v3": {"uri": "s3://models/v3"},
        },
        stages={
            "staging": {
                "rollout": OTHER,
                "autoPromote": {"from": "newest"},
                "gates": [
                    {
                        "name": "integration",
                        "job": {
                            "image": "i",
                            "command": ["python"],
                            "args": ["-V"],
                            "env": [{"name": "A", "value": "b"}],
                            "resources": {"requests": {"cpu": 1}, "limits": {"memory": "2Gi"}},
                            "timeout": "10m",
                            "retries": 1,
                            "candidate": "Served",
                        },
                    },
                    {"name": "dataset", "dataset": {"digest": DIGEST, "maxAge": "30d"}},
                    {
                        "name": "stored",
                        "smoke": {
                            "requests": {"uri": "s3://models/risk/cases.json", "digest": DIGEST}
                        },
                    },
                ],
            },
            "production": {
                "version": "v1",
                "attempt": 1,
                "from": "staging",
                "requestedBy": "rita@example.com",
                "reason": "better on the holdout",
                "reverify": {"every": "24h", "attempt": 1},
                "rollback": {
                    "window": "1h",
                    "automatic": {"watchFor": "15m", "maxErrorRate": "0.01", "minRequests": 100},
                },
                "rollout": ROLLOUT,
                "override": {
                    "version": "v2",
                    "reason": "incident 4711",
                    "until": "2026-12-01T18:00:00Z",
                },
                "gates": [
                    {
                        "name": "metric",
                        "metric": {"name": "accuracy", "atLeast": "0.9", "atMost": "1"},
                    },
                    {
                        "name": "incumbent",
                        "incumbent": {
                            "stage": "staging",
                            "metric": "accuracy",
                            "direction": "Maximize",
                            "tolerance": "0.005",
                            "samples": {"metric": "rows", "atLeast": 1000},
                        },
                    },
                    {"name": "signature", "signature": {"stage": "staging"}},
                    {"name": "soak", "soak": {"stage": "staging", "for": "24h"}},
                    {
                        "name": "smoke",
                        "smoke": {
                            "requests": {
                                "configMap": "cases",
                                "key": "cases.json",
                                "digest": DIGEST,
                            },
                            "maxLatency": "50ms",
                            "tolerance": "0.001",
                        },
                    },
                    {"name": "signed", "signed": {"keys": [PUBLIC_KEY]}},
                    {
                        "name": "approvals",
                        "approvals": {
                            "atLeast": 2,
                            "expireAfter": "7d",
                            "excludeRegistrar": "Required",
                        },
                    },
                    {"name": "external", "external": {}},
                ],
                "serving": {
                    "replicas": 2,
                    "autoscaling": {
                        "minReplicas": 1,
                        "maxReplicas": 3,
                        "targetCPUUtilizationPercentage": 70,
                    },
                    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}},
                    "runtime": {
                        "workers": 2,
                        "update": "Always",
                        "maxBodyBytes": "8Mi",
                        "timeout": "30s",
                    },
                    "nodeSelector": {"pool": "serve"},
                    "tolerations": [
                        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
                    ],
                },
            },
        },
        freeze=[
            {
                "schedule": "0 18 * * 5",
                "duration": "62h",
                "timeZone": "Europe/Berlin",
                "stages": ["production"],
                "reason": "weekend",
            }
        ],
        dryRun=True,
        drift="Warn",
        deletionPolicy="Delete",
    ),
    "ModelApproval": approval(
        gate="pipeline", evidence="https://ci.example.com/1", comment="checked on August"
    ),
}


def read_as_the_operator_would(kind: str, stored: Manifest) -> None:
    RESOURCES[kind].parse(stored)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_spec_of_the_schema_is_accepted_or_refused_by_a_rule(kind: str, cluster: Cluster):
    # A list map refuses a duplicate key and names it, in the API server's own words.
    words = {*messages(SCHEMAS[kind]), "Duplicate value: "}

    @SETTINGS
    @given(spec=SPECS[kind])
    def check(spec: Manifest) -> None:
        answer = cluster.check(RICH[kind] | {"spec": spec})
        if answer.ok:
            read_as_the_operator_would(kind, answer.body)
        else:
            assert answer.code == 422, answer.message
            said = [cause["message"] for cause in answer.body["details"]["causes"]]
            assert all(any(text in message for text in words) for message in said), said

    check()


@pytest.mark.parametrize("kind", SCHEMAS)
def test_any_value_of_a_field_is_refused_or_can_be_read(kind: str, cluster: Cluster):
    base = RICH[kind]
    assert cluster.check(base).ok

    @SETTINGS
    @given(path=st.sampled_from(sorted(paths(base["spec"]), key=str)), value=ODD)
    def check(path: tuple[Any, ...], value: Any) -> None:
        answer = cluster.check(base | {"spec": changed(base["spec"], path, value)})
        assert answer.code in (201, 400, 422), answer.message
        if answer.ok:
            read_as_the_operator_would(kind, answer.body)

    check()


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_field_of_the_schema_is_reached(kind: str):
    def leaves(schema: Manifest, path: str = "") -> Iterator[str]:
        for name, child in schema.get("properties", {}).items():
            yield f"{path}.{name}"
            yield from leaves(child, f"{path}.{name}")
        for key, mark in (("additionalProperties", ".*"), ("items", "[]")):
            if key in schema:
                yield from leaves(schema[key], path + mark)

    def reached(node: Any, schema: Manifest, path: str = "") -> Iterator[str]:
        for name, child in node.items() if "properties" in schema else ():
            yield f"{path}.{name}"
            yield from reached(child, schema["properties"][name], f"{path}.{name}")
        for child in node.values() if "additionalProperties" in schema else ():
            yield from reached(child, schema["additionalProperties"], f"{path}.*")
        for child in node if "items" in schema else ():
            yield from reached(child, schema["items"], f"{path}[]")

    excused = {
        ".trainer.xgboost",
        ".trainer.xgboost.task",
        ".trainer.script",
        ".trainer.script.configMap",
        ".trainer.script.key",
        ".trainer.external",
        ".trainer.sign",
        ".trainer.sign.secret",
        ".trainer.sign.key",
        ".dataset.rows",
    }
    assert (
        set(leaves(SCHEMAS[kind])) - set(reached(RICH[kind]["spec"], SCHEMAS[kind])) - excused
        == set()
    )


def test_the_largest_objects_stay_within_the_cost_budget_of_rules(cluster: Cluster):
    """Rules have a cost budget at run time; the largest storable object must not exceed it, on
    updates too.
    """
    tags = {f"tag-{i:02}": "x" * 500 for i in range(40)}
    largest = [
        training_run(
            "largest",
            parameters={f"p{i}": "x" * 460 for i in range(256)},
            nodeSelector={f"k{i}": "v" * 63 for i in range(32)},
        ),
        model(
            "largest",
            versions={
                f"v-{i}": {"uri": "s3://bucket/" + "k" * 480, "tags": tags} for i in range(60)
            },
            stages={f"stage-{i}": {"version": "v-1"} for i in range(16)},
        ),
        experiment("largest", description="x" * 5000, tags=tags),
    ]
    for manifest in largest:
        try:
            answer = cluster.create(manifest)
            assert answer.ok, answer.message
            edit = (
                {"suspend": True} if manifest["kind"] == "TrainingRun" else {"description": "new"}
            )
            answer = cluster.patch(manifest["kind"], "largest", {"spec": edit})
            assert answer.ok, answer.message
        finally:
            cluster.delete(manifest["kind"], "largest")
