"""Metrics behind the alerts of docs/how-to/observe.md: objects that need action and recent
failures, in few series.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from modelyard.api.base import Condition, condition
from modelyard.api.conditions import EngineReason, progressing, ready, stalled
from modelyard.api.registered_model import ModelReason, Outcome
from modelyard.api.training_run import TrainingReason
from modelyard.cache import Cache
from modelyard.controller import Finished
from modelyard.engine.metrics import Metrics
from modelyard.registered_model import history

KINDS = {"trainingruns": "TrainingRun", "registeredmodels": "RegisteredModel"}
RUNS, MODELS = KINDS
TIME = datetime(2026, 1, 1, tzinfo=UTC)
STALLED, FAILURE = "modelyard_objects_stalled", "modelyard_last_failure_timestamp_seconds"


class World:
    """Objects with statuses, and their metrics."""

    def __init__(self) -> None:
        self.cache = Cache(KINDS)
        self.metrics = Metrics()
        self.metrics.watch_over(self.cache, KINDS, dict, dict, lambda: 0)

    def put(
        self,
        plural: str,
        name: str,
        conditions: tuple[Condition, ...],
        ended: datetime | None = None,
        *,
        namespace: str = "risk",
    ) -> None:
        """Add an object as the operator writes it."""
        status: dict[str, Any] = {
            "conditions": [each.model_dump(mode="json", by_alias=True) for each in conditions]
        }
        status |= {"completionTime": ended.isoformat()} if ended else {}
        meta = {
            "namespace": namespace,
            "name": name,
            "uid": f"{namespace}-{name}",
            "resourceVersion": "1",
        }
        self.cache.put(plural, {"kind": KINDS[plural], "metadata": meta, "status": status})

    def told(self, name: str) -> dict[tuple[str, ...], float]:
        """Return a metric's values by kind, namespace and reason."""
        found = {}
        for family in self.metrics.registry.collect():
            for sample in family.samples:
                if sample.name == name:
                    found[
                        tuple(sample.labels[label] for label in ("kind", "namespace", "reason"))
                    ] = sample.value
        return found


def failed(reason: TrainingReason) -> tuple[Condition, ...]:
    return (condition("Succeeded", False, reason, "x"), *stalled(reason, "x"))


def test_only_stalled_objects_need_action():
    world = World()
    world.put(RUNS, "trains", progressing(TrainingReason.TRAINING, "x"))
    world.put(RUNS, "failed", failed(TrainingReason.FAILED), TIME)
    world.put(MODELS, "serves", ready(ModelReason.SERVING, "x"))
    world.put(MODELS, "promotes", progressing(ModelReason.PROMOTING, "x"))
    assert world.told(STALLED) == {}
    world.put(RUNS, "unpulled", stalled(TrainingReason.IMAGE_PULL_FAILED, "x"))
    world.put(MODELS, "unpulled", stalled(ModelReason.IMAGE_PULL_FAILED, "x"))
    world.put(MODELS, "other", stalled(ModelReason.IMAGE_PULL_FAILED, "x"), namespace="credit")
    trained = (
        condition("Succeeded", True, TrainingReason.SUCCEEDED, "x"),
        *stalled(TrainingReason.VERSION_TAKEN, "x"),
    )
    world.put(RUNS, "unregistered", trained, TIME)
    assert world.told(STALLED) == {
        ("TrainingRun", "risk", "ImagePullFailed"): 1,
        ("TrainingRun", "risk", "VersionTaken"): 1,
        ("RegisteredModel", "risk", "ImagePullFailed"): 1,
        ("RegisteredModel", "credit", "ImagePullFailed"): 1,
    }


def test_a_failure_is_reported_with_its_time_so_that_its_alert_ends():
    world = World()
    for name, hours in (("first", 1), ("last", 5), ("second", 2)):
        world.put(RUNS, name, failed(TrainingReason.FAILED), TIME + timedelta(hours=hours))
    world.put(RUNS, "odd", failed(TrainingReason.EXPERIMENT_GONE))
    assert world.told(FAILURE) == {
        ("TrainingRun", "risk", "Failed"): (TIME + timedelta(hours=5)).timestamp(),
        ("TrainingRun", "risk", "ExperimentGone"): 0.0,
    }


