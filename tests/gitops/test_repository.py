"""The sample repository is valid, a promotion is one line, and its folder decides who approves."""

from __future__ import annotations

import difflib
import fnmatch
import re
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.chart.api import Api, path_of
from tests.chart.helm import ROOT, Manifest, Refused, documents, find, kubectl
from tests.cluster.apiserver import ApiServer
from tests.gitops.judge import BUILDING, misread
from tests.gitops.synced import Synced, objects, text

pytestmark = BUILDING

GITOPS = ROOT / "manifests" / "gitops"
REPOSITORY = GITOPS / "repository"
PRODUCTION = Path("environments/production/fraud.yaml")
ENGINES = (GITOPS / "argocd" / "application.yaml", GITOPS / "flux" / "models.yaml")


@pytest.fixture
def promoted(tmp_path: Path) -> Path:
    """The repository with the pull request of its README merged."""
    after = tmp_path / "models"
    shutil.copytree(REPOSITORY, after)
    file = after / PRODUCTION
    file.write_text(file.read_text().replace("version: v1", "version: v2"))
    return after


def changed(before: Any, after: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Return where two objects differ: path, and both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in sorted({*before, *after}):
            found |= changed(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        return found
    return {} if before == after else {path: (before, after)}


def model(manifests: list[Manifest]) -> Manifest:
    return find(manifests, "RegisteredModel", "fraud")


def approvers(path: str) -> set[str]:
    """Return who must approve a change of a file: the last matching line, as GitHub and GitLab read
    it.
    """
    found: set[str] = set()
    for line in (REPOSITORY / "CODEOWNERS").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, *owners = line.split()
            if pattern == "*" or fnmatch.fnmatch(
                f"/{path}", pattern + ("*" if pattern.endswith("/") else "")
            ):
                found = set(owners)
    return found


# --- the layout -----------------------------------------------------------------------------------
def test_the_build_is_one_model_with_its_stages():
    built = objects(REPOSITORY)
    assert [(each["kind"], each["metadata"]["name"]) for each in built].count(
        ("RegisteredModel", "fraud")
    ) == 1
    spec = model(built)["spec"]
    assert (
        set(spec["stages"])
        == {path.name for path in (REPOSITORY / "environments").iterdir()}
        == {"staging", "production"}
    )
    assert {stage["version"] for stage in spec["stages"].values()} <= set(spec["versions"])
    runs = {each["metadata"]["name"] for each in built if each["kind"] == "TrainingRun"}
    assert {version["trainingRun"] for version in spec["versions"].values()} == runs
    assert {each["metadata"]["namespace"] for each in built} == {"risk"}


def test_models_contain_no_stages_and_an_environment_only_its_own():
    for file in (REPOSITORY / "models").rglob("*.yaml"):
        assert all("stages" not in each.get("spec", {}) for each in documents(file.read_text()))
    for file in (REPOSITORY / "environments").rglob("*.yaml"):
        (said,) = documents(file.read_text())
        assert (set(said), set(said["spec"])) == (
            {"apiVersion", "kind", "metadata", "spec"},
            {"stages"},
        )
        assert set(said["spec"]["stages"]) == {file.parent.name}


def test_no_file_is_left_out():
    said = (REPOSITORY / "kustomization.yaml").read_text() + "".join(
        file.read_text() for file in (REPOSITORY / "models").rglob("kustomization.yaml")
    )
    for file in REPOSITORY.rglob("*.yaml"):
        if file.name != "kustomization.yaml":
            assert re.search(
                rf"- (path: )?\S*{re.escape('/'.join(file.relative_to(REPOSITORY).parts[2:]))}$",
                said,
                re.MULTILINE,
            ), file


def test_the_release_team_approves_production_and_data_scientists_what_they_train():
    assert approvers(PRODUCTION.as_posix()) == {"@risk/release-team"}
    for path in (
        "models/fraud/model.yaml",
        "models/fraud/runs/v2.yaml",
        "environments/staging/fraud.yaml",
    ):
        assert approvers(path) == {"@risk/data-science"}
    assert "@risk/release-team" in approvers("CODEOWNERS"), "else production could be taken from it"
    assert approvers("kustomization.yaml") == {"@risk/platform"}
    listed = {
        each.relative_to(REPOSITORY).as_posix() for each in REPOSITORY.rglob("*") if each.is_file()
    }
    assert all(approvers(path) for path in listed)


# --- the engines ----------------------------------------------------------------------------------
def test_argo_cd_and_flux_accept_their_configuration_without_unknown_fields():
    told = [each for file in ENGINES for each in documents(file.read_text())]
    assert misread(told) == [""] * len(told)
    assert sorted(each["kind"] for each in told) == [
        "Application",
        "GitRepository",
        "Kustomization",
    ]
    odd = deepcopy(told)
    for each in odd:
        each["spec"]["healthCheckExpressions"] = []
    assert all("unknown field" in why for why in misread(odd))


def test_both_sync_the_root_of_the_repository_and_ignore_no_difference():
    application, source, kustomization = (
        each for file in ENGINES for each in documents(file.read_text())
    )
    assert application["spec"]["source"]["repoURL"] == source["spec"]["url"]
    assert (REPOSITORY / application["spec"]["source"]["path"]).resolve() == REPOSITORY
    assert (REPOSITORY / kustomization["spec"]["path"]).resolve() == REPOSITORY
    assert "ignoreDifferences" not in application["spec"]


@pytest.mark.api
def test_the_health_checks_are_merged_into_argocd_cm(installed: ApiServer):
    """By the command in the file's second line, and again after an upgrade."""
    admin = Api(installed)
    assert admin.create(path_of("v1/namespaces"), {"metadata": {"name": "argocd"}}).code == 201
    there = {
        "metadata": {"name": "argocd-cm", "labels": {"app.kubernetes.io/part-of": "argocd"}},
        "data": {"url": "https://argocd"},
    }
    assert admin.create(path_of("v1/configmaps", "argocd"), there).code == 201
    file = GITOPS / "argocd" / "argocd-cm.yaml"
    for _ in range(2):
        kubectl(
            "apply",
            "--server-side",
            "--field-manager=modelyard-health",
            "-f",
            file,
            kubeconfig=installed.kubeconfig,
        )
    found = admin.get(path_of("v1/configmaps", "argocd", "argocd-cm")).body
    (ours,) = documents(file.read_text())
    assert found["data"] == {"url": "https://argocd", **ours["data"]}
    assert found["metadata"]["labels"] == {"app.kubernetes.io/part-of": "argocd"}


# --- promotion ------------------------------------------------------------------------------------
def test_a_promotion_is_one_line(promoted: Path):
    lines = [(root / PRODUCTION).read_text().splitlines() for root in (REPOSITORY, promoted)]
    found = [
        line
        for line in difflib.unified_diff(*lines, n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    assert found == ["-      version: v1", "+      version: v2"]
    before, after = objects(REPOSITORY), objects(promoted)
    assert changed(model(before), model(after)) == {"spec.stages.production.version": ("v1", "v2")}
    assert [each for each in before if each["kind"] != "RegisteredModel"] == [
        each for each in after if each["kind"] != "RegisteredModel"
    ]


@pytest.mark.api
def test_the_api_server_accepts_the_promotion_unchanged(installed: ApiServer):
    words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-")
    out = kubectl(*words, kubeconfig=installed.kubeconfig, stdin=text(objects(REPOSITORY)))
    assert len(out.splitlines()) == len(objects(REPOSITORY))
    odd = objects(REPOSITORY)
    model(odd)["spec"]["stages"]["production"]["versions"] = "v1"
    with pytest.raises(Refused, match=r"unknown field|field not declared"):
        kubectl(*words, kubeconfig=installed.kubeconfig, stdin=text(odd))


@pytest.mark.api
@pytest.mark.parametrize("way", ["client_side", "server_side"])
def test_after_merge_and_sync_nothing_else_changes(synced: Synced, promoted: Path, way: str):
    before, after = objects(REPOSITORY), objects(promoted)
    getattr(synced, way)(before)
    synced.operate()
    was = {synced.path(each): synced.live(each) for each in before}
    getattr(synced, way)(after)
    for each in after:
        path, there = synced.path(each), synced.live(each)
        assert there["status"] == was[path]["status"]
        grown = there["metadata"]["generation"] - was[path]["metadata"]["generation"]
        if each["kind"] == "RegisteredModel":
            assert (changed(was[path]["spec"], there["spec"]), grown) == (
                {"stages.production.version": ("v1", "v2")},
                1,
            )
        else:
            assert (there["spec"], grown) == (was[path]["spec"], 0)


@pytest.mark.api
def test_the_environment_s_file_is_a_separate_server_side_apply(synced: Synced, promoted: Path):
    """Without an engine, the pipeline of a merge applies it with its own field manager."""
    synced.server_side(objects(REPOSITORY / "models" / "fraud"), manager="data-science")
    for stage in ("staging", "production"):
        synced.server_side(objects(promoted / "environments" / stage), manager=f"release-{stage}")
    there = synced.live(model(objects(REPOSITORY)))["spec"]
    assert {name: stage["version"] for name, stage in there["stages"].items()} == {
        "staging": "v2",
        "production": "v2",
    }
    assert set(there["versions"]) == {"v1", "v2"}
