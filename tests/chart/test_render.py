"""What the chart makes of its values."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.chart.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    TEST_VALUES,
    Manifest,
    documents,
    find,
    helm,
    pod_templates,
    render,
    render_text,
)
from tests.chart.values import CREDIT, RISK, SETS

every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())


def named(objects: list[Manifest], kind: str) -> list[str]:
    return sorted(each["metadata"]["name"] for each in objects if each["kind"] == kind)


def secret(objects: list[Manifest], name: str, namespace: str) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in find(objects, "Secret", name, namespace)["data"].items()}


def env(container: Manifest) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


@every_set
def test_lint_finds_nothing(values, tmp_path):
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, "--values", file)


def test_the_values_of_the_test_cluster_name_only_its_images():
    images = {c["image"] for pod in pod_templates(render(files=[TEST_VALUES])).values() for c in pod["spec"]["containers"]}
    assert images == {"modelyard/operator:dev", "modelyard/runtime:dev", "modelyard/minio:dev"}


@every_set
def test_every_object_has_the_standard_labels(values):
    for each in render(values):
        labels = each["metadata"].get("labels", {})
        where = f"{each['kind']} {each['metadata']['name']}"
        assert labels.get("app.kubernetes.io/name") == "modelyard", where
        assert labels.get("app.kubernetes.io/instance") == RELEASE, where
        assert labels.get("app.kubernetes.io/component"), where
        assert labels.get("app.kubernetes.io/part-of") == "modelyard", where
        assert labels.get("app.kubernetes.io/managed-by") == "Helm", where
        assert values.get("commonLabels", {}).items() <= labels.items(), where


@every_set
def test_no_two_objects_are_the_same(values):
    seen = [(each["apiVersion"], each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in render(values)]
    assert sorted(map(str, seen)) == sorted({str(each) for each in seen})


@every_set
def test_every_pod_is_restricted_and_bounded(values):
    pods = pod_templates(render(values))
    assert any(name.startswith("Deployment/") for name in pods)
    for name, pod in pods.items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["enableServiceLinks"] is False, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert set(container["resources"]) == {"requests", "limits"}, name
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}, name
            assert not container["image"].endswith((":latest", ":")), name


@every_set
def test_only_the_operator_and_the_uninstaller_have_a_token(values):
    with_token = {name for name, pod in pod_templates(render(values)).items() if pod["spec"]["automountServiceAccountToken"]}
    assert with_token <= {
        f"Deployment/{values.get('fullnameOverride', RELEASE)}",
        f"Job/{values.get('fullnameOverride', RELEASE)}-uninstall",
    }


@every_set
def test_long_running_pods_have_all_three_probes(values):
    for each in render(values):
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), each["metadata"]["name"]


@every_set
def test_selectors_find_the_pods_that_they_mean(values):
    objects = render(values)
    labels = {name: pod["metadata"]["labels"] for name, pod in pod_templates(objects).items()}

    def matched(selector: dict[str, str]) -> list[str]:
        return [name for name, has in labels.items() if selector.items() <= has.items()]

    full = values.get("fullnameOverride", RELEASE)
    for each in objects:
        name = each["metadata"]["name"]
        if each["kind"] == "Service":
            assert matched(each["spec"]["selector"]) == [f"Deployment/{name.removesuffix('-metrics')}"]
        if each["kind"] in ("Deployment", "PodDisruptionBudget", "ServiceMonitor"):
            owners = matched(each["spec"]["selector"]["matchLabels"])
            assert owners == [f"Deployment/{name}"]
        if each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == NAMESPACE:
            expected = f"Job/{name}" if name == f"{full}-uninstall" else f"Deployment/{name}"
            assert matched(each["spec"]["podSelector"]["matchLabels"]) == [expected]


@every_set
def test_named_ports_are_there(values):
    objects = render(values)
    pods = pod_templates(objects)
    for each in objects:
        if each["kind"] == "Service":
            pod = pods[f"Deployment/{each['metadata']['name'].removesuffix('-metrics')}"]
            ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= ports


@every_set
def test_no_secret_value_stands_outside_of_a_secret(values):
    text = json.dumps(values)
    planted = set(re.findall(r"[a-z0-9]+-(?:secret|token)(?:-of-[a-z]+)?", text))
    for each in render(values):
        if each["kind"] != "Secret":
            assert not [word for word in planted if word in json.dumps(each)], each["metadata"]["name"]


# --- the operator -----------------------------------------------------------------------------------
@every_set
def test_the_operator_understands_every_setting_that_the_chart_gives(values):
    full = values.get("fullnameOverride", RELEASE)
    container = find(render(values), "Deployment", full)["spec"]["template"]["spec"]["containers"][0]
    given = {name: value if isinstance(value, str) else "from-the-pod" for name, value in env(container).items()}
    code = (
        "import json, os; from modelyard.settings import Settings; unknown = {k for k in os.environ if k.startswith('MODELYARD_')}"
        " - {f'MODELYARD_{f.upper()}' for f in Settings.model_fields}; assert not unknown, unknown; print(Settings().model_dump_json())"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MODELYARD_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | given | {"PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (settings["listen_metrics"], settings["listen_health"]) == (ports["metrics"], ports["probes"])
    watched = set(values.get("watchNamespaces", []))
    if watched:
        watched |= {tenant["namespace"] for tenant in values.get("tenants", [])} | ({"risk"} if values.get("demo") else set())
    assert set(settings["namespaces"]) == watched
    assert settings["lease_name"] == full
    assert settings["log_level"] == values.get("log", {}).get("level", "info").upper()


def test_a_budget_comes_with_the_second_replica():
    assert named(render(), "PodDisruptionBudget") == []
    budget = find(render({"replicas": 2}), "PodDisruptionBudget", RELEASE)
    assert budget["spec"]["minAvailable"] == 1
    assert named(render({"replicas": 2, "podDisruptionBudget": {"enabled": False}}), "PodDisruptionBudget") == []


def test_everything_of_a_pod_reaches_it():
    values = SETS["everything of a pod"]
    pods = pod_templates(render(values))
    for pod in pods.values():
        for key in ("nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets"):
            assert pod["spec"][key] == values[key]
    operator = pods[f"Deployment/{RELEASE}"]
    assert operator["spec"]["affinity"] == values["affinity"]
    assert values["podLabels"].items() <= operator["metadata"]["labels"].items()
    assert values["podAnnotations"].items() <= operator["metadata"]["annotations"].items()
    assert operator["spec"]["containers"][0]["image"] == f"registry.example.com:5000/modelyard/operator@sha256:{'a' * 64}"


def rules_of(objects: list[Manifest], kind: str, name: str, namespace: str | None = None) -> list[Manifest]:
    return find(objects, kind, name, namespace)["rules"]


def test_without_namespaces_the_operator_has_a_cluster_role():
    objects = render()
    resources = {r for rule in rules_of(objects, "ClusterRole", RELEASE) for r in rule["resources"]}
    assert {"registeredmodels", "deployments", "jobs", "namespaces"} <= resources
    assert named(objects, "Role") == [f"{RELEASE}-own"]


def test_with_namespaces_it_has_roles_there_and_next_to_nothing_elsewhere():
    objects = render(SETS["some namespaces"])
    generated = yaml.safe_load((CHART / "files" / "rbac.yaml").read_text())
    assert rules_of(objects, "ClusterRole", RELEASE) == generated["cluster"]
    assert {verb for rule in generated["cluster"] for verb in rule["verbs"]} <= {"get", "list", "watch"}
    for namespace in ("alpha", "beta", "risk"):
        resources = {r for rule in rules_of(objects, "Role", RELEASE, namespace) for r in rule["resources"]}
        assert {"registeredmodels", "deployments", "jobs", "secrets"} <= resources
        binding = find(objects, "RoleBinding", RELEASE, namespace)
        assert binding["roleRef"]["name"] == RELEASE
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": RELEASE, "namespace": NAMESPACE}]


@every_set
def test_the_operator_has_no_right_that_is_too_wide(values):
    full = values.get("fullnameOverride", RELEASE)
    for each in render(values):
        if each["kind"] not in ("Role", "ClusterRole") or each["metadata"]["name"] not in (full, f"{full}-own"):
            continue
        for rule in each["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"escalate", "bind", "impersonate", "promote", "purge"} & set(rule["verbs"])
            assert not {"pods/exec", "pods/log", "roles", "rolebindings"} & set(rule["resources"])
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert rule["resourceNames"] == ["modelyard-connection"]


def test_the_operator_may_reach_these_ports_and_no_others():
    policy = find(render(SETS["network"]), "NetworkPolicy", RELEASE)["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule.get("ports", [])}
    assert ports == {53, 8053, 16443, 443}
    assert policy["egress"][-1] == {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"][0]["from"] == SETS["network"]["networkPolicy"]["metricsFrom"]


def test_metrics_can_be_scraped():
    objects = render(SETS["metrics"])
    monitor, service = find(objects, "ServiceMonitor", RELEASE), find(objects, "Service", f"{RELEASE}-metrics")
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert named(render(), "ServiceMonitor") == []


# --- CRDs --------------------------------------------------------------------------------------------
def test_the_crds_are_the_generated_ones():
    rendered = {each["metadata"]["name"]: each for each in render() if each["kind"] == "CustomResourceDefinition"}
    generated = {each["metadata"]["name"]: each for file in (ROOT / "crds").glob("*.yaml") for each in documents(file.read_text())}
    assert len(generated) == 3
    assert {name: each["spec"] for name, each in rendered.items()} == {name: each["spec"] for name, each in generated.items()}


def test_the_crds_stay_unless_told_otherwise():
    kept = [each["metadata"]["annotations"]["helm.sh/resource-policy"] for each in render() if each["kind"] == "CustomResourceDefinition"]
    assert kept == ["keep"] * 3
    loose = [
        each["metadata"].get("annotations", {}) for each in render({"crds": {"keep": False}}) if each["kind"] == "CustomResourceDefinition"
    ]
    assert [each.get("helm.sh/resource-policy") for each in loose] == [None] * 3
    assert named(render({"crds": {"install": False}}), "CustomResourceDefinition") == []


# --- tenants -----------------------------------------------------------------------------------------
def test_each_tenant_gets_its_own_connection_and_nobody_elses():
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
    assert [each["metadata"]["namespace"] for each in objects if each["kind"] == "Secret"].count("vault") == 0


def test_the_operator_reads_every_connection_that_the_chart_writes():
    code = (
        "import json, sys; from modelyard.adapters.connection_secret import parse_connection\n"
        "for namespace, values in json.load(sys.stdin).items(): parse_connection(namespace, values)"
    )
    for values in (SETS["tenants"], SETS["demo"], SETS["demo of other images"]):
        objects = render(values)
        connections = {
            each["metadata"]["namespace"]: secret(objects, "modelyard-connection", each["metadata"]["namespace"])
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


def test_a_namespace_is_made_when_asked_for_and_stays():
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
    assert training["podSelector"] == {"matchExpressions": [{"key": "modelyard.io/training-run", "operator": "Exists"}]}
    assert training.get("ingress", []) == []
    assert {port["port"] for rule in training["egress"] for port in rule.get("ports", [])} == {53, 80, 443, 5000, 5050, 9000}
    assert training["egress"][-1] == CREDIT["extraEgress"][0]
    serving = find(objects, "NetworkPolicy", "modelyard-serving", "credit")["spec"]
    assert serving["podSelector"] == {"matchExpressions": [{"key": "modelyard.io/stage", "operator": "Exists"}]}
    assert {port["port"] for rule in serving["egress"] for port in rule.get("ports", [])} == {53, 80, 443, 9000}
    assert serving["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
    for namespace in ("risk", "vault"):
        assert find(objects, "NetworkPolicy", "modelyard-training", namespace)


# --- the demo ----------------------------------------------------------------------------------------
def test_the_demo_is_off():
    assert named(render(), "Deployment") == [RELEASE]
    assert named(render(), "Secret") == named(render(), "Namespace") == []


def test_mlflow_knows_every_form_of_its_own_name():
    container = find(render(SETS["demo"]), "Deployment", f"{RELEASE}-mlflow")["spec"]["template"]["spec"]["containers"][0]
    hosts = set(env(container)["MLFLOW_SERVER_ALLOWED_HOSTS"].split(","))
    service = f"{RELEASE}-mlflow"
    for name in (service, f"{service}.{NAMESPACE}", f"{service}.{NAMESPACE}.svc", f"{service}.{NAMESPACE}.svc.cluster.local"):
        assert {name, f"{name}:5050"} <= hosts
    assert {"localhost", "localhost:*"} <= hosts
    assert "*" not in hosts


def test_the_tenants_addresses_are_the_services():
    for values, mlflow_port, minio_port in ((SETS["demo"], 5050, 9000), (SETS["demo of other images"], 80, 9900)):
        objects = render(values)
        namespace = values["demo"].get("tenant", {}).get("namespace", "risk")
        connection = secret(objects, "modelyard-connection", namespace)
        assert connection["MLFLOW_TRACKING_URI"] == f"http://{RELEASE}-mlflow.{NAMESPACE}.svc:{mlflow_port}"
        assert connection["MLFLOW_S3_ENDPOINT_URL"] == f"http://{RELEASE}-minio.{NAMESPACE}.svc:{minio_port}"
        assert find(objects, "Service", f"{RELEASE}-mlflow")["spec"]["ports"][0]["port"] == mlflow_port
        assert find(objects, "Service", f"{RELEASE}-minio")["spec"]["ports"][0]["port"] == minio_port


def test_drawn_keys_are_the_same_everywhere_and_never_twice_the_same():
    first, second = render(SETS["demo"], time=1), render(SETS["demo"], time=2)
    keys = secret(first, f"{RELEASE}-minio", NAMESPACE)
    assert len(keys["MINIO_ROOT_PASSWORD"]) == 32
    assert secret(first, "modelyard-connection", "risk")["AWS_SECRET_ACCESS_KEY"] == keys["MINIO_ROOT_PASSWORD"]
    assert secret(second, f"{RELEASE}-minio", NAMESPACE)["MINIO_ROOT_PASSWORD"] != keys["MINIO_ROOT_PASSWORD"]


def test_pods_start_anew_when_the_keys_change():
    def marks(password: str) -> set[str]:
        objects = render({"demo": {"enabled": True, "minio": {"rootPassword": password}}})
        return {
            find(objects, "Deployment", f"{RELEASE}-{name}")["spec"]["template"]["metadata"]["annotations"]["modelyard.io/keys"]
            for name in ("mlflow", "minio")
        }

    assert marks("password-one") == marks("password-one") != marks("password-two")
    assert len(marks("password-one")) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo", "sqlite:////var/lib/mlflow/mlflow.db"),
        ("demo on a database", {"secretKeyRef": {"name": "modelyard-mlflow", "key": "uri"}}),
        ("demo on a database in a Secret", {"secretKeyRef": {"name": "database", "key": "uri"}}),
    ],
)
def test_mlflow_keeps_its_records_where_it_is_told(name, expected):
    objects = render(SETS[name])
    container = find(objects, "Deployment", f"{RELEASE}-mlflow")["spec"]["template"]["spec"]["containers"][0]
    assert env(container)["MLFLOW_BACKEND_STORE_URI"] == expected
    assert (f"{RELEASE}-mlflow" in named(objects, "PersistentVolumeClaim")) is (name == "demo")
    if name == "demo on a database":
        assert secret(objects, f"{RELEASE}-mlflow", NAMESPACE) == {"uri": "postgresql://mlflow:db-secret@db/mlflow"}


def test_mlflow_is_one_quiet_process_that_serves_no_artifacts():
    container = find(render(SETS["demo"]), "Deployment", f"{RELEASE}-mlflow")["spec"]["template"]["spec"]["containers"][0]
    assert {"--workers=1", "--no-serve-artifacts", "--default-artifact-root=s3://mlflow-artifacts", "--port=5050"} <= set(
        container["command"]
    )
    assert env(container)["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert container["image"] == "modelyard/runtime:0.1.0"


def test_claims_are_there_unless_told_otherwise():
    assert named(render(SETS["demo"]), "PersistentVolumeClaim") == [f"{RELEASE}-minio", f"{RELEASE}-mlflow"]
    assert named(render(SETS["demo without claims"]), "PersistentVolumeClaim") == []
    assert find(render(SETS["demo of other images"]), "PersistentVolumeClaim", f"{RELEASE}-mlflow")["spec"]["storageClassName"] == "fast"


def test_keys_in_a_secret_of_yours_are_copied_nowhere():
    objects = render(SETS["demo with a Secret"])
    assert named(objects, "Secret") == []
    pods = pod_templates(objects)
    assert pods[f"Deployment/{RELEASE}-minio"]["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert env(pods[f"Deployment/{RELEASE}-mlflow"]["spec"]["containers"][0])["AWS_ACCESS_KEY_ID"]["secretKeyRef"]["name"] == "keys"


def test_only_the_release_and_its_tenants_reach_the_demo():
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in render({"demo": {"enabled": True}, "tenants": [RISK | {"namespace": "other"}]})
        if each["kind"] == "NetworkPolicy"
    }
    for name in (f"{RELEASE}-mlflow", f"{RELEASE}-minio"):
        pods, namespaces = policies[name]["ingress"][0]["from"]
        assert pods["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "modelyard", "app.kubernetes.io/instance": RELEASE}
        assert namespaces["namespaceSelector"]["matchExpressions"][0]["values"] == ["other", "risk"]
    assert policies[f"{RELEASE}-minio"]["egress"] == []


def test_helm_test_asks_everything_that_the_release_runs_by_every_name():
    asked = find(render(SETS["demo"]), "Pod", f"{RELEASE}-test")["spec"]["containers"][0]["command"][3:]
    service = f"{RELEASE}-mlflow"
    for name in (service, f"{service}.{NAMESPACE}", f"{service}.{NAMESPACE}.svc", f"{service}.{NAMESPACE}.svc.cluster.local"):
        assert f"http://{name}:5050/api/2.0/mlflow/experiments/search?max_results=1" in asked
    assert f"http://{RELEASE}-metrics.{NAMESPACE}.svc:8080/metrics" in asked
    assert f"http://{RELEASE}-minio.{NAMESPACE}.svc:9000/minio/health/ready" in asked
    assert len(asked) == 6
    assert named(render({"metrics": {"service": {"enabled": False}}}), "Pod") == []


# --- uninstalling ------------------------------------------------------------------------------------
def uninstaller(values: dict[str, Any]) -> list[str] | None:
    jobs = [each for each in render(values) if each["kind"] == "Job"]
    return jobs[0]["spec"]["template"]["spec"]["containers"][0]["command"][2:] if jobs else None


def test_before_the_operator_goes_what_goes_with_the_release_is_cleaned_up():
    assert uninstaller({}) is None
    assert uninstaller(SETS["tenants"]) is None
    assert uninstaller(SETS["demo"]) == ["risk"]
    assert uninstaller(SETS["removed namespace"]) == ["credit"]
    assert uninstaller(SETS["nothing kept of all"]) == ["--all"]
    assert uninstaller(SETS["no hook"]) is None


@every_set
def test_what_the_uninstaller_needs_is_a_hook_and_goes_with_it(values):
    for each in render(values):
        if each["metadata"]["name"].endswith("-uninstall"):
            annotations = each["metadata"]["annotations"]
            assert annotations["helm.sh/hook"] == "pre-delete"
            assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded,hook-failed"


def test_the_text_is_clean():
    for values in SETS.values():
        assert "<no value>" not in render_text(values)
        assert not re.search(r"%!\w", render_text(values))
