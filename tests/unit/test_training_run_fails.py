"""TrainingRun when an attempt fails: the reason, whether and when another follows, and the
reports.
"""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.training_run import TrainingRun
from modelyard.plan import CreateRun, FinishRun, Manifest, Plan, Rest
from modelyard.training_run import build
from modelyard.training_run.observation import Observation
from tests.unit.builders import (
    DAY,
    MINUTE,
    NOW,
    RUNTIME,
    actions,
    deleted,
    job,
    live,
    message,
    outside,
    pod,
    recorded,
    said,
    status_of,
    terminated,
    training_run,
    written,
)
from tests.unit.training_run_world import attempt, decide, observed

SECOND = timedelta(seconds=1)


def broken(
    run: TrainingRun,
    *statuses: Manifest,
    number: int = 1,
    reason: str = "BackoffLimitExceeded",
    **more: Any,
) -> Observation:
    """Return the world when an attempt's Job has failed and its pod's containers ended like
    this.
    """
    built = build.job(run, number, f"r{number}", RUNTIME)
    pods = [pod(built, "Failed", name=f"pod-{number}", statuses=statuses)] if statuses else []
    runs = tuple(attempt(n, "FAILED", ended=DAY) for n in range(1, number))
    return observed(
        live(build.config_map(run)),
        job(built, "Failed", reason),
        *pods,
        runs=(*runs, attempt(number, **more)),
    )


def decided(run: TrainingRun, world: Observation) -> TrainingRun:
    """Return the run after the observation is recorded."""
    return written(run, decide(run, world, NOW))


CRASHED = terminated(1, "Traceback: boom", "Error")


# --- reasons
# -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        (CRASHED, "Failed", "trainer ended with exit code 1"),
        (terminated(137, "", "OOMKilled"), "OutOfMemory", "resources.limits.memory"),
        (
            terminated(67, json.dumps({"reason": "ScriptInvalid", "message": "line 3"})),
            "ScriptInvalid",
            "line 3",
        ),
        (
            terminated(67, json.dumps({"reason": "InvalidParameters", "message": "max_dept"})),
            "InvalidParameters",
            "max_dept",
        ),
        (
            terminated(
                65,
                json.dumps({"reason": "DatasetDigestMismatch", "message": "expected"}),
                name="data",
                init=True,
            ),
            "DatasetDigestMismatch",
            "expected",
        ),
        (
            terminated(
                66,
                json.dumps({"reason": "DatasetUnavailable", "message": "no key"}),
                name="data",
                init=True,
            ),
            "DatasetUnavailable",
            "no key",
        ),
        (
            terminated(
                67,
                json.dumps({"reason": "DatasetInvalid", "message": "no rows"}),
                name="data",
                init=True,
            ),
            "DatasetInvalid",
            "no rows",
        ),
        (
            terminated(
                73,
                json.dumps({"reason": "VolumeFull", "message": "no space"}),
                name="data",
                init=True,
            ),
            "VolumeFull",
            "no space",
        ),
        (
            terminated(
                69,
                json.dumps({"reason": "StoreUnavailable", "message": "no S3"}),
                name="data",
                init=True,
            ),
            "StoreUnavailable",
            "no S3",
        ),
        (
            terminated(69, json.dumps({"reason": "MLflowUnavailable", "message": "no answer"})),
            "MLflowUnavailable",
            "no answer",
        ),
        (
            terminated(67, json.dumps({"reason": "ConnectionRefused", "message": "401"})),
            "ConnectionRefused",
            "modelyard-connection",
        ),
        (
            terminated(67, json.dumps({"reason": "LoadFailed", "message": "no booster"})),
            "Failed",
            "no booster",
        ),
        (terminated(1, json.dumps({"reason": ["x"], "message": {}})), "Failed", "exit code 1"),
    ],
)
def test_the_reason_of_a_failed_attempt_is_that_of_its_container(
    status: Manifest, reason: str, text: str
):
    run = training_run(backoff_limit=1)
    failure = decided(run, broken(run, status)).status.failure
    assert failure
    assert (failure.reason, failure.attempt, failure.exit_code) == (
        reason,
        1,
        status["state"]["terminated"]["exitCode"],
    )
    assert text in failure.message


