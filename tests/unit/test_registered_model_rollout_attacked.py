"""RegisteredModel with `rollout` under interference: cases that an adversarial review found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from modelyard.api.registered_model import RegisteredModelStatus
from modelyard.api.rollout import RolloutStatus
from modelyard.traffic import Arm
from tests.unit.builders import message
from tests.unit.rollout_world import CANARY, RolloutWorld, rolled_out
from tests.unit.test_registered_model_rollout import JUDGED, LIMIT, at

BAD = Arm(950, 1), Arm(50, 50)
GOOD = Arm(950, 1), Arm(50, 0)
PAUSED: dict[str, Any] = CANARY | {"steps": [{"weight": 50}, {"pause": {}}]}
SERVICE = ("Service", "fraud-production")


def looks(world: RolloutWorld, number: int = 20, seconds: float = 0) -> None:
    """Reconcile this many times."""
    for _ in range(number):
        world.look()
        world.now += timedelta(seconds=seconds)


def rollout(world: RolloutWorld) -> RolloutStatus:
    found = world.status("production").rollout
    assert found is not None
    return found


def test_a_service_that_is_deleted_comes_back_for_the_stable_version():
    for replicas, weight in ((1, 5), (2, 60)):
        world = rolled_out(replicas, CANARY | {"steps": [{"weight": weight}, {"pause": {}}]})
        world.edit(production="v2")
        at(world, weight)
        del world.children[SERVICE]
        looks(world, 6)
        assert (world.front("production"), world.effective("production"), world.weights("v1")) == (
            "v1",
            "v1",
            {weight},
        )


def test_a_stage_scaled_to_zero_during_a_rollout_completes_no_step():
    world = rolled_out()
    world.edit(production="v2")
    at(world, 5)
    world.edit(production={"serving": {"replicas": 0}})
    looks(world)
    assert world.effective("production") == "v1"
    assert "the stage has no pods" in message(world.model.status)
    world.edit(production={"serving": {"replicas": 2}})
    world.until(lambda: world.front("production") == "v1" and world.weights("v1") == {5}, LIMIT)
    assert world.effective("production") == "v1"


def test_a_status_lost_during_a_rollout_is_rebuilt_with_the_stable_version():
    world = rolled_out(rollout=PAUSED)
    world.edit(production="v2")
    at(world, 50)
    world.model = world.model.model_copy(update={"status": RegisteredModelStatus()})
    world.until(lambda: world.effective("production"), LIMIT)
    assert world.effective("production") == "v1"


def test_a_candidate_that_turns_bad_at_the_end_of_a_hold_does_not_complete_it():
    world = rolled_out(
        rollout=JUDGED
        | {
            "steps": [{"weight": 5}, {"hold": "10m"}],
            "analysis": {"interval": "10s", "minRequests": 1},
        }
    )
    world.traffic.intervals = [GOOD] * 58 + [BAD] * 40
    world.traffic.requests = 3000
    world.edit(production="v2")
    world.until(lambda: world.status("production").rejected, LIMIT * 3)
    assert world.effective("production") == "v1"


def test_a_hold_lasts_at_least_two_intervals():
    world = rolled_out(
        rollout=JUDGED
        | {
            "steps": [{"weight": 5}, {"hold": "5s"}],
            "analysis": {"interval": "30s", "minRequests": 1},
        }
    )
    world.traffic.intervals, world.traffic.requests = [BAD] * 9, 3000
    world.edit(production="v2")
    world.until(lambda: world.status("production").rejected, LIMIT)
    assert world.effective("production") == "v1"


def test_an_unwritable_analysis_stops_the_rollout_and_a_dead_candidate_still_has_weight_0():
    world = rolled_out(rollout=JUDGED | {"steps": [{"weight": 50}, {"hold": "30s"}]})
    world.refused = {("ConfigMap", "fraud-production-rollout")}
    world.traffic.intervals, world.traffic.requests = [GOOD] * 50, 3000
    world.edit(production="v2")
    at(world, 50)
    looks(world, 60, seconds=5)
    assert world.effective("production") == "v1"
    assert "The analysis waits" in rollout(world).said
    world.down.add("v2")
    world.others()
    looks(world, 8)
    assert world.weights("v1") == {0}


def test_a_candidate_whose_deployment_is_refused_still_loses_its_weight():
    world = rolled_out(rollout=PAUSED)
    world.edit(production="v2")
    at(world, 50)
    name = next(key[1] for key in world.children if key[0] == "Deployment" and "v2" in key[1])
    world.refused = {("Deployment", name)}
    del world.children["Deployment", name]
    world.others()
    looks(world, 8)
    assert world.weights("v1") == {0}


def test_other_steps_take_the_weight_away_before_they_wait_for_pods():
    world = rolled_out(4)
    world.edit(production="v2")
    at(world, 50)
    world.edit(production={"rollout": CANARY | {"steps": [{"weight": 90}, {"hold": "1h"}]}})
    world.down.add("v2")
    looks(world, 6)
    assert world.weights("v1") == {0}


def test_a_new_gate_stops_the_steps_and_not_the_healing():
    world = rolled_out(
        rollout=JUDGED | {"steps": [{"weight": 50}, {"hold": "30s"}, {"weight": 60}]}
    )
    world.edit(production="v2")
    at(world, 50)
    soaks = {"name": "soaked", "soak": {"stage": "staging", "for": "24h"}}
    world.edit(staging={"serving": {"replicas": 0}}, production={"gates": [soaks]})
    looks(world, 40, seconds=10)
    assert (rollout(world).weight, world.effective("production")) == (50, "v1")
    world.down.add("v2")
    world.others()
    looks(world, 6)
    assert world.weights("v1") == {0}
    world.down.clear()


def test_a_candidate_that_crashes_repeatedly_is_rejected():
    world = rolled_out(rollout=PAUSED)
    world.edit(production="v2")
    for _ in range(3):
        at(world, 50)
        world.down.add("v2")
        world.others()
        world.until(lambda: not world.rules("v1") or world.weights("v1") == {0}, LIMIT)
        looks(world, 3)
        world.down.clear()
        world.others()
    looks(world, 10)
    (rejected,) = world.status("production").rejected
    assert "lost its last ready pod 3 times" in rejected.message
    assert not world.rules("v1")


def test_without_a_ready_stable_pod_no_step_ends():
    world = rolled_out(
        rollout=CANARY
        | {"steps": [{"weight": 5}, {"hold": "30s"}, {"weight": 50}, {"hold": "30s"}]}
    )
    world.edit(production="v2")
    at(world, 5)
    world.down.add("v1")
    world.others()
    looks(world, 60, seconds=30)
    assert (rollout(world).weight, world.effective("production")) == (5, "v1")
    assert "waits for a ready pod of v1" in message(world.model.status)


def test_another_way_to_draw_is_a_rule_of_another_revision():
    world = rolled_out(rollout=PAUSED)
    world.edit(production="v2")
    at(world, 50)
    before = world.status("production").traffic_revision
    world.edit(production={"rollout": PAUSED | {"sticky": {"header": "x-user"}}})
    world.until(lambda: any("sticky" in rule for rule in world.rules("v1")), LIMIT)
    assert all(rule["revision"] > before for rule in world.rules("v1"))
