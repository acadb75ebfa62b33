"""The chart's values: each has a description, and invalid ones are rejected with a message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from modelyard.api.history import RUNTIME_IMAGE
from tests.chart.explained import comments, leaves
from tests.chart.helm import CHART, RELEASE, Refused, find, render
from tests.chart.rendered import env
from tests.chart.values import CREDIT, RISK

VALUES = (CHART / "values.yaml").read_text()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def schema_of(path: tuple[str, ...]) -> dict[str, Any]:
    node = SCHEMA
    for key in path:
        node = node["properties"][key]
    return node


def described(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property in the schema, inside lists too."""
    for key, child in node.get("properties", {}).items():
        yield f"{path}.{key}", child
        yield from described(child, f"{path}.{key}")
    if "items" in node:
        yield from described(node["items"], f"{path}[]")


def test_every_value_is_described_in_values_yaml_and_in_the_schema():
    said = comments(VALUES)
    paths = set(leaves(yaml.safe_load(VALUES)))
    assert len(paths) > 80
    assert set(said) == paths
    assert {path: schema_of(path)["description"] for path in paths} == said


def test_the_schema_has_no_value_that_does_not_exist():
    def properties(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for key, child in node.get("properties", {}).items():
            if (*path, key) in inner:
                yield from properties(child, (*path, key))
            else:
                yield (*path, key)

    values = yaml.safe_load(VALUES)
    inner = {path[:depth] for path in leaves(values) for depth in range(1, len(path))}
    assert set(properties(SCHEMA)) - {("global",)} == set(leaves(values))


def test_every_property_is_described_and_no_object_accepts_unknown_ones():
    for path, node in described(SCHEMA):
        assert node.get("description", "").endswith((".", "]")), path
        if "properties" in node:
            assert node["additionalProperties"] is False, path
        if "enum" not in node:
            assert "type" in node, path


def tenant(**changes: Any) -> dict[str, Any]:
    merged = RISK | changes
    return {"tenants": [{key: value for key, value in merged.items() if value is not None}]}


def runtime(characters: int) -> dict[str, Any]:
    """Return values with a runtime image whose whole name has this many characters."""
    tag = "t" * 16
    repository = "registry.example.com/".ljust(characters - len(tag) - 1, "r")
    return {"runtime": {"image": {"repository": repository, "tag": tag}}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replica": 2}, "additional properties 'replica' not allowed"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
        (
            {"image": {"pullPolicy": "Sometimes"}},
            "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        (
            {"image": {"repository": "Modelyard/Operator"}},
            "at '/image/repository': 'Modelyard/Operator' does not match pattern",
        ),
        ({"image": {"digest": "abc"}}, "at '/image/digest': 'abc' does not match pattern"),
        ({"image": {"tag": "a b"}}, "at '/image/tag': 'a b' does not match pattern"),
        ({"log": {"format": "xml"}}, "at '/log/format': value must be one of 'json', 'text'"),
        ({"watchNamespaces": "risk"}, "at '/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["Risk"]}, "at '/watchNamespaces/0': 'Risk' does not match pattern"),
        (
            {"extraEnv": [{"name": "A", "value": 1}]},
            "at '/extraEnv/0/value': got number, want string",
        ),
        ({"imagePullSecrets": ["registry"]}, "at '/imagePullSecrets/0': got string, want object"),
        (
            {"reconcile": {"resyncSeconds": 1}},
            "at '/reconcile/resyncSeconds': minimum: got 1, want 10",
        ),
        (
            {"resources": {"limit": {}}},
            "at '/resources': additional properties 'limit' not allowed",
        ),
        ({"crds": {"keep": "no"}}, "at '/crds/keep': got string, want boolean"),
        (
            {"networkPolicy": {"s3Ports": [90000]}},
            "at '/networkPolicy/s3Ports/0': maximum: got 90,000, want 65,535",
        ),
        (
            {"metrics": {"serviceMonitor": {"interval": "often"}}},
            "at '/metrics/serviceMonitor/interval': 'often' does not match pattern",
        ),
        (
            {"metrics": {"prometheusRule": {"enabled": "yes"}}},
            "at '/metrics/prometheusRule/enabled': got string, want boolean",
        ),
        ({"tenants": {"risk": RISK}}, "at '/tenants': got object, want array"),
        (
            {"purge": {"olderThan": "1d12h"}},
            "at '/purge/olderThan': '1d12h' does not match pattern '^[0-9]{1,6}[smhd]$'",
        ),
        (
            {"purge": {"schedule": "nightly"}},
            "at '/purge/schedule': 'nightly' does not match pattern",
        ),
        (
            {"policies": {"servingAccounts": ["a'b"]}},
            "at '/policies/servingAccounts/0': 'a\\'b' does not match pattern",
        ),
        (tenant(namespace=None), "at '/tenants/0': missing property 'namespace'"),
        (tenant(namespace="risk_1"), "at '/tenants/0/namespace': 'risk_1' does not match pattern"),
        (
            tenant(mlflow={"uri": "mlflow:5050"}),
            "at '/tenants/0/mlflow/uri': 'mlflow:5050' does not match pattern '^https?://",
        ),
        (tenant(mlflow={"uri": "http://user:pw@mlflow"}), "at '/tenants/0/mlflow/uri'"),
        (
            tenant(mlflow={"username": "a", "password": "b"}),
            "at '/tenants/0/mlflow': missing property 'uri'",
        ),
        (
            tenant(s3={"endpoint": "http://s3"}),
            "at '/tenants/0/s3': missing properties 'accessKey', 'secretKey'",
        ),
        (
            tenant(s3=RISK["s3"] | {"bucket": "Artifacts"}),
            "at '/tenants/0/s3/bucket': 'Artifacts' does not match pattern",
        ),
        (tenant(s3=RISK["s3"] | {"secretKey": "key\n"}), "at '/tenants/0/s3/secretKey'"),
        (tenant(secretName="x"), "at '/tenants/0': additional properties 'secretName' not allowed"),
        (
            {"demo": {"minio": {"rootPassword": "short"}}},
            "at '/demo/minio/rootPassword': 'short' does not match pattern '^(.{8,})?$'",
        ),
        (
            {"demo": {"mlflow": {"persistence": {"size": "ten"}}}},
            "at '/demo/mlflow/persistence/size': 'ten' does not match pattern",
        ),
        (
            {"demo": {"mlflow": {"backendStoreUri": "a database"}}},
            "at '/demo/mlflow/backendStoreUri': 'a database' does not match pattern",
        ),
    ],
)
def test_an_invalid_value_is_refused_with_its_name(values, said):
    with pytest.raises(Refused) as refusal:
        render(values)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"tenants": [RISK, RISK]},
            "tenants[1] (risk): the namespace is listed twice; a namespace has only one connection",
        ),
        (
            tenant(s3=None),
            (
                "tenants[0] (risk): set mlflow and s3, or set existingSecret: true if the Secret"
                " modelyard-connection exists"
            ),
        ),
        (
            tenant(existingSecret=True),
            (
                "tenants[0] (risk): with existingSecret the Secret modelyard-connection must exist;"
                " leave out mlflow and s3"
            ),
        ),
        (
            tenant(mlflow=RISK["mlflow"] | {"token": "t"}),
            "tenants[0] (risk): mlflow has both a token and a user; set one of them",
        ),
        (
            tenant(mlflow={"uri": "http://m", "username": "u"}),
            "tenants[0] (risk): set both mlflow.username and mlflow.password, or neither",
        ),
        (
            tenant(labels={"a": "b"}),
            (
                "tenants[0] (risk): labels are only for a namespace that the chart creates; set"
                " createNamespace"
            ),
        ),
        (
            tenant(keepNamespace=False),
            (
                "tenants[0] (risk): keepNamespace is only for a namespace that the chart creates;"
                " set createNamespace"
            ),
        ),
        (
            {"demo": {"enabled": True}, "tenants": [RISK]},
            "demo.tenant.namespace: risk is in tenants as well; name another one",
        ),
        (
            {
                "demo": {
                    "enabled": True,
                    "mlflow": {
                        "backendStoreUri": "sqlite:///a",
                        "backendStoreSecret": {"name": "b"},
                    },
                }
            },
            (
                "demo.mlflow: backendStoreUri and backendStoreSecret both name a database; set one"
                " of them"
            ),
        ),
        (
            {"demo": {"enabled": True, "minio": {"existingSecret": "a", "rootUser": "somebody"}}},
            "demo.minio: existingSecret holds the keys; leave out rootUser and rootPassword",
        ),
        (
            {"purge": {"enabled": True}},
            (
                "purge.backendStoreSecret: name the Secret with MLflow's database and the keys of"
                " S3, or set purge.enabled to false"
            ),
        ),
        (
            {"demo": {"enabled": True}, "purge": {"backendStoreSecret": "database"}},
            (
                "purge: with demo.enabled the demo's database is purged; leave out"
                " purge.enabled and purge.backendStoreSecret"
            ),
        ),
        (
            {"replicas": 2, "podDisruptionBudget": {"minAvailable": 2}},
            "podDisruptionBudget.minAvailable: 2 of 2 replicas prevents every node drain",
        ),
        (
            runtime(RUNTIME_IMAGE + 1),
            (
                f"runtime.image: its name has {RUNTIME_IMAGE + 1} characters, but a model's status"
                f" has room for {RUNTIME_IMAGE}"
            ),
        ),
        (
            {"watchNamespaces": ["kube-system"]},
            (
                "kube-system: policies.fence forbids the operator to write in the system's"
                " namespaces and its own; use another namespace for models"
            ),
        ),
        (
            tenant(namespace="modelyard-system"),
            "modelyard-system: policies.fence forbids the operator to write",
        ),
        (
            {"serviceAccount": {"create": False}},
            (
                "serviceAccount.name: name an existing ServiceAccount, or set serviceAccount.create"
                " to true"
            ),
        ),
    ],
)
def test_values_that_contradict_each_other_are_rejected_with_the_next_step(values, said):
    with pytest.raises(Refused) as refusal:
        render(values)
    assert said in str(refusal.value)


def test_the_longest_runtime_image_is_accepted():
    values = runtime(RUNTIME_IMAGE)
    (container,) = find(render(values), "Deployment", RELEASE)["spec"]["template"]["spec"][
        "containers"
    ]
    given = env(container)["MODELYARD_RUNTIME_IMAGE"]
    assert given == ":".join(values["runtime"]["image"].values())
    assert len(given) == RUNTIME_IMAGE


def test_all_contradictions_are_reported_at_once():
    with pytest.raises(Refused) as refusal:
        render({"tenants": [RISK, RISK | {"labels": {"a": "b"}}, {"namespace": "vault"}]})
    assert len(re.findall(r"^- tenants\[", str(refusal.value), re.MULTILINE)) == 3


def test_the_example_values_are_valid():
    assert render({"tenants": [RISK, CREDIT]})
