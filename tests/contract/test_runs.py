"""MLflow's runs, as `modelyard.ports.Tracking` specifies them: one suite for the fake and the real
servers.
"""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.errors import Invalid
from tests.contract.worlds import World

UNKNOWN = "0" * 32
FUTURE = datetime(2999, 1, 1, tzinfo=UTC)
AT_ONCE = 5
"""Writes that a test sends in parallel: SQLite accepts one at a time, and the others may wait
long.
"""
TAGS = {"modelyard.io/uid": "u1", "modelyard.io/attempt": "0"}


@pytest.fixture
async def experiment(world: World, name: str) -> str:
    return await world.tracking.create_experiment(name, f"s3://mlflow-artifacts/risk/{name}", {})


async def test_a_new_run_is_running(world: World, experiment: str, name: str):
    id_ = await world.tracking.create_run(experiment, "fraud-001", TAGS)
    run = await world.tracking.run(id_)
    assert run is not None
    assert (run.id, run.experiment, run.name, run.status, run.deleted) == (
        id_,
        experiment,
        "fraud-001",
        "RUNNING",
        False,
    )
    assert run.start is not None
    assert run.start.utcoffset() == timedelta(0)
    assert (run.end, run.parameters, run.metrics, run.models) == (None, {}, {}, ())
    assert run.tags == {**TAGS, "mlflow.runName": "fraud-001"}
    assert run.artifact_uri == f"s3://mlflow-artifacts/risk/{name}/{id_}/artifacts"


@pytest.mark.parametrize("id_", [UNKNOWN, "../experiments/get?experiment_id=0", "a b&c"])
async def test_an_unknown_run_is_none(world: World, id_: str):
    assert await world.tracking.run(id_) is None


async def test_no_run_without_an_active_experiment(world: World, experiment: str):
    await world.tracking.delete_experiment(experiment)
    for each in (experiment, "999999"):
        with pytest.raises(Invalid):
            await world.tracking.create_run(each, "r", {})


@pytest.mark.parametrize(
    "value",
    [
        "u1",
        "it's",
        'say "hi"',
        'it\'s "both"',
        "back\\slash",
        "two\nlines",
        "Größe 100%_",
        "",
        " x ",
        "x' OR '1'='1",
        "a`b",
        "; --",
    ],
)
async def test_runs_are_found_by_their_tags_and_by_nothing_else(
    world: World, experiment: str, value: str
):
    mine = await world.tracking.create_run(
        experiment, "mine", {"modelyard.io/uid": value, "other": "1"}
    )
    await world.tracking.create_run(
        experiment, "theirs", {"modelyard.io/uid": value + "x", "other": "1"}
    )
    await world.tracking.create_run(experiment, "nobody's", {"other": "1"})
    assert [
        run.id for run in await world.tracking.runs(experiment, tags={"modelyard.io/uid": value})
    ] == [mine]
    assert [
        run.id
        for run in await world.tracking.runs(
            experiment, tags={"modelyard.io/uid": value, "other": "1"}
        )
    ] == [mine]
    assert (
        await world.tracking.runs(experiment, tags={"modelyard.io/uid": value, "other": "2"}) == ()
    )


async def test_tags_are_compared_with_case(world: World, experiment: str):
    await world.tracking.create_run(experiment, "r", {"team": "Risk"})
    assert await world.tracking.runs(experiment, tags={"team": "risk"}) == ()


async def test_runs_of_other_experiments_are_not_found(world: World, experiment: str, name: str):
    other = await world.tracking.create_experiment(f"{name}-other", "s3://mlflow-artifacts/x", {})
    await world.tracking.create_run(other, "r", TAGS)
    assert await world.tracking.runs(experiment, tags=TAGS) == ()
    assert await world.tracking.runs("999999") == ()


async def test_the_newest_runs_come_first_and_pages_are_joined(world: World, experiment: str):
    made = [
        id_
        for first in range(0, 205, AT_ONCE)
        for id_ in await asyncio.gather(
            *(
                world.tracking.create_run(experiment, f"r{number}", {"n": str(number)})
                for number in range(first, min(first + AT_ONCE, 205))
            )
        )
    ]
    found = await world.tracking.runs(experiment)
    assert {run.id for run in found} == set(made)
    starts = [run.start for run in found]
    assert starts == sorted(
        starts, key=lambda start: start or pytest.fail("a run without a start"), reverse=True
    )
    newest = await world.tracking.runs(experiment, limit=203)
    assert len(newest) == 203
    assert len(await world.tracking.runs(experiment, limit=3)) == 3


