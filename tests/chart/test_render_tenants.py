"""What the chart renders for tenants, for the demo and for uninstalling."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.chart.helm import (
    NAMESPACE,
    RELEASE,
    ROOT,
    find,
    pod_templates,
    render,
    render_text,
)
from tests.chart.rendered import env, every_set, named, secret
from tests.chart.values import CREDIT, RISK, SETS
from tests.golden.cases import PODS


# --- tenants --------------------------------------------------------------------------------------
def test_each_tenant_gets_only_its_own_connection():
    objects = render(SETS["tenants"])
    assert secret(objects, "modelyard-connection", "risk") == {
        "MLFLOW_TRACKING_URI": "https://mlflow.example.com",
        "MLFLOW_TRACKING_USERNAME": "risk",
        "MLFLOW_TRACKING_PASSWORD": "mlflow-secret-of-risk",
        "MLFLOW_S3_ENDPOINT_URL": "https://s3.example.com:9000",
        "AWS_ACCESS_KEY_ID": "AKRISK",
        "AWS_SECRET_ACCESS_KEY": "s3-secret-of-risk",
        "MODELYARD_BUCKET": "mlflow-artifacts",
    }
    assert secret(objects, "modelyard-connection", "credit") == {
        "MLFLOW_TRACKING_URI": "http://mlflow.credit:5000",
        "MLFLOW_TRACKING_TOKEN": "mlflow-token-of-credit",
        "MLFLOW_S3_ENDPOINT_URL": "http://minio.credit:9000",
        "AWS_ACCESS_KEY_ID": "AKCREDIT",
        "AWS_SECRET_ACCESS_KEY": "s3-secret-of-credit",
        "MODELYARD_BUCKET": "credit-artifacts",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "MODELYARD_READ_BUCKETS": "datasets,shared-datasets",
    }
    assert [each["metadata"]["namespace"] for each in objects if each["kind"] == "Secret"].count(
        "vault"
    ) == 0


def test_the_operator_reads_every_connection_that_the_chart_writes():
    code = (
        "import json, sys; from modelyard.adapters.connection_secret import parse_connection\n"
        "for namespace, values in json.load(sys.stdin).items(): parse_connection(namespace, values)"
    )
    for values in (SETS["tenants"], SETS["demo"], SETS["demo of other images"]):
        objects = render(values)
        connections = {
            each["metadata"]["namespace"]: secret(
                objects, "modelyard-connection", each["metadata"]["namespace"]
            )
            for each in objects
            if each["kind"] == "Secret" and each["metadata"]["name"] == "modelyard-connection"
        }
        assert connections
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(connections),
            env=os.environ | {"PYTHONPATH": str(ROOT / "operator")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_a_namespace_is_created_on_request_and_stays():
    objects = render(SETS["tenants"])
    assert named(objects, "Namespace") == ["credit"]
    metadata = find(objects, "Namespace", "credit")["metadata"]
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert metadata["labels"]["modelyard.io/allow-code-models"] == "true"
    assert metadata["annotations"] == {"helm.sh/resource-policy": "keep"}
    loose = find(render(SETS["removed namespace"]), "Namespace", "credit")["metadata"]
    assert "helm.sh/resource-policy" not in loose.get("annotations", {})


def test_a_tenants_pods_reach_what_they_need():
    objects = render(SETS["tenants"])
    training = find(objects, "NetworkPolicy", "modelyard-training", "credit")["spec"]
    assert training["podSelector"] == {
        "matchExpressions": [{"key": "modelyard.io/training-run", "operator": "Exists"}]
    }
    assert training.get("ingress", []) == []
    assert {port["port"] for rule in training["egress"] for port in rule.get("ports", [])} == {
        53,
        80,
        443,
        5000,
        5050,
        9000,
    }
    assert training["egress"][-1] == CREDIT["extraEgress"][0]
    serving = find(objects, "NetworkPolicy", "modelyard-serving", "credit")["spec"]
    served = [
        {"key": "modelyard.io/stage", "operator": "Exists"},
        {"key": "modelyard.io/gate", "operator": "DoesNotExist"},
    ]
    assert serving["podSelector"] == {"matchExpressions": served}
    # A pod of the stable version forwards requests to those of the candidate.
    candidate = {
        "ports": [{"protocol": "TCP", "port": 8080}],
        "to": [{"podSelector": {"matchExpressions": served}}],
    }
    assert serving["egress"][0] == candidate
    assert {port["port"] for rule in serving["egress"][1:] for port in rule.get("ports", [])} == {
        53,
        80,
        443,
        9000,
    }
    gates = find(objects, "NetworkPolicy", "modelyard-gates", "credit")["spec"]
    assert gates["podSelector"] == {
        "matchExpressions": [{"key": "modelyard.io/gate", "operator": "Exists"}]
    }
    assert gates.get("ingress", []) == []
    assert (gates["egress"][0], gates["egress"][1:]) == (candidate, training["egress"])
    own = {"podSelector": {}}
    labels = {
        "app.kubernetes.io/name": "modelyard",
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/component": "operator",
    }
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
        "podSelector": {"matchLabels": labels},
    }
    assert [(rule["ports"], rule["from"]) for rule in serving["ingress"]] == [
        ([{"protocol": "TCP", "port": port}], [own, operator]) for port in (8080, 9090)
    ]
    for namespace in ("risk", "vault"):
        assert find(objects, "NetworkPolicy", "modelyard-training", namespace)


def test_peers_may_reach_what_they_are_named_for():
    network = SETS["network"]["networkPolicy"]
    objects = render({**SETS["network"], "tenants": [RISK]})
    asked, scraped = find(objects, "NetworkPolicy", "modelyard-serving", "risk")["spec"]["ingress"]
    assert asked["from"][2:] == network["servingFrom"]
    assert scraped["from"][2:] == network["metricsFrom"]
    pod = PODS["serving/plain/Deployment"]
    ports = {each["name"]: each["containerPort"] for each in pod["containers"][0]["ports"]}
    assert [ports["http"], ports["metrics"]] == [
        rule["ports"][0]["port"] for rule in (asked, scraped)
    ]


# --- the demo -------------------------------------------------------------------------------------
def test_the_demo_is_off():
    assert named(render(), "Deployment") == [RELEASE]
    assert named(render(), "Secret") == named(render(), "Namespace") == []


def test_mlflow_knows_every_form_of_its_own_name():
    container = find(render(SETS["demo"]), "Deployment", f"{RELEASE}-mlflow")["spec"]["template"][
        "spec"
    ]["containers"][0]
    hosts = set(env(container)["MLFLOW_SERVER_ALLOWED_HOSTS"].split(","))
    service = f"{RELEASE}-mlflow"
    for name in (
        service,
        f"{service}.{NAMESPACE}",
        f"{service}.{NAMESPACE}.svc",
        f"{service}.{NAMESPACE}.svc.cluster.local",
    ):
        assert {name, f"{name}:5050"} <= hosts
    assert {"localhost", "localhost:*"} <= hosts
    assert "*" not in hosts


def test_the_tenants_addresses_are_the_services():
    for values, mlflow_port, minio_port in (
        (SETS["demo"], 5050, 9000),
        (SETS["demo of other images"], 80, 9900),
    ):
        objects = render(values)
        namespace = values["demo"].get("tenant", {}).get("namespace", "risk")
        connection = secret(objects, "modelyard-connection", namespace)
        assert (
            connection["MLFLOW_TRACKING_URI"]
            == f"http://{RELEASE}-mlflow.{NAMESPACE}.svc:{mlflow_port}"
        )
        assert (
            connection["MLFLOW_S3_ENDPOINT_URL"]
            == f"http://{RELEASE}-minio.{NAMESPACE}.svc:{minio_port}"
        )
        assert (
            find(objects, "Service", f"{RELEASE}-mlflow")["spec"]["ports"][0]["port"] == mlflow_port
        )
        assert (
            find(objects, "Service", f"{RELEASE}-minio")["spec"]["ports"][0]["port"] == minio_port
        )


def test_generated_keys_are_consistent_and_differ_between_releases():
    first, second = render(SETS["demo"], time=1), render(SETS["demo"], time=2)
    keys = secret(first, f"{RELEASE}-minio", NAMESPACE)
    assert len(keys["MINIO_ROOT_PASSWORD"]) == 32
    assert (
        secret(first, "modelyard-connection", "risk")["AWS_SECRET_ACCESS_KEY"]
        == keys["MINIO_ROOT_PASSWORD"]
    )
    assert (
        secret(second, f"{RELEASE}-minio", NAMESPACE)["MINIO_ROOT_PASSWORD"]
        != keys["MINIO_ROOT_PASSWORD"]
    )


def test_no_annotation_is_derived_from_a_password():
    """Users who may read pods could try passwords against it. `test_release` tests that pods
    restart with other keys.
    """

    def annotations(password: str) -> list[dict[str, str]]:
        objects = render({"demo": {"enabled": True, "minio": {"rootPassword": password}}})
        pods = [
            each["spec"]["template"]["metadata"] for each in objects if each["kind"] == "Deployment"
        ]
        return [
            meta.get("annotations", {}) for meta in [*pods, *(each["metadata"] for each in objects)]
        ]

    assert annotations("password-one") == annotations("password-two")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo", "sqlite:////var/lib/mlflow/mlflow.db"),
        ("demo on a database", {"secretKeyRef": {"name": "modelyard-mlflow", "key": "uri"}}),
        ("demo on a database in a Secret", {"secretKeyRef": {"name": "database", "key": "uri"}}),
    ],
)
def test_mlflow_stores_its_records_in_the_configured_place(name, expected):
    objects = render(SETS[name])
    container = find(objects, "Deployment", f"{RELEASE}-mlflow")["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert env(container)["MLFLOW_BACKEND_STORE_URI"] == expected
    assert (f"{RELEASE}-mlflow" in named(objects, "PersistentVolumeClaim")) is (name == "demo")
    if name == "demo on a database":
        assert secret(objects, f"{RELEASE}-mlflow", NAMESPACE) == {
            "uri": "postgresql://mlflow:db-secret@db/mlflow"
        }


def test_mlflow_is_one_process_that_serves_no_artifacts():
    container = find(render(SETS["demo"]), "Deployment", f"{RELEASE}-mlflow")["spec"]["template"][
        "spec"
    ]["containers"][0]
    assert {
        "--workers=1",
        "--no-serve-artifacts",
        "--default-artifact-root=s3://mlflow-artifacts",
        "--port=5050",
    } <= set(container["command"])
    assert env(container)["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert container["image"] == "modelyard/runtime:0.1.0"


def test_volume_claims_exist_unless_disabled():
    assert named(render(SETS["demo"]), "PersistentVolumeClaim") == [
        f"{RELEASE}-minio",
        f"{RELEASE}-mlflow",
    ]
    assert named(render(SETS["demo without claims"]), "PersistentVolumeClaim") == []
    assert (
        find(render(SETS["demo of other images"]), "PersistentVolumeClaim", f"{RELEASE}-mlflow")[
            "spec"
        ]["storageClassName"]
        == "fast"
    )


def test_keys_in_an_existing_secret_are_copied_nowhere():
    objects = render(SETS["demo with a Secret"])
    assert named(objects, "Secret") == []
    pods = pod_templates(objects)
    assert pods[f"Deployment/{RELEASE}-minio"]["spec"]["containers"][0]["envFrom"] == [
        {"secretRef": {"name": "keys"}}
    ]
    assert (
        env(pods[f"Deployment/{RELEASE}-mlflow"]["spec"]["containers"][0])["AWS_ACCESS_KEY_ID"][
            "secretKeyRef"
        ]["name"]
        == "keys"
    )


def test_only_the_release_and_its_tenants_reach_the_demo():
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in render({"demo": {"enabled": True}, "tenants": [RISK | {"namespace": "other"}]})
        if each["kind"] == "NetworkPolicy"
    }
    for name in (f"{RELEASE}-mlflow", f"{RELEASE}-minio"):
        pods, namespaces = policies[name]["ingress"][0]["from"]
        assert pods["podSelector"]["matchLabels"] == {
            "app.kubernetes.io/name": "modelyard",
            "app.kubernetes.io/instance": RELEASE,
        }
        assert namespaces["namespaceSelector"]["matchExpressions"][0]["values"] == ["other", "risk"]
    assert policies[f"{RELEASE}-minio"]["egress"] == []


def test_helm_test_sends_requests_to_all_that_the_release_runs_by_every_name():
    asked = find(render(SETS["demo"]), "Pod", f"{RELEASE}-test")["spec"]["containers"][0][
        "command"
    ][3:]
    service = f"{RELEASE}-mlflow"
    for name in (
        service,
        f"{service}.{NAMESPACE}",
        f"{service}.{NAMESPACE}.svc",
        f"{service}.{NAMESPACE}.svc.cluster.local",
    ):
        assert f"http://{name}:5050/api/2.0/mlflow/experiments/search?max_results=1" in asked
    assert f"http://{RELEASE}-metrics.{NAMESPACE}.svc:8080/metrics" in asked
    assert f"http://{RELEASE}-minio.{NAMESPACE}.svc:9000/minio/health/ready" in asked
    assert len(asked) == 6
    assert named(render({"metrics": {"service": {"enabled": False}}}), "Pod") == []


# --- uninstalling ---------------------------------------------------------------------------------
def uninstaller(values: dict[str, Any]) -> list[str] | None:
    jobs = [each for each in render(values) if each["kind"] == "Job"]
    return jobs[0]["spec"]["template"]["spec"]["containers"][0]["command"][2:] if jobs else None


def test_objects_are_cleaned_up_before_the_operator_is_uninstalled():
    assert uninstaller({}) is None
    assert uninstaller(SETS["tenants"]) is None
    assert uninstaller(SETS["demo"]) == ["risk"]
    assert uninstaller(SETS["removed namespace"]) == ["credit"]
    assert uninstaller(SETS["nothing kept of all"]) == ["--all"]
    assert uninstaller(SETS["no hook"]) is None


@every_set
def test_the_uninstaller_s_objects_are_hooks_and_are_deleted_with_it(values):
    for each in render(values):
        if each["metadata"]["name"].endswith("-uninstall"):
            annotations = each["metadata"]["annotations"]
            assert annotations["helm.sh/hook"] == "pre-delete"
            assert (
                annotations["helm.sh/hook-delete-policy"]
                == "before-hook-creation,hook-succeeded,hook-failed"
            )


def test_the_text_is_clean():
    for values in SETS.values():
        assert "<no value>" not in render_text(values)
        assert not re.search(r"%!\w", render_text(values))
