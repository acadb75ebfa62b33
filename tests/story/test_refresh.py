"""A refresh with a gate that has pods: it fails, is tried again and succeeds, wherever the operator is killed on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelyard.kube.pods import Runtime
from tests.fakes.cluster import Killed
from tests.story.test_crash_anywhere import WRITES, strike
from tests.story.test_gates import serves_v1
from tests.story.test_trial import failing
from tests.story.world import World

ASKS = {"name": "integration", "job": {"image": "team/test:1", "candidate": "Served"}}
NEWER = Runtime("modelyard/runtime:1.3.0", "IfNotPresent", "1.3.0")
SLICES = 2


def stage(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.status("registeredmodels", "fraud")["stages"]["production"]
    return found


async def begin(world: World) -> None:
    """v1 holds production, which has a gate by then, and the operator is one of the next release."""
    await serves_v1(world, ASKS)
    world.runtime = NEWER
    world.restart()
    await world.run()
    assert stage(world)["runtime"]["image"] != NEWER.image, "an upgrade of the operator rolls no model"
    world.restarts = 0


def attempt(world: World, number: int) -> None:
    world.patch("registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(attempt=number))


async def live(world: World) -> None:
    """The gate fails with the new runtime, is corrected outside, and is asked again."""
    world.fates["integration"] = failing()
    attempt(world, 1)
    await world.run()
    found = stage(world)
    assert (found["blocked"]["reason"], found["runtime"]["image"]) == ("GateFailed", "modelyard/runtime:test")
    assert "v1 with the operator's runtime was rejected" in found["blocked"]["message"]
    del world.fates["integration"]
    attempt(world, 2)
    await world.run()


async def end(world: World) -> dict[str, Any]:
    found = stage(world)
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "stage": (found["version"], found["runtime"]["image"], found["attempt"], found.get("blocked")),
        "gates": [(gate["name"], gate["verdict"]) for gate in found["gates"]],
        "history": [(entry["to"], entry["outcome"]) for entry in world.status("registeredmodels", "fraud")["history"]],
        "services": [each["metadata"]["name"] for each in world.cluster.all("v1/Service")],
        "deployments": [each["metadata"]["name"] for each in world.cluster.all("apps/v1/Deployment")],
        "jobs": [each["metadata"]["name"] for each in world.cluster.all("batch/v1/Job") if "integration" in each["metadata"]["name"]],
    }


def writes(world: World) -> int:
    return len(world.calls.named(*WRITES))


@pytest.fixture(scope="module")
def undisturbed() -> tuple[dict[str, Any], int, int]:
    """How it ends when nothing is in the way, and the writes with which the refresh begins and ends."""

    async def lived() -> tuple[dict[str, Any], int, int]:
        world = World()
        await begin(world)
        first = writes(world)
        await live(world)
        world.check_statuses()
        return await end(world), first, writes(world)

    return asyncio.run(lived())


def test_it_ends_refreshed_with_the_verdict_about_the_new_runtime(undisturbed: tuple[dict[str, Any], int, int]):
    found = undisturbed[0]
    assert found["stage"] == ("v1", NEWER.image, 2, None)
    assert (found["ready"], found["gates"]) == (("True", "Serving"), [("integration", "Pass")])
    assert found["history"] == [("v1", "Promoted"), ("v1", "Refreshed")]
    assert (found["services"], found["jobs"], len(found["deployments"])) == (["fraud-production"], [], 1)


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: tuple[dict[str, Any], int, int]):
    wanted, first, last = undisturbed
    for number in range(first + 1 + part, last + 1, SLICES):
        world = World()
        await begin(world)
        strike(world, number - first, "after", Killed, WRITES)
        await live(world)
        assert world.restarts == 1
        assert await end(world) == wanted, f"killed after write {number - first} of the refresh"
