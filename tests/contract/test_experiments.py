"""MLflow's experiments, as `modelyard.ports.Tracking` specifies them: one suite for the fake and
the real servers.
"""

from __future__ import annotations

import pytest

from modelyard.errors import Conflict, Invalid
from modelyard.ports import TrackedExperiment
from tests.contract.worlds import World

TAGS = {"modelyard.io/uid": "u1", "modelyard.io/namespace": "risk"}
UNKNOWN = "999999"


async def test_an_unknown_name_is_none(world: World, name: str):
    assert await world.tracking.experiment(f"risk/{name}") is None


@pytest.mark.parametrize("form", ["risk/{}", "it's {}", 'say "{}"', "Größe {} & co?", "a=b;{}#%20"])
async def test_a_created_experiment_is_found(world: World, name: str, form: str):
    full = form.format(name)
    id_ = await world.tracking.create_experiment(full, f"s3://mlflow-artifacts/{name}", TAGS)
    there = TrackedExperiment(id_, full, f"s3://mlflow-artifacts/{name}", deleted=False, tags=TAGS)
    assert await world.tracking.experiment(full) == there
    assert await world.tracking.experiment_by_id(id_) == there
    assert await world.tracking.experiment_by_id("987654321") is None


async def test_a_name_is_unique(world: World, name: str):
    await world.tracking.create_experiment(name, "s3://mlflow-artifacts/a", TAGS)
    with pytest.raises(Conflict, match=name):
        await world.tracking.create_experiment(name, "s3://mlflow-artifacts/b", {})


async def test_a_deleted_experiment_keeps_its_name_and_is_found(world: World, name: str):
    id_ = await world.tracking.create_experiment(name, "s3://mlflow-artifacts/a", TAGS)
    await world.tracking.delete_experiment(id_)
    found = await world.tracking.experiment(name)
    assert found is not None
    assert (found.id, found.deleted, found.tags) == (id_, True, TAGS)
    with pytest.raises(Conflict):
        await world.tracking.create_experiment(name, "s3://mlflow-artifacts/a", TAGS)


async def test_deleting_and_restoring_are_idempotent(world: World, name: str):
    id_ = await world.tracking.create_experiment(name, "s3://mlflow-artifacts/a", TAGS)
    await world.tracking.delete_experiment(id_)
    await world.tracking.delete_experiment(id_)
    await world.tracking.restore_experiment(id_)
    await world.tracking.restore_experiment(id_)
    found = await world.tracking.experiment(name)
    assert found is not None
    assert not found.deleted


async def test_an_unknown_experiment_can_be_deleted_but_not_restored(world: World):
    await world.tracking.delete_experiment(UNKNOWN)
    with pytest.raises(Invalid, match=UNKNOWN):
        await world.tracking.restore_experiment(UNKNOWN)


async def test_tags_are_set_one_by_one_and_others_stay(world: World, name: str):
    id_ = await world.tracking.create_experiment(name, "s3://mlflow-artifacts/a", TAGS)
    new = {
        "team": "risk",
        "empty": "",
        "mlflow.note.content": "Card fraud,\n'tabular' 🂡",
        "modelyard.io/uid": "u2",
    }
    await world.tracking.set_experiment_tags(id_, new)
    found = await world.tracking.experiment(name)
    assert found is not None
    assert found.tags == {**TAGS, **new}


async def test_tags_of_a_deleted_or_unknown_experiment_are_refused(world: World, name: str):
    id_ = await world.tracking.create_experiment(name, "s3://mlflow-artifacts/a", TAGS)
    await world.tracking.delete_experiment(id_)
    for each in (id_, UNKNOWN):
        with pytest.raises(Invalid):
            await world.tracking.set_experiment_tags(each, {"a": "b"})


async def test_deleting_tags_is_idempotent(world: World, name: str):
    id_ = await world.tracking.create_experiment(
        name, "s3://mlflow-artifacts/a", {"a": "1", "b": "2", "c": "3"}
    )
    for _ in range(2):
        await world.tracking.delete_experiment_tags(id_, ["a", "c", "never"])
    found = await world.tracking.experiment(name)
    assert found is not None
    assert found.tags == {"b": "2"}


async def test_runs_are_deleted_and_restored_with_their_experiment(world: World, name: str):
    """Runs that were deleted before come back as well: MLflow does so, and retention must delete
    them again.
    """
    id_ = await world.tracking.create_experiment(name, "s3://mlflow-artifacts/a", TAGS)
    old = await world.tracking.create_run(id_, "old", {})
    new = await world.tracking.create_run(id_, "new", {})
    await world.tracking.delete_run(old)
    await world.tracking.delete_experiment(id_)
    assert await world.tracking.runs(id_) == ()
    assert {run.id for run in await world.tracking.runs(id_, deleted=True)} == {old, new}
    await world.tracking.restore_experiment(id_)
    assert {run.id for run in await world.tracking.runs(id_)} == {old, new}
