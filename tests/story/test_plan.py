"""A story of dryRun: nothing is done, and removing it carries out exactly the plan."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived, writes
from tests.story.model_acts import freezes, plans
from tests.story.test_crash_anywhere import WRITES
from tests.story.test_gates import QUALITY, ended, serves_v1, told
from tests.story.world import World

WHILE = timedelta(minutes=10)
SLICES = 2


def stage(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.status("registeredmodels", "fraud")["stages"]["production"]
    return found


def carry_out(world: World) -> None:
    world.patch("registeredmodels", "fraud", lambda spec: spec.update(dryRun=False))


async def live(world: World) -> None:
    """v2 is planned, then promoted."""
    plans(world, "v2")
    await world.run(WHILE)
    assert (stage(world)["version"], world.serving("fraud-production")) == ("v1", "v1")
    carry_out(world)
    await world.run(WHILE)


async def begin(world: World) -> None:
    await serves_v1(world)


async def end(world: World) -> dict[str, Any]:
    status = world.status("registeredmodels", "fraud")
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "stage": (
            stage(world)["version"],
            [(step["name"], step["state"]) for step in stage(world)["steps"]],
        ),
        "plan": status.get("plan", []),
        "history": [(entry.get("from"), entry["to"]) for entry in status["history"]],
        "serving": world.serving("fraud-production"),
    }


LIFE = Life(live, end, begin)


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return lived(LIFE)


def test_the_plan_is_carried_out_when_dry_run_is_removed(undisturbed: Undisturbed):
    steps = [(name, "Done") for name in ("admit", "start", "switch", "record")]
    assert undisturbed.end == {
        "ready": ("True", "Serving"),
        "stage": ("v2", steps),
        "plan": [],
        "history": [(None, "v1"), ("v1", "v2")],
        "serving": "v2",
    }


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: Undisturbed):
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)


async def test_a_plan_changes_nothing_but_its_own_status_and_waiting_costs_no_write():
    world = World()
    await serves_v1(world)
    world.calls.log.clear()
    plans(world, "v2")
    await world.run()
    written = {call.operation for call in world.calls.named(*WRITES)}
    assert written == {"write_status"}, "neither MLflow, nor S3, nor anything that serves"
    rows = {row["step"]: row["does"] for row in world.status("registeredmodels", "fraud")["plan"]}
    assert list(rows) == ["admit", "start", "switch", "record", "mlflow", "drain"]
    assert rows["mlflow"].startswith(
        "alias production to v2, stage Production for v2, stage Archived for v1"
    )
    assert told(world, "Planned") == [("Planned", False)]
    count = writes(world)
    await world.run(4 * WHILE)
    assert writes(world) == count


async def test_carrying_a_plan_out_does_what_it_said():
    world = World()
    await serves_v1(world)
    plans(world, "v2")
    await world.run()
    (said,) = [
        row["does"]
        for row in world.status("registeredmodels", "fraud")["plan"]
        if row["step"] == "mlflow"
    ]
    world.calls.log.clear()
    carry_out(world)
    await world.run()
    moved = [
        call.operation for call in world.calls.named("set_alias", "transition", "set_version_tags")
    ]
    assert (moved, said) == (
        ["set_alias", "transition", "set_version_tags", "set_version_tags"],
        "alias production to v2, stage Production for v2, stage Archived for v1, tags of v2, v1",
    )


async def test_a_failing_gate_is_in_the_plan_and_rejects_nothing():
    world = World()
    run = await serves_v1(world, QUALITY)
    world.tracking.log_metric(run, "f1", 0.8)
    plans(world, "v2")
    await world.run()
    (row,) = [
        row["does"]
        for row in world.status("registeredmodels", "fraud")["plan"]
        if row["step"] == "gates"
    ]
    assert row == "quality Fail (f1 is 0.8, below 0.9)"
    assert (stage(world).get("rejected", []), ended(world)) == ([], {"Promoted": 1})
    assert (world.condition("registeredmodels", "fraud"), told(world, "GateFailed", "Planned")) == (
        ("False", "Planned"),
        [("Planned", False)],
    )
    world.tracking.log_metric(run, "f1", 0.95)
    carry_out(world)
    await world.run()
    assert world.serving("fraud-production") == "v2"


async def test_a_freeze_is_in_the_plan_and_delays_the_promotion_afterwards():
    world = World()
    await serves_v1(world)
    freezes(world, "20m")
    plans(world, "v2")
    await world.run(WHILE)
    (row,) = [
        row["does"]
        for row in world.status("registeredmodels", "fraud")["plan"]
        if row["step"] == "freeze"
    ]
    assert row.startswith("Waiting: frozen until ")
    carry_out(world)
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("False", "Frozen")
    await world.run(2 * WHILE)
    assert world.serving("fraud-production") == "v2"


async def test_an_abandoned_plan_leaves_nothing_behind():
    world = World()
    await serves_v1(world)
    plans(world, "v2")
    await world.run()
    plans(world, "v1", dry=False)
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert (
        stage(world).get("candidate"),
        world.status("registeredmodels", "fraud").get("plan", []),
    ) == (None, [])
    assert ended(world) == {"Promoted": 1}


async def test_serving_objects_are_healed_and_scaled_and_a_clearing_is_planned():
    world = World()
    await serves_v1(world)
    plans(world, None)
    await world.run()
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].setdefault("serving", {}).update(replicas=2),
    )
    await world.run()
    (deployment,) = world.cluster.all("apps/v1/Deployment")
    assert (deployment["spec"]["replicas"], world.serving("fraud-production")) == (2, "v1")
    assert [row["step"] for row in world.status("registeredmodels", "fraud")["plan"]] == [
        "clear",
        "record",
        "mlflow",
    ]
    carry_out(world)
    await world.run()
    assert (world.serving("fraud-production"), world.cluster.all("apps/v1/Deployment")) == (
        None,
        [],
    )
