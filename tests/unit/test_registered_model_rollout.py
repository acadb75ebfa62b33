"""RegisteredModel with `rollout`: weights, pods and the stable pods' traffic rules, step by
step.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import Outcome
from modelyard.api.rollout import RolloutStatus
from modelyard.registered_model.evidence import kept_analyses
from modelyard.registered_model.judged import KEY
from modelyard.traffic import Arm
from tests.unit.builders import NOW, message, said
from tests.unit.rollout_world import CANARY, RolloutWorld, rolled_out

LIMIT = 400


def at(world: RolloutWorld, weight: int) -> None:
    """Reconcile until all stable pods apply a weight."""

    def there() -> bool:
        rollout = world.status("production").rollout
        return (
            rollout is not None
            and rollout.weight == weight
            and rollout.applied_by == rollout.of > 0
        )

    world.until(there, LIMIT)


def test_a_version_is_rolled_out_step_by_step():
    world = rolled_out()
    seen: list[tuple[set[int], int]] = []
    world.edit(production="v2")
    while world.effective("production") != "v2":
        world.look()
        now = (world.weights("v1"), world.replicas("v2"))
        seen += [now] if seen[-1:] != [now] else []
        assert len(seen) < LIMIT

    assert list(dict.fromkeys(tuple(sorted(weights)) for weights, _ in seen)) == [
        (),
        (5,),
        (50,),
        (100,),
    ]
    world.settle(LIMIT)
    world.check_end()
    assert world.front("production") == "v2"
    assert not world.rules("v1")
    assert not world.rules("v2")
    assert world.status("production").rollout is None
    assert world.model.status.history[-1].outcome is Outcome.PROMOTED


def test_pods_exist_before_the_weight_rises():
    world = rolled_out(replicas=4)
    world.edit(production="v2")
    at(world, 5)
    assert world.replicas("v2") == 1
    at(world, 50)
    assert world.replicas("v2") == 2
    assert world.replicas("v1") == 4
    world.until(lambda: world.weights("v1") == {100}, LIMIT)
    assert world.replicas("v2") == 4


def test_setting_the_version_back_aborts_the_rollout():
    world = rolled_out()
    world.edit(production="v2")
    at(world, 50)
    world.edit(production="v1")
    world.look()
    world.look()
    assert world.weights("v1") == set()
    world.settle(LIMIT)
    assert world.effective("production") == "v1"
    assert world.model.status.history[-1].outcome is Outcome.ABORTED
    assert not world.rules("v1")
    assert world.replicas("v2") == 0


def test_a_candidate_without_a_ready_pod_has_weight_0():
    world = rolled_out()
    world.edit(production="v2")
    at(world, 50)
    world.down.add("v2")
    world.others()
    world.until(lambda: world.weights("v1") == {0}, 4)
    world.down.clear()
    at(world, 50)


def test_changed_steps_start_over():
    world = rolled_out()
    world.edit(production="v2")
    at(world, 50)
    before = world.status("production").traffic_revision
    steps: list[dict[str, Any]] = [{"weight": 20}, {"hold": "1h"}]
    world.edit(production={"rollout": CANARY | {"steps": steps}})
    at(world, 20)
    assert world.status("production").traffic_revision > before
    world.edit(production="v1")
    world.settle(LIMIT)
    assert not world.rules("v1")


def test_a_pause_waits_for_a_user():
    steps: list[dict[str, Any]] = [{"weight": 10}, {"pause": {}}, {"pause": {}}]
    world = rolled_out(rollout=CANARY | {"steps": steps, "resumed": 3})
    world.edit(production="v2")
    at(world, 10)
    world.until(lambda: Reason.ROLLOUT_PAUSED in said(world.model.status), LIMIT)
    for _ in range(20):
        world.look()
        world.now += timedelta(hours=1)
    assert world.weights("v1") == {10}
    world.edit(production={"rollout": CANARY | {"steps": steps, "resumed": 4}})
    world.until(
        lambda: (
            (world.status("production").rollout or 0)
            and world.status("production").rollout.index == 2
        ),
        LIMIT,
    )
    for _ in range(20):
        world.look()
    assert world.effective("production") == "v1"
    world.edit(production={"rollout": CANARY | {"steps": steps, "resumed": 5}})
    world.settle(LIMIT)
    assert world.effective("production") == "v2"


def test_without_a_serving_version_steps_are_skipped():
    world = RolloutWorld(stages={"production": {"version": "v1", "rollout": CANARY}})
    world.settle(LIMIT)
    assert world.effective("production") == "v1"
    assert not [each for each in world.done if type(each).__name__ == "SetTrafficRule"]
    passed = next(step for step in world.status("production").steps if step.name == "rollout")
    assert passed.state == "Done"


# --- the analysis ---------------------------------------------------------------------------------
JUDGED = CANARY | {"analysis": {"interval": "10s", "minRequests": 100}}


def test_a_worse_candidate_is_rejected_with_figures_and_gets_no_further_requests():
    world = rolled_out(rollout=JUDGED)
    world.traffic.intervals = [(Arm(950, 1), Arm(50, 40)), (Arm(950, 2), Arm(50, 45))]
    world.edit(production="v2")
    world.settle(LIMIT)
    stage = world.status("production")
    assert (stage.version, stage.rollout) == ("v1", None)
    assert [(each.version, each.reason) for each in stage.rejected] == [("v2", "RolloutFailed")]
    assert (
        "errors: Fail. 85 of 100 candidate requests failed, 3 of 1,900 stable"
        in stage.rejected[0].message
    )
    assert not world.rules("v1")
    assert not world.maps_there()
    assert world.model.status.history[-1].outcome is Outcome.REJECTED


def test_each_interval_is_stored_before_the_next_and_the_rollout_ends():
    world = rolled_out(rollout=JUDGED | {"steps": [{"weight": 50}, {"hold": "30s"}]})
    world.traffic.intervals = [(Arm(500, 1), Arm(500, 1))] * 12
    world.traffic.requests = 600
    world.edit(production="v2")
    world.until(
        lambda: (
            (
                world.status("production").rollout or RolloutStatus(steps_hash="", since_time=NOW)
            ).said
        ),
        LIMIT,
    )
    world.settle(LIMIT)
    world.now += timedelta(minutes=1)
    world.settle(LIMIT)
    assert world.effective("production") == "v2"
    assert not world.maps_there()


FORGER: dict[str, tuple[str, dict[str, Any]] | None] = {
    "no owner": None,
    "an owner of another kind": ("TrainingRun", {"controller": True}),
    "an owner that is no controller": ("RegisteredModel", {}),
}


@pytest.mark.parametrize("owner", FORGER.values(), ids=FORGER)
def test_evidence_that_the_model_does_not_own_is_ignored(
    owner: tuple[str, dict[str, Any]] | None,
):
    """Any user may create a ConfigMap of that name, even before the first interval is judged."""
    name = "fraud-production-rollout"
    kept: Any = rolled_out(rollout=JUDGED)
    kept.traffic.intervals = [(Arm(500, 1), Arm(500, 1))] * 2
    kept.edit(production="v2")
    kept.until(lambda: name in kept.maps, LIMIT)
    (real,) = (each for each in kept.owned(kept.model.metadata.uid) if each["kind"] == "ConfigMap")
    assert asyncio.run(kept_analyses(kept.model, [real], kept)) == {
        "production": kept.maps[name][KEY]
    }
    references = (
        [
            {
                **real["metadata"]["ownerReferences"][0],
                "controller": None,
                "kind": owner[0],
                **owner[1],
            }
        ]
        if owner
        else []
    )
    forged = real | {"metadata": real["metadata"] | {"ownerReferences": references}}
    assert asyncio.run(kept_analyses(kept.model, [forged], kept)) == {}
    assert asyncio.run(kept_analyses(kept.model, [], kept)) == {}


def test_a_hold_without_enough_requests_continues():
    world = rolled_out(rollout=JUDGED | {"steps": [{"weight": 50}, {"hold": "30s"}]})
    world.traffic.intervals = [(Arm(), Arm())] * 99
    world.edit(production="v2")
    for _ in range(60):
        world.look()
        world.now += timedelta(seconds=10)
    assert world.effective("production") == "v1"
    assert "NoData. 0 candidate requests in this step; minRequests is 100" in message(
        world.model.status
    )


# --- other changes meanwhile ----------------------------------------------------------------------
def test_the_stable_version_keeps_its_pods_while_it_has_an_autoscaler():
    scaled = {"autoscaling": {"minReplicas": 2, "maxReplicas": 6}}
    world = rolled_out(serving=scaled, rollout=CANARY)
    deployment = next(iter(world.of_kind("Deployment")))
    key = ("Deployment", deployment["metadata"]["name"])
    world.children[key] = deployment | {"spec": deployment["spec"] | {"replicas": 4}}
    world.settle(LIMIT)
    world.edit(production="v2")
    at(world, 50)
    assert [each["spec"]["minReplicas"] for each in world.of_kind("HorizontalPodAutoscaler")] == [4]
    assert world.replicas("v2") == 2
    world.settle(LIMIT)
    world.now += timedelta(hours=1)
    world.settle(LIMIT)
    assert world.effective("production") == "v2"
    assert [each["spec"]["minReplicas"] for each in world.of_kind("HorizontalPodAutoscaler")] == [2]
    assert world.replicas("v2") == 4


def test_a_change_of_serving_reaches_both_versions_and_steps_continue():
    world = rolled_out()
    world.edit(production="v2")
    at(world, 50)
    world.edit(production={"serving": {"replicas": 2, "resources": {"requests": {"cpu": "123m"}}}})
    world.until(
        lambda: all(
            "123m" in str(each["spec"]["template"]) for each in world.of_kind("Deployment")
        ),
        LIMIT,
    )
    assert world.weights("v1") == {50}
    assert world.status("production").rollout is not None


def test_a_new_stable_pod_gets_the_same_rule_as_the_others():
    world = rolled_out()
    world.edit(production="v2")
    at(world, 50)
    pods = [
        key
        for key, each in world.children.items()
        if key[0] == "Pod" and each["metadata"]["labels"]["modelyard.io/version"] == "v1"
    ]
    del world.children[pods[0]]
    world.others()
    assert len(world.rules("v1")) == 1
    world.until(lambda: len(world.rules("v1")) == 2, LIMIT)
    assert world.weights("v1") == {50}


def test_a_stage_whose_runtime_cannot_split_says_so_and_switches():
    world = rolled_out()
    stage = world.status("production")
    old = stage.runtime.model_copy(update={"revision": 3}) if stage.runtime is not None else None
    stages = dict(world.model.status.stages) | {
        "production": stage.model_copy(update={"runtime": old})
    }
    world.model = world.model.model_copy(
        update={"status": world.model.status.model_copy(update={"stages": stages})}
    )
    world.edit(production="v2")
    world.settle(LIMIT)
    assert world.effective("production") == "v2"
    passed = next(step for step in world.status("production").steps if step.name == "rollout")
    assert passed.detail == "" or "refresh" in passed.detail


def test_a_freeze_does_not_stop_a_candidate_with_traffic_or_an_override():
    world = rolled_out(rollout=CANARY | {"steps": [{"weight": 10}, {"pause": {}}]})
    world.edit(production="v2")
    at(world, 10)
    world.patch(freeze=[{"schedule": "* * * * *", "duration": "1h", "reason": "audit"}])
    for _ in range(10):
        world.look()
    assert world.weights("v1") == {10}
    until = (world.now + timedelta(hours=1)).isoformat()
    world.edit(production={"override": {"version": "v2", "reason": "incident", "until": until}})
    world.settle(LIMIT)
    assert world.front("production") == "v2"
    assert not world.rules("v1")


# --- pods that may not be told --------------------------------------------------------------------
def blocked(world: RolloutWorld) -> str:
    """Return what blocks production, as users read it."""
    found = world.status("production").blocked
    return f"{found.reason} {found.message}" if found is not None and found.needs_action else ""


def test_a_pod_whose_rule_is_refused_stops_no_other_and_is_named():
    world = rolled_out(replicas=2)
    first, second = sorted(each["metadata"]["name"] for each in world.of_kind("Pod"))
    world.refused = {("Pod", first)}
    world.edit(production="v2")
    world.until(lambda: bool(blocked(world)), LIMIT)
    assert blocked(world).startswith(
        f"RequestRefused Kubernetes refused to tell Pod risk/{first} how it splits its requests:"
        " pods is forb"
    )
    assert "upgrade the chart together with the operator" in blocked(world)
    assert "spec" not in blocked(world), "nothing of it is wrong"
    assert [rule["weight"] for rule in world.rules("v1")] == [5], f"{second} has the rule"
    assert world.replicas("v2") == 1, "and the candidate has its pod"
    world.refused = set()
    at(world, 5)
    assert blocked(world) == ""


def test_a_pod_that_keeps_its_rule_after_an_abort_is_reported_and_retried():
    world = rolled_out(replicas=2)
    world.edit(production="v2")
    at(world, 50)
    first = min(each["metadata"]["name"] for each in world.of_kind("Pod"))
    world.refused = {("Pod", first)}
    world.edit(production="v1")
    world.until(lambda: "how it splits its requests" in blocked(world), LIMIT)
    assert world.effective("production") == "v1"
    assert len(world.rules("v1")) == 1
    world.refused = set()
    world.settle(LIMIT)
    assert (world.rules("v1"), blocked(world)) == ([], "")
