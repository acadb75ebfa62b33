"""Runtimes: upgrades of the operator, refreshes, rollbacks and rejections."""

from typing import Any

import pytest

from modelyard.plan import Apply
from tests.unit.builders import DAY, NOW, RUNTIME, live, pod, terminated
from tests.unit.models import (
    NEWER,
    A,
    B,
    after,
    decided,
    deployment_in,
    displaced,
    does,
    pods_of,
    recorded_first,
    served,
    stage_of,
)


def up(version: str) -> list[str]:
    """Return the actions that start a version's pods."""
    return [f"apply {kind}/{version}" for kind in ("ControllerRevision", "Deployment")]


def routes(version: str) -> list[str]:
    """Return the action that routes to a version."""
    return [f"apply {kind}/{version}" for kind in ("Service", "PodDisruptionBudget")]


# --- what is promoted: version, digest and runtime ------------------------------------------------
def test_a_candidate_keeps_the_runtime_that_its_promotion_began_with():
    model = recorded_first(stage_of("vb", holds=A))
    later = decided(model, *pods_of(model, A, routed=True), runtime=NEWER)
    (deployment,) = [
        each.manifest
        for each in later.actions
        if isinstance(each, Apply) and each.manifest["kind"] == "Deployment"
    ]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == RUNTIME.image
    assert later.status.candidate == served(B)


def test_a_rollback_by_an_operator_with_another_image_restores_version_digest_and_runtime():
    """The template comes from the ControllerRevision, whatever this release would build."""
    model = stage_of("va", holds=served(B, NEWER), previous=served(A))
    kept, gone = pods_of(model, A)
    marked = kept | {
        "data": {
            "template": kept["data"]["template"]
            | {
                "metadata": kept["data"]["template"]["metadata"]
                | {"annotations": {"built": "by 1.2.3"}}
            }
        }
    }
    kept = live(
        {key: value for key, value in marked.items() if key != "metadata"}
        | {"metadata": build_metadata(marked)}
    )
    there = (*pods_of(model, served(B, NEWER), routed=True), kept)
    model = recorded_first(model, *there, runtime=NEWER)
    assert model.status.stages["production"].candidate == served(A)
    decision = decided(model, *there, runtime=NEWER)
    (deployment,) = [each.manifest for each in decision.actions if isinstance(each, Apply)]
    assert deployment["metadata"]["name"] == gone["metadata"]["name"]
    assert deployment["spec"]["template"]["metadata"]["annotations"] == {"built": "by 1.2.3"}
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == RUNTIME.image
    assert (
        served(A).digest in deployment["spec"]["template"]["spec"]["initContainers"][0]["command"]
    )


