"""A story of a refresh with a gate that has pods: it fails, is retried and succeeds."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.kube.pods import Runtime
from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived
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
    """v1 is effective in production, a gate was added since, and the operator is of the next
    release.
    """
    await serves_v1(world, ASKS)
    world.runtime = NEWER
    world.restart()
    await world.run()
    assert stage(world)["runtime"]["image"] != NEWER.image, (
        "an upgrade of the operator rolls no model"
    )
    world.restarts = 0


def attempt(world: World, number: int) -> None:
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].update(attempt=number),
    )


async def live(world: World) -> None:
    """The gate fails with the new runtime, its cause is fixed elsewhere, and it is retried."""
    world.fates["integration"] = failing()
    attempt(world, 1)
    await world.run()
    found = stage(world)
    assert (found["blocked"]["reason"], found["runtime"]["image"]) == (
        "GateFailed",
        "modelyard/runtime:test",
    )
    assert "v1 with the operator's runtime was rejected" in found["blocked"]["message"]
    del world.fates["integration"]
    attempt(world, 2)
    await world.run()


async def end(world: World) -> dict[str, Any]:
    found = stage(world)
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "stage": (
            found["version"],
            found["runtime"]["image"],
            found["attempt"],
            found.get("blocked"),
        ),
        "gates": [(gate["name"], gate["verdict"]) for gate in found["gates"]],
        "history": [
            (entry["to"], entry["outcome"])
            for entry in world.status("registeredmodels", "fraud")["history"]
        ],
        "services": [each["metadata"]["name"] for each in world.cluster.all("v1/Service")],
        "deployments": [
            each["metadata"]["name"] for each in world.cluster.all("apps/v1/Deployment")
        ],
        "jobs": [
            each["metadata"]["name"]
            for each in world.cluster.all("batch/v1/Job")
            if "integration" in each["metadata"]["name"]
        ],
    }


LIFE = Life(live, end, begin)


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return lived(LIFE)


def test_the_stage_ends_refreshed_with_the_verdict_on_the_new_runtime(undisturbed: Undisturbed):
    found = undisturbed.end
    assert found["stage"] == ("v1", NEWER.image, 2, None)
    assert (found["ready"], found["gates"]) == (("True", "Serving"), [("integration", "Pass")])
    assert found["history"] == [("v1", "Promoted"), ("v1", "Rejected"), ("v1", "Refreshed")]
    assert (found["services"], found["jobs"], len(found["deployments"])) == (
        ["fraud-production"],
        [],
        1,
    )


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: Undisturbed):
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)