def test_the_last_lines_of_the_log_are_kept_and_bounded():
    run = training_run()
    failure = decided(run, broken(run, terminated(1, "x" * 9000 + "the end"))).status.failure
    assert failure
    assert failure.log.endswith("the end")
    assert len(failure.log) == 4096


def test_the_reason_is_that_of_the_container_that_ended_first():
    run = training_run(dataset={"name": "cards"})
    data = terminated(
        66,
        json.dumps({"reason": "DatasetUnavailable", "message": "no key"}),
        name="data",
        init=True,
    )
    failure = decided(run, broken(run, CRASHED, data)).status.failure
    assert failure
    assert failure.reason == "DatasetUnavailable"


def test_a_deadline_has_its_own_reason():
    run = training_run(active_deadline_seconds=60)
    failure = decided(run, broken(run, terminated(143), reason="DeadlineExceeded")).status.failure
    assert failure
    assert failure.reason == "DeadlineExceeded"
    assert "activeDeadlineSeconds (60 s)" in failure.message


def test_a_job_s_failure_may_be_observed_before_its_pod_s_eviction():
    """Jobs and pods have separate watches: the container was killed, and the pod reports disk
    pressure a moment later.
    """
    run = training_run()
    built = build.job(run, 1, "r1", RUNTIME)
    there = job(built, "Failed")
    there["status"]["conditions"][0]["lastTransitionTime"] = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    killed = pod(built, "Running", statuses=[terminated(137, "", "Error")])
    world = observed(live(build.config_map(run)), there, killed, runs=(attempt(),))
    plan = decide(run, world, NOW)
    assert isinstance(plan, Rest)
    assert (said(plan), plan.requeue_after) == ("Reconciling Training", SECOND)
    disk = pod(
        built,
        "Failed",
        reason="Evicted",
        message='Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". ',
    )
    found = decide(run, observed(live(build.config_map(run)), there, disk, runs=(attempt(),)), NOW)
    assert status_of(found).failure.reason == "VolumeFull"
    late = decide(run, world, NOW + MINUTE)
    assert "memory" not in status_of(late).failure.message


OWN_LIMIT = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "


@pytest.mark.parametrize(
    ("text", "reason", "advice"),
    [
        ("The node was low on memory.", "Failed", "starts another pod"),
        (OWN_LIMIT, "VolumeFull", "limits.ephemeral-storage"),
    ],
)
def test_an_evicted_pod_s_own_reason_counts(text: str, reason: str, advice: str):
    run = training_run()
    built = build.job(run, 1, "r1", RUNTIME)
    evicted = pod(built, "Failed", reason="Evicted", message=text)
    world = observed(live(build.config_map(run)), job(built, "Failed"), evicted, runs=(attempt(),))
    failure = decided(run, world).status.failure
    assert failure
    assert (failure.reason, text.strip() in failure.message, advice in failure.message) == (
        reason,
        True,
        True,
    )


def test_pods_of_an_earlier_attempt_are_ignored():
    run = training_run(backoff_limit=2)
    old = pod(
        build.job(run, 1, "r1", RUNTIME),
        "Failed",
        name="pod-old",
        statuses=[terminated(137, "", "OOMKilled")],
    )
    world = broken(run, number=2)
    failure = decided(run, replace(world, owned=(*world.owned, old))).status.failure
    assert failure
    assert (failure.reason, failure.attempt) == ("Failed", 2)


def test_a_recorded_reason_outlives_its_pod():
    run = training_run(backoff_limit=1)
    known = decided(run, broken(run, terminated(137, "", "OOMKilled")))
    later = broken(run)
    assert isinstance(outside(decide(known, later, NOW)), FinishRun), (
        "the failure is known: the next step follows"
    )
    closed = broken(run, status="FAILED", ended=SECOND)
    assert status_of(decide(known, closed, NOW)).failure == known.status.failure


def test_a_late_pod_status_still_counts():
    """The Job's end may be observed before the pod's: there are two watches."""
    run = training_run(backoff_limit=1)
    known = decided(run, broken(run))
    failure = decided(known, broken(run, CRASHED)).status.failure
    assert failure
    assert failure.exit_code == 1


