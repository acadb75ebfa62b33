"""What the chart renders for any values: labels, pods, selectors, Secrets, CRDs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from modelyard.api.document import loaded_all
from tests.chart.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    TEST_VALUES,
    documents,
    helm,
    pod_templates,
    render,
    run,
)
from tests.chart.rendered import every_set, named
from tests.chart.values import CREDIT
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
def test_names_that_look_like_numbers_are_strings(values: dict[str, Any]):
    """Go's YAML reads an unquoted `1e3` as 1000.0, and the release would be refused. The chart
    itself has no fractions.
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
def test_selectors_match_the_intended_pods(values):
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
def test_named_ports_exist(values):
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
def test_no_secret_value_is_outside_of_a_secret(values):
    text = json.dumps(values)
    planted = set(re.findall(r"[a-z0-9]+-(?:secret|token)(?:-of-[a-z]+)?", text))
    for each in render(values):
        if each["kind"] != "Secret":
            assert not [word for word in planted if word in json.dumps(each)], each["metadata"][
                "name"
            ]


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