def test_the_number_of_series_is_bounded_whatever_statuses_contain():
    world = World()
    for number in range(700):
        world.put(
            MODELS, "fraud", stalled(EngineReason.INTERNAL_ERROR, "x"), namespace=f"n{number}"
        )
        world.put(MODELS, "made-up", stalled(f"Reason{number}", "x"))
    for number in range(3):
        world.put(MODELS, f"m{number}", stalled(ModelReason.NAME_TAKEN, "x"))
    found = world.told(STALLED)
    assert len(found) == 501
    assert found["RegisteredModel", "risk", "NameTaken"] == 3
    assert found["RegisteredModel", "_other", "_other"] == sum((700, 1, 3)) - sum(
        value for place, value in found.items() if place[1] != "_other"
    )


def test_the_documented_alerts_name_existing_metrics():
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "observe.md").read_text()
    (alerts,) = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    world = World()
    there = {
        sample.name for family in world.metrics.registry.collect() for sample in family.samples
    }
    there |= {family.name for family in world.metrics.registry.collect()} | {
        f"{family.name}_total"
        for family in world.metrics.registry.collect()
        if family.type == "counter"
    }
    assert set(re.findall(r"modelyard_\w+", alerts)) <= there
    assert "modelyard_objects{" not in alerts, "it counts what trains and what has failed long ago"


# --- promotions -----------------------------------------------------------------------------------
def gated(
    world: World,
    name: str,
    *verdicts: str,
    namespace: str = "risk",
    stage: str = "production",
    **status: Any,
) -> None:
    """Add a model whose stage has verdicts of gates."""
    gates = [{"name": f"g{number}", "verdict": verdict} for number, verdict in enumerate(verdicts)]
    meta = {
        "namespace": namespace,
        "name": name,
        "uid": f"{namespace}-{name}",
        "resourceVersion": "1",
    }
    known = {"stages": {stage: {"gates": gates} | status}}
    world.cache.put(
        MODELS,
        {
            "kind": "RegisteredModel",
            "metadata": meta,
            "spec": {"stages": {"production": {}}},
            "status": known,
        },
    )


