"""What the chart renders for the operator: settings, rights, network, metrics and alerts."""

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

from tests.chart.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    Manifest,
    Refused,
    find,
    pod_templates,
    render,
)
from tests.chart.rendered import env, every_set, named
from tests.chart.values import SETS

# One process for all: each line is an environment; the answer is the settings that the operator
# reads from it.
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
    """Return a function that parses an environment into the operator's settings."""
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


def test_every_pod_setting_reaches_the_pod():
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


def test_with_namespaces_it_has_roles_there_and_few_rights_elsewhere():
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


def test_the_token_of_the_sink_is_an_optional_file():
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
def test_an_invalid_sink_address_is_refused(sink: str):
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


def test_the_alerts_are_those_of_the_page_and_link_to_it():
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
