"""TrainingRun at its end: the record, its registration, retention, deletion, and a restart
afterwards.
"""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.base import DeletionPolicy
from modelyard.api.mlmodel import MLModel
from modelyard.api.registered_model import RegisteredModel, RegisteredModelStatus
from modelyard.api.training_run import TrainingRun
from modelyard.errors import Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.plan import (
    ArchiveRun,
    CreateRun,
    Finalize,
    FinishRun,
    Manifest,
    Rest,
)
from modelyard.training_run import build
from modelyard.training_run.decide import finalize, in_sync, on_error
from modelyard.training_run.observation import FoundModel, Observation
from tests.unit.builders import (
    HOUR,
    MINUTE,
    NOW,
    RUNTIME,
    SECOND,
    actions,
    applied,
    deleted,
    job,
    live,
    message,
    outside,
    pod,
    registered_model,
    said,
    status_of,
    terminated,
    training_run,
    tree,
    written,
)
from tests.unit.training_run_world import OURS, attempt, decide, observed, training

MODEL = FoundModel("s3://b/risk/fraud/models/m-1/artifacts", tree("a", 99), MLModel("xgboost", ""))
REGISTER = {"model": "fraud", "version": "v1"}


def complete(
    run: TrainingRun, *, model: FoundModel | None = MODEL, status: str = "FINISHED", **more: Any
) -> Observation:
    """Return the world when the Job is complete."""
    built = build.job(run, 1, "r1", RUNTIME)
    ended = pod(
        built,
        "Succeeded",
        statuses=[
            terminated(
                0, '{"dataset": {"digest": "sha256:d", "rows": 2000}}', name="data", init=True
            )
        ],
    )
    return observed(
        live(build.config_map(run)),
        job(built, "Complete"),
        ended,
        runs=(attempt(1, status, **more),),
        model=model,
    )


def trained(**spec: Any) -> TrainingRun:
    """Return a run that has succeeded."""
    run = training_run(**spec)
    return written(run, decide(run, complete(run), NOW))


def broken(**spec: Any) -> TrainingRun:
    """Return a run that has failed permanently, in its second attempt."""
    run = training_run(**({"backoff_limit": 1} | spec))
    built = build.job(run, 2, "r2", RUNTIME)
    world = observed(
        live(build.config_map(run)),
        job(built, "Failed"),
        runs=(attempt(1, "FAILED"), attempt(2, "FAILED")),
    )
    for _ in range(2):
        run = written(run, decide(run, world, NOW))
    return run


# --- the record -----------------------------------------------------------------------------------
def test_a_result_is_recorded_completely():
    status = trained(dataset={"name": "cards"}).status
    assert status.is_true("Succeeded")
    assert status.completion_time == NOW - HOUR, "when the run ended, not when we looked"
    assert status.model
    assert (status.model.uri, status.model.digest, status.model.bytes, status.model.flavor) == (
        MODEL.uri,
        MODEL.tree.digest,
        99,
        "xgboost",
    )
    assert status.dataset
    assert (status.dataset.digest, status.dataset.rows) == ("sha256:d", 2000)
    assert status.failure is None


@pytest.mark.parametrize("status", ["RUNNING", "SCHEDULED"])
def test_a_run_whose_process_did_not_close_it_is_closed(status: str):
    run = training_run()
    assert actions(decide(run, complete(run, status=status), NOW)) == (FinishRun("r1", "FINISHED"),)


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_run_that_its_script_closed_as_failed_has_failed_whatever_the_exit_code(status: str):
    run = training_run(register=REGISTER)
    world = complete(run, model=None, status=status)
    for _ in range(2):  # the reason first, then the end
        run = written(run, decide(run, world, NOW))
    assert (run.status.is_true("Succeeded"), said(run.status)) == (False, "Stalled Failed")
    assert f"exited with code 0, but its MLflow run was closed as {status}" in message(run.status)
    assert run.status.failure
    assert (run.status.failure.exit_code, run.status.model) == (0, None)


