"""Stories of freezes: a promotion waits and continues automatically; a cluster-wide stop."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.freeze import Calendar
from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived, writes
from tests.story.model_acts import freezes
from tests.story.test_gates import serves_v1, told
from tests.story.world import World

WHILE = timedelta(minutes=10)
SLICES = 2


async def live(world: World) -> None:
    """v2 waits twenty minutes for the end of a freeze."""
    await serves_v1(world)
    freezes(world, "20m")
    world.promote("fraud", "production", "v2")
    await world.run(WHILE)
    stage = world.status("registeredmodels", "fraud")["stages"]["production"]
    assert (stage["version"], stage["blocked"]["reason"], world.serving("fraud-production")) == (
        "v1",
        "Frozen",
        "v1",
    )
    assert len(world.cluster.all("apps/v1/Deployment")) == 1, "what waits has no pods"
    await world.run(2 * WHILE)


async def end(world: World) -> dict[str, Any]:
    status = world.status("registeredmodels", "fraud")
    stage = status["stages"]["production"]
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "stage": (
            stage["version"],
            stage["readyReplicas"],
            [(step["name"], step["state"]) for step in stage["steps"]],
        ),
        "history": [(entry.get("from"), entry["to"]) for entry in status["history"]],
        "serving": world.serving("fraud-production"),
    }


LIFE = Life(live, end)


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return lived(LIFE)


def test_a_promotion_continues_automatically_at_the_end(undisturbed: Undisturbed):
    steps = [(name, "Done") for name in ("admit", "freeze", "start", "switch", "record")]
    assert undisturbed.end == {
        "ready": ("True", "Serving"),
        "stage": ("v2", 1, steps),
        "history": [(None, "v1"), ("v1", "v2")],
        "serving": "v2",
    }


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: Undisturbed):
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)


async def test_one_event_is_emitted_and_waiting_costs_no_write():
    world = World()
    await serves_v1(world)
    freezes(world, "8h")
    world.promote("fraud", "production", "v2")
    await world.run()
    written = writes(world)
    await world.run(4 * WHILE)
    assert writes(world) == written
    assert told(world, "Frozen") == [("Frozen", False)]


async def test_a_cluster_wide_stop_delays_every_stage_until_it_is_removed():
    world = World()
    await serves_v1(world)
    stop = {"reason": "incident 4711", "until": world.clock.now() + 20 * WHILE}
    world.cluster.freezes = Calendar.model_validate({"stop": stop})
    world.promote("fraud", "production", "v2")
    await world.run(WHILE)
    blocked = world.status("registeredmodels", "fraud")["stages"]["production"]["blocked"]
    assert blocked["reason"] == "Frozen"
    assert "(incident 4711)" in blocked["message"]
    world.cluster.freezes = Calendar()
    world._engine.trigger_waiting("registeredmodels")
    await world.run()
    assert world.serving("fraud-production") == "v2"


async def test_an_unreadable_calendar_delays_promotions_and_nothing_else():
    world = World()
    await serves_v1(world)
    world.cluster.freezes = "modelyard-system/modelyard-freeze: windows.0.schedule: Field required"
    world._engine.trigger_waiting("registeredmodels")
    await world.run(WHILE)
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    world.promote("fraud", "production", "v2")
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("False", "FreezeInvalid")
    assert world.serving("fraud-production") == "v1"
