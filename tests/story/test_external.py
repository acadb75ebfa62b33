"""Stories of runs that train in a notebook: they succeed, fail, or stop sending heartbeats.

Also: the operator is killed at every write, its watch is silent, Kubernetes is unreachable.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from modelyard.errors import Ambiguous, Unavailable
from tests.fakes.calls import Phase
from tests.fakes.cluster import Killed
from tests.story.test_crash_anywhere import WRITES, nothing_twice, strike
from tests.story.world import World, manifest

ELSEWHERE = {"external": {}}
RUNS = {
    "good": ["beat"] * 6 + ["well"],
    "bad": ["beat"] * 3 + ["fails"],
    "gone": ["beat"] * 2 + ["quiet"],
}


def begin(world: World) -> None:
    """Three notebooks, and a model that registers the successful one's version."""
    register = {"model": "fraud", "version": "v1"}
    world.apply(
        manifest("Experiment", "fraud"),
        manifest("RegisteredModel", "fraud", stages={"production": {"version": "v1"}}),
    )
    for name, steps in RUNS.items():
        more = {"register": register} if name == "good" else {}
        world.apply(
            manifest(
                "TrainingRun",
                name,
                experiment="fraud",
                trainer=ELSEWHERE,
                parameters={"depth": "6"},
                **more,
            )
        )
        world.notebooks[name] = list(steps)


async def live(world: World) -> None:
    begin(world)
    await world.run(timedelta(minutes=5))


async def end(world: World) -> dict[str, Any]:
    """Return what users see in the end, without times and ids."""
    statuses = {name: world.status("trainingruns", name) for name in RUNS}
    runs = world.tracking.runs_by_id
    return {
        "conditions": {
            name: sorted((c["type"], c["status"], c["reason"]) for c in status["conditions"])
            for name, status in statuses.items()
        },
        "failures": {
            name: (status.get("failure") or {}).get("reason") for name, status in statuses.items()
        },
        "mlflow": {
            name: (runs[s["mlflow"]["runId"]].status, dict(runs[s["mlflow"]["runId"]].parameters))
            for name, s in statuses.items()
        },
        "model": statuses["good"]["model"]["flavor"],
        "registered": statuses["good"].get("registered"),
        "serving": world.serving("fraud-production"),
        "jobs": world.cluster.all("batch/v1/Job") + world.cluster.all("v1/ConfigMap"),
    }


async def test_each_notebook_s_end_is_reported_and_the_good_one_s_model_is_served():
    world = World()
    await live(world)
    found = await end(world)
    assert world.condition("trainingruns", "good") == ("True", "Succeeded")
    assert world.condition("trainingruns", "bad", "Stalled") == ("True", "Failed")
    assert (
        world.status("trainingruns", "bad")["failure"]["message"] == "ValueError: no column amount"
    )
    assert world.condition("trainingruns", "gone", "Succeeded") == ("False", "HeartbeatLost")
    assert {name: status for name, (status, _) in found["mlflow"].items()} == {
        "good": "FINISHED",
        "bad": "FAILED",
        "gone": "FAILED",
    }
    assert (found["registered"], found["serving"]) == ({"model": "fraud", "version": "v1"}, "v1")
    assert found["jobs"] == []


async def test_a_silent_run_is_closed_after_90_seconds_and_not_before():
    world = World()
    begin(world)
    await world.run(timedelta(minutes=5))
    run = world.tracking.runs_by_id[world.status("trainingruns", "gone")["mlflow"]["runId"]]
    beat = world.get("trainingruns", "gone")["metadata"]["annotations"]["modelyard.io/heartbeat"]
    assert run.end
    assert (
        90
        <= (run.end - world.clock.now()).total_seconds() + world.clock.time() - seconds(beat)
        < 95
    )


def seconds(stamp: str) -> float:
    """Return a time of day as seconds of the world's clock, which begins at midnight."""
    hours, minutes, rest = stamp.partition("T")[2].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(rest)


async def test_while_a_notebook_trains_its_metrics_are_shown_and_its_object_can_be_deleted():
    world = World()
    begin(world)
    world.notebooks["good"] = ["beat"]
    await world.run(timedelta(minutes=5))
    run = world.status("trainingruns", "good")["mlflow"]["runId"]
    world.tracking.log_metric(run, "accuracy", 0.7)
    await world.run(timedelta(seconds=30))
    assert world.condition("trainingruns", "good", "Reconciling") == ("True", "Training")
    assert [metric["value"] for metric in world.status("trainingruns", "good")["metrics"]] == [
        "0.7"
    ]
    del world.notebooks["good"]
    world.cluster.remove("trainingruns", "risk", "good")
    await world.run()
    assert world.cluster.live("trainingruns", "risk", "good") is None
    assert world.tracking.runs_by_id[run].status == "KILLED"