def figures(world: World, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    found = {}
    for family in world.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == name:
                found[tuple(sample.labels[label] for label in labels)] = sample.value
    return found


REJECTED = {
    "desired": "v3",
    "blocked": {"reason": "GateFailed", "needsAction": True},
    "rejected": [
        {"version": "v2", "reason": "ServingFailed"},
        {"version": "v3", "reason": "GateFailed"},
    ],
}


def test_gates_are_counted_by_verdict_and_stages_that_have_rejected_their_version():
    world = World()
    gated(world, "waits", "Pass", "Pending", "Pending")
    gated(world, "fails", "Pass", "Fail", **REJECTED)
    gated(world, "went-back", **(REJECTED | {"desired": "v1", "blocked": None}))
    gated(
        world,
        "unschedulable",
        **(REJECTED | {"blocked": {"reason": "Unschedulable", "needsAction": True}}),
    )
    for name in ("rolled-back", "first"):
        gated(
            world,
            name,
            blocked={
                "reason": "RolledBack" if name != "first" else "WatchFailed",
                "needsAction": True,
            },
        )
    gated(world, "elsewhere", "Error", namespace="credit")
    world.put(MODELS, "plain", ready(ModelReason.SERVING, "x"))
    assert figures(world, "modelyard_gates", "namespace", "stage", "verdict") == {
        ("risk", "production", "Pass"): 2,
        ("risk", "production", "Pending"): 2,
        ("risk", "production", "Fail"): 1,
        ("credit", "production", "Error"): 1,
    }
    assert figures(world, "modelyard_stages_rejected", "namespace", "stage") == {
        ("risk", "production"): 1
    }
    assert figures(world, "modelyard_stages_rolled_back", "namespace", "stage") == {
        ("risk", "production"): 2
    }


def test_stages_that_wait_for_a_freeze_and_those_in_dry_run_are_counted_separately():
    world = World()
    gated(world, "frozen", blocked={"reason": "Frozen"})
    gated(world, "unreadable", blocked={"reason": "FreezeInvalid"})
    gated(world, "planned", blocked={"reason": "Planned"})
    assert figures(world, "modelyard_stages_frozen", "namespace", "stage") == {
        ("risk", "production"): 2
    }
    assert figures(world, "modelyard_stages_planned", "namespace", "stage") == {
        ("risk", "production"): 1
    }


def test_entries_that_are_not_in_s3_yet_are_counted_by_model():
    world = World()
    for name, record in (
        ("all", {"number": 3, "stored": {"number": 3}}),
        ("some", {"number": 5, "stored": {"number": 3}}),
        ("none", {"number": 2}),
    ):
        meta = {"namespace": "risk", "name": name, "uid": name, "resourceVersion": "1"}
        world.cache.put(
            MODELS,
            {"kind": "RegisteredModel", "metadata": meta, "spec": {}, "status": {"record": record}},
        )
    assert figures(world, "modelyard_history_pending", "namespace", "model") == {
        ("risk", "some"): 2,
        ("risk", "none"): 2,
    }


def verified(world: World, name: str, verdict: str, namespace: str = "risk", **stage: Any) -> None:
    """Add a model whose stage production has a verification."""
    meta = {
        "namespace": namespace,
        "name": name,
        "uid": f"{namespace}-{name}",
        "resourceVersion": "1",
    }
    spec = {"stages": {"production": {"reverify": {"every": "24h"}} | stage}}
    status = {"stages": {"production": {"verification": {"verdict": verdict}}}}
    world.cache.put(
        MODELS, {"kind": "RegisteredModel", "metadata": meta, "spec": spec, "status": status}
    )


def test_the_last_verdict_of_a_verification_is_a_metric_if_reverify_is_set():
    world = World()
    verified(world, "good", "Pass")
    verified(world, "bad", "Fail")
    verified(world, "new", "")
    verified(world, "no-longer-asked", "Fail", reverify=None)
    found = figures(world, "modelyard_stage_verified", "namespace", "model", "stage")
    assert found == {("risk", "good", "production"): 1, ("risk", "bad", "production"): 0}
    for number in range(600):
        verified(world, "fraud", "Pass", namespace=f"a{number}")
    found = figures(world, "modelyard_stage_verified", "namespace", "model", "stage")
    assert (
        len(found),
        found["risk", "bad", "production"],
        found["_other", "_other", "_other"],
    ) == (501, 0, 1)
    for number in range(600):
        verified(world, "fraud", "Fail", namespace=f"b{number}")
    assert (
        figures(world, "modelyard_stage_verified", "namespace", "model", "stage")[
            "_other", "_other", "_other"
        ]
        == 0
    )


def test_the_number_of_gate_series_is_bounded_whatever_statuses_contain():
    world = World()
    gated(world, "made-up", "Perhaps", stage="production")
    gated(world, "no-stage", "Pending", stage="not-in-the-spec")
    assert figures(world, "modelyard_gates", "namespace", "stage", "verdict") == {}
    for number in range(700):
        gated(world, "fraud", "Pending", namespace=f"n{number}")
    found = figures(world, "modelyard_gates", "namespace", "stage", "verdict")
    assert (len(found), found["_other", "_other", "_other"]) == (501, 200)


def waits(since: Any, reason: str = "ApprovalWanted") -> dict[str, Any]:
    """Return the status of a stage that waits at its step `approval`."""
    steps = [
        {"name": "gates", "state": "Done", "sinceTime": "2020-01-01T00:00:00Z"},
        {"name": "approval", "sinceTime": since},
    ]
    return {"steps": steps, "blocked": {"reason": reason}}


AWAITED = "modelyard_approval_wanted_timestamp_seconds"


def test_stages_that_wait_for_an_approval_report_since_when():
    world = World()
    gated(world, "waits", "Pending", **waits("2026-01-01T00:00:00Z"))
    gated(world, "elsewhere", "Pending", **waits("2026-01-01T01:00:00+01:00"))
    gated(world, "guarded-badly", "Error", **waits("2026-01-01T00:00:00Z", "GatesPending"))
    gated(world, "odd", "Pending", **waits(3))
    gated(world, "gone", "Pending", stage="not-in-the-spec", **waits("2026-01-01T00:00:00Z"))
    assert figures(world, AWAITED, "namespace", "model", "stage") == {
        ("risk", "waits", "production"): TIME.timestamp(),
        ("risk", "elsewhere", "production"): TIME.timestamp(),
    }
    after = World()
    gated(after, "waits", "Pass")
    assert figures(after, AWAITED, "namespace", "model", "stage") == {}


def test_the_longest_waits_for_approval_have_a_series_each():
    world = World()
    for number in range(700):
        gated(
            world, f"m{number}", "Pending", **waits((TIME + timedelta(minutes=number)).isoformat())
        )
    found = figures(world, AWAITED, "namespace", "model", "stage")
    assert len(found) == 501
    assert ("risk", "m499", "production") in found
    assert found["_other", "_other", "_other"] == (TIME + timedelta(minutes=500)).timestamp()


# --- rollouts -------------------------------------------------------------------------------------
PLACE = ("namespace", "model", "stage")
STEPS = [{"weight": 5}, {"hold": "10m"}, {"pause": {}}]


def rolls(
    world: World, name: str, *, namespace: str = "risk", steps: Any = STEPS, **state: Any
) -> None:
    """Add a model whose stage production is at a step of a rollout."""
    meta = {
        "namespace": namespace,
        "name": name,
        "uid": f"{namespace}-{name}",
        "resourceVersion": "1",
    }
    spec = {"stages": {"production": {"rollout": {"strategy": "Canary", "steps": steps}}}}
    rollout = {"weight": 5, "index": 1, "sinceTime": TIME.isoformat()} | state
    world.cache.put(
        MODELS,
        {
            "kind": "RegisteredModel",
            "metadata": meta,
            "spec": spec,
            "status": {"stages": {"production": {"rollout": rollout}}},
        },
    )


def test_a_rollout_has_its_weight_its_step_and_since_when():
    world = World()
    rolls(world, "fraud")
    rolls(world, "begins", weight=0, index=0)
    rolls(world, "ends", weight=100, index=9)
    gated(world, "plain", "Pass")
    place = {name: ("risk", name, "production") for name in ("fraud", "begins", "ends")}
    assert figures(world, "modelyard_rollout_weight", *PLACE) == {
        place["fraud"]: 5,
        place["begins"]: 0,
        place["ends"]: 100,
    }
    assert figures(world, "modelyard_rollout_step", *PLACE) == {
        place["fraud"]: 2,
        place["begins"]: 1,
        place["ends"]: 4,
    }
    assert set(figures(world, "modelyard_rollout_steps", *PLACE).values()) == {4}
    assert set(figures(world, "modelyard_rollout_step_timestamp_seconds", *PLACE).values()) == {
        TIME.timestamp()
    }


def test_rollouts_are_counted_by_the_verdict_of_their_analysis():
    world = World()
    for name, verdict in (("a", "Continue"), ("b", "Continue"), ("c", "NoData"), ("d", "made-up")):
        rolls(world, name, verdict=verdict)
    rolls(world, "e")
    assert figures(world, "modelyard_rollouts", "namespace", "stage", "verdict") == {
        ("risk", "production", "Continue"): 2,
        ("risk", "production", "NoData"): 1,
        ("risk", "production", "None"): 2,
    }


def test_the_number_of_rollout_series_is_bounded_and_invalid_statuses_have_none():
    world = World()
    rolls(world, "heavy", weight=10**9)
    rolls(world, "far", index="3")
    rolls(world, "no-steps", steps=[])
    assert (
        figures(world, "modelyard_rollout_weight", *PLACE)
        == figures(world, "modelyard_rollouts", "verdict")
        == {}
    )
    for number in range(700):
        rolls(
            world,
            f"m{number}",
            namespace=f"n{number}",
            weight=number % 100,
            sinceTime=(TIME + timedelta(minutes=number)).isoformat(),
        )
    others = ("_other", "_other", "_other")
    found = figures(world, "modelyard_rollout_weight", *PLACE)
    assert (len(found), found[others]) == (501, 99)
    since = figures(world, "modelyard_rollout_step_timestamp_seconds", *PLACE)
    assert (len(since), since[others]) == (501, (TIME + timedelta(minutes=500)).timestamp())
    assert others not in figures(world, "modelyard_rollout_step", *PLACE), (
        "a step of several says nothing"
    )
    counted = figures(world, "modelyard_rollouts", "namespace", "stage", "verdict")
    assert (len(counted), counted[others]) == (501, 200)


def test_promotions_are_counted_from_zero_by_outcome_with_their_duration():
    world = World()
    assert set(figures(world, "modelyard_promotions_total", "outcome").values()) == {0}
    world.metrics.finished(Finished("Promoted", 40))
    world.metrics.finished(Finished("Rejected"))
    counted = {
        outcome: value
        for (outcome,), value in figures(world, "modelyard_promotions_total", "outcome").items()
    }
    assert counted == {outcome: int(outcome in {"Promoted", "Rejected"}) for outcome in Outcome}
    assert figures(world, "modelyard_promotion_duration_seconds_sum", "outcome") == {
        ("Promoted",): 40
    }


def test_a_finished_change_in_a_status_is_found_once():
    first = {
        "time": "2026-01-01T00:00:00Z",
        "stage": "production",
        "outcome": "Promoted",
        "durationSeconds": 9,
    }
    second = first | {"time": "2026-01-01T01:00:00Z", "outcome": "Refreshed"}
    third = first | {"time": "2026-01-01T01:01:00Z", "outcome": "Rejected", "durationSeconds": 30}
    before, after = {"history": [first]}, {"history": [first, second, third]}
    assert list(history.finished(before, after)) == [
        Finished("Refreshed", 9),
        Finished("Rejected", 30),
    ]
    assert list(history.finished(after, after)) == []
