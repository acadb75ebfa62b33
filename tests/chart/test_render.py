"""What the chart makes of its values: the operator, its rights, the CRDs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from modelyard.api.document import loaded_all
from tests.chart.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    TEST_VALUES,
    Manifest,
    Refused,
    documents,
    find,
    helm,
    pod_templates,
    render,
    run,
)
from tests.chart.rendered import env, every_set, named
from tests.chart.values import CREDIT, SETS
from tests.cluster.settings import KUBERNETES


@every_set
def test_lint_finds_nothing(values, tmp_path):
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, "--values", file)


def test_the_values_of_the_test_cluster_name_only_its_images():
    images = {
        c["image"]
        for pod in pod_templates(render(files=[TEST_VALUES])).values()
        for c in pod["spec"]["containers"]
    }
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


NUMBERED: dict[str, Any] = {
    "fullnameOverride": "1e3",
    "commonLabels": {"revision": "8e44"},
    "serviceAccount": {"name": "6e6"},
    "priorityClassName": "5e5",
    "imagePullSecrets": [{"name": "3e2"}],
    "nodeSelector": {"pool": "1e1"},
    "watchNamespaces": ["2e2"],
    "tenants": [CREDIT | {"namespace": "2e2", "labels": {"cost-center": "4e3"}}],
}
NUMBERED_DEMO: dict[str, Any] = {
    "demo": {
        "enabled": True,
        "tenant": {"namespace": "3e3", "createNamespace": True},
        "mlflow": {
            "backendStoreSecret": {"name": "7e7", "key": "2e9"},
            "persistence": {"storageClass": "9e9"},
        },
        "minio": {"bucket": "4e4", "existingSecret": "8e1", "persistence": {"storageClass": "9e9"}},
    },
}


@pytest.mark.parametrize(
    "values",
    [
        NUMBERED,
        NUMBERED | NUMBERED_DEMO,
        NUMBERED | {"purge": {"enabled": True, "backendStoreSecret": "7e7"}, "serviceAccount": {}},
    ],
    ids=["operator", "demo", "purge"],
)
def test_names_that_read_as_numbers_are_texts(values: dict[str, Any]):
    """As Go reads YAML: without quotes `1e3` is 1000.0, and the release would be refused. The
    chart has no fractions of its own.
    """
    text = run(
        "helm",
        "template",
        "0e0",
        CHART,
        "--namespace",
        "8e44",
        "--kube-version",
        KUBERNETES,
        "--values",
        "-",
        stdin=json.dumps(values),
    )

    def fractions(part: Any, path: str) -> list[str]:
        inside = (
            part.items()
            if isinstance(part, dict)
            else enumerate(part)
            if isinstance(part, list)
            else ()
        )
        return [path] * isinstance(part, float) + [
            found for key, value in inside for found in fractions(value, f"{path}.{key}")
        ]

    assert [found for each in loaded_all(text) for found in fractions(each, each["kind"])] == []


@every_set
def test_no_two_objects_are_the_same(values):
    seen = [
        (
            each["apiVersion"],
            each["kind"],
            each["metadata"].get("namespace"),
            each["metadata"]["name"],
        )
        for each in render(values)
    ]
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
    with_token = {
        name
        for name, pod in pod_templates(render(values)).items()
        if pod["spec"]["automountServiceAccountToken"]
    }
    assert with_token <= {
        f"Deployment/{values.get('fullnameOverride', RELEASE)}",
        f"Job/{values.get('fullnameOverride', RELEASE)}-uninstall",
    }


@every_set
def test_long_running_pods_have_all_three_probes(values):
    for each in render(values):
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), each[
                    "metadata"
                ]["name"]


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
            assert matched(each["spec"]["selector"]) == [
                f"Deployment/{name.removesuffix('-metrics')}"
            ]
        if each["kind"] in ("Deployment", "PodDisruptionBudget", "ServiceMonitor"):
            owners = matched(each["spec"]["selector"]["matchLabels"])
            assert owners == [f"Deployment/{name}"]
        if each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == NAMESPACE:
            owner = {f"{full}-uninstall": "Job", f"{full}-purge": "CronJob"}.get(name, "Deployment")
            assert matched(each["spec"]["podSelector"]["matchLabels"]) == [f"{owner}/{name}"]


@every_set
def test_named_ports_are_there(values):
    objects = render(values)
    pods = pod_templates(objects)
    for each in objects:
        if each["kind"] == "Service":
            pod = pods[f"Deployment/{each['metadata']['name'].removesuffix('-metrics')}"]
            ports = {
                port["name"]
                for container in pod["spec"]["containers"]
                for port in container["ports"]
            }
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= ports


@every_set
def test_no_secret_value_stands_outside_of_a_secret(values):
    text = json.dumps(values)
    planted = set(re.findall(r"[a-z0-9]+-(?:secret|token)(?:-of-[a-z]+)?", text))
    for each in render(values):
        if each["kind"] != "Secret":
            assert not [word for word in planted if word in json.dumps(each)], each["metadata"][
                "name"
            ]


# --- the operator ---------------------------------------------------------------------------------
# One process for all: each line is an environment, and is answered by the settings that the
# operator reads from it.
READER = """
import json, os, sys
from modelyard.settings import Settings
for line in sys.stdin:
    os.environ.clear()
    os.environ.update(json.loads(line))
    known = {f"MODELYARD_{name.upper()}" for name in Settings.model_fields}
    assert not {name for name in os.environ if name.startswith("MODELYARD_")} - known, line
    print(Settings().model_dump_json(), flush=True)