# --- the next attempt
# --------------------------------------------------------------------------------------
def test_a_failed_attempt_s_run_is_closed_as_failed_whatever_its_script_wrote():
    """A script may have closed it as finished, and failed after that."""
    run = training_run(backoff_limit=1)
    for status in ("RUNNING", "FINISHED"):
        known = decided(run, broken(run, CRASHED))
        assert actions(decide(known, broken(run, CRASHED, status=status), NOW)) == (
            FinishRun("r1", "FAILED"),
        )


def test_a_run_that_was_closed_without_a_time_gets_one():
    """The pause counts from there."""
    run = training_run(backoff_limit=1)
    known = decided(run, broken(run, CRASHED))
    assert actions(decide(known, broken(run, CRASHED, status="FAILED", ended=None), NOW)) == (
        FinishRun("r1", "FAILED"),
    )


def failed(run: TrainingRun, number: int, ago: timedelta, *statuses: Manifest) -> Plan[Any]:
    """Return the plan when the attempt's failure is recorded and its run was closed this long
    ago.
    """
    world = broken(run, *(statuses or (CRASHED,)), number=number, status="FAILED", ended=ago)
    return decide(decided(run, world), world, NOW)


@pytest.mark.parametrize(
    ("number", "pause"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 360), (20, 360)]
)
def test_the_pause_before_another_attempt_doubles_and_ends_at_six_minutes(number: int, pause: int):
    run = training_run(backoff_limit=20)
    early = failed(run, number, (pause - 1) * SECOND)
    assert (early.requeue_after, said(early)) == (SECOND, "Reconciling Retrying")
    assert f"Attempt {number + 1} of 21 follows" in message(early)
    action = outside(failed(run, number, pause * SECOND))
    assert isinstance(action, CreateRun)
    assert (action.name, action.tags["modelyard.io/attempt"]) == (
        f"fraud-1-{number + 1}",
        str(number + 1),
    )


def test_another_attempt_stays_in_the_experiment_of_the_first():
    """The Experiment may be gone, or be another one of its name."""
    run = training_run(backoff_limit=1)
    known = decided(run, broken(run, CRASHED))
    plan = decide(known, replace(broken(run, CRASHED, status="FAILED"), experiment=None), NOW)
    action = outside(plan)
    assert isinstance(action, CreateRun)
    assert action.experiment == "12"


def test_a_suspended_run_begins_no_other_attempt():
    run = training_run(backoff_limit=1, suspend=True)
    plan = failed(run, 1, DAY)
    assert said(plan) == "Reconciling Suspended"


def test_after_the_last_attempt_the_run_has_failed():
    run = training_run(backoff_limit=1)
    plan = failed(run, 2, SECOND)
    assert recorded(plan) == "Stalled Failed"
    assert "This was attempt 2." in message(plan)
    assert status_of(plan).completion_time == NOW - SECOND
    assert message(plan, "Succeeded") == message(plan)


@pytest.mark.parametrize(
    "reason", ["DatasetDigestMismatch", "DatasetInvalid", "ScriptInvalid", "InvalidParameters"]
)
def test_a_failure_that_would_only_repeat_is_not_retried(reason: str):
    run = training_run(backoff_limit=5)
    plan = failed(run, 1, SECOND, terminated(67, json.dumps({"reason": reason, "message": "no"})))
    assert (recorded(plan), status_of(plan).completion_time is not None) == (
        f"Stalled {reason}",
        True,
    )


def test_a_deadline_is_not_tried_again_either():
    run = training_run(backoff_limit=5, active_deadline_seconds=1)
    world = broken(run, terminated(143), reason="DeadlineExceeded", status="FAILED")
    assert recorded(decide(decided(run, world), world, NOW)) == "Stalled DeadlineExceeded"


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_job_that_vanished_after_its_run_was_closed_counts_as_a_failure_of_its_own(status: str):
    """The reason of an earlier attempt does not apply to this one."""
    run = training_run(backoff_limit=3)
    first = decided(run, broken(run, terminated(137, "", "OOMKilled")))
    world = observed(live(build.config_map(run)), runs=(attempt(1, "FAILED"), attempt(2, status)))
    failure = decided(first, world).status.failure
    assert failure
    assert (failure.reason, failure.attempt) == ("Failed", 2)
    assert "before the operator observed its result" in failure.message


