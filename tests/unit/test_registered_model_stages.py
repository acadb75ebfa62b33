"""What happens to a stage when its version changes: first, forward, back, away; one step a look, and the stable version serves."""

from datetime import timedelta
from typing import Any

import pytest
from modelyard.registered_model.health import health
from modelyard.registered_model.stages import DRAIN, Context, StagePlan, stage_plan

from modelyard.api.registered_model import RegisteredModel, VersionStatus
from modelyard.plan import Manifest
from modelyard.registered_model import build
from tests.unit.builders import NOW, RUNTIME, SECOND, live, pod, registered_model, terminated, waiting

A, B, C = (
    VersionStatus(name=name, mlflow_version=number, uri=f"s3://b/{name}", digest="sha256:" + name[-1] * 64)
    for name, number in (("va", "1"), ("vb", "2"), ("vc", "3"))
)


def stage(version: str | None, *, holds: str | None = None, since: timedelta = timedelta(days=1), **status: Any) -> RegisteredModel:
    """A model whose production is to be `version`, and is `holds` since so long ago."""
    serving = status.pop("serving", {})
    changes = status.pop("history", ())
    history = [{"time": NOW - ago, "stage": "production", "from": old, "to": new, "reason": "Promoted"} for old, new, ago in changes]
    held = {"version": holds, "desired": holds, "since": NOW - since} if holds else {}
    stages = {"production": held | status} if held or status else {}
    model = registered_model(stages={"production": {"version": version, "serving": serving}}, about={"generation": 7})
    return model.model_copy(update={"status": type(model.status).model_validate({"stages": stages, "history": history})})


