"""Stories of a rollout in steps: wherever the operator is killed, the end is the same."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from modelyard.kube.names import TRAFFIC_ANNOTATION
from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived
from tests.story.rollout_stories import rolls_out
from tests.story.test_watch import deployments, stage
from tests.story.world import World

SLICES = 3
STEPS = ({"weight": 10}, {"hold": "1m"}, {"weight": 60})
LAST = timedelta(minutes=4)


async def live(world: World) -> None:
    """v2 is rolled out in steps."""
    await world.run(LAST)


async def begin(world: World) -> None:
    """v1 is serving, and v2 is desired."""
    await rolls_out(world, *STEPS, analysis={"interval": "10s", "minRequests": 100})
    world.restarts = 0


async def fails(world: World) -> None:
    """The same, but v2 fails more than half of its requests."""
    await rolls_out(world, *STEPS, failing=60, analysis={"interval": "10s", "minRequests": 100})
    world.restarts = 0


async def end(world: World) -> dict[str, Any]:
    found, status = stage(world), world.status("registeredmodels", "fraud")
    told = [
        (each["metadata"].get("annotations") or {}).get(TRAFFIC_ANNOTATION)
        for each in world.cluster.all("v1/Pod")
    ]
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "version": found["version"],
        "rollout": found.get("rollout"),
        "rejected": [(each["version"], each["reason"]) for each in found.get("rejected", [])],
        "history": [
            (entry.get("from"), entry["to"], entry["outcome"]) for entry in status["history"]
        ],
        "serving": world.serving("fraud-production"),
        "deployments": deployments(world),
        "told": [json.loads(each)["weight"] for each in told if each],
        "services": sorted(each["metadata"]["name"] for each in world.cluster.all("v1/Service")),
        "config maps": [
            each["metadata"]["name"]
            for each in world.cluster.all("v1/ConfigMap")
            if "rollout" in each["metadata"]["name"]
        ],
    }


WELL, ILL = Life(live, end, begin), Life(live, end, fails)


@pytest.fixture(scope="module")
def well() -> Undisturbed:
    return lived(WELL)


@pytest.fixture(scope="module")
def ill() -> Undisturbed:
    return lived(ILL)


def test_a_rollout_ends_with_the_new_version_and_nothing_left_over(well: Undisturbed):
    assert well.end | {"services": [], "history": []} == {
        "ready": ("True", "Serving"),
        "version": "v2",
        "rollout": None,
        "rejected": [],
        "history": [],
        "serving": "v2",
        "deployments": ["v2"],
        "told": [],
        "services": [],
        "config maps": [],
    }
    assert well.end["services"] == ["fraud-production"]


def test_a_failing_candidate_leaves_nothing_behind(ill: Undisturbed):
    found = ill.end
    assert (found["version"], found["rejected"], found["deployments"]) == (
        "v1",
        [("v2", "RolloutFailed")],
        ["v1"],
    )
    assert (found["told"], found["config maps"], found["services"]) == (
        [],
        [],
        ["fraud-production"],
    )


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write_the_end_is_the_same(part: int, well: Undisturbed):
    await killed_after_each_write(WELL, well, part, SLICES)


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write_a_failing_candidate_is_rejected_all_the_same(
    part: int, ill: Undisturbed
):
    await killed_after_each_write(ILL, ill, part, SLICES)
