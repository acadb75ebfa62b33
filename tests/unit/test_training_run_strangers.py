"""Jobs and pods that claim to belong to a TrainingRun, and that the operator did not create."""

from typing import Any

from modelyard.api.training_run import TrainingRun
from modelyard.plan import Delete, Manifest
from modelyard.training_run import build
from modelyard.training_run.decide import finalize
from tests.unit.builders import (
    NOW,
    RUNTIME,
    actions,
    deleted,
    live,
    pod,
    said,
    terminated,
    training_run,
    written,
)
from tests.unit.training_run_world import attempt, decide, observed, training


def strange(run: TrainingRun, mlflow_run: str = "none", **about: Any) -> Manifest:
    """Return a complete Job of the attempt's name that names the run its controller."""
    return live(
        build.job(run, 1, mlflow_run, RUNTIME),
        {"conditions": [{"type": "Complete", "status": "True"}]},
        **about,
    )


def test_a_complete_job_for_another_mlflow_run_is_ignored_and_deleted():
    run = training_run()
    world = observed(
        live(build.config_map(run)), strange(run, uid="uid-strange"), runs=(attempt(),)
    )
    plan = decide(run, world, NOW)
    assert actions(plan) == (Delete("batch/v1", "Job", "fraud-1-1", "uid-strange"),)


def test_a_complete_job_that_replaced_the_recorded_one_is_ignored_and_deleted():
    run = written(training_run(), decide(training_run(), training(training_run()), NOW))
    world = observed(
        live(build.config_map(run)), strange(run, "r1", uid="uid-strange"), runs=(attempt(),)
    )
    plan = decide(run, world, NOW)
    assert actions(plan) == (Delete("batch/v1", "Job", "fraud-1-1", "uid-strange"),)
    # A Job whose deletion hangs is waited for, and deleted only once.
    going = strange(run, "r1", uid="uid-strange", deletionTimestamp="2026-01-01T12:00:00Z")
    plan = decide(run, observed(live(build.config_map(run)), going, runs=(attempt(),)), NOW)
    assert said(plan) == "Reconciling Scheduling"
    assert actions(plan) == ()


def test_jobs_of_other_names_and_their_pods_are_ignored():
    run = training_run()
    others = [
        live(
            build.job(run, 1, "r1", RUNTIME) | {"metadata": {"name": f"x{n}", "namespace": "risk"}},
            uid=f"u{n}",
        )
        for n in range(40)
    ]
    pods = [
        pod(each, "Failed", name=f"x{n}", statuses=[terminated(1, '{"reason": "DatasetInvalid"}')])
        for n, each in enumerate(others)
    ]
    for each in pods:
        each["metadata"]["labels"]["job-name"] = "fraud-1-1"
    world = training(run, *others, *pods)
    expected = decide(run, training(run), NOW)
    assert decide(run, world, NOW) == expected
    dying = training_run(about={"deletion_timestamp": NOW})
    assert deleted(finalize(dying, world, NOW)) == ["Job/fraud-1-1"]