def test_a_run_that_its_script_closed_as_failed_is_retried_with_the_reason_in_its_tag():
    run = training_run(backoff_limit=1)
    world = complete(
        run,
        model=None,
        status="FAILED",
        tags=OURS | {"modelyard.io/attempt": "1", "modelyard.io/failure": "loss is NaN"},
    )
    run = written(run, decide(run, world, NOW))
    assert message(run.status) == "Attempt 1 failed: loss is NaN"
    assert isinstance(outside(decide(run, world, NOW)), CreateRun)


def test_a_job_deleted_after_its_run_was_closed_as_finished_has_succeeded():
    run = training_run()
    world = replace(complete(run), owned=())
    plan = decide(run, world, NOW)
    assert status_of(plan).is_true("Succeeded")
    assert status_of(plan).model


def test_a_result_is_final():
    for run in (trained(), broken()):
        before = run.status
        for world in (observed(), observed(experiment=None), training(run)):
            after = status_of(decide(run, world, NOW + HOUR))
            assert (after.completion_time, after.failure, after.model) == (
                before.completion_time,
                before.failure,
                before.model,
            )
            assert after.condition("Succeeded") == before.condition("Succeeded")


def test_models_logged_at_the_same_moment_are_named_with_the_way_to_choose():
    run = training_run(register=REGISTER)
    world = replace(complete(run, model=None), candidates=("scaler (m-1)", "booster (m-2)"))
    run = written(run, decide(run, world, NOW))
    run = written(run, decide(run, observed(registered_model=registered_model()), NOW))
    assert said(run.status) == "Stalled NoModel"
    assert "scaler (m-1), booster (m-2)" in message(run.status)
    assert "spec.versions.<name>: {runId: r1, path: <the model's name>}" in message(run.status)


def test_after_a_temporary_error_the_result_is_shown_again():
    for ended, words in ((trained(), "Ready Succeeded"), (broken(), "Stalled Failed")):
        run = written(ended, decide(ended, observed(), NOW))
        assert said(run.status) == words
        hurt = written(
            run, on_error(run, Forbidden("Kubernetes", "delete Job", "risk/fraud-1-1"), NOW)
        )
        assert said(hurt.status) == "Stalled RequestRefused"
        healed = written(hurt, decide(hurt, observed(), NOW))
        assert [
            each.model_dump(exclude={"last_transition_time"}) for each in healed.status.conditions
        ] == [each.model_dump(exclude={"last_transition_time"}) for each in run.status.conditions]


# --- registration ---------------------------------------------------------------------------------
def model(**version: Any) -> RegisteredModel:
    known = {"name": "v1", "mlflowVersion": "1", "trainingRun": "fraud-1", "runId": "r1"} | version
    return registered_model(status=RegisteredModelStatus.model_validate({"versions": [known]}))


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (None, "Reconciling WaitingForModel"),
        (registered_model(), "Reconciling Registering"),
        (model(mlflowVersion=None), "Reconciling Registering"),
        (model(name="v2"), "Reconciling Registering"),
        (model(), "Ready Succeeded"),
        (model(trainingRun="fraud-2", runId="r9"), "Stalled VersionTaken"),
        (model(trainingRun="fraud-2", mlflowVersion=None), "Stalled VersionTaken"),
        (model(trainingRun=None, runId="r9"), "Stalled VersionTaken"),
        (model(runId="r-of-an-earlier-run-of-this-name"), "Stalled VersionTaken"),
    ],
)
def test_the_registration_as_the_registered_model_reports_it(
    there: RegisteredModel | None, words: str
):
    run = trained(register=REGISTER)
    plan = decide(run, observed(registered_model=there), NOW)
    assert said(plan) == words
    assert (status_of(plan).registered is not None) == (words == "Ready Succeeded")
    assert status_of(plan).is_true("Succeeded"), "training itself has ended well"
    advice = (
        "If the name is misspelt, declare the version in the right one:"
        " spec.versions.v1.trainingRun: fraud-1."
    )
    assert (advice in message(plan)) == (there is None)


