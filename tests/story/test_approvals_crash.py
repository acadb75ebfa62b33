"""Kill the operator after every write of a promotion with approvals: no approval is bypassed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.story.approval_stories import APPROVED, approves, asks, effective
from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived
from tests.story.world import NAMESPACE, World

SLICES = 4


async def live(world: World) -> None:
    """One user approves and withdraws, two others approve, and the version becomes effective."""
    asks(world, APPROVED)
    await world.run()
    approves(world, "bob")
    await world.run()
    world.cluster.remove("modelapprovals", NAMESPACE, "by-bob")
    approves(world, "carla")
    await world.run()
    assert (effective(world), world.cluster.all("apps/v1/Deployment")) == (None, [])
    approves(world, "anna")
    await world.run()
    assert effective(world) == "v1"


async def end(world: World) -> dict[str, Any]:
    stage = world.status("registeredmodels", "fraud")["stages"]["production"]
    return {
        "gates": [(gate["verdict"], gate["message"]) for gate in stage["gates"]],
        "steps": [(step["name"], step["state"]) for step in stage["steps"]],
        "serving": world.serving("fraud-production"),
        "approvals": {
            each["metadata"]["name"]: each["status"]["conditions"][0]["reason"]
            for each in world.cluster.all("modelapprovals")
        },
        "deployments": len(world.cluster.all("apps/v1/Deployment")),
    }


LIFE = Life(live, end)


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return lived(LIFE)


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: Undisturbed):
    assert undisturbed.end["gates"] == [("Pass", "2 of 2: carla, anna")]
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)
