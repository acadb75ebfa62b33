"""After a sync there is no diff, by each of Argo CD's comparisons and by `kubectl diff`."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import ROOT, Manifest, Refused
from tests.gitops.judge import BUILDING, Pair, Way, changes
from tests.gitops.synced import Synced, objects

pytestmark = [pytest.mark.api, BUILDING]

SAMPLES = sorted(path for path in (ROOT / "manifests" / "samples").iterdir() if path.is_dir())
SOURCES = [*SAMPLES, ROOT / "manifests" / "gitops" / "repository"]
every_source = pytest.mark.parametrize("source", SOURCES, ids=[path.name for path in SOURCES])
FLUX = "kustomize-controller"
FRAUD = ROOT / "manifests" / "samples" / "fraud"


def compared(
    synced: Synced, wanted: list[Manifest], schema: dict[str, Any]
) -> list[tuple[str, str, Way]]:
    """The result of each comparison for each object."""
    pairs = [Pair(each, synced.live(each), synced.predicted(each)) for each in wanted]
    found = changes(pairs, schema)
    return [
        (each["kind"], name, way)
        for each, ways in zip(wanted, found, strict=True)
        for name, way in ways.items()
    ]


def out_of_sync(found: list[tuple[str, str, Way]]) -> list[tuple[str, str]]:
    return [(kind, name) for kind, name, way in found if way.modified]


@every_source
@pytest.mark.parametrize("way", ["client_side", "server_side"])
def test_nothing_is_left_to_sync(synced: Synced, schema: dict[str, Any], source: Path, way: str):
    """Once as applied, with the CRD's defaults filled in; once with the operator's additions."""
    wanted = objects(source)
    getattr(synced, way)(wanted)
    found = compared(synced, wanted, schema)
    assert {name for _, name, _ in found} == {"default", "serverSideApply", "serverSideDiff"}
    assert out_of_sync(found) == []
    synced.diff(wanted)
    synced.operate()
    assert out_of_sync(compared(synced, wanted, schema)) == []
    synced.diff(wanted)


@every_source
def test_flux_s_dry_run_for_drift_finds_no_change(synced: Synced, source: Path):
    wanted = objects(source)
    synced.server_side(wanted, manager=FLUX)
    synced.operate()
    for each in wanted:
        there, again = synced.live(each), synced.predicted(each, FLUX)
        assert again == there


def test_the_api_server_has_filled_in_defaults_and_the_operator_its_part(synced: Synced):
    """Otherwise the test above would show little."""
    wanted = objects(FRAUD)
    synced.client_side(wanted)
    synced.operate()
    for each in wanted:
        there = synced.live(each)
        assert "deletionPolicy" in there["spec"]
        assert "deletionPolicy" not in each["spec"]
        assert there["status"]["conditions"]
        assert there["metadata"]["finalizers"]


@pytest.mark.parametrize("way", ["client_side", "server_side"])
def test_a_change_in_git_is_found_in_every_way(synced: Synced, schema: dict[str, Any], way: str):
    wanted = objects(FRAUD)
    getattr(synced, way)(wanted)
    synced.operate()
    changed = deepcopy(wanted)
    model = next(each for each in changed if each["kind"] == "RegisteredModel")
    model["spec"]["stages"]["production"]["version"] = "v1"
    ways = ["default", "serverSideApply", "serverSideDiff"]
    found = compared(synced, changed, schema)
    assert out_of_sync(found) == [("RegisteredModel", name) for name in ways]
    for _, _, each in (entry for entry in found if entry[2].modified):
        assert each.predicted["spec"]["stages"]["production"]["version"] == "v1"
    with pytest.raises(Refused, match=r"\+ +version: v1"):
        synced.diff(changed)


def test_an_automatically_rolled_back_version_leaves_nothing_to_sync(
    synced: Synced, schema: dict[str, Any]
):
    """Its health is Degraded (`test_health`), and the spec is that of Git: there is no loop."""
    wanted = objects(FRAUD)
    synced.server_side(wanted)
    synced.operate(RegisteredModel="RolledBack")
    model = next(each for each in wanted if each["kind"] == "RegisteredModel")
    assert synced.live(model)["status"]["stages"]["production"]["blocked"]["reason"] == "RolledBack"
    assert out_of_sync(compared(synced, wanted, schema)) == []
    synced.diff(wanted)


def test_a_manual_change_is_found_too(synced: Synced, schema: dict[str, Any]):
    wanted = objects(FRAUD)
    synced.server_side(wanted)
    model = next(each for each in wanted if each["kind"] == "RegisteredModel")
    hand = {"spec": {"stages": {"production": {"serving": {"replicas": 5}}}}}
    assert synced.admin.merge(synced.path(model), hand).code == 200
    assert {kind for kind, _ in out_of_sync(compared(synced, wanted, schema))} == {
        "RegisteredModel"
    }
