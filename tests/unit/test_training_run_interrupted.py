"""A container that exits with 0 on SIGTERM: its Job is complete, but the training is not."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.plan import Manifest, Record, ReopenRun, Rest
from modelyard.training_run import build
from modelyard.training_run.observation import Observation
from tests.unit.builders import (
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
    pod,
    said,
    status_of,
    training_run,
    written,
)
from tests.unit.training_run_world import attempt, decide, observed

IMAGE = {"container": {"image": "team/train:1"}}
RUN = training_run(trainer=IMAGE)
EVICTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}


def at(seconds: int) -> str:
    return (NOW + seconds * SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")


def complete(
    *pods: Manifest, run: Any = RUN, ago: int = 1, status: str = "FINISHED", **about: Any
) -> Observation:
    """Return the world when the first attempt's Job has been complete for this many seconds."""
    there = job(build.job(run, 1, "r1", RUNTIME), "Complete")
    there["status"]["completionTime"] = at(-ago)
    there["metadata"] |= about
    return observed(live(build.config_map(run)), there, *pods, runs=(attempt(1, status),))


def ended(
    finished: int,
    *,
    deleted_at: int | None = None,
    disrupted: int | None = None,
    grace: int = 30,
    run: Any = RUN,
) -> Manifest:
    """Return the pod whose container exited with 0, and what terminated it: seconds from now."""
    state = {"exitCode": 0, "finishedAt": at(finished), "message": "", "reason": "Completed"}
    conditions = [] if disrupted is None else [EVICTED | {"lastTransitionTime": at(disrupted)}]
    statuses = [{"name": "trainer", "state": {"terminated": state}}]
    there = pod(
        build.job(run, 1, "r1", RUNTIME), "Succeeded", statuses=statuses, conditions=conditions
    )
    if deleted_at is not None:
        there["metadata"] |= {
            "deletionTimestamp": at(deleted_at + grace),
            "deletionGracePeriodSeconds": grace,
        }
    return there


INTERRUPTED = {
    "drained": [ended(-5, deleted_at=-10, disrupted=-10)],
    "deleted": [ended(-5, deleted_at=-10)],
    "in the same second": [ended(-5, deleted_at=-5)],
    "gone": [],
}


@pytest.mark.parametrize("how", INTERRUPTED)
@pytest.mark.parametrize("closed", ["RUNNING", "FINISHED", "FAILED"])
def test_a_pod_that_was_terminated_from_outside_trains_again(how: str, closed: str):
    world = complete(*INTERRUPTED[how], status=closed)
    plan = decide(RUN, world, NOW)
    assert isinstance(plan, Record)
    run = written(RUN, plan)
    assert (said(run.status), status_of(plan).model) == ("Reconciling Interrupted", None)
    assert "trains again in another pod" in message(run.status)
    # Once recorded, the result stays though the pod is gone and time passes.
    later, when = complete(ago=600, status=closed), NOW + 10 * MINUTE
    if closed != "RUNNING":
        assert actions(decide(run, later, when)) == (ReopenRun("r1"),)
        left = observed(live(build.config_map(run)), runs=(attempt(1, closed),))
        assert actions(decide(run, left, when)) == (ReopenRun("r1"),), (
            "though the Job is gone by then"
        )
    opened = complete(ago=600, status="RUNNING")
    assert deleted(decide(run, opened, when)) == ["Job/fraud-1-1"]
    going = decide(run, complete(ago=600, status="RUNNING", deletionTimestamp=at(1)), when)
    assert isinstance(going, Rest)
    without = observed(live(build.config_map(run)), runs=(attempt(),))
    run = written(run, decide(run, without, when))
    assert said(run.status) == "Reconciling Scheduling"
    assert "Job/fraud-1-1" in applied(decide(run, without, when))


TRAINED = {
    "undisturbed": complete(ended(-5)),
    "deleted after its end": complete(ended(-20, deleted_at=-10)),
    "cleaned up later": complete(ago=120),
    "an earlier pod was drained": complete(
        ended(-100, deleted_at=-110)
        | {
            "metadata": ended(-100, deleted_at=-110)["metadata"]
            | {"creationTimestamp": "2026-01-01T11:00:00Z"}
        },
        ended(-5),
    ),
}


@pytest.mark.parametrize("how", TRAINED)
def test_a_pod_that_exited_has_trained(how: str):
    assert status_of(decide(RUN, TRAINED[how], NOW)).is_true("Succeeded")


@pytest.mark.parametrize(
    "trainer", [{"xgboost": {}}, {"script": {"config_map": "train"}}], ids=["xgboost", "script"]
)
def test_our_own_programs_report_a_signal_by_their_exit_code(trainer: Any):
    run = training_run(trainer=trainer)
    assert status_of(
        decide(run, complete(ended(-5, deleted_at=-10, run=run), run=run), NOW)
    ).is_true("Succeeded")
