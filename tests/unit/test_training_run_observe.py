"""What observing a TrainingRun reads, and which reads of MLflow and S3 it avoids."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.conditions import ready
from modelyard.api.experiment import Experiment, ExperimentStatus, MlflowExperiment
from modelyard.api.training_run import TrainingRun
from modelyard.plan import Manifest
from modelyard.ports import TrackedRun
from modelyard.training_run import build
from modelyard.training_run.observation import Observation
from modelyard.training_run.observe import observe
from tests.unit.builders import (
    BUCKET,
    NOW,
    RUNTIME,
    URL,
    Around,
    experiment,
    job,
    live,
    registered_model,
    training_run,
    written,
)
from tests.unit.training_run_world import OURS, decide


def made(id_: str = "1") -> Experiment:
    """Return the Experiment, created in MLflow."""
    there = MlflowExperiment(id=id_, name="risk/fraud", url=URL)
    return experiment(
        status=ExperimentStatus(mlflow=there, conditions=ready("Synced", "All is well."))
    )


async def around(*objects: Any, children: tuple[Manifest, ...] = (), **more: Any) -> Around:
    """Return a world with the experiment."""
    there = Around(made(), *objects, children=children, **more)
    await there.tracking.create_experiment("risk/fraud", f"s3://{BUCKET}/risk/fraud", {})
    return there


async def began(there: Around, number: int = 1, **changes: Any) -> TrackedRun:
    """Create an attempt's run in MLflow."""
    id_ = await there.tracking.create_run(
        "1", f"fraud-1-{number}", OURS | {"modelyard.io/attempt": str(number)}
    )
    there.tracking.runs_by_id[id_] = replace(there.tracking.runs_by_id[id_], **changes)
    there.children = tuple(_training(child, number, id_) for child in there.children)
    return there.tracking.runs_by_id[id_]


def _training(child: Manifest, number: int, run: str) -> Manifest:
    """Return a Job of the attempt for this MLflow run; other objects unchanged."""
    if child["kind"] != "Job" or child["metadata"]["name"] != f"fraud-1-{number}":
        return child
    return live(build.job(training_run(), number, run, RUNTIME), child["status"])


def recorded(run: TrainingRun, world: Observation) -> TrainingRun:
    """Return the run after its active Job was recorded in the status."""
    return written(run, decide(run, world, NOW))


def active() -> tuple[Manifest, ...]:
    """Return the Job of the first attempt and its configuration."""
    return live(build.config_map(training_run())), the_job()


def the_job(condition: str = "", number: int = 1) -> Manifest:
    return job(build.job(training_run(), number, "r", RUNTIME), condition)


async def test_without_an_experiment_mlflow_is_not_read():
    there = Around(experiment())
    assert (await observe(training_run(), there, NOW)).runs == {}
    assert there.tenants.calls == []


async def test_runs_are_ours_by_uid_and_counted_by_attempt():
    there = await around()
    first, second = await began(there), await began(there, 2)
    await there.tracking.create_run(
        "1", "foreign", OURS | {"modelyard.io/uid": "uid-other", "modelyard.io/attempt": "3"}
    )
    for odd in ("many", "0", "-1", "007", "100", "9" * 5000, "\u0663"):
        await there.tracking.create_run("1", "odd", OURS | {"modelyard.io/attempt": odd})
    world = await observe(training_run(), there, NOW)
    assert (world.runs, world.attempt, world.newest) == ({1: first, 2: second}, 2, second)


async def test_of_two_runs_of_one_attempt_the_older_one_counts():
    """A create without an answer is repeated, and both may exist."""
    there = await around()
    first, _ = await began(there), await began(there)
    assert (await observe(training_run(), there, NOW)).runs == {1: first}


async def test_a_run_that_was_soft_deleted_is_still_the_attempt_s():
    there = await around(children=active())
    await began(there)
    run = recorded(training_run(), await observe(training_run(), there, NOW))
    for id_ in there.tracking.runs_by_id:
        await there.tracking.delete_run(id_)
    world = await observe(run, there, NOW)
    assert world.newest
    assert world.newest.deleted
    there.tracking.runs_by_id.clear()
    assert (await observe(run, there, NOW)).newest is None


async def test_the_recorded_experiment_counts_though_the_name_is_another_s_by_now():
    there = await around(children=active())
    first = await began(there)
    run = recorded(training_run(), await observe(training_run(), there, NOW))
    for now in ((), (made("99"),)):
        there.objects = now
        assert (await observe(run, there, NOW)).newest == first


async def test_a_finished_run_reads_nothing_from_mlflow_and_s3():
    there = await around(children=(the_job("Complete"),))
    await began(there, status="FINISHED")
    run = recorded(training_run(), await observe(training_run(), there, NOW))
    assert run.status.completion_time
    there.tenants.calls.clear()
    await observe(run, there, NOW)
    assert there.tenants.calls == []


@pytest.mark.parametrize(
    ("status", "condition", "found"),
    [
        ("RUNNING", "", False),
        ("FINISHED", "", False),  # the script has closed it and may still be running
        ("RUNNING", "Complete", True),
        ("FINISHED", "Complete", True),
        ("FAILED", "Complete", False),  # the script says that it failed
        ("FINISHED", None, True),  # the Job was deleted before it was observed
        ("RUNNING", None, False),
    ],
)
async def test_a_model_is_looked_for_when_training_has_ended_well(
    status: str, condition: str | None, found: bool
):
    there = await around(children=() if condition is None else (the_job(condition),))
    run = await began(there, status=status)
    uri = there.log_model(run.id)
    model = (await observe(training_run(), there, NOW)).model
    assert (model is not None) == found
    if model:
        assert (model.uri, model.mlmodel.flavor, model.tree.files) == (uri, "xgboost", 2)