"""


@pytest.fixture(scope="module")
def understood() -> Iterator[Callable[[dict[str, str]], dict[str, Any]]]:
    """Gives what the operator makes of an environment."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MODELYARD_")}
    environment = clean | {"PYTHONPATH": str(ROOT / "operator")}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", READER], env=environment, stdin=pipe, stdout=pipe, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def read(given: dict[str, str]) -> dict[str, Any]:
            reader.stdin.write(json.dumps(clean | given) + "\n")
            reader.stdin.flush()
            answer = reader.stdout.readline()
            assert answer, "its end says why"
            return json.loads(answer)

        yield read
        reader.stdin.close()


@every_set
def test_the_operator_understands_every_setting_that_the_chart_gives(values, understood):
    full = values.get("fullnameOverride", RELEASE)
    container = find(render(values), "Deployment", full)["spec"]["template"]["spec"]["containers"][
        0
    ]
    given = {
        name: value if isinstance(value, str) else "from-the-pod"
        for name, value in env(container).items()
    }
    settings = understood(given)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (settings["listen_metrics"], settings["listen_health"]) == (
        ports["metrics"],
        ports["probes"],
    )
    watched = set(values.get("watchNamespaces", []))
    if watched:
        watched |= {tenant["namespace"] for tenant in values.get("tenants", [])} | (
            {"risk"} if values.get("demo") else set()
        )
    assert set(settings["namespaces"]) == watched
    assert settings["lease_name"] == full
    assert settings["image_pull_secrets"] == [
        each["name"] for each in values.get("imagePullSecrets", [])
    ]
    assert settings["log_level"] == values.get("log", {}).get("level", "info").upper()


def test_a_budget_comes_with_the_second_replica():
    assert named(render(), "PodDisruptionBudget") == []
    budget = find(render({"replicas": 2}), "PodDisruptionBudget", RELEASE)
    assert budget["spec"]["minAvailable"] == 1
    assert (
        named(
            render({"replicas": 2, "podDisruptionBudget": {"enabled": False}}),
            "PodDisruptionBudget",
        )
        == []
    )


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
    assert (
        operator["spec"]["containers"][0]["image"]
        == f"registry.example.com:5000/modelyard/operator@sha256:{'a' * 64}"
    )


def rules_of(
    objects: list[Manifest], kind: str, name: str, namespace: str | None = None
) -> list[Manifest]:
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
    assert {verb for rule in generated["cluster"] for verb in rule["verbs"]} <= {
        "get",
        "list",
        "watch",
    }
    for namespace in ("alpha", "beta", "risk"):
        resources = {
            r for rule in rules_of(objects, "Role", RELEASE, namespace) for r in rule["resources"]
        }
        assert {"registeredmodels", "deployments", "jobs", "secrets"} <= resources
        binding = find(objects, "RoleBinding", RELEASE, namespace)
        assert binding["roleRef"]["name"] == RELEASE
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": RELEASE, "namespace": NAMESPACE}
        ]


@every_set
def test_the_operator_has_no_right_that_is_too_wide(values):
    full = values.get("fullnameOverride", RELEASE)
    for each in render(values):
        if each["kind"] not in ("Role", "ClusterRole") or each["metadata"]["name"] not in (
            full,
            f"{full}-own",
        ):
            continue
        for rule in each["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"escalate", "bind", "impersonate", "promote", "override", "purge"} & set(
                rule["verbs"]
            )
            assert not {"pods/exec", "pods/log", "roles", "rolebindings"} & set(rule["resources"])
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert rule["resourceNames"] == [
                    "modelyard-connection",
                    "modelyard-connection-pods",
                ]


