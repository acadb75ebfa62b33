"""Stories of the watch after a switch: a bad version is rolled back, a good one stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelyard.errors import Unavailable
from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived, writes
from tests.story.model_acts import watches
from tests.story.stories import answers
from tests.story.test_gates import ended, serves_v1, told
from tests.story.world import NAMESPACE, World

MINUTE = timedelta(minutes=1)
ROLLBACK = {"automatic": {"watchFor": "15m"}}
SLICES = 2


def stage(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.status("registeredmodels", "fraud")["stages"]["production"]
    return found


def deployments(world: World) -> list[str]:
    """Return the versions that have pods."""
    return sorted(
        each["metadata"]["labels"]["modelyard.io/version"]
        for each in world.cluster.all("apps/v1/Deployment")
    )


async def switched(world: World, failing: int) -> None:
    """v2 displaces v1, and `failing` of a hundred requests fail."""
    await serves_v1(world, rollback=ROLLBACK)
    world.promote("fraud", "production", "v2")
    await world.run(MINUTE)
    assert world.serving("fraud-production") == "v2"
    watches(world, "v2", failing)


async def begin(world: World) -> None:
    """Prepare a pod of v2 that answers."""
    await switched(world, 60)
    world.restarts = 0


async def live(world: World) -> None:
    """v2 fails, and v1 returns."""
    await world.run()


async def end(world: World) -> dict[str, Any]:
    status, found = world.status("registeredmodels", "fraud"), stage(world)
    model = await world.tracking.model(f"{NAMESPACE}.fraud")
    versions = await world.tracking.versions(f"{NAMESPACE}.fraud")
    names = {each.version: each.tags["modelyard.io/version"] for each in versions}
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "stalled": world.condition("registeredmodels", "fraud", "Stalled"),
        "stage": (
            found["version"],
            found["desired"],
            found.get("watch"),
            found.get("previous"),
            found["blocked"]["reason"],
        ),
        "rejected": [(each["version"], each["reason"]) for each in found["rejected"]],
        "history": [
            (entry.get("from"), entry["to"], entry["outcome"]) for entry in status["history"]
        ],
        "serving": world.serving("fraud-production"),
        "deployments": deployments(world),
        "aliases": {alias: names[number] for alias, number in model.aliases.items()}
        if model
        else None,
        "spec": world.get("registeredmodels", "fraud")["spec"]["stages"]["production"]["version"],
    }


LIFE = Life(live, end, begin)


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return lived(LIFE)


def test_a_failing_version_is_rolled_back_and_the_spec_is_left_alone(undisturbed: Undisturbed):
    assert undisturbed.end == {
        "ready": ("False", "RolledBack"),
        "stalled": ("True", "RolledBack"),
        "stage": ("v1", "v2", None, None, "RolledBack"),
        "rejected": [("v2", "RolledBack")],
        "history": [(None, "v1", "Promoted"), ("v1", "v2", "Promoted"), ("v2", "v1", "RolledBack")],
        "serving": "v1",
        "deployments": ["v1"],
        "aliases": {"production": "v1"},
        "spec": "v2",
    }


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: Undisturbed):
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)


async def test_a_good_version_stays_and_its_checks_cause_no_write_and_no_read_of_mlflow_or_s3():
    world = World()
    await switched(world, 0)
    await world.run(MINUTE)
    assert deployments(world) == ["v1", "v2"], "what was displaced keeps its pods"
    written, asked, looked = (
        writes(world),
        len(world.calls.named("versions")),
        len(world.pods.asked),
    )
    await world.run(10 * MINUTE)
    looks = len(world.pods.asked) - looked
    assert looks >= 30, "every ten seconds"
    assert writes(world) - written <= 12, "a copy of the counts when they have grown"
    assert len(world.calls.named("versions")) - asked <= 12, "MLflow once a minute"
    await world.run(10 * MINUTE)
    looked = len(world.pods.asked)
    await world.run(20 * MINUTE)
    assert (len(world.pods.asked), deployments(world), stage(world).get("watch")) == (
        looked,
        ["v2"],
        None,
    )
    assert (world.condition("registeredmodels", "fraud"), world.serving("fraud-production")) == (
        ("True", "Serving"),
        "v2",
    )


async def test_a_version_is_rolled_back_while_mlflow_and_s3_are_down_with_one_event():
    world = World()
    await switched(world, 0)
    away = Unavailable("MLflow", "search", "risk/fraud", "no answer")
    answers(world, away, "model", "versions", "read", "objects", "digest")
    world.cluster.events.clear()
    world.pods.load["v2"] = (100, 60)
    await world.run(5 * MINUTE)
    assert world.serving("fraud-production") == "v1"
    assert (stage(world)["version"], stage(world)["rejected"][-1]["reason"]) == ("v1", "RolledBack")
    assert told(world, "RolledBack")[0] == ("RolledBack", True)
    world.calls.on_call = lambda _operation, _phase: None
    await world.run(10 * MINUTE)
    model = await world.tracking.model(f"{NAMESPACE}.fraud")
    assert model is not None
    assert world.condition("registeredmodels", "fraud") == ("False", "RolledBack")
    assert ended(world) == {"Promoted": 2, "RolledBack": 1}, "one entry says both"


async def test_a_spec_with_the_rolled_back_version_is_ready_and_the_other_can_be_retried():
    world = World()
    await switched(world, 60)
    await world.run()
    world.promote("fraud", "production", "v1")
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    world.pods.load["v2"] = (100, 0)
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].update(version="v2", attempt=1),
    )
    await world.run(MINUTE)
    assert (world.serving("fraud-production"), stage(world)["watch"]["restarts"]) == ("v2", 0)
    await world.run(20 * MINUTE)
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert (stage(world)["version"], stage(world)["previous"]["version"]) == ("v2", "v1")