async def test_a_notebook_whose_heartbeats_only_our_watch_misses_is_not_closed():
    """R7: no final decision is based on what a silent watch has missed."""
    world = World()
    begin(world)
    world.notebooks["good"] = ["beat"] * 40 + ["well"]
    await world.run(timedelta(seconds=20))
    world.cluster.deaf = True
    await world.run(timedelta(minutes=8))
    assert world.condition("trainingruns", "good", "Succeeded") == ("", "")
    world.cluster.relisten()
    await world.run(timedelta(minutes=5))
    assert world.condition("trainingruns", "good") == ("True", "Succeeded")


async def test_a_notebook_is_not_closed_because_kubernetes_was_down():
    """It could not report for a while, and must report again within 20 s."""
    world = World()
    begin(world)
    world.notebooks["good"] = [*["beat"] * 3, *["quiet"] * 20, *["beat"] * 6, "well"]

    def away(operation: str, phase: Phase) -> None:
        if (
            operation in {"write_status", "set_finalizers", "apply"}
            and phase == "before"
            and world.notebooks["good"][:1] == ["quiet"]
        ):
            raise Unavailable(
                "Kubernetes", operation, "something", "the API server cannot be reached"
            )

    world.calls.on_call = away
    await world.run(timedelta(minutes=12))
    assert world.condition("trainingruns", "good") == ("True", "Succeeded")


async def test_an_unreachable_mlflow_fails_no_notebook():
    world = World()
    begin(world)
    world.notebooks["good"] = [*["beat"] * 20, "well"]

    def away(operation: str, phase: Phase) -> None:
        if operation == "runs" and phase == "before" and 5 < len(world.notebooks["good"]) < 16:
            raise Unavailable("MLflow", "search runs", "1", "no answer")

    world.calls.on_call = away
    await world.run(timedelta(minutes=10))
    assert world.condition("trainingruns", "good") == ("True", "Succeeded")
    assert any(
        reason == "MLflowUnavailable"
        for _, name, reason, _, _ in world.cluster.events
        if name == "good"
    )


# --- crash-anywhere -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def undisturbed() -> tuple[dict[str, Any], int]:
    """How the undisturbed story ends, and how many writes it takes."""

    async def lived() -> tuple[dict[str, Any], int]:
        world = World()
        await live(world)
        await nothing_twice(world)
        return await end(world), len(world.calls.named(*WRITES))

    return asyncio.run(lived())


def blows() -> dict[str, Callable[[], BaseException]]:
    return {
        "killed": Killed,
        "not acknowledged": lambda: Ambiguous("MLflow", "do", "something", "no whole answer"),
    }


@pytest.mark.parametrize("blow", blows())
async def test_after_any_write_the_end_is_the_same(
    blow: str, undisturbed: tuple[dict[str, Any], int]
):
    wanted, writes = undisturbed
    for number in range(1, writes + 1):
        world = World()
        strike(world, number, "after", blows()[blow], WRITES)
        await live(world)
        assert world.restarts == (blow == "killed")
        await nothing_twice(world)
        assert await end(world) == wanted, f"{blow}: write {number}"


async def test_parameters_that_a_notebook_logs_never_make_a_status_too_large():
    world = World()
    world.apply(
        manifest("Experiment", "fraud"),
        manifest(
            "TrainingRun", "wide", experiment="fraud", trainer=ELSEWHERE, parameters={"z": "1"}
        ),
    )
    world.notebooks["wide"] = ["beat"] * 4 + ["well"]
    await world.run(timedelta(seconds=30))
    run = world.status("trainingruns", "wide")["mlflow"]["runId"]
    await world.tracking.log_parameters(
        run, {f"{number:0250}": "x" * 6000 for number in range(400)}
    )
    await world.run(timedelta(minutes=3))
    world.check_statuses()
    status = world.status("trainingruns", "wide")
    assert world.condition("trainingruns", "wide") == ("True", "Succeeded")
    assert (len(status["parameters"]), status["parameters"]["z"], status["omittedParameters"]) == (
        256,
        "1",
        145,
    )
    assert len(json.dumps(status)) < 512 * 1024
