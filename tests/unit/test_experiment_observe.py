"""What observing an Experiment reads, and which reads of MLflow and S3 it avoids."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.base import condition
from modelyard.api.experiment import ExperimentStatus
from modelyard.api.registered_model import RegisteredModelStatus, StageStatus, VersionStatus
from modelyard.errors import Invalid
from modelyard.experiment.decide import decide
from modelyard.experiment.observe import RUNS, observe
from modelyard.plan import ArchiveRun
from tests.unit.builders import (
    BUCKET,
    NOW,
    URL,
    Around,
    experiment,
    outside,
    registered_model,
    said,
    tracked_experiment,
    written,
)

WAS_V1: dict[str, Any] = {
    "version": "v1",
    "digest": f"sha256:{'1' * 64}",
    "runtime": {"image": "i", "revision": 3, "identity": "0a0a0a0a"},
}
RETAINED = experiment(retention={"runs": "90d"})


async def tracked(around: Around) -> str:
    return await around.tracking.create_experiment(
        "risk/fraud", f"s3://{BUCKET}/risk/fraud", tracked_experiment().tags
    )


async def old_run(around: Around, id_: str, number: int) -> str:
    run = await around.tracking.create_run(id_, f"old-{number:02}", {})
    end = NOW - timedelta(days=200 - number)
    around.tracking.runs_by_id[run] = replace(
        around.tracking.runs_by_id[run], status="FINISHED", end=end
    )
    return run


async def test_an_empty_mlflow_and_s3_can_be_observed():
    around = Around()
    around.tenants.world.clear()
    found = await observe(experiment(), around, NOW)
    assert (found.bucket, found.bucket_exists, found.tracked, found.tracking_url) == (
        BUCKET,
        False,
        None,
        URL,
    )


async def test_runs_and_artifacts_are_counted():
    around = Around()
    id_ = await tracked(around)
    await around.tracking.create_run(id_, "one", {})
    await around.tracking.delete_run(await around.tracking.create_run(id_, "two", {}))
    around.store.put(f"s3://{BUCKET}/risk/fraud/a", b"123")
    around.store.put(f"s3://{BUCKET}/risk/fraudulent/a", b"of a neighbour")
    found = await observe(experiment(), around, NOW)
    assert found.usage
    assert (
        [run.name for run in found.runs],
        found.deleted_runs,
        found.usage.objects,
        found.usage.bytes,
    ) == (["one"], 1, 1, 3)


async def test_nothing_else_is_read_of_a_deleted_experiment():
    around = Around()
    await around.tracking.delete_experiment(await tracked(around))
    around.tenants.calls.clear()
    await observe(experiment(), around, NOW)
    assert [call.operation for call in around.tenants.calls] == ["usage", "experiment"]


@pytest.mark.parametrize(
    ("stage", "found"),
    [
        ({"version": "v1"}, ("v1 in production of fraud",)),
        ({"version": "v2"}, ()),
        ({"version": "v2", "candidate": WAS_V1}, ("v1 in production of fraud",)),
        (
            {"version": "v2", "previous": WAS_V1 | {"until_time": NOW}},
            ("v1 in production of fraud",),
        ),
        ({"version": "v2", "previous": WAS_V1}, ()),
    ],
)
async def test_stages_with_versions_from_an_experiment_are_read_while_it_is_being_deleted(
    stage: dict[str, Any], found: tuple[str, ...]
):
    places = (("v1", "fraud"), ("v2", "fraudulent"))
    versions = tuple(
        VersionStatus(name=name, uri=f"s3://{BUCKET}/risk/{folder}/models/m/artifacts")
        for name, folder in places
    )
    status = RegisteredModelStatus(
        versions=versions,
        stages={"production": StageStatus(**stage)},
        conditions=(condition("Ready", True, "Serving"),),
    )
    around = Around(registered_model(status=status))
    await tracked(around)
    leaving = experiment(about={"deleting": True}, deletion_policy="Delete")
    assert (await observe(leaving, around, NOW)).in_use == found
    assert (await observe(experiment(), around, NOW)).in_use == (), "it is read only then"


async def test_observing_an_experiment_takes_three_calls():
    around = Around()
    id_ = await tracked(around)
    await around.tracking.delete_run(await around.tracking.create_run(id_, "gone", {}))
    around.tenants.calls.clear()
    found = await observe(experiment(), around, NOW)
    assert [call.operation for call in around.tenants.calls] == ["usage", "experiment", "runs"]
    assert (found.runs, found.deleted_runs) == ((), 1)


async def test_existing_runs_are_read_in_one_call_however_many_there_are():
    around = Around()
    await tracked(around)
    many = experiment(
        status=ExperimentStatus.model_validate(
            {"runs": {"running": 1, "finished": RUNS - 2, "failed": 1, "deleted": 1}}
        )
    )
    around.tenants.calls.clear()
    await observe(many, around, NOW)
    assert [call.arguments[2] for call in around.tenants.calls if call.operation == "runs"] == [
        False,
        True,
    ]


async def test_deleted_runs_do_not_crowd_out_existing_ones():
    around = Around()
    id_ = await tracked(around)
    kept = await around.tracking.create_run(id_, "kept", {})
    for number in range(RUNS):
        await around.tracking.delete_run(
            await around.tracking.create_run(id_, f"gone-{number}", {})
        )
    found = await observe(experiment(), around, NOW)
    assert ([run.id for run in found.runs], found.deleted_runs) == ([kept], RUNS)


async def test_runs_that_versions_came_from_are_skipped_however_many_there_are():
    around = Around()
    id_ = await tracked(around)
    runs = [await old_run(around, id_, number) for number in range(30)]
    await around.tracking.create_model("risk.fraud", "", {})
    for run in runs[:25]:
        await around.tracking.create_version("risk.fraud", "s3://b/k", run, {}, None)
    retaining = written(RETAINED, decide(RETAINED, await observe(RETAINED, around, NOW), NOW))
    assert outside(decide(retaining, await observe(retaining, around, NOW), NOW)) == ArchiveRun(
        runs[25]
    )
    for run in runs[25:]:
        await around.tracking.create_version("risk.fraud", "s3://b/k", run, {}, None)
    assert said(decide(retaining, await observe(retaining, around, NOW), NOW)) == "Ready Synced"


async def test_no_more_runs_are_checked_than_one_round_can_delete():
    around = Around()
    id_ = await tracked(around)
    for number in range(5):
        await old_run(around, id_, number)
    await observe(RETAINED, around, NOW)
    assert [call.operation for call in around.tenants.calls].count("versions_of_run") == 1
    await observe(experiment(), around, NOW)
    assert [call.operation for call in around.tenants.calls].count("versions_of_run") == 1


async def test_with_more_runs_than_are_read_the_oldest_are_deleted_and_the_best_of_all_is_kept():
    around = Around()
    id_ = await tracked(around)
    runs = [await old_run(around, id_, number) for number in range(3)]
    for run, value in zip(runs, (0.9, 0.8, 0.7), strict=True):
        around.tracking.log_metric(run, "accuracy", value)
    for number in range(RUNS):
        newer = await around.tracking.create_run(id_, f"new-{number}", {})
        around.tracking.runs_by_id[newer] = replace(
            around.tracking.runs_by_id[newer],
            start=NOW,
            end=NOW,
            status="FINISHED",
            metrics={"accuracy": 0.1},
        )
    for run in runs:
        around.tracking.runs_by_id[run] = replace(
            around.tracking.runs_by_id[run], start=NOW - timedelta(days=300)
        )
    asked = experiment(objective={"metric": "accuracy"}, retention={"runs": "90d", "keep_best": 1})
    found = await observe(asked, around, NOW)
    assert len(found.runs) == RUNS
    first = decide(asked, found, NOW)
    asked = written(asked, first)
    assert asked.status.best_run is not None
    assert asked.status.best_run.run_id == runs[0]
    assert outside(decide(asked, found, NOW)) == ArchiveRun(runs[1])


async def test_with_oversized_answers_the_count_is_a_minimum_and_best_and_oldest_are_found():
    """MLflow's answers for runs with many metrics are too large to be read completely."""
    around = Around()
    id_ = await tracked(around)
    runs = [await old_run(around, id_, number) for number in range(6)]
    for run, value in zip(runs, (0.9, 0.1, 0.2, 0.3, 0.4, 0.5), strict=True):
        around.tracking.log_metric(run, "accuracy", value)
    around.tracking.most = 2
    asked = experiment(objective={"metric": "accuracy"}, retention={"runs": "90d", "keep_best": 1})
    around.tenants.calls.clear()
    found = await observe(asked, around, NOW)
    assert [call.operation for call in around.tenants.calls].count("runs") == 1, (
        "nothing is read twice that is that large"
    )
    asked = written(asked, decide(asked, found, NOW))
    assert asked.status.runs is not None
    assert asked.status.runs.model_dump() == {
        "running": 0,
        "finished": 2,
        "failed": 0,
        "deleted": 0,
        "at_least": True,
    }
    assert asked.status.best_run is not None
    assert asked.status.best_run.run_id == runs[0]
    assert outside(decide(asked, await observe(asked, around, NOW), NOW)) == ArchiveRun(runs[1])


async def test_a_namespace_without_a_connection_is_an_error():
    around = Around()
    around.tenants.wrong["risk"] = "there is no Secret"
    with pytest.raises(Invalid, match="read connection"):
        await observe(experiment(), around, NOW)