def test_the_next_attempt_starts_clean_and_the_last_failure_stays():
    run = training_run(backoff_limit=1)
    built = build.job(run, 1, "r1", RUNTIME)
    first = written(
        run,
        decide(
            run,
            observed(
                live(build.config_map(run)),
                job(built),
                runs=(attempt(metrics={"modelyard.progress": 80.0}),),
            ),
            NOW,
        ),
    )
    first = decided(first, broken(run, CRASHED, metrics={"modelyard.progress": 80.0}))
    assert first.status.progress
    assert first.status.progress.eta_seconds is None, "nothing is left of what has failed"
    second = job(build.job(run, 2, "r2", RUNTIME))
    plan = decide(
        first,
        observed(live(build.config_map(run)), second, runs=(attempt(1, "FAILED"), attempt(2))),
        NOW,
    )
    status = written(first, plan).status
    assert (status.attempt, status.job, status.progress) == (2, "fraud-1-2", None)
    assert status.failure
    assert status.failure.attempt == 1


# --- runs that are deleted in MLflow --------------------------------------------------------------
def test_a_run_that_was_deleted_in_mlflow_is_waited_for():
    run = training_run()
    world = observed(
        live(build.config_map(run)), job(build.job(run, 1, "r1", RUNTIME)), runs=(attempt(),)
    )
    known = written(run, decide(run, world, NOW))
    plan = decide(known, replace(world, runs={1: replace(world.runs[1], deleted=True)}), NOW)
    assert said(plan) == "Stalled ExperimentGone"
    assert "Restore it" in message(plan)
    assert plan.requeue_after is not None, "no event comes"
    assert said(decide(written(known, plan), world, NOW)) == "Reconciling Scheduling"


def test_a_permanently_deleted_run_fails_the_attempt_without_a_second_run():
    """I1: at most one MLflow run per attempt."""
    run = training_run(backoff_limit=3)
    world = observed(
        live(build.config_map(run)), job(build.job(run, 1, "r1", RUNTIME)), runs=(attempt(),)
    )
    known = written(run, decide(run, world, NOW))
    gone = replace(world, runs={})
    assert deleted(decide(known, gone, NOW)) == ["Job/fraud-1-1"]
    end = decide(known, replace(gone, owned=()), NOW)
    assert recorded(end) == "Stalled ExperimentGone"
    ended = written(known, end)
    assert ended.status.completion_time == NOW
    assert said(decide(ended, replace(gone, owned=()), NOW)) == "Stalled ExperimentGone"


def test_a_failed_attempt_whose_run_was_deleted_by_retention_is_followed_by_the_next():
    run = training_run(backoff_limit=1)
    known = decided(run, broken(run, CRASHED, status="FAILED"))
    world = broken(run, CRASHED, status="FAILED", deleted=True)
    action = outside(decide(known, world, NOW))
    assert isinstance(action, CreateRun)
    assert action.tags["modelyard.io/attempt"] == "2"


def test_training_continues_when_its_experiment_is_deleted():
    """The Job runs and MLflow has the run: what happens is still recorded."""
    run = training_run()
    world = observed(
        live(build.config_map(run)),
        job(build.job(run, 1, "r1", RUNTIME), "Complete"),
        runs=(attempt(1, "FINISHED"),),
    )
    known = written(run, decide(run, world, NOW))
    plan = decide(known, replace(world, experiment=None), NOW)
    assert status_of(plan).is_true("Succeeded")


def test_a_container_killed_without_a_reason_ran_out_of_memory():
    """Observed on a busy node: exit code 137, reason Error, no OOMKilled."""
    once = training_run(backoff_limit=0)
    assert (
        status_of(failed(once, 1, SECOND, terminated(137, "", "Error"))).failure.reason
        == "OutOfMemory"
    )
    assert status_of(failed(once, 1, SECOND, terminated(1, "", "Error"))).failure.reason == "Failed"
