"""TrainingRun that trains elsewhere: its MLflow run and its heartbeat are its state and its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from modelyard.api.training_run import TrainingRun
from modelyard.errors import Unavailable
from modelyard.kube.names import FAILURE_TAG, HEARTBEAT_ANNOTATION
from modelyard.plan import (
    CreateRun,
    Finalize,
    FinishRun,
    LogParameters,
    Record,
    Rest,
)
from modelyard.training_run.decide import finalize, in_sync, on_error
from modelyard.training_run.external import last_heartbeat
from modelyard.training_run.observation import Observation
from tests.unit.builders import (
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    URL,
    actions,
    message,
    recorded,
    said,
    status_of,
    tracked_run,
    training_run,
    written,
)
from tests.unit.test_training_run_ends import MODEL
from tests.unit.training_run_world import OURS, attempt, decide, observed

FIRST = OURS | {"modelyard.io/attempt": "1"}


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def external(beat: timedelta | str | None = None, **spec: Any) -> TrainingRun:
    """Return a run of the external trainer whose last heartbeat is this old, or has this text."""
    text = beat if isinstance(beat, str) or beat is None else stamp(NOW - beat)
    annotations = {} if text is None else {HEARTBEAT_ANNOTATION: text}
    return training_run(about={"annotations": annotations}, trainer={"external": {}}, **spec)


def open_since(ago: timedelta = HOUR, **more: Any) -> Observation:
    """Return the world while the MLflow run is open, begun this long ago."""
    return observed(runs=(attempt(start=NOW - ago, **more),))


def closed(status: str = "FINISHED", **more: Any) -> Observation:
    return observed(runs=(attempt(1, status, ended=SECOND, **more),))


def silent(run: TrainingRun, world: Observation, ago: timedelta) -> TrainingRun:
    """Return the run whose silence was recorded this long ago."""
    return written(run, decide(run, world, NOW - ago), NOW - ago)


# --- its MLflow run, and nothing else
# ---------------------------------------------------------------------
def test_its_mlflow_run_has_no_code_version():
    assert actions(decide(external(), observed(), NOW)) == (CreateRun("12", "fraud-1", FIRST),)


def test_parameters_that_it_did_not_log_itself_are_logged_at_its_end():
    run = external(parameters={"depth": "6", "rate": "1"})
    assert said(decide(run, open_since(SECOND), NOW)) == "Reconciling Training"
    for status in ("FINISHED", "FAILED"):
        world = closed(status, parameters={"rate": "1.0"})
        assert actions(decide(run, world, NOW)) == (LogParameters("r1", {"depth": "6"}),)


def test_nothing_is_applied_for_it_and_metrics_and_progress_are_reported():
    metrics = {"accuracy": 0.9, "modelyard.progress": 50.0}
    plan = decide(external(SECOND), open_since(MINUTE, metrics=metrics), NOW)
    assert (said(plan), plan.requeue_after) == ("Reconciling Training", 10 * SECOND)
    status = written(external(), plan).status
    assert [(metric.name, metric.value) for metric in status.metrics] == [("accuracy", "0.9")]
    assert status.progress
    assert (status.progress.percent, status.progress.eta_seconds) == (50, 60)
    assert (status.attempt, status.job, status.start_time) == (1, None, NOW - MINUTE)
    assert status.mlflow
    assert (status.mlflow.run_id, status.mlflow.url) == ("r1", f"{URL}/#/experiments/12/runs/r1")


def test_a_declared_dataset_is_reported_and_needs_no_pod():
    run = external(
        SECOND,
        dataset={"name": "cards", "uri": "s3://data/cards.parquet", "digest": "sha256:" + "a" * 64},
    )
    plan = decide(run, open_since(), NOW)
    assert (said(plan), status_of(plan).dataset) == ("Reconciling Training", None)


@pytest.mark.parametrize(
    ("digest", "rows", "found"),
    [
        ("sha256:" + "b" * 64, "2000", 2000),
        ("sha256:" + "b" * 64, "0", 0),
        ("md5:b", "2000", None),
        ("sha256:" + "b" * 64, "-1", None),
        ("", "", None),
    ],
    ids=["told", "empty data", "another digest", "no number", "untold"],
)
def test_the_logged_dataset_is_reported(digest: str, rows: str, found: int | None):
    tags = {
        "modelyard.io/attempt": "1",
        "modelyard.io/dataset.digest": digest,
        "modelyard.io/dataset.rows": rows,
    }
    status = status_of(decide(external(SECOND), open_since(tags=tags), NOW)).dataset
    assert (status and (status.digest, status.rows)) == (None if found is None else (digest, found))


# --- how it ends ----------------------------------------------------------------------------------
def test_a_run_closed_as_finished_has_succeeded_with_its_model():
    plan = decide(external(HOUR), replace(closed(), model=MODEL), NOW)
    assert status_of(plan).is_true("Succeeded")
    assert status_of(plan).model
    assert (status_of(plan).model.digest, status_of(plan).completion_time) == (
        MODEL.tree.digest,
        NOW - SECOND,
    )


def ended(run: TrainingRun, world: Observation) -> TrainingRun:
    """Return the run after its failure and then its end were recorded."""
    for _ in range(2):
        plan = decide(run, world, NOW)
        run = written(run, plan)
    assert isinstance(plan, Record | Rest)
    assert run.status.completion_time
    return run


@pytest.mark.parametrize(
    ("status", "tags", "words"),
    [
        ("FAILED", {FAILURE_TAG: "ValueError: no column amount"}, "ValueError: no column amount"),
        (
            "KILLED",
            {FAILURE_TAG: "KeyboardInterrupt\n\x1b[31mat line 3\x00"},
            "KeyboardInterrupt at line 3",
        ),
        (
            "FAILED",
            {},
            f"Its MLflow run was closed as FAILED, without a reason in its tag {FAILURE_TAG}.",
        ),
        (
            "KILLED",
            {FAILURE_TAG: " \n"},
            f"Its MLflow run was closed as KILLED, without a reason in its tag {FAILURE_TAG}.",
        ),
        ("FAILED", {FAILURE_TAG: "x" * 5000}, "x" * 1000),
    ],
)
def test_a_run_closed_with_another_status_has_failed_with_the_reason_in_its_tag(
    status: str, tags: dict[str, str], words: str
):
    run = ended(external(HOUR), closed(status, tags=FIRST | tags))
    assert (said(run.status), message(run.status), message(run.status, "Succeeded")) == (
        "Stalled Failed",
        words,
        words,
    )
    assert run.status.failure
    assert (run.status.failure.reason, run.status.failure.attempt, run.status.completion_time) == (
        "Failed",
        1,
        NOW - SECOND,
    )
    assert in_sync(written(run, decide(run, observed(), NOW)), ())


def test_a_run_closed_without_an_end_time_gets_one():
    run = written(external(), decide(external(), closed("FAILED", end=None), NOW))
    assert actions(decide(run, closed("FAILED", end=None), NOW)) == (FinishRun("r1", "FAILED"),)


def test_a_run_may_stay_open_until_its_deadline():
    run = external(SECOND, active_deadline_seconds=3600)
    before = decide(run, open_since(HOUR - 3 * SECOND), NOW)
    assert (said(before), before.requeue_after) == ("Reconciling Training", 3 * SECOND)
    run = written(run, decide(run, open_since(HOUR), NOW))
    assert actions(decide(run, open_since(HOUR), NOW)) == (FinishRun("r1", "FAILED"),)
    assert said(ended(run, closed("FAILED")).status) == "Stalled DeadlineExceeded"


def test_a_run_deleted_in_mlflow_is_waited_for_and_a_purged_one_ends_it():
    run = written(external(SECOND), decide(external(SECOND), open_since(), NOW))
    assert said(decide(run, open_since(deleted=True), NOW)) == "Stalled ExperimentGone"
    gone = decide(run, observed(), NOW)
    assert (recorded(gone), status_of(gone).completion_time) == ("Stalled ExperimentGone", NOW)


def test_deleting_it_closes_its_run():
    run = training_run(about={"deleting": True}, trainer={"external": {}})
    assert actions(finalize(run, open_since(), NOW)) == (FinishRun("r1", "KILLED"),)
    assert finalize(run, closed("KILLED"), NOW) == Finalize()


# --- its heartbeat --------------------------------------------------------------------------------
BEGAN = NOW - HOUR


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-01-01T11:59:30Z", NOW - 30 * SECOND),
        ("2026-01-01t11:59:30z", NOW - 30 * SECOND),
        ("2026-01-01T11:59:30+00:00", NOW - 30 * SECOND),
        ("2026-01-01T11:59:30.123456789Z", NOW - 30 * SECOND + timedelta(microseconds=123456)),
        ("2026-01-01T12:05:00Z", NOW + 5 * MINUTE),
        ("2026-01-01T12:05:01Z", BEGAN),  # a clock that far ahead is wrong
        ("2026-01-01T10:00:00Z", BEGAN),  # of an earlier object
        ("2026-01-01T11:59:30", BEGAN),
        ("2026-01-01T11:59:30+02:00", BEGAN),
        ("2026-02-30T11:59:30Z", BEGAN),
        ("٢٠٢٦-01-01T11:59:30Z", BEGAN),
        ("2026-01-01T11:59:30Z\n", BEGAN),
        ("1767268770", BEGAN),
        ("9999-12-31T23:59:59Z", BEGAN),
        ("now", BEGAN),
        ("", BEGAN),
    ],
)
def test_the_last_heartbeat(text: str, when: datetime):
    assert last_heartbeat(external(text), tracked_run(status="RUNNING", start=BEGAN), NOW) == when


def test_without_any_time_the_last_heartbeat_is_now():
    assert last_heartbeat(external(), tracked_run(status="RUNNING", start=None), NOW) == NOW


def test_a_new_run_has_time_for_its_first_heartbeat():
    for ago, again in ((59, 1), (55, 5), (0, 10)):
        plan = decide(external(), open_since(ago * SECOND), NOW)
        assert (said(plan), plan.requeue_after) == ("Reconciling Training", again * SECOND)
        assert status_of(plan).condition("Silent") is None


def test_a_missing_heartbeat_is_reported_first_and_cleared_by_the_next_one():
    run, world = external(MINUTE), open_since()
    plan = decide(run, world, NOW)
    assert said(plan) == "Reconciling Training"
    found = status_of(plan).condition("Silent")
    assert found
    assert (found.status, found.reason) == ("True", "HeartbeatLost")
    assert "2026-01-01T11:59:00Z" in found.message
    again = written(run, plan).model_copy(update={"metadata": external(SECOND).metadata})
    assert status_of(decide(again, world, NOW)).condition("Silent") is None


@pytest.mark.parametrize(
    ("beat", "told", "lost", "again"),
    [
        (89, 29, False, 1),
        (90, 30, True, None),
        (90, 29, False, 1),  # after an outage of the operator or Kubernetes one may still arrive
        (3600, 0, False, 10),
        (3600, 29, False, 1),
        (3600, 30, True, None),
    ],
)
def test_it_is_closed_after_90_seconds_of_which_30_were_reported(
    beat: int, told: int, lost: bool, again: int | None
):
    world = open_since(2 * HOUR)
    run = silent(external(beat * SECOND), world, told * SECOND)
    plan = decide(run, world, NOW)
    assert (status_of(plan).failure is not None) == lost
    assert isinstance(plan, Record if lost else Rest)
    assert again is None or plan.requeue_after == again * SECOND


def test_a_lost_run_is_closed_as_failed_and_says_what_to_do():
    world = open_since(2 * HOUR)
    run = silent(external(90 * SECOND), world, 30 * SECOND)
    run = written(run, decide(run, world, NOW))
    assert run.status.condition("Silent") is None
    assert actions(decide(run, world, NOW)) == (FinishRun("r1", "FAILED"),)
    run = ended(run, closed("FAILED"))
    assert said(run.status) == "Stalled HeartbeatLost"
    for words in (
        "2026-01-01T11:58:30Z",
        "Train again in another TrainingRun",
        HEARTBEAT_ANNOTATION,
    ):
        assert words in message(run.status)


def test_a_heartbeat_before_the_run_is_closed_clears_the_failure():
    world = open_since(2 * HOUR)
    lost = silent(external(90 * SECOND), world, 30 * SECOND)
    lost = written(lost, decide(lost, world, NOW))
    assert lost.status.failure
    run = lost.model_copy(update={"metadata": external(SECOND).metadata})
    plan = decide(run, world, NOW)
    assert (said(plan), status_of(plan).failure) == ("Reconciling Training", None)
    well = decide(lost, replace(closed(), model=MODEL), NOW)
    assert (well.status.is_true("Succeeded"), well.status.failure) == (True, None)


def test_a_reported_failure_takes_precedence_over_silence():
    world = open_since(2 * HOUR)
    run = silent(external(90 * SECOND), world, 30 * SECOND)
    run = written(run, decide(run, world, NOW))
    assert (
        said(ended(run, closed("FAILED", tags=FIRST | {FAILURE_TAG: "ValueError: no"})).status)
        == "Stalled Failed"
    )


def test_parameters_that_mlflow_refuses_do_not_keep_a_dead_run_open():
    run = external(90 * SECOND, parameters={"a b": "6"})
    world = open_since(2 * HOUR)
    late = silent(external(90 * SECOND), world, 30 * SECOND)
    late = late.model_copy(update={"spec": run.spec})
    assert status_of(decide(late, world, NOW)).failure


def test_an_mlflow_outage_does_not_count_as_silence():
    run = written(external(SECOND), decide(external(SECOND), open_since(), NOW))
    hurt = written(run, on_error(run, Unavailable("MLflow", "search runs", "12"), NOW))
    assert said(hurt.status) == "Reconciling MLflowUnavailable"
    plan = decide(hurt, open_since(), NOW + 30 * SECOND)
    assert (said(plan), status_of(plan).failure) == ("Reconciling Training", None)


def test_while_it_trains_nothing_is_written_twice():
    run = external(SECOND)
    run = written(run, decide(run, open_since(), NOW))
    assert written(run, decide(run, open_since(), NOW + 5 * SECOND), NOW + 5 * SECOND) == run
