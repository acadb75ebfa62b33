"""The whole engine in memory with a toy kind: its behaviour in failures."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from modelyard.controller import Relation
from modelyard.engine.engine import Options
from modelyard.engine.report import conditions_of
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from tests.engine.toy import manifest
from tests.fakes.cluster import Killed
from tests.fakes.mlflow import FakeTracking
from tests.unit.engine_world import DOWN, MINUTE, World


@pytest.fixture
def world() -> World:
    return World()


# --- the bad way ----------------------------------------------------------------------------------
async def test_an_error_is_reported_and_retried_with_back_off(world: World) -> None:
    world.toys.raises["fraud"] = DOWN
    world.cluster.create(manifest())
    await world.settle()
    assert world.condition("Ready") == ("False", "MLflowUnavailable")
    times = []
    for _ in range(9):
        assert world.engine.next_time is not None
        world.clock.advance(world.engine.next_time - world.clock.time())
        times.append(world.clock.time())
        await world.settle()
    pauses = [round(b - a, 2) for a, b in zip([0.0, *times], times, strict=False)]
    assert pauses == [0.55, 1.1, 2.2, 4.4, 8.8, 16.5, 16.5, 16.5, 16.5]
    assert world.count("write_status") == 1


async def test_a_recovered_object_is_ready_and_its_back_off_starts_over(world: World) -> None:
    world.toys.raises["fraud"] = DOWN
    world.cluster.create(manifest())
    await world.settle(within=2 * MINUTE)
    world.toys.raises.clear()
    await world.settle(within=MINUTE)
    assert world.condition("Ready") == ("True", "Synced")
    world.toys.raises["fraud"] = DOWN
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(value="x"))
    await world.settle()
    assert world.engine.next_time == pytest.approx(world.clock.time() + 0.55)


async def test_retry_after_is_respected(world: World) -> None:
    error = Unavailable("MLflow", "find experiment", "risk/fraud")
    error.retry_after = 42.0
    world.toys.raises["fraud"] = error
    world.cluster.create(manifest())
    await world.settle()
    assert world.engine.next_time == world.clock.time() + 42.0


async def test_a_change_ends_a_back_off_but_an_event_does_not(world: World) -> None:
    world.toys.raises["fraud"] = DOWN
    world.cluster.create(manifest())
    await world.settle(within=MINUTE)
    rounds = world.toys.rounds["fraud"]
    world.cluster.edit(
        "experiments", "risk", "fraud", lambda body: body["status"].update(id="scribble")
    )
    await world.settle()
    assert world.toys.rounds["fraud"] == rounds
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(value="x"))
    await world.settle()
    assert world.toys.rounds["fraud"] == rounds + 1


async def test_an_ambiguous_create_is_searched_for_and_not_repeated(
    world: World,
) -> None:
    world.cluster.create(manifest())
    world.cluster.fail_next(
        "create_experiment", Ambiguous("MLflow", "create experiment", "risk/fraud"), after=True
    )
    await world.settle(within=MINUTE)
    assert world.condition("Ready") == ("True", "Synced")
    assert world.count("create_experiment") == 1
    assert len(world.tracking.experiments) == 1


@pytest.mark.parametrize(
    "error",
    [Invalid("S3", "make", "x"), Forbidden("MLflow", "make", "x"), Unavailable("S3", "make", "x")],
)
async def test_each_error_reaches_the_status(world: World, error: ModelyardError) -> None:
    world.toys.raises["fraud"] = error
    world.cluster.create(manifest())
    await world.settle()
    assert world.condition("Ready")[0] == "False"
    assert error.dependency in conditions_of(world.toy()["status"])["Ready"]["message"]


async def test_a_conflict_is_retried_soon_and_not_reported(world: World) -> None:
    world.cluster.create(manifest())
    world.cluster.fail_next("apply", Conflict("Kubernetes", "apply", "x"))
    await world.settle(within=timedelta(seconds=1))
    assert world.condition("Ready") == ("True", "Synced")
    assert world.count("write_status") == 1


async def test_a_bug_is_reported_and_stops_no_other_object(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.toys.raises["fraud"] = ZeroDivisionError("oops")
    world.cluster.create(manifest("other"))
    world.cluster.create(manifest())
    await world.settle()
    assert world.condition("Stalled") == ("True", "InternalError")
    assert "bug" in conditions_of(world.toy()["status"])["Stalled"]["message"]
    assert "oops" not in str(world.toy()["status"])
    assert "ZeroDivisionError: oops" in caplog.text
    assert world.condition("Ready", "other") == ("True", "Synced")
    world.toys.raises.clear()
    await world.settle(within=MINUTE)
    assert world.condition("Stalled") == ("False", "Synced")


async def test_an_object_that_does_not_fit_its_kind_has_the_problem_in_its_status(
    world: World,
) -> None:
    world.cluster.create(manifest(children="many"))
    await world.settle()
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "spec.children" in conditions_of(world.toy()["status"])["Stalled"]["message"]
    assert world.toys.rounds == {}
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(children=1))
    await world.settle()
    assert world.condition("Stalled") == ("False", "Synced")


async def test_a_reconcile_that_takes_too_long_is_stopped(world: World) -> None:
    world = World(options=Options(deadline=0.01))
    world.cluster.create(manifest())
    never = asyncio.Event()

    async def hangs(*_: Any) -> None:
        await never.wait()

    class Hanging(FakeTracking):
        experiment = hangs  # type: ignore[assignment]

    world.connect(Hanging(calls=world.calls))
    await world.settle()
    assert world.condition("Reconciling") == ("True", "ReconcileTimedOut")


async def test_nothing_is_written_without_the_lease(world: World) -> None:
    world.fence.append(Unavailable("Kubernetes", "write", "anything", "no lease"))
    world.cluster.create(manifest())
    await world.settle(within=MINUTE)
    assert set(world.outside) == {"experiment"}
    world.fence.clear()
    await world.settle(within=MINUTE)
    assert world.condition("Ready") == ("True", "Synced")


async def test_while_kubernetes_does_not_answer_only_one_object_tries_at_a_time(
    world: World,
) -> None:
    def down(operation: str, _phase: str) -> None:
        if operation in {"apply", "write_status", "set_finalizers"}:
            raise Unavailable("Kubernetes", operation, "x")

    for number in range(50):
        world.cluster.create(manifest(f"toy-{number}"))
    world.calls.on_call = down
    await world.settle(within=timedelta(seconds=20))
    assert world.count("set_finalizers") < 25
    world.calls.on_call = lambda _operation, _phase: None
    await world.settle(within=timedelta(seconds=5))
    assert {world.condition("Ready", f"toy-{number}") for number in range(50)} == {
        ("True", "Synced")
    }


async def test_a_busy_object_does_not_starve_others(
    world: World,
) -> None:
    world = World(options=Options(rounds=2))
    world.cluster.create(manifest("a"))
    world.cluster.create(manifest("b"))
    first = await world.engine.step()
    second = await world.engine.step()
    assert first is not None
    assert second is not None
    assert (first[1], second[0].name) == ("busy", "b")
    await world.settle()
    assert world.condition("Ready", "a") == ("True", "Synced")


# --- what watches lose ----------------------------------------------------------------------------
async def test_the_audit_finds_a_lost_event(world: World) -> None:
    world.cluster.create(manifest("stays"))
    world.cluster.create(manifest("goes"))
    await world.settle()
    world.cluster.deaf = True
    world.cluster.edit(
        "experiments", "risk", "stays", lambda body: body["spec"].update(value="new")
    )
    world.cluster.edit(
        "experiments", "risk", "goes", lambda body: body["metadata"].update(finalizers=[])
    )
    world.cluster.remove("experiments", "risk", "goes")
    world.cluster.create(manifest("comes"))
    assert await world.settle() == 0
    world.cluster.deaf = False
    assert await world.engine.audit() == 3
    await world.settle()
    assert world.toy("stays")["status"]["value"] == "new"
    assert world.condition("Ready", "comes") == ("True", "Synced")
    assert await world.engine.audit() == 0


async def test_many_objects_are_audited_less_often(world: World) -> None:
    assert world.engine.until_audit(1.0) == 1.0
    for number in range(10):
        world.cluster.create(manifest(f"n{number}"))
    assert world.engine.until_audit(1.0) == 2.0
    assert world.engine.until_audit(300.0) == 300.0


async def test_a_stale_cache_causes_no_duplicate_and_harms_no_successor(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.cluster.deaf = True
    world.cluster.edit(
        "experiments", "risk", "fraud", lambda body: body["metadata"].update(finalizers=[])
    )
    world.cluster.remove("experiments", "risk", "fraud")
    world.cluster.create(manifest(value="successor"))
    world.clock.advance(400)
    await world.settle(within=timedelta(seconds=5))
    assert "status" not in world.toy()
    world.cluster.relisten()
    await world.settle()
    assert world.toy()["status"]["value"] == "successor"


async def test_a_related_change_causes_a_reconcile() -> None:
    world = World(
        relations=(Relation("trainingruns", lambda run, _cluster: [run["spec"]["experiment"]]),)
    )
    world.cluster.create(manifest())
    await world.settle()
    rounds = world.toys.rounds["fraud"]
    run = manifest("run-1", experiment="fraud") | {"kind": "TrainingRun"}
    world.cluster.create(run)
    await world.settle()
    assert world.toys.rounds["fraud"] == rounds + 1
    world.cluster.edit(
        "trainingruns", "risk", "run-1", lambda body: body.update(status={"completionTime": "now"})
    )
    await world.settle()
    assert world.toys.rounds["fraud"] == rounds + 2


async def test_a_failing_relation_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(
        relations=(Relation("trainingruns", lambda run, _cluster: [run["spec"]["nonsense"]]),)
    )
    world.cluster.create(manifest("run-1") | {"kind": "TrainingRun"})
    assert "KeyError" in caplog.text


# --- crash anywhere -------------------------------------------------------------------------------
CRASH_POINTS = [(number, phase) for number in range(1, 13) for phase in ("before", "after")]


async def _life(world: World) -> None:
    """Create, change and delete an object."""
    world.cluster.create(manifest(children=2))
    await world.settle(within=MINUTE)
    world.cluster.edit(
        "experiments", "risk", "fraud", lambda body: body["spec"].update(value="red", children=1)
    )
    await world.settle(within=MINUTE)


@pytest.mark.parametrize(("number", "phase"), CRASH_POINTS)
async def test_a_crash_anywhere_leads_to_the_same_end(number: int, phase: str) -> None:
    expected = World()
    await _life(expected)
    world = World()
    left = number

    def kill(_operation: str, when: str) -> None:
        nonlocal left
        if when == phase:
            left -= 1
            if left == 0:
                raise Killed

    world.calls.on_call = kill
    try:
        await _life(world)
    except Killed:
        world.restart()
        await world.settle(within=MINUTE)
        world.cluster.edit(
            "experiments",
            "risk",
            "fraud",
            lambda body: body["spec"].update(value="red", children=1),
        )
        await world.settle(within=MINUTE)
    assert left <= 0, "the story is shorter than this: the test would not fail"
    assert len(world.tracking.experiments) == 1
    assert world.toy()["status"]["conditions"] == expected.toy()["status"]["conditions"]
    assert [child["data"] for child in world.cluster.all("v1/ConfigMap")] == [{"value": "red"}]
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle(within=MINUTE)
    assert world.cluster.live("experiments", "risk", "fraud") is None