def test_the_operator_may_reach_these_ports_and_no_others():
    policy = find(render(SETS["network"]), "NetworkPolicy", RELEASE)["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule.get("ports", [])}
    assert ports == {53, 8053, 16443, 443, 9090}
    (counters,) = [
        rule
        for rule in policy["egress"]
        if rule.get("ports") == [{"protocol": "TCP", "port": 9090}]
    ]
    serving = next(
        each
        for each in render(SETS["tenants"])
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "modelyard-serving"
    )
    (peer,) = counters["to"]
    assert peer == {"namespaceSelector": {}, "podSelector": serving["spec"]["podSelector"]}, (
        "serving pods alone are asked for their counters"
    )
    assert policy["egress"][-1] == {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"][0]["from"] == SETS["network"]["networkPolicy"]["metricsFrom"]


@pytest.mark.parametrize(
    ("sink", "port"),
    [
        ("https://events.example.com:8443/modelyard", 8443),
        ("https://events.example.com/modelyard", 443),
        ("http://broker.knative-eventing/risk", 80),
        ("http://[fd00::7]:8181", 8181),
    ],
)
def test_the_operator_reaches_the_sink_of_its_events(sink: str, port: int):
    values = {"events": {"sink": sink}, "networkPolicy": {"mlflowPorts": [5000], "s3Ports": [9000]}}
    policy = find(render(values), "NetworkPolicy", RELEASE)["spec"]
    (rule,) = [
        rule
        for rule in policy["egress"]
        if {each["port"] for each in rule.get("ports", [])} & {5000}
    ]
    assert [each["port"] for each in rule["ports"]] == [5000, 9000, port]
    assert rule["to"], "but not everywhere"


def test_the_token_of_the_sink_is_a_file_that_no_model_waits_for():
    pod = find(render(SETS["events"]), "Deployment", RELEASE)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "events"]
    assert (volume["secret"]["secretName"], volume["secret"]["optional"]) == ("opener", True)
    assert volume["secret"]["items"] == [{"key": "1e3", "path": "token"}]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "events"]
    assert env(container)["MODELYARD_EVENTS_SINK"] == SETS["events"]["events"]["sink"]
    assert env(container)["MODELYARD_EVENTS_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    (container,) = find(render(SETS["events without a token"]), "Deployment", RELEASE)["spec"][
        "template"
    ]["spec"]["containers"]
    assert "MODELYARD_EVENTS_TOKEN_FILE" not in env(container)


@pytest.mark.parametrize(
    "sink",
    [
        "events.example.com",
        "ftp://events.example.com",
        "https://user:password@events.example.com",
        "https://",
    ],
)
def test_an_address_that_is_no_sink_is_refused(sink: str):
    with pytest.raises(Refused, match="/events/sink"):
        render({"events": {"sink": sink}})


def test_metrics_can_be_scraped():
    objects = render(SETS["metrics"])
    monitor, service = (
        find(objects, "ServiceMonitor", RELEASE),
        find(objects, "Service", f"{RELEASE}-metrics"),
    )
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["spec"]["endpoints"][0]["honorLabels"], (
        "modelyard_objects_waiting names the tenant's namespace"
    )
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    assert named(render(), "ServiceMonitor") == []


def test_the_alerts_are_those_of_the_page_and_say_where_to_look():
    objects = render(SETS["metrics"])
    rule = find(objects, "PrometheusRule", RELEASE)
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    (group,) = rule["spec"]["groups"]
    (documented,) = re.findall(
        r"```promql\n(.*?)```", (ROOT / "docs" / "how-to" / "observe.md").read_text(), re.DOTALL
    )
    assert sorted(each["expr"] for each in group["rules"]) == sorted(documented.splitlines())
    times = {each["alert"]: each.get("for") for each in group["rules"]}
    assert (
        times["ModelyardPromotionRejected"],
        times["ModelyardGatePending"],
        times["ModelyardGateError"],
    ) == ("5m", "24h", "1h")
    for each in group["rules"]:
        labels = set(re.findall(r"\$labels\.(\w+)", each["annotations"]["summary"]))
        by = re.search(r"by \(([^)]*)\)", each["expr"])
        assert labels == (set(by[1].split(", ")) if by else set()) - ({"reason"} - labels), each[
            "alert"
        ]
    assert named(render(), "PrometheusRule") == []


# --- CRDs -----------------------------------------------------------------------------------------
def test_the_crds_are_the_generated_ones():
    rendered = {
        each["metadata"]["name"]: each
        for each in render()
        if each["kind"] == "CustomResourceDefinition"
    }
    generated = {
        each["metadata"]["name"]: each
        for file in (ROOT / "crds").glob("*.yaml")
        for each in documents(file.read_text())
    }
    assert len(generated) == 4
    assert {name: each["spec"] for name, each in rendered.items()} == {
        name: each["spec"] for name, each in generated.items()
    }


def test_the_crds_stay_unless_told_otherwise():
    kept = [
        each["metadata"]["annotations"]["helm.sh/resource-policy"]
        for each in render()
        if each["kind"] == "CustomResourceDefinition"
    ]
    assert kept == ["keep"] * 4
    loose = [
        each["metadata"].get("annotations", {})
        for each in render({"crds": {"keep": False}})
        if each["kind"] == "CustomResourceDefinition"
    ]
    assert [each.get("helm.sh/resource-policy") for each in loose] == [None] * 4
    assert named(render({"crds": {"install": False}}), "CustomResourceDefinition") == []