def test_a_run_that_logged_no_model_has_nothing_to_register():
    run = training_run(register=REGISTER)
    run = written(run, decide(run, complete(run, model=None), NOW))
    assert said(decide(run, observed(registered_model=model()), NOW)) == "Stalled NoModel"
    assert said(decide(trained(), observed(), NOW)) == "Ready Succeeded"


def test_a_version_name_in_use_is_reported_with_how_to_declare_another():
    run = trained(register=REGISTER)
    assert "spec.versions.<name>.trainingRun: fraud-1" in message(
        decide(run, observed(registered_model=model(trainingRun="fraud-2")), NOW)
    )


def test_a_version_that_becomes_free_is_registered():
    run = trained(register=REGISTER)
    run = written(
        run,
        decide(
            run, observed(registered_model=model(trainingRun="fraud-2", mlflowVersion=None)), NOW
        ),
    )
    assert said(decide(run, observed(registered_model=model()), NOW)) == "Ready Succeeded"


def test_a_registration_stays_recorded_when_the_model_is_deleted():
    run = trained(register=REGISTER)
    run = written(run, decide(run, observed(registered_model=model()), NOW))
    for there in (None, registered_model(), model(trainingRun="fraud-2", runId="r9")):
        assert written(run, decide(run, observed(registered_model=there), NOW)) == run


# --- retention ------------------------------------------------------------------------------------
def test_a_job_is_deleted_after_its_ttl():
    for run in (
        trained(ttl_seconds_after_finished=3600 + 60),
        broken(ttl_seconds_after_finished=3600 + 60),
    ):
        there = observed(*complete(run).owned)
        kept = decide(run, there, NOW)
        assert kept.requeue_after == MINUTE
        assert deleted(decide(run, there, NOW + MINUTE)) == ["Job/fraud-1-1"]
        assert isinstance(decide(run, observed(), NOW + MINUTE), Rest)


def test_the_jobs_of_all_attempts_are_deleted():
    run = trained(ttl_seconds_after_finished=0, backoff_limit=1)
    jobs = [job(build.job(run, number, f"r{number}", RUNTIME), "Failed") for number in (1, 2)]
    assert deleted(decide(run, observed(*jobs), NOW)) == ["Job/fraud-1-1", "Job/fraud-1-2"]


def test_a_terminating_job_is_not_deleted_again():
    run = trained(ttl_seconds_after_finished=0)
    going = live(build.job(run, 1, "r1", RUNTIME), {}, deletionTimestamp="2026-01-01T12:00:00Z")
    assert said(decide(run, observed(going), NOW)) == "Ready Succeeded"


def test_without_a_ttl_jobs_are_kept():
    run = trained(ttl_seconds_after_finished=None)
    plan = decide(run, observed(*complete(run).owned), NOW + 1000 * HOUR)
    assert plan == Rest(status_of(plan))


# --- deletion -------------------------------------------------------------------------------------
def leaving(policy: str = "Retain", **spec: Any) -> TrainingRun:
    return training_run(about={"deleting": True}, deletion_policy=policy, **spec)


def test_a_deletion_ends_the_job_then_closes_the_run_then_finalizes():
    run = leaving()
    world = training(run)
    assert deleted(finalize(run, world, NOW)) == ["Job/fraud-1-1"]
    world = replace(world, owned=())
    assert actions(finalize(run, world, NOW)) == (FinishRun("r1", "KILLED"),)
    plan = finalize(run, replace(world, runs={1: attempt(1, "KILLED")}), NOW)
    assert plan == Finalize()