def served(
    model: RegisteredModel, version: VersionStatus, *, ready: int = 1, replicas: int = 1, front: bool = False, **status: Any
) -> tuple[Manifest, ...]:
    """A version's Deployment, its Service and budget too if it is in front."""
    there = live(build.deployment(model, "production", version, replicas, RUNTIME, allow_code=False))
    there["metadata"]["creationTimestamp"] = "2026-01-01T11:00:00Z"
    there["status"] = {"observedGeneration": 1, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": replicas} | status
    if not front:
        return (there,)
    return (there, live(build.service(model, "production", version.name)), live(build.disruption_budget(model, "production", version.name)))


def planned(model: RegisteredModel, *children: Manifest, versions: tuple[VersionStatus, ...] = (A, B, C), **more: Any) -> StagePlan:
    context = Context(model, {version.name: version for version in versions}, children, RUNTIME, False, NOW, **more)
    return stage_plan(context, "production")


def does(plan: StagePlan) -> list[str]:
    """What a plan does, in words: `apply Deployment/fraud-production-va`."""
    return [
        f"delete {a.kind}/{a.name}" if hasattr(a, "uid") else f"apply {a.manifest['kind']}/{a.manifest['metadata']['name']}"
        for a in plan.actions
    ]


def points(plan: StagePlan) -> str | None:
    """The version that a plan points the Service at, if it does."""
    for action in plan.actions:
        if getattr(action, "manifest", {}).get("kind") == "Service":
            return str(action.manifest["spec"]["selector"]["modelyard.io/version"])  # type: ignore[union-attr]
    return None


UP = "apply Deployment/fraud-production-"
FRONT = ["apply Service/fraud-production", "apply PodDisruptionBudget/fraud-production"]


# --- forward ------------------------------------------------------------------------------------------
def test_a_first_version_comes_up_before_anything_points_at_it():
    model = stage("va")
    plan = planned(model)
    assert does(plan) == [UP + "va"]
    assert plan.wait
    assert plan.wait.reason == "Promoting"
    assert does(planned(model, *served(model, A, ready=0))) == []
    assert does(planned(model, *served(model, A))) == FRONT
    handed = planned(model, *served(model, A, front=True))
    assert handed.actions == ()
    assert handed.entry
    assert (handed.entry.from_, handed.entry.to, handed.entry.reason) == (None, "va", "Promoted")
    assert (handed.status.version, handed.status.since) == ("va", NOW)


def test_a_new_version_comes_up_beside_the_one_that_serves():
    model = stage("vb", holds="va")
    old = served(model, A, front=True)
    assert does(planned(model, *old)) == [UP + "vb"]
    rising = planned(model, *old, *served(model, B, ready=0))
    assert rising.actions == ()
    assert rising.wait
    assert "beside va, which serves on" in rising.wait.message
    assert (rising.status.version, rising.status.desired, rising.status.ready_replicas) == ("va", "vb", 1)
    switch = planned(model, *old, *served(model, B))
    assert does(switch) == FRONT
    assert points(switch) == "vb"


def test_it_takes_over_when_all_its_pods_are_ready_and_of_what_was_applied_last():
    model = stage("vb", holds="va", serving={"replicas": 3})
    old = served(model, A, ready=3, replicas=3, front=True)
    for status in ({"readyReplicas": 2, "availableReplicas": 2}, {"observedGeneration": 0}, {"updatedReplicas": 2}):
        assert points(planned(model, *old, *served(model, B, ready=3, replicas=3, **status))) is None
    assert points(planned(model, *old, *served(model, B, ready=3, replicas=3))) == "vb"


def test_it_takes_over_when_its_pods_stay_ready_and_a_first_one_at_once():
    """A kubelet may call a new pod ready, take that back, and say it again; those who ask in between are refused."""
    old = served(stage("va"), A, front=True)
    for pods in ({"availableReplicas": 0}, {"availableReplicas": 0, "readyReplicas": 0}):
        waits = planned(stage("vb", holds="va"), *old, *served(stage("va"), B, **pods))
        assert points(waits) is None
        assert waits.wait
        assert waits.wait.reason == "Promoting"
    assert points(planned(stage("vb", holds="va"), *old, *served(stage("va"), B))) == "vb"
    assert points(planned(stage("vb"), *served(stage("vb"), B, availableReplicas=0))) == "vb"


def test_the_change_is_written_down_with_how_long_it_took():
    model = stage("vb", holds="va", started=NOW - 90 * SECOND, desired="vb")
    plan = planned(model, *served(model, A), *served(model, B, front=True))
    assert plan.entry
    assert (plan.entry.from_, plan.entry.to, plan.entry.duration_seconds) == ("va", "vb", 90)
    assert (plan.status.version, plan.status.started) == ("vb", None)


def test_a_displaced_version_serves_on_until_nobody_is_sent_to_it_and_goes_then():
    def after(seconds: int) -> StagePlan:
        model = stage("vb", holds="va" if seconds < 0 else "vb", since=seconds * SECOND, history=[("va", "vb", seconds * SECOND)])
        return planned(model, *served(model, A), *served(model, B, front=True))

    early = after(5)
    assert (early.actions, early.again, early.wait) == ((), DRAIN - 5 * SECOND, None)
    late = after(15)
    assert does(late) == ["delete Deployment/fraud-production-va"]


def test_what_does_not_hold_the_stage_and_never_held_it_goes_at_once():
    model = stage("vb", holds="vb", since=SECOND, history=[("va", "vb", SECOND)])
    plan = planned(model, *served(model, A), *served(model, B, front=True), *served(model, C))
    assert does(plan) == ["delete Deployment/fraud-production-vc"]


# --- back, sideways, away -----------------------------------------------------------------------------
def test_going_back_is_a_promotion_that_is_told_as_what_it_is():
    model = stage("va", holds="vb", history=[("va", "vb", timedelta(days=1))])
    plan = planned(model, *served(model, B), *served(model, A, front=True))
    assert plan.entry
    assert plan.entry.reason == "RolledBack"


def test_a_version_that_still_drains_takes_over_again_at_once():
    model = stage("va", holds="vb", since=SECOND, history=[("va", "vb", SECOND)])
    plan = planned(model, *served(model, A), *served(model, B, front=True))
    assert (does(plan), points(plan)) == (FRONT, "va")


def test_a_to_b_to_a_before_b_is_up_is_a_and_nothing_of_b_is_left():
    model = stage("va", holds="va", desired="vb", started=NOW)
    plan = planned(model, *served(model, A, front=True), *served(model, B, ready=0))
    assert does(plan) == ["delete Deployment/fraud-production-vb"]
    assert (plan.wait, plan.entry, plan.status.desired, plan.status.started) == (None, None, "va", None)


def test_a_to_b_to_a_after_the_service_has_moved_moves_it_back():
    model = stage("va", holds="va", desired="vb")
    _, service, budget = served(model, B, front=True)
    plan = planned(model, *served(model, A), *served(model, B), service, budget)
    assert points(plan) == "va"


def test_b_to_c_midway_is_c_and_b_goes_while_a_serves():
    model = stage("vc", holds="va", desired="vb", started=NOW - 60 * SECOND)
    plan = planned(model, *served(model, A, front=True), *served(model, B, ready=0))
    assert does(plan) == ["delete Deployment/fraud-production-vb", UP + "vc"]
    assert (plan.status.desired, plan.status.started) == ("vc", NOW)


def test_clearing_a_stage_is_written_down_and_then_all_that_serves_it_goes_what_answers_first():
    cleared = planned(stage(None, holds="va"), *served(stage("va"), A, front=True))
    assert cleared.actions == ()
    assert cleared.entry
    assert (cleared.entry.from_, cleared.entry.to, cleared.entry.reason) == ("va", None, "Cleared")
    gone = planned(stage(None), *served(stage("va"), A, front=True))
    assert does(gone) == [
        "delete Service/fraud-production",
        "delete PodDisruptionBudget/fraud-production",
        "delete Deployment/fraud-production-va",
    ]
    assert planned(stage(None)).actions == ()


# --- replicas -----------------------------------------------------------------------------------------
def test_without_replicas_the_stage_changes_hands_and_nothing_is_served():
    none = {"replicas": 0}
    plan = planned(stage("va", serving=none))
    assert plan.actions == ()
    assert plan.entry
    assert plan.entry.to == "va"
    held = planned(stage("va", holds="va", serving=none), *served(stage("va"), A, front=True))
    assert [words.split("/")[0] for words in does(held)] == ["delete Service", "delete PodDisruptionBudget", "delete Deployment"]
    assert (held.status.url, held.status.desired_replicas) == (None, 0)


def test_a_changed_serving_spec_is_rolled_out_and_said_until_it_is():
    model = stage("va", holds="va", serving={"resources": {"limits": {"memory": "4Gi"}}})
    old = stage("va")
    assert does(planned(model, *served(old, A, front=True))) == [UP + "va"]
    rolling = planned(model, *served(model, A, front=True, updatedReplicas=0))
    assert rolling.actions == ()
    assert rolling.wait
    assert "being replaced" in rolling.wait.message


def test_a_stage_that_has_too_few_pods_says_so_and_is_served_by_the_rest():
    model = stage("va", holds="va", serving={"replicas": 3})
    plan = planned(model, *served(model, A, ready=2, replicas=3, front=True))
    assert plan.actions == ()
    assert plan.wait
    assert (plan.wait.reason, "2 of 3 pods of va" in plan.wait.message) == ("NotServing", True)
    assert (plan.status.ready_replicas, plan.status.desired_replicas) == (2, 3)


SCALED = {"autoscaling": {"minReplicas": 2, "maxReplicas": 8}}


def test_an_autoscaler_s_number_is_left_to_it_within_its_bounds():
    model = stage("va", holds="va", serving=SCALED)
    for now, wanted in ((5, 5), (1, 2), (20, 8)):
        (there,) = served(model, A, ready=now, replicas=now)
        plan = planned(model, there)
        assert plan.status.desired_replicas == wanted
        assert (UP + "va" in does(plan)) == (now != wanted)


def test_a_new_version_comes_up_with_as_many_pods_as_the_old_one_has_come_to():
    model = stage("vb", holds="va", serving=SCALED)
    plan = planned(model, *served(model, A, ready=6, replicas=6))
    (deployment,) = [a.manifest for a in plan.actions if getattr(a, "manifest", {}).get("kind") == "Deployment"]  # type: ignore[union-attr]
    assert deployment["spec"]["replicas"] == 6
    switch = planned(model, *served(model, A, ready=6, replicas=6), *served(model, B, ready=6, replicas=6))
    scaler = next(a.manifest for a in switch.actions if a.manifest["kind"] == "HorizontalPodAutoscaler")  # type: ignore[union-attr]
    assert scaler["spec"]["scaleTargetRef"]["name"] == "fraud-production-vb"


def test_an_autoscaler_that_is_wanted_no_more_goes():
    scaled, plain = stage("va", holds="va", serving=SCALED), stage("va", holds="va", serving={"replicas": 2})
    there = build.autoscaler(scaled, "production", "va")
    assert there
    plan = planned(plain, *served(plain, A, ready=2, replicas=2, front=True), live(there))
    assert does(plan) == ["delete HorizontalPodAutoscaler/fraud-production"]


# --- what somebody else did ---------------------------------------------------------------------------
def test_what_serves_is_put_back_when_somebody_deletes_or_changes_it():
    model = stage("va", holds="va")
    whole = served(model, A, front=True)
    for index, words in enumerate([UP + "va", *FRONT]):
        assert does(planned(model, *(child for n, child in enumerate(whole) if n != index))) == [words]
    deployment, service, budget = whole
    bent = live(service | {"spec": service["spec"] | {"selector": {"app": "else"}}})
    assert does(planned(model, deployment, bent, budget)) == FRONT[:1]


def test_nothing_to_do_asks_for_nothing():
    model = stage("va", holds="va")
    plan = planned(model, *served(model, A, front=True))
    assert (plan.actions, plan.wait, plan.entry, plan.again) == ((), None, None, None)
    assert plan.status.url == "http://fraud-production.risk"


# --- how a Deployment stands --------------------------------------------------------------------------
def test_the_health_of_a_version_is_told_by_its_newest_pods_only():
    model = stage("va")
    (there,) = served(model, A, ready=0)
    died = [terminated(67, '{"reason": "LoadFailed", "message": "no booster"}', name="model")]
    old = pod(there, name="old", statuses=died)
    assert health(there, [old]).refused
    newer = pod(there, name="new")
    newer["metadata"] |= {"creationTimestamp": "2026-01-01T12:00:09Z", "labels": newer["metadata"]["labels"] | {"pod-template-hash": "b"}}
    assert not health(there, [old, newer]).refused, "it is of the template before"
    assert not health(there | {"status": {"observedGeneration": 0, "updatedReplicas": 1}}, [old]).refused, "the change was not seen yet"
    assert not health(there | {"status": {"observedGeneration": 1}}, [old]).refused, "no pod of the new template is there yet"
    later = there | {"metadata": there["metadata"] | {"creationTimestamp": "2026-01-01T12:00:01Z"}}
    assert not health(later, [old]).refused, "it is of a Deployment of the same name before this one"
    old["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:05Z"
    assert not health(there, [old]).refused, "it is on its way out"


MISMATCH = '{"reason": "ArtifactDigestMismatch", "message": "m"}'


@pytest.mark.parametrize(
    ("statuses", "reason", "stalled", "refused"),
    [
        ([terminated(67, '{"reason": "LoadFailed", "message": "m"}', name="model")], "ServingFailed", True, True),
        ([terminated(67, '{"reason": "SmokeFailed", "message": "m"}', name="model")], "ServingFailed", True, True),
        (
            [terminated(65, MISMATCH, name="fetch", init=True)],
            "ArtifactDigestMismatch",
            True,
            True,
        ),
        ([terminated(66, '{"reason": "ArtifactMissing", "message": "m"}', name="fetch", init=True)], "ArtifactMissing", True, False),
        ([terminated(69, '{"reason": "StoreUnavailable", "message": "m"}', name="fetch", init=True)], "StoreUnavailable", False, False),
        ([terminated(73, '{"reason": "VolumeFull", "message": "m"}', name="fetch", init=True)], "ServingFailed", True, False),
        ([terminated(67, '{"reason": "CodeModelForbidden", "message": "m"}', name="model")], "CodeModelForbidden", True, False),
        ([terminated(137, "", "OOMKilled", name="model")], "ServingFailed", True, False),
        ([terminated(1, "Traceback: m", name="model")], "ServingFailed", True, False),
        ([waiting("ImagePullBackOff", "m", name="model")], "ServingFailed", True, False),
        ([waiting("ContainerCreating", name="model")], None, False, False),
        ([terminated(0, name="fetch", init=True)], None, False, False),
    ],
)
def test_why_a_version_does_not_come_up(statuses: list[Manifest], reason: str | None, stalled: bool, refused: bool):
    model = stage("va")
    (there,) = served(model, A, ready=0)
    found = health(there, [pod(there, statuses=statuses)])
    assert (found.ready, found.reason, found.stalled, found.refused) == (0, reason, stalled, refused)
    assert bool(found.message) == (reason is not None)
    assert "{" not in found.message, "what a pod says of itself is told in its words"


def test_pods_that_cannot_even_be_made_say_why():
    model = stage("va")
    quota = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    (there,) = served(model, A, ready=0, updatedReplicas=0, conditions=[quota])
    found = health(there, [])
    assert (found.message, found.stalled, found.refused) == ("exceeded quota", True, False)