async def test_runs_that_ended_before_a_time_come_in_order_of_their_end(
    world: World, experiment: str
):
    runs = [await world.tracking.create_run(experiment, f"r{number}", {}) for number in range(4)]
    for run in (runs[2], runs[0], runs[1]):
        await world.tracking.finish_run(run, "FINISHED")
    found = (await world.tracking.ended_runs(experiment, FUTURE, limit=1000, metric=None)).runs
    ends = [run.end or FUTURE for run in found]
    assert ({run.id for run in found}, ends) == ({runs[2], runs[0], runs[1]}, sorted(ends))
    earlier = await world.tracking.ended_runs(experiment, ends[-1], limit=1000, metric=None)
    assert {run.id for run in earlier.runs} <= {run.id for run in found if run.end != ends[-1]}
    assert (
        await world.tracking.ended_runs(experiment, ends[0], limit=1000, metric=None)
    ).runs == ()
    assert (
        len((await world.tracking.ended_runs(experiment, FUTURE, limit=2, metric=None)).runs) == 2
    )


@pytest.mark.parametrize("greatest", [True, False])
async def test_the_best_finished_runs_come_first(world: World, experiment: str, greatest: bool):
    values = {"low": 0.25, "high": 0.75, "middle": 0.5}
    made = {}
    for name, value in values.items():
        made[name] = await world.tracking.create_run(experiment, name, {})
        world.log_metric(made[name], "val/acc", value)
        await world.tracking.finish_run(made[name], "FINISHED")
    running = await world.tracking.create_run(experiment, "running", {})
    world.log_metric(running, "val/acc", 1.0 if greatest else 0.0)
    without = await world.tracking.create_run(experiment, "without", {})
    await world.tracking.finish_run(without, "FINISHED")
    found = (await world.tracking.best_runs(experiment, "val/acc", greatest=greatest, limit=2)).runs
    assert [run.name for run in found] == (["high", "middle"] if greatest else ["low", "middle"])
    assert (
        len(
            (await world.tracking.best_runs(experiment, "val/acc", greatest=greatest, limit=9)).runs
        )
        == 3
    )
    assert (
        await world.tracking.best_runs(experiment, "un`quotable", greatest=greatest, limit=9)
    ).runs == ()


async def test_parameters_are_logged_once(world: World, experiment: str):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    many = {f"p{number}": str(number) for number in range(250)}
    await world.tracking.log_parameters(run, many)
    await world.tracking.log_parameters(run, {"p1": "1", "new": "x"})
    await world.tracking.log_parameters(run, {})
    with pytest.raises(Invalid, match=run):
        await world.tracking.log_parameters(run, {"p1": "2", "never": "x"})
    found = await world.tracking.run(run)
    assert found is not None
    assert found.parameters == {**many, "new": "x"}


async def test_values_that_mlflow_would_truncate_are_refused(world: World, experiment: str):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    await world.tracking.log_parameters(run, {"long": "x" * 6000})
    await world.tracking.set_run_tags(run, {"long": "x" * 8000})
    with pytest.raises(Invalid):
        await world.tracking.log_parameters(run, {"longer": "x" * 6001})
    with pytest.raises(Invalid):
        await world.tracking.set_run_tags(run, {"longer": "x" * 8001})
    with pytest.raises(Invalid):
        await world.tracking.create_run(experiment, "r", {"longer": "x" * 8001})
    found = await world.tracking.run(run)
    assert found is not None
    assert (len(found.parameters["long"]), len(found.tags["long"])) == (6000, 8000)


async def test_tags_are_set_and_others_stay(world: World, experiment: str):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    new = {"modelyard.io/attempt": "1", **{f"t{number}": "x" for number in range(120)}}
    await world.tracking.set_run_tags(run, new)
    found = await world.tracking.run(run)
    assert found is not None
    assert found.tags == {**TAGS, "mlflow.runName": "r", **new}


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
async def test_a_run_is_closed(world: World, experiment: str, status):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    await world.tracking.finish_run(run, status)
    found = await world.tracking.run(run)
    assert found is not None
    assert found.status == status
    assert found.end is not None
    assert found.start is not None
    assert found.end >= found.start