async def test_the_last_model_that_was_logged_counts():
    there = await around(children=(the_job("Complete"),))
    run = await began(there, status="FINISHED")
    there.log_model(run.id)
    last = there.log_model(run.id, b"better")
    model = (await observe(training_run(), there, NOW)).model
    assert model
    assert model.uri == last


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("model", "scaler"), 0),
        (("scaler", "model", "explainer"), 1),
        (("scaler", "booster"), 1),
        (("a", "b", "a"), 2),
    ],
)
async def test_of_several_models_it_is_the_one_named_model_or_else_the_last(
    names: tuple[str, ...], chosen: int
):
    there = await around(children=(the_job("Complete"),))
    run = await began(there, status="FINISHED")
    logged = [there.log_model(run.id, name=name) for name in names]
    ids = there.tracking.runs_by_id[run.id].models
    there.tracking.runs_by_id[run.id] = replace(
        there.tracking.runs_by_id[run.id], models=ids[::-1]
    )  # MLflow returns them in any order
    model = (await observe(training_run(), there, NOW)).model
    assert model
    assert model.uri == logged[chosen]


async def test_of_models_logged_at_the_same_moment_none_is_chosen_and_all_are_named():
    there = await around(children=(the_job("Complete"),))
    run = await began(there, status="FINISHED")
    for name in ("scaler", "booster"):
        there.log_model(run.id, name=name)
    there.tracking.logged = {
        id_: replace(each, created=NOW) for id_, each in there.tracking.logged.items()
    }
    world = await observe(training_run(), there, NOW)
    assert world.model is None
    assert sorted(each.split()[0] for each in world.candidates) == ["booster", "scaler"]


async def test_a_model_of_an_older_mlflow_is_stored_below_its_run():
    there = await around(children=(the_job("Complete"),))
    run = await began(there, status="FINISHED")
    there.put_model(f"{run.artifact_uri}/model")
    model = (await observe(training_run(), there, NOW)).model
    assert model
    assert model.uri == f"{run.artifact_uri}/model"


@pytest.mark.parametrize(
    "artifacts",
    [
        "",
        "mlflow-artifacts:/1/r/artifacts",
        "file:///etc",
        f"s3://{BUCKET}/other/fraud",
        "s3://other/risk",
    ],
)
async def test_a_model_is_looked_for_only_where_the_namespace_may_read(artifacts: str):
    """The location of a run's artifacts comes from MLflow, where every user who trains may
    write.
    """
    there = await around(children=(the_job("Complete"),))
    await began(there, status="FINISHED", artifact_uri=artifacts)
    if artifacts.startswith("s3://"):
        there.put_model(f"{artifacts}/model")
    assert (await observe(training_run(), there, NOW)).model is None


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        (f"s3://{BUCKET}/risk/cards.csv", ""),
        (
            f"s3://{BUCKET}/other/cards.csv",
            f"outside what this namespace may read: s3://{BUCKET}/risk/",
        ),
        ("s3://datasets/cards.csv", "MODELYARD_READ_BUCKETS"),
        ("s3://datasets/../keys.csv", "empty, . or .."),
        (None, ""),
    ],
)
async def test_a_dataset_must_be_where_the_namespace_may_read(uri: str | None, says: str):
    there = await around()
    dataset = {"name": "cards"} | ({"uri": uri} if uri else {})
    found = (await observe(training_run(dataset=dataset), there, NOW)).dataset
    assert says in found
    assert bool(found) == bool(says)
    # A notebook's run names its dataset, which no pod of ours reads.
    elsewhere = training_run(dataset=dataset, trainer={"external": {}})
    assert (await observe(elsewhere, there, NOW)).dataset == ""


@pytest.mark.parametrize(("text", "found"), [("print(1)", True), ("", True), (None, False)])
async def test_a_script_is_identified_by_its_digest(text: str | None, found: bool):
    run = training_run(trainer={"script": {"config_map": "train", "key": "a.py"}})
    there = await around(
        config_maps={"train": {"other.py": "x"} if text is None else {"a.py": text}}
    )
    script = (await observe(run, there, NOW)).script
    assert (script is not None and script.startswith("sha256:")) == found
    assert (await observe(run, await around(), NOW)).script is None


async def test_the_registered_model_that_it_registers_with_is_seen():
    run = training_run(register={"model": "fraud", "version": "v1"})
    world = await observe(run, await around(registered_model(), registered_model("other")), NOW)
    assert world.registered_model == registered_model()
    assert (
        await observe(training_run(), await around(registered_model()), NOW)
    ).registered_model is None


async def test_for_a_deletion_runs_that_are_versions_are_observed():
    there = await around()
    first, second = await began(there), await began(there, 2)
    await there.tracking.create_model("risk.fraud", "", {})
    await there.tracking.create_version("risk.fraud", "s3://b/k", second.id, {}, None)
    world = await observe(training_run(about={"deleting": True}), there, NOW)
    assert (set(world.runs), world.referenced) == ({1, 2}, frozenset({second.id}))
    assert first.id not in world.referenced


@pytest.mark.parametrize(
    ("status", "found"),
    [("RUNNING", False), ("FINISHED", True), ("FAILED", False), ("KILLED", False)],
)
async def test_the_model_of_an_external_run_is_looked_for_when_it_was_closed_as_finished(
    status: str, found: bool
):
    there = await around()
    run = await began(there, status=status)
    there.log_model(run.id)
    assert (
        (await observe(training_run(trainer={"external": {}}), there, NOW)).model is not None
    ) == found
