"""Stories of stages that roll out in steps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from modelyard.plan import Manifest
from modelyard.traffic import Arm
from tests.story.model_stories import registers
from tests.story.stories import MINUTE, TRAINER, Stories
from tests.story.world import World, manifest

__all__ = ["STORIES", "rolls_out", "splits"]

STORIES = Stories()


def splits(world: World, version: str, failing: int = 0) -> None:
    """Give a version a ready pod that splits: per scrape 900 more requests for itself and 100 for
    the candidate, of which `failing` fail.
    """
    (deployment,) = [
        each
        for each in world.cluster.all("apps/v1/Deployment")
        if each["metadata"]["labels"]["modelyard.io/version"] == version
    ]
    world.cluster.start_pod(
        deployment,
        phase="Running",
        podIP="10.0.0.7",
        conditions=[{"type": "Ready", "status": "True"}],
    )
    world.pods.drawn[version] = Arm(900, 1), Arm(100, failing)


async def rolls_out(world: World, *steps: Manifest, failing: int = 0, **rollout: Any) -> None:
    """v1 is serving, and v2 is rolled out in these steps."""
    registers(world, production="v1")
    world.apply(
        manifest(
            "TrainingRun",
            "other",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v2"},
        )
    )
    await world.run()
    splits(world, "v1", failing)
    asked = {"strategy": "Canary", "steps": list(steps), **rollout}
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(rollout=asked)
    )
    world.promote("fraud", "production", "v2")


@STORIES.reaching("RegisteredModel RollingOut", "RegisteredModel RolloutPaused")
async def a_rollout_is_paused_until_a_person_has_it_continue(world: World) -> None:
    await rolls_out(world, {"weight": 10}, {"hold": "1m"}, {"pause": {}})
    await world.run(5 * MINUTE)
    assert world.condition("registeredmodels", "fraud") == ("False", "RolloutPaused")
    assert world.serving("fraud-production") == "v1"
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"]["rollout"].update(resumed=1),
    )
    await world.run(timedelta(minutes=2))
    assert world.serving("fraud-production") == "v2"


@STORIES.reaching("RegisteredModel RolloutFailed")
async def a_candidate_is_worse_than_its_limits(world: World) -> None:
    await rolls_out(
        world, {"weight": 10}, {"hold": "10m"}, failing=60, analysis={"interval": "10s"}
    )
    await world.run(2 * MINUTE)
    assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "RolloutFailed")
    assert world.serving("fraud-production") == "v1"