async def test_a_closed_run_can_be_closed_with_another_status(world: World, experiment: str):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    await world.tracking.finish_run(run, "FINISHED")
    await world.tracking.finish_run(run, "FAILED")
    found = await world.tracking.run(run)
    assert found is not None
    assert found.status == "FAILED"


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
async def test_a_closed_run_can_be_reopened(world: World, experiment: str, status):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    await world.tracking.finish_run(run, status)
    for _ in range(2):
        await world.tracking.reopen_run(run)
        found = await world.tracking.run(run)
        assert found is not None
        assert (found.status, found.is_open) == ("RUNNING", True)


async def test_a_deleted_run_is_listed_separately_and_can_be_restored(
    world: World, experiment: str
):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    await world.tracking.delete_run(run)
    await world.tracking.delete_run(run)
    assert await world.tracking.runs(experiment, tags=TAGS) == ()
    assert [
        found.id for found in await world.tracking.runs(experiment, tags=TAGS, deleted=True)
    ] == [run]
    gone = await world.tracking.run(run)
    assert gone is not None
    assert gone.deleted
    await world.tracking.restore_run(run)
    await world.tracking.restore_run(run)
    assert await world.tracking.runs(experiment, deleted=True) == ()
    assert [found.id for found in await world.tracking.runs(experiment)] == [run]


async def test_deleted_and_existing_runs_come_in_one_answer(world: World, experiment: str):
    gone, there = [
        await world.tracking.create_run(experiment, name, {}) for name in ("gone", "there")
    ]
    await world.tracking.delete_run(gone)
    assert {run.id: run.deleted for run in await world.tracking.runs(experiment, deleted=None)} == {
        gone: True,
        there: False,
    }
    assert len(await world.tracking.runs(experiment, deleted=None, limit=1)) == 1


async def test_a_deleted_or_unknown_run_refuses_writes(world: World, experiment: str):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    await world.tracking.delete_run(run)
    for each in (run, UNKNOWN):
        with pytest.raises(Invalid):
            await world.tracking.log_parameters(each, {"a": "b"})
        with pytest.raises(Invalid):
            await world.tracking.set_run_tags(each, {"a": "b"})
        with pytest.raises(Invalid):
            await world.tracking.finish_run(each, "FAILED")
        with pytest.raises(Invalid):
            await world.tracking.reopen_run(each)


async def test_an_unknown_run_can_be_deleted_but_not_restored(world: World):
    await world.tracking.delete_run(UNKNOWN)
    with pytest.raises(Invalid):
        await world.tracking.restore_run(UNKNOWN)


async def test_the_newest_value_of_a_metric_counts(world: World, experiment: str):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    for value in (0.5, 0.25, 0.75):
        world.log_metric(run, "accuracy", value)
    world.log_metric(run, "loss", math.nan)
    found = await world.tracking.run(run)
    assert found is not None
    assert found.metrics["accuracy"] == 0.75
    assert math.isnan(found.metrics["loss"])
    assert [each.metrics["accuracy"] for each in await world.tracking.runs(experiment)] == [0.75]


async def test_the_models_that_a_run_logged_are_found(world: World, experiment: str, name: str):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    logged = world.log_model(run, "model")
    found = await world.tracking.run(run)
    assert found is not None
    assert found.models == (logged.id,)
    assert [each.models for each in await world.tracking.runs(experiment)] == [(logged.id,)]
    (model,) = await world.tracking.logged_models(experiment, run)
    assert (model.id, model.name, model.run, model.uri) == (logged.id, "model", run, logged.uri)
    assert model.uri == f"s3://mlflow-artifacts/risk/{name}/models/{logged.id}/artifacts"
    assert model.created is not None


async def test_the_models_of_a_run_come_newest_first_whatever_their_names(
    world: World, experiment: str
):
    run, other = [
        await world.tracking.create_run(experiment, name, TAGS) for name in ("r", "other")
    ]
    names = ("model", "scaler", "model", "last-one")
    logged = [world.log_model(run, name).id for name in names]
    world.log_model(other, "model")
    assert [each.id for each in await world.tracking.logged_models(experiment, run)] == logged[::-1]
    assert [each.id for each in await world.tracking.logged_models(experiment, run, "model")] == [
        logged[2],
        logged[0],
    ]
    assert await world.tracking.logged_models(experiment, run, "Model") == ()
    assert await world.tracking.logged_models(experiment, "no' run") == ()


async def test_an_incompletely_logged_model_is_none(world: World, experiment: str):
    run = await world.tracking.create_run(experiment, "r", TAGS)
    world.log_model(run, "model", ready=False)
    assert await world.tracking.logged_models(experiment, run) == ()
