"""When kustomize changes a name, it changes all fields of modelyard's kinds that refer to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.helm import ROOT, Manifest, documents, find, kubectl
from tests.gitops.customizations import KUSTOMIZE, REFERENCES

REPOSITORY = ROOT / "manifests" / "gitops" / "repository"
PAGE = (ROOT / "docs" / "gitops.md").read_text()
NAMES = re.compile(r"(experiment|trainingRun|registeredModel|model|configMap|\w*[sS]ecrets?)")
"""Names of fields that refer to an object."""
RUN = {
    "apiVersion": "modelyard.io/v1alpha1",
    "kind": "TrainingRun",
    "metadata": {"name": "fraud-v3"},
    "spec": {
        "experiment": "fraud",
        "trainer": {"script": {"configMap": "train", "key": "train.py"}},
        "imagePullSecrets": ["pull", "elsewhere"],
        "register": {"model": "fraud", "version": "v3"},
    },
}
IMAGE = RUN | {
    "metadata": {"name": "fraud-v4"},
    "spec": {
        "experiment": "elsewhere",
        "trainer": {"container": {"image": "registry.example.com/train:1"}},
    },
}


def built(folder: Path) -> list[Manifest]:
    return documents(kubectl("kustomize", folder))


def kustomization(folder: Path, **said: Any) -> None:
    folder.mkdir(exist_ok=True)
    said = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **said}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(said))


@pytest.fixture
def overlay(tmp_path: Path) -> list[Manifest]:
    """The sample repository with a generated script, and an overlay that renames everything."""
    shutil.copytree(REPOSITORY, tmp_path / "repository")
    shutil.copytree(KUSTOMIZE, tmp_path / "kustomize")
    base = tmp_path / "base"
    generated = [{"name": "train", "literals": ["train.py=print()"]}]
    secrets = [
        {
            "name": "pull",
            "type": "kubernetes.io/dockerconfigjson",
            "literals": [".dockerconfigjson={}"],
        }
    ]
    more = {"configMapGenerator": generated, "secretGenerator": secrets}
    kustomization(
        base, resources=["../repository", "runs.yaml"], components=["../kustomize"], **more
    )
    (base / "runs.yaml").write_text(yaml.safe_dump_all([RUN, IMAGE]))
    images = [{"name": "registry.example.com/train", "newTag": "2"}]
    kustomization(
        tmp_path / "eu",
        resources=["../base"],
        namePrefix="eu-",
        nameSuffix="-1",
        namespace="risk-eu",
        images=images,
    )
    return built(tmp_path / "eu")


def test_prefixes_suffixes_hashes_and_images_reach_what_our_kinds_name(overlay: list[Manifest]):
    run = find(overlay, "TrainingRun", "eu-fraud-v3-1")["spec"]
    names = {each["kind"]: each["metadata"]["name"] for each in overlay}
    assert (run["experiment"], run["register"]["model"]) == ("eu-fraud-1", "eu-fraud-1")
    assert run["trainer"]["script"]["configMap"] == names["ConfigMap"]
    assert re.fullmatch(r"eu-train-1-\w{10}", names["ConfigMap"])
    assert run["imagePullSecrets"] == [names["Secret"], "elsewhere"]
    versions = find(overlay, "RegisteredModel", "eu-fraud-1")["spec"]["versions"]
    assert {each["trainingRun"] for each in versions.values()} == {"eu-fraud-v1-1", "eu-fraud-v2-1"}
    other = find(overlay, "TrainingRun", "eu-fraud-v4-1")["spec"]
    assert (other["experiment"], other["trainer"]["container"]["image"]) == (
        "elsewhere",
        "registry.example.com/train:2",
    )
    assert {each["metadata"]["namespace"] for each in overlay} == {"risk-eu"}


def named(schema: Any, path: str) -> Iterator[str]:
    """Return the paths below a schema that name objects, as kustomize writes them; keys of maps are
    `v1`, those of stages `production`.
    """
    for name, field in (schema.get("properties") or {}).items():
        texts = field.get("type") == "string" or (field.get("items") or {}).get("type") == "string"
        if texts and NAMES.fullmatch(name):
            yield f"{path}/{name}"
        yield from named(field, f"{path}/{name}")
    key_of_a_map = "/production" if path.endswith("/stages") else "/v1"
    for inner, key in (
        (schema.get("items"), ""),
        (schema.get("additionalProperties"), key_of_a_map),
    ):
        if isinstance(inner, dict):
            yield from named(inner, f"{path}{key}")


def test_every_reference_of_the_kinds_is_configured():
    there = set()
    for file in (ROOT / "crds").glob("*.yaml"):
        (crd,) = documents(file.read_text())
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        there |= {(crd["spec"]["names"]["kind"], path) for path in named(spec, "spec")}
    told = {
        (by, path)
        for _, _, by, path in REFERENCES
        if not re.search(r"/v([2-9]|\d\d)/|/(staging|dev|test|canary)/", path)
    }
    assert there == told


def test_the_documented_kustomizations_are_accepted(tmp_path: Path):
    first, second = (
        yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    )
    shutil.copytree(KUSTOMIZE, tmp_path / "kustomize")
    model = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "RegisteredModel",
        "metadata": {"name": "fraud"},
        "spec": {"versions": {"2026-09": {"trainingRun": "fraud-v3"}}},
    }
    experiment = RUN | {"kind": "Experiment", "metadata": {"name": "fraud"}, "spec": {}}
    for name, content in {"experiment": experiment, "run": RUN, "model": model}.items():
        (tmp_path / f"{name}.yaml").write_text(json.dumps(content))
    (tmp_path / "train.py").write_text("print()")
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(second))
    kustomization(tmp_path, **first, configurations=["more.yaml"])
    found = built(tmp_path)
    assert (
        find(found, "RegisteredModel", "eu-fraud")["spec"]["versions"]["2026-09"]["trainingRun"]
        == "eu-fraud-v3"
    )
    assert find(found, "TrainingRun", "eu-fraud-v3")["spec"]["trainer"]["script"][
        "configMap"
    ].startswith("eu-train-")
