"""Stories with gates: stable keeps serving, each outcome is one Event, and outcomes are counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.fakes.cluster import Killed
from tests.story.model_acts import registers
from tests.story.stories import TRAINER
from tests.story.test_crash_anywhere import WRITES, strike
from tests.story.world import NAMESPACE, World, manifest

QUALITY: dict[str, Any] = {"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}
ROWS: dict[str, Any] = {"name": "rows", "metric": {"name": "rows", "atLeast": "10"}}


def told(world: World, *reasons: str) -> list[tuple[str, bool]]:
    """Return reason and type of each Event about the model, in order, for the given reasons."""
    return [
        (reason, warning)
        for kind, _, reason, _, warning in world.cluster.events
        if kind == "RegisteredModel" and reason in reasons
    ]


def ended(world: World) -> dict[str, float]:
    """Return the number of finished changes of stages, by outcome."""
    found = {}
    for family in world.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "modelyard_promotions_total" and sample.value:
                found[sample.labels["outcome"]] = sample.value
    return found


async def serves_v1(world: World, *gates: dict[str, Any], **stage: Any) -> str:
    """Make v1 effective in production and register v2; return the run of v2, which has no metric
    yet.
    """
    registers(world, production="v1")
    await world.run()
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].update(gates=list(gates), **stage),
    )
    world.apply(
        manifest(
            "TrainingRun",
            "second",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v2"},
        )
    )
    await world.run()
    return str(world.status("trainingruns", "second")["mlflow"]["runId"])


async def test_waiting_for_gates_is_one_event_and_a_failed_gate_gives_its_figures():
    world = World()
    run = await serves_v1(world, QUALITY, ROWS)
    world.cluster.events.clear()
    world.promote("fraud", "production", "v2")
    await world.run()
    await world.run(timedelta(minutes=40))
    assert told(world, "GatesPending", "GateFailed") == [("GatesPending", False)], (
        "not once a look, nor once a resync"
    )
    world.tracking.log_metric(run, "rows", 20)
    await world.run()
    assert [
        gate["verdict"]
        for gate in world.status("registeredmodels", "fraud")["stages"]["production"]["gates"]
    ] == ["Pending", "Pass"]
    assert told(world, "GatesPending", "GateFailed") == [("GatesPending", False)], (
        "a verdict is no news of the promotion"
    )
    world.tracking.log_metric(run, "f1", 0.8)
    await world.run()
    assert told(world, "GatesPending", "GateFailed") == [
        ("GatesPending", False),
        ("GateFailed", True),
    ]
    (message,) = [
        message for _, _, reason, message, _ in world.cluster.events if reason == "GateFailed"
    ]
    assert (
        "production: v2 was rejected, and v1 is still serving. quality: f1 is 0.8, below 0.9."
        in message
    )
    assert world.serving("fraud-production") == "v1"
    assert [event[2] for event in world.cluster.events if event[0] == "RegisteredModel"].count(
        "Promoting"
    ) == 1


async def test_each_stage_that_a_gate_stops_gets_an_event():
    world = World()
    run = await serves_v1(world, QUALITY)
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"].update(staging={"version": "v2", "gates": [QUALITY]}),
    )
    world.promote("fraud", "production", "v2")
    world.tracking.log_metric(run, "f1", 0.8)
    world.cluster.events.clear()
    await world.run()
    failed = {
        message.split(":")[0]
        for _, _, reason, message, _ in world.cluster.events
        if reason == "GateFailed"
    }
    assert failed == {"production", "staging"}


async def test_finished_promotions_are_counted_by_outcome_and_a_retry_is_another_promotion():
    world = World()
    run = await serves_v1(world, QUALITY)
    world.tracking.log_metric(run, "f1", 0.8)
    world.promote("fraud", "production", "v2")
    await world.run()
    assert ended(world) == {"Promoted": 1, "Rejected": 1}
    world.tracking.log_metric(run, "f1", 0.95)
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(attempt=1)
    )
    await world.run()
    assert (world.serving("fraud-production"), ended(world)) == (
        "v2",
        {"Promoted": 2, "Rejected": 1},
    )
    world.promote("fraud", "production", "v1")
    await world.run()
    world.promote("fraud", "production", None)
    await world.run()
    assert ended(world) == {"Promoted": 2, "Rejected": 1, "RolledBack": 1, "Cleared": 1}
    model = await world.tracking.model(f"{NAMESPACE}.fraud")
    assert model is not None
    assert model.aliases == {}


async def retried(world: World, run: str) -> None:
    """A promotion that waits for a gate, is rejected by another, and is retried with a better
    metric.
    """
    world.tracking.log_metric(run, "rows", 20)
    world.promote("fraud", "production", "v2")
    await world.run(timedelta(minutes=1))
    world.tracking.log_metric(run, "f1", 0.8)
    await world.run()
    world.tracking.log_metric(run, "f1", 0.95)
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(attempt=1)
    )
    await world.run()


def seen(world: World) -> dict[str, Any]:
    """Return what users see in the end, without times."""
    status = world.status("registeredmodels", "fraud")
    stage = status["stages"]["production"]
    return {
        "conditions": sorted(
            (each["type"], each["status"], each["reason"]) for each in status["conditions"]
        ),
        "gates": [(gate["name"], gate["verdict"], gate["message"]) for gate in stage["gates"]],
        "stage": (
            stage["version"],
            stage["attempt"],
            stage.get("candidate"),
            stage["judged"]["version"],
            stage["rejected"],
        ),
        "history": [(each.get("from"), each["to"], each["outcome"]) for each in status["history"]],
        "serving": world.serving("fraud-production"),
    }


async def test_an_operator_killed_after_any_write_reaches_the_same_end():
    world = World()
    run = await serves_v1(world, QUALITY, ROWS)
    before = len(world.calls.named(*WRITES))
    await retried(world, run)
    undisturbed, writes = seen(world), len(world.calls.named(*WRITES)) - before
    assert (undisturbed["serving"], undisturbed["gates"][0][1]) == ("v2", "Pass")
    for number in range(1, writes + 1):
        world = World()
        run = await serves_v1(world, QUALITY, ROWS)
        strike(world, number, "after", Killed, WRITES)
        await retried(world, run)
        assert (world.restarts, seen(world)) == (1, undisturbed), f"write {number} of {writes}"