def test_with_retain_mlflow_keeps_its_runs_and_with_delete_they_are_deleted_one_by_one():
    runs = (attempt(1, "FAILED"), attempt(2, "FINISHED"))
    assert finalize(leaving(), observed(runs=runs), NOW) == Finalize()
    assert actions(finalize(leaving("Delete"), observed(runs=runs), NOW)) == (ArchiveRun("r1"),)
    assert actions(finalize(leaving("Delete"), observed(runs=runs[1:]), NOW)) == (ArchiveRun("r2"),)
    assert finalize(leaving("Delete"), observed(), NOW) == Finalize()


def test_a_run_that_a_version_came_from_is_never_deleted():
    plan = finalize(
        leaving("Delete"),
        observed(runs=(attempt(1, "FINISHED"),), referenced=frozenset({"r1"})),
        NOW,
    )
    assert plan == Finalize()


def test_a_run_of_another_owner_is_never_changed():
    foreign = attempt(
        1, "RUNNING", tags={"modelyard.io/uid": "uid-of-another", "modelyard.io/attempt": "1"}
    )
    plan = finalize(leaving("Delete"), observed(runs=(foreign,)), NOW)
    assert plan == Finalize()


@pytest.mark.parametrize("status", ["RUNNING", "FINISHED"])
def test_an_already_deleted_run_needs_no_cleanup(status: str):
    """MLflow refuses to close a run that is deleted."""
    plan = finalize(leaving("Delete"), observed(runs=(attempt(1, status, deleted=True),)), NOW)
    assert plan == Finalize()


GONE = Invalid("Kubernetes", "read connection", "risk/modelyard-connection", "there is no Secret")
AWAY = Unavailable("MLflow", "search runs", "12")


def deleting(run: TrainingRun, policy: str) -> TrainingRun:
    """Return the run, being deleted."""
    return run.model_copy(
        update={
            "metadata": leaving().metadata,
            "spec": run.spec.model_copy(update={"deletion_policy": DeletionPolicy(policy)}),
        }
    )


RUNNING = written(training_run(), decide(training_run(), training(training_run()), NOW))


@pytest.mark.parametrize(
    ("run", "error", "finalized", "told"),
    [
        (leaving(), AWAY, True, False),
        (deleting(RUNNING, "Retain"), AWAY, False, False),
        (deleting(RUNNING, "Retain"), GONE, True, True),
        (deleting(trained(), "Retain"), AWAY, True, False),
        (deleting(trained(), "Delete"), AWAY, False, False),
        (deleting(trained(), "Delete"), GONE, True, True),
    ],
    ids=[
        "nothing made",
        "runs",
        "runs, no connection",
        "ended, kept",
        "ended, to go",
        "ended, to go, no connection",
    ],
)
def test_a_deletion_waits_for_external_cleanup_only_while_it_is_possible(
    run: TrainingRun, error: ModelyardError, finalized: bool, told: bool
):
    plan = on_error(run, error, NOW)
    assert (isinstance(plan, Finalize), bool(plan.events)) == (finalized, told)


# --- a restart ------------------------------------------------------------------------------------
def test_a_restart_reconciles_only_unfinished_runs():
    done = written(trained(), decide(trained(), observed(), NOW))
    assert in_sync(done, ())
    waits = trained(register=REGISTER)
    assert not in_sync(written(waits, decide(waits, observed(), NOW)), ())
    assert not in_sync(RUNNING, ())
    assert not in_sync(training_run(), ())


def test_a_finished_run_is_reconciled_without_a_request_to_mlflow():
    """Kubernetes alone shows that nothing is left to do."""
    done = written(trained(), decide(trained(), observed(), NOW))
    bare = Observation(experiment=None, registered_model=None, owned=(), runs={})
    assert written(done, decide(done, bare, NOW + SECOND), NOW + SECOND) == done


def test_nothing_is_applied_after_the_end():
    manifests: list[Manifest] = []
    for run in (trained(), broken()):
        for world in (observed(), training(run), complete(run)):
            manifests += applied(decide(run, world, NOW)).values()
    assert manifests == []
