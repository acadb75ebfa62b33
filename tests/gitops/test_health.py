"""The health that Argo CD's, kstatus' and Flux's own code shows for every state of modelyard's
objects.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest
import yaml

from modelyard.api.conditions import EngineReason
from modelyard.api.kinds import KINDS as ALL
from modelyard.controller import FINALIZER
from tests.chart.helm import ROOT, Manifest, documents
from tests.gitops import customizations
from tests.gitops.customizations import ARGOCD, KINDS, expected, scripts, stand
from tests.gitops.judge import BUILDING, Verdict, health
from tests.gitops.states import reasons, states

pytestmark = BUILDING

FLUX = documents((ROOT / "manifests" / "gitops" / "flux" / "models.yaml").read_text())
EXPRESSIONS = FLUX[1]["spec"]["healthCheckExprs"]

# Argo CD, kstatus alone, Flux with our expressions.
HEALTHY = ("Healthy", "Current", "Current")
WAITS = ("Progressing", "InProgress", "InProgress")
BROKEN = ("Degraded", "Failed", "Failed")
# No engine waits for a suspended object; kstatus has no status for it.
HELD = ("Suspended", "InProgress", "Current")
# A promotion that waits for a gate is not finished, so Flux waits; Argo CD has a status for it.
PAUSED = ("Suspended", "InProgress", "InProgress")
# Argo CD and kstatus check the deletion before conditions, which are Reconciling as well.
GOING = ("Progressing", "Terminating", "InProgress")

TABLE: dict[str, dict[tuple[str, str, str], str]] = {
    "Experiment": {
        HEALTHY: "Synced Retaining",
        WAITS: "MLflowUnavailable StoreUnavailable",
        BROKEN: "NameTaken ConnectionMissing ConnectionRefused RequestRefused",
    },
    "TrainingRun": {
        HEALTHY: "Succeeded",
        WAITS: "WaitingForExperiment Queued Scheduling Unschedulable Training Interrupted Retrying"
        " Registering WaitingForModel MLflowUnavailable StoreUnavailable",
        HELD: "Suspended",
        BROKEN: "ImagePullFailed ConfigurationMissing VersionTaken VersionHeld NoModel Failed"
        " OutOfMemory DeadlineExceeded ScriptInvalid InvalidParameters InvalidResources NoPod"
        " QuotaExceeded PodRefused VolumeFull HeartbeatLost DatasetDigestMismatch"
        " DatasetUnavailable DatasetInvalid SigningKeyUnusable ExperimentGone"
        " ConnectionMissing ConnectionRefused RequestRefused",
    },
    "RegisteredModel": {
        HEALTHY: "Serving ScaledToZero Registered",
        WAITS: "Registering WaitingForVersion Promoting RollingOut NotServing Unschedulable"
        " MLflowUnavailable StoreUnavailable",
        PAUSED: "WaitingForStage GatesPending ApprovalWanted Frozen Planned RolloutPaused",
        BROKEN: "GateFailed RolloutFailed RolledBack WatchFailed OverrideEnded FreezeInvalid"
        " RecordPending RecordConflict VersionUnknown VersionInvalid VersionHeld VersionTaken"
        " ArtifactMissing ArtifactDigestMismatch ServingFailed CodeModelForbidden"
        " ArtifactInvalid ImagePullFailed ConfigurationMissing OutOfMemory VolumeFull"
        " QuotaExceeded PodRefused NameTaken ConnectionMissing ConnectionRefused"
        " RequestRefused",
        GOING: "Deleting",
    },
    "ModelApproval": {
        HEALTHY: "Counts ExpiresSoon Effective",
        WAITS: "NotAskedFor",
        BROKEN: "Expired NoSuchGate OtherDigest OwnWork Duplicate RequestRefused",
    },
}
# Reasons for an object of any kind whose reconcile could not decide.
ENGINES = {WAITS: "ReconcileTimedOut NoProgress", BROKEN: "InvalidSpec InternalError"}
# Reasons of the conditions Synced and Verified only, in addition to the three.
BESIDE = {
    ("RegisteredModel", reason)
    for reason in (
        "Drifted",
        "Synced",
        "Verified",
        "VerificationFailed",
        "NotVerifiedYet",
        "NothingToVerify",
    )
}


def judged(*objects: Manifest) -> list[Verdict]:
    return health(objects, scripts(), EXPRESSIONS)


def words(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.argo, verdict.kstatus, verdict.flux


@pytest.fixture(scope="module")
def verdicts() -> list[tuple[Manifest, Verdict]]:
    """Every state with its verdicts, from one process."""
    return list(zip(states(), judged(*states()), strict=True))


def of(kind: str, reason: str) -> Manifest:
    return deepcopy(
        next(each for each in states() if each["kind"] == kind and stand(each)[1] == reason)
    )


# --- every state ----------------------------------------------------------------------------------
def test_every_documented_reason_is_among_the_states_and_in_the_table():
    engines = {reason.value for reason in EngineReason}
    assert (
        set(" ".join(ENGINES.values()).split()) == engines <= set().union(*map(reasons, states()))
    )
    for resource, known in ((kind.resource, kind.reasons) for kind in ALL):
        said = set().union(*(reasons(each) for each in states() if each["kind"] == resource.KIND))
        assert said - engines == set(known), "add a story that reaches it"
        listed = " ".join(TABLE[resource.KIND].values()).split()
        assert len(listed) == len(set(listed))
        assert set(listed) | {reason for kind, reason in BESIDE if kind == resource.KIND} == set(
            known
        ), "say in TABLE what the engines show"


def test_the_three_engines_agree_with_the_table(verdicts: list[tuple[Manifest, Verdict]]):
    tables = (
        (kind, row, listed)
        for kind, rows in TABLE.items()
        for row, listed in (*rows.items(), *ENGINES.items())
    )
    want = {(kind, reason): row for kind, row, listed in tables for reason in listed.split()}
    told = [(each["kind"], stand(each)[1], words(verdict)) for each, verdict in verdicts]
    assert [
        (kind, reason, said, want[kind, reason])
        for kind, reason, said in told
        if said != want[kind, reason]
    ] == []


def test_argo_cd_shows_the_reason_and_what_to_do(verdicts: list[tuple[Manifest, Verdict]]):
    for each, verdict in verdicts:
        assert (verdict.argo, verdict.message) == expected(each)


def test_a_rejected_promotion_is_degraded_and_says_that_the_stable_version_is_still_serving(
    verdicts: list[tuple[Manifest, Verdict]],
):
    said = [verdict for each, verdict in verdicts if stand(each)[1] == "ServingFailed"]
    assert any("v1 is still serving" in verdict.message for verdict in said)
    assert {words(verdict) for verdict in said} == {BROKEN}


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_is_being_deleted_is_progressing_whatever_its_conditions(kind: str):
    leaving = next(
        deepcopy(each) for each in states() if each["kind"] == kind and stand(each)[0] == "Ready"
    )
    leaving["metadata"] |= {"deletionTimestamp": "2026-01-01T12:00:00Z", "finalizers": [FINALIZER]}
    (said,) = judged(leaving)
    assert words(said)[:2] == GOING[:2]


# --- without a matching condition
# ------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_was_never_reconciled_is_progressing(kind: str):
    """kstatus alone would report Current; Flux checks again, because its expressions find no
    status.
    """
    fresh = next(
        deepcopy(each)
        for each in states()
        if each["kind"] == kind and "deletionTimestamp" not in each["metadata"]
    )
    del fresh["status"]
    (said,) = judged(fresh)
    assert words(said) == ("Progressing", "Current", "Unknown")
    assert said.message == "modelyard has not observed this object yet."


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_status_counts_the_same(kind: str):
    fresh = next(
        deepcopy(each)
        for each in states()
        if each["kind"] == kind and "deletionTimestamp" not in each["metadata"]
    )
    fresh["status"] = {}
    (said,) = judged(fresh)
    assert words(said) == ("Progressing", "Current", "InProgress")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("Experiment", "NameTaken"), ("RegisteredModel", "Serving"), ("TrainingRun", "Suspended")],
)
def test_conditions_of_an_earlier_generation_do_not_count(kind: str, reason: str):
    edited = of(kind, reason)
    edited["metadata"]["generation"] += 1
    (said,) = judged(edited)
    assert words(said) == WAITS
    assert said.message == "modelyard has not observed this spec yet."


def test_a_resumed_run_is_no_longer_suspended():
    going = of("TrainingRun", "Suspended")
    going["spec"]["suspend"] = False
    assert words(*judged(going)) == WAITS


def test_without_our_script_argo_cd_would_show_no_health():
    """The scripts are needed: Argo CD itself has none for our group."""
    with pytest.raises(AssertionError, match="Argo CD has no health check for it"):
        health([of("RegisteredModel", "ServingFailed")], {}, EXPRESSIONS)


# --- the files ------------------------------------------------------------------------------------
def test_the_generated_files_are_up_to_date(capsys: pytest.CaptureFixture[str]):
    assert customizations.main(["--check"]) == 0, capsys.readouterr().out
    there = {path.relative_to(ROOT).as_posix() for path in ARGOCD.rglob("*.yaml")} - {
        "manifests/gitops/argocd/application.yaml"
    }
    assert there == {
        file for file in customizations.files() if (ROOT / file).is_relative_to(ARGOCD)
    }


def test_the_config_map_has_the_scripts_under_the_keys_that_argo_cd_reads():
    (config,) = documents((ARGOCD / "argocd-cm.yaml").read_text())
    assert (config["metadata"]["name"], config["metadata"]["namespace"]) == ("argocd-cm", "argocd")
    keys = [
        re.fullmatch(r"resource\.customizations\.health\.(.+)_(\w+)", key) for key in config["data"]
    ]
    assert {
        f"{key[1]}/{key[2]}" if key else "": text
        for key, text in zip(keys, config["data"].values(), strict=True)
    } == scripts()


def test_one_script_serves_every_kind():
    assert len(set(scripts().values())) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_contributable_test_data_passes_argo_cd_s_own_checks(kind: str):
    folder = ARGOCD / "resource_customizations" / "modelyard.io" / kind
    cases: list[dict[str, Any]] = yaml.safe_load((folder / "health_test.yaml").read_text())["tests"]
    objects = [yaml.safe_load((folder / case["inputPath"]).read_text()) for case in cases]
    assert [{"status": said.argo, "message": said.message} for said in judged(*objects)] == [
        case["healthStatus"] for case in cases
    ]
    assert {path.name for path in (folder / "testdata").iterdir()} == {
        case["inputPath"].split("/")[1] for case in cases
    }