def build_metadata(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata that the operator applied, without additions of the API server."""
    return {
        key: value
        for key, value in manifest["metadata"].items()
        if key in {"name", "namespace", "labels", "ownerReferences"}
    }


def test_an_upgrade_of_the_operator_rolls_no_stage():
    model = stage_of("va", holds=A)
    decision = decided(model, *pods_of(model, A, routed=True), runtime=NEWER)
    assert (decision.actions, decision.record, decision.status.blocked) == ((), False, None)


def test_update_always_follows_the_operator_s_image_at_once():
    model = stage_of("va", holds=A, serving={"runtime": {"update": "Always"}})
    there = pods_of(model, A, routed=True)
    assert decided(model, *there).actions == ()
    model = recorded_first(model, *there, runtime=NEWER)
    assert model.status.stages["production"].candidate == served(A, NEWER)
    assert does(decided(model, *there, runtime=NEWER)) == up("va")
    ready = (*there, *pods_of(model, served(A, NEWER)))
    assert does(decided(model, *ready, runtime=NEWER)) == routes("va")


def test_attempt_raised_while_the_version_is_effective_refreshes_its_runtime():
    model = stage_of("va", holds=A, attempt=1, previous=served(B))
    there = pods_of(model, A, routed=True)
    model = recorded_first(model, *there, runtime=NEWER)
    new = served(A, NEWER)
    decision = decided(model, *pods_of(model, A), *pods_of(model, new, routed=True), runtime=NEWER)
    assert decision.entry
    assert (decision.entry.outcome, decision.entry.from_, decision.entry.to) == (
        "Refreshed",
        "va",
        "va",
    )
    assert decision.entry.runtime == new.runtime
    status = decision.status
    assert (status.effective, status.previous, status.attempt) == (new, displaced(B), 1)
    assert status.since_time == NOW - DAY, "the version is effective since then"
    assert [each.identity for each in status.draining] == [served(A).runtime.identity]


def test_a_refresh_to_the_running_runtime_does_nothing():
    model = stage_of("va", holds=A, attempt=1)
    decision = decided(model, *pods_of(model, A, routed=True))
    assert (decision.actions, decision.record, decision.status.attempt) == ((), False, 1)
    later = decided(after(model, decision), *pods_of(model, A, routed=True), runtime=NEWER)
    assert (later.actions, later.record) == ((), False), (
        "it was carried out; an upgrade after it refreshes nothing"
    )


def test_an_attempt_that_is_lowered_again_ends_a_refresh():
    model = stage_of("va", holds=A, candidate=served(A, NEWER), start_time=NOW)
    there = (*pods_of(model, A, routed=True), *pods_of(model, served(A, NEWER), ready=0))
    model = recorded_first(model, *there, runtime=NEWER)
    decision = decided(model, *there, runtime=NEWER)
    assert [words.split("/")[0] for words in does(decision)] == [
        "delete Deployment",
        "delete ControllerRevision",
    ]
    assert decision.status.blocked is None


def test_an_attempt_that_was_raised_for_another_version_refreshes_nothing():
    """It was raised to retry vb; vb failed again, and the spec went back to va."""
    model = stage_of("vb", holds=A, attempt=1)
    waits = decided(
        model,
        *pods_of(model, A, routed=True),
        versions=(A, B.model_copy(update={"mlflow_version": None})),
        runtime=NEWER,
    )
    back = stage_of("va", attempt=1)
    back = back.model_copy(update={"status": after(model, waits).status})
    decision = decided(back, *pods_of(model, A, routed=True), runtime=NEWER)
    assert (decision.actions, decision.record, decision.status.blocked) == ((), False, None)


# --- rejected -------------------------------------------------------------------------------------
DIED = [terminated(67, '{"reason": "LoadFailed", "message": "no booster"}', name="model")]


def dead(model: Any, what: Any) -> tuple[Any, ...]:
    """Return a version whose pod reports that it cannot be loaded."""
    there = pods_of(model, what, ready=0)
    return (*there, pod(deployment_in(there), statuses=DIED))


def rejected(**more: Any) -> Any:
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW, **more)
    return recorded_first(model, *pods_of(model, A, routed=True), *dead(model, B))


def test_a_candidate_that_its_own_pods_cannot_load_is_rejected_and_deleted():
    model = rejected()
    (rejection,) = model.status.stages["production"].rejected
    assert (rejection.version, rejection.digest, rejection.runtime) == (
        "vb",
        served(B).digest,
        served(B).runtime.identity,
    )
    assert (rejection.reason, rejection.attempt, rejection.time) == ("ServingFailed", 0, NOW)
    assert "no booster" in rejection.message
    there = (*pods_of(model, A, routed=True), *dead(model, B))
    decision = decided(model, *there)
    assert [words.split("/")[0] for words in does(decision)] == [
        "delete Deployment",
        "delete ControllerRevision",
    ]
    assert decision.status.blocked
    assert (decision.status.blocked.reason, decision.status.blocked.needs_action) == (
        "ServingFailed",
        True,
    )
    assert "va is still serving" in decision.status.blocked.message
    assert "no booster" in decision.status.blocked.message
    assert not decided(after(model, decision), *pods_of(model, A, routed=True)).record


def test_a_candidate_that_waits_for_a_node_or_an_image_is_not_rejected():
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW)
    there = pods_of(model, B, ready=0)
    slow = pod(
        deployment_in(there),
        "Pending",
        conditions=[
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes",
            }
        ],
    )
    decision = decided(model, *pods_of(model, A, routed=True), *there, slow)
    assert (decision.record, decision.actions) == (False, ())
    assert decision.status.blocked
    assert decision.status.blocked.reason == "Unschedulable"


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({}, False),
        ({"attempt": 1}, True),
        ({"serving": {"replicas": 5}}, False),
        ({"serving": {"resources": {"limits": {"memory": "8Gi"}}}}, False),
        ({"serving": {"autoscaling": {"maxReplicas": 4}}}, False),
        ({"serving": {"runtime": {"workers": 2}}}, True),
        ({"serving": {"nodeSelector": {"disk": "fast"}}}, False),
    ],
    ids=str,
)
def test_a_rejected_version_is_tried_again_when_the_stage_changes_or_attempt_is_raised(
    change: dict[str, Any], again: bool
):
    status = rejected().status
    model = stage_of("vb", **change).model_copy(update={"status": status})
    decision = decided(model, *pods_of(model, A, routed=True))
    assert (decision.status.candidate == served(B)) == again
    assert (decision.record, decision.status.blocked is None) == (again, again)


def test_a_rejection_by_pods_ends_with_another_runtime():
    decision = decided(rejected(), *pods_of(stage_of("va"), A, routed=True), runtime=NEWER)
    assert (decision.record, decision.status.candidate) == (True, served(B, NEWER))


def test_a_rejection_is_for_these_bytes():
    other = B.model_copy(update={"digest": "sha256:" + "9" * 64})
    decision = decided(rejected(), *pods_of(stage_of("va"), A, routed=True), versions=(A, other))
    assert decision.status.candidate
    assert decision.status.candidate.digest == other.digest


def test_a_raised_attempt_that_fails_again_leaves_one_rejection():
    first = rejected()
    again = stage_of("vb", attempt=3).model_copy(update={"status": first.status})
    there = pods_of(again, A, routed=True)
    again = recorded_first(again, *there)
    again = recorded_first(again, *there, *dead(again, B))
    (rejection,) = again.status.stages["production"].rejected
    assert rejection.attempt == 3
    assert not decided(again, *there).record


def test_a_rejected_refresh_leaves_the_effective_runtime_serving():
    model = stage_of("va", holds=A, attempt=1, candidate=served(A, NEWER), start_time=NOW)
    there = (*pods_of(model, A, routed=True), *dead(model, served(A, NEWER)))
    model = recorded_first(model, *there, runtime=NEWER)
    decision = decided(model, *there, runtime=NEWER)
    assert [words.split("/")[0] for words in does(decision)] == [
        "delete Deployment",
        "delete ControllerRevision",
    ]
    assert decision.status.blocked
    assert "va is still serving" in decision.status.blocked.message
    assert decision.status.effective == served(A)


def test_a_previous_runtime_that_was_rejected_is_replaced_by_this_operator_s():
    model = stage_of("va", holds=B, previous=served(A), candidate=served(A), start_time=NOW)
    there = (*pods_of(model, B, routed=True), *dead(model, A))
    model = recorded_first(model, *there, runtime=NEWER)
    assert recorded_first(model, *there, runtime=NEWER).status.stages[
        "production"
    ].candidate == served(A, NEWER)


def test_a_version_that_becomes_effective_is_no_longer_rejected():
    model = rejected()
    status = model.status.stages["production"].model_copy(update={"candidate": served(B)})
    model = model.model_copy(
        update={"status": model.status.model_copy(update={"stages": {"production": status}})}
    )
    decision = decided(
        model.model_copy(update={"spec": stage_of("vb", attempt=1).spec}),
        *pods_of(model, A),
        *pods_of(model, B, routed=True),
    )
    assert (decision.status.version, decision.status.rejected) == ("vb", ())
