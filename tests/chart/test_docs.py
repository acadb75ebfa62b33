"""docs/install.md is true: its values render, its manifests are valid, what it names exists."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from tests.chart.api import Api, path_of
from tests.chart.helm import CHART, NAMESPACE, RELEASE, ROOT, documents, find, helm, kubectl, render
from tests.chart.values import SETS

PAGE = (ROOT / "docs" / "install.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


VALUES = [block for block in blocks("yaml") if block.startswith("# values.yaml")]
OBJECTS = [
    yaml.safe_load(block) for block in blocks("yaml") if not block.startswith("# values.yaml")
]


NAMED = [
    "existingSecret",
    "watchNamespaces",
    "keepNamespace",
    "uninstallHook",
    "metricsFrom",
    "servingFrom",
    "extraEgress",
    "mlflowPorts",
    "s3Ports",
]


def test_its_values_render():
    assert len(VALUES) == 4
    merged = {key: value for block in VALUES for key, value in yaml.safe_load(block).items()}
    images = find(render(merged), "Deployment", RELEASE)["spec"]["template"]["spec"]["containers"][
        0
    ]
    assert images["image"] == "registry.example.com/modelyard/operator:0.1.0"
    assert {
        "name": "MODELYARD_RUNTIME_IMAGE",
        "value": "registry.example.com/modelyard/runtime:0.1.0",
    } in images["env"]


def test_its_kustomization_takes_other_images(tmp_path):
    (overlay,) = (each for each in OBJECTS if each["kind"] == "Kustomization")
    assert overlay["resources"] == ["../modelyard/manifests/base"]
    # kustomize takes no absolute path and none above the overlay's parents but by a relative one.
    (tmp_path / "modelyard").symlink_to(ROOT)
    folder = tmp_path / "overlay"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    built = documents(kubectl("kustomize", folder))
    container = find(built, "Deployment", RELEASE)["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example.com/modelyard/operator:0.1.0"
    assert {
        "name": "MODELYARD_RUNTIME_IMAGE",
        "value": "registry.example.com/modelyard/runtime:0.1.0",
    } in container["env"]
    assert len(container["env"]) == len(
        find(render(), "Deployment", RELEASE)["spec"]["template"]["spec"]["containers"][0]["env"]
    )


@pytest.mark.api
def test_its_role_grants_what_it_says(installed):
    (role,) = (each for each in OBJECTS if each["kind"] == "Role")
    admin = Api(installed)
    assert admin.create(path_of("rbac.authorization.k8s.io/v1/roles", "risk"), role).code == 201
    binding = {
        "metadata": {"name": "from-the-page"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": role["metadata"]["name"],
        },
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "paul-of-the-page"}
        ],
    }
    assert (
        admin.create(path_of("rbac.authorization.k8s.io/v1/rolebindings", "risk"), binding).code
        == 201
    )
    for stage, name, allowed in (
        ("staging", "fraud", True),
        ("production", "fraud", False),
        ("staging", "other", False),
    ):
        attributes = {
            "group": "modelyard.io",
            "resource": "registeredmodels",
            "subresource": stage,
            "verb": "promote",
            "namespace": "risk",
        }
        review = {
            "spec": {"user": "paul-of-the-page", "resourceAttributes": attributes | {"name": name}}
        }
        answer = admin.create(path_of("authorization.k8s.io/v1/subjectaccessreviews"), review)
        assert answer.body["status"]["allowed"] is allowed


def test_it_names_every_key_of_a_connection():
    code = (ROOT / "operator" / "modelyard" / "adapters" / "connection_secret.py").read_text()
    known = set(re.findall(r'"((?:MLFLOW|AWS|MODELYARD)_[A-Z0-9_]+)"', code)) - {
        "AWS_SESSION_TOKEN"
    }
    known |= {"MODELYARD_IMAGE_PULL_SECRETS"}  # a setting of the operator
    assert set(re.findall(r"`((?:MLFLOW|AWS|MODELYARD)_[A-Z0-9_]+)`", PAGE)) == known


def test_the_roles_and_values_that_it_names_exist():
    roles = {each["metadata"]["name"] for each in render() if each["kind"] == "ClusterRole"}
    people = {
        f"modelyard-{who}"
        for who in ("viewer", "editor", "approver", "release-manager", "overrider")
    }
    assert people == set(re.findall(r"^\| `(modelyard-\S+)` \|", PAGE, re.MULTILINE))
    assert people <= roles
    values = (CHART / "values.schema.json").read_text()
    for name in (
        "existingSecret",
        "watchNamespaces",
        "keepNamespace",
        "uninstallHook",
        "metricsFrom",
        "servingFrom",
        "extraEgress",
        "mlflowPorts",
        "s3Ports",
    ):
        assert f"`{name}`" in PAGE or f".{name}`" in PAGE, name
        assert f'"{name}"' in values


def test_its_commands_can_be_typed():
    """Every flag of helm and kubectl on the page exists, and so does every path."""
    lines = [
        line for block in blocks("sh") for line in re.sub(r"\\\n", " ", block).splitlines() if line
    ]
    commands = [shlex.split(line, comments=True) for line in lines]
    assert len(commands) >= 12
    for words in commands:
        assert words[0] in ("helm", "kubectl")
        flags = {word.split("=")[0] for word in words if word.startswith("-")}
        if words[0] == "helm":
            usage = helm(words[1], "--help")
        else:
            verb = next(
                word for word in words[1:] if word in ("apply", "create", "delete", "patch")
            )
            usage = kubectl(
                verb, *(["secret", "generic"] if verb == "create" else []), "--help"
            ) + kubectl("options")
        for flag in flags:
            assert re.search(rf"(^|[\s,]){re.escape(flag)}\b", usage, re.MULTILINE), (words, flag)
        for word in words:
            if word.startswith(("charts/", "manifests/")):
                assert (ROOT / word).exists(), word


def test_the_demo_is_named_as_the_chart_names_it():
    assert f"http://modelyard-metrics.{NAMESPACE}:8080/metrics" in PAGE
    assert find(render(SETS["demo"]), "Namespace", "risk")
