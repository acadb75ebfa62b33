"""A story of gates with pods: one fails, is retried and succeeds, with the operator killed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived
from tests.story.stories import MINUTE, ends
from tests.story.test_crash_anywhere import children
from tests.story.world import Fate, World, manifest

TRAINER = {"xgboost": {"task": "classification"}}
DIGEST = "sha256:" + "1" * 64
GATES = [
    {
        "name": "answers",
        "smoke": {"requests": {"uri": "s3://mlflow/risk/cases.json", "digest": DIGEST}},
    },
    {"name": "integration", "job": {"image": "team/test:1", "candidate": "Served"}},
    {"name": "signed", "signed": {"keys": ["-----BEGIN PUBLIC KEY-----"]}},
]
SLICES = 4


def failing(code: int = 1, message: str = "no column amount", **more: str) -> Fate:
    """Return the container of a gate that ended with this exit code."""
    fate = ends(code, container="gate", message=message, **more)
    assert fate.pod is not None
    for status in fate.pod["containerStatuses"]:
        status["state"]["terminated"] |= {
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:01Z",
        }
    return fate


async def begin(world: World) -> None:
    """v1 is effective in production, gates were added since; v2 is registered."""
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
        manifest("Experiment", "fraud"),
        *runs,
        manifest("RegisteredModel", "fraud", stages={"production": {"version": "v1"}}),
    )
    await world.run()
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(gates=GATES)
    )
    await world.run()


async def live(world: World) -> None:
    """v2 fails its integration test, the cause is fixed elsewhere, and v2 is retried."""
    world.fates["integration"] = failing()
    world.promote("fraud", "production", "v2")
    await world.run()
    stage = world.status("registeredmodels", "fraud")["stages"]["production"]
    assert (stage["version"], stage["blocked"]["reason"]) == ("v1", "GateFailed")
    assert "integration: exit code 1: no column amount" in stage["blocked"]["message"]
    assert world.serving("fraud-production") == "v1"
    assert kinds(world) == ["Job"], (
        "the Job that failed is there with its log; the candidate's pods are gone"
    )
    del world.fates["integration"]
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(attempt=1)
    )
    await world.run()


def kinds(world: World) -> list[str]:
    """Return all owned objects but those of the effective version and the Jobs of TrainingRuns."""
    stage = world.status("registeredmodels", "fraud")["stages"]["production"]
    there = [
        each for each in children(world) if each["metadata"]["labels"].get("modelyard.io/stage")
    ]
    return [
        each["kind"]
        for each in there
        if each["metadata"]["labels"].get("modelyard.io/version") != stage["version"]
        or each["kind"] == "Job"
    ]


async def end(world: World) -> dict[str, Any]:
    status = world.status("registeredmodels", "fraud")
    stage = status["stages"]["production"]
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "stage": (
            stage["version"],
            stage["readyReplicas"],
            stage.get("blocked"),
            [step["name"] for step in stage["steps"]],
        ),
        "gates": [(gate["name"], gate["verdict"], gate["message"]) for gate in stage["gates"]],
        "history": [(entry.get("from"), entry["to"]) for entry in status["history"]],
        "serving": world.serving("fraud-production"),
        "services": [each["metadata"]["name"] for each in world.cluster.all("v1/Service")],
        "left": sorted(kinds(world)),
    }


LIFE = Life(live, end, begin)


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return lived(LIFE)


def test_a_trial_ends_with_both_verdicts_and_nothing_left_over(undisturbed: Undisturbed):
    found = undisturbed.end
    assert found["stage"] == ("v2", 1, None, ["admit", "trial", "start", "switch", "record"])
    assert [each[:2] for each in found["gates"]] == [
        ("answers", "Pass"),
        ("integration", "Pass"),
        ("signed", "Pass"),
    ]
    assert found["history"] == [(None, "v1"), ("v1", "v2"), ("v1", "v2")], "rejected first"
    assert (found["serving"], found["services"]) == ("v2", ["fraud-production"])
    assert "Job" not in found["left"]


async def test_files_changed_after_signing_are_rejected_and_an_unreachable_store_is_retried():
    world = World()
    await begin(world)
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].update(gates=GATES[-1:]),
    )
    away = failing(69, "s3://b: no answer", reason="StoreUnavailable")
    world.fates["signed"] = away
    world.promote("fraud", "production", "v2")
    await world.run()
    (gate,) = world.status("registeredmodels", "fraud")["stages"]["production"]["gates"]
    assert (gate["verdict"], gate["message"]) == ("Error", "its files: s3://b: no answer")
    world.fates["signed"] = failing(
        67, "model.ubj was changed after it was signed", reason="SignatureInvalid"
    )
    await world.run(3 * MINUTE)
    stage = world.status("registeredmodels", "fraud")["stages"]["production"]
    assert (stage["version"], stage["blocked"]["reason"], world.serving("fraud-production")) == (
        "v1",
        "GateFailed",
        "v1",
    )
    assert (
        "signed: the signature: model.ubj was changed after it was signed"
        in stage["blocked"]["message"]
    )
    assert kinds(world) == ["Job"]


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed: Undisturbed):
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)
