"""Rollouts that are reverted, changed or delayed late: traffic moves before pods are deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from modelyard.api.analysis import Analysis
from modelyard.plan import Action, Apply, Delete
from modelyard.registered_model.judgement import verdict
from modelyard.registered_model.progress import Progress, advanced
from modelyard.traffic import Arm, Interval
from tests.unit.builders import message
from tests.unit.rollout_world import CANARY, RolloutWorld, rolled_out
from tests.unit.test_registered_model_rollout import JUDGED, LIMIT, at
from tests.unit.test_registered_model_rollout_attacked import BAD, looks, rollout

PAUSED: dict[str, Any] = CANARY | {"steps": [{"weight": 50}, {"pause": {}}]}


class Watching(RolloutWorld):
    """Records the stable pods' rules when the candidate's pods or its Service are deleted.

    Attributes:
        scaled: The number of pods the candidate is scaled down to, the weights, and whether all
            stable pods apply the recorded revision.
        early: A Service that was deleted while a rule with a weight named it.

    """

    def __init__(self, **spec: Any) -> None:
        super().__init__(**spec)
        self.scaled: list[tuple[int, set[int], bool]] = []
        self.early: str | None = None

    def perform(self, action: Action) -> None:
        if isinstance(action, Delete) and action.kind == "Service":
            if any(r["candidate"] == action.name and r["weight"] for r in self.rules("v1")):
                self.early = action.name
        elif isinstance(action, Apply) and action.manifest["kind"] == "Deployment":
            self._note(action)
        super().perform(action)

    def _note(self, action: Apply) -> None:
        meta, new = action.manifest["metadata"], action.manifest["spec"]["replicas"]
        old = self.children.get(("Deployment", meta["name"]))
        if (
            meta["labels"]["modelyard.io/version"] != "v2"
            or old is None
            or new >= old["spec"]["replicas"]
        ):
            return
        applied = {self.applied.get(pod["metadata"]["uid"], 0) for pod in self.stable_pods()}
        is_applied = applied == {self.status("production").traffic_revision}
        self.scaled.append((new, self.weights("v1"), is_applied))

    def stable_pods(self) -> list[Any]:
        pods = self.of_kind("Pod")
        return [pod for pod in pods if pod["metadata"]["labels"]["modelyard.io/version"] == "v1"]


def begun(replicas: int, rollout: Any) -> Watching:
    stage = {"version": "v1", "serving": {"replicas": replicas}, "rollout": rollout}
    world = Watching(stages={"production": stage})
    world.settle(LIMIT)
    world.edit(production="v2")
    return world


def cut_off(world: Watching) -> None:
    """Have the API server refuse writes to one stable pod from now on."""
    world.refused = {("Pod", min(pod["metadata"]["name"] for pod in world.stable_pods()))}


# --- requests before pods -------------------------------------------------------------------------
DOWN = [{"weight": 80}, {"hold": "1m"}, {"weight": 5}, {"hold": "1h"}]


def test_a_smaller_weight_is_applied_before_pods_are_deleted():
    world = begun(4, CANARY | {"steps": DOWN})
    at(world, 5)
    looks(world, 3)
    assert world.scaled == [(1, {5}, True)]


def test_other_steps_with_a_smaller_weight_are_applied_before_pods_are_deleted():
    world = begun(4, CANARY | {"steps": [{"weight": 80}, {"hold": "1h"}]})
    at(world, 80)
    world.edit(production={"rollout": CANARY | {"steps": [{"weight": 5}, {"hold": "1h"}]}})
    at(world, 5)
    looks(world, 3)
    assert world.replicas("v2") == 1
    assert all(weights <= {0, 5} and applied for _, weights, applied in world.scaled), world.scaled


def test_pods_stay_while_a_stable_pod_cannot_get_the_smaller_weight():
    world = begun(4, CANARY | {"steps": DOWN})
    at(world, 80)
    cut_off(world)
    looks(world, 60)
    assert 80 in world.weights("v1")
    assert world.scaled == []


def test_the_service_of_a_candidate_stays_until_no_rule_names_it():
    world = begun(2, PAUSED)
    at(world, 50)
    world.edit(production="v1")
    world.settle(LIMIT)
    assert world.early is None


def test_the_service_of_a_candidate_stays_while_a_stable_pod_keeps_its_rule():
    world = begun(2, PAUSED)
    at(world, 50)
    cut_off(world)
    world.edit(production="v1")
    looks(world, 30, seconds=5)
    routed = [rule["candidate"] for rule in world.rules("v1") if rule["weight"]]
    assert routed
    assert all(("Service", name) in world.children for name in routed)


# --- a rule and its revision ----------------------------------------------------------------------
def test_another_timeout_is_a_rule_of_another_revision():
    world = rolled_out(2, PAUSED)
    world.edit(production="v2")
    at(world, 50)
    (before, *_) = world.rules("v1")
    world.edit(production={"serving": {"replicas": 2, "runtime": {"timeout": "3s"}}})
    looks(world, 20)
    now = [rule for rule in world.rules("v1") if rule["timeoutMs"] != before["timeoutMs"]]
    assert now
    assert all(rule["revision"] > before["revision"] for rule in now)


# --- holds ----------------------------------------------------------------------------------------
def test_a_hold_at_weight_0_ends_on_time_though_nothing_can_be_judged():
    steps = [{"weight": 0}, {"hold": "1m"}, {"weight": 5}, {"hold": "1h"}]
    asked = {"steps": steps, "analysis": {"interval": "10s"}}
    world = rolled_out(rollout=CANARY | asked)
    world.traffic.intervals = [(Arm(1000, 1), Arm())] * 400
    world.edit(production="v2")
    looks(world, 30, seconds=10)
    assert rollout(world).index > 1, message(world.model.status)


def test_an_analysis_that_starts_over_in_a_late_hold_extends_it_by_its_own_intervals_only():
    steps = [{"weight": 5}, {"hold": "10m"}, {"hold": "20s"}]
    fast = {"interval": "10s", "minRequests": 1}
    world = rolled_out(rollout=CANARY | {"steps": steps, "analysis": fast})
    world.traffic.intervals, world.traffic.requests = [(Arm(9500, 1), Arm(500))] * 400, 3000
    world.edit(production="v2")
    world.until(lambda: (r := world.status("production").rollout) is not None and r.index == 2, 300)
    assert rollout(world).intervals > 20
    metrics = [{"name": "errors", "errorRate": {"timesStable": "2"}}]
    world.edit(
        production={"rollout": CANARY | {"steps": steps, "analysis": fast | {"metrics": metrics}}}
    )
    world.traffic.begun.clear()
    begun_at = world.now
    while world.effective("production") != "v2":
        assert world.now - begun_at < timedelta(seconds=100), message(world.model.status)
        world.look()
        world.now += timedelta(seconds=2)


def test_a_candidate_that_hangs_longer_than_an_interval_fails_and_is_not_a_broken_split():
    asked, progress, each = Analysis(interval="30s"), Progress(key="k"), 15
    for number in range(1, 20):
        failed = each if number > 5 else 0  # the first time-outs, after 150 s
        stable = Arm(each, latency={40: each}, drawn=each)
        interval = Interval(number, stable, Arm(failed, failed, drawn=each))
        progress = advanced(progress, interval, asked, weight=50, sticky=False)
        found = verdict(progress, asked, hold_over=False, requests=0)
        if found.verdict == "Fail":
            break
    assert found.verdict == "Fail", found.message


# --- a history without room -----------------------------------------------------------------------
def full(world: RolloutWorld) -> None:
    """Fill the history with another stage's changes while S3 refuses entries."""
    world.storing = False
    for number in range(300):
        world.edit(staging=("v1", None)[number % 2])
        looks(world, 8)
        record = world.model.status.record
        if record is not None and record.pending >= 50:
            return
    raise AssertionError("it is never full")


def test_an_abort_without_room_in_the_history_still_stops_requests_to_the_candidate():
    world = rolled_out(rollout=PAUSED)
    world.edit(production="v2", staging={"serving": {"replicas": 0}})
    at(world, 50)
    full(world)
    world.edit(production="v1")
    looks(world, 8)
    assert world.weights("v1") <= {0}
    world.storing = True
    world.settle(LIMIT)
    assert world.status("production").rollout is None


def test_a_failure_without_room_in_the_history_still_stops_requests_to_the_candidate():
    world = rolled_out(rollout=JUDGED | {"steps": [{"weight": 5}, {"pause": {}}]})
    world.edit(production="v2", staging={"serving": {"replicas": 0}})
    at(world, 5)
    full(world)
    world.traffic.intervals = [BAD] * 400
    looks(world, 40, seconds=5)
    assert world.weights("v1") <= {0}
