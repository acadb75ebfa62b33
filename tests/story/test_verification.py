"""A story of `reverify`: a version fails in staging, is not promoted to production, then passes
again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived, writes
from tests.story.stories import TRAINER
from tests.story.test_gates import told
from tests.story.test_trial import failing
from tests.story.world import World, manifest

QUALITY = {"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}
ASKS = {"name": "integration", "job": {"image": "team/test:1", "candidate": "Served"}}
SOAK = {"name": "soaked", "soak": {"stage": "staging", "for": "20m"}}
EVERY = timedelta(minutes=11)
"""Slightly longer than a round."""
SLICES = 4


def stage(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.status("registeredmodels", "fraud")["stages"][name]
    return found


def held(world: World) -> dict[str, Any]:
    """Return the record of v2 in staging."""
    versions = {
        each["name"]: each for each in world.status("registeredmodels", "fraud")["versions"]
    }
    found: dict[str, Any] = next(
        each for each in versions["v2"]["held"] if each["stage"] == "staging"
    )
    return found


async def begin(world: World, every: str = "7d") -> None:
    """v1 is effective in production and v2 in staging, which has `reverify`."""
    stages = {
        "staging": {"version": "v2", "gates": [QUALITY, ASKS], "reverify": {"every": every}},
        "production": {"version": "v1"},
    }
    runs = [
        manifest(
            "TrainingRun",
            name,
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": version},
        )
        for name, version in (("fraud-001", "v1"), ("fraud-002", "v2"))
    ]
    world.apply(
        manifest("Experiment", "fraud"), *runs, manifest("RegisteredModel", "fraud", stages=stages)
    )
    await world.run()
    asks = {"from": "staging", "gates": [SOAK]}
    world.patch("registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(asks))
    await world.run()


def verify(world: World, attempt: int) -> None:
    """Do what `modelyard verify` does."""
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["staging"]["reverify"].update(attempt=attempt),
    )


async def live(world: World) -> None:
    """v2 fails its verification in staging and is not promoted; then it passes, soaks, and is
    promoted to production.
    """
    world.fates["integration"] = failing()
    verify(world, 1)
    await world.run()
    world.promote("fraud", "production", "v2")
    await world.run()
    found = stage(world, "staging")
    assert (found["verification"]["verdict"], found["version"], world.serving("fraud-staging")) == (
        "Fail",
        "v2",
        "v2",
    )
    assert found["verification"]["message"] == "integration: exit code 1: no column amount"
    assert held(world)["verified"] is False
    blocked = stage(world, "production")["blocked"]
    assert (blocked["reason"], world.serving("fraud-production")) == ("WaitingForStage", "v1")
    assert "modelyard verify fraud --stage staging" in blocked["message"]
    del world.fates["integration"]
    verify(world, 2)
    await world.run()
    assert held(world)["verified"] is True
    assert stage(world, "production")["blocked"]["reason"] == "GatesPending", (
        "its time counts since the Pass"
    )
    await world.run(timedelta(minutes=25))


async def end(world: World) -> dict[str, Any]:
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "verified": world.condition("registeredmodels", "fraud", "Verified"),
        "stages": [
            (name, stage(world, name)["version"], stage(world, name).get("blocked"))
            for name in ("staging", "production")
        ],
        "verification": {
            key: value
            for key, value in stage(world, "staging")["verification"].items()
            if "ime" not in key
        },
        "serving": (world.serving("fraud-staging"), world.serving("fraud-production")),
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


def test_the_version_ends_verified_and_promoted_with_nothing_left_over(undisturbed: Undisturbed):
    found = undisturbed.end
    assert found["stages"] == [("staging", "v2", None), ("production", "v2", None)]
    assert (found["ready"], found["verified"]) == (("True", "Serving"), ("True", "Verified"))
    assert (found["verification"]["verdict"], found["verification"]["attempt"]) == ("Pass", 2)
    assert (found["serving"], found["jobs"]) == (("v2", "v2"), [])


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: Undisturbed):
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)


async def test_rounds_every_ten_minutes_report_a_fail_and_the_pass_after_it():
    world = World()
    await begin(world, "10m")
    assert world.condition("registeredmodels", "fraud", "Verified") == ("Unknown", "NotVerifiedYet")
    run = world.status("trainingruns", "fraud-002")["mlflow"]["runId"]
    world.cluster.events.clear()
    await world.run(EVERY)
    assert (held(world)["verified"], told(world, "Verified")) == (True, [("Verified", False)])
    world.tracking.log_metric(run, "accuracy", 0.7)
    await world.run(EVERY)
    assert (held(world)["verified"], stage(world, "staging")["version"]) == (False, "v2")
    assert told(world, "VerificationFailed") == [("VerificationFailed", True)], (
        "one Event, a warning"
    )
    (message,) = [
        message
        for _, _, reason, message, _ in world.cluster.events
        if reason == "VerificationFailed"
    ]
    assert "v2 is still serving" in message
    assert "quality: accuracy is 0.7, below 0.9" in message
    since = held(world)["sinceTime"]
    world.tracking.log_metric(run, "accuracy", 0.95)
    await world.run(EVERY)
    assert (held(world)["verified"], held(world)["sinceTime"] > since) == (True, True)
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert told(world, "Verified") == [("Verified", False)] * 2, (
        "of the first Pass, and of the one after a Fail"
    )
    assert told(world, "Promoting", "Serving", "NotServing") == [], (
        "nothing of the stage has changed"
    )
    world.check_statuses()


async def test_between_rounds_nothing_is_written_and_no_run_is_read():
    world = World()
    await begin(world, "1h")
    verify(world, 1)
    await world.run()
    assert held(world)["verified"] is True
    before, reads = writes(world), len(world.calls.named("run"))
    await world.run(timedelta(minutes=40))
    assert (writes(world), len(world.calls.named("run"))) == (before, reads)
