"""A story of the rollback window: the displaced version stays warm and returns at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived, writes
from tests.story.model_acts import freezes
from tests.story.test_gates import serves_v1
from tests.story.world import NAMESPACE, World

WHILE = timedelta(minutes=5)
WINDOW = timedelta(minutes=30)
SLICES = 2
UNPASSED = {"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}
"""Nothing logs this metric."""


def pods(world: World) -> dict[str, str]:
    """Return the Deployments by version, with their uids."""
    found = world.cluster.all("apps/v1/Deployment")
    return {
        each["metadata"]["labels"]["modelyard.io/version"]: each["metadata"]["uid"]
        for each in found
    }


def asks(world: World, **fields: Any) -> None:
    """Change fields of the stage production."""
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(fields)
    )


async def live(world: World) -> None:
    """v2 is promoted, and ten minutes later v1 returns, despite a freeze and a failing gate."""
    await serves_v1(world)
    asks(world, rollback={"window": "30m"})
    world.promote("fraud", "production", "v2")
    await world.run(2 * WHILE)
    there = pods(world)
    assert (set(there), world.serving("fraud-production")) == ({"v1", "v2"}, "v2")
    asks(world, gates=[UNPASSED])
    freezes(world, "8h")
    world.promote("fraud", "production", "v1")
    await world.run(WHILE)
    assert world.serving("fraud-production") == "v1"
    assert pods(world) == there, "no pod starts, and what was displaced now stays warm"
    await world.run(WINDOW)


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
        "previous": (stage["previous"]["version"], stage["previous"].get("untilTime")),
        "history": [
            (entry.get("from"), entry["to"], entry["outcome"]) for entry in status["history"]
        ],
        "pods": list(pods(world)),
    }


LIFE = Life(live, end)


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return lived(LIFE)


def test_a_version_returns_at_once_and_warm_pods_are_deleted_when_the_window_ends(
    undisturbed: Undisturbed,
):
    steps = [(name, "Done") for name in ("admit", "start", "switch", "record")]
    assert undisturbed.end == {
        "ready": ("True", "Serving"),
        "stage": ("v1", 1, steps),
        "previous": ("v2", None),
        "history": [(None, "v1", "Promoted"), ("v1", "v2", "Promoted"), ("v2", "v1", "RolledBack")],
        "pods": ["v1"],
    }


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: Undisturbed):
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)


async def test_warm_pods_are_restored_also_by_a_restarted_operator_and_cause_no_write():
    world = World()
    await serves_v1(world)
    asks(world, rollback={"window": "30m"})
    world.promote("fraud", "production", "v2")
    await world.run(WHILE)
    written = writes(world)
    await world.run(WHILE)
    assert writes(world) == written, "it waits without a word"
    (warm,) = [
        each
        for each in world.cluster.all("apps/v1/Deployment")
        if each["metadata"]["labels"]["modelyard.io/version"] == "v1"
    ]
    world.cluster.remove("apps/v1/Deployment", NAMESPACE, warm["metadata"]["name"])
    await world.run(WHILE)
    assert set(pods(world)) == {"v1", "v2"}
    world.restart()
    await world.run(WINDOW)
    assert set(pods(world)) == {"v2"}
    assert (
        world.status("registeredmodels", "fraud")["stages"]["production"]["previous"].get(
            "untilTime"
        )
        is None
    )


async def test_after_its_window_a_version_waits_for_its_gates_like_any_other():
    world = World()
    await serves_v1(world)
    asks(world, rollback={"window": "30m"}, gates=[UNPASSED])
    asks(world, gates=[])
    world.promote("fraud", "production", "v2")
    await world.run(WINDOW + WHILE)
    asks(world, gates=[UNPASSED])
    world.promote("fraud", "production", "v1")
    await world.run(WHILE)
    assert world.condition("registeredmodels", "fraud") == ("False", "GatesPending")
    assert world.serving("fraud-production") == "v2"
